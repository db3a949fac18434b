"""Claims on their way: what was sent is kept, a payer that is down costs nothing, one that is back gets them all."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import orjson
import pytest
from sqlalchemy import func, insert, select
from typer.testing import CliRunner

from fhir_coder.claims import content_hash, to_bytes
from fhir_coder.cli import cli
from fhir_coder.delivery import Delivery, PayerLine, TryLog
from fhir_coder.model import Money, OutcomeKind, PayerState
from fhir_coder.payers import BaseProfile, ClientOptions, PayerClient
from fhir_coder.payers.breaker import BreakerPolicy
from fhir_coder.payers.decide import RetryPolicy
from fhir_coder.queries import claim_story
from fhir_coder.screens import wire_text
from fhir_coder.stages import Stages
from fhir_coder.store import Ledger, attempts, breakers, claims, events, items, open_ledger, work
from fhir_coder.store.schema import attempts as attempt_table
from fhir_coder.store.schema import charts
from fhir_coder.store.schema import claims as claim_table
from fhir_coder.worker import Worker
from tests.building import NOON, SITE, drafted, good_chart, rulebook
from tests.wire import wait_for

SYSTEM = SITE.claim_identifier_system
DRAFT = drafted(good_chart())

Answer = Callable[[str, str, bytes], tuple[int, dict[str, str], bytes]]


def taken(_method: str, path: str, _body: bytes) -> tuple[int, dict[str, str], bytes]:
    """A payer that takes every claim, and has none that it is asked for."""
    if path.startswith("/fhir/Claim?"):
        return 200, {}, b'{"resourceType":"Bundle","type":"searchset","total":0}'
    return (200, {}, b'{"resourceType":"CapabilityStatement"}') if path.endswith("/metadata") else (201, DECIDED, PAID)


DECIDED = {"Content-Type": "application/fhir+json"}
PAID = orjson.dumps(
    {"resourceType": "ClaimResponse", "id": "1", "status": "active", "outcome": "complete", "disposition": "paid"}
)


@dataclass
class Payer:
    """An HTTP server on a port of its own, which may be down: then nobody listens there."""

    answer: Answer = taken
    port: int = 0
    got: list[tuple[str, str, dict[str, str], bytes]] = field(default_factory=list)
    at_once: int = 0
    most_at_once: int = 0

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        self._server: ThreadingHTTPServer | None = None
        if not self.port:
            with socket.create_server(("127.0.0.1", 0)) as free:
                self.port = free.getsockname()[1]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/fhir"

    @property
    def claims(self) -> list[str]:
        """The identifiers of the claims posted, in their order."""
        return [orjson.loads(body)["identifier"][0]["value"] for method, path, _, body in self.got if method == "POST"]

    def up(self) -> None:
        payer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                payer.serve(self)

            do_GET = do_POST  # noqa: N815 the name is http.server's

            def log_message(self, *_: Any) -> None:
                """Nothing on the terminal."""

        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def serve(self, handler: BaseHTTPRequestHandler) -> None:
        body = handler.rfile.read(int(handler.headers.get("Content-Length", 0)))
        with self._lock:
            self.got.append((handler.command, handler.path, dict(handler.headers), body))
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            status, headers, said = self.answer(handler.command, handler.path, body)
        finally:
            with self._lock:
                self.at_once -= 1
        handler.send_response(status)
        for name, value in (headers | {"Content-Length": str(len(said)), "Connection": "close"}).items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(said)

    def down(self) -> None:
        if self._server:
            self._server.shutdown()
            self._server.server_close()
            self._server = None


@contextmanager
def payer(answer: Answer = taken) -> Iterator[Payer]:
    one = Payer(answer)
    try:
        yield one
    finally:
        one.down()


@pytest.fixture
def book(tmp_path: Path) -> Iterator[Ledger]:
    """A ledger whose clock runs."""
    opened = open_ledger(tmp_path / "ledger.db")
    yield opened
    opened.close()


def ready(ledger: Ledger, number: int, payer: str = "first", **changed: Any) -> list[str]:
    """File so many claims that are to be sent; answers their ids."""
    ids, at = [], ledger.clock()
    with ledger.writing() as connection:
        start = connection.execute(select(func.count()).select_from(claim_table)).scalar_one()
        for place in range(start, start + number):
            key, identifier = f"CLINIC/VN/{payer}-{place}", f"CLM-{payer}-{place}"
            body = {**DRAFT.claim, "identifier": [{"system": SYSTEM, "value": identifier}]}
            draft = replace(DRAFT, chart_key=key, identifier=identifier, payer=payer, claim=body, **changed)
            connection.execute(insert(charts).values(key=key, first_seen_at=at, cancelled=False))
            filed = claims.Filed(draft, to_bytes(body), content_hash(body))
            ids.append(claims.insert_claim(connection, filed, at + timedelta(milliseconds=place)))
    return ids


def line(payer: Payer, policy: RetryPolicy | None = None, **limits: Any) -> PayerLine:
    """A payer's client that waits seconds at most, and a breaker that needs fractions of one."""
    tries = TryLog()
    options = ClientOptions(on_attempt=tries.note, sleep=lambda _: None)
    client = PayerClient(payer.url, timeout=(2.0, 5.0), options=options)
    breaker = limits.pop("breaker", BreakerPolicy(failures=3, slow=4.0, probe=0.1, cap=0.4, lease=20.0))
    return PayerLine(client, policy or RetryPolicy(0.05, 0.2, 50, 0.05), tries, breaker, **limits)


