"""The table mapping of a DMS task: its rules read, checked and applied.

https://docs.aws.amazon.com/dms/latest/userguide/CHAP_Tasks.CustomizingTasks.TableMapping.SelectionTransformation.html
"""

from __future__ import annotations

import functools
import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from local_aws.dms.types import quote

if TYPE_CHECKING:
    from collections.abc import Callable

RENAMINGS: dict[str, Callable[[str, dict[str, Any]], str]] = {
    "rename": lambda _, rule: rule["value"],
    "convert-lowercase": lambda name, _: name.lower(),
    "convert-uppercase": lambda name, _: name.upper(),
    "add-prefix": lambda name, rule: rule["value"] + name,
    "add-suffix": lambda name, rule: name + rule["value"],
    "remove-prefix": lambda name, rule: name.removeprefix(rule["value"]),
    "remove-suffix": lambda name, rule: name.removesuffix(rule["value"]),
    "replace-prefix": lambda name, rule: re.sub(
        f"^{re.escape(rule['old-value'])}", lambda __: rule["value"], name
    ),
    "replace-suffix": lambda name, rule: re.sub(
        f"{re.escape(rule['old-value'])}$", lambda __: rule["value"], name
    ),
}
NEEDED = {
    "convert-lowercase": (),
    "convert-uppercase": (),
    "replace-prefix": ("value", "old-value"),
    "replace-suffix": ("value", "old-value"),
    "remove-column": (),
    "change-data-type": ("data-type",),
    "add-column": ("value", "expression"),
}
COLUMN_ACTIONS = ("remove-column", "change-data-type", "add-column")
# of changes; a full load has none
HEADERS = ("$AR_H_CHANGE_SEQ", "$AR_H_STREAM_POSITION", "$AR_H_TIMESTAMP")
# as pg_class.relkind
TABLE_TYPES = {"table": frozenset("rp"), "view": frozenset("vm"), "all": frozenset("rpvm")}
COMPARISONS = {"eq": "=", "noteq": "<>", "gte": ">=", "ste": "<=", "lte": "<="}


class MappingError(Exception):
    """The mapping cannot be used: one sentence that says which rule and why."""


@dataclass(frozen=True)
class Added:
    """A column that a rule adds; its value on full load is a constant."""

    name: str
    value: str | None


@dataclass(frozen=True)
class Selected:
    """What the selection rules say of one table."""

    load_order: int
    condition: str  # SQL that its rows must fulfil, or ""


@dataclass(frozen=True)
class Mapping:
    """The rules of one task, in the order of the document."""

    selections: list[dict[str, Any]] = field(default_factory=list)
    transformations: list[dict[str, Any]] = field(default_factory=list)

    def select(self, schema: str, table: str, kind: str = "r") -> Selected | None:
        """Whether a table (or view; `kind` is pg_class.relkind) is to be carried, and how; None
        when not.
        """
        found = [rule for rule in self.selections if _selects(rule, schema, table, kind)]
        if not found or any(rule["rule-action"] == "exclude" for rule in found):
            return None
        filters = [each for rule in found for each in rule.get("filters") or []]
        condition = " and ".join(dict.fromkeys(map(_condition, filters)))
        return Selected(max(int(rule.get("load-order", 0)) for rule in found), condition)

    def schema_name(self, schema: str, default: str = "") -> str:
        """The schema's name on the target; `default` where no rule renames it."""
        return (
            self._renamed("schema", schema, schema)
            if self._naming("schema", schema)
            else default or schema
        )

    def table_name(self, schema: str, table: str) -> str:
        """The table's name on the target."""
        return self._renamed("table", table, schema, table)

    def column_name(self, schema: str, table: str, column: str) -> str | None:
        """The column's name on the target, None when it is removed."""
        if any(
            rule["rule-action"] == "remove-column"
            for rule in self._rules("column", schema, table, column)
        ):
            return None
        return self._renamed("column", column, schema, table, column)

    def string_length(self, schema: str, table: str, column: str) -> int | None:
        """The length of the string that a rule makes of a column (0: any), None without such a
        rule.
        """
        for rule in self._rules("column", schema, table, column):
            if rule["rule-action"] == "change-data-type":
                return int(rule["data-type"].get("length", 0))
        return None

    def added_columns(self, schema: str, table: str) -> list[Added]:
        """The columns that rules add to a table, in their order."""
        rules = [
            rule
            for rule in self._rules("column", schema, table)
            if rule["rule-action"] == "add-column"
        ]
        return [Added(rule["value"], _constant(rule)) for rule in rules]

    def _rules(self, target: str, *names: str) -> list[dict[str, Any]]:
        return [
            rule
            for rule in self.transformations
            if rule["rule-target"] == target and _locates(rule, *names)
        ]

    def _naming(self, target: str, *names: str) -> dict[str, Any] | None:
        """The first rule that renames an object: AWS applies one action to each."""
        return next(
            (rule for rule in self._rules(target, *names) if rule["rule-action"] in RENAMINGS), None
        )

    def _renamed(self, target: str, name: str, *names: str) -> str:
        rule = self._naming(target, *names)
        return RENAMINGS[rule["rule-action"]](name, rule) if rule else name


