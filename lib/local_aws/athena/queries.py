"""A query of Athena as a job: its tables resolved by the catalog, run by DuckDB over the files of
the lake, its errors in Trino's words.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import duckdb
import sqlglot
from sqlglot import exp

from local_aws.athena import results as athena_results
from local_aws.athena import trino_sql
from local_aws.duckdb_sql import quote
from local_aws.engines.lake_tables import LakeError, duckdb_type, glue_type, lake_table

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from local_aws.engines.lake_tables import LakeTable
    from local_aws.stand_in import StandIn

INFORMATION = {
    "schemata": ["catalog_name", "schema_name"],
    "tables": ["table_catalog", "table_schema", "table_name", "table_type"],
    "columns": [
        "table_catalog",
        "table_schema",
        "table_name",
        "column_name",
        "ordinal_position",
        "column_default",
        "is_nullable",
        "data_type",
    ],
}
CATALOG = "awsdatacatalog"
FILE_COLUMN = re.compile(r"\b(lake_\d+)_(\d+)_c(\d+)\b")


@dataclass
class Job:
    """One query execution as its statement sees it, and what it leaves."""

    stand_in: StandIn
    connection: duckdb.DuckDBPyConnection
    id: str
    sql: str
    database: str
    folder: str  # s3://…/ that results go to
    scratch: Path  # a folder of its own
    parameters: list[str]
    enforced: bool = False  # whether the workgroup decides where results go
    scanned_bytes: int = 0
    tables: dict[str, LakeTable] = field(default_factory=dict)  # by the view that stands for each
    result: athena_results.Result = field(
        default_factory=lambda: athena_results.Result([], header=False)
    )
    manifest: list[str] | None = None  # addresses of the files that were written
    update_count: int | None = None

    def query(self, tree: exp.Expr) -> tuple[str, list[tuple[str, str]]]:
        """A query in DuckDB's words, and its columns with DuckDB's types; raises LakeError."""
        self.stand_in.lake.may_query(self.stand_in.acting)
        self._fill_parameters(tree)
        aliases = {
            each.alias.lower(): each.alias
            for each in getattr(tree, "selects", [])
            if isinstance(each, exp.Alias)
        }
        views: dict[str, dict[str, exp.DataType]] = {}
        known: dict[tuple[str, str], str] = {}
        found = trino_sql.sources(tree, self.database)
        often = Counter((each.database, each.name) for each in found)
        for source in found:
            key = (source.database, source.name)
            if key not in known:
                known[key] = f"lake_{len(known)}"
                views[known[key]] = self._view(known[key], source, prune=often[key] == 1)
            trino_sql.rename(source, known[key])
        sql = trino_sql.translate(tree, self.sql, views)
        described = self.connection.execute(f"DESCRIBE {sql}").fetchall()
        columns = [
            (aliases.get(name.lower(), name), "BIGINT" if kind == "HUGEINT" else kind)
            for name, kind, *_ in described
        ]
        values = ", ".join(
            (
                f"CAST({quote(f'c{n}')} AS {kind}) AS {quote(f'c{n}')}"
                if "HUGEINT" in described[n][1]
                else quote(f"c{n}")
            )
            for n, (_, kind) in enumerate(columns)
        )
        names = ", ".join(quote(f"c{n}") for n in range(len(columns)))
        self.scanned_bytes += self._scan(sql)
        return f"SELECT {values} FROM ({sql}) AS q({names})", columns

    def _fill_parameters(self, tree: exp.Expr) -> None:
        places = sorted(tree.find_all(exp.Placeholder), key=lambda each: each.meta.get("start", 0))
        if len(places) != len(self.parameters):
            raise LakeError(
                "INVALID_PARAMETER_USAGE",
                f"line 1:1: Incorrect number of parameters: expected {len(places)} but found"
                f" {len(self.parameters)}",
            )
        for place, text in zip(places, self.parameters, strict=True):
            place.replace(sqlglot.parse_one(text, read="athena"))

    def _view(self, view: str, source: trino_sql.Source, *, prune: bool) -> dict[str, exp.DataType]:
        if source.catalog != CATALOG:
            raise LakeError(
                "CATALOG_NOT_FOUND", f"{source.position}: Catalog '{source.catalog}' does not exist"
            )
        if source.database == "information_schema" and source.name in INFORMATION:
            return self._information(view, source.name)
        table = lake_table(self.stand_in, source.database, source.name)
        if table is None:
            raise self._absent(source)
        table.label = view
        if not table.visible:
            raise LakeError(
                "COLUMN_NOT_FOUND", f"{source.position}: Relation contains no accessible columns"
            )
        if prune:
            table.prune(self.connection, trino_sql.conditions(source, table.partition_keys))
        before = table.show(self.connection, view, self.stand_in)
        self.tables[view] = table
        self.scanned_bytes += self._scan(before) if before else 0
        return table.visible

    def _scan(self, sql: str) -> int:
        """The bytes that a query's plan reads: of the columns it needs, in the partitions it needs,
        as Athena counts them.

        A lone `count(*)` counts as one column; Athena answers it from the footers.
        """
        [(_, plan)] = self.connection.execute(f"EXPLAIN (FORMAT json) {sql}").fetchall()
        columns = [
            each for read in _reads(json.loads(plan)) for each in set(FILE_COLUMN.findall(read))
        ]
        return sum(
            self.tables[view].stored_bytes(int(branch), int(place))
            for view, branch, place in columns
        )

    def _absent(self, source: trino_sql.Source) -> LakeError:
        if not source.database:
            return LakeError(
                "MISSING_SCHEMA_NAME",
                f"{source.position}: Schema must be specified when session schema is not set",
            )
        glue = self.stand_in.client("glue")
        try:
            glue.get_database(Name=source.database)
        except glue.exceptions.EntityNotFoundException:
            return LakeError(
                "SCHEMA_NOT_FOUND", f"{source.position}: Schema '{source.database}' does not exist"
            )
        return LakeError(
            "TABLE_NOT_FOUND",
            f"{source.position}: Table '{CATALOG}.{source.database}.{source.name}' does not exist",
        )

    def _information(self, view: str, name: str) -> dict[str, exp.DataType]:
        """The catalog as information_schema shows it, in a temporary table."""
        rows = information(self.stand_in, name)
        types = {
            column: "bigint" if column == "ordinal_position" else "string"
            for column in INFORMATION[name]
        }
        columns = ", ".join(
            f"{column} {duckdb_type(glue_type(kind))}" for column, kind in types.items()
        )
        self.connection.execute(f"CREATE OR REPLACE TEMP TABLE {quote(view)} ({columns})")
        if rows:
            self.connection.executemany(
                f"INSERT INTO {quote(view)} VALUES ({', '.join('?' * len(types))})", rows
            )
        return {column: glue_type(kind) for column, kind in types.items()}


def _reads(nodes: list[dict[str, Any]]) -> Iterator[str]:
    """What a plan says of each place where it reads files."""
    for node in nodes:
        if node["name"] == "READ_PARQUET":
            yield json.dumps(node["extra_info"])
        yield from _reads(node["children"])


def information(stand_in: StandIn, name: str, database: str = "") -> list[list[Any]]:
    """The rows of one table of information_schema; of one database where it is named, which asks
    the caller for no right to others.
    """
    glue = stand_in.client("glue")
    databases = (
        [database]
        if database
        else [
            each["Name"]
            for page in glue.get_paginator("get_databases").paginate()
            for each in page["DatabaseList"]
        ]
    )
    if name == "schemata":
        return [[CATALOG, each] for each in [*databases, "information_schema"]]
    found = [
        each
        for database in databases
        for page in glue.get_paginator("get_tables").paginate(DatabaseName=database)
        for each in page["TableList"]
    ]
    if name == "tables":
        return [
            [
                CATALOG,
                each["DatabaseName"],
                each["Name"],
                "VIEW" if each.get("TableType") == "VIRTUAL_VIEW" else "BASE TABLE",
            ]
            for each in found
        ]
    return [
        [
            CATALOG,
            each["DatabaseName"],
            each["Name"],
            column["Name"].lower(),
            place,
            None,
            "YES",
            athena_type(column["Type"]),
        ]
        for each in found
        for place, column in enumerate(
            [*each.get("StorageDescriptor", {}).get("Columns", []), *each.get("PartitionKeys", [])],
            1,
        )
    ]


def athena_type(kind: str) -> str:
    """A type of the catalog as Trino names it."""
    return glue_type(kind).sql("athena").lower().replace(", ", ",")


def select(job: Job) -> None:
    """Run a query and leave its CSV and its rows."""
    sql, columns = job.query(trino_sql.parse(job.sql))
    kept, csv = job.scratch / "rows.arrow", job.scratch / "rows.csv"
    athena_results.write(job.connection, sql, columns, [name for name, _ in columns], kept, csv)
    job.result = athena_results.Result(
        [athena_results.column_info(*each) for each in columns], kept
    )
    bucket, _, key = f"{job.folder}{job.id}.csv".removeprefix("s3://").partition("/")
    job.stand_in.objects.put_file(bucket, key, csv)


def failure(error: duckdb.Error) -> str:
    """DuckDB's error in Trino's words."""
    text = str(error).split("\n\nLINE")[0].split("\nLINE")[0]
    kind, _, rest = text.partition(": ")
    if named := re.search(r"[A-Z_]+: .*", rest) if kind == "Invalid Input Error" else None:
        return named[0]
    if "must appear in the GROUP BY" in text:
        column = re.search(r'column "(.*?)"', text)
        return (
            f"EXPRESSION_NOT_AGGREGATE: line 1:1: '{column[1] if column else '?'}' must be an"
            " aggregate expression or appear in GROUP BY clause"
        )
    codes = {
        "Conversion Error": "INVALID_CAST_ARGUMENT",
        "Out of Range Error": "NUMERIC_VALUE_OUT_OF_RANGE",
        "Binder Error": "SYNTAX_ERROR: line 1:1",
        "Parser Error": "SYNTAX_ERROR: line 1:1",
        "Catalog Error": "FUNCTION_NOT_FOUND: line 1:1",
    }
    if (
        isinstance(error, duckdb.IOException | duckdb.InvalidInputException)
        and ".parquet" in text.lower()
    ):
        return f"HIVE_CURSOR_ERROR: {rest}"
    return f"{codes.get(kind, 'GENERIC_INTERNAL_ERROR')}: {rest}"
