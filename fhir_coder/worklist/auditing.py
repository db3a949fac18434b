"""Second reviews: claims are drawn by rule, somebody else codes or checks them, and corrections become replacements.

Which claims a rate draws depends on their identifiers alone: drawing again draws the same ones and no others.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

import orjson
from sqlalchemy import Connection, select

from fhir_coder.errors import ConflictError, NotFoundError, UsageError
from fhir_coder.model import GONE, Json, Purpose
from fhir_coder.store import Ledger, chart_decisions, groups, items, reviews, row_proposals, work
from fhir_coder.store.chart_decisions import Filed
from fhir_coder.store.items import Item
from fhir_coder.store.reviews import Drawn, DrawnCode
from fhir_coder.store.schema import claims
from fhir_coder.terminology.rows import NOT_BILLABLE
from fhir_coder.worklist.deciding import Answer, decision_of
from fhir_coder.worklist.question import Question, question_named, questions_of
from fhir_coder.worklist.taking import acting
from fhir_coder.worklist.workplace import Workplace

AUDIT = "audit"
_PAGE = 200
_TABLES, _SENDER = "tables", "sender"
"""Who chose a code where no person did: a table's row, or the sender, who sent it coded."""


@dataclass(frozen=True, slots=True)
class Sample:
    """Which claims are drawn; what is empty does not matter.

    `rate` is the share of those that fit, 0 to 1. `coder` is whose codes (`tables` and `sender` too), `code` a billing
    code of the claim, `least_amount` the least total, `since` and `until` when the claim was made. `is_blind`: the
    reviewer does not see the codes that were chosen.
    """

    rate: Decimal = Decimal(1)
    coder: str = ""
    payer: str = ""
    code: str = ""
    least_amount: Decimal | None = None
    since: datetime | None = None
    until: datetime | None = None
    is_blind: bool = False


@dataclass(frozen=True, slots=True)
class Sampled:
    """A claim that a sample draws. `item_id` is 0 where nothing was written."""

    identifier: str
    chart_key: str
    payer: str
    coder: str
    amount: Decimal
    currency: str
    item_id: int = 0


@dataclass(frozen=True, slots=True)
class ReviewedCode:
    """One code of a review. `billed` and `coder` are empty, and `agrees` None, until a blind review is done."""

    system: str
    code: str
    words: str
    kind: str
    billed: str
    coder: str
    said: str
    agrees: bool | None
    why: str

    @property
    def name(self) -> str:
        """What the reviewer calls it by: the code as sent, else its words."""
        return f"{self.system}|{self.code}" if self.code else self.words


@dataclass(frozen=True, slots=True)
class Review:
    """A claim under review, with its codes."""

    number: int
    item_id: int
    chart_key: str
    payer: str
    is_blind: bool
    reviewed_by: str
    codes: tuple[ReviewedCode, ...]

    @property
    def is_done(self) -> bool:
        """Whether somebody has reviewed it."""
        return bool(self.reviewed_by)


@dataclass(frozen=True, slots=True)
class Agreement:
    """How often reviewers agreed with a coder about a billed code."""

    coder: str
    code: str
    codes: int
    agreed: int


def draw(ledger: Ledger, sample: Sample, actor: str, *, do: bool) -> list[Sampled]:
    """The claims that a sample draws and that were never drawn; each becomes a work item `audit` where `do` says so.

    Claims that are held, replaced or voided are not drawn. Raises UsageError.
    """
    if not 0 < sample.rate <= 1:
        raise UsageError("a rate is more than 0 and at most 1, or 5% and the like")
    at, found, last = ledger.clock(), list[Sampled](), ""
    while True:
        with ledger.reading() as connection:
            rows = _page(connection, sample, last)
            chosen = [(row, codes) for row in rows if (codes := _fitting(connection, row, sample))]
        found += [_open(ledger, row, codes, sample, actor, at) if do else _sampled(row, codes) for row, codes in chosen]
        if len(rows) < _PAGE:
            return found
        last = rows[-1].id


def _page(connection: Connection, sample: Sample, after: str) -> Sequence[Any]:
    columns = (claims.c[n] for n in ("id", "identifier", "chart_key", "payer", "total", "currency", "explained"))
    query = select(*columns).where(claims.c.id > after, claims.c.purpose == Purpose.BILL.value)
    query = query.where(claims.c.status.not_in(["held", *(status.value for status in GONE)]))
    if sample.payer:
        query = query.where(claims.c.payer == sample.payer)
    if sample.since:
        query = query.where(claims.c.created_at >= sample.since)
    if sample.until:
        query = query.where(claims.c.created_at < sample.until)
    return connection.execute(query.order_by(claims.c.id).limit(_PAGE)).all()


