"""From raw to curated: which conversions are pending, the manifest the Glue job reads, its result,
and the switch of the catalog.
"""

from __future__ import annotations

import datetime
import json
import re
from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from lakebook import aws
from lakebook.ensure import Call, Resource, resource
from lakebook.layers import lake
from lakebook.layers.layout_parameters import transforms
from lakebook.layers.warehouse import name_of
from lakebook.project import project
from lakebook.reconcile.measure import Measure, compare
from lakebook.services import glue, s3, storage
from lakebook.source import table_json
from lakebook.source.raw_names import raw_names
from lakebook.source.types import glue_type

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from lakebook.layers.lake import RawTable
    from lakebook.left_out import LeftOut
    from lakebook.names import Names
    from lakebook.source.model import Table

SCRIPT = (files("lakebook.layers.jobs") / "raw_to_curated.py").read_text()
# One more whenever the script would write something else from the same manifest: all tables are
# then converted anew. tests/test_kept_catalog.py notices a script that was changed.
CONVERSION = 1
EXTENSIONS = {"snappy": "snappy", "gzip": "gz", "zstd": "zstd"}  # of Spark's Parquet files


@dataclass(frozen=True)
class Conversion:
    """One table's way from its raw files to a snapshot in the curated layer."""

    table: Table
    files: list[str]
    location: str  # s3://acme-rehearsal-curated/operations/flights/snapshot=<inputs>/
    partition_by: list[dict[str, str]]  # [{"name", "column", "transform"}]
    inputs: str  # names everything the outcome depends on: files, columns, layout, CONVERSION
    # the catalog already shows a proved snapshot of these inputs, and its files are all there
    done: bool
    measure: str  # what the raw layer was found to hold, as its proof names it
    rows: int | None  # of the raw layer

    @property
    def columns(self) -> list[tuple[str, str, str]]:
        """(name, Hive type, comment) in the source's order."""
        return [
            (each.catalog_name, glue_type(each.type), each.comment) for each in self.table.columns
        ]

    @property
    def partition_keys(self) -> list[tuple[str, str, str]]:
        """(name, Hive type, comment) of the columns that are in the path alone."""
        return [
            (each["name"], "string", f"{each['transform']} of {each['column']}")
            for each in self.partition_by
        ]


def conversions(
    names: Names,
    raw: list[RawTable],
    partition_by: dict[str, str],
    compression: str,
    left_out: Sequence[str] = (),
) -> list[Conversion]:
    """The conversion of every raw table but those set aside (`lake.set_aside`).

    `partition_by` maps `schema.table` to `month(column)` (or year, day, value; several joined by
    commas); what fits no table yet lays out nothing, and `layout_parameters.misnamed` tells it.
    """
    aside = lake.set_aside(raw, left_out)
    return [
        _conversion(names, each, partition_by.get(each.source.full_name, ""), compression)
        for each in raw
        if each.source.full_name not in aside
    ]


def retired(names: Names) -> list[Resource]:
    """The end of retired tables in the catalog of readers and of staging; their files stay until
    they have expired.
    """
    return [
        glue.no_table(each.catalog_name, names.database(layer))
        for each in lake.retired(names)
        for layer in ("curated", "staging")
    ]


def naming_retired(names: Names, files: list[str]) -> list[dict[str, str]]:
    """Which of the files, such as a dashboard's, a model's or the reports', still name a retired
    table, by its name in the source, the catalog or the warehouse: table, file.
    """
    texts = {each: (project() / each).read_text(encoding="utf-8") for each in files if each}
    return [
        {"table": table.full_name, "file": file}
        for table in lake.retired(names)
        for file, text in texts.items()
        for called in [{table.full_name, table.catalog_name, name_of(table)}]
        if any(re.search(rf"(?<![\w.]){re.escape(each)}(?!\w)", text) for each in called)
    ]


def manifest(
    pending: list[Conversion], compression: str, *, goes_on: bool = False
) -> dict[str, Any]:
    """The job's manifest, table by table; see `jobs/raw_to_curated.py`."""
    entries = [_manifest_entry(each) for each in pending]
    how = {"on_failure": "exclude"} if goes_on else {}
    return {"compression": compression, **how, "tables": entries}


