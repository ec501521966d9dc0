"""The line to on-premises: Direct Connect from the port to the routes that arrive in the gateway of
the VPC.
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from lakebook import aws
from lakebook.diagnosis.answers import Absent, Broken, described

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lakebook.diagnosis.path import Path

WAIT = "Wait until it is {}, then run this phase again."
CONNECTION = {
    "requested": (
        "Download the Letter of Authorization and have the colocation provider make the cross"
        " connect."
    ),
    "ordering": "Accept the hosted connection (ConfirmConnection).",
    "pending": WAIT.format("available"),
    "down": (
        "The network link is down: ask the colocation provider and the network team about the cross"
        " connect and optics."
    ),
}
INTERFACE = {
    "confirming": (
        "Accept the virtual interface (Confirm…VirtualInterface) in the account that is to own it."
    ),
    "pending": WAIT.format("available"),
    "rejected": "The owner declined it: have the landing zone create it again.",
    "deleting": "Somebody deleted the virtual interface: have the landing zone create it again.",
    "deleted": "Somebody deleted the virtual interface: have the landing zone create it again.",
}
CARRIES = ("available", "down", "testing")  # the states in which BGP says more


def connection(path: Path) -> str:
    """The states of the connections; one that is available is enough."""
    if not path.connection_ids:
        raise Absent("no Direct Connect connection in the parameters")
    found = [
        _one("describe_connections", "connections", connectionId=each)
        for each in path.connection_ids
    ]
    seen = ", ".join(f"{each['connectionId']} {each['connectionState']}" for each in found)
    if not any(each["connectionState"] == "available" for each in found):
        first = found[0]["connectionState"]
        raise Broken(
            seen,
            CONNECTION.get(
                first, f"A connection that is {first} carries nothing: ask the network team."
            ),
        )
    return seen


def virtual_interface(path: Path) -> str:
    """The states of the virtual interfaces; one on an available connection is enough."""
    found = interfaces(path)
    seen = ", ".join(
        f"{each['virtualInterfaceId']} {each['virtualInterfaceState']}" for each in found
    )
    if not _carrying(path):
        first = found[0]["virtualInterfaceState"]
        other = (
            "None of the virtual interfaces is on a connection that is available: name those that"
            " are."
        )
        raise Broken(seen, INTERFACE.get(first, other))
    return seen


def bgp_peers(path: Path) -> str:
    """The BGP sessions; one that is up is enough."""
    peers = [(each, peer) for each in _carrying(path) for peer in each["bgpPeers"]]
    seen = ", ".join(
        f"{each['virtualInterfaceId']} {peer['addressFamily']} {peer['bgpStatus']}"
        f" ({peer['bgpPeerState']})"
        for each, peer in peers
    )
    testing = [
        each["virtualInterfaceId"]
        for each, _ in peers
        if each["virtualInterfaceState"] == "testing"
    ]
    if not any(peer["bgpStatus"] == "up" for _, peer in peers):
        ask = (
            "BGP is down: ask the network team for the router's session (ASN, addresses, key,"
            " VLAN)."
        )
        raise Broken(
            seen,
            (
                f"A failover test keeps BGP down: StopBgpFailoverTest on {testing[0]}, or wait."
                if testing
                else ask
            ),
        )
    return seen


def received_routes(path: Path) -> str:
    """The routes that the customer's router announces: AWS says that BGP up alone proves no
    route.
    """
    wanted = _network(path)
    accepted = {"routeDirection": "accepted"}
    routes = [
        each["cidr"]
        for interface in _carrying(path)
        for each in described(
            "directconnect",
            "list_virtual_interface_routes",
            "routes",
            virtualInterfaceId=interface["virtualInterfaceId"],
            filters=accepted,
        )
    ]
    seen = f"received {', '.join(sorted(set(routes))) or 'nothing'}"
    if not covers(routes, wanted):
        raise Broken(
            seen,
            f"BGP is up but no route covers {wanted}: have the network team announce it, or correct"
            " on_premises_cidr.",
        )
    return seen


def gateway_association(path: Path) -> str:
    """The way from the virtual interface's Direct Connect gateway to the gateway of the VPC."""
    found = _associations(path)
    seen = ", ".join(
        f"{each['associatedGateway']['id']} {each['associationState']}" for each in found
    )
    if errors := [each["stateChangeError"] for each in found if each.get("stateChangeError")]:
        raise Broken(
            f"{seen}: {errors[0]}",
            "Mend what the association's error says, and associate the gateway again.",
        )
    waiting = [each for each in found if each["associationState"] == "associating"]
    if not _associated(path):
        which = path.gateway_id or "a transit gateway or virtual private gateway"
        action = (
            f"Associate {which} with the Direct Connect gateway, or have its owner accept the"
            " proposal."
        )
        raise Broken(
            seen or "no gateway is associated with the Direct Connect gateway",
            WAIT.format("associated") if waiting else action,
        )
    return seen


def allowed_prefixes(path: Path) -> str:
    """Whether the VPC's networks are announced to on-premises, without which no answer finds its
    way back.
    """
    prefixes = [
        each["cidr"]
        for found in _associated(path)
        for each in found.get("allowedPrefixesToDirectConnectGateway", [])
    ]
    seen = f"allowed {', '.join(prefixes) or 'nothing'}"
    networks = path.vpc_networks
    if missing := [each for each in networks if not covers(prefixes, each)]:
        raise Broken(
            seen,
            f"Add {', '.join(missing)} to the allowed prefixes of the association"
            " (UpdateDirectConnectGatewayAssociation), or the source cannot answer.",
        )
    return seen


