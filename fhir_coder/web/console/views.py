"""Who has looked at what: each view of a record is written down with its events."""

from __future__ import annotations

from fastapi import Request

from fhir_coder.store.corrections import record_viewing
from fhir_coder.web.console.site import site_of
from fhir_coder.web.console.viewer import viewer_of


def viewed(request: Request, subject: str, subject_id: str, shown: str) -> None:
    """Write down that the viewer sees a record (`message`, `claim`, `chart`). `shown`: what of it, in fixed words."""
    record_viewing(site_of(request).ledger, subject_id, shown, viewer_of(request).name, subject)
