"""Reading the header file (TOML) beside a mapping table or a code set, with every fault listed."""

from __future__ import annotations

import json
import re
import tomllib
from datetime import date, datetime
from pathlib import Path
from typing import Any

from fhir_coder.errors import Fault
from fhir_coder.model import SYSTEM_SHORT_NAMES, Kind
from fhir_coder.terminology.table import LAYERS, WHEN_UNKNOWN, Header

_KEYS = (
    "id",
    "title",
    "kind",
    "source_system",
    "target_system",
    "version",
    "publisher",
    "licence",
    "valid_from",
    "valid_to",
    "source",
    "note",
    "when_unknown",
    "equal_rows",
    "layer",
)
_REQUIRED = ("id", "title", "kind", "source_system", "version")
_URIS = frozenset(SYSTEM_SHORT_NAMES.values())
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_AT_LINE = re.compile(r"\s*\(at line (\d+).*")

UNKNOWN_TARGET_SYSTEM = f"unknown target system: write one of {', '.join(SYSTEM_SHORT_NAMES)}, or its URI"
"""What is said of a target system that is not among those of the program."""


def parse_date(text: str) -> date:
    """Read a calendar date written as 2026-01-31. Raises ValueError with the rule."""
    if not _DATE.fullmatch(text):
        raise ValueError("not a date: write it as 2026-01-31")
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ValueError("no such day in the calendar") from None


class TomlFile:
    """A TOML file's values, taken one by one; `faults` collects what is wrong with them."""

    def __init__(self, path: Path, body: bytes) -> None:
        self.file = str(path)
        self.faults: list[Fault] = []
        self._lines: list[str] = []
        self._values: dict[str, Any] = {}
        try:
            text = body.decode("utf-8-sig")
            self._lines = text.splitlines()
            self._values = tomllib.loads(text)
        except UnicodeDecodeError:
            self._fault(0, "", "not UTF-8")
        except tomllib.TOMLDecodeError as error:
            found = _AT_LINE.search(str(error))
            self._fault(int(found[1]) if found else 0, "", f"not TOML: {_AT_LINE.sub('', str(error))}")
        self.is_readable = not self.faults

    def fault(self, key: str, text: str) -> None:
        """Note a fault of one key, at its line where it has one."""
        named = re.compile(rf"\s*[\"']?{re.escape(key)}[\"']?\s*=")
        line = next((number for number, line in enumerate(self._lines, 1) if named.match(line)), 0)
        self._fault(line, key, text)

    def only(self, known: tuple[str, ...], required: tuple[str, ...]) -> None:
        """Note keys that are not known, and required ones that are not there."""
        for key in sorted(self._values.keys() - set(known)):
            self.fault(key, "unknown key")
        self.require(required)

    def require(self, required: tuple[str, ...]) -> None:
        """Note required keys that are not there."""
        for key in required:
            if self._values.get(key, "") in ("", []):
                self.fault(key, "missing")

    def text(self, key: str) -> str:
        """Take a text, empty where absent."""
        value = self._values.get(key, "")
        if isinstance(value, str):
            return value.strip()
        self.fault(key, "not a text: put it in quotes")
        return ""

    def texts(self, key: str) -> tuple[str, ...]:
        """Take a text or a list of texts."""
        value = self._values.get(key, "")
        if not isinstance(value, list):
            return (text,) if (text := self.text(key)) else ()
        if all(isinstance(item, str) and item.strip() for item in value):
            return tuple(item.strip() for item in value)
        self.fault(key, "not a list of texts")
        return ()

    def day(self, key: str) -> date | None:
        """Take a date, written as text or as a TOML date; None where absent."""
        value = self._values.get(key, "")
        if isinstance(value, date) and not isinstance(value, datetime):
            return value
        try:
            return parse_date(text) if (text := self.text(key)) else None
        except ValueError as error:
            self.fault(key, str(error))
            return None

    def _fault(self, line: int, where: str, text: str) -> None:
        self.faults.append(Fault(self.file, line, where, text))


