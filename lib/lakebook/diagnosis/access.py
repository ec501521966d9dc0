"""What DMS needs beside the network: a secret, a role that may read it, keys that are on, and its
own proof of the connection.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from lakebook import aws
from lakebook.diagnosis.answers import Absent, Broken
from lakebook.diagnosis.path import dms_thing
from lakebook.diagnosis.permissions import refused
from lakebook.ensure import current, wait
from lakebook.errors import LakebookError
from lakebook.services import kms
from lakebook.source.engines import connect_source
from lakebook.source.overview import unmet

if TYPE_CHECKING:
    from lakebook.diagnosis.path import Path

SECRET_KEYS = ("username", "password", "host", "port")
TEST_SECONDS = 300


def secret(path: Path) -> str:
    """Whether the secret exists and has what DMS reads from it."""
    actual = current(
        aws.client("secretsmanager").describe_secret,
        "ResourceNotFoundException",
        SecretId=path.secret,
    )
    keys = f"{', '.join(SECRET_KEYS)}, engine and dbname"
    if actual is None:
        raise Broken(
            f"there is no secret {path.secret}", f"Create the secret {path.secret} with {keys}."
        )
    if actual.get("DeletedDate"):
        raise Broken(
            f"{path.secret} is to be deleted", f"Restore the secret {path.secret} (RestoreSecret)."
        )
    _read(path.secret, actual)
    content = path.secret_content
    if missing := [each for each in SECRET_KEYS if not content.get(each)]:
        raise Broken(
            f"{path.secret} has no {', '.join(missing)}",
            f"Add {', '.join(missing)} to the secret {path.secret}: DMS reads"
            f" {', '.join(SECRET_KEYS)}.",
        )
    if not str(content["port"]).isdigit():
        raise Broken(
            f"port of {path.secret} is {content['port']}",
            f"Make the port in {path.secret} a number.",
        )
    return f"{path.secret} names {content['host']} port {content['port']}"


def _read(name: str, described: dict[str, Any]) -> None:
    """Read the secret, whose own error says more than a missing key; Secrets Manager does not tell
    which right to its key is missing.
    """
    try:
        aws.client("secretsmanager").get_secret_value(SecretId=name)
    except ClientError as error:
        if "KMS" not in error.response["Error"]["Message"]:
            raise
        key = described.get("KmsKeyId", "its key")
        raise Broken(
            f"{name}: {error.response['Error']['Message']}",
            f"Allow the caller kms:Decrypt on {key} through Secrets Manager, in its own policy and,"
            " unless that leaves it to IAM, in the key's.",
        ) from None


def secret_role(path: Path) -> str:
    """Whether the role that DMS takes may be taken by it and may read the secret, asked of IAM's
    simulation.
    """
    iam, name = aws.client("iam"), path.names.resource("dms-secret", path.source)
    actual = current(iam.get_role, "NoSuchEntity", RoleName=name)
    if actual is None:
        raise Absent(f"02 makes the role {name}", "02")
    principal, role = f"dms.{path.names.region}.amazonaws.com", actual["Role"]
    if principal not in str(role["AssumeRolePolicyDocument"]):
        raise Broken(
            f"{name} does not trust {principal}",
            f"Let {principal} assume {name}: run 02_foundation with apply.",
            "02",
        )
    found = aws.client("secretsmanager").describe_secret(SecretId=path.secret)
    needs = {"secretsmanager:GetSecretValue": found["ARN"]}
    if key := _own_key(found.get("KmsKeyId", "")):
        needs["kms:Decrypt"] = key
    context = [
        {"ContextKeyName": name, "ContextKeyValues": [value], "ContextKeyType": "string"}
        for name, value in {
            "kms:ViaService": f"secretsmanager.{path.names.region}.amazonaws.com",
            "kms:EncryptionContext:SecretARN": found["ARN"],
        }.items()
    ]
    for action, resource in needs.items():
        if decisions := refused(role["Arn"], [action], [resource], context):
            raise Broken(
                f"{name}: {decisions[0]}",
                f"Allow {name} {action} on {resource}, and take away what denies it: run"
                " 02_foundation with apply.",
                "02",
            )
    return f"{name} may {', '.join(needs)}"


def _own_key(key_id: str) -> str:
    """The ARN of a customer managed key; nothing for a key of AWS, which needs no right."""
    if not key_id:
        return ""
    found = aws.client("kms").describe_key(KeyId=key_id)["KeyMetadata"]
    return str(found["Arn"]) if found["KeyManager"] == "CUSTOMER" else ""


def encryption_keys(path: Path) -> str:
    """Whether the keys of the secret and of the lake are enabled."""
    client, seen = aws.client("kms"), []
    secret_key = aws.client("secretsmanager").describe_secret(SecretId=path.secret).get("KmsKeyId")
    for key in filter(None, (secret_key, kms.alias(path.names))):
        actual = current(client.describe_key, "NotFoundException", KeyId=key)
        if actual is None and key == secret_key:
            raise Broken(
                f"there is no key {key}", f"Give the secret {path.secret} a key that exists."
            )
        state = actual["KeyMetadata"]["KeyState"] if actual else "not made yet"
        seen.append(f"{key} {state}")
        if state == "PendingDeletion":
            raise Broken(
                seen[-1],
                f"Cancel the deletion of {key} and enable it: all it encrypted would be lost.",
            )
        if actual and state != "Enabled":
            raise Broken(
                seen[-1], f"Enable the key {key}: nothing that it encrypts can be read or written."
            )
    if seen[-1].endswith("not made yet"):
        raise Absent(f"02 makes {kms.alias(path.names)}", "02")
    return ", ".join(seen)


def dms_connection(path: Path) -> str:
    """DMS's own test, made anew: the one proof that covers the whole path."""
    instance = dms_thing("replication_instances", "replication-instance-id", path.instance)
    endpoint = dms_thing("endpoints", "endpoint-id", path.names.resource("source", path.source))
    if not instance or not endpoint or instance["ReplicationInstanceStatus"] != "available":
        raise Absent("03 makes DMS's instance and endpoints", "03")
    client, arns = (
        aws.client("dms"),
        {
            k: v
            for e in (instance, endpoint)
            for k, v in e.items()
            if k in ("ReplicationInstanceArn", "EndpointArn")
        },
    )
    filters: list[Any] = [
        {"Name": "endpoint-arn", "Values": [arns["EndpointArn"]]},
        {"Name": "replication-instance-arn", "Values": [arns["ReplicationInstanceArn"]]},
    ]

    def state() -> dict[str, Any]:
        return dict(client.describe_connections(Filters=filters)["Connections"][0])

    client.test_connection(**arns)
    wait(
        "dms:TestConnection",
        lambda: "testing" if state()["Status"] == "testing" else None,
        TEST_SECONDS,
        silent_seconds=10,
    )
    if state()["Status"] != "successful":
        raise Broken(
            f"{endpoint['EndpointIdentifier']}: {state()['Status']}",
            f"DMS says: {state().get('LastFailureMessage', 'no reason')}",
        )
    return f"{endpoint['EndpointIdentifier']}: successful"


def source(path: Path) -> str:
    """Whether the database lets us in and fulfils what DMS demands."""
    try:
        found = connect_source(path.secret)
    except LakebookError as error:
        raise Broken("no connection", str(error)) from None
    if not path.schemas:
        raise Absent("it answers; no schemas were named to look at")
    tables = found.tables(path.schemas, path.excluded_tables)
    if missing := unmet(found.prerequisites(tables), path.purpose):
        raise Broken("; ".join(missing), f"On the source: {missing[0]}.")
    return f"{len(tables)} tables, ready for {path.purpose}"
