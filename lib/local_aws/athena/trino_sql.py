"""Athena's SQL (Trino) as DuckDB's: tables by their view, Trino's rules where DuckDB's are kinder
or other.
"""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import sqlglot
import sqlglot.errors
from sqlglot import exp
from sqlglot.optimizer.annotate_types import annotate_types
from sqlglot.optimizer.qualify import qualify
from sqlglot.optimizer.scope import traverse_scope

from local_aws.duckdb_sql import quote
from local_aws.engines import exact_sql
from local_aws.engines.exact_sql import (
    call,
    cast,
    from_inside,
    is_binary,
    is_double,
    replace,
    type_name,
)
from local_aws.engines.lake_tables import MILLISECONDS, LakeError

if TYPE_CHECKING:
    from collections.abc import Iterable

    import duckdb

# what it cannot parse is refused, and said, by us
logging.getLogger("sqlglot").setLevel(logging.ERROR)
MACROS = (
    "nan() AS 'nan'::double",
    "infinity() AS 'inf'::double",
    "from_base_16(digits) AS ('0x' || digits)::bigint",
    f"to_milliseconds(x) AS {MILLISECONDS.format('x::timestamp')}",
    (
        "regexp_found(x, pattern, part) AS CASE WHEN regexp_matches(x, pattern) THEN"
        " regexp_extract(x, pattern, part) END"
    ),
    "part_of(x, separator, place) AS list_extract(string_split(x, separator), place)",
    (
        "smallest(these) AS CASE WHEN len(list_filter(these, lambda x: x IS NULL)) = 0 THEN"
        " list_min(these) END"
    ),
    (
        "largest(these) AS CASE WHEN len(list_filter(these, lambda x: x IS NULL)) = 0 THEN"
        " list_max(these) END"
    ),
)
# The functions of Trino that mean the same here, after this module's work; any other is refused.
FUNCTIONS = frozenset(
    """abs acos all_match any_match any_value approx_distinct approx_percentile arbitrary
    array_agg array_distinct array_intersect array_join array_max array_min array_position
    array_sort asin atan atan2 avg bitwise_and bitwise_and_agg bitwise_not bitwise_or
    bitwise_or_agg bitwise_xor bool_and bool_or cardinality cast cbrt ceil ceiling chr
    coalesce codepoint concat concat_ws contains corr cos count count_if covar_pop covar_samp
    cume_dist current_date current_timestamp date date_add date_diff date_format date_parse
    date_trunc day day_of_month day_of_week day_of_year degrees dense_rank dow doy e
    element_at every exp extract filter first_value flatten floor from_base from_hex
    from_unixtime from_utf8 greatest hour if infinity is_finite is_infinite is_nan
    json_array_length json_extract json_extract_scalar json_parse lag last_day_of_month
    last_value lead least length levenshtein_distance ln localtimestamp log log10 log2 lower
    lpad ltrim map_keys map_values max max_by md5 min min_by minute mod month nan none_match
    now nth_value ntile nullif percent_rank pi pow power quarter radians rand random rank
    regexp_extract regexp_like regexp_replace regr_intercept regr_slope replace reverse round
    row_number rpad rtrim second sequence sha256 sha512 sign sin split split_part sqrt
    starts_with stddev stddev_pop stddev_samp strpos substr substring sum tan to_hex
    to_unixtime to_utf8 transform translate trim truncate try_cast unnest upper url_decode
    url_encode uuid var_pop var_samp variance week width_bucket year""".split()  # noqa: SIM905 - a list of 150 quoted words is no easier to read
)
KEYWORDS = frozenset(["array", "row", "map", "exists", "any", "all", "some"])
# https://docs.aws.amazon.com/athena/latest/ug/reserved-words.html
RESERVED = frozenset(
    """alter and as between by case cast constraint create cross cube current_catalog current_date
    current_path current_schema current_time current_timestamp current_user deallocate delete
    describe distinct drop else end escape except execute exists extract false for from full group
    grouping having in inner insert intersect into is join json_array json_exists json_object
    json_query json_value left like listagg localtime localtimestamp natural normalize not null on
    or order outer prepare recursive right rollup select skip table then trim true uescape union
    unnest using values when where with""".split()  # noqa: SIM905
)
RESERVED_IN_DDL = frozenset(
    """all alter and array as authorization between bigint binary boolean both by case cashe cast
    char column conf constraint commit create cross cube current current_date current_timestamp
    cursor database date dayofweek decimal delete describe distinct div double drop else end
    exchange exists extended external extract false fetch float floor following for foreign from
    full function grant group grouping having if import in inner insert int integer intersect
    interval into is join lateral left less like local macro map more none not null numeric of on
    only or order out outer over partialscan partition percent preceding precision preserve primary
    procedure range reads reduce regexp references revoke right rlike rollback rollup row rows
    select set smallint start table tablesample then time timestamp to transform trigger true
    truncate unbounded union uniquejoin update user using utc_timestamp values varchar views when
    where window with""".split()  # noqa: SIM905
)
COMPARISONS = (exp.EQ, exp.In, exp.LT, exp.LTE, exp.GT, exp.GTE, exp.Between)
TIMESTAMPS = ("TIMESTAMP", "TIMESTAMPTZ", "TIMESTAMPLTZ")
KINDS = {
    **dict.fromkeys(
        ("TINYINT", "SMALLINT", "INT", "BIGINT", "DECIMAL", "DOUBLE", "FLOAT"), "number"
    ),
    **dict.fromkeys(("TEXT", "VARCHAR", "CHAR"), "text"),
    **dict.fromkeys(("DATE", *TIMESTAMPS), "time"),
    "BOOLEAN": "boolean",
}


