"""Message profiles: what is read of one, and what messages are held against."""

from __future__ import annotations

import contextlib
import pickle
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_coder.errors import ProfileError, UnreadableError
from fhir_coder.hl7v2.profile import Profile, read_profiles
from fhir_coder.hl7v2.profile_check import PROFILE_EDITS, check_by_profiles
from fhir_coder.intake.payloads import payloads_in
from fhir_coder.model import Severity
from fhir_coder.shipped import shipped

EVN = "EVN||20260301"
PID = "PID|1||5^^^A^MR||Doe^Jane"


def profile_xml(content: str, event: str = "A01", version: str = "2.5.1") -> bytes:
    head = f'<HL7v2xConformanceProfile HL7Version="{version}"><HL7v2xStaticDef MsgType="ADT" EventType="{event}">'
    msh = '<Segment Name="MSH" Usage="R" Min="1" Max="1"/>'
    return f"{head}\n{msh}\n{content}\n</HL7v2xStaticDef></HL7v2xConformanceProfile>".encode()


def segment(name: str, *fields: str, usage: str = "R", high: str = "1") -> str:
    inside = "".join(fields)
    return f'<Segment Name="{name}" Usage="{usage}" Min="{int(usage == "R")}" Max="{high}">{inside}</Segment>'


def field(said: str = 'Usage="O"', *components: str) -> str:
    return f'<Field Name="f" {said}>{"".join(components)}</Field>'


def component(said: str = 'Usage="O"', *parts: str) -> str:
    return f'<Component Name="c" {said}>{"".join(parts)}</Component>'


def group(name: str, *parts: str, usage: str = "O", high: str = "*") -> str:
    low = int(usage == "R")
    return f'<SegGroup Name="{name}" Usage="{usage}" Min="{low}" Max="{high}">{"".join(parts)}</SegGroup>'


def profiles(*content: str) -> tuple[Profile, ...]:
    return read_profiles(profile_xml("\n".join(content)), "own.xml")


def message(*segments: str, kind: str = "ADT^A01", version: str = "2.5.1") -> bytes:
    return "\r".join([f"MSH|^~\\&|A|B|C|D|20260301||{kind}|1|P|{version}", *segments]).encode()


def found(body: bytes, held_against: Sequence[Profile]) -> list[tuple[str, str, str]]:
    findings = check_by_profiles(body, held_against)
    return [(f.edit.removeprefix("hl7-profile-"), f.severity.value, f.path) for f in findings]


# --- reading a profile


def faults(data: bytes) -> list[str]:
    with pytest.raises(ProfileError) as caught:
        read_profiles(data, "own.xml")
    return [str(fault) for fault in caught.value.faults]


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (b"", "own.xml:1: not XML: no element found"),
        (b"MSH|^~\\&|", "own.xml:1: not XML: syntax error"),
        (b"<a>\n<b>\n</a>", "own.xml:3: not XML: mismatched tag"),
        (b'<?xml version="1.0" encoding="klingon"?><a/>', "own.xml:1: not XML: its encoding is not known"),
        (b"<a/>", "own.xml:1: the root element is not HL7v2xConformanceProfile"),
        (b"<HL7v2xConformanceProfile/>", "own.xml:1: HL7v2xConformanceProfile: no HL7v2xStaticDef: it says nothing of"),
        (b"<a>" * 50, "own.xml:1: elements nested more than 40 deep"),
    ],
)
def test_a_file_that_is_no_profile_is_told_with_its_line(data: bytes, fault: str) -> None:
    [told] = faults(data)
    assert told.startswith(fault)


def test_every_fault_of_a_profile_is_listed_with_its_line() -> None:
    data = profile_xml(
        '<Segment Name="pid" Usage="MUST">\n<Field Name="f" Min="x"/></Segment>\n<Segment Usage="O"/>\n'
        '<Field Name="f"/>\n<SegGroup Name="G"/>\n<Segment Name="EVN" Usage="R" Min="2" Max="1"/>'
    )
    assert sorted(faults(data)) == [
        "own.xml:3: Name: is no name of a segment",
        "own.xml:3: Usage: is none of B, C, CE, O, R, RE, W, X",
        "own.xml:4: Min: is no number",
        "own.xml:5: Segment/@Name: is missing",
        "own.xml:6: Field: has no place in a HL7v2xStaticDef",
        "own.xml:7: SegGroup: not even one segment",
        "own.xml:8: Max: is less than Min, or than 1 where it is required",
    ]


