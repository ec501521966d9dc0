"""AWS Direct Connect from the line to the gateways; learned routes appear in the route tables of
EC2's transit gateways.
"""

from __future__ import annotations

import ipaddress
import time
import uuid
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError
from moto.ec2.models import ec2_backends
from moto.ec2.models.transit_gateway_attachments import TransitGatewayAttachment

from local_aws import settings
from local_aws.directconnect.interfaces import AMAZON_ASN, Interfaces
from local_aws.directconnect.lines import Record, client_error, find, page
from local_aws.ec2 import moto_gaps
from local_aws.names import ACCOUNT

if TYPE_CHECKING:
    from local_aws.service import Call
    from local_aws.stand_in import StandIn

KINDS = {"vgw": "virtualPrivateGateway", "tgw": "transitGateway"}


class DirectConnect(Interfaces):
    """Direct Connect; hosted and public interfaces, interconnects, association proposals and
    resiliency groups are refused.
    """

    def __init__(self, stand_in: StandIn) -> None:
        super().__init__(stand_in)
        self.gateways: dict[str, Record] = {}
        self.associations: dict[str, Record] = {}

    def CreateDirectConnectGateway(self, call: Call) -> Record:
        """A gateway, `available` at once as on AWS."""
        return {"directConnectGateway": self.add_gateway(str(uuid.uuid4()), call.parameters)}

    def add_gateway(self, identity: str, request: Record) -> Record:
        """Keep a gateway under an id; `told` is as CreateDirectConnectGateway takes it."""
        self.gateways[identity] = {
            "directConnectGatewayId": identity,
            "directConnectGatewayName": request["directConnectGatewayName"],
            "amazonSideAsn": request.get("amazonSideAsn", AMAZON_ASN),
            "ownerAccount": ACCOUNT,
            "directConnectGatewayState": "available",
        }
        self.keep_tags(self.arn("dx-gateway", identity), request)
        return self._shown_gateway(self.gateways[identity])

    def _shown_gateway(self, record: Record) -> Record:
        return {
            **record,
            "tags": self.tags_of(self.arn("dx-gateway", record["directConnectGatewayId"])),
        }

    def DescribeDirectConnectGateways(self, call: Call) -> Record:
        """The gateway asked for (none when it is absent), or all."""
        asked = call.parameters.get("directConnectGatewayId")
        found = [each for name, each in self.gateways.items() if asked in (None, name)]
        return page(call, "directConnectGateways", [self._shown_gateway(each) for each in found])

    def UpdateDirectConnectGateway(self, call: Call) -> Record:
        """The gateway with another name."""
        record = find(
            self.gateways, call.parameters["directConnectGatewayId"], "Direct Connect Gateway"
        )
        record["directConnectGatewayName"] = call.parameters["newDirectConnectGatewayName"]
        return {"directConnectGateway": self._shown_gateway(record)}

    def DeleteDirectConnectGateway(self, call: Call) -> Record:
        """The gateway, `deleting`; refused while anything is associated or attached."""
        identity = call.parameters["directConnectGatewayId"]
        with self.lock:
            record = find(self.gateways, identity, "Direct Connect Gateway")
            if self._attached(identity) or self._associated(identity):
                raise client_error(
                    f"Direct Connect Gateway {identity} has associations or attachments: remove"
                    " them."
                )
            del self.gateways[identity]
        return {"directConnectGateway": {**record, "directConnectGatewayState": "deleting"}}

    def CreateDirectConnectGatewayAssociation(self, call: Call) -> Record:
        """An association that is `associating`, and soon `associated`."""
        request = call.parameters
        record = find(self.gateways, request["directConnectGatewayId"], "Direct Connect Gateway")
        target = request.get("gatewayId") or request.get("virtualGatewayId") or ""
        prefixes = [
            each["cidr"] for each in request.get("addAllowedPrefixesToDirectConnectGateway") or []
        ]
        with self.lock:
            self._check_target(record, target, prefixes)
            return {
                "directConnectGatewayAssociation": self.shown_association(
                    self.associate(record, target, prefixes)
                )
            }

    def associate(self, gateway: Record, target: str, prefixes: list[str]) -> Record:
        """Keep an association; without prefixes the VPC's own networks are allowed."""
        identity = str(uuid.uuid4())
        self.associations[identity] = {
            "associationId": identity,
            "directConnectGatewayId": gateway["directConnectGatewayId"],
            "target": target,
            "prefixes": prefixes or self._networks_behind(target),
            "settled_at": time.monotonic() + settings.settle_seconds,
        }
        self.routes_changed()
        return self.associations[identity]

    def _check_target(self, gateway: Record, target: str, prefixes: list[str]) -> None:
        kinds = {each["target"][:3] for each in self._associated(gateway["directConnectGatewayId"])}
        if kinds - {target[:3]}:
            raise client_error(
                "A Direct Connect Gateway takes virtual private gateways or transit gateways, not"
                " both."
            )
        if any(each["target"] == target for each in self.associations.values()):
            raise client_error(f"{target} is already associated with a Direct Connect Gateway.")
        for prefix in prefixes:
            _check_network(prefix)
        if target.startswith("tgw") and not prefixes:
            raise client_error("An association with a transit gateway needs allowed prefixes.")
        try:
            self._check_gateway(gateway, target)
        except ClientError as error:
            raise client_error(f"Gateway {target} does not exist.") from error

    def _check_gateway(self, gateway: Record, target: str) -> None:
        ec2 = self.stand_in.client("ec2")
        if target.startswith("tgw"):
            found = ec2.describe_transit_gateways(TransitGatewayIds=[target])["TransitGateways"]
            if found and int(found[0]["Options"]["AmazonSideAsn"]) == gateway["amazonSideAsn"]:
                raise client_error(
                    "The ASN of the transit gateway and of the Direct Connect Gateway must differ."
                )
        else:
            found = ec2.describe_vpn_gateways(VpnGatewayIds=[target])["VpnGateways"]
            if found and not [
                each for each in found[0]["VpcAttachments"] if each["State"] == "attached"
            ]:
                raise client_error(f"Virtual private gateway {target} is not attached to a VPC.")
        if not found:
            raise client_error(f"Gateway {target} does not exist.")

    def _networks_behind(self, target: str) -> list[str]:
        ec2 = self.stand_in.client("ec2")
        attachments = ec2.describe_vpn_gateways(VpnGatewayIds=[target])["VpnGateways"][0][
            "VpcAttachments"
        ]
        found = ec2.describe_vpcs(VpcIds=[attachments[0]["VpcId"]])["Vpcs"]
        return [each["CidrBlock"] for each in found]

    def DescribeDirectConnectGatewayAssociations(self, call: Call) -> Record:
        """The associations of a gateway, of a virtual private or transit gateway, or one by its
        id.
        """
        request = call.parameters
        members = {
            "associationId": "associationId",
            "directConnectGatewayId": "directConnectGatewayId",
            "associatedGatewayId": "target",
            "virtualGatewayId": "target",
        }
        asked = {mine: request[name] for name, mine in members.items() if request.get(name)}
        if not asked:
            raise client_error(
                "Give an associationId, a directConnectGatewayId or an associatedGatewayId."
            )
        found = [
            e
            for e in self.associations.values()
            if all(e[name] == value for name, value in asked.items())
        ]
        return page(
            call,
            "directConnectGatewayAssociations",
            [self.shown_association(each) for each in found],
        )

    def UpdateDirectConnectGatewayAssociation(self, call: Call) -> Record:
        """The association, `updating` for a moment, with other allowed prefixes."""
        request = call.parameters
        with self.lock:
            record = find(self.associations, request["associationId"], "Association")
            added = [
                each["cidr"]
                for each in request.get("addAllowedPrefixesToDirectConnectGateway") or []
            ]
            removed = [
                each["cidr"]
                for each in request.get("removeAllowedPrefixesToDirectConnectGateway") or []
            ]
            for prefix in added:
                _check_network(prefix)
            kept = [each for each in record["prefixes"] if each not in removed]
            record["prefixes"] = kept + [each for each in added if each not in kept]
            record["update_settled_at"] = time.monotonic() + settings.settle_seconds
        return {"directConnectGatewayAssociation": self.shown_association(record)}

    def DeleteDirectConnectGatewayAssociation(self, call: Call) -> Record:
        """The association, `disassociating`; named by its id, or by both gateways."""
        request = call.parameters
        ends = (request.get("directConnectGatewayId"), request.get("virtualGatewayId"))
        identity = request.get("associationId") or next(
            (
                k
                for k, e in self.associations.items()
                if (e["directConnectGatewayId"], e["target"]) == ends
            ),
            "",
        )
        with self.lock:
            record = find(self.associations, identity, "Association")
            del self.associations[identity]
            self.routes_changed()
        answer = {**self.shown_association(record), "associationState": "disassociating"}
        return {"directConnectGatewayAssociation": answer}

    def DescribeDirectConnectGatewayAttachments(self, call: Call) -> Record:
        """The virtual interfaces of a gateway, or the gateway of a virtual interface."""
        request = call.parameters
        gateway, interface = (
            request.get("directConnectGatewayId"),
            request.get("virtualInterfaceId"),
        )
        if not gateway and not interface:
            raise client_error("Give a directConnectGatewayId, a virtualInterfaceId or both.")
        found = [
            each
            for each in self._attached(gateway)
            if interface in (None, each["virtualInterfaceId"])
        ]
        return page(
            call, "directConnectGatewayAttachments", [_shown_attachment(each) for each in found]
        )

    def amazon_asn(self, gateway: str | None) -> int:
        """The gateway's ASN, or the one AWS takes by itself."""
        return (
            int(find(self.gateways, gateway, "Direct Connect Gateway")["amazonSideAsn"])
            if gateway
            else AMAZON_ASN
        )

    def advertised(self, record: Record) -> list[str]:
        """The allowed prefixes of all that is associated with the interface's gateway, while BGP is
        up.
        """
        if not any(self.peer_status(record, each) == "up" for each in record["peers"]):
            return []
        found = self._associated(record["directConnectGatewayId"] or "")
        return [prefix for each in found for prefix in each["prefixes"]]

    def routes_changed(self) -> None:
        """Give transit gateways' default route tables, and VPCs' by propagation, the routes that
        come by BGP now, and no others.
        """
        backend = ec2_backends[ACCOUNT][self.stand_in.region]
        for gateway in backend.transit_gateways.values():
            mine = [each for each in self.associations.values() if each["target"] == gateway.id]
            _drop_attachments(backend, gateway, {each["directConnectGatewayId"] for each in mine})
            routes = gateway.default_route_table.routes
            for cidr in [each for each, route in routes.items() if route["type"] == "propagated"]:
                del routes[cidr]
            for each in mine:
                attachment = _attachment(backend, gateway, each["directConnectGatewayId"])
                routes.update(
                    {
                        cidr: _route(cidr, attachment)
                        for cidr in self._learned(each["directConnectGatewayId"])
                    }
                )
        for gateway in backend.vpn_gateways:
            moto_gaps.learn(backend, gateway, self._learned_by(gateway))

    def _learned_by(self, virtual_gateway: str) -> set[str]:
        """What a virtual private gateway learns, from interfaces of its own and through its
        association.
        """
        own = [e for e in self.interfaces.values() if e.get("virtualGatewayId") == virtual_gateway]
        through = [
            e["directConnectGatewayId"]
            for e in self.associations.values()
            if e["target"] == virtual_gateway
        ]
        return {cidr for each in own for cidr in self.accepted(each)}.union(
            *map(self._learned, through)
        )

    def _learned(self, gateway: str) -> set[str]:
        return {cidr for each in self._attached(gateway) for cidr in self.accepted(each)}

    def _attached(self, gateway: str | None) -> list[Record]:
        return [
            each
            for each in self.interfaces.values()
            if each["directConnectGatewayId"]
            and gateway in (None, each["directConnectGatewayId"])
            and each["virtualInterfaceState"] != "deleted"
        ]

    def _associated(self, gateway: str) -> list[Record]:
        return [
            each for each in self.associations.values() if each["directConnectGatewayId"] == gateway
        ]

    def shown_association(self, record: Record) -> Record:
        """An association as Direct Connect describes it."""
        now, kind = time.monotonic(), KINDS.get(record["target"][:3], "")
        state = "updating" if now < record.get("update_settled_at", 0) else "associated"
        state = "associating" if now < record["settled_at"] else state
        target = {
            "id": record["target"],
            "type": kind,
            "ownerAccount": ACCOUNT,
            "region": self.stand_in.region,
        }
        return {
            "associationId": record["associationId"],
            "directConnectGatewayId": record["directConnectGatewayId"],
            "directConnectGatewayOwnerAccount": ACCOUNT,
            "associationState": state,
            "associatedGateway": target,
            "allowedPrefixesToDirectConnectGateway": [
                {"cidr": each} for each in record["prefixes"]
            ],
            **({"virtualGatewayId": record["target"]} if kind == "virtualPrivateGateway" else {}),
        }


