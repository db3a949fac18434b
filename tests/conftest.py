"""What all tests share."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import FrozenInstanceError
from pathlib import Path

import pytest
from hypothesis import settings

from fhir_coder.model.frozen import VALUES
from fhir_coder.store import Ledger, open_ledger
from tests.building import NOON

settings.register_profile("fhir-coder", deadline=None, derandomize=bool(os.environ.get("CI")))
settings.register_profile("fuzz", settings.get_profile("fhir-coder"), max_examples=5_000, derandomize=False)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "fhir-coder"))


def _set_once(self: object, name: str, value: object) -> None:
    if hasattr(self, name):
        raise FrozenInstanceError(f"cannot assign to field {name!r}")
    object.__setattr__(self, name, value)


@pytest.fixture(autouse=True, scope="session")
def _values_do_not_change() -> Iterator[None]:
    """No value of the model changes after it was made, in any test (fhir_coder/model/frozen.py)."""
    with pytest.MonkeyPatch.context() as patch:
        for kind in VALUES:
            patch.setattr(kind, "__setattr__", _set_once)
        yield


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
