"""What a query of Athena leaves: values as Athena writes them, the CSV or text file in S3, and
pages for GetQueryResults.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy
import pyarrow
import pyarrow.csv

from local_aws.duckdb_sql import quote

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import duckdb

    from local_aws.stand_in import StandIn

# DuckDB's type -> type, precision and scale as ColumnInfo has them
TYPES = {
    "BOOLEAN": ("boolean", 0, 0),
    "TINYINT": ("tinyint", 3, 0),
    "SMALLINT": ("smallint", 5, 0),
    "INTEGER": ("integer", 10, 0),
    "BIGINT": ("bigint", 19, 0),
    "HUGEINT": ("bigint", 19, 0),
    "FLOAT": ("float", 17, 0),
    "DOUBLE": ("double", 17, 0),
    "VARCHAR": ("varchar", 2147483647, 0),
    "BLOB": ("varbinary", 1073741824, 0),
    "DATE": ("date", 0, 0),
    "TIMESTAMP": ("timestamp", 3, 0),
    "TIMESTAMP WITH TIME ZONE": ("timestamp with time zone", 3, 0),
    "TIME": ("time", 3, 0),
    "JSON": ("json", 0, 0),
    '"NULL"': ("unknown", 0, 0),
    "INTERVAL": ("interval day to second", 0, 0),
}
ROWS_AT_ONCE = 50_000


@dataclass
class Result:
    """The rows of one query, kept as texts in a file."""

    columns: list[dict[str, Any]]  # ColumnInfo
    file: Path | None = None  # Arrow, every column a string
    rows: list[list[str | None]] = field(default_factory=list)  # of statements that need no file
    header: bool = True  # whether the first row of GetQueryResults names the columns

    def page(self, start: int, size: int) -> tuple[list[dict[str, Any]], bool]:
        """Rows as GetQueryResults has them, the header being row 0, and whether there are more."""
        lines: list[list[str | None]] = []
        if self.header and start == 0:
            lines.append([each["Name"] for each in self.columns])
        first = max(start - 1, 0) if self.header else start
        wanted = size - len(lines)
        found = self._read(first, wanted + 1)
        lines += found[:wanted]
        return [
            {"Data": [{} if each is None else {"VarCharValue": each} for each in line]}
            for line in lines
        ], len(found) > wanted

    def _read(self, start: int, count: int) -> list[list[str | None]]:
        if self.file is None:
            return self.rows[start : start + count]
        with pyarrow.memory_map(str(self.file)) as source:
            reader, position = pyarrow.ipc.open_file(source), 0
            rows: list[list[str | None]] = []
            for number in range(reader.num_record_batches):
                batch = reader.get_batch(number)
                if position + batch.num_rows > start and len(rows) < count:
                    part = batch.slice(max(start - position, 0), count - len(rows))
                    rows += [
                        list(row)
                        for row in zip(
                            *(column.to_pylist() for column in part.columns), strict=True
                        )
                    ]
                position += batch.num_rows
        return rows


def column_info(name: str, kind: str) -> dict[str, Any]:
    """A column as GetQueryResults describes it; `kind` is DuckDB's type."""
    if decimal := re.fullmatch(r"DECIMAL\((\d+),(\d+)\)", kind):
        described = ("decimal", int(decimal[1]), int(decimal[2]))
    elif kind.endswith("[]") or kind.startswith(("STRUCT", "MAP")):
        described = (
            "array" if kind.endswith("[]") else "row" if kind.startswith("STRUCT") else "map",
            0,
            0,
        )
    else:
        described = TYPES[kind.removesuffix("_S").removesuffix("_MS").removesuffix("_NS")]
    names = {"CatalogName": "hive", "SchemaName": "", "TableName": "", "Name": name, "Label": name}
    rest = {
        "Type": described[0],
        "Precision": described[1],
        "Scale": described[2],
        "Nullable": "UNKNOWN",
    }
    return {**names, **rest, "CaseSensitive": described[0] == "varchar"}


def texts(sql: str, columns: list[tuple[str, str]]) -> str:
    """The query with every value as Athena writes it; what needs Python stays as it is."""
    values = [
        f"{_text(quote(name), kind)} AS {quote(str(number))}"
        for number, (name, kind) in enumerate(columns)
    ]
    names = ", ".join(quote(name) for name, _ in columns)
    return f"SELECT {', '.join(values)} FROM ({sql}) AS answer({names})"


def write(
    connection: duckdb.DuckDBPyConnection,
    sql: str,
    columns: list[tuple[str, str]],
    names: list[str],
    kept: Path,
    csv: Path,
) -> None:
    """Run a query and write its values, as texts, to a file of Arrow for the API and a CSV for
    S3.
    """
    schema = pyarrow.schema([(str(number), pyarrow.string()) for number in range(len(columns))])
    reader = connection.execute(texts(sql, columns)).to_arrow_reader(ROWS_AT_ONCE)
    options = pyarrow.csv.WriteOptions(include_header=False, quoting_style="all_valid")
    with (
        pyarrow.OSFile(str(kept), "wb") as sink,
        csv.open("wb") as lines,
        pyarrow.ipc.new_file(sink, schema) as arrow,
    ):
        lines.write(
            (",".join('"' + name.replace('"', '""') + '"' for name in names) + "\n").encode()
        )
        with pyarrow.csv.CSVWriter(lines, schema, write_options=options) as table:
            for batch in reader:
                written = pyarrow.record_batch(
                    [_strings(column) for column in batch.columns], schema=schema
                )
                arrow.write_batch(written)
                table.write_batch(written)


