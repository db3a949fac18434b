"""Claim.item: one line of a bill. What only some kinds have is a function of its own; `kinds` says which."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from decimal import Decimal

from fhir_coder.claims.bill import Bill
from fhir_coder.claims.elements import codeable, coded_element, money_element, without_empty
from fhir_coder.model import ChargeFact, CodedLine, Coding, Json, System

LinePart = Callable[[Bill, CodedLine], Json]
"""Elements that a line of some kinds has: names and values, empty ones among them."""

_POS = "https://www.cms.gov/Medicare/Coding/place-of-service-codes/Place_of_Service_Code_Set"
_UCUM = "http://unitsofmeasure.org"
_PLACE_OF_CLASS: Mapping[str, str] = {"EMER": "23", "IMP": "21", "ACUTE": "21", "HH": "12", "VR": "02", "OBSENC": "22"}
"""CMS place of service codes; the settings' `place_of_service` override them."""

_DRUG_UNITS: Mapping[str, str] = {"ML": "mL", "GR": "g", "ME": "mg", "F2": "[iU]", "UN": "{unit}"}
"""Units of a drug as an 837 names them (CTP05-1), in UCUM."""

_SEGMENTED_NDC = re.compile(r"(\d{4,5})-(\d{3,4})-(\d{1,2})")


def place_of_service(bill: Bill, _line: CodedLine) -> Json:
    """Where it was done, by the class of the visit."""
    place = bill.site.place_of_service.get(bill.visit_class) or _PLACE_OF_CLASS.get(bill.visit_class, "")
    return {"locationCodeableConcept": codeable(_POS, place)}


def revenue(_bill: Bill, line: CodedLine) -> Json:
    """The revenue code: the line's own code where it is billed by that alone."""
    alone = line.code.code if line.code.system == System.REVENUE else ""
    return {"revenue": codeable(System.REVENUE, alone or line.revenue_code)}


def item_element(line: CodedLine, position: int, team: list[int], of_kind: Json) -> Json:
    """Claim.item at a position; `of_kind` are the elements that its kind of claim adds."""
    return without_empty(
        {
            "sequence": position + 1,
            "careTeamSequence": team,
            "diagnosisSequence": [i + 1 for i in line.diagnoses],
            "procedureSequence": [i + 1 for i in line.procedures],
            "revenue": of_kind.get("revenue"),
            # R4 wants a code on each line: one that has a revenue code only has it here too.
            "productOrService": coded_element(line.code, line.trace),
            "modifier": [codeable(_modifier_system(m), m.code) for m in line.modifiers],
            "servicedDate": line.service_date.text[:10] if line.service_date else None,
            **{k: v for k, v in of_kind.items() if k != "revenue"},
            "quantity": _quantity(line.quantity, line.unit),
            "unitPrice": money_element(line.unit_price),
            "net": money_element(line.net),
            "detail": _drug(line),
        }
    )


def _quantity(value: Decimal, unit: str) -> Json:
    return {"value": value, "unit": unit, "system": _UCUM, "code": unit} if unit else {"value": value}


def _drug(line: CodedLine) -> list[Json]:
    """The National Drug Code of a line's drug (FT1-29), with how much of it was given, as its detail."""
    charges = [one.fact for one in (line, *line.merged) if isinstance(one.fact, ChargeFact)]
    if not charges or not charges[0].ndc:
        return []
    product = codeable(System.NDC, _eleven_digits(charges[0].ndc))
    return [without_empty({"sequence": 1, "productOrService": product, "quantity": _given(charges)})]


def _given(charges: list[ChargeFact]) -> Json | None:
    known = [c.drug_quantity for c in charges if c.drug_quantity is not None]
    unit = charges[0].drug_unit
    if len(known) < len(charges) or any(c.drug_unit != unit for c in charges):
        return None
    value = sum(known, Decimal(0))
    code = _DRUG_UNITS.get(unit.upper(), "")
    return without_empty({"value": value, "unit": unit, "system": _UCUM if code else "", "code": code})


def _eleven_digits(ndc: str) -> str:
    """An NDC as payers take it, 5-4-2 without hyphens, where its own hyphens tell which part lacks a digit."""
    parts = _SEGMENTED_NDC.fullmatch(ndc)
    return f"{parts[1]:0>5}{parts[2]:0>4}{parts[3]:0>2}" if parts else ndc


def _modifier_system(modifier: Coding) -> str:
    # v2 feeds rarely name a modifier's system. Those led by a digit are CPT's, the rest are HCPCS Level II
    # (CMS manual 100-04, chapter 23).
    return modifier.system or (System.CPT if modifier.code[:1].isdigit() else System.HCPCS)
