"""AWS DMS: the subnet group, instance, endpoints and task of a full load, its run, and its verdict
table by table.
"""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING, Any

import pandas as pd
from botocore.exceptions import ClientError

from lakebook import aws
from lakebook.ensure import Call, Resource, current, resource
from lakebook.errors import LakebookError
from lakebook.services import dms_certificate, ec2, iam, kms

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lakebook.names import Names
    from lakebook.source.model import Table

GONE = "ResourceNotFoundFault"
# of the states of a replication instance in its API reference, those that end by no waiting
BROKEN = ("failed", "incompatible-credentials", "incompatible-network", "storage-full")


@resource
def subnet_group(name: str, subnet_ids: list[str]) -> Iterator[Call]:
    """Where the replication instance lives: subnets in at least two Availability Zones."""
    dms = aws.client("dms")
    actual = _one(
        dms.describe_replication_subnet_groups,
        "ReplicationSubnetGroups",
        "replication-subnet-group-id",
        name,
    )
    desired = {
        "ReplicationSubnetGroupIdentifier": name,
        "ReplicationSubnetGroupDescription": f"lakebook {name}",
        "SubnetIds": subnet_ids,
    }
    if actual is None:
        yield Call(dms.create_replication_subnet_group, desired)
    elif {each["SubnetIdentifier"] for each in actual["Subnets"]} != set(subnet_ids):
        yield Call(dms.modify_replication_subnet_group, desired)


@resource
def replication_instance(
    name: str,
    instance_class: str,
    allocated_storage_gib: int,
    subnet_group_name: str,
    security_group_ids: list[str],
) -> Iterator[Call]:
    """The machine that copies: never public, ready when its status is `available`."""
    dms = aws.client("dms")
    actual = _instance(name)
    desired = {
        "ReplicationInstanceClass": instance_class,
        "AllocatedStorage": allocated_storage_gib,
    }
    if actual is None:
        settings = {
            "ReplicationSubnetGroupIdentifier": subnet_group_name,
            "PubliclyAccessible": False,
            "MultiAZ": False,
        }
        groups = {"VpcSecurityGroupIds": security_group_ids}
        arguments = {"ReplicationInstanceIdentifier": name, **desired, **settings, **groups}
        yield Call(
            dms.create_replication_instance,
            arguments,
            until=partial(_awaits_instance, name),
            timeout_seconds=1800,
        )
    elif not desired.items() <= actual.items() or _groups(actual) != set(security_group_ids):
        groups = {"VpcSecurityGroupIds": security_group_ids}
        arguments = {
            "ReplicationInstanceArn": actual["ReplicationInstanceArn"],
            **desired,
            **groups,
            "ApplyImmediately": True,
        }
        yield Call(
            dms.modify_replication_instance,
            arguments,
            until=partial(_awaits_instance, name, wanted=desired),
            timeout_seconds=1800,
        )


@resource
def endpoint(name: str, kind: str, certificate: str = "", **settings: Any) -> Iterator[Call]:
    """A `source` or `target` endpoint; `settings` are members of the API, e.g. `EngineName="s3"`,
    `SslMode="require"`, `S3Settings={…}`; `certificate` is the identifier of what it verifies by.
    """
    if certificate:
        settings["CertificateArn"] = dms_certificate.arn(certificate)
    dms = aws.client("dms")
    actual = _one(dms.describe_endpoints, "Endpoints", "endpoint-id", name)
    if actual is None:
        desired = {"EndpointIdentifier": name, "EndpointType": kind, **settings}
        yield Call(dms.create_endpoint, desired)
        # a key in S3Settings may only be taken by the second call, as the S3 endpoint of
        # terraform-provider-aws has it
        actual = _one(dms.describe_endpoints, "Endpoints", "endpoint-id", name)
    if actual and not all(_holds(member, actual.get(member), e) for member, e in settings.items()):
        yield Call(dms.modify_endpoint, {"EndpointArn": actual["EndpointArn"], **settings})


