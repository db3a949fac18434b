"""Settings: what a site writes in `fhir-coder.toml`, one module a kind of section."""

from __future__ import annotations

from fhir_coder.settings.billing import BillingSettings, FeedBillingSettings, SplitSettings
from fhir_coder.settings.feeds import Feed, FhirFeed, FolderFeed, HttpFeed, MllpFeed
from fhir_coder.settings.load import DEFAULT_FILE, example_settings, load_settings, read_settings
from fhir_coder.settings.payers import PasSettings, PayerSettings
from fhir_coder.settings.root import Settings
from fhir_coder.settings.rules import FeedRuleSettings
from fhir_coder.settings.service import HttpSettings, LogSettings, StoreSettings, TableSettings, WorkerSettings
from fhir_coder.settings.site import AddressSettings, SiteSettings
from fhir_coder.settings.toml import to_toml
from fhir_coder.settings.worklist import WorklistSettings

__all__ = [
    "DEFAULT_FILE",
    "AddressSettings",
    "BillingSettings",
    "Feed",
    "FeedBillingSettings",
    "FeedRuleSettings",
    "FhirFeed",
    "FolderFeed",
    "HttpFeed",
    "HttpSettings",
    "LogSettings",
    "MllpFeed",
    "PasSettings",
    "PayerSettings",
    "Settings",
    "SiteSettings",
    "SplitSettings",
    "StoreSettings",
    "TableSettings",
    "WorkerSettings",
    "WorklistSettings",
    "example_settings",
    "load_settings",
    "read_settings",
    "to_toml",
]
