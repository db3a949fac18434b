"""HL7 dates keep their precision and their offset."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_coder.hl7v2.dates import read_when, write_when
from fhir_coder.model import When


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026", "2026"),
        ("202611", "2026-11"),
        ("20261103", "2026-11-03"),
        ("20261103+0100", "2026-11-03"),
        ("202611030915", "2026-11-03T09:15:00-06:00"),
        ("2026070309", "2026-07-03T09:00:00-05:00"),
        ("20261103091530.25-0500", "2026-11-03T09:15:30.25-05:00"),
        (" 20261103091530+0215 ", "2026-11-03T09:15:30+02:15"),
    ],
)
def test_precision_and_offset_are_kept_and_the_zone_fills_in(text: str, expected: str) -> None:
    when = read_when(text, "America/Chicago")
    assert when == When(expected)
    assert when.day is None or when.instant is None or when.instant.utcoffset() is not None


@pytest.mark.parametrize(
    "text",
    ["", "202", "20261301", "20260230", "00000101", "2026-11-03", "2026110309+9900", "202611032460", "٢٠٢٦", "x"],
)
def test_what_is_no_date_is_none(text: str) -> None:
    assert read_when(text) is None


@given(st.text(alphabet="0123456789+-. ", max_size=24))
def test_every_date_read_has_a_day_and_an_instant_of_its_precision(text: str) -> None:
    when = read_when(text)
    if when is not None:
        assert (when.day is not None) == (len(when.text) >= 10)
        assert (when.instant is not None) == (len(when.text) > 10)


@pytest.mark.parametrize("text", ["2026", "202611", "20261103", "20261103091530.25-0500"])
def test_values_are_written_back_as_they_were_sent(text: str) -> None:
    when = read_when(text)
    assert when
    assert write_when(when) == text


def test_utc_is_written_with_its_offset() -> None:
    assert write_when(When("2026-11-03T09:15:30Z")) == "20261103091530+0000"
