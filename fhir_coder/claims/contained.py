"""The parties of a claim as contained resources: patient, provider, practitioners, insurer, coverage."""

from __future__ import annotations

from dataclasses import dataclass, field

from fhir_coder.claims.elements import codeable, without_empty
from fhir_coder.model import (
    Address,
    CareTeamMember,
    Chart,
    CoverageFact,
    Identifier,
    Json,
    Name,
    Organization,
    Payer,
    Practitioner,
    PriorDecision,
    Site,
    System,
)

_TYPE_SYSTEM = "http://terminology.hl7.org/CodeSystem/v2-0203"
_RELATIONSHIP = "http://terminology.hl7.org/CodeSystem/subscriber-relationship"
_TAXONOMY = "http://nucc.org/provider-taxonomy"
_US_TAX_ID = "urn:oid:2.16.840.1.113883.4.4"


@dataclass
class Parties:
    """Collects contained resources; each `add_*` answers the reference that points to what it added."""

    contained: list[Json] = field(default_factory=list)
    _people: dict[Practitioner, str] = field(default_factory=dict)

    def add_patient(self, chart: Chart) -> Json:
        """The chart's patient, or a reference that says none came."""
        patient = chart.patient
        if patient is None:
            return {"display": "not stated"}
        resource = {
            "resourceType": "Patient",
            "id": "patient",
            "identifier": _identifiers(patient.identifiers),
            "name": [_name(patient.name)] if patient.name else None,
            "gender": patient.sex,
            "birthDate": patient.birth_date.text[:10] if patient.birth_date else None,
            "address": [_address(patient.address)] if patient.address else None,
        }
        return self._add(resource)

    def add_provider(self, chart: Chart, site: Site) -> Json:
        """The billing provider: the site, else the first doctor with an NPI, else the sending facility."""
        if site.name or site.npi:
            return self.add_organization("provider", _site_organization(site), site.taxonomy)
        facility = chart.visit.facility if chart.visit else None
        doctors = [m.practitioner for m in _everyone(chart) if m.practitioner and m.practitioner.npi]
        if doctors:
            return self.add_practitioner(doctors[0])
        if facility and (facility.name or facility.identifiers):
            return self.add_organization("provider", facility)
        return {"display": "not stated"}

    def add_practitioner(self, person: Practitioner) -> Json:
        """A practitioner, once however often added."""
        known = self._people.get(person)
        if known:
            return {"reference": known}
        resource = {
            "resourceType": "Practitioner",
            "id": f"practitioner-{len(self._people) + 1}",
            "identifier": _identifiers(person.identifiers),
            "name": [_name(person.name)] if person.name else None,
        }
        reference = self._add(resource)
        self._people[person] = reference["reference"]
        return reference

    def add_insurer(self, payer: Payer | None, coverage: CoverageFact | None) -> Json:
        """The payer's organization, as the settings name it and the coverage identifies it."""
        company = coverage.payer if coverage and coverage.payer else Organization()
        name = (payer.title if payer else "") or company.name or (payer.name if payer else "")
        identifiers = (Identifier(payer.identifier),) if payer and payer.identifier else company.identifiers
        return self.add_organization("insurer", Organization(name, identifiers))

    def add_coverage(self, coverage: CoverageFact, position: int, payor: Json, patient: Json) -> Json:
        """One coverage, in order of benefits from 1."""
        start, end = coverage.start, coverage.end
        group = "http://terminology.hl7.org/CodeSystem/coverage-class"
        classes = [("group", coverage.group), ("plan", coverage.plan)]
        resource = {
            "resourceType": "Coverage",
            "id": f"coverage-{position}",
            "status": "active",
            "subscriber": self._subscriber(coverage, position, patient),
            "subscriberId": coverage.subscriber_id,
            "beneficiary": patient,
            "relationship": codeable(_RELATIONSHIP, coverage.relationship),
            "period": {k: w.text for k, w in (("start", start), ("end", end)) if w},
            "payor": [payor],
            "class": [{"type": codeable(group, kind), "value": value} for kind, value in classes if value],
            "order": coverage.order if coverage.order > 0 else None,
        }
        return self._add(resource)

    def add_decision(self, decision: PriorDecision, about: Json) -> Json:
        """What an earlier payer decided, amounts as it said them; `about` says of which claim, in this one's words."""
        said = decision.response
        resource = {
            "resourceType": "ClaimResponse",
            "id": f"response-{decision.order}",
            "status": "active",
            "use": "claim",
            **about,
            "created": decision.created,
            "outcome": said.get("outcome"),
            "item": [_decided_line(line) for line in said.get("item", ())],
            "total": [_amount_of(entry) for entry in said.get("total", ())],
            "payment": _only(said.get("payment", {}), "type", "date", "amount"),
        }
        return self._add(resource)

    def _subscriber(self, coverage: CoverageFact, position: int, patient: Json) -> Json | None:
        """Whose insurance it is: the patient, or a person related to the patient."""
        if coverage.relationship == "self":
            return patient
        if coverage.subscriber is None or "reference" not in patient:
            return None
        person = {
            "resourceType": "RelatedPerson",
            "id": f"subscriber-{position}",
            "patient": patient,
            "name": [_name(coverage.subscriber)],
        }
        return self._add(person)

    def add_organization(self, local_id: str, organization: Organization, taxonomy: str = "") -> Json:
        """An organization under a local id, with its NUCC provider taxonomy code where it has one."""
        taxonomy_type = codeable(_TAXONOMY, taxonomy)
        resource = {
            "resourceType": "Organization",
            "id": local_id,
            "identifier": _identifiers(organization.identifiers),
            "type": [taxonomy_type] if taxonomy_type else None,
            "name": organization.name,
            "address": [_address(organization.address)] if organization.address else None,
        }
        if not (organization.name or organization.identifiers):
            return {"display": "not stated"}
        return self._add(resource)

    def _add(self, resource: Json) -> Json:
        self.contained.append(without_empty(resource))
        return {"reference": f"#{resource['id']}"}


