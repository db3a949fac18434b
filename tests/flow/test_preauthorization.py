"""A planned visit is asked about by Da Vinci PAS, its number goes on the claim: real stages, real sockets."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import orjson
import pytest

from fhir_coder.delivery import PayerLine, TryLog
from fhir_coder.intake.payloads import read_header
from fhir_coder.model import Json, PasRules, Payer
from fhir_coder.payers import ClientOptions, PayerClient, profile_of
from fhir_coder.payers.decide import RetryPolicy
from fhir_coder.payers.sandbox import running
from fhir_coder.stages import Stages
from fhir_coder.store import claims, items, messages, open_ledger, work
from fhir_coder.store.messages import Incoming
from tests import pas
from tests.building import NOON, SITE, rulebook

KEY = "CLINIC/VN/V1"
LISTED = frozenset({"G0463", "J1885", "J3301"})
PLAN = Payer("plan", "Plan", plans=("PLAN",), prior_auth_codes=LISTED)
REVIEW = Payer(
    "plan-review",
    "Plan",
    plans=("PLAN",),
    prior_auth_codes=LISTED,
    profile="davinci-pas",
    use="preauthorization",
    pas=PasRules("555-0100", service_type="1"),
)


CONCEPTS = {
    "v2-class": {"O": "AMB"},
    "v2-sex": {"F": "female"},
    "v2-relationship": {"18": "self"},
}


class Reviewer(ThreadingHTTPServer):
    """A payer that reviews by PAS: `review` is what it says of every line, `number` what it authorises under."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Desk)
        self.review, self.number, self.fault = "A4", "", 0
        self.wants: list[Json] = []
        self.asked: list[tuple[str, Json]] = []
        self.known: list[Json] = []
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/fhir"

    def submitted(self) -> list[Json]:
        return [bundle for path, bundle in self.asked if path.endswith("Claim/$submit")]


class _Desk(BaseHTTPRequestHandler):
    server: Reviewer

    def do_POST(self) -> None:
        bundle: Json = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked.append((self.path, bundle))
        claim = bundle["entry"][0]["resource"]
        is_submit = self.path.endswith("$submit")
        if is_submit:
            self.server.known.append(claim)
        if is_submit and self.server.fault:
            self.send_response(self.server.fault)
            self.send_header("Content-Length", "0")
            self.end_headers()
            self.server.fault = 0
            return
        found = [c for c in self.server.known if c["identifier"] == claim["identifier"]]
        entries = [{"fullUrl": "urn:uuid:r", "resource": self._response(c)} for c in found[-1:]]
        entries += [{"fullUrl": f"urn:uuid:{n}", "resource": one} for n, one in enumerate(self.server.wants)]
        self._answer({"resourceType": "Bundle", "type": "collection", "entry": entries})

    def _response(self, claim: Json) -> Json:
        number = [{"url": "number", "valueString": self.server.number}] if self.server.number else []
        code = {"coding": [{"system": "https://codesystem.x12.org/005010/306", "code": self.server.review}]}
        parts = [{"url": f"{pas.PAS}extension-reviewActionCode", "valueCodeableConcept": code}, *number]
        action = {"url": f"{pas.PAS}extension-reviewAction", "extension": parts}
        items = [{"itemSequence": i["sequence"], "adjudication": [{"extension": [action]}]} for i in claim["item"]]
        head = {"resourceType": "ClaimResponse", "status": "active", "outcome": "complete"}
        return head | {"identifier": claim["identifier"], "created": "2026-11-03", "item": items}

    def _answer(self, resource: Json) -> None:
        body = json.dumps(resource).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/fhir+json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: Any) -> None:
        """Say nothing."""


