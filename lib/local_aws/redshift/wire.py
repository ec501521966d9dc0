"""PostgreSQL's wire protocol in front of a warehouse: simple and prepared statements, run as those
of the Data API are.

https://docs.aws.amazon.com/redshift/latest/mgmt/connecting-to-cluster.html
"""

from __future__ import annotations

import contextlib
import hashlib
import re
import secrets
import socketserver
import ssl
import struct
import sys
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import duckdb

from local_aws.errors import ApiError
from local_aws.redshift import failures, wire_messages
from local_aws.redshift.runs import numbers
from local_aws.redshift.session import Session
from local_aws.redshift.sql import RedshiftError
from local_aws.redshift.statements import READS, columns_of, without_comments
from local_aws.redshift.transactions import CancelledError, Transaction
from local_aws.redshift.types import Outcome
from local_aws.redshift.wire_messages import Body, Columns, message, texts

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from sqlglot import exp

    from local_aws.redshift.database import Database

PROTOCOL, CANCEL, SSL, GSSENC = 196608, 80877102, 80877103, 80877104
ROWS_PER_BATCH, INTERRUPT_SECONDS, FAREWELL_SECONDS, STOP_SECONDS = 10_000, 0.05, 1, 10
ABORTED = "current transaction is aborted, commands ignored until end of transaction block"
CONTROL = re.compile(
    r"(?:(BEGIN|START\s+TRANSACTION)|(COMMIT|END)|(ROLLBACK|ABORT))\b(?!\s+TO\b)", re.IGNORECASE
)
KIND = re.compile(
    r"(CREATE|DROP|ALTER)\s+(?:OR\s+REPLACE\s+)?(?:(?:LOCAL|TEMP|TEMPORARY|EXTERNAL)\s+)*(\w+)",
    re.IGNORECASE,
)
STATUS = {
    "server_version": "8.0.2",  # what Redshift says it is
    "server_encoding": "UTF8",
    "client_encoding": "UTF8",
    "DateStyle": "ISO, MDY",
    "TimeZone": "UTC",
    "integer_datetimes": "on",
    "standard_conforming_strings": "on",
    "server_protocol_version": "0",  # results as PostgreSQL describes them
}


class OpensDatabases(Protocol):
    """Where a connection finds its database and user."""

    def database(self, asked: dict[str, Any], name: str | None) -> Database:
        """The database of a warehouse; raises ApiError unless it is available."""

    def proven_user(self, database: Database, user: str, proves: Callable[[str], bool]) -> str:
        """The database user who may log in as `user`, "" where no password of theirs is proven."""


class Listener(socketserver.ThreadingTCPServer):
    """The port of one workgroup or cluster; a thread for each connection."""

    daemon_threads = True
    block_on_close = False

    def __init__(
        self, warehouses: OpensDatabases, where: dict[str, str], context: ssl.SSLContext
    ) -> None:
        super().__init__(("127.0.0.1", 0), Conversation)
        self.warehouses, self.where, self.context = warehouses, where, context
        self.conversations: dict[tuple[int, int], Conversation] = {}
        name = f"redshift-{next(iter(where.values()))}"
        threading.Thread(
            target=self.serve_forever, args=(INTERRUPT_SECONDS,), name=name, daemon=True
        ).start()

    @property
    def port(self) -> int:
        """Where it listens, on 127.0.0.1."""
        return int(self.server_address[1])

    def stop(self) -> None:
        """Close the port and end every connection, what runs there undone."""
        self.shutdown()
        self.server_close()
        for each in list(self.conversations.values()):
            each.end()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of a client that went away; what else goes wrong is a bug and shown."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


@dataclass
class Prepared:
    """A statement that was parsed: its parameters' OIDs, and its columns once they were asked."""

    sql: str
    oids: list[int]
    columns: Columns = field(default_factory=list)


@dataclass
class Portal:
    """A prepared statement with its parameters, and what it gave once it ran."""

    prepared: Prepared
    arguments: dict[str, exp.Expr]
    formats: list[int]
    outcome: Outcome | None = None
    sent: int = 0


class FatalError(Exception):
    """Why a connection ends, with its SQLSTATE."""

    def __init__(self, code: str, said: str) -> None:
        super().__init__(said)
        self.code = code


