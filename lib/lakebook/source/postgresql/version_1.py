"""The columns that catalogs hold from before the lake had types of its own."""

from __future__ import annotations

from typing import Any

from lakebook.source.model import Column
from lakebook.source.postgresql.types import PostgreSQLType


def column(found: dict[str, Any]) -> Column:
    """The column as it is described today."""
    kept = PostgreSQLType(found["kind"], found["precision"], found["scale"], found["length"])
    return Column(
        found["name"],
        found["catalog_name"],
        found["type"],
        kept.lake_type,
        found["nullable"],
        found["comment"],
        found["generated"],
        kept.may_arrive_null,
    )
