"""A run: the phases in order through papermill, with everything about them kept in one folder below
outputs/.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import logging
import os
import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lakebook import errors, sources
from lakebook.errors import ParametersError
from lakebook.runner import evidence_pack, report
from lakebook.runner.kernels import Kernels
from lakebook.runner.parameters import declared
from lakebook.runner.run import FAILED, INTERRUPTED, PENDING, RUN, RUNNING, SUCCEEDED, PhaseRun, Run

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lakebook.runner.phases import Phase

VERSIONS = (
    "lakebook",
    "boto3",
    "botocore",
    "awswrangler",
    "pandas",
    "papermill",
    "nbclient",
    "ipykernel",
)
AT_ONCE = 3  # sources; each has a kernel of its own
AWS_ERROR = re.compile(
    r"An error occurred \((.+?)\) when calling the (\w+) operation(?: \(.*?\))?: (.*)", re.DOTALL
)


def new(
    mode: str,
    file: str,
    parameters: dict[str, Any],
    environment: str,
    connection: dict[str, str],
    phases: list[Phase],
) -> Run:
    """A run that has not begun, with its folder made; started from the project's folder."""
    if not re.fullmatch(r"[A-Za-z0-9][\w-]*", environment):
        raise ParametersError(
            f"environment is part of folder and resource names: {environment!r} will not do."
        )
    place = Path("outputs", environment)
    while any(place.glob(f"{(second := time.strftime('%Y%m%dT%H%M%SZ', time.gmtime()))}-*")):
        time.sleep(0.1)  # another run has this second: `latest` tells runs by it
    folder = place / f"{second}-{mode}"
    folder.mkdir(parents=True)
    commit, changes = _commit()
    planned = [
        PhaseRun(each.number, each.name, each.title, each.notebook, source=each.source)
        for each in phases
    ]
    versions = {"python": sys.version.split()[0]} | {name: version(name) for name in VERSIONS}
    return Run(
        folder.name,
        mode,
        environment,
        file,
        parameters,
        connection,
        commit,
        changes,
        versions,
        planned,
        folder=folder,
    )


def execute(run: Run) -> None:
    """Run the phases that have not succeeded, one after the other, up to the first that fails; the
    run's status says how it went.

    A phase that serves a source runs for all sources side by side, and the phases after it run as
    long as one source is left.
    """
    with _alone(run.folder):
        _execute(run)


def resume(run: Run, connection: dict[str, str]) -> None:
    """The same for a run that stopped; the copy of the phase that stopped it is kept under another
    name. Phases over the whole lake that came after one of a source that failed run again.

    Raises ParametersError when it is still running elsewhere, or when the copies of earlier phases
    are not as they were sealed.
    """
    with _alone(run.folder):
        done = [each.copy for each in run.phases if each.status == SUCCEEDED]
        if done and (changed := evidence_pack.problems(run.folder, done)):
            raise ParametersError(
                f"This run cannot go on, as its evidence is not whole: {' '.join(changed)}"
            )
        for each in _after_sources_that_failed(run):
            each.status = PENDING
        for each in run.phases:
            copy = run.folder / each.copy
            if each.status != SUCCEEDED and copy.exists():
                copy.rename(copy.with_name(f"{copy.stem}.attempt-{each.attempts}.ipynb"))
            if each.status != SUCCEEDED:
                each.status = PENDING
        commit, changes = _commit()
        now = evidence_pack.utc(time.time())
        run.resumed.append(
            {
                "time": now,
                "commit": commit,
                "uncommitted_changes": changes,
                "connection": connection,
            }
        )
        _execute(run)


def _execute(run: Run) -> None:
    run.status, run.started = RUNNING, run.started or evidence_pack.utc(time.time())
    run.save()
    start = time.monotonic()
    os.environ[RUN] = run.id  # for the kernels
    try:
        with contextlib.suppress(KeyboardInterrupt):  # the phases' states tell
            _execute_phases(run)
    finally:
        del os.environ[RUN]
        run.status = _status(run)
        run.ended, run.seconds = (
            evidence_pack.utc(time.time()),
            round(run.seconds + time.monotonic() - start, 1),
        )
        run.save()
        evidence_pack.write_ledger(run.folder)
        evidence_pack.seal(run.folder)


