"""Glue tables as DuckDB reads them: the catalog's columns, types and partitions over the plain
files of S3.

What the catalog says and what a file holds must agree as Trino's Hive connector wants it; the rules
are those of
https://github.com/trinodb/trino/blob/master/lib/trino-parquet/src/main/java/io/trino/parquet/reader/ColumnReaderFactory.java
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sqlglot import exp, parse_one

from local_aws.duckdb_sql import files, literal, quote
from local_aws.engines.parquet_files import Field, NotParquetError, footer
from local_aws.ports import WHOLE, Access

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    import duckdb

    from local_aws.stand_in import StandIn

MILLISECONDS = (
    # half up, also before 1970
    "make_timestamp_ms(((epoch_us({0}) + 300000000000000500) // 1000) - 300000000000000)"
)
INTEGER_BITS = {"TINYINT": 8, "SMALLINT": 16, "INT": 32, "BIGINT": 64}
PLAIN = {"BOOLEAN": "BOOLEAN", "FLOAT": "FLOAT", "DOUBLE": "DOUBLE"}
TEXTS = ("TEXT", "VARCHAR", "CHAR", "NCHAR", "NVARCHAR")
BINARIES = ("BINARY", "VARBINARY")


class LakeError(Exception):
    """A table that cannot be read, as Trino says it: code and sentence."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")


