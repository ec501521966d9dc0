"""Redshift's types: as declared, as DuckDB stores them, as the system views, the Data API and COPY
name them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow
    from sqlglot import exp

LONGEST_VARCHAR, LONGEST_VARBYTE = 65_535, 16_777_216
# sqlglot's name -> system views' name, DuckDB's, the Data API's, COPY's
SIMPLE = {
    "SMALLINT": ("smallint", "SMALLINT", "int2", "SMALLINT"),
    "INT": ("integer", "INTEGER", "int4", "INT"),
    "BIGINT": ("bigint", "BIGINT", "int8", "BIGINT"),
    "FLOAT": ("real", "FLOAT", "float4", "REAL"),
    "DOUBLE": ("double precision", "DOUBLE", "float8", "DOUBLE"),
    "BOOLEAN": ("boolean", "BOOLEAN", "bool", "BOOLEAN"),
    "DATE": ("date", "DATE", "date", "DATE"),
    "TIME": ("time without time zone", "TIME", "time", "TIME"),
    "TIMESTAMP": ("timestamp without time zone", "TIMESTAMP", "timestamp", "TIMESTAMP"),
    "TIMESTAMPTZ": (
        "timestamp with time zone",
        "TIMESTAMP WITH TIME ZONE",
        "timestamptz",
        "TIMESTAMPTZ",
    ),
    "SUPER": ("super", "JSON", "super", "SUPER"),
}


@dataclass(frozen=True)
class RedshiftType:
    """One column's type."""

    name: str  # "character varying"
    duckdb: str
    api: str  # "varchar"
    copy: str  # "VARCHAR", as COPY's errors print it
    length: int = 0  # bytes of a text or a varbyte
    precision: int = 0
    scale: int = 0

    @property
    def text(self) -> str:
        """`character varying(10)`, as PG_TABLE_DEF has it."""
        if self.length:
            return f"{self.name}({self.length})"
        return f"{self.name}({self.precision},{self.scale})" if self.precision else self.name

    def check(self, column: str) -> str:
        """A condition that holds for values that fit, or nothing."""
        if not self.length:
            return ""
        return (
            f"CHECK ({'strlen' if self.duckdb == 'VARCHAR' else 'octet_length'}({column}) <="
            f" {self.length})"
        )


@dataclass
class Outcome:
    """What a statement gives: rows that were touched or selected, and the answer if it has one."""

    rows: int = 0
    columns: list[tuple[str, RedshiftType]] = field(default_factory=list)
    table: pyarrow.Table | None = None


def declared(kind: exp.DataType) -> RedshiftType | None:
    """The type that a definition says, or None for one that local_aws does not have."""
    name, numbers = kind.this.name, [each.name.lower() for each in kind.expressions]
    if name in SIMPLE:
        return RedshiftType(*SIMPLE[name])
    if name in ("VARCHAR", "NVARCHAR", "TEXT"):
        length = LONGEST_VARCHAR if numbers == ["max"] else int(numbers[0]) if numbers else 256
        return RedshiftType("character varying", "VARCHAR", "varchar", "VARCHAR", length=length)
    if name in ("CHAR", "NCHAR", "BPCHAR"):
        return RedshiftType(
            "character", "VARCHAR", "bpchar", "CHAR", length=int(numbers[0]) if numbers else 1
        )
    if name in ("VARBINARY", "BINARY"):
        length = LONGEST_VARBYTE if numbers == ["max"] else int(numbers[0]) if numbers else 64_000
        return RedshiftType("binary varying", "BLOB", "varbyte", "VARBYTE", length=length)
    if name == "DECIMAL":
        precision, scale = (
            int(numbers[0]) if numbers else 18,
            (int(numbers[1]) if len(numbers) > 1 else 0),
        )
        return RedshiftType(
            "numeric",
            f"DECIMAL({precision},{scale})",
            "numeric",
            f"DECIMAL({precision},{scale})",
            precision=precision,
            scale=scale,
        )
    return None


def too_long(kind: RedshiftType) -> bool:
    """Whether a type has more characters, bytes, digits or decimals than Redshift's may have.

    https://docs.aws.amazon.com/redshift/latest/dg/c_Supported_data_types.html
    https://docs.aws.amazon.com/redshift/latest/dg/r_Numeric_types201.html
    """
    longest = {"bpchar": 4096, "varchar": LONGEST_VARCHAR, "varbyte": 16_777_216}
    return (
        kind.length > longest.get(kind.api, kind.length) or kind.precision > 38 or kind.scale > 37
    )


def of_duckdb(kind: str) -> RedshiftType:
    """The type of a column that a query made."""
    if decimal := re.fullmatch(r"DECIMAL\((\d+),(\d+)\)", kind):
        return RedshiftType(
            "numeric", kind, "numeric", kind, precision=int(decimal[1]), scale=int(decimal[2])
        )
    if kind == "HUGEINT":
        return RedshiftType("numeric", "DECIMAL(38,0)", "numeric", "DECIMAL(38,0)", precision=38)
    for each in SIMPLE.values():
        if each[1] == kind:
            return RedshiftType(*each)
    if kind == "TINYINT":
        return RedshiftType(*SIMPLE["SMALLINT"])
    if kind == "BLOB":
        return RedshiftType("binary varying", "BLOB", "varbyte", "VARBYTE", length=LONGEST_VARBYTE)
    return RedshiftType(
        "character varying", "VARCHAR", "varchar", "VARCHAR", length=LONGEST_VARCHAR
    )


def result_text(column: str, kind: str) -> str:
    """A value of a result as the Data API's record holds it: numbers, booleans, or a text."""
    if kind in ("SMALLINT", "INTEGER", "BIGINT", "TINYINT"):
        return f"CAST({column} AS BIGINT)"
    if kind in ("FLOAT", "DOUBLE"):
        return f"CAST({column} AS DOUBLE)"
    if kind in ("BOOLEAN", "VARCHAR"):
        return column
    if kind == "BLOB":
        return f"lower(hex({column}))"
    if kind.startswith("DECIMAL"):
        return f"regexp_replace(CAST({column} AS VARCHAR), '^(-?)\\.', '\\10.')"  # DuckDB writes .5
    return f"CAST({column} AS VARCHAR)"
