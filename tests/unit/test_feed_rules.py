"""Feed rules: where things are on a site, what they mean, what bills, hooks and checks. In TOML, no code."""

from __future__ import annotations

import gzip
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select
from typer.testing import CliRunner

from fhir_coder.app import App
from fhir_coder.cli import cli
from fhir_coder.conformance_check import feed_check
from fhir_coder.errors import FaultsError, SettingsError
from fhir_coder.hl7v2 import PLACES, FeedRules, facts_from_message, read_header, read_place
from fhir_coder.model import (
    ChargeFact,
    Finding,
    Header,
    Message,
    MessageFacts,
    MessageFormat,
    MessageStatus,
    Severity,
    System,
    Verdict,
    VisitFact,
)
from fhir_coder.pipeline import FeedCheck, facts_of, judge, why_ignored
from fhir_coder.settings import FeedRuleSettings, example_settings, read_settings, to_toml
from fhir_coder.shipped import shipped
from fhir_coder.store import messages, schema, work
from fhir_coder.store.events import events_of
from fhir_coder.store.messages import Incoming

MSH = "MSH|^~\\&|APP|FAC|||20260301120000||{kind}|C1|P|2.5.1"
PID = "PID|1||5^^^A^MR||Poisonname^J"
FEED = """
[[feeds]]
name = "adt"
kind = "mllp"
port = 2575
"""


def body(*segments: str, kind: str = "DFT^P03", end: str = "") -> bytes:
    return "\r".join([MSH.format(kind=kind) + end, *segments]).encode()


@pytest.fixture
def app_of(tmp_path: Path) -> Callable[[str], App]:
    def made(rules: str) -> App:
        path = tmp_path / "site.toml"
        path.write_text(f"{FEED}[feeds.rules]\n{rules}", encoding="utf-8")
        return App(read_settings(path))

    return made


def read(app: App, data: bytes) -> MessageFacts:
    with app:
        facts = facts_of(Message("m", data, read_header(data)), app.rulebook, "adt")
    assert facts
    return facts


def charges(facts: MessageFacts) -> list[ChargeFact]:
    return [filed.fact for filed in facts.facts if isinstance(filed.fact, ChargeFact)]


def amounts(facts: MessageFacts) -> list[Decimal | None]:
    return [charge.amount.value if charge.amount else None for charge in charges(facts)]


# --- where things are


def test_every_place_of_the_reader_is_a_setting_and_no_other_is() -> None:
    own = set(FeedRuleSettings.model_fields) - set(PLACES)
    assert set(PLACES) <= set(FeedRuleSettings.model_fields)
    assert own >= {"bill", "ignore", "hook", "code_systems"}
    for path in PLACES.values():
        assert read_place(path).field


@pytest.mark.parametrize(
    ("segments", "key"),
    [
        (("ZVN|1||77^^^ZZ", PID), "ZZ/VN/77"),
        (("ZVN|1||77^^^ZZ", PID, "PV1|1|E" + "|" * 17 + "V1^^^HOSP"), "ZZ/VN/77"),
        ((PID, "PV1|1|E" + "|" * 17 + "V1^^^HOSP"), "HOSP/VN/V1"),
    ],
)
def test_the_visit_number_stands_where_the_feed_says_it_stands(
    app_of: Callable[[str], App], segments: tuple[str, ...], key: str
) -> None:
    facts = read(app_of('visit_number = ["ZVN-3", "PV1-19"]'), body(*segments))
    assert facts.charts == (key,)


def test_a_visit_told_of_without_pv1_has_the_origin_of_its_number(app_of: Callable[[str], App]) -> None:
    facts = read(app_of('visit_number = "ZVN-3.1"'), body("ZVN|1||77^^^ZZ", PID))
    [visit] = [filed.fact for filed in facts.facts if isinstance(filed.fact, VisitFact)]
    assert (visit.origin.path, visit.number and visit.number.value, facts.charts) == ("ZVN[1]", "77", ("FAC/VN/77",))


FT1 = "FT1|{0}|T{0}||20260301||CG|X{0}||||{1}"
VISIT = (PID, "PV1|1|E" + "|" * 17 + "V1")


def test_a_z_segment_belongs_to_the_charge_it_follows(app_of: Callable[[str], App]) -> None:
    data = body(*VISIT, FT1.format(1, "9"), FT1.format(2, "9"), "NTE|1", "ZFT|1|20&USD", FT1.format(3, "9"))
    assert amounts(read(app_of('charge_amount = "ZFT-2.1"'), data)) == [None, Decimal(20), None]


