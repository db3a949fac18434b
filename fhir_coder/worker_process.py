"""The workers' process: rulebook, stages and worker, apart from intake so that neither waits for the other's Python.

`supervisor` starts it as `python -m fhir_coder.worker_process` and speaks to it over standard input: the settings as
one line of JSON, then `w` (there may be work) and `s` (finish what runs, then end). The end of standard input means
that the service died: this process ends at once, so that nothing of a dead service goes on posting. On standard output
it says one line of JSON: what it loaded, or why it cannot work.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from typing import Any

import orjson

from fhir_coder.app import App
from fhir_coder.errors import FhirCoderError
from fhir_coder.logs import configure_logs, error_name, error_place, log
from fhir_coder.model import System
from fhir_coder.settings import Settings
from fhir_coder.store import Ledger, claims
from fhir_coder.store.locks import only_writer
from fhir_coder.terminology.history import read_history
from fhir_coder.worker import Worker

_NICE = 15
"""Intake goes first where processors are short: what it acknowledged can wait, a sender cannot."""
_SWITCH_SECONDS = 0.0005
"""After which a thread that computes lets another have its turn, lest one that holds the write lock waits for it."""
_PREDECESSOR_SECONDS = 10.0
"""For the workers of a service that was killed to be gone."""
_LOOK_SECONDS = 0.5
"""Between two looks at whether tables were activated."""
_CHECKPOINT_SECONDS, _LONG_LOG = 0.25, 2000
"""Between checkpoints, and the pages of the ledger's log from which on they follow each other at once."""


def main() -> int:
    """Work until told to stop; answers the exit code."""
    for number in (signal.SIGINT, signal.SIGTERM):
        # A terminal or systemd tells the whole group: `serve` alone decides when the workers end.
        signal.signal(number, signal.SIG_IGN)
    os.nice(_NICE)
    sys.setswitchinterval(_SWITCH_SECONDS)
    words = _words()
    settings = Settings.from_line(next(words))
    configure_logs(settings.log.format, settings.log.level)
    lock = settings.store_path().with_name(f"{settings.store_path().name}.workers")
    try:
        with App(settings) as app, only_writer(lock, _PREDECESSOR_SECONDS):
            _say(_loaded(app))
            _work(app, words)
    except FhirCoderError as error:
        _say({"error": type(error).__name__, "text": str(error), "exit_code": error.exit_code})
        return error.exit_code
    return 0


def _words() -> Iterator[bytes]:
    """The line of settings, then whatever comes."""
    line = b""
    while b"\n" not in line:
        line += _read()
    settings, _, rest = line.partition(b"\n")
    yield settings
    if rest:
        yield rest
    while True:
        yield _read()


def _read() -> bytes:
    """What `serve` says next. Where it has died, so does this process, without finishing anything."""
    said = os.read(0, 1 << 16)
    if not said:
        os._exit(1)
    return said


def _loaded(app: App) -> dict[str, Any]:
    """What `serve` announces of the rulebook. Raises TableError or SettingsError with every fault."""
    sets = (app.rulebook.code_sets.loaded(system) for system in (System.ICD10CM, System.HCPCS, System.CPT))
    listed = app.tables.describe()
    return {"tables": len(listed), "rows": sum(t.rows for t in listed), "code_sets": [one for one in sets if one]}


def _say(what: dict[str, Any]) -> None:
    sys.stdout.buffer.write(orjson.dumps(what) + b"\n")
    sys.stdout.buffer.flush()


def _work(app: App, words: Iterator[bytes]) -> None:
    """Work from the first word on: until then `serve` may still be bringing the ledger up to date."""
    if b"s" in next(words):
        return
    worker = Worker(app.ledger, app.stages, app.settings.worker.threads)
    is_over = threading.Event()
    threading.Thread(target=_listen, args=(words, worker, is_over), name="listen", daemon=True).start()
    checkpoints = threading.Thread(target=_checkpoint, args=(app.ledger, is_over), name="checkpoint")
    tables = threading.Thread(target=_watch_tables, args=(app, worker, is_over), name="tables")
    checkpoints.start()
    tables.start()
    worker.start()
    is_over.wait()
    worker.stop()
    checkpoints.join()
    tables.join()


def _listen(words: Iterator[bytes], worker: Worker, is_over: threading.Event) -> None:
    for word in words:
        if b"s" in word:
            is_over.set()
        worker.wake()


def _watch_tables(app: App, worker: Worker, is_over: threading.Event) -> None:
    """Go on with other tables as soon as versions were activated (`terminology.versions`); held claims are coded anew.

    Where they cannot be read, those of before stay in use until the next activation.
    """
    folder = app.settings.tables.dir
    known = app.tables.state
    while folder is not None and not is_over.wait(_LOOK_SECONDS):
        try:
            before, known = known, read_history(folder).state
            if known == before:
                continue
            app.read_tables_again()
            worker.go_on_with(app.stages)
            with app.ledger.writing() as connection:
                claims.ask_for_held(connection, app.ledger.clock())
                claims.ask_for_recoded(connection, before, app.ledger.clock())
        except Exception as error:
            log.error("tables_refused", error=error_name(error), where=error_place(error))
        else:
            log.info("tables_read_again", tables=len(app.tables.describe()), version=known)
            worker.wake()


def _checkpoint(ledger: Ledger, is_over: threading.Event) -> None:
    """Bring the ledger's log into its file, so that intake does not have to between two acknowledgments."""
    wait, is_told = _CHECKPOINT_SECONDS, False
    while not is_over.wait(wait):
        try:
            wait = 0.0 if ledger.checkpoint() > _LONG_LOG else _CHECKPOINT_SECONDS
            is_told = False
        except Exception as error:  # intake checkpoints for itself when the log has grown too long
            if not is_told:  # once, not once a second: a full disk stays full for hours
                log.error("checkpoint_failed", error=error_name(error), where=error_place(error))
            wait, is_told = 1.0, True


if __name__ == "__main__":
    sys.exit(main())
