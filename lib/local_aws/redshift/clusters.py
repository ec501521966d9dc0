"""Amazon Redshift's provisioned clusters: records with their states; the data is kept where that of
workgroups is.
"""

from __future__ import annotations

import datetime
import json
import re
import secrets
import threading
import time
import uuid
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from local_aws import settings
from local_aws.errors import ApiError
from local_aws.names import ACCOUNT
from local_aws.redshift.copy import PRINCIPALS
from local_aws.service import Call, Service

if TYPE_CHECKING:
    from local_aws.redshift.warehouses import Warehouses
    from local_aws.stand_in import StandIn

CLUSTER_NAME = re.compile(r"[a-z](-?[a-z0-9]){0,62}")
USER_NAME = re.compile(r"[a-z][a-z0-9_+.@-]{0,127}")
# nodes a cluster may have;
# https://docs.aws.amazon.com/redshift/latest/mgmt/working-with-clusters.html
NODES = {
    "ra3.large": (1, 16),
    "ra3.xlplus": (1, 32),
    "ra3.4xlarge": (2, 128),
    "ra3.16xlarge": (2, 128),
    "dc2.large": (1, 32),
    "dc2.8xlarge": (2, 128),
}
DONE = {
    "creating": "available",
    "modifying": "available",
    "resuming": "available",
    "pausing": "paused",
}
MEMBERS = frozenset(
    """DBName ClusterIdentifier ClusterType NodeType MasterUsername MasterUserPassword
    VpcSecurityGroupIds ClusterSubnetGroupName Port NumberOfNodes PubliclyAccessible Encrypted
    KmsKeyId EnhancedVpcRouting IamRoles DefaultIamRoleArn ManageMasterPassword
    AutomatedSnapshotRetentionPeriod PreferredMaintenanceWindow AllowVersionUpgrade Tags""".split()  # noqa: SIM905 - a list of quoted words is no easier to read
)
CHANGEABLE = (
    "VpcSecurityGroupIds",
    "PubliclyAccessible",
    "EnhancedVpcRouting",
    "Encrypted",
    "KmsKeyId",
    "AutomatedSnapshotRetentionPeriod",
    "NodeType",
    "NumberOfNodes",
)


