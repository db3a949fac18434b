"""The file of the sandbox's rules: TOML, checked whole, every fault listed with its line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from fhir_coder.errors import Fault, SettingsError
from fhir_coder.payers.sandbox.rules import Client, Member, Rules
from fhir_coder.settings.lines import line_of, path_of
from fhir_coder.settings.load import read_toml
from fhir_coder.settings.root import PLACES
from fhir_coder.settings.section import Section
from fhir_coder.settings.tokens import read_token

_PAGE = "sandbox-payer.md"

Codes = frozenset[Annotated[str, Field(min_length=1)]]


class MemberSection(Section):
    """`[[members]]`: someone the payer covers."""

    id: str = Field(min_length=1)
    since: date | None = Field(None, alias="from")
    until: date | None = Field(None, alias="to")

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.since and self.until and self.until < self.since:
            raise ValueError("to is before from")
        return self


class ClientSection(Section):
    """`[[clients]]`: someone who may ask for tokens."""

    id: str = Field(min_length=1)
    secret_env: str = ""
    secret_file: Path | None = None
    jwks_file: Path | None = None
    jwks_url: str = Field("", pattern="^(https?://.+)?$")

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if sum(map(bool, (self.secret_env, self.secret_file, self.jwks_file, self.jwks_url))) != 1:
            raise ValueError("needs one of secret_env, secret_file, jwks_file, jwks_url")
        return self

    def client(self, folder: Path) -> Client:
        """The client with its secret. Raises ValueError with the reason where it cannot be read."""
        secret = read_token(self.secret_env, folder / self.secret_file if self.secret_file else None)
        return Client(self.id, secret, str(folder / self.jwks_file) if self.jwks_file else self.jwks_url)


class RulesFile(Section):
    """The rules file as written."""

    percent: Decimal = Field(Decimal(80), ge=0, le=100)
    inactive_prefix: str = Field("INACTIVE", min_length=1)
    covered_codes: Codes = frozenset()
    denied_codes: Codes = frozenset()
    authorization_codes: Codes = frozenset()
    authorization_numbers: Codes = frozenset()
    deny_duplicates: bool = False
    pend_seconds: float = Field(0.0, ge=0, le=10_000_000)
    pend_codes: Codes = frozenset()
    token_seconds: int = Field(300, ge=1, le=86_400)
    members: tuple[MemberSection, ...] = ()
    clients: tuple[ClientSection, ...] = ()
    fees: Mapping[Annotated[str, Field(min_length=1)], Annotated[Decimal, Field(ge=0, lt=10**12)]] = Field(
        default_factory=dict
    )

    @model_validator(mode="after")
    def _each_once(self) -> Self:
        _refuse_repeats("members", [member.id for member in self.members])
        _refuse_repeats("clients", [client.id for client in self.clients])
        return self

    @model_validator(mode="after")
    def _covered_or_denied(self) -> Self:
        if self.covered_codes & self.denied_codes:
            places = {PLACES: [("denied_codes",)]}
            raise PydanticCustomError("both", "a code of this list is among covered_codes too", places)
        return self


def _refuse_repeats(kind: str, ids: Sequence[str]) -> None:
    places = [(kind, n, "id") for n, one in enumerate(ids) if one in ids[:n]]
    if places:
        raise PydanticCustomError("repeated", "this id stands above already", {PLACES: places})


def read_rules(path: Path) -> Rules:
    """The rules of a file; paths in it are relative to it. Raises SettingsError with every fault and its line."""
    said = read_toml(path, RulesFile, _PAGE)
    found = [_client(path, n, section) for n, section in enumerate(said.clients)]
    faults = [one for one in found if isinstance(one, Fault)]
    if faults:
        raise SettingsError(str(path), faults)
    return Rules(
        paid_percent=said.percent,
        denied_codes=said.denied_codes,
        covered_codes=said.covered_codes,
        inactive_prefix=said.inactive_prefix,
        members={member.id: Member(member.since, member.until) for member in said.members},
        fees=said.fees,
        authorization_codes=said.authorization_codes,
        authorization_numbers=said.authorization_numbers,
        deny_duplicates=said.deny_duplicates,
        pend_seconds=said.pend_seconds,
        pend_codes=said.pend_codes,
        clients=tuple(one for one in found if isinstance(one, Client)),
        token_seconds=said.token_seconds,
    )


def _client(path: Path, number: int, section: ClientSection) -> Client | Fault:
    try:
        return section.client(path.resolve().parent)
    except ValueError as error:
        place = ("clients", number)
        return Fault(str(path), line_of(path.read_text(encoding="utf-8"), place), path_of(place), str(error))
