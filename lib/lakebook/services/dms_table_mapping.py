"""The table mapping of a DMS task: which tables it carries, and what it adds to them.

https://docs.aws.amazon.com/dms/latest/userguide/CHAP_Tasks.CustomizingTasks.TableMapping.SelectionTransformation.html
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from lakebook.source.raw_names import raw_names

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lakebook.source.model import Table

CHANGE_SEQUENCE = "dms_change_seq"


def table_mapping(tables: Iterable[Table]) -> dict[str, Any]:
    """The mapping, to be passed to DMS as JSON text: exactly these tables, times as text, columns
    that bear a name of DMS's own under another one, and the change sequence.
    """
    tables = list(tables)
    rules = [_rule("selection", "include", _locator(table)) for table in tables]
    rules += [
        _rule(
            "transformation",
            "change-data-type",
            {**_locator(table), "column-name": exactly(column.name)},
        )
        | {"rule-target": "column", "data-type": {"type": "string", "length": 32}}
        for table in tables
        for column in table.columns
        if column.type.name == "time"  # DMS's own TIME32 can be read neither by Spark nor by Athena
    ]
    rules += [
        _rule("transformation", "rename", {**_locator(table), "column-name": exactly(name)})
        | {"rule-target": "column", "value": new}
        for table in tables
        for name, new in raw_names(table).items()
        if name != new
    ]
    change_sequence = {
        "rule-target": "column",
        "value": CHANGE_SEQUENCE,
        "expression": "$AR_H_CHANGE_SEQ",
        "data-type": {"type": "string", "length": 35},
    }
    rules.append(
        _rule("transformation", "add-column", {"schema-name": "%", "table-name": "%"})
        | change_sequence
    )
    return {
        "rules": [
            rule | {"rule-id": str(n), "rule-name": str(n)} for n, rule in enumerate(rules, 1)
        ]
    }


def exactly(name: str) -> str:
    """The pattern that matches this name alone: `order_items` -> `order[_]items`.

    A `]` stands for itself, as every `[` before it is closed.
    """
    return re.sub(r"([%_\[])", r"[\1]", name)


def _locator(table: Table) -> dict[str, str]:
    return {"schema-name": exactly(table.schema), "table-name": exactly(table.name)}


def _rule(rule_type: str, action: str, locator: dict[str, str]) -> dict[str, Any]:
    return {"rule-type": rule_type, "rule-action": action, "object-locator": locator}
