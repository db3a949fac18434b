"""Claims to payers: send, look up, ask for the decision. `sandbox` is a payer to test against."""

from __future__ import annotations

from fhir_coder.payers.base import BaseProfile
from fhir_coder.payers.client import ClientOptions, PayerClient, Try
from fhir_coder.payers.davinci_pas import DaVinciPas
from fhir_coder.payers.profile import PayerProfile, PayerRequest
from fhir_coder.payers.profiles import PROFILES, profile_of

__all__ = [
    "PROFILES",
    "BaseProfile",
    "ClientOptions",
    "DaVinciPas",
    "PayerClient",
    "PayerProfile",
    "PayerRequest",
    "Try",
    "profile_of",
]
