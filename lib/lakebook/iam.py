"""Roles: what a service may do, and who may take the role."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from lakebook import aws
from lakebook.ensure import Call, current, resource

if TYPE_CHECKING:
    from collections.abc import Iterator


@resource
def role(
    name: str, service: str, *, allow: dict[str, list[str]] | None = None, managed: tuple[str, ...] = ()
) -> Iterator[Call]:
    """A role that `service` may take: `allow` maps a resource ARN to the actions allowed on it, `managed` names AWS policies."""
    iam = aws.client("iam")
    have = current(iam.get_role, "NoSuchEntity", RoleName=name)
    trust = _document({"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"})
    if have is None:
        yield Call(iam.create_role, {"RoleName": name, "AssumeRolePolicyDocument": json.dumps(trust)}, until=None)
    elif have["Role"]["AssumeRolePolicyDocument"] != trust:
        yield Call(iam.update_assume_role_policy, {"RoleName": name, "PolicyDocument": json.dumps(trust)})
    attached = (
        {each["PolicyArn"] for each in iam.list_attached_role_policies(RoleName=name)["AttachedPolicies"]}
        if have
        else set()
    )
    for policy in managed:
        if (arn := f"arn:aws:iam::aws:policy/{policy}") not in attached:
            yield Call(iam.attach_role_policy, {"RoleName": name, "PolicyArn": arn})
    if allow:
        wanted = _document(*({"Effect": "Allow", "Action": actions, "Resource": arn} for arn, actions in allow.items()))
        inline = have and current(iam.get_role_policy, "NoSuchEntity", RoleName=name, PolicyName="lakebook")
        if not inline or inline["PolicyDocument"] != wanted:
            yield Call(
                iam.put_role_policy, {"RoleName": name, "PolicyName": "lakebook", "PolicyDocument": json.dumps(wanted)}
            )


def _document(*statements: dict[str, Any]) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": list(statements)}
