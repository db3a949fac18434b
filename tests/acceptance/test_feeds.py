"""Folder and HTTP feeds as senders meet them: real files, real sockets, a real process that is killed in the middle."""

from __future__ import annotations

import gzip
import json
import os
import resource
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
import requests
from sqlalchemy import func, select

from fhir_coder.queries import MessageSearch, list_claims, list_messages
from fhir_coder.scenarios import Scenario
from fhir_coder.settings import example_settings, read_settings, to_toml
from fhir_coder.store.inbox import inbox_path
from fhir_coder.store.schema import messages
from fhir_coder.trial import HOST, Trial
from tests.acceptance.test_kill import visit

ER7 = "application/hl7-v2"
FHIR = "application/fhir+json"
TOKEN = "Kp7-test-token"
MFN = b"MSH|^~\\&|LAB|NORTH|||20261103100000||MFN^M01|%s|P|2.5.1\r"
"""A message that bills nothing: it is kept and ignored."""

SOAK_BYTES = int(os.environ.get("FHIR_CODER_STREAM_MB", "60")) * 1_000_000
MOST_RESIDENT_KB = 150_000


def wait_for(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it did not come true in time"
        time.sleep(0.02)


def use(trial: Trial, section: str, **keys: object) -> None:
    """Change keys of a trial's settings: of `http`, or of `feed NAME`."""
    settings = read_settings(trial.settings_file)
    if section == "http":
        settings = settings.model_copy(update={"http": settings.http.model_copy(update=keys)})
    else:
        feeds = [f.model_copy(update=keys) if section == f"feed {f.name}" else f for f in settings.feeds]
        settings = settings.model_copy(update={"feeds": tuple(feeds)})
    trial.settings_file.write_text(to_toml(settings), encoding="utf-8")


def put(trial: Trial, name: str, data: bytes) -> None:
    part = trial.inbox / f".{name}.part"
    part.write_bytes(data)
    part.rename(trial.inbox / name)


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.is_file())


def inbox_is_empty(trial: Trial) -> bool:
    return not [name for name in names_in(trial.inbox) if not name.startswith(".")]


def stored(trial: Trial) -> list[str]:
    return sorted(m.control_id for m in list_messages(trial.ledger, limit=100_000))


def mfn(count: int, start: int = 0) -> bytes:
    return b"".join(MFN % b"M%06d" % n for n in range(start, start + count))


# --- folder


def test_files_of_every_form_are_read_and_go_to_the_subfolder_that_says_how(trial: Trial) -> None:
    trial.start_adapter()
    put(trial, "one.hl7", mfn(1))
    put(trial, "two.hl7.gz", gzip.compress(b"FHS|^~\\&\rBHS|^~\\&\r" + mfn(2, 1) + b"BTS|2\rFTS|1\r"))
    put(trial, "three.ndjson", b'{"resourceType":"Basic"}\n{"resourceType":"List"}\n')
    put(trial, "broken.hl7", mfn(1, 3) + b"FTS|1\rnot a message\r")
    put(trial, "cut.hl7.gz", gzip.compress(mfn(1, 4))[:-9])
    wait_for(lambda: inbox_is_empty(trial))
    assert names_in(trial.inbox / "done") == ["one.hl7", "three.ndjson", "two.hl7.gz"]
    assert names_in(trial.inbox / "failed") == ["broken.hl7", "cut.hl7.gz"]
    assert [c for c in stored(trial) if c] == ["M000000", "M000001", "M000002", "M000003"]

    put(trial, "again.hl7", mfn(3))
    put(trial, "partly.hl7", mfn(1) + mfn(1, 9))
    wait_for(lambda: inbox_is_empty(trial))
    assert names_in(trial.inbox / "duplicate") == ["again.hl7"]
    assert "partly.hl7" in names_in(trial.inbox / "done")


def test_after_delete_keeps_only_what_could_not_be_read(trial: Trial) -> None:
    use(trial, "feed folder", after="delete", failed="bad", pattern="*.hl7")
    trial.start_adapter()
    for name in ("one.HL7", "same.hl7"):
        put(trial, name, mfn(1))
    put(trial, "broken.hl7", b"nothing")
    put(trial, "notes.txt", b"nothing")
    wait_for(lambda: names_in(trial.inbox) == ["notes.txt"])
    assert names_in(trial.inbox / "bad") == ["broken.hl7"]
    assert names_in(trial.inbox / "done") == names_in(trial.inbox / "duplicate") == []


