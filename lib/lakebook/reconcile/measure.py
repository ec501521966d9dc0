"""Is what arrived what the source holds? Measure a table on both sides, compare, and name the keys
that differ.
"""

from __future__ import annotations

import hashlib
import json
import math
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pandas as pd

from lakebook import evidence
from lakebook.errors import CheckError
from lakebook.reconcile.canonical_sql import hash_sum, row_text, totals
from lakebook.source.types import glue_type

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from lakebook.reconcile.differing_keys import Keys
    from lakebook.source.model import Table
    from lakebook.source.relation import Relation

COLUMNS_AT_ONCE = 80  # four aggregates each: an answer's row stays below the Data API's 64 KB
# of the largest value times the number of rows: the order of a sum is not defined
FLOAT_TOLERANCE = 1e-9


@dataclass(frozen=True)
class ColumnMeasure:
    """One column in figures; strings hashed, days and milliseconds since 1970 for dates and
    timestamps.
    """

    type: str  # Glue's
    nulls: int
    sum: str | None = None  # of a boolean: how many are true; of a binary: bytes
    min: str | None = None
    max: str | None = None


@dataclass(frozen=True)
class Measure:
    """One table in figures: rows, the sum of its rows' hashes, and each column by its name in the
    source.
    """

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
    """A table's two measures; `measured` is None where nothing is there, `keys` finds the differing
    ones when asked.
    """

    table: Table
    expected: Measure
    measured: Measure | None
    keys: Callable[[], Keys] | None = None


def measure(relation: Relation, table: Table, lob_max_kilobytes: int) -> Measure:
    """Measure a table where it is, in one SELECT (one more for every 80 columns)."""
    dialect, names = relation.dialect, relation.names
    text = row_text(dialect, table.columns, names, lob_max_kilobytes)
    rows, row_hash, columns = 0, 0, {}
    for start in range(0, len(names) or 1, COLUMNS_AT_ONCE):
        some = list(zip(table.columns, names, strict=True))[start : start + COLUMNS_AT_ONCE]
        wanted = [dialect.text.format(c="count(*)"), "null" if start else hash_sum(dialect, text)]
        wanted += [
            part
            for column, name in some
            for part in totals(dialect, column.type, name, lob_max_kilobytes)
        ]
        count, total, *figures = relation.select(
            wanted, [name for _, name in some] if start else names
        )[0]
        if not start:
            rows, row_hash = int(count), int(total or 0)
        for column, *values in zip(
            (column for column, _ in some), *(figures[n::4] for n in range(4)), strict=True
        ):
            filled, total_of, *extremes = values
            low, high = map(_hashed, extremes) if column.type.is_text else extremes
            columns[column.name] = ColumnMeasure(
                glue_type(column.type), int(count) - int(filled), total_of, low, high
            )
    return Measure(rows, row_hash, columns)


def _hashed(text: str | None) -> str | None:
    """A string's hash in its place: evidence is kept for years, and the first name in the alphabet
    is somebody's name.

    Without trailing blanks, by which Redshift does not tell strings apart.
    """
    return text and hashlib.sha256(text.rstrip(" ").encode()).hexdigest()[:12]


def measure_all(
    tables: Sequence[Table],
    where: Callable[[Table], Relation],
    lob_max_kilobytes: int,
    workers: int = 2,
) -> dict[str, Measure]:
    """Measure many tables, a few at a time, with a line for each; by catalog name in the order of
    the tables.

    Any number of workers may share a source connection: it serves one at a time.
    """
    width = max((len(table.full_name) for table in tables), default=0)

    def measured(table: Table) -> Measure:
        start, relation = time.monotonic(), where(table)
        found = measure(relation, table, lob_max_kilobytes)
        line = f"{relation.dialect.name:10}  {table.full_name:{width}}  {found.rows:>13,} rows"
        print(f"{line}  {time.monotonic() - start:6.1f} s\n", end="", flush=True)
        return found

    with ThreadPoolExecutor(max_workers=workers) as pool:
        return dict(
            zip((table.catalog_name for table in tables), pool.map(measured, tables), strict=True)
        )


