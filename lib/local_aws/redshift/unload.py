"""UNLOAD: the rows of a query as Parquet below a prefix of S3."""

from __future__ import annotations

import re
import uuid
from typing import TYPE_CHECKING

from sqlglot import exp

from local_aws.duckdb_sql import literal
from local_aws.redshift import queries
from local_aws.redshift import sql as redshift_sql
from local_aws.redshift.copy import ROLE, check_role, denials, detailed, lake_as
from local_aws.redshift.sql import RedshiftError

if TYPE_CHECKING:
    from local_aws.redshift.session import Session
    from local_aws.s3.objects import Objects

UNLOAD = re.compile(
    r"UNLOAD\s*\(\s*(?:'(?P<quoted>(?:[^']|'')*)'|\$\$(?P<dollar>.*?)\$\$)\s*\)\s*TO\s*'(?P<target>s3://[^']+)'\s*(?P<options>.*)",
    re.IGNORECASE | re.DOTALL,
)


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
    sql = queries.query(session, trees[0], query).sql(dialect="duckdb")
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
