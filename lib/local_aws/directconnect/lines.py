"""The lower half of Direct Connect: connections, tags, pages, and what is broken on the ground
where no API reaches.
"""

from __future__ import annotations

import secrets
import string
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from local_aws import settings
from local_aws.errors import ApiError
from local_aws.names import ACCOUNT
from local_aws.service import Service

if TYPE_CHECKING:
    from collections.abc import Iterable

    from local_aws.service import Call
    from local_aws.stand_in import StandIn

Record = dict[str, Any]
LOCATION = {
    "locationCode": "EqDB1",
    "locationName": "Equinix DB1, Dublin, Ireland",
    "region": "eu-west-1",
    "availablePortSpeeds": ["1Gbps", "10Gbps", "100Gbps"],
    "availableMacSecPortSpeeds": ["10Gbps", "100Gbps"],
    "availableProviders": [],
}
DEVICE = {
    "awsDevice": "EqDB1-1a2b3c",
    "awsDeviceV2": "EqDB1-1a2b3c",
    "awsLogicalDeviceId": "EqDB1-1a2b3c",
}


@dataclass
class Ground:
    """What is outside of AWS's API: cut lines, and the customer's routers with the networks they
    announce.
    """

    broken: set[str] = field(default_factory=set)  # ids of connections and BGP peers that are down
    # by virtual interface; without one BGP never comes up
    routers: dict[str, list[str]] = field(default_factory=dict)


