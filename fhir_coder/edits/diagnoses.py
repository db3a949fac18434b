"""Edits on diagnoses that stand together: what excludes what, what comes before what, what may come first.

Notes are those of the tabular list of ICD-10-CM. Of days before the edition that is at hand a note warns only.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

from fhir_coder.edits.edit import ClaimContext, Edit, Hit, plain_code
from fhir_coder.model import Severity, System, Validity
from fhir_coder.terminology.codesets import Instruction

_EXTERNAL_CAUSES = ("V", "W", "X", "Y")


@dataclass(frozen=True, slots=True)
class Listed:
    """A diagnosis of the claim that is ICD-10-CM and not the admitting one: its position and code."""

    position: int
    code: str

    @property
    def path(self) -> str:
        """Where it stands."""
        return f"Claim.diagnosis[{self.position}]"


def listed_diagnoses(context: ClaimContext) -> list[Listed]:
    """The diagnoses that are billed, in their order; the admitting one of a stay stands apart from them."""
    if "listed" not in context.once:
        context.once["listed"] = _listed(context)
    listed: list[Listed] = context.once["listed"]
    return listed


def _listed(context: ClaimContext) -> list[Listed]:
    return [
        Listed(position, diagnosis.code.code)
        for position, diagnosis in enumerate(context.coded.diagnoses)
        if diagnosis.code.system == System.ICD10CM and diagnosis.fact.kind != "admitting"
    ]


def excludes1(context: ClaimContext) -> Iterator[Hit]:
    """Two diagnoses that a note says are never coded together (ICD-10-CM Official Guidelines, I.A.12.a)."""
    notes = context.code_sets.notes
    for one, other in combinations(listed_diagnoses(context), 2):
        if note := notes.excludes(one.code, other.code):
            text = f"{other.code} is not coded together with {one.code}: Excludes1 note of {note.of}"
            yield _by_note(context, other, text, Severity.REJECT)


def code_first_order(context: ClaimContext) -> Iterator[Hit]:
    """A diagnosis stands before the one that its note says to code first (guidelines, I.A.13)."""
    notes = context.code_sets.notes
    for earlier, later in combinations(listed_diagnoses(context), 2):
        note = _naming(context, earlier, later, "code-first", "code-first-if")
        if note and not _naming(context, later, earlier, "code-first", "code-first-if"):
            text = f"{later.code} is to stand before {earlier.code}: code first note of {note.of} ({notes.label})"
            yield _by_note(context, earlier, text, Severity.REJECT)


def code_first_missing(context: ClaimContext) -> Iterator[Hit]:
    """The first diagnosis has a note that another one is coded first."""
    first = next(iter(listed_diagnoses(context)), None)
    note = first and next(iter(context.code_sets.notes.notes(first.code, "code-first")), None)
    if first and note and not _is_manifestation(context, first):
        yield first.path, f"{first.code} stands first, and its note says: code first {note.text}"


def use_additional_order(context: ClaimContext) -> Iterator[Hit]:
    """A diagnosis stands before the one whose note calls it an additional code (guidelines, I.A.13)."""
    kinds = ("use-additional", "use-additional-if")
    for earlier, later in combinations(listed_diagnoses(context), 2):
        note = _naming(context, later, earlier, *kinds)
        if note and not _naming(context, earlier, later, *kinds):
            yield earlier.path, f"{earlier.code} is to stand after {later.code}: use additional note of {note.of}"


def use_additional_missing(context: ClaimContext) -> Iterator[Hit]:
    """A note asks for an additional code, and the claim has none of those that it names."""
    listed = listed_diagnoses(context)
    for one in listed:
        for note in context.code_sets.notes.notes(one.code, "use-additional"):
            if not any(note.names(plain_code(other.code)) for other in listed):
                yield one.path, f"{one.code}: use additional {note.text}"


def manifestation_principal(context: ClaimContext) -> Iterator[Hit]:
    """The first diagnosis is a manifestation: it is never billed first, whoever bills (guidelines, I.A.13)."""
    first = next(iter(listed_diagnoses(context)), None)
    if first and _is_manifestation(context, first):
        yield first.path, f"{first.code} is a manifestation of another disease, which is to stand before it"


def external_cause_principal(context: ClaimContext) -> Iterator[Hit]:
    """The first diagnosis is an external cause (guidelines, I.C.20.a.6)."""
    first = next(iter(listed_diagnoses(context)), None)
    if first and first.code.startswith(_EXTERNAL_CAUSES):
        yield first.path, f"{first.code} says how it came about: the injury or condition stands first"


def duplicate_diagnosis(context: ClaimContext) -> Iterator[Hit]:
    """The same diagnosis twice (guidelines, I.B.12)."""
    seen: dict[str, Listed] = {}
    for one in listed_diagnoses(context):
        known = seen.setdefault(plain_code(one.code), one)
        if known is not one:
            yield one.path, f"{one.code} stands at Claim.diagnosis[{known.position}] already"


def open_side(context: ClaimContext) -> Iterator[Hit]:
    """A diagnosis leaves open the side (guidelines, I.B.13)."""
    for one in listed_diagnoses(context):
        if context.code_sets.notes.is_open_side(one.code):
            yield one.path, f"{one.code} leaves open which side: codes for right and left stand beside it"


def unspecified(context: ClaimContext) -> Iterator[Hit]:
    """A diagnosis leaves open what others beside it say (guidelines, I.B.18)."""
    for one in listed_diagnoses(context):
        if context.code_sets.notes.is_unspecified(one.code):
            yield one.path, f"{one.code} is unspecified: more specific codes stand beside it"


def _naming(context: ClaimContext, one: Listed, other: Listed, *kinds: str) -> Instruction | None:
    """The note of `one` that names `other`; a note that names both is about a third."""
    notes = context.code_sets.notes.notes(one.code, *kinds)
    own, its = plain_code(one.code), plain_code(other.code)
    return next((note for note in notes if note.names(its) and not note.names(own)), None)


def _is_manifestation(context: ClaimContext, one: Listed) -> bool:
    on, sets = context.served, context.code_sets
    if on is None or sets.validity(System.ICD10CM, one.code, on) is not Validity.VALID:
        return False
    return "MANIFESTATION_AS_PDX" in sets.icd10.principal_edits(one.code, on)


def _by_note(context: ClaimContext, at: Listed, text: str, severity: Severity) -> Hit:
    notes, on = context.code_sets.notes, context.served
    if on and on < notes.covers_from:
        return at.path, f"{text}, by the later {notes.label}", Severity.WARN
    return at.path, text, severity


EDITS = (
    Edit(
        "excludes1",
        "Diagnoses that exclude each other",
        Severity.REJECT,
        "Leave out the one that the other rules out. Where they have nothing to do with each other, a person says so.",
        excludes1,
        path="Claim.diagnosis",
    ),
    Edit(
        "duplicate-diagnosis",
        "Diagnosis twice",
        Severity.REJECT,
        "Take one away.",
        duplicate_diagnosis,
        path="Claim.diagnosis",
    ),
    Edit(
        "manifestation-principal",
        "Manifestation as first diagnosis",
        Severity.REJECT,
        "Put the underlying disease first; ask the clinician where it is not recorded.",
        manifestation_principal,
        path="Claim.diagnosis",
    ),
    Edit(
        "external-cause-principal",
        "External cause as first diagnosis",
        Severity.REJECT,
        "Put the injury or condition first.",
        external_cause_principal,
        path="Claim.diagnosis",
    ),
    Edit(
        "code-first-order",
        "Diagnoses in the wrong order",
        Severity.REJECT,
        "Correct the order (DG1-15).",
        code_first_order,
        path="Claim.diagnosis",
    ),
    Edit(
        "code-first-missing",
        "Underlying condition missing",
        Severity.WARN,
        "Ask the clinician for the condition that is coded first.",
        code_first_missing,
        path="Claim.diagnosis",
    ),
    Edit(
        "use-additional-order",
        "Additional code before the code it adds to",
        Severity.WARN,
        "Correct the order (DG1-15).",
        use_additional_order,
        path="Claim.diagnosis",
    ),
    Edit(
        "use-additional-missing",
        "Additional code missing",
        Severity.INFO,
        "Add the code where the record says it.",
        use_additional_missing,
        path="Claim.diagnosis",
    ),
    Edit(
        "side-not-specified",
        "Side left open",
        Severity.INFO,
        "Ask the clinician for the side: many payers deny a code without it.",
        open_side,
        path="Claim.diagnosis",
    ),
    Edit(
        "diagnosis-unspecified",
        "Unspecified diagnosis",
        Severity.INFO,
        "Use a more specific code where the record says it.",
        unspecified,
        path="Claim.diagnosis",
    ),
)
"""In the order shown to the coder."""
