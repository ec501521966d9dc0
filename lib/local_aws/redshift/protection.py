"""Columns and rows that a user does not see: column privileges and row-level security, of every
statement that reads.

A query of a protected table reads a temporary copy of what its user may see, so that no predicate,
however clever, is ever evaluated on anything else.
https://docs.aws.amazon.com/redshift/latest/dg/t_rls.html,
https://docs.aws.amazon.com/redshift/latest/dg/r_GRANT-usage-notes.html#r_GRANT-usage-notes-clp
"""

from __future__ import annotations

import hashlib
import json
import re
from typing import TYPE_CHECKING

import sqlglot
import sqlglot.errors
from sqlglot import exp
from sqlglot.optimizer.scope import traverse_scope

from local_aws.duckdb_sql import quote
from local_aws.redshift import sql as redshift_sql
from local_aws.redshift.database import column_types, relation_exists
from local_aws.redshift.grants import NAME, grantees, identifiers
from local_aws.redshift.rights import IDENTITIES
from local_aws.redshift.sql import RedshiftError

if TYPE_CHECKING:
    from collections.abc import Callable

    import duckdb

    from local_aws.redshift.session import Session

TABLE = rf"{NAME}(?:\.{NAME})?"
CREATE = re.compile(
    rf"CREATE\s+RLS\s+POLICY\s+(?P<name>{NAME})\s+(?:WITH\s*\((?P<columns>.+?)\)\s*(?:AS\s+{NAME}\s+)?)?USING\s*\((?P<predicate>.+)\)",
    re.IGNORECASE | re.DOTALL,
)
DROP = re.compile(
    rf"DROP\s+RLS\s+POLICY\s+(?P<exists>IF\s+EXISTS\s+)?(?P<name>{NAME})(?:\s+(?P<cascade>CASCADE|RESTRICT))?",
    re.IGNORECASE,
)
ATTACH = re.compile(
    rf"(?P<verb>ATTACH|DETACH)\s+RLS\s+POLICY\s+(?P<name>{NAME})\s+ON\s+(?:TABLE\s+)?(?P<tables>{TABLE}(?:\s*,\s*{TABLE})*)\s+(?:TO|FROM)\s+(?P<who>.+)",
    re.IGNORECASE | re.DOTALL,
)
SWITCH = re.compile(
    rf"ALTER\s+TABLE\s+(?P<table>{TABLE})\s+ROW\s+LEVEL\s+SECURITY\s+(?P<state>ON|OFF)(?:\s+CONJUNCTION\s+TYPE\s+(?P<conjunction>AND|OR))?",
    re.IGNORECASE,
)


def run(session: Session, text: str) -> None:
    """Do a statement about policies of rows; raises RedshiftError."""
    session.rights.administer("manage row-level security")
    for pattern, do in STATEMENTS:
        if found := pattern.fullmatch(text):
            return do(session, found)
    raise RedshiftError(f"local_aws does not do this statement: {' '.join(text.split())[:100]}")


def shown(
    session: Session, schema: str, name: str, columns: dict[str, str], visible: set[str]
) -> tuple[str, str]:
    """Where the rows and columns of a table are that the session's user may see: (schema, name),
    its own where nothing is hidden.
    """
    predicate = _predicate(session, schema, name)
    if predicate is None and visible == set(columns):
        return schema, name
    place = (
        "seen_"
        + hashlib.sha256(
            json.dumps([schema, name, sorted(visible), predicate]).encode()
        ).hexdigest()[:16]
    )
    listed = ", ".join(
        f"{quote(each) if each in visible else 'NULL'}::{kind} AS {quote(each)}"
        for each, kind in columns.items()
    )
    where = f" WHERE {predicate}" if predicate is not None else ""
    session.connection.execute(
        f"CREATE OR REPLACE TEMP TABLE {quote(place)} AS SELECT {listed} FROM"
        f" {quote(schema)}.{quote(name)}{where}"
    )
    return "", place


