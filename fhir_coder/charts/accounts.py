"""The FHIR Accounts that a visit is billed to: its account number, whose benefits come first, how diagnoses rank."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from fhir_coder.model import AccountFact, CoverageFact, DiagnosisUse, VisitFact


@dataclass
class Accounts:
    """The accounts that a chart draws on, by identity."""

    known: dict[str, AccountFact] = field(default_factory=dict)

    def take(self, fact: AccountFact) -> None:
        """Take an account in, or away where it is removed."""
        if fact.removed:
            self.known.pop(fact.identity, None)
        else:
            self.known[fact.identity] = fact

    def of(self, visit: VisitFact | None) -> AccountFact | None:
        """The account that the visit names; the patient's only one where it names none."""
        if visit and visit.account_refs:
            return next((self.known[ref] for ref in visit.account_refs if ref in self.known), None)
        return next(iter(self.known.values())) if len(self.known) == 1 else None


def numbered(visit: VisitFact, account: AccountFact | None) -> VisitFact:
    """The visit with its account's number where it did not say it itself."""
    return visit if visit.account or account is None else replace(visit, account=account.number)


def ranked(said: tuple[DiagnosisUse, ...], account: AccountFact | None) -> tuple[DiagnosisUse, ...]:
    """What diagnoses are to the visit: the account's rank and word, made for the bill, over the visit's own."""
    if account is None or not account.diagnosis_uses:
        return said
    uses = {use.ref: use.use for use in reversed(said)}
    billed = tuple(replace(use, use=use.use or uses.get(use.ref, "")) for use in account.diagnosis_uses)
    listed = {use.ref for use in billed}
    return (*billed, *(use for use in said if use.ref not in listed))


def in_order(coverages: Iterable[CoverageFact], account: AccountFact | None) -> tuple[CoverageFact, ...]:
    """Coverages in the account's order of benefits; those it does not name come after those it names."""
    order = dict(account.coverage_order) if account else {}
    if not order:
        return tuple(coverages)
    last = max(order.values())
    placed = (replace(c, order=order.get(c.identity, last + c.order)) for c in coverages)
    return tuple(sorted(placed, key=lambda c: c.order))
