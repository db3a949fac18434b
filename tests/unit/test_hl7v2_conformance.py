"""Conformance with the standard's structures."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fhir_coder.errors import UnreadableError
from fhir_coder.hl7v2.conformance import EDIT, check_message
from fhir_coder.model import Severity

EVN = "EVN||20260301"
PID = "PID|1||5^^^A^MR||Doe^Jane||19800101|F"
PV1 = "PV1|1|I"


def message(*segments: str, version: str = "2.5.1", kind: str = "ADT^A01^ADT_A01", marks: str = "^~\\&") -> bytes:
    return "\r".join([f"MSH|{marks}|A|B|C|D|20260301||{kind}|1|P|{version}", *segments]).encode()


def found(body: bytes, version: str | None = None) -> list[tuple[str, str]]:
    return [(finding.path, finding.severity.value) for finding in check_message(body, version)]


def test_good_message_has_no_findings() -> None:
    assert check_message(message(EVN, PID, PV1)) == []


@pytest.mark.parametrize("version", ["2.3", "2.5"])
def test_truncation_character_is_accepted(version: str) -> None:
    assert found(message("EVN|A01|20260301", PID, PV1, version=version, kind="ADT^A01", marks="^~\\&#")) == []


@pytest.mark.parametrize(
    ("segments", "expected"),
    [
        ((EVN, PV1), ("PID", "reject")),
        ((EVN, PID, "PV1|1"), ("PV1-2", "reject")),
        ((EVN, PID + "|||||||||||1~2", PV1), ("PID-19", "reject")),
        ((EVN, PID.replace("19800101", "1980-01-01"), PV1), ("PID-7.1", "reject")),
        ((EVN, PID.replace("|F", "|robot"), PV1), ("PID-8", "warn")),
        ((EVN, PID, PV1, PV1), ("PV1", "reject")),
        ((EVN, PID, PV1, "FT1|1||||20260301||CG|X"), ("FT1[1]", "warn")),
        ((EVN, PID, PV1, "QQQ|1"), ("QQQ[1]", "warn")),
        ((EVN, PID, "PV1|one|I"), ("PV1-1", "reject")),
        ((EVN, PID, PV1 + "|" * 60 + "x"), ("PV1-62", "warn")),
        ((EVN, PID + "^x", PV1), ("PID-8", "warn")),
    ],
)
def test_departures_are_found_where_they_are(segments: tuple[str, ...], expected: tuple[str, str]) -> None:
    assert expected in found(message(*segments))


def test_a_segment_out_of_its_place_is_told_where_it_stands() -> None:
    assert found(message(EVN, PV1, PID)) == [("PID", "reject"), ("PID", "warn")]


def test_what_is_missing_in_a_group_is_told_with_the_group() -> None:
    charge, procedure = "FT1|1|||20260301|20260301|CG|X", "PR1|1||X||20260301"
    assert found(message(EVN, PID, charge, procedure, charge, kind="DFT^P03^DFT_P03")) == []
    missing, misplaced, *_ = check_message(message(EVN, PID, procedure, kind="DFT^P03^DFT_P03"))
    assert (missing.path, missing.text) == ("DFT_P03_FINANCIAL", "required group is missing")
    assert misplaced.path == "PR1[1]"


@pytest.mark.parametrize("version", ["2.3", "2.5.1", "2.7", "2.8"])
def test_conditional_fields_of_obx_may_be_empty(version: str) -> None:
    body = message(EVN, PID, PV1, "OBX|1||X^Y^Z||||||||F", version=version)
    assert not {"OBX[1]-2", "OBX[1]-4"} & {path for path, _ in found(body)}


def test_z_segments_are_the_sites_own() -> None:
    assert check_message(message(EVN, PID, PV1, "ZIN|1|anything^at&all")) == []


def test_structure_is_known_from_the_event_where_it_is_not_named() -> None:
    assert found(message(EVN, PV1, kind="ADT^A08")) == [("PID", "reject")]


def test_message_of_one_version_under_another_ones_number_can_be_judged_by_its_own() -> None:
    assert ("MSH-12", "warn") in found(message(EVN, PID, PV1, version="7.7"))
    assert found(message(EVN, PID, PV1, version="7.7"), "2.5.1") == []


def test_unknown_structure_is_a_warning() -> None:
    assert ("MSH-9", "warn") in found(message(EVN, PID, kind="ZZZ^Z01"))


def test_findings_hold_no_values() -> None:
    segments = [
        EVN,
        "PID|poison|poison|^poison||poison^poison||poison|poison",
        "PV1|poison|poison",
        "DG1|poison|poison",
    ]
    findings = check_message(message(*segments))
    assert findings
    assert "poison" not in repr(findings)
    assert {finding.edit for finding in findings} == {EDIT}
    assert {finding.severity for finding in findings} <= {Severity.REJECT, Severity.WARN}


def test_what_is_no_message_is_unreadable() -> None:
    with pytest.raises(UnreadableError):
        check_message(b"{}")


NAMES = st.sampled_from(["PID", "PV1", "DG1", "IN1", "OBX", "MSH", "ZZZ", "QQQ", "ABC", "A1B"])
TEXT = st.text(alphabet='019AZ^~&\\"|.-+ ', max_size=30)


@settings(max_examples=60)
@given(st.lists(st.tuples(NAMES, TEXT), max_size=6), st.sampled_from(["ADT^A01", "DFT^P03", "", "ACK", "^^^"]), TEXT)
def test_odd_messages_never_break_the_check(segments: list[tuple[str, str]], kind: str, version: str) -> None:
    with contextlib.suppress(UnreadableError):
        check_message(message(*(f"{name}|{text}" for name, text in segments), kind=kind, version=version))
        check_message(message(*(f"{name}|{text}" for name, text in segments), kind=kind), "2.3")
