"""Faults the sandbox makes on demand: `--fault SPEC`, in the order given, on claim submissions only."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from fhir_coder.errors import Fault, SettingsError

FAULT_GRAMMAR = """\
NAME[:COUNT][:key=value...]    COUNT is how many submissions it hits, 1 where not said

  400 ... 599        answers with this status; 429:2:retry-after=5 asks to wait
  drop-before-read   closes the connection without taking the claim
  drop-after-read    takes the claim, then closes the connection without an answer
  half-body          takes the claim, then closes the connection in the middle of the answer
  html               answers with a web page; html:1:status=502
  slow               takes the claim and answers late; slow:1:seconds=3

  on=N               hits from the N-th claim submission on (from 1, repeats counted), else from the next one
  stored=yes         a status or html fault takes the claim before it answers
  retry-after=N      seconds, on 429 and 503
"""

_KEYS: Mapping[str, frozenset[str]] = {
    "drop-before-read": frozenset({"on"}),
    "drop-after-read": frozenset({"on"}),
    "half-body": frozenset({"on"}),
    "html": frozenset({"on", "status", "stored"}),
    "slow": frozenset({"on", "seconds"}),
}
_STATUS_KEYS = frozenset({"on", "stored", "retry-after"})
_TAKES_CLAIM = frozenset({"drop-after-read", "half-body", "slow"})


@dataclass(frozen=True, slots=True)
class PlannedFault:
    """One fault to make. `name` is that of the grammar, `http-status` for a status; `on` 0 is the next submission."""

    name: str
    count: int = 1
    on: int = 0
    status: int = 200
    seconds: float = 1.0
    retry_after: int | None = None
    takes_claim: bool = False


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
    return PlannedFault(
        name="http-status" if is_status else name,
        count=_whole("the count", count, 1, wrong),
        on=_whole("on", values["on"], 1, wrong) if "on" in values else 0,
        status=int(name) if is_status else _status(values.get("status", "200"), wrong),
        seconds=_seconds(values.get("seconds", "1"), wrong),
        retry_after=_whole("retry-after", values["retry-after"], 0, wrong) if "retry-after" in values else None,
        takes_claim=name in _TAKES_CLAIM or _yes(values.get("stored", "no"), wrong),
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


def _seconds(value: str, wrong: Wrong) -> float:
    if re.fullmatch(r"[0-9]{1,4}(\.[0-9]{1,3})?", value):
        return float(value)
    wrong("seconds is not a number from 0 to 9999")
    return 0.0


def _yes(value: str, wrong: Wrong) -> bool:
    if value not in ("yes", "no"):
        wrong("stored is not yes or no")
    return value == "yes"


class FaultPlan:
    """Which fault hits which submission. Faults without `on` wait their turn, one after the other."""

    def __init__(self, faults: Sequence[PlannedFault]) -> None:
        self._lock = threading.Lock()
        self._submissions = 0
        self._placed = [f for f in faults if f.on]
        self._waiting = [f for f in faults if not f.on for _ in range(f.count)]

    def next(self) -> PlannedFault | None:
        """Count one claim submission and answer the fault that hits it, if any."""
        with self._lock:
            self._submissions += 1
            for fault in self._placed:
                if fault.on <= self._submissions < fault.on + fault.count:
                    return fault
            return self._waiting.pop(0) if self._waiting else None
