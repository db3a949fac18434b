"""FHIR over HTTP as senders meet it: a real server at a real socket, a real ledger, and what its messages say then."""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from dataclasses import replace
from email.utils import parsedate_to_datetime
from pathlib import Path
from types import TracebackType
from typing import Any

import pytest
import requests
import uvicorn
from fhir.resources.R4B.bundle import Bundle
from fhir.resources.R4B.capabilitystatement import CapabilityStatement
from fhir.resources.R4B.operationoutcome import OperationOutcome
from sqlalchemy import select

from fhir_coder.conformance_check import feed_check
from fhir_coder.fhir import facts_from_message
from fhir_coder.intake.desk import IntakeDesk
from fhir_coder.model import Answered, Header, Message, MessageFacts, MessageFormat, MessageStatus, Verdict
from fhir_coder.queries import list_claims
from fhir_coder.reprocess import correct
from fhir_coder.scenarios import Scenario
from fhir_coder.store import Ledger, messages, open_ledger
from fhir_coder.store.schema import charts, work_items
from fhir_coder.store.schema import messages as message_table
from fhir_coder.trial import HOST, Trial
from fhir_coder.web.api import FeedAccess, WebAccess, create_app

FHIR = "application/fhir+json"
POISON = "Zzpoisonname"
SYNTHEA = Path(__file__).parents[3] / "shared" / "data" / "synthea"
LIMIT = 16 * 1024 * 1024


class Site:
    """The web application of two feeds at a socket of its own, without workers; a context manager."""

    def __init__(self, folder: Path, **feed: Any) -> None:
        self.ledger: Ledger = open_ledger(folder / "ledger.db")
        self._desk = IntakeDesk(self.ledger, lambda: None)
        feeds = (FeedAccess("ehr", **feed), FeedAccess("lab"))
        self._bound = socket.create_server((HOST, 0))
        self._url = f"http://{HOST}:{self._bound.getsockname()[1]}"
        web = create_app(self.ledger, self._desk, WebAccess("", feeds, LIMIT))
        config = uvicorn.Config(web, log_config=None, lifespan="off", timeout_graceful_shutdown=2)
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=lambda: asyncio.run(self._server.serve(sockets=[self._bound])))

    def __enter__(self) -> Site:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.should_exit = True
        self._thread.join()
        self._desk.close()
        self.ledger.close()
        self._bound.close()

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> requests.Response:
        """One request; keyword `If_Match` is the header If-Match."""
        data = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        named = {"Content-Type": FHIR} | {name.replace("_", "-"): value for name, value in headers.items()}
        request = requests.Request(method, self._url, data=data, headers=named).prepare()
        request.url = f"{self._url}/{path}"  # as it is: `requests` would tidy `..` away
        with requests.Session() as session:
            return session.send(request, timeout=60)

    def post(self, body: Any, path: str = "fhir", **headers: str) -> requests.Response:
        return self.ask("POST", path, body, **headers)

    def put(self, resource: Mapping[str, Any], **headers: str) -> requests.Response:
        return self.ask("PUT", f"fhir/{resource['resourceType']}/{resource['id']}", resource, **headers)

    def statuses(self) -> list[str]:
        """The statuses of all messages in the order of arrival."""
        with self.ledger.reading() as connection:
            return list(connection.execute(select(message_table.c.status).order_by(message_table.c.id)).scalars())

    def said(self, number: int = -1) -> MessageFacts:
        """What a message says, as the worker reads it."""
        with self.ledger.reading() as connection:
            ids = list(connection.execute(select(message_table.c.id).order_by(message_table.c.id)).scalars())
            message, _ = messages.load(connection, ids[number])
        assert message.header.format is MessageFormat.FHIR
        return facts_from_message(message)

    def topics(self, number: int = -1) -> set[str]:
        return {filed.topic for filed in self.said(number).facts}

    def body(self, number: int = -1) -> bytes:
        with self.ledger.reading() as connection:
            found = connection.execute(select(message_table.c.body).order_by(message_table.c.id)).scalars()
            return bytes(list(found)[number])

    def items(self) -> list[str]:
        """The texts of the open work items."""
        with self.ledger.reading() as connection:
            return list(connection.execute(select(work_items.c.text).order_by(work_items.c.id)).scalars())


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with Site(tmp_path) as one:
        yield one


@pytest.fixture
def strict(tmp_path: Path) -> Iterator[Site]:
    with Site(tmp_path, rejects_invalid=True) as one:
        yield one


def patient(resource_id: str = "", mrn: str = "A-1", family: str = "Berg") -> dict[str, Any]:
    named = {"id": resource_id} if resource_id else {}
    return {
        "resourceType": "Patient",
        **named,
        "identifier": [{"system": "urn:mrn", "value": mrn}],
        "name": [{"family": family, "given": ["Ada"]}],
    }


