"""Direct Connect of the stand-in: from the line to the routes that arrive in a transit gateway, in
AWS's own states.
"""

import pytest
from botocore.exceptions import ClientError
from moto.ec2.models import ec2_backends
from until import until

from local_aws.ec2 import moto_gaps

CONNECTION, INTERFACE, TRANSIT_GATEWAY = "dxcon-acme0001", "dxvif-acme0001", "tgw-0ace0000000000001"


@pytest.fixture
def direct_connect(aws):
    return aws("directconnect")


@pytest.fixture
def gateway(direct_connect):
    """A Direct Connect gateway of this test."""
    made = direct_connect.create_direct_connect_gateway(
        directConnectGatewayName="test", amazonSideAsn=64600
    )
    identity = made["directConnectGateway"]["directConnectGatewayId"]
    yield identity
    asked = {"directConnectGatewayId": identity}
    for each in direct_connect.describe_direct_connect_gateway_associations(**asked)[
        "directConnectGatewayAssociations"
    ]:
        direct_connect.delete_direct_connect_gateway_association(
            associationId=each["associationId"]
        )


def refused(call, **arguments):
    with pytest.raises(ClientError) as error:
        call(**arguments)
    answer = error.value.response["Error"]
    assert answer["Code"] == "DirectConnectClientException"
    return answer["Message"]


def settled(read, member, unsettled):
    return until(lambda: read()[member], lambda state: state != unsettled)


def interface(direct_connect, identity):
    return direct_connect.describe_virtual_interfaces(virtualInterfaceId=identity)[
        "virtualInterfaces"
    ][0]


def learned(aws):
    ec2 = aws("ec2")
    gateway = ec2.describe_transit_gateways(TransitGatewayIds=[TRANSIT_GATEWAY])["TransitGateways"][
        0
    ]
    table = gateway["Options"]["AssociationDefaultRouteTableId"]
    active = [{"Name": "state", "Values": ["active"]}]
    routes = ec2.search_transit_gateway_routes(TransitGatewayRouteTableId=table, Filters=active)[
        "Routes"
    ]
    return [each["DestinationCidrBlock"] for each in routes if each["Type"] == "propagated"]


def test_the_landing_zone_is_handed_over_with_everything_up(direct_connect, aws):
    line = direct_connect.describe_connections(connectionId=CONNECTION)["connections"][0]
    there = interface(direct_connect, INTERFACE)
    assert (line["connectionState"], there["virtualInterfaceState"]) == ("available", "available")
    assert [each["bgpStatus"] for each in there["bgpPeers"]] == ["up"]
    accepted = direct_connect.list_virtual_interface_routes(
        virtualInterfaceId=INTERFACE, filters={"routeDirection": "accepted"}
    )["routes"]
    assert [each["cidr"] for each in accepted] == learned(aws) == ["10.20.0.0/16"]


@pytest.mark.usefixtures("slow_to_settle")
def test_a_connection_is_requested_before_it_is_available(direct_connect):
    made = direct_connect.create_connection(
        location="EqDB1", bandwidth="1Gbps", connectionName="second"
    )
    assert made["connectionState"] == "requested"
    read = lambda: direct_connect.describe_connections(connectionId=made["connectionId"])[  # noqa: E731
        "connections"
    ][0]
    assert settled(read, "connectionState", "requested") == "available"
    deleted = direct_connect.delete_connection(connectionId=made["connectionId"])
    assert deleted["connectionState"] == "deleted"


