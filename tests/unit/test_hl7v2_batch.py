"""Files and payloads of several messages."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_coder.hl7v2.batch import split_messages

A = b"MSH|^~\\&|A|||||||1\rPID|1\r"
B = b"MSH|^~\\&|B|||||||2\rPID|2\r"


def payloads(data: bytes) -> list[bytes]:
    return [payload for _, payload in split_messages(data)]


def test_messages_are_cut_where_msh_begins_a_line_and_numbered_from_1() -> None:
    assert list(split_messages(A + B)) == [(1, A), (2, B)]


def test_one_message_stays_byte_for_byte() -> None:
    body = A.replace(b"\r", b"\r\n") + b"\r\n"
    assert payloads(body) == [body]


def test_envelope_lines_are_left_out() -> None:
    assert payloads(b"FHS|^~\\&\rBHS|^~\\&\r" + A + B + b"BTS|2\rFTS|1\r") == [A, B]


@pytest.mark.parametrize("end", [b"\x1c\x0d", b"\x1c", b"\x1c\r\n"])
def test_framing_bytes_in_files_are_no_part_of_messages(end: bytes) -> None:
    assert payloads(b"\x0b" + A + end + b"\x0b" + B.rstrip() + end) == [A, B.rstrip()]


def test_byte_order_mark_is_kept_with_the_message_it_explains() -> None:
    assert payloads(b"\xef\xbb\xbf" + A + B) == [b"\xef\xbb\xbf" + A, B]
    assert payloads(b"\xef\xbb\xbfFHS|^~\\&\r" + A) == [A]


def test_what_stands_outside_of_messages_is_not_lost() -> None:
    assert payloads(b"DG1|9||lost\r" + A + b"BTS|1\rPID|late\r") == [b"DG1|9||lost\r", A, b"PID|late\r"]


def test_broken_header_is_a_payload_of_its_own() -> None:
    assert payloads(A + b"MSH|^~\r" + B) == [A, b"MSH|^~\r", B]


def test_line_that_is_no_segment_stays_in_its_message() -> None:
    body = A + b"free text over\rtwo lines\r"
    assert payloads(body + B) == [body, B]


@given(st.lists(st.sampled_from([b"MSH|", b"FHS|", b"BTS|", b"PID|", b"\r", b" ", b"\t", b"\xef\xbb\xbf", b"MS"])))
def test_a_payload_is_cut_the_same_whether_or_not_it_looks_like_one_message(parts: list[bytes]) -> None:
    data = b"MSH|" + b"".join(parts)
    long_way = payloads(data + b"\n")  # a line feed is nothing that the quick look takes
    assert payloads(data) == [*long_way[:-1], long_way[-1].removesuffix(b"\n")]


@pytest.mark.parametrize("data", [b"", b"\r\n \n", b"\x0b\x1c\r", b"\xef\xbb\xbf"])
def test_blank_data_has_no_messages(data: bytes) -> None:
    assert payloads(data) == []


@pytest.mark.parametrize("codec", ["utf-16", "utf-16-le", "utf-16-be"])
def test_utf16_is_taken_as_one_message(codec: str) -> None:
    body = A.decode().encode(codec)
    assert payloads(body) == [body]


@given(st.lists(st.sampled_from([A, B, b"x|y\r", b"\x0b", b"\x1c", b"\n", b"BTS|1\r", b"MSH", b"FHS|\r"]), max_size=12))
def test_no_byte_but_framing_blanks_and_envelopes_is_lost(parts: list[bytes]) -> None:
    left = b"".join(payloads(b"".join(parts)))
    for part in (b"PID|1", b"PID|2", b"x|y"):
        assert left.count(part) == b"".join(parts).count(part)
