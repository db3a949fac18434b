from __future__ import annotations

import itertools
import json
import os
from datetime import date
from pathlib import Path

import pytest

from fhir_coder.errors import FhirCoderError, NotFoundError, TableError
from fhir_coder.model import Choice, Coding, CodingContext, Concept, Gap, Kind, Origin, System
from fhir_coder.terminology import Tables, history, load_tables, open_codesets, versions
from fhir_coder.terminology.difference import TableDifference, difference
from fhir_coder.terminology.history import (
    log_file,
    painted_days,
    read_history,
    version_file,
    write_history,
    write_whole,
)
from fhir_coder.terminology.table import MappingTable
from fhir_coder.terminology.versions import (
    Use,
    activate,
    first_day,
    over,
    read_tables,
    version_named,
    versions_of,
)

HEADER = """id = "{id}"
title = "x"
kind = "{kind}"
source_system = "{source}"
target_system = "{target}"
version = "{label}"
licence = "ours"
{more}"""
AT = "2026-11-24T10:00:00+00:00"
NEW_YEAR, LATER = date(2027, 1, 1), date(2027, 6, 1)


def table(folder: Path, rows: str, label: str, more: str = "", kind: str = "charge") -> MappingTable:
    """A table in a folder of its own."""
    folder.mkdir(parents=True, exist_ok=True)
    source, target = ("v2", "sex") if kind == "concept" else ("local", "hcpcs")
    (folder / "t.csv").write_text(f"source_code,target_code,payer\n{rows}", encoding="utf-8")
    header = HEADER.format(id="t", kind=kind, source=source, target=target, label=label, more=more)
    (folder / "t.toml").write_text(header, encoding="utf-8")
    (read,) = read_tables(folder)
    return read


@pytest.fixture
def site(tmp_path: Path) -> Path:
    table(tmp_path / "site", "A,G0463,\n", "one")
    return tmp_path / "site"


def code(tables: Tables, on: date | None, source: str = "A") -> str:
    """What a source code gives on a day: the code, or the gap's reason."""
    asked = Concept((Coding(System.LOCAL, source),))
    found = tables.choose(Kind.CHARGE, asked, CodingContext(service_date=on), Origin("m", "p"), "k")
    if isinstance(found, Gap):
        return found.reason
    assert isinstance(found, Choice)
    return found.code.code if found.code else "not billable"


def put(site: Path, rows: str, label: str, first: date | None, last: date | None = None) -> MappingTable:
    """Activate another version of the site's table."""
    new = table(site.parent / label, rows, label)
    activate(site, [Use(new, first, last)], AT, "user tess")
    return new


# --- which version counts


def test_the_day_of_service_picks_the_version(site: Path) -> None:
    put(site, "A,G0101,\n", "two", NEW_YEAR)
    tables = load_tables([site])

    assert code(tables, date(2026, 12, 31)) == "G0463"
    assert code(tables, NEW_YEAR) == "G0101"
    assert code(tables, LATER) == "G0101"


def test_without_a_day_of_service_versions_that_differ_are_a_gap_and_versions_that_agree_are_none(site: Path) -> None:
    put(site, "A,G0101,\nB,G0466,\n", "two", NEW_YEAR)
    tables = load_tables([site])

    assert code(tables, None) == "unknown_context"
    assert code(tables, None, "B") == "unknown_context"
    assert code(tables, None, "C") == "no_row"
    put(site, "A,G0463,\n", "three", NEW_YEAR)
    assert code(load_tables([site]), None) == "G0463"


def test_a_version_for_a_time_leaves_the_days_around_it(site: Path) -> None:
    put(site, "A,G0101,\n", "two", NEW_YEAR, date(2027, 1, 31))
    tables = load_tables([site])

    assert [code(tables, day) for day in (date(2026, 12, 31), date(2027, 1, 31), date(2027, 2, 1))] == [
        "G0463",
        "G0101",
        "G0463",
    ]


def test_a_correction_of_the_earlier_version_leaves_the_later_one(site: Path) -> None:
    put(site, "A,G0101,\n", "two", NEW_YEAR)
    put(site, "A,G0466,\n", "one corrected", None, date(2026, 12, 31))
    tables = load_tables([site])

    assert (code(tables, date(2026, 12, 31)), code(tables, NEW_YEAR)) == ("G0466", "G0101")


