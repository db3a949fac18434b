"""Bulk on this machine: files in, `claims.ndjson`, `gaps.ndjson` and `messages.ndjson` out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from fhir_coder.app import App
from fhir_coder.claims import to_bytes
from fhir_coder.conversion import claim_to_json, gap_to_json
from fhir_coder.model import Json
from fhir_coder.settings import Settings


@dataclass(frozen=True, slots=True)
class BulkSummary:
    """Counts of one run."""

    messages: int
    unreadable: int
    ready: int
    held: int
    out: Path

    def text(self) -> str:
        """For the terminal."""
        return (
            f"{self.messages} messages ({self.unreadable} unreadable), {self.ready} claims ready, {self.held} held: "
            f"{self.out / 'claims.ndjson'}, gaps.ndjson, messages.ndjson"
        )


def convert_files(files: Sequence[Path], out: Path, settings: Settings) -> BulkSummary:
    """Convert files together: payloads of one visit make one claim, whichever file they stand in."""
    with App(settings) as app:
        conversion = app.convert(files)
    out.mkdir(parents=True, exist_ok=True)
    _write(out / "claims.ndjson", map(claim_to_json, conversion.claims))
    _write(out / "gaps.ndjson", map(gap_to_json, conversion.gaps))
    _write(out / "messages.ndjson", (m.to_json() for m in conversion.messages))
    ready = sum(c.status == "ready" for c in conversion.claims)
    unreadable = len(conversion.unreadable)
    return BulkSummary(len(conversion.messages), unreadable, ready, len(conversion.claims) - ready, out)


def _write(path: Path, rows: Iterable[Json]) -> None:
    with path.open("wb") as file:
        for row in rows:
            file.write(to_bytes(row) + b"\n")
