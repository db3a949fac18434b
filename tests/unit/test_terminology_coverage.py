"""Coverage: how many facts have an answer, and which codes hold how much money."""

from __future__ import annotations

import gzip
import xml.etree.ElementTree as ET
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import pytest

from fhir_coder.coverage import coverage_of_charts, coverage_of_files
from fhir_coder.errors import FhirCoderError
from fhir_coder.model import Chart, Kind, Origin, ProcedureFact, System, When
from fhir_coder.pipeline import Rulebook
from fhir_coder.screens_coverage import coverage_html, coverage_svg, coverage_text
from fhir_coder.terminology.coverage import NO_CODE, Coverage, shown_system
from tests.building import (
    charge,
    chart_of,
    coded,
    diagnosis,
    money,
    patient,
    procedure,
    row,
    rulebook,
    sct,
    table,
    vaccination,
    visit,
)

REPO = Path(__file__).resolve().parents[2]
DX = table(Kind.DIAGNOSIS, System.SNOMED, row("38341003", f"{System.ICD10CM}|I10"), row("160903007"), id="dx")
CHARGES = table(Kind.CHARGE, System.LOCAL, row("LAB-1", f"{System.HCPCS}|J1885"), id="charges")


def book() -> Rulebook:
    return rulebook(DX, CHARGES)


def covered(*charts: Chart) -> Coverage:
    return coverage_of_charts(charts, book())


def at(path: str) -> Origin:
    return Origin("m1", path)


def chart(*facts: object) -> Chart:
    return chart_of(patient(), visit(), *facts)  # type: ignore[arg-type]  # facts of all kinds


def test_each_fact_counts_once_by_what_became_of_it() -> None:
    one = chart(
        diagnosis("I10"), diagnosis(sct("38341003")), diagnosis(sct("160903007")), diagnosis(sct("44465007")), charge()
    )

    [diagnoses, charges] = covered(one).kinds

    assert (diagnoses.came_coded, diagnoses.by_table, diagnoses.not_billable, diagnoses.gaps) == (1, 1, 1, 1)
    assert diagnoses.share == Fraction(3, 4)
    assert (charges.kind, charges.came_coded, charges.share) == (Kind.CHARGE, 1, Fraction(1))
    assert covered(one).all_kinds.facts == 5


def test_a_gap_holds_the_whole_visit_and_is_sorted_by_its_money() -> None:
    small = chart(diagnosis(sct("1119000")), charge(amount=money("10.00")))
    large = chart(diagnosis(sct("44465007")), charge(amount=money("500.00")))

    found = covered(small, small, large)

    assert [(one.code, one.facts, one.held) for one in found.unmapped] == [
        ("44465007", 1, {"USD": Decimal("500.00")}),
        ("1119000", 2, {"USD": Decimal("20.00")}),
    ]
    assert (found.visits, found.visits_held, found.held) == (3, 3, {"USD": Decimal("520.00")})


def test_a_charge_without_a_code_counts_with_the_amount_it_came_with() -> None:
    local = charge(coded(System.LOCAL, "XR-9"), amount=None, unit_amount=money("40.00"), quantity=Decimal(2))

    [one] = covered(chart(diagnosis(), local)).unmapped

    assert (one.kind, one.reason, one.held) == (Kind.CHARGE, "no_row", {"USD": Decimal("80.00")})


def test_two_codes_of_one_visit_hold_its_money_once_in_the_sum() -> None:
    two = chart(diagnosis(sct("44465007")), diagnosis(sct("1119000")), charge(amount=money("75.00")))

    found = covered(two)

    assert [one.held for one in found.unmapped] == [{"USD": Decimal("75.00")}] * 2
    assert found.held == {"USD": Decimal("75.00")}


def test_amounts_of_two_currencies_are_not_added() -> None:
    found = covered(
        chart(diagnosis(sct("44465007")), charge(amount=money("10.00", "EUR"))),
        chart(diagnosis(sct("44465007")), charge(amount=money("7.00"))),
    )

    assert found.unmapped[0].held == {"EUR": Decimal("10.00"), "USD": Decimal("7.00")}


def test_an_unknown_modifier_extension_is_a_gap_of_its_procedure() -> None:
    meant = ProcedureFact(at("Procedure"), "P9", sct("80146002"), When("2026-11-03"), unknown_modifier="urn:x")

    assert [(one.kind, one.reason) for one in covered(chart(meant)).unmapped] == [(Kind.PROCEDURE, "unknown_modifier")]


def test_visits_before_icd10_and_cancelled_ones_are_no_gaps() -> None:
    old = chart_of(patient(), visit(start=When("2015-01-05"), end=When("2015-01-05")), diagnosis(sct("44465007")))
    gone = chart_of(patient(), visit(), diagnosis(sct("44465007")), cancelled=True)

    found = covered(old, gone)

    assert (found.visits, found.before_icd10, found.unmapped) == (1, 1, ())


