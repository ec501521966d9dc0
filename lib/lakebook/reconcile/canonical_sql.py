"""One text for every row, the same in the source, Athena and Redshift, and the SQL that sums up a
table from it.

A row's canonical text joins its values' texts by chr(31), with chr(30) for NULL:

    integers, decimals   their own text, with all decimals of the type, and a zero before the point
                         but in decimal(38,38)
    float, double        the number scaled by a power of ten to an integer, with a letter for it
    boolean              t or f
    strings              themselves, or their md5 where the column may hold more than 800 bytes
    binary               md5 of the hexadecimal digits of every 30,000 bytes, `:`, number of bytes
    date, timestamp      days, milliseconds (half up, as Athena knows no more) since 1970

The hash of a row is the first 60 bits of the text's md5; a table's is the exact sum over its rows,
so order is nothing and duplicates count. Functions: Trino 4xx (Athena engine 3)
https://trino.io/docs/current/functions.html ,
https://docs.aws.amazon.com/redshift/latest/dg/c_SQL_functions.html .
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from lakebook.source.dialect import Dialect
from lakebook.source.types import longest_bytes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lakebook.source.model import Column, LakeType

SEPARATOR, NULL = 31, 30  # characters between values, and in the place of NULL
CHUNK_BYTES = 30_000  # of binary: its hexadecimal digits fit Redshift's longest varchar
PLAIN_BYTES = 800  # strings up to this size are hashed as they are
GROUP_BYTES = (
    # a row's text beyond this is hashed in groups of columns, as Redshift's longest varchar is
    # 65,535 bytes
    60_000
)
GROUP_COLUMNS = 90  # functions of some engines take 100 arguments
SHOWN_CHARACTERS = 60  # of a string's minimum and maximum
SUMMED_DIGITS = 28  # decimals up to this precision can be summed in decimal(38) over 10^10 rows
LARGE = "1e30"  # floats from here on are only counted
FLOAT_SCALES = (
    ("1e-3", "1e21", "a"),
    ("1e9", "1e9", "b"),
    ("1e18", "1e0", "c"),
    (LARGE, "1e-12", "d"),
)  # below, times, letter


ATHENA = Dialect(
    name="Athena",
    text="cast({c} as varchar)",
    integer="cast({c} as bigint)",
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
    integer="cast({c} as bigint)",
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
    escapes_backslash=True,
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
        size = _text_bytes(column.type, lob_max_kilobytes) + 1
        if groups[-1] and (size > room or len(groups[-1]) == GROUP_COLUMNS):
            groups.append([])
        room = (room if groups[-1] else GROUP_BYTES) - size
        value = value_text(dialect, column.type, name, lob_max_kilobytes)
        groups[-1].append(f"coalesce({value}, {dialect.character.format(code=NULL)})")
    texts = [dialect.joined(group, SEPARATOR) if group else "''" for group in groups]
    if len(texts) == 1:
        return texts[0]
    return dialect.concatenated([dialect.md5.format(c=text) for text in texts])


def row_hash(dialect: Dialect, text: str) -> str:
    """The first 60 bits of a text's md5 as a bigint."""
    return dialect.hash.format(c=dialect.md5.format(c=text))


def hash_sum(dialect: Dialect, text: str) -> str:
    """The exact sum of the hashes of the texts, as text."""
    return dialect.text.format(
        c=dialect.sum.format(c=row_hash(dialect, text), type="decimal(38,0)")
    )


def value_text(dialect: Dialect, each: LakeType, c: str, lob_max_kilobytes: int) -> str:
    """The canonical text of one value, NULL for NULL."""
    if each.name == "boolean":
        return f"case when {c} then 't' when not {c} then 'f' end"
    if each.name in ("float", "double"):
        return _float_text(dialect, c)
    if each.name == "binary":
        return _binary_text(dialect, c, lob_max_kilobytes)
    if each.name == "date":
        return dialect.text.format(c=dialect.days.format(c=c))
    if each.name == "timestamp":
        return dialect.text.format(c=dialect.milliseconds.format(c=c))
    if each.is_text:
        return dialect.md5.format(c=c) if _is_long(each, lob_max_kilobytes) else c
    text = dialect.text.format(c=_with_leading_zero(each, c))
    # no decimal has a digit more than this one
    return f"replace({text}, '0.', '.')" if each.precision == each.scale == 38 else text


