"""The main job, shown: real processes, real sockets, the shipped scenarios from message to the payer's answer."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Sequence
from contextlib import nullcontext
from decimal import Decimal
from itertools import zip_longest
from pathlib import Path
from typing import Any

import orjson
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from fhir_coder.model import Json
from fhir_coder.queries import ClaimStory, claim_story
from fhir_coder.replay import collect
from fhir_coder.scenarios import Scenario, find_scenarios, read_expected
from fhir_coder.screens import aligned, attempt_text, payer_title
from fhir_coder.settings import Settings
from fhir_coder.shipped import shipped
from fhir_coder.store import items
from fhir_coder.trial import Trial

FAULTS = ("503:1:retry-after=3:on=2", "drop-after-read:1:on=4")
"""One claim is answered 503 + Retry-After, one connection is dropped after the claim was read."""

ANSWERED = ("complete", "partial", "denied")


def run_demo(settings: Settings, keep: Path | None = None, kill: bool = False) -> int:
    """Run the shipped scenarios at a site, all at once; 0 only if each expected claim was accepted exactly once.

    The scenarios expect the example site's tables. With `kill` the adapter is ended by SIGKILL in the middle of its
    work and started again.
    """
    console = Console(highlight=False, soft_wrap=True)
    scenarios = find_scenarios([shipped("fixtures")], deep=False)
    folder = nullcontext(str(keep)) if keep else tempfile.TemporaryDirectory(prefix="fhir-coder-demo-")
    with folder as path, Trial(Path(path), settings) as trial:
        trial.start_payer(FAULTS)
        trial.start_adapter()
        console.print(
            f"sandbox payer on port {trial.payer_port}, adapter: MLLP {trial.mllp_port}, HTTP {trial.http_port}, in/"
        )
        told = _send_all(scenarios, trial, console)
        if kill:
            trial.kill("adapter")
            console.print("killed the adapter (SIGKILL) in the middle of its work, starting it again")
            trial.start_adapter()
        is_settled = _follow(trial, console)
        came = {s.name: collect(trial, s, told[s.name]) for s in scenarios}
        _print_claims(scenarios, came, trial, console)
        _print_retries(trial, came, console)
        _print_open_items(trial, console)
        faults = check_accepted_once(scenarios, came, trial.payer_claims())
    if not is_settled:
        faults.append("not everything came to its end in time")
    for fault in faults:
        console.print(f"NOT AS EXPECTED  {fault}")
    if not faults:
        accepted = sum(c["status"] in ANSWERED for s in came.values() for c in s["claims"])
        console.print(f"\nAll {accepted} expected claims were accepted exactly once.")
    return int(bool(faults))


def _send_all(scenarios: Sequence[Scenario], trial: Trial, console: Console) -> dict[str, dict[str, str]]:
    told = {}
    with _progress(console) as progress:
        task = progress.add_task("sending", total=len(scenarios))
        for scenario in scenarios:
            told[scenario.name] = trial.send(scenario)
            progress.advance(task)
    for via in ("mllp", "http", "folder"):
        sent = [s for s in scenarios if s.via == via]
        number = sum(len(s.payloads()) for s in sent)
        console.print(f"sent {number:3} messages over {via:6} {', '.join(s.name for s in sent)}")
    return told


def _follow(trial: Trial, console: Console) -> bool:
    most = 1
    with _progress(console) as progress:
        task = progress.add_task("coding, sending, asking", total=None)

        def show(left: int) -> None:
            nonlocal most
            most = max(most, left)
            progress.update(task, total=most, completed=most - left)

        return trial.wait_until_settled(120, show)


def _progress(console: Console) -> Progress:
    columns = (
        TextColumn("{task.description:24}"),
        BarColumn(),
        TextColumn("{task.completed}/{task.total}"),
        TimeElapsedColumn(),
    )
    return Progress(*columns, console=console, transient=True)


HEADS = ("messages", "visit", "payer", "code", "came from", "charge", "attempts", "answer")


def _print_claims(scenarios: Sequence[Scenario], came: dict[str, Json], trial: Trial, console: Console) -> None:
    rows = [list(HEADS)]
    for scenario in scenarios:
        rows.append([""] * len(HEADS))
        messages = [f"{m['type'] or 'unreadable'} {m['status']}" for m in came[scenario.name]["messages"]]
        blocks = [_claim_columns(c, claim_story(trial.ledger, _identifier(c))) for c in came[scenario.name]["claims"]]
        if not blocks:
            blocks = [[[], [], [], [], [], [], ["no claim"]]]
        for number, block in enumerate(blocks):
            rows += _side_by_side([_counted(messages) if number == 0 else [], *block])
    console.print()
    for line in aligned(rows):
        console.print(line)


def _claim_columns(claim: Json, story: ClaimStory) -> list[list[str]]:
    """The columns of one claim: visit, payer, codes, where they came from, charges, attempts, answer."""
    body = orjson.loads(story.row.body)
    traces = [t for t in claim["traces"] if t["path"]]
    codes = [t["code"] for t in traces]
    origins = [_came_from(t) for t in traces]
    charges = [_charge(body, t) for t in traces]
    for gap in claim["gaps"]:
        codes.append("gap")
        origins.append(f"{gap['at'].split(' ', 1)[1]} {gap['code']}: {gap['reason']}")
        charges.append("")
    if story.row.total:
        codes.append("total")
        origins.append("")
        charges.append(story.row.total)
    holding = [f["edit"] for f in claim["findings"] if f["severity"] == "reject"]
    attempts = [f"{a.kind} {a.http_status or ''} {a.outcome}".replace("  ", " ") for a in story.attempts]
    answer = [_answer(story.row), *holding]
    return [
        [_short(story.row.chart_key)],
        [payer_title(body, story.row.payer)],
        codes,
        origins,
        charges,
        attempts or ["not sent"],
        answer,
    ]


def _came_from(trace: Json) -> str:
    why = f"{trace['table']} row {trace['row']}" if trace["table"] else "came coded"
    return f"{trace['at'].split(' ', 1)[1]}   {why}"


def _charge(body: Json, trace: Json) -> str:
    kind, index = trace["path"].removeprefix("Claim.").rstrip("]").split("[")
    if kind != "item":
        return ""
    net = body["item"][int(index)].get("net", {}).get("value")
    return "no amount" if net is None else f"{Decimal(str(net)):.2f}"


def _counted(messages: list[str]) -> list[str]:
    """Equal messages on one line with their number."""
    return [f"{n} × {m}" if n > 1 else m for m, n in Counter(messages).items()]


def _side_by_side(columns: list[list[str]]) -> list[list[str]]:
    return [list(row) for row in zip_longest(*columns, fillvalue="")]


def _short(chart_key: str) -> str:
    """The visit's own number: the last part of its key, the end of a long one."""
    name = chart_key.rsplit("/", 1)[1]
    return name if len(name) <= 14 else f"…{name[-12:]}"


