"""The reference pages list everything there is: commands, options, settings, edits, statuses, metrics, gap reasons."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, get_args

import pytest
import typer
from pydantic import BaseModel

from fhir_coder import metrics, settings
from fhir_coder.claim_check import every_edit
from fhir_coder.cli import cli
from fhir_coder.edits import RESOLVES_ITSELF
from fhir_coder.hl7v2 import BILLING_TYPES, NEVER_BILLED
from fhir_coder.hl7v2.conformance import EDIT as CONFORMANCE_EDIT
from fhir_coder.hl7v2.profile_check import PROFILE_EDITS
from fhir_coder.logs import ALLOWED_KEYS
from fhir_coder.model import AnswerStatus, ClaimStatus, MessageStatus, OutcomeKind
from fhir_coder.payers.outcomes import FAILURE_TABLE, STATUS_TABLE
from fhir_coder.payers.sandbox import FAULT_GRAMMAR, RULES_TEXT
from fhir_coder.terminology.rows import COLUMNS

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "fhir_coder"
REFERENCE = ROOT / "docs" / "reference"
PAGES = sorted([ROOT / "README.md", *ROOT.glob("docs/**/*.md")])

_HEADING = re.compile(r"^(#{1,6}) +(.*?) *$", re.MULTILINE)
_LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
_FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
_REASON = re.compile(r"[a-z]+(_[a-z0-9]+)*")


@cache
def page(name: str) -> str:
    return (REFERENCE / name).read_text(encoding="utf-8")


def section(text: str, title: str) -> str:
    """What stands below a heading, to the next heading of its level or above; empty where there is no such heading."""
    headings = list(_HEADING.finditer(text))
    for place, found in enumerate(headings):
        if found[2] == title:
            ends = (h.start() for h in headings[place + 1 :] if len(h[1]) <= len(found[1]))
            return text[found.end() : next(ends, len(text))]
    return ""


def first_cells(text: str) -> list[str]:
    """The code words in the first cells of all table rows."""
    rows = re.findall(r"^\| *([^|]+?) *\|", text, re.MULTILINE)
    return [word for row in rows for word in re.findall(r"`([^`]+)`", row)]


# --- commands


def commands() -> Iterator[tuple[str, Any]]:
    def walk(group: Any, prefix: str) -> Iterator[tuple[str, Any]]:
        for name, command in group.commands.items():
            if hasattr(command, "commands"):
                yield from walk(command, f"{prefix}{name} ")
            else:
                yield f"{prefix}{name}", command

    root: Any = typer.main.get_command(cli)
    yield "fhir-coder", root
    yield from walk(root, "")


@pytest.mark.parametrize(("name", "command"), [pytest.param(n, c, id=n) for n, c in commands()])
def test_every_command_is_listed_with_every_option_and_its_exit_status(name: str, command: Any) -> None:
    listed = section(page("commands.md"), name)
    assert listed, f"commands.md has no section '{name}'"
    for parameter in command.params:
        if parameter.param_type_name == "argument":
            assert f"`{parameter.name.upper()}`" in listed
        else:
            assert [o for o in (*parameter.opts, *parameter.secondary_opts) if f"`{o}`" not in listed] == []
    assert name == "fhir-coder" or "Exit status:" in listed


def test_commands_page_lists_no_command_that_is_gone() -> None:
    listed = {title for marks, title in _HEADING.findall(page("commands.md")) if marks == "##"}
    assert listed - {name for name, _ in commands()} == set()


# --- settings


def sections_of_settings() -> Iterator[tuple[str, type[BaseModel]]]:
    for name, field in settings.Settings.model_fields.items():
        if name == "feeds":
            for feed in get_args(get_args(settings.Feed)[0]):
                kind = get_args(feed.model_fields["kind"].annotation)[0]
                yield f'`kind = "{kind}"`', feed
        elif name == "payers":
            yield "`[[payers]]`", settings.PayerSettings
        else:
            assert isinstance(field.annotation, type)
            yield f"`[{name}]`", field.annotation
    yield "`[site.address]`", settings.AddressSettings
    yield "`[feeds.rules]`", settings.FeedRuleSettings
    yield "`[payers.pas]`", settings.PasSettings


@pytest.mark.parametrize(("title", "model"), [pytest.param(t, m, id=t) for t, m in sections_of_settings()])
def test_every_setting_is_listed_and_no_other(title: str, model: type[BaseModel]) -> None:
    listed = section(page("settings.md"), title)
    keys = {field.alias or name for name, field in model.model_fields.items()} - {"kind"}
    assert keys - set(first_cells(listed)) == set()
    assert set(first_cells(listed)) - keys == set()


def test_example_settings_name_only_listed_keys() -> None:
    example = (PACKAGE / "example" / "fhir-coder.toml").read_text(encoding="utf-8")
    keys = set(re.findall(r"^([a-z_]+) *=", example, re.MULTILINE))
    assert keys - set(re.findall(r"`([a-z_]+)", page("settings.md"))) == set()


# --- closed sets of words


def test_every_edit_is_listed_with_its_severity_and_advice() -> None:
    rows = {row.split("|")[1].strip(" `"): row for row in page("edits.md").splitlines() if row.startswith("| `")}
    ids = {edit.id for edit in every_edit()} | {CONFORMANCE_EDIT, *PROFILE_EDITS}
    assert set(rows) == ids
    for edit in every_edit():
        assert f"| {edit.severity.value}" in rows[edit.id]
        assert edit.advice in rows[edit.id]
        assert ("resolves itself" in rows[edit.id]) is (edit.id in RESOLVES_ITSELF)


@pytest.mark.parametrize(
    ("title", "words"),
    [("Messages", MessageStatus), ("Claims", ClaimStatus), ("Answers sent unasked", AnswerStatus)],
)
def test_every_status_is_listed(title: str, words: Any) -> None:
    assert {word.value for word in words} - set(first_cells(section(page("statuses.md"), title))) == set()


def test_every_work_item_kind_is_listed_and_no_other() -> None:
    assert set(first_cells(section(page("statuses.md"), "Work items"))) == work_item_kinds()


def test_every_outcome_status_and_failure_is_listed() -> None:
    text = page("outcomes.md")
    assert {kind.value for kind in OutcomeKind} - set(first_cells(section(text, "Kinds"))) == set()
    for status, (kind, reason) in STATUS_TABLE.items():
        assert f"| {status} | `{kind.value}` | {reason} |" in text
    for failure, kind in FAILURE_TABLE.items():
        assert f"| {failure.value} | `{kind.value}` |" in text


def test_every_gap_reason_is_listed_and_no_other() -> None:
    assert set(first_cells(page("gap-reasons.md"))) == gap_reasons()


def test_every_message_type_is_listed_as_billed_or_never_billed() -> None:
    messages = section(page("hl7v2.md"), "Messages")
    billed, never = messages.split("never bill:")
    assert types_in(billed.partition("A feed's")[0]) == set(BILLING_TYPES)
    assert types_in(never.replace("other merges and moves: ", "")) == set(NEVER_BILLED)


def types_in(text: str) -> set[str]:
    """The message types of a table's rows: a family and its events, in one cell or two; ADT where none is named."""
    found = set()
    for row in re.findall(r"^\| *((?:ADT|BAR|DFT|VXU|A[0-9])[^\n]*)\|$", text, re.MULTILINE):
        family = re.match(r"[A-Z]{3}", row)
        events = re.findall(r"\b[APV][0-9]{2}\b", row)
        found |= {f"{family[0] if family else 'ADT'}^{event}" for event in events}
    return found


