"""What differs between payers: how a claim is sent, looked up and asked after, and how the answers are read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from fhir_coder.model import Identifier, Outcome
from fhir_coder.payers.answer import HttpAnswer


@dataclass(frozen=True, slots=True)
class PayerRequest:
    """One HTTP request. `path` is relative to the payer's address, or an address on the same host."""

    method: str
    path: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


class PayerProfile(Protocol):
    """One way of doing business with a payer: envelope and additions, how answers are read, how the unknown is settled.

    `claim` is the claim as the ledger has it, its parties contained. The same claim gives the same bytes each time: a
    repeat must be one. What HTTP answers mean by their status alone is the same for all (outcomes.STATUS_TABLE); what a
    profile knows better it says in its `read_` functions.
    """

    @property
    def name(self) -> str:
        """What the settings call it."""

    @property
    def per_request(self) -> int:
        """How many claims one HTTP request may carry, each in an entry of a batch."""

    def submit_request(self, claim: bytes, identifier: Identifier) -> PayerRequest:
        """How a claim is sent, in its envelope."""

    def read_submit(self, answer: HttpAnswer, identifier: Identifier) -> Outcome:
        """What the answer to a sending means."""

    def find_request(self, identifier: Identifier, claim: bytes = b"") -> PayerRequest:
        """How the payer is asked whether it has a claim."""

    def read_find(self, answer: HttpAnswer, identifier: Identifier) -> Outcome:
        """Found with its reference, not found, or what kept the payer from telling."""

    def poll_request(self, reference: str, identifier: Identifier, claim: bytes = b"") -> PayerRequest:
        """How the payer is asked for its decision."""

    def read_poll(self, answer: HttpAnswer, reference: str, identifier: Identifier) -> Outcome:
        """Answered with the decision, pending, or what kept the payer from telling."""
