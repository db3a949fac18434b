from __future__ import annotations

import pickle
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from fhir_coder.errors import TableError
from fhir_coder.model import Choice, Coding, CodingContext, Concept, Gap, Kind, Origin, System, Trace
from fhir_coder.terminology import Tables, load_tables

ORIGIN = Origin("m1", "DG1[1]")
ANYONE = CodingContext()
HEADER = """id = "{id}"
title = "{id}"
kind = "{kind}"
source_system = "{source}"
{target}version = "1"
licence = "CC0-1.0"
"""
COLUMNS = "source_code,display,target_code,sex,age,encounter_class,payer,priority,valid_from,valid_to,unit_price,note"

Table = Callable[..., Path]


@pytest.fixture
def table(tmp_path: Path) -> Table:
    def written(
        rows: str, id: str = "dx", folder: str = "shipped", kind: str = "diagnosis", systems: str = "sct>icd10cm"
    ) -> Path:
        source, _, target = systems.partition(">")
        target = f'target_system = "{target}"\n' if target else ""
        (tmp_path / folder).mkdir(exist_ok=True)
        path = tmp_path / folder / f"{id}.csv"
        path.write_text(f"{COLUMNS}\n{rows}", encoding="utf-8")
        header = HEADER.format(id=id, kind=kind, source=source, target=target)
        path.with_suffix(".toml").write_text(header, encoding="utf-8")
        return path.parent

    return written


def sct(*codes: str) -> Concept:
    return Concept(tuple(Coding(System.SNOMED, code, "POISON") for code in codes))


def choose(
    tables: Tables, concept: Concept, context: CodingContext = ANYONE, kind: Kind = Kind.DIAGNOSIS
) -> Choice | Gap:
    return tables.choose(kind, concept, context, ORIGIN, "chart-1")


def code_of(answer: Choice | Gap) -> str | None:
    assert isinstance(answer, Choice)
    return answer.code.code if answer.code else None


def gap_of(answer: Choice | Gap) -> Gap:
    assert isinstance(answer, Gap)
    assert "POISON" not in f"{answer.text}{answer.display}"
    assert answer.text.endswith(".")
    return answer


def test_a_choice_says_where_it_came_from(table: Table) -> None:
    tables = load_tables([table("1,One,A00.0,,,,,,,,,\n38341003,Hypertension,I10,,,,,,,,,why\n")])

    version = tables.versions[0]
    assert choose(tables, sct("38341003")) == Choice(
        Coding(System.ICD10CM, "I10", "Hypertension"),
        Trace(
            system=System.ICD10CM,
            code="I10",
            origin=ORIGIN,
            source=Coding(System.SNOMED, "38341003", "POISON"),
            table="dx",
            row=3,
            version=version,
            note="why",
        ),
    )


def test_not_billable_is_an_answer_without_a_code(table: Table) -> None:
    answer = choose(load_tables([table("1,School,not-billable,,,,,,,,,nothing to bill\n")]), sct("1"))

    assert isinstance(answer, Choice)
    assert answer.code is None
    assert (answer.trace.system, answer.trace.code, answer.trace.row) == ("", "", 2)


HYPERTENSION = "1,Hypertension,P29.2,,<29d,,,1,,,,\n1,Hypertension,I10,,,,,2,,,,\n"
BORN = date(2026, 10, 1)


@pytest.mark.parametrize(("day", "code"), [(date(2026, 10, 29), "P29.2"), (date(2026, 10, 30), "I10")])
def test_the_first_row_that_fits_wins(table: Table, day: date, code: str) -> None:
    context = CodingContext(service_date=day, birth_date=BORN)

    assert code_of(choose(load_tables([table(HYPERTENSION)]), sct("1"), context)) == code


