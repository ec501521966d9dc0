"""Policy documents, compiled once: which statements speak of an action, a resource and a
principal.
"""

from __future__ import annotations

import functools
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from local_aws.principal import Principal

VARIABLE = re.compile(r"\$\{([^}]+)\}")
ACCOUNT, EVERYBODY, ROLE, ITSELF = 1, 2, 3, 4  # how closely a statement names a principal


@dataclass(frozen=True)
class Condition:
    """One key of one operator of a condition block."""

    operator: str  # "ForAnyValue:StringLikeIfExists"
    key: str  # as the policy spells it
    values: tuple[str, ...]


@dataclass(frozen=True)
class Statement:
    """One statement of a policy."""

    allows: bool
    actions: tuple[str, ...]
    not_actions: tuple[str, ...]
    resources: tuple[str, ...]
    not_resources: tuple[str, ...]
    principals: tuple[tuple[str, str], ...]  # ("AWS", "arn:…"), ("Service", "glue.amazonaws.com")
    not_principals: tuple[tuple[str, str], ...]
    conditions: tuple[Condition, ...]
    has_variables: bool  # `${aws:username}` means something since 2012-10-17

    def speaks_of_action(self, action: str) -> bool:
        """Whether the statement is about an action; upper and lower case are the same."""
        if self.actions:
            return any(glob(each.lower()).fullmatch(action.lower()) for each in self.actions)
        return not any(glob(each.lower()).fullmatch(action.lower()) for each in self.not_actions)

    def speaks_of_resource(self, resource: str, value_of: Callable[[str], str | None]) -> bool:
        """Whether the statement is about a resource; `value_of` gives a policy variable's value."""
        if not self.resources and not self.not_resources:
            return True  # a trust policy is about its role
        if self.not_resources:
            return not any(self._is(each, resource, value_of) for each in self.not_resources)
        return any(self._is(each, resource, value_of) for each in self.resources)

    def names(self, principal: Principal) -> int:
        """How closely the statement names a principal; 0 when it does not."""
        if self.not_principals:
            return (
                0
                if max(_closeness(*each, principal) for each in self.not_principals)
                else EVERYBODY
            )
        return max((_closeness(*each, principal) for each in self.principals), default=0)

    def _is(self, pattern: str, resource: str, value_of: Callable[[str], str | None]) -> bool:
        if self.has_variables and "${" in pattern:
            filled = fill(pattern, value_of)
            return filled is not None and glob(filled).fullmatch(resource) is not None
        return glob(pattern).fullmatch(resource) is not None


@functools.lru_cache(maxsize=4096)
def statements(document: str) -> tuple[Statement, ...]:
    """The statements of a policy document; raises ValueError when it is none."""
    policy = json.loads(document)
    found = policy["Statement"]
    variables = policy.get("Version") == "2012-10-17"
    return tuple(
        _statement(each, variables) for each in (found if isinstance(found, list) else [found])
    )


@functools.lru_cache(maxsize=8192)
def glob(pattern: str) -> re.Pattern[str]:
    """A pattern of a policy: `*` is any text, `?` any character; `fill` writes these signs
    themselves as private characters.
    """
    text = re.escape(pattern).replace(r"\*", ".*").replace(r"\?", ".")
    return re.compile(
        text.replace("\ue000", r"\*").replace("\ue001", r"\?").replace("\ue002", r"\$"), re.DOTALL
    )


def fill(pattern: str, value_of: Callable[[str], str | None]) -> str | None:
    """A pattern with its policy variables filled in; None when one has no value, and so nothing
    matches.

    Source: "IAM policy elements: Variables and tags" (with a default: `${aws:username,
    'anonymous'}`).
    """
    missing = False

    def value(found: re.Match[str]) -> str:
        nonlocal missing
        if found[1] in ("*", "?", "$"):
            return {"*": "\ue000", "?": "\ue001", "$": "\ue002"}[found[1]]
        name, _, default = found[1].partition(",")
        text = value_of(name.strip())
        if text is None and not default:
            missing = True
        text = default.strip().strip("'") if text is None else text
        return text.replace("*", "\ue000").replace("?", "\ue001")

    filled = VARIABLE.sub(value, pattern)
    return None if missing else filled


def texts(value: Any) -> tuple[str, ...]:
    """One value or a list of them, as AWS takes both."""
    listed = value if isinstance(value, list) else [value]
    return tuple(str(each).lower() if isinstance(each, bool) else str(each) for each in listed)


def _statement(raw: dict[str, Any], variables: bool) -> Statement:
    conditions = tuple(
        Condition(operator, key, texts(values))
        for operator, block in raw.get("Condition", {}).items()
        for key, values in block.items()
    )
    return Statement(
        raw["Effect"] == "Allow",
        texts(raw.get("Action", [])),
        texts(raw.get("NotAction", [])),
        texts(raw.get("Resource", [])),
        texts(raw.get("NotResource", [])),
        _principals(raw.get("Principal", {})),
        _principals(raw.get("NotPrincipal", {})),
        conditions,
        variables,
    )


def _principals(raw: Any) -> tuple[tuple[str, str], ...]:
    if isinstance(raw, str):
        return (("AWS", raw),)
    return tuple((kind, each) for kind, values in raw.items() for each in texts(values))


def _closeness(kind: str, name: str, principal: Principal) -> int:
    """How closely one entry of a Principal element names a principal.

    A service is named by its own name only; `*` is everybody who is not a service, and for users of
    the account as good as their own name.
    """
    if principal.type == "AWSService":
        return ITSELF if kind == "Service" and name == principal.arn else 0
    if kind != "AWS":
        return 0
    if name == "*":
        return EVERYBODY
    if name == principal.arn:
        return ITSELF
    if principal.role_arn and name == principal.role_arn:
        return ROLE
    return (
        ACCOUNT
        if principal.account
        and name in (principal.account, f"arn:aws:iam::{principal.account}:root")
        else 0
    )