def encounter(resource_id: str, subject: str) -> dict[str, Any]:
    return {
        "resourceType": "Encounter",
        "id": resource_id,
        "status": "finished",
        "class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "AMB"},
        "subject": {"reference": subject},
        "period": {"start": "2026-11-03T09:00:00Z", "end": "2026-11-03T10:00:00Z"},
    }


def bundle(kind: str, *entries: dict[str, Any]) -> dict[str, Any]:
    return {"resourceType": "Bundle", "type": kind, "entry": list(entries)}


def posted(resource: dict[str, Any], full_url: str = "", **request: str) -> dict[str, Any]:
    url = {"fullUrl": full_url} if full_url else {}
    return {**url, "resource": resource, "request": {"method": "POST", "url": resource["resourceType"], **request}}


def put_entry(resource: dict[str, Any], **request: str) -> dict[str, Any]:
    url = f"{resource['resourceType']}/{resource['id']}"
    return {"resource": resource, "request": {"method": "PUT", "url": url, **request}}


def delete_entry(url: str) -> dict[str, Any]:
    return {"request": {"method": "DELETE", "url": url}}


def issues(answer: requests.Response) -> list[tuple[str, str]]:
    """Code and expression of each issue of an OperationOutcome, which is valid."""
    assert answer.headers["Content-Type"] == FHIR
    OperationOutcome.model_validate(answer.json())
    return [(one["code"], one.get("expression", [""])[0]) for one in answer.json()["issue"]]


def responses(answer: requests.Response) -> list[dict[str, Any]]:
    """The responses of the entries of a Bundle, which is valid."""
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, FHIR)
    Bundle.model_validate(answer.json())
    return [entry["response"] for entry in answer.json().get("entry", [])]


# --- create


def test_a_create_with_an_id_keeps_it_and_answers_where_it_is(site: Site) -> None:
    answer = site.post(patient("p1"), "fhir/Patient")
    assert (answer.status_code, answer.content) == (201, b"")
    assert answer.headers["Location"] == "/fhir/Patient/p1/_history/1"
    assert answer.headers["ETag"] == 'W/"1"'
    assert parsedate_to_datetime(answer.headers["Last-Modified"]).tzinfo is not None
    assert site.topics() >= {"Patient/p1"}


def test_a_create_without_an_id_is_given_one_that_later_references_lead_to(site: Site) -> None:
    sent = json.dumps(patient()).encode()
    answer = site.post(sent)
    location = answer.headers["Location"]
    assert location.startswith("/fhir/Patient/")
    named = location.split("/")[3]
    assert site.body() == sent, "the bytes are kept as they came"
    assert f"Patient/{named}" in site.topics()
    assert "Patient?identifier=urn:mrn|A-1" in site.topics(), "its business identifier still leads to it"
    site.put(encounter("e1", f"Patient/{named}"))
    assert site.said().charts == (f"Patient/{named}/Encounter/e1",)


def test_the_same_bytes_again_are_answered_with_the_place_of_the_first(site: Site) -> None:
    for resource in (patient(), patient("p1", "A-2")):
        first, again = site.post(resource), site.post(resource)
        assert (first.status_code, again.status_code) == (201, 200)
        for header in ("Location", "ETag", "Last-Modified"):
            assert again.headers[header] == first.headers[header]
    assert len(site.statuses()) == 2


def test_the_same_bytes_of_another_feed_are_another_resource(site: Site) -> None:
    assert site.post(patient("p1"), "feeds/ehr/fhir").headers["Location"] == "/feeds/ehr/fhir/Patient/p1/_history/1"
    assert site.post(patient("p1"), "feeds/lab/fhir").status_code == 201
    assert len(site.statuses()) == 2


def test_the_same_id_with_other_bytes_is_a_new_version(site: Site) -> None:
    site.post(patient("p1"))
    answer = site.post(patient("p1", family="Dahl"))
    assert (answer.status_code, answer.headers["ETag"]) == (200, 'W/"2"')
    assert answer.headers["Location"].endswith("Patient/p1/_history/2")


def test_bytes_that_come_back_after_others_are_a_version_of_their_own(site: Site) -> None:
    site.put(patient("p1"))
    site.put(patient("p1", family="Dahl"))
    back = site.put(patient("p1"))
    assert (back.status_code, back.headers["ETag"]) == (200, 'W/"3"')
    assert len(site.statuses()) == 3


def test_a_type_that_is_not_the_addresss_is_400_and_not_kept(site: Site) -> None:
    answer = site.post(patient("p1"), "fhir/Encounter")
    assert (answer.status_code, issues(answer)) == (400, [("value", "")])
    assert issues(site.post(patient("p1"), "fhir/Nonsense")) == [("not-found", "")]
    assert site.statuses() == []


