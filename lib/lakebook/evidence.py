"""Cells that leave proof: facts with an expected value, and tables, kept in the executed copy for
people and programs.
"""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import pandas as pd
from IPython import get_ipython
from IPython.display import display

from lakebook.errors import CheckError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

# the MIME type under which an executed copy keeps what a program reads back
RECORD = "application/vnd.lakebook+json"

pd.set_option("display.max_colwidth", None)  # evidence is never cut
pd.set_option("display.max_rows", None)


def record(kind: str, **content: Any) -> None:
    """Keep a record in the executed copy: `kind` and its content as JSON, invisible to readers;
    `lakebook report` reads it.
    """
    if get_ipython() is None:
        return  # no notebook, no copy
    plain = json.loads(
        json.dumps({"kind": kind, "time": round(time.time(), 3), **content}, default=str)
    )
    display({RECORD: plain}, raw=True)  # type: ignore[no-untyped-call]


def check(fact: str, expected: Any, measure: Callable[[], Any], *, when: bool = True) -> None:
    """Measure a fact and compare it; prints `ok  fact: value`, records it, raises CheckError when
    it does not hold.

    `when` is False for what only an applied run can show: then nothing is measured.
    """
    if not when:
        print(f"--  {fact}: checked when applied", flush=True)
        return
    measured = measure()
    holds = bool(measured == expected)
    record("check", fact=fact, expected=expected, measured=measured, ok=holds)
    if not holds:
        raise CheckError(f"{fact}: expected {expected!r}, found {measured!r}")
    print(f"ok  {fact}: {measured!r}", flush=True)


def table(rows: pd.DataFrame | Iterable[dict[str, Any]], name: str = "") -> pd.DataFrame:
    """Show rows as a table and record them under a name; returns the frame so that a cell may end
    with it.
    """
    frame = rows if isinstance(rows, pd.DataFrame) else pd.DataFrame(list(rows))
    if name:
        record(
            "table",
            name=name,
            rows=json.loads(
                frame.to_json(orient="records", date_format="iso", default_handler=str)
            ),
        )
    return frame


def result(name: str, value: str) -> None:
    """Say what a run is worth to people, such as a model's score; the run repeats it at its end,
    and its report shows it.
    """
    record("result", name=name, value=value)
    print(f"{name}: {value}", flush=True)
