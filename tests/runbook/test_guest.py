"""A company that has most of it already: its own VPC with other people's endpoints and name
servers, its own key, a secret under that key, people in another Region, a cluster, and no
classification; and one that comes by a virtual private gateway.
"""

import json
import subprocess

import pytest
from rehearsal import FILE, NAMES, Rehearsal, as_options

SMALL = {
    "source_schemas": "[operations]",
    "excluded_tables": "[operations.flights, operations.weather]",
    "partition_by": "{}",
    "classification_file": "",
    "reporting_file": "",
    "model_files": "[]",
    "studio_users": "[]",
}
DASHBOARD = """
DataSets:
  airlines:
    Name: Airlines
    ImportMode: SPICE
    PhysicalTableMap:
      airlines:
        CustomSql:
          DataSourceArn: ${DataSourceArn}
          Name: airlines
          SqlQuery: SELECT a.carrier, a.name FROM ${table.operations.airlines} AS a
          Columns: [{Name: carrier, Type: STRING}, {Name: name, Type: STRING}]
Dashboard:
  Name: Airlines
  Definition:
    DataSetIdentifierDeclarations: [{Identifier: airlines, DataSetArn: "${DataSetArn.airlines}"}]
    Sheets:
      - SheetId: one
        Name: One
        Visuals:
          - KPIVisual:
              VisualId: airlines
              ChartConfiguration:
                FieldWells:
                  Values:
                    - CategoricalMeasureField:
                        FieldId: carriers
                        Column: {DataSetIdentifier: airlines, ColumnName: carrier}
                        AggregationFunction: COUNT
"""
COMMENT = "First line.\nSecond LINE with a tab\tand capitals."


pytestmark = pytest.mark.rehearsal


@pytest.fixture(scope="module")
def guest(tmp_path_factory):
    """The rehearsal in such an account, applied twice."""
    with Rehearsal(tmp_path_factory.mktemp("guest")) as running:
        with running.demo_database() as source:
            source.execute(f"comment on column operations.airlines.name is '{COMMENT}'")
        with running.acting("default"):
            vpc, subnets, foreign = network(running)
            key = customer_key(running)
        running.client("secretsmanager").update_secret(
            SecretId="acme-rehearsal-source", KmsKeyId=key
        )
        running.foreign = foreign
        subprocess.run([*running.stand_in, "scenario", "quicksight-elsewhere"], check=True)
        board = running.data.with_name("airlines.yaml")
        board.write_text(DASHBOARD)
        own = {
            "vpc_id": vpc,
            "subnet_ids": json.dumps(subnets),
            "interface_endpoints": "[]",
            "kms_key_arn": key,
            "identity_region": "us-east-1",
            "dashboard_file": str(board),
            "warehouse_kind": "provisioned",
        }
        running.parameters = as_options(SMALL | own)
        running.environment["AWS_PROFILE"] = "default"  # the administrator
        again = running.run("bootstrap", FILE, *running.parameters)
        running.environment["AWS_PROFILE"] = "operator"
        assert again.returncode == 0, again.text
        running.planned = running.plan("--to", "06")
        running.applied = running.apply("--to", "09")
        running.applied_again = running.apply("--to", "06")
        yield running


