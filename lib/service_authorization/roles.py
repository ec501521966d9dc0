"""iam:PassRole: the roles that a request hands to a service."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

# Operations of these take a role to assume it, to describe it or to grant it something: it is not
# passed on.
NOT_PASSING = {"iam", "sts", "kms", "s3", "secretsmanager", "resourcegroupstaggingapi"}
MEMBER = re.compile(r"(?i).*(role|rolearn|rolearns|iamroles|deliverlogspermissionarn)$")
ROLE_ARN = re.compile(r"arn:aws[\w-]*:iam::\d{12}:role/.+")
READS = re.compile(r"(Describe|Get|List|Search|Batch)\w*")
PASSED_TO = {  # the service principal, where it is not the service's own name
    "dms": "dms.amazonaws.com",
    "ec2": "vpc-flow-logs.amazonaws.com",
    "resource-groups": "resource-groups.amazonaws.com",
}
# "we can not pass the roles with a conditional service name", tested with new workgroups:
# https://github.com/aws-solutions-library-samples/guidance-for-clickstream-analytics-on-aws/pull/749
TELLS_NOBODY = {"redshift-serverless"}


def passed_roles(
    service: str, operation: str, parameters: Mapping[str, Any], account: str
) -> tuple[str, ...]:
    """The ARNs of the roles that a request passes to a service."""
    if service in NOT_PASSING or READS.fullmatch(operation):
        return ()
    named = _named(parameters)
    if service == "glue":  # takes a role's name too
        named = (each if ":" in each else f"arn:aws:iam::{account}:role/{each}" for each in named)
    return tuple(dict.fromkeys(each for each in named if ROLE_ARN.fullmatch(each)))


def passed_to(service: str) -> dict[str, str]:
    """The service principal that gets a role, as condition key iam:PassedToService, where the
    service tells it.
    """
    if service in TELLS_NOBODY:
        return {}
    return {"iam:PassedToService": PASSED_TO.get(service, f"{service}.amazonaws.com")}


def _named(value: Any, name: str = "") -> Iterator[str]:
    if isinstance(value, str):
        if MEMBER.fullmatch(name):
            yield value
    elif isinstance(value, Mapping):
        for key, each in value.items():
            yield from _named(each, str(key))
    elif isinstance(value, list):
        for each in value:
            yield from _named(each, name)
