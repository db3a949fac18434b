"""Settings of how a feed's messages are read: what is where, what it means, what bills."""

from __future__ import annotations

import codecs
import re
from collections.abc import Mapping
from dataclasses import replace
from importlib.metadata import entry_points
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BeforeValidator, Field, field_validator, model_validator

from fhir_coder import hl7v2
from fhir_coder.model import SYSTEM_SHORT_NAMES
from fhir_coder.settings.section import Section

HOOKS = "fhir_coder.feed_hooks"
"""The entry point group of feed hooks."""

_TYPE = re.compile(r"([A-Z]{3})\^([A-Z][0-9]{2}|\*)")
_CODED = ("DG1", "DG1-3", "PR1", "PR1-3", "FT1", "FT1-7", "FT1-25", "OBR", "OBR-4", "OBR-44", "RXA", "RXA-5")


def _paths(value: Any) -> Any:
    """One path or a list of them; each that is wrong says what is wrong about it."""
    listed = [value] if isinstance(value, str) else value
    if not isinstance(listed, list | tuple) or not all(isinstance(path, str) for path in listed):
        raise ValueError("is neither a path nor a list of paths")
    wrong = []
    for path in listed:
        try:
            hl7v2.read_place(path)
        except ValueError as error:
            wrong.append(f"{path!r} {error}")
    if wrong:
        raise ValueError("; ".join(wrong))
    return tuple(listed)


def _codec(name: Any) -> Any:
    try:
        codecs.lookup(name)
    except (LookupError, TypeError):
        raise ValueError("is no character set that Python knows, such as utf-8 or cp1252") from None
    return name


def _system(name: str) -> str:
    """A system by its short name or URI. Raises ValueError."""
    system = SYSTEM_SHORT_NAMES.get(name.lower(), name)
    if ":" not in system:
        raise ValueError(f"{name!r} is neither a URI nor one of {', '.join(SYSTEM_SHORT_NAMES)}")
    return system


Paths = Annotated[tuple[str, ...], BeforeValidator(_paths)]
"""Where something stands: a path, or paths of which the first that says something counts. Empty: as in the standard."""

Codec = Annotated[str, BeforeValidator(_codec)]
"""The name of a character set as Python calls it."""


class PlaceSettings(Section):
    """Where things are on this site. The standard's places are in `hl7v2.PLACES`, under the same names."""

    patient_number: Paths = ()
    account: Paths = ()
    visit_class: Paths = ()
    location: Paths = ()
    attending_doctor: Paths = ()
    referring_doctor: Paths = ()
    admitting_doctor: Paths = ()
    visit_number: Paths = ()
    discharge_disposition: Paths = ()
    admitted: Paths = ()
    discharged: Paths = ()
    diagnosis_code: Paths = ()
    diagnosis_type: Paths = ()
    diagnosis_priority: Paths = ()
    present_on_admission: Paths = ()
    procedure_code: Paths = ()
    procedure_date: Paths = ()
    surgeon: Paths = ()
    procedure_modifiers: Paths = ()
    charge_id: Paths = ()
    service_date: Paths = ()
    charge_type: Paths = ()
    charge_code: Paths = ()
    quantity: Paths = ()
    charge_amount: Paths = ()
    unit_amount: Paths = ()
    charge_department: Paths = ()
    charge_location: Paths = ()
    charge_diagnoses: Paths = ()
    performing_doctor: Paths = ()
    ordering_doctor: Paths = ()
    service_code: Paths = ()
    modifiers: Paths = ()
    ndc: Paths = ()
    reverses: Paths = ()
    plan: Paths = ()
    payer_id: Paths = ()
    group_number: Paths = ()
    prior_authorization: Paths = ()
    member_id: Paths = ()

    def relocations(self) -> hl7v2.Relocations:
        """The fields that stand elsewhere, as the reader wants them."""
        found: dict[str, dict[int, tuple[hl7v2.Place, ...]]] = {}
        for name, path in hl7v2.PLACES.items():
            paths: tuple[str, ...] = getattr(self, name)
            if paths:
                standard = hl7v2.read_place(path)
                found.setdefault(standard.segment, {})[standard.field] = tuple(map(hl7v2.read_place, paths))
        return found


