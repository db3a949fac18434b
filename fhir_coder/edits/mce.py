"""The Medicare Code Editor on hospital stays, and its conflicts of age and sex on every claim.

The editor says which edit fires and of how many codes, not of which: a code is one of them when the stay without it
has fewer. What other edits say of every claim (validity, external causes, manifestations) is not said again.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date
from functools import partial
from typing import Any

from fhir_coder.charts import is_stay
from fhir_coder.edits.diagnoses import listed_diagnoses
from fhir_coder.edits.edit import ClaimContext, Edit, Hit, plain_code
from fhir_coder.model import Severity, System, Validity, day_of
from fhir_coder.terminology.codesets import Drg, MceEdit, Stay
from fhir_coder.terminology.codesets.inpatient import SEX_EDITS_END, SEXES, UNKNOWN_AGE, UNKNOWN_SEX, UNKNOWN_STATUS

_POA = ("Y", "N", "U", "W")
_PRINCIPAL = "Claim.diagnosis[0]"


def age_conflict(context: ClaimContext) -> Iterator[Hit]:
    """A diagnosis that the patient's age contradicts, by the lists of the Medicare Code Editor."""
    for path, found in _conflicts(context):
        if "AGE_CONFLICT" in found:
            yield path, "the diagnosis contradicts the patient's age"


def sex_conflict(context: ClaimContext) -> Iterator[Hit]:
    """A diagnosis, or procedure of a stay, that the patient's sex contradicts.

    It rejects for discharges up to 2024-09-30, when CMS ended the edit; it warns after that.
    """
    severity = Severity.WARN if context.served and context.served > SEX_EDITS_END else Severity.REJECT
    for path, found in _conflicts(context):
        if "SEX_CONFLICT" in found:
            yield path, "the code contradicts the patient's administrative sex", severity


def mce(name: str, text: str, path: str, context: ClaimContext) -> Iterator[Hit]:
    """One edit of the Medicare Code Editor by its name; `path` is empty where single codes are looked for."""
    stay = stay_of(context)
    for edit in _answer(context, stay) if stay else ():
        if stay and edit.name == name:
            places = [path] if path else _places(context, stay, edit)
            yield from ((place, text) for place in places)


def mce_other(context: ClaimContext) -> Iterator[Hit]:
    """An edit that the Medicare Code Editor has, and this program has no words for."""
    stay = stay_of(context)
    for edit in _answer(context, stay) if stay else ():
        if stay and edit.name not in _TOLD:
            for place in _places(context, stay, edit):
                yield place, f"the Medicare Code Editor says {edit.name.lower().replace('_', ' ')}"


def drg_ungroupable(context: ClaimContext) -> Iterator[Hit]:
    """The stay has no payable MS-DRG (998: principal diagnosis invalid, 999: ungroupable)."""
    stay = stay_of(context)
    drg = drg_of(context) if stay else None
    if drg and not drg.is_grouped:
        yield _PRINCIPAL, f"MS-DRG {drg.number} by version {drg.version / 10:g}: the stay is not paid"


def drg_of(context: ClaimContext) -> Drg | None:
    """The MS-DRG of a stay, by the version of its discharge."""
    stay = stay_of(context)
    return context.code_sets.icd10.drg(stay) if stay else None


def stay_of(context: ClaimContext) -> Stay | None:
    """The claim as the Medicare Code Editor is asked; None where it is not that of a finished hospital stay."""
    if "stay" not in context.once:
        context.once["stay"] = _stay(context)
    stay: Stay | None = context.once["stay"]
    return stay


def age_on(born: date, on: date) -> int:
    """Completed years."""
    return on.year - born.year - ((on.month, on.day) < (born.month, born.day))


def _stay(context: ClaimContext) -> Stay | None:
    chart, coded = context.coded.chart, context.coded
    discharged = day_of(chart.visit.end) if chart.visit else None
    codes = [d for d in coded.diagnoses if d.code.system == System.ICD10CM]
    listed = [(plain_code(d.code.code), _poa(d.fact.on_admission)) for d in codes if d.fact.kind != "admitting"]
    is_billed = context.kind == "institutional" and is_stay(chart)
    if not (is_billed and discharged and listed) or _is_unjudged(context, discharged):
        return None
    assert chart.visit is not None
    return Stay(
        discharged,
        _age(context),
        _sex(context),
        _status(chart.visit.discharge_disposition),
        listed[0],
        tuple(listed[1:]),
        tuple(p.code.code for p in coded.procedures if p.code.system == System.ICD10PCS),
        next((plain_code(d.code.code) for d in codes if d.fact.kind == "admitting"), ""),
    )


