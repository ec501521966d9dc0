"""Redshift's queries as DuckDB's: its functions, division, averages and casts."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import sqlglot
import sqlglot.errors
from sqlglot import exp
from sqlglot.dialects.redshift import Redshift
from sqlglot.optimizer.annotate_types import annotate_types
from sqlglot.optimizer.normalize_identifiers import normalize_identifiers
from sqlglot.optimizer.qualify import qualify

from local_aws.duckdb_sql import quote
from local_aws.engines import exact_sql
from local_aws.engines.exact_sql import (
    call,
    cast,
    from_inside,
    is_binary,
    is_double,
    is_integer,
    replace,
    type_name,
)
from local_aws.redshift import super_values

if TYPE_CHECKING:
    import duckdb

MACROS = (
    "digits_value(digits) AS ('0x' || digits)::bigint",
    "double_text(x) AS regexp_replace(x::varchar, '\\.0$', '')",
    "cut_text(x, n) AS CASE WHEN strlen(x) <= n THEN x ELSE left(x, n) END",
    "this_second() AS date_trunc('second', now() AT TIME ZONE 'UTC')",
)
# The functions of Redshift that mean the same here, after this module's work; any other is refused.
FUNCTIONS = frozenset(
    """abs acos approximate asin atan atan2 avg bool_and bool_or btrim cast cbrt ceil ceiling
    charindex chr coalesce concat convert cos count cume_dist current_database current_date
    current_schema date date_add date_diff date_part date_trunc dateadd datediff decode
    degrees dense_rank dexp exp extract first_value floor getdate greatest ilike initcap
    is_valid_json json_extract_path_text json_parse lag last_day last_value lead least left
    len length listagg ln log lower lpad ltrim max md5 median min mod nth_value ntile nullif
    nvl nvl2 octet_length percent_rank percentile_cont pi position pow power radians rand
    random rank regexp_count regexp_replace repeat replace reverse right round row_number rpad
    rtrim sha sha1 sha2 sign sin split_part sqrt stddev stddev_pop stddev_samp strpos strtol
    substr substring sum sysdate tan textlen to_char to_date to_hex to_number to_timestamp
    translate trim trunc upper var_pop var_samp variance version""".split()  # noqa: SIM905 - a list of 150 quoted words is no easier to read
)
# https://docs.aws.amazon.com/redshift/latest/dg/r_pg_keywords.html, which does not name `type`
RESERVED = {each.strip() for each in Redshift.Generator.RESERVED_KEYWORDS} - {"type"}
VALUES_THEMSELVES = {"default", "oid"}  # reserved, and an expression of their own where they stand
KEYWORDS = frozenset(["array", "exists", "any", "all", "some", "in", "row", "values"])
# how sqlglot reads these without the schema before them
OF_THE_SYSTEM = {
    "version": exp.CurrentVersion,
    "current_schema": exp.CurrentSchema,
    "current_database": exp.CurrentDatabase,
}
ZERO = "Divide by zero"
# https://docs.aws.amazon.com/redshift/latest/dg/c_unsupported-postgresql-datatypes.html, and those
# of DuckDB
OTHER_TYPES = frozenset(
    """TINYINT UTINYINT USMALLINT UINT UBIGINT INT128 UINT128 INT256 UUID JSON JSONB XML ENUM STRUCT
    MAP LIST ARRAY UNION BIT MONEY INET TIMESTAMP_S TIMESTAMP_MS TIMESTAMP_NS""".split()  # noqa: SIM905
)
TEXTS = ("VARCHAR", "TEXT", "CHAR")
COMPARISONS = (exp.EQ, exp.NEQ, exp.LT, exp.LTE, exp.GT, exp.GTE, exp.Between, exp.In, exp.Distinct)


class RedshiftError(Exception):
    """What a statement failed with, as Redshift says it without `ERROR: `."""


def prepare(connection: duckdb.DuckDBPyConnection) -> None:
    """Give a DuckDB the macros of Redshift, in the schema it is in."""
    exact_sql.prepare(connection, ZERO)
    for macro in (*MACROS, *super_values.MACROS):
        connection.execute(f"CREATE OR REPLACE MACRO {macro}")


def parse(sql: str) -> list[exp.Expr]:
    """The statements of a text, identifiers folded to lower case as Redshift does, quoted or not;
    raises RedshiftError.
    """
    try:
        found = [each for each in sqlglot.parse(sql, read="redshift") if each is not None]
    except sqlglot.errors.SqlglotError as wrong:
        errors = getattr(wrong, "errors", None) or [{}]
        raise RedshiftError(
            f'syntax error at or near "{errors[0].get("highlight", sql[:20])}"'
        ) from wrong
    for each in [dot for tree in found for dot in tree.find_all(exp.Dot)]:
        if each.this.name.lower() == "pg_catalog" and isinstance(each.expression, exp.Func):
            known = OF_THE_SYSTEM.get(each.expression.name.lower())
            called = known() if known else each.expression
            called.meta.update(each.expression.meta)
            each.replace(called)
    for tree in found:
        for name in tree.find_all(exp.Identifier):
            _check_name(name)
    return [normalize_identifiers(each, dialect="redshift") for each in found]


def _check_name(name: exp.Identifier) -> None:
    """Raise RedshiftError for a reserved word in the place of a name; a label behind AS and what
    follows a dot may be any word, as in PostgreSQL.
    """
    label = isinstance(name.parent, exp.Alias) or (
        isinstance(name.parent, exp.Column) and name.arg_key == "this" and name.parent.table
    )
    if not name.quoted and not label and name.name.lower() not in VALUES_THEMSELVES:
        folded(name.name)


def folded(name: str) -> str:
    """A name as it is written, quoted or not, in lower case; raises RedshiftError for a reserved
    word without quotes.
    """
    if name.lower() in RESERVED:
        raise RedshiftError(f'syntax error at or near "{name}"')
    return name.strip('"').lower()


def check_functions(tree: exp.Expr, text: str) -> None:
    """Refuse what Redshift does not know, and what it knows and local_aws does not, by the name in
    the text; and casts to types that it does not have.
    """
    for cast_ in tree.find_all(exp.Cast):
        if cast_.to.this.name in OTHER_TYPES:
            said = cast_.to.sql("redshift").lower()
            raise RedshiftError(f'type "{said}" does not exist')
    for node in tree.find_all(exp.Func):
        name = (
            text[node.meta["start"] : node.meta["end"] + 1].lower() if "start" in node.meta else ""
        )
        if name.isidentifier():
            node.meta["called"] = name
            if name not in FUNCTIONS | KEYWORDS | super_values.FUNCTIONS:
                raise RedshiftError(f"function {name} does not exist, or local_aws does not do it")


def name_columns(tree: exp.Expr) -> None:
    """Give nameless columns of the answer the names that Redshift gives them."""
    for select in tree.find_all(exp.Select):
        for each in select.expressions:
            if (
                not isinstance(each, exp.Column | exp.Alias | exp.Star | exp.Aliases)
                and not each.is_star
            ):
                each.replace(exp.alias_(each.copy(), _column_name(each), quoted=True))


def _column_name(node: exp.Expr) -> str:
    if isinstance(node, exp.Dot | exp.Bracket):
        return node.expression.name if isinstance(node, exp.Dot) else _column_name(node.this)
    if isinstance(node, exp.Column):
        return node.name
    if isinstance(node, exp.Cast):
        return (
            node.this.name
            if isinstance(node.this, exp.Column)
            else (
                _column_name(node.this)
                if isinstance(node.this, exp.Func)
                else node.to.sql("redshift").lower().partition("(")[0]
            )
        )
    if isinstance(node, exp.Window | exp.Paren | exp.WithinGroup):
        return _column_name(node.this)
    if isinstance(node, exp.Case):
        return "case"
    return str(node.meta.get("called", "count" if isinstance(node, exp.Count) else "?column?"))


def translate(tree: exp.Expr, schema: dict[str, dict[str, dict[str, str]]]) -> exp.Expr:
    """A query with DuckDB's meaning; `schema` is schema -> table -> column -> type as sqlglot names
    types.
    """
    quoted: dict[str, object] = {
        quote(owner): {
            quote(name): {quote(column): kind for column, kind in columns.items()}
            for name, columns in tables.items()
        }
        for owner, tables in schema.items()
    }
    try:
        typed = annotate_types(
            qualify(tree, schema=quoted, dialect="redshift", validate_qualify_columns=bool(schema)),
            schema=quoted,
            dialect="redshift",
        )
    except sqlglot.errors.OptimizeError as wrong:
        found = re.search(r"Column '(.*?)' could not be resolved", str(wrong))
        name = found[1].rpartition(".")[2].strip('"') if found else ""
        raise RedshiftError(f'column "{name}" does not exist' if found else str(wrong)) from wrong
    for node in from_inside(typed):
        if isinstance(node, super_values.OPERATORS):
            super_values.rewrite_operator(node)
        try:
            _rewrite(node)
        except exact_sql.UntypedError as untyped:
            raise RedshiftError(
                f"local_aws cannot tell the type of the division {untyped}; cast both sides"
            ) from untyped
    exact_sql.join_texts(typed)
    _tell_apart_without_trailing_blanks(typed)
    return typed


def _quotient(left: exact_sql.Decimal, right: exact_sql.Decimal) -> exact_sql.Decimal:
    """https://docs.aws.amazon.com/redshift/latest/dg/r_numeric_computations201.html"""
    scale = max(4, left[1] + right[0] - right[1] + 1)
    precision = left[0] - left[1] + right[1] + scale
    if precision > exact_sql.LONGEST:  # the whole part comes first, but four decimals stay
        scale = max(4, scale - (precision - exact_sql.LONGEST))
    return min(precision, exact_sql.LONGEST), scale


