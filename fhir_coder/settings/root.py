"""All settings together."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol, TypeVar
from urllib.parse import urlsplit

from pydantic import field_validator, model_validator

from fhir_coder.settings.billing import BillingSettings
from fhir_coder.settings.feeds import Feed, MllpFeed
from fhir_coder.settings.payers import PayerSettings
from fhir_coder.settings.section import Section
from fhir_coder.settings.service import HttpSettings, LogSettings, StoreSettings, TableSettings, WorkerSettings
from fhir_coder.settings.site import SiteSettings
from fhir_coder.shipped import shipped

AnySection = TypeVar("AnySection", bound=Section)


class _Named(Protocol):
    name: str


class Settings(Section):
    """Everything a user can set."""

    site: SiteSettings = SiteSettings()
    tables: TableSettings = TableSettings()
    store: StoreSettings = StoreSettings()
    http: HttpSettings = HttpSettings()
    worker: WorkerSettings = WorkerSettings()
    billing: BillingSettings = BillingSettings()
    log: LogSettings = LogSettings()
    feeds: tuple[Feed, ...] = ()
    payers: tuple[PayerSettings, ...] = ()

    @field_validator("feeds", "payers")
    @classmethod
    def _names_are_unique(cls, listed: tuple[_Named, ...]) -> tuple[_Named, ...]:
        names = [one.name for one in listed]
        doubled = {n for n in names if names.count(n) > 1}
        if doubled:
            raise ValueError(f"more than one has the name {', '.join(sorted(doubled))}")
        return listed

    @model_validator(mode="after")
    def _billing_names_feeds(self) -> Settings:
        unknown = set(self.billing.feeds) - {feed.name for feed in self.feeds}
        if unknown:
            raise ValueError(f"billing.feeds names no feed of the settings: {', '.join(sorted(unknown))}")
        return self

    def table_folders(self) -> tuple[Path, ...]:
        """The folders of mapping tables, the layer that wins first."""
        site = (self.tables.dir,) if self.tables.dir else ()
        return (*site, shipped("mappings")) if self.tables.shipped else site

    def codeset_folders(self) -> tuple[Path, ...]:
        """The folders of code lists, the one that wins first."""
        site = (self.tables.dir / "codesets",) if self.tables.dir else ()
        return (*site, shipped("mappings") / "codesets")

    def store_path(self) -> Path:
        """The ledger's file."""
        return Path(self.store.url.removeprefix("sqlite:///"))

    def mllp_url(self) -> str:
        """Where `send` sends to: the first MLLP feed."""
        feed = next((f for f in self.feeds if isinstance(f, MllpFeed)), None)
        if feed is None:
            return ""
        return f"{'mllps' if feed.tls_cert else 'mllp'}://{feed.host}:{feed.port}"

    def local_payer_port(self) -> int:
        """The port of the first payer that is on this machine: where the sandbox payer is expected."""
        urls = [urlsplit(p.url) for p in self.payers]
        return next((u.port for u in urls if u.port and u.hostname in ("127.0.0.1", "localhost", "::1")), 8090)

    def rebased(self, folder: Path) -> Settings:
        """The settings with every relative path taken from a folder."""
        store = StoreSettings(url=f"sqlite:///{folder / self.store_path()}")
        moved = {"tables": _rebased(self.tables, folder), "store": store, "http": _rebased(self.http, folder)}
        return self.model_copy(update=moved | {"feeds": tuple(_rebased(f, folder) for f in self.feeds)})


def _rebased(section: AnySection, folder: Path) -> AnySection:
    """A section with every relative path in it taken from a folder."""
    return section.model_copy(update={name: folder / value for name, value in section if isinstance(value, Path)})
