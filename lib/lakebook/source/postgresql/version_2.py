"""The columns that catalogs hold from before they said which values arrive as NULL."""

from __future__ import annotations

from typing import Any

from lakebook.source.model import Column, LakeType


def column(found: dict[str, Any]) -> Column:
    """The column as it is described today."""
    kept = LakeType(**found["type"])
    may_arrive_null = (kept.name == "decimal" and kept.digits is None) or (
        found["source_type"].startswith("interval") and kept.name == "string"
    )
    return Column(**{**found, "type": kept, "may_arrive_null": may_arrive_null})
