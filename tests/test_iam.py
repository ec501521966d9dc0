"""Who may do what: AWS's policy evaluation, asked through boto3 against the running stand-in."""

import contextlib
import json
import time

import boto3
import pytest
from botocore.exceptions import ClientError

ACCOUNT, REGION = "123456789012", "eu-west-1"
GLUE = f"arn:aws:glue:{REGION}:{ACCOUNT}"


def document(*statements):
    return json.dumps(
        {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", **each} for each in statements]}
    )


def trust(**principal):
    return document({"Principal": principal, "Action": "sts:AssumeRole"})


ROOT = trust(AWS=f"arn:aws:iam::{ACCOUNT}:root")


@pytest.fixture(scope="module")
def iam(stand_in):
    return boto3.client("iam")


@pytest.fixture(scope="module")
def lake(stand_in):
    """A bucket, tables of Glue, a key and a secret to ask for."""
    s3, glue = boto3.client("s3"), boto3.client("glue")
    for bucket in ("iam-open", "iam-own"):
        s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION})
        for key in ("sales/1", "hr/1", "a b/ü"):
            s3.put_object(Bucket=bucket, Key=key, Body=b"x")
    for database in ("iam_sales", "iam_hr"):
        glue.create_database(DatabaseInput={"Name": database})
        glue.create_table(DatabaseName=database, TableInput={"Name": "t"})
    key = boto3.client("kms").create_key()["KeyMetadata"]["Arn"]
    secret = boto3.client("secretsmanager").create_secret(Name="iam-secret", SecretString="x")[
        "ARN"
    ]
    return {"key": key, "secret": secret}


@pytest.fixture
def make(iam):
    """Makes a role with an inline policy and gives a session of it, as a boto3 session; the roles
    go at the end.
    """
    made = []

    def role(*statements, name=None, trusted=ROOT, boundary=None, managed=(), **assume):
        name = name or f"iam-test-{len(made)}-{time.time_ns()}"
        extras = {"PermissionsBoundary": boundary} if boundary else {}
        arn = iam.create_role(RoleName=name, AssumeRolePolicyDocument=trusted, **extras)["Role"][
            "Arn"
        ]
        made.append(name)
        if statements:
            iam.put_role_policy(
                RoleName=name, PolicyName="own", PolicyDocument=document(*statements)
            )
        for each in managed:
            iam.attach_role_policy(RoleName=name, PolicyArn=each)
        return session(arn, **assume)

    yield role
    for name in made:
        for policy in iam.list_role_policies(RoleName=name)["PolicyNames"]:
            iam.delete_role_policy(RoleName=name, PolicyName=policy)
        for policy in iam.list_attached_role_policies(RoleName=name)["AttachedPolicies"]:
            iam.detach_role_policy(RoleName=name, PolicyArn=policy["PolicyArn"])
        iam.delete_role(RoleName=name)


def session(arn, by=None, **assume):
    sts = (by or boto3).client("sts")
    return of(sts.assume_role(RoleArn=arn, RoleSessionName="ann", **assume)["Credentials"])


class of:  # noqa: N801 - not a boto3.Session, which would read every service's model anew
    def __init__(self, credentials):
        self.keys = {
            "aws_access_key_id": credentials["AccessKeyId"],
            "aws_secret_access_key": credentials["SecretAccessKey"],
            "aws_session_token": credentials.get("SessionToken"),
        }

    def client(self, service):
        return boto3.client(service, **self.keys)


def may(who, service, operation, **parameters):
    """None when the call is allowed, else the error's code."""
    try:
        getattr(who.client(service), operation)(**parameters)
    except ClientError as error:
        code = error.response["Error"]["Code"]
        denials = (
            "AccessDenied",
            "AccessDeniedException",
            "AuthorizationError",
            "UnauthorizedOperation",
            "403",
        )
        return code if code in denials else None


def denial(who, service, operation, **parameters):
    with pytest.raises(ClientError) as refused:
        getattr(who.client(service), operation)(**parameters)
    return refused.value.response["Error"]


READ = {
    "Action": ["glue:GetTable", "glue:GetTables"],
    "Resource": [f"{GLUE}:catalog", f"{GLUE}:database/iam_sales", f"{GLUE}:table/iam_sales/*"],
}
TABLE = {"DatabaseName": "iam_sales", "Name": "t"}
OBJECT = {"Bucket": "iam-open", "Key": "sales/1"}


