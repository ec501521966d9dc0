"""A read-only connection to the PostgreSQL database that a secret describes."""

from __future__ import annotations

import re
import threading
from typing import Any

import awswrangler as wr
from awswrangler.exceptions import InvalidConnection
from pg8000.exceptions import DatabaseError, InterfaceError  # type: ignore[import-untyped]

from lakebook.errors import LakebookError
from lakebook.source.postgresql.dialect import literal
from lakebook.source.secret import incomplete

TEXT_FORMS = {  # docs/types.md: the text form of every type depends on these
    "TimeZone": "UTC",
    "DateStyle": "ISO",
    "IntervalStyle": "postgres",
    "bytea_output": "hex",
    "extra_float_digits": "1",
    "xmlbinary": "base64",
}
# what a role's or a database's defaults could bend besides; a server of an older version lacks some
SETTINGS = {
    **TEXT_FORMS,
    "client_encoding": "UTF8",
    "standard_conforming_strings": "on",
    "transform_null_equals": "off",
    "quote_all_identifiers": "off",
    "row_security": "off",  # a table of which we may not see every row is refused, not filtered
    "default_transaction_read_only": "on",
    "default_transaction_isolation": "read committed",
    "default_transaction_deferrable": "off",
    "lock_timeout": "60s",
    "transaction_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
    "idle_session_timeout": "0",
    "application_name": "lakebook",
}
LOCK_NOT_AVAILABLE = "55P03"  # an SQLSTATE: lock_timeout is over
# a pg8000 connection serves one thread; the source is asked one thing at a time
ONE_AT_A_TIME = threading.Lock()


def connect(secret: str, *, statement_timeout_seconds: int, connect_timeout_seconds: int) -> Any:
    """A read-only pg8000 connection to the database that a Secrets Manager secret describes, one
    transaction a statement.

    Raises LakebookError, which never holds the password, when the secret or the database does not
    let us in.
    """
    try:
        connection = wr.postgresql.connect(secret_id=secret, timeout=connect_timeout_seconds)
        connection._usock.settimeout(None)  # noqa: SLF001 - pg8000 would apply the timeout to every statement, too
        connection.autocommit = True
        _settle(connection, {**SETTINGS, "statement_timeout": f"{statement_timeout_seconds}s"})
    except (
        KeyError,
        ValueError,
        TypeError,
        OSError,
        InvalidConnection,
        DatabaseError,
        InterfaceError,
    ) as error:
        reason = _refusal(secret, error)
    else:
        return connection
    # outside of the handler, so that no traceback leads to what held the password
    raise LakebookError(reason)


def query(connection: Any, sql: str) -> list[list[Any]]:
    """The rows of one SQL statement; safe to call from several threads, which then wait for each
    other.

    Raises LakebookError with PostgreSQL's own words when the statement fails.
    """
    with ONE_AT_A_TIME:
        try:
            return _rows(connection, sql)
        except DatabaseError as error:
            if _code(error) != LOCK_NOT_AVAILABLE:
                raise LakebookError(
                    f"The source database refuses a statement: {_own_words(error)}."
                ) from error
        holders = [f"{table} by {holder}" for table, holder in _rows(connection, _HOLDERS)]
    raise LakebookError(
        f"The source's tables are locked, for longer than {SETTINGS['lock_timeout']}:"
        f" {'; '.join(holders) or 'who held them has just ended'}. Wait until that has ended, or"
        " end it, and run again."
    )


def _settle(connection: Any, settings: dict[str, str]) -> None:
    """Set what this server knows of the settings; first of all where names are looked up, as
    pg_dump does: no function, operator or type of a user's own is taken for PostgreSQL's.
    """
    query(connection, "set search_path = 'pg_catalog'; set standard_conforming_strings = on")
    wanted = ", ".join(f"({literal(name)}, {literal(each)})" for name, each in settings.items())
    query(
        connection,
        f"select set_config(w.name, w.value, false) from (values {wanted}) w(name, value)"
        " where lower(w.name) in (select lower(name) from pg_settings)",
    )


def _rows(connection: Any, sql: str) -> list[list[Any]]:
    cursor = connection.cursor()
    cursor.execute(sql)
    return [list(row) for row in cursor.fetchall()] if cursor.description else []


def _code(error: DatabaseError) -> str:
    detail = error.args[0] if error.args else {}
    return str(detail.get("C", "")) if isinstance(detail, dict) else ""


def _own_words(error: DatabaseError) -> str:
    detail = error.args[0] if error.args else ""
    return str(detail.get("M", "no reason given") if isinstance(detail, dict) else detail)


def _refusal(secret: str, error: Exception) -> str:
    """One sentence about why there is no connection, without the password."""
    if isinstance(error, InterfaceError | OSError):
        place = re.search(r"host (\S+) and port (\d+)", str(error))
        where = f"{place[1]} port {place[2]}" if place else "its host and port"
        return (
            f"The database of secret '{secret}' does not answer at {where}; check host, port, route"
            " and security groups."
        )
    if isinstance(error, DatabaseError):
        remedies = {
            "28P01": "correct username and password in the secret",
            "28000": "allow this host, user and database in pg_hba.conf",
            "3D000": "correct dbname in the secret",
        }
        remedy = remedies.get(_code(error), "ask its administrator")
        return (
            f"The database of secret '{secret}' refuses the connection ({_own_words(error)});"
            f" {remedy}."
        )
    return incomplete(secret)


# Readers wait for an ACCESS EXCLUSIVE lock alone: one that is held, or one that waits before them,
# and then for those that hold that one up. A prepared transaction has no process.
_HOLDERS = """
with exclusive as (
  select * from pg_locks where mode = 'AccessExclusiveLock' and locktype = 'relation'
    and database = (select oid from pg_database where datname = current_database())
    and pid is distinct from pg_backend_pid()
), holder as (
  select relation, pid, virtualtransaction from exclusive where granted
  union
  select w.relation, l.pid, l.virtualtransaction from exclusive w join pg_locks l
  on l.relation = w.relation and l.database = w.database and l.granted and l.pid <> w.pid
  where not w.granted and l.pid is distinct from pg_backend_pid()
)
select n.nspname || '.' || c.relname,
  coalesce('process ' || h.pid || ' of ' || coalesce(a.usename, 'another role')
    || coalesce(' since ' || date_trunc('second', a.xact_start), '') || ' (' || coalesce(
      nullif(nullif(left(regexp_replace(a.query, '\\s+', ' ', 'g'), 300), ''),
        '<insufficient privilege>'), 'its query is not shown to this role') || ')',
    'the prepared transaction ' || (select string_agg(x.gid, ' or ') from pg_prepared_xacts x
      where '-1/' || x.transaction = h.virtualtransaction), 'a process that is not shown')
from holder h join pg_class c on c.oid = h.relation join pg_namespace n on n.oid = c.relnamespace
left join pg_stat_activity a on a.pid = h.pid
where c.relkind in ('r', 'p', 'f') and n.nspname !~ '^pg_' order by 1, 2
"""
