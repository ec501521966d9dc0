"""A KMS key that exists already (kms_key_arn): its policy is read, what it lacks is said, and 02
with it is the operator's work from beginning to end.
"""

import json

import boto3
import foundation
import pytest

from lakebook import LakebookError, calls, ensure
from lakebook import foundation as lakebook_foundation
from lakebook.people import personas
from lakebook.services import kms

pytestmark = pytest.mark.usefixtures("stand_in")
NAMES = foundation.names("given")
ROOT = f"arn:aws:iam::{foundation.ACCOUNT}:root"
IAM_DECIDES = {
    "Sid": "Enable IAM User Permissions",
    "Effect": "Allow",
    "Principal": {"AWS": ROOT},
    "Action": "kms:*",
    "Resource": "*",
}


def key(*statements):
    """A key of somebody's with this policy, as a company's security team makes it."""
    policy = json.dumps({"Version": "2012-10-17", "Statement": list(statements)})
    return boto3.client("kms").create_key(Policy=policy)["KeyMetadata"]["Arn"]


def for_services():
    """What our own key's policy says of AWS's services."""
    statements = kms.key_policy(NAMES, [])["Statement"]
    return [each for each in statements if "Service" in each["Principal"]]


@pytest.fixture
def operator(stand_in):
    """In the session of the operator, whom an administrator bootstrapped for the key."""
    given = key(IAM_DECIDES, *for_services())
    ensure(foundation.bootstrap(NAMES), apply=True)
    ensure(lakebook_foundation.operators_key(NAMES, given), apply=True)
    taken = boto3.client("sts").assume_role(
        RoleArn=NAMES.role_arn(personas.OPERATOR), RoleSessionName="test"
    )["Credentials"]
    before = boto3.DEFAULT_SESSION
    boto3.setup_default_session(
        aws_access_key_id=taken["AccessKeyId"],
        aws_secret_access_key=taken["SecretAccessKey"],
        aws_session_token=taken["SessionToken"],
    )
    yield given
    boto3.DEFAULT_SESSION = before


def test_the_operator_makes_the_foundation_on_a_key_that_exists(operator):
    parts = foundation.parts(NAMES, services=("kms",), cidr="10.65.0.0/16")
    parts["data"] = lakebook_foundation.data(NAMES, foundation.DAYS, operator)
    declared = [each for part in parts.values() for each in part]
    ensure(declared, apply=True)
    assert calls(declared) == []
    trail = boto3.client("cloudtrail").describe_trails()["trailList"][0]
    assert trail["KmsKeyId"] == operator
    client = boto3.client("s3")
    client.put_object(Bucket=NAMES.raw_bucket, Key="a", Body=b"x")
    assert client.get_object(Bucket=NAMES.raw_bucket, Key="a")["SSEKMSKeyId"] == operator


def test_what_the_policy_of_a_given_key_lacks_is_said_statement_by_statement():
    given = key(IAM_DECIDES, *for_services()[:2])
    with pytest.raises(LakebookError) as refused:
        calls(kms.given_key(NAMES, [], given))
    told = str(refused.value)
    assert told.startswith(f"The policy of the KMS key {given} lacks statements")
    missing = json.loads(told.partition("add them: ")[2])
    assert [each["Sid"] for each in missing] == ["Alarms", "Rules"]
    boto3.client("kms").put_key_policy(
        KeyId=given,
        PolicyName="default",
        Policy=json.dumps(
            {"Version": "2012-10-17", "Statement": [IAM_DECIDES, *for_services()[:2], *missing]}
        ),
    )
    assert calls(kms.given_key(NAMES, [], given))


def test_a_given_key_whose_policy_does_not_let_iam_decide_is_refused():
    analyst = {**IAM_DECIDES, "Action": ["kms:DescribeKey", "kms:GetKeyPolicy", "kms:PutKeyPolicy"]}
    given = key(analyst, *for_services())
    with pytest.raises(LakebookError, match="DecidedByIam"):
        calls(kms.given_key(NAMES, [], given))
