"""When a visit is billed, into which claims, to whom, and what a change makes of them: real stages, a real payer."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fnmatch import translate
from itertools import count
from pathlib import Path
from typing import Any

import orjson
import pytest
import requests

from fhir_coder.delivery import PayerLine, TryLog
from fhir_coder.errors import NotFoundError
from fhir_coder.intake.payloads import read_header
from fhir_coder.model import Billing, BillingRule, Json, Outcome, Payer, SplitRule
from fhir_coder.payers import ClientOptions, PayerClient, PayerRequest
from fhir_coder.payers.decide import RetryPolicy
from fhir_coder.payers.sandbox import Rules, running
from fhir_coder.pipeline import Rulebook
from fhir_coder.queries import ClaimSearch, order_claims, request_claims
from fhir_coder.stages import Stages
from fhir_coder.store import Ledger, claims, items, messages, open_ledger, work
from fhir_coder.store.claim_actions import Order
from fhir_coder.store.events import events_of
from fhir_coder.store.messages import Incoming
from tests.building import NOON, SITE, rulebook

KEY = "CLINIC/VN/V1"
FIRST = Payer("first", "First PPO", plans=("FIRST",), prior_auth_codes=frozenset())
SECOND = Payer("second", "Second Mutual", plans=("SECOND",), prior_auth_codes=frozenset())
ONE, OTHER, BOTH = ("FIRST",), ("SECOND",), ("FIRST", "SECOND")


def segment(name: str, **fields: object) -> str:
    """A segment of numbered fields: `segment("FT1", f1=1, f7="G0463")`."""
    numbered = {int(number.removeprefix("f")): str(value) for number, value in fields.items()}
    return "|".join([name, *(numbered.get(n, "") for n in range(1, max(numbered) + 1))]) + "\r"


def in1(number: int, plan: str) -> str:
    return segment("IN1", f1=number, f2=plan, f3=plan, f4=plan, f17="18", f22=number, f49=f"MEM{number}")


def ft1(number: int, code: str = "G0463", amount: str = "100.00", department: str = "") -> str:
    return segment(
        "FT1",
        f1=number,
        f2=f"T{number}",
        f4="20261103",
        f6="CG",
        f7=f"{code}^^HCPCS",
        f10=1,
        f11=f"{amount}&USD",
        f13=department,
        f19="I10^^I10",
        f20="1234567893^Rivers^Ann^^^^^^NPI&2.16.840.1.113883.4.6&ISO",
    )


@dataclass
class Site:
    """A site with its ledger, its payers, and a clock that a test moves."""

    folder: Path
    book: Rulebook
    urls: dict[str, str]
    now: datetime = NOON
    numbers: Iterator[int] = field(default_factory=lambda: count(1))
    open: ExitStack = field(default_factory=ExitStack)
    taken: set[tuple[str, str]] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.ledger: Ledger = open_ledger(self.folder / "ledger.db", clock=lambda: self.now)
        self.open.callback(self.ledger.close)
        self.start()

    def start(self, book: Rulebook | None = None) -> None:
        """Begin with the stages anew, as a service that starts."""
        self.book = book or self.book
        self.stages = Stages(self.ledger, self.book, {name: line(url) for name, url in self.urls.items()})

    def hears(self, kind: str, *rest: str, plans: tuple[str, ...] = ONE, visit: str = "O", end: str = "") -> None:
        """Take in a message about the visit, and do all that is due."""
        number = next(self.numbers)
        at = f"202611031{number:02d}000"[:14]
        body = (
            f"MSH|^~\\&|APP|CLINIC|||{at}||{kind}|C{number}|P|2.5.1\rEVN||{at}\r"
            "PID|1||PAT-1^^^CLINIC^MR||Testcase^Tess||19800229|F\r"
            + segment("PV1", f1=1, f2=visit, f19="V1^^^CLINIC", f44="20261103090000", f45=end)
            + "DG1|1||I10^^I10|||F\r"
            + "".join(in1(n, plan) for n, plan in enumerate(plans, start=1))
            + "".join(rest)
        ).encode()
        with self.ledger.writing() as connection:
            messages.keep(connection, Incoming("adt", read_header(body), body), self.now)
        self.works()

    def works(self) -> None:
        """Do everything that is due, until nothing is."""
        for _ in range(500):
            with self.ledger.reading() as connection:
                due = work.due(connection, self.now, self.taken, 1)
            if not due:
                return
            self.stages.run(due[0])
        raise AssertionError("the work does not come to its end")

    def claims(self) -> list[tuple[str, int, str, str, str]]:
        """Slot, revision, payer, purpose and status of every claim."""
        return [(r.slot, r.revision, r.payer, r.purpose, r.status) for r in self.rows()]

    def rows(self) -> list[Any]:
        with self.ledger.reading() as connection:
            return [row for listed in claims.of_chart(connection, KEY).values() for row in reversed(listed)]

    def body(self, place: int = -1) -> Json:
        found: Json = orjson.loads(self.rows()[place].body)
        return found

    def items(self) -> list[tuple[str, str]]:
        with self.ledger.reading() as connection:
            return [(i.kind, i.reason) for i in items.open_items(connection)]

    def edits(self, place: int = -1) -> list[str]:
        return [f["edit"] for f in orjson.loads(self.rows()[place].explained)["findings"] if f["severity"] != "info"]

    def held_by(self, payer: str) -> list[Json]:
        """What a payer holds: each claim it took, with how often it came, what it paid and whether it stands."""
        found: list[Json] = requests.get(f"{self.urls[payer].removesuffix('/fhir')}/_sandbox/claims", timeout=10).json()
        return found

    def standing_at(self, payer: str) -> list[float]:
        """What a payer pays for each claim that stands there."""
        held = [h for h in self.held_by(payer) if not h["voided"] and not h["replaced_by"]]
        return [h["paid"]["value"] for h in held if h["decision"] != "cancelled"]


def line(url: str, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> PayerLine:
    """A payer's client that never waits."""
    tries = TryLog()
    options = ClientOptions(on_attempt=tries.note, sleep=lambda _: None, clock=clock)
    client = PayerClient(url, timeout=(5.0, 10.0), options=options)
    return PayerLine(client, RetryPolicy(0.0, 0.0, 50, 0.0), tries)