class RedshiftClusters(Service):
    """The records of clusters and of the subnets they may be in."""

    def __init__(self, stand_in: StandIn, warehouses: Warehouses) -> None:
        super().__init__(stand_in)
        self.warehouses = warehouses
        self.clusters: dict[str, dict[str, Any]] = {}
        self.groups: dict[str, dict[str, Any]] = {}
        self.ready: dict[str, float] = {}  # when a change under way is done
        self.tags: dict[str, dict[str, str]] = {}
        self.lock = threading.RLock()

    # Subnet groups

    def CreateClusterSubnetGroup(self, call: Call) -> dict[str, Any]:
        """Subnets that a cluster may be in; ClusterSubnetGroupAlreadyExists."""
        name = call.parameters["ClusterSubnetGroupName"].lower()
        if name in self.groups:
            raise ApiError(
                "ClusterSubnetGroupAlreadyExists", f"Cluster subnet group {name} already exists."
            )
        self.groups[name] = {
            "ClusterSubnetGroupName": name,
            "Description": call.parameters["Description"],
            "SubnetGroupStatus": "Complete",
            **self._subnets(call.parameters["SubnetIds"]),
        }
        self._tag(self._arn("subnetgroup", name), call.parameters.get("Tags", []))
        return {"ClusterSubnetGroup": self._group(name)}

    def ModifyClusterSubnetGroup(self, call: Call) -> dict[str, Any]:
        """The group with other subnets."""
        name = call.parameters["ClusterSubnetGroupName"].lower()
        self._group(name)
        self.groups[name] |= self._subnets(call.parameters["SubnetIds"])
        if "Description" in call.parameters:
            self.groups[name]["Description"] = call.parameters["Description"]
        return {"ClusterSubnetGroup": self._group(name)}

    def DescribeClusterSubnetGroups(self, call: Call) -> dict[str, Any]:
        """The groups, or one; ClusterSubnetGroupNotFoundFault."""
        wanted = call.parameters.get("ClusterSubnetGroupName")
        names = [wanted.lower()] if wanted else list(self.groups)
        return _page("ClusterSubnetGroups", [self._group(name) for name in names], call.parameters)

    def DeleteClusterSubnetGroup(self, call: Call) -> dict[str, Any]:
        """The group gone; InvalidClusterSubnetGroupStateFault while a cluster is in it."""
        name = call.parameters["ClusterSubnetGroupName"].lower()
        self._group(name)
        if any(self._cluster(each)["ClusterSubnetGroupName"] == name for each in self._names()):
            raise ApiError(
                "InvalidClusterSubnetGroupStateFault",
                f"Cluster subnet group {name} is in use by a cluster.",
            )
        del self.groups[name]
        return {}

    # Clusters

    def CreateCluster(self, call: Call) -> dict[str, Any]:
        """A cluster that is available a moment later; ClusterAlreadyExists."""
        request = _known(call)
        name = request["ClusterIdentifier"]
        _check(request)
        with self.lock:
            if name in self._names():
                raise ApiError("ClusterAlreadyExists", f"The cluster {name} already exists.")
            group = self._group(request.get("ClusterSubnetGroupName", "default").lower())
            self._check_roles(
                [*request.get("IamRoles", []), *filter(None, [request.get("DefaultIamRoleArn")])]
            )
            nodes = request.get("NumberOfNodes", 1)
            cluster = {
                "ClusterIdentifier": name,
                "NodeType": request["NodeType"],
                "ClusterStatus": "creating",
                "ClusterAvailabilityStatus": "Modifying",
                "MasterUsername": request["MasterUsername"],
                "DBName": request.get("DBName", "dev"),
                "ClusterCreateTime": datetime.datetime.now(datetime.UTC),
                "AutomatedSnapshotRetentionPeriod": request.get(
                    "AutomatedSnapshotRetentionPeriod", 1
                ),
                "VpcSecurityGroupIds": request.get("VpcSecurityGroupIds", []),
                "ClusterSubnetGroupName": group["ClusterSubnetGroupName"],
                "VpcId": group["VpcId"],
                "AvailabilityZone": group["Subnets"][0]["SubnetAvailabilityZone"]["Name"],
                "AllowVersionUpgrade": request.get("AllowVersionUpgrade", True),
                "NumberOfNodes": nodes,
                "PubliclyAccessible": request.get("PubliclyAccessible", False),
                "Encrypted": request.get("Encrypted", True),  # since January 2025 new clusters are
                "EnhancedVpcRouting": request.get("EnhancedVpcRouting", False),
                "ClusterNodes": [{"NodeRole": "SHARED" if nodes == 1 else "COMPUTE"}] * nodes,
                "IamRoles": request.get("IamRoles", []),
                "DefaultIamRoleArn": request.get("DefaultIamRoleArn", ""),
                "ClusterNamespaceArn": self._arn("namespace", str(uuid.uuid4())),
                "Port": request.get("Port", 5439),
                **({"KmsKeyId": request["KmsKeyId"]} if "KmsKeyId" in request else {}),
            }
            if request.get("ManageMasterPassword"):
                cluster["MasterPasswordSecretArn"] = self._secret(cluster)
            elif password := request.get("MasterUserPassword"):
                self.warehouses.passwords[cluster["ClusterNamespaceArn"].rpartition(":")[2]] = (
                    password
                )
            self.clusters[name] = cluster
            self._begin(name, "creating")
            self._tag(self._arn("cluster", name), request.get("Tags", []))
        return {"Cluster": self._shown(name)}

    def DescribeClusters(self, call: Call) -> dict[str, Any]:
        """The clusters, or one; ClusterNotFound."""
        wanted = call.parameters.get("ClusterIdentifier")
        return _page(
            "Clusters",
            [self._shown(name) for name in ([wanted] if wanted else self._names())],
            call.parameters,
        )

    def ModifyCluster(self, call: Call) -> dict[str, Any]:
        """The cluster with other settings a moment later; InvalidClusterState while it changes."""
        request = call.parameters
        if others := sorted(set(request) - {"ClusterIdentifier", *CHANGEABLE}):
            raise ApiError(
                "NotInLocalAws",
                f"local_aws does not do ModifyCluster with {', '.join(others)}.",
                501,
            )
        with self.lock:
            cluster = self._idle(request["ClusterIdentifier"])
            changes = {name: request[name] for name in CHANGEABLE if name in request}
            _check_nodes(cluster | changes)
            cluster |= changes
            self._begin(request["ClusterIdentifier"], "modifying")
        return {"Cluster": self._shown(request["ClusterIdentifier"])}

    def ModifyClusterIamRoles(self, call: Call) -> dict[str, Any]:
        """The cluster with roles added and removed."""
        request = call.parameters
        with self.lock:
            cluster = self._idle(request["ClusterIdentifier"])
            self._check_roles(request.get("AddIamRoles", []))
            kept = [
                each
                for each in cluster["IamRoles"]
                if each not in request.get("RemoveIamRoles", [])
            ]
            cluster["IamRoles"] = [
                *kept,
                *(each for each in request.get("AddIamRoles", []) if each not in kept),
            ]
            cluster["DefaultIamRoleArn"] = request.get(
                "DefaultIamRoleArn", cluster["DefaultIamRoleArn"]
            )
        return {"Cluster": self._shown(request["ClusterIdentifier"])}

    def PauseCluster(self, call: Call) -> dict[str, Any]:
        """The cluster on its way to `paused`: it costs storage only."""
        self._idle(call.parameters["ClusterIdentifier"])
        self._begin(call.parameters["ClusterIdentifier"], "pausing")
        return {"Cluster": self._shown(call.parameters["ClusterIdentifier"])}

    def ResumeCluster(self, call: Call) -> dict[str, Any]:
        """The cluster on its way back; InvalidClusterState unless it is paused."""
        cluster = self._cluster(call.parameters["ClusterIdentifier"])
        if cluster["ClusterStatus"] != "paused":
            raise ApiError(
                "InvalidClusterState", f"The cluster is {cluster['ClusterStatus']}, not paused."
            )
        self._begin(call.parameters["ClusterIdentifier"], "resuming")
        return {"Cluster": self._shown(call.parameters["ClusterIdentifier"])}

    def DeleteCluster(self, call: Call) -> dict[str, Any]:
        """The cluster on its way out, its data with it."""
        if not call.parameters.get("SkipFinalClusterSnapshot"):
            raise ApiError(
                "NotInLocalAws",
                "local_aws has no snapshots: delete the cluster with SkipFinalClusterSnapshot.",
                501,
            )
        name = call.parameters["ClusterIdentifier"]
        with self.lock:
            cluster = self._cluster(name)
            if cluster["ClusterStatus"] == "deleting":
                raise ApiError("InvalidClusterState", f"The cluster {name} is deleting.")
            shown = self._shown(name) | {"ClusterStatus": "deleting"}
            self._begin(name, "deleting")
            if arn := cluster.get("MasterPasswordSecretArn"):
                self.stand_in.client("secretsmanager").delete_secret(
                    SecretId=arn, ForceDeleteWithoutRecovery=True
                )
        return {"Cluster": shown}

    # Who may log in

    def GetClusterCredentials(self, call: Call) -> dict[str, Any]:
        """A password of a database user, for a quarter of an hour unless told otherwise; the user
        is `IAM:<name>` or `IAMA:<name>`.
        """
        request, create = call.parameters, bool(call.parameters.get("AutoCreate"))
        database = self.warehouses.database(
            {"ClusterIdentifier": request["ClusterIdentifier"]}, request.get("DbName")
        )
        if request.get("DbGroups"):
            raise ApiError(
                "NotInLocalAws", "local_aws does not do GetClusterCredentials with DbGroups.", 501
            )
        password, expires = database.temporary_password(
            request["DbUser"], request.get("DurationSeconds", 900), create=create
        )
        return {
            "DbUser": f"{'IAMA' if create else 'IAM'}:{request['DbUser']}",
            "DbPassword": password,
            "Expiration": expires,
        }

    def GetClusterCredentialsWithIAM(self, call: Call) -> dict[str, Any]:
        """A password of the database user of the caller's IAM identity."""
        request, where = (
            call.parameters,
            {"ClusterIdentifier": call.parameters["ClusterIdentifier"]},
        )
        database = self.warehouses.database(where, request.get("DbName"))
        user = self.warehouses.user(where, call.principal, database)
        password, expires = database.temporary_password(user, request.get("DurationSeconds", 900))
        return {
            "DbUser": user,
            "DbPassword": password,
            "Expiration": expires,
            "NextRefreshTime": expires,
        }

    # Tags

    def CreateTags(self, call: Call) -> dict[str, Any]:
        """Tags added or replaced."""
        self._tag(self._tagged(call.parameters["ResourceName"]), call.parameters["Tags"])
        return {}

    def DeleteTags(self, call: Call) -> dict[str, Any]:
        """Tags removed."""
        tags = self.tags.get(self._tagged(call.parameters["ResourceName"]), {})
        for key in call.parameters["TagKeys"]:
            tags.pop(key, None)
        return {}

    def _tagged(self, arn: str) -> str:
        kind, _, name = arn.rpartition(":")[2].partition("/") if "/" in arn else arn.rpartition(":")
        if name not in (*self._names(), *self.groups):
            raise ApiError(
                "ResourceNotFoundFault", f"The resource {arn} was not found ({kind}).", 404
            )
        return arn

    # Records

    def _names(self) -> list[str]:
        """The clusters there are, after changes whose time is over."""
        with self.lock:
            for name in [each for each, at in self.ready.items() if time.monotonic() >= at]:
                del self.ready[name]
                status = self.clusters[name]["ClusterStatus"]
                if status == "deleting":
                    del self.clusters[name]
                    self.warehouses.close_endpoint({"ClusterIdentifier": name})
                else:
                    available = DONE[status] == "available"
                    changed = {
                        "ClusterStatus": DONE[status],
                        "ClusterAvailabilityStatus": "Available" if available else "Paused",
                    }
                    self.clusters[name] |= changed
            return list(self.clusters)

    def _cluster(self, name: str) -> dict[str, Any]:
        if name not in self._names():
            raise ApiError("ClusterNotFound", f"Cluster {name} not found.", 404)
        return self.clusters[name]

    def _idle(self, name: str) -> dict[str, Any]:
        cluster = self._cluster(name)
        if cluster["ClusterStatus"] != "available":
            raise ApiError(
                "InvalidClusterState",
                f"The cluster {name} is {cluster['ClusterStatus']}, not available.",
            )
        return cluster

    def _begin(self, name: str, status: str) -> None:
        self.clusters[name] |= {"ClusterStatus": status, "ClusterAvailabilityStatus": "Modifying"}
        self.ready[name] = time.monotonic() + settings.settle_seconds

    def _shown(self, name: str) -> dict[str, Any]:
        cluster = dict(self._cluster(name))
        groups = cluster.pop("VpcSecurityGroupIds")
        cluster.pop("Port")  # the stand-in has one of its own for each
        shown: dict[str, Any] = {
            "VpcSecurityGroups": [
                {"VpcSecurityGroupId": each, "Status": "active"} for each in groups
            ],
            "IamRoles": [
                {"IamRoleArn": each, "ApplyStatus": "in-sync"} for each in cluster["IamRoles"]
            ],
            "Tags": [
                {"Key": key, "Value": value}
                for key, value in self.tags.get(self._arn("cluster", name), {}).items()
            ],
        }
        if cluster["ClusterStatus"] != "creating":  # a cluster has no address before it is there
            shown["Endpoint"] = self.warehouses.endpoint({"ClusterIdentifier": name})
        return {**cluster, **shown}

    def _group(self, name: str) -> dict[str, Any]:
        if name not in self.groups:
            raise ApiError(
                "ClusterSubnetGroupNotFoundFault", f"Cluster subnet group {name} not found."
            )
        tags = self.tags.get(self._arn("subnetgroup", name), {})
        return {
            **self.groups[name],
            "Tags": [{"Key": key, "Value": value} for key, value in tags.items()],
        }

    def _subnets(self, subnet_ids: list[str]) -> dict[str, Any]:
        try:
            found = self.stand_in.client("ec2").describe_subnets(SubnetIds=subnet_ids)["Subnets"]
        except ClientError as absent:
            raise ApiError("InvalidSubnet", absent.response["Error"]["Message"]) from absent
        if len({each["VpcId"] for each in found}) != 1:
            raise ApiError("InvalidSubnet", "The subnets must be in one VPC.")
        shown = [
            {
                "SubnetIdentifier": each["SubnetId"],
                "SubnetAvailabilityZone": {"Name": each["AvailabilityZone"]},
                "SubnetStatus": "Active",
            }
            for each in found
        ]
        return {"VpcId": found[0]["VpcId"], "Subnets": shown}

    def _check_roles(self, roles: list[str]) -> None:
        for role in roles:
            if not any(self.stand_in.may_assume(role, each) for each in PRINCIPALS):
                raise ApiError(
                    "InvalidParameterValue",
                    f"The IAM role {role} is not valid: redshift.amazonaws.com may not assume it.",
                )

    def _secret(self, cluster: dict[str, Any]) -> str:
        content = {"username": cluster["MasterUsername"], "password": secrets.token_urlsafe(24)}
        name = f"redshift!{cluster['ClusterIdentifier']}-{cluster['MasterUsername']}"
        return str(
            self.stand_in.client("secretsmanager").create_secret(
                Name=name, SecretString=json.dumps(content)
            )["ARN"]
        )

    def _arn(self, kind: str, name: str) -> str:
        return f"arn:aws:redshift:{self.stand_in.region}:{ACCOUNT}:{kind}:{name}"

    def _tag(self, arn: str, tags: list[dict[str, str]]) -> None:
        self.tags.setdefault(arn, {}).update({each["Key"]: each["Value"] for each in tags})


