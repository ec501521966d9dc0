"""The network as a company's landing zone hands the account over: a Direct Connect line up to a
transit gateway, no VPC.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from moto.ec2.models import ec2_backends

from local_aws.names import ACCOUNT

if TYPE_CHECKING:
    from local_aws.directconnect.service import DirectConnect

CONNECTION = "dxcon-acme0001"
VIRTUAL_INTERFACE = "dxvif-acme0001"
DIRECT_CONNECT_GATEWAY = "0acade00-0001-4000-8000-000000000001"
TRANSIT_GATEWAY = "tgw-0ace0000000000001"
ON_PREMISES_CIDR = "10.20.0.0/16"  # what the company's router announces
CLOUD_CIDR = "10.60.0.0/16"  # what it is told about: VPCs go in here


def hand_over(direct_connect: DirectConnect) -> None:
    """Put the line, its virtual interface with a router at the other end, and both gateways in
    place, all of them up.
    """
    _transit_gateway(direct_connect.stand_in.region)
    gateway = {"directConnectGatewayName": "acme-headquarters", "amazonSideAsn": 64513}
    direct_connect.add_gateway(DIRECT_CONNECT_GATEWAY, gateway)
    line = {"connectionName": "acme-headquarters", "location": "EqDB1", "bandwidth": "10Gbps"}
    direct_connect.add_connection(CONNECTION, line)["settled_at"] = 0.0
    interface = {
        "virtualInterfaceName": "acme-headquarters",
        "vlan": 101,
        "asnLong": 65010,
        "mtu": 8500,
        "directConnectGatewayId": DIRECT_CONNECT_GATEWAY,
    }
    direct_connect.ground.routers[VIRTUAL_INTERFACE] = [ON_PREMISES_CIDR]
    direct_connect.add_interface(VIRTUAL_INTERFACE, CONNECTION, "transit", interface)[
        "settled_at"
    ] = 0.0
    kept = direct_connect.gateways[DIRECT_CONNECT_GATEWAY]
    direct_connect.associate(kept, TRANSIT_GATEWAY, [CLOUD_CIDR])["settled_at"] = 0.0


def _transit_gateway(region: str) -> None:
    """A transit gateway under a fixed id, which EC2's API cannot give."""
    backend = ec2_backends[ACCOUNT][region]
    options = {"AmazonSideAsn": "64514", "AutoAcceptSharedAttachments": "enable"}
    gateway = backend.create_transit_gateway("acme headquarters", options)
    del backend.transit_gateways[gateway.id]
    gateway.id = gateway.default_route_table.transit_gateway_id = TRANSIT_GATEWAY
    backend.transit_gateways[TRANSIT_GATEWAY] = gateway
    gateway.add_tag("Name", "acme-headquarters")
