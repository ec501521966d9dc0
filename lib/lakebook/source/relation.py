"""A table as one engine holds it: what reconciliation selects from, and how it asks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lakebook.errors import LakebookError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lakebook.source.dialect import Dialect


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
