"""Whether the source is ready for DMS, what of it will not survive the journey, and whether it has
changed since.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

import pandas as pd

from lakebook.source.postgresql.catalog import oid, relation_name
from lakebook.source.postgresql.connection import query
from lakebook.source.postgresql.delivered import loss, text
from lakebook.source.postgresql.dialect import literal, quote
from lakebook.source.postgresql.types import type_of

if TYPE_CHECKING:
    from lakebook.source.model import Table

SCANNED_BYTES = 1024**3  # up to this size fingerprint() reads a table, above it asks the statistics
NAMES_OF_OTHERS = (
    *("regclass", "regcollation", "regconfig", "regdictionary", "regnamespace", "regoper"),
    *("regoperator", "regproc", "regprocedure", "regrole", "regtype"),
)
BENDING = (  # settings of a session that DMS is not known to make itself
    *("DateStyle", "IntervalStyle", "bytea_output", "extra_float_digits", "xmlbinary"),
    *("standard_conforming_strings", "transform_null_equals", "default_transaction_deferrable"),
    *("lock_timeout", "transaction_timeout", "idle_session_timeout"),
)
# the DMS engine version that a PostgreSQL version needs
DMS_ENGINES = {15: "3.5.1", 16: "3.5.3", 17: "3.6.1"}


def prerequisites(connection: Any, tables: list[Table]) -> pd.DataFrame:
    """What AWS DMS needs of the source: columns setting, found, needed, for (full load or CDC), ok,
    do.

    https://docs.aws.amazon.com/dms/latest/userguide/CHAP_Source.PostgreSQL.html
    """
    found = dict(query(connection, "select name, reset_val from pg_settings"))
    bent, mended = _bent(connection)
    superuser, replication, slots = query(connection, _ROLE)[0]
    version = int(found["server_version_num"]) // 10_000
    known = version <= max(DMS_ENGINES)
    engine = DMS_ENGINES.get(version if known else max(DMS_ENGINES), "of any version")
    oids = ", ".join(oid(table) for table in tables) or "0"
    readable = query(
        connection,
        f"select count(*) from pg_class where oid in ({oids}) and has_table_privilege(oid,"
        " 'SELECT')",
    )[0][0]
    keyless = [table.full_name for table in tables if not table.primary_key]
    timeout = int(found["wal_sender_timeout"])
    free_slots = int(found["max_replication_slots"]) - slots
    rows = [
        (
            "server version",
            found["server_version"],
            f"10 or later; DMS engine {engine}",
            "full load",
            version >= 10,
            (
                ""
                if known
                else (
                    f"PostgreSQL {version} is newer than the DMS releases known here: run DMS's"
                    " premigration assessment"
                )
            ),
        ),
        (
            "server_encoding",
            found["server_encoding"],
            "UTF8",
            "full load",
            found["server_encoding"] == "UTF8",
            "migrate from a UTF8 copy",
        ),
        (
            "SELECT on the tables",
            f"{readable} of {len(tables)}",
            "all",
            "full load",
            readable == len(tables),
            "GRANT SELECT on all of them",
        ),
        (
            "statement_timeout",
            found["statement_timeout"],
            "0",
            "full load",
            found["statement_timeout"] == "0",
            "ALTER ROLE … SET statement_timeout = 0 for DMS's role",
        ),
        (
            "idle_in_transaction_session_timeout",
            found["idle_in_transaction_session_timeout"],
            "0",
            "full load",
            found["idle_in_transaction_session_timeout"] == "0",
            "ALTER ROLE … SET idle_in_transaction_session_timeout = 0 for DMS's role",
        ),
        (
            "defaults of the session",
            ", ".join(bent) or "PostgreSQL's",
            "PostgreSQL's: DMS's statements and the texts it reads follow them",
            "full load",
            not bent,
            mended,
        ),
        (
            "wal_level",
            found["wal_level"],
            "logical",
            "CDC",
            found["wal_level"] == "logical",
            "set wal_level = logical (RDS: rds.logical_replication = 1) and restart",
        ),
        (
            "free replication slots",
            free_slots,
            "1 for each task",
            "CDC",
            free_slots >= 1,
            "raise max_replication_slots",
        ),
        (
            "max_wal_senders",
            found["max_wal_senders"],
            "2 or more",
            "CDC",
            int(found["max_wal_senders"]) > 1,
            "raise max_wal_senders",
        ),
        (
            "wal_sender_timeout (ms)",
            timeout,
            "0, or 10000 to 300000",
            "CDC",
            timeout == 0 or 10_000 <= timeout < 300_000,
            "set wal_sender_timeout = 60000",
        ),
        (
            "max_slot_wal_keep_size",
            found.get("max_slot_wal_keep_size", "-1"),
            "-1",
            "CDC",
            found.get("max_slot_wal_keep_size", "-1") == "-1",
            (
                "set max_slot_wal_keep_size = -1, and watch the disk: a slot keeps WAL until it is"
                " dropped"
            ),
        ),
        (
            "role may replicate",
            bool(superuser or replication),
            "superuser, or rds_replication on RDS",
            "CDC",
            bool(superuser or replication),
            "ALTER ROLE … SUPERUSER, or GRANT rds_replication on RDS",
        ),
        (
            "tables without primary key",
            ", ".join(keyless) or "none",
            "none",
            "CDC",
            not keyless,
            "add primary keys: DMS ignores updates and deletes of these tables",
        ),
    ]
    frame = pd.DataFrame(rows, columns=["setting", "found", "needed", "for", "ok", "do"])
    frame["found"] = frame["found"].astype(str)
    frame.loc[frame["ok"] & (frame["setting"] != "server version"), "do"] = ""
    return frame


def _bent(connection: Any) -> tuple[list[str], str]:
    """What defaults of DMS's role, of the database or the server would change in what DMS reads or
    end its sessions, as `name = value`, and the statements that give the role PostgreSQL's own.
    """
    wanted = ", ".join(map(literal, BENDING))
    found = [
        (name, value, boot)
        for name, value, boot in query(connection, _DEFAULTS % wanted)
        if value != boot and not (name == "DateStyle" and value.startswith("ISO"))
    ]
    [[role, monetary]] = query(connection, _MONETARY)
    statements = [f"ALTER ROLE {quote(role)} SET {name} = '{boot}'" for name, _, boot in found]
    if monetary:
        found.append(("lc_monetary", monetary, ""))
        statements.append(f"ALTER ROLE {quote(role)} RESET lc_monetary")
    return [f"{name} = {value}" for name, value, _ in found], "; ".join(statements)


def losses(connection: Any, tables: list[Table], lob_max_kilobytes: int) -> pd.DataFrame:
    """What will not survive DMS as it is: columns table, column, type, arrives_as, loses,
    rows_affected.

    Where it depends on values they are counted in the source, in one pass per table over the
    columns that can lose something; columns of which no value does are left out. A row with
    `rows_affected` 0 loses nothing in any value (a timestamptz's zone, a view that is not
    replicated).
    """
    found: list[dict[str, Any]] = []
    for table in tables:
        if not table.replicated:
            words = f"the whole table: it is left out, as {table.not_replicated}"
            found.append(_loss(table, "", "table", "nothing", words, table.rows))
            continue
        found += _measured_losses(connection, table, lob_max_kilobytes)
        found += _inherited(connection, table)
    return pd.DataFrame(
        [*found, *_zones(tables), *_not_replicated(connection, tables)],
        columns=["table", "column", "type", "arrives_as", "loses", "rows_affected"],
    )


def fingerprint(connection: Any, tables: list[Table]) -> str:
    """Short JSON that differs when a committed change to these tables or their
    definition lies between two calls.

    A table of up to 1 GiB, with its partitions and heirs, is read for the number of its rows and
    the transactions that wrote them: any insert, update or delete visible to one call and not to
    the other changes it (barring a collision of 32-bit hashes). A larger one is represented by its
    statistics counters and file sizes, which may lag up to ten seconds behind (a minute inside an
    open session); it is read, too, where there are no counters of what changes it: on a standby,
    and with track_counts off. Rewrites that change no row (VACUUM FULL, CLUSTER) change it, too.
    """
    [[uncounted]] = query(connection, _UNCOUNTED)
    evidence = {
        table.full_name: [
            *query(connection, _DEFINITION % oid(table))[0],
            *_contents(connection, table, counted=not uncounted),
        ]
        for table in tables
    }
    definitions = {
        table.full_name: [
            query(connection, _TYPES % oid(table)),
            query(connection, _MADE % oid(table)),
            _named_elsewhere(connection, table),
        ]
        for table in tables
    }
    rows = sum(row[-2] for row in evidence.values() if row)
    return json.dumps(
        {
            "tables": len(tables),
            "rows": int(rows),
            "sha256": _digest(evidence),
            "definitions": _digest(definitions),
        }
    )


def _digest(content: Any) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:32]


def _measured_losses(connection: Any, table: Table, lob_max_kilobytes: int) -> list[dict[str, Any]]:
    """The losses of one table's columns that at least one value suffers, counted in one pass."""
    candidates = [
        (column, *found) for column in table.columns if (found := loss(column, lob_max_kilobytes))
    ]
    if not candidates:
        return []
    counts: list[int] = []
    # a row of PostgreSQL's answer has at most 1,664 columns
    for start in range(0, len(candidates), 400):
        terms = ", ".join(
            f"count(*) filter (where {condition})"
            for _, _, condition in candidates[start : start + 400]
        )
        counts += query(connection, f"select {terms} from {relation_name(table)}")[0]
    return [
        _loss(table, column.name, column.source_type, type_of(column).dms_type, words, count)
        for (column, words, _), count in zip(candidates, counts, strict=True)
        if count
    ]