def read_header(path: Path, body: bytes) -> tuple[Header | None, list[Fault]]:
    """Read a table's header file and list its faults; no header where not even its kind can be told."""
    toml = TomlFile(path, body)
    if not toml.is_readable:
        return None, toml.faults
    toml.only(_KEYS, _REQUIRED)
    kind = _kind(toml)
    if kind is None:
        return None, toml.faults
    header = Header(
        id=_id(toml),
        title=toml.text("title"),
        kind=kind,
        source_system=_source_system(toml, kind),
        target_systems=_target_systems(toml, kind),
        version=toml.text("version"),
        publisher=toml.text("publisher"),
        licence=toml.text("licence"),
        valid_from=toml.day("valid_from"),
        valid_to=toml.day("valid_to"),
        source=toml.text("source"),
        note=toml.text("note"),
        when_unknown=_one_of(toml, "when_unknown", WHEN_UNKNOWN),
        equal_rows=_one_of(toml, "equal_rows", ("ask",)),
        layer=_one_of(toml, "layer", LAYERS),
    )
    if header.valid_from and header.valid_to and header.valid_to < header.valid_from:
        toml.fault("valid_to", "valid_to is before valid_from")
    return header, toml.faults


def header_text(header: Header) -> str:
    """Write a header file that reads as this header."""
    targets = header.target_systems
    said: dict[str, str | list[str]] = {
        "id": header.id,
        "title": header.title,
        "kind": header.kind.value,
        "source_system": header.source_system,
        "target_system": targets[0] if len(targets) == 1 else list(targets),
        "version": header.version,
        "publisher": header.publisher,
        "licence": header.licence,
        "valid_from": str(header.valid_from or ""),
        "valid_to": str(header.valid_to or ""),
        "source": header.source,
        "note": header.note,
        "when_unknown": header.when_unknown,
        "equal_rows": header.equal_rows,
        "layer": header.layer,
    }
    # A JSON text is a TOML basic string, but for the DEL character, which no header has.
    return "".join(f"{key} = {json.dumps(value, ensure_ascii=False)}\n" for key, value in said.items() if value)


def _one_of(toml: TomlFile, key: str, words: tuple[str, ...]) -> str:
    text = toml.text(key)
    if text and text not in words:
        toml.fault(key, f"write {' or '.join(words)}, or leave it out")
    return text


def _id(toml: TomlFile) -> str:
    text = toml.text("id")
    if text and not _ID.fullmatch(text):
        toml.fault("id", "not an id: letters, digits, dots, dashes and underscores")
    return text


def _kind(toml: TomlFile) -> Kind | None:
    text = toml.text("kind")
    if text in set(Kind):
        return Kind(text)
    if text:
        toml.fault("kind", f"unknown kind: write one of {', '.join(Kind)}")
    return None


def system_uri(name: str) -> str:
    """Give the URI of a system named by its short name or its URI; empty where it is neither."""
    return SYSTEM_SHORT_NAMES.get(name, name if name in _URIS else "")


def _source_system(toml: TomlFile, kind: Kind) -> str:
    text = toml.text("source_system")
    # A concept table may translate any vocabulary (v2 table 0001), and a site may have code systems of its own.
    if text and kind is not Kind.CONCEPT and text not in SYSTEM_SHORT_NAMES and ":" not in text:
        toml.fault("source_system", f"unknown system: write a URI or one of {', '.join(SYSTEM_SHORT_NAMES)}")
    return system_uri(text) or text


def _target_systems(toml: TomlFile, kind: Kind) -> tuple[str, ...]:
    names = toml.texts("target_system")
    if kind is not Kind.CONCEPT and not all(map(system_uri, names)):
        toml.fault("target_system", UNKNOWN_TARGET_SYSTEM)
    return tuple(system_uri(name) or name for name in names)
