"""A FHIR server that is a process of its own is read whole, once, whatever breaks on the way."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from joserfc import jwk
from sqlalchemy import select
from structlog.testing import capture_logs

from fhir_coder.intake.desk import IntakeDesk
from fhir_coder.intake.fhir_errors import FhirServerError, StoppedError
from fhir_coder.intake.fhir_feed import FhirReader
from fhir_coder.intake.fhir_pull import Tally
from fhir_coder.settings import FhirFeed
from fhir_coder.store import Ledger, open_ledger, pulls
from fhir_coder.store.schema import messages
from tests.certificates import Authority
from tests.fhir_server import Server
from tests.wire import wait_for

_FIRST = datetime(2026, 11, 1, 8, tzinfo=UTC)


def at(seconds: float) -> str:
    moment = _FIRST + timedelta(seconds=seconds)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def visit(number: int, seconds: float | None = None) -> list[dict[str, Any]]:
    """A patient with a visit, a finding and a coverage, all changed at one time."""
    meta = {"lastUpdated": at(number if seconds is None else seconds), "versionId": "1"}
    patient = {"reference": f"Patient/p{number}"}
    return [
        {"resourceType": "Patient", "id": f"p{number}", "meta": meta},
        {
            "resourceType": "Encounter",
            "id": f"e{number}",
            "meta": meta,
            "status": "finished",
            "subject": patient,
            "participant": [{"individual": {"reference": "Practitioner/dr"}}],
            "serviceProvider": {"reference": "Organization/org"},
            "location": [{"location": {"reference": "Location/gone"}}],
        },
        {
            "resourceType": "Condition",
            "id": f"c{number}",
            "meta": meta,
            "subject": patient,
            "encounter": {"reference": f"Encounter/e{number}"},
        },
        {
            "resourceType": "Coverage",
            "id": f"v{number}",
            "meta": meta,
            "beneficiary": patient,
            "payor": [{"reference": "Organization/payer"}],
        },
    ]


_SHARED = [
    {"resourceType": kind, "id": name, "meta": {"lastUpdated": at(0)}}
    for kind, name in (("Practitioner", "dr"), ("Organization", "org"), ("Organization", "payer"))
]


def visits(count: int) -> list[dict[str, Any]]:
    return [*_SHARED, *(resource for number in range(count) for resource in visit(number))]


class Reading:
    """A feed's reader with its ledger, in this process."""

    def __init__(self, server: Server, folder: Path, **settings: Any) -> None:
        self.settings = {"name": "ehr", "kind": "fhir", "url": server.url, "since": "2026-01-01", **settings}
        self.ledger = open_ledger(folder / "ledger.db")
        self.desk = IntakeDesk(self.ledger, lambda: None)
        feed = FhirFeed.model_validate(self.settings)
        self.reader = FhirReader(feed, self.ledger, self.desk, folder / "ledger.db")

    def read(self) -> Tally:
        return self.reader.read()

    def stored(self) -> Counter[str]:
        return stored(self.ledger)

    def close(self) -> None:
        self.reader.stop()
        self.desk.close()
        self.ledger.close()


def stored(ledger: Ledger) -> Counter[str]:
    """How many messages of each type there are."""
    with ledger.reading() as connection:
        return Counter(connection.execute(select(messages.c.type)).scalars())


def bodies(ledger: Ledger) -> list[bytes]:
    with ledger.reading() as connection:
        return list(connection.execute(select(messages.c.body)).scalars())


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as one:
        yield one


@pytest.fixture
def reading(server: Server, tmp_path: Path) -> Iterator[Reading]:
    one = Reading(server, tmp_path, count=4)
    yield one
    one.close()


