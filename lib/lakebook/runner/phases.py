"""The phases of the runbook: notebooks named by number, and which of them a run takes."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from pathlib import Path

from lakebook.errors import ParametersError
from lakebook.runner import parameters

# the map, an erasure and the teardown: only when asked for by number
OUTSIDE_A_RUN = ("00", "20", "90")


@dataclass(frozen=True)
class Phase:
    """One notebook of the sequence."""

    number: str  # "03"
    name: str  # "dms"
    title: str  # "DMS: every table copied into the raw layer", from the notebook's first heading
    notebook: str  # "notebooks/03_dms.ipynb", relative to the project
    source: str | None = None  # which it serves, "" of the default one; None: it serves the lake


def every(folder: Path) -> list[Phase]:
    """All phases in order."""
    return [_phase(each, folder) for each in sorted(folder.glob("notebooks/[0-9][0-9]_*.ipynb"))]


def chosen(
    phases: list[Phase], only: str | None, first: str | None, last: str | None
) -> list[Phase]:
    """The phases of a run, by their numbers ("05" or "5"; `only` may be "05,06"); raises
    ParametersError where there is no such phase.
    """
    numbers = [each.number for each in phases]
    alone = [each.zfill(2) for each in (only or "").split(",") if each]
    for asked in filter(None, (*alone, first, last)):
        if asked.zfill(2) not in numbers:
            raise ParametersError(f"There is no phase {asked}; there are {', '.join(numbers)}.")
    if alone:
        return [each for each in phases if each.number in alone]
    start, end = (first or "00").zfill(2), (last or "99").zfill(2)
    found = [
        each for each in phases if start <= each.number <= end and each.number not in OUTSIDE_A_RUN
    ]
    if not found:
        raise ParametersError(f"No phase is left between {start} and {end}.")
    return found


def of_sources(phases: list[Phase], names: list[str]) -> list[Phase]:
    """The phases with one for each source in place of those that serve a source: their notebooks
    declare the parameter `source`.

    Raises ParametersError where such a phase finds no source.
    """
    found = []
    for each in phases:
        if "source" not in parameters.declared(Path(each.notebook)):
            found.append(each)
            continue
        if not names:
            raise ParametersError(
                "There is no source: name the secret of one with source_secret, or under sources."
            )
        found += [replace(each, source=name) for name in names]
    return found


def _phase(notebook: Path, folder: Path) -> Phase:
    number, _, name = notebook.stem.partition("_")
    return Phase(number, name, _title(notebook) or name, str(notebook.relative_to(folder)))


def _title(notebook: Path) -> str:
    """`# 3 DMS: every table copied` without the number."""
    try:
        first = json.loads(notebook.read_text(encoding="utf-8"))["cells"][0]
    except (ValueError, LookupError) as error:
        raise ParametersError(f"{notebook} is not a notebook: {error}.") from error
    found = re.match(r"#\s+(?:\d+\s+)?(.+)", "".join(first["source"]))
    return found[1].strip() if found else ""
