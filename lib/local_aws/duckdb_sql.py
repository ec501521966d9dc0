"""Names and texts in DuckDB's SQL."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

GLOB = re.compile(r"[*?\[]")


def quote(name: str) -> str:
    """An identifier for DuckDB."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """A string for DuckDB."""
    return "'" + text.replace("'", "''") + "'"


def files(paths: Iterable[Path]) -> str:
    """A list of files for DuckDB, which takes `*`, `?` and `[` in a name for a pattern."""
    return f"[{', '.join(literal(GLOB.sub(_itself, str(each))) for each in paths)}]"


def _itself(found: re.Match[str]) -> str:
    return f"[{found[0]}]"
