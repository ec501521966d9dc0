"""EC2: moto keeps the records; here is what AWS refuses and moto does not, and what takes its time.

Sources: the API reference of each operation, and "Error codes for the Amazon EC2 API"
(https://docs.aws.amazon.com/ec2/latest/devguide/errors-overview.html).
"""

from __future__ import annotations

import threading
from collections import Counter
from typing import TYPE_CHECKING, Any

from moto.ec2.models import ec2_backends
from moto.route53.models import route53_backends

from local_aws import settings
from local_aws.errors import ApiError
from local_aws.names import ACCOUNT
from local_aws.service import Call, Service

if TYPE_CHECKING:
    from collections.abc import Iterable

FLOW_LOGS = "vpc-flow-logs.amazonaws.com"


class Ec2(Service):
    """What moto answers, after the refusals of AWS."""

    def CreateVpcEndpoint(self, call: Call) -> dict[str, Any]:
        """The endpoint; InvalidParameter for private names that the VPC cannot have,
        DuplicateSubnetsInSameZone, RouteAlreadyExists.

        https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateVpcEndpoint.html
        """
        request = call.parameters
        if request.get("VpcEndpointType") == "Interface":
            self._check_zones(request.get("SubnetIds", []))
            if request.get("PrivateDnsEnabled", True):
                self._check_names(request["VpcId"], request["ServiceName"])
        else:
            self._check_tables(request["ServiceName"], request.get("RouteTableIds", []))
        return call.moto()

    def ModifyVpcEndpoint(self, call: Call) -> dict[str, Any]:
        """Changes an endpoint; returns {"Return": True}; DuplicateSubnetsInSameZone,
        RouteAlreadyExists.
        """
        request = call.parameters
        endpoint = self._backend().vpc_end_points.get(request["VpcEndpointId"])
        if endpoint:
            kept = set(endpoint.subnet_ids or []) - set(request.get("RemoveSubnetIds", []))
            self._check_zones([*kept, *request.get("AddSubnetIds", [])])
            self._check_tables(endpoint.service_name, request.get("AddRouteTableIds", []))
        return call.moto()

    def AttachVpnGateway(self, call: Call) -> dict[str, Any]:
        """An attachment that is `attaching` and soon `attached`.

        https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_VpcAttachment.html
        """
        call.moto()
        request = call.parameters
        gateway = self._backend().get_vpn_gateway(request["VpnGatewayId"])
        attachment = gateway.attachments[request["VpcId"]]
        attachment.state = "attaching" if settings.settle_seconds else "attached"
        timer = threading.Timer(settings.settle_seconds, setattr, (attachment, "state", "attached"))
        timer.daemon = True
        timer.start()
        return {"VpcAttachment": {"VpcId": request["VpcId"], "State": "attaching"}}

    def CreateRoute(self, call: Call) -> dict[str, Any]:
        """A route; InvalidParameterValue for a gateway that is not attached to the table's VPC."""
        self._check_attached(call.parameters)
        return call.moto()

    def ReplaceRoute(self, call: Call) -> dict[str, Any]:
        """Replaces a route; InvalidParameterValue as for a new one."""
        self._check_attached(call.parameters)
        return call.moto()

    def CreateFlowLogs(self, call: Call) -> dict[str, Any]:
        """The flow logs; what was not made stands in `Unsuccessful` of an answer of 200.

        https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateFlowLogs.html
        """
        role = call.parameters.get("DeliverLogsPermissionArn")
        if role and not self.stand_in.may_assume(role, FLOW_LOGS):
            error = {"Code": "InvalidParameter", "Message": "Unable to assume given IAM role"}
            failed = [{"Error": error, "ResourceId": e} for e in call.parameters["ResourceIds"]]
            return {"FlowLogIds": [], "Unsuccessful": failed}
        return call.moto()

    def _backend(self) -> Any:
        return ec2_backends[ACCOUNT][self.stand_in.region]

    def _check_zones(self, subnet_ids: Iterable[str]) -> None:
        zones = Counter(self._backend().get_subnet(e).availability_zone for e in set(subnet_ids))
        if twice := [zone for zone, count in zones.items() if count > 1]:
            text = f"Found another VPC endpoint subnet in the availability zone of {twice[0]}."
            raise ApiError("DuplicateSubnetsInSameZone", text)

    def _check_names(self, vpc_id: str, service_name: str) -> None:
        """Private names need both DNS attributes, and to be nobody else's in the VPC.

        https://docs.aws.amazon.com/vpc/latest/privatelink/interface-endpoints.html
        """
        vpc = self._backend().get_vpc(vpc_id)
        attributes = (vpc.enable_dns_support, vpc.enable_dns_hostnames)
        if any(str(each).lower() != "true" for each in attributes):
            raise ApiError(
                "InvalidParameter",
                "Enabling private DNS requires both enableDnsSupport and enableDnsHostnames VPC"
                f" attributes set to true for {vpc_id}",
            )
        name = ".".join(reversed(service_name.split(".")[2:])) + ".amazonaws.com"
        other = [
            each
            for each in self._backend().vpc_end_points.values()
            if (each.vpc_id, each.service_name) == (vpc_id, service_name)
            and each.private_dns_enabled
            and each.vpc_endpoint_type == "Interface"
        ]
        if other or name in hosted_zones(vpc_id):
            raise ApiError(
                "InvalidParameter",
                "private-dns-enabled cannot be set because there is already a conflicting DNS"
                f" domain for {name} in the VPC {vpc_id}",
            )

    def _check_tables(self, service_name: str, table_ids: Iterable[str]) -> None:
        for each in table_ids:
            for endpoint in self._backend().vpc_end_points.values():
                if endpoint.service_name == service_name and each in (
                    endpoint.route_table_ids or []
                ):
                    text = f"route table {each} already has a route with destination-prefix-list-id"
                    raise ApiError("RouteAlreadyExists", f"{text} of {service_name}")

    def _check_attached(self, request: dict[str, Any]) -> None:
        gateway_id = request.get("GatewayId", "")
        if not gateway_id.startswith("vgw-"):
            return
        vpc_id = self._backend().get_route_table(request["RouteTableId"]).vpc_id
        attachment = self._backend().get_vpn_gateway(gateway_id).attachments.get(vpc_id)
        if attachment is None or attachment.state != "attached":
            text = f"route table {request['RouteTableId']} and network gateway {gateway_id} belong"
            raise ApiError("InvalidParameterValue", f"{text} to different networks")


def hosted_zones(vpc_id: str) -> list[str]:
    """The names of the private hosted zones of a VPC, without their last dot."""
    zones = route53_backends[ACCOUNT]["aws"].zones.values()
    return [
        each.name.rstrip(".")
        for each in zones
        if any(vpc.get("vpc_id") == vpc_id for vpc in each.vpcs)
    ]
