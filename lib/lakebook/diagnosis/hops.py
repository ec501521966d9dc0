"""A hop of the path from DMS to the source: what was seen there, the verdict, and the one next
action.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from lakebook.diagnosis.answers import (
    FAILED,
    NOT_APPLICABLE,
    NOT_CHECKED,
    NOT_YET,
    OK,
    Absent,
    Broken,
    Hop,
    Untold,
)
from lakebook.errors import EXPIRED, LakebookError

if TYPE_CHECKING:
    from collections.abc import Callable

    from lakebook.diagnosis.path import Path

NOT_IMPLEMENTED = 501  # HTTP
UNKNOWN = ("UnknownOperationException", "InvalidAction", "UnsupportedOperation")
DENIED = ("AccessDenied", "AccessDeniedException", "AccessDeniedFault", "UnauthorizedOperation")


def look(name: str, where: str, at: Callable[[Path], str], path: Path) -> Hop:
    """Look at one hop; a call that AWS denies is a finding, too."""
    try:
        return Hop(name, where, OK, at(path), "", "")
    except Absent as absent:
        verdict = NOT_YET if absent.made_by else NOT_APPLICABLE
        return Hop(name, where, verdict, absent.why, "", absent.made_by)
    except Untold as untold:
        return Hop(name, where, NOT_CHECKED, str(untold), "", "")
    except Broken as broken:
        return Hop(name, where, FAILED, broken.seen, broken.action, broken.mended_by)
    except LakebookError as error:
        return Hop(name, where, FAILED, "", str(error), "")
    except ClientError as error:
        if EXPIRED.fullmatch(error.response["Error"]["Code"]):
            raise  # it says nothing of the path
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
