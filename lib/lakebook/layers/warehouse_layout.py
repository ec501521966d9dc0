"""How tables are distributed over the warehouse's nodes and sorted: chosen from keys, foreign keys
and sizes, with the reason.

https://docs.aws.amazon.com/redshift/latest/dg/c_best-practices-best-dist-key.html
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lakebook.source.model import LakeType

if TYPE_CHECKING:
    from lakebook.source.model import Table

SMALL_ROWS = 100_000  # a table up to this size that others refer to is copied to every node
# what rows are filtered by, the best first
TIMES = (LakeType("timestamp", utc=True), LakeType("timestamp"), LakeType("date"))


@dataclass(frozen=True)
class Layout:
    """Redshift's words for a table, `distkey(booking_id) sortkey(booked_at)`, and why."""

    keys: str
    reason: str


def layouts(tables: dict[str, tuple[Table, int]], wanted: dict[str, str]) -> dict[str, Layout]:
    """A layout for each table, by its `schema.table`; `tables` maps that name to the table and its
    rows, `wanted` to keys that were asked for.

    Tables joined by a foreign key are put side by side, those with the most rows first; a table can
    be on one side only.
    """
    small = {
        name
        for each, _ in tables.values()
        for name in _referenced(each, tables)
        if tables[name][1] <= SMALL_ROWS
    }
    joined = _joined(tables, small)
    return {
        name: (
            Layout(wanted[name].strip(), "as warehouse_keys says")
            if name in wanted
            else _layout(table, rows, joined.get(name), small=name in small)
        )
        for name, (table, rows) in tables.items()
    }


def _layout(table: Table, rows: int, joined: tuple[str, str] | None, *, small: bool) -> Layout:
    if small:
        return Layout(
            "diststyle all", f"small, and others refer to it: a copy on every node ({rows:,} rows)"
        )
    keys, reasons = [], []
    if joined:
        keys.append(f'distkey("{joined[0]}")')
        reasons.append(f"rows lie beside those of {joined[1]} that they are joined with")
    if rows > SMALL_ROWS and (time := _time(table)):
        keys.append(f'sortkey("{time}")')
        reasons.append("sorted by time, so that a range reads few blocks")
    return Layout(
        " ".join(keys), "; ".join(reasons) or "AUTO: Redshift decides as it learns the queries"
    )


def _referenced(table: Table, tables: dict[str, tuple[Table, int]]) -> list[str]:
    names = [table.references(each) for each in table.foreign_keys]
    return [name for name in names if name in tables and tables[name][0] is not table]


def _joined(tables: dict[str, tuple[Table, int]], small: set[str]) -> dict[str, tuple[str, str]]:
    """The column each table is distributed by, and the table it lies beside: foreign keys of one
    column, the largest pairs first.
    """
    pairs = [
        (rows + tables[parent][1], child, each.columns[0], parent, each.referenced[0])
        for child, (table, rows) in tables.items()
        for each in table.foreign_keys
        if (parent := table.references(each)) in tables
        and parent != child
        and len(each.columns) == 1
        and not small & {child, parent}
    ]
    chosen: dict[str, tuple[str, str]] = {}
    for _, child, column, parent, referenced in sorted(pairs, reverse=True):
        ours, theirs = (
            _catalog_name(tables[child][0], column),
            _catalog_name(tables[parent][0], referenced),
        )
        if chosen.get(child, (ours,))[0] == ours and chosen.get(parent, (theirs,))[0] == theirs:
            chosen.setdefault(child, (ours, parent))
            chosen.setdefault(parent, (theirs, child))
    return chosen


def _catalog_name(table: Table, column: str) -> str:
    return next(each.catalog_name for each in table.columns if each.name == column)


def _time(table: Table) -> str:
    """The first moment that every row has, "" where there is none."""
    found = [
        each
        for time in TIMES
        for each in table.columns
        if each.type == time and not each.nullable_in_lake
    ]
    return found[0].catalog_name if found else ""
