"""The source database, read through awswrangler: its catalog, its prerequisites, and what will not survive DMS."""

from __future__ import annotations

from lakebook.postgresql.catalog import Column, ForeignKey, Table, tables
from lakebook.postgresql.checks import losses, position, prerequisites
from lakebook.postgresql.connection import connect, literal, query, quote
from lakebook.postgresql.delivered import delivered

__all__ = [
    "Column",
    "ForeignKey",
    "Table",
    "connect",
    "delivered",
    "literal",
    "losses",
    "position",
    "prerequisites",
    "query",
    "quote",
    "tables",
]
