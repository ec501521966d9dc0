"""The lake's key: one KMS key for everything at rest, rotated every year, used by the roles its
policy names and by nobody else.
"""

from __future__ import annotations

import fnmatch
import json
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from lakebook import aws
from lakebook.ensure import Call, Resource, current, resource
from lakebook.errors import LakebookError
from lakebook.services import iam, policies

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from lakebook.names import Names

GONE = "NotFoundException"
ADMINISTER = [
    "kms:CancelKeyDeletion",
    "kms:CreateAlias",
    "kms:CreateGrant",
    "kms:DeleteAlias",
    "kms:DescribeKey",
    "kms:DisableKey",
    "kms:DisableKeyRotation",
    "kms:EnableKey",
    "kms:EnableKeyRotation",
    "kms:Get*",
    "kms:List*",
    "kms:PutKeyPolicy",
    "kms:RevokeGrant",
    "kms:RotateKeyOnDemand",
    "kms:ScheduleKeyDeletion",
    "kms:TagResource",
    "kms:UntagResource",
    "kms:UpdateAlias",
    "kms:UpdateKeyDescription",
]
PUBLISH = ["kms:Decrypt", "kms:GenerateDataKey*"]


def alias(names: Names) -> str:
    """The alias by which everything finds the lake's key."""
    return f"alias/{names.resource('lake')}"


def key_arn(alias_name: str) -> str:
    """The ARN of the key behind an alias; a description of it while there is none, for plans."""
    actual = _key(alias_name)
    return str(actual["Arn"]) if actual else f"<the key of {alias_name}>"


def lake_key(names: Names, users: list[str]) -> list[Resource]:
    """The key with its alias and rotation, used by our roles `users` ("glue")."""
    document = key_policy(names, [names.role_arn(each) for each in users])
    return [key(alias(names), document, names.tags)]


def given_key(names: Names, users: list[str], arn: str) -> list[Resource]:
    """A key that exists, under our alias; the roles get their right to it by policies of their
    own.

    It keeps its policy, which must let IAM decide, and AWS's services use it: no policy of IAM's
    speaks of them.
    """
    services = [e for e in key_policy(names, [])["Statement"] if "Service" in e["Principal"]]
    needed = [decided_by_iam(names.account), *services]
    return [
        key_alias(alias(names), arn, needed),
        *(iam.key_user(names.resource(each), arn, names.region) for each in users),
    ]


@resource
def key(alias_name: str, document: dict[str, Any], tags: dict[str, str]) -> Iterator[Call]:
    """A key under an alias, with this policy, rotated; raises LakebookError while it is disabled or
    about to be deleted.
    """
    kms, actual = aws.client("kms"), _usable(alias_name)
    if actual is None:
        pairs = iam.as_list(tags, "TagKey", "TagValue")
        description = f"lakebook {alias_name}"
        made = _without_alias(description, pairs)
        if not made:
            arguments = {"Description": description, "Policy": json.dumps(document), "Tags": pairs}
            yield Call(kms.create_key, arguments, until=_keeps_arn(made))
        arn = made[0] if made else key_arn(alias_name)
        yield Call(kms.create_alias, {"AliasName": alias_name, "TargetKeyId": arn})
        yield Call(kms.enable_key_rotation, {"KeyId": arn})
        return
    arn = actual["Arn"]
    if not policies.same(kms.get_key_policy(KeyId=arn, PolicyName="default")["Policy"], document):
        arguments = {"KeyId": arn, "PolicyName": "default", "Policy": json.dumps(document)}
        yield Call(kms.put_key_policy, arguments)
    if not kms.get_key_rotation_status(KeyId=arn)["KeyRotationEnabled"]:
        yield Call(kms.enable_key_rotation, {"KeyId": arn})


@resource
def key_alias(name: str, target_arn: str, needed: list[dict[str, Any]]) -> Iterator[Call]:
    """An alias of a key that is not ours; raises LakebookError while that is disabled or about to
    be deleted, or absent, or its policy lacks any of the statements `needed`.
    """
    kms, actual = aws.client("kms"), _key(name)
    if _usable(target_arn) is None:
        raise LakebookError(
            f"There is no KMS key {target_arn} that can be seen from here; correct the parameter"
            " kms_key_arn."
        )
    policy = json.loads(kms.get_key_policy(KeyId=target_arn, PolicyName="default")["Policy"])
    if missing := [each for each in needed if not _covered(each, policy)]:
        raise LakebookError(
            f"The policy of the KMS key {target_arn} lacks statements without which AWS's services"
            " cannot use it, and it is its owner who can add them:"
            f" {json.dumps(missing)}"
        )
    if actual is None:
        yield Call(kms.create_alias, {"AliasName": name, "TargetKeyId": target_arn})
    elif actual["Arn"] != target_arn:
        yield Call(kms.update_alias, {"AliasName": name, "TargetKeyId": target_arn})


def decided_by_iam(account: str) -> dict[str, Any]:
    """The statement of a key policy by which policies of IAM decide who uses the key.

    https://docs.aws.amazon.com/kms/latest/developerguide/key-policy-default.html
    """
    return {
        "Sid": "DecidedByIam",
        "Effect": "Allow",
        "Principal": {"AWS": f"arn:aws:iam::{account}:root"},
        "Action": [*iam.KEY_USE, "kms:CreateAlias", "kms:CreateGrant", "kms:DescribeKey"],
        "Resource": "*",
    }