@dataclass
class Source:
    """One table as a query names it: where it is in the text, and whose it is."""

    node: exp.Table
    catalog: str
    database: str
    name: str

    @property
    def position(self) -> str:
        """`line 1:15`."""
        return position(self.node.parts[0])


def prepare(connection: duckdb.DuckDBPyConnection) -> None:
    """Give a DuckDB the macros of Trino."""
    exact_sql.prepare(connection, "DIVISION_BY_ZERO: Division by zero")
    for macro in MACROS:
        connection.execute(f"CREATE OR REPLACE MACRO {macro}")


def parse(sql: str, reserved: frozenset[str] = RESERVED) -> exp.Expr:
    """The one statement of a text, none of whose names is a reserved word without quotes; raises
    LakeError SYNTAX_ERROR.
    """
    try:
        found = [each for each in sqlglot.parse(sql, read="athena") if each is not None]
    except sqlglot.errors.SqlglotError as wrong:
        errors = getattr(wrong, "errors", None) or [{}]
        where = f"line {errors[0].get('line', 1)}:{errors[0].get('col', 1)}"
        raise LakeError(
            "SYNTAX_ERROR", f"{where}: mismatched input '{errors[0].get('highlight', sql[:20])}'"
        ) from wrong
    if len(found) != 1:
        raise LakeError("SYNTAX_ERROR", "Only one sql statement is allowed.")
    for each in found[0].find_all(exp.Identifier):
        if not each.args.get("quoted") and each.name.lower() in reserved:
            raise LakeError(
                "SYNTAX_ERROR",
                f"{position(each)}: mismatched input '{each.name}'. Expecting: <identifier>",
            )
    return found[0]


def place(node: exp.Expr, width: int) -> str:
    """Where a name of so many characters starts: `line 1:15`."""
    return f"line {node.meta.get('line', 1)}:{max(node.meta.get('col', 1) - width + 1, 1)}"


def position(node: exp.Expr) -> str:
    """Where an identifier starts."""
    return place(node, len(node.name) + (2 if node.args.get("quoted") else 0))


def sources(tree: exp.Expr, database: str) -> list[Source]:
    """The tables that a query reads, without its own WITH names."""
    found: dict[int, Source] = {}
    for scope in traverse_scope(tree):
        for source in scope.sources.values():
            if isinstance(source, exp.Table) and isinstance(source.this, exp.Identifier):
                catalog, owner = (
                    source.catalog.lower() or "awsdatacatalog",
                    source.db.lower() or database.lower(),
                )
                found[id(source)] = Source(source, catalog, owner, source.name.lower())
    return list(found.values())


