"""Arithmetic as SQL engines on AWS do it and DuckDB doesn't: integer and decimal division,
averages, sums, zero divisors, bytes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlglot import exp

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import duckdb

Decimal = tuple[int, int]  # precision, scale
INTEGER_DIGITS = {"TINYINT": 3, "SMALLINT": 5, "INT": 10, "BIGINT": 19}
LONGEST = 38
MACROS = (
    # a divisor that must not be zero; {zero} is the engine's own error
    "nonzero(x) AS CASE WHEN x = 0 THEN error('{zero}') ELSE x END",
    # rounded half away from zero
    "divided(n, d) AS ((abs(n) * 2 + abs(d)) // (abs(d) * 2)) * (sign(n) * sign(d))::hugeint",
)


class UntypedError(Exception):
    """A decimal division whose precision cannot be told."""


def prepare(connection: duckdb.DuckDBPyConnection, zero: str) -> None:
    """Give a DuckDB the macros that the rewritten SQL needs."""
    for macro in MACROS:
        connection.execute(f"CREATE OR REPLACE MACRO {macro.replace('{zero}', zero)}")


def from_inside(tree: exp.Expr) -> Iterator[exp.Expr]:
    """Every node after the nodes inside it."""
    yield from reversed(list(tree.walk(bfs=False)))


def replace(node: exp.Expr, new: exp.Expr) -> exp.Expr:
    """Put `new` in the place of a node; it keeps the node's type."""
    kind = node.type
    if node.parent:
        node.replace(new)
    if kind is not None:
        new.type = kind
    return new


def call(name: str, *arguments: exp.Expr) -> exp.Anonymous:
    """A call of a function of DuckDB by its own name."""
    return exp.Anonymous(this=name, expressions=list(arguments))


def cast(node: exp.Expr, kind: str) -> exp.Cast:
    """A cast to a type as DuckDB names it."""
    made = exp.Cast(this=node, to=exp.DataType.build(kind, dialect="duckdb"))
    made.type = made.to
    return made


def type_name(node: exp.Expr) -> str:
    """The name of a node's type, "" where it is not known."""
    kind = node.type
    return (
        kind.this.name
        if isinstance(kind, exp.DataType) and isinstance(kind.this, exp.DataType.Type)
        else ""
    )


def is_integer(node: exp.Expr) -> bool:
    """Whether a node is a whole number by its type."""
    return type_name(node) in INTEGER_DIGITS


def is_binary(node: exp.Expr) -> bool:
    """Whether a node is a string of bytes."""
    if isinstance(node, exp.Substring | exp.Paren | exp.Alias):
        return is_binary(node.this)
    return isinstance(node, exp.MD5Digest | exp.Encode | exp.Unhex) or type_name(node) in (
        "BINARY",
        "VARBINARY",
        "BLOB",
    )


def decimal_of(node: exp.Expr) -> Decimal | None:
    """Precision and scale of a node that is a decimal or a whole number, None where they cannot be
    told.
    """
    if isinstance(node, exp.Literal) and not node.is_string:
        whole, point, rest = node.name.partition(".")
        if not point:
            return (
                (
                    (
                        INTEGER_DIGITS["INT"]
                        if len(whole) < INTEGER_DIGITS["INT"]
                        else INTEGER_DIGITS["BIGINT"]
                    ),
                    0,
                )
                if whole.isdigit()
                else None
            )
        return (
            (max(len(whole.lstrip("0") + rest), 1), len(rest))
            if node.name.replace(".", "").isdigit()
            else None
        )
    if isinstance(
        node,
        exp.Paren
        | exp.Neg
        | exp.Abs
        | exp.Min
        | exp.Max
        | exp.AnyValue
        | exp.Nullif
        | exp.Alias
        | exp.Window,
    ):
        return decimal_of(node.this)
    if isinstance(node, exp.Sum):
        inner = decimal_of(node.this)
        return inner and ((LONGEST, inner[1]) if not is_integer(node.this) else (19, 0))
    if (
        isinstance(node, exp.Round)
        and (inner := decimal_of(node.this))
        and not is_integer(node.this)
    ):
        return min(inner[0] + 1, LONGEST), inner[1]
    if isinstance(node, exp.Coalesce):
        return _widest([node.this, *node.expressions])
    if isinstance(node, exp.Case):
        return _widest(
            [
                *(each.args["true"] for each in node.args["ifs"]),
                *filter(None, [node.args.get("default")]),
            ]
        )
    if isinstance(node, exp.Add | exp.Sub | exp.Mul):
        return _combined(node)
    return _declared(node)


