"""Whom a policy names: AWS keeps no trust or key policy that names somebody who is not there."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from local_aws.names import ACCOUNT

if TYPE_CHECKING:
    from collections.abc import Iterator

PRINCIPAL = re.compile(r"arn:aws:iam::(\d{12}):(role|user)/(?:.*/)?([^/]+)")


def unknown_principals(iam: Any, policy: str) -> list[str]:
    """The ARNs of this account in a policy's text that are no role or user; of other accounts
    nothing is known here.

    Raises ValueError, KeyError, AttributeError or TypeError for what is no policy.
    """
    unknown = []
    for arn, kind, name in _principals(json.loads(policy)):
        try:
            getattr(iam, f"get_{kind}")(**{f"{kind.capitalize()}Name": name})
        except ClientError:
            unknown.append(arn)
    return unknown


def _principals(document: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    """The roles and users of this account that a policy names, with kind and name."""
    statements = document["Statement"]
    for each in statements if isinstance(statements, list) else [statements]:
        principal = each.get("Principal", {})
        named = principal.get("AWS", []) if isinstance(principal, dict) else []
        for arn in [named] if isinstance(named, str) else named:
            if (found := PRINCIPAL.fullmatch(arn)) and found[1] == ACCOUNT:
                yield arn, found[2], found[3]
