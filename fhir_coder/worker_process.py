"""The workers' process: rulebook, stages and worker, apart from intake so that neither waits for the other's Python.

`supervisor` starts it as `python -m fhir_coder.worker_process` and speaks to it over standard input: the settings as
one line of JSON, then `w` (there may be work) and `s` (finish what runs, then end). On standard output it says one line
of JSON: what it loaded, or why it cannot work. It starts the deliverers (`delivery_process`) in the same way.
"""

from __future__ import annotations

import gc
import sys
import threading
from collections.abc import Iterator
from typing import Any

from fhir_coder.app import App
from fhir_coder.errors import FhirCoderError
from fhir_coder.lanes import payer_of
from fhir_coder.logs import configure_logs, error_name, error_place, log
from fhir_coder.model import System
from fhir_coder.settings import Settings
from fhir_coder.store import Ledger, claims, items
from fhir_coder.store.locks import only_writer
from fhir_coder.supervisor import WorkerProcess
from fhir_coder.terminology.history import read_history
from fhir_coder.tether import PREDECESSOR_SECONDS, as_served, say, words_of
from fhir_coder.worker import Worker

_DELIVERERS = "fhir_coder.delivery_process"
_LOOK_SECONDS = 0.5
"""Between two looks at whether tables were activated."""
_CHECKPOINT_SECONDS, _LONG_LOG = 0.25, 2000
"""Between checkpoints, and the pages of the ledger's log from which on they follow each other at once."""


def main() -> int:
    """Work until told to stop; answers the exit code."""
    as_served()
    words = words_of()
    settings = Settings.from_line(next(words))
    configure_logs(settings.log.format, settings.log.level)
    lock = settings.store_path().with_name(f"{settings.store_path().name}.workers")
    try:
        with App(settings) as app, only_writer(lock, PREDECESSOR_SECONDS), WorkerProcess(_DELIVERERS) as deliverers:
            loaded = _loaded(app)
            deliverers.configure(settings)  # after the ledger was brought up to date
            deliverers.loaded()
            gc.freeze()  # what stays for good is not to be looked through again and again
            say(loaded)
            _work(app, words, deliverers)
    except FhirCoderError as error:
        say({"error": type(error).__name__, "text": str(error), "exit_code": error.exit_code})
        return error.exit_code
    return 0


def _loaded(app: App) -> dict[str, Any]:
    """What `serve` announces of the rulebook. Raises TableError or SettingsError with every fault."""
    sets = (app.rulebook.code_sets.loaded(system) for system in (System.ICD10CM, System.HCPCS, System.CPT))
    listed = app.tables.describe()
    return {"tables": len(listed), "rows": sum(t.rows for t in listed), "code_sets": [one for one in sets if one]}


def _work(app: App, words: Iterator[bytes], deliverers: WorkerProcess) -> None:
    """Work from the first word on: until then `serve` may still be bringing the ledger up to date."""
    if b"s" in next(words):
        return
    threads = app.settings.worker.threads
    worker = Worker(app.ledger, app.stages, threads, is_ours=lambda lane: not payer_of(lane), told=deliverers.wake)
    is_over = threading.Event()
    threading.Thread(target=_listen, args=(words, worker, is_over), name="listen", daemon=True).start()
    checkpoints = threading.Thread(target=_checkpoint, args=(app.ledger, is_over), name="checkpoint")
    tables = threading.Thread(target=_watch_tables, args=(app, worker, is_over), name="tables")
    checkpoints.start()
    tables.start()
    # Workers that died may have left an activation half done: its tables are those of now, and nobody has asked.
    _ask_for_waiting(app, app.tables.state - 1)
    worker.start()
    deliverers.start(worker.wake)
    is_over.wait()
    worker.stop()
    deliverers.stop()
    checkpoints.join()
    tables.join()


def _listen(words: Iterator[bytes], worker: Worker, is_over: threading.Event) -> None:
    for word in words:
        if b"s" in word:
            is_over.set()
        worker.wake()


def _ask_for_waiting(app: App, before: int) -> None:
    """Ask for the charts that other tables than those of the activation `before` may settle."""
    with app.ledger.writing() as connection:
        items.ask_for_released(connection, app.ledger.clock())
        claims.ask_for_held(connection, app.ledger.clock())
        claims.ask_for_recoded(connection, before, app.ledger.clock())


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
            _ask_for_waiting(app, before)
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
