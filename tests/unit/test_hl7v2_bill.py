"""ACC, UB1 and UB2: from the message to the claim."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from fhir_coder.charts import fold_chart
from fhir_coder.claims import to_bytes
from fhir_coder.claims.build import build_claim
from fhir_coder.claims.model_check import model_findings
from fhir_coder.edits.structure import structure_findings
from fhir_coder.hl7v2 import FeedRules, facts_from_message, read_header
from fhir_coder.model import BillCode, Message, MessageFacts, Origin, System, VisitFact, When
from tests.building import NUMBER, PAYER, SITE, coded_chart, good_chart, stay, visit

PID, PV1 = "PID|1||5^^^A^MR||Doe^Jane", "PV1|1|E|||||||||||||||||V1^^^A"
RULES = FeedRules(time_zone="America/Chicago")
OCCURRENCE, SPAN, VALUE = (f"http://terminology.hl7.org/CodeSystem/v2-{n}" for n in ("0350", "0351", "0153"))


def read(*segments: str, number: int = 1) -> MessageFacts:
    msh = f"MSH|^~\\&|APP|FAC|||2026030{number}120000||ADT^A08|C{number}|P|2.5.1"
    body = "\r".join([msh, *segments]).encode()
    return facts_from_message(Message(f"m-{number}", body, read_header(body)), RULES)


def visit_of(facts: MessageFacts) -> VisitFact:
    [fact] = [filed.fact for filed in facts.facts if isinstance(filed.fact, VisitFact)]
    return fact


def claim_with(fact: VisitFact) -> tuple[dict[str, Any], list[tuple[str, str, str]]]:
    """The claim of a good chart that says of its visit what a message says, and the traces of its codes."""
    chart = good_chart(fact)
    built = build_claim(coded_chart(chart), SITE, PAYER, NUMBER, date(2026, 11, 20))
    assert list(structure_findings(built.claim)) == []
    assert list(model_findings(built.claim)) == []
    assert to_bytes(built.claim)
    return built.claim, [(trace.path, trace.code, trace.origin.path) for trace in built.traces]


@pytest.mark.parametrize(
    ("acc", "element"),
    [
        (
            "ACC|20260227183000|||IL",
            {"date": "2026-02-27", "type": (System.ACT, "MVA"), "locationAddress": {"state": "IL"}},
        ),
        (
            "ACC|20260227|FALL^Fall^L|Dock 4||Y",
            {"date": "2026-02-27", "type": (System.ACT, "WPA"), "locationAddress": {"text": "Dock 4"}},
        ),
        ("ACC|20260227|FALL^Fall^L", {"date": "2026-02-27", "type": (System.LOCAL, "FALL")}),
        ("ACC|20260227|FALL", {"date": "2026-02-27"}),
        ("ACC|202602|FALL^^L", None),
        ("ACC||FALL^^L", None),
        ("ACC|", None),
        ('ACC|""|FALL^^L', None),
    ],
)
def test_accident_stands_on_the_claim_with_its_trace(acc: str, element: dict[str, Any] | None) -> None:
    claim, traces = claim_with(visit(accident=visit_of(read(PID, PV1, acc)).accident))
    if element and "type" in element:
        system, code = element["type"]
        assert ("Claim.accident", code, "ACC") in traces
        element = element | {"type": {"coding": [{"system": system, "code": code}]}}
    assert claim.get("accident") == element


def test_accident_of_an_earlier_message_stays_until_it_is_deleted() -> None:
    said = [read(PID, PV1, "ACC|20260227"), read(PID, PV1, number=2), read(PID, PV1, 'ACC|""', number=3)]
    charts = [fold_chart("A/VN/V1", said[:count]) for count in (1, 2, 3)]
    found = [chart.visit.accident if chart.visit else None for chart in charts]
    assert [bool(accident) for accident in found] == [True, True, False]


def test_date_of_an_accident_that_is_none_is_a_problem() -> None:
    facts = read(PID, PV1, "ACC|soon|FALL^^L")
    assert [(problem.origin.path, problem.rule) for problem in facts.problems] == [("ACC-1", "not_a_date")]


UB2 = "UB2|1||A1~B2||| 01 ^450.00&USD~80^^3|11^20260225~12^|70^20260201^20260205~71^20260301"


def test_codes_of_the_uniform_bill_are_read_as_sent() -> None:
    assert [
        (c.kind, c.code, c.start, c.end, c.amount, c.origin.path) for c in visit_of(read(PID, PV1, UB2)).bill_codes
    ] == [
        ("condition", "A1", None, None, None, "UB2[1]-3[1]"),
        ("condition", "B2", None, None, None, "UB2[1]-3[2]"),
        ("value", "01", None, None, Decimal("450.00"), "UB2[1]-6[1]"),
        ("value", "80", None, None, Decimal(3), "UB2[1]-6[2]"),
        ("occurrence", "11", When("2026-02-25"), None, None, "UB2[1]-7[1]"),
        ("span", "70", When("2026-02-01"), When("2026-02-05"), None, "UB2[1]-8[1]"),
        ("span", "71", When("2026-03-01"), None, None, "UB2[1]-8[2]"),
    ]


def test_the_bill_of_1982_is_read_where_there_is_no_later_one() -> None:
    ub1 = "UB1|1||||||A1|||01^10||||||11^20260225|70|20260201|20260205"
    codes = visit_of(read(PID, PV1, ub1)).bill_codes
    assert [(code.kind, code.code) for code in codes] == [
        ("condition", "A1"),
        ("value", "01"),
        ("occurrence", "11"),
        ("span", "70"),
    ]
    assert visit_of(read(PID, PV1, ub1, "UB2|1||Z9")).bill_codes == (
        BillCode(Origin("m-1", "UB2[1]-3"), "condition", "Z9"),
    )


@pytest.mark.parametrize(
    ("segment", "found"),
    [
        ("UB2|1|2||4|1", [("80", 4, "UB2[1]-4"), ("81", 1, "UB2[1]-5"), ("82", 2, "UB2[1]-2")]),
        ("UB1|1|||||2||4|1", [("80", 4, "UB1[1]-8"), ("81", 1, "UB1[1]-9"), ("82", 2, "UB1[1]-6")]),
        ("UB2|1|||4||80^3", [("80", 3, "UB2[1]-6")]),
        ("UB2|1|||many", []),
    ],
    ids=["UB2", "UB1", "a value code says it", "no number"],
)
def test_days_of_the_stay_are_value_codes(segment: str, found: list[tuple[str, int, str]]) -> None:
    codes = visit_of(read(PID, PV1, segment)).bill_codes
    assert [(code.code, code.amount, code.origin.path) for code in codes] == found
    assert {code.kind for code in codes} <= {"value"}


def test_code_whose_date_or_amount_cannot_be_read_is_left_out_and_noted() -> None:
    facts = read(PID, PV1, "UB2|1|||||01^much|11^soon")
    assert visit_of(facts).bill_codes == ()
    assert sorted((p.origin.path, p.rule) for p in facts.problems) == [
        ("UB2[1]-6", "not_a_number"),
        ("UB2[1]-7", "not_a_date"),
    ]


def test_codes_of_the_uniform_bill_are_supporting_info_of_an_institutional_claim() -> None:
    codes = visit_of(read(PID, PV1, UB2)).bill_codes
    claim, traces = claim_with(stay(bill_codes=codes))
    info = [
        (entry["code"]["coding"][0], {k: v for k, v in entry.items() if k[:5] in ("timin", "value")})
        for entry in claim["supportingInfo"]
        if entry["category"]["coding"][0]["code"] == "info"
    ]
    assert [(coding["system"].rsplit("/", 1)[1], coding["code"], said) for coding, said in info] == [
        ("ConditionCodes", "A1", {}),
        ("ConditionCodes", "B2", {}),
        ("v2-0153", "01", {"valueQuantity": {"value": Decimal("450.00")}}),
        ("v2-0153", "80", {"valueQuantity": {"value": Decimal(3)}}),
        ("v2-0350", "11", {"timingDate": "2026-02-25"}),
        ("v2-0351", "70", {"timingPeriod": {"start": "2026-02-01", "end": "2026-02-05"}}),
        ("v2-0351", "71", {"timingPeriod": {"start": "2026-03-01"}}),
    ]
    assert [entry["sequence"] for entry in claim["supportingInfo"]] == list(range(1, len(claim["supportingInfo"]) + 1))
    for path, code, origin in [trace for trace in traces if trace[0].startswith("Claim.supportingInfo")]:
        place = int(path[len("Claim.supportingInfo[") : -1])
        assert claim["supportingInfo"][place]["code"]["coding"][0]["code"] == code
        assert origin.startswith("UB2[1]-")


def test_a_professional_claim_carries_no_codes_of_the_uniform_bill() -> None:
    claim, traces = claim_with(visit(bill_codes=visit_of(read(PID, PV1, UB2)).bill_codes))
    assert "supportingInfo" not in claim
    assert not [path for path, _, _ in traces if path.startswith("Claim.supportingInfo")]
