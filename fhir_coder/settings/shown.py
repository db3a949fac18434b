"""Settings as they are in use: every key with its value and where it was set. Secrets are never in settings."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from fhir_coder.settings.lines import Key, line_of
from fhir_coder.settings.root import Settings
from fhir_coder.settings.section import Section

DEFAULT = "default"


@dataclass(frozen=True, slots=True)
class ShownKey:
    """A setting: its value as text and where it was set, `default` or the file with its line."""

    name: str
    value: str
    source: str


@dataclass(frozen=True, slots=True)
class ShownSection:
    """A section as its heading stands in a settings file, with its keys."""

    title: str
    keys: tuple[ShownKey, ...]


def settings_shown(settings: Settings) -> list[ShownSection]:
    """Every section with every key."""
    text = settings.file.read_text(encoding="utf-8") if settings.file and settings.file.is_file() else ""
    said = tomllib.loads(text) if text else {}
    return list(_sections(settings, text, said))


def _sections(settings: Settings, text: str, said: Mapping[str, Any]) -> Iterator[ShownSection]:
    name = settings.file.name if settings.file else "the example site"
    for section in type(settings).model_fields:
        value = getattr(settings, section)
        listed = value if isinstance(value, tuple) else (value,)
        told = said.get(section, [] if isinstance(value, tuple) else {})
        for place, one in enumerate(listed):
            own = (told[place] if place < len(told) else {}) if isinstance(value, tuple) else told
            path: tuple[Key, ...] = (section, place) if isinstance(value, tuple) else (section,)
            title = f"[[{section}]] {one.name}" if isinstance(value, tuple) else f"[{section}]"
            yield ShownSection(title, tuple(_keys(one, own, (path, text, name))))


def _keys(section: Section, said: Mapping[str, Any], place: tuple[Sequence[Key], str, str]) -> Iterator[ShownKey]:
    path, text, file = place
    for name, value in section.model_dump(mode="json", by_alias=True).items():
        line = line_of(text, [*path, name]) if name in said else 0
        yield ShownKey(name, _shown(value), f"{file}:{line}" if line else DEFAULT)


def _shown(value: Any) -> str:
    if value is None:
        return "not set"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Mapping):
        return ", ".join(f"{key} = {_shown(one)}" for key, one in value.items() if one not in (None, "", [], {}))
    if isinstance(value, list):
        return ", ".join(map(_shown, value))
    return _without_login(str(value)) if "://" in str(value) else str(value)


def _without_login(url: str) -> str:
    """An address without what logs in, should one stand there."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=host)) if host != parts.netloc else url
