"""What a Redshift database reads and writes outside itself: schemas over the Data Catalog, and
UNLOAD to Parquet.
"""

from __future__ import annotations

import re
import uuid
from typing import TYPE_CHECKING

from sqlglot import exp

from local_aws.lake_tables import lake_table, literal, quote
from local_aws.redshift import rights as redshift_rights
from local_aws.redshift import sql as redshift_sql
from local_aws.redshift.copy import ROLE, check_role, denials, detailed, lake_as
from local_aws.redshift.database import schema_exists
from local_aws.redshift.sql import RedshiftError

if TYPE_CHECKING:
    import duckdb

    from local_aws.redshift.database import Database
    from local_aws.redshift.statements import Session
    from local_aws.s3.objects import Objects

SCHEMA = re.compile(
    r"CREATE\s+EXTERNAL\s+SCHEMA\s+(IF\s+NOT\s+EXISTS\s+)?(\"[^\"]+\"|\w+)\s+FROM\s+DATA\s+CATALOG\s+DATABASE\s+'([^']+)'\s*(.*)",
    re.IGNORECASE | re.DOTALL,
)
UNLOAD = re.compile(
    r"UNLOAD\s*\(\s*(?:'(?P<quoted>(?:[^']|'')*)'|\$\$(?P<dollar>.*?)\$\$)\s*\)\s*TO\s*'(?P<target>s3://[^']+)'\s*(?P<options>.*)",
    re.IGNORECASE | re.DOTALL,
)


def external_database(connection: duckdb.DuckDBPyConnection, schema: str) -> str:
    """The database of the Data Catalog behind an external schema, "" where it is none."""
    found = connection.execute(
        "SELECT database_name FROM local_aws.external_schemas WHERE schema_name = ?", [schema]
    ).fetchall()
    return str(found[0][0]) if found else ""


def create_schema(session: Session, text: str) -> int:
    """A schema whose tables are those of a database of the Data Catalog, as they are when they are
    read.
    """
    found = SCHEMA.fullmatch(text)
    role = ROLE.search(found[4]) if found else None
    if not found or not role:
        raise RedshiftError(
            "local_aws does CREATE EXTERNAL SCHEMA name FROM DATA CATALOG DATABASE 'database'"
            " IAM_ROLE 'arn'"
        )
    if rest := re.sub(
        r"\bREGION\s+'[^']*'", "", ROLE.sub("", found[4]), flags=re.IGNORECASE
    ).strip():
        raise RedshiftError(f"local_aws does not do CREATE EXTERNAL SCHEMA with {rest}")
    arn, name, database = (
        check_role(session.database, role["role"] or ""),
        found[2].strip('"').lower(),
        found[3].lower(),
    )
    if schema_exists(session.connection, name):
        if found[1]:
            return 0
        raise RedshiftError(f'Schema "{name}" already exists')
    glue = lake_as(session.database, arn).client("glue")
    with denials():
        try:
            glue.get_database(Name=database)
        except glue.exceptions.EntityNotFoundException as absent:
            raise RedshiftError(
                detailed(f"EntityNotFoundException: Database {database} not found.", "Glue", 8001)
            ) from absent
    session.rights.create_schema(session.database.name)
    session.connection.execute(f"CREATE SCHEMA {quote(name)}")
    redshift_rights.made(session.connection, session.user, name)
    session.connection.execute(
        "INSERT INTO local_aws.external_schemas VALUES (?, ?, ?)", [name, database, arn]
    )
    return 0


def view(
    database: Database, connection: duckdb.DuckDBPyConnection, schema: str, name: str, said: str
) -> str:
    """A temporary view over a table of an external schema, read with its role; raises
    RedshiftError, LakeError.
    """
    found = connection.execute(
        "SELECT database_name, role_arn FROM local_aws.external_schemas WHERE schema_name = ?",
        [schema],
    ).fetchall()
    catalog_database, role = found[0]
    with denials():
        lake = lake_as(database, role, lake_formation=True)
        table = lake_table(lake, catalog_database, name)
        if table is None:
            raise RedshiftError(f'relation "{said}" does not exist')
        place = f"lake_{schema}_{name}"  # what is seen is the role's, and so the schema's
        table.show(connection, place, lake)
    return place


def unload(session: Session, text: str) -> int:
    """The rows of a query written as Parquet below a prefix; how many."""
    found = UNLOAD.fullmatch(text)
    if not found:
        raise RedshiftError(
            "local_aws does UNLOAD ('query') TO 's3://…' IAM_ROLE 'arn' FORMAT AS PARQUET"
        )
    role = ROLE.search(found["options"])
    if not role:
        raise RedshiftError("UNLOAD needs IAM_ROLE")
    arn = check_role(session.database, role["role"] or "")
    rest = ROLE.sub(" ", found["options"])
    if not re.search(r"\bPARQUET\b", rest, re.IGNORECASE):
        raise RedshiftError("local_aws does UNLOAD with FORMAT AS PARQUET only")
    overwrite = re.search(r"\b(ALLOWOVERWRITE|CLEANPATH)\b", rest, re.IGNORECASE)
    if left := re.sub(  # ENCRYPTED without a key is S3's own encryption, which every object has
        r"\b(FORMAT|AS|PARQUET|ENCRYPTED|ALLOWOVERWRITE|CLEANPATH|PARALLEL|ON|OFF|TRUE|FALSE)\b",
        " ",
        rest,
        flags=re.IGNORECASE,
    ).split():
        raise RedshiftError(f"local_aws does not do UNLOAD with {left[0].upper()}")
    query = found["dollar"] or found["quoted"].replace("''", "'")
    trees = redshift_sql.parse(query)
    if len(trees) != 1 or not isinstance(trees[0], exp.Query):
        raise RedshiftError('syntax error at or near "UNLOAD"')
    sql = session.query(trees[0], query).sql(dialect="duckdb")
    with denials():
        return _write(
            session,
            lake_as(session.database, arn).objects,
            sql,
            found["target"],
            clean=bool(overwrite),
        )


def _write(session: Session, objects: Objects, sql: str, target: str, *, clean: bool) -> int:
    bucket, _, prefix = target.removeprefix("s3://").partition("/")
    if not objects.bucket_exists(bucket):
        raise RedshiftError(
            detailed(
                "S3ServiceException:The specified bucket does not exist,Status 404,Error"
                " NoSuchBucket",
                target,
                8001,
            )
        )
    if there := objects.keys(bucket, prefix):
        if not clean:
            raise RedshiftError(
                detailed(
                    "Specified unload destination on S3 is not empty. Consider using a different"
                    " bucket / prefix, manually removing the target files in S3, or using the"
                    " ALLOWOVERWRITE option.",
                    "",
                    8001,
                )
            )
        objects.delete(bucket, there)
    scratch = session.database.path.parent / f"{uuid.uuid4().hex}.parquet"
    rows = int(
        session.connection.execute(
            f"COPY ({sql}) TO {literal(str(scratch))} (FORMAT parquet)"
        ).fetchall()[0][0]
    )
    if rows:
        objects.put_file(bucket, f"{prefix}0000_part_00.parquet", scratch)
    else:
        scratch.unlink()
    return rows