class Office:
    """A site with a ledger, one payer that pays and one that reviews."""

    def __init__(self, folder: Path, open_: ExitStack) -> None:
        self.now, self.number = NOON, 0
        self.reviewer = Reviewer()
        open_.callback(self.reviewer.server_close)
        open_.callback(self.reviewer.shutdown)
        self.ledger = open_ledger(folder / "ledger.db", clock=lambda: self.now)
        open_.callback(self.ledger.close)
        urls = {"plan": open_.enter_context(running()) + "/fhir", "plan-review": self.reviewer.url}
        site = replace(SITE, place_of_service={"AMB": "11"})
        book = rulebook(payers=(PLAN, REVIEW), site=site)
        self.book = replace(book, hl7v2_rules=replace(book.hl7v2_rules, concepts=CONCEPTS))
        lines = {payer.name: line(payer, urls[payer.name]) for payer in (PLAN, REVIEW)}
        open_.callback(lambda: [one.client.close() for one in lines.values()])
        self.stages = Stages(self.ledger, self.book, lines)

    def hears(self, kind: str, *rest: str) -> None:
        self.number += 1
        at = f"2026110310{self.number:02d}00"
        body = (
            f"MSH|^~\\&|APP|CLINIC|||{at}||{kind}|C{self.number}|P|2.5.1\rEVN||{at}\r"
            "PID|1||PAT-1^^^CLINIC^MR||Testcase^Tess||19800229|F\r"
            "PV1|1|O|||||||||||||||||V1^^^CLINIC|||||||||||||||||||||||||20261103090000\r"
            "DG1|1||I10^^I10|||F\r"
            "IN1|1|PLAN|PLAN|PLAN|||||||||||||18||||||||||||||||||||||||||||||||MEM1\r" + "".join(rest)
        ).encode()
        with self.ledger.writing() as connection:
            messages.keep(connection, Incoming("adt", read_header(body), body), self.now)
        self.works()

    def works(self) -> None:
        """Do what is due; a payer that has not decided is asked again in another call."""
        for _ in range(60):
            with self.ledger.reading() as connection:
                due = work.due(connection, self.now, set(), 1)
            if not due:
                return
            self.stages.run(due[0])
            if due[0].stage == "poll":
                return

    def claims(self) -> list[tuple[str, str, str]]:
        return [(r.slot, r.purpose, r.status) for r in self.rows()]

    def rows(self) -> list[Any]:
        with self.ledger.reading() as connection:
            return [row for listed in claims.of_chart(connection, KEY).values() for row in reversed(listed)]

    def open_items(self) -> list[Any]:
        with self.ledger.reading() as connection:
            return items.open_items(connection)

    def close_items(self) -> None:
        with self.ledger.writing() as connection:
            numbers = [i.id for i in items.open_items(connection)]
            items.close_items(connection, self.now, numbers, "sent", "a person")


def line(payer: Payer, url: str) -> PayerLine:
    tries = TryLog()
    options = ClientOptions(on_attempt=tries.note, sleep=lambda _: None)
    client = PayerClient(url, profile_of(payer), timeout=(5.0, 10.0), options=options)
    return PayerLine(client, RetryPolicy(0.0, 0.0, 50, 0.0), tries)


def pr1(number: int, code: str) -> str:
    return f"PR1|{number}||{code}^^HCPCS||20261103\r"


def ft1(code: str) -> str:
    doctor = "1234567893^Rivers^Ann^^^^^^NPI&2.16.840.1.113883.4.6&ISO"
    return f"FT1|1|T1||20261103||CG|{code}^^HCPCS|||1|100.00&USD||||||||I10^^I10|{doctor}\r"


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    with ExitStack() as opened:
        yield Office(tmp_path, opened)


AHEAD, OWN = "professional.auth-1", "professional-1"


def test_a_planned_visit_is_asked_about_and_its_number_goes_on_the_claim(office: Office) -> None:
    office.hears("ADT^A05", pr1(1, "G0463"))
    assert office.claims()[-1] == (AHEAD, "bill", "queued")  # pended: asked after

    office.reviewer.review, office.reviewer.number = "A1", "AUTH-7"
    office.works()
    assert (AHEAD, "bill", "complete") in office.claims()

    office.hears("ADT^A04")
    office.hears("DFT^P03", ft1("G0463"))
    office.works()
    claim = orjson.loads(next(r for r in office.rows() if r.slot == OWN).body)
    assert claim["insurance"][0]["preAuthRef"] == ["AUTH-7"]
    assert (OWN, "bill", "complete") in office.claims()


