"""Run every benchmark on databases of its own and write `bench/RESULTS.md`."""

from __future__ import annotations

import os
import platform
import tempfile
from pathlib import Path

import pandas as pd

from bench import full_load, notebooks, tpch
from local_aws import demo
from local_aws.engines.postgresql import Server

GOALS = """Goals: the full load has at least 1.5 times the rows/s of dlt's fastest backend, at most 1.3 times the CPU of the bare copy, and
stays under 300 MB; the notebooks take at most 1.5 times the bare engines; a second run at most 0.2 times the first.
"""


def main() -> None:
    """Measure, print and write."""
    with (
        tempfile.TemporaryDirectory(prefix="bench-") as scratch,
        Server(Path(scratch) / "postgresql") as server,
    ):
        demo.build(server)
        tpch.load(server, Path(scratch))
        loads = pd.DataFrame(full_load.compare(server, Path(scratch)))
        months = {
            "operations.flights": "month(scheduled_departure)",
            "customers.bookings": "month(booked_at)",
        }
        runs = pd.DataFrame(
            [
                notebooks.compare(
                    "demo",
                    server,
                    demo.DATABASE,
                    ["customers", "operations"],
                    months,
                    Path(scratch) / "demo",
                ),
                notebooks.compare(
                    f"TPC-H, scale {tpch.SCALE:g}",
                    server,
                    "tpch",
                    ["public"],
                    {"public.lineitem": "month(l_shipdate)"},
                    Path(scratch) / "tpch",
                ),
            ]
        )
        server.remove()
    machine = f"{os.cpu_count()} cores, Python {platform.python_version()}, {platform.system()}"
    text = (
        f"# Benchmarks\n\nOne run of `make bench` on {machine}.\n\n{GOALS}\n## Full load, TPC-H"
        f" lineitem and orders, scale {tpch.SCALE:g}\n\n"
    )
    text += f"{_table(_with_ratios(loads))}\n\n## All notebooks together\n\n{_table(runs)}\n"
    print(text)
    Path(__file__).with_name("RESULTS.md").write_text(text)


def _with_ratios(loads: pd.DataFrame) -> pd.DataFrame:
    ours = loads.iloc[0]
    return loads.assign(
        **{
            "our rows/s over its": (ours["rows/s"] / loads["rows/s"]).round(2),
            "our CPU over its": (ours["CPU seconds"] / loads["CPU seconds"]).round(2),
        }
    )


def _table(frame: pd.DataFrame) -> str:
    lines = [
        list(frame.columns),
        ["---"] * len(frame.columns),
        *frame.astype(str).to_numpy().tolist(),
    ]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


if __name__ == "__main__":
    main()