def compare(expected: Measure, measured: Measure) -> list[str]:
    """The differences in words, the most telling first; empty when the two are the same."""
    words = (
        []
        if expected.rows == measured.rows
        else [f"{expected.rows:,} rows expected, {measured.rows:,} found"]
    )
    rows = max(expected.rows, measured.rows)
    for name in dict.fromkeys([*expected.columns, *measured.columns]):
        left, right = expected.columns.get(name), measured.columns.get(name)
        if left is None or right is None:
            words.append(f"column {name} is {'not expected' if left is None else 'missing'}")
        else:
            words += [
                f"{figure} of {name}: {a} expected, {b} found"
                for figure, a, b in _differing_figures(left, right, rows)
            ]
    if not words and expected.row_hash != measured.row_hash:
        words.append("counts, sums, minima and maxima agree, but the rows' hashes do not")
    return words


def gate(
    name: str,
    results: Iterable[Result],
    losses: pd.DataFrame,
    leave_out: Callable[[str, str], None] | None = None,
) -> pd.DataFrame:
    """The verdict on every table as a table, recorded: columns table, expected, measured, status,
    detail.

    The status is `match`, `known loss` (what arrived is what DMS delivers, but `losses` names
    values of this table that do not survive) or `MISMATCH`, on which CheckError is raised with the
    tables and the keys that differ; with `leave_out` it is called for each such table, with what
    differs, and the status is `left out`.
    """
    rows = [_verdict(result, losses) for result in results]
    for row in rows if leave_out else ():
        if leave_out and row["status"] == "MISMATCH":
            leave_out(str(row["table"]), f"{name} does not hold: {row['detail']}")
            row["status"] = "left out"
    frame = evidence.table(
        pd.DataFrame(rows, columns=["table", "expected", "measured", "status", "detail"])
    )
    ok = not (frame["status"] == "MISMATCH").any()
    evidence.record(
        "reconciliation",
        name=name,
        ok=ok,
        losses=int((losses["rows_affected"] > 0).sum()),
        tables=json.loads(frame.to_json(orient="records")),
    )
    if ok:
        return frame
    print(frame.to_string(index=False), flush=True)
    wrong = "; ".join(
        f"{row.table}: {row.detail}" for row in frame[frame["status"] == "MISMATCH"].itertuples()
    )
    raise CheckError(f"{name} does not hold: {wrong}.")


def _verdict(result: Result, losses: pd.DataFrame) -> dict[str, Any]:
    table, measured = result.table, result.measured
    row = {"table": table.full_name, "expected": result.expected.rows if table.replicated else 0}
    row["measured"] = measured.rows if measured else 0
    if not table.replicated:
        if row["measured"]:
            detail = f"DMS does not replicate it ({table.not_replicated}), yet there are rows"
            return {**row, "status": "MISMATCH", "detail": detail}
        detail = f"not replicated: {table.not_replicated}"
        return {**row, "status": "known loss", "detail": detail}
    empty = Measure(
        0,
        0,
        {column: ColumnMeasure(each.type, 0) for column, each in result.expected.columns.items()},
    )
    if differences := compare(result.expected, measured or empty):
        keys = f" ({result.keys()})" if result.keys and measured else ""
        return {**row, "status": "MISMATCH", "detail": "; ".join(differences[:5]) + keys}
    lost = losses[(losses["table"] == table.full_name) & (losses["rows_affected"] > 0)]
    detail = "; ".join(
        f"{each.column}: {each.loses} ({each.rows_affected:,} rows)" for each in lost.itertuples()
    )
    return {**row, "status": "known loss" if detail else "match", "detail": detail}


def _differing_figures(
    left: ColumnMeasure, right: ColumnMeasure, rows: int
) -> list[tuple[str, Any, Any]]:
    if left.type != right.type:
        return [("type", left.type, right.type)]
    largest = (
        max((abs(float(x)) for x in (left.min, left.max) if x), default=0.0)
        if left.type in ("float", "double")
        else 0.0
    )
    figures = [
        ("NULLs", str(left.nulls), str(right.nulls), 0.0),
        ("sum", left.sum, right.sum, largest * max(rows, 1)),
    ]
    figures += [
        ("minimum", left.min, right.min, largest),
        ("maximum", left.max, right.max, largest),
    ]
    return [(figure, a, b) for figure, a, b, scale in figures if not _same(left.type, a, b, scale)]


def _same(kind: str, left: str | None, right: str | None, scale: float) -> bool:
    """Whether two engines mean the same."""
    if left is None or right is None or left == right:
        return left == right
    if kind in ("float", "double"):
        return math.isclose(
            float(left), float(right), rel_tol=FLOAT_TOLERANCE, abs_tol=FLOAT_TOLERANCE * scale
        )
    return kind != "string" and Decimal(left) == Decimal(right)
