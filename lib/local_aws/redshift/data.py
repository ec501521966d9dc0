"""Amazon Redshift Data API: every statement in a thread of its own, over one DuckDB file per
database.
"""

from __future__ import annotations

import fnmatch
import re
import threading
from typing import TYPE_CHECKING, Any

from local_aws.errors import ApiError
from local_aws.redshift.database import definitions, relation_exists
from local_aws.redshift.runs import OpenSession, Part, Statement
from local_aws.redshift.session import Session
from local_aws.redshift.types import RedshiftType
from local_aws.redshift.views import system_view
from local_aws.service import Call, Service

if TYPE_CHECKING:
    from local_aws.redshift.database import Database
    from local_aws.redshift.warehouses import Warehouses
    from local_aws.stand_in import StandIn

ROWS_PER_PAGE = 1000
LONGEST_STATEMENT_BYTES, MOST_STATEMENTS, MOST_ACTIVE = 100 << 10, 40, 500


class RedshiftData(Service):
    """Statements against the databases of Serverless workgroups and of clusters."""

    def __init__(self, stand_in: StandIn, warehouses: Warehouses) -> None:
        super().__init__(stand_in)
        self.warehouses = warehouses
        self.statements: dict[str, Statement] = {}
        self.sessions: dict[str, OpenSession] = {}
        self.tokens: dict[str, tuple[dict[str, Any], Statement]] = {}
        self.lock = threading.RLock()

    def stop(self) -> None:
        """Cancel what runs and close the databases."""
        for statement in self.statements.values():
            self._cancel(statement)
        for statement in self.statements.values():
            statement.thread.join(timeout=10)
        self.warehouses.close()

    # Statements

    def ExecuteStatement(self, call: Call) -> dict[str, Any]:
        """The id of one statement that now waits to run."""
        return self._submit(call, [call.parameters["Sql"]], batch=False)

    def BatchExecuteStatement(self, call: Call) -> dict[str, Any]:
        """The id of a transaction of statements, one after the other, all or none."""
        if call.parameters.get("ExecutionMode", "TRANSACTION") != "TRANSACTION":
            raise ApiError(
                "NotInLocalAws",
                "local_aws does BatchExecuteStatement as one transaction only.",
                501,
            )
        return self._submit(call, call.parameters["Sqls"], batch=True)

    def _submit(self, call: Call, sqls: list[str], *, batch: bool) -> dict[str, Any]:
        request = call.parameters
        _check_request(request, sqls)
        with self.lock:
            token = request.get("ClientToken")
            if token and token in self.tokens:
                before, statement = self.tokens[token]
                if before != request:
                    raise ApiError(
                        "ValidationException",
                        "The ClientToken was used before with other parameters.",
                    )
            else:
                if sum(not each.done.is_set() for each in self.statements.values()) >= MOST_ACTIVE:
                    raise ApiError(
                        "ActiveStatementsExceededException",
                        "The number of active statements exceeds the limit of 500.",
                    )
                session = self._session(call)
                session.busy += 1
                statement = Statement(request, sqls, session, batch=batch)
                self.statements[statement.whole.id] = statement
                if token:
                    self.tokens[token] = (request, statement)
                statement.thread.start()
        _wait(statement, request)
        database = statement.session.sql.database
        answer: dict[str, Any] = {
            "Id": statement.whole.id,
            "CreatedAt": statement.whole.created,
            "Database": database.name,
            **database.where,
        }
        if "WaitTimeSeconds" in request:
            answer |= {"Status": statement.whole.status, "HasResultSet": statement.has_result}
        return {**answer, **({"SessionId": statement.session.id} if statement.session.id else {})}

    def _session(self, call: Call) -> OpenSession:
        request = call.parameters
        for session_id in [key for key, each in self.sessions.items() if each.expired]:
            self.sessions.pop(session_id).sql.connection.close()
        if wanted := request.get("SessionId"):
            if request.keys() & {
                "WorkgroupName",
                "ClusterIdentifier",
                "Database",
                "DbUser",
                "SecretArn",
            }:
                raise ApiError(
                    "ValidationException",
                    "A session keeps its connection: give neither workgroup, cluster, database nor"
                    " user with SessionId.",
                )
            if wanted not in self.sessions:
                raise ApiError("ResourceNotFoundException", f"Session {wanted} is not available.")
            session = self.sessions[wanted]
            session.keep_seconds = request.get("SessionKeepAliveSeconds", session.keep_seconds)
            return session
        session = OpenSession(
            *self._login(call, request.get("Database")), request.get("SessionKeepAliveSeconds", 0)
        )
        if session.id:
            self.sessions[session.id] = session
        return session

    def DescribeStatement(self, call: Call) -> dict[str, Any]:
        """The state of a statement; WaitTimeSeconds waits for its end."""
        statement_id, _, place = call.parameters["Id"].partition(":")
        statement = self._find(statement_id)
        _wait(statement, call.parameters)
        if place:
            return {**_sub(statement, place).description(), **statement.session.sql.database.where}
        return statement.description()

    def GetStatementResult(self, call: Call) -> dict[str, Any]:
        """A page of the rows of a statement, typed as far as JSON can be."""
        statement_id, _, place = call.parameters["Id"].partition(":")
        statement = self._find(statement_id)
        _wait(statement, call.parameters)
        if statement.batch and not place:
            raise ApiError(
                "ValidationException",
                "BatchExecuteStatement result can only be retrieved with sub-statement id.",
            )
        part = _sub(statement, place) if place else statement.whole
        if (
            part.status != "FINISHED"
            or part.outcome.table is None
            or statement.whole.status != "FINISHED"
        ):
            raise ApiError(
                "ResourceNotFoundException",
                "Query does not have result. Please check query status with DescribeStatement.",
            )
        start = int(call.parameters.get("NextToken") or 0)
        page = part.outcome.table.slice(start, ROWS_PER_PAGE)
        rest = (
            {"NextToken": str(start + ROWS_PER_PAGE)}
            if start + ROWS_PER_PAGE < part.outcome.table.num_rows
            else {}
        )
        fields = [_field(kind) for _, kind in part.outcome.columns]
        rows = zip(*(column.to_pylist() for column in page.columns), strict=True)
        records = [
            [
                {"isNull": True} if value is None else {name: value}
                for name, value in zip(fields, row, strict=True)
            ]
            for row in rows
        ]
        metadata = [_metadata(name, kind, nullable=True) for name, kind in part.outcome.columns]
        return {
            "Records": records,
            "ColumnMetadata": metadata,
            "TotalNumRows": part.outcome.table.num_rows,
            **rest,
        }

    def ListStatements(self, call: Call) -> dict[str, Any]:
        """The statements of the last day, the newest first; those that finished unless another
        Status is asked for.
        """
        request = call.parameters
        wanted = request.get("Status", "FINISHED")
        found = []
        for statement in reversed(list(self.statements.values())):
            database, name = (
                statement.session.sql.database,
                statement.request.get("StatementName", ""),
            )
            if (
                (wanted in ("ALL", statement.whole.status))
                and request.get("WorkgroupName") in (None, database.where.get("WorkgroupName"))
                and request.get("ClusterIdentifier")
                in (None, database.where.get("ClusterIdentifier"))
                and request.get("Database") in (None, database.name)
                and name.startswith(request.get("StatementName", ""))
            ):
                sqls = (
                    {"QueryStrings": [part.sql for part in statement.parts]}
                    if statement.batch
                    else {"QueryString": statement.whole.sql}
                )
                whole = statement.whole
                found.append(
                    {
                        "Id": whole.id,
                        "Status": whole.status,
                        "StatementName": name or None,
                        "CreatedAt": whole.created,
                        "UpdatedAt": whole.updated,
                        "IsBatchStatement": statement.batch,
                        "ResultFormat": "JSON",
                        **sqls,
                    }
                )
        return _page("Statements", found, request)

    def CancelStatement(self, call: Call) -> dict[str, Any]:
        """Whether the statement was still to be cancelled; ValidationException when it has
        ended.
        """
        statement = self._find(call.parameters["Id"])
        if statement.done.is_set():
            raise ApiError(
                "ValidationException",
                f"Could not cancel a query that is already in {statement.whole.status} state with"
                f" ID: {statement.whole.id}",
            )
        self._cancel(statement)
        return {"Status": True}

    def _cancel(self, statement: Statement) -> None:
        if not statement.done.is_set():
            statement.cancelled = True
            threading.Thread(target=statement.interrupt, daemon=True).start()

    def _find(self, statement_id: str) -> Statement:
        if statement_id not in self.statements:
            raise ApiError("ResourceNotFoundException", "Query does not exist.")
        return self.statements[statement_id]

    # What is in the databases

    def ListDatabases(self, call: Call) -> dict[str, Any]:
        """The databases of a workgroup that exist: its namespace's own."""
        database, _ = self._login(call, call.parameters.get("Database"))
        return _page("Databases", [database.name], call.parameters)

    def ListSchemas(self, call: Call) -> dict[str, Any]:
        """The schemas of a database."""
        rows = self._view(call, "svv_all_schemas")
        return _page(
            "Schemas",
            [row[1] for row in rows if _like(row[1], call.parameters.get("SchemaPattern"))],
            call.parameters,
        )

    def ListTables(self, call: Call) -> dict[str, Any]:
        """The tables and views of a database."""
        request = call.parameters
        rows = [
            row
            for row in self._view(call, "svv_all_tables")
            if _like(row[1], request.get("SchemaPattern"))
            and _like(row[2], request.get("TablePattern"))
        ]
        return _page(
            "Tables", [{"schema": row[1], "name": row[2], "type": row[3]} for row in rows], request
        )

    def DescribeTable(self, call: Call) -> dict[str, Any]:
        """The columns of a table."""
        request = call.parameters
        session = Session(
            *self._login(call, request.get("ConnectedDatabase") or request["Database"])
        )
        schema, table = request.get("Schema", "public").lower(), request.get("Table", "").lower()
        if not relation_exists(session.connection, schema, table):
            return {"ColumnList": [], "TableName": f"{schema}.{table}"}
        columns = []
        for each in definitions(session.connection, schema, table):
            kind = RedshiftType(
                each["name"],
                each["duckdb"],
                each["api"],
                each["copy"],
                each["length"],
                each["precision"],
                each["scale"],
            )
            place = {
                "schemaName": schema,
                "tableName": table,
                "columnDefault": each["default_value"],
            }
            columns.append(
                {**_metadata(each["column_name"], kind, nullable=not each["not_null"]), **place}
            )
        return {"TableName": table, **_page("ColumnList", columns, request)}

    def _view(self, call: Call, name: str) -> list[list[Any]]:
        request = call.parameters
        session = Session(
            *self._login(call, request.get("ConnectedDatabase") or request["Database"])
        )
        found = system_view(session.database, session.connection, name)
        session.connection.close()
        return found[1] if found else []

    def _login(self, call: Call, name: str | None) -> tuple[Database, str]:
        """The database a call is about, and the user as which it asks."""
        if call.parameters.get("WithEvent"):
            raise ApiError(
                "NotInLocalAws", "local_aws does not do redshift-data with WithEvent.", 501
            )
        database = self.warehouses.database(call.parameters, name)
        return database, self.warehouses.user(call.parameters, call.principal, database)


