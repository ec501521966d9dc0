"""Questions about VPCs, their endpoints and their logs."""

from conformance.question import question, refusal, until

EC2 = "https://docs.aws.amazon.com/AWSEC2/latest/APIReference"
PRIVATELINK = "https://docs.aws.amazon.com/vpc/latest/privatelink"


@question("DuplicateSubnetsInSameZone", f"{PRIVATELINK}/create-interface-endpoint.html")
def ec2_two_subnets_of_a_zone(sandbox):
    """With which code is an interface endpoint refused that has two subnets of one zone?"""
    place, subnets = vpc(sandbox)
    return refusal(_endpoint, sandbox=sandbox, VpcId=place, SubnetIds=subnets)


@question("InvalidParameter", f"{PRIVATELINK}/interface-endpoints.html", cost="cents")
def ec2_private_dns_taken(sandbox):
    """With which code are private names refused where a hosted zone of the VPC has them?"""
    place, subnets = vpc(sandbox)
    route53, name = sandbox.client("route53"), f"kms.{sandbox.region}.amazonaws.com"
    zone = route53.create_hosted_zone(
        Name=name,
        CallerReference=f"{place} {name}",
        VPC={"VPCRegion": sandbox.region, "VPCId": place},
        HostedZoneConfig={"PrivateZone": True},
    )["HostedZone"]["Id"]
    sandbox.after(route53.delete_hosted_zone, Id=zone)
    private = {"SubnetIds": subnets[:1], "PrivateDnsEnabled": True}
    return refusal(_endpoint, sandbox=sandbox, VpcId=place, **private)


@question(
    "UnauthorizedOperation",
    "https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonec2.html",
    cost="cents",
)
def private_names_need_a_right_of_route_53(sandbox):
    """With which code are private names refused to who may do all of EC2, and nothing else?"""
    place, subnets = vpc(sandbox)
    session = sandbox.person("connects", "ec2:*")
    private = {"SubnetIds": subnets[:1], "PrivateDnsEnabled": True}
    return refusal(
        _endpoint, sandbox=sandbox, ec2=session.client("ec2"), VpcId=place, of="sts", **private
    )


@question(
    "AccessDeniedException",
    "https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/encrypt-log-data-kms.html",
    cost="cents",
)
def logs_key_not_allowed(sandbox):
    """With which code is a log group refused whose key's policy does not name CloudWatch Logs?"""
    root = {"AWS": f"arn:aws:iam::{sandbox.account}:root"}
    statement = {"Effect": "Allow", "Principal": root, "Action": "kms:*", "Resource": "*"}
    key = sandbox.key("logs", {"Version": "2012-10-17", "Statement": [statement]})
    logs, name = sandbox.client("logs"), sandbox.name("encrypted")
    sandbox.after(logs.delete_log_group, logGroupName=name)
    return refusal(logs.create_log_group, logGroupName=name, kmsKeyId=key)


@question(["Unsuccessful"], f"{EC2}/API_CreateFlowLogs.html")
def flow_logs_that_may_not_be_written_are_in_the_answer(sandbox):
    """Is it an error, or in the answer, that flow logs name a role which EC2 may not take?"""
    place, _ = vpc(sandbox)
    role, ec2 = sandbox.role("flows"), sandbox.client("ec2")  # it trusts Glue
    given = {"LogGroupName": sandbox.name("flows"), "DeliverLogsPermissionArn": role}
    found = ec2.create_flow_logs(
        ResourceIds=[place], ResourceType="VPC", TrafficType="ALL", **given
    )
    if made := found.get("FlowLogIds"):
        sandbox.after(ec2.delete_flow_logs, FlowLogIds=made)
    return ["Unsuccessful" for _ in found.get("Unsuccessful", [])]


@question(
    "InvalidParameterValue",
    f"{EC2}/API_AttachVpnGateway.html",
    only_aws="in the tests a gateway is attached at once",
)
def ec2_route_while_attaching(sandbox):
    """With which code is a route refused to a private gateway that is attaching?"""
    ec2, (place, _) = sandbox.client("ec2"), vpc(sandbox)
    gateway = ec2.create_vpn_gateway(Type="ipsec.1")["VpnGateway"]["VpnGatewayId"]
    which = {"VpnGatewayId": gateway}
    sandbox.after(ec2.delete_vpn_gateway, **which)
    table = ec2.create_route_table(VpcId=place)["RouteTable"]["RouteTableId"]
    ec2.attach_vpn_gateway(**which, VpcId=place)
    sandbox.undo.callback(lambda: until(_attachments(ec2, gateway), lambda now: not now, gateway))
    sandbox.after(ec2.detach_vpn_gateway, **which, VpcId=place)
    sandbox.after(ec2.delete_route_table, RouteTableId=table)
    route = {"RouteTableId": table, "DestinationCidrBlock": "192.0.2.0/24"}
    code = refusal(ec2.create_route, **route, GatewayId=gateway)
    until(_attachments(ec2, gateway), lambda now: now == ["attached"], gateway)
    return code


def _attachments(ec2, gateway):
    """What reads the states of a gateway's attachments, but those that ended."""

    def read():
        (found,) = ec2.describe_vpn_gateways(VpnGatewayIds=[gateway])["VpnGateways"]
        states = [each["State"] for each in found.get("VpcAttachments", [])]
        return [each for each in states if each != "detached"]

    return read


def vpc(sandbox):
    """A VPC with names, and two subnets of one of its zones; made for the first who asks."""
    if "vpc" not in sandbox.shared:
        ec2 = sandbox.client("ec2")
        place = ec2.create_vpc(CidrBlock="10.99.0.0/16")["Vpc"]["VpcId"]
        _after_others(sandbox, ec2.delete_vpc, VpcId=place)
        ec2.modify_vpc_attribute(VpcId=place, EnableDnsHostnames={"Value": True})
        subnets = []
        for cidr in ("10.99.1.0/24", "10.99.2.0/24"):
            zone = f"{sandbox.region}a"
            made = ec2.create_subnet(VpcId=place, CidrBlock=cidr, AvailabilityZone=zone)["Subnet"]
            _after_others(sandbox, ec2.delete_subnet, SubnetId=made["SubnetId"])
            subnets.append(made["SubnetId"])
        sandbox.shared["vpc"] = place, subnets
    return sandbox.shared["vpc"]


def _after_others(sandbox, delete, **which):
    """Delete it in the end, once what is in it has gone: services leave their interfaces late."""
    sandbox.undo.callback(
        lambda: until(
            lambda: refusal(delete, **which),
            lambda code: code != "DependencyViolation",
            f"{which} was still in use",
        )
    )


def _endpoint(sandbox, ec2=None, of="kms", **settings):
    """Make an interface endpoint, which goes again."""
    made = (ec2 or sandbox.client("ec2")).create_vpc_endpoint(
        VpcEndpointType="Interface", ServiceName=f"com.amazonaws.{sandbox.region}.{of}", **settings
    )["VpcEndpoint"]["VpcEndpointId"]
    sandbox.after(sandbox.client("ec2").delete_vpc_endpoints, VpcEndpointIds=[made])
