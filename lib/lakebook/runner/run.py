"""What is known of a run, as run.json in its folder keeps it."""

from __future__ import annotations

import json
import threading
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


_SAVING = threading.Lock()  # phases that serve different sources run side by side


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
    source: str | None = None  # which it serves, "" of the default one; None: it serves the lake

    @property
    def copy(self) -> str:
        """The executed copy's file name in the run's folder: `03_dms.ipynb`,
        `03_dms-loyalty.ipynb`.
        """
        own = f"-{self.source}" if self.source else ""
        return f"{Path(self.notebook).stem}{own}.ipynb"

    @property
    def label(self) -> str:
        """`03`, or `03 loyalty` where it serves a source with a name."""
        return f"{self.number} {self.source or ''}".rstrip()


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

    @property
    def sources(self) -> list[str]:
        """The names of the sources that it serves."""
        return list(dict.fromkeys(each.source for each in self.phases if each.source is not None))

    @property
    def sources_left_out(self) -> list[str]:
        """The names of the sources of which a phase failed, while others go on."""
        ended = [each for each in self.phases if each.status in (FAILED, INTERRUPTED)]
        return sorted({each.source for each in ended if each.source is not None})

    def save(self) -> None:
        """Write run.json, as a whole or not at all."""
        with _SAVING:
            self._save()

    def _save(self) -> None:
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
