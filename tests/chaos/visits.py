"""Invented visits as HL7 v2 messages, from a seed: registered, charged, corrected, cancelled, merged, moved.

No person and no number in here is real. The same seed gives the same bytes.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

FACILITY = "LAKESHORE"
DOCTORS = ("2000000010^HARBOR^IRIS", "2000000028^PIER^OTTO", "2000000036^SHORE^ADA")
DIAGNOSES = ("J20.9", "J18.9", "I10", "R51.9", "M54.50", "D51.0", "J02.9")
SERVICES = (
    ("INJ-KETOR15", "3.25"),
    ("INJ-B12", "5.50"),
    ("INJ-CEFTR250", "4.80"),
    ("INJ-TRIAM10", "2.60"),
    ("INJ-ONDAN1", "0.90"),
    ("INJ-DEXA1", "0.75"),
    ("NEB-ALBIPR", "1.40"),
    ("LAB-WETMT", "12.50"),
    ("LAB-KOH", "12.50"),
    ("LAB-HIV-RAP", "29.00"),
)
VISIT_SERVICE = ("OFF-MH-EST", "236.00")
PLANS = {
    "LAKE": ("LSPPO", "LKPPO", "Lakeshore PPO"),
    "STATEWIDE": ("STATEWIDE", "SWMCD", "Statewide Medicaid"),
    "PIERMONT": ("PIERMONT", "PMHMO", "Piermont HMO"),
    "TIDEWATER": ("TIDEWATER", "TWMUT", "Tidewater Mutual"),
}
"""Plan code, company id and name, by the word that the settings' payers know the plan by."""
_FIRST_DAY = datetime(2026, 11, 2, 8, 0)


@dataclass(frozen=True, slots=True)
class InventedVisit:
    """A visit: every chart key it ever had, and its messages in the order of their events."""

    name: str
    keys: tuple[str, ...]
    messages: tuple[bytes, ...]
    story: tuple[str, ...]


@dataclass
class Charge:
    """A charge as it was last said."""

    service: str
    unit: str
    quantity: int