def test_a_segment_before_all_charges_counts_for_each(app_of: Callable[[str], App]) -> None:
    data = body(*VISIT, "ZFT|1|15", FT1.format(1, ""), FT1.format(2, ""), "ZFT|1|20")
    assert amounts(read(app_of('charge_amount = "ZFT-2"'), data)) == [Decimal(15), Decimal(20)]


def test_the_first_place_that_says_something_counts(app_of: Callable[[str], App]) -> None:
    data = body(*VISIT, FT1.format(1, "9"), 'ZFT|1|""', FT1.format(2, "9"), "ZFT|1|7")
    assert amounts(read(app_of('charge_amount = ["ZFT-2", "FT1-11"]'), data)) == [Decimal(9), Decimal(7)]


def test_places_may_be_exchanged(app_of: Callable[[str], App]) -> None:
    data = body(*VISIT, FT1.format(1, "9") + "|4")
    [charge] = charges(read(app_of('charge_amount = "FT1-12"\nunit_amount = "FT1-11"'), data))
    assert charge.amount
    assert charge.unit_amount
    assert (charge.amount.value, charge.unit_amount.value) == (Decimal(4), Decimal(9))


def test_a_component_is_taken_from_every_repetition(app_of: Callable[[str], App]) -> None:
    data = body(*VISIT, FT1.format(1, "9"), "ZFT|1|x^25~y^59~z")
    [charge] = charges(read(app_of('modifiers = "ZFT-2.2"'), data))
    assert [modifier.code for modifier in charge.modifiers] == ["25", "59"]


def test_a_doctor_of_the_visit_may_perform_the_charges(app_of: Callable[[str], App]) -> None:
    data = body(PID, "PV1|1|E|||||7^Able^Ann|||||||||||V1", "PV1|1|E", FT1.format(1, "9"))
    [charge] = charges(read(app_of('performing_doctor = "PV1-7"'), data))
    assert [(m.role, m.practitioner and m.practitioner.name and m.practitioner.name.family) for m in charge.care_team]


def test_a_problem_names_the_place_that_the_value_came_from(app_of: Callable[[str], App]) -> None:
    data = body(*VISIT, FT1.format(1, "9"), "ZFT|1|Poisonname")
    facts = read(app_of('charge_amount = "ZFT-2"\nservice_date = "ZFT-2"'), data)
    assert {(p.origin.path, p.rule) for p in facts.problems} == {
        ("ZFT[1]-2", "not_a_date"),
        ("ZFT[1]-2", "not_a_number"),
    }
    assert "Poisonname" not in repr(facts.problems)


NAMES = st.sampled_from(["PID", "PV1", "FT1", "DG1", "IN1", "ZFT", "ZVN", "NTE"])
VALUES = st.lists(st.text(alphabet='019AZ^~&\\"|. ', max_size=10), max_size=8)
PATHS = st.lists(st.builds("{}-{}".format, NAMES, st.sampled_from(["1", "2.1", "3.2.1", "11"])), min_size=1, max_size=3)


@given(
    st.lists(st.tuples(NAMES, VALUES), max_size=8),
    st.dictionaries(st.sampled_from(sorted(PLACES)), PATHS, min_size=1, max_size=6),
)
def test_no_place_and_no_message_breaks_the_reading(
    segments: list[tuple[str, list[str]]], places: dict[str, list[str]]
) -> None:
    rules = FeedRuleSettings.model_validate(places).value(FeedRules())
    data = body(*(f"{name}|{'|'.join(fields)}" for name, fields in segments))
    facts_from_message(Message("m", data, read_header(data)), rules)


def test_many_charges_with_places_are_read_in_time_that_grows_with_their_number(app_of: Callable[[str], App]) -> None:
    many = 4000
    lines = [line for n in range(many) for line in (FT1.format(n, "9"), f"ZFT|1|{n}")]
    facts = read(app_of('charge_amount = "ZFT-2"\nmodifiers = "ZFT-9"'), body(*VISIT, *lines))
    assert amounts(facts)[-1] == Decimal(many - 1)


# --- what things mean


