"""Settings of the payers."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from fhir_coder import model
from fhir_coder.settings.access import AccessSettings
from fhir_coder.settings.billing import KindName, When
from fhir_coder.settings.section import Section
from fhir_coder.settings.tokens import read_token

_X12_CODE = r"^[A-Z0-9]{1,3}$"

EditSeverity = Literal["reject", "warn", "info", "off"]


class PasSettings(Section):
    """What the preauthorizations of a payer of profile davinci-pas say. Codes are those of the X12 278."""

    contact_phone: str = Field(min_length=1)
    contact_name: str = ""
    request_type: str = Field(default="HS", pattern=_X12_CODE)
    service_type: str = Field(default="", pattern=rf"^$|{_X12_CODE}")
    service_types: dict[str, Annotated[str, Field(pattern=_X12_CODE)]] = Field(default_factory=dict)
    level_of_service: str = Field(default="", pattern=rf"^$|{_X12_CODE}")
    identifier_system: str = Field(default="urn:fhir-coder:identifier", pattern=r"^[a-z][a-z0-9+.-]*:\S+$")
    sender: str = ""
    receiver: str = ""


class PayerSettings(AccessSettings):
    """A payer and how its claims are delivered. Times are seconds."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$")
    title: str = ""
    plans: tuple[str, ...] = ()
    profile: Literal["base", "davinci-pas"] = "base"
    identifier: str = ""
    submit: Literal["create", "operation"] = "create"
    envelope: Literal["claim", "collection", "transaction", "references", "batch"] = "claim"
    batch_size: int = Field(default=20, ge=2, le=100)
    pas: PasSettings | None = None
    scope: str = "system/Claim.write system/Claim.read system/ClaimResponse.read"
    read_timeout: float = Field(default=30.0, gt=0)
    retry_base: float = Field(default=2.0, gt=0)
    retry_cap: float = Field(default=600.0, gt=0)
    max_tries: int = Field(default=50, ge=1)
    give_up_hours: float = Field(default=72.0, gt=0)
    unknown: Literal["look-up", "repeat", "person"] = "look-up"
    concurrency: int = Field(default=4, ge=1, le=64)
    per_second: float | None = Field(default=None, gt=0)
    breaker_failures: int = Field(default=5, ge=1)
    slow_seconds: float = Field(default=15.0, gt=0)
    probe_seconds: float = Field(default=1.0, gt=0)
    probe_cap: float = Field(default=60.0, gt=0)
    poll_base: float = Field(default=1.0, gt=0)
    poll_cap: float = Field(default=3600.0, gt=0)
    decide_days: float = Field(default=30.0, gt=0)
    inquire_days: float | None = Field(default=None, gt=0)
    notify_token_env: str = ""
    notify_token_file: Path | None = None
    prior_auth_codes: tuple[str, ...] | None = None
    when: When | None = None
    hold_days: int | None = Field(default=None, ge=0, le=366)
    corrections: Literal["replace", "void-and-new", "person"] = "replace"
    voids: Literal["claim", "person"] = "claim"
    late_charges: Literal["replace", "late-charge"] = "replace"
    timely_filing_days: int | None = Field(default=None, ge=1)
    secondary_when_paid_in_full: bool = False
    use: Literal["claim", "preauthorization", "predetermination"] = "claim"
    consolidate_lines: bool = False
    notes: bool = False
    max_lines: dict[KindName, Annotated[int, Field(ge=1)]] = Field(default_factory=dict)
    max_diagnoses: dict[KindName, Annotated[int, Field(ge=model.MAX_POINTERS)]] = Field(default_factory=dict)
    edits: dict[str, EditSeverity] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _profile_has_what_it_needs(self) -> Self:
        if self.profile == "davinci-pas":
            if self.pas is None:
                raise ValueError("profile davinci-pas needs a table [payers.pas] below the entry")
            if self.use != "preauthorization":
                raise ValueError('profile davinci-pas asks ahead of the service: set use = "preauthorization"')
            if self.unknown == "repeat":
                raise ValueError('a repeat would be a second request by davinci-pas: unknown = "repeat" cannot be set')
        elif self.pas is not None:
            raise ValueError('[payers.pas] is read only with profile = "davinci-pas"')
        if self.envelope != "claim" and self.profile != "base":
            raise ValueError(f"profile {self.profile} has an envelope of its own: leave `envelope` out")
        if self.envelope == "transaction" and self.submit == "operation":
            raise ValueError("a transaction creates the claim: it cannot be sent by $submit")
        return self

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
            use=self.use,
            consolidate_lines=self.consolidate_lines,
            limits=self._limits(),
            when=self.when or "",
            hold_days=self.hold_days,
            severities={edit: None if said == "off" else model.Severity(said) for edit, said in self.edits.items()},
            submit=self.submit,
            envelope=self.envelope,
            batch_size=self.batch_size,
            pas=model.PasRules(**self.pas.model_dump()) if self.pas else None,
            notes=self.notes,
        )

    def _limits(self) -> dict[str, model.Limits]:
        """The payer's own limits by kind of claim, those of the standard where it names only one of the two."""
        named = {kind: model.STANDARD_LIMITS[kind] for kind in (*self.max_lines, *self.max_diagnoses)}
        return {
            kind: model.Limits(self.max_lines.get(kind, usual.lines), self.max_diagnoses.get(kind, usual.diagnoses))
            for kind, usual in named.items()
        }

    def notify_token(self) -> str:
        """The token the payer shows where it calls back, empty where it may not. Raises ValueError with the reason."""
        return read_token(self.notify_token_env, self.notify_token_file)

    def notify_faults(self) -> list[tuple[str, str]]:
        """The setting whose token cannot be had, and why."""
        try:
            self.notify_token()
        except ValueError as error:
            return [("notify_token_env" if self.notify_token_env else "notify_token_file", str(error))]
        return []