def totals(dialect: Dialect, each: LakeType, c: str, lob_max_kilobytes: int) -> list[str]:
    """Four aggregates as texts: values that are not NULL, sum, minimum, maximum (`null` where there
    is none).
    """
    text = dialect.text
    low, high, total = f"min({c})", f"max({c})", "null"
    if each.name == "boolean":
        total, low, high = f"sum(case when {c} then 1 else 0 end)", "null", "null"
    elif each.name == "binary":
        total, low, high = f"sum({dialect.bytes.format(c=c)})", "null", "null"
    elif each.name in ("float", "double"):
        finite = (
            f"case when abs({c}) < {_number(dialect, LARGE)} then {dialect.double.format(c=c)} end"
        )
        total, low, high = (f"{aggregate}({finite})" for aggregate in ("sum", "min", "max"))
    elif each.is_text:
        shown = (
            c
            if longest_bytes(each, lob_max_kilobytes) <= SHOWN_CHARACTERS
            else dialect.start.format(c=c, length=SHOWN_CHARACTERS)
        )
        low, high = (
            f"{aggregate}({dialect.ordered.format(c=shown)})" for aggregate in ("min", "max")
        )
    elif each.name in ("date", "timestamp"):
        since = dialect.days if each.name == "date" else dialect.milliseconds
        low, high = since.format(c=low), since.format(c=high)
    else:
        low, high = (f"{aggregate}({_with_leading_zero(each, c)})" for aggregate in ("min", "max"))
        if (each.digits or each.precision or 0) <= SUMMED_DIGITS:
            total = dialect.sum.format(c=c, type=f"decimal(38,{each.scale or 0})")
    return [text.format(c=aggregate) for aggregate in (f"count({c})", total, low, high)]


def _float_text(dialect: Dialect, c: str) -> str:
    """Multiplying by a power of ten and rounding down is the same everywhere; printing a float is
    not.
    """
    value = dialect.double.format(c=c)

    def scaled(scale: str) -> str:
        rounded = f"floor({value} * {_number(dialect, scale)} + {_number(dialect, '0.5')})"
        return dialect.integer.format(c=rounded)

    cases = [
        f"when abs({c}) < {_number(dialect, limit)} then "
        + dialect.concatenated([f"'{letter}'", dialect.text.format(c=scaled(scale))])
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
    length = dialect.text.format(c=dialect.bytes.format(c=c))
    return dialect.concatenated([*chunks, "':'", length])


def _with_leading_zero(each: LakeType, c: str) -> str:
    """A decimal(p,p) as decimal(p+1,p): engines disagree on whether 0.5 of type decimal(1,1) has a
    zero in its text.
    """
    if each.precision is not None and each.precision == each.scale and each.precision < 38:
        return f"cast({c} as decimal({each.precision + 1},{each.scale}))"
    return c


def _is_long(each: LakeType, lob_max_kilobytes: int) -> bool:
    return longest_bytes(each, lob_max_kilobytes) > PLAIN_BYTES


def _text_bytes(each: LakeType, lob_max_kilobytes: int) -> int:
    """The most bytes that a value's canonical text can have."""
    if each.name == "binary":
        return 32 * math.ceil(lob_max_kilobytes * 1024 / CHUNK_BYTES) + 11
    if each.is_text:
        return 32 if _is_long(each, lob_max_kilobytes) else longest_bytes(each, lob_max_kilobytes)
    return 41  # the longest decimal: 38 digits, sign, zero and point
