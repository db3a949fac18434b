"""Importing a General Equivalence Mapping of CMS, from ICD-9-CM to ICD-10-CM or ICD-10-PCS.

A line is `source target flags`, with blanks or commas between them; the flags are approximate, no map, combination,
scenario and choice list. Alternatives of one choice list fit equally well: a person chooses. The choice lists of one
scenario belong together and become groups. Where a code has several scenarios, a person decides first which of them
holds: all are listed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from fhir_coder.errors import Fault, TableError
from fhir_coder.model import Kind, System
from fhir_coder.terminology.draft import Draft, Source
from fhir_coder.terminology.eras import icd9_dotted
from fhir_coder.terminology.rows import NEEDS_DETAIL, Cells
from fhir_coder.terminology.table import EQUIVALENT, Header

_LINE = re.compile(r"([^\s,]+)(?:\s+|,)([^\s,]+)(?:\s+|,)([01])([01])([01])(\d)(\d)")
_TITLES = re.compile(r"icd_?9\w*,icd_?10\w*,flags?", re.IGNORECASE)
_ICD9 = re.compile(r"\d{2,5}|E\d{3,4}|V\d{2,4}")
_ICD10CM = re.compile(r"[A-Z]\d[0-9A-Z]{1,5}")
_ICD10PCS = re.compile(r"[0-9A-HJ-NP-Z]{7}")
MAX_BYTES = 64 << 20
"""The mappings of CMS have about 3 MB: a file this large is another one."""

_NO_MAP = frozenset({"NoDx", "NoPCS"})


@dataclass(frozen=True, slots=True)
class _Line:
    number: int
    source: str
    target: str
    is_approximate: bool
    scenario: int
    choice_list: int


def gem(source: Source) -> Draft:
    """Read the mapping. Raises TableError with every fault."""
    faults: list[Fault] = []
    lines = list(_lines(source, faults))
    if not lines and not faults:
        faults.append(Fault(str(source.path), 0, "", "empty"))
    if faults:
        raise TableError(str(source.path), faults)
    kind = _kind(lines)
    is_diagnosis = kind is Kind.DIAGNOSIS
    header = Header(
        id="icd9-to-icd10cm" if is_diagnosis else "icd9-to-icd10pcs",
        title=f"ICD-9-CM to {'ICD-10-CM' if is_diagnosis else 'ICD-10-PCS'} (GEM)",
        kind=kind,
        source_system=System.ICD9CM,
        target_systems=(System.ICD10CM if is_diagnosis else System.ICD10PCS,),
        version=source.path.stem,
        publisher="CMS and CDC",
        licence="public domain",
        equal_rows="ask",
        layer="base",
    )
    lines.sort(key=lambda line: line.source)
    rows = (
        cells
        for _, of_code in groupby(lines, key=lambda line: line.source)
        for cells in _of_code(list(of_code), header.kind)
    )
    return Draft(header, rows, faults)


def _lines(source: Source, faults: list[Fault]) -> Iterator[_Line]:
    file = str(source.path)
    try:
        if source.path.stat().st_size > MAX_BYTES:
            faults.append(Fault(file, 0, "", f"larger than {MAX_BYTES >> 20} MB: not the mapping of CMS"))
            return
        text = source.path.read_bytes().removeprefix(b"\xef\xbb\xbf").decode("ascii")
    except (OSError, UnicodeDecodeError):
        faults.append(Fault(file, 0, "", "cannot be read as a text of ASCII characters"))
        return
    for number, line in enumerate(text.splitlines(), 1):
        plain = line.strip().replace('"', "")
        if not plain or (number == 1 and _TITLES.fullmatch(plain)):
            continue
        found = _LINE.fullmatch(plain)
        if not found:
            faults.append(Fault(file, number, "", "not a line of a GEM: source, target and five digits"))
            return
        code, target, approximate, no_map, _, scenario, choice_list = found.groups()
        if not _ICD9.fullmatch(code):
            faults.append(
                Fault(file, number, "", "the source is no ICD-9-CM code: bring the file from ICD-9 to ICD-10")
            )
            return
        if (target in _NO_MAP) != (no_map == "1") or not (target in _NO_MAP or _is_icd10(target)):
            faults.append(Fault(file, number, "", "the target is no ICD-10 code, or its no-map flag says otherwise"))
            continue
        to = "" if no_map == "1" else target
        yield _Line(number, code, to, approximate == "1", int(scenario), int(choice_list))


def _is_icd10(target: str) -> bool:
    return bool(_ICD10CM.fullmatch(target) or _ICD10PCS.fullmatch(target))


def _kind(lines: Sequence[_Line]) -> Kind:
    """ICD-10-PCS codes have seven characters throughout, ICD-9-CM procedures at most four digits."""
    is_pcs = all((not line.target or _ICD10PCS.fullmatch(line.target)) and len(line.source) <= 4 for line in lines)
    return Kind.PROCEDURE if is_pcs else Kind.DIAGNOSIS


def _of_code(lines: list[_Line], kind: Kind) -> Iterator[Cells]:
    scenarios = {line.scenario for line in lines}
    said: dict[tuple[int, str], list[_Line]] = {}
    for line in lines:
        group = max(line.choice_list, 1) if len(scenarios) == 1 else 1
        said.setdefault((group, line.target), []).append(line)
    for (group, target), same in sorted(said.items()):
        yield {
            "source_code": icd9_dotted(same[0].source, kind),
            "target_code": _dotted(target, kind) or NEEDS_DETAIL,
            "group": str(group) if group > 1 else "",
            "relationship": "" if same[0].is_approximate or not target else EQUIVALENT,
            "note": _note(same, len(scenarios)),
        }


def _dotted(target: str, kind: Kind) -> str:
    return f"{target[:3]}.{target[3:]}" if kind is Kind.DIAGNOSIS and len(target) > 3 else target


def _note(lines: Sequence[_Line], scenarios: int) -> str:
    first = lines[0]
    if not first.target:
        return "the GEM has no ICD-10 code for this"
    words = ["approximate by the GEM"] if first.is_approximate else []
    if scenarios > 1:
        words += [
            f"part {line.choice_list} of combination {line.scenario}" if line.scenario else "alone" for line in lines
        ]
    return "; ".join(words)