def _is_unjudged(context: ClaimContext, on: date) -> bool:
    judged = {context.code_sets.validity(System.ICD10CM, d.code.code, on) for d in context.coded.diagnoses}
    return not judged <= {Validity.VALID, Validity.INVALID}


def _answer(context: ClaimContext, stay: Stay) -> tuple[MceEdit, ...]:
    if "mce" not in context.once:
        context.once["mce"] = context.code_sets.icd10.stay_edits(stay)
    answer: tuple[MceEdit, ...] = context.once["mce"]
    return answer


def _places(context: ClaimContext, stay: Stay, edit: MceEdit) -> list[str]:
    """The codes without which the edit finds fewer; the whole list where no single one is it."""
    coded, ask = context.coded, context.code_sets.icd10.stay_edits

    def is_one(without: Stay) -> bool:
        return sum(one.count for one in ask(without) if one.name == edit.name) < edit.count

    diagnoses = [one.position for one in listed_diagnoses(context)][1:]
    secondary = [(f"Claim.diagnosis[{at}]", _drop(stay.secondary, i)) for i, at in enumerate(diagnoses)]
    of_pcs = [i for i, p in enumerate(coded.procedures) if p.code.system == System.ICD10PCS]
    procedures = [(f"Claim.procedure[{at}]", _drop(stay.procedures, i)) for i, at in enumerate(of_pcs)]
    found = [path for path, left in secondary if is_one(replace(stay, secondary=left))]
    found += [path for path, kept in procedures if is_one(replace(stay, procedures=kept))]
    if len(found) < edit.count:  # the principal one cannot be left out, nor one of two that fire together
        found.insert(0, "Claim.procedure" if edit.code_type == "PROCEDURE" else _PRINCIPAL)
    return found


def _drop(items: tuple[Any, ...], position: int) -> tuple[Any, ...]:
    return (*items[:position], *items[position + 1 :])


def _conflicts(context: ClaimContext) -> Iterator[tuple[str, frozenset[str]]]:
    """What the editor says of each code and the patient; no conflict of what is not known of the patient."""
    on, sets = context.served, context.code_sets
    age, sex = _age(context), _sex(context)
    if on is None or (age == UNKNOWN_AGE and sex == UNKNOWN_SEX):
        return
    coded = context.coded
    codes = [(f"Claim.diagnosis[{one.position}]", System.ICD10CM, one.code) for one in listed_diagnoses(context)]
    codes += [(f"Claim.procedure[{i}]", p.code.system, p.code.code) for i, p in enumerate(coded.procedures)]
    for path, system, code in codes:
        if sets.validity(system, code, on) is Validity.VALID:
            found = sets.icd10.patient_edits(system, code, on, age, sex)
            unknown = {"AGE_CONFLICT"} if age == UNKNOWN_AGE else {"SEX_CONFLICT"} if sex == UNKNOWN_SEX else set[str]()
            yield path, found - unknown


def _age(context: ClaimContext) -> int:
    """Completed years at the visit's start, or at the service where no start is known."""
    chart = context.coded.chart
    born = day_of(chart.patient.birth_date) if chart.patient else None
    on = (day_of(chart.visit.start) if chart.visit else None) or chart.service_date
    return age_on(born, on) if born and on and born <= on else UNKNOWN_AGE


def _sex(context: ClaimContext) -> int:
    patient = context.coded.chart.patient
    return SEXES.get(patient.sex, UNKNOWN_SEX) if patient else UNKNOWN_SEX


def _status(code: str) -> int:
    return int(code) if code.isdecimal() and len(code) <= 2 else UNKNOWN_STATUS


def _poa(indicator: str) -> str:
    return indicator if indicator in _POA else ""


@dataclass(frozen=True, slots=True)
class _Row:
    """An edit of the Medicare Code Editor: its name there, and how it is told. No path: single codes are looked for."""

    name: str
    id: str
    title: str
    text: str
    advice: str
    path: str = ""
    severity: Severity = Severity.REJECT

    def edit(self) -> Edit:
        """The row as an edit."""
        check = partial(mce, self.name, self.text, self.path)
        path = self.path or "Claim.diagnosis, Claim.procedure"
        return Edit(f"mce-{self.id}", self.title, self.severity, self.advice, check, path=path)


