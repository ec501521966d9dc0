"""What the source's catalog says about its tables, columns and keys."""

from __future__ import annotations

import json
from collections import defaultdict
from typing import TYPE_CHECKING, Any

from lakebook.errors import LakebookError
from lakebook.source.model import Column, ForeignKey, Table
from lakebook.source.names import RAW_COLUMNS, catalog_names
from lakebook.source.postgresql.connection import query
from lakebook.source.postgresql.delivered import key_loss
from lakebook.source.postgresql.dialect import literal, quote
from lakebook.source.postgresql.types import PostgreSQLType, not_replicated, type_of

if TYPE_CHECKING:
    from collections.abc import Iterable

# tables up to this size are counted, larger ones estimated when analyzed
COUNTED_BYTES = 64 * 1024**2
_FILTERED, _UNREADABLE = -3, -2  # columns of _TABLES


def tables(connection: Any, schemas: list[str], excluded: Iterable[str] = ()) -> list[Table]:
    """The ordinary and partitioned tables of the schemas in order of schema and name, but not those
    `excluded`.

    An excluded table is written `schema.table`, or `table` to mean it in every schema. Partitions
    belong to their parents; views, foreign and temporary tables are left out. Raises LakebookError
    when a schema or an excluded table does not exist, or the role may not read a table.
    """
    found = query(connection, _TABLES % ", ".join(map(literal, schemas or [""])))
    kept = _without(found, set(excluded))
    _check_schemas(connection, schemas, found)
    if not kept:
        raise LakebookError(
            f"The excluded tables leave nothing of the schemas {', '.join(schemas)}; exclude fewer,"
            " or name other schemas."
        )
    _check_permission(connection, kept)
    _check_rows_are_seen(connection, kept)
    oids = ", ".join(str(row[0]) for row in kept) or "0"
    columns, keys, foreign_keys = (
        _columns(connection, oids),
        _keys(connection, oids),
        _foreign_keys(connection, oids),
    )
    names = catalog_names([f"{schema}_{name}" for _, schema, name, *_ in kept])
    rows = _exact_rows(connection, kept)
    repeating = _repeating_keys(connection, kept, columns, keys)
    tables = [
        Table(
            schema=schema,
            name=name,
            catalog_name=catalog_name,
            rows=rows.get(oid, estimate),
            rows_estimated=oid not in rows,
            bytes=size,
            columns=columns[oid],
            primary_key=keys.get(oid, ()),
            foreign_keys=foreign_keys[oid],
            comment=comment or "",
            partitioned=partitioned,
            key_repeats=oid in repeating,
            not_replicated=not_replicated(
                [type_of(each).kind for each in columns[oid]], keys.get(oid, ()), (schema, name)
            ),
        )
        for (oid, schema, name, partitioned, comment, size, estimate, *_), catalog_name in zip(
            kept, names, strict=True
        )
    ]
    if not any(each.replicated for each in tables):
        reasons = "; ".join(f"{each.full_name}, as {each.not_replicated}" for each in tables)
        raise LakebookError(f"DMS replicates none of the tables: {reasons}. Name other schemas.")
    return tables


def _without(rows: list[list[Any]], excluded: set[str]) -> list[list[Any]]:
    names = {name for row in rows for name in (f"{row[1]}.{row[2]}", row[2])}
    if missing := sorted(excluded - names):
        raise LakebookError(
            f"The excluded tables {', '.join(missing)} do not exist in the source; correct or"
            " remove them."
        )
    return [row for row in rows if not excluded & {f"{row[1]}.{row[2]}", row[2]}]


def _check_schemas(connection: Any, schemas: list[str], rows: list[list[Any]]) -> None:
    """Refuse a schema that does not exist or holds no table."""
    if (
        not (empty := [schema for schema in schemas if schema not in {row[1] for row in rows}])
        and schemas
    ):
        return
    there = [row[0] for row in query(connection, _SCHEMAS)]
    what = "do not exist" if set(empty) - set(there) else "hold no tables"
    raise LakebookError(
        f"The schemas {', '.join(empty) or '(none named)'} {what} in the source, which has"
        f" {', '.join(there)}."
    )


def _check_permission(connection: Any, rows: list[list[Any]]) -> None:
    """Refuse tables that the role may not read, all at once, with the GRANT that mends it."""
    denied = [row for row in rows if not row[-1]]
    if not denied:
        return
    role = quote(query(connection, "select current_user")[0][0])
    schemas = ", ".join(sorted({quote(row[1]) for row in denied}))
    names = ", ".join(quote(row[1], row[2]) for row in denied)
    raise LakebookError(
        f"The role {role} may not read {_listed(denied)}; leave out what it must not see"
        f" ({_excluded(denied)}), or let the owner run: GRANT USAGE ON SCHEMA {schemas} TO {role};"
        f" GRANT SELECT ON {names} TO {role};"
    )


