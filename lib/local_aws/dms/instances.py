"""Replication subnet groups and replication instances: records that appear, change and go as on
AWS.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from local_aws.dms.records import (
    Record,
    Records,
    check_new,
    find,
    invalid,
    invalid_state,
    matching,
    page,
    role_arn,
)
from local_aws.errors import ApiError
from local_aws.names import ACCOUNT

if TYPE_CHECKING:
    from local_aws.service import Call

ENGINE_VERSION = "3.6.1"
INSTANCE_CLASS = re.compile(r"dms\.[a-z0-9]+\.[a-z0-9]+")
DEFAULTS = {
    "AllocatedStorage": 50,
    "MultiAZ": False,
    "EngineVersion": ENGINE_VERSION,
    "AutoMinorVersionUpgrade": True,
    "PubliclyAccessible": True,
    "NetworkType": "IPV4",
    "PreferredMaintenanceWindow": "sun:05:00-sun:05:30",
}
KEPT = ("ReplicationInstanceClass", "AvailabilityZone", "KmsKeyId", "DnsNameServers", *DEFAULTS)
CHANGED = (
    "ReplicationInstanceClass",
    "AllocatedStorage",
    "MultiAZ",
    "EngineVersion",
    "AutoMinorVersionUpgrade",
    "PreferredMaintenanceWindow",
    "NetworkType",
)


class Instances(Records):
    """Subnet groups and instances."""

    def CreateReplicationSubnetGroup(self, call: Call) -> dict[str, Any]:
        """A subnet group; needs the role dms-vpc-role and subnets in at least two Availability
        Zones.
        """
        self.check_role(role_arn("dms-vpc-role"), "dms.amazonaws.com")
        name = call.parameters["ReplicationSubnetGroupIdentifier"].lower()
        with self.lock:
            check_new(
                self.subnet_groups.values(),
                "ReplicationSubnetGroupIdentifier",
                name,
                "Replication subnet group",
            )
            self.subnet_groups[name] = {
                "ReplicationSubnetGroupIdentifier": name,
                "ReplicationSubnetGroupDescription": call.parameters[
                    "ReplicationSubnetGroupDescription"
                ],
                "SubnetGroupStatus": "Complete",
                "SupportedNetworkTypes": ["IPV4"],
                **self._place(call.parameters["SubnetIds"]),
            }
            self.keep_tags(f"arn:aws:dms:{self.stand_in.region}:{ACCOUNT}:subgrp:{name}", call)
        return {"ReplicationSubnetGroup": self.subnet_groups[name]}

    def DescribeReplicationSubnetGroups(self, call: Call) -> dict[str, Any]:
        """The subnet groups that fulfil the filters."""
        members: Any = {"replication-subnet-group-id": "ReplicationSubnetGroupIdentifier"}
        found = matching(call, self.subnet_groups.values(), members, "replication subnet groups")
        return page(call, "ReplicationSubnetGroups", found)

    def ModifyReplicationSubnetGroup(self, call: Call) -> dict[str, Any]:
        """The group with other subnets."""
        name = call.parameters["ReplicationSubnetGroupIdentifier"].lower()
        with self.lock:
            group = find(self.subnet_groups, name, "Replication subnet group")
            group.update(self._place(call.parameters["SubnetIds"]))
            if "ReplicationSubnetGroupDescription" in call.parameters:
                group["ReplicationSubnetGroupDescription"] = call.parameters[
                    "ReplicationSubnetGroupDescription"
                ]
        return {"ReplicationSubnetGroup": group}

    def DeleteReplicationSubnetGroup(self, call: Call) -> dict[str, Any]:
        """Deletes a subnet group; returns {}; refused while an instance is in it."""
        name = call.parameters["ReplicationSubnetGroupIdentifier"].lower()
        with self.lock:
            group = find(self.subnet_groups, name, "Replication subnet group")
            if any(each["ReplicationSubnetGroup"] is group for each in self.instances.values()):
                raise invalid_state(
                    f"Replication subnet group {name} is in use by a replication instance: delete"
                    " that first"
                )
            del self.subnet_groups[name]
        return {}

    def _place(self, subnet_ids: list[str]) -> Record:
        """VpcId and Subnets of a group; raises InvalidSubnet or
        ReplicationSubnetGroupDoesNotCoverEnoughAZs.
        """
        try:
            subnets = self.stand_in.client("ec2").describe_subnets(SubnetIds=subnet_ids)["Subnets"]
        except ClientError as error:
            raise ApiError("InvalidSubnet", error.response["Error"]["Message"]) from error
        if len({each["VpcId"] for each in subnets}) != 1:
            raise ApiError(
                "InvalidSubnet", "The subnets of a replication subnet group must be in one VPC."
            )
        if len({each["AvailabilityZone"] for each in subnets}) < 2:
            code = "ReplicationSubnetGroupDoesNotCoverEnoughAZs"
            raise ApiError(code, "The subnets must be in at least two Availability Zones.")
        shown = [
            {
                "SubnetIdentifier": each["SubnetId"],
                "SubnetAvailabilityZone": {"Name": each["AvailabilityZone"]},
                "SubnetStatus": "Active",
            }
            for each in subnets
        ]
        return {"VpcId": subnets[0]["VpcId"], "Subnets": shown}

    def CreateReplicationInstance(self, call: Call) -> dict[str, Any]:
        """An instance that is `creating`, and soon `available`."""
        request = call.parameters
        self.check_role(role_arn("dms-vpc-role"), "dms.amazonaws.com")
        name = request["ReplicationInstanceIdentifier"].lower()
        _check_class(request["ReplicationInstanceClass"])
        with self.lock:
            check_new(
                self.instances.values(),
                "ReplicationInstanceIdentifier",
                name,
                "Replication Instance",
            )
            group = find(self.subnet_groups, self._group_name(request), "Replication subnet group")
            arn = self.arn("rep", call)
            instance = {
                **DEFAULTS,
                **{member: request[member] for member in KEPT if member in request},
                "ReplicationInstanceIdentifier": name,
                "ReplicationInstanceArn": arn,
                "ReplicationInstanceStatus": "creating",
                "ReplicationSubnetGroup": group,
                "VpcSecurityGroups": _security_groups(request.get("VpcSecurityGroupIds", [])),
                "PendingModifiedValues": {},
            }
            self.instances[arn] = instance
            self.keep_tags(arn, call)
            answer = dict(instance)
            created = {
                "ReplicationInstanceStatus": "available",
                "InstanceCreateTime": datetime.now(UTC),
            }
            self.later(lambda: instance.update(created))
        return {"ReplicationInstance": answer}

    def _group_name(self, request: dict[str, Any]) -> str:
        if name := request.get("ReplicationSubnetGroupIdentifier"):
            return str(name).lower()
        raise invalid(
            "local_aws makes no default subnet group: name a ReplicationSubnetGroupIdentifier"
        )

    def DescribeReplicationInstances(self, call: Call) -> dict[str, Any]:
        """The instances that fulfil the filters."""
        members: Any = {
            "replication-instance-arn": "ReplicationInstanceArn",
            "replication-instance-id": "ReplicationInstanceIdentifier",
            "replication-instance-class": "ReplicationInstanceClass",
            "engine-version": "EngineVersion",
        }
        found = matching(call, self.instances.values(), members, "replication instances")
        return page(call, "ReplicationInstances", found)

    def ModifyReplicationInstance(self, call: Call) -> dict[str, Any]:
        """The instance, `modifying` where ApplyImmediately; else the change is pending until
        then.
        """
        request = call.parameters
        changes = {member: request[member] for member in CHANGED if member in request}
        with self.lock:
            instance = self.available(request["ReplicationInstanceArn"])
            if "ReplicationInstanceClass" in changes:
                _check_class(changes["ReplicationInstanceClass"])
            if name := request.get("ReplicationInstanceIdentifier", "").lower():
                check_new(
                    self.instances.values(),
                    "ReplicationInstanceIdentifier",
                    name,
                    "Replication Instance",
                )
                changes["ReplicationInstanceIdentifier"] = name
            if not changes and "VpcSecurityGroupIds" not in request:
                raise ApiError(
                    "InvalidParameterCombinationException", "No modifications were requested"
                )
            if "VpcSecurityGroupIds" in request:
                changes["VpcSecurityGroups"] = _security_groups(request["VpcSecurityGroupIds"])
            if not request.get("ApplyImmediately"):
                instance["PendingModifiedValues"].update(
                    {k: v for k, v in changes.items() if k != "VpcSecurityGroups"}
                )
                return {"ReplicationInstance": instance}
            instance["ReplicationInstanceStatus"] = "modifying"
            done = {
                **changes,
                "ReplicationInstanceStatus": "available",
                "PendingModifiedValues": {},
            }
            self.later(lambda: instance.update(done))
            return {"ReplicationInstance": dict(instance)}

    def DeleteReplicationInstance(self, call: Call) -> dict[str, Any]:
        """The instance, `deleting`; refused while it has tasks."""
        arn = call.parameters["ReplicationInstanceArn"]
        with self.lock:
            instance = find(self.instances, arn, "Replication Instance")
            if any(task["ReplicationInstanceArn"] == arn for task in self.tasks.values()):
                raise invalid_state(
                    f"Replication instance {arn} has one or more replication tasks: delete them"
                    " first"
                )
            instance["ReplicationInstanceStatus"] = "deleting"
            for key in [key for key in self.connections if key[0] == arn]:
                del self.connections[key]
            self.later(lambda: (self.instances.pop(arn, None), self.tags.pop(arn, None)))
            return {"ReplicationInstance": dict(instance)}

    def available(self, arn: str) -> Record:
        """The instance; raises InvalidResourceStateFault unless it is `available`."""
        instance = find(self.instances, arn, "Replication Instance")
        if instance["ReplicationInstanceStatus"] != "available":
            raise invalid_state(
                f"Replication instance {arn} is {instance['ReplicationInstanceStatus']}, not"
                " available"
            )
        return instance


def _check_class(name: str) -> None:
    if not INSTANCE_CLASS.fullmatch(name):
        raise invalid(f"{name} is no replication instance class, which looks like dms.t3.medium")


def _security_groups(ids: list[str]) -> list[dict[str, str]]:
    return [{"VpcSecurityGroupId": each, "Status": "active"} for each in ids]