def test_an_unknown_row_before_one_that_fits_is_a_gap_that_names_what_is_missing(table: Table) -> None:
    gap = gap_of(choose(load_tables([table(HYPERTENSION)]), sct("1"), CodingContext(service_date=BORN)))

    assert (gap.reason, gap.display, gap.chart_key, gap.origin) == (
        "unknown_context",
        "Hypertension",
        "chart-1",
        ORIGIN,
    )
    assert gap.text == (
        "The age is not known, and row dx:2 asks for it: record the age for the visit, or choose the code."
    )


def test_an_unknown_row_behind_one_that_fits_does_not_matter(table: Table) -> None:
    tables = load_tables([table("1,x,I10,,,,,1,,,,\n1,x,I15.9,female,,,,2,,,,\n")])

    assert code_of(choose(tables, sct("1"))) == "I10"


@pytest.mark.parametrize(
    ("cells", "name"),
    [
        ("male,,,,1,,", "sex"),
        (",<1y,,,1,,", "age"),
        (",,IMP,,1,,", "encounter class"),
        (",,,acme,1,,", "payer"),
        (",,,,1,2024-01-01,", "service date"),
        ("male,,IMP,,1,,", "sex and encounter class"),
    ],
)
def test_every_unknown_datum_is_named(table: Table, cells: str, name: str) -> None:
    gap = gap_of(choose(load_tables([table(f"1,x,I10,{cells},,\n")]), sct("1")))

    assert gap.reason == "unknown_context"
    assert f"The {name} " in gap.text


def test_rows_of_two_tables_that_fit_equally_well_are_a_gap(table: Table) -> None:
    table("1,x,I10,,,,,,,,,\n", id="a")
    gap = gap_of(choose(load_tables([table("1,x,I15.9,,,,,,,,,\n", id="b")]), sct("1")))

    assert gap.reason == "ambiguous"
    assert "a:2 (I10) and b:2 (I15.9)" in gap.text


def test_rows_of_two_tables_that_agree_are_one_choice(table: Table) -> None:
    table("1,x,I10,,,,,,,,,\n", id="a")

    assert code_of(choose(load_tables([table("1,y,I10,male,,,,,,,,\n", id="b")]), sct("1"))) == "I10"


def test_an_undecided_row_beside_one_that_fits_is_a_gap_where_it_says_something_else(table: Table) -> None:
    table("1,x,I10,,,,,,,,,\n", id="a")
    gap = gap_of(choose(load_tables([table("1,y,I15.9,male,,,,,,,,\n", id="b")]), sct("1")))

    assert gap.reason == "unknown_context"


def test_rows_that_do_not_fit_are_a_gap_that_names_what_they_ask(table: Table) -> None:
    tables = load_tables([table("1,x,I10,male,,,,,2016-10-01,,,\n")])
    gap = gap_of(choose(tables, sct("1"), CodingContext(sex="male", service_date=date(2016, 9, 30))))

    assert gap.reason == "no_row_fits"
    assert "none fits the service date and sex:" in gap.text


def test_needs_detail_is_a_gap_with_the_words_of_the_row(table: Table) -> None:
    tables = load_tables([table("1,Fracture of the wrist,needs-detail,,,,,,,,,Which side was it.\n")])
    gap = gap_of(choose(tables, sct("1")))

    assert (gap.reason, gap.text, gap.display) == ("needs_detail", "Which side was it.", "Fracture of the wrist")


@pytest.mark.parametrize(
    ("concept", "reason"),
    [
        (sct("2"), "no_row"),
        (Concept((Coding(System.CVX, "1"),)), "no_table"),
        (Concept((Coding("urn:poison:POISON", "1"),)), "no_table"),
        (Concept((Coding("", "1"),)), "no_system"),
        (Concept((Coding(System.SNOMED, ""),)), "no_code"),
        (Concept((), "POISON"), "no_code"),
        (Concept((Coding("", "1"), Coding(System.CVX, "1"))), "no_table"),
        (Concept((Coding("", "1"), Coding(System.CVX, "1"), Coding(System.SNOMED, "2"))), "no_row"),
        (Concept((Coding(System.SNOMED, "2"), Coding(System.SNOMED, "3"))), "needs_detail"),
    ],
)
def test_a_gap_says_the_most_that_is_known(table: Table, concept: Concept, reason: str) -> None:
    tables = load_tables([table("1,x,I10,,,,,,,,,\n3,x,needs-detail,,,,,,,,,Which side.\n")])

    assert gap_of(choose(tables, concept)).reason == reason


