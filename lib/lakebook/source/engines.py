"""The engines a source may have, and a connection to the one that a secret names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from lakebook.errors import LakebookError
from lakebook.source.postgresql.database import PostgreSQL
from lakebook.source.secret import engine_of

if TYPE_CHECKING:
    from lakebook.source.source import Source


class _Connects(Protocol):
    def __call__(
        self, secret: str, *, statement_timeout_seconds: int, connect_timeout_seconds: int
    ) -> Source: ...


@dataclass(frozen=True)
class Engine:
    """How to connect to a kind of database, and the port it listens at by default."""

    connect: _Connects
    default_port: int


_POSTGRESQL = Engine(PostgreSQL, 5432)
ENGINES = {  # by the name that secrets give them, those of Amazon RDS included
    "postgresql": _POSTGRESQL,
    "postgres": _POSTGRESQL,
    "aurora-postgresql": _POSTGRESQL,
}


def connect_source(
    secret: str, *, statement_timeout_seconds: int = 6 * 3600, connect_timeout_seconds: int = 15
) -> Source:
    """A read-only connection to the database that a Secrets Manager secret describes, by the engine
    that it names.

    Raises LakebookError, which never holds the password, when the secret or the database does not
    let us in, or there is no such engine here.
    """
    engine = engine_of(secret)
    if engine not in ENGINES:
        raise LakebookError(
            f"The secret '{secret}' names the engine '{engine}', which this version does not know;"
            f" set its engine to one of {', '.join(ENGINES)}, or take another database."
        )
    return ENGINES[engine].connect(
        secret,
        statement_timeout_seconds=statement_timeout_seconds,
        connect_timeout_seconds=connect_timeout_seconds,
    )


def default_port(engine: str) -> int | None:
    """The port of an engine by the name that secrets give it, None for one that is not known."""
    return ENGINES[engine].default_port if engine in ENGINES else None
