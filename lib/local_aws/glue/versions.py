"""The versions of a catalog table, each with the moment it was made: moto keeps them and forgets
the moments.
"""

from __future__ import annotations

from typing import Any

from moto.glue.models import FakeTable

_update, _as_dict = FakeTable.update, FakeTable.as_dict


def keep_moments() -> None:
    """Make moto's tables tell of each version its own UpdateTime, and of a new table when it was
    created, as Glue does.
    """
    FakeTable.update, FakeTable.as_dict = _updated, _described


def _updated(table: Any, table_input: dict[str, Any]) -> None:
    _update(table, table_input)
    table.moments = {**getattr(table, "moments", {}), list(table.versions)[-1]: table.updated_time}


def _described(table: Any, version: str | None = None) -> dict[str, Any]:
    found: dict[str, Any] = _as_dict(table, version)
    return {
        **found,
        "UpdateTime": getattr(table, "moments", {}).get(found["VersionId"], table.created_time),
    }
