"""Full load of TPC-H by the stand-in's DMS, against a bare DuckDB copy and dlt's two fastest
backends, interleaved.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import psycopg

from bench.process_tree import Cost, Watch, cost_of
from bench.stand_in import StandInProcess
from bench.tpch import BENCH_BIN, TABLES
from lakebook import Names, ensure
from lakebook.people import personas
from lakebook.services import dms, ec2, kms, security_groups, storage, vpc
from lakebook.services.dms_table_mapping import table_mapping
from lakebook.source.engines import connect_source
from local_aws.names import SOURCE_SECRET

if TYPE_CHECKING:
    from lakebook.ensure import Resource
    from local_aws.engines.postgresql import Server

ROUNDS = 3
NAMES = Names("acme", "bench", "123456789012", "eu-west-1")
BARE = """
import sys, duckdb, importlib.util, pathlib
url, target, tables = sys.argv[1], pathlib.Path(sys.argv[2]), sys.argv[3:]
package = pathlib.Path(importlib.util.find_spec("duckdb_extension_postgres_scanner").origin).parent
[extension] = package.rglob("postgres_scanner.duckdb_extension")
connection = duckdb.connect()
connection.execute(f"load '{extension}'")
connection.execute(f"attach '{url}' as pg (type postgres, read_only)")
for table in tables:
    connection.execute(f"copy pg.public.{table} to '{target / table}.parquet' (format parquet)")
"""
DLT = """
import sys, dlt
from dlt.destinations import filesystem
from dlt.sources.sql_database import sql_table
url, target, backend, tables = sys.argv[1], sys.argv[2], sys.argv[3], sys.argv[4:]
options = {"return_type": "arrow_stream"} if backend == "arrow_stream" else {}
pipeline = dlt.pipeline("bench", destination=filesystem("file://" + target), dataset_name="bench", pipelines_dir=target + "/state")
source = [sql_table(url, table=table, schema="public", backend="connectorx", backend_kwargs=options) for table in tables]
pipeline.run(source, loader_file_format="parquet", write_disposition="replace")
"""


def compare(server: Server, scratch: Path) -> list[dict[str, object]]:
    """One row per contestant: rows/s, CPU seconds, peak MiB; medians of the rounds."""
    url, tables = server.url(database="tpch"), list(TABLES)
    with psycopg.connect(url) as connection:
        rows = sum(
            connection.execute(f"select count(*) from {each}").fetchone()[0] for each in tables
        )
    contestants = {
        "local_aws DMS": lambda target: _ours(url, target),
        "bare DuckDB copy": lambda target: cost_of(
            [sys.executable, "-c", BARE, url, str(target), *tables]
        ),
        "dlt, connectorx": lambda target: _dlt(url, target, "default", tables),
        "dlt, connectorx arrow_stream": lambda target: _dlt(url, target, "arrow_stream", tables),
    }
    costs: dict[str, list[Cost]] = {name: [] for name in contestants}
    for number in range(ROUNDS):
        for name, run in contestants.items():
            target = scratch / "full-load"
            target.mkdir()
            costs[name].append(run(target))
            shutil.rmtree(target)
            print(f"round {number + 1}  {name}: {costs[name][-1]}", flush=True)
    return [
        {
            "contestant": name,
            "rows/s": round(rows / median(each.wall_seconds for each in found)),
            "CPU seconds": round(median(each.cpu_seconds for each in found), 1),
            "peak MiB": round(median(each.peak_mib for each in found)),
        }
        for name, found in costs.items()
    ]


def _ours(url: str, target: Path) -> Cost:
    """The task's run alone, from StartReplicationTask to its end; memory is what the run adds to
    the idle stand-in.
    """
    with StandInProcess(target / "stand-in", url) as process:
        source = connect_source(SOURCE_SECRET)
        tables = source.tables(["public"])
        endpoint = source.dms_endpoint(NAMES.role_arn("dms-secret"), "none")
        place = ec2.Network(NAMES)
        ensure(_foundation(place), apply=True)
        mapping, subnet_ids = table_mapping(tables), place.ids()
        ensure(
            dms.replication(
                NAMES, endpoint, mapping, subnet_ids, "dms.t3.medium", 50, 63, 8, "none"
            ),
            apply=True,
        )
        with Watch(process.pid) as watch:
            ensure(
                [dms.full_load(NAMES.resource("full-load"), verified=False, timeout_seconds=600)],
                apply=True,
            )
        return Cost(watch.cost.wall_seconds, watch.cost.cpu_seconds, watch.added_mib)


def _foundation(place: ec2.Network) -> list[Resource]:
    """What of 02_foundation a full load needs."""
    return [
        *personas.bootstrap(NAMES, [], Path("policies/migration-operator.json")),
        *dms.roles(NAMES, SOURCE_SECRET),
        *kms.lake_key(NAMES, ["dms-s3"]),
        *storage.buckets(NAMES, {}),
        *vpc.network(place, "10.60.0.0/16", ""),
        *security_groups.groups(place, "", 5432),
    ]


def _dlt(url: str, target: Path, backend: str, tables: list[str]) -> Cost:
    environ = {
        "DLT_DATA_DIR": str(target),
        "RUNTIME__DLTHUB_TELEMETRY": "false",
        "RUNTIME__LOG_LEVEL": "ERROR",
        "PATH": "/usr/bin:/bin",
        "HOME": str(target),
    }
    return cost_of(
        [str(BENCH_BIN / "python"), "-c", DLT, url, str(target), backend, *tables], env=environ
    )
