"""Settings from a TOML file: read once, checked whole, every fault listed with its line."""

from __future__ import annotations

import json
import os
import re
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal, Protocol
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from fhir_coder import model
from fhir_coder.errors import Fault, SettingsError
from fhir_coder.shipped import EXAMPLE_SETTINGS, EXAMPLE_TABLES, shipped

DEFAULT_FILE = "fhir-coder.toml"


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class AddressSettings(_Section):
    """A postal address."""

    lines: tuple[str, ...] = ()
    city: str = ""
    state: str = ""
    postal_code: str = ""
    country: str = ""


class SiteSettings(_Section):
    """Who bills, and the habits of its claims."""

    name: str = ""
    npi: str = ""
    tax_id: str = ""
    taxonomy: str = ""
    address: AddressSettings | None = None
    time_zone: str = "UTC"
    currency: str = Field(default="USD", pattern=r"^[A-Z]{3}$")
    claim_identifier_system: str = "urn:fhir-coder:claim"
    claim_types: dict[str, Literal["professional", "institutional"]] = {}
    place_of_service: dict[str, str] = {}
    type_of_bill: dict[str, str] = {}

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


class TableSettings(_Section):
    """Which mapping tables are used."""

    dir: Path | None = None
    shipped: bool = True


class StoreSettings(_Section):
    """Where the ledger is."""

    url: str = "sqlite:///fhir-coder.db"

    @field_validator("url")
    @classmethod
    def _is_sqlite(cls, url: str) -> str:
        if not url.removeprefix("sqlite:///") or not url.startswith("sqlite:///"):
            raise ValueError("must be sqlite:///FILE")
        return url


class HttpSettings(_Section):
    """Where the HTTP server listens."""

    host: str = "127.0.0.1"
    port: int = Field(default=8080, ge=0, le=65535)


class WorkerSettings(_Section):
    """How many claims and charts are worked on at once, and how long a visit must be quiet before its claim is made."""

    threads: int = Field(default=4, ge=1, le=64)
    quiet_seconds: float = Field(default=0.5, ge=0)


class LogSettings(_Section):
    """How the log is written (to standard error)."""

    format: Literal["console", "json"] = "console"
    level: Literal["debug", "info", "warning", "error"] = "info"


class MllpFeed(_Section):
    """An HL7 v2 listener (MLLP)."""

    name: str
    kind: Literal["mllp"]
    host: str = "127.0.0.1"
    port: int = Field(ge=0, le=65535)
    max_frame_bytes: int = Field(default=16 * 1024 * 1024, ge=1024)
    charset: str = "utf-8"
    namespace: str = ""


class FolderFeed(_Section):
    """A watched folder."""

    name: str
    kind: Literal["folder"]
    path: Path
    charset: str = "utf-8"
    namespace: str = ""


class HttpFeed(_Section):
    """POST /hl7v2 and POST /fhir."""

    name: str
    kind: Literal["http"]
    charset: str = "utf-8"
    namespace: str = ""


class _Named(Protocol):
    name: str


Feed = Annotated[MllpFeed | FolderFeed | HttpFeed, Field(discriminator="kind")]


class PayerSettings(_Section):
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

    def token(self) -> str | None:
        """The bearer token from the environment variable `token_env`, None where none is configured."""
        return os.environ.get(self.token_env) if self.token_env else None


class Settings(_Section):
    """Everything a user can set."""

    site: SiteSettings = SiteSettings()
    tables: TableSettings = TableSettings()
    store: StoreSettings = StoreSettings()
    http: HttpSettings = HttpSettings()
    worker: WorkerSettings = WorkerSettings()
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

    def table_folders(self) -> tuple[Path, ...]:
        """The folders of mapping tables, the layer that wins first."""
        site = (self.tables.dir,) if self.tables.dir else ()
        return (*site, shipped("mappings")) if self.tables.shipped else site

    def store_path(self) -> Path:
        """The ledger's file."""
        return Path(self.store.url.removeprefix("sqlite:///"))

    def mllp_url(self) -> str:
        """Where `send` sends to: the first MLLP feed."""
        feed = next((f for f in self.feeds if isinstance(f, MllpFeed)), None)
        return f"mllp://{feed.host}:{feed.port}" if feed else ""

    def local_payer_port(self) -> int:
        """The port of the first payer that is on this machine: where the sandbox payer is expected."""
        urls = [urlsplit(p.url) for p in self.payers]
        return next((u.port for u in urls if u.port and u.hostname in ("127.0.0.1", "localhost", "::1")), 8090)

    def rebased(self, folder: Path) -> Settings:
        """The settings with every relative path taken from a folder."""
        tables = self.tables.model_copy(update={"dir": folder / self.tables.dir if self.tables.dir else None})
        store = StoreSettings(url=f"sqlite:///{folder / self.store_path()}")
        feeds = [f.model_copy(update={"path": folder / f.path}) if isinstance(f, FolderFeed) else f for f in self.feeds]
        return self.model_copy(update={"tables": tables, "store": store, "feeds": tuple(feeds)})


