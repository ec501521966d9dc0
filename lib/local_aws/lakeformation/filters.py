"""Row filter expressions of data cells filters, as Lake Formation allows them, and in DuckDB's
words.

Source: https://docs.aws.amazon.com/lake-formation/latest/dg/partiql-support.html
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlglot
from sqlglot import exp

from local_aws.lakeformation.resources import invalid

if TYPE_CHECKING:
    from collections.abc import Mapping

LONGEST = 2048
COMPARISONS = (
    exp.EQ,
    exp.NEQ,
    exp.LT,
    exp.LTE,
    exp.GT,
    exp.GTE,
    exp.Between,
    exp.In,
    exp.Like,
    exp.Is,
)
LOGIC = (exp.And, exp.Or, exp.Not, exp.Paren)
KINDS = {
    **dict.fromkeys(("string", "char", "varchar"), "text"),
    **dict.fromkeys(
        ("tinyint", "smallint", "int", "integer", "long", "bigint", "float", "decimal", "double"),
        "number",
    ),
    "boolean": "boolean",
}


def condition(text: str, types: Mapping[str, str], keys: set[str]) -> exp.Expr:
    """What a filter asks of a row; raises ApiError InvalidInputException for what Lake Formation
    does not allow.

    `types` are the catalog's of all columns by name, `keys` the partition keys among them.
    """
    if len(text) >= LONGEST:
        raise _wrong(text, f"it has {LONGEST} characters or more")
    try:
        tree = sqlglot.parse_one(text, read="presto")
    except sqlglot.errors.SqlglotError as wrong:
        raise _wrong(text, "it cannot be parsed") from wrong
    _check(tree, text, types, keys)
    return tree


def columns(tree: exp.Expr) -> set[str]:
    """The columns that a condition looks at."""
    return {_path(each)[0] for each in tree.find_all(exp.Column)}


def sql(tree: exp.Expr) -> str:
    """A condition for DuckDB."""

    def plain(node: exp.Expr) -> exp.Expr:
        if isinstance(node, exp.Dot):
            return node
        return (
            exp.column(node.name.lower(), quoted=True)
            if isinstance(node, exp.Column) and not node.table
            else node
        )

    return tree.transform(plain).sql(dialect="duckdb")


def _check(node: exp.Expr, text: str, types: Mapping[str, str], keys: set[str]) -> None:
    if isinstance(node, LOGIC):
        for each in node.iter_expressions():
            _check(each, text, types, keys)
    elif isinstance(node, COMPARISONS):
        _check_comparison(node, text, types, keys)
    else:
        raise _wrong(
            text, f"`{node.sql(dialect='presto')}` is no comparison of a column with a constant"
        )


def _check_comparison(node: exp.Expr, text: str, types: Mapping[str, str], keys: set[str]) -> None:
    column, *values = node.iter_expressions()
    if not isinstance(column, exp.Column | exp.Dot):
        raise _wrong(text, f"`{node.sql(dialect='presto')}` does not begin with a column")
    name, *inside = _path(column)
    if name not in types:
        raise _wrong(text, f"the table has no column {name}")
    if isinstance(node, exp.Is):
        if name in keys:
            raise _wrong(text, f"IS NULL cannot be asked of the partition key {name}")
        if not isinstance(node.expression, exp.Null):
            raise _wrong(text, "IS takes NULL only")
        return
    kind = "" if inside else KINDS.get(types[name].partition("(")[0].lower(), types[name])
    for value in values:
        found = _kind(value)
        if not found or (kind and found != kind):
            raise _wrong(
                text, f"{value.sql(dialect='presto')} is no constant of {name}'s type {types[name]}"
            )


def _kind(value: exp.Expr) -> str:
    if isinstance(value, exp.Neg):
        return "number" if _kind(value.this) == "number" else ""
    if isinstance(value, exp.Literal):
        return "text" if value.is_string else "number"
    return "boolean" if isinstance(value, exp.Boolean) else ""


def _path(column: exp.Expr) -> list[str]:
    """`customer.id` as its parts, the column first."""
    return [part.name.lower() for part in column.find_all(exp.Identifier, bfs=False)]


def _wrong(text: str, reason: str) -> Exception:
    return invalid(f"Row filter expression is not valid: {reason}: {text}")
