"""Convert raw Parquet files into curated snapshots: an AWS Glue 5.1 job, all tables of a manifest
in one run.

Arguments: `--manifest s3://….json`, what to convert; `--result s3://….json`, where to write what
was measured. Manifest:

    {"compression": "snappy", "tables": [{
        "name": "operations_flights",
        "files": ["s3://raw/operations/flights/LOAD00000001.parquet"],
        "location": "s3://curated/operations/flights/snapshot=1f2e/",
        "columns": [{"raw": "Flight ID", "name": "flight_id", "type": "bigint"}],
        "partition_by": [
            {"name": "departure_month", "column": "departure", "transform": "month"}]}]}

Files get the declared columns in the declared order and types; partition columns are in the path
alone. A file that is cut short or has another schema, a value that does not fit and a location that
is in use fail the whole job; nothing is turned into NULL. The result is written last: {"tables":
{name: {"rows", "bytes", "files", "partitions", "seconds"}}}, with rows and bytes as the written
files have them. A "snapshot" in the manifest is repeated in the result. With "on_failure":
"exclude" in the manifest a table that cannot be converted is {"error": …} in the result, and
stops no other.
"""

from __future__ import annotations

import json
import re
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from functools import reduce
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import boto3
import pyarrow
import pyarrow.parquet
from awsglue.utils import getResolvedOptions
from py4j.protocol import Py4JJavaError  # type: ignore[import-untyped] # has none
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812 - its usual name

if TYPE_CHECKING:
    from collections.abc import Callable

TABLES_AT_A_TIME = 4
FOOTERS_AT_A_TIME = 16
FOOTER_BYTES = 65_536  # enough for most; a longer one is read again
SETTINGS = {
    "spark.scheduler.mode": "FAIR",
    "spark.sql.caseSensitive": "true",
    "spark.sql.files.ignoreCorruptFiles": "false",
    "spark.sql.files.ignoreMissingFiles": "false",
    "spark.sql.files.maxRecordsPerFile": "10000000",
    # partitions written side by side need no sorting
    "spark.sql.maxConcurrentOutputFileWriters": "100",
    "spark.sql.parquet.datetimeRebaseModeInRead": "CORRECTED",
    "spark.sql.parquet.datetimeRebaseModeInWrite": "CORRECTED",
    "spark.sql.parquet.int96RebaseModeInRead": "CORRECTED",
    "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
    "spark.sql.session.timeZone": "UTC",
}
# S3A would take us-east-2, which ends in timeouts elsewhere:
# https://docs.aws.amazon.com/glue/latest/dg/migrating-version-51.html
S3A_REGION = "spark.hadoop.fs.s3a.endpoint.region"
INTEGERS = ("tinyint", "smallint", "int", "bigint")
# declared type -> types in the file that lose nothing (integers that do not fit fail when cast)
READABLE_AS = {
    "smallint": INTEGERS,
    "int": INTEGERS,
    "bigint": INTEGERS,
    "float": ("float",),
    "double": ("double",),
    "boolean": ("boolean", "string"),
    "string": ("string",),
    "binary": ("binary",),
    "date": ("date",),
    "timestamp": ("timestamp", "timestamp_ntz"),
}
# (physical type, logical type) -> Spark's; those with parameters are in `spark_type`
PARQUET_TYPES = {
    ("BOOLEAN", "NONE"): "boolean",
    ("INT32", "NONE"): "int",
    ("INT64", "NONE"): "bigint",
    ("INT96", "NONE"): "timestamp",
    ("FLOAT", "NONE"): "float",
    ("DOUBLE", "NONE"): "double",
    ("BYTE_ARRAY", "NONE"): "binary",
    ("BYTE_ARRAY", "STRING"): "string",
    ("INT32", "DATE"): "date",
}
PATTERNS = {"year": "yyyy", "month": "yyyy-MM", "day": "yyyy-MM-dd"}


class ConversionError(Exception):
    """One sentence: which table, file or column cannot be converted, and why."""


