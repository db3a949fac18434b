"""What the messages taken so far say about one visit; each message is taken once, in the order of events."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from fhir_coder.charts.accounts import Accounts, in_order, numbered, ranked
from fhir_coder.charts.billing import established, goes_on
from fhir_coder.charts.charges import Charges
from fhir_coder.charts.directory import Directory
from fhir_coder.charts.order import Stamps
from fhir_coder.charts.person import Person, over
from fhir_coder.charts.services import Filled, keep, with_uses
from fhir_coder.charts.topics import keys_of_visit
from fhir_coder.model import (
    AccountFact,
    CancelFact,
    ChargeFact,
    Chart,
    CoverageFact,
    DiagnosisFact,
    DirectoryFact,
    Fact,
    FiledFact,
    GuarantorFact,
    ImmunizationFact,
    MergeFact,
    MoveFact,
    PatientFact,
    PersonFact,
    PlaceFact,
    Problem,
    ProcedureFact,
    VisitFact,
)

_CANCELLED = frozenset({"cancelled", "entered-in-error"})
_OF_THE_PERSON = (PatientFact, CoverageFact, GuarantorFact)


@dataclass
class Gathering:
    """Everything known about one visit. `keys` are its chart keys: the present one, `key`, and those it had before.

    `strangers` are those it had as another patient's visit: what was said of the person under them is not of this one.
    `cancelled` says of each number under which it was registered or cancelled which was last.
    """

    key: str
    keys: frozenset[str]
    strangers: frozenset[str] = frozenset()
    visit: VisitFact | None = None
    person: Person = field(default_factory=Person)
    diagnoses: dict[str, DiagnosisFact] = field(default_factory=dict)
    procedures: dict[str, ProcedureFact] = field(default_factory=dict)
    immunizations: dict[str, ImmunizationFact] = field(default_factory=dict)
    coverages: dict[str, CoverageFact] = field(default_factory=dict)
    directory: Directory = field(default_factory=Directory)
    accounts: Accounts = field(default_factory=Accounts)
    guarantor: GuarantorFact | None = None
    cancelled: dict[str, bool] = field(default_factory=dict)
    moved_to: str = ""
    is_told: bool = False
    places: set[str] = field(default_factory=set)
    messages: list[str] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    stamps: Stamps = field(default_factory=Stamps)

    def __post_init__(self) -> None:
        self.charges = Charges(self.key)
        self._filled_procedures = Filled[ProcedureFact]()
        self._filled_charges = Filled[ChargeFact]()
        self._filled_immunizations = Filled[ImmunizationFact]()

    @classmethod
    def of(cls, key: str, facts: Sequence[FiledFact]) -> Gathering:
        """Begin with a visit. `facts` are all that will be taken, in any order: its moves must be known beforehand."""
        keys = keys_of_visit(key, facts)
        left = {f.topic for f in facts if _is_left_by_its_patient(f) and f.topic in keys}
        strangers = {before for topic in left for before in keys_of_visit(topic, facts)} - {key}
        return cls(key, keys, frozenset(strangers))

    def take(self, message: str, facts: Sequence[FiledFact], problems: Sequence[Problem]) -> None:
        """Take the next message in: what it says of this visit."""
        self.messages.append(message)
        is_move = any(isinstance(filed.fact, MoveFact) for filed in facts)
        self.is_told = self.is_told or (not is_move and any(filed.topic in self.keys for filed in facts))
        current = [filed for filed in facts if not self.stamps.are_outdone(filed.stamp)]
        self._settle(current, problems)
        for filed in current:
            is_of_another = filed.topic in self.strangers and isinstance(filed.fact, _OF_THE_PERSON)
            if not is_of_another:
                self._take_one(filed, filed.fact)

    def _settle(self, facts: Sequence[FiledFact], problems: Sequence[Problem]) -> None:
        """Keep a message's problems; those of earlier messages go where this one says the same thing anew."""
        said = {p.identity for p in problems}
        if self.problems:
            for filed in facts:
                said |= {filed.topic, str(getattr(filed.fact, "identity", ""))}
            self.problems = [p for p in self.problems if not (p.identity and _is_said(p, said))]
        self.problems += problems

    def _take_one(self, filed: FiledFact, fact: Fact) -> None:
        match fact:
            case PatientFact():
                self.person.take(self.key if filed.topic in self.keys else filed.topic, filed, fact)
            case VisitFact():
                self._forget_version(filed)
                self._visit(filed.topic, fact)
            case DirectoryFact():
                self.directory.take(filed.topic, fact)
            case GuarantorFact():
                self.guarantor = fact
            case AccountFact():
                self.accounts.take(fact)
            case CancelFact():
                self._cancel(filed.topic, fact)
            case MergeFact():
                self.person.merge(fact)
            case PersonFact():
                self._hear(filed.topic, fact)
            case MoveFact():
                self._move(filed.topic, fact)
            case PlaceFact():
                self.places.add(fact.key)
                self.moved_to = "" if fact.key == self.key else fact.key
            case _:
                self._take_listed(fact)

    def _take_listed(self, fact: Fact) -> None:
        match fact:
            case DiagnosisFact():
                keep(self.diagnoses, fact)
            case ProcedureFact():
                keep(self.procedures, fact)
            case ImmunizationFact():
                keep(self.immunizations, fact)
            case CoverageFact():
                keep(self.coverages, fact)
            case ChargeFact():
                self.problems += filter(None, [self.charges.take(fact)])

    def _hear(self, topic: str, fact: PersonFact) -> None:
        """What is said of the person while the visit goes on: an address of next year must not change old claims."""
        if self.visit is None or goes_on(self.visit, is_charged=bool(self.charges.charges)):
            self.person.hear(self.key, topic, fact.patient)

    def _forget_version(self, filed: FiledFact) -> None:
        """A version of an Encounter says all there is to say of it (FHIR R4 3.1.0.4): what an earlier one said goes."""
        if filed.stamp:
            own = f"{filed.stamp.resource}."
            self.visit = None
            self.diagnoses = {i: fact for i, fact in self.diagnoses.items() if not i.startswith(own)}

    def _visit(self, topic: str, fact: VisitFact) -> None:
        key = self._key_of(topic)
        if fact.status and fact.status not in _CANCELLED:
            self.cancelled[key] = False
        if key != self.key:  # said under a number the visit had before
            status = "" if fact.status in _CANCELLED else fact.status
            fact = replace(fact, number=None, status=status)
        self.visit = over(self.visit, fact)

    def _cancel(self, topic: str, fact: CancelFact) -> None:
        if fact.what == "discharge":
            if self.visit:
                self.visit = replace(self.visit, end=None, status="in-progress", discharge_disposition="")
        elif fact.what != "planned" or not self._has_begun():
            self.cancelled[self._key_of(topic)] = True

    def _has_begun(self) -> bool:
        return bool(self.visit and self.visit.status in ("in-progress", "finished"))

    def _key_of(self, topic: str) -> str:
        return topic if topic in self.keys else self.key

    def _is_cancelled(self) -> bool:
        """Whether nothing is billed: all numbers of the visit were cancelled, or nothing but moves was said of it."""
        was_there = self.is_told or len(self.keys) == 1 or not self.messages
        return not was_there or (bool(self.cancelled) and all(self.cancelled.values()))

    def _move(self, topic: str, fact: MoveFact) -> None:
        if fact.to == self.key:
            self.moved_to = ""
        elif topic == self.key:
            self.moved_to = fact.to
        if fact.new_patient and fact.to == topic == self.key:
            self.person.forget(self.key)
            self.coverages.clear()
            self.guarantor = None

    def chart(self) -> Chart:
        """The chart as it stands now."""
        visit, directory = self.visit, self.directory
        account = self.accounts.of(visit)
        wanted = (visit.patient_ref, self.key) if visit and visit.patient_ref else (self.key,)
        return Chart(
            key=self.key,
            patient=self.person.patient(wanted),
            visit=directory.visit(numbered(visit, account)) if visit else None,
            diagnoses=with_uses(
                established(self.diagnoses.values(), visit), ranked(visit.diagnosis_uses if visit else (), account)
            ),
            procedures=self._filled_procedures.all(self.procedures, directory),
            charges=self._filled_charges.all(self.charges.charges, directory),
            immunizations=self._filled_immunizations.all(self.immunizations, directory),
            coverages=in_order(directory.coverages(self.coverages.values()), account),
            guarantor=self.guarantor,
            cancelled=self._is_cancelled(),
            messages=tuple(self.messages),
            problems=(*self.problems, *self.charges.problems()),
            moved_to=self.moved_to,
            copayments=tuple(self.charges.copayments.values()),
            moved_from=tuple(sorted((self.keys | self.places) - {self.key, self.moved_to})),
        )


def _is_left_by_its_patient(filed: FiledFact) -> bool:
    fact = filed.fact
    return isinstance(fact, MoveFact) and fact.new_patient and fact.to != filed.topic


def _is_said(problem: Problem, said: set[str]) -> bool:
    # A visit's topic is its patient's reference and its own; a problem of the visit knows only its own.
    of_visit = problem.topic in said and problem.topic.endswith(f"/{problem.identity}")
    return of_visit or problem.identity in said
