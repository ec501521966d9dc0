"""What partition_by and warehouse_keys say of tables, by their names in the source, and of columns,
by those in the catalog.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from lakebook import yaml_text
from lakebook.sources import missing

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lakebook.source.model import Table

TRANSFORM = re.compile(r"(year|month|day|value)\((\w+)\)")
KEYS = re.compile(
    r"(diststyle +\w+)? *(distkey *\(\"?\w+\"?\))? *((compound|interleaved)? *sortkey *\([\w,"
    r" \"]+\))?",
    re.IGNORECASE,
)


def misnamed(
    tables: list[Table],
    partition_by: dict[str, str],
    warehouse_keys: dict[str, str],
    *,
    elsewhere: bool = False,
    left_out: Sequence[str] = (),
) -> list[str]:
    """What the two parameters name and these tables do not have, or say in words that nobody
    knows, each with what there is instead; raises LakebookError for what is no text.

    With `elsewhere`, other schemas are another source's, and what is said of them is not judged;
    nor is what is said of a source that is `left_out`.
    """
    schemas = tuple(each.full_name.removesuffix(each.name) for each in tables)
    known = {each.full_name: [one.catalog_name for one in each.columns] for each in tables}
    found = []
    for parameter, given, example in (
        ("partition_by", partition_by, "month(column)"),
        ("warehouse_keys", warehouse_keys, "distkey(column)"),
    ):
        texts = {"type": "string", "description": f"a text, such as {example}"}
        yaml_text.check(parameter, given, {"additionalProperties": texts})
        unknown = set(missing(given, known, left_out))
        for table, text in given.items():
            if re.fullmatch(r"models\..*_predictions", table) and table not in known:
                continue  # 08 makes it
            if elsewhere and not table.startswith(schemas):
                continue
            if table in unknown:
                found.append(f"{parameter}: {table} is no table; there are {', '.join(known)}")
            elif table in known and (wrong := _wrong(parameter, text, known[table])):
                found.append(f"{parameter} of {table}: {wrong}")
    return found


def transforms(text: str, columns: list[str]) -> list[tuple[str, str]]:
    """`month(booked_at),value(kind)` as (transform, column); nothing where any of it is not of
    these columns.
    """
    found = [TRANSFORM.fullmatch(each.strip()) for each in text.split(",") if each]
    pairs = [(each[1], each[2]) for each in found if each and each[2] in columns]
    return pairs if len(pairs) == len(found) else []


def _wrong(parameter: str, text: str, columns: list[str]) -> str:
    if parameter == "partition_by":
        if text and not transforms(text, columns):
            return (
                f"{text!r} is not year(c), month(c), day(c) or value(c), joined by commas, with"
                f" columns among {', '.join(columns)}"
            )
        return ""
    if not KEYS.fullmatch(text.strip()):
        return f"{text!r} is not diststyle all, or distkey(column) and sortkey(column, …)"
    used = re.findall(r"\w+", " ".join(re.findall(r"\(([^)]*)\)", text)))
    if strange := [each for each in used if each.lower() not in columns]:
        return f"there is no column {', '.join(strange)}; there are {', '.join(columns)}"
    return ""
