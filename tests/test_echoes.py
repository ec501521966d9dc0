"""What AWS answers is not always what was sent: names, spellings, defaults and order differ, and
nothing is called again for that.
"""

import copy

import boto3
import foundation
import pytest
from nasty_source import SECRET, secrets, server, source  # noqa: F401 - fixtures

from lakebook import ensure
from lakebook.ensure import calls
from lakebook.services import dms, ec2, kms
from local_aws.dms.endpoints import Endpoints

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


def described_as(monkeypatch, member, **changes):
    """Let DMS answer an endpoint's settings otherwise; None leaves a member out."""
    answer = Endpoints.DescribeEndpoints

    def otherwise(self, call):
        found = copy.deepcopy(answer(self, call))
        for each in found["Endpoints"]:
            if member in each:
                told = {**each[member], **changes}
                each[member] = {name: e for name, e in told.items() if e is not None}
        return found

    monkeypatch.setattr(Endpoints, "DescribeEndpoints", otherwise)


def test_a_secret_answered_by_its_arn_and_a_default_that_is_left_out_need_no_call(
    made, secrets, monkeypatch
):
    arn = secrets.describe_secret(SecretId=SECRET)["ARN"]
    described_as(
        monkeypatch, "PostgreSQLSettings", SecretsManagerSecretId=arn, HeartbeatEnable=None
    )
    assert needed(made) == []
    described_as(
        monkeypatch, "PostgreSQLSettings", SecretsManagerSecretId=arn.replace(":nasty", ":nicer")
    )
    assert [action for _, action, _ in needed(made)] == ["dms:ModifyEndpoint"]


def test_settings_that_dms_does_not_take_when_it_makes_an_endpoint_are_given_again(
    made, monkeypatch
):
    create = Endpoints.CreateEndpoint

    def forgetful(self, call):
        settings = call.parameters["S3Settings"]
        key = settings.pop("ServerSideEncryptionKmsKeyId")
        settings["EncryptionMode"] = "sse-s3"
        answer = create(self, call)
        self.endpoints[answer["Endpoint"]["EndpointArn"]]["S3Settings"].update(
            EncryptionMode="SSE_KMS", ServerSideEncryptionKmsKeyId=f"not {key}"
        )
        return answer

    monkeypatch.setattr(Endpoints, "CreateEndpoint", forgetful)
    key = kms.key_arn(kms.alias(NAMES))
    settings = dms.s3_settings(NAMES.raw_bucket, NAMES.role_arn("dms-s3"), key, "none")
    wanted = dms.endpoint(NAMES.resource("again"), "target", EngineName="s3", S3Settings=settings)
    assert [call.action for _, call in calls([wanted])] == ["dms:CreateEndpoint"]
    ensure([wanted], apply=True)
    assert calls([wanted]) == []