def _rewrite(node: exp.Expr) -> None:  # noqa: C901, PLR0912 - one case for each thing that differs
    if isinstance(node, exp.Div):
        new = exact_sql.divide(node, _quotient)
        replace(
            node,
            (
                new
                if new is not node
                else exp.Div(this=node.left.copy(), expression=call("nonzero", node.right.copy()))
            ),
        )
    elif isinstance(node, exp.Mod):
        replace(node, exp.Mod(this=node.left.copy(), expression=call("nonzero", node.right.copy())))
    elif isinstance(node, exp.Avg):
        _rewrite_average(node)
    elif isinstance(node, exp.Sum) and is_integer(node.this) and type_name(node.this) != "BIGINT":
        exact_sql.exact_sum(node)
    elif isinstance(node, exp.Length | exp.Substring) and is_binary(node.this):
        replace(node, exact_sql.bytes_function(node))
    elif (
        isinstance(node, exp.Anonymous)
        and node.name.lower() == "octet_length"
        and type_name(node.expressions[0]) in ("VARCHAR", "TEXT", "CHAR")
    ):
        replace(node, call("strlen", node.expressions[0]))
    elif isinstance(node, exp.FromBase):
        if node.expression.name != "16":
            raise RedshiftError("local_aws does strtol with base 16 only")
        replace(node, call("digits_value", node.this))
    elif isinstance(node, exp.Cast):
        _rewrite_cast(node)
    elif isinstance(node, COMPARISONS):
        _compare_without_trailing_blanks(node)
    elif isinstance(node, exp.CurrentTimestamp):
        replace(node, call("this_second"))
    elif isinstance(node, exp.Concat):
        joined = node.expressions[0]
        for each in node.expressions[1:]:
            joined = exp.DPipe(this=joined.copy(), expression=each.copy())
        replace(node, exp.Paren(this=joined))
    elif (
        isinstance(node, exp.Add | exp.Sub)
        and type_name(node.this) == "DATE"
        and is_integer(node.expression)
    ):
        node.set("this", cast(node.this.copy(), "DATE"))


