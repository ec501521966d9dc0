"""What looking at a hop of the path answers: a line of the diagnosis, or why there is none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from lakebook import aws

OK, FAILED, NOT_YET, NOT_CHECKED, NOT_APPLICABLE = (
    "ok",
    "failed",
    "not yet",
    "not checked",
    "not applicable",
)


@dataclass(frozen=True)
class Hop:
    """One line of the diagnosis."""

    hop: str
    where: str  # the stretch of the path it belongs to
    verdict: str
    seen: str
    action: str
    # the number of the phase that makes what is missing; empty where nobody but a person can
    mended_by: str


class Broken(Exception):  # noqa: N818 - a finding more than an error
    """The hop does not carry: what was seen, and what to do."""

    def __init__(self, seen: str, action: str, mended_by: str = "") -> None:
        super().__init__(seen)
        self.seen, self.action, self.mended_by = seen, action, mended_by


class Untold(Exception):  # noqa: N818
    """AWS does not show whether the hop carries: why not, and what does."""


class Absent(Exception):  # noqa: N818
    """The hop cannot be looked at: made by a later phase (its number), or not on this path."""

    def __init__(self, why: str, made_by: str = "") -> None:
        super().__init__(why)
        self.why, self.made_by = why, made_by


def described(service: str, operation: str, member: str, **arguments: Any) -> list[dict[str, Any]]:
    """All that AWS lists, over all pages."""
    client = aws.client_named(service)
    if client.can_paginate(operation):
        pages = client.get_paginator(operation).paginate(**arguments)
        return [each for page in pages for each in page.get(member, [])]
    found: list[dict[str, Any]] = getattr(client, operation)(**arguments)[member]
    return found
