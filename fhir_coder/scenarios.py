"""Fixture scenarios: messages in, and what is expected of them. The format is fixtures/README.md."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import orjson

from fhir_coder.errors import FhirCoderError
from fhir_coder.intake.payloads import payloads_in
from fhir_coder.model import Json

EXPECTED = "expected.json"
_MESSAGE_FILES = (".hl7", ".json", ".ndjson")


@dataclass(frozen=True, slots=True)
class Scenario:
    """A folder of messages. `via` says how they are sent: mllp, http or folder."""

    name: str
    title: str
    via: str
    folder: Path
    files: tuple[Path, ...]

    def payloads(self, files: Sequence[Path] | None = None) -> list[tuple[str, bytes]]:
        """Every payload (of some files) with the file and place it stands at (`01-dft.hl7:1`)."""
        found = []
        for file in self.files if files is None else files:
            for number, body in enumerate(payloads_in(file.read_bytes()), start=1):
                found.append((f"{file.name}:{number}", body))
        return found

    def expected_file(self, expect: Path | None = None) -> Path:
        """Where the expected result stands: beside the messages, or in a folder of expected results."""
        return (expect / self.name if expect else self.folder) / EXPECTED


def find_scenarios(paths: Sequence[Path], *, deep: bool = True) -> list[Scenario]:
    """The scenarios in folders, in the order of their paths; `deep`, in the folders of those and so on.

    The whole visits of the fixtures (`fixtures/visits`) need the answer to each message before the next one.
    """
    found: dict[Path, Scenario] = {}
    for path in paths:
        if not path.is_dir():
            raise FhirCoderError(f"{path}: no such folder of scenarios")
        for head in sorted(path.glob("**/scenario.toml" if deep else "*/scenario.toml")):
            found.setdefault(head.parent.resolve(), _read(head))
    if not found:
        raise FhirCoderError(f"no scenario.toml in {', '.join(map(str, paths))}")
    return list(found.values())


def _read(head: Path) -> Scenario:
    said = tomllib.loads(head.read_text(encoding="utf-8"))
    files = sorted(f for f in head.parent.iterdir() if f.suffix in _MESSAGE_FILES and f.name != EXPECTED)
    via = said.get("via", "mllp")
    if via not in ("mllp", "http", "folder"):
        raise FhirCoderError(f"{head}: via must be mllp, http or folder")
    return Scenario(head.parent.name, said.get("title", head.parent.name), via, head.parent, tuple(files))


def differences(expected: Any, came: Any, path: str = "") -> list[str]:
    """How two JSON values differ in meaning: `10.0` is `10.00`, the order of members is nothing. Each with its path."""
    if isinstance(expected, dict) and isinstance(came, dict):
        found = [f"{path}.{k}: expected, did not come" for k in expected if k not in came]
        found += [f"{path}.{k}: came, not expected" for k in came if k not in expected]
        for key in expected:
            if key in came:
                found += differences(expected[key], came[key], f"{path}.{key}")
        return found
    if isinstance(expected, list) and isinstance(came, list):
        found = [] if len(expected) == len(came) else [f"{path}: expected {len(expected)}, came {len(came)}"]
        for index, (one, other) in enumerate(zip(expected, came, strict=False)):
            found += differences(one, other, f"{path}[{index}]")
        return found
    if _number(expected) is not None and _number(expected) == _number(came):
        return []
    return [] if expected == came else [f"{path}: expected {_shown(expected)}, came {_shown(came)}"]


def _number(value: Any) -> Decimal | None:
    return Decimal(str(value)) if isinstance(value, int | float | Decimal) and not isinstance(value, bool) else None


def _shown(value: Any) -> str:
    return orjson.dumps(value, default=str).decode()


def read_expected(scenario: Scenario, expect: Path | None = None) -> Json | None:
    """What is expected of a scenario, None where nothing is written down yet."""
    file = scenario.expected_file(expect)
    if not file.is_file():
        return None
    expected: Json = orjson.loads(file.read_bytes())
    return expected