def _execute_phases(run: Run) -> None:
    due = [each for each in run.phases if each.status != SUCCEEDED]
    groups = [list(each) for _, each in groupby(due, lambda each: each.number)]
    with Kernels() as kernels, ThreadPoolExecutor(1) as pages:
        upcoming = kernels.start()
        for number, group in enumerate(groups):
            first, upcoming = upcoming, number + 1 < len(groups) and kernels.start()
            left = [each for each in group if each.source not in run.sources_left_out]
            _execute_group(run, left, kernels, first)
            evidence_pack.write_ledger(run.folder)
            evidence_pack.seal(run.folder)
            for phase in left:
                # what fails here fails again in the report
                pages.submit(report.write_page, run.folder / phase.copy)
            if kernels.interrupted or not any(
                each.status == SUCCEEDED for each in run.phases if each.number == group[0].number
            ):
                return


def _execute_group(run: Run, group: list[PhaseRun], kernels: Kernels, first: Any) -> None:
    """Run one phase, or the same one for several sources side by side, the `first` kernel with
    it.
    """
    if len(group) == 1:
        _execute_phase(run, group[0], kernels, first)
        kernels.stop(first)
        return
    ready = [first, *(kernels.start() for _ in group[1:AT_ONCE])]
    with ThreadPoolExecutor(AT_ONCE) as pool:

        def execute(phase: PhaseRun) -> None:
            kernel = ready.pop() if ready else kernels.start()
            _execute_phase(run, phase, kernels, kernel)
            kernels.stop(kernel)

        ended = [pool.submit(execute, each) for each in group]
        try:
            for each in ended:
                each.result()
        except KeyboardInterrupt:
            for each in ended:
                each.cancel()
            kernels.kill()
    for kernel in ready:
        kernels.stop(kernel)
    _forget_folder()


def _forget_folder() -> None:
    """Have papermill write below the current folder again: of calls side by side the one that ends
    last leaves the folder of another in force.
    """
    from papermill.iorw import papermill_io  # noqa: PLC0415 - it is imported by now

    papermill_io.get_handler("copy.ipynb").cwd(None)


def _after_sources_that_failed(run: Run) -> list[PhaseRun]:
    """The phases over the whole lake behind the first one of a source that did not succeed."""
    failed = [
        number
        for number, each in enumerate(run.phases)
        if each.source is not None and each.status != SUCCEEDED
    ]
    return [
        each for each in run.phases[min(failed, default=len(run.phases)) :] if each.source is None
    ]


def _execute_phase(run: Run, phase: PhaseRun, kernels: Kernels, kernel: Any) -> None:
    print(f"\n{phase.label} {phase.title}", flush=True)
    phase.status, phase.started, phase.error = RUNNING, evidence_pack.utc(time.time()), ""
    phase.attempts += 1
    run.save()
    start = time.monotonic()
    try:
        phase.error = _error(run, phase, kernels.watch(kernel))
        phase.status = FAILED if phase.error else SUCCEEDED
    except KeyboardInterrupt:
        phase.status = INTERRUPTED
        _mark_interrupted(run.folder / phase.copy)
    if kernels.interrupted:
        phase.status, phase.error = INTERRUPTED, "Interrupted; what AWS was asked to do goes on."
    phase.ended, phase.seconds = evidence_pack.utc(time.time()), round(time.monotonic() - start, 1)
    run.save()
    print(f"{phase.label} {phase.status} in {phase.seconds:.1f} s", flush=True)


