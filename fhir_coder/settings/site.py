"""Settings of the billing provider."""

from __future__ import annotations

from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, field_validator

from fhir_coder import model
from fhir_coder.settings.billing import KindName
from fhir_coder.settings.section import Section


class AddressSettings(Section):
    """A postal address."""

    lines: tuple[str, ...] = ()
    city: str = ""
    state: str = ""
    postal_code: str = ""
    country: str = ""


class SiteSettings(Section):
    """Who bills, and the habits of its claims."""

    name: str = ""
    npi: str = ""
    tax_id: str = ""
    taxonomy: str = ""
    address: AddressSettings | None = None
    time_zone: str = "UTC"
    currency: str = Field(default="USD", pattern=r"^[A-Z]{3}$")
    claim_identifier_system: str = "urn:fhir-coder:claim"
    claim_types: dict[str, KindName] = Field(default_factory=dict)
    place_of_service: dict[str, str] = Field(default_factory=dict)
    type_of_bill: dict[str, str] = Field(default_factory=dict)

    @field_validator("time_zone")
    @classmethod
    def _zone_is_known(cls, zone: str) -> str:
        try:
            ZoneInfo(zone)
        except (ZoneInfoNotFoundError, ValueError):
            raise ValueError("is not a time zone of the IANA database, such as America/Chicago") from None
        return zone

    def value(self) -> model.Site:
        """The site as the claims room knows it."""
        address = model.Address(**self.address.model_dump()) if self.address else None
        known = self.model_dump(exclude={"address", "time_zone"})
        return model.Site(address=address, **known)
