"""QuickSight's data sources: Athena as a role, Redshift Serverless with a secret; creating one
really connects.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow as pa
from botocore.exceptions import ClientError

from local_aws.errors import AccessDeniedError, ApiError
from local_aws.names import ACCOUNT
from local_aws.quicksight.people import People
from local_aws.quicksight.records import (
    Record,
    answer,
    check_new,
    find_settled,
    invalid,
    not_here,
    now,
    page,
)

if TYPE_CHECKING:
    from local_aws.service import Call
    from local_aws.stand_in import StandIn

POLL_SECONDS = 0.05
PRINCIPAL = "quicksight.amazonaws.com"
# what a failure is called for an ingestion, and for the data source
FAILURES = {
    "FAILURE_TO_ASSUME_ROLE": "ACCESS_DENIED",
    "PERMISSION_DENIED": "ACCESS_DENIED",
    "PASSWORD_AUTHENTICATION_FAILURE": "ACCESS_DENIED",
    "UNRESOLVABLE_HOST": "UNKNOWN_HOST",
    "CONNECTION_FAILURE": "TIMEOUT",
    "SQL_TABLE_NOT_FOUND": "GENERIC_SQL_FAILURE",
    "SQL_EXCEPTION": "GENERIC_SQL_FAILURE",
}


@dataclass
class SourceError(Exception):
    """Why a data source did not answer, as an ingestion's ErrorInfo names it."""

    type: str
    message: str


class Sources(People):
    """Data sources; their passwords are never shown."""

    def CreateDataSource(self, call: Call) -> Record:
        """A data source that is now being tried."""
        self.check_account(call)
        request = call.parameters
        _check(request)
        arn = self.arn("datasource", request["DataSourceId"])
        with self.lock:
            check_new(self.sources, request["DataSourceId"], "Data source")
            self.keep_new("datasource", arn, call)
            shown = {
                name: request[name]
                for name in ("DataSourceId", "Name", "Type", "DataSourceParameters")
            }
            record = {
                **shown,
                "Arn": arn,
                "SslProperties": {"DisableSsl": False},
                "CreatedTime": now(),
            }
            self.sources[request["DataSourceId"]] = record
            self._try(record, request, "CREATION")
        return answer(
            Arn=arn, DataSourceId=request["DataSourceId"], CreationStatus=record["Status"]
        )

    def UpdateDataSource(self, call: Call) -> Record:
        """The data source, being tried anew."""
        request, record = call.parameters, self._source(call)
        _check({**request, "Type": record["Type"]})
        with self.lock:
            record |= {
                name: request[name] for name in ("Name", "DataSourceParameters") if name in request
            }
            self._try(record, request, "UPDATE")
        return answer(
            Arn=record["Arn"], DataSourceId=record["DataSourceId"], UpdateStatus=record["Status"]
        )

    def DescribeDataSource(self, call: Call) -> Record:
        """One data source; ErrorInfo says why it could not be reached."""
        return answer(DataSource=self._source(call))

    def ListDataSources(self, call: Call) -> Record:
        """All data sources."""
        self.check_account(call)
        return page(call, "DataSources", list(self.sources.values()))

    def DeleteDataSource(self, call: Call) -> Record:
        """The ARN; data sets that used it stay and can no longer be filled."""
        record = self._source(call)
        with self.lock:
            del self.sources[record["DataSourceId"]]
            self.permissions.pop(record["Arn"])
            self.tags.pop(record["Arn"])
        return answer(Arn=record["Arn"], DataSourceId=record["DataSourceId"])

    def DescribeDataSourcePermissions(self, call: Call) -> Record:
        """Who may use and change a data source."""
        record = self._source(call)
        held = self.described_permissions(record["Arn"])
        return answer(
            DataSourceArn=record["Arn"], DataSourceId=record["DataSourceId"], Permissions=held
        )

    def UpdateDataSourcePermissions(self, call: Call) -> Record:
        """Grants and revokes actions; returns the data source's ARN and id."""
        record = self._source(call)
        self.update_permissions("datasource", record["Arn"], call)
        return answer(DataSourceArn=record["Arn"], DataSourceId=record["DataSourceId"])

    def _source(self, call: Call) -> Record:
        self.check_account(call)
        return find_settled(self.sources, call.parameters["DataSourceId"], "Data source", call)

    def _try(self, record: Record, request: Record, what: str) -> None:
        record |= {"Status": f"{what}_IN_PROGRESS", "LastUpdatedTime": now()}
        record.pop("ErrorInfo", None)
        if "Credentials" in request:
            self.credentials[record["Arn"]] = request["Credentials"]
            record |= {
                name: request["Credentials"][name]
                for name in ("SecretArn",)
                if name in request["Credentials"]
            }
        self.begin(lambda: self._connect(record, what))

    def _connect(self, record: Record, what: str) -> None:
        try:
            self.fetch(record, "SELECT 1 AS one")
        except SourceError as failure:
            record |= {
                "Status": f"{what}_FAILED",
                "ErrorInfo": {"Type": FAILURES[failure.type], "Message": failure.message},
            }
        else:
            record["Status"] = f"{what}_SUCCESSFUL"
        record["LastUpdatedTime"] = now()

    def fetch(self, source: Record, sql: str) -> pa.Table:
        """What a query gives, every value as text; raises SourceError."""
        try:
            if source["Type"] == "ATHENA":
                return _athena(
                    self.stand_in, source["DataSourceParameters"]["AthenaParameters"], sql
                )
            redshift = source["DataSourceParameters"]["RedshiftParameters"]
            return _redshift(self.stand_in, redshift, self.credentials.get(source["Arn"], {}), sql)
        except ClientError as refusal:
            raise _refused(refusal) from refusal


