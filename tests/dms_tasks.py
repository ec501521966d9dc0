"""DMS tasks against the stand-in: the fixtures and the few steps that the tests of DMS share."""

from __future__ import annotations

import io
import json
import uuid

import boto3
import pyarrow.parquet as pq
import pytest
import service_roles
from until import until

DMS, REGION = "dms.amazonaws.com", "eu-west-1"
INCLUDE_ALL = [{"schema-name": "nasty", "table-name": "%"}]


def role(name, principal=DMS, allowed=()):
    """A role for DMS that may do the `allowed` actions to everything."""
    return service_roles.role(name, principal, allowed)


def subnet_ids():
    return [
        each["SubnetId"]
        for each in boto3.client("ec2").describe_subnets(
            Filters=[{"Name": "default-for-az", "Values": ["true"]}]
        )["Subnets"]
    ]


def included(*locators, action="include", **more):
    return [
        {"rule-type": "selection", "rule-action": action, "object-locator": each, **more}
        for each in locators
    ]


def transformed(action, target, locator, **more):
    return {
        "rule-type": "transformation",
        "rule-action": action,
        "rule-target": target,
        "object-locator": locator,
        **more,
    }


def mapping(rules):
    return json.dumps(
        {
            "rules": [
                {"rule-id": str(n), "rule-name": str(n), **rule} for n, rule in enumerate(rules, 1)
            ]
        }
    )


