"""What payers deny: by payer, code and reason, how often, for how much money, and which edits see it coming.

The claims denied last are checked again as they were made, by the edits of now.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import orjson

from fhir_coder.claims import ClaimNumber
from fhir_coder.filing import as_decided
from fhir_coder.model import Chart, Finding, Json, Purpose, Severity
from fhir_coder.pipeline import Earlier, Occasion, Rulebook, billed_slots, draft_claim
from fhir_coder.store import Ledger, claims, line_decisions, messages
from fhir_coder.store.claims import ClaimRow
from fhir_coder.store.line_decisions import Asked, amount_of

MOST_ROWS = 100
MOST_CHECKED = 200
"""Claims that are checked again, those denied last: some milliseconds each."""


@dataclass(frozen=True, slots=True)
class SeenBy:
    """An edit with findings on claims of a denial: on how many of those checked again, and how many had it when made.

    `severity` is what it is for the payer now. `on_line`: it points to the denied line, not to the claim.
    """

    edit: str
    severity: str
    on_line: bool
    claims: int
    had_it: int


@dataclass(frozen=True, slots=True)
class Denial:
    """A payer's denials of a code (empty: of whole claims) for a reason (empty: none given), in one currency.

    `claims` of the `decided` ones with this code were denied for it, `money` is what their lines had billed. `edits`
    are those that see it now, of the `checked` claims.
    """

    payer: str
    code: str
    reason: str
    currency: str
    claims: int
    decided: int
    money: Decimal | None
    checked: int = 0
    edits: tuple[SeenBy, ...] = ()

    @property
    def percent(self) -> Decimal | None:
        """How many of those decided were denied for it; None where none were decided."""
        return _percent(self.claims, self.decided)


@dataclass(frozen=True, slots=True)
class PayerDenials:
    """How many of a payer's decided claims were denied, whole or in lines, and for how much money, in one currency."""

    payer: str
    currency: str
    claims: int
    decided: int
    money: Decimal | None

    @property
    def percent(self) -> Decimal | None:
        """How many of those decided were denied; None where none were decided."""
        return _percent(self.claims, self.decided)


@dataclass(frozen=True, slots=True)
class Denials:
    """What was denied since a time, what costs most in front: at most MOST_ROWS rows of the `found` there are."""

    since: datetime | None
    payers: tuple[PayerDenials, ...]
    rows: tuple[Denial, ...]
    found: int
    checked: int


CheckAgain = Callable[[ClaimRow], Sequence[Finding] | None]
"""A claim's findings by the edits of now, None where it cannot be made again as it was."""


def make_denials(
    ledger: Ledger, check_again: CheckAgain, since: datetime | None = None, payer: str = "", most: int = MOST_CHECKED
) -> Denials:
    """What payers, or one payer, denied since a time. The `most` claims denied last are checked again."""
    asked = Asked(since, None, payer)
    with ledger.reading() as connection:
        found = line_decisions.denied(connection, asked)
        found.sort(key=lambda row: (-(row.money or 0), -row.claims, row.payer, row.code, row.reason))
        shown = found[:MOST_ROWS]
        whole = line_decisions.denied_in_all(connection, asked)
        pairs = {(row.payer, row.code) for row in shown} | {(row.payer, "") for row in whole}
        decided = line_decisions.decided(connection, asked, sorted(pairs))
        lines = line_decisions.lines_denied(connection, asked, most)
        rows = {one: claims.by_id(connection, one) for one in dict.fromkeys(line.claim_id for line in lines)}
    seen = _seen(lines, rows, check_again)
    payers = [PayerDenials(r.payer, r.currency, r.claims, decided[r.payer, ""], amount_of(r.money)) for r in whole]
    listed = [_denial(row, decided[row.payer, row.code], seen) for row in shown]
    return Denials(since, tuple(payers), tuple(listed), len(found), len(seen.checked))


@dataclass(frozen=True, slots=True)
class CheckedAgain:
    """Makes claims again as they were, and has the edits of now look at them.

    `fold` makes a chart of the messages that had come by a time.
    """

    ledger: Ledger
    rulebook: Rulebook
    fold: Callable[[str, datetime], Chart]

    def findings(self, row: ClaimRow) -> Sequence[Finding] | None:
        """A claim's findings, None where its chart does not give it any more."""
        chart = self.fold(row.chart_key, row.created_at)
        with self.ledger.reading() as connection:
            chart = as_decided(connection, chart)
            feeds = messages.feeds_of(connection, chart.messages)
        made_at = row.created_at.isoformat(timespec="seconds")
        decided = tuple(one for one in chart.decisions if one.at <= made_at)
        told = tuple(one for one in chart.corrections if one.at <= made_at)
        chart = replace(chart, decisions=decided, corrections=told)
        states = frozenset(map(int, (row.tables_as_of or "").split()))
        book = replace(self.rulebook, tables=self.rulebook.tables.as_of(states)) if states else self.rulebook
        number = ClaimNumber(row.identifier, row.revision, row.replaces, Purpose(row.purpose))
        occasion = Occasion(row.sent_at or row.created_at, feeds, is_requested=True)
        for billed in billed_slots(chart, book, feeds):
            if (billed.slot.name, billed.payer_name) == (row.slot, row.payer):
                draft = draft_claim(billed, book, number, occasion, Earlier())
                return draft.findings if _codes(draft.claim) == _codes(orjson.loads(row.body)) else None
        return None


