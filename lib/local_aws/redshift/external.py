"""External schemas: the tables of a database of the Data Catalog, read where they are."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from local_aws.duckdb_sql import quote
from local_aws.engines.lake_tables import lake_table
from local_aws.redshift import rights as redshift_rights
from local_aws.redshift.copy import ROLE, check_role, denials, detailed, lake_as
from local_aws.redshift.database import schema_exists
from local_aws.redshift.sql import RedshiftError, folded

if TYPE_CHECKING:
    import duckdb

    from local_aws.redshift.database import Database
    from local_aws.redshift.session import Session

SCHEMA = re.compile(
    r"CREATE\s+EXTERNAL\s+SCHEMA\s+(IF\s+NOT\s+EXISTS\s+)?(\"[^\"]+\"|\w+)\s+FROM\s+DATA\s+CATALOG\s+DATABASE\s+'([^']+)'\s*(.*)",
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
        folded(found[2]),
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
