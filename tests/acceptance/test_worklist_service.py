"""A coder's day against a running service: one unmapped code holds forty claims, two people decide, all go out."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests

from fhir_coder.hl7v2.mllp_frame import frame
from fhir_coder.queries import list_claims
from fhir_coder.shipped import EXAMPLE_TABLES, shipped
from fhir_coder.trial import HOST, Trial

VISITS = 40
MESSAGE = (shipped("fixtures") / "unmapped-diagnosis" / "01-dft-p03.hl7").read_text(encoding="utf-8")


@pytest.fixture
def site(trial: Trial) -> Trial:
    """A payer and an adapter that run with tables of their own."""
    own = trial.folder / "mappings"
    shutil.copytree(shipped("mappings") / EXAMPLE_TABLES, own)
    text = trial.settings_file.read_text()
    line = next(line for line in text.splitlines() if line.startswith("dir = "))
    trial.settings_file.write_text(text.replace(line, f'dir = "{own}"'))
    trial.start_payer()
    trial.start_adapter()
    return trial


def visits(numbers: range) -> bytes:
    """Messages of visits with the unmapped diagnosis, each of its own patient."""
    texts = []
    for number in numbers:
        text = MESSAGE
        for name in ("LK000601", "LK10006", "AC-5006", "VN-1006", "TX-1006-1", "LPM-900006"):
            text = text.replace(name, f"{name}{number}")
        texts.append(text.replace("236.00", f"{100 + number}.00"))
    return b"".join(frame(text.encode()) for text in texts)


def send(site: Trial, numbers: range) -> None:
    with socket.create_connection((HOST, site.mllp_port)) as line:
        line.sendall(visits(numbers))
        answered = b""
        while answered.count(b"\x1c\r") < len(numbers):
            answered += line.recv(65536)
    assert answered.count(b"MSA|AA|") == len(numbers)
    assert site.wait_until_settled()


def eventually(is_so: Callable[[], bool], seconds: float = 60.0) -> bool:
    """Wait until something is so; false where it takes too long."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if is_so():
            return True
        time.sleep(0.1)
    return False


def command(site: Trial, *arguments: str) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-m", "fhir_coder", *arguments, "-c", str(site.settings_file)]
    return subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)


def told(site: Trial, *arguments: str) -> Any:
    done = command(site, *arguments, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def api(site: Trial, method: str, path: str, body: Any = None, status: int = 200) -> Any:
    answer = requests.request(method, f"http://{HOST}:{site.http_port}/api/work{path}", json=body, timeout=60)
    assert answer.status_code == status, answer.text
    return answer.json() if status == 200 else answer.text


def test_one_code_holds_forty_claims_until_two_people_agree_on_its_row(site: Trial) -> None:
    send(site, range(VISITS))
    [item] = told(site, "work", "list")
    assert (item["charts"], item["amount"]) == (VISITS, str(sum(100 + n for n in range(VISITS))) + ".00")
    [queue] = api(site, "GET", "/queues")["queues"]
    assert (queue["care"], queue["items"]) == ("outpatient", 1)

    taken = api(site, "POST", "/take", {"care": "outpatient"})["item"]
    refused = command(site, "work", "take", str(item["id"]))
    assert (taken["id"], taken["taken_by"], refused.returncode) == (item["id"], "http", 1)
    assert "http has work item" in refused.stderr

    case = api(site, "GET", f"/items/{item['id']}")
    assert [line["value"] for line in case["source"]["lines"] if line["is_marked"]] == ["DX-UNKNOWN"]
    assert case["question"]["origin"]["path"] == "DG1[1]"

    here = f"/items/{item['id']}"
    one = case["question"]["chart_key"]
    decided = api(site, "POST", f"{here}/decide", {"codes": ["L22"], "chart": one, "why": "diapers"})
    assert [claim["is_ready"] for claim in decided["after"]] == [True]
    assert decided["charts_left"] == VISITS - 1

    api(site, "POST", f"{here}/propose", {"to": "R21", "why": "the clinic means a rash"})
    assert "another person" in api(site, "POST", f"{here}/approve", {}, 409)
    whole = told(site, "work", "approve", str(item["id"]), "--dry-run")
    assert len(whole["claims"]) == VISITS - 1
    assert told(site, "work", "approve", str(item["id"]), "--why", "as agreed")["charts"] == VISITS - 1

    assert eventually(lambda: {c.status for c in list_claims(site.ledger, limit=100)} == {"complete"})
    received = site.payer_claims()
    assert len(received) == VISITS
    assert {one["received"] for one in received} == {1}
    assert told(site, "work", "list") == []
    story = command(site, "claims", "show", one).stdout
    assert "L22" in story
    assert "decided by http at " in story


def test_people_who_take_the_next_item_at_once_get_different_ones(site: Trial) -> None:
    body = MESSAGE
    for number in range(12):
        text = body.replace("DX-UNKNOWN", f"DX-{number}")
        for name in ("LK000601", "LK10006", "AC-5006", "VN-1006", "TX-1006-1", "LPM-900006"):
            text = text.replace(name, f"{name}{number}")
        (site.inbox / f"{number}.hl7").write_text(text, encoding="utf-8", newline="")
    assert eventually(lambda: len(told(site, "work", "list")) == 12)

    with ThreadPoolExecutor(12) as people:
        answers = list(people.map(lambda _: api(site, "POST", "/take", {}), range(12)))
    taken = [answer["item"]["id"] for answer in answers if answer["item"]]
    assert len(taken) == len(set(taken)) == 12
    assert api(site, "POST", "/take", {}) == {"item": None}


def test_what_is_asked_wrongly_is_told_what_is_wrong(site: Trial) -> None:
    send(site, range(1))

    assert "no open work item" in api(site, "POST", "/items/99/take", {}, 404)
    assert "no such action" in api(site, "POST", "/items/1/eat", {}, 404)
    assert "codes: a list is wanted" in api(site, "POST", "/items/1/decide", {"codes": "R21"}, 400)
    assert "no JSON object" in api(site, "POST", "/items/1/decide", ["R21"], 400)
    assert "not a valid code" in api(site, "POST", "/items/1/preview", {"codes": ["R99.99"]}, 422)
    assert "say why" in api(site, "POST", "/items/1/skip", {}, 422)
    assert "in the future" in api(site, "POST", "/items/1/hold", {"until": "2020-01-01", "why": "x"}, 422)
    assert "until: not a time" in api(site, "POST", "/items/1/hold", {"until": "soon", "why": "x"}, 400)
    assert "status of an item" in api(site, "GET", "/items?status=urgent", None, 422)
    assert "no place to continue" in api(site, "GET", "/items?after=2", None, 422)
    assert "rate" in api(site, "POST", "/sample", {"rate": "5"}, 422)
    assert "is no review" in api(site, "POST", "/items/1/codes", {}, 404)
