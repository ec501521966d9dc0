"""The rules by which a hop is judged, where they can be said without an account: ACLs, prefixes,
refusals, the order of phases.
"""

import pytest
from botocore.exceptions import ClientError
from foundation import names

from lakebook import CheckError, LakebookError, diagnosis
from lakebook.diagnosis import quotas, vpc
from lakebook.diagnosis.acl import blocked
from lakebook.diagnosis.answers import Absent, Broken, Hop
from lakebook.diagnosis.hops import look
from lakebook.diagnosis.line import covers
from lakebook.services import ec2

NETWORK, ANSWERS = "10.20.0.0/16", (1024, 65535)
REST = {
    "RuleNumber": 32767,
    "RuleAction": "deny",
    "Protocol": "-1",
    "CidrBlock": "0.0.0.0/0",
    "Egress": False,
}


def rule(number, action, first, last, cidr=NETWORK):
    ports = {"PortRange": {"From": first, "To": last}}
    return {
        "RuleNumber": number,
        "RuleAction": action,
        "Protocol": "6",
        "CidrBlock": cidr,
        "Egress": False,
        **ports,
    }


@pytest.mark.parametrize(
    ("rules", "reason"),
    [
        ([rule(100, "allow", 1024, 65535)], ""),
        ([rule(100, "allow", 0, 65535, "10.0.0.0/8")], ""),
        ([rule(100, "allow", 1024, 40000), rule(110, "allow", 40001, 65535)], ""),
        ([rule(100, "allow", 1024, 40000)], "rule * denies tcp 0-65535"),
        (
            [rule(90, "deny", 2000, 2001), rule(100, "allow", 1024, 65535)],
            "rule 90 denies tcp 2000-2001",
        ),
        ([rule(100, "allow", 1024, 65535), rule(110, "deny", 2000, 2001)], ""),
        ([rule(90, "deny", 1024, 65535, "10.30.0.0/16"), rule(100, "allow", 1024, 65535)], ""),
        (
            [rule(90, "deny", 1024, 65535, "10.20.5.0/24"), rule(100, "allow", 1024, 65535)],
            "rule 90 denies",
        ),
        ([rule(100, "allow", 1024, 65535, "10.20.0.0/17")], "rule * denies"),
        ([], "rule * denies"),
    ],
)
def test_the_first_matching_rule_of_an_acl_decides_port_by_port(rules, reason):
    found = blocked([REST, *rules], NETWORK, ANSWERS, egress=False)
    assert found.startswith(reason)
    assert bool(found) == bool(reason)


def test_an_acl_without_a_last_rule_allows_nothing_by_itself():
    assert (
        blocked([], NETWORK, (5432, 5432), egress=True)
        == f"no rule allows tcp 5432-5432 for {NETWORK}"
    )


@pytest.mark.parametrize(
    ("announced", "covered"),
    [
        (["10.20.0.0/16"], True),
        (["0.0.0.0/0"], True),
        (["10.20.0.0/17", "10.20.128.0/17"], True),
        (["10.20.0.0/17"], False),
        (["2001:db8::/32"], False),
        ([], False),
    ],
)
def test_routes_cover_a_network_together(announced, covered):
    assert covers(announced, NETWORK) is covered


def error(code, status=400):
    answer = {
        "Error": {"Code": code, "Message": "no"},
        "ResponseMetadata": {"HTTPStatusCode": status},
    }
    return ClientError(answer, "DescribeConnections")


@pytest.mark.parametrize(
    ("raised", "verdict", "words"),
    [
        (
            error("AccessDeniedException"),
            "failed",
            "Allow the caller to make the call DescribeConnections",
        ),
        (error("UnauthorizedOperation", 403), "failed", "Allow the caller"),
        (
            error("ThrottlingException"),
            "failed",
            "AWS answered DescribeConnections with ThrottlingException",
        ),
        (error("NotImplemented", 501), "not checked", "DescribeConnections is not offered here"),
        (LakebookError("Name it."), "failed", "Name it."),
        (Broken("down", "Call somebody."), "failed", "Call somebody."),
        (Absent("02 makes it", "02"), "not yet", "02 makes it"),
        (Absent("no Direct Connect"), "not applicable", "no Direct Connect"),
    ],
)
def test_whatever_a_hop_meets_becomes_a_finding(raised, verdict, words):
    def at(_path):
        raise raised

    hop = look("a hop", "line", at, None)
    assert hop.verdict == verdict
    assert words in hop.seen + hop.action


