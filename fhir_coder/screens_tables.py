"""What the terminal shows of versions of tables: lists, differences, and charts that would be coded differently."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from decimal import Decimal
from typing import Any

from fhir_coder.model import SYSTEM_TITLES
from fhir_coder.recoding import ClaimChange, CodeChange
from fhir_coder.screens import listing
from fhir_coder.terminology.difference import CONDITIONS, RowChange, TableDifference
from fhir_coder.terminology.table import Days, MappingTable
from fhir_coder.terminology.versions import Version

_MOST_ROWS, _MOST_CHARTS = 200, 5


def versions_text(versions: Sequence[Version]) -> str:
    """Every version with the days of service it counts for."""
    headers = ["table", "label", "version", "rows", "days of service", "latest", "activated", "by"]
    rows = [
        [
            one.table.id,
            one.table.header.version,
            one.table.version,
            len(one.table),
            days_text(one.days),
            "yes" if one.is_current else "",
            one.at,
            one.by,
        ]
        for one in versions
    ]
    return listing(headers, rows) if rows else "none"


def versions_json(versions: Sequence[Version]) -> list[dict[str, Any]]:
    """The same for programs: `days` are pairs of first and last day, null where there is no such bound."""
    return [
        {
            "table": one.table.id,
            "label": one.table.header.version,
            "version": one.table.version,
            "rows": len(one.table),
            "days": [[_day(first), _day(last)] for first, last in one.days],
            "active": bool(one.days),
            "current": one.is_current,
            "activated_at": one.at,
            "activated_by": one.by,
        }
        for one in versions
    ]


def days_text(days: Days) -> str:
    """Periods of days of service in words."""
    return ", ".join(_period(first, last) for first, last in days) or "none"


def _period(first: date, last: date) -> str:
    if last == date.max:
        return "all" if first == date.min else f"from {first}"
    return f"to {last}" if first == date.min else f"{first} to {last}"


def _day(day: date) -> str | None:
    return None if day in (date.min, date.max) else day.isoformat()


# --- differences ----------------------------------------------------------------------------------


def difference_text(found: TableDifference) -> str:
    """One table's difference: its head, the header's keys, and a line for each row."""
    lines = [f"{found.id}   {_named(found.old)} -> {_named(found.new)}", f"  {_counts(found)}"]
    lines += [f"  {name}: {old or 'nothing'} -> {new or 'nothing'}" for name, (old, new) in found.header.items()]
    if found.rows:
        rows = [[row.change, *_place(row), *_said(row)] for row in found.rows[:_MOST_ROWS]]
        lines += ["", listing(["change", "source code", "conditions", "from", "to"], rows)]
    if len(found.rows) > _MOST_ROWS:
        lines.append(f"and {len(found.rows) - _MOST_ROWS:,} more: --json has all of them")
    return "\n".join(lines)


def difference_json(found: TableDifference) -> dict[str, Any]:
    """One table's difference for programs."""
    return {
        "table": found.id,
        "old": found.old.version if found.old else None,
        "new": found.new.version if found.new else None,
        "header": {name: {"old": old, "new": new} for name, (old, new) in found.header.items()},
        "same": found.same,
        "rows": [
            {"change": row.change, "row": row.identity, "old": row.old or None, "new": row.new or None}
            for row in found.rows
        ],
    }


def _named(table: MappingTable | None) -> str:
    return f"{table.header.version} ({table.version})" if table else "nothing"


def _counts(found: TableDifference) -> str:
    words = [f"{found.count(word):,} {word}" for word in ("added", "removed", "changed")]
    return ", ".join([*words, f"{found.same:,} the same"])


def _place(row: RowChange) -> list[str]:
    asked = [f"{name} {row.identity[name]}" for name in CONDITIONS if name in row.identity]
    asked += [f"group {row.identity['group']}"] if "group" in row.identity else []
    asked += [f"priority {row.identity['priority']}"] if row.identity.get("priority", "1") != "1" else []
    return [row.identity["source_code"], ", ".join(asked)]