def test_a_file_that_is_still_written_is_not_read_before_it_has_settled(trial: Trial) -> None:
    use(trial, "feed folder", settle_seconds=1.5)
    trial.start_adapter()
    whole = mfn(5)
    with (trial.inbox / "slow.hl7").open("wb", buffering=0) as file:
        for at in range(0, len(whole), 100):
            file.write(whole[at : at + 100])
            time.sleep(0.3)  # the pace of a slow sender
            assert stored(trial) == []
    wait_for(lambda: inbox_is_empty(trial))
    assert stored(trial) == [f"M{n:06d}" for n in range(5)]


def test_a_batch_file_whose_trailer_announces_more_than_came_is_told_and_kept(trial: Trial) -> None:
    trial.start_adapter()
    put(trial, "batch.hl7", b"BHS|^~\\&|LAB|NORTH\r" + mfn(2) + b"BTS|3\r")
    wait_for(lambda: names_in(trial.inbox / "done") == ["batch.hl7"])
    assert stored(trial) == ["M000000", "M000001"]
    told = [json.loads(line) for line in trial.log_of("adapter").splitlines() if "declared" in line]
    number = (trial.inbox / "done" / "batch.hl7").stat().st_ino
    assert [(line["event"], line["file"], line["where"], line["declared"], line["found"]) for line in told] == [
        ("batch_miscounted", number, "BTS[1]-1", 3, 2)
    ]


def test_a_broken_line_and_a_file_that_is_cut_off_say_which_file_without_its_name(trial: Trial) -> None:
    trial.start_adapter()
    put(trial, "Poisonname.ndjson", b'{"resourceType":"Basic"}\n{"resourceType":\n{"resourceType":"List"}\n')
    put(trial, "cut-Poisonname.hl7.gz", gzip.compress(mfn(1, 4))[:-9])
    wait_for(lambda: len(names_in(trial.inbox / "failed")) == 2)
    numbers = {path.name: path.stat().st_ino for path in (trial.inbox / "failed").iterdir()}
    (reason,) = {row.reason for row in list_messages(trial.ledger, MessageSearch(status="quarantined"))}
    assert reason.endswith(f"(payload 2 of file {numbers['Poisonname.ndjson']})")
    told = [json.loads(line) for line in trial.log_of("adapter").splitlines() if '"file"' in line]
    assert {(line["event"], line["file"]) for line in told} == {
        ("file_read", numbers["Poisonname.ndjson"]),
        ("file_read", numbers["cut-Poisonname.hl7.gz"]),
        ("file_cut_off", numbers["cut-Poisonname.hl7.gz"]),
    }
    assert "Poisonname" not in trial.log_of("adapter")


def test_a_file_that_cannot_be_read_is_told_once_and_read_when_it_can_be(trial: Trial) -> None:
    """`/proc/self/mem` gives an input error to any user, as a share with a fault does."""
    trial.start_adapter()
    (trial.inbox / "faulty.hl7").symlink_to("/proc/self/mem")
    put(trial, "good.hl7", mfn(1))
    wait_for(lambda: trial.log_of("adapter").count('"file_failed"') == 1)
    wait_for(lambda: names_in(trial.inbox / "done") == ["good.hl7"])
    time.sleep(3)  # the second and the third try fall into this time
    assert trial.log_of("adapter").count('"file_failed"') == 1
    put(trial, "faulty.hl7", mfn(1, 1))
    wait_for(lambda: inbox_is_empty(trial))
    assert names_in(trial.inbox / "done") == ["faulty.hl7", "good.hl7"]