Make = Callable[..., Site]


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Make]:
    """Makes a site whose two payers are sandboxes."""
    with ExitStack() as opened:

        def make(
            *payers: Payer,
            billing: Billing | None = None,
            faults: tuple[str, ...] = (),
            percent: int = 80,
            pend_seconds: float = 0.0,
        ) -> Site:
            listed = payers or (FIRST, SECOND)
            rules = Rules(paid_percent=Decimal(percent), pend_seconds=pend_seconds)
            urls = {p.name: opened.enter_context(running(faults=faults, rules=rules)) + "/fhir" for p in listed}
            ours = replace(
                SITE,
                type_of_bill={"IMP": "0111", "EMER": "0131"},
                place_of_service={"AMB": "11", "IMP": "21", "EMER": "23"},
            )
            book = replace(rulebook(payers=listed, site=ours), billing=billing or Billing())
            book = replace(book, hl7v2_rules=replace(book.hl7v2_rules, concepts=CONCEPTS))
            made = Site(tmp_path, book, urls)
            opened.enter_context(made.open)
            return made

        yield make


CONCEPTS = {
    "v2-class": {"O": "AMB", "I": "IMP", "E": "EMER"},
    "v2-sex": {"F": "female"},
    "v2-relationship": {"18": "self"},
    "v2-identifier-type": {},
}


