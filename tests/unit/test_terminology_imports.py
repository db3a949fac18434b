"""Importing GEM files and charge masters, and large tables kept in a file."""

from __future__ import annotations

import pickle
import threading
from datetime import date
from pathlib import Path

import pytest

from fhir_coder.errors import TableError
from fhir_coder.model import Coding, CodingContext, Kind, System
from fhir_coder.terminology import CodeSets, Tables, load_tables
from fhir_coder.terminology.compiled import CompiledRows
from fhir_coder.terminology.csv_table import COMPILED_FROM, read_table
from fhir_coder.terminology.draft import Source
from fhir_coder.terminology.importing import IMPORTERS, Imported, import_table
from fhir_coder.terminology.translate import translate

ON = date(2026, 11, 3)
KINDS = {importer.kind: importer for importer in IMPORTERS}


def imported(kind: str, folder: Path, body: str, name: str = "file.txt") -> Imported:
    file = folder / name
    file.write_text(body, encoding="utf-8")
    return import_table(KINDS[kind], Source(file, CodeSets(), ON), folder / "site")


def codes(tables: Tables, system: str, code: str, kind: Kind | None = None) -> list[str] | str:
    found = translate(tables, Coding(system, code), CodingContext(service_date=ON, sex="female"), kind)
    return found.gap.reason if found.gap else [choice.trace.code for choice in found.choices]


GEM = """4019  I10     00000
25000 E119    10000
4280  I501    10000
4280  I5020   10000
36201 E1039   10111
36201 H3500   10112
99990 NoDx    11000
9999  T8089XA 10111
9999  T8090XA 10112
9999  T888XXA 10000
"""


def test_a_gem_gives_codes_combinations_and_lists_what_a_person_chooses_from(tmp_path: Path) -> None:
    made = imported("gem", tmp_path, GEM, "2018_I9gem.txt")
    tables = load_tables([tmp_path / "site"])

    assert (made.table.id, made.table.kind) == ("icd9-to-icd10cm", Kind.DIAGNOSIS)
    assert codes(tables, System.ICD9CM, "401.9") == ["I10"]
    assert codes(tables, System.ICD9CM, "4019") == ["I10"]
    assert codes(tables, System.ICD9CM, "362.01") == ["E10.39", "H35.00"]
    assert codes(tables, System.ICD9CM, "999.90") == "needs_detail"
    assert codes(tables, System.ICD9CM, "999.9") == "ambiguous"
    gap = translate(tables, Coding(System.ICD9CM, "428.0"), CodingContext(service_date=ON)).gap
    assert gap is not None
    assert gap.reason == "ambiguous"
    assert "I50.1" in gap.text
    assert "I50.20" in gap.text
    assert "approximate" in gap.text


def test_an_approximate_equivalent_is_flagged_in_its_trace(tmp_path: Path) -> None:
    imported("gem", tmp_path, GEM)
    found = translate(load_tables([tmp_path / "site"]), Coding(System.ICD9CM, "250.00"), CodingContext(service_date=ON))

    assert found.choices[0].trace.note == "approximate by the GEM"


def test_a_gem_of_procedures_makes_a_procedure_table(tmp_path: Path) -> None:
    imported("gem", tmp_path, "4701  0DTJ4ZZ 10000\n0001  NoPCS   11000\n")
    tables = load_tables([tmp_path / "site"])

    assert codes(tables, System.ICD9CM, "47.01") == ["0DTJ4ZZ"]


@pytest.mark.parametrize(
    "body", ["A000  0010  00000\n", "4019 I10\n", "4019  I10  01000\n", "", "4019  caf\xe9 00000\n"]
)
def test_a_file_that_is_no_gem_to_icd10_is_refused(tmp_path: Path, body: str) -> None:
    with pytest.raises(TableError):
        imported("gem", tmp_path, body)
    assert list((tmp_path / "site").iterdir()) == []


CHARGES = (
    "Charge Code,Description,CPT/HCPCS,Modifier,Revenue Code,Price\n"
    'OFF-VISIT,Visit,G0463,,0510,"$1,236.00"\nLAB-LEFT,Left,G0328,LT,,12.5\nROOM,Room and board,,,0120,900\n'
)