def check_columns(tree: exp.Expr, hidden: dict[str, tuple[str, set[str]]]) -> None:
    """Raise RedshiftError when a qualified query names a column that is hidden; `hidden` is place
    -> (relation, columns).
    """
    for scope in traverse_scope(tree) if hidden else []:
        places = {
            alias: hidden[source.name]
            for alias, source in scope.sources.items()
            if isinstance(source, exp.Table) and source.name in hidden
        }
        for each in scope.columns:
            relation, columns = places.get(each.table, ("", set()))
            if each.name in columns:
                raise RedshiftError(f"permission denied for relation {relation}")


def protected(connection: duckdb.DuckDBPyConnection, schema: str, name: str) -> bool:
    """Whether row-level security is on for a table."""
    return bool(
        connection.execute(
            "SELECT 1 FROM local_aws.rls_relations WHERE schema_name = ? AND relation_name = ?",
            [schema, name],
        ).fetchall()
    )


def check_view(connection: duckdb.DuckDBPyConnection, schema: str, name: str) -> None:
    """Raise RedshiftError for a view that is bound to a table with row-level security: DuckDB keeps
    it, past our policies.
    """
    found = connection.execute(
        "SELECT sql FROM duckdb_views() WHERE schema_name = ? AND view_name = ?", [schema, name]
    ).fetchall()
    if not found:
        return
    tables = {
        (each.db, each.name)
        for each in sqlglot.parse_one(found[0][0], read="duckdb").find_all(exp.Table)
    }
    if any(protected(connection, *each) for each in tables):
        raise RedshiftError(
            "local_aws does row-level security below views WITH NO SCHEMA BINDING only"
        )


def _predicate(session: Session, schema: str, name: str) -> str | None:
    """What a row must meet for the session's user, in DuckDB's words; None where row-level security
    is off, or for a superuser.
    """
    rows = session.connection.execute(
        "SELECT conjunction FROM local_aws.rls_relations WHERE schema_name = ? AND"
        " relation_name = ?",
        [schema, name],
    ).fetchall()
    if not rows or session.rights.superuser:
        return None
    sql = (
        f"SELECT DISTINCT p.name, p.predicate FROM local_aws.rls_attached a JOIN ({IDENTITIES}) i"
        " ON i.kind = a.kind AND i.name = a.name JOIN local_aws.rls_policies p ON p.name ="
        " a.policy WHERE a.schema_name = ? AND a.relation_name = ? ORDER BY 1"
    )
    policies = session.connection.execute(sql, [session.user, schema, name]).fetchall()
    columns = column_types(session.connection, schema, name)
    parts = [_translated(predicate, schema, name, columns) for _, predicate in policies]
    return f" {rows[0][0]} ".join(f"({each})" for each in parts) or "false"


def _translated(predicate: str, schema: str, name: str, columns: dict[str, str]) -> str:
    [tree] = redshift_sql.parse(
        f"SELECT 1 AS one FROM {quote(schema)}.{quote(name)} WHERE {predicate}"
    )
    typed = redshift_sql.translate(
        tree,
        {schema: {name: {each: redshift_sql.named_type(kind) for each, kind in columns.items()}}},
    )
    condition = typed.args["where"].this
    for each in condition.find_all(exp.Column):
        each.set("table", None)
    return str(condition.sql(dialect="duckdb"))


