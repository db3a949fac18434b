"""Importing GEM files and charge masters, and large tables kept in a file."""

from __future__ import annotations

import contextlib
import os
import pickle
import threading
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from functools import partial
from pathlib import Path

import pytest

from fhir_coder.coding import code_chart
from fhir_coder.errors import FhirCoderError, TableError
from fhir_coder.model import CodedDiagnosis, Coding, CodingContext, Kind, System, Validity
from fhir_coder.terminology import CodeSets, Tables, load_tables, versions
from fhir_coder.terminology.charge_master import MOST_FAULTS
from fhir_coder.terminology.compiled import CompiledRows
from fhir_coder.terminology.csv_table import COMPILED_FROM, NOT_UTF8, read_table
from fhir_coder.terminology.draft import Source
from fhir_coder.terminology.history import read_history, write_whole
from fhir_coder.terminology.importing import IMPORTERS, Imported, import_table
from fhir_coder.terminology.table import BROADER
from fhir_coder.terminology.tables import Judge
from fhir_coder.terminology.translate import translate
from fhir_coder.terminology.versions import activate, versions_of
from tests.building import diagnosis, good_chart

ON = date(2026, 11, 3)
KINDS = {importer.kind: importer for importer in IMPORTERS}


put = partial(activate, at="2026-11-24T10:00:00+00:00", by="user tess")


def imported(kind: str, folder: Path, body: str, name: str = "file.txt") -> Imported:
    file = folder / name
    file.write_text(body, encoding="utf-8")
    with CodeSets() as code_sets:
        return import_table(KINDS[kind], Source(file, code_sets, ON), folder / "site", put)


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


def test_a_visit_before_icd10_is_told_apart_from_a_code_that_has_ended(tmp_path: Path) -> None:
    imported("gem", tmp_path, GEM)
    with CodeSets() as code_sets:
        tables = load_tables([tmp_path / "site"], judge=code_sets.validity)
        before, since = (
            translate(tables, Coding(System.ICD9CM, "401.9"), CodingContext(service_date=day)).gap
            for day in (date(2015, 9, 30), date(2015, 10, 1))
        )

    assert before is not None
    assert (before.reason, since) == ("target_not_valid", None)
    assert before.text.startswith("Services before 2015-10-01 are billed with the ICD-9-CM code")


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


def test_a_gem_may_come_as_csv_from_a_spreadsheet(tmp_path: Path) -> None:
    rows = [",".join(line.split()) for line in GEM.splitlines()]
    body = "\ufefficd9cm,icd10cm,flags\r\n" + "\r\n".join(rows) + "\r\n"
    as_text = imported("gem", tmp_path, GEM).table
    as_csv = imported("gem", tmp_path, body).table

    assert [row.answer for code in as_text.rows for row in as_text.rows[code]] == [
        row.answer for code in as_csv.rows for row in as_csv.rows[code]
    ]


@pytest.mark.parametrize(("kind", "size"), [("gem", 65 << 20), ("concept-map", 257 << 20)])
def test_a_huge_file_is_refused_before_it_is_read(tmp_path: Path, kind: str, size: int) -> None:
    file = tmp_path / "huge"
    file.touch()
    os.truncate(file, size)  # without content on the disk

    with pytest.raises(TableError, match="larger than"):
        import_table(KINDS[kind], Source(file, CodeSets(), ON), tmp_path / "site", put)
    assert list((tmp_path / "site").iterdir()) == []


@pytest.mark.parametrize("kind", ["charge-master", "icd10-conversion"])
def test_a_huge_file_without_lines_is_refused_at_its_first(tmp_path: Path, kind: str) -> None:
    file = tmp_path / "huge"
    file.touch()
    os.truncate(file, 5 << 30)  # without content on the disk

    with CodeSets() as code_sets, pytest.raises(TableError, match="a line of more than"):
        import_table(KINDS[kind], Source(file, code_sets, ON), tmp_path / "site", put)
    assert list((tmp_path / "site").iterdir()) == []


CONVERSION = (
    "Current code\tEffective\tPrevious code(s)\n"
    "A04.71\t2018\tA04.7\nA0472\t2018\tA04.7\nE66.811\t10/1/2024\tE66.8, E66.81\nU07.1\t2020-04-01\tB97.21\n"
)


