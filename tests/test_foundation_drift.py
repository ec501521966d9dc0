"""Whatever somebody damages in the foundation, plan lists exactly the calls that mend it, and apply
mends it.
"""

import json

import boto3
import foundation
import pytest

from lakebook import ensure
from lakebook.ensure import calls
from lakebook.services import ec2, kms

NAMES = foundation.names("drift")
OPEN = [{"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}]
ANYBODY = {"Effect": "Allow", "Principal": "*", "Action": "*", "Resource": "*"}


@pytest.fixture(scope="module")
def made(stand_in):
    """The foundation, made once; the function that declares it."""
    gateway = boto3.client("ec2").create_transit_gateway()["TransitGateway"]["TransitGatewayId"]
    ensure(foundation.bootstrap(NAMES), apply=True)
    declared = {
        "bootstrap": foundation.bootstrap(NAMES),
        **foundation.parts(NAMES, gateway=gateway, services=("kms",), cidr="10.61.0.0/16"),
    }
    ensure([each for part in declared.values() for each in part], apply=True)
    return declared


# --- roles
# --------------------------------------------------------------------------------------------------


def role(name):
    return NAMES.resource(name)


def widen_inline_policy():
    document = json.dumps(
        {
            "Version": "2012-10-17",
            "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}],
        }
    )
    boto3.client("iam").put_role_policy(
        RoleName=role("glue"), PolicyName="lakebook", PolicyDocument=document
    )


def add_inline_policy():
    document = json.dumps(
        {
            "Version": "2012-10-17",
            "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}],
        }
    )
    boto3.client("iam").put_role_policy(
        RoleName=role("redshift"), PolicyName="more", PolicyDocument=document
    )


def detach_policy():
    arn = "arn:aws:iam::aws:policy/service-role/AWSGlueServiceRole"
    boto3.client("iam").detach_role_policy(RoleName=role("glue"), PolicyArn=arn)


def attach_policy():
    arn = "arn:aws:iam::aws:policy/AdministratorAccess"
    boto3.client("iam").attach_role_policy(RoleName=role("analyst"), PolicyArn=arn)


def trust_others():
    everyone = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": "*"}}
    document = json.dumps({"Version": "2012-10-17", "Statement": [everyone]})
    boto3.client("iam").update_assume_role_policy(
        RoleName=role("data-scientist"), PolicyDocument=document
    )


def drop_boundary():
    boto3.client("iam").delete_role_permissions_boundary(RoleName=role("data-engineer"))


def delete_role():
    iam = boto3.client("iam")
    iam.delete_role_policy(RoleName=role("dms-secret"), PolicyName="lakebook")
    iam.delete_role(RoleName=role("dms-secret"))


def widen_boundary():
    document = json.dumps(
        {
            "Version": "2012-10-17",
            "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}],
        }
    )
    boto3.client("iam").create_policy_version(
        PolicyArn=NAMES.boundary_arn, PolicyDocument=document, SetAsDefault=True
    )


def widen_operator():
    document = json.dumps(
        {
            "Version": "2012-10-17",
            "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}],
        }
    )
    boto3.client("iam").put_role_policy(
        RoleName=role("migration-operator"), PolicyName="lakebook", PolicyDocument=document
    )


# --- data at rest
# --------------------------------------------------------------------------------------------------


def s3(operation, **arguments):
    getattr(boto3.client("s3"), operation)(**arguments)


def key():
    return kms.key_arn(kms.alias(NAMES))


def open_key():
    document = json.dumps({"Version": "2012-10-17", "Statement": [{**ANYBODY, "Action": "kms:*"}]})
    boto3.client("kms").put_key_policy(KeyId=key(), PolicyName="default", Policy=document)


def open_bucket_policy():
    allow = {
        **ANYBODY,
        "Action": "s3:GetObject",
        "Resource": f"arn:aws:s3:::{NAMES.curated_bucket}/*",
    }
    s3(
        "put_bucket_policy",
        Bucket=NAMES.curated_bucket,
        Policy=json.dumps({"Version": "2012-10-17", "Statement": [allow]}),
    )


def weaken_encryption():
    rule = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}
    s3(
        "put_bucket_encryption",
        Bucket=NAMES.raw_bucket,
        ServerSideEncryptionConfiguration={"Rules": [rule]},
    )


def other_key():
    rule = {
        "ApplyServerSideEncryptionByDefault": {
            "SSEAlgorithm": "aws:kms",
            "KMSMasterKeyID": "alias/aws/s3",
        },
        "BucketKeyEnabled": True,
    }
    s3(
        "put_bucket_encryption",
        Bucket=NAMES.jobs_bucket,
        ServerSideEncryptionConfiguration={"Rules": [rule]},
    )


def shorter_lock():
    rule = {"DefaultRetention": {"Mode": "GOVERNANCE", "Days": 1}}
    lock = {"ObjectLockEnabled": "Enabled", "Rule": rule}
    s3("put_object_lock_configuration", Bucket=NAMES.audit_bucket, ObjectLockConfiguration=lock)


def suspend_versions():
    s3(
        "put_bucket_versioning",
        Bucket=NAMES.curated_bucket,
        VersioningConfiguration={"Status": "Suspended"},
    )


def allow_acls():
    controls = {"Rules": [{"ObjectOwnership": "ObjectWriter"}]}
    s3("put_bucket_ownership_controls", Bucket=NAMES.raw_bucket, OwnershipControls=controls)


def shorten_results():
    boto3.client("athena").update_work_group(
        WorkGroup=NAMES.resource("analyst"),
        ConfigurationUpdates={
            "ResultConfigurationUpdates": {"OutputLocation": f"s3://{NAMES.jobs_bucket}/elsewhere/"}
        },
    )


# --- network
# --------------------------------------------------------------------------------------------------


def client():
    return boto3.client("ec2")


def vpc_id():
    return ec2.find("Vpcs", NAMES.resource("vpc"))


def endpoint_id(service):
    filters = [
        {"Name": "vpc-id", "Values": [vpc_id()]},
        {"Name": "service-name", "Values": [f"com.amazonaws.eu-west-1.{service}"]},
    ]
    found = client().describe_vpc_endpoints(Filters=filters)["VpcEndpoints"]
    return next(each["VpcEndpointId"] for each in found if each["State"] == "available")


def route_table_id():
    return ec2.find("RouteTables", NAMES.resource("private"))


def open_default_group():
    filters = [
        {"Name": "vpc-id", "Values": [vpc_id()]},
        {"Name": "group-name", "Values": ["default"]},
    ]
    group = client().describe_security_groups(Filters=filters)["SecurityGroups"][0]["GroupId"]
    client().authorize_security_group_ingress(GroupId=group, IpPermissions=OPEN)


def to_the_internet():
    gateway = client().create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    client().attach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc_id())
    client().create_route(
        RouteTableId=route_table_id(), DestinationCidrBlock="0.0.0.0/0", GatewayId=gateway
    )


