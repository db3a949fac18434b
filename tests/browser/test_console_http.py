"""The console over plain HTTP: what it answers without a browser."""

from __future__ import annotations

import html
import json
import re
import shlex
import threading
from pathlib import Path
from typing import Any

import pytest
import requests

from fhir_coder.errors import FhirCoderError
from fhir_coder.settings import load_settings
from fhir_coder.settings.shown import settings_shown
from fhir_coder.shipped import shipped
from fhir_coder.web.console.editing import as_bytes, as_text
from fhir_coder.web.console.figures import Counted
from tests.browser.site import ConsoleTrial

LISTS = ("/", "/worklist", "/claims", "/charts", "/messages", "/report", "/tables", "/feeds", "/payers", "/settings")
NAMES = re.compile(r"PLACEHOLDER|LK100\d\d|VN-1\d\d\d|LPM-9\d+|lk-100\d\d|lk-vn-\d+")
"""Names, record numbers, visit numbers and member numbers of the shipped scenarios."""


def get(site: ConsoleTrial, path: str) -> requests.Response:
    return requests.get(site.url(path), timeout=60)


def post(site: ConsoleTrial, path: str, said: dict[str, Any] | None = None, **headers: str) -> requests.Response:
    return requests.post(site.url(path), data=said or {}, headers=headers, timeout=60, allow_redirects=False)


def links(text: str, begin: str) -> list[str]:
    """The addresses of a page that begin so, without the console's prefix."""
    found = re.findall(rf'href="/console({re.escape(begin)}[^"]*)"', text)
    return [html.unescape(one) for one in dict.fromkeys(found)]


def message_id(site: ConsoleTrial, query: str) -> str:
    return links(get(site, f"/messages?{query}").text, "/messages/0")[0]


@pytest.mark.parametrize("path", [*LISTS, "/display", "/nowhere"])
def test_a_page_allows_nothing_inline_and_is_kept_nowhere(site: ConsoleTrial, path: str) -> None:
    answer = get(site, path)

    assert answer.headers["Cache-Control"] == "no-store"
    policy = answer.headers["Content-Security-Policy"]
    assert "unsafe" not in policy
    assert {"default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'"} <= set(policy.split("; "))
    assert re.findall(r"<script(?![^>]*\bsrc=)|\bstyle=|\bon[a-z]+=\"", answer.text) == []
    assert re.findall(r'\b(?:href|src|action)="(?:https?:)?//', answer.text) == [], "it works offline"


@pytest.mark.parametrize("path", LISTS)
def test_lists_addresses_and_titles_name_nobody(site: ConsoleTrial, path: str) -> None:
    text = get(site, path).text

    assert NAMES.findall(text) == []


def test_a_record_has_no_name_in_its_address_and_title(site: ConsoleTrial) -> None:
    for begin in ("/charts", "/claims", "/messages", "/worklist"):
        for path in links(get(site, begin).text, f"{begin}/")[:5]:
            text = get(site, path).text
            title = re.search(r"<title>(.*?)</title>", text)
            assert title is not None
            told = [path, title[1], *re.findall(r'(?:href|action)="([^"]*)"', text)]
            assert NAMES.findall(" ".join(told)) == []


def test_a_patient_is_found_and_the_number_stands_sealed_in_the_address(site: ConsoleTrial) -> None:
    moved = post(site, "/messages/find", {"typed": "patient", "patient": "LK10006"})
    found = requests.get(f"http://127.0.0.1:{site.http_port}{moved.headers['Location']}", timeout=60)

    assert moved.status_code == 303
    assert "LK10006" not in moved.headers["Location"]
    assert re.findall(r"LK0\d+", found.text) == ["LK000601"]


def test_an_address_that_was_changed_names_nothing(site: ConsoleTrial) -> None:
    path = links(get(site, "/charts").text, "/charts/")[0]
    changed = path[:-3] + ("AAA" if not path.endswith("AAA") else "BBB")

    assert get(site, changed).status_code == 404
    assert get(site, path).status_code == 200