@dataclass
class Story:
    """A visit that goes on: its state, and the messages so far. Each event is later than the one before."""

    dice: random.Random
    name: str
    now: datetime
    mrn: str
    number: str
    kind: str = "O"
    end: str = ""
    family: str = "MOORING"
    street: str = "1 Test Lane"
    diagnoses: dict[str, str] = field(default_factory=dict)
    charges: dict[str, Charge] = field(default_factory=dict)
    plans: list[str] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    member: str = "LPM"
    messages: list[bytes] = field(default_factory=list)
    told: list[str] = field(default_factory=list)
    counter: int = 0

    def __post_init__(self) -> None:
        self.began = self.now.strftime("%Y%m%d%H%M%S")
        self.keys.append(self.key)

    @property
    def key(self) -> str:
        return f"{FACILITY}/VN/{self.number}"

    # --- segments

    def pid(self) -> str:
        return segment(
            "PID",
            {
                1: "1",
                3: f"{self.mrn}^^^{FACILITY}^MR",
                5: f"{self.family}^ANTON",
                7: "19560214",
                8: "M",
                11: f"{self.street}^^Lakeshore^IL^60000^USA",
                18: f"AC-{self.name}^^^{FACILITY}^AN",
            },
        )

    def pv1(self) -> str:
        place = {"O": "CLINIC^1", "E": "ER^2", "I": "3W^305^1"}[self.kind]
        values = {1: "1", 2: self.kind, 3: f"{place}^{FACILITY}", 7: doctor(0), 19: f"{self.number}^^^{FACILITY}^VN"}
        if self.kind == "I":
            values |= {4: "1", 14: "1", 17: doctor(2), 36: "01" if self.end else ""}
        return segment("PV1", values | {44: self.began, 45: self.end})

    def dg1(self, ident: str, action: str = "") -> str:
        values = {1: "1", 3: f"{self.diagnoses[ident]}^Recorded^I10C", 5: self.began[:8], 6: "F", 15: rank(ident)}
        return segment("DG1", values | {20: f"{ident}^LKEHR", 21: action, 26: "Y" if self.kind == "I" else ""})

    def ft1(self, ident: str, said: Charge, kind: str = "CG", reverses: str = "") -> str:
        amount = f"{float(said.unit) * said.quantity:.2f}"
        return segment(
            "FT1",
            {
                1: "1",
                2: ident,
                4: self.began[:8],
                5: self.began[:8],
                6: kind,
                7: f"{said.service}^Service^L",
                10: str(said.quantity),
                11: f"{amount}&USD",
                12: f"{said.unit}&USD",
                13: "CLINIC",
                20: doctor(0),
                31: reverses,
            },
        )

    def in1(self, place: int, action: str = "") -> str:
        code, company, title = PLANS[self.plans[place]]
        values = {
            1: str(place + 1),
            2: code,
            3: f"{company}^^^{FACILITY}^NII",
            4: title,
            12: "20260101",
            13: "20261231",
        }
        member = f"{'LPM' if place else self.member}-{self.name}-{place}"
        return segment("IN1", values | {16: "MOORING^ANTON", 17: "SEL", 22: str(place + 1), 49: member, 55: action})

    def insurances(self) -> list[str]:
        return [self.in1(place) for place in range(len(self.plans))]

    # --- messages

    def say(self, kind: str, *segments: str) -> None:
        """The next message. Its event is some minutes after the last one."""
        self.now += timedelta(minutes=self.dice.randint(2, 90))
        self.counter += 1
        at = self.now.strftime("%Y%m%d%H%M%S")
        head = f"MSH|^~\\&|LKEHR|{FACILITY}|FHIRCODER|BILLING|{at}||{kind}|{self.name}-{self.counter:03d}|P|2.5.1"
        self.messages.append("\r".join([head, f"EVN||{at}", *segments, ""]).encode())

    def adt(self, event: str, *segments: str) -> None:
        self.say(f"ADT^{event}", self.pid(), self.pv1(), *segments)

    def finished(self) -> InventedVisit:
        return InventedVisit(self.name, tuple(dict.fromkeys(self.keys)), tuple(self.messages), tuple(self.told))


def segment(name: str, values: dict[int, str]) -> str:
    """A segment of numbered fields."""
    return "|".join([name, *(values.get(n, "") for n in range(1, max(n for n, v in values.items() if v) + 1))])


def doctor(number: int) -> str:
    return f"{DOCTORS[number]}^^^^MD^^&2.16.840.1.113883.4.6&ISO^L^^^NPI"


def rank(ident: str) -> str:
    """Diagnoses keep the order they were first said in."""
    return ident.rpartition("-")[2]


# --- what can happen to a visit


def registered(story: Story) -> None:
    story.adt("A01" if story.kind == "I" else "A04", *map(story.dg1, story.diagnoses), *story.insurances())


def charged(story: Story) -> None:
    said = []
    for _ in range(story.dice.randint(1, 2)):
        ident = f"TX-{story.name}-{len(story.told)}-{len(story.charges)}-{len(said)}"
        # One code twice a day would be held as a duplicate: now and then that is right.
        known = {one.service for one in story.charges.values()} if story.dice.random() < 0.97 else set()
        service, unit = story.dice.choice([one for one in SERVICES if one[0] not in known] or SERVICES)
        if not story.charges and story.kind != "I":
            service, unit = VISIT_SERVICE
        story.charges[ident] = Charge(service, unit, story.dice.randint(1, 4) if service.startswith("INJ") else 1)
        said.append(story.ft1(ident, story.charges[ident]))
    story.say("DFT^P03", story.pid(), story.pv1(), *said, *story.insurances())


def charge_corrected(story: Story) -> None:
    """The same transaction id with another quantity."""
    if story.charges:
        ident = story.dice.choice(list(story.charges))
        story.charges[ident].quantity += 1
        story.say("DFT^P03", story.pid(), story.pv1(), story.ft1(ident, story.charges[ident]))


