"""Settings of people's work: how urgent items are, how long one is lent, what a day's work is."""

from __future__ import annotations

from decimal import Decimal

from pydantic import Field

from fhir_coder import model
from fhir_coder.settings.section import Section


class WorklistSettings(Section):
    """How the worklist orders items and lends them to people."""

    days: int = Field(default=5, ge=0, le=366)
    filing_days: int = Field(default=14, ge=0, le=366)
    payer_days: int = Field(default=3, ge=0, le=366)
    amount_per_day: Decimal = Field(default=Decimal(5000), gt=0)
    most_amount_days: int = Field(default=5, ge=0, le=366)
    inpatient_days: int = Field(default=1, ge=0, le=366)
    emergency_days: int = Field(default=3, ge=0, le=366)
    escalated_days: int = Field(default=30, ge=0, le=366)
    lease_minutes: int = Field(default=30, ge=1, le=1440)
    skip_hours: int = Field(default=8, ge=0, le=8760)
    specialties: dict[str, str] = Field(default_factory=dict)
    target_charts: int = Field(default=0, ge=0, le=100_000)

    def value(self) -> model.WorkRules:
        """The rules as the ledger keeps them."""
        return model.WorkRules(**self.model_dump(exclude={"target_charts"}))
