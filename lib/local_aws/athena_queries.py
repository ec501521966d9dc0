"""Athena's statements over data: SELECT, CREATE TABLE AS, INSERT INTO and UNLOAD, run by DuckDB over the files of the lake."""

from __future__ import annotations

import re
import shutil
import urllib.parse
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import duckdb
import sqlglot
from sqlglot import exp

from local_aws import athena_results, trino_sql
from local_aws.engine_clients import client
from local_aws.lake_tables import LakeError, LakeTable, duckdb_type, files_below, glue_type, lake_table, literal, quote

if TYPE_CHECKING:
    from pathlib import Path

    from local_aws.stand_in import StandIn

PARQUET = {
    "InputFormat": "org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat",
    "OutputFormat": "org.apache.hadoop.hive.ql.io.parquet.MapredParquetOutputFormat",
    "SerdeInfo": {"SerializationLibrary": "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe"},
}
UNLOAD = re.compile(
    r"UNLOAD\s*\((?P<query>.*)\)\s*TO\s*'(?P<location>[^']+)'\s*(WITH\s*\((?P<settings>.*)\))?\s*;?\s*",
    re.IGNORECASE | re.DOTALL,
)
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
    result: athena_results.Result = field(default_factory=lambda: athena_results.Result([], header=False))
    manifest: list[str] | None = None  # addresses of the files that were written
    update_count: int | None = None

    def query(self, tree: exp.Expr) -> tuple[str, list[tuple[str, str]]]:
        """A query in DuckDB's words, and its columns with DuckDB's types; raises LakeError."""
        self._fill_parameters(tree)
        aliases = {
            each.alias.lower(): each.alias for each in getattr(tree, "selects", []) if isinstance(each, exp.Alias)
        }
        views: dict[str, dict[str, exp.DataType]] = {}
        known: dict[tuple[str, str], str] = {}
        for source in trino_sql.sources(tree, self.database):
            key = (source.database, source.name)
            if key not in known:
                known[key] = f"lake_{len(known)}"
                views[known[key]] = self._view(known[key], source)
            trino_sql.rename(source, known[key])
        sql = trino_sql.translate(tree, self.sql, views)
        described = self.connection.execute(f"DESCRIBE {sql}").fetchall()
        columns = [
            (aliases.get(name.lower(), name), "BIGINT" if kind == "HUGEINT" else kind) for name, kind, *_ in described
        ]
        values = ", ".join(
            f"CAST({quote(f'c{n}')} AS {kind}) AS {quote(f'c{n}')}" if "HUGEINT" in described[n][1] else quote(f"c{n}")
            for n, (_, kind) in enumerate(columns)
        )
        names = ", ".join(quote(f"c{n}") for n in range(len(columns)))
        return f"SELECT {values} FROM ({sql}) AS q({names})", columns

    def _fill_parameters(self, tree: exp.Expr) -> None:
        places = sorted(tree.find_all(exp.Placeholder), key=lambda each: each.meta.get("start", 0))
        if len(places) != len(self.parameters):
            raise LakeError(
                "INVALID_PARAMETER_USAGE",
                f"line 1:1: Incorrect number of parameters: expected {len(places)} but found {len(self.parameters)}",
            )
        for place, text in zip(places, self.parameters, strict=True):
            place.replace(sqlglot.parse_one(text, read="athena"))

    def _view(self, view: str, source: trino_sql.Source) -> dict[str, exp.DataType]:
        if source.catalog != CATALOG:
            raise LakeError("CATALOG_NOT_FOUND", f"{source.position}: Catalog '{source.catalog}' does not exist")
        if source.database == "information_schema" and source.name in INFORMATION:
            return self._information(view, source.name)
        table = lake_table(self.stand_in, source.database, source.name)
        if table is None:
            raise self._absent(source)
        self.connection.execute(f"CREATE OR REPLACE TEMP VIEW {quote(view)} AS {table.select(self.stand_in)}")
        self.scanned_bytes += table.bytes
        return table.types

    def _absent(self, source: trino_sql.Source) -> LakeError:
        if not source.database:
            return LakeError(
                "MISSING_SCHEMA_NAME", f"{source.position}: Schema must be specified when session schema is not set"
            )
        glue = client(self.stand_in, "glue")
        try:
            glue.get_database(Name=source.database)
        except glue.exceptions.EntityNotFoundException:
            return LakeError("SCHEMA_NOT_FOUND", f"{source.position}: Schema '{source.database}' does not exist")
        return LakeError(
            "TABLE_NOT_FOUND", f"{source.position}: Table '{CATALOG}.{source.database}.{source.name}' does not exist"
        )

    def _information(self, view: str, name: str) -> dict[str, exp.DataType]:
        """The catalog as information_schema shows it, in a temporary table."""
        rows = information(self.stand_in, name)
        types = {column: "bigint" if column == "ordinal_position" else "string" for column in INFORMATION[name]}
        columns = ", ".join(f"{column} {duckdb_type(glue_type(kind))}" for column, kind in types.items())
        self.connection.execute(f"CREATE OR REPLACE TEMP TABLE {quote(view)} ({columns})")
        if rows:
            self.connection.executemany(f"INSERT INTO {quote(view)} VALUES ({', '.join('?' * len(types))})", rows)
        return {column: glue_type(kind) for column, kind in types.items()}