def test_the_year_conversion_says_what_came_in_the_place_of_a_code(tmp_path: Path) -> None:
    table = imported("icd10-conversion", tmp_path, CONVERSION).table
    said = [
        (r.source_code, r.answer[1], str(r.conditions.valid_from), r.relationship) for of in table.by_code() for r in of
    ]

    assert table.id == "icd10cm-conversion"
    assert said == [
        ("A04.7", "A04.71", "2017-10-01", BROADER),
        ("A04.7", "A04.72", "2017-10-01", BROADER),
        ("B97.21", "U07.1", "2020-04-01", "equivalent"),
        ("E66.8", "E66.811", "2024-10-01", BROADER),  # E66.812 came in their place too, which this file leaves out
        ("E66.81", "E66.811", "2024-10-01", BROADER),
    ]


def test_a_split_code_is_never_converted_by_itself(tmp_path: Path) -> None:
    imported("icd10-conversion", tmp_path, CONVERSION)
    tables = load_tables([tmp_path / "site"])

    assert codes(tables, System.ICD10CM, "A04.7") == "ambiguous"
    assert codes(tables, System.ICD10CM, "B97.21") == ["U07.1"]


def judge(periods: dict[str, tuple[date, date]]) -> Judge:
    """Codes are valid in their periods; of others nothing is known."""

    def judged(_: str, code: str, on: date) -> Validity:
        first, last = periods.get(code, (date.min, date.max))
        return Validity.VALID if first <= on <= last else Validity.INVALID

    return judged


def converted(folder: Path, code: str, body: str = CONVERSION, *, wanted: bool = True, **ends: date) -> CodedDiagnosis:
    """The diagnosis of a visit to which a code came that ends as said."""
    imported("icd10-conversion", folder, body)
    judged = judge({one.replace("_", "."): (date.min, end) for one, end in ends.items()})
    tables = load_tables([folder / "site"], judge=judged, replaces_ended=wanted)
    [found] = code_chart(good_chart(diagnosis(code)), tables).diagnoses
    return found


STEPS = "I10.1\t2018\tI10\nI10.11\t2021\tI10.1\n"


def test_an_ended_code_is_replaced_by_the_one_that_came_in_its_place_and_the_trace_says_so(tmp_path: Path) -> None:
    found = converted(tmp_path, "B97.21", B97_21=date(2020, 3, 31))

    trace = found.trace
    assert (found.code.code, trace.source.code, trace.table) == ("U07.1", "B97.21", "icd10cm-conversion")
    assert trace.note == "the code sent had ended before the day of service"


def test_an_ended_code_goes_as_it_came_where_the_site_does_not_say_otherwise(tmp_path: Path) -> None:
    assert converted(tmp_path, "B97.21", wanted=False, B97_21=date(2020, 3, 31)).code.code == "B97.21"


def test_a_code_that_is_still_valid_is_never_replaced(tmp_path: Path) -> None:
    assert converted(tmp_path, "B97.21").code.code == "B97.21"


def test_a_split_code_goes_as_it_came(tmp_path: Path) -> None:
    assert converted(tmp_path, "A04.7", A04_7=date(2017, 9, 30)).code.code == "A04.7"


def test_an_ended_code_is_followed_from_year_to_year(tmp_path: Path) -> None:
    ends = {"I10": date(2017, 9, 30), "I10_1": date(2020, 9, 30)}
    assert converted(tmp_path, "I10", STEPS, **ends).code.code == "I10.11"


def test_a_code_whose_successor_has_ended_without_another_goes_as_it_came(tmp_path: Path) -> None:
    ends = {"I10": date(2017, 9, 30), "I10_1": date(2020, 9, 30)}
    assert converted(tmp_path, "I10", STEPS.splitlines()[0], **ends).code.code == "I10"


def test_codes_that_replace_each_other_go_as_they_came(tmp_path: Path) -> None:
    ends = {"I10_1": date(2017, 9, 30), "I10_2": date(2017, 9, 30)}
    assert converted(tmp_path, "I10.1", "I10.2\t2018\tI10.1\nI10.1\t2018\tI10.2\n", **ends).code.code == "I10.1"


def test_a_code_that_became_the_heading_of_more_than_the_file_names_is_a_persons_to_choose(tmp_path: Path) -> None:
    table = imported("icd10-conversion", tmp_path, "E78.41\t2019\tE78.4\n").table

    [row] = table.rows["E78.4"]
    assert (row.relationship, row.note.partition(",")[0]) == (BROADER, "the file names one code")