def _compare_without_trailing_blanks(node: exp.Expr) -> None:
    """Texts are compared as if their trailing blanks were not there, and so count(DISTINCT …) tells
    them apart; LIKE and length see them.

    https://docs.aws.amazon.com/redshift/latest/dg/r_Character_types.html
    """
    asked = node.args.get("query")
    operands = [node.this, *_columns(asked)] if asked else [*node.iter_expressions()]
    if all(type_name(each) in TEXTS for each in operands):
        _trim(operands)


def _tell_apart_without_trailing_blanks(tree: exp.Expr) -> None:
    """Nor do trailing blanks tell groups, distinct rows, partitions or the rows of sets apart;
    which of the spellings is answered Redshift does not say, here it is the one without.
    """
    for select in list(tree.find_all(exp.Select)):
        keys = list(select.args["group"].expressions) if select.args.get("group") else []
        keys += _columns(select) if select.args.get("distinct") else []
        keys = [each.copy() for each in keys if type_name(each) in TEXTS]
        clauses = [select.args.get(each) for each in ("group", "having", "order")]
        for clause in [*select.expressions, *(each for each in clauses if each)] if keys else []:
            inside = clause.walk(prune=lambda each: isinstance(each, exp.AggFunc))
            _trim([each for each in list(inside) if each in keys])
    for window in tree.find_all(exp.Window):
        _trim(window.args.get("partition_by") or [])
    for each in tree.find_all(exp.SetOperation):
        if each.args.get("distinct"):
            _trim(_columns(each))