def information(stand_in: StandIn, name: str) -> list[list[Any]]:
    """The rows of one table of information_schema."""
    glue = client(stand_in, "glue")
    databases = [
        each["Name"] for page in glue.get_paginator("get_databases").paginate() for each in page["DatabaseList"]
    ]
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
            [*each.get("StorageDescriptor", {}).get("Columns", []), *each.get("PartitionKeys", [])], 1
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
    job.result = athena_results.Result([athena_results.column_info(*each) for each in columns], kept)
    bucket, _, key = f"{job.folder}{job.id}.csv".removeprefix("s3://").partition("/")
    job.stand_in.objects.put_file(bucket, key, csv)


def create_table_as(job: Job) -> None:
    """Write a query's rows as Parquet and catalogue them as a new table."""
    tree = trino_sql.parse(job.sql)
    target, settings = tree.this, _settings(tree.args.get("properties"))
    database, name = target.db.lower() or job.database.lower(), target.name.lower()
    if job.enforced and "external_location" in settings:
        raise LakeError(
            "INVALID_TABLE_PROPERTY",
            "The Create Table As Select query failed because it was submitted with an 'external_location' property to an Athena Workgroup that enforces a centralized output location for all queries. Please remove the 'external_location' property and resubmit the query.",
        )
    if lake_table_exists(job.stand_in, database, name):
        raise LakeError(
            "TABLE_ALREADY_EXISTS", f"line 1:1: Destination table '{CATALOG}.{database}.{name}' already exists"
        )
    _expect_parquet(settings)
    sql, columns = job.query(tree.expression)
    _check_names([column for column, _ in columns])
    location = settings.get("external_location", f"{job.folder}tables/{job.id}").rstrip("/") + "/"
    keys = [each.lower() for each in settings.get("partitioned_by", [])]
    if keys != [column.lower() for column, _ in columns[len(columns) - len(keys) :]]:
        raise LakeError(
            "INVALID_TABLE_PROPERTY",
            f"Partition keys must be the last columns in the table and in the same order as the table properties: [{', '.join(keys)}]",
        )
    if files_below(job.stand_in, location):
        raise LakeError(
            "HIVE_PATH_ALREADY_EXISTS",
            f"Target directory for table '{database}.{name}' already exists: {location}. You may need to manually clean the data at location '{location}' before retrying. Athena will not delete data in your account.",
        )
    written = [] if settings.get("no_data") else write_files(job, sql, columns, location, len(keys))
    described = [{"Name": column.lower(), "Type": _hive_type(column, kind)} for column, kind in columns]
    storage = {"Columns": described[: len(columns) - len(keys)], "Location": location, **PARQUET}
    table = {
        "Name": name,
        "TableType": "EXTERNAL_TABLE",
        "Parameters": {"EXTERNAL": "TRUE", "has_encrypted_data": "false"},
        "StorageDescriptor": storage,
        "PartitionKeys": described[len(columns) - len(keys) :],
    }
    client(job.stand_in, "glue").create_table(DatabaseName=database, TableInput=table)
    _register(job, database, name, storage, written)
    job.manifest = [address for _, address in written]


