"""The VPC around DMS: gateway attachment, routes, security groups, network ACLs, endpoints and
names.
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Any

from lakebook import aws
from lakebook.diagnosis.acl import blocked
from lakebook.diagnosis.answers import Absent, Broken, Untold, described
from lakebook.diagnosis.line import covers
from lakebook.services import iam, vpc_endpoints

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
        if "pendingAcceptance" in states:
            raise Broken(seen, "Have the owner of the transit gateway accept the attachment.")
        action = f"Attach {path.vpc_id} to {path.gateway_id}."
        raise _broken(path, seen, action, ours=not path.network.subnet_ids)
    return seen


def subnet_routes(path: Path) -> str:
    """The route to on-premises that each subnet of DMS takes."""
    if not path.on_premises_cidr:
        raise Absent("on_premises_cidr is empty")
    wrong: list[str] = []
    seen: list[str] = []
    for table in path.route_tables:
        routes = path.routes(table, path.on_premises_cidr)
        targets = {_target(each) for each in routes}
        dead = " (blackhole)" if any(map(_dead, routes)) else ""
        seen.append(f"{table['RouteTableId']} -> {', '.join(sorted(targets)) or 'nowhere'}{dead}")
        if not routes or dead or not targets <= {path.gateway_id or min(targets)}:
            wrong.append(table["RouteTableId"])
    if wrong:
        to = path.gateway_id or "the gateway towards on-premises"
        action = f"Route {path.on_premises_cidr} to {to} in {', '.join(wrong)}."
        raise _broken(path, ", ".join(seen), action, ours=not path.network.subnet_ids)
    return ", ".join(seen)


def security_groups(path: Path) -> str:
    """Whether the security groups of DMS let it out to the source's port, and to name servers that
    are not Amazon's.
    """
    if not path.security_group_ids:
        raise Absent("02 makes the security group of DMS", MADE_BY)
    groups = described(
        "ec2", "describe_security_groups", "SecurityGroups", GroupIds=path.security_group_ids
    )
    ids, seen = ", ".join(path.security_group_ids), []
    # those of the VPC answer, too, when DMS asks for AWS's names
    asked = [(protocol, 53, f"{e}/32") for e in path.dns_servers for protocol in ("udp", "tcp")]
    for protocol, port, target in [("tcp", path.source_port, path.source_network), *asked]:
        allowed = _let_out(groups, protocol, port)
        seen.append(f"{ids} lets out {protocol} {port} to {', '.join(allowed) or 'nowhere'}")
        if not covers(allowed, target):
            raise Broken(
                seen[-1],
                f"Allow {protocol} {port} to {target} in the outbound rules of {ids}. {MEND}",
                MADE_BY,
            )
    return "; ".join(seen)


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
                    "" if path.network.of_others else MADE_BY,
                )
    return (
        f"{', '.join(each['NetworkAclId'] for each in found)} let tcp {port} out and 1024-65535 in"
    )


def endpoints(path: Path) -> str:
    """The ways by which DMS reaches S3, Secrets Manager, KMS and logs out of a private subnet:
    endpoints of the VPC, those of a hub that its private hosted zones name, or a public route.
    """
    states, lacking = {}, []
    for service in ("s3", *INTERFACE_ENDPOINTS):
        found = [each for each in _of(path, service) if _serves(each, path)]
        state = [each["State"] for each in found or _of(path, service)] or ["missing"]
        if vpc_endpoints.host_name(_full(path, service)) in path.hosted_zones:
            state = ["by a private hosted zone"]
        elif "available" not in [each["State"] for each in found]:
            lacking.append(service)
        states[service] = state[0]
    seen = ", ".join(f"{service} {state}" for service, state in states.items())
    if public := path.public_route():
        return f"{seen}; public routes by {public}"
    if lacking:
        theirs = [each for each in lacking if not _made_by_02(path, each)]
        what = ", ".join(theirs or lacking)
        action = f"DMS does not reach {what}: the subnets have no endpoint in use for it."
        if theirs and theirs != ["s3"]:
            named = ", ".join(each for each in theirs if each != "s3")
            action += f" Add {named} to interface_endpoints, or"
            raise Broken(seen, f"{action} have the owner of {path.vpc_id} make it.")
        raise _broken(path, seen, action, ours=not theirs)
    return seen


def private_names(path: Path) -> str:
    """Whether the usual host names of what DMS calls lead to the interface endpoints."""
    interfaces = _interfaces(path)
    planned = [each for each in INTERFACE_ENDPOINTS if each in path.interface_endpoints]
    if not interfaces and not planned:
        raise Absent("there are no interface endpoints: names lead to public addresses")
    ec2: Any = aws.client("ec2")
    ours = not path.network.of_others
    for attribute in ("enableDnsSupport", "enableDnsHostnames"):
        answer = ec2.describe_vpc_attribute(VpcId=path.vpc_id, Attribute=attribute)
        if not answer[attribute[0].upper() + attribute[1:]]["Value"]:
            action = f"Turn on {attribute} of {path.vpc_id}."
            raise _broken(path, f"{attribute} of {path.vpc_id} is off", action, ours=ours)
    off = [
        service
        for service, found in interfaces.items()
        if not any(each["PrivateDnsEnabled"] for each in found)
        and vpc_endpoints.host_name(_full(path, service)) not in path.hosted_zones
    ]
    if off and not path.public_route():
        names = ", ".join(off)
        action = f"Turn on private DNS of the endpoints {names}, or DMS calls public addresses."
        mine = all(_is_ours(each, path) for service in off for each in interfaces[service])
        raise _broken(path, f"private DNS is off for {names}", action, ours=mine)
    return f"private DNS on for {len(interfaces) - len(off)} interface endpoints"


def endpoint_groups(path: Path) -> str:
    """Whether the interface endpoints that DMS calls let it in at port 443."""
    interfaces = _interfaces(path)
    if not interfaces:
        raise Absent("there are no interface endpoints")
    ids = sorted(
        {group["GroupId"] for found in interfaces.values() for e in found for group in e["Groups"]}
    )
    groups = {
        e["GroupId"]: e
        for e in described("ec2", "describe_security_groups", "SecurityGroups", GroupIds=ids)
    }
    closed = [
        service
        for service, found in interfaces.items()
        if not any(_lets_in(groups[g["GroupId"]], path) for each in found for g in each["Groups"])
    ]
    if closed:
        theirs = sorted({g["GroupId"] for e in closed for i in interfaces[e] for g in i["Groups"]})
        seen = f"{', '.join(theirs)}: port 443 is closed for {', '.join(closed)}"
        action = f"Allow tcp 443 from the subnets of DMS in {', '.join(theirs)}."
        mine = all(_is_ours(each, path) for service in closed for each in interfaces[service])
        raise _broken(path, seen, action, ours=mine)
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
    if path.dns_servers:
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
    if not any(_within(path.source_host, each) for each in (*domains, *path.hosted_zones)):
        # a name of the public DNS may lead to a private address, and a Route 53 Profile may bring
        # rules and zones that are not the VPC's own
        raise Untold(
            f"no Resolver rule or private hosted zone of {path.vpc_id} is for {path.source_host}:"
            " DMS's connection test will tell whether it is resolved"
        )
    forwarded = [each for each in domains if _within(path.source_host, each)]
    zones = [each for each in path.hosted_zones if _within(path.source_host, each)]
    what = f"the rule for {forwarded[0]}" if forwarded else f"the private hosted zone {zones[0]}"
    return f"{path.source_host} by {what}"


def _within(host: str, domain: str) -> bool:
    return f".{host}".endswith(f".{domain}")


def _full(path: Path, service: str) -> str:
    return f"com.amazonaws.{path.names.region}.{service}"


def _of(path: Path, service: str) -> list[dict[str, Any]]:
    """The VPC's endpoints of a service that DMS calls."""
    return [each for each in path.endpoints if each["ServiceName"] == _full(path, service)]


