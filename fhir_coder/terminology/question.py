"""What a person or another system asks of the tables, in words (`sex=female`, `age=10d`), read to a context. Pure.

The command line and HTTP ask by the same words, so that they give the same answers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from fhir_coder.model import CodingContext, Kind
from fhir_coder.terminology.conditions import LATERALITIES, SEXES, USES
from fhir_coder.terminology.header import parse_date, system_uri
from fhir_coder.terminology.names import NO_NAMES, Names, unknown_name
from fhir_coder.terminology.tables import Tables
from fhir_coder.terminology.translate import ASKED_KINDS, born, chart_codes, episode_of

CHOSEN_FROM: Mapping[str, tuple[str, ...]] = {
    "sex": tuple(sorted(SEXES)),
    "laterality": tuple(sorted(LATERALITIES)),
    "use": tuple(sorted(USES)),
    "episode": ("A", "D", "S"),
    "kind": tuple(kind.value for kind in ASKED_KINDS),
}
"""The words that have a closed set of values."""

WORDS: Mapping[str, str] = {
    "sex": "Sex of the patient: female or male.",
    "age": "Age on the date of service: 70 (years), 3m, 10d.",
    "date": "Date of service (2026-01-31); by default today.",
    "class": "Class of the visit: AMB, EMER, IMP ...",
    "payer": "Name of the payer.",
    "with": "A further code of the chart: CODE of the same system, or SYSTEM|CODE.",
    "setting": "CMS place of service code.",
    "feed": "Name of the feed.",
    "laterality": "Side: left, right or bilateral.",
    "use": "Of a diagnosis: principal or secondary.",
    "episode": "Episode of care: A, D or S; by default that of the class.",
    "kind": "Kind of table to ask; by default the first that has the code.",
}
"""Every word that may be said of a chart, and what it means."""


class UnclearError(ValueError):
    """A word that cannot be read: its name, and the rule that it breaks."""

    def __init__(self, name: str, rule: str) -> None:
        super().__init__(rule)
        self.name, self.rule = name, rule


@dataclass(frozen=True, slots=True)
class Question:
    """What is said of the chart, and the kind of table to ask where it is said."""

    context: CodingContext
    kind: Kind | None = None


def read_question(
    tables: Tables,
    system: str,
    said: Mapping[str, str],
    recorded: Sequence[str],
    today: date,
    names: Names = NO_NAMES,
) -> Question:
    """Read the words `said`; `recorded` are further codes of the chart, those that name no system are of `system`.

    `names` are those that payers and feeds have. Raises UnclearError.
    """
    for name in names:
        if rule := unknown_name(name, said.get(name, ""), names):
            raise UnclearError(name, rule)
    for name, words in CHOSEN_FROM.items():
        if said.get(name, "") not in ("", *words):
            raise UnclearError(name, f"write {', '.join(words[:-1])} or {words[-1]}")
    day, visit_class, kind = _day(said.get("date", ""), today), said.get("class", ""), said.get("kind", "")
    if visit_class != visit_class.upper():
        raise UnclearError("class", "a code of v3-ActCode, in capitals: AMB, EMER, IMP ...")
    context = CodingContext(
        service_date=day,
        sex=said.get("sex", ""),
        birth_date=_birth_date(said.get("age", ""), day),
        encounter_class=visit_class,
        payer=said.get("payer", ""),
        care_setting=said.get("setting", ""),
        feed=said.get("feed", ""),
        laterality=said.get("laterality", ""),
        use=said.get("use", ""),
        codes=chart_codes([_with_uri(one) for one in recorded], system),
        episode=said.get("episode", "") or episode_of(tables, visit_class),
    )
    return Question(context, Kind(kind) if kind else None)


def read_system(name: str) -> str:
    """The URI of a code system named by its short name or its URI. Raises UnclearError."""
    found = system_uri(name) or name
    if ":" not in found:
        raise UnclearError("system", "a short name such as sct, icd9cm, cvx or local, or a URI")
    return found


def _day(text: str, today: date) -> date:
    try:
        return parse_date(text) if text else today
    except ValueError as error:
        raise UnclearError("date", str(error)) from None


def _birth_date(age: str, on: date) -> date | None:
    try:
        return born(age, on) if age else None
    except ValueError as error:
        raise UnclearError("age", str(error)) from None


def _with_uri(code: str) -> str:
    name, bar, value = code.strip().rpartition("|")
    return f"{system_uri(name) or name}|{value}" if bar else value