def test_an_outpatient_procedure_beside_charges_is_not_asked_and_does_not_count() -> None:
    found = covered(chart(diagnosis(), charge(), procedure(sct("80146002"))))

    assert [one.kind for one in found.kinds] == [Kind.DIAGNOSIS, Kind.CHARGE]


def test_no_fact_gives_no_share() -> None:
    empty = covered()

    assert (empty.all_kinds.share, empty.as_json()["all"]["share"]) == (None, None)
    assert "nothing in it is to be coded" in coverage_text(empty)
    assert "<svg" in coverage_svg(empty, "Coverage")


def test_a_share_below_all_is_never_shown_as_all() -> None:
    nearly = chart(*(diagnosis("I10", f"D{n}") for n in range(2000)), diagnosis(sct("44465007")))

    assert covered(nearly).kinds[0].gaps == 1
    assert "100.0%" not in coverage_text(covered(nearly))


@pytest.mark.parametrize("code", ["PLACEHOLDER^GINA", "Gina Placeholder", "GINA"])
def test_words_in_a_codes_place_are_shown_nowhere(code: str) -> None:
    found = covered(chart(diagnosis(coded(System.LOCAL, code)), charge()))

    for shown in (coverage_text(found), coverage_svg(found, "x"), coverage_html(found, "x"), str(found.as_json())):
        assert "gina" not in shown.lower()
        assert NO_CODE in shown or "words, not a code" in shown


@pytest.mark.parametrize(
    ("system", "shown"),
    [
        (System.SNOMED, "sct"),
        ("urn:hl7v2:KLEIN", "urn:hl7v2:KLEIN"),
        ("urn:hl7v2:PLACEHOLDER%20GINA", "(a system of the sender's own)"),
        ("urn:oid:1.2.3", "urn:oid:1.2.3"),
        ("http://clinic.example/codes", "http://clinic.example/codes"),
        ("Gina: a note", "(a system of the sender's own)"),
        ("", ""),
    ],
)
def test_a_system_is_shown_by_its_name_unless_it_is_prose(system: str, shown: str) -> None:
    assert shown_system(system) == shown


def test_the_picture_is_sound_xml_that_says_it_all_in_words_too() -> None:
    found = covered(chart(diagnosis(sct("44465007")), charge()), chart(vaccination()))
    picture = ET.fromstring(coverage_svg(found, "Coverage of <feed> & more"))
    space = "{http://www.w3.org/2000/svg}"

    assert picture.attrib["role"] == "img"
    assert picture.find(f"{space}title").text == "Coverage of <feed> & more"  # type: ignore[union-attr]  # it is there
    assert "diagnoses: 0.0% of 1 have an answer" in picture.find(f"{space}desc").text  # type: ignore[union-attr, operator]  # it is there
    assert "prefers-color-scheme: dark" in picture.find(f"{space}style").text  # type: ignore[union-attr, operator]  # it is there
    assert "http" not in coverage_html(found, "x").replace("http://www.w3.org/2000/svg", "")


def test_the_bars_of_a_kind_fill_its_width() -> None:
    found = covered(chart(diagnosis("I10"), diagnosis(sct("44465007")), diagnosis(sct("160903007")), charge()))
    picture = ET.fromstring(coverage_svg(found, "x"))
    by_line: dict[str, float] = {}
    for bar in picture.iter("{http://www.w3.org/2000/svg}rect"):
        if bar.get("height") == "16":
            by_line[bar.attrib["y"]] = by_line.get(bar.attrib["y"], 0) + float(bar.attrib["width"])

    assert len(by_line) == 4  # diagnoses, charges, all, and the code that waits
    assert all(abs(width - 440) < 1 for width in by_line.values())


def test_files_are_read_as_they_come_and_broken_ones_are_counted(tmp_path: Path) -> None:
    whole = REPO / "fixtures" / "unmapped-diagnosis" / "01-dft-p03.hl7"
    packed, broken = tmp_path / "day.hl7.gz", tmp_path / "broken.hl7"
    packed.write_bytes(gzip.compress(whole.read_bytes()))
    broken.write_bytes(b"neither this nor that")

    found = coverage_of_files([packed, broken], book())

    assert (found.messages, found.unreadable, found.coverage.visits) == (2, 1, 1)
    assert {one.reason for one in found.coverage.unmapped} == {"no_table", "no_row"}


def test_a_damaged_gzip_file_is_an_error_with_its_name(tmp_path: Path) -> None:
    cut = tmp_path / "cut.gz"
    cut.write_bytes(gzip.compress(b"MSH|" * 1000)[:-12])

    with pytest.raises(FhirCoderError, match="cut off"):
        coverage_of_files([cut], book())