def test_tables_are_asked_for_their_kind_only(table: Table) -> None:
    tables = load_tables([table("1,x,I10,,,,,,,,,\n")])

    assert gap_of(choose(tables, sct("1"), kind=Kind.PROCEDURE)).reason == "no_table"


def test_any_coding_with_a_row_gives_the_choice_and_the_first_named_goes_first(table: Table) -> None:
    table("X,x,I10,,,,,,,,,\n", id="local", systems="local>icd10cm")
    tables = load_tables([table("1,x,I10,,,,,,,,,\n")])
    both = Concept((Coding(System.CVX, "9"), Coding(System.LOCAL, "X"), Coding(System.SNOMED, "1")))

    answer = choose(tables, both)

    assert isinstance(answer, Choice)
    assert answer.trace.table == "local"


@pytest.mark.parametrize("other", ["I15.9", "not-billable"])
def test_codings_that_lead_to_different_codes_are_a_gap(table: Table, other: str) -> None:
    tables = load_tables([table(f"1,x,I10,,,,,,,,,\n2,y,{other},,,,,,,,,\n")])
    gap = gap_of(choose(tables, sct("1", "2")))

    assert (gap.reason, gap.code) == ("ambiguous", "1")
    assert "dx:2 and dx:3" in gap.text


def test_a_site_overrides_one_row_and_the_next_folder_answers_where_it_does_not_fit(table: Table) -> None:
    shipped = table("1,x,I10,,,,,,,,,\n2,x,I10,,,,,,,,,\n")
    site = table("1,x,I15.9,male,,,,,,,,\n", id="ours", folder="site")
    tables = load_tables([site, shipped])

    assert code_of(choose(tables, sct("1"), CodingContext(sex="male"))) == "I15.9"
    assert code_of(choose(tables, sct("1"), CodingContext(sex="female"))) == "I10"
    assert gap_of(choose(tables, sct("1"), CodingContext())).reason == "unknown_context"
    assert code_of(choose(tables, sct("2"))) == "I10"
    assert code_of(choose(load_tables([shipped, site]), sct("1"), CodingContext(sex="male"))) == "I10"


def test_a_charge_brings_its_price(table: Table) -> None:
    tables = load_tables([table("RAD-CXR1,Chest,G0463,,,,,,,,120.50,\n", kind="charge", systems="local>hcpcs")])
    answer = choose(tables, Concept((Coding(System.LOCAL, "RAD-CXR1"),)), kind=Kind.CHARGE)

    assert isinstance(answer, Choice)
    assert answer.unit_price == Decimal("120.50")


def test_a_fee_table_gives_the_price_of_a_code_on_a_date(table: Table) -> None:
    rows = "G0463,Visit,,,,,,,2024-01-01,2024-12-31,100.00,\nG0463,Visit,,,,,,,2025-01-01,,110.00,\n"
    tables = load_tables([table(rows, id="fees", kind="fee", systems="hcpcs")])
    code = Coding(System.HCPCS, "G0463", "Visit")

    found = tables.price(code, CodingContext(service_date=date(2025, 3, 1)), ORIGIN)

    assert found == (
        Decimal("110.00"),
        Trace(System.HCPCS, "G0463", ORIGIN, code, "fees", 3, tables.versions[0]),
    )
    assert tables.price(code, ANYONE) is None
    assert tables.price(code, CodingContext(service_date=date(2023, 1, 1))) is None
    assert tables.price(Coding(System.HCPCS, "J1885"), ANYONE) is None