@pytest.mark.parametrize(
    ("body", "lines"),
    [
        ("A04.71\t2018\tA04.7-A04.9\n", [1]),
        ("A04.71\t2018\tA04.7\nA04.72\tsoon\tA04.7\n", [2]),
        ("A04.71\t2018\tA04.7\n\nA04.72\t2018\n", [3]),
        ("A04.71\t13/40/2018\tA04.7\n", [1]),
        ("A04.71\t2018\tA04.7\n0DTJ4ZZ\t2018\t0DTJ0ZZ\n", [0]),
        ("Current\tEffective\tPrevious\n", [0]),
        ("", [0]),
    ],
)
def test_a_faulty_year_conversion_is_refused_with_its_lines(tmp_path: Path, body: str, lines: list[int]) -> None:
    with pytest.raises(TableError) as caught:
        imported("icd10-conversion", tmp_path, body)

    assert [fault.line for fault in caught.value.faults] == lines
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
    assert (visit.brings.revenue_code, lab.brings.revenue_code) == ("0510", "")
    assert room.target == Coding(System.REVENUE, "0120", "Room and board")


@pytest.mark.parametrize(
    ("body", "line"),
    [
        ("Code,Description\nA,b\n", 1),
        ("Charge Code,HCPCS\nA,HELLO\n", 2),
        ("Charge Code,HCPCS\nA\n", 2),
        ("Charge Code,HCPCS\n,G0463\n", 2),
        ("Charge Code,HCPCS,Rev Code\nA,G0463,45\n", 2),
        ('Charge Code,Description,HCPCS,Price\nA,"two\nlines",G0463,1\nB,x,G0463,-5\n', 4),
        ("Charge Code,HCPCS,Price\nA,G0463,1\n\nA,G0463,2\n", 4),
    ],
)
def test_a_faulty_charge_master_is_refused_with_its_line(tmp_path: Path, body: str, line: int) -> None:
    with pytest.raises(TableError) as caught:
        imported("charge-master", tmp_path, body)

    assert [fault.line for fault in caught.value.faults] == [line]
    assert list((tmp_path / "site").iterdir()) == []


def test_all_faults_of_a_charge_master_are_listed_at_once_with_its_own_lines(tmp_path: Path) -> None:
    body = "Charge Code,HCPCS,Price,Effective Date\nA,HELLO,1,\nB,G0463,1.234567,\nC,G0463,1,2026-02-30\nD,G0463,1,\n"

    with pytest.raises(TableError) as caught:
        imported("charge-master", tmp_path, body)

    found = [(Path(fault.file).name, fault.line, fault.where) for fault in caught.value.faults]
    assert found == [
        ("file.txt", 2, "target_code"),
        ("file.txt", 3, "unit_price"),
        ("file.txt", 4, "valid_from"),
    ]


def test_a_charge_master_in_latin_1_is_refused_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "cdm.csv"
    file.write_bytes("Charge Code,HCPCS,Description\nA,G0463,x\nB,G0463,Entr\xe9e\n".encode("latin-1"))

    with pytest.raises(TableError) as caught:
        import_table(KINDS["charge-master"], Source(file, CodeSets(), ON), tmp_path / "site", put)
    assert [(fault.line, fault.text) for fault in caught.value.faults] == [(3, NOT_UTF8)]


def test_a_file_of_nothing_but_faults_is_not_read_to_its_end(tmp_path: Path) -> None:
    with pytest.raises(TableError) as caught:
        imported("charge-master", tmp_path, "Charge Code,HCPCS\n" + "A,HELLO\n" * 10_000)

    assert len(caught.value.faults) == MOST_FAULTS + 1
    assert "the rest was not read" in caught.value.faults[-1].text


def test_a_revenue_code_of_three_digits_gets_its_zero(tmp_path: Path) -> None:
    table = imported("charge-master", tmp_path, "Charge Code,HCPCS,Rev Code\nED,G0463,450\n").table

    assert table.rows["ED"][0].brings.revenue_code == "0450"


def test_what_has_a_revenue_code_alone_is_billed_by_that(tmp_path: Path) -> None:
    body = "Charge Code,Description,HCPCS,Rev Code,Price\nBED,Room,,0110,1850.00\nGAUZE,Pack,,270,4.50\nNONE,Word,,,1\n"
    table = imported("charge-master", tmp_path, body).table

    bed, gauze, none = (table.rows[code][0] for code in ("BED", "GAUZE", "NONE"))
    assert bed.target == Coding(System.REVENUE, "0110", "Room")
    assert (gauze.target.code if gauze.target else "", gauze.unit_price) == ("0270", Decimal("4.50"))
    assert none.target is None


@pytest.mark.parametrize(("sign", "name"), [(";", "semicolons"), ("\t", "tabs")])
def test_columns_that_are_not_parted_by_commas_are_named(tmp_path: Path, sign: str, name: str) -> None:
    with pytest.raises(TableError) as caught:
        imported("charge-master", tmp_path, sign.join(("Charge Code", "HCPCS")) + "\n")

    assert f"parted by {name}: save it with commas" in caught.value.faults[0].text


# --- where the table is put