def _declared(node: exp.Expr) -> Decimal | None:
    if is_integer(node):
        return INTEGER_DIGITS[type_name(node)], 0
    if type_name(node) == "DECIMAL" and node.type and len(node.type.expressions) == 2:
        return int(node.type.expressions[0].name), int(node.type.expressions[1].name)
    return None


def _widest(nodes: list[exp.Expr]) -> Decimal | None:
    found = [decimal_of(each) for each in nodes if not isinstance(each, exp.Null)]
    if not found or any(each is None for each in found):
        return None
    known = [each for each in found if each]
    scale = max(s for _, s in known)
    return min(max(p - s for p, s in known) + scale, LONGEST), scale


def _combined(node: exp.Binary) -> Decimal | None:
    left, right = decimal_of(node.left), decimal_of(node.right)
    if left is None or right is None:
        return None
    if isinstance(node, exp.Mul):
        return min(left[0] + right[0], LONGEST), left[1] + right[1]
    scale = max(left[1], right[1])
    return min(max(left[0] - left[1], right[0] - right[1]) + scale + 1, LONGEST), scale


def is_decimal(node: exp.Expr) -> bool:
    """Whether a node is a decimal that is no whole number by its type; sqlglot takes 1.5 for a
    double.
    """
    return not is_integer(node) and (type_name(node) == "DECIMAL" or decimal_of(node) is not None)


def is_double(node: exp.Expr) -> bool:
    """Whether a node is floating by its type; 1e0 is, 1.5 isn't."""
    return type_name(node) in ("DOUBLE", "FLOAT") and decimal_of(node) is None


def divide(node: exp.Div, rule: Callable[[Decimal, Decimal], Decimal]) -> exp.Expr:
    """A division as AWS's engines do it; raises UntypedError. `rule` gives a quotient's precision
    and scale.
    """
    left, right = node.left, node.right
    if is_integer(left) and is_integer(right):
        return exp.IntDiv(this=_wrapped(left), expression=_nonzero(right))
    if not (is_decimal(left) or is_decimal(right)) or is_double(left) or is_double(right):
        return node
    sizes = decimal_of(left), decimal_of(right)
    if sizes[0] is None or sizes[1] is None:
        raise UntypedError(node.sql())
    return quotient(left, right, sizes[0][1], sizes[1][1], rule(sizes[0], sizes[1]))


def quotient(
    left: exp.Expr, right: exp.Expr, left_scale: int, right_scale: int, size: Decimal
) -> exp.Expr:
    """The exact quotient of two decimals as a decimal of a given size, rounded half away from
    zero.
    """
    shift = size[1] - left_scale + right_scale
    numerator, divisor = (
        _unscaled(left, left_scale + max(shift, 0)),
        _unscaled(right, right_scale - min(shift, 0)),
    )
    exact = call("divided", numerator, call("nonzero", divisor))
    if not size[1]:
        return cast(exact, f"DECIMAL({size[0]},0)")
    unit = cast(exp.Literal.string(f"0.{'0' * (size[1] - 1)}1"), f"DECIMAL({size[1]},{size[1]})")
    return cast(
        exp.Mul(this=cast(exact, "DECIMAL(38,0)"), expression=unit), f"DECIMAL({size[0]},{size[1]})"
    )


