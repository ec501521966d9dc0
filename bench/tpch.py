"""TPC-H in a PostgreSQL of the benchmark's own: lineitem and orders at scale 1 (or BENCH_SCALE)."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from local_aws.engines.postgresql import Server

SCALE = float(os.environ.get("BENCH_SCALE", "1"))
BENCH_BIN = Path(__file__).parents[1] / ".venv-bench" / "bin"
TABLES = {
    "orders": (
        """o_orderkey bigint, o_custkey bigint not null, o_orderstatus char(1) not null, o_totalprice numeric(15,2) not null,
        o_orderdate date not null, o_orderpriority varchar(15) not null, o_clerk varchar(15) not null, o_shippriority integer not null,
        o_comment varchar(79) not null"""
    ),
    "lineitem": (
        """l_orderkey bigint not null, l_partkey bigint not null, l_suppkey bigint not null, l_linenumber integer not null,
        l_quantity numeric(15,2) not null, l_extendedprice numeric(15,2) not null, l_discount numeric(15,2) not null,
        l_tax numeric(15,2) not null, l_returnflag char(1) not null, l_linestatus char(1) not null, l_shipdate date not null,
        l_commitdate date not null, l_receiptdate date not null, l_shipinstruct varchar(25) not null, l_shipmode varchar(10) not null,
        l_comment varchar(44) not null"""
    ),
}
KEYS = {"orders": "o_orderkey", "lineitem": "l_orderkey, l_linenumber"}


def load(server: Server, scratch: Path) -> None:
    """Make the database `tpch` with both tables, keyed and analyzed."""
    with server.connect() as connection:
        connection.autocommit = True
        connection.execute("create database tpch")
    for table, columns in TABLES.items():
        subprocess.run(
            [
                BENCH_BIN / "tpchgen-cli",
                "csv",
                "-s",
                str(SCALE),
                "--tables",
                table,
                "--output-dir",
                scratch,
            ],
            check=True,
            stdout=subprocess.DEVNULL,
        )
        with server.connect("tpch") as connection, (scratch / f"{table}.csv").open("rb") as data:
            connection.execute(f"create table {table} ({columns})")
            with connection.cursor().copy(f"copy {table} from stdin (format csv, header)") as copy:
                while block := data.read(1 << 20):
                    copy.write(block)
            connection.execute(f"alter table {table} add primary key ({KEYS[table]})")
            connection.commit()
            connection.autocommit = True
            connection.execute(f"vacuum analyze {table}")
        (scratch / f"{table}.csv").unlink()
