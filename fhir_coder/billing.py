"""What is to be done about each claim of a chart: filed, left alone, replaced, added to, voided, or asked of a person.

Nothing is written here: the ledger's rows and a chart in, a plan for each slot out. `filing` carries it out.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from fhir_coder.claims import content_hash, to_bytes, void_claim, with_authorization
from fhir_coder.claims.bill import ClaimNumber
from fhir_coder.claims.changes import with_changes
from fhir_coder.claims.kinds import INSTITUTIONAL
from fhir_coder.claims.lines import lines_billed, only_lines
from fhir_coder.edits.visit import PAID_IN_FULL
from fhir_coder.model import (
    CLAIM,
    DECIDED,
    GONE,
    PREAUTHORIZATION,
    STANDS,
    TAKEN_BY_PAYER,
    Chart,
    ClaimDraft,
    ClaimField,
    ClaimStatus,
    Identifier,
    Json,
    Money,
    Payer,
    PriorDecision,
    Purpose,
    Slot,
    is_asked_ahead,
)
from fhir_coder.payers.adjudication import decision_named, read_claim_response
from fhir_coder.payers.answer import objects, read_json, text
from fhir_coder.pipeline import BilledSlot, Earlier, Occasion, Rulebook, billed_slots, draft_claim
from fhir_coder.store.claims import CANCELLED, ClaimRow, Filed, is_in_flight
from fhir_coder.store.items import Item

NEVER_SENT = frozenset({ClaimStatus.HELD, ClaimStatus.READY})


@dataclass(frozen=True, slots=True)
class Known:
    """What the ledger knows of a chart's claims: rows by slot, the newest first.

    `settled` are the identities of work items that a person closed. `decision_of` gives a payer's last answer with a
    decision on a claim, by its id. `is_billed_before`: a claim made under a former chart key of the visit is still to
    be taken back. `states` are the activations whose tables claims that were sent were made with.
    """

    rows: Mapping[str, Sequence[ClaimRow]]
    settled: frozenset[str]
    decision_of: Callable[[str], bytes]
    is_billed_before: bool = False
    states: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class SlotPlan:
    """What is to be done about one slot; `word` says it (docs/reference/logs.md, `chart_coded`).

    `withdrawn` is a claim that was never sent and will not be, `why` the reason. `by_hand` are claims that a person
    has voided. `draft` is what the slot's claim is now, for its gaps and findings; `filed` what is to be filed.
    """

    slot: str
    word: str
    current: ClaimRow | None = None
    filed: Filed | None = None
    draft: ClaimDraft | None = None
    withdrawn: ClaimRow | None = None
    why: str = ""
    by_hand: tuple[ClaimRow, ...] = ()
    question: Item | None = None

    @property
    def stands_in_the_way(self) -> bool:
        """Whether the payer still has a claim that it should not have."""
        return self.word in ("voiding", "person", "deferred")

    @property
    def due_at(self) -> datetime | None:
        """When the slot's bill hold ends."""
        return self.draft.due_at if self.draft else None


def plan_claims(chart: Chart, rulebook: Rulebook, occasion: Occasion, known: Known) -> list[SlotPlan]:
    """What is to be done about every claim that a chart gives or gave, in the order of benefits."""
    if known.states:
        rulebook = replace(rulebook, tables=rulebook.tables.as_of(known.states))
    billed = () if chart.cancelled else billed_slots(chart, rulebook, occasion.feeds)
    why = "the visit was cancelled" if chart.cancelled else "the visit has no such claim any more"
    if chart.moved_to:
        billed, why = (), f"its visit moved to {chart.moved_to}"
    wanted = {b.slot.name for b in billed}
    planning = _Planning(rulebook, occasion, known)
    for slot in [s for s in known.rows if s not in wanted]:
        if billed and is_asked_ahead(slot):
            planning.leave(slot)
        else:
            planning.take_back(slot, why)
    for one in sorted(billed, key=lambda b: b.slot.order):
        planning.bill(one)
    return list(planning.plans.values())


