"""The statements of Redshift that are told by their first words, as sqlglot does not read them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pyarrow
from sqlglot import exp

from local_aws.redshift import copy as redshift_copy
from local_aws.redshift import ddl, external, grants, protection, queries, sql, unload
from local_aws.redshift.database import keep_up, relation_exists
from local_aws.redshift.grants import NAME
from local_aws.redshift.sql import RedshiftError
from local_aws.redshift.types import Outcome, of_duckdb

if TYPE_CHECKING:
    from collections.abc import Callable

    from local_aws.redshift.session import Session


KEEP_UP = re.compile(
    rf"(?P<verb>VACUUM|ANALYZE)(?:\s+(?P<kind>FULL|SORT\s+ONLY|DELETE\s+ONLY|REINDEX|RECLUSTER|VERBOSE))?(?:\s+(?P<table>{NAME}(?:\.{NAME})?))?"
    r"(?:\s*\([^)]*\))?(?:\s+TO\s+\d+\s+PERCENT)?(?:\s+BOOST)?(?:\s+(?:PREDICATE|ALL)\s+COLUMNS)?",
    re.IGNORECASE,
)

# whatever they are, answers are the same
FREE = ("application_name", "extra_float_digits", "query_group")


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
    plan = session.connection.execute(
        f"EXPLAIN {queries.query(session, tree, text).sql(dialect='duckdb')}"
    ).fetchall()[0][1]
    lines = pyarrow.table({"c0": plan.splitlines()})
    return Outcome(lines.num_rows, [("QUERY PLAN", of_duckdb("VARCHAR"))], lines)


def _keep_up(session: Session, text: str, _query_id: int) -> Outcome:
    """VACUUM and ANALYZE have nothing to do in DuckDB, which keeps its own statistics:
    SVV_TABLE_INFO shows them as done.
    """
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
        rows = session.connection.execute(
            "SELECT schema_name, table_name FROM local_aws.tables"
        ).fetchall()
        places = [(schema, name) for schema, name in rows if session.rights.owns(schema, name)]
    sort = vacuum and (found["kind"] or "").upper() not in ("DELETE ONLY", "RECLUSTER")
    for schema, name in places:
        keep_up(session.connection, schema, name, sort=sort, analyze=not vacuum)
    return Outcome()


def _set(session: Session, text: str, _query_id: int) -> Outcome:
    found = re.fullmatch(
        r"SET\s+(?:SESSION\s+|LOCAL\s+)?(\w+)\s*(?:TO|=)\s*(.+)", text, re.IGNORECASE | re.DOTALL
    )
    if not found or found[1].lower() not in session.settings:
        raise RedshiftError(f"local_aws does not do this statement: {text[:100]}")
    name, value = found[1].lower(), found[2].strip()
    if name == "search_path":
        names = [each.strip().strip("'\"").lower() for each in value.split(",")]
        session.schema = next((each for each in names if each != "$user"), "public")
        session.connection.execute(f"SET search_path = '{session.schema},main'")
    elif name not in FREE and value.strip("'\"").lower() not in (
        session.settings[name].lower(),
        "default",
    ):
        raise RedshiftError(f"local_aws has {name} = {session.settings[name]} only")
    session.settings[name] = (
        value.strip("'") if name in (*FREE, "search_path") else session.settings[name]
    )
    return Outcome()


def _show(session: Session, text: str, _query_id: int) -> Outcome:
    words = re.sub(r"^SHOW\s+", "", text, flags=re.IGNORECASE).lower().split()
    name = (
        "transaction_isolation"
        if words == ["transaction", "isolation", "level"]
        else " ".join(words)
    )
    if name not in session.settings:
        raise RedshiftError(f"local_aws does not do this statement: {text[:100]}")
    return Outcome(
        1, [(name, of_duckdb("VARCHAR"))], pyarrow.table({"c0": [session.settings[name]]})
    )


def _lock(session: Session, text: str, _query_id: int) -> Outcome:
    """Nothing more to do: whoever changes a database is alone in it until its transaction ends, and
    LOCK counts as a change.
    """
    for each in re.sub(r"^LOCK\s+(TABLE\s+)?", "", text, flags=re.IGNORECASE).split(","):
        schema, name = session.names_of(each.strip())
        if not relation_exists(session.connection, schema, name):
            raise RedshiftError(f'relation "{name}" does not exist')
        session.rights.touch(schema, name, "UPDATE")
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
    (r"UNLOAD\b", lambda session, text, _: Outcome(unload.unload(session, text))),
    (
        r"CREATE\s+EXTERNAL\s+SCHEMA\b",
        lambda session, text, _: Outcome(external.create_schema(session, text)),
    ),
    (r"CREATE\s+SCHEMA\b", lambda session, text, _: Outcome(ddl.create_schema(session, text))),
    (r"COMMENT\b", lambda session, text, _: Outcome(ddl.comment(session, text))),
    (r"EXPLAIN\b", _explain),
    (r"(VACUUM|ANALYZE)\b", _keep_up),
    (r"LOCK\b", _lock),
    (r"SET\b", _set),
    (r"SHOW\b", _show),
]
