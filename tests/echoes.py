"""AWS's answers as it might as well give them, and what is declared held against them."""

import contextlib
import copy
import json
import os

import boto3

from lakebook import aws
from lakebook.ensure import calls
from local_aws import coverage

# whose order, or whose texts, are what was declared
AS_SENT = {"Columns", "PartitionKeys", "Parameters", "Records"}


def respelt(value):
    """The same, as AWS might as well answer it: lists are sets to it, JSON in a text is
    laid out as it likes, and in a policy one value and a list of one are the same.
    """
    if isinstance(value, dict) and "Statement" in value:
        return _policy(value)
    if isinstance(value, dict):
        return {name: each if name in AS_SENT else respelt(each) for name, each in value.items()}
    if isinstance(value, list):
        return [respelt(each) for each in reversed(value)]
    if isinstance(value, str) and value.startswith("{"):
        with contextlib.suppress(ValueError):
            told = json.loads(value)
            return json.dumps(_policy(told) if "Statement" in told else _turned(told), indent=1)
    return value


def _turned(value):
    """JSON with its members in the other order."""
    if isinstance(value, dict):
        return {name: _turned(value[name]) for name in reversed(value)}
    return [_turned(each) for each in value] if isinstance(value, list) else value


def _policy(value):
    if isinstance(value, dict):
        return {name: _policy(value[name]) for name in reversed(value)}
    if isinstance(value, list):
        found = [_policy(each) for each in reversed(value)]
        return found[0] if len(found) == 1 else found
    return value


def needed_otherwise(declared, change=lambda _operation, told: respelt(told)):
    """The calls that are needed where AWS's answers are changed so: `[(resource, action,
    arguments)]`.

    Whose answers were other than before is noted under the name of the test that asks, in the
    stand-in's `echoes.txt`, from which COVERAGE.md is made: with NOTE_ECHOES it is written, else
    what is there for this test must be so.
    """
    seen, before = set(), boto3.DEFAULT_SESSION

    def otherwise(parsed, model, **_):
        if model.has_streaming_output:
            return
        told = {name: each for name, each in parsed.items() if name != "ResponseMetadata"}
        parsed.update(change(model.name, copy.deepcopy(told)))
        if any(parsed[name] != value for name, value in told.items()):
            seen.add(f"{model.service_model.service_name} {model.name}")

    credentials, region = (before.get_credentials(), before.region_name) if before else (None, None)
    boto3.DEFAULT_SESSION = aws.session(credentials, region_name=region)
    boto3.DEFAULT_SESSION.events.register("after-call", otherwise)
    try:
        found = [(name, call.action, call.arguments) for name, call in calls(declared)]
    finally:
        boto3.DEFAULT_SESSION = before
    _note(os.environ["PYTEST_CURRENT_TEST"].partition(" ")[0], seen)
    return found


def _note(test, seen):
    noted = coverage.echoes()
    if os.environ.get("NOTE_ECHOES"):
        coverage.note_echoes({**dict.fromkeys(seen, test), **noted})
    else:
        assert {each for each, by in noted.items() if by == test} <= seen