def test_an_edit_in_place_counts_for_the_days_of_the_version_it_was_made_in(site: Path) -> None:
    put(site, "A,G0101,\n", "two", NEW_YEAR)
    (site / "t.csv").write_text("source_code,target_code\nA,G0466\n", encoding="utf-8")
    tables = load_tables([site])

    assert (code(tables, date(2026, 12, 31)), code(tables, NEW_YEAR)) == ("G0463", "G0466")


def test_a_table_that_was_removed_is_gone_with_all_its_versions(site: Path) -> None:
    put(site, "A,G0101,\n", "two", NEW_YEAR)
    for name in ("t.csv", "t.toml"):
        (site / name).unlink()

    assert code(load_tables([site]), NEW_YEAR) == "no_table"


def test_a_concept_table_has_no_days(tmp_path: Path) -> None:
    table(tmp_path / "site", "F,female,\n", "one", kind="concept")
    new = table(tmp_path / "new", "W,female,\n", "two", kind="concept")

    assert first_day(new, NEW_YEAR, has_earlier=True, always=False) is None
    activate(tmp_path / "site", [Use(new)], AT, "")
    assert load_tables([tmp_path / "site"]).concept("t") == {"W": "female"}


def test_which_days_are_left_of_every_version() -> None:
    day = date.fromisoformat

    assert painted_days([]) == {}
    assert painted_days([("a", None, None), ("b", NEW_YEAR, None)]) == {
        "a": ((date.min, day("2026-12-31")),),
        "b": ((NEW_YEAR, date.max),),
    }
    assert painted_days([("a", None, None), ("b", NEW_YEAR, None), ("a", None, None)]) == {"a": ((date.min, date.max),)}
    two = painted_days([("a", None, None), ("b", NEW_YEAR, LATER), ("c", day("2027-02-01"), day("2027-02-28"))])
    assert two["b"] == ((NEW_YEAR, day("2027-01-31")), (day("2027-03-01"), LATER))
    assert painted_days([("a", None, day("2026-12-31")), ("a", NEW_YEAR, None)]) == {"a": ((date.min, date.max),)}


# --- the past


def test_tables_as_of_an_activation_answer_as_then_and_leave_only_what_was_open_to_the_next(site: Path) -> None:
    put(site, "A,G0101,\nB,G0466,\n", "two", None)
    put(site, "A,G0466,\nB,G0101,\nC,G0463,\n", "three", None)
    tables = load_tables([site])

    assert tables.states == (2,)
    assert [code(tables, LATER, one) for one in "ABCD"] == ["G0466", "G0101", "G0463", "no_row"]
    assert [code(tables.as_of({0}), LATER, one) for one in "ABCD"] == ["G0463", "G0101", "G0463", "no_row"]
    chain = tables.as_of({0, 1})
    assert chain.states == (0, 1, 2)
    assert [code(chain, LATER, one) for one in "ABCD"] == ["G0463", "G0466", "G0463", "no_row"]
    assert tables.as_of({2}) is tables


def test_a_table_that_came_later_is_not_in_the_past(site: Path, tmp_path: Path) -> None:
    other = table(tmp_path / "other", "A,G0101,payer\n", "first")
    put(site, "A,G0101,\n", "two", None)
    renamed = (tmp_path / "other" / "t.toml").read_text().replace('id = "t"', 'id = "u"')
    (tmp_path / "other" / "t.toml").write_text(renamed)
    (other,) = read_tables(tmp_path / "other")
    activate(site, [Use(other)], AT, "")
    tables = load_tables([site])

    assert tables.table("u") is not None
    assert tables.as_of({1}).table("u") is None


# --- putting to use


def test_going_back_to_an_earlier_version_by_its_label_undoes_the_later_one(site: Path) -> None:
    put(site, "A,G0101,\n", "two", NEW_YEAR)
    first = version_named("t@one", versions_of(site)).table
    activate(site, [Use(first)], AT, "")

    assert code(load_tables([site]), LATER) == "G0463"
    assert (site / "t.csv").read_bytes() == version_file(site, first.version).read_bytes()
    assert [(v.table.header.version, v.is_current, bool(v.days)) for v in versions_of(site)] == [
        ("one", True, True),
        ("two", False, False),
    ]


def test_a_version_is_named_by_id_hash_or_label(site: Path) -> None:
    new = put(site, "A,G0101,\n", "two", NEW_YEAR)
    versions = versions_of(site)
    digest = new.version.rpartition("@")[2]

    for name in ("t", "t@two", new.version, digest, "two"):
        assert version_named(name, versions).table.version == new.version
    with pytest.raises(NotFoundError):
        version_named("three", versions)


