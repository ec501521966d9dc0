"""The gates: raw = source, curated = raw, readers see = curated, warehouse = curated, predictions =
rows asked. Each stops the run.
"""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import pandas as pd

from lakebook import evidence
from lakebook.layers import lake
from lakebook.layers.warehouse import counts, notes
from lakebook.left_out import LeftOut
from lakebook.reconcile import measure as reconcile
from lakebook.reconcile import relations
from lakebook.reconcile.differing_keys import differing_keys
from lakebook.reconcile.measure import Measure, Result, measure_all
from lakebook.services import s3

if TYPE_CHECKING:
    from collections.abc import Callable

    from lakebook.layers.curation import Conversion
    from lakebook.layers.models import Model
    from lakebook.layers.warehouse import WarehouseTable
    from lakebook.names import Names
    from lakebook.services.redshift import Warehouse
    from lakebook.source.model import Table
    from lakebook.source.relation import Relation
    from lakebook.source.source import Source

NO_LOSSES = pd.DataFrame(columns=["table", "column", "loses", "rows_affected"])


def measuring(
    source: Source, tables: list[Table], lob_max_kilobytes: int, *, when: bool
) -> Future[dict[str, Measure]] | None:
    """Begin to measure the source, in a thread, so that it is measured while DMS copies it; None
    unless `when`.
    """
    if not when:
        return None
    relation = partial(source.relation, lob_max_kilobytes=lob_max_kilobytes)
    return ThreadPoolExecutor(1, "source").submit(measure_all, tables, relation, lob_max_kilobytes)


def raw_equals_source(
    names: Names,
    source: Source,
    tables: list[Table],
    losses: pd.DataFrame,
    fingerprint: str,
    lob_max_kilobytes: int,
    expected: Future[dict[str, Measure]] | None,
    *,
    apply: bool,
) -> dict[str, dict[str, Any]]:
    """Compare every raw table with the source as DMS should deliver it; the proofs to record, by
    catalog name.

    `expected` is what `measuring` began; where it is None the same comparison was verified
    before, and nothing is newly verified. Raises CheckError on any difference.
    """
    name, replicated = "raw = source", [each for each in tables if each.replicated]
    if not apply:
        return _later(name)
    if expected is None:
        ours = {each.catalog_name for each in replicated}
        known = {
            each.source.catalog_name: _kept(names, each.proof["measure"])
            for each in lake.raw_tables(names)
            if each.source.catalog_name in ours
        }
        reconcile.gate(f"{name}, verified before", _results(tables, known, known, None), losses)
        return {}
    relation = partial(source.relation, lob_max_kilobytes=lob_max_kilobytes)
    raw = _layer(names, "raw")
    # before they are measured: what is written meanwhile is not proved
    files = {
        each.catalog_name: lake.fingerprint(s3.objects(lake.raw_location(names, each)))
        for each in replicated
    }
    measured = measure_all(replicated, raw, lob_max_kilobytes)
    keys = partial(_keys, relation, raw, lob_max_kilobytes)
    reconcile.gate(name, _results(tables, expected.result(), measured, keys), losses)
    identity = source.identity
    return {
        name: lake.raw_proof(fingerprint, files[name], each.to_json(), identity)
        for name, each in measured.items()
    }


def curated_equals_raw(
    names: Names,
    pending: list[Conversion],
    lob_max_kilobytes: int,
    *,
    apply: bool,
    left_out: LeftOut | None = None,
) -> dict[str, str]:
    """Compare the new snapshots, still in the staging database, with what the raw layer was found
    to hold; measures by catalog name.

    Raises CheckError on any difference; a table of `left_out` is not compared, and one that
    differs goes there where the run goes on.
    """
    left_out = left_out or LeftOut("curated layer", "stop")
    pending = [each for each in pending if each.table.full_name not in left_out.reasons]
    if not apply or not pending:
        return _later("curated = raw") if not apply else {}
    tables, expected = (
        [each.table for each in pending],
        {each.table.catalog_name: _kept(names, each.measure) for each in pending},
    )
    staged, raw = _layer(names, "staging"), _layer(names, "raw")
    measured = measure_all(tables, staged, lob_max_kilobytes)
    keys = partial(_keys, raw, staged, lob_max_kilobytes)
    found = _results(tables, expected, measured, keys)
    reconcile.gate("curated = raw", found, NO_LOSSES, left_out.note if left_out.goes_on else None)
    return {
        each.catalog_name: measured[each.catalog_name].to_json()
        for each in tables
        if each.full_name not in left_out.reasons
    }