class Conversation(socketserver.BaseRequestHandler):
    """One connection, from its first message to its last."""

    server: Listener
    request: socket.socket

    def setup(self) -> None:
        """Nothing is known of the client yet."""
        self.block = ""  # "T" inside BEGIN … COMMIT, "E" once a statement there has failed
        self.prepared: dict[str, Prepared] = {}
        self.portals: dict[str, Portal] = {}
        self.output = bytearray()
        self.running, self.cancelled, self.ended = (
            threading.Event(),
            threading.Event(),
            threading.Event(),
        )
        self.transaction: Transaction | None = None
        # what a client shows to cancel
        self.key = (secrets.randbelow(1 << 31), secrets.randbelow(1 << 31))

    def handle(self) -> None:
        """Answer until the client says goodbye."""
        try:
            if self._start():
                self._serve()
        except FatalError as fatal:
            self.output += wire_messages.error(fatal.code, str(fatal), "FATAL")
            self._flush()
        except (ConnectionError, EOFError):  # the client is gone
            pass
        finally:
            self.server.conversations.pop(self.key, None)
            if self.transaction:
                self.transaction.rollback()
                self.transaction.session.connection.close()
            self.ended.set()
            with contextlib.suppress(OSError, ValueError):  # ended from either side already
                self.request.settimeout(FAREWELL_SECONDS)
                if isinstance(self.request, ssl.SSLSocket):
                    self.request.unwrap()

    def cancel(self) -> None:
        """End the statement that runs now, if one does."""
        self.cancelled.set()
        threading.Thread(target=self._interrupt, daemon=True).start()

    def end(self) -> None:
        """End the connection from the server's side."""
        self.cancel()
        with contextlib.suppress(OSError):
            self.request.shutdown(2)
        self.ended.wait(STOP_SECONDS)

    def _interrupt(self) -> None:
        """Again and again, since DuckDB forgets an interrupt between two of a statement's own
        queries.
        """
        while self.running.is_set() and self.cancelled.is_set() and self.transaction:
            self.transaction.session.connection.interrupt()
            self.ended.wait(INTERRUPT_SECONDS)

    # Messages

    def _read(self, size: int) -> bytes:
        found = bytearray()
        while len(found) < size:
            part = self.request.recv(size - len(found))
            if not part:
                raise EOFError
            found += part
        return bytes(found)

    def _flush(self) -> None:
        self.request.sendall(self.output)
        self.output.clear()

    def _ready(self) -> None:
        """Let what ran outside of a block count, and wait for the next statement."""
        try:
            if not self.block and self.transaction:
                self.transaction.commit()
        except duckdb.Error as failed:
            self._fail(RedshiftError(failures.failure(failed)))
        self.output += message(b"Z", (self.block or "I").encode())
        self._flush()

    def _fail(self, failed: Exception) -> None:
        """Tell an error, and undo the transaction it was in."""
        said, code = str(failed), failures.state(str(failed))
        if self.cancelled.is_set() or isinstance(failed, CancelledError):
            said, code = "Query cancelled on user's request", "57014"
        elif not isinstance(failed, RedshiftError):
            said, code = f"local_aws failed: {failed!r}", "XX000"
        if self.transaction:
            self.transaction.rollback()
        self.block = self.block and "E"
        self.output += wire_messages.error(code, said)
        self._flush()

    # Start

    def _start(self) -> bool:
        """Whether somebody has logged in; raises FatalError."""
        while True:
            body = Body(self._read(struct.unpack("!i", self._read(4))[0] - 4))
            wanted = body.number("i")
            if wanted == CANCEL:
                if found := self.server.conversations.get((body.number("i"), body.number("i"))):
                    found.cancel()
                return False
            if wanted not in (SSL, GSSENC):
                break
            self.request.sendall(b"S" if wanted == SSL else b"N")
            if wanted == SSL:
                self.request = self.server.context.wrap_socket(self.request, server_side=True)
        if wanted != PROTOCOL:
            raise FatalError(
                "0A000", f"unsupported frontend protocol {wanted >> 16}.{wanted & 0xFFFF}"
            )
        asked = {}
        while name := body.text():
            asked[name] = body.text()
        session = self._login(asked.get("user", ""), asked.get("database") or asked.get("user", ""))
        self.transaction = Transaction(session, self.cancelled.is_set)
        self._greet(session, asked)
        return True

    def _login(self, user: str, name: str) -> Session:
        salt = secrets.token_bytes(4)
        self.output += message(b"R", struct.pack("!i", 5) + salt)
        self._flush()
        kind, body = self._read(1), Body(self._read(struct.unpack("!i", self._read(4))[0] - 4))
        answer = body.text() if kind == b"p" else ""

        def proves(encoded: str) -> bool:
            wanted = (
                "md5" + hashlib.md5(encoded[3:].encode() + salt, usedforsecurity=False).hexdigest()
            )
            return secrets.compare_digest(wanted, answer)

        try:
            database = self.server.warehouses.database(self.server.where, None)
        except ApiError as closed:
            raise FatalError("57P03", closed.message) from closed
        found = self.server.warehouses.proven_user(database, user, proves)
        if not found:
            raise FatalError("28000", f'password authentication failed for user "{user}"')
        if name.lower() != database.name:
            raise FatalError("3D000", f'database "{name}" does not exist')
        return Session(database, found)

    def _greet(self, session: Session, asked: dict[str, str]) -> None:
        self.server.conversations[self.key] = self
        superuser = "on" if session.rights.superuser else "off"
        status = {**STATUS, "is_superuser": superuser, "session_authorization": session.user}
        if "client_protocol_version" not in asked:
            del status["server_protocol_version"]
        self.output += message(b"R", struct.pack("!i", 0))
        for pair in status.items():
            self.output += message(b"S", texts(*pair))
        self.output += message(b"K", struct.pack("!ii", *self.key))
        self._ready()

    # Statements

    def _serve(self) -> None:
        """Messages in their order; after an error those up to the next Sync are passed over."""
        answers = {
            b"P": self._parse,
            b"B": self._bind,
            b"D": self._describe,
            b"E": self._execute,
            b"C": self._close,
            b"H": lambda _: self._flush(),
        }
        failed = False
        while (kind := self._read(1)) != b"X":
            body = Body(self._read(struct.unpack("!i", self._read(4))[0] - 4))
            if kind in b"QS":
                failed = False
                if kind == b"Q":
                    self._guarded(self._query, body)
                self._ready()
            elif kind not in answers:
                raise FatalError("08P01", f"invalid frontend message type {kind[0]}")
            elif not failed:
                failed = not self._guarded(answers[kind], body)

    def _guarded(self, answer: Any, body: Body) -> bool:
        """Whether a message was answered without an error."""
        self.cancelled.clear()
        self.running.set()
        try:
            answer(body)
        except (ConnectionError, EOFError, FatalError):
            raise
        except Exception as failed:  # noqa: BLE001 - the client is asked, and the connection goes on
            self._fail(failed)
            return False
        finally:
            self.running.clear()
        return True

    def _query(self, body: Body) -> None:
        sqls = [each for each in wire_messages.split(body.text()) if without_comments(each).strip()]
        for sql in sqls:
            outcome = self._run(sql, {}, several=len(sqls) > 1)
            if outcome.table is not None:
                self.output += wire_messages.row_description(outcome.columns, [])
            self._rows(outcome, outcome.columns, [], 0, 0)
            if sql is sqls[-1] and not self.block:
                self._transaction.commit()
            self.output += message(b"C", texts(_tag(sql, outcome)))
        if not sqls:
            self.output += message(b"I")

    def _parse(self, body: Body) -> None:
        name, sql = body.text(), wire_messages.named(body.text())
        if len([each for each in wire_messages.split(sql) if without_comments(each).strip()]) > 1:
            raise RedshiftError("cannot insert multiple commands into a prepared statement")
        if self.block == "E" and not CONTROL.match(without_comments(sql).strip()):
            raise RedshiftError(ABORTED)
        oids = body.numbers("I")
        used = {int(each) for each in re.findall(r":p(\d+)", sql)}
        self.prepared[name] = Prepared(sql, oids + [0] * (max(used, default=0) - len(oids)))
        self.output += message(b"1")

    def _bind(self, body: Body) -> None:
        portal, prepared = body.text(), self._prepared(body.text())
        forms = body.numbers("h")
        values = [body.value() for _ in range(body.number("h"))]
        if len(values) != len(prepared.oids):
            raise RedshiftError(
                f"bind message supplies {len(values)} parameters, but prepared statement requires"
                f" {len(prepared.oids)}"
            )
        forms = forms if len(forms) == len(values) else (forms or [0]) * len(values)
        arguments = {
            f"p{place}": wire_messages.argument(oid, value, binary=bool(form))
            for place, (oid, value, form) in enumerate(
                zip(prepared.oids, values, forms, strict=True), 1
            )
        }
        self.portals[portal] = Portal(prepared, arguments, body.numbers("h"))
        self.output += message(b"2")

    def _describe(self, body: Body) -> None:
        kind, name = body.take(1), body.text()
        if kind == b"P":
            portal = self._portal(name)
            if READS.match(without_comments(portal.prepared.sql).strip()):
                portal.prepared.columns = self._ran(portal).columns
            columns, formats = portal.prepared.columns, portal.formats
        else:
            prepared, formats = self._prepared(name), []
            oids = [oid or 705 for oid in prepared.oids]
            self.output += message(b"t", struct.pack(f"!h{len(oids)}I", len(oids), *oids))
            unknown = {
                f"p{place}": wire_messages.unknown(oid)
                for place, oid in enumerate(prepared.oids, 1)
            }
            columns = prepared.columns = columns_of(
                self._transaction.session, prepared.sql, unknown
            )
        self.output += wire_messages.row_description(columns, formats) if columns else message(b"n")

    def _execute(self, body: Body) -> None:
        portal, most = self._portal(body.text()), body.number("i")
        if not without_comments(portal.prepared.sql).strip(" \n\t;"):
            self.output += message(b"I")
            return
        outcome = self._ran(portal)
        columns = portal.prepared.columns or outcome.columns
        portal.sent = self._rows(outcome, columns, portal.formats, portal.sent, most)
        if outcome.table is not None and portal.sent < outcome.table.num_rows:
            self.output += message(b"s")
        else:
            self.output += message(b"C", texts(_tag(portal.prepared.sql, outcome)))

    def _close(self, body: Body) -> None:
        kind, name = body.take(1), body.text()
        (self.prepared if kind == b"S" else self.portals).pop(name, None)
        self.output += message(b"3")

    def _prepared(self, name: str) -> Prepared:
        if name not in self.prepared:
            raise RedshiftError(f'prepared statement "{name}" does not exist')
        return self.prepared[name]

    def _portal(self, name: str) -> Portal:
        if name not in self.portals:
            raise RedshiftError(f'portal "{name}" does not exist')
        return self.portals[name]

    def _ran(self, portal: Portal) -> Outcome:
        if portal.outcome is None:
            portal.outcome = self._run(portal.prepared.sql, portal.arguments)
        return portal.outcome

    @property
    def _transaction(self) -> Transaction:
        assert self.transaction is not None  # nobody runs statements before they have logged in
        return self.transaction

    def _run(self, sql: str, arguments: dict[str, exp.Expr], *, several: bool = False) -> Outcome:
        text = without_comments(sql).strip().rstrip(";").strip()
        if control := CONTROL.match(text):
            return self._control(control)
        if self.block == "E":
            raise RedshiftError(ABORTED)
        if found := re.fullmatch(
            r'DEALLOCATE\s+(?:PREPARE\s+)?(?:(ALL)|"?(\w+)"?)', text, re.IGNORECASE
        ):
            for name in [each for each in self.prepared if found[1] or each == found[2]]:
                del self.prepared[name]
            return Outcome()
        self._transaction.session.in_block = bool(self.block) or several
        return self._transaction.run(sql, arguments, next(numbers))

    def _control(self, control: re.Match[str]) -> Outcome:
        """BEGIN, COMMIT and ROLLBACK; a block that failed can only be rolled back."""
        if control[1]:
            self.block = self.block or "T"
        else:
            if control[2] and self.block != "E":
                self._commit()
            else:
                self._transaction.rollback()
            self.block = ""
        return Outcome()

    def _commit(self) -> None:
        try:
            self._transaction.commit()
        except duckdb.Error as failed:
            self.block = ""
            raise RedshiftError(failures.failure(failed)) from failed

    def _rows(
        self, outcome: Outcome, columns: Columns, formats: list[int], start: int, most: int
    ) -> int:
        """Send rows from a place on, all or at most so many; the place of the next."""
        if outcome.table is None:
            return start
        encode = wire_messages.row_encoder(columns, formats)
        total = int(outcome.table.num_rows)
        stop = min(start + most, total) if most else total
        for place in range(start, stop, ROWS_PER_BATCH):
            part = outcome.table.slice(place, min(ROWS_PER_BATCH, stop - place))
            for row in zip(*(column.to_pylist() for column in part.columns), strict=True):
                self.output += encode(row)
            self._flush()
        return stop


def _tag(sql: str, outcome: Outcome) -> str:
    """What CommandComplete says was done."""
    text = without_comments(sql).strip()
    if control := CONTROL.match(text):
        return "BEGIN" if control[1] else "COMMIT" if control[2] else "ROLLBACK"
    if found := KIND.match(text):
        return f"{found[1]} {found[2]}".upper()
    word = (re.match(r"\w*", text) or [""])[0].upper()
    counted = {"INSERT": f"INSERT 0 {outcome.rows}"} | {
        each: f"{each} {outcome.rows}" for each in ("UPDATE", "DELETE", "MERGE")
    }
    return counted.get(word, "SELECT" if word in ("", "WITH", "VALUES") else word)
