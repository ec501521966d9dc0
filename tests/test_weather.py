"""AWS on a bad day: what a client sees of it, and that nothing is done twice for it."""

import json
import time
from types import SimpleNamespace

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, ConnectionClosedError

import local_aws
from lakebook import aws, ensure
from lakebook.diagnosis.hops import look
from lakebook.diagnosis.path import Path
from lakebook.ensure import Call, Resource, role_propagation
from lakebook.runner import runs
from lakebook.services import s3
from local_aws import settings, weather
from local_aws.__main__ import weather as told
from local_aws.names import WEATHER

ONE_TRY = Config(retries={"total_max_attempts": 1, "mode": "standard"})


@pytest.fixture
def bad(tmp_path, monkeypatch):
    """A function that says the shares of bad calls; there is a stand-in in that weather."""
    with local_aws.running(tmp_path, weather_seed=7):
        fair = dict.fromkeys(weather.SHARES, 0.0)
        monkeypatch.setattr(weather, "SHARES", fair)
        yield lambda **shares: monkeypatch.setattr(weather, "SHARES", fair | shares)


@pytest.mark.parametrize(
    ("service", "call", "arguments", "code", "status"),
    [
        ("s3", "list_buckets", {}, "SlowDown", 503),
        ("ec2", "describe_vpcs", {}, "RequestLimitExceeded", 503),
        ("iam", "list_roles", {}, "Throttling", 400),
        ("glue", "get_databases", {}, "ThrottlingException", 400),
        (
            "quicksight",
            "list_users",
            {"AwsAccountId": "123456789012", "Namespace": "default"},
            "ThrottlingException",
            429,
        ),
    ],
)
def test_a_throttled_call_is_refused_in_the_services_own_words(
    bad, service, call, arguments, code, status
):
    bad(throttled=1)
    with pytest.raises(ClientError) as refused:
        getattr(boto3.client(service, config=ONE_TRY), call)(**arguments)
    assert refused.value.response["Error"]["Code"] == code
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == status


def test_a_lost_connection_is_one_before_anything_happened(bad):
    bad(reset=1)
    with pytest.raises(ConnectionClosedError):
        boto3.client("glue", config=ONE_TRY).create_database(DatabaseInput={"Name": "one"})
    bad()
    assert boto3.client("glue").get_databases()["DatabaseList"] == []


def test_a_lost_answer_is_one_of_a_call_that_was_made(bad):
    bad(lost=1)
    with pytest.raises(ConnectionClosedError):
        boto3.client("glue", config=ONE_TRY).create_database(DatabaseInput={"Name": "one"})
    bad()
    assert [each["Name"] for each in boto3.client("glue").get_databases()["DatabaseList"]] == [
        "one"
    ]


def test_a_late_read_shows_what_was_before_and_then_what_is(bad, monkeypatch):
    monkeypatch.setattr(weather, "STALE_SECONDS", 0.3)
    bad(stale=1)
    client = boto3.client("iam")
    before = client.list_roles()["Roles"]
    client.create_role(RoleName="new", AssumeRolePolicyDocument='{"Statement": []}')
    assert client.list_roles()["Roles"] == before
    end = time.monotonic() + 5
    while client.list_roles()["Roles"] == before:
        assert time.monotonic() < end
    assert [each["RoleName"] for each in client.list_roles()["Roles"]] == ["new"]


def session():
    """A boto3 session of a role that may do everything."""
    iam, anybody = boto3.client("iam"), {"Effect": "Allow", "Principal": {"AWS": "*"}}
    trust = json.dumps({"Statement": [anybody | {"Action": "sts:AssumeRole"}]})
    arn = iam.create_role(RoleName="worker", AssumeRolePolicyDocument=trust)["Role"]["Arn"]
    everything = "arn:aws:iam::aws:policy/AdministratorAccess"
    iam.attach_role_policy(RoleName="worker", PolicyArn=everything)
    taken = boto3.client("sts").assume_role(RoleArn=arn, RoleSessionName="worker")["Credentials"]
    return boto3.Session(taken["AccessKeyId"], taken["SecretAccessKey"], taken["SessionToken"])


