"""A planned visit: the payer is asked ahead, and its answer is on the claim that follows. Real stages and sockets."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from fhir_coder.model import Json, Payer
from fhir_coder.payers.sandbox import running
from tests.building import SITE, rulebook
from tests.flow.test_billing import CONCEPTS, FIRST, Site, ft1, segment

REVIEW = Payer("review", "First PPO, review", plans=("FIRST",), use="preauthorization")
ESTIMATE = Payer("estimate", "First PPO, estimates", plans=("FIRST",), use="predetermination")
PLANNED = segment("PR1", f1=1, f3="G0289^^HCPCS", f5="20261103090000", f19="P1")

Make = Callable[..., Site]


class Reviewer(BaseHTTPRequestHandler):
    """A payer that authorises everything under one number."""

    def do_POST(self) -> None:
        claim = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        response = {
            "resourceType": "ClaimResponse",
            "id": "1",
            "identifier": [{"value": "ICN-1"}],
            "status": "active",
            "type": claim["type"],
            "use": claim["use"],
            "patient": {"display": "as asked"},
            "created": "2026-11-03",
            "insurer": {"display": "First PPO"},
            "outcome": "complete",
            "preAuthRef": "PA-5001",
            "total": [{"category": {"coding": [{"code": "eligible"}]}, "amount": {"value": 1, "currency": "USD"}}],
        }
        body = json.dumps(response).encode()
        self.send_response(201)
        self.send_header("Content-Type", "application/fhir+json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_args: object) -> None:
        """Say nothing."""


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Make]:
    """Makes a site whose first payer is a sandbox, and whose others authorise everything."""
    with ExitStack() as opened:
        server = opened.enter_context(closing_server())

        def make(*ahead: Payer) -> Site:
            urls = {FIRST.name: opened.enter_context(running()) + "/fhir"}
            urls |= {payer.name: f"http://127.0.0.1:{server.server_address[1]}/fhir" for payer in ahead}
            book = rulebook(payers=(*ahead, FIRST), site=replace(SITE, place_of_service={"AMB": "11"}))
            made = Site(tmp_path, replace(book, hl7v2_rules=replace(book.hl7v2_rules, concepts=CONCEPTS)), urls)
            opened.enter_context(made.open)
            return made

        yield make


class closing_server:  # noqa: N801 - read as the function that it is used as
    """A server on a free port while it is needed."""

    def __enter__(self) -> ThreadingHTTPServer:
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Reviewer)
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()
        return self.server

    def __exit__(self, *_exception: object) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


def standing(here: Site) -> list[tuple[str, str]]:
    return [(slot, status) for slot, _, _, _, status in here.claims()]


def body_of(here: Site, slot: str) -> Json:
    (place,) = [i for i, row in enumerate(here.rows()) if row.slot == slot]
    return here.body(place)


def test_a_planned_visit_is_asked_about_at_once_while_its_claim_waits(site: Make) -> None:
    here = site(REVIEW)

    here.hears("ADT^A05", PLANNED)

    assert standing(here) == [("professional-1", "held"), ("professional.auth-1", "complete")]
    asked = body_of(here, "professional.auth-1")
    assert (asked["use"], asked["item"][0]["productOrService"]["coding"][0]["code"]) == ("preauthorization", "G0289")
    assert "net" not in asked["item"][0]
    assert here.items() == []


def test_the_claim_after_the_visit_has_the_number_and_the_request_stays_as_it_was(site: Make) -> None:
    here = site(REVIEW)
    here.hears("ADT^A05", PLANNED)

    here.hears("DFT^P03", ft1(1, code="G0289"), end="20261103120000")

    assert standing(here) == [("professional-1", "complete"), ("professional.auth-1", "complete")]
    claim = body_of(here, "professional-1")
    assert (claim["use"], claim["insurance"][0]["preAuthRef"]) == ("claim", ["PA-5001"])
    assert here.standing_at("first") == [80.0]


def test_a_code_that_needs_the_number_is_not_held_once_it_has_come(site: Make) -> None:
    first = replace(FIRST, prior_auth_codes=frozenset({"G0289"}))
    here = site(replace(REVIEW, prior_auth_codes=frozenset({"G0289"})))
    here.start(replace(here.book, payers=(here.book.payers[0], first)))
    here.hears("ADT^A05", PLANNED)

    here.hears("DFT^P03", ft1(1, code="G0289"), end="20261103120000")

    assert standing(here) == [("professional-1", "complete"), ("professional.auth-1", "complete")]


def test_only_codes_of_the_reviewers_list_are_asked_about(site: Make) -> None:
    here = site(replace(REVIEW, prior_auth_codes=frozenset({"J9999"})))

    here.hears("ADT^A05", PLANNED)

    assert standing(here) == [("professional-1", "held")]


def test_a_cancelled_plan_takes_the_request_back(site: Make) -> None:
    here = site(REVIEW)
    here.hears("ADT^A05", PLANNED)

    here.hears("ADT^A38")

    assert ("professional.auth-1", "voided") in standing(here)
    assert body_of_void(here)["status"] == "cancelled"


def body_of_void(here: Site) -> Json:
    (place,) = [i for i, row in enumerate(here.rows()) if row.slot == "professional.auth-1" and row.purpose == "void"]
    return here.body(place)


def test_a_changed_plan_replaces_the_request_and_names_the_payers_own_number(site: Make) -> None:
    here = site(REVIEW)
    here.hears("ADT^A05", PLANNED)

    here.hears("ADT^A05", PLANNED, segment("PR1", f1=2, f3="A4565^^HCPCS", f5="20261103090000", f19="P2"))

    rows = [r for r in here.rows() if r.slot == "professional.auth-1"]
    assert [r.status for r in rows] == ["replaced", "complete"]
    (related,) = here.body(here.rows().index(rows[-1]))["related"]
    assert related["claim"]["identifier"]["value"] == rows[0].identifier
    assert related["reference"] == {"value": "ICN-1"}


def test_a_predetermination_is_asked_beside_a_preauthorization_and_gives_the_claim_no_number(site: Make) -> None:
    here = site(ESTIMATE)
    here.hears("ADT^A05", PLANNED)

    here.hears("DFT^P03", ft1(1, code="G0289"), end="20261103120000")

    assert standing(here) == [("professional-1", "complete"), ("professional.det-1", "complete")]
    assert body_of(here, "professional.det-1")["use"] == "predetermination"
    assert "preAuthRef" not in body_of(here, "professional-1")["insurance"][0]


def test_a_visit_that_was_not_planned_is_asked_about_by_nobody(site: Make) -> None:
    here = site(REVIEW, ESTIMATE)

    here.hears("DFT^P03", ft1(1, code="G0289"), end="20261103120000")

    assert standing(here) == [("professional-1", "complete")]