def _inherited(connection: Any, table: Table) -> list[dict[str, Any]]:
    """What is not lost but comes twice: rows of tables that inherit from this one, which DMS reads
    as PostgreSQL answers for it. No loss of values, but of the primary key.
    """
    heirs = query(connection, _HEIRS % oid(table))
    if not heirs:
        return []
    name = relation_name(table)
    sql = f"select (select count(*) from {name}) - (select count(*) from only {name})"
    [[rows]] = query(connection, sql)
    words = (
        f"that rows are here once: those of {', '.join(each for (each,) in heirs)}, which inherit"
        " from it, come here, too, and the primary key may repeat"
    )
    return [_loss(table, "the table", "table", "with the rows of its heirs", words, rows)]


def _zones(tables: list[Table]) -> list[dict[str, Any]]:
    """One line for all columns of whose values nothing but the zone is lost."""
    columns = [
        f"{table.full_name}.{column.name}"
        for table in tables
        if table.replicated
        for column in table.columns
        if column.type.utc
    ]
    if not columns:
        return []
    more = f" and {len(columns) - 3} more" if len(columns) > 3 else ""
    return [
        {
            "table": "",
            "column": ", ".join(columns[:3]) + more,
            "type": "timestamp with time zone",
            "arrives_as": "DATETIME",
            "loses": "the zone: it arrives as the instant in UTC",
            "rows_affected": 0,
        }
    ]


