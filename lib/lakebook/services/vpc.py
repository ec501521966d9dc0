"""A private network: VPC, subnets in three Availability Zones, routes towards the source, no way to
the internet.
"""

from __future__ import annotations

import ipaddress
from functools import partial
from typing import TYPE_CHECKING, Any

from lakebook import aws
from lakebook.ensure import Call, Resource, resource, wait
from lakebook.errors import LakebookError
from lakebook.services import ec2
from lakebook.services.network_acl import network_acl

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from lakebook.services.ec2 import Network

ZONES = 3  # Redshift Serverless wants three
SUBNET_BITS = 4  # a /16 is cut into /20
ALIVE = [
    "pendingAcceptance",
    "initiating",
    "initiatingRequest",
    "pending",
    "available",
    "modifying",
]


def network(
    in_network: Network, cidr: str, on_premises_cidr: str, others: Iterable[str] = ()
) -> list[Resource]:
    """VPC, default security group without rules, and private subnets; only what no parameter names
    as existing. `others` are networks of further sources.

    Raises LakebookError when the ranges overlap, or `cidr` is no network of /16 to /24.
    """
    names = in_network.names
    if in_network.subnet_ids:
        in_network.subnets()  # they exist, in two zones or more
        return []
    theirs = _each(on_premises_cidr, others)
    parts = _parts(cidr, theirs)
    ours = [
        vpc(names.resource("vpc"), cidr, names.tags),
        empty_default_group("of the VPC", in_network),
        network_acl("of the VPC", in_network, [cidr, *theirs]),
    ]
    zones = aws.client("ec2").describe_availability_zones(
        Filters=[{"Name": "zone-type", "Values": ["availability-zone"]}]
    )
    chosen = sorted(each["ZoneName"] for each in zones["AvailabilityZones"])[:ZONES]
    return [
        *([] if in_network.vpc_id else ours),
        *(
            subnet(f"{names.resource('private')}-{zone[-1]}", in_network, str(part), zone)
            for zone, part in zip(chosen, parts, strict=False)
        ),
    ]


def routes(
    in_network: Network,
    on_premises_cidr: str,
    transit_gateway_id: str,
    virtual_private_gateway_id: str,
    others: Iterable[str] = (),
) -> list[Resource]:
    """The private route table with the way to the source, and to the networks of `others`, through
    a gateway that exists, if one is named; none for subnets not ours.
    """
    if in_network.subnet_ids:
        return []
    target: dict[str, str] = {}
    attached: list[Resource] = []
    if transit_gateway_id:
        target, attached = (
            {"TransitGatewayId": transit_gateway_id},
            [transit_gateway_attachment(transit_gateway_id, in_network)],
        )
    elif virtual_private_gateway_id:
        target, attached = (
            {"GatewayId": virtual_private_gateway_id},
            [virtual_private_gateway(virtual_private_gateway_id, in_network)],
        )
    behind = _each(on_premises_cidr, others)
    if target and not behind:
        raise LakebookError(
            "A gateway is named but on_premises_cidr is empty; say which range lies behind it."
        )
    wanted = dict.fromkeys(behind, target) if target else {}
    return [*attached, route_table(in_network.names.resource("private"), in_network, wanted)]


@resource
def vpc(name: str, cidr: str, tags: dict[str, str]) -> Iterator[Call]:
    """A VPC with DNS, found by its Name; raises LakebookError when one of that name has another
    range, which never changes.
    """
    client, actual = aws.client("ec2"), ec2.described("Vpcs", name)
    if actual and actual[0]["CidrBlock"] != cidr:
        raise LakebookError(
            f"The VPC {name} has the range {actual[0]['CidrBlock']}, not {cidr}, and a VPC's range"
            " cannot change: correct vpc_cidr."
        )
    if not actual:
        arguments = {
            "CidrBlock": cidr,
            "TagSpecifications": ec2.tag_specifications("vpc", name, tags),
        }
        yield Call(client.create_vpc, arguments, until=partial(_awaits_vpc, name))
    vpc_id = ec2.find("Vpcs", name) or f"<the VPC {name}>"
    for attribute in ("EnableDnsSupport", "EnableDnsHostnames"):
        asked: Any = attribute[0].lower() + attribute[1:]
        if (
            not actual
            or not client.describe_vpc_attribute(VpcId=vpc_id, Attribute=asked)[attribute]["Value"]
        ):
            yield Call(client.modify_vpc_attribute, {"VpcId": vpc_id, attribute: {"Value": True}})