def bill_type(claim: Json) -> str:
    """The type of bill of a claim."""
    codes = [i["code"]["coding"][0] for i in claim["supportingInfo"] if "code" in i]
    return next(str(c["code"]) for c in codes if c["system"].endswith("/TypeOfBill"))


# --- corrections


def test_a_cancelled_visit_is_voided_at_the_payer_once_and_reinstated_anew(site: Make) -> None:
    here = site()
    here.hears("DFT^P03", ft1(1))
    assert here.claims() == [("professional-1", 1, "first", "bill", "complete")]

    here.hears("ADT^A11")

    assert here.claims() == [
        ("professional-1", 1, "first", "bill", "voided"),
        ("professional-1", 2, "first", "void", "complete"),
    ]
    assert here.standing_at("first") == []
    here.hears("ADT^A04")
    assert here.claims()[2:] == [("professional-1", 3, "first", "bill", "complete")]
    assert "related" not in here.body()
    assert here.standing_at("first") == [80.0]
    assert here.items() == []


@pytest.mark.parametrize("fault", ["drop-after-read:1:on=2", "drop-before-read:1:on=2", "500:1:on=2:stored=yes"])
def test_a_void_whose_outcome_is_unknown_is_looked_up_and_voids_once(site: Make, fault: str) -> None:
    here = site(faults=(fault,))
    here.hears("DFT^P03", ft1(1))

    here.hears("ADT^A11")

    assert [(p, s) for *_, p, s in here.claims()] == [("bill", "voided"), ("void", "complete")]
    assert [h["received"] for h in here.held_by("first")] == [1, 1]
    assert here.standing_at("first") == []


def test_an_institutional_claim_is_replaced_by_frequency_7_and_voided_by_8(site: Make) -> None:
    here = site()
    here.hears("ADT^A03", ft1(1), visit="I", end="20261103120000")
    here.hears("DFT^P03", ft1(1, amount="120.00"), visit="I", end="20261103120000")
    here.hears("ADT^A11", visit="I")

    assert [(p, s) for *_, p, s in here.claims()] == [("bill", "replaced"), ("bill", "voided"), ("void", "complete")]
    assert [bill_type(here.body(n)) for n in range(3)] == ["0111", "0117", "0118"]
    assert here.body()["item"] == here.body(1)["item"]
    assert here.standing_at("first") == []


def test_a_claim_for_another_payer_is_voided_at_the_first_before_it_goes_to_the_second(site: Make) -> None:
    here = site()
    here.hears("DFT^P03", ft1(1))
    here.hears("ADT^A08", plans=OTHER)

    # IN1 of the first plan stays known under its set id: the later message says it anew
    assert here.claims() == [
        ("professional-1", 1, "first", "bill", "voided"),
        ("professional-1", 2, "first", "void", "complete"),
        ("professional-1", 3, "second", "bill", "complete"),
    ]
    assert "related" not in here.body()
    assert (here.standing_at("first"), here.standing_at("second")) == ([], [80.0])


def test_a_payer_that_takes_no_replacement_gets_a_void_and_a_new_claim(site: Make) -> None:
    here = site(replace(FIRST, corrections="void-and-new"), SECOND)
    here.hears("DFT^P03", ft1(1))
    here.hears("DFT^P03", ft1(1, amount="120.00"))

    assert [(p, s) for *_, p, s in here.claims()] == [("bill", "voided"), ("void", "complete"), ("bill", "complete")]
    assert "related" not in here.body()
    assert here.standing_at("first") == [96.0]


def test_a_class_change_after_the_claim_was_taken_voids_it_before_the_claim_of_the_other_kind_goes(site: Make) -> None:
    here = site()
    here.hears("DFT^P03", ft1(1))
    here.hears("ADT^A06", visit="I", end="20261103120000")

    assert sorted(here.claims()) == [
        ("institutional-1", 3, "first", "bill", "complete"),
        ("professional-1", 1, "first", "bill", "voided"),
        ("professional-1", 2, "first", "void", "complete"),
    ]
    assert len({r.identifier for r in here.rows()}) == 3
    assert here.standing_at("first") == [80.0]