def _error(run: Run, phase: PhaseRun, kernel: dict[str, Any]) -> str:
    """Run the notebook; one sentence on why it failed, or nothing."""
    sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type] # else jsonschema has it build a grammar for 1.6 s
    import papermill  # noqa: PLC0415 - takes a second, while the first kernel starts

    # the copy and this command say it all
    logging.getLogger("papermill").setLevel(logging.CRITICAL)
    known = declared(Path(phase.notebook))
    told = {**_parameters(run, phase), "apply": run.mode == "apply"}
    given = {name: value for name, value in told.items() if name in known}
    output = LiveLines(phase.label)
    copy = run.folder / phase.copy
    try:
        notebook = papermill.execute_notebook(
            phase.notebook,
            str(copy),
            given,
            progress_bar=False,
            stdout_file=output,
            stderr_file=output,
            **kernel,
        )
    except papermill.PapermillExecutionError as error:
        return sentence(error.ename, error.evalue)
    except Exception as error:  # noqa: BLE001 - a dead kernel, a full disk: nobody wants the traceback
        return sentence(type(error).__name__, str(error))
    finally:
        output.close()
    if notebook.metadata.papermill.exception:
        return "The notebook ended itself early, so its checks were not made."
    failed = [
        each.get("fact") or each.get("name")
        for each in evidence_pack.records(copy)
        if not each.get("ok", True)
    ]
    return (
        f"These checks did not hold, though the notebook went on: {', '.join(map(str, failed))}."
        if failed
        else ""
    )


def _parameters(run: Run, phase: PhaseRun) -> dict[str, Any]:
    """What the run's parameters say to a phase: those of its source, or to one over the whole lake
    which sources it must do without.
    """
    if phase.source is None:
        left_out = [
            *run.parameters.get("sources_left_out", []),
            *map(sources.shown, run.sources_left_out),
        ]
        return {**run.parameters, "sources_left_out": left_out}
    every = {"": run.parameters, **sources.every(run.parameters, run.parameters.get("sources", {}))}
    return {**every[phase.source], "source": phase.source}


def sentence(name: str, message: str) -> str:
    """An exception in one sentence: our own as they are, AWS's with its error code, others with
    their name; whichever says that credentials have expired, what to do.
    """
    if errors.EXPIRED.search(message):
        first = " ".join(message.split()).rstrip(".")
        return f"The credentials have expired: renew them. AWS says: {first}."
    if hasattr(errors, name):
        return message
    if name == "DeadKernelError":
        return "The notebook's kernel died: it was killed, or the machine ran out of memory."
    if found := AWS_ERROR.search(message):
        code, operation, text = found.groups()
        return f"AWS answered {operation} with {code}: {' '.join(text.split()).rstrip('.')}."
    first = next(iter(message.strip().splitlines()), "no message")
    return f"{name}: {first.rstrip('.')}."


class LiveLines:
    """What a notebook prints, line by line as it comes, with the phase's number before it."""

    def __init__(self, prefix: str) -> None:
        self._prefix, self._rest = prefix, ""

    def write(self, text: str) -> None:
        """Print the lines that are complete."""
        *lines, self._rest = (self._rest + text).split("\n")
        for line in lines:
            print(f"   {self._prefix}  {line}".rstrip(), flush=True)

    def flush(self) -> None:
        """Nothing: every line is printed at once."""

    def close(self) -> None:
        """Print what has no line end."""
        if self._rest:
            self.write("\n")


def _status(run: Run) -> str:
    statuses = {each.status for each in run.phases}
    if statuses == {SUCCEEDED}:
        return SUCCEEDED
    return FAILED if FAILED in statuses else INTERRUPTED


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Hold the folder of a run, so that nobody resumes what is still running."""
    held = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError as error:
        raise ParametersError(f"{folder} is still running in another process.") from error
    finally:
        os.close(held)


def _mark_interrupted(copy: Path) -> None:
    """Say in the copy itself that it is not complete: papermill takes a cell it had to leave for a
    completed one.
    """
    with contextlib.suppress(OSError, ValueError):
        content = json.loads(copy.read_text(encoding="utf-8"))
        started = [
            each
            for each in content["cells"]
            if each["metadata"].get("papermill", {}).get("start_time")
        ]
        content["metadata"]["papermill"]["exception"] = True
        for cell in started[-1:]:
            cell["metadata"]["papermill"] |= {"exception": True, "status": "failed"}
        copy.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _commit() -> tuple[str, bool | None]:
    """The runbook's commit, and whether files differ from it."""
    try:
        commit = _git("rev-parse", "HEAD")
        return commit, bool(_git("status", "--porcelain", "--untracked-files=no"))
    except (OSError, subprocess.CalledProcessError):
        return "", None


def _git(*arguments: str) -> str:
    return subprocess.run(
        ["git", *arguments], capture_output=True, text=True, check=True
    ).stdout.strip()