def _codes(claim: Json) -> list[str]:
    return [str(item.get("productOrService", {}).get("coding", [{}])[0].get("code")) for item in claim.get("item", ())]


# --- which edits see it


@dataclass(frozen=True, slots=True)
class _Seen:
    """Findings by denial (payer, code, reason, currency) and claim: those of now, and the edits of when it was made."""

    by_denial: Mapping[tuple[str, ...], Mapping[str, Sequence[tuple[Finding, bool]]]]
    had: Mapping[str, frozenset[str]]
    checked: frozenset[str]


def _seen(lines: Iterable[Any], rows: Mapping[str, ClaimRow], check_again: CheckAgain) -> _Seen:
    found = {claim_id: check_again(row) for claim_id, row in rows.items()}
    had = {claim_id: _edits_then(row) for claim_id, row in rows.items()}
    by_denial: dict[tuple[str, ...], dict[str, list[tuple[Finding, bool]]]] = {}
    for line in lines:
        findings = found[line.claim_id]
        if findings is None:
            continue
        items = [int(item["sequence"]) for item in orjson.loads(rows[line.claim_id].body).get("item", ())]
        place = f"Claim.item[{items.index(line.sequence)}]" if line.sequence in items else ""
        key = (line.payer, line.code, line.reason, line.currency)
        told = by_denial.setdefault(key, {}).setdefault(line.claim_id, [])
        told += [(one, bool(place)) for one in findings if _is_about(one, place)]
    return _Seen(by_denial, had, frozenset(one for one, findings in found.items() if findings is not None))


def _edits_then(row: ClaimRow) -> frozenset[str]:
    return frozenset(one["edit"] for one in orjson.loads(row.explained).get("findings", ()))


def _is_about(finding: Finding, place: str) -> bool:
    """Whether a finding is about a line, or about no line at all; what only informs catches nothing."""
    if finding.severity is Severity.INFO:
        return False
    return (
        finding.path.startswith(place) if place and "Claim.item[" in finding.path else "Claim.item[" not in finding.path
    )


def _denial(row: Any, decided: int, seen: _Seen) -> Denial:
    of_claims = seen.by_denial.get((row.payer, row.code, row.reason, row.currency), {})
    edits: dict[str, SeenBy] = {}
    for claim_id, found in of_claims.items():
        once = {one.edit: one for one, _ in found}
        for edit, finding in once.items():
            on_line = "Claim.item[" in finding.path
            before = edits.get(edit, SeenBy(edit, finding.severity.value, on_line, 0, 0))
            had_it = before.had_it + (edit in seen.had[claim_id])
            edits[edit] = replace(before, claims=before.claims + 1, had_it=had_it)
    ordered = sorted(edits.values(), key=lambda one: (not one.on_line, -one.claims, one.edit))
    counts = (row.claims, decided, amount_of(row.money), len(of_claims))
    return Denial(row.payer, row.code, row.reason, row.currency, *counts, tuple(ordered))


def _percent(part: int, whole: int) -> Decimal | None:
    return (Decimal(100 * part) / whole).quantize(Decimal("0.1"), ROUND_HALF_UP) if whole else None


def denials_json(found: Denials) -> Json:
    """What was denied as JSON; amounts and percents are Decimal."""
    return {
        "since": found.since.isoformat() if found.since else None,
        "checked": found.checked,
        "found": found.found,
        "payers": [
            {"payer": p.payer, "currency": p.currency, "claims": p.claims, "decided": p.decided, "percent": p.percent}
            | {"money": p.money}
            for p in found.payers
        ],
        "denials": [_denial_json(one) for one in found.rows],
    }


def _denial_json(one: Denial) -> Json:
    told = {"payer": one.payer, "code": one.code, "reason": one.reason, "currency": one.currency}
    counts = {"claims": one.claims, "decided": one.decided, "percent": one.percent, "money": one.money}
    seen = [
        {"edit": e.edit, "severity": e.severity, "on_line": e.on_line, "claims": e.claims, "had_it": e.had_it}
        for e in one.edits
    ]
    return told | counts | {"checked": one.checked, "edits": seen}
