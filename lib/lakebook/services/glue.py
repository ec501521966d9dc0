"""AWS Glue: catalog databases, tables over Parquet, their partitions, and jobs with their runs."""

from __future__ import annotations

import json
import re
from functools import partial
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from lakebook import aws
from lakebook.ensure import Call, current, resource
from lakebook.errors import LakebookError

if TYPE_CHECKING:
    from collections.abc import Iterator

GONE = "EntityNotFoundException"
PARTITIONS_PER_CALL = 100  # the limit of Glue's batch operations
# what no text of the catalog may hold: control characters, which Glue's patterns leave out
UNWRITABLE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")
PARQUET = {
    "InputFormat": "org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat",
    "OutputFormat": "org.apache.hadoop.hive.ql.io.parquet.MapredParquetOutputFormat",
}
PARQUET_SERDE = "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe"


@resource
def database(name: str, description: str) -> Iterator[Call]:
    """A database of the Data Catalog, whose new tables hand nothing to IAM_ALLOWED_PRINCIPALS by
    default settings of the account.
    """
    glue, desired = aws.client("glue"), {"Name": name, "Description": description}
    actual = current(glue.get_database, GONE, Name=name)
    if actual is None:
        yield Call(glue.create_database, {"DatabaseInput": desired})
    elif not desired.items() <= actual["Database"].items():
        yield Call(glue.update_database, {"Name": name, "DatabaseInput": desired})


@resource
def table(
    name: str, database: str, desired: dict[str, Any], without: tuple[str, ...] = ()
) -> Iterator[Call]:
    """A table as `parquet_table` describes it, and without some parameters; what others add to its
    parameters stays.
    """
    glue, actual = aws.client("glue"), describe(database, name)
    if actual is None:
        yield Call(
            glue.create_table, {"DatabaseName": database, "TableInput": {"Name": name, **desired}}
        )
    elif _differs(actual, desired) or set(without) & set(actual.get("Parameters", {})):
        others = {
            key: each for key, each in actual.get("Parameters", {}).items() if key not in without
        }
        parameters = {**others, **desired["Parameters"]}
        yield Call(
            glue.update_table,
            {
                "DatabaseName": database,
                "TableInput": {"Name": name, **desired, "Parameters": parameters},
            },
        )


@resource
def partitions(
    table_name: str, database: str, declared: dict[tuple[str, ...], str]
) -> Iterator[Call]:
    """The partitions of a table, values to location; existing ones are moved by one call for every
    hundred, so that readers see each whole.
    """
    glue = aws.client("glue")
    actual = {
        tuple(each["Values"]): each["StorageDescriptor"]["Location"]
        for each in found_partitions(database, table_name)
    }
    storage = (describe(database, table_name) or {}).get("StorageDescriptor", {})
    where = {"DatabaseName": database, "TableName": table_name}

    def described(values: tuple[str, ...]) -> dict[str, Any]:
        return {
            "Values": list(values),
            "StorageDescriptor": {**storage, "Location": declared[values]},
        }

    for chunk in _chunks(
        [values for values in declared if values in actual and actual[values] != declared[values]]
    ):
        entries = [
            {"PartitionValueList": list(values), "PartitionInput": described(values)}
            for values in chunk
        ]
        yield Call(glue.batch_update_partition, {**where, "Entries": entries}, until=_listed_errors)
    for chunk in _chunks([values for values in declared if values not in actual]):
        yield Call(
            glue.batch_create_partition,
            {**where, "PartitionInputList": [described(values) for values in chunk]},
            until=_listed_errors,
        )
    # the limit of this one
    for chunk in _chunks([values for values in actual if values not in declared], 25):
        yield Call(
            glue.batch_delete_partition,
            {**where, "PartitionsToDelete": [{"Values": list(values)} for values in chunk]},
            until=_listed_errors,
        )


@resource
def spark_job(
    name: str,
    role_arn: str,
    script_uri: str,
    arguments: dict[str, str],
    *,
    workers: int,
    worker_type: str,
    timeout_minutes: int,
) -> Iterator[Call]:
    """A Glue 5.1 Spark job that runs one script."""
    glue = aws.client("glue")
    actual = current(glue.get_job, GONE, JobName=name)
    desired = {
        "Role": role_arn,
        "Command": {"Name": "glueetl", "ScriptLocation": script_uri, "PythonVersion": "3"},
        "DefaultArguments": arguments,
        "GlueVersion": "5.1",
        "WorkerType": worker_type,
        "NumberOfWorkers": workers,
        "Timeout": timeout_minutes,
    }
    if actual is None:
        yield Call(glue.create_job, {"Name": name, **desired})
    elif not desired.items() <= actual["Job"].items():
        yield Call(glue.update_job, {"JobName": name, "JobUpdate": desired})


def run_job(name: str, arguments: dict[str, str], timeout_seconds: float) -> Call:
    """The call that starts a run and waits for its end; raises LakebookError with the job's own
    error when it fails.
    """
    return Call(
        aws.client("glue").start_job_run,
        {"JobName": name, "Arguments": arguments},
        until=partial(_awaits_run, name),
        timeout_seconds=timeout_seconds,
    )