def readers_see(
    names: Names,
    conversions: list[Conversion],
    judged: dict[str, str],
    lob_max_kilobytes: int,
    *,
    apply: bool,
) -> None:
    """Compare what a query of a partitioned table finds now with the `judged` snapshot, before
    its proof is written; other tables are switched, and proved, by one call.

    Raises CheckError on any difference.
    """
    name = "readers see = curated"
    if not apply:
        _later(name)
        return
    tables = [
        each.table
        for each in conversions
        if each.partition_by and each.table.catalog_name in judged
    ]
    if not tables:
        return
    expected = {each: Measure.from_json(measure) for each, measure in judged.items()}
    measured = measure_all(tables, _layer(names, "curated"), lob_max_kilobytes)
    keys = partial(_keys, _layer(names, "staging"), _layer(names, "curated"), lob_max_kilobytes)
    reconcile.gate(name, _results(tables, expected, measured, keys), NO_LOSSES)


def warehouse_equals_curated(
    names: Names,
    warehouse: Warehouse,
    tables: list[WarehouseTable],
    lob_max_kilobytes: int,
    *,
    apply: bool,
) -> list[str]:
    """Compare the warehouse with the curated layer: row for row what was loaded since, by count
    what was verified before.

    The names of the tables newly verified; raises CheckError on any difference.
    """
    if not apply:
        _later("warehouse = curated")
        return []
    noted, counted = notes(warehouse), counts(warehouse, [each.name for each in tables])
    new = [each for each in tables if not noted[each.name]["proved_at"]]
    loaded = {each.table.catalog_name: each for each in tables}
    expected = {each.table.catalog_name: _kept(names, each.proof["measure"]) for each in tables}

    def in_warehouse(table: Table) -> Relation:
        return loaded[table.catalog_name].relation(warehouse)

    measured = {
        name: replace(each, rows=counted[loaded[name].name]) for name, each in expected.items()
    }
    measured |= measure_all([each.table for each in new], in_warehouse, lob_max_kilobytes)
    keys = partial(_keys, _layer(names, "curated"), in_warehouse, lob_max_kilobytes)
    reconcile.gate(
        "warehouse = curated",
        _results([each.table for each in tables], expected, measured, keys),
        NO_LOSSES,
    )
    return [each.name for each in new]


def predictions_answer_all(
    names: Names, lob_max_kilobytes: int, model: Model, *, apply: bool
) -> Measure | None:
    """Measure the new predictions, still in the staging database: one probability for each row that
    was asked, and none besides.

    None unless `apply`; what was verified before is not measured again. Raises CheckError where an
    answer is missing or too many.
    """
    name = f"predictions of {model.name}"
    if not apply:
        _later(name)
        return None
    if proof := model.proof():
        evidence.check(f"{name}, verified before", proof["rows"], model.rows_asked)
        return _kept(names, proof["measure"])
    measure = reconcile.measure(
        _layer(names, "staging")(model.table), model.table, lob_max_kilobytes
    )
    chance = measure.columns["probability"]
    found = {
        "rows": measure.rows,
        "rows asked and answered": model.rows_answered(),
        "NULLs": chance.nulls,
    }
    asked = model.rows_asked()
    evidence.check(
        name, {"rows": asked, "rows asked and answered": asked, "NULLs": 0}, lambda: found
    )
    evidence.check(
        f"{name} from 0 to 1",
        True,
        lambda: 0 <= float(chance.min or 0) <= float(chance.max or 0) <= 1,
    )
    return measure


def _layer(names: Names, layer: str) -> Callable[[Table], Relation]:
    """The tables of a layer as Athena reads them."""
    database, workgroup = names.database(layer), names.resource("lakebook")
    return lambda table: relations.athena(database, table.catalog_name, table, workgroup)


def _results(
    tables: list[Table],
    expected: dict[str, Measure],
    measured: dict[str, Measure],
    keys: Callable[[Table], Any] | None,
) -> list[Result]:
    nothing = Measure(0, 0, {})  # a table that DMS does not replicate is measured nowhere
    return [
        Result(
            each,
            expected.get(each.catalog_name, nothing),
            measured.get(each.catalog_name),
            partial(keys, each) if keys else None,
        )
        for each in tables
    ]


def _keys(
    left: Callable[[Table], Relation],
    right: Callable[[Table], Relation],
    lob_max_kilobytes: int,
    table: Table,
) -> Any:
    return differing_keys(left(table), right(table), table, lob_max_kilobytes)


def _kept(names: Names, named: str) -> Measure:
    return Measure.from_json(lake.measure_of(names, named))


def _later(name: str) -> dict[str, Any]:
    print(f"--  {name}: compared when applied", flush=True)
    return {}
