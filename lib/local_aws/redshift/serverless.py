"""Amazon Redshift Serverless: namespaces and workgroups; their data is kept by redshift_data."""

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
    from collections.abc import Mapping

    from local_aws.redshift.warehouses import Warehouses
    from local_aws.stand_in import StandIn

NAME = re.compile(r"[a-z0-9-]{3,64}")
NAMESPACE_MEMBERS = frozenset(
    [
        "namespaceName",
        "dbName",
        "adminUsername",
        "adminUserPassword",
        "manageAdminPassword",
        "iamRoles",
        "defaultIamRoleArn",
        "kmsKeyId",
        "logExports",
        "tags",
        "adminPasswordSecretKmsKeyId",
    ]
)
WORKGROUP_MEMBERS = frozenset(
    [
        "workgroupName",
        "namespaceName",
        "baseCapacity",
        "maxCapacity",
        "subnetIds",
        "securityGroupIds",
        "publiclyAccessible",
        "enhancedVpcRouting",
        "configParameters",
        "port",
        "tags",
    ]
)


class RedshiftServerless(Service):
    """The records of the warehouse; SQL is the business of the Data API."""

    def __init__(self, stand_in: StandIn, warehouses: Warehouses) -> None:
        super().__init__(stand_in)
        self.warehouses = warehouses
        self.namespaces: dict[str, dict[str, Any]] = {}
        self.workgroups: dict[str, dict[str, Any]] = {}
        self.ready: dict[tuple[str, str], float] = {}  # when a change under way is done
        self.tags: dict[str, dict[str, str]] = {}
        self.lock = threading.RLock()

    # Namespaces

    def CreateNamespace(self, call: Call) -> dict[str, Any]:
        """A namespace; ConflictException when it exists."""
        request = _known(call, NAMESPACE_MEMBERS)
        name = _name(request["namespaceName"])
        with self.lock:
            if self._there("namespace", name):
                raise ApiError(
                    "ConflictException", f"A namespace with the name {name} already exists."
                )
            self._check_roles(request.get("iamRoles", []), request.get("defaultIamRoleArn"))
            namespace_id = str(uuid.uuid4())
            namespace = {
                "namespaceName": name,
                "namespaceId": namespace_id,
                "namespaceArn": self._arn("namespace", namespace_id),
                "dbName": request.get("dbName", "dev"),
                "adminUsername": request.get("adminUsername", "admin"),
                "iamRoles": request.get("iamRoles", []),
                "defaultIamRoleArn": request.get("defaultIamRoleArn", ""),
                "kmsKeyId": request.get("kmsKeyId", "AWS_OWNED_KMS_KEY"),
                "logExports": request.get("logExports", []),
                "status": "AVAILABLE",
                "creationDate": datetime.datetime.now(datetime.UTC),
            }
            if request.get("manageAdminPassword"):
                namespace["adminPasswordSecretArn"] = self._secret(namespace)
            elif password := request.get("adminUserPassword"):
                self.warehouses.passwords[namespace_id] = password
            self.namespaces[name] = namespace
            self.warehouses.makers[namespace_id] = call.principal
            self._tag(namespace["namespaceArn"], request.get("tags", []))
        return {"namespace": _shown(namespace)}

    def GetNamespace(self, call: Call) -> dict[str, Any]:
        """One namespace; ResourceNotFoundException when there is none."""
        return {"namespace": _shown(self.namespace(call.parameters["namespaceName"]))}

    def ListNamespaces(self, call: Call) -> dict[str, Any]:
        """All namespaces."""
        return _page(
            "namespaces",
            [
                _shown(self.namespace(name))
                for name in list(self.namespaces)
                if self._there("namespace", name)
            ],
            call.parameters,
        )

    def UpdateNamespace(self, call: Call) -> dict[str, Any]:
        """The namespace with other roles, log exports or administrator; ConflictException while it
        changes.
        """
        request = _known(call, NAMESPACE_MEMBERS - {"dbName", "tags"})
        with self.lock:
            namespace = self.namespace(request["namespaceName"])
            self._idle("namespace", namespace["namespaceName"], namespace)
            self._check_roles(
                request.get("iamRoles", namespace["iamRoles"]), request.get("defaultIamRoleArn")
            )
            namespace |= {
                name: request[name]
                for name in (
                    "iamRoles",
                    "defaultIamRoleArn",
                    "logExports",
                    "adminUsername",
                    "kmsKeyId",
                )
                if name in request
            }
            if request.get("manageAdminPassword") and "adminPasswordSecretArn" not in namespace:
                namespace["adminPasswordSecretArn"] = self._secret(namespace)
            self._begin("namespace", namespace["namespaceName"], namespace, "MODIFYING")
        return {"namespace": _shown(namespace)}

    def DeleteNamespace(self, call: Call) -> dict[str, Any]:
        """The namespace on its way out, its data with it; ConflictException while it has a
        workgroup.
        """
        if "finalSnapshotName" in call.parameters:
            raise ApiError(
                "NotInLocalAws",
                "local_aws has no snapshots: delete the namespace without finalSnapshotName.",
                501,
            )
        with self.lock:
            namespace = self.namespace(call.parameters["namespaceName"])
            name = namespace["namespaceName"]
            if any(
                each["namespaceName"] == name
                for key, each in list(self.workgroups.items())
                if self._there("workgroup", key)
            ):
                raise ApiError(
                    "ConflictException",
                    f"There is a workgroup associated with the namespace {name}: delete it first.",
                )
            self._begin("namespace", name, namespace, "DELETING")
            if "adminPasswordSecretArn" in namespace:
                self.stand_in.client("secretsmanager").delete_secret(
                    SecretId=namespace["adminPasswordSecretArn"], ForceDeleteWithoutRecovery=True
                )
        return {"namespace": _shown(namespace)}

    # Workgroups

    def CreateWorkgroup(self, call: Call) -> dict[str, Any]:
        """A workgroup that is AVAILABLE a moment later; ConflictException when it exists or its
        namespace has one.
        """
        request = _known(call, WORKGROUP_MEMBERS)
        name = _name(request["workgroupName"])
        with self.lock:
            if self._there("workgroup", name):
                raise ApiError(
                    "ConflictException", f"A workgroup with the name {name} already exists."
                )
            namespace = self.namespace(request["namespaceName"])
            if any(
                each["namespaceName"] == namespace["namespaceName"]
                for key, each in list(self.workgroups.items())
                if self._there("workgroup", key)
            ):
                raise ApiError(
                    "ConflictException",
                    f"The namespace {namespace['namespaceName']} already has a workgroup.",
                )
            _check_capacity(request)
            subnets = self._subnets(request.get("subnetIds", []))
            workgroup_id = str(uuid.uuid4())
            port = request.get("port", 5439)
            workgroup = {
                "workgroupName": name,
                "workgroupId": workgroup_id,
                "workgroupArn": self._arn("workgroup", workgroup_id),
                "namespaceName": namespace["namespaceName"],
                "baseCapacity": request.get("baseCapacity", 128),
                "subnetIds": subnets,
                "securityGroupIds": request.get("securityGroupIds", []),
                "publiclyAccessible": request.get("publiclyAccessible", False),
                "enhancedVpcRouting": request.get("enhancedVpcRouting", False),
                "configParameters": request.get("configParameters", []),
                "port": port,
                "creationDate": datetime.datetime.now(datetime.UTC),
                **({"maxCapacity": request["maxCapacity"]} if "maxCapacity" in request else {}),
            }
            self.workgroups[name] = workgroup
            self._begin("workgroup", name, workgroup, "CREATING")
            self._tag(workgroup["workgroupArn"], request.get("tags", []))
        return {"workgroup": dict(workgroup)}

    def GetWorkgroup(self, call: Call) -> dict[str, Any]:
        """One workgroup; ResourceNotFoundException when there is none."""
        return {"workgroup": self._shown_workgroup(call.parameters["workgroupName"])}

    def ListWorkgroups(self, call: Call) -> dict[str, Any]:
        """All workgroups."""
        return _page(
            "workgroups",
            [
                self._shown_workgroup(name)
                for name in list(self.workgroups)
                if self._there("workgroup", name)
            ],
            call.parameters,
        )

    def UpdateWorkgroup(self, call: Call) -> dict[str, Any]:
        """The workgroup with other settings a moment later."""
        request = _known(call, WORKGROUP_MEMBERS - {"namespaceName", "tags"})
        with self.lock:
            workgroup = self.workgroup(request["workgroupName"])
            self._idle("workgroup", workgroup["workgroupName"], workgroup)
            _check_capacity(request)
            # https://docs.aws.amazon.com/redshift-serverless/latest/APIReference/API_UpdateWorkgroup.html
            # in the words of https://github.com/hashicorp/terraform-provider-aws/issues/28108
            if len(request) > 2:
                raise ApiError(
                    "ValidationException", "Can't update multiple configurations at the same time."
                )
            if "subnetIds" in request:
                request["subnetIds"] = self._subnets(request["subnetIds"])
            workgroup |= request
            self._begin("workgroup", workgroup["workgroupName"], workgroup, "MODIFYING")
        return {"workgroup": dict(workgroup)}

    def DeleteWorkgroup(self, call: Call) -> dict[str, Any]:
        """The workgroup on its way out; its namespace stays."""
        with self.lock:
            workgroup = self.workgroup(call.parameters["workgroupName"])
            self._idle("workgroup", workgroup["workgroupName"], workgroup)
            self._begin("workgroup", workgroup["workgroupName"], workgroup, "DELETING")
        return {"workgroup": dict(workgroup)}

    def _shown_workgroup(self, name: str) -> dict[str, Any]:
        """The workgroup with its address, which it has once it is there."""
        workgroup = dict(self.workgroup(name))
        if workgroup["status"] != "CREATING":
            found = self.warehouses.endpoint({"WorkgroupName": workgroup["workgroupName"]})
            workgroup["endpoint"] = {
                "address": found["Address"],
                "port": found["Port"],
                "vpcEndpoints": [],
            }
        return workgroup

    def GetCredentials(self, call: Call) -> dict[str, Any]:
        """A password of the database user of the caller's IAM identity, for a quarter of an hour
        unless told otherwise.
        """
        if "workgroupName" not in call.parameters:
            raise ApiError(
                "ValidationException", "local_aws finds a workgroup by workgroupName only."
            )
        name = self.workgroup(call.parameters["workgroupName"])["workgroupName"]
        seconds = call.parameters.get("durationSeconds", 900)
        if not 900 <= seconds <= 3600:
            raise ApiError("ValidationException", "durationSeconds must be from 900 to 3600.")
        where, warehouses = {"WorkgroupName": name}, self.warehouses
        database = warehouses.database(where, call.parameters.get("dbName"))
        user = warehouses.user(where, call.principal, database)
        password, expires = database.temporary_password(user, seconds)
        return {
            "dbUser": user,
            "dbPassword": password,
            "expiration": expires,
            "nextRefreshTime": expires,
        }

    # Tags

    def ListTagsForResource(self, call: Call) -> dict[str, Any]:
        """The tags of a namespace or a workgroup."""
        return {
            "tags": [
                {"key": key, "value": value}
                for key, value in self._tags(call.parameters["resourceArn"]).items()
            ]
        }

    def TagResource(self, call: Call) -> dict[str, Any]:
        """Tags added or replaced."""
        self._tags(call.parameters["resourceArn"])
        self._tag(call.parameters["resourceArn"], call.parameters["tags"])
        return {}

    def UntagResource(self, call: Call) -> dict[str, Any]:
        """Tags removed."""
        tags = self._tags(call.parameters["resourceArn"])
        for key in call.parameters["tagKeys"]:
            tags.pop(key, None)
        return {}

    # For the Data API

    def workgroup_id(self, parameters: Mapping[str, Any], *_: str) -> str | None:
        """The id of the workgroup that a call names, its own or one of the Data API."""
        name = parameters.get("workgroupName", parameters.get("WorkgroupName"))
        found = self.workgroups.get(str(name))
        return str(found["workgroupArn"]).rpartition("/")[2] if found else None

    def namespace_id(self, parameters: Mapping[str, Any], *_: str) -> str | None:
        """The id of the namespace that a call names."""
        found = self.namespaces.get(str(parameters.get("namespaceName")))
        return str(found["namespaceArn"]).rpartition("/")[2] if found else None

    def workgroup(self, name: str) -> dict[str, Any]:
        """A workgroup as it is now; raises ApiError ResourceNotFoundException."""
        if not self._there("workgroup", name):
            raise ApiError("ResourceNotFoundException", f"The workgroup {name} was not found.")
        return self.workgroups[name]

    def namespace(self, name: str) -> dict[str, Any]:
        """A namespace as it is now; raises ApiError ResourceNotFoundException."""
        if not self._there("namespace", name):
            raise ApiError("ResourceNotFoundException", f"The namespace {name} was not found.")
        return self.namespaces[name]

    def _there(self, kind: str, name: str) -> bool:
        """Whether it exists, once a change whose time is over has been made."""
        with self.lock:
            records = self.namespaces if kind == "namespace" else self.workgroups
            if name in records and time.monotonic() >= self.ready.get((kind, name), float("inf")):
                del self.ready[kind, name]
                if records[name]["status"] == "DELETING":
                    del records[name]
                    if kind == "workgroup":
                        self.warehouses.close_endpoint({"WorkgroupName": name})
                else:
                    records[name]["status"] = "AVAILABLE"
            return name in records

    def _begin(self, kind: str, name: str, record: dict[str, Any], status: str) -> None:
        record["status"] = status
        self.ready[kind, name] = time.monotonic() + settings.settle_seconds

    def _idle(self, kind: str, name: str, record: dict[str, Any]) -> None:
        if record["status"] != "AVAILABLE":
            raise ApiError(
                "ConflictException",
                f"There is an operation running on the {kind} {name}. Try again when it is"
                f" AVAILABLE; it is {record['status']}.",
            )

    def _check_roles(self, roles: list[str], default: str | None) -> None:
        iam = self.stand_in.client("iam")
        for role in roles:
            try:
                iam.get_role(RoleName=role.rpartition("/")[2])
            except ClientError as absent:
                raise ApiError(
                    "ValidationException",
                    f"The IAM role {role} is not valid: there is no such role.",
                ) from absent
            if not any(self.stand_in.may_assume(role, each) for each in PRINCIPALS):
                raise ApiError(
                    "ValidationException",
                    f"The IAM role {role} is not valid: redshift.amazonaws.com may not assume it.",
                )
        if default and default not in roles:
            raise ApiError(
                "ValidationException", f"The default IAM role {default} must be one of iamRoles."
            )

    def _subnets(self, subnet_ids: list[str]) -> list[str]:
        """The subnets, or the default VPC's; raises ApiError ValidationException unless they are in
        three Availability Zones.
        """
        ec2 = self.stand_in.client("ec2")
        try:
            wanted: dict[str, Any] = (
                {"SubnetIds": subnet_ids}
                if subnet_ids
                else {"Filters": [{"Name": "default-for-az", "Values": ["true"]}]}
            )
            found = ec2.describe_subnets(**wanted)["Subnets"]
        except ClientError as absent:
            raise ApiError("ValidationException", absent.response["Error"]["Message"]) from absent
        if len({each["AvailabilityZone"] for each in found}) < 3:
            raise ApiError(
                "ValidationException",
                "Amazon Redshift Serverless needs at least three subnets, in three Availability"
                " Zones.",
            )
        if len({each["VpcId"] for each in found}) > 1:
            raise ApiError("ValidationException", "All subnets must be in the same VPC.")
        return sorted(each["SubnetId"] for each in found)

    def _secret(self, namespace: dict[str, Any]) -> str:
        """The ARN of a new secret with the administrator's credentials."""
        content = {"username": namespace["adminUsername"], "password": secrets.token_urlsafe(24)}
        name = f"redshift!{namespace['namespaceName']}-{namespace['adminUsername']}"
        return str(
            self.stand_in.client("secretsmanager").create_secret(
                Name=name, SecretString=json.dumps(content)
            )["ARN"]
        )

    def _arn(self, kind: str, record_id: str) -> str:
        return f"arn:aws:redshift-serverless:{self.stand_in.region}:{ACCOUNT}:{kind}/{record_id}"

    def _tag(self, arn: str, tags: list[dict[str, str]]) -> None:
        self.tags.setdefault(arn, {}).update({each["key"]: each["value"] for each in tags})

    def _tags(self, arn: str) -> dict[str, str]:
        names = [
            each["namespaceArn"]
            for key, each in list(self.namespaces.items())
            if self._there("namespace", key)
        ]
        names += [
            each["workgroupArn"]
            for key, each in list(self.workgroups.items())
            if self._there("workgroup", key)
        ]
        if arn not in names:
            raise ApiError("ResourceNotFoundException", f"The resource {arn} was not found.")
        return self.tags[arn]


