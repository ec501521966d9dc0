"""The lake's tables in the Data Catalog: raw as DMS left them, curated as people read them, and
what is proved of each.

Proof is kept where the data is described, in the tables' own parameters, so that any phase can be
opened alone. Whoever sees one column of a table reads all of its parameters: what was measured,
which holds values of every column, and the source's description, which names them, are objects in
the bucket of jobs instead.
https://docs.aws.amazon.com/athena/latest/ug/lf-athena-limitations.html
"""

from __future__ import annotations

import datetime
import hashlib
import json
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, Any

from lakebook import aws, evidence
from lakebook.ensure import Call, resource
from lakebook.errors import LakebookError
from lakebook.services import athena, glue, kms, s3
from lakebook.source import table_json
from lakebook.source.fingerprint import unchanged
from lakebook.source.names import RAW_COLUMNS, catalog_name, catalog_names
from lakebook.source.types import glue_type
from lakebook.sources import shown

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from lakebook.ensure import Resource
    from lakebook.names import Names
    from lakebook.source.model import Column, Table

SOURCE = "lakebook.source"  # where the source table is described, as it was when it was copied
PROOF = "lakebook.proof"  # what the reconciliation of this layer found, and of which data
LEFT = "lakebook.left"  # why the source does not deliver the table any more
RETIRED = "lakebook.retired"  # "true" where no layer but raw shows it any more
VERSION = 3  # of the JSON in PROOF; SOURCE has its own, in table_json


@dataclass(frozen=True)
class RawTable:
    """One table as DMS wrote it."""

    source: Table
    files: list[dict[str, Any]]  # [{"uri", "bytes", "etag"}]
    # {"fingerprint" of the source, "database", "files", "measure", "rows"}; empty before the first
    # reconciliation
    proof: dict[str, Any]
    left: str = ""  # why the source does not deliver it any more; "" where it does
    retired: bool = False  # whether it was taken out of all layers but this one

    @property
    def verified(self) -> bool:
        """Whether it was found equal to the source, and its files are still those."""
        return bool(self.proof) and self.proof["files"] == fingerprint(self.files)


def raw_table(names: Names, table: Table, verification: dict[str, Any] | None = None) -> Resource:
    """The catalog table over what DMS writes for one source table; its columns are read by
    position, under names every engine takes.
    """
    added_first = [
        ("op", "string", "I on full load"),
        ("dms_timestamp", "string", "when DMS moved the row, UTC"),
    ]
    added_last = [("dms_change_seq", "string", "order of changes; NULL on full load")]
    columns = [(each.catalog_name, glue_type(each.type), each.comment) for each in table.columns]
    parameters = {SOURCE: source_uri(names, table)}
    if verification:
        parameters[PROOF] = proof(**verification)
    location, comment = raw_location(names, table), table.comment
    wanted = glue.parquet_table(
        [*added_first, *columns, *added_last], location, comment, parameters, by_position=True
    )
    return _table_of_its_own(table.catalog_name, names, table, wanted)


@resource
def _table_of_its_own(
    name: str, names: Names, table: Table, wanted: dict[str, Any]
) -> Iterator[Call]:
    """A raw table under a name that is no other table's: two phases 03 may give names at once."""
    actual = glue.describe(names.database("raw"), name)
    if actual and (other := source_of(actual).full_name) != table.full_name:
        raise LakebookError(
            f"The name {name} was given to {other} while {table.full_name} asked for it; run this"
            " phase again, and it gets another."
        )
    yield from source_kept(name, names, table)
    yield from glue.table(name, names.database("raw"), wanted)


def raw_location(names: Names, table: Table) -> str:
    """Where DMS writes a table: `s3://acme-rehearsal-raw/operations/flights/`."""
    return f"s3://{names.raw_bucket}/{table.folder}/"


def raw_tables(names: Names) -> list[RawTable]:
    """Every catalogued raw table with its files and proof, those that left the source and those
    that were retired among them; none before phase 03.
    """
    return [_raw_table(names, each) for each in of_sources(names, "raw")]


def retired(names: Names) -> list[Table]:
    """The tables that no layer but raw shows any more."""
    return [source_of(each) for each in of_sources(names, "raw") if RETIRED in each["Parameters"]]


