"""HL7 v2 names of coding systems (table 0396), and coded fields (CE, CWE, CNE) read with them.

A name of table 0396 becomes the system's URI; `L` and `99…` are the site's own codes; an HL7 table (`HL70063`) becomes
its FHIR URI; a URI stays; an OID not known becomes `urn:oid:…`; any other name becomes `urn:hl7v2:NAME`, so that a
mapping table can still be keyed by it. `I10` is ICD-10-CM (in a procedure field ICD-10-PCS): US feeds use it so.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from urllib.parse import quote

from fhir_coder.hl7v2.reader import Field
from fhir_coder.model import Coding, Concept, System

_BY_SYSTEM: dict[str, str] = {
    System.ICD10CM: "I10 I10C ICD10 ICD10CM I10CM ICD10DX 2.16.840.1.113883.6.90",
    System.ICD10PCS: "I10P ICD10PCS I10PCS 2.16.840.1.113883.6.4",
    System.ICD9CM: "I9 I9C I9M I9CDX I9CP ICD9 ICD9CM 2.16.840.1.113883.6.103 2.16.840.1.113883.6.104",
    System.SNOMED: "SCT SNOMED SNOMEDCT SNM SNM3 SCTID 2.16.840.1.113883.6.96",
    System.LOINC: "LN LOINC 2.16.840.1.113883.6.1",
    System.CPT: "C4 C5 CPT CPT4 CPT5 2.16.840.1.113883.6.12",
    System.HCPCS: "HPC HCPCS HCPC HCPCSII 2.16.840.1.113883.6.285 2.16.840.1.113883.6.14",
    System.CDT: "CDT CD2 ADA 2.16.840.1.113883.6.13",
    System.CVX: "CVX 2.16.840.1.113883.12.292 2.16.840.1.113883.6.59",
    System.NDC: "NDC 2.16.840.1.113883.6.69",
    System.RXNORM: "RXNORM RXN 2.16.840.1.113883.6.88",
    System.REVENUE: "HL70456",
    System.ACT: "2.16.840.1.113883.5.4",
    System.LOCAL: "L LOCAL",
}
_NAMES = {name: uri for uri, names in _BY_SYSTEM.items() for name in names.split()}
_IN_CAPITALS = frozenset({System.ICD10CM, System.ICD10PCS, System.HCPCS, System.CPT})
_BARE_ICD10 = frozenset({"I10", "ICD10"})
_LOCAL = re.compile(r"99[A-Z0-9]+")
_OID = re.compile(r"(?:URN:OID:)?([0-2](?:\.[0-9]+)+)")
_HL7_TABLE = re.compile(r"HL7([0-9]{4})")
_NO_NAMES: Mapping[str, str] = {}
_SPACING = re.compile(r"[\s_-]")
_UNDOTTED = re.compile(r"[A-Z][0-9][0-9A-Z][0-9A-Z]{1,4}")


@lru_cache(maxsize=1024)
def system_uri(name: str) -> str:
    """The system that a coding system name, OID or URI means; `System.UNKNOWN` for an empty name."""
    name = name.strip()
    if not name:
        return System.UNKNOWN
    known = known_system(name)
    if known is not None:
        return known
    oid = _OID.fullmatch(name.upper())
    if oid:
        return f"urn:oid:{oid[1]}"
    return name if ":" in name else f"urn:hl7v2:{quote(name.upper(), safe='')}"


@lru_cache(maxsize=1024)
def known_system(name: str) -> str | None:
    """The same, but None for names that stand in no table."""
    key = name.strip().upper()
    oid = _OID.fullmatch(key)
    short = oid[1] if oid else _SPACING.sub("", key)
    if short in _NAMES:
        return _NAMES[short]
    table = _HL7_TABLE.fullmatch(short)
    if table:
        return f"http://terminology.hl7.org/CodeSystem/v2-{table[1]}"
    if _LOCAL.fullmatch(short):
        return System.LOCAL
    return next((uri for uri in _BY_SYSTEM if uri.lower() == name.strip().lower()), None)


def written_code(system: str, code: str) -> str:
    """The code as its system writes it: ICD codes, HCPCS and CPT in capitals, ICD-10-CM with its dot."""
    code = code.strip()
    if system in _IN_CAPITALS:
        code = code.upper()
    if system == System.ICD10CM and "." not in code and _UNDOTTED.fullmatch(code):
        return f"{code[:3]}.{code[3:]}"
    return code


def read_coding(
    field: Field,
    places: tuple[int, int, int, int],
    default: str,
    procedure: bool = False,
    names: Mapping[str, str] = _NO_NAMES,
) -> Coding | None:
    """The coding at the places of code, text, system name and system OID, None where no code stands there.

    `names` are the sender's own names of systems (in capitals), before those of the standard.
    """
    texts, place = field.texts, places[0] - 1
    code = texts[place] if place < len(texts) else ""
    if not code:
        return None
    name = texts[place + 2] if place + 2 < len(texts) else ""
    name = name or field.text(places[3])
    own = names.get(name.upper()) if names else None
    system = own or (system_uri(name) if name else default)
    if procedure and name and not own and _SPACING.sub("", name.upper()) in _BARE_ICD10:
        system = System.ICD10PCS
    return Coding(system, written_code(system, code), field.whole(places[1]))


def read_concept(
    field: Field | None,
    default: str = System.UNKNOWN,
    procedure: bool = False,
    names: Mapping[str, str] = _NO_NAMES,
) -> Concept | None:
    """A CE, CWE or CNE field: up to three codings, the first of `default` where it names no system; None where empty.

    `procedure` says that a bare `I10` means ICD-10-PCS. `names` are the sender's own names of systems.
    """
    if field is None:
        return None
    first = read_coding(field, (1, 2, 3, 14), default, procedure, names)
    codings = (first,) if first else ()
    if len(field.texts) <= 3:
        text = first.display if first else field.whole(2)
    else:
        for places in ((4, 5, 6, 17), (10, 11, 12, 20)):
            other = read_coding(field, places, System.UNKNOWN, procedure, names)
            codings = (*codings, other) if other else codings
        text = field.whole(9) or field.whole(2) or field.whole(5)
    return Concept(codings, text) if codings or (text and field) else None


def read_modifiers(fields: Sequence[Field]) -> tuple[Coding, ...]:
    """Procedure modifiers; one without system keeps an empty one (HCPCS and CPT share the two-character form)."""
    if not fields:
        return ()
    codings = (read_coding(field, (1, 2, 3, 14), System.UNKNOWN) for field in fields)
    return tuple(Coding(c.system, c.code.upper(), c.display) for c in codings if c)