@resource
def subnet(name: str, in_network: Network, cidr: str, zone: str) -> Iterator[Call]:
    """A private subnet; raises LakebookError when one of that name has another range, or the VPC
    has no room for it.
    """
    client, actual = aws.client("ec2"), ec2.described("Subnets", name)
    if actual and actual[0]["CidrBlock"] != cidr:
        raise LakebookError(
            f"The subnet {name} has the range {actual[0]['CidrBlock']}, not {cidr}, and a subnet's"
            " range cannot change: correct vpc_cidr."
        )
    if not actual:
        if in_network.vpc_id:
            _check_room(in_network.vpc_id, cidr)
        tags = ec2.tag_specifications("subnet", name, in_network.names.tags)
        yield Call(
            client.create_subnet,
            {
                "VpcId": in_network.vpc(),
                "CidrBlock": cidr,
                "AvailabilityZone": zone,
                "TagSpecifications": tags,
            },
        )
    elif actual[0]["MapPublicIpOnLaunch"]:
        yield Call(
            client.modify_subnet_attribute,
            {"SubnetId": actual[0]["SubnetId"], "MapPublicIpOnLaunch": {"Value": False}},
        )


@resource
def empty_default_group(name: str, in_network: Network) -> Iterator[Call]:
    """The default security group of our VPC without any rule, so that nothing works by accident
    (Security Hub control EC2.2).
    """
    del name
    client, vpc_id = aws.client("ec2"), in_network.vpc()
    filters: list[Any] = [
        {"Name": "vpc-id", "Values": [vpc_id]},
        {"Name": "group-name", "Values": ["default"]},
    ]
    for group in client.describe_security_groups(Filters=filters)["SecurityGroups"]:
        if group["IpPermissions"]:
            yield Call(
                client.revoke_security_group_ingress,
                {"GroupId": group["GroupId"], "IpPermissions": group["IpPermissions"]},
            )
        if group["IpPermissionsEgress"]:
            yield Call(
                client.revoke_security_group_egress,
                {"GroupId": group["GroupId"], "IpPermissions": group["IpPermissionsEgress"]},
            )


@resource
def route_table(
    name: str, in_network: Network, wanted: dict[str, dict[str, str]]
) -> Iterator[Call]:
    """The table of our subnets: the routes wanted (range: gateway) and no other but the VPC's own
    and its endpoints'.
    """
    client, found = aws.client("ec2"), ec2.described("RouteTables", name)
    if not found:
        tags = ec2.tag_specifications("route-table", name, in_network.names.tags)
        yield Call(
            client.create_route_table, {"VpcId": in_network.vpc(), "TagSpecifications": tags}
        )
    table_id = ec2.find("RouteTables", name) or f"<the route table {name}>"
    yield from _associations(client, table_id, in_network)
    actual = (
        {
            each["DestinationCidrBlock"]: each
            for each in found[0]["Routes"]
            if "DestinationCidrBlock" in each
        }
        if found
        else {}
    )
    for cidr, target in wanted.items():
        arguments = {"RouteTableId": table_id, "DestinationCidrBlock": cidr, **target}
        if cidr not in actual:
            yield Call(client.create_route, arguments)
        elif not target.items() <= actual[cidr].items():
            yield Call(client.replace_route, arguments)
    for cidr, route in actual.items():
        if cidr not in wanted and route.get("GatewayId") != "local":
            yield Call(
                client.delete_route, {"RouteTableId": table_id, "DestinationCidrBlock": cidr}
            )


@resource
def transit_gateway_attachment(transit_gateway_id: str, in_network: Network) -> Iterator[Call]:
    """Our subnets attached to a transit gateway that exists; its owner may have to accept that."""
    client = aws.client("ec2")
    if not _attachment(transit_gateway_id, in_network):
        tags = ec2.tag_specifications(
            "transit-gateway-attachment", in_network.names.resource("vpc"), in_network.names.tags
        )
        arguments = {
            "TransitGatewayId": transit_gateway_id,
            "VpcId": in_network.vpc(),
            "SubnetIds": in_network.ids(),
            "TagSpecifications": tags,
        }
        yield Call(
            client.create_transit_gateway_vpc_attachment,
            arguments,
            until=partial(_awaits_attachment, transit_gateway_id, in_network),
        )


@resource
def virtual_private_gateway(gateway_id: str, in_network: Network) -> Iterator[Call]:
    """A virtual private gateway that exists, attached to our VPC; raises LakebookError when it is
    attached to another.
    """
    client, vpc_id = aws.client("ec2"), in_network.vpc()
    found = client.describe_vpn_gateways(VpnGatewayIds=[gateway_id])["VpnGateways"][0]
    held = {each["VpcId"]: each["State"] for each in found["VpcAttachments"]}
    held = {vpc: state for vpc, state in held.items() if state in ("attaching", "attached")}
    if other := next((each for each in held if each != vpc_id), ""):
        raise LakebookError(
            f"The virtual private gateway {gateway_id} is attached to {other}; name another one,"
            " or that VPC as vpc_id."
        )
    until = partial(_awaits_gateway, gateway_id, vpc_id)  # before, no route may lead to it
    if held:
        wait("ec2:AttachVpnGateway", lambda: until({}))  # an earlier run began it
    else:
        arguments = {"VpcId": vpc_id, "VpnGatewayId": gateway_id}
        yield Call(client.attach_vpn_gateway, arguments, until=until)