def named(names: Names, tables: list[Table], source: str = "") -> list[Table]:
    """The tables of a source under the names that they have in the lake.

    The raw catalog is the register: a table found there by source, schema and name keeps its name,
    as do its columns. What is new gets a name that no other table has had, those that left their
    source included.
    """
    known = {each.full_name: each for each in map(source_of, of_sources(names, "raw"))}
    taken = [
        each["Name"] for layer in ("raw", "curated") for each in glue.tables(names.database(layer))
    ]
    found = []
    for table in (replace(each, source=source) for each in tables):
        before = known.get(table.full_name)
        wanted = f"{table.lake_schema}_{table.name}"
        [name] = [before.catalog_name] if before else catalog_names([wanted], tuple(taken))
        taken.append(name)
        columns = _named_columns(table, before)
        found.append(replace(table, catalog_name=name, columns=columns))
    return found


def renamed(tables: list[Table]) -> list[dict[str, str]]:
    """The tables and columns whose plain name in the lake another one had before, a line each:
    table, column, name, instead of.
    """
    tables_and_columns = [
        (each.full_name, column, given, catalog_name(wanted))
        for each in tables
        for column, given, wanted in (
            ("", each.catalog_name, f"{each.lake_schema}_{each.name}"),
            *((one.name, one.catalog_name, one.name) for one in each.columns),
        )
    ]
    return [
        {"table": table, "column": column, "name": given, "instead of": plain}
        for table, column, given, plain in tables_and_columns
        if given != plain
    ]


def _raw_table(names: Names, catalogued: dict[str, Any]) -> RawTable:
    table, said = source_of(catalogued), catalogued["Parameters"]
    files = s3.objects(raw_location(names, table))
    return RawTable(table, files, proof_of(catalogued), said.get(LEFT, ""), RETIRED in said)


def of_sources(names: Names, layer: str) -> list[dict[str, Any]]:
    """The tables of a layer that are described as a source's, as the catalog has them."""
    return [
        each for each in glue.tables(names.database(layer)) if SOURCE in each.get("Parameters", {})
    ]


def _named_columns(table: Table, before: Table | None) -> tuple[Column, ...]:
    kept = {each.name: each.catalog_name for each in before.columns} if before else {}
    new = [each.name for each in table.columns if each.name not in kept]
    given = kept | dict(zip(new, catalog_names(new, (*RAW_COLUMNS, *kept.values())), strict=True))
    return tuple(replace(each, catalog_name=given[each.name]) for each in table.columns)


def raw_layer(
    names: Names,
    tables: list[Table],
    proofs: dict[str, dict[str, Any]] | None = None,
    left: Sequence[RawTable] = (),
) -> list[Resource]:
    """The raw database with a catalog table for each source table, what it says of those that
    `left` the source, and the workgroup whose queries compare the layers.
    """
    return [
        athena.workgroup(
            names.resource("lakebook"),
            f"s3://{names.jobs_bucket}/athena/lakebook/",
            kms.alias(names),
        ),
        glue.database(names.database("raw"), "As AWS DMS wrote it"),
        without_figures(names.database("raw"), names),
        *(measure_kept(name, names, each["measure"]) for name, each in (proofs or {}).items()),
        *(raw_table(names, each, (proofs or {}).get(each.catalog_name)) for each in tables),
        _marks("of tables that left", names.database("raw"), _said(tables, left)),
    ]


def departures(
    names: Names,
    tables: list[Table],
    source: str,
    schemas: list[str],
    excluded: list[str],
    retired: list[str],
) -> list[RawTable]:
    """The raw tables of a source that it does not deliver any more, each with the reason, and
    whether it is to be retired; `tables` are all that it has.

    Raises LakebookError where `retired`, written as `schema.table` (`source.schema.table` of a
    source with a name), has a table that the source still delivers, or that the lake never had.
    """
    delivered = {each.full_name for each in tables if each.replicated}
    there = {each.full_name: each for each in tables}
    raw = {source_of(each).full_name: each for each in of_sources(names, "raw")}
    if still := sorted(there.keys() & set(retired)):
        raise LakebookError(
            f"retired_tables names {', '.join(still)}, which the source still has: name it under"
            " excluded_tables, too, or take it out of retired_tables."
        )
    if raw and (unknown := sorted(set(retired) - set(raw))):
        raise LakebookError(
            f"retired_tables names {', '.join(unknown)}, which the lake does not have."
        )
    return [
        replace(
            each := _raw_table(names, catalogued),
            left=_reason(each.source, there, schemas, excluded),
            retired=each.retired or name in retired,
        )
        for name, catalogued in raw.items()
        if source_of(catalogued).source == source and name not in delivered
    ]


