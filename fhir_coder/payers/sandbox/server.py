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

from fhir_coder.payers.sandbox.adjudicate import PUBLISHED_RULES, Rules
from fhir_coder.payers.sandbox.app import create_app, utc_now
from fhir_coder.payers.sandbox.connections import DroppableProtocol


def serve(
    host: str,
    port: int,
    faults: Sequence[str] = (),
    rules: Rules = PUBLISHED_RULES,
    store_path: str | Path | None = None,
) -> None:
    """Run the sandbox until it is stopped. Raises SettingsError for faults that cannot be read."""
    app = create_app(faults=faults, rules=rules, store_path=store_path)
    uvicorn.Server(_config(app, host, port)).run()


@contextmanager
def running(
    *,
    faults: Sequence[str] = (),
    rules: Rules = PUBLISHED_RULES,
    store_path: str | Path | None = None,
    clock: Callable[[], datetime] = utc_now,
    port: int = 0,
) -> Iterator[str]:
    """Run the sandbox in a thread on loopback and answer its base address; port 0 takes a free one."""
    app = create_app(faults=faults, rules=rules, store_path=store_path, clock=clock)
    # Listening begins here: a request that comes before the thread is ready waits in the socket's queue.
    with socket.create_server(("127.0.0.1", port)) as listener:
        server = uvicorn.Server(_config(app, "127.0.0.1", port))
        thread = threading.Thread(target=server.run, args=([listener],), name="sandbox", daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()


def _config(app: FastAPI, host: str, port: int) -> uvicorn.Config:
    # No access log: addresses hold claim identifiers. Client addresses as they are: connections are known by them.
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
        timeout_graceful_shutdown=1,
    )
