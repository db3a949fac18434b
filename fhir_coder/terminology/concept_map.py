"""A mapping table as a FHIR ConceptMap (R4 or R5), and back without loss.

What a row asks stands in `dependsOn`, what it brings in `product`, each under the name of its column. What FHIR has no
element for (kind, priority, group ...) stands in extensions. A ConceptMap of others reads as long as nothing in it is
left out: a `dependsOn` that is not a column of ours is a fault, not a condition passed over.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from fhir_coder.errors import Fault, TableError
from fhir_coder.model import Json, Kind, System
from fhir_coder.terminology.draft import Draft
from fhir_coder.terminology.rows import NEEDS_DETAIL, NOT_BILLABLE, Cells, cells_of, short_name
from fhir_coder.terminology.table import RELATED, Header, MappingTable, Row

ROW_URL = "urn:fhir-coder:row:"
"""Begins the address of a row's property: the rest is the name of the column."""

TABLE_URL = "urn:fhir-coder:table:"
"""Begins the address of a header key that a ConceptMap has no element for."""

# The columns that become dependsOn, product and extensions.
ASKED = (
    *("sex", "age", "encounter_class", "care_setting", "payer", "feed", "laterality", "use", "with"),
    *("valid_from", "valid_to"),
)
BROUGHT = ("modifiers", "units", "administration", "revenue_code", "administration_revenue_code", "unit_price")
_ORDERED = ("priority", "group", "seventh_character")
_PLAIN_KEYS = ("title", "version", "publisher", "copyright", "name", "id", "date")
_HEADER_KEYS = ("kind", "valid_from", "valid_to", "source", "note", "when_unknown", "equal_rows", "layer")

TO_R5: Mapping[str, str] = {
    "equal": "equivalent",
    "equivalent": "equivalent",
    "wider": "source-is-narrower-than-target",
    "subsumes": "source-is-narrower-than-target",
    "narrower": "source-is-broader-than-target",
    "specializes": "source-is-broader-than-target",
    "relatedto": RELATED,
    "inexact": RELATED,
    "unmatched": "not-related-to",
    "disjoint": "not-related-to",
}
"""R4 equivalence to R5 relationship."""

TO_R4: Mapping[str, str] = {
    "equivalent": "equivalent",
    "source-is-narrower-than-target": "wider",
    "source-is-broader-than-target": "narrower",
    RELATED: "relatedto",
    "not-related-to": "unmatched",
}
"""R5 relationship to R4 equivalence."""

_KIND_OF_SOURCE = {System.SNOMED: Kind.PROCEDURE, System.CVX: Kind.IMMUNIZATION}


# --- writing


def concept_map(table: MappingTable, is_r5: bool = False) -> Json:
    """Write a table as a ConceptMap resource of R4, or of R5."""
    header = table.header
    resource: Json = {"resourceType": "ConceptMap", "id": header.id[:64].replace("_", "-")}
    resource["extension"] = [_extension(TABLE_URL + "id", header.id), *_header_extensions(header)]
    resource["url"] = f"urn:fhir-coder:table:{header.id}"
    resource |= _texts(header)
    if is_r5:
        resource["additionalAttribute"] = [
            {"code": name, "uri": ROW_URL + name, "type": "string"} for name in (*ASKED, *BROUGHT)
        ]
    resource["group"] = _groups(table, is_r5)
    return resource


def _texts(header: Header) -> Json:
    said = {
        "version": header.version,
        "name": "".join(c if c.isalnum() else "_" for c in f"T_{header.id}"),
        "title": header.title,
        "status": "active",
        "publisher": header.publisher,
        "copyright": header.licence,
    }
    return {key: text for key, text in said.items() if text}


def _header_extensions(header: Header) -> Iterator[Json]:
    for system in header.target_systems:
        yield _extension(TABLE_URL + "target_system", system)
    for name in _HEADER_KEYS:
        if value := getattr(header, name):
            yield _extension(TABLE_URL + name, str(value))


def _extension(url: str, text: str) -> Json:
    return {"url": url, "valueString": text}


