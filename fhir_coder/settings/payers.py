"""Settings of the payers."""

from __future__ import annotations

import os
from typing import Literal

from pydantic import Field

from fhir_coder import model
from fhir_coder.settings.billing import When
from fhir_coder.settings.section import Section


class PayerSettings(Section):
    """A payer and how its claims are delivered. Times are seconds."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$")
    title: str = ""
    url: str = Field(pattern=r"^https?://")
    plans: tuple[str, ...] = ()
    profile: Literal["base"] = "base"
    identifier: str = ""
    submit: Literal["create", "operation"] = "create"
    token_env: str = ""
    connect_timeout: float = Field(default=5.0, gt=0)
    read_timeout: float = Field(default=30.0, gt=0)
    retry_base: float = Field(default=2.0, gt=0)
    retry_cap: float = Field(default=600.0, gt=0)
    max_tries: int = Field(default=50, ge=1)
    poll_base: float = Field(default=1.0, gt=0)
    prior_auth_codes: tuple[str, ...] | None = None
    when: When | None = None
    hold_days: int | None = Field(default=None, ge=0, le=366)
    corrections: Literal["replace", "void-and-new", "person"] = "replace"
    voids: Literal["claim", "person"] = "claim"
    late_charges: Literal["replace", "late-charge"] = "replace"
    timely_filing_days: int | None = Field(default=None, ge=1)
    secondary_when_paid_in_full: bool = False

    def value(self) -> model.Payer:
        """The payer as the claims room knows it."""
        listed = frozenset(self.prior_auth_codes) if self.prior_auth_codes is not None else None
        return model.Payer(
            self.name,
            self.title,
            self.url,
            self.plans,
            self.profile,
            self.identifier,
            listed,
            corrections=self.corrections,
            voids=self.voids,
            late_charges=self.late_charges,
            timely_filing_days=self.timely_filing_days,
            secondary_when_paid_in_full=self.secondary_when_paid_in_full,
            when=self.when or "",
            hold_days=self.hold_days,
        )

    def is_token_missing(self) -> bool:
        """Whether `token_env` names an environment variable that is not set."""
        return bool(self.token_env) and not os.environ.get(self.token_env)

    def token(self) -> str | None:
        """The bearer token from the environment variable `token_env`, None where none is configured."""
        return os.environ.get(self.token_env) if self.token_env else None
