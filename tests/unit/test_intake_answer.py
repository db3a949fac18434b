"""What senders are told: by verdict, by mode, by version; batches answered in the envelopes that they came in."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hl7apy.consts import VALIDATION_LEVEL
from hl7apy.core import Message
from hl7apy.parser import parse_message, parse_segments
from hypothesis import given
from hypothesis import strategies as st

from fhir_coder import hl7v2
from fhir_coder.client import read_acknowledgment, read_acknowledgments
from fhir_coder.hl7v2 import AckError, AckStyle
from fhir_coder.intake.answer import acknowledge, answer_frame, frame_content, incoming_v2, refuse
from fhir_coder.model import MessageStatus
from fhir_coder.store.messages import Kept

AT = datetime(2026, 11, 23, 21, 0, tzinfo=UTC)
GOOD = Kept("M1", MessageStatus.RECEIVED)
CONFLICT = Kept("M2", MessageStatus.CONFLICT)
VERSIONS = ("2.3", "2.3.1", "2.4", "2.5", "2.5.1", "2.6", "2.7", "2.8")


def sent(version: str = "2.5.1", control_id: str = "C-1", tail: str = "") -> bytes:
    return f"MSH|^~\\&|APP^1.2^ISO|HOSP|US|THERE|20260301||ADT^A01|{control_id}|T|{version}{tail}\rPID|1\r".encode()


def told(body: bytes, kept: Kept | None, style: AckStyle = "auto") -> list[str]:
    return [read_acknowledgment(raw).code for raw in acknowledge(incoming_v2("f", body), kept, AT, style)]


def is_strictly_valid(raw: bytes, version: str) -> bool:
    """Whether hl7apy takes an acknowledgment in strict mode, which raises for any fault."""
    strict = VALIDATION_LEVEL.STRICT
    if version == "2.3":
        # Before 2.3.1 MSH-9 names no structure, and hl7apy does not know that of ACK^A01.
        message = Message("ACK", version=version, validation_level=strict)
        message.children = parse_segments(raw.decode(), version, validation_level=strict)
    else:
        message = parse_message(raw.decode(), strict)
    return bool(message.validate())


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("tail", ["", "||||||8859/1", "|||AL|AL"])
@pytest.mark.parametrize("kept", [GOOD, CONFLICT, None])
def test_acknowledgments_are_valid_in_strict_mode(version: str, tail: str, kept: Kept | None) -> None:
    raws = acknowledge(incoming_v2("f", sent(version, tail=tail)), kept, AT)

    assert len(raws) == (2 if tail == "|||AL|AL" and kept is GOOD else 1)
    assert all(is_strictly_valid(raw, version) for raw in raws)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("path", ["", "MSH-10", "PID-3[2].4", "DG1[2]-3"])
def test_rejections_are_valid_in_strict_mode(version: str, path: str) -> None:
    [raw] = refuse(sent(version), AckError(path, "100", "no segment can be read"), AT, "auto")

    assert is_strictly_valid(raw, version)
    assert read_acknowledgment(raw).code == "AR"


@pytest.mark.parametrize(
    ("body", "kept", "code"),
    [
        (sent(), GOOD, "AA"),
        (sent(), Kept("M1", MessageStatus.CHARTED, repeat=True), "AA"),
        (sent(), Kept("M1", MessageStatus.QUARANTINED, repeat=True), "AA"),
        (sent(), CONFLICT, "AE"),
        (sent(), None, "AE"),
        (sent(control_id=""), Kept("M1", MessageStatus.QUARANTINED), "AR"),
        (b"nothing", Kept("M1", MessageStatus.QUARANTINED), "AR"),
        (b'{"resourceType": "Patient"}', Kept("M1", MessageStatus.QUARANTINED), "AR"),
    ],
)
def test_the_code_says_what_became_of_the_message(body: bytes, kept: Kept | None, code: str) -> None:
    assert told(body, kept) == [code]


def test_after_a_negative_commit_acknowledgment_no_other_follows() -> None:
    assert told(sent(tail="|||AL|AL"), GOOD) == ["CA", "AA"]
    assert told(sent(tail="|||AL|AL"), None) == ["CE"]
    assert told(sent(tail="|||SU|AL"), None) == ["AE"]


def test_a_feed_can_answer_in_one_mode_whatever_is_asked() -> None:
    assert told(sent(tail="|||NE|NE"), GOOD, "original") == ["AA"]
    assert told(sent(), GOOD, "enhanced") == ["CA"]
    assert told(sent(tail="|||NE|AL"), GOOD, "enhanced") == ["AA"]


def test_each_answer_has_a_control_id_of_its_own() -> None:
    raws = acknowledge(incoming_v2("f", sent(tail="|||AL|AL")), GOOD, AT)

    assert len({raw.split(b"|")[9] for raw in raws}) == 2


# --- batches


def batch_answer(payload: bytes, kept: Kept | None = GOOD) -> list[bytes]:
    content = frame_content("f", payload, "host")
    return answer_frame(content, [kept] * len(content.messages), AT, "auto")


def lines(payload: bytes) -> list[list[str]]:
    return [line.split("|") for line in payload.decode().split("\r") if line]


def test_a_batch_without_file_header_is_answered_without_one() -> None:
    [answer] = batch_answer(b"BHS|^~\\&|APP|HOSP|US|THERE|20260301||||B-1\r" + sent() + b"BTS|1\r")

    names = [line[0] for line in lines(answer)]
    assert names == ["BHS", "MSH", "MSA", "BTS"]
    assert lines(answer)[0][2:6] == ["US", "THERE", "APP", "HOSP"]
    assert lines(answer)[0][11] == "B-1"


def test_a_file_header_without_batch_header_still_makes_a_batch() -> None:
    [answer] = batch_answer(b"FHS|^~\\&|APP|HOSP||||||F-1\r" + sent() + sent(control_id="C-2") + b"FTS|1\r")

    assert [line[0] for line in lines(answer)] == ["FHS", "BHS", "MSH", "MSA", "MSH", "MSA", "BTS", "FTS"]
    assert [a.control_id for a in read_acknowledgments(answer)] == ["C-1", "C-2"]


def test_a_batch_is_answered_in_its_own_delimiters() -> None:
    [answer] = batch_answer(b"BHS#*!?@#APP#HOSP#US#THERE#20260301####B*1\r" + sent() + b"BTS#1\r")

    assert answer.startswith(b"BHS#*!?@#US#THERE#APP#HOSP#20261123210000+0000####")
    assert answer.endswith(b"BTS#1\r")


def test_a_fragment_in_a_batch_is_rejected_in_its_place() -> None:
    [answer] = batch_answer(b"BHS|^~\\&\rPID|1\r" + sent() + b"BTS|1\r")

    assert [(a.code, a.control_id) for a in read_acknowledgments(answer)] == [("AR", "UNKNOWN"), ("AA", "C-1")]


def test_only_a_payload_that_begins_with_an_envelope_is_a_batch() -> None:
    assert hl7v2.read_batches(sent() + b"BTS|1\r") is None
    assert hl7v2.read_batches(b"") is None
    assert hl7v2.read_batches(b"FHSX|1\r" + sent()) is None
    assert len(batch_answer(sent() + sent(control_id="C-2"))) == 2


ENVELOPES = [b"FHS|^~\\&|A\r", b"BHS|^~\\&|B\r", b"BTS|9\r", b"FTS|1\r", b"BHS\r", b"\xef\xbb\xbf", b"\n", b"PID|1\r"]


@given(st.lists(st.sampled_from([sent(), sent(control_id=""), sent(tail="|||NE|NE"), *ENVELOPES]), max_size=10))
def test_a_batch_has_the_messages_that_its_payload_has(parts: list[bytes]) -> None:
    payload = b"".join([b"BHS|^~\\&|X\r", *parts])
    batch = hl7v2.read_batches(payload)

    assert batch is not None
    assert batch.messages == [message for _, message in hl7v2.split_messages(payload)]
    for answer in batch_answer(payload):
        read_acknowledgments(answer)


@given(st.binary(max_size=60))
def test_any_envelope_is_answered(tail: bytes) -> None:
    for start in (b"BHS", b"FHS", b"BHS|^~\\&|"):
        batch_answer(start + tail)
        batch_answer(start + tail + b"\r" + sent())
