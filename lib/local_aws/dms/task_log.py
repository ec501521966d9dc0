"""The log of a task in CloudWatch Logs, where EnableLogging asks for it."""

from __future__ import annotations

import contextlib
import threading
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from local_aws.dms.records import DMS, role_arn
from local_aws.errors import AccessDeniedError

if TYPE_CHECKING:
    from local_aws.stand_in import StandIn

EVENTS_PER_CALL = 1000  # 10,000 and 1 MiB are CloudWatch's limits


def _client(stand_in: StandIn) -> Any:
    """CloudWatch Logs by the role that DMS looks for by name; None without it."""
    try:
        return stand_in.client(
            "logs", role_arn=role_arn("dms-cloudwatch-logs-role"), service_principal=DMS
        )
    except AccessDeniedError:
        return None


class TaskLog:
    """Lines as DMS writes them, gathered and sent in batches."""

    def __init__(self, stand_in: StandIn, logging: dict[str, Any]) -> None:
        self._logs = _client(stand_in) if logging["EnableLogging"] else None
        self._where = {
            "logGroupName": logging["CloudWatchLogGroup"],
            "logStreamName": logging["CloudWatchLogStream"],
        }
        self._events: list[dict[str, Any]] = []
        self._lock = threading.Lock()

    def write(self, component: str, text: str, level: str = "I") -> None:
        """Add a line; levels are I (information), W (warning) and E (error)."""
        line = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S} [{component:<16}]{level}:  {text[:50_000]}"
        with self._lock:
            self._events.append({"timestamp": int(time.time() * 1000), "message": line})

    def close(self) -> None:
        """Send what was written."""
        if not self._logs:
            return
        try:
            self._send(self._logs)
        except ClientError as refused:  # as on AWS: no line arrives, and nobody is told
            if refused.response["Error"]["Code"] != "AccessDeniedException":
                raise

    def _send(self, logs: Any) -> None:
        with contextlib.suppress(logs.exceptions.ResourceAlreadyExistsException):
            logs.create_log_group(logGroupName=self._where["logGroupName"])
        with contextlib.suppress(logs.exceptions.ResourceAlreadyExistsException):
            logs.create_log_stream(**self._where)
        events = sorted(self._events, key=lambda each: each["timestamp"])
        for start in range(0, len(events), EVENTS_PER_CALL):
            logs.put_log_events(**self._where, logEvents=events[start : start + EVENTS_PER_CALL])