def _check_rows_are_seen(connection: Any, rows: list[list[Any]]) -> None:
    """Refuse tables of which the role, and so DMS, would see some rows only, or none at all.

    https://www.postgresql.org/docs/current/ddl-rowsecurity.html
    """
    if filtered := [row for row in rows if row[_FILTERED]]:
        role = quote(query(connection, "select current_user")[0][0])
        raise LakebookError(
            f"The role {role} sees {_listed(filtered)} only through row-level security, which would"
            f" leave out rows without a word; let an administrator run ALTER ROLE {role} BYPASSRLS,"
            " or make the role a member of the owner of tables that do not force it, or leave them"
            f" out ({_excluded(filtered)})."
        )
    if unlogged := [row for row in rows if row[_UNREADABLE]]:
        raise LakebookError(
            f"The source is a standby, which has no rows of the unlogged {_listed(unlogged)}; take"
            f" the primary, or leave them out ({_excluded(unlogged)})."
        )


def _listed(rows: list[list[Any]]) -> str:
    return ", ".join(f"{row[1]}.{row[2]}" for row in rows)


def _excluded(rows: list[list[Any]]) -> str:
    names = (json.dumps(f"{row[1]}.{row[2]}", ensure_ascii=False) for row in rows)
    return f"excluded_tables: [{', '.join(names)}]"


def _exact_rows(connection: Any, rows: list[list[Any]]) -> dict[int, int]:
    """Counted rows by table, for tables that are small or were never analyzed."""
    cheap = [row for row in rows if row[6] is None or row[5] <= COUNTED_BYTES]
    counted: dict[int, int] = {}
    for start in range(0, len(cheap), 100):
        parts = [
            f"select {row[0]}::bigint, count(*) from {quote(row[1])}.{quote(row[2])}"
            for row in cheap[start : start + 100]
        ]
        counted.update((oid, count) for oid, count in query(connection, " union all ".join(parts)))
    return counted


def _columns(connection: Any, oids: str) -> dict[int, tuple[Column, ...]]:
    rows: dict[int, list[list[Any]]] = defaultdict(list)
    for oid, *row in query(connection, _COLUMNS % oids):
        rows[oid].append(row)
    columns: dict[int, tuple[Column, ...]] = defaultdict(tuple)
    for oid, group in rows.items():
        names = catalog_names([row[0] for row in group], taken=RAW_COLUMNS)
        columns[oid] = tuple(
            _column(catalog_name, *row) for catalog_name, row in zip(names, group, strict=True)
        )
    return columns


def _column(
    catalog_name: str,
    name: str,
    type_name: str,
    kind: str,
    modifier: int,
    nullable: bool,
    comment: str | None,
    generated: bool,
) -> Column:
    """One column from its row of the catalog; what the type modifier means depends on the type."""
    precision = scale = length = None
    if kind == "numeric" and modifier >= 0:
        precision, scale = ((modifier - 4) >> 16) & 0xFFFF, (((modifier - 4) & 0x7FF) ^ 1024) - 1024
    elif kind in ("varchar", "bpchar") and modifier >= 0:
        length = modifier - 4
    elif kind in ("bit", "varbit") and modifier >= 0:
        length = modifier
    native = PostgreSQLType(kind, precision, scale, length)
    return Column(
        name,
        catalog_name,
        type_name,
        native.lake_type,
        nullable,
        comment or "",
        generated,
        native.may_arrive_null,
        native,
    )


def relation_name(table: Table) -> str:
    """`"schema"."name"`, for SQL."""
    return quote(table.schema, table.name)


def oid(table: Table) -> str:
    """The table's oid, for SQL."""
    return f"{literal(relation_name(table))}::regclass::oid"


def _keys(connection: Any, oids: str) -> dict[int, tuple[str, ...]]:
    return {oid: tuple(names) for oid, names in query(connection, _KEYS % oids)}


def _repeating_keys(
    connection: Any,
    rows: list[list[Any]],
    columns: dict[int, tuple[Column, ...]],
    keys: dict[int, tuple[str, ...]],
) -> set[int]:
    """The tables whose primary key does not hold in what is delivered: rows of other tables that
    inherit from it are among its own, a partition's index is missing, or values of it lose what
    tells them apart.
    """
    oids = ", ".join(str(row[0]) for row in rows) or "0"
    found = {oid for (oid,) in query(connection, _OPEN_KEYS % oids)}
    parts = []
    for oid, schema, name, *_ in rows:
        of_key = [each for each in columns[oid] if each.name in keys.get(oid, ())]
        conditions = [condition for each in of_key if (condition := key_loss(each))]
        if conditions and oid not in found:
            some = f"select from {quote(schema, name)} where {' or '.join(conditions)}"
            parts.append(f"select {oid}::bigint where exists ({some})")
    for start in range(0, len(parts), 100):
        some = " union all ".join(parts[start : start + 100])
        found.update(oid for (oid,) in query(connection, some))
    return found


def _foreign_keys(connection: Any, oids: str) -> dict[int, tuple[ForeignKey, ...]]:
    found: dict[int, tuple[ForeignKey, ...]] = defaultdict(tuple)
    for oid, columns, schema, table, referenced, holds in query(connection, _FOREIGN_KEYS % oids):
        key = ForeignKey(tuple(columns), schema, table, tuple(referenced), holds)
        found[oid] += (key,)
    return found


