"""AWS Service Quotas: the documented default values of the services the runbook uses, and what was
raised or lowered here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from moto.servicequotas.resources.default_quotas.vpc import VPC_DEFAULT_QUOTAS

from local_aws.errors import ApiError
from local_aws.names import ACCOUNT
from local_aws.service import Service

if TYPE_CHECKING:
    from local_aws.service import Call
    from local_aws.stand_in import StandIn

SERVICES = {
    "dms": "AWS Database Migration Service (AWS DMS)",
    "glue": "AWS Glue",
    "vpc": "Amazon Virtual Private Cloud (Amazon VPC)",
}
# https://docs.aws.amazon.com/dms/latest/userguide/CHAP_Limits.html
# https://docs.aws.amazon.com/general/latest/gr/glue.html
DEFAULTS = {
    "dms": {
        "L-C2341CDC": ("Replication instances", 60.0),
        "L-E17328E9": ("Endpoint count", 1000.0),
        "L-7FD3593B": ("Task count", 600.0),
        "L-27B24FAD": ("Subnet groups", 60.0),
    },
    "glue": {"L-5E4153CA": ("Max concurrent job runs per account", 2000.0)},
    "vpc": {
        each["QuotaCode"]: (each["QuotaName"], float(each["Value"])) for each in VPC_DEFAULT_QUOTAS
    },
}


class ServiceQuotas(Service):
    """Quotas of the account; requests for an increase are refused, as nobody grants them here."""

    def __init__(self, stand_in: StandIn) -> None:
        super().__init__(stand_in)
        # by service and quota code, where it is not the default
        self.applied: dict[tuple[str, str], float] = {}

    def ListServices(self, call: Call) -> dict[str, Any]:
        """The services whose quotas are here."""
        return _page(
            call,
            "Services",
            [{"ServiceCode": code, "ServiceName": name} for code, name in SERVICES.items()],
        )

    def GetServiceQuota(self, call: Call) -> dict[str, Any]:
        """The value that was applied to the account; raises NoSuchResourceException, also where
        there is the default value alone.

        Source: https://docs.aws.amazon.com/servicequotas/2019-06-24/apireference/API_GetServiceQuota.html
        """
        return {
            "Quota": self._quota(
                call.parameters["ServiceCode"], call.parameters["QuotaCode"], applied=True
            )
        }

    def GetAWSDefaultServiceQuota(self, call: Call) -> dict[str, Any]:
        """AWS's default value; raises NoSuchResourceException."""
        return {
            "Quota": self._quota(
                call.parameters["ServiceCode"], call.parameters["QuotaCode"], applied=False
            )
        }

    def ListServiceQuotas(self, call: Call) -> dict[str, Any]:
        """The values that were applied to the account, of one service; defaults are not among
        them.
        """
        return self._list(call, applied=True)

    def ListAWSDefaultServiceQuotas(self, call: Call) -> dict[str, Any]:
        """AWS's default values, of one service."""
        return self._list(call, applied=False)

    def _list(self, call: Call, *, applied: bool) -> dict[str, Any]:
        service, wanted = call.parameters["ServiceCode"], call.parameters.get("QuotaCode")
        codes = [
            each
            for each in _defaults(service)
            if wanted in (None, each) and (not applied or (service, each) in self.applied)
        ]
        return _page(
            call, "Quotas", [self._quota(service, each, applied=applied) for each in codes]
        )

    def _quota(self, service: str, code: str, *, applied: bool) -> dict[str, Any]:
        known = _defaults(service)
        if code not in known or (applied and (service, code) not in self.applied):
            raise _absent()
        name, value = known[code]
        return {
            "ServiceCode": service,
            "ServiceName": SERVICES[service],
            "QuotaArn": f"arn:aws:servicequotas:{self.stand_in.region}:{ACCOUNT}:{service}/{code}",
            "QuotaCode": code,
            "QuotaName": name,
            "Value": self.applied[service, code] if applied else value,
            "Unit": "None",
            "Adjustable": True,
            "GlobalQuota": False,
        }


def _defaults(service: str) -> dict[str, tuple[str, float]]:
    if service not in DEFAULTS:
        raise _absent()
    return DEFAULTS[service]


def _absent() -> ApiError:
    return ApiError(
        "NoSuchResourceException",
        "The request failed because the specified service does not exist.",
        404,
    )


def _page(call: Call, member: str, records: list[dict[str, Any]]) -> dict[str, Any]:
    """One page of an answer, MaxResults (1 to 100, 100 without) from NextToken on."""
    token, size = call.parameters.get("NextToken") or "0", call.parameters.get("MaxResults") or 100
    if not token.isdigit():
        raise ApiError("InvalidPaginationTokenException", "Invalid input was provided.")
    answer: dict[str, Any] = {member: records[int(token) : int(token) + size]}
    if int(token) + size < len(records):
        answer["NextToken"] = str(int(token) + size)
    return answer