def parse(text: str) -> Mapping:
    """The mapping that a JSON document describes; raises MappingError."""
    try:
        rules = json.loads(text)["rules"]
        selections = [rule for rule in rules if rule["rule-type"] == "selection"]
        transformations = [rule for rule in rules if rule["rule-type"] == "transformation"]
        others = [
            rule for rule in rules if rule["rule-type"] not in ("selection", "transformation")
        ]
    except (ValueError, KeyError, TypeError) as error:
        raise MappingError(
            'The table mapping is no JSON of the form {"rules": [{"rule-type": …}, …]}.'
        ) from error
    for rule in others:
        raise _refused(rule, f"rule-type {rule['rule-type']} is not done by local_aws")
    if len({str(rule.get("rule-id")) for rule in rules}) < len(rules):
        raise MappingError("Every rule of a table mapping needs a rule-id of its own.")
    for rule in rules:
        _check_locator(rule)
    for rule in selections:
        _check_selection(rule)
    for rule in transformations:
        _check_transformation(rule)
    if not any(rule["rule-action"] in ("include", "explicit") for rule in selections):
        raise MappingError(
            "The table mapping includes nothing: it needs at least one selection rule with action"
            " include or explicit."
        )
    return Mapping(selections, transformations)


def _check_locator(rule: dict[str, Any]) -> None:
    locator, needed = rule.get("object-locator"), ["schema-name", "table-name"]
    if rule.get("rule-target") == "schema":
        needed.pop()
    if not isinstance(locator, dict) or any(
        not isinstance(locator.get(name), str) for name in needed
    ):
        raise _refused(rule, f"its object-locator needs {' and '.join(needed)}")
    if locator.get("table-type", "table") not in TABLE_TYPES:
        raise _refused(rule, f"table-type is table, view or all, not {locator['table-type']}")


def _check_selection(rule: dict[str, Any]) -> None:
    action, locator = rule.get("rule-action"), rule["object-locator"]
    if action not in ("include", "exclude", "explicit"):
        raise _refused(rule, "a selection's rule-action is include, exclude or explicit")
    if action == "explicit" and any("%" in locator[name] for name in ("schema-name", "table-name")):
        raise _refused(rule, "an explicit selection takes no % wildcard")
    for each in rule.get("filters") or []:
        try:
            _condition(each)
        except (KeyError, TypeError) as error:
            raise _refused(rule, f"local_aws cannot read its filter ({error!r})") from error