@resource
def tested_connection(endpoint_name: str, instance_name: str) -> Iterator[Call]:
    """Proof that the instance reaches an endpoint: DMS's own connection test, successful since the
    endpoint last changed.
    """
    dms = aws.client("dms")
    actual = _connection(endpoint_name, instance_name)
    if actual is None or actual["Status"] != "successful":
        arguments = {
            "ReplicationInstanceArn": _instance_arn(instance_name),
            "EndpointArn": _endpoint_arn(endpoint_name),
        }
        yield Call(
            dms.test_connection,
            arguments,
            until=partial(_awaits_connection, endpoint_name, instance_name),
            timeout_seconds=300,
        )


@resource
def full_load_task(
    name: str,
    source: str,
    target: str,
    instance_name: str,
    table_mapping: dict[str, Any],
    settings: dict[str, Any],
) -> Iterator[Call]:
    """The task that copies the tables of the mapping once; what AWS adds to the settings by itself
    does not count as drift.
    """
    dms, actual = aws.client("dms"), task(name)
    desired = {
        "TableMappings": json.dumps(table_mapping),
        "ReplicationTaskSettings": json.dumps(settings),
    }
    if actual is None:
        ends = {
            "SourceEndpointArn": _endpoint_arn(source),
            "TargetEndpointArn": _endpoint_arn(target),
            "ReplicationInstanceArn": _instance_arn(instance_name),
        }
        arguments = {
            "ReplicationTaskIdentifier": name,
            "MigrationType": "full-load",
            **ends,
            **desired,
        }
        yield Call(dms.create_replication_task, arguments, until=partial(_awaits_task, name))
    elif json.loads(actual["TableMappings"]) != table_mapping or not _contains(
        json.loads(actual["ReplicationTaskSettings"]), settings
    ):
        arguments = {"ReplicationTaskArn": actual["ReplicationTaskArn"], **desired}
        yield Call(dms.modify_replication_task, arguments, until=partial(_awaits_task, name))


@resource
def full_load(name: str, *, verified: bool, timeout_seconds: float) -> Iterator[Call]:
    """One run of the task, from the first row of every table; none is needed where what it would
    deliver is `verified`.
    """
    if verified:
        return
    dms, actual = aws.client("dms"), task(name)
    fresh = actual is None or not actual.get("ReplicationTaskStats", {}).get("FreshStartDate")
    arguments = {
        "ReplicationTaskArn": actual and actual["ReplicationTaskArn"],
        "StartReplicationTaskType": "start-replication" if fresh else "reload-target",
    }
    yield Call(
        dms.start_replication_task,
        arguments,
        until=partial(_awaits_full_load, name),
        timeout_seconds=timeout_seconds,
    )


def roles(names: Names, secrets: dict[str, str]) -> list[Resource]:
    """The roles DMS takes: two that it demands by name, one for the raw bucket, and one for the
    secret of each source; `secrets` maps a source's name, "" of the default one, to its secret.

    Source: "Creating the IAM roles to use with AWS DMS".
    """
    bucket_arn = f"arn:aws:s3:::{names.raw_bucket}"
    writes = {f"{bucket_arn}/*": ["s3:PutObject", "s3:DeleteObject", "s3:PutObjectTagging"]}
    demanded = {
        "dms-vpc-role": "service-role/AmazonDMSVPCManagementRole",
        "dms-cloudwatch-logs-role": "service-role/AmazonDMSCloudWatchLogsRole",
    }
    bounds: dict[str, Any] = {
        "boundary": names.boundary_arn,
        "tags": names.tags,
        "source_account": names.account,
    }
    return [
        *(
            iam.role(name, "dms.amazonaws.com", managed=(policy,), **bounds)
            for name, policy in demanded.items()
        ),
        iam.service_role(
            names,
            "dms-s3",
            "dms.amazonaws.com",
            allow={**writes, bucket_arn: ["s3:ListBucket", "s3:GetBucketLocation"]},
        ),
        *(_secret_role(names, source, secret) for source, secret in secrets.items()),
    ]


