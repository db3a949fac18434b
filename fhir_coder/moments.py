"""A time as a person types it: a day, a time, or how long ago."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, tzinfo

_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
WRONG = "not a time: 2026-11-03, 2026-11-03T18:00, 2026-11-03T18:00-06:00, 30m, 2h, 3d or 1w"


def read_moment(text: str, zone: tzinfo = UTC) -> datetime:
    """An aware time; `zone` is meant where the text names none. Raises ValueError."""
    ago = re.fullmatch(r"(\d{1,6})([mhdw])", text)
    try:
        if ago:
            return datetime.now(UTC) - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
        at = datetime.fromisoformat(text)
        return at if at.tzinfo else at.replace(tzinfo=zone)
    except (ValueError, OverflowError):
        raise ValueError(WRONG) from None
