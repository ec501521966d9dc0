"""What is known of a run, as run.json in its folder keeps it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from lakebook.errors import ParametersError

PENDING, RUNNING, SUCCEEDED, FAILED, INTERRUPTED = (
    "pending",
    "running",
    "succeeded",
    "failed",
    "interrupted",
)
RUN = "LAKEBOOK_RUN"  # the variable that tells a run's notebooks its id


@dataclass
class PhaseRun:
    """What became of one phase in a run."""

    number: str
    name: str
    title: str
    notebook: str
    status: str = PENDING
    started: str = ""
    ended: str = ""
    seconds: float = 0.0
    error: str = ""  # one sentence
    attempts: int = 0

    @property
    def copy(self) -> str:
        """The executed copy's file name in the run's folder."""
        return Path(self.notebook).name


@dataclass
class Run:
    """One execution of the sequence, as run.json keeps it."""

    id: str  # "20261123T101500Z-apply"
    mode: str  # "plan" or "apply"
    environment: str
    parameters_file: str
    parameters: dict[str, Any]
    connection: dict[str, str]  # caller, account, region, endpoint
    commit: str
    uncommitted_changes: bool | None  # None: not in git
    versions: dict[str, str]
    phases: list[PhaseRun]
    status: str = PENDING
    started: str = ""
    ended: str = ""
    seconds: float = 0.0
    resumed: list[dict[str, Any]] = field(default_factory=list)  # time, commit, connection of each
    # outputs/<environment>/<id>, relative to the project
    folder: Path = field(default=Path(), compare=False)

    def save(self) -> None:
        """Write run.json, as a whole or not at all."""
        content = {name: value for name, value in asdict(self).items() if name != "folder"}
        draft = self.folder / ".run.json"
        draft.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        draft.replace(self.folder / "run.json")


def load(folder: Path) -> Run:
    """The run that a folder keeps; raises ParametersError where there is none."""
    try:
        content = json.loads((folder / "run.json").read_text(encoding="utf-8"))
        return Run(
            **{**content, "phases": [PhaseRun(**each) for each in content["phases"]]}, folder=folder
        )
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise ParametersError(
            f"{folder} is not the folder of a run: it has no readable run.json."
        ) from error


def find(run: str) -> Path:
    """The folder of a run given by its path, its id, or as `latest`; raises ParametersError where
    there is none.
    """
    found = sorted(Path("outputs").glob("*/*/run.json"), key=lambda each: each.parent.name)
    folders = [each.parent for each in found if run in ("latest", each.parent.name)]
    if not folders and Path(run).is_dir():
        folders = [Path(run)]
    if not folders:
        raise ParametersError(
            f"There is no run {run}; runs are the folders below outputs/<environment>."
        )
    return folders[-1]
