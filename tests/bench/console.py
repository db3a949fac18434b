"""Server time of the console's pages on a ledger of many messages: `python -m tests.bench.console [MESSAGES]`.

Fills a ledger (a million messages, 200,000 charts and claims, 5,000 work items) and asks each page over HTTP, after
one request that warms it. A list page is to take less than 150 ms, a work item less than 200 ms, also at the median of
deep pages.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from fastapi.testclient import TestClient
from sqlalchemy import Connection, insert

from fhir_coder.app import App
from fhir_coder.intake.desk import IntakeDesk
from fhir_coder.settings import example_settings
from fhir_coder.settings.service import StoreSettings
from fhir_coder.store import Ledger
from fhir_coder.store.ids import new_id
from fhir_coder.store.inbox import Inbox
from fhir_coder.store.items import Item, open_item
from fhir_coder.store.schema import charts, claims, events, message_topics, messages
from fhir_coder.web.api import WebAccess, create_app
from fhir_coder.web.console import ConsoleSite

LIMIT = 0.150
_REPEATS = 5
_BATCH = 10_000
_START = datetime.now(UTC) - timedelta(days=30)
_FEEDS = ("adt", "charges", "clinic")
_STATUSES = ("charted",) * 97 + ("ignored", "quarantined", "received")
_CLAIMS = (
    ("complete",) * 80
    + ("denied",) * 8
    + ("partial",) * 4
    + ("held",) * 3
    + ("queued", "ready", "sent", "voided", "replaced")
)


def fill(ledger: Ledger, number: int) -> None:
    """Write messages, a fifth as many charts and claims, and work items."""
    step = timedelta(days=30) / number
    for first in range(0, number, _BATCH):
        with ledger.writing() as connection:
            _batch(connection, first, min(number, first + _BATCH), step)
    with ledger.writing() as connection:
        for place in range(5_000):
            open_item(connection, _START + place * step, _item(place, number // 5))


def _batch(connection: Connection, first: int, last: int, step: timedelta) -> None:
    ids = [new_id(_START + place * step) for place in range(first, last)]
    rows = [_message(place, ids[place - first], step) for place in range(first, last)]
    connection.execute(insert(messages), rows)
    visits = range(first // 5, last // 5)
    connection.execute(insert(charts), [_chart(place, step) for place in visits])
    connection.execute(insert(claims), [_claim(place, step) for place in visits])
    topics = [{"topic": key(place // 5), "message_id": ids[place - first]} for place in range(first, last)]
    connection.execute(insert(message_topics), topics)
    happened = [
        {"at": _START, "actor": "fhir-coder", "subject": "message", "subject_id": one, "to_status": "received"}
        for one in ids
    ]
    connection.execute(insert(events), happened)


def key(place: int) -> str:
    """A chart key."""
    return f"LAKESHORE/VN/VN-{place}"


def _message(place: int, message_id: str, step: timedelta) -> dict[str, Any]:
    return {
        "id": message_id,
        "feed": _FEEDS[place % 3],
        "format": "hl7v2",
        "type": "DFT^P03" if place % 5 else "ADT^A04",
        "control_id": f"C{place}",
        "sender": "LKEHR",
        "sha256": f"{place:064x}",
        "body": b"MSH|^~\\&|LKEHR|LAKESHORE|||20261109100000||DFT^P03|C|P|2.5.1\r" + b"x" * 200,
        "received_at": _START + place * step,
        "status": _STATUSES[place % 100],
    }


def _chart(place: int, step: timedelta) -> dict[str, Any]:
    at = _START + 5 * place * step
    return {"key": key(place), "first_seen_at": at, "folded_at": at, "status": "finished", "messages": 5}


def _claim(place: int, step: timedelta) -> dict[str, Any]:
    at = _START + 5 * place * step
    status = _CLAIMS[place % 100]
    return {
        "id": new_id(at),
        "identifier": f"CLM-{place}-1",
        "chart_key": key(place),
        "payer": ("lakeshore", "statewide")[place % 2],
        "slot": "professional-1",
        "revision": 1,
        "purpose": "bill",
        "status": status,
        "body": b"{}",
        "content_hash": "",
        "explained": '{"traces":[],"findings":[],"gaps":[]}',
        "total": "236.00",
        "currency": "USD",
        "created_at": at,
        "updated_at": at,
    }


def _item(place: int, visits: int) -> Item:
    return Item(f"gap {place}", "gap", "no_row", "an unmapped code", key(place % visits))


def pages(client: TestClient) -> Iterator[tuple[str, str]]:
    """The pages that are timed, by a name."""
    yield "today", "/"
    for name, path in (
        ("messages", "/messages"),
        ("messages of a status", "/messages?status=quarantined"),
        ("messages of a feed and status", "/messages?feed=clinic&status=received"),
        ("messages of a type, one hour", "/messages?type=DFT^P03&since=1h"),
        ("messages by control id", "/messages?control_id=C4711"),
        ("claims", "/claims"),
        ("claims of a status", "/claims?status=denied"),
        ("claims of a payer and status", "/claims?payer=statewide&status=queued"),
        ("claims at the payer", "/claims?status=sent,unknown,queued"),
        ("claims answered", "/claims?status=complete,partial,denied"),
        ("claims of a payer without any", "/claims?payer=lakeshore-review"),
        ("claims of a payer", "/claims?payer=lakeshore"),
        ("charts", "/charts"),
        ("worklist", "/worklist"),
        ("worklist of a kind", "/worklist?kind=gap"),
    ):
        yield name, path
        yield from _deep(client, name, path)


def _deep(client: TestClient, name: str, path: str) -> Iterator[tuple[str, str]]:
    """The hundredth page of a list, where it has one."""
    at = path
    for _ in range(20):
        found = client.get(f"/console{at}").text.partition('data-next href="/console')[2].partition('"')[0]
        if not found:
            return
        at = found.replace("&amp;", "&")
    yield f"{name}, page 21", at


def timed(ask: Callable[[], Any]) -> float:
    """The median of some calls in seconds, after one that warms."""
    assert ask().status_code == 200
    took = []
    for _ in range(_REPEATS):
        began = time.perf_counter()
        ask()
        took.append(time.perf_counter() - began)
    return statistics.median(took)


def main(number: int) -> None:
    """Fill a ledger and print what each page takes."""
    with tempfile.TemporaryDirectory() as folder:
        store = StoreSettings(url=f"sqlite:///{Path(folder) / 'ledger.db'}")
        with App(example_settings().model_copy(update={"store": store})) as app:
            began = time.perf_counter()
            fill(app.ledger, number)
            print(f"{number:,} messages written in {time.perf_counter() - began:.0f} s")
            desk = IntakeDesk(app.ledger, lambda: None, Inbox(app.ledger))
            web = create_app(app.ledger, desk, WebAccess("", (), 1 << 20), None, ConsoleSite(app, lambda: None))
            client = TestClient(web)
            for name, path in pages(client):
                seconds = timed(lambda path=path: client.get(f"/console{path}"))  # type: ignore[misc]
                print(f"{1000 * seconds:8.1f} ms  {'' if seconds < LIMIT else 'SLOW '}{name}")
            desk.close()


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000)
