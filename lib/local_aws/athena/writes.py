"""Athena's statements that write Parquet: CREATE TABLE AS, INSERT INTO and UNLOAD."""

from __future__ import annotations

import re
import shutil
import urllib.parse
from typing import TYPE_CHECKING, Any

from sqlglot import exp

from local_aws.athena import trino_sql
from local_aws.athena.queries import CATALOG, Job
from local_aws.duckdb_sql import literal, quote
from local_aws.engines.lake_tables import LakeError, LakeTable, duckdb_type, files_below, lake_table

if TYPE_CHECKING:
    from local_aws.stand_in import StandIn


PARQUET = {
    "InputFormat": "org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat",
    "OutputFormat": "org.apache.hadoop.hive.ql.io.parquet.MapredParquetOutputFormat",
    "SerdeInfo": {
        "SerializationLibrary": "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe"
    },
}
UNLOAD = re.compile(
    r"UNLOAD\s*\((?P<query>.*)\)\s*TO\s*'(?P<location>[^']+)'\s*(WITH\s*\((?P<settings>.*)\))?\s*;?\s*",
    re.IGNORECASE | re.DOTALL,
)


def create_table_as(job: Job) -> None:
    """Write a query's rows as Parquet and catalogue them as a new table."""
    tree = trino_sql.parse(job.sql)
    target, settings = tree.this, _settings(tree.args.get("properties"))
    database, name = target.db.lower() or job.database.lower(), target.name.lower()
    if job.enforced and "external_location" in settings:
        raise LakeError(
            "INVALID_TABLE_PROPERTY",
            "The Create Table As Select query failed because it was submitted with an"
            " 'external_location' property to an Athena Workgroup that enforces a centralized"
            " output location for all queries. Please remove the 'external_location' property and"
            " resubmit the query.",
        )
    if lake_table_exists(job.stand_in, database, name):
        raise LakeError(
            "TABLE_ALREADY_EXISTS",
            f"line 1:1: Destination table '{CATALOG}.{database}.{name}' already exists",
        )
    _expect_parquet(settings)
    sql, columns = job.query(tree.expression)
    _check_names([column for column, _ in columns])
    location = settings.get("external_location", f"{job.folder}tables/{job.id}").rstrip("/") + "/"
    keys = [each.lower() for each in settings.get("partitioned_by", [])]
    if keys != [column.lower() for column, _ in columns[len(columns) - len(keys) :]]:
        raise LakeError(
            "INVALID_TABLE_PROPERTY",
            "Partition keys must be the last columns in the table and in the same order as the"
            f" table properties: [{', '.join(keys)}]",
        )
    job.stand_in.lake.may_create(job.stand_in.acting, database, location)
    if files_below(job.stand_in, location):
        raise LakeError(
            "HIVE_PATH_ALREADY_EXISTS",
            f"Target directory for table '{database}.{name}' already exists: {location}. You may"
            f" need to manually clean the data at location '{location}' before retrying. Athena"
            " will not delete data in your account.",
        )
    written = (
        []
        if settings.get("no_data")
        else write_files(job, sql, columns, location, len(keys), vended=True)
    )
    described = [
        {"Name": column.lower(), "Type": _hive_type(column, kind)} for column, kind in columns
    ]
    storage = {"Columns": described[: len(columns) - len(keys)], "Location": location, **PARQUET}
    table = {
        "Name": name,
        "TableType": "EXTERNAL_TABLE",
        "Parameters": {"EXTERNAL": "TRUE", "has_encrypted_data": "false"},
        "StorageDescriptor": storage,
        "PartitionKeys": described[len(columns) - len(keys) :],
    }
    job.stand_in.client("glue").create_table(DatabaseName=database, TableInput=table)
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
            "TABLE_NOT_FOUND",
            f"{trino_sql.position(target.this)}: Table '{CATALOG}.{database}.{name}' does not"
            " exist",
        )
    job.stand_in.lake.may_write(job.stand_in.acting, database, name)
    sql, columns = job.query(tree.expression)
    wanted = (
        [each.name.lower() for each in schema.expressions]
        if isinstance(schema, exp.Schema)
        else list(table.types)
    )
    if len(wanted) != len(columns) or not set(wanted) <= set(table.types):
        raise LakeError(
            "TYPE_MISMATCH",
            f"line 1:1: Insert query has {len(columns)} expression(s) but expected"
            f" {len(table.types)} target column(s). Mismatch at column"
            f" {min(len(wanted), len(columns)) + 1}",
        )
    values = {column: f"c{place}" for place, column in enumerate(wanted)}
    casts = ", ".join(
        f"CAST({quote(values[c]) if c in values else 'NULL'} AS {duckdb_type(kind)}) AS"
        f" {quote(f'c{n}')}"
        for n, (c, kind) in enumerate(table.types.items())
    )
    location = table.described["StorageDescriptor"]["Location"].rstrip("/") + "/"
    typed = [(column, duckdb_type(kind)) for column, kind in table.types.items()]
    written = write_files(
        job, f"SELECT {casts} FROM ({sql})", typed, location, len(table.partition_keys), vended=True
    )
    _register(job, database, name, table.described["StorageDescriptor"], written, known=table)
    job.manifest = [address for _, address in written]


