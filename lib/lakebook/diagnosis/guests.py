"""What others in a VPC that is not ours will notice of 02, said before anything is made."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lakebook import aws
from lakebook.ensure import current
from lakebook.services import vpc_endpoints

if TYPE_CHECKING:
    from lakebook.diagnosis.path import Path

ACCOUNT_WIDE = ("dms-vpc-role", "dms-cloudwatch-logs-role")


def noticed(path: Path) -> list[dict[str, str]]:
    """What 02 adds to what others use, a line each: `adds`, and what others `notice`; none where
    it only makes what is ours alone.
    """
    network, region = path.network, path.names.region
    lines = dict(_of_account())
    if network.of_others:
        for each in path.interface_endpoints:
            service = f"com.amazonaws.{region}.{each}"
            if vpc_endpoints.endpoint(service, network, "Interface") is None:
                lines[f"interface endpoint {each}"] = (
                    f"{vpc_endpoints.host_name(service)} leads whoever asks the resolver of"
                    f" {network.vpc()} to private addresses, which let in {_ranges(path)} alone"
                )
    if network.subnet_ids:
        # https://docs.aws.amazon.com/vpc/latest/privatelink/gateway-endpoints.html
        s3 = f"com.amazonaws.{region}.s3"
        there = {t for each in vpc_endpoints.gateways(s3, network) for t in each["RouteTableIds"]}
        for each in sorted(set(vpc_endpoints.unserved(s3, network)) - there):
            lines[f"route to S3 in {each}"] = (
                f"connections to S3 from {', '.join(network.ids())} break once, and then come from"
                " private addresses: bucket policies on public addresses (aws:SourceIp) fail"
            )
    elif network.vpc_id:
        lines[f"subnets of {path.vpc_cidr} in {network.vpc_id}"] = "that part of the VPC is taken"
        if path.gateway_id:
            lines[f"{path.gateway_id} attached to {network.vpc_id}"] = (
                f"where it spreads routes, its other networks learn those to {_ranges(path)}"
            )
    return [{"adds": what, "others notice": how} for what, how in lines.items()]


def _ranges(path: Path) -> str:
    return ", ".join(path.network.ranges())


def _of_account() -> list[tuple[str, str]]:
    """The roles that DMS demands by name, for the whole account."""
    iam = aws.client("iam")
    return [
        (f"role {each}", "every DMS of the account uses the role of this name from then on")
        for each in ACCOUNT_WIDE
        if current(iam.get_role, "NoSuchEntity", RoleName=each) is None
    ]
