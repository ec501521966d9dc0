"""Security groups: one for each phase that lives in the VPC and one for the endpoints, each open to
what it needs and nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lakebook import aws
from lakebook.ensure import Call, Resource, resource
from lakebook.services import ec2

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from lakebook.services.ec2 import Network

HTTPS, DNS = 443, 53
ANYWHERE = "0.0.0.0/0"
PHASES = ("dms", "glue", "redshift", "sagemaker")


@dataclass(frozen=True, order=True)
class Rule:
    """Ports from or to a peer: a range of addresses, the name of a group of ours, or `s3` for the
    gateway endpoint's.
    """

    direction: str  # "in" or "out"
    peer: str
    first_port: int
    last_port: int
    protocol: str = "tcp"

    def permission(self, vpc_id: str) -> dict[str, Any]:
        """The rule as EC2 takes it, with the peer's id in a VPC."""
        ports = {"IpProtocol": self.protocol, "FromPort": self.first_port, "ToPort": self.last_port}
        if "/" in self.peer:
            return {**ports, "IpRanges": [{"CidrIp": self.peer}]}
        if self.peer == "s3":
            return {**ports, "PrefixListIds": [{"PrefixListId": _s3_prefix_list()}]}
        return {**ports, "UserIdGroupPairs": [{"GroupId": ec2.group_id(self.peer, vpc_id)}]}


def groups(
    network: Network,
    on_premises_cidr: str,
    source_port: int,
    others: Iterable[tuple[str, int]] = (),
) -> list[Resource]:
    """All groups first, as their rules speak of one another, then the rules of each. `others` are
    networks and ports of further sources.

    In a VPC of others its routes decide by which way AWS is reached (their endpoints, a hub's, a
    NAT gateway), so that our groups let out 443 to wherever these lead; and our endpoints answer
    to everybody in it, as their names lead there for all of them.
    """
    names = network.names
    endpoints = names.resource("endpoints")
    ways = [ANYWHERE] if network.of_others else [endpoints, "s3"]
    out = [Rule("out", each, HTTPS, HTTPS) for each in ways]
    # security groups do not filter Amazon's resolver, but every other name server
    # https://docs.aws.amazon.com/vpc/latest/userguide/vpc-security-groups.html
    out += [
        Rule("out", f"{server}/32", DNS, DNS, protocol)
        for server in network.dns_servers()
        for protocol in ("tcp", "udp")
    ]
    every = {names.resource(each): list(out) for each in PHASES}
    every[names.resource("dms")] += [
        Rule("out", cidr, port, port)
        for cidr, port in dict.fromkeys([(on_premises_cidr, source_port), *others])
        if cidr
    ]
    # their workers talk to one another; AWS demands all ports from the group itself
    for each in ("glue", "sagemaker"):
        every[names.resource(each)] += [
            Rule(way, names.resource(each), 0, 65535) for way in ("in", "out")
        ]
    callers = network.ranges() if network.of_others else [names.resource(e) for e in PHASES]
    every[endpoints] = [Rule("in", each, HTTPS, HTTPS) for each in callers]
    return [
        *(security_group(each, network) for each in every),
        *(rules_of(each, wanted, network) for each, wanted in every.items()),
    ]


@resource
def security_group(name: str, network: Network) -> Iterator[Call]:
    """A group in the VPC, found there by its name."""
    client = aws.client("ec2")
    if ec2.group_id(name, network.vpc()).startswith("<"):
        tags = ec2.tag_specifications("security-group", name, network.names.tags)
        arguments = {"GroupName": name, "Description": f"lakebook {name}", "VpcId": network.vpc()}
        yield Call(client.create_security_group, {**arguments, "TagSpecifications": tags})


@resource
def rules_of(name: str, wanted: list[Rule], network: Network) -> Iterator[Call]:
    """A group open for exactly these rules: what is missing is authorized, everything else
    revoked.
    """
    client, vpc_id = aws.client("ec2"), network.vpc()
    group_id = ec2.group_id(name, vpc_id)
    methods = {
        "in": (client.authorize_security_group_ingress, client.revoke_security_group_ingress),
        "out": (client.authorize_security_group_egress, client.revoke_security_group_egress),
    }
    for way, (authorize, revoke) in methods.items():
        actual = _permissions(client, group_id, way)
        desired = [each.permission(vpc_id) for each in sorted(wanted) if each.direction == way]
        if missing := [each for each in desired if each not in actual]:
            yield Call(authorize, {"GroupId": group_id, "IpPermissions": missing})
        if extra := [each for each in actual if each not in desired]:
            yield Call(revoke, {"GroupId": group_id, "IpPermissions": extra})


def _permissions(client: Any, group_id: str, way: str) -> list[dict[str, Any]]:
    """One permission for each rule of a group; a group that is yet to be made will let everything
    out.
    """
    if group_id.startswith("<"):
        return [{"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}] if way == "out" else []
    pages = client.get_paginator("describe_security_group_rules").paginate(
        Filters=[{"Name": "group-id", "Values": [group_id]}]
    )
    rules = [
        each
        for page in pages
        for each in page["SecurityGroupRules"]
        if each["IsEgress"] == (way == "out")
    ]
    return [_permission(each) for each in rules]


def _permission(rule: dict[str, Any]) -> dict[str, Any]:
    ports = (
        {}
        if rule["IpProtocol"] == "-1"
        else {"FromPort": rule["FromPort"], "ToPort": rule["ToPort"]}
    )
    actual = {"IpProtocol": rule["IpProtocol"], **ports}
    if "CidrIpv4" in rule:
        return {**actual, "IpRanges": [{"CidrIp": rule["CidrIpv4"]}]}
    if "CidrIpv6" in rule:
        return {**actual, "Ipv6Ranges": [{"CidrIpv6": rule["CidrIpv6"]}]}
    if "PrefixListId" in rule:
        return {**actual, "PrefixListIds": [{"PrefixListId": rule["PrefixListId"]}]}
    return {**actual, "UserIdGroupPairs": [{"GroupId": rule["ReferencedGroupInfo"]["GroupId"]}]}


def _s3_prefix_list() -> str:
    """The id of the list of S3's addresses in this Region."""
    client = aws.client("ec2")
    name = f"com.amazonaws.{client.meta.region_name}.s3"
    found = client.describe_managed_prefix_lists(
        Filters=[{"Name": "prefix-list-name", "Values": [name]}]
    )
    return str(found["PrefixLists"][0]["PrefixListId"])