def _loss(
    table: Table, column: str, type_name: str, arrives_as: str, loses: str, rows: int
) -> dict[str, Any]:
    return {
        "table": table.full_name,
        "column": column,
        "type": type_name,
        "arrives_as": arrives_as,
        "loses": loses,
        "rows_affected": rows,
    }


def _not_replicated(connection: Any, tables: list[Table]) -> list[dict[str, Any]]:
    """Views and the like in the schemas of the tables, and the database's large objects."""
    schemas = ", ".join(sorted({literal(table.schema) for table in tables})) or "''"
    rows = [
        {
            "table": name,
            "column": "",
            "type": kind,
            "arrives_as": "nothing",
            "loses": f"the {kind}: it is not replicated",
            "rows_affected": 0,
        }
        for name, kind in query(connection, _VIEWS % schemas)
    ]
    objects = query(connection, "select count(*) from pg_largeobject_metadata")[0][0]
    words = "the objects: only the numbers that refer to them arrive"
    large = {
        "table": "pg_largeobject",
        "column": "",
        "type": "large object",
        "arrives_as": "nothing",
        "loses": words,
        "rows_affected": objects,
    }
    return [*rows, large] if objects else rows


def _contents(connection: Any, table: Table, *, counted: bool) -> list[Any]:
    """Evidence of the rows, ending in their number and a hash."""
    if counted and table.bytes > SCANNED_BYTES:
        return query(connection, _COUNTERS % oid(table))[0]
    name = relation_name(table)
    [[foreign]] = query(connection, _FOREIGN % oid(table))
    # rows of foreign tables have no xmin
    version = "concat((t.*))" if foreign else "xmin::text"
    sql = f"select count(*), coalesce(sum(hashtext({version})::bigint), 0)::text from {name} t"
    return query(connection, sql)[0]


def _named_elsewhere(connection: Any, table: Table) -> list[list[Any]]:
    """A hash of the columns whose text is the name of something else, which may get another one
    while the rows stay as they are.
    """
    texts = [text(each) for each in table.columns if type_of(each).kind in NAMES_OF_OTHERS]
    if not texts:
        return []
    terms = ", ".join(f"sum(hashtext({each})::bigint)::text" for each in texts)
    return query(connection, f"select {terms} from {relation_name(table)}")


_DEFAULTS = "select name, reset_val, boot_val from pg_settings where name in (%s) order by name"

# the decimals of money are those of lc_monetary: a role's own would move the point
_MONETARY = """
select session_user::text, (select string_agg(substr(c, 13), ', ')
  from pg_db_role_setting s cross join unnest(s.setconfig) c
  where s.setrole = (select oid from pg_roles where rolname = session_user)
    and c like 'lc_monetary=%')
"""

_ROLE = """
select rolsuper, rolreplication or exists (
    select from pg_roles g
    where g.rolname = 'rds_replication' and pg_has_role(current_user, g.oid, 'MEMBER')),
  (select count(*) from pg_replication_slots) from pg_roles where rolname = current_user
"""

