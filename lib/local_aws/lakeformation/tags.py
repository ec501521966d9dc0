"""LF-Tags: which there are, what they are on, and what of it is inherited.

Source: https://docs.aws.amazon.com/lake-formation/latest/dg/tag-based-access-control.html
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from local_aws.lakeformation.resources import Expression, On, invalid, not_found
from local_aws.names import ACCOUNT

if TYPE_CHECKING:
    from collections.abc import Iterable

Place = tuple[str, ...]  # (database,), (database, table) or (database, table, column)
TAGS_ON_ONE = 50
VALUES_OF_ONE = 1000


class Tags:
    """All tags with their possible values, named expressions, and what is tagged."""

    def __init__(self) -> None:
        self.values: dict[str, list[str]] = {}
        self.expressions: dict[str, dict[str, Any]] = {}  # by name: Name, Description, Expression
        self.assigned: dict[Place, dict[str, str]] = {}

    def create(self, key: str, values: Iterable[str]) -> None:
        """A tag; raises InvalidInputException when it exists."""
        if key.lower() in self.values:
            raise invalid("Tag key already exists")
        self.values[key.lower()] = _distinct(values)

    def known(self, key: str) -> list[str]:
        """The possible values of a tag; raises EntityNotFoundException."""
        if key.lower() not in self.values:
            raise not_found("Tag key does not exist")
        return self.values[key.lower()]

    def update(self, key: str, added: Iterable[str], removed: Iterable[str]) -> None:
        """Other possible values; one that something is tagged with stays (API reference,
        UpdateLFTag).
        """
        have, key, lost = self.known(key), key.lower(), _distinct(removed)
        if any(tags.get(key) in lost for tags in self.assigned.values()):
            raise invalid(
                "Update not allowed: untag the resources that have the value before deleting it"
                " from the LF-Tag"
            )
        values = _distinct([*(each for each in have if each not in lost), *added])
        if not values or len(values) > VALUES_OF_ONE:
            raise invalid(f"An LF-Tag has 1 to {VALUES_OF_ONE} values")
        self.values[key] = values

    def delete(self, key: str) -> None:
        """The tag gone, also from what it is on; policies that name it hold nothing any more."""
        self.known(key)
        del self.values[key.lower()]
        for tags in self.assigned.values():
            tags.pop(key.lower(), None)

    def assign(self, places: list[Place], key: str, value: str) -> None:
        """Put a tag on resources, in place of another value; raises EntityNotFoundException,
        InvalidInputException.
        """
        if value.lower() not in self.values.get(key.lower(), []):
            raise not_found("Tag or tag value does not exist.")
        for place in places:
            tags = self.assigned.setdefault(place, {})
            if key.lower() not in tags and len(tags) >= TAGS_ON_ONE:
                raise invalid(f"A resource has at most {TAGS_ON_ONE} LF-Tags")
            tags[key.lower()] = value.lower()

    def take_off(self, places: list[Place], key: str, values: list[str]) -> None:
        """Take a tag off resources; raises EntityNotFoundException when it is not on one of
        them.
        """
        wanted = _distinct(values)
        for place in places:
            found = self.assigned.get(place, {}).get(key.lower())
            if found is None or (wanted and found not in wanted):
                raise not_found("Tag is not assigned to the resource.")
        for place in places:
            del self.assigned[place][key.lower()]

    def of(self, place: Place) -> dict[str, str]:
        """The tags of a resource: its own before those of what it is in."""
        found: dict[str, str] = {}
        for length in range(1, len(place) + 1):
            found |= self.assigned.get(place[:length], {})
        return found

    def match(self, on: On, place: Place) -> bool:
        """Whether the resource's tags are those of a policy: every key of it, with one of its
        values.
        """
        expression, tags = self.expression(on), self.of(place)
        return bool(expression) and all(tags.get(key) in values for key, values in expression)

    def expression(self, on: On) -> Expression:
        """The expression of a policy, named or its own."""
        if on.name:
            found: Expression = self.expressions.get(on.name, {}).get("Expression", ())
            return found
        return on.expression

    def check(self, expression: Expression) -> None:
        """Raise EntityNotFoundException when an expression names what is no tag."""
        for key, values in expression:
            if not set(values) <= set(self.values.get(key, [])):
                raise not_found("Tag or tag value does not exist.")

    def forget(self, database: str, table: str = "") -> None:
        """Drop the tags of a table, or of a database and all in it, that is no more."""
        gone = (database, table) if table else (database,)
        for place in [each for each in self.assigned if each[: len(gone)] == gone]:
            del self.assigned[place]


def shown(tags: dict[str, str]) -> list[dict[str, Any]]:
    """Tags as the API shows them on a resource."""
    return [
        {"CatalogId": ACCOUNT, "TagKey": key, "TagValues": [value]}
        for key, value in sorted(tags.items())
    ]


def places(on: On) -> list[Place]:
    """What tags are put on; raises InvalidInputException for what cannot have any."""
    if on.kind == "Database":
        return [(on.database,)]
    if on.kind == "Table" and on.table != "*":
        return [(on.database, on.table)]
    if on.kind == "TableWithColumns" and on.columns:
        return [(on.database, on.table, each) for each in sorted(on.columns)]
    raise invalid("LF-Tags are put on a Database, a Table or named columns of one")


def _distinct(values: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(each.lower() for each in values))
