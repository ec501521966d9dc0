"""What a script wrote as it ran: lines for CloudWatch Logs, and the exception that ended it."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

LOG_EVENTS_PER_CALL = 1000
LOG_EVENT_CHARACTERS = 60_000  # of at most 4 bytes each: an event is at most 256 KiB
LOG_CALL_BYTES = 1_000_000  # an API limit too (1 MiB, with 26 bytes for each event)


def last_exception(error_output: str) -> str:
    """The exception that ended a Python script, as its traceback names it: "ValueError: no such
    column".
    """
    _, found, traceback = error_output.rpartition("Traceback (most recent call last):\n")
    lines = (
        [line for line in traceback.splitlines() if line and not line.startswith((" ", "\t"))]
        if found
        else []
    )
    if (
        lines
        and lines[0].startswith("py4j.")
        and (causes := [each for each in lines[1:] if "Exception: " in each])
    ):
        # as Glue says it
        return (
            f"{lines[0].partition(': ')[2].rstrip('.')}. {causes[-1].partition('Exception: ')[2]}"
        )
    return re.sub(r"^(\w+\.)+(?=\w+:)", "", lines[0]) if lines else ""


def log_events(text: str) -> Iterator[list[dict[str, Any]]]:
    """The lines as log events, as many at a time as one PutLogEvents takes."""
    now, size = int(time.time() * 1000), 0
    events: list[dict[str, Any]] = []
    for line in filter(str.strip, text.splitlines()):
        event = {"timestamp": now, "message": line[:LOG_EVENT_CHARACTERS]}
        cost = len(line.encode()) + 26
        if events and (len(events) == LOG_EVENTS_PER_CALL or size + cost > LOG_CALL_BYTES):
            yield events
            events, size = [], 0
        events.append(event)
        size += cost
    if events:
        yield events
