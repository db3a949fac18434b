"""How fast NCCI files are imported, and how many claims a second the edits check with two million pairs at hand.

The rows are made up: no file of CMS may stand in here. Rates are of one core's own time.
"""

from __future__ import annotations

import random
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fhir_coder.edits import ClaimContext, findings_for
from fhir_coder.terminology import CodeSets, open_codesets
from fhir_coder.terminology.codesets.ncci_import import NcciSource, import_ncci
from tests.bench.edits import rate
from tests.edits.chart_cases import SHIPPED, context_of

PAIRS = 2_000_000
CLAIMS = 300

_CODES = [f"{letter}{number:04d}" for letter in "QRS" for number in range(4000)]
_DIAGNOSES = ["E11.9", "I10", "N18.4", "M17.11", "S52.501A", "J18.9", "K35.80", "E78.5", "G47.33", "I50.20", "M54.50"]


def pairs() -> Iterator[str]:
    """Yield the lines of a made-up PTP file."""
    yield "Made-up notice\nColumn 1\tColumn 2\t*\tEffective\tDeletion\tModifier\tRationale\n"
    chance = random.Random(6)
    for column1 in _CODES[:4000]:
        for column2 in chance.sample(_CODES, PAIRS // 4000):
            last, modifier = chance.choice(("*", "20261231")), chance.choice("01")
            yield f"{column1}\t{column2}\t\t20150401\t{last}\t{modifier}\tmade up\n"


def claims(code_sets: CodeSets) -> list[ClaimContext]:
    """Claims of four diagnoses and five lines, one in eight of a hospital stay."""
    chance = random.Random(7)
    asked = []
    for number in range(CLAIMS):
        chart: dict[str, Any] = {
            "diagnoses": chance.sample(_DIAGNOSES, 4),
            "charges": [{"code": code} for code in chance.sample(_CODES[:4000], 5)],
            "stay": number % 8 == 0,
        }
        asked.append(context_of({"chart": chart}, code_sets))
    return asked


def main() -> None:
    """Print the figures."""
    with tempfile.TemporaryDirectory() as made:
        file = Path(made) / "ccipra-v323r0-f1.txt"
        with file.open("w", encoding="ascii") as stream:
            stream.writelines(pairs())
        start = time.process_time()
        imported = import_ncci("ncci-ptp", NcciSource(file), Path(made))
        seconds = time.process_time() - start
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 if sys.platform != "darwin" else 1024**2)
        size = imported.file.stat().st_size / 1e6
        print(f"import of {imported.rows:,} pairs: {seconds:.1f} s, {most:.0f} MB of memory, {size:.0f} MB on disk")
        for title, folders in (("without NCCI", (SHIPPED,)), ("with the pairs", (Path(made), SHIPPED))):
            with open_codesets(*folders) as code_sets:
                print(f"all edits {title:16} {rate(findings_for, claims(code_sets)):9,.0f} claims/s")


if __name__ == "__main__":
    main()
