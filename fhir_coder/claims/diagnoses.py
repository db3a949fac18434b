"""What each diagnosis is on a bill, and the order they stand in (UB-04 FL 67 to 72; 837 HI)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from fhir_coder.charts import is_stay
from fhir_coder.claims.elements import codeable, without_empty
from fhir_coder.model import Chart, CodedChart, CodedDiagnosis, Json, System

PRINCIPAL, OTHER, EXTERNAL, REASON, ADMITTING = "principal", "other", "external", "reason", "admitting"

_STANDARD = "http://terminology.hl7.org/CodeSystem/ex-diagnosistype"
_CARIN = "http://hl7.org/fhir/us/carin-bb/CodeSystem/C4BBClaimDiagnosisType"
_ON_ADMISSION = "http://terminology.hl7.org/CodeSystem/ex-diagnosis-on-admission"
_CMS_ON_ADMISSION = "https://www.cms.gov/Medicare/Medicare-Fee-for-Service-Payment/HospitalAcqCond/Coding"

_TYPES: Mapping[str, tuple[str, str]] = {
    PRINCIPAL: (_STANDARD, "principal"),
    ADMITTING: (_STANDARD, "admitting"),
    # The standard's list knows no others.
    EXTERNAL: (_CARIN, "externalcauseofinjury"),
    REASON: (_CARIN, "patientreasonforvisit"),
}
_ORDER = (OTHER, EXTERNAL, REASON, ADMITTING)
_EXEMPT = "1"


def is_external_cause(diagnosis: CodedDiagnosis) -> bool:
    """Whether a code says what caused an injury: chapter 20 of ICD-10-CM (V00 to Y99)."""
    return diagnosis.code.system == System.ICD10CM and diagnosis.code.code.startswith(("V", "W", "X", "Y"))


def use_of(diagnosis: CodedDiagnosis, chart: Chart, kind: str) -> str:
    """What a diagnosis is on a claim of a kind, whichever place it has.

    A visit that is no stay has no admitting diagnosis: on an institutional bill it is the patient's reason for the
    visit (UB-04 FL 70).
    """
    if diagnosis.fact.kind == "admitting":
        return ADMITTING if is_stay(chart) else REASON if kind == "institutional" else OTHER
    return EXTERNAL if is_external_cause(diagnosis) else OTHER


def is_counted(diagnosis: CodedDiagnosis, chart: Chart, kind: str) -> bool:
    """Whether it takes one of the places that are limited: an institutional bill has others for the rest."""
    return kind != "institutional" or use_of(diagnosis, chart, kind) == OTHER


def in_bill_order(coded: CodedChart, kind: str) -> CodedChart:
    """The principal diagnosis first, then other ones, external causes, reasons for the visit, the admitting one.

    An external cause that the sender ranks first stays there: that is wrong, and no program's to put right.
    """

    def place(position: int) -> tuple[int, int]:
        one = coded.diagnoses[position]
        is_first = is_external_cause(one) and one.fact.rank == 1
        return (0 if is_first else _ORDER.index(use_of(one, coded.chart, kind)), position)

    order = sorted(range(len(coded.diagnoses)), key=place)
    return coded if order == list(range(len(order))) else with_diagnoses(coded, order)


def with_diagnoses(coded: CodedChart, kept: list[int]) -> CodedChart:
    """A coded chart with these diagnoses in this order; lines point to the same ones, to external causes last."""
    places = {old: new for new, old in enumerate(kept)}

    def moved(pointers: tuple[int, ...]) -> tuple[int, ...]:
        found = [p for p in pointers if p in places]
        return tuple(places[p] for p in sorted(found, key=lambda p: is_external_cause(coded.diagnoses[p])))

    lines = tuple(replace(line, diagnoses=moved(line.diagnoses)) for line in coded.lines)
    return replace(coded, diagnoses=tuple(coded.diagnoses[p] for p in kept), lines=lines)


def diagnosis_element(diagnosis: CodedDiagnosis, position: int, chart: Chart, kind: str, concept: Json) -> Json:
    """Claim.diagnosis at a position; `concept` is its code."""
    use = use_of(diagnosis, chart, kind)
    if position == 0 and use != ADMITTING:
        use = PRINCIPAL
    system, code = _TYPES.get(use, (_CARIN, "other" if kind == "institutional" else "secondary"))
    on_admission = _on_admission(diagnosis.fact.on_admission.upper()) if is_stay(chart) else None
    return without_empty(
        {
            "sequence": position + 1,
            "diagnosisCodeableConcept": concept,
            "type": [codeable(system, code)],
            "onAdmission": on_admission if use in (PRINCIPAL, OTHER, EXTERNAL) else None,
        }
    )


def _on_admission(indicator: str) -> Json | None:
    """The standard has no code for a diagnosis that is exempt; the list of CMS has."""
    if indicator == _EXEMPT:
        return codeable(_CMS_ON_ADMISSION, indicator)
    return codeable(_ON_ADMISSION, indicator.lower()) if indicator in ("Y", "N", "U", "W") else None
