"""Deciding for all charts: a row is proposed by one person, tried on the charts that wait, and approved by another."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from fhir_coder.activation import From, activated, checked, tables_instead, uses_of
from fhir_coder.errors import ConflictError, NotFoundError, UsageError
from fhir_coder.model import ItemStatus, Kind
from fhir_coder.proposals import Decision, proposal_of, question_of_item
from fhir_coder.queries import keys_to_verify
from fhir_coder.recoding import ClaimChange, Recoding
from fhir_coder.store import groups, row_proposals
from fhir_coder.store.locks import only_writer
from fhir_coder.store.row_proposals import APPROVED, REJECTED, RowProposal
from fhir_coder.terminology.csv_table import read_table
from fhir_coder.terminology.proposing import PROPOSED, Draft, Proposal, drafted
from fhir_coder.worklist.taking import acting
from fhir_coder.worklist.workplace import Workplace

_PATIENCE = 30.0


@dataclass(frozen=True, slots=True)
class ProposedRow:
    """A row that waits for another person, as its item shows it."""

    number: int
    item_id: int
    kind: str
    system: str
    code: str
    cells: Mapping[str, str]
    why: str
    by: str
    at: str


@dataclass(frozen=True, slots=True)
class WhatIf:
    """What approving a row would change: the claims that would be coded differently, of the charts looked at."""

    proposal: ProposedRow
    changes: tuple[ClaimChange, ...]
    looked_at: int

    @property
    def is_kept(self) -> int:
        """How many of these claims were sent, and stay as they are."""
        return sum(change.is_kept for change in self.changes)


@dataclass(frozen=True, slots=True)
class Released:
    """A row that was approved: the number of its activation, and how many charts are coded again."""

    activation: int
    charts: int


def propose(
    place: Workplace, item_id: int, to: str, why: str, actor: str, said: Mapping[str, str] | None = None
) -> ProposedRow:
    """Propose the row that a decision on a gap implies, for all charts: the item waits for another person.

    `to` is `CODE`, `SYSTEM|CODE`, not-billable or needs-detail; `said` are further cells of the row. Raises
    NotFoundError, ConflictError, TableError with everything that `tables check` would say of the row.
    """
    folder, rulebook = place.site_folder(), place.rulebook()
    question = question_of_item(place.ledger, item_id, place.fold, rulebook)
    decision = Decision(to, dict(said or {}), why, actor, place.ledger.clock().date())
    row = proposal_of(question, decision, rulebook)
    with drafted(folder, [row], decision.on) as draft:
        draft.must_be_sound(rulebook.code_sets, decision.on)
    with acting(place.ledger, item_id, actor) as one:
        if row_proposals.waiting_of(one.connection, one.group.id):
            raise ConflictError(f"a row is proposed for work item {one.group.id} already: approve or reject it first")
        cells = RowProposal(one.group.id, row.kind, row.system, question.coding.code, dict(row.cells), why, actor)
        row_proposals.keep(one.connection, cells, one.at)
        one.set(not_for=actor[:64], assigned_to="")
        one.move(ItemStatus.REVIEW, f"a row is proposed: {to}")
        one.count("propose")
        group_id = one.group.id
    return proposed_row(place, group_id)


def proposed_row(place: Workplace, item_id: int) -> ProposedRow:
    """The row that waits for an item's review. Raises NotFoundError."""
    with place.ledger.reading() as connection:
        group = groups.group_of_item(connection, item_id)
        row = row_proposals.waiting_of(connection, group.id) if group is not None else None
    if row is None:
        raise NotFoundError(f"no row is proposed for work item {item_id}: work decide --for-all does")
    at = row.proposed_at.isoformat(timespec="seconds")
    cells = row_proposals.cells_of(row)
    return ProposedRow(row.id, row.item_id, row.kind, row.system, row.code, cells, row.why, row.proposed_by, at)