def test_a_type_that_bills_nothing_is_taken_as_any_other(site: Site) -> None:
    assert site.post({"resourceType": "Observation", "status": "final"}, "fhir/Observation").status_code == 201
    assert site.statuses() == ["received"]


def test_a_conditional_create_finds_what_was_sent_before(site: Site) -> None:
    unless = "identifier=urn:mrn|A-1"
    first = site.post(patient(), If_None_Exist=unless)
    again = site.post(patient(family="Dahl"), "fhir/Patient", If_None_Exist=f"?{unless}")
    assert (first.status_code, again.status_code) == (201, 200)
    assert again.headers["Location"] == first.headers["Location"]
    assert len(site.statuses()) == 1
    assert site.post(patient(mrn="a-1"), If_None_Exist="identifier=urn:mrn|a-1").status_code == 201, "case counts"
    assert site.post(patient(), "feeds/lab/fhir", If_None_Exist=unless).status_code == 201, "each feed by itself"


def test_a_conditional_create_with_several_matches_is_412(site: Site) -> None:
    site.post(patient("p1"))
    site.post(patient("p2"))
    answer = site.post(patient(family="Dahl"), If_None_Exist="identifier=urn:mrn|A-1")
    assert (answer.status_code, issues(answer)) == (412, [("multiple-matches", "")])
    assert len(site.statuses()) == 2


def test_a_conditional_create_does_not_find_what_was_deleted_or_has_another_identifier_now(site: Site) -> None:
    unless = "identifier=urn:mrn|A-1"
    site.put(patient("p1"))
    assert site.ask("DELETE", "fhir/Patient/p1").status_code == 204
    site.put(patient("p2"))
    site.put(patient("p2", "A-9"))
    assert site.post(patient(family="Dahl"), If_None_Exist=unless).status_code == 201


@pytest.mark.parametrize(
    "condition", ["name=x", "identifier=A-1", "identifier=a|1,b|2", "identifier=urn:mrn|", "identifier=a|1&name=x", "?"]
)
def test_a_condition_that_cannot_be_judged_is_400_and_not_ignored(site: Site, condition: str) -> None:
    assert issues(site.post(patient(), If_None_Exist=condition)) == [("not-supported", "")]
    assert site.statuses() == []


# --- update and delete


def test_an_update_creates_and_then_updates(site: Site) -> None:
    first, second = site.put(patient("p1")), site.put(patient("p1", family="Dahl"))
    assert (first.status_code, first.headers["ETag"]) == (201, 'W/"1"')
    assert (second.status_code, second.headers["ETag"]) == (200, 'W/"2"')


def test_ids_that_differ_are_400_and_not_kept(site: Site) -> None:
    for resource in (patient("p1"), patient()):
        answer = site.ask("PUT", "fhir/Patient/p2", resource)
        assert (answer.status_code, issues(answer)) == (400, [("value", "")])
    assert site.statuses() == []


def test_if_match_is_honoured(site: Site) -> None:
    assert site.put(patient("p1"), If_Match='W/"1"').status_code == 412, "there is none yet"
    site.put(patient("p1"))
    assert site.put(patient("p1", family="Dahl"), If_Match='W/"1"').status_code == 200
    stale = site.put(patient("p1", family="Lund"), If_Match='W/"1"')
    assert (stale.status_code, issues(stale)) == (412, [("conflict", "")])
    assert site.put(patient("p1", family="Dahl"), If_Match='W/"1"').status_code == 200, "a lost answer is given again"
    assert issues(site.put(patient("p1"), If_Match="yesterday")) == [("value", "")]
    assert len(site.statuses()) == 2


def test_a_delete_takes_the_resource_back_and_may_be_repeated(site: Site) -> None:
    site.put(encounter("e1", "Patient/p1"))
    first, again = site.ask("DELETE", "fhir/Encounter/e1"), site.ask("DELETE", "fhir/Encounter/e1")
    assert (first.status_code, again.status_code) == (204, 204)
    assert (first.content, first.headers["ETag"]) == (b"", 'W/"2"')
    assert site.topics() == {"Encounter/e1"}
    with site.ledger.reading() as connection:
        types = connection.execute(select(message_table.c.type).order_by(message_table.c.id)).scalars().all()
    assert types == ["Encounter", "DELETE Encounter"]
    back = site.put(encounter("e1", "Patient/p1"))
    assert (back.status_code, back.headers["ETag"]) == (201, 'W/"3"')
    assert site.ask("DELETE", "fhir/Encounter/e1").headers["ETag"] == 'W/"4"'
    assert len(site.statuses()) == 4


# --- what an answer holds


