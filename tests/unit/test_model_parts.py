"""Parts that the R4 model has read before are gone past, and nothing wrong is."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from fhir_coder.claims.model_check import _claim_model, _model_of, model_findings
from fhir_coder.claims.model_parts import ReadParts
from fhir_coder.model import Json
from tests.sandbox import make_claim


def changed(*path: str | int, to: object) -> Json:
    claim = copy.deepcopy(make_claim())
    place: Any = claim
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = to
    return claim


@pytest.mark.parametrize(
    ("path", "to"),
    [
        (("item", 0, "sequence"), "one"),
        (("item", 0, "productOrService", "coding", 0, "code"), 17),
        (("item", 1, "net", "value"), "ten"),
        (("contained", 0, "birthDate"), "yesterday"),
        (("contained", 1, "resourceType"), "Nobody"),
        (("insurance", 0, "coverage"), "Coverage/1"),
        (("diagnosis",), {"sequence": 1}),
        (("patient", "reference"), 5),
    ],
    ids=str,
)
def test_a_fault_is_found_in_a_claim_whose_other_parts_are_known(path: tuple[str | int, ...], to: object) -> None:
    assert model_findings(make_claim()) == []

    found = model_findings(changed(*path, to=to))

    assert found
    assert model_findings(make_claim()) == []


def test_a_known_part_is_read_once() -> None:
    parts, model = ReadParts(_model_of), _claim_model()
    parts.read(model, make_claim())
    known = len(parts._known)

    parts.read(model, make_claim("C-2"))

    assert len(parts._known) == known + 1  # the identifier is another one


def test_what_is_not_asked_for_is_forgotten() -> None:
    parts, model = ReadParts(_model_of, most=20), _claim_model()

    for number in range(50):
        parts.read(model, make_claim(f"C-{number}"))

    assert len(parts._known) + len(parts._former) <= 40


def test_a_part_counts_for_its_own_kind_of_element_only() -> None:
    parts = ReadParts(_model_of)
    parts.read(_claim_model(), make_claim())

    with pytest.raises(ValueError, match="productOrService"):
        parts.read(_claim_model(), changed("item", 0, to=make_claim()["diagnosis"][0]))
