"""How one engine spells the SQL in which tables are measured and compared."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True)
class Dialect:
    """What differs between the engines: templates in which `{c}` is a column or an expression.

    What stands outside of it is the same in all of them: select, case, coalesce, count, min, max,
    abs, floor, upper, decimal literals, and casts to decimal(p,s).
    """

    name: str
    text: str
    integer: str  # of 64 bits
    double: str
    md5: str
    hash: str  # of an md5's text: its first 15 digits as a 64-bit integer
    sum: str  # exact, as {type}
    join: Literal["operator", "function"]  # how texts are joined: || between them, or concat_ws
    days: str  # of a date since 1970
    milliseconds: str  # of a timestamp since 1970, half up
    hexadecimal: str  # of {length} bytes from {start}
    bytes: str
    ordered: str  # a string that is ordered by code points
    longest_statement_bytes: int
    subquery: str = "{rows}"  # what FROM takes of a SELECT
    character: str = "chr({code})"
    start: str = "substr({c}, 1, {length})"  # the first characters of a string
    quote_mark: str = '"'
    literal_mark: str = "'"  # what a text in SQL begins with
    escapes_backslash: bool = False  # whether a backslash in such a text must be doubled

    def quote(self, *names: str) -> str:
        """An identifier: `"or""der"`; of several names the path: `"schema"."table"`."""
        mark = self.quote_mark
        return ".".join(mark + name.replace(mark, mark * 2) + mark for name in names)

    def literal(self, text: str) -> str:
        """A text, whatever it contains."""
        escaped = text.replace("\\", "\\\\") if self.escapes_backslash else text
        return self.literal_mark + escaped.replace("'", "''") + "'"

    def joined(self, texts: Sequence[str], separator_code: int) -> str:
        """The texts with a character between them."""
        separator = self.character.format(code=separator_code)
        if self.join == "function":
            return f"concat_ws({separator}, {', '.join(texts)})"
        return f" || {separator} || ".join(texts)

    def concatenated(self, texts: Sequence[str]) -> str:
        """The texts without anything between them; NULL where one of them is."""
        return " || ".join(texts)