def credited(story: Story) -> None:
    if len(story.charges) > 1:
        ident = story.dice.choice(list(story.charges)[1:])
        gone = story.charges.pop(ident)
        own, reverses = story.dice.choice(((ident, ""), (f"{ident}-CR", ident)))
        story.say("DFT^P03", story.pid(), story.pv1(), story.ft1(own, gone, "CR", reverses))


def diagnosis_added(story: Story) -> None:
    left = [code for code in DIAGNOSES if code not in story.diagnoses.values()]
    ident = f"DX-{story.name}-{len(story.told) + 2}"
    story.diagnoses[ident] = story.dice.choice(left)
    event = story.dice.choice(("ADT^A08", "BAR^P01"))
    story.say(event, story.pid(), story.pv1(), story.dg1(ident, "A"))


def diagnosis_corrected(story: Story) -> None:
    """One goes (DG1-21 D), another comes in its place."""
    ident = story.dice.choice(list(story.diagnoses))
    gone = story.dg1(ident, "D")
    del story.diagnoses[ident]
    left = [code for code in DIAGNOSES if code not in story.diagnoses.values()]
    new = f"DX-{story.name}-{len(story.told) + 2}"
    story.diagnoses[new] = story.dice.choice(left)
    story.adt("A08", gone, story.dg1(new, "A"))


def diagnosis_recoded(story: Story) -> None:
    """The same identifier (DG1-20) with another code."""
    ident = story.dice.choice(list(story.diagnoses))
    story.diagnoses[ident] = story.dice.choice([c for c in DIAGNOSES if c not in story.diagnoses.values()])
    story.adt("A08", story.dg1(ident, "U"))


def insured_elsewhere(story: Story) -> None:
    story.plans[0] = story.dice.choice([plan for plan in PLANS if plan not in story.plans])
    story.adt("A08", *story.insurances())


def insured_twice(story: Story) -> None:
    if len(story.plans) == 1:
        story.plans.append(story.dice.choice([p for p in PLANS if p not in story.plans and p != "LAKE"]))
        story.adt("A08", *story.insurances())


def second_insurance_ended(story: Story) -> None:
    if len(story.plans) == 2:
        gone = story.in1(1, "D")
        story.plans.pop()
        story.adt("A08", story.in1(0), gone)


def person_corrected(story: Story) -> None:
    story.street = f"{len(story.told) + 2} Test Lane"
    story.adt("A08")


def admitted(story: Story) -> None:
    if story.kind != "I":
        story.kind, story.end = "I", ""
        story.adt("A06")


def discharged(story: Story) -> None:
    if not story.end:
        story.now += timedelta(hours=2)
        story.end = story.now.strftime("%Y%m%d%H%M%S")
        story.adt("A03")


def discharge_cancelled(story: Story) -> None:
    if story.end:
        story.end = ""
        story.adt("A13")
        story.told.append("discharged")
        discharged(story)


def cancelled(story: Story) -> None:
    story.adt("A11")


def cancelled_and_reinstated(story: Story) -> None:
    story.adt("A11")
    if story.dice.random() < 0.5:
        story.adt("A08", *map(story.dg1, story.diagnoses))
    registered(story)
    if story.end:
        story.adt("A03")


def merged(story: Story) -> None:
    prior, story.mrn = story.mrn, f"{story.mrn}7"
    story.family = "HAWSER"
    story.say("ADT^A40", story.pid(), f"MRG|{prior}^^^{FACILITY}^MR")


def moved(story: Story) -> None:
    """The visit gets another number."""
    _move(story, f"{story.number}8")


def moved_and_charged_under_the_former_number(story: Story) -> None:
    """The charge system has not heard of the new number yet."""
    former = story.number
    _move(story, f"{story.number}8")
    present, story.number = story.number, former
    charged(story)
    story.number = present


def moved_back(story: Story) -> None:
    former = [key for key in story.keys if key != story.key]
    if former:
        _move(story, former[-1].rpartition("/")[2])


