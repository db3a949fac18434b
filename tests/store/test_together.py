"""Changes of many threads in one commit."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import Connection

from fhir_coder.store import Ledger, work
from fhir_coder.store.together import Together
from tests.building import NOON


def asked(ledger: Ledger) -> set[str]:
    with ledger.reading() as connection:
        return {one.key for one in work.due(connection, NOON, (), 1000)}


def test_each_thread_is_told_what_its_own_change_came_to(ledger: Ledger) -> None:
    together = Together(ledger)

    def change(number: int) -> int:
        def ask(connection: Connection) -> int:
            work.ask(connection, "chart", f"c{number}", NOON)
            return number

        return together.commit(ask)

    with ThreadPoolExecutor(8) as threads:
        told = list(threads.map(change, range(100)))

    assert told == list(range(100))
    assert asked(ledger) == {f"c{number}" for number in range(100)}


def test_what_one_change_raises_undoes_no_other(ledger: Ledger) -> None:
    together, is_held, others = Together(ledger), threading.Event(), threading.Barrier(3)

    def held(connection: Connection) -> None:
        is_held.set()
        others.wait(10)
        work.ask(connection, "chart", "first", NOON)

    def broken(connection: Connection) -> None:
        work.ask(connection, "chart", "broken", NOON)
        raise ValueError("broken")

    def run(name: str) -> None:
        is_held.wait(10)
        others.wait(10)
        together.commit(broken if name == "broken" else lambda c: work.ask(c, "chart", name, NOON))

    with ThreadPoolExecutor(3) as threads:
        first = threads.submit(together.commit, held)
        rest = {name: threads.submit(run, name) for name in ("broken", "whole")}
        first.result(20)
        rest["whole"].result(20)
        with pytest.raises(ValueError, match="broken"):
            rest["broken"].result(20)

    assert asked(ledger) == {"first", "whole"}


def test_a_change_that_raises_leaves_the_next_one_free_to_go(ledger: Ledger) -> None:
    together = Together(ledger)

    def broken(_connection: Connection) -> None:
        raise LookupError

    with pytest.raises(LookupError):
        together.commit(broken)
    together.commit(lambda connection: work.ask(connection, "chart", "after", NOON))

    assert asked(ledger) == {"after"}
