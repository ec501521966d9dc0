"""Athena's statements over the catalog (Hive DDL, SHOW, DESCRIBE), and which function runs which
statement.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlglot import exp

from local_aws.athena import queries, trino_sql, writes
from local_aws.athena.results import Result, column_info
from local_aws.athena.writes import PARQUET, lake_table_exists
from local_aws.engines.lake_tables import LakeError

if TYPE_CHECKING:
    from collections.abc import Callable

    from local_aws.athena.queries import Job

__all__ = ["KINDS", "Kind", "kind_of"]
NAME = r"(?:`[^`]+`|\"[^\"]+\"|\w+)"
TABLE = rf"({NAME}(?:\.{NAME})?)"


class Kind(NamedTuple):
    """What a statement is to the API, and what runs it."""

    statement: str  # StatementType
    substatement: str
    ending: str  # of its result's name
    run: Callable[[Job], None]


def kind_of(sql: str) -> Kind | None:
    """What a statement is, or None when Athena has no such statement."""
    text = re.sub(r"/\*.*?\*/|--[^\n]*", " ", sql, flags=re.DOTALL).strip()
    return next(
        (kind for pattern, kind in KINDS if re.match(pattern, text, re.IGNORECASE | re.DOTALL)),
        None,
    )


def _names(text: str, database: str) -> tuple[str, str]:
    parts = [part.strip('`"').lower() for part in re.findall(NAME, text)]
    return (parts[0], parts[1]) if len(parts) > 1 else (database.lower(), parts[0])


def _matched(pattern: str, job: Job) -> re.Match[str]:
    found = re.fullmatch(pattern + r"\s*;?\s*", job.sql.strip(), re.IGNORECASE | re.DOTALL)
    if not found:
        raise LakeError(
            "SYNTAX_ERROR",
            f"line 1:1: local_aws does not understand {' '.join(job.sql.split())[:100]}",
        )
    return found


def _table(job: Job, text: str) -> dict[str, Any]:
    database, name = _names(text, job.database)
    if not lake_table_exists(job.stand_in, database, name):
        raise LakeError(
            "FAILED", f"SemanticException [Error 10001]: Table not found {database}.{name}"
        )
    found: dict[str, Any] = job.stand_in.client("glue").get_table(DatabaseName=database, Name=name)[
        "Table"
    ]
    return found


def _answer(job: Job, names: list[str], rows: list[list[str | None]]) -> None:
    job.result = Result(
        [column_info(name, "VARCHAR") | {"Type": "string"} for name in names],
        rows=rows,
        header=False,
    )


def _like(names: list[str], pattern: str | None) -> list[list[str | None]]:
    wanted = re.compile((pattern or "*").replace("*", ".*").replace("%", ".*"), re.IGNORECASE)
    return [[name] for name in sorted(names) if wanted.fullmatch(name)]


def create_database(job: Job) -> None:
    """A database of the catalog."""
    found = _matched(
        rf"CREATE\s+(?:DATABASE|SCHEMA)\s+(IF\s+NOT\s+EXISTS\s+)?({NAME})(?:\s+COMMENT\s+'([^']*)')?(?:\s+LOCATION\s+'([^']*)')?",
        job,
    )
    glue = job.stand_in.client("glue")
    described = {
        "Name": found[2].strip('`"').lower(),
        "Description": found[3],
        "LocationUri": found[4],
    }
    try:
        glue.create_database(
            DatabaseInput={name: value for name, value in described.items() if value}
        )
    except glue.exceptions.AlreadyExistsException as there:
        if not found[1]:
            raise LakeError(
                "FAILED",
                "Execution Error, return code 1 from org.apache.hadoop.hive.ql.exec.DDLTask."
                f" Database {described['Name']} already exists",
            ) from there


def drop_database(job: Job) -> None:
    """The database gone; with tables in it only by CASCADE."""
    found = _matched(
        rf"DROP\s+(?:DATABASE|SCHEMA)\s+(IF\s+EXISTS\s+)?({NAME})(\s+(?:CASCADE|RESTRICT))?", job
    )
    glue, name = job.stand_in.client("glue"), found[2].strip('`"').lower()
    try:
        tables = glue.get_tables(DatabaseName=name)["TableList"]
    except glue.exceptions.EntityNotFoundException as absent:
        if found[1]:
            return
        raise LakeError(
            "FAILED", f"SemanticException [Error 10072]: Database does not exist: {name}"
        ) from absent
    if tables and "cascade" not in (found[3] or "").lower():
        raise LakeError(
            "FAILED",
            "Execution Error, return code 1 from org.apache.hadoop.hive.ql.exec.DDLTask."
            f" InvalidOperationException(message:Database {name} is not empty. One or more tables"
            " exist.)",
        )
    glue.delete_database(Name=name)


def create_table(job: Job) -> None:
    """A table of the catalog over files that are or will be there."""
    tree = trino_sql.parse(job.sql, trino_sql.RESERVED_IN_DDL)
    schema, properties = tree.this, tree.args.get("properties")
    if (
        not isinstance(schema, exp.Schema)
        or not properties
        or not properties.find(exp.ExternalProperty)
    ):
        raise LakeError(
            "NOT_SUPPORTED",
            "local_aws creates tables by CREATE EXTERNAL TABLE and CREATE TABLE … AS; it has no"
            " Iceberg.",
        )
    database, name = _names(schema.this.sql(dialect="athena"), job.database)
    if lake_table_exists(job.stand_in, database, name):
        if tree.args.get("exists"):
            return
        raise LakeError(
            "FAILED",
            "Execution Error, return code 1 from org.apache.hadoop.hive.ql.exec.DDLTask."
            f" AlreadyExistsException(message:Table {name} already exists.)",
        )
    location, stored = (
        properties.find(exp.LocationProperty),
        properties.find(exp.FileFormatProperty),
    )
    serde = properties.find(exp.RowFormatSerdeProperty)
    if not (
        (stored and stored.this.name.upper() == "PARQUET")
        or (serde and "parquet" in serde.this.name.lower())
    ):
        raise LakeError(
            "NOT_SUPPORTED", "local_aws reads tables over Parquet only: say STORED AS PARQUET."
        )
    if location is None:
        raise LakeError(
            "FAILED", "SemanticException Cannot create table: LOCATION must be specified"
        )
    settings = {
        one.this.name: one.args["value"].name
        for one in (
            serde.args["serde_properties"].expressions
            if serde and serde.args.get("serde_properties")
            else []
        )
    }
    parted = properties.find(exp.PartitionedByProperty)
    comment = properties.find(exp.SchemaCommentProperty)
    storage = {"Columns": _columns(schema.expressions), "Location": location.this.name, **PARQUET}
    storage["SerdeInfo"] = {
        **PARQUET["SerdeInfo"],  # type: ignore[dict-item]
        "Parameters": {"serialization.format": "1", **settings},
    }
    parameters = {
        one.this.name: one.args["value"].name
        for one in properties.expressions
        if type(one) is exp.Property
    }
    described: dict[str, Any] = {
        "Name": name,
        "TableType": "EXTERNAL_TABLE",
        "StorageDescriptor": storage,
        "PartitionKeys": _columns(parted.this.expressions) if parted else [],
        "Parameters": {"EXTERNAL": "TRUE", **parameters},
    }
    if comment:
        described["Parameters"]["comment"] = comment.this.name
    job.stand_in.client("glue").create_table(DatabaseName=database, TableInput=described)


def _columns(definitions: list[exp.ColumnDef]) -> list[dict[str, str]]:
    columns = []
    for each in definitions:
        comment = each.find(exp.CommentColumnConstraint)
        kind = each.args["kind"].sql("hive").lower().replace(", ", ",").replace(": ", ":")
        columns.append(
            {
                "Name": each.name.lower(),
                "Type": kind,
                **({"Comment": comment.this.name} if comment else {}),
            }
        )
    return columns


def drop_table(job: Job) -> None:
    """The table gone from the catalog; its files stay."""
    found = _matched(rf"DROP\s+TABLE\s+(IF\s+EXISTS\s+)?{TABLE}", job)
    database, name = _names(found[2], job.database)
    if lake_table_exists(job.stand_in, database, name):
        job.stand_in.client("glue").delete_table(DatabaseName=database, Name=name)
    elif not found[1]:
        raise LakeError(
            "FAILED", f"SemanticException [Error 10001]: Table not found {database}.{name}"
        )


def alter_partitions(job: Job) -> None:
    """Partitions added or dropped by name."""
    found = _matched(
        rf"ALTER\s+TABLE\s+{TABLE}\s+(ADD|DROP)(\s+IF\s+(?:NOT\s+)?EXISTS)?((?:\s*,?\s*PARTITION\s*\([^)]*\)(?:\s*LOCATION\s*'[^']*')?)+)",
        job,
    )
    table, glue = _table(job, found[1]), job.stand_in.client("glue")
    keys, storage = [each["Name"] for each in table["PartitionKeys"]], table["StorageDescriptor"]
    for spec, location in re.findall(
        r"PARTITION\s*\(([^)]*)\)(?:\s*LOCATION\s*'([^']*)')?", found[4], re.IGNORECASE
    ):
        values = {
            name.lower(): value.strip("'\"")
            for name, value in re.findall(r"`?(\w+)`?\s*=\s*('[^']*'|\"[^\"]*\"|[^,\s]+)", spec)
        }
        where = {"DatabaseName": table["DatabaseName"], "TableName": table["Name"]}
        ordered = [values[key] for key in keys if key in values]
        try:
            if found[2].upper() == "DROP":
                glue.delete_partition(**where, PartitionValues=ordered)
            else:
                path = (
                    location
                    or storage["Location"].rstrip("/")
                    + "/"
                    + "/".join(f"{key}={values.get(key)}" for key in keys)
                    + "/"
                )
                glue.create_partition(
                    **where,
                    PartitionInput={
                        "Values": ordered,
                        "StorageDescriptor": {**storage, "Location": path},
                    },
                )
        except (
            glue.exceptions.AlreadyExistsException,
            glue.exceptions.EntityNotFoundException,
        ) as refused:
            if not found[3]:
                raise LakeError(
                    "FAILED", f"SemanticException {refused.response['Error']['Message']}"
                ) from refused


def repair(job: Job) -> None:
    """The partitions that files lie in and the catalog lacks, added."""
    table = _table(job, _matched(rf"MSCK\s+REPAIR\s+TABLE\s+{TABLE}", job)[1])
    glue, storage = job.stand_in.client("glue"), table["StorageDescriptor"]
    keys, where = (
        [each["Name"] for each in table["PartitionKeys"]],
        {"DatabaseName": table["DatabaseName"], "TableName": table["Name"]},
    )
    bucket, _, prefix = storage["Location"].removeprefix("s3://").partition("/")
    prefix = prefix.rstrip("/") + "/"
    have = {
        tuple(each["Values"])
        for page in glue.get_paginator("get_partitions").paginate(**where)
        for each in page["Partitions"]
    }
    pattern = re.compile("/".join(f"{re.escape(key)}=([^/]+)" for key in keys) + "/", re.IGNORECASE)
    folders = {
        found[0]: found.groups()
        for key in job.stand_in.objects.keys(bucket, prefix)
        if (found := pattern.match(key[len(prefix) :]))
    }
    added = (
        {folder: values for folder, values in folders.items() if values not in have} if keys else {}
    )
    for folder, values in added.items():
        glue.create_partition(
            **where,
            PartitionInput={
                "Values": list(values),
                "StorageDescriptor": {**storage, "Location": f"s3://{bucket}/{prefix}{folder}"},
            },
        )
    if added:
        names = [f"{table['Name']}:{folder.rstrip('/')}" for folder in added]
        lines = ["\t".join(["Partitions not in metastore:", *names])]
        lines += [f"Repair: Added partition to metastore {name}" for name in names]
        _answer(job, ["repair"], [[line] for line in lines])


def show_databases(job: Job) -> None:
    """The names of the catalog's databases."""
    pattern = _matched(r"SHOW\s+(?:DATABASES|SCHEMAS)(?:\s+LIKE)?(?:\s+'([^']*)')?", job)[1]
    _answer(
        job,
        ["database_name"],
        _like(
            [
                row[1]
                for row in queries.information(job.stand_in, "schemata")
                if row[1] != "information_schema"
            ],
            pattern,
        ),
    )


