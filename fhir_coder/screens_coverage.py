"""Coverage as the terminal shows it, and as a picture: an SVG that reads in light and dark, and without colours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from html import escape

from fhir_coder.screens import listing
from fhir_coder.terminology.coverage import KIND_TITLES, Coverage, KindShare, Unmapped
from fhir_coder.terminology.rows import short_name

_SHOWN = 50
_DRAWN = 15
_WIDTH, _LABELS, _NUMBERS, _BAR, _STEP = 880, 250, 190, 16, 28
_PARTS = (
    ("came_coded", "came coded", "a"),
    ("by_table", "by a table", "b"),
    ("not_billable", "not billed", "c"),
    ("gaps", "no answer", "d"),
)
"""The parts of a bar from left to right: field, words, and the class that colours it."""

_STYLE = """
svg { font: 13px system-ui, sans-serif; background: var(--back); color-scheme: light dark;
  --back: #ffffff; --ink: #1c2430; --dim: #566073; --a: #3b6fb6; --b: #2f8f6b; --c: #a9b3c1; --d: #c4452f; }
@media (prefers-color-scheme: dark) { svg { --back: #14181f; --ink: #e6eaf0; --dim: #9aa5b5; --a: #6ea0e6;
  --b: #55bd95; --c: #5d6878; --d: #f0785f; } }
text { fill: var(--ink); } .dim { fill: var(--dim); } .head { font-weight: 600; font-size: 15px; }
.a { fill: var(--a); } .b { fill: var(--b); } .c { fill: var(--c); } .d { fill: url(#hatched); }
.ground { fill: var(--back); }
"""


def coverage_text(coverage: Coverage, most: int = _SHOWN) -> str:
    """The shares by kind, then what has no answer, most money first, and what to do about it."""
    shares = [_share_row(KIND_TITLES[one.kind], one) for one in coverage.kinds]
    if len(shares) > 1:
        shares.append(_share_row("all", coverage.all_kinds))
    lines = [_head(coverage), ""]
    if not shares:
        return f"{lines[0]}\nnothing in it is to be coded"
    columns = ["", "facts", "came coded", "by a table", "not billed", "no answer", "share"]
    lines.append(_listed(columns, shares))
    if coverage.unmapped:
        heads = ["kind", "system", "code", "", "reason", "facts", "visits", "held"]
        rows = [_unmapped_row(one) for one in coverage.unmapped[:most]]
        lines += ["", _listed(heads, rows)]
        left = len(coverage.unmapped) - most
        lines += [f"{left:,} more: --json"] if left > 0 else []
        lines += [
            "",
            "held: the amounts of the visits that wait for the code, each counted for every code it waits for",
        ]
        lines.append("next: fhir-coder tables propose --code CODE --to CODE, or a row of your own; the reasons:")
        lines.append("      docs/reference/gap-reasons.md")
    return "\n".join(lines)


def _head(coverage: Coverage) -> str:
    said = [f"{coverage.visits:,} visit{'s' * (coverage.visits != 1)}"]
    if coverage.visits_held:
        said.append(f"without a code for all: {coverage.visits_held:,}, {money(coverage.held) or 'no amount known'}")
    if coverage.before_icd10:
        said.append(f"before ICD-10 and not coded: {coverage.before_icd10:,}")
    return "; ".join(said)


def _share_row(title: str, one: KindShare) -> list[str]:
    counts = (one.facts, one.came_coded, one.by_table, one.not_billable, one.gaps)
    return [title, *(f"{count:,}" for count in counts), percent(one)]


def _unmapped_row(one: Unmapped) -> list[str]:
    named = [KIND_TITLES[one.kind], short_name(one.system) or "(none)", one.code or "(none)", one.display]
    return [*named, one.reason, f"{one.facts:,}", f"{one.visits:,}", money(one.held)]


def _listed(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A list with its numbers set right."""
    right = [all(row[i][:1].isdigit() for row in rows) for i in range(len(heads))]
    widths = [max(len(row[i]) for row in [heads, *rows]) for i in range(len(heads))]
    set_right = [
        [cell.rjust(width) if is_right else cell for cell, width, is_right in zip(row, widths, right, strict=True)]
        for row in [heads, *rows]
    ]
    return listing(set_right[0], set_right[1:])


def percent(one: KindShare) -> str:
    """The share that has an answer, never rounded up to all."""
    return "" if one.share is None else f"{int(one.share * 1000) / 10:.1f}%"


def money(held: Mapping[str, Decimal]) -> str:
    """Amounts with their currencies."""
    return ", ".join(f"{value:,.2f} {currency}" for currency, value in sorted(held.items()) if value)


# --- the picture


def coverage_svg(coverage: Coverage, title: str) -> str:
    """Draw the shares by kind and the codes that hold most, as one SVG with a description in words."""
    kinds = [*coverage.kinds, coverage.all_kinds] if len(coverage.kinds) > 1 else list(coverage.kinds)
    worst = coverage.unmapped[:_DRAWN]
    below = 96 + len(kinds) * _STEP
    height = below + (70 + len(worst) * _STEP if worst else 20)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" role="img"'
        ' aria-labelledby="title what">',
        f'<title id="title">{escape(title)}</title><desc id="what">{escape(_in_words(coverage))}</desc>',
        f"<style>{_STYLE}</style>",
        '<defs><pattern id="hatched" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">'
        '<rect width="6" height="6" fill="var(--d)"/><rect width="2" height="6" fill="var(--back)"/></pattern></defs>',
        f'<rect class="ground" width="{_WIDTH}" height="{height}"/>',
        f'<text class="head" x="20" y="30">{escape(title)}</text>{_legend()}',
        *(_kind_bar(one, 80 + place * _STEP) for place, one in enumerate(kinds)),
    ]
    if worst:
        parts.append(f'<text class="head" x="20" y="{below + 16}">Without an answer, most money first</text>')
        parts += _worst_bars(worst, below + 36)
    return "\n".join([*parts, "</svg>\n"])


def coverage_html(coverage: Coverage, title: str) -> str:
    """The picture and the whole list on a page of its own: nothing is fetched from elsewhere."""
    heads = ("kind", "system", "code", "words of the table", "reason", "facts", "visits", "held")
    rows = "".join(f"<tr>{''.join(map(_cell, _unmapped_row(one)))}</tr>\n" for one in coverage.unmapped)
    table = (
        f"<table><caption>Without an answer</caption>\n<thead><tr>"
        f"{''.join(f'<th scope=col>{head}</th>' for head in heads)}</tr></thead>\n<tbody>\n{rows}</tbody></table>\n"
    )
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>\n'
        f"<style>{_PAGE_STYLE}</style></head>\n<body>\n{coverage_svg(coverage, title)}"
        f"<p>{escape(_head(coverage))}</p>\n{table if coverage.unmapped else ''}</body></html>\n"
    )


_PAGE_STYLE = """
:root { color-scheme: light dark; } body { font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto;
padding: 0 1rem; }
svg { width: 100%; height: auto; } table { border-collapse: collapse; width: 100%; } caption { text-align: left;
font-weight: 600; } th, td { text-align: left; padding: .3rem .6rem; border-bottom: 1px solid #8885; }
td:nth-child(n+6) { text-align: right; font-variant-numeric: tabular-nums; }
"""


def _cell(text: str) -> str:
    return f"<td>{escape(text)}</td>"


def _in_words(coverage: Coverage) -> str:
    shares = (f"{KIND_TITLES[one.kind]}: {percent(one)} of {one.facts:,} have an answer" for one in coverage.kinds)
    return f"{_head(coverage)}. {'; '.join(shares)}."


def _legend() -> str:
    places = [(_LABELS + 130 * place, words, style) for place, (_, words, style) in enumerate(_PARTS)]
    return "".join(
        f'<rect class="{style}" x="{x}" y="46" width="12" height="12"/>'
        f'<text class="dim" x="{x + 18}" y="57">{words}</text>'
        for x, words, style in places
    )


def _kind_bar(one: KindShare, y: int) -> str:
    width = _WIDTH - _LABELS - _NUMBERS
    x, drawn = float(_LABELS), []
    for name, words, style in _PARTS:
        count = getattr(one, name)
        length = width * count / one.facts
        tip = f"<title>{count:,} {words}</title>"
        drawn.append(f'<rect class="{style}" x="{x:.1f}" y="{y}" width="{length:.1f}" height="{_BAR}">{tip}</rect>')
        x += length
    said = f"{percent(one)} of {one.facts:,}"
    return f"{_label(KIND_TITLES.get(one.kind, 'all'), y)}{''.join(drawn)}{_number(said, y)}"


def _worst_bars(worst: Sequence[Unmapped], top: int) -> list[str]:
    sizes = [sum(one.held.values(), Decimal(0)) for one in worst]
    most = max(*sizes, Decimal(1))
    width = _WIDTH - _LABELS - _NUMBERS
    return [
        f"{_label(f'{short_name(one.system)} {one.code}'.strip() or 'no code', y)}"
        f'<rect class="d" x="{_LABELS}" y="{y}" width="{max(float(width * size / most), 2):.1f}" height="{_BAR}">'
        f"<title>{escape(one.display or one.reason)}: {one.reason}</title></rect>"
        f"{_number(f'{money(one.held)} {one.facts:,} ×'.strip(), y)}"
        for place, (one, size) in enumerate(zip(worst, sizes, strict=True))
        for y in (top + place * _STEP,)
    ]


def _label(text: str, y: int) -> str:
    short = text if len(text) <= 32 else f"{text[:31]}…"
    return f'<text x="{_LABELS - 12}" y="{y + 13}" text-anchor="end">{escape(short)}</text>'


def _number(text: str, y: int) -> str:
    return f'<text class="dim" x="{_WIDTH - 20}" y="{y + 13}" text-anchor="end">{escape(text)}</text>'