class Lines(Service):
    """Connections and their tags."""

    def __init__(self, stand_in: StandIn) -> None:
        super().__init__(stand_in)
        self.lock = threading.RLock()
        self.ground = Ground()
        self.connections: dict[str, Record] = {}
        self.tags: dict[str, dict[str, str]] = {}

    def DescribeLocations(self, call: Call) -> Record:  # noqa: ARG002 - nothing is asked
        """The one place there is."""
        return {"locations": [LOCATION]}

    def CreateConnection(self, call: Call) -> Record:
        """A connection that is `requested`, and soon `available`: nobody waits days for a letter of
        authorization here.
        """
        request = call.parameters
        if request["location"] != LOCATION["locationCode"]:
            raise client_error(
                f"Location {request['location']} is not valid; local_aws has"
                f" {LOCATION['locationCode']}."
            )
        if request["bandwidth"] not in LOCATION["availablePortSpeeds"]:
            raise client_error(f"Bandwidth {request['bandwidth']} is not valid.")
        if request.get("lagId") or request.get("requestMACSec"):
            raise ApiError(
                "NotInLocalAws", "local_aws makes no connections in LAGs or with MACsec.", 501
            )
        return self._shown_connection(self.add_connection(new_id("dxcon"), request))

    def add_connection(self, identity: str, request: Record) -> Record:
        """Keep a connection under an id; `told` is as CreateConnection takes it."""
        with self.lock:
            record = {
                "ownerAccount": ACCOUNT,
                "connectionId": identity,
                "connectionName": request["connectionName"],
                "connectionState": "available",
                "region": self.stand_in.region,
                "location": request["location"],
                "bandwidth": request["bandwidth"],
                "jumboFrameCapable": True,
                "hasLogicalRedundancy": "unknown",
                "macSecCapable": False,
                "portEncryptionStatus": "Encryption Down",
                **DEVICE,
                "settled_at": time.monotonic() + settings.settle_seconds,
            }
            self.connections[identity] = record
            self.keep_tags(self.arn("dxcon", identity), request)
        return record

    def DescribeConnections(self, call: Call) -> Record:
        """One connection or all; raises DirectConnectClientException."""
        asked = call.parameters.get("connectionId")
        found = (
            [find(self.connections, asked, "Connection")] if asked else self.connections.values()
        )
        return page(call, "connections", [self._shown_connection(each) for each in found])

    def UpdateConnection(self, call: Call) -> Record:
        """The connection with another name."""
        record = find(self.connections, call.parameters["connectionId"], "Connection")
        if call.parameters.get("encryptionMode"):
            raise ApiError("NotInLocalAws", "local_aws has no MACsec on connections.", 501)
        record["connectionName"] = call.parameters.get("connectionName", record["connectionName"])
        return self._shown_connection(record)

    def DeleteConnection(self, call: Call) -> Record:
        """The connection, `deleted`; refused while it carries virtual interfaces."""
        record = find(self.connections, call.parameters["connectionId"], "Connection")
        if self.interfaces_on(record["connectionId"]):
            raise client_error(
                f"Connection {record['connectionId']} has virtual interfaces: delete them first."
            )
        record["connectionState"] = "deleted"
        return self._shown_connection(record)

    def interfaces_on(self, connection: str) -> list[Record]:
        """The virtual interfaces on a connection."""
        raise NotImplementedError

    def connection_state(self, record: Record) -> str:
        """`requested` at first, `down` when the line is cut."""
        if record["connectionState"] == "available" and time.monotonic() < record["settled_at"]:
            return "requested"
        down = (
            record["connectionState"] == "available"
            and record["connectionId"] in self.ground.broken
        )
        return "down" if down else str(record["connectionState"])

    def _shown_connection(self, record: Record) -> Record:
        shown = {name: value for name, value in record.items() if name != "settled_at"}
        tags = self.tags_of(self.arn("dxcon", record["connectionId"]))
        return {**shown, "connectionState": self.connection_state(record), "tags": tags}

    def arn(self, kind: str, identity: str) -> str:
        """The ARN of a connection (dxcon), virtual interface (dxvif) or gateway (dx-gateway, which
        has no Region).
        """
        region = "" if kind == "dx-gateway" else self.stand_in.region
        return f"arn:aws:directconnect:{region}:{ACCOUNT}:{kind}/{identity}"

    def keep_tags(self, arn: str, request: Record) -> None:
        """Remember the tags of a new thing."""
        self.tags[arn] = {each["key"]: each.get("value", "") for each in request.get("tags") or []}

    def tags_of(self, arn: str) -> list[dict[str, str]]:
        """The tags of a thing as Direct Connect shows them."""
        return [{"key": key, "value": value} for key, value in self.tags.get(arn, {}).items()]

    def TagResource(self, call: Call) -> Record:
        """Adds tags; returns {}; DirectConnectClientException for what is not there."""
        for each in call.parameters["tags"]:
            self._tags(call.parameters["resourceArn"])[each["key"]] = each.get("value", "")
        return {}

    def UntagResource(self, call: Call) -> Record:
        """Removes tags; returns {}."""
        for key in call.parameters["tagKeys"]:
            self._tags(call.parameters["resourceArn"]).pop(key, None)
        return {}

    def DescribeTags(self, call: Call) -> Record:
        """The tags of each ARN asked for."""
        for arn in call.parameters["resourceArns"]:
            self._tags(arn)
        return {
            "resourceTags": [
                {"resourceArn": a, "tags": self.tags_of(a)} for a in call.parameters["resourceArns"]
            ]
        }

    def _tags(self, arn: str) -> dict[str, str]:
        if arn not in self.tags:
            raise client_error(f"Resource {arn} does not exist.")
        return self.tags[arn]


def client_error(why: str) -> ApiError:
    """What Direct Connect answers to a wrong request."""
    return ApiError("DirectConnectClientException", why)


def find(records: dict[str, Record], identity: str, what: str) -> Record:
    """The record of an id; raises DirectConnectClientException."""
    if identity not in records:
        raise client_error(f"{what} with ID {identity} does not exist.")
    return records[identity]


def new_id(kind: str) -> str:
    """`dxvif-` and eight characters, as AWS makes them."""
    return f"{kind}-" + "".join(
        secrets.choice(string.ascii_lowercase + string.digits) for _ in range(8)
    )


def page(call: Call, member: str, records: Iterable[Record]) -> Record:
    """One page of an answer, at most 100 of `maxResults` from nextToken on."""
    found, size = list(records), min(call.parameters.get("maxResults") or 100, 100)
    token = call.parameters.get("nextToken") or "0"
    if not token.isdigit():
        raise client_error("The nextToken is not one that this operation gave.")
    answer: Record = {member: found[int(token) : int(token) + size]}
    if int(token) + size < len(found):
        answer["nextToken"] = str(int(token) + size)
    return answer
