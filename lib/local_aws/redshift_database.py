"""One database of a Redshift namespace: a DuckDB file, what DuckDB does not remember of its tables, and the system views."""

from __future__ import annotations

import datetime
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import duckdb

from local_aws import redshift_sql
from local_aws.lake_tables import literal, quote

if TYPE_CHECKING:
    from pathlib import Path

    from local_aws.redshift_types import RedshiftType
    from local_aws.stand_in import StandIn

REMEMBERED = (
    "CREATE SCHEMA IF NOT EXISTS public",
    "CREATE SCHEMA IF NOT EXISTS local_aws",
    "CREATE TABLE IF NOT EXISTS local_aws.tables (schema_name VARCHAR, table_name VARCHAR, diststyle VARCHAR, sortstyle VARCHAR)",
    """CREATE TABLE IF NOT EXISTS local_aws.columns (
        schema_name VARCHAR, table_name VARCHAR, column_name VARCHAR, place INTEGER, type VARCHAR, name VARCHAR,
        length INTEGER, precision INTEGER, scale INTEGER, api VARCHAR, copy VARCHAR, duckdb VARCHAR,
        encoding VARCHAR, distkey BOOLEAN, sortkey INTEGER, not_null BOOLEAN, default_value VARCHAR)""",
    "CREATE TABLE IF NOT EXISTS local_aws.external_schemas (schema_name VARCHAR, database_name VARCHAR, role_arn VARCHAR)",
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
    workgroup: str
    iam_roles: list[str] = field(default_factory=list)
    default_role: str = ""
    writer: threading.RLock = field(default_factory=threading.RLock)
    loads: list[dict[str, Any]] = field(default_factory=list)  # what SYS_LOAD_HISTORY shows
    errors: list[dict[str, Any]] = field(default_factory=list)  # what SYS_LOAD_ERROR_DETAIL shows

    def open(self) -> None:
        """Open the file, made if it is not there."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.connection = duckdb.connect(str(self.path))
        inside = f"allowed_directories = [{literal(str(self.stand_in.directory))}]"
        for setting in (
            inside,
            "TimeZone = 'UTC'",
            "python_enable_replacements = false",
            "autoinstall_known_extensions = false",
            "enable_external_access = false",
        ):
            self.connection.execute(f"SET {setting}")
        for statement in REMEMBERED:
            self.connection.execute(statement)
        redshift_sql.prepare(self.connection)

    def connect(self) -> duckdb.DuckDBPyConnection:
        """A connection of its own, in the schema public."""
        connection = self.connection.cursor()
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute("SET search_path = 'public,main'")
        return connection

    def close(self) -> None:
        """Close the file."""
        self.connection.close()


def relation_exists(connection: duckdb.DuckDBPyConnection, schema: str, name: str) -> bool:
    """Whether there is a table or a view; `schema` is "" for a temporary one."""
    found = "SELECT 1 FROM (SELECT schema_name, table_name AS name, temporary FROM duckdb_tables() UNION ALL SELECT schema_name, view_name, temporary FROM duckdb_views() WHERE NOT internal) WHERE name = ? AND "
    if schema:
        return bool(connection.execute(found + "schema_name = ? AND NOT temporary", [name, schema]).fetchall())
    return bool(connection.execute(found + "temporary", [name]).fetchall())


def schema_exists(connection: duckdb.DuckDBPyConnection, schema: str) -> bool:
    """Whether there is a schema that users may see."""
    found = connection.execute(
        "SELECT 1 FROM duckdb_schemas() WHERE schema_name = ? AND database_name = current_database()", [schema]
    ).fetchall()
    return bool(found) and schema not in HIDDEN


def column_types(connection: duckdb.DuckDBPyConnection, schema: str, name: str) -> dict[str, str]:
    """The columns of a relation with DuckDB's types."""
    where = (
        "schema_name = ? AND NOT t.internal AND c.database_name = current_database()"
        if schema
        else "? = '' AND c.database_name = 'temp'"
    )
    sql = f"SELECT column_name, data_type FROM duckdb_columns() c JOIN (SELECT table_oid, internal, database_name FROM duckdb_tables() UNION ALL SELECT view_oid, internal, database_name FROM duckdb_views()) t ON t.table_oid = c.table_oid AND t.database_name = c.database_name WHERE {where} AND table_name = ? ORDER BY column_index"
    return dict(connection.execute(sql, [schema, name]).fetchall())


def remember(
    connection: duckdb.DuckDBPyConnection, schema: str, name: str, columns: list[Column], diststyle: str, sortstyle: str
) -> None:
    """Note a new table's definition."""
    forget(connection, schema, name)
    connection.execute("INSERT INTO local_aws.tables VALUES (?, ?, ?, ?)", [schema, name, diststyle, sortstyle])
    for place, each in enumerate(columns, 1):
        add_column(connection, schema, name, each, place)


def add_column(connection: duckdb.DuckDBPyConnection, schema: str, name: str, each: Column, place: int) -> None:
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
    row += [each.encoding or "none", each.distkey, each.sortkey, each.not_null, each.default or None]
    connection.execute(f"INSERT INTO local_aws.columns VALUES ({', '.join('?' * len(row))})", row)


def forget(connection: duckdb.DuckDBPyConnection, schema: str, name: str = "") -> None:
    """Drop the notes of a table, or of all tables of a schema."""
    for noted in ("tables", "columns"):
        connection.execute(
            f"DELETE FROM local_aws.{noted} WHERE schema_name = ? AND ? IN ('', table_name)", [schema, name]
        )


def definitions(connection: duckdb.DuckDBPyConnection, schema: str, name: str) -> list[dict[str, Any]]:
    """The noted columns of a table in their order."""
    return _rows(
        connection,
        "SELECT * FROM local_aws.columns WHERE schema_name = ? AND table_name = ? ORDER BY place",
        [schema, name],
    )


def _rows(connection: duckdb.DuckDBPyConnection, sql: str, parameters: list[Any] | None = None) -> list[dict[str, Any]]:
    cursor = connection.execute(sql, parameters or [])
    names = [each[0] for each in cursor.description or []]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def _schemas(connection: duckdb.DuckDBPyConnection) -> list[tuple[str, str]]:
    """Every schema users see, with its type: local or external."""
    external = {row[0] for row in connection.execute("SELECT schema_name FROM local_aws.external_schemas").fetchall()}
    found = [
        row[0]
        for row in connection.execute(
            "SELECT schema_name FROM duckdb_schemas() WHERE database_name = current_database() ORDER BY 1"
        ).fetchall()
    ]
    return [(each, "external" if each in external else "local") for each in found if each not in HIDDEN]


def _tables(connection: duckdb.DuckDBPyConnection) -> list[tuple[str, str, str, str]]:
    """(schema, name, TABLE or VIEW, comment) of everything users see."""
    hidden = ", ".join(map(literal, HIDDEN))
    return connection.execute(
        f"SELECT schema_name, table_name, 'TABLE', coalesce(comment, '') FROM duckdb_tables() WHERE NOT internal AND NOT temporary AND schema_name NOT IN ({hidden})"
        f" UNION ALL SELECT schema_name, view_name, 'VIEW', coalesce(comment, '') FROM duckdb_views() WHERE NOT internal AND NOT temporary AND schema_name NOT IN ({hidden}) ORDER BY 1, 2"
    ).fetchall()


def _columns(connection: duckdb.DuckDBPyConnection) -> list[dict[str, Any]]:
    return _rows(
        connection,
        "SELECT n.*, coalesce(c.comment, '') AS remarks FROM local_aws.columns n LEFT JOIN duckdb_columns() c ON c.schema_name = n.schema_name AND c.table_name = n.table_name AND c.column_name = n.column_name AND NOT c.internal ORDER BY 1, 2, place",
    )


View = tuple[dict[str, str], list[list[Any]]]  # column -> DuckDB's type, rows


def system_view(database: Database, connection: duckdb.DuckDBPyConnection, name: str) -> View | None:
    """A system view of Redshift as it is now, or None when local_aws has none of that name.

    https://docs.aws.amazon.com/redshift/latest/dg/cm_chap_system-tables.html
    """
    base = database.name
    if name in ("svv_all_schemas", "svv_redshift_schemas", "information_schema.schemata"):
        if name == "information_schema.schemata":
            return _texts(
                "catalog_name schema_name schema_owner",
                [[base, schema, "admin"] for schema, _ in _schemas(connection)],
            )
        rows = [
            [base, schema, 100, kind, None, None, None]
            for schema, kind in _schemas(connection)
            if name == "svv_all_schemas" or kind == "local"
        ]
        return {
            **_text("database_name schema_name"),
            "schema_owner": "INTEGER",
            **_text("schema_type schema_acl source_database schema_option"),
        }, rows
    if name in ("svv_all_tables", "svv_redshift_tables"):
        return _texts(
            "database_name schema_name table_name table_type table_acl remarks",
            [[base, schema, table, kind, None, comment] for schema, table, kind, comment in _tables(connection)],
        )
    if name in ("svv_tables", "information_schema.tables"):
        rows = [
            [base, schema, table, "BASE TABLE" if kind == "TABLE" else kind, comment]
            for schema, table, kind, comment in _tables(connection)
        ]
        return _texts("table_catalog table_schema table_name table_type remarks", rows)
    if name in ("svv_columns", "information_schema.columns", "svv_all_columns", "svv_redshift_columns"):
        return _column_view(base, connection, name)
    if name == "svv_table_info":
        return _table_info(base, connection)
    if name == "pg_table_def":
        columns = {
            **_text("schemaname tablename column type encoding"),
            "distkey": "BOOLEAN",
            "sortkey": "INTEGER",
            "notnull": "BOOLEAN",
        }
        path = connection.execute("SELECT current_setting('search_path')").fetchall()[0][0].split(",")
        rows = [
            [
                each[key]
                for key in (
                    "schema_name",
                    "table_name",
                    "column_name",
                    "type",
                    "encoding",
                    "distkey",
                    "sortkey",
                    "not_null",
                )
            ]
            for each in _columns(connection)
            if each["schema_name"] in path
        ]
        return columns, rows
    if name in ("svv_external_schemas", "sys_load_history", "sys_load_error_detail"):
        return _other_view(database, connection, name)
    return None


def _column_view(base: str, connection: duckdb.DuckDBPyConnection, name: str) -> View:
    whole = ("INTEGER", "ordinal_position character_maximum_length numeric_precision numeric_scale")
    prefix = (
        "table_catalog table_schema"
        if name in ("svv_columns", "information_schema.columns")
        else "database_name schema_name"
    )
    columns = {
        **_text(f"{prefix} table_name column_name"),
        "ordinal_position": whole[0],
        **_text("column_default is_nullable data_type"),
    }
    columns |= {**dict.fromkeys(whole[1].split()[1:], whole[0]), "remarks": "VARCHAR"}
    names = ("schema_name", "table_name", "column_name", "place", "default_value")
    rows = [
        [
            base,
            *(each[name] for name in names),
            "NO" if each["not_null"] else "YES",
            each["name"],
            *_sizes(each),
            each["remarks"],
        ]
        for each in _columns(connection)
    ]
    return columns, rows


def _sizes(column: dict[str, Any]) -> list[int | None]:
    """Longest text, precision and scale, each only where the type has it."""
    scale = column["scale"] if column["precision"] else None
    return [column["length"] or None, column["precision"] or None, scale]


def _table_info(base: str, connection: duckdb.DuckDBPyConnection) -> View:
    """SVV_TABLE_INFO: nothing of empty tables, as the documentation says."""
    columns = {
        "database": "VARCHAR",
        "schema": "VARCHAR",
        "table_id": "INTEGER",
        "table": "VARCHAR",
        "encoded": "VARCHAR",
        "diststyle": "VARCHAR",
        "sortkey1": "VARCHAR",
    }
    columns |= {
        "max_varchar": "INTEGER",
        "sortkey_num": "INTEGER",
        "size": "BIGINT",
        "tbl_rows": "DECIMAL(38,0)",
        "estimated_visible_rows": "DECIMAL(38,0)",
    }
    rows, noted = [], _columns(connection)
    for number, (schema, table, diststyle, sortstyle) in enumerate(
        connection.execute("SELECT * FROM local_aws.tables ORDER BY 1, 2").fetchall(), 100_001
    ):
        mine = [each for each in noted if (each["schema_name"], each["table_name"]) == (schema, table)]
        count = connection.execute(f"SELECT count(*) FROM {quote(schema)}.{quote(table)}").fetchall()[0][0]
        keys = sorted((each["sortkey"], each["column_name"]) for each in mine if each["sortkey"])
        distkey = next((each["column_name"] for each in mine if each["distkey"]), "")
        style = f"KEY({distkey})" if distkey else diststyle
        first = "INTERLEAVED" if sortstyle == "interleaved" else keys[0][1] if keys else "AUTO(SORTKEY)"
        widest = max((each["length"] for each in mine if "char" in each["name"]), default=0)
        if count:
            rows.append(
                [
                    base,
                    schema,
                    number,
                    table,
                    "Y, AUTO(ENCODE)",
                    style,
                    first,
                    widest,
                    len(keys),
                    max(count // 10_000, 1),
                    count,
                    count,
                ]
            )
    return columns, rows


def _other_view(database: Database, connection: duckdb.DuckDBPyConnection, name: str) -> View:
    if name == "svv_external_schemas":
        rows = connection.execute(
            "SELECT schema_name, database_name, role_arn FROM local_aws.external_schemas"
        ).fetchall()
        return {"esoid": "INTEGER", "eskind": "INTEGER", **_text("schemaname databasename esoptions")}, [
            [0, 1, schema, base, f'{{"IAM_ROLE":"{role}"}}'] for schema, base, role in rows
        ]
    whole, moment = "BIGINT", "TIMESTAMP"
    columns = {"user_id": "INTEGER", "query_id": whole}
    if name == "sys_load_history":
        columns |= {
            **_text("status table_name"),
            "start_time": moment,
            "end_time": moment,
            "duration": whole,
            **_text("data_source file_format"),
        }
        columns |= {
            "loaded_rows": whole,
            "loaded_bytes": whole,
            "source_file_count": "INTEGER",
            "source_file_bytes": whole,
            "error_count": "INTEGER",
        }
        return columns, [[each[column] for column in columns] for each in database.loads]
    columns |= {
        **_text("table_name"),
        "start_time": moment,
        **_text("file_name column_name column_type"),
        "error_code": "INTEGER",
        "error_message": "VARCHAR",
    }
    return columns, [[each[column] for column in columns] for each in database.errors]


def _text(names: str) -> dict[str, str]:
    return dict.fromkeys(names.split(), "VARCHAR")


def _texts(names: str, rows: list[list[Any]]) -> View:
    return _text(names), rows


def utc_now() -> datetime.datetime:
    """The present moment as Redshift's timestamps have it."""
    return datetime.datetime.now(datetime.UTC).replace(tzinfo=None)