def unload(job: Job) -> None:
    """Write a query's rows as Parquet to an empty place."""
    found = UNLOAD.fullmatch(job.sql.strip())
    if not found:
        raise LakeError(
            "SYNTAX_ERROR", "line 1:1: UNLOAD takes (query) TO 's3://…/' WITH (format = 'PARQUET')"
        )
    settings = {
        name.lower(): value.strip("'")
        for name, value in re.findall(r"(\w+)\s*=\s*('[^']*'|\w+)", found["settings"] or "")
    }
    _expect_parquet(settings)
    location = found["location"].rstrip("/") + "/"
    if files_below(job.stand_in, location):
        raise LakeError(
            "HIVE_PATH_ALREADY_EXISTS",
            f"Target directory already exists: {location}. You may need to manually clean the data"
            f" at location '{location}' before retrying. Athena will not delete data in your"
            " account.",
        )
    job.sql = found["query"]
    sql, columns = job.query(trino_sql.parse(found["query"]))
    job.manifest = [address for _, address in write_files(job, sql, columns, location, 0)]


def write_files(
    job: Job,
    sql: str,
    columns: list[tuple[str, str]],
    location: str,
    keys: int,
    *,
    vended: bool = False,
) -> list[tuple[list[str], str]]:
    """Write the rows of a query (c0, c1, …) as Parquet below a location; the partition values and
    address of each file.
    """
    names = [name.lower() for name, _ in columns]
    selected = ", ".join(
        f"{quote(f'c{place}')} AS {quote(name)}" for place, name in enumerate(names)
    )
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
        key = (
            f"{prefix}{folder}/".replace("./", "")
            + f"{job.id.replace('-', '')}_{number:05}.parquet"
        )
        job.stand_in.objects.put_file(bucket, key, file, vended=vended)
        written.append(
            (
                [urllib.parse.unquote(part.partition("=")[2]) for part in folder.parts],
                f"s3://{bucket}/{key}",
            )
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
            job.stand_in.client("glue").create_partition(
                DatabaseName=database, TableName=name, PartitionInput=described
            )


def lake_table_exists(stand_in: StandIn, database: str, name: str) -> bool:
    """Whether the catalog has a table; raises LakeError when it has no such database."""
    glue = stand_in.client("glue")
    try:
        glue.get_database(Name=database)
    except glue.exceptions.EntityNotFoundException as absent:
        raise LakeError(
            "SCHEMA_NOT_FOUND", f"line 1:1: Schema '{database}' does not exist"
        ) from absent
    try:
        glue.get_table(DatabaseName=database, Name=name)
    except glue.exceptions.EntityNotFoundException:
        return False
    return True


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
                each.args["value"].name
                if isinstance(each.args.get("value"), exp.Literal)
                else each.args.get("value")
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
            raise LakeError(
                "MISSING_COLUMN_NAME",
                f"line 1:1: Column name not specified at position {place + 1}",
            )
        if name.lower() in [each.lower() for each in names[:place]]:
            raise LakeError(
                "DUPLICATE_COLUMN_NAME", f"line 1:1: Column name '{name}' specified more than once"
            )


def _hive_type(column: str, kind: str) -> str:
    if kind == '"NULL"':
        raise LakeError("COLUMN_TYPE_UNKNOWN", f"line 1:1: Column type is unknown: {column}")
    if kind == "TIMESTAMP WITH TIME ZONE":
        raise LakeError(
            "NOT_SUPPORTED",
            "Unsupported Hive type: timestamp(3) with time zone. Supported VARCHAR types:"
            " VARCHAR(<=65535), VARCHAR.",
        )
    return (
        exp.DataType.build(kind, dialect="duckdb")
        .sql("hive")
        .lower()
        .replace(", ", ",")
        .replace(": ", ":")
    )