@dataclass
class LakeTable:
    """One table of the Data Catalog."""

    database: str
    name: str
    described: dict[str, Any]
    columns: dict[str, exp.DataType]  # of the files, in the catalog's order
    partition_keys: dict[str, exp.DataType]
    parts: list[tuple[list[str], str]]  # partition values, s3:// location
    # what the files' columns are called by in a query's plan: `<label>_<branch>_c<place>`
    label: str = "file"
    # partition values, s3:// address, file
    files: list[tuple[list[str], str, Path]] = field(default_factory=list)
    # the files of each branch of the SELECT
    branches: list[list[Path]] = field(default_factory=list)
    access: Access = WHOLE  # what of it is seen
    # the row filters among it, in DuckDB's words
    conditions: dict[str, str] = field(default_factory=dict)
    timestamp_digits: int = 3  # of a second: milliseconds for Trino, 6 for who reads microseconds

    @property
    def types(self) -> dict[str, exp.DataType]:
        """Every column as queries see it, partition keys last."""
        return {**self.columns, **self.partition_keys}

    @property
    def visible(self) -> dict[str, exp.DataType]:
        """The columns that a query may name."""
        return {
            name: kind
            for name, kind in self.types.items()
            if self.access.whole or name in self.access.cells
        }

    def show(self, connection: duckdb.DuckDBPyConnection, view: str, stand_in: StandIn) -> str:
        """Make what is seen of the table a temporary view; the SELECT that was run for it, empty
        when it is run with the query.

        Rows that are hidden are left out before the query: in one plan with it, its errors could
        tell of them.
        """
        sql = self.select(stand_in)
        if not self.access.whole:
            sql = f"SELECT {', '.join(map(self._cell, self.visible))} FROM ({sql}) AS whole"
        if self.access.whole or not self.access.filters:
            connection.execute(f"CREATE OR REPLACE TEMP VIEW {quote(view)} AS {sql}")
            return ""
        anywhere = [self._passes(each) for each in sorted(set(self.access.cells.values()))]
        sql = f"{sql} WHERE {' OR '.join(anywhere)}"
        connection.execute(f"CREATE OR REPLACE TEMP TABLE {quote(f'{view} rows')} AS {sql}")
        connection.execute(
            f"CREATE OR REPLACE TEMP VIEW {quote(view)} AS SELECT * FROM {quote(f'{view} rows')}"
        )
        return sql

    def _cell(self, name: str) -> str:
        """A column; null in the rows where it is hidden and another column is not."""
        conditions = self.access.cells[name]
        if set(self.access.cells.values()) == {conditions}:
            return quote(name)
        return f"CASE WHEN {self._passes(conditions)} THEN {quote(name)} END AS {quote(name)}"

    def _passes(self, conditions: tuple[str, ...]) -> str:
        return (
            f"({' OR '.join(self.conditions[each] for each in conditions)})"
            if conditions
            else "true"
        )

    def select(self, stand_in: StandIn) -> str:
        """A SELECT over the files that exist now, one branch for each kind of file; raises
        LakeError.
        """
        self._find(stand_in)
        groups: dict[tuple[Any, ...], list[Path]] = {}
        for values, address, path in self.files:
            fields = _fields(address, path)
            self._check(address, fields)
            groups.setdefault((tuple(values), fields), []).append(path)
        selects = [
            self._branch(values, fields, paths) for (values, fields), paths in groups.items()
        ]
        return " UNION ALL ".join(selects) or self._nothing()

    def _find(self, stand_in: StandIn) -> None:
        for values, location in self.parts:
            for address, path in files_below(stand_in, location):
                self.files.append((values, address, path))

    def prune(self, connection: duckdb.DuckDBPyConnection, conditions: list[exp.Expr]) -> None:
        """Leave out the partitions that conditions on partition keys alone rule out: their files
        are not opened.
        """
        for condition in conditions:
            kept = []
            for values, location in self.parts:
                keys = zip(self.partition_keys.items(), values, strict=True)
                told = {name: _partition_value(kind, value) for (name, kind), value in keys}
                asked = condition.copy()
                for each in list(asked.find_all(exp.Column)):
                    each.replace(parse_one(told[each.name.lower()], read="duckdb"))
                sql = f"SELECT {asked.sql(dialect='duckdb')}"
                if connection.execute(sql).fetchall()[0][0]:
                    kept.append((values, location))
            self.parts = kept

    def _nothing(self) -> str:
        values = [
            f"CAST(NULL AS {duckdb_type(kind)}) AS {quote(name)}"
            for name, kind in self.types.items()
        ]
        return f"SELECT {', '.join(values)} WHERE false"

    def _matched(self, fields: tuple[Field, ...]) -> list[Field | None]:
        """For each column of the catalog the file's own, if it has it."""
        serde = self.described["StorageDescriptor"].get("SerdeInfo", {}).get("Parameters", {})
        if serde.get("parquet.column.index.access") == "true":
            return [
                fields[place] if place < len(fields) else None for place in range(len(self.columns))
            ]
        named = {each.name.lower(): each for each in fields}
        return [named.get(name) for name in self.columns]

    def stored_bytes(self, branch: int, place: int) -> int:
        """What one column takes in all the files of one branch of the SELECT, as compressed."""
        return sum(footer(path).stored_bytes[place] for path in self.branches[branch])

    def _check(self, address: str, fields: tuple[Field, ...]) -> None:
        for (name, kind), found in zip(self.columns.items(), self._matched(fields), strict=True):
            if found and not _readable(kind, found):
                physical = (
                    found.physical.replace("BYTE_ARRAY", "BINARY")
                    if found.physical == "BYTE_ARRAY"
                    else found.physical
                )
                raise LakeError(
                    "HIVE_BAD_DATA",
                    f"Field {name}'s type {physical} in parquet file {address} is incompatible with"
                    f" type {trino_type(kind)} defined in table schema",
                )

    def _branch(self, values: tuple[str, ...], fields: tuple[Field, ...], paths: list[Path]) -> str:
        columns = zip(self.columns.items(), self._matched(fields), strict=True)
        label = f"{self.label}_{len(self.branches)}"
        self.branches.append(paths)
        places = {
            id(each): f"{label}_c{place}" for place, each in enumerate(fields)
        }  # DuckDB does not tell "A" from "a"
        selected = [
            f"{_value(kind, found, places.get(id(found), ''), self.timestamp_digits)} AS"
            f" {quote(name)}"
            for (name, kind), found in columns
        ]
        keys = zip(self.partition_keys.items(), values, strict=True)
        selected += [
            f"{_partition_value(kind, value)} AS {quote(name)}" for (name, kind), value in keys
        ]
        return (
            f"SELECT {', '.join(selected)} FROM read_parquet({files(paths)},"
            " hive_partitioning=false)"
            f" AS f({', '.join(places.values())})"
        )


