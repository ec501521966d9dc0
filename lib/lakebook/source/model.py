"""The source's tables as the lake knows them, whichever engine they come from."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal

TypeName = Literal[
    "int16",
    "int32",
    "int64",
    "decimal",
    "float",
    "double",
    "boolean",
    "string",
    "time",
    "document",
    "binary",
    "date",
    "timestamp",
]


@dataclass(frozen=True)
class LakeType:
    """What the values of a column are when they have arrived: one of a few types, which the types
    of every engine become.

    A `time` is a time of day, which arrives as text; a `document` is JSON as text; a `timestamp`
    has microseconds, as DMS writes it.
    """

    name: TypeName
    precision: int | None = None  # digits of a decimal
    scale: int | None = None  # of them after the point
    # of a decimal: the most digits of any value, where the source's type has fewer than `precision`
    digits: int | None = None
    # of string, time, document and binary in UTF-8; None: unlimited, a LOB that DMS cuts
    longest_bytes: int | None = None
    utc: bool = False  # a timestamp that is an instant; others say what a clock on the wall said

    @property
    def is_integer(self) -> bool:
        """Whether it is one of the integers."""
        return self.name in ("int16", "int32", "int64")

    @property
    def is_text(self) -> bool:
        """Whether values arrive as text."""
        return self.name in ("string", "time", "document")

    @property
    def is_lob(self) -> bool:
        """Whether DMS takes it for a LOB and cuts its values at LobMaxSize."""
        return self.longest_bytes is None and (self.is_text or self.name == "binary")


@dataclass(frozen=True)
class Column:
    """One column of a source table."""

    name: str
    catalog_name: str  # its name in the lake and in the warehouse
    source_type: str  # as the source declares it, for people: "timestamp with time zone"
    type: LakeType
    nullable: bool = True
    comment: str = ""
    generated: bool = False
    # whether the source may hold values that arrive as NULL, which docs/types.md lists
    may_arrive_null: bool = False
    # what the engine itself needs to know of the type; no other module looks into it, no catalog
    # keeps it
    native: object = field(default=None, compare=False, repr=False)

    @property
    def nullable_in_lake(self) -> bool:
        """Whether it may be NULL where it has arrived: in the source, or by a known loss."""
        return self.nullable or self.may_arrive_null


@dataclass(frozen=True)
class ForeignKey:
    """Columns of a table that refer to the columns of another one."""

    columns: tuple[str, ...]
    schema: str
    table: str
    referenced: tuple[str, ...]
    # whether every row of what is delivered obeys it: a warehouse may be told of no other
    holds: bool = True


@dataclass(frozen=True)
class Table:
    """One table of the source, or one partitioned table with all its partitions; `catalog_name` is
    its name in the lake.
    """

    schema: str
    name: str
    catalog_name: str
    rows: int
    rows_estimated: bool  # from the engine's statistics instead of counted
    bytes: int
    columns: tuple[Column, ...]
    primary_key: tuple[str, ...] = ()
    foreign_keys: tuple[ForeignKey, ...] = field(default=(), repr=False)
    comment: str = ""
    partitioned: bool = False
    # whether a primary key may come twice in what is delivered, or hold a NULL
    key_repeats: bool = False
    not_replicated: str = ""  # why DMS does not replicate it: "it has …"; "" where it does
    source: str = ""  # the source's name in the parameters; the default source has none

    @property
    def full_name(self) -> str:
        """`schema.name`, for people; `source.schema.name` of a source with a name."""
        return ".".join(self._path)

    @property
    def folder(self) -> str:
        """`schema/name` or `source/schema/name`: where its files are in each bucket."""
        return "/".join(self._path)

    @property
    def lake_schema(self) -> str:
        """The schema, behind the source's name where it has one: `loyalty_customers`."""
        return "_".join(self._path[:-1])

    @property
    def _path(self) -> tuple[str, ...]:
        return (*((self.source,) if self.source else ()), self.schema, self.name)

    def references(self, key: ForeignKey) -> str:
        """The full name of the table that one of its foreign keys leads to."""
        return replace(self, schema=key.schema, name=key.table).full_name

    @property
    def unique_key(self) -> tuple[str, ...]:
        """The primary key where it holds in what is delivered, else nothing."""
        return () if self.key_repeats else self.primary_key

    @property
    def replicated(self) -> bool:
        """Whether DMS replicates the table."""
        return not self.not_replicated