def show_tables(job: Job) -> None:
    """The names of a database's tables."""
    found = _matched(rf"SHOW\s+TABLES(?:\s+IN\s+({NAME}))?(?:\s+LIKE)?(?:\s+'([^']*)')?", job)
    database = (found[1] or job.database).strip('`"').lower()
    _answer(
        job,
        ["tab_name"],
        _like([row[2] for row in queries.information(job.stand_in, "tables", database)], found[2]),
    )


def show_partitions(job: Job) -> None:
    """The partitions of a table as `month=2013-01`."""
    table = _table(job, _matched(rf"SHOW\s+PARTITIONS\s+{TABLE}", job)[1])
    keys = [each["Name"] for each in table["PartitionKeys"]]
    if not keys:
        raise LakeError(
            "FAILED",
            "Execution Error, return code 1 from org.apache.hadoop.hive.ql.exec.DDLTask. Table"
            f" {table['Name']} is not a partitioned table",
        )
    pages = (
        job.stand_in.client("glue")
        .get_paginator("get_partitions")
        .paginate(DatabaseName=table["DatabaseName"], TableName=table["Name"])
    )
    names = [
        "/".join(f"{key}={value}" for key, value in zip(keys, each["Values"], strict=True))
        for page in pages
        for each in page["Partitions"]
    ]
    _answer(job, ["partition"], [[name] for name in sorted(names)])


