"""Flow logs: a record of every connection in our VPC, accepted or rejected, in an encrypted log
group.
"""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, Any

from lakebook import aws
from lakebook.ensure import Call, Resource, resource
from lakebook.errors import LakebookError
from lakebook.services import ec2, iam, kms
from lakebook.services.storage import checked, log_group

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lakebook.names import Names
    from lakebook.services.ec2 import Network

TRIES, RETRY_SECONDS = 30, 1.0


def roles(names: Names) -> list[Resource]:
    """The role by which flow logs are written."""
    logs = f"arn:aws:logs:{names.region}:{names.account}:log-group"
    write = ["logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"]
    allow = {f"{logs}:{group_name(names)}:*": write, "*": ["logs:DescribeLogGroups"]}
    return [iam.service_role(names, "flow-logs", "vpc-flow-logs.amazonaws.com", allow=allow)]


def flow_logs(network: Network, retention_days: dict[str, int]) -> list[Resource]:
    """The log group and the flow logs of a VPC of ours; none for a VPC that is somebody else's, who
    keeps their own.
    """
    if network.vpc_id or network.subnet_ids:
        return []
    names, group = network.names, group_name(network.names)
    kept = log_group(group, kms.alias(names), checked(retention_days)["logs"], names.tags)
    return [kept, flow_log(group, network, names.role_arn("flow-logs"))]


def group_name(names: Names) -> str:
    """The log group of the VPC's flow logs."""
    return f"/aws/vpc-flow-logs/{names.resource('vpc')}"


@resource
def flow_log(log_group_name: str, network: Network, role_arn: str) -> Iterator[Call]:
    """All traffic of the VPC, into a log group; raises LakebookError where EC2 does not deliver it.

    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_FlowLog.html
    """
    client, vpc_id = aws.client("ec2"), network.vpc()
    found = client.describe_flow_logs(Filters=[{"Name": "resource-id", "Values": [vpc_id]}])[
        "FlowLogs"
    ]
    ours = [
        each
        for each in found
        if (each["TrafficType"], each["FlowLogStatus"], each.get("LogGroupName"))
        == ("ALL", "ACTIVE", log_group_name)
    ]
    if ours and all(each.get("DeliverLogsStatus") == "FAILED" for each in ours):
        raise LakebookError(
            f"EC2 does not deliver the flow logs {ours[0]['FlowLogId']} to {log_group_name}:"
            f" {ours[0].get('DeliverLogsErrorMessage', 'no reason')}; see that {role_arn} may write"
            " there, delete these flow logs and run this phase again."
        )
    if ours:
        return
    tags = ec2.tag_specifications("vpc-flow-log", log_group_name, network.names.tags)
    what = {
        "ResourceIds": [vpc_id],
        "ResourceType": "VPC",
        "TrafficType": "ALL",
        "TagSpecifications": tags,
    }
    where = {"LogGroupName": log_group_name, "DeliverLogsPermissionArn": role_arn}
    arguments = {**what, "LogDestinationType": "cloud-watch-logs", **where}
    failed: list[str] = []
    for _ in range(TRIES):
        yield Call(client.create_flow_logs, arguments, until=partial(_keeps_failure, failed))
        if not failed:
            return
        time.sleep(RETRY_SECONDS)  # a new role has not spread yet
    raise LakebookError(
        f"EC2 made no flow logs of {vpc_id}: {failed[0]}; mend that and run this phase again."
    )


def _keeps_failure(failed: list[str], answer: dict[str, Any]) -> None:
    """Remember why EC2 made nothing: it says so in an answer of 200.

    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateFlowLogs.html
    """
    failed[:] = [each["Error"]["Message"] for each in answer.get("Unsuccessful", [])]
