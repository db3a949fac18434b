"""HL7 dates and times (DTM, DT, TS) to and from values that keep their precision."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from fhir_coder.model import When

_DTM = re.compile(
    r"([0-9]{4})(?:([0-9]{2})(?:([0-9]{2})(?:([0-9]{2})(?:([0-9]{2})(?:([0-9]{2})(\.[0-9]{1,9})?)?)?)?)?)?"
    r"(?:([+-])([0-9]{2})([0-9]{2}))?"
)
_zone = lru_cache(maxsize=32)(ZoneInfo)


_YEAR = re.compile("[12][0-9]{3}")
_MONTHS = frozenset(f"{month:02}" for month in range(1, 13))
_EVERY_MONTH = frozenset(f"{day:02}" for day in range(1, 29))
"""The days that every month has."""
_SIXTY = frozenset(f"{number:02}" for number in range(60))


@lru_cache(maxsize=4096)  # a message says most of its days and times more than once
def read_when(text: str, zone: str = "UTC") -> When | None:
    """A DTM as a FHIR dateTime, None where it is no date.

    A time without offset is a time at `zone` (an IANA name). Missing minutes and seconds become 00, as FHIR wants them.
    """
    if len(text) == 8 and text[6:] in _EVERY_MONTH and text[4:6] in _MONTHS and _YEAR.fullmatch(text[:4]):
        return When(f"{text[:4]}-{text[4:6]}-{text[6:]}")
    end = 14 if text[12:14].isdigit() else 12
    minute, second, offset = text[10:12], text[12:end] or "00", text[end:]
    if minute in _SIXTY and second in _SIXTY and (not offset or offset[0] in "+-"):
        hour = _read_hour(text[:10], offset, zone)  # shared with many other times, as a minute or a second is not
        if hour:
            return When(f"{hour[0]}:{minute}:{second}{hour[1]}")
    return _read_any(text, zone)


@lru_cache(maxsize=4096)
def _read_hour(hour: str, offset: str, zone: str) -> tuple[str, str] | None:
    """`2026-11-03T09` and the offset that holds all through the hour, None where there is no such hour or offset."""
    first, last = _read_any(f"{hour}0000{offset}", zone), _read_any(f"{hour}5959{offset}", zone)
    if first is None or last is None or first.text[19:] != last.text[19:]:
        return None
    return first.text[:13], first.text[19:]


def _read_any(text: str, zone: str) -> When | None:
    match = _DTM.fullmatch(text.strip())
    if match is None:
        return None
    try:
        moment = _moment(match)
    except ValueError:
        return None
    day = "-".join(part for part in match.groups()[:3] if part)
    if match[4] is None:
        return When(day)
    offset = _offset(match) if match[8] else _offset_at(moment, zone)
    return When(f"{day}T{moment:%H:%M:%S}{match[7] or ''}{offset}") if offset else None


def write_when(when: When) -> str:
    """The value as a DTM of the same precision."""
    text = when.text.replace("Z", "+0000")
    if len(text) <= 10:
        return text.replace("-", "")
    day, time = text.split("T", 1)
    return day.replace("-", "") + time.replace(":", "")


def _moment(match: re.Match[str]) -> datetime:
    year, month, day, hour, minute, second = match.groups()[:6]
    return datetime(int(year), int(month or 1), int(day or 1), int(hour or 0), int(minute or 0), int(second or 0))


def _offset(match: re.Match[str]) -> str:
    hours, minutes = int(match[9]), int(match[10])
    return f"{match[8]}{match[9]}:{match[10]}" if hours <= 14 and minutes < 60 else ""


def _offset_at(moment: datetime, zone: str) -> str:
    delta = moment.replace(tzinfo=_zone(zone)).utcoffset() or timedelta(0)
    minutes = round(delta.total_seconds() / 60)
    sign = "-" if minutes < 0 else "+"
    return f"{sign}{abs(minutes) // 60:02}:{abs(minutes) % 60:02}"
