"""The lake's tables in the Data Catalog: raw as DMS left them, curated as people read them, and
what is proved of each.

Proof is kept where the data is described, in the tables' own parameters, so that any phase can be
opened alone.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lakebook.services import athena, glue, kms, s3
from lakebook.source import table_json
from lakebook.source.types import glue_type

if TYPE_CHECKING:
    from lakebook.ensure import Resource
    from lakebook.names import Names
    from lakebook.source.model import Table

SOURCE = "lakebook.source"  # the source table as it was when it was copied
PROOF = "lakebook.proof"  # what the reconciliation of this layer found, and of which data
VERSION = 2  # of the JSON in PROOF; SOURCE has its own, in table_json


@dataclass(frozen=True)
class RawTable:
    """One table as DMS wrote it."""

    source: Table
    files: list[dict[str, Any]]  # [{"uri", "bytes", "etag"}]
    # {"fingerprint" of the source, "files", "measure"}; empty before the first reconciliation
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
    }


def raw_matches_source(names: Names, tables: list[Table], source_fingerprint: str) -> bool:
    """Whether every table, as it is defined now, was found equal to the source with this very
    fingerprint, and its files are still those.
    """
    found = {each.source.catalog_name: each for each in raw_tables(names)}
    return bool(tables) and all(
        (raw := found.get(table.catalog_name)) is not None
        and table_json.to_json(raw.source) == table_json.to_json(table)
        and raw.proof.get("fingerprint") == source_fingerprint
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
    """What a reconciliation found, as a table's parameters keep it."""
    return json.dumps({"version": VERSION, **found})


def proof_of(catalogued: dict[str, Any] | None) -> dict[str, Any]:
    """What was proved of a table that the catalog describes, in any version; empty where nothing
    was.
    """
    found: dict[str, Any] = json.loads((catalogued or {}).get("Parameters", {}).get(PROOF, "{}"))
    if "position" in found:  # version 1
        found["fingerprint"] = found.pop("position")
    return found
