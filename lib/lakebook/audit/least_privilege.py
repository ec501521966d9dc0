"""The smallest policy under which a run's calls are allowed, from the rights that its executed
copies recorded.
"""

from __future__ import annotations

import os
import re
from collections import defaultdict
from typing import TYPE_CHECKING, Any

from lakebook.errors import LakebookError
from lakebook.people.personas import OPERATOR
from lakebook.rights import READS
from lakebook.runner import evidence_pack
from lakebook.services import policies

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from lakebook.names import Names
    from lakebook.rights import Right

GIVEN_BY_AWS = re.compile(  # ids, and names made of a hash: another rehearsal has others
    r"(?:^|(?<=[:/]))(?:[a-z-]+-)?(?:[0-9a-f]{8,17}|[0-9a-f]{8}-[0-9a-f-]{27}|[A-Z0-9]{26})(?=$|[:/.])\S*"
)
KEPT_APART = 3  # resources of one kind up to this number are listed, more become a pattern
LISTED = ("IamWork", "StsWork")  # a pattern over roles would reach the operator's own
Condition = tuple[tuple[str, str], ...]


def used(folder: Path) -> list[Right]:
    """The rights that the copies of a run recorded; raises LakebookError when they recorded
    none.
    """
    found: set[Right] = set()
    for copy in folder.glob("*.ipynb"):
        for each in evidence_pack.records(copy):
            if each["kind"] == "rights":
                found |= {
                    (a, tuple(arns), tuple((k, v) for k, v in context))
                    for a, arns, context in each["used"]
                }
    if not found:
        raise LakebookError(f"{folder} has no record of calls; a run that applied all phases has.")
    return sorted(found)


def policy(rights: Iterable[Right], names: Names) -> dict[str, Any]:
    """A policy document that allows these rights, as a template: `${account}`, `${region}`,
    `${prefix}`, `${environment}`.

    A service's reading actions share one statement with all that was read, its changing actions
    another, so that the document stays within what IAM takes; more than three resources of one kind
    become the pattern of what they share. `lakebook bootstrap` fills the template in.
    """
    groups: dict[tuple[str, Condition], tuple[set[str], set[str]]] = defaultdict(
        lambda: (set(), set())
    )
    operator = names.role_arn(OPERATOR)
    for action, arns, context in rights:
        if action == "sts:AssumeRole" and operator in arns:
            continue  # how the caller became the operator
        service, _, operation = action.partition(":")
        everywhere = "" if "*" in arns else service.title().replace("-", "")
        # else one statement for each kind of thing made
        condition = () if action == "ec2:CreateTags" else context
        group = groups[f"{everywhere}{'Look' if READS.match(operation) else 'Work'}", condition]
        group[0].add(action)
        group[1].update(map(_named, arns))
    statements = [
        {"Action": sorted(actions), "Resource": _patterns(kind, arns), **_condition(context)}
        for (kind, context), (actions, arns) in sorted(groups.items())
    ]
    document: dict[str, Any] = _template(policies.document(*statements), names)
    return document


def _named(arn: str) -> str:
    """The ARN with a `*` from where AWS, or a hash, gave the name."""
    *place, name = arn.split(":", 5)
    return ":".join([*place, GIVEN_BY_AWS.sub("*", name)])


def _patterns(kind: str, arns: set[str]) -> list[str]:
    if "*" in arns or kind in LISTED:
        return ["*"] if "*" in arns else sorted(arns)
    kinds: dict[str, list[str]] = defaultdict(list)
    for arn in arns:
        kinds[_kind(arn)].append(arn)
    return sorted(
        each
        for some in kinds.values()
        for each in (some if len(some) <= KEPT_APART else [_shared(sorted(some))])
    )


def _kind(arn: str) -> str:
    """`arn:aws:glue:eu-west-1:123456789012:table`; buckets have no kind in their ARN, but objects
    are another one.
    """
    *place, name = arn.split(":", 5)
    kind = "/" * ("/" in name) if place[2] == "s3" else re.split("[/:]", name)[0]
    return ":".join([*place, kind])


def _shared(arns: list[str]) -> str:
    """`arn:aws:glue:…:table/acme_rehearsal_*` of tables in several databases."""
    prefix = os.path.commonprefix(arns)  # noqa: RUF071 - of names, then cut at the last separator
    return f"{prefix[: max(prefix.rfind(each) for each in '/:-_') + 1]}*"


def _condition(context: Condition) -> dict[str, Any]:
    return {"Condition": {"StringEquals": dict(context)}} if context else {}


def _template(document: Any, names: Names) -> Any:
    if isinstance(document, dict):
        return {name: _template(each, names) for name, each in document.items()}
    if isinstance(document, list):
        return [_template(each, names) for each in document]
    for value, placeholder in (
        (names.account, "${account}"),
        (names.region, "${region}"),
        (f"{names.prefix}-{names.environment}", "${prefix}-${environment}"),
        (names.database(""), "${prefix}_${environment}_"),
    ):
        document = document.replace(value, placeholder)
    return document
