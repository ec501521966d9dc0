"""One SQL statement of Redshift, run by DuckDB inside the transaction of its session."""

from __future__ import annotations

import contextlib
import logging
import re
from typing import TYPE_CHECKING, Any

import duckdb
from sqlglot import exp
from sqlglot.optimizer.scope import traverse_scope

from local_aws.exact_sql import call
from local_aws.lake_tables import LakeError, quote
from local_aws.redshift import ddl, external, late_views, protection, super_values
from local_aws.redshift import rights as redshift_rights
from local_aws.redshift import sql as redshift_sql
from local_aws.redshift.database import Database, column_types, relation_exists, schema_exists
from local_aws.redshift.failures import failure
from local_aws.redshift.sql import RedshiftError
from local_aws.redshift.texts import SETTINGS, TEXTS
from local_aws.redshift.types import Outcome, of_duckdb, result_text
from local_aws.redshift.views import system_view

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from local_aws.redshift.types import RedshiftType

# what it cannot parse is refused, and said, by us
logging.getLogger("sqlglot").setLevel(logging.ERROR)
VERSION = "PostgreSQL 8.0.2, Redshift 1.0 as local_aws does it"
LONGEST_RESULT_BYTES = 500 << 20  # https://docs.aws.amazon.com/redshift/latest/mgmt/data-api.html
READS = re.compile(
    r"\(|SELECT\b(?!.*\bINTO\b)|WITH\b|VALUES\b|SHOW\b|EXPLAIN\b|SET\b", re.IGNORECASE | re.DOTALL
)


PRIVILEGES: dict[type[exp.Expr], tuple[str, ...]] = {
    exp.Insert: ("INSERT",),
    exp.Update: ("UPDATE",),
    exp.Delete: ("DELETE",),
    exp.Merge: ("INSERT", "UPDATE", "DELETE"),
}
Schema = dict[str, dict[str, dict[str, str]]]  # schema -> table -> column -> type