def test_all_pages_and_all_they_refer_to_are_kept_once(server: Server, reading: Reading) -> None:
    """Includes where the server says it can, single reads where not, coverages by their patient; 404 is only noted."""
    server.set(resources=visits(10))
    with capture_logs() as logged:
        tally = reading.read()

    of_visits = {"Patient": 10, "Encounter": 10, "Condition": 10, "Coverage": 10}
    assert reading.stored() == {**of_visits, "Practitioner": 1, "Organization": 2}
    assert (tally.missing, tally.repeats, tally.faults) == (1, 0, 0)
    assert len(server.requests("/Location/gone")) == 1
    assert server.requests("/fhir/Patient/") == []
    assert [e for e in logged if e["event"] == "reference_not_read"] == [
        {"event": "reference_not_read", "log_level": "warning", "feed": "ehr", "kind": "Location", "http_status": 404}
    ]


@pytest.mark.parametrize("bulk", ["", "system"])
def test_charges_are_read_before_the_visits_that_they_bill(server: Server, tmp_path: Path, bulk: str) -> None:
    """A finished visit whose charges are still to come would be billed by its class, and then replaced."""
    charged = {"resourceType": "ChargeItem", "meta": {"lastUpdated": at(1)}}
    server.set(resources=[*visits(3), *({**charged, "id": f"i{number}"} for number in range(3))])
    reading = Reading(server, tmp_path, bulk=bulk)
    reading.read()

    with reading.ledger.reading() as connection:
        types = list(connection.execute(select(messages.c.type).order_by(messages.c.id)).scalars())
    assert types[:3] == ["ChargeItem"] * 3
    assert types.count("Encounter") == 3
    reading.close()


def test_resources_are_kept_as_the_server_wrote_them(server: Server, reading: Reading) -> None:
    amount = {"resourceType": "Encounter", "id": "e", "meta": {"lastUpdated": at(0)}, "length": {"value": 1.5}}
    server.set(resources=[amount])
    reading.read()

    assert bodies(reading.ledger) == [json.dumps(amount, separators=(", ", ": ")).encode()]


def test_the_next_poll_asks_only_for_what_changed_and_catches_equal_times(server: Server, reading: Reading) -> None:
    server.set(resources=visits(3))
    reading.read()
    late = visit(7, seconds=2)  # changed at the very time of the last one read, and shown only now
    server.set(resources=[*visits(3), *late])
    reading.read()

    assert reading.stored()["Encounter"] == 4
    asked = [r["path"] for r in server.requests("/fhir/Encounter?")]
    assert "_lastUpdated=ge2026-01-01T00:00:00.000Z" in asked[0]
    assert "_lastUpdated=ge2026-11-01T07:59:02.000Z" in asked[1]  # the overlap of 60 seconds before the last change


def test_a_changed_resource_is_a_message_more_and_an_unchanged_one_is_not(server: Server, reading: Reading) -> None:
    resources = visits(2)
    server.set(resources=resources)
    reading.read()
    before = sum(reading.stored().values())
    resources[4] = {**resources[4], "status": "cancelled", "meta": {"lastUpdated": at(30), "versionId": "2"}}
    server.set(resources=resources)
    reading.read()

    assert sum(reading.stored().values()) == before + 1


def test_an_account_comes_with_its_coverages(server: Server, reading: Reading) -> None:
    """What only the account refers to is read too."""
    cover = [{"coverage": {"reference": f"Coverage/v{n}"}, "priority": n + 1} for n in range(2)]
    account = {"resourceType": "Account", "id": "a", "meta": {"lastUpdated": at(9)}, "coverage": cover}
    server.set(resources=[*(r for r in visits(2) if r["resourceType"] not in ("Encounter", "Condition")), account])
    reading.read()

    assert reading.stored() == {"Account": 1, "Coverage": 2, "Organization": 1, "Patient": 2}


def test_a_poll_ends_at_its_limit_and_the_next_goes_on_there(server: Server, tmp_path: Path) -> None:
    server.set(resources=visits(6))
    reading = Reading(server, tmp_path, count=2, pages_per_poll=1, types=["Encounter"])
    try:
        rounds = [reading.read() for _ in range(3)]
    finally:
        reading.close()

    assert [tally.is_more for tally in rounds] == [True, True, False]
    assert len(server.requests("/fhir/Encounter?")) == 1
    assert len(server.requests("/fhir/page")) == 2


