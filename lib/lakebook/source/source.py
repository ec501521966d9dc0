"""What the runbook asks of a source database, whichever engine it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pandas as pd

    from lakebook.source.dialect import Dialect
    from lakebook.source.model import Table
    from lakebook.source.relation import Relation


class Source(Protocol):
    """A source database, connected to read-only.

    An engine gives a package beside `postgresql/`: a class with these members, its types in terms
    of LakeType, and an entry in `lakebook.source.engines`. Nothing else of lakebook knows engines.
    Its methods raise LakebookError, which never holds the password, when the database refuses.

    `fingerprint` is for a source that stands still: it tells whether anything has changed. A
    position in the database's log (an LSN, a binary log's coordinates) is another thing; following
    changes adds it beside the fingerprint.
    """

    @property
    def dialect(self) -> Dialect:
        """The engine's SQL."""

    @property
    def database(self) -> str:
        """The name of the database."""

    @property
    def identity(self) -> str:
        """Which database it is, as short text: a copy restored as a whole and a standby that took
        over are the same one, another database is not, even of that name on that server.
        """

    def query(self, sql: str) -> list[list[Any]]:
        """The rows of one statement; safe to call from several threads.

        Raises LakebookError after a minute's wait for a lock, with who holds it. The session gives
        texts the form that `docs/types.md` prescribes, whatever the role's or the
        server's own settings are (time zone, date style, character set, SQL mode).
        """

    def tables(self, schemas: list[str], excluded: Iterable[str] = ()) -> list[Table]:
        """The tables of the schemas in order of schema and name, but not those `excluded`, which
        are written `schema.table`, or `table` to mean it in every schema.

        Tables that DMS will not replicate are among them and say why. Raises LakebookError when a
        schema or an excluded table does not exist, a table may not be read or would show some of
        its rows only, or nothing is left to replicate.
        """

    def prerequisites(self, tables: list[Table]) -> pd.DataFrame:
        """What DMS needs of this engine: columns setting, found, needed, for (full load or CDC),
        ok, do.
        """

    def losses(self, tables: list[Table], lob_max_kilobytes: int) -> pd.DataFrame:
        """What will not survive DMS as it is: columns table, column, type, arrives_as (DMS's name
        of the type on its way), loses, rows_affected (0 where no value loses anything).
        """

    def fingerprint(self, tables: list[Table]) -> str:
        """Short JSON that differs when a committed change to these tables or their definition lies
        between two calls.
        """

    def relation(self, table: Table, lob_max_kilobytes: int) -> Relation:
        """The table with each value as DMS should deliver it, by expressions of the engine's own:
        numbers, booleans, bytes, dates and timestamps as such (those with a zone in UTC), all else
        as text.
        """

    def dms_endpoint(self, role_arn: str, ssl_mode: str) -> dict[str, Any]:
        """DMS's source endpoint as CreateEndpoint takes it: EngineName, SslMode and the engine's
        settings, which name the secret and the role that may read it.

        The settings make DMS write nothing to the source, and deliver types as `docs/types.md`
        says.
        """

    def close(self) -> None:
        """End the connection."""
