"""Settings of when a visit is billed, and into which claims it is split."""

from __future__ import annotations

import re
from fnmatch import translate
from typing import Literal

from pydantic import Field, model_validator

from fhir_coder import model
from fhir_coder.settings.section import Section

When = Literal["default", "charge", "discharge", "account", "finished", "request"]

KindName = Literal["professional", "institutional"]
"""The kinds of claim: those of `claims.kinds`."""


class FeedBillingSettings(Section):
    """When the visits of one feed are billed; what is not said is as for the site."""

    when: When | None = None
    hold_days: int | None = Field(default=None, ge=0, le=366)


class SplitSettings(Section):
    """Which charges go to the claim of a kind. A charge is named by its department or by its code."""

    kind: KindName
    departments: tuple[str, ...] = ()
    charges: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _names_something(self) -> SplitSettings:
        if not (self.departments or self.charges):
            raise ValueError("names neither departments nor charges")
        return self

    def value(self) -> model.SplitRule:
        """The rule as the claims room knows it."""
        patterns = tuple(re.compile(translate(pattern)) for pattern in self.charges)
        return model.SplitRule(self.kind, frozenset(self.departments), patterns)


class BillingSettings(Section):
    """When a visit is billed, and its split into claims."""

    when: When = "default"
    hold_days: int = Field(default=0, ge=0, le=366)
    feeds: dict[str, FeedBillingSettings] = Field(default_factory=dict)
    split: tuple[SplitSettings, ...] = ()

    def value(self) -> model.Billing:
        """The rules as the pipeline knows them."""
        rule = model.BillingRule(self.when, self.hold_days)
        feeds = {name: self._of_feed(feed) for name, feed in self.feeds.items()}
        return model.Billing(rule, feeds, tuple(s.value() for s in self.split))

    def _of_feed(self, feed: FeedBillingSettings) -> model.BillingRule:
        hold_days = self.hold_days if feed.hold_days is None else feed.hold_days
        return model.BillingRule(feed.when or self.when, hold_days)