@pytest.mark.usefixtures("slow_to_settle")
def test_a_virtual_interface_without_a_router_at_its_other_end_stays_down(direct_connect, gateway):
    told = {
        "virtualInterfaceName": "x",
        "vlan": 300,
        "asnLong": 4200000000,
        "directConnectGatewayId": gateway,
    }
    made = direct_connect.create_transit_virtual_interface(
        connectionId=CONNECTION, newTransitVirtualInterface=told
    )
    identity = made["virtualInterface"]["virtualInterfaceId"]
    assert made["virtualInterface"]["virtualInterfaceState"] == "pending"
    assert (
        settled(lambda: interface(direct_connect, identity), "virtualInterfaceState", "pending")
        == "down"
    )
    found = interface(direct_connect, identity)
    assert (found["asn"], found["asnLong"]) == (0, 4200000000)
    asked = {"virtualInterfaceId": identity}
    attached = direct_connect.describe_direct_connect_gateway_attachments(**asked)[
        "directConnectGatewayAttachments"
    ]
    assert [each["directConnectGatewayId"] for each in attached] == [gateway]
    assert "associations or attachments" in refused(
        direct_connect.delete_direct_connect_gateway, directConnectGatewayId=gateway
    )
    assert direct_connect.delete_virtual_interface(**asked)["virtualInterfaceState"] == "deleting"
    assert interface(direct_connect, identity)["virtualInterfaceState"] == "deleted"


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"vlan": 101}, "VLAN 101 is already in use"),
        ({"vlan": 5000}, "between 1 and 4094"),
        ({"mtu": 9001}, "MTU"),
        ({"asnLong": 0}, "ASN"),
        ({"directConnectGatewayId": "none"}, "does not exist"),
    ],
)
def test_a_virtual_interface_with_a_wrong_setting_is_refused(direct_connect, gateway, wrong, words):
    told = {
        "virtualInterfaceName": "x",
        "vlan": 301,
        "asnLong": 65001,
        "directConnectGatewayId": gateway,
        **wrong,
    }
    call = direct_connect.create_transit_virtual_interface
    assert words in refused(call, connectionId=CONNECTION, newTransitVirtualInterface=told)


def test_what_is_absent_is_named(direct_connect):
    assert "dxcon-nowhere1" in refused(
        direct_connect.describe_connections, connectionId="dxcon-nowhere1"
    )
    assert "dxvif-nowhere1" in refused(
        direct_connect.describe_virtual_interfaces, virtualInterfaceId="dxvif-nowhere1"
    )


def test_a_failover_test_takes_the_routes_away_and_stopping_it_brings_them_back(
    direct_connect, aws
):
    started = direct_connect.start_bgp_failover_test(
        virtualInterfaceId=INTERFACE, testDurationInMinutes=1
    )
    try:
        there = interface(direct_connect, INTERFACE)
        assert there["virtualInterfaceState"] == "testing"
        assert [each["bgpStatus"] for each in there["bgpPeers"]] == ["down"]
        assert learned(aws) == []
    finally:
        direct_connect.stop_bgp_failover_test(virtualInterfaceId=INTERFACE)
    history = direct_connect.list_virtual_interface_test_history(virtualInterfaceId=INTERFACE)
    test = next(
        each
        for each in history["virtualInterfaceTestHistory"]
        if each["testId"] == started["virtualInterfaceTest"]["testId"]
    )
    assert test["status"] == "STOPPED"
    assert interface(direct_connect, INTERFACE)["virtualInterfaceState"] == "available"
    assert learned(aws) == ["10.20.0.0/16"]


def test_a_second_bgp_peer_is_of_another_family_and_the_last_one_stays(direct_connect):
    family = {
        "asnLong": 65010,
        "addressFamily": "ipv6",
        "amazonAddress": "fd00::1/126",
        "customerAddress": "fd00::2/126",
    }
    made = direct_connect.create_bgp_peer(virtualInterfaceId=INTERFACE, newBGPPeer=family)[
        "virtualInterface"
    ]
    assert [each["addressFamily"] for each in made["bgpPeers"]] == ["ipv4", "ipv6"]
    assert "ipv6" in refused(
        direct_connect.create_bgp_peer, virtualInterfaceId=INTERFACE, newBGPPeer=family
    )
    second = made["bgpPeers"][1]["bgpPeerId"]
    left = direct_connect.delete_bgp_peer(virtualInterfaceId=INTERFACE, bgpPeerId=second)[
        "virtualInterface"
    ]["bgpPeers"]
    assert "last BGP peer" in refused(
        direct_connect.delete_bgp_peer, virtualInterfaceId=INTERFACE, bgpPeerId=left[0]["bgpPeerId"]
    )


