"""Importing the year conversion of ICD-10-CM (or ICD-10-PCS): which codes came in the place of those that ended.

A line is the present code, the fiscal year or day from which it holds, and the code or codes before it, with tabs or
commas between. The table says what to use instead of an ended code. Coding asks it only where the settings say so, and
only for an ended code in whose place exactly one came; otherwise a code that came as a billing code goes on the claim
as it came, and the edits say that it has ended. Where a code was split, all are listed and a person chooses.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date

from fhir_coder.errors import Fault, TableError
from fhir_coder.model import Kind, System, Validity
from fhir_coder.terminology.codesets import CodeSets
from fhir_coder.terminology.csv_table import file_lines
from fhir_coder.terminology.draft import Draft, Source
from fhir_coder.terminology.rows import Cells
from fhir_coder.terminology.table import BROADER, EQUIVALENT, Header

_ICD10CM = re.compile(r"[A-Z]\d[0-9A-Z](?:\.?[0-9A-Z]{1,4})?")
_ICD10PCS = re.compile(r"(?=.*\d)[0-9A-HJ-NP-Z]{7}")
_YEAR = re.compile(r"20\d\d")
_DAY = re.compile(r"(\d{1,2})/(\d{1,2})/(20\d\d)|(20\d\d)-(\d\d)-(\d\d)")
_SIGNS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_MOST_FAULTS = 200


@dataclass(frozen=True, slots=True)
class _Step:
    """From one ended code to one that came in its place on a day."""

    old: str
    new: str
    on: date


def icd10_conversion(source: Source) -> Draft:
    """Read the conversion. Raises TableError with every fault and its line."""
    file = str(source.path)
    faults: list[Fault] = []
    steps = list(dict.fromkeys(_steps(source, faults)))
    if not steps and not faults:
        faults.append(Fault(file, 0, "", "no code of ICD-10 with one before it"))
    is_pcs = [bool(_ICD10PCS.fullmatch(step.new)) for step in steps]
    if any(is_pcs) and not all(is_pcs):
        faults.append(Fault(file, 0, "", "codes of ICD-10-CM and of ICD-10-PCS: bring them as two files"))
    if faults:
        raise TableError(file, faults)
    return Draft(_header(source, all(is_pcs)), _rows(steps, source.code_sets), faults)


def _header(source: Source, is_pcs: bool) -> Header:
    system = System.ICD10PCS if is_pcs else System.ICD10CM
    name = "icd10pcs" if is_pcs else "icd10cm"
    return Header(
        id=f"{name}-conversion",
        title=f"Year conversion of {name.upper().replace('ICD10', 'ICD-10-')}",
        kind=Kind.PROCEDURE if is_pcs else Kind.DIAGNOSIS,
        source_system=system,
        target_systems=(system,),
        version=source.path.stem,
        publisher="CMS and CDC",
        licence="public domain",
        equal_rows="ask",
        layer="base",
    )


def _steps(source: Source, faults: list[Fault]) -> Iterator[_Step]:
    file = str(source.path)
    has_begun = False
    for number, line in file_lines(source.path, faults):
        cells = [cell.strip().strip('"') for cell in re.split(r"\t" if "\t" in line else ",", line, maxsplit=2)]
        new = _code(cells[0])
        if not new and not has_begun:
            continue  # titles stand above the first code
        has_begun = True
        on, old = (_first_day(cells[1]), _codes(cells[2])) if new and len(cells) == 3 else (None, [])
        if on is None or not all(old):
            text = "not a code, the year or day it holds from, and the codes before it, written out one by one"
            faults.append(Fault(file, number, "", text))
            if len(faults) >= _MOST_FAULTS:
                return
            continue
        yield from (_Step(before, new, on) for before in old if before != new)


def _codes(text: str) -> list[str]:
    return [_code(part) for part in re.split(r"[,;\s]+", text.strip().strip('"')) if part]


def _code(text: str) -> str:
    """A code as tables have it, ICD-10-CM with its dot; empty where it is none."""
    plain = text.upper()
    if _ICD10PCS.fullmatch(plain) and not _ICD10CM.fullmatch(plain):
        return plain
    if not _ICD10CM.fullmatch(plain):
        return ""
    bare = plain.replace(".", "")
    return f"{bare[:3]}.{bare[3:]}" if len(bare) > 3 else bare


def _first_day(text: str) -> date | None:
    """The first day of a fiscal year (2018 begins on 2017-10-01), or a day."""
    if _YEAR.fullmatch(text):
        return date(int(text) - 1, 10, 1)
    found = _DAY.fullmatch(text)
    if not found:
        return None
    month, day, year, iso_year, iso_month, iso_day = found.groups()
    try:
        return date(int(year or iso_year), int(month or iso_month), int(day or iso_day))
    except ValueError:
        return None


def _rows(steps: Sequence[_Step], code_sets: CodeSets) -> Iterator[Cells]:
    split = Counter((step.old, step.on) for step in steps)
    joined = Counter((step.new, step.on) for step in steps)
    for step in sorted(steps, key=lambda one: (one.old, one.on, one.new)):
        note = ""
        if split[step.old, step.on] > 1:
            note = "the code was split: choose by what the record says"
        elif _has_siblings(step, code_sets):
            note = "the file names one code, but others came in its place too: choose by what the record says"
        is_one_to_one = not note and joined[step.new, step.on] == 1
        yield {
            "source_code": step.old,
            "target_code": step.new,
            "valid_from": str(step.on),
            "relationship": EQUIVALENT if is_one_to_one else BROADER if note else "",
            "note": note,
        }


def _has_siblings(step: _Step, code_sets: CodeSets) -> bool:
    """Whether the ended code became the heading of more billable codes than the one that the file names."""
    if not step.new.startswith(step.old):
        return False
    siblings = (f"{step.new[:-1]}{sign}" for sign in _SIGNS)
    return any(
        code_sets.validity(System.ICD10CM, one, step.on) is Validity.VALID for one in siblings if one != step.new
    )
