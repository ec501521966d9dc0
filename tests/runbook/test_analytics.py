"""The notebooks of data scientists run as the data scientist, on a lake that has a second snapshot
and documents.
"""

import subprocess
import sys

import nbformat
import pytest
from rehearsal import BIN, ROOT

NOTEBOOKS = sorted((ROOT / "notebooks" / "analytics").glob("*.ipynb"))
TIME_TRAVEL = NOTEBOOKS[3]
WRITING = (NOTEBOOKS[1], NOTEBOOKS[5])
GONE, CHANGED = "booking_id % 500 = 11", "booking_id % 40 = 7"
CHANGES = (
    f"update customers.bookings set price = round(price * 1.1, 2) where {CHANGED}",
    f"delete from customers.payments where {GONE}",
    f"delete from customers.support_messages where {GONE}",
    f"delete from customers.bookings where {GONE}",
)


@pytest.fixture(scope="module")
def changed(lake):
    """The lake after changes in the source and another run of 03 to 05; the run, what should have
    become of the bookings, and how many documents there were.
    """
    with lake.demo_database() as source:
        [counts] = source.execute(
            f"select count(*) filter (where {GONE}), count(*) filter (where {CHANGED} and not"
            f" {GONE}), count(*) from customers.bookings"
        ).fetchall()
        for each in CHANGES:
            source.execute(each)
    documents = list((lake.data / "s3" / "acme-rehearsal-raw" / "landing").rglob("*.*"))
    ended = lake.apply("--only", "03,05")
    assert ended.returncode == 0, ended.text
    gone, changed, rows = counts
    became = {"new": 0, "gone": gone, "changed": changed, "the same": rows - gone - changed}
    return ended, became, len(documents)


@pytest.fixture(scope="module")
def scientist(lake, changed):
    """Their environment."""
    return lake.environment | {"AWS_PROFILE": "data-scientist"}


@pytest.mark.parametrize(
    "notebook", [each for each in NOTEBOOKS if each != TIME_TRAVEL], ids=lambda each: each.stem
)
def test_a_notebook_runs_as_the_data_scientist_and_runs_again(scientist, notebook):
    without = [each for name in ("cacheprovider", "randomly") for each in ("-p", f"no:{name}")]
    nbval = [*without, "-o", "addopts=", "-q", "--nbval-lax", "--noconftest", notebook]
    command = [sys.executable, "-m", "pytest", *nbval]
    told = {"cwd": ROOT, "env": scientist, "capture_output": True, "text": True, "timeout": 300}
    for _ in range(2 if notebook in WRITING else 1):
        ended = subprocess.run(command, check=False, **told)
        assert ended.returncode == 0, ended.stdout[-4000:]


def test_time_travel_finds_what_came_went_and_changed(scientist, changed, tmp_path):
    out = tmp_path / "out.ipynb"
    command = [BIN / "papermill", TIME_TRAVEL, out]
    subprocess.run(command, cwd=ROOT, env=scientist, check=True, capture_output=True, timeout=300)
    cells = nbformat.read(out, as_version=4).cells
    [summary] = [each for each in cells if each.source.startswith("counts = ")]
    shown = summary.outputs[0]["data"]["text/plain"].split("\n")[1:]
    counts = {line.rsplit(None, 1)[0].strip(): int(line.rsplit(None, 1)[1]) for line in shown}
    assert counts == changed[1]
    assert min(counts["gone"], counts["changed"], counts["the same"]) > 0


def test_the_documents_that_were_sent_in_are_in_the_catalog(changed):
    ended, _, documents = changed
    assert documents > 12
    assert f"ok  documents in the catalog: {documents}" in ended.stdout