def test_a_label_of_two_versions_is_not_guessed(site: Path) -> None:
    new = table(site.parent / "again", "A,G0101,\n", "one")
    activate(site, [Use(new, NEW_YEAR)], AT, "")

    with pytest.raises(NotFoundError, match="several"):
        version_named("one", versions_of(site))


def test_from_which_day_is_asked_where_an_earlier_version_would_lose_its_days(site: Path) -> None:
    new = table(site.parent / "new", "A,G0101,\n", "two")
    dated = table(site.parent / "dated", "A,G0101,\n", "two", 'valid_from = "2027-01-01"\n')

    assert first_day(new, None, has_earlier=False, always=False) is None
    assert first_day(new, NEW_YEAR, has_earlier=True, always=False) == NEW_YEAR
    assert first_day(new, None, has_earlier=True, always=True) is None
    assert first_day(dated, None, has_earlier=True, always=False) == NEW_YEAR
    for said in (new, None), (dated, LATER):
        with pytest.raises(FhirCoderError, match="--from"):
            first_day(said[0], said[1], has_earlier=True, always=False)


def test_a_faulty_table_in_the_folder_stops_an_activation_and_nothing_changes(site: Path) -> None:
    (site / "broken.csv").write_text("source_code\n", encoding="utf-8")
    before = sorted(site.rglob("*"))

    with pytest.raises(TableError):
        put(site, "A,G0101,\n", "two", NEW_YEAR)
    assert sorted(site.rglob("*")) == before


def test_a_log_that_cannot_be_read_is_a_fault_and_no_version_is_lost_for_it(site: Path) -> None:
    put(site, "A,G0101,\n", "two", NEW_YEAR)
    log_file(site).write_text("[", encoding="utf-8")

    for act in (lambda: load_tables([site]), lambda: put(site, "A,G0466,\n", "three", NEW_YEAR)):
        with pytest.raises(TableError, match=r"activations\.json"):
            act()


def test_an_activation_that_was_cut_short_counts_and_the_next_one_puts_it_in_place(site: Path) -> None:
    """The log is replaced first; then the process dies before the files in the folder are."""
    old = {name: (site / name).read_bytes() for name in ("t.csv", "t.toml")}
    new = put(site, "A,G0101,\n", "two", NEW_YEAR)
    (site / "t.csv").write_bytes(old["t.csv"])
    write_history(site, read_history(site).activations, {"t": "t.csv"})  # new header, old rows

    assert code(load_tables([site]), NEW_YEAR) == "G0101"
    assert code(load_tables([site]), date(2026, 12, 31)) == "G0463"
    assert [v.table.version for v in versions_of(site) if v.is_current] == [new.version]
    put(site, "A,G0466,\n", "three", LATER)
    tables = load_tables([site])
    assert [code(tables, day) for day in (date(2026, 12, 31), NEW_YEAR, LATER)] == ["G0463", "G0101", "G0466"]
    assert read_history(site).unfinished == {}


