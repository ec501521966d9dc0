"""The source database, read through awswrangler: its catalog, its prerequisites, and what will not
survive DMS.
"""

from __future__ import annotations

from lakebook.postgresql.catalog import Column, ForeignKey, Table, tables
from lakebook.postgresql.checks import losses, position, prerequisites
from lakebook.postgresql.connection import connect, literal, query, quote
from lakebook.postgresql.delivered import delivered
from lakebook.postgresql.overview import database, overview, plot_bytes, unmet

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
