"""What a PostgreSQL column becomes in the lake and in the warehouse: `docs/types.md` as functions."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lakebook.source.postgresql.catalog import Column

SIMPLE = {  # PostgreSQL's own name -> (DMS, Glue, Redshift)
    "int2": ("INT2", "smallint", "smallint"),
    "int4": ("INT4", "int", "integer"),
    "int8": ("INT8", "bigint", "bigint"),
    "float4": ("REAL4", "float", "real"),
    "float8": ("REAL8", "double", "double precision"),
    "bool": ("BOOLEAN", "boolean", "boolean"),
    "date": ("DATE", "date", "date"),
    "timestamp": ("DATETIME", "timestamp", "timestamp"),
    "timestamptz": ("DATETIME", "timestamp", "timestamp"),
}
SHORT_TEXTS = {  # -> (DMS, longest value in bytes)
    "uuid": ("STRING", 36),
    "time": ("STRING", 32),
    "timetz": ("STRING", 32),
    "interval": ("STRING(128)", 128),
    "enum": ("STRING(64)", 64),
    "inet": ("STRING(50)", 50),
    "cidr": ("STRING(50)", 50),
    "macaddr": ("STRING(18)", 18),
    "range": ("STRING(255)", 4 * 255),
    "multirange": ("STRING(255)", 4 * 255),
    "point": ("STRING(255)", 255),
    "line": ("STRING(255)", 255),
    "lseg": ("STRING(255)", 255),
    "box": ("STRING(255)", 255),
    "circle": ("STRING(255)", 255),
}
# Redshift; https://docs.aws.amazon.com/redshift/latest/dg/r_Character_types.html
LONGEST_VARCHAR_BYTES = 65_535
# https://docs.aws.amazon.com/redshift/latest/dg/r_VARBYTE_type.html
LONGEST_VARBYTE_BYTES = 16_777_216


def decimal_of(column: Column) -> tuple[int, int] | None:
    """Precision and scale of the decimal that the column arrives as, or None when it is no decimal."""
    if column.kind == "money":
        return 38, 4
    if column.kind != "numeric":
        return None
    if column.precision is None or column.scale is None:
        return 28, 6
    return (
        (column.precision, column.scale)
        if column.precision <= 38 and 0 <= column.scale <= column.precision
        else None
    )


def is_lob(column: Column) -> bool:
    """Whether DMS treats the column as a LOB, and so cuts its values at LobMaxSize."""
    if column.kind in ("varchar", "bpchar"):
        return column.length is None
    return column.kind not in {*SIMPLE, *SHORT_TEXTS, "numeric", "money", "bit", "varbit"}


def dms_type(column: Column) -> str:
    """The type DMS gives the column on its way, as the DMS user guide spells it."""
    if decimal := decimal_of(column):
        return f"NUMERIC({decimal[0]},{decimal[1]})"
    if column.kind in SIMPLE:
        return SIMPLE[column.kind][0]
    if column.kind in SHORT_TEXTS:
        return SHORT_TEXTS[column.kind][0]
    if column.kind in ("varchar", "bpchar") and column.length:
        return f"WSTRING({column.length})"
    if not is_lob(column):
        return "STRING"
    if column.kind == "bytea":
        return "BLOB"
    nclob = (
        "varchar",
        "bpchar",
        "text",
        "citext",
        "name",
        "json",
        "jsonb",
        "hstore",
        "array",
        "composite",
    )
    return "NCLOB" if column.kind in nclob else "CLOB"


def curated_type(column: Column) -> str:
    """The Glue (Hive) type of the column in the curated layer: `decimal(15,2)`, `string`,
    `timestamp`, ...
    """
    if decimal := decimal_of(column):
        return f"decimal({decimal[0]},{decimal[1]})"
    if column.kind in SIMPLE:
        return SIMPLE[column.kind][1]
    return "binary" if column.kind == "bytea" else "string"


def raw_type(column: Column) -> str:
    """The Glue type that reads the column from DMS's Parquet; curation changes names and layout,
    never types.
    """
    return curated_type(column)


def redshift_type(column: Column, lob_max_kilobytes: int) -> str:
    """The Redshift type of the column; varchar and varbyte lengths are bytes.

    A value longer than Redshift's 65,535 bytes is possible only with `lob_max_kilobytes` above 63
    or a varchar(n) with n above 16,383; COPY then fails on it, loudly.
    """
    if decimal := decimal_of(column):
        return f"decimal({decimal[0]},{decimal[1]})"
    if column.kind in SIMPLE:
        return SIMPLE[column.kind][2]
    if column.kind == "bytea":
        return f"varbyte({min(lob_max_kilobytes * 1024, LONGEST_VARBYTE_BYTES)})"
    return f"varchar({min(longest_bytes(column, lob_max_kilobytes), LONGEST_VARCHAR_BYTES)})"


def longest_bytes(column: Column, lob_max_kilobytes: int) -> int:
    """The most bytes that a value of a column arriving as text can have in UTF-8."""
    if column.kind in SHORT_TEXTS:
        return SHORT_TEXTS[column.kind][1]
    if column.kind == "numeric" and column.precision is not None and column.scale is not None:
        # sign, zero and point
        return max(column.precision - min(column.scale, 0), column.scale) + 3
    if column.kind in ("bit", "varbit"):
        return column.length or LONGEST_VARCHAR_BYTES
    if column.length and not is_lob(column):
        return 4 * column.length
    return lob_max_kilobytes * 1024
