"""PostgreSQL's protocol 3.0: messages as bytes, values as text and in binary.

https://www.postgresql.org/docs/current/protocol-message-formats.html
"""

from __future__ import annotations

import datetime
import re
import struct
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from sqlglot import exp

from local_aws.redshift.sql import RedshiftError

if TYPE_CHECKING:
    from collections.abc import Callable

    from local_aws.redshift.types import RedshiftType

Columns = list[tuple[str, "RedshiftType"]]
# the Data API's name of a type -> its OID and its size in bytes;
# https://github.com/aws/amazon-redshift-python-driver utils/oids.py
TYPES = {
    "bool": (16, 1),
    "int8": (20, 8),
    "int2": (21, 2),
    "int4": (23, 4),
    "float4": (700, 4),
    "float8": (701, 8),
    "bpchar": (1042, -1),
    "varchar": (1043, -1),
    "date": (1082, 4),
    "time": (1083, 8),
    "timestamp": (1114, 8),
    "timestamptz": (1184, 8),
    "numeric": (1700, -1),
    "super": (4000, -1),
    "varbyte": (6551, -1),
}
NAMES = {oid: name for name, (oid, _) in TYPES.items()}
# a text becomes what it is compared with
UNTYPED = {0, 25, 705, TYPES["bpchar"][0], TYPES["varchar"][0]}
NUMBERS = {"bool": "!?", "int2": "!h", "int4": "!i", "int8": "!q", "float4": "!f", "float8": "!d"}
MIDNIGHT = datetime.datetime(2000, 1, 1)  # noqa: DTZ001 - Redshift's timestamps have no zone
MICROSECOND = datetime.timedelta(microseconds=1)
# texts and names, comments, and dollar-quoted bodies: what is in them is not SQL
OPAQUE = r"""'(?:[^'\\]|''|\\.)*'|"[^"]*"|--[^\n]*|/\*.*?\*/|\$\$.*?\$\$"""


class Body:
    """The content of a message, read from its start."""

    def __init__(self, content: bytes) -> None:
        self.content, self.place = content, 0

    def take(self, size: int) -> bytes:
        """The next bytes."""
        self.place += size
        return self.content[self.place - size : self.place]

    def number(self, kind: str) -> int:
        """The next number: "h" of 16 bits, "i" of 32, "I" without a sign."""
        return int(struct.unpack(f"!{kind}", self.take(struct.calcsize(f"!{kind}")))[0])

    def numbers(self, kind: str) -> list[int]:
        """As many numbers as the next 16 bits say."""
        return [self.number(kind) for _ in range(self.number("h"))]

    def text(self) -> str:
        """The next text, up to its zero."""
        end = self.content.index(b"\0", self.place)
        found = self.content[self.place : end].decode()
        self.place = end + 1
        return found

    def value(self) -> bytes | None:
        """The next value after its length, None for NULL."""
        size = self.number("i")
        return None if size < 0 else self.take(size)


def message(kind: bytes, content: bytes = b"") -> bytes:
    """A message of the server."""
    return kind + struct.pack("!i", len(content) + 4) + content


def texts(*parts: str) -> bytes:
    """Texts, each ended by a zero."""
    return b"".join(part.encode() + b"\0" for part in parts)


def error(code: str, said: str, severity: str = "ERROR") -> bytes:
    """An ErrorResponse; `code` is the SQLSTATE."""
    return message(b"E", texts(f"S{severity}", f"C{code}", f"M{said}") + b"\0")


def row_description(columns: Columns, formats: list[int]) -> bytes:
    """A RowDescription."""
    parts = [struct.pack("!h", len(columns))]
    for (name, kind), form in zip(columns, _each(formats, len(columns)), strict=True):
        oid, size = TYPES[kind.api]
        modifier = (
            (kind.precision << 16 | kind.scale) + 4
            if kind.precision
            else kind.length + 4
            if kind.length
            else -1
        )
        parts.append(texts(name) + struct.pack("!ihihih", 0, 0, oid, size, modifier, form))
    return message(b"T", b"".join(parts))


def row_encoder(columns: Columns, formats: list[int]) -> Callable[[tuple[Any, ...]], bytes]:
    """What makes a DataRow of a row; raises RedshiftError for a type that has no binary format
    here.
    """
    encoders = [
        _binary(kind.api) if form else _text(kind.api)
        for (_, kind), form in zip(columns, _each(formats, len(columns)), strict=True)
    ]
    count = struct.pack("!h", len(columns))

    def encode(row: tuple[Any, ...]) -> bytes:
        parts = [count]
        for value, encoder in zip(row, encoders, strict=True):
            content = b"" if value is None else encoder(value)
            parts += [struct.pack("!i", -1 if value is None else len(content)), content]
        return message(b"D", b"".join(parts))

    return encode


