"""The policy made of a run's calls: exact where it matters, patterns where names abound, nothing
that was not used.
"""

import pytest

from lakebook.audit.least_privilege import policy
from lakebook.names import Names

NAMES = Names("acme", "rehearsal", "123456789012", "eu-west-1")
GLUE = "arn:aws:glue:eu-west-1:123456789012"
ROLE = "arn:aws:iam::123456789012:role/acme-rehearsal-"


def statements(*rights):
    return policy(rights, NAMES)["Statement"]


def test_what_is_read_of_a_service_shares_a_statement_and_names_become_placeholders():
    [only] = statements(
        ("glue:GetTable", (f"{GLUE}:catalog", f"{GLUE}:table/acme_rehearsal_raw/a"), ()),
        ("glue:GetTables", (f"{GLUE}:catalog", f"{GLUE}:table/acme_rehearsal_raw/a"), ()),
    )
    assert only["Action"] == ["glue:GetTable", "glue:GetTables"]
    assert only["Resource"] == [
        "arn:aws:glue:${region}:${account}:catalog",
        "arn:aws:glue:${region}:${account}:table/${prefix}_${environment}_raw/a",
    ]


def test_many_resources_of_a_kind_become_the_pattern_of_what_they_share():
    tables = [("glue:GetTable", (f"{GLUE}:table/acme_rehearsal_raw/t{n}",), ()) for n in range(4)]
    [only] = statements(*tables)
    assert only["Resource"] == [
        "arn:aws:glue:${region}:${account}:table/${prefix}_${environment}_raw/*"
    ]


def test_buckets_and_objects_are_different_kinds():
    buckets = [
        ("s3:GetBucketPolicy", (f"arn:aws:s3:::acme-rehearsal-{name}",), ()) for name in "abcd"
    ]
    objects = [
        ("s3:GetObject", (f"arn:aws:s3:::acme-rehearsal-a/x/{name}",), ()) for name in "abcd"
    ]
    [only] = statements(*buckets, *objects)
    assert only["Resource"] == [
        "arn:aws:s3:::${prefix}-${environment}-*",
        "arn:aws:s3:::${prefix}-${environment}-a/x/*",
    ]


def test_changed_roles_are_never_a_pattern_as_the_operator_is_one():
    [only] = statements(*(("iam:PutRolePolicy", (f"{ROLE}{name}",), ()) for name in "abcdef"))
    assert len(only["Resource"]) == 6


def test_a_role_is_passed_only_to_the_service_it_was_passed_to():
    [only] = statements(
        ("iam:PassRole", (f"{ROLE}glue",), (("iam:PassedToService", "glue.amazonaws.com"),))
    )
    assert only["Condition"] == {"StringEquals": {"iam:PassedToService": "glue.amazonaws.com"}}


def test_what_has_no_resource_is_allowed_on_all():
    [only] = statements(("ec2:DescribeVpcs", ("*",), ()))
    assert only["Resource"] == ["*"]


@pytest.mark.parametrize(
    ("arn", "pattern"),
    [
        ("arn:aws:ec2:eu-west-1:123456789012:vpc/vpc-a4cd6c60da1e8acf0", "vpc/*"),
        (
            "arn:aws:ec2:eu-west-1:123456789012:transit-gateway-route-table/tgw-rtb-0636ac4eb4525c681",
            "route-table/*",
        ),
        ("arn:aws:dms:eu-west-1:123456789012:task:V3IXF2GAXL4NO9NR0W12L6L6MG", "task:*"),
        ("arn:aws:kms:eu-west-1:123456789012:key/02b9758e-03b4-4cb9-ade2-da8954dfc529", "key/*"),
        (
            "arn:aws:s3:::acme-rehearsal-jobs/curation/manifests/94b4c26778d31167.json",
            "manifests/*",
        ),
        ("arn:aws:s3:::acme-rehearsal-jobs/scripts/raw_to_curated.py", "scripts/raw_to_curated.py"),
        ("arn:aws:iam::123456789012:role/acme-rehearsal-migration-operator", "-migration-operator"),
    ],
)
def test_what_aws_names_is_left_open(arn, pattern):
    [only] = statements(("x:GetIt", (arn,), ()))
    assert only["Resource"][0].endswith(pattern)


def test_how_the_caller_became_the_operator_is_no_right_of_the_operator():
    assert statements(("sts:AssumeRole", (f"{ROLE}migration-operator",), ())) == []
