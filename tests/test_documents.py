"""The documents agree with the code: every notebook is in the README, every parameter is declared
and documented.
"""

import json
from pathlib import Path

import nbformat
import pytest
import yaml

from local_aws.names import SOURCE_SECRET

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").rglob("*.ipynb"))
PHASES = [each for each in NOTEBOOKS if each.parent.name == "notebooks"]


def declared(notebook):
    cells = nbformat.read(notebook, as_version=4).cells
    [source] = [cell.source for cell in cells if "parameters" in cell.metadata.get("tags", [])]
    return {line.split(":")[0] for line in source.splitlines() if line}


@pytest.mark.parametrize(
    "notebook",
    [each for each in PHASES if not each.name.startswith("00")],
    ids=lambda each: each.name,
)
def test_every_phase_is_in_the_table_of_the_readme(notebook):
    assert f"notebooks/{notebook.name}" in (ROOT / "README.md").read_text()


@pytest.mark.parametrize("file", ["rehearsal.yaml", "production.yaml"])
def test_a_parameters_file_has_every_parameter_and_no_other(file):
    given_by_the_command = {"apply", "source", "sources_left_out"}
    wanted = set().union(*(declared(each) for each in PHASES)) - given_by_the_command
    assert set(yaml.safe_load((ROOT / "parameters" / file).read_text())) == wanted


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda each: each.name)
def test_every_parameter_says_what_it_is(notebook):
    cells = nbformat.read(notebook, as_version=4).cells
    [source] = [cell.source for cell in cells if "parameters" in cell.metadata.get("tags", [])]
    assert [line for line in source.splitlines() if line and "  # " not in line] == []


@pytest.mark.parametrize("notebook", PHASES, ids=lambda each: each.name)
def test_a_template_is_kept_without_outputs(notebook):
    cells = json.loads(notebook.read_text())["cells"]
    assert [
        cell["id"] for cell in cells if cell.get("outputs") or cell.get("execution_count")
    ] == []


@pytest.mark.parametrize(
    "notebook", [each for each in NOTEBOOKS if each not in PHASES], ids=lambda each: each.name
)
def test_an_analytics_notebook_is_kept_with_its_outputs(notebook):
    text = notebook.read_text()
    cells = [cell for cell in json.loads(text)["cells"] if cell["cell_type"] == "code"]
    outputs = [output for cell in cells for output in cell["outputs"]]
    assert all(cell["execution_count"] for cell in cells)
    assert not [
        each for each in outputs if each["output_type"] == "error" or each.get("name") == "stderr"
    ]
    assert [each for each in outputs if "image/png" in each.get("data", {})]
    assert str(ROOT) not in text


def test_the_stand_in_puts_the_secret_where_the_rehearsal_looks_for_it():
    assert (
        yaml.safe_load((ROOT / "parameters" / "rehearsal.yaml").read_text())["source_secret"]
        == SOURCE_SECRET
    )


def test_the_lock_holds_versions_and_no_addresses():
    for lock in (ROOT / "requirements.lock", ROOT / "bench" / "requirements.lock"):
        assert not [
            line
            for line in lock.read_text().splitlines()
            if line
            and not line.startswith("#")
            and ("==" not in line or "/" in line or "@" in line)
        ]
