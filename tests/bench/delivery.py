"""Claims a second from stored charts to stored answers: the service as it is, the sandbox payer beside. `make bench`.

The charts are stored first, each of one charge message with a number, a time and a person of its own. Then the service
starts; counted is from its first claim to its last answer, each flushed to the disk. CPU seconds are those of each
process while it worked. `python -m tests.bench.delivery 2000 batch` makes 2,000 claims that are sent twenty at a time.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any

from sqlalchemy import func, select

from fhir_coder.app import App
from fhir_coder.intake.payloads import header_or_fault
from fhir_coder.logs import configure_logs
from fhir_coder.settings import Settings, example_settings, load_settings
from fhir_coder.shipped import shipped
from fhir_coder.store import messages, work
from fhir_coder.store.messages import Incoming
from fhir_coder.store.schema import attempts, claims
from fhir_coder.trial import Trial

CLAIMS = int(os.environ.get("FHIR_CODER_BENCH_CLAIMS", "2000"))
WAYS = ("batch", "operation", "create")
_AT_ONCE = 500
_PATIENCE = 120.0
_TICKS = os.sysconf("SC_CLK_TCK")
_ANSWERED = ("complete", "partial", "denied")


def charge_message(run: str, number: int) -> bytes:
    """A charge message of a visit, a person and a minute of its own."""
    own = run.encode() + b"%07d" % number
    body = _TEMPLATE.replace(b"152000", b"15%02d%02d" % (number // 60 % 60, number % 60))
    for name in (b"LK000101", b"VN-1001", b"LK10001", b"AC-5001", b"TX-1001", b"LPM-900001", b"ALMA"):
        body = body.replace(name, name[:2] + own)
    return body


_TEMPLATE = (shipped("fixtures") / "covid" / "01-dft-p03.hl7").read_bytes()


@dataclass(frozen=True)
class Figures:
    """What a run came to. `cpu` is seconds by process, `seconds` from the first claim to the last answer."""

    claims: int
    seconds: float
    cpu: dict[str, float]

    @property
    def rate(self) -> float:
        """Claims a second."""
        return self.claims / self.seconds

    def __str__(self) -> str:
        worked = "   ".join(f"{name} {1000 * cpu / self.claims:.2f} ms" for name, cpu in self.cpu.items())
        return f"{self.rate:7,.0f} claims/s   CPU a claim: {worked}"


def settings_of(way: str, **more: Any) -> Settings:
    """The example site's settings with claims sent one way."""
    said = {"concurrency": 8} | more | {"submit": "create" if way == "create" else "operation"}
    said |= {"envelope": "batch", "concurrency": 2} if way == "batch" else {}
    settings = example_settings()
    return settings.model_copy(update={"payers": tuple(p.model_copy(update=said) for p in settings.payers)})


def store_charts(trial: Trial, number: int) -> None:
    """Have messages kept and read, so that their charts wait to be made into claims."""
    with App(load_settings(trial.settings_file)) as app:
        for some in _in_pieces((charge_message("", n) for n in range(number)), _AT_ONCE):
            incoming = [Incoming("mllp", header_or_fault(body)[0], body) for body in some]
            with app.ledger.writing() as connection:
                messages.keep_all(connection, incoming, app.ledger.clock())
        while True:
            with app.ledger.reading() as connection:
                todo = [w for w in work.due(connection, app.ledger.clock(), (), _AT_ONCE) if w.stage == "read"]
            if not todo:
                return
            app.stages.run_all(todo)


def _in_pieces(all_of_them: Iterable[bytes], size: int) -> Iterator[list[bytes]]:
    left = iter(all_of_them)
    while piece := list(islice(left, size)):
        yield piece


def delivered(trial: Trial, number: int) -> Figures:
    """Start the service and the payer; how long until all claims are answered."""
    trial.start_payer()
    trial.start_adapter()
    before = {name: cpu_seconds(pid) for name, pid in processes(trial).items()}
    wait_for_answers(trial, number)
    cpu = {name: cpu_seconds(pid) - before[name] for name, pid in processes(trial).items()}
    first, last = span(trial)
    return Figures(number, (last - first).total_seconds(), cpu)


def processes(trial: Trial) -> dict[str, int]:
    """The processes of a trial by what they do."""
    found = {"intake": trial.process_id("adapter")}
    for name, parent in (("workers", "intake"), ("deliverers", "workers")):
        pid = found[parent]
        threads = Path(f"/proc/{pid}/task").glob("*/children")
        found[name] = int(" ".join(thread.read_text() for thread in threads).split()[0])
    return found | {"payer": trial.process_id("payer")}


def cpu_seconds(pid: int) -> float:
    """What a process has computed so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def wait_for_answers(trial: Trial, number: int) -> None:
    """Wait until so many claims have their answers."""
    until = time.monotonic() + _PATIENCE
    answered = select(func.count()).select_from(claims).where(claims.c.status.in_(_ANSWERED))
    ledger = trial.ledger
    while time.monotonic() < until:
        with ledger.reading() as connection:
            done = connection.execute(answered).scalar_one()
        if done == number:
            return
        time.sleep(0.5)
    raise SystemExit(f"{done} of {number} claims were answered in {_PATIENCE:.0f} s\n{trial.log_of('adapter')[-2000:]}")


def span(trial: Trial) -> tuple[datetime, datetime]:
    """When the first claim was made, and when the last answer was there."""
    with trial.ledger.reading() as connection:
        first = connection.execute(select(func.min(claims.c.created_at))).scalar_one()
        last = connection.execute(select(func.max(attempts.c.ended_at))).scalar_one()
    return first, last


def run(way: str, number: int, **more: Any) -> Figures:
    """One run in a folder of its own."""
    with tempfile.TemporaryDirectory() as folder, Trial(Path(folder), settings_of(way, **more)) as trial:
        store_charts(trial, number)
        return delivered(trial, number)


def main() -> None:
    """Print the figures."""
    number = int(sys.argv[1]) if len(sys.argv) > 1 else CLAIMS
    configure_logs("json", "error")
    print(f"{number:,} claims from stored chart to stored answer, fsync on, {os.cpu_count()} cores")
    for way in sys.argv[2:] or WAYS:
        print(f"  {way:10} {run(way, number)}", flush=True)


if __name__ == "__main__":
    main()
