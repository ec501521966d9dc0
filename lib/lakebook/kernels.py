"""Kernels for papermill: the next phase's starts and imports while this one runs, and a signal interrupts the cell that runs."""

from __future__ import annotations

import ast
import contextlib
import json
import os
import signal
import tempfile
from typing import TYPE_CHECKING, Any, Self

from jupyter_client.manager import AsyncKernelManager
from jupyter_core.utils import run_sync

if TYPE_CHECKING:
    from pathlib import Path

GRACE_SECONDS = 5  # an interrupted cell has this long to end by itself
WARM_UP = "import contextlib\nfor line in {imports!r}:\n with contextlib.suppress(Exception): exec(line, {{}})"


class Kernels(contextlib.AbstractContextManager["Kernels"]):
    """Starts kernels and leaves none behind; within the block Ctrl-C and SIGTERM go to the cell that runs.

    The cell then fails with KeyboardInterrupt and its copy is saved as any failed one. Where no cell runs, where it does
    not end within GRACE_SECONDS, and at a second signal, KeyboardInterrupt is raised here.
    """

    def __init__(self) -> None:
        self.interrupted = False
        self.running: Any = None  # the kernel whose cell runs now
        self._seconds_of_grace = GRACE_SECONDS
        self._resources = contextlib.ExitStack()

    def __enter__(self) -> Self:
        self._sockets = self._resources.enter_context(
            tempfile.TemporaryDirectory(prefix="lakebook-", ignore_cleanup_errors=True)
        )
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGALRM):
            self._resources.callback(signal.signal, number, signal.signal(number, self._on_signal))
        return self

    def __exit__(self, *_: object) -> None:
        signal.alarm(0)
        self._resources.close()

    def start(self, notebook: Path) -> Any:
        """A kernel that is starting, and importing what the notebook imports; its manager is for papermill's `km`."""
        place = tempfile.mkdtemp(dir=self._sockets)  # short: the path of a Unix socket has at most 107 bytes
        # Unix sockets: no port of the machine is opened, and nobody else can listen
        manager = AsyncKernelManager(kernel_name="python3", transport="ipc", connection_file=f"{place}/kernel.json")
        warm_up = WARM_UP.format(imports=_imports(notebook))
        run_sync(manager.start_kernel)(
            extra_arguments=["--HistoryManager.hist_file=:memory:", f"--IPKernelApp.exec_lines=exec({warm_up!r}, {{}})"]
        )
        self._resources.callback(self.stop, manager)
        return manager

    def stop(self, manager: Any) -> None:
        """End a kernel at once; harmless when it has ended."""
        run_sync(manager.shutdown_kernel)(now=True)

    def watch(self, manager: Any) -> dict[str, Any]:
        """The arguments for papermill that run a notebook in this kernel and tell us when a cell runs."""

        def begins(**_: Any) -> None:
            if self.interrupted:
                raise KeyboardInterrupt
            self.running = manager

        def ends(**_: Any) -> None:
            self.running = None

        return {"kernel_name": "python3", "km": manager, "on_cell_execute": begins, "on_cell_executed": ends}

    def _on_signal(self, number: int, _frame: object) -> None:
        alarm, again = number == signal.SIGALRM, self.interrupted
        self.interrupted = True
        self._seconds_of_grace -= alarm
        if not self.running or (again and not alarm) or not self._seconds_of_grace:
            raise KeyboardInterrupt
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.running.provisioner.pid, signal.SIGINT)
        signal.alarm(1)  # and again, as a kernel between two cells ignores it


def _imports(notebook: Path) -> list[str]:
    """The import statements of a notebook, to be made ahead; a cell with IPython's own syntax has none for us."""
    found = []
    for cell in json.loads(notebook.read_text(encoding="utf-8"))["cells"]:
        if cell["cell_type"] == "code":
            with contextlib.suppress(SyntaxError):
                body = ast.parse("".join(cell["source"])).body
                found += [ast.unparse(each) for each in body if isinstance(each, ast.Import | ast.ImportFrom)]
    return found
