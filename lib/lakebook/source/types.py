"""What the lake's types are called in Glue and in Redshift: `docs/types.md` as functions."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lakebook.source.model import LakeType

GLUE_AND_REDSHIFT = {
    "int16": ("smallint", "smallint"),
    "int32": ("int", "integer"),
    "int64": ("bigint", "bigint"),
    "float": ("float", "real"),
    "double": ("double", "double precision"),
    "boolean": ("boolean", "boolean"),
    "date": ("date", "date"),
    "timestamp": ("timestamp", "timestamp"),
}
# Redshift; https://docs.aws.amazon.com/redshift/latest/dg/r_Character_types.html
LONGEST_VARCHAR_BYTES = 65_535
# https://docs.aws.amazon.com/redshift/latest/dg/r_VARBYTE_type.html
LONGEST_VARBYTE_BYTES = 16_777_216


def glue_type(each: LakeType) -> str:
    """The Glue (Hive) type: `decimal(15,2)`, `string`, `timestamp`, …; the same in the raw and in
    the curated layer, as curation changes names and layout, never types.
    """
    if each.name == "decimal":
        return f"decimal({each.precision},{each.scale})"
    if each.is_text:
        return "string"
    return "binary" if each.name == "binary" else GLUE_AND_REDSHIFT[each.name][0]


def redshift_type(each: LakeType, lob_max_kilobytes: int) -> str:
    """The Redshift type; varchar and varbyte lengths are bytes.

    A value longer than Redshift's 65,535 bytes is possible only with `lob_max_kilobytes` above 63
    or in a string that the source lets be longer; COPY then fails on it, loudly.
    """
    if each.name == "decimal":
        return f"decimal({each.precision},{each.scale})"
    if each.is_text:
        return f"varchar({min(longest_bytes(each, lob_max_kilobytes), LONGEST_VARCHAR_BYTES)})"
    if each.name == "binary":
        return f"varbyte({min(longest_bytes(each, lob_max_kilobytes), LONGEST_VARBYTE_BYTES)})"
    return GLUE_AND_REDSHIFT[each.name][1]


def longest_bytes(each: LakeType, lob_max_kilobytes: int) -> int:
    """The most bytes that a string or binary value can have when it has arrived."""
    return lob_max_kilobytes * 1024 if each.longest_bytes is None else each.longest_bytes
