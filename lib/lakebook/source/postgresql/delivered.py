"""What DMS should deliver of a PostgreSQL column, and which of its values do not survive, as
PostgreSQL expressions.

`docs/types.md` as SQL; the session needs the settings that `connect` makes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lakebook.source.postgresql.dialect import quote
from lakebook.source.postgresql.types import PostgreSQLType, type_of

if TYPE_CHECKING:
    from lakebook.source.model import Column

RANGE_CHARACTERS = 255
SHORTEST_CUT_BYTES = 255  # no value up to this size is cut, whatever LobMaxSize is
# their casts to text are PostgreSQL's own, and somebody else's cannot take their place
PLAIN_TEXT = ("varchar", "bpchar", "text", "citext", "name", "xml")
LAST = {"date": "date '9999-12-31'", "timestamp": "timestamp '9999-12-31 23:59:59'"}
FIRST = {"date": "date '4713-01-01 BC'", "timestamp": "timestamp '4713-01-01 00:00:00 BC'"}
NEXT = {"date": "date '10000-01-01'", "timestamp": "timestamp '10000-01-01'"}  # after what fits


def delivered(column: Column, lob_max_kilobytes: int) -> str:
    """The value that arrives, in the type it arrives in: text for all types that arrive as text."""
    c, of = quote(column.name), type_of(column)
    if of.kind == "money":
        return f"{c}::numeric(38,4)"
    if of.kind == "numeric" and of.precision is None:
        # NaN is more than any number
        return f"case when abs(round({c}, 6)) < 1e22 then {c}::numeric(28,6) end"
    if column.type.name == "decimal":
        return f"nullif({c}, 'NaN')"
    if column.type.name in ("date", "timestamp"):
        return _clamped(c, of)
    if of.kind == "bytea":
        return f"substring({c} from 1 for {lob_max_kilobytes * 1024})"
    if not column.type.is_text:
        return c
    if of.kind == "interval":
        return _interval(c)
    if of.kind in ("range", "multirange"):
        return f"left({text(column)}, {RANGE_CHARACTERS})"
    return _cut(text(column), lob_max_kilobytes * 1024) if column.type.is_lob else text(column)


def text(column: Column) -> str:
    """The column's text by its type's output function; a char(n) without its trailing blanks."""
    c = quote(column.name)
    if type_of(column).kind in PLAIN_TEXT:
        return f"{c}::text"  # for these the output but for a char(n)'s blanks, and faster
    return f"case when {c} is distinct from null then concat({c}) end"


def loss(column: Column, lob_max_kilobytes: int) -> tuple[str, str] | None:
    """What a column loses in words, and the condition that finds the values that lose it; None when
    nothing can be lost.
    """
    c, of = quote(column.name), type_of(column)
    if of.kind == "money":
        return "the currency sign", f"{c} is not null"
    if of.kind == "numeric" and of.precision is None:
        words = "decimals after the sixth; NaN, infinity and 10^22 and beyond become NULL"
        return words, f"not (abs(round({c}, 6)) < 1e22 and round({c}, 6) = {c})"
    if column.type.name == "decimal":
        return "NaN becomes NULL", f"{c} = 'NaN'"
    if column.type.name in ("date", "timestamp"):
        kind, value = _in_utc(c, of)
        words = (
            "infinity and years after 9999 become the last day of 9999, -infinity the first of"
            " 4713 BC"
        )
        return words, f"({value} >= {NEXT[kind]} or {value} = '-infinity')"
    if of.kind == "bpchar" and of.length:
        return "trailing blanks", f"length({c}) < {of.length}"
    if of.kind == "interval":
        return (
            f"PostgreSQL's wording ({of.dms_type} spells the parts); infinity becomes NULL",
            f"{c} is not null",
        )
    if of.kind in ("range", "multirange"):
        return (
            f"what is beyond {RANGE_CHARACTERS} characters",
            f"length({text(column)}) > {RANGE_CHARACTERS}",
        )
    if column.type.is_lob:
        value = c if of.kind == "bytea" else text(column)
        return (
            f"what is beyond {lob_max_kilobytes} KB (LobMaxSize)",
            f"octet_length({value}) > {lob_max_kilobytes * 1024}",
        )
    return None


def key_loss(column: Column) -> str | None:
    """The condition that finds the values of a primary key that may arrive like another one, or as
    NULL; None where there are none.
    """
    c, of = quote(column.name), type_of(column)
    if of.kind == "interval":
        return f"not isfinite({c})"
    if column.type.name in ("decimal", "date", "timestamp"):
        return None if of.kind == "money" else (loss(column, 1) or ("", ""))[1]
    if column.type.is_text and of.kind != "bpchar":
        # Redshift does not tell trailing blanks apart; a text of a kilobyte may be cut
        # https://docs.aws.amazon.com/redshift/latest/dg/r_Character_types.html
        value = text(column)
        return f"(right({value}, 1) = ' ' or octet_length({value}) > {SHORTEST_CUT_BYTES})"
    return f"octet_length({c}) > {SHORTEST_CUT_BYTES}" if column.type.name == "binary" else None


def _in_utc(c: str, of: PostgreSQLType) -> tuple[str, str]:
    """`date` or `timestamp`, and the value as such, in UTC."""
    if of.kind == "timestamptz":
        return "timestamp", f"({c} at time zone 'UTC')"
    return of.kind, c


def _clamped(c: str, of: PostgreSQLType) -> str:
    kind, value = _in_utc(c, of)
    return (
        f"case when {value} >= {NEXT[kind]} then {LAST[kind]} when {value} = '-infinity' then"
        f" {FIRST[kind]} else {value} end"
    )


def _cut(value: str, longest_bytes: int) -> str:
    """The text cut to so many bytes of UTF-8, less the bytes of a character that would be cut in
    two.
    """
    encoded = f"convert_to({value}, 'UTF8')"
    part_of_next = [
        f"get_byte({encoded}, {longest_bytes - n}) & 192 <> 128 then {n}" for n in range(3)
    ]
    split = "case when " + " when ".join(part_of_next) + " else 3 end"
    cut = f"convert_from(substring({encoded} from 1 for {longest_bytes} - {split}), 'UTF8')"
    return f"case when octet_length({value}) > {longest_bytes} then {cut} else {value} end"


def _interval(c: str) -> str:
    """`1 YEAR, 2 MONTHS, 3 DAYS, 4 HOURS, 5 MINUTES, 6.5 SECONDS`; NULL for infinity."""
    parts = ", ".join(
        f"case when date_part('{unit}', {c}) <> 0 then date_part('{unit}', {c})::numeric || case"
        f" when date_part('{unit}', {c}) in (1, -1) then ' {unit.upper()}' else ' {unit.upper()}S'"
        " end end"
        for unit in ("year", "month", "day", "hour", "minute", "second")
    )
    return (
        f"case when isfinite({c}) then coalesce(nullif(concat_ws(', ', {parts}), ''), '0"
        " SECONDS') end"
    )