def test_a_link_the_server_forgot_begins_the_search_anew_behind_what_was_kept(server: Server, tmp_path: Path) -> None:
    """Sorted pages move the watermark before the search has ended."""
    server.set(resources=visits(16), forget_pages=True)
    reading = Reading(server, tmp_path, count=8, pages_per_poll=1, overlap_seconds=2, types=["Encounter"])
    while reading.read().is_more:
        pass
    found = reading.stored()["Encounter"]
    reading.close()

    asked = [r["path"] for r in server.requests("/fhir/Encounter?")]
    begins = [a.partition("_lastUpdated=ge")[2][:24] for a in asked]
    assert begins == ["2026-01-01T00:00:00.000Z", at(5), at(10)]
    assert found == 16


def test_links_to_another_host_are_not_followed_and_the_token_stays_here(server: Server, tmp_path: Path) -> None:
    with Server(resources=visits(3)) as other:
        secret = tmp_path / "token"
        secret.write_text("s3cret")
        secret.chmod(0o600)
        server.set(resources=visits(3), next_host=f"http://127.0.0.1:{other.port}", auth="bearer", secret="s3cret")
        settings = {"count": 2, "auth": "bearer", "secret_file": secret}
        reading = Reading(server, tmp_path, **settings)
        with pytest.raises(FhirServerError, match="other_host"):
            reading.read()
        reading.close()
        assert other.requests() == []

        allowed = Reading(server, tmp_path, **settings, hosts=[f"http://127.0.0.1:{other.port}"])
        with pytest.raises(FhirServerError, match="http_410"):  # it is asked; the page is not its own
            allowed.read()
        allowed.close()
        assert next(r["path"].partition("?")[0] for r in other.requests()) == "/fhir/page"


@pytest.mark.parametrize("status", [429, 503])
def test_a_busy_server_is_given_the_time_it_asks_for(server: Server, reading: Reading, status: int) -> None:
    server.set(resources=visits(1), faults=[{"on": "/Encounter?", "status": status, "times": 1, "retry_after": 1}])
    reading.read()

    first, second = (r["at"] for r in server.requests("/fhir/Encounter?"))
    assert second - first >= 1.0
    assert reading.stored()["Encounter"] == 1


def test_a_type_we_may_not_read_does_not_keep_the_others_from_being_read(server: Server, reading: Reading) -> None:
    server.set(resources=visits(1), faults=[{"on": "/Encounter?", "status": 403, "times": 9}])
    with pytest.raises(FhirServerError, match="http_403"):
        reading.read()

    assert reading.stored()["Condition"] == 1


def test_a_server_that_is_down_is_told_of_once_and_once_when_it_is_back(server: Server, tmp_path: Path) -> None:
    reading = Reading(server, tmp_path, interval_seconds=0.05, connect_timeout=1)
    server.set(resources=visits(1), faults=[{"on": "/metadata", "status": 500, "times": 8}])
    with capture_logs() as logged:
        for _ in range(2):
            with pytest.raises(FhirServerError, match="http_500"):
                reading.read()
        reading.read()
        with reading.ledger.reading() as connection:
            state = pulls.server_states(connection)[0]
    reading.close()

    told = [e["event"] for e in logged if e["event"].startswith("fhir_server")]
    assert told == ["fhir_server_failed", "fhir_server_answered"]
    assert (state.state, state.reason) == ("up", "")


def test_stopping_does_not_wait_for_the_server(server: Server, tmp_path: Path) -> None:
    reading = Reading(server, tmp_path)
    server.set(faults=[{"on": "/metadata", "status": 503, "times": 1, "retry_after": 20}])
    reading.reader.start()
    assert wait_for(lambda: server.requests("/metadata"))
    began = time.monotonic()
    reading.close()

    assert time.monotonic() - began < 5


# --- killed