def _fitting(connection: Connection, row: Any, sample: Sample) -> list[DrawnCode]:
    """The codes of a claim that a sample draws, empty where it does not."""
    if not _is_in(row.identifier, sample.rate) or Decimal(row.total or 0) < (sample.least_amount or 0):
        return []
    if reviews.is_drawn(connection, row.id):
        return []
    codes = list(_codes(connection, row))
    wanted = (not sample.coder or any(one.coder == sample.coder for one in codes)) and (
        not sample.code or any(sample.code in one.billed.split(", ") for one in codes)
    )
    return codes if wanted else []


def _is_in(identifier: str, rate: Decimal) -> bool:
    """Whether a rate draws a claim: by its identifier without the revision, the same whenever it is asked."""
    digest = hashlib.sha256(identifier.rpartition("-")[0].encode()).digest()
    return int.from_bytes(digest[:8]) < int(rate * 2**64)


def _codes(connection: Connection, row: Any) -> Iterator[DrawnCode]:
    """The codes of a claim by their sources: what was billed for each, and who chose it."""
    decided = {(one.system, one.code): one.actor for one in chart_decisions.of_chart(connection, row.chart_key)}
    explained: Json = orjson.loads(row.explained)
    grouped: dict[tuple[str, str, str], list[Json]] = {}
    for trace in explained["traces"]:
        source = trace["source"]
        words = "" if source["code"] else source.get("display", "")
        grouped.setdefault((source["system"], source["code"], words), []).append(trace)
    for (system, code, words), traces in grouped.items():
        billed = ", ".join(dict.fromkeys(trace["code"] or NOT_BILLABLE for trace in traces))
        kind = "diagnosis" if "diagnosis" in traces[0]["path"] else "service"
        yield DrawnCode(system, code, words, kind, billed, _coder(connection, decided, traces[0]))


def _coder(connection: Connection, decided: Mapping[tuple[str, str], str], trace: Json) -> str:
    """Who chose a code: the person who decided or proposed it, else the tables, else the sender."""
    source = (trace["source"]["system"], trace["source"]["code"])
    if trace["note"].startswith(_DECIDED) and source in decided:
        return decided[source]
    if not trace["table"]:
        return _SENDER
    rows = row_proposals.about_code(connection, *source, 5)
    approved = (r.proposed_by for r in rows if r.status == row_proposals.APPROVED)
    is_proposed = trace["table"].startswith("decisions-")
    return next(approved, _TABLES) if is_proposed else _TABLES


_DECIDED = "decided by "


def _sampled(row: Any, codes: Sequence[DrawnCode], item_id: int = 0) -> Sampled:
    coder = _main_coder(codes)
    amount = Decimal(row.total or 0)
    return Sampled(row.identifier, row.chart_key, row.payer, coder, amount, row.currency, item_id)


def _main_coder(codes: Sequence[DrawnCode]) -> str:
    """The person among those who chose a claim's codes; without one, whichever chose most."""
    coders = [one.coder for one in codes]
    people = [one for one in coders if one not in (_TABLES, _SENDER)]
    return max(people or coders, key=coders.count)


def _open(ledger: Ledger, row: Any, codes: Sequence[DrawnCode], sample: Sample, actor: str, at: datetime) -> Sampled:
    drawn = Drawn(row.id, row.chart_key, row.payer, _main_coder(codes), sample.is_blind)
    with ledger.writing() as connection:
        number = reviews.keep(connection, drawn, codes, actor, at)
        how = "blind" if sample.is_blind else "open"
        text = f"second review, {how}: {len(codes)} codes of claim {row.identifier}"
        person = drawn.coder if drawn.coder not in (_TABLES, _SENDER) else ""
        item = Item(f"audit:{number}", "audit", f"{how}_review", text, row.chart_key, row.id, not_for=person)
        items.open_item(connection, at, item)
        item_id = items.number_of(connection, item.identity)
    return _sampled(row, codes, item_id)


def review_of(ledger: Ledger, item_id: int) -> Review:
    """The review that an item asks for, or asked for. Raises NotFoundError."""
    with ledger.reading() as connection:
        group = groups.group_of_item(connection, item_id)
        number = _number(group)
        row = reviews.by_id(connection, number) if number else None
        codes = reviews.codes_of(connection, number) if row is not None else []
    if row is None or group is None:
        raise NotFoundError(f"work item {item_id} is no review: fhir-coder work list --kind audit shows them")
    is_hidden = row.is_blind and row.reviewed_at is None
    shown = tuple(_shown(code, is_hidden=is_hidden) for code in codes)
    return Review(row.id, group.id, row.chart_key, row.payer, row.is_blind, row.reviewed_by, shown)


