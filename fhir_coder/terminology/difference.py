"""What is different between two versions of a table. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields

from fhir_coder.terminology.rows import Cells, cells_of
from fhir_coder.terminology.table import MappingTable, Row

CONDITIONS = (
    *("sex", "age", "encounter_class", "payer", "valid_from", "valid_to"),
    *("care_setting", "feed", "laterality", "use", "with"),
)
"""The columns that ask something of the visit."""

_IDENTITY = ("source_code", "group", "priority", *CONDITIONS)
"""The columns that say which row it is; the others are what it says."""


@dataclass(frozen=True, slots=True)
class RowChange:
    """A row that one version has and the other has not, or that says something else. Cells by column, none empty."""

    change: str
    identity: Cells
    old: Cells
    new: Cells

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that differ."""
        return tuple(name for name in sorted({*self.old, *self.new}) if self.old.get(name) != self.new.get(name))


@dataclass(frozen=True, slots=True)
class TableDifference:
    """Two versions of a table, either of them absent where there is none. `header` has the keys that differ."""

    old: MappingTable | None
    new: MappingTable | None
    header: Mapping[str, tuple[str, str]]
    rows: tuple[RowChange, ...]
    same: int

    @property
    def id(self) -> str:
        """The table's id."""
        table = self.new or self.old
        return table.id if table else ""

    def count(self, change: str) -> int:
        """How many rows were `added`, `removed` or `changed`."""
        return sum(row.change == change for row in self.rows)


def difference(old: MappingTable | None, new: MappingTable | None) -> TableDifference:
    """Compare two versions of a table row by row: by source code, conditions, group and priority."""
    changes, same = list[RowChange](), 0
    for code in _codes(old, new):
        before, after = ([*table.rows.get(code, ())] if table else [] for table in (old, new))
        found = list(_of_code(before, after))
        changes += [one for one in found if one.change]
        same += sum(not one.change for one in found)
    return TableDifference(old, new, _headers(old, new), tuple(changes), same)


def _codes(old: MappingTable | None, new: MappingTable | None) -> list[str]:
    return sorted({row.source_code for table in (old, new) if table for row in _one_of_each(table)})


def _one_of_each(table: MappingTable) -> Iterator[Row]:
    for of_code in table.by_code():
        yield of_code[0]


def _of_code(before: list[Row], after: list[Row]) -> Iterator[RowChange]:
    """The changes of one code's rows; one whose `change` is empty is a row that stayed the same."""
    old, new = _by_identity(before), _by_identity(after)
    for identity in [*old, *(one for one in new if one not in old)]:
        named = dict(identity)
        there, here = old.get(identity, []), new.get(identity, [])
        for said in [one for one in there if one in here]:
            there.remove(said)
            here.remove(said)
            yield RowChange("", named, said, said)
        pairs = min(len(there), len(here))
        yield from (RowChange("changed", named, *pair) for pair in zip(there, here, strict=False))
        yield from (RowChange("removed", named, said, {}) for said in there[pairs:])
        yield from (RowChange("added", named, {}, said) for said in here[pairs:])


def _by_identity(rows: list[Row]) -> dict[tuple[tuple[str, str], ...], list[Cells]]:
    """What rows say by what they are; a table whose rows may fit equally well has several of one identity."""
    found: dict[tuple[tuple[str, str], ...], list[Cells]] = {}
    for row in rows:
        cells = cells_of(row)
        identity = tuple((name, cells.pop(name)) for name in _IDENTITY if name in cells)
        found.setdefault(identity, []).append(cells)
    return found


def _headers(old: MappingTable | None, new: MappingTable | None) -> dict[str, tuple[str, str]]:
    if old is None or new is None:
        return {}
    named = {field.name: (_text(old, field.name), _text(new, field.name)) for field in fields(old.header)}
    return {name: pair for name, pair in named.items() if pair[0] != pair[1]}


def _text(table: MappingTable, name: str) -> str:
    value = getattr(table.header, name)
    return ", ".join(value) if isinstance(value, tuple) else str(value or "")
