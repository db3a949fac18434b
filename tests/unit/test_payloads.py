"""Files and bodies of any kind to payloads: nothing is left out, and what cannot be read says so without its values."""

from __future__ import annotations

import gzip
import json

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from fhir_coder.errors import UnreadableError
from fhir_coder.intake import stream
from fhir_coder.intake.payloads import header_or_fault, payloads_in, read_header
from fhir_coder.intake.stream import TooLarge, inflated, payloads_of_stream
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
        (b'{"name":"Poisonname"}', "no_resource_type"),
        (b'{"name":"Poisonname', "not_json"),
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


# --- streams: the same payloads, without the whole in memory


@pytest.fixture
def small_files_are_tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "SMALL", 64)


def chunked(data: bytes, size: int) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]


def streamed(data: bytes, size: int, limit: int = 10_000) -> list[bytes | TooLarge]:
    return list(payloads_of_stream(chunked(data, size), limit))


ER7_PARTS = st.sampled_from(
    [
        MSH,
        PID,
        b"FHS|^~\\&\r",
        b"BHS|^~\\&\n",
        b"BTS|1\r\n",
        b"\x0b" + MSH,
        b"\x1c\r",
        b"note\n",
        b" MSH|^~\\&|\n",
        b"MSHX\r",
    ]
)


@pytest.mark.usefixtures("small_files_are_tiny")
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@example([b"\xfe\xff", MSH, MSH], 1)
@given(st.lists(ER7_PARTS | st.binary(max_size=20), max_size=12), st.integers(1, 90))
def test_a_streamed_hl7_file_gives_the_payloads_of_the_whole(parts: list[bytes], size: int) -> None:
    data = b"".join(parts)
    if not data.lstrip(BOM + b" \t\r\n").startswith(b"{"):
        assert streamed(data, size) == payloads(data)


@pytest.mark.usefixtures("small_files_are_tiny")
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.sampled_from([ENCOUNTER, PATIENT, b"not json", b"", BOM + PATIENT]), max_size=12), st.integers(1, 90)
)
def test_streamed_ndjson_gives_the_payloads_of_the_whole(lines: list[bytes], size: int) -> None:
    data = b"\n".join([PATIENT, *lines, ENCOUNTER])

    assert streamed(data, size) == payloads(data)


@pytest.mark.usefixtures("small_files_are_tiny")
def test_a_streamed_message_over_the_limit_is_told_and_the_others_are_kept() -> None:
    long = MSH + b"OBX|1|ED|||" + b"x" * 5000 + b"\r"
    data = MSH + PID + long + MSH + PID + long

    assert streamed(data, 50, limit=500) == [MSH + PID, TooLarge(len(long)), MSH + PID, TooLarge(len(long))]


@pytest.mark.usefixtures("small_files_are_tiny")
@pytest.mark.parametrize("size", [1, 7, 100])
def test_what_is_over_the_limit_is_passed_over_whatever_the_blocks(size: int) -> None:
    line = b'{"resourceType":"Patient","id":"' + b"x" * 2000 + b'"}\n'

    assert streamed(PATIENT + b"\n" + line + PATIENT, size, limit=500) == [PATIENT, TooLarge(len(line)), PATIENT]


@pytest.mark.usefixtures("small_files_are_tiny")
def test_one_json_document_over_the_limit_is_one_payload_too_large() -> None:
    pretty = json.dumps({"resourceType": "Bundle", "entry": [{"a": n} for n in range(200)]}, indent=1).encode()

    assert streamed(pretty, 100, limit=500) == [TooLarge(len(pretty))]
    assert streamed(pretty, 100) == [pretty]


@pytest.mark.usefixtures("small_files_are_tiny")
def test_ndjson_over_the_limit_whose_first_line_is_broken_is_still_ndjson() -> None:
    data = b'{"resourceType":"Pat\n' + (PATIENT + b"\n") * 20

    assert streamed(data, 100, limit=500) == [b'{"resourceType":"Pat', *[PATIENT] * 20]


@given(st.binary(max_size=500), st.integers(1, 50), st.integers(0, 2))
def test_gzip_is_unpacked_whatever_the_blocks_and_members(data: bytes, size: int, members: int) -> None:
    packed = b"".join(gzip.compress(part) for part in [data] * members)

    assert b"".join(inflated(chunked(packed, size))) == data * members


@given(st.binary(max_size=100).filter(lambda data: not data.startswith(b"\x1f\x8b")), st.integers(1, 50))
def test_what_is_not_gzip_passes_as_it_is(data: bytes, size: int) -> None:
    assert b"".join(inflated(chunked(data, size))) == data


@pytest.mark.parametrize(
    "broken", [gzip.compress(MSH * 50)[:-9], gzip.compress(MSH)[:10] + b"\xff" * 40], ids=["cut", "bad"]
)
def test_gzip_that_is_cut_off_or_damaged_is_told(broken: bytes) -> None:
    with pytest.raises(UnreadableError) as caught:
        list(inflated([broken]))

    assert caught.value.rule == "gzip"