def _interfaces(path: Path) -> dict[str, list[dict[str, Any]]]:
    """The interface endpoints of the VPC that DMS calls, by service; others are none of our
    business.
    """
    found = {
        service: [e for e in _of(path, service) if e["VpcEndpointType"] == "Interface"]
        for service in INTERFACE_ENDPOINTS
    }
    return {service: each for service, each in found.items() if each}


def _is_ours(endpoint: dict[str, Any], path: Path) -> bool:
    return iam.is_ours(endpoint.get("Tags", []), path.names.tags)


def _made_by_02(path: Path, service: str) -> bool:
    """Whether 02 makes or mends the way to a service."""
    network = path.network
    if not network.of_others:
        return True
    if service == "s3":
        return not network.subnet_ids or not network.shared_tables()
    named = service in path.interface_endpoints
    return named and all(_is_ours(each, path) for each in _of(path, service))


def _serves(endpoint: dict[str, Any], path: Path) -> bool:
    """Whether an endpoint is of use to the subnets: a gateway is in their route tables, an
    interface is anywhere in the VPC.
    """
    if endpoint["VpcEndpointType"] != "Gateway":
        return True
    return {each["RouteTableId"] for each in path.route_tables} <= set(endpoint["RouteTableIds"])


def _let_out(groups: list[dict[str, Any]], protocol: str, port: int) -> list[str]:
    """The networks that a port is open to."""
    return [
        span["CidrIp"]
        for group in groups
        for each in group["IpPermissionsEgress"]
        if each["IpProtocol"] in ("-1", protocol)
        and each.get("FromPort", 0) <= port <= each.get("ToPort", 65535)
        for span in each.get("IpRanges", [])
    ]


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


def _dead(route: dict[str, Any]) -> bool:
    return bool(route["State"] != "active")


def _broken(path: Path, seen: str, action: str, *, ours: bool) -> Broken:
    """What 02 mends where it is `ours`, and else nobody but the VPC's owner."""
    if ours:
        return Broken(seen, f"{action} {MEND}", MADE_BY)
    return Broken(seen, f"{action} {path.vpc_id} is not ours: ask its owner.")


def _filters(*pairs: tuple[str, ...]) -> list[dict[str, Any]]:
    return [{"Name": name, "Values": list(values)} for name, *values in pairs]
