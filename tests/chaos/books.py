"""What a payer's books should say of visits, and how they differ from it."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import orjson

from fhir_coder.app import App
from fhir_coder.conversion import Source
from fhir_coder.model import ClaimDraft, ClaimStatus, Json, Severity
from fhir_coder.payers.answer import read_json
from fhir_coder.payers.sandbox.adjudicate import decision_of, frequency, is_void
from tests.chaos.visits import InventedVisit

CREATED = date(2026, 12, 31)
_OF_THE_MAKING = ("id", "identifier", "created", "related", "item", "total", "careTeam", "contained", "supportingInfo")
_NOT_OF_THE_SERVICE = ("sequence", "careTeamSequence")
_ADDS = "5"


@dataclass
class Held:
    """A claim that stands at the payer: neither voided nor replaced; with the claims of late charges to it."""

    identifier: str
    claim: Json
    decision: str
    late: list[Json] = field(default_factory=list)

    @property
    def shape(self) -> bytes:
        return shape(self.claim, self.late)


@dataclass(frozen=True)
class Books:
    """A payer's books: what stands, by the visit's name, and how often each claim was received."""

    standing: Mapping[str, Sequence[Held]]
    received: Mapping[str, int]
    taken_back: Mapping[str, int]


def read_books(file: Path) -> Books:
    """The sandbox payer's own database."""
    with closing(sqlite3.connect(file)) as connection:
        rows = connection.execute("SELECT number, value, claim, response, replaced_by FROM claims").fetchall()
        arrived = connection.execute("SELECT value, count(*) FROM submissions WHERE arrived GROUP BY value").fetchall()
    claims = {value: read_json(claim) for _, value, claim, _, _ in rows}
    standing: dict[str, Held] = {}
    for _, value, _, response, replaced_by in rows:
        if not replaced_by and not is_void(claims[value]):
            standing[value] = Held(value, claims[value], decision_of(read_json(response)))
    for value in [v for v, held in standing.items() if frequency(held.claim) == _ADDS]:
        prior = _prior(claims[value])
        if prior in standing:
            standing[prior].late.append(standing.pop(value).claim)
    by_visit: dict[str, list[Held]] = {}
    for held in standing.values():
        by_visit.setdefault(visit_of(held.claim), []).append(held)
    taken_back = Counter(_prior(claim) for claim in claims.values() if is_void(claim))
    return Books(by_visit, dict(arrived), taken_back)


def _prior(claim: Json) -> str:
    return str(claim["related"][0]["claim"]["identifier"]["value"]) if "related" in claim else ""


def visit_of(claim: Json) -> str:
    """The visit a claim is about: invented members are named after it."""
    member = next(r["subscriberId"] for r in claim["contained"] if r["resourceType"] == "Coverage")
    return str(member).split("-")[1]


def shape(claim: Json, late: Sequence[Json] = ()) -> bytes:
    """What a claim bills: everything but its name, its dates and the order of its lines. Late charges are its lines."""
    lines = [line for one in (claim, *late) for line in one["item"]]
    services = [{k: v for k, v in line.items() if k not in _NOT_OF_THE_SERVICE} for line in lines]
    said = {k: v for k, v in claim.items() if k not in _OF_THE_MAKING}
    said["insurance"] = [{k: v for k, v in i.items() if k != "claimResponse"} for i in claim["insurance"]]
    said["contained"] = [r for r in claim["contained"] if r["resourceType"] not in ("ClaimResponse", "Practitioner")]
    said["item"] = sorted(_text(service) for service in services)
    said["total"] = sum((Decimal(one["total"]["value"]) for one in (claim, *late)), Decimal(0))
    return _text(said).encode()


def _text(value: Any) -> str:
    """JSON in which numbers of one value are one."""
    return orjson.dumps(_plain(value), option=orjson.OPT_SORT_KEYS).decode()


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    is_number = isinstance(value, int | Decimal) and not isinstance(value, bool)
    return f"{Decimal(value).normalize():f}" if is_number else value


@dataclass(frozen=True)
class Wanted:
    """What `convert` makes of a visit's messages in one go: the shapes of its claims, and how many are held."""

    shapes: tuple[bytes, ...]
    held: int


def wanted_of(app: App, visit: InventedVisit) -> Wanted:
    """A second claim waits for the first one's decision only: it is wanted where the first one is."""
    converted = app.convert([Source(str(n), body) for n, body in enumerate(visit.messages)], CREATED)
    ready = [draft for draft in converted.claims if draft.status is ClaimStatus.READY]
    first = {draft.slot for draft in ready}
    ready += [draft for draft in converted.claims if _only_waits(draft) and f"{draft.slot[:-1]}1" in first]
    return Wanted(tuple(shape(draft.claim) for draft in ready), len(converted.claims) - len(ready))


def _only_waits(draft: ClaimDraft) -> bool:
    rejecting = {finding.edit for finding in draft.findings if finding.severity is Severity.REJECT}
    return rejecting == {"waits-for-primary"} and not draft.gaps


def differences(visits: Iterable[InventedVisit], app: App, books: Books) -> Iterator[str]:
    """Every visit whose claims at the payer are not the wanted ones, and every claim that came twice."""
    for visit in visits:
        wanted, held = wanted_of(app, visit), books.standing.get(visit.name, ())
        there = Counter(one.shape for one in held)
        missing = Counter(wanted.shapes) - there
        # A denied claim bills nothing. One that stood before its visit opened again is corrected when it is ready.
        spare = [one for one in held if one.shape not in wanted.shapes and one.decision != "denied"]
        doubled = there - Counter(wanted.shapes)
        if missing or len(spare) > wanted.held or any(doubled[one] for one in wanted.shapes):
            names = ", ".join(one.identifier for one in held)
            yield (
                f"{visit.name}: {len(wanted.shapes)} wanted, {wanted.held} held, {sum(missing.values())} missing, "
                f"{len(spare)} spare; the payer has {names or 'none'}; {' '.join(visit.story)}"
            )
    yield from (f"{name} was received {times} times" for name, times in books.received.items() if times != 1)
    yield from (f"{name} was voided {times} times" for name, times in books.taken_back.items() if times != 1)