def put_text(stand_in: StandIn, address: str, text: str, scratch: Path) -> None:
    """Write a small object."""
    bucket, _, key = address.removeprefix("s3://").partition("/")
    scratch.write_text(text)
    stand_in.objects.put_file(bucket, key, scratch)


def metadata_text(columns: list[dict[str, Any]]) -> str:
    """The content of the `.metadata` file, which nobody reads (AWS's own format is binary and
    undocumented).
    """
    return json.dumps({"columns": columns})


def java_text(value: float) -> str:
    """A double as Java prints it: 1.0, 1.0E7, 1.5E-4, NaN, Infinity."""
    return _java(value, repr(float(value)), plain=True)


def trino_double_text(value: float) -> str:
    """A double as Trino casts it to varchar: 1.0E0."""
    return _java(value, repr(float(value)), plain=False)


def trino_real_text(value: float) -> str:
    """A real as Trino casts it to varchar."""
    return _java(value, str(numpy.float32(value)), plain=False)


def _java(value: float, shortest: str, *, plain: bool) -> str:
    if math.isnan(value) or math.isinf(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if value == 0:
        return ("-0.0" if math.copysign(1, value) < 0 else "0.0") + ("" if plain else "E0")
    mantissa, _, exponent = shortest.lstrip("-").partition("e")
    whole, _, rest = mantissa.partition(".")
    digits = (whole + rest).lstrip("0")
    power = int(exponent or 0) + (
        len(whole) - 1 if whole != "0" else -(len(rest) - len(rest.lstrip("0"))) - 1
    )
    digits = digits.rstrip("0") or "0"
    sign = "-" if value < 0 else ""
    if plain and -3 <= power < 7:
        if power < 0:
            return f"{sign}0.{'0' * (-power - 1)}{digits}"
        padded = digits.ljust(power + 1, "0")
        return f"{sign}{padded[: power + 1]}.{padded[power + 1 :] or '0'}"
    return f"{sign}{digits[0]}.{digits[1:] or '0'}E{power}"


def _text(column: str, kind: str) -> str:
    if kind in ("FLOAT", "DOUBLE") or kind.endswith("[]") or kind.startswith(("STRUCT", "MAP")):
        return column
    if kind.startswith("DECIMAL"):
        return f"regexp_replace(CAST({column} AS VARCHAR), '^(-?)\\.', '\\10.')"  # DuckDB writes .5
    if kind == "TIMESTAMP WITH TIME ZONE":
        return f"strftime({column} AT TIME ZONE 'UTC', '%Y-%m-%d %H:%M:%S.%g UTC')"
    if kind.startswith("TIMESTAMP"):
        return f"strftime({column}, '%Y-%m-%d %H:%M:%S.%g')"
    if kind == "BLOB":
        return f"rtrim(regexp_replace(lower(hex({column})), '(..)', '\\1 ', 'g'))"
    return f"CAST({column} AS VARCHAR)"


def _strings(column: pyarrow.Array) -> pyarrow.Array:
    if pyarrow.types.is_string(column.type):
        return column
    if pyarrow.types.is_floating(column.type):
        single = column.type == pyarrow.float32()
        shortest = [
            each if each is None else str(numpy.float32(each)) if single else repr(each)
            for each in column.to_pylist()
        ]
        pairs = zip(column.to_pylist(), shortest, strict=True)
        return pyarrow.array(
            [text and _java(each, text, plain=True) for each, text in pairs], pyarrow.string()
        )
    if pyarrow.types.is_nested(column.type):
        return pyarrow.array(
            [None if each is None else _nested(each, column.type) for each in column.to_pylist()],
            pyarrow.string(),
        )
    return column.cast(pyarrow.string())


def _nested(value: Any, kind: pyarrow.DataType) -> str:
    if value is None:
        return "null"
    if pyarrow.types.is_map(kind):
        return (
            "{"
            + ", ".join(
                f"{_nested(key, kind.key_type)}={_nested(item, kind.item_type)}"
                for key, item in value
            )
            + "}"
        )
    if pyarrow.types.is_list(kind):
        return "[" + ", ".join(_nested(each, kind.value_type) for each in value) + "]"
    if pyarrow.types.is_struct(kind):
        return "{" + ", ".join(_members(value, kind)) + "}"
    if isinstance(value, bool):
        return str(value).lower()
    if pyarrow.types.is_timestamp(kind):
        return str(value.isoformat(" ", "milliseconds"))
    return java_text(value) if isinstance(value, float) else str(value)


def _members(value: dict[str, Any], kind: pyarrow.StructType) -> Iterator[str]:
    for member in kind:
        yield f"{member.name}={_nested(value[member.name], member.type)}"
