"""The decision about one action on one resource: explicit denials first, then what allows it, then
what limits it.

Source: "Policy evaluation logic" of the IAM user guide, for one account and across accounts; there
is no organization.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from local_aws.iam.conditions import fulfilled
from local_aws.iam.documents import ACCOUNT, EVERYBODY, ITSELF, Statement, statements

if TYPE_CHECKING:
    from collections.abc import Iterable

    from local_aws.iam.context import Context

IDENTITY, RESOURCE, BOUNDARY, SESSION = (
    "identity-based policy",
    "resource-based policy",
    "permissions boundary",
    "session policy",
)


@dataclass(frozen=True)
class Policies:
    """The documents that decide about a request; None where there is no such policy."""

    identity: tuple[str, ...] = ()
    boundary: str | None = None
    session: tuple[str, ...] = ()
    resource: str | None = None
    same_account: bool = True
    resource_decides: bool = (
        # KMS keys and roles: identity policies count only where the resource's policy lets them
        False
    )
    # of the identity policies, for the simulator
    names: tuple[str, ...] = field(default=(), compare=False)


class Decision(NamedTuple):
    """Whether, and in AWS's words why not; `explicit` when a policy says no rather than none
    yes.
    """

    allowed: bool
    reason: str = ""
    explicit: bool = False


def decide(policies: Policies, context: Context) -> Decision:
    """The decision about the context's action on its resource; raises ApiError for a condition that
    cannot be told.
    """
    groups: tuple[tuple[str, Iterable[str]], ...] = (
        (IDENTITY, policies.identity),
        (RESOURCE, _present(policies.resource)),
        (BOUNDARY, _present(policies.boundary)),
        (SESSION, policies.session),
    )
    for kind, documents in groups:
        if any(_denies(each, context, kind == RESOURCE) for each in documents):
            article = "an" if kind == IDENTITY else "a"
            return Decision(
                allowed=False, reason=f"with an explicit deny in {article} {kind}", explicit=True
            )
    named = _closest(policies.resource, context)
    if context.principal.type in ("AWSService", "AWSAccount"):
        return Decision(named > 0, "" if named else _no(RESOURCE, context))
    if named == ITSELF and policies.same_account:
        return Decision(allowed=True)
    return _limited(policies, context, named)


def _limited(policies: Policies, context: Context, named: int) -> Decision:
    """What identity policies or a grant to the role allow, within session policies and boundary."""
    principal, own = context.principal, _allows(policies.identity, context)
    needs_resource = policies.resource_decides or not policies.same_account
    if needs_resource and not named:
        return Decision(allowed=False, reason=_no(RESOURCE, context))
    granted = policies.same_account and named > ACCOUNT
    if granted and principal.type == "IAMUser" and named == EVERYBODY:
        return Decision(allowed=True)
    if not granted and not own:
        return Decision(allowed=False, reason=_no(IDENTITY, context))
    if policies.session and not _allows(policies.session, context):
        return Decision(allowed=False, reason=_no(SESSION, context))
    if policies.boundary is not None and not _allows((policies.boundary,), context):
        return Decision(allowed=False, reason=_no(BOUNDARY, context))
    return Decision(allowed=True)


def _present(document: str | None) -> tuple[str, ...]:
    return () if document is None else (document,)


def _no(kind: str, context: Context) -> str:
    return f"because no {kind} allows the {context.action} action"


def _applies(statement: Statement, context: Context) -> bool:
    return (
        statement.speaks_of_action(context.action)
        and statement.speaks_of_resource(context.resource, context.text)
        and fulfilled(statement, context)
    )


def _denies(document: str, context: Context, of_resource: bool) -> bool:
    return any(
        not each.allows
        and (not of_resource or each.names(context.principal))
        and _applies(each, context)
        for each in statements(document)
    )


def _allows(documents: Iterable[str], context: Context) -> bool:
    return any(
        each.allows and _applies(each, context) for text in documents for each in statements(text)
    )


def _closest(document: str | None, context: Context) -> int:
    """How closely the resource's policy names the principal where it allows the action; 0 when it
    does not.
    """
    found = 0
    for each in statements(document) if document is not None else ():
        if (
            each.allows
            and (closeness := each.names(context.principal)) > found
            and _applies(each, context)
        ):
            found = closeness
    return found
