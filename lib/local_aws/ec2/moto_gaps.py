"""What moto's EC2 leaves out of routes and endpoints, put into moto itself, so that its own answers
show it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from moto.core.responses import ActionResult, EmptyResult
from moto.ec2.exceptions import EC2ClientError
from moto.ec2.models.route_tables import Route, RouteTable
from moto.ec2.responses import EC2Response
from moto.ec2.responses.vpcs import VPCs

if TYPE_CHECKING:
    from collections.abc import Callable


class LearnedRoute(Route):  # type: ignore[misc]
    """A route that a virtual private gateway learned by BGP."""

    @property
    def origin(self) -> str:
        """As DescribeRouteTables names it."""
        return "EnableVgwRoutePropagation"


def fill(routes_changed: Callable[[], None]) -> None:
    """Teach moto route propagation and the settings of endpoints that it forgets; `routes_changed`
    spreads learned routes.
    """
    RouteTable.propagating_vgws = property(
        lambda table: [{"GatewayId": each} for each in propagating(table)]
    )
    EC2Response.enable_vgw_route_propagation = lambda self: _propagate(
        self, routes_changed, on=True
    )
    EC2Response.disable_vgw_route_propagation = lambda self: _propagate(
        self, routes_changed, on=False
    )
    VPCs.modify_vpc_endpoint = _remembering(
        getattr(VPCs.modify_vpc_endpoint, "moto", VPCs.modify_vpc_endpoint)
    )
    VPCs.delete_vpc_endpoints = _forgetting(
        getattr(VPCs.delete_vpc_endpoints, "moto", VPCs.delete_vpc_endpoints)
    )


def propagating(table: Any) -> list[str]:
    """The virtual private gateways whose routes a table takes, kept on moto's table."""
    gateways: list[str] = table.__dict__.setdefault("gateways_propagating", [])
    return gateways


def learn(backend: Any, gateway_id: str, cidrs: set[str]) -> None:
    """Make a virtual private gateway's learned routes exactly these, in the tables that take them;
    a static route wins.
    """
    for table in backend.route_tables.values():
        mine = [
            k
            for k, e in table._routes.items()  # noqa: SLF001
            if isinstance(e, LearnedRoute) and e.gateway.id == gateway_id
        ]
        for key in mine:
            del table._routes[key]  # noqa: SLF001
        static = {each.destination_cidr_block for each in table.routes}
        for cidr in cidrs - static if gateway_id in propagating(table) else ():
            route = LearnedRoute(table, cidr, None, gateway=backend.get_vpn_gateway(gateway_id))
            table._routes[route.id] = route  # noqa: SLF001


def _propagate(response: Any, routes_changed: Callable[[], None], *, on: bool) -> Any:
    backend = response.ec2_backend
    table, gateway_id = (
        backend.get_route_table(response._get_param("RouteTableId")),  # noqa: SLF001
        response._get_param("GatewayId"),  # noqa: SLF001
    )
    gateway = backend.get_vpn_gateway(gateway_id)
    attached = any(vpc == table.vpc_id for vpc in gateway.attachments)
    if on and not attached:
        text = (
            f"route table {table.id} and network gateway {gateway_id} belong to different networks"
        )
        raise EC2ClientError("Gateway.NotAttached", text)
    gateways = propagating(table)
    if on and gateway_id not in gateways:
        gateways.append(gateway_id)
    elif not on and gateway_id in gateways:
        gateways.remove(gateway_id)
        learn(backend, gateway_id, set())
    routes_changed()
    return EmptyResult()


def _remembering(moto: Callable[[Any], ActionResult]) -> Callable[[Any], ActionResult]:
    """ModifyVpcEndpoint that keeps private DNS, too."""

    def modify_vpc_endpoint(self: Any) -> ActionResult:
        answer = moto(self)
        endpoint = self.ec2_backend.vpc_end_points[self._get_param("VpcEndpointId")]
        if (value := self._get_param("PrivateDnsEnabled")) is not None:
            endpoint.private_dns_enabled = str(value).lower() == "true"
        return answer

    modify_vpc_endpoint.moto = moto  # type: ignore[attr-defined]
    return modify_vpc_endpoint


def _forgetting(moto: Callable[[Any], ActionResult]) -> Callable[[Any], ActionResult]:
    """DeleteVpcEndpoints after which they are gone, as they are on AWS within a minute."""

    def delete_vpc_endpoints(self: Any) -> ActionResult:
        answer, kept = moto(self), self.ec2_backend.vpc_end_points
        for identity in [each for each, endpoint in kept.items() if endpoint.state == "deleted"]:
            del kept[identity]
        return answer

    delete_vpc_endpoints.moto = moto  # type: ignore[attr-defined]
    return delete_vpc_endpoints
