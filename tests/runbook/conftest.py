"""The lake that all tests of the runbook share; a test that changes its source or goes on from it
leaves it whole, as the order of the tests is any.
"""

import pytest
from rehearsal import Rehearsal


@pytest.fixture(scope="session")
def rehearsal(tmp_path_factory):
    """The demo database, taken through all phases by the command: planned on an empty account,
    applied, and applied again.
    """
    with Rehearsal(tmp_path_factory.mktemp("rehearsal")) as running:
        running.planned = running.plan()
        running.applied = running.apply()
        running.applied_again = running.apply()
        yield running


@pytest.fixture(scope="session")
def lake(rehearsal):
    """That rehearsal, once all its phases have succeeded."""
    assert rehearsal.applied.returncode == 0, rehearsal.applied.text
    return rehearsal
