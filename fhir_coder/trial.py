"""A trial: the sandbox payer and the adapter as real processes on free loopback ports, in a folder of their own."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

import requests
from sqlalchemy import func, select

from fhir_coder.client import MllpClient, NotReachableError, read_acknowledgment
from fhir_coder.errors import FhirCoderError
from fhir_coder.scenarios import Scenario
from fhir_coder.settings import FolderFeed, HttpFeed, HttpSettings, MllpFeed, Settings, StoreSettings, to_toml
from fhir_coder.store import Ledger, open_ledger, work
from fhir_coder.store.inbox import file_inbox
from fhir_coder.store.schema import messages

HOST = "127.0.0.1"
_PATIENCE = 60.0
"""Seconds a sender goes on trying to reach an adapter that is down."""


class Trial:
    """Runs and talks to a payer and an adapter. A context manager: both end with it."""

    def __init__(self, folder: Path, settings: Settings) -> None:
        self.folder = folder
        self.mllp_port, self.http_port, self.payer_port = free_ports(3)
        self.settings_file = folder / "fhir-coder.toml"
        self.inbox = folder / "in"
        self.inbox.mkdir(parents=True, exist_ok=True)
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._ledger: Ledger | None = None
        self.settings_file.write_text(to_toml(self._own_settings(settings)), encoding="utf-8")

    def __enter__(self) -> Trial:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._ledger:
            self._ledger.close()
        for name in ("adapter", "payer"):
            self.stop(name)

    def _own_settings(self, settings: Settings) -> Settings:
        """The given site and tables with this trial's ports, folder and payer."""
        payer_url = f"http://{HOST}:{self.payer_port}/fhir"
        payers = [p.model_copy(update={"url": payer_url, "retry_base": 0.5}) for p in settings.payers]
        feeds = (
            MllpFeed(name="mllp", kind="mllp", host=HOST, port=self.mllp_port),
            FolderFeed(name="folder", kind="folder", path=self.inbox.resolve()),
            HttpFeed(name="http", kind="http"),
        )
        return settings.model_copy(
            update={
                "store": StoreSettings(url=f"sqlite:///{(self.folder / 'ledger.db').resolve()}"),
                "http": HttpSettings(host=HOST, port=self.http_port),
                "log": settings.log.model_copy(update={"format": "json"}),
                "worker": settings.worker.model_copy(update={"quiet_seconds": 0.1}),
                "feeds": feeds,
                "payers": tuple(payers),
            }
        )

    # --- processes

    def start_payer(self, faults: Sequence[str] = ()) -> None:
        """Start the sandbox payer; what it holds outlives it."""
        options = [part for fault in faults for part in ("--fault", fault)]
        store = str(self.folder / "payer.db")
        self._start("payer", ["payer", "--host", HOST, "--port", str(self.payer_port), "--store", store, *options])
        self._wait_for(f"http://{HOST}:{self.payer_port}/metadata", "payer")

    def start_adapter(self, wait: bool = True, under: Sequence[str] = ()) -> None:
        """Start the adapter, under another program where one is given, and wait until it answers over plain HTTP."""
        self._start("adapter", ["serve", "-c", str(self.settings_file)], under)
        if wait:
            self._wait_for(f"http://{HOST}:{self.http_port}/health", "adapter")

    def kill(self, name: str) -> None:
        """End a process without a chance to tidy up (SIGKILL)."""
        process = self._processes.pop(name)
        process.send_signal(signal.SIGKILL)
        process.wait()

    def kill_workers(self) -> None:
        """End the adapter's workers in the same way; the adapter goes on, and starts others."""
        adapter = self._processes["adapter"].pid
        for child in Path(f"/proc/{adapter}/task/{adapter}/children").read_text().split():
            with suppress(ProcessLookupError):
                os.kill(int(child), signal.SIGKILL)

    def stop(self, name: str) -> None:
        """Ask a process to end, and wait for it."""
        process = self._processes.pop(name, None)
        if process is None:
            return
        process.terminate()
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _start(self, name: str, arguments: list[str], under: Sequence[str] = ()) -> None:
        log = (self.folder / f"{name}.log").open("ab")
        command = [*under, sys.executable, "-m", "fhir_coder", *arguments]
        environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
        self._processes[name] = subprocess.Popen(command, stdout=log, stderr=log, cwd=self.folder, env=environment)
        log.close()

    def _wait_for(self, url: str, name: str, seconds: float = 30.0) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            if self._processes[name].poll() is not None:
                break
            try:
                if requests.get(url, timeout=2).ok:
                    return
            except requests.RequestException:
                pass
            time.sleep(0.05)
        raise FhirCoderError(f"the {name} did not start:\n{self.log_of(name)[-2000:]}")

    def process_id(self, name: str) -> int:
        """The process id of a running process, to measure it."""
        return self._processes[name].pid

    def log_of(self, name: str) -> str:
        """What a process has written."""
        file = self.folder / f"{name}.log"
        return file.read_text(encoding="utf-8", errors="replace") if file.is_file() else ""

    # --- sending

    def send(self, scenario: Scenario) -> dict[str, str]:
        """Send a scenario its way; answers what each payload was told (`AA`, an HTTP status), by file and place."""
        told = {}
        for file in scenario.files:
            told.update(self.send_file(scenario, file))
        return told

    def send_file(self, scenario: Scenario, file: Path) -> dict[str, str]:
        """Send one file of a scenario its way."""
        if scenario.via == "folder":
            return self._put(scenario, file)
        send = self._send_mllp if scenario.via == "mllp" else self._post
        until = time.monotonic() + _PATIENCE
        while True:
            try:
                return send(scenario.payloads([file]))
            except (NotReachableError, requests.ConnectionError):
                # As an interface engine does: what was not acknowledged is sent again; repeats are recognised.
                if time.monotonic() > until:
                    raise
                time.sleep(0.1)

    def mllp(self) -> MllpClient:
        """A connection to the adapter's listener."""
        return MllpClient(HOST, self.mllp_port)

    def _send_mllp(self, payloads: Sequence[tuple[str, bytes]]) -> dict[str, str]:
        with self.mllp() as client:
            return {place: client.send(body).code for place, body in payloads}

    def _post(self, payloads: Sequence[tuple[str, bytes]]) -> dict[str, str]:
        told = {}
        for place, body in payloads:
            if body.lstrip().startswith(b"{"):
                told[place] = str(self.post("fhir", body, "application/fhir+json").status_code)
            else:
                told[place] = read_acknowledgment(self.post("hl7v2", body, "application/hl7-v2").content).code
        return told

    def post(self, path: str, body: bytes, content_type: str) -> requests.Response:
        """Post a body to the adapter."""
        url = f"http://{HOST}:{self.http_port}/{path}"
        return requests.post(url, data=body, headers={"Content-Type": content_type}, timeout=30)

    def _put(self, scenario: Scenario, file: Path) -> dict[str, str]:
        """Put a file into the watched folder as a sender should: written aside, renamed into place."""
        part = self.inbox / f".{scenario.name}-{file.name}.part"
        part.write_bytes(file.read_bytes())
        part.rename(self.inbox / f"{scenario.name}-{file.name}")
        return {}

    # --- following

    @property
    def ledger(self) -> Ledger:
        """The adapter's ledger, to look into, with all that was acknowledged by now."""
        if self._ledger is None:
            self._ledger = open_ledger(self.folder / "ledger.db")
        file_inbox(self._ledger)
        return self._ledger

    def wait_until_settled(self, seconds: float = 60.0, progress: Callable[[int], None] = lambda _: None) -> bool:
        """Wait until every file is read and no work is left. `progress` is told how much is left. False if late."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            left = self._left()
            progress(left)
            if not left:
                return True
            time.sleep(0.05)
        return False

    def _left(self) -> int:
        unread = sum(1 for path in self.inbox.iterdir() if path.is_file())
        with self.ledger.reading() as connection:
            received = select(func.count()).select_from(messages).where(messages.c.status == "received")
            return unread + work.waiting(connection) + int(connection.execute(received).scalar_one())

    def payer_claims(self) -> list[dict[str, Any]]:
        """What the payer holds: identifier, how often received, decision."""
        held = requests.get(f"http://{HOST}:{self.payer_port}/_sandbox/claims", timeout=10).json()
        return [claim | {"identifier": claim["identifier"]["value"]} for claim in held]


def free_ports(number: int) -> list[int]:
    """Ports of the loopback address that are free now."""
    sockets = [socket.create_server((HOST, 0)) for _ in range(number)]
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports
