"""Roles and managed policies: what a service or a person may do, who may take the role, and what no
role can exceed.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from lakebook import aws
from lakebook.ensure import Call, Resource, current, resource
from lakebook.errors import LakebookError
from lakebook.services import policies

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lakebook.names import Names

GONE = "NoSuchEntity"
INLINE = "lakebook"  # the name of a role's own policy
KEY_POLICY = "lakebook-key"  # the one beside it, for a KMS key that is not ours
KEY_USE = ["kms:Decrypt", "kms:Encrypt", "kms:GenerateDataKey*", "kms:ReEncrypt*"]
INLINE_CHARACTERS = 10_240  # of all inline policies of a role, without white space
# as far as is documented, when they take a role
NAMES_NO_ACCOUNT = {
    "quicksight.amazonaws.com",
    "redshift-serverless.amazonaws.com",
    "redshift.amazonaws.com",
}
VERSIONS = 5  # that a managed policy keeps


def service_role(
    names: Names,
    name: str,
    service: str | list[str],
    *,
    allow: dict[str, list[str]] | None = None,
    managed: tuple[str, ...] = (),
    statements: tuple[dict[str, Any], ...] | list[dict[str, Any]] = (),
) -> Resource:
    """A role of ours, `names.role_arn(name)`, that an AWS service takes, or one of several; within
    our boundary, with our tags.

    `allow` maps a resource ARN to actions, `statements` are for what needs conditions, `managed`
    names AWS's policies.
    """
    services = {service} if isinstance(service, str) else set(service)
    return role(
        names.resource(name),
        service,
        source_account="" if services & NAMES_NO_ACCOUNT else names.account,
        allow=allow,
        managed=managed,
        statements=statements,
        boundary=names.boundary_arn,
        tags=names.tags,
    )


@resource
def role(
    name: str,
    trusted: str | list[str],
    *,
    source_account: str = "",
    allow: dict[str, list[str]] | None = None,
    managed: tuple[str, ...] = (),
    statements: tuple[dict[str, Any], ...] | list[dict[str, Any]] = (),
    boundary: str | None = None,
    tags: dict[str, str] | None = None,
) -> Iterator[Call]:
    """A role that a service ("glue.amazonaws.com") or a list of services and of principals' ARNs
    may take.

    A service may only take it for resources of `source_account`: nobody else's job can borrow the
    role ("confused deputy"). A role with our tags is brought to exactly this; one that was there
    before keeps its trust and what else it has.
    """
    iam, trust = aws.client("iam"), policies.document(*_trust(trusted, source_account))
    actual = (current(iam.get_role, GONE, RoleName=name) or {}).get("Role")
    if actual is None:
        extras = {"PermissionsBoundary": boundary} if boundary else {}
        arguments = {
            "RoleName": name,
            "AssumeRolePolicyDocument": json.dumps(trust),
            "Tags": as_list(tags or {}),
        }
        yield Call(iam.create_role, {**arguments, **extras})
    ours = actual is None or is_ours(actual.get("Tags", []), tags)
    if (
        actual
        and not (not ours and _trusts(actual, trusted))
        and not policies.same(actual["AssumeRolePolicyDocument"], trust)
    ):
        yield Call(
            iam.update_assume_role_policy, {"RoleName": name, "PolicyDocument": json.dumps(trust)}
        )
    if (
        actual
        and ours
        and boundary
        and actual.get("PermissionsBoundary", {}).get("PermissionsBoundaryArn") != boundary
    ):
        yield Call(
            iam.put_role_permissions_boundary, {"RoleName": name, "PermissionsBoundary": boundary}
        )
    yield from _attached(name, managed, exists=actual is not None, exactly=ours)
    yield from _inline(name, allow or {}, list(statements), exists=actual is not None, exactly=ours)


@resource
def managed_policy(
    name: str, arn: str, document: dict[str, Any], tags: dict[str, str]
) -> Iterator[Call]:
    """A customer managed policy whose default version is this document; its oldest version goes
    when it has five.
    """
    iam = aws.client("iam")
    actual = current(iam.get_policy, GONE, PolicyArn=arn)
    if actual is None:
        arguments = {
            "PolicyName": name,
            "PolicyDocument": json.dumps(document),
            "Tags": as_list(tags),
        }
        yield Call(iam.create_policy, arguments)
        return
    version = iam.get_policy_version(PolicyArn=arn, VersionId=actual["Policy"]["DefaultVersionId"])
    if policies.same(version["PolicyVersion"]["Document"], document):
        return
    versions = iam.list_policy_versions(PolicyArn=arn)["Versions"]
    if len(versions) >= VERSIONS:
        oldest = min(
            (each for each in versions if not each["IsDefaultVersion"]),
            key=lambda each: each["CreateDate"],
        )
        yield Call(iam.delete_policy_version, {"PolicyArn": arn, "VersionId": oldest["VersionId"]})
    text = json.dumps(document)
    yield Call(
        iam.create_policy_version, {"PolicyArn": arn, "PolicyDocument": text, "SetAsDefault": True}
    )


@resource
def key_user(role_name: str, key_arn: str, region: str) -> Iterator[Call]:
    """The right of a role to use a KMS key that is not ours, through S3 in one Region."""
    iam = aws.client("iam")
    through = {"StringEquals": {"kms:ViaService": f"s3.{region}.amazonaws.com"}}
    use = {"Action": KEY_USE, "Resource": key_arn, "Condition": through}
    desired = policies.document(use, {"Action": "kms:DescribeKey", "Resource": key_arn})
    actual = current(iam.get_role_policy, GONE, RoleName=role_name, PolicyName=KEY_POLICY)
    if actual is None or not policies.same(actual["PolicyDocument"], desired):
        arguments = {
            "RoleName": role_name,
            "PolicyName": KEY_POLICY,
            "PolicyDocument": json.dumps(desired),
        }
        yield Call(iam.put_role_policy, arguments)


def as_list(tags: dict[str, str], key: str = "Key", value: str = "Value") -> list[dict[str, str]]:
    """Tags as most services want them: `[{"Key": …, "Value": …}]`."""
    return [{key: name, value: each} for name, each in tags.items()]


def is_ours(actual: list[dict[str, str]], tags: dict[str, str] | None) -> bool:
    """Whether something carries all these tags, so that we made it."""
    return bool(tags) and all(each in actual for each in as_list(tags or {}))


def _trusts(actual: dict[str, Any], trusted: str | list[str]) -> bool:
    """Whether a role that is not ours can be taken by whom we need, under whatever conditions its
    owner sets.
    """
    text = json.dumps(actual["AssumeRolePolicyDocument"])
    return all(each in text for each in ([trusted] if isinstance(trusted, str) else trusted))


def _trust(trusted: str | list[str], source_account: str) -> list[dict[str, Any]]:
    """A statement for the services and one for the people."""
    every = [trusted] if isinstance(trusted, str) else trusted
    services = [each for each in every if each.endswith(".amazonaws.com")]
    people = [each for each in every if each not in services]
    ours = (
        {"Condition": {"StringEquals": {"aws:SourceAccount": source_account}}}
        if source_account
        else {}
    )
    who: list[tuple[dict[str, Any], dict[str, Any]]] = [({"AWS": people}, {})] if people else []
    who += [({"Service": each}, ours) for each in services]
    return [{"Principal": each, "Action": "sts:AssumeRole", **condition} for each, condition in who]


def _attached(
    name: str, managed: tuple[str, ...], *, exists: bool, exactly: bool
) -> Iterator[Call]:
    iam = aws.client("iam")
    found = iam.list_attached_role_policies(RoleName=name)["AttachedPolicies"] if exists else []
    actual = {each["PolicyArn"] for each in found}
    desired = {
        each if each.startswith("arn:") else f"arn:aws:iam::aws:policy/{each}" for each in managed
    }
    for arn in sorted(desired - actual):
        yield Call(iam.attach_role_policy, {"RoleName": name, "PolicyArn": arn})
    for arn in sorted(actual - desired) if exactly else ():
        yield Call(iam.detach_role_policy, {"RoleName": name, "PolicyArn": arn})


def _inline(
    name: str,
    allow: dict[str, list[str]],
    statements: list[dict[str, Any]],
    *,
    exists: bool,
    exactly: bool,
) -> Iterator[Call]:
    iam = aws.client("iam")
    desired = policies.document(
        *({"Action": actions, "Resource": arn} for arn, actions in allow.items()), *statements
    )
    text = json.dumps(desired, separators=(",", ":"))
    if len(text) > INLINE_CHARACTERS:
        raise LakebookError(
            f"The policy of the role {name} has {len(text):,} characters but IAM takes"
            f" {INLINE_CHARACTERS:,}: join statements, or name resources by patterns."
        )
    actual = set(iam.list_role_policies(RoleName=name)["PolicyNames"]) if exists else set()
    if desired["Statement"]:
        found = (
            iam.get_role_policy(RoleName=name, PolicyName=INLINE)["PolicyDocument"]
            if INLINE in actual
            else None
        )
        if not policies.same(found, desired):
            yield Call(
                iam.put_role_policy,
                {"RoleName": name, "PolicyName": INLINE, "PolicyDocument": text},
            )
        actual -= {INLINE}
    for extra in sorted(actual - {KEY_POLICY}) if exactly else ():
        yield Call(iam.delete_role_policy, {"RoleName": name, "PolicyName": extra})
