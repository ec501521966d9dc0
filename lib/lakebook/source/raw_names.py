"""What the source's columns are called in the files that DMS writes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lakebook.source.names import ADDED

if TYPE_CHECKING:
    from lakebook.source.model import Table


def raw_names(table: Table) -> dict[str, str]:
    """Each column's name in the source with its name in the files: another one for a column that
    bears the name of one that DMS adds, as no two columns of a file bear the same.
    """
    taken, renamed = set(ADDED), dict[str, str]()
    while more := {
        each.name: each.catalog_name
        for each in table.columns
        if each.name in taken and each.name not in renamed
    }:
        renamed |= more
        taken |= set(more.values())
    return {each.name: renamed.get(each.name, each.name) for each in table.columns}
