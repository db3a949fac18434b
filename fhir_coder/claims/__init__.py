"""Coded chart to FHIR R4 Claim: when, which claims, who pays, how a claim is built, how its bytes are written."""

from fhir_coder.claims.build import build_claim, claim_type
from fhir_coder.claims.payer import choose_payer, payer_name, payers_in_order
from fhir_coder.claims.void import void_claim
from fhir_coder.claims.when import wait_of
from fhir_coder.claims.wire import content_hash, to_bytes

__all__ = [
    "build_claim",
    "choose_payer",
    "claim_type",
    "content_hash",
    "payer_name",
    "payers_in_order",
    "to_bytes",
    "void_claim",
    "wait_of",
]