def test_a_transit_gateway_is_associated_once_with_allowed_prefixes_and_an_asn_of_its_own(
    direct_connect, gateway, aws
):
    call = direct_connect.create_direct_connect_gateway_association
    prefixes = [{"cidr": "10.70.0.0/16"}]
    assert "already associated" in refused(
        call,
        directConnectGatewayId=gateway,
        gatewayId=TRANSIT_GATEWAY,
        addAllowedPrefixesToDirectConnectGateway=prefixes,
    )
    made = aws("ec2").create_transit_gateway(Options={"AmazonSideAsn": 64600})["TransitGateway"][
        "TransitGatewayId"
    ]
    assert "allowed prefixes" in refused(call, directConnectGatewayId=gateway, gatewayId=made)
    same = {
        "directConnectGatewayId": gateway,
        "gatewayId": made,
        "addAllowedPrefixesToDirectConnectGateway": prefixes,
    }
    assert "ASN" in refused(call, **same)


@pytest.mark.usefixtures("slow_to_settle")
def test_a_virtual_private_gateway_is_associated_when_it_is_attached_and_announces_its_vpc(
    direct_connect, gateway, aws
):
    ec2 = aws("ec2")
    made = ec2.create_vpn_gateway(Type="ipsec.1")["VpnGateway"]["VpnGatewayId"]
    ends = {"directConnectGatewayId": gateway, "gatewayId": made}
    assert "not attached" in refused(
        direct_connect.create_direct_connect_gateway_association, **ends
    )
    vpc = ec2.create_vpc(CidrBlock="10.71.0.0/16")["Vpc"]["VpcId"]
    ec2.attach_vpn_gateway(VpcId=vpc, VpnGatewayId=made)
    found = lambda: ec2.describe_vpn_gateways(VpnGatewayIds=[made])["VpnGateways"][0]  # noqa: E731
    settled(lambda: found()["VpcAttachments"][0], "State", "attaching")
    association = direct_connect.create_direct_connect_gateway_association(**ends)[
        "directConnectGatewayAssociation"
    ]
    assert association["associationState"] == "associating"
    asked = {"associationId": association["associationId"]}
    read = lambda: direct_connect.describe_direct_connect_gateway_associations(**asked)[  # noqa: E731
        "directConnectGatewayAssociations"
    ][0]
    assert settled(read, "associationState", "associating") == "associated"
    assert read()["allowedPrefixesToDirectConnectGateway"] == [{"cidr": "10.71.0.0/16"}]
    direct_connect.update_direct_connect_gateway_association(
        **asked, addAllowedPrefixesToDirectConnectGateway=[{"cidr": "10.0.0.0/8"}]
    )
    assert settled(read, "associationState", "updating") == "associated"
    assert {"cidr": "10.0.0.0/8"} in read()["allowedPrefixesToDirectConnectGateway"]
    gone = direct_connect.delete_direct_connect_gateway_association(**asked)[
        "directConnectGatewayAssociation"
    ]
    assert gone["associationState"] == "disassociating"


def test_a_route_table_takes_the_routes_its_virtual_private_gateway_learns(direct_connect, aws):
    ec2 = aws("ec2")
    made = ec2.create_vpn_gateway(Type="ipsec.1")["VpnGateway"]["VpnGatewayId"]
    vpc = ec2.create_vpc(CidrBlock="10.72.0.0/16")["Vpc"]["VpcId"]
    table = ec2.create_route_table(VpcId=vpc)["RouteTable"]["RouteTableId"]
    with pytest.raises(ClientError) as error:
        ec2.enable_vgw_route_propagation(RouteTableId=table, GatewayId=made)
    assert error.value.response["Error"]["Code"] == "Gateway.NotAttached"
    ec2.attach_vpn_gateway(VpcId=vpc, VpnGatewayId=made)
    ec2.enable_vgw_route_propagation(RouteTableId=table, GatewayId=made)
    seen = lambda: ec2.describe_route_tables(RouteTableIds=[table])["RouteTables"][0]  # noqa: E731
    assert seen()["PropagatingVgws"] == [{"GatewayId": made}]
    moto_gaps.learn(
        ec2_backends["123456789012"]["eu-west-1"], made, {"10.20.0.0/16"}
    )  # no router here announces anything
    routes = {
        each["DestinationCidrBlock"]: (each["Origin"], each["State"], each["GatewayId"])
        for each in seen()["Routes"]
    }
    assert routes["10.20.0.0/16"] == ("EnableVgwRoutePropagation", "active", made)
    ec2.disable_vgw_route_propagation(RouteTableId=table, GatewayId=made)
    assert seen()["PropagatingVgws"] == []
    assert [each["DestinationCidrBlock"] for each in seen()["Routes"]] == ["10.72.0.0/16"]


