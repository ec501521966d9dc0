import re
from pathlib import Path
from typing import get_args

import pytest
from nasty_source import secrets, server, source, tables  # noqa: F401 - fixtures

from lakebook.reconcile.limits import MOST_COLUMNS, MOST_DECIMALS
from lakebook.source.model import LakeType, TypeName
from lakebook.source.names import RAW_COLUMNS
from lakebook.source.postgresql.checks import BENDING
from lakebook.source.postgresql.connection import TEXT_FORMS
from lakebook.source.postgresql.types import SIMPLE, PostgreSQLType, type_of
from lakebook.source.types import (
    LONGEST_VARBYTE_BYTES,
    LONGEST_VARCHAR_BYTES,
    glue_type,
    redshift_type,
)

ARRIVES = {  # column of nasty.everything -> (DMS, Glue, Redshift)
    "i2": ("INT2", "smallint", "smallint"),
    "id": ("INT4", "int", "integer"),
    "i8": ("INT8", "bigint", "bigint"),
    "n_free": ("NUMERIC(28,6)", "decimal(28,6)", "decimal(28,6)"),
    "n_fix": ("NUMERIC(15,2)", "decimal(15,2)", "decimal(15,2)"),
    "n_wide": ("STRING", "string", "varchar(53)"),
    "n_neg": ("STRING", "string", "varchar(10)"),
    "n_small": ("STRING", "string", "varchar(7)"),
    "n_frac": ("NUMERIC(4,4)", "decimal(4,4)", "decimal(4,4)"),
    "f4": ("REAL4", "float", "real"),
    "f8": ("REAL8", "double", "double precision"),
    "cash": ("NUMERIC(38,4)", "decimal(38,4)", "decimal(38,4)"),
    "yes": ("BOOLEAN", "boolean", "boolean"),
    "c5": ("WSTRING(5)", "string", "varchar(20)"),
    "v20": ("WSTRING(20)", "string", "varchar(80)"),
    "v_long": ("NCLOB", "string", "varchar(32768)"),
    "b": ("BLOB", "binary", "varbyte(32768)"),
    "jb": ("NCLOB", "string", "varchar(32768)"),
    "tv": ("CLOB", "string", "varchar(32768)"),
    "ia": ("NCLOB", "string", "varchar(32768)"),
    "tags": ("NCLOB", "string", "varchar(32768)"),
    "u": ("STRING", "string", "varchar(36)"),
    "d": ("DATE", "date", "date"),
    "tm": ("STRING", "string", "varchar(32)"),
    "ts": ("DATETIME", "timestamp", "timestamp"),
    "tstz": ("DATETIME", "timestamp", "timestamp"),
    "iv": ("STRING(128)", "string", "varchar(128)"),
    "md": ("STRING(64)", "string", "varchar(64)"),
    "ip": ("STRING(50)", "string", "varchar(50)"),
    "bt": ("STRING", "string", "varchar(6)"),
    "vb": ("STRING", "string", "varchar(65535)"),
    "mr": ("STRING(255)", "string", "varchar(1020)"),
    "pt": ("STRING(255)", "string", "varchar(255)"),
    "pg": ("CLOB", "string", "varchar(32768)"),
    "dom": ("NUMERIC(12,3)", "decimal(12,3)", "decimal(12,3)"),
    "code": ("WSTRING(5)", "string", "varchar(20)"),
}


@pytest.mark.parametrize("name", ARRIVES)
def test_a_column_arrives_as_the_type_table_says(tables, name):  # noqa: F811
    column = next(column for column in tables["everything"].columns if column.name == name)
    found = (type_of(column).dms_type, glue_type(column.type), redshift_type(column.type, 32))
    assert found == ARRIVES[name]


def rows(columns):
    """The cells of the rows of the documentation's table with so many columns, without remarks."""
    return [
        [re.sub(r" \(.*|, (in|of|with) .*| of .*", "", cell.strip()) for cell in row]
        for row in cells(columns)
    ]


def cells(columns):
    text = Path("docs/types.md").read_text()
    found = [line.strip("|").split("|") for line in text.splitlines() if line.startswith("| ")]
    return [row for row in found if len(row) == columns][1:]


def test_the_documentation_has_every_type_of_the_lake_with_its_names_in_glue_and_redshift():
    documented = {
        name: (glue, redshift)
        for lake, glues, redshifts, _ in rows(4)
        for name, glue, redshift in zip(
            *(cell.split(", ") for cell in (lake, glues, redshifts)), strict=True
        )
    }
    documented["document"] = documented["document"][0], "varchar"  # of the text beside SUPER
    found = {}
    for name in get_args(TypeName):
        each = LakeType(name, 15, 2, longest_bytes=20)
        types = glue_type(each), redshift_type(each, 32)
        found[name] = tuple(re.sub(r"\(.*", "", one) for one in types)
    assert {name.partition("(")[0]: each for name, each in documented.items()} == {
        name: each if name != "decimal" else ("decimal(p,s)", "decimal(p,s)")
        for name, each in found.items()
    }


KINDS = {"smallint": "int2", "integer": "int4", "bigint": "int8", "real": "float4"}
KINDS |= {"double precision": "float8", "boolean": "bool", "numeric without precision": "numeric"}


def test_the_documentation_says_what_each_type_of_postgresql_becomes():
    seen = 0
    for names, _, _, lake, _ in rows(5):
        kinds, becomes = names.split(", "), lake.split(", ")
        if len(becomes) == 1:
            becomes *= len(kinds)
        for name, expected in zip(kinds, becomes, strict=True):
            kind = KINDS.get(name, name)
            if kind in SIMPLE or kind in ("numeric", "text", "hstore", "xml", "bit", "polygon"):
                assert PostgreSQLType(kind).lake_type.name == expected.partition("(")[0]
                seen += 1
    assert seen == len(SIMPLE) - 2 + 5  # range and multirange are there in the plural


def test_the_documentation_says_which_types_have_values_that_arrive_as_null():
    for (names, *_), (*_, loses) in zip(rows(5), cells(5), strict=True):
        numeric = {"numeric(p,s)": (10, 2), "other numeric": (50, 2)}.get(names.partition(", ")[0])
        kinds = [PostgreSQLType(KINDS.get(each, each)) for each in names.split(", ")]
        for kind in [PostgreSQLType("numeric", *numeric)] if numeric else kinds:
            assert kind.may_arrive_null == ("NULL" in loses), kind


def test_the_documentation_names_the_limits_of_the_layers_and_the_settings_of_sessions():
    text = Path("docs/types.md").read_text()
    for number, unit in {
        MOST_COLUMNS: "columns of a table",
        LONGEST_VARCHAR_BYTES: "bytes of a varchar",
        LONGEST_VARBYTE_BYTES: "bytes of a varbyte",
        MOST_DECIMALS: "decimals of a decimal",
    }.items():
        assert f"{number:,} {unit}" in text
    for name, value in TEXT_FORMS.items():
        assert f"`{name}={value}`" in text
    for name in (*BENDING, *RAW_COLUMNS):
        assert name in text


def test_a_warehouse_column_is_never_wider_than_redshift_allows():
    text, binary = LakeType("string"), LakeType("binary")
    assert redshift_type(text, 102_400) == "varchar(65535)"
    assert redshift_type(binary, 102_400) == "varbyte(16777216)"
    assert redshift_type(PostgreSQLType("varchar", length=20_000).lake_type, 32) == "varchar(65535)"