def test_kill_9_in_the_middle_of_a_large_file_stores_and_bills_each_message_once(
    trial: Trial, scenarios: dict[str, Scenario]
) -> None:
    template = scenarios["covid"].files[0].read_bytes()
    visits, others = 30, 5000
    padding = b"NTE|1||" + b"x" * 4000 + b"\r"
    data = b"".join(
        (visit(template, n // 100) if n % 100 == 0 and n // 100 < visits else MFN % b"F%06d" % n) + padding
        for n in range(others)
    )
    trial.start_payer()
    trial.start_adapter()
    put(trial, "large.hl7", data)
    for _ in range(2):
        before = len_acknowledged(trial)
        wait_for(lambda before=before: len_acknowledged(trial) > before)  # type: ignore[misc]  # a default has no type
        trial.kill("adapter")
        assert 0 < len_acknowledged(trial) < others, "the kill came in the middle"
        trial.start_adapter(wait=False)
    assert trial.wait_until_settled(150)

    assert len(stored(trial)) == len(set(stored(trial))) == others
    held = trial.payer_claims()
    assert sorted(h["identifier"] for h in held) == sorted(c.identifier for c in list_claims(trial.ledger, limit=1000))
    assert len(held) == visits
    assert {h["received"] for h in held} == {1}
    assert names_in(trial.inbox / "done") == ["large.hl7"]


def len_acknowledged(trial: Trial) -> int:
    """How many messages intake has kept, seen without filing any of them: a look that takes no time from it."""
    path = inbox_path(trial.folder / "ledger.db")
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as db:
        return int(db.execute("SELECT coalesce(max(seq), 0) FROM inbox").fetchone()[0])


def len_stored(trial: Trial) -> int:
    with trial.ledger.reading() as connection:
        return int(connection.execute(select(func.count()).select_from(messages)).scalar_one())


@pytest.mark.timeout(max(180, SOAK_BYTES // 200_000))
@pytest.mark.parametrize("form", ["batch.hl7", "batch.hl7.gz", "lines.ndjson"])
def test_a_file_larger_than_memory_is_read_in_constant_memory(trial: Trial, form: str) -> None:
    """60 MB here; `make soak` takes 1 GB. Resident means the peak of the whole adapter, workers included."""
    trial.start_adapter()
    part = trial.inbox / ".large.part"
    size = number = 0
    with gzip.open(part, "wb", compresslevel=1) if form.endswith(".gz") else part.open("wb") as file:
        file.write(b"FHS|^~\\&\rBHS|^~\\&\r" * ("hl7" in form))
        while size < SOAK_BYTES:
            number += 1
            size += file.write(large_payload(form, number))
    part.rename(trial.inbox / form)
    wait_for(lambda: inbox_is_empty(trial), seconds=max(150, SOAK_BYTES / 300_000))

    assert names_in(trial.inbox / "done") == [form]
    assert len_stored(trial) == number
    assert peak_resident_kb(trial) < MOST_RESIDENT_KB, peak_resident_kb(trial)


def large_payload(form: str, number: int) -> bytes:
    if "hl7" in form:
        return MFN % b"L%08d" % number + b"NTE|1||" + b"x" * 20_000 + b"\r"
    return b'{"resourceType":"Basic","id":"%d","text":"%s"}\n' % (number, b"x" * 20_000)


def peak_resident_kb(trial: Trial) -> int:
    status = Path(f"/proc/{trial.process_id('adapter')}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1])


# --- HTTP


def url(trial: Trial, path: str, scheme: str = "http") -> str:
    return f"{scheme}://{HOST}:{trial.http_port}/{path}"


def post(trial: Trial, path: str, body: bytes, kind: str, **headers: str) -> requests.Response:
    sent = {"Content-Type": kind} | {name.replace("_", "-"): value for name, value in headers.items()}
    return requests.post(url(trial, path), data=body, headers=sent, timeout=30)


@pytest.fixture
def guarded(trial: Trial, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Trial:
    """An adapter whose pages and feed have a token each."""
    monkeypatch.setenv("FHIR_CODER_TEST_TOKEN", TOKEN)
    own = tmp_path / "feed.token"
    own.write_text("feed-" + TOKEN + "\n")
    own.chmod(0o600)
    use(trial, "http", token_env="FHIR_CODER_TEST_TOKEN")
    use(trial, "feed http", token_file=own)
    trial.start_adapter()
    return trial


def test_without_the_token_nothing_is_taken_and_nothing_is_shown(guarded: Trial) -> None:
    for bearer in ("", TOKEN, "feed-" + TOKEN[:-1], "é"):
        headers = {"Authorization": f"Bearer {bearer}".encode()} if bearer else {}
        for path, kind in (("hl7v2", ER7), ("fhir", FHIR), ("feeds/http/hl7v2", ER7)):
            answer = requests.post(
                url(guarded, path), data=mfn(1), headers={"Content-Type": kind, **headers}, timeout=30
            )
            assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, 'Bearer realm="fhir-coder"')
    for page in ("", "status", "metrics", "console/"):
        answer = requests.get(url(guarded, page), headers={"Authorization": "Bearer feed-" + TOKEN}, timeout=30)
        assert answer.status_code == 401
        assert "Basic" in answer.headers["WWW-Authenticate"]
    assert requests.get(url(guarded, "health"), timeout=30).json() == {"status": "ok"}
    assert stored(guarded) == []


def test_with_the_token_feeds_take_and_pages_show(guarded: Trial) -> None:
    answer = post(guarded, "hl7v2", mfn(1), ER7, Authorization=f"bearer feed-{TOKEN}")
    assert b"MSA|AA|M000000" in answer.content
    for page in ("", "status", "metrics"):
        assert requests.get(url(guarded, page), headers={"Authorization": f"Bearer {TOKEN}"}, timeout=30).ok
        assert requests.get(url(guarded, page), auth=("anybody", TOKEN), timeout=30).ok
    assert TOKEN not in guarded.log_of("adapter")


@pytest.mark.parametrize(
    ("write", "fault"),
    [
        (
            'token_env = "FHIR_CODER_NO_TOKEN"',
            "http.token_env: the environment variable FHIR_CODER_NO_TOKEN is not set",
        ),
        ('token_file = "nowhere"', "http.token_file: the file cannot be read"),
        ('token_file = "open.token"', "http.token_file: the file may be read by others: chmod 600"),
        ('host = "0.0.0.0"', "without TLS (tls_cert, tls_key) and authentication"),
        ('host = "0.0.0.0"\ntoken_env = "A"', "without TLS (tls_cert, tls_key);"),
        ('tls_cert = "a.pem"', "tls_cert and tls_key belong together"),
        ('tls_cert = "nowhere"\ntls_key = "nowhere"', "http.tls_cert: "),
    ],
)
def test_settings_that_would_leave_it_open_are_refused_at_the_start(tmp_path: Path, write: str, fault: str) -> None:
    (tmp_path / "open.token").write_text("secret-token")
    (tmp_path / "open.token").chmod(0o644)
    lines = write if "port" in write else f"{write}\nport = 0"
    (tmp_path / "fhir-coder.toml").write_text(f"[http]\n{lines}\n")
    words = [sys.executable, "-m", "fhir_coder", "serve"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False, cwd=tmp_path)
    assert done.returncode == 2
    assert fault in done.stderr
    assert "secret-token" not in done.stderr


def test_a_body_that_is_too_large_packed_or_not_is_413_and_not_kept(trial: Trial) -> None:
    use(trial, "http", max_body_bytes=4096)
    trial.start_adapter()
    bomb = gzip.compress(b"\0" * 50_000_000)
    assert post(trial, "hl7v2", mfn(1) + b"x" * 4096, ER7).status_code == 413
    assert post(trial, "fhir", bomb, FHIR, Content_Encoding="gzip").status_code == 413
    assert post(trial, "hl7v2", mfn(1), ER7).status_code == 200
    assert stored(trial) == ["M000000"]
    assert peak_resident_kb(trial) < MOST_RESIDENT_KB


def test_packed_bodies_are_unpacked_and_unknown_types_and_packings_are_415(trial: Trial) -> None:
    trial.start_adapter()
    packed = post(trial, "hl7v2", gzip.compress(mfn(2)), ER7, Content_Encoding="gzip")
    assert packed.content.count(b"MSA|AA|") == 2
    cut = post(trial, "fhir", gzip.compress(b'{"resourceType":"Basic"}')[:-4], FHIR, Content_Encoding="gzip")
    assert (cut.status_code, cut.json()["resourceType"]) == (400, "OperationOutcome")
    assert post(trial, "fhir", b"<Basic/>", "application/fhir+xml").status_code == 415
    assert post(trial, "hl7v2", mfn(1), "application/x-www-form-urlencoded").status_code == 415
    assert post(trial, "hl7v2", mfn(1), ER7, Content_Encoding="br").headers["Accept-Encoding"] == "gzip"
    assert post(trial, "hl7v2", mfn(1, 5), ER7 + "; charset=utf-8").status_code == 200
    assert len(stored(trial)) == 3


def test_every_answer_has_the_security_headers(trial: Trial) -> None:
    trial.start_adapter()
    for answer in (
        requests.get(url(trial, ""), timeout=30),
        requests.get(url(trial, "health"), timeout=30),
        requests.get(url(trial, "nowhere"), timeout=30),
        post(trial, "fhir", b"{", FHIR),
    ):
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["X-Frame-Options"] == "DENY"
        assert answer.headers["Cache-Control"] == "no-store"
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
        assert "Server" not in answer.headers


def test_a_full_disk_is_503_and_nothing_is_acknowledged(tmp_path: Path) -> None:
    """A limit on the size of files stands for the full disk; a write beyond it fails as on one."""
    with Trial(tmp_path, example_settings()) as trial:
        trial.start_adapter()
        limit = (tmp_path / "ledger.db").stat().st_size + (tmp_path / "ledger.db-wal").stat().st_size + 200_000
        limit_files(trial, limit)
        big = mfn(1) + b"NTE|1||" + b"x" * 2_000_000 + b"\r"
        refused = post(trial, "hl7v2", big, ER7)
        assert (refused.status_code, refused.headers["Retry-After"]) == (503, "30")
        assert b"MSA" not in refused.content
        outcome = post(trial, "fhir", b'{"resourceType":"Basic","id":"%s"}' % (b"x" * 2_000_000), FHIR)
        assert (outcome.status_code, outcome.json()["issue"][0]["code"]) == (503, "transient")
        limit_files(trial, resource.RLIM_INFINITY)
        assert post(trial, "hl7v2", big, ER7).status_code == 200
        assert stored(trial) == ["M000000"]


def test_health_says_that_nothing_can_be_kept_until_there_is_room_again(trial: Trial) -> None:
    trial.start_adapter()

    def health() -> tuple[int, str]:
        answer = requests.get(url(trial, "health"), timeout=30)
        return answer.status_code, answer.text

    assert health()[0] == 200
    limit_files(trial, 1)
    wait_for(lambda: health()[0] == 503)
    assert "messages cannot be kept" in health()[1]
    limit_files(trial, resource.RLIM_INFINITY)
    wait_for(lambda: health() == (200, '{"status":"ok"}'))


def limit_files(trial: Trial, size: int) -> None:
    resource.prlimit(trial.process_id("adapter"), resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


# --- TLS


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate authority, with a certificate for the server and one for a client."""
    folder = tmp_path_factory.mktemp("tls")
    make = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
    own = ["-subj", "/CN=ca", "-keyout", "ca.key", "-out", "ca.pem"]
    subprocess.run([*make, *own], cwd=folder, check=True, capture_output=True)
    for name in ("server", "client"):
        signed = ["-CA", "ca.pem", "-CAkey", "ca.key", "-addext", "subjectAltName=IP:127.0.0.1"]
        signed += ["-addext", "basicConstraints=critical,CA:FALSE"]
        files = ["-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out", f"{name}.pem"]
        subprocess.run([*make, *signed, *files], cwd=folder, check=True, capture_output=True)
    return folder


def start_with_tls(trial: Trial, certificates: Path, **more: object) -> None:
    keys = {"tls_cert": certificates / "server.pem", "tls_key": certificates / "server.key"}
    use(trial, "http", **keys, **more)
    trial.start_adapter(wait=False)
    wait_for(lambda: '"service_started"' in trial.log_of("adapter"))


def test_http_over_tls(trial: Trial, certificates: Path) -> None:
    start_with_tls(trial, certificates)
    ca = str(certificates / "ca.pem")
    answer = requests.post(
        url(trial, "hl7v2", "https"), data=mfn(1), headers={"Content-Type": ER7}, verify=ca, timeout=30
    )
    assert b"MSA|AA|" in answer.content
    assert "Strict-Transport-Security" in answer.headers
    with pytest.raises(requests.ConnectionError):
        requests.get(url(trial, "health"), timeout=30)


def test_with_a_client_ca_only_senders_with_a_certificate_are_heard(trial: Trial, certificates: Path) -> None:
    start_with_tls(trial, certificates, tls_client_ca=certificates / "ca.pem")
    ca = str(certificates / "ca.pem")
    with pytest.raises(requests.ConnectionError):
        requests.post(url(trial, "hl7v2", "https"), data=mfn(1), headers={"Content-Type": ER7}, verify=ca, timeout=30)
    mine = (str(certificates / "client.pem"), str(certificates / "client.key"))
    answer = requests.post(
        url(trial, "hl7v2", "https"), data=mfn(1), headers={"Content-Type": ER7}, verify=ca, cert=mine, timeout=30
    )
    assert b"MSA|AA|" in answer.content
    assert stored(trial) == ["M000000"]