def with_parameters(database: str, actual: dict[str, Any], parameters: dict[str, str]) -> Call:
    """The call that gives a table, as the catalog describes it, these parameters instead."""
    glue = aws.client("glue")
    shape: Any = glue.meta.service_model.shape_for("TableInput")
    told = {key: each for key, each in actual.items() if key in shape.members}
    wanted = {"DatabaseName": database, "TableInput": {**told, "Parameters": parameters}}
    return Call(glue.update_table, wanted)


@resource
def no_table(name: str, database: str) -> Iterator[Call]:
    """A table that is not in the catalog any more; its files stay."""
    if describe(database, name):
        yield Call(aws.client("glue").delete_table, {"DatabaseName": database, "Name": name})


def describe(database: str, name: str) -> dict[str, Any] | None:
    """A table as the catalog has it, or None."""
    found = current(aws.client("glue").get_table, GONE, DatabaseName=database, Name=name)
    return found and found["Table"]


def has_database(name: str) -> bool:
    """Whether the catalog has a database."""
    return current(aws.client("glue").get_database, GONE, Name=name) is not None


def tables(database: str) -> list[dict[str, Any]]:
    """The tables of a database, by name; none where the database is absent."""
    glue = aws.client("glue")
    if not has_database(database):
        return []
    pages = glue.get_paginator("get_tables").paginate(DatabaseName=database)
    return sorted(
        (dict(each) for page in pages for each in page["TableList"]), key=itemgetter("Name")
    )


def parquet_table(
    columns: list[tuple[str, str, str]],
    location: str,
    comment: str,
    parameters: dict[str, str],
    partition_keys: list[tuple[str, str, str]] | None = None,
    *,
    by_position: bool = False,
) -> dict[str, Any]:
    """A TableInput over Parquet files; columns and partition keys are (name, Hive type, comment).

    `by_position` reads columns by their place in the file, for files whose own names no catalog
    accepts (Athena user guide, "Parquet SerDe", parquet.column.index.access).
    """
    serde = {
        "SerializationLibrary": PARQUET_SERDE,
        "Parameters": {"parquet.column.index.access": "true"} if by_position else {},
    }
    return {
        "Description": _text(comment, 2048),
        "TableType": "EXTERNAL_TABLE",
        "StorageDescriptor": {
            "Columns": _columns(columns),
            "Location": location,
            **PARQUET,
            "SerdeInfo": serde,
        },
        "PartitionKeys": _columns(partition_keys or []),
        "Parameters": {"classification": "parquet", "EXTERNAL": "TRUE", **parameters},
    }


def _columns(columns: list[tuple[str, str, str]]) -> list[dict[str, str]]:
    return [
        {"Name": name, "Type": kind, "Comment": _text(" ".join(comment.split()), 255)}
        for name, kind, comment in columns
    ]


def _text(comment: str, longest: int) -> str:
    """A comment as Glue takes it: without control characters, in as many UTF-16 units as fit.

    Source: the patterns of CommentString, in which no line break is, and DescriptionString.
    """
    plain = UNWRITABLE.sub(" ", comment)
    return plain.encode("utf-16-le")[: 2 * longest].decode("utf-16-le", "ignore")


def _differs(actual: dict[str, Any], desired: dict[str, Any]) -> bool:
    storage, wanted = actual["StorageDescriptor"], desired["StorageDescriptor"]
    return (
        any(storage.get(key) != wanted[key] for key in ("Columns", "Location"))
        or actual.get("PartitionKeys", []) != desired["PartitionKeys"]
        or actual.get("Description", "") != desired["Description"]
        or not desired["Parameters"].items() <= actual.get("Parameters", {}).items()
    )


def found_partitions(database: str, table_name: str) -> list[dict[str, Any]]:
    """The partitions of a table as the catalog has them; none where the table is absent."""
    if describe(database, table_name) is None:
        return []
    pages = (
        aws.client("glue")
        .get_paginator("get_partitions")
        .paginate(DatabaseName=database, TableName=table_name)
    )
    return [dict(each) for page in pages for each in page["Partitions"]]


def _chunks(values: list[Any], size: int = PARTITIONS_PER_CALL) -> list[list[Any]]:
    return [values[start : start + size] for start in range(0, len(values), size)]


def _listed_errors(answer: dict[str, Any]) -> None:
    """Raise what AWS's batch operations only list under Errors while they answer 200."""
    if errors := answer.get("Errors"):
        raise LakebookError(
            f"Glue refused {len(errors)} partitions, the first with:"
            f" {json.dumps(errors[0], default=str)}"
        )


def _awaits_run(name: str, answer: dict[str, Any]) -> str | None:
    run = aws.client("glue").get_job_run(JobName=name, RunId=answer["JobRunId"])["JobRun"]
    state = run["JobRunState"]
    if state in ("FAILED", "ERROR", "TIMEOUT", "STOPPED", "EXPIRED"):
        reason = run.get("ErrorMessage", "no reason given")
        raise LakebookError(
            f"The Glue job {name} ended {state}: {reason} (log group /aws-glue/jobs/error, stream"
            f" {run['Id']}); the lake is as it was."
        )
    return None if state == "SUCCEEDED" else str(state)
