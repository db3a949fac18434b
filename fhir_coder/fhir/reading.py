"""One resource while it is read: where it stands, what its references lead to, which topics its facts belong to."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from fhir_coder.fhir.datatypes import read_when
from fhir_coder.fhir.elements import Element
from fhir_coder.fhir.references import Located, Resources
from fhir_coder.fhir.rules import FhirRules
from fhir_coder.model import Fact, FiledFact, Origin, Problem, Stamp


@dataclass(slots=True)
class Reading:
    """One resource of a message under reading.

    `topic` is where its problems belong, the resource's own until `visit_key` or the reader says otherwise. `visits`
    are the chart keys it named.
    """

    message: str
    located: Located
    element: Element
    resources: Resources
    rules: FhirRules
    stamp: Stamp
    topic: str = ""
    visits: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, message: str, located: Located, resources: Resources, rules: FhirRules) -> Reading:
        """Start reading a resource, with an empty list of flaws."""
        element = Element(located.json, located.path, [])
        own_topic = f"{rules.namespace}{located.ref}"
        # A contained resource has no version of its own: it changes with the one that holds it (FHIR R4 2.28.3).
        whole = element if located.ref == located.holder else Element(resources.by_ref[located.holder].json, "", [])
        meta = whole.child("meta")
        updated = meta.text("lastUpdated") if meta else ""
        stamp = Stamp(
            own_topic,
            read_when(updated, rules.time_zone) if updated else None,
            meta.text("versionId") if meta else "",
        )
        return cls(message, located, element, resources, rules, stamp, own_topic)

    @property
    def own_topic(self) -> str:
        """The resource's own topic, which is also the identity of its fact."""
        return self.named(self.located.ref)

    def named(self, ref: str) -> str:
        """A ref as the topic it is for other rooms, empty for an empty ref."""
        return f"{self.rules.namespace}{ref}" if ref else ""

    def origin(self, element: Element | None = None) -> Origin:
        """Where a fact read from this element came from."""
        return Origin(self.message, (element or self.element).path)

    def ref(self, element: Element | None, name: str, wanted: str) -> str:
        """The ref that the Reference at `name` leads to, empty where there is none."""
        reference = element.child(name) if element else None
        return self.resolve(reference, wanted) if reference else ""

    def resolve(self, reference: Element, wanted: str) -> str:
        """The ref that a Reference leads to."""
        return self.resources.resolve(reference, wanted, self.located.holder)

    def visit_key(self, subject: str, encounter: str) -> str:
        """The chart key of the visit this resource belongs to, empty where it names none; problems go there too."""
        if self.resources.type_of(encounter) != "Encounter":
            return ""  # ChargeItem.context may be an EpisodeOfCare, which is no visit
        self.topic = self.named(self._visit_ref(subject, encounter))
        self.visits.append(self.topic)
        return self.topic

    def _visit_ref(self, subject: str, encounter: str) -> str:
        visit = self.resources.by_ref.get(encounter)
        if visit is None or visit.deleted or visit.type != "Encounter":
            return visit_ref(subject, encounter)
        theirs = subject_of(visit, self.resources)
        if subject and theirs and subject != theirs and "?" not in subject + theirs:
            # Filed under its own patient's key: the other patient's bill must not have it.
            self.element.note("", "subject_mismatch", "the encounter is another patient's")
            return visit_ref(subject, encounter)
        return visit_ref(theirs, encounter)

    def file(self, fact: Fact, key: str, refs: Iterable[str] = ()) -> Iterator[FiledFact]:
        """File what was done or found at a visit: under the visit, else under its own topic.

        The visit's copy points to the own topic: a later deletion, which names no visit, still reaches the chart.
        """
        topic = key or self.own_topic
        others = tuple(r for r in dict.fromkeys((*refs, self.own_topic)) if r and r != topic)
        yield FiledFact(topic, fact, others, self.stamp)

    def under(self, topic: str, fact: Fact, refs: tuple[str, ...] = ()) -> FiledFact:
        """File what this version of the resource says under a topic of any kind."""
        return FiledFact(topic, fact, refs, self.stamp)

    def part_identity(self, part: Element) -> str:
        """The identity of what a part of the resource says: the resource's with the part's place in it."""
        return f"{self.own_topic}{part.path[len(self.located.path) :]}"

    def problems(self) -> Iterator[Problem]:
        """What could not be used of this resource."""
        for path, rule, text in dict.fromkeys(self.element.flaws):
            yield Problem(Origin(self.message, path), rule, text, self.topic, self.own_topic)


def visit_ref(subject: str, encounter: str) -> str:
    """The ref of a visit: its Encounter's behind its patient's, as two patients' bills must never share a chart."""
    return f"{subject}/{encounter}" if subject else encounter


def subject_of(visit: Located, resources: Resources) -> str:
    """The ref of the patient of an Encounter in the message."""
    subject = Element(visit.json, visit.path, []).child("subject")
    return resources.resolve(subject, "Patient", visit.holder) if subject else ""
