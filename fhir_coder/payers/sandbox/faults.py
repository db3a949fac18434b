"""Faults the sandbox makes on demand: `--fault SPEC` or over HTTP, in the order given."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from fhir_coder.errors import Fault, SettingsError

FAULT_GRAMMAR = """\
NAME[:COUNT][:key=value...]    COUNT is how many requests it hits: 1 where not said, * until it is taken away

  400 ... 599        answers with this status; 429:2:retry-after=5 asks to wait
  drop-before-read   closes the connection without taking the claim
  drop-after-read    takes the claim, then closes the connection without an answer
  half-body          takes the claim, then closes the connection in the middle of the answer
  html               answers with a web page; html:1:status=502
  content-type       takes the claim and calls its answer something else; content-type:1:type=text/plain
  slow               takes the claim and answers late; slow:1:seconds=3
  expired-token      answers 401 (invalid_token) and takes back every token it has issued
  other-claim        takes the claim and answers for another one
  duplicate-answer   takes the claim and answers twice: the same resource in two entries of a Bundle
  clock-skew         takes the claim and answers with a Date that is off; clock-skew:1:seconds=-3600
  wrong-certificate  with TLS: shows the next connections the certificate of another host

  on=N                hits from the N-th request on, counted from when the fault was set; else from the next one
  every=N             hits each N-th request only
  at=WHAT             which requests: submit (where not said), question (reads, searches, $inquire), token, any of
                      these; or notice: what is pushed to subscribers (slow, other-claim, duplicate-answer)
  stored=yes          a status or html fault takes the claim before it answers
  retry-after=N       seconds; retry-after-date=N says the same as a date
