"""Names of payers and feeds, which rows and questions may ask for: a misspelt one would pass for another. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from difflib import get_close_matches

Names = Mapping[str, Collection[str]]
"""The names that the settings give, by condition: `payer` and `feed`."""

NO_NAMES: Names = {}
"""Where no settings are at hand: every name is taken as it is."""

_LISTED = 8


def unknown_name(condition: str, name: str, names: Names) -> str:
    """What is said of a name that the settings do not have: those near it, else all; empty where it may stand."""
    known = sorted(names.get(condition, ()))
    if not name or not known or name in known:
        return ""
    if near := get_close_matches(name, known, n=3):
        return f"no {condition} of the settings is called so: did you mean {' or '.join(near)}?"
    more = f" and {len(known) - _LISTED} more" if len(known) > _LISTED else ""
    return f"no {condition} of the settings is called so: they are {', '.join(known[:_LISTED])}{more}"
