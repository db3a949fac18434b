"""A report as one HTML page that needs nothing else: charts, tables, light and dark, for a screen or on paper."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, timedelta
from decimal import Decimal
from html import escape
from typing import Any

from fhir_coder.report.charts import Chart, Series, legend, svg
from fhir_coder.report.figures import Figures, Report
from fhir_coder.report.wire import COLUMNS, MONEY, shown
from fhir_coder.store.line_decisions import amount_of

_MOST_BARS = 62

TITLES = {
    "received": "received",
    "automatic_percent": "coded automatically %",
    "held": "held",
    "sent": "sent",
    "accepted": "accepted",
    "denied": "denied",
    "pended": "pended",
    "open": "on their way",
    "corrected": "corrected",
    "denied_percent": "denied %",
    "billed": "billed",
    "allowed": "allowed",
    "paid": "paid",
    "days_to_answer": "days to answer",
}
"""How each column is called on pages and in tables."""

_PARTS = ("accepted", "denied", "pended", "open", "held", "corrected")

_WHAT = (
    "A claim counts on the day it was made and as what it is now. Coded automatically: of the claims that were coded "
    "to the end or put to a person, those nobody had to be asked about. On their way: ready, sent, or of unknown "
    "outcome. Corrected: sent, then replaced or taken back; their money is not counted. Denied %: of those decided. "
    "Days to answer: from the first sending to the decision, on average."
)

_STYLE = """
:root { color-scheme: light dark; --ink: #1b1f24; --paper: #ffffff; --line: #c9d1d9; --soft: #57606a;
  --accepted: #1a7f5a; --denied: #b3261e; --pended: #9a6700; --open: #2f6fd0; --held: #8250df; --corrected: #6e7781;
  --billed: #2f6fd0; --allowed: #9a6700; --paid: #1a7f5a; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6edf3; --paper: #0d1117; --line: #3d444d; --soft: #9198a1;
  --accepted: #3fb68b; --denied: #ff7b72; --pended: #e3b341; --open: #79b8ff; --held: #bc8cff; --corrected: #8b949e;
  --billed: #79b8ff; --allowed: #e3b341; --paid: #3fb68b; } }
body { margin: 2rem auto; max-width: 84rem; padding: 0 1rem; font: 16px/1.5 system-ui, sans-serif;
  color: var(--ink); background: var(--paper); }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2rem; } p { max-width: 60rem; color: var(--soft); }
.scroll { overflow-x: auto; } table { border-collapse: collapse; width: 100%; font-size: .875rem;
  font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .6rem; border-bottom: 1px solid var(--line); text-align: right; white-space: nowrap; }
th[scope=row], th.text, td.text { text-align: left; } thead th { color: var(--soft); font-weight: 600;
  white-space: normal; vertical-align: bottom; }