def site(folder: Path, server: Server, **feed: Any) -> list[str]:
    """A settings file with one feed, and the command that reads it by hand."""
    said = {"name": "ehr", "kind": "fhir", "url": server.url, "since": "2026-01-01", **feed}
    lines = [f"{key} = {json.dumps(value)}" for key, value in said.items()]
    (folder / "fhir-coder.toml").write_text("\n".join(['[store]\nurl = "sqlite:///l.db"', "[[feeds]]", *lines]) + "\n")
    return [sys.executable, "-m", "fhir_coder", "feeds"]


def command(folder: Path, *words: str) -> list[str]:
    return [sys.executable, "-m", "fhir_coder", "feeds", *words, "--feed", "ehr", "-c", str(folder / "fhir-coder.toml")]


def _is_past(server: Server, pages: int) -> bool:
    return len(server.requests("/fhir/page")) > pages


def test_kill_9_in_the_middle_of_paging_misses_nothing_and_doubles_nothing(server: Server, tmp_path: Path) -> None:
    server.set(resources=visits(40))
    site(tmp_path, server, count=3, types=["Encounter", "Condition"])
    for kills in (1, 5, 4):
        asked = len(server.requests("/fhir/page"))
        with subprocess.Popen(command(tmp_path, "pull", "--once"), stdout=subprocess.DEVNULL) as process:
            assert wait_for(partial(_is_past, server, asked + kills), 60)
            process.kill()
    searches = len(server.requests("/fhir/Encounter?"))
    done = subprocess.run(command(tmp_path, "pull", "--once"), capture_output=True, text=True, check=True)

    kept = stored_at(tmp_path)
    of_visits = {"Patient": 40, "Encounter": 40, "Condition": 40, "Coverage": 40}
    assert kept == {**of_visits, "Practitioner": 1, "Organization": 2}
    assert len(server.requests("/fhir/Encounter?")) == searches  # it went on at the link, not at the beginning
    assert "Encounter  2026-11-01 08:00:39" in done.stdout


def test_kill_9_in_the_middle_of_an_export_goes_on_with_the_file_at_hand(server: Server, tmp_path: Path) -> None:
    """A download that breaks off goes on where it ended, before and after the kill."""
    server.set(resources=visits(300), break_after=20_000, breaks=2)
    server.set(faults=[{"on": "/Patient", "status": 503, "times": 50, "retry_after": 1}])
    site(tmp_path, server, bulk="system")
    with subprocess.Popen(command(tmp_path, "export"), stdout=subprocess.DEVNULL) as process:
        assert wait_for(lambda: server.requests("/files/1/Patient"), 60)
        process.kill()
    server.set(faults=[])
    done = subprocess.run(command(tmp_path, "export"), capture_output=True, text=True, check=True)

    kept = stored_at(tmp_path)
    of_visits = {"Patient": 300, "Encounter": 300, "Condition": 300, "Coverage": 300}
    assert kept == {**of_visits, "Practitioner": 1, "Organization": 2}
    assert len(server.exports()) == 1
    assert server.exports()["1"]["deleted"] == 1
    assert [r["range"] for r in server.requests("/files/") if r["range"]] == ["bytes=20000-", "bytes=40000-"]
    assert "kept" in done.stdout
    assert not list((tmp_path / "l.db.fhir").glob("ehr/*"))


