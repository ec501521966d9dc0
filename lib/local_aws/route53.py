"""Route 53: moto keeps the hosted zones; here is what its lists leave out."""

from __future__ import annotations

from typing import Any

from local_aws.service import Call, Service

MOST_ZONES = "100"  # of one answer
# of every private zone: its NS record cannot be changed, and nobody outside asks them
PRIVATE = ["ns-0.awsdns-00.com", "ns-512.awsdns-00.net"]


class Route53(Service):
    """Hosted zones."""

    def CreateHostedZone(self, call: Call) -> dict[str, Any]:
        """The zone, by moto, with the name servers that its answer always has.

        https://docs.aws.amazon.com/Route53/latest/APIReference/API_CreateHostedZone.html
        """
        return {"DelegationSet": {"NameServers": PRIVATE}, **call.moto()}

    def ListHostedZonesByVPC(self, call: Call) -> dict[str, Any]:
        """The private zones of a VPC, by moto, with how many an answer holds at most.

        https://docs.aws.amazon.com/Route53/latest/APIReference/API_ListHostedZonesByVPC.html
        """
        return {"MaxItems": call.parameters.get("MaxItems", MOST_ZONES), **call.moto()}
