"""When a visit's claim may be made: the site's, the feed's or the payer's rule, and the bill hold after it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta

from fhir_coder.charts import is_open
from fhir_coder.model import BillingRule, Chart

ON_REQUEST = "request"
"""The rule that a person asks for each claim."""


@dataclass(frozen=True, slots=True)
class Wait:
    """What a visit's claim waits for, and until when where only time is missing."""

    text: str
    until: datetime | None = None


def _is_discharged(chart: Chart) -> bool:
    return bool(chart.visit and (chart.visit.end or chart.visit.status == "finished"))


_RULES: Mapping[str, tuple[Callable[[Chart], bool], str]] = {
    "default": (
        lambda chart: not is_open(chart),
        "the visit is not over: no discharge, finished status or charge has come",
    ),
    "charge": (lambda chart: bool(chart.charges), "no charge has come: the visit is billed when one comes"),
    "discharge": (_is_discharged, "no discharge has come: the visit is billed after it"),
    "account": (
        lambda chart: bool(chart.visit and chart.visit.account_message),
        "no account message (BAR P01 or P05) has come: the visit is billed after it",
    ),
    "finished": (
        lambda chart: bool(chart.visit and chart.visit.status == "finished"),
        "the visit's status is not finished: it is billed after that",
    ),
}


def wait_of(chart: Chart, rule: BillingRule, now: datetime, is_requested: bool) -> Wait | None:
    """What the claim of a visit still waits for, None where it may go.

    A person's request stands in for the rule `request`, and ends a bill hold; any other rule must be met besides.
    """
    if rule.when == ON_REQUEST:
        return None if is_requested else Wait("a person asks for it: fhir-coder claims bill")
    is_met, text = _RULES[rule.when]
    if not is_met(chart):
        return Wait(text)
    until = _hold_ends(chart, rule.hold_days)
    if is_requested or until is None or now >= until:
        return None
    return Wait(f"the bill hold ends on {until:%Y-%m-%d %H:%M} UTC", until)


def _hold_ends(chart: Chart, days: int) -> datetime | None:
    """So many times 24 hours after the discharge, else after the end (UTC) of the day of the last service."""
    end = chart.visit.end.instant if chart.visit and chart.visit.end else None
    if end is None and chart.service_date:
        end = datetime.combine(chart.service_date + timedelta(days=1), time(), UTC)
    return end.astimezone(UTC) + timedelta(days=days) if end and days else None