def _groups(table: MappingTable, is_r5: bool) -> list[Json]:
    elements: dict[str, dict[tuple[str, str], list[Json]]] = {}
    for of_code in table.by_code():
        for row in of_code:
            system = row.target.system if row.target else ""
            by_code = elements.setdefault(system, {})
            by_code.setdefault((row.source_code, row.display), []).append(_target(row, is_r5))
    return [
        {
            "source": table.source_system,
            **({"target": system} if system else {}),
            "element": [
                {"code": code, **({"display": display} if display else {}), "target": targets}
                for (code, display), targets in by_code.items()
            ],
        }
        for system, by_code in elements.items()
    ]


def _target(row: Row, is_r5: bool) -> Json:
    cells = cells_of(row)
    relationship = row.relationship if row.target else "not-related-to"
    target: Json = {"code": row.target.code} if row.target else {}
    ordered = [_extension(ROW_URL + name, cells[name]) for name in _ORDERED if name in cells]
    if not row.target:
        ordered.append(_extension(ROW_URL + "target_code", cells["target_code"]))
    target["extension"] = ordered
    target |= {"relationship": relationship} if is_r5 else {"equivalence": TO_R4[relationship]}
    if row.note:
        target["comment"] = row.note
    for element, names in (("dependsOn", ASKED), ("product", BROUGHT)):
        if said := [_said(name, cells[name], is_r5) for name in names if name in cells]:
            target[element] = said
    return target


def _said(name: str, text: str, is_r5: bool) -> Json:
    return {"attribute": name, "valueString": text} if is_r5 else {"property": ROW_URL + name, "value": text}


# --- reading


def read_concept_map(resource: Any, file: str) -> Draft:
    """Make a table of a ConceptMap resource. Raises TableError with every fault and the path where it stands."""
    reading = _Reading(file)
    try:
        rows = reading.rows(resource) if _is_concept_map(resource) else []
    except (AttributeError, TypeError):
        raise TableError(file, [*reading.faults, Fault(file, 0, "ConceptMap.group", _NO_FORM)]) from None
    if not _is_concept_map(resource):
        reading.fault("resourceType", "not a ConceptMap")
    elif len(reading.sources) != 1 and not reading.faults:
        text = (
            "groups of several source systems: a table has one" if reading.sources else "no group has a source system"
        )
        reading.fault("group.source", text)
    if _is_concept_map(resource) and not all(isinstance(resource.get(key, ""), str) for key in _PLAIN_KEYS):
        reading.fault("ConceptMap", _NO_FORM)
    if reading.faults:
        raise TableError(file, reading.faults)
    return Draft(_header(resource, reading), rows, [])


def _is_concept_map(resource: Any) -> bool:
    return isinstance(resource, dict) and resource.get("resourceType") == "ConceptMap"


