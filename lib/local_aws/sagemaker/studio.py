"""SageMaker Studio's records: domains and the people in them. Nothing runs in them: who opens
Studio is told whether it would start.

Source: https://docs.aws.amazon.com/sagemaker/latest/dg/gs-studio-onboard.html
"""

from __future__ import annotations

import secrets
import time
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from local_aws import settings
from local_aws.errors import AccessDeniedError, ApiError
from local_aws.names import ACCOUNT
from local_aws.sagemaker.jobs import PRINCIPAL, now
from local_aws.service import Service

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from local_aws.service import Call
    from local_aws.stand_in import StandIn

DOMAIN_MEMBERS = frozenset(
    [
        "DomainName",
        "AuthMode",
        "DefaultUserSettings",
        "SubnetIds",
        "VpcId",
        "AppNetworkAccessType",
        "KmsKeyId",
        "Tags",
    ]
)
PREFIX = "/_studio/"
# what Studio does in the name of whoever works in it; all it makes it tags:
# https://docs.aws.amazon.com/sagemaker/latest/dg/security_iam_service-with-iam.html
STARTS = ("CreateSpace", "CreateApp", "AddTags")
# https://docs.aws.amazon.com/sagemaker/latest/dg/studio-updated-and-internet-access.html
ENDPOINTS = ("sagemaker.api", "sagemaker.runtime")


