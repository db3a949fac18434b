"""Cases of edits that look at more than the claim: `cases/<edit-id>.json` with a `chart` in each case.

    {"fires":  [{"why": "...", "chart": {"diagnoses": ["I10"]}, "at": ["Claim.diagnosis[0]"], "severity": "reject"}],
     "passes": [{"why": "...", "chart": {"diagnoses": ["I10"]}}]}

A chart is a sound office visit with these in place of its own: `visit`, `patient`, `coverage` (or a list `coverages`)
change attributes; `diagnoses`, `charges` and `procedures` (ICD-10-PCS) are codes, or objects with a `code` and what
else is said. Beside the chart `"denied": "G0463"` is a code that the payer denied before. `"stay": true` makes it a
hospital stay, `site` changes the site. Times and money are text. The NCCI files, and the lists of taxonomy and of codes
exempt from present on admission, are made up (`write_lists`).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

from fhir_coder.claims.bill import ClaimNumber
from fhir_coder.claims.build import build_claim
from fhir_coder.edits import EDITS, ClaimContext
from fhir_coder.model import (
    CareTeamMember,
    Chart,
    Coding,
    DeniedBefore,
    Fact,
    Finding,
    Kind,
    Name,
    System,
    When,
)
from fhir_coder.terminology import CodeSets
from fhir_coder.terminology.codesets.importing import Edition, import_codes
from fhir_coder.terminology.codesets.ncci_import import NcciSource, import_ncci
from tests.building import (
    DAY,
    NUMBER,
    PAYER,
    SITE,
    charge,
    coded,
    coded_chart,
    coverage,
    diagnosis,
    doctor,
    good_chart,
    member,
    money,
    patient,
    procedure,
    row,
    stay,
    table,
    visit,
)

CASES = Path(__file__).parent / "cases"
SHIPPED = Path(__file__).parents[2] / "mappings" / "codesets"
PRICES = table(Kind.CHARGE, System.LOCAL, row("KIT", f"{System.HCPCS}|G0463", price="100.00"), id="charge-master")

_TIMES = ("start", "end", "birth_date", "service_date", "performed")


def cases() -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield every case with the id of its edit and whether it fires or passes."""
    for file in sorted(CASES.glob("*.json")):
        said = json.loads(file.read_text(encoding="utf-8"))
        listed = [(kind, case) for kind in ("fires", "passes") for case in said.get(kind, ())]
        if any("chart" in case for _, case in listed):
            yield from ((file.stem, kind, case) for kind, case in listed)


def findings(edit_id: str, case: dict[str, Any], code_sets: CodeSets) -> list[Finding]:
    """What one edit says of a case."""
    edit = next(edit for edit in EDITS if edit.id == edit_id)
    return [edit.finding(hit) for hit in edit.check(context_of(case, code_sets))]


def context_of(case: dict[str, Any], code_sets: CodeSets) -> ClaimContext:
    """The claim of a case with what it is made from."""
    codes = coded_chart(chart_of(case["chart"]), PRICES)
    number = ClaimNumber("CLM-2", 2, "CLM-1") if case.get("replaces") else NUMBER
    claim = build_claim(codes, replace(SITE, **case.get("site", {})), PAYER, number, DAY).claim
    before = DeniedBefore(PAYER.name, case.get("denied", ""), "50", 7, 12)
    denied = {(PAYER.name, before.code): (before,)} if before.code else {}
    return ClaimContext(claim, codes, PAYER, code_sets, denied=denied)


