"""Settings from a TOML file: read once, checked whole, every fault listed with its line."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from pydantic import BaseModel, ValidationError

from fhir_coder.errors import Fault, SettingsError
from fhir_coder.settings.lines import line_of, path_of
from fhir_coder.settings.root import PLACES, Settings
from fhir_coder.settings.service import TableSettings
from fhir_coder.shipped import EXAMPLE_SETTINGS, EXAMPLE_TABLES, shipped

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

Model = TypeVar("Model", bound=BaseModel)

DEFAULT_FILE = "fhir-coder.toml"


def load_settings(path: Path | None = None) -> Settings:
    """Settings from a file, else from `fhir-coder.toml` of this folder, else those of the example site.

    Raises SettingsError with all faults, each with its line.
    """
    if path is None and Path(DEFAULT_FILE).is_file():
        path = Path(DEFAULT_FILE)
    if path is None:
        return example_settings()
    return read_settings(path).rebased(path.resolve().parent).of_file(path)


def example_settings() -> Settings:
    """The built-in defaults: the example site with its shipped tables, its ledger in the current folder."""
    example = read_settings(EXAMPLE_SETTINGS).rebased(Path.cwd())
    tables = TableSettings(dir=shipped("mappings") / EXAMPLE_TABLES)
    return example.model_copy(update={"tables": tables})


def read_settings(path: Path) -> Settings:
    """Settings as written in one file, paths as they stand there."""
    return read_toml(path, Settings)


def read_toml(path: Path, model: type[Model], page: str = "settings.md") -> Model:
    """A TOML file as one model of sections; `page` of docs/reference lists its keys.

    Raises SettingsError with all faults, each with its line.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise SettingsError(str(path), [Fault(str(path), 0, "", error.strerror or "cannot be read")]) from None
    except UnicodeDecodeError:
        raise SettingsError(str(path), [Fault(str(path), 0, "", "is not UTF-8 text")]) from None
    try:
        return model.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        found = re.search(r"line (\d+)", str(error))
        raise SettingsError(str(path), [Fault(str(path), int(found[1]) if found else 0, "", str(error))]) from None
    except ValidationError as error:
        faults = [fault for one in error.errors() for fault in _faults(path, text, page, one)]
        raise SettingsError(str(path), faults) from None


def _faults(file: Path, text: str, page: str, error: ErrorDetails) -> Iterator[Fault]:
    """The faults that one error of pydantic stands for: one rule may be broken at several places."""
    loc = error["loc"]
    # pydantic puts the discriminator's value into the location of a feed: it is no key of the file.
    keys = [k for i, k in enumerate(loc) if not (i == 2 and loc[0] == "feeds" and k in _FEED_KINDS)]
    message = _PLAIN_WORDS.get(error["msg"], error["msg"].removeprefix("Value error, ")).replace("{page}", page)
    for place in error.get("ctx", {}).get(PLACES) or [keys]:
        yield Fault(str(file), line_of(text, place), path_of(place), message)


_FEED_KINDS = frozenset({"mllp", "folder", "http", "fhir"})
_PLAIN_WORDS = {
    "Extra inputs are not permitted": "there is no such setting (docs/reference/{page} lists them)",
    "Field required": "is missing",
}
