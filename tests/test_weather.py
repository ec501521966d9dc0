"""AWS on a bad day: what a client sees of it, and that nothing is done twice for it."""

import time

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, ConnectionClosedError

import local_aws
from lakebook import aws, ensure
from lakebook.ensure import Call, Resource, role_propagation
from local_aws import weather

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
