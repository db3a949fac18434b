"""An adapter in the test's own process: no feed listens and no worker runs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from fhir_coder.app import App
from fhir_coder.settings import example_settings
from tests.flow.test_billing import site

__all__ = ["app", "site"]


@pytest.fixture
def app(tmp_path: Path) -> Iterator[App]:
    """An adapter with a ledger of its own; nothing runs but what a test runs."""
    settings = example_settings()
    store = settings.store.model_copy(update={"url": f"sqlite:///{tmp_path / 'ledger.db'}"})
    quick = settings.worker.model_copy(update={"quiet_seconds": 0})
    with App(settings.model_copy(update={"store": store, "worker": quick})) as one:
        yield one
