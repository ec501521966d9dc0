"""One text for every row, the same in PostgreSQL, Athena and Redshift, and the SQL that sums up a
table from it.

A row's canonical text joins its values' texts by chr(31), with chr(30) for NULL:

    integers, decimals   their own text, with all decimals of the type
    float, double        the number scaled by a power of ten to an integer, with a letter for the power
    boolean              t or f
    strings              themselves, or their md5 where the column may hold more than 800 bytes
    binary               md5 of the hexadecimal digits of every 30,000 bytes, then `:` and the number of bytes
    date, timestamp      days, milliseconds (half up, as Athena knows no more) since 1970

The hash of a row is the first 60 bits of the text's md5; a table's is the exact sum over its rows,
so order is nothing and duplicates count. Functions: Trino 4xx (Athena engine 3)
https://trino.io/docs/current/functions.html ,
https://docs.aws.amazon.com/redshift/latest/dg/c_SQL_functions.html .
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lakebook.source.column_types import curated_type, decimal_of, longest_bytes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lakebook.source.postgresql import Column

CHUNK_BYTES = 30_000  # of binary: its hexadecimal digits fit Redshift's longest varchar
PLAIN_BYTES = 800  # strings up to this size are hashed as they are
GROUP_BYTES = (
    # a row's text beyond this is hashed in groups of columns, as Redshift's longest varchar is
    # 65,535 bytes
    60_000
)
GROUP_COLUMNS = 90  # PostgreSQL's functions take 100 arguments
SHOWN_CHARACTERS = 60  # of a string's minimum and maximum
SUMMED_DIGITS = 28  # decimals up to this precision can be summed in decimal(38) over 10^10 rows
LARGE = "1e30"  # floats from here on are only counted
FLOAT_SCALES = (
    ("1e-3", "1e21", "a"),
    ("1e9", "1e9", "b"),
    ("1e18", "1e0", "c"),
    (LARGE, "1e-12", "d"),
)  # below, times, letter


@dataclass(frozen=True)
class Dialect:
    """What differs between the engines; `{c}` is a column or an expression."""

    name: str
    text: str
    double: str
    md5: str
    hash: str  # of an md5's text: its first 15 digits as a bigint
    sum: str  # exact, as {type}
    join: str  # "operator" or "function"
    days: str
    milliseconds: str
    hexadecimal: str  # of {length} bytes from {start}
    bytes: str
    ordered: str  # a string that is ordered by code points
    longest_statement_bytes: int
    subquery: str = "{rows}"  # what FROM takes of a SELECT


POSTGRESQL = Dialect(
    name="PostgreSQL",
    text="({c})::text",
    double="({c})::float8",
    md5="md5({c})",
    hash="('x' || left({c}, 15))::bit(60)::bigint",
    sum="sum({c})",
    join="function",
    days="({c}) - date '1970-01-01'",
    # exact for every timestamp, and much faster than extract(epoch from …), which is numeric
    milliseconds=(
        "(({c})::date - date '1970-01-01')::bigint * 86400000"
        " + ((date_part('epoch', ({c})::time) * 1000000)::bigint + 500) / 1000"
    ),
    hexadecimal="encode(substring({c} from {start} for {length}), 'hex')",
    bytes="octet_length({c})",
    ordered='({c}) collate "C"',
    longest_statement_bytes=100_000_000,
    # as a branch of a UNION its expressions are computed once a row, else once for each of their
    # uses; still in parallel
    subquery="{rows} union all {rows} where false",
)
ATHENA = Dialect(
    name="Athena",
    text="cast({c} as varchar)",
    double="cast({c} as double)",
    md5="lower(to_hex(md5(to_utf8({c}))))",
    hash="from_base(substr({c}, 1, 15), 16)",
    sum="sum(cast({c} as {type}))",
    join="operator",
    days="date_diff('day', date '1970-01-01', {c})",
    milliseconds=(
        "date_diff('millisecond', timestamp '1970-01-01 00:00:00.000', cast({c} as timestamp(3)))"
    ),
    hexadecimal="lower(to_hex(substr({c}, {start}, {length})))",
    bytes="length({c})",
    ordered="{c}",
    # https://docs.aws.amazon.com/athena/latest/ug/service-limits.html
    longest_statement_bytes=262_144,
)
REDSHIFT = Dialect(
    name="Redshift",
    text="cast({c} as varchar)",
    double="cast({c} as double precision)",
    md5="md5({c})",
    hash="strtol(substring({c}, 1, 15), 16)",
    sum="sum(cast({c} as {type}))",
    join="operator",
    days="datediff(day, date '1970-01-01', {c})",
    milliseconds=(
        "datediff(millisecond, timestamp '1970-01-01 00:00:00', dateadd(microsecond, 500, {c}))"
    ),
    hexadecimal="lower(to_hex(substring({c}, {start}, {length})))",
    bytes="octet_length({c})",
    ordered="{c}",
    longest_statement_bytes=100_000,  # the Data API's limit
)


def row_text(
    dialect: Dialect, columns: Sequence[Column], names: Sequence[str], lob_max_kilobytes: int
) -> str:
    """The canonical text of a row whose values are called `names`; that of several groups is made
    of their md5s.
    """
    groups: list[list[str]] = [[]]
    room = 0
    for column, name in zip(columns, names, strict=True):
        size = _text_bytes(column, lob_max_kilobytes) + 1
        if groups[-1] and (size > room or len(groups[-1]) == GROUP_COLUMNS):
            groups.append([])
        room = (room if groups[-1] else GROUP_BYTES) - size
        groups[-1].append(
            f"coalesce({value_text(dialect, column, name, lob_max_kilobytes)}, chr(30))"
        )
    texts = [_joined(dialect, group) for group in groups]
    return (
        texts[0] if len(texts) == 1 else " || ".join(dialect.md5.format(c=text) for text in texts)
    )


def row_hash(dialect: Dialect, text: str) -> str:
    """The first 60 bits of a text's md5 as a bigint."""
    return dialect.hash.format(c=dialect.md5.format(c=text))


