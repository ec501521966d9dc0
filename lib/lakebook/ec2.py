"""The network that phases are put into."""

from __future__ import annotations

from lakebook import aws
from lakebook.errors import LakebookError


def subnets(subnet_ids: list[str]) -> list[str]:
    """The subnets named, or for an empty list those of the account's default VPC; raises LakebookError when there are none."""
    filters = [{"Name": "default-for-az", "Values": ["true"]}]
    if subnet_ids:
        return subnet_ids
    found = aws.client("ec2").describe_subnets(Filters=filters)["Subnets"]
    if not found:
        raise LakebookError(
            "subnet_ids is empty and the account has no default VPC; name private subnets in at least two Availability Zones."
        )
    return sorted(each["SubnetId"] for each in found)
