"""Acknowledgments, read back by this reader and checked with hl7apy."""

from __future__ import annotations

import pytest
from hl7apy.consts import VALIDATION_LEVEL
from hl7apy.parser import parse_message
from hypothesis import given
from hypothesis import strategies as st

from fhir_coder.hl7v2.ack import UNKNOWN_CONTROL_ID, AckError, AckMode, ack_mode, build_ack
from fhir_coder.hl7v2.conformance import check_message
from fhir_coder.hl7v2.reader import Er7Message, read_message
from fhir_coder.model import When

AT = When("2026-03-01T12:00:00-06:00")
ERROR = AckError("PID-3[2].4", "101", "required field missing")


def sent(version: str = "2.5.1", control_id: str = "C-1", tail: str = "") -> bytes:
    return f"MSH|^~\\&|APP^1.2^ISO|HOSP|US|THERE|20260301||ADT^A01|{control_id}|T|{version}{tail}\rPID|1".encode()


def answer(body: bytes, error: AckError | None = None) -> Er7Message:
    raw = build_ack(body, "AE" if error else "AA", control_id="OUR-1", at=AT, error=error)
    return read_message(raw, policy="replace")


def test_answer_goes_back_to_the_sender_under_our_own_control_id() -> None:
    msh = answer(sent()).header
    assert [msh.raw(place) for place in range(3, 13)] == [
        "US",
        "THERE",
        "APP^1.2^ISO",
        "HOSP",
        "20260301120000-0600",
        "",
        "ACK^A01^ACK",
        "OUR-1",
        "T",
        "2.5.1",
    ]


def test_answer_names_their_control_id() -> None:
    msa = answer(sent()).segments("MSA")[0]
    assert (msa.text(1), msa.text(2)) == ("AA", "C-1")


@pytest.mark.parametrize("body", [sent(control_id=""), b"garbage", b"", b"MSH|^~|A"])
def test_msa_2_is_never_empty(body: bytes) -> None:
    assert answer(body).segments("MSA")[0].text(2) == UNKNOWN_CONTROL_ID


def test_control_id_is_found_in_a_message_that_cannot_be_read() -> None:
    broken = sent().replace(b"^~\\&", b"^~")
    assert answer(broken).segments("MSA")[0].text(2) == "C-1"


def test_error_says_where_which_rule_and_how_bad() -> None:
    [err] = answer(sent(), ERROR).segments("ERR")
    assert (err.raw(2), err.raw(3), err.text(4)) == (
        "PID^1^3^2^4",
        "101^Required field missing^HL70357",
        "E",
    )
    assert err.text(8) == "required field missing"


@pytest.mark.parametrize(
    ("path", "location"),
    [("DG1[2]-3", "DG1^2^3^1"), ("PV1", "PV1^1"), ("MSH-9.2", "MSH^1^9^1^2"), ("", ""), ("elsewhere", "")],
)
def test_paths_become_locations(path: str, location: str) -> None:
    assert answer(sent(), AckError(path, "207", "x")).segments("ERR")[0].raw(2) == location


def test_older_versions_get_the_error_in_err_1() -> None:
    [err] = answer(sent("2.3"), ERROR).segments("ERR")
    assert err.raw(1) == "PID^1^3^101&Required field missing&HL70357"
    assert answer(sent("2.3")).header.raw(9) == "ACK^A01"


def test_their_delimiters_and_character_set_are_used() -> None:
    body = "MSH#*!?@#APP#HÖSP#####ADT*A01#1*x#P#2.5.1######8859/1".encode("latin-1")
    raw = build_ack(body, "AR", control_id="a#b", at="20260301", error=AckError("", "100", "a * b"))
    assert raw.startswith(
        "MSH#*!?@###APP#HÖSP#20260301##ACK*A01*ACK#a?F?b#P#2.5.1######8859/1\rMSA#AR#1*x\r".encode("latin-1")
    )
    assert read_message(raw).segments("ERR")[0].text(8) == "a * b"


def test_utf16_is_answered_in_utf16() -> None:
    body = sent().decode().encode("utf-16")
    assert answer(body).segments("MSA")[0].text(2) == "C-1"


def test_unknown_version_is_echoed_as_one_that_exists() -> None:
    assert answer(sent("klingon")).header.text(12) == "2.5.1"


@pytest.mark.parametrize("version", ["2.3", "2.3.1", "2.5.1", "2.8"])
@pytest.mark.parametrize("error", [None, ERROR])
def test_answers_conform_to_the_standard(version: str, error: AckError | None) -> None:
    raw = build_ack(sent(version, tail="||||||8859/1"), "AE", control_id="OUR-1", at=AT, error=error)
    assert check_message(raw) == []
    assert parse_message(raw.decode(), VALIDATION_LEVEL.TOLERANT).msa.msa_2.value == "C-1"


@given(st.binary(max_size=120))
def test_anything_is_answered(tail: bytes) -> None:
    for body in (tail, b"MSH" + tail, b"MSH|^~\\&|" + tail, sent() + tail):
        assert answer(body, ERROR).segments("MSA")[0].raw(2)
        ack_mode(body)


@pytest.mark.parametrize(
    ("accept", "application", "enhanced", "wanted"),
    [
        # wanted: accept ok, accept failed, application ok, application failed
        ("", "", False, (False, False, True, True)),
        ("AL", "NE", True, (True, True, False, False)),
        ("ER", "AL", True, (False, True, True, True)),
        ("SU", "", True, (True, False, False, False)),
        ("NE", "NE", True, (False, False, False, False)),
        ("", "ER", True, (False, False, False, True)),
    ],
)
def test_answers_wanted_are_those_the_sender_asks_for(
    accept: str, application: str, enhanced: bool, wanted: tuple[bool, ...]
) -> None:
    mode = ack_mode(sent(tail=f"|||{accept}|{application}"))
    assert mode == AckMode(accept, application)
    assert mode.is_enhanced is enhanced
    assert (
        mode.wants_accept(True),
        mode.wants_accept(False),
        mode.wants_application(True),
        mode.wants_application(False),
    ) == wanted
