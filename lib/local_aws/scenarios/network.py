"""Incidents of the network: the line to the company, and the VPC around DMS."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, cast

from moto.ec2.models import ec2_backends

from local_aws.directconnect.landing_zone import CONNECTION, TRANSIT_GATEWAY, VIRTUAL_INTERFACE
from local_aws.directconnect.service import DirectConnect
from local_aws.names import ACCOUNT
from local_aws.scenarios.scenario import Scenario, first
from local_aws.service import service_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from local_aws.service import Service
    from local_aws.stand_in import StandIn

    Undo = Callable[[], object]
    Services = dict[str, Service]


def _cut(direct_connect: DirectConnect, identities: set[str]) -> Undo:
    direct_connect.ground.broken |= identities
    direct_connect.routes_changed()

    def undo() -> None:
        direct_connect.ground.broken -= identities
        direct_connect.routes_changed()

    return undo


def _connection_down(_: StandIn, services: Services) -> Undo:
    return _cut(_direct_connect(services), {CONNECTION})


def _bgp_down(_: StandIn, services: Services) -> Undo:
    direct_connect = _direct_connect(services)
    peers = direct_connect.interfaces[VIRTUAL_INTERFACE]["peers"]
    return _cut(direct_connect, {each["bgpPeerId"] for each in peers})


def _interface_deleted(_: StandIn, services: Services) -> Undo:
    direct_connect = _direct_connect(services)
    return _changed(
        direct_connect,
        direct_connect.interfaces[VIRTUAL_INTERFACE],
        "virtualInterfaceState",
        "deleted",
    )


def _routes_missing(_: StandIn, services: Services) -> Undo:
    direct_connect = _direct_connect(services)
    return _changed(direct_connect, direct_connect.ground.routers, VIRTUAL_INTERFACE, [])


def _prefix_not_allowed(_: StandIn, services: Services) -> Undo:
    direct_connect = _direct_connect(services)
    return _changed(direct_connect, _association(direct_connect), "prefixes", ["10.99.0.0/16"])


def _gateway_not_associated(_: StandIn, services: Services) -> Undo:
    direct_connect = _direct_connect(services)
    identity = _association(direct_connect)["associationId"]
    record = direct_connect.associations.pop(identity)
    direct_connect.routes_changed()

    def undo() -> None:
        direct_connect.associations[identity] = record
        direct_connect.routes_changed()

    return undo


def _transit_route_missing(stand_in: StandIn, services: Services) -> Undo:
    gateway = ec2_backends[ACCOUNT][stand_in.region].transit_gateways[TRANSIT_GATEWAY]
    for cidr in [
        each for each, r in gateway.default_route_table.routes.items() if r["type"] == "propagated"
    ]:
        del gateway.default_route_table.routes[cidr]
    return _direct_connect(services).routes_changed


def _vpc_detached(stand_in: StandIn, _: Services) -> Undo:
    ec2, attachment = stand_in.client("ec2"), _vpc_attachment(stand_in)
    ec2.delete_transit_gateway_vpc_attachment(
        TransitGatewayAttachmentId=attachment["TransitGatewayAttachmentId"]
    )
    kept = {name: attachment[name] for name in ("TransitGatewayId", "VpcId", "SubnetIds")}
    tags = _tags("transit-gateway-attachment", attachment)
    return partial(ec2.create_transit_gateway_vpc_attachment, **kept, TagSpecifications=tags)


def _route_missing(stand_in: StandIn, _: Services) -> Undo:
    ec2 = stand_in.client("ec2")
    filters = [{"Name": "route.transit-gateway-id", "Values": [TRANSIT_GATEWAY]}]
    table = first(
        ec2.describe_route_tables(Filters=filters)["RouteTables"], "route to the transit gateway"
    )
    route = next(
        each for each in table["Routes"] if each.get("TransitGatewayId") == TRANSIT_GATEWAY
    )
    where = {
        "RouteTableId": table["RouteTableId"],
        "DestinationCidrBlock": route["DestinationCidrBlock"],
    }
    ec2.delete_route(**where)
    return partial(ec2.create_route, **where, TransitGatewayId=TRANSIT_GATEWAY)


def _security_group_closed(stand_in: StandIn, _: Services) -> Undo:
    ec2, group = stand_in.client("ec2"), _group(stand_in, "*-dms")
    rules = [each for each in group["IpPermissionsEgress"] if each.get("IpRanges")]
    rule = {
        "GroupId": group["GroupId"],
        "IpPermissions": first([rules] if rules else [], "outbound rule of DMS"),
    }
    ec2.revoke_security_group_egress(**rule)
    return partial(ec2.authorize_security_group_egress, **rule)


def _endpoint_group_closed(stand_in: StandIn, _: Services) -> Undo:
    ec2, group = stand_in.client("ec2"), _group(stand_in, "*-endpoints")
    rule = {"GroupId": group["GroupId"], "IpPermissions": group["IpPermissions"]}
    ec2.revoke_security_group_ingress(**rule)
    return partial(ec2.authorize_security_group_ingress, **rule)


def _acl_closed(stand_in: StandIn, _: Services) -> Undo:
    ec2 = stand_in.client("ec2")
    filters = [{"Name": "vpc-id", "Values": [_vpc_attachment(stand_in)["VpcId"]]}]
    acl = ec2.describe_network_acls(Filters=filters)["NetworkAcls"][0]["NetworkAclId"]
    rule = {"NetworkAclId": acl, "RuleNumber": 1, "Egress": False}
    ports = {"Protocol": "6", "PortRange": {"From": 32768, "To": 60999}}
    ec2.create_network_acl_entry(**rule, **ports, RuleAction="deny", CidrBlock="0.0.0.0/0")
    return partial(ec2.delete_network_acl_entry, **rule)


def _endpoint_missing(stand_in: StandIn, _: Services) -> Undo:
    ec2, endpoint = stand_in.client("ec2"), _endpoint(stand_in)
    ec2.delete_vpc_endpoints(VpcEndpointIds=[endpoint["VpcEndpointId"]])
    members = (
        "VpcEndpointType",
        "VpcId",
        "ServiceName",
        "PolicyDocument",
        "SubnetIds",
        "PrivateDnsEnabled",
    )
    kept = {name: endpoint[name] for name in members if name in endpoint}
    groups = [each["GroupId"] for each in endpoint["Groups"]]
    tags = _tags("vpc-endpoint", endpoint)
    return partial(ec2.create_vpc_endpoint, **kept, SecurityGroupIds=groups, TagSpecifications=tags)


def _private_dns_off(stand_in: StandIn, _: Services) -> Undo:
    ec2, identity = stand_in.client("ec2"), _endpoint(stand_in)["VpcEndpointId"]
    ec2.modify_vpc_endpoint(VpcEndpointId=identity, PrivateDnsEnabled=False)
    return partial(ec2.modify_vpc_endpoint, VpcEndpointId=identity, PrivateDnsEnabled=True)


def _direct_connect(services: Services) -> DirectConnect:
    return service_of(services, DirectConnect)


def _association(direct_connect: DirectConnect) -> dict[str, Any]:
    found = [
        each for each in direct_connect.associations.values() if each["target"] == TRANSIT_GATEWAY
    ]
    return cast("dict[str, Any]", first(found, "association of the transit gateway"))


def _changed(
    direct_connect: DirectConnect, record: dict[str, Any], member: str, value: Any
) -> Undo:
    """Change a member of a record; the undoing puts back what was there."""
    before = record[member]

    def put(what: Any) -> None:
        record[member] = what
        direct_connect.routes_changed()

    put(value)
    return partial(put, before)


def _vpc_attachment(stand_in: StandIn) -> dict[str, Any]:
    filters = [
        {"Name": "transit-gateway-id", "Values": [TRANSIT_GATEWAY]},
        {"Name": "state", "Values": ["available"]},
    ]
    found = stand_in.client("ec2").describe_transit_gateway_vpc_attachments(Filters=filters)
    mine = [
        each
        for each in found["TransitGatewayVpcAttachments"]
        if each.get("VpcId", "").startswith("vpc-")
    ]
    return cast("dict[str, Any]", first(mine, "VPC on the transit gateway"))


def _group(stand_in: StandIn, name: str) -> dict[str, Any]:
    filters = [{"Name": "group-name", "Values": [name]}]
    found = stand_in.client("ec2").describe_security_groups(Filters=filters)["SecurityGroups"]
    return cast("dict[str, Any]", first(found, f"security group {name}"))


def _endpoint(stand_in: StandIn) -> dict[str, Any]:
    """The interface endpoint of Secrets Manager."""
    filters = [
        {"Name": "service-name", "Values": [f"com.amazonaws.{stand_in.region}.secretsmanager"]}
    ]
    found = stand_in.client("ec2").describe_vpc_endpoints(Filters=filters)["VpcEndpoints"]
    alive = [each for each in found if each["State"] == "available"]
    return cast("dict[str, Any]", first(alive, "endpoint of Secrets Manager"))


def _tags(kind: str, thing: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"ResourceType": kind, "Tags": thing["Tags"]}] if thing.get("Tags") else []


SCENARIOS = {
    "connection-down": Scenario(
        "the fibre of the Direct Connect connection is cut", _connection_down
    ),
    "interface-deleted": Scenario("somebody deleted the virtual interface", _interface_deleted),
    "bgp-down": Scenario("the company's router ends its BGP session", _bgp_down),
    "routes-missing": Scenario("BGP is up, but the router announces nothing", _routes_missing),
    "gateway-not-associated": Scenario(
        "the transit gateway lost its association", _gateway_not_associated
    ),
    "prefix-not-allowed": Scenario(
        "the VPC's network is not among the allowed prefixes", _prefix_not_allowed
    ),
    "transit-route-missing": Scenario(
        "the transit gateway's route table learns nothing", _transit_route_missing
    ),
    "vpc-detached": Scenario("the VPC is not attached to the transit gateway", _vpc_detached),
    "route-missing": Scenario("the subnets have no route to the company", _route_missing),
    "security-group-closed": Scenario(
        "DMS's security group lets nothing out to the source", _security_group_closed
    ),
    "acl-closed": Scenario("a network ACL denies the ports that answers come to", _acl_closed),
    "endpoint-missing": Scenario("the endpoint of Secrets Manager was deleted", _endpoint_missing),
    "private-dns-off": Scenario(
        "private DNS of the endpoint of Secrets Manager is off", _private_dns_off
    ),
    "endpoint-group-closed": Scenario(
        "the endpoints' security group lets nobody in", _endpoint_group_closed
    ),
}