def main() -> None:
    """Run the job that the arguments describe."""
    options = getResolvedOptions(sys.argv, ["JOB_NAME", "manifest", "result"])
    manifest = json.loads(_object(options["manifest"]).get()["Body"].read())
    builder = SparkSession.builder
    for name, value in {**SETTINGS, S3A_REGION: _region(options["manifest"])}.items():
        builder = builder.config(name, value)
    spark = builder.getOrCreate()
    excluding = manifest.get("on_failure") == "exclude"
    tables = convert_all(
        Storage(spark), manifest["tables"], manifest["compression"], excluding=excluding
    )
    result = {
        **{name: manifest[name] for name in ("snapshot",) if name in manifest},
        "tables": tables,
    }
    _object(options["result"]).put(Body=json.dumps(result, indent=1).encode())


def convert_all(
    storage: Storage, tables: list[dict[str, Any]], compression: str, *, excluding: bool = False
) -> dict[str, Any]:
    """What was written, by table; every file and location is checked before anything is. Raises
    ConversionError, or when `excluding` has its sentence as the table's error.
    """
    errors: dict[str, str] = {}

    def tried(table: dict[str, Any], what: Callable[..., Any], *arguments: Any) -> Any:
        try:
            return what(*arguments)
        except ConversionError as error:
            if not excluding:
                raise
            errors.setdefault(table["name"], str(error))
            return None

    files = [(table, uri) for table in tables for uri in table["files"]]
    with ThreadPoolExecutor(FOOTERS_AT_A_TIME) as readers:
        list(readers.map(storage.check_is_empty, [table["location"] for table in tables]))
        found = list(readers.map(lambda each: tried(each[0], RawFile, storage, *each), files))
    sound = [table for table in tables if table["name"] not in errors]
    with ThreadPoolExecutor(TABLES_AT_A_TIME) as converters:
        pending = [
            converters.submit(
                tried,
                table,
                convert,
                storage,
                table,
                [file for file in found if file and file.table is table],
                compression,
            )
            for table in sound
        ]
        try:
            written = [each.result() for each in pending]
        except ConversionError:
            converters.shutdown(wait=False, cancel_futures=True)
            storage.spark.sparkContext.cancelAllJobs()
            raise
    outcomes = {table["name"]: each for table, each in zip(sound, written, strict=True)}
    return {
        name: {"error": errors[name]} if name in errors else outcomes[name]
        for name in (table["name"] for table in tables)
    }


class Storage:
    """Objects as Spark's own file system sees them: what it has just written, too."""

    def __init__(self, spark: SparkSession) -> None:
        self.spark = spark
        context: Any = spark.sparkContext
        self.hadoop = context._jvm.org.apache.hadoop.fs  # noqa: SLF001 - the only way to it
        self.configuration = context._jsc.hadoopConfiguration()  # noqa: SLF001

    def files(self, location: str) -> list[tuple[str, int]]:
        """URI and bytes of every object below a location, sorted."""
        path, system = self._open(location)
        found, listing = [], system.listFiles(path, True) if system.exists(path) else None
        while listing is not None and listing.hasNext():
            status = listing.next()
            found.append((status.getPath().toString(), status.getLen()))
        return sorted(found)

    def check_is_empty(self, location: str) -> None:
        """Raise ConversionError when there are objects below a location."""
        if self.files(location):
            raise ConversionError(
                f"{location} already holds objects; a snapshot needs a location of its own."
            )

    def size(self, uri: str) -> int:
        """The bytes of an object; raises ConversionError when there is none."""
        path, system = self._open(uri)
        if not system.exists(path):
            raise ConversionError(f"{uri} does not exist.")
        return int(system.getFileStatus(path).getLen())

    def footer(self, uri: str, size: int) -> Any:
        """The Parquet footer of a file as pyarrow's FileMetaData; raises ConversionError when it
        has none.
        """
        tail = self._tail(uri, size, FOOTER_BYTES)
        wanted = int.from_bytes(tail[-8:-4], "little") + 8
        if tail[-4:] != b"PAR1" or wanted > size:
            raise ConversionError(
                f"{uri} ({size} bytes) is cut short or no Parquet file: it does not end as one."
            )
        if wanted > len(tail):
            tail = self._tail(uri, size, wanted)
        try:
            return pyarrow.parquet.read_metadata(pyarrow.BufferReader(tail))
        except (pyarrow.ArrowException, OSError) as error:
            raise ConversionError(f"{uri} has no readable Parquet footer: {error}") from error

    def _tail(self, uri: str, size: int, length: int) -> bytes:
        path, system = self._open(uri)
        stream = system.open(path)
        try:
            stream.seek(max(0, size - length))
            return bytes(stream.readNBytes(length))
        finally:
            stream.close()

    def _open(self, uri: str) -> tuple[Any, Any]:
        path = self.hadoop.Path(uri)
        try:
            return path, path.getFileSystem(self.configuration)
        except Py4JJavaError as error:
            raise ConversionError(f"{uri} cannot be reached: {_reason(error)}") from error


