"""The tabular list of ICD-10-CM as simple-icd-10-cm has it: titles, hierarchy, notes, 7th characters."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from importlib.metadata import version
from typing import Any

from fhir_coder.terminology.codesets.index import Entry

_LISTS = {
    "includes": "get_includes",
    "inclusion_terms": "get_inclusion_term",
    "excludes1": "get_excludes1",
    "excludes2": "get_excludes2",
}
_TEXTS = {
    "code_first": "get_code_first",
    "use_additional": "get_use_additional_code",
    "code_also": "get_code_also",
    "notes": "get_notes",
}


def edition() -> str:
    """The edition of the list: the version of the library that has it."""
    return version("simple-icd-10-cm")


def entries() -> Iterator[Entry]:
    """Yield every chapter, block and code, each after the one above it.

    Reading the list takes seconds and 190 MB: only who makes the index asks for it.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it reads its files by calls that Python 3.11 deprecates
        import simple_icd_10_cm as tabular  # noqa: PLC0415 - see above
    # A block of one category has the category's name and is listed beside it.
    for code in dict.fromkeys(tabular.get_all_codes(True)):
        parent = tabular.get_parent(code)
        yield Entry(
            code=code,
            title=_plain(tabular.get_description(code)),
            parent=tabular.get_parent(code, prioritize_blocks=True) if parent == code else parent,
            kind=_kind(tabular, code),
            notes=_notes(tabular, code),
        )


def _kind(tabular: Any, code: str) -> str:
    if not tabular.is_category_or_subcategory(code):
        return "chapter"
    if not tabular.is_leaf(code):
        return "header"
    return "extended" if tabular.is_extended_subcategory(code) else "code"


def _notes(tabular: Any, code: str) -> dict[str, Any]:
    """The code's own notes; those of the codes above it are found by way of the parents."""
    if _kind(tabular, code) == "extended":
        return {}
    notes: dict[str, Any] = {name: [_plain(one) for one in getattr(tabular, get)(code)] for name, get in _LISTS.items()}
    notes |= {name: [_plain(one) for one in getattr(tabular, get)(code).splitlines()] for name, get in _TEXTS.items()}
    notes["seventh"] = {sign: _plain(text) for sign, text in tabular.get_seven_chr_def(code).items()}
    return {name: found for name, found in notes.items() if found}


def _plain(text: str) -> str:
    return " ".join(text.strip(" ,\t").replace("/\t", "/ ").split())
