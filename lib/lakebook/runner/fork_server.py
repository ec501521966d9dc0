"""The process that kernels are forked from: it imports everything once, while the command prepares
its run.
"""

from __future__ import annotations

import multiprocessing
import os
from multiprocessing import forkserver
from pathlib import Path
from typing import TYPE_CHECKING

import lakebook

if TYPE_CHECKING:
    from multiprocessing.context import ForkServerContext

IMPORTED = ["ipykernel.kernelapp", "matplotlib.pyplot", "awswrangler"]
PACKAGE = Path(lakebook.__file__).parent
IMPORTED += [
    ".".join(("lakebook", *each.relative_to(PACKAGE).with_suffix("").parts))
    for each in sorted(PACKAGE.rglob("*.py"))
    # what runs inside AWS needs Spark
    if each.stem not in ("__main__", "__init__") and each.parent.name != "jobs"
]


def started() -> ForkServerContext:
    """What makes processes as its forks; the process is started where it is not running yet."""
    # read when it is imported
    os.environ.setdefault("MPLBACKEND", "module://matplotlib_inline.backend_inline")
    forks = multiprocessing.get_context("forkserver")
    forks.set_forkserver_preload(IMPORTED)
    forkserver.ensure_running()
    return forks