ONE_CHARGE = "Charge Code,HCPCS\nA,G0463\n"


@pytest.mark.parametrize("name", ["../evil", "a/b", ".hidden", "two words"])
def test_an_id_that_is_none_writes_nothing_anywhere(tmp_path: Path, name: str) -> None:
    file = tmp_path / "cdm.csv"
    file.write_text(ONE_CHARGE, encoding="utf-8")

    with pytest.raises(TableError, match="not an id"):
        import_table(KINDS["charge-master"], Source(file, CodeSets(), ON), tmp_path / "a" / "site", put, name)
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["a", "cdm.csv", "site"]


def test_a_table_of_the_same_id_is_found_whatever_its_file_is_called(tmp_path: Path) -> None:
    made = imported("charge-master", tmp_path, ONE_CHARGE, "one.csv")
    site = tmp_path / "site"
    for suffix in (".csv", ".toml"):
        (site / f"charge-master{suffix}").rename(site / f"prices{suffix}")
    again = imported("charge-master", tmp_path, ONE_CHARGE.replace("G0463", "G0467"), "two.csv")

    assert again.replaced == made.table.version
    assert sorted(path.name for path in site.iterdir()) == [".versions", "prices.csv", "prices.toml"]
    assert codes(load_tables([site]), System.LOCAL, "A") == ["G0467"]


def test_a_concept_map_in_the_folder_keeps_its_id(tmp_path: Path) -> None:
    body = (
        '{"resourceType":"ConceptMap","id":"lab","status":"active","copyright":"own","group":[{'
        '"source":"http://snomed.info/sct","target":"http://hl7.org/fhir/sid/icd-10-cm",'
        '"element":[{"code":"59621000","target":[{"code":"I10","equivalence":"equivalent"}]}]}]}'
    )
    site = tmp_path / "site"
    site.mkdir()
    (site / "other.json").write_text(body, encoding="utf-8")

    with pytest.raises(FhirCoderError, match=r"other\.json has this id"):
        imported("concept-map", tmp_path, body)
    assert [path.name for path in site.iterdir()] == ["other.json"]


def test_a_folder_with_a_fault_is_left_as_it_is(tmp_path: Path) -> None:
    site = tmp_path / "site"
    site.mkdir()
    (site / "lost.toml").write_text("", encoding="utf-8")

    with pytest.raises(TableError, match="nothing was imported"):
        imported("charge-master", tmp_path, ONE_CHARGE)
    assert [path.name for path in site.iterdir()] == ["lost.toml"]


def test_what_a_dead_import_left_is_removed_a_day_later(tmp_path: Path) -> None:
    site = tmp_path / "site"
    for name, age in ((".import-old", 90_000), (".import-new", 60)):
        (site / name).mkdir(parents=True)
        (site / name / "big.csv").write_text("x", encoding="utf-8")
        then = (site / name).stat().st_mtime - age
        os.utime(site / name, (then, then))
    imported("charge-master", tmp_path, ONE_CHARGE)

    assert sorted(path.name for path in site.glob(".import-*")) == [".import-new"]


def test_an_import_that_dies_before_it_counts_leaves_no_table_and_one_that_dies_after_it_leaves_it_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = tmp_path / "site"
    for left in range(1, 9):
        with monkeypatch.context() as patch:
            patch.setattr(versions, "write_whole", dies_after(left))
            with contextlib.suppress(KeyboardInterrupt):
                imported("charge-master", tmp_path, ONE_CHARGE)
        is_there = read_history(site).state == 1
        answer = codes(load_tables([site]), System.LOCAL, "A") if site.exists() else "no_table"
        assert answer == (["G0463"] if is_there else "no_table")
        if is_there:
            return
    raise AssertionError("the import never counted")


def dies_after(writes: int) -> Callable[[Path, bytes], None]:
    """Writing files, until the power fails."""
    left = [writes]

    def write(file: Path, body: bytes) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise KeyboardInterrupt
        write_whole(file, body)

    return write


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


def test_an_import_over_an_imported_table_keeps_the_version_before_and_says_who_and_when(tmp_path: Path) -> None:
    site, file = tmp_path / "site", tmp_path / "cdm.csv"
    for price in ("10.00", "12.00", "12.00"):
        file.write_text(f"charge code,hcpcs,price\nA,G0463,{price}\n", encoding="utf-8")
        made = import_table(KINDS["charge-master"], Source(file, CodeSets(), ON), site, put)

    newest, before = versions_of(site)
    assert (newest.table.version, newest.by, bool(newest.days)) == (made.table.version, "user tess", True)
    assert (before.by, before.days) == ("user tess", ())
    assert read_history(site).state == 2, "the third one said nothing new"
