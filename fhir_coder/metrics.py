"""Prometheus metrics of the ledger's counts. Labels come from closed sets: statuses, kinds, names in the settings."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

NAMES = (
    "fhir_coder_messages",
    "fhir_coder_claims",
    "fhir_coder_work_items_open",
    "fhir_coder_work_waiting",
    "fhir_coder_oldest_waiting_seconds",
    "fhir_coder_payer_up",
)
"""Every metric there is."""


def metrics_text(counted: dict[str, Any]) -> bytes:
    """The metrics page for the counts of `store.counts.counts`."""
    registry = CollectorRegistry()
    registry.register(_Counts(counted))
    return generate_latest(registry)


class _Counts(Collector):
    def __init__(self, counted: dict[str, Any]) -> None:
        self._counted = counted

    def collect(self) -> Iterator[GaugeMetricFamily]:
        counted = self._counted
        yield _labelled(NAMES[0], "Messages by feed and status", ("feed", "status"), counted["feeds"])
        yield _labelled(NAMES[1], "Claims by payer and status", ("payer", "status"), counted["payers"])
        items = GaugeMetricFamily(NAMES[2], "Open work items by kind", labels=["kind"])
        for kind, number in counted["work_items"].items():
            items.add_metric([kind], number)
        yield items
        yield GaugeMetricFamily(NAMES[3], "Pieces of work waiting, due or not", value=counted["work_waiting"])
        yield GaugeMetricFamily(
            NAMES[4], "Seconds the oldest work is overdue", value=_overdue(counted["oldest_waiting_at"])
        )
        up = GaugeMetricFamily(NAMES[5], "Whether claims go to a payer (1) or wait for it (0)", labels=["payer"])
        states = counted["payer_states"]
        for payer in sorted({*counted["payers"], *states}):
            up.add_metric([payer], float(payer not in states or states[payer]["state"] == "up"))
        yield up


def _labelled(name: str, text: str, labels: tuple[str, str], groups: dict[str, dict[str, int]]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, text, labels=list(labels))
    for group, numbers in groups.items():
        for status, number in numbers.items():
            family.add_metric([group, status], number)
    return family


def _overdue(oldest: str | None) -> float:
    if oldest is None:
        return 0.0
    return max(0.0, (datetime.now(UTC) - datetime.fromisoformat(oldest)).total_seconds())
