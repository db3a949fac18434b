"""The tester's command: scenarios through the real intake, followed to their end, compared with what is expected."""

from __future__ import annotations

import hashlib
import tempfile
import xml.etree.ElementTree as ET
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
from sqlalchemy import select

from fhir_coder.model import Json
from fhir_coder.scenarios import Scenario, differences, find_scenarios, read_expected
from fhir_coder.settings import Settings
from fhir_coder.store.schema import charts, claims, message_topics, messages
from fhir_coder.trial import Trial

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class ScenarioResult:
    """What came of one scenario and how it differs from what is expected."""

    scenario: Scenario
    came: Json
    differences: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ReplayResults:
    """The results of a replay."""

    scenarios: tuple[ScenarioResult, ...]
    updated: bool = False
    notes: tuple[str, ...] = field(default=())

    @property
    def is_good(self) -> bool:
        """Whether everything came as expected."""
        return not self.notes and (self.updated or not any(r.differences for r in self.scenarios))

    def summary(self) -> str:
        """The last lines of a replay."""
        bad = sum(bool(r.differences) for r in self.scenarios)
        verb = "written as expected" if self.updated else f"as expected, {bad} differ"
        number = len(self.scenarios) if self.updated else len(self.scenarios) - bad
        return "\n".join([*self.notes, f"{len(self.scenarios)} scenarios: {number} {verb}"])

    def junit(self) -> str:
        """A JUnit report, a test case a scenario."""
        suite = ET.Element("testsuite", name="fhir-coder replay", tests=str(len(self.scenarios)))
        suite.set("failures", str(sum(bool(r.differences) for r in self.scenarios)))
        for result in self.scenarios:
            case = ET.SubElement(suite, "testcase", classname="replay", name=result.scenario.name)
            if result.differences:
                failure = ET.SubElement(case, "failure", message=f"{len(result.differences)} differences")
                failure.text = "\n".join(result.differences)
        return ET.tostring(suite, encoding="unicode")


def replay_all(
    paths: Sequence[Path], settings: Settings, *, expect: Path | None = None, update: bool = False, say: Say = print
) -> ReplayResults:
    """Replay scenarios through a fresh adapter and sandbox payer. `say` is told the progress."""
    scenarios = find_scenarios(paths)
    notes: list[str] = []
    with tempfile.TemporaryDirectory(prefix="fhir-coder-replay-") as folder, Trial(Path(folder), settings) as trial:
        trial.start_payer()
        trial.start_adapter()
        told, after = _send_in_rounds(scenarios, trial, say, notes)
        results = [
            _result(s, collect(trial, s, told[s.name]) | {"after": after[s.name]}, expect, update) for s in scenarios
        ]
    for result in results:
        say(f"{_word(result, update):9} {result.scenario.name:30} {_shortly(result.came)}")
        if not update:
            for difference in result.differences:
                say(f"            {difference}")
    return ReplayResults(tuple(results), update, tuple(notes))


def _send_in_rounds(
    scenarios: Sequence[Scenario], trial: Trial, say: Say, notes: list[str]
) -> tuple[dict[str, dict[str, str]], dict[str, Json]]:
    """Send the first file of each scenario, follow them to their end, then the second ones, and so on.

    So each message meets the same state in every run, and its own effect shows. Answers what each payload was told, and
    how the claims of each scenario stood after each of its files.
    """
    told: dict[str, dict[str, str]] = {s.name: {} for s in scenarios}
    after: dict[str, Json] = {s.name: {} for s in scenarios}
    for number in range(max(len(s.files) for s in scenarios)):
        sent = [s for s in scenarios if number < len(s.files)]
        for scenario in sent:
            told[scenario.name] |= trial.send_file(scenario, scenario.files[number])
        say(f"sent file {number + 1} of {', '.join(s.name for s in sent)}")
        if not trial.wait_until_settled(60 + 2 * len(sent)):
            notes.append(f"not everything of file {number + 1} came to its end in time")
        for scenario in sent:
            after[scenario.name][scenario.files[number].name] = _standing(trial, scenario)
    return told, after


def _result(scenario: Scenario, came: Json, expect: Path | None, update: bool) -> ScenarioResult:
    expected = read_expected(scenario, expect)
    if update:
        file = scenario.expected_file(expect)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(orjson.dumps(came, option=orjson.OPT_INDENT_2) + b"\n")
    if expected is None:
        return ScenarioResult(scenario, came, ("nothing is expected yet: run with --update, then review it",))
    return ScenarioResult(scenario, came, tuple(_explained(d, came) for d in differences(expected, came)))


