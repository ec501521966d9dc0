"""In a VPC that is not ours nothing that others use changes, and what cannot work there is said in
one sentence before anything is made.
"""

import json

import boto3
import foundation
import pytest
from botocore.exceptions import ClientError

from lakebook import LakebookError, calls, diagnosis, ensure
from lakebook import foundation as lakebook_foundation
from lakebook.diagnosis import vpc as vpc_hops
from lakebook.diagnosis.answers import Broken, Untold
from lakebook.diagnosis.hops import look
from lakebook.diagnosis.line import covers
from lakebook.services import ec2, security_groups, vpc, vpc_endpoints
from local_aws import settings

pytestmark = pytest.mark.usefixtures("stand_in")
NAMES = foundation.names("guest")
SERVICE = "com.amazonaws.eu-west-1"
OFFICE, SECRET = "10.20.0.0/16", "acme-guest-source"


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

    def route(self, cidr, **target):
        """A route of the subnets that are lent to us."""
        self.client.create_route(RouteTableId=self.table, DestinationCidrBlock=cidr, **target)

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


def test_who_moves_to_another_vpc_gets_groups_of_that_vpc():
    """A name is one group's in a VPC, not in an account.

    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateSecurityGroup.html
    """
    left, entered = Theirs(94), Theirs(95)
    names = foundation.names("moving")
    left.group(names.resource("dms"))
    place = entered.network(names)
    wanted = security_groups.groups(place, OFFICE, 5432)
    assert ("security group acme-moving-dms", "ec2:CreateSecurityGroup") in [
        (name, call.action) for name, call in calls(wanted)
    ]
    ensure(wanted, apply=True)
    assert calls(wanted) == []
    ids = [ec2.security_group_ids(names, "dms", each.lent) for each in (left, entered)]
    assert len({one for each in ids for one in each}) == 2
    assert ec2.security_group_ids(names, "dms", ["<subnets>"]) == [
        "<the security group acme-moving-dms>"
    ]


def test_our_groups_let_out_to_wherever_their_routes_and_name_servers_are():
    theirs = Theirs(90)
    theirs.name_servers("10.20.0.53", "10.20.1.53")
    names = foundation.names("nameservers")
    founded(theirs.network(names), ["kms"])
    opened = security_groups._permissions(
        theirs.client, ec2.group_id(names.resource("dms"), theirs.vpc), "out"
    )
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


# --- what the diagnosis says of it
# --------------------------------------------------------------------------------------------------


def path(theirs, names=NAMES, **settings):
    return diagnosis.Path(theirs.network(names), SECRET, OFFICE, **settings)


@pytest.fixture(scope="module")
def secret(stand_in):
    content = {"username": "u", "password": "p", "host": "db.office.example", "port": 5432}
    boto3.client("secretsmanager").create_secret(Name=SECRET, SecretString=json.dumps(content))


def test_endpoints_of_others_that_dms_does_not_call_are_none_of_our_business(secret):
    theirs, names = Theirs(91), foundation.names("foreign")
    founded(theirs.network(names), ["secretsmanager", "kms", "logs"])
    closed = theirs.group("closed")
    vendor = "com.amazonaws.vpce.eu-west-1.vpce-svc-0123456789abcdef0"
    for service in (vendor, f"{SERVICE}.s3", f"{SERVICE}.sqs"):
        theirs.endpoint(
            service, SubnetIds=theirs.lent[:1], SecurityGroupIds=[closed], PrivateDnsEnabled=False
        )
    seen = path(theirs, names)
    assert vpc_hops.private_names(seen) == "private DNS on for 3 interface endpoints"
    assert closed not in vpc_hops.endpoint_groups(seen)
    assert "s3 available, secretsmanager available" in vpc_hops.endpoints(seen)


def test_what_is_wrong_with_an_endpoint_of_theirs_is_for_its_owner_to_mend(secret):
    theirs, names = Theirs(92), foundation.names("owner")
    closed = theirs.group("theirs")
    theirs.endpoint(f"{SERVICE}.kms", SubnetIds=theirs.lent[:1], SecurityGroupIds=[closed])
    founded(theirs.network(names), ["secretsmanager", "logs", "kms"])
    with pytest.raises(Broken, match=f"{closed}: port 443 is closed for kms") as broken:
        vpc_hops.endpoint_groups(path(theirs, names))
    assert (broken.value.mended_by, "ask its owner" in broken.value.action) == ("", True)


