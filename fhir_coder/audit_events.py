"""The audit trail as FHIR R4 AuditEvent (hl7.org/fhir/R4/auditevent.html)."""

from __future__ import annotations

from fhir_coder.model import Json
from fhir_coder.store.audit import READ, KeptEntry

_DICOM = "http://dicom.nema.org/resources/ontology/DCM"
_OBJECTS = "http://terminology.hl7.org/CodeSystem/audit-entity-type"
_RECORD = {"system": _DICOM, "code": "110110", "display": "Patient Record"}
_EXPORT = {"system": _DICOM, "code": "110106", "display": "Export"}


def audit_event(kept: KeptEntry) -> Json:
    """One entry. Its number is the id; the chain's hash stands in `entity.detail`."""
    entry = kept.entry
    detail = [{"type": "shown", "valueString": entry.shown}, {"type": "hash", "valueString": kept.hash}]
    what = {"what": {"identifier": {"value": entry.subject_id}}} if entry.subject_id else {}
    return {
        "resourceType": "AuditEvent",
        "id": str(kept.id),
        "type": _RECORD if entry.action == READ else _EXPORT,
        "action": entry.action,
        "recorded": kept.at.isoformat(),
        "outcome": "0",
        "agent": [{"altId": entry.actor, "requestor": True}],
        "source": {"observer": {"display": "fhir_coder"}, "type": [{"system": _SOURCES, "code": "4"}]},
        "entity": [{**what, "type": {"system": _OBJECTS, "code": "2"}, "name": entry.subject, "detail": detail}],
    }


_SOURCES = "http://terminology.hl7.org/CodeSystem/security-source-type"
