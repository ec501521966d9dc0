"""What all tests share: an AWS account for each module, nothing left behind by one for the next,
and no way to any address outside the machine.
"""

import os
import socket
from pathlib import Path

import boto3
import pytest

import local_aws
from lakebook.ensure import role_propagation

_connect = socket.socket.connect


def _connect_to_loopback_only(self, address):
    if self.family != socket.AF_UNIX and address[0] not in ("127.0.0.1", "::1", "localhost"):
        raise AssertionError(f"a test tried to reach {address}")
    return _connect(self, address)


def pytest_configure():
    socket.socket.connect = _connect_to_loopback_only


@pytest.fixture(scope="module", autouse=True)
def _as_found():
    """Environment, working directory and default session are after a module as they were before."""
    environment, directory = dict(os.environ), Path.cwd()
    with role_propagation(0):
        yield
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(directory)
    boto3.DEFAULT_SESSION = None


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
