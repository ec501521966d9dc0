"""Is what arrived what the source holds? Measure a table on both sides, compare, and name the keys that differ."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from lakebook.canonical_sql import row_hash, row_text, totals
from lakebook.column_types import curated_type

if TYPE_CHECKING:
    from collections.abc import Callable

    from lakebook.differing_keys import Keys
    from lakebook.postgresql import Table
    from lakebook.relations import Relation

COLUMNS_AT_ONCE = 80  # four aggregates each: an answer's row stays below the Data API's 64 KB
FLOAT_TOLERANCE = 1e-9  # of the largest value times the number of rows: the order of a sum is not defined


@dataclass(frozen=True)
class ColumnMeasure:
    """One column in figures; texts as the engines write them, days and milliseconds since 1970 for dates and timestamps."""

    type: str  # as in the curated layer
    nulls: int
    sum: str | None = None  # of a boolean: how many are true; of a binary: bytes
    min: str | None = None
    max: str | None = None


@dataclass(frozen=True)
class Measure:
    """One table in figures: rows, the sum of its rows' hashes, and each column by its name in the source."""

    rows: int
    row_hash: int
    columns: dict[str, ColumnMeasure]

    def to_json(self) -> str:
        """Short JSON, fit for a parameter of a Glue table (at most 512,000 bytes)."""
        return json.dumps(asdict(self), ensure_ascii=False, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> Measure:
        """The measure that `to_json` wrote."""
        content = json.loads(text)
        columns = {name: ColumnMeasure(**column) for name, column in content["columns"].items()}
        return cls(int(content["rows"]), int(content["row_hash"]), columns)


@dataclass(frozen=True)
class Result:
    """A table's two measures; `measured` is None where nothing is there, `keys` finds the differing ones when asked."""

    table: Table
    expected: Measure
    measured: Measure | None
    keys: Callable[[], Keys] | None = None


def measure(relation: Relation, table: Table, lob_max_kilobytes: int) -> Measure:
    """Measure a table where it is, in one SELECT (one more for every 80 columns)."""
    names = [f"c{number}" for number in range(len(table.columns))]
    text = row_text(relation.dialect, table.columns, names, lob_max_kilobytes)
    exact = (
        f"cast({row_hash(relation.dialect, text)} as decimal(38,0))"
        if relation.dialect.name != "PostgreSQL"
        else row_hash(relation.dialect, text)
    )
    aggregates = [relation.dialect.text.format(c=aggregate) for aggregate in ("count(*)", f"sum({exact})")]
    rows, total = relation.select(aggregates, names)[0] if not names else (None, None)
    columns: dict[str, ColumnMeasure] = {}
    for start in range(0, len(names), COLUMNS_AT_ONCE):
        some = list(zip(table.columns, names, strict=True))[start : start + COLUMNS_AT_ONCE]
        wanted = [part for column, name in some for part in totals(relation.dialect, column, name, lob_max_kilobytes)]
        first = aggregates if start == 0 else aggregates[:1]
        answer = relation.select([*first, *wanted], names if start == 0 else [name for _, name in some])[0]
        rows, total = (answer[0], answer[1]) if start == 0 else (rows, total)
        figures = answer[len(first) :]
        for number, (column, _) in enumerate(some):
            count, *rest = figures[4 * number : 4 * number + 4]
            columns[column.name] = ColumnMeasure(curated_type(column), int(answer[0]) - int(count), *rest)
    return Measure(int(rows), int(total or 0), columns)