def test_prefer_says_what_the_answer_holds(site: Site) -> None:
    assert site.post(patient("p1"), Prefer="return=minimal").content == b""
    told = site.post(patient("p2"), Prefer="return=OperationOutcome")
    assert (told.status_code, issues(told)) == (201, [("informational", "")])
    assert told.headers["Preference-Applied"] == "return=OperationOutcome"
    whole = site.post(patient(), Prefer="respond-async, return=representation").json()
    assert whole["name"] == patient()["name"]
    assert whole["meta"]["versionId"] == "1"
    assert whole["id"] in site.post(patient()).headers["Location"]


def test_the_capability_statement_is_valid_and_says_what_is_done(tmp_path: Path) -> None:
    with Site(tmp_path, token="Kp7-test") as site:
        answer = site.ask("GET", "fhir/metadata")
        said = answer.json()
        CapabilityStatement.model_validate(said)
        assert (answer.status_code, answer.headers["Content-Type"]) == (200, FHIR)
        assert (said["kind"], said["fhirVersion"]) == ("instance", "4.0.1")
        [rest] = said["rest"]
        assert {"Encounter", "Condition", "Procedure", "ChargeItem"} <= {one["type"] for one in rest["resource"]}
        assert "bearer" in rest["security"]["description"]
        assert site.post(patient("p1")).status_code == 401
        assert "description" not in site.ask("GET", "feeds/lab/fhir/metadata").json()["rest"][0]["security"]


@pytest.mark.parametrize(
    ("method", "path", "status", "allow"),
    [
        ("GET", "fhir", 405, "POST"),
        ("GET", "fhir/Patient", 405, "POST"),
        ("PUT", "fhir/Patient", 405, "POST"),
        ("GET", "fhir/Patient/p1", 405, "PUT, DELETE"),
        ("PATCH", "fhir/Patient/p1", 405, "PUT, DELETE"),
        ("GET", "fhir/Nonsense", 404, None),
        ("GET", "fhir/Patient/p1/_history/1", 404, None),
        ("POST", "fhir/Patient/p1/$everything", 404, None),
        ("PUT", "fhir/Patient/..%2f..%2fetc%2fpasswd", 404, None),
        ("PUT", "fhir/Patient/%2e%2e", 400, None),
        ("PUT", "fhir/Patient/a%00b", 400, None),
        ("PUT", "fhir/Patient/" + "x" * 65, 400, None),
        ("DELETE", "fhir/Patient/p%7C1", 400, None),
        ("PUT", "fhir/patient/p1", 404, None),
    ],
)
def test_what_is_not_done_is_told_as_an_operation_outcome(
    site: Site, method: str, path: str, status: int, allow: str | None
) -> None:
    answer = site.ask(method, path, patient("p1") if method != "GET" else None)
    assert (answer.status_code, answer.headers.get("Allow")) == (status, allow)
    assert issues(answer)
    assert site.statuses() == []


# --- content


def test_other_content_types_and_charsets_are_415(site: Site) -> None:
    for kind in ("application/fhir+xml", "text/xml", "application/fhir+json; charset=latin-1", "multipart/form-data"):
        answer = site.post(patient("p1"), Content_Type=kind)
        assert (answer.status_code, issues(answer)) == (415, [("not-supported", "")])
    for kind in ("application/json", "application/fhir+json;charset=UTF-8", "application/fhir+json; fhirVersion=4.0"):
        assert site.post(patient("p1"), Content_Type=kind).status_code < 300
    assert site.post(patient("p2"), Accept="application/fhir+xml").status_code == 406
    assert len(site.statuses()) == 1


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"12",
        b"<Patient/>",
        b'{"resourceType": 1}',
        b'{"resourceType": "Patient", "id": "\xff\xfe"}',
        '{"resourceType": "Patient"}'.encode("utf-16"),
        b'{"resourceType":"Patient","a":' * 3000 + b"1" + b"}" * 3000,
        b'{"resourceType":"Patient","a":' + b"[" * 100_000,
    ],
)
@pytest.mark.parametrize(("method", "path"), [("POST", "fhir"), ("POST", "fhir/Patient"), ("PUT", "fhir/Patient/p1")])
def test_what_is_no_resource_is_400_and_kept_in_quarantine(site: Site, method: str, path: str, body: bytes) -> None:
    answer = site.ask(method, path, body)
    assert (answer.status_code, {code for code, _ in issues(answer)}) == (400, {"structure"})
    assert site.statuses() == ["quarantined"]
    assert site.body() == body
    assert len(site.items()) == 1


