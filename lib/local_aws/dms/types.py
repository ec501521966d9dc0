"""How DMS carries each PostgreSQL type to S3: `docs/types.md` as SQL for the source and types for
the file.

Sources: https://docs.aws.amazon.com/dms/latest/userguide/CHAP_Source.PostgreSQL.html (source data
types) and https://docs.aws.amazon.com/dms/latest/userguide/CHAP_Target.S3.html (target data types
for S3 Parquet).
"""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow

MICROSECONDS = pyarrow.timestamp("us", "UTC")
TIMES = frozenset(["time", "timetz"])
AS_THEY_ARE = {
    "int2": pyarrow.int16(),
    "int4": pyarrow.int32(),
    "int8": pyarrow.int64(),
    "float4": pyarrow.float32(),
    "float8": pyarrow.float64(),
}
# ::text is their output, whatever casts somebody has made
TEXTS = frozenset(["text", "varchar", "bpchar", "citext", "name", "xml"])
# strings that are no LOBs
WORDS = frozenset(["uuid", "enum", "inet", "cidr", "macaddr", "bit", "varbit"])
# those that become STRING(255)
SHORTENED = frozenset(["range", "multirange", "point", "line", "lseg", "box", "circle"])
SHORTENED_CHARACTERS = 255
CLAMPS = {  # from here on, this instead; and what minus infinity becomes
    "date": ("10000-01-01", "9999-12-31", "4713-01-01 BC"),
    "timestamp": ("10000-01-01", "9999-12-31 23:59:59", "4713-01-01 BC"),
    "timestamptz": (
        "10000-01-01 00:00:00+00",
        "9999-12-31 23:59:59+00",
        "4713-01-01 00:00:00+00 BC",
    ),
}


@dataclass(frozen=True)
class Column:
    """One column of the source; `kind` is its type's own name after domains, or array, composite,
    enum, range, multirange.
    """

    name: str
    kind: str
    modifier: int = -1  # as PostgreSQL keeps it: precision and scale, or a length

    @property
    def decimal(self) -> tuple[int, int] | None:
        """Precision and scale of the decimal it is carried as, or None."""
        if self.kind == "money":
            return 38, 4
        if self.kind != "numeric":
            return None
        if self.modifier < 0:
            return 28, 6
        precision, scale = (
            (self.modifier - 4) >> 16 & 0xFFFF,
            ((self.modifier - 4 & 0x7FF) ^ 1024) - 1024,
        )
        return (precision, scale) if precision <= 38 and 0 <= scale <= precision else None

    @property
    def is_lob(self) -> bool:
        """Whether its values are cut at LobMaxSize."""
        if self.kind in ("varchar", "bpchar"):
            return self.modifier < 0
        others = {
            *AS_THEY_ARE,
            *CLAMPS,
            *TIMES,
            *WORDS,
            *SHORTENED,
            "numeric",
            "money",
            "bool",
            "interval",
        }
        return self.kind not in others


@dataclass(frozen=True)
class Carried:
    """A value on its way: the expression the source evaluates, and the type it has in a Parquet
    file.
    """

    sql: str
    type: pyarrow.DataType

    @property
    def csv(self) -> str:
        """The expression of its text in a CSV file."""
        if pyarrow.types.is_timestamp(self.type):
            local = f"({self.sql}) at time zone 'UTC'"
            return (
                f"to_char({local}, 'YYYY-MM-DD HH24:MI:SS.US') || case when {local} < '0001-01-01'"
                " then ' BC' else '' end"
            )
        if pyarrow.types.is_binary(self.type):
            return f"encode({self.sql}, 'hex')"
        # else `t` and `f`
        return f"({self.sql})::text" if pyarrow.types.is_boolean(self.type) else self.sql