def _known(call: Call, members: frozenset[str]) -> dict[str, Any]:
    if others := sorted(set(call.parameters) - members):
        raise ApiError(
            "NotInLocalAws",
            f"local_aws does not do redshift-serverless {call.operation} with {', '.join(others)}.",
            501,
        )
    return dict(call.parameters)


def _name(name: str) -> str:
    if not NAME.fullmatch(name):
        raise ApiError(
            "ValidationException",
            f"1 validation error detected: Value '{name}' failed to satisfy constraint: Member must"
            " satisfy regular expression pattern: [a-z0-9-]+, of 3 to 64 characters",
        )
    return name


def _check_capacity(request: dict[str, Any]) -> None:
    capacity = request.get("baseCapacity", 128)
    if capacity != 4 and (capacity % 8 or not 8 <= capacity <= 1024):
        raise ApiError(
            "ValidationException",
            f"The base capacity {capacity} is not valid: it is 4, or a multiple of 8 from 8 to 1024"
            " RPUs.",
        )


def _shown(namespace: dict[str, Any]) -> dict[str, Any]:
    """The namespace as the API shows it: each role is a text with its status."""
    roles = [f"IamRole(applyStatus=in-sync, iamRoleArn={role})" for role in namespace["iamRoles"]]
    return {**namespace, "iamRoles": roles}


def _page(member: str, items: list[Any], parameters: dict[str, Any]) -> dict[str, Any]:
    start, size = int(parameters.get("nextToken") or 0), parameters.get("maxResults") or 100
    rest = {"nextToken": str(start + size)} if len(items) > start + size else {}
    return {member: items[start : start + size], **rest}