def activate_and_die(site: Path, new: MappingTable, left: int) -> bool:
    """Activate a version in a process that dies before it writes one more file than `left`; whether it did not."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    writes = itertools.count()

    def write(file: Path, body: bytes) -> None:
        if next(writes) == left:
            os._exit(9)
        write_whole(file, body)

    history.write_whole = versions.write_whole = write
    try:
        activate(site, [Use(new, NEW_YEAR)], "", "")
        os._exit(0)
    finally:
        os._exit(1)


@pytest.mark.parametrize("left", range(10))
def test_wherever_an_activation_dies_the_tables_are_those_of_before_or_those_of_after(site: Path, left: int) -> None:
    is_through = activate_and_die(site, table(site.parent / "new", "A,G0101,\n", "two"), left)

    tables = load_tables([site])
    assert code(tables, date(2026, 12, 31)) == "G0463"
    is_done = bool(read_history(site).activations)
    assert is_done or not is_through
    assert code(tables, NEW_YEAR) == ("G0101" if is_done else "G0463")
    put(site, "A,G0466,\n", "three", LATER)
    tables = load_tables([site])
    assert code(tables, LATER) == "G0466"
    assert code(tables, NEW_YEAR) == ("G0101" if is_done else "G0463")
    assert is_through is (left > 7), "four files, the log, two files in their places, the log"


def test_compiled_rows_that_nobody_needs_are_removed(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fhir_coder.terminology.csv_table.COMPILED_FROM", 1)

    def compiled() -> set[str]:
        return {file.name.split("-")[1][:8] for file in (site / ".compiled").glob("*.sqlite")}

    load_tables([site])
    (site / "t.csv").write_text("source_code,target_code\nA,G0466\n", encoding="utf-8")
    load_tables([site])
    two = put(site, "A,G0101,\n", "two", None)
    edited = versions_of(site)[1]
    three = put(site, "A,G0463,\nB,G0101,\n", "three", None)
    hashes = [one.version.rpartition("@")[2] for one in (two, three)]
    assert set(hashes) <= compiled(), "a service that runs has the one of just before open"
    assert edited.table.version.rpartition("@")[2] not in compiled()
    assert code(load_tables([site]), LATER, "B") == "G0101"


# --- a version beside the others


def test_what_would_be_in_use_is_computed_without_writing(site: Path) -> None:
    (old,) = read_tables(site)
    new = table(site.parent / "new", "A,G0101,\n", "two")

    layer = over([old], Use(new, NEW_YEAR))
    assert [(one.version, one.days[0][0]) for one in layer] == [(new.version, NEW_YEAR), (old.version, date.min)]
    assert [one.version for one in over([old], Use(new))] == [new.version]
    assert not (site / ".versions").exists()


def test_a_target_that_is_not_valid_on_the_day_of_service_is_a_gap(tmp_path: Path) -> None:
    folder = tmp_path / "site"
    table(folder, "A,G0463,\nB,G9999,\n", "one")
    (tmp_path / "sets").mkdir()
    (tmp_path / "sets" / "hcpcs.csv").write_text(
        "code,title,valid_from,valid_to\nG0463,One,2020-01-01,2026-06-30\n", encoding="utf-8"
    )
    header = 'title = "x"\nversion = "1"\ncovers_from = "2020-01-01"\n'
    (tmp_path / "sets" / "hcpcs.toml").write_text(header, encoding="utf-8")
    with open_codesets(tmp_path / "sets") as code_sets:
        tables = load_tables([folder], judge=code_sets.validity)
        assert code(tables, date(2026, 6, 30)) == "G0463"
        assert code(tables, date(2026, 7, 1)) == "target_not_valid"
        assert code(tables, date(2026, 6, 30), "B") == "target_not_valid"
        assert code(tables, None) == "G0463", "without a day nobody can say"


# --- differences


def compared(tmp_path: Path, old: str, new: str) -> TableDifference:
    return difference(table(tmp_path / "old", old, "one"), table(tmp_path / "new", new, "two"))


def test_rows_are_compared_by_code_conditions_group_and_priority(tmp_path: Path) -> None:
    found = compared(
        tmp_path, "A,G0463,\nB,G0101,\nC,G0466,q\nC,G0467,p\n", "D,G0101,\nC,G0466,q\nC,G0466,p\nA,G0463,\n"
    )

    assert [(row.change, row.identity["source_code"], row.identity.get("payer", "")) for row in found.rows] == [
        ("removed", "B", ""),
        ("changed", "C", "p"),
        ("added", "D", ""),
    ]
    assert found.rows[1].columns == ("target_code",)
    assert (found.same, found.count("added"), found.count("removed"), found.count("changed")) == (2, 1, 1, 1)
    assert found.header == {"version": ("one", "two")}


def test_the_order_of_rows_is_no_difference(tmp_path: Path) -> None:
    found = compared(tmp_path, "A,G0463,\nB,G0101,\n", "B,G0101,\nA,G0463,\n")

    assert (found.rows, found.same) == ((), 2)


def test_a_table_beside_none_has_all_its_rows_added_or_removed(site: Path) -> None:
    (one,) = read_tables(site)

    assert [row.change for row in difference(None, one).rows] == ["added"]
    assert [row.change for row in difference(one, None).rows] == ["removed"]


def test_the_log_is_plain_json_that_names_who_and_when(site: Path) -> None:
    put(site, "A,G0101,\n", "two", NEW_YEAR)
    said = json.loads(log_file(site).read_text())["activations"]

    assert [(one["number"], one["label"], one["first"], one["by"]) for one in said] == [
        (0, "one", None, ""),
        (1, "two", "2027-01-01", "user tess"),
    ]