def carried(
    column: Column, lob_max_bytes: int, *, boolean: bool = False, trim: bool = True
) -> Carried:
    """How a column is carried; `boolean` and `trim` are the source's MapBooleanAsBoolean and
    TrimSpaceInChar.
    """
    c = quote(column.name)
    if column.kind in AS_THEY_ARE:
        return Carried(c, AS_THEY_ARE[column.kind])
    if column.decimal:
        return Carried(_decimal(column, c), pyarrow.decimal128(*column.decimal))
    if column.kind in CLAMPS:
        return _clamped(column.kind, c)
    if column.kind in TIMES:
        return Carried(f"{c}::time", pyarrow.time32("ms"))
    if column.kind == "bool":
        return Carried(c, pyarrow.bool_()) if boolean else Carried(f"{c}::text", pyarrow.string())
    if column.kind == "bytea":
        return Carried(f"substring({c} from 1 for {lob_max_bytes})", pyarrow.binary())
    if column.kind == "interval":
        return Carried(_interval(c), pyarrow.string())
    text = _output(c) if column.kind == "bpchar" and not trim else text_of(column)
    if column.kind in SHORTENED:
        text = f"left({text}, {SHORTENED_CHARACTERS})"
    return Carried(_cut(text, lob_max_bytes) if column.is_lob else text, pyarrow.string())


def as_string(column: Column, characters: int | None) -> Carried:
    """A column that a `change-data-type` rule makes a string: its text, not longer than so many
    characters.
    """
    text = _interval(quote(column.name)) if column.kind == "interval" else text_of(column)
    return Carried(f"left({text}, {characters})" if characters else text, pyarrow.string())


def is_cut(column: Column, lob_max_bytes: int) -> str:
    """The condition that finds the values of a LOB column that LobMaxSize cuts."""
    return (
        f"octet_length({quote(column.name) if column.kind == 'bytea' else text_of(column)}) >"
        f" {lob_max_bytes}"
    )


def text_of(column: Column) -> str:
    """The expression of a column's text as its type's output function gives it, a char(n) without
    its trailing blanks.
    """
    c = quote(column.name)
    return f"{c}::text" if column.kind in TEXTS else _output(c)


def quote(name: str) -> str:
    """An identifier in SQL: `"or""der"`."""
    return '"' + name.replace('"', '""') + '"'


def _output(c: str) -> str:
    # a composite of NULLs `is null`, too
    return f"case when {c} is distinct from null then format('%s', {c}) end"


def _decimal(column: Column, c: str) -> str:
    precision, scale = column.decimal or (0, 0)
    if column.kind == "money":
        value = c
    elif column.modifier < 0:  # NaN and infinity are more than any number
        value = f"(case when abs(round({c}, {scale})) < 1e{precision - scale} then {c} end)"
    else:
        value = f"nullif({c}, 'NaN')"
    return f"{value}::numeric({precision},{scale})"


def _clamped(kind: str, c: str) -> Carried:
    end, last, first = CLAMPS[kind]
    value = (
        f"case when {c} >= '{end}' then '{last}'::{kind} when {c} = '-infinity' then"
        f" '{first}'::{kind} else {c} end"
    )
    if kind == "date":
        return Carried(value, pyarrow.date32())
    return Carried(f"({value}) at time zone 'UTC'" if kind == "timestamp" else value, MICROSECONDS)


def _interval(c: str) -> str:
    """`1 YEAR, 2 MONTHS, 3 DAYS, 4 HOURS, 5 MINUTES, 6.5 SECONDS`; NULL for infinity."""
    parts = []
    for unit in ("year", "month", "day", "hour", "minute", "second"):
        part = f"date_part('{unit}', {c})"
        word = f"case when abs({part}) = 1 then ' {unit.upper()}' else ' {unit.upper()}S' end"
        parts.append(f"case when {part} <> 0 then {part}::numeric || {word} end")
    text = f"coalesce(nullif(concat_ws(', ', {', '.join(parts)}), ''), '0 SECONDS')"
    return f"case when isfinite({c}) then {text} end"


def _cut(text: str, longest_bytes: int) -> str:
    """The text's first bytes, less those of a character that would be cut in two (its further bytes
    are 10xxxxxx).
    """
    utf8 = f"convert_to({text}, 'UTF8')"
    whole = [
        f"when get_byte({utf8}, {longest_bytes - back}) & 192 <> 128 then {longest_bytes - back}"
        for back in range(4)
    ]
    cut = f"convert_from(substring({utf8} from 1 for case {' '.join(whole)} end), 'UTF8')"
    return f"case when octet_length({text}) > {longest_bytes} then {cut} else {text} end"
