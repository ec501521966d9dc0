"""The command `lakebook`: bootstrap, plan, apply, resume, verify, report, policy."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from lakebook import sources
from lakebook.errors import LakebookError, ParametersError
from lakebook.project import project
from lakebook.runner import evidence_pack, fork_server, parameters, phases, preflight
from lakebook.runner.run import SUCCEEDED, Run, find, load

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lakebook.names import Names

EXIT_CODES = (
    "Exit code: 0 every check held, 1 a phase or the evidence failed, 2 nothing was started, 130"
    " interrupted."
)
EXITS = {"succeeded": 0, "failed": 1, "interrupted": 130}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code; errors are one sentence on standard error."""
    asked = _parser().parse_args(arguments)
    before = Path.cwd()
    try:
        if hasattr(asked, "file"):
            asked.file = asked.file.absolute()
        elif (before / asked.run).is_dir():
            asked.run = str((before / asked.run).resolve())
        with contextlib.chdir(
            project()
        ):  # papermill writes the paths it is given into the evidence: relative ones
            return int(asked.act(asked))
    except (ParametersError, preflight.PreflightError) as error:
        print(f"lakebook: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("lakebook: interrupted.", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="lakebook", description=__doc__, epilog=EXIT_CODES)
    commands = parser.add_subparsers(dest="command", required=True)
    bootstrap = "make the operator's role and the boundary of all roles, once, as an administrator"
    for name, words in (
        ("bootstrap", bootstrap),
        ("plan", "list every call the phases would still make, make none"),
        ("apply", "run the phases"),
    ):
        command = commands.add_parser(name, help=words, description=words, epilog=EXIT_CODES)
        command.add_argument("file", metavar="FILE", type=Path, help="a parameters file")
        command.add_argument(
            "-p",
            dest="overrides",
            nargs=2,
            action="append",
            default=[],
            metavar=("NAME", "VALUE"),
            help="use this value, in YAML, instead of the file's",
        )
        if name == "bootstrap":
            command.add_argument("--plan", action="store_true", help="list the calls, make none")
            command.set_defaults(act=_bootstrap)
            continue
        command.add_argument("--only", metavar="05", help="this phase alone, or these: 05,06")
        command.add_argument(
            "--from", dest="first", metavar="05", help="this phase and those after it"
        )
        command.add_argument("--to", dest="last", metavar="06", help="up to this phase")
        command.add_argument(
            "--source",
            dest="sources",
            action="append",
            metavar="NAME",
            help="serve this source alone (more than once: these); default is the one without name",
        )
        command.set_defaults(act=_start)
    for name, act, words in (
        ("resume", _resume, "go on at the phase that failed"),
        ("verify", _verify, "check offline that the evidence is whole and unchanged"),
        ("report", _report, "write the report anew and print its path"),
        (
            "policy",
            _policy,
            "print the smallest policy under which the calls of these runs are allowed",
        ),
    ):
        command = commands.add_parser(name, help=words, description=words, epilog=EXIT_CODES)
        command.add_argument("run", metavar="RUN", help="a run's folder or id, or `latest`")
        if name == "policy":
            command.add_argument(
                "more",
                metavar="RUN",
                nargs="*",
                help="others: a second run makes other calls than the first",
            )
        command.set_defaults(act=act)
    return parser


def _bootstrap(asked: argparse.Namespace) -> int:
    """Make what the operator cannot make for itself, print every call, and say how to go on."""
    from lakebook import calls, connect, ensure, foundation  # noqa: PLC0415 - a wrong parameter is reported at once
    from lakebook.people import personas  # noqa: PLC0415 - a wrong parameter is reported at once
    from lakebook.runner import runs  # noqa: PLC0415 - a wrong parameter is reported at once

    _, told = _parameters(asked, phases.every(Path.cwd()))
    preflight.caller(told["account"], told["region"])
    names = connect(told["environment"], told["account"], told["region"], told["prefix"])
    declared = personas.bootstrap(names, told["operator_principals"], Path(told["operator_policy"]))
    declared += foundation.operators_key(names, told["kms_key_arn"])
    try:
        needed = [f"{call.action}  {name}" for name, call in calls(declared)]
        ensure(declared, apply=not asked.plan)
    except (LakebookError, ClientError) as error:
        print(f"lakebook: {runs.sentence(type(error).__name__, str(error))}", file=sys.stderr)
        return 1
    print(
        "\n".join(needed)
        if asked.plan and needed
        else f"{len(needed)} calls {'needed' if asked.plan else 'made'}."
    )
    return 0


def _parameters(
    asked: argparse.Namespace, every: list[phases.Phase]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The parameters given, and those with the notebooks' defaults for the rest."""
    notebooks = [
        each
        for each in sorted(Path("notebooks").rglob("*.ipynb"))
        if ".ipynb_checkpoints" not in each.parts
    ]
    given = parameters.read(asked.file, asked.overrides, notebooks)
    return given, {**_defaults(every), **given}


def _defaults(every: list[phases.Phase]) -> dict[str, Any]:
    return {
        name: value
        for each in reversed(every)
        for name, (_, value) in parameters.declared(Path(each.notebook)).items()
    }


def _start(asked: argparse.Namespace) -> int:
    every = phases.every(Path.cwd())
    if asked.only and (asked.first or asked.last):
        raise ParametersError("--only does not go with --from or --to.")
    taken = phases.chosen(every, asked.only, asked.first, asked.last)
    given, effective = _parameters(asked, every)
    taken = phases.of_sources(taken, _sources(effective, asked.sources))
    fork_server.started()
    connection = preflight.caller(effective.get("account"), effective.get("region"))
    from lakebook.runner import runs  # noqa: PLC0415 - a wrong parameter is reported at once

    file = os.path.relpath(asked.file) if asked.file.is_relative_to(Path.cwd()) else asked.file.name
    run = runs.new(
        asked.command, file, given, str(effective.get("environment", "default")), connection, taken
    )
    return _execute(run, lambda: runs.execute(run))


def _sources(told: dict[str, Any], asked: list[str] | None) -> list[str]:
    """The names of the sources that the parameters tell of, or of those asked for; "" is the
    default one.
    """
    every = {sources.shown(name): name for name in sources.every(told, told.get("sources", {}))}
    if strange := [each for each in asked or [] if each not in every]:
        raise ParametersError(f"There is no source {strange[0]}; there are {', '.join(every)}.")
    return [name for each, name in every.items() if not asked or each in asked]


def _resume(asked: argparse.Namespace) -> int:
    from lakebook.runner import runs  # noqa: PLC0415

    run = load(find(asked.run))
    if run.status == SUCCEEDED:
        print(f"{run.folder}: every phase has succeeded, there is nothing to resume.")
        return 0
    connection = preflight.caller(run.connection["account"], run.connection["region"])
    return _execute(run, lambda: runs.resume(run, connection))


def _execute(run: Run, execute: Callable[[], None]) -> int:
    """Run it with its progress on the terminal, then say how it went and where everything is."""
    print(" · ".join(["lakebook " + run.mode, run.environment, *run.connection.values()]))
    print(f"{run.folder}", flush=True)
    execute()
    from lakebook.runner import report  # noqa: PLC0415

    print(f"\n{report.summary(run)}\n")
    print(f"executed copies: {run.folder}")
    for each in run.phases:
        if each.error:
            print(f"{each.label} {each.status}: {each.error}")
    if left_out := report.left_out(run):
        print(left_out)
    if run.mode == "plan":
        _tell_missing_permissions(run)
    if run.status != SUCCEEDED:
        print(f"go on with: lakebook resume {run.folder}")
    print(f"report: {report.write(run)}\nseal: {evidence_pack.sealed(run.folder)}", flush=True)
    return EXITS[run.status]


def _tell_missing_permissions(run: Run) -> None:
    """Say which of the plan's calls the caller may not make."""
    from lakebook.runner import plan_permissions  # noqa: PLC0415

    refused = plan_permissions.missing(run, _names(run))
    if refused:
        print(f"\nnot allowed to {run.connection['caller']}, and planned:")
        print("\n".join(f"- {each}" for each in refused))
    else:
        print("permissions: the caller may make every call of this plan")


def _names(run: Run) -> Names:
    from lakebook import Names  # noqa: PLC0415

    prefix = {"prefix": "", **_defaults(phases.every(Path.cwd())), **run.parameters}["prefix"]
    return Names(prefix, run.environment, run.connection["account"], run.connection["region"])


def _verify(asked: argparse.Namespace) -> int:

    folder = find(asked.run)
    problems = evidence_pack.problems(folder)
    if not problems:
        from lakebook.runner import report  # noqa: PLC0415

        problems = report.altered(load(folder))
    if problems:
        print(
            "\n".join(
                [f"{folder}: the evidence is NOT whole.", *(f"- {each}" for each in problems)]
            )
        )
        return 1
    print(
        f"{folder}: the evidence is whole.\nseal: {evidence_pack.sealed(folder)} (compare it with"
        " what the run printed)"
    )
    return 0


def _report(asked: argparse.Namespace) -> int:
    from lakebook.runner import report  # noqa: PLC0415

    folder = find(asked.run)
    for page in folder.glob("*.html"):
        page.unlink()  # whatever is in it
    print(report.write(load(folder)))
    return 0


def _policy(asked: argparse.Namespace) -> int:
    from lakebook.audit import least_privilege  # noqa: PLC0415

    run = load(find(asked.run))
    names = _names(run)
    try:
        rights = [
            each for one in (asked.run, *asked.more) for each in least_privilege.used(find(one))
        ]
        print(json.dumps(least_privilege.policy(rights, names), indent=1))
    except LakebookError as error:
        print(f"lakebook: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