def _decided_line(line: Json) -> Json:
    adjudications = [_amount_of(entry) for entry in line.get("adjudication", ())]
    return {"itemSequence": line.get("itemSequence"), "adjudication": adjudications}


def _amount_of(entry: Json) -> Json:
    return _only(entry, "category", "reason", "amount", "value")


def _only(element: Json, *names: str) -> Json:
    """Only what the next payer needs of an element: the rest may point to what is not sent along."""
    return {name: element[name] for name in names if name in element}


def _everyone(chart: Chart) -> list[CareTeamMember]:
    team = [m for c in chart.charges for m in c.care_team if m.role == "rendering"]
    team += [m for p in chart.procedures for m in p.care_team]
    return team + (list(chart.visit.care_team) if chart.visit else [])


def _site_organization(site: Site) -> Organization:
    identifiers = [Identifier(site.npi, System.NPI, "NPI")] if site.npi else []
    identifiers += [Identifier(site.tax_id, _US_TAX_ID, "TAX")] if site.tax_id else []
    return Organization(site.name, tuple(identifiers), site.address)


def _identifiers(identifiers: tuple[Identifier, ...]) -> list[Json]:
    return [_identifier(i) for i in dict.fromkeys(identifiers) if i.value]


def _identifier(identifier: Identifier) -> Json:
    system = identifier.system
    if system and ":" not in system:
        # A bare OID has its own URI scheme; any other assigner's name can only be told as text (R4 2.24.0.12).
        system = f"urn:oid:{system}" if system.replace(".", "").isdigit() else ""
    assigner = {"display": identifier.system} if identifier.system and not system else None
    return without_empty(
        {
            "type": codeable(_TYPE_SYSTEM, identifier.type),
            "system": system,
            "value": identifier.value,
            "assigner": assigner,
        }
    )


def _name(name: Name) -> Json:
    return without_empty(
        {
            "family": name.family,
            "given": list(name.given),
            "prefix": [name.prefix] if name.prefix else None,
            "suffix": [name.suffix] if name.suffix else None,
        }
    )


def _address(address: Address) -> Json:
    return without_empty(
        {
            "line": list(address.lines),
            "city": address.city,
            "state": address.state,
            "postalCode": address.postal_code,
            "country": address.country,
        }
    )
