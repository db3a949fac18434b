"""Settings of the payers."""

from __future__ import annotations

import os
from typing import Literal

from pydantic import Field

from fhir_coder import model
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

    def value(self) -> model.Payer:
        """The payer as the claims room knows it."""
        listed = frozenset(self.prior_auth_codes) if self.prior_auth_codes is not None else None
        return model.Payer(self.name, self.title, self.url, self.plans, self.profile, self.identifier, listed)

    def is_token_missing(self) -> bool:
        """Whether `token_env` names an environment variable that is not set."""
        return bool(self.token_env) and not os.environ.get(self.token_env)

    def token(self) -> str | None:
        """The bearer token from the environment variable `token_env`, None where none is configured."""
        return os.environ.get(self.token_env) if self.token_env else None