def other_way_to_source():
    other = client().create_transit_gateway()["TransitGateway"]["TransitGatewayId"]
    client().replace_route(
        RouteTableId=route_table_id(),
        DestinationCidrBlock=foundation.ON_PREMISES,
        TransitGatewayId=other,
    )


def lose_association():
    found = client().describe_route_tables(RouteTableIds=[route_table_id()])["RouteTables"][0][
        "Associations"
    ]
    client().disassociate_route_table(AssociationId=found[0]["RouteTableAssociationId"])


def delete_attachment():
    filters = [{"Name": "vpc-id", "Values": [vpc_id()]}, {"Name": "state", "Values": ["available"]}]
    found = client().describe_transit_gateway_vpc_attachments(Filters=filters)[
        "TransitGatewayVpcAttachments"
    ]
    client().delete_transit_gateway_vpc_attachment(
        TransitGatewayAttachmentId=found[0]["TransitGatewayAttachmentId"]
    )


def acl_id():
    filters = [{"Name": "vpc-id", "Values": [vpc_id()]}, {"Name": "default", "Values": ["true"]}]
    return client().describe_network_acls(Filters=filters)["NetworkAcls"][0]["NetworkAclId"]


def open_acl(number, change):
    rule = {"Protocol": "-1", "RuleAction": "allow", "CidrBlock": "0.0.0.0/0", "Egress": False}
    getattr(client(), f"{change}_network_acl_entry")(
        NetworkAclId=acl_id(), RuleNumber=number, **rule
    )


