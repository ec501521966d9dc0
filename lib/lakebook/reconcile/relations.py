"""A source table as each engine holds it: what reconciliation selects from, and how it asks."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import awswrangler as wr

from lakebook.errors import LakebookError
from lakebook.reconcile.canonical_sql import ATHENA, POSTGRESQL, REDSHIFT, Dialect
from lakebook.services import athena as athena_answers
from lakebook.source.postgresql import delivered, query, quote

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lakebook.source.postgresql import Table


@dataclass(frozen=True)
class Relation:
    """One table in one engine; its values are called c0, c1, … in the order of the source's
    columns.
    """

    dialect: Dialect
    name: str  # as FROM takes it
    expressions: tuple[str, ...]  # one for each column of the source
    run: Callable[[str], list[list[Any]]]

    @property
    def names(self) -> list[str]:
        """c0, c1, …: short, so that long names do not make long statements."""
        return [f"c{number}" for number in range(len(self.expressions))]

    def select(
        self, wanted: Sequence[str], names: Sequence[str], rest: str = ""
    ) -> list[list[Any]]:
        """The rows of `select <wanted> from (the values called <names>) <rest>`; raises
        LakebookError when it is too long.
        """
        values = (
            ", ".join(f"{self.expressions[int(name[1:])]} as {name}" for name in names)
            or "1 as nothing"
        )
        values_of_rows = self.dialect.subquery.format(rows=f"select {values} from {self.name}")
        sql = f"select {', '.join(wanted)} from ({values_of_rows}) t {rest}"
        if len(sql.encode()) > self.dialect.longest_statement_bytes:
            raise LakebookError(
                f"{self.name} has too many columns for one statement of {self.dialect.name};"
                " exclude the table."
            )
        return self.run(sql)


def source(connection: Any, table: Table, lob_max_kilobytes: int) -> Relation:
    """A table of the source, each value as DMS should deliver it."""
    expressions = tuple(delivered(column, lob_max_kilobytes) for column in table.columns)
    return Relation(POSTGRESQL, table.relation, expressions, partial(query, connection))


def athena(
    database: str, catalog_table: str, table: Table, workgroup: str, output: str | None = None
) -> Relation:
    """A table of any layer of the lake, by the catalog's names."""
    name = f"{quote(database)}.{quote(catalog_table)}"
    run = partial(athena_answers.answer, database=database, workgroup=workgroup, output=output)
    return Relation(
        ATHENA, name, tuple(quote(column.catalog_name) for column in table.columns), run
    )


def redshift(
    workgroup: str, database: str, schema: str, catalog_table: str, table: Table
) -> Relation:
    """A table of the warehouse."""
    expressions = tuple(quote(column.catalog_name) for column in table.columns)
    run = partial(_ask_redshift, workgroup=workgroup, database=database)
    return Relation(REDSHIFT, f"{quote(schema)}.{quote(catalog_table)}", expressions, run)


def _ask_redshift(sql: str, workgroup: str, database: str) -> list[list[Any]]:
    connection = wr.data_api.redshift.connect(
        workgroup_name=workgroup, database=database, backoff=1.05, retries=120
    )
    frame = wr.data_api.redshift.read_sql_query(sql, connection)
    return [
        [None if value is None else str(value) for value in row]
        for row in frame.astype(object).to_numpy().tolist()
    ]