@resource
def converted(
    name: str,
    names: Names,
    pending: list[Conversion],
    compression: str,
    timeout_seconds: float,
    *,
    goes_on: bool = False,
) -> Iterator[Call]:
    """One run of the job over the pending tables; none where a run over the same inputs has left
    its result, of all of them. A table that cannot be converted fails it, unless it `goes_on`.
    """
    outcome = result(names, pending) if pending else {}
    if outcome is None or _errors(outcome):
        content, (bucket, key), client = (
            manifest(pending, compression, goes_on=goes_on),
            s3.split(_uri(names, "manifests", pending)),
            aws.client("s3"),
        )
        for each in pending:
            yield from s3.emptied(each.location)  # what a run that failed half-way has left
        yield Call(
            client.put_object, {"Bucket": bucket, "Key": key, "Body": json.dumps(content, indent=1)}
        )
        arguments = {
            "--manifest": _uri(names, "manifests", pending),
            "--result": _uri(names, "results", pending),
        }
        yield glue.run_job(name, arguments, timeout_seconds)


def result(names: Names, pending: list[Conversion]) -> dict[str, Any] | None:
    """What the job left for these inputs, table name to rows, bytes, files, partitions, or to the
    error for which it was left out; None when any of it is not there.
    """
    uri = _uri(names, "results", pending)
    if not s3.objects(uri):
        return None
    bucket, key = s3.split(uri)
    outcome: dict[str, Any] = json.loads(
        aws.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read()
    )["tables"]
    written = {
        each["uri"]: each["bytes"] for table in outcome.values() for each in table.get("files", [])
    }
    there = {
        each["uri"]: each["bytes"]
        for conversion in pending
        if "error" not in outcome[conversion.table.catalog_name]
        for each in s3.objects(conversion.location)
    }
    return outcome if written == there else None


def usable(
    raw: list[RawTable], left_out: LeftOut, sources_left_out: Sequence[str] = ()
) -> list[RawTable]:
    """The raw tables that were found equal to the source; others go to `left_out`, but those that
    `lake.set_aside` has a reason for.
    """
    unequal = lake.unverified(raw, sources_left_out)
    for each in unequal:
        left_out.note(each, "its raw files were not found equal to the source: run 03")
    return [each for each in raw if each.source.full_name not in unequal]


def note_failed(names: Names, pending: list[Conversion], left_out: LeftOut) -> None:
    """Let what the job could not convert go to `left_out`."""
    people = {each.table.catalog_name: each.table.full_name for each in pending}
    outcome = result(names, pending) if pending else None
    for name, reason in _errors(outcome or {}).items():
        left_out.note(people[name], reason)


def _errors(outcome: dict[str, Any]) -> dict[str, str]:
    """The tables that the job could not convert and went on without, by catalog name, with the
    reason.
    """
    return {name: each["error"] for name, each in outcome.items() if "error" in each}


def candidate(names: Names, each: Conversion) -> Resource:
    """The new snapshot as a table of the staging database, where it is judged before any reader can
    see it.
    """
    wanted = glue.parquet_table(each.columns, each.location, each.table.comment, {})
    return glue.table(each.table.catalog_name, names.database("staging"), wanted)


def shown(names: Names, conversions: list[Conversion], measured: dict[str, str]) -> list[Resource]:
    """The partitioned tables of `measured` switched to their judged snapshots, for readers but
    without a proof: that takes more than one call, and a proof says only what readers see.
    """
    found = [_shown(names, each) for each in conversions if each.table.catalog_name in measured]
    return [each for resources in found for each in resources]


def published(
    names: Names, conversions: list[Conversion], measured: dict[str, str]
) -> list[Resource]:
    """The curated tables, those in `measured` with their judged snapshot and its proof; done ones
    only have to be as they are, and their partitions.
    """
    outcome = result(names, [each for each in conversions if not each.done]) or {}
    found = [
        _published(
            names, each, measured.get(each.table.catalog_name), outcome.get(each.table.catalog_name)
        )
        for each in conversions
    ]
    older = lake.without_figures(names.database("curated"), names)
    return [*(each for tables in found for each in tables), older]


def job(names: Names, worker_type: str, workers: int, timeout_minutes: int) -> list[Resource]:
    """The buckets, the script as it is in this repository, and the job that runs it."""
    script = f"s3://{names.jobs_bucket}/scripts/raw_to_curated.py"
    arguments = {"--job-language": "python", "--enable-continuous-cloudwatch-log": "true"}
    return [
        s3.stored_object(script, SCRIPT),
        glue.spark_job(
            names.resource("curation"),
            names.role_arn("glue"),
            script,
            arguments,
            workers=workers,
            worker_type=worker_type,
            timeout_minutes=timeout_minutes,
        ),
    ]


