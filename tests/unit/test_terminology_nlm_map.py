"""Importing the NLM map: what a sound file gives, and what is said of one that is not."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterator
from datetime import date
from functools import partial
from pathlib import Path

import pytest

from fhir_coder.errors import TableError
from fhir_coder.model import Coding, CodingContext, Kind, System
from fhir_coder.shipped import shipped
from fhir_coder.terminology import CodeSets, Tables, load_tables, open_codesets
from fhir_coder.terminology.draft import Source
from fhir_coder.terminology.history import read_history
from fhir_coder.terminology.importing import IMPORTERS, import_table
from fhir_coder.terminology.translate import Translation, born, chart_codes, translate
from fhir_coder.terminology.versions import activate
from tests.rf2 import AGE, FEMALE, HEADER, ONSET, TARGETS, MapRow, concept, ifa, text, write

ON = date(2026, 11, 3)
ONE, OTHER = concept(1), concept(2)
NLM = IMPORTERS[0]
put = partial(activate, at="2026-11-24T10:00:00+00:00", by="user tess")
Put = Callable[..., Path]


@pytest.fixture(scope="module")
def code_sets() -> Iterator[CodeSets]:
    with open_codesets(shipped("mappings") / "codesets") as opened:
        yield opened


@pytest.fixture
def site(tmp_path: Path) -> Path:
    return tmp_path / "site"


@pytest.fixture
def load(tmp_path: Path, site: Path, code_sets: CodeSets) -> Callable[[str | bytes], Tables]:
    def loaded(body: str | bytes, name: str = "map.txt") -> Tables:
        file = tmp_path / name
        file.write_bytes(body if isinstance(body, bytes) else body.encode())
        import_table(NLM, Source(file, code_sets, ON), site, put)
        return load_tables([site])

    return loaded


Load = Callable[..., Tables]


def ask(
    tables: Tables, code: str, age: str = "", sex: str = "", also: tuple[str, ...] = (), episode: str = ""
) -> Translation:
    context = CodingContext(
        service_date=ON,
        sex=sex,
        birth_date=born(age, ON) if age else None,
        codes=chart_codes(also, System.SNOMED),
        episode=episode,
    )
    return translate(tables, Coding(System.SNOMED, code), context)


def said(found: Translation) -> list[str] | str:
    return found.gap.reason if found.gap else [choice.trace.code for choice in found.choices]


def faults_of(load: Load, body: str | bytes, name: str = "map.txt") -> list[tuple[int, str]]:
    with pytest.raises(TableError) as caught:
        load(body, name)
    return [(fault.line, fault.where) for fault in caught.value.faults]


REAL = text(
    [
        MapRow("248274002", "R54", f"{ifa('214264003')} AND {ifa(ONSET, '>= 65.0 years')}"),
        MapRow("248274002", "R53.83", "OTHERWISE TRUE", priority="2"),
        MapRow("38341003", "P29.2", ifa(ONSET, "< 29.0 days")),
        MapRow("38341003", "I10", "OTHERWISE TRUE", priority="2"),
    ]
)


@pytest.mark.parametrize(
    ("code", "age", "also", "expected"),
    [
        ("248274002", "70", ("214264003",), ["R54"]),
        ("248274002", "64", ("214264003",), ["R53.83"]),
        ("248274002", "70", (), ["R53.83"]),
        ("248274002", "", (), ["R53.83"]),
        ("248274002", "", ("214264003",), "unknown_context"),
        ("38341003", "28d", (), ["P29.2"]),
        ("38341003", "29d", (), ["I10"]),
        ("38341003", "40", (), ["I10"]),
        ("38341003", "", (), "unknown_context"),
    ],
)
def test_the_cases_of_the_map_are_decided_as_its_rules_say(
    load: Load, code: str, age: str, also: tuple[str, ...], expected: object
) -> None:
    assert said(ask(load(REAL), code, age, also=also)) == expected


def test_every_group_gives_a_code_and_advice_reaches_the_gap(load: Load) -> None:
    tables = load(
        text(
            [
                MapRow(ONE, "E11.22"),
                MapRow(ONE, "N18.30", ifa(FEMALE), group="2", advice="POSSIBLE REQUIREMENT FOR STAGE"),
                MapRow(ONE, "N18.9", "OTHERWISE TRUE", group="2", priority="2"),
            ]
        )
    )

    assert said(ask(tables, ONE, sex="female")) == ["E11.22", "N18.30"]
    gap = ask(tables, ONE).gap
    assert gap is not None
    assert gap.reason == "unknown_context"
    assert "POSSIBLE REQUIREMENT FOR STAGE" in gap.text


def test_a_row_that_cannot_be_classified_is_left_to_a_person_with_its_advice(load: Load) -> None:
    gap = ask(load(text([MapRow(ONE, "", advice="CANNOT BE CLASSIFIED")])), ONE).gap

    assert gap is not None
    assert (gap.reason, gap.text) == ("needs_detail", "CANNOT BE CLASSIFIED")


@pytest.mark.parametrize(
    ("target", "episode", "expected"),
    [
        ("S93.401?", "A", ["S93.401A"]),
        ("S93.401?", "D", ["S93.401D"]),
        ("S93.401?", "S", ["S93.401S"]),
        ("S93.401?", "", "unknown_context"),
        ("S52.501?", "A", "needs_detail"),  # A says closed, B and C say open
        ("S52.501?", "S", ["S52.501S"]),
        ("M80.051?", "A", ["M80.051A"]),
        ("M80.051?", "D", "needs_detail"),  # D says routine healing, G, K and P say other
        ("H40.111?", "A", "needs_detail"),  # a stage, no episode
    ],
)
def test_a_7th_character_comes_from_the_episode_only_where_it_says_nothing_more(
    load: Load, target: str, episode: str, expected: object
) -> None:
    assert said(ask(load(text([MapRow(ONE, target)])), ONE, episode=episode)) == expected


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_line_ends_and_a_byte_order_mark_do_not_matter(load: Load, end: str) -> None:
    body = "\ufeff" + text([MapRow(ONE)], end)

    assert said(ask(load(body), ONE)) == ["I10"]


def test_rows_of_the_other_reference_set_and_inactive_rows_are_passed_over(load: Load) -> None:
    rows = [
        MapRow(ONE, "J18.9", refset="447562003", module="449080006"),
        MapRow(ONE, "J18.0", active="0"),
        MapRow(ONE),
    ]

    assert said(ask(load(text(rows)), ONE)) == ["I10"]


FAULTY: dict[str, tuple[list[MapRow], list[tuple[int, str]]]] = {
    "another reference set": ([MapRow(ONE, refset="447562003")], [(0, "refsetId")]),
    "no active row": ([MapRow(ONE, active="0")], [(0, "refsetId")]),
    "two modules": ([MapRow(ONE), MapRow(OTHER, module="731000124108")], [(3, "moduleId")]),
    "a hole in the priorities": ([MapRow(ONE, rule=ifa(FEMALE)), MapRow(ONE, priority="3")], [(3, "mapPriority")]),
    "no first priority": ([MapRow(ONE, priority="2")], [(2, "mapPriority")]),
    "a hole in the groups": ([MapRow(ONE), MapRow(ONE, group="3")], [(3, "mapGroup")]),
    "the same priority twice": ([MapRow(ONE), MapRow(ONE, "I11.9")], [(2, "mapRule"), (3, "mapPriority")]),
    "TRUE before a rule": ([MapRow(ONE), MapRow(ONE, rule=ifa(FEMALE), priority="2")], [(2, "mapRule")]),
    "a rule that cannot be read": ([MapRow(ONE), MapRow(OTHER, rule="IFA x")], [(3, "mapRule")]),
    "a wrong check digit": ([MapRow("123456")], [(2, "referencedComponentId")]),
    "a target without its category": ([MapRow(ONE, category="447638001")], [(2, "mapTarget")]),
    "a category without its target": ([MapRow(ONE, "", category="447637006")], [(2, "mapTarget")]),
    "a target that is no code": ([MapRow(ONE, "HELLO")], [(2, "mapTarget")]),
    "a priority that is no number": ([MapRow(ONE, priority="0")], [(2, "mapGroup")]),
}


@pytest.mark.parametrize(("rows", "faults"), FAULTY.values(), ids=list(FAULTY))
def test_a_faulty_map_is_refused_with_its_lines_and_changes_nothing(
    load: Load, site: Path, rows: list[MapRow], faults: list[tuple[int, str]]
) -> None:
    load(text([MapRow(OTHER, "J18.9")]))

    assert faults_of(load, text(rows)) == faults
    assert said(ask(load_tables([site]), OTHER)) == ["J18.9"]
    assert sorted(path.name for path in site.iterdir()) == [".versions", "nlm-map.csv", "nlm-map.toml"]
    assert read_history(site).state == 1


@pytest.mark.parametrize(
    ("body", "name", "faults"),
    [
        (b"", "map.txt", [(0, "")]),
        (b"id\teffectiveTime\n", "map.txt", [(1, "")]),
        (f"{HEADER}\nonly\tthree\tcells\n".encode(), "map.txt", [(2, "")]),
        (text([MapRow(ONE, advice="caf\xe9")]).encode("latin-1"), "map.txt", [(2, "")]),
        (b"PK\x03\x04 and then nothing", "map.zip", [(0, "")]),
        (b"x" * 100_000, "map.txt", [(1, "")]),
    ],
)
def test_a_file_that_is_no_map_is_refused(load: Load, body: bytes, name: str, faults: list[tuple[int, str]]) -> None:
    assert faults_of(load, body, name)[: len(faults)] == faults


def zipped(path: Path, *names: str) -> bytes:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in names:
            archive.writestr(name, text([MapRow(concept(n)) for n in range(500)]))
    return path.read_bytes()


FULL = "S/Full/Refset/Map/der2_iisssccRefset_ExtendedMapFull_US1000124_20260901.txt"
SNAPSHOT = "S/Snapshot/Refset/Map/der2_iisssccRefset_ExtendedMapSnapshot_US1000124_20260901.txt"


def test_the_snapshot_is_found_in_the_zip_of_the_release(load: Load, tmp_path: Path) -> None:
    tables = load(zipped(tmp_path / "z", FULL, "S/readme.txt", SNAPSHOT), "release.zip")

    assert said(ask(tables, concept(3))) == ["I10"]


def test_a_zip_cut_short_damaged_or_without_a_snapshot_is_refused(load: Load, tmp_path: Path) -> None:
    whole = zipped(tmp_path / "z", SNAPSHOT)
    middle = len(whole) // 2

    assert faults_of(load, whole[:middle], "release.zip") == [(0, "")]
    assert faults_of(load, whole[:middle] + b"\0" * 40 + whole[middle + 40 :], "release.zip")
    assert faults_of(load, zipped(tmp_path / "y", "S/readme.txt"), "release.zip") == [(0, "")]


def test_a_generated_map_of_every_form_is_imported_whole(tmp_path: Path, site: Path, code_sets: CodeSets) -> None:
    told: list[str] = []
    file = write(tmp_path / "map.txt", 20_000)

    made = import_table(NLM, Source(file, code_sets, ON, told.append), site, put)

    assert len(made.table) == 27_000
    assert made.table.kind is Kind.DIAGNOSIS
    assert told
    tables = load_tables([site])
    assert said(ask(tables, concept(4), sex="male")) == [TARGETS[4], "B96.20", "Z79.4"]
    assert said(ask(tables, concept(22), age="15", sex="female")) == ["N91.0"]
    assert said(ask(tables, concept(22), age="30", sex="female")) == ["N91.1"]
    assert said(ask(tables, concept(23), age="30", also=(concept(24),))) == ["E11.22"]
    assert said(ask(tables, concept(23), age="30")) == "needs_detail"


def test_a_second_import_replaces_the_first_but_never_a_table_of_ones_own(
    load: Load, site: Path, tmp_path: Path
) -> None:
    load(text([MapRow(ONE)]))
    assert said(ask(load(text([MapRow(ONE, "J18.9")])), ONE)) == ["J18.9"]
    header = site / "nlm-map.toml"
    header.write_text(header.read_text().replace("imported by", "made by"))

    with pytest.raises(Exception, match="--replace"):
        load(text([MapRow(ONE)]))


def test_an_age_id_of_the_current_age_counts_too(load: Load) -> None:
    tables = load(text([MapRow(ONE, "R54", ifa(AGE, "> 1 month")), MapRow(ONE, "I10", "OTHERWISE TRUE", priority="2")]))

    assert said(ask(tables, ONE, "2m")) == ["R54"]
    assert said(ask(tables, ONE, "1m")) == ["I10"]
