"""Statements of one session that count together or not at all, whichever door they came through."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import duckdb

from local_aws.redshift import copy
from local_aws.redshift.statements import READS, run, without_comments

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sqlglot import exp

    from local_aws.redshift.session import Session
    from local_aws.redshift.types import Outcome

POLL_SECONDS = 0.05


class CancelledError(Exception):
    """Somebody cancelled what waits for its turn."""


class Transaction:
    """The transaction of a session; from its first change on it is the one writer of the
    database.
    """

    def __init__(self, session: Session, cancelled: Callable[[], bool]) -> None:
        self.session, self.cancelled = session, cancelled
        self.open = self.writing = False
        self.numbers: list[int] = []

    def write(self) -> None:
        """Wait until nobody else changes the database; raises CancelledError."""
        while not self.writing:
            if self.cancelled():
                raise CancelledError
            self.writing = self.session.database.writer.acquire(timeout=POLL_SECONDS)

    def run(self, sql: str, parameters: Mapping[str, str | exp.Expr], number: int) -> Outcome:
        """Run one statement; raises RedshiftError, CancelledError."""
        if not READS.match(without_comments(sql).strip()):
            self.write()
        if not self.open:
            self.session.connection.execute("BEGIN")
            self.open = True
        self.numbers.append(number)
        return run(self.session, sql, parameters, number)

    def commit(self) -> None:
        """Make it count; raises duckdb.Error when it cannot."""
        if self.open:
            self.session.connection.execute("COMMIT")
        self._end()

    def rollback(self) -> None:
        """Undo it."""
        with contextlib.suppress(duckdb.Error):  # there may be no transaction any more
            self.session.connection.execute("ROLLBACK")
        for number in self.numbers:
            copy.rolled_back(self.session.database, number)
        self._end()

    def _end(self) -> None:
        self.open = False
        self.numbers.clear()
        if self.writing:
            self.writing = False
            self.session.database.writer.release()