def _shown_attachment(interface: Record) -> Record:
    kind = (
        "TransitVirtualInterface"
        if interface["virtualInterfaceType"] == "transit"
        else "PrivateVirtualInterface"
    )
    return {
        "directConnectGatewayId": interface["directConnectGatewayId"],
        "virtualInterfaceId": interface["virtualInterfaceId"],
        "virtualInterfaceRegion": interface["region"],
        "virtualInterfaceOwnerAccount": ACCOUNT,
        "attachmentState": "attached",
        "attachmentType": kind,
    }


def _attachment(backend: Any, gateway: Any, direct_connect_gateway: str) -> Any:
    """The transit gateway's attachment of a Direct Connect gateway, which AWS makes by itself."""
    attachments = backend.transit_gateway_attachments
    for each in attachments.values():
        if (each.transit_gateway_id, each.resource_id) == (gateway.id, direct_connect_gateway):
            return each
    made = TransitGatewayAttachment(
        backend, direct_connect_gateway, "direct-connect-gateway", gateway
    )
    attachments[made.id] = made
    return made


def _drop_attachments(backend: Any, gateway: Any, kept: set[str]) -> None:
    for identity, each in list(backend.transit_gateway_attachments.items()):
        mine = (
            each.transit_gateway_id == gateway.id and each.resource_type == "direct-connect-gateway"
        )
        if mine and each.resource_id not in kept:
            del backend.transit_gateway_attachments[identity]


def _route(cidr: str, attachment: Any) -> dict[str, Any]:
    """A learned route as moto keeps routes of transit gateways."""
    through = {
        "resourceId": attachment.resource_id,
        "resourceType": attachment.resource_type,
        "transitGatewayAttachmentId": attachment.id,
    }
    state = {"state": "active", "type": "propagated", "prefixListId": None}
    return {"destinationCidrBlock": cidr, **state, "transitGatewayAttachments": through}


def _check_network(cidr: str) -> None:
    try:
        ipaddress.ip_network(cidr)
    except ValueError as error:
        raise client_error(f"{cidr} is not a network.") from error
