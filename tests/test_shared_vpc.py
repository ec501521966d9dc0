"""In a VPC that is not ours nothing that others use changes, and what cannot work there is said in
one sentence before anything is made.
"""

import json

import boto3
import foundation
import pytest
from botocore.exceptions import ClientError

from lakebook import LakebookError, calls, ensure
from lakebook import foundation as lakebook_foundation
from lakebook.diagnosis.line import covers
from lakebook.services import ec2, security_groups, vpc, vpc_endpoints
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
        self.kept_cidr = f"10.{number}.9.0/24"
        self.kept = self.subnet(self.kept_cidr, "a")
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

    def to_the_internet(self):
        """A default route in every table."""
        client = self.client
        gateway = client.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
        client.attach_internet_gateway(InternetGatewayId=gateway, VpcId=self.vpc)
        filters = [{"Name": "vpc-id", "Values": [self.vpc]}]
        for each in client.describe_route_tables(Filters=filters)["RouteTables"]:
            client.create_route(
                RouteTableId=each["RouteTableId"],
                DestinationCidrBlock="0.0.0.0/0",
                GatewayId=gateway,
            )

    def name_servers(self, *addresses):
        """DHCP options that name servers of their own."""
        told = [{"Key": "domain-name-servers", "Values": list(addresses)}]
        made = self.client.create_dhcp_options(DhcpConfigurations=told)["DhcpOptions"]
        self.client.associate_dhcp_options(VpcId=self.vpc, DhcpOptionsId=made["DhcpOptionsId"])

    def endpoints(self, service):
        filters = [
            {"Name": "vpc-id", "Values": [self.vpc]},
            {"Name": "service-name", "Values": [service]},
        ]
        return self.client.describe_vpc_endpoints(Filters=filters)["VpcEndpoints"]

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


# --- what others use stays as it is
# --------------------------------------------------------------------------------------------------

THEIR_BUCKET = {"aws:PrincipalAccount": foundation.ACCOUNT, "aws:ResourceAccount": "210987654321"}


def allows(policy, context):
    """Whether a policy of an endpoint lets through a request of this account to a resource of
    another.
    """
    return any(
        statement["Effect"] == "Allow"
        and all(
            context[key] == value
            for key, value in statement.get("Condition", {}).get("StringEquals", {}).items()
        )
        for statement in json.loads(policy)["Statement"]
    )


def admits(group_id, theirs, caller_group):
    """Whether a group lets in tcp 443 from the subnet that is not lent to us."""
    group = theirs.client.describe_security_groups(GroupIds=[group_id])["SecurityGroups"][0]
    return any(
        each["IpProtocol"] in ("-1", "tcp")
        and each.get("FromPort", 0) <= 443 <= each.get("ToPort", 65535)
        and (
            caller_group in [pair["GroupId"] for pair in each["UserIdGroupPairs"]]
            or covers([span["CidrIp"] for span in each["IpRanges"]], theirs.kept_cidr)
        )
        for each in group["IpPermissions"]
    )


def reached(theirs, service, caller_group):
    """How a workload in the subnet that is not lent to us reaches a service under its usual name:
    by an endpoint with private names, else by the default route; None where it is cut off.
    """
    tables = theirs.client.describe_route_tables(
        Filters=[{"Name": "association.subnet-id", "Values": [theirs.kept]}]
    )["RouteTables"]
    if not tables:
        filters = [{"Name": "vpc-id", "Values": [theirs.vpc]}]
        filters += [{"Name": "association.main", "Values": ["true"]}]
        tables = theirs.client.describe_route_tables(Filters=filters)["RouteTables"]
    table = tables[0]
    found = theirs.client.describe_vpc_endpoints(
        Filters=[
            {"Name": "vpc-id", "Values": [theirs.vpc]},
            {"Name": "service-name", "Values": [f"{SERVICE}.{service}"]},
        ]
    )["VpcEndpoints"]
    for each in found:
        if table["RouteTableId"] in each.get("RouteTableIds", []):
            return "gateway" if allows(each["PolicyDocument"], THEIR_BUCKET) else None
        if each["VpcEndpointType"] == "Interface" and each["PrivateDnsEnabled"]:
            admitted = any(admits(g["GroupId"], theirs, caller_group) for g in each["Groups"])
            through = admitted and allows(each["PolicyDocument"], THEIR_BUCKET)
            return "interface" if through else None
    default = [each.get("DestinationCidrBlock") == "0.0.0.0/0" for each in table["Routes"]]
    return "public" if any(default) else None