def test_the_service_reads_on_after_kill_9_and_says_nothing_of_patients(server: Server, tmp_path: Path) -> None:
    """Charts come of what was read; a name, an id or a secret stands in no output."""
    resources = visits(3)
    for resource in resources:
        resource["id"] = resource["id"].replace("p1", "POISON-ID")
        resource["name"] = [{"family": "POISON-NAME"}] if resource["resourceType"] == "Patient" else None
    text = (
        json.dumps(resources).replace("Patient/p1", "Patient/POISON-ID").replace("Location/gone", "Location/POISON-2")
    )
    server.set(resources=json.loads(text), auth="bearer", secret="POISON-SECRET")
    (tmp_path / "in").mkdir()
    secret = private_file(tmp_path, "POISON-SECRET")
    site(tmp_path, server, auth="bearer", secret_file=str(secret), interval_seconds=0.2)
    settings = tmp_path / "fhir-coder.toml"
    settings.write_text("[http]\nport = 0\n[worker]\nquiet_seconds = 0.05\n" + settings.read_text())
    said = b""
    for end in ("kill", "terminate"):
        words = [sys.executable, "-m", "fhir_coder", "serve", "-c", str(settings)]
        with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
            asked = len(server.requests("/fhir/Condition?"))
            assert wait_for(partial(_is_asked, server, "/fhir/Condition?", asked + 1), 60)
            if end == "terminate":
                assert wait_for(lambda: not statuses(tmp_path)["Encounter", "received"], 60)
            getattr(process, end)()
            said += process.communicate(timeout=60)[0]
    assert statuses(tmp_path)["Encounter", "charted"] == 3
    assert b"reference_not_read" in said
    assert b"POISON" not in said


def stored_at(folder: Path) -> Counter[str]:
    """How many messages of each type the ledger of a site has."""
    ledger = open_ledger(folder / "l.db")
    try:
        return stored(ledger)
    finally:
        ledger.close()


def statuses(folder: Path) -> Counter[tuple[str, str]]:
    """How many messages of each type and status the ledger of a site has."""
    ledger = open_ledger(folder / "l.db")
    with ledger.reading() as connection:
        rows = connection.execute(select(messages.c.type, messages.c.status)).all()
    ledger.close()
    return Counter((row.type, row.status) for row in rows)


def _is_asked(server: Server, part: str, times: int) -> bool:
    return len(server.requests(part)) > times


# --- exports


def test_an_export_asks_for_what_changed_since_the_last_and_reports_errors(server: Server, tmp_path: Path) -> None:
    trouble = {"resourceType": "OperationOutcome", "issue": [{"severity": "error", "code": "exception"}]}
    deleted = {
        "resourceType": "Bundle",
        "type": "transaction",
        "entry": [{"request": {"method": "DELETE", "url": "Condition/c1"}}],
    }
    server.set(resources=visits(2), export_polls=2, export_errors=[trouble], export_deleted=[deleted])
    reading = Reading(server, tmp_path, bulk="group/billing")
    with capture_logs() as logged:
        reading.read()
        reading.read()
    reading.close()

    first, second = server.exports().values()
    assert first["path"] == "Group/billing/$export"
    assert first["asked"]["_since"] == ["2026-01-01T00:00:00Z"]
    assert second["asked"]["_since"] == ["2026-11-03T12:00:00.000Z"]
    assert "Practitioner" in first["asked"]["_type"][0]
    assert [e["messages"] for e in logged if e["event"] == "export_errors_reported"] == [1, 1]
    ledger = open_ledger(tmp_path / "ledger.db")
    assert stored(ledger) == {
        **{"Patient": 2, "Encounter": 2, "Condition": 2, "Coverage": 2},
        **{"Practitioner": 1, "Organization": 2, "Bundle": 1, "OperationOutcome": 1},
    }
    ledger.close()


def test_searches_begin_where_an_export_of_everything_ended(server: Server, tmp_path: Path) -> None:
    server.set(resources=visits(2))
    exported = Reading(server, tmp_path, bulk="system")
    exported.read()
    exported.close()
    searched = Reading(server, tmp_path, types=["Encounter"])
    searched.read()
    searched.close()

    assert "_lastUpdated=ge2026-11-03T11:59:00.000Z" in server.requests("/fhir/Encounter?")[0]["path"]


def test_an_export_the_server_forgot_is_asked_for_anew(server: Server, tmp_path: Path) -> None:
    server.set(resources=visits(1), faults=[{"on": "/jobs/1", "status": 404, "times": 1}])
    reading = Reading(server, tmp_path, bulk="system")
    with pytest.raises(FhirServerError, match="http_404"):
        reading.read()
    reading.read()
    kept = reading.stored()["Encounter"]
    reading.close()

    assert kept == 1
    assert len(server.exports()) == 2