def _explained(difference: str, came: Json) -> str:
    """A difference with the table row that made the code it is about."""
    for claim in came["claims"]:
        prefix = f".claims[{came['claims'].index(claim)}].claim"
        for trace in claim["traces"]:
            if trace["table"] and difference.startswith(prefix + trace["path"].removeprefix("Claim")):
                return f"{difference}   ({trace['table']} row {trace['row']})"
    return difference


def _word(result: ScenarioResult, update: bool) -> str:
    return "differs" if result.differences and not update else "done"


def _shortly(came: Json) -> str:
    claims_said = ", ".join(
        f"{c['status']} {c['claim'].get('total', {}).get('value', '')}".strip() for c in came["claims"]
    )
    gaps = sum(len(c["gaps"]) for c in came["claims"])
    return (claims_said or "no claim") + (f", {gaps} gap{'s' * (gaps != 1)}" if gaps else "")


def collect(trial: Trial, scenario: Scenario, told: dict[str, str]) -> Json:
    """What the ledger knows of a scenario, without what changes from run to run (ids, times, table versions)."""
    rows, places, filed = _known(trial, scenario)
    return {
        "messages": [
            {"place": places[row.id], "type": row.type, "status": row.status, "told": told.get(places[row.id], "")}
            for row in sorted(rows, key=lambda r: places[r.id])
        ],
        "claims": [_claim(row, places) for row in filed],
    }


def _standing(trial: Trial, scenario: Scenario) -> list[str]:
    """How the claims of a scenario stand now, a line each."""
    _, _, filed = _known(trial, scenario)
    return [_in_a_line(row) for row in filed]


def _in_a_line(row: Any) -> str:
    claim = orjson.loads(row.body)
    codes = [_code(d["diagnosisCodeableConcept"]) for d in claim.get("diagnosis", ())]
    lines = [_code(item["productOrService"]) for item in claim.get("item", ())]
    what = f"{row.chart_key} {row.slot} {row.payer} revision {row.revision} {row.purpose}"
    billed = f"{' '.join(codes) or 'no diagnosis'}, {' '.join(lines) or 'no line'}"
    return f"{what}: {row.status} {row.total or 'no amount'}, {billed}"


def _code(concept: Json) -> str:
    return str(concept.get("coding", [{}])[0].get("code", "?"))


def _known(trial: Trial, scenario: Scenario) -> tuple[Sequence[Any], dict[str, str], Sequence[Any]]:
    """The messages of a scenario that came, the place of each in its files, and the claims of their charts."""
    digests = {hashlib.sha256(body).hexdigest(): place for place, body in reversed(scenario.payloads())}
    with trial.ledger.reading() as connection:
        rows = connection.execute(select(messages).where(messages.c.sha256.in_(digests))).all()
        places = {row.id: digests[row.sha256] for row in rows}
        keys = select(message_topics.c.topic).join(charts, charts.c.key == message_topics.c.topic)
        found = set(connection.execute(keys.where(message_topics.c.message_id.in_(places))).scalars())
        query = (
            select(claims)
            .where(claims.c.chart_key.in_(found))
            .order_by(claims.c.chart_key, claims.c.slot, claims.c.revision)
        )
        return rows, places, connection.execute(query).all()


def _claim(row: Any, places: dict[str, str]) -> Json:
    claim, why = orjson.loads(row.body), orjson.loads(row.explained)
    for resource in (claim, *(r for r in claim.get("contained", ()) if r["resourceType"] == "ClaimResponse")):
        resource.pop("created", None)
    return {
        "chart_key": row.chart_key,
        "slot": row.slot,
        "payer": row.payer,
        "revision": row.revision,
        "purpose": row.purpose,
        "status": row.status,
        "claim": claim,
        "traces": [_trace(t, places) for t in why["traces"]],
        "findings": [_finding(f, places) for f in why["findings"]],
        "gaps": [
            {"at": _place(g["origin"], places), **{k: g[k] for k in ("system", "code", "reason")}} for g in why["gaps"]
        ],
    }


def _trace(trace: Json, places: dict[str, str]) -> Json:
    return {"at": _place(trace["origin"], places), **{k: trace[k] for k in ("path", "code", "table", "row")}}


def _place(origin: Json, places: dict[str, str]) -> str:
    return f"{places.get(origin['message'], '?')} {origin['path']}"


def _finding(finding: Json, places: dict[str, str]) -> Json:
    path = finding["path"]
    for message, place in places.items():
        path = path.replace(message, place)
    return {"edit": finding["edit"], "severity": finding["severity"], "path": path}
