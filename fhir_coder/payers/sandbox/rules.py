"""The sandbox's rules: what is told of them, and what can be set of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal

RULES_TEXT = """\
The sandbox payer's rules, in their order:

1. A claim with a fault of structure is refused (422).
2. A claim identifier it has already: 409, or the claim it has where If-None-Exist asks so.
3. A claim with a prior related claim replaces that claim, or with frequency 5 of its type of bill adds to it; a prior
   claim it does not have is a refusal.
4. A cancelled claim, or one of frequency 8, is taken and nothing is paid; a prior related claim is voided by it. To
   void or replace a claim that is voided already is a refusal.
5. Where members are listed, a subscriber id that is none of them: every line is denied (member-unknown).
6. A subscriber id that begins with INACTIVE, or a service outside of the member's days: denied (coverage-inactive).
7. With deny_duplicates, a line that bills the same service of the same day for the same member as a line of another
   claim that stands: denied (duplicate).
8. A line whose code is denied, or is none of the covered ones where these are listed: denied (not-covered).
9. A line whose code needs an authorization, without a number (authorization-missing) or with one that is not on
   the list (authorization-unknown): denied.
10. Every other line is allowed its net amount, or the fee of its code times its quantity where that is less. Paid are
   80 % of what is allowed, rounded half up to the cent, and never more than is left of the net amount after what the
   payers before have paid (their ClaimResponses on the claim).
11. With a pend time the answer is queued first, and decided when that time is over.
"""


@dataclass(frozen=True, slots=True)
class Member:
    """Someone the payer covers from one day to another, both included; None where there is no limit."""

    since: date | None = None
    until: date | None = None

    def is_covered(self, day: date) -> bool:
        """Whether a service of this day is covered."""
        return (self.since or day) <= day <= (self.until or day)


@dataclass(frozen=True, slots=True)
class Client:
    """Someone who may ask for tokens: by a secret, or by an assertion signed with a key of a JWK Set.

    `keys` is the set's address or its file; a file is read at each use, so that a new key needs no restart.
    """

    id: str
    secret: str = ""
    keys: str = ""


@dataclass(frozen=True, slots=True)
class Rules:
    """What can be set of the rules. Without clients no login is asked for. Empty sets and maps set no limit."""

    paid_percent: Decimal = Decimal(80)
    denied_codes: frozenset[str] = frozenset()
    covered_codes: frozenset[str] = frozenset()
    inactive_prefix: str = "INACTIVE"
    members: Mapping[str, Member] = field(default_factory=dict)
    fees: Mapping[str, Decimal] = field(default_factory=dict)
    authorization_codes: frozenset[str] = frozenset()
    authorization_numbers: frozenset[str] = frozenset()
    deny_duplicates: bool = False
    pend_seconds: float = 0.0
    pend_codes: frozenset[str] = frozenset()
    clients: tuple[Client, ...] = ()
    token_seconds: int = 300


PUBLISHED_RULES = Rules()
"""The rules as `RULES_TEXT` tells them."""