@pytest.mark.parametrize(
    ("change", "expression"),
    [
        ({"resourceType": POISON}, f"{POISON}.resourceType"),
        ({"id": ""}, "Encounter.id"),
        ({"id": "a b"}, "Encounter.id"),
        ({"id": 7}, "Encounter.id"),
        ({"id": None}, "Encounter.id"),
        ({"id": ".."}, "Encounter.id"),
        ({"subject": {"reference": 7}}, "Encounter.subject.reference"),
        ({"account": [{}, {"reference": True}]}, "Encounter.account[1].reference"),
    ],
)
def test_what_every_reader_relies_on_is_missing_so_it_is_422_and_kept_in_quarantine(
    site: Site, change: dict[str, Any], expression: str
) -> None:
    sent = encounter("e1", "Patient/p1") | change
    answer = site.post(sent)
    assert answer.status_code == 422
    assert issues(answer)[0][1] == expression.replace(POISON, "Resource")
    assert POISON not in answer.text
    assert site.statuses() == ["quarantined"]
    assert json.loads(site.body()) == sent
    assert expression.replace(POISON, "Resource") in site.items()[0]
    assert site.post(sent).status_code == 422
    assert site.statuses() == ["quarantined"], "the same again is kept once"


def test_a_key_that_stands_twice_counts_as_it_stands_last(site: Site) -> None:
    answer = site.post(b'{"resourceType":"Patient","id":"p1","id":"p2"}', "fhir/Patient")
    assert answer.headers["Location"] == "/fhir/Patient/p2/_history/1"
    assert site.topics() == {"Patient/p2"}


def test_ndjson_is_kept_line_by_line(site: Site) -> None:
    lines = [json.dumps(patient(f"p{n}", f"A-{n}")).encode() for n in range(3)]
    answer = site.post(b"\n".join([*lines, b'{"resourceType":"Patient",', b""]), Content_Type="application/fhir+ndjson")
    assert answer.status_code == 400
    assert [code for code, _ in issues(answer)] == ["informational"] * 3 + ["structure"]
    assert sorted(site.statuses()) == ["quarantined", "received", "received", "received"]
    matched = site.post(patient(), If_None_Exist="identifier=urn:mrn|A-2")
    assert matched.headers["Location"] == "/fhir/Patient/p2/_history/1"


def test_a_line_that_stands_twice_in_one_body_is_kept_once(site: Site) -> None:
    lines = [patient("p1"), patient(), patient("p1"), patient(), patient("p1", family="Dahl"), patient("p1")]
    answer = site.post(b"\n".join(json.dumps(line).encode() for line in lines), Content_Type="application/x-ndjson")
    assert answer.status_code == 200
    assert [one["diagnostics"].startswith("already") for one in answer.json()["issue"]] == [
        *(False, False, True, True, False, False)
    ]
    assert len(site.statuses()) == 4, "what comes back after another version is a version"


@pytest.mark.parametrize("kind", ["collection", "document", "message", "searchset", "history"])
def test_other_bundles_are_kept_whole(site: Site, kind: str) -> None:
    answer = site.post(bundle(kind, {"resource": patient("p1")}, {"resource": encounter("e1", "Patient/p1")}))
    assert (answer.status_code, issues(answer)) == (200, [("informational", "")])
    assert site.said().charts == ("Patient/p1/Encounter/e1",)
    assert site.put(patient("p1", family="Dahl")).headers["ETag"] == 'W/"2"'


# --- validation


def test_an_invalid_resource_is_taken_unless_the_feed_rejects_it(site: Site) -> None:
    assert site.post({"resourceType": "Encounter", "id": "e1", "status": "finished"}).status_code == 201


def test_an_invalid_resource_is_422_and_kept_with_the_element_named(strict: Site) -> None:
    invalid = patient("p1") | {"birthDate": POISON, POISON: 1}
    answer = strict.post(invalid)
    assert answer.status_code == 422
    assert ("invalid", "Patient.birthDate") in issues(answer)
    assert POISON not in answer.text + " ".join(strict.items())
    assert strict.statuses() == ["quarantined"]
    assert strict.put(patient("p1")).status_code == 201


def test_an_invalid_entry_refuses_a_transaction_and_is_left_out_of_a_batch(strict: Site) -> None:
    entries = (put_entry(patient("p1")), put_entry(patient("p2") | {"gender": 5}))
    refused = strict.post(bundle("transaction", *entries))
    assert refused.status_code == 422
    assert issues(refused)[0] == ("invalid", "Bundle.entry[1].resource.gender")
    assert strict.statuses() == ["quarantined"]
    assert [one["status"] for one in responses(strict.post(bundle("batch", *entries)))] == [
        "201 Created",
        "422 Unprocessable Entity",
    ]
    assert strict.statuses() == ["quarantined", "received", "quarantined"]
    assert "Patient/p1" in strict.topics(1)
    assert "Patient/p2" not in strict.topics(1)
    assert json.loads(strict.body(2))["id"] == "p2"


