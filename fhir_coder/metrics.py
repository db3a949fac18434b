"""Prometheus metrics of the ledger's counts. Labels come from closed sets: statuses, kinds, names in the settings."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from fhir_coder import measures

NAMES = (
    "fhir_coder_messages",
    "fhir_coder_claims",
    "fhir_coder_work_items_open",
    "fhir_coder_work_waiting",
    "fhir_coder_oldest_waiting_seconds",
    "fhir_coder_payer_up",
    "fhir_coder_stage_waiting",
    "fhir_coder_stage_oldest_seconds",
    "fhir_coder_work_items_by_reason",
    "fhir_coder_pull_lag_seconds",
    *measures.COUNTERS,
    *measures.HISTOGRAMS,
)
"""Every metric there is."""


def metrics_text(counted: dict[str, Any]) -> bytes:
    """The metrics page: the counts of `store.counts.counts`, then what the service's processes counted."""
    registry = CollectorRegistry()
    registry.register(_Counts(counted))
    for one in measures.metrics():
        registry.register(one)
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
        yield from self._waiting()
        reasons = GaugeMetricFamily(NAMES[8], "Open gaps, findings and failures by reason", labels=["kind", "reason"])
        for (kind, reason), number in counted["reasons"].items():
            reasons.add_metric([kind, reason], number)
        yield reasons
        lag = GaugeMetricFamily(NAMES[9], "Seconds since all of a FHIR server was read", labels=["feed"])
        for feed, server in counted["fhir_servers"].items():
            if server["read_at"]:
                lag.add_metric([feed], _overdue(server["read_at"]))
        yield lag

    def _waiting(self) -> Iterator[GaugeMetricFamily]:
        depth = GaugeMetricFamily(NAMES[6], "Pieces of work waiting, due or not, by stage", labels=["stage"])
        oldest = GaugeMetricFamily(NAMES[7], "Seconds the oldest work of a stage is overdue", labels=["stage"])
        for stage, (number, due_at) in self._counted["stages"].items():
            depth.add_metric([stage], number)
            oldest.add_metric([stage], _overdue(due_at))
        yield depth
        yield oldest


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
