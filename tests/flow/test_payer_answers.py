"""Answers that payers send unasked: called back or notified, late, twice, for nobody. A real payer, real HTTP."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest
import requests
import uvicorn
from fastapi import FastAPI

from fhir_coder.delivery import PayerLine, TryLog
from fhir_coder.intake.desk import IntakeDesk
from fhir_coder.intake.payloads import read_header
from fhir_coder.model import Billing, Json, Payer
from fhir_coder.payers import ClientOptions, PayerClient
from fhir_coder.payers.decide import RetryPolicy
from fhir_coder.payers.sandbox import Rules, running
from fhir_coder.stages import Stages
from fhir_coder.store import Ledger, answers, attempts, claims, items, messages, open_ledger, work
from fhir_coder.store.messages import Incoming
from fhir_coder.web.api import WebAccess, create_app
from fhir_coder.web.payer_routes import PayerAccess
from tests.building import NOON, SITE, rulebook

KEY = "CLINIC/VN/V1"
TOKEN = "the-payers-token"
PAYERS = (Payer("first", "First PPO", plans=("FIRST",), prior_auth_codes=frozenset()), Payer("other", plans=("OTHER",)))
DFT = b"""MSH|^~\\&|APP|CLINIC|||20261103110000||DFT^P03|C1|P|2.5.1\rEVN||20261103110000\r\
PID|1||PAT-1^^^CLINIC^MR||Testcase^Tess||19800229|F\r\
PV1|1|O|||||||||||||||||V1^^^CLINIC|||||||||||||||||||||||||20261103090000\rDG1|1||I10^^I10|||F\r\
IN1|1|FIRST|FIRST|FIRST|||||||||||||18|||||1|||||||||||||||||||||||||||MEM1\r\
FT1|1|T1||20261103||CG|G0463^^HCPCS|||1|100.00&USD||||||||I10^^I10|\
1234567893^Rivers^Ann^^^^^^NPI&2.16.840.1.113883.4.6&ISO\r"""
CONCEPTS = {
    "v2-class": {"O": "AMB"},
    "v2-sex": {"F": "female"},
    "v2-relationship": {"18": "self"},
    "v2-identifier-type": {},
}


@dataclass
class Site:
    """A site with one claim that its payer has not decided, and the address where the payer calls back."""

    ledger: Ledger
    stages: Stages
    web: str
    woken: list[int]
    now: datetime = NOON
    faults: list[str] = field(default_factory=list)

    def works(self) -> None:
        for _ in range(100):
            with self.ledger.reading() as connection:
                due = work.due(connection, self.now, (), 1)
            if not due:
                return
            self.stages.run(due[0])
        raise AssertionError("the work does not come to its end")

    def claim(self) -> Any:
        with self.ledger.reading() as connection:
            return claims.of_chart(connection, KEY)["professional-1"][0]

    def answers(self) -> list[tuple[str, str]]:
        with self.ledger.reading() as connection:
            return [(row.status, row.reason) for row in reversed(answers.listed(connection, "", 50))]

    def items(self) -> list[str]:
        with self.ledger.reading() as connection:
            return [i.kind for i in items.open_items(connection)]

    def attempts(self) -> list[tuple[str, str]]:
        with self.ledger.reading() as connection:
            return [(a.kind, a.outcome) for a in attempts.of_claim(connection, self.claim().id)]

    def calls_back(self, body: Any, path: str = "", payer: str = "first", token: str = TOKEN) -> int:
        """What the payer is answered."""
        sent = body if isinstance(body, bytes) else orjson.dumps(body)
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/fhir+json"}
        method = "PUT" if path else "POST"
        address = f"{self.web}/payers/{payer}/notifications{path}"
        return requests.request(method, address, data=sent, headers=headers, timeout=10).status_code

    def response(self, outcome: str = "complete", paid: int = 80, **said: Any) -> Json:
        """The payer's decision on the claim."""
        named = {"system": SITE.claim_identifier_system, "value": self.claim().identifier}
        return {
            "resourceType": "ClaimResponse",
            "id": "77",
            "status": "active",
            "outcome": outcome,
            "request": {"identifier": named},
            "total": [{"category": {"coding": [{"code": "benefit"}]}, "amount": {"value": paid, "currency": "USD"}}],
            **said,
        }