def overview(conversions: list[Conversion]) -> list[dict[str, Any]]:
    """What would be converted and what is done already, a line for each table."""
    return [
        {
            "table": each.table.full_name,
            "files": len(each.files),
            "partitioned by": ", ".join(key["name"] for key in each.partition_by),
            "snapshot": each.inputs,
            "pending": not each.done,
        }
        for each in conversions
    ]


def unverified(
    names: Names, conversions: list[Conversion], left_out: LeftOut | None = None
) -> list[str]:
    """The tables, by name in the catalog, of which the curated layer shows no verified snapshot,
    but for those left out.
    """
    known = left_out.reasons if left_out else {}
    wanted = {each.table.catalog_name for each in conversions if each.table.full_name not in known}
    return sorted(wanted - {each["Name"] for each in lake.curated_tables(names)})


def measured(conversions: list[Conversion]) -> list[dict[str, Any]]:
    """Rows, files and bytes of each table's snapshot."""
    found = [(each, s3.objects(each.location)) for each in conversions]
    return [
        {
            "table": each.table.full_name,
            "rows": each.rows,
            "files": len(there),
            "MiB": round(sum(one["bytes"] for one in there) / 2**20, 1),
        }
        for each, there in found
    ]


def expired(names: Names, retention_days: dict[str, int], personal: list[str]) -> list[Resource]:
    """The end of snapshots that were superseded long enough ago; `personal` names catalog tables
    that are kept for `personal_snapshots` days.
    """
    days = storage.checked(retention_days)
    kept = {True: days["personal_snapshots"] or days["snapshots"], False: days["snapshots"]}
    shortest = min(kept.values())
    measures = [lake.superseded_measures("of tables", names, shortest)] if shortest else []
    gone = lake.retired(names) if shortest else []
    return [
        *measures,
        *(
            _without_expired(
                each.catalog_name, f"s3://{names.curated_bucket}/{each.folder}/", shortest
            )
            for each in gone
        ),
        *(
            _without_expired(
                each["Name"],
                each["StorageDescriptor"]["Location"].rpartition("snapshot=")[0],
                kept[each["Name"] in personal],
                each,
            )
            for each in glue.tables(names.database("curated"))
            if kept[each["Name"] in personal]
            and "snapshot=" in each["StorageDescriptor"]["Location"]
        ),
    ]


@resource
def _without_expired(
    name: str, folder: str, days: int, table: dict[str, Any] | None = None
) -> Iterator[Call]:
    """Snapshots below a folder that nobody reads whose files are all older than so many days; a
    younger one might be needed to go back. Without the `table` that shows one, nobody reads any.
    """
    current = table["StorageDescriptor"]["Location"] if table else ""
    limit = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=days)
    written: dict[str, list[datetime.datetime]] = {}
    for uri, modified in s3.modified(folder):
        written.setdefault(folder + uri.removeprefix(folder).partition("/")[0] + "/", []).append(
            modified
        )
    old = [each for each, times in written.items() if each != current and max(times) < limit]
    parts = glue.found_partitions(table["DatabaseName"], name) if old and table else []
    read = [each["StorageDescriptor"]["Location"] for each in parts]
    for snapshot in old:
        if not any(each.startswith(snapshot) for each in read):
            yield from s3.emptied(snapshot)


def _shown(names: Names, each: Conversion) -> list[Resource]:
    database, name = names.database("curated"), each.table.catalog_name
    before = (glue.describe(database, name) or {}).get("PartitionKeys", [])
    is_relaid = [one["Name"] for one in before] != [one["name"] for one in each.partition_by]
    # values of other keys are no partitions of the new layout
    emptied = [glue.partitions(name, database, {})] if before and is_relaid else []
    if not each.partition_by:
        return emptied  # one call switches the table, and says its proof
    wanted = _as_catalogued(each, {lake.SOURCE: lake.source_uri(names, each.table)})
    return [
        *emptied,
        lake.source_kept(name, names, each.table),
        glue.table(name, database, wanted, without=(lake.PROOF,)),
        glue.partitions(name, database, _partitions(each)),
    ]