def test_a_change_that_does_not_change_a_claim_sends_nothing(site: Make) -> None:
    here = site()
    here.hears("DFT^P03", ft1(1), plans=BOTH)
    before = here.claims()
    here.hears("ADT^A08", plans=BOTH)

    assert here.claims() == before
    assert [h["received"] for h in here.held_by("first") + here.held_by("second")] == [1, 1]


class Amid(PayerClient):
    """A payer's client; something else happens while the first answer to a poll is on its way."""

    meanwhile: Callable[[], None] | None = None

    def poll(self, reference: str, identifier_system: str, identifier: str, claim: bytes = b"") -> Outcome:
        outcome = super().poll(reference, identifier_system, identifier, claim)
        happens, self.meanwhile = self.meanwhile, None
        if happens:
            with ThreadPoolExecutor(1) as other:
                other.submit(happens).result()
        return outcome


@pytest.mark.parametrize(
    ("corrections", "became"),
    [("replace", ["replaced", "complete"]), ("void-and-new", ["voided", "complete", "complete"])],
)
def test_an_answer_that_comes_when_its_claim_is_over_changes_nothing(
    site: Make, corrections: str, became: list[str]
) -> None:
    here = site(replace(FIRST, corrections=corrections), SECOND)
    tries = TryLog()
    client = Amid(here.urls["first"], timeout=(5.0, 10.0), options=ClientOptions(on_attempt=tries.note))
    here.stages = Stages(here.ledger, here.book, {"first": PayerLine(client, RetryPolicy(0.0, 0.0, 50, 0.0), tries)})

    def corrected() -> None:
        (first,) = here.rows()
        here.taken = {("poll", first.id)}
        here.hears("DFT^P03", ft1(1, amount="120.00"))
        here.taken = set()

    client.meanwhile = corrected
    here.hears("DFT^P03", ft1(1))

    assert [status for *_, status in here.claims()] == became
    assert here.standing_at("first") == [96.0]
    assert (here.items(), [h["received"] for h in here.held_by("first")]) == ([], [1] * len(became))


def test_a_denial_asks_nobody_any_more_when_a_claim_took_its_place(site: Make) -> None:
    here = site()
    member = in1(1, "FIRST").replace("MEM1", "INACTIVE1")
    here.hears("DFT^P03", ft1(1), member, plans=())
    assert here.items() == [("denial", "coverage-inactive")]

    here.hears("ADT^A08")

    assert here.items() == []
    assert here.standing_at("first") == [80.0]


# --- two payers


def test_the_second_payer_gets_its_claim_after_the_first_decided_and_pays_what_is_left(site: Make) -> None:
    here = site()
    here.hears("DFT^P03", ft1(1), plans=BOTH)

    assert [(s, p, st) for s, _, p, _, st in here.claims()] == [
        ("professional-1", "first", "complete"),
        ("professional-2", "second", "complete"),
    ]
    claim = here.body()
    assert [i["focal"] for i in claim["insurance"]] == [False, True]
    (answer,) = [r for r in claim["contained"] if r["resourceType"] == "ClaimResponse"]
    assert claim["insurance"][0]["claimResponse"] == {"reference": f"#{answer['id']}"}
    assert (answer["outcome"], answer["payment"]["amount"]) == ("complete", {"value": 80.0, "currency": "USD"})
    assert b'"value":80.00' in here.rows()[-1].body
    assert (here.standing_at("first"), here.standing_at("second")) == ([80.0], [20.0])


def test_the_second_payer_waits_for_a_decision_and_asks_nobody(site: Make) -> None:
    here = site(faults=("400:9",))
    here.hears("DFT^P03", ft1(1), plans=BOTH)

    assert [(s, st) for s, _, _, _, st in here.claims()] == [("professional-1", "held"), ("professional-2", "held")]
    assert here.edits() == ["waits-for-primary"]
    assert here.items() == [("refusal", "refused")]