def _secret_role(names: Names, source: str, secret: str) -> Resource:
    """The role that reads the secret of one source, and no other.

    It is taken by the Region's DMS, of which no condition on the account is documented:
    https://docs.aws.amazon.com/dms/latest/userguide/security_iam_secretsmanager.html
    """
    secret_arn = f"arn:aws:secretsmanager:{names.region}:{names.account}:secret:{secret}-*"
    return iam.role(
        names.resource("dms-secret", source),
        f"dms.{names.region}.amazonaws.com",
        allow={secret_arn: ["secretsmanager:GetSecretValue"]},
        statements=[_secrets_key(names, secret_arn)],
        boundary=names.boundary_arn,
        tags=names.tags,
    )


def _secrets_key(names: Names, secret_arn: str) -> dict[str, Any]:
    """The right to decrypt a secret with whichever key it has, through Secrets Manager alone.

    Source: "Secret encryption and decryption in AWS Secrets Manager".
    """
    through = {"kms:ViaService": f"secretsmanager.{names.region}.amazonaws.com"}
    return {
        "Action": "kms:Decrypt",
        "Resource": f"arn:aws:kms:{names.region}:{names.account}:key/*",
        "Condition": {
            "StringEquals": through,
            "StringLike": {"kms:EncryptionContext:SecretARN": secret_arn},
        },
    }


def replication(
    names: Names,
    source_endpoint: dict[str, Any],
    table_mapping: dict[str, Any],
    subnet_ids: list[str],
    instance_class: str,
    allocated_storage_gib: int,
    lob_max_kilobytes: int,
    tables_at_once: int,
    compression: str,
    authority: str = "",
    source: str = "",
    *,
    own_instance: bool = False,
) -> list[Resource]:
    """All that a full load needs, in order: subnet group, instance, endpoints with tested
    connections, task.

    `source_endpoint` is what `Source.dms_endpoint` says, `authority` the certificate in PEM by
    which the source is verified, if it is. Endpoints and task are those of the source of that name;
    sources share the instance, unless this one has its `own_instance`.
    """
    verified_by = dms_certificate.name(names, authority) if authority else ""
    certificates = (
        [dms_certificate.certificate(verified_by, authority, names.tags)] if authority else []
    )
    instance = names.resource("dms", source if own_instance else "")
    ends = (names.resource("source", source), names.resource("raw", source))
    settings = task_settings(lob_max_kilobytes, tables_at_once)
    target = s3_settings(
        names.raw_bucket, names.role_arn("dms-s3"), kms.key_arn(kms.alias(names)), compression
    )
    if source:  # files go to <folder>/<schema>/<table>/
        target["BucketFolder"] = source
    return [
        subnet_group(instance, subnet_ids),
        replication_instance(
            instance,
            instance_class,
            allocated_storage_gib,
            instance,
            ec2.security_group_ids(names, "dms", subnet_ids),
        ),
        *certificates,
        endpoint(ends[0], "source", verified_by, **source_endpoint),
        endpoint(ends[1], "target", EngineName="s3", S3Settings=target),
        *(tested_connection(each, instance) for each in ends),
        full_load_task(
            names.resource("full-load", source), *ends, instance, table_mapping, settings
        ),
    ]