class RawFile:
    """A raw file, checked against the columns its table declares; raises ConversionError when they
    do not fit.
    """

    def __init__(self, storage: Storage, table: dict[str, Any], uri: str) -> None:
        footer = storage.footer(uri, storage.size(uri))
        columns = [footer.schema.column(index) for index in range(len(footer.schema))]
        types = {each.path: spark_type(each) for each in columns}
        for column in table["columns"]:
            found, declared = types.get(column["raw"]), column["type"]
            if found is None:
                raise ConversionError(
                    f"{uri} has no column {column['raw']!r}; it has {', '.join(types)}."
                )
            if not can_become(found, declared):
                raise ConversionError(
                    f"{uri}: the column {column['raw']!r} is {found}, but {declared} was expected."
                )
        self.table, self.uri, self.rows, self.types = table, uri, footer.num_rows, types
        self.schema = ", ".join(
            f"{_quoted(column['raw'])} {types[column['raw']]}" for column in table["columns"]
        )


def spark_type(column: Any) -> str:
    """The Spark type of a column of a Parquet schema (pyarrow's ColumnSchema); what Spark cannot
    read keeps Parquet's name.
    """
    logical = json.loads(column.logical_type.to_json())
    kind = column.logical_type.type
    if kind == "DECIMAL":
        return f"decimal({column.precision},{column.scale})"
    if kind == "INT" and logical["isSigned"]:
        return {8: "tinyint", 16: "smallint", 32: "int", 64: "bigint"}[logical["bitWidth"]]
    if kind == "TIMESTAMP" and logical["timeUnit"] != "nanoseconds":
        return "timestamp" if logical["isAdjustedToUTC"] else "timestamp_ntz"
    return PARQUET_TYPES.get(
        (column.physical_type, kind), f"{column.physical_type} {kind} {logical}"
    )


def can_become(found: str, declared: str) -> bool:
    """Whether every value of a type either keeps all it says in the declared type or fails to be
    cast.
    """
    have, want = (re.fullmatch(r"decimal\((\d+),(\d+)\)", each) for each in (found, declared))
    if want:
        return have is not None and int(have[2]) <= int(want[2])
    return found in READABLE_AS.get(declared, ())


def convert(
    storage: Storage, table: dict[str, Any], raw: list[RawFile], compression: str
) -> dict[str, Any]:
    """Write one table's snapshot and return what its files hold; raises ConversionError."""
    started = time.monotonic()
    storage.spark.sparkContext.setLocalProperty("spark.scheduler.pool", table["name"])
    raw = [file for file in raw if file.rows]
    try:
        if raw:
            _write(storage.spark, table, raw, compression)
    except Exception as error:
        raise ConversionError(f"{table['name']} was not converted: {_reason(error)}") from error
    outcome = _measured(storage, table)
    if outcome["rows"] != (expected := sum(file.rows for file in raw)):
        raise ConversionError(
            f"{table['name']} has {outcome['rows']} rows in {table['location']}, but {expected} in"
            " its raw files."
        )
    outcome["seconds"] = round(time.monotonic() - started, 3)
    print(f"{table['name']}: {outcome['rows']} rows in {outcome['seconds']} s", flush=True)
    return outcome


