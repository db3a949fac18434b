"""Every edit on codes, parties and the bill by its cases: at least one that fires, and one that just does not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from fhir_coder.edits import EDITS
from fhir_coder.terminology import CodeSets, open_codesets
from tests.edits.chart_cases import SHIPPED, cases, findings, write_lists

ALL = list(cases())
TRIED_ELSEWHERE = tuple(f"fhir_coder.edits.{name}" for name in ("visit", "parties", "duplicates", "preauthorization"))
"""Families whose cases stand in tests/unit and test_duplicate_service.py."""


@pytest.fixture(scope="module")
def code_sets(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CodeSets]:
    folder = tmp_path_factory.mktemp("codesets")
    write_lists(folder)
    with open_codesets(folder, SHIPPED) as opened:
        yield opened


def named(kind: str) -> list[Any]:
    return [pytest.param(edit, case, id=f"{edit}: {case['why']}") for edit, of, case in ALL if of == kind]


@pytest.mark.parametrize(("edit", "case"), named("fires"))
def test_an_edit_fires_on_its_fault_and_says_where(edit: str, case: dict[str, Any], code_sets: CodeSets) -> None:
    found = findings(edit, case, code_sets)

    assert [f.path for f in found] == case["at"]
    assert {f.severity.value for f in found} == {case["severity"]}
    assert all(case.get("says", "") in f.text for f in found)


@pytest.mark.parametrize(("edit", "case"), named("passes"))
def test_an_edit_is_silent_just_beside_its_fault(edit: str, case: dict[str, Any], code_sets: CodeSets) -> None:
    assert findings(edit, case, code_sets) == []


def test_every_edit_has_a_case_that_fires_and_one_that_does_not() -> None:
    tried = {(edit, kind) for edit, kind, _ in ALL}
    older = {"code-not-checked", "code-set-not-loaded", "modifier-not-valid", "pcs-outside-stay", "code-not-valid"}
    rooms = {e.id: getattr(e.check, "func", e.check).__module__ for e in EDITS}
    edits = {edit for edit, room in rooms.items() if room not in TRIED_ELSEWHERE} - older - {"mce-other"}

    assert {edit for edit in edits if {(edit, "fires"), (edit, "passes")} - tried} == set()
