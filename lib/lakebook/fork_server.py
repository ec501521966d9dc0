"""The process that kernels are forked from: it imports everything once, while the command prepares
its run.
"""

from __future__ import annotations

import multiprocessing
import os
import pkgutil
from multiprocessing import forkserver
from typing import TYPE_CHECKING

import lakebook

if TYPE_CHECKING:
    from multiprocessing.context import ForkServerContext

IMPORTED = ["ipykernel.kernelapp", "matplotlib.pyplot", "awswrangler"]
IMPORTED += [
    f"lakebook.{each.name}"
    for each in pkgutil.iter_modules(lakebook.__path__)
    if each.name != "__main__"
]


def started() -> ForkServerContext:
    """What makes processes as its forks; the process is started where it is not running yet."""
    # read when it is imported
    os.environ.setdefault("MPLBACKEND", "module://matplotlib_inline.backend_inline")
    forks = multiprocessing.get_context("forkserver")
    forks.set_forkserver_preload(IMPORTED)
    forkserver.ensure_running()
    return forks
