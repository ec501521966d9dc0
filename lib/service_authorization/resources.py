"""The ARNs a request is about: the reference's patterns filled from its parameters, `*` where it
does not tell.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from service_authorization.reference import ResourceType, resource_types

Lookup = Callable[[str, str, Mapping[str, Any]], str | None]
PLACEHOLDER = re.compile(r"\$\{(\w+)\}")
# Service and placeholder (or resource type): the parameters it is filled from; a dot leads into a
# structure.
SOURCES: dict[tuple[str, str], tuple[str, ...]] = {
    ("athena", "WorkGroupName"): ("WorkGroup", "Name:WorkGroup"),
    ("athena", "DataCatalogName"): ("CatalogName", "Name:DataCatalog"),
    ("budgets", "BudgetName"): ("BudgetName", "Budget.BudgetName"),
    ("cloudtrail", "TrailName"): ("Name", "TrailName", "TrailNameList", "ResourceIdList"),
    ("cloudwatch", "AlarmName"): ("AlarmName", "AlarmNames"),
    ("dms", "ReplicationSubnetGroup"): ("ReplicationSubnetGroupIdentifier",),
    ("events", "RuleName"): ("Rule", "Name:Rule"),
    ("glue", "DatabaseName"): ("DatabaseName", "DatabaseInput.Name", "Name:Database"),
    ("glue", "TableName"): ("TableName", "TableInput.Name", "Name:Table", "TablesToDelete"),
    ("glue", "JobName"): ("JobName", "Name:Job", "JobNames"),
    ("glue", "ConnectionName"): ("ConnectionName", "ConnectionInput.Name", "Name:Connection"),
    ("kms", "Alias"): ("AliasName",),
    ("kms", "KeyId"): ("TargetKeyId", "KeyId"),
    ("logs", "LogGroupName"): ("logGroupName", "logGroupNames", "logGroupIdentifier"),
    ("logs", "LogStreamName"): ("logStreamName",),
    ("redshift-data", "WorkgroupId"): (),  # the account knows the id behind WorkgroupName
    ("secretsmanager", "SecretId"): ("SecretId", "Name"),
    ("sns", "TopicName"): ("Name",),
    ("sqs", "QueueName"): ("QueueName",),
    ("ssm", "ParameterNameWithoutLeadingSlash"): ("Name", "Names", "Path"),
}
QUICKSIGHT = {
    "datasource": "DataSourceId",
    "dataset": "DataSetId",
    "user": "UserName",
    "group": "GroupName",
}
EC2_IDS = {
    "sg": "security-group",
    "rtb": "route-table",
    "igw": "internet-gateway",
    "vpce": "vpc-endpoint",
    "fl": "vpc-flow-log",
    "tgw": "transit-gateway",
    "tgw-attach": "transit-gateway-attachment",
    "tgw-rtb": "transit-gateway-route-table",
    "eni": "network-interface",
    "eipalloc": "elastic-ip",
    "nat": "natgateway",
    "dopt": "dhcp-options",
    "acl": "network-acl",
    "vgw": "vpn-gateway",
    "i": "instance",
    "vol": "volume",
    "ami": "image",
    "snap": "snapshot",
    "sgr": "security-group-rule",
    "pl": "prefix-list",
    "pcx": "vpc-peering-connection",
    "cgw": "customer-gateway",
    "lt": "launch-template",
}


def resources(
    prefix: str,
    action: str,
    operation: str,
    parameters: Mapping[str, Any],
    account: str,
    region: str,
    lookup: Lookup,
) -> tuple[str, ...]:
    """The ARNs that an action needs a permission on for a request; `("*",)` when it is on none in
    particular.

    `lookup(prefix, placeholder, parameters)` is asked for what the request does not tell.
    """
    types = resource_types(prefix, action)
    if not types:
        return ("*",)
    named = list(_arns(parameters)) + list(_ec2_arns(prefix, parameters, account, region))
    context = {"Partition": "aws", "Region": region, "Account": account}
    found: dict[str, None] = {}
    for each in types:
        pattern = PLACEHOLDER.sub(lambda known: context.get(known[1], known[0]), each.arn)
        direct = [arn for arn in named if _is(arn, each.arn)]
        filled = direct or _filled(prefix, each, pattern, operation, parameters, lookup)
        found.update(dict.fromkeys(filled))
    return tuple(found) or ("*",)


def _filled(
    prefix: str,
    kind: ResourceType,
    pattern: str,
    operation: str,
    parameters: Mapping[str, Any],
    lookup: Lookup,
) -> list[str]:
    """The pattern filled from the parameters; nothing for an optional resource that they do not
    name.
    """
    arns, complete = [pattern.replace(":*", f":${{{kind.name}}}")], True
    for place in PLACEHOLDER.findall(arns[0]):
        values = list(_values(prefix, kind.name, place, operation, parameters))
        if not values and (known := lookup(prefix, place, parameters)):
            values = [known]
        complete = complete and bool(values)
        arns = [arn.replace(f"${{{place}}}", each) for arn in arns for each in values or ["*"]]
    if prefix == "logs" and kind.name == "log-group":
        arns = [f"{arn}:log-stream:" for arn in arns]  # how CloudWatch Logs names a group to IAM
    return arns if kind.required or complete else []


def _values(
    prefix: str, kind: str, place: str, operation: str, parameters: Mapping[str, Any]
) -> Iterator[str]:
    """What the parameters say about a placeholder."""
    for source in _sources(prefix, kind, place):
        path, _, only = source.partition(":")
        if only and not operation.endswith(only):
            continue
        values = [
            text
            for text in _at(parameters, path.split("."))
            if text and not _is_alias(prefix, place, text)
        ]
        if values:
            yield from (_plain(prefix, place, kind, text, parameters) for text in values)
            return


def _is_alias(prefix: str, place: str, text: str) -> bool:
    """Whether a KMS key is named by its alias, which only the account knows the key behind."""
    return prefix == "kms" and place == "KeyId" and "alias/" in text


def _sources(prefix: str, kind: str, place: str) -> tuple[str, ...]:
    if (prefix, place) in SOURCES:
        return SOURCES[prefix, place]
    if prefix == "quicksight" and place == "ResourceId":
        name = QUICKSIGHT.get(kind.lower(), f"{kind[:1].upper()}{kind[1:]}Id")
        return (name,)
    if prefix == "iam":
        return (place.removesuffix("WithPath"),)
    lower = place[:1].lower() + place[1:]
    return (place, lower, f"{place}s", f"{lower}s", f"Name:{place.removesuffix('Name')}")


def _plain(prefix: str, place: str, kind: str, text: str, parameters: Mapping[str, Any]) -> str:
    """A parameter's text as it stands in an ARN."""
    if prefix == "kms":
        return text.removeprefix("alias/") if place == "Alias" else text
    if prefix == "iam":
        return str(parameters.get("Path", "/")).lstrip("/") + text
    if prefix == "quicksight" and kind in ("user", "group"):
        return f"{parameters.get('Namespace', 'default')}/{text}"
    if prefix == "secretsmanager":
        return f"{text}-??????"  # Secrets Manager ends the name with a hyphen and six characters
    return text.lstrip("/") if prefix == "ssm" else text