# --- transactions and batches


def test_a_transaction_is_answered_entry_by_entry_in_the_order_sent(site: Site) -> None:
    urn = "urn:uuid:00000000-0000-4000-8000-0000000000a1"
    sent = bundle(
        "transaction",
        put_entry(encounter("e1", urn)),
        posted(patient(), urn),
        posted(patient("p7", "A-7")),
        delete_entry("Condition/c1"),
    )
    told = responses(site.post(sent))
    assert [one["status"] for one in told] == ["201 Created", "201 Created", "201 Created", "204 No Content"]
    assert told[1]["location"] == f"Patient/{urn.removeprefix('urn:uuid:')}/_history/1"
    assert told[2]["location"] == "Patient/p7/_history/1"
    assert [one["etag"] for one in told] == ['W/"1"'] * 4
    assert all("lastModified" in one for one in told)
    assert site.said().charts == (f"Patient/{urn.removeprefix('urn:uuid:')}/Encounter/e1",)
    again = responses(site.post(sent))
    assert [one["status"] for one in again] == ["200 OK", "200 OK", "200 OK", "204 No Content"]
    assert [one.get("location") for one in again] == [one.get("location") for one in told]
    assert site.statuses() == ["received"]


def test_an_entry_without_any_name_is_given_an_id_that_its_facts_have(site: Site) -> None:
    told = responses(site.post(bundle("transaction", posted(patient()))))
    assert told[0]["location"].removesuffix("/_history/1") in site.topics()


def test_a_transaction_with_a_bad_entry_is_refused_whole_and_kept_once(site: Site) -> None:
    sent = bundle(
        "transaction",
        put_entry(patient("p1")),
        put_entry(encounter("e1", "Patient/p1") | {"subject": {"reference": 5}}),
    )
    answer = site.post(sent)
    assert answer.status_code == 422
    assert issues(answer)[0] == ("structure", "Bundle.entry[1].resource.subject.reference")
    assert site.statuses() == ["quarantined"]
    assert site.put(patient("p1")).headers["ETag"] == 'W/"1"', "nothing of it counts"


@pytest.mark.parametrize(
    ("entry", "expression", "status"),
    [
        ({"request": {"method": "GET", "url": "Patient/p1"}}, "Bundle.entry[1].request.method", "405"),
        ({"request": {"method": "PATCH", "url": "Patient/p1"}}, "Bundle.entry[1].request.method", "405"),
        ({"request": {"method": 5, "url": "Patient/p1"}}, "Bundle.entry[1].request.method", "400"),
        ({"resource": {"resourceType": "Patient"}}, "Bundle.entry[1].request", "400"),
        (5, "Bundle.entry[1].request", "400"),
        ({"request": {"method": "POST", "url": "Patient"}}, "Bundle.entry[1].resource", "400"),
        (posted(patient("p2"), url="Encounter"), "Bundle.entry[1].resource.resourceType", "400"),
        (posted(patient("p2"), url="Nonsense"), "Bundle.entry[1].request.url", "404"),
        (put_entry(patient("p2"), url="Patient/p3"), "Bundle.entry[1].resource.id", "400"),
        (put_entry(patient("p2"), url="Patient?identifier=a|b"), "Bundle.entry[1].request.url", "404"),
        (put_entry(patient("p2"), ifMatch='W/"4"'), "Bundle.entry[1].request", "412"),
        (put_entry(patient("p2"), ifMatch="x"), "Bundle.entry[1].request", "400"),
        (posted(patient("p2"), ifNoneExist="name=x"), "Bundle.entry[1].request", "400"),
        (delete_entry("Patient/.."), "Bundle.entry[1].request.url", "404"),
    ],
)
def test_an_entry_that_asks_for_what_is_not_done_stops_a_transaction_and_only_itself_in_a_batch(
    site: Site, entry: Any, expression: str, status: str
) -> None:
    refused = site.post(bundle("transaction", put_entry(patient("p1")), entry))
    assert refused.status_code == (412 if status == "412" else 400)
    assert issues(refused)[0][1] == expression
    assert site.statuses() == []
    told = responses(site.post(bundle("batch", put_entry(patient("p1")), entry)))
    assert [one["status"][:3] for one in told] == ["201", status]
    assert told[1]["outcome"]["issue"][0]["expression"] == [expression]
    assert site.statuses() == ["received"]
    assert "Patient/p2" not in site.topics()


def test_a_transaction_that_changes_a_resource_twice_is_refused(site: Site) -> None:
    answer = site.post(bundle("transaction", put_entry(patient("p1")), delete_entry("Patient/p1")))
    assert (answer.status_code, {code for code, _ in issues(answer)}) == (400, {"duplicate"})