@pytest.mark.skipif(not pas.PACKAGE.is_file(), reason="the Da Vinci PAS package is not in ../shared/data")
def test_what_leaves_follows_the_guides_profiles(office: Office) -> None:
    office.hears("ADT^A05", pr1(1, "G0463"))
    (bundle,) = office.reviewer.submitted()
    assert pas.faults_of(bundle, "pas-request-bundle") == []
    assert "Claim/$inquire" in office.reviewer.asked[-1][0]
    assert pas.faults_of(office.reviewer.asked[-1][1], "pas-inquiry-request-bundle") == []


def test_a_request_whose_answer_was_lost_is_inquired_after_and_not_sent_again(office: Office) -> None:
    office.reviewer.fault, office.reviewer.review, office.reviewer.number = 502, "A1", "AUTH-8"
    office.hears("ADT^A05", pr1(1, "G0463"))
    office.works()
    assert len(office.reviewer.submitted()) == 1
    assert office.claims()[-1] == (AHEAD, "bill", "complete")


def test_a_changed_plan_updates_the_request_line_by_line(office: Office) -> None:
    office.reviewer.review, office.reviewer.number = "A1", "AUTH-9"
    office.hears("ADT^A05", pr1(1, "G0463"), pr1(2, "J1885"))
    office.hears("ADT^A05", pr1(1, "G0463"), pr1(2, "J3301"))
    _, update = [bundle["entry"][0]["resource"] for bundle in office.reviewer.submitted()]
    told = [
        (i["sequence"], i["productOrService"]["coding"][0]["code"], "modifierExtension" in i) for i in update["item"]
    ]
    assert ("G0463", False) in [(code, gone) for _, code, gone in told]
    assert ("J3301", False) in [(code, gone) for _, code, gone in told]
    assert [number for number, _, _ in told] == list(range(1, len(told) + 1))
    assert update["related"][0]["claim"]["identifier"]


def test_a_cancelled_plan_cancels_the_request(office: Office) -> None:
    office.reviewer.review = "A1"
    office.hears("ADT^A05", pr1(1, "G0463"))
    office.reviewer.review = "C"
    office.hears("ADT^A38")
    last = office.reviewer.submitted()[-1]["entry"][0]["resource"]
    assert last["status"] == "active"
    assert any(e["url"].endswith("certificationType") for e in last["extension"])
    assert (AHEAD, "bill", "voided") in office.claims()


def test_a_request_that_is_not_certified_asks_a_person(office: Office) -> None:
    office.reviewer.review = "A3"
    office.hears("ADT^A05", pr1(1, "G0463"))
    assert office.claims()[-1] == (AHEAD, "bill", "denied")
    assert [i.kind for i in office.open_items()] == ["denial"]


def communication(code: str) -> Json:
    payload = [{"contentString": code}]
    return {"resourceType": "CommunicationRequest", "status": "active", "payload": payload}


def test_documents_that_are_asked_for_are_a_persons_work_until_the_payer_decides(office: Office) -> None:
    office.reviewer.wants = [communication("28570-0")]
    office.hears("ADT^A05", pr1(1, "G0463"))
    assert [(i.kind, i.text) for i in office.open_items()] == [
        ("documents", "the payer asks for 28570-0 before it decides: send it to the payer")
    ]

    office.close_items()
    office.works()
    assert office.open_items() == []  # asked for once

    office.reviewer.wants.append(communication("11506-3"))
    office.works()
    assert ["28570-0, 11506-3" in i.text for i in office.open_items()] == [True]

    office.reviewer.review = "A1"
    office.works()
    assert office.open_items() == []


def test_nothing_is_asked_about_services_that_are_not_on_the_payers_list(office: Office) -> None:
    office.hears("ADT^A05", pr1(1, "G0438"))
    assert office.reviewer.asked == []
