"""One database of a Redshift namespace: a DuckDB file, what DuckDB does not remember of its tables,
and the system views.
"""

from __future__ import annotations

import dataclasses
import datetime
import secrets
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from local_aws.duckdb_sql import quote
from local_aws.engines.duckdb import confined
from local_aws.redshift import late_views, rights
from local_aws.redshift import sql as redshift_sql
from local_aws.redshift.types import of_duckdb

if TYPE_CHECKING:
    from pathlib import Path

    import duckdb

    from local_aws.redshift.types import RedshiftType
    from local_aws.stand_in import StandIn

REMEMBERED = (
    "CREATE SCHEMA IF NOT EXISTS public",
    "CREATE SCHEMA IF NOT EXISTS local_aws",
    (
        "CREATE TABLE IF NOT EXISTS local_aws.tables (schema_name VARCHAR, table_name VARCHAR,"
        " diststyle VARCHAR, sortstyle VARCHAR, sorted_rows BIGINT DEFAULT 0, analyzed_rows BIGINT"
        " DEFAULT 0)"
    ),
    """CREATE TABLE IF NOT EXISTS local_aws.columns (
        schema_name VARCHAR, table_name VARCHAR, column_name VARCHAR, place INTEGER,
        type VARCHAR, name VARCHAR,
        length INTEGER, precision INTEGER, scale INTEGER, api VARCHAR, copy VARCHAR, duckdb VARCHAR,
        encoding VARCHAR, distkey BOOLEAN, sortkey INTEGER, not_null BOOLEAN,
        default_value VARCHAR)""",
    (
        "CREATE TABLE IF NOT EXISTS local_aws.external_schemas (schema_name VARCHAR, database_name"
        " VARCHAR, role_arn VARCHAR)"
    ),
)
HIDDEN = ("local_aws", "main", "information_schema", "pg_catalog")


@dataclass
class Column:
    """A column as its definition says."""

    name: str
    type: RedshiftType
    not_null: bool = False
    default: str = ""
    encoding: str = ""
    distkey: bool = False
    sortkey: int = 0  # its place in the sort key, from 1


@dataclass
class Database:
    """One database; any number of readers, one writer at a time."""

    stand_in: StandIn
    name: str
    path: Path
    where: dict[str, str]  # {"WorkgroupName": …} or {"ClusterIdentifier": …}
    superusers: tuple[str, ...]  # the administrator, and the IAM identity that made the namespace
    administrator_secret: str = ""  # ARN of the administrator's password in Secrets Manager
    iam_roles: list[str] = field(default_factory=list)
    default_role: str = ""
    writer: threading.RLock = field(default_factory=threading.RLock)
    loads: list[dict[str, Any]] = field(default_factory=list)  # what SYS_LOAD_HISTORY shows
    # password -> user, until when
    temporary_passwords: dict[str, tuple[str, datetime.datetime]] = field(default_factory=dict)
    errors: list[dict[str, Any]] = field(default_factory=list)  # what SYS_LOAD_ERROR_DETAIL shows

    def open(self) -> None:
        """Open the file, made if it is not there."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.connection = confined(self.stand_in.directory, self.path)
        for statement in (*REMEMBERED, late_views.REMEMBERED, *rights.REMEMBERED):
            self.connection.execute(statement)
        redshift_sql.prepare(self.connection)
        for name in self.superusers:
            rights.add_user(self.connection, name, superuser=True)

    def connect(self) -> duckdb.DuckDBPyConnection:
        """A connection of its own, in the schema public."""
        connection = self.connection.cursor()
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute("SET search_path = 'public,main'")
        return connection

    def password(self, user: str) -> str:
        """The encoded password that a user was given, "" where there is none."""
        found = (
            self.connect()
            .execute("SELECT password FROM local_aws.users WHERE name = ?", [user])
            .fetchall()
        )
        return str(found[0][0] or "") if found else ""

    def set_password(self, user: str, encoded: str) -> None:
        """Give a user a password."""
        self.connect().execute(
            "UPDATE local_aws.users SET password = ? WHERE name = ?", [encoded, user]
        )

    def temporary_password(
        self, user: str, seconds: int, *, create: bool = False
    ) -> tuple[str, datetime.datetime]:
        """A password that a user has for a time, and when it ends; the user is made if it is to
        `create`.
        """
        if create:
            rights.add_user(self.connect(), user)
        password, expires = (
            secrets.token_urlsafe(24),
            utc_now() + datetime.timedelta(seconds=seconds),
        )
        self.temporary_passwords[password] = (user, expires)
        return password, expires.replace(tzinfo=datetime.UTC)

    def close(self) -> None:
        """Close the file."""
        self.connection.close()


def relation_exists(connection: duckdb.DuckDBPyConnection, schema: str, name: str) -> bool:
    """Whether there is a table or a view; `schema` is "" for a temporary one."""
    found = (
        "SELECT 1 FROM (SELECT schema_name, table_name AS name, temporary FROM duckdb_tables()"
        " UNION ALL SELECT schema_name, view_name, temporary FROM duckdb_views() WHERE NOT"
        " internal) WHERE name = ? AND "
    )
    if schema:
        return bool(
            connection.execute(
                found + "schema_name = ? AND NOT temporary", [name, schema]
            ).fetchall()
        )
    return bool(connection.execute(found + "temporary", [name]).fetchall())


def schema_exists(connection: duckdb.DuckDBPyConnection, schema: str) -> bool:
    """Whether there is a schema that users may see."""
    found = connection.execute(
        "SELECT 1 FROM duckdb_schemas() WHERE schema_name = ? AND database_name ="
        " current_database()",
        [schema],
    ).fetchall()
    return bool(found) and schema not in HIDDEN


def column_types(connection: duckdb.DuckDBPyConnection, schema: str, name: str) -> dict[str, str]:
    """The columns of a relation with DuckDB's types."""
    place = (
        "schema_name = ? AND NOT internal AND database_name = current_database()"
        if schema
        else "? = '' AND database_name = 'temp'"
    )
    sql = (
        f"SELECT column_name, data_type FROM duckdb_columns() WHERE {place} AND table_name = ?"
        " ORDER BY column_index"
    )
    return dict(connection.execute(sql, [schema, name]).fetchall())


