"""In a VPC that is not ours nothing that others use changes, and what cannot work there is said in
one sentence before anything is made.
"""

import boto3
import foundation
import pytest
from botocore.exceptions import ClientError

from lakebook import calls, ensure
from lakebook.services import ec2, vpc
from local_aws import settings

pytestmark = pytest.mark.usefixtures("stand_in")
NAMES = foundation.names("guest")
SERVICE = "com.amazonaws.eu-west-1"
OFFICE = "10.20.0.0/16"


class Theirs:
    """A VPC of somebody else, with a route table for the subnets that are lent to us and another
    for those that are not.
    """

    def __init__(self, number):
        client = self.client = boto3.client("ec2")
        self.cidr = f"10.{number}.0.0/16"
        self.vpc = client.create_vpc(CidrBlock=self.cidr)["Vpc"]["VpcId"]
        client.modify_vpc_attribute(VpcId=self.vpc, EnableDnsHostnames={"Value": True})
        self.lent = [self.subnet(f"10.{number}.{n}.0/24", zone) for n, zone in enumerate("ab")]
        self.kept = self.subnet(f"10.{number}.9.0/24", "a")
        self.table = client.create_route_table(VpcId=self.vpc)["RouteTable"]["RouteTableId"]
        for each in self.lent:
            client.associate_route_table(RouteTableId=self.table, SubnetId=each)

    def subnet(self, cidr, zone):
        made = self.client.create_subnet(
            VpcId=self.vpc, CidrBlock=cidr, AvailabilityZone=f"eu-west-1{zone}"
        )
        return made["Subnet"]["SubnetId"]

    def group(self, name, *rules):
        """A security group with rules for what comes in, beside AWS's own for what goes out."""
        made = self.client.create_security_group(GroupName=name, Description=name, VpcId=self.vpc)[
            "GroupId"
        ]
        for each in rules:
            self.client.authorize_security_group_ingress(GroupId=made, IpPermissions=[each])
        return made

    def endpoint(self, service, kind="Interface", **settings):
        return self.client.create_vpc_endpoint(
            VpcEndpointType=kind, VpcId=self.vpc, ServiceName=service, **settings
        )["VpcEndpoint"]["VpcEndpointId"]

    def zone(self, name):
        """A private hosted zone, as a hub shares it."""
        boto3.client("route53").create_hosted_zone(
            Name=name,
            CallerReference=f"{self.vpc} {name}",
            VPC={"VPCRegion": "eu-west-1", "VPCId": self.vpc},
            HostedZoneConfig={"PrivateZone": True},
        )

    def network(self, names=NAMES):
        return ec2.Network(names, subnet_ids=self.lent)


def refusal(call, *arguments, **settings):
    with pytest.raises(ClientError) as refused:
        call(*arguments, **settings)
    return (
        f"{refused.value.response['Error']['Code']}: {refused.value.response['Error']['Message']}"
    )


# --- what AWS refuses
# --------------------------------------------------------------------------------------------------


def test_private_names_are_refused_where_somebody_else_has_them_or_the_vpc_has_no_dns():
    theirs = Theirs(80)
    theirs.zone("kms.eu-west-1.amazonaws.com")
    assert "conflicting DNS domain for kms.eu-west-1" in refusal(theirs.endpoint, f"{SERVICE}.kms")
    theirs.endpoint(f"{SERVICE}.sts")
    assert "conflicting DNS domain for sts.eu-west-1" in refusal(theirs.endpoint, f"{SERVICE}.sts")
    theirs.client.modify_vpc_attribute(VpcId=theirs.vpc, EnableDnsHostnames={"Value": False})
    assert "requires both enableDnsSupport" in refusal(theirs.endpoint, f"{SERVICE}.logs")


def test_an_endpoint_takes_one_subnet_of_a_zone_and_a_table_one_endpoint_of_a_service():
    theirs = Theirs(81)
    same_zone = [theirs.lent[0], theirs.kept]
    refused = refusal(theirs.endpoint, f"{SERVICE}.kms", SubnetIds=same_zone)
    assert refused.startswith("DuplicateSubnetsInSameZone")
    theirs.endpoint(f"{SERVICE}.s3", "Gateway", RouteTableIds=[theirs.table])
    refused = refusal(theirs.endpoint, f"{SERVICE}.s3", "Gateway", RouteTableIds=[theirs.table])
    assert refused.startswith("RouteAlreadyExists")


def test_a_virtual_private_gateway_that_is_attaching_is_no_target_of_a_route():
    client = boto3.client("ec2")
    gateway = client.create_vpn_gateway(Type="ipsec.1")["VpnGateway"]["VpnGatewayId"]
    names = foundation.names("slowvgw")
    place = ec2.Network(names)
    ensure(vpc.network(place, "10.82.0.0/16", OFFICE), apply=True)
    with settings.settling(3):
        ensure(vpc.routes(place, OFFICE, "", gateway), apply=True)
    states = client.describe_vpn_gateways(VpnGatewayIds=[gateway])["VpnGateways"][0]
    assert [each["State"] for each in states["VpcAttachments"]] == ["attached"]
    assert calls(vpc.routes(place, OFFICE, "", gateway)) == []


def test_a_gateway_that_an_earlier_run_left_attaching_is_waited_for():
    client = boto3.client("ec2")
    gateway = client.create_vpn_gateway(Type="ipsec.1")["VpnGateway"]["VpnGatewayId"]
    place = ec2.Network(foundation.names("leftvgw"))
    ensure(vpc.network(place, "10.83.0.0/16", OFFICE), apply=True)
    with settings.settling(3):
        client.attach_vpn_gateway(VpcId=place.vpc(), VpnGatewayId=gateway)
    wanted = vpc.routes(place, OFFICE, "", gateway)
    ensure(wanted, apply=True)
    assert calls(wanted) == []
