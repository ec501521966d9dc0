"""Every declaration converges: calls on an empty account, none after they were made, and exactly
the mending ones after drift.
"""

import json

import boto3
import pytest
from echoes import needed_otherwise
from moto.s3.models import s3_backends

from lakebook import CheckError, LakebookError, check_converged, ensure
from lakebook.access import lake_access
from lakebook.ensure import Call, Resource, calls, role_propagation, wait
from lakebook.names import Names
from lakebook.services import ec2, glue, iam, lakeformation, s3

pytestmark = pytest.mark.usefixtures("stand_in")
NAMES = Names("acme", "declared", "123456789012", "eu-west-1")
COLUMNS = [("id", "bigint", "the key"), ("name", "string", "")]
TABLE = glue.parquet_table(
    COLUMNS, "s3://acme-declared-raw/t/", "a table", {"a": "1"}, [("month", "string", "")]
)


def declarations():
    trust = {"arn:aws:s3:::acme-declared-raw/*": ["s3:GetObject"]}
    return [
        s3.bucket("acme-declared-raw", "eu-west-1"),
        s3.stored_object("s3://acme-declared-raw/script.py", "print(1)"),
        iam.role(
            "acme-declared-role",
            "glue.amazonaws.com",
            allow=trust,
            managed=("service-role/AWSGlueServiceRole",),
        ),
        glue.database("declared", "a database"),
        glue.table("t", "declared", TABLE),
        glue.partitions("t", "declared", {("2013-01",): "s3://acme-declared-raw/t/month=2013-01/"}),
        lakeformation.administrator("arn:aws:iam::123456789012:user/administrator"),
        lakeformation.location(
            "arn:aws:s3:::acme-declared-raw", "arn:aws:iam::123456789012:role/acme-declared-role"
        ),
        lakeformation.grants(
            "of a role",
            [
                (
                    "arn:aws:iam::123456789012:role/acme-declared-role",
                    {"Database": {"Name": "declared"}},
                    ["DESCRIBE"],
                )
            ],
        ),
    ]


@pytest.fixture(scope="module")
def declared(stand_in):
    planned = calls(declarations()[:1])
    ensure(declarations(), apply=True)
    return planned


def test_a_plan_on_an_empty_account_lists_calls_and_makes_none(declared):
    actions = [call.action for _, call in declared]
    assert actions == [
        "s3:CreateBucket",
        "s3:PutPublicAccessBlock",
        "s3:PutBucketPolicy",
        "s3:PutBucketEncryption",
        "s3:PutBucketLifecycleConfiguration",
    ]


@pytest.mark.parametrize("number", range(9))
def test_nothing_is_needed_once_it_is_made(declared, number):
    assert calls([declarations()[number]]) == []


def test_the_order_and_spelling_of_answers_need_no_call(declared):
    assert needed_otherwise(declarations()) == []


def test_any_number_of_partitions_is_made_moved_and_removed_in_as_many_calls_as_aws_wants(declared):
    where = {str(n): f"s3://acme-declared-raw/t/{n}/" for n in range(130)}
    many = {(value,): place for value, place in where.items()}
    ensure([glue.table("many", "declared", TABLE)], apply=True)

    def made(wanted):
        return list(ensure([glue.partitions("many", "declared", wanted)], apply=True)["call"])

    assert made(many) == ["glue:BatchCreatePartition"] * 2
    moved = {values: f"{place}again/" for values, place in many.items()}
    assert made(moved) == ["glue:BatchUpdatePartition"] * 2
    assert made({}) == ["glue:BatchDeletePartition"] * 6
    assert glue.found_partitions("declared", "many") == []


def test_what_is_still_needed_is_named():
    wanted = glue.database("not made", "")
    with pytest.raises(CheckError, match=r"found .'glue:CreateDatabase for database not made'."):
        check_converged([wanted], when=True)


def drift_public_access():
    boto3.client("s3").delete_public_access_block(Bucket="acme-declared-raw")


