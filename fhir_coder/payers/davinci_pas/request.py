"""A preauthorization, its update, its cancelling and the question for its decision: PAS request Bundles."""

from __future__ import annotations

from collections.abc import Collection

from fhir_coder.claims.elements import without_empty
from fhir_coder.claims.wire import to_bytes
from fhir_coder.model import Identifier, Json, PasRules
from fhir_coder.payers.answer import codes, member, objects, read_json, text
from fhir_coder.payers.davinci_pas.codes import (
    ACCIDENT,
    ACCIDENTS,
    CANCEL,
    CERTIFICATION,
    DIAGNOSIS_TYPES,
    ENCOUNTER_EXTENSION,
    ENTITY,
    LEVEL_OF_SERVICE,
    PROFILES,
    ROLES,
    TEMP_CODES,
    concept,
    extension,
    profiled,
)
from fhir_coder.payers.davinci_pas.items import item_of
from fhir_coder.payers.davinci_pas.parties import Parties
from fhir_coder.payers.envelope import entries_of, timestamp_of

_KEPT = ("type", "priority", "billablePeriod", "procedure", "total")


def request_bundle(body: bytes, identifier: Identifier, rules: PasRules) -> bytes:
    """The Bundle for Claim/$submit: the request first, then everything it refers to, each once.

    A claim that is about a prior one becomes an update; one that voids becomes an update that cancels all of it.
    """
    claim = read_json(body)
    request = _Request(claim, identifier, rules)
    profile = "claim-update" if claim.get("related") else "claim"
    return _bundle(request.made(profile), identifier, "pas-request-bundle")


def inquiry_bundle(body: bytes, identifier: Identifier, rules: PasRules) -> bytes:
    """The Bundle for Claim/$inquire: whose request, from whom, and what it was called."""
    request = _Request(read_json(body), identifier, rules)
    return _bundle(request.inquiry(), identifier, "pas-inquiry-request-bundle")


def _bundle(claim: Json, identifier: Identifier, profile: str) -> bytes:
    entries = entries_of(claim, identifier)
    for entry in entries:
        # Whoever keeps the resources under names of its own finds them by these.
        name = entry["fullUrl"].removeprefix("urn:uuid:")
        entry["resource"] = {"resourceType": entry["resource"]["resourceType"], "id": name, **entry["resource"]}
    made = {
        "resourceType": "Bundle",
        "meta": {"profile": [f"{PROFILES}profile-{profile}"]},
        "identifier": {"system": identifier.system, "value": identifier.value},
        "type": "collection",
        "timestamp": timestamp_of(claim),
        "entry": entries,
    }
    return to_bytes(made)