@pytest.mark.parametrize(
    "declared",
    [
        '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]>',
        '<!DOCTYPE a [<!ENTITY x "xxxxxxxxxx"><!ENTITY y "&x;&x;&x;">]>',
        '<!DOCTYPE a [<!ENTITY % p SYSTEM "file:///etc/passwd"> %p;]>',
    ],
)
def test_entities_are_refused(declared: str) -> None:
    assert faults(declared.encode() + profile_xml("")) == ["own.xml:1: entities are refused"]


def test_an_entity_of_a_document_type_that_is_not_followed_is_refused() -> None:
    data = b'<!DOCTYPE a SYSTEM "http://127.0.0.1:1/a.dtd">' + profile_xml("<Note>&x;</Note>")
    assert faults(data) == ["own.xml:3: entities are refused"]


def test_a_document_type_alone_is_not_followed() -> None:
    assert read_profiles(b'<!DOCTYPE a SYSTEM "http://127.0.0.1:1/a.dtd">' + profile_xml(""), "own.xml")


def test_a_pickled_profile_is_not_loaded() -> None:
    class Runs:
        def __reduce__(self) -> tuple[object, ...]:
            return (pytest.fail, ("it was loaded",))

    [told] = faults(pickle.dumps(Runs()))
    assert "a pickled profile is not read" in told


def test_a_profile_may_define_messages_of_several_types() -> None:
    one, other = profile_xml("", "A01"), profile_xml("", "A03")
    static = other[other.index(b"<HL7v2xStaticDef") : other.index(b"</HL7v2xConf")]
    found = read_profiles(one.replace(b"</HL7v2xConf", static + b"</HL7v2xConf"), "own.xml")
    assert [p.title for p in found] == ["ADT^A01", "ADT^A03"]


@given(st.binary(max_size=60))
def test_any_bytes_are_a_profile_or_refused(data: bytes) -> None:
    for one in (data, profile_xml("") + data, profile_xml('<Segment Name="').replace(b"\n</", data + b"\n</")):
        with contextlib.suppress(ProfileError):
            read_profiles(one, "own.xml")


# --- which segments

VISIT = (segment("EVN"), segment("PID"), segment("PV1", usage="RE"))
CHARGES = group("CHARGE", segment("FT1"), segment("PR1", usage="O", high="*"))


def test_a_message_as_agreed_has_no_findings() -> None:
    assert found(message(EVN, PID, "PV1|1|I"), profiles(*VISIT)) == []
    assert found(message(EVN, PID), profiles(*VISIT)) == []


@pytest.mark.parametrize(
    ("segments", "expected"),
    [
        ((EVN,), [("usage", "reject", "PID")]),
        ((EVN, PID, PID), [("cardinality", "reject", "PID")]),
        ((EVN, PID, "ZZZ|1"), [("structure", "warn", "ZZZ[1]")]),
        ((EVN, "PV1|1", PID), [("usage", "reject", "PID"), ("structure", "warn", "PID")]),
    ],
)
def test_segments_are_held_against_the_profile(segments: tuple[str, ...], expected: list[tuple[str, ...]]) -> None:
    assert found(message(*segments), profiles(*VISIT)) == expected


def test_groups_are_matched_as_they_repeat() -> None:
    agreed = profiles(segment("PID"), CHARGES, segment("DG1", usage="O", high="*"))
    assert found(message(PID, "FT1|1", "PR1|1", "PR1|2", "FT1|2", "DG1|1"), agreed) == []
    assert found(message(PID, "PR1|1", "FT1|1", "DG1|1", "FT1|2"), agreed) == [
        ("structure", "warn", "PR1[1]"),
        ("structure", "warn", "FT1[2]"),
    ]


def test_a_segment_that_may_stand_at_two_places_is_counted_at_each() -> None:
    agreed = profiles(segment("PID"), segment("ROL"), segment("PV1", usage="O"), segment("ROL", usage="O", high="2"))
    assert found(message(PID, "ROL|1", "ROL|2"), agreed) == []
    assert found(message(PID, "ROL|1", "PV1|1", "ROL|2", "ROL|3"), agreed) == []
    assert found(message(PID, "ROL|1", "PV1|1", "ROL|2", "ROL|3", "ROL|4"), agreed) == [
        ("cardinality", "reject", "ROL")
    ]