def _shown(row: Any, *, is_hidden: bool) -> ReviewedCode:
    billed, coder = ("", "") if is_hidden else (row.billed, row.coder)
    return ReviewedCode(row.system, row.code, row.text, row.kind, billed, coder, row.said, row.agrees, row.why)


def _number(group: Any) -> int:
    identity = group.solved_by if group is not None and group.kind == AUDIT else ""
    return int(identity.partition(":")[2] or 0)


def review(
    place: Workplace, item_id: int, said: Mapping[str, str], actor: str, *, why: str = "", correct: bool = False
) -> Review:
    """Keep what a reviewer says of a claim's codes, and close the item.

    `said` gives a billing code for sources as sent (their name, or their code alone); an open review agrees with what
    it leaves out, a blind one must give every source its code. Where `correct` says so, what differs becomes a
    decision of the reviewer's about the chart, and so a claim that replaces the reviewed one.

    Raises NotFoundError, UsageError, ConflictError where the reviewer chose one of the codes.
    """
    asked = review_of(place.ledger, item_id)
    with place.ledger.reading() as connection:
        rows = reviews.codes_of(connection, asked.number)
    if any(row.coder == actor for row in rows):
        raise ConflictError("who chose a code does not review it: another person does")
    answers = _answers(rows, said, must_be_whole=asked.is_blind)
    wrong = [(row, answer) for row, answer in answers if not _same(row.billed, answer)]
    decided = [_correction(place, asked, row, answer, (actor, why)) for row, answer in wrong] if correct else []
    with acting(place.ledger, item_id, actor) as one:
        if not reviews.finish(one.connection, asked.number, actor, one.at):
            raise ConflictError(f"work item {item_id} was reviewed already")
        for row, answer in answers:
            reviews.say(one.connection, row.id, answer, agrees=_same(row.billed, answer), why=why)
        for filed in decided:
            chart_decisions.keep(one.connection, filed, one.at)
        if decided:
            work.ask(one.connection, "chart", asked.chart_key, one.at)
        one.count("review", 1)
        result = f"{len(answers) - len(wrong)} of {len(answers)} codes agreed"
        parts = groups.open_parts(one.connection, one.group.id, 1)
        items.close_items(one.connection, one.at, [part.id for part in parts], result, actor)
    return review_of(place.ledger, item_id)


def _answers(rows: Sequence[Any], said: Mapping[str, str], *, must_be_whole: bool) -> list[tuple[Any, str]]:
    """What the reviewer says of each code. Raises UsageError for a source the claim does not have, or one left out."""
    names = {name: row.id for row in rows for name in (f"{row.system}|{row.code}", row.code, row.text) if name}
    unknown = sorted(set(said) - set(names))
    if unknown:
        raise UsageError("the claim has no such source: fhir-coder work audit show lists its sources")
    given = {names[name]: answer.strip().upper() for name, answer in said.items()}
    left = [row for row in rows if row.id not in given]
    if must_be_whole and left:
        raise UsageError(f"a blind review gives every source its code: {len(left)} of {len(rows)} are left")
    return [(row, given.get(row.id, row.billed)) for row in rows]


def _same(billed: str, said: str) -> bool:
    return billed.upper() == _bare(said).upper()


def _bare(said: str) -> str:
    """Codes without the names of their systems."""
    return ", ".join(code.strip().rpartition("|")[2] for code in said.split(","))


def _correction(place: Workplace, asked: Review, row: Any, said: str, by: tuple[str, str]) -> Filed:
    actor, why = by
    question = _question(place, asked.chart_key, row)
    codes = (NOT_BILLABLE,) if said == NOT_BILLABLE.upper() else tuple(code.strip() for code in said.split(","))
    answer = Answer(codes, why or f"second review {asked.number}")
    return Filed(asked.chart_key, question.kind, decision_of(place, question, answer, actor, asked.item_id))


def _question(place: Workplace, chart_key: str, row: Any) -> Question:
    if row.code:
        return question_named(place, chart_key, f"{row.system}|{row.code}")
    chart, feeds = place.chart(chart_key)
    found = next((q for q in questions_of(place, chart, feeds) if not q.code and q.words == row.text), None)
    if found is None:
        raise UsageError("the chart does not have these words any more")
    return found


def agreement(ledger: Ledger, since: datetime, until: datetime) -> list[Agreement]:
    """How often reviewers agreed in a time, by coder and billed code."""
    with ledger.reading() as connection:
        rows = reviews.agreement(connection, since, until)
    return [Agreement(row.coder, row.billed, row.codes, int(row.agreed or 0)) for row in rows]
