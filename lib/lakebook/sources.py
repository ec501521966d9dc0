"""The sources of a lake as the parameters name them: the default one, which has no name there, and
those under `sources`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lakebook.errors import LakebookError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

DEFAULT = "default"  # what the default source is called where a name is asked for
OWN = ("source_secret", "source_schemas", "excluded_tables")  # of each source, never another's


def every(default: dict[str, Any], sources: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """What is said of each source, by its name: `default` of the default one, which is named "" and
    left out where its `source_secret` is empty; and of the others what differs from it.
    """
    shared = {name: each for name, each in default.items() if name not in OWN}
    others = {name: {**shared, "excluded_tables": [], **each} for name, each in sources.items()}
    return {**({"": default} if default.get("source_secret") else {}), **others}


def secrets(source_secret: str, sources: dict[str, dict[str, Any]]) -> dict[str, str]:
    """The secret of each source by its name, "" of the default one."""
    found = every({"source_secret": source_secret}, sources)
    return {name: str(each["source_secret"]) for name, each in found.items()}


def secret_of(source: str, source_secret: str, sources: dict[str, dict[str, Any]]) -> str:
    """The secret of one source; raises LakebookError where there is none of that name."""
    found = secrets(source_secret, sources)
    if source not in found:
        raise LakebookError(
            f"The parameters have no source {shown(source)}, whose tables are in the lake: write"
            " its secret under sources."
        )
    return found[source]


def missing(wanted: Iterable[str], known: Iterable[str], left_out: Sequence[str]) -> list[str]:
    """The names of tables or columns that are not `known`, in their order, but those of sources
    that are `left_out`; of the default source that may be all.
    """
    if DEFAULT in left_out:
        return []
    prefixes = tuple(f"{each}." for each in left_out)
    there = set(known)
    return [each for each in wanted if each not in there and not each.startswith(prefixes)]


def shown(source: str) -> str:
    """A source as people name it."""
    return source or DEFAULT