def _reason(table: Table, there: dict[str, Table], schemas: list[str], excluded: list[str]) -> str:
    if table.full_name in there:
        return f"not replicated: {there[table.full_name].not_replicated}"
    if {table.name, f"{table.schema}.{table.name}"} & set(excluded):
        return "excluded"
    return "not in the source" if table.schema in schemas else "its schema is not taken"


def overview_of_departures(left: list[RawTable]) -> list[dict[str, Any]]:
    """A line for each table that its source does not deliver any more: table, name, why, rows, and
    what readers have of it. The run's report names them, too.
    """
    if told := [f"{each.source.full_name} ({each.left})" for each in left if not each.retired]:
        evidence.result("left the source, and still in the lake", ", ".join(told))
    return [
        {
            "table": each.source.full_name,
            "name": each.source.catalog_name,
            "why": each.left,
            "rows": each.proof.get("rows"),
            "readers see": "nothing: retired" if each.retired else "what was verified last",
        }
        for each in left
    ]


def _said(tables: list[Table], left: Sequence[RawTable]) -> dict[str, dict[str, str]]:
    """What the parameters of raw tables say of their leaving, by catalog name: nothing of those
    that the source delivers.
    """
    found: dict[str, dict[str, str]] = {each.catalog_name: {} for each in tables}
    for each in left:
        retired = {RETIRED: "true"} if each.retired else {}
        found[each.source.catalog_name] = {LEFT: each.left, **retired}
    return found


@resource
def _marks(_name: str, database: str, said: dict[str, dict[str, str]]) -> Iterator[Call]:
    for each in glue.tables(database):
        before = each.get("Parameters", {})
        rest = {key: one for key, one in before.items() if key not in (LEFT, RETIRED)}
        wanted = rest | said.get(each["Name"], {})
        if each["Name"] in said and wanted != before:
            yield glue.with_parameters(database, each, wanted)


def raw_proof(
    source_fingerprint: str, files: str, measure: str, database: str = ""
) -> dict[str, Any]:
    """What phase 03 records of a table whose raw files, which have the fingerprint `files`, were
    found equal to the source, while that had its own; `database` is the source's identity.
    """
    return {
        "fingerprint": source_fingerprint,
        **({"database": database} if database else {}),
        "files": files,
        "measure": measure,
        "rows": json.loads(measure)["rows"],
    }


def other_database(names: Names, source: str, identity: str) -> bool:
    """Whether the raw tables of a source were copied from another database than this one; those
    copied before identities were kept say nothing.
    """
    known = {
        database
        for each in of_sources(names, "raw")
        if source_of(each).source == source and LEFT not in each["Parameters"]
        if (database := proof_of(each).get("database"))
    }
    return bool(known) and known != {identity}


def check_database(
    names: Names, source: str, secret: str, identity: str, *, accepted: bool
) -> bool:
    """Whether this is another database than the source's tables were copied from; raises
    LakebookError where it is and that was not accepted.
    """
    other = other_database(names, source, identity)
    if other and not accepted:
        raise LakebookError(
            f"The secret {secret} leads to another database than the one that the raw layer was"
            " copied from: correct the secret, give this database a name of its own under"
            " sources, or say accept_other_database: true."
        )
    return other


def raw_matches_source(names: Names, tables: list[Table], source_fingerprint: str) -> bool:
    """Whether every table, as it is defined now, was found equal to the source with this very
    fingerprint, and its files are still those.
    """
    found = {each.source.catalog_name: each for each in raw_tables(names)}
    return bool(tables) and all(
        (raw := found.get(table.catalog_name)) is not None
        and table_json.to_json(raw.source) == table_json.to_json(table)
        and unchanged(raw.proof.get("fingerprint"), source_fingerprint)
        and raw.verified
        for table in tables
    )


def unverified(raw: list[RawTable], left_out: Sequence[str] = ()) -> list[str]:
    """The raw tables that were never found equal to the source, or whose files have changed
    since; a table that left its source is none of them, nor is one of a source that is `left_out`.
    """
    return [
        each.source.full_name
        for each in raw
        if not each.verified and not each.left and not _is_left_out(each, left_out)
    ]


def set_aside(raw: list[RawTable], left_out: Sequence[str] = ()) -> dict[str, str]:
    """The raw tables that are not converted, by full name, with the reason: those that were
    retired, and those that are not verified while nobody will mend that, as they left their source
    or their source is `left_out`. What was verified of them before stays.
    """
    return {
        each.source.full_name: (
            "retired" if each.retired else each.left or f"source {shown(each.source.source)} failed"
        )
        for each in raw
        if each.retired or (not each.verified and (each.left or _is_left_out(each, left_out)))
    }