def test_required_groups_and_what_is_required_in_them() -> None:
    agreed = profiles(segment("PID"), group("CHARGE", segment("FT1"), segment("PR1"), usage="R", high="1"))
    assert found(message(PID), agreed) == [("usage", "reject", "CHARGE")]
    [finding] = check_by_profiles(message(PID, "FT1|1"), agreed)
    assert (finding.path, finding.text) == ("PR1", "required segment is missing in CHARGE[1]")
    assert found(message(PID, "FT1|1", "PR1|1", "FT1|2", "PR1|2"), agreed) == [("cardinality", "reject", "CHARGE")]


def test_excluded_and_withdrawn_segments() -> None:
    agreed = profiles(segment("PID"), segment("PD1", usage="X", high="0"), segment("NK1", usage="W", high="*"))
    assert found(message(PID, "PD1|1", "NK1|1"), agreed) == [("usage", "reject", "PD1"), ("usage", "warn", "NK1")]


def test_the_profile_is_chosen_by_type() -> None:
    agreed = (*profiles(segment("PID")), *read_profiles(profile_xml(segment("EVN"), event="ALL"), "other.xml"))
    assert found(message(EVN, kind="ADT^A03"), agreed) == []
    assert found(message(PID), agreed) == []
    assert found(message(PID, kind="DFT^P03"), agreed) == [("structure", "reject", "MSH-9")]


def test_another_version_warns() -> None:
    assert found(message(PID, version="2.3"), profiles(segment("PID"))) == [("structure", "warn", "MSH-12")]


# --- what is in a segment


@pytest.mark.parametrize(
    ("said", "value", "expected"),
    [
        ('Usage="R"', "", ("usage", "reject", "PID-1")),
        ('Usage="R"', "x", None),
        ('Usage="R"', '""', None),
        ('Usage="RE" Min="1"', "", None),
        ('Usage="C(R/O)"', "", None),
        ('Usage="X"', "x", ("usage", "reject", "PID-1")),
        ('Usage="X" Max="0"', "", None),
        ('Usage="W"', "x", ("usage", "warn", "PID-1")),
        ('Usage="B"', "x", None),
        ('Usage="O" Max="2"', "x~y~z", ("cardinality", "reject", "PID-1")),
        ('Usage="O" Min="2"', "x", ("cardinality", "reject", "PID-1")),
        ('Usage="O" Min="2"', "", None),
        ('Usage="O" Length="3"', "wxyz", ("length", "reject", "PID-1")),
        ('Usage="O" Length="3"', "a\\T\\b", None),
        ('Usage="O" Length="3"', "abc~wxyz", ("length", "reject", "PID-1[2]")),
        ('Usage="O" Datatype="NM"', "1o", ("datatype", "reject", "PID-1")),
        ('Usage="O" Datatype="TS"', "20260301^D", None),
        ('Usage="O" Datatype="TS"', "1 March^D", ("datatype", "reject", "PID-1")),
        ('Usage="O" Datatype="IS" Table="0001"', "robot", ("table", "warn", "PID-1")),
        ('Usage="O" Datatype="IS" Table="1"', "F", None),
        ('Usage="O" Datatype="CE" Table="0001"', "F^Female", None),
        ('Usage="O" Datatype="IS" Table="0001"', '""', None),
        ('Usage="O" Table="LOCAL"', "any", None),
        ('Usage="R" ConstantValue="A^B"', "A^B", None),
        ('Usage="R" ConstantValue="A&amp;B"', "A\\T\\B", None),
        ('Usage="R" ConstantValue="A"', "B", ("constant", "reject", "PID-1")),
    ],
)
def test_fields_are_held_against_the_profile(said: str, value: str, expected: tuple[str, ...] | None) -> None:
    assert found(message(f"PID|{value}"), profiles(segment("PID", field(said)))) == ([expected] if expected else [])


