"""Endpoints: how private subnets without a way to the internet reach S3 and the AWS services that
phases need.
"""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING, Any

from lakebook import aws
from lakebook.ensure import Call, Resource, current, resource
from lakebook.errors import LakebookError
from lakebook.services import ec2, iam, policies

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lakebook.services.ec2 import Network

ALIVE = (
    "pendingAcceptance",
    "pending",
    "available",
    "PendingAcceptance",
    "Pending",
    "Available",
    "Partial",
)


def endpoints(network: Network, services: list[str]) -> list[Resource]:
    """The free gateway endpoint for S3, and an interface endpoint in every subnet, metered by the
    hour, for each service.

    Raises LakebookError for a service that has no endpoint in this Region. An endpoint that is
    there but not ours stays as it is.
    """
    region = network.names.region
    wanted = [f"com.amazonaws.{region}.{each}" for each in services]
    _check_offered(wanted)
    return [
        gateway_endpoint(f"com.amazonaws.{region}.s3", network),
        *(interface_endpoint(each, network) for each in wanted),
    ]


@resource
def gateway_endpoint(service_name: str, network: Network) -> Iterator[Call]:
    """A route to S3 in the subnets' route tables, for buckets of this account alone."""
    client, actual = aws.client("ec2"), endpoint(service_name, network, "Gateway")
    policy, tables = gateway_policy(network.names.account), network.route_tables()
    if actual is None:
        tags = ec2.tag_specifications(
            "vpc-endpoint", network.names.resource("s3"), network.names.tags
        )
        arguments = {
            "VpcEndpointType": "Gateway",
            "VpcId": network.vpc(),
            "ServiceName": service_name,
            "RouteTableIds": tables,
            "PolicyDocument": json.dumps(policy),
            "TagSpecifications": tags,
        }
        yield Call(
            client.create_vpc_endpoint,
            arguments,
            until=partial(_awaits, service_name, network, "Gateway"),
        )
    elif iam.is_ours(actual.get("Tags", []), network.names.tags):
        changes = _changes(
            actual, policy, {"RouteTableIds": (set(actual["RouteTableIds"]), set(tables))}
        )
        if changes:
            yield Call(
                client.modify_vpc_endpoint, {"VpcEndpointId": actual["VpcEndpointId"], **changes}
            )


@resource
def interface_endpoint(service_name: str, network: Network) -> Iterator[Call]:
    """A private address of a service in every subnet, under its usual name, for callers of this
    account and our groups alone.
    """
    client, actual = aws.client("ec2"), endpoint(service_name, network, "Interface")
    policy = interface_policy(network.names.account)
    group, subnets = (
        ec2.security_group_ids(network.names, "endpoints"),
        _offered_subnets(service_name, network),
    )
    if actual is None:
        name = network.names.resource(service_name.rpartition(".")[2])
        tags = ec2.tag_specifications("vpc-endpoint", name, network.names.tags)
        arguments = {
            "VpcEndpointType": "Interface",
            "VpcId": network.vpc(),
            "ServiceName": service_name,
            "SubnetIds": subnets,
            "SecurityGroupIds": group,
            "PrivateDnsEnabled": True,
            "PolicyDocument": json.dumps(policy),
            "TagSpecifications": tags,
        }
        yield Call(
            client.create_vpc_endpoint,
            arguments,
            until=partial(_awaits, service_name, network, "Interface"),
        )
    elif iam.is_ours(actual.get("Tags", []), network.names.tags):
        sets = {
            "SubnetIds": (set(actual["SubnetIds"]), set(subnets)),
            "SecurityGroupIds": ({each["GroupId"] for each in actual["Groups"]}, set(group)),
        }
        changes = _changes(actual, policy, sets) | (
            {} if actual["PrivateDnsEnabled"] else {"PrivateDnsEnabled": True}
        )
        if changes:
            yield Call(
                client.modify_vpc_endpoint, {"VpcEndpointId": actual["VpcEndpointId"], **changes}
            )


def endpoint(service_name: str, network: Network, kind: str) -> dict[str, Any] | None:
    """The endpoint of the VPC for a service, as EC2 describes it, or None; one that is going does
    not count.
    """
    filters: list[Any] = [
        {"Name": "vpc-id", "Values": [network.vpc()]},
        {"Name": "service-name", "Values": [service_name]},
    ]
    found = aws.client("ec2").describe_vpc_endpoints(Filters=filters)["VpcEndpoints"]
    return next(
        (
            dict(each)
            for each in found
            if each["State"] in ALIVE and each["VpcEndpointType"] == kind
        ),
        None,
    )


def unavailable(network: Network, services: list[str]) -> list[str]:
    """The services without an endpoint that is available, S3 among them."""
    wanted = {f"com.amazonaws.{network.names.region}.{each}": "Interface" for each in services}
    wanted = {f"com.amazonaws.{network.names.region}.s3": "Gateway", **wanted}
    found = {
        name: endpoint(name, network, kind) or {"State": "absent"} for name, kind in wanted.items()
    }
    return [
        f"{name}: {each['State']}"
        for name, each in found.items()
        if each["State"].lower() != "available"
    ]


def gateway_policy(account: str) -> dict[str, Any]:
    """Anybody in the VPC, but only by principals and into buckets of this account: nothing can be
    carried out to another's.
    """
    both = {"aws:PrincipalAccount": account, "aws:ResourceAccount": account}
    return policies.document(
        {
            "Sid": "OwnAccount",
            "Principal": "*",
            "Action": "s3:*",
            "Resource": "*",
            "Condition": {"StringEquals": both},
        }
    )


def interface_policy(account: str) -> dict[str, Any]:
    """Anybody in the VPC, but only by principals of this account; what they may do, their own
    policies say.
    """
    ours = {"StringEquals": {"aws:PrincipalAccount": account}}
    return policies.document(
        {"Sid": "OwnAccount", "Principal": "*", "Action": "*", "Resource": "*", "Condition": ours}
    )


def _changes(
    actual: dict[str, Any], policy: dict[str, Any], sets: dict[str, tuple[set[str], set[str]]]
) -> dict[str, Any]:
    changes: dict[str, Any] = {}
    if not policies.same(actual["PolicyDocument"], policy):
        changes["PolicyDocument"] = json.dumps(policy)
    for member, (found, wanted) in sets.items():
        changes |= {f"Add{member}": sorted(wanted - found)} if wanted - found else {}
        changes |= {f"Remove{member}": sorted(found - wanted)} if found - wanted else {}
    return changes


def _check_offered(service_names: list[str]) -> None:
    method = aws.client("ec2").describe_vpc_endpoint_services
    for each in service_names:
        if current(method, "InvalidServiceName", ServiceNames=[each]) is None:
            raise LakebookError(
                f"AWS offers no endpoint service {each} in this Region; correct"
                " interface_endpoints."
            )


def _offered_subnets(service_name: str, network: Network) -> list[str]:
    """The subnets in Availability Zones where the service has endpoints."""
    found = aws.client("ec2").describe_vpc_endpoint_services(ServiceNames=[service_name])[
        "ServiceDetails"
    ]
    zones = {zone for each in found for zone in each["AvailabilityZones"]}
    return sorted(
        each["SubnetId"] for each in network.subnets() if each["AvailabilityZone"] in zones
    )


def _awaits(service_name: str, network: Network, kind: str, _answer: dict[str, Any]) -> str | None:
    actual = endpoint(service_name, network, kind) or {"State": "absent"}
    return None if actual["State"].lower() == "available" else str(actual["State"])
