"""The patient of a visit: what is said of the person, and whose record survives where records were merged."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field, fields, replace
from typing import TypeVar

from fhir_coder.model import FiledFact, MergeFact, PatientFact, VisitFact

_Said = TypeVar("_Said", PatientFact, VisitFact)


def over(known: _Said | None, said: _Said) -> _Said:
    """The later fact over the earlier one; what it leaves out stays as it was, what it clears is gone.

    HL7 v2 chapter 2: an empty field is not said, `""` deletes.
    """
    if known is not None:
        values = {f.name: getattr(said, f.name) for f in fields(said) if f.name not in said.cleared}
        kept = {name: getattr(known, name) for name, value in values.items() if value in ("", None, ())}
        said = replace(said, **kept)
    return replace(said, cleared=()) if said.cleared else said


@dataclass
class Person:
    """The records of persons that a chart draws on, and their merges.

    HL7 v2 says who the patient is in each message of the visit: that record stands under the chart key. A FHIR record
    stands under its own topic, which the visit refers to. `heard` is what was said under a number, outside any visit.
    """

    records: dict[str, PatientFact] = field(default_factory=dict)
    aliases: dict[str, tuple[str, ...]] = field(default_factory=dict)
    merges: dict[str, MergeFact] = field(default_factory=dict)
    heard: dict[str, PatientFact] = field(default_factory=dict)

    def take(self, topic: str, filed: FiledFact, fact: PatientFact) -> None:
        """Take what is said of a person under a topic in; the facts of one person may come under several."""
        if fact.removed:
            for gone in [t for t, names in self.aliases.items() if t == topic or topic in names]:
                del self.records[gone], self.aliases[gone]
            return
        known = self.records.pop(topic, None) or next((self.heard[r] for r in filed.refs if r in self.heard), None)
        self.records[topic] = over(known, fact)  # the record said last stands last
        self.aliases[topic] = filed.refs

    def hear(self, key: str, number: str, said: PatientFact) -> None:
        """Take in what is said of the person under a number, outside any visit; `key` is that of the visit."""
        self.heard[number] = over(self.heard.get(number), said)
        if number in self.aliases.get(key, ()):
            self.records[key] = over(self.records[key], said)
        for prior, merge in self.merges.items():
            if merge.survivor == number and merge.patient:
                self.merges[prior] = replace(merge, patient=over(merge.patient, said))

    def merge(self, fact: MergeFact) -> None:
        """Take a merge in, or away where it is removed.

        A survivor that was merged away before is back: no merge ever leads round in a circle.
        """
        if fact.removed:
            known = self.merges.get(fact.prior)
            if known and known.survivor == fact.survivor:
                del self.merges[fact.prior]
            return
        self.merges.pop(fact.survivor, None)
        self.merges[fact.prior] = fact

    def forget(self, topic: str) -> None:
        """What was said of the person under a topic is not of this visit's patient."""
        self.records.pop(topic, None)
        self.aliases.pop(topic, None)

    def patient(self, wanted: Collection[str]) -> PatientFact | None:
        """The surviving record of the first of the wanted topics that has one, else of the one said last."""
        topic = next((t for t in wanted if t in self.records), next(reversed(self.records), ""))
        if not topic:
            return None
        patient, names = self.records[topic], (topic, *self.aliases[topic])
        while merge := self._merge_of(names):
            if merge.patient:
                patient = over(patient, merge.patient)
            patient = self.records.get(merge.survivor, patient)
            names += (merge.survivor, *self.aliases.get(merge.survivor, ()))
        return patient

    def _merge_of(self, names: tuple[str, ...]) -> MergeFact | None:
        """The merge of a record known by these names; one that names the survivor too is merged already."""
        found = (self.merges[name] for name in names if name in self.merges)
        return next((merge for merge in found if merge.survivor not in names), None)