def _check(request: Record) -> None:
    """Raise InvalidParameterValueException for what does not fit together, and refuse what is not
    here.
    """
    kind, parameters = request["Type"], request.get("DataSourceParameters", {})
    member = {"ATHENA": "AthenaParameters", "REDSHIFT": "RedshiftParameters"}.get(kind)
    if not member:
        raise not_here(f"QuickSight data sources of type {kind}")
    if list(parameters) != [member]:
        raise invalid(f"A data source of type {kind} takes {member}")
    others = [each for each in ("VpcConnectionProperties", "FolderArns") if request.get(each)]
    others += [
        each
        for each in (
            "ConsumerAccountRoleArn",
            "IdentityCenterConfiguration",
            "ClusterId",
            "IAMParameters",
        )
        if each in parameters[member]
    ]
    others += [
        each
        for each in request.get("Credentials", {})
        if each not in ("SecretArn", "CredentialPair")
    ]
    if others:
        raise not_here(f"QuickSight data sources with {', '.join(others)}")
    if kind == "REDSHIFT" and not {"Host", "Port"} <= parameters[member].keys():
        raise invalid("RedshiftParameters take Host and Port, or ClusterId")


def _athena(stand_in: StandIn, parameters: Record, sql: str) -> pa.Table:
    """Run a query as the data source's role."""
    athena = _client(stand_in, "athena", parameters.get("RoleArn"))
    group = parameters.get("WorkGroup", "primary")
    started = athena.start_query_execution(QueryString=sql, WorkGroup=group)["QueryExecutionId"]
    while True:
        execution = athena.get_query_execution(QueryExecutionId=started)["QueryExecution"]
        if execution["Status"]["State"] not in ("QUEUED", "RUNNING"):
            break
        time.sleep(POLL_SECONDS)
    if execution["Status"]["State"] != "SUCCEEDED":
        raise _failed(execution["Status"].get("StateChangeReason", "the query was cancelled"))
    if role := parameters.get("RoleArn"):
        _streams(stand_in, role, group)
    bucket, _, key = (
        execution["ResultConfiguration"]["OutputLocation"].removeprefix("s3://").partition("/")
    )
    # as the role may read it
    _client(stand_in, "s3", parameters.get("RoleArn")).head_object(Bucket=bucket, Key=key)
    file = stand_in.objects.path(bucket, key)
    with duckdb.connect() as connection:
        read = (
            "SELECT * FROM read_csv(?, header = true, all_varchar = true, quote = '\"', escape ="
            " '\"', delim = ',', nullstr = '', allow_quoted_nulls = false)"
        )
        return connection.execute(read, [str(file)]).to_arrow_table()


def _streams(stand_in: StandIn, role_arn: str, workgroup: str) -> None:
    """Return when a role may do what Athena's JDBC driver does with a workgroup, by which
    QuickSight reads; GetQueryResultsStream is no operation of the API. Raises SourceError.

    Source: "JDBC 3.x driver" of Athena's user guide.
    """
    session = stand_in.service_session(role_arn, PRINCIPAL)
    arn = f"arn:aws:athena:{stand_in.region}:{ACCOUNT}:workgroup/{workgroup}"
    try:
        for each in ("GetWorkGroup", "GetQueryResultsStream"):
            stand_in.authorize(session, f"athena:{each}", arn)
    except AccessDeniedError as refusal:
        raise SourceError("PERMISSION_DENIED", refusal.sentence) from refusal


