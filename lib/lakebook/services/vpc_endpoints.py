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
# what an endpoint has to whose creation no policy is given
FULL_ACCESS = policies.document({"Principal": "*", "Action": "*", "Resource": "*"})


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
    """A route to S3 in the subnets' route tables, for buckets of this account alone.

    In a VPC of others: not in a table that routes for their subnets, too, or has a route to S3
    already; with AWS's own policy, under which everything is reached that was reached before.
    """
    client = aws.client("ec2")
    actual = next((each for each in gateways(service_name, network) if _ours(each, network)), None)
    policy, tables = _gateway_policy(network), unserved(service_name, network)
    if actual is None and (tables or not network.subnets()):
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
    elif actual:
        changes = _changes(
            actual, policy, {"RouteTableIds": (set(actual["RouteTableIds"]), set(tables))}
        )
        if changes:
            yield Call(
                client.modify_vpc_endpoint, {"VpcEndpointId": actual["VpcEndpointId"], **changes}
            )


def unserved(service_name: str, network: Network) -> list[str]:
    """The route tables of the subnets that our gateway endpoint is to be in, sorted: they are ours
    alone, and no endpoint of somebody else is in them.
    """
    theirs = [each for each in gateways(service_name, network) if not _ours(each, network)]
    served = {table for each in theirs for table in each["RouteTableIds"]}
    return sorted(set(network.route_tables()) - served - set(network.shared_tables()))


@resource
def interface_endpoint(service_name: str, network: Network) -> Iterator[Call]:
    """A private address of a service in every subnet, under its usual name, for callers of this
    account and our groups alone; in a VPC of others for all of it.

    Raises LakebookError where a private hosted zone has that name already.
    """
    client, actual = aws.client("ec2"), endpoint(service_name, network, "Interface")
    policy = FULL_ACCESS if network.of_others else interface_policy(network.names.account)
    group, subnets = (
        [ec2.group_id(network.names.resource("endpoints"), network.vpc())],
        _offered_subnets(service_name, network, (actual or {}).get("SubnetIds", [])),
    )
    if actual is None:
        _check_free(service_name, network)
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
    elif _ours(actual, network):
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
    found = _found(service_name, network)
    return next((each for each in found if each["VpcEndpointType"] == kind), None)


def unavailable(network: Network, services: list[str]) -> list[str]:
    """The services without an endpoint that is available, S3 among them where it is ours to
    make.
    """
    region = network.names.region
    found = {
        name: endpoint(name, network, "Interface") or {"State": "absent"}
        for name in (f"com.amazonaws.{region}.{each}" for each in services)
    }
    s3 = f"com.amazonaws.{region}.s3"
    if unserved(s3, network):
        ours = [each for each in gateways(s3, network) if _ours(each, network)]
        found[s3] = ours[0] if ours else {"State": "absent"}
    return [
        f"{name}: {each['State']}"
        for name, each in found.items()
        if each["State"].lower() != "available"
    ]


def host_name(service_name: str) -> str:
    """The usual name of a service, to which its endpoint answers: `kms.eu-west-1.amazonaws.com` of
    `com.amazonaws.eu-west-1.kms`.
    """
    region, service = service_name.removeprefix("com.amazonaws.").split(".", 1)
    return f"{'.'.join(reversed(service.split('.')))}.{region}.amazonaws.com"


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


def _gateway_policy(network: Network) -> dict[str, Any]:
    return FULL_ACCESS if network.subnet_ids else gateway_policy(network.names.account)


def _ours(actual: dict[str, Any], network: Network) -> bool:
    return iam.is_ours(actual.get("Tags", []), network.names.tags)


def gateways(service_name: str, network: Network) -> list[dict[str, Any]]:
    """The gateway endpoints of the VPC for a service: a route table takes one of them."""
    return [each for each in _found(service_name, network) if each["VpcEndpointType"] == "Gateway"]


def _check_free(service_name: str, network: Network) -> None:
    """Private names are a hosted zone of their own, and a VPC has one of a name.

    https://docs.aws.amazon.com/vpc/latest/privatelink/interface-endpoints.html
    """
    name = host_name(service_name)
    if network.of_others and name in network.hosted_zones():
        raise LakebookError(
            f"A private hosted zone of {network.vpc()} answers for {name} already, as a hub shares"
            f" it: take {service_name.split('.', 3)[3]} out of interface_endpoints."
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


def _offered_subnets(service_name: str, network: Network, used: list[str]) -> list[str]:
    """A subnet in each Availability Zone where the service has endpoints: one of those `used`
    before another.
    """
    found = aws.client("ec2").describe_vpc_endpoint_services(ServiceNames=[service_name])[
        "ServiceDetails"
    ]
    zones = {zone for each in found for zone in each["AvailabilityZones"]}
    subnets = sorted(network.subnets(), key=lambda e: (e["SubnetId"] in used, e["SubnetId"]))
    chosen = {each["AvailabilityZone"]: each["SubnetId"] for each in subnets}
    return sorted(subnet for zone, subnet in chosen.items() if zone in zones)


def _found(service_name: str, network: Network) -> list[dict[str, Any]]:
    filters: list[Any] = [
        {"Name": "vpc-id", "Values": [network.vpc()]},
        {"Name": "service-name", "Values": [service_name]},
    ]
    found = aws.client("ec2").describe_vpc_endpoints(Filters=filters)["VpcEndpoints"]
    return [dict(each) for each in found if each["State"] in ALIVE]


def _awaits(service_name: str, network: Network, kind: str, _answer: dict[str, Any]) -> str | None:
    actual = endpoint(service_name, network, kind) or {"State": "absent"}
    return None if actual["State"].lower() == "available" else str(actual["State"])
