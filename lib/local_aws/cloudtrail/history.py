"""CloudTrail's event history: look-ups in what the account did, and the keys that digests are
signed with.

On AWS an event can be looked up some minutes after the call; here at once.
"""

from __future__ import annotations

import datetime
import json
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Any

from local_aws.cloudtrail.store import Stored, resource_names, username
from local_aws.errors import ApiError
from local_aws.service import Call, Service

if TYPE_CHECKING:
    from local_aws.cloudtrail.recorder import Recorder
    from local_aws.stand_in import StandIn

PAGE = 50
HISTORY_DAYS = 90
LOOKUPS_PER_SECOND = 2
ANY_KEY = 1 << 62


class History(Service):
    """LookupEvents and ListPublicKeys."""

    recorder: Recorder

    def __init__(self, stand_in: StandIn) -> None:
        super().__init__(stand_in)
        self._lookups: dict[str, deque[float]] = {}  # by Region: when the last ones came
        self._lock = threading.Lock()

    def LookupEvents(self, call: Call) -> dict[str, Any]:
        """Management events of this Region and 90 days, newest first
        (https://docs.aws.amazon.com/awscloudtrail/latest/APIReference/API_LookupEvents.html).
        """
        asked = call.parameters
        self._throttle(call.region)
        attributes = asked.get("LookupAttributes") or []
        if len(attributes) > 1:
            raise ApiError(
                "InvalidLookupAttributesException", "You can specify only one lookup attribute."
            )
        if asked.get("EventCategory"):
            return {"Events": []}  # Insights events, of which there are none
        limit, since, until = (
            asked.get("MaxResults") or PAGE,
            asked.get("StartTime"),
            asked.get("EndTime"),
        )
        if not 1 <= limit <= PAGE:
            raise ApiError(
                "InvalidMaxResultsException", f"MaxResults must be between 1 and {PAGE}."
            )
        if since and until and since > until:
            raise ApiError("InvalidTimeRangeException", "The start time is after the end time.")
        oldest = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=HISTORY_DAYS)
        start, end = _utc(max(since or oldest, oldest)), _utc(until) if until else "9999"
        if not asked.get("NextToken"):
            self.recorder.settle()
        attribute = (
            (attributes[0]["AttributeKey"], attributes[0]["AttributeValue"]) if attributes else None
        )
        before = _before(asked.get("NextToken"))
        found = self.recorder.store.lookup(call.region, attribute, start, end, before, limit + 1)
        page = {"Events": [_looked_up(each) for each in found[:limit]]}
        return page | ({"NextToken": f"{found[limit - 1].id:x}"} if len(found) > limit else {})

    def ListPublicKeys(self, call: Call) -> dict[str, Any]:
        """The public key that digests are signed with, where it was valid in the time asked for."""
        key, now = self.recorder.signer(), datetime.datetime.now(datetime.UTC)
        since, until = (
            call.parameters.get("StartTime") or now,
            call.parameters.get("EndTime") or now,
        )
        if since > until:
            raise ApiError("InvalidTimeRangeException", "The start time is after the end time.")
        if since > key.valid_to or until < key.valid_from:
            return {"PublicKeyList": []}
        described = {
            "Value": key.public_key,
            "Fingerprint": key.fingerprint,
            "ValidityStartTime": key.valid_from,
            "ValidityEndTime": key.valid_to,
        }
        return {"PublicKeyList": [described]}

    def _throttle(self, region: str) -> None:
        with self._lock:
            recent = self._lookups.setdefault(region, deque(maxlen=LOOKUPS_PER_SECOND))
            if len(recent) == LOOKUPS_PER_SECOND and time.monotonic() - recent[0] < 1:
                raise ApiError("ThrottlingException", "Rate exceeded")
            recent.append(time.monotonic())


def _looked_up(event: Stored) -> dict[str, Any]:
    record = event.record
    found = {
        "EventId": record["eventID"],
        "EventName": record["eventName"],
        "ReadOnly": "true" if record["readOnly"] else "false",
        "AccessKeyId": record["userIdentity"].get("accessKeyId"),
        "EventTime": datetime.datetime.fromisoformat(record["eventTime"]),
        "EventSource": record["eventSource"],
        "Username": username(record),
        "Resources": [
            {"ResourceType": kind, "ResourceName": name} for kind, name in resource_names(record)
        ],
        "CloudTrailEvent": json.dumps(record, ensure_ascii=False),
    }
    return {name: value for name, value in found.items() if value is not None}


def _before(token: str | None) -> int:
    try:
        return int(token, 16) if token else ANY_KEY
    except ValueError as error:
        raise ApiError("InvalidNextTokenException", "The next token is not valid.") from error


def _utc(moment: datetime.datetime) -> str:
    return moment.astimezone(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