@contextmanager
def working(ledger: Ledger, **lines: PayerLine) -> Iterator[Worker]:
    worker = Worker(ledger, Stages(ledger, rulebook(), lines), threads=2)
    worker.start()
    try:
        yield worker
    finally:
        worker.stop()
        for one in lines.values():
            one.client.close()


def statuses(ledger: Ledger, payer: str = "first") -> dict[str, int]:
    query = select(claim_table.c.status, func.count()).where(claim_table.c.payer == payer)
    with ledger.reading() as connection:
        return {row[0]: row[1] for row in connection.execute(query.group_by(claim_table.c.status))}


def breaker_of(ledger: Ledger, payer: str = "first") -> breakers.Breaker:
    with ledger.reading() as connection:
        return breakers.of_payer(connection, payer, NOON)


def number_of_attempts(ledger: Ledger) -> int:
    with ledger.reading() as connection:
        return connection.execute(select(func.count()).select_from(attempt_table)).scalar_one()


# --- a payer that is down


def probes_pass(ledger: Ledger, number: int) -> None:
    """Wait until a payer that is down was asked so often whether it is there."""
    for _ in range(number):
        seen = breaker_of(ledger).resume_at
        assert wait_for(lambda seen=seen: breaker_of(ledger).resume_at != seen, 20)  # type: ignore[misc]  # a default has no type


def test_claims_of_a_dead_payer_wait_untried_and_all_go_when_it_is_back(book: Ledger) -> None:
    with payer() as first:
        ready(book, 300)
        with working(book, first=line(first, concurrency=3)):
            assert wait_for(lambda: breaker_of(book).state is not PayerState.UP, 20)
            probes_pass(book, 2)  # what was on its way when it went down has come back
            assert statuses(book) == {"ready": 300}
            tried = number_of_attempts(book)
            probes_pass(book, 3)
            assert number_of_attempts(book) == tried < 100
            assert first.got == []

            first.up()
            assert wait_for(lambda: statuses(book) == {"complete": 300}, 60)

        assert first.most_at_once <= 3
        assert sorted(first.claims) == sorted(set(first.claims))
        assert first.got[0][1] == "/fhir/metadata"
    with book.reading() as connection:
        moves = [(e.from_status, e.to_status) for e in events.events_of(connection, "payer", "first")]
    assert moves == [("up", "down"), ("down", "up")]


def test_one_claim_alone_tries_a_payer_that_answers_but_fails(book: Ledger) -> None:
    is_well = threading.Event()

    def answer(method: str, path: str, body: bytes) -> tuple[int, dict[str, str], bytes]:
        if method == "POST" and not is_well.is_set():
            return 503, {}, b"<html>maintenance</html>"
        return taken(method, path, body)

    with payer(answer) as first:
        first.up()
        ready(book, 60)
        with working(book, first=line(first, concurrency=4)):
            assert wait_for(lambda: breaker_of(book).openings >= 3, 30)
            first.most_at_once = 0
            assert wait_for(lambda: breaker_of(book).openings >= 5, 30)
            assert first.most_at_once == 1

            is_well.set()
            assert wait_for(lambda: statuses(book) == {"complete": 60}, 60)


