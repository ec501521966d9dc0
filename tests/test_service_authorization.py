"""Which IAM actions on which resources an API call needs."""

import botocore.session
import pytest

from service_authorization import required
from service_authorization.actions import FOR_EVERYBODY, action_of, prefix_of
from service_authorization.dependent import RULES, dependent
from service_authorization.reference import is_action, resource_types

ACCOUNT, REGION = "123456789012", "eu-west-1"
HERE = f"{REGION}:{ACCOUNT}"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/r"


def needs(service, operation, lookup=lambda *_: None, **parameters):
    found = required(service, operation, parameters, ACCOUNT, REGION, lookup)
    return {each.action: {arn.replace(HERE, "HERE") for arn in each.resources} for each in found}


CASES = {
    "a table of Glue lies in a database of the catalog": (
        ("glue", "GetTable", {"DatabaseName": "d", "Name": "t"}),
        {
            "glue:GetTable": {
                "arn:aws:glue:HERE:catalog",
                "arn:aws:glue:HERE:database/d",
                "arn:aws:glue:HERE:table/d/t",
            }
        },
    ),
    "what is listed has no name": (
        ("glue", "GetTables", {"DatabaseName": "d"}),
        {
            "glue:GetTables": {
                "arn:aws:glue:HERE:catalog",
                "arn:aws:glue:HERE:database/d",
                "arn:aws:glue:HERE:table/d/*",
            }
        },
    ),
    "a new job with tags passes its role": (
        ("glue", "CreateJob", {"Name": "j", "Role": "r", "Tags": {"a": "b"}}),
        {
            "glue:CreateJob": {"arn:aws:glue:HERE:job/j"},
            "glue:TagResource": {"arn:aws:glue:HERE:job/j"},
            "iam:PassRole": {ROLE},
        },
    ),
    "a task is between two endpoints on an instance": (
        (
            "dms",
            "CreateReplicationTask",
            {
                "SourceEndpointArn": f"arn:aws:dms:{HERE}:endpoint:A",
                "TargetEndpointArn": f"arn:aws:dms:{HERE}:endpoint:B",
                "ReplicationInstanceArn": f"arn:aws:dms:{HERE}:rep:C",
                "Tags": [{"Key": "a"}],
            },
        ),
        {
            "dms:CreateReplicationTask": {
                "arn:aws:dms:HERE:endpoint:A",
                "arn:aws:dms:HERE:endpoint:B",
                "arn:aws:dms:HERE:rep:C",
            },
            "dms:AddTagsToResource": {"arn:aws:dms:HERE:task:*"},
        },
    ),
    "roles in nested settings are passed too": (
        ("dms", "CreateEndpoint", {"S3Settings": {"ServiceAccessRoleArn": ROLE}}),
        {"dms:CreateEndpoint": {"arn:aws:dms:HERE:endpoint:*"}, "iam:PassRole": {ROLE}},
    ),
    "a principal that is granted something is not passed": (
        ("lakeformation", "GrantPermissions", {"Principal": {"DataLakePrincipalIdentifier": ROLE}}),
        {"lakeformation:GrantPermissions": {"*"}},
    ),
    "reading passes nothing": (
        ("dms", "DescribeEndpoints", {"Filters": [{"Name": "x", "Values": [ROLE]}]}),
        {"dms:DescribeEndpoints": {"*"}},
    ),
    "a secret's name ends in six characters": (
        ("secretsmanager", "GetSecretValue", {"SecretId": "s"}),
        {"secretsmanager:GetSecretValue": {"arn:aws:secretsmanager:HERE:secret:s-??????"}},
    ),
    "a key by its alias is any key": (
        ("kms", "DescribeKey", {"KeyId": "alias/a"}),
        {"kms:DescribeKey": {"arn:aws:kms:HERE:key/*"}},
    ),
    "an alias is made on a key": (
        ("kms", "CreateAlias", {"AliasName": "alias/a", "TargetKeyId": "k"}),
        {"kms:CreateAlias": {"arn:aws:kms:HERE:alias/a", "arn:aws:kms:HERE:key/k"}},
    ),
    "a role with a path": (
        ("iam", "CreateRole", {"RoleName": "r", "Path": "/p/", "Tags": [{}]}),
        {
            "iam:CreateRole": {f"arn:aws:iam::{ACCOUNT}:role/p/r"},
            "iam:TagRole": {f"arn:aws:iam::{ACCOUNT}:role/p/r"},
        },
    ),
    "EC2's ids tell what they are of": (
        ("ec2", "CreateSubnet", {"VpcId": "vpc-0123456789abcdef0", "TagSpecifications": [{}]}),
        {
            "ec2:CreateSubnet": {
                "arn:aws:ec2:HERE:subnet/*",
                "arn:aws:ec2:HERE:vpc/vpc-0123456789abcdef0",
            },
            "ec2:CreateTags": {"arn:aws:ec2:HERE:subnet/*"},
        },
    ),
    "a flow log passes a role by another name": (
        (
            "ec2",
            "CreateFlowLogs",
            {"ResourceIds": ["vpc-0123456789abcdef0"], "DeliverLogsPermissionArn": ROLE},
        ),
        {
            "ec2:CreateFlowLogs": {
                "arn:aws:ec2:HERE:vpc-flow-log/*",
                "arn:aws:ec2:HERE:vpc/vpc-0123456789abcdef0",
            },
            "iam:PassRole": {ROLE},
        },
    ),
    "HeadObject is GetObject": (
        ("s3", "HeadObject", {"Bucket": "b", "Key": "k"}),
        {"s3:GetObject": {"arn:aws:s3:::b/k"}},
    ),
    "listing": (("s3", "ListObjectsV2", {"Bucket": "b"}), {"s3:ListBucket": {"arn:aws:s3:::b"}}),
    "each key of a deletion": (
        (
            "s3",
            "DeleteObjects",
            {"Bucket": "b", "Delete": {"Objects": [{"Key": "k"}, {"Key": "l", "VersionId": "v"}]}},
        ),
        {"s3:DeleteObject": {"arn:aws:s3:::b/k"}, "s3:DeleteObjectVersion": {"arn:aws:s3:::b/l"}},
    ),
    "a copy reads its source": (
        ("s3", "CopyObject", {"Bucket": "b", "Key": "k", "CopySource": "a/x%20y"}),
        {"s3:PutObject": {"arn:aws:s3:::b/k"}, "s3:GetObject": {"arn:aws:s3:::a/x y"}},
    ),
    "parts are put": (
        ("s3", "UploadPart", {"Bucket": "b", "Key": "k", "UploadId": "u", "PartNumber": 1}),
        {"s3:PutObject": {"arn:aws:s3:::b/k"}},
    ),
    "a named key encrypts": (
        (
            "s3",
            "PutObject",
            {"Bucket": "b", "Key": "k", "SSEKMSKeyId": f"arn:aws:kms:{HERE}:key/k"},
        ),
        {"s3:PutObject": {"arn:aws:s3:::b/k"}, "kms:GenerateDataKey": {"arn:aws:kms:HERE:key/k"}},
    ),
    "encryption of a bucket has a name of its own": (
        ("s3", "PutBucketEncryption", {"Bucket": "b"}),
        {"s3:PutEncryptionConfiguration": {"arn:aws:s3:::b"}},
    ),
    "all buckets": (("s3", "ListBuckets", {}), {"s3:ListAllMyBuckets": {"*"}}),
    "a budget": (
        ("budgets", "DescribeBudget", {"BudgetName": "b"}),
        {"budgets:ViewBudget": {f"arn:aws:budgets::{ACCOUNT}:budget/b"}},
    ),
    "a statement of Redshift logs in": (
        ("redshift-data", "ExecuteStatement", {"WorkgroupName": "w"}),
        {
            "redshift-data:ExecuteStatement": {"*"},
            "redshift-serverless:GetCredentials": {"arn:aws:redshift-serverless:HERE:workgroup/*"},
        },
    ),
    "nothing is needed to ask who one is": (("sts", "GetCallerIdentity", {}), {}),
}


