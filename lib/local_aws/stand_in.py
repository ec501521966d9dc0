"""The stand-in as its services see it: one directory, the S3 objects in it, and the other services
by boto3.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import boto3
import botocore.loaders
import botocore.session

from local_aws.principal import INTERNAL_ACCESS_KEY, aws_service

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from local_aws.ports import Decides, Identifies, Records, Vends
    from local_aws.principal import Principal
    from local_aws.s3.objects import Objects

MODELS = botocore.loaders.create_loader()  # read once for all sessions

# "Cross-service confused deputy prevention" in the guides of these services tells that they send
# aws:SourceAccount when they take a role; Redshift's and QuickSight's do not.
TELL_ACCOUNT = {"cloudtrail", "dms", "glue", "lakeformation", "sagemaker", "vpc-flow-logs"}


@dataclass
class StandIn:
    """One running stand-in."""

    directory: Path  # everything it writes is below this
    objects: Objects  # the S3 objects, as files
    endpoint: str  # "http://127.0.0.1:4566"
    region: str

    # who stands behind these, server.py says
    principals: Identifies = field(init=False, repr=False)
    authority: Decides = field(init=False, repr=False)
    recorder: Records = field(init=False, repr=False)
    lake: Vends = field(init=False, repr=False)
    # (stand-in, principal, lake_formation=…): the objects as the principal may use them
    objects_as: Callable[..., Objects] = field(init=False, repr=False)

    acting_key: str = INTERNAL_ACCESS_KEY  # signs what `client` makes when nobody else is named
    whole: StandIn | None = None  # what this is the view of a principal of
    _clients: dict[tuple[str, str], Any] = field(default_factory=dict, repr=False)

    def client(
        self,
        service: str,
        *,
        role_arn: str = "",
        service_principal: str = "",
        caller: Principal | None = None,
        via: str = "",
    ) -> Any:
        """A boto3 client of this stand-in for its engines, from any thread; made once, as making
        one takes 0.1 s.

        Its calls are the stand-in's own and always allowed; or those of the role, which the service
        must be allowed to take (`service_session`); or those of the `caller` itself, made for it
        `via` a service such as "athena.amazonaws.com".
        """
        key = self.acting_key
        if role_arn:
            key = self.service_session(role_arn, service_principal).access_key
        elif caller is not None:
            key = self.principals.on_behalf(caller, via).access_key
        if (service, key) not in self._clients:
            core = botocore.session.get_session()
            core.register_component("data_loader", MODELS)
            session: Any = boto3.session.Session(
                botocore_session=core,
                aws_access_key_id=key,
                aws_secret_access_key="engine",  # noqa: S106 - not checked by anyone
                region_name=self.region,
            )
            self._clients[service, key] = session.client(service, endpoint_url=self.endpoint)
        return self._clients[service, key]

    @property
    def itself(self) -> StandIn:
        """The stand-in without anybody acting."""
        return self.whole or self

    @property
    def acting(self) -> Principal:
        """Who acts."""
        found = self.principals.of(self.acting_key)
        assert found is not None
        return found

    def service_session(self, role_arn: str, service_principal: str) -> Principal:
        """The session in which an AWS service acts as a role: "glue.amazonaws.com".

        Raises AccessDeniedError when the role's trust policy does not let the service take it, or
        there is no such role.
        """
        given = _source_account(role_arn, service_principal)
        self.authority.authorize(aws_service(service_principal), "sts:AssumeRole", role_arn, given)
        return self.principals.service_session(role_arn, service_principal, self.recorder.assumed)

    def may_assume(self, role_arn: str, service_principal: str) -> bool:
        """Whether a role is there and its trust policy lets an AWS service take it."""
        given = _source_account(role_arn, service_principal)
        return self.authority.allows(
            aws_service(service_principal), "sts:AssumeRole", role_arn, given
        )

    def acting_as(self, principal: Principal, *, lake_formation: bool = False) -> StandIn:
        """The stand-in as a principal may use it: its clients make the principal's calls, its
        objects are those it may have.

        With `lake_formation` registered locations are read with what Lake Formation vends.
        """
        if principal.access_key == INTERNAL_ACCESS_KEY:
            return self
        seen = copy.copy(self)
        seen.whole = self.itself
        seen.objects = self.objects_as(self, principal, lake_formation=lake_formation)
        seen.acting_key = principal.access_key
        return seen

    def authorize(
        self,
        principal: Principal,
        action: str,
        resource: str,
        given: Mapping[str, str] | None = None,
    ) -> None:
        """For engines that touch files themselves: return when the principal may, else raise
        AccessDeniedError.

        `given` are condition keys of the request: {"s3:prefix": "raw/"}. The error's `sentence`
        says who may not do what, and why.
        """
        self.authority.authorize(principal, action, resource, given)


def _source_account(role_arn: str, service_principal: str) -> dict[str, str]:
    """The account of the resource that a service takes a role for, which is the role's own here;
    nothing of a service that does not tell it.
    """
    if service_principal.partition(".")[0] not in TELL_ACCOUNT:
        return {}
    return {"aws:SourceAccount": role_arn.split(":")[4] if role_arn.count(":") > 4 else ""}
