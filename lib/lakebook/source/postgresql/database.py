"""A PostgreSQL database as a source."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from lakebook.source.postgresql import catalog, checks, connection
from lakebook.source.postgresql.delivered import delivered
from lakebook.source.postgresql.dialect import POSTGRESQL
from lakebook.source.relation import Relation

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pandas as pd

    from lakebook.source.model import Table


class PostgreSQL:
    """The database that a secret describes; see `lakebook.source.source.Source`."""

    dialect = POSTGRESQL

    def __init__(
        self, secret: str, *, statement_timeout_seconds: int, connect_timeout_seconds: int
    ) -> None:
        self.secret = secret
        self.connection: Any = connection.connect(
            secret,
            statement_timeout_seconds=statement_timeout_seconds,
            connect_timeout_seconds=connect_timeout_seconds,
        )

    def __repr__(self) -> str:
        return f"the PostgreSQL database of secret '{self.secret}'"

    @property
    def database(self) -> str:
        """Its name."""
        return str(self.query("select current_database()")[0][0])

    @property
    def identity(self) -> str:
        """The cluster's system identifier and the database's oid; the database's name instead of
        the identifier where the role may not read that.
        """
        [[name, oid, readable]] = self.query(
            "select current_database(), oid::bigint,"
            " has_function_privilege('pg_control_system()', 'execute')"
            " from pg_database where datname = current_database()"
        )
        cluster = (
            self.query("select system_identifier from pg_control_system()")[0][0]
            if readable
            else name
        )
        return f"{cluster}/{oid}"

    def query(self, sql: str) -> list[list[Any]]:
        """The rows of one statement."""
        return connection.query(self.connection, sql)

    def tables(self, schemas: list[str], excluded: Iterable[str] = ()) -> list[Table]:
        """The ordinary and partitioned tables of the schemas."""
        return catalog.tables(self.connection, schemas, excluded)

    def prerequisites(self, tables: list[Table]) -> pd.DataFrame:
        """What DMS needs of PostgreSQL."""
        return checks.prerequisites(self.connection, tables)

    def losses(self, tables: list[Table], lob_max_kilobytes: int) -> pd.DataFrame:
        """What will not survive DMS, counted where it depends on values."""
        return checks.losses(self.connection, tables, lob_max_kilobytes)

    def fingerprint(self, tables: list[Table]) -> str:
        """A hash of every row's version and of the tables' definitions."""
        return checks.fingerprint(self.connection, tables)

    def relation(self, table: Table, lob_max_kilobytes: int) -> Relation:
        """A table, each value as DMS should deliver it."""
        expressions = tuple(delivered(column, lob_max_kilobytes) for column in table.columns)
        run = partial(connection.query, self.connection)
        return Relation(POSTGRESQL, catalog.relation_name(table), expressions, run)

    def dms_endpoint(self, role_arn: str, ssl_mode: str) -> dict[str, Any]:
        """DMS's endpoint: credentials by the secret's name, nothing written to the source."""
        settings = {
            "DatabaseName": self.database,
            "SecretsManagerSecretId": self.secret,
            "SecretsManagerAccessRoleArn": role_arn,
            "MapBooleanAsBoolean": True,
            "CaptureDdls": False,
            "HeartbeatEnable": False,
        }
        return {"EngineName": "postgres", "SslMode": ssl_mode, "PostgreSQLSettings": settings}

    def close(self) -> None:
        """End the connection."""
        self.connection.close()