def show_columns(job: Job) -> None:
    """The names of a table's columns."""
    found = _matched(rf"SHOW\s+COLUMNS\s+(?:IN|FROM)\s+{TABLE}(?:\s+(?:IN|FROM)\s+({NAME}))?", job)
    table = _table(job, f"{found[2]}.{found[1]}" if found[2] else found[1])
    _answer(
        job,
        ["field"],
        [
            [each["Name"]]
            for each in [*table["StorageDescriptor"]["Columns"], *table.get("PartitionKeys", [])]
        ],
    )


def describe(job: Job) -> None:
    """Columns, types and comments, padded as Hive does, the partition keys once more below."""
    table = _table(job, _matched(rf"DESC(?:RIBE)?\s+{TABLE}", job)[1])
    keys = table.get("PartitionKeys", [])

    def line(each: dict[str, str]) -> list[str | None]:
        return [f"{each['Name']:20}", f"{each['Type']:20}", f"{each.get('Comment', ''):20}"]

    rows = [line(each) for each in [*table["StorageDescriptor"]["Columns"], *keys]]
    if keys:
        rows += [
            ["", "", ""],
            ["# Partition Information", "", ""],
            [f"{'# col_name':20}", f"{'data_type':20}", f"{'comment':20}"],
            ["", "", ""],
            *map(line, keys),
        ]
    _answer(job, ["col_name", "data_type", "comment"], rows)


