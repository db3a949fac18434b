"""How values stand on a page: ages, money, masked identifiers, status chips."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any


def age(at: datetime | timedelta | None, now: datetime | None = None) -> str:
    """How long ago, in its largest unit: `3 min`, `2 d`."""
    if at is None:
        return ""
    seconds = (at if isinstance(at, timedelta) else (now or datetime.now(UTC)) - at).total_seconds()
    for unit, name in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= unit:
            return f"{int(seconds // unit)} {name}"
    return f"{max(0, int(seconds))} s"


def money(amount: Any, currency: str = "") -> str:
    """An amount with its separators, such as `USD 1,234.50`; empty where there is none."""
    if amount in (None, ""):
        return ""
    try:
        return f"{currency} {Decimal(str(amount)):,.2f}".strip()
    except InvalidOperation:
        return f"{currency} {amount}".strip()


def number(value: float) -> str:
    """A count with its separators."""
    return f"{value:,}"


_SHOWN_CHARACTERS = 3


def masked(text: str) -> str:
    """What names a person or visit: its last part, and a patient's id before it, hidden but for their ends."""
    parts = text.split("/")
    hidden = {len(parts) - 1, *(place + 1 for place, part in enumerate(parts[:-1]) if part in _BEFORE_AN_ID)}
    return "/".join(_hidden(part) if place in hidden else part for place, part in enumerate(parts))


_BEFORE_AN_ID = frozenset({"Patient", "Encounter"})


def _hidden(part: str) -> str:
    if not part:
        return ""
    return f"•••{part[-_SHOWN_CHARACTERS:] if len(part) > 2 * _SHOWN_CHARACTERS else part[-1:]}"


def day(value: date | None) -> str:
    """A day as ISO 8601."""
    return value.isoformat() if value else ""


STATUS_KINDS: Mapping[str, tuple[str, str]] = {
    **dict.fromkeys(("charted", "complete", "up", "closed", "accepted", "active", "ready", "done"), ("good", "✓")),
    **dict.fromkeys(("received", "sent", "queued", "open", "half-open", "asked", "waits"), ("busy", "…")),
    **dict.fromkeys(("held", "partial", "conflict", "unknown", "review", "paused", "slow", "warn"), ("warn", "!")),
    **dict.fromkeys(("quarantined", "denied", "down", "reject", "failed", "refused"), ("bad", "×")),
}
"""The tone and the sign of a status; the others are quiet. The word always stands beside the sign."""


def status_kind(status: str) -> tuple[str, str]:
    """The tone (good, busy, warn, bad, quiet) and the sign of a status."""
    return STATUS_KINDS.get(status, ("quiet", "·"))


FILTERS: Mapping[str, Callable[..., Any]] = {
    "age": age,
    "money": money,
    "number": number,
    "masked": masked,
    "day": day,
    "status_kind": status_kind,
}
"""The templates' filters."""