# --- who we are


def private_file(folder: Path, text: str) -> Path:
    file = folder / "secret"
    file.write_text(text)
    file.chmod(0o600)
    return file


@pytest.mark.parametrize(
    ("auth", "secret", "settings"),
    [
        ("basic", "user:pass", {"auth": "basic", "user": "user"}),
        ("bearer", "pass", {"auth": "bearer"}),
        ("client", "an id:pass", {"auth": "client-credentials", "client_id": "an id"}),
    ],
)
def test_a_secret_opens_the_server(
    server: Server, tmp_path: Path, auth: str, secret: str, settings: dict[str, Any]
) -> None:
    server.set(resources=visits(1), auth=auth, secret=secret)
    reading = Reading(server, tmp_path, **settings, secret_file=private_file(tmp_path, "pass"))
    reading.read()
    assert reading.stored()["Encounter"] == 1
    reading.close()


@pytest.mark.parametrize(("kind", "form"), [("RSA", "pem"), ("EC", "pem"), ("RSA", "jwk"), ("EC", "jwk")])
def test_smart_backend_services_with_tokens_that_end(server: Server, tmp_path: Path, kind: str, form: str) -> None:
    """The server checks signature, kid, audience and life, takes no assertion twice and each token three times."""
    key: Any = jwk.RSAKey.generate_key(2048) if kind == "RSA" else jwk.ECKey.generate_key("P-384")
    public = {**key.as_dict(private=False), "kid": "k1"}
    text = (
        key.as_pem(private=True).decode() if form == "pem" else json.dumps({**key.as_dict(private=True), "kid": "k1"})
    )
    server.set(resources=visits(5), auth="smart", public_key=public, token_lives=3)
    key_id = {"key_id": "k1"} if form == "pem" else {}
    file = private_file(tmp_path, text)
    reading = Reading(server, tmp_path, auth="smart", client_id="adapter", key_file=file, **key_id)
    reading.read()
    assert reading.stored()["Encounter"] == 5
    reading.close()
    assert len(server.requests("/token")) > 2


def test_a_token_is_renewed_before_it_ends(server: Server, tmp_path: Path) -> None:
    server.set(resources=visits(1), auth="client", secret="me:pass", expires_in=1)
    file = private_file(tmp_path, "pass")
    reading = Reading(server, tmp_path, auth="client-credentials", client_id="me", secret_file=file)
    reading.read()
    threading.Event().wait(1.0)  # the life the server named has passed
    reading.read()
    reading.close()

    assert len(server.requests("/token")) >= 2


def test_a_refused_token_is_an_error_that_says_so_and_no_more(server: Server, tmp_path: Path) -> None:
    server.set(resources=visits(1), auth="client", secret="me:other")
    file = private_file(tmp_path, "POISON-SECRET")
    reading = Reading(server, tmp_path, auth="client-credentials", client_id="me", secret_file=file)
    with capture_logs() as logged, pytest.raises(FhirServerError, match="token_refused") as raised:
        reading.read()
    reading.close()

    assert "POISON" not in str(logged) + str(raised.value) + repr(raised.value)


def test_a_client_certificate_opens_the_server(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    mine, key = authority.issue("adapter")
    with Server(*authority.issue("server"), authority.ca) as server:
        reading = Reading(server, tmp_path, tls_cert=mine, tls_key=key, tls_ca=authority.ca)
        assert reading.read().messages == 0
        reading.close()
        stranger = Reading(server, tmp_path, tls_ca=authority.ca)
        with pytest.raises(FhirServerError, match=r"tls|connection_lost|not_reached"):
            stranger.read()
        stranger.close()


def test_a_stopped_reader_reads_nothing(reading: Reading) -> None:
    reading.reader.stop()
    with pytest.raises(StoppedError):
        reading.read()
