"""What repeats in a feed is read once while it is kept, and what is kept is bounded."""

from __future__ import annotations

from decimal import Decimal

import pytest

from fhir_coder import hl7v2
from fhir_coder.hl7v2.reader import Syntax
from fhir_coder.hl7v2.values import Kept, values_of
from fhir_coder.model import ChargeFact, CoverageFact, Message, MessageFacts, Money, VisitFact

BODY = (
    "MSH|^~\\&|EHR|FAC|||20261103101500||DFT^P03|1|P|2.5.1\r"
    "PID|1||10^^^FAC^MR\rPV1|1|O|CLINIC||||||||||||||||77^^^FAC^VN\r"
    "FT1|1|T1||20261103||CG|X1^Thing^99LOC|||1|12.50|||||||||5^DOE^ANN\r"
    "IN1|1|PLAN|PAYER^^^FAC|Payer & Sons||||||||||||||||||1\r"
)


class Reading:
    """A reader that counts how often it reads."""

    def __init__(self) -> None:
        self.times = 0

    def __call__(self, raw: str) -> str:
        self.times += 1
        return raw.upper()


def facts_of(body: str, rules: hl7v2.FeedRules | None = None) -> MessageFacts:
    data = body.encode()
    return hl7v2.facts_from_message(Message("m", data, hl7v2.read_header(data)), rules)


def one(facts: MessageFacts, kind: type) -> object:
    return next(filed.fact for filed in facts.facts if type(filed.fact) is kind)


def test_a_text_is_read_once_while_it_is_kept() -> None:
    reading = Reading()
    kept = Kept(reading)
    assert [kept["a"], kept["a"], kept[""], kept[""]] == ["A", "A", "", ""]
    assert reading.times == 2


def test_a_text_that_is_too_long_is_read_anew_each_time() -> None:
    reading = Reading()
    kept = Kept(reading)
    assert kept["x" * 401] == kept["x" * 401] == "X" * 401
    assert reading.times == 2
    assert not kept


def test_what_is_kept_stays_bounded_and_is_read_right_after_it_was_forgotten() -> None:
    kept = Kept(str.upper)
    for number in range(20_000):
        assert kept[f"text {number}"] == f"TEXT {number}"
        assert sum(map(len, kept)) <= 200_000
    assert len(kept) < 4_000
    assert kept["text 0"] == "TEXT 0"


def test_the_readers_of_a_feed_are_its_own() -> None:
    rules, others, syntax = hl7v2.FeedRules(), hl7v2.FeedRules(), Syntax()
    assert values_of(rules, syntax) is values_of(rules, syntax)
    assert values_of(rules, syntax) is not values_of(others, syntax)
    assert values_of(rules, syntax) is not values_of(rules, Syntax(component="$"))


def test_feeds_with_other_rules_read_the_same_field_by_their_own() -> None:
    euros = hl7v2.FeedRules(currency="EUR", code_systems={"99LOC": "urn:site"})
    for rules, currency, system in ((None, "USD", "urn:site"), (euros, "EUR", "urn:site"), (None, "USD", "")) * 2:
        charge = one(facts_of(BODY, rules), ChargeFact)
        assert isinstance(charge, ChargeFact)
        assert charge.amount == Money(Decimal("12.50"), currency)
        assert (charge.concept.codings[0].system == system) == (rules is euros)


def test_messages_written_with_other_delimiters_read_the_same_characters_by_theirs() -> None:
    payers = []
    for body in (BODY, BODY.replace("^~\\&", "^~\\$"), BODY):
        coverage = one(facts_of(body), CoverageFact)
        assert isinstance(coverage, CoverageFact)
        payers.append(coverage.payer and coverage.payer.name)
    assert payers == ["Payer & Sons"] * 3


@pytest.mark.parametrize(("sent", "rule"), [("12,5", "not_a_number"), ("12&E", "not_a_currency")])
def test_a_fault_in_what_is_kept_is_noted_for_each_message(sent: str, rule: str) -> None:
    for _ in range(2):
        facts = facts_of(BODY.replace("|12.50|", f"|{sent}|"))
        assert [(problem.origin.path, problem.rule) for problem in facts.problems] == [("FT1[1]-11", rule)]


def test_a_number_has_the_assigner_it_came_with() -> None:
    systems = []
    for assigner in ("FAC", "A&1.2&ISO", "FAC"):
        visit = one(facts_of(BODY.replace("77^^^FAC", f"77^^^{assigner}")), VisitFact)
        assert isinstance(visit, VisitFact)
        systems.append(visit.number and visit.number.system)
    assert systems == ["FAC", "1.2", "FAC"]


def test_what_a_reader_answers_for_one_message_does_not_change_the_next() -> None:
    first = facts_of(BODY)
    assert facts_of(BODY.replace("|77^", "|78^")).charts == ("FAC/VN/78",)
    assert facts_of(BODY) == first