@pytest.mark.parametrize("path", ["/messages/NO-SUCH", "/claims/NO-SUCH", "/worklist/999999", "/nowhere/at/all"])
def test_what_is_not_there_is_a_page_that_leads_on(site: ConsoleTrial, path: str) -> None:
    answer = get(site, path)

    assert answer.status_code == 404
    assert "Not found" in answer.text
    assert "Traceback" not in answer.text


def test_a_list_pages_by_key_without_gap_or_repeat(site: ConsoleTrial) -> None:
    first = get(site, "/messages").text
    second = get(site, links(first, "/messages?before=")[0]).text
    ids = [links(text, "/messages/0") for text in (first, second)]

    assert len(ids[0]) == 50
    assert ids[1]
    assert not set(ids[0]) & set(ids[1])
    assert sorted(ids[0] + ids[1], reverse=True) == ids[0] + ids[1]


def test_the_command_beside_a_list_shows_the_same_claims(site: ConsoleTrial) -> None:
    query = "status=complete%2Cpartial%2Cdenied&payer=statewide"
    text = get(site, f"/claims?{query}").text
    command = html.unescape(re.search(r"<code>(fhir-coder claims list [^<]*)</code>", text)[1])  # type: ignore[index]

    on_page = re.findall(r"CLM-[A-Z0-9]+-\d+", re.sub(r"(?s)<nav.*?</nav>", "", text))
    listed = re.findall(r"^CLM-\S+", site.command(*shlex.split(command)[1:]), re.MULTILINE)
    assert listed
    assert on_page == listed


def test_a_filter_that_cannot_be_read_says_so_and_lists_nothing(site: ConsoleTrial) -> None:
    text = get(site, "/messages?since=yesterday").text

    assert "not a time" in text
    assert links(text, "/messages/0") == []