_ROWS = (
    _Row(
        "INVALID_AGE",
        "age",
        "Age not usable",
        "the patient's age at admission is not known, or not 0 to 124 years",
        "Have registration correct the date of birth (PID-7).",
        "Claim.patient",
    ),
    _Row(
        "INVALID_DISCHARGE_STATUS",
        "discharge-status",
        "Discharge status not valid",
        "the discharge status is missing or not one of those in use",
        "Have the sender fill PV1-36.",
        "Claim.supportingInfo",
    ),
    _Row(
        "INVALID_ADMIT_DX",
        "admitting-diagnosis",
        "Admitting diagnosis not valid",
        "the admitting diagnosis is not a valid code on the day of discharge",
        "Choose a code that is valid on the day of discharge.",
        "Claim.diagnosis",
    ),
    _Row(
        "DUPLICATE_OF_PDX",
        "duplicate-of-principal",
        "Principal diagnosis repeated",
        "a secondary diagnosis is the principal one",
        "Take the secondary one away.",
    ),
    _Row(
        "UNACCEPTABLE_PDX",
        "unacceptable-principal",
        "Principal diagnosis not acceptable",
        "the first diagnosis says a circumstance, no illness or injury: a stay has another reason",
        "Put the reason for the stay first.",
        _PRINCIPAL,
    ),
    _Row(
        "REQUIRES_SDX",
        "principal-needs-secondary",
        "Principal diagnosis needs another",
        "the first diagnosis is only taken with another one beside it",
        "Add the condition that it is about.",
        _PRINCIPAL,
    ),
    _Row(
        "QUESTIONABLE_ADMISSION",
        "questionable-admission",
        "Admission questionable",
        "the first diagnosis seldom is reason enough for a stay",
        "Check the reason for the stay, or whether it was an observation.",
        _PRINCIPAL,
        Severity.WARN,
    ),
    _Row(
        "QUESTIONABLE_OBSTETRIC_ADMISSION",
        "questionable-delivery",
        "Delivery without its diagnosis",
        "a procedure of delivery stands without the diagnosis of its outcome",
        "Add the diagnosis of the outcome of delivery.",
        _PRINCIPAL,
        Severity.WARN,
    ),
    _Row(
        "UNSPECIFIED",
        "unspecified",
        "Side left open on a stay",
        "the code leaves the side open, and the stay is grouped by it",
        "Ask for the side; where it cannot be known, say so in the billing note.",
    ),
    _Row(
        "WRONG_PROCEDURE_PERFORMED",
        "wrong-procedure",
        "Wrong procedure performed",
        "a diagnosis says that a wrong procedure was performed: Medicare does not pay the stay",
        "Bill it as not covered (CMS: never events).",
    ),
    _Row(
        "NON_COVERED",
        "non-covered-procedure",
        "Procedure not covered",
        "Medicare does not cover the procedure",
        "Check the procedure, or bill it as not covered.",
        severity=Severity.WARN,
    ),
    _Row(
        "LIMITED_COVERAGE",
        "limited-coverage",
        "Limited coverage",
        "Medicare covers the procedure on conditions only",
        "Show that the conditions of coverage are met, or bill it as not covered.",
        severity=Severity.WARN,
    ),
)

_TOLD = {row.name for row in _ROWS} | {
    *("AGE_CONFLICT", "SEX_CONFLICT", "INVALID_CODE", "E_CODE_AS_PDX", "MANIFESTATION_AS_PDX"),
}
"""What these edits tell, and what others tell of every claim."""

EDITS = (
    Edit(
        "age-conflict",
        "Age contradicts the diagnosis",
        Severity.REJECT,
        "Check the diagnosis and the date of birth.",
        age_conflict,
        path="Claim.diagnosis",
    ),
    Edit(
        "sex-conflict",
        "Sex contradicts the code",
        Severity.WARN,
        "Check the code and PID-8.",
        sex_conflict,
        path="Claim.diagnosis",
    ),
    *(row.edit() for row in _ROWS),
    Edit(
        "mce-other",
        "Another edit of the Medicare Code Editor",
        Severity.WARN,
        "Look the edit up in the manual of the Medicare Code Editor (CMS).",
        mce_other,
        path="Claim.diagnosis, Claim.procedure",
    ),
    Edit(
        "drg-ungroupable",
        "No MS-DRG",
        Severity.REJECT,
        "Correct the principal diagnosis, age, sex or discharge status.",
        drg_ungroupable,
        path="Claim.diagnosis[0]",
    ),
)
"""In the order shown to the coder. The rows are those of the Medicare Code Editor that other edits do not tell."""
