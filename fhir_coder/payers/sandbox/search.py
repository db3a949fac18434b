"""Searches (FHIR R4 3.1.1) as conditions on the sandbox's books: parameters in, SQL with its values out."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from fhir_coder.model import Json
from fhir_coder.payers.answer import member, text
from fhir_coder.payers.outcomes import claim_name
from fhir_coder.payers.sandbox.adjudicate import identifier_of

PAGE = 50
"""Matches of a page where `_count` does not say; at most ten times as many."""


class SearchError(Exception):
    """A search cannot be understood: `parameter` is its name, the text the rule it breaks."""

    def __init__(self, parameter: str, rule: str) -> None:
        super().__init__(rule)
        self.parameter = parameter


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition: SQL over the table of claims, and its values."""

    sql: str
    values: tuple[object, ...] = ()


@dataclass(frozen=True, slots=True)
class Search:
    """What is searched for: conditions that all hold, matches a page, and the claim's number the page begins after.

    `used` are the parameters that count, as they were sent.
    """

    conditions: Sequence[Condition]
    used: Sequence[tuple[str, str]]
    count: int = PAGE
    after: int = 0

    @property
    def where(self) -> Condition:
        """All conditions as one."""
        sql = " AND ".join(f"({c.sql})" for c in self.conditions) or "1"
        return Condition(sql, tuple(v for c in self.conditions for v in c.values))


@dataclass(frozen=True, slots=True)
class Facets:
    """What a claim is found by besides its identifier. `created` is from when until when, in seconds since 1970."""

    use: str = ""
    status: str = ""
    patient: str = ""
    patient_system: str = ""
    patient_value: str = ""
    created: tuple[float, float] = (0.0, 0.0)


def facets_of(claim: Json, resources: Mapping[str, Json]) -> Facets:
    """What a claim is found by. A contained patient has no address: it is found by its identifier."""
    patient = member(claim, "patient")
    identifier = identifier_of(patient, resources)
    reference = text(patient, "reference")
    try:
        created = period_of(text(claim, "created"))
    except (ValueError, OverflowError):
        created = (0.0, 0.0)
    return Facets(
        use=text(claim, "use"),
        status=text(claim, "status"),
        patient="" if reference.startswith("#") else _local(reference),
        patient_system=text(identifier, "system"),
        patient_value=text(identifier, "value"),
        created=created,
    )


def read_search(kind: str, pairs: Iterable[tuple[str, str]], now: datetime, strict: bool = False) -> Search:
    """The search that parameters ask for; `strict` refuses unknown ones (R4 3.1.1.3). Raises SearchError."""
    conditions: list[Condition] = []
    used: list[tuple[str, str]] = []
    count, after = PAGE, 0
    for name, value in pairs:
        if name == "_count":
            count = min(_number(name, value), 10 * PAGE)
        elif name == "_after":
            after = _number(name, value)
        elif name in PARAMETERS[kind]:
            conditions.append(_condition(name, value, PARAMETERS[kind][name], now))
        elif strict and not name.startswith("_format"):
            raise SearchError(name, "The search does not know this parameter.")
        else:
            continue
        used += [(name, value)] if name != "_after" else []
    return Search(conditions, used, count, after)


def _number(name: str, value: str) -> int:
    if not re.fullmatch(r"[0-9]{1,9}", value):
        raise SearchError(name, "The value is not a whole number.")
    return int(value)


Parameter = Callable[[str, datetime], Condition]
"""Reads one value of a parameter. Raises ValueError."""


def _condition(name: str, value: str, parameter: Parameter, now: datetime) -> Condition:
    """Values with commas between them are alternatives (R4 3.1.1.4.5)."""
    try:
        found = [parameter(one, now) for one in alternatives(value) if one]
    except (ValueError, OverflowError):
        raise SearchError(name, "The value has not the form of this parameter.") from None
    if not found:
        raise SearchError(name, "The parameter has no value.")
    return Condition(" OR ".join(f"({c.sql})" for c in found), tuple(v for c in found for v in c.values))


def alternatives(value: str) -> list[str]:
    """The values between commas that are not escaped; escapes stay in them."""
    return re.findall(r"(?:\\.|[^\\,])+", value)


def token(parameter: str) -> tuple[str | None, str]:
    """System and value of a token search parameter (R4 3.1.1.4.10); the system is None where any will do."""
    parts, escaped = [""], False
    for sign in parameter:
        if escaped or sign not in "\\|":
            parts[-1] += sign
            escaped = False
        elif sign == "\\":
            escaped = True
        else:
            parts.append("")
    return (None, parts[0]) if len(parts) == 1 else (parts[0], "|".join(parts[1:]))


def _token_in(system: str, value: str) -> Parameter:
    def read(parameter: str, _now: datetime) -> Condition:
        wanted_system, wanted = token(parameter)
        if wanted_system is None:
            return Condition(f"{value} = ?", (wanted,))
        if not wanted:
            return Condition(f"{system} = ?", (wanted_system,))
        return Condition(f"{system} = ? AND {value} = ?", (wanted_system, wanted))

    return read