def _holds(member: str, actual: Any, desired: Any) -> bool:
    """Whether a setting is as wanted, however DMS spells it; AWS adds members to those that were
    given.

    https://docs.aws.amazon.com/cli/latest/reference/dms/create-endpoint.html: `none` is answered
    as NONE, `sse-kms` as SSE_KMS; a secret given by its name may be answered by its ARN.
    """
    if isinstance(desired, dict):
        found = actual or {}
        return all(_holds(name, found.get(name), each) for name, each in desired.items())
    if member in ("CompressionType", "EncryptionMode"):
        return _spelt(actual) == _spelt(desired)
    if member == "SecretsManagerSecretId":
        name = str(actual).partition(":secret:")[2]
        return desired in (actual, name, name[:-7])  # AWS adds a hyphen and six characters
    if member == "HeartbeatEnable":
        return bool(actual) is bool(desired)  # off by default, and then not always answered
    return bool(actual == desired)


def _spelt(value: Any) -> str:
    return str(value).upper().replace("-", "_")


def task(name: str) -> dict[str, Any] | None:
    """The task as DMS describes it, or None."""
    return _one(
        aws.client("dms").describe_replication_tasks,
        "ReplicationTasks",
        "replication-task-id",
        name,
    )


def table_states(name: str) -> pd.DataFrame:
    """What became of each table: schema, table, state (`Table completed`, `Table error`, …), rows;
    empty before the first run.
    """
    actual = task(name)
    found = _statistics(actual["ReplicationTaskArn"]) if actual else []
    rows = [
        (each["SchemaName"], each["TableName"], each["TableState"], each["FullLoadRows"])
        for each in found
    ]
    return pd.DataFrame(rows, columns=["schema", "table", "state", "rows"]).sort_values(
        ["schema", "table"], ignore_index=True
    )


def _statistics(task_arn: str) -> list[dict[str, Any]]:
    """The statistics of a task's tables; none while it is in a state that has none yet."""
    pages = aws.client("dms").get_paginator("describe_table_statistics")
    try:
        listed = list(pages.paginate(ReplicationTaskArn=task_arn))
    except ClientError as error:
        if error.response["Error"]["Code"] == "InvalidResourceStateFault":
            return []
        raise
    return [dict(each) for page in listed for each in page["TableStatistics"]]


def unfinished(states: pd.DataFrame, wanted: list[Table]) -> list[str]:
    """The tables that are not `Table completed`, each with the state it is in."""
    seen = {f"{row.schema}.{row.table}": row.state for row in states.itertuples()}
    found = {
        each.full_name: seen.get(f"{each.schema}.{each.name}", "Table does not exist")
        for each in wanted
    }
    return [f"{name}: {state}" for name, state in found.items() if state != "Table completed"]


def task_settings(lob_max_kilobytes: int, tables_at_once: int) -> dict[str, Any]:
    """Task settings for a full load to S3: limited LOBs, the table's old files deleted first, logs
    on.
    """
    return {
        "TargetMetadata": {
            "SupportLobs": True,
            "LimitedSizeLobMode": True,
            "LobMaxSize": lob_max_kilobytes,
        },
        "FullLoadSettings": {
            "TargetTablePrepMode": "DROP_AND_CREATE",
            "MaxFullLoadSubTasks": tables_at_once,
        },
        "Logging": {"EnableLogging": True},
        "ErrorBehavior": {"FailOnNoTablesCaptured": True},
    }


def s3_settings(bucket: str, role_arn: str, key_arn: str, compression: str) -> dict[str, Any]:
    """Settings of the S3 target: Parquet with Op and timestamp columns on every row, so that
    readers never mix schemas.
    """
    return {
        "BucketName": bucket,
        "ServiceAccessRoleArn": role_arn,
        "DataFormat": "parquet",
        "ParquetVersion": "parquet-2-0",
        "CompressionType": compression,
        "EncryptionMode": "sse-kms",
        "ServerSideEncryptionKmsKeyId": key_arn,
        "IncludeOpForFullLoad": True,
        "TimestampColumnName": "dms_timestamp",
        "UseTaskStartTimeForFullLoadTimestamp": True,
        "ParquetTimestampInMillisecond": False,
    }


