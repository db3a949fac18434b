"""A service with the shipped scenarios in it, and a browser that looks at it: one of each for all tests."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest

from tests.browser.site import ConsoleTrial, open_browser

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or ""


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ConsoleTrial]:
    """A service and a sandbox payer that have worked off the shipped scenarios. Tests that change it use their own."""
    with ConsoleTrial(tmp_path_factory.mktemp("console")) as one:
        one.start()
        one.play_scenarios()
        yield one


@pytest.fixture(scope="session")
def browser() -> Iterator[object]:
    """Debian's Chromium, without a window."""
    pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if not CHROMIUM:
        pytest.skip("there is no Chromium on this machine: apt-get install chromium")
    with open_browser(CHROMIUM) as one:
        yield one


@pytest.fixture(scope="session")
def other_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ConsoleTrial]:
    """A service that tests send to and change: each test has a code, and visits, of its own."""
    with ConsoleTrial(tmp_path_factory.mktemp("coding")) as one:
        one.start()
        yield one
