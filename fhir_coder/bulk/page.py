"""The summary of a run as text and as one HTML page that needs nothing else."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from html import escape
from typing import TYPE_CHECKING

from fhir_coder.model import MessageStatus
from fhir_coder.report.charts import Chart, Series, legend, svg

if TYPE_CHECKING:
    from fhir_coder.bulk.summary import BulkSummary

_MOST_BARS = 8
_SHOWN_CODES = 10
_STYLE = """
:root { color-scheme: light dark; --ink: #1b1f24; --paper: #ffffff; --line: #c9d1d9; --soft: #57606a;
  --ready: #1a7f5a; --held: #8250df; --gap: #9a6700; --reject: #b3261e; --warn: #9a6700; --info: #2f6fd0; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6edf3; --paper: #0d1117; --line: #3d444d; --soft: #9198a1;
  --ready: #3fb68b; --held: #bc8cff; --gap: #e3b341; --reject: #ff7b72; --warn: #e3b341; --info: #79b8ff; } }
body { margin: 2rem auto; max-width: 70rem; padding: 0 1rem; font: 16px/1.5 system-ui, sans-serif;
  color: var(--ink); background: var(--paper); }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2rem; } p { max-width: 60rem; color: var(--soft); }
.scroll { overflow-x: auto; } table { border-collapse: collapse; font-size: .875rem;
  font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .8rem .3rem 0; border-bottom: 1px solid var(--line); text-align: left; }
td.count, th.count { text-align: right; } thead th { color: var(--soft); }
svg { width: 100%; height: auto; } svg text { fill: var(--soft); font-size: 12px; }
.number { text-anchor: end; } .place { text-anchor: middle; } .grid { stroke: var(--line); stroke-width: .5; }
.legend { display: flex; flex-wrap: wrap; gap: .25rem 1.25rem; list-style: none; padding: 0; margin: .25rem 0; }
.key { display: inline-block; width: .8rem; height: .8rem; margin-right: .4rem; border-radius: 2px; }
""" + "\n".join(
    f".{name} {{ fill: var(--{name}); background: var(--{name}); }}"
    for name in ("ready", "held", "gap", "reject", "warn", "info")
)


def summary_text(summary: BulkSummary) -> str:
    """The summary for the terminal."""
    tally, claims = summary.tally, summary.tally.claims
    lines = [
        f"messages  {summary.total_messages:,} from {summary.sources:,} files: "
        f"{summary.of_status(MessageStatus.CHARTED):,} charted, {summary.of_status(MessageStatus.IGNORED):,} ignored, "
        f"{summary.unreadable:,} unreadable, {summary.repeats:,} repeats, {summary.conflicts:,} conflicts",
        f"visits    {tally.charts:,}: {tally.cancelled:,} cancelled, {tally.moved:,} moved, {tally.failed:,} failed",
        f"claims    {sum(claims.values()):,}: {_by_status(summary)}",
    ]
    codes = sorted(tally.codes.items(), key=lambda item: (-item[1], item[0]))
    lines += [f"gap       {number:,} × {_code_text(key)}" for key, number in codes[:_SHOWN_CODES]]
    if len(codes) > _SHOWN_CODES:
        lines.append(f"          and {len(codes) - _SHOWN_CODES:,} more: summary.html, gaps.parquet")
    pace = "" if summary.timing.goes_on else f", {summary.charts_a_second:,.0f} visits a second"
    lines.append(f"time      {summary.timing.seconds:,.1f} s{pace}")
    lines.append(
        f"written   {summary.out}: {', '.join(sorted(path.name for path in summary.out.iterdir() if path.is_file()))}"
    )
    return "\n".join(lines)


def _by_status(summary: BulkSummary) -> str:
    told = []
    for status, number in sorted(summary.tally.claims.items(), reverse=True):
        money = " + ".join(f"{value:,} {currency}" for currency, value in summary.totals(status))
        told.append(f"{number:,} {status}" + (f" ({money})" if money else ""))
    return ", ".join(told) or "none"


def _code_text(key: str) -> str:
    reason, system, code = key.split("\t")
    return " ".join(filter(None, (reason, system, code or "(no code that may be shown)")))


def summary_page(summary: BulkSummary) -> str:
    """The summary as an HTML page."""
    tally = summary.tally
    parts = [
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>Claims from files</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<main>",
        f"<h1>Claims from files</h1>\n<p>{escape(_in_a_sentence(summary))}</p>",
        *_charts(summary),
        _section("Messages", _table(("format", "type", "status"), summary.messages)),
        _section("Claims", _table(("payer", "kind", "status"), tally.kinds)),
        _section("Gaps by code", _table(("reason", "system", "code"), dict(tally.codes.most_common(200)))),
        _section("Findings", _table(("severity", "edit"), tally.findings)),
        "</main>\n</body>\n</html>\n",
    ]
    return "\n".join(parts)


def _in_a_sentence(summary: BulkSummary) -> str:
    tally = summary.tally
    return (
        f"{summary.total_messages:,} messages of {summary.sources:,} files told of {tally.charts:,} visits: "
        f"{sum(tally.claims.values()):,} claims, {_by_status(summary)}. {summary.unreadable:,} messages could not "
        f"be read, {summary.repeats:,} had come before, {summary.conflicts:,} had the control id of another."
    )


def _charts(summary: BulkSummary) -> list[str]:
    tally = summary.tally
    payers = sorted({key.split("\t")[0] for key in tally.kinds})[:_MOST_BARS]
    claims = [
        (
            name,
            [
                sum(n for k, n in tally.kinds.items() if k.startswith(f"{p}\t") and k.endswith(f"\t{name}"))
                for p in payers
            ],
        )
        for name in ("ready", "held")
    ]
    reasons = [reason for reason, _ in tally.gaps.most_common(_MOST_BARS)]
    edits = [key for key, _ in tally.findings.most_common(_MOST_BARS)]
    by_severity = [
        (name, [tally.findings[key] if key.startswith(f"{name}\t") else 0 for key in edits])
        for name in ("reject", "warn", "info")
    ]
    shown = [
        _chart("Claims by payer", "How many claims are ready and how many are held.", payers, claims),
        _chart(
            "Why claims have gaps",
            "Codes for which no billing code could be chosen, by reason.",
            reasons,
            [("gap", [tally.gaps[reason] for reason in reasons])],
        ),
        _chart("Findings by edit", "What the edits found most often.", [e.split("\t")[1] for e in edits], by_severity),
    ]
    return [
        _section(one.title, f"<p>{escape(one.says)}</p>\n{legend(one)}\n{svg(one, f'chart-{number}')}")
        for number, one in enumerate(shown, start=1)
        if one.places
    ]


def _chart(title: str, says: str, places: Sequence[str], series: Iterable[tuple[str, Sequence[int]]]) -> Chart:
    bars = tuple(Series(name, name, tuple(map(Decimal, numbers))) for name, numbers in series)
    return Chart(title, says, tuple(places), bars)


def _table(names: Sequence[str], counts: Mapping[str, int]) -> str:
    if not counts:
        return "<p>none</p>"
    head = "".join(f"<th>{name}</th>" for name in names) + '<th class="count">count</th>'
    rows = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    body = "\n".join(
        f'<tr>{"".join(f"<td>{escape(part)}</td>" for part in key.split(chr(9)))}<td class="count">{number:,}</td></tr>'
        for key, number in rows
    )
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>\n{body}\n</tbody></table></div>'


def _section(title: str, content: str) -> str:
    return f"<section>\n<h2>{escape(title)}</h2>\n{content}\n</section>"