@contextmanager
def served(app: FastAPI) -> Iterator[str]:
    """The application on a port of its own."""
    with socket.create_server(("127.0.0.1", 0)) as bound:
        server = uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]})
        thread.start()
        yield f"http://127.0.0.1:{bound.getsockname()[1]}"
        server.should_exit = True
        thread.join()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Callable[..., Site]]:
    with ExitStack() as opened:

        def make(faults: tuple[str, ...] = ()) -> Site:
            url = opened.enter_context(running(rules=Rules(pend_seconds=10**6), faults=faults)) + "/fhir"
            tries = TryLog()
            client = PayerClient(url, options=ClientOptions(on_attempt=tries.note, sleep=lambda _: None))
            opened.callback(client.close)
            line = PayerLine(client, RetryPolicy(60.0, 60.0, 50, 60.0, decide_within=86400.0), tries)
            ledger = open_ledger(tmp_path / "ledger.db", clock=lambda: made[0].now if made else NOON)
            opened.callback(ledger.close)
            book = replace(
                rulebook(payers=PAYERS, site=replace(SITE, place_of_service={"AMB": "11"})), billing=Billing()
            )
            book = replace(book, hl7v2_rules=replace(book.hl7v2_rules, concepts=CONCEPTS))
            woken: list[int] = []
            access = PayerAccess({"first": TOKEN, "other": "the-others-token"}, None, lambda: woken.append(1))
            desk = IntakeDesk(ledger, lambda: None)
            opened.callback(desk.close)
            web = opened.enter_context(served(create_app(ledger, desk, WebAccess("x", (), 1 << 20, access))))
            one = Site(ledger, Stages(ledger, book, {"first": line}), web, woken)
            made.append(one)
            with ledger.writing() as connection:
                messages.keep(connection, Incoming("adt", read_header(DFT), DFT), NOON)
            one.works()
            return one

        made: list[Site] = []
        yield make


def notification(kind: str, *focus: str, resources: tuple[Json, ...] = ()) -> Json:
    """A notification of the R4 Backport."""
    events = [{"name": "focus", "valueReference": {"reference": name}} for name in focus]
    status = [{"name": "type", "valueCode": kind}, {"name": "notification-event", "part": events}]
    parameters = {"resourceType": "Parameters", "parameter": status}
    entries = [{"resource": parameters}, *({"resource": one} for one in resources)]
    return {"resourceType": "Bundle", "type": "history", "entry": entries}


Make = Callable[..., Site]


def test_a_decision_that_is_called_back_decides_the_claim_and_no_poll_follows(site: Make) -> None:
    here = site()
    assert here.claim().status == "queued"
    assert here.calls_back(here.response()) == 200
    assert here.woken
    here.works()
    assert here.claim().status == "complete"
    assert here.answers() == [("applied", f"{here.claim().identifier}: complete")]
    written = here.attempts()
    assert ("callback", "answered") in written
    here.now += timedelta(days=2)
    here.works()
    assert here.attempts() == written, "a decided claim is not asked after"


@pytest.mark.parametrize("how", ["PUT", "full-resource", "response bundle", "by reference"])
def test_every_form_of_a_decision_finds_its_claim(site: Make, how: str) -> None:
    here = site()
    said = here.response()
    if how == "PUT":
        assert here.calls_back(said, "/ClaimResponse/77") == 200
    elif how == "full-resource":
        assert here.calls_back(notification("event-notification", "ClaimResponse/77", resources=(said,))) == 200
    elif how == "response bundle":
        claim = orjson.loads(here.claim().body) | {"id": "9"}
        bundle = {"resourceType": "Bundle", "type": "collection"}
        inner = bundle | {"entry": [{"resource": said | {"request": {"reference": "Claim/9"}}}, {"resource": claim}]}
        assert here.calls_back(notification("event-notification", "Bundle/1", resources=(inner,))) == 200
    else:
        assert here.calls_back(said | {"id": "1-response", "request": {}}) == 200
        assert here.claim().payer_reference == "ClaimResponse/1-response"
    here.works()
    assert here.claim().status == "complete"


