"""Addresses and codes of Da Vinci PAS 2.2.1 and of the X12 278 behind it."""

from __future__ import annotations

from collections.abc import Mapping

from fhir_coder.model import Json

PROFILES = "http://hl7.org/fhir/us/davinci-pas/StructureDefinition/"
TEMP_CODES = "http://hl7.org/fhir/us/davinci-pas/CodeSystem/PASTempCodes"
TOPIC = "http://hl7.org/fhir/us/davinci-pas/SubscriptionTopic/PASSubscriptionTopic"
BACKPORT = "http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition/"
ENCOUNTER_EXTENSION = "http://hl7.org/fhir/5.0/StructureDefinition/extension-Claim.encounter"
MEMBER_TYPE = "http://terminology.hl7.org/CodeSystem/v2-0203"
TAX_ID = "http://terminology.hl7.org/NamingSystem/USEIN"
_X12 = "https://codesystem.x12.org/005010/"

ENTITY, REQUEST_TYPE, CERTIFICATION, SERVICE_TYPE = (f"{_X12}{n}" for n in ("98", "1525", "1322", "1365"))
LEVEL_OF_SERVICE, RELATIONSHIP, UNITS, ACCIDENT = (f"{_X12}{n}" for n in ("1338", "1069", "673", "1362"))

INITIAL, REVISED, CANCEL = "I", "S", "3"
"""Certification types (X12 1322)."""

RELATIONSHIPS: Mapping[str, str] = {"self": "18", "spouse": "01", "child": "19"}
"""Subscriber relationship of FHIR -> X12 1069; any other is G8, another relationship."""

OTHER_RELATIONSHIP = "G8"

ROLES: Mapping[str, tuple[str, bool]] = {
    "attending": ("71", True),
    "admitting": ("AAJ", True),
    "referring": ("DN", True),
    "surgeon": ("72", False),
    "rendering": ("SJ", False),
    "ordering": ("DK", False),
    "assisting": ("DD", False),
    "primary": ("P3", False),
}
"""Role on the care team -> entity code (X12 98), and whether it is about the whole request (278 loop 2010EA) or about
single services (2010F). A role that is not here is told of single services, without a code."""

ACCIDENTS: Mapping[str, str] = {"MVA": "AA", "WPA": "EM"}
"""Kind of accident (ActCode) -> X12 1362. Other kinds have none."""

DIAGNOSIS_TYPES = frozenset({"admitting", "principal", "patientreasonforvisit"})

UNIT, UNIT_NAME = "FL", "units"


def concept(system: str, code: str) -> Json:
    """A CodeableConcept of one code."""
    return {"coding": [{"system": system, "code": code}]}


def extension(name: str, **value: object) -> Json:
    """A PAS extension: `extension("certificationType", valueCodeableConcept=...)`."""
    return {"url": f"{PROFILES}extension-{name}", **value}


def profiled(resource: Json, profile: str) -> Json:
    """The resource, saying which PAS profile it follows."""
    rest = {k: v for k, v in resource.items() if k != "resourceType"}
    return {"resourceType": resource["resourceType"], "meta": {"profile": [f"{PROFILES}profile-{profile}"]}, **rest}