def test_every_metric_is_listed_and_no_other() -> None:
    assert {c for c in first_cells(page("metrics.md")) if c.startswith("fhir_coder_")} == set(metrics.NAMES)


def test_every_log_event_and_key_is_listed_and_no_other() -> None:
    text = page("logs.md")
    assert set(first_cells(section(text, "Events"))) == log_events()
    assert set(re.findall(r"`(\w+)`", section(text, "Keys"))) == ALLOWED_KEYS


def test_every_table_column_is_listed() -> None:
    assert set(COLUMNS) - set(first_cells(section(page("tables.md"), "Columns"))) == set()


def test_sandbox_page_has_the_rules_and_the_fault_grammar_as_the_program_has_them() -> None:
    assert RULES_TEXT in page("sandbox-payer.md")
    assert FAULT_GRAMMAR in page("sandbox-payer.md")


# --- what the source says


def calls() -> Iterator[tuple[str, ast.Call]]:
    for file in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
                yield f"{file.relative_to(PACKAGE)}:{name}", node


def texts_in(node: ast.AST) -> set[str]:
    return {n.value for n in ast.walk(node) if isinstance(n, ast.Constant) and isinstance(n.value, str)}


def work_item_kinds() -> set[str]:
    kinds = {"conflict", "quarantine"}  # store/messages.py chooses between these two
    for name, call in calls():
        if name.endswith(":Item") and isinstance(call.args[1], ast.Constant):
            kinds.add(str(call.args[1].value))
        if name.startswith("payers/decide.py"):
            kinds |= {text for k in call.keywords if k.arg == "item" for text in texts_in(k.value)}
    return kinds - {""}