# Each is: what the policy says, what is asked, whether it is allowed.
CASES = {
    "nothing is allowed without a policy": ([], ("s3", "get_object", OBJECT), False),
    "an action is allowed by its name": (
        [{"Action": "s3:GetObject", "Resource": "*"}],
        ("s3", "get_object", OBJECT),
        True,
    ),
    "case does not matter in actions": (
        [{"Action": "S3:getobject", "Resource": "*"}],
        ("s3", "get_object", OBJECT),
        True,
    ),
    "a star in an action": (
        [{"Action": "s3:Get*", "Resource": "*"}],
        ("s3", "get_object", OBJECT),
        True,
    ),
    "HeadObject is GetObject": (
        [{"Action": "s3:GetObject", "Resource": "*"}],
        ("s3", "head_object", OBJECT),
        True,
    ),
    "HeadBucket is ListBucket": (
        [{"Action": "s3:ListBucket", "Resource": "*"}],
        ("s3", "head_bucket", {"Bucket": "iam-open"}),
        True,
    ),
    "another action is not": (
        [{"Action": "s3:GetObject", "Resource": "*"}],
        ("s3", "put_object", {**OBJECT, "Body": b""}),
        False,
    ),
    "another object is not": (
        [{"Action": "s3:GetObject", "Resource": "arn:aws:s3:::iam-open/sales/*"}],
        ("s3", "get_object", {"Bucket": "iam-open", "Key": "hr/1"}),
        False,
    ),
    "a question mark is one character": (
        [{"Action": "s3:GetObject", "Resource": "arn:aws:s3:::iam-open/sales/?"}],
        ("s3", "get_object", OBJECT),
        True,
    ),
    "a dot is only a dot": (
        [{"Action": "s3:GetObject", "Resource": "arn:aws:s3:::iam.open/*"}],
        ("s3", "get_object", OBJECT),
        False,
    ),
    "a key with signs": (
        [{"Action": "s3:GetObject", "Resource": "arn:aws:s3:::iam-open/a b/ü"}],
        ("s3", "get_object", {"Bucket": "iam-open", "Key": "a b/ü"}),
        True,
    ),
    "an explicit deny wins": (
        [
            {"Action": "s3:*", "Resource": "*"},
            {"Effect": "Deny", "Action": "s3:GetObject", "Resource": "*"},
        ],
        ("s3", "get_object", OBJECT),
        False,
    ),
    "NotAction": (
        [{"NotAction": "s3:Delete*", "Resource": "*"}],
        ("s3", "delete_object", OBJECT),
        False,
    ),
    "NotAction allows the others": (
        [{"NotAction": "iam:*", "Resource": "*"}],
        ("s3", "get_object", OBJECT),
        True,
    ),
    "NotResource": (
        [{"Action": "s3:GetObject", "NotResource": "arn:aws:s3:::iam-open/hr/*"}],
        ("s3", "get_object", OBJECT),
        True,
    ),
    "a table of Glue needs its catalog, database and table": (
        [READ],
        ("glue", "get_table", TABLE),
        True,
    ),
    "the table alone is not enough": (
        [{"Action": "glue:GetTable", "Resource": f"{GLUE}:table/iam_sales/*"}],
        ("glue", "get_table", TABLE),
        False,
    ),
    "a table of another database": (
        [READ],
        ("glue", "get_table", {"DatabaseName": "iam_hr", "Name": "t"}),
        False,
    ),
    "all tables of a database": (
        [READ],
        ("glue", "get_tables", {"DatabaseName": "iam_sales"}),
        True,
    ),
    "the Region that is asked": (
        [
            {
                "Action": "s3:*",
                "Resource": "*",
                "Condition": {"StringEquals": {"aws:RequestedRegion": REGION}},
            }
        ],
        ("s3", "get_object", OBJECT),
        True,
    ),
    "another Region": (
        [
            {
                "Action": "s3:*",
                "Resource": "*",
                "Condition": {"StringEquals": {"aws:RequestedRegion": "us-east-1"}},
            }
        ],
        ("s3", "get_object", OBJECT),
        False,
    ),
    "a Region guard that is not met denies nothing": (
        [
            {"Action": "s3:*", "Resource": "*"},
            {
                "Effect": "Deny",
                "Action": "*",
                "Resource": "*",
                "Condition": {"StringNotEquals": {"aws:RequestedRegion": [REGION]}},
            },
        ],
        ("s3", "get_object", OBJECT),
        True,
    ),
    "MFA that nobody has": (
        [
            {
                "Action": "s3:*",
                "Resource": "*",
                "Condition": {"Bool": {"aws:MultiFactorAuthPresent": "true"}},
            }
        ],
        ("s3", "get_object", OBJECT),
        False,
    ),
    "the address it comes from": (
        [
            {
                "Action": "s3:*",
                "Resource": "*",
                "Condition": {"IpAddress": {"aws:SourceIp": "127.0.0.0/8"}},
            }
        ],
        ("s3", "get_object", OBJECT),
        True,
    ),
    "another address": (
        [
            {
                "Action": "s3:*",
                "Resource": "*",
                "Condition": {"NotIpAddress": {"aws:SourceIp": "127.0.0.0/8"}},
            }
        ],
        ("s3", "get_object", OBJECT),
        False,
    ),
    "the stand-in's address counts as encrypted": (
        [
            {"Action": "s3:*", "Resource": "*"},
            {
                "Effect": "Deny",
                "Action": "*",
                "Resource": "*",
                "Condition": {"Bool": {"aws:SecureTransport": False}},
            },
        ],
        ("s3", "get_object", OBJECT),
        True,
    ),
    "a prefix that is listed": (
        [
            {
                "Action": "s3:ListBucket",
                "Resource": "*",
                "Condition": {"StringLike": {"s3:prefix": ["sales/*"]}},
            }
        ],
        ("s3", "list_objects_v2", {"Bucket": "iam-open", "Prefix": "sales/1"}),
        True,
    ),
    "no prefix": (
        [
            {
                "Action": "s3:ListBucket",
                "Resource": "*",
                "Condition": {"StringLike": {"s3:prefix": ["sales/*"]}},
            }
        ],
        ("s3", "list_objects_v2", {"Bucket": "iam-open"}),
        False,
    ),
    "IfExists": (
        [
            {
                "Action": "s3:ListBucket",
                "Resource": "*",
                "Condition": {"StringLikeIfExists": {"s3:prefix": ["sales/*"]}},
            }
        ],
        ("s3", "list_objects_v2", {"Bucket": "iam-open"}),
        True,
    ),
    "Null": (
        [
            {
                "Action": "s3:ListBucket",
                "Resource": "*",
                "Condition": {"Null": {"s3:prefix": "true"}},
            }
        ],
        ("s3", "list_objects_v2", {"Bucket": "iam-open"}),
        True,
    ),
    "a number": (
        [
            {
                "Action": "s3:ListBucket",
                "Resource": "*",
                "Condition": {"NumericLessThanEquals": {"s3:max-keys": "10"}},
            }
        ],
        ("s3", "list_objects_v2", {"Bucket": "iam-open", "MaxKeys": 11}),
        False,
    ),
    "a date that is over": (
        [
            {
                "Action": "s3:*",
                "Resource": "*",
                "Condition": {"DateLessThan": {"aws:CurrentTime": "2020-01-01T00:00:00Z"}},
            }
        ],
        ("s3", "get_object", OBJECT),
        False,
    ),
    "who asks": (
        [
            {
                "Action": "s3:*",
                "Resource": "*",
                "Condition": {
                    "ArnLike": {"aws:PrincipalArn": f"arn:aws:iam::{ACCOUNT}:role/iam-*"}
                },
            }
        ],
        ("s3", "get_object", OBJECT),
        True,
    ),
    "encryption that is asked for": (
        [
            {"Action": "s3:*", "Resource": "*"},
            {
                "Effect": "Deny",
                "Action": "s3:PutObject",
                "Resource": "*",
                "Condition": {"StringNotEquals": {"s3:x-amz-server-side-encryption": "aws:kms"}},
            },
        ],
        ("s3", "put_object", {**OBJECT, "Body": b"x"}),
        False,
    ),
    "a tag of the request": (
        [
            {
                "Action": ["iam:CreateRole", "iam:TagRole"],
                "Resource": "*",
                "Condition": {"StringEquals": {"aws:RequestTag/team": "sales"}},
            }
        ],
        (
            "iam",
            "create_role",
            {
                "RoleName": "iam-tagged",
                "AssumeRolePolicyDocument": ROOT,
                "Tags": [{"Key": "team", "Value": "hr"}],
            },
        ),
        False,
    ),
    "only these tag keys": (
        [
            {
                "Action": ["sns:*"],
                "Resource": "*",
                "Condition": {"ForAllValues:StringEquals": {"aws:TagKeys": ["team"]}},
            }
        ],
        ("sns", "create_topic", {"Name": "iam-t", "Tags": [{"Key": "owner", "Value": "x"}]}),
        False,
    ),
    "one of these tag keys": (
        [
            {
                "Action": ["sns:*"],
                "Resource": "*",
                "Condition": {"ForAnyValue:StringEquals": {"aws:TagKeys": ["team"]}},
            }
        ],
        (
            "sns",
            "create_topic",
            {"Name": "iam-t", "Tags": [{"Key": "team", "Value": "x"}, {"Key": "o", "Value": "x"}]},
        ),
        True,
    ),
    "a variable": (
        [{"Action": "s3:GetObject", "Resource": "arn:aws:s3:::iam-open/${aws:PrincipalAccount}/*"}],
        ("s3", "get_object", OBJECT),
        False,
    ),
    "a variable without value matches nothing": (
        [{"Action": "s3:GetObject", "Resource": "arn:aws:s3:::iam-open/${aws:username}*"}],
        ("s3", "get_object", OBJECT),
        False,
    ),
    "a secret by its name and any ending": (
        [
            {
                "Action": "secretsmanager:GetSecretValue",
                "Resource": f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:iam-secret-??????",
            }
        ],
        ("secretsmanager", "get_secret_value", {"SecretId": "iam-secret"}),
        True,
    ),
    "another secret": (
        [
            {
                "Action": "secretsmanager:*",
                "Resource": f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:other-??????",
            }
        ],
        ("secretsmanager", "get_secret_value", {"SecretId": "iam-secret"}),
        False,
    ),
    "EC2 has its own word for it": ([], ("ec2", "describe_vpcs", {}), False),
    "everybody may ask who he is": ([], ("sts", "get_caller_identity", {}), True),
    "copying reads one object and writes the other": (
        [{"Action": "s3:PutObject", "Resource": "*"}],
        ("s3", "copy_object", {"Bucket": "iam-own", "Key": "copy", "CopySource": "iam-open/hr/1"}),
        False,
    ),
    "an alarm needs the right to tag it": (
        [{"Action": "sns:CreateTopic", "Resource": "*"}],
        ("sns", "create_topic", {"Name": "iam-t2", "Tags": [{"Key": "a", "Value": "b"}]}),
        False,
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_a_policy_decides_as_on_aws(make, lake, name):
    statements, (service, operation, parameters), allowed = CASES[name]
    refusal = may(make(*statements), service, operation, **parameters)
    assert (refusal is None) == allowed, refusal


WORDS = {
    ("glue", "get_table"): (TABLE, "AccessDeniedException", 400),
    ("s3", "get_object"): (OBJECT, "AccessDenied", 403),
    ("ec2", "describe_vpcs"): ({}, "UnauthorizedOperation", 403),
    ("iam", "list_roles"): ({}, "AccessDenied", 403),
    ("dms", "create_replication_subnet_group"): (
        {
            "ReplicationSubnetGroupIdentifier": "x",
            "ReplicationSubnetGroupDescription": "x",
            "SubnetIds": ["subnet-0123456789abcdef0"],
        },
        "AccessDeniedFault",
        400,
    ),
    ("kms", "list_keys"): ({}, "AccessDeniedException", 400),
    ("sns", "list_topics"): ({}, "AuthorizationError", 403),
    ("cloudwatch", "describe_alarms"): ({}, "AccessDeniedException", 400),
    ("quicksight", "list_users"): (
        {"AwsAccountId": ACCOUNT, "Namespace": "default"},
        "AccessDeniedException",
        401,
    ),
}


@pytest.mark.parametrize(("service", "operation"), WORDS)
def test_a_denial_is_the_services_own_error_in_awss_words(make, lake, service, operation):
    parameters, code, status = WORDS[service, operation]
    with pytest.raises(ClientError) as refused:
        getattr(make().client(service), operation)(**parameters)
    error, answer = refused.value.response["Error"], refused.value.response["ResponseMetadata"]
    assert (error["Code"], answer["HTTPStatusCode"]) == (code, status)
    assert "/ann is not authorized to perform: " in error["Message"]
    assert "because no identity-based policy allows the " in error["Message"]


def test_the_sentence_names_action_resource_and_kind_of_policy(make, lake):
    denied = {"Effect": "Deny", "Action": "glue:GetTable", "Resource": "*"}
    said = denial(make({"Action": "*", "Resource": "*"}, denied), "glue", "get_table", **TABLE)[
        "Message"
    ]
    assert said.endswith(
        f"is not authorized to perform: glue:GetTable on resource: {GLUE}:database/iam_sales with"
        " an explicit deny in an identity-based policy"
    )


def test_a_head_request_is_refused_without_a_body(make, lake):
    assert denial(make(), "s3", "head_object", **OBJECT)["Code"] == "403"


def test_who_may_not_list_is_not_told_what_is_absent(make, lake):
    absent = {"Bucket": "iam-open", "Key": "absent"}
    reader = make({"Action": "s3:GetObject", "Resource": "*"})
    assert denial(reader, "s3", "get_object", **absent)["Code"] == "AccessDenied"
    lister = make({"Action": ["s3:GetObject", "s3:ListBucket"], "Resource": "*"})
    assert denial(lister, "s3", "get_object", **absent)["Code"] == "NoSuchKey"


def test_of_several_objects_only_those_are_deleted_that_may_be(make, lake):
    for key in ("del/1", "keep/1"):
        boto3.client("s3").put_object(Bucket="iam-open", Key=key, Body=b"x")
    who = make({"Action": "s3:DeleteObject", "Resource": "arn:aws:s3:::iam-open/del/*"})
    answer = who.client("s3").delete_objects(
        Bucket="iam-open", Delete={"Objects": [{"Key": "del/1"}, {"Key": "keep/1"}]}
    )
    assert [each["Key"] for each in answer["Deleted"]] == ["del/1"]
    assert [(each["Key"], each["Code"]) for each in answer["Errors"]] == [
        ("keep/1", "AccessDenied")
    ]
    left = boto3.client("s3").list_objects_v2(Bucket="iam-open")["Contents"]
    assert {each["Key"] for each in left} & {"del/1", "keep/1"} == {"keep/1"}


@pytest.mark.parametrize(
    ("service", "operation", "code"),
    [
        ("s3", "list_buckets", "InvalidAccessKeyId"),
        ("sts", "get_caller_identity", "InvalidClientTokenId"),
        ("glue", "get_databases", "UnrecognizedClientException"),
        ("ec2", "describe_vpcs", "AuthFailure"),
    ],
)
def test_an_unknown_access_key_is_refused(stand_in, service, operation, code):
    assert (
        denial(
            of({"AccessKeyId": "AKIANOBODY0000000000", "SecretAccessKey": "x"}), service, operation
        )["Code"]
        == code
    )


def test_a_session_ends(make, monkeypatch):
    from local_aws.iam import principals  # noqa: PLC0415 - after the stand-in has started

    who = make({"Action": "*", "Resource": "*"})

    class Later(principals.datetime.datetime):
        @classmethod
        def now(cls, zone):
            return super().now(zone) + principals.datetime.timedelta(hours=2)

    monkeypatch.setattr(principals.datetime, "datetime", Later)
    assert denial(who, "glue", "get_databases")["Code"] == "ExpiredTokenException"
    assert denial(who, "s3", "list_buckets")["Code"] == "ExpiredToken"
    assert denial(who, "iam", "list_roles")["Code"] == "ExpiredToken"


def test_a_user_has_its_groups_policies_and_an_inactive_key_opens_nothing(iam, lake):
    iam.create_user(UserName="iam-bob")
    iam.create_group(GroupName="iam-readers")
    iam.add_user_to_group(GroupName="iam-readers", UserName="iam-bob")
    key = iam.create_access_key(UserName="iam-bob")["AccessKey"]
    who = of(key)
    assert may(who, "s3", "get_object", **OBJECT)
    read = document({"Action": "s3:GetObject", "Resource": "arn:aws:s3:::iam-open/*"})
    iam.put_group_policy(GroupName="iam-readers", PolicyName="read", PolicyDocument=read)
    assert not may(who, "s3", "get_object", **OBJECT)
    assert who.client("sts").get_caller_identity()["Arn"] == f"arn:aws:iam::{ACCOUNT}:user/iam-bob"
    iam.update_access_key(UserName="iam-bob", AccessKeyId=key["AccessKeyId"], Status="Inactive")
    assert denial(who, "s3", "get_object", **OBJECT)["Code"] == "InvalidAccessKeyId"


def test_a_managed_policy_counts_in_its_default_version(iam, make, lake):
    first = document({"Action": "s3:GetObject", "Resource": "*"})
    arn = iam.create_policy(PolicyName="iam-managed", PolicyDocument=first)["Policy"]["Arn"]
    who = make(managed=[arn])
    assert not may(who, "s3", "get_object", **OBJECT)
    iam.create_policy_version(
        PolicyArn=arn,
        PolicyDocument=document({"Action": "s3:List*", "Resource": "*"}),
        SetAsDefault=True,
    )
    assert may(who, "s3", "get_object", **OBJECT)


def test_awss_own_policies_count(make, lake):
    assert not may(
        make(managed=["arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess"]),
        "s3",
        "get_object",
        **OBJECT,
    )


def test_nothing_goes_beyond_the_permissions_boundary(iam, make, lake):
    limit = document({"Action": "s3:*", "Resource": "*"})
    boundary = iam.create_policy(PolicyName="iam-boundary", PolicyDocument=limit)["Policy"]["Arn"]
    who = make({"Action": "*", "Resource": "*"}, boundary=boundary)
    assert not may(who, "s3", "get_object", **OBJECT)
    said = denial(who, "glue", "get_table", **TABLE)["Message"]
    assert said.endswith("because no permissions boundary allows the glue:GetTable action")


def test_a_session_policy_narrows_the_role(make, lake):
    only = document({"Action": "s3:GetObject", "Resource": "arn:aws:s3:::iam-open/hr/*"})
    who = make({"Action": "s3:*", "Resource": "*"}, Policy=only)
    assert not may(who, "s3", "get_object", Bucket="iam-open", Key="hr/1")
    assert (
        "because no session policy allows" in denial(who, "s3", "get_object", **OBJECT)["Message"]
    )


# Trust


def test_a_role_for_a_service_is_for_no_user(make):
    with pytest.raises(ClientError, match="is not authorized to perform: sts:AssumeRole"):
        make({"Action": "*", "Resource": "*"}, trusted=trust(Service="glue.amazonaws.com"))


def test_trust_in_the_account_leaves_it_to_iam_who_may_take_the_role(make, iam):
    target = f"iam-target-{time.time_ns()}"
    make(name=target)  # the administrator may
    arn = f"arn:aws:iam::{ACCOUNT}:role/{target}"
    with pytest.raises(ClientError, match="not authorized to perform: sts:AssumeRole"):
        session(arn, by=make())
    session(arn, by=make({"Action": "sts:AssumeRole", "Resource": arn}))


def test_trust_in_a_role_by_name_is_enough_for_it(make, iam):
    make(name="iam-caller")
    caller = session(f"arn:aws:iam::{ACCOUNT}:role/iam-caller")
    target = f"iam-named-{time.time_ns()}"
    trusted = trust(
        AWS=[
            f"arn:aws:iam::{ACCOUNT}:role/iam-caller",
            f"arn:aws:iam::{ACCOUNT}:user/administrator",
        ]
    )
    make(name=target, trusted=trusted)
    assert session(f"arn:aws:iam::{ACCOUNT}:role/{target}", by=caller)


def test_an_external_id_must_be_the_right_one(make):
    wants = document(
        {
            "Principal": {"AWS": ACCOUNT},
            "Action": "sts:AssumeRole",
            "Condition": {"StringEquals": {"sts:ExternalId": "42"}},
        }
    )
    assert make(trusted=wants, ExternalId="42")
    for wrong in ({}, {"ExternalId": "43"}):
        with pytest.raises(ClientError, match="sts:AssumeRole"):
            make(trusted=wants, **wrong)


def test_a_session_lasts_no_longer_than_the_role_allows_and_an_hour_when_chained(make, iam):
    with pytest.raises(ClientError, match="exceeds the MaxSessionDuration"):
        make(DurationSeconds=7200)
    name = f"iam-long-{time.time_ns()}"
    make(name=name)
    iam.update_role(RoleName=name, MaxSessionDuration=14400)
    arn = f"arn:aws:iam::{ACCOUNT}:role/{name}"
    assert session(arn, DurationSeconds=14400)
    with pytest.raises(ClientError, match="role chaining"):
        session(arn, by=make({"Action": "sts:AssumeRole", "Resource": "*"}), DurationSeconds=14400)


def test_session_tags_need_a_right_of_their_own_and_count(make, lake):
    tagging = document(
        {"Principal": {"AWS": ACCOUNT}, "Action": ["sts:AssumeRole", "sts:TagSession"]}
    )
    own = {"Action": "s3:GetObject", "Resource": "arn:aws:s3:::iam-open/${aws:PrincipalTag/team}/*"}
    who = make(own, trusted=tagging, Tags=[{"Key": "team", "Value": "sales"}])
    assert not may(who, "s3", "get_object", **OBJECT)
    assert may(who, "s3", "get_object", Bucket="iam-open", Key="hr/1")
    with pytest.raises(ClientError, match="sts:TagSession"):
        make(own, Tags=[{"Key": "team", "Value": "sales"}])


def test_a_user_gets_a_token_for_itself_and_a_session_does_not(iam, make):
    token = of(boto3.client("sts").get_session_token()["Credentials"])
    assert token.client("sts").get_caller_identity()["Arn"].endswith(":user/administrator")
    assert denial(make(), "sts", "get_session_token")["Code"] == "AccessDenied"


def test_a_role_that_is_not_there_cannot_be_taken(stand_in):
    with pytest.raises(
        ClientError, match=r"not authorized to perform: sts:AssumeRole on resource: .*role/absent"
    ):
        session(f"arn:aws:iam::{ACCOUNT}:role/absent")


# Policies of resources


def test_a_bucket_policy_lets_a_role_in_and_keeps_another_out(make, lake):
    who = make(name="iam-inside")
    arn = f"arn:aws:iam::{ACCOUNT}:role/iam-inside"
    s3 = boto3.client("s3")
    into = {
        "Principal": {"AWS": arn},
        "Action": "s3:GetObject",
        "Resource": "arn:aws:s3:::iam-own/*",
    }
    s3.put_bucket_policy(Bucket="iam-own", Policy=document(into))
    assert not may(who, "s3", "get_object", Bucket="iam-own", Key="hr/1")
    assert may(make(), "s3", "get_object", Bucket="iam-own", Key="hr/1")
    s3.put_bucket_policy(Bucket="iam-own", Policy=document({**into, "Effect": "Deny"}))
    said = denial(session(arn), "s3", "get_object", Bucket="iam-own", Key="hr/1")
    assert "with an explicit deny in a resource-based policy" in said["Message"]
    assert not may(
        make({"Action": "s3:*", "Resource": "*"}), "s3", "get_object", Bucket="iam-own", Key="hr/1"
    )
    s3.delete_bucket_policy(Bucket="iam-own")


def test_a_bucket_that_wants_encrypted_transport_stays_open(lake):
    s3 = boto3.client("s3")
    tls = {
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:*",
        "Resource": "arn:aws:s3:::iam-own/*",
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }
    s3.put_bucket_policy(Bucket="iam-own", Policy=document(tls))
    assert s3.get_object(Bucket="iam-own", Key="hr/1")
    s3.delete_bucket_policy(Bucket="iam-own")


def test_a_key_is_used_only_by_whom_its_policy_lets(make, iam, lake):
    kms = boto3.client("kms")
    make(name="iam-key-user")
    arn = f"arn:aws:iam::{ACCOUNT}:role/iam-key-user"
    administered = {
        "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:user/administrator"},
        "Action": "kms:*",
        "Resource": "*",
    }
    use = {"Principal": {"AWS": arn}, "Action": "kms:Encrypt", "Resource": "*"}
    key = kms.create_key(Policy=document(administered, use))["KeyMetadata"]["Arn"]
    assert not may(session(arn), "kms", "encrypt", KeyId=key, Plaintext=b"x")
    everything = make({"Action": "kms:*", "Resource": "*"})
    said = denial(everything, "kms", "encrypt", KeyId=key, Plaintext=b"x")["Message"]
    assert said.endswith("because no resource-based policy allows the kms:Encrypt action")
    # its policy leaves it to IAM
    assert not may(everything, "kms", "encrypt", KeyId=lake["key"], Plaintext=b"x")
    kms.create_alias(AliasName="alias/iam-key", TargetKeyId=key)
    assert may(everything, "kms", "encrypt", KeyId="alias/iam-key", Plaintext=b"x")


def test_an_encrypted_bucket_needs_its_key_and_only_through_s3(make, lake):
    s3, kms = boto3.client("s3"), boto3.client("kms")
    rule = {
        "ApplyServerSideEncryptionByDefault": {
            "SSEAlgorithm": "aws:kms",
            "KMSMasterKeyID": lake["key"],
        }
    }
    s3.create_bucket(
        Bucket="iam-encrypted", CreateBucketConfiguration={"LocationConstraint": REGION}
    )
    s3.put_bucket_encryption(
        Bucket="iam-encrypted", ServerSideEncryptionConfiguration={"Rules": [rule]}
    )
    s3.put_object(Bucket="iam-encrypted", Key="k", Body=b"x")
    objects = {"Action": ["s3:GetObject", "s3:PutObject"], "Resource": "*"}
    said = denial(make(objects), "s3", "put_object", Bucket="iam-encrypted", Key="k", Body=b"")
    assert (said["Code"], "kms:GenerateDataKey on resource: " + lake["key"] in said["Message"]) == (
        "AccessDenied",
        True,
    )
    assert may(make(objects), "s3", "get_object", Bucket="iam-encrypted", Key="k")
    through = {"StringEquals": {"kms:ViaService": f"s3.{REGION}.amazonaws.com"}}
    who = make(
        objects,
        {
            "Action": ["kms:Decrypt", "kms:GenerateDataKey"],
            "Resource": lake["key"],
            "Condition": through,
        },
    )
    assert not may(who, "s3", "get_object", Bucket="iam-encrypted", Key="k")
    assert not may(who, "s3", "put_object", Bucket="iam-encrypted", Key="k", Body=b"")
    assert may(who, "kms", "generate_data_key", KeyId=lake["key"], KeySpec="AES_256")
    kms.create_alias(AliasName="alias/iam-encrypted", TargetKeyId=lake["key"])
    by_alias = {
        "ServerSideEncryption": "aws:kms",
        "Bucket": "iam-encrypted",
        "Key": "k",
        "Body": b"",
    }
    assert not may(who, "s3", "put_object", **by_alias, SSEKMSKeyId="alias/iam-encrypted")
    assert (
        denial(make(objects), "s3", "put_object", **by_alias, SSEKMSKeyId="alias/iam-encrypted")[
            "Code"
        ]
        == "AccessDenied"
    )
    assert (
        denial(who, "s3", "put_object", **by_alias, SSEKMSKeyId="alias/nobody")["Code"]
        == "KMS.NotFoundException"
    )
    kms.disable_key(KeyId=lake["key"])
    assert (
        denial(who, "s3", "get_object", Bucket="iam-encrypted", Key="k")["Code"]
        == "KMS.DisabledException"
    )
    kms.enable_key(KeyId=lake["key"])


def test_a_secrets_own_policy_counts(make, lake):
    who = make(name="iam-secret-reader")
    arn = f"arn:aws:iam::{ACCOUNT}:role/iam-secret-reader"
    policy = document(
        {"Principal": {"AWS": arn}, "Action": "secretsmanager:GetSecretValue", "Resource": "*"}
    )
    boto3.client("secretsmanager").put_resource_policy(SecretId="iam-secret", ResourcePolicy=policy)
    assert not may(who, "secretsmanager", "get_secret_value", SecretId="iam-secret")
    boto3.client("secretsmanager").delete_resource_policy(SecretId="iam-secret")


# Passing roles


def test_a_role_is_passed_only_to_the_service_it_may_be_passed_to(make, iam):
    make(name="iam-job", trusted=trust(AWS=ACCOUNT, Service="glue.amazonaws.com"))
    arn = f"arn:aws:iam::{ACCOUNT}:role/iam-job"
    job = {
        "Name": "iam-job",
        "Role": arn,
        "Command": {"Name": "glueetl", "ScriptLocation": "s3://iam-open/s.py"},
    }
    creates = {"Action": "glue:CreateJob", "Resource": "*"}
    said = denial(make(creates), "glue", "create_job", **job)["Message"]
    assert f"iam:PassRole on resource: {arn}" in said
    passes = {"Action": "iam:PassRole", "Resource": arn}
    to = lambda name: {  # noqa: E731
        "Condition": {"StringEquals": {"iam:PassedToService": f"{name}.amazonaws.com"}}
    }
    assert may(make(creates, passes | to("dms")), "glue", "create_job", **job)
    assert not may(make(creates, passes | to("glue")), "glue", "create_job", **job)
    boto3.client("glue").delete_job(JobName="iam-job")


def test_who_makes_roles_may_have_to_give_them_a_boundary(iam, make):
    limit = document({"Action": "s3:*", "Resource": "*"})
    boundary = iam.create_policy(PolicyName="iam-must", PolicyDocument=limit)["Policy"]["Arn"]
    must = {"StringEquals": {"iam:PermissionsBoundary": boundary}}
    who = make(
        {"Action": ["iam:CreateRole", "iam:PutRolePolicy"], "Resource": "*", "Condition": must}
    )
    asked = {"RoleName": "iam-bounded", "AssumeRolePolicyDocument": ROOT}
    assert may(who, "iam", "create_role", **asked)
    assert not may(who, "iam", "create_role", **asked, PermissionsBoundary=boundary)
    own = {"PolicyName": "p", "PolicyDocument": limit}
    assert not may(who, "iam", "put_role_policy", RoleName="iam-bounded", **own)
    make(name="iam-unbounded")
    assert may(who, "iam", "put_role_policy", RoleName="iam-unbounded", **own)
    for name in ("iam-bounded",):
        iam.delete_role_policy(RoleName=name, PolicyName="p")
        iam.delete_role(RoleName=name)


def test_a_dry_run_says_whether_it_would_have_been_allowed(make):
    vpc = {"CidrBlock": "10.9.0.0/16", "DryRun": True}
    assert denial(make(), "ec2", "create_vpc", **vpc)["Code"] == "UnauthorizedOperation"
    assert denial(boto3, "ec2", "create_vpc", **vpc)["Code"] == "DryRunOperation"
    assert "10.9.0.0/16" not in [
        each["CidrBlock"] for each in boto3.client("ec2").describe_vpcs()["Vpcs"]
    ]


def test_a_tag_of_the_resource_decides(make, iam, lake):
    who = make(
        {
            "Action": "sns:*",
            "Resource": "*",
            "Condition": {"StringEquals": {"aws:ResourceTag/team": "sales"}},
        }
    )
    sns = boto3.client("sns")
    for team in ("sales", "hr"):
        arn = sns.create_topic(Name=f"iam-{team}", Tags=[{"Key": "team", "Value": team}])[
            "TopicArn"
        ]
        assert (may(who, "sns", "get_topic_attributes", TopicArn=arn) is None) == (team == "sales")
        sns.delete_topic(TopicArn=arn)


# What is not known is said


def test_an_unknown_condition_key_is_a_loud_error_and_allows_nothing(make, lake):
    who = make(
        {
            "Action": "s3:GetObject",
            "Resource": "*",
            "Condition": {"StringEquals": {"aws:Weather": "sunny"}},
        }
    )
    with pytest.raises(ClientError, match=r"NotInLocalAws.*aws:Weather"):
        who.client("s3").get_object(**OBJECT)


# The simulator


def test_the_simulator_says_what_calls_will_find(make, iam):
    make(
        {"Action": "s3:GetObject", "Resource": "arn:aws:s3:::iam-open/*"},
        {"Effect": "Deny", "Action": "s3:DeleteObject", "Resource": "*"},
        name="iam-simulated",
    )
    pages = iam.get_paginator("simulate_principal_policy").paginate(
        PolicySourceArn=f"arn:aws:iam::{ACCOUNT}:role/iam-simulated",
        ActionNames=["s3:GetObject", "s3:PutObject", "s3:DeleteObject"],
        ResourceArns=["arn:aws:s3:::iam-open/k"],
        PaginationConfig={"PageSize": 2},
    )
    found = {
        each["EvalActionName"]: each["EvalDecision"]
        for page in pages
        for each in page["EvaluationResults"]
    }
    assert found == {
        "s3:GetObject": "allowed",
        "s3:PutObject": "implicitDeny",
        "s3:DeleteObject": "explicitDeny",
    }


def test_the_simulator_takes_conditions_from_the_question_and_names_those_that_lack(iam):
    policy = document(
        {
            "Action": "s3:*",
            "Resource": "*",
            "Condition": {"StringEquals": {"aws:RequestedRegion": REGION}},
        }
    )
    ask = {"PolicyInputList": [policy], "ActionNames": ["s3:GetObject"]}
    result = iam.simulate_custom_policy(**ask)["EvaluationResults"][0]
    assert (result["EvalDecision"], result["MissingContextValues"]) == (
        "implicitDeny",
        ["aws:RequestedRegion"],
    )
    entry = {
        "ContextKeyName": "aws:RequestedRegion",
        "ContextKeyValues": [REGION],
        "ContextKeyType": "string",
    }
    result = iam.simulate_custom_policy(**ask, ContextEntries=[entry])["EvaluationResults"][0]
    assert result["EvalDecision"] == "allowed"


# Other accounts


def test_another_accounts_bucket_needs_both_accounts_consent(make, lake):
    from moto.iam.models import iam_backends  # noqa: PLC0415 - after the stand-in has started

    other = iam_backends["999999999999"]["aws"]
    with contextlib.suppress(Exception):
        other.create_role("iam-guest", ROOT.replace(ACCOUNT, ACCOUNT), "/", None, "", [], "3600")
    guest = "arn:aws:iam::999999999999:role/iam-guest"
    who = session(guest)
    assert may(who, "s3", "get_object", **OBJECT)
    other.put_role_policy("iam-guest", "p", document({"Action": "s3:*", "Resource": "*"}))
    assert may(who, "s3", "get_object", **OBJECT)
    s3 = boto3.client("s3")
    s3.put_bucket_policy(
        Bucket="iam-open",
        Policy=document(
            {
                "Principal": {"AWS": "999999999999"},
                "Action": "s3:GetObject",
                "Resource": "arn:aws:s3:::iam-open/*",
            }
        ),
    )
    assert not may(who, "s3", "get_object", **OBJECT)
    s3.delete_bucket_policy(Bucket="iam-open")


def test_authorization_costs_well_under_a_millisecond(make, lake):
    from local_aws.iam import context as iam_context  # noqa: PLC0415 - after the stand-in has started
    from local_aws.iam import evaluation  # noqa: PLC0415 - after the stand-in has started
    from local_aws.principal import Principal  # noqa: PLC0415 - after the stand-in has started
    from service_authorization import required  # noqa: PLC0415 - after the stand-in has started

    policy = document(
        *[{"Action": f"s3:Get{n}", "Resource": f"arn:aws:s3:::b{n}/*"} for n in range(50)], READ
    )
    who = Principal(
        "AssumedRole",
        f"arn:aws:sts::{ACCOUNT}:assumed-role/r/s",
        ACCOUNT,
        "AROA:s",
        role_arn=f"arn:aws:iam::{ACCOUNT}:role/r",
    )
    policies, start = evaluation.Policies((policy,), policy), time.perf_counter()
    for _ in range(200):
        for need in required("glue", "GetTable", TABLE, ACCOUNT, REGION):
            for resource in need.resources:
                context = iam_context.Context(who, need.action, resource, REGION, TABLE)
                assert evaluation.decide(policies, context).allowed
    # seconds; a busy machine is no failure, a lost cache is
    assert (time.perf_counter() - start) / 200 < 0.005


def test_what_only_get_operations_tell_is_not_in_lists(iam, make):
    tags, document_ = [{"Key": "a", "Value": "b"}], document({"Action": "*", "Resource": "*"})
    policy = iam.create_policy(
        PolicyName="listed", PolicyDocument=document_, Description="d", Tags=tags
    )["Policy"]["Arn"]
    make(name="listed", boundary=policy)
    iam.tag_role(RoleName="listed", Tags=tags)
    pages = iam.get_paginator("list_roles").paginate()
    roles = [each for page in pages for each in page["Roles"]]
    [listed] = [each for each in roles if each["RoleName"] == "listed"]
    told = iam.get_role(RoleName="listed")["Role"]
    assert set(told) - set(listed) == {"PermissionsBoundary", "RoleLastUsed", "Tags"}
    policies = iam.list_policies(Scope="Local")["Policies"]
    [listed] = [each for each in policies if each["PolicyName"] == "listed"]
    assert {"Description", "Tags"}.isdisjoint(listed)
    [version] = iam.list_policy_versions(PolicyArn=policy)["Versions"]
    assert "Document" not in version