def _redshift(stand_in: StandIn, parameters: Record, credentials: Record, sql: str) -> pa.Table:
    """Run a query in a Serverless workgroup, found by its host and port."""
    workgroup = _workgroup(stand_in, parameters, credentials)
    data = stand_in.client("redshift-data")
    started = data.execute_statement(
        WorkgroupName=workgroup, Database=parameters["Database"], Sql=sql
    )["Id"]
    while (state := data.describe_statement(Id=started))["Status"] not in (
        "FINISHED",
        "FAILED",
        "ABORTED",
    ):
        time.sleep(POLL_SECONDS)
    if state["Status"] != "FINISHED":
        raise _failed(state.get("Error", "the query was aborted"))
    pages = list(data.get_paginator("get_statement_result").paginate(Id=started))
    names = [each["name"] for each in pages[0]["ColumnMetadata"]]
    rows = [[_text(field) for field in row] for each in pages for row in each["Records"]]
    return pa.table(
        {name: pa.array([row[i] for row in rows], pa.string()) for i, name in enumerate(names)}
    )


def _workgroup(stand_in: StandIn, parameters: Record, credentials: Record) -> str:
    """The workgroup at a host and port, when it lets QuickSight in; raises SourceError."""
    serverless = stand_in.client("redshift-serverless")
    groups = serverless.list_workgroups()["workgroups"]
    at_host = [
        each for each in groups if each.get("endpoint", {}).get("address") == parameters["Host"]
    ]
    if not at_host:
        raise SourceError("UNRESOLVABLE_HOST", f"The host {parameters['Host']} cannot be resolved.")
    group = next((each for each in at_host if each["endpoint"]["port"] == parameters["Port"]), None)
    if group is None or not group["publiclyAccessible"]:
        raise SourceError(
            "CONNECTION_FAILURE",
            f"The connection to {parameters['Host']}:{parameters['Port']} timed out: the workgroup"
            " is private and there is no VPC connection to it, or the port is another.",
        )
    namespace = serverless.get_namespace(namespaceName=group["namespaceName"])["namespace"]
    secrets = stand_in.client("secretsmanager")

    def pair(secret: str) -> tuple[str, str]:
        content = json.loads(secrets.get_secret_value(SecretId=secret)["SecretString"])
        return content["username"], content["password"]

    given = credentials.get("CredentialPair", {})
    shown = (
        pair(credentials["SecretArn"])
        if "SecretArn" in credentials
        else (given.get("Username"), given.get("Password"))
    )
    if not namespace.get("adminPasswordSecretArn") or shown != pair(
        namespace["adminPasswordSecretArn"]
    ):
        raise SourceError(
            "PASSWORD_AUTHENTICATION_FAILURE",
            f'FATAL: password authentication failed for user "{shown[0]}"',
        )
    return str(group["workgroupName"])


def _client(stand_in: StandIn, service: str, role_arn: str | None) -> Any:
    """A client whose calls are those of the role that a data source names; raises SourceError where
    QuickSight may not take it.
    """
    try:
        return stand_in.client(service, role_arn=role_arn or "", service_principal=PRINCIPAL)
    except ApiError as refusal:
        raise SourceError("FAILURE_TO_ASSUME_ROLE", refusal.message) from refusal


def _refused(error: ClientError) -> SourceError:
    """What a refused call means for a data source."""
    code, message = error.response["Error"]["Code"], error.response["Error"]["Message"]
    return SourceError("PERMISSION_DENIED" if "AccessDenied" in code else "SQL_EXCEPTION", message)


def _failed(reason: str) -> SourceError:
    """What a failed query means for an ingestion."""
    if (
        "TABLE_NOT_FOUND" in reason
        or "SCHEMA_NOT_FOUND" in reason
        or ("relation" in reason and "does not exist" in reason)
    ):
        return SourceError("SQL_TABLE_NOT_FOUND", reason)
    words = (
        "not authorized to perform",
        "Insufficient permissions",
        "Access Denied",
        "AccessDenied",
    )
    denied = any(each in reason for each in words)
    return SourceError("PERMISSION_DENIED" if denied else "SQL_EXCEPTION", reason)


def _text(field: Record) -> str | None:
    if field.get("isNull"):
        return None
    value = next(iter(field.values()))
    return str(value).lower() if isinstance(value, bool) else str(value)
