"""What the columns of the source are, and which of them, and which rows, each role may see: read
from one short file.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

import yaml

from lakebook import yaml_text
from lakebook.errors import LakebookError
from lakebook.project import project

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from lakebook.source.model import Table


REQUIRED = {"classes", "otherwise", "columns", "personas", "rows"}


@dataclass(frozen=True)
class Classification:
    """The file as it is written; columns and tables by the names of the source."""

    file: str
    classes: dict[str, str]  # class to what it means, from the most open to the most closed
    otherwise: str  # the class of a column that no pattern fits
    columns: dict[str, list[str]]  # class to patterns of schema.table.column
    personas: dict[str, list[str]]  # role, as in names.role_arn(role), to the classes it sees
    rows: dict[str, dict[str, str]]  # schema.table to role to the condition its rows must meet
    files: dict[str, list[str]] = field(
        default_factory=dict
    )  # role to the schema.table whose files it reads past Lake Formation

    def of(self, table: str, column: str) -> str:
        """The class of a column of `schema.table`: the most closed of those whose patterns fit."""
        name = f"{table}.{column}"
        fitting = [
            each
            for each in self.classes
            if any(fnmatchcase(name, pattern) for pattern in self.columns.get(each, []))
        ]
        return fitting[-1] if fitting else self.otherwise

    def seen(self, role: str, table: Table) -> tuple[str, ...]:
        """The columns of a table that a role sees, as the catalog names them, in their order."""
        classes = self.personas.get(role, [])
        return tuple(
            each.catalog_name
            for each in table.columns
            if self.of(table.full_name, each.name) in classes
        )

    def condition(self, role: str, table: Table) -> str:
        """What a row must meet for a role to see it: `newsletter = true`; empty for every row."""
        return self.rows.get(table.full_name, {}).get(role, "")

    def unmatched_patterns(self, columns: Mapping[str, Iterable[str]]) -> list[str]:
        """The patterns and tables of the file that match none of the tables, `{"schema.table":
        its columns}`, by the names of the source: most likely they are misspelt.
        """
        names = [f"{table}.{column}" for table, those in columns.items() for column in those]
        patterns = [each for listed in self.columns.values() for each in listed]
        files = [each for listed in self.files.values() for each in listed]
        return [
            *(each for each in patterns if not any(fnmatchcase(name, each) for name in names)),
            *sorted(set(self.rows) - set(columns)),
            *(each for each in files if not any(fnmatchcase(table, each) for table in columns)),
        ]


def read(file: str) -> Classification | None:
    """The classification in a file of this repository, None for "": raises LakebookError with one
    sentence where it does not hold together.
    """
    if not file:
        return None
    try:
        content = yaml_text.read((project() / file).read_text(encoding="utf-8"))
    except OSError as error:
        raise LakebookError(
            f"The classification {file} cannot be read: {error.strerror}."
        ) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        reason = " ".join(str(error).split())
        raise LakebookError(f"The classification {file} is not YAML: {reason}.") from error
    if wrong := _wrong_shape(content):
        raise LakebookError(f"The classification {file} {wrong}")
    found = Classification(file, **content)
    named_classes = [
        found.otherwise,
        *found.columns,
        *(each for listed in found.personas.values() for each in listed),
    ]
    if strange := sorted({each for each in named_classes if each not in found.classes}):
        raise LakebookError(
            f"{file} speaks of the classes {', '.join(strange)}, which it does not list under"
            " classes."
        )
    if capitals := sorted({each for each in found.classes if each != each.lower()}):
        raise LakebookError(
            f"{file} writes the classes {', '.join(capitals)} with capitals: Lake Formation keeps"
            " the values of its tags in lower case, so write them so."
        )
    named = {*(role for each in found.rows.values() for role in each), *found.files}
    if strange := sorted(named - set(found.personas)):
        raise LakebookError(
            f"{file} gives rows or files to {', '.join(strange)}, which it does not list under"
            " personas."
        )
    return found


def _wrong_shape(content: Any) -> str:
    """What is wrong with the form of a classification, as the end of a sentence; empty for
    nothing.
    """
    if not isinstance(content, dict) or not REQUIRED <= set(content) <= {*REQUIRED, "files"}:
        return f"must have {', '.join(sorted(REQUIRED))}, may have files, and nothing else."
    if not isinstance(content["otherwise"], str):
        return "must name one class under otherwise."
    for member, inner in (("classes", str), ("columns", list), ("personas", list), ("files", list)):
        found = content.get(member, {})
        if not isinstance(found, dict) or not all(
            isinstance(each, inner) for each in found.values()
        ):
            what = "a list in brackets or with dashes" if inner is list else "a text"
            return f"must have {what} for each name under {member}; write {{}} for none."
        listed = [one for each in found.values() for one in each]
        if not all(isinstance(each, str) for each in [*found, *listed]):
            return f"must have texts alone under {member}."
    rows = content["rows"]
    if not isinstance(rows, dict) or not all(
        isinstance(each, dict) and all(isinstance(one, str) for one in each.values())
        for each in rows.values()
    ):
        return "must have a condition for each persona of each table under rows; write {} for none."
    return ""