def _check_request(request: dict[str, Any], sqls: list[str]) -> None:
    if request.get("ResultFormat", "JSON") != "JSON":
        raise ApiError("NotInLocalAws", "local_aws gives results as JSON only.", 501)
    if len(sqls) > MOST_STATEMENTS:
        raise ApiError(
            "ValidationException",
            f"The maximum number of SQL statements in a batch is {MOST_STATEMENTS}; there are"
            f" {len(sqls)}.",
        )
    if any(not sql.strip() for sql in sqls):
        raise ApiError("ValidationException", "Sql must not be empty.")
    if any(len(sql.encode()) > LONGEST_STATEMENT_BYTES for sql in sqls):
        raise ApiError(
            "ValidationException", "The SQL statement is longer than the limit of 100 KB."
        )
    used = {
        name
        for sql in sqls
        for name in re.findall(r"(?<![:\w]):([A-Za-z_]\w*)", re.sub(r"'(?:[^']|'')*'", "", sql))
    }
    given = {each["name"] for each in request.get("Parameters", [])}
    if missing := sorted(used - given) if given else []:
        raise ApiError("ValidationException", f"Parameters list is missing parameters: {missing}")
    if unused := sorted(given - used):
        raise ApiError(
            "ValidationException",
            f"Parameters list contains unused parameters. Unused parameters: {unused}",
        )