def insert(job: Job) -> None:
    """Add a query's rows to a table as one more file for each partition."""
    tree = trino_sql.parse(job.sql)
    schema = tree.this
    target = schema.this if isinstance(schema, exp.Schema) else schema
    database, name = target.db.lower() or job.database.lower(), target.name.lower()
    table = lake_table(job.stand_in, database, name)
    if table is None:
        raise LakeError(
            "TABLE_NOT_FOUND", f"{trino_sql.position(target.this)}: Table '{CATALOG}.{database}.{name}' does not exist"
        )
    sql, columns = job.query(tree.expression)
    wanted = [each.name.lower() for each in schema.expressions] if isinstance(schema, exp.Schema) else list(table.types)
    if len(wanted) != len(columns) or not set(wanted) <= set(table.types):
        raise LakeError(
            "TYPE_MISMATCH",
            f"line 1:1: Insert query has {len(columns)} expression(s) but expected {len(table.types)} target column(s). Mismatch at column {min(len(wanted), len(columns)) + 1}",
        )
    values = {column: f"c{place}" for place, column in enumerate(wanted)}
    casts = ", ".join(
        f"CAST({quote(values[c]) if c in values else 'NULL'} AS {duckdb_type(kind)}) AS {quote(f'c{n}')}"
        for n, (c, kind) in enumerate(table.types.items())
    )
    location = table.described["StorageDescriptor"]["Location"].rstrip("/") + "/"
    typed = [(column, duckdb_type(kind)) for column, kind in table.types.items()]
    written = write_files(job, f"SELECT {casts} FROM ({sql})", typed, location, len(table.partition_keys))
    _register(job, database, name, table.described["StorageDescriptor"], written, known=table)
    job.manifest = [address for _, address in written]


def unload(job: Job) -> None:
    """Write a query's rows as Parquet to an empty place."""
    found = UNLOAD.fullmatch(job.sql.strip())
    if not found:
        raise LakeError("SYNTAX_ERROR", "line 1:1: UNLOAD takes (query) TO 's3://…/' WITH (format = 'PARQUET')")
    settings = {
        name.lower(): value.strip("'")
        for name, value in re.findall(r"(\w+)\s*=\s*('[^']*'|\w+)", found["settings"] or "")
    }
    _expect_parquet(settings)
    location = found["location"].rstrip("/") + "/"
    if files_below(job.stand_in, location):
        raise LakeError(
            "HIVE_PATH_ALREADY_EXISTS",
            f"Target directory already exists: {location}. You may need to manually clean the data at location '{location}' before retrying. Athena will not delete data in your account.",
        )
    job.sql = found["query"]
    sql, columns = job.query(trino_sql.parse(found["query"]))
    job.manifest = [address for _, address in write_files(job, sql, columns, location, 0)]


def write_files(
    job: Job, sql: str, columns: list[tuple[str, str]], location: str, keys: int
) -> list[tuple[list[str], str]]:
    """Write the rows of a query (c0, c1, …) as Parquet below a location; the partition values and address of each file."""
    names = [name.lower() for name, _ in columns]
    selected = ", ".join(f"{quote(f'c{place}')} AS {quote(name)}" for place, name in enumerate(names))
    target, parted = (
        job.scratch / "written",
        f", PARTITION_BY ({', '.join(map(quote, names[len(names) - keys :]))})" if keys else "",
    )
    target.mkdir()
    place = target if keys else target / "rows.parquet"
    job.update_count = job.connection.execute(
        f"COPY (SELECT {selected} FROM ({sql})) TO {literal(str(place))} (FORMAT parquet{parted})"
    ).fetchall()[0][0]
    bucket, _, prefix = location.removeprefix("s3://").partition("/")
    written: list[tuple[list[str], str]] = []
    for number, file in enumerate(sorted(target.rglob("*.parquet")) if job.update_count else []):
        folder = file.relative_to(target).parent
        key = f"{prefix}{folder}/".replace("./", "") + f"{job.id.replace('-', '')}_{number:05}.parquet"
        job.stand_in.objects.put_file(bucket, key, file)
        written.append(
            ([urllib.parse.unquote(part.partition("=")[2]) for part in folder.parts], f"s3://{bucket}/{key}")
        )
    shutil.rmtree(target)
    return written


def _register(
    job: Job,
    database: str,
    name: str,
    storage: dict[str, Any],
    written: list[tuple[list[str], str]],
    known: LakeTable | None = None,
) -> None:
    """Catalogue the partitions that were written and are not there yet."""
    have = {tuple(values) for values, _ in known.parts} if known else set()
    for values, address in written:
        if values and tuple(values) not in have:
            have.add(tuple(values))
            described = {
                "Values": values,
                "StorageDescriptor": {**storage, "Location": address.rpartition("/")[0] + "/"},
            }
            client(job.stand_in, "glue").create_partition(
                DatabaseName=database, TableName=name, PartitionInput=described
            )


