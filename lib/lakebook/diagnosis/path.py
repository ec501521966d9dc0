"""The way from DMS to the source as the parameters name it, and what AWS has of it so far."""

from __future__ import annotations

import ipaddress
import json
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from lakebook import aws
from lakebook.diagnosis.answers import Absent, described
from lakebook.ensure import current
from lakebook.errors import EXPIRED
from lakebook.services import ec2
from lakebook.source.engines import default_port

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lakebook.names import Names


@dataclass(eq=False)
class Path:
    """What is empty is not on the path. What was seen of AWS is kept: make a new one to look
    again.
    """

    network: ec2.Network  # the VPC and subnets of DMS
    secret: str  # the source's secret, by name
    on_premises_cidr: str = ""  # the network of the source
    connection_ids: list[str] = field(default_factory=list)  # Direct Connect; several are redundant
    virtual_interface_ids: list[str] = field(default_factory=list)
    gateway_id: str = ""  # the transit gateway or virtual private gateway on the AWS side
    vpc_cidr: str = ""  # of the VPC that 02 makes, while there is none
    schemas: list[str] = field(default_factory=list)
    excluded_tables: list[str] = field(default_factory=list)
    interface_endpoints: list[str] = field(default_factory=list)  # those that 02 makes
    # what `lakebook bootstrap` gives the operator
    operator_policy: str = "policies/migration-operator.json"
    purpose: str = "full load"  # or "CDC": what the source must be ready for
    source: str = ""  # the source's name in the parameters; the default source has none
    own_instance: bool = False  # whether DMS has an instance for this source alone
    _prefix_lists: dict[str, list[Any]] = field(default_factory=dict)  # by id, once asked for

    @property
    def names(self) -> Names:
        """The names in use."""
        return self.network.names

    @property
    def instance(self) -> str:
        """The replication instance, by name."""
        return self.names.resource("dms", self.source if self.own_instance else "")

    @cached_property
    def vpc_id(self) -> str:
        """The VPC of DMS; raises Absent while there is none."""
        return str(self.subnets[0]["VpcId"])

    @cached_property
    def subnets(self) -> list[dict[str, Any]]:
        """The subnets of DMS's subnet group, or before there is one those that it will have; raises
        Absent.
        """
        group = dms_thing("replication_subnet_groups", "replication-subnet-group-id", self.instance)
        ids = [each["SubnetIdentifier"] for each in group["Subnets"]] if group else []
        found = (
            described("ec2", "describe_subnets", "Subnets", SubnetIds=ids)
            if ids
            else self.network.subnets()
        )
        if not found:
            raise Absent("02 makes the VPC and its subnets", "02")
        return found

    @cached_property
    def subnet_ids(self) -> list[str]:
        """Their ids."""
        return [each["SubnetId"] for each in self.subnets]

    @property
    def vpc_networks(self) -> list[str]:
        """The networks of the VPC, or before there is one the one it will have; raises Absent where
        that is not known.
        """
        try:
            found = described("ec2", "describe_vpcs", "Vpcs", VpcIds=[self.vpc_id])
        except Absent:
            if not self.vpc_cidr:
                raise
            return [self.vpc_cidr]
        return [each["CidrBlock"] for vpc in found for each in vpc["CidrBlockAssociationSet"]]

    @cached_property
    def route_tables(self) -> list[dict[str, Any]]:
        """The tables that route for the subnets, each once."""
        filters = [{"Name": "vpc-id", "Values": [self.vpc_id]}]
        tables = described("ec2", "describe_route_tables", "RouteTables", Filters=filters)
        pairs = [(table, each) for table in tables for each in table["Associations"]]
        main = next(table for table, each in pairs if each.get("Main"))
        explicit = {each.get("SubnetId"): table for table, each in pairs}
        used = [explicit.get(each, main) for each in self.subnet_ids]
        return list({each["RouteTableId"]: each for each in used}.values())

    def routes(self, table: dict[str, Any], network: str) -> list[dict[str, Any]]:
        """The routes of a table that traffic to a network takes: the most specific one that holds
        all of it, or several that hold it together; none where part of it has no route.
        """
        target = ipaddress.ip_network(network, strict=False)
        pairs = [
            (span, each)
            for each in table["Routes"]
            for span in self._destinations(each)
            if span.version == target.version
        ]
        holding = [pair for pair in pairs if target.subnet_of(pair[0])]
        if holding:
            return [max(holding, key=lambda pair: pair[0].prefixlen)[1]]
        inside = [pair for pair in pairs if pair[0].subnet_of(target)]
        return [each for _, each in inside] if _joined(span for span, _ in inside) == target else []

    def public_route(self) -> str:
        """The gateways by which all the subnets reach public addresses, or nothing; a transit
        gateway leads to the way out that others share.
        """
        members = ("NatGatewayId", "TransitGatewayId", "GatewayId", "NetworkInterfaceId")
        targets = [
            next((route[name] for name in members if route.get(name)), "")
            for table in self.route_tables
            for route in self.routes(table, "0.0.0.0/0") or [{}]
        ]
        return ", ".join(sorted(set(targets))) if all(targets) else ""

    def _destinations(self, route: dict[str, Any]) -> list[Any]:
        """The networks a route is for: one, or those of a customer's prefix list."""
        if "DestinationCidrBlock" in route:
            return [ipaddress.ip_network(route["DestinationCidrBlock"])]
        listed = route.get("DestinationPrefixListId", "")
        if not listed or route.get("GatewayId", "").startswith("vpce-"):
            return []
        if listed not in self._prefix_lists:
            found = described(
                "ec2", "get_managed_prefix_list_entries", "Entries", PrefixListId=listed
            )
            self._prefix_lists[listed] = [ipaddress.ip_network(each["Cidr"]) for each in found]
        return self._prefix_lists[listed]

    @cached_property
    def security_group_ids(self) -> list[str]:
        """The security groups of DMS's instance, or before there is one the one it will have;
        raises Absent.
        """
        instance = dms_thing("replication_instances", "replication-instance-id", self.instance)
        groups = (
            [each["VpcSecurityGroupId"] for each in instance["VpcSecurityGroups"]]
            if instance
            else []
        )
        found = groups or [ec2.group_id(self.names.resource("dms"), self.vpc_id)]
        if any(each.startswith("<") for each in found):
            raise Absent("02 makes the security group of DMS", "02")
        return found

    @cached_property
    def endpoints(self) -> list[dict[str, Any]]:
        """The endpoints of the VPC that are there or coming."""
        filters = [{"Name": "vpc-id", "Values": [self.vpc_id]}]
        found = described("ec2", "describe_vpc_endpoints", "VpcEndpoints", Filters=filters)
        return [
            each
            for each in found
            if each["State"].lower() not in ("deleted", "deleting", "failed", "rejected")
        ]

    @cached_property
    def dns_servers(self) -> list[str]:
        """The name servers that the VPC's DHCP options name; none where Amazon's own answers."""
        return self.network.dns_servers()

    @cached_property
    def hosted_zones(self) -> list[str]:
        """The domains of the VPC's private hosted zones."""
        return self.network.hosted_zones()

    @cached_property
    def secret_content(self) -> dict[str, Any]:
        """What the secret says, with the password; empty where it cannot be read or is no JSON
        object.
        """
        client = aws.client("secretsmanager")
        try:
            actual = current(
                client.get_secret_value, "ResourceNotFoundException", SecretId=self.secret
            )
            content = json.loads(actual["SecretString"]) if actual else {}
        except ClientError as error:
            if EXPIRED.fullmatch(error.response["Error"]["Code"]):
                raise
            return {}
        except (KeyError, ValueError):
            return {}
        return content if isinstance(content, dict) else {}

    @property
    def source_host(self) -> str:
        """The source's host; raises Absent while the secret does not say."""
        if not self.secret_content.get("host"):
            raise Absent("the secret does not say where the source is")
        return str(self.secret_content["host"])

    @property
    def source_port(self) -> int:
        """The source's port, its engine's own where the secret does not say; raises Absent where
        that is not known.
        """
        given = str(self.secret_content.get("port", ""))
        if given.isdigit():
            return int(given)
        if usual := default_port(str(self.secret_content.get("engine", ""))):
            return usual
        raise Absent("the secret does not say at which port the source listens")

    @property
    def source_network(self) -> str:
        """What must be reached: the network of the source, or its address; raises Absent where it
        is known by neither.
        """
        if self.on_premises_cidr:
            return self.on_premises_cidr
        try:
            address = ipaddress.ip_address(self.source_host)
        except ValueError as error:
            raise Absent(
                "the source is known by name only, and on_premises_cidr is empty"
            ) from error
        if address.is_loopback:
            raise Absent(f"{address} is no address in a network")
        return f"{address}/{address.max_prefixlen}"


def _joined(networks: Iterable[Any]) -> Any:
    """The one network that these are together, or None."""
    found = list(ipaddress.collapse_addresses(networks))
    return found[0] if len(found) == 1 else None


def dms_thing(kind: str, key: str, name: str) -> dict[str, Any] | None:
    """What DMS describes under a name, or None; `kind` as in the operation: replication_instances,
    endpoints.
    """
    method = getattr(aws.client("dms"), f"describe_{kind}")
    found = current(method, "ResourceNotFoundFault", Filters=[{"Name": key, "Values": [name]}])
    member = "".join(word.capitalize() for word in kind.split("_"))
    return found[member][0] if found and found[member] else None