def test_a_session_that_has_ended_is_refused_by_every_service_in_its_own_words(bad):
    bad()
    taken = session()
    bad(expired=1)
    seen = []
    for service, call in (
        ("glue", "get_databases"),
        ("s3", "list_buckets"),
        ("ec2", "describe_vpcs"),
        ("iam", "list_roles"),
        ("s3", "list_buckets"),
    ):
        with pytest.raises(ClientError) as refused:
            getattr(taken.client(service), call)()
        seen.append(refused.value.response["Error"]["Code"])
        bad()  # it does not come back
    assert seen == [
        "ExpiredTokenException",
        "ExpiredToken",
        "RequestExpired",
        "ExpiredToken",
        "ExpiredToken",
    ]
    boto3.client("glue").get_databases()  # the user's own key has no end


def test_whose_credentials_expired_is_told_to_renew_them(bad):
    """Not that a bucket is another's, nor that a hop of the path is broken."""
    bad()
    taken = session()
    bad(expired=1)
    with pytest.raises(ClientError) as refused:
        taken.client("ec2").describe_vpcs()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(boto3, "DEFAULT_SESSION", taken)
        with pytest.raises(ClientError) as of_bucket:
            ensure([s3.bucket("acme-bucket", "eu-west-1")], apply=True)
        with pytest.raises(ClientError):
            look("a hop", "line", lambda _: taken.client("ec2").describe_vpcs(), None)
        with pytest.raises(ClientError):
            _ = Path.secret_content.func(SimpleNamespace(secret="source"))
    for error in (refused.value, of_bucket.value):
        told = runs.sentence(type(error).__name__, str(error))
        assert told.startswith("The credentials have expired: renew them."), told


def test_the_stand_in_says_what_its_weather_did(bad, tmp_path):
    assert told(tmp_path) == ""
    bad(throttled=1)
    with pytest.raises(ClientError):
        boto3.client("glue", config=ONE_TRY).get_databases()
    assert json.loads((tmp_path / WEATHER).read_text()) == {
        "seed": 7,
        "counted": {"throttled glue GetDatabases": 1},
    }
    assert told(tmp_path).startswith("The weather of seed 7: 1 throttled;")


def test_objects_of_s3_are_never_read_late(bad):
    bad(stale=1)
    client = boto3.client("s3")
    where = {"LocationConstraint": "eu-west-1"}
    client.create_bucket(Bucket="bucket", CreateBucketConfiguration=where)
    assert "Contents" not in client.list_objects_v2(Bucket="bucket")
    client.put_object(Bucket="bucket", Key="k", Body=b"1")
    assert client.list_objects_v2(Bucket="bucket")["KeyCount"] == 1


def test_the_same_seed_is_the_same_weather():
    drawn = [weather.Weather(None, seed)._chances("glue GetTable") for seed in (7, 7, 8)]
    assert drawn[0] == drawn[1] != drawn[2]


def test_what_a_lost_answer_has_made_is_not_made_again(bad):
    """The call is repeated by botocore, and refused; then the resource is compared anew."""

    def needs():
        client = boto3.client("glue", config=aws.RETRIES)
        if "one" not in [each["Name"] for each in client.get_databases()["DatabaseList"]]:
            bad(lost=1)
            client.meta.events.register("needs-retry.*", lambda **_: bad(), unique_id="fair")
            yield Call(client.create_database, {"DatabaseInput": {"Name": "one"}})

    bad()
    with role_propagation(10):
        done = ensure([Resource("one", needs)], apply=True)
    assert list(done["call"]) == ["glue:CreateDatabase"]
    assert len(boto3.client("glue").get_databases()["DatabaseList"]) == 1


