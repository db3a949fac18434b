"""All settings together."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import LiteralString, Protocol, TypeVar
from urllib.parse import urlsplit

import orjson
from pydantic import PrivateAttr, field_validator, model_validator
from pydantic_core import PydanticCustomError

from fhir_coder.errors import Fault, SettingsError, UsageError
from fhir_coder.settings.billing import BillingSettings
from fhir_coder.settings.feeds import Feed, MllpFeed
from fhir_coder.settings.lines import Key, line_of, path_of
from fhir_coder.settings.payers import PayerSettings
from fhir_coder.settings.section import Section
from fhir_coder.settings.service import HttpSettings, LogSettings, StoreSettings, TableSettings, WorkerSettings
from fhir_coder.settings.site import SiteSettings
from fhir_coder.settings.worklist import WorklistSettings
from fhir_coder.shipped import shipped

AnySection = TypeVar("AnySection", bound=Section)


PLACES = "places"
"""In an error's context: the keys of each setting it is about, where its location does not say them."""


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
    worklist: WorklistSettings = WorklistSettings()
    log: LogSettings = LogSettings()
    feeds: tuple[Feed, ...] = ()
    payers: tuple[PayerSettings, ...] = ()
    _file: Path | None = PrivateAttr(default=None)

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
            places = [["billing", "feeds", name] for name in sorted(unknown)]
            raise PydanticCustomError("no_feed", "no feed of the settings has this name", {PLACES: places})
        return self

    @model_validator(mode="after")
    def _payers_name_edits(self) -> Settings:
        named: list[list[Key]] = [["payers", i, "edits", e] for i, payer in enumerate(self.payers) for e in payer.edits]
        if named:
            # Loaded only where a payer judges edits otherwise: the edits know the code sets.
            from fhir_coder.claims.model_check import MODEL_EDIT  # noqa: PLC0415 - as said above
            from fhir_coder.edits import RESOLVES_ITSELF, catalogue  # noqa: PLC0415 - as said above

            ids = {edit.id for edit in catalogue()} | {MODEL_EDIT}
            _refuse("no_edit", "there is no such edit (fhir-coder edits list)", [p for p in named if p[-1] not in ids])
            text = "says when a claim is made and is always on: see when, hold_days, secondary_when_paid_in_full"
            _refuse("fixed_edit", text, [p for p in named if p[-1] in RESOLVES_ITSELF])
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

    def names(self) -> dict[str, list[str]]:
        """The names of payers and feeds, as rows of tables ask for them; `none` is the payer of a visit without one."""
        payers = [*(one.name for one in self.payers), "none"] if self.payers else []
        return {"payer": payers, "feed": [one.name for one in self.feeds]}

    def payer(self, name: str) -> PayerSettings:
        """A payer by its name. Raises UsageError where there is none."""
        found = next((payer for payer in self.payers if payer.name == name), None)
        if found is None:
            names = ", ".join(payer.name for payer in self.payers) or "none"
            raise UsageError(f"the settings have no payer {name}: there is {names}")
        return found

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

    def of_file(self, file: Path) -> Settings:
        """The settings, knowing the file they were read from: faults found later name it and its line."""
        known = self.model_copy()
        known._file = file
        return known

    @property
    def file(self) -> Path | None:
        """The file they were read from, None where they are the example site's."""
        return self._file

    def to_line(self) -> bytes:
        """One line of JSON for another process; `from_line` reads it back, with the file they were read from."""
        return orjson.dumps([str(self._file) if self._file else None, self.model_dump(mode="json", by_alias=True)])

    @classmethod
    def from_line(cls, line: bytes) -> Settings:
        """The settings of another process."""
        file, said = orjson.loads(line)
        settings = cls.model_validate_json(orjson.dumps(said))
        return settings.of_file(Path(file)) if file else settings

    def fault(self, keys: Sequence[Key], text: str) -> Fault:
        """A fault of a setting found only when it is used: `keys` are `("feeds", 0, "port")`."""
        named = getattr(self, str(keys[0]), ())[keys[1]].name if len(keys) > 1 and isinstance(keys[1], int) else ""
        where = f"{path_of(keys)} ({named})" if named else path_of(keys)
        return Fault(self._title(), line_of(self._text(), keys), where, text)

    def refused(self, faults: list[Fault], consequence: str = "") -> SettingsError:
        """What is raised for faults that show only when the settings are used; the consequence is told first."""
        return SettingsError(f"{consequence}{self._title()}", faults)

    def _title(self) -> str:
        return str(self._file) if self._file else "the set of settings"

    def _text(self) -> str:
        try:
            return self._file.read_text(encoding="utf-8") if self._file else ""
        except (OSError, UnicodeDecodeError):  # changed since it was read
            return ""

    def rebased(self, folder: Path) -> Settings:
        """The settings with every relative path taken from a folder."""
        store = StoreSettings(url=f"sqlite:///{folder / self.store_path()}")
        moved = {"tables": _rebased(self.tables, folder), "store": store, "http": _rebased(self.http, folder)}
        moved_feeds = tuple(_rebased_feed(feed, folder) for feed in self.feeds)
        moved_payers = tuple(_rebased(payer, folder) for payer in self.payers)
        return self.model_copy(update=moved | {"feeds": moved_feeds, "payers": moved_payers})


def _rebased_feed(feed: Feed, folder: Path) -> Feed:
    return _rebased(feed.model_copy(update={"rules": feed.rules.rebased(folder)}), folder)


def _rebased(section: AnySection, folder: Path) -> AnySection:
    """A section with every relative path in it taken from a folder."""
    return section.model_copy(update={name: folder / value for name, value in section if isinstance(value, Path)})


def _refuse(kind: LiteralString, text: LiteralString, places: list[list[Key]]) -> None:
    if places:
        raise PydanticCustomError(kind, text, {PLACES: places})