def test_a_payer_that_is_down_does_not_hold_up_another(book: Ledger) -> None:
    is_over = threading.Event()

    def hangs(method: str, path: str, body: bytes) -> tuple[int, dict[str, str], bytes]:
        is_over.wait(30)
        return taken(method, path, body)

    with payer(hangs) as slow, payer() as fast:
        slow.up()
        fast.up()
        ready(book, 40, "slow")
        ready(book, 40, "fast")
        with working(book, slow=line(slow, concurrency=4), fast=line(fast)):
            assert wait_for(lambda: statuses(book, "fast") == {"complete": 40}, 30)
            assert "complete" not in statuses(book, "slow")
            is_over.set()
            assert wait_for(lambda: statuses(book, "slow") == {"complete": 40}, 60)


def test_a_busy_payer_is_left_alone_as_a_whole_until_the_time_it_named(book: Ledger) -> None:
    def busy(method: str, path: str, body: bytes) -> tuple[int, dict[str, str], bytes]:
        return 429, {"Retry-After": "3600"}, b""

    with payer(busy) as first:
        first.up()
        ready(book, 30)
        with working(book, first=line(first, concurrency=1)):
            assert wait_for(lambda: breaker_of(book).resume_at is not None, 20)
            assert wait_for(lambda: statuses(book) == {"ready": 30}, 20)
        assert len(first.got) == 1
        assert breaker_of(book).resume_at > book.clock() + timedelta(seconds=3000)  # type: ignore[operator]  # it is set


# --- order


def test_the_nearest_week_of_timely_filing_goes_first_then_the_most_money_then_the_oldest(book: Ledger) -> None:
    def amount(value: str) -> Money:
        return Money(Decimal(value), "USD")

    late, soon, same_week = date(2026, 12, 30), date(2026, 11, 23), date(2026, 11, 27)
    ready(book, 1, total=amount("9000.00"))
    ready(book, 1, total=amount("10.00"), file_by=late)
    ready(book, 1, total=amount("20.00"), file_by=soon)
    ready(book, 1, total=amount("300.00"), file_by=same_week)
    ready(book, 1, total=amount("10.00"), file_by=late)
    with payer() as first:
        first.up()
        with working(book, first=line(first, concurrency=1)):
            assert wait_for(lambda: statuses(book) == {"complete": 5}, 30)
        assert first.claims == [f"CLM-first-{n}" for n in (3, 2, 1, 4, 0)]


# --- what was sent


def one_attempt(ledger: Ledger, delivery: Delivery) -> None:
    """Do the one piece of work there is, due or not."""
    with ledger.reading() as connection:
        (todo,) = work.due(connection, ledger.clock() + timedelta(days=1), (), 1)
    getattr(delivery, todo.stage)(todo)


def test_every_repeat_has_the_bytes_that_were_kept_before_the_first_sending(book: Ledger) -> None:
    said = iter([(503, {}, b""), (500, {}, b"<html>oops</html>")])

    def answer(method: str, path: str, body: bytes) -> tuple[int, dict[str, str], bytes]:
        return next(said, taken(method, path, body)) if method == "POST" else taken(method, path, body)

    with payer(answer) as first:
        first.up()
        (claim_id,) = ready(book, 1)
        client = line(first).client
        client._options = replace(client._options, max_wait_in_attempt=0.0)  # one request an attempt
        tries = TryLog()
        client._options = replace(client._options, on_attempt=tries.note)
        delivery = Delivery(book, SYSTEM, {"first": PayerLine(client, RetryPolicy(0.0, 0.0), tries)})
        for _ in range(4):  # busy, failed, looked up, taken
            one_attempt(book, delivery)
        client.close()

    posts = [(path, headers["If-None-Exist"], body) for method, path, headers, body in first.got if method == "POST"]
    assert len(posts) == 3
    assert len(set(posts)) == 1
    story = claim_story(book, claim_id)
    assert [(a.kind, a.outcome) for a in story.attempts] == [
        ("submit", "busy"),
        ("submit", "unknown"),
        ("look-up", "not-found"),
        ("submit", "answered"),
    ]
    assert story.attempts[0].request_line == f"POST {first.url}/Claim"
    assert "If-None-Exist: identifier=" in story.attempts[0].request_headers
    assert story.attempts[1].response == b"<html>oops</html>"
    told = wire_text(story.attempts, story.row.body)
    assert told.count('"resourceType":"Claim"') == 3
    assert "<html>oops</html>" in told


