"""A ConceptMap that lies among the tables: the same answers as a CSV, the same rules, faults with their place."""

from __future__ import annotations

import os
from datetime import date
from pathlib import Path
from typing import Any

import orjson
import pytest

from fhir_coder.errors import FhirCoderError, TableError
from fhir_coder.model import Choice, Coding, CodingContext, Concept, Gap, Kind, Origin, System
from fhir_coder.terminology import Tables, check_tables, load_table, load_tables
from fhir_coder.terminology.concept_map_file import MAX_BYTES, read_concept_map_file
from fhir_coder.terminology.exporting import export_text
from fhir_coder.terminology.loading import read_folder, read_layers
from fhir_coder.terminology.versions import Use, activate
from tests.building import NoCodeSets

SHIPPED = Path(__file__).resolve().parents[2] / "mappings"
ON = date(2026, 11, 3)
FOREIGN: dict[str, Any] = {
    "resourceType": "ConceptMap",
    "id": "rashes",
    "status": "active",
    "copyright": "own",
    "group": [
        {
            "source": "http://clinic.example/dx",
            "target": System.ICD10CM,
            "element": [{"code": "RASH", "target": [{"code": "R21", "equivalence": "equivalent"}]}],
        }
    ],
}


def asked(tables: Tables, system: str, code: str, context: CodingContext) -> Choice | Gap:
    return tables.choose(Kind.DIAGNOSIS, Concept((Coding(system, code),)), context, Origin("m", "p"), "K")


def said(answer: Choice | Gap) -> tuple[str, str]:
    if isinstance(answer, Gap):
        return "gap", answer.reason
    return ("code", answer.code.code) if answer.code else ("code", "")


def written(folder: Path, resource: dict[str, Any], name: str = "rashes.json") -> Path:
    (folder / name).write_bytes(orjson.dumps(resource))
    return folder / name


@pytest.mark.parametrize("is_r5", [False, True], ids=["R4", "R5"])
def test_a_table_answers_the_same_as_the_concept_map_that_it_is_exported_to(tmp_path: Path, is_r5: bool) -> None:
    tables, faults = read_folder(SHIPPED)
    assert faults == []
    [table] = [one for one in tables if one.id == "snomed-to-icd10cm"]
    (tmp_path / "map.json").write_text(export_text(table, "concept-map", is_r5)[0], encoding="utf-8")
    again = load_tables([tmp_path])
    contexts = [
        CodingContext(service_date=ON),
        CodingContext(ON, "female", date(1980, 2, 29), "EMER", episode="A", codes=frozenset()),
        CodingContext(date(2016, 1, 1), "male", date(2015, 12, 30), "AMB", codes=frozenset()),
    ]

    for code in table.rows:
        for context in contexts:
            assert said(asked(again, System.SNOMED, code, context)) == said(
                asked(Tables([[table]]), System.SNOMED, code, context)
            ), code


def test_a_map_of_others_codes_with_the_number_of_its_target_and_its_hash(tmp_path: Path) -> None:
    written(tmp_path, FOREIGN)

    answer = asked(load_tables([tmp_path]), "http://clinic.example/dx", "RASH", CodingContext(service_date=ON))

    assert isinstance(answer, Choice)
    assert (answer.trace.code, answer.trace.table, answer.trace.row) == ("R21", "rashes", 1)
    assert answer.trace.version.startswith("rashes@")


def test_the_content_of_the_map_is_its_version(tmp_path: Path) -> None:
    one, _ = read_concept_map_file(written(tmp_path, FOREIGN))
    other, _ = read_concept_map_file(written(tmp_path, FOREIGN | {"title": "Rashes"}))

    assert one is not None
    assert other is not None
    assert one.version != other.version


def faults_of(folder: Path) -> list[str]:
    with pytest.raises(TableError) as raised:
        load_tables([folder])
    return [str(fault) for fault in raised.value.faults]


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"status": "retired"}, "ConceptMap.status: retired"),
        ({"group": [FOREIGN["group"][0] | {"unmapped": {"mode": "fixed", "code": "R69"}}]}, "group[0].unmapped"),
    ],
)
def test_a_map_out_of_use_and_one_that_guesses_for_the_rest_are_refused(
    tmp_path: Path, change: dict[str, Any], rule: str
) -> None:
    table, faults = read_concept_map_file(written(tmp_path, FOREIGN | change))

    assert table is None
    assert [rule in str(fault) for fault in faults] == [True]


