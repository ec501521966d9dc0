"""What the documents say of the repository is so."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TRUTH = (ROOT / "docs" / "aws-truth.md").read_text()


def named_tests():
    """Each test that docs/aws-truth.md names: a file, and the test where one is told; `::test_y`
    is one of the file before.
    """
    file = ""
    for found in re.finditer(r"(tests/[\w/]+\.py)?(?:::(test_\w+))?", TRUTH):
        file = found[1] or file
        if found[1] or found[2]:
            yield file, found[2] or ""


@pytest.mark.parametrize(("file", "test"), sorted(set(named_tests())))
def test_what_holds_us_to_aws_is_a_test_that_there_is(file, test):
    assert f"def {test}" in (ROOT / file).read_text()


def test_no_point_is_told_twice():
    points = re.findall(r"^\| (\d\.\S+) \|", TRUTH, re.MULTILINE)
    assert len(points) == len(set(points)) > 60