@pytest.mark.parametrize(
    "headers",
    [{"Origin": "https://elsewhere.example"}, {"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}],
)
def test_a_form_that_another_site_sends_does_nothing(site: ConsoleTrial, headers: dict[str, str]) -> None:
    path = links(get(site, "/claims?status=held").text, "/claims/0")[0]

    assert post(site, f"{path}/hold", {"why": "x"}, **headers).status_code == 403
    assert "hold until a person releases it" in get(site, path).text


def test_an_order_is_shown_first_and_then_done(other_site: ConsoleTrial) -> None:
    other_site.send_visits(1)
    path = links(get(other_site, "/claims?status=held").text, "/claims/0")[0]
    shown = get(other_site, f"{path}/hold").text
    assert "Nothing has been done yet" in shown
    assert "fhir-coder claims hold" in shown

    assert post(other_site, f"{path}/hold", {"why": "asked registration"}).status_code == 303
    held = get(other_site, path).text
    assert "asked registration" in held
    assert "Release…" in held


def test_the_next_item_is_taken_and_is_given_back(other_site: ConsoleTrial) -> None:
    other_site.send_visits(1)
    taken = post(other_site, "/worklist/next", {"kind": "gap"}).headers["Location"].removeprefix("/console")
    assert "Give back" in get(other_site, taken).text

    number = taken.partition("?")[0]
    assert post(other_site, f"{number}/give-back").status_code == 303
    assert "Take it" in get(other_site, number).text


def test_what_a_form_must_say_is_asked_for_and_nothing_is_lost(other_site: ConsoleTrial) -> None:
    visits = other_site.send_visits(1)
    answer = post(other_site, f"/worklist/{visits.item}/decide", {"code": "NO-CODE", "why": "as documented"})

    assert answer.status_code == 400
    assert 'value="NO-CODE"' in answer.text
    assert 'value="as documented"' in answer.text


def test_a_code_of_a_visit_is_decided_from_a_finding_about_another_thing(other_site: ConsoleTrial) -> None:
    other_site.play_scenarios("missing-subscriber")
    path = links(get(other_site, "/worklist?kind=finding").text, "/worklist/")[0]
    chart = re.search(r'name="chart" value="([^"]+)"', get(other_site, path).text)
    assert chart is not None

    said = {"chart": chart[1], "source": "279039007", "code": "NO-CODE", "why": "as documented"}
    refused = post(other_site, f"{path}/decide", said)
    assert refused.status_code == 400
    assert "not a valid code" in refused.text
    assert post(other_site, f"{path}/decide", said | {"code": "R52"}).status_code == 303
    other_site.wait_until_settled()
    assert "Decided for this chart" in get(other_site, path).text


def test_a_message_is_corrected_in_the_form(other_site: ConsoleTrial) -> None:
    visits = other_site.send_visits(1)
    path = message_id(other_site, "type=DFT^P03")
    form = get(other_site, f"{path}/edit").text
    text = html.unescape(re.search(r"<textarea[^>]*>\n(.*?)</textarea>", form, re.DOTALL)[1])  # type: ignore[index]

    unchanged = post(other_site, f"{path}/edit", {"text": text.replace("\n", "\r\n"), "codec": "utf-8"})
    assert unchanged.status_code == 400
    assert "nothing was changed" in unchanged.text
    corrected = text.replace(f"{visits.code}^Harbour rash^SCT", "R21^Rash^I10").replace("\n", "\r\n")
    assert post(other_site, f"{path}/edit", {"text": corrected, "codec": "utf-8"}).status_code == 303
    other_site.wait_for_claims(visits, 1)
    assert "Corrected by message" in get(other_site, path).text


def test_each_view_of_a_record_is_written_down(other_site: ConsoleTrial) -> None:
    other_site.send_visits(1)
    path = message_id(other_site, "type=DFT^P03")
    get(other_site, f"{path}?view=parsed")

    assert "shown parsed" in other_site.command("messages", "show", path.rpartition("/")[2])


def test_today_is_streamed(site: ConsoleTrial) -> None:
    with requests.get(site.url("/live/today"), stream=True, timeout=60) as answer:
        first = next(answer.iter_lines())

    assert answer.headers["Content-Type"].startswith("text/event-stream")
    assert first == b"event: parts"


@pytest.mark.parametrize(
    "body",
    [b"MSH|^~\\&|A\rPID|1\r", b"MSH|^~\\&|A\r\nPID|M\xfcller\r\n", "MSH|^~\\&|Ä\r".encode(), b'{\n  "a": 1\n}\n'],
)
def test_a_payload_comes_back_from_a_form_as_it_was(body: bytes) -> None:
    text, codec = as_text(body)

    assert as_bytes(text.replace("\n", "\r\n"), codec, like=body) == body


def test_a_character_that_the_charset_of_a_message_lacks_is_refused() -> None:
    _, codec = as_text(b"PID|M\xfcller\r")

    with pytest.raises(FhirCoderError, match="charset"):
        as_bytes("PID|М", codec, like=b"")


def test_figures_are_not_waited_for_and_the_old_ones_stay_until_the_new_are_there() -> None:
    may_count, counted = threading.Event(), iter((1, 2))

    def count() -> int:
        assert may_count.wait(60)
        return next(counted)

    figures = Counted(count, 0.0)
    assert figures.get(0.0) is None
    may_count.set()
    assert figures.get(60.0) == 1
    may_count.clear()
    assert figures.get(60.0) == 1
    may_count.set()
    while figures.get(60.0) == 1:
        threading.Event().wait(0.01)
    assert figures.get(0.0) == 2


def test_pasted_messages_are_read_by_the_feeds_rules_and_kept_nowhere(site: ConsoleTrial) -> None:
    message = (shipped("fixtures") / "covid" / "01-dft-p03.hl7").read_bytes().replace(b"LK000101", b"PASTED-1").decode()
    before = get(site, "/messages?control_id=PASTED-1").text

    answer = post(site, "/feeds/mllp", {"messages": message.replace("\r", "\r\n")})

    assert answer.status_code == 200
    assert "What message 1 says" in answer.text
    assert "DG1[1]" in answer.text
    assert answer.headers["Cache-Control"] == "no-store"
    assert links(before, "/messages/0") == links(get(site, "/messages?control_id=PASTED-1").text, "/messages/0") == []


@pytest.mark.parametrize("said", [{}, {"messages": "  "}, {"messages": "x" * ((1 << 20) + 1)}])
def test_nothing_pasted_and_too_much_are_answered_by_a_page(site: ConsoleTrial, said: dict[str, str]) -> None:
    assert post(site, "/feeds/mllp", said).status_code == 400
    assert post(site, "/feeds/nobody", {"messages": "MSH|"}).status_code == 404


def test_a_payer_is_tested_step_by_step(site: ConsoleTrial) -> None:
    text = post(site, "/payers/lakeshore/test").text
    assert "Claims can be sent." in text
    assert re.findall(r'data-label="Step">(\w+)<', text) == [
        "settings",
        "dns",
        "tcp",
        "tls",
        "token",
        "metadata",
        "claim",
    ]
    assert get(site, "/payers/nobody").status_code == 404


def test_each_setting_says_where_it_was_set(site: ConsoleTrial) -> None:
    text = get(site, "/settings").text
    lines = site.settings_file.read_text(encoding="utf-8").splitlines()
    line = next(n for n, one in enumerate(lines, start=1) if one.startswith("quiet_seconds"))
    assert re.search(rf">quiet_seconds</span></td><td[^>]*>0\.1</td><td[^>]*>fhir-coder\.toml:{line}<", text)
    told = json.loads(site.command("settings", "--set", "--json"))
    found = next(one for one in told if one["key"] == "quiet_seconds")
    assert found == {"section": "[worker]", "key": "quiet_seconds", "value": "0.1", "source": f"fhir-coder.toml:{line}"}


def test_what_a_settings_file_does_not_say_is_shown_as_the_default(tmp_path: Path) -> None:
    (tmp_path / "site.toml").write_text("[worker]\nthreads = 3\n\n[[feeds]]\nname = 'a'\nkind = 'http'\n")
    shown = settings_shown(load_settings(tmp_path / "site.toml"))
    sources = {(one.title, key.name): key.source for one in shown for key in one.keys}
    assert sources["[worker]", "threads"] == "site.toml:2"
    assert sources["[worker]", "quiet_seconds"] == "default"
    assert sources["[[feeds]] a", "kind"] == "site.toml:6"
    assert sources["[http]", "port"] == "default"


def test_rows_of_a_table_are_found_by_the_beginning_of_their_code_and_page_by_line(site: ConsoleTrial) -> None:
    first = get(site, "/tables/snomed-to-icd10cm").text
    numbers = [int(n) for n in re.findall(r'data-label="Line" class="num">(\d+)<', first)]
    (following,) = links(first, "/tables/snomed-to-icd10cm?before=")
    more = [int(n) for n in re.findall(r'data-label="Line" class="num">(\d+)<', get(site, following).text)]
    assert numbers == sorted(numbers)
    assert len(numbers) == 50
    assert more[0] > numbers[-1]
    found = get(site, "/tables/snomed-to-icd10cm?code=840539").text
    assert "U07.1" in found
    assert get(site, "/tables/no-such-table").status_code == 404


@pytest.mark.parametrize("query", ["from=yesterday", "to=2026-13-01", "payer=nobody"])
def test_a_report_that_cannot_be_asked_for_says_what_is_wrong(site: ConsoleTrial, query: str) -> None:
    answer = get(site, f"/report?{query}")
    assert answer.status_code == 200
    assert 'class="fault"' in answer.text
