"""A million claims that wait for a payer: memory of the workers, and how fast work is taken, beside an empty ledger.

`make bench`. Work is asked for and done again at the front of the line, as new claims come and go; what waits behind it
must make neither of them slower, nor the process larger.
"""

from __future__ import annotations

import os
import resource
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import insert

from fhir_coder.store import Ledger, open_ledger, work
from fhir_coder.store.schema import work as work_table

ROWS = int(os.environ.get("FHIR_CODER_BENCH_WAITING", "1000000"))
ROUNDS, AT_ONCE, PIECE = 60, 16, 20_000
_LANE = work.lane_name("submit", "dead")


def fill(ledger: Ledger, number: int) -> None:
    """Claims that wait for a dead payer: due, ranked, tried by nobody."""
    at = datetime.now(UTC) - timedelta(hours=1)
    row = {"stage": "submit", "asked_at": at, "due_at": at, "tries": 0, "generation": 0, "lane": _LANE}
    for start in range(0, number, PIECE):
        rows = [row | {"key": f"w{n:09}", "rank": f"9999-12-27 {n:015d}"} for n in range(start, start + PIECE)]
        with ledger.writing(flush=False) as connection:
            connection.execute(insert(work_table), rows)
        ledger.checkpoint()  # as the workers do beside their work


def rates(ledger: Ledger) -> dict[str, float]:
    """Pieces of work a second: of a lane of ours and of the payer's, asked for, taken and done; looks at all lanes."""
    found = {}
    lanes = {"local": work.LOCAL, "payer": work.Lane(_LANE, "0000-01-01 000000000000000")}
    for name, lane in lanes.items():
        began = time.perf_counter()
        for number in range(ROUNDS):
            keys = [f"{name}-{number}-{n}" for n in range(AT_ONCE)]
            with ledger.writing(flush=False) as connection:
                work.ask_all(connection, "submit", keys, ledger.clock(), lane)
            with ledger.reading() as connection:
                due = work.due(connection, ledger.clock(), (), AT_ONCE, lane.name)
            with ledger.writing(flush=False) as connection:
                work.finish_all(connection, due)
        found[name] = ROUNDS * AT_ONCE / (time.perf_counter() - began)
    began = time.perf_counter()
    for _ in range(ROUNDS):
        with ledger.reading() as connection:
            work.lanes(connection)
    found["looks"] = ROUNDS / (time.perf_counter() - began)
    return found


def memory() -> float:
    """The most memory this process has had, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    """Print the figures."""
    number = int(sys.argv[1]) if len(sys.argv) > 1 else ROWS
    with tempfile.TemporaryDirectory() as folder:
        ledger = open_ledger(Path(folder) / "ledger.db")
        with ledger.writing(flush=False) as connection:
            work.ask_all(connection, "submit", ["w"], ledger.clock(), work.Lane(_LANE, "9"))
        rates(ledger)
        empty, before = rates(ledger), memory()
        fill(ledger, number)
        grown = memory()
        full, after = rates(ledger), memory()
        ledger.close()
    print(f"{number:,} claims wait for a payer that is down")
    print(f"  memory {before:.0f} MB before, {grown:.0f} MB when they were filed, {after:.0f} MB after work went on")
    for name, rate in full.items():
        print(f"  {name:6} {rate:9,.0f} /s, of an empty ledger {empty[name]:9,.0f} /s: × {rate / empty[name]:.2f}")


if __name__ == "__main__":
    main()
