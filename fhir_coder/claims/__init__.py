"""Coded chart to FHIR R4 Claim: when, which claims, who pays, how a claim is built, how its bytes are written."""

from fhir_coder.claims.arrange import arranged, with_authorization
from fhir_coder.claims.bill import ClaimNumber, ClaimPlace
from fhir_coder.claims.build import build_claim
from fhir_coder.claims.corrected import corrected, with_original
from fhir_coder.claims.drg import WEIGHT_TABLE, with_drg
from fhir_coder.claims.kinds import claim_type
from fhir_coder.claims.parts import parts_of
from fhir_coder.claims.payer import (
    choose_payer,
    coverages_not_billed,
    payer_name,
    payers_asked_ahead,
    payers_in_order,
)
from fhir_coder.claims.void import void_claim
from fhir_coder.claims.when import wait_of
from fhir_coder.claims.wire import content_hash, to_bytes

__all__ = [
    "WEIGHT_TABLE",
    "ClaimNumber",
    "ClaimPlace",
    "arranged",
    "build_claim",
    "choose_payer",
    "claim_type",
    "content_hash",
    "corrected",
    "coverages_not_billed",
    "parts_of",
    "payer_name",
    "payers_asked_ahead",
    "payers_in_order",
    "to_bytes",
    "void_claim",
    "wait_of",
    "with_authorization",
    "with_drg",
    "with_original",
]
