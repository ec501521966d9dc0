"""The notebooks of data scientists run as the data scientist, on a lake that has a second snapshot
and documents.
"""

import os
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from test_rehearsal import Rehearsal

from local_aws.engines.postgresql import Server

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks" / "analytics").glob("*.ipynb"))
CHANGES = (
    "update customers.bookings set price = round(price * 1.1, 2) where booking_id % 40 = 7",
    "delete from customers.payments where booking_id % 500 = 11",
    "delete from customers.support_messages where booking_id % 500 = 11",
    "delete from customers.bookings where booking_id % 500 = 11",
)


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    rehearsal = Rehearsal(tmp_path_factory.mktemp("analytics"))
    yield rehearsal
    rehearsal.stop()


@pytest.fixture(scope="module")
def lake(running):
    """A small rehearsal of 02 to 06, then changes in the source and another of 03 to 05."""
    first = running.apply("--only", "02,03,04,05,06")
    assert first.returncode == 0, first.stdout + first.stderr
    running.first = first.stdout
    server = Server(running.directory / "stand-in" / "postgresql")
    server.start()  # it runs: this finds its port
    with server.connect("airline") as source:
        for each in CHANGES:
            source.execute(each)
    second = running.apply("--only", "03,05")
    assert second.returncode == 0, second.stdout + second.stderr
    return running


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda each: each.stem)
def test_a_notebook_runs_as_the_data_scientist(lake, notebook):
    nbval = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "--nbval-lax",
        "--noconftest",
        notebook,
    ]
    environment = {**os.environ, **lake.environment, "AWS_PROFILE": "data-scientist"}
    ended = subprocess.run(
        nbval, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=300
    )
    assert ended.returncode == 0, ended.stdout[-4000:]


def test_time_travel_finds_what_came_went_and_changed(lake, tmp_path):
    out = tmp_path / "out.ipynb"
    papermill = [Path(sys.executable).parent / "papermill", NOTEBOOKS[3], out]
    environment = {**os.environ, **lake.environment, "AWS_PROFILE": "data-scientist"}
    subprocess.run(
        papermill, cwd=ROOT, env=environment, check=True, capture_output=True, timeout=300
    )
    cells = nbformat.read(out, as_version=4).cells
    [summary] = [each for each in cells if each.source.startswith("counts = ")]
    shown = summary.outputs[0]["data"]["text/plain"].split("\n")[1:]
    counts = {line.rsplit(None, 1)[0].strip(): int(line.rsplit(None, 1)[1]) for line in shown}
    gone = [n for n in range(1, 5001) if n % 500 == 11]
    changed = [n for n in range(1, 5001) if n % 40 == 7 and n not in gone]
    assert counts == {
        "new": 0,
        "gone": len(gone),
        "changed": len(changed),
        "the same": 5000 - len(gone) - len(changed),
    }


def test_the_documents_that_were_sent_in_are_in_the_catalog(lake):
    sent = list(
        (lake.directory / "stand-in" / "s3" / "acme-rehearsal-raw" / "landing").rglob("*.*")
    )
    assert len(sent) > 12
    assert f"ok  documents in the catalog: {len(sent)}" in lake.first