@dataclass
class _Reading:
    file: str
    faults: list[Fault] = field(default_factory=list)
    sources: dict[str, None] = field(default_factory=dict)
    targets: dict[str, None] = field(default_factory=dict)
    attributes: dict[str, str] = field(default_factory=dict)

    def fault(self, path: str, text: str) -> None:
        self.faults.append(Fault(self.file, 0, path, text))

    def rows(self, resource: Json) -> list[Cells]:
        if resource.get("status") == "retired":
            self.fault("ConceptMap.status", "retired: its publisher has taken it out of use")
        self.attributes = {one.get("code", ""): one.get("uri", "") for one in resource.get("additionalAttribute", ())}
        rows: list[Cells] = []
        for number, group in enumerate(resource.get("group", ())):
            path = f"ConceptMap.group[{number}]"
            source, target = _system(group.get("source", "")), _system(group.get("target", ""))
            if not source:
                self.fault(f"{path}.source", "missing: whose codes are these?")
            self.sources |= {source: None} if source else {}
            self.targets |= {target: None} if target else {}
            if group.get("unmapped"):
                text = "a code for all that the map does not name would be a guess: remove it, such codes are gaps"
                self.fault(f"{path}.unmapped", text)
            for place, element in enumerate(group.get("element", ())):
                rows += self._element(f"{path}.element[{place}]", element, target)
        if not rows and not self.faults:
            self.fault("ConceptMap.group", "no element")
        return rows

    def _element(self, path: str, element: Json, system: str) -> Iterator[Cells]:
        base = {"source_code": element.get("code", ""), "display": element.get("display", "")}
        if not base["source_code"]:
            self.fault(f"{path}.code", "missing")
        targets = element.get("target", ())
        if not targets:
            yield base | {"target_code": NEEDS_DETAIL, "note": _NO_TARGET}
        for number, target in enumerate(targets):
            yield base | self._target(f"{path}.target[{number}]", target, system)

    def _target(self, path: str, target: Json, system: str) -> Cells:
        said = target.get("relationship") or TO_R5.get(target.get("equivalence", ""), "")
        if said not in TO_R4:
            self.fault(path, "no equivalence (R4) or relationship (R5) of the standard's")
        extensions = _extensions(target, ROW_URL)
        cells = {name: text for name, text in extensions.items() if name in _ORDERED}
        cells["note"] = target.get("comment", "")
        if said == "not-related-to" or not target.get("code"):
            cells["target_code"] = extensions.get("target_code", NEEDS_DETAIL)
            if cells["target_code"] not in (NOT_BILLABLE, NEEDS_DETAIL):
                self.fault(path, "neither a target code nor one of not-billable and needs-detail")
            cells["note"] = cells["note"] or (_NO_TARGET if cells["target_code"] == NEEDS_DETAIL else "")
        else:
            if not system:
                self.fault(path, "a target code in a group without a target system")
            cells |= {"target_code": target["code"], "target_system": short_name(system)}
            cells["relationship"] = said if said != RELATED else ""
        for element, names in (("dependsOn", ASKED), ("product", BROUGHT)):
            for number, one in enumerate(target.get(element, ())):
                cells |= self._said(f"{path}.{element}[{number}]", one, names)
        return cells

    def _said(self, path: str, one: Json, names: tuple[str, ...]) -> Cells:
        attribute = one.get("attribute", "")
        uri = self.attributes.get(attribute) or one.get("property") or attribute
        name = uri.removeprefix(ROW_URL)
        value = one.get("value") if "value" in one else next((v for k, v in one.items() if k.startswith("value")), None)
        if name not in names or not isinstance(value, str):
            self.fault(
                path, f"a property that is not known: write {ROW_URL} and one of {', '.join(names)}, with a text"
            )
            return {}
        return {name: value}


_NO_FORM = "not of the form of a ConceptMap: a list, an object or a text stands where FHIR has something else"
_NO_TARGET = "the map has no target for this"


def _system(canonical: str) -> str:
    return canonical.partition("|")[0]


def _extensions(element: Json, base: str) -> dict[str, str]:
    return {
        one["url"].removeprefix(base): one.get("valueString", "")
        for one in element.get("extension", ())
        if str(one.get("url", "")).startswith(base)
    }


def _header(resource: Json, reading: _Reading) -> Header:
    said = _extensions(resource, TABLE_URL)
    source = next(iter(reading.sources))
    targets = [e["valueString"] for e in resource.get("extension", ()) if e.get("url") == TABLE_URL + "target_system"]
    systems = tuple(targets or reading.targets)
    return Header(
        id=said.get("id") or resource.get("id") or resource.get("name") or "concept-map",
        title=resource.get("title") or resource.get("name") or "ConceptMap",
        kind=Kind(said["kind"]) if said.get("kind") in set(Kind) else _kind(source, systems),
        source_system=source,
        target_systems=systems,
        version=resource.get("version") or resource.get("date") or "1",
        publisher=resource.get("publisher", ""),
        licence=resource.get("copyright", ""),
        valid_from=_day(said.get("valid_from", "")),
        valid_to=_day(said.get("valid_to", "")),
        source=said.get("source", ""),
        note=said.get("note", ""),
        when_unknown=said.get("when_unknown", ""),
        equal_rows=said.get("equal_rows", ""),
        layer=said.get("layer", ""),
    )


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text) if text else None
    except ValueError:
        return None


def _kind(source: str, targets: tuple[str, ...]) -> Kind:
    """What a map of others is asked about, by its systems."""
    if System.ICD10CM in targets:
        return Kind.DIAGNOSIS
    if {System.HCPCS, System.CPT, System.CDT, System.ICD10PCS} & set(targets):
        return _KIND_OF_SOURCE.get(source, Kind.CHARGE)
    return Kind.CONCEPT
