"""The one place that says who may do what: for every API call, and for engines that touch files
themselves.
"""

from __future__ import annotations

import functools
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from local_aws.errors import ApiError
from local_aws.iam import principals, refusals
from local_aws.iam.context import Context
from local_aws.iam.evaluation import Decision, decide
from local_aws.iam.records import key_state, policies_on, secret_arn, tags_of
from local_aws.names import ACCOUNT
from local_aws.principal import ENGINE, Principal
from service_authorization import Requirement, required

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from local_aws.iam.records import Lookup

KMS_STATES = {
    "Disabled": ("KMS.DisabledException", "disabled"),
    "PendingDeletion": ("KMS.KMSInvalidStateException", "pending deletion"),
}
NO_ENVIRON: dict[str, Any] = {}


class Authority:
    """Answers for one stand-in; asks the policies as they are at this moment."""

    def __init__(
        self, region: str, client: Callable[[str], Any], lookups: Mapping[tuple[str, str], Lookup]
    ) -> None:
        self._region, self._client, self._lookups = region, client, lookups

    def authorize_call(
        self,
        principal: Principal,
        service: str,
        operation: str,
        parameters: Mapping[str, Any],
        region: str,
        environ: Mapping[str, Any] = NO_ENVIRON,
    ) -> None:
        """Return when the principal may make a call; raises AccessDeniedError, in the words and
        with the code of the service.
        """
        if principal is ENGINE:
            return
        lookup = functools.partial(self._lookup, principal.account or ACCOUNT, region)
        for need in required(service, operation, parameters, principal.account, region, lookup):
            self._check_key(need)
            for resource in need.resources:
                context = self._context(principal, need, resource, region, parameters, environ)
                decision = self._decision(context)
                if not decision.allowed:
                    raise refusals.denied(
                        service, operation, principal, need.action, context.resource, decision
                    )

    def authorize(
        self,
        principal: Principal,
        action: str,
        resource: str,
        given: Mapping[str, str] | None = None,
    ) -> None:
        """Return when the principal may do this; raises AccessDeniedError, whose `sentence` says
        who may not do what and why.
        """
        decision = self.decision(principal, action, resource, given)
        if not decision.allowed:
            service = action.partition(":")[0]
            raise refusals.denied(service, "", principal, action, resource, decision)

    def allows(
        self,
        principal: Principal,
        action: str,
        resource: str,
        given: Mapping[str, str] | None = None,
    ) -> bool:
        """Whether the principal may do this; for `service("cloudtrail.amazonaws.com")` the
        resource's policy decides.
        """
        return self.decision(principal, action, resource, given).allowed

    def decision(
        self,
        principal: Principal,
        action: str,
        resource: str,
        given: Mapping[str, str] | None = None,
    ) -> Decision:
        """The decision about one action on one resource, with the condition keys that are given."""
        if principal is ENGINE:
            return Decision(allowed=True)
        context = Context(
            principal, action, resource, self._region, given=given or {}, tags_of=self._tags()
        )
        return self._decision(context)

    def _decision(self, context: Context) -> Decision:
        return decide(policies_on(context.principal, context.action, context.resource), context)

    def _context(
        self,
        principal: Principal,
        need: Requirement,
        resource: str,
        region: str,
        parameters: Mapping[str, Any],
        environ: Mapping[str, Any],
    ) -> Context:
        if need.via:
            principal = replace(
                principal, called_via=(*principal.called_via, need.via.replace(f".{region}", ""))
            )
        given = dict(need.context)
        if (
            need.action.startswith("iam:")
            and "RoleName" in parameters
            and "PermissionsBoundary" not in parameters
        ):
            given |= _boundary_of(resource)
        resource = secret_arn(resource) if need.action.startswith("secretsmanager:") else resource
        address, agent = environ.get("REMOTE_ADDR", "127.0.0.1"), environ.get("HTTP_USER_AGENT", "")
        return Context(
            principal,
            need.action,
            resource,
            region,
            parameters,
            given,
            address,
            agent,
            self._tags(),
        )

    def _lookup(
        self,
        account: str,
        region: str,
        service: str,
        placeholder: str,
        parameters: Mapping[str, Any],
    ) -> str | None:
        """What a request does not tell: `Lookup` of service_authorization, for one call."""
        found = self._lookups.get((service, placeholder))
        return found(parameters, account, region) if found else None

    def _tags(self) -> Any:
        return functools.partial(tags_of, self._client)

    @staticmethod
    def _check_key(need: Requirement) -> None:
        """What S3 answers when the key of an object cannot be used."""
        if need.via and need.action.startswith("kms:") and not need.resources[0].startswith("arn:"):
            raise ApiError("KMS.NotFoundException", f"{need.resources[0]} is not found.", 400)
        if (
            need.via
            and need.action.startswith("kms:")
            and (known := KMS_STATES.get(key_state(need.resources[0])))
        ):
            raise ApiError(known[0], f"{need.resources[0]} is {known[1]}.", 400)


def _boundary_of(role_arn: str) -> dict[str, str]:
    try:
        found = principals.role(role_arn).permissions_boundary_arn
    except ApiError:
        return {}
    return {"iam:PermissionsBoundary": found} if found else {}