def chart_of(said: dict[str, Any]) -> Chart:
    """The chart that a case describes."""
    facts: list[Fact] = []
    about = {"care_team": (member("attending"),)} | _read(said.get("visit", {}))
    facts.append(stay(**about) if said.get("stay") else visit(**about))
    facts.append(patient(**_read(said.get("patient", {}))))
    coverages = said.get("coverages", [said.get("coverage", {})])
    facts += [coverage(f"IN1/{place}", **_read(one)) for place, one in enumerate(coverages, 1)]
    for place, one in enumerate(said.get("diagnoses", ["I10"]), 1):
        code, rest = _code(one)
        facts.append(diagnosis(code, f"D{place}", **{"rank": place} | rest))
    for place, one in enumerate(said.get("charges", ["G0463"]), 1):
        code, rest = _code(one)
        concept = coded(System.LOCAL, code) if code == "KIT" else code
        facts.append(charge(concept, f"T{place}", **rest))
    for place, one in enumerate(said.get("procedures", ()), 1):
        code, rest = _code(one)
        facts.append(procedure(coded(System.ICD10PCS, code), f"P{place}", **rest))
    return good_chart(*facts)


def _code(one: str | dict[str, Any]) -> tuple[str, dict[str, Any]]:
    if isinstance(one, str):
        return one, {}
    return one["code"], _read({key: value for key, value in one.items() if key != "code"})


def _read(said: dict[str, Any]) -> dict[str, Any]:
    """The attributes of a fact as its class has them."""
    return {key: _value(key, value) for key, value in said.items()}


def _value(key: str, value: Any) -> Any:
    if key in _TIMES and not value:
        return None
    return _READERS[key](value) if key in _READERS else value


_READERS: dict[str, Callable[[Any], Any]] = {
    **dict.fromkeys(_TIMES, When),
    "modifiers": lambda codes: tuple(Coding("", code) for code in codes),
    "quantity": Decimal,
    "amount": money,
    "subscriber": Name,
    "diagnoses": lambda codes: tuple(coded(System.ICD10CM, code) for code in codes),
    "care_team": lambda people: tuple(CareTeamMember(one["role"], doctor(one["npi"], one["family"])) for one in people),
}
"""How the attributes of facts that are no plain text are read."""


def write_lists(folder: Path) -> None:
    """Write made-up NCCI files and lists as a site imports them."""
    brought = folder / "brought"
    brought.mkdir()
    files = {
        "ccipra-v320r0-f1.txt": _PAIRS,
        "ccioph-v320r0-f1.txt": "Q9911\tQ9912\t\t20260101\t*\t0\tmade up\n",
        "MCR_MUE_PractitionerServices_Eff_01-01-2026.csv": _UNITS,
        "taxonomy.csv": "code,title,valid_from,valid_to\n207Q00000X,made up,,\n",
        "exempt.csv": "code,title,valid_from,valid_to\nZ8711,made up,,\n",
    }
    for name, text in files.items():
        (brought / name).write_text(text, encoding="latin-1")
    for name in files:
        if kind := "ncci-ptp" if name.startswith("cci") else "ncci-mue" if name.startswith("MCR") else "":
            import_ncci(kind, NcciSource(brought / name), folder)
    import_codes("taxonomy", brought / "taxonomy.csv", folder, Edition(covers_from=date(2020, 1, 1)))
    import_codes("poa-exempt", brought / "exempt.csv", folder, Edition(covers_from=date(2020, 1, 1)))


_PAIRS = """Made-up licence notice, which stands in several lines.
Column 1/Column 2 Edits
Column 1\tColumn 2\t*=in existence\tEffective\tDeletion\tModifier\tRationale
\t\tprior to 1996\tDate\tDate *=no data\t0=not allowed\t
Q9901\tQ9902\t*\t19960101\t*\t0\tmade up
Q9901\tQ9903\t\t20200101\t*\t1\tmade up
Q9901\tQ9904\t\t20200101\t20260930\t0\tmade up
Q9901\tQ9905\t\t20260101\t20260101\t9\tmade up
"""

_UNITS = """"Made-up notice
that stands in several lines",,,
HCPCS/CPT Code,Practitioner Services MUE Values,MUE Adjudication Indicator,MUE Rationale
Q9901,2,1 Line Edit,made up
Q9902,3,2 Date of Service Edit: Policy,made up
Q9903,3,3 Date of Service Edit: Clinical,made up
"""
