"""A report as JSON and as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from fhir_coder.model import Json
from fhir_coder.report.figures import Figures, Report
from fhir_coder.store.line_decisions import amount_of

COUNTS = ("received", "automatic", "held", "sent", "accepted", "denied", "pended", "open", "corrected")
MONEY = ("billed", "allowed", "paid")
COLUMNS = ("received", "automatic_percent", *COUNTS[2:], "denied_percent", *MONEY, "days_to_answer")
"""What is shown of figures, in this order."""


def shown(found: Figures) -> dict[str, int | Decimal | None]:
    """Figures as they are shown: money as amounts, shares in per cent, None where there is nothing to tell."""
    told = {name: getattr(found, name) for name in COLUMNS if name not in MONEY}
    told |= {name: amount_of(getattr(found, name)) for name in MONEY}
    return {name: told[name] for name in COLUMNS}


def report_json(report: Report) -> Json:
    """A report as JSON; amounts are Decimal."""
    return {
        "from": report.start.isoformat(),
        "to": report.end.isoformat(),
        "time_zone": report.zone,
        "rows": [
            {"day": row.day.isoformat(), "payer": row.payer, "currency": row.currency, **shown(row.figures)}
            for row in report.rows
        ],
        "payers": [{"payer": name, "currency": c, **shown(found)} for name, c, found in report.summed("payer")],
        "totals": [{"currency": c, **shown(found)} for c, found in report.totals()],
    }


def report_csv(report: Report) -> str:
    """A report as CSV (RFC 4180), one row a day, payer and currency."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["day", "payer", "currency", *COLUMNS])
    for row in report.rows:
        cells: Sequence[Any] = [row.day.isoformat(), row.payer, row.currency, *shown(row.figures).values()]
        writer.writerow(["" if cell is None else cell for cell in cells])
    return text.getvalue()