def _published(
    names: Names, each: Conversion, measure: str | None, outcome: dict[str, Any] | None
) -> list[Resource]:
    if not each.done and (measure is None or outcome is None or "error" in outcome):
        return []
    database, name = names.database("curated"), each.table.catalog_name
    kept = [lake.source_kept(name, names, each.table)]
    parameters = {lake.SOURCE: lake.source_uri(names, each.table)}
    if measure is not None and outcome is not None:
        kept.append(lake.measure_kept(name, names, measure))
        parameters[lake.PROOF] = lake.proof(
            inputs=each.inputs,
            files=lake.fingerprint(s3.objects(each.location)),
            measure=measure,
            rows=outcome["rows"],
        )
    parts = [glue.partitions(name, database, _partitions(each))] if each.partition_by else []
    return [*kept, *parts, glue.table(name, database, _as_catalogued(each, parameters))]


def _as_catalogued(each: Conversion, parameters: dict[str, str]) -> dict[str, Any]:
    return glue.parquet_table(
        each.columns, each.location, each.table.comment, parameters, each.partition_keys
    )


def _partitions(each: Conversion) -> dict[tuple[str, ...], str]:
    """The partitions that a snapshot's folders are, values to location."""
    files = [one["uri"].removeprefix(each.location) for one in s3.objects(each.location)]
    folders = sorted({file.rpartition("/")[0] for file in files})
    return {
        tuple(unquote(part.partition("=")[2]) for part in folder.split("/")): (
            f"{each.location}{folder}/"
        )
        for folder in folders
    }


def _conversion(names: Names, raw: RawTable, partition_by: str, compression: str) -> Conversion:
    table = raw.source
    columns = [each.catalog_name for each in table.columns]
    layout = [
        {"name": f"{column}_{transform}", "column": column, "transform": transform}
        for transform, column in transforms(partition_by, columns)
    ]
    inputs = lake.fingerprint([CONVERSION, raw.files, _columns(table), layout, compression])
    actual = glue.describe(names.database("curated"), table.catalog_name)
    proof = lake.proof_of(actual)
    if actual and _converted_by_version_1(names, raw, actual, proof, layout, compression):
        inputs = proof["inputs"]
    location = f"s3://{names.curated_bucket}/{table.folder}/snapshot={inputs}/"
    done = proof.get("inputs") == inputs and proof["files"] == lake.fingerprint(
        s3.objects(location)
    )
    return Conversion(
        table,
        [each["uri"] for each in raw.files],
        location,
        layout,
        inputs,
        done,
        raw.proof.get("measure", ""),
        raw.proof.get("rows"),
    )


def _converted_by_version_1(
    names: Names,
    raw: RawTable,
    actual: dict[str, Any],
    proof: dict[str, Any],
    layout: list[dict[str, str]],
    compression: str,
) -> bool:
    """Whether the catalog shows a snapshot from before names were made as today, which holds what
    this conversion would write: it was proved equal to these raw files, and is laid out like this.
    """
    if not proof or "version" in proof or CONVERSION != 1:
        return False
    files = s3.objects(actual["StorageDescriptor"]["Location"])
    return (
        raw.proof.get("files") == lake.fingerprint(raw.files)
        and not compare(
            *(
                Measure.from_json(lake.measure_of(names, each["measure"]))
                for each in (raw.proof, proof)
            )
        )
        and table_json.to_json(lake.source_of(actual)) == table_json.to_json(raw.source)
        and [each["Name"] for each in actual["PartitionKeys"]] == [each["name"] for each in layout]
        and all(each["uri"].endswith(f".{EXTENSIONS[compression]}.parquet") for each in files)
    )


def _columns(table: Table) -> list[dict[str, str]]:
    raw = raw_names(table)
    return [
        {"raw": raw[column.name], "name": column.catalog_name, "type": glue_type(column.type)}
        for column in table.columns
    ]


def _manifest_entry(each: Conversion) -> dict[str, Any]:
    return {
        "name": each.table.catalog_name,
        "files": each.files,
        "location": each.location,
        "columns": _columns(each.table),
        "partition_by": each.partition_by,
    }


def _uri(names: Names, kind: str, pending: list[Conversion]) -> str:
    inputs = lake.fingerprint(sorted(each.inputs for each in pending))
    return f"s3://{names.jobs_bucket}/curation/{kind}/{inputs}.json"
