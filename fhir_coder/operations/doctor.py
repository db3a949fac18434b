"""What is wrong with a site, and what to do: settings, tables, certificates, ports, disk, clock, ledger, payers.

Nothing is changed: the ledger is only read, and payers are asked only what `payers test` asks.
"""

from __future__ import annotations

import enum
import shutil
import socket
import sqlite3
import stat
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509

from fhir_coder.errors import Fault, LedgerBusyError
from fhir_coder.payers.handshake import Step, StepStatus, shake_hands
from fhir_coder.server import use_faults
from fhir_coder.settings import FolderFeed, MllpFeed, Settings
from fhir_coder.store.counts import counts
from fhir_coder.store.events import last_at
from fhir_coder.store.inbox import inbox_path
from fhir_coder.store.ledger import Ledger, newest_version, sqlite_engine, version_of
from fhir_coder.store.locks import only_writer
from fhir_coder.store.people import key_path
from fhir_coder.terminology import check_tables, open_codesets

SOON = timedelta(days=30)
"""How long before its end a certificate is warned of."""
_LITTLE, _TOO_LITTLE = 5 << 30, 500 << 20
"""Bytes free on the ledger's disk below which it is warned of, and below which it is a fault."""
_LATE = timedelta(minutes=10)
"""How long work may be overdue before it is a fault: longer than any payer is waited for at once."""
_CLOCK_OFF = timedelta(seconds=5)


class State(enum.StrEnum):
    """How a part of the site is."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Sign:
    """What was found of one part, and what to do about it where it is not well."""

    part: str
    state: State
    text: str
    advice: str = ""


def examine(settings: Settings, *, ask_payers: bool = True, now: datetime | None = None) -> Iterator[Sign]:
    """Look at one part after the other; each sign is given as soon as it is known. `now` is aware, UTC."""
    at = now or datetime.now(UTC)
    is_running = _is_worked_on(settings.store_path())
    yield Sign("service", State.OK, "a service works on this ledger" if is_running else "no service runs")
    yield from _of_settings(settings)
    yield from _of_tables(settings, at)
    yield from _of_certificates(settings, at)
    yield from _of_ports(settings, is_running)
    yield from _of_folders(settings)
    yield from _of_disk(settings.store_path())
    yield from _of_ledger(settings, at)
    for payer in settings.payers if ask_payers else ():
        yield _of_payer(payer.name, list(shake_hands(payer)))


def _is_worked_on(ledger: Path) -> bool:
    if not Path(f"{ledger}.lock").exists():
        return False
    try:
        with only_writer(ledger):
            return False
    except LedgerBusyError:
        return True


def _of_settings(settings: Settings) -> Iterator[Sign]:
    faults = use_faults(settings)
    yield from (_sign_of(fault, "settings") for fault in faults)
    if not faults:
        text = f"{len(settings.feeds)} feeds, {len(settings.payers)} payers"
        yield Sign("settings", State.OK, text)


def _sign_of(fault: Fault, part: str) -> Sign:
    return Sign(part, State.WARNING if fault.is_warning else State.FAILED, str(fault))


def _of_tables(settings: Settings, at: datetime) -> Iterator[Sign]:
    with open_codesets(*settings.codeset_folders()) as code_sets:
        faults = check_tables(settings.table_folders(), code_sets, at.date(), settings.names())
    yield from (_sign_of(fault, "tables") for fault in faults)
    if not faults:
        yield Sign("tables", State.OK, "no fault found")


def _of_certificates(settings: Settings, at: datetime) -> Iterator[Sign]:
    """The days that each certificate of a listener and each one that signs for us at a payer still counts."""
    named = [(f"feed {feed.name}", feed.tls_cert) for feed in settings.feeds if isinstance(feed, MllpFeed)]
    named.append(("http", settings.http.tls_cert))
    named += [(f"payer {payer.name}", payer.tls_cert) for payer in settings.payers]
    for whose, file in named:
        if file and file.is_file():
            yield _of_certificate(f"certificate of {whose}", file, at)


def _of_certificate(part: str, file: Path, at: datetime) -> Sign:
    try:
        ends_at = x509.load_pem_x509_certificate(file.read_bytes()).not_valid_after_utc
    except (OSError, ValueError):
        return Sign(part, State.FAILED, f"{file} cannot be read as a certificate", "give a PEM file")
    days = (ends_at - at).days
    advice = "put the renewed one in its place: a running service reads it by itself"
    if ends_at <= at:
        return Sign(part, State.FAILED, f"it ended on {ends_at.date()}", advice)
    soon = ends_at - at < SOON
    text = f"ends on {ends_at.date()}, in {days} day{'s' * (days != 1)}"
    return Sign(part, State.WARNING if soon else State.OK, text, advice if soon else "")


def _of_ports(settings: Settings, is_running: bool) -> Iterator[Sign]:
    """Whether each listener's port could be had, or, while the service runs, answers."""
    places = [(f"feed {f.name}", f.host, f.port) for f in settings.feeds if isinstance(f, MllpFeed)]
    places.append(("http", settings.http.host, settings.http.port))
    for whose, host, port in places:
        if port:
            yield _answers(whose, host, port) if is_running else _can_be_had(whose, host, port)


def _answers(whose: str, host: str, port: int) -> Sign:
    reached = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # the address of all is no address to ask
    try:
        socket.create_connection((reached, port), timeout=2.0).close()
    except OSError as error:
        text = f"{host}:{port} does not answer: {error.strerror or error}"
        return Sign(f"port of {whose}", State.FAILED, text, "look at the service's log; restart it")
    return Sign(f"port of {whose}", State.OK, f"{host}:{port} answers")