def _check_transformation(rule: dict[str, Any]) -> None:
    target, action = rule.get("rule-target"), rule.get("rule-action")
    actions = (*RENAMINGS, *COLUMN_ACTIONS) if target == "column" else tuple(RENAMINGS)
    if target not in ("schema", "table", "column") or action not in actions:
        raise _refused(
            rule, f"rule-action {action} of rule-target {target} is not done by local_aws"
        )
    if missing := [name for name in NEEDED.get(action, ("value",)) if name not in rule]:
        raise _refused(rule, f"{action} needs {' and '.join(missing)}")
    if (
        target == "column"
        and action != "add-column"
        and "column-name" not in rule["object-locator"]
    ):
        raise _refused(rule, "its object-locator needs column-name")
    if action == "change-data-type" and rule["data-type"].get("type") != "string":
        raise _refused(rule, "local_aws changes a data type to string only")
    if action == "add-column":
        _constant(rule)


def _refused(rule: dict[str, Any], why: str) -> MappingError:
    return MappingError(f"Rule {rule.get('rule-id', '(no rule-id)')} of the table mapping: {why}.")


def _constant(rule: dict[str, Any]) -> str | None:
    """What an add-column rule gives each row of a full load; raises MappingError for an
    expression.
    """
    expression = str(rule["expression"]).strip()
    if expression in HEADERS:
        return None
    if found := re.fullmatch(r"'((?:[^']|'')*)'|\"([^\"]*)\"|(-?\d+(?:\.\d+)?)", expression):
        return (
            found[1].replace("''", "'")
            if found[1] is not None
            else found[2]
            if found[2] is not None
            else found[3]
        )
    raise _refused(
        rule, f"local_aws evaluates {', '.join(HEADERS)}, strings and numbers, not {expression}"
    )


def _selects(rule: dict[str, Any], schema: str, table: str, kind: str) -> bool:
    locator = rule["object-locator"]
    if kind not in TABLE_TYPES[locator.get("table-type", "table")]:
        return False
    if rule["rule-action"] == "explicit":
        return (locator["schema-name"], locator["table-name"]) == (schema, table)
    return _locates(rule, schema, table)


def _locates(rule: dict[str, Any], *names: str) -> bool:
    """Whether the object-locator's patterns match the names of schema, table and column, as many as
    are given.
    """
    locator = rule["object-locator"]
    patterns = [locator.get(f"{each}-name", "%") for each in ("schema", "table", "column")]
    return all(
        _pattern(pattern).fullmatch(name) for pattern, name in zip(patterns, names, strict=False)
    )


@functools.cache
def _pattern(text: str) -> re.Pattern[str]:
    """`%` any characters, `_` one, `[ab]`, `[a-d]` and `[_]` one of those."""
    parts = re.findall(r"\[[^\]]+\]|.", text, re.DOTALL)
    return re.compile("".join(_part(each) for each in parts), re.DOTALL)


def _part(text: str) -> str:
    if len(text) > 1:
        return "[" + re.sub(r"([\\\[^&~|])", r"\\\1", text[1:-1]) + "]"
    return {"%": ".*", "_": "."}.get(text, re.escape(text))


def _condition(each: dict[str, Any]) -> str:
    """A source filter as SQL: its conditions are alternatives."""
    column = quote(each["column-name"])
    return f"({' or '.join(_comparison(column, one) for one in each['filter-conditions'])})"


def _comparison(column: str, condition: dict[str, Any]) -> str:
    operator = condition["filter-operator"]
    if operator in ("null", "notnull"):
        return f"{column} is {'not ' if operator == 'notnull' else ''}null"
    if operator in ("between", "notbetween"):
        word = "not between" if operator == "notbetween" else "between"
        return (
            f"{column} {word} {_literal(condition['start-value'])} and"
            f" {_literal(condition['end-value'])}"
        )
    return f"{column} {COMPARISONS[operator]} {_literal(condition['value'])}"


def _literal(value: Any) -> str:
    text = str(value)
    return ("E" if "\\" in text else "") + "'" + text.replace("\\", "\\\\").replace("'", "''") + "'"