svg { width: 100%; height: auto; } svg text { fill: var(--soft); font-size: 12px; }
.number { text-anchor: end; } .place { text-anchor: middle; } .grid { stroke: var(--line); stroke-width: .5; }
.legend { display: flex; flex-wrap: wrap; gap: .25rem 1.25rem; list-style: none; padding: 0; margin: .25rem 0; }
.key { display: inline-block; width: .8rem; height: .8rem; margin-right: .4rem; border-radius: 2px; }
""" + "\n".join(f".{name} {{ fill: var(--{name}); background: var(--{name}); }}" for name in (*_PARTS, *MONEY))


def report_page(report: Report, site: str = "") -> str:
    """A report as an HTML page, for the site of this name."""
    whose = f" of {site}" if site else ""
    title = f"Claims{whose}, {report.start.isoformat()} to {report.end.isoformat()}"
    parts = [
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<main>",
        f"<h1>{escape(title)}</h1>\n<p>{_WHAT} Days are those of {escape(report.zone)}.</p>",
        *(_drawn(chart, number) for number, chart in enumerate(charts_of(report), start=1)),
        _section("In all", _table("", [("all", c, found) for c, found in report.totals()])),
        _section("By payer", _table("payer", report.summed("payer"))),
        _section("By day and payer", _days(report)),
        "</main>\n</body>\n</html>\n",
    ]
    return "\n".join(parts)


def charts_of(report: Report) -> list[Chart]:
    """Claims and money by day, by week where there are too many days for bars of their own."""
    spans = _spans(report)
    labels = tuple(first.isoformat() for first, _ in spans)
    by = "week" if len(spans) < (report.end - report.start).days + 1 else "day"
    made = _by_span(report, spans, None)
    found = [
        Chart(f"Claims by {by}", f"How many claims were made each {by}, by what became of them.", labels, _of(made))
    ]
    for currency, _ in report.totals():
        if currency:
            told = f"What was billed, allowed and paid on the claims of each {by}, in {currency}."
            money = _money(_by_span(report, spans, currency))
            found.append(Chart(f"Money by {by}, {currency}", told, labels, money, is_stacked=False))
    return found


def _drawn(chart: Chart, number: int) -> str:
    content = f"<p>{escape(chart.says)}</p>\n{legend(chart)}\n{svg(chart, f'chart-{number}')}"
    return _section(chart.title, content)


def _spans(report: Report) -> list[tuple[date, date]]:
    """The days of a report, by week from Monday where they are too many for bars of their own."""
    step = 1 if (report.end - report.start).days < _MOST_BARS else 7
    first = report.start if step == 1 else report.start - timedelta(days=report.start.weekday())
    spans = []
    while first <= report.end:
        spans.append((first, first + timedelta(days=step - 1)))
        first += timedelta(days=step)
    return spans


def _by_span(report: Report, spans: Sequence[tuple[date, date]], currency: str | None) -> list[Figures]:
    days: dict[date, Figures] = {}
    for row in report.rows:
        if currency in (None, row.currency):
            days.setdefault(row.day, Figures()).add(row.figures)
    found = []
    for first, last in spans:
        total = Figures()
        for number in range((last - first).days + 1):
            total.add(days.get(first + timedelta(days=number), Figures()))
        found.append(total)
    return found


def _of(made: Iterable[Figures]) -> tuple[Series, ...]:
    counted = list(made)
    return tuple(Series(TITLES[n], n, tuple(Decimal(getattr(f, n)) for f in counted)) for n in _PARTS)


def _money(made: Iterable[Figures]) -> tuple[Series, ...]:
    counted = list(made)
    return tuple(Series(TITLES[n], n, tuple(amount_of(getattr(f, n)) or Decimal(0) for f in counted)) for n in MONEY)


def _section(title: str, content: str) -> str:
    return f"<section>\n<h2>{escape(title)}</h2>\n{content}\n</section>"


def _days(report: Report) -> str:
    if not report.rows:
        return "<p>No claim was made on these days.</p>"
    rows = [(f"{row.day.isoformat()}  {row.payer}", row.currency, row.figures) for row in reversed(report.rows)]
    return _table("day and payer", rows)


def _table(key: str, rows: Iterable[tuple[Any, str, Figures]]) -> str:
    heads = "".join(f'<th scope="col">{escape(TITLES[name])}</th>' for name in COLUMNS)
    first = f'<th scope="col" class="text">{escape(key) or "<span aria-hidden=true></span>"}</th>'
    body = "\n".join(
        f'<tr><th scope="row">{escape(str(name))}</th><td class="text">{escape(currency)}</td>{_cells(found)}</tr>'
        for name, currency, found in rows
    )
    head = f'<tr>{first}<th scope="col" class="text">currency</th>{heads}</tr>'
    table = f"<table>\n<thead>{head}</thead>\n<tbody>\n{body}\n</tbody>\n</table>"
    return f'<div class="scroll" tabindex="0">\n{table}\n</div>'


def _cells(found: Figures) -> str:
    return "".join(f"<td>{'' if cell is None else f'{cell:,}'}</td>" for cell in shown(found).values())
