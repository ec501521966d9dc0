"""One SQL statement of Redshift, run by DuckDB inside the transaction of its session."""

from __future__ import annotations

import contextlib
import logging
import re
from typing import TYPE_CHECKING

import duckdb
from sqlglot import exp

from local_aws.duckdb_sql import quote
from local_aws.engines.exact_sql import call
from local_aws.engines.lake_tables import LakeError
from local_aws.redshift import ddl, protection
from local_aws.redshift import sql as redshift_sql
from local_aws.redshift.failures import failure
from local_aws.redshift.queries import described, query, select
from local_aws.redshift.sql import RedshiftError
from local_aws.redshift.texts import TEXTS
from local_aws.redshift.types import Outcome

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from local_aws.redshift.session import Session
    from local_aws.redshift.types import RedshiftType

# what it cannot parse is refused, and said, by us
logging.getLogger("sqlglot").setLevel(logging.ERROR)
READS = re.compile(
    r"\(|SELECT\b(?!.*\bINTO\b)|WITH\b|VALUES\b|SHOW\b|EXPLAIN\b|SET\b", re.IGNORECASE | re.DOTALL
)


PRIVILEGES: dict[type[exp.Expr], tuple[str, ...]] = {
    exp.Insert: ("INSERT",),
    exp.Update: ("UPDATE",),
    exp.Delete: ("DELETE",),
    exp.Merge: ("INSERT", "UPDATE", "DELETE"),
}


def run(
    session: Session, sql: str, parameters: Mapping[str, str | exp.Expr], query_id: int
) -> Outcome:
    """Run one statement in the transaction under way; raises RedshiftError."""
    text = without_comments(sql).strip().rstrip(";").strip()
    with _in_redshifts_words():
        for pattern, run_text in TEXTS:
            if re.match(pattern, text, re.IGNORECASE | re.DOTALL):
                return run_text(session, text, query_id)
        return _tree(session, _parsed(text, parameters), text)


def columns_of(
    session: Session, sql: str, parameters: Mapping[str, str | exp.Expr]
) -> list[tuple[str, RedshiftType]]:
    """The columns that one statement would answer with, none unless it is a query; raises
    RedshiftError.
    """
    text = without_comments(sql).strip().rstrip(";").strip()
    if not READS.match(text):
        return []
    if re.match(r"(SHOW|EXPLAIN|SET)\b", text, re.IGNORECASE):
        return run(session, sql, parameters, 0).columns
    with _in_redshifts_words():
        tree = _parsed(text, parameters)
        return (
            described(session, query(session, tree, text).sql(dialect="duckdb"))
            if isinstance(tree, exp.Query)
            else []
        )


def _tree(session: Session, tree: exp.Expr, text: str) -> Outcome:
    if isinstance(tree, exp.Query):
        return select(session, tree, text)
    if isinstance(tree, exp.Insert | exp.Update | exp.Delete | exp.Merge):
        return _change(session, tree, text)
    define = ddl.RUNS.get(type(tree))
    if define is None:
        raise RedshiftError(f"local_aws does not do this statement: {' '.join(text.split())[:100]}")
    rows = define(session, tree, text)
    return Outcome(rows or 0)


def _change(session: Session, tree: exp.Expr, text: str) -> Outcome:
    changed = tree.this.this if isinstance(tree.this, exp.Schema) else tree.this
    for privilege in PRIVILEGES[type(tree)]:
        place = session.mine(changed, privilege)
        if (
            privilege != "INSERT"
            and not session.rights.superuser
            and protection.protected(session.connection, *place)
        ):
            raise RedshiftError(
                "local_aws does not change tables with row-level security but for superusers"
            )
    if isinstance(tree, exp.Insert):
        _insert(session, tree, text)
    else:
        _typed_change(session, tree, text)
    if isinstance(tree, exp.Merge):
        _check_single_matches(session, tree)
    _check_resolved(tree)
    cursor = session.connection.execute(tree.sql(dialect="duckdb"))
    return Outcome(int(cursor.fetchall()[0][0]))


def _check_single_matches(session: Session, tree: exp.Merge) -> None:
    """A row of the target may match one row of the source at most (r_MERGE)."""
    target, source, on = (tree.args[each].sql(dialect="duckdb") for each in ("this", "using", "on"))
    twice = (
        f"SELECT 1 FROM {target} JOIN {source} ON {on} GROUP BY {quote(tree.this.alias)}.rowid"
        " HAVING count(*) > 1 LIMIT 1"
    )
    if session.connection.execute(twice).fetchall():
        raise RedshiftError("Found multiple matches to update the same tuple.")


def _insert(session: Session, tree: exp.Insert, text: str) -> None:
    table = tree.this.this if isinstance(tree.this, exp.Schema) else tree.this
    _place(session, table)
    source = tree.expression
    if isinstance(source, exp.Select | exp.SetOperation):
        tree.set("expression", query(session, source, text))
    elif source is not None:
        redshift_sql.check_functions(source, text)
        for each in list(source.find_all(exp.CurrentTimestamp)):
            each.replace(call("this_second"))


def _place(session: Session, table: exp.Table) -> None:
    owner, name = session.target(table)
    table.meta["resolved"] = True
    table.set("this", exp.to_identifier(name, quoted=True))
    table.set("db", exp.to_identifier(owner or "temp", quoted=True))


def _typed_change(session: Session, tree: exp.Expr, text: str) -> None:
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
    translated = query(session, select, text)
    for place, each in zip(places, translated.expressions, strict=False):
        place.replace(each.this)
    _place(session, target)
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
