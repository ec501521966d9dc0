"""What all tests share: one stand-in for the session, and no way to any address outside the
machine.
"""

import socket

import boto3
import pytest

import local_aws

_connect = socket.socket.connect


def _connect_to_loopback_only(self, address):
    if self.family != socket.AF_UNIX and address[0] not in ("127.0.0.1", "::1", "localhost"):
        raise AssertionError(f"a test tried to reach {address}")
    return _connect(self, address)


def pytest_configure():
    socket.socket.connect = _connect_to_loopback_only


@pytest.fixture(scope="session")
def stand_in(tmp_path_factory):
    """The environment variables of a running stand-in without a source database; they are set in
    this process too.
    """
    with local_aws.running(tmp_path_factory.mktemp("stand-in")) as environment:
        yield environment


@pytest.fixture
def aws(stand_in):
    """boto3.client, against the stand-in."""
    return boto3.client