def test_code_systems_are_named_by_the_feed(app_of: Callable[[str], App]) -> None:
    rules = (
        'code_systems = {"loc" = "hcpcs", "OWN" = "urn:own"}\ndefault_systems = {"FT1" = "urn:cdm", "DG1" = "icd10cm"}'
    )
    lines = (
        "DG1|1||J189",
        "FT1|1|T1||20260301||CG|A^^LOC",
        "FT1|2|T2||20260301||CG|B^^own",
        "FT1|3|T3||20260301||CG|C",
    )
    facts = read(app_of(rules), body(*VISIT, *lines))
    assert [c.concept.codings[0].system for c in charges(facts)] == [System.HCPCS, "urn:own", "urn:cdm"]
    assert f"{System.ICD10CM}|J18.9//" in repr(facts)


def test_time_zone_of_the_feed_goes_before_that_of_the_site(app_of: Callable[[str], App]) -> None:
    facts = read(app_of('time_zone = "Asia/Tokyo"'), body(*VISIT))
    assert facts.event_at
    assert facts.event_at.text.endswith("+09:00")


@pytest.mark.parametrize(("policy", "charted"), [("strict", False), ("replace", True), ("fallback", True)])
def test_character_set_policy_is_the_feeds(app_of: Callable[[str], App], policy: str, charted: bool) -> None:
    data = body("PID|1||5^^^A^MR||Müller", VISIT[1], end="||||||ASCII").replace("ü".encode(), b"\xfc")
    with app_of(f'charset_policy = "{policy}"') as app:
        found = judge(lambda: facts_of(Message("m", data, read_header(data)), app.rulebook, "adt"))
    assert (found.status is MessageStatus.CHARTED) is charted


def test_what_bills_is_the_feeds_and_an_ignored_message_says_why(app_of: Callable[[str], App]) -> None:
    with app_of('bill = ["ORU^R01"]\nignore = ["DFT^*"]') as app:
        result, charge = (
            Message("m", data, read_header(data)) for data in (body(*VISIT, kind="ORU^R01"), body(*VISIT))
        )
        assert facts_of(result, app.rulebook, "adt")
        assert facts_of(result, app.rulebook) is None
        assert why_ignored(charge, app.rulebook, "adt") == "a type that the feed's rules ignore"


# --- faults


FAULTS = """
[[feeds]]
name = "one"
kind = "mllp"
port = 2575

[feeds.rules]
visit_number = "PV1-19"

[[feeds]]
name = "two"
kind = "folder"
path = "in"
charset = "klingon"

[feeds.rules]
visit_number = "PV1"
modifiers = ["FT1-26", "Zft-3", "ZFT-0"]
bill = ["ADT^A46", "SIU^S12"]
code_systems = { LOC = "nothing" }
time_zone = "Mars/Olympus"
hook = "nobody"
validate = "maybe"
charge_amont = "FT1-11"
"""


def test_all_faults_of_rules_are_listed_each_with_its_line_and_what_is_wrong(tmp_path: Path) -> None:
    path = tmp_path / "site.toml"
    path.write_text(FAULTS, encoding="utf-8")
    with pytest.raises(SettingsError) as caught:
        read_settings(path)
    assert sorted((fault.line, fault.where) for fault in caught.value.faults) == [
        (14, "feeds[1].charset"),
        (17, "feeds[1].rules.visit_number"),
        (18, "feeds[1].rules.modifiers"),
        (19, "feeds[1].rules.bill"),
        (20, "feeds[1].rules.code_systems"),
        (21, "feeds[1].rules.time_zone"),
        (22, "feeds[1].rules.hook"),
        (23, "feeds[1].rules.validate"),
        (24, "feeds[1].rules.charge_amont"),
    ]
    said = str(caught.value)
    for part in (
        "'PV1' is no path of HL7 v2",
        "'Zft-3' names no segment",
        "'ZFT-0' counts fields",
        "ADT^A46 is never read: a deprecated event",
        "SIU^S12 is never read: only",
        "fhir_coder.feed_hooks",
    ):
        assert part in said


def test_rules_are_written_and_read_back_the_same(tmp_path: Path) -> None:
    path = tmp_path / "site.toml"
    rules = 'visit_number = ["ZVN-3", "PV1-19"]\nvalidate = "report"\ncode_systems = { LOC = "hcpcs" }\n'
    path.write_text(f"{FEED}[feeds.rules]\n{rules}", encoding="utf-8")
    settings = read_settings(path)
    path.write_text(to_toml(settings), encoding="utf-8")
    assert read_settings(path) == settings
    assert settings.feeds[0].rules.conformance == "report"
    assert settings.feeds[0].rules.count() == 3


