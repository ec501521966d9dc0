"""A hop of the path from DMS to the source: what was seen there, the verdict, and the one next
action.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from lakebook import aws
from lakebook.errors import LakebookError

if TYPE_CHECKING:
    from collections.abc import Callable

    from lakebook.diagnosis.path import Path

OK, FAILED, NOT_YET, NOT_CHECKED, NOT_APPLICABLE = (
    "ok",
    "failed",
    "not yet",
    "not checked",
    "not applicable",
)
NOT_IMPLEMENTED = 501  # HTTP
UNKNOWN = ("UnknownOperationException", "InvalidAction", "UnsupportedOperation")
DENIED = ("AccessDenied", "AccessDeniedException", "AccessDeniedFault", "UnauthorizedOperation")


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


class Absent(Exception):  # noqa: N818
    """The hop cannot be looked at: made by a later phase (its number), or not on this path."""

    def __init__(self, why: str, made_by: str = "") -> None:
        super().__init__(why)
        self.why, self.made_by = why, made_by


def look(name: str, where: str, at: Callable[[Path], str], path: Path) -> Hop:
    """Look at one hop; a call that AWS denies is a finding, too."""
    try:
        return Hop(name, where, OK, at(path), "", "")
    except Absent as absent:
        verdict = NOT_YET if absent.made_by else NOT_APPLICABLE
        return Hop(name, where, verdict, absent.why, "", absent.made_by)
    except Broken as broken:
        return Hop(name, where, FAILED, broken.seen, broken.action, broken.mended_by)
    except LakebookError as error:
        return Hop(name, where, FAILED, "", str(error), "")
    except ClientError as error:
        if (
            error.response["Error"]["Code"] in UNKNOWN
            or error.response["ResponseMetadata"]["HTTPStatusCode"] == NOT_IMPLEMENTED
        ):
            return Hop(
                name, where, NOT_CHECKED, f"{error.operation_name} is not offered here", "", ""
            )
        return Hop(name, where, FAILED, *_refused(error), "")


def _refused(error: ClientError) -> tuple[str, str]:
    answer, operation = error.response["Error"], error.operation_name
    if answer["Code"] in DENIED:
        return (
            f"{answer['Code']}: {answer['Message']}",
            f"Allow the caller to make the call {operation}.",
        )
    seen = f"{operation}: {answer['Code']}: {answer['Message']}"
    return (
        seen,
        (
            f"AWS answered {operation} with {answer['Code']}; correct the parameter it is about, or"
            " ask AWS."
        ),
    )


def described(service: str, operation: str, member: str, **arguments: Any) -> list[dict[str, Any]]:
    """All that AWS lists, over all pages."""
    client = aws.client(service)
    if client.can_paginate(operation):
        pages = client.get_paginator(operation).paginate(**arguments)
        return [each for page in pages for each in page.get(member, [])]
    found: list[dict[str, Any]] = getattr(client, operation)(**arguments)[member]
    return found
