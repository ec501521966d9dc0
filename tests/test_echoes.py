"""What AWS answers is not always what was sent: names, spellings, defaults and order differ, and
nothing is called again for that.
"""

import boto3
import foundation
import pandas as pd
import pytest
from echoes import needed_otherwise
from nasty_source import SECRET, secrets, server, source, tables  # noqa: F401 - fixtures

from lakebook import LakebookError, ensure
from lakebook import foundation as lakebook_foundation
from lakebook.ensure import calls
from lakebook.services import dms, ec2, flow_logs, kms
from lakebook.services.dms_table_mapping import table_mapping
from local_aws.budgets import Budgets
from local_aws.dms.endpoints import Endpoints
from local_aws.dms.service import Dms
from local_aws.errors import ApiError
from local_aws.stand_in import StandIn

# ruff: noqa: F811 - fixtures

NAMES = foundation.names("echoes")
ALLOWED = "acme-source"  # the secret that the role of `foundation.parts` may read


@pytest.fixture(scope="module")
def made(stand_in, source, secrets, tables):
    """The foundation and what 03 declares, made once; the declarations."""
    ensure(foundation.bootstrap(NAMES), apply=True)
    parts = foundation.parts(NAMES, services=("kms",), cidr="10.62.0.0/16")
    declared = [each for part in parts.values() for each in part]
    ensure(declared, apply=True)
    content = secrets.get_secret_value(SecretId=SECRET)["SecretString"]
    secrets.create_secret(Name=ALLOWED, SecretString=content)
    endpoint = source.dms_endpoint(NAMES.role_arn("dms-secret"), "none")
    endpoint["PostgreSQLSettings"]["SecretsManagerSecretId"] = ALLOWED
    mapping = table_mapping([each for each in tables.values() if each.replicated][:2])
    subnets = ec2.subnets(NAMES, [])
    replication = dms.replication(
        NAMES, endpoint, mapping, subnets, "dms.t3.medium", 50, 32, 1, "gzip"
    )
    ensure(replication, apply=True)
    yield [*declared, *replication]
    secrets.delete_secret(SecretId=ALLOWED, ForceDeleteWithoutRecovery=True)


def needed(made):
    return [(name, call.action, call.arguments) for name, call in calls(made)]


def test_what_was_made_is_as_declared_however_aws_answers_it(made):
    assert needed(made) == []
    filters = [{"Name": "endpoint-id", "Values": [NAMES.resource("raw")]}]
    found = boto3.client("dms").describe_endpoints(Filters=filters)["Endpoints"][0]["S3Settings"]
    assert (found["CompressionType"], found["EncryptionMode"]) == ("GZIP", "SSE_KMS")


def described_as(**settings):
    """How DMS may describe an endpoint's PostgreSQL settings; None leaves a member out."""

    def change(operation, told):
        for each in told["Endpoints"] if operation == "DescribeEndpoints" else []:
            if found := each.get("PostgreSQLSettings"):
                found.update(settings)
                each["PostgreSQLSettings"] = {n: e for n, e in found.items() if e is not None}
        return told

    return change


def test_a_secret_answered_by_its_arn_and_a_default_that_is_left_out_need_no_call(made, secrets):
    arn = secrets.describe_secret(SecretId=ALLOWED)["ARN"]
    by_arn = described_as(SecretsManagerSecretId=arn, HeartbeatEnable=None)
    assert needed_otherwise(made, by_arn) == []
    other = described_as(SecretsManagerSecretId=arn.replace(f":{ALLOWED}", ":nicer"))
    assert [action for _, action, _ in needed_otherwise(made, other)] == ["dms:ModifyEndpoint"]


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


# --- what AWS says in an answer of 200, or late
# --------------------------------------------------------------------------------------------------


def test_flow_logs_that_aws_did_not_make_are_tried_again_and_then_said(made, monkeypatch):
    place, role = ec2.Network(NAMES), NAMES.role_arn("flow-logs")
    boto3.client("logs").create_log_group(logGroupName="/aws/vpc-flow-logs/other")
    wanted = flow_logs.flow_log("/aws/vpc-flow-logs/other", place, role)
    answers = [False, False, True]
    monkeypatch.setattr(StandIn, "may_assume", lambda *_: answers.pop(0))
    monkeypatch.setattr(flow_logs, "RETRY_SECONDS", 0)
    ensure([wanted], apply=True)
    assert (answers, calls([wanted])) == ([], [])
    monkeypatch.setattr(StandIn, "may_assume", lambda *_: False)
    wanted = flow_logs.flow_log("/aws/vpc-flow-logs/never", place, role)
    with pytest.raises(LakebookError, match="Unable to assume given IAM role"):
        ensure([wanted], apply=True)