def test_a_charge_master_is_read_by_the_names_its_columns_have(tmp_path: Path) -> None:
    table = imported("charge-master", tmp_path, CHARGES, "cdm.csv").table
    [visit], [lab], [room] = (table.rows[code] for code in ("OFF-VISIT", "LAB-LEFT", "ROOM"))

    assert (visit.target, str(visit.unit_price)) == (Coding(System.HCPCS, "G0463", "Visit"), "1236.00")
    assert [one.code for one in lab.brings.modifiers] == ["LT"]
    assert room.needs_detail


@pytest.mark.parametrize(
    ("body", "line"),
    [
        ("Code,Description\nA,b\n", 1),
        ("Charge Code,HCPCS\nA,HELLO\n", 2),
        ("Charge Code,HCPCS\nA\n", 2),
        ("Charge Code,HCPCS\n,G0463\n", 2),
    ],
)
def test_a_faulty_charge_master_is_refused_with_its_line(tmp_path: Path, body: str, line: int) -> None:
    with pytest.raises(TableError) as caught:
        imported("charge-master", tmp_path, body)

    assert [fault.line for fault in caught.value.faults] == [line]
    assert list((tmp_path / "site").iterdir()) == []


# --- large tables

HEADER = """id = "big"
title = "Big"
kind = "charge"
source_system = "local"
target_system = "hcpcs"
version = "1"
licence = "none"
"""


def big(folder: Path, more: str = "") -> Path:
    rows = "".join(f"ITEM-{n},Words that make the file large number {n},G0463,,{n % 90}.50\n" for n in range(8_000))
    file = folder / "big.csv"
    file.write_text(f"source_code,display,target_code,sex,unit_price\n{rows}{more}", encoding="utf-8")
    file.with_suffix(".toml").write_text(HEADER, encoding="utf-8")
    assert file.stat().st_size > COMPILED_FROM
    return file


def test_a_large_table_is_kept_in_a_file_and_answers_as_one_in_memory(tmp_path: Path) -> None:
    file = big(tmp_path, "ITEM-X,Other,G0328,male,1\n")
    table, faults = read_table(file)

    assert faults == []
    assert table is not None
    assert isinstance(table.rows, CompiledRows)
    assert len(table) == 8_001
    [row] = table.rows["ITEM-17"]
    assert (row.line, str(row.unit_price), row.version) == (19, "17.50", table.version)
    assert "ITEM-?" not in table.rows
    assert sum(len(of_code) for of_code in table.by_code()) == 8_001
    assert codes(load_tables([tmp_path]), System.LOCAL, "ITEM-17") == ["G0463"]


def test_the_file_is_made_once_for_one_content(tmp_path: Path) -> None:
    file = big(tmp_path)
    read_table(file)
    [first] = (tmp_path / ".compiled").iterdir()
    made_at = first.stat().st_mtime_ns

    read_table(file)
    assert first.stat().st_mtime_ns == made_at
    big(tmp_path, "ITEM-X,Other,G0328,,1\n")
    table, _ = read_table(file)

    assert len(list((tmp_path / ".compiled").iterdir())) == 2
    assert table is not None
    assert "ITEM-X" in table.rows


def test_faults_of_a_large_table_are_listed_with_their_lines_and_no_file_is_kept(tmp_path: Path) -> None:
    file = big(tmp_path, "ITEM-1,Other,G0328,,1\nITEM-X,Other,G0328,girl,1\n")
    table, faults = read_table(file)

    assert table is None
    assert [(fault.line, fault.where) for fault in faults] == [(8003, "sex")]
    table, faults = read_table(big(tmp_path, "ITEM-1,Other,G0328,,1\n"))
    assert table is None
    assert [(fault.line, fault.where) for fault in faults] == [(8002, "source_code")]
    assert list((tmp_path / ".compiled").iterdir()) == []


def test_threads_and_copies_read_the_same_file(tmp_path: Path) -> None:
    big(tmp_path)
    tables = load_tables([tmp_path])
    copy: Tables = pickle.loads(pickle.dumps(tables))
    answers: list[object] = []

    def ask(of: Tables, first: int) -> None:
        answers.extend(codes(of, System.LOCAL, f"ITEM-{n}") for n in range(first, first + 200))

    threads = [threading.Thread(target=ask, args=(of, n * 200)) for n in range(4) for of in (tables, copy)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert answers == [["G0463"]] * 1_600
