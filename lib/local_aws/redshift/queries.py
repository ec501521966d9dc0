"""Queries in DuckDB's words: their tables found, what their user may not see left out."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sqlglot import exp
from sqlglot.optimizer.scope import traverse_scope

from local_aws.duckdb_sql import quote
from local_aws.redshift import external, late_views, protection, super_values
from local_aws.redshift import rights as redshift_rights
from local_aws.redshift import sql as redshift_sql
from local_aws.redshift.database import column_types, schema_exists
from local_aws.redshift.sql import RedshiftError
from local_aws.redshift.types import Outcome, of_duckdb, result_text
from local_aws.redshift.views import system_view

if TYPE_CHECKING:
    from local_aws.redshift.session import Session
    from local_aws.redshift.types import RedshiftType

VERSION = "PostgreSQL 8.0.2, Redshift 1.0 as local_aws does it"
LONGEST_RESULT_BYTES = 500 << 20  # https://docs.aws.amazon.com/redshift/latest/mgmt/data-api.html
Schema = dict[str, dict[str, dict[str, str]]]  # schema -> table -> column -> type


def select(session: Session, tree: exp.Query, text: str) -> Outcome:
    """The rows of a query."""
    sql = query(session, tree, text).sql(dialect="duckdb")
    described = _kinds(session, sql)
    values = ", ".join(
        f"{result_text(quote(f'c{place}'), kind)} AS {quote(f'c{place}')}"
        for place, (_, kind) in enumerate(described)
    )
    names = ", ".join(quote(f"c{place}") for place in range(len(described)))
    table = session.connection.execute(
        f"SELECT {values} FROM ({sql}) AS answer({names})"
    ).to_arrow_table()
    if table.nbytes > LONGEST_RESULT_BYTES:
        raise RedshiftError("Query result size limit exceeded: the Data API returns at most 500 MB")
    return Outcome(table.num_rows, [(name, of_duckdb(kind)) for name, kind in described], table)


def described(session: Session, sql: str) -> list[tuple[str, RedshiftType]]:
    """The names and types of a translated query's columns."""
    return [(name, of_duckdb(kind)) for name, kind in _kinds(session, sql)]


def _kinds(session: Session, sql: str) -> list[tuple[str, str]]:
    return [
        (name, kind) for name, kind, *_ in session.connection.execute(f"DESCRIBE {sql}").fetchall()
    ]


def query(session: Session, tree: exp.Expr, text: str) -> exp.Expr:
    """A query in DuckDB's words, its tables resolved."""
    redshift_sql.check_functions(tree, text)
    redshift_sql.name_columns(tree)
    tables = Tables(session)
    tables.resolve_all(tree, session.rights)
    request = {
        exp.CurrentDatabase: session.database.name,
        exp.CurrentSchema: session.schema,
        exp.CurrentVersion: VERSION,
    }
    request |= dict.fromkeys((exp.CurrentUser, exp.SessionUser), session.user)
    for each in list(tree.find_all(*request)):
        each.replace(exp.Literal.string(request[type(each)]))
    columns = {
        each.alias: set(tables.types.get(each.db, {}).get(each.name, ()))
        for each in tree.find_all(exp.Table)
    }
    super_values.navigate(tree, columns)
    typed = redshift_sql.translate(tree, tables.types)
    protection.check_columns(typed, tables.hidden)
    return typed