class Studio(Service):
    """Domains and user profiles: Pending, then InService."""

    def __init__(self, stand_in: StandIn) -> None:
        super().__init__(stand_in)
        self.domains: dict[str, dict[str, Any]] = {}
        self.profiles: dict[tuple[str, str], dict[str, Any]] = {}
        self.addresses: dict[str, tuple[str, float]] = {}  # domain, and until when, by token

    def CreateDomain(self, call: Call) -> dict[str, Any]:
        """A domain in subnets that are there, whose role SageMaker may take; ResourceInUse for a
        name that another has.
        """
        request = call.parameters
        if extra := sorted(set(request) - DOMAIN_MEMBERS):
            raise ApiError(
                "NotInLocalAws", f"local_aws does not do {', '.join(extra)} of a domain.", 501
            )
        if request["AuthMode"] != "IAM":
            raise ApiError(
                "NotInLocalAws", "local_aws has no IAM Identity Center: AuthMode must be IAM.", 501
            )
        if any(each["DomainName"] == request["DomainName"] for each in self.domains.values()):
            raise ApiError("ResourceInUse", f"Domain [{request['DomainName']}] already exists.")
        self._check(
            request["DefaultUserSettings"]["ExecutionRole"], request["VpcId"], request["SubnetIds"]
        )
        domain_id = f"d-{secrets.token_hex(6)}"
        made = {
            **request,
            "DomainId": domain_id,
            "DomainArn": f"arn:aws:sagemaker:{call.region}:{ACCOUNT}:domain/{domain_id}",
            "Url": f"https://{domain_id}.studio.{call.region}.sagemaker.aws",
        }
        self.domains[domain_id] = _begun(made)
        return {name: made[name] for name in ("DomainArn", "DomainId", "Url")}

    def DescribeDomain(self, call: Call) -> dict[str, Any]:
        """The domain as it is now."""
        return _shown(self._domain(call.parameters["DomainId"]))

    def ListDomains(self, call: Call) -> dict[str, Any]:  # noqa: ARG002 - there are never many
        """All domains."""
        members = (
            "DomainArn",
            "DomainId",
            "DomainName",
            "Status",
            "CreationTime",
            "LastModifiedTime",
            "Url",
        )
        return {"Domains": [_only(_shown(each), members) for each in self.domains.values()]}

    def DeleteDomain(self, call: Call) -> None:
        """Forget a domain nobody is in; ResourceInUse otherwise."""
        domain_id = str(self._domain(call.parameters["DomainId"])["DomainId"])
        if any(where == domain_id for where, _ in self.profiles):
            raise ApiError(
                "ResourceInUse",
                f"Unable to delete Domain [{domain_id}] because UserProfile(s) are associated"
                " with it.",
            )
        del self.domains[domain_id]

    def CreateUserProfile(self, call: Call) -> dict[str, Any]:
        """A person in a domain that is InService; ResourceInUse for a name that another has."""
        request = call.parameters
        if extra := sorted(set(request) - {"DomainId", "UserProfileName", "Tags"}):
            raise ApiError(
                "NotInLocalAws", f"local_aws does not do {', '.join(extra)} of a user profile.", 501
            )
        domain, name = self._domain(request["DomainId"]), request["UserProfileName"]
        if _shown(domain)["Status"] != "InService":
            raise ApiError(
                "ValidationException", f"Domain [{request['DomainId']}] is not in InService status."
            )
        if (request["DomainId"], name) in self.profiles:
            raise ApiError("ResourceInUse", f"UserProfile [{name}] already exists.")
        arn = f"arn:aws:sagemaker:{call.region}:{ACCOUNT}:user-profile/{request['DomainId']}/{name}"
        self.profiles[request["DomainId"], name] = _begun({**request, "UserProfileArn": arn})
        return {"UserProfileArn": arn}

    def DescribeUserProfile(self, call: Call) -> dict[str, Any]:
        """The person's place as it is now."""
        return _shown(self._profile(call))

    def ListUserProfiles(self, call: Call) -> dict[str, Any]:
        """The people of a domain, or of all."""
        wanted = call.parameters.get("DomainIdEquals")
        members = ("DomainId", "UserProfileName", "Status", "CreationTime", "LastModifiedTime")
        found = [each for (where, _), each in self.profiles.items() if wanted in (None, where)]
        return {"UserProfiles": [_only(_shown(each), members) for each in found]}

    def DeleteUserProfile(self, call: Call) -> None:
        """Forget a person."""
        self._profile(call)
        del self.profiles[call.parameters["DomainId"], call.parameters["UserProfileName"]]

    def CreatePresignedDomainUrl(self, call: Call) -> dict[str, Any]:
        """The address at which a person opens Studio, once, within five minutes."""
        self._profile(call)
        token = secrets.token_hex(16)
        until = time.monotonic() + float(call.parameters.get("ExpiresInSeconds", 300))
        self.addresses[token] = call.parameters["DomainId"], until
        return {"AuthorizedUrl": f"{self.stand_in.endpoint}{PREFIX}{token}"}

    def page(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Answer below /_studio/ whether Studio starts (WSGI)."""
        token = environ["PATH_INFO"].removeprefix(PREFIX)
        domain, until = self.addresses.pop(token, ("", 0.0))
        problems = ["The address was opened before, or is older than five minutes."]
        if time.monotonic() < until:
            problems = list(self._problems(self._domain(domain)))
        text = ("\n".join(problems) or "Studio starts.").encode()
        headers = [("Content-Type", "text/plain"), ("Content-Length", str(len(text)))]
        start_response("403 Forbidden" if problems else "200 OK", headers)
        return [text]

    def _problems(self, domain: dict[str, Any]) -> Iterator[str]:
        """Why Studio would not start: what its role may not do, what it does not reach."""
        session = self.stand_in.service_session(
            domain["DefaultUserSettings"]["ExecutionRole"], PRINCIPAL
        )
        prefix = domain["DomainArn"].partition(":domain/")[0]
        for each in STARTS:
            kind = "space" if each == "CreateSpace" else "app"
            try:
                arn = f"{prefix}:{kind}/{domain['DomainId']}/x"
                self.stand_in.authorize(session, f"sagemaker:{each}", arn)
            except AccessDeniedError as refusal:
                yield refusal.sentence
        if domain.get("AppNetworkAccessType") != "VpcOnly" or self._leaves(domain):
            return
        found = self.stand_in.client("ec2").describe_vpc_endpoints(
            Filters=[{"Name": "vpc-id", "Values": [domain["VpcId"]]}]
        )["VpcEndpoints"]
        for each in ENDPOINTS:
            name = f"com.amazonaws.{self.stand_in.region}.{each}"
            if not any(one["ServiceName"] == name for one in found):
                yield f"The VPC {domain['VpcId']} has no endpoint for {name}."

    def _leaves(self, domain: dict[str, Any]) -> bool:
        """Whether the VPC has a way to addresses outside."""
        tables = self.stand_in.client("ec2").describe_route_tables(
            Filters=[{"Name": "vpc-id", "Values": [domain["VpcId"]]}]
        )["RouteTables"]
        routes = [one for each in tables for one in each["Routes"]]
        return any(each.get("DestinationCidrBlock") == "0.0.0.0/0" for each in routes)

    def _domain(self, domain_id: str) -> dict[str, Any]:
        if domain_id not in self.domains:
            raise ApiError("ResourceNotFound", f"Domain [{domain_id}] does not exist.")
        return self.domains[domain_id]

    def _profile(self, call: Call) -> dict[str, Any]:
        where = (call.parameters["DomainId"], call.parameters["UserProfileName"])
        if where not in self.profiles:
            raise ApiError("ResourceNotFound", f"UserProfile [{where[1]}] does not exist.")
        return self.profiles[where]

    def _check(self, role_arn: str, vpc_id: str, subnet_ids: list[str]) -> None:
        if not self.stand_in.may_assume(role_arn, PRINCIPAL):
            raise ApiError(
                "ValidationException",
                f"SageMaker is unable to assume the ExecutionRole [{role_arn}] in"
                " DefaultUserSettings.",
            )
        try:
            found = self.stand_in.client("ec2").describe_subnets(SubnetIds=subnet_ids)["Subnets"]
        except ClientError as error:
            raise ApiError("ValidationException", error.response["Error"]["Message"]) from error
        if strangers := [each["SubnetId"] for each in found if each["VpcId"] != vpc_id]:
            raise ApiError("ValidationException", f"Subnets {strangers} are not in VPC [{vpc_id}].")


def _begun(record: dict[str, Any]) -> dict[str, Any]:
    moment = now()
    return {
        **record,
        "CreationTime": moment,
        "LastModifiedTime": moment,
        "ready": time.monotonic() + settings.settle_seconds,
    }


def _shown(record: dict[str, Any]) -> dict[str, Any]:
    state = "InService" if time.monotonic() >= record["ready"] else "Pending"
    return {
        **{key: each for key, each in record.items() if key not in ("ready", "Tags")},
        "Status": state,
    }


def _only(record: dict[str, Any], members: tuple[str, ...]) -> dict[str, Any]:
    return {name: record[name] for name in members}
