"""The rules of the NLM map from SNOMED CT to ICD-10-CM, read as conditions of a row.

    rule   = TRUE | OTHERWISE TRUE | clause { AND clause }
    clause = IFA id | term | [ operator number unit ] , or clauses in parentheses

Age ids compare the age at the event: a chart does not say how old someone was when a finding began, so the age at onset
is read as the age on the date of service. Any id that is neither an age nor a sex means
that this finding must be recorded too.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache

from fhir_coder.terminology.check_digits import has_check_digit
from fhir_coder.terminology.conditions import AgeRange, both_ages, parse_age

AGE_IDS = frozenset({"445518008", "424144002"})
"""Age at onset of a clinical finding; current chronological age."""

SEX_IDS = {"248152002": "female", "248153007": "male"}

_ALWAYS = frozenset({"TRUE", "OTHERWISE TRUE"})
_ESCAPES = {"&#x7c;": "|", "&#124;": "|", "&lt;": "<", "&gt;": ">", "&amp;": "&"}
_ESCAPED = re.compile("|".join(_ESCAPES), re.IGNORECASE)
_CLAUSE = re.compile(
    r"IFA\s+(?P<id>\d+)\s*\|[^|]*\|(?:\s*(?P<op><=|>=|<|>)\s*(?P<number>\d{1,4}(?:\.\d{1,4})?)\s*(?P<unit>[a-z]+))?"
)
_UNITS = {"day": "d", "days": "d", "month": "m", "months": "m", "year": "y", "years": "y"}
_AND = re.compile(r"\s+AND\s+|\s*AND\s*(?=\()|(?<=\))\s*AND\s*")
_BLANK = re.compile(r"\s*")
_DEEPEST = 20


@dataclass(frozen=True, slots=True)
class RuleTerms:
    """What a rule asks: a sex, an age, and findings that must be recorded too. All empty: it is always true."""

    sex: str = ""
    age: AgeRange | None = None
    findings: frozenset[str] = frozenset()

    @property
    def is_always(self) -> bool:
        """True for TRUE and OTHERWISE TRUE."""
        return self == RuleTerms()


@lru_cache(maxsize=8192)
def parse_rule(text: str) -> RuleTerms:
    """Read a map rule. Raises ValueError with what is wrong: a rule that is not understood must not match anybody."""
    rule = _ESCAPED.sub(lambda found: _ESCAPES[found[0].lower()], text).strip()
    if rule in _ALWAYS:
        return RuleTerms()
    terms, end = _clauses(rule, 0, 0)
    if _BLANK.fullmatch(rule, end) is None:
        raise ValueError("the rule goes on after its last clause")
    return terms


def _clauses(rule: str, start: int, depth: int) -> tuple[RuleTerms, int]:
    terms, place = _clause(rule, start, depth)
    while joint := _AND.match(rule, place):
        further, place = _clause(rule, joint.end(), depth)
        terms = _both(terms, further)
    return terms, place


def _clause(rule: str, start: int, depth: int) -> tuple[RuleTerms, int]:
    place = _after_blanks(rule, start)
    if rule.startswith("(", place):
        if depth >= _DEEPEST:
            raise ValueError("parentheses nested too deep")
        terms, place = _clauses(rule, place + 1, depth + 1)
        place = _after_blanks(rule, place)
        if not rule.startswith(")", place):
            raise ValueError("a parenthesis is not closed")
        return terms, place + 1
    found = _CLAUSE.match(rule, place)
    if found is None:
        raise ValueError("not a clause: IFA id | term | with an operator, a number and a unit where it is an age")
    return _terms(found), found.end()


def _after_blanks(rule: str, place: int) -> int:
    found = _BLANK.match(rule, place)
    return found.end() if found else place


def _terms(found: re.Match[str]) -> RuleTerms:
    concept, operator = found["id"], found["op"]
    if not has_check_digit(concept):
        raise ValueError("an id is no SNOMED CT identifier: the check digit is wrong")
    if concept in AGE_IDS:
        if not operator:
            raise ValueError("an age is not compared with anything")
        return RuleTerms(age=_age(operator, Decimal(found["number"]), found["unit"]))
    if operator:
        raise ValueError("only an age is compared with a number")
    if concept in SEX_IDS:
        return RuleTerms(sex=SEX_IDS[concept])
    return RuleTerms(findings=frozenset({concept}))


def _age(operator: str, number: Decimal, word: str) -> AgeRange:
    unit = _UNITS.get(word)
    if unit is None:
        raise ValueError("unknown unit of age: days, months or years")
    if unit == "y" and number % 1:
        number, unit = number * 12, "m"
    if number % 1:
        raise ValueError("not a whole number of days or months")
    return parse_age(f"{operator}{int(number)}{unit}")


def _both(one: RuleTerms, other: RuleTerms) -> RuleTerms:
    if one.sex and other.sex and one.sex != other.sex:
        raise ValueError("nobody is male and female")
    age = both_ages(one.age, other.age) if one.age and other.age else one.age or other.age
    return RuleTerms(one.sex or other.sex, age, one.findings | other.findings)
