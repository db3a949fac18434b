"""The terminology commands as a coder uses them: real processes, real files."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests import rf2

SCT = "http://snomed.info/sct"


def run(*words: str | Path, code: int = 0) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-m", "fhir_coder", *map(str, words)], capture_output=True, text=True, check=False
    )
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    return done


def translated(*words: str | Path) -> Any:
    return json.loads(run("translate", *words, "--json").stdout)


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    site = tmp_path_factory.mktemp("site") / "site"
    run("init", site)
    return site / "fhir-coder.toml"


def test_a_code_is_translated_with_its_row_and_version() -> None:
    answer = translated("--system", "sct", "--code", "840539006", "--date", "2026-11-03")

    [target] = answer["targets"]
    assert (target["code"], target["table"], answer["gap"]) == ("U07.1", "snomed-to-icd10cm", None)
    assert target["version"].startswith("snomed-to-icd10cm@")
    assert isinstance(target["row"], int)
    assert "U07.1" in run("translate", "--system", SCT, "--code", "840539006").stdout


def test_a_gap_says_what_is_not_known_and_an_age_settles_it() -> None:
    asked = ("--system", "sct", "--code", "38341003")

    assert translated(*asked)["gap"]["reason"] == "unknown_context"
    assert [t["code"] for t in translated(*asked, "--age", "10d")["targets"]] == ["P29.2"]
    assert [t["code"] for t in translated(*asked, "--age", "70")["targets"]] == ["I10"]


@pytest.mark.parametrize("words", [("--age", "old"), ("--sex", "girl"), ("--date", "today"), ("--kind", "guess")])
def test_an_option_that_cannot_be_read_is_said(words: tuple[str, str]) -> None:
    assert words[0] in run("translate", "--system", "sct", "--code", "38341003", *words, code=1).stderr


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        (("--payer", "lakeshor"), "--payer: no payer of the settings is called so: did you mean lakeshore"),
        (("--feed", "adt_dft"), "did you mean adt-dft?"),
        (("--class", "amb"), "--class: a code of v3-ActCode, in capitals"),
        (("--age", "300"), "--age: nobody is that old"),
    ],
)
def test_a_word_that_no_row_can_mean_is_refused_and_not_passed_over(
    config: Path, words: tuple[str, str], answer: str
) -> None:
    assert answer in run("translate", "--system", "sct", "--code", "38341003", *words, "-c", config, code=1).stderr


def test_a_proposal_for_a_payer_that_is_not_there_is_refused(config: Path) -> None:
    asked = ("--system", "local", "--code", "DX-X", "--kind", "diagnosis", "--to", "R21", "-c", config)
    assert "did you mean lakeshore" in run("tables", "propose", "--set", "payer=lakeshor", *asked, code=1).stderr


def test_a_map_is_imported_asked_exported_and_a_faulty_one_changes_nothing(config: Path, tmp_path: Path) -> None:
    one = rf2.concept(1)
    good = tmp_path / "map.txt"
    good.write_text(rf2.text([rf2.MapRow(one, "S93.401?")]), encoding="utf-8")
    bad = tmp_path / "bad.txt"
    bad.write_text(rf2.text([rf2.MapRow(one, rule="IFA nonsense")]), encoding="utf-8")
    asked = ("--system", "sct", "--code", one, "-c", config)

    run("tables", "import", "nlm-map", good, "-c", config)
    failed = run("tables", "import", "nlm-map", bad, "-c", config, code=2)

    assert f"{bad}:2: mapRule" in failed.stderr
    assert translated(*asked)["gap"]["reason"] == "unknown_context"
    assert [t["code"] for t in translated(*asked, "--class", "EMER")["targets"]] == ["S93.401A"]
    assert [t["code"] for t in translated(*asked, "--episode", "S")["targets"]] == ["S93.401S"]
    out = tmp_path / "map.json"
    run("tables", "export", "nlm-map", "--format", "concept-map", "--out", out, "-c", config)
    run("tables", "import", "concept-map", out, "--id", "again", "-c", config)
    assert (config.parent / "mappings" / "again.csv").is_file()
    assert (
        run("tables", "export", "again", "-c", config).stdout == run("tables", "export", "nlm-map", "-c", config).stdout
    )


def test_nothing_is_imported_into_the_example_site(tmp_path: Path) -> None:
    file = tmp_path / "map.txt"
    file.write_text(rf2.text([rf2.MapRow(rf2.concept(1))]), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "fhir_coder", "tables", "import", "nlm-map", str(file)],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )

    assert done.returncode == 1
    assert "init" in done.stderr


GAP = Path(__file__).resolve().parents[2] / "fixtures" / "unmapped-diagnosis" / "01-dft-p03.hl7"


def test_the_coverage_of_files_is_told_as_list_data_and_picture(tmp_path: Path) -> None:
    page, picture = tmp_path / "coverage.html", tmp_path / "coverage.svg"
    done = run("tables", "coverage", GAP, "--html", page, "--svg", picture)
    found = json.loads(run("tables", "coverage", GAP, "--json").stdout)

    assert "no_table" in done.stdout
    assert (found["messages"], found["visits_held"], found["held"]) == (1, 1, {"USD": 236.0})
    assert [(one["kind"], one["facts"], one["share"]) for one in found["kinds"]] == [
        ("diagnosis", 1, 0),
        ("charge", 1, 1),
    ]
    assert page.read_text(encoding="utf-8").startswith("<!doctype html>")
    assert picture.read_text(encoding="utf-8").startswith("<svg")
    assert GAP.name not in page.read_text(encoding="utf-8")  # a file's name may be a patient's


def test_what_is_neither_a_file_nor_a_feed_is_said() -> None:
    assert "neither a file nor a feed" in run("tables", "coverage", "nowhere", code=1).stderr
    assert "no such file" in run("tables", "coverage", GAP, "nowhere", code=1).stderr


def test_coverage_of_a_file_that_cannot_be_read_ends_with_status_2(tmp_path: Path) -> None:
    broken = tmp_path / "broken.hl7"
    broken.write_bytes(b"no message at all")

    assert "1 of 1 messages could not be read" in run("tables", "coverage", broken, code=2).stderr


def test_a_proposed_row_answers_only_after_its_activation(config: Path) -> None:
    asked = ("--system", "local", "--code", "DX-PROPOSED", "--kind", "diagnosis", "-c", config)
    proposed = run("tables", "propose", "--to", "R21", "--why", "agreed", *asked)
    file = config.parent / "mappings" / "proposed" / "decisions-diagnosis-local.csv"

    assert f"{file}:2" in proposed.stdout
    assert translated(*asked)["targets"] == []
    run("tables", "activate", file, "-c", config)
    assert [(t["code"], t["table"]) for t in translated(*asked)["targets"]] == [("R21", "decisions-diagnosis-local")]


def test_a_proposal_that_the_check_would_refuse_ends_with_status_2(config: Path) -> None:
    asked = ("--system", "local", "--code", "DX-WRONG", "--kind", "diagnosis", "-c", config)

    assert "not a valid ICD-10-CM code" in run("tables", "propose", "--to", "S52.50", *asked, code=2).stderr
    assert (
        "SYSTEM|CODE"
        in run("tables", "propose", "--to", "?", "--kind", "charge", *asked[:4], *asked[6:], code=1).stderr
    )
    assert "--gap" in run("tables", "propose", "--to", "R21", "-c", config, code=1).stderr


def test_an_import_says_at_once_what_the_check_finds_in_its_table(config: Path, tmp_path: Path) -> None:
    file = tmp_path / "cdm.csv"
    file.write_text("Charge Code,HCPCS,Price\nA,G0463,1\nB,Z9999,1\n")

    refused = run("tables", "import", "charge-master", file, "--id", "mine", "-c", config, code=2)
    file.write_text("Charge Code,HCPCS,Price\nA,G0463,1\nB,G9999,1\n")
    made = run("tables", "import", "charge-master", file, "--id", "mine", "-c", config)

    assert f"{file}:3: target_code: not the form" in refused.stderr
    assert "mine.csv:3: target_code: not a valid HCPCS Level II code" in made.stderr
    assert "faults and warnings of it: 1" in made.stdout


def test_the_year_conversion_is_shown_beside_an_ended_code(config: Path, tmp_path: Path) -> None:
    file = tmp_path / "conversion.txt"
    file.write_text("Current\tEffective\tPrevious\nA04.71\t2018\tA04.7\nA04.72\t2018\tA04.7\n", encoding="utf-8")
    run("tables", "import", "icd10-conversion", file, "-c", config)
    [shown] = json.loads(run("codes", "show", "A04.7", "--json", "-c", config).stdout)

    assert [one["code"] for one in shown["by_table"]] == ["A04.71", "A04.72"]
    assert "one of these instead" in run("codes", "show", "A04.7", "-c", config).stdout


def test_tables_and_their_faults_are_listed_for_programs(tmp_path: Path) -> None:
    site = tmp_path / "site"
    run("init", site)
    listed = json.loads(run("tables", "list", "--json", "-c", site / "fhir-coder.toml").stdout)
    assert {"id", "kind", "rows", "version", "layer", "licence"} <= listed[0].keys()
    assert json.loads(run("tables", "check", "--json", "-c", site / "fhir-coder.toml").stdout) == []
    with (site / "mappings" / "visits.csv").open("a", encoding="utf-8") as table:
        table.write("4525004,Emergency visit,hcpcs,G04677,,,,,1,,,,no code\n")

    refused = run("tables", "check", "--json", "-c", site / "fhir-coder.toml", code=2)

    (fault,) = json.loads(refused.stdout)
    assert fault["file"].endswith("visits.csv")
    assert fault["line"] == len((site / "mappings" / "visits.csv").read_text(encoding="utf-8").splitlines())
    assert fault["is_warning"] is False
