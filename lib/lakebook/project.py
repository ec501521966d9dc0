"""The folder of the project: the runbook's notebooks, its parameters and outputs."""

from __future__ import annotations

from pathlib import Path

from lakebook.errors import ParametersError


def project() -> Path:
    """The folder that holds `notebooks/` and `outputs/`: the current one, or else the repository of
    the installed package.
    """
    repository = Path(__file__).resolve().parents[2]
    for folder in (Path.cwd(), repository):
        if any(folder.glob("notebooks/[0-9][0-9]_*.ipynb")):
            return folder
    raise ParametersError(
        "There are no notebooks here: run lakebook in the repository, where the folder"
        " notebooks is."
    )
