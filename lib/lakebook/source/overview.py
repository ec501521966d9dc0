"""The source's tables as people look at them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd

if TYPE_CHECKING:
    from lakebook.source.model import Table


def overview(tables: list[Table]) -> pd.DataFrame:
    """One line a table: rows, MiB, primary key, columns, which of them are LOBs, the comment."""
    return pd.DataFrame(
        {
            "table": each.full_name,
            "rows": each.rows,
            "rows are": "estimated" if each.rows_estimated else "counted",
            "MiB": round(each.bytes / 2**20, 1),
            "primary key": ", ".join(each.primary_key) or "none",
            "columns": len(each.columns),
            "LOB columns": ", ".join(column.name for column in each.columns if column.type.is_lob),
            "comment": each.comment,
        }
        for each in tables
    )


def unmet(prerequisites: pd.DataFrame, purpose: str) -> list[str]:
    """What is missing for a purpose (`full load` or `CDC`), each with what to do."""
    missing = prerequisites[(prerequisites["for"] == purpose) & ~prerequisites["ok"].astype(bool)]
    return [
        f"{row['setting']} is {row['found']}, needed is {row['needed']}: {row['do']}"
        for _, row in missing.iterrows()
    ]


def lost(losses: pd.DataFrame) -> list[str]:
    """What of the known losses some rows suffer, for people: `schema.table column: what (rows)`."""
    return [
        f"{each.table} {each.column}: {each.loses} ({each.rows_affected:,} rows)"
        for each in losses[losses["rows_affected"] > 0].itertuples()
    ]


def plot_bytes(tables: list[Table]) -> Any:
    """A bar for each table's size on disk, the largest on top."""
    frame = overview(tables).sort_values("MiB").set_index("table")
    axes = frame["MiB"].plot.barh(
        figsize=(8, 0.35 * len(frame) + 1), color="#2a6f97", title="Size in the source"
    )
    axes.set(xlabel="MiB", ylabel="")
    axes.spines[["top", "right"]].set_visible(False)
    return axes.figure
