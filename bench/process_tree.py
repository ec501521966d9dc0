"""What a process and all its children cost: wall and CPU seconds, peak memory of the whole tree."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Self

TICKS = os.sysconf("SC_CLK_TCK")


@dataclass
class Cost:
    """Wall and CPU seconds, and the most memory held at once (proportional set size, MiB)."""

    wall_seconds: float
    cpu_seconds: float
    peak_mib: float


class Watch:
    """Measures a running process tree from `with` to its end."""

    def __init__(self, pid: int) -> None:
        self.pid, self.cost, self._stop = pid, Cost(0, 0, 0), threading.Event()

    def __enter__(self) -> Self:
        self._start, self._cpu = time.monotonic(), cpu_seconds(self.pid)
        self._idle_mib = memory_mib(self.pid)
        self._sampler = threading.Thread(target=self._sample, daemon=True)
        self._sampler.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._sampler.join()
        self.cost.wall_seconds = time.monotonic() - self._start
        self.cost.cpu_seconds = cpu_seconds(self.pid) - self._cpu
        self.added_mib = self.cost.peak_mib - self._idle_mib

    def _sample(self) -> None:
        while not self._stop.wait(0.1):
            self.cost.peak_mib = max(self.cost.peak_mib, memory_mib(self.pid))


def cost_of(command: list[str], **options: object) -> Cost:
    """Run a command to its end and say what it cost; raises CalledProcessError when it fails."""
    start, before = time.monotonic(), os.times()
    process = subprocess.Popen(command, **options)  # type: ignore[call-overload]
    peak = 0.0
    while process.poll() is None:
        peak = max(peak, memory_mib(process.pid))
        time.sleep(0.1)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    after = os.times()
    cpu = (
        after.children_user + after.children_system - before.children_user - before.children_system
    )
    return Cost(time.monotonic() - start, cpu, peak)


def cpu_seconds(pid: int) -> float:
    """User and system time of a process and its living and reaped children."""
    total = 0.0
    for each in _tree(pid):
        try:
            fields = Path(f"/proc/{each}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        total += sum(int(value) for value in fields[11:15]) / TICKS
    return total


def memory_mib(pid: int) -> float:
    """Proportional set size of a process and its children."""
    total = 0
    for each in _tree(pid):
        try:
            lines = Path(f"/proc/{each}/smaps_rollup").read_text().splitlines()
        except OSError:
            continue
        total += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return total / 1024


def _tree(pid: int) -> list[int]:
    try:
        children = [
            int(each)
            for task in Path(f"/proc/{pid}/task").iterdir()
            for each in (task / "children").read_text().split()
        ]
    except OSError:
        return []
    return [pid, *(each for child in children for each in _tree(child))]
