"""The stand-in answers as AWS documents it; `make conformance` asks AWS the same questions."""

import subprocess
import sys
from pathlib import Path

import foundation
import pytest
from conformance import catalog, identity, storage  # noqa: F401 - their questions
from conformance.question import AT_MOST_USD, QUESTIONS, Sandbox


@pytest.fixture(scope="module")
def sandbox(stand_in):
    made = Sandbox(foundation.ACCOUNT, foundation.REGION)
    with made.undo:
        yield made


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda each: each.name)
def test_the_stand_in_answers_as_aws_documents(sandbox, question):
    assert question.ask(sandbox) == question.documented, question.source


def test_every_question_is_one_and_says_where_its_answer_is_from():
    for each in QUESTIONS:
        assert each.sentence.endswith("?")
        assert each.source.startswith("https://")
        assert each.cost in AT_MOST_USD
    assert len({each.name for each in QUESTIONS}) == len(QUESTIONS)


def asked(*options, **environment):
    command = [sys.executable, Path(__file__).with_name("conformance"), *options]
    return subprocess.run(
        command, env=environment, capture_output=True, text=True, check=False, timeout=120
    )


def test_nothing_is_asked_by_accident(stand_in, tmp_path):
    named = ("--account", foundation.ACCOUNT, "--region", foundation.REGION)
    without = {name: value for name, value in stand_in.items() if name != "AWS_ENDPOINT_URL"}
    assert "the following arguments are required" in asked(**without).stderr
    assert "that is not AWS" in asked(*named, **stand_in).stderr
    dear = asked(*named, "--cost", "dollars", **without)
    assert (dear.returncode, "agree with --spend-at-most" in dear.stderr) == (2, True)
