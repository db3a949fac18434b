"""Translations a second on one core, how long tables take to open, and how long a map takes to import.

    python -m tests.bench.terminology [CONCEPTS]

Aim: 150,000 unconditional and 30,000 conditional translations a second, tables open in under 0.2 s, a map of 140,000
concepts imported in under 30 s and 300 MB.
"""

from __future__ import annotations

import resource
import sys
import tempfile
import time
from datetime import date
from functools import partial
from pathlib import Path

from fhir_coder.model import Choice, Coding, CodingContext, Concept, Kind, Origin, System
from fhir_coder.shipped import shipped
from fhir_coder.terminology import Tables, load_tables, open_codesets
from fhir_coder.terminology.draft import Source
from fhir_coder.terminology.importing import IMPORTERS, import_table
from fhir_coder.terminology.versions import activate
from tests import rf2

ORIGIN = Origin("m", "DG1[1]")
VISIT = CodingContext(
    service_date=date(2026, 11, 3),
    sex="female",
    birth_date=date(1980, 2, 29),
    encounter_class="AMB",
    payer="acme",
    codes=frozenset(),
)
SECONDS = 2.0


def rate(tables: Tables, numbers: list[int]) -> tuple[float, float]:
    """Answers a second over these concepts, warm, and the share of them that are choices."""
    concepts = [Concept((Coding(System.SNOMED, rf2.concept(number)),)) for number in numbers]
    choices = sum(isinstance(tables.choose(Kind.DIAGNOSIS, c, VISIT, ORIGIN, "c"), Choice) for c in concepts)
    start, done = time.process_time(), 0
    while time.process_time() - start < SECONDS:
        for concept in concepts:
            tables.choose(Kind.DIAGNOSIS, concept, VISIT, ORIGIN, "c")
        done += len(concepts)
    return done / (time.process_time() - start), choices / len(concepts)


def main(concepts: int) -> None:
    """Import, open, translate."""
    with tempfile.TemporaryDirectory() as folder:
        file = rf2.write(Path(folder) / "der2_iisssccRefset_ExtendedMapSnapshot_test.txt", concepts)
        site = Path(folder) / "mappings"
        start, used = time.perf_counter(), time.process_time()
        with open_codesets(shipped("mappings") / "codesets") as code_sets:
            put = partial(activate, at="2026-11-03T10:00:00+00:00", by="bench")
            made = import_table(IMPORTERS[0], Source(file, code_sets, date(2026, 11, 3)), site, put)
        spent, used = time.perf_counter() - start, time.process_time() - used
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(
            f"import of {concepts:,} concepts, {len(made.table):,} rows: "
            f"{spent:.1f} s ({used:.1f} of CPU), {memory:.0f} MB"
        )
        start = time.perf_counter()
        tables = load_tables([site, shipped("mappings")])
        print(f"open with the shipped tables: {time.perf_counter() - start:.3f} s")
        for title, of in (("unconditional", (0, 12, 13, 14)), ("conditional", (1, 2, 3)), ("combination", (4,))):
            numbers = [n for n in range(min(concepts, 40_000)) if n % 20 in of]
            a_second, chosen = rate(tables, numbers)
            print(f"{title}: {a_second:,.0f} a second over {len(numbers):,} codes ({chosen:.0%} decided)")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 140_000)