def conditions(source: Source, keys: Iterable[str]) -> list[exp.Expr]:
    """What the WHERE of a query says of a table's partition keys and literals alone, each of which
    a row must meet.
    """
    select = source.node.find_ancestor(exp.Select)
    where = select.args.get("where") if select else None
    if not select or not where:
        return []
    alone = not select.args.get("joins") and not select.args.get("laterals")
    owners = {source.node.alias_or_name.lower(), "" if alone else source.node.alias_or_name.lower()}
    return [
        each
        for each in (where.this.flatten() if isinstance(where.this, exp.And) else [where.this])
        if isinstance(each, COMPARISONS)
        and (columns := list(each.find_all(exp.Column)))
        and all(one.name.lower() in keys and one.table.lower() in owners for one in columns)
        and not each.find(exp.Query, exp.Func)
    ]


def translate(tree: exp.Expr, text: str, views: dict[str, dict[str, exp.DataType]]) -> str:
    """The query in DuckDB's words; `text` is what it was parsed from, `views` are the relations
    that its tables were replaced by, with their columns' types.
    """
    _check_functions(tree, text)
    _name_columns(tree)
    schema: dict[str, object] = {
        quote(view): {quote(name): kind.sql("athena") for name, kind in types.items()}
        for view, types in views.items()
    }
    try:
        typed = annotate_types(
            qualify(tree, schema=schema, dialect="athena", expand_alias_refs=False),
            schema=schema,
            dialect="athena",
        )
    except sqlglot.errors.OptimizeError as wrong:
        raise _unresolved(wrong) from wrong
    for node in from_inside(typed):
        _check_operands(node)
        try:
            _rewrite(node)
        except exact_sql.UntypedError as untyped:
            raise LakeError(
                "NOT_SUPPORTED",
                f"local_aws cannot tell the type of the division {untyped}; cast both sides.",
            ) from untyped
    exact_sql.join_texts(typed)
    return typed.sql(dialect="duckdb")


def rename(source: Source, view: str) -> None:
    """Point a table of a query at a relation of DuckDB, under the name it had."""
    alias = source.node.args.get("alias") or exp.TableAlias(
        this=exp.to_identifier(source.name, quoted=True)
    )
    source.node.set("alias", alias)
    source.node.set("this", exp.to_identifier(view, quoted=True))
    source.node.set("db", None)
    source.node.set("catalog", None)


def _check_functions(tree: exp.Expr, text: str) -> None:
    """Refuse what Trino does not know, and what it knows and local_aws does not, by the name in the
    text.
    """
    for node in tree.find_all(exp.Func):
        name = (
            text[node.meta["start"] : node.meta["end"] + 1].lower() if "start" in node.meta else ""
        )
        if name.isidentifier() and name not in FUNCTIONS | KEYWORDS:
            raise LakeError(
                "FUNCTION_NOT_FOUND",
                f"{place(node, len(name))}: Function '{name}' not registered, or not done by"
                " local_aws",
            )
        if isinstance(node, exp.MD5Digest):
            node.meta["where"] = place(node, len(name))


def _name_columns(tree: exp.Expr) -> None:
    """Give nameless columns Trino's names, `_col0`, and forget qualifiers that name the
    database.
    """
    for select in tree.find_all(exp.Select):
        for place, each in enumerate(select.expressions):
            if (
                not isinstance(each, exp.Column | exp.Alias | exp.Star | exp.Aliases)
                and not each.is_star
            ):
                each.replace(exp.alias_(each.copy(), f"_col{place}"))
    for column in tree.find_all(exp.Column):
        column.set("db", None)
        column.set("catalog", None)


def _unresolved(wrong: sqlglot.errors.OptimizeError) -> LakeError:
    if found := re.search(
        r"Column '(.*?)' could not be resolved(?:.*Line: (\d+), Col: (\d+))?", str(wrong)
    ):
        name, line, last = found[1], found[2] or "1", int(found[3] or 1)
        where = f"line {line}:{max(last - len(name) + 1, 1)}"
        return LakeError(
            "COLUMN_NOT_FOUND",
            f"{where}: Column '{name}' cannot be resolved or requester is not authorized to access"
            " requested resources",
        )
    return LakeError("SYNTAX_ERROR", str(wrong))


