"""What people have decided about stored charts, applied to a chart that is coded again in bulk."""

from __future__ import annotations

from collections.abc import Callable

from fhir_coder.app import App
from fhir_coder.filing import as_decided
from fhir_coder.model import Chart


def decided_by(app: App) -> Callable[[Chart], Chart]:
    """What the ledger's people have decided, as a function of a chart. Nothing is written."""

    def decided(chart: Chart) -> Chart:
        with app.ledger.reading() as connection:
            return as_decided(connection, chart)

    return decided