def _can_be_had(whose: str, host: str, port: int) -> Sign:
    try:
        socket.create_server((host, port)).close()
    except OSError as error:
        text = f"{host}:{port} cannot be had: {error.strerror or error}"
        return Sign(f"port of {whose}", State.FAILED, text, "stop what listens there, or choose another port")
    return Sign(f"port of {whose}", State.OK, f"{host}:{port} is free")


def _of_folders(settings: Settings) -> Iterator[Sign]:
    for feed in settings.feeds:
        if isinstance(feed, FolderFeed):
            part = f"folder of feed {feed.name}"
            if not feed.path.is_dir():
                yield Sign(part, State.FAILED, f"{feed.path} is not there", "make it, or correct the feed's path")
            else:
                yield Sign(part, State.OK, str(feed.path))


def _of_disk(ledger: Path) -> Iterator[Sign]:
    folder = next(one for one in ledger.resolve().parents if one.is_dir())
    free = shutil.disk_usage(folder).free
    text = f"{free / (1 << 30):.1f} GB free at {folder}"
    advice = "make room: what cannot be kept is not acknowledged"
    state = State.FAILED if free < _TOO_LITTLE else State.WARNING if free < _LITTLE else State.OK
    yield Sign("disk", state, text, advice if state is not State.OK else "")
    for file in (ledger, key_path(ledger)):
        if file.exists() and file.stat().st_mode & (stat.S_IROTH | stat.S_IWOTH):
            advice = f"chmod o-rwx {file}"
            yield Sign("disk", State.WARNING, f"{file.name} can be read by every user of this machine", advice)


def _of_ledger(settings: Settings, at: datetime) -> Iterator[Sign]:
    path = settings.store_path()
    if not path.is_file():
        yield Sign("ledger", State.OK, f"none yet: serve makes {path}")
        return
    looks: tuple[Callable[[Ledger, datetime], Iterator[Sign]], ...] = (_of_file, _of_clock, _of_work)
    ledger = Ledger(sqlite_engine(path))
    try:
        for look in looks:
            yield from look(ledger, at)
    except Exception as error:  # a file that is no ledger, or is broken
        advice = "restore a backup (fhir-coder restore); keep this file"
        yield Sign("ledger", State.FAILED, f"it cannot be read: {type(error).__name__}", advice)
    finally:
        ledger.close()


def _of_file(ledger: Ledger, _at: datetime) -> Iterator[Sign]:
    with closing(sqlite3.connect(f"{ledger.path.resolve().as_uri()}?mode=ro", uri=True)) as db:
        found = db.execute("PRAGMA quick_check(1)").fetchone()[0]
    if found != "ok":
        yield Sign("ledger", State.FAILED, "its pages do not fit together", "stop the service; restore a backup")
    version, newest = version_of(ledger), newest_version()
    if version != newest:
        text = f"it is of version {version or 'none'}, this program's is {newest}"
        yield Sign("ledger", State.WARNING, text, "serve brings it up to date; make a backup before")
    megabytes = ledger.path.stat().st_size / (1 << 20)
    yield Sign("ledger", State.OK, f"{ledger.path}, {megabytes:,.1f} MB, version {version}")


def _of_clock(ledger: Ledger, at: datetime) -> Iterator[Sign]:
    with ledger.reading() as connection:
        last = last_at(connection)
    if last and last > at + _CLOCK_OFF:
        text = f"the ledger's last entry is of {last:%Y-%m-%d %H:%M:%S} UTC, it is {at:%Y-%m-%d %H:%M:%S} UTC now"
        yield Sign("clock", State.FAILED, text, "this machine's clock went back: have it kept by NTP")
    else:
        yield Sign("clock", State.OK, f"{at:%Y-%m-%d %H:%M:%S} UTC, not before the ledger's last entry")


def _of_work(ledger: Ledger, at: datetime) -> Iterator[Sign]:
    with ledger.reading() as connection:
        counted = counts(connection)
    oldest = counted["oldest_waiting_at"]
    late = at - datetime.fromisoformat(oldest) if oldest else timedelta()
    text = f"{counted['work_waiting']} pieces wait"
    if late > _LATE and not any(one["state"] != "up" for one in counted["payer_states"].values()):
        advice = "start the service, or look at its log: nothing takes up what is due"
        yield Sign("work", State.FAILED, f"{text}, the oldest is overdue by {_minutes(late)}", advice)
    else:
        yield Sign("work", State.OK, text)
    for payer, one in counted["payer_states"].items():
        if one["state"] != "up":
            advice = f"fhir-coder payers test {payer}"
            yield Sign(f"payer {payer}", State.WARNING, f"claims wait since {one['since']}: {one['reason']}", advice)
    items = sum(counted["work_items"].values())
    if items:
        yield Sign("worklist", State.OK, f"{items} open: fhir-coder work list")
    if inbox_path(ledger.path).exists():
        yield Sign("inbox", State.OK, f"{inbox_path(ledger.path).stat().st_size / (1 << 20):,.1f} MB")


def _minutes(late: timedelta) -> str:
    minutes = int(late.total_seconds() // 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h"


def _of_payer(name: str, steps: list[Step]) -> Sign:
    part = f"payer {name}"
    worst = next((s for s in steps if s.status is StepStatus.FAILED), None)
    worst = worst or next((s for s in steps if s.status is StepStatus.WARNING), None)
    if worst is None:
        return Sign(part, State.OK, "claims can be sent")
    state = State.FAILED if worst.status is StepStatus.FAILED else State.WARNING
    return Sign(part, state, f"{worst.name}: {worst.text}", worst.advice or f"fhir-coder payers test {name}")