def test_a_concept_table_is_a_dictionary_with_the_sites_answers_first(table: Table) -> None:
    shipped = table("F,x,female,,,,,,,,,\nM,x,male,,,,,,,,,\n", id="v2-sex", kind="concept", systems="v2-0001>gender")
    site = table("M,x,other,,,,,,,,,\n", id="v2-sex", folder="site", kind="concept", systems="v2-0001>gender")
    tables = load_tables([site, shipped])

    assert tables.concept("v2-sex") == {"F": "female", "M": "other"}
    assert tables.concept("v2-none") == {}


def test_tables_are_listed_in_the_order_they_are_asked(table: Table) -> None:
    shipped = table("1,x,I10,,,,,,,,,\n2,x,I10,,,,,,,,,\n")
    site = table("1,x,I10,,,,,,,,,\n", id="ours", folder="site")

    listed = load_tables([site, shipped]).describe()

    assert [(s.id, s.kind, s.rows, s.layer, Path(s.folder).name, s.licence) for s in listed] == [
        ("ours", Kind.DIAGNOSIS, 1, 1, "site", "CC0-1.0"),
        ("dx", Kind.DIAGNOSIS, 2, 2, "shipped", "CC0-1.0"),
    ]
    assert [s.version[:3] for s in listed] == ["our", "dx@"]


def test_faults_of_all_tables_are_listed_at_once_and_nothing_is_loaded(table: Table, tmp_path: Path) -> None:
    shipped = table("1,x,,,,,,,,,,\n", id="a")
    table("1,x,I10,girl,,,,,,,,\n", id="b")
    (shipped / "c.toml").write_text("", encoding="utf-8")

    with pytest.raises(TableError) as caught:
        load_tables([shipped, tmp_path / "nowhere"])

    assert [(Path(f.file).name, f.line, f.where) for f in caught.value.faults] == [
        ("c.toml", 0, ""),
        ("a.csv", 2, "target_code"),
        ("b.csv", 2, "sex"),
        ("nowhere", 0, ""),
    ]


def test_an_id_is_taken_once_in_a_folder_and_again_in_another(table: Table) -> None:
    shipped = table("1,x,I10,,,,,,,,,\n")
    site = table("1,x,I15.9,,,,,,,,,\n", folder="site")
    assert len(load_tables([site, shipped]).versions) == 2

    (shipped / "again.csv").write_text((shipped / "dx.csv").read_text())
    (shipped / "again.toml").write_text((shipped / "dx.toml").read_text())
    with pytest.raises(TableError) as caught:
        load_tables([shipped])
    assert [str(f) for f in caught.value.faults] == [f"{shipped / 'dx.toml'}: id: the id is taken by again.csv"]


def test_subfolders_are_not_loaded_unless_given(table: Table) -> None:
    shipped = table("1,x,I10,,,,,,,,,\n")
    (shipped / "codesets").mkdir()
    (shipped / "codesets" / "hcpcs.csv").write_text("code,title,valid_from,valid_to\n")
    example = table("1,x,I15.9,,,,,,,,,\n", id="ours", folder="shipped/example-site")

    assert [s.id for s in load_tables([shipped]).describe()] == ["dx"]
    assert [s.id for s in load_tables([example]).describe()] == ["ours"]


def test_only_the_named_tables_are_used(table: Table) -> None:
    shipped = table("1,x,I10,,,,,,,,,\n", id="a")
    table("2,x,I10,,,,,,,,,\n", id="b")

    assert [s.id for s in load_tables([shipped], ids=["b"]).describe()] == ["b"]
    with pytest.raises(TableError, match="none: no folder has a table of this id"):
        load_tables([shipped], ids=["b", "none"])


def test_no_tables_are_a_gap_not_an_error() -> None:
    assert gap_of(choose(Tables(), sct("1"))).reason == "no_table"
    assert Tables().concept("v2-sex") == {}
    assert Tables().describe() == []


def test_tables_travel_to_other_processes(table: Table) -> None:
    tables = pickle.loads(pickle.dumps(load_tables([table(HYPERTENSION)])))

    assert choose(tables, sct("1")) == choose(load_tables([table(HYPERTENSION)]), sct("1"))
