"""The sandbox's HTTP server: uvicorn, as a process or as a thread."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import uvicorn
from fastapi import FastAPI

from fhir_coder.payers.sandbox.app import create_app, utc_now
from fhir_coder.payers.sandbox.connections import DroppableProtocol
from fhir_coder.payers.sandbox.rules import PUBLISHED_RULES, Rules
from fhir_coder.payers.sandbox.tls import TlsFiles, server_context


def server_of(app: FastAPI, host: str, port: int, tls: TlsFiles | None = None) -> uvicorn.Server:
    """The server of a sandbox; it runs by `run()`. Raises FhirCoderError for TLS files that cannot be used."""
    return uvicorn.Server(_config(app, host, port, tls))


@contextmanager
def running(
    *,
    faults: Sequence[str] = (),
    rules: Rules = PUBLISHED_RULES,
    store_path: str | Path | None = None,
    clock: Callable[[], datetime] = utc_now,
    tls: TlsFiles | None = None,
    profile: str = "base",
) -> Iterator[str]:
    """Run the sandbox in a thread on a free port of loopback and answer its base address."""
    app = create_app(faults=faults, rules=rules, store_path=store_path, clock=clock, profile=profile)
    # Listening begins here: a request that comes before the thread is ready waits in the socket's queue.
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = server_of(app, "127.0.0.1", 0, tls)
        thread = threading.Thread(target=server.run, args=([listener],), name="sandbox", daemon=True)
        thread.start()
        try:
            yield f"http{'s' if tls else ''}://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()


def _config(app: FastAPI, host: str, port: int, tls: TlsFiles | None) -> uvicorn.Config:
    # No access log: addresses hold claim identifiers. Client addresses as they are: connections are known by them.
    context = server_context(tls, app.state.shows_wrong_certificate) if tls else None
    return uvicorn.Config(
        app,
        host=host,
        port=port,
        http=DroppableProtocol,
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        date_header=False,
        timeout_graceful_shutdown=1,
        ssl_context_factory=(lambda _config, _default: context) if context else None,
    )