def test_a_conditional_entry_that_matches_is_left_out_and_references_lead_to_what_it_matched(site: Site) -> None:
    site.put(patient("p1"))
    urn = "urn:uuid:00000000-0000-4000-8000-0000000000a2"
    known = posted(patient(family="Dahl"), urn, ifNoneExist="identifier=urn:mrn|A-1")
    told = responses(site.post(bundle("transaction", known, put_entry(encounter("e1", urn)))))
    assert [(one["status"], one["location"]) for one in told] == [
        ("200 OK", "Patient/p1/_history/1"),
        ("201 Created", "Encounter/e1/_history/1"),
    ]
    assert site.said().charts == ("Patient/p1/Encounter/e1",)
    assert "Patient/p1" not in site.topics(), "what it says of the patient is not taken"
    assert not site.said().problems


def test_two_conditional_entries_for_one_identifier_make_one_resource(site: Site) -> None:
    entries = [posted(patient(family=name), ifNoneExist="identifier=urn:mrn|A-1") for name in ("Berg", "Dahl")]
    told = responses(site.post(bundle("transaction", *entries)))
    assert [one["status"] for one in told] == ["201 Created", "200 OK"]
    assert told[0]["location"] == told[1]["location"]


def test_a_transaction_deletes_first(site: Site) -> None:
    site.put(patient("p1"))
    create = posted(patient("p2"), ifNoneExist="identifier=urn:mrn|A-1")
    told = responses(site.post(bundle("transaction", create, delete_entry("Patient/p1"))))
    assert [one["status"] for one in told] == ["201 Created", "204 No Content"]


def test_prefer_holds_for_the_entries_too(site: Site) -> None:
    sent = bundle("batch", put_entry(patient("p1")))
    assert "resource" not in site.post(sent).json()["entry"][0]
    whole = site.post(sent, Prefer="return=representation").json()["entry"][0]
    assert (whole["resource"]["id"], whole["resource"]["meta"]["versionId"]) == ("p1", "1")
    assert "outcome" in site.post(sent, Prefer="return=OperationOutcome").json()["entry"][0]["response"]


@pytest.mark.parametrize("kind", ["transaction", "batch"])
def test_an_empty_bundle_is_answered_with_an_empty_bundle_and_not_kept(site: Site, kind: str) -> None:
    for sent in ({"resourceType": "Bundle", "type": kind}, bundle(kind)):
        assert responses(site.post(sent)) == []
    assert site.statuses() == []


@pytest.mark.parametrize("entries", [{}, "x", 5, None])
def test_entries_that_are_no_list_are_422_and_kept(site: Site, entries: Any) -> None:
    answer = site.post({"resourceType": "Bundle", "type": "batch", "entry": entries})
    assert (answer.status_code, issues(answer)[0]) == (422, ("structure", "Bundle.entry"))
    assert site.statuses() == ["quarantined"]


def test_ten_thousand_entries_are_one_message_and_answered_one_by_one(site: Site) -> None:
    sent = bundle("transaction", *(put_entry(patient(f"p{n}", f"A-{n}")) for n in range(10_000)))
    first, again = site.post(sent), site.post(sent)
    assert len(first.json()["entry"]) == 10_000
    assert {entry["response"]["status"] for entry in again.json()["entry"]} == {"200 OK"}
    assert site.statuses() == ["received"]


def test_many_senders_at_once_make_one_resource_of_one_identifier(site: Site) -> None:
    def create(number: int) -> None:
        sent = patient(family=f"Berg{number}")
        places.append(site.post(sent, If_None_Exist="identifier=urn:mrn|A-1").headers["Location"])

    places: list[str] = []
    threads = [threading.Thread(target=create, args=(n,)) for n in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(places), len(set(places))) == (20, 1)
    assert len(site.statuses()) == 1


def test_no_answer_names_a_patient(strict: Site) -> None:
    """Whatever is wrong with what a sender says, it is told where and which rule, never the value."""
    person = patient("p1", POISON, POISON)
    bad = person | {"birthDate": POISON, "gender": {POISON: POISON}, POISON: {"reference": 7}}
    answers = [
        strict.post(person, If_None_Exist=f"identifier=urn:mrn|{POISON}", Prefer="return=OperationOutcome"),
        strict.post(person, "fhir/Encounter"),
        strict.post(bad, Prefer="return=OperationOutcome"),
        strict.post(person, If_None_Exist=f"name={POISON}"),
        strict.put(person, If_Match=POISON),
        strict.ask("PUT", "fhir/Patient/p2", person),
        strict.ask("PUT", f"fhir/{POISON}/{POISON}/{POISON}", person),
        strict.ask("PUT", f"fhir/Patient/{POISON}%20{POISON}", person),
        strict.post(person | {"resourceType": POISON}),
        strict.post(person | {"id": f"{POISON} {POISON}"}),
        strict.post(f'{{"resourceType": "{POISON}"'.encode()),
        strict.post(bundle("transaction", posted(bad))),
        strict.post(bundle("batch", posted(bad), posted(person, url=POISON), put_entry(person, ifMatch=POISON))),
        strict.post(bundle("batch", {POISON: POISON}, posted(person, ifNoneExist=POISON), delete_entry(POISON))),
        strict.post(bundle(POISON, posted(bad))),
    ]
    assert [
        n for n, answer in enumerate(answers) if POISON.lower() in (answer.text + str(answer.headers)).lower()
    ] == []
    assert POISON.lower() not in " ".join(strict.items()).lower()


