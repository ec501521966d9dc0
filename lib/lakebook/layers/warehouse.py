"""The warehouse's tables: their definition from the catalog, and their load, each in one
transaction that proves its own row count.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from lakebook.ensure import Call, Resource, resource
from lakebook.layers import lake
from lakebook.layers.warehouse_layout import layouts
from lakebook.reconcile.canonical_sql import ATHENA, REDSHIFT
from lakebook.services import athena, s3
from lakebook.services.redshift import literal
from lakebook.source.names import LONGEST_BYTES, catalog_name, catalog_names
from lakebook.source.relation import Relation
from lakebook.source.types import LONGEST_VARCHAR_BYTES, longest_bytes, redshift_type

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pandas as pd

    from lakebook.left_out import LeftOut
    from lakebook.names import Names
    from lakebook.services.redshift import Warehouse
    from lakebook.source.model import Column, Table

# schemas of the warehouse that are no source's: those of reports, of the lake's files and of our
# notes are opened by rules of their own, the others are Redshift's
# https://docs.aws.amazon.com/redshift/latest/dg/r_names.html
OURS = re.compile(r"reporting|lake|lakebook|information_schema|catalog_history|pg_.*")
# the views span the databases of the warehouse
SCHEMAS = "SELECT schema_name FROM svv_all_schemas WHERE database_name = current_database()"
COLUMNS = (
    "SELECT schema_name, table_name, column_name FROM svv_all_columns"
    " WHERE database_name = current_database() ORDER BY 1, 2, ordinal_position"
)
PROVED = "UPDATE lakebook.loads SET proved_at = getdate() WHERE table_name IN"
NAMES_AT_ONCE = 200  # in one statement, of at most 100 KB
UPKEEP = (
    'SELECT "schema", "table", diststyle, sortkey1, tbl_rows, size AS megabytes, unsorted,'
    " stats_off, skew_rows FROM svv_table_info WHERE \"schema\" <> 'lakebook' ORDER BY 1, 2"
)
UNSORTED_PERCENT, STALE_PERCENT, SKEW = 10, 10, 4  # from where on something is worth doing
LOADS = """CREATE TABLE IF NOT EXISTS lakebook.loads (
    table_name varchar(300) NOT NULL,
    "snapshot" varchar(1024) NOT NULL,
    definition varchar(32) NOT NULL,
    row_count bigint NOT NULL,
    loaded_at timestamp NOT NULL,
    proved_at timestamp
)"""


@dataclass(frozen=True)
class WarehouseTable:
    """One curated table as the catalog shows it, and how the warehouse lays it out."""

    table: Table
    snapshot: str  # the location of the curated files
    proof: dict[str, Any]  # {"inputs", "files", "measure", "rows"}
    keys: str  # "distkey(flight_id) sortkey(scheduled_departure)", or nothing: AWS decides
    reason: str  # for these keys
    lob_max_kilobytes: int

    @property
    def schema(self) -> str:
        """`operations`, or `loyalty_customers` of the source `loyalty`."""
        return self.name.partition(".")[0]

    @property
    def name(self) -> str:
        """`operations.flights`."""
        return name_of(self.table)

    @property
    def identifier(self) -> str:
        """`"operations"."flights"`: quoted, as any of them may be a reserved word."""
        return quoted(self.name)

    @property
    def documents(self) -> dict[str, str]:
        """The columns that become SUPER, each with the name of the column beside it that keeps the
        source's own text.

        SUPER keeps neither spacing nor a number's own digits, and takes no invalid JSON: the text
        is what is compared and never lost.
        """
        names = [each.catalog_name for each in self.table.columns]
        found = [each.catalog_name for each in self.table.columns if each.type.name == "document"]
        texts = catalog_names([f"{each}_text" for each in found], taken=tuple(names))
        return dict(zip(found, texts, strict=True))

    @property
    def as_loaded(self) -> tuple[str, ...]:
        """The columns that hold what the curated files hold, in their order: a document's text, not
        the document.
        """
        return tuple(
            f'"{self.documents.get(each.catalog_name, each.catalog_name)}"'
            for each in self.table.columns
        )

    @property
    def typed_columns(self) -> list[tuple[str, str]]:
        """(name, Redshift type) of the table's columns: those of the Parquet files in their order,
        which is how COPY fills them, and each document before its text.
        """
        found = []
        for each in self.table.columns:
            kind = redshift_type(each.type, self.lob_max_kilobytes)
            text = self.documents.get(each.catalog_name)
            found += (
                [(each.catalog_name, "super"), (text, kind)]
                if text
                else [(each.catalog_name, kind)]
            )
        return found

    @property
    def ddl(self) -> str:
        """CREATE TABLE. Of what the source promises it says what holds in what has arrived: the
        planner trusts its keys, and COPY refuses a NULL.

        https://docs.aws.amazon.com/redshift/latest/dg/t_Defining_constraints.html
        """
        return self._ddl({each.name for each in self.table.columns if not each.nullable_in_lake})

    def _ddl(self, filled: set[str]) -> str:
        required = {
            self.documents.get(each.catalog_name, each.catalog_name)
            for each in self.table.columns
            if each.name in filled
        }
        lines = [
            f'"{name}" {kind}' + (" NOT NULL" if name in required else "")
            for name, kind in self.typed_columns
        ]
        if self.table.unique_key:
            names = {each.name: f'"{each.catalog_name}"' for each in self.table.columns}
            lines.append(
                f"PRIMARY KEY ({', '.join(names[each] for each in self.table.unique_key)})"
            )
        return (
            f"CREATE TABLE {self.identifier} (\n  "
            + ",\n  ".join(lines)
            + f"\n) {self.keys}".rstrip()
        )

    @property
    def definition(self) -> str:
        """A fingerprint of the DDL and comments."""
        return lake.fingerprint([self.ddl, self.comments])

    @property
    def stricter(self) -> str:
        """The same of a table that refuses NULL wherever the source does, as earlier versions made
        it: what is in it was taken, so it may stay.
        """
        filled = {each.name for each in self.table.columns if not each.nullable}
        return lake.fingerprint([self._ddl(filled), self.comments])

    @property
    def comments(self) -> list[str]:
        """COMMENT ON for the table and each column that the source commented."""
        on_table = (
            [f"COMMENT ON TABLE {self.identifier} IS {literal(self.table.comment)}"]
            if self.table.comment
            else []
        )
        return on_table + [
            f'COMMENT ON COLUMN {self.identifier}."{each.catalog_name}" IS {literal(each.comment)}'
            for each in self.table.columns
            if each.comment
        ]

    def relation(self, warehouse: Warehouse) -> Relation:
        """The table as reconciliation reads it."""
        return Relation(REDSHIFT, self.identifier, self.as_loaded, warehouse.ask)

    def copy(self, source: str) -> list[str]:
        """The statements that fill the table, `source` being all of COPY behind the table;
        documents by way of a table of texts, as COPY makes none.
        """
        if not self.documents:
            return [f"COPY {self.identifier} {source}"]
        stage = f'lakebook."stage_{lake.fingerprint(self.name)}"'  # no longer than a name may be
        columns = ", ".join(self._column(each, each.catalog_name) for each in self.table.columns)
        texts = [f'"{each.catalog_name}"' for each in self.table.columns]
        parsed = [
            f'CASE WHEN can_json_parse("{each}") THEN json_parse("{each}") END'
            for each in self.documents
        ]
        into = ", ".join([*self.as_loaded, *(f'"{each}"' for each in self.documents)])
        return [
            f"DROP TABLE IF EXISTS {stage}",
            f"CREATE TABLE {stage} ({columns})",
            f"COPY {stage} {source}",
            (
                f"INSERT INTO {self.identifier} ({into}) SELECT {', '.join([*texts, *parsed])} FROM"
                f" {stage}"
            ),
            f"DROP TABLE {stage}",
            f"ANALYZE {self.identifier}",  # which COPY into the table itself would have done
        ]

    def _column(self, column: Column, name: str) -> str:
        kind = redshift_type(column.type, self.lob_max_kilobytes)
        return f'"{name}" {kind}' + ("" if column.nullable_in_lake else " NOT NULL")


def name_of(table: Table) -> str:
    """What the warehouse calls a table: `operations.flights`, `loyalty_customers.cards` of the
    source `loyalty`; `source_reporting.people` where the source's schema has a name that is ours or
    Redshift's.
    """
    schema = catalog_name(table.lake_schema)
    shown = f"source_{schema}"[:LONGEST_BYTES] if OURS.fullmatch(schema) else schema
    return f"{shown}.{table.catalog_name.removeprefix(schema + '_')}"


def tables(names: Names, keys: dict[str, str], lob_max_kilobytes: int) -> list[WarehouseTable]:
    """Every curated table as the warehouse should have it.

    `keys` maps `schema.table` to Redshift's own words, `distkey(flight_id)
    sortkey(scheduled_departure)`; for others they are chosen. What fits no table is told by
    `layout_parameters.misnamed`.
    """
    found = lake.curated_tables(names)
    sources = {each["Name"]: lake.source_of(each) for each in found}
    proofs = {each["Name"]: lake.proof_of(each) for each in found}
    sizes = {table.full_name: (table, int(proofs[name]["rows"])) for name, table in sources.items()}
    chosen = layouts(sizes, keys)
    return [
        WarehouseTable(
            table := sources[each["Name"]],
            each["StorageDescriptor"]["Location"],
            proofs[each["Name"]],
            chosen[table.full_name].keys,
            chosen[table.full_name].reason,
            lob_max_kilobytes,
        )
        for each in found
    ]


def unverified(names: Names) -> list[str]:
    """The curated tables without a proved snapshot, by name in the catalog: 05 ended while it
    switched them, and a load would leave them out.
    """
    found = lake.of_sources(names, "curated")
    return [each["Name"] for each in found if lake.PROOF not in each["Parameters"]]


def loadable(
    names: Names, warehouse: Warehouse, tables: list[WarehouseTable], left_out: LeftOut
) -> list[WarehouseTable]:
    """The tables that the warehouse takes. Others, with texts longer than any column of Redshift,
    go to `left_out` with column, key and what to do, as do those whose snapshot is not verified.
    """
    for name in unverified(names):
        left_out.note(name, "the curated layer shows no verified snapshot: run 05")
    noted = notes(warehouse)
    for each in tables:
        if noted.get(each.name, {}).get("snapshot") == each.snapshot:
            continue
        for column in each.table.columns:
            longest = longest_bytes(column.type, each.lob_max_kilobytes)
            if column.type.is_text and longest > LONGEST_VARCHAR_BYTES:
                for reason in _too_long(names, each, column):
                    left_out.note(each.table.full_name, reason)
    return remaining(tables, left_out)


def remaining(tables: list[WarehouseTable], left_out: LeftOut) -> list[WarehouseTable]:
    """The tables that are not left out."""
    return [each for each in tables if each.table.full_name not in left_out.reasons]


def _too_long(names: Names, each: WarehouseTable, column: Column) -> list[str]:
    named = {one.name: ATHENA.quote(one.catalog_name) for one in each.table.columns}
    size = f"length(to_utf8({named[column.name]}))"
    key = [f"CAST({named[one]} AS varchar)" for one in each.table.primary_key]
    table = ATHENA.quote(names.database("curated"), each.table.catalog_name)
    sql = (
        f"SELECT {', '.join([size, *key])} FROM {table} WHERE {size} > {LONGEST_VARCHAR_BYTES}"
        " ORDER BY 1 DESC LIMIT 1"
    )
    return [
        f"{column.name} has a text of {int(size):,} bytes"
        f" (key {', '.join(map(str, keys)) or 'unknown'}), and Redshift takes"
        f" {LONGEST_VARCHAR_BYTES:,}: shorten it, set lob_max_kilobytes to 63 or less where the"
        " type has no length, or leave the table out (excluded_tables)"
        for size, *keys in athena.answer(sql, names.database("curated"), names.resource("lakebook"))
    ]


@resource
def dropped(_name: str, warehouse: Warehouse, tables: list[Table]) -> Iterator[Call]:
    """The end of retired tables; raises Redshift's own error where a view of others needs one."""
    there = warehouse.relations() if tables else set()
    for each in sorted({name_of(table) for table in tables} & set(there)):
        yield warehouse.transaction(
            [
                f"DELETE FROM lakebook.loads WHERE table_name = {literal(each)}",
                f"DROP TABLE {quoted(each)}",
            ]
        )


def overview(tables: list[WarehouseTable]) -> list[dict[str, Any]]:
    """Every table with its rows, its keys and the reason for them."""
    return [
        {"table": each.name, "rows": each.proof["rows"], "keys": each.keys, "why": each.reason}
        for each in tables
    ]


def unparsed(warehouse: Warehouse, tables: list[WarehouseTable]) -> list[dict[str, Any]]:
    """Documents that are no valid JSON, or too large for SUPER: NULL there, whole in the text
    beside it; table, column, rows.
    """
    parts = [
        f"SELECT '{each.name}', '{column}', count(*) FROM {each.identifier} WHERE \"{text}\" IS NOT"
        f' NULL AND NOT can_json_parse("{text}")'
        for each in tables
        for column, text in each.documents.items()
    ]
    found = warehouse.ask_all(parts)
    return [
        {"table": name, "column": column, "rows": int(rows or 0)}
        for name, column, rows in found
        if rows != "0"
    ]


def upkeep(warehouse: Warehouse) -> pd.DataFrame:
    """The loaded tables as Redshift sees them, and what would do them good: VACUUM, ANALYZE,
    another distribution key.

    Redshift does both by itself when it is idle;
    https://docs.aws.amazon.com/redshift/latest/dg/r_SVV_TABLE_INFO.html
    """
    found = warehouse.query(UPKEEP)
    found["advice"] = [_advice(each) for each in found.to_dict("records")]
    return found


def _advice(row: dict[str, Any]) -> str:
    table = f'"{row["schema"]}"."{row["table"]}"'
    unsorted, stale, skew = (
        float(row[each] or 0) for each in ("unsorted", "stats_off", "skew_rows")
    )
    return "; ".join(
        filter(
            None,
            [
                f"VACUUM SORT ONLY {table}" if unsorted > UNSORTED_PERCENT else "",
                f"ANALYZE {table}" if stale > STALE_PERCENT else "",
                (
                    f"another distkey: the fullest slice has {skew:g} times the rows of the"
                    " emptiest"
                    if skew > SKEW
                    else ""
                ),
            ],
        )
    )


@resource
def schemas(_name: str, warehouse: Warehouse, wanted: list[str]) -> Iterator[Call]:
    """The schemas of the source in the warehouse, and `lakebook.loads`, which says what was loaded
    from where.
    """
    actual = {name for (name,) in warehouse.ask(SCHEMAS)} if warehouse.exists() else set()
    missing = sorted({*wanted, "lakebook"} - actual)
    noting = [] if "lakebook.loads" in warehouse.relations() else [[LOADS]]
    yield from warehouse.transactions(
        [*([f'CREATE SCHEMA IF NOT EXISTS "{each}"'] for each in missing), *noting]
    )


@resource
def loaded(
    name: str, warehouse: Warehouse, each: WarehouseTable, names: Names, actual: dict[str, Any]
) -> Iterator[Call]:
    """One table filled from its curated snapshot: emptied, copied, counted, all in one transaction
    or not at all; noted once its comments are there, too.

    `actual` is what `contents` says of it: nothing is needed where that snapshot is loaded, and the
    table has its columns and as many rows as were loaded.
    """
    is_whole = actual and actual["columns"] == [name for name, _ in each.typed_columns]
    if (
        is_whole
        and actual["definition"] in (each.definition, each.stricter)
        and actual["snapshot"] == each.snapshot
        and actual["counted"] == actual["row_count"]
    ):
        return
    rows, copied = each.proof["rows"], s3.objects(each.snapshot)
    manifest = (
        f"s3://{names.jobs_bucket}/warehouse/{lake.fingerprint([each.snapshot, copied])}.manifest"
    )
    entries = [
        {"url": one["uri"], "mandatory": True, "meta": {"content_length": one["bytes"]}}
        for one in copied
    ]
    if copied:
        yield from s3.stored_object(manifest, json.dumps({"entries": entries}))
    as_defined = is_whole and actual["definition"] == each.definition
    made_anew = [f"DROP TABLE IF EXISTS {each.identifier}", each.ddl]
    source = f"FROM '{manifest}' IAM_ROLE '{names.role_arn('redshift')}' FORMAT AS PARQUET MANIFEST"
    load = [
        f"DELETE FROM lakebook.loads WHERE table_name = {literal(name)}",
        *([f"DELETE FROM {each.identifier}"] if as_defined else made_anew),
        *(each.copy(source) if copied else []),
        # Redshift has no ASSERT: a wrong count divides by zero, which rolls everything back
        (
            f"SELECT 1 / CASE WHEN count(*) = {rows} THEN 1 ELSE 0 END AS rows_are_{rows} FROM"
            f" {each.identifier}"
        ),
    ]
    note = (
        f"INSERT INTO lakebook.loads VALUES ({literal(name)}, {literal(each.snapshot)},"
        f" '{each.definition}', {rows}, getdate(), NULL)"
    )
    comments = [] if as_defined else each.comments
    yield from warehouse.transactions([load, *([one] for one in comments), [note]])


def loads(names: Names, warehouse: Warehouse, tables: list[WarehouseTable]) -> list[Resource]:
    """The load of every table, against what the warehouse says it holds now."""
    actual = contents(warehouse)
    return [
        no_longer_ours("in schemas of ours", warehouse, actual),
        *(
            replace(
                loaded(each.name, warehouse, each, names, actual.get(each.name, {})),
                table=each.table.full_name,
            )
            for each in tables
        ),
    ]


@resource
def no_longer_ours(
    _name: str, warehouse: Warehouse, actual: dict[str, dict[str, Any]]
) -> Iterator[Call]:
    """No table of a source where earlier versions put those of schemas with names of ours."""
    units = [
        [
            f"DROP TABLE IF EXISTS {quoted(each)}",
            f"DELETE FROM lakebook.loads WHERE table_name = {literal(each)}",
        ]
        for each in actual
        if OURS.fullmatch(each.partition(".")[0])
    ]
    yield from warehouse.transactions(units)


@resource
def verified(_name: str, warehouse: Warehouse, tables: list[str]) -> Iterator[Call]:
    """A note in `lakebook.loads` that these tables were compared with the curated layer, row for
    row.
    """
    noted = notes(warehouse) if tables else {}
    due = [each for each in tables if not noted.get(each, {}).get("proved_at")]
    chunks = [due[start : start + NAMES_AT_ONCE] for start in range(0, len(due), NAMES_AT_ONCE)]
    yield from warehouse.transactions(
        [[f"{PROVED} ({', '.join(map(literal, each))})"] for each in chunks]
    )


def notes(warehouse: Warehouse) -> dict[str, dict[str, Any]]:
    """What was noted of loads: table name to snapshot, definition, row_count, proved_at."""
    if not warehouse.exists() or "lakebook.loads" not in warehouse.relations():
        return {}
    noted = warehouse.query(
        'SELECT table_name, "snapshot", definition, row_count, proved_at FROM lakebook.loads'
    )
    return {str(each["table_name"]): each for each in noted.to_dict("records")}


def contents(warehouse: Warehouse) -> dict[str, dict[str, Any]]:
    """What the warehouse itself says it holds: table name to what was noted (snapshot, definition,
    row_count, proved_at), and to what is there, whoever has changed it since: columns in their
    order, counted rows. No columns: no table.
    """
    if not (noted := notes(warehouse)):
        return {}
    present = warehouse.relations()
    there = [each for each in noted if each in present]
    columns: dict[str, list[str]] = {each: [] for each in there}
    for schema, table, column in warehouse.ask(COLUMNS) if there else []:
        columns.get(f"{schema}.{table}", []).append(str(column))
    counted = counts(warehouse, there)
    return {
        name: {**each, "columns": columns.get(name, []), "counted": counted.get(name)}
        for name, each in noted.items()
    }


def quoted(name: str) -> str:
    """A table's name as SQL takes it: `"operations"."flights"`."""
    return REDSHIFT.quote(*name.split("."))


def counts(warehouse: Warehouse, tables: list[str]) -> dict[str, int]:
    """Rows of tables, `schema.name`, as the warehouse counts them now."""
    parts = [
        f"SELECT {literal(each)} AS name, count(*) AS row_count FROM {quoted(each)}"
        for each in tables
    ]
    return {str(name): int(rows or 0) for name, rows in warehouse.ask_all(parts)}