@dataclass
class _Planning:
    """Plans one slot after the other: a later one may have to wait for an earlier one."""

    rulebook: Rulebook
    occasion: Occasion
    known: Known
    plans: dict[str, SlotPlan] = field(default_factory=dict)
    blocked: set[int] = field(default_factory=set)

    def take_back(self, slot: str, why: str) -> None:
        """Plan a slot that the chart does not have."""
        plan = _SlotPlanner(slot, self).without_claim(why)
        self.plans[slot] = plan
        if plan.stands_in_the_way:
            self.blocked.add(_order_of(slot))

    def leave(self, slot: str) -> None:
        """Plan a slot of what was asked before the visit: what the payer has of it stands, the rest is withdrawn."""
        self.plans[slot] = _SlotPlanner(slot, self).without_more()

    def bill(self, billed: BilledSlot) -> None:
        """Plan a slot that the chart has. While a claim it takes the place of stands at the payer, it waits."""
        planner = _SlotPlanner(billed.slot.name, self)
        if planner.is_cancelled:
            self.take_back(billed.slot.name, "a person cancelled it")
            return
        is_blocked = billed.slot.order in self.blocked and not planner.standing
        if is_blocked or self.known.is_billed_before:
            self.plans[billed.slot.name] = SlotPlan(billed.slot.name, "waiting", planner.last)
        else:
            number = "" if billed.slot.use != CLAIM else self._authorization(billed.slot)
            told = replace(billed, coded=with_authorization(billed.coded, billed.slot.order, number))
            self.plans[billed.slot.name] = planner.with_claim(told, self._earlier(billed))

    def identifiers(self, besides: ClaimRow | None) -> set[str]:
        """The identifiers that are taken by other claims of the chart."""
        rows = {
            r.identifier for rows in self.known.rows.values() for r in rows if besides is None or r.id != besides.id
        }
        return rows | {p.filed.draft.identifier for p in self.plans.values() if p.filed}

    def _earlier(self, billed: BilledSlot) -> Earlier:
        before = [replace(billed.slot, order=order).name for order in range(1, billed.slot.order)]
        decisions = [self._decision(slot) for slot in before if slot in self.plans]
        return Earlier(tuple(d for d in decisions if d), any(d is None for d in decisions))

    def _authorization(self, slot: Slot) -> str:
        """The number under which the payer at this place of the order authorised the visit ahead, empty without one."""
        ahead = replace(slot, part=1, use=PREAUTHORIZATION)
        rows = [r for r in self.known.rows.get(ahead.name, ()) if ClaimStatus(r.status) in DECIDED & STANDS]
        return text(read_json(rows[0].adjudication.encode()), "authorization") if rows else ""

    def _decision(self, slot: str) -> PriorDecision | None:
        """What the payer of a slot decided, None while that is open or about to change."""
        rows = [r for r in self.known.rows.get(slot, ()) if ClaimStatus(r.status) not in GONE]
        if self.plans[slot].word != "unchanged" or not rows or ClaimStatus(rows[0].status) not in DECIDED:
            return None
        row = rows[0]
        response = answer_of(row, self.known.decision_of)
        if not response:
            return None
        created = text(response, "created") or row.updated_at.isoformat(timespec="seconds")
        paid = read_claim_response(response).paid
        return PriorDecision(_order_of(slot), row.identifier, response, paid, created)


def answer_of(row: ClaimRow, decision_of: Callable[[str], bytes]) -> Json:
    """The ClaimResponse with the payer's decision on a claim, empty where there is none that can be told."""
    answer = read_json(row.adjudication.encode()) if row.adjudication else {}
    return decision_named(read_json(decision_of(row.id)), text(answer, "reference")) or {}