class FeedRuleSettings(PlaceSettings):
    """How the messages of one feed are read."""

    bill: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    charset_policy: Literal["strict", "replace", "fallback"] = "strict"
    charset_fallback: Codec = "cp1252"
    time_zone: str = ""
    code_systems: dict[str, str] = Field(default_factory=dict)
    default_systems: dict[str, str] = Field(default_factory=dict)
    conformance: Literal["off", "report", "reject"] = Field(default="off", alias="validate")
    profiles: tuple[Path, ...] = ()
    hook: str = ""

    @field_validator("bill", "ignore")
    @classmethod
    def _types_can_be_read(cls, listed: tuple[str, ...]) -> tuple[str, ...]:
        wrong = [text for text in map(_wrong_with_type, listed) if text]
        if wrong:
            raise ValueError("; ".join(wrong))
        return listed

    @field_validator("time_zone")
    @classmethod
    def _zone_is_known(cls, zone: str) -> str:
        try:
            if zone:
                ZoneInfo(zone)
        except (ZoneInfoNotFoundError, ValueError):
            raise ValueError("is not a time zone of the IANA database, such as America/Chicago") from None
        return zone

    @field_validator("code_systems", "default_systems")
    @classmethod
    def _systems_are_known(cls, named: dict[str, str]) -> dict[str, str]:
        for system in named.values():
            _system(system)
        return named

    @field_validator("default_systems")
    @classmethod
    def _fields_are_coded(cls, named: dict[str, str]) -> dict[str, str]:
        wrong = [place for place in named if place not in _CODED]
        if wrong:
            raise ValueError(f"{', '.join(wrong)}: not one of {', '.join(_CODED)}")
        return named

    @field_validator("hook")
    @classmethod
    def _hook_is_installed(cls, name: str) -> str:
        installed = sorted(entry_points(group=HOOKS).names)
        if name and name not in installed:
            there = f"there is {', '.join(installed)}" if installed else "none is installed"
            raise ValueError(f"no installed package has the entry point {name!r} in {HOOKS}: {there}")
        return name

    @model_validator(mode="after")
    def _profiles_are_used(self) -> Self:
        if self.profiles and self.conformance == "off":
            raise ValueError('profiles need validate = "report" or "reject"')
        return self

    def rebased(self, folder: Path) -> Self:
        """The rules with every relative path taken from a folder."""
        return self.model_copy(update={"profiles": tuple(folder / path for path in self.profiles)})

    def count(self) -> int:
        """How many rules are set."""
        return len(self.model_dump(exclude_defaults=True))

    def value(self, base: hl7v2.FeedRules, charset: str = "utf-8", namespace: str = "") -> hl7v2.FeedRules:
        """The rules as the reader knows them; what is not said here is of the site's `base`."""
        return replace(
            base,
            charset=charset,
            charset_policy=self.charset_policy,
            charset_fallback=self.charset_fallback,
            time_zone=self.time_zone or base.time_zone,
            namespace=namespace,
            default_systems={**hl7v2.DEFAULT_SYSTEMS, **_systems(self.default_systems)},
            code_systems={name.upper(): system for name, system in _systems(self.code_systems).items()},
            bill=frozenset(self.bill),
            ignore=frozenset(self.ignore),
            relocations=self.relocations(),
        )


def _systems(named: Mapping[str, str]) -> dict[str, str]:
    return {name: _system(system) for name, system in named.items()}


def _wrong_with_type(kind: str) -> str:
    match = _TYPE.fullmatch(kind)
    if match is None:
        return f"{kind!r} is no message type such as DFT^P03 or ORU^*"
    if match[1] not in hl7v2.READABLE_FAMILIES:
        return f"{kind} is never read: only {', '.join(sorted(hl7v2.READABLE_FAMILIES))} are"
    never = hl7v2.NEVER_BILLED.get(kind)
    return f"{kind} is never read: {never}" if never else ""
