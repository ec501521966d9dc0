"""The stand-in answers as AWS documents it; `make conformance` asks AWS the same questions."""

import json
import subprocess
import sys
from pathlib import Path

import boto3
import foundation
import pytest
from conformance import (  # noqa: F401 - their questions
    audit,
    catalog,
    dashboards,
    endpoints,
    identity,
    jobs,
    models,
    network,
    replication,
    storage,
    warehouse,
)
from conformance.question import AT_MOST_USD, PREFIX, QUESTIONS, Sandbox
from dms_tasks import role, subnet_ids

from local_aws import settings
from local_aws.engines.postgresql import Server, Source


@pytest.fixture(scope="module")
def sandbox(stand_in, tmp_path_factory):
    """The stand-in as a sandbox, with a PostgreSQL."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(settings, "log_delivery_seconds", 0.5)
        patch.setattr(settings, "digest_delivery_seconds", 1.0)
        yield from _sandbox(tmp_path_factory)


def _sandbox(tmp_path_factory):
    with Server(tmp_path_factory.mktemp("source") / "postgresql") as server:
        with server.connect() as admin:
            admin.autocommit = True
            admin.execute("create database asked")
        role("dms-vpc-role"), role("dms-cloudwatch-logs-role", allowed=["logs:*"])
        url = Source.from_url(server.url(database="asked"))
        boto3.client("secretsmanager").create_secret(
            Name="asked", SecretString=json.dumps(url.to_secret())
        )
        made = Sandbox(foundation.ACCOUNT, foundation.REGION, "asked", subnet_ids())
        with made.undo:
            yield made
        assert left() == []
        server.remove()


def left():
    """The names and ids of what was made for questions and is still there."""
    s3, iam, glue = boto3.client("s3"), boto3.client("iam"), boto3.client("glue")
    ec2, dms, athena = boto3.client("ec2"), boto3.client("dms"), boto3.client("athena")
    serverless, trails = boto3.client("redshift-serverless"), boto3.client("cloudtrail")
    quicksight, account = boto3.client("quicksight"), {"AwsAccountId": foundation.ACCOUNT}
    vpcs = ec2.describe_vpcs(Filters=[{"Name": "is-default", "Values": ["false"]}])["Vpcs"]
    names = [
        *(each["RoleName"] for each in iam.list_roles()["Roles"]),
        *(each["Name"] for each in s3.list_buckets()["Buckets"]),
        *(each["Name"] for each in glue.get_databases()["DatabaseList"]),
        *(each["EndpointIdentifier"] for each in dms.describe_endpoints()["Endpoints"]),
        *(each["Name"] for each in athena.list_work_groups()["WorkGroups"]),
        *(each["workgroupName"] for each in serverless.list_workgroups()["workgroups"]),
        *(each["namespaceName"] for each in serverless.list_namespaces()["namespaces"]),
        *(each["Name"] for each in trails.describe_trails()["trailList"]),
        *(each["DataSetId"] for each in quicksight.list_data_sets(**account)["DataSetSummaries"]),
    ]
    found = [each for each in names if each.replace("_", "-").startswith(PREFIX)]
    return found + [each["VpcId"] for each in vpcs]


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda each: each.name)
def test_the_stand_in_answers_as_aws_documents(sandbox, question):
    if question.only_aws:
        pytest.skip(question.only_aws)
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
