"""IAM: moto keeps users, roles and policies; the simulator answers from the evaluator that decides
about every call.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from local_aws.errors import ApiError
from local_aws.iam.context import Context
from local_aws.iam.documents import statements
from local_aws.iam.evaluation import Policies, decide
from local_aws.iam.named_principals import unknown_principals
from local_aws.iam.principals import role
from local_aws.iam.records import identity_policies
from local_aws.names import ACCOUNT
from local_aws.principal import Principal
from local_aws.service import Call, Service

if TYPE_CHECKING:
    from collections.abc import Iterator

SIMULATED_REGION = "us-east-1"  # IAM's own; simulations have only the keys that are given
# What List operations leave out, by the member that lists: the API reference of each ("IAM
# resource-listing operations return a subset of the available attributes for the resource").
LEFT_OUT = {
    "ListInstanceProfiles": ("InstanceProfiles", ("Tags",)),
    "ListPolicies": ("Policies", ("Description", "Tags")),
    "ListPolicyVersions": ("Versions", ("Document",)),
    "ListRoles": ("Roles", ("PermissionsBoundary", "RoleLastUsed", "Tags")),
    "ListUsers": ("Users", ("PermissionsBoundary", "Tags")),
}
DECISIONS = {True: "allowed", False: "implicitDeny"}


class Iam(Service):
    """Users, roles, groups and policies."""

    def CreateUser(self, call: Call) -> dict[str, Any]:
        """A user, by moto, which would forget a permissions boundary."""
        if call.parameters.get("PermissionsBoundary"):
            raise ApiError(
                "NotInLocalAws",
                "local_aws keeps no permissions boundary of a user; give roles one.",
                501,
            )
        return call.moto()

    def CreateRole(self, call: Call) -> dict[str, Any]:
        """A role; MalformedPolicyDocument where its trust policy names nobody that exists."""
        self._check_trust(call.parameters["AssumeRolePolicyDocument"])
        return call.moto()

    def UpdateAssumeRolePolicy(self, call: Call) -> dict[str, Any]:
        """Replaces a trust policy; returns {}; MalformedPolicyDocument as above."""
        self._check_trust(call.parameters["PolicyDocument"])
        return call.moto()

    def _check_trust(self, document: str) -> None:
        """https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_principal.html"""
        with contextlib.suppress(ValueError, KeyError, AttributeError, TypeError):  # moto tells
            for arn in unknown_principals(self.stand_in.client("iam"), document):
                raise ApiError(
                    "MalformedPolicyDocument", f'Invalid principal in policy: "AWS":"{arn}"'
                )

    def ListRoles(self, call: Call) -> dict[str, Any]:
        """The roles, without what only GetRole tells."""
        return _listed(call)

    def ListUsers(self, call: Call) -> dict[str, Any]:
        """The users, without what only GetUser tells."""
        return _listed(call)

    def ListPolicies(self, call: Call) -> dict[str, Any]:
        """The managed policies, without what only GetPolicy tells."""
        return _listed(call)

    def ListPolicyVersions(self, call: Call) -> dict[str, Any]:
        """The versions of a policy, without what only GetPolicyVersion tells."""
        return _listed(call)

    def ListInstanceProfiles(self, call: Call) -> dict[str, Any]:
        """The instance profiles, without what only GetInstanceProfile tells."""
        return _listed(call)

    def SimulatePrincipalPolicy(self, call: Call) -> dict[str, Any]:
        """What the policies of a user or a role say to actions on resources, one result for each
        pair.

        Source: https://docs.aws.amazon.com/IAM/latest/APIReference/API_SimulatePrincipalPolicy.html
        """
        source = _principal(call.parameters["PolicySourceArn"])
        identity, boundary = identity_policies(source)
        return _simulated(call.parameters, source, identity, boundary)

    def SimulateCustomPolicy(self, call: Call) -> dict[str, Any]:
        """What the given policies say to actions on resources."""
        caller = call.parameters.get("CallerArn")
        return _simulated(
            call.parameters, _principal(caller) if caller else call.principal, (), None
        )


def _listed(call: Call) -> dict[str, Any]:
    """Moto's answer to a List operation without the members that AWS leaves out of it."""
    member, left_out = LEFT_OUT[call.operation]
    answer = call.moto()
    for each in answer[member]:
        for name in left_out:
            each.pop(name, None)
    return answer


@dataclass
class _Simulated(Context):
    """A request that has only the condition keys of the simulation; it remembers those that were
    asked for in vain.
    """

    entries: dict[str, list[str]] = field(default_factory=dict)
    missing: set[str] = field(default_factory=set)

    def values(self, key: str) -> list[str] | None:
        found = self.entries.get(key.lower())
        if found is None:
            self.missing.add(key)
        return found


def _simulated(
    request: dict[str, Any], principal: Principal, identity: tuple[str, ...], boundary: str | None
) -> dict[str, Any]:
    limits = request.get("PermissionsBoundaryPolicyInputList", [])
    policies = Policies(
        (*identity, *request.get("PolicyInputList", [])),
        limits[0] if limits else boundary,
        resource=request.get("ResourcePolicy"),
    )
    _check([*policies.identity, *limits, *([policies.resource] if policies.resource else [])])
    results = list(_results(request, principal, policies))
    first = int(request.get("Marker") or 0)
    last = first + int(request.get("MaxItems") or 100)
    rest = (
        {"IsTruncated": True, "Marker": str(last)}
        if last < len(results)
        else {"IsTruncated": False}
    )
    return {"EvaluationResults": results[first:last], **rest}


def _results(
    request: dict[str, Any], principal: Principal, policies: Policies
) -> Iterator[dict[str, Any]]:
    entries = {
        each["ContextKeyName"].lower(): each["ContextKeyValues"]
        for each in request.get("ContextEntries", [])
    }
    for action in request["ActionNames"]:
        for resource in request.get("ResourceArns") or ["*"]:
            context = _Simulated(principal, action, resource, SIMULATED_REGION, entries=entries)
            yield _result(context, policies)


def _result(context: _Simulated, policies: Policies) -> dict[str, Any]:
    decision = decide(policies, context)
    result: dict[str, Any] = {
        "EvalActionName": context.action,
        "EvalResourceName": context.resource,
        "EvalDecision": "explicitDeny" if decision.explicit else DECISIONS[decision.allowed],
        "MatchedStatements": [],
        "MissingContextValues": sorted(context.missing),
    }
    if policies.boundary is not None:
        within = decide(Policies((policies.boundary,)), context)
        result["PermissionsBoundaryDecisionDetail"] = {
            "AllowedByPermissionsBoundary": within.allowed
        }
    return result


def _principal(arn: str) -> Principal:
    """The user or the role behind an ARN; raises ApiError NoSuchEntity."""
    kind, name = arn.split(":")[5].partition("/")[0], arn.rpartition("/")[2]
    if kind == "role":
        found = role(arn)
        return Principal("AssumedRole", found.arn, found.account_id, found.id, role_arn=found.arn)
    if kind != "user":
        raise ApiError("InvalidInput", f"{arn} is the ARN of no user and no role.")
    return Principal("IAMUser", arn, arn.split(":")[4] or ACCOUNT, name, user_name=name)


def _check(documents: list[str]) -> None:
    for each in documents:
        try:
            statements(each)
        except (ValueError, KeyError, TypeError) as wrong:
            raise ApiError("InvalidInput", f"A policy is not a policy document: {wrong}") from wrong
