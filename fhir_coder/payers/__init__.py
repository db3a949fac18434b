"""Claims to payers: send, look up, ask for the decision. `sandbox` is a payer to test against."""

from __future__ import annotations

from fhir_coder.payers.base import PROFILES, BaseProfile, profile_named
from fhir_coder.payers.client import ClientOptions, PayerClient, Try
from fhir_coder.payers.profile import PayerProfile, PayerRequest

__all__ = [
    "PROFILES",
    "BaseProfile",
    "ClientOptions",
    "PayerClient",
    "PayerProfile",
    "PayerRequest",
    "Try",
    "profile_named",
]
