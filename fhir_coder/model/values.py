"""Small values: where a fact came from, times that keep their precision, money, codes, names."""

from __future__ import annotations

import re
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from fhir_coder.model.frozen import dataclass
from fhir_coder.model.systems import System

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a fact came from: the message's id and the path inside it (`DG1[2]`, `Bundle.entry[3].resource`)."""

    message: str
    path: str


@dataclass(frozen=True, slots=True, order=True)
class When:
    """A date or time that keeps its precision, as a FHIR R4 dateTime: `2026`, `2026-11-03`, or with time and offset."""

    text: str

    @property
    def day(self) -> date | None:
        """The calendar day at the place it was written, None where only the month or year is known."""
        return date.fromisoformat(self.text[:10]) if len(self.text) >= 10 else None

    @property
    def instant(self) -> datetime | None:
        """The aware moment, None where no time of day is known."""
        return datetime.fromisoformat(self.text.replace("Z", "+00:00")) if len(self.text) > 10 else None


def day_of(when: When | None) -> date | None:
    """The day of a time, None where there is none or it is not known to the day."""
    return when.day if when else None


@dataclass(frozen=True, slots=True)
class Money:
    """An amount with its ISO 4217 currency."""

    value: Decimal
    currency: str


@dataclass(frozen=True, slots=True)
class Coding:
    """One code of one system. `system` is a URI, empty where the sender named none."""

    system: str
    code: str
    display: str = ""


_CODE_SHAPE = re.compile(r"(?=.*\d)[A-Za-z0-9.-]{1,18}")


def is_code_shaped(text: str) -> bool:
    """Whether a text looks like a code and may be shown to all: senders put words, and names, where codes belong."""
    return bool(_CODE_SHAPE.fullmatch(text))


@dataclass(frozen=True, slots=True)
class Concept:
    """What a sender said about one thing: codings that mean the same, first named first, and free text."""

    codings: tuple[Coding, ...] = ()
    text: str = ""

    @property
    def key(self) -> str:
        """`system|code` of the first coding, else the text: what makes two mentions the same thing."""
        return f"{self.codings[0].system}|{self.codings[0].code}" if self.codings else self.text


@dataclass(frozen=True, slots=True)
class Identifier:
    """An identifier with its assigner's system (URI, OID or bare name) and v2 table 0203 type (`MR`, `VN`, `NPI`)."""

    value: str
    system: str = ""
    type: str = ""


@dataclass(frozen=True, slots=True)
class Name:
    """A person's name."""

    family: str = ""
    given: tuple[str, ...] = ()
    prefix: str = ""
    suffix: str = ""


@dataclass(frozen=True, slots=True)
class Address:
    """A postal address."""

    lines: tuple[str, ...] = ()
    city: str = ""
    state: str = ""
    postal_code: str = ""
    country: str = ""


@dataclass(frozen=True, slots=True)
class Organization:
    """A facility, department, payer or employer."""

    name: str = ""
    identifiers: tuple[Identifier, ...] = ()
    address: Address | None = None


@dataclass(frozen=True, slots=True)
class Practitioner:
    """A person who gave, ordered or referred a service. `taxonomy` is a NUCC provider taxonomy code."""

    name: Name | None = None
    identifiers: tuple[Identifier, ...] = ()
    taxonomy: str = ""

    @property
    def npi(self) -> str:
        """The National Provider Identifier, empty where none came."""
        return npi_of(self.identifiers)


def npi_of(identifiers: tuple[Identifier, ...]) -> str:
    """The first identifier that is an NPI by its system or type, else empty."""
    return next((i.value for i in identifiers if i.system == System.NPI or i.type == "NPI"), "")


@dataclass(frozen=True, slots=True)
class CareTeamMember:
    """Who did what: role is attending, referring, consulting, admitting, rendering, surgeon, ordering or primary.

    `ref` names a directory topic (`Practitioner/9`) where the message only points to the person; the fold fills
    `practitioner` from it.
    """

    role: str
    practitioner: Practitioner | None = None
    ref: str = ""