def hash_sum(dialect: Dialect, text: str) -> str:
    """The exact sum of the hashes of the texts, as text."""
    return dialect.text.format(
        c=dialect.sum.format(c=row_hash(dialect, text), type="decimal(38,0)")
    )


def value_text(dialect: Dialect, column: Column, c: str, lob_max_kilobytes: int) -> str:
    """The canonical text of one value, NULL for NULL."""
    kind = curated_type(column)
    if kind == "boolean":
        return f"case when {c} then 't' when not {c} then 'f' end"
    if kind in ("float", "double"):
        return _float_text(dialect, c)
    if kind == "binary":
        return _binary_text(dialect, c, lob_max_kilobytes)
    if kind == "date":
        return dialect.text.format(c=dialect.days.format(c=c))
    if kind == "timestamp":
        return dialect.text.format(c=dialect.milliseconds.format(c=c))
    if kind == "string":
        return dialect.md5.format(c=c) if _is_long(column, lob_max_kilobytes) else c
    return dialect.text.format(c=_with_leading_zero(column, c))


def totals(dialect: Dialect, column: Column, c: str, lob_max_kilobytes: int) -> list[str]:
    """Four aggregates as texts: values that are not NULL, sum, minimum, maximum (`null` where there
    is none).
    """
    kind, text = curated_type(column), dialect.text
    low, high, total = f"min({c})", f"max({c})", "null"
    if kind == "boolean":
        total, low, high = f"sum(case when {c} then 1 else 0 end)", "null", "null"
    elif kind == "binary":
        total, low, high = f"sum({dialect.bytes.format(c=c)})", "null", "null"
    elif kind in ("float", "double"):
        finite = (
            f"case when abs({c}) < {_number(dialect, LARGE)} then {dialect.double.format(c=c)} end"
        )
        total, low, high = (f"{aggregate}({finite})" for aggregate in ("sum", "min", "max"))
    elif kind == "string":
        shown = (
            c
            if longest_bytes(column, lob_max_kilobytes) <= SHOWN_CHARACTERS
            else f"substr({c}, 1, {SHOWN_CHARACTERS})"
        )
        low, high = (
            f"{aggregate}({dialect.ordered.format(c=shown)})" for aggregate in ("min", "max")
        )
    elif kind in ("date", "timestamp"):
        since = dialect.days if kind == "date" else dialect.milliseconds
        low, high = since.format(c=low), since.format(c=high)
    else:
        low, high = (
            f"{aggregate}({_with_leading_zero(column, c)})" for aggregate in ("min", "max")
        )
        if (decimal_of(column) or (0,))[0] <= SUMMED_DIGITS or column.kind == "money":
            total = dialect.sum.format(c=c, type=f"decimal(38,{(decimal_of(column) or (0, 0))[1]})")
    return [text.format(c=aggregate) for aggregate in (f"count({c})", total, low, high)]


