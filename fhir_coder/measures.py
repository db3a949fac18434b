"""What the processes of a service count while they work; `metrics` adds it up.

Each process writes into files of its own in a folder that `serve` makes (the multiprocess mode of prometheus_client):
intake, workers and deliverers are counted together and one that dies takes nothing along. Labels come from closed sets:
codes, stages, outcomes, names in the settings.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from prometheus_client import Counter, Histogram
    from prometheus_client.registry import Collector

FOLDER = "PROMETHEUS_MULTIPROC_DIR"
"""The environment variable by which prometheus_client knows the folder. It is read when that is imported first."""


@contextmanager
def shared_folder() -> Iterator[None]:
    """A folder that all processes started within it count in; gone at the end. Enter it before anything counts."""
    with tempfile.TemporaryDirectory(prefix="fhir-coder-measures-") as folder:
        os.environ[FOLDER] = folder
        try:
            yield
        finally:
            del os.environ[FOLDER]


_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 3600.0)
"""The upper bounds of a histogram's buckets."""

COUNTERS = {
    "fhir_coder_acknowledgments": ("Acknowledgments of HL7 v2 messages, by code (MSA-1)", ("code",)),
    "fhir_coder_work_done": ("Pieces of work that were done, by stage", ("stage",)),
    "fhir_coder_work_failed": ("Pieces of work that failed unexpectedly and are tried later, by stage", ("stage",)),
    "fhir_coder_requests": ("Requests to payers, by payer, stage and outcome", ("payer", "stage", "outcome")),
    "fhir_coder_retries": ("Requests to payers that were tried before, by payer", ("payer",)),
}
HISTOGRAMS = {
    "fhir_coder_work_seconds": ("Seconds from when a piece of work was asked for to its end, by stage", ("stage",)),
    "fhir_coder_request_seconds": ("Seconds a payer took to answer, by payer", ("payer",)),
}
"""Every metric that is counted here: its text and its labels."""


def count(name: str, *labels: str, number: int = 1) -> None:
    """Count so many more, of one of `COUNTERS` with its labels in their order."""
    _child(name, labels).inc(number)


def measure(name: str, seconds: float, *labels: str) -> None:
    """Put a length of time into one of `HISTOGRAMS`."""
    _timed(name, labels).observe(max(0.0, seconds))


def metrics() -> list[Collector]:
    """What is counted in this process, or where processes share a folder in all of them."""
    from prometheus_client import CollectorRegistry  # noqa: PLC0415 - see `FOLDER`

    if FOLDER in os.environ:
        from prometheus_client.multiprocess import MultiProcessCollector  # noqa: PLC0415 - see `FOLDER`

        return [MultiProcessCollector(CollectorRegistry())]  # type: ignore[no-untyped-call] # it has no types
    return [*map(_counter, COUNTERS), *map(_histogram, HISTOGRAMS)]


@cache
def _counter(name: str) -> Counter:
    from prometheus_client import Counter  # noqa: PLC0415 - see `FOLDER`

    text, labels = COUNTERS[name]
    return Counter(name, text, labels, registry=None)


@cache
def _histogram(name: str) -> Histogram:
    from prometheus_client import Histogram  # noqa: PLC0415 - see `FOLDER`

    text, labels = HISTOGRAMS[name]
    return Histogram(name, text, labels, buckets=_SECONDS, registry=None)


@cache
def _child(name: str, labels: tuple[str, ...]) -> Counter:
    return _counter(name).labels(*labels)


@cache
def _timed(name: str, labels: tuple[str, ...]) -> Histogram:
    return _histogram(name).labels(*labels)
