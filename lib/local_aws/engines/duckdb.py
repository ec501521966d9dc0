"""DuckDB as the engine of a service: kept inside the stand-in's directory, in UTC, its memory
limited.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import duckdb
import pandas as pd  # noqa: F401 - which DuckDB imports at its first parameter, for half a second while somebody waits

from local_aws.duckdb_sql import literal

if TYPE_CHECKING:
    from pathlib import Path

MEMORY = "3GB"  # of all queries of one engine together; what needs more spills to disk


def confined(
    directory: Path, database: Path | None = None, spill: Path | None = None
) -> duckdb.DuckDBPyConnection:
    """A database, in memory unless it has a file, whose SQL reaches no file outside `directory` and
    no network.
    """
    connection = duckdb.connect(str(database or ":memory:"))
    settings = [
        f"allowed_directories = [{literal(str(directory))}]",
        *([f"temp_directory = {literal(str(spill))}"] if spill else []),
        f"memory_limit = '{MEMORY}'",
        "TimeZone = 'UTC'",
        "python_enable_replacements = false",
        "autoinstall_known_extensions = false",
        "enable_external_access = false",
    ]
    for setting in settings:
        connection.execute(f"SET {setting}")
    return connection
