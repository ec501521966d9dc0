"""A source table as the lake and the warehouse hold it; the source's own is `Source.relation`."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import awswrangler as wr

from lakebook.reconcile.canonical_sql import ATHENA, REDSHIFT
from lakebook.services import athena as athena_answers
from lakebook.source.relation import Relation

if TYPE_CHECKING:
    from lakebook.source.model import Table


def athena(
    database: str, catalog_table: str, table: Table, workgroup: str, output: str | None = None
) -> Relation:
    """A table of any layer of the lake, by the catalog's names."""
    run = partial(athena_answers.answer, database=database, workgroup=workgroup, output=output)
    expressions = tuple(ATHENA.quote(column.catalog_name) for column in table.columns)
    return Relation(ATHENA, ATHENA.quote(database, catalog_table), expressions, run)


def redshift(
    workgroup: str, database: str, schema: str, catalog_table: str, table: Table
) -> Relation:
    """A table of the warehouse."""
    expressions = tuple(REDSHIFT.quote(column.catalog_name) for column in table.columns)
    run = partial(_ask_redshift, workgroup=workgroup, database=database)
    return Relation(REDSHIFT, REDSHIFT.quote(schema, catalog_table), expressions, run)


def _ask_redshift(sql: str, workgroup: str, database: str) -> list[list[Any]]:
    connection = wr.data_api.redshift.connect(
        workgroup_name=workgroup, database=database, backoff=1.05, retries=120
    )
    frame = wr.data_api.redshift.read_sql_query(sql, connection)
    return [
        [None if value is None else str(value) for value in row]
        for row in frame.astype(object).to_numpy().tolist()
    ]
