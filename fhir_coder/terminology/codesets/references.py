"""The codes that a note of ICD-10-CM names in parentheses: `(E08-E13)`, `(I69. with final characters -23)`.

A reference is written `E08`, `E08-E13` or, with characters at a place, `T36-T50@5:1` (the fifth character is 1). It
means every code below it too.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

_CODE = r"[A-Z]\d[0-9A-Z](?:\.[0-9A-Z]{1,4})?"
_HAS_CODE = re.compile(_CODE)
_GROUP = re.compile(r"\(([^()]*)\)")
_PIECE = re.compile(rf"({_CODE})[.]?-?(?:\s*-\s*({_CODE})[.]?-?)?(?:\s+(with .+))?")
_AFTER_DOT = re.compile(r"with (?:\.[0-9A-Z]{1,3}-?,?[ -]?)+")
_FINAL = re.compile(r"with final characters -([0-9A-Z]{2})")
_AT_PLACE = re.compile(r"with (\w+)(?:(?: or | to |-)(\w+))?[ -]characters? ([0-9A-Z]{1,2})(?:-([0-9A-Z]))?")
_PLACES = {"4th": 4, "fourth": 4, "5th": 5, "fifth": 5, "6th": 6, "sixth": 6, "7th": 7, "seventh": 7}


@dataclass(frozen=True, slots=True)
class Reference:
    """Codes from `first` to `last`, both dotless and with all codes below them, that have `chars` at a place from 1."""

    first: str
    last: str
    place: int = 0
    chars: str = ""

    def names(self, code: str) -> bool:
        """Whether a dotless code is meant."""
        if not self.first <= code[: len(self.first)] or code[: len(self.last)] > self.last:
            return False
        return code.startswith(self.chars, self.place - 1) if self.place else len(code) >= len(self.first)


def parse_reference(text: str) -> Reference:
    """Read a reference as this module writes it."""
    codes, _, rest = text.partition("@")
    first, _, last = codes.partition("-")
    place, _, chars = rest.partition(":")
    return Reference(first, last or first, int(place or 0), chars)


def references_in(text: str) -> list[str] | None:
    """Give the references of a note's text; None where one of them is not understood, so that it is not half read."""
    found: list[str] = []
    for group in _GROUP.findall(text):
        if not _HAS_CODE.search(group):
            continue
        for piece in filter(None, (" ".join(one.split()).strip(" .") for one in re.split(r"[,;]", group))):
            named = _references(piece)
            if named is None:
                return None
            found += named
    return found


def _references(piece: str) -> list[str] | None:
    match = _PIECE.fullmatch(piece)
    if match is None:
        return None
    first, last, rest = match[1].replace(".", ""), (match[2] or "").replace(".", ""), match[3]
    codes = f"{first}-{last}" if last else first
    if not rest:
        return [codes]
    limits = list(_limits(rest))
    return [f"{codes}@{limit}" for limit in limits] or None


def _limits(rest: str) -> Iterable[str]:
    """What a `with ...` asks of the characters of a code; nothing where it is not understood."""
    if _AFTER_DOT.fullmatch(rest):
        yield from (f"4:{chars}" for chars in re.findall(r"\.([0-9A-Z]{1,3})", rest))
    elif final := _FINAL.fullmatch(rest):
        yield f"5:{final[1]}"
    elif at := _AT_PLACE.fullmatch(rest):
        yield from _at_places(*at.groups())


def _at_places(one: str, other: str | None, chars: str, up_to: str | None) -> Iterable[str]:
    places = [_PLACES.get(one, 0), *([_PLACES.get(other, 0)] if other else [])]
    if not all(places):
        return
    if len(chars) == 2:  # "fifth to sixth characters 51"
        if other:
            yield f"{places[0]}:{chars}"
        return
    for char in range(ord(chars), ord(up_to or chars) + 1):
        yield from (f"{place}:{chr(char)}" for place in places)