def gap_reasons() -> set[str]:
    found: set[str] = set()
    for name, call in calls():
        where, callee = name.split(":")
        if where not in ("coding.py", "terminology/tables.py", "terminology/table.py"):
            continue
        if callee in ("Gap", "_gap", "_made_gap", "Undecided"):
            found |= {
                str(a.value) for a in call.args if isinstance(a, ast.Constant) and _REASON.fullmatch(str(a.value))
            }
    tables = ast.parse((PACKAGE / "terminology" / "tables.py").read_text(encoding="utf-8"))
    for node in ast.walk(tables):
        if isinstance(node, ast.Assign | ast.AnnAssign) and isinstance(node.value, ast.Dict):
            found |= {str(key.value) for key in node.value.keys if isinstance(key, ast.Constant)}
        if isinstance(node, ast.Tuple) and node.elts and isinstance(node.elts[0], ast.Constant):
            found |= {str(e.value) for e in node.elts if isinstance(e, ast.Constant) and "_" in str(e.value)}
    return found - {""}


def log_events() -> set[str]:
    events: set[str] = set()
    for _, call in calls():
        is_log = isinstance(call.func, ast.Attribute) and getattr(call.func.value, "id", "") == "log"
        if is_log and call.args and isinstance(call.args[0], ast.Constant):
            events.add(str(call.args[0].value))
    from fhir_coder.intake.conversation import EVENTS

    return events | set(EVENTS.values())


# --- pages and links


def slug(title: str) -> str:
    plain = re.sub(r"[^\w\- ]", "", re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", title).lower())
    return plain.replace(" ", "-")


def anchors(file: Path) -> set[str]:
    return {slug(title) for _, title in _HEADING.findall(file.read_text(encoding="utf-8"))}


@pytest.mark.parametrize("source", [pytest.param(p, id=str(p.relative_to(ROOT))) for p in PAGES])
def test_every_relative_link_leads_somewhere(source: Path) -> None:
    broken = []
    for target in _LINK.findall(_FENCE.sub("", source.read_text(encoding="utf-8"))):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        file = (source.parent / path).resolve() if path else source
        if not file.exists() or (anchor and anchor not in anchors(file)):
            broken.append(target)
    assert broken == []


def test_every_page_is_reached_from_the_index() -> None:
    index = ROOT / "docs" / "index.md"
    linked = {(index.parent / t.partition("#")[0]).resolve() for t in _LINK.findall(index.read_text(encoding="utf-8"))}
    pages = {p.resolve() for p in ROOT.glob("docs/**/*") if p.is_file() and p.suffix != ".png"}
    assert pages - linked - {index.resolve()} == set()


def test_every_picture_is_shown_on_a_page() -> None:
    shown = {
        (page.parent / target).resolve()
        for page in ROOT.glob("docs/**/*.md")
        for target in _LINK.findall(page.read_text(encoding="utf-8"))
        if target.endswith(".png")
    }
    assert {p.resolve() for p in ROOT.glob("docs/**/*.png")} - shown == set()


def test_readme_shows_the_two_commands_on_lines_of_their_own() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    first = _FENCE.search(text)
    assert first is not None
    assert first[0].splitlines()[1:-1] == ["make demo", "make test"]
    assert text[: first.start()].count("\n") < 12, "they stand on the first screen"
    targets = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert {"demo", "test"} <= set(re.findall(r"^([a-z]+):", targets, re.MULTILINE))


def test_readme_shows_the_last_line_of_a_good_demo() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert re.search(r"^All \d+ expected claims were accepted exactly once\.$", text, re.MULTILINE)
    assert "expected claims were accepted exactly once." in (PACKAGE / "demo.py").read_text(encoding="utf-8")