@dataclass
class Tables:
    """The tables of one query, once they are found."""

    session: Session
    types: Schema = field(default_factory=dict)
    # place -> (relation, columns that are not seen)
    hidden: dict[str, tuple[str, set[str]]] = field(default_factory=dict)

    def resolve_all(self, tree: exp.Expr, rights: redshift_rights.Rights) -> None:
        """Find every table of a query; raises RedshiftError."""
        for table in _sources(tree):
            self.resolve(table, rights)

    def resolve(self, table: exp.Table, rights: redshift_rights.Rights) -> None:
        """Point a table of a query at what holds its rows, and note its columns' types; raises
        RedshiftError.
        """
        session, owner, name = self.session, table.db, table.name
        if table.catalog and table.catalog != session.database.name:
            raise RedshiftError(
                f"cross-database reference to database {table.catalog} is not done by local_aws"
            )
        table.set("catalog", None)
        view = (
            None
            if session.has(owner, name)
            else system_view(
                session.database,
                session.connection,
                f"information_schema.{name}" if owner == "information_schema" else name,
            )
        )
        if view is not None and owner in ("", "pg_catalog", "information_schema"):
            owner, name = "", self._temporary_view(name, *view)
        elif external.external_database(session.connection, owner):
            rights.use(owner)
            owner, name = (
                "",
                external.view(
                    session.database, session.connection, owner, name, f"{table.db}.{table.name}"
                ),
            )
        elif owner and not schema_exists(session.connection, owner):
            raise RedshiftError(f'schema "{owner}" does not exist')
        else:
            owner = session.schema_of(owner, name)
            columns = column_types(session.connection, owner, name)
            visible = rights.readable(owner, name, columns)
            if (late := late_views.query(session.connection, owner, name)) is not None:
                self._expand(table, late, owner, name)
                return
            if owner:
                protection.check_view(session.connection, owner, name)
                relation, (owner, name) = (
                    name,
                    protection.shown(session, owner, name, columns, visible),
                )
                if visible != set(columns):
                    self.hidden[name] = (relation, set(columns) - visible)
                    table.set(
                        "alias",
                        table.args.get("alias")
                        or exp.TableAlias(this=exp.to_identifier(relation, quoted=True)),
                    )
        table.meta["resolved"] = True
        if not table.args.get("alias"):
            table.set("alias", exp.TableAlias(this=exp.to_identifier(table.name, quoted=True)))
        table.set("this", exp.to_identifier(name, quoted=True))
        table.set("db", exp.to_identifier(owner or "temp", quoted=True))
        columns = column_types(session.connection, owner, name)
        self.types.setdefault(owner or "temp", {})[name] = {
            column: redshift_sql.named_type(kind) for column, kind in columns.items()
        }

    def _expand(self, table: exp.Table, late: exp.Expr, owner: str, name: str) -> None:
        """Put the query of a late-binding view in its place; it reads with its owner's rights, but
        who asks needs USAGE on the schemas that it names, too.

        https://docs.aws.amazon.com/redshift/latest/dg/r_CREATE_VIEW.html, "you need usage
        permissions"; https://github.com/aws-samples/amazon-redshift-dynamic-data-masking/issues/2
        """
        redshift_sql.check_functions(late, "")
        redshift_sql.name_columns(late)
        connection = self.session.connection
        maker = redshift_rights.Rights(connection, redshift_rights.owner(connection, owner, name))
        for each in _sources(late):
            if schema_exists(connection, each.db):
                self.session.rights.use(each.db)
        self.resolve_all(late, maker)
        alias = exp.TableAlias(this=exp.to_identifier(table.alias or name, quoted=True))
        table.replace(exp.Subquery(this=late, alias=alias))

    def _temporary_view(self, name: str, columns: dict[str, str], rows: list[list[Any]]) -> str:
        place = f"system_{name}"
        listed = ", ".join(f"{quote(column)} {kind}" for column, kind in columns.items())
        self.session.connection.execute(f"CREATE OR REPLACE TEMP TABLE {quote(place)} ({listed})")
        if rows:
            self.session.connection.executemany(
                f"INSERT INTO {quote(place)} VALUES ({', '.join('?' * len(columns))})", rows
            )
        return place


def _sources(tree: exp.Expr) -> list[exp.Table]:
    found = {
        id(source): source
        for scope in traverse_scope(tree)
        for source in scope.sources.values()
        if isinstance(source, exp.Table)
    }
    return [each for each in found.values() if isinstance(each.this, exp.Identifier)]
