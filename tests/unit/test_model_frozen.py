"""Values of the model: cheap to make, and of one worth as long as they live."""

from __future__ import annotations

import copy
import pickle
from dataclasses import FrozenInstanceError, asdict, fields, replace

import pytest

from fhir_coder.model import Coding, Concept, DiagnosisFact, Message, Origin, VisitFact, When
from fhir_coder.model.frozen import VALUES, dataclass

FACT = DiagnosisFact(Origin("m", "DG1[1]"), "D1", Concept((Coding("s", "c"),)))


def test_values_are_equal_by_what_they_say_and_hash_alike() -> None:
    same = replace(FACT, concept=Concept((Coding("s", "c"),)))
    assert (FACT, hash(FACT)) == (same, hash(same))
    assert replace(FACT, rank=1) not in {FACT}


def test_values_are_copied_pickled_and_listed_as_any_dataclass() -> None:
    assert pickle.loads(pickle.dumps(FACT)) == copy.copy(FACT) == copy.deepcopy(FACT) == FACT
    assert asdict(FACT)["origin"] == {"message": "m", "path": "DG1[1]"}
    assert [field.name for field in fields(Origin)] == ["message", "path"]


def test_times_keep_their_order() -> None:
    assert sorted([When("2026-02"), When("2025")]) == [When("2025"), When("2026-02")]


@pytest.mark.parametrize("kind", [DiagnosisFact, VisitFact, Origin, Coding, Message])
def test_values_have_no_room_for_more(kind: type) -> None:
    assert kind in VALUES
    assert "__dict__" not in dir(kind)


def test_the_suite_sees_a_value_that_changes() -> None:
    with pytest.raises(FrozenInstanceError):
        FACT.rank = 2  # type: ignore[misc]  # mypy sees it too: that is what it is about


def test_a_class_that_is_not_frozen_or_has_no_slots_is_refused() -> None:
    with pytest.raises(TypeError):
        dataclass(frozen=False, slots=True)