def test_the_same_answer_again_changes_nothing_and_another_one_is_shown_to_a_person(site: Make) -> None:
    here = site()
    for created in ("2026-11-03", "2026-11-03", "2026-11-04"):
        assert here.calls_back(here.response(created=created)) == 200
        here.works()
    assert [status for status, _ in here.answers()] == ["applied", "repeated"]
    assert here.items() == []
    assert here.calls_back(here.response(paid=10, outcome="partial")) == 200
    here.works()
    assert here.answers()[-1] == ("kept", f"{here.claim().identifier} is complete, and this says otherwise")
    assert (here.claim().status, here.items()) == ("complete", ["answer"])


def test_an_answer_for_an_unknown_claim_is_kept_and_tried_again_when_it_is_repeated(site: Make) -> None:
    here = site()
    named = {"identifier": {"system": SITE.claim_identifier_system, "value": "CLM-NOBODY-1"}}
    assert here.calls_back(here.response(request=named)) == 200
    here.works()
    assert here.answers() == [("kept", "it fits no claim to this payer")]
    assert here.items() == ["answer"]
    with here.ledger.writing() as connection:  # the claim comes to be known
        connection.exec_driver_sql("UPDATE claims SET identifier = 'CLM-NOBODY-1'")
    assert here.calls_back(here.response(request=named)) == 200
    here.works()
    assert [status for status, _ in here.answers()] == ["applied"]
    assert (here.claim().status, here.items()) == ("complete", [])


def test_one_payer_does_not_decide_the_claims_of_another(site: Make) -> None:
    here = site()
    assert here.calls_back(here.response(), payer="other", token="the-others-token") == 200
    here.works()
    assert (here.claim().status, [status for status, _ in here.answers()]) == ("queued", ["kept"])


@pytest.mark.parametrize(
    ("payer", "token", "status"), [("first", "wrong", 401), ("other", TOKEN, 401), ("no", "x", 404)]
)
def test_nobody_calls_back_without_the_payers_own_token(site: Make, payer: str, token: str, status: int) -> None:
    here = site()
    assert here.calls_back(here.response(), payer=payer, token=token) == status
    assert here.answers() == []


def test_what_is_no_fhir_is_refused_and_nothing_is_kept(site: Make) -> None:
    here = site()
    assert [here.calls_back(body) for body in (b"<html>", b"[]", b'{"a": 1}')] == [400, 400, 400]
    assert here.answers() == []


def test_a_greeting_and_a_sign_of_life_are_answered_and_ask_nothing(site: Make) -> None:
    here = site()
    before = here.attempts()
    assert [here.calls_back(notification(kind)) for kind in ("handshake", "heartbeat")] == [200, 200]
    here.works()
    assert (here.answers(), here.attempts()) == ([], before)


@pytest.mark.parametrize("body", [b"", notification("event-notification")])
def test_a_notification_without_content_has_the_open_claims_asked_after_at_once(site: Make, body: Any) -> None:
    here = site()
    here.works()
    polls = here.attempts().count(("poll", "pending"))
    assert polls, "it was asked after once, and waits"
    assert here.calls_back(body) == 200
    here.works()
    assert here.attempts().count(("poll", "pending")) == polls + 1


def test_a_notification_of_an_address_has_the_answer_fetched_from_the_payer_only(site: Make) -> None:
    here = site()
    assert here.calls_back(notification("event-notification", "https://elsewhere.example/ClaimResponse/1")) == 200
    here.works()
    assert here.answers() == [("kept", "it names no claim and holds no decision")]
    assert here.calls_back(notification("event-notification", "ClaimResponse/1-response")) == 200
    here.works()
    assert here.answers()[-1] in [
        ("applied", f"{here.claim().identifier}: still open"),
        ("repeated", f"{here.claim().identifier}: said before"),
    ]


def test_a_decision_settles_a_claim_of_which_nobody_knew_whether_it_came(site: Make) -> None:
    here = site(faults=("drop-after-read:1",))
    assert here.claim().status == "unknown"
    assert here.calls_back(here.response("error")) == 200
    here.works()
    assert here.claim().status == "denied"
    here.now += timedelta(days=1)
    here.works()
    assert [kind for kind, _ in here.attempts()].count("submit") == 1


def test_a_payer_that_does_not_decide_in_its_time_is_left_to_a_person(site: Make) -> None:
    here = site()
    for _ in range(30):
        here.now += timedelta(hours=1)
        here.works()
    assert (here.claim().status, here.items()) == ("queued", ["delivery"])
    asked = here.attempts()
    here.now += timedelta(days=9)
    here.works()
    assert here.attempts() == asked