def test_no_secret_of_a_request_is_kept(book: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    with payer() as first:
        first.up()
        (claim_id,) = ready(book, 1)
        one = line(first)
        send = one.client._session().request
        poisoned = {"Authorization": "Bearer POISON", "Cookie": "POISON", "X-Api-Key": "POISON"}
        monkeypatch.setattr(
            one.client._session(),
            "request",
            lambda *a, **k: send(*a, **{**k, "headers": k["headers"] | poisoned}),
        )
        one_attempt(book, Delivery(book, SYSTEM, {"first": one}))
        one.client.close()
    assert first.got[0][2]["Authorization"] == "Bearer POISON"
    (attempt,) = claim_story(book, claim_id).attempts
    assert "Authorization: (not kept)" in attempt.request_headers
    assert b"POISON" not in book.path.read_bytes() + Path(f"{book.path}-wal").read_bytes()


# --- settling what is unknown


def test_an_unknown_outcome_is_settled_by_an_exact_repeat_where_the_payer_promises_to_take_it_once(
    book: Ledger,
) -> None:
    said = iter([(502, {}, b"")])

    def answer(method: str, path: str, body: bytes) -> tuple[int, dict[str, str], bytes]:
        return next(said, taken(method, path, body))

    with payer(answer) as first:
        first.up()
        (claim_id,) = ready(book, 1)
        one = line(first, RetryPolicy(0.0, 0.0, unknown="repeat"))
        delivery = Delivery(book, SYSTEM, {"first": one})
        one_attempt(book, delivery)
        one_attempt(book, delivery)
        one.client.close()
    assert [method for method, *_ in first.got] == ["POST", "POST"]
    assert first.got[0][3] == first.got[1][3]
    story = claim_story(book, claim_id)
    assert [(a.kind, a.outcome) for a in story.attempts] == [("submit", "unknown"), ("repeat", "answered")]
    assert story.row.status == "complete"


def test_an_unknown_outcome_is_a_persons_work_where_the_payer_cannot_be_asked(book: Ledger) -> None:
    with payer(lambda *_: (504, {}, b"")) as first:
        first.up()
        (claim_id,) = ready(book, 1)
        one = line(first, RetryPolicy(0.0, 0.0, unknown="person"))
        one_attempt(book, Delivery(book, SYSTEM, {"first": one}))
        one.client.close()
    assert [method for method, *_ in first.got] == ["POST"]
    with book.reading() as connection:
        assert [i.kind for i in items.open_items(connection)] == ["parked"]
        assert work.waiting(connection) == 0
    assert claim_story(book, claim_id).row.status == "unknown"


def test_a_claim_sent_by_a_worker_that_died_is_settled_by_a_person_where_the_payer_cannot_be_asked(
    book: Ledger,
) -> None:
    with payer() as first:
        first.up()
        (claim_id,) = ready(book, 1)
        one = line(first, RetryPolicy(0.0, 0.0, unknown="person"))
        with book.writing() as connection:  # as a worker leaves it that dies after sending
            row = claims.by_id(connection, claim_id)
            request = one.client.prepared(row.body, SYSTEM, row.identifier)
            kept = attempts.Submission(request.method, request.path, dict(request.headers), None)
            attempts.keep_submission(connection, claim_id, kept, book.clock())
            claims.move(connection, row, claims.ClaimStatus.SENT, "sending", book.clock())
        one_attempt(book, Delivery(book, SYSTEM, {"first": one}))
        one.client.close()
    assert first.got == []
    with book.reading() as connection:
        assert [i.kind for i in items.open_items(connection)] == ["parked"]


def test_a_person_is_asked_when_a_claim_was_tried_for_too_long(tmp_path: Path) -> None:
    now = NOON
    ledger = open_ledger(tmp_path / "l.db", clock=lambda: now)
    with payer(lambda *_: (503, {}, b"")) as first:
        first.up()
        ready(ledger, 1)
        tries = TryLog()
        options = ClientOptions(on_attempt=tries.note, sleep=lambda _: None, clock=lambda: now)
        client = PayerClient(first.url, options=options)
        one = PayerLine(client, RetryPolicy(1.0, 1.0, 50, give_up_after=3600.0), tries)
        delivery = Delivery(ledger, SYSTEM, {"first": one})
        one_attempt(ledger, delivery)
        now += timedelta(minutes=59)
        one_attempt(ledger, delivery)
        with ledger.reading() as connection:
            assert items.open_items(connection) == []
        now += timedelta(minutes=1)
        one_attempt(ledger, delivery)
        client.close()
    with ledger.reading() as connection:
        assert [(i.kind, i.reason) for i in items.open_items(connection)] == [("delivery", OutcomeKind.BUSY.value)]
        assert work.waiting(connection) == 0
    ledger.close()


# --- orders by command


def command(folder: Path, *words: str) -> tuple[int, str]:
    """Run `fhir-coder claims` on the ledger of this folder; answers its exit status and all it printed."""
    settings = folder / "site.toml"
    if not settings.exists():
        url = f"sqlite:///{folder / 'ledger.db'}"
        payer = '[[payers]]\nname = "first"\nurl = "http://127.0.0.1:1/fhir"\n'
        settings.write_text(f'[store]\nurl = "{url}"\n\n{payer}', encoding="utf-8")
    result = CliRunner().invoke(cli, ["claims", *words, "-c", str(settings)])
    return result.exit_code, result.output


def test_orders_by_command_show_what_they_would_do_and_do_it_with_yes(book: Ledger, tmp_path: Path) -> None:
    ready(book, 120)
    code, shown = command(tmp_path, "hold", "--payer", "first", "--status", "ready")
    assert (code, shown.splitlines()[-2:]) == (0, ["and 20 more", "nothing was done; 120 claims of 120 with --yes"])
    assert statuses(book) == {"ready": 120}

    code, shown = command(tmp_path, "hold", "--payer", "first", "--why", "contract ends", "--yes")
    assert (code, shown.splitlines()[-1]) == (0, "120 claims of 120 changed")
    assert statuses(book) == {"held": 120}
    code, shown = command(tmp_path, "release", "CLM-first-7", "CLINIC/VN/first-8", "--yes")
    assert (code, shown.splitlines()[-1]) == (0, "2 claims of 2 changed")
    assert statuses(book) == {"held": 118, "ready": 2}
    code, shown = command(tmp_path, "cancel", "CLM-first-7", "CLM-first-7", "--yes")
    assert (code, shown.splitlines()[-1]) == (0, "1 claim of 1 changed")
    history = command(tmp_path, "show", "CLM-first-7")[1]
    assert "held by a person: contract ends (user " in history
    assert "ready → voided" in history


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        ((), 2, "name claims, or say which are meant"),
        (("--payer", "nobody"), 2, "--payer: no payer"),
        (("--status", "lost"), 2, "--status: it is one of held"),
        (("--since", "yesterday"), 2, "not a time"),
        (("CLM-first-0", "CLM-9"), 1, "name 2 is of no claim"),
    ],
)
@pytest.mark.parametrize("order", ["resubmit", "hold", "release", "cancel"])
def test_an_order_that_does_not_say_what_it_means_does_nothing(
    book: Ledger, tmp_path: Path, order: str, words: tuple[str, ...], code: int, told: str
) -> None:
    ready(book, 1)
    ended, shown = command(tmp_path, order, *words, "--yes")
    assert ended == code
    assert told in shown
    assert statuses(book) == {"ready": 1}


