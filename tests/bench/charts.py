"""Folding a chart after each of its messages: twice the messages must take about twice the time. `make bench`."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from fhir_coder.charts import ChartFold
from fhir_coder.model import Chart, MessageFacts
from tests.building import KEY, charge, coverage, diagnosis, patient, said, visit

ROUNDS = 5


def messages(number: int) -> list[MessageFacts]:
    """The messages of a visit: each repeats patient, visit and diagnoses, and brings a charge of its own."""
    return [
        said(
            patient(),
            visit(),
            *(diagnosis(f"A{code}") for code in range(10, 20)),
            charge(identity=f"T{n}"),
            coverage(),
            message=f"m{n:04}",
            at=f"2026-11-{1 + n // 1440:02}T{n // 60 % 24:02}:{n % 60:02}:00Z",
        )
        for n in range(number)
    ]


def seconds(fold: Callable[[Sequence[MessageFacts]], Chart], number: int) -> float:
    """The best time of some rounds."""
    taken = []
    for _ in range(ROUNDS):
        arrived = messages(number)
        begun = time.perf_counter()
        fold(arrived)
        taken.append(time.perf_counter() - begun)
    return min(taken)


def going_on(arrived: Sequence[MessageFacts]) -> Chart:
    """The chart after each message, by one fold that goes on."""
    fold = ChartFold(KEY)
    for message in arrived:
        fold.add(message)
        chart = fold.chart()
    return chart


def main() -> None:
    """Print the figures."""
    half, whole = seconds(going_on, 250), seconds(going_on, 500)
    print(
        f"a chart after each of 250 messages {half * 1000:7.1f} ms, of 500 {whole * 1000:7.1f} ms: × {whole / half:.2f}"
    )


if __name__ == "__main__":
    main()