def remember(
    connection: duckdb.DuckDBPyConnection,
    schema: str,
    name: str,
    columns: list[Column],
    diststyle: str,
    sortstyle: str,
) -> None:
    """Note a new table's definition."""
    forget(connection, schema, name)
    connection.execute(
        "INSERT INTO local_aws.tables VALUES (?, ?, ?, ?, 0, 0)",
        [schema, name, diststyle, sortstyle],
    )
    for place, each in enumerate(columns, 1):
        add_column(connection, schema, name, each, place)


def add_column(
    connection: duckdb.DuckDBPyConnection, schema: str, name: str, each: Column, place: int
) -> None:
    """Note a column's definition."""
    kind = each.type
    row = [
        schema,
        name,
        each.name,
        place,
        kind.text,
        kind.name,
        kind.length,
        kind.precision,
        kind.scale,
        kind.api,
        kind.copy,
        kind.duckdb,
    ]
    row += [
        each.encoding or "none",
        each.distkey,
        each.sortkey,
        each.not_null,
        each.default or None,
    ]
    connection.execute(f"INSERT INTO local_aws.columns VALUES ({', '.join('?' * len(row))})", row)


def keep_up(
    connection: duckdb.DuckDBPyConnection, schema: str, name: str, *, sort: bool, analyze: bool
) -> None:
    """Note that a table is sorted, or its statistics are of now."""
    for due, column in ((sort, "sorted_rows"), (analyze, "analyzed_rows")):
        if due:
            connection.execute(
                f"UPDATE local_aws.tables SET {column} = (SELECT count(*) FROM"
                f" {quote(schema)}.{quote(name)}) WHERE schema_name = ? AND table_name = ?",
                [schema, name],
            )


def forget(connection: duckdb.DuckDBPyConnection, schema: str, name: str = "") -> None:
    """Drop the notes of a table, or of all tables of a schema."""
    for noted in ("tables", "columns"):
        connection.execute(
            f"DELETE FROM local_aws.{noted} WHERE schema_name = ? AND ? IN ('', table_name)",
            [schema, name],
        )


def definitions(
    connection: duckdb.DuckDBPyConnection, schema: str, name: str
) -> list[dict[str, Any]]:
    """The noted columns of a table in their order; those of a temporary one (schema "") as DuckDB
    has them.
    """
    if not schema:
        return [
            _temporary(column, kind) for column, kind in column_types(connection, "", name).items()
        ]
    return records(
        connection,
        "SELECT * FROM local_aws.columns WHERE schema_name = ? AND table_name = ? ORDER BY place",
        [schema, name],
    )


def _temporary(column: str, kind: str) -> dict[str, Any]:
    known = dataclasses.asdict(of_duckdb(kind))
    return {
        **known,
        "column_name": column,
        "type": of_duckdb(kind).text,
        "not_null": False,
        "default_value": None,
    }


def records(
    connection: duckdb.DuckDBPyConnection, sql: str, parameters: list[Any] | None = None
) -> list[dict[str, Any]]:
    """The rows of a query as dicts."""
    cursor = connection.execute(sql, parameters or [])
    names = [each[0] for each in cursor.description or []]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def utc_now() -> datetime.datetime:
    """The present moment as Redshift's timestamps have it."""
    return datetime.datetime.now(datetime.UTC).replace(tzinfo=None)