def revoked_rule():
    ec2 = boto3.client("ec2", config=aws.RETRIES)
    group = ec2.describe_security_groups()["SecurityGroups"][0]
    egress = {"GroupId": group["GroupId"], "IpPermissions": group["IpPermissionsEgress"]}
    return (
        Call(ec2.revoke_security_group_egress, egress),
        lambda: (
            not boto3.client("ec2").describe_security_groups()["SecurityGroups"][0][
                "IpPermissionsEgress"
            ]
        ),
    )


def deleted_policy():
    iam, which = boto3.client("iam", config=aws.RETRIES), {"RoleName": "r"}
    iam.create_role(**which, AssumeRolePolicyDocument='{"Statement": []}')
    allow = {"Effect": "Allow", "Action": "s3:ListAllMyBuckets", "Resource": "*"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [allow]})
    iam.put_role_policy(**which, PolicyName="p", PolicyDocument=document)
    return Call(
        iam.delete_role_policy, {**which, "PolicyName": "p"}
    ), lambda: not boto3.client("iam").list_role_policies(**which)["PolicyNames"]


def revoked_grant():
    lake = boto3.client("lakeformation", config=aws.RETRIES)
    boto3.client("glue").create_database(DatabaseInput={"Name": "one"})
    boto3.client("iam").create_role(RoleName="r", AssumeRolePolicyDocument='{"Statement": []}')
    who = {"DataLakePrincipalIdentifier": "arn:aws:iam::123456789012:role/r"}
    grant = {"Principal": who, "Resource": {"Database": {"Name": "one"}}}
    administrator = {"DataLakePrincipalIdentifier": "arn:aws:iam::123456789012:user/administrator"}
    lake.put_data_lake_settings(DataLakeSettings={"DataLakeAdmins": [administrator]})
    lake.grant_permissions(**grant, Permissions=["DESCRIBE"])
    call = Call(lake.revoke_permissions, {**grant, "Permissions": ["DESCRIBE"]})
    listed = boto3.client("lakeformation").list_permissions
    return (
        call,
        lambda: who not in [each["Principal"] for each in listed()["PrincipalResourcePermissions"]],
    )


@pytest.mark.parametrize("made", [revoked_rule, deleted_policy, revoked_grant])
def test_what_a_lost_answer_has_taken_away_is_not_taken_away_again(bad, made):
    bad()
    with settings.settling(0):
        call, is_gone = made()

        def needs():
            if not is_gone():
                bad(lost=1)
                call.method.__self__.meta.events.register(
                    "needs-retry.*", lambda **_: bad(), unique_id="fair"
                )
                yield call

        with role_propagation(10):
            done = ensure([Resource("one", needs)], apply=True)
    assert list(done["call"]) == [call.action]
    assert is_gone()


def test_what_is_there_though_a_late_read_did_not_show_it_is_not_made(bad):
    bad()
    client = boto3.client("glue")
    client.create_database(DatabaseInput={"Name": "one"})
    late = iter([True])

    def needs():
        if next(late, False):
            yield Call(client.create_database, {"DatabaseInput": {"Name": "one"}})

    with role_propagation(10):
        assert ensure([Resource("one", needs)], apply=True).empty


def test_a_workgroup_that_another_phase_made_meanwhile_is_not_made(bad):
    bad()
    client = boto3.client("athena")
    client.create_work_group(Name="meanwhile")
    late = iter([True])

    def needs():
        if next(late, False):
            yield Call(client.create_work_group, {"Name": "meanwhile"})

    with role_propagation(10):
        assert ensure([Resource("one", needs)], apply=True).empty


def test_what_belongs_to_somebody_else_is_not_asked_for_again(bad):
    bad()

    class Client:
        meta = boto3.client("s3").meta

        def create_bucket(self, **_):
            raise ClientError(
                {"Error": {"Code": "BucketAlreadyExists", "Message": "taken"}}, "CreateBucket"
            )

    with role_propagation(10), pytest.raises(ClientError, match="BucketAlreadyExists"):
        ensure([Resource("b", lambda: iter([Call(Client().create_bucket, {})]))], apply=True)