def _joined(dialect: Dialect, texts: list[str]) -> str:
    if not texts:
        return "''"
    return (
        f"concat_ws(chr(31), {', '.join(texts)})"
        if dialect.join == "function"
        else " || chr(31) || ".join(texts)
    )


def _float_text(dialect: Dialect, c: str) -> str:
    """Multiplying by a power of ten and rounding down is the same everywhere; printing a float is
    not.
    """
    value = dialect.double.format(c=c)
    cases = [
        f"when abs({c}) < {_number(dialect, limit)} then '{letter}' || "
        + dialect.text.format(
            c=(
                f"cast(floor({value} * {_number(dialect, scale)} + {_number(dialect, '0.5')}) as"
                " bigint)"
            )
        )
        for limit, scale, letter in FLOAT_SCALES
    ]
    words = [
        f"when upper({dialect.text.format(c=c)}) = 'NAN' then 'NaN'",
        *(
            f"when {value} = {_number(dialect, word)} then '{word}'"
            for word in ("Infinity", "-Infinity")
        ),
        f"when {c} > 0 then 'large' when {c} < 0 then '-large'",
    ]
    return f"case {' '.join([*cases, *words])} end"


def _number(dialect: Dialect, text: str) -> str:
    return dialect.double.format(c=f"'{text}'")


def _binary_text(dialect: Dialect, c: str, lob_max_kilobytes: int) -> str:
    starts = range(1, lob_max_kilobytes * 1024 + 1, CHUNK_BYTES)
    chunks = [
        dialect.md5.format(c=dialect.hexadecimal.format(c=c, start=start, length=CHUNK_BYTES))
        for start in starts
    ]
    return " || ".join([*chunks, "':'", dialect.text.format(c=dialect.bytes.format(c=c))])


def _with_leading_zero(column: Column, c: str) -> str:
    """A decimal(p,p) as decimal(p+1,p): engines disagree on whether 0.5 of type decimal(1,1) has a
    zero in its text.
    """
    decimal = decimal_of(column)
    if decimal and decimal[0] == decimal[1] and decimal[0] < 38:
        return f"cast({c} as decimal({decimal[0] + 1},{decimal[1]}))"
    return c


def _is_long(column: Column, lob_max_kilobytes: int) -> bool:
    return longest_bytes(column, lob_max_kilobytes) > PLAIN_BYTES


def _text_bytes(column: Column, lob_max_kilobytes: int) -> int:
    """The most bytes that a value's canonical text can have."""
    kind = curated_type(column)
    if kind == "binary":
        return 32 * math.ceil(lob_max_kilobytes * 1024 / CHUNK_BYTES) + 11
    if kind == "string":
        return (
            32 if _is_long(column, lob_max_kilobytes) else longest_bytes(column, lob_max_kilobytes)
        )
    return 41  # the longest decimal: 38 digits, sign, zero and point
