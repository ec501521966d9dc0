"""Route 53: moto keeps the hosted zones; here is what its lists leave out."""

from __future__ import annotations

from typing import Any

from local_aws.service import Call, Service

MOST_ZONES = "100"  # of one answer


class Route53(Service):
    """Hosted zones."""

    def ListHostedZonesByVPC(self, call: Call) -> dict[str, Any]:
        """The private zones of a VPC, by moto, with how many an answer holds at most.

        https://docs.aws.amazon.com/Route53/latest/APIReference/API_ListHostedZonesByVPC.html
        """
        return {"MaxItems": call.parameters.get("MaxItems", MOST_ZONES), **call.moto()}