class Session:
    """A connection with its search path and temporary tables."""

    def __init__(self, database: Database, user: str) -> None:
        self.database, self.connection, self.user = database, database.connect(), user
        self.schema, self.settings = "public", dict(SETTINGS)
        self.in_block = False  # whether other statements share the transaction

    @property
    def rights(self) -> redshift_rights.Rights:
        """What the user of the session may do."""
        return redshift_rights.Rights(self.connection, self.user)

    def run(self, sql: str, parameters: Mapping[str, str | exp.Expr], query_id: int) -> Outcome:
        """Run one statement in the transaction under way; raises RedshiftError."""
        text = without_comments(sql).strip().rstrip(";").strip()
        with _in_redshifts_words():
            for pattern, run in TEXTS:
                if re.match(pattern, text, re.IGNORECASE | re.DOTALL):
                    return run(self, text, query_id)
            return self._tree(_parsed(text, parameters), text)

    def columns(
        self, sql: str, parameters: Mapping[str, str | exp.Expr]
    ) -> list[tuple[str, RedshiftType]]:
        """The columns that one statement would answer with, none unless it is a query; raises
        RedshiftError.
        """
        text = without_comments(sql).strip().rstrip(";").strip()
        if not READS.match(text):
            return []
        if re.match(r"(SHOW|EXPLAIN|SET)\b", text, re.IGNORECASE):
            return self.run(sql, parameters, 0).columns
        with _in_redshifts_words():
            tree = _parsed(text, parameters)
            return (
                self._described(self.query(tree, text).sql(dialect="duckdb"))
                if isinstance(tree, exp.Query)
                else []
            )

    def _tree(self, tree: exp.Expr, text: str) -> Outcome:
        if isinstance(tree, exp.Query):
            return self.select(tree, text)
        if isinstance(tree, exp.Insert | exp.Update | exp.Delete | exp.Merge):
            return self._change(tree, text)
        run = ddl.RUNS.get(type(tree))
        if run is None:
            raise RedshiftError(
                f"local_aws does not do this statement: {' '.join(text.split())[:100]}"
            )
        rows = run(self, tree, text)
        return Outcome(rows or 0)

    # Queries

    def select(self, tree: exp.Query, text: str) -> Outcome:
        """The rows of a query."""
        sql = self.query(tree, text).sql(dialect="duckdb")
        described = self._kinds(sql)
        values = ", ".join(
            f"{result_text(quote(f'c{place}'), kind)} AS {quote(f'c{place}')}"
            for place, (_, kind) in enumerate(described)
        )
        names = ", ".join(quote(f"c{place}") for place in range(len(described)))
        table = self.connection.execute(
            f"SELECT {values} FROM ({sql}) AS answer({names})"
        ).to_arrow_table()
        if table.nbytes > LONGEST_RESULT_BYTES:
            raise RedshiftError(
                "Query result size limit exceeded: the Data API returns at most 500 MB"
            )
        return Outcome(table.num_rows, [(name, of_duckdb(kind)) for name, kind in described], table)

    def _described(self, sql: str) -> list[tuple[str, RedshiftType]]:
        return [(name, of_duckdb(kind)) for name, kind in self._kinds(sql)]

    def _kinds(self, sql: str) -> list[tuple[str, str]]:
        return [
            (name, kind) for name, kind, *_ in self.connection.execute(f"DESCRIBE {sql}").fetchall()
        ]

    def query(self, tree: exp.Expr, text: str) -> exp.Expr:
        """A query in DuckDB's words, its tables resolved."""
        redshift_sql.check_functions(tree, text)
        redshift_sql.name_columns(tree)
        schema: dict[str, dict[str, dict[str, str]]] = {}
        self.hidden: dict[str, tuple[str, set[str]]] = {}
        self._resolve_all(tree, schema, self.rights)
        told = {
            exp.CurrentDatabase: self.database.name,
            exp.CurrentSchema: self.schema,
            exp.CurrentVersion: VERSION,
        }
        told |= dict.fromkeys((exp.CurrentUser, exp.SessionUser), self.user)
        for each in list(tree.find_all(*told)):
            each.replace(exp.Literal.string(told[type(each)]))
        columns = {
            each.alias: set(schema.get(each.db, {}).get(each.name, ()))
            for each in tree.find_all(exp.Table)
        }
        super_values.navigate(tree, columns)
        typed = redshift_sql.translate(tree, schema)
        protection.check_columns(typed, self.hidden)
        return typed

    def _resolve_all(self, tree: exp.Expr, schema: Schema, rights: redshift_rights.Rights) -> None:
        for table in _sources(tree):
            self.resolve(table, schema, rights)

    def resolve(self, table: exp.Table, schema: Schema, rights: redshift_rights.Rights) -> None:
        """Point a table of a query at what holds its rows, and note its columns' types; raises
        RedshiftError.
        """
        owner, name = table.db, table.name
        if table.catalog and table.catalog != self.database.name:
            raise RedshiftError(
                f"cross-database reference to database {table.catalog} is not done by local_aws"
            )
        table.set("catalog", None)
        view = (
            None
            if self._there(owner, name)
            else system_view(
                self.database,
                self.connection,
                f"information_schema.{name}" if owner == "information_schema" else name,
            )
        )
        if view is not None and owner in ("", "pg_catalog", "information_schema"):
            owner, name = "", self._temporary_view(name, *view)
        elif external.external_database(self.connection, owner):
            rights.use(owner)
            owner, name = (
                "",
                external.view(
                    self.database, self.connection, owner, name, f"{table.db}.{table.name}"
                ),
            )
        elif owner and not schema_exists(self.connection, owner):
            raise RedshiftError(f'schema "{owner}" does not exist')
        else:
            owner = self._owner(owner, name)
            columns = column_types(self.connection, owner, name)
            visible = rights.readable(owner, name, columns)
            if (late := late_views.query(self.connection, owner, name)) is not None:
                self._expand(table, late, owner, name, schema)
                return
            if owner:
                protection.check_view(self.connection, owner, name)
                relation, (owner, name) = (
                    name,
                    protection.shown(self, owner, name, columns, visible),
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
        columns = column_types(self.connection, owner, name)
        schema.setdefault(owner or "temp", {})[name] = {
            column: redshift_sql.named_type(kind) for column, kind in columns.items()
        }

    def _expand(
        self, table: exp.Table, late: exp.Expr, owner: str, name: str, schema: Schema
    ) -> None:
        """Put the query of a late-binding view in its place; it reads with the rights of its owner."""
        redshift_sql.check_functions(late, "")
        redshift_sql.name_columns(late)
        maker = redshift_rights.Rights(
            self.connection, redshift_rights.owner(self.connection, owner, name)
        )
        self._resolve_all(late, schema, maker)
        alias = exp.TableAlias(this=exp.to_identifier(table.alias or name, quoted=True))
        table.replace(exp.Subquery(this=late, alias=alias))

    def _there(self, owner: str, name: str) -> bool:
        return relation_exists(self.connection, owner or self.schema, name) or (
            not owner and relation_exists(self.connection, "", name)
        )

    def _owner(self, owner: str, name: str) -> str:
        """The schema of a relation, "" for a temporary one; raises RedshiftError when there is
        none.
        """
        if not owner and relation_exists(self.connection, "", name):
            return ""
        if not relation_exists(self.connection, owner or self.schema, name):
            raise RedshiftError(f'relation "{f"{owner}." if owner else ""}{name}" does not exist')
        return owner or self.schema

    def _temporary_view(self, name: str, columns: dict[str, str], rows: list[list[Any]]) -> str:
        place = f"system_{name}"
        listed = ", ".join(f"{quote(column)} {kind}" for column, kind in columns.items())
        self.connection.execute(f"CREATE OR REPLACE TEMP TABLE {quote(place)} ({listed})")
        if rows:
            self.connection.executemany(
                f"INSERT INTO {quote(place)} VALUES ({', '.join('?' * len(columns))})", rows
            )
        return place

    # Changes

    def target(self, table: exp.Table) -> tuple[str, str]:
        """The schema and name of a table to be changed; raises RedshiftError."""
        if table.db and not schema_exists(self.connection, table.db):
            raise RedshiftError(f'schema "{table.db}" does not exist')
        return self._owner(table.db, table.name), table.name

    def mine(self, table: exp.Table, privilege: str = "") -> tuple[str, str]:
        """The schema and name of a relation that the user owns, or has a privilege on; raises
        RedshiftError.
        """
        schema, name = self.target(table)
        if privilege:
            self.rights.touch(schema, name, privilege)
        else:
            self.rights.change(schema, name)
        return schema, name

    def names_of(self, text: str) -> tuple[str, str]:
        """`"s"."t"` as (s, t), folded to lower case; the schema is the session's when it is not
        said.
        """
        parts = [part.strip('"').lower() for part in re.findall(r'"[^"]+"|[^.\s]+', text)]
        return (parts[-2] if len(parts) > 1 else self.schema, parts[-1])

    def _change(self, tree: exp.Expr, text: str) -> Outcome:
        changed = tree.this.this if isinstance(tree.this, exp.Schema) else tree.this
        for privilege in PRIVILEGES[type(tree)]:
            place = self.mine(changed, privilege)
            if (
                privilege != "INSERT"
                and not self.rights.superuser
                and protection.protected(self.connection, *place)
            ):
                raise RedshiftError(
                    "local_aws does not change tables with row-level security but for superusers"
                )
        if isinstance(tree, exp.Insert):
            self._insert(tree, text)
        else:
            self._typed_change(tree, text)
        if isinstance(tree, exp.Merge):
            self._check_single_matches(tree)
        _check_resolved(tree)
        cursor = self.connection.execute(tree.sql(dialect="duckdb"))
        return Outcome(int(cursor.fetchall()[0][0]))

    def _check_single_matches(self, tree: exp.Merge) -> None:
        """A row of the target may match one row of the source at most (r_MERGE)."""
        target, source, on = (
            tree.args[each].sql(dialect="duckdb") for each in ("this", "using", "on")
        )
        twice = (
            f"SELECT 1 FROM {target} JOIN {source} ON {on} GROUP BY {quote(tree.this.alias)}.rowid"
            " HAVING count(*) > 1 LIMIT 1"
        )
        if self.connection.execute(twice).fetchall():
            raise RedshiftError("Found multiple matches to update the same tuple.")

    def _insert(self, tree: exp.Insert, text: str) -> None:
        table = tree.this.this if isinstance(tree.this, exp.Schema) else tree.this
        self._place(table)
        source = tree.expression
        if isinstance(source, exp.Select | exp.SetOperation):
            tree.set("expression", self.query(source, text))
        elif source is not None:
            redshift_sql.check_functions(source, text)
            for each in list(source.find_all(exp.CurrentTimestamp)):
                each.replace(call("this_second"))

    def _place(self, table: exp.Table) -> None:
        owner, name = self.target(table)
        table.meta["resolved"] = True
        table.set("this", exp.to_identifier(name, quoted=True))
        table.set("db", exp.to_identifier(owner or "temp", quoted=True))

    def _typed_change(self, tree: exp.Expr, text: str) -> None:
        """Translate the expressions of UPDATE, DELETE and MERGE as those of a SELECT over the same
        tables.
        """
        target = tree.this
        others = _other_tables(tree)
        places = _expressions(tree)
        select = exp.Select(
            expressions=[exp.alias_(each.copy(), f"e{place}") for place, each in enumerate(places)]
            or [exp.alias_(exp.Literal.number(1), "e0")]
        )
        tables = [target.copy(), *(each.copy() for each in others)]
        select.set("from_", exp.From(this=tables[0]))
        for each in tables[1:]:
            select.append("joins", exp.Join(this=each, kind="CROSS"))
        translated = self.query(select, text)
        for place, each in zip(places, translated.expressions, strict=False):
            place.replace(each.this)
        self._place(target)
        found = [
            node
            for node in translated.find_all(exp.Table)
            if node.find_ancestor(exp.Select) is translated
        ]
        for other, resolved in zip(others, found[1:], strict=False):
            other.replace(resolved.copy())
        if not target.args.get("alias"):
            target.set(
                "alias",
                (
                    exp.TableAlias(this=exp.to_identifier(found[0].alias, quoted=True))
                    if isinstance(tree, exp.Merge | exp.Update)
                    else None
                ),
            )


def _other_tables(tree: exp.Expr) -> list[exp.Expr]:
    """The tables that a change reads beside its target."""
    if isinstance(tree, exp.Merge):
        if not isinstance(tree.args["using"], exp.Table):
            raise RedshiftError("MERGE source must be a table, not a subquery")
        return [tree.args["using"]]
    if isinstance(tree, exp.Delete):
        return list(tree.args.get("using") or [])
    source = tree.args.get("from_")
    if source is None:
        return []
    return [source.this, *(join.this for join in source.this.args.get("joins") or [])]


def _expressions(tree: exp.Expr) -> list[exp.Expr]:
    """The expressions of a change that are evaluated."""
    found: list[exp.Expr] = []
    if isinstance(tree, exp.Merge):
        found.append(tree.args["on"])
        for when in tree.args["whens"].expressions:
            then = when.args["then"]
            if isinstance(then, exp.Update):
                found += [each.expression for each in then.expressions]
            elif isinstance(then, exp.Insert) and then.expression is not None:
                found += then.expression.expressions
        return found
    if isinstance(tree, exp.Update):
        found += [each.expression for each in tree.expressions]
    where = tree.args.get("where")
    return [*found, where.this] if where else found


def _check_resolved(tree: exp.Expr) -> None:
    """Raise RedshiftError for a change that reads a table in a place where nobody asked whether its
    user may.
    """
    named = {each.alias for each in tree.find_all(exp.CTE)}
    for each in tree.find_all(exp.Table):
        if (
            isinstance(each.this, exp.Identifier)
            and not each.meta.get("resolved")
            and each.name not in named
        ):
            raise RedshiftError(
                f'local_aws does not read "{each.name}" at this place of a change: write INSERT'
                " INTO … SELECT, or name it in FROM or USING"
            )


def _sources(tree: exp.Expr) -> list[exp.Table]:
    found = {
        id(source): source
        for scope in traverse_scope(tree)
        for source in scope.sources.values()
        if isinstance(source, exp.Table)
    }
    return [each for each in found.values() if isinstance(each.this, exp.Identifier)]


def _parsed(text: str, parameters: Mapping[str, str | exp.Expr]) -> exp.Expr:
    trees = redshift_sql.parse(ddl.without_inline_keys(text))
    if len(trees) != 1:
        raise RedshiftError("cannot insert multiple commands into a prepared statement")
    for each in list(trees[0].find_all(exp.Placeholder)):
        if each.name not in parameters:
            raise RedshiftError(f'syntax error at or near ":{each.name}"')
        value = parameters[each.name]
        each.replace(exp.Literal.string(value) if isinstance(value, str) else value.copy())
    return trees[0]


@contextlib.contextmanager
def _in_redshifts_words() -> Iterator[None]:
    """Raise RedshiftError for what DuckDB and the lake raise."""
    try:
        yield
    except duckdb.Error as failed:
        raise RedshiftError(failure(failed)) from failed
    except LakeError as failed:
        raise RedshiftError(f"Spectrum Scan Error\n  Detail: {failed}") from failed


def without_comments(sql: str) -> str:
    """A statement without its comments."""
    return re.sub(
        r"""('(?:[^']|'')*'|"[^"]*")|--[^\n]*|/\*.*?\*/""",
        lambda found: found[1] or " ",
        sql,
        flags=re.DOTALL,
    )
