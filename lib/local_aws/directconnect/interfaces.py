"""Virtual interfaces of Direct Connect: BGP peers, routes that come and go with them, and failover
tests.
"""

from __future__ import annotations

import datetime
import ipaddress
import threading
import time
import uuid
from typing import TYPE_CHECKING, Any

from local_aws import settings
from local_aws.directconnect.lines import DEVICE, Lines, Record, client_error, find, new_id, page
from local_aws.names import ACCOUNT

if TYPE_CHECKING:
    from local_aws.service import Call
    from local_aws.stand_in import StandIn

MTUS = (1500, 8500)
LONGEST_TEST_MINUTES = 4320
LARGEST_SHORT_ASN = 2147483647
AMAZON_ASN = 64512


class Interfaces(Lines):
    """Private and transit virtual interfaces, all of a Direct Connect gateway or a virtual private
    gateway.
    """

    def __init__(self, stand_in: StandIn) -> None:
        super().__init__(stand_in)
        self.interfaces: dict[str, Record] = {}
        self.tests: list[Record] = []
        self.timer: threading.Timer | None = None

    def CreatePrivateVirtualInterface(self, call: Call) -> Record:
        """A private virtual interface, `pending` and then `down` until a router answers at its
        other end.
        """
        request = call.parameters["newPrivateVirtualInterface"]
        if bool(request.get("virtualGatewayId")) == bool(request.get("directConnectGatewayId")):
            raise client_error("Give either a virtualGatewayId or a directConnectGatewayId.")
        return self.shown(
            self.add_interface(new_id("dxvif"), call.parameters["connectionId"], "private", request)
        )

    def CreateTransitVirtualInterface(self, call: Call) -> Record:
        """The same for a Direct Connect gateway that leads to transit gateways."""
        request = call.parameters["newTransitVirtualInterface"]
        identity = new_id("dxvif")
        return {
            "virtualInterface": self.shown(
                self.add_interface(identity, call.parameters["connectionId"], "transit", request)
            )
        }

    def add_interface(self, identity: str, connection: str, kind: str, request: Record) -> Record:
        """Keep a virtual interface under an id; `told` is as the Create operations take it."""
        with self.lock:
            line = find(self.connections, connection, "Connection")
            if self.connection_state(line) in ("deleted", "rejected"):
                raise client_error(f"Connection {connection} is {line['connectionState']}.")
            self._check(connection, request)
            record: Record = {
                **{
                    name: request[name]
                    for name in ("virtualInterfaceName", "vlan", "virtualGatewayId")
                    if name in request
                },
                "ownerAccount": ACCOUNT,
                "virtualInterfaceId": identity,
                "location": line["location"],
                "connectionId": connection,
                "virtualInterfaceType": kind,
                "amazonSideAsn": self.amazon_asn(request.get("directConnectGatewayId")),
                "directConnectGatewayId": request.get("directConnectGatewayId"),
                "virtualInterfaceState": "available",
                "mtu": request.get("mtu", 1500),
                "jumboFrameCapable": True,
                "region": self.stand_in.region,
                "siteLinkEnabled": request.get("enableSiteLink", False),
                **{name: DEVICE[name] for name in ("awsDeviceV2", "awsLogicalDeviceId")},
                "settled_at": time.monotonic() + settings.settle_seconds,
            }
            record["peers"] = [_peer(request)]
            self.interfaces[identity] = record
            self.keep_tags(self.arn("dxvif", identity), request)
            self.routes_changed()
        return record

    def _check(self, connection: str, request: Record) -> None:
        if not 1 <= request.get("vlan", 0) <= 4094:
            raise client_error("The VLAN must be between 1 and 4094.")
        if any(each["vlan"] == request["vlan"] for each in self.interfaces_on(connection)):
            raise client_error(
                f"VLAN {request['vlan']} is already in use on connection {connection}."
            )
        if request.get("mtu", 1500) not in MTUS:
            raise client_error(f"The MTU must be one of {', '.join(map(str, MTUS))}.")

    def amazon_asn(self, gateway: str | None) -> int:
        """Amazon's side of the session; raises DirectConnectClientException where the gateway is
        absent.
        """
        raise NotImplementedError

    def interfaces_on(self, connection: str) -> list[Record]:
        """The virtual interfaces on a connection, without those deleted."""
        return [
            each
            for each in self.interfaces.values()
            if each["connectionId"] == connection and each["virtualInterfaceState"] != "deleted"
        ]

    def DescribeVirtualInterfaces(self, call: Call) -> Record:
        """One virtual interface, those on a connection, or all."""
        request, found = call.parameters, list(self.interfaces.values())
        if identity := request.get("virtualInterfaceId"):
            found = [find(self.interfaces, identity, "Virtual interface")]
        if connection := request.get("connectionId"):
            find(self.connections, connection, "Connection")
            found = [each for each in found if each["connectionId"] == connection]
        return page(call, "virtualInterfaces", [self.shown(each) for each in found])

    def UpdateVirtualInterfaceAttributes(self, call: Call) -> Record:
        """The virtual interface with another name, MTU or SiteLink."""
        request = call.parameters
        record = find(self.interfaces, request["virtualInterfaceId"], "Virtual interface")
        if request.get("mtu", 1500) not in MTUS:
            raise client_error(f"The MTU must be one of {', '.join(map(str, MTUS))}.")
        record.update(
            {name: request[name] for name in ("mtu", "virtualInterfaceName") if name in request}
        )
        record["siteLinkEnabled"] = request.get("enableSiteLink", record["siteLinkEnabled"])
        return self.shown(record)

    def DeleteVirtualInterface(self, call: Call) -> Record:
        """`deleting`; it is described as `deleted` for a while."""
        with self.lock:
            record = find(
                self.interfaces, call.parameters["virtualInterfaceId"], "Virtual interface"
            )
            record["virtualInterfaceState"] = "deleted"
            self.routes_changed()
        return {"virtualInterfaceState": "deleting"}

    def CreateBGPPeer(self, call: Call) -> Record:
        """The virtual interface with one more peer, of another address family."""
        record = find(self.interfaces, call.parameters["virtualInterfaceId"], "Virtual interface")
        peer = _peer(call.parameters["newBGPPeer"])
        if any(each["addressFamily"] == peer["addressFamily"] for each in record["peers"]):
            raise client_error(
                f"Virtual interface {record['virtualInterfaceId']} has a BGP peer of"
                f" {peer['addressFamily']}."
            )
        record["peers"].append(peer)
        return {"virtualInterface": self.shown(record)}

    def DeleteBGPPeer(self, call: Call) -> Record:
        """The virtual interface without a peer, named by id or by ASN and customer address; the
        last one stays.
        """
        request = call.parameters
        record = find(self.interfaces, request["virtualInterfaceId"], "Virtual interface")
        members = [
            name for name in ("bgpPeerId", "asn", "asnLong", "customerAddress") if name in request
        ]
        found = [
            each
            for each in record["peers"]
            if members and all(each.get(name) == request[name] for name in members)
        ]
        if not found or len(record["peers"]) == 1:
            raise client_error(
                "There is no such BGP peer."
                if not found
                else "The last BGP peer cannot be deleted."
            )
        record["peers"].remove(found[0])
        return {"virtualInterface": self.shown(record)}

    def ListVirtualInterfaceRoutes(self, call: Call) -> Record:
        """What the customer's network announces (accepted) and what AWS announces to it
        (advertised), while BGP is up.
        """
        request = call.parameters
        record, filters = (
            find(self.interfaces, request["virtualInterfaceId"], "Virtual interface"),
            request.get("filters") or {},
        )
        routes = [
            _route(record, each, "accepted", record["peers"][0]["asnLong"])
            for each in self.accepted(record)
        ]
        routes += [
            _route(record, each, "advertised", record["amazonSideAsn"])
            for each in self.advertised(record)
        ]
        for name, member in (
            ("routeDirection", "routeDirection"),
            ("addressFamily", "addressFamily"),
        ):
            routes = [each for each in routes if filters.get(name) in (None, each[member])]
        routes = [
            each for each in routes if each["cidr"] in (filters.get("cidrs") or [each["cidr"]])
        ]
        return {"virtualInterfaceId": record["virtualInterfaceId"], **page(call, "routes", routes)}

    def accepted(self, record: Record) -> list[str]:
        """The networks the customer's router announces; none while no session is up."""
        up = any(self.peer_status(record, each) == "up" for each in record["peers"])
        return self.ground.routers.get(record["virtualInterfaceId"], []) if up else []

    def advertised(self, record: Record) -> list[str]:
        """The networks that AWS announces to the customer."""
        raise NotImplementedError

    def routes_changed(self) -> None:
        """Tell who learns routes from here."""
        raise NotImplementedError

    def StartBgpFailoverTest(self, call: Call) -> Record:
        """A test that keeps peers down for some minutes."""
        request = call.parameters
        with self.lock:
            record = find(self.interfaces, request["virtualInterfaceId"], "Virtual interface")
            if self.interface_state(record) != "available":
                raise client_error(
                    f"Virtual interface {record['virtualInterfaceId']} is not available."
                )
            minutes = request.get("testDurationInMinutes", 180)
            if not 1 <= minutes <= LONGEST_TEST_MINUTES:
                raise client_error(
                    f"testDurationInMinutes must be between 1 and {LONGEST_TEST_MINUTES}."
                )
            peers = request.get("bgpPeers") or [each["bgpPeerId"] for each in record["peers"]]
            if unknown := set(peers) - {each["bgpPeerId"] for each in record["peers"]}:
                raise client_error(f"There is no BGP peer {', '.join(sorted(unknown))}.")
            now = datetime.datetime.now(datetime.UTC)
            test = {
                "testId": str(uuid.uuid4()),
                "virtualInterfaceId": record["virtualInterfaceId"],
                "bgpPeers": peers,
            }
            test |= {"ownerAccount": ACCOUNT, "testDurationInMinutes": minutes, "startTime": now}
            self.tests.append({**test, "endTime": now + datetime.timedelta(minutes=minutes)})
            self.routes_changed()
            self._routes_return(60 * minutes)
        return {"virtualInterfaceTest": _shown_test(self.tests[-1])}

    def _routes_return(self, seconds: float) -> None:
        """Spread the routes again when a test has ended by itself."""
        self.timer = threading.Timer(seconds + 1, self.routes_changed)
        self.timer.daemon = True
        self.timer.start()

    def stop(self) -> None:
        """Cancel the end of a failover test that is still to come."""
        if self.timer:
            self.timer.cancel()

    def StopBgpFailoverTest(self, call: Call) -> Record:
        """The test, ended."""
        with self.lock:
            running = self._test_of(
                find(self.interfaces, call.parameters["virtualInterfaceId"], "Virtual interface")
            )
            if not running:
                raise client_error(
                    f"No test runs on virtual interface {call.parameters['virtualInterfaceId']}."
                )
            running |= {"endTime": datetime.datetime.now(datetime.UTC), "stopped": True}
            self.routes_changed()
        return {"virtualInterfaceTest": _shown_test(running)}

    def ListVirtualInterfaceTestHistory(self, call: Call) -> Record:
        """The tests, running and past, that fulfil what is asked."""
        wanted = {
            name: value
            for name, value in call.parameters.items()
            if name in ("testId", "virtualInterfaceId", "bgpPeers", "status")
        }
        shown = [_shown_test(each) for each in self.tests]
        found = [
            each for each in shown if all(each[name] == value for name, value in wanted.items())
        ]
        return page(call, "virtualInterfaceTestHistory", found)

    def _test_of(self, record: Record) -> Record | None:
        now = datetime.datetime.now(datetime.UTC)
        mine = (
            each
            for each in self.tests
            if each["virtualInterfaceId"] == record["virtualInterfaceId"]
        )
        return next((each for each in mine if each["endTime"] > now), None)

    def peer_status(self, record: Record, peer: Record) -> str:
        """`up` when the line is, a router is at its end, and no test keeps the peer down."""
        test = self._test_of(record)
        up = (
            self.connection_state(self.connections[record["connectionId"]]) == "available"
            and record["virtualInterfaceState"] == "available"
            and record["virtualInterfaceId"] in self.ground.routers
            and peer["bgpPeerId"] not in self.ground.broken
            and not (test and peer["bgpPeerId"] in test["bgpPeers"])
        )
        return "up" if up else "down"

    def interface_state(self, record: Record) -> str:
        """`pending` at first, `testing` during a test, `down` when no peer is up."""
        if record["virtualInterfaceState"] != "available":
            return str(record["virtualInterfaceState"])
        if time.monotonic() < record["settled_at"]:
            return "pending"
        if self._test_of(record):
            return "testing"
        return (
            "available"
            if any(self.peer_status(record, each) == "up" for each in record["peers"])
            else "down"
        )

    def shown(self, record: Record) -> Record:
        """A virtual interface as Direct Connect describes it."""
        first = {
            name: value
            for name, value in record["peers"][0].items()
            if name not in ("bgpPeerId", "bgpPeerState")
        }
        peers = [{**each, "bgpStatus": self.peer_status(record, each)} for each in record["peers"]]
        return {
            **first,
            **{
                name: value for name, value in record.items() if name not in ("settled_at", "peers")
            },
            "virtualInterfaceState": self.interface_state(record),
            "bgpPeers": peers,
            "tags": self.tags_of(self.arn("dxvif", record["virtualInterfaceId"])),
        }