class Place:
    """An instance, a bucket and endpoints, all with names of their own."""

    def __init__(self, server):
        self.server, self.dms, self.s3, self.end = (
            server,
            boto3.client("dms"),
            boto3.client("s3"),
            uuid.uuid4().hex[:8],
        )
        self.secret_role = role(
            "dms-test-secret", f"dms.{REGION}.amazonaws.com", ["secretsmanager:GetSecretValue"]
        )
        self.s3_role = role(
            "dms-test-s3", allowed=["s3:ListBucket", "s3:PutObject", "s3:DeleteObject", "kms:*"]
        )
        role("dms-vpc-role"), role("dms-cloudwatch-logs-role", allowed=["logs:*"])
        self.bucket = f"dms-test-{self.end}"
        self.s3.create_bucket(
            Bucket=self.bucket, CreateBucketConfiguration={"LocationConstraint": REGION}
        )
        self.dms.create_replication_subnet_group(
            ReplicationSubnetGroupIdentifier=f"group-{self.end}",
            ReplicationSubnetGroupDescription="tests",
            SubnetIds=subnet_ids(),
        )
        created = self.dms.create_replication_instance(
            ReplicationInstanceIdentifier=f"Instance-{self.end}",
            ReplicationInstanceClass="dms.t3.medium",
            ReplicationSubnetGroupIdentifier=f"group-{self.end}",
            PubliclyAccessible=False,
        )
        assert created["ReplicationInstance"]["ReplicationInstanceStatus"] == "creating"
        self.instance = created["ReplicationInstance"]["ReplicationInstanceArn"]
        self.dms.get_waiter("replication_instance_available").wait(
            Filters=[{"Name": "replication-instance-arn", "Values": [self.instance]}],
            WaiterConfig={"Delay": 0.05},
        )

    def secret(self, **changed):
        name = f"dms-test-{uuid.uuid4().hex}"
        content = {**self.server.source("postgres", "nasty").to_secret(), **changed}
        boto3.client("secretsmanager").create_secret(Name=name, SecretString=json.dumps(content))
        return name

    def source(self, **settings):
        secret = (
            {}
            if "SecretsManagerSecretId" in settings
            else {"SecretsManagerSecretId": self.secret()}
        )
        settings = {
            "DatabaseName": "nasty",
            "SecretsManagerAccessRoleArn": self.secret_role,
            "MapBooleanAsBoolean": True,
            **secret,
            **settings,
        }
        return self._endpoint("source", "postgres", PostgreSQLSettings=settings)

    def target(self, **settings):
        settings = {
            "BucketName": self.bucket,
            "ServiceAccessRoleArn": self.s3_role,
            "DataFormat": "parquet",
            **settings,
        }
        return self._endpoint("target", "s3", S3Settings=settings)

    def _endpoint(self, kind, engine, **settings):
        name = f"endpoint-{uuid.uuid4().hex[:8]}"
        return self.dms.create_endpoint(
            EndpointIdentifier=name, EndpointType=kind, EngineName=engine, **settings
        )["Endpoint"]["EndpointArn"]

    def test(self, endpoint):
        """The connection after its test."""
        tested = self.dms.test_connection(
            ReplicationInstanceArn=self.instance, EndpointArn=endpoint
        )
        assert tested["Connection"]["Status"] == "testing"
        arns = {"endpoint-arn": endpoint, "replication-instance-arn": self.instance}
        filters = [{"Name": name, "Values": [arn]} for name, arn in arns.items()]
        return until(
            lambda: self.dms.describe_connections(Filters=filters)["Connections"][0],
            lambda it: it["Status"] != "testing",
        )

    def task(self, rules, settings=None, source=None, target=None):
        """The ARN of a task that is ready, its connections tested."""
        ends = [source or self.source(), target or self.target()]
        for each in ends:
            assert self.test(each)["Status"] == "successful"
        arn = self.dms.create_replication_task(
            ReplicationTaskIdentifier=f"task-{uuid.uuid4().hex[:8]}",
            SourceEndpointArn=ends[0],
            TargetEndpointArn=ends[1],
            ReplicationInstanceArn=self.instance,
            MigrationType="full-load",
            TableMappings=mapping(rules),
            ReplicationTaskSettings=json.dumps(settings or {}),
        )["ReplicationTask"]["ReplicationTaskArn"]
        self.wait(arn, "ready")
        return arn

    def show(self, arn):
        return self.dms.describe_replication_tasks(
            Filters=[{"Name": "replication-task-arn", "Values": [arn]}]
        )["ReplicationTasks"][0]

    def wait(self, arn, *states):
        return until(lambda: self.show(arn), lambda it: it["Status"] in states)

    def start(self, arn, kind="start-replication"):
        started = self.dms.start_replication_task(
            ReplicationTaskArn=arn, StartReplicationTaskType=kind
        )
        assert started["ReplicationTask"]["Status"] == "starting"

    def run(self, arn, kind="start-replication"):
        """The task after a run."""
        self.start(arn, kind)
        return self.wait(arn, "stopped", "failed")

    def load(self, rules, settings=None, source=None, target=None):
        """The states of the tables after a run of a new task."""
        arn = self.task(rules, settings, source, target)
        ended = self.run(arn)
        assert (ended["Status"], ended["StopReason"]) == (
            "stopped",
            "Stop Reason FULL_LOAD_ONLY_FINISHED",
        ), ended.get("LastFailureMessage")
        return self.states(arn)

    def states(self, arn):
        found = self.dms.describe_table_statistics(ReplicationTaskArn=arn)["TableStatistics"]
        return {each["TableName"]: (each["TableState"], each["FullLoadRows"]) for each in found}

    def keys(self, prefix=""):
        return [
            each["Key"]
            for each in self.s3.list_objects_v2(Bucket=self.bucket, Prefix=prefix).get(
                "Contents", []
            )
        ]

    def bytes(self, key):
        return self.s3.get_object(Bucket=self.bucket, Key=key)["Body"].read()

    def parquet(self, key):
        return pq.ParquetFile(io.BytesIO(self.bytes(key)))

    def table(self, name, folder=""):
        return self.parquet(f"{folder}nasty/{name}/LOAD00000001.parquet").read()


@pytest.fixture(scope="module")
def place(stand_in, server):
    return Place(server)


def code(error):
    return error.value.response["Error"]["Code"]


def message(error):
    return error.value.response["Error"]["Message"]
