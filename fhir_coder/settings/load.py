"""Settings from a TOML file: read once, checked whole, every fault listed with its line."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from fhir_coder.errors import Fault, SettingsError
from fhir_coder.settings.root import Settings
from fhir_coder.settings.service import TableSettings
from fhir_coder.shipped import EXAMPLE_SETTINGS, EXAMPLE_TABLES, shipped

DEFAULT_FILE = "fhir-coder.toml"


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
    keys = [k for i, k in enumerate(loc) if not (i == 2 and loc[0] == "feeds" and k in _FEED_KINDS)]
    where = "".join(f"[{k}]" if isinstance(k, int) else f".{k}" for k in keys).lstrip(".")
    plain = _PLAIN_WORDS.get(message, message.removeprefix("Value error, "))
    return Fault(file, _line_of(text, keys), where, plain)


_FEED_KINDS = frozenset({"mllp", "folder", "http", "fhir"})
_PLAIN_WORDS = {
    "Extra inputs are not permitted": "there is no such setting (docs/reference/settings.md lists them)",
    "Field required": "is missing",
}


def _line_of(text: str, keys: list[Any]) -> int:
    """The line of a key, or of the nearest section or key above it that is there."""
    path = [str(k) for k in keys if not isinstance(k, int)]
    position = next((k for k in keys if isinstance(k, int)), 0)
    best, table, seen = 0, list[str](), -1
    is_inside = len(path) == 1
    for number, line in enumerate(text.splitlines(), start=1):
        header = re.match(r"\s*(\[\[?)([\w.-]+)\]", line)
        if header:
            table = header[2].split(".")
            seen += table == path[:1] and header[1] == "[["
            is_inside = table == path[: len(table)] and seen in (-1, position)
            best = number if is_inside else best
        elif (
            is_inside
            and len(table) < len(path)
            and re.match(rf"""\s*["']?{re.escape(path[len(table)])}["']?\s*=""", line)
        ):
            return number
    return best
