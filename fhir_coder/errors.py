"""The tree of exceptions. An exception means the work could not be done; each class says what is done about it.

Texts say where and which rule, never the value that broke it: values may name a patient.
"""

from __future__ import annotations

from dataclasses import dataclass


class FhirCoderError(Exception):
    """The root. `exit_code` is what the command line ends with."""

    exit_code = 1


class UnreadableError(FhirCoderError):
    """A payload cannot be read: it is kept in quarantine and answered with a rejection.

    `path` is where (`MSH-2`, `Bundle.entry[3]`), `rule` a fixed code (`no_msh`, `not_json`), `text` the rule in words.
    """

    exit_code = 2

    def __init__(self, path: str, rule: str, text: str) -> None:
        super().__init__(f"{path}: {text}" if path else text)
        self.path, self.rule, self.text = path, rule, text


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault in something a person wrote: file, line (0: the file itself), column or key, and rule.

    A warning keeps nothing from being used.
    """

    file: str
    line: int
    where: str
    text: str
    is_warning: bool = False

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        text = f"warning: {self.text}" if self.is_warning else self.text
        return f"{place}: {self.where}: {text}" if self.where else f"{place}: {text}"


class FaultsError(FhirCoderError):
    """Something a person wrote has faults: all of them are listed, nothing of it is used."""

    exit_code = 2

    def __init__(self, title: str, faults: list[Fault]) -> None:
        super().__init__("\n".join([f"{title} has {len(faults)} fault{'s' * (len(faults) != 1)}:", *map(str, faults)]))
        self.title, self.faults = title, faults


class SettingsError(FaultsError):
    """The settings have faults: nothing is started."""


class TableError(FaultsError):
    """A mapping table has faults: none of its rows is used."""


class ProfileError(FaultsError):
    """A message profile has faults: nothing is checked by it."""


class LedgerBusyError(FhirCoderError):
    """Another process writes to this ledger: this one does not start."""


class WorkersError(FhirCoderError):
    """The workers' process cannot work, for the reason of another of these classes: `kind`. Nothing is started."""

    def __init__(self, text: str, kind: str, exit_code: int) -> None:
        super().__init__(text)
        self.kind, self.exit_code = kind, exit_code


class UsageError(FhirCoderError):
    """An option does not fit the file, the settings or another option: the command is to be corrected."""

    exit_code = 2


class NotFoundError(FhirCoderError):
    """What was asked for by id is not there."""


class ConflictError(FhirCoderError):
    """What is asked does not fit where the thing stands: somebody else has it, or it is decided already."""
