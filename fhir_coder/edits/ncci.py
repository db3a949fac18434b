"""National Correct Coding Initiative: pairs of codes of which one is not paid, and the most units of a code.

By the files of CMS that the site brings (docs/how-to/bring-ncci-files.md): those of practitioners for professional
claims, those of outpatient hospitals for institutional claims that are no hospital stay.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from itertools import permutations

from fhir_coder.charts import is_stay
from fhir_coder.edits.edit import ClaimContext, Edit, Hit
from fhir_coder.model import CodedLine, Severity, System, day_of
from fhir_coder.terminology.codesets import MostUnits, Pair

NCCI_MODIFIERS = frozenset(
    {
        *("E1", "E2", "E3", "E4", "FA", "F1", "F2", "F3", "F4", "F5", "F6", "F7", "F8", "F9"),
        *("TA", "T1", "T2", "T3", "T4", "T5", "T6", "T7", "T8", "T9"),
        *("LT", "RT", "LC", "LD", "RC", "LM", "RI"),
        *("24", "25", "57", "58", "78", "79", "27", "59", "91", "XE", "XS", "XP", "XU"),
    }
)
"""Modifiers that let a pair of indicator 1 pass (CMS NCCI Policy Manual, chapter I, section E)."""

_BILLED_BY = frozenset({System.HCPCS, System.CPT})
_NO_MODIFIER_HELPS = 0
_PER_LINE = 1
_PER_WHAT = {2: "a day by policy", 3: "a day"}


@dataclass(frozen=True, slots=True)
class _Service:
    """A line of the claim that NCCI judges."""

    position: int
    code: str
    day: date
    doctor: str
    units: Decimal
    modifiers: frozenset[str]

    @property
    def path(self) -> str:
        return f"Claim.item[{self.position}]"


def pairs(context: ClaimContext) -> Iterator[Hit]:
    """Two services of one day and doctor, of which CMS does not pay the second (column 2) beside the first."""
    setting = _setting(context)
    if not setting or not context.code_sets.ncci.has("ptp", setting):
        return
    for same in _by_day_and_doctor(context):
        for first, second in permutations(same, 2):
            pair = context.code_sets.ncci.pair(setting, first.code, second.code, first.day)
            if pair and not _is_bypassed(pair, first, second):
                yield f"{second.path}.productOrService", _pair_text(pair)


def most_units(context: ClaimContext) -> Iterator[Hit]:
    """More units of a code than CMS takes: on a line, or on all lines of a day together."""
    setting = _setting(context)
    if not setting or not context.code_sets.ncci.has("mue", setting):
        return
    by_day: dict[tuple[str, date], list[_Service]] = defaultdict(list)
    for service in _services(context):
        by_day[service.code, service.day].append(service)
    for (code, day), services in by_day.items():
        most = context.code_sets.ncci.most_units(setting, code, day)
        if most:
            yield from _too_many(most, services)


def not_covered(context: ClaimContext) -> Iterator[Hit]:
    """The site has NCCI files, but none of them is for this kind of claim, or for the days of its lines."""
    setting, ncci = _setting(context), context.code_sets.ncci
    if not setting or not ncci.files:
        return
    for kind, name in (("ptp", "pairs (PTP)"), ("mue", "units (MUE)")):
        of_setting = [file for file in ncci.files if (file.kind, file.setting) == (kind, setting)]
        first_day = min((file.first_day for file in of_setting), default=None)
        early = kind == "mue" and first_day and any(s.day < first_day for s in _services(context))
        if first_day is None or early:
            yield "Claim.item", f"NCCI {name} were not checked: no file of {setting} claims for the days of its lines"


def _setting(context: ClaimContext) -> str:
    """Whose files judge the claim; empty for hospital stays, which NCCI does not judge."""
    if context.kind == "professional":
        return "practitioner"
    return "" if is_stay(context.coded.chart) else "outpatient"


def _services(context: ClaimContext) -> list[_Service]:
    if "ncci" not in context.once:
        lines = enumerate(context.coded.lines)
        context.once["ncci"] = [s for i, line in lines if (s := _service(context, i, line))]
    services: list[_Service] = context.once["ncci"]
    return services


def _service(context: ClaimContext, position: int, line: CodedLine) -> _Service | None:
    day = day_of(line.service_date) or context.served
    if day is None or line.code.system not in _BILLED_BY:
        return None
    modifiers = frozenset(modifier.code for modifier in line.modifiers)
    return _Service(position, line.code.code, day, _doctor(line), line.quantity, modifiers)


def _doctor(line: CodedLine) -> str:
    """The NPI of who did it; empty where the line names nobody: it is the visit's doctor then."""
    return next((m.practitioner.npi for m in line.care_team if m.practitioner and m.role == "rendering"), "")


def _by_day_and_doctor(context: ClaimContext) -> Iterator[Sequence[_Service]]:
    """Services that are judged together. A hospital's are, whoever did them."""
    same: dict[tuple[date, str], list[_Service]] = defaultdict(list)
    is_hospital = context.kind == "institutional"
    for service in _services(context):
        same[service.day, "" if is_hospital else service.doctor].append(service)
    return (services for services in same.values() if len(services) > 1)


def _is_bypassed(pair: Pair, first: _Service, second: _Service) -> bool:
    return pair.modifier != _NO_MODIFIER_HELPS and bool((first.modifiers | second.modifiers) & NCCI_MODIFIERS)


def _pair_text(pair: Pair) -> str:
    helps = "no modifier allows it" if pair.modifier == _NO_MODIFIER_HELPS else "without a modifier that allows it"
    return f"{pair.column2} is not paid beside {pair.column1} on one day, {helps} (NCCI PTP {pair.quarter})"


def _too_many(most: MostUnits, services: Sequence[_Service]) -> Iterator[Hit]:
    told = f"CMS takes {most.units}"
    if most.per == _PER_LINE:
        for service in services:
            if service.units > most.units:
                yield f"{service.path}.quantity", f"{service.units} units, {told} on a line (NCCI MUE {most.quarter})"
        return
    total = sum((service.units for service in services), Decimal(0))
    if total > most.units:
        text = f"{total} units of {most.code} on one day, {told} {_PER_WHAT[most.per]} (NCCI MUE {most.quarter})"
        yield f"{services[-1].path}.quantity", text


EDITS = (
    Edit(
        "ncci-ptp",
        "Not paid beside another service",
        Severity.REJECT,
        "Take the second code away; add an NCCI modifier only where the record shows that they were apart.",
        pairs,
        path="Claim.item.productOrService",
    ),
    Edit(
        "ncci-mue",
        "More units than CMS takes",
        Severity.REJECT,
        "Correct the units, or split the line with a modifier where the limit is a line's.",
        most_units,
        path="Claim.item.quantity",
    ),
    Edit(
        "ncci-not-checked",
        "NCCI not checked",
        Severity.INFO,
        "Import the file of CMS: fhir-coder tables import ncci-ptp, ncci-mue.",
        not_covered,
        path="Claim.item",
    ),
)
"""In the order shown to the coder."""
