"""Which message types say something to bill by, and why the others do not."""

from __future__ import annotations

from collections.abc import Mapping

from fhir_coder.hl7v2.rules import FeedRules

PERSON_TYPES = frozenset({"ADT^A28", "ADT^A31"})
"""The types that say something of a person outside any visit."""

BILLING_TYPES = frozenset(
    {f"ADT^{event}" for event in ("A01", "A02", "A03", "A04", "A05", "A06", "A07", "A08", "A11", "A12", "A13")}
    | {f"ADT^{event}" for event in ("A27", "A38")}
    | {f"ADT^{event}" for event in ("A18", "A30", "A34", "A35", "A36", "A37", "A39", "A40", "A41", "A42", "A43", "A44")}
    | {f"ADT^{event}" for event in ("A45", "A47", "A49", "A50", "A51")}
    | PERSON_TYPES
    | {f"BAR^{event}" for event in ("P01", "P05", "P06", "P12")}
    | {"DFT^P03", "DFT^P11", "VXU^V04"}
)
"""The message types that are read for facts where a feed's rules say nothing else."""

ORDER_FAMILIES = frozenset({"ORU", "ORM", "OML", "OMG"})
"""Results and orders: read only where a feed's rules list them, as a charge for the same work often comes too."""

READABLE_FAMILIES = frozenset({"ADT", "BAR", "DFT", "VXU"}) | ORDER_FAMILIES
"""The families whose events a feed's rules may list."""

_NUMBER = "a deprecated event that changes a number by which no visit is known (PID-2, PID-4)"
_DELETED = "a person is deleted at the sender: the visits and their claims stay as they are"

NEVER_BILLED: Mapping[str, str] = {
    "ADT^A17": "two patients swap beds: the messages of their visits say where each of them lies",
    "ADT^A29": _DELETED,
    "ADT^A46": _NUMBER,
    "ADT^A48": _NUMBER,
    "BAR^P02": "an account is purged at the sender: its claims stay as they are",
}
"""Types that no rule can make billable, with the reason."""


def is_billed(kind: str, rules: FeedRules | None = None) -> bool:
    """Whether messages of a type (`DFT^P03`) are read for facts; others are acknowledged and recorded as ignored."""
    return not why_ignored(kind, rules)


def why_ignored(kind: str, rules: FeedRules | None = None) -> str:
    """Why messages of a type are not read for facts, empty where they are."""
    rules = rules or _STANDARD
    if kind in BILLING_TYPES and not rules.ignore:
        return ""
    if kind in NEVER_BILLED:
        return NEVER_BILLED[kind]
    family = kind.partition("^")[0]
    every = f"{family}^*"
    if kind in rules.ignore or every in rules.ignore:
        return "a type that the feed's rules ignore"
    if kind in BILLING_TYPES or kind in rules.bill or every in rules.bill:
        return ""
    if family in ORDER_FAMILIES:
        return "orders and results bill nothing unless the feed's rules list their type (bill)"
    return "a type that bills nothing"


_STANDARD = FeedRules()
