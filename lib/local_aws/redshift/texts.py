"""The statements of Redshift that are told by their first words, as sqlglot does not read them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pyarrow
from sqlglot import exp

from local_aws.redshift import copy as redshift_copy
from local_aws.redshift import ddl, external, grants, protection, sql
from local_aws.redshift.database import keep_up, relation_exists
from local_aws.redshift.grants import NAME
from local_aws.redshift.sql import RedshiftError
from local_aws.redshift.types import Outcome, of_duckdb

if TYPE_CHECKING:
    from collections.abc import Callable

    from local_aws.redshift.statements import Session


KEEP_UP = re.compile(
    rf"(?P<verb>VACUUM|ANALYZE)(?:\s+(?P<kind>FULL|SORT\s+ONLY|DELETE\s+ONLY|REINDEX|RECLUSTER|VERBOSE))?(?:\s+(?P<table>{NAME}(?:\.{NAME})?))?"
    r"(?:\s*\([^)]*\))?(?:\s+TO\s+\d+\s+PERCENT)?(?:\s+BOOST)?(?:\s+(?:PREDICATE|ALL)\s+COLUMNS)?",
    re.IGNORECASE,
)


def _copy(session: Session, text: str, query_id: int) -> Outcome:
    return Outcome(redshift_copy.copy(session, text, query_id))


def _rights(session: Session, text: str, _query_id: int) -> Outcome:
    grants.run(session, text)
    return Outcome()


def _explain(session: Session, text: str, _query_id: int) -> Outcome:
    """DuckDB's plan, not Redshift's, of a query that is checked as if it ran."""
    tree = sql.parse(re.sub(r"^EXPLAIN(\s+VERBOSE)?\s+", "", text, flags=re.IGNORECASE))[0]
    if not isinstance(tree, exp.Query):
        raise RedshiftError("local_aws does EXPLAIN of queries only")
    plan = session.connection.execute(f"EXPLAIN {session.query(tree, text).sql(dialect='duckdb')}").fetchall()[0][1]
    lines = pyarrow.table({"c0": plan.splitlines()})
    return Outcome(lines.num_rows, [("QUERY PLAN", of_duckdb("VARCHAR"))], lines)


def _keep_up(session: Session, text: str, _query_id: int) -> Outcome:
    """VACUUM and ANALYZE have nothing to do in DuckDB, which keeps its own statistics: SVV_TABLE_INFO shows them as done."""
    found = KEEP_UP.fullmatch(text)
    if not found:
        raise RedshiftError(f"local_aws does not do this statement: {' '.join(text.split())[:100]}")
    vacuum = found["verb"].upper() == "VACUUM"
    if vacuum and session.in_block:
        raise RedshiftError("VACUUM cannot run inside a transaction block")
    if found["table"]:
        places = [session.names_of(found["table"])]
        if not relation_exists(session.connection, *places[0]):
            raise RedshiftError(f'relation "{places[0][1]}" does not exist')
        session.rights.change(*places[0])
    else:
        rows = session.connection.execute("SELECT schema_name, table_name FROM local_aws.tables").fetchall()
        places = [(schema, name) for schema, name in rows if session.rights.owns(schema, name)]
    sort = vacuum and (found["kind"] or "").upper() not in ("DELETE ONLY", "RECLUSTER")
    for schema, name in places:
        keep_up(session.connection, schema, name, sort=sort, analyze=not vacuum)
    return Outcome()


def _set(session: Session, text: str, _query_id: int) -> Outcome:
    found = re.fullmatch(r"SET\s+search_path\s*(?:TO|=)\s*(.+)", text, re.IGNORECASE)
    if not found:
        raise RedshiftError(f"local_aws does not do this statement: {text[:100]}")
    names = [name.strip().strip("'\"").lower() for name in found[1].split(",")]
    session.schema = next((name for name in names if name != "$user"), "public")
    session.connection.execute(f"SET search_path = '{session.schema},main'")
    return Outcome()


def _protection(session: Session, text: str, _query_id: int) -> Outcome:
    protection.run(session, text)
    return Outcome()


TEXTS: list[tuple[str, Callable[[Session, str, int], Outcome]]] = [
    (r"(GRANT|REVOKE|(CREATE|DROP)\s+(USER|ROLE)|ALTER\s+DEFAULT\s+PRIVILEGES)\b", _rights),
    (r"ALTER\s+(TABLE|SCHEMA)\s.*\sOWNER\s+TO\b", _rights),
    (r"(CREATE|DROP|ATTACH|DETACH|ALTER)\s+RLS\s+POLICY\b", _protection),
    (r"ALTER\s+TABLE\s.*\sROW\s+LEVEL\s+SECURITY\b", _protection),
    (r"COPY\b", _copy),
    (r"UNLOAD\b", lambda session, text, _: Outcome(external.unload(session, text))),
    (r"CREATE\s+EXTERNAL\s+SCHEMA\b", lambda session, text, _: Outcome(external.create_schema(session, text))),
    (r"CREATE\s+SCHEMA\b", lambda session, text, _: Outcome(ddl.create_schema(session, text))),
    (r"COMMENT\b", lambda session, text, _: Outcome(ddl.comment(session, text))),
    (r"EXPLAIN\b", _explain),
    (r"(VACUUM|ANALYZE)\b", _keep_up),
    (r"SET\b", _set),
]