@pytest.mark.skipif(not SYNTHEA.is_dir(), reason="the Synthea bundles are not here")
def test_synthea_bundles_are_taken_and_each_entry_is_answered(site: Site) -> None:
    for file in sorted(SYNTHEA.glob("*.json")):
        sent = json.loads(file.read_bytes())
        told = responses(site.post(file.read_bytes()))
        assert len(told) == len(sent["entry"])
        assert {one["status"] for one in told} <= {"201 Created", "200 OK"}, "hospitals stand in several"
        named = [f"{e['resource']['resourceType']}/{e['resource']['id']}" for e in sent["entry"]]
        assert [one["location"].partition("/_history/")[0] for one in told] == named
        assert site.body() == file.read_bytes()


# --- what becomes of it


def test_a_correction_keeps_the_id_that_was_given(site: Site) -> None:
    named = site.post(patient()).headers["Location"].split("/")[3]
    with site.ledger.reading() as connection:
        first = connection.execute(select(message_table.c.id)).scalar_one()
    correct(site.ledger, first, json.dumps(patient(family="Dahl")).encode(), "a test")
    assert f"Patient/{named}" in site.topics()


def test_a_check_of_a_feed_tells_where_a_resource_departs_from_the_standard() -> None:
    check = feed_check(rejects=True)
    found = Verdict(MessageStatus.CHARTED)
    body = json.dumps(bundle("collection", {"resource": patient("p1") | {"birthDate": POISON}})).encode()
    message = Message("m", body, Header(MessageFormat.FHIR, "Bundle"))
    judged, _ = check.judged(message, found)
    assert judged.status is MessageStatus.QUARANTINED
    assert "Bundle.entry[0].resource.birthDate" in judged.why
    assert POISON not in judged.why
    checked = replace(message, answered=Answered(checked=True))
    assert check.judged(checked, found) == (found, "")


def test_a_visit_sent_resource_by_resource_makes_one_claim_that_reading_again_does_not_change(
    trial: Trial, scenarios: dict[str, Scenario]
) -> None:
    trial.start_payer()
    trial.start_adapter()
    sent = json.loads(scenarios["entered-in-error"].files[0].read_bytes())
    resources = [entry["resource"] for entry in sent["entry"]]
    [person] = [one for one in resources if one["resourceType"] == "Patient"]
    address = f"Patient/{person.pop('id')}"
    created = trial.post("fhir/Patient", json.dumps(person).encode(), FHIR)
    given = "Patient/" + created.headers["Location"].split("/")[3]
    for resource in resources:
        if resource is not person:
            body = json.dumps(resource).replace(address, given).encode()
            url = f"http://{HOST}:{trial.http_port}/fhir/{resource['resourceType']}/{resource['id']}"
            assert requests.put(url, data=body, headers={"Content-Type": FHIR}, timeout=30).status_code == 201
    assert trial.wait_until_settled()
    assert [claim.status for claim in list_claims(trial.ledger)] == ["complete"]
    with trial.ledger.reading() as connection:
        [visit] = connection.execute(select(charts.c.key)).scalars()
    assert visit.startswith(f"{given}/Encounter/")

    words = [sys.executable, "-m", "fhir_coder", "messages", "reprocess", "--all", "-c", str(trial.settings_file)]
    subprocess.run(words, check=True, capture_output=True, timeout=60)
    assert trial.wait_until_settled()
    assert [claim.status for claim in list_claims(trial.ledger)] == ["complete"]
    with trial.ledger.reading() as connection:
        assert list(connection.execute(select(charts.c.key)).scalars()) == [visit]


def test_what_was_answered_is_there_after_the_process_is_killed(trial: Trial) -> None:
    trial.start_adapter()
    body = json.dumps(patient()).encode()
    first = trial.post("fhir", body, FHIR)
    trial.kill("adapter")
    trial.start_adapter()
    again = trial.post("fhir", body, FHIR)
    assert (first.status_code, again.status_code) == (201, 200)
    assert again.headers["Location"] == first.headers["Location"]
