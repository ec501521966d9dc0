"""The Data Catalog as Lake Formation looks at it: which databases and tables there are, their
columns and where they lie.
"""

from __future__ import annotations

from typing import Any

from moto.glue.models import glue_backends

from local_aws.names import ACCOUNT


class Catalog:
    """Glue's own records, read in place: this is asked for every query."""

    def __init__(self, region: str) -> None:
        self._backend: Any = glue_backends[ACCOUNT][region]

    def databases(self) -> list[str]:
        """The names of all databases."""
        return list(self._backend.databases)

    def has_database(self, name: str) -> bool:
        """Whether there is such a database."""
        return name in self._backend.databases

    def database(self, name: str) -> dict[str, Any]:
        """The DatabaseInput it was made of."""
        found: dict[str, Any] = self._backend.databases[name].input
        return found

    def tables(self, database: str) -> list[str]:
        """The names of a database's tables; none when there is no such database."""
        return list(self._backend.databases[database].tables) if self.has_database(database) else []

    def table(self, database: str, name: str) -> dict[str, Any] | None:
        """The TableInput of a table as it is now."""
        found = (
            self._backend.databases[database].tables.get(name)
            if self.has_database(database)
            else None
        )
        return found.versions[str(found._current_version)] if found else None  # noqa: SLF001 - get_table copies the whole

    def columns(self, database: str, name: str) -> dict[str, str]:
        """The types of a table's columns, partition keys last, names in lower case."""
        table = self.table(database, name) or {}
        listed = [
            *table.get("StorageDescriptor", {}).get("Columns", []),
            *table.get("PartitionKeys", []),
        ]
        return {each["Name"].lower(): each.get("Type", "") for each in listed}

    def keys(self, database: str, name: str) -> set[str]:
        """The names of a table's partition keys."""
        return {
            each["Name"].lower()
            for each in (self.table(database, name) or {}).get("PartitionKeys", [])
        }

    def location(self, database: str, name: str = "") -> str:
        """Where a table, or a database, lies: `s3://bucket/prefix`; empty when it does not say."""
        if name:
            return str(
                (self.table(database, name) or {}).get("StorageDescriptor", {}).get("Location", "")
            )
        return (
            str(self.database(database).get("LocationUri") or "")
            if self.has_database(database)
            else ""
        )


def arn_of(location: str) -> str:
    """`arn:aws:s3:::bucket/prefix` for `s3://bucket/prefix/`."""
    return "arn:aws:s3:::" + location.partition("://")[2].rstrip("/") if location else ""


def covers(outer: str, inner: str) -> bool:
    """Whether one ARN of S3 is the other or a folder above it."""
    return f"{inner.rstrip('/')}/".startswith(f"{outer.rstrip('/*').rstrip('/')}/")