def test_a_second_payer_with_nothing_left_to_pay_gets_no_claim_unless_it_wants_one(site: Make) -> None:
    here = site(percent=100)
    here.hears("DFT^P03", ft1(1), plans=BOTH)
    assert here.edits() == ["primary-paid-in-full"]
    assert (here.held_by("second"), here.items()) == ([], [])

    wanting = replace(SECOND, secondary_when_paid_in_full=True)
    here.start(replace(here.book, payers=(FIRST, wanting)))
    here.hears("ADT^A08", plans=BOTH)
    assert here.standing_at("second") == [0.0]


def test_a_corrected_first_claim_corrects_the_second_one_too(site: Make) -> None:
    here = site()
    here.hears("DFT^P03", ft1(1), plans=BOTH)
    here.hears("DFT^P03", ft1(1, amount="200.00"), plans=BOTH)

    assert [(s, r, st) for s, r, _, _, st in here.claims()] == [
        ("professional-1", 1, "replaced"),
        ("professional-1", 2, "complete"),
        ("professional-2", 1, "replaced"),
        ("professional-2", 2, "complete"),
    ]
    assert (here.standing_at("first"), here.standing_at("second")) == ([160.0], [40.0])


def test_a_second_coverage_that_ends_voids_its_claim_alone(site: Make) -> None:
    here = site()
    here.hears("DFT^P03", ft1(1), plans=BOTH)
    here.start(replace(here.book, payers=(FIRST,)))
    here.hears("ADT^A08", plans=BOTH)

    assert [(s, p, st) for s, _, _, p, st in here.claims()] == [
        ("professional-1", "bill", "complete"),
        ("professional-2", "bill", "voided"),
        ("professional-2", "void", "complete"),
    ]
    assert (here.standing_at("first"), here.standing_at("second")) == ([80.0], [])


# --- when


def rule(when: str = "default", hold_days: int = 0) -> Billing:
    return Billing(BillingRule(when, hold_days))


@pytest.mark.parametrize(
    ("when", "early", "late"),
    [
        ("charge", "ADT^A04", "DFT^P03"),
        ("discharge", "DFT^P03", "ADT^A03"),
        ("account", "DFT^P03", "BAR^P05"),
        ("finished", "DFT^P03", "ADT^A03"),
    ],
)
def test_a_visit_is_billed_when_the_rule_says(site: Make, when: str, early: str, late: str) -> None:
    here = site(billing=rule(when))
    here.hears(early, *([ft1(1)] if early.startswith("DFT") else []))
    assert (here.claims()[0][-1], "visit-open" in here.edits(), here.items()) == ("held", True, [])

    here.hears(late, ft1(1), end="20261103120000" if late == "ADT^A03" else "")
    assert here.claims() == [("professional-1", 1, "first", "bill", "complete")]


def test_a_bill_hold_ends_by_itself(site: Make) -> None:
    here = site(billing=rule(hold_days=3))
    here.hears("ADT^A03", ft1(1), end="20261103120000")
    assert (here.claims()[0][-1], here.edits()) == ("held", ["visit-open"])

    here.now = NOON.replace(day=6, hour=11, minute=59)
    here.works()
    assert here.claims()[0][-1] == "held"
    here.now += timedelta(minutes=1)
    here.works()
    assert here.claims()[0][-1] == "complete"


def test_a_payers_rule_goes_before_a_feeds_and_that_before_the_sites(site: Make) -> None:
    by_feed = Billing(BillingRule("request"), {"adt": BillingRule("charge")})
    here = site(replace(FIRST, when="discharge"), SECOND, billing=by_feed)
    here.hears("DFT^P03", ft1(1))
    assert here.claims()[0][-1] == "held"
    here.start(replace(here.book, payers=(FIRST, SECOND)))
    here.hears("ADT^A08")
    assert here.claims()[0][-1] == "complete"


