"""The deliverers' process: what goes to payers, apart from reading and coding so that both processors have work.

The workers' process (`worker_process`) starts it as `python -m fhir_coder.delivery_process` and speaks to it as `serve`
speaks to the workers (`supervisor`). It says a word in its turn when answers may have left work for the workers.
"""

from __future__ import annotations

import os
import sys
import threading
import time

from fhir_coder.app import App
from fhir_coder.errors import FhirCoderError
from fhir_coder.lanes import payer_of
from fhir_coder.logs import configure_logs
from fhir_coder.settings import Settings
from fhir_coder.store.locks import only_writer
from fhir_coder.tether import PREDECESSOR_SECONDS, as_served, say, words_of
from fhir_coder.worker import Worker

_SAID_AGAIN_AFTER = 0.02
"""Seconds between two words to the workers: each costs them a look at the ledger."""


def main() -> int:
    """Deliver until told to stop; answers the exit code."""
    as_served()
    words = words_of()
    settings = Settings.from_line(next(words))
    configure_logs(settings.log.format, settings.log.level)
    lock = settings.store_path().with_name(f"{settings.store_path().name}.deliverers")
    try:
        with App(settings) as app, only_writer(lock, PREDECESSOR_SECONDS):
            stages = app.payer_stages
            say({"tables": 0, "rows": 0, "code_sets": []})
            if b"s" not in next(words):
                worker = Worker(app.ledger, stages, app.settings.worker.threads, is_ours=payer_of, told=_Told().tell)
                worker.start()
                for word in words:
                    if b"s" in word:
                        break
                    worker.wake()
                worker.stop()
    except FhirCoderError as error:
        say({"error": type(error).__name__, "text": str(error), "exit_code": error.exit_code})
        return error.exit_code
    return 0


class _Told:
    """Tells the workers that there may be work for them, now and then."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._latest = 0.0
        self._timer: threading.Timer | None = None

    def tell(self) -> None:
        """Say it, at once where nothing was said lately, else a moment later."""
        with self._lock:
            if self._timer is not None:
                return
            wait = self._latest + _SAID_AGAIN_AFTER - time.monotonic()
            self._timer = threading.Timer(max(0.0, wait), self._say)
            self._timer.daemon = True
            self._timer.start()

    def _say(self) -> None:
        with self._lock:
            self._timer, self._latest = None, time.monotonic()
        os.write(1, b"w\n")


if __name__ == "__main__":
    sys.exit(main())