def test_components_and_subcomponents_are_held_against_the_profile() -> None:
    subcomponents = ('<SubComponent Name="s" Usage="R"/>', '<SubComponent Name="s" Usage="X"/>')
    parts = (component('Usage="R"'), component('Usage="X"'), component('Usage="O" Length="9"', *subcomponents))
    agreed = profiles(segment("PID", field('Usage="O" Max="*"', *parts)))
    assert found(message("PID|a~b^^c"), agreed) == []
    assert found(message("PID|^x~b^^&y^z"), agreed) == [
        ("usage", "reject", "PID-1[1].1"),
        ("usage", "reject", "PID-1[1].2"),
        ("usage", "reject", "PID-1[2].3.1"),
        ("usage", "reject", "PID-1[2].3.2"),
        ("structure", "warn", "PID-1[2]"),
    ]


def test_what_a_profile_leaves_open_is_free_and_what_it_leaves_out_warns() -> None:
    assert found(message("PID|a^b^c|d"), profiles(segment("PID"))) == []
    assert found(message("PID|a^b^c|d"), profiles(segment("PID", field()))) == [("structure", "warn", "PID-2")]


def test_the_delimiters_of_msh_are_values_like_others() -> None:
    said = field('Usage="R" ConstantValue="|"') + field('Usage="R" ConstantValue="^~\\&amp;"') + field() * 10
    data = profile_xml("").replace(b'Max="1"/>', f'Max="1">{said}</Segment>'.encode())
    agreed = read_profiles(data, "own.xml")
    assert found(message(), agreed) == []
    assert found(message().replace(b"^~\\&", b"^~\\&#"), agreed) == [("constant", "reject", "MSH-2")]


def test_the_time_that_old_profiles_call_a_number_may_have_a_zone() -> None:
    agreed = profiles(segment("PID", field('Usage="O" Datatype="TS"', component('Usage="R" Datatype="NM"'))))
    assert found(message("PID|20260301120000-0600"), agreed) == []
    assert found(message("PID|noon"), agreed) == [("datatype", "reject", "PID-1.1")]


def test_findings_hold_no_values_and_known_rules() -> None:
    said = 'Usage="O" Max="1" Length="2" Datatype="NM" Table="0001" ConstantValue="A"'
    agreed = profiles(segment("PID", field(said), field('Usage="X"')), segment("PV1", usage="X"))
    findings = check_by_profiles(message("PID|poison~poison|poison|poison", "PV1|poison", "NK1|poison"), agreed)
    assert {f.edit for f in findings} == set(PROFILE_EDITS)
    assert "poison" not in repr(findings)


def test_what_is_no_message_is_unreadable() -> None:
    with pytest.raises(UnreadableError):
        check_by_profiles(b"{}", profiles(segment("PID")))


def test_the_example_profile_is_what_the_example_site_sends() -> None:
    folder = shipped("fixtures")
    agreed = read_profiles((folder / "profiles" / "lakeshore-dft-p03.xml").read_bytes(), "lakeshore")
    [body] = payloads_in((folder / "covid" / "01-dft-p03.hl7").read_bytes())
    assert check_by_profiles(body, agreed) == []
    [departing] = payloads_in((folder / "office-visit-modifiers" / "01-dft-p03.hl7").read_bytes())
    assert Severity.REJECT in {f.severity for f in check_by_profiles(departing, agreed)}


NAMES = st.sampled_from(["EVN", "PID", "PV1", "FT1", "PR1", "DG1", "ROL", "ZZZ"])
TEXT = st.text(alphabet='01AX^~&\\"| ', max_size=20)


@given(st.lists(st.tuples(NAMES, TEXT), max_size=12))
def test_odd_messages_never_break_the_check_by_a_profile(segments: list[tuple[str, str]]) -> None:
    parts = (component('Usage="R"', '<SubComponent Name="s" Usage="R" Datatype="NM"/>'), component('Usage="X"'))
    inner = group("INNER", segment("PR1", usage="X", high="0"), segment("ROL", usage="O", high="2"))
    agreed = profiles(
        segment("PID", field('Usage="R" Max="2"', *parts), usage="O", high="1"),
        group("CHARGE", segment("FT1", usage="O"), inner, high="2"),
        segment("PR1", usage="O"),
        segment("FT1", usage="RE", high="3"),
    )
    check_by_profiles(message(*(f"{name}|{text}" for name, text in segments)), agreed)