def lake_table(stand_in: StandIn, database: str, name: str) -> LakeTable | None:
    """A table of the Data Catalog with its partitions, or None; raises LakeError for a format that
    is not read here.

    It has what Lake Formation lets the stand-in's principal see. The catalog's names are in lower
    case, however they are asked for.
    """
    database, name = database.lower(), name.lower()
    glue = stand_in.client("glue")
    try:
        described = glue.get_table(DatabaseName=database, Name=name)["Table"]
    except glue.exceptions.EntityNotFoundException:
        return None
    access, conditions = stand_in.lake.reading(stand_in.acting, database, name)
    # what is hidden is left out below; to be left out by a row filter it must be read
    if not access.whole:
        glue = stand_in.itself.client("glue")
        described = glue.get_table(DatabaseName=database, Name=name)["Table"]
    storage, keys = described.get("StorageDescriptor", {}), described.get("PartitionKeys", [])
    if (
        described.get("TableType") == "VIRTUAL_VIEW"
        or "parquet" not in str(storage.get("InputFormat", "")).lower()
    ):
        raise LakeError(
            "NOT_SUPPORTED",
            f"local_aws reads tables over Parquet files only, and {database}.{name} is none.",
        )
    parts: list[tuple[list[str], str]] = [([], storage["Location"])]
    if described.get("Parameters", {}).get("projection.enabled", "").lower() == "true":
        raise LakeError(
            "NOT_SUPPORTED",
            f"local_aws does not do partition projection, which {database}.{name} has.",
        )
    if keys:
        pages = glue.get_paginator("get_partitions").paginate(DatabaseName=database, TableName=name)
        found = [each for page in pages for each in page["Partitions"]]
        parts = [(each["Values"], each["StorageDescriptor"]["Location"]) for each in found]
    table = LakeTable(database, name, described, _types(storage["Columns"]), _types(keys), parts)
    table.access, table.conditions = access, conditions
    return _without_hidden(table)


def _without_hidden(table: LakeTable) -> LakeTable:
    """The table without the columns that neither queries nor row filters name, so that no error
    names them.
    """
    serde = table.described["StorageDescriptor"].get("SerdeInfo", {}).get("Parameters", {})
    if table.access.whole or serde.get("parquet.column.index.access") == "true":
        return table
    asked = {
        each.name
        for sql in table.conditions.values()
        for each in parse_one(sql, read="duckdb").find_all(exp.Identifier)
    }
    table.columns = {
        name: kind for name, kind in table.columns.items() if name in table.visible or name in asked
    }
    return table


def files_below(stand_in: StandIn, location: str) -> list[tuple[str, Path]]:
    """The objects a table's location holds as (s3:// address, file); hidden (_, .) and empty ones
    are left out, as Trino does.
    """
    bucket, _, prefix = location.removeprefix("s3://").removeprefix("s3a://").partition("/")
    prefix = prefix.rstrip("/") + "/" if prefix.strip("/") else ""
    if not stand_in.objects.bucket_exists(bucket):
        raise LakeError("HIVE_FILESYSTEM_ERROR", f"The specified bucket {bucket} does not exist")
    keys = [
        key
        for key in stand_in.objects.keys(bucket, prefix)
        if not key.rsplit("/", 1)[-1].startswith(("_", ".")) and key[-1] != "/"
    ]
    found = [(f"s3://{bucket}/{key}", stand_in.objects.path(bucket, key)) for key in keys]
    return [(address, path) for address, path in found if path.stat().st_size]


def glue_type(text: str) -> exp.DataType:
    """A type as the catalog spells it (`array<decimal(5,1)>`)."""
    kind = exp.DataType.build(
        "decimal(10,0)" if text.strip().lower() == "decimal" else text, dialect="hive"
    )
    for each in list(kind.find_all(exp.DataType)):  # a lake's timestamps have milliseconds
        if each.is_type("timestamp") and not each.expressions:
            each.set("expressions", [exp.DataTypeParam(this=exp.Literal.number(3))])
    return kind


