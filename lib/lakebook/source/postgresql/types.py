"""PostgreSQL's types: what they become in the lake, and what DMS calls them on their way."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lakebook.source.model import LakeType

if TYPE_CHECKING:
    from lakebook.source.model import Column

SIMPLE = {  # pg_type.typname -> (what it becomes, DMS's name)
    "int2": (LakeType("int16"), "INT2"),
    "int4": (LakeType("int32"), "INT4"),
    "int8": (LakeType("int64"), "INT8"),
    "float4": (LakeType("float"), "REAL4"),
    "float8": (LakeType("double"), "REAL8"),
    "bool": (LakeType("boolean"), "BOOLEAN"),
    "date": (LakeType("date"), "DATE"),
    "timestamp": (LakeType("timestamp"), "DATETIME"),
    "timestamptz": (LakeType("timestamp", utc=True), "DATETIME"),
    # DMS's own TIME32 can be read neither by Spark nor by Athena: a rule has it sent as text
    "time": (LakeType("time", longest_bytes=32), "STRING"),
    "timetz": (LakeType("time", longest_bytes=32), "STRING"),
    # 92,233,720,368,547,758.07 is the most
    "money": (LakeType("decimal", 38, 4, digits=21), "NUMERIC(38,4)"),
    "uuid": (LakeType("string", longest_bytes=36), "STRING"),
    "interval": (LakeType("string", longest_bytes=128), "STRING(128)"),
    "enum": (LakeType("string", longest_bytes=64), "STRING(64)"),
    "inet": (LakeType("string", longest_bytes=50), "STRING(50)"),
    "cidr": (LakeType("string", longest_bytes=50), "STRING(50)"),
    "macaddr": (LakeType("string", longest_bytes=18), "STRING(18)"),
    "range": (LakeType("string", longest_bytes=4 * 255), "STRING(255)"),
    "multirange": (LakeType("string", longest_bytes=4 * 255), "STRING(255)"),
    "point": (LakeType("string", longest_bytes=255), "STRING(255)"),
    "line": (LakeType("string", longest_bytes=255), "STRING(255)"),
    "lseg": (LakeType("string", longest_bytes=255), "STRING(255)"),
    "box": (LakeType("string", longest_bytes=255), "STRING(255)"),
    "circle": (LakeType("string", longest_bytes=255), "STRING(255)"),
    "bytea": (LakeType("binary"), "BLOB"),
    "json": (LakeType("document"), "NCLOB"),
    "jsonb": (LakeType("document"), "NCLOB"),
}
NCLOBS = ("varchar", "bpchar", "text", "citext", "name", "hstore", "array", "composite")
LONGEST_VARBIT_BYTES = 65_535  # of a varbit without length, which DMS does not take for a LOB


@dataclass(frozen=True)
class PostgreSQLType:
    """A type as pg_attribute and pg_type describe it after domains; `kind` is its type's own name:
    `int4`, `numeric`, `array`, …
    """

    kind: str
    precision: int | None = None
    scale: int | None = None
    length: int | None = None  # characters, or bits

    @property
    def lake_type(self) -> LakeType:
        """What it becomes in the lake; `docs/types.md` as a function."""
        if self.kind in SIMPLE:
            return SIMPLE[self.kind][0]
        if self.kind == "numeric":
            return self._numeric
        if self.kind in ("bit", "varbit"):
            return LakeType("string", longest_bytes=self.length or LONGEST_VARBIT_BYTES)
        if self.kind in ("varchar", "bpchar") and self.length:
            return LakeType("string", longest_bytes=4 * self.length)
        return LakeType("string")

    @property
    def dms_type(self) -> str:
        """The type DMS gives it on its way, as the DMS user guide spells it."""
        if self.kind in SIMPLE:
            return SIMPLE[self.kind][1]
        became = self.lake_type
        if became.name == "decimal":
            return f"NUMERIC({became.precision},{became.scale})"
        if self.kind in ("varchar", "bpchar") and self.length:
            return f"WSTRING({self.length})"
        if not became.is_lob:
            return "STRING"
        return "NCLOB" if self.kind in NCLOBS else "CLOB"

    @property
    def may_arrive_null(self) -> bool:
        """Whether it has values that arrive as NULL: NaN and infinity."""
        return self.kind == "interval" or (
            self.kind == "numeric" and self.lake_type.name == "decimal"
        )

    @property
    def _numeric(self) -> LakeType:
        if self.precision is None or self.scale is None:
            return LakeType("decimal", 28, 6)
        if self.precision <= 38 and 0 <= self.scale <= self.precision:
            return LakeType("decimal", self.precision, self.scale)
        # sign, zero and point
        longest = max(self.precision - min(self.scale, 0), self.scale) + 3
        return LakeType("string", longest_bytes=longest)


def type_of(column: Column) -> PostgreSQLType:
    """What PostgreSQL said of a column's type when `tables` read it."""
    if not isinstance(column.native, PostgreSQLType):
        raise TypeError(f"{column.name} was not read from PostgreSQL")
    return column.native


def not_replicated(
    kinds: list[str], primary_key: tuple[str, ...], path: tuple[str, ...] = ()
) -> str:
    """Why DMS does not replicate a table with such columns, or why it must not: `path` are its
    schema and name, which become folders; "" where it does.
    """
    if any("/" in each or each in (".", "..") for each in path):
        return "it has a name that is no folder's, and its files would be among another table's"
    if not kinds:
        return "it has no column"
    if "array" in kinds and not primary_key:
        return "it has an array and no primary key"
    return ""
