"""Runs the workers' process for `serve`: starts it, wakes it, starts it again when it dies, stops it."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import orjson

from fhir_coder.errors import WorkersError
from fhir_coder.logs import log
from fhir_coder.settings import Settings

_SHORTEST, _LONGEST = 0.2, 30.0
"""Seconds before dead workers are started again: the first time, and at most when they keep dying."""
_WELL_AFTER = 60.0
"""Seconds after which workers that die have died of something new."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """What the workers work with: for the announcement."""

    tables: int
    rows: int
    code_sets: tuple[str, ...]


class WorkerProcess:
    """The workers' process. Starts with the object, before there are settings: what it has to load takes a second.

    A context manager: at its end the process is gone. `wake` may be called from any thread.
    """

    def __init__(self, module: str = "fhir_coder.worker_process") -> None:
        self._module = module
        self._told: Callable[[], None] | None = None
        self._settings: Settings | None = None
        self._change = threading.Lock()
        self._is_over = threading.Event()
        self.is_up = False
        """Whether it works now: started, loaded, and not dead."""
        self._process = _started(module)
        self._thread = threading.Thread(target=self._supervise, name="supervisor", daemon=True)

    def __enter__(self) -> WorkerProcess:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._is_over.is_set():
            self._is_over.set()
            self._process.kill()
        self._process.wait()
        _close(self._process)
        if self._thread.is_alive():
            self._thread.join()

    def configure(self, settings: Settings) -> None:
        """Tell the settings."""
        self._settings = settings
        _tell(self._process, settings)

    def loaded(self) -> Loaded:
        """Wait until the rulebook is loaded. Raises WorkersError with the text of the settings' or tables' faults."""
        return _loaded(self._process)

    def start(self, told: Callable[[], None] | None = None) -> None:
        """Let it work, and start it again whenever it dies. `told` is called when it says that there may be work."""
        self._told = told
        self.is_up = True
        self._listen()
        self._thread.start()
        self.wake()

    def wake(self) -> None:
        """Say that there may be work."""
        with self._change:
            _say(self._process, b"w")

    def stop(self) -> None:
        """Let it finish what runs, and wait for its end."""
        with self._change:
            self._is_over.set()
            if self._process.stdin:
                os.set_blocking(self._process.stdin.fileno(), True)  # this word must come through
            _say(self._process, b"s")
        self._process.wait()

    def _listen(self) -> None:
        """Hear the words of the process until it ends."""
        if self._told:
            words = threading.Thread(target=_hear, args=(self._process, self._told), name="hear", daemon=True)
            words.start()

    def _supervise(self) -> None:
        wait = _SHORTEST
        while True:
            began = time.monotonic()
            code = self._process.wait()
            self.is_up = False
            if self._is_over.is_set():
                return
            log.error("workers_died", reason=f"signal {-code}" if code < 0 else f"exit status {code}")
            wait = _SHORTEST if time.monotonic() - began > _WELL_AFTER else wait
            if self._is_over.wait(wait):
                return
            wait = min(2 * wait, _LONGEST)
            self._start_again()

    def _start_again(self) -> None:
        with self._change:
            if self._is_over.is_set():
                return
            _close(self._process)
            self._process = process = _started(self._module)
        assert self._settings is not None
        try:
            _tell(process, self._settings)
            _loaded(process)
        except WorkersError as error:
            log.error("workers_refused", error=error.kind)
            return
        self.is_up = True
        self._listen()
        self.wake()
        log.info("workers_restarted")


def _hear(process: subprocess.Popen[bytes], told: Callable[[], None]) -> None:
    assert process.stdout is not None
    with suppress(OSError, ValueError):  # closed when the process was gone
        while os.read(process.stdout.fileno(), 1 << 12):
            told()


def _close(process: subprocess.Popen[bytes]) -> None:
    """Close the pipes of a process that ended."""
    for pipe in (process.stdin, process.stdout):
        if pipe:
            with suppress(BrokenPipeError):
                pipe.close()


def _started(module: str) -> subprocess.Popen[bytes]:
    # The current folder is where modules are looked for only if it is so for us. A process group of its own: what a
    # terminal sends to ours is for `serve` to answer.
    safe = [] if {"", str(Path.cwd())} & set(sys.path) else ["-P"]
    words = [sys.executable, *safe, "-m", module]
    return subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0, process_group=0)


def _tell(process: subprocess.Popen[bytes], settings: Settings) -> None:
    line = settings.to_line() + b"\n"
    assert process.stdin is not None
    with suppress(BrokenPipeError):  # it died: whoever waits for what it loaded learns it
        process.stdin.write(line)
    os.set_blocking(process.stdin.fileno(), False)


def _loaded(process: subprocess.Popen[bytes]) -> Loaded:
    assert process.stdout is not None
    line = process.stdout.readline()
    told: dict[str, Any] = orjson.loads(line) if line else {"error": "", "text": "the workers ended at the start"}
    if "error" in told:
        raise WorkersError(told["text"], told["error"], told.get("exit_code", 1))
    return Loaded(told["tables"], told["rows"], tuple(told["code_sets"]))


def _say(process: subprocess.Popen[bytes], word: bytes) -> None:
    """A word for the process; one that has not read the words before knows already that there is work."""
    assert process.stdin is not None
    with suppress(BlockingIOError, BrokenPipeError, ValueError):
        os.write(process.stdin.fileno(), word)
