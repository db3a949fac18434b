"""A service to look at with a browser, and the browser."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

from fhir_coder.scenarios import find_scenarios
from fhir_coder.settings import TableSettings, example_settings
from fhir_coder.shipped import EXAMPLE_TABLES, shipped
from fhir_coder.terminology.check_digits import has_check_digit
from fhir_coder.trial import Trial

WIDTHS = {"phone": (360, 740), "desk": (1440, 900)}
PHONE, DESK = WIDTHS["phone"], WIDTHS["desk"]


@dataclass(frozen=True)
class Visits:
    """Visits that wait: their work item and code, and how many claims the payer had before they came."""

    item: int
    code: str
    claims_before: int


class ConsoleTrial(Trial):
    """A trial whose console is looked at."""

    def __init__(self, folder: Path) -> None:
        self._codes = (code for n in count(99_900_700) if has_check_digit(code := f"{n}"))
        mappings = folder / "mappings"
        shutil.copytree(shipped("mappings") / EXAMPLE_TABLES, mappings)
        settings = example_settings()
        super().__init__(folder, settings.model_copy(update={"tables": TableSettings(dir=mappings)}))

    def start(self) -> None:
        """Start payer and adapter."""
        self.start_payer()
        self.start_adapter()

    def play_scenarios(self, *names: str) -> None:
        """Send the shipped scenarios, or those that are named, and wait until all is worked off."""
        for scenario in find_scenarios([shipped("fixtures")]):
            if not names or scenario.name in names:
                self.send(scenario)
        assert self.wait_until_settled()

    def send_visits(self, number: int) -> Visits:
        """Send visits whose one diagnosis is an invented SNOMED CT code of its own; wait until they are held."""
        code = next(self._codes)
        before = len(self.payer_claims())
        template = (shipped("fixtures") / "unmapped-diagnosis" / "01-dft-p03.hl7").read_bytes()
        with self.mllp() as client:
            for place in range(1, number + 1):
                body = template.replace(b"DX-UNKNOWN^Harbour rash^L", f"{code}^Harbour rash^SCT".encode())
                for old in (b"LK000601", b"LK10006", b"TX-1006", b"VN-1006", b"AC-5006", b"LPM-900006"):
                    body = body.replace(old, b"%s-%s-%d" % (old, code[-4:].encode(), place))
                assert client.send(body).code == "AA"
        assert self.wait_until_settled()
        items = [item for item in json.loads(self.command("work", "list", "--json")) if code in item["text"]]
        assert len(items) == 1
        return Visits(items[0]["id"], code, before)

    def wait_for_claims(self, visits: Visits, number: int, seconds: float = 60.0) -> None:
        """Wait until the payer has so many claims of these visits, and no more come after all is worked off."""
        until = time.monotonic() + seconds
        while len(self.payer_claims()) - visits.claims_before < number and time.monotonic() < until:
            time.sleep(0.05)
        assert self.wait_until_settled()
        assert len(self.payer_claims()) - visits.claims_before == number

    def command(self, *words: str) -> str:
        """What a command prints that a person types on this machine."""
        line = [sys.executable, "-m", "fhir_coder", *words, "-c", str(self.settings_file)]
        done = subprocess.run(line, capture_output=True, text=True, check=False, cwd=self.folder)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def url(self, path: str) -> str:
        """The address of a page of the console."""
        return f"http://127.0.0.1:{self.http_port}/console{path}"


@contextmanager
def open_browser(executable: str) -> Iterator[Any]:
    """A browser that ends with the block."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=["--no-sandbox"])
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def looking(browser: Any, size: tuple[int, int] = DESK, **options: Any) -> Iterator[Any]:
    """A page of a fresh browser context; what its scripts complain of fails the test."""
    context = browser.new_context(
        viewport={"width": size[0], "height": size[1]}, timezone_id="America/Chicago", locale="en-US", **options
    )
    complaints: list[str] = []
    shown = context.new_page()
    shown.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
    shown.on("pageerror", lambda error: complaints.append(str(error)))
    try:
        yield shown
        assert [said for said in complaints if "status of 404" not in said] == []
    finally:
        context.close()


def first_link(path: str, below: str = "", query: str = "") -> Callable[[ConsoleTrial, Any], str]:
    """The page that the first row of a list leads to, a page below it, or the same with a query."""

    def found(site: ConsoleTrial, shown: Any) -> str:
        shown.goto(site.url(path))
        first = str(shown.locator("main tbody a").first.get_attribute("href")).removeprefix("/console")
        return f"{first}{below}{f'?{query}' if query else ''}"

    return found


PAGES: Mapping[str, str | Callable[[ConsoleTrial, Any], str]] = {
    "today": "/",
    "worklist": "/worklist",
    "work-item": first_link("/worklist?kind=gap"),
    "work-finding": first_link("/worklist?kind=finding"),
    "work-message": first_link("/worklist?kind=quarantine"),
    "code-search": first_link("/worklist?kind=gap", query="q=rash"),
    "claims": "/claims",
    "claim-held": first_link("/claims?status=held"),
    "claim-answered": first_link("/claims?status=complete"),
    "claim-json": first_link("/claims?status=complete", query="view=fhir"),
    "claim-wire": first_link("/claims?status=complete", query="view=wire"),
    "claim-hold": first_link("/claims?status=held", "/hold"),
    "charts": "/charts",
    "chart": first_link("/charts?status=finished"),
    "messages": "/messages",
    "messages-none": "/messages?control_id=NOBODY",
    "messages-fault": "/messages?since=yesterday",
    "message": first_link("/messages?type=DFT^P03"),
    "message-parsed": first_link("/messages?type=DFT^P03", query="view=parsed"),
    "message-again": first_link("/messages?status=quarantined", "/reprocess"),
    "message-edit": first_link("/messages?status=quarantined", "/edit"),
    "report": "/report",
    "denials": "/denials",
    "tables": "/tables",
    "table": "/tables/charge-master",
    "feeds": "/feeds",
    "feed": "/feeds/mllp",
    "payers": "/payers",
    "payer": "/payers/lakeshore",
    "settings": "/settings",
    "display": "/display",
    "not-found": "/no-such-page",
}
"""Every page by a name that its screenshots have: its path, or how it is found."""


def path_of(name: str, site: ConsoleTrial, shown: Any) -> str:
    """The path of a page of `PAGES`."""
    found = PAGES[name]
    return found if isinstance(found, str) else found(site, shown)