def network(running):
    """A VPC with name servers of its own and an endpoint of a vendor: its id, subnets, and what
    must stay as it is.
    """
    ec2 = running.client("ec2")
    options = [{"Key": "domain-name-servers", "Values": ["10.20.0.53"]}]
    dhcp = ec2.create_dhcp_options(DhcpConfigurations=options)["DhcpOptions"]["DhcpOptionsId"]
    vpc = ec2.create_vpc(CidrBlock="10.60.0.0/16")["Vpc"]["VpcId"]
    for name in ("EnableDnsSupport", "EnableDnsHostnames"):
        ec2.modify_vpc_attribute(VpcId=vpc, **{name: {"Value": True}})
    ec2.associate_dhcp_options(DhcpOptionsId=dhcp, VpcId=vpc)
    subnets = [
        ec2.create_subnet(
            VpcId=vpc, CidrBlock=f"10.60.{number}.0/24", AvailabilityZone=f"eu-west-1{zone}"
        )["Subnet"]["SubnetId"]
        for number, zone in enumerate("abc")
    ]
    ec2.create_transit_gateway_vpc_attachment(
        TransitGatewayId="tgw-0ace0000000000001", VpcId=vpc, SubnetIds=subnets
    )
    (table,) = ec2.describe_route_tables(Filters=[{"Name": "vpc-id", "Values": [vpc]}])[
        "RouteTables"
    ]
    ec2.create_route(
        RouteTableId=table["RouteTableId"],
        DestinationCidrBlock="10.20.0.0/16",
        TransitGatewayId="tgw-0ace0000000000001",
    )
    services = [
        "com.amazonaws.eu-west-1." + each
        for each in (
            "secretsmanager",
            "kms",
            "logs",
            "monitoring",
            "sts",
            "glue",
            "athena",
            "lakeformation",
            "redshift-data",
        )
    ]
    groups = ec2.describe_security_groups(Filters=[{"Name": "vpc-id", "Values": [vpc]}])
    group = groups["SecurityGroups"][0]["GroupId"]
    ec2.authorize_security_group_ingress(
        GroupId=group, IpProtocol="tcp", FromPort=443, ToPort=443, CidrIp="10.60.0.0/16"
    )
    for each in services:
        ec2.create_vpc_endpoint(
            VpcEndpointType="Interface",
            VpcId=vpc,
            ServiceName=each,
            SubnetIds=subnets,
            SecurityGroupIds=[group],
            PrivateDnsEnabled=True,
        )
    ec2.create_vpc_endpoint(
        VpcEndpointType="Gateway",
        VpcId=vpc,
        ServiceName="com.amazonaws.eu-west-1.s3",
        RouteTableIds=[table["RouteTableId"]],
    )
    return vpc, subnets, state_of_network(ec2, vpc)


def state_of_network(ec2, vpc):
    """What others in the VPC see and use."""
    within = [{"Name": "vpc-id", "Values": [vpc]}]
    return {
        "tables": ec2.describe_route_tables(Filters=within)["RouteTables"],
        "endpoints": ec2.describe_vpc_endpoints(Filters=within)["VpcEndpoints"],
        "acls": ec2.describe_network_acls(Filters=within)["NetworkAcls"],
        "default group": ec2.describe_security_groups(
            Filters=[*within, {"Name": "group-name", "Values": ["default"]}]
        )["SecurityGroups"],
    }


def customer_key(running):
    """A key whose policy lets IAM decide and the services use it, as on-aws.md asks for."""
    kms = running.client("kms")
    services = ["cloudtrail", "logs.eu-west-1", "cloudwatch", "events", "budgets"]
    use = [
        "kms:Decrypt",
        "kms:Encrypt*",
        "kms:ReEncrypt*",
        "kms:GenerateDataKey*",
        "kms:DescribeKey",
    ]
    statements = [
        {
            "Effect": "Allow",
            "Principal": {"AWS": "arn:aws:iam::123456789012:root"},
            "Action": "kms:*",
            "Resource": "*",
        },
        {
            "Effect": "Allow",
            "Principal": {"Service": [f"{each}.amazonaws.com" for each in services]},
            "Action": use,
            "Resource": "*",
        },
    ]
    policy = json.dumps({"Version": "2012-10-17", "Statement": statements})
    return kms.create_key(Policy=policy)["KeyMetadata"]["Arn"]


def test_a_plan_lists_every_phase(guest):
    assert guest.planned.returncode == 0, guest.planned.text


def test_every_phase_passes_in_a_shared_account(guest):
    assert guest.applied.returncode == 0, guest.applied.text


def test_a_second_run_makes_no_changing_call(guest):
    assert guest.applied_again.returncode == 0, guest.applied_again.text
    assert guest.applied_again.changing_calls == []


def test_nothing_that_others_use_has_changed(guest):
    vpc = guest.foreign["tables"][0]["VpcId"]
    assert state_of_network(guest.client("ec2"), vpc) == guest.foreign


def test_the_dashboard_is_for_groups_of_the_region_of_the_subscription(guest):
    held = guest.client("quicksight").describe_dashboard_permissions(
        AwsAccountId="123456789012", DashboardId=NAMES.resource("airlines")
    )["Permissions"]
    assert {each["Principal"] for each in held} == {
        f"arn:aws:quicksight:us-east-1:123456789012:group/default/{NAMES.resource(each)}"
        for each in ("authors", "readers")
    }


def test_a_comment_arrives_in_one_line(guest):
    columns = guest.client("glue").get_table(
        DatabaseName=NAMES.database("curated"), Name="operations_airlines"
    )["Table"]["StorageDescriptor"]["Columns"]
    comments = {each["Name"]: each["Comment"] for each in columns}
    assert comments["name"] == " ".join(COMMENT.split())