def _unscaled(node: exp.Expr, scale: int) -> exp.Expr:
    power = cast(exp.Literal.string(f"1{'0' * scale}"), "HUGEINT")
    return (
        cast(
            exp.Mul(
                this=cast(node.copy(), f"DECIMAL(38,{scale})"),
                expression=cast(power, "DECIMAL(38,0)"),
            ),
            "HUGEINT",
        )
        if scale
        else cast(node.copy(), "HUGEINT")
    )


def average(node: exp.Avg, size: Decimal) -> exp.Expr:
    """The exact mean of decimals as a decimal, over the same window if there is one."""
    scale = (decimal_of(node.this) or size)[1]
    filtered = node.parent if isinstance(node.parent, exp.Filter) else None
    window = (
        (filtered or node).parent if isinstance((filtered or node).parent, exp.Window) else None
    )

    def over(aggregate: exp.Expr) -> exp.Expr:
        for outer in (filtered, window):
            if outer is not None:
                copied = outer.copy()
                copied.set("this", aggregate)
                aggregate = copied
        return aggregate

    total, count = over(exp.Sum(this=node.this.copy())), over(exp.Count(this=node.this.copy()))
    mean = quotient(total, exp.Nullif(this=count, expression=exp.Literal.number(0)), scale, 0, size)
    (window or filtered or node).replace(mean)
    return mean


def checked_modulo(node: exp.Mod) -> exp.Expr:
    """A remainder that fails for a zero divisor, except between floats."""
    return (
        node
        if is_double(node.left) or is_double(node.right)
        else exp.Mod(this=node.this, expression=_nonzero(node.expression))
    )


def exact_sum(node: exp.Sum) -> exp.Expr:
    """The sum of whole numbers as a bigint, which fails when it is none."""
    outer: exp.Expr = node
    while isinstance(outer.parent, exp.Filter | exp.Window) and outer.arg_key == "this":
        outer = outer.parent
    placed = cast(exp.Null(), "BIGINT")
    outer.replace(placed)
    placed.set("this", outer)
    placed.type = placed.to
    return placed


def bytes_function(node: exp.Expr) -> exp.Expr:
    """`length` and `substr` of bytes, which DuckDB calls otherwise."""
    if isinstance(node, exp.Length) and isinstance(node.this, exp.Encode):
        return call("strlen", node.this.this)
    if isinstance(node, exp.Length):
        return call("octet_length", node.this)
    start, length = node.args["start"], node.args.get("length")
    last = (
        exp.Sub(
            this=exp.Add(this=start.copy(), expression=length), expression=exp.Literal.number(1)
        )
        if length
        else exp.Neg(this=exp.Literal.number(1))
    )
    return call("array_slice", node.this, start, last)


def join_texts(tree: exp.Expr) -> None:
    """Make one call of every chain of `||` that cannot be NULL: DuckDB copies the text so far for
    every `||`.
    """
    for chain in [
        each for each in tree.find_all(exp.DPipe) if not isinstance(each.parent, exp.DPipe)
    ]:
        parts = list(chain.flatten())
        if len(parts) > 2 and all(map(_is_never_null, parts)):
            chain.replace(call("concat", *parts))


def _is_never_null(node: exp.Expr) -> bool:
    if isinstance(node, exp.Coalesce):
        return _is_never_null(node.expressions[-1])
    return isinstance(node, exp.Literal) or (
        isinstance(node, exp.Chr) and isinstance(node.expressions[0], exp.Literal)
    )


def _wrapped(node: exp.Expr) -> exp.Expr:
    return exp.Paren(this=node) if isinstance(node, exp.Binary) else node


def _nonzero(node: exp.Expr) -> exp.Expr:
    known = isinstance(node, exp.Literal) and not node.is_string and float(node.name) != 0
    return node if known else call("nonzero", node)
