"""The recorder: takes finished calls off the request path, and one thread makes, keeps and delivers
their records.
"""

from __future__ import annotations

import datetime
import queue
import sys
import threading
import time
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from local_aws import settings
from local_aws.cloudtrail.delivery import Delivery, Signer, Trail
from local_aws.cloudtrail.events import Finished, record, request, service_record
from local_aws.cloudtrail.identity import identity
from local_aws.cloudtrail.store import Store
from local_aws.names import ACCOUNT
from local_aws.principal import INTERNAL_ACCESS_KEY

if TYPE_CHECKING:
    from collections.abc import Callable

    from local_aws.principal import Principal
    from local_aws.stand_in import StandIn

MOST_EVENTS_AT_ONCE = 500
NOT_HERE = 501  # what the stand-in does not do: on AWS the call would be another event
CLOSING_SECONDS = 0.5  # after StopLogging: the record of that call itself is still to come
STOP_SECONDS = 30

Work = (
    Finished | partial[dict[str, Any]] | threading.Event
)  # a call, a record to make, or somebody who waits for what is before


class Recorder:
    """Every event of the account and the trails that deliver them."""

    def __init__(
        self,
        stand_in: StandIn,
        may_write: Callable[[str, str, str], bool],
        may_encrypt: Callable[[str, str], bool],
    ) -> None:
        self.store = Store(stand_in.directory / "cloudtrail.sqlite")
        self.trails: list[Trail] = []  # also deleted ones, until their last files are delivered
        self.delivery = Delivery(
            self.store, lambda: stand_in.client("s3"), may_write, may_encrypt, self._signer
        )
        self._region = stand_in.region
        self._queue: queue.SimpleQueue[Work | None] = queue.SimpleQueue()
        self._key: Signer | None = None
        self._key_lock, self._delivery_lock = threading.Lock(), threading.Lock()
        self._thread = threading.Thread(target=self._run, name="cloudtrail", daemon=True)
        self._thread.start()

    def observe(
        self,
        environ: dict[str, Any],
        service: str,
        operation: str,
        region: str,
        principal: Principal | None,
        parameters: dict[str, Any],
        request_id: str,
        started: float,
        status: int,
        headers: list[tuple[str, str]],
        data: Any,
    ) -> None:
        """Take a call that the gateway has finished; costs it microseconds.

        A call that nobody could be found for is in no account's history, and what engines do for
        themselves is no call.
        """
        is_ours = (
            principal is not None and principal.account in ("", ACCOUNT) and status != NOT_HERE
        )
        if principal is None or not is_ours or principal.access_key == INTERNAL_ACCESS_KEY:
            return
        # else it is a stream
        answer = data[0] if isinstance(data, list) and len(data) == 1 else None
        who, service_name = identity(principal), principal.invoked_by
        call = Finished(
            started,
            request_id,
            service,
            operation,
            region,
            who,
            parameters,
            request(environ),
            status,
            headers,
            answer,
        )
        self._queue.put(replace(call, invoked_by=service_name) if service_name else call)

    def assumed(self, session: Principal, service_principal: str) -> None:
        """Take an AssumeRole of an AWS service for a role that it acts as: `dms.amazonaws.com`."""
        given = {"RoleArn": session.role_arn, "RoleSessionName": session.session_name}
        self.record_service_event("sts", "AssumeRole", service_principal, parameters=given)

    def touched(self, principal: Principal, operation: str, bucket: str, key: str) -> None:
        """Take what an engine did with an object's file itself, as the role it acts as:
        `PutObject`, `GetObject`, `DeleteObject`.
        """
        given = {"Bucket": bucket, "Key": key}
        self.acted(principal, "s3", operation, parameters=given)

    def acted(self, principal: Principal, service: str, operation: str, **details: Any) -> None:
        """Take an event of what an AWS service did for a principal: `GetDataAccess`.

        `details` as of `record_service_event`.
        """
        self.record_service_event(
            service, operation, principal.invoked_by, identity=identity(principal), **details
        )

    def record_service_event(
        self, service: str, operation: str, invoked_by: str, **details: Any
    ) -> None:
        """Take an event of what an AWS service did itself: `AssumeRole` by
        `dms.amazonaws.com`, its object writes.

        `details` as of `cloudtrail_events.service_record`: identity, parameters (as boto3 takes
        them), resources, additional, error, message; the Region is the stand-in's unless given.
        """
        region = details.pop("region", self._region)
        self._queue.put(partial(service_record, service, operation, invoked_by, region, **details))

    def settle(self) -> None:
        """Return when everything that was taken before is kept and can be looked up."""
        kept = threading.Event()
        self._queue.put(kept)
        kept.wait(STOP_SECONDS)

    def deliver(self) -> None:
        """Deliver all log files now, and end the hour: every digest too."""
        self.settle()
        with self._delivery_lock:
            for trail in [each for each in self.trails if each.active]:
                self.delivery.deliver(trail, digest=True)

    def start(self, trail: Trail) -> None:
        """Deliver events from now on; what a trail stopped just now has still to deliver goes
        first.
        """
        self.settle()
        with self._delivery_lock:
            if trail.closing_at:
                self.delivery.deliver(trail, digest=True)
            trail.chains.clear()
            trail.delivered.clear()
            trail.closing_at, trail.start_id, trail.logging = 0, self.store.last_id(), True
            trail.started = datetime.datetime.now(datetime.UTC)

    def stop(self) -> None:
        """Deliver what is left and end."""
        self.deliver()
        self._queue.put(None)
        self._thread.join(STOP_SECONDS)

    def signer(self) -> Signer:
        """CloudTrail's key pair, made when first needed."""
        return self._signer()

    def _signer(self) -> Signer:
        with self._key_lock:
            self._key = self._key or Signer()
            return self._key

    def _run(self) -> None:
        due = time.monotonic() + settings.log_delivery_seconds
        while True:
            work = self._take(due - time.monotonic())
            try:
                self._keep(work)
                if time.monotonic() >= due:
                    self._deliver_due()
            except Exception as bug:  # noqa: BLE001 - a full disk: said here, and tried again
                print(f"cloudtrail: {bug!r}", file=sys.stderr, flush=True)
            if time.monotonic() >= due:
                due = time.monotonic() + settings.log_delivery_seconds
            if None in work:
                return

    def _take(self, wait_seconds: float) -> list[Work | None]:
        taken: list[Work | None] = []
        try:
            taken.append(self._queue.get(timeout=max(wait_seconds, 0)))
            while len(taken) < MOST_EVENTS_AT_ONCE:
                taken.append(self._queue.get_nowait())
        except queue.Empty:
            pass
        return taken

    def _keep(self, work: list[Work | None]) -> None:
        records = [_made(each) for each in work if isinstance(each, Finished | partial)]
        kept = [
            each for each in records if each and (each["managementEvent"] or self._asked_for(each))
        ]
        if kept:
            self.store.add(kept)
        for each in work:
            if isinstance(each, threading.Event):
                each.set()

    def _asked_for(self, event: dict[str, Any]) -> bool:
        return any(each.active and each.wants(event) for each in self.trails)

    def _deliver_due(self) -> None:
        with self._delivery_lock:
            for trail in [each for each in self.trails if each.active]:
                closes = bool(trail.closing_at) and time.time() - trail.closing_at > CLOSING_SECONDS
                self.delivery.deliver(trail, digest=closes)
                if closes:
                    trail.closing_at = 0
                    trail.chains.clear()
            self.trails[:] = [each for each in self.trails if each.active or not each.deleted]


def _made(work: Finished | partial[dict[str, Any]]) -> dict[str, Any] | None:
    try:
        return work() if isinstance(work, partial) else record(work)
    except Exception as bug:  # noqa: BLE001 - one call without a record must not end all recording
        what = (
            f"{work.service} {work.operation}"
            if isinstance(work, Finished)
            else " ".join(work.args[:2])
        )
        print(f"cloudtrail: no record of {what}: {bug!r}", file=sys.stderr, flush=True)
        return None
