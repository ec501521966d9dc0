"""Kernels for papermill: forked from a process that has imported everything once, and a signal
interrupts the cell that runs.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, cast

from jupyter_client.manager import AsyncKernelManager
from jupyter_client.provisioning.local_provisioner import LocalProvisioner
from jupyter_core.utils import run_sync

from lakebook.runner import fork_server

if TYPE_CHECKING:
    from jupyter_client.connect import KernelConnectionInfo

GRACE_SECONDS = 5  # an interrupted cell has this long to end by itself


class Kernels(contextlib.AbstractContextManager["Kernels"]):
    """Starts kernels and leaves none behind; within the block Ctrl-C and SIGTERM go to the cell
    that runs.

    The cell then fails with KeyboardInterrupt and its copy is saved as any failed one. Where no
    cell runs, where it does not end within GRACE_SECONDS, and at a second signal, KeyboardInterrupt
    is raised here.
    """

    def __init__(self) -> None:
        self.interrupted = False
        self.running: set[Any] = set()  # the kernels whose cells run now
        self._seconds_of_grace = GRACE_SECONDS
        self._resources = contextlib.ExitStack()

    def __enter__(self) -> Self:
        self._forks = fork_server.started()
        self._sockets = self._resources.enter_context(
            tempfile.TemporaryDirectory(prefix="lakebook-", ignore_cleanup_errors=True)
        )
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGALRM):
            self._resources.callback(signal.signal, number, signal.signal(number, self._on_signal))
        return self

    def __exit__(self, *_: object) -> None:
        signal.alarm(0)
        self._resources.close()

    def start(self) -> Any:
        """A kernel that is starting; its manager is for papermill's `km`."""
        # short: the path of a Unix socket has at most 107 bytes
        place = tempfile.mkdtemp(dir=self._sockets)
        # Unix sockets: no port of the machine is opened, and nobody else can listen
        manager = AsyncKernelManager(
            kernel_name="python3", transport="ipc", connection_file=f"{place}/kernel.json"
        )
        manager.provisioner = Fork(
            kernel_id="", kernel_spec=manager.kernel_spec, parent=manager, context=self._forks
        )
        run_sync(manager.start_kernel)(extra_arguments=["--HistoryManager.hist_file=:memory:"])
        self._resources.callback(self.stop, manager)
        return manager

    def kill(self) -> None:
        """End all kernels that run a cell, so that whoever waits for them goes on."""
        for manager in list(self.running):
            with contextlib.suppress(ProcessLookupError):
                os.kill(manager.provisioner.pid, signal.SIGKILL)

    def stop(self, manager: Any) -> None:
        """End a kernel at once; harmless when it has ended."""
        run_sync(manager.shutdown_kernel)(now=True)

    def watch(self, manager: Any) -> dict[str, Any]:
        """The arguments for papermill that run a notebook in this kernel and tell us when a cell
        runs.
        """

        def begins(**_: Any) -> None:
            if self.interrupted:
                raise KeyboardInterrupt
            self.running.add(manager)

        def ends(**_: Any) -> None:
            self.running.discard(manager)

        return {
            "kernel_name": "python3",
            "km": manager,
            "on_cell_execute": begins,
            "on_cell_executed": ends,
        }

    def _on_signal(self, number: int, _frame: object) -> None:
        alarm, again = number == signal.SIGALRM, self.interrupted
        self.interrupted = True
        self._seconds_of_grace -= alarm
        if not self.running or (again and not alarm) or not self._seconds_of_grace:
            raise KeyboardInterrupt
        for manager in list(self.running):
            with contextlib.suppress(ProcessLookupError):
                os.kill(manager.provisioner.pid, signal.SIGINT)
        signal.alarm(1)  # and again, as a kernel between two cells ignores it


class Fork(LocalProvisioner):
    """A kernel as a fork of the process that `context` keeps for it."""

    def __init__(self, context: Any, **settings: Any) -> None:
        super().__init__(**settings)
        self._context = context

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> KernelConnectionInfo:
        """Start it; the connection's description."""
        arguments = cmd[cmd.index("-f") :]
        process = self._context.Process(
            target=_kernel, args=(arguments, str(Path.cwd()), dict(kwargs["env"]))
        )
        process.start()
        self.process: Any = Process(process)
        self.pid = self.pgid = process.pid
        return self.connection_info


class Process:
    """A process of multiprocessing as jupyter_client wants it: like subprocess.Popen."""

    stdin = stdout = stderr = None

    def __init__(self, process: Any) -> None:
        self._process, self.pid = process, process.pid
        self.kill, self.terminate = process.kill, process.terminate

    def poll(self) -> int | None:
        """The exit code, or None while it runs."""
        return cast("int | None", self._process.exitcode)

    def wait(self) -> int | None:
        """The exit code, when it has ended."""
        self._process.join()
        return self.poll()

    def send_signal(self, number: int) -> None:
        """Send it a signal, unless it has ended."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)


def _kernel(arguments: list[str], folder: str, environment: dict[str, str]) -> None:
    """Be a kernel until told to end, in a session of its own, so that Ctrl-C on the terminal goes
    to the command alone.
    """
    from ipykernel.kernelapp import IPKernelApp  # noqa: PLC0415 - only here, where it is imported already

    os.setsid()
    os.chdir(folder)
    os.environ.update(environment)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    IPKernelApp.launch_instance(argv=[*arguments, f"--IPKernelApp.parent_handle={os.getppid()}"])


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent:
        parent.join()
        os._exit(1)