def _write(
    spark: SparkSession, table: dict[str, Any], raw: list[RawFile], compression: str
) -> None:
    """Files of equal schema are read together; partitions are gathered so that each gets few
    files.
    """
    schemas = dict.fromkeys(file.schema for file in raw)
    frames = [
        _read(spark, table, [file for file in raw if file.schema == schema]) for schema in schemas
    ]
    names = [each["name"] for each in table["partition_by"]]
    derived = {each["name"]: _partition(each) for each in table["partition_by"]}
    frame = reduce(DataFrame.unionAll, frames).withColumns(derived)
    if names:
        frame = frame.repartition(*names)
    options = {
        "compression": compression,
        "mapreduce.fileoutputcommitter.marksuccessfuljobs": "false",
    }
    writer = frame.write.mode("append").options(**options)  # the location is known to be empty
    writer.partitionBy(*names).parquet(table["location"])


def _read(spark: SparkSession, table: dict[str, Any], files: list[RawFile]) -> DataFrame:
    names = [re.sub(r"([\\{}\[\]*?])", r"\\\1", file.uri) for file in files]  # names, not patterns
    columns = [
        _converted(files[0].types[each["raw"]], each).alias(each["name"])
        for each in table["columns"]
    ]
    return spark.read.schema(files[0].schema).parquet(*names).select(*columns)


def _converted(found: str, column: dict[str, str]) -> Column:
    """The column in its declared type; a value that does not fit fails the job.

    Not left to Spark's ANSI mode: a cast takes the mode from its thread's session, which other
    threads do not have.
    """
    raw = F.col(_quoted(column["raw"]))
    if found == column["type"]:
        return raw
    cast = F.expr(f"try_cast({_quoted(column['raw'])} AS {column['type']})")
    complaint = F.concat(
        F.lit(f"the column {column['raw']!r} holds "),
        raw.cast("string"),
        F.lit(f", which is no {column['type']}"),
    )
    return F.when(raw.isNotNull(), F.coalesce(cast, F.raise_error(complaint)))


def _partition(partition: dict[str, str]) -> Column:
    column = F.col(_quoted(partition["column"]))
    if partition["transform"] == "value":
        return column.cast("string")
    return F.date_format(column, PATTERNS[partition["transform"]])


def _measured(storage: Storage, table: dict[str, Any]) -> dict[str, Any]:
    """Rows and bytes of every file below the table's location, and its partitions."""
    location = table["location"]
    sizes = storage.files(location)
    files = [
        {"uri": uri, "bytes": size, "rows": storage.footer(uri, size).num_rows}
        for uri, size in sizes
    ]
    folders = (
        {uri.removeprefix(location).rpartition("/")[0] for uri, _ in sizes}
        if table["partition_by"]
        else set()
    )
    partitions = [
        {
            "values": [unquote(part.partition("=")[2]) for part in folder.split("/")],
            "location": f"{location}{folder}/",
        }
        for folder in sorted(folders)
    ]
    totals = {total: sum(each[total] for each in files) for total in ("rows", "bytes")}
    return {**totals, "files": files, "partitions": partitions}


def _quoted(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"


def _reason(error: Exception) -> str:
    """What the causes of a Spark error say, without stack traces and that some task failed."""
    said, cause = [str(error)], getattr(error, "java_exception", None)
    while cause is not None:
        said.append(str(cause.getMessage()))
        cause = cause.getCause()
    lines = [each.partition("\n")[0] for each in said[1:] or said]
    return (
        " ".join(
            each for each in lines if not each.startswith(("Job aborted", "[TASK_WRITE_FAILED]"))
        )
        or lines[-1]
    )


def _region(uri: str) -> str:
    """Where a bucket is; S3 names us-east-1 by nothing."""
    bucket = uri.removeprefix("s3://").partition("/")[0]
    found = boto3.client("s3").get_bucket_location(Bucket=bucket)["LocationConstraint"]
    return str(found or "us-east-1")


def _object(uri: str) -> Any:
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    return boto3.resource("s3").Object(bucket, key)


if __name__ == "__main__":
    main()
