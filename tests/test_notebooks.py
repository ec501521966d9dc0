"""The notebooks as people read them: short cells, short lines, the words of the glossary."""

import ast
import functools
import json
import re
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest

from lakebook import CheckError, check
from lakebook.services import dms
from lakebook.source.model import Table

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").rglob("[0-9][0-9]_*.ipynb"))
PHASES = [each for each in NOTEBOOKS if each.parent.name == "notebooks"]
COLUMNS, STATEMENT_LINES = 100, 4


def cells(notebook):
    """The code cells as text, without the one that declares the parameters."""
    return [
        "".join(each["source"])
        for each in json.loads(notebook.read_text())["cells"]
        if each["cell_type"] == "code" and "parameters" not in each["metadata"].get("tags", [])
    ]


def statement_lines(cell):
    """The lines of a cell's statements, imports not counted."""
    body = [
        each for each in ast.parse(cell).body if not isinstance(each, ast.Import | ast.ImportFrom)
    ]
    return sum(each.end_lineno - each.lineno + 1 for each in body)


@pytest.mark.parametrize("notebook", PHASES, ids=lambda each: each.stem)
def test_a_cell_of_a_phase_has_one_to_four_lines_beside_its_imports(notebook):
    assert [each for each in cells(notebook) if statement_lines(each) > STATEMENT_LINES] == []


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda each: each.stem)
def test_a_line_of_a_cell_has_at_most_a_hundred_columns(notebook):
    lines = [line for each in cells(notebook) for line in each.splitlines()]
    assert [each for each in lines if len(each) > COLUMNS] == []


def test_what_analysts_write_is_a_folder_of_their_own_and_what_they_keep_does_not_expire():
    code = {each.name: "\n".join(cells(each)) for each in NOTEBOOKS if each not in PHASES}
    assert re.findall(r"s3_output=(\w+)", code["02_athena_or_files.ipynb"]) == ["unloaded"]
    assert "unload/{uuid.uuid4().hex}/" in code["02_athena_or_files.ipynb"]
    kept = re.findall(r'place = f"s3://{names.jobs_bucket}/(.*?)/', "\n".join(code.values()))
    assert kept == ["work"]


def no_longer_used():
    """The words of the glossary's last column."""
    lines = (ROOT / "docs" / "glossary.md").read_text().splitlines()
    rows = [each.split("|") for each in lines if each.startswith("| ") and each.count("|") == 4]
    return [word.strip() for row in rows[1:] for word in row[3].split(",") if word.strip()]


def strings(file):
    """The string literals of a module but its docstrings: messages, labels, columns, SQL."""
    tree = ast.parse(file.read_text())
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef)
    docstrings = {
        id(each.body[0].value)
        for each in ast.walk(tree)
        if isinstance(each, documented) and each.body and isinstance(each.body[0], ast.Expr)
    }
    return "\n".join(
        each.value
        for each in ast.walk(tree)
        if isinstance(each, ast.Constant)
        and isinstance(each.value, str)
        and id(each) not in docstrings
    )


@functools.cache
def texts():
    """What people read: (where, text) of README, docs, notebooks, reports, messages."""
    return list(_texts())


def _texts():
    for file in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")):
        if file.name != "glossary.md":
            yield file, file.read_text()
    for file in (ROOT / "notebooks").rglob("*.ipynb"):
        found = json.loads(file.read_text())["cells"]
        yield file, "\n".join("".join(each["source"]) for each in found)
    for file in (ROOT / "lib" / "lakebook").rglob("*.html"):
        yield file, file.read_text()
    for file in (ROOT / "lib").rglob("*.py"):
        yield file, strings(file)


@pytest.mark.parametrize("word", no_longer_used())
def test_a_word_that_the_glossary_replaced_is_nowhere_in_what_people_read(word):
    pattern = re.compile(rf"\b{re.escape(word)}\b", re.IGNORECASE)
    found = [
        f"{file.relative_to(ROOT)}: {each.strip()}"
        for file, text in texts()
        for each in text.splitlines()
        if pattern.search(each)
    ]
    assert found == []


@pytest.mark.parametrize("verified", [True, False])
def test_03_asks_for_the_states_of_tables_only_where_a_load_was_pending(verified):
    """Whoever deleted the instance after the load, as docs/on-aws.md says, has a task without."""
    [cell] = [each for each in cells(ROOT / "notebooks/03_dms.ipynb") if "dms.unfinished" in each]
    none = pd.DataFrame(columns=["schema", "table", "state", "rows"])
    tables = [Table("s", "t", "s_t", 0, False, 0, ())]
    known = {"check": check, "table": lambda frame, _: frame, "replicated": tables, "task": "x"}
    known |= {"apply": True, "verified": verified, "dms": SimpleNamespace(**vars(dms))}
    known["dms"].table_states = lambda _: none
    if verified:
        exec(cell, known)
        return
    with pytest.raises(CheckError, match="Table does not exist"):
        exec(cell, known)
