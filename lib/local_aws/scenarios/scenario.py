"""One incident: what it is in words, and how it is made; making it returns how it is undone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from local_aws.service import Service
    from local_aws.stand_in import StandIn


class ScenarioError(Exception):
    """The incident cannot be made: one sentence that says why and what to do."""


@dataclass(frozen=True)
class Scenario:
    """`breaks` takes the stand-in and its services by name."""

    what: str
    breaks: Callable[[StandIn, dict[str, Service]], Callable[[], object]]


def first(found: list[Any], what: str) -> Any:
    """The first of what was found; raises ScenarioError when the account has none yet."""
    if not found:
        raise ScenarioError(f"There is no {what} yet to break: run the phase that makes it first.")
    return found[0]


def all_pages(client: Any, operation: str, member: str, **arguments: Any) -> list[dict[str, Any]]:
    """Everything an operation lists."""
    pages = client.get_paginator(operation).paginate(**arguments)
    return [each for page in pages for each in page[member]]