def explain(job: Job) -> None:
    """DuckDB's plan of the query, not Trino's; the query is checked as if it ran."""
    text = _matched(r"EXPLAIN\s+(.*)", job)[1]
    job.sql = text
    sql, _ = job.query(trino_sql.parse(text))
    plan = job.connection.execute(f"EXPLAIN {sql}").fetchall()[0][1]
    _answer(job, ["Query Plan"], [[line] for line in plan.splitlines()])


def refused(job: Job) -> None:
    """A statement of Athena that local_aws does not do."""
    raise LakeError(
        "NOT_SUPPORTED", f"local_aws does not do this statement: {' '.join(job.sql.split())[:100]}"
    )


KINDS: list[tuple[str, Kind]] = [
    (r"\(|SELECT\b|WITH\b|VALUES\b", Kind("DML", "SELECT", ".csv", queries.select)),
    (
        r"CREATE\s+TABLE\b.*\bAS\s*\(?\s*(SELECT|WITH|VALUES)\b",
        Kind("DDL", "CREATE_TABLE_AS_SELECT", "", writes.create_table_as),
    ),
    (r"INSERT\s+INTO\b", Kind("DML", "INSERT", "", writes.insert)),
    (r"UNLOAD\b", Kind("DML", "UNLOAD", "", writes.unload)),
    (r"CREATE\s+(DATABASE|SCHEMA)\b", Kind("DDL", "CREATE_DATABASE", ".txt", create_database)),
    (r"DROP\s+(DATABASE|SCHEMA)\b", Kind("DDL", "DROP_DATABASE", ".txt", drop_database)),
    (r"CREATE\s+(EXTERNAL\s+)?TABLE\b", Kind("DDL", "CREATE_TABLE", ".txt", create_table)),
    (r"DROP\s+TABLE\b", Kind("DDL", "DROP_TABLE", ".txt", drop_table)),
    (
        r"ALTER\s+TABLE\b.*\b(ADD|DROP)\b.*\bPARTITION\b",
        Kind("DDL", "ALTER_TABLE", ".txt", alter_partitions),
    ),
    (r"MSCK\b", Kind("DDL", "MSCK_REPAIR_TABLE", ".txt", repair)),
    (r"SHOW\s+(DATABASES|SCHEMAS)\b", Kind("UTILITY", "SHOW_DATABASES", ".txt", show_databases)),
    (r"SHOW\s+TABLES\b", Kind("UTILITY", "SHOW_TABLES", ".txt", show_tables)),
    (r"SHOW\s+PARTITIONS\b", Kind("UTILITY", "SHOW_PARTITIONS", ".txt", show_partitions)),
    (r"SHOW\s+COLUMNS\b", Kind("UTILITY", "SHOW_COLUMNS", ".txt", show_columns)),
    (r"DESC(RIBE)?\b", Kind("UTILITY", "DESCRIBE_TABLE", ".txt", describe)),
    (r"EXPLAIN\b", Kind("UTILITY", "EXPLAIN", ".txt", explain)),
    (
        r"(ALTER|ANALYZE|CREATE|DELETE|DROP|EXECUTE|DEALLOCATE|GRANT|MERGE|OPTIMIZE|PREPARE|REVOKE|SHOW|TABLE|UPDATE|VACUUM|USING)\b",
        Kind("DDL", "", ".txt", refused),
    ),
]