"""

_PLACE_KEYS = frozenset({"on", "every", "at"})
_KEYS: Mapping[str, frozenset[str]] = {
    "drop-before-read": _PLACE_KEYS,
    "drop-after-read": _PLACE_KEYS,
    "half-body": _PLACE_KEYS,
    "html": _PLACE_KEYS | {"status", "stored"},
    "content-type": _PLACE_KEYS | {"type"},
    "slow": _PLACE_KEYS | {"seconds"},
    "expired-token": _PLACE_KEYS,
    "other-claim": _PLACE_KEYS,
    "duplicate-answer": _PLACE_KEYS,
    "clock-skew": _PLACE_KEYS | {"seconds"},
    "wrong-certificate": frozenset({"on", "every"}),
}
_STATUS_KEYS = _PLACE_KEYS | {"stored", "retry-after", "retry-after-date"}
_LEAVES_CLAIM = frozenset({"drop-before-read", "html", "http-status", "expired-token", "wrong-certificate"})
_PLACES = ("submit", "question", "token", "notice", "any")
_FITS_NOTICE = frozenset({"slow", "other-claim", "duplicate-answer"})

CONNECTION = "connection"
"""Where a fault of TLS hits: before there is a request."""

_APART = frozenset({CONNECTION, "notice"})
"""Where a fault of `any` request does not hit."""


@dataclass(frozen=True, slots=True)
class PlannedFault:
    """One fault to make. `name` is that of the grammar, `http-status` for a status.

    `count` 0 has no end; `on` and `every` 0 are not said; `spec` is what was written. Times are in seconds.
    """

    name: str
    count: int = 1
    on: int = 0
    every: int = 0
    at: str = "submit"
    status: int = 200
    seconds: float = 1.0
    retry_after: int | None = None
    is_retry_date: bool = False
    media_type: str = "text/plain"
    takes_claim: bool = False
    spec: str = field(default="", compare=False)

    @property
    def is_placed(self) -> bool:
        """Whether it waits for a certain request, and not for its turn."""
        return bool(self.on or self.every)


def parse_faults(specs: Sequence[str]) -> tuple[PlannedFault, ...]:
    """Read fault specs. Raises SettingsError that lists everything wrong with all of them."""
    faults: list[Fault] = []
    planned = [_parse(spec, faults) for spec in specs]
    if faults:
        raise SettingsError("The sandbox's fault list", faults)
    return tuple(planned)


Wrong = Callable[[str], None]
"""Notes one fault of the spec being read."""


def _parse(spec: str, faults: list[Fault]) -> PlannedFault:
    def wrong(text: str) -> None:
        faults.append(Fault("--fault", 0, spec, text))

    name, *rest = spec.strip().split(":")
    is_status = name.isdecimal() and 400 <= int(name) <= 599
    if not is_status and name not in _KEYS:
        wrong(f"is none of {', '.join(_KEYS)} or a status from 400 to 599")
        return PlannedFault(name)
    count = rest.pop(0) if rest and "=" not in rest[0] else "1"
    values = _values(rest, _STATUS_KEYS if is_status else _KEYS[name], wrong)
    kind = "http-status" if is_status else name
    after = next((key for key in ("retry-after", "retry-after-date") if key in values), "")
    return PlannedFault(
        name=kind,
        count=0 if count == "*" else _whole("the count", count, 1, wrong),
        on=_whole("on", values["on"], 1, wrong) if "on" in values else 0,
        every=_whole("every", values["every"], 1, wrong) if "every" in values else 0,
        at=CONNECTION if name == "wrong-certificate" else _place(values.get("at", "submit"), kind, wrong),
        status=int(name) if is_status else _status(values.get("status", "200"), wrong),
        seconds=_seconds(values.get("seconds", "1"), name == "clock-skew", wrong),
        retry_after=_whole(after, values[after], 0, wrong) if after else None,
        is_retry_date=after == "retry-after-date",
        media_type=_media_type(values.get("type", "text/plain"), wrong),
        takes_claim=kind not in _LEAVES_CLAIM or _yes(values.get("stored", "no"), wrong),
        spec=spec.strip(),
    )


def _values(parts: Sequence[str], keys: frozenset[str], wrong: Wrong) -> dict[str, str]:
    values: dict[str, str] = {}
    for part in parts:
        key, equals, value = part.partition("=")
        if not equals:
            wrong(f"{part} is not key=value")
        elif key not in keys:
            wrong(f"{key} is none of its keys: {', '.join(sorted(keys))}")
        else:
            values[key] = value
    return values


def _whole(what: str, value: str, least: int, wrong: Wrong) -> int:
    if value.isdecimal() and least <= int(value) <= 1_000_000:
        return int(value)
    wrong(f"{what} is not a whole number from {least}")
    return least


def _status(value: str, wrong: Wrong) -> int:
    status = _whole("status", value, 200, wrong)
    if status > 599:
        wrong("status is above 599")
    return status


def _seconds(value: str, may_be_past: bool, wrong: Wrong) -> float:
    number = value.removeprefix("-") if may_be_past else value
    if re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,3})?", number):
        return float(value)
    wrong("seconds is not a number of seconds")
    return 0.0


def _place(value: str, name: str, wrong: Wrong) -> str:
    if value not in _PLACES:
        wrong(f"at is none of {', '.join(_PLACES)}")
    if value == "notice" and name not in _FITS_NOTICE:
        wrong(f"at=notice goes with {', '.join(sorted(_FITS_NOTICE))} only")
    return value


def _media_type(value: str, wrong: Wrong) -> str:
    if not re.fullmatch(r"[a-z]{1,20}/[a-z0-9.+-]{1,60}", value):
        wrong("type is no media type")
    return value


def _yes(value: str, wrong: Wrong) -> bool:
    if value not in ("yes", "no"):
        wrong("stored is not yes or no")
    return value == "yes"


@dataclass(slots=True)
class _Armed:
    """A fault that waits: its id, the requests it has seen since it was set, and those it has hit."""

    id: int
    fault: PlannedFault
    seen: int = 0
    hits: int = 0

    @property
    def is_due(self) -> bool:
        """Whether the request just seen is one of its own."""
        fault, first = self.fault, self.fault.on or self.fault.every
        return self.seen >= first and (not fault.every or (self.seen - first) % fault.every == 0)

    @property
    def is_spent(self) -> bool:
        return 0 < self.fault.count <= self.hits


class FaultPlan:
    """Which fault hits which request. Faults that are not placed wait their turn, one after the other."""

    def __init__(self, faults: Sequence[PlannedFault] = ()) -> None:
        self._lock = threading.Lock()
        self._last = 0
        self._armed: list[_Armed] = []
        self.add(faults)

    def add(self, faults: Sequence[PlannedFault]) -> list[int]:
        """Set more faults, behind those that wait; their ids."""
        with self._lock:
            ids = list(range(self._last + 1, self._last + 1 + len(faults)))
            self._armed += [_Armed(number, fault) for number, fault in zip(ids, faults, strict=True)]
            self._last += len(faults)
            return ids

    def next(self, at: str = "submit") -> PlannedFault | None:
        """Count one request of a kind and answer the fault that hits it, if any."""
        with self._lock:
            mine = [one for one in self._armed if one.fault.at == at or (one.fault.at == "any" and at not in _APART)]
            for one in mine:
                one.seen += 1
            placed = [one for one in mine if one.fault.is_placed and one.is_due]
            hit = next(iter(placed or [one for one in mine if not one.fault.is_placed]), None)
            if hit is None:
                return None
            hit.hits += 1
            if hit.is_spent:
                self._armed.remove(hit)
            return hit.fault

    def waiting(self) -> list[tuple[int, PlannedFault, int]]:
        """Every fault that is not spent: its id, what it is, and how often it has hit."""
        with self._lock:
            return [(one.id, one.fault, one.hits) for one in self._armed]

    def remove(self, fault_id: int | None = None) -> int:
        """Take one fault away, or all; how many there were."""
        with self._lock:
            before = len(self._armed)
            self._armed = [one for one in self._armed if fault_id not in (None, one.id)]
            return before - len(self._armed)