_SCHEMAS = (
    r"select nspname from pg_namespace where nspname !~ '^pg_' and nspname <> 'information_schema'"
    r" order by 1"
)

_TABLES = """
with recursive root as (
  select c.*, n.nspname from pg_class c join pg_namespace n on n.oid = c.relnamespace
  where c.relkind in ('r', 'p') and not c.relispartition and c.relpersistence <> 't'
    and c.relname !~ '^awsdms_'
    and n.nspname in (%s)
), member(root, oid) as (
  select oid, oid from root
  union select m.root, i.inhrelid from member m join pg_inherits i on i.inhparent = m.oid
), size as (
  select m.root, sum(pg_table_size(m.oid))::bigint as bytes,
    case when bool_and(c.reltuples > 0 or c.relpages > 0 or c.relkind = 'p')
      then sum(greatest(c.reltuples, 0)) filter (where c.relkind = 'r') end as rows
  from member m join pg_class c on c.oid = m.oid group by 1
)
select r.oid::bigint, r.nspname::text, r.relname::text, r.relkind = 'p',
  obj_description(r.oid, 'pg_class'), s.bytes, s.rows::bigint,
  row_security_active(r.oid), r.relpersistence = 'u' and pg_is_in_recovery(),
  has_schema_privilege(r.relnamespace, 'USAGE') and has_table_privilege(r.oid, 'SELECT')
from root r join size s on s.root = r.oid order by r.nspname collate "C", r.relname collate "C"
"""

_COLUMNS = """
with recursive a as (
  select * from pg_attribute where attrelid in (%s) and attnum > 0 and not attisdropped
), base(start, oid, modifier) as (
  select distinct atttypid, atttypid, null::int from a
  union all
  select b.start, d.typbasetype, d.typtypmod
  from base b join pg_type d on d.oid = b.oid where d.typtype = 'd'
), heir(root, oid) as (
  select distinct attrelid, attrelid from a
  union select h.root, i.inhrelid from heir h join pg_inherits i on i.inhparent = h.oid
  join pg_class c on c.oid = i.inhparent and c.relkind = 'r'
), optional as (
  select distinct h.root, p.attname from heir h join pg_attribute p on p.attrelid = h.oid
  where not p.attnotnull or exists (
    select from pg_constraint n where n.conrelid = p.attrelid and n.contype = 'n'
    and p.attnum = any(n.conkey) and not n.convalidated)
)
select a.attrelid::bigint, a.attname::text,
  regexp_replace(format_type(a.atttypid, a.atttypmod), '^public[.]', ''),
  case t.typtype when 'c' then 'composite' when 'e' then 'enum' when 'r' then 'range'
    when 'm' then 'multirange'
    else case t.typcategory when 'A' then 'array' else t.typname::text end end,
  coalesce(b.modifier, a.atttypmod),
  exists (select from optional o where o.root = a.attrelid and o.attname = a.attname),
  col_description(a.attrelid, a.attnum),
  coalesce(to_jsonb(a) ->> 'attgenerated', '') <> ''
from a join base b on b.start = a.atttypid join pg_type t on t.oid = b.oid and t.typtype <> 'd'
order by a.attrelid, a.attnum
"""

_KEYS = """
select i.indrelid::bigint, array_agg(a.attname::text order by k.position)
from pg_index i cross join unnest(i.indkey::int2[]) with ordinality as k(attnum, position)
join pg_attribute a on a.attrelid = i.indrelid and a.attnum = k.attnum
where i.indisprimary and i.indrelid in (%s)
  and k.position <= coalesce((to_jsonb(i) ->> 'indnkeyatts')::int, i.indnatts)
group by 1
"""

_OPEN_KEYS = """
select inhparent::bigint from pg_inherits i join pg_class c on c.oid = i.inhparent
where c.relkind = 'r' and c.oid in (%s)
union select indrelid::bigint from pg_index where indisprimary and not indisvalid
"""

_FOREIGN_KEYS = """
select c.conrelid::bigint, array_agg(a.attname::text order by k.position),
  n.nspname::text, r.relname::text, array_agg(f.attname::text order by k.position),
  bool_and(c.convalidated and coalesce((to_jsonb(c) ->> 'conenforced')::bool, true)
    and not exists (select from pg_trigger t where t.tgconstraint = c.oid and t.tgenabled <> 'O')
    and not exists (select from pg_inherits i join pg_class p on p.oid = i.inhparent
      where i.inhparent in (c.conrelid, c.confrelid) and p.relkind = 'r'))
from pg_constraint c
cross join unnest(c.conkey, c.confkey) with ordinality as k(attnum, fattnum, position)
join pg_attribute a on a.attrelid = c.conrelid and a.attnum = k.attnum
join pg_attribute f on f.attrelid = c.confrelid and f.attnum = k.fattnum
join pg_class r on r.oid = c.confrelid join pg_namespace n on n.oid = r.relnamespace
where c.contype = 'f' and not r.relispartition and c.conrelid in (%s)
group by c.oid, 1, 3, 4 order by c.oid
"""
