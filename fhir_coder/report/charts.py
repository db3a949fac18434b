"""Charts as SVG: bars of parts, bars side by side. No script; colours come from the page's style sheet.

Each bar carries its numbers as a title, each chart a text that says what it shows; the tables of the page have it all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from html import escape

_WIDTH, _HEIGHT = 960, 260
_LEFT, _RIGHT, _TOP, _BOTTOM = 72, 8, 10, 34
_LABELS = 8
_STEPS = (1, 2, 5, 10)


@dataclass(frozen=True, slots=True)
class Series:
    """One kind of bar: its name, the style's class, its numbers in the order of the chart's places."""

    name: str
    style: str
    numbers: tuple[Decimal, ...]


@dataclass(frozen=True, slots=True)
class Chart:
    """What a chart shows: title, what it says in a sentence, the places along its foot, the bars at each."""

    title: str
    says: str
    places: tuple[str, ...]
    series: tuple[Series, ...]
    is_stacked: bool = True

    @property
    def top(self) -> Decimal:
        """The highest number its axis needs."""
        heights = zip(*(one.numbers for one in self.series), strict=True)
        found = [sum(here, Decimal(0)) if self.is_stacked else max(here) for here in heights]
        return nice_top(max(found, default=Decimal(0)))


def nice_top(highest: Decimal) -> Decimal:
    """The end of an axis: the next number above of 1, 2 or 5 and zeros."""
    power = Decimal(1)
    while power * 10 < highest:
        power *= 10
    return next((power * step for step in _STEPS if power * step >= highest), power)


def svg(chart: Chart, name: str) -> str:
    """A chart as an SVG element; `name` makes its ids unique on the page."""
    parts = [
        f'<svg role="img" viewBox="0 0 {_WIDTH} {_HEIGHT}" aria-labelledby="{name}-title {name}-says">',
        f'<title id="{name}-title">{escape(chart.title)}</title><desc id="{name}-says">{escape(chart.says)}</desc>',
        *_axis(chart.top),
        *_bars(chart),
        *_foot(chart.places),
        "</svg>",
    ]
    return "\n".join(parts)


def legend(chart: Chart) -> str:
    """What the colours of a chart mean."""
    entries = (f'<li><span class="key {one.style}"></span>{escape(one.name)}</li>' for one in chart.series)
    return f'<ul class="legend">{"".join(entries)}</ul>'


def _axis(top: Decimal) -> list[str]:
    lines = []
    for quarter in range(5):
        number = top * quarter / 4
        y = _y(number, top)
        lines.append(f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y}" y2="{y}"/>')
        lines.append(f'<text class="number" x="{_LEFT - 6}" y="{y + 4}">{_short(number)}</text>')
    return lines


def _bars(chart: Chart) -> list[str]:
    top, width = chart.top, (_WIDTH - _LEFT - _RIGHT) / max(1, len(chart.places))
    beside = 1 if chart.is_stacked else max(1, len(chart.series))
    bar = max(1.0, width * 0.8 / beside)
    found = []
    for place, label in enumerate(chart.places):
        below, left = Decimal(0), _LEFT + place * width + width * 0.1
        for number, one in enumerate(chart.series):
            amount = one.numbers[place]
            if amount:
                x = left + (0 if chart.is_stacked else number * bar)
                y, foot = _y(below + amount, top), _y(below, top)
                title = escape(f"{label}: {amount:,} {one.name}")
                shape = f'x="{x:.1f}" y="{y}" width="{bar:.1f}" height="{max(0.5, foot - y):.1f}"'
                found.append(f'<rect class="{one.style}" {shape}><title>{title}</title></rect>')
            below += amount if chart.is_stacked else 0
    return found


def _foot(places: Sequence[str]) -> list[str]:
    width = (_WIDTH - _LEFT - _RIGHT) / max(1, len(places))
    every = max(1, -(-len(places) // _LABELS))
    texts = []
    for place in range(0, len(places), every):
        x = _LEFT + (place + 0.5) * width
        texts.append(f'<text class="place" x="{x:.1f}" y="{_HEIGHT - 12}">{escape(places[place])}</text>')
    return texts


def _y(number: Decimal, top: Decimal) -> float:
    height = _HEIGHT - _TOP - _BOTTOM
    return round(_TOP + height * float(1 - (number / top if top else 0)), 1)


def _short(number: Decimal) -> str:
    """A number of an axis: 1.5k, 20M; small ones whole or with the decimals they need."""
    for size, letter in ((Decimal(10**9), "G"), (Decimal(10**6), "M"), (Decimal(10**3), "k")):
        if number >= size:
            return f"{(number / size).normalize():f}{letter}"
    return f"{number.normalize():f}"
