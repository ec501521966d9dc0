"""What AWS answers is not always what was sent: names, spellings, defaults and order differ, and
nothing is called again for that.
"""

import boto3
import foundation
import pytest
from nasty_source import SECRET, secrets, server, source  # noqa: F401 - fixtures

from lakebook import ensure
from lakebook.ensure import calls
from lakebook.services import dms, ec2

# ruff: noqa: F811 - fixtures

NAMES = foundation.names("echoes")


@pytest.fixture(scope="module")
def made(source):
    """The foundation and what 03 declares up to the task, made once; the declarations."""
    ensure(foundation.bootstrap(NAMES), apply=True)
    parts = foundation.parts(NAMES, services=("kms",), cidr="10.62.0.0/16")
    declared = [each for part in parts.values() for each in part]
    ensure(declared, apply=True)
    endpoint = source.dms_endpoint(NAMES.role_arn("dms-secret"), "none")
    subnets = ec2.subnets(NAMES, [])
    replication = dms.replication(
        NAMES, endpoint, {"rules": []}, subnets, "dms.t3.medium", 50, 32, 1, "gzip"
    )
    untested = [each for each in replication if not each.name.startswith("tested connection")]
    ensure(untested[:4], apply=True)
    return [*declared, *untested[:4]]


def needed(made):
    return [(name, call.action, call.arguments) for name, call in calls(made)]


def test_what_was_made_is_as_declared_however_aws_answers_it(made):
    assert needed(made) == []
    filters = [{"Name": "endpoint-id", "Values": [NAMES.resource("raw")]}]
    found = boto3.client("dms").describe_endpoints(Filters=filters)["Endpoints"][0]["S3Settings"]
    assert (found["CompressionType"], found["EncryptionMode"]) == ("GZIP", "SSE_KMS")
