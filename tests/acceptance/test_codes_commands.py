"""The commands over code sets as a coder and an administrator use them: real processes, real files."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Run a command with a cache folder of its own."""
    env = {**os.environ, "XDG_CACHE_HOME": str(tmp_path_factory.mktemp("cache"))}

    def command(*words: str | Path, code: int = 0) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, "-m", "fhir_coder", *map(str, words)],
            capture_output=True,
            text=True,
            check=False,
            env=env,
        )
        assert done.returncode == code, done.stderr
        assert "Traceback" not in done.stderr
        return done

    return command


@pytest.fixture
def config(run: Run, tmp_path: Path) -> Path:
    run("init", tmp_path / "site")
    return tmp_path / "site" / "fhir-coder.toml"


def shown(run: Run, *words: str | Path) -> Any:
    return json.loads(run("codes", *words, "--json").stdout)


def test_a_code_is_shown_with_the_rows_that_map_to_it(run: Run) -> None:
    [found] = shown(run, "show", "U07.1", "--date", "2026-11-03")

    assert (found["title"], found["status"]) == ("COVID-19", "billable")
    assert found["periods"] == [{"from": "2020-04-01", "to": ""}]
    assert ("snomed-to-icd10cm", "840539006") in {(row["table"], row["source_code"]) for row in found["mapped_from"]}
    text = run("codes", "show", "U07.1", "--date", "2020-03-31").stdout
    assert "not valid on 2020-03-31" in text
    assert "excludes2" in text


def test_a_search_shows_a_list_or_json(run: Run) -> None:
    found = shown(run, "search", "wrist fx", "--date", "2026-11-03", "--limit", "5")

    assert len(found) == 5
    assert set(found[0]) == {"set", "code", "title", "status", "score"}
    text = run("codes", "search", "pnuemonia", "--system", "icd10cm").stdout.splitlines()
    assert text[0].split() == ["code", "on", "the", "date", "set", "title"]
    assert text[1].startswith("J18.9")
    assert run("codes", "search", "xyzzyqq").stdout == "none\n"


def test_an_imported_list_is_listed_shown_and_found(run: Run, config: Path, tmp_path: Path) -> None:
    (tmp_path / "cpt.csv").write_text("code,title,valid_from,valid_to\n9000A,Made up visit,2026-01-01,\n")
    refused = run("codes", "show", "9000A", "--system", "cpt", "-c", config, code=1)
    assert "tables import cpt" in refused.stderr

    made = run("tables", "import", "cpt", tmp_path / "cpt.csv", "--covers-from", "2026-01-01", "-c", config)

    assert "1 rows, from 2026-01-01 on" in made.stdout
    assert (config.parent / "mappings" / "codesets" / "cpt_2026-01-01.csv").is_file()
    rows = {row["name"]: row for row in shown(run, "list", "-c", config)}
    assert (rows["cpt"]["rows"], rows["cpt"]["used_for"]) == (1, "claims")
    assert shown(run, "show", "9000A", "-c", config)[0]["status"] == "billable"
    assert shown(run, "search", "made up", "-c", config)[0]["code"] == "9000A"
    assert run("tables", "check", "-c", config).stdout == "no fault found\n"


def test_a_faulty_file_is_refused_and_nothing_changes(run: Run, config: Path, tmp_path: Path) -> None:
    (tmp_path / "cpt.csv").write_text("code,title,valid_from,valid_to\n12,x,,\n")
    refused = run("tables", "import", "cpt", tmp_path / "cpt.csv", "--covers-from", "2026-01-01", "-c", config, code=2)

    assert "cpt.csv:2: code: not of the form of CPT" in refused.stderr
    assert not (config.parent / "mappings" / "codesets").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("codes", "show", "XX"), "no loaded code set has this code"),
        (("codes", "show", "I10", "--date", "2026-13-01"), "--date: no such day"),
        (("codes", "search", "x", "--system", "nope"), "--system: write one of icd10cm"),
        (("tables", "import", "gem", __file__, "--covers-from", "2026-01-01"), "are for code sets"),
        (("tables", "import", "cpt", __file__, "--id", "x"), "are not for code sets"),
        (("tables", "import", "cpt", __file__, "--covers-from", "2026"), "--covers-from:"),
    ],
)
def test_what_cannot_be_done_is_told(run: Run, words: tuple[str, ...], said: str) -> None:
    assert said in run(*words, code=1).stderr