def _create(session: Session, found: re.Match[str]) -> None:
    name, columns = identifiers(found["name"])[0], found["columns"] or ""
    if _policy(session, name):
        raise RedshiftError(f'RLS policy "{name}" already exists')
    try:
        tree = sqlglot.parse_one(f"SELECT 1 WHERE {found['predicate']}", read="redshift")
    except sqlglot.errors.SqlglotError as wrong:
        raise RedshiftError('syntax error at or near "USING"') from wrong
    if len(list(tree.find_all(exp.Select))) > 1:
        raise RedshiftError(
            "local_aws does not do policies that look something up in another table"
        )
    redshift_sql.check_functions(tree, f"SELECT 1 WHERE {found['predicate']}")
    declared = [identifiers(each)[0] for each in re.split(r",(?![^(]*\))", columns) if each.strip()]
    if unknown := [
        each.name for each in tree.find_all(exp.Column) if each.name.lower() not in declared
    ]:
        raise RedshiftError(f'column "{unknown[0]}" does not exist')
    session.connection.execute(
        "INSERT INTO local_aws.rls_policies VALUES (?, ?, ?, ?)",
        [name, columns, found["predicate"], session.user],
    )


def _drop(session: Session, found: re.Match[str]) -> None:
    name = identifiers(found["name"])[0]
    if not _policy(session, name):
        if found["exists"]:
            return
        raise RedshiftError(f'RLS policy "{name}" does not exist')
    attached = session.connection.execute(
        "SELECT 1 FROM local_aws.rls_attached WHERE policy = ?", [name]
    ).fetchall()
    if attached and (found["cascade"] or "").upper() != "CASCADE":
        raise RedshiftError(f'cannot drop RLS policy "{name}" because other objects depend on it')
    session.connection.execute("DELETE FROM local_aws.rls_attached WHERE policy = ?", [name])
    session.connection.execute("DELETE FROM local_aws.rls_policies WHERE name = ?", [name])


def _attach(session: Session, found: re.Match[str]) -> None:
    name = identifiers(found["name"])[0]
    policy = _policy(session, name)
    if not policy:
        raise RedshiftError(f'RLS policy "{name}" does not exist')
    whos = grantees(session, found["who"])
    needed = [identifiers(each)[0] for each in re.split(r",(?![^(]*\))", policy[0]) if each.strip()]
    for table in found["tables"].split(","):
        schema, relation = _table(session, table)
        if missing := [
            each
            for each in needed
            if each not in column_types(session.connection, schema, relation)
        ]:
            raise RedshiftError(f'column "{missing[0]}" does not exist in relation "{relation}"')
        for kind, who in whos:
            row = [name, schema, relation, kind, who]
            session.connection.execute(
                "DELETE FROM local_aws.rls_attached WHERE policy = ? AND schema_name = ? AND"
                " relation_name = ? AND kind = ? AND name = ?",
                row,
            )
            if found["verb"].upper() == "ATTACH":
                session.connection.execute(
                    "INSERT INTO local_aws.rls_attached VALUES (?, ?, ?, ?, ?, ?)",
                    [*row, session.user],
                )


def _switch(session: Session, found: re.Match[str]) -> None:
    schema, relation = _table(session, found["table"])
    session.connection.execute(
        "DELETE FROM local_aws.rls_relations WHERE schema_name = ? AND relation_name = ?",
        [schema, relation],
    )
    if found["state"].upper() == "ON":
        conjunction = (found["conjunction"] or "AND").upper()
        session.connection.execute(
            "INSERT INTO local_aws.rls_relations VALUES (?, ?, ?)", [schema, relation, conjunction]
        )


def _policy(session: Session, name: str) -> tuple[str, str] | None:
    rows = session.connection.execute(
        "SELECT columns, predicate FROM local_aws.rls_policies WHERE name = ?", [name]
    ).fetchall()
    return rows[0] if rows else None


def _table(session: Session, text: str) -> tuple[str, str]:
    schema, relation = session.names_of(text.strip())
    if not relation_exists(session.connection, schema, relation):
        raise RedshiftError(f'relation "{relation}" does not exist')
    return schema, relation


STATEMENTS: list[tuple[re.Pattern[str], Callable[[Session, re.Match[str]], None]]] = [
    (CREATE, _create),
    (DROP, _drop),
    (ATTACH, _attach),
    (SWITCH, _switch),
]
