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


@lru_cache(maxsize=4096)  # the days and times of a message repeat in it, and in its neighbours
def read_when(text: str, zone: str = "UTC") -> When | None:
    """A DTM as a FHIR dateTime, None where it is no date.

    A time without offset is a time at `zone` (an IANA name). Missing minutes and seconds become 00, as FHIR wants them.
    """
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