def overview_of_set_aside(raw: list[RawTable], left_out: Sequence[str]) -> list[dict[str, str]]:
    """A line for each table that is not converted, with the reason."""
    return [{"table": name, "why": why} for name, why in set_aside(raw, left_out).items()]


def _is_left_out(each: RawTable, left_out: Sequence[str]) -> bool:
    return shown(each.source.source) in left_out


def curated_tables(names: Names) -> list[dict[str, Any]]:
    """The curated tables with a proved snapshot, as the catalog describes them."""
    return [
        each
        for each in glue.tables(names.database("curated"))
        if PROOF in each.get("Parameters", {})
    ]


def fingerprint(content: Any) -> str:
    """A short name for some JSON content, the same wherever it is computed."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def source_of(catalogued: dict[str, Any]) -> Table:
    """The source table that a catalog table of ours was made from."""
    kept = catalogued["Parameters"][SOURCE]
    return table_json.from_json(kept if kept.startswith("{") else _read(kept))


def source_uri(names: Names, table: Table) -> str:
    """Where a source table is described; another description is elsewhere."""
    name = fingerprint(table_json.to_json(table))
    return f"s3://{names.jobs_bucket}/sources/{name}.json"


@resource
def source_kept(_name: str, names: Names, table: Table) -> Iterator[Call]:
    """The description of a source table, where the catalog says."""
    yield from s3.stored_object(source_uri(names, table), table_json.to_json(table))


@cache
def _read(uri: str) -> str:
    """An object that never changes, as text."""
    bucket, key = s3.split(uri)
    return aws.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read().decode()


def proof(**found: Any) -> str:
    """What a reconciliation found, as a table's parameters keep it: of the measure the name."""
    return json.dumps({"version": VERSION, **found, "measure": fingerprint(found["measure"])})


@resource
def measure_kept(_name: str, names: Names, measure: str) -> Iterator[Call]:
    """What was measured of a table, under the name that its proof has for it."""
    yield from s3.stored_object(_measure_uri(names, fingerprint(measure)), measure)


def measure_of(names: Names, kept: str) -> str:
    """The measure that a proof names, or holds itself as those before version 3 do; empty where
    there is none.
    """
    if not kept or kept.startswith("{"):
        return kept
    return _read(_measure_uri(names, kept))


@resource
def without_figures(database: str, names: Names) -> Iterator[Call]:
    """Proofs and sources of former versions with the name of what they held in its place."""
    for each in glue.tables(database):
        parameters = dict(each.get("Parameters", {}))
        found = json.loads(parameters.get(PROOF, "{}"))
        if (measure := found.get("measure", "")).startswith("{"):
            yield from s3.stored_object(_measure_uri(names, fingerprint(measure)), measure)
            rest = {"rows": json.loads(measure)["rows"], "measure": fingerprint(measure)}
            parameters[PROOF] = json.dumps({**found, **rest})
        if parameters.get(SOURCE, "").startswith("{"):
            yield from source_kept(each["Name"], names, source_of(each))
            parameters[SOURCE] = source_uri(names, source_of(each))
        if parameters != each.get("Parameters", {}):
            yield glue.with_parameters(database, each, parameters)


@resource
def superseded_measures(_name: str, names: Names, days: int) -> Iterator[Call]:
    """The end of measures that no proof names any more and that are older than so many days."""
    limit = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=days)
    layers = [each for layer in ("raw", "curated") for each in glue.tables(names.database(layer))]
    named = {_measure_uri(names, str(proof_of(each).get("measure"))) for each in layers}
    for uri, modified in s3.modified(_measure_uri(names, "").removesuffix(".json")):
        if uri not in named and modified < limit:
            yield from s3.emptied(uri)


def _measure_uri(names: Names, name: str) -> str:
    return f"s3://{names.jobs_bucket}/measures/{name}.json"


def proof_of(catalogued: dict[str, Any] | None) -> dict[str, Any]:
    """What was proved of a table that the catalog describes, in any version; empty where nothing
    was.
    """
    found: dict[str, Any] = json.loads((catalogued or {}).get("Parameters", {}).get(PROOF, "{}"))
    if "position" in found:  # version 1
        found["fingerprint"] = found.pop("position")
    return found