def _peer(request: Record) -> Record:
    """A BGP peer; addresses that are not given are taken from AWS's 169.254.0.0/16."""
    asn = request.get("asnLong") or request.get("asn")
    if not asn or not 1 <= asn <= 4294967294:
        raise client_error("An ASN between 1 and 4294967294 is required.")
    peer = {
        "bgpPeerId": new_id("dxpeer"),
        "asn": asn if asn < LARGEST_SHORT_ASN else 0,
        "asnLong": asn,
        "authKey": request.get("authKey") or uuid.uuid4().hex[:24],
        "addressFamily": request.get("addressFamily", "ipv4"),
        "amazonAddress": request.get("amazonAddress", "169.254.255.1/30"),
        "customerAddress": request.get("customerAddress", "169.254.255.2/30"),
        "bgpPeerState": "available",
    }
    for name in ("amazonAddress", "customerAddress"):
        try:
            ipaddress.ip_interface(peer[name])
        except ValueError as error:
            raise client_error(
                f"{name} {peer[name]} is not an address with a prefix length."
            ) from error
    return peer


def _route(record: Record, cidr: str, direction: str, asn: int) -> dict[str, Any]:
    return {
        "cidr": cidr,
        "routeDirection": direction,
        "addressFamily": "ipv4" if ipaddress.ip_network(cidr).version == 4 else "ipv6",
        "asPath": [{"pathType": "seq", "path": [asn]}],
        "communities": [],
        "awsLogicalDeviceId": record["awsLogicalDeviceId"],
    }


def _shown_test(test: Record) -> Record:
    """`status` is free text in the model; these are the words of the user guide's console."""
    ended = test["endTime"] <= datetime.datetime.now(datetime.UTC)
    status = "STOPPED" if test.get("stopped") else "COMPLETED" if ended else "IN PROGRESS"
    return {**{name: value for name, value in test.items() if name != "stopped"}, "status": status}