def _check_operands(node: exp.Expr) -> None:
    """Trino compares and computes only like with like."""
    if isinstance(
        node,
        exp.EQ
        | exp.NEQ
        | exp.LT
        | exp.LTE
        | exp.GT
        | exp.GTE
        | exp.Add
        | exp.Sub
        | exp.Mul
        | exp.Div
        | exp.Mod,
    ):
        _check_pair(node, node.left, node.right)
    elif isinstance(node, exp.Between):
        _check_pair(node, node.this, node.args["low"])
    elif isinstance(node, exp.In):
        for each in node.expressions:
            _check_pair(node, node.this, each)
    elif isinstance(node, exp.DPipe):
        for side in (node.left, node.right):
            if KINDS.get(type_name(side), "text") != "text":
                raise LakeError(
                    "FUNCTION_NOT_FOUND",
                    f"line 1:1: Unexpected parameters ({_type_text(node.left)},"
                    f" {_type_text(node.right)}) for function concat.",
                )


def _check_pair(node: exp.Expr, left: exp.Expr, right: exp.Expr) -> None:
    kinds = KINDS.get(type_name(left)), KINDS.get(type_name(right))
    computed = isinstance(node, exp.Add | exp.Sub | exp.Mul | exp.Div | exp.Mod)
    if kinds[0] and kinds[1] and (kinds[0] != kinds[1] or (computed and "text" in kinds)):
        signs: dict[type[exp.Expr], str] = {
            exp.EQ: "=",
            exp.NEQ: "<>",
            exp.LT: "<",
            exp.LTE: "<=",
            exp.GT: ">",
            exp.GTE: ">=",
            exp.Add: "+",
            exp.Sub: "-",
            exp.Mul: "*",
            exp.Div: "/",
            exp.Mod: "%",
        }
        sign = signs.get(type(node), "IN" if isinstance(node, exp.In) else "BETWEEN")
        raise LakeError(
            "TYPE_MISMATCH",
            f"line 1:1: Cannot apply operator: {_type_text(left)} {sign} {_type_text(right)}",
        )


def _type_text(node: exp.Expr) -> str:
    if isinstance(node, exp.Literal) and node.is_string:
        return f"varchar({len(node.name)})"
    return node.type.sql("athena").lower().replace(", ", ",") if node.type else "unknown"


def _decimal_quotient(left: exact_sql.Decimal, right: exact_sql.Decimal) -> exact_sql.Decimal:
    """Trino's rule; https://trino.io/docs/current/functions/decimal.html"""
    scale = max(left[1], right[1])
    return min(left[0] + right[1] + max(0, right[1] - left[1]), exact_sql.LONGEST), scale


def _rewrite(node: exp.Expr) -> None:  # noqa: C901, PLR0912 - one case for each thing that differs
    if isinstance(node, exp.Div):
        new = exact_sql.divide(node, _decimal_quotient)
        if new is not node:
            replace(node, new)
    elif isinstance(node, exp.Mod):
        if (new := exact_sql.checked_modulo(node)) is not node:
            replace(node, new)
    elif isinstance(node, exp.Avg) and exact_sql.is_decimal(node.this):
        size = exact_sql.decimal_of(node.this)
        if size is None:
            raise exact_sql.UntypedError(node.sql())
        exact_sql.average(node, size)
    elif isinstance(node, exp.Sum) and exact_sql.is_integer(node.this):
        exact_sql.exact_sum(node)
    elif isinstance(node, exp.Length | exp.Substring) and is_binary(node.this):
        replace(node, exact_sql.bytes_function(node))
    elif (
        isinstance(node, exp.LowerHex)
        and isinstance(node.this, exp.MD5Digest)
        and isinstance(node.this.this, exp.Encode)
    ):
        # the same text, without the way there and back
        replace(node, call("md5", node.this.this.this))
    elif (
        isinstance(node, exp.MD5Digest | exp.SHA2Digest)
        and not is_binary(node.this)
        and type_name(node.this)
    ):
        raise LakeError(
            "FUNCTION_NOT_FOUND",
            f"{node.meta.get('where', 'line 1:1')}: Unexpected parameters ({_type_text(node.this)})"
            " for function md5. Expected: md5(varbinary)",
        )
    elif isinstance(node, exp.Cast):
        _rewrite_cast(node)
    elif isinstance(node, exp.DateDiff):
        _rewrite_date_diff(node)
    elif isinstance(node, exp.RegexpExtract):
        replace(
            node,
            call(
                "regexp_found",
                node.this,
                node.expression,
                node.args.get("group") or exp.Literal.number(0),
            ),
        )
    elif isinstance(node, exp.SplitPart):
        replace(node, call("part_of", node.this, node.args["delimiter"], node.args["part_index"]))
    elif isinstance(node, exp.Greatest | exp.Least):
        name = "largest" if isinstance(node, exp.Greatest) else "smallest"
        replace(node, call(name, exp.Array(expressions=[node.this, *node.expressions])))
    elif (
        isinstance(node, exp.Add | exp.Sub | exp.DateAdd | exp.TimestampTrunc | exp.DateTrunc)
        and type_name(node.this) == "DATE"
    ):
        _keep_date(node)
    elif isinstance(node, exp.Func):
        _rewrite_by_name(node)


