"""QuickSight's expressions of calculated fields, as DuckDB's SQL.

https://docs.aws.amazon.com/quicksight/latest/user/calculated-field-reference.html
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

import sqlglot
from sqlglot import exp

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

TOKEN = re.compile(
    r"""(?P<string>'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")|\{(?P<field>[^{}]+)\}|(?P<name>[A-Za-z_]\w*)(?P<call>\s*\()?|.""",
    re.DOTALL,
)
KEYWORDS = ("and", "or", "not", "in")
PREFIX = "quicksight_"  # keeps the parser from taking a function for one of its own
PERIODS = dict(  # noqa: C408 - QuickSight's words
    YYYY="year", Q="quarter", MM="month", WK="week", DD="day", HH="hour", MI="minute", SS="second"
)
DATE_PARTS = {
    "yyyy": "%Y",
    "yy": "%y",
    "MM": "%m",
    "M": "%-m",
    "MMM": "%b",
    "MMMM": "%B",
    "dd": "%d",
    "d": "%-d",
    "EEE": "%a",
    "EEEE": "%A",
    "HH": "%H",
    "H": "%-H",
    "mm": "%M",
    "ss": "%S",
}
BINARY = {
    exp.Add: "+",
    exp.Sub: "-",
    exp.Mul: "*",
    exp.And: "AND",
    exp.Or: "OR",
    exp.EQ: "=",
    exp.NEQ: "<>",
    exp.GT: ">",
    exp.GTE: ">=",
    exp.LT: "<",
    exp.LTE: "<=",
}


class ExpressionError(Exception):
    """An expression that QuickSight would refuse: one sentence."""


class NotSupportedError(Exception):
    """An expression that QuickSight may take and this stand-in does not: what it is."""


class Sql(NamedTuple):
    """An expression in SQL, and whether it aggregates rows."""

    text: str
    aggregates: bool = False


def translate(expression: str, columns: Mapping[str, Sql]) -> Sql:
    """An expression over fields, whose SQL `columns` gives; raises ExpressionError or
    NotSupportedError.
    """
    prepared = "".join(_prepared(each) for each in TOKEN.finditer(expression))
    try:
        tree = sqlglot.parse_one(prepared, read="duckdb")
    except sqlglot.errors.SqlglotError as error:
        raise ExpressionError(f"The expression {expression!r} is not well formed") from error
    return _render(tree, columns)


def _prepared(token: re.Match[str]) -> str:
    """One token as the SQL parser takes it."""
    if text := token["string"]:
        return "'" + re.sub(r"\\(.)", r"\1", text[1:-1]).replace("'", "''") + "'"
    if token["field"]:
        return '"' + token["field"].replace('"', '""') + '"'
    if token["call"] and token["name"].lower() not in KEYWORDS:
        if token["name"] not in FUNCTIONS:
            raise NotSupportedError(f"the function {token['name']} in a calculated field")
        return f"{PREFIX}{token['name']}("
    return token[0]


def _render(node: exp.Expr, columns: Mapping[str, Sql]) -> Sql:
    def render(each: exp.Expr) -> Sql:
        return _render(each, columns)

    if isinstance(node, exp.Column):
        if node.name not in columns:
            raise ExpressionError(f"There is no field {node.name}")
        return columns[node.name]
    if isinstance(node, exp.Literal | exp.Null | exp.Boolean):
        return Sql(node.sql("duckdb"))
    if isinstance(node, exp.Binary) and type(node) in BINARY:
        return _joined(f"({{}} {BINARY[type(node)]} {{}})", render(node.left), render(node.right))
    if isinstance(node, exp.Div):
        return _joined("({} / nullif({}, 0))", render(node.left), render(node.right))
    if isinstance(node, exp.Paren | exp.Neg | exp.Not):
        form = {exp.Paren: "({})", exp.Neg: "(- {})", exp.Not: "(NOT {})"}[type(node)]
        return _joined(form, render(node.this))
    if isinstance(node, exp.In) and node.expressions:
        values = [render(each) for each in node.expressions]
        return _joined(
            "({} IN (" + ", ".join("{}" for _ in values) + "))", render(node.this), *values
        )
    if isinstance(node, exp.Anonymous) and node.name.startswith(PREFIX):
        return _function(node, [render(each) for each in node.expressions])
    raise NotSupportedError(f"{node.sql('duckdb').replace(PREFIX, '')} in a calculated field")


def _joined(form: str, *parts: Sql) -> Sql:
    return Sql(form.format(*(each.text for each in parts)), any(each.aggregates for each in parts))


def _function(node: exp.Anonymous, arguments: list[Sql]) -> Sql:
    name = node.name.removeprefix(PREFIX)
    form, least, most = FUNCTIONS[name]
    if not least <= len(arguments) <= most:
        raise ExpressionError(f"The function {name} does not take {len(arguments)} arguments")
    texts = [each.text for each in arguments]
    text = form(*texts) if callable(form) else form.format(*texts)
    aggregates = name in AGGREGATES
    if aggregates and any(each.aggregates for each in arguments):
        raise ExpressionError(f"The function {name} cannot aggregate what is aggregated already")
    return Sql(text, aggregates or any(each.aggregates for each in arguments))


