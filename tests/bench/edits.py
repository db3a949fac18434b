"""How many claims a second the edits check, beside the model validation of fhir.resources. `make bench`.

The claims are those of the shipped scenarios. A rate is of one core's own time.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import date

from fhir_coder import pipeline
from fhir_coder.app import App
from fhir_coder.claims.model_check import model_findings
from fhir_coder.conversion import Source, convert_sources
from fhir_coder.edits import ClaimContext, findings_for
from fhir_coder.edits.structure import structure_findings
from fhir_coder.model import Finding
from fhir_coder.pipeline import Rulebook
from fhir_coder.shipped import shipped
from tests.bench.convert import readable_messages
from tests.bench.rounds import ROUNDS

TIMES = 10
"""How often each claim is checked in a round."""


def contexts(rulebook: Rulebook) -> list[ClaimContext]:
    """What the edits are asked about while the messages of the fixtures are converted."""
    asked: list[ClaimContext] = []

    def recorded(context: ClaimContext) -> tuple[Finding, ...]:
        asked.append(context)
        return findings_for(context)

    pipeline.findings_for = recorded  # type: ignore[attr-defined]  # a recorder: what is asked is made nowhere else
    for body in readable_messages(shipped("fixtures")):
        convert_sources([Source("bench", body)], rulebook, date(2026, 11, 23))
    pipeline.findings_for = findings_for  # type: ignore[attr-defined]  # as above
    return asked


def rate(work: Callable[[ClaimContext], object], asked: Sequence[ClaimContext]) -> float:
    """The best number of claims a second of a few rounds."""
    best = 0.0
    for _ in range(ROUNDS):
        start = time.process_time()
        for _ in range(TIMES):
            for context in asked:
                context.once.clear()
                work(context)
        best = max(best, TIMES * len(asked) / (time.process_time() - start))
    return best


def main() -> None:
    """Print the figures."""
    with App() as app:
        asked = contexts(app.rulebook)
        figures = {
            "all edits": rate(findings_for, asked),
            "structure edits only": rate(lambda c: structure_findings(c.claim), asked),
            "the R4 model of fhir.resources": rate(lambda c: model_findings(c.claim), asked),
        }
    model = figures["the R4 model of fhir.resources"]
    print(f"{len(asked)} claims of the fixtures, best of {ROUNDS} rounds, one core")
    for name, figure in figures.items():
        print(f"{name:34} {figure:9,.0f} claims/s   x {figure / model:.1f} of the model")


if __name__ == "__main__":
    main()
