"""How long what is asynchronous on AWS takes in the stand-in: one place, read whenever something
begins.
"""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

settle_seconds = 0.25  # that a new or changed resource is `creating`, `modifying`, `deleting`
log_delivery_seconds = 2.0  # between two deliveries of CloudTrail's log files; 300 on AWS
digest_delivery_seconds = 10.0  # between two of its digest files; 3600 on AWS
# for tests: an answer that its service's model does not allow is an error
check_answers = bool(os.environ.get("LOCAL_AWS_CHECK_ANSWERS"))


@contextlib.contextmanager
def settling(seconds: float) -> Iterator[None]:
    """Let what begins inside the block settle in this many seconds."""
    global settle_seconds  # noqa: PLW0603 - the one switch, of a whole process
    before, settle_seconds = settle_seconds, seconds
    try:
        yield
    finally:
        settle_seconds = before
