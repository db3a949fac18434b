"""A person corrects a claim by hand: shown first, then a replacement goes to the payer, and who said so is kept."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from fhir_coder.queries import claim_story, list_claims
from fhir_coder.scenarios import find_scenarios
from fhir_coder.settings import example_settings
from fhir_coder.shipped import shipped
from fhir_coder.trial import Trial

NUMBER = "AUTH-4711-POISON"


@pytest.fixture(scope="module")
def paid(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trial]:
    """A service whose one claim its payer has paid."""
    with Trial(tmp_path_factory.mktemp("paid"), example_settings()) as trial:
        trial.start_payer()
        trial.start_adapter()
        trial.send({s.name: s for s in find_scenarios([shipped("fixtures")])}["covid"])
        assert trial.wait_until_settled()
        yield trial


def run(trial: Trial, *words: str, given: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "fhir_coder", *words, "-c", str(trial.settings_file)]
    folder = Path(trial.folder)
    return subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=folder, input=given, check=False)


def newest(trial: Trial) -> str:
    return max(list_claims(trial.ledger), key=lambda claim: claim.revision).identifier


def body_of(trial: Trial, identifier: str) -> dict[str, Any]:
    body: dict[str, Any] = orjson.loads(claim_story(trial.ledger, identifier).row.body)
    return body


def test_a_correction_is_shown_first_and_changes_nothing(paid: Trial) -> None:
    before = newest(paid)

    shown = run(paid, "claims", "correct", before, "--set", f"prior-auth={NUMBER}", "--why", "payer called")

    assert shown.returncode == 0, shown.stderr
    assert "preAuthRef" in shown.stdout
    assert "--yes" in shown.stdout
    assert NUMBER not in shown.stdout
    assert newest(paid) == before


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--set", "colour=red"), "no field 'colour'"),
        (("--set", f"prior-auth={'9' * 51}"), "at most 50 characters"),
        (("--set", "relationship=aunt"), "it is one of child"),
        (("--code", "local|NOT-THERE=Q4010"), "the chart has no such code: it has "),
        ((), "say what is corrected"),
    ],
)
def test_what_cannot_stand_on_a_claim_is_refused_and_the_value_is_not_repeated(
    paid: Trial, words: tuple[str, ...], told: str
) -> None:
    refused = run(paid, "claims", "correct", newest(paid), *words)
    assert refused.returncode in (1, 2)
    assert told in refused.stderr
    assert "9" * 51 not in refused.stderr
    assert "Traceback" not in refused.stderr


def test_the_corrected_claim_replaces_the_one_the_payer_has_and_the_lineage_is_shown(paid: Trial) -> None:
    before = newest(paid)

    words = ("--set", "prior-auth=-", "--why", "payer called", "--yes")
    done = run(paid, "claims", "correct", before, *words, given=NUMBER)

    assert done.returncode == 0, done.stderr
    assert paid.wait_until_settled()
    after = newest(paid)
    assert after != before
    claim = body_of(paid, after)
    assert claim["related"][0]["claim"]["identifier"]["value"] == before
    assert claim["insurance"][0]["preAuthRef"] == [NUMBER]
    statuses = {one.identifier: one.status for one in list_claims(paid.ledger)}
    assert statuses[before] == "replaced"
    assert statuses[after] == "complete"
    assert {one["identifier"] for one in paid.payer_claims()} >= {before, after}
    story = run(paid, "claims", "show", after)
    assert before in story.stdout
    assert "lineage" in story.stdout
    assert "corrected by people" in story.stdout
    assert "payer called" in story.stdout
    again = run(paid, "claims", "correct", before, "--set", "prior-auth=A-1")
    assert again.returncode == 1
    assert "is replaced" in again.stderr