def _awaits_instance(
    name: str, _answer: dict[str, Any], wanted: dict[str, Any] | None = None
) -> str | None:
    """Until the instance is available, with the members `wanted`: a change may begin late."""
    actual = _instance(name) or {"ReplicationInstanceStatus": "absent"}
    status = str(actual["ReplicationInstanceStatus"])
    if status in BROKEN:
        raise LakebookError(
            f"The replication instance {name} is {status} and does not mend itself: see AWS DMS's"
            " console for the reason, delete it, and run this phase again."
        )
    if status == "available" and not (wanted or {}).items() <= actual.items():
        return "to be modified"
    return None if status == "available" else status


def _awaits_connection(
    endpoint_name: str, instance_name: str, _answer: dict[str, Any]
) -> str | None:
    actual = _connection(endpoint_name, instance_name) or {"Status": "testing"}
    if actual["Status"] == "failed":
        raise LakebookError(f"DMS cannot reach {endpoint_name}: {actual['LastFailureMessage']}")
    return None if actual["Status"] == "successful" else actual["Status"]


def _awaits_task(name: str, _answer: dict[str, Any]) -> str | None:
    status = (task(name) or {"Status": "absent"})["Status"]
    return None if status in ("ready", "stopped", "failed") else status


def _awaits_full_load(name: str, _answer: dict[str, Any]) -> str | None:
    actual = task(name)
    if actual is None:
        raise LakebookError(f"The task {name} disappeared while it ran; run this phase again.")
    # a reason may be left from the run before while this one is starting
    stopped = actual["Status"] == "stopped"
    if actual["Status"] == "failed" or (stopped and "ERROR" in actual.get("StopReason", "")):
        raise LakebookError(
            f"The full load failed: {actual.get('LastFailureMessage') or actual.get('StopReason')}"
        )
    if stopped:
        return None
    states, rows = table_states(name), 0
    rows = int(states["rows"].sum())
    done = int((states["state"] == "Table completed").sum())
    return (
        f"{actual['Status']}, {done} of {len(states)} tables, {rows:,} rows"
        if len(states)
        else actual["Status"]
    )


def _instance(name: str) -> dict[str, Any] | None:
    return _one(
        aws.client("dms").describe_replication_instances,
        "ReplicationInstances",
        "replication-instance-id",
        name,
    )


def _groups(instance: dict[str, Any]) -> set[str]:
    return {each["VpcSecurityGroupId"] for each in instance.get("VpcSecurityGroups", [])}


def _instance_arn(name: str) -> str | None:
    return (_instance(name) or {}).get("ReplicationInstanceArn")


def _endpoint_arn(name: str) -> str | None:
    return (_one(aws.client("dms").describe_endpoints, "Endpoints", "endpoint-id", name) or {}).get(
        "EndpointArn"
    )


def _connection(endpoint_name: str, instance_name: str) -> dict[str, Any] | None:
    arns = {
        "endpoint-arn": _endpoint_arn(endpoint_name),
        "replication-instance-arn": _instance_arn(instance_name),
    }
    if None in arns.values():
        return None
    filters = [{"Name": name, "Values": [arn]} for name, arn in arns.items()]
    found = current(aws.client("dms").describe_connections, GONE, Filters=filters)
    return found["Connections"][0] if found and found["Connections"] else None


def _one(describe: Any, member: str, key: str, name: str) -> dict[str, Any] | None:
    """The one thing of that name, or None; some Describe calls answer absence with a fault, some
    with an empty list.
    """
    found = current(describe, GONE, Filters=[{"Name": key, "Values": [name]}])
    things: list[dict[str, Any]] = found[member] if found else []
    return things[0] if things else None


def _contains(actual: Any, desired: Any) -> bool:
    """Whether every setting we declare is among those AWS shows."""
    if isinstance(desired, dict):
        return isinstance(actual, dict) and all(
            key in actual and _contains(actual[key], each) for key, each in desired.items()
        )
    return bool(actual == desired)
