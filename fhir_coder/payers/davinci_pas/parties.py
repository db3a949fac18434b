"""The parties of a preauthorization: what the claim contains, as PAS asks for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from fhir_coder.claims.elements import without_empty
from fhir_coder.model import Json, PasRules
from fhir_coder.payers.answer import codes, member, objects, text
from fhir_coder.payers.davinci_pas.codes import (
    ENTITY,
    MEMBER_TYPE,
    OTHER_RELATIONSHIP,
    RELATIONSHIP,
    RELATIONSHIPS,
    TAX_ID,
    concept,
    profiled,
)

_US_TAX_ID = "urn:oid:2.16.840.1.113883.4.4"


class Parties:
    """The contained resources of a claim by their local references, and as PAS has them.

    `insurer` and `provider` are the local references of the claim's own; any other organization is a plain one.
    """

    def __init__(self, claim: Json, rules: PasRules) -> None:
        self._claim, self._rules = claim, rules
        self._known: Mapping[str, Json] = {f"#{r['id']}": r for r in objects(claim, "contained")}
        self.made: list[Json] = []

    def known(self, reference: str) -> Json:
        """A contained resource as the claim has it, empty where there is none."""
        return self._known.get(reference, {})

    def add(self, reference: str) -> Json:
        """Add a contained party once, and answer the reference to it."""
        resource = self._known.get(reference)
        if resource and not any(f"#{r['id']}" == reference for r in self.made):
            self.made.append(self._shaped(resource))
        return {"reference": reference}

    def add_coverage(self, reference: str) -> Json:
        """Add the coverage that is asked, with its subscriber."""
        coverage = self._known.get(reference)
        if coverage:
            subscriber = text(member(coverage, "subscriber"), "reference")
            person = self._known.get(subscriber, {})
            if person.get("resourceType") == "RelatedPerson":
                self.made.append(self._subscriber(person, coverage))
            self.made.append(self._coverage(coverage))
        return {"reference": reference}

    def add_role(self, reference: str, taxonomy: Json | None) -> Json | None:
        """Add a doctor as a PractitionerRole, which the care team asks for.

        None where the doctor has no name or identifier, without which US Core knows no practitioner.
        """
        person = self._known.get(reference, {})
        if not (_with_family(person) and self._identifiers(person)):
            return None
        role_id = f"{person['id']}-role"
        if not any(r["id"] == role_id for r in self.made):
            self.add(reference)
            provider = text(member(self._claim, "provider"), "reference")
            is_ours = self.known(provider).get("resourceType") == "Organization"
            role = {
                "resourceType": "PractitionerRole",
                "id": role_id,
                "practitioner": {"reference": reference},
                "organization": {"reference": provider} if is_ours else None,
                "specialty": [taxonomy] if taxonomy else None,
                "telecom": self._telecom(),
            }
            self.made.append(profiled(without_empty(role), "practitionerrole"))
        return {"reference": f"#{role_id}"}

    def _shaped(self, resource: Json) -> Json:
        shapes: Mapping[str, Callable[[Json], Json]] = {
            "Patient": self._patient,
            "Organization": self._organization,
            "Practitioner": lambda person: profiled(self._identified(person), "practitioner"),
        }
        shape = shapes.get(resource["resourceType"])
        return shape(resource) if shape else self._identified(resource)

    def _patient(self, patient: Json) -> Json:
        # US Core asks for the sex; one that nobody told is unknown.
        born = text(patient, "birthDate")
        full = {"birthDate": born if len(born) == 10 else None, "gender": text(patient, "gender") or "unknown"}
        return profiled(without_empty(self._identified(patient) | full), "beneficiary")

    def _subscriber(self, person: Json, coverage: Json) -> Json:
        patient = {
            "resourceType": "Patient",
            "id": person["id"],
            "identifier": [self._member_id(coverage)],
            "name": person.get("name"),
            "gender": text(person, "gender") or "unknown",
        }
        return profiled(without_empty(patient), "subscriber")

    def _organization(self, organization: Json) -> Json:
        local = f"#{organization['id']}"
        is_insurer = local == text(member(self._claim, "insurer"), "reference")
        is_provider = local == text(member(self._claim, "provider"), "reference")
        made = self._identified(organization) | {"active": True}
        if not (is_insurer or is_provider):
            return profiled(made, "organization")
        facility = "FA" if "institutional" in codes(self._claim.get("type")) else "1P"
        made["type"] = [concept(ENTITY, "PR" if is_insurer else facility), *objects(organization, "type")]
        if is_provider:
            contact = without_empty(
                {"name": {"text": self._rules.contact_name} if self._rules.contact_name else None}
                | {"telecom": self._telecom()}
            )
            made["contact"] = [contact]
        return profiled(made, "insurer" if is_insurer else "requestor")

    def _coverage(self, coverage: Json) -> Json:
        told = next(iter(codes(coverage.get("relationship"))), "")
        codings = objects(coverage.get("relationship"), "coding")
        x12 = {"system": RELATIONSHIP, "code": RELATIONSHIPS.get(told, OTHER_RELATIONSHIP)} if told else None
        made = coverage | {
            "identifier": [self._member_id(coverage)],
            "relationship": {"coding": [*codings, x12]} if x12 else None,
            "payor": [self.add(text(payor, "reference")) for payor in objects(coverage, "payor")],
        }
        return profiled(without_empty(made), "coverage")

    def _member_id(self, coverage: Json) -> Json:
        value = text(coverage, "subscriberId")
        return {"type": concept(MEMBER_TYPE, "MB"), "system": self._rules.identifier_system, "value": value}

    def _telecom(self) -> list[Json]:
        return [{"system": "phone", "value": self._rules.contact_phone, "use": "work"}]

    def _identified(self, resource: Json) -> Json:
        return without_empty(resource | {"identifier": self._identifiers(resource)})

    def _identifiers(self, resource: Json) -> list[Json]:
        return [self._identifier(i) for i in objects(resource, "identifier") if text(i, "value")]

    def _identifier(self, identifier: Json) -> Json:
        """An identifier with a system: PAS takes none without. The assigner's own name is kept beside ours."""
        system = text(identifier, "system")
        system = TAX_ID if system == _US_TAX_ID else system or self._rules.identifier_system
        return identifier | {"system": system}


def _with_family(person: Json) -> bool:
    return any(text(name, "family") for name in objects(person, "name"))
