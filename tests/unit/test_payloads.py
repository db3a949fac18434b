"""Files and bodies of any kind to payloads: nothing is left out, and what cannot be read says so without its values."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_coder.errors import UnreadableError
from fhir_coder.intake.payloads import header_or_fault, payloads_in, read_header
from fhir_coder.model import Header, MessageFormat

MSH = b"MSH|^~\\&|APP|CLINIC|||20261103100000||ADT^A04|C1|P|2.5.1\r"
PID = b"PID|1||PAT-1\r"
PATIENT = b'{"resourceType":"Patient","id":"1"}'
ENCOUNTER = b'{"resourceType":"Encounter","id":"2"}'
BOM = b"\xef\xbb\xbf"
POISON = "Poisonname"


def payloads(data: bytes) -> list[bytes]:
    return list(payloads_in(data))


def test_one_json_document_is_one_payload_byte_for_byte() -> None:
    assert payloads(PATIENT) == [PATIENT]


def test_pretty_printed_json_is_one_payload() -> None:
    bundle = {"resourceType": "Bundle", "entry": [{"resource": {"resourceType": "Patient"}}]}
    pretty = json.dumps(bundle, indent=2).encode()

    assert payloads(pretty) == [pretty]


def test_json_lines_are_one_payload_each() -> None:
    assert payloads(PATIENT + b"\n" + ENCOUNTER + b"\r\n\n" + PATIENT + b"\n") == [PATIENT, ENCOUNTER, PATIENT]


def test_one_json_line_with_its_end_of_line_is_one_payload() -> None:
    assert [p.strip() for p in payloads(PATIENT + b"\n")] == [PATIENT]


def test_a_broken_line_among_json_lines_stands_alone_and_the_others_are_read() -> None:
    assert payloads(PATIENT + b"\nnot json\n" + ENCOUNTER) == [PATIENT, b"not json", ENCOUNTER]
    assert payloads(b'{"resourceType":"Pat\n' + ENCOUNTER) == [b'{"resourceType":"Pat', ENCOUNTER]


def test_a_byte_order_mark_does_not_hide_what_follows() -> None:
    assert [read_header(p).type for p in payloads(BOM + PATIENT + b"\n" + BOM + ENCOUNTER)] == ["Patient", "Encounter"]
    assert [read_header(p).type for p in payloads(BOM + MSH + PID)] == ["ADT^A04"]


def test_an_hl7_file_of_several_messages_is_one_payload_each() -> None:
    first, second = MSH + PID, MSH.replace(b"C1", b"C2") + PID

    assert [read_header(p).control_id for p in payloads(first + second)] == ["C1", "C2"]


def test_a_batch_gives_its_messages_without_the_envelope() -> None:
    batch = b"FHS|^~\\&\rBHS|^~\\&\r" + MSH + PID + MSH.replace(b"C1", b"C2") + PID + b"BTS|2\rFTS|1\r"

    assert [read_header(p).control_id for p in payloads(batch)] == ["C1", "C2"]


def test_an_empty_file_has_no_payloads() -> None:
    assert payloads(b"") == []
    assert payloads(BOM + b" \r\n\t") == []


def test_garbage_is_one_payload_that_cannot_be_read() -> None:
    (one,) = payloads(b"\x00\x01 garbage")

    assert header_or_fault(one)[0] == Header(MessageFormat.UNKNOWN)


@given(st.lists(st.binary(max_size=40), max_size=5), st.sampled_from([b"\r", b"\n", b""]))
def test_nothing_but_blanks_marks_and_envelopes_is_left_out(parts: list[bytes], end: bytes) -> None:
    data = end.join(parts)
    dropped = b"\xef\xbb\xbf \t\r\n\x0b\x1c"

    kept = b"".join(payloads(data))

    if not any(name in data for name in (b"FHS", b"BHS", b"BTS", b"FTS")):
        assert kept.translate(None, dropped) == data.translate(None, dropped)


@given(st.binary(max_size=200))
def test_a_header_is_read_or_the_reason_is_told_and_nothing_else_is_raised(body: bytes) -> None:
    header, fault = header_or_fault(body)

    assert (header.format is MessageFormat.UNKNOWN) == bool(fault)


@pytest.mark.parametrize(
    ("body", "rule"),
    [
        (b"", "empty"),
        (BOM + b"\r\n", "empty"),
        (b"PID|1||Poisonname\r", "not_hl7_not_fhir"),
        (b"Poisonname", "not_hl7_not_fhir"),
        (b'{"name":"Poisonname"}', "not_hl7_not_fhir"),
        (b'{"resourceType":"Patient","name":"Poisonname', "not_json"),
        (b'{"resourceType":7,"name":"Poisonname"}', "no_resource_type"),
    ],
)
def test_what_cannot_be_read_is_told_by_rule_and_never_by_value(body: bytes, rule: str) -> None:
    with pytest.raises(UnreadableError) as caught:
        read_header(body)

    assert caught.value.rule == rule
    assert POISON not in str(caught.value)
    assert caught.value.__context__ is None or POISON not in repr(caught.value.__context__)
    assert header_or_fault(body) == (Header(MessageFormat.UNKNOWN), str(caught.value))


def test_an_hl7_header_tells_type_control_id_and_sender() -> None:
    header = read_header(MSH + PID)

    assert (header.format, header.type, header.control_id, header.sender) == (
        MessageFormat.HL7V2,
        "ADT^A04",
        "C1",
        "APP|CLINIC",
    )