def founded(place, services):
    """The network part of 02 in a VPC of others, made; its declarations."""
    days = foundation.DAYS
    wanted = lambda: [  # noqa: E731 - declared anew, as in the next run
        *lakebook_foundation.network(place, "10.60.0.0/16", OFFICE, 5432, "", "", days),
        *vpc_endpoints.endpoints(place, services),
    ]
    ensure(wanted(), apply=True)
    assert calls(wanted()) == []
    return wanted()


def test_other_workloads_of_the_vpc_reach_what_they_reached_before():
    theirs = Theirs(84)
    theirs.to_the_internet()
    workload = theirs.group("their workload")
    before = {each: reached(theirs, each, workload) for each in ("sts", "kms", "s3")}
    assert before == dict.fromkeys(before, "public")
    founded(theirs.network(), ["sts", "kms"])
    after = {each: reached(theirs, each, workload) for each in before}
    assert after == {"sts": "interface", "kms": "interface", "s3": "public"}


def test_a_route_table_that_routes_for_others_gets_no_route_to_s3_of_ours():
    theirs = Theirs(85)
    theirs.to_the_internet()
    theirs.client.associate_route_table(RouteTableId=theirs.table, SubnetId=theirs.kept)
    founded(theirs.network(), [])
    assert reached(theirs, "s3", "") == "public"
    table = theirs.client.describe_route_tables(RouteTableIds=[theirs.table])["RouteTables"][0]
    assert not [each for each in table["Routes"] if "DestinationPrefixListId" in each]


def test_in_a_table_of_our_subnets_alone_s3_is_reached_under_awss_own_policy():
    theirs = Theirs(86)
    founded(theirs.network(), [])
    made = theirs.endpoints(f"{SERVICE}.s3")
    assert [each["RouteTableIds"] for each in made] == [[theirs.table]]
    assert allows(made[0]["PolicyDocument"], THEIR_BUCKET)


def test_a_gateway_endpoint_of_theirs_is_used_where_it_is_and_missed_where_it_is_not():
    theirs = Theirs(87)
    own = theirs.endpoint(f"{SERVICE}.s3", "Gateway", RouteTableIds=[theirs.table])
    founded(theirs.network(), [])
    assert [each["VpcEndpointId"] for each in theirs.endpoints(f"{SERVICE}.s3")] == [own]
    # beside theirs our own table gets an endpoint of ours
    place = ec2.Network(foundation.names("beside"), vpc_id=theirs.vpc)
    wanted = [
        *vpc.network(place, "10.87.64.0/20", ""),
        *vpc.routes(place, "", "", ""),
        *vpc_endpoints.endpoints(place, []),
    ]
    ensure(wanted, apply=True)
    assert calls(wanted) == []
    (made,) = [e for e in theirs.endpoints(f"{SERVICE}.s3") if e["VpcEndpointId"] != own]
    assert made["RouteTableIds"] == place.route_tables() != [theirs.table]
    assert not allows(made["PolicyDocument"], THEIR_BUCKET)


def test_an_endpoint_gets_one_subnet_of_each_zone_and_keeps_it():
    theirs = Theirs(88)
    theirs.lent.append(theirs.subnet("10.88.3.0/24", "a"))
    place = theirs.network()
    founded(place, ["kms"])
    (made,) = theirs.endpoints(f"{SERVICE}.kms")
    assert len(made["SubnetIds"]) == 2
    assert theirs.lent[1] in made["SubnetIds"]


def test_a_name_that_a_hub_answers_for_is_one_clear_sentence():
    theirs = Theirs(89)
    theirs.zone("kms.eu-west-1.amazonaws.com")
    place = theirs.network()
    with pytest.raises(
        LakebookError, match=r"answers for kms\.eu-west-1\.amazonaws\.com .* take kms out"
    ):
        calls(vpc_endpoints.endpoints(place, ["kms"]))
    assert calls(vpc_endpoints.endpoints(place, ["sts"]))


def test_our_groups_let_out_to_wherever_their_routes_and_name_servers_are():
    theirs = Theirs(90)
    theirs.name_servers("10.20.0.53", "10.20.1.53")
    names = foundation.names("nameservers")
    founded(theirs.network(names), ["kms"])
    opened = security_groups._permissions(theirs.client, ec2.group_id(names.resource("dms")), "out")
    ports = {
        (each["IpProtocol"], each["FromPort"], span["CidrIp"])
        for each in opened
        for span in each["IpRanges"]
    }
    assert ports == {
        ("tcp", 443, "0.0.0.0/0"),
        ("tcp", 5432, OFFICE),
        *((proto, 53, f"10.20.{n}.53/32") for n in (0, 1) for proto in ("tcp", "udp")),
    }
