"""Rows that are approved while something goes wrong: never half, never twice, never by who proposed them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from fhir_coder.app import App
from fhir_coder.errors import ConflictError, FhirCoderError
from fhir_coder.model import ItemStatus
from fhir_coder.store import row_proposals
from fhir_coder.terminology.proposing import drafted
from fhir_coder.worklist import approve, find_item, propose, proposed_row, proposing, what_if
from tests.flow.test_worklist import ANA, BEN, app, newest, send, workers_read_the_tables_again

__all__ = ["app"]

EVE = "eve"


def activations(app: App) -> int:
    return app.workplace.rulebook().tables.state


def test_who_proposed_a_row_does_not_approve_it(app: App) -> None:
    send(app, 1)
    propose(app.workplace, 1, "R21", "", ANA)
    with pytest.raises(ConflictError, match="another person"):
        approve(app.workplace, 1, ANA)
    assert find_item(app.ledger, 1).status is ItemStatus.REVIEW
    assert activations(app) == 0


def test_of_two_who_approve_a_row_at_once_one_is_told_that_it_was_done(app: App) -> None:
    send(app, 1, 2)
    propose(app.workplace, 1, "R21", "", ANA)

    def approving(actor: str) -> str:
        try:
            return str(approve(app.workplace, 1, actor).charts)
        except FhirCoderError as error:
            return type(error).__name__

    with ThreadPoolExecutor(2) as pool:
        told = sorted(pool.map(approving, (BEN, EVE)))

    assert told[0] == "2"
    assert told[1] in ("ConflictError", "NotFoundError")
    assert activations(app) == 1
    workers_read_the_tables_again(app)
    assert [newest(app, n).status for n in (1, 2)] == ["ready", "ready"]


def test_an_approval_that_died_after_the_tables_were_put_to_use_is_given_again(app: App) -> None:
    send(app, 1, 2)
    propose(app.workplace, 1, "R21", "", ANA)
    waiting, place = proposed_row(app.workplace, 1), app.workplace
    with drafted(place.site_folder(), [proposing._row(waiting)], place.ledger.clock().date()) as draft:
        assert proposing._put_to_use(place, draft, BEN) == 1  # and here the process ends
    assert find_item(app.ledger, 1).status is ItemStatus.REVIEW
    assert what_if(app.workplace, 1).changes == ()

    assert approve(app.workplace, 1, EVE).charts == 2

    assert activations(app) == 1
    with app.ledger.reading() as connection:
        assert row_proposals.waiting_of(connection, 1) is None
    workers_read_the_tables_again(app)
    assert [newest(app, n).status for n in (1, 2)] == ["ready", "ready"]
