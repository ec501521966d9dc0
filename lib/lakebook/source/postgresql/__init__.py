"""The source database, read through awswrangler: its catalog, its prerequisites, and what will not
survive DMS.
"""

from __future__ import annotations

from lakebook.source.postgresql.catalog import Column, ForeignKey, Table, tables
from lakebook.source.postgresql.checks import losses, position, prerequisites
from lakebook.source.postgresql.connection import connect, literal, query, quote
from lakebook.source.postgresql.delivered import delivered
from lakebook.source.postgresql.overview import database, overview, plot_bytes, unmet

__all__ = [
    "Column",
    "ForeignKey",
    "Table",
    "connect",
    "database",
    "delivered",
    "literal",
    "losses",
    "overview",
    "plot_bytes",
    "position",
    "prerequisites",
    "query",
    "quote",
    "tables",
    "unmet",
]