def transit_gateway_routes(path: Path) -> str:
    """The routes to on-premises in the transit gateway's route table."""
    if not path.gateway_id.startswith("tgw-"):
        raise Absent("no transit gateway in the parameters")
    found = described(
        "ec2", "describe_transit_gateways", "TransitGateways", TransitGatewayIds=[path.gateway_id]
    )
    if not found or found[0]["State"] != "available":
        state = found[0]["State"] if found else "absent"
        raise Broken(
            f"{path.gateway_id} is {state}",
            "Have the landing zone share the transit gateway, or correct the parameter.",
        )
    if found[0]["OwnerId"] != path.names.account:
        raise Absent(
            f"{path.gateway_id} belongs to account {found[0]['OwnerId']}, which alone sees its"
            " routes"
        )
    table = _route_table(path, found[0])
    active: list[Any] = [{"Name": "state", "Values": ["active"]}]
    routes = aws.client("ec2").search_transit_gateway_routes(
        TransitGatewayRouteTableId=table, Filters=active
    )
    networks = [
        each["DestinationCidrBlock"] for each in routes["Routes"] if "DestinationCidrBlock" in each
    ]
    seen = f"{table} has {', '.join(networks) or 'no route'}"
    wanted = _network(path)
    if not covers(networks, wanted):
        raise Broken(
            seen,
            f"Propagate the Direct Connect attachment into {table}, so that it has a route to"
            f" {wanted}.",
        )
    return seen


def interfaces(path: Path) -> list[dict[str, Any]]:
    """The virtual interfaces named by the parameters."""
    if not path.virtual_interface_ids:
        raise Absent("no virtual interface in the parameters")
    ids = path.virtual_interface_ids
    return [
        _one("describe_virtual_interfaces", "virtualInterfaces", virtualInterfaceId=each)
        for each in ids
    ]


def covers(networks: Iterable[str], wanted: str) -> bool:
    """Whether networks together contain all of another one."""
    parsed = [ipaddress.ip_network(each, strict=False) for each in networks]
    target = ipaddress.ip_network(wanted, strict=False)
    same = [each for each in parsed if each.version == target.version]
    return any(target.subnet_of(each) for each in ipaddress.collapse_addresses(same))  # type: ignore[arg-type, type-var]


def _carrying(path: Path) -> list[dict[str, Any]]:
    """The virtual interfaces that could carry traffic, on connections that do; hosted ones are
    judged by themselves.
    """
    up = [
        each
        for each in path.connection_ids
        if _one("describe_connections", "connections", connectionId=each)["connectionState"]
        == "available"
    ]
    return [
        each
        for each in interfaces(path)
        if each["virtualInterfaceState"] in CARRIES
        and (each["connectionId"] in up or each["connectionId"] not in path.connection_ids)
    ]


def _associations(path: Path) -> list[dict[str, Any]]:
    gateways = {each.get("directConnectGatewayId") for each in _carrying(path)} - {None, ""}
    if not gateways:
        raise Absent(
            "the virtual interface leads to a virtual private gateway without a Direct Connect"
            " gateway"
        )
    return [
        each
        for gateway in sorted(gateways)  # type: ignore[type-var]
        for each in described(
            "directconnect",
            "describe_direct_connect_gateway_associations",
            "directConnectGatewayAssociations",
            directConnectGatewayId=gateway,
        )
    ]


def _associated(path: Path) -> list[dict[str, Any]]:
    return [
        each
        for each in _associations(path)
        if each["associationState"] in ("associated", "updating")
        and path.gateway_id in ("", each["associatedGateway"]["id"])
    ]


def _route_table(path: Path, gateway: dict[str, Any]) -> str:
    """The transit gateway's table that the VPC uses, or before it is attached the one it will
    get.
    """
    try:
        filters = [
            {"Name": "transit-gateway-id", "Values": [path.gateway_id]},
            {"Name": "resource-id", "Values": [path.vpc_id]},
        ]
        attached = described(
            "ec2",
            "describe_transit_gateway_attachments",
            "TransitGatewayAttachments",
            Filters=filters,
        )
    except Absent:
        attached = []
    tables = [
        each["Association"]["TransitGatewayRouteTableId"]
        for each in attached
        if each.get("Association")
    ]
    return str([*tables, gateway["Options"].get("AssociationDefaultRouteTableId")][0])


def _network(path: Path) -> str:
    if not path.on_premises_cidr:
        raise Absent("on_premises_cidr is empty")
    return path.on_premises_cidr


def _one(operation: str, member: str, **arguments: str) -> dict[str, Any]:
    """The one thing of an id; Direct Connect answers absence with its client exception."""
    identity = next(iter(arguments.values()))
    try:
        found: list[dict[str, Any]] = getattr(aws.client("directconnect"), operation)(**arguments)[
            member
        ]
    except ClientError as error:
        if error.response["Error"]["Code"] != "DirectConnectClientException":
            raise
        found = []
    if not found:
        raise Broken(
            f"there is no {identity}",
            f"Correct the parameter that names {identity}, or the account: it is not visible here.",
        )
    return found[0]
