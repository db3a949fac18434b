"""The money checks are right to the last operator: every change to one is noticed by the cases of their edits."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

from fhir_coder.edits import money
from fhir_coder.model import Json
from tests.edits.mutants import mutants
from tests.edits.structure_cases import cases, changed

MONEY_EDITS = ("net-is-product", "net-is-sum", "total-is-sum", "one-currency", "amount-too-fine")

Expected = list[tuple[Json, set[tuple[str, str]]]]


def expected() -> Expected:
    """The claims of the cases with the findings that the money checks have to make, as the data files say."""
    return [
        (changed(case), set(_told(edit, case)))
        for edit in MONEY_EDITS
        for kind in ("fires", "passes")
        for case in cases(edit, kind)
    ]


def _told(edit: str, case: Json) -> Iterator[tuple[str, str]]:
    yield from ((edit, path) for path in case.get("at", ()))
    for told in case.get("also", ()):
        also, path = told.split(" ", 1)
        if also in MONEY_EDITS:
            yield also, path


def is_right(checks: ModuleType, cases_to_meet: Expected) -> bool:
    """Whether the module finds what it should in every case; one that raises does not."""
    try:
        return all(
            {(f.edit, f.path) for check in checks.MONEY_CHECKS for f in check(claim)} == told
            for claim, told in cases_to_meet
        )
    except Exception:  # a mutant may raise anything: that is noticed too
        return False


def test_the_money_checks_meet_their_cases() -> None:
    assert is_right(money, expected())


def test_every_change_to_the_money_checks_is_noticed() -> None:
    told = expected()
    made = list(mutants(Path(money.__file__)))

    assert len(made) > 80
    assert [name for name, module in made if is_right(module, told)] == []
