"""Amazon Athena: workgroups, and queries over the Data Catalog that DuckDB runs with Trino's
rules.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from local_aws.athena import trino_sql
from local_aws.athena.execution import ENDED, Engine, Execution, now
from local_aws.athena.queries import CATALOG
from local_aws.athena.statements import kind_of
from local_aws.engines.lake_tables import LakeError
from local_aws.errors import ApiError
from local_aws.service import Call, Service

if TYPE_CHECKING:
    from collections.abc import Mapping

    from local_aws.stand_in import StandIn

QUERIES_AT_ONCE = 4  # the others wait in the queue
LONGEST_QUERY_BYTES = 262_144  # https://docs.aws.amazon.com/athena/latest/ug/service-limits.html
ENGINE_VERSION = {
    "SelectedEngineVersion": "AUTO",
    "EffectiveEngineVersion": "Athena engine version 3",
}
NOT_HERE = (
    "ExecutionRole",
    "ManagedQueryResultsConfiguration",
    "ManagedQueryResultsConfigurationUpdates",
    "IdentityCenterConfiguration",
    "BytesScannedCutoffPerQuery",
)
SETTINGS = (
    "EnforceWorkGroupConfiguration",
    "PublishCloudWatchMetricsEnabled",
    "RequesterPaysEnabled",
)


class Athena(Service):
    """Queries really run; what is neither a method nor listed is refused."""

    def __init__(self, stand_in: StandIn) -> None:
        super().__init__(stand_in)
        self.engine = Engine(trino_sql.prepare, stand_in)
        self.workgroups = {"primary": _workgroup("primary", {}, "")}
        self.executions: dict[str, Execution] = {}
        self.tokens: dict[str, tuple[dict[str, Any], str]] = {}
        self.slots, self.lock = threading.Semaphore(QUERIES_AT_ONCE), threading.RLock()

    def work_group_of(self, parameters: Mapping[str, Any], *_: str) -> str | None:
        """The workgroup that a call is about where only its query says it."""
        asked = parameters.get("QueryExecutionId") or next(
            iter(parameters.get("QueryExecutionIds", [])), None
        )
        if execution := self.executions.get(str(asked)):
            return str(execution.described["WorkGroup"])
        return "primary" if "QueryString" in parameters or not parameters else None

    def stop(self) -> None:
        """Cancel what still runs."""
        for execution in self.executions.values():
            execution.cancel()
        for execution in self.executions.values():
            execution.thread.join(timeout=10)
        self.engine.connection.close()

    # Workgroups

    def CreateWorkGroup(self, call: Call) -> dict[str, Any]:
        """A workgroup; InvalidRequestException when it exists."""
        request = call.parameters
        _refuse(request, "Tags")
        with self.lock:
            if request["Name"] in self.workgroups:
                raise _invalid("WorkGroup is already created")
            self.workgroups[request["Name"]] = _workgroup(
                request["Name"], request.get("Configuration", {}), request.get("Description", "")
            )
        return {}

    def GetWorkGroup(self, call: Call) -> dict[str, Any]:
        """One workgroup; InvalidRequestException when there is none."""
        return {"WorkGroup": self._workgroup(call.parameters["WorkGroup"])}

    def UpdateWorkGroup(self, call: Call) -> dict[str, Any]:
        """The workgroup with other settings; the rest stays."""
        request, group = call.parameters, self._workgroup(call.parameters["WorkGroup"])
        updates = request.get("ConfigurationUpdates", {})
        _refuse(updates, *NOT_HERE)
        with self.lock:
            group["State"] = request.get("State", group["State"])
            group["Description"] = request.get("Description", group["Description"])
            configuration = group["Configuration"]
            configuration |= {name: updates[name] for name in SETTINGS if name in updates}
            changes = updates.get("ResultConfigurationUpdates", {})
            results = {
                **configuration.get("ResultConfiguration", {}),
                **{name: value for name, value in changes.items() if not name.startswith("Remove")},
            }
            removed = {
                name.removeprefix("Remove")
                for name, value in changes.items()
                if name.startswith("Remove") and value
            }
            configuration["ResultConfiguration"] = {
                name: value for name, value in results.items() if name not in removed
            }
        return {}

    def DeleteWorkGroup(self, call: Call) -> dict[str, Any]:
        """The workgroup gone; with queries in it only by RecursiveDeleteOption."""
        name = call.parameters["WorkGroup"]
        self._workgroup(name)
        if name == "primary":
            raise _invalid("WorkGroup primary cannot be deleted")
        mine = [key for key, each in self.executions.items() if each.described["WorkGroup"] == name]
        if mine and not call.parameters.get("RecursiveDeleteOption"):
            raise _invalid(f"WorkGroup {name} is not empty")
        for key in mine:
            self.executions.pop(key).cancel()
        del self.workgroups[name]
        return {}

    def ListWorkGroups(self, call: Call) -> dict[str, Any]:
        """All workgroups in short."""
        short = [
            {
                **{name: group[name] for name in ("Name", "State", "Description", "CreationTime")},
                "EngineVersion": ENGINE_VERSION,
            }
            for group in self.workgroups.values()
        ]
        return _page("WorkGroups", short, call.parameters, 50)

    def _workgroup(self, name: str) -> dict[str, Any]:
        if name not in self.workgroups:
            raise _invalid(f"WorkGroup is not found: {name}" if name else "WorkGroup is not found.")
        return self.workgroups[name]

    # Queries

    def StartQueryExecution(self, call: Call) -> dict[str, Any]:
        """The id of a query that now waits to run; InvalidRequestException when it cannot be a
        query at all.
        """
        request = call.parameters
        _refuse(request, "EngineConfiguration")
        with self.lock:
            token = request.get("ClientRequestToken")
            if token and token in self.tokens:
                before, query_id = self.tokens[token]
                if before != request:
                    raise _invalid("Idempotent parameters do not match")
                return {"QueryExecutionId": query_id}
            execution = self._execution(call)
            self.executions[execution.job.id] = execution
            if token:
                self.tokens[token] = (request, execution.job.id)
        execution.thread.start()
        return {"QueryExecutionId": execution.job.id}

    def _execution(self, call: Call) -> Execution:
        request = call.parameters
        group = self._workgroup(request.get("WorkGroup", "primary"))
        if group["State"] != "ENABLED":
            raise _invalid(f"WorkGroup {group['Name']} is disabled.")
        sql, kind = request["QueryString"], kind_of(request["QueryString"])
        if len(sql.encode()) > LONGEST_QUERY_BYTES:
            raise _invalid(
                f"Query string length exceeds the maximum of {LONGEST_QUERY_BYTES} bytes"
            )
        if kind is None:
            raise _invalid(
                f"line 1:1: mismatched input '{(sql.split() or [''])[0]}'. Expecting: a statement"
                " of Athena"
            )
        if kind.ending == ".csv":
            _check_syntax(sql)
        context = request.get("QueryExecutionContext", {})
        if context.get("Catalog", CATALOG).lower() != CATALOG:
            raise ApiError("NotInLocalAws", "local_aws has no catalog but AwsDataCatalog.", 501)
        results = self._results(group, request)
        folder, enforced = (
            results["OutputLocation"].rstrip("/") + "/",
            group["Configuration"]["EnforceWorkGroupConfiguration"],
        )
        database = context.get("Database", "").strip("`")
        caller = self.stand_in.principals.on_behalf(call.principal, "athena.amazonaws.com")
        job = self.engine.job(
            self.stand_in.acting_as(caller, lake_formation=True),
            sql.strip().rstrip(";"),
            database,
            folder,
            request.get("ExecutionParameters", []),
            enforced=enforced
            and bool(group["Configuration"].get("ResultConfiguration", {}).get("OutputLocation")),
        )
        described = {
            "Query": sql,
            "ResultConfiguration": {**results, "OutputLocation": f"{folder}{job.id}{kind.ending}"},
            "QueryExecutionContext": {**context, **({"Database": database} if database else {})},
            "WorkGroup": group["Name"],
            "EngineVersion": ENGINE_VERSION,
            "ExecutionParameters": request.get("ExecutionParameters"),
            "ResultReuseConfiguration": {"ResultReuseByAgeConfiguration": {"Enabled": False}},
        }
        return Execution(job, kind, described, self.slots)

    def _results(self, group: dict[str, Any], request: dict[str, Any]) -> dict[str, Any]:
        """Where results go: the workgroup decides when it enforces its settings or nothing else is
        said.
        """
        own, asked = (
            group["Configuration"].get("ResultConfiguration", {}),
            request.get("ResultConfiguration", {}),
        )
        enforced = group["Configuration"]["EnforceWorkGroupConfiguration"] and own.get(
            "OutputLocation"
        )
        chosen: dict[str, Any] = own if enforced or not asked.get("OutputLocation") else asked
        location = chosen.get("OutputLocation", "")
        if not location.startswith("s3://"):
            raise _invalid(
                "No output location provided. An output location is required either through the"
                " Workgroup result configuration setting or as an API input."
            )
        if not self.stand_in.objects.bucket_exists(
            location.removeprefix("s3://").partition("/")[0]
        ):
            raise _invalid(
                "Unable to verify/create output bucket"
                f" {location.removeprefix('s3://').partition('/')[0]}"
            )
        return chosen

    def GetQueryExecution(self, call: Call) -> dict[str, Any]:
        """One query with its state; InvalidRequestException when there is none."""
        return {"QueryExecution": self._find(call.parameters["QueryExecutionId"]).description()}

    def BatchGetQueryExecution(self, call: Call) -> dict[str, Any]:
        """Several queries, and the ids that are unknown."""
        wanted = call.parameters["QueryExecutionIds"]
        absent = [
            {
                "QueryExecutionId": each,
                "ErrorCode": "INTERNAL_ERROR",
                "ErrorMessage": f"QueryExecution {each} was not found",
            }
            for each in wanted
            if each not in self.executions
        ]
        return {
            "QueryExecutions": [
                self.executions[each].description() for each in wanted if each in self.executions
            ],
            "UnprocessedQueryExecutionIds": absent,
        }

    def ListQueryExecutions(self, call: Call) -> dict[str, Any]:
        """The ids of a workgroup's queries, the newest first."""
        group = self._workgroup(call.parameters.get("WorkGroup", "primary"))["Name"]
        mine = [
            key
            for key, each in reversed(self.executions.items())
            if each.described["WorkGroup"] == group
        ]
        return _page("QueryExecutionIds", mine, call.parameters, 50)

    def StopQueryExecution(self, call: Call) -> dict[str, Any]:
        """The query cancelled, unless it has ended."""
        self._find(call.parameters["QueryExecutionId"]).cancel()
        return {}

    def GetQueryResults(self, call: Call) -> dict[str, Any]:
        """A page of the rows of a query that succeeded."""
        execution = self._find(call.parameters["QueryExecutionId"])
        if execution.state != "SUCCEEDED":
            state = (
                "did not finish successfully. Final query state: " + execution.state
                if execution.state in ENDED
                else f"has not yet finished. Current state: {execution.state}"
            )
            raise _invalid(f"Query {state}")
        start, size = (
            int(call.parameters.get("NextToken") or 0),
            call.parameters.get("MaxResults") or 1000,
        )
        result = execution.job.result
        rows, more = result.page(start, size)
        rest = {"NextToken": str(start + len(rows))} if more else {}
        count = execution.job.update_count if execution.job.update_count is not None else 0
        return {
            "ResultSet": {"Rows": rows, "ResultSetMetadata": {"ColumnInfo": result.columns}},
            "UpdateCount": count,
            **rest,
        }

    def _find(self, query_id: str) -> Execution:
        if query_id not in self.executions:
            raise _invalid(f"QueryExecution {query_id} was not found")
        return self.executions[query_id]

    # The Data Catalog as Athena shows it

    def ListDataCatalogs(self, call: Call) -> dict[str, Any]:
        """The one catalog there is."""
        return _page(
            "DataCatalogsSummary",
            [{"CatalogName": "AwsDataCatalog", "Type": "GLUE"}],
            call.parameters,
            50,
        )

    def GetDatabase(self, call: Call) -> dict[str, Any]:
        """A database of Glue; MetadataException when there is none."""
        return {
            "Database": _database(
                self._ask(call, "get_database", Name=call.parameters["DatabaseName"])["Database"]
            )
        }

    def ListDatabases(self, call: Call) -> dict[str, Any]:
        """The databases of Glue."""
        pages = self._glue(call).get_paginator("get_databases").paginate()
        return _page(
            "DatabaseList",
            [_database(each) for page in pages for each in page["DatabaseList"]],
            call.parameters,
            50,
        )

    def GetTableMetadata(self, call: Call) -> dict[str, Any]:
        """A table of Glue; MetadataException when there is none."""
        request = call.parameters
        return {
            "TableMetadata": _table(
                self._ask(
                    call,
                    "get_table",
                    DatabaseName=request["DatabaseName"],
                    Name=request["TableName"],
                )["Table"]
            )
        }

    def ListTableMetadata(self, call: Call) -> dict[str, Any]:
        """The tables of a database of Glue."""
        request = call.parameters
        self._ask(call, "get_database", Name=request["DatabaseName"])
        pages = (
            self._glue(call)
            .get_paginator("get_tables")
            .paginate(
                DatabaseName=request["DatabaseName"],
                **({"Expression": request["Expression"]} if "Expression" in request else {}),
            )
        )
        return _page(
            "TableMetadataList",
            [_table(each) for page in pages for each in page["TableList"]],
            request,
            50,
        )

    def _glue(self, call: Call) -> Any:
        if call.parameters["CatalogName"].lower() != CATALOG:
            raise _invalid(f"DataCatalog {call.parameters['CatalogName']} was not found")
        return self.stand_in.client("glue", caller=call.principal, via="athena.amazonaws.com")

    def _ask(self, call: Call, operation: str, **parameters: Any) -> dict[str, Any]:
        try:
            answer: dict[str, Any] = getattr(self._glue(call), operation)(**parameters)
        except ClientError as refused:
            raise ApiError(
                "MetadataException",
                f"{refused.response['Error']['Code']}: {refused.response['Error']['Message']}",
            ) from refused
        return answer


