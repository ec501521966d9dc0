"""Which of the calls that a plan listed its caller may not make, by IAM's own simulation."""

from __future__ import annotations

import re
from collections import defaultdict
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from lakebook import aws
from lakebook.runner import evidence_pack
from service_authorization import required

if TYPE_CHECKING:
    from lakebook.names import Names
    from lakebook.runner.run import Run

SIGNED_AS = {"monitoring": "cloudwatch"}  # how a call is named, and boto3's name of its service
GLOBAL = ("budgets", "iam")  # services that are asked in us-east-1
NOT_MADE_YET = re.compile(r"<[^<>]*>|\*")  # of an ARN
KEPT = 2  # resources of one kind that an action is asked for


def missing(run: Run, names: Names) -> list[str]:
    """The actions that the calls of a plan need and its caller may not do, each with a resource;
    only calls that the plan lists are asked for. One sentence where IAM cannot be asked.
    """
    caller = run.connection["caller"]
    if caller.endswith(":root"):
        return []  # policies do not limit it
    try:
        principal = _principal(caller)
        return [
            refusal
            for (resources, context), actions in _needs(run, names).items()
            for refusal in _refused(principal, sorted(actions), resources, dict(context))
        ]
    except ClientError as error:
        return [f"{caller} cannot be asked for: {error.response['Error']['Message']}"]


def _needs(
    run: Run, names: Names
) -> dict[tuple[tuple[str, ...], tuple[tuple[str, str], ...]], set[str]]:
    """The plan's actions, by the resources and the condition keys they are needed with."""
    found: dict[tuple[str, tuple[tuple[str, str], ...]], set[str]] = defaultdict(set)
    for service, operation, arguments in _planned(run):
        for need in required(service, operation, arguments, names.account, names.region):
            prefix = need.action.partition(":")[0]
            context = {
                "aws:RequestedRegion": "us-east-1" if prefix in GLOBAL else names.region,
                **{
                    f"aws:{kind}Tag/{tag}": value
                    for kind in ("Request", "Resource")
                    for tag, value in names.tags.items()
                },
                **({"iam:PermissionsBoundary": names.boundary_arn} if prefix == "iam" else {}),
                **({"kms:ViaService": need.via} if need.via else {}),
                **need.context,
            }
            found[need.action, tuple(sorted(context.items()))] |= {
                NOT_MADE_YET.sub("lakebook", each) for each in need.resources if each != "*"
            }
    grouped = defaultdict(set)
    for (action, given), arns in found.items():
        grouped[tuple(_samples(arns)), given].add(action)
    return grouped


def _planned(run: Run) -> list[tuple[str, str, dict[str, Any]]]:
    tables = [
        each["rows"]
        for phase in run.phases
        for each in evidence_pack.records(run.folder / phase.copy)
        if (each["kind"], each.get("name")) == ("table", "plan")
    ]
    calls = [(*row["call"].split(":"), row["arguments"]) for rows in tables for row in rows]
    return [(SIGNED_AS.get(name, name), *rest) for name, *rest in calls]


def _samples(arns: set[str]) -> list[str]:
    """Some of the resources of each kind: a policy names them by patterns."""
    kinds = defaultdict(list)
    for each in sorted(arns):
        kinds[re.split("[/:]", each.split(":", 5)[-1])[0] if ":s3:" not in each else ""].append(
            each
        )
    return [each for some in kinds.values() for each in some[:KEPT]]


def _principal(caller: str) -> str:
    """The user or role behind a caller: a session of a role is asked for as its role."""
    if ":assumed-role/" not in caller:
        return caller
    return str(aws.client("iam").get_role(RoleName=caller.split("/")[1])["Role"]["Arn"])


def _refused(
    principal: str, actions: list[str], resources: tuple[str, ...], context: dict[str, str]
) -> list[str]:
    entries = [
        {"ContextKeyName": key, "ContextKeyType": "string", "ContextKeyValues": [value]}
        for key, value in context.items()
    ]
    asked: dict[str, Any] = {
        "PolicySourceArn": principal,
        "ActionNames": actions,
        "ContextEntries": entries,
    }
    asked |= {"ResourceArns": list(resources)} if resources else {}
    pages = aws.client("iam").get_paginator("simulate_principal_policy").paginate(**asked)
    return [
        f"{each['EvalActionName']} on {each.get('EvalResourceName', '*')}: {each['EvalDecision']}"
        for page in pages
        for each in page["EvaluationResults"]
        if each["EvalDecision"] != "allowed"
    ]
