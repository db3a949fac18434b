"""What a run came to: for the terminal, as JSON, as a page with pictures. Counts and codes, nothing of one person."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from fhir_coder.bulk.grouping import Grouped
from fhir_coder.bulk.job import SUMMARY, Job, Plan
from fhir_coder.bulk.reading import reports_in, write_whole
from fhir_coder.bulk.tally import BatchTally, sum_of
from fhir_coder.claims import to_bytes
from fhir_coder.model import Json, MessageStatus

_MOST_CODES = 50
"""Codes without a row that are listed, those that hold most claims first."""


@dataclass(frozen=True, slots=True)
class Timing:
    """How long it took, in seconds, for how many bytes. `goes_on`: it is the end of a run that was stopped before."""

    seconds: float
    size: int
    goes_on: bool = False


@dataclass(frozen=True, slots=True)
class BulkSummary:
    """Counts of one run. `messages` are by format, type and status; those keys of several parts stand with tabs."""

    out: Path
    sources: int
    messages: Mapping[str, int]
    repeats: int
    conflicts: int
    tally: BatchTally
    timing: Timing

    @property
    def total_messages(self) -> int:
        """All payloads of the input."""
        return sum(self.messages.values())

    @property
    def unreadable(self) -> int:
        """Payloads that could not be read."""
        return self.of_status(MessageStatus.QUARANTINED)

    def of_status(self, status: MessageStatus) -> int:
        """How many payloads have a status."""
        return sum(n for key, n in self.messages.items() if key.rpartition("\t")[2] == status.value)

    @property
    def charts_a_second(self) -> float:
        """The pace from the first byte read to the last one written."""
        return self.tally.charts / self.timing.seconds if self.timing.seconds else 0.0

    def totals(self, status: str) -> list[tuple[str, Decimal]]:
        """What the claims of a status come to, by currency."""
        parted = ((key.split("\t"), value) for key, value in sorted(self.tally.totals.items()))
        return [(currency, value) for (held, currency), value in parted if held == status]

    def to_json(self) -> Json:
        """The same for programs; `docs/how-to/bulk.md` tells of the keys."""
        tally = self.tally
        return {
            "sources": self.sources,
            "messages": {
                "total": self.total_messages,
                "by_type": _rows(self.messages, ("format", "type", "status")),
                "repeats": self.repeats,
                "conflicts": self.conflicts,
            },
            "charts": {
                "total": tally.charts,
                "cancelled": tally.cancelled,
                "moved": tally.moved,
                "failed": tally.failed,
            },
            "claims": {
                "total": sum(tally.claims.values()),
                **dict(sorted(tally.claims.items())),
                "by_payer": _rows(tally.kinds, ("payer", "kind", "status")),
                "totals": _rows(tally.totals, ("status", "currency"), "total"),
            },
            "gaps": {"total": sum(tally.gaps.values()), "by_reason": dict(_most(tally.gaps)), "codes": self._codes()},
            "findings": _rows(tally.findings, ("severity", "edit")),
            "run": {
                "seconds": round(self.timing.seconds, 1),
                "input_bytes": self.timing.size,
                "charts_a_second": None if self.timing.goes_on else round(self.charts_a_second),
                "went_on": self.timing.goes_on,
            },
        }

    def _codes(self) -> list[Json]:
        rows = _rows(Counter(dict(_most(self.tally.codes)[:_MOST_CODES])), ("reason", "system", "code"))
        return sorted(rows, key=lambda row: (-row["count"], *row.values()))


def summary_of(job: Job, plan: Plan, grouped: Grouped, timing: Timing) -> BulkSummary:
    """Sum up what pieces and batches told."""
    messages: Counter[str] = Counter()
    for report in reports_in(job.read_folder, [piece.number for piece in plan.pieces]):
        messages.update(report["kinds"])
    batches = [batch for batch, _ in grouped.batches]
    tally = sum_of(map(BatchTally.from_json, reports_in(job.coded_folder, batches)))
    return BulkSummary(job.out, len(plan.sources), messages, grouped.repeats, len(grouped.conflicts), tally, timing)


def write_summary(summary: BulkSummary, job: Job) -> None:
    """Write it beside what it is about. `summary.json` is last: where it is, the run is finished."""
    from fhir_coder.bulk.page import summary_page  # noqa: PLC0415 - the page takes the summary's type from here

    (job.out / "summary.html").write_text(summary_page(summary), encoding="utf-8")
    write_whole(job.out / SUMMARY, to_bytes(summary.to_json(), indent=True) + b"\n")


def _most(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    """The counts, the highest first."""
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))


def _rows(counts: Mapping[str, object], names: tuple[str, ...], value: str = "count") -> list[Json]:
    return [dict(zip(names, key.split("\t"), strict=True)) | {value: number} for key, number in sorted(counts.items())]