def _identifier(claim: Json) -> str:
    return str(claim["claim"]["identifier"][0]["value"])


def _answer(row: Any) -> str:
    if not row.adjudication:
        return str(row.status)
    paid = orjson.loads(row.adjudication)["paid"]
    return f"{row.status}, paid {paid['value']}" if paid else str(row.status)


def _print_retries(trial: Trial, came: dict[str, Json], console: Console) -> None:
    stories = [claim_story(trial.ledger, _identifier(c)) for s in came.values() for c in s["claims"]]
    console.print("\nWhat did not go right the first time")
    for story in stories:
        if any(a.outcome in ("busy", "unknown", "not-sent") for a in story.attempts):
            console.print(f"  {story.row.identifier}")
            rows = [
                [str(n), a.kind, attempt_text(a), f"then: {a.next_action}"]
                for n, a in enumerate(story.attempts, start=1)
            ]
            for line in aligned(rows, indent=4):
                console.print(line)


def _print_open_items(trial: Trial, console: Console) -> None:
    with trial.ledger.reading() as connection:
        waiting = items.open_items(connection)
    console.print(f"\nWaits for a person: {len(waiting)}")
    rows = [[str(i.id), i.kind, _short(f"/{i.chart_key or i.message_id}"), i.reason, i.text] for i in waiting]
    for line in aligned(rows, indent=2):
        console.print(line)


def check_accepted_once(scenarios: Sequence[Scenario], came: dict[str, Json], held: list[dict[str, Any]]) -> list[str]:
    """What is wrong: an expected claim that the payer does not hold exactly once, or one it should not hold."""
    at_payer = [claim["identifier"] for claim in held]
    faults, wanted = [], []
    for scenario in scenarios:
        expected = read_expected(scenario)
        if expected is None:
            faults.append(f"{scenario.name}: nothing is written down as expected")
            continue
        for claim in expected["claims"]:
            identifier = _identifier(claim)
            if claim["status"] in ANSWERED:
                wanted.append(identifier)
                faults += _accepted_once(scenario, identifier, at_payer, came[scenario.name])
    faults += [
        f"{identifier}: the payer holds a claim that is not expected"
        for identifier in at_payer
        if identifier not in wanted
    ]
    return faults


def _accepted_once(scenario: Scenario, identifier: str, at_payer: list[str], came: Json) -> list[str]:
    number = at_payer.count(identifier)
    if number != 1:
        return [f"{scenario.name}: the payer holds {identifier} {number} times"]
    statuses = [c["status"] for c in came["claims"] if _identifier(c) == identifier]
    return [] if statuses and statuses[0] in ANSWERED else [f"{scenario.name}: {identifier} has no answer"]
