"""People's work: the statuses of a work item, the rules of its priority, and what a person decided for one chart."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from fhir_coder.model.values import Coding, Money


class ItemStatus(enum.StrEnum):
    """Where a work item stands (docs/reference/statuses.md)."""

    OPEN = "open"
    HELD = "held"
    ASKED = "asked"
    REVIEW = "review"
    RELEASED = "released"
    CLOSED = "closed"


class Care(enum.StrEnum):
    """Which kind of visit a work item is about; a stay counts before anything else."""

    INPATIENT = "inpatient"
    OUTPATIENT = "outpatient"


@dataclass(frozen=True, slots=True)
class VisitStakes:
    """What the worklist orders a visit's items by. `specialty` is a NUCC taxonomy code, else the ward or clinic.

    `charged` is the sum of its charges as sent, None where none has an amount or they are of several currencies.
    """

    care: Care
    specialty: str = ""
    is_emergency: bool = False
    charged: Money | None = None


@dataclass(frozen=True, slots=True)
class WorkRules:
    """How the worklist orders and lends items.

    An item is wanted done at a time: `days` after it was opened, `filing_days` before timely filing ends, or
    `payer_days` before a payer's own deadline, whichever is first; and a day earlier for each `amount_per_day` that
    waits (at most `most_amount_days`), `inpatient_days` for a stay, `emergency_days` for an emergency (STAT),
    `escalated_days` where a person escalated it. The time does not depend on today: no item is ordered anew because a
    day has passed. `lease_minutes` is how long an item is lent, `skip_hours` how long who skipped it is not offered it.
    `specialties` are the site's names of specialties by what its messages say (a NUCC taxonomy code, or a ward).
    """

    days: int = 5
    filing_days: int = 14
    payer_days: int = 3
    amount_per_day: Decimal = Decimal(5000)
    most_amount_days: int = 5
    inpatient_days: int = 1
    emergency_days: int = 3
    escalated_days: int = 30
    lease_minutes: int = 30
    skip_hours: int = 8
    specialties: Mapping[str, str] = field(default_factory=dict)


class ClaimField(enum.StrEnum):
    """What a person may correct on a claim (docs/reference/commands.md, `claims correct`)."""

    PRIOR_AUTHORIZATION = "prior-auth"
    REFERRAL = "referral"
    MEMBER_ID = "member-id"
    GROUP = "group"
    RELATIONSHIP = "relationship"
    ORIGINAL_REFERENCE = "original-reference"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class ClaimCorrection:
    """What a person says of the claim of one slot over what the messages say; `at` is ISO 8601."""

    slot: str
    field: str
    value: str
    actor: str
    at: str
    why: str = ""


@dataclass(frozen=True, slots=True)
class PersonDecision:
    """What a person decided about one code of one chart: it goes before every table.

    It is about all facts of the chart with the code `system|code`; for words without a code, about those with the same
    `text`. `targets` are the billing codes, the first one first; none means not billable. `pointers` are the billing
    codes of the diagnoses that its lines point to, none: as the chart says. `actor`, `at` (ISO 8601) and `why` go into
    the trace, with the number of the work `item`.
    """

    system: str
    code: str
    targets: tuple[Coding, ...]
    actor: str
    at: str
    text: str = ""
    modifiers: tuple[Coding, ...] = ()
    pointers: tuple[str, ...] = ()
    why: str = ""
    item: int = 0