def test_a_way_that_nobody_makes_stops_phase_one_with_both_remedies(secret):
    theirs, names = Theirs(93), foundation.names("nobody")
    with pytest.raises(Broken) as broken:
        vpc_hops.endpoints(path(theirs, names, interface_endpoints=["kms"]))
    assert broken.value.mended_by == ""
    assert "Add secretsmanager, logs to interface_endpoints" in broken.value.action
    services = ["kms", "secretsmanager", "logs"]
    with pytest.raises(Broken) as broken:
        vpc_hops.endpoints(path(theirs, names, interface_endpoints=services))
    assert broken.value.mended_by == "02"
    theirs.client.associate_route_table(RouteTableId=theirs.table, SubnetId=theirs.kept)
    with pytest.raises(Broken, match="s3 missing") as broken:
        vpc_hops.endpoints(path(theirs, names, interface_endpoints=services))
    assert broken.value.mended_by == ""


def test_a_landing_zone_with_central_egress_and_a_hubs_names_carries(secret):
    theirs = Theirs(94)
    for each in ("s3", "secretsmanager", "kms", "logs"):
        theirs.zone(f"{each}.eu-west-1.amazonaws.com")
    theirs.zone("office.example")
    seen = path(theirs)
    assert vpc_hops.endpoints(seen).count("by a private hosted zone") == 4
    assert "by the private hosted zone office.example" in vpc_hops.on_premises_names(seen)
    egress = Theirs(95)
    gateway = egress.client.create_transit_gateway()["TransitGateway"]["TransitGatewayId"]
    egress.route("0.0.0.0/0", TransitGatewayId=gateway)
    assert f"public routes by {gateway}" in vpc_hops.endpoints(path(egress))
    with pytest.raises(Untold, match="DMS's connection test will tell"):
        vpc_hops.on_premises_names(path(egress))


def test_a_name_that_aws_shows_no_way_to_resolve_stops_nothing(secret):
    hop = look("on-premises DNS", "VPC", vpc_hops.on_premises_names, path(Theirs(96)))
    assert hop.verdict == "not checked"
    assert diagnosis.first_broken([hop], "03") is None


def test_routes_in_halves_and_by_prefix_list_lead_to_the_source(secret):
    theirs = Theirs(97)
    gateway = theirs.client.create_transit_gateway()["TransitGateway"]["TransitGatewayId"]
    theirs.route("10.20.0.0/17", TransitGatewayId=gateway)
    with pytest.raises(Broken, match="nowhere"):
        vpc_hops.subnet_routes(path(theirs, gateway_id=gateway))
    theirs.route("10.20.128.0/17", TransitGatewayId=gateway)
    assert vpc_hops.subnet_routes(path(theirs, gateway_id=gateway)).endswith(f"-> {gateway}")
    listed = Theirs(98)
    prefixes = listed.client.create_managed_prefix_list(
        PrefixListName="office",
        MaxEntries=2,
        AddressFamily="IPv4",
        Entries=[{"Cidr": "10.0.0.0/8"}, {"Cidr": "172.16.0.0/12"}],
    )["PrefixList"]["PrefixListId"]
    listed.client.create_route(
        RouteTableId=listed.table, DestinationPrefixListId=prefixes, TransitGatewayId=gateway
    )
    assert vpc_hops.subnet_routes(path(listed, gateway_id=gateway)).endswith(f"-> {gateway}")


def test_name_servers_that_the_group_of_dms_does_not_let_out_to_are_found(secret):
    theirs, names = Theirs(99), foundation.names("latedns")
    place = theirs.network(names)
    founded(place, [])
    theirs.name_servers("10.20.0.53")
    with pytest.raises(Broken, match=r"Allow udp 53 to 10\.20\.0\.53/32|lets out udp 53"):
        vpc_hops.security_groups(path(theirs, names))
    founded(place, [])
    assert "lets out udp 53 to 10.20.0.53/32" in vpc_hops.security_groups(path(theirs, names))


def test_what_others_will_notice_is_said_before_anything_is_made(secret):
    theirs, names = Theirs(78), foundation.names("noticed")
    theirs.endpoint(f"{SERVICE}.kms")
    seen = path(theirs, names, interface_endpoints=["kms", "sts"])
    lines = {each["adds"]: each["others notice"] for each in diagnosis.noticed(seen)}
    assert "role dms-vpc-role" in lines
    assert "sts.eu-west-1.amazonaws.com leads" in lines["interface endpoint sts"]
    assert "let in 10.78.0.0/16 alone" in lines["interface endpoint sts"]
    assert "break once" in lines[f"route to S3 in {theirs.table}"]
    assert not [each for each in lines if "kms" in each]
    founded(theirs.network(names), ["kms", "sts"])
    assert [each for each in diagnosis.noticed(seen) if "role" not in each["adds"]] == []


def test_of_a_vpc_of_our_own_others_notice_nothing(secret):
    seen = diagnosis.Path(
        ec2.Network(foundation.names("alone")), SECRET, interface_endpoints=["kms"]
    )
    assert [each for each in diagnosis.noticed(seen) if "role" not in each["adds"]] == []
