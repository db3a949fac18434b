"""Real processes, real sockets, a folder for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from fhir_coder.scenarios import Scenario, find_scenarios
from fhir_coder.settings import example_settings
from fhir_coder.shipped import shipped
from fhir_coder.trial import Trial


@pytest.fixture
def trial(tmp_path: Path) -> Iterator[Trial]:
    """A payer and an adapter that are not started yet."""
    with Trial(tmp_path, example_settings()) as one:
        yield one


@pytest.fixture(scope="session")
def scenarios() -> dict[str, Scenario]:
    """The shipped scenarios by name."""
    return {s.name: s for s in find_scenarios([shipped("fixtures")])}