def test_a_visit_billed_on_request_waits_for_a_person(site: Make) -> None:
    here = site(billing=rule("request", 5))
    here.hears("ADT^A03", ft1(1), end="20261103120000")
    assert (here.claims()[0][-1], here.edits()) == ("held", ["visit-open"])

    request_claims(here.ledger, KEY, "user coder")
    here.works()
    assert here.claims()[0][-1] == "complete"


# --- split


SPLIT = Billing(split=(SplitRule("professional", frozenset({"PHYS"}), (re.compile(translate("PF-*")),)),))


def test_a_visit_is_split_into_a_claim_for_each_kind(site: Make) -> None:
    here = site(billing=SPLIT)
    lines = (ft1(1, "G0463"), ft1(2, "G0467", "50.00", department="PHYS"))
    here.hears("ADT^A03", *lines, visit="I", end="20261103120000")

    assert sorted(here.claims()) == [
        ("institutional-1", 1, "first", "bill", "complete"),
        ("professional-1", 1, "first", "bill", "complete"),
    ]
    bodies = [orjson.loads(r.body) for r in sorted(here.rows(), key=lambda r: r.slot)]
    codes = [[i["productOrService"]["coding"][0]["code"] for i in b["item"]] for b in bodies]
    assert codes == [["G0463"], ["G0467"]]
    assert bodies[0]["diagnosis"] == bodies[1]["diagnosis"]
    assert sorted(here.standing_at("first")) == [40.0, 80.0]


def test_a_charge_moved_to_the_other_kind_changes_both_claims(site: Make) -> None:
    here = site(billing=SPLIT)
    here.hears("ADT^A03", ft1(1), ft1(2, "G0467", "50.00"), visit="I", end="20261103120000")
    here.hears("DFT^P03", ft1(2, "G0467", "50.00", department="PHYS"), visit="I", end="20261103120000")
    assert sorted(here.standing_at("first")) == [40.0, 80.0]

    here.hears("DFT^P03", ft1(2, "G0467", "50.00"), visit="I", end="20261103120000")
    assert here.standing_at("first") == [120.0]


# --- timely filing


@pytest.mark.parametrize(("days", "warned"), [(90, False), (15, True), (14, True), (1, True)])
def test_a_claim_close_to_its_last_day_or_after_it_is_warned_of(site: Make, days: int, warned: bool) -> None:
    here = site(replace(FIRST, timely_filing_days=days), SECOND)
    here.now = NOON + timedelta(days=3 if days == 1 else 0)
    here.hears("DFT^P03", ft1(1))

    assert ("timely-filing" in here.edits()) is warned
    assert here.rows()[0].file_by == NOON.date() + timedelta(days=days)
    assert here.claims()[0][-1] == "complete"


# --- late charges


LATE = replace(FIRST, late_charges="late-charge")


def late_site(site: Make) -> Site:
    here = site(LATE, SECOND)
    here.hears("ADT^A03", ft1(1), visit="I", end="20261103120000")
    here.hears("DFT^P03", ft1(2, "G0467", "50.00"), visit="I", end="20261103120000")
    return here


def test_a_late_charge_goes_as_a_claim_of_its_own_beside_the_one_the_payer_has(site: Make) -> None:
    here = late_site(site)
    here.hears("DFT^P03", ft1(3, "G0466", "10.00"), visit="I", end="20261103120000")
    here.hears("ADT^A08", visit="I", end="20261103120000")

    assert [(r, p, st) for _, r, _, p, st in here.claims()] == [
        (1, "bill", "complete"),
        (2, "late-charge", "complete"),
        (3, "late-charge", "complete"),
    ]
    assert [bill_type(here.body(n)) for n in range(3)] == ["0111", "0115", "0115"]
    assert here.body()["related"][0]["claim"]["identifier"]["value"] == here.rows()[0].identifier
    assert here.standing_at("first") == [80.0, 40.0, 8.0]