def test_every_request_of_a_claim_is_printed_whole(book: Ledger, tmp_path: Path) -> None:
    with payer(lambda *_: (422, {"X-Trace": "SECRET"}, b'{"resourceType":"OperationOutcome"}\x1b[31m')) as first:
        first.up()
        ready(book, 1)
        one = line(first)
        one_attempt(book, Delivery(book, SYSTEM, {"first": one}))
        one.client.close()
    code, shown = command(tmp_path, "show", "CLM-first-0", "--wire")
    assert code == 0
    for said in ("# 1  submit", f"POST {first.url}/Claim", '{"resourceType":"Claim"', "HTTP 422", "OperationOutcome"):
        assert said in shown
    assert "SECRET" not in shown
    assert "\x1b" not in shown


# --- several claims in one request


def in_batches(_method: str, path: str, body: bytes) -> tuple[int, dict[str, str], bytes]:
    """A payer that answers each entry of a batch, and has none that it is asked for."""
    told = orjson.loads(body) if body else {}
    if told.get("type") != "batch":
        return taken(_method, path, body)
    entry = {"resource": orjson.loads(PAID), "response": {"status": "201 Created", "location": "Claim/1"}}
    bundle = {"resourceType": "Bundle", "type": "batch-response", "entry": [entry] * len(told["entry"])}
    return 200, DECIDED, orjson.dumps(bundle)