def _columns(query: exp.Expr) -> list[exp.Expr]:
    """What a query, or each of those that a set is made of, answers, without the names."""
    if isinstance(query, exp.SetOperation):
        return [*_columns(query.left), *_columns(query.right)]
    if isinstance(query, exp.Subquery):
        return _columns(query.this)
    return [each.unalias() for each in query.expressions]


def _trim(found: list[exp.Expr]) -> None:
    """Take the trailing blanks of these texts away; what is none stays as it is."""
    for each in found:
        blank = not isinstance(each, exp.Literal) or each.name.endswith(" ")
        if type_name(each) in TEXTS and blank:
            each.replace(call("rtrim", each.copy(), exp.Literal.string(" ")))


def _rewrite_average(node: exp.Avg) -> None:
    """The mean of whole numbers is a whole number in Redshift (r_AVG), that of decimals has their
    scale.
    """
    size = (
        exact_sql.decimal_of(node.this)
        if is_integer(node.this) or exact_sql.is_decimal(node.this)
        else None
    )
    if size is None and exact_sql.is_decimal(node.this):
        raise exact_sql.UntypedError(node.sql())
    if size and is_integer(node.this):
        total, count = exp.Sum(this=node.this.copy()), exp.Count(this=node.this.copy())
        outer = node.parent if isinstance(node.parent, exp.Window) else node
        parts = []
        for aggregate in (total, count):
            copied = outer.copy() if outer is not node else aggregate
            if outer is not node:
                copied.set("this", aggregate)
            parts.append(copied)
        outer.replace(
            cast(
                exp.IntDiv(
                    this=parts[0],
                    expression=exp.Nullif(this=parts[1], expression=exp.Literal.number(0)),
                ),
                "BIGINT",
            )
        )
    elif size:
        exact_sql.average(node, (exact_sql.LONGEST, size[1]))


def _rewrite_cast(node: exp.Cast) -> None:
    target, inner = node.to, node.this
    if target.this.name == "SUPER" or (
        super_values.is_super(inner) and target.this in exp.DataType.TEXT_TYPES
    ):
        super_values.rewrite_cast(node)
    if target.this in exp.DataType.TEXT_TYPES:
        width = target.expressions[0].name if target.expressions else "max"
        target.set("expressions", [])
        if is_double(inner):
            node.set("this", call("double_text", inner.copy()))
        elif (
            (size := exact_sql.decimal_of(inner))
            and type_name(inner) == "DECIMAL"
            and size[0] == size[1] < exact_sql.LONGEST
        ):
            node.set("this", cast(inner.copy(), f"DECIMAL({size[0] + 1},{size[1]})"))
        if width.isdigit():
            replace(node, call("cut_text", node.copy(), exp.Literal.number(width)))
    elif target.this.name in ("VARBINARY", "TIMESTAMP", "TIMESTAMPTZ"):
        target.set("expressions", [])


def named_type(kind: str) -> str:
    """DuckDB's type as sqlglot's Redshift names it."""
    words = {
        "VARCHAR": "VARCHAR",
        "BLOB": "VARBYTE",
        "TIMESTAMP WITH TIME ZONE": "TIMESTAMPTZ",
        "FLOAT": "REAL",
        "DOUBLE": "DOUBLE PRECISION",
        "JSON": "SUPER",
        "HUGEINT": "DECIMAL(38,0)",
    }
    return words.get(kind, kind)
