"""The sandbox's pages: what they show of claims, submissions, faults and rules, and that nothing on them is foreign."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import requests

from fhir_coder.payers import sandbox
from fhir_coder.payers.sandbox import Rules, running
from tests.sandbox import line, make_claim, money, post

_VOID = frozenset({"meta", "link", "input", "br"})


class Page(HTMLParser):
    """One page: its text, links and labels; whether every element is closed where it should be."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.told: list[str] = []
        self.links: list[str] = []
        self.inputs = self.labelled = 0
        self.feed(html)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        assert tag not in ("script", "style", "img", "iframe")
        assert not {"style", "onclick", "onload"} & set(found)
        self.links += [str(found[name]) for name in ("href", "action", "src") if name in found]
        if tag in ("input", "select"):
            self.inputs += 1
            self.labelled += "label" in self.open
        if tag not in _VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        # The end of an option may be left out (HTML 13.1.2.4).
        if tag == "select":
            self.open = [t for t in self.open if t != "option"]
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.told.append(data.strip())

    @property
    def text(self) -> str:
        return " ".join(part for part in self.told if part)


@pytest.fixture
def url() -> Iterator[str]:
    with running(rules=Rules(denied_codes=frozenset({"J1885"})), faults=["500:1:on=3"]) as address:
        yield address


def page(url: str, path: str = "/_sandbox/", status: int = 200, **asked: Any) -> Page:
    answer = requests.get(url + path, asked, timeout=10)
    assert answer.status_code == status
    assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'; style-src 'self'")
    assert answer.headers["Cache-Control"] == "no-store"
    found = Page(answer.text)
    assert all(link.startswith(("/_sandbox/", "#")) for link in found.links)
    assert found.inputs == found.labelled
    return found


def test_an_empty_sandbox_says_so_and_what_to_do(url: str) -> None:
    assert "No claim has come yet." in page(url).text
    assert "POST a Claim to /fhir/Claim" in page(url).text
    assert page(url, "/").text == page(url).text


def test_claims_are_listed_with_their_decision(url: str) -> None:
    post(url, make_claim("C-1"))
    post(url, make_claim("C-2", item=[line(1, "J1885", "5")], total=money("5")))
    told = page(url).text
    for part in ("C-1", "part-paid", "120.20 USD", "C-2", "denied", "2 claims, latest first"):
        assert part in told
    assert told.index("C-2") < told.index("C-1")


def test_the_list_is_filtered(url: str) -> None:
    post(url, make_claim("C-1"))
    post(url, make_claim("C-2", item=[line(1, "J1885", "5")], total=money("5")))
    assert "1 claim, latest first" in page(url, decision="denied").text
    assert "1 claim, latest first" in page(url, identifier="urn:example:claim|C-1").text
    assert "No claim is like this." in page(url, identifier="C-9", decision="paid").text


def test_older_claims_are_a_page_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fhir_coder.payers.sandbox.pages._SHOWN", 2)
    with running() as url:
        for number in range(5):
            post(url, make_claim(f"C-{number}"))
        seen, path = [], "/_sandbox/?decision=paid"
        while path:
            found = page(url, path)
            seen.append([link for link in found.links if link.startswith("/_sandbox/claims/")])
            path = next((link for link in found.links if "before=" in link), "")
    assert seen == [[f"/_sandbox/claims/{n}" for n in group] for group in ((5, 4), (3, 2), (1,))]


def test_a_claim_is_shown_with_its_lines_and_as_it_came(url: str) -> None:
    post(url, make_claim())
    told = page(url, "/_sandbox/claims/1").text
    for part in ("G0463", "150.25 USD", "not-covered", '"resourceType": "ClaimResponse"', "Submission 1"):
        assert part in told


def test_a_submission_is_shown_as_it_came_and_without_what_proves_who_sent_it(url: str) -> None:
    post(url, make_claim(), If_None_Exist="identifier=urn:example:claim|C-1", Authorization="Bearer poison-token")
    told = page(url, "/_sandbox/submissions/1").text
    assert "identifier=urn:example:claim|C-1" in told
    assert '"value": "C-1"' in told
    assert "poison-token" not in told
    assert "withheld" in told


def test_a_refused_submission_tells_why(url: str) -> None:
    post(url, make_claim(priority=None))
    assert "Claim.priority" in page(url, "/_sandbox/submissions/1").text
    requests.post(f"{url}/Claim", b"<not> json & \xff", timeout=10)
    assert "<not> json &" in page(url, "/_sandbox/submissions/2").text


def test_what_is_sent_cannot_become_part_of_the_page(url: str) -> None:
    post(url, make_claim('<script>alert("x")</script>'))
    for path in ("/_sandbox/", "/_sandbox/claims/1", "/_sandbox/submissions/1"):
        assert '<script>alert("x")</script>' in page(url, path).text.replace('\\"', '"')


@pytest.mark.parametrize("path", ["/claims/9", "/claims/x", "/submissions/9", "/submissions/99999999999999999999"])
def test_what_is_not_there_is_a_page_too(url: str, path: str) -> None:
    assert "Not here" in page(url, f"/_sandbox{path}", 404).text


def test_faults_and_rules_are_shown(url: str) -> None:
    told = page(url).text
    assert "500:1:on=3" in told
    assert "denied codes J1885" in told


def test_the_style_has_a_light_and_a_dark_side_that_can_be_read() -> None:
    css = (Path(sandbox.__file__).parent / "templates" / "sandbox.css").read_text(encoding="utf-8")
    colours = dict(re.findall(r"--(\w+): light-dark\((#\w{6}, #\w{6})\)", css))
    for name in ("ink", "soft", "link", "good", "bad", "wait"):
        for ground in ("ground", "panel"):
            for side in (0, 1):
                pair = (colours[name].split(", ")[side], colours[ground].split(", ")[side])
                assert contrast(*pair) >= 4.5, (name, ground, side)


def contrast(one: str, other: str) -> float:
    """The contrast of two colours (WCAG 2.2)."""
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