def _said(row: RowChange) -> list[str]:
    """What the row said and says: of one that changed only the cells that did."""
    columns = row.columns
    return [_cells(row.old, columns), _cells(row.new, columns)]


def _cells(cells: dict[str, str], columns: Iterable[str]) -> str:
    target = [cells["target_code"]] if "target_code" in columns and "target_code" in cells else []
    others = [f"{name} {cells[name]}" for name in columns if name in cells and name != "target_code"]
    return "; ".join([*target, *others])


# --- charts that would be coded differently -------------------------------------------------------


def recoding_text(changes: Sequence[ClaimChange], looked_at: int) -> str:
    """Every code that gives something else, with the claims it is on and the money, and what becomes of them."""
    if not changes:
        return f"{looked_at:,} charts looked at: none would be coded differently"
    rows = [list(row) for row in _by_source(changes)]
    kept = [one for one in changes if one.is_kept]
    lines = [
        listing(["source code", "system", "from", "to", "claims", "difference", "charts"], rows),
        "",
        f"{looked_at:,} charts looked at: {len(changes):,} claims would be coded differently, {_money(changes)} in all",
    ]
    if kept:
        lines.append(
            f"{len(kept):,} of them ({_money(kept)}) were sent or belong to a visit of which a claim was: they stay "
            "as they are. fhir-coder charts recode has them coded anew"
        )
    return "\n".join(lines)


def _by_source(changes: Sequence[ClaimChange]) -> Iterator[tuple[str, ...]]:
    grouped: dict[tuple[str, str, tuple[str, ...], tuple[str, ...]], list[tuple[ClaimChange, CodeChange]]] = {}
    for claim in changes:
        for one in claim.changes:
            grouped.setdefault((one.system, one.code, one.old, one.new), []).append((claim, one))
    by_money = sorted(grouped.items(), key=lambda item: -abs(sum((c.amount for _, c in item[1]), Decimal(0))))
    for (system, code, old, new), found in by_money:
        keys = list(dict.fromkeys(claim.chart_key for claim, _ in found))
        more = f" and {len(keys) - _MOST_CHARTS} more" if len(keys) > _MOST_CHARTS else ""
        yield (
            code or "(no code)",
            SYSTEM_TITLES.get(system, system),
            _codes(old),
            _codes(new),
            str(len(found)),
            _sums((claim.currency, one.amount) for claim, one in found),
            ", ".join(keys[:_MOST_CHARTS]) + more,
        )


def _codes(codes: Sequence[str]) -> str:
    return ", ".join(codes) or "nothing"


def _money(changes: Sequence[ClaimChange]) -> str:
    return _sums((one.currency, one.amount) for one in changes)


def _sums(amounts: Iterable[tuple[str, Decimal]]) -> str:
    sums: dict[str, Decimal] = {}
    for currency, amount in amounts:
        sums[currency] = sums.get(currency, Decimal(0)) + amount
    return ", ".join(f"{currency} {amount:+,.2f}".strip() for currency, amount in sorted(sums.items()))


def recoding_json(changes: Sequence[ClaimChange], looked_at: int) -> dict[str, Any]:
    """The same for programs, claim by claim."""
    return {"charts": looked_at, "claims": [_claim_json(one) for one in changes]}


def _claim_json(one: ClaimChange) -> dict[str, Any]:
    return {
        "chart": one.chart_key,
        "slot": one.slot,
        "status": one.status or None,
        "kept": one.is_kept,
        "currency": one.currency,
        "old_total": one.old_total,
        "new_total": one.new_total,
        "difference": one.amount,
        "codes": [
            {
                "system": change.system,
                "code": change.code or None,
                "old": list(change.old),
                "new": list(change.new),
                "difference": change.amount,
            }
            for change in one.changes
        ],
    }
