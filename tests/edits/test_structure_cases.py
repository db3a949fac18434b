"""Every structure edit by its cases: data files `cases/<edit-id>.json`, some that fire and some that just do not.

    {"fires":  [{"why": "...", "drop": ["total"], "set": {"item[0].net.value": 300.49}, "at": ["Claim.item[0].net"]}],
     "passes": [{"why": "...", "set": {...}}]}

A case changes the sound claim `cases/sound/claim.json` (or, with `"base": "bundle"`, the Bundle beside it): `drop`
takes members away, then `set` puts values in. `at` lists every place where the edit fires, `also` what else
follows from the same fault.
"""

from __future__ import annotations

from typing import Any

import pytest

from fhir_coder.edits.structure import STRUCTURE_EDITS, structure_findings
from fhir_coder.model import Json
from tests.edits.structure_cases import cases, changed, found, sound

IDS = [edit.id for edit in STRUCTURE_EDITS]


def each(kind: str) -> list[Any]:
    return [pytest.param(e, c, id=f"{e}-{c['why']}") for e in IDS for c in cases(e, kind)]


def test_more_than_27_single_faults_are_told_once() -> None:
    alone = [case for case in each("fires") if "also" not in case.values[1] and len(case.values[1]["at"]) == 1]

    assert len(alone) >= 27


@pytest.mark.parametrize("name", ["claim", "bundle"])
def test_a_sound_resource_has_no_finding(name: str) -> None:
    assert found(sound(name)) == []


@pytest.mark.parametrize("edit", IDS)
def test_every_edit_has_a_case_that_fires_and_one_that_just_does_not(edit: str) -> None:
    assert cases(edit, "fires")
    assert cases(edit, "passes")


@pytest.mark.parametrize(("edit", "case"), each("fires"))
def test_an_edit_fires_where_the_fault_is_and_nowhere_else(edit: str, case: Json) -> None:
    findings = structure_findings(changed(case))

    assert [f.path for f in findings if f.edit == edit] == case["at"]
    assert [f"{f.edit} {f.path}" for f in findings if f.edit != edit] == case.get("also", [])
    assert all(f.advice and f.text for f in findings)


@pytest.mark.parametrize("case", [pytest.param(c, id=f"{e}-{c['why']}") for e in IDS for c in cases(e, "passes")])
def test_an_edit_is_silent_just_beside_the_fault(case: Json) -> None:
    assert found(changed(case)) == []