def drift_role_policy():
    boto3.client("iam").put_role_policy(
        RoleName="acme-declared-role",
        PolicyName="lakebook",
        PolicyDocument=json.dumps(
            {
                "Version": "2012-10-17",
                "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}],
            }
        ),
    )


def drift_bucket_policy():
    boto3.client("s3").delete_bucket_policy(Bucket="acme-declared-raw")


def drift_database():
    boto3.client("glue").update_database(
        Name="declared", DatabaseInput={"Name": "declared", "Description": "changed"}
    )


def drift_table_columns():
    changed = {
        **TABLE,
        "StorageDescriptor": {
            **TABLE["StorageDescriptor"],
            "Columns": [{"Name": "id", "Type": "int"}],
        },
    }
    boto3.client("glue").update_table(DatabaseName="declared", TableInput={"Name": "t", **changed})


def drift_partition():
    boto3.client("glue").delete_partition(
        DatabaseName="declared", TableName="t", PartitionValues=["2013-01"]
    )


def drift_script():
    boto3.client("s3").put_object(Bucket="acme-declared-raw", Key="script.py", Body=b"print(2)")


def drift_location():
    boto3.client("lakeformation").deregister_resource(ResourceArn="arn:aws:s3:::acme-declared-raw")


def drift_grant():
    boto3.client("lakeformation").revoke_permissions(
        Principal={
            "DataLakePrincipalIdentifier": "arn:aws:iam::123456789012:role/acme-declared-role"
        },
        Resource={"Database": {"Name": "declared"}},
        Permissions=["DESCRIBE"],
    )


@pytest.mark.parametrize(
    ("drift", "mended_by"),
    [
        (drift_public_access, "s3:PutPublicAccessBlock"),
        (drift_bucket_policy, "s3:PutBucketPolicy"),
        (drift_role_policy, "iam:PutRolePolicy"),
        (drift_database, "glue:UpdateDatabase"),
        (drift_table_columns, "glue:UpdateTable"),
        (drift_partition, "glue:BatchCreatePartition"),
        (drift_script, "s3:PutObject"),
        (drift_location, "lakeformation:RegisterResource"),
        (drift_grant, "lakeformation:GrantPermissions"),
    ],
)
def test_drift_is_planned_as_exactly_the_call_that_mends_it(declared, drift, mended_by):
    drift()
    assert [call.action for _, call in calls(declarations())] == [mended_by]
    ensure(declarations(), apply=True)
    assert calls(declarations()) == []


def test_a_bucket_name_of_another_account_is_one_clear_sentence(stand_in):
    s3_backends["999999999999"]["aws"].create_bucket("acme-taken-raw", "eu-west-1")
    with pytest.raises(LakebookError, match="belongs to somebody else"):
        ensure([s3.bucket("acme-taken-raw", "eu-west-1")], apply=True)


def test_a_wait_says_what_it_saw_last_when_time_is_up():
    with pytest.raises(LakebookError, match="still 'creating' after"):
        wait("something", lambda: "creating", timeout_seconds=0.1)


def test_a_call_is_repeated_while_a_new_role_is_not_yet_usable(stand_in):
    answers = iter([True, False])

    class Client:
        meta = boto3.client("dms").meta

        def create_endpoint(self, **_):
            if next(answers):
                raise boto3.client("dms").exceptions.AccessDeniedFault(
                    {"Error": {"Code": "AccessDeniedFault", "Message": "role"}}, "CreateEndpoint"
                )
            return {}

    with role_propagation(seconds=30):
        Call(Client().create_endpoint, {}).run()
    assert next(answers, "both used") == "both used"


def test_a_plan_before_the_roles_are_made_lists_what_they_will_be_granted(declared):
    planned = [call.action for _, call in calls(lakeformation.governance(NAMES, []))]
    assert planned.count("lakeformation:GrantPermissions") == 5


