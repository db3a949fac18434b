"""The ER7 reader, character sets and headers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_coder.errors import UnreadableError
from fhir_coder.hl7v2.charset import Policy, decode
from fhir_coder.hl7v2.header import read_header
from fhir_coder.hl7v2.reader import read_message

MSH = "MSH|^~\\&|APP|HOSP|||20260301||ADT^A01|1|P|2.5.1"


def pid(field: str, msh: str = MSH) -> str:
    segment = read_message(f"{msh}\rPID|{field}").segment("PID")
    assert segment
    return segment.text(1)


@pytest.mark.parametrize("end", ["\r", "\n", "\r\n"])
def test_segments_end_in_any_line_end(end: str) -> None:
    message = read_message(end.join([MSH, "PID|1", "DG1|1", "DG1|2", ""]))
    assert [segment.path for segment in message] == ["MSH", "PID", "DG1[1]", "DG1[2]"]


def test_unusual_delimiters_are_those_of_the_header() -> None:
    message = read_message("MSH#*!?@#APP#HOSP\rPID#1##77*x*y*AUTH@1.2@ISO!88")
    segment = message.segment("PID")
    assert segment
    assert [field.text() for field in segment.repetitions(3)] == ["77", "88"]
    assert segment.text(3, 4, 2) == "1.2"


def test_truncation_character_is_no_fault() -> None:
    assert read_message("MSH|^~\\&#|A").syntax.truncation == "#"


def test_header_fields_count_the_separator_as_field_1() -> None:
    header = read_message(MSH).header
    assert (header.text(1), header.raw(2), header.text(3), header.text(10)) == ("|", "^~\\&", "APP", "1")


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (r"a\F\b\S\c\T\d\R\e\E\f", "a|b^c&d~e\\f"),
        (r"line\.br\next", "line\nnext"),
        (r"\H\bold\N\ plain", "bold plain"),
        (r"\X41C3A4\!", "Aä!"),
        (r"\Zunknown\ kept", r"\Zunknown\ kept"),
        (r"\XZZ\ kept", r"\XZZ\ kept"),
        (r"lonely \ mark", r"lonely \ mark"),
        (r"\C2842\plain", "plain"),
        (r"\M2442\ž", "ž"),
        (r"short\P\ ", "short#"),
        (r"one\.sp2\two\.sp\three", "one\n\ntwo\nthree"),
        (r"a\.sk3\b\.in+4\\.ti-2\\.fi\\.nf\c\.ce\d", "a   bc\nd"),
        (r"\.zz\ kept", r"\.zz\ kept"),
    ],
)
def test_escape_sequences_are_resolved_and_unknown_ones_kept(raw: str, text: str) -> None:
    assert pid(raw) == text


def test_iso_2022_switches_in_escapes_are_followed() -> None:
    assert pid(r"\M2442\;3ED\C2842\ x") == "山田 x"


def test_delete_is_not_empty_and_reads_as_nothing() -> None:
    segment = read_message(f'{MSH}\rPID|""||x').segment("PID")
    assert segment
    assert [segment.field(place).is_delete for place in (1, 2, 3)] == [True, False, False]
    assert (segment.text(1), bool(segment.field(1)), segment.text(9)) == ("", False, "")


def test_components_alone_say_nothing() -> None:
    segment = read_message(f"{MSH}\rPID|^^&^").segment("PID")
    assert segment
    assert segment.repetitions(1) == []


def test_line_feed_inside_a_text_does_not_lose_the_fields_after_it() -> None:
    message = read_message(f"{MSH}\rDG1|1||J18.9^Pneu\nmonia^I10|||F\rPV1|1")
    segment = message.segment("DG1")
    assert segment
    assert (segment.text(3, 2), segment.text(6)) == ("Pneu\nmonia", "F")
    assert [s.path for s in message] == ["MSH", "DG1[1]", "PV1"]


@pytest.mark.parametrize(
    ("body", "path", "rule"),
    [
        (b"", "", "empty"),
        (b"\x0b\r\n \x1c", "", "empty"),
        (b"PID|1", "", "no_msh"),
        (b"MSH", "MSH-1", "bad_encoding_characters"),
        (b"MSHA", "MSH-1", "bad_encoding_characters"),
        (b"MSH|^~", "MSH-2", "bad_encoding_characters"),
        (b"MSH|^~\\|A", "MSH-2", "bad_encoding_characters"),
        (b"MSH|^~\\\\&|A", "MSH-2", "bad_encoding_characters"),
        (b"MSH|^~\\&#!|A", "MSH-2", "bad_encoding_characters"),
        (b"MSH|^^\\&|A", "MSH-2", "bad_encoding_characters"),
        (b"MSH|^~\\x|A", "MSH-2", "bad_encoding_characters"),
        (b"MSH|^~\\&|A|||||||||||||||KLINGON", "MSH-18", "charset"),
    ],
)
def test_unreadable_payloads_say_where_and_which_rule(body: bytes, path: str, rule: str) -> None:
    with pytest.raises(UnreadableError) as caught:
        read_message(body)
    assert (caught.value.path, caught.value.rule) == (path, rule)


def exercised(body: bytes) -> None:
    for segment in read_message(body):
        for number in range(1, segment.count + 1):
            for field in segment.repetitions(number):
                field.text()
                field.whole(2)


@given(st.binary(max_size=200))
def test_any_bytes_give_a_message_or_unreadable(body: bytes) -> None:
    for payload in (body, b"MSH" + body, MSH.encode() + b"\r" + body, MSH.encode() + b"||||||" + body):
        try:
            exercised(payload)
            read_header(payload)
        except UnreadableError:
            continue


@given(st.text(max_size=60))
def test_escaped_text_reads_back(text: str) -> None:
    syntax = read_message(MSH).syntax
    expected = text.replace("\r", "\n").strip()
    assert pid(syntax.escaped(text.strip())) == expected.strip()


@pytest.mark.parametrize(
    ("declared", "codec"),
    [
        ("", "utf-8"),
        ("", "cp1252"),
        ("UNICODE UTF-8", "utf-8"),
        ("8859/1", "latin-1"),
        ("8859/15", "iso8859-15"),
        ("ASCII~8859/1", "latin-1"),
        ("GB 18030-2000", "gb18030"),
    ],
)
def test_character_set_is_the_declared_one_else_utf8_then_the_fallback(declared: str, codec: str) -> None:
    text = f"{MSH}||||||{declared}\rPID|Müller"
    assert decode(text.encode(codec)) == text


def test_japanese_sets_are_switched_to_inside_the_message() -> None:
    text = f"{MSH}||||||~ISO IR87\rPID|山田"
    assert decode(text.encode("iso2022_jp")) == text


@pytest.mark.parametrize("codec", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_byte_order_marks_and_utf16_are_seen(codec: str) -> None:
    assert read_message(f"{MSH}\rPID|Ä".encode(codec)).segments("PID")[0].text(1) == "Ä"


def test_feed_default_is_used_where_nothing_is_declared() -> None:
    assert "Ł" in decode(f"{MSH}\rPID|Ł".encode("iso8859-2"), default="iso8859-2")


def test_bytes_outside_the_declared_set_are_unreadable_or_replaced_by_policy() -> None:
    body = f"{MSH}||||||ASCII\rPID|Ä".encode()
    with pytest.raises(UnreadableError) as caught:
        decode(body)
    assert caught.value.rule == "charset"
    assert "Ä" not in str(caught.value)
    assert "\ufffd" in decode(body, policy="replace")


@pytest.mark.parametrize(
    ("policy", "declared", "read"),
    [
        ("strict", "ASCII", None),
        ("replace", "ASCII", "M\ufffdller"),
        ("fallback", "ASCII", "Müller"),
        ("strict", "UNICODE UTF-8", None),
        ("replace", "UNICODE UTF-8", "M\ufffdller"),
        ("fallback", "UNICODE UTF-8", "Müller"),
        ("strict", "KLINGON", None),
        ("replace", "KLINGON", "Müller"),
        ("fallback", "KLINGON", "Müller"),
        ("strict", "8859/1", "Müller"),
    ],
)
def test_a_wrongly_declared_character_set_is_read_by_policy(policy: Policy, declared: str, read: str | None) -> None:
    body = f"{MSH}||||||{declared}\rPID|Müller".encode("latin-1")
    if read is None:
        with pytest.raises(UnreadableError, match=r"^MSH-18: "):
            decode(body, policy=policy)
    else:
        assert decode(body, policy=policy).endswith(read)


@pytest.mark.parametrize("declared", ["ASCII~8859/1", "8859/1~ISO IR87", "ASCII~"])
def test_repetitions_of_the_declared_set_are_all_looked_at(declared: str) -> None:
    body = f"{MSH}||||||{declared}\rPID|Muller".encode("latin-1")
    assert decode(body).endswith("Muller")


def test_the_header_is_read_whatever_the_character_set_of_the_rest_is() -> None:
    body = f"{MSH}||||||KLINGON\rPID|Ä".encode()
    assert read_header(body).type == "ADT^A01"
    with pytest.raises(UnreadableError):
        read_message(body)


def test_header_has_type_control_id_sender_and_version() -> None:
    header = read_header(b"\xef\xbb\xbfMSH|^~\\&|LAB^1.2^ISO|HOSP|||20260301||DFT^P03^DFT_P03|C-1|P|2.5.1\r")
    assert (header.type, header.control_id, header.sender, header.version) == ("DFT^P03", "C-1", "LAB|HOSP", "2.5.1")


def test_event_of_old_versions_is_found_in_evn() -> None:
    assert read_header(b"MSH|^~\\&|A|B|||2026||ADT|1|P|2.1\rEVN|A04").type == "ADT^A04"
