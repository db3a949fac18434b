"""Check digits of the identifiers that tables name: SNOMED CT, LOINC, NPI."""

from __future__ import annotations

import re

_D = (
    (0, 1, 2, 3, 4, 5, 6, 7, 8, 9),
    (1, 2, 3, 4, 0, 6, 7, 8, 9, 5),
    (2, 3, 4, 0, 1, 7, 8, 9, 5, 6),
    (3, 4, 0, 1, 2, 8, 9, 5, 6, 7),
    (4, 0, 1, 2, 3, 9, 5, 6, 7, 8),
    (5, 9, 8, 7, 6, 0, 4, 3, 2, 1),
    (6, 5, 9, 8, 7, 1, 0, 4, 3, 2),
    (7, 6, 5, 9, 8, 2, 1, 0, 4, 3),
    (8, 7, 6, 5, 9, 3, 2, 1, 0, 4),
    (9, 8, 7, 6, 5, 4, 3, 2, 1, 0),
)
"""Verhoeff's multiplication table (the dihedral group of order 10)."""

_P = (
    (0, 1, 2, 3, 4, 5, 6, 7, 8, 9),
    (1, 5, 7, 6, 2, 8, 3, 0, 9, 4),
    (5, 8, 0, 3, 7, 9, 6, 1, 4, 2),
    (8, 9, 1, 6, 0, 4, 3, 5, 2, 7),
    (9, 4, 5, 3, 1, 2, 6, 8, 7, 0),
    (4, 2, 8, 6, 5, 7, 3, 9, 0, 1),
    (2, 7, 9, 3, 8, 0, 6, 4, 1, 5),
    (7, 0, 4, 6, 9, 1, 3, 2, 5, 8),
)
"""Verhoeff's permutations, by position from the right."""

_LOINC = re.compile(r"(\d{1,7})-(\d)")
_NPI_PREFIX = "80840"  # the card issuer's number that an NPI stands behind (ISO 7812; 45 CFR 162.406)


def has_check_digit(code: str) -> bool:
    """Say whether a SNOMED CT identifier has the right length and Verhoeff check digit (SNOMED CT TIG, SCTID)."""
    if not (code.isascii() and code.isdigit() and 6 <= len(code) <= 18) or code[0] == "0":
        return False
    total = 0
    for position, digit in enumerate(reversed(code)):
        total = _D[total][_P[position % 8][int(digit)]]
    return total == 0


def is_loinc(code: str) -> bool:
    """Say whether a LOINC code has the right form and check digit (LOINC Users' Guide, appendix C: mod 10)."""
    found = _LOINC.fullmatch(code)
    return found is not None and _luhn_digit(found[1]) == int(found[2])


def is_npi(code: str) -> bool:
    """Say whether a National Provider Identifier has ten digits and the right last one."""
    if not (code.isascii() and code.isdigit() and len(code) == 10):
        return False
    return _luhn_digit(_NPI_PREFIX + code[:-1]) == int(code[-1])


def _luhn_digit(digits: str) -> int:
    """The mod 10 check digit (Luhn): every second digit from the right is doubled."""
    doubled = "".join(str(int(d) * 2) if place % 2 == 0 else d for place, d in enumerate(reversed(digits)))
    return -sum(map(int, doubled)) % 10