class _Request:
    """Makes one request's Claim; what it refers to is contained until the Bundle is made."""

    def __init__(self, claim: Json, identifier: Identifier, rules: PasRules) -> None:
        self.claim, self.identifier, self.rules = claim, identifier, rules
        self.parties = Parties(claim, rules)

    def made(self, profile: str) -> Json:
        """The Claim of a request, an update or a cancelling."""
        focal = self._focal()
        header = self._header(focal)
        team = self._care_team()
        of_items = [m["sequence"] for m in team if not m["extension"][0]["valueBoolean"]]
        encounter = self._encounter()
        claim = {
            **header,
            "extension": [*self._extensions(), *([encounter] if encounter else [])],
            "related": self.claim.get("related"),
            "careTeam": team,
            "supportingInfo": self._supporting_info(),
            "diagnosis": [self._diagnosis(d) for d in objects(self.claim, "diagnosis")],
            "insurance": self._insurance(focal),
            "accident": self._accident(),
            "item": self._items(of_items),
        }
        return self._whole(claim, profile)

    def inquiry(self) -> Json:
        """The Claim of an inquiry: no service is named, so that the answer is about all of them."""
        focal = self._focal()
        period = {k: v[:10] for k, v in self.claim.get("billablePeriod", {}).items()}
        claim = self._header(focal) | {"billablePeriod": period, "insurance": self._insurance(focal)}
        claim.pop("procedure", None)
        claim.pop("total", None)
        return self._whole(claim, "claim-inquiry")

    def _whole(self, claim: Json, profile: str) -> Json:
        whole = {"resourceType": "Claim", "contained": self.parties.made, **claim}
        return profiled(without_empty(whole), profile)

    def _header(self, focal: Json) -> Json:
        kept = {k: self.claim[k] for k in _KEPT if k in self.claim}
        coverage = self.parties.known(text(member(focal, "coverage"), "reference"))
        patient = text(member(self.claim, "patient"), "reference") or text(member(coverage, "beneficiary"), "reference")
        return {
            "identifier": self.claim.get("identifier"),
            # A request stays active when it is cancelled: its certification type says so.
            "status": "active",
            **kept,
            "use": "preauthorization",
            "patient": self.parties.add(patient),
            "created": self.claim.get("created"),
            "insurer": self.parties.add(text(member(self.claim, "insurer"), "reference")),
            "provider": self._provider(),
        }

    def _provider(self) -> Json | None:
        reference = text(member(self.claim, "provider"), "reference")
        if self.parties.known(reference).get("resourceType") == "Practitioner":
            return self.parties.add_role(reference, None)
        return self.parties.add(reference)

    def _focal(self) -> Json:
        return next((i for i in objects(self.claim, "insurance") if i.get("focal") is True), {})

    def _insurance(self, focal: Json) -> list[Json]:
        """The coverage that is asked, alone: every coverage of a PAS request is focal."""
        coverage = self.parties.add_coverage(text(member(focal, "coverage"), "reference"))
        return [{"sequence": 1, "focal": True, "coverage": coverage}]

    def _extensions(self) -> list[Json]:
        rules = self.rules
        made = []
        if rules.sender and rules.receiver:
            named = {"applicationSenderCode": rules.sender, "applicationReceiverCode": rules.receiver}
            parts = [{"url": url, "valueString": value} for url, value in named.items()]
            made.append(extension("TransmissionIdentifiers", extension=parts))
        if rules.level_of_service:
            level = concept(LEVEL_OF_SERVICE, rules.level_of_service)
            made.append(extension("levelOfServiceCode", valueCodeableConcept=level))
        if text(self.claim, "status") == "cancelled":
            made.append(extension("certificationType", valueCodeableConcept=concept(CERTIFICATION, CANCEL)))
        return made

    # --- people and stay

    def _care_team(self) -> list[Json]:
        team = [self._member(m) for m in objects(self.claim, "careTeam")]
        return [m for m in team if m]

    def _member(self, told: Json) -> Json | None:
        taxonomy: Json | None = told.get("qualification")
        provider = self.parties.add_role(text(member(told, "provider"), "reference"), taxonomy)
        if provider is None:
            return None
        code, is_overall = ROLES.get(text(told.get("role"), "text"), ("", False))
        made = {
            "extension": [extension("careTeamClaimScope", valueBoolean=is_overall)],
            "sequence": told["sequence"],
            "provider": provider,
            "role": concept(ENTITY, code) if code else None,
            "qualification": taxonomy,
        }
        return without_empty(made)

    def _info(self, category: str) -> Json:
        return next((i for i in objects(self.claim, "supportingInfo") if category in codes(i.get("category"))), {})

    def _encounter(self) -> Json | None:
        """The stay, where it is one and its priority was told: PAS tells of stays in an Encounter."""
        period = member(self._info("admissionperiod"), "timingPeriod")
        priority, origin, status = (
            self._info(name).get("code") for name in ("admtype", "pointoforigin", "discharge-status")
        )
        if not (period and priority):
            return None
        patient_status = extension("patientStatus", valueCodeableConcept=status) if status else None
        stay = {
            "resourceType": "Encounter",
            "id": "stay",
            "extension": [patient_status] if patient_status else None,
            "status": "planned",
            "class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "IMP"},
            "type": [priority],
            "subject": self.claim.get("patient"),
            "period": period,
            "hospitalization": {"admitSource": origin} if origin else None,
        }
        self.parties.made.append(profiled(without_empty(stay), "encounter"))
        return {"url": ENCOUNTER_EXTENSION, "valueReference": {"reference": "#stay"}}

    # --- dates, diagnoses, services

    def _supporting_info(self) -> list[Json]:
        stay = _days(member(self._info("admissionperiod"), "timingPeriod"))
        event = {} if stay else _days(self.claim.get("billablePeriod", {}))
        told: list[tuple[str, Json]] = []
        if "start" in event:
            told.append(("patientEvent", _timing(event)))
        if "start" in stay:
            told.append(("admissionDates", {"timingDate": stay["start"]}))
        if "end" in stay:
            told.append(("dischargeDates", {"timingDate": stay["end"]}))
        return [
            {"sequence": place, "category": concept(TEMP_CODES, code), **timing}
            for place, (code, timing) in enumerate(told, start=1)
        ]

    def _diagnosis(self, told: Json) -> Json:
        types = [c for one in objects(told, "type") for c in codes(one) if c in DIAGNOSIS_TYPES]
        made = {
            "sequence": told["sequence"],
            "diagnosisCodeableConcept": told.get("diagnosisCodeableConcept"),
            "type": [concept(TEMP_CODES, types[0])] if types else None,
        }
        return without_empty(made)

    def _accident(self) -> Json | None:
        told = member(self.claim, "accident")
        if not told:
            return None
        kind = next((ACCIDENTS[c] for c in codes(told.get("type")) if c in ACCIDENTS), "")
        rest = {k: v for k, v in told.items() if k != "type"}
        return rest | {"type": concept(ACCIDENT, kind)} if kind else rest

    def _items(self, team: Collection[int]) -> list[Json]:
        return [item_of(i, self.claim, self.rules, self.identifier, team) for i in objects(self.claim, "item")]


def _days(period: Json) -> Json:
    """The days of a period that are known to the day: PAS takes no others."""
    return {k: v[:10] for k, v in period.items() if k in ("start", "end") and len(v) >= 10}


def _timing(period: Json) -> Json:
    start, end = period["start"], period.get("end")
    return {"timingPeriod": period} if end and end != start else {"timingDate": start}
