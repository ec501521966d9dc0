"""The PostgreSQL source of a task: how to connect, and what its catalog holds."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

import psycopg
from psycopg.conninfo import make_conninfo

from local_aws.dms.types import Column, quote

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

CONNECT_SECONDS = 15
SETTINGS = {  # docs/types.md: the text of every type depends on the first five
    "TimeZone": "UTC",
    "DateStyle": "ISO",
    "IntervalStyle": "postgres",
    "bytea_output": "hex",
    "extra_float_digits": "1",
    # the expressions here stand for DMS's own code, which looks up nothing; the rows that row-level
    # security hides from the role are hidden from DMS, too
    "search_path": "pg_catalog",
    "default_transaction_read_only": "on",
    "statement_timeout": "0",
}


@dataclass(frozen=True)
class Table:
    """One table or view of the source; `kind` is pg_class.relkind."""

    oid: int
    schema: str
    name: str
    kind: str
    has_key: bool

    @property
    def relation(self) -> str:
        """`"schema"."name"`, for SQL."""
        return f"{quote(self.schema)}.{quote(self.name)}"


def conninfo(
    host: str,
    port: int,
    username: str,
    password: str,
    database: str,
    ssl_mode: str,
    application: str,
    authority: Path | None = None,
) -> str:
    """What libpq needs to connect, with the settings of a session; it holds the password."""
    options = " ".join(f"-c {name}={value}" for name, value in SETTINGS.items())
    return make_conninfo(
        host=host,
        port=port,
        user=username,
        password=password,
        dbname=database,
        options=options,
        sslmode="disable" if ssl_mode == "none" else ssl_mode,
        sslrootcert=str(authority) if authority else None,
        connect_timeout=CONNECT_SECONDS,
        application_name=application,
        client_encoding="UTF8",
        keepalives_idle=30,
    )


def connect(info: str) -> psycopg.Connection:
    """A connection that reads only; raises psycopg.OperationalError."""
    return psycopg.connect(info, autocommit=True)


def failure(error: psycopg.Error) -> str:
    """Why there is no connection, in one line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return " ".join(lines) or type(error).__name__


def tables(connection: psycopg.Connection) -> list[Table]:
    """All tables, partitions and views outside of PostgreSQL's own schemas, in order of their
    names.
    """
    return [Table(*row) for row in connection.execute(_TABLES)]


def columns(connection: psycopg.Connection, oids: Iterable[int]) -> dict[int, list[Column]]:
    """The columns of tables by oid, in the source's order."""
    found: dict[int, list[Column]] = defaultdict(list)
    for oid, name, kind, modifier in connection.execute(_COLUMNS, [list(oids)]):
        found[oid].append(Column(name, kind, modifier))
    return found


_TABLES = r"""
select c.oid::bigint, n.nspname::text, c.relname::text, c.relkind::text,
  exists (select from pg_index i where i.indrelid = c.oid and i.indisprimary)
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where c.relkind in ('r', 'p', 'v', 'm') and c.relpersistence <> 't'
  and n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
order by n.nspname collate "C", c.relname collate "C"
"""

_COLUMNS = """
with recursive base(attrelid, attnum, attname, type, modifier) as (
  select attrelid, attnum, attname, atttypid, atttypmod from pg_attribute
  where attrelid::bigint = any(%s) and attnum > 0 and not attisdropped
  union all
  select b.attrelid, b.attnum, b.attname, d.typbasetype,
    case d.typtypmod when -1 then b.modifier else d.typtypmod end
  from base b join pg_type d on d.oid = b.type where d.typtype = 'd'
)
select b.attrelid::bigint, b.attname::text,
  case when t.typtype = 'c' then 'composite' when t.typtype = 'e' then 'enum'
    when t.typtype = 'r' then 'range'
    when t.typtype = 'm' then 'multirange' when t.typcategory = 'A' then 'array'
    else t.typname::text end, b.modifier
from base b join pg_type t on t.oid = b.type where t.typtype <> 'd' order by b.attrelid, b.attnum
"""
