"""A source table as JSON, which the catalog keeps with each table of the lake; every version that
catalogs hold is read.
"""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from typing import Any

from lakebook.errors import LakebookError
from lakebook.source.model import Column, ForeignKey, LakeType, Table
from lakebook.source.postgresql import version_1, version_2

VERSION = 3


def to_json(table: Table) -> str:
    """The table without what changes from day to day; equal for tables that are defined alike."""
    found = asdict(replace(table, rows=0, rows_estimated=False, bytes=0))
    for column in found["columns"]:
        del column["native"]
        column["type"] = {
            name: each
            for name, each in column["type"].items()
            if each is not None and each is not False
        }
    return json.dumps({"version": VERSION, **found}, sort_keys=True)


def from_json(text: str) -> Table:
    """The table that a catalog keeps; raises LakebookError where a newer lakebook wrote it."""
    found = json.loads(text)
    version = found.pop("version", 1)
    if version > VERSION:
        raise LakebookError(
            f"The catalog describes {found['schema']}.{found['name']} in version {version}, and"
            f" this lakebook reads up to {VERSION}: use the newer one that wrote it."
        )
    column = {1: version_1.column, 2: version_2.column}.get(version, _column)
    columns = tuple(column(each) for each in found.pop("columns"))
    foreign_keys = tuple(
        ForeignKey(
            **{**each, "columns": tuple(each["columns"]), "referenced": tuple(each["referenced"])}
        )
        for each in found.pop("foreign_keys")
    )
    primary_key = tuple(found.pop("primary_key"))
    found.pop("oid", None)  # of version 1
    return Table(**found, columns=columns, foreign_keys=foreign_keys, primary_key=primary_key)


def _column(found: dict[str, Any]) -> Column:
    return Column(**{**found, "type": LakeType(**found["type"])})
