"""The VPC around DMS: gateway attachment, routes, security groups, network ACLs, endpoints and
names.
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Any

from lakebook import aws
from lakebook.diagnosis.acl import blocked
from lakebook.diagnosis.answers import Absent, Broken, described
from lakebook.diagnosis.line import covers

if TYPE_CHECKING:
    from lakebook.diagnosis.path import Path

# what a DMS instance calls itself, beside S3
INTERFACE_ENDPOINTS = ("secretsmanager", "kms", "logs")
MADE_BY = "02"
MEND = "Run 02_foundation with apply: it is declared there."


def gateway_attachment(path: Path) -> str:
    """Whether the VPC hangs on the gateway that leads to on-premises."""
    if not path.gateway_id:
        raise Absent("no transit gateway or virtual private gateway in the parameters")
    if path.gateway_id.startswith("tgw-"):
        filters = _filters(("transit-gateway-id", path.gateway_id), ("resource-id", path.vpc_id))
        found = described(
            "ec2",
            "describe_transit_gateway_attachments",
            "TransitGatewayAttachments",
            Filters=filters,
        )
        states = [each["State"] for each in found]
    else:
        gateways = described(
            "ec2", "describe_vpn_gateways", "VpnGateways", VpnGatewayIds=[path.gateway_id]
        )
        attachments = [each for gateway in gateways for each in gateway["VpcAttachments"]]
        states = [each["State"] for each in attachments if each["VpcId"] == path.vpc_id]
    seen = f"{path.vpc_id} on {path.gateway_id}: {', '.join(states) or 'not attached'}"
    if not {"available", "attached"} & set(states):
        pending = "pendingAcceptance" in states
        accept = "Have the owner of the transit gateway accept the attachment."
        raise Broken(seen, accept if pending else MEND, "" if pending else MADE_BY)
    return seen


def subnet_routes(path: Path) -> str:
    """The route to on-premises that each subnet of DMS takes."""
    if not path.on_premises_cidr:
        raise Absent("on_premises_cidr is empty")
    wrong: list[str] = []
    seen: list[str] = []
    for table in path.route_tables:
        route = path.route(table, path.on_premises_cidr)
        target = _target(route) if route else ""
        seen.append(
            f"{table['RouteTableId']} ->"
            f" {target or 'nowhere'}{' (blackhole)' if _dead(route) else ''}"
        )
        if not route or _dead(route) or path.gateway_id not in ("", target):
            wrong.append(table["RouteTableId"])
    if wrong:
        to = path.gateway_id or "the gateway towards on-premises"
        raise Broken(
            ", ".join(seen),
            f"Route {path.on_premises_cidr} to {to} in {', '.join(wrong)}. {MEND}",
            MADE_BY,
        )
    return ", ".join(seen)


def security_groups(path: Path) -> str:
    """Whether the security groups of DMS let it out to the source's port."""
    port, target = path.source_port, path.source_network
    if not path.security_group_ids:
        raise Absent("02 makes the security group of DMS", MADE_BY)
    groups = described(
        "ec2", "describe_security_groups", "SecurityGroups", GroupIds=path.security_group_ids
    )
    allowed = [
        span["CidrIp"]
        for group in groups
        for each in group["IpPermissionsEgress"]
        if each["IpProtocol"] in ("-1", "tcp")
        and each.get("FromPort", 0) <= port <= each.get("ToPort", 65535)
        for span in each.get("IpRanges", [])
    ]
    seen = (
        f"{', '.join(path.security_group_ids)} lets out tcp {port} to"
        f" {', '.join(allowed) or 'nowhere'}"
    )
    if not covers(allowed, target):
        raise Broken(
            seen,
            f"Allow tcp {port} to {target} in the outbound rules of"
            f" {', '.join(path.security_group_ids)}. {MEND}",
            MADE_BY,
        )
    return seen


def network_acls(path: Path) -> str:
    """Whether the subnets' network ACLs let requests out and answers in: they know no
    connections.
    """
    port, target = path.source_port, path.source_network
    found = described(
        "ec2",
        "describe_network_acls",
        "NetworkAcls",
        Filters=_filters(("association.subnet-id", *path.subnet_ids)),
    )
    for acl in found:
        for egress, ports, words in (
            (True, (port, port), "outbound"),
            (False, (1024, 65535), "inbound"),
        ):
            if reason := blocked(acl["Entries"], target, ports, egress=egress):
                raise Broken(
                    f"{acl['NetworkAclId']} {words}: {reason}",
                    f"Allow {words} tcp {ports[0]}-{ports[1]} {'to' if egress else 'from'} {target}"
                    f" in {acl['NetworkAclId']}.",
                    MADE_BY,  # in its VPC; in another one its verdict stops
                )
    return (
        f"{', '.join(each['NetworkAclId'] for each in found)} let tcp {port} out and 1024-65535 in"
    )


def endpoints(path: Path) -> str:
    """The endpoints by which DMS reaches S3, Secrets Manager, KMS and logs out of a private
    subnet.
    """
    wanted = [f"com.amazonaws.{path.names.region}.{each}" for each in ("s3", *INTERFACE_ENDPOINTS)]
    actual = {each["ServiceName"]: each for each in path.endpoints}
    states = {each: actual[each]["State"] if each in actual else "missing" for each in wanted}
    ready = [each for each in wanted if states[each] == "available" and _serves(actual[each], path)]
    seen = ", ".join(f"{each.rpartition('.')[2]} {states[each]}" for each in wanted)
    if public := path.public_route():
        return f"{seen}; public routes by {public}"
    if lacking := [each for each in wanted if each not in ready]:
        names = ", ".join(each.rpartition(".")[2] for each in lacking)
        raise Broken(
            seen,
            f"DMS does not reach {names}: the subnets have no endpoint in use for it. {MEND}",
            MADE_BY,
        )
    return seen


