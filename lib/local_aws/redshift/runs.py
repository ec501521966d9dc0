"""What the Data API was asked to run: statements and batches with their states, each in a thread,
inside a session.
"""

from __future__ import annotations

import datetime
import threading
import time
import uuid
from itertools import count
from typing import TYPE_CHECKING, Any

from local_aws.redshift.session import Session
from local_aws.redshift.sql import RedshiftError
from local_aws.redshift.statements import READS
from local_aws.redshift.transactions import Transaction
from local_aws.redshift.types import Outcome

if TYPE_CHECKING:
    from local_aws.redshift.database import Database


ENDED = ("FINISHED", "FAILED", "ABORTED")
numbers = count(1_000_001)


class Part:
    """One SQL statement: its state, and what it gave."""

    def __init__(self, part_id: str, sql: str) -> None:
        self.id, self.sql, self.number, self.uuid = part_id, sql, next(numbers), str(uuid.uuid4())
        self.status, self.error = "SUBMITTED", ""
        self.created = self.updated = _now()
        self.began = self.ended = 0.0
        self.outcome = Outcome(-1)

    def move(self, status: str) -> None:
        """Go on to another state."""
        self.status, self.updated = status, _now()
        if status == "STARTED":
            self.began = time.monotonic()
        elif status in ENDED:
            self.ended = time.monotonic()

    def description(self) -> dict[str, Any]:
        """What DescribeStatement tells of a statement and of a sub-statement alike; the duration is
        in nanoseconds.
        """
        table = self.outcome.table
        duration = int((self.ended - self.began) * 1e9) if self.began and self.ended else -1
        shown = {
            "Id": self.id,
            "Status": self.status,
            "CreatedAt": self.created,
            "UpdatedAt": self.updated,
            "QueryString": self.sql,
            "Duration": duration,
        }
        shown |= {
            "HasResultSet": table is not None,
            "ResultRows": self.outcome.rows,
            "ResultSize": table.nbytes if table is not None else -1,
        }
        shown |= {
            "RedshiftQueryId": self.number if self.began else 0,
            "RedshiftQueryUuid": self.uuid,
        }
        return {**shown, **({"Error": self.error} if self.error else {})}


class Statement:
    """What ExecuteStatement or BatchExecuteStatement started."""

    def __init__(
        self, request: dict[str, Any], sqls: list[str], session: OpenSession, *, batch: bool
    ) -> None:
        self.request, self.session, self.batch = request, session, batch
        statement_id = str(uuid.uuid4())
        self.parts = [
            Part(f"{statement_id}:{place}" if batch else statement_id, sql)
            for place, sql in enumerate(sqls, 1)
        ]
        self.whole = Part(statement_id, "; ".join(sqls)) if batch else self.parts[0]
        self.parameters = {each["name"]: each["value"] for each in request.get("Parameters", [])}
        self.done = threading.Event()
        self.cancelled = False
        self.thread = threading.Thread(
            target=self._run, name=f"redshift-{statement_id}", daemon=True
        )

    def _run(self) -> None:
        try:
            with self.session.turn:
                self._in_order()
        finally:
            self.session.leave()
            self.done.set()

    def _in_order(self) -> None:
        if self.cancelled:
            return self._end("ABORTED", "")
        self.whole.move("PICKED")
        self.session.sql.in_block = self.batch
        transaction = Transaction(self.session.sql, lambda: self.cancelled)
        try:
            if not all(READS.match(part.sql.strip()) for part in self.parts):
                transaction.write()
            self.whole.move("STARTED")
            for part in self.parts:
                self._one(part, transaction)
            transaction.commit()
        except Exception as failed:  # noqa: BLE001 - a statement must end, whatever happens
            transaction.rollback()
            return self._fail(failed)
        return self._end("FINISHED", "")

    def _one(self, part: Part, transaction: Transaction) -> None:
        part.move("STARTED")
        try:
            part.outcome = transaction.run(part.sql, self.parameters, part.number)
        except RedshiftError as refused:
            part.error = f"ERROR: {refused}"
            part.move("FAILED")
            raise
        if self.batch:
            part.move("FINISHED")

    def _fail(self, failed: Exception) -> None:
        if self.cancelled:
            return self._end("ABORTED", "")
        text = str(failed) if isinstance(failed, RedshiftError) else f"local_aws failed: {failed!r}"
        place = next(
            (number for number, part in enumerate(self.parts, 1) if part.status == "FAILED"),
            len(self.parts),
        )
        for part in self.parts[place:]:
            part.error = "Connection or an prior query failed."
            part.move("ABORTED")
        return self._end(
            "FAILED",
            f"Query #{place} failed with ERROR: {text}" if self.batch else f"ERROR: {text}",
        )

    def _end(self, status: str, error: str) -> None:
        self.whole.error = error
        if self.batch and status == "FINISHED":
            self.whole.outcome = Outcome(sum(part.outcome.rows for part in self.parts))
        elif status != "FINISHED":
            for part in self.parts:
                if part.status not in ENDED:
                    part.move(status)
        self.whole.move(status)

    def interrupt(self) -> None:
        """End what runs now; again and again, since DuckDB forgets an interrupt between two of a
        statement's own queries.
        """
        while not self.done.wait(0.05):
            self.session.sql.connection.interrupt()

    @property
    def has_result(self) -> bool:
        """Whether any statement has rows to fetch."""
        return any(part.outcome.table is not None for part in self.parts)

    def description(self) -> dict[str, Any]:
        """What DescribeStatement tells."""
        request, database = self.request, self.session.sql.database
        shown: dict[str, Any] = {
            **self.whole.description(),
            **database.where,
            "Database": database.name,
            "ResultFormat": "JSON",
        }
        if self.batch:
            shown |= {
                "SubStatements": [part.description() for part in self.parts],
                "HasResultSet": self.has_result,
            }
            del shown["QueryString"]
        if self.session.id:
            shown["SessionId"] = self.session.id
        return {
            **shown,
            **({"QueryParameters": request["Parameters"]} if request.get("Parameters") else {}),
        }


class OpenSession:
    """A session with the database, for one statement or kept for several."""

    def __init__(self, database: Database, user: str, keep_seconds: int) -> None:
        self.sql, self.keep_seconds = Session(database, user), keep_seconds
        self.id = str(uuid.uuid4()) if keep_seconds else ""
        self.turn = threading.Lock()
        self.last_used = time.monotonic()
        self.busy = 0

    def leave(self) -> None:
        """A statement has ended; a session for one statement ends with it."""
        self.busy -= 1
        self.last_used = time.monotonic()
        if not self.id:
            self.sql.connection.close()

    @property
    def expired(self) -> bool:
        """Whether nobody used it for longer than it was to be kept."""
        return not self.busy and time.monotonic() - self.last_used > self.keep_seconds


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)
