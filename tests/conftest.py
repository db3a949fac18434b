"""What all tests share."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from fhir_coder.store import Ledger, open_ledger
from tests.building import NOON

settings.register_profile("fhir-coder", deadline=None, derandomize=bool(os.environ.get("CI")))
settings.load_profile("fhir-coder")


@pytest.fixture(autouse=True)
def _not_in_utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Every test runs in a zone that is not UTC, so that a time that forgot its zone shows."""
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "Pacific/Chatham")
        time.tzset()
        yield
    time.tzset()


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    """A new ledger whose clock stands still."""
    one = open_ledger(tmp_path / "ledger.db", clock=lambda: NOON)
    yield one
    one.close()
