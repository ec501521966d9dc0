"""What all DMS operations share: records by ARN, filters, pages, tags, faults, and what happens
later.
"""

from __future__ import annotations

import secrets
import string
import threading
from typing import TYPE_CHECKING, Any

from local_aws import settings
from local_aws.errors import ApiError
from local_aws.names import ACCOUNT
from local_aws.service import Service

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from local_aws.service import Call
    from local_aws.stand_in import StandIn

Record = dict[str, Any]
DMS = "dms.amazonaws.com"  # the service principal; secrets are read by that of the Region
MARKER = "page-"


class Records(Service):
    """The state of DMS: plain dicts as boto3 shows them, by ARN."""

    def __init__(self, stand_in: StandIn) -> None:
        super().__init__(stand_in)
        self.lock = threading.RLock()
        self.subnet_groups: dict[str, Record] = {}
        self.instances: dict[str, Record] = {}
        self.endpoints: dict[str, Record] = {}
        self.passwords: dict[str, str] = {}  # by endpoint: DMS never shows them
        self.connections: dict[tuple[str, str], Record] = {}  # by instance and endpoint
        self.tasks: dict[str, Record] = {}
        self.tags: dict[str, dict[str, str]] = {}
        self._timers: set[threading.Timer] = set()

    def stop(self) -> None:
        """Cancel the changes of state that are still to come."""
        for each in list(self._timers):
            each.cancel()

    def arn(self, kind: str, call: Call) -> str:
        """A new ARN; its end is the caller's ResourceIdentifier or random."""
        end = call.parameters.get("ResourceIdentifier") or "".join(
            secrets.choice(string.ascii_uppercase + string.digits) for _ in range(26)
        )
        return f"arn:aws:dms:{self.stand_in.region}:{ACCOUNT}:{kind}:{end}"

    def later(self, act: Callable[[], object]) -> None:
        """Do something when the thing has settled, with the state locked."""

        def locked() -> None:
            self._timers.discard(timer)
            with self.lock:
                act()

        timer = threading.Timer(settings.settle_seconds, locked)
        timer.daemon = True
        self._timers.add(timer)
        timer.start()

    def keep_tags(self, arn: str, call: Call) -> None:
        """Remember the tags of a new thing."""
        self.tags[arn] = {
            each["Key"]: each.get("Value", "") for each in call.parameters.get("Tags") or []
        }

    def check_role(self, role_arn: str, principal: str) -> None:
        """Raise AccessDeniedFault unless the role is there and lets the principal assume it.

        https://docs.aws.amazon.com/dms/latest/userguide/security-iam.html#CHAP_Security.APIRole
        """
        if not self.stand_in.may_assume(role_arn, principal):
            raise ApiError(
                "AccessDeniedFault", f"The IAM Role {role_arn} is not configured properly"
            )


def role_arn(name: str) -> str:
    """The ARN of one of the roles that DMS looks for by name."""
    return f"arn:aws:iam::{ACCOUNT}:role/{name}"


def find(records: dict[str, Record], arn: str, what: str) -> Record:
    """The record of an ARN; raises ResourceNotFoundFault."""
    if arn not in records:
        raise ApiError("ResourceNotFoundFault", f"{what} not found: {arn}")
    return records[arn]


def matching(
    call: Call, records: Iterable[Record], members: dict[str, str | tuple[str, ...]], what: str
) -> list[Record]:
    """The records that fulfil all of the call's filters; `members` tells what each filter compares.

    Raises ResourceNotFoundFault when filters are given and nothing fulfils them.
    """
    found, filters = list(records), call.parameters.get("Filters") or []
    for each in filters:
        if each["Name"] not in members:
            raise invalid(
                f"{each['Name']} is no filter of {call.operation}, which knows {', '.join(members)}"
            )
        names = members[each["Name"]]
        names = (names,) if isinstance(names, str) else names
        found = [
            record for record in found if any(record.get(name) in each["Values"] for name in names)
        ]
    if filters and not found:
        raise ApiError("ResourceNotFoundFault", f"No {what} found matching provided filters")
    return found


def page(call: Call, member: str, records: list[Record], largest: int = 100) -> dict[str, Any]:
    """One page of an answer, MaxRecords (20 to `largest`, 100 without) from Marker on."""
    size = call.parameters.get("MaxRecords") or 100
    if not 20 <= size <= largest:
        raise invalid(f"MaxRecords must be between 20 and {largest}, not {size}")
    marker = call.parameters.get("Marker") or f"{MARKER}0"
    if not marker.removeprefix(MARKER).isdigit():
        raise invalid("Marker is not one that this operation gave")
    start = int(marker.removeprefix(MARKER))
    answer: dict[str, Any] = {member: records[start : start + size]}
    if start + size < len(records):
        answer["Marker"] = f"{MARKER}{start + size}"
    return answer


def check_new(records: Iterable[Record], member: str, name: str, what: str) -> None:
    """Raise ResourceAlreadyExistsFault when a record has this name."""
    if any(each[member] == name for each in records):
        raise ApiError("ResourceAlreadyExistsFault", f"{what} already exists: {name}")


def invalid(why: str) -> ApiError:
    """What DMS answers to a wrong parameter, though its API model does not list it.

    https://github.com/hashicorp/terraform-provider-aws/issues/21512
    """
    return ApiError("InvalidParameterValueException", f"{why}.")


def invalid_state(why: str) -> ApiError:
    """What DMS answers when a thing is not in a state for what is asked."""
    return ApiError("InvalidResourceStateFault", f"{why}.")


def not_here(what: str) -> ApiError:
    """The refusal of what AWS does and this stand-in does not."""
    return ApiError(
        "NotInLocalAws", f"local_aws does not do {what}; see COVERAGE.md for what it does.", 501
    )
