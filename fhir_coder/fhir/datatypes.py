"""FHIR R4 data types (section 2.24) to the values of the model."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from zoneinfo import ZoneInfo

from fhir_coder.fhir.elements import Element
from fhir_coder.fhir.rules import FhirRules
from fhir_coder.model import Address, Coding, Concept, Identifier, Money, Name, System, When

# Systems that senders name by their OID (HL7 OID registry) or by an address that HL7 Terminology has since replaced.
_SAME_SYSTEM = {
    "urn:oid:2.16.840.1.113883.6.90": System.ICD10CM,
    "urn:oid:2.16.840.1.113883.6.4": System.ICD10PCS,
    "http://hl7.org/fhir/sid/icd-10-pcs": System.ICD10PCS,
    "https://www.cms.gov/Medicare/Coding/ICD10": System.ICD10PCS,
    "urn:oid:2.16.840.1.113883.6.103": System.ICD9CM,
    "urn:oid:2.16.840.1.113883.6.285": System.HCPCS,
    "https://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets": System.HCPCS,
    "https://bluebutton.cms.gov/resources/codesystem/hcpcs": System.HCPCS,
    "urn:oid:2.16.840.1.113883.6.12": System.CPT,
    "urn:oid:2.16.840.1.113883.6.13": System.CDT,
    "urn:oid:2.16.840.1.113883.6.96": System.SNOMED,
    "urn:oid:2.16.840.1.113883.6.1": System.LOINC,
    "urn:oid:2.16.840.1.113883.12.292": System.CVX,
    "urn:oid:2.16.840.1.113883.6.69": System.NDC,
    "urn:oid:2.16.840.1.113883.6.88": System.RXNORM,
    "urn:oid:2.16.840.1.113883.4.6": System.NPI,
}
_CENT, _MOST = Decimal("0.01"), Decimal(10) ** 15
_DAY = re.compile(r"[0-9]{4}(-[0-9]{2}(-[0-9]{2})?)?")
_TIME = re.compile(r"([0-9-]{10}T[0-9]{2}:[0-9]{2})(:[0-9]{2}(?:\.[0-9]+)?)?(Z|[+-][0-9]{2}:[0-9]{2})?")


def coding(element: Element) -> Coding | None:
    """A Coding with a code; its system's address is the one the model uses."""
    code = element.text("code")
    system = element.text("system")
    return Coding(_SAME_SYSTEM.get(system, system), code, element.text("display")) if code else None


def concept(element: Element | None) -> Concept | None:
    """A CodeableConcept that says something; its text falls back to the display of a coding without a code."""
    if element is None:
        return None
    parts = element.children("coding")
    codings = tuple(c for c in map(coding, parts) if c)
    text = element.text("text") or ("" if codings else next((d for d in (p.text("display") for p in parts) if d), ""))
    return Concept(codings, text) if codings or text else None


def concepts(elements: Iterable[Element]) -> tuple[Concept, ...]:
    """The CodeableConcepts of a list that say something."""
    return tuple(c for c in map(concept, elements) if c)


def codes(element: Element | None) -> tuple[str, ...]:
    """The bare codes of a CodeableConcept."""
    said = concept(element)
    return tuple(c.code for c in said.codings) if said else ()


def billing_code(element: Element | None) -> str:
    """The code of a CodeableConcept that a bill wants: the NUBC's where it is among the codings, else a site's own.

    HL7's codes (`home`, `emd`) are words of another list: none of them may stand in the place of a bill's code.
    """
    said = concept(element)
    codings = [c for c in said.codings if _HL7_CODES not in c.system] if said else []
    return next((c.code for c in codings if "nubc" in c.system.lower()), codings[0].code if codings else "")


_HL7_CODES = "terminology.hl7.org/CodeSystem/"


def identifier(element: Element) -> Identifier | None:
    """An Identifier with a value; the type is its v2 table 0203 code."""
    value = element.text("value")
    if not value:
        return None
    system = element.text("system")
    if not system:
        assigner = element.child("assigner")
        system = assigner.text("display") if assigner else ""
    return Identifier(value, _SAME_SYSTEM.get(system, system), next(iter(codes(element.child("type"))), ""))


def identifiers(element: Element, name: str = "identifier") -> tuple[Identifier, ...]:
    """The identifiers of a resource."""
    return tuple(i for i in map(identifier, element.children(name)) if i)


def human_name(element: Element) -> Name | None:
    """The name to bill under: the official one, else the usual one, else the first that is still in use."""
    names = [n for n in element.children("name") if n.text("use") not in ("old", "maiden", "nickname", "anonymous")]
    chosen = _preferred(names, ("official", "usual"))
    if chosen is None:
        return None
    prefix, suffix = " ".join(chosen.texts("prefix")), " ".join(chosen.texts("suffix"))
    name = Name(chosen.text("family") or chosen.text("text"), chosen.texts("given"), prefix, suffix)
    return name if name != Name() else None


def postal_address(element: Element) -> Address | None:
    """The first address that is still in use, the home or work one before a billing or temporary one."""
    places = [a for a in element.children("address") if a.text("use") != "old"]
    return address(_preferred(places, ("home", "work")))


def address(element: Element | None) -> Address | None:
    """An Address."""
    if element is None:
        return None
    rest = (element.text(name) for name in ("city", "state", "postalCode", "country"))
    found = Address(element.texts("line") or ((element.text("text"),) if element.text("text") else ()), *rest)
    return found if found != Address() else None


def phone(element: Element) -> str:
    """The first telephone number."""
    numbers = (t.text("value") for t in element.children("telecom") if t.text("system") == "phone")
    return next((n for n in numbers if n), "")


def money(element: Element | None, rules: FhirRules) -> Money | None:
    """A Money with at least its cents (336.5 is 336.50); the feed's currency where it names none."""
    value = element.number("value") if element else None
    if element is None or value is None:
        return None
    in_cents = value.quantize(_CENT) if abs(value) < _MOST else value
    return Money(in_cents if in_cents == value else value, element.text("currency") or rules.currency)


def when(element: Element | None, name: str, rules: FhirRules) -> When | None:
    """A date or dateTime at `name`; a text that is neither is noted as `not_a_date`."""
    text = element.text(name) if element else ""
    if element is None or not text:
        return None
    read = read_when(text, rules.time_zone)
    if read is None:
        element.note(name, "not_a_date", "this is not a FHIR date or dateTime")
    return read


def read_when(text: str, time_zone: str) -> When | None:
    """A FHIR date or dateTime, None where it is neither or no such day exists.

    Seconds and offset are required by FHIR R4 section 2.24.0.1, but left out by some senders: the seconds become
    zero, the offset that of `time_zone`.
    """
    try:
        if _DAY.fullmatch(text):
            datetime.fromisoformat(text + "-01-01"[len(text) - 4 :])
            return When(text)
        found = _TIME.fullmatch(text)
        if found is None:
            return None
        full = found[1] + (found[2] or ":00")
        moment = datetime.fromisoformat(full + (found[3] or ""))
        offset = found[3] or moment.replace(tzinfo=_zone(time_zone)).strftime("%z")
        return When(full + (offset if found[3] else f"{offset[:3]}:{offset[3:5]}"))
    except ValueError:
        return None


def _preferred(elements: list[Element], uses: tuple[str, ...]) -> Element | None:
    by_use = {e.text("use"): e for e in reversed(elements)}
    return next((by_use[u] for u in uses if u in by_use), elements[0] if elements else None)


@lru_cache(maxsize=16)
def _zone(name: str) -> ZoneInfo:
    return ZoneInfo(name)