def _each(on_premises_cidr: str, others: Iterable[str]) -> list[str]:
    """The networks of all sources, each once."""
    return [each for each in dict.fromkeys([on_premises_cidr, *others]) if each]


def _parts(cidr: str, on_premises_cidrs: list[str]) -> list[Any]:
    try:
        whole = ipaddress.IPv4Network(cidr)
        theirs = [ipaddress.IPv4Network(each) for each in on_premises_cidrs]
    except ValueError as error:
        raise LakebookError(
            f"vpc_cidr and on_premises_cidr must be ranges like 10.60.0.0/16: {error}."
        ) from error
    if not 16 <= whole.prefixlen <= 24:
        raise LakebookError(f"vpc_cidr {cidr} must be a range of /16 to /24.")
    if overlapping := [str(each) for each in theirs if whole.overlaps(each)]:
        raise LakebookError(
            f"vpc_cidr {cidr} overlaps on_premises_cidr {overlapping[0]}, so neither would reach"
            " the other; choose a free range."
        )
    return list(whole.subnets(SUBNET_BITS))


def _check_room(vpc_id: str, cidr: str) -> None:
    client, wanted = aws.client("ec2"), ipaddress.IPv4Network(cidr)
    found = client.describe_vpcs(VpcIds=[vpc_id])["Vpcs"][0]
    ranges = [ipaddress.IPv4Network(each["CidrBlock"]) for each in found["CidrBlockAssociationSet"]]
    if not any(wanted.subnet_of(each) for each in ranges):
        raise LakebookError(
            f"The VPC {vpc_id} has the ranges {', '.join(map(str, ranges))}, and {cidr} is not"
            " among them; choose vpc_cidr inside."
        )
    for each in client.describe_subnets(Filters=[{"Name": "vpc-id", "Values": [vpc_id]}])[
        "Subnets"
    ]:
        if wanted.overlaps(ipaddress.IPv4Network(each["CidrBlock"])):
            raise LakebookError(
                f"{cidr} overlaps the subnet {each['SubnetId']} ({each['CidrBlock']}) of {vpc_id};"
                " choose another vpc_cidr, or name existing subnets as subnet_ids."
            )


def _associations(client: Any, table_id: str, in_network: Network) -> Iterator[Call]:
    ids = in_network.ids()
    tables = client.describe_route_tables(
        Filters=[{"Name": "association.subnet-id", "Values": ids}]
    )["RouteTables"]
    pairs = [(table["RouteTableId"], each) for table in tables for each in table["Associations"]]
    actual = {
        each.get("SubnetId"): (table, each["RouteTableAssociationId"]) for table, each in pairs
    }
    for subnet_id in ids:
        table, association = actual.get(subnet_id, (None, None))
        if table is None:
            yield Call(
                client.associate_route_table, {"RouteTableId": table_id, "SubnetId": subnet_id}
            )
        elif table != table_id:
            yield Call(
                client.replace_route_table_association,
                {"AssociationId": association, "RouteTableId": table_id},
            )


def _awaits_vpc(name: str, _answer: dict[str, Any]) -> str | None:
    found = ec2.described("Vpcs", name)
    return None if found and found[0]["State"] == "available" else "pending"


def _awaits_gateway(gateway_id: str, vpc_id: str, _answer: dict[str, Any]) -> str | None:
    found = aws.client("ec2").describe_vpn_gateways(VpnGatewayIds=[gateway_id])["VpnGateways"][0]
    states = [each["State"] for each in found["VpcAttachments"] if each["VpcId"] == vpc_id]
    return None if "attached" in states else ", ".join(states) or "not attached"


def _attachment(transit_gateway_id: str, in_network: Network) -> str | None:
    """The state of our attachment, or None."""
    values = {
        "vpc-id": [in_network.vpc()],
        "transit-gateway-id": [transit_gateway_id],
        "state": ALIVE,
    }
    filters: list[Any] = [{"Name": name, "Values": each} for name, each in values.items()]
    found = aws.client("ec2").describe_transit_gateway_vpc_attachments(Filters=filters)[
        "TransitGatewayVpcAttachments"
    ]
    return str(found[0]["State"]) if found else None


def _awaits_attachment(
    transit_gateway_id: str, in_network: Network, _answer: dict[str, Any]
) -> str | None:
    state = _attachment(transit_gateway_id, in_network) or "absent"
    return None if state == "available" else state
