"""Coded chart to FHIR R4 Claim: who pays, how the claim is built, how its bytes are written."""

from fhir_coder.claims.build import build_claim
from fhir_coder.claims.payer import choose_payer, payer_name
from fhir_coder.claims.wire import content_hash, to_bytes

__all__ = ["build_claim", "choose_payer", "content_hash", "payer_name", "to_bytes"]