class _SlotPlanner:
    """Plans one slot by its rows."""

    def __init__(self, slot: str, planning: _Planning) -> None:
        self.slot, self.planning = slot, planning
        self.rows = planning.known.rows.get(slot, ())
        self.last = self.rows[0] if self.rows else None
        stands = [r for r in self.rows if r.purpose != Purpose.VOID and ClaimStatus(r.status) in STANDS]
        self.by_hand = tuple(r for r in stands if self._is_voided_by_hand(r))
        self.standing = [r for r in stands if r not in self.by_hand]
        bills = (r for r in self.rows if r.purpose == Purpose.BILL)
        self.is_cancelled = next((r.hold == CANCELLED for r in bills), False)

    # --- a slot the chart does not have

    def without_more(self) -> SlotPlan:
        """Withdraw what was never sent, and let what the payer has stand."""
        if self._is_open():
            return SlotPlan(self.slot, "deferred", self.last)
        why = "the visit has begun before it was asked"
        word = "voided" if self._never_sent() else "unchanged"
        return SlotPlan(self.slot, word, self.last, withdrawn=self._never_sent(), why=why, by_hand=self.by_hand)

    def without_claim(self, why: str) -> SlotPlan:
        """Void what stands at the payer, withdraw what was never sent."""
        if self._is_open():
            return SlotPlan(self.slot, "deferred", self.last)
        if self.standing:
            return self._void(self.standing, why)
        withdrawn = self._never_sent()
        return SlotPlan(
            self.slot,
            "voided" if withdrawn else "cancelled",
            self.last,
            withdrawn=withdrawn,
            why=why,
            by_hand=self.by_hand,
        )

    def _is_open(self) -> bool:
        """Whether the newest claim is on its way, or a void waits for the payer's decision: that asks for the chart."""
        if self.last is None:
            return False
        is_asked = self.last.purpose == Purpose.VOID and self.last.status == ClaimStatus.QUEUED
        return is_in_flight(self.last) or is_asked

    def _never_sent(self) -> ClaimRow | None:
        return self.last if self.last is not None and ClaimStatus(self.last.status) in NEVER_SENT else None

    # --- a slot the chart has

    def with_claim(self, billed: BilledSlot, earlier: Earlier) -> SlotPlan:
        """File what the claim is now, once nothing stands at a payer that should not."""
        if self._is_open():
            return SlotPlan(self.slot, "deferred", self.last)
        prior = self._prior(billed.payer_name)
        replaces = prior.identifier if prior and _corrections(billed.payer) == "replace" else ""
        full = self._drafted(billed, earlier, replaces)
        late = self._late(billed, earlier, prior, full)
        is_same = late == () if self._late_rows(prior) else _bills_the_same(prior, full)
        wrong, why = self._wrong(billed, full, prior, changed=not is_same and not late)
        if wrong:
            return self._void(wrong, why)
        plan = SlotPlan(self.slot, "", self._current(), draft=full.draft, by_hand=self.by_hand)
        if self.last is not None and self.last.purpose == Purpose.VOID and self._never_sent():
            plan = replace(plan, withdrawn=self.last, why="the claim stands after all")
        if is_same and full.draft.status is ClaimStatus.READY:
            return _unchanged(plan)
        if prior and _corrections(billed.payer) == "person":
            return self._asked(plan, prior, full)
        filed = late[0] if late else full
        if prior and filed.draft.replaces and billed.slot.use == PREAUTHORIZATION:
            filed = _with_changes(filed, prior)
        return replace(plan, word=filed.draft.status.value, filed=filed, draft=filed.draft)

    def _current(self) -> ClaimRow | None:
        """The newest claim, unless it is a void."""
        return self.last if self.last is not None and self.last.purpose != Purpose.VOID else None

    def _prior(self, payer: str) -> ClaimRow | None:
        """The newest whole claim that this payer took and that was not taken back."""
        taken = (r for r in self.rows if ClaimStatus(r.status) in TAKEN_BY_PAYER and r not in self.by_hand)
        return next((r for r in taken if r.purpose == Purpose.BILL and r.payer == payer), None)

    def _late_rows(self, prior: ClaimRow | None) -> list[ClaimRow]:
        """The claims of late charges that the payer took besides a claim."""
        taken = [r for r in self.rows if prior and r.purpose == Purpose.LATE_CHARGE and r.replaces == prior.identifier]
        return [r for r in taken if ClaimStatus(r.status) in TAKEN_BY_PAYER and r not in self.by_hand]

    def _wrong(
        self, billed: BilledSlot, full: Filed, prior: ClaimRow | None, changed: bool
    ) -> tuple[list[ClaimRow], str]:
        """The claims that must be voided before the claim of now may go, and why."""
        if any(f.edit == PAID_IN_FULL for f in full.draft.findings):
            return self.standing, "the payers before have paid all of it"
        elsewhere = [r for r in self.standing if r.payer != full.draft.payer]
        if elsewhere:
            return elsewhere, "another payer is billed now"
        if prior is None or not changed or full.draft.status is not ClaimStatus.READY:
            return [], ""
        way = _corrections(billed.payer)
        if way == "void-and-new":
            return self.standing, "its chart changed"
        late = {r.id for r in self._late_rows(prior)}
        return [r for r in self.standing if r.id in late and way == "replace"], "it is replaced as a whole"

    def _asked(self, plan: SlotPlan, prior: ClaimRow, full: Filed) -> SlotPlan:
        """The payer's claims are corrected by hand: a person is told what is to be billed now."""
        plan = replace(plan, withdrawn=plan.withdrawn or self._never_sent(), why=plan.why or "a person corrects it")
        if full.draft.status is not ClaimStatus.READY:
            return replace(plan, word="held")
        identity = f"correction:{prior.id}:{full.content_hash[:16]}"
        if identity in self.planning.known.settled:
            return replace(plan, word="unchanged")
        told = f"the visit bills something else since the payer took {prior.identifier}: correct it at the payer"
        question = Item(identity, "correction", "changed_after_claim", told, prior.chart_key, prior.id)
        return replace(plan, word="person", question=question)

    # --- voids

    def _void(self, wrong: Sequence[ClaimRow], why: str) -> SlotPlan:
        """Take back the newest claim that should not stand; the next one follows when that is done."""
        last, target = self.last, wrong[0]
        names = {row.identifier for row in wrong}
        if last is not None and last.purpose == Purpose.VOID and self._never_sent() and last.replaces in names:
            return SlotPlan(self.slot, "voiding", last, by_hand=self.by_hand)
        plan = SlotPlan(self.slot, "voiding", last, None, None, self._never_sent(), why, self.by_hand)
        rows = [r for r in self.rows if r.purpose == Purpose.VOID and r.replaces == target.identifier]
        denied = any(r.status == ClaimStatus.DENIED for r in rows)
        if denied or self._payer(target.payer).voids == "person":
            reason = "void_denied" if denied else "taken_back_by_hand"
            told = f"{why}: void {target.identifier} at the payer, then close this"
            question = Item(f"void:{target.id}", "void", reason, told, target.chart_key, target.id)
            return replace(plan, word="person", question=question)
        return replace(plan, filed=self._void_of(target))

    def _void_of(self, target: ClaimRow) -> Filed:
        prior = read_json(target.body)
        stem = target.identifier.rpartition("-")[0]
        identifier, revision = self._free(lambda number: f"{stem}-{number}", self.rows[0].revision + 1, None)
        claim = void_claim(prior, identifier, self.planning.occasion.now.date(), self._original(target.identifier))
        total = Money(prior["total"]["value"], prior["total"]["currency"]) if "total" in prior else None
        draft = ClaimDraft(
            target.chart_key,
            target.payer,
            identifier,
            revision,
            ClaimStatus.READY,
            claim,
            (),
            (),
            (),
            total,
            self.slot,
            target.identifier,
            Purpose.VOID,
            file_by=target.file_by,
        )
        return _filed(draft)

    def _is_voided_by_hand(self, row: ClaimRow) -> bool:
        """Whether a person closed the question to void it, or the refusal of its void: it is settled with the payer."""
        voids = [r for r in self.rows if r.purpose == Purpose.VOID and r.replaces == row.identifier]
        names = {f"void:{row.id}", *(f"refusal:{r.id}" for r in voids)}
        return bool(names & self.planning.known.settled)

    # --- drafts

    def _drafted(self, billed: BilledSlot, earlier: Earlier, replaces: str, purpose: Purpose = Purpose.BILL) -> Filed:
        current = self._current()
        is_held = current is not None and current.status == ClaimStatus.HELD
        revision = 1 if self.last is None else self.last.revision + (0 if is_held else 1)
        identifier, revision = self._free(billed.identifier, revision, current if is_held else None)
        number = ClaimNumber(identifier, revision, replaces, purpose, self._original(replaces))
        rulebook = self.planning.rulebook
        draft = draft_claim(billed, rulebook, number, self.planning.occasion, earlier)
        said = billed.coded.chart.correction(ClaimField.ORIGINAL_REFERENCE)
        return _filed(draft, rulebook.tables.states, said)

    def _original(self, identifier: str) -> Identifier | None:
        """The payer's own number of a claim, where its decision names one."""
        row = next((r for r in self.rows if r.identifier == identifier), None)
        named = objects(answer_of(row, self.planning.known.decision_of), "identifier") if row else []
        known = [Identifier(text(one, "value"), text(one, "system")) for one in named if text(one, "value")]
        return known[0] if known else None

    def _free(self, identifier: Callable[[int], str], revision: int, besides: ClaimRow | None) -> tuple[str, int]:
        """The first revision from this one on whose identifier no other claim of the chart has."""
        used = self.planning.identifiers(besides)
        while (named := identifier(revision)) in used:
            revision += 1
        return named, revision

    def _late(
        self, billed: BilledSlot, earlier: Earlier, prior: ClaimRow | None, full: Filed
    ) -> tuple[Filed, ...] | None:
        """The claim of the charges added since `prior`, empty where none was; None where it is no matter of that."""
        late_rows = self._late_rows(prior)
        may_add = billed.payer is not None and billed.payer.late_charges == "late-charge" and billed.is_alone
        has_bill = billed.slot.kind == INSTITUTIONAL and b"/TypeOfBill" in full.body
        if prior is None or full.draft.status is not ClaimStatus.READY or not (late_rows or (may_add and has_bill)):
            return None
        added = self._added(billed, earlier, prior, full.draft.claim)
        if added is None or (added and not (may_add and has_bill and ClaimStatus(prior.status) in STANDS)):
            return None
        if not added:
            return ()
        part = replace(billed, coded=only_lines(billed.coded, added, unpointed=False))
        return (self._drafted(part, earlier, prior.identifier, Purpose.LATE_CHARGE),)

    def _added(self, billed: BilledSlot, earlier: Earlier, prior: ClaimRow, claim: Json) -> list[int] | None:
        """Positions of the lines billed by no claim yet; None where anything but lines was added."""
        lines = claim.get("item", [])
        first = lines_billed(lines, read_json(prior.body).get("item", []))
        if first is None:
            return None
        before = replace(billed, coded=only_lines(billed.coded, first))
        if self._drafted(before, earlier, prior.identifier).content_hash != prior.content_hash:
            return None
        left = [i for i in range(len(lines)) if i not in first]
        for row in self._late_rows(prior):
            found = lines_billed([lines[i] for i in left], read_json(row.body).get("item", []))
            if found is None:
                return None
            left = [i for place, i in enumerate(left) if place not in found]
        return left

    def _payer(self, name: str) -> Payer:
        return next((p for p in self.planning.rulebook.payers if p.name == name), Payer(name))