def test_flow_logs_that_are_not_delivered_are_one_clear_sentence(made):
    def denied(operation, told):
        for each in told["FlowLogs"] if operation == "DescribeFlowLogs" else []:
            each |= {"DeliverLogsStatus": "FAILED", "DeliverLogsErrorMessage": "Access error"}
        return told

    place, role = ec2.Network(NAMES), NAMES.role_arn("flow-logs")
    wanted = flow_logs.flow_log(flow_logs.group_name(NAMES), place, role)
    assert calls([wanted]) == []
    with pytest.raises(LakebookError, match=r"does not deliver the flow logs fl-.*: Access error"):
        needed_otherwise([wanted], denied)


def test_what_a_task_stopped_for_before_does_not_stop_a_run_that_is_starting(monkeypatch):
    answers = iter(
        [
            {"Status": "starting", "StopReason": "Stop Reason FATAL_ERROR"},
            {"Status": "stopped", "StopReason": "Stop Reason FULL_LOAD_ONLY_FINISHED"},
            {"Status": "stopped", "StopReason": "Stop Reason FATAL_ERROR"},
        ]
    )
    monkeypatch.setattr(dms, "task", lambda _: {"ReplicationTaskArn": "a", **next(answers)})
    monkeypatch.setattr(dms, "table_states", lambda _: pd.DataFrame({"rows": [], "state": []}))
    assert dms._awaits_full_load("a task", {}) == "starting"
    assert dms._awaits_full_load("a task", {}) is None
    with pytest.raises(LakebookError, match="FATAL_ERROR"):
        dms._awaits_full_load("a task", {})


def test_a_task_that_has_no_statistics_yet_has_no_states(made, monkeypatch):
    def refused(*_):
        raise ApiError("InvalidResourceStateFault", "The task is starting.")

    monkeypatch.setattr(Dms, "DescribeTableStatistics", refused)
    monkeypatch.setattr(dms, "task", lambda _: {"ReplicationTaskArn": "arn:aws:dms:::task:A"})
    assert len(dms.table_states("a task")) == 0


@pytest.mark.parametrize(
    ("found", "seen"),
    [
        ({"ReplicationInstanceStatus": "available", "AllocatedStorage": 50}, "to be modified"),
        ({"ReplicationInstanceStatus": "modifying", "AllocatedStorage": 50}, "modifying"),
        ({"ReplicationInstanceStatus": "available", "AllocatedStorage": 70}, None),
    ],
)
def test_a_change_of_an_instance_that_begins_late_is_waited_for(monkeypatch, found, seen):
    monkeypatch.setattr(dms, "_instance", lambda _: found)
    assert dms._awaits_instance("an instance", {}, wanted={"AllocatedStorage": 70}) == seen


def test_an_instance_that_does_not_mend_itself_is_one_clear_sentence(monkeypatch):
    broken = {"ReplicationInstanceStatus": "incompatible-network"}
    monkeypatch.setattr(dms, "_instance", lambda _: broken)
    with pytest.raises(LakebookError, match="is incompatible-network and does not mend itself"):
        dms._awaits_instance("an instance", {})


def test_a_budget_that_roles_may_not_see_is_one_clear_sentence_and_a_parameter(
    stand_in, monkeypatch
):
    def refused(*_):
        raise ApiError("AccessDeniedException", "Account does not have access to billing.")

    monkeypatch.setattr(Budgets, "DescribeBudget", refused)
    asked = (NAMES, [], 900)
    with pytest.raises(LakebookError, match="monthly_budget_usd: 0"):
        calls(lakebook_foundation.alerts(*asked, 500)[-1:])
    names = [each.name for each in lakebook_foundation.alerts(*asked, 0)]
    assert not [each for each in names if "budget" in each]


# --- order and spelling
# --------------------------------------------------------------------------------------------------


def test_the_order_and_spelling_of_answers_need_no_call(made):
    assert needed_otherwise(made) == []


def test_what_s3_adds_to_a_buckets_settings_needs_no_call(made):
    """BlockedEncryptionTypes and TransitionDefaultMinimumObjectSize are in answers of S3 though
    nobody sent them.

    https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetBucketEncryption.html
    https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetBucketLifecycleConfiguration.html
    """

    def more(operation, told):
        if operation == "GetBucketEncryption":
            for rule in told["ServerSideEncryptionConfiguration"]["Rules"]:
                rule["BlockedEncryptionTypes"] = {"EncryptionType": ["SSE-C"]}
        if operation == "GetBucketLifecycleConfiguration":
            told["TransitionDefaultMinimumObjectSize"] = "all_storage_classes_128K"
        return told

    assert needed_otherwise(made, more) == []