_VIEWS = """
select n.nspname || '.' || c.relname,
  case c.relkind when 'v' then 'view' when 'm' then 'materialized view' when 'f' then
    'foreign table' else 'table of AWS DMS itself' end
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where (c.relkind in ('v', 'm') or c.relkind = 'f' and not c.relispartition
    or c.relkind = 'r' and c.relname ~ '^awsdms_') and n.nspname in (%s) order by 1
"""

_HEIRS = """
select n.nspname || '.' || h.relname from pg_inherits i join pg_class p on p.oid = i.inhparent
join pg_class h on h.oid = i.inhrelid join pg_namespace n on n.oid = h.relnamespace
where p.relkind = 'r' and p.oid = %s order by 1
"""

_MEMBERS = """
with recursive member(oid) as (
  select %s union select i.inhrelid from member m join pg_inherits i on i.inhparent = m.oid
)
"""

_DEFINITION = f"""
{_MEMBERS} select
  md5(string_agg(
    concat_ws(' ', c.oid, c.relname, pg_relation_filenode(c.oid)), ',' order by c.oid)),
  md5(string_agg(
    (select string_agg(
      concat_ws(
        ' ', a.attnum, a.attname, a.atttypid, a.atttypmod, a.attnotnull, a.attisdropped),
      ',' order by a.attnum)
     from pg_attribute a where a.attrelid = c.oid and a.attnum > 0), ';' order by c.oid))
from member m join pg_class c on c.oid = m.oid
"""

_COUNTERS = f"""
{_MEMBERS} select sum(n_tup_upd)::bigint, sum(n_tup_del)::bigint,
  sum(pg_relation_size(m.oid))::bigint, sum(n_tup_ins)::bigint,
  coalesce(sum(n_live_tup), 0)::bigint, ''
from member m left join pg_stat_all_tables s on s.relid = m.oid
"""

_UNCOUNTED = "select pg_is_in_recovery() or current_setting('track_counts') = 'off'"

_FOREIGN = f"""
{_MEMBERS} select exists (
  select from member m join pg_class c on c.oid = m.oid where c.relkind = 'f')
"""

# how values of the columns' types are written: what enums call them, what composites, domains,
# arrays and ranges are made of, and what makes a text of those that are not PostgreSQL's own
_TYPES = f"""
{_MEMBERS}, kind(oid) as (
  select a.atttypid from member m join pg_attribute a on a.attrelid = m.oid
  where a.attnum > 0 and not a.attisdropped
  union
  select u.oid from kind k join pg_type t on t.oid = k.oid cross join lateral (
    values (t.typbasetype), (t.typelem)
    union all select r.rngsubtype from pg_range r
      where t.oid in (r.rngtypid, (to_jsonb(r) ->> 'rngmultitypid')::oid)
    union all select a.atttypid from pg_attribute a
      where a.attrelid = t.typrelid and a.attnum > 0 and not a.attisdropped
  ) u(oid) where u.oid <> 0
)
select t.oid::bigint, t.typname::text, t.typbasetype::bigint, t.typtypmod, t.typelem::bigint,
  (select string_agg(e.oid || ' ' || quote_literal(e.enumlabel), ',' order by e.oid)
    from pg_enum e where e.enumtypid = t.oid),
  (select string_agg(concat_ws(' ', quote_ident(a.attname), a.atttypid, a.atttypmod), ','
      order by a.attnum)
    from pg_attribute a where a.attrelid = t.typrelid and a.attnum > 0 and not a.attisdropped),
  (select string_agg(pg_get_constraintdef(c.oid), ',' order by c.oid)
    from pg_constraint c where c.contypid = t.oid),
  (select md5(concat_ws(' ', p.prosrc, p.probin)) from pg_proc p where p.oid = t.typoutput)
from kind k join pg_type t on t.oid = k.oid
where t.oid >= 16384  -- the first that a database makes itself
order by t.oid
"""

# what makes values beside rows: expressions of generated columns, where partitions and heirs end,
# which are not in this database
_MADE = f"""
{_MEMBERS} select c.oid::bigint, c.relkind::text, pg_get_expr(c.relpartbound, c.oid),
  (select string_agg(
      concat_ws(' ', a.attnum, pg_get_expr(d.adbin, d.adrelid)), ',' order by a.attnum)
    from pg_attribute a join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
    where a.attrelid = c.oid and to_jsonb(a) ->> 'attgenerated' <> ''),
  (select concat_ws(' ', f.ftserver, f.ftoptions, s.srvoptions)
    from pg_foreign_table f join pg_foreign_server s on s.oid = f.ftserver
    where f.ftrelid = c.oid)
from member m join pg_class c on c.oid = m.oid order by c.oid
"""
