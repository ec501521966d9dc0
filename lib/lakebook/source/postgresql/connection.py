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

SETTINGS = {  # docs/types.md: the text form of every type depends on these
    "TimeZone": "UTC",
    "DateStyle": "ISO",
    "IntervalStyle": "postgres",
    "bytea_output": "hex",
    "extra_float_digits": "1",
    "default_transaction_read_only": "on",
    "application_name": "lakebook",
}
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
        settings = {**SETTINGS, "statement_timeout": str(statement_timeout_seconds * 1000)}
        query(
            connection,
            ";".join(f"set {name} = {literal(value)}" for name, value in settings.items()),
        )
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
        cursor = connection.cursor()
        try:
            cursor.execute(sql)
        except DatabaseError as error:
            raise LakebookError(
                f"The source database refuses a statement: {_own_words(error)}."
            ) from error
        return [list(row) for row in cursor.fetchall()] if cursor.description else []


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
        detail = error.args[0] if error.args and isinstance(error.args[0], dict) else {}
        remedies = {
            "28P01": "correct username and password in the secret",
            "28000": "allow this host, user and database in pg_hba.conf",
            "3D000": "correct dbname in the secret",
        }
        remedy = remedies.get(detail.get("C", ""), "ask its administrator")
        return (
            f"The database of secret '{secret}' refuses the connection ({_own_words(error)});"
            f" {remedy}."
        )
    return incomplete(secret)
