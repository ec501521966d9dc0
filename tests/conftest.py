"""What all tests share: an AWS account for each module, nothing left behind by one for the next,
and no way to any address outside the machine.
"""

import functools
import os
import socket
import sys
from pathlib import Path

import boto3
import botocore.loaders
import botocore.session
import pytest
from botocore.client import ClientCreator
from xdist.scheduler import LoadScopeScheduling

import local_aws
from lakebook.ensure import role_propagation
from local_aws import settings

SLOW = ("rehearsal", "jvm")  # fixtures, the longest first; make quick leaves their tests out
# of the other modules those of half a minute: whoever began one last would end alone
LONG = ("test_runs.py", "test_access_matrix.py", "test_foundation_drift.py", "test_reconcile.py")
SHARE_A_LAKE = {f"runbook/test_{each}.py" for each in ("analytics", "erasure", "rehearsal")}
_connect = socket.socket.connect


def _connect_to_loopback_only(self, address):
    if self.family != socket.AF_UNIX and address[0] not in ("127.0.0.1", "::1", "localhost"):
        raise AssertionError(f"a test tried to reach {address}")
    return _connect(self, address)


sys.modules["rfc3987_syntax"] = None  # jsonschema's; it builds a grammar for 1.6 s


def pytest_configure():
    socket.socket.connect = _connect_to_loopback_only
    # here, and in stand-ins that are processes of their own
    settings.check_answers = True
    os.environ["LOCAL_AWS_CHECK_ANSWERS"] = "yes"
    _make_clients_of_known_classes()


def _make_clients_of_known_classes():
    """Of the 0.14 s that a client takes in a new session, 0.12 go into its service's model and
    class: here they are made once for all sessions.
    """
    botocore.session.create_loader = functools.cache(botocore.loaders.create_loader)
    made, classes = ClientCreator._create_client_class, {}

    def known(creator, service_name, service_model):
        if service_name not in classes:
            classes[service_name] = made(creator, service_name, service_model)
        return classes[service_name]

    ClientCreator._create_client_class = known


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """A test that uses a fixture of SLOW is marked with its name; modules with such tests begin
    first.
    """
    slow = {each: set() for each in SLOW}
    for item in items:
        for each in SLOW:
            if each in item.fixturenames:
                item.add_marker(each)
            if item.get_closest_marker(each):
                slow[each].add(unit(item.nodeid))
    begin_first = [*slow.values(), LONG]
    items.sort(key=lambda item: [unit(item.nodeid) not in each for each in begin_first])


def unit(nodeid):
    """What stays on one worker: a module, or all modules that share the lake of tests/runbook."""
    module = nodeid.partition("::")[0].removeprefix("tests/")
    return "runbook" if module in SHARE_A_LAKE else module


def pytest_xdist_make_scheduler(config, log):
    config.option.loadscopereorder = False  # else the units with most tests begin first
    scheduler = LoadScopeScheduling(config, log)
    scheduler._split_scope = unit
    return scheduler


@pytest.fixture(scope="session")
def jvm():
    """Asked for by all that runs Spark, which marks the tests."""


@pytest.fixture(scope="module", autouse=True)
def _as_found():
    """Environment, working directory and default session are after a module as they were before."""
    environment, directory = dict(os.environ), Path.cwd()
    with settings.settling(0), role_propagation(0):
        yield
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(directory)
    boto3.DEFAULT_SESSION = None


@pytest.fixture
def slow_to_settle():
    """What a test begins takes half a second, so that its state before is seen."""
    with settings.settling(0.5):
        yield


@pytest.fixture(scope="module")
def stand_in(tmp_path_factory):
    """The environment variables of a running stand-in without a source database; they are set in
    this process too. Each module has one of its own, so an empty account.
    """
    with local_aws.running(tmp_path_factory.mktemp("stand-in")) as environment:
        yield environment


@pytest.fixture
def aws(stand_in):
    """boto3.client, against the stand-in."""
    return boto3.client