def what_if(place: Workplace, item_id: int, *, all_charts: bool = False) -> WhatIf:
    """What approving an item's row would change in the charts that wait for it, or in all there are.

    Nothing is written. Raises NotFoundError, TableError.
    """
    waiting, rulebook = proposed_row(place, item_id), place.rulebook()
    with drafted(place.site_folder(), [_row(waiting)], _today(place), again=True) as draft:
        table, _ = read_table(draft.file)
        assert table is not None, "it was sound when it was proposed"
        after = tables_instead(place.settings, rulebook.tables, [table])
        keys = list(keys_to_verify(place.ledger)) if all_charts else _charts_of(place, waiting.item_id)
        recoding = Recoding(place.ledger, rulebook, place.fold, rulebook.tables, after)
        changes = tuple(recoding.of_charts(keys))
    return WhatIf(waiting, changes, len(keys))


def approve(place: Workplace, item_id: int, actor: str, why: str = "") -> Released:
    """Put an item's proposed row to use and have its charts coded again, what is wanted first in front.

    Nothing that was sent changes. Raises NotFoundError, ConflictError where the same person proposed it or somebody
    else has the item, TableError where the row does not fit the tables of now.
    """
    waiting = proposed_row(place, item_id)
    if waiting.by == actor:
        raise ConflictError("who proposed a row does not approve it: another person has to look at it")
    folder, at = place.site_folder(), place.ledger.clock()
    with only_writer(folder / PROPOSED / "approving", _PATIENCE):
        with acting(place.ledger, item_id, actor) as one:  # it is still waiting, and for this person
            if row_proposals.waiting_of(one.connection, one.group.id) is None:
                raise ConflictError(f"work item {item_id} was reviewed meanwhile")
        with drafted(folder, [_row(waiting)], at.date(), again=True) as draft:
            number = _put_to_use(place, draft, actor) if draft.new else place.rulebook().tables.state
        return Released(number, _release(place, waiting, actor, why))


def reject(place: Workplace, item_id: int, why: str, actor: str) -> None:
    """Turn a proposed row down, with the reason: the item is offered again. Raises NotFoundError, ConflictError.

    Who proposed it may take it back so.
    """
    if not why.strip():
        raise UsageError("say why: who proposed it reads it")
    waiting = proposed_row(place, item_id)
    with acting(place.ledger, item_id, actor) as one:
        if not row_proposals.settle(one.connection, waiting.number, REJECTED, actor, why, one.at):
            raise ConflictError(f"work item {item_id} was reviewed meanwhile")
        one.count("reject")
        one.set(not_for="")
        one.move(ItemStatus.OPEN, f"the proposed row was rejected: {why}")


def _row(waiting: ProposedRow) -> Proposal:
    return Proposal(Kind(waiting.kind), waiting.system, dict(waiting.cells))


def _put_to_use(place: Workplace, draft: Draft, actor: str) -> int:
    """Activate a table for every day of service, as a correction; answers the number of the activation."""
    folder, settings = place.site_folder(), place.settings
    draft.must_be_sound(place.rulebook().code_sets, _today(place))
    uses = uses_of(str(draft.file), folder, settings, From(None, True))
    checked(settings, uses, place.rulebook().code_sets, _today(place))
    made = activated(folder, uses, place.ledger, actor, place.ledger.clock())
    return made[-1].number if made else place.rulebook().tables.state


def _release(place: Workplace, waiting: ProposedRow, actor: str, why: str) -> int:
    """Settle the proposal; the workers ask for its charts (`ask_for_released`) once they have the tables."""
    with acting(place.ledger, waiting.item_id, actor) as one:
        row_proposals.settle(one.connection, waiting.number, APPROVED, actor, why, one.at)
        one.count("approve", 0)  # who proposed the row has its charts counted
        one.set(not_for="")
        one.move(ItemStatus.RELEASED, f"the proposed row was approved{f': {why}' if why else ''}")
        keys = groups.charts_in_order(one.connection, one.group.id)
    return len(keys)


def _charts_of(place: Workplace, item_id: int) -> list[str]:
    with place.ledger.reading() as connection:
        return groups.charts_in_order(connection, item_id)


def _today(place: Workplace) -> date:
    return place.ledger.clock().date()
