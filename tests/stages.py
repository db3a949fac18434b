"""Runs the stages of an adapter in the test's own process."""

from __future__ import annotations

from datetime import timedelta

from fhir_coder.app import App
from fhir_coder.store import work


def settle(app: App) -> None:
    """Do all work but what goes to a payer."""
    while True:
        with app.ledger.reading() as connection:
            due = work.due(connection, app.ledger.clock() + timedelta(minutes=1), (), 100)
        todo = sorted((w for w in due if w.stage in ("read", "chart")), key=lambda w: w.stage, reverse=True)
        if not todo:
            return
        app.stages.run(todo[0])