def test_databases_that_neither_iam_nor_a_classification_opens_are_named(declared):
    lake = boto3.client("lakeformation")
    settings = lake.get_data_lake_settings()["DataLakeSettings"]
    ours = [NAMES.database(layer) for layer in ("raw", "staging", "curated")]
    ensure([glue.database(ours[0], "")], apply=True)
    lake.put_data_lake_settings(
        DataLakeSettings={**settings, "CreateDatabaseDefaultPermissions": []}
    )
    ensure([glue.database(each, "") for each in ours[1:]], apply=True)
    lake.put_data_lake_settings(DataLakeSettings=settings)
    assert lake_access.closed_to_iam(NAMES, None) == sorted(ours[1:])


def test_what_is_merely_implied_is_granted_all_the_same(declared):
    role = "arn:aws:iam::123456789012:role/acme-declared-role"
    every = (role, {"Table": {"DatabaseName": "declared", "TableWildcard": {}}}, ["DESCRIBE"])
    one = (role, {"Table": {"DatabaseName": "declared", "Name": "t"}}, ["DESCRIBE", "SELECT"])
    for each in (every, one):
        ensure([lakeformation.grants("", [each])], apply=True)
        assert calls([lakeformation.grants("", [each])]) == []
    held = {
        lakeformation.what(each) for each in lakeformation.held() if lakeformation.who(each) == role
    }
    assert {lakeformation.what({"Resource": on}) for _, on, _ in (every, one)} <= held


def test_a_grant_right_after_another_administrator_is_tried_until_it_is_taken(
    declared, slow_to_settle
):
    role = "arn:aws:iam::123456789012:role/acme-declared-role"
    on = {"Database": {"Name": "declared"}}
    with role_propagation(seconds=30):
        ensure(
            [
                lakeformation.administrator(role),
                lakeformation.grants("", [(role, on, ["ALTER"])]),
                lakeformation.revoked(
                    "",
                    lambda entry: (
                        {"ALTER"} & set(entry["Permissions"])
                        if lakeformation.who(entry) == role
                        else set()
                    ),
                ),
            ],
            apply=True,
        )


def test_without_subnets_named_or_made_a_plan_says_so_in_words(stand_in):
    assert ec2.subnets(NAMES, []) == ["<the private subnets of acme-declared-vpc>"]


def test_names_derive_from_the_parameters_alone():
    assert (NAMES.raw_bucket, NAMES.database("curated")) == (
        "acme-declared-raw",
        "acme_declared_curated",
    )


def test_what_is_needed_is_listed_in_the_order_of_the_resources():
    def needs(number):
        return lambda: iter([number])

    wanted = [Resource(str(number), needs(number)) for number in range(50)]
    assert calls(wanted) == [(str(number), number) for number in range(50)]


def test_after_an_error_no_other_resource_is_begun():
    begun = []

    def needs(name):
        begun.append(name)
        raise LakebookError(name)
        yield

    wanted = [Resource(name, lambda name=name: needs(name)) for name in "abcdefgh"]
    with pytest.raises(LakebookError, match="a"):
        ensure(wanted, apply=True, at_once=2)
    assert len(begun) < len(wanted)


@pytest.mark.parametrize(
    ("comment", "kept"),
    [
        ("A = Active\nB = blocked\r\n\tC", "A = Active B = blocked C"),
        ("bell \x07 and \x1f unit", "bell   and unit"),
        ("\N{WORM}" * 200, "\N{WORM}" * 127),
    ],
)
def test_a_comment_of_any_characters_and_length_is_kept_as_glue_takes_it(declared, comment, kept):
    table = glue.parquet_table(
        [("id", "bigint", comment)], "s3://acme-declared-raw/c/", comment, {}
    )
    declared_table = [glue.table("commented", "declared", table)]
    ensure(declared_table, apply=True)
    assert calls(declared_table) == []
    described = glue.describe("declared", "commented")
    assert described["StorageDescriptor"]["Columns"][0]["Comment"] == kept
