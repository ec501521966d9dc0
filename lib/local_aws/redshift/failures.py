"""DuckDB's errors in Redshift's words, and the SQLSTATE of each."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import duckdb


def failure(error: duckdb.Error) -> str:
    """DuckDB's error in Redshift's words."""
    text = str(error).split("\n\nLINE")[0].split("\nLINE")[0].split("\nDid you mean")[0].strip()
    kind, _, rest = text.partition(": ")
    for pattern, said in FAILURES:
        if found := re.search(pattern, text, re.DOTALL):
            return found.expand(said)
    return rest if kind != "Invalid Input Error" else rest.partition("\n")[0]


FAILURES = (
    (r"Divide by zero", "Divide by zero"),
    (r"CHECK constraint failed", "Value too long for character type"),
    (r"NOT NULL constraint failed: .*?\.?([^.\s]+)$", r"Cannot insert a NULL value into column \1"),
    (r"Table with name \"?(\S+?)\"? does not exist", r'relation "\1" does not exist'),
    (r"(?:Table|View) with name \"?(\S+?)\"? already exists", r'Relation "\1" already exists'),
    (r"Schema with name \"?(\S+?)\"? already exists", r'Schema "\1" already exists'),
    (
        r"Referenced column \"(.*?)\" not found|Column \"(.*?)\" referenced that exists",
        r'column "\1\2" does not exist',
    ),
    (
        r"column \"(.*?)\" must appear in the GROUP BY",
        r'column "\1" must appear in the GROUP BY clause or be used in an aggregate function',
    ),
    (
        r"Function with name (\S+) does not exist",
        r"function \1 does not exist, or local_aws does not do it",
    ),
    (
        r"Out of Range Error|out of range|Could not cast value \S+ to DECIMAL",
        "Numeric data overflow (result precision)",
    ),
    (r"Could not convert string [\"'](.*?)[\"'] to INT", r'invalid input syntax for integer: "\1"'),
    (
        r"Could not convert string [\"'](.*?)[\"'] to (?:DOUBLE|FLOAT|DECIMAL)",
        r'invalid input syntax for type numeric: "\1"',
    ),
    (r"columns but \d+ values were supplied", "INSERT has more expressions than target columns"),
)


# https://www.postgresql.org/docs/8.0/errcodes-appendix.html, of which Redshift keeps the codes
STATES = (
    (r"^permission denied|^must be ", "42501"),
    (r'^relation .* does not exist|^(Table|View) ".*" does not exist|nonexistent table', "42P01"),
    (r"^column .* does not exist", "42703"),
    (r"^schema .* does not exist", "3F000"),
    (r"^function .* does not exist", "42883"),
    (r"^syntax error", "42601"),
    (r"^Relation .* already exists", "42P07"),
    (r"^Schema .* already exists", "42P06"),
    (r"^(role|user) .* does not exist", "42704"),
    (r"must appear in the GROUP BY", "42803"),
    (r"^Divide by zero", "22012"),
    (r"^Numeric data overflow", "22003"),
    (r"^Value too long", "22001"),
    (r"^invalid input syntax", "22P02"),
    (r"^Cannot insert a NULL", "23502"),
    (r"local_aws does not|local_aws has|local_aws cannot", "0A000"),
    (r"^current transaction is aborted", "25P02"),
)


def state(said: str) -> str:
    """The SQLSTATE of an error; Redshift's internal error for one that has no other."""
    return next((code for pattern, code in STATES if re.search(pattern, said)), "XX000")