def hops(*verdicts):
    return [
        Hop(f"hop {n}", "line", verdict, "", "Do it.", by)
        for n, (verdict, by) in enumerate(verdicts)
    ]


@pytest.mark.parametrize(
    ("found", "phase", "stops"),
    [
        ([("ok", ""), ("failed", "")], "01", "hop 1"),
        ([("not yet", "02"), ("failed", "")], "01", "hop 1"),
        ([("failed", "02"), ("not checked", "")], "01", None),
        ([("failed", "02"), ("not checked", "")], "02", "hop 0"),
        ([("not yet", "03")], "02", None),
        ([("not yet", "03")], "03", "hop 0"),
        ([("not applicable", ""), ("ok", "")], "03", None),
    ],
)
def test_a_phase_stops_at_what_no_later_phase_mends(found, phase, stops):
    hop = diagnosis.first_broken(hops(*found), phase)
    assert (hop and hop.hop) == stops
    if stops:
        with pytest.raises(CheckError, match=stops):
            diagnosis.require(hops(*found), phase)
    else:
        diagnosis.require(hops(*found), phase)


def test_a_virtual_private_gateway_must_be_attached_to_the_vpc_of_dms(aws):
    client = aws("ec2")
    made = client.create_vpn_gateway(Type="ipsec.1")["VpnGateway"]["VpnGatewayId"]
    vpc_id = client.create_vpc(CidrBlock="10.74.0.0/16")["Vpc"]["VpcId"]
    ids = [
        client.create_subnet(
            VpcId=vpc_id, CidrBlock=f"10.74.{n}.0/24", AvailabilityZone=f"eu-west-1{zone}"
        )["Subnet"]["SubnetId"]
        for n, zone in enumerate("ab")
    ]
    path = lambda: diagnosis.Path(  # noqa: E731
        ec2.Network(names("vgw"), subnet_ids=ids), "none", NETWORK, gateway_id=made
    )
    with pytest.raises(Broken, match="not attached"):
        vpc.gateway_attachment(path())
    client.attach_vpn_gateway(VpcId=vpc_id, VpnGatewayId=made)
    assert "attached" in vpc.gateway_attachment(path())
    with pytest.raises(Broken, match="nowhere"):
        vpc.subnet_routes(path())
    table = client.describe_route_tables(Filters=[{"Name": "vpc-id", "Values": [vpc_id]}])[
        "RouteTables"
    ][0]
    client.create_route(
        RouteTableId=table["RouteTableId"], DestinationCidrBlock=NETWORK, GatewayId=made
    )
    assert made in vpc.subnet_routes(path())


def test_public_subnets_need_no_endpoints(aws):
    client = aws("ec2")
    default = client.describe_subnets(Filters=[{"Name": "default-for-az", "Values": ["true"]}])[
        "Subnets"
    ]
    path = diagnosis.Path(
        ec2.Network(names("public"), subnet_ids=[each["SubnetId"] for each in default]), "none"
    )
    with pytest.raises(Broken, match="s3 missing"):
        vpc.endpoints(path)
    table = path.route_tables[0]["RouteTableId"]
    gateway = client.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    client.attach_internet_gateway(InternetGatewayId=gateway, VpcId=path.vpc_id)
    client.create_route(RouteTableId=table, DestinationCidrBlock="0.0.0.0/0", GatewayId=gateway)
    try:
        fresh = diagnosis.Path(path.network, "none")
        assert f"public routes by {gateway}" in vpc.endpoints(fresh)
    finally:
        client.delete_route(RouteTableId=table, DestinationCidrBlock="0.0.0.0/0")
        client.detach_internet_gateway(InternetGatewayId=gateway, VpcId=path.vpc_id)


def test_a_quota_that_nobody_changed_is_looked_up_among_the_defaults(aws):
    path = diagnosis.Path(ec2.Network(names("quotas")), "none", interface_endpoints=["sts"])
    assert "replication instances: 1 more, 0 there, 60 allowed" in quotas.quotas(path)