def _workgroup(name: str, configuration: dict[str, Any], description: str) -> dict[str, Any]:
    _refuse(configuration, *NOT_HERE)
    defaults = {
        "EnforceWorkGroupConfiguration": name != "primary",
        "PublishCloudWatchMetricsEnabled": False,
        "RequesterPaysEnabled": False,
        "ResultConfiguration": {},
    }
    return {
        "Name": name,
        "State": "ENABLED",
        "Description": description,
        "CreationTime": now(),
        "Configuration": {**defaults, **configuration, "EngineVersion": ENGINE_VERSION},
    }


def _check_syntax(sql: str) -> None:
    """Athena refuses at once what it cannot parse."""
    try:
        trino_sql.parse(sql)
    except LakeError as wrong:
        raise _invalid(str(wrong).removeprefix("SYNTAX_ERROR: ")) from wrong


def _invalid(message: str) -> ApiError:
    return ApiError("InvalidRequestException", message)


def _refuse(request: dict[str, Any], *names: str) -> None:
    if found := [
        name
        for name in names
        if request.get(name) not in (None, [], {})
        and not (name == "ManagedQueryResultsConfiguration" and not request[name].get("Enabled"))
    ]:
        raise ApiError(
            "NotInLocalAws", f"local_aws does not do athena with {', '.join(found)}.", 501
        )


def _database(described: dict[str, Any]) -> dict[str, Any]:
    return {
        name: described[name] for name in ("Name", "Description", "Parameters") if name in described
    }


def _table(described: dict[str, Any]) -> dict[str, Any]:
    def column(each: dict[str, str]) -> dict[str, str]:
        return {
            "Name": each["Name"],
            "Type": each["Type"],
            **({"Comment": each["Comment"]} if each.get("Comment") else {}),
        }

    return {
        "Name": described["Name"],
        "CreateTime": described.get("CreateTime"),
        "TableType": described.get("TableType"),
        "Columns": [
            column(each) for each in described.get("StorageDescriptor", {}).get("Columns", [])
        ],
        "PartitionKeys": [column(each) for each in described.get("PartitionKeys", [])],
        "Parameters": described.get("Parameters", {}),
    }


def _page(member: str, items: list[Any], parameters: dict[str, Any], size: int) -> dict[str, Any]:
    """One page of a listing; the token is the number of items before the next one."""
    start, size = int(parameters.get("NextToken") or 0), parameters.get("MaxResults") or size
    rest = {"NextToken": str(start + size)} if len(items) > start + size else {}
    return {member: items[start : start + size], **rest}