def load_settings(path: Path | None = None) -> Settings:
    """Settings from a file, else from `fhir-coder.toml` of this folder, else those of the example site.

    Raises SettingsError with all faults, each with its line.
    """
    if path is None and Path(DEFAULT_FILE).is_file():
        path = Path(DEFAULT_FILE)
    if path is None:
        return example_settings()
    return read_settings(path).rebased(path.resolve().parent)


def example_settings() -> Settings:
    """The built-in defaults: the example site with its shipped tables, its ledger in the current folder."""
    example = read_settings(EXAMPLE_SETTINGS).rebased(Path.cwd())
    tables = TableSettings(dir=shipped("mappings") / EXAMPLE_TABLES)
    return example.model_copy(update={"tables": tables})


def read_settings(path: Path) -> Settings:
    """Settings as written in one file, paths as they stand there."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise SettingsError(str(path), [Fault(str(path), 0, "", error.strerror or "cannot be read")]) from None
    except UnicodeDecodeError:
        raise SettingsError(str(path), [Fault(str(path), 0, "", "is not UTF-8 text")]) from None
    try:
        return Settings.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        found = re.search(r"line (\d+)", str(error))
        raise SettingsError(str(path), [Fault(str(path), int(found[1]) if found else 0, "", str(error))]) from None
    except ValidationError as error:
        faults = [_fault(str(path), text, e["loc"], e["msg"]) for e in error.errors()]
        raise SettingsError(str(path), faults) from None


def _fault(file: str, text: str, loc: tuple[Any, ...], message: str) -> Fault:
    # pydantic puts the discriminator's value into the location of a feed: it is no key of the file.
    keys = [k for i, k in enumerate(loc) if not (i == 2 and loc[0] == "feeds" and k in ("mllp", "folder", "http"))]
    where = "".join(f"[{k}]" if isinstance(k, int) else f".{k}" for k in keys).lstrip(".")
    plain = _PLAIN_WORDS.get(message, message.removeprefix("Value error, "))
    return Fault(file, _line_of(text, keys), where, plain)


_PLAIN_WORDS = {
    "Extra inputs are not permitted": "there is no such setting (docs/reference/settings.md lists them)",
    "Field required": "is missing",
}


def _line_of(text: str, keys: list[Any]) -> int:
    """The line of a key, or of its section where the key is missing."""
    section = [str(k) for k in keys if not isinstance(k, int)]
    position = next((k for k in keys if isinstance(k, int)), 0)
    best, inside, seen = 0, len(section) == 1, -1
    for number, line in enumerate(text.splitlines(), start=1):
        header = re.match(r"\s*\[\[?([\w.-]+)\]", line)
        if header:
            name = header[1]
            seen += name == section[0] and line.lstrip().startswith("[[")
            inside = name == section[0] and (seen < 0 or seen == position)
            inside = inside or (len(section) > 2 and name == ".".join(section[:2]))
            best = number if inside else best
        elif inside and re.match(rf"\s*{re.escape(section[-1])}\s*=", line):
            return number
    return best


def to_toml(settings: Settings) -> str:
    """Settings as a TOML file that reads back to the same."""
    lines: list[str] = []
    _write_table(lines, "", settings.model_dump(mode="json", exclude_none=True))
    return "\n".join(lines) + "\n"


def _key(key: str) -> str:
    return key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else json.dumps(key, ensure_ascii=False)


def _write_table(lines: list[str], name: str, table: dict[str, Any]) -> None:
    tables = {k: v for k, v in table.items() if isinstance(v, dict)}
    arrays = {k: v for k, v in table.items() if isinstance(v, list) and v and isinstance(v[0], dict)}
    for key, value in table.items():
        if key not in tables and key not in arrays:
            # JSON's scalars and flat lists are TOML's too, but not its surrogate pairs.
            lines.append(f"{_key(key)} = {json.dumps(value, ensure_ascii=False)}")
    for key, value in tables.items():
        path = f"{name}.{key}".lstrip(".")
        lines += ["", f"[{path}]"]
        _write_table(lines, path, value)
    for key, entries in arrays.items():
        for entry in entries:
            lines += ["", f"[[{key}]]"]
            _write_table(lines, key, entry)
