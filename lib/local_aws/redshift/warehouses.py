"""Which database a call is about, of a workgroup or of a cluster, and as which of its users."""

from __future__ import annotations

import json
import re
import shutil
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from local_aws.errors import ApiError
from local_aws.redshift import wire, wire_certificate
from local_aws.redshift.database import Database, utc_now
from local_aws.redshift.grants import encoded
from local_aws.redshift.rights import add_user, user_exists, user_name

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from local_aws.principal import Principal
    from local_aws.stand_in import StandIn

DATABASE_NAME = re.compile(r"[A-Za-z_][\w$-]{0,126}")


@dataclass
class WarehouseTarget:
    """A warehouse as its control plane describes it."""

    id: str  # of the namespace or the cluster: never used twice
    where: dict[str, str]  # {"WorkgroupName": …} or {"ClusterIdentifier": …}
    database: str
    administrator: str
    secret_arn: str
    iam_roles: list[str]
    default_role: str


@dataclass
class Warehouses:
    """The databases of one stand-in that are open."""

    stand_in: StandIn
    databases: dict[str, Database] = field(default_factory=dict)
    # by namespace: who made it is a superuser in it
    makers: dict[str, Principal] = field(default_factory=dict)
    passwords: dict[str, str] = field(
        default_factory=dict
    )  # by namespace: the administrator's, where AWS does not keep it
    lock: threading.RLock = field(default_factory=threading.RLock)
    listeners: dict[tuple[str, str], wire.Listener] = field(default_factory=dict)
    listening: threading.Lock = field(default_factory=threading.Lock)
    context: ssl.SSLContext | None = None

    def __post_init__(self) -> None:
        self.directory = self.stand_in.directory / "redshift"
        shutil.rmtree(self.directory, ignore_errors=True)

    def close(self) -> None:
        """Close every port and every database."""
        for listener in self.listeners.values():
            listener.stop()
        for database in self.databases.values():
            database.close()

    def database(self, request: dict[str, Any], name: str | None) -> Database:
        """The database a call is about; raises ApiError ValidationException unless its workgroup or
        cluster is available.
        """
        if ("ClusterIdentifier" in request) == ("WorkgroupName" in request):
            raise ApiError(
                "ValidationException",
                "Either ClusterIdentifier or WorkgroupName must be given, not both.",
            )
        target = (
            self._cluster(request["ClusterIdentifier"])
            if "ClusterIdentifier" in request
            else self._workgroup(request)
        )
        name = (name or target.database).lower()
        if not DATABASE_NAME.fullmatch(name) or name != target.database:
            raise ApiError("ValidationException", f'FATAL: database "{name}" does not exist')
        with self.lock:
            if target.id not in self.databases:
                self._remove_deleted()
                self.databases[target.id] = self._open(target)
            database = self.databases[target.id]
            database.where, database.iam_roles, database.default_role = (
                target.where,
                target.iam_roles,
                target.default_role,
            )
            return database

    def endpoint(self, where: dict[str, str]) -> dict[str, Any]:
        """Address and Port at which a warehouse speaks PostgreSQL's wire protocol, opened when it
        is asked for first.
        """
        key = next(iter(where.items()))
        with self.listening:
            if key not in self.listeners:
                self.context = self.context or wire_certificate.context(
                    self.stand_in.directory / "redshift.pem"
                )
                self.listeners[key] = wire.Listener(self, where, self.context)
            return {"Address": "127.0.0.1", "Port": self.listeners[key].port}

    def close_endpoint(self, where: dict[str, str]) -> None:
        """Close the port of a warehouse that is no more, and the connections to it."""
        with self.listening:
            if listener := self.listeners.pop(next(iter(where.items())), None):
                threading.Thread(target=listener.stop, daemon=True).start()

    def proven_user(self, database: Database, user: str, proves: Callable[[str], bool]) -> str:
        """The database user who may log in as `user`, "" where no password of theirs is proven.

        A temporary password is for the name that came with it: `ann`, `IAM:ann`, `IAMA:ann`.
        """
        if (stored := database.password(user)) and proves(stored):
            return user
        if database.administrator_secret:
            name, password = self._pair(database.administrator_secret)
            if name == user and proves(encoded(password, name)):
                return user
        for password, (name, expires) in list(database.temporary_passwords.items()):
            if (
                user in (name, f"IAM:{name}", f"IAMA:{name}")
                and expires > utc_now()
                and proves(encoded(password, user))
            ):
                return name
        return ""

    def user(self, request: dict[str, Any], principal: Principal, database: Database) -> str:
        """The database user that a call logs in as, made when an IAM identity comes for the first
        time; raises ApiError.
        """
        if secret := request.get("SecretArn"):
            return self._secret_user(secret, database)
        with self.lock:
            if name := request.get("DbUser"):
                if "WorkgroupName" in request:
                    raise ApiError(
                        "ValidationException",
                        "DbUser is for clusters: a workgroup takes the IAM identity.",
                    )
                if not user_exists(database.connection.cursor(), name):
                    raise ApiError("ValidationException", f'FATAL: user "{name}" does not exist')
                return str(name)
            name = user_name(principal, database.superusers[0])
            add_user(database.connection.cursor(), name)
        return name

    def _secret_user(self, secret_arn: str, database: Database) -> str:
        name, password = self._pair(secret_arn)
        if secret_arn == database.administrator_secret or database.password(name) == encoded(
            password, name
        ):
            return name
        raise ApiError(
            "ValidationException", f'FATAL: password authentication failed for user "{name}"'
        )

    def _pair(self, secret_arn: str) -> tuple[str, str]:
        """The user name and the password in a secret; raises ApiError."""
        try:
            answer = self.stand_in.client("secretsmanager").get_secret_value(SecretId=secret_arn)
        except ClientError as absent:
            raise ApiError("ValidationException", absent.response["Error"]["Message"]) from absent
        try:
            secret = json.loads(answer["SecretString"])
            return str(secret["username"]), str(secret["password"])
        except (ValueError, KeyError) as wrong:
            raise ApiError(
                "ValidationException", f"The secret {secret_arn} has no username and password."
            ) from wrong

    def _workgroup(self, request: dict[str, Any]) -> WarehouseTarget:
        serverless, name = (
            self.stand_in.client("redshift-serverless"),
            request["WorkgroupName"].rpartition("/")[2],
        )
        try:
            workgroup = serverless.get_workgroup(workgroupName=name)["workgroup"]
            namespace = serverless.get_namespace(namespaceName=workgroup["namespaceName"])[
                "namespace"
            ]
        except ClientError as absent:
            raise _no_endpoint(absent.response["Error"]["Message"]) from absent
        if workgroup["status"] not in ("AVAILABLE", "MODIFYING"):
            raise ApiError(
                "ValidationException",
                f"Redshift workgroup {name} is {workgroup['status']}; it must be AVAILABLE.",
            )
        return WarehouseTarget(
            namespace["namespaceId"],
            {"WorkgroupName": workgroup["workgroupName"]},
            namespace["dbName"],
            namespace["adminUsername"],
            namespace.get("adminPasswordSecretArn", ""),
            re.findall(r"iamRoleArn=([^,)]+)", " ".join(namespace.get("iamRoles", []))),
            namespace.get("defaultIamRoleArn", ""),
        )

    def _cluster(self, name: str) -> WarehouseTarget:
        try:
            found = self.stand_in.client("redshift").describe_clusters(ClusterIdentifier=name)[
                "Clusters"
            ][0]
        except ClientError as absent:
            raise _no_endpoint(absent.response["Error"]["Message"]) from absent
        if found["ClusterStatus"] not in ("available", "modifying", "resizing"):
            raise ApiError(
                "ValidationException",
                f"Redshift cluster {name} is {found['ClusterStatus']}; it must be available.",
            )
        return WarehouseTarget(
            found["ClusterNamespaceArn"].rpartition(":")[2],
            {"ClusterIdentifier": name},
            found.get("DBName", "dev"),
            found["MasterUsername"],
            found.get("MasterPasswordSecretArn", ""),
            [each["IamRoleArn"] for each in found.get("IamRoles", [])],
            found.get("DefaultIamRoleArn", ""),
        )

    def _open(self, target: WarehouseTarget) -> Database:
        maker = self.makers.get(target.id)
        superusers = (
            target.administrator,
            *([user_name(maker, target.administrator)] if maker else []),
        )
        database = Database(
            self.stand_in,
            target.database,
            self.directory / target.id.rpartition("/")[2] / f"{target.database}.duckdb",
            target.where,
            superusers,
            target.secret_arn,
        )
        database.open()
        if password := self.passwords.get(target.id):
            database.set_password(target.administrator, encoded(password, target.administrator))
        return database

    def _remove_deleted(self) -> None:
        """Close and remove the databases of namespaces and clusters that are no more."""
        pages = (
            self.stand_in.client("redshift-serverless").get_paginator("list_namespaces").paginate()
        )
        there = {each["namespaceId"] for page in pages for each in page["namespaces"]}
        clusters = self.stand_in.client("redshift").get_paginator("describe_clusters").paginate()
        there |= {
            each["ClusterNamespaceArn"].rpartition(":")[2]
            for page in clusters
            for each in page["Clusters"]
        }
        for gone in set(self.databases) - there:
            self.databases.pop(gone).close()
            shutil.rmtree(self.directory / gone.rpartition("/")[2], ignore_errors=True)


def _no_endpoint(why: str) -> ApiError:
    return ApiError("ValidationException", f"Redshift endpoint doesn't exist in this region: {why}")