def lake_table_exists(stand_in: StandIn, database: str, name: str) -> bool:
    """Whether the catalog has a table; raises LakeError when it has no such database."""
    glue = client(stand_in, "glue")
    try:
        glue.get_database(Name=database)
    except glue.exceptions.EntityNotFoundException as absent:
        raise LakeError("SCHEMA_NOT_FOUND", f"line 1:1: Schema '{database}' does not exist") from absent
    try:
        glue.get_table(DatabaseName=database, Name=name)
    except glue.exceptions.EntityNotFoundException:
        return False
    return True


def failure(error: duckdb.Error) -> str:
    """DuckDB's error in Trino's words."""
    text = str(error).split("\n\nLINE")[0].split("\nLINE")[0]
    kind, _, rest = text.partition(": ")
    if named := re.search(r"[A-Z_]+: .*", rest) if kind == "Invalid Input Error" else None:
        return named[0]
    if "must appear in the GROUP BY" in text:
        column = re.search(r'column "(.*?)"', text)
        return f"EXPRESSION_NOT_AGGREGATE: line 1:1: '{column[1] if column else '?'}' must be an aggregate expression or appear in GROUP BY clause"
    codes = {
        "Conversion Error": "INVALID_CAST_ARGUMENT",
        "Out of Range Error": "NUMERIC_VALUE_OUT_OF_RANGE",
        "Binder Error": "SYNTAX_ERROR: line 1:1",
        "Parser Error": "SYNTAX_ERROR: line 1:1",
        "Catalog Error": "FUNCTION_NOT_FOUND: line 1:1",
    }
    if isinstance(error, duckdb.IOException | duckdb.InvalidInputException) and ".parquet" in text.lower():
        return f"HIVE_CURSOR_ERROR: {rest}"
    return f"{codes.get(kind, 'GENERIC_INTERNAL_ERROR')}: {rest}"


def _settings(properties: exp.Properties | None) -> dict[str, Any]:
    """What WITH (…) of a CREATE TABLE AS says."""
    found: dict[str, Any] = {}
    for each in properties.expressions if properties else []:
        if isinstance(each, exp.FileFormatProperty):
            found["format"] = each.this.name
        elif isinstance(each, exp.PartitionedByProperty):
            found["partitioned_by"] = [one.name for one in each.this.expressions]
        elif isinstance(each, exp.WithDataProperty):
            found["no_data"] = bool(each.args.get("no"))
        elif isinstance(each, exp.Property) and each.this is not None:
            found[each.this.name.lower()] = (
                each.args["value"].name if isinstance(each.args.get("value"), exp.Literal) else each.args.get("value")
            )
    return found


def _expect_parquet(settings: dict[str, Any]) -> None:
    known = {
        "format",
        "external_location",
        "partitioned_by",
        "no_data",
        "write_compression",
        "parquet_compression",
        "compression",
    }
    if others := sorted(set(settings) - known):
        raise LakeError("NOT_SUPPORTED", f"local_aws does not do the property {', '.join(others)}")
    if str(settings.get("format", "PARQUET")).upper() != "PARQUET":
        raise LakeError("NOT_SUPPORTED", f"local_aws writes PARQUET only, not {settings['format']}")


def _check_names(names: list[str]) -> None:
    for place, name in enumerate(names):
        if re.fullmatch(r"_col\d+", name):
            raise LakeError("MISSING_COLUMN_NAME", f"line 1:1: Column name not specified at position {place + 1}")
        if name.lower() in [each.lower() for each in names[:place]]:
            raise LakeError("DUPLICATE_COLUMN_NAME", f"line 1:1: Column name '{name}' specified more than once")


def _hive_type(column: str, kind: str) -> str:
    if kind == '"NULL"':
        raise LakeError("COLUMN_TYPE_UNKNOWN", f"line 1:1: Column type is unknown: {column}")
    if kind == "TIMESTAMP WITH TIME ZONE":
        raise LakeError(
            "NOT_SUPPORTED",
            "Unsupported Hive type: timestamp(3) with time zone. Supported VARCHAR types: VARCHAR(<=65535), VARCHAR.",
        )
    return exp.DataType.build(kind, dialect="duckdb").sql("hive").lower().replace(", ", ",").replace(": ", ":")