def _each(formats: list[int], count: int) -> list[int]:
    """The format of each value: none said is text for all, one said is for all."""
    return formats if len(formats) == count else (formats or [0]) * count


def _text(api: str) -> Callable[[Any], bytes]:
    if api == "bool":
        return lambda value: b"t" if value else b"f"
    if api in ("float4", "float8"):
        return lambda value: _float_text(float(value), api).encode()
    return lambda value: str(value).encode()


def _float_text(value: float, api: str) -> str:
    """The shortest text that gives the number again, `2` and not `2.0`."""
    if value != value or value in (float("inf"), float("-inf")):  # noqa: PLR0124 - only NaN differs from itself
        return {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}[str(value)]
    if api == "float8":
        return repr(value).removesuffix(".0")
    shortened = (f"{value:.{digits}g}" for digits in range(6, 10))
    return next(
        each for each in shortened if struct.pack("!f", float(each)) == struct.pack("!f", value)
    )


def _binary(api: str) -> Callable[[Any], bytes]:
    if api in NUMBERS:
        kind = {"h": int, "i": int, "q": int, "f": float, "d": float, "?": bool}[NUMBERS[api][1]]
        return lambda value: struct.pack(NUMBERS[api], kind(value))
    if api in ("timestamp", "timestamptz"):
        return lambda value: struct.pack("!q", _microseconds(str(value)))
    if api == "date":
        return lambda value: struct.pack(
            "!i", (datetime.date.fromisoformat(value) - MIDNIGHT.date()).days
        )
    if api == "time":
        return lambda value: struct.pack("!q", _microseconds(f"2000-01-01 {value}"))
    if api in ("varchar", "bpchar"):
        return lambda value: str(value).encode()
    raise RedshiftError(f"local_aws does not do the binary format of {api}")


def _microseconds(value: str) -> int:
    """Since Redshift's first midnight; a zone is +00, as sessions are in UTC."""
    return (datetime.datetime.fromisoformat(value).replace(tzinfo=None) - MIDNIGHT) // MICROSECOND


def argument(oid: int, value: bytes | None, *, binary: bool = False) -> exp.Expr:
    """A parameter's value as SQL, cast to the type that the client says; raises RedshiftError."""
    if oid in UNTYPED:
        return exp.Null() if value is None else exp.Literal.string(value.decode())
    if oid not in NAMES or NAMES[oid] in ("super", "varbyte"):
        raise RedshiftError(f"local_aws does not take parameters of the type with OID {oid}")
    api = NAMES[oid]
    if value is None:
        return exp.cast(exp.Null(), _sql_type(api, "0"), dialect="redshift")
    text = _decoded(api, value) if binary else value.decode()
    return exp.cast(exp.Literal.string(text), _sql_type(api, text), dialect="redshift")


def unknown(oid: int) -> exp.Expr:
    """What stands for a parameter's value before it is known."""
    return exp.Literal.string("0") if oid in UNTYPED else argument(oid, None)


def _sql_type(api: str, text: str) -> str:
    if api != "numeric":
        return {"float4": "REAL", "float8": "DOUBLE PRECISION"}.get(api, api)
    if not re.fullmatch(r"\s*[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?\s*", text, re.IGNORECASE):
        raise RedshiftError(f'invalid input syntax for type numeric: "{text}"')
    _, digits, exponent = Decimal(text).as_tuple()
    scale = max(0, -int(exponent))
    return f"DECIMAL({max(len(digits) + max(0, int(exponent)), scale + 1)},{scale})"


def _decoded(api: str, value: bytes) -> str:
    """A parameter's binary value as text."""
    if api in NUMBERS:
        return str(struct.unpack(NUMBERS[api], value)[0]).lower()
    if api in ("timestamp", "timestamptz"):
        zone = "+00" if api == "timestamptz" else ""
        return f"{MIDNIGHT + struct.unpack('!q', value)[0] * MICROSECOND}{zone}"
    if api == "date":
        return str(MIDNIGHT.date() + datetime.timedelta(days=struct.unpack("!i", value)[0]))
    raise RedshiftError(f"local_aws does not take parameters of type {api} in binary")


def split(sql: str) -> list[str]:
    """The statements of a text, without their semicolons."""
    places = [
        found.start() for found in re.finditer(rf"{OPAQUE}|;", sql, re.DOTALL) if found[0] == ";"
    ]
    starts = [0, *(place + 1 for place in places)]
    return [sql[start:end] for start, end in zip(starts, [*places, len(sql)], strict=True)]


def named(sql: str) -> str:
    """A statement with the parameters `$1` as `:p1`, as the Data API has them."""
    return re.sub(
        rf"({OPAQUE})|\$(\d+)", lambda found: found[1] or f":p{found[2]}", sql, flags=re.DOTALL
    )