def _at(value: Any, path: list[str]) -> Iterator[str]:
    if isinstance(value, list):
        for each in value:
            yield from _at(each, path)
    elif not path:
        yield from [value] if isinstance(value, str) else []
    elif isinstance(value, Mapping) and path[0] in value:
        yield from _at(value[path[0]], path[1:])


def _arns(value: Any) -> Iterator[str]:
    """Every ARN among the parameters."""
    if isinstance(value, str):
        if value.startswith("arn:"):
            yield value
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from _arns(each)
    elif isinstance(value, list):
        for each in value:
            yield from _arns(each)


def _ec2_arns(
    prefix: str, parameters: Mapping[str, Any], account: str, region: str
) -> Iterator[str]:
    """EC2 tells what an id is of by how it begins; only the request's own ids, not those within its
    structures.
    """
    if prefix != "ec2":
        return
    for value in parameters.values():
        for text in value if isinstance(value, list) else [value]:
            if isinstance(text, str) and (
                found := re.fullmatch(r"([a-z]+(?:-[a-z]+)?)-[0-9a-f]{8,17}", text)
            ):
                yield f"arn:aws:ec2:{region}:{account}:{EC2_IDS.get(found[1], found[1])}/{text}"


def _is(arn: str, pattern: str) -> bool:
    """Whether an ARN is of the kind that a pattern of the reference describes."""
    return fnmatch.fnmatchcase(arn, PLACEHOLDER.sub("*", pattern)) and arn.count(
        ":"
    ) >= pattern.count(":")
