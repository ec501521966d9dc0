"""A source database with every type and name that PostgreSQL allows (tests/nasty.sql), behind a
secret.
"""

from __future__ import annotations

import json
from pathlib import Path

import boto3
import pytest

from lakebook.source.engines import connect_source
from local_aws.engines.postgresql import Server

SCHEMAS = ["nasty", 'Sché"ma']
SECRET = "nasty"
LOB_MAX_KILOBYTES = 32


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    server = Server(tmp_path_factory.mktemp("postgresql"))
    server.start()
    with server.connect() as admin:
        admin.execute("create database nasty")
    with server.connect("nasty") as admin:
        admin.execute(Path(__file__).with_name("nasty.sql").read_text())
    yield server
    server.remove()


@pytest.fixture(scope="module")
def secrets(stand_in, server):
    """A Secrets Manager holding the source's secret; yields the client."""
    client = boto3.client("secretsmanager")
    client.create_secret(
        Name=SECRET, SecretString=json.dumps(server.source("postgres", "nasty").to_secret())
    )
    yield client
    client.delete_secret(SecretId=SECRET, ForceDeleteWithoutRecovery=True)


@pytest.fixture(scope="module")
def source(secrets):
    source = connect_source(SECRET)
    yield source
    source.close()


@pytest.fixture(scope="module")
def tables(source):
    """The tables by name."""
    return {table.name: table for table in source.tables(SCHEMAS)}


@pytest.fixture
def admin(server):
    """A connection that may write."""
    with server.connect("nasty") as connection:
        yield connection