def _filed(draft: ClaimDraft, tables_as_of: tuple[int, ...] = (), original: str = "") -> Filed:
    """What is filed. `original` is a person's word on the number of the claim it replaces: it is sent again with it."""
    digest = content_hash(draft.claim)
    if original:  # what a claim replaces is no part of what it bills
        digest = hashlib.sha256(f"{digest} {original}".encode()).hexdigest()
    return Filed(draft, to_bytes(draft.claim), digest, tables_as_of)


def _with_changes(filed: Filed, prior: ClaimRow) -> Filed:
    """What is filed, its lines numbered and marked against those that the payer reviewed. It bills no more by that."""
    claim = with_changes(filed.draft.claim, read_json(prior.body))
    return replace(filed, draft=replace(filed.draft, claim=claim), body=to_bytes(claim))


def _corrections(payer: Payer | None) -> str:
    return payer.corrections if payer else "replace"


def _bills_the_same(prior: ClaimRow | None, filed: Filed) -> bool:
    return prior is not None and bool(prior.content_hash == filed.content_hash)


def _unchanged(plan: SlotPlan) -> SlotPlan:
    """The payer has the same claim already: one that was never sent is withdrawn."""
    current = plan.current
    if current is not None and ClaimStatus(current.status) in NEVER_SENT:
        plan = replace(plan, withdrawn=current, why="the payer has the same claim already")
    return replace(plan, word="unchanged")


def _order_of(slot: str) -> int:
    return int(slot.rpartition("-")[2])