def test_a_feed_without_rules_reads_as_the_standard_says() -> None:
    base = FeedRules(time_zone="America/Chicago")
    assert replace(FeedRuleSettings().value(base), default_systems=base.default_systems) == base


# --- hooks

HOOK = """
from dataclasses import replace

def without_charges(facts, body):
    return replace(facts, facts=tuple(f for f in facts.facts if type(f.fact).__name__ != "ChargeFact"))

def failing(facts, body):
    raise ValueError(body.decode())

def forgetful(facts, body):
    return None
"""


@pytest.fixture
def hooks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "plugin"
    info = folder / "site_hooks-1.0.dist-info"
    info.mkdir(parents=True)
    (folder / "site_hooks.py").write_text(HOOK, encoding="utf-8")
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: site-hooks\nVersion: 1.0\n", encoding="utf-8")
    names = ("without_charges", "failing", "forgetful")
    points = [f"{name} = site_hooks:{name}" for name in names] + ["broken = site_hooks:missing"]
    (info / "entry_points.txt").write_text("[fhir_coder.feed_hooks]\n" + "\n".join(points), encoding="utf-8")
    monkeypatch.syspath_prepend(str(folder))


@pytest.mark.usefixtures("hooks")
def test_a_hook_has_the_last_word_on_the_facts(app_of: Callable[[str], App]) -> None:
    facts = read(app_of('hook = "without_charges"'), body(*VISIT, FT1.format(1, "9")))
    assert (charges(facts), facts.charts) == ([], ("FAC/VN/V1",))


@pytest.mark.usefixtures("hooks")
@pytest.mark.parametrize(("hook", "said"), [("failing", "ValueError at site_hooks.failing:8"), ("forgetful", "answer")])
def test_a_hook_that_fails_quarantines_with_the_place_and_without_its_words(
    app_of: Callable[[str], App], hook: str, said: str
) -> None:
    data = body(*VISIT)
    with app_of(f'hook = "{hook}"') as app:
        found = judge(lambda: facts_of(Message("m", data, read_header(data)), app.rulebook, "adt"))
    assert found.status is MessageStatus.QUARANTINED
    assert said in found.why
    assert "Poisonname" not in found.why


@pytest.mark.usefixtures("hooks")
def test_a_hook_that_cannot_be_loaded_is_a_fault_of_the_settings(app_of: Callable[[str], App]) -> None:
    with app_of('hook = "broken"') as app, pytest.raises(SettingsError, match=r"feeds\[0\]\.rules\.hook \(adt\)"):
        _ = app.rulebook


# --- checks


def finding(severity: Severity) -> Finding:
    return Finding("hl7-conformance", severity, "PID-3", "required field is empty")


@pytest.mark.parametrize(
    ("rejects", "severity", "status", "is_reported"),
    [
        (False, Severity.REJECT, MessageStatus.CHARTED, True),
        (True, Severity.REJECT, MessageStatus.QUARANTINED, False),
        (True, Severity.WARN, MessageStatus.CHARTED, True),
    ],
)
def test_departures_are_reported_or_reject(
    rejects: bool, severity: Severity, status: MessageStatus, is_reported: bool
) -> None:
    check = FeedCheck(lambda _: [finding(severity)], rejects)
    found, report = check.judged(Message("m", b"", Header(MessageFormat.HL7V2)), Verdict(MessageStatus.CHARTED))
    assert (found.status, bool(report)) == (status, is_reported)
    assert "PID-3: required field is empty" in report + found.why


def test_a_feed_that_validates_checks_against_the_standard(app_of: Callable[[str], App]) -> None:
    with app_of('validate = "reject"') as app:
        message = Message("m", body("PV1|1"), Header(MessageFormat.HL7V2))
        found, _ = app.rulebook.checks["adt"].judged(message, Verdict(MessageStatus.CHARTED))
    assert found.status is MessageStatus.QUARANTINED
    with App(example_settings()) as app:
        assert app.rulebook.checks == {}