def _covered(needed: dict[str, Any], policy: dict[str, Any]) -> bool:
    """Whether a key policy allows each action of a statement to each of its principals, under
    whatever conditions its owner sets.
    """
    allowed = [each for each in policies.listed(policy["Statement"]) if each["Effect"] == "Allow"]
    ((kind, named),) = needed["Principal"].items()
    return all(
        any(
            _is_for(kind, principal, each.get("Principal", {}))
            and any(
                fnmatch.fnmatch(action.lower(), pattern.lower())
                for pattern in policies.listed(each.get("Action", []))
            )
            for each in allowed
        )
        for principal in policies.listed(named)
        for action in needed["Action"]
    )


def _is_for(kind: str, principal: str, found: Any) -> bool:
    if found == "*":
        return True
    named = policies.listed(found.get(kind, []))
    return bool({principal, "*", principal.removesuffix(":root").rpartition(":")[2]} & set(named))


def key_policy(names: Names, users: list[str]) -> dict[str, Any]:
    """The lake key's policy: the account administers it, roles use it through S3 alone, AWS's
    services for what they keep of ours.

    Sources: "Key policies in AWS KMS"; "Encrypt log data in CloudWatch Logs"; "Configure AWS KMS
    key policies for CloudTrail"; "Key management" of Amazon SNS.
    """
    account, region = names.account, names.region
    trail = f"arn:aws:cloudtrail:{region}:{account}:trail/{names.resource('trail')}"
    logs = f"arn:aws:logs:{region}:{account}:log-group:*"
    ours = {"StringEquals": {"aws:SourceAccount": account}}
    every: dict[str, Any] = {"Resource": "*"}  # in a key policy: this key
    return policies.document(
        {
            "Sid": "AdministeredByIam",
            "Principal": {"AWS": f"arn:aws:iam::{account}:root"},
            "Action": ADMINISTER,
            **every,
        },
        {
            "Sid": "UsedThroughS3",
            "Principal": {"AWS": users},
            "Action": iam.KEY_USE,
            **every,
            "Condition": {"StringEquals": {"kms:ViaService": f"s3.{region}.amazonaws.com"}},
        },
        {
            "Sid": "DescribedByUsers",
            "Principal": {"AWS": users},
            "Action": "kms:DescribeKey",
            **every,
        },
        {
            "Sid": "LogGroups",
            "Principal": {"Service": f"logs.{region}.amazonaws.com"},
            "Action": [*iam.KEY_USE, "kms:DescribeKey"],
            **every,
            "Condition": {"ArnLike": {"kms:EncryptionContext:aws:logs:arn": logs}},
        },
        {
            "Sid": "Trail",
            "Principal": {"Service": "cloudtrail.amazonaws.com"},
            "Action": ["kms:GenerateDataKey*", "kms:DescribeKey"],
            **every,
            "Condition": {"StringEquals": {"aws:SourceArn": trail}},
        },
        {
            "Sid": "Alarms",
            "Principal": {"Service": ["cloudwatch.amazonaws.com", "budgets.amazonaws.com"]},
            "Action": PUBLISH,
            **every,
            "Condition": ours,
        },
        # EventBridge names no source account to KMS; the topic's policy says which rules may
        # publish
        {
            "Sid": "Rules",
            "Principal": {"Service": "events.amazonaws.com"},
            "Action": PUBLISH,
            **every,
        },
    )


def _usable(key_id: str) -> dict[str, Any] | None:
    actual = _key(key_id)
    if actual and actual["KeyState"] != "Enabled":
        remedy = "cancel its deletion" if actual["KeyState"] == "PendingDeletion" else "enable it"
        raise LakebookError(
            f"The KMS key {actual['Arn']} is {actual['KeyState']}, so nothing encrypted with it can"
            f" be read: {remedy} and enable it, or name another key."
        )
    return actual


def _key(key_id: str) -> dict[str, Any] | None:
    actual = current(aws.client("kms").describe_key, GONE, KeyId=key_id)
    return actual["KeyMetadata"] if actual else None


def _without_alias(description: str, tags: list[dict[str, str]]) -> list[str]:
    """The ARN of the key that a run made which ended before it gave the alias: it has our
    description and tags.
    """
    kms = aws.client("kms")
    for page in kms.get_paginator("list_keys").paginate():
        for each in page["Keys"]:
            try:
                found = kms.describe_key(KeyId=each["KeyId"])["KeyMetadata"]
                if found.get("Description") != description or found["KeyState"] != "Enabled":
                    continue
                held = kms.list_resource_tags(KeyId=each["KeyId"])["Tags"]
            except ClientError as error:
                if error.response["Error"]["Code"] != "AccessDeniedException":
                    raise
                continue  # whoever may not see a key has not made it
            if all(tag in held for tag in tags):
                return [each["KeyArn"]]
    return []


def _keeps_arn(made: list[str]) -> Callable[[dict[str, Any]], str | None]:
    """Remember the new key's ARN, which nothing else leads to before its alias exists."""

    def keep(answer: dict[str, Any]) -> None:
        made.append(answer["KeyMetadata"]["Arn"])

    return keep
