"""Lists that page by key, and the filters whose state is the URL."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import Any

from fastapi import Request

from fhir_coder.errors import FhirCoderError
from fhir_coder.moments import read_moment

PAGE = 50
"""Rows of a page of a list."""


@dataclass(frozen=True, slots=True)
class Listing:
    """A page of a list. `next_key` is where the next page begins, empty on the last one; `mark` is its name in the URL.

    `is_first` says whether nothing stands before it.
    """

    rows: Sequence[Any]
    next_key: str
    is_first: bool
    mark: str = "before"

    @classmethod
    def of(cls, request: Request, rows: Sequence[Any], key: Callable[[Any], object], limit: int = PAGE) -> Listing:
        """A page of rows, of which one more than `limit` was asked for: so it shows whether there are more."""
        shown = rows[:limit]
        is_last = len(rows) <= limit
        return cls(shown, "" if is_last or not shown else str(key(shown[-1])), not request.query_params.get("before"))


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a filter form. With `choices` (value and words) it is a list to choose from, else a line of text.

    `read` makes the value of what was typed and raises FhirCoderError with the reason. `is_secret`: what is typed names
    a person: it is sent in the body of a form, and stands sealed in the URL. `unset`: what nothing chosen means.
    """

    name: str
    label: str
    choices: Sequence[tuple[str, str]] = ()
    hint: str = ""
    read: Callable[[str], Any] = str
    is_secret: bool = False
    unset: str = "any"


class Filters:
    """What a list was asked for: the fields of its form with what the URL says of each."""

    def __init__(self, request: Request, path: str, *fields: Field) -> None:
        self.path, self.fields = path, fields
        self.said = {f.name: request.query_params.get(f.name, "").strip() for f in fields}
        self.values: dict[str, Any] = {}
        self.faults: dict[str, str] = {}
        for one in fields:
            self._read(one)

    def _read(self, field: Field) -> None:
        text = self.said[field.name]
        known = [value for value, _ in field.choices]
        if text and known and text not in known:
            self.faults[field.name] = "not one of the list"
            return
        try:
            self.values[field.name] = field.read(text) if text else None
        except FhirCoderError as error:
            self.faults[field.name] = str(error)

    def __getitem__(self, name: str) -> Any:
        """What a field asks for, None where it asks for nothing or cannot be read."""
        return self.values.get(name)

    def text(self, name: str) -> str:
        """What a field asks for as text, empty where nothing."""
        value = self[name]
        return str(value) if value is not None else ""

    @property
    def active(self) -> Mapping[str, str]:
        """What is asked for, by field."""
        return {name: text for name, text in self.said.items() if text}

    def without(self, name: str) -> dict[str, str]:
        """The query of the same list without one field."""
        return {key: text for key, text in self.active.items() if key != name}

    def options(self, *names: str) -> list[str]:
        """What is asked for as options of the command that lists the same; what names a person is left out."""
        secret = {field.name for field in self.fields if field.is_secret}
        asked = [name for name in names or self.said if self.said[name] and name not in secret]
        return [part for name in asked for part in (f"--{name.replace('_', '-')}", self.said[name])]

    def shown(self, field: Field) -> str:
        """What a field asks for in words; of a secret only that it is asked for."""
        if field.is_secret:
            return "•••"
        return next((words for value, words in field.choices if value == self.said[field.name]), self.said[field.name])


def read_time(zone: tzinfo) -> Callable[[str], datetime]:
    """Reads a time that a viewer types: in their zone where it names none, or how long ago."""

    def read(text: str) -> datetime:
        try:
            return read_moment(text, zone)
        except ValueError as error:
            raise FhirCoderError(str(error)) from None

    return read
