"""What a layer cannot hold of the source, measured there before anything is copied."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd

from lakebook.errors import LakebookError
from lakebook.reconcile.canonical_sql import ATHENA, REDSHIFT
from lakebook.reconcile.measure import measure
from lakebook.source import table_json
from lakebook.source.relation import Relation
from lakebook.source.types import LONGEST_VARBYTE_BYTES, LONGEST_VARCHAR_BYTES, longest_bytes

if TYPE_CHECKING:
    from lakebook.source.dialect import Dialect
    from lakebook.source.model import Column, Table
    from lakebook.source.source import Source

# https://docs.aws.amazon.com/redshift/latest/dg/r_CREATE_TABLE_usage.html
MOST_COLUMNS = 1_600
# https://docs.aws.amazon.com/redshift/latest/dg/r_Numeric_types201.html
MOST_DECIMALS = 37
# https://docs.aws.amazon.com/glue/latest/webapi/API_TableInput.html
LONGEST_PARAMETER_BYTES = 512_000
COLUMNS = ["table", "column", "limit", "found", "do"]
LEAVE_OUT = "leave the table out (excluded_tables)"


def limits(source: Source, tables: list[Table], lob_max_kilobytes: int) -> pd.DataFrame:
    """What of these tables a layer cannot hold: columns table, column, limit, found, do."""
    found = [
        {"table": table.full_name, **dict(zip(COLUMNS[1:], each, strict=True))}
        for table in tables
        if table.replicated
        for each in [
            *_of_table(table, lob_max_kilobytes),
            *_of_values(source, table, lob_max_kilobytes),
        ]
    ]
    return pd.DataFrame(found, columns=COLUMNS)


def _of_table(table: Table, lob_max_kilobytes: int) -> list[tuple[str, str, str, str]]:
    found = []
    # a document has a column for its text beside it
    columns = len(table.columns) + sum(each.type.name == "document" for each in table.columns)
    if columns > MOST_COLUMNS:
        found.append(("", f"{MOST_COLUMNS:,} columns of Redshift", f"{columns:,}", LEAVE_OUT))
    else:
        found += [
            ("", f"the longest statement of {each.name}", "longer", LEAVE_OUT)
            for each in (ATHENA, REDSHIFT)
            if not _can_be_compared(each, table, lob_max_kilobytes)
        ]
    size = len(table_json.to_json(table).encode())
    if size > LONGEST_PARAMETER_BYTES:
        limit = f"{LONGEST_PARAMETER_BYTES:,} bytes of a table's description in Glue"
        found.append(("", limit, f"{size:,}", f"{LEAVE_OUT}, or shorten the columns' comments"))
    found += [
        (
            each.name,
            f"{MOST_DECIMALS} decimals of Redshift",
            str(each.type.scale),
            f"{LEAVE_OUT}, or declare the column with fewer decimals in the source",
        )
        for each in table.columns
        if (each.type.scale or 0) > MOST_DECIMALS
    ]
    return found


class _AskedError(Exception):
    """A statement was short enough to be sent."""


def _can_be_compared(dialect: Dialect, table: Table, lob_max_kilobytes: int) -> bool:
    """Whether the statement that compares the table is one that the engine takes."""

    def run(_sql: str) -> list[list[Any]]:
        raise _AskedError

    names = tuple(dialect.quote(each.catalog_name) for each in table.columns)
    # longer than any path of ours
    relation = Relation(dialect, dialect.quote("x" * 127, "x" * 127, "x" * 127), names, run)
    try:
        measure(relation, table, lob_max_kilobytes)
    except _AskedError:
        return True
    except LakebookError:
        return False
    return True


def _of_values(
    source: Source, table: Table, lob_max_kilobytes: int
) -> list[tuple[str, str, str, str]]:
    """Values that do not fit, counted as they will be delivered, in one pass over the table."""
    dialect, relation = source.dialect, source.relation(table, lob_max_kilobytes)
    asked = [
        (column, *limit)
        for column, name in zip(table.columns, relation.names, strict=True)
        if (limit := _limit(dialect, column, name, lob_max_kilobytes))
    ]
    found = []
    for start in range(0, len(asked), 400):  # of the columns that an answer may have
        some = asked[start : start + 400]
        wanted = [f"count(case when {condition} then 1 end)" for *_, condition in some]
        [counts] = relation.select(wanted, relation.names)
        found += [
            (column.name, limit, f"{count:,} values", do)
            for (column, limit, do, _), count in zip(some, counts, strict=True)
            if count
        ]
    return found


def _limit(
    dialect: Dialect, column: Column, c: str, lob_max_kilobytes: int
) -> tuple[str, str, str] | None:
    """What a column's values may exceed, what to do then, and the condition that finds them."""
    each = column.type
    size = dialect.bytes.format(c=c)
    if each.name == "timestamp":
        # Athena has no more than milliseconds, rounded half up
        return (
            "9999-12-31 23:59:59.999 of Athena",
            "nothing: Athena shows 10000-01-01 00:00:00, Redshift and the files what they are",
            f"{c} >= timestamp '9999-12-31 23:59:59.9995'",
        )
    longest = LONGEST_VARBYTE_BYTES if each.name == "binary" else LONGEST_VARCHAR_BYTES
    if not (each.is_text or each.name == "binary"):
        return None
    if longest_bytes(each, lob_max_kilobytes) <= longest:
        return None
    kind = "varbyte" if each.name == "binary" else "varchar"
    do = (
        f"set lob_max_kilobytes to {longest // 1024} or less, which cuts them, or {LEAVE_OUT}"
        if each.is_lob
        else LEAVE_OUT
    )
    return f"{longest:,} bytes of Redshift's {kind}", do, f"{size} > {longest}"
