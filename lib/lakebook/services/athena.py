"""Athena: the workgroup that every query of the runbook runs in, answers as rows, and answers as
files.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lakebook import aws
from lakebook.ensure import Call, current, resource, wait
from lakebook.errors import LakebookError
from lakebook.services import kms, s3

if TYPE_CHECKING:
    from collections.abc import Iterator

LIST = ["athena:ListDataCatalogs", "athena:ListWorkGroups"]  # of no resource
BROWSE_CATALOG = [
    "athena:GetDataCatalog",
    "athena:GetDatabase",
    "athena:GetTableMetadata",
    "athena:ListDatabases",
    "athena:ListTableMetadata",
]
# https://docs.aws.amazon.com/athena/latest/ug/service-limits.html
QUERY_BYTES = 262_144
DML_TIMEOUT_SECONDS = 30 * 60  # Athena's own, by default
SILENT_SECONDS = 10  # in which a query that is under way says nothing


@resource
def workgroup(name: str, output: str, key_alias: str = "") -> Iterator[Call]:
    """A workgroup that keeps every result below `output` (s3://…/), encrypted, whatever its clients
    ask.
    """
    athena = aws.client("athena")
    actual = current(athena.get_work_group, "InvalidRequestException", WorkGroup=name)
    kept = (
        {"EncryptionOption": "SSE_KMS", "KmsKey": kms.key_arn(key_alias)}
        if key_alias
        else {"EncryptionOption": "SSE_S3"}
    )
    results = {"OutputLocation": output, "EncryptionConfiguration": kept}
    if actual is None:
        configuration = {"ResultConfiguration": results, "EnforceWorkGroupConfiguration": True}
        yield Call(athena.create_work_group, {"Name": name, "Configuration": configuration})
    elif actual["WorkGroup"]["Configuration"].get("ResultConfiguration") != results:
        updates = {"ResultConfigurationUpdates": results, "EnforceWorkGroupConfiguration": True}
        yield Call(athena.update_work_group, {"WorkGroup": name, "ConfigurationUpdates": updates})


@resource
def unloaded(
    _name: str, sql: str, location: str, database: str, workgroup: str, timeout_seconds: float
) -> Iterator[Call]:
    """The rows of a SELECT as Parquet files below `location`, which only this uses: it is emptied
    first, as UNLOAD never is.

    A note beside the files says which they are, so that the leavings of a query that failed are not
    taken for the whole.
    """
    note = location.rstrip("/") + ".files"
    if (actual := s3.objects(location)) and not list(s3.stored_object(note, _listed(actual))):
        return
    yield from s3.emptied(location)
    arguments = {
        "QueryString": f"UNLOAD ({sql}) TO '{location}' WITH (format = 'PARQUET')",
        "QueryExecutionContext": {"Database": database},
        "WorkGroup": workgroup,
    }
    method = aws.client("athena").start_query_execution
    yield Call(method, arguments, until=_awaits_query, timeout_seconds=timeout_seconds)
    yield from s3.stored_object(note, _listed(s3.objects(location)))


def answer(sql: str, database: str, workgroup: str, output: str | None = None) -> list[list[Any]]:
    """The rows of a SELECT, every value as text or None; read from the API, since a CSV of results
    cannot tell '' from NULL.

    Raises LakebookError when the query fails.
    """
    athena = aws.client("athena")
    if (size := len(sql.encode())) > QUERY_BYTES:
        raise LakebookError(
            f"A query for Athena has {size:,} bytes, and it takes {QUERY_BYTES:,}: too many"
            f" columns, or too long names, in {' '.join(sql.split())[-80:]}; leave the table out"
            " (excluded_tables)."
        )
    results: dict[str, Any] = {"ResultConfiguration": {"OutputLocation": output}} if output else {}
    started = athena.start_query_execution(
        QueryString=sql,
        QueryExecutionContext={"Database": database},
        WorkGroup=workgroup,
        **results,
    )
    wait(
        "Athena query",
        lambda: _awaits_query(dict(started)),
        DML_TIMEOUT_SECONDS,
        silent_seconds=SILENT_SECONDS,
    )
    pages = athena.get_paginator("get_query_results").paginate(
        QueryExecutionId=started["QueryExecutionId"]
    )
    rows = [
        [value.get("VarCharValue") for value in row["Data"]]
        for page in pages
        for row in page["ResultSet"]["Rows"]
    ]
    return rows[1:]  # the first is the header


def _listed(files: list[dict[str, Any]]) -> str:
    return "".join(f"{each['uri']} {each['etag']}\n" for each in files)


def _awaits_query(started: dict[str, Any]) -> str | None:
    found = aws.client("athena").get_query_execution(QueryExecutionId=started["QueryExecutionId"])[
        "QueryExecution"
    ]
    state = found["Status"]["State"]
    if state in ("FAILED", "CANCELLED"):
        reason = found["Status"].get("StateChangeReason", "no reason given")
        raise LakebookError(f"The Athena query {found['QueryExecutionId']} ended {state}: {reason}")
    return None if state == "SUCCEEDED" else str(state)