def kept_and_read(app: App, data: bytes) -> tuple[str, str, list[str]]:
    """A message's status, reason and the reasons of its events after it was kept and read."""
    with app.ledger.writing() as connection:
        kept = messages.keep(connection, Incoming("adt", read_header(data), data), app.ledger.clock())
        [todo] = [one for one in work.due(connection, app.ledger.clock(), (), 99) if one.key == kept.id]
    app.stages.run(todo)
    with app.ledger.reading() as connection:
        row = connection.execute(select(schema.messages).where(schema.messages.c.id == kept.id)).one()
        return row.status, row.reason, [event.why for event in events_of(connection, "message", kept.id)]


BAD_SEGMENTS = ("PV1|1||||||||||||||||||V1",)
"""No PID, no EVN, no patient class."""


@pytest.mark.parametrize(
    ("policy", "kind", "status", "said"),
    [
        ("report", "ADT^A04", "charted", "departs from the standard: "),
        ("reject", "ADT^A04", "quarantined", "departs from the standard: "),
        ("off", "ADT^A04", "charted", ""),
        ("reject", "ADT^A46", "ignored", "a deprecated event"),
    ],
)
def test_the_ledger_says_what_departs_and_why_a_message_is_ignored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, policy: str, kind: str, status: str, said: str
) -> None:
    path = tmp_path / "site.toml"
    path.write_text(f'{FEED}[feeds.rules]\nvalidate = "{policy}"\n', encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    with App.from_file(path) as app:
        is_now, reason, whys = kept_and_read(app, body(*BAD_SEGMENTS, kind=kind))
    assert (is_now, reason) == (status, "" if status == "charted" else whys[-1])
    assert any(why.startswith("departs") for why in whys) is (said[:7] == "departs")
    assert said in whys[-1]


# --- feeds try, check --junit


@pytest.fixture
def site(tmp_path: Path) -> Path:
    path = tmp_path / "site.toml"
    path.write_text(f'{FEED}[feeds.rules]\ncharge_amount = "ZFT-2"\n', encoding="utf-8")
    return path


def run(*arguments: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(cli, list(arguments))
    return result.exit_code, result.stdout, result.stderr


def test_feeds_try_shows_every_fact_with_its_path_and_makes_no_ledger(tmp_path: Path, site: Path) -> None:
    file = tmp_path / "m.hl7"
    file.write_bytes(body(*VISIT, FT1.format(1, "9"), "ZFT|1|12.50"))
    status, text, _ = run("feeds", "try", str(file), "--feed", "adt", "-c", str(site))
    assert status == 0
    for part in ("FAC/VN/V1", "FT1[1]", "amount: 12.50 USD", "ZFT[1]-2", "is read as FT1[1]-11"):
        assert part in text
    assert not list(tmp_path.glob("*.db"))


def test_feeds_try_and_check_unpack_gzip_and_name_a_file_that_is_cut_off(tmp_path: Path, site: Path) -> None:
    plain, packed, cut = tmp_path / "m.hl7", tmp_path / "m.hl7.gz", tmp_path / "cut.gz"
    plain.write_bytes(body(*VISIT))
    packed.write_bytes(gzip.compress(body(*VISIT)))
    cut.write_bytes(packed.read_bytes()[:-9])
    tries = {file: run("feeds", "try", str(file), "--feed", "adt", "-c", str(site)) for file in (plain, packed, cut)}
    checks = {file: run("check", str(file), "-c", str(site)) for file in (plain, packed, cut)}
    assert tries[packed][1].replace("m.hl7.gz", "m.hl7") == tries[plain][1]
    assert checks[packed][0] == checks[plain][0] != 2
    for told in (tries[cut], checks[cut]):
        assert told[0] == 2
        assert f"{cut}: the gzip data is cut off" in told[2]


def test_feeds_try_says_a_text_once_that_repeats_the_code_s(tmp_path: Path, site: Path) -> None:
    file = tmp_path / "m.hl7"
    file.write_bytes(body(*VISIT, "DG1|1||I10^Hypertension^I10C|Hypertension||F"))
    _, text, _ = run("feeds", "try", str(file), "--feed", "adt", "-c", str(site))
    assert text.count("Hypertension") == 1


def test_feeds_try_sends_no_control_character_to_the_terminal(tmp_path: Path, site: Path) -> None:
    file = tmp_path / "m.hl7"
    file.write_bytes(body("PID|1||5^^^A^MR||D\x1b[31mE^A\\.br\\B", *VISIT[1:]))
    _, text, _ = run("feeds", "try", str(file), "--feed", "adt", "-c", str(site))
    assert "D␛[31mE A␊B" in text


def test_check_refuses_a_version_that_is_not_known(tmp_path: Path) -> None:
    file = tmp_path / "m.hl7"
    file.write_bytes(body(*VISIT))
    status, _, told = run("check", str(file), "--version", "9.9")
    assert (status, "2.8.2" in told) == (2, True)


def test_feeds_try_as_json_has_paths_keys_and_problems(tmp_path: Path, site: Path) -> None:
    file = tmp_path / "m.hl7"
    file.write_bytes(body(*VISIT, FT1.format(1, "9"), "ZFT|1|much") + b"\r" + body(kind="ADT^A46") + b"\rMSH|bad")
    status, text, _ = run("feeds", "try", str(file), "--feed", "adt", "-c", str(site), "--json")
    charged, merge, unreadable = json.loads(text)["messages"]
    assert status == 2
    assert charged["chart_keys"] == ["FAC/VN/V1"]
    assert {(fact["fact"], fact["path"]) for fact in charged["facts"]} == {("patient", "PID"), ("visit", "PV1")}
    assert [(p["path"], p["rule"]) for p in charged["problems"]] == [("ZFT[1]-2", "not_a_number")]
    assert charged["moved"] == [{"field": "FT1[1]-11", "path": "ZFT[1]-2"}]
    assert (merge["status"], unreadable["status"]) == ("ignored", "quarantined")
    assert merge["reason"].startswith("a deprecated event")


def test_feeds_try_of_a_feed_that_is_not_there_names_those_that_are(tmp_path: Path, site: Path) -> None:
    file = tmp_path / "m.hl7"
    file.write_bytes(body(*VISIT))
    status, _, said = run("feeds", "try", str(file), "--feed", "lab", "-c", str(site))
    assert (status, "there is adt" in said) == (1, True)


def test_feeds_list_counts_the_rules(site: Path) -> None:
    status, text, _ = run("feeds", "list", "-c", str(site))
    assert (status, text.splitlines()[1].split()) == (0, ["adt", "mllp", "utf-8", "1"])


def test_check_writes_a_junit_report(tmp_path: Path, site: Path) -> None:
    file, report = tmp_path / "m.hl7", tmp_path / "check.xml"
    file.write_bytes(body("PV1|1") + b"\r\nMSH|bad")
    status, _, _ = run("check", str(file), "-c", str(site), "--junit", str(report))
    text = report.read_text(encoding="utf-8")
    assert status == 2
    assert 'tests="2" failures="1" errors="1"' in text
    assert "PV1-2: required field is empty" in text


PROFILE = shipped("fixtures") / "profiles" / "lakeshore-dft-p03.xml"


def test_a_feed_s_profile_judges_its_type_and_the_standard_all_others(tmp_path: Path) -> None:
    shutil.copy(PROFILE, tmp_path / "agreed.xml")
    path = tmp_path / "site.toml"
    path.write_text(f'{FEED}[feeds.rules]\nvalidate = "report"\nprofiles = ["agreed.xml"]\n', encoding="utf-8")
    bare = body("PID|1||5^^^A^MR||Doe^Jane", "PV1|1|O", kind="DFT^P03")
    registered = body("EVN||20261103", "PID|1||5^^^A^MR||Doe^Jane", "PV1|1|O", kind="ADT^A04")
    with App.from_file(path) as app:
        check = app.rulebook.checks["adt"].findings
        by_profile = {finding.path for finding in check(bare)}
        assert by_profile == {finding.path for finding in feed_check(False, [PROFILE]).findings(bare)}
        assert by_profile != {finding.path for finding in feed_check(False).findings(bare)}
        assert check(registered) == feed_check(False).findings(registered)


@pytest.mark.parametrize(
    ("rules", "told"),
    [
        ('profiles = ["agreed.xml"]', "profiles need validate"),
        ('validate = "report"\nprofiles = ["gone.xml"]', r"gone\.xml: cannot be read: No such file"),
    ],
)
def test_profiles_that_cannot_be_used_are_faults_of_the_settings(tmp_path: Path, rules: str, told: str) -> None:
    path = tmp_path / "site.toml"
    path.write_text(f"{FEED}[feeds.rules]\n{rules}\n", encoding="utf-8")
    with pytest.raises(FaultsError, match=told), App.from_file(path) as app:
        _ = app.rulebook
