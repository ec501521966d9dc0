"""Views WITH NO SCHEMA BINDING: kept as text, read anew by every query that uses them, with the
rights of who made them.

https://docs.aws.amazon.com/redshift/latest/dg/r_CREATE_VIEW.html
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from sqlglot import exp

from local_aws.duckdb_sql import quote
from local_aws.redshift import sql
from local_aws.redshift.sql import RedshiftError

if TYPE_CHECKING:
    import duckdb

QUERY = re.compile(
    r"\bVIEW\b.*?\bAS\s+(.*?)\s*WITH\s+NO\s+SCHEMA\s+BINDING\s*", re.IGNORECASE | re.DOTALL
)
REMEMBERED = (
    "CREATE TABLE IF NOT EXISTS local_aws.late_views (schema_name VARCHAR, view_name VARCHAR, sql"
    " VARCHAR)"
)


def create(
    connection: duckdb.DuckDBPyConnection, schema: str, name: str, tree: exp.Create, text: str
) -> None:
    """Keep the text; the name is held by a view of DuckDB's that nobody reads."""
    found = QUERY.search(text)
    if not found or not isinstance(tree.expression, exp.Query):
        raise RedshiftError('syntax error at or near "VIEW"')
    if isinstance(tree.this, exp.Schema):
        raise RedshiftError(
            "local_aws names the columns of a late-binding view in its query, not behind its name"
        )
    if unqualified := next((each for each in _tables(tree.expression) if not each.db), None):
        raise RedshiftError(
            "All the relation names inside should be qualified when creating VIEW WITH NO SCHEMA"
            f' BINDING: "{unqualified.name}" is not'
        )
    verb = "CREATE OR REPLACE VIEW" if tree.args.get("replace") else "CREATE VIEW"
    connection.execute(f"{verb} {quote(schema)}.{quote(name)} AS SELECT 'late binding' AS query")
    forget(connection, schema, name)
    connection.execute(
        "INSERT INTO local_aws.late_views VALUES (?, ?, ?)", [schema, name, found[1]]
    )


def query(connection: duckdb.DuckDBPyConnection, schema: str, name: str) -> exp.Expr | None:
    """The query of a late-binding view, None where it is no such view."""
    found = connection.execute(
        "SELECT sql FROM local_aws.late_views WHERE schema_name = ? AND view_name = ?",
        [schema, name],
    ).fetchall()
    return sql.parse(found[0][0])[0] if found else None


def forget(connection: duckdb.DuckDBPyConnection, schema: str, name: str = "") -> None:
    """Drop the text of a view, or of all views of a schema."""
    connection.execute(
        "DELETE FROM local_aws.late_views WHERE schema_name = ? AND ? IN ('', view_name)",
        [schema, name],
    )


def _tables(tree: exp.Expr) -> list[exp.Table]:
    named = {each.alias for each in tree.find_all(exp.CTE)}
    return [
        each
        for each in tree.find_all(exp.Table)
        if isinstance(each.this, exp.Identifier) and each.name not in named
    ]
