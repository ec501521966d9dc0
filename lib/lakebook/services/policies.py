"""Policy documents: built from statements, and compared by what they mean rather than how AWS
spells them.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

MANAGED_CHARACTERS = 6_144  # of a managed policy, without white space; a role takes ten of them


def document(*statements: dict[str, Any]) -> dict[str, Any]:
    """A policy document of these statements; an `Effect` of Allow need not be said."""
    return {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", **each} for each in statements],
    }


def parts(
    statements: list[dict[str, Any]], characters: int = MANAGED_CHARACTERS
) -> list[dict[str, Any]]:
    """Documents that together hold these statements, each short enough for a managed policy."""
    found: list[list[dict[str, Any]]] = [[]]
    for each in statements:
        if (
            found[-1]
            and len(json.dumps(document(*found[-1], each), separators=(",", ":"))) > characters
        ):
            found.append([])
        found[-1].append(each)
    return [document(*some) for some in found]


def same(actual: str | Mapping[str, Any] | None, desired: dict[str, Any]) -> bool:
    """Whether two documents say the same: one value or a list of one, and the order of lists, do
    not matter to AWS.
    """
    found = json.loads(actual) if isinstance(actual, str) else actual
    return found is not None and _plain(found) == _plain(desired)


def listed(value: Any) -> list[Any]:
    """A value of a document as a list: of one it may stand there without."""
    return value if isinstance(value, list) else [value]


def _plain(policy: Mapping[str, Any]) -> list[str]:
    return sorted(json.dumps(_values(each)) for each in listed(policy.get("Statement", [])))


def _values(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _values(each) for name, each in sorted(value.items())}
    return sorted(map(str, value)) if isinstance(value, list) else [str(value)]