def _known(call: Call) -> dict[str, Any]:
    if others := sorted(set(call.parameters) - MEMBERS):
        raise ApiError(
            "NotInLocalAws", f"local_aws does not do CreateCluster with {', '.join(others)}.", 501
        )
    return dict(call.parameters)


def _check(request: dict[str, Any]) -> None:
    """https://docs.aws.amazon.com/redshift/latest/APIReference/API_CreateCluster.html"""
    if not CLUSTER_NAME.fullmatch(request["ClusterIdentifier"]):
        raise ApiError(
            "InvalidParameterValue",
            f"The identifier {request['ClusterIdentifier']} is not valid: 1 to 63 lower-case"
            " letters, digits or hyphens, a letter first.",
        )
    if not USER_NAME.fullmatch(request["MasterUsername"]):
        raise ApiError(
            "InvalidParameterValue",
            f"The master user name {request['MasterUsername']} is not valid.",
        )
    if bool(request.get("MasterUserPassword")) == bool(request.get("ManageMasterPassword")):
        raise ApiError(
            "InvalidParameterCombination", "Give either MasterUserPassword or ManageMasterPassword."
        )
    multiple = request.get("ClusterType", "multi-node") == "multi-node"
    if multiple and request.get("NumberOfNodes", 1) < 2:
        raise ApiError(
            "InvalidParameterCombination",
            "NumberOfNodes must be 2 or more in a cluster of type multi-node.",
        )
    if not multiple and "NumberOfNodes" in request:
        raise ApiError(
            "InvalidParameterCombination", "NumberOfNodes is not for clusters of type single-node."
        )
    _check_nodes(request)


def _check_nodes(request: dict[str, Any]) -> None:
    if request["NodeType"] not in NODES:
        raise ApiError(
            "InvalidParameterValue",
            f"The node type {request['NodeType']} is not valid: {', '.join(NODES)}.",
        )
    least, most = NODES[request["NodeType"]]
    if not least <= request.get("NumberOfNodes", 1) <= most:
        raise ApiError(
            "InvalidParameterValue",
            f"A cluster of {request['NodeType']} has {least} to {most} nodes.",
        )


def _page(member: str, items: list[Any], parameters: dict[str, Any]) -> dict[str, Any]:
    start, size = int(parameters.get("Marker") or 0), parameters.get("MaxRecords") or 100
    rest = {"Marker": str(start + size)} if len(items) > start + size else {}
    return {member: items[start : start + size], **rest}
