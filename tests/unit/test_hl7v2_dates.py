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


@pytest.mark.parametrize(
    ("text", "zone", "expected"),
    [
        ("20261101013000", "America/Chicago", "2026-11-01T01:30:00-05:00"),
        ("20261101020000", "America/Chicago", "2026-11-01T02:00:00-06:00"),
        ("20260308025959", "America/Chicago", "2026-03-08T02:59:59-06:00"),
        ("20260308030000", "America/Chicago", "2026-03-08T03:00:00-05:00"),
        ("20261004015900", "Australia/Lord_Howe", "2026-10-04T01:59:00+10:30"),
        ("20261004022900", "Australia/Lord_Howe", "2026-10-04T02:29:00+10:30"),
        ("20261004023000", "Australia/Lord_Howe", "2026-10-04T02:30:00+11:00"),
    ],
)
def test_the_offset_of_a_zone_may_change_within_an_hour(text: str, zone: str, expected: str) -> None:
    assert read_when(text, zone) == When(expected)
    assert read_when(text[:12], zone) == read_when(f"{text[:12]}00", zone)


@pytest.mark.parametrize(
    "text", ["20260228", "20260229", "20240229", "00000228", "20261328", "2026112\u0668", "20261131"]
)
def test_a_day_is_one_of_the_calendar(text: str) -> None:
    is_day = text in ("20260228", "20240229")
    assert read_when(text) == (When(f"{text[:4]}-{text[4:6]}-{text[6:]}") if is_day else None)


@pytest.mark.parametrize(
    "text", ["20261103096000", "20261103090060", "2026110309 100", "202611030915-1500", "20261103091"]
)
def test_a_time_is_one_of_the_clock(text: str) -> None:
    assert read_when(text) is None


def test_utc_is_written_with_its_offset() -> None:
    assert write_when(When("2026-11-03T09:15:30Z")) == "20261103091530+0000"