def registered_twice(story: Story) -> None:
    """The visit is registered and charged under a second number, and the two become one."""
    former = story.number
    story.number = f"{story.number}9"
    story.keys.append(story.key)
    registered(story)
    charged(story)
    second, story.number = story.number, former
    _move(story, second)


def _move(story: Story, number: str) -> None:
    prior, story.number = story.number, number
    story.keys.append(story.key)
    mrg = f"MRG|{story.mrn}^^^{FACILITY}^MR||||{prior}^^^{FACILITY}^VN"
    story.say("ADT^A50", story.pid(), mrg, story.pv1())


def given_to_another_patient(story: Story) -> None:
    """The visit was another person's all along (A45)."""
    prior, story.mrn = story.mrn, f"{story.mrn}5"
    story.family = "BALLAST"
    mrg = f"MRG|{prior}^^^{FACILITY}^MR||||{story.number}^^^{FACILITY}^VN"
    story.say("ADT^A45", story.pid(), mrg, story.pv1())
    story.adt("A08", *story.insurances())


def member_corrected(story: Story) -> None:
    """The payer denies what is billed for a member who is not active."""
    story.member = "LPM" if story.member == "INACTIVE" else "INACTIVE"
    story.adt("A08", *story.insurances())


HAPPENINGS: Sequence[tuple[Callable[[Story], None], int]] = (
    (charged, 5),
    (charge_corrected, 3),
    (credited, 3),
    (diagnosis_added, 3),
    (diagnosis_corrected, 3),
    (diagnosis_recoded, 2),
    (insured_elsewhere, 2),
    (insured_twice, 2),
    (second_insurance_ended, 2),
    (person_corrected, 1),
    (admitted, 1),
    (discharged, 2),
    (discharge_cancelled, 1),
    (cancelled, 1),
    (cancelled_and_reinstated, 1),
    (merged, 2),
    (moved, 2),
    (moved_and_charged_under_the_former_number, 1),
    (moved_back, 1),
    (registered_twice, 2),
    (given_to_another_patient, 1),
    (member_corrected, 1),
)
"""What can happen to a visit, and how often."""


def invented_visit(seed: int, number: int) -> InventedVisit:
    """One visit of a seed."""
    dice = random.Random(f"{seed}/{number}")
    name = f"{seed}N{number:03d}"
    started = _FIRST_DAY + timedelta(hours=dice.randint(0, 96))
    story = Story(dice, name, started, f"LK{name}", f"VN-{name}", dice.choice("OOEI"))
    story.plans = [dice.choice(list(PLANS))]
    story.diagnoses = {f"DX-{name}-1": dice.choice(DIAGNOSES)}
    for happens in (registered, charged):
        _happens(story, happens)
    choices, weights = zip(*HAPPENINGS, strict=True)
    for happens in dice.choices(choices, weights, k=dice.randint(0, 8)):
        _happens(story, happens)
    if dice.random() < 0.9:
        _happens(story, discharged)
    return story.finished()


def _happens(story: Story, happens: Callable[[Story], None]) -> None:
    before = len(story.messages)
    happens(story)
    if len(story.messages) > before:
        story.told.append(happens.__name__)


def invented_visits(seed: int, number: int) -> list[InventedVisit]:
    """The visits of a seed."""
    return [invented_visit(seed, n) for n in range(number)]


def arrivals(visits: Sequence[InventedVisit], dice: random.Random) -> list[bytes]:
    """All messages in an order that is drawn: of events, shuffled, or some of them late. One in ten comes again."""
    bodies = sorted((body for visit in visits for body in visit.messages), key=_event)
    order = dice.choice(("of events", "shuffled", "some late"))
    if order == "shuffled":
        dice.shuffle(bodies)
    for place in range(len(bodies) if order == "some late" else 0):
        if dice.random() < 0.2:
            bodies.insert(place + dice.randint(0, 60), bodies.pop(place))
    return bodies + dice.choices(bodies, k=len(bodies) // 10)


def _event(body: bytes) -> bytes:
    return body.split(b"|")[6]