@pytest.mark.parametrize("name", CASES)
def test_a_call_needs(name):
    (service, operation, parameters), expected = CASES[name]
    assert needs(service, operation, **parameters) == expected


def test_what_a_request_does_not_tell_is_looked_up():
    known = {"WorkGroupName": "w", "BucketKey": f"arn:aws:kms:{HERE}:key/k"}
    lookup = lambda _prefix, placeholder, _parameters: known.get(placeholder)  # noqa: E731
    found = needs("athena", "GetQueryResults", lookup, QueryExecutionId="q")
    assert found == {"athena:GetQueryResults": {"arn:aws:athena:HERE:workgroup/w"}}
    found = needs("s3", "CreateMultipartUpload", lookup, Bucket="b", Key="k")
    assert found["kms:Decrypt"] == found["kms:GenerateDataKey"] == {"arn:aws:kms:HERE:key/k"}


def test_a_passed_role_says_to_whom():
    (passed,) = [
        each
        for each in required("glue", "CreateJob", {"Name": "j", "Role": ROLE}, ACCOUNT, REGION)
        if each.action == "iam:PassRole"
    ]
    assert passed.context == {"iam:PassedToService": "glue.amazonaws.com"}


ADMINISTRATOR = {"namespaceName": "acme-lab-warehouse", "manageAdminPassword": True}
SECRET = "arn:aws:secretsmanager:HERE:secret:redshift!acme-lab-warehouse-*"


