"""Redshift's system views, made from what DuckDB and our own notes know when they are asked.

https://docs.aws.amazon.com/redshift/latest/dg/cm_chap_system-tables.html
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from local_aws.duckdb_sql import literal, quote
from local_aws.redshift.database import HIDDEN, records
from local_aws.redshift.rights_views import rights_view

if TYPE_CHECKING:
    import duckdb

    from local_aws.redshift.database import Database


SLICES = 2  # of a node
View = tuple[dict[str, str], list[list[Any]]]  # column -> DuckDB's type, rows


def _schemas(connection: duckdb.DuckDBPyConnection) -> list[tuple[str, str]]:
    """Every schema users see, with its type: local or external."""
    external = {
        row[0]
        for row in connection.execute(
            "SELECT schema_name FROM local_aws.external_schemas"
        ).fetchall()
    }
    found = [
        row[0]
        for row in connection.execute(
            "SELECT schema_name FROM duckdb_schemas() WHERE database_name = current_database()"
            " ORDER BY 1"
        ).fetchall()
    ]
    return [
        (each, "external" if each in external else "local") for each in found if each not in HIDDEN
    ]


def _tables(connection: duckdb.DuckDBPyConnection) -> list[tuple[str, str, str, str]]:
    """(schema, name, TABLE or VIEW, comment) of everything users see."""
    hidden = ", ".join(map(literal, HIDDEN))
    return connection.execute(
        "SELECT schema_name, table_name, 'TABLE', coalesce(comment, '') FROM duckdb_tables() WHERE"
        f" NOT internal AND NOT temporary AND schema_name NOT IN ({hidden}) UNION ALL SELECT"
        " schema_name, view_name, 'VIEW', coalesce(comment, '') FROM duckdb_views() WHERE NOT"
        f" internal AND NOT temporary AND schema_name NOT IN ({hidden}) ORDER BY 1, 2"
    ).fetchall()


def _columns(connection: duckdb.DuckDBPyConnection) -> list[dict[str, Any]]:
    return records(
        connection,
        "SELECT n.*, coalesce(c.comment, '') AS remarks FROM local_aws.columns n LEFT JOIN"
        " duckdb_columns() c ON c.schema_name = n.schema_name AND c.table_name = n.table_name AND"
        " c.column_name = n.column_name AND NOT c.internal ORDER BY 1, 2, place",
    )


def system_view(
    database: Database, connection: duckdb.DuckDBPyConnection, name: str
) -> View | None:
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
            [
                [base, schema, table, kind, None, comment]
                for schema, table, kind, comment in _tables(connection)
            ],
        )
    if name in ("svv_tables", "information_schema.tables"):
        rows = [
            [base, schema, table, "BASE TABLE" if kind == "TABLE" else kind, comment]
            for schema, table, kind, comment in _tables(connection)
        ]
        return _texts("table_catalog table_schema table_name table_type remarks", rows)
    if name in (
        "svv_columns",
        "information_schema.columns",
        "svv_all_columns",
        "svv_redshift_columns",
    ):
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
        path = (
            connection.execute("SELECT current_setting('search_path')").fetchall()[0][0].split(",")
        )
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
    return rights_view(connection, name)


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
        **dict.fromkeys(("unsorted", "stats_off"), "DECIMAL(5,2)"),
        **dict.fromkeys(("skew_sortkey1", "skew_rows"), "DECIMAL(19,2)"),
    }
    rows, noted = [], _columns(connection)
    for number, (schema, table, diststyle, sortstyle) in enumerate(
        connection.execute(
            "SELECT schema_name, table_name, diststyle, sortstyle FROM local_aws.tables ORDER BY"
            " 1, 2"
        ).fetchall(),
        100_001,
    ):
        mine = [
            each for each in noted if (each["schema_name"], each["table_name"]) == (schema, table)
        ]
        count = connection.execute(
            f"SELECT count(*) FROM {quote(schema)}.{quote(table)}"
        ).fetchall()[0][0]
        keys = sorted((each["sortkey"], each["column_name"]) for each in mine if each["sortkey"])
        distkey = next((each["column_name"] for each in mine if each["distkey"]), "")
        style = f"KEY({distkey})" if distkey else diststyle
        first = (
            "INTERLEAVED" if sortstyle == "interleaved" else keys[0][1] if keys else "AUTO(SORTKEY)"
        )
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
                    *_condition(connection, schema, table, count, distkey, sorts=bool(keys)),
                ]
            )
    return columns, rows


def _condition(
    connection: duckdb.DuckDBPyConnection,
    schema: str,
    table: str,
    count: int,
    distkey: str,
    *,
    sorts: bool,
) -> list[float | None]:
    """Percent of rows unsorted behind others, percent by which statistics are off, skew of the
    first sort key (not measured), of the slices.

    The last is the rows of the fullest slice over those of the emptiest.
    """
    noted = connection.execute(
        "SELECT sorted_rows, analyzed_rows FROM local_aws.tables WHERE schema_name = ? AND"
        " table_name = ?",
        [schema, table],
    ).fetchall()[0]
    unsorted = max(count - noted[0], 0) * 100 / count if sorts else None
    stale = min(abs(count - noted[1]) * 100 / count, 100)
    if not distkey:
        return [unsorted, stale, None, None]
    slices = (
        f"SELECT count(*) AS n FROM {quote(schema)}.{quote(table)} GROUP BY hash({quote(distkey)})"
        f" % {SLICES}"
    )
    most, least, filled = connection.execute(
        f"SELECT max(n), min(n), count(*) FROM ({slices})"
    ).fetchall()[0]
    return [unsorted, stale, None, most / least if filled == SLICES else float(most)]


def _other_view(database: Database, connection: duckdb.DuckDBPyConnection, name: str) -> View:
    if name == "svv_external_schemas":
        rows = connection.execute(
            "SELECT schema_name, database_name, role_arn FROM local_aws.external_schemas"
        ).fetchall()
        return {
            "esoid": "INTEGER",
            "eskind": "INTEGER",
            **_text("schemaname databasename esoptions"),
        }, [[0, 1, schema, base, f'{{"IAM_ROLE":"{role}"}}'] for schema, base, role in rows]
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
