"""Facts of FHIR resources beside fhir.resources' model validation of the same lines, and of one Bundle of 16 MB.

`make bench`. The resources are those of the Synthea sample bundles where they are there, else of the fixtures, each
with ids of its own. Only resource types that are read for facts are counted.
"""

from __future__ import annotations

import importlib
import json
import os
import re
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from fhir_coder.fhir import FhirRules, facts_from_message, is_billed, read_header
from fhir_coder.model import Message
from fhir_coder.shipped import shipped
from tests.bench.rounds import rate

SYNTHEA = Path(__file__).parents[3] / "shared" / "data" / "synthea"
BUNDLE_BYTES = 16_000_000
_URN = re.compile(r"urn:uuid:[0-9a-f-]{36}")


def sample_bundles() -> list[dict[str, Any]]:
    """The Bundles that the figures are taken from."""
    if SYNTHEA.is_dir():
        files = sorted(SYNTHEA.glob("[A-G]*.json"))
    else:
        files = sorted(shipped("fixtures").rglob("*bundle*.json"))
    return [json.loads(file.read_bytes()) for file in files]


def ndjson_lines() -> list[bytes]:
    """Every resource of the samples that is read for facts as a line, with references as a bulk export writes them."""
    lines = []
    for bundle in sample_bundles():
        types = {e["fullUrl"]: e["resource"]["resourceType"] for e in bundle["entry"] if "fullUrl" in e}
        for entry in bundle["entry"]:
            text = json.dumps(entry["resource"], separators=(",", ":"))
            if is_billed(entry["resource"]["resourceType"]):
                for urn in set(_URN.findall(text)):
                    text = text.replace(urn, f"{types.get(urn, 'Basic')}/{urn.rpartition(':')[2]}")
                lines.append(text.encode())
    return lines


def large_bundle() -> bytes:
    """One Bundle of about 16 MB: the samples again and again, all ids fresh in each round."""
    entries: list[str] = []
    size, number = 0, 0
    texts = [[json.dumps(e) for e in bundle["entry"]] for bundle in sample_bundles()]
    while size < BUNDLE_BYTES:
        number += 1
        for entry in (entry for bundle in texts for entry in bundle):
            entries.append(re.sub(r"([0-9a-f]{8})(-[0-9a-f]{4}-)", rf"{number:08x}\2", entry))
            size += len(entries[-1]) + 1
            if size >= BUNDLE_BYTES:
                break
    return f'{{"resourceType":"Bundle","type":"collection","entry":[{",".join(entries)}]}}'.encode()


def facts_one(body: bytes) -> object:
    """What the product does with one resource, its header included."""
    return facts_from_message(Message("bench", body, read_header(body)), FhirRules())


def model_validation() -> Callable[[bytes], object]:
    """What fhir.resources does with a resource: parsing and validating."""
    # Loaded here only: the process that reads the large Bundle must not have its memory counted.
    model_class = importlib.import_module("fhir.resources.R4B").get_fhir_model_class

    def validate_one(body: bytes) -> object:
        data = json.loads(body)
        try:
            return model_class(data["resourceType"]).model_validate(data)
        except ValueError:  # a few of Synthea's own departures do not validate; the work was done
            return None

    return validate_one


def read_bundle(file: str) -> None:
    """Print what reading one Bundle takes, its header included; run in a process of its own."""
    body = Path(file).read_bytes()
    before, start, cpu = _peak(), time.perf_counter(), time.process_time()
    facts = facts_from_message(Message("bench", body, read_header(body)), FhirRules())
    seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    print(
        f"Bundle of {len(body) / 1e6:.1f} MB: {seconds:.2f} s ({cpu:.2f} s of one core), {len(facts.facts):,} facts, "
        f"{len(facts.charts):,} charts, {_peak():.0f} MB resident ({before:.0f} before)"
    )


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def figures() -> Iterator[str]:
    """The lines to print."""
    lines = ndjson_lines()
    facts, validated = (rate(one, lines, time.process_time) for one in (facts_one, model_validation()))
    size = sum(map(len, lines)) / len(lines)
    yield f"{len(lines)} resources of {size:,.0f} bytes, one core"
    yield f"  {'facts with header':28} {facts:10,.0f} resources/s {facts / validated:8.1f} × fhir.resources R4B"
    yield f"  {'fhir.resources R4B':28} {validated:10,.0f} resources/s"
    kinds: dict[str, list[bytes]] = {}
    for line in lines:
        kinds.setdefault(json.loads(line)["resourceType"], []).append(line)
    for kind, some in sorted(kinds.items()):
        yield f"    {kind:26} {rate(facts_one, some, time.process_time):10,.0f} resources/s"


def bundle_figures(scratch: Path) -> str:
    """Time and memory of one large Bundle, in a fresh process."""
    scratch.write_bytes(large_bundle())
    command = [sys.executable, "-m", "tests.bench.fhir_facts", str(scratch)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.rstrip()


def main() -> None:
    """Print the figures."""
    if len(sys.argv) > 1:
        read_bundle(sys.argv[1])
        return
    for line in figures():
        print(line)
    scratch = Path(f"/tmp/fhir-coder-bench-{os.getpid()}.json")
    try:
        print(bundle_figures(scratch))
    finally:
        scratch.unlink(missing_ok=True)


if __name__ == "__main__":
    main()