def public_addresses():
    subnet = ec2.find("Subnets", NAMES.resource("private-a"))
    client().modify_subnet_attribute(SubnetId=subnet, MapPublicIpOnLaunch={"Value": True})


def open_endpoint_policy():
    document = json.dumps({"Version": "2012-10-17", "Statement": [ANYBODY]})
    client().modify_vpc_endpoint(VpcEndpointId=endpoint_id("s3"), PolicyDocument=document)


def fewer_subnets():
    subnet = ec2.find("Subnets", NAMES.resource("private-b"))
    client().modify_vpc_endpoint(VpcEndpointId=endpoint_id("kms"), RemoveSubnetIds=[subnet])


def delete_flow_logs():
    found = client().describe_flow_logs(Filters=[{"Name": "resource-id", "Values": [vpc_id()]}])[
        "FlowLogs"
    ]
    client().delete_flow_logs(FlowLogIds=[each["FlowLogId"] for each in found])


# --- who is told
# --------------------------------------------------------------------------------------------------


def topic():
    return f"arn:aws:sns:eu-west-1:123456789012:{NAMES.resource('alarms')}"


def open_topic():
    document = json.dumps(
        {"Version": "2012-10-17", "Statement": [{**ANYBODY, "Action": "sns:Publish"}]}
    )
    boto3.client("sns").set_topic_attributes(
        TopicArn=topic(), AttributeName="Policy", AttributeValue=document
    )


def unsubscribe():
    sns = boto3.client("sns")
    found = sns.list_subscriptions_by_topic(TopicArn=topic())["Subscriptions"]
    sns.unsubscribe(SubscriptionArn=found[0]["SubscriptionArn"])


def silence_alarm():
    cloudwatch = boto3.client("cloudwatch")
    have = cloudwatch.describe_alarms(AlarmNames=[NAMES.resource("cdc-latency-source")])[
        "MetricAlarms"
    ][0]
    kept = (
        "AlarmName",
        "EvaluationPeriods",
        "ComparisonOperator",
        "Threshold",
        "TreatMissingData",
        "Metrics",
    )
    cloudwatch.put_metric_alarm(**{each: have[each] for each in kept}, AlarmActions=[])


def other_pattern():
    pattern = json.dumps({"source": ["aws.nothing"]})
    boto3.client("events").put_rule(Name=NAMES.resource("glue-job-failed"), EventPattern=pattern)


def remove_target():
    boto3.client("events").remove_targets(Rule=NAMES.resource("dms-task-failed"), Ids=["topic"])


def budget(operation, **arguments):
    getattr(boto3.client("budgets"), operation)(
        AccountId=foundation.ACCOUNT, **({"BudgetName": NAMES.resource("monthly")} | arguments)
    )


def larger_budget():
    new = {
        "BudgetName": NAMES.resource("monthly"),
        "BudgetLimit": {"Amount": "99999", "Unit": "USD"},
        "TimeUnit": "MONTHLY",
        "BudgetType": "COST",
    }
    boto3.client("budgets").update_budget(AccountId=foundation.ACCOUNT, NewBudget=new)


