"""The edits on a claim's structure: what each is called, how bad it is, where it looks, what to do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from fhir_coder.model import Finding, Severity


@dataclass(frozen=True, slots=True)
class StructureEdit:
    """An edit that needs the claim alone."""

    id: str
    title: str
    path: str
    advice: str
    severity: Severity = Severity.REJECT


STRUCTURE_EDITS: tuple[StructureEdit, ...] = (
    StructureEdit("no-claim", "No Claim", "Bundle.entry", "Send a Claim, or a Bundle with a Claim in it."),
    StructureEdit(
        "required-element", "Required element missing", "Claim", "Fill the element: the standard requires it."
    ),
    StructureEdit(
        "required-binding",
        "Code not of the required value set",
        "Claim",
        "Use a code of the value set that the standard requires.",
    ),
    StructureEdit(
        "unknown-element", "Element unknown to R4", "Claim", "Take the element away, or say it by an extension."
    ),
    StructureEdit("r5-element", "Element of R5", "Claim", "Say it as R4 does, or take it away: the claim is R4."),
    StructureEdit(
        "one-or-many",
        "List for one, or one for a list",
        "Claim",
        "Write a JSON list where the element repeats, and no list where it does not.",
    ),
    StructureEdit(
        "one-choice", "Two of a choice", "Claim", "Keep one of the types that the standard gives as a choice."
    ),
    StructureEdit("number-as-text", "Number as text", "Claim", "Write the number as a JSON number."),
    StructureEdit("wrong-datatype", "Wrong datatype", "Claim", "Write the value in the form of its datatype."),
    StructureEdit("empty-value", "Empty value", "Claim", "Leave the element out where there is nothing to say."),
    StructureEdit(
        "primitive-extension",
        "Extension of a primitive malformed",
        "Claim",
        "Give the underscored twin an object, or a list as long as its element's.",
    ),
    StructureEdit("r4-invariant", "Invariant of R4 broken", "Claim", "Keep to the invariant that the text names."),
    StructureEdit("period-order", "Period ends before it starts", "Claim", "Correct the start or the end."),
    StructureEdit(
        "icd-dot",
        "ICD-10-CM code without its dot",
        "Claim.diagnosis",
        "Write the code as ICD-10-CM does, with a dot after the third character.",
    ),
    StructureEdit(
        "money-has-currency", "Amount without currency", "Claim", "Name the ISO 4217 currency of every amount."
    ),
    StructureEdit("duplicate-sequence", "Sequence twice", "Claim.item.sequence", "Number the entries uniquely."),
    StructureEdit(
        "one-focal-insurance",
        "Not one focal insurance",
        "Claim.insurance.focal",
        "Mark exactly one insurance as focal: the one this claim is sent to.",
    ),
    StructureEdit(
        "pointer-to-nothing",
        "Pointer to nothing",
        "Claim.item.diagnosisSequence",
        "Point to an entry that is on the claim, or add the entry.",
    ),
    StructureEdit(
        "reference-form",
        "Reference not of a form of R4",
        "Claim",
        "Write #id, Type/id, a URL, or urn:uuid: and a UUID in small letters.",
    ),
    StructureEdit(
        "reference-resolves",
        "Reference to nothing",
        "Claim",
        "Add the contained resource, or correct the reference.",
    ),
    StructureEdit(
        "reference-target",
        "Reference to the wrong type",
        "Claim",
        "Refer to a resource of a type that the element allows.",
    ),
    StructureEdit(
        "reference-outside-bundle",
        "Reference out of the collection",
        "Bundle.entry.resource",
        "Add the resource to the Bundle if the payer cannot read it from your server.",
        Severity.WARN,
    ),
    StructureEdit(
        "contained-unused",
        "Contained resource unused",
        "Claim.contained",
        "Refer to the contained resource, or leave it out.",
    ),
    StructureEdit(
        "net-is-product", "Net is not the product", "Claim.item.net", "Correct quantity, unit price or net amount."
    ),
    StructureEdit(
        "net-is-sum",
        "Net is not the sum of its details",
        "Claim.item.net",
        "Make the net amount the sum of those of the details.",
    ),
    StructureEdit(
        "total-is-sum",
        "Total is not the sum of the lines",
        "Claim.total",
        "Make the total the sum of the lines' net amounts.",
    ),
    StructureEdit(
        "one-currency",
        "More than one currency",
        "Claim.total.currency",
        "Bill all lines and the total in one currency.",
    ),
    StructureEdit(
        "amount-too-fine",
        "Amount finer than its currency",
        "Claim.item.net",
        "Round the amount to the smallest unit of its currency.",
        Severity.WARN,
    ),
    StructureEdit(
        "bundle-form",
        "Bundle not for claims",
        "Bundle",
        "Send a collection, or a transaction whose entries say their requests, each full URL once.",
    ),
)
"""Every structure edit, in the order of `edits list`."""

STRUCTURE_ADVICE: Mapping[str, str] = {edit.id: edit.advice for edit in STRUCTURE_EDITS}
"""What to do, by the edit's id."""

_BY_ID: Mapping[str, StructureEdit] = {edit.id: edit for edit in STRUCTURE_EDITS}


def fault(edit_id: str, path: str, text: str) -> Finding:
    """A finding of a structure edit. `text` names no value."""
    edit = _BY_ID[edit_id]
    return Finding(edit_id, edit.severity, path, text, edit.advice)
