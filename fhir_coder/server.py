"""`serve`: feeds and HTTP, the workers in a process beside it. Every listener is bound before anything starts."""

from __future__ import annotations

import asyncio
import gc
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import uvicorn
from fastapi import FastAPI

from fhir_coder import __version__
from fhir_coder.app import App
from fhir_coder.errors import Fault
from fhir_coder.intake.desk import IntakeDesk
from fhir_coder.intake.fhir_feed import FhirReader
from fhir_coder.intake.folder import FolderWatch
from fhir_coder.intake.mllp import MllpListener
from fhir_coder.intake.tls import renewing_context, tls_faults
from fhir_coder.logs import log
from fhir_coder.payers.auth import auth_faults
from fhir_coder.payers.keys import public_set
from fhir_coder.settings import FhirFeed, FolderFeed, HttpFeed, HttpSettings, MllpFeed, Settings
from fhir_coder.settings.lines import Key
from fhir_coder.store import claims, items
from fhir_coder.store.inbox import Inbox
from fhir_coder.store.locks import only_writer
from fhir_coder.supervisor import Loaded, WorkerProcess
from fhir_coder.web.api import FeedAccess, WebAccess, create_app
from fhir_coder.web.console import ConsoleSite
from fhir_coder.web.console.site import PREFIX
from fhir_coder.web.payer_routes import PayerAccess
from fhir_coder.web.terminology_service import Terminology

_SWITCH_SECONDS = 0.0005
"""After which a thread that computes lets another have its turn: the one that commits waits for nothing else."""


@dataclass
class Listeners:
    """The sockets of a service, bound and not yet served."""

    mllp: dict[str, socket.socket] = field(default_factory=dict)
    http: socket.socket | None = None

    def close(self) -> None:
        """Give the ports back."""
        for bound in (*self.mllp.values(), *([self.http] if self.http else [])):
            bound.close()


def bind_all(settings: Settings) -> Listeners:
    """Bind every port of the settings. Raises SettingsError listing all ports, tokens and TLS files not to be had."""
    listeners, faults = Listeners(), []
    for index, feed in enumerate(settings.feeds):
        if isinstance(feed, MllpFeed):
            try:
                listeners.mllp[feed.name] = socket.create_server((feed.host, feed.port))
            except OSError as error:
                faults.append(settings.fault(("feeds", index, "port"), _port_fault(feed.port, error)))
    try:
        listeners.http = socket.create_server((settings.http.host, settings.http.port))
        # Connections inherit it. Without it the body of an answer waits 40 ms for the head to be acknowledged.
        listeners.http.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    except OSError as error:
        faults.append(settings.fault(("http", "port"), _port_fault(settings.http.port, error)))
    faults += use_faults(settings)
    if faults:
        listeners.close()
        raise settings.refused(faults, "nothing was started: ")
    return listeners


def use_faults(settings: Settings) -> list[Fault]:
    """What shows only when the settings are used, ports aside: tokens, keys and TLS files that cannot be had."""
    faults = []
    for index, feed in enumerate(settings.feeds):
        if isinstance(feed, MllpFeed):
            faults += [settings.fault(("feeds", index, key), text) for key, text in tls_faults(feed)]
        elif isinstance(feed, FhirFeed):
            faults += [settings.fault(("feeds", index, key), text) for key, text in auth_faults(feed)]
    faults += [settings.fault(("http", key), text) for key, text in tls_faults(settings.http)]
    faults += _token_faults(settings)
    for index, payer in enumerate(settings.payers):
        faults += [settings.fault(("payers", index, key), text) for key, text in auth_faults(payer)]
        faults += [settings.fault(("payers", index, key), text) for key, text in payer.notify_faults()]
    return faults


def _port_fault(port: int, error: OSError) -> str:
    return f"port {port} cannot be had: {error.strerror or error}"


def _token_faults(settings: Settings) -> list[Fault]:
    """Tokens that are named and cannot be had: the service must not start open to everybody."""
    named: list[tuple[tuple[Key, ...], HttpSettings | HttpFeed]] = [(("http",), settings.http)]
    named += [(("feeds", i), f) for i, f in enumerate(settings.feeds) if isinstance(f, HttpFeed)]
    faults = []
    for place, section in named:
        try:
            section.token()
        except ValueError as error:
            key = "token_env" if section.token_env else "token_file"
            faults.append(settings.fault((*place, key), str(error)))
    return faults


def _web_access(settings: Settings, workers: WorkerProcess) -> WebAccess:
    general = settings.http.token()
    feeds = tuple(
        FeedAccess(f.name, f.token() or general, f.rules.conformance == "reject")
        for f in settings.feeds
        if isinstance(f, HttpFeed)
    )
    access = _payer_access(settings, workers.wake)
    return WebAccess(general, feeds, settings.http.max_body_bytes, access, lambda: workers.is_up)


