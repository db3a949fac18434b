"""The same service on two visits' claims is told before the payer denies the second one."""

from __future__ import annotations

import pytest
from sqlalchemy import select, update

from fhir_coder.app import App
from fhir_coder.intake.payloads import read_header
from fhir_coder.model import ClaimStatus
from fhir_coder.store import claims, messages
from fhir_coder.store.messages import Incoming
from fhir_coder.store.schema import claims as claim_table
from tests.stages import settle

IN1 = "|".join(["IN1", "1", "LAKE-PPO", "LAKE1", "Lakeshore PPO", *[""] * 11, "Older^Olga", "SEL", *[""] * 31, "MEM1"])


def visit(number: str, patient: str = "A", code: str = "G0463", npi: str = "1234567893", modifier: str = "") -> bytes:
    pv1 = [""] * 46
    pv1[0], pv1[2], pv1[7], pv1[19] = "PV1", "O", f"{npi}^Rivers^Ann^^^^^^NPI", f"{number}^^^CLINIC"
    pv1[44], pv1[45] = "202611030900", "202611031000"
    ft1 = [""] * 27
    ft1[:8] = ["FT1", "1", "T1", "", "20261103", "", "CG", f"{code}^^HPC"]
    ft1[10:12], ft1[26] = ["1", "100.00"], modifier
    head = f"MSH|^~\\&|EHR|CLINIC|||202611031100||DFT^P03|{number}{patient}|P|2.5.1"
    pid = f"PID|1||{patient}^^^CLINIC^MR||Older^Olga||19800229|F"
    segments = [head, "EVN||202611031100", pid, "|".join(pv1), "DG1|1||J20.9^^I10C|||F", "|".join(ft1), IN1, ""]
    return "\r".join(segments).encode()


def take(app: App, body: bytes) -> None:
    """Keep a message and do all work but what goes to a payer."""
    with app.ledger.writing() as connection:
        messages.keep(connection, Incoming("adt", read_header(body), body), app.ledger.clock())
    settle(app)


def taken_by_payer(app: App, key: str, status: ClaimStatus = ClaimStatus.COMPLETE) -> None:
    with app.ledger.writing() as connection:
        for row in connection.execute(select(claim_table).where(claim_table.c.chart_key == key)).all():
            claims.move(connection, row, status, "answered", app.ledger.clock())
        connection.execute(update(claim_table).where(claim_table.c.chart_key == key).values(hold=""))


def status_and_reasons(app: App, key: str) -> tuple[str, bool]:
    with app.ledger.reading() as connection:
        row = connection.execute(select(claim_table).where(claim_table.c.chart_key == key)).one()
    return row.status, "duplicate-service" in row.explained


def test_a_service_that_another_visits_claim_bills_holds_the_second_claim(app: App) -> None:
    take(app, visit("V1"))
    taken_by_payer(app, "CLINIC/VN/V1")
    take(app, visit("V2"))

    assert status_and_reasons(app, "CLINIC/VN/V2") == ("held", True)


@pytest.mark.parametrize(
    "other",
    [
        {"patient": "B"},
        {"code": "T1015"},
        {"npi": "2000000002"},
        {"modifier": "XE"},
    ],
    ids=["another patient", "another code", "another doctor", "a modifier that tells them apart"],
)
def test_what_differs_is_no_duplicate(app: App, other: dict[str, str]) -> None:
    take(app, visit("V1"))
    taken_by_payer(app, "CLINIC/VN/V1")
    take(app, visit("V2", **other))

    assert status_and_reasons(app, "CLINIC/VN/V2") == ("ready", False)


@pytest.mark.parametrize("status", [ClaimStatus.DENIED, ClaimStatus.VOIDED])
def test_a_claim_that_bills_nothing_any_more_is_none_to_repeat(app: App, status: ClaimStatus) -> None:
    take(app, visit("V1"))
    taken_by_payer(app, "CLINIC/VN/V1", status)
    take(app, visit("V2"))

    assert status_and_reasons(app, "CLINIC/VN/V2") == ("ready", False)