def private_names(path: Path) -> str:
    """Whether the usual host names of AWS lead to the interface endpoints."""
    interfaces = [each for each in path.endpoints if each["VpcEndpointType"] == "Interface"]
    if not interfaces:
        raise Absent("there are no interface endpoints: names lead to public addresses")
    ec2: Any = aws.client("ec2")
    for attribute in ("enableDnsSupport", "enableDnsHostnames"):
        answer = ec2.describe_vpc_attribute(VpcId=path.vpc_id, Attribute=attribute)
        if not answer[attribute[0].upper() + attribute[1:]]["Value"]:
            raise Broken(
                f"{attribute} of {path.vpc_id} is off",
                f"Turn on {attribute} of {path.vpc_id}. {MEND}",
                MADE_BY,
            )
    if off := [
        each["ServiceName"].rpartition(".")[2]
        for each in interfaces
        if not each["PrivateDnsEnabled"]
    ]:
        raise Broken(
            f"private DNS is off for {', '.join(off)}",
            f"Turn on private DNS of the endpoints {', '.join(off)}, or DMS calls public addresses."
            f" {MEND}",
            MADE_BY,
        )
    return f"private DNS on for {len(interfaces)} interface endpoints"


def endpoint_groups(path: Path) -> str:
    """Whether the interface endpoints let DMS in at port 443."""
    interfaces = [each for each in path.endpoints if each["VpcEndpointType"] == "Interface"]
    if not interfaces:
        raise Absent("there are no interface endpoints")
    ids = sorted({group["GroupId"] for each in interfaces for group in each["Groups"]})
    groups = {
        e["GroupId"]: e
        for e in described("ec2", "describe_security_groups", "SecurityGroups", GroupIds=ids)
    }
    closed = [
        each["ServiceName"].rpartition(".")[2]
        for each in interfaces
        if not any(_lets_in(groups[group["GroupId"]], path) for group in each["Groups"])
    ]
    if closed:
        raise Broken(
            f"{', '.join(ids)}: port 443 is closed for {', '.join(closed)}",
            f"Allow tcp 443 from the subnets of DMS in {', '.join(ids)}. {MEND}",
            MADE_BY,
        )
    return f"{', '.join(ids)} let tcp 443 in"


def on_premises_names(path: Path) -> str:
    """Whether DMS can resolve the source's host name."""
    try:
        ipaddress.ip_address(path.source_host)
    except ValueError:
        pass
    else:
        raise Absent(f"the secret names an address, {path.source_host}, and no host name")
    if path.source_host.endswith(".amazonaws.com"):
        return f"{path.source_host} is AWS's own name"
    if path.dns_servers and path.dns_servers != ["AmazonProvidedDNS"]:
        return f"{path.source_host} is asked of {', '.join(path.dns_servers)}"
    filters = _filters(("VPCId", path.vpc_id))
    associated = described(
        "route53resolver",
        "list_resolver_rule_associations",
        "ResolverRuleAssociations",
        Filters=filters,
    )
    rules = {
        each["Id"]: each
        for each in described("route53resolver", "list_resolver_rules", "ResolverRules")
    }
    domains = [
        rules[each["ResolverRuleId"]]["DomainName"].strip(".")
        for each in associated
        if each["ResolverRuleId"] in rules
    ]
    if not any(f".{path.source_host}".endswith(f".{each}") for each in domains):
        raise Broken(
            f"rules of {path.vpc_id} for {', '.join(domains) or 'no domain'}",
            f"Nothing in {path.vpc_id} resolves {path.source_host}: share a Route 53 Resolver rule"
            " for its domain, or give the secret an address.",
        )
    return f"{path.source_host} by the rule for {', '.join(domains)}"


def _serves(endpoint: dict[str, Any], path: Path) -> bool:
    """Whether an endpoint is of use to the subnets: a gateway is in their route tables, an
    interface is anywhere in the VPC.
    """
    if endpoint["VpcEndpointType"] != "Gateway":
        return True
    return {each["RouteTableId"] for each in path.route_tables} <= set(endpoint["RouteTableIds"])


def _lets_in(group: dict[str, Any], path: Path) -> bool:
    for each in group["IpPermissions"]:
        if each["IpProtocol"] in ("-1", "tcp") and each.get("FromPort", 0) <= 443 <= each.get(
            "ToPort", 65535
        ):
            if set(path.security_group_ids) & {
                pair["GroupId"] for pair in each.get("UserIdGroupPairs", [])
            }:
                return True
            spans = [span["CidrIp"] for span in each.get("IpRanges", [])]
            if all(covers(spans, subnet["CidrBlock"]) for subnet in path.subnets):
                return True
    return False


def _target(route: dict[str, Any]) -> str:
    members = (
        "TransitGatewayId",
        "GatewayId",
        "NatGatewayId",
        "VpcPeeringConnectionId",
        "NetworkInterfaceId",
    )
    return next((route[each] for each in members if route.get(each)), "")


def _dead(route: dict[str, Any] | None) -> bool:
    return bool(route and route["State"] != "active")


def _filters(*pairs: tuple[str, ...]) -> list[dict[str, Any]]:
    return [{"Name": name, "Values": list(values)} for name, *values in pairs]