def test_a_map_without_systems_is_a_fault_with_its_path(tmp_path: Path) -> None:
    group = {"element": FOREIGN["group"][0]["element"]}
    file = written(tmp_path, FOREIGN | {"group": [group]})

    assert faults_of(tmp_path) == [
        f"{file}: ConceptMap.group[0].source: missing: whose codes are these?",
        f"{file}: ConceptMap.group[0].element[0].target[0]: a target code in a group without a target system",
    ]


@pytest.mark.parametrize(
    ("body", "rule"),
    [
        (b"{", "not JSON"),
        (b'{"resourceType": "ConceptMap", "title": "h\xe9morragie"}', "not UTF-8"),
        (b'{"resourceType": "Patient"}', "not a ConceptMap"),
        (b"[]", "not a ConceptMap"),
        (b'{"resourceType": "ConceptMap", "group": 3}', "not of the form"),
    ],
)
def test_what_is_no_concept_map_is_said_and_nothing_is_loaded(tmp_path: Path, body: bytes, rule: str) -> None:
    (tmp_path / "x.json").write_bytes(body)

    [fault] = faults_of(tmp_path)
    assert rule in fault


def test_targets_that_fit_equally_well_are_a_fault_of_the_later_one(tmp_path: Path) -> None:
    element = {
        "code": "RASH",
        "target": [{"code": "R21", "equivalence": "equivalent"}, {"code": "L30.9", "equivalence": "equivalent"}],
    }
    file = written(tmp_path, FOREIGN | {"group": [FOREIGN["group"][0] | {"element": [element]}]})

    assert faults_of(tmp_path) == [
        f"{file}: target 2, source_code: repeats target 1: same code, conditions, dates and priority"
    ]


def test_a_map_and_a_csv_of_one_id_are_a_fault(tmp_path: Path) -> None:
    written(tmp_path, FOREIGN)
    (tmp_path / "a.csv").write_text("source_code,target_code\nRASH,R21\n", encoding="utf-8")
    (tmp_path / "a.toml").write_text(
        'id = "rashes"\ntitle = "x"\nkind = "diagnosis"\nsource_system = "local"\ntarget_system = "icd10cm"\n'
        'version = "1"\nlicence = "own"\n',
        encoding="utf-8",
    )

    assert faults_of(tmp_path) == [f"{tmp_path / 'rashes.json'}: id: the id is taken by a.csv"]


def test_an_id_that_no_table_may_have_is_a_fault(tmp_path: Path) -> None:
    written(tmp_path, {**FOREIGN, "id": "a b"})

    assert "id: not an id" in faults_of(tmp_path)[0]


def test_a_missing_licence_is_found_in_the_map_itself(tmp_path: Path) -> None:
    file = written(tmp_path, {key: value for key, value in FOREIGN.items() if key != "copyright"})

    with NoCodeSets() as sets:
        [fault] = check_tables([tmp_path], sets, ON)
    assert (fault.file, fault.where) == (str(file), "licence")


def test_a_huge_map_is_refused_before_it_is_read(tmp_path: Path) -> None:
    file = tmp_path / "huge.json"
    file.touch()
    os.truncate(file, MAX_BYTES + 1)  # without content on the disk

    [fault] = faults_of(tmp_path)
    assert "larger than 256 MB" in fault


def test_a_map_in_the_folder_has_versions_as_a_csv_has(tmp_path: Path) -> None:
    new = tmp_path / "new"
    new.mkdir()
    written(tmp_path, FOREIGN)
    first, _ = read_concept_map_file(tmp_path / "rashes.json")
    second, _ = read_concept_map_file(written(new, {**FOREIGN, "version": "later"}))
    assert first is not None
    assert second is not None

    activate(tmp_path, [Use(second, date(2027, 1, 1))], "2026-11-24T00:00:00Z", "coder")
    [layer], faults = read_layers([tmp_path])
    assert faults == []
    assert [(one.version, one.days[0]) for one in layer] == [
        (second.version, (date(2027, 1, 1), date.max)),
        (first.version, (date.min, date(2026, 12, 31))),
    ]


def test_a_version_in_another_format_does_not_lie_beside_the_map(tmp_path: Path) -> None:
    (tmp_path / "csv").mkdir()
    table, _ = read_concept_map_file(written(tmp_path, FOREIGN))
    assert table is not None
    body, header = export_text(table, "csv")
    (tmp_path / "csv" / "rashes.csv").write_text(body, encoding="utf-8", newline="")
    (tmp_path / "csv" / "rashes.toml").write_text(header, encoding="utf-8")

    with pytest.raises(FhirCoderError, match="format"):
        activate(tmp_path, [Use(load_table(tmp_path / "csv" / "rashes.csv"))], "2026-11-24T00:00:00Z", "coder")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["csv", "rashes.json"]