def test_a_change_besides_a_late_charge_voids_the_late_charges_and_replaces_the_whole(site: Make) -> None:
    here = late_site(site)
    here.hears("DFT^P03", ft1(1, amount="120.00"), visit="I", end="20261103120000")

    assert [(p, st) for *_, p, st in here.claims()] == [
        ("bill", "replaced"),
        ("late-charge", "voided"),
        ("void", "complete"),
        ("bill", "complete"),
    ]
    assert here.standing_at("first") == [136.0]


def test_a_cancelled_visit_voids_its_late_charges_too(site: Make) -> None:
    here = late_site(site)
    here.hears("ADT^A11", visit="I")

    assert here.standing_at("first") == []
    assert [st for *_, p, st in here.claims() if p != "void"] == ["voided", "voided"]


# --- what a person orders about a claim on its way


def order(here: Site, action: str, *, do: bool = True, unseen: bool = False, **search: Any) -> list[str]:
    """Give an order about the visit's claims, and do what is due then; answers what was, or would be, done to each."""
    asked = ClaimSearch(search.pop("names", () if search else (KEY,)), **search)
    done = order_claims(here.ledger, action, asked, Order("coder", "told so", unseen), do=do)
    here.works()
    return [one.step.does or f"nothing: {one.step.why}" for one in done]


def waiting(here: Site) -> Site:
    """A visit whose claim is ready and was not sent yet."""
    urls, here.urls = here.urls, {}
    here.start()
    here.hears("DFT^P03", ft1(1))
    assert here.items() == [("delivery", "payer_not_configured")]
    here.urls = urls
    here.start()
    return here


def test_an_order_is_shown_first_and_changes_nothing(site: Make) -> None:
    here = waiting(site())
    assert order(here, "cancel", do=False) == ["withdraw: it is not sent"]
    assert order(here, "hold", do=False) == ["hold until a person releases it"]
    assert here.claims() == [("professional-1", 1, "first", "bill", "ready")]


def test_a_claim_a_person_holds_is_written_anew_and_stays_held_until_it_is_released(site: Make) -> None:
    here = waiting(site())
    order(here, "hold")
    here.hears("DFT^P03", ft1(2, "J1885"))

    assert [(row.status, row.hold, str(row.total)) for row in here.rows()] == [("held", "person", "200.00")]
    assert here.held_by("first") == []
    assert order(here, "hold") == ["nothing: a person holds it"]
    assert order(here, "resubmit") == ["nothing: a person holds it: claims release lets it go"]

    assert order(here, "release") == ["send"]
    assert here.standing_at("first") == [160.0]
    with here.ledger.reading() as connection:
        history = [
            (e.actor, e.from_status, e.to_status, e.why) for e in events_of(connection, "claim", here.rows()[0].id)
        ]
    assert ("coder", "ready", "held", "held by a person: told so") in history
    assert ("coder", "held", "ready", "released: told so") in history


def test_a_cancelled_claim_that_was_not_sent_never_is_until_it_is_released(site: Make) -> None:
    here = waiting(site())
    order(here, "cancel")
    here.hears("DFT^P03", ft1(2, "J1885"))
    assert here.claims() == [("professional-1", 1, "first", "bill", "voided")]
    assert (here.held_by("first"), here.items()) == ([], [])
    assert order(here, "cancel") == ["nothing: it is cancelled already"]

    assert order(here, "release") == ["bill the visit again"]
    assert here.claims()[1:] == [("professional-1", 2, "first", "bill", "complete")]
    assert here.standing_at("first") == [160.0]