def duckdb_type(kind: exp.DataType) -> str:
    """The type in DuckDB, which has no length of texts and only microseconds."""
    plain = kind.copy()
    for each in plain.find_all(exp.DataType):
        if each.this in (*exp.DataType.TEXT_TYPES, exp.DataType.Type.TIMESTAMP):
            each.set("expressions", [])
    return plain.sql("duckdb")


def trino_type(kind: exp.DataType) -> str:
    """The type as Trino prints it: `varchar`, `decimal(10,2)`, `timestamp(3)`."""
    return kind.sql("athena").lower().replace(", ", ",")


def _types(columns: Iterable[dict[str, str]]) -> dict[str, exp.DataType]:
    return {each["Name"].lower(): glue_type(each["Type"]) for each in columns}


def _fields(address: str, path: Path) -> tuple[Field, ...]:
    try:
        return footer(path).fields
    except NotParquetError as broken:
        message = (
            f"Malformed Parquet file. Expected magic number: PAR1 got: {broken.found} [{address}]"
        )
        raise LakeError("HIVE_BAD_DATA", message) from broken


def _readable(kind: exp.DataType, found: Field) -> bool:
    name = kind.this.name
    if name in INTEGER_BITS:
        whole = found.logical in ("NONE", "INT") or (
            found.logical == "DECIMAL" and found.scale == 0 and found.precision <= 18
        )
        return found.physical in ("INT32", "INT64") and (
            whole or (name == "BIGINT" and found.logical in ("TIMESTAMP", "TIME"))
        )
    if name in PLAIN:
        return found.physical == PLAIN[name] or (name == "DOUBLE" and found.physical == "FLOAT")
    if name == "DATE":
        return found.physical == "INT32" and found.logical in ("NONE", "DATE")
    if name == "DECIMAL":
        return found.logical == "DECIMAL" or (
            found.physical == "INT32"
            and found.logical in ("NONE", "INT")
            and _precision(kind) <= 18
        )
    if name == "TIMESTAMP":
        return found.physical == "INT96" or found.logical == "TIMESTAMP"
    if name in TEXTS or name in BINARIES:
        return found.physical == "BYTE_ARRAY" and found.logical != "DECIMAL"
    return found.physical == "GROUP" and name in ("ARRAY", "LIST", "MAP", "STRUCT")


def _precision(kind: exp.DataType) -> int:
    return int(kind.expressions[0].name)


def _value(kind: exp.DataType, found: Field | None, column: str, timestamp_digits: int) -> str:
    """A column of a file as the catalog's type, cast only where the file's own differs."""
    if found is None:
        return f"CAST(NULL AS {duckdb_type(kind)})"
    name = kind.this.name
    if name == "TIMESTAMP":
        column = f"CAST({column} AS TIMESTAMP)" if found.utc else column
        return (
            column
            if timestamp_digits > 3 or found.unit == "milliseconds"
            else MILLISECONDS.format(column)
        )
    if name in BINARIES:
        return f"encode({column})" if found.logical in ("STRING", "ENUM", "JSON") else column
    if name in TEXTS:
        return column if found.logical in ("STRING", "ENUM", "JSON") else f"decode({column})"
    same = {
        "DECIMAL": (
            found.logical == "DECIMAL"
            and [found.precision, found.scale] == [int(each.name) for each in kind.expressions]
        ),
        **{
            each: found.logical == "INT" and found.bits == bits
            for each, bits in INTEGER_BITS.items()
        },
        **{each: found.physical == physical for each, physical in PLAIN.items()},
        "DATE": found.logical == "DATE",
    }
    plain = (name == "INT" and found.physical == "INT32") or (
        name == "BIGINT" and found.physical == "INT64"
    )
    if same.get(name) or (plain and found.logical == "NONE"):
        return column
    if name in INTEGER_BITS and found.logical in ("TIMESTAMP", "TIME"):
        return f"epoch_us({column})"
    return f"CAST({column} AS {duckdb_type(kind)})"


def _partition_value(kind: exp.DataType, value: str) -> str:
    """A partition key's value, which Hive keeps as text."""
    if value == "__HIVE_DEFAULT_PARTITION__":
        return f"CAST(NULL AS {duckdb_type(kind)})"
    return f"CAST({literal(value)} AS {duckdb_type(kind)})"
