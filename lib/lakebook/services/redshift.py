"""Redshift, Serverless or provisioned: namespace and workgroup or a cluster, and SQL through the
Data API.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import pandas as pd

from lakebook import aws
from lakebook.ensure import Call, Resource, current, resource, wait
from lakebook.errors import LakebookError
from lakebook.services import ec2, iam

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from lakebook.names import Names

Unit = TypeVar("Unit")
STATEMENTS = 40  # the Data API takes in one batch (API_BatchExecuteStatement, Sqls)
STATEMENT_BYTES = 100_000  # https://docs.aws.amazon.com/redshift/latest/mgmt/data-api.html
UNION = " UNION ALL "
# the view spans the databases of the warehouse
RELATIONS = (
    "SELECT schema_name, table_name FROM svv_all_tables WHERE database_name = current_database()"
)
GONE, NO_CLUSTER = "ResourceNotFoundException", "ClusterNotFound"
SERVERLESS, PROVISIONED = "serverless", "provisioned"
READ_CATALOG = [
    "glue:GetDatabase",
    "glue:GetDatabases",
    "glue:GetPartition",
    "glue:GetPartitions",
    "glue:GetTable",
    "glue:GetTables",
]


def roles(names: Names) -> list[Resource]:
    """The role by which the warehouse reads what COPY loads, and the curated tables themselves
    through the external schema.
    """
    buckets = [f"arn:aws:s3:::{each}" for each in (names.curated_bucket, names.jobs_bucket)]
    reads = {f"{arn}/*": ["s3:GetObject"] for arn in buckets}
    reads |= {arn: ["s3:ListBucket", "s3:GetBucketLocation"] for arn in buckets}
    glue, database = f"arn:aws:glue:{names.region}:{names.account}", names.database("curated")
    catalog = [f"{glue}:catalog", f"{glue}:database/{database}", f"{glue}:table/{database}/*"]
    statements: list[dict[str, Any]] = [
        {"Action": READ_CATALOG, "Resource": catalog},
        {"Action": "lakeformation:GetDataAccess", "Resource": "*"},
    ]
    # "Granting permissions to Amazon Redshift Serverless" wants both
    trusted = ["redshift.amazonaws.com", "redshift-serverless.amazonaws.com"]
    return [iam.service_role(names, "redshift", trusted, allow=reads, statements=statements)]


def compute(
    names: Names,
    database: str,
    subnet_ids: list[str],
    base_capacity_rpus: int,
    kind: str = SERVERLESS,
    node_type: str = "ra3.large",
    nodes: int = 2,
) -> list[Resource]:
    """What holds the warehouse, in order: a namespace with its workgroup, or a cluster in its
    subnets; raises LakebookError for another kind.
    """
    name, groups, role = (
        names.resource("warehouse"),
        ec2.security_group_ids(names, "redshift", subnet_ids),
        names.role_arn("redshift"),
    )
    if kind == SERVERLESS:
        return [
            namespace(name, database, role),
            workgroup(name, name, subnet_ids, groups, base_capacity_rpus),
        ]
    if kind == PROVISIONED:
        desired = {
            "DBName": database,
            "NodeType": node_type,
            "NumberOfNodes": nodes,
            "VpcSecurityGroupIds": groups,
        }
        return [
            subnet_group(name, subnet_ids, names.tags),
            cluster(name, name, desired, role, names.tags),
        ]
    raise LakebookError(f"warehouse_kind says {kind!r}: write {SERVERLESS} or {PROVISIONED}.")


@resource
def subnet_group(name: str, subnet_ids: list[str], tags: dict[str, str]) -> Iterator[Call]:
    """The subnets that a cluster may be in."""
    redshift = aws.client("redshift")
    actual = current(
        redshift.describe_cluster_subnet_groups,
        "ClusterSubnetGroupNotFoundFault",
        ClusterSubnetGroupName=name,
    )
    desired = {"ClusterSubnetGroupName": name, "SubnetIds": subnet_ids}
    if actual is None:
        rest = {"Description": f"lakebook {name}", "Tags": iam.as_list(tags)}
        yield Call(redshift.create_cluster_subnet_group, {**desired, **rest})
    elif {each["SubnetIdentifier"] for each in actual["ClusterSubnetGroups"][0]["Subnets"]} != set(
        subnet_ids
    ):
        yield Call(redshift.modify_cluster_subnet_group, desired)


@resource
def cluster(
    name: str, group: str, desired: dict[str, Any], role_arn: str, tags: dict[str, str]
) -> Iterator[Call]:
    """A private, encrypted cluster whose administrator's password AWS keeps; other nodes or groups
    are given to one that is there.
    """
    redshift, until = aws.client("redshift"), partial(_awaits_cluster, name)
    actual = current(redshift.describe_clusters, NO_CLUSTER, ClusterIdentifier=name)
    size = {"ClusterType": "multi-node" if desired["NumberOfNodes"] > 1 else "single-node"}
    if actual is None:
        nodes = (
            {}
            if size["ClusterType"] == "single-node"
            else {"NumberOfNodes": desired["NumberOfNodes"]}
        )
        rest = {
            "MasterUsername": "administrator",
            "ManageMasterPassword": True,
            "ClusterSubnetGroupName": group,
            "PubliclyAccessible": False,
            "Encrypted": True,
            "EnhancedVpcRouting": True,
            "IamRoles": [role_arn],
            "DefaultIamRoleArn": role_arn,
            "Tags": iam.as_list(tags),
        }
        settings = {key: each for key, each in desired.items() if key != "NumberOfNodes"}
        arguments = {"ClusterIdentifier": name, **size, **nodes, **settings, **rest}
        yield Call(redshift.create_cluster, arguments, until=until, timeout_seconds=1800)
        return
    found = actual["Clusters"][0]
    groups = [each["VpcSecurityGroupId"] for each in found["VpcSecurityGroups"]]
    now = {
        "NodeType": found["NodeType"],
        "NumberOfNodes": found["NumberOfNodes"],
        "VpcSecurityGroupIds": groups,
    }
    if changes := {key: desired[key] for key in now if now[key] != desired[key]}:
        yield Call(
            redshift.modify_cluster,
            {"ClusterIdentifier": name, **changes},
            until=until,
            timeout_seconds=7200,
        )
    if role_arn not in [each["IamRoleArn"] for each in found["IamRoles"]]:
        arguments = {
            "ClusterIdentifier": name,
            "AddIamRoles": [role_arn],
            "DefaultIamRoleArn": role_arn,
        }
        yield Call(redshift.modify_cluster_iam_roles, arguments, until=until)


@resource
def namespace(name: str, database: str, role_arn: str) -> Iterator[Call]:
    """The warehouse's data: its database, its administrator's password (kept by AWS in Secrets
    Manager), the role that COPY uses.
    """
    redshift = aws.client("redshift-serverless")
    actual = current(redshift.get_namespace, GONE, namespaceName=name)
    if actual is None:
        desired = {
            "namespaceName": name,
            "dbName": database,
            "manageAdminPassword": True,
            "iamRoles": [role_arn],
            "defaultIamRoleArn": role_arn,
        }
        yield Call(redshift.create_namespace, desired, until=partial(_awaits_namespace, name))
    elif not any(role_arn in str(each) for each in actual["namespace"].get("iamRoles", [])):
        desired = {"namespaceName": name, "iamRoles": [role_arn], "defaultIamRoleArn": role_arn}
        yield Call(redshift.update_namespace, desired, until=partial(_awaits_namespace, name))


@resource
def workgroup(
    name: str,
    namespace_name: str,
    subnet_ids: list[str],
    security_group_ids: list[str],
    base_capacity_rpus: int,
) -> Iterator[Call]:
    """The warehouse's compute: private, in the given subnets, billed by the second while it
    works.
    """
    redshift = aws.client("redshift-serverless")
    actual = current(redshift.get_workgroup, GONE, workgroupName=name)
    desired: dict[str, Any] = {
        "baseCapacity": base_capacity_rpus,
        "publiclyAccessible": False,
        "securityGroupIds": security_group_ids,
    }
    until = partial(_awaits_workgroup, name)
    if actual is None:
        where = {"namespaceName": namespace_name, "subnetIds": subnet_ids}
        arguments = {"workgroupName": name, **where, **desired}
        yield Call(redshift.create_workgroup, arguments, until=until, timeout_seconds=1800)
        return
    # it takes one setting a call (API_UpdateWorkgroup)
    for key, each in desired.items():
        if actual["workgroup"].get(key) != each:
            change = {"workgroupName": name, key: each}
            yield Call(redshift.update_workgroup, change, until=until, timeout_seconds=1800)


@dataclass(frozen=True)
class Warehouse:
    """One database of a workgroup or a cluster, whichever has this name, reached through the Data
    API.
    """

    name: str
    database: str

    @property
    def where(self) -> dict[str, Any]:
        """How the Data API names it: by workgroup, or by cluster and the secret of its
        administrator; raises LakebookError where there is none.
        """
        if found := self._found():
            return found
        raise LakebookError(f"There is no available warehouse {self.name}: run 06.")

    def query(self, sql: str) -> pd.DataFrame:
        """The rows a SELECT returns, as the Data API types them (numerics and timestamps are text);
        raises LakebookError.
        """
        data = aws.client("redshift-data")
        _check_size(sql)
        answer = data.execute_statement(**self.where, Database=self.database, Sql=sql)
        wait(
            "query",
            partial(_awaits_statement, dict(answer)),
            timeout_seconds=3600,
            silent_seconds=2,
        )
        pages = list(data.get_paginator("get_statement_result").paginate(Id=answer["Id"]))
        names = [each["name"] for each in pages[0]["ColumnMetadata"]]
        rows = [[_value(field) for field in record] for page in pages for record in page["Records"]]
        return pd.DataFrame(rows, columns=names)

    def ask(self, sql: str) -> list[list[str | None]]:
        """The rows a SELECT returns, every value as text; raises LakebookError."""
        rows = self.query(sql).astype(object).to_numpy().tolist()
        return [[None if value is None else str(value) for value in row] for row in rows]

    def ask_all(self, selects: list[str]) -> list[list[str | None]]:
        """The rows of all SELECTs of the same columns, as many at once as one statement has room
        for.
        """
        batches = _batches(selects, lambda each: len(each.encode()) + len(UNION), STATEMENT_BYTES)
        return [row for batch in batches for row in self.ask(UNION.join(batch))]

    def relations(self) -> set[str]:
        """`schema.name` of every table and view; none before the warehouse is there."""
        if not self.exists():
            return set()
        return {f"{schema}.{name}" for schema, name in self.ask(RELATIONS)}

    def statement(self, sql: str, timeout_seconds: float = 3600) -> Call:
        """The call that runs one statement by itself, for what takes no transaction around it."""
        arguments = {**self._planned(), "Database": self.database, "Sql": sql}
        method = aws.client("redshift-data").execute_statement
        return Call(method, arguments, until=_awaits_statement, timeout_seconds=timeout_seconds)

    def transaction(self, statements: list[str], timeout_seconds: float = 3600) -> Call:
        """The call that runs all the statements or none of them."""
        for each in statements:
            _check_size(each)
        arguments = {**self._planned(), "Database": self.database, "Sqls": statements}
        method = aws.client("redshift-data").batch_execute_statement
        return Call(method, arguments, until=_awaits_statement, timeout_seconds=timeout_seconds)

    def transactions(self, units: list[list[str]]) -> Iterator[Call]:
        """The calls that run these statements in order, each unit whole in one transaction, and as
        many units in one as it takes.
        """
        for batch in _batches(filter(None, units), len, STATEMENTS):
            yield self.transaction([each for unit in batch for each in unit])

    def exists(self) -> bool:
        """Whether it is there to be asked."""
        return bool(self._found())

    def _planned(self) -> dict[str, str]:
        return self._found() or {"WorkgroupName": self.name}

    def _found(self) -> dict[str, str]:
        """What `where` says, kept once it is known; empty while there is none."""
        if not self.__dict__.get("known"):
            self.__dict__["known"] = _workgroup(self.name) or _cluster(self.name)
        known: dict[str, str] = self.__dict__["known"]
        return known


def _workgroup(name: str) -> dict[str, str]:
    found = current(aws.client("redshift-serverless").get_workgroup, GONE, workgroupName=name)
    return {"WorkgroupName": name} if found and found["workgroup"]["status"] == "AVAILABLE" else {}


def _cluster(name: str) -> dict[str, str]:
    found = current(aws.client("redshift").describe_clusters, NO_CLUSTER, ClusterIdentifier=name)
    if not found or found["Clusters"][0]["ClusterStatus"] != "available":
        return {}
    return {
        "ClusterIdentifier": name,
        "SecretArn": str(found["Clusters"][0]["MasterPasswordSecretArn"]),
    }


def _check_size(sql: str) -> None:
    """Raise LakebookError for a statement that the Data API would refuse, with its beginning."""
    if (size := len(sql.encode())) > STATEMENT_BYTES:
        raise LakebookError(
            f"A statement for Redshift has {size:,} bytes, and its Data API takes"
            f" {STATEMENT_BYTES:,}: too many columns, or too long names, in"
            f" {' '.join(sql.split())[:80]}…; leave the table out (excluded_tables)."
        )


def literal(text: str) -> str:
    """A text as SQL writes it; Redshift takes a backslash for an escape."""
    return "'" + text.replace("\\", "\\\\").replace("'", "''") + "'"


def _awaits_namespace(name: str, _answer: dict[str, Any]) -> str | None:
    status = aws.client("redshift-serverless").get_namespace(namespaceName=name)["namespace"][
        "status"
    ]
    return None if status == "AVAILABLE" else str(status)


def _awaits_workgroup(name: str, _answer: dict[str, Any]) -> str | None:
    status = aws.client("redshift-serverless").get_workgroup(workgroupName=name)["workgroup"][
        "status"
    ]
    return None if status == "AVAILABLE" else str(status)


def _awaits_cluster(name: str, _answer: dict[str, Any]) -> str | None:
    found = aws.client("redshift").describe_clusters(ClusterIdentifier=name)["Clusters"][0]
    return None if found["ClusterStatus"] == "available" else str(found["ClusterStatus"])


def _awaits_statement(answer: dict[str, Any]) -> str | None:
    actual = aws.client("redshift-data").describe_statement(Id=answer["Id"])
    if actual["Status"] in ("FAILED", "ABORTED"):
        failed = next(
            (
                each["QueryString"]
                for each in actual.get("SubStatements", [])
                if each["Status"] == "FAILED"
            ),
            actual.get("QueryString", ""),
        )
        raise LakebookError(
            f"Redshift refused: {actual.get('Error', actual['Status'])} (in:"
            f" {' '.join(failed.split())[:200]}); the transaction was rolled back."
        )
    return None if actual["Status"] == "FINISHED" else str(actual["Status"])


def _value(field: Mapping[str, Any]) -> Any:
    return None if field.get("isNull") else next(iter(field.values()))


def _batches(units: Iterable[Unit], size: Callable[[Unit], int], most: int) -> Iterator[list[Unit]]:
    """The units in order, as many together as do not pass `most`; one that does is by itself."""
    batch: list[Unit] = []
    total = 0
    for each in units:
        if batch and total + size(each) > most:
            yield batch
            batch, total = [], 0
        batch.append(each)
        total += size(each)
    if batch:
        yield batch