def test_a_cancelled_claim_that_the_payer_has_is_taken_back_and_not_billed_again(site: Make) -> None:
    here = site()
    here.hears("DFT^P03", ft1(1))
    assert order(here, "hold") == ["nothing: the payer has decided"]
    order(here, "cancel")
    assert here.standing_at("first") == []
    here.hears("DFT^P03", ft1(2, "J1885"))
    assert here.claims() == [
        ("professional-1", 1, "first", "bill", "voided"),
        ("professional-1", 2, "first", "void", "complete"),
    ]

    (cancelled, _) = here.rows()
    order(here, "release", names=(cancelled.identifier,))
    assert here.claims()[2:] == [("professional-1", 3, "first", "bill", "complete")]
    assert here.standing_at("first") == [160.0]


@pytest.mark.parametrize("fault", ["drop-after-read:1:on=1", "drop-before-read:1:on=1", "400:1:on=1"])
def test_a_claim_cancelled_while_it_is_on_its_way_bills_nothing_in_the_end(site: Make, fault: str) -> None:
    here = site(faults=(fault,))
    tries, done = TryLog(), list[str]()

    def cancel() -> None:
        if not done:
            found = order_claims(here.ledger, "cancel", ClaimSearch((KEY,)), Order("coder"), do=True)
            done.extend(one.step.does for one in found)

    class Cancelling(PayerClient):
        """A payer's client; the claim is cancelled while the first answer is on its way."""

        def send(self, request: PayerRequest, identifier_system: str, identifier: str) -> Outcome:
            outcome = super().send(request, identifier_system, identifier)
            with ThreadPoolExecutor(1) as other:
                other.submit(cancel).result()
            return outcome

    client = Cancelling(here.urls["first"], timeout=(5.0, 10.0), options=ClientOptions(on_attempt=tries.note))
    here.stages = Stages(here.ledger, here.book, {"first": PayerLine(client, RetryPolicy(0.0, 0.0, 50, 0.0), tries)})
    here.hears("DFT^P03", ft1(1))

    assert done == ["take back once it is known whether the payer has it"]
    assert here.standing_at("first") == []
    assert here.rows()[0].status == "voided"
    assert here.items() == []


def test_orders_are_given_by_payer_status_time_and_finding(site: Make) -> None:
    here = waiting(site())
    later = here.now + timedelta(minutes=1)
    assert order(here, "hold", do=False, payer="second") == []
    assert order(here, "hold", do=False, payer="first", status="held") == []
    assert order(here, "hold", do=False, payer="first", since=later) == []
    assert order(here, "hold", do=False, finding="no-such-edit") == []
    (edit, *_) = [f["edit"] for f in orjson.loads(here.rows()[0].explained)["findings"]]
    assert len(order(here, "hold", do=False, payer="first", status="ready", since=NOON, finding=edit)) == 1


def test_a_name_that_is_no_claims_changes_nothing(site: Make) -> None:
    here = waiting(site())
    with pytest.raises(NotFoundError):
        order(here, "cancel", names=(KEY, "nobody"))
    assert here.claims() == [("professional-1", 1, "first", "bill", "ready")]


def test_a_parked_claim_is_sent_unseen_only_where_a_person_says_so(site: Make) -> None:
    here = site(faults=("504:1:on=1",))
    tries = TryLog()
    client = PayerClient(here.urls["first"], timeout=(5.0, 10.0), options=ClientOptions(on_attempt=tries.note))
    policy = RetryPolicy(0.0, 0.0, 50, 0.0, unknown="person")
    here.stages = Stages(here.ledger, here.book, {"first": PayerLine(client, policy, tries)})
    here.hears("DFT^P03", ft1(1))
    assert (here.claims()[0][-1], here.items()) == ("unknown", [("parked", "unknown")])

    order(here, "resubmit")
    assert (here.claims()[0][-1], here.items()) == ("unknown", [("parked", "unknown")])

    assert order(here, "resubmit", unseen=True, names=(KEY,)) == ["send again without looking it up"]
    assert (here.claims()[0][-1], here.items()) == ("complete", [])