def test_the_private_dns_of_an_endpoint_can_be_turned_off_and_a_deleted_endpoint_is_gone(aws):
    ec2 = aws("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.73.0.0/16")["Vpc"]["VpcId"]
    ec2.modify_vpc_attribute(VpcId=vpc, EnableDnsHostnames={"Value": True})
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.73.0.0/24")["Subnet"]["SubnetId"]
    made = {
        "VpcId": vpc,
        "ServiceName": "com.amazonaws.eu-west-1.kms",
        "VpcEndpointType": "Interface",
    }
    asked = {
        "VpcEndpointIds": [
            ec2.create_vpc_endpoint(**made, SubnetIds=[subnet], PrivateDnsEnabled=True)[
                "VpcEndpoint"
            ]["VpcEndpointId"]
        ]
    }
    ec2.modify_vpc_endpoint(VpcEndpointId=asked["VpcEndpointIds"][0], PrivateDnsEnabled=False)
    assert ec2.describe_vpc_endpoints(**asked)["VpcEndpoints"][0]["PrivateDnsEnabled"] is False
    ec2.delete_vpc_endpoints(**asked)
    inside = [{"Name": "vpc-id", "Values": [vpc]}]
    assert ec2.describe_vpc_endpoints(Filters=inside)["VpcEndpoints"] == []


def test_tags_come_back_and_go(direct_connect):
    arn = f"arn:aws:directconnect:eu-west-1:123456789012:dxcon/{CONNECTION}"
    direct_connect.tag_resource(resourceArn=arn, tags=[{"key": "owner", "value": "network"}])
    line = direct_connect.describe_connections(connectionId=CONNECTION)["connections"][0]
    assert line["tags"] == [{"key": "owner", "value": "network"}]
    direct_connect.untag_resource(resourceArn=arn, tagKeys=["owner"])
    assert direct_connect.describe_tags(resourceArns=[arn])["resourceTags"][0]["tags"] == []


def test_quotas_have_their_documented_defaults(aws):
    quotas = aws("service-quotas")
    found = quotas.get_aws_default_service_quota(ServiceCode="dms", QuotaCode="L-C2341CDC")["Quota"]
    assert (found["QuotaName"], found["Value"]) == ("Replication instances", 60.0)
    pages = quotas.get_paginator("list_aws_default_service_quotas").paginate(
        ServiceCode="vpc", PaginationConfig={"PageSize": 10}
    )
    codes = [each["QuotaCode"] for page in pages for each in page["Quotas"]]
    assert len(codes) == len(set(codes)) > 10
    with pytest.raises(ClientError) as error:
        quotas.get_aws_default_service_quota(ServiceCode="dms", QuotaCode="L-00000000")
    assert error.value.response["Error"]["Code"] == "NoSuchResourceException"


def test_a_quota_that_nobody_changed_has_no_applied_value(aws):
    quotas = aws("service-quotas")
    with pytest.raises(ClientError) as error:
        quotas.get_service_quota(ServiceCode="dms", QuotaCode="L-C2341CDC")
    assert error.value.response["Error"]["Code"] == "NoSuchResourceException"
    assert quotas.list_service_quotas(ServiceCode="dms")["Quotas"] == []


def test_hosted_and_public_interfaces_are_refused_loudly(direct_connect):
    with pytest.raises(ClientError) as error:
        direct_connect.confirm_private_virtual_interface(virtualInterfaceId=INTERFACE)
    assert error.value.response["Error"]["Code"] == "NotInLocalAws"