def _code_in(column: str) -> Parameter:
    def read(parameter: str, _now: datetime) -> Condition:
        return Condition(f"{column} = ?", (token(parameter)[1],))

    return read


def _outcome(parameter: str, now: datetime) -> Condition:
    """A decision that is not due yet is a queued one."""
    wanted = token(parameter)[1]
    moment = now.isoformat()
    if wanted == "queued":
        return Condition("decided_at > ?", (moment,))
    return Condition("decided_at <= ? AND outcome = ?", (moment, wanted))


def _patient(parameter: str, _now: datetime) -> Condition:
    return Condition(
        "patient = ?", (_local(parameter if "/" in parameter or ":" in parameter else f"Patient/{parameter}"),)
    )


def _request(parameter: str, _now: datetime) -> Condition:
    return _number_is(claim_name(parameter if "/" in parameter else f"Claim/{parameter}").removeprefix("Claim/"))


def _claim_id(parameter: str, _now: datetime) -> Condition:
    return _number_is(parameter)


def _response_id(parameter: str, _now: datetime) -> Condition:
    return _number_is(parameter.removesuffix("-response"))


def _number_is(identity: str) -> Condition:
    return Condition("number = ?", (int(identity) if re.fullmatch(r"[0-9]{1,15}", identity) else 0,))


def _local(reference: str) -> str:
    """`Patient/5` of any address that ends so, else the reference as it is."""
    found = re.search(r"(?:^|/)(Patient/[A-Za-z0-9\-.]{1,64})(?:/_history/[^/]+)?$", reference)
    return found[1] if found else reference


_COMPARISONS: Mapping[str, str] = {
    "eq": "{from} >= :low AND {to} <= :high",
    "ne": "NOT ({from} >= :low AND {to} <= :high)",
    "gt": "{to} > :high",
    "lt": "{from} < :low",
    "ge": "{to} > :high OR ({from} >= :low AND {to} <= :high)",
    "le": "{from} < :low OR ({from} >= :low AND {to} <= :high)",
    "sa": "{from} >= :high",
    "eb": "{to} <= :low",
}
"""Prefix of a date parameter (R4 3.1.1.4.7) -> how the range that is searched compares with that of the value."""


def _date_in(start: str, end: str) -> Parameter:
    def read(parameter: str, _now: datetime) -> Condition:
        prefix, value = (parameter[:2], parameter[2:]) if parameter[:2] in _COMPARISONS else ("eq", parameter)
        low, high = period_of(value)
        sql, values = "", list[object]()
        for part in re.split(r"(:low|:high|\{from\}|\{to\})", _COMPARISONS[prefix]):
            sql += {":low": "?", ":high": "?", "{from}": start, "{to}": end}.get(part, part)
            values += [low] if part == ":low" else [high] if part == ":high" else []
        return Condition(sql, tuple(values))

    return read


def period_of(value: str) -> tuple[float, float]:
    """From when until when a FHIR date or dateTime is, in seconds since 1970, UTC where it says none.

    Raises ValueError where it is none, OverflowError where it is the last that can be told.
    """
    if not re.fullmatch(r"\d{4}(-\d\d(-\d\d(T\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d)?)?)?)?", value):
        raise ValueError("no FHIR date")
    start = datetime.fromisoformat({4: f"{value}-01-01", 7: f"{value}-01"}.get(len(value), value))
    low = (start if start.tzinfo else start.replace(tzinfo=UTC)).timestamp()
    if len(value) == 4:
        end = start.replace(year=start.year + 1)
    elif len(value) == 7:
        end = (start + timedelta(days=31)).replace(day=1)
    else:
        second = 1 if value.count(":") > (2 if re.search(r"[+-]\d\d:\d\d$", value) else 1) else 60
        end = start + (timedelta(days=1) if len(value) == 10 else timedelta(seconds=second))
    return low, (end if end.tzinfo else end.replace(tzinfo=UTC)).timestamp()


_PATIENT: Mapping[str, Parameter] = {
    "patient": _patient,
    "patient.identifier": _token_in("patient_system", "patient_value"),
    "patient:identifier": _token_in("patient_system", "patient_value"),
}
_NAME = _token_in("system", "value")

PARAMETERS: Mapping[str, Mapping[str, Parameter]] = {
    "Claim": {
        "identifier": _NAME,
        "status": _code_in("status"),
        "use": _code_in("use"),
        "created": _date_in("created_from", "created_to"),
        "_id": _claim_id,
        **_PATIENT,
    },
    "ClaimResponse": {
        "request": _request,
        "request.identifier": _NAME,
        "request:Claim.identifier": _NAME,
        "identifier": _NAME,
        "outcome": _outcome,
        # Every response of the sandbox is active.
        "status": lambda value, _now: Condition("? = 'active'", (token(value)[1],)),
        "created": _date_in("taken_at", "taken_at + 1"),
        "_id": _response_id,
        **_PATIENT,
    },
}
"""Search parameters of each kind of resource."""