def _ifelse(*arguments: str) -> str:
    if len(arguments) % 2 == 0:
        raise ExpressionError(
            "The function ifelse takes conditions and values in pairs, and a last value"
        )
    pairs = zip(arguments[:-1:2], arguments[1::2], strict=True)
    return (
        "CASE "
        + " ".join(f"WHEN {condition} THEN {value}" for condition, value in pairs)
        + f" ELSE {arguments[-1]} END"
    )


def _period(literal: str) -> str:
    word = literal.strip("'").upper()
    if word not in PERIODS:
        raise ExpressionError(f"{literal} is not a period; these are: {', '.join(PERIODS)}")
    return PERIODS[word]


def _extract(period: str, moment: str) -> str:
    if period.strip("'").upper() == "WD":  # 1 is Sunday
        return f"(date_part('dow', {moment}) + 1)"
    return f"date_part('{_period(period)}', {moment})"


def _date_difference(first: str, second: str, period: str = "'DD'") -> str:
    return f"date_diff('{_period(period)}', {first}, {second})"


def _added(amount: str, period: str, moment: str) -> str:
    return f"({moment} + {amount} * INTERVAL 1 {_period(period)})"


def _format_date(moment: str, pattern: str = "'yyyy-MM-dd'") -> str:
    def part(found: re.Match[str]) -> str:
        if found[0] not in DATE_PARTS:
            raise NotSupportedError(f"{found[0]} in a format of formatDate")
        return DATE_PARTS[found[0]]

    return f"strftime({moment}, {re.sub('[A-Za-z]+', part, pattern)})"


FUNCTIONS: dict[str, tuple[str | Callable[..., str], int, int]] = {
    "ifelse": (_ifelse, 3, 99),
    "isNull": ("({} IS NULL)", 1, 1),
    "isNotNull": ("({} IS NOT NULL)", 1, 1),
    "coalesce": (lambda *values: f"coalesce({', '.join(values)})", 2, 99),
    "nullIf": ("nullif({}, {})", 2, 2),
    "concat": (lambda *texts: f"concat({', '.join(texts)})", 2, 99),
    "toString": ("CAST({} AS VARCHAR)", 1, 1),
    "toUpper": ("upper({})", 1, 1),
    "toLower": ("lower({})", 1, 1),
    "trim": ("trim({})", 1, 1),
    "strlen": ("length({})", 1, 1),
    "left": ("left({}, {})", 2, 2),
    "right": ("right({}, {})", 2, 2),
    "substring": ("substring({}, {}, {})", 3, 3),
    "replace": ("replace({}, {}, {})", 3, 3),
    "contains": ("contains({}, {})", 2, 2),
    "startsWith": ("starts_with({}, {})", 2, 2),
    "endsWith": ("ends_with({}, {})", 2, 2),
    "parseInt": ("TRY_CAST({} AS BIGINT)", 1, 1),
    "parseDecimal": ("TRY_CAST({} AS DECIMAL(18, 4))", 1, 1),
    "intToDecimal": ("CAST({} AS DECIMAL(18, 4))", 1, 1),
    "decimalToInt": ("CAST(trunc({}) AS BIGINT)", 1, 1),
    "abs": ("abs({})", 1, 1),
    "ceil": ("ceil({})", 1, 1),
    "floor": ("floor({})", 1, 1),
    "round": (lambda value, scale="0": f"round({value}, {scale})", 1, 2),
    "mod": ("mod({}, {})", 2, 2),
    "dateDiff": (_date_difference, 2, 3),
    "addDateTime": (_added, 3, 3),
    "truncDate": (lambda period, moment: f"date_trunc('{_period(period)}', {moment})", 2, 2),
    "extract": (_extract, 2, 2),
    "formatDate": (_format_date, 1, 2),
}
AGGREGATES: dict[str, tuple[str | Callable[..., str], int, int]] = {
    **{name: (f"{name}({{}})", 1, 1) for name in ("sum", "avg", "count", "min", "max", "median")},
    "distinct_count": ("count(DISTINCT {})", 1, 1),
    "stdev": ("stddev_samp({})", 1, 1),
    "var": ("var_samp({})", 1, 1),
    "percentile": ("quantile_cont({0}, {1} / 100.0)", 2, 2),
    **{
        f"{name}If": (f"{name}({{}}) FILTER ({{}})", 2, 2)
        for name in ("sum", "avg", "count", "min", "max")
    },
    "distinct_countIf": ("count(DISTINCT {}) FILTER ({})", 2, 2),
}
FUNCTIONS |= AGGREGATES