ACTUAL = {
    "NotificationType": "ACTUAL",
    "ComparisonOperator": "GREATER_THAN",
    "Threshold": 80.0,
    "ThresholdType": "PERCENTAGE",
}
DRIFTS = [
    ("services", widen_inline_policy, ["iam:PutRolePolicy"]),
    ("services", add_inline_policy, ["iam:DeleteRolePolicy"]),
    ("services", detach_policy, ["iam:AttachRolePolicy"]),
    ("people", attach_policy, ["iam:DetachRolePolicy"]),
    ("people", trust_others, ["iam:UpdateAssumeRolePolicy"]),
    ("people", drop_boundary, ["iam:PutRolePermissionsBoundary"]),
    ("services", delete_role, ["iam:CreateRole", "iam:PutRolePolicy"]),
    ("bootstrap", widen_boundary, ["iam:CreatePolicyVersion"]),
    ("bootstrap", widen_operator, ["iam:DeleteRolePolicy"]),
    ("data", open_key, ["kms:PutKeyPolicy"]),
    (
        "data",
        lambda: boto3.client("kms").disable_key_rotation(KeyId=key()),
        ["kms:EnableKeyRotation"],
    ),
    (
        "data",
        lambda: s3("delete_public_access_block", Bucket=NAMES.raw_bucket),
        ["s3:PutPublicAccessBlock"],
    ),
    ("data", open_bucket_policy, ["s3:PutBucketPolicy"]),
    ("data", lambda: s3("delete_bucket_policy", Bucket=NAMES.audit_bucket), ["s3:PutBucketPolicy"]),
    ("data", weaken_encryption, ["s3:PutBucketEncryption"]),
    ("data", other_key, ["s3:PutBucketEncryption"]),
    (
        "data",
        lambda: s3("delete_bucket_encryption", Bucket=NAMES.audit_bucket),
        ["s3:PutBucketEncryption"],
    ),
    (
        "data",
        lambda: s3("delete_bucket_lifecycle", Bucket=NAMES.jobs_bucket),
        ["s3:PutBucketLifecycleConfiguration"],
    ),
    ("data", shorter_lock, ["s3:PutObjectLockConfiguration"]),
    ("data", suspend_versions, ["s3:PutBucketVersioning"]),
    ("data", allow_acls, ["s3:PutBucketOwnershipControls"]),
    ("data", shorten_results, ["athena:UpdateWorkGroup"]),
    (
        "trail",
        lambda: boto3.client("cloudtrail").stop_logging(Name=NAMES.resource("trail")),
        ["cloudtrail:StartLogging"],
    ),
    (
        "trail",
        lambda: boto3.client("cloudtrail").update_trail(
            Name=NAMES.resource("trail"), EnableLogFileValidation=False
        ),
        ["cloudtrail:UpdateTrail"],
    ),
    ("network", open_default_group, ["ec2:RevokeSecurityGroupIngress"]),
    (
        "network",
        lambda: client().authorize_security_group_ingress(
            GroupId=ec2.group_id(NAMES.resource("dms"), vpc_id()), IpPermissions=OPEN
        ),
        ["ec2:RevokeSecurityGroupIngress"],
    ),
    (
        "network",
        lambda: client().authorize_security_group_egress(
            GroupId=ec2.group_id(NAMES.resource("redshift"), vpc_id()), IpPermissions=OPEN
        ),
        ["ec2:RevokeSecurityGroupEgress"],
    ),
    ("network", to_the_internet, ["ec2:DeleteRoute"]),
    (
        "network",
        lambda: client().delete_route(
            RouteTableId=route_table_id(), DestinationCidrBlock=foundation.ON_PREMISES
        ),
        ["ec2:CreateRoute"],
    ),
    ("network", other_way_to_source, ["ec2:ReplaceRoute"]),
    ("network", lose_association, ["ec2:AssociateRouteTable"]),
    ("network", delete_attachment, ["ec2:CreateTransitGatewayVpcAttachment"]),
    ("network", lambda: open_acl(50, "create"), ["ec2:DeleteNetworkAclEntry"]),
    ("network", lambda: open_acl(100, "replace"), ["ec2:ReplaceNetworkAclEntry"]),
    (
        "network",
        lambda: client().delete_network_acl_entry(
            NetworkAclId=acl_id(), RuleNumber=110, Egress=False
        ),
        ["ec2:CreateNetworkAclEntry"],
    ),
    ("network", public_addresses, ["ec2:ModifySubnetAttribute"]),
    (
        "network",
        lambda: client().modify_vpc_attribute(VpcId=vpc_id(), EnableDnsHostnames={"Value": False}),
        ["ec2:ModifyVpcAttribute"],
    ),
    ("endpoints", open_endpoint_policy, ["ec2:ModifyVpcEndpoint"]),
    (
        "endpoints",
        lambda: client().modify_vpc_endpoint(
            VpcEndpointId=endpoint_id("s3"), RemoveRouteTableIds=[route_table_id()]
        ),
        ["ec2:ModifyVpcEndpoint"],
    ),
    (
        "endpoints",
        lambda: client().modify_vpc_endpoint(
            VpcEndpointId=endpoint_id("kms"), PrivateDnsEnabled=False
        ),
        ["ec2:ModifyVpcEndpoint"],
    ),
    ("endpoints", fewer_subnets, ["ec2:ModifyVpcEndpoint"]),
    (
        "endpoints",
        lambda: client().delete_vpc_endpoints(VpcEndpointIds=[endpoint_id("kms")]),
        ["ec2:CreateVpcEndpoint"],
    ),
    ("network", delete_flow_logs, ["ec2:CreateFlowLogs"]),
    (
        "network",
        lambda: boto3.client("logs").delete_retention_policy(
            logGroupName=f"/aws/vpc-flow-logs/{NAMES.resource('vpc')}"
        ),
        ["logs:PutRetentionPolicy"],
    ),
    ("alerts", open_topic, ["sns:SetTopicAttributes"]),
    (
        "alerts",
        lambda: boto3.client("sns").set_topic_attributes(
            TopicArn=topic(), AttributeName="KmsMasterKeyId", AttributeValue="alias/aws/sns"
        ),
        ["sns:SetTopicAttributes"],
    ),
    ("alerts", unsubscribe, ["sns:Subscribe"]),
    ("alerts", silence_alarm, ["monitoring:PutMetricAlarm"]),
    (
        "alerts",
        lambda: boto3.client("cloudwatch").delete_alarms(
            AlarmNames=[NAMES.resource("cdc-latency-target")]
        ),
        ["monitoring:PutMetricAlarm"],
    ),
    (
        "alerts",
        lambda: boto3.client("events").disable_rule(Name=NAMES.resource("dms-task-failed")),
        ["events:EnableRule"],
    ),
    ("alerts", other_pattern, ["events:PutRule"]),
    ("alerts", remove_target, ["events:PutTargets"]),
    ("alerts", larger_budget, ["budgets:UpdateBudget"]),
    (
        "alerts",
        lambda: budget("delete_notification", Notification=ACTUAL),
        ["budgets:CreateNotification"],
    ),
    (
        "alerts",
        lambda: budget(
            "delete_subscriber",
            Notification=ACTUAL,
            Subscriber={"SubscriptionType": "SNS", "Address": topic()},
        ),
        ["budgets:CreateSubscriber"],
    ),
]


@pytest.mark.parametrize(
    ("part", "drift", "mended_by"),
    DRIFTS,
    ids=[f"{part}-{number}-{calls[0]}" for number, (part, _, calls) in enumerate(DRIFTS)],
)
def test_damage_is_planned_as_exactly_the_calls_that_mend_it_and_apply_mends_it(
    made, part, drift, mended_by
):
    drift()
    needed = calls(made[part])
    assert [call.action for _, call in needed] == mended_by
    damaged = {name for name, _ in needed}
    mended = [each for each in made[part] if each.name in damaged]
    ensure(mended, apply=True)
    assert calls(mended) == []


def test_mending_one_thing_damaged_nothing_else(made):
    assert calls([each for part in made.values() for each in part]) == []