def _payer_access(settings: Settings, wake: Callable[[], None]) -> PayerAccess:
    tokens = {p.name: p.notify_token() for p in settings.payers}
    signing = [*settings.payers, *(f for f in settings.feeds if isinstance(f, FhirFeed))]
    signs = any(one.auth == "smart" for one in signing)
    called = {name: token for name, token in tokens.items() if token}
    return PayerAccess(called, (lambda: public_set(signing)) if signs else None, wake)


def serve(app: App, workers: WorkerProcess, announce: Callable[[Listeners, Loaded], None]) -> None:
    """Run the service until SIGINT or SIGTERM. `announce` is called once everything listens.

    Raises LedgerBusyError where another process works on the ledger, SettingsError where a port is taken, WorkersError
    with the faults of tables and settings.
    """
    sys.setswitchinterval(_SWITCH_SECONDS)
    with only_writer(app.settings.store_path()):
        _ = app.ledger.patient_key
        loaded = workers.loaded()  # faults of tables show before anything listens
        listeners = bind_all(app.settings)
        gc.freeze()  # what stays for good is not to be looked through while senders wait
        try:
            asyncio.run(_serve(app, listeners, workers, lambda bound: announce(bound, loaded)))
        finally:
            listeners.close()


class _HttpServer(uvicorn.Server):
    """uvicorn without its own signal handling: it would end the process before the rest is put away."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals to `_serve`."""
        yield

    def stop(self) -> None:
        """Finish the requests at hand, then end."""
        self.should_exit = True


def _uvicorn_config(http: HttpSettings, web: FastAPI) -> uvicorn.Config:
    config = uvicorn.Config(
        web, log_config=None, access_log=False, server_header=False, proxy_headers=False, timeout_graceful_shutdown=5
    )
    if http.tls_cert:
        config.load()
        config.ssl = renewing_context(http, "http")
    return config


async def _serve(app: App, listeners: Listeners, workers: WorkerProcess, announce: Callable[[Listeners], None]) -> None:
    with app.ledger.writing() as connection:
        items.ask_for_released(connection, app.ledger.clock())
        claims.ask_for_held(connection, app.ledger.clock())
    desk = IntakeDesk(app.ledger, workers.wake, Inbox(app.ledger))
    mllp = [MllpListener(f, desk) for f in app.settings.feeds if isinstance(f, MllpFeed)]
    folders = [FolderWatch(f, desk) for f in app.settings.feeds if isinstance(f, FolderFeed)]
    store = app.settings.store_path()
    readers = [FhirReader(f, app.ledger, desk, store) for f in app.settings.feeds if isinstance(f, FhirFeed)]
    terminology = Terminology(app.load_tables, lambda: app.code_sets, app.settings)
    console = ConsoleSite(app, workers.wake, lambda: http.should_exit)
    web = create_app(app.ledger, desk, _web_access(app.settings, workers), terminology, console)
    http = _HttpServer(_uvicorn_config(app.settings.http, web))
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, http.stop)
    workers.start()
    for listener, bound in zip(mllp, listeners.mllp.values(), strict=True):
        await asyncio.wrap_future(desk.run(listener.start(bound)))
    watched: list[FolderWatch | FhirReader] = [*folders, *readers]
    for feed in watched:
        feed.start()
    announce(listeners)
    log.info("service_started")
    try:
        assert listeners.http is not None
        await http.serve(sockets=[listeners.http])
    finally:
        for listener in mllp:
            await asyncio.wrap_future(desk.run(listener.stop()))
        for feed in watched:
            await asyncio.to_thread(feed.stop)
        await asyncio.to_thread(terminology.close)
        await asyncio.to_thread(desk.close)
        await asyncio.to_thread(workers.stop)
        log.info("service_stopped")


def _tls_text(feed: MllpFeed) -> str:
    if not feed.tls_cert:
        return ""
    return " (TLS, client certificates)" if feed.tls_client_ca else " (TLS)"


def announce_text(settings: Settings, listeners: Listeners, loaded: Loaded) -> str:
    """What `serve` prints once everything listens."""
    lines = [
        f"fhir-coder {__version__}   store {settings.store.url} (fsync on)   "
        f"tables {loaded.tables}, {loaded.rows:,} rows   code sets {', '.join(loaded.code_sets)}"
    ]
    for feed in settings.feeds:
        where = str(feed.path) if isinstance(feed, FolderFeed) else "POST /hl7v2, POST /fhir"
        if isinstance(feed, FhirFeed):
            where = f"{feed.url} ({feed.bulk} export)" if feed.bulk else feed.url
        if isinstance(feed, MllpFeed):
            host, port = listeners.mllp[feed.name].getsockname()[:2]
            where = f"{host}:{port}{_tls_text(feed)}"
        lines.append(f"  feed  {feed.name:12} {feed.kind:7} {where}")
    lines += [f"  payer {p.name:12} {p.profile:7} {p.url}" for p in settings.payers]
    assert listeners.http is not None
    host, port = listeners.http.getsockname()[:2]
    lines.append(f"  web   {'https' if settings.http.tls_cert else 'http'}://{host}:{port}   console at {PREFIX}/")
    return "\n".join(lines)