def _rewrite_by_name(node: exp.Expr) -> None:
    if isinstance(node, exp.FromBase):
        if node.expression.name != "16":
            raise LakeError("NOT_SUPPORTED", "local_aws does from_base with the radix 16 only.")
        replace(node, call("from_base_16", node.this))
    elif isinstance(node, exp.Anonymous) and node.name.lower() == "is_infinite":
        replace(node, call("isinf", node.expressions[0]))
    elif isinstance(node, exp.ApproxQuantile):
        replace(node, call("approx_quantile", node.this, node.args["quantile"]))
    elif isinstance(node, exp.CurrentTimestamp):
        replace(node, cast(call("to_milliseconds", call("now")), "TIMESTAMPTZ"))
    elif isinstance(node, exp.Localtimestamp):
        replace(node, call("to_milliseconds", call("now")))


def _rewrite_cast(node: exp.Cast) -> None:
    target, inner = node.to, node.this
    if target.this in exp.DataType.TEXT_TYPES:
        if type_name(inner) in TIMESTAMPS:
            replace(node, call("strftime", inner, exp.Literal.string("%Y-%m-%d %H:%M:%S.%g")))
        elif is_double(inner):
            replace(
                node,
                call(
                    "trino_real_text" if type_name(inner) == "FLOAT" else "trino_double_text", inner
                ),
            )
        elif (
            (size := exact_sql.decimal_of(inner))
            and type_name(inner) == "DECIMAL"
            and size[0] == size[1] < exact_sql.LONGEST
        ):
            # Trino writes 0.5, not .5
            node.set("this", cast(inner.copy(), f"DECIMAL({size[0] + 1},{size[1]})"))
    elif target.this.name == "TIMESTAMP" and not (
        type_name(inner) == "TIMESTAMP" and inner.type and inner.type == target
    ):
        digits = int(target.expressions[0].name) if target.expressions else 3
        target.set("expressions", [])  # TIMESTAMP(0) is a type of its own in DuckDB
        if digits == 3 and not isinstance(inner, exp.Literal):
            replace(node, call("to_milliseconds", inner))
        elif digits not in (0, 3, 6) and not isinstance(inner, exp.Literal):
            raise LakeError(
                "NOT_SUPPORTED",
                f"local_aws does timestamps of 3 or 6 digits, not timestamp({digits}).",
            )
    elif (
        target.this.name in exact_sql.INTEGER_DIGITS
        and is_double(inner)
        and not isinstance(inner, exp.Floor | exp.Ceil | exp.Round)
    ):
        node.set("this", call("round", inner.copy()))  # Trino rounds half up, DuckDB to even


def _rewrite_date_diff(node: exp.DateDiff) -> None:
    """Whole units between two moments, where DuckDB's date_diff counts the borders crossed."""
    unit = node.args["unit"].name.lower()
    whole = unit == "millisecond" or (
        unit == "day" and type_name(node.this) == "DATE" == type_name(node.expression)
    )
    replace(
        node,
        call(
            "date_diff" if whole else "date_sub",
            exp.Literal.string(unit),
            node.expression,
            node.this,
        ),
    )


def _keep_date(node: exp.Expr) -> None:
    """A date with an interval of days makes a date, as does its month; in DuckDB a timestamp."""
    if not isinstance(node, exp.Add | exp.Sub) or isinstance(node.expression, exp.Interval):
        placed = cast(exp.Null(), "DATE")
        node.replace(placed)
        placed.set("this", node)
        placed.type = placed.to