def test_redshift_makes_its_administrators_secret_in_the_callers_name():
    found = needs("redshift-serverless", "CreateNamespace", **ADMINISTRATOR)
    for action in ("CreateSecret", "RotateSecret", "TagResource"):
        assert found[f"secretsmanager:{action}"] == {SECRET}
    cluster = {"ClusterIdentifier": "acme-lab-warehouse", "ManageMasterPassword": True}
    assert needs("redshift", "CreateCluster", **cluster)["secretsmanager:CreateSecret"] == {SECRET}
    own = {"namespaceName": "acme-lab-warehouse", "adminUserPassword": "x"}
    assert not any(
        "secret" in each for each in needs("redshift-serverless", "CreateNamespace", **own)
    )


def test_an_endpoint_with_private_dns_needs_route_53():
    asked = {"VpcId": "vpc-1", "ServiceName": "s", "VpcEndpointType": "Interface"}
    action = "route53:AssociateVPCWithHostedZone"
    assert action in needs("ec2", "CreateVpcEndpoint", **asked)
    assert action not in needs("ec2", "CreateVpcEndpoint", **asked, PrivateDnsEnabled=False)
    assert action not in needs("ec2", "CreateVpcEndpoint", VpcId="vpc-1", ServiceName="s")


def test_a_data_set_passes_its_source():
    source = f"arn:aws:quicksight:{HERE}:datasource/s"
    tables = {"t": {"CustomSql": {"DataSourceArn": source, "Name": "n", "SqlQuery": "q"}}}
    found = needs("quicksight", "CreateDataSet", DataSetId="d", PhysicalTableMap=tables)
    assert found["quicksight:PassDataSource"] == {source.replace(HERE, "HERE")}


def test_every_dependent_action_is_one_of_the_reference():
    asked = {
        "DataSetId": "d",
        "VpcEndpointType": "Interface",
        "KmsKeyId": "k",
        "kmsKeyId": "k",
        "ManageMasterPassword": True,
        "PhysicalTableMap": {"t": {"CustomSql": {"DataSourceArn": "a"}}},
        **ADMINISTRATOR,
    }
    for service, operation in RULES:
        found = list(dependent(service, operation, asked, ACCOUNT, REGION))
        assert found
        for action, _, _ in found:
            assert is_action(*action.split(":")), action


def test_redshift_serverless_does_not_say_to_whom_a_role_is_passed():
    found = required(
        "redshift-serverless",
        "CreateNamespace",
        {"namespaceName": "n", "iamRoles": [ROLE]},
        ACCOUNT,
        REGION,
    )
    [passed] = [each for each in found if each.action == "iam:PassRole"]
    assert passed.context == {}


@pytest.mark.parametrize(
    "service",
    [
        "athena",
        "budgets",
        "cloudtrail",
        "directconnect",
        "events",
        "iam",
        "lakeformation",
        "logs",
        "redshift-serverless",
        "resourcegroupstaggingapi",
        "service-quotas",
        "sns",
        "sqs",
        "sts",
    ],
)
def test_every_operation_has_an_action_of_the_reference(service):
    names = botocore.session.get_session().get_service_model(service).operation_names
    # not in the reference
    later = {"ListInsightsMetricData", "AcquireRole", "UpdateDelegationRequest", "GetLogObject"}
    later |= {
        "AssumeDecoratedRoleWithSAML",
        "GetGlueFunctionSessionContext",
        "GetTemporaryDataLocationCredentials",
        "GetTemporaryGlueFunctionCredentials",
    }
    later |= {name for name in names if "SystemTable" in name}
    missing = [
        name for name in names if not is_action(prefix_of(service), action_of(service, name))
    ]
    assert set(missing) <= later | {name for each, name in FOR_EVERYBODY if each == service}


def test_actions_of_s3_are_actions_of_the_reference():
    names = botocore.session.get_session().get_service_model("s3").operation_names
    given = {"Bucket": "b", "Key": "k"}
    of_objects = {
        "CompleteMultipartUpload",
        "CreateMultipartUpload",
        "UploadPart",
        "UploadPartCopy",
        "ListParts",
    }
    for name in names:
        object_is_meant = "Object" in name and name not in (
            "ListObjects",
            "ListObjectsV2",
            "ListObjectVersions",
            "DeleteObjects",
            "GetObjectLockConfiguration",
            "PutObjectLockConfiguration",
        )
        told = given if object_is_meant or name in of_objects else {"Bucket": "b"}
        told = {} if name == "ListBuckets" else told
        for action in needs("s3", name, **told):
            unknown = (
                "Metadata",
                "Session",
                "RenameObject",
                "WriteGetObject",
                "DirectoryBuckets",
                "AnnotationT",
            )
            assert is_action("s3", action.partition(":")[2]) or any(
                each in name for each in unknown
            ), (name, action)


def test_the_reference_knows_what_a_table_is():
    kinds = {each.name: each.required for each in resource_types("glue", "GetTable")}
    assert kinds["table"]
    assert not kinds["catalog"]
