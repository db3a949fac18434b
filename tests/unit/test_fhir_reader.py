"""Bytes to FHIR JSON."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_coder.errors import UnreadableError
from fhir_coder.fhir import is_billed, load, looks_like_fhir, read_header, split_ndjson
from fhir_coder.model import Header, MessageFormat


def test_header_names_the_resource_type_and_no_sender() -> None:
    assert read_header(b'{"resourceType": "Condition"}') == Header(MessageFormat.FHIR, type="Condition")


@pytest.mark.parametrize("marks", [1, 2])
def test_byte_order_marks_are_no_part_of_the_resource(marks: int) -> None:
    body = b"\xef\xbb\xbf" * marks + b'{"resourceType": "Patient"}'
    assert load(body) == {"resourceType": "Patient"}
    assert looks_like_fhir(body)


@pytest.mark.parametrize(
    ("body", "rule"),
    [
        (b"", "not_json"),
        (b"MSH|^~\\&|A", "not_json"),
        (b'{"resourceType": "Patient"', "not_json"),
        (b'{"resourceType": "Patient", "x": NaN}', "not_json"),
        (b'{"resourceType": "Patient", "x": "\xff"}', "not_json"),
        (b"[" * 100_000, "not_json"),
        (b'{"a":' * 5_000 + b"1" + b"}" * 5_000, "not_json"),
        (b"[]", "no_resource_type"),
        (b'"Patient"', "no_resource_type"),
        (b"{}", "no_resource_type"),
        (b'{"resourceType": 7}', "no_resource_type"),
        (b'{"resourceType": "Jane Doe 1970"}', "no_resource_type"),
    ],
)
def test_what_is_no_resource_is_refused_with_a_rule(body: bytes, rule: str) -> None:
    with pytest.raises(UnreadableError) as refused:
        read_header(body)
    assert refused.value.rule == rule


def test_a_refusal_says_nothing_of_the_payload() -> None:
    with pytest.raises(UnreadableError) as refused:
        load(b'{"resourceType": "Patient", "name": Poisonname}')
    assert "Poisonname" not in str(refused.value)
    assert refused.value.__context__ is None


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    looks_like_fhir(body)
    with contextlib.suppress(UnreadableError):
        assert load(body)["resourceType"]


def test_ndjson_lines_keep_their_numbers_and_blank_ones_are_skipped() -> None:
    data = b'\xef\xbb\xbf{"a":1}\r\n\r\n  \n{"b":2}\n\xef\xbb\xbf{"c":3}'
    assert list(split_ndjson(data)) == [(1, b'{"a":1}'), (4, b'{"b":2}'), (5, b'{"c":3}')]


def test_ndjson_without_lines_is_empty() -> None:
    assert list(split_ndjson(b"\n\n")) == []


@pytest.mark.parametrize("body", [b"MSH|^~\\&|", b"", b"<Patient/>", b'{"kind": "order"}'])
def test_other_payloads_do_not_look_like_fhir(body: bytes) -> None:
    assert not looks_like_fhir(body)


def test_types_that_say_nothing_about_a_bill_are_ignored() -> None:
    assert is_billed("Bundle")
    assert is_billed("ChargeItem")
    assert not is_billed("Observation")
    assert not is_billed("Claim")