def _wait(statement: Statement, request: dict[str, Any]) -> None:
    if seconds := request.get("WaitTimeSeconds"):
        statement.done.wait(min(seconds, 30))


def _sub(statement: Statement, place: str) -> Part:
    if not statement.batch or not place.isdigit() or not 1 <= int(place) <= len(statement.parts):
        raise ApiError("ResourceNotFoundException", "Query does not exist.")
    return statement.parts[int(place) - 1]


def _field(kind: RedshiftType) -> str:
    """The member of a record's field that carries a type; decimals, dates and timestamps are
    texts.
    """
    return {
        "int2": "longValue",
        "int4": "longValue",
        "int8": "longValue",
        "float4": "doubleValue",
        "float8": "doubleValue",
        "bool": "booleanValue",
    }.get(kind.api, "stringValue")


def _metadata(name: str, kind: RedshiftType, *, nullable: bool) -> dict[str, Any]:
    digits = {
        "int2": 5,
        "int4": 10,
        "int8": 19,
        "float4": 8,
        "float8": 17,
        "bool": 1,
        "date": 13,
        "timestamp": 29,
        "timestamptz": 35,
    }
    precision = kind.precision or kind.length or digits.get(kind.api, 0)
    signed = kind.api in ("int2", "int4", "int8", "float4", "float8", "numeric")
    flags = {
        "isCaseSensitive": kind.api in ("varchar", "bpchar"),
        "isCurrency": False,
        "isSigned": signed,
        "nullable": int(nullable),
    }
    return {
        **flags,
        "label": name,
        "name": name,
        "length": 0,
        "precision": precision,
        "scale": kind.scale,
        "schemaName": "",
        "tableName": "",
        "typeName": kind.api,
    }


def _like(name: str, pattern: str | None) -> bool:
    return pattern is None or fnmatch.fnmatchcase(name, pattern.replace("%", "*").replace("_", "?"))


def _page(member: str, items: list[Any], parameters: dict[str, Any]) -> dict[str, Any]:
    start, size = int(parameters.get("NextToken") or 0), parameters.get("MaxResults") or 1000
    rest = {"NextToken": str(start + size)} if len(items) > start + size else {}
    return {member: items[start : start + size], **rest}