def identifiers_in(body: bytes) -> list[str]:
    """The claims of a request, in their order."""
    told = orjson.loads(body)
    held = [entry["resource"] for entry in told["entry"]] if told.get("type") == "batch" else [told]
    return [claim["identifier"][0]["value"] for claim in held]


def batch_line(payer: Payer, **limits: Any) -> PayerLine:
    one = line(payer, **limits)
    one.client.profile = BaseProfile(envelope="batch", per_request=10)
    return one


def test_ready_claims_go_together_and_each_has_its_own_attempt(book: Ledger) -> None:
    with payer(in_batches) as first:
        first.up()
        ids = ready(book, 25)
        with working(book, first=batch_line(first, concurrency=1)):
            assert wait_for(lambda: statuses(book) == {"complete": 25}, 20)

    sent = [identifiers_in(body) for method, _, _, body in first.got if method == "POST"]
    assert sorted(one for its in sent for one in its) == sorted(f"CLM-first-{n}" for n in range(25))
    assert max(map(len, sent)) == 10
    with book.reading() as connection:
        made = [attempts.of_claim(connection, claim_id) for claim_id in ids]
    assert [[(a.kind, a.outcome) for a in its] for its in made] == [[("submit", "answered")]] * 25
    assert {a.response for its in made for a in its} == {PAID}


def test_each_claim_of_a_batch_whose_fate_nobody_knows_is_looked_up_before_it_is_sent_again(book: Ledger) -> None:
    unknown: list[str] = []

    def answer(method: str, path: str, body: bytes) -> tuple[int, dict[str, str], bytes]:
        if method == "POST" and not unknown:
            unknown.extend(identifiers_in(body))
            return 500, {}, b""
        return in_batches(method, path, body)

    with payer(answer) as first:
        first.up()
        ids = ready(book, 10)
        with working(book, first=batch_line(first, concurrency=1)):
            assert wait_for(lambda: statuses(book) == {"complete": 10}, 20)

    with book.reading() as connection:
        kinds = [[a.kind for a in attempts.of_claim(connection, claim_id)] for claim_id in ids]
        kept = [attempts.submission_of(connection, claim_id) for claim_id in ids]
        sent = {claim_id: claims.by_id(connection, claim_id).identifier for claim_id in ids}
    assert unknown
    for claim_id, made in zip(ids, kinds, strict=True):
        assert made == (["submit", "look-up", "submit"] if sent[claim_id] in unknown else ["submit"])
    assert all(one is not None and one.path == "Claim" and one.body is None for one in kept)


def test_claims_of_a_batch_that_is_refused_as_a_whole_go_alone(book: Ledger) -> None:
    def answer(method: str, path: str, body: bytes) -> tuple[int, dict[str, str], bytes]:
        if method == "POST" and len(identifiers_in(body)) > 1:
            return 400, {}, b""
        return taken(method, path, body)

    with payer(answer) as first:
        first.up()
        ready(book, 10)
        with working(book, first=batch_line(first, concurrency=1)):
            assert wait_for(lambda: statuses(book) == {"complete": 10}, 20)
        assert breaker_of(book).state is PayerState.UP
