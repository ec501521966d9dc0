"""The lake's tables in the Data Catalog: raw as DMS left them, curated as people read them, and
what is proved of each.

Proof is kept where the data is described, in the tables' own parameters, so that any phase can be
opened alone. Whoever sees one column of a table reads all of its parameters: what was measured,
which holds values of every column, is an object in the bucket of jobs instead.
https://docs.aws.amazon.com/athena/latest/ug/lf-athena-limitations.html
"""

from __future__ import annotations

import datetime
import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lakebook import aws
from lakebook.ensure import Call, resource
from lakebook.services import athena, glue, kms, s3
from lakebook.source import table_json
from lakebook.source.fingerprint import unchanged
from lakebook.source.types import glue_type

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lakebook.ensure import Resource
    from lakebook.names import Names
    from lakebook.source.model import Table

SOURCE = "lakebook.source"  # the source table as it was when it was copied
PROOF = "lakebook.proof"  # what the reconciliation of this layer found, and of which data
VERSION = 3  # of the JSON in PROOF; SOURCE has its own, in table_json


@dataclass(frozen=True)
class RawTable:
    """One table as DMS wrote it."""

    source: Table
    files: list[dict[str, Any]]  # [{"uri", "bytes", "etag"}]
    # {"fingerprint" of the source, "files", "measure", "rows"}; empty before the first
    # reconciliation
    proof: dict[str, Any]


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
    parameters = {SOURCE: table_json.to_json(table)}
    if verification:
        parameters[PROOF] = proof(**verification)
    location, comment = raw_location(names, table), table.comment
    wanted = glue.parquet_table(
        [*added_first, *columns, *added_last], location, comment, parameters, by_position=True
    )
    return glue.table(table.catalog_name, names.database("raw"), wanted)


def raw_location(names: Names, table: Table) -> str:
    """Where DMS writes a table: `s3://acme-rehearsal-raw/operations/flights/`."""
    return f"s3://{names.raw_bucket}/{table.schema}/{table.name}/"


def raw_tables(names: Names) -> list[RawTable]:
    """Every catalogued raw table with its files and proof; none before phase 03."""
    found = [
        each for each in glue.tables(names.database("raw")) if SOURCE in each.get("Parameters", {})
    ]
    tables = [(source_of(each), proof_of(each)) for each in found]
    return [
        RawTable(table, s3.objects(raw_location(names, table)), proved) for table, proved in tables
    ]


def raw_layer(
    names: Names, tables: list[Table], proofs: dict[str, dict[str, Any]] | None = None
) -> list[Resource]:
    """The raw database with a catalog table for each source table, and the workgroup whose queries
    compare the layers.
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
    ]


def raw_proof(names: Names, table: Table, source_fingerprint: str, measure: str) -> dict[str, Any]:
    """What phase 03 records of a table whose raw files were found equal to the source, while that
    had this fingerprint.
    """
    return {
        "fingerprint": source_fingerprint,
        "files": fingerprint(s3.objects(raw_location(names, table))),
        "measure": measure,
        "rows": json.loads(measure)["rows"],
    }


def raw_matches_source(names: Names, tables: list[Table], source_fingerprint: str) -> bool:
    """Whether every table, as it is defined now, was found equal to the source with this very
    fingerprint, and its files are still those.
    """
    found = {each.source.catalog_name: each for each in raw_tables(names)}
    return bool(tables) and all(
        (raw := found.get(table.catalog_name)) is not None
        and table_json.to_json(raw.source) == table_json.to_json(table)
        and unchanged(raw.proof.get("fingerprint"), source_fingerprint)
        and raw.proof["files"] == fingerprint(raw.files)
        for table in tables
    )


def unverified(raw: list[RawTable]) -> list[str]:
    """The raw tables that were never found equal to the source, or whose files have changed
    since.
    """
    return [
        each.source.full_name for each in raw if each.proof.get("files") != fingerprint(each.files)
    ]


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
    return table_json.from_json(catalogued["Parameters"][SOURCE])


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
    bucket, key = s3.split(_measure_uri(names, kept))
    return aws.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read().decode()


@resource
def without_figures(database: str, names: Names) -> Iterator[Call]:
    """Proofs from before version 3 with the name of their measure in place of the measure."""
    catalog = aws.client("glue")
    shape: Any = catalog.meta.service_model.shape_for("TableInput")
    for each in glue.tables(database):
        found = json.loads(each.get("Parameters", {}).get(PROOF, "{}"))
        if (measure := found.get("measure", "")).startswith("{"):
            yield from s3.stored_object(_measure_uri(names, fingerprint(measure)), measure)
            rest = {"rows": json.loads(measure)["rows"], "measure": fingerprint(measure)}
            parameters = {**each["Parameters"], PROOF: json.dumps({**found, **rest})}
            told = {key: one for key, one in each.items() if key in shape.members}
            wanted = {"DatabaseName": database, "TableInput": {**told, "Parameters": parameters}}
            yield Call(catalog.update_table, wanted)


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
