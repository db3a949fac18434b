"""How the sandbox speaks: what it refuses, how a decision reads, and what an answer to $submit looks like."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Protocol

from fhir_coder.model import Json
from fhir_coder.payers.sandbox import adjudicate, pas
from fhir_coder.payers.sandbox.adjudicate import TakenClaim
from fhir_coder.payers.sandbox.rules import Rules
from fhir_coder.payers.sandbox.store import KeptClaim
from fhir_coder.payers.sandbox.validate import Received, faults_of


class Dialect(Protocol):
    """One payer profile, from the payer's side."""

    @property
    def name(self) -> str:
        """What the settings call the profile."""

    @property
    def is_inquired(self) -> bool:
        """Whether claims are asked after by Claim/$inquire, and neither created nor searched for."""

    def faults_of(self, received: Received) -> list[Json]:
        """Everything a submission is refused for, as issues."""

    def decided(self, taken: TakenClaim, rules: Rules, at: datetime) -> Json:
        """The ClaimResponse with the decision."""

    def pended(self, response: Json) -> Json:
        """The same response before the decision is made."""

    def answer(self, kept: KeptClaim, response: Json) -> Json:
        """What $submit answers with."""


class BaseDialect:
    """Plain FHIR R4."""

    name = "base"
    is_inquired = False

    def faults_of(self, received: Received) -> list[Json]:
        """Faults of structure, and what this payer needs beyond the standard."""
        return faults_of(received)

    def decided(self, taken: TakenClaim, rules: Rules, at: datetime) -> Json:
        """Amounts for each line."""
        return adjudicate.decided(taken, rules, at)

    def pended(self, response: Json) -> Json:
        """Outcome queued."""
        return adjudicate.queued(response)

    def answer(self, kept: KeptClaim, response: Json) -> Json:  # noqa: ARG002 - others send the parties along
        """The ClaimResponse itself."""
        return response


class DaVinciPas:
    """Da Vinci PAS 2.2.1: preauthorizations in Bundles."""

    name = "davinci-pas"
    is_inquired = True

    def faults_of(self, received: Received) -> list[Json]:
        """What the guide's request Bundle and Claim must have."""
        return pas.faults_of(received)

    def decided(self, taken: TakenClaim, rules: Rules, at: datetime) -> Json:
        """A review code for each line."""
        return pas.decided(taken, rules, at)

    def pended(self, response: Json) -> Json:
        """Review code A4."""
        return pas.pended(response)

    def answer(self, kept: KeptClaim, response: Json) -> Json:
        """A Bundle with the response and the parties it names."""
        return pas.response_bundle(kept, response)


DIALECTS: Mapping[str, Dialect] = {dialect.name: dialect for dialect in (BaseDialect(), DaVinciPas())}
"""Every profile the sandbox speaks, by the name the settings use."""
