"""CloudTrail: every call is an event without secrets, trails deliver what they are asked for, and
AWS's own CLI checks the chain.
"""

import datetime
import gzip
import json
import re
import subprocess
import sys
import time
import urllib.request
from dataclasses import replace
from types import SimpleNamespace

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from echoes import needed_otherwise
from until import until

from lakebook import ensure
from lakebook.ensure import calls
from lakebook.services import cloudtrail
from local_aws import settings
from local_aws.cloudtrail import history
from local_aws.cloudtrail import identity as cloudtrail_identity
from local_aws.cloudtrail.delivery import Trail
from local_aws.cloudtrail.recorder import Recorder
from local_aws.principal import Principal

BUCKET = "acme-trails-audit"
ACCOUNT, REGION = "123456789012", "eu-west-1"
SECRET = "hunter2-never-in-a-log"
PERMISSION = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Principal": {"Service": "cloudtrail.amazonaws.com"},
            "Action": "s3:GetBucketAcl",
            "Resource": f"arn:aws:s3:::{BUCKET}",
        },
        {
            "Effect": "Allow",
            "Principal": {"Service": "cloudtrail.amazonaws.com"},
            "Action": "s3:PutObject",
            "Resource": f"arn:aws:s3:::{BUCKET}/*",
            "Condition": {"StringEquals": {"s3:x-amz-acl": "bucket-owner-full-control"}},
        },
    ],
}


@pytest.fixture(autouse=True)
def _unhurried(monkeypatch):
    """No test but the one about it waits for its turn to look up events."""
    monkeypatch.setattr(history, "LOOKUPS_PER_SECOND", 1000)


@pytest.fixture(scope="module")
def bucket(stand_in):
    s3 = boto3.client("s3")
    s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})
    s3.put_bucket_policy(Bucket=BUCKET, Policy=json.dumps(PERMISSION))
    return s3


@pytest.fixture
def trails(bucket):
    """Make a trail that logs, with its files below a prefix of its own; all are deleted in the
    end.
    """
    client, made = boto3.client("cloudtrail"), []

    def make(name, **settings):
        settings = {"EnableLogFileValidation": True, "IsMultiRegionTrail": True, **settings}
        made.append(
            client.create_trail(Name=name, S3BucketName=BUCKET, S3KeyPrefix=name, **settings)[
                "TrailARN"
            ]
        )
        client.start_logging(Name=name)
        return made[-1]

    yield make
    for arn in made:
        client.delete_trail(Name=arn)


def deliver(stand_in):
    urllib.request.urlopen(stand_in["AWS_ENDPOINT_URL"] + "/_local_aws/cloudtrail", data=b"").read()


def keys(prefix, kind="CloudTrail/"):
    found = boto3.client("s3").list_objects_v2(
        Bucket=BUCKET, Prefix=f"{prefix}/AWSLogs/{ACCOUNT}/{kind}"
    )
    return [each["Key"] for each in found.get("Contents", [])]


def content(key):
    return gzip.decompress(boto3.client("s3").get_object(Bucket=BUCKET, Key=key)["Body"].read())


def delivered(prefix):
    return [each for key in keys(prefix) for each in json.loads(content(key))["Records"]]


def last_events(name, region=REGION):
    found = boto3.client("cloudtrail", region_name=region).lookup_events(
        LookupAttributes=[{"AttributeKey": "EventName", "AttributeValue": name}]
    )["Events"]
    return [json.loads(each["CloudTrailEvent"]) for each in found]


def last_event(name, region=REGION):
    return last_events(name, region)[0]


def validate(arn):
    command = [
        sys.executable,
        "-m",
        "awscli",
        "cloudtrail",
        "validate-logs",
        "--verbose",
        "--region",
        REGION,
    ]
    since = (datetime.datetime.now(datetime.UTC) - datetime.timedelta(hours=1)).strftime(
        "%Y-%m-%dT%H:%M:%SZ"
    )
    command += ["--trail-arn", arn, "--start-time", since]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)


@pytest.fixture(scope="module")
def three_hours(stand_in, bucket):
    """A trail with three digests, each with a log file."""
    client = boto3.client("cloudtrail")
    arn = client.create_trail(
        Name="three-hours",
        S3BucketName=BUCKET,
        S3KeyPrefix="three-hours",
        EnableLogFileValidation=True,
        IsMultiRegionTrail=True,
    )["TrailARN"]
    client.start_logging(Name=arn)
    for number in range(3):
        boto3.client("glue").create_database(
            DatabaseInput={"Name": f"hour-{number}-{time.time_ns()}"}
        )
        deliver(stand_in)
    yield arn
    client.delete_trail(Name=arn)


@pytest.fixture
def damaged(stand_in, three_hours, bucket):
    """The key of an object to damage; it is as it was afterwards."""
    deliver(stand_in)  # so that a digest knows every log file
    before = {}

    def choose(kind):
        key = keys("three-hours", kind)[1]
        before.update(key=key, found=bucket.get_object(Bucket=BUCKET, Key=key), body=content(key))
        return key

    yield choose
    bucket.put_object(
        Bucket=BUCKET,
        Key=before["key"],
        Body=gzip.compress(before["body"]),
        Metadata=before["found"]["Metadata"],
    )


def test_a_call_is_an_event_with_all_that_cloudtrail_writes(aws):
    glue = aws("glue")
    answer = glue.create_database(
        DatabaseInput={"Name": f"recorded{time.time_ns()}", "Description": "a database"}
    )
    event = last_event("CreateDatabase")
    assert event["requestID"] == answer["ResponseMetadata"]["RequestId"]
    assert (event["eventSource"], event["awsRegion"], event["readOnly"]) == (
        "glue.amazonaws.com",
        REGION,
        False,
    )
    assert event["requestParameters"]["databaseInput"]["description"] == "a database"
    assert (event["eventType"], event["eventCategory"], event["managementEvent"]) == (
        "AwsApiCall",
        "Management",
        True,
    )
    assert (event["recipientAccountId"], event["sourceIPAddress"]) == (ACCOUNT, "127.0.0.1")
    assert "Boto3" in event["userAgent"]
    assert "errorCode" not in event


def test_a_read_has_no_response_and_a_refused_call_has_the_error(aws):
    with pytest.raises(ClientError):
        aws("glue").get_database(Name="absent")
    event = last_event("GetDatabase")
    assert (event["readOnly"], event["responseElements"]) == (True, None)
    assert (event["errorCode"], "absent" in event["errorMessage"]) == (
        "EntityNotFoundException",
        True,
    )


def test_secrets_occur_in_no_event(stand_in, aws):
    name = f"source{time.time_ns()}"
    aws("secretsmanager").create_secret(Name=name, SecretString=json.dumps({"password": SECRET}))
    aws("secretsmanager").put_secret_value(SecretId=name, SecretString=SECRET)
    aws("secretsmanager").get_secret_value(SecretId=name)
    with pytest.raises(ClientError):
        aws("redshift-data").execute_statement(
            WorkgroupName="absent", Sql=f"CREATE USER u PASSWORD '{SECRET}'"
        )
    with pytest.raises(ClientError):
        aws("dms").create_endpoint(
            EndpointIdentifier="e",
            EndpointType="source",
            EngineName="postgres",
            Username="u",
            Password=SECRET,
            ServerName="h",
            Port=1,
            DatabaseName="d",
            ExtraConnectionAttributes=f"password={SECRET}",
        )
    deliver(stand_in)
    directory = json.load(urllib.request.urlopen(stand_in["AWS_ENDPOINT_URL"] + "/_local_aws"))[
        "directory"
    ]
    text = subprocess.run(
        [
            "grep",
            "-c",
            "-a",
            SECRET,
            f"{directory}/cloudtrail.sqlite",
            f"{directory}/cloudtrail.sqlite-wal",
        ],
        capture_output=True,
        text=True,
        check=False,
    ).stdout
    assert [line.rsplit(":", 1)[1] for line in text.splitlines()] == ["0", "0"]
    assert (
        last_event("CreateSecret")["requestParameters"]["secretString"]
        == "HIDDEN_DUE_TO_SECURITY_REASONS"
    )
    assert last_event("GetSecretValue")["responseElements"] is None


def test_a_role_session_is_told_from_its_role_and_its_keys_are_hidden(aws):
    trust = {
        "Effect": "Allow",
        "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"},
        "Action": "sts:AssumeRole",
    }
    document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    aws("iam").create_role(RoleName="seen-by-cloudtrail", AssumeRolePolicyDocument=document)
    allow = {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Action": "glue:*", "Resource": "*"}],
    }
    aws("iam").put_role_policy(
        RoleName="seen-by-cloudtrail", PolicyName="p", PolicyDocument=json.dumps(allow)
    )
    role = f"arn:aws:iam::{ACCOUNT}:role/seen-by-cloudtrail"
    keys = aws("sts").assume_role(RoleArn=role, RoleSessionName="ada")["Credentials"]
    session = boto3.Session(keys["AccessKeyId"], keys["SecretAccessKey"], keys["SessionToken"])
    session.client("glue").get_databases()
    who = last_event("GetDatabases")["userIdentity"]
    assert (who["type"], who["arn"]) == (
        "AssumedRole",
        f"arn:aws:sts::{ACCOUNT}:assumed-role/seen-by-cloudtrail/ada",
    )
    assert who["sessionContext"]["sessionIssuer"]["arn"] == role
    assert (who["principalId"].split(":")[1], who["accessKeyId"]) == ("ada", keys["AccessKeyId"])
    assumed = last_event("AssumeRole")
    assert assumed["requestParameters"]["roleArn"] == role
    assert keys["SecretAccessKey"] not in json.dumps(assumed)
    assert keys["SessionToken"] not in json.dumps(assumed)


def test_a_denied_call_is_an_event_of_the_one_who_tried(aws):
    trust = {
        "Effect": "Allow",
        "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"},
        "Action": "sts:AssumeRole",
    }
    document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    role = aws("iam").create_role(RoleName="may-nothing", AssumeRolePolicyDocument=document)[
        "Role"
    ]["Arn"]
    keys = aws("sts").assume_role(RoleArn=role, RoleSessionName="eve")["Credentials"]
    session = boto3.Session(keys["AccessKeyId"], keys["SecretAccessKey"], keys["SessionToken"])
    with pytest.raises(ClientError):
        session.client("glue").delete_database(Name="lake")
    event = last_event("DeleteDatabase")
    assert (event["errorCode"], event["userIdentity"]["arn"].rsplit("/", 1)[1]) == (
        "AccessDeniedException",
        "eve",
    )
    assert "is not authorized to perform: glue:DeleteDatabase" in event["errorMessage"]
    assert event["responseElements"] is None


def test_what_a_service_does_as_a_role_names_the_service(stand_in):
    role = f"arn:aws:iam::{ACCOUNT}:role/acme-dms-s3"
    dms = Principal(
        "AssumedRole",
        f"arn:aws:sts::{ACCOUNT}:assumed-role/acme-dms-s3/dms",
        ACCOUNT,
        "AROAX:dms",
        "LOCALAWS1F",
        role_arn=role,
        session_name="dms",
        started=datetime.datetime(2026, 11, 23, tzinfo=datetime.UTC),
    )
    who = cloudtrail_identity.identity(dms)
    assert who["sessionContext"]["sessionIssuer"]["userName"] == "acme-dms-s3"
    assert who["sessionContext"]["attributes"]["creationDate"] == "2026-11-23T00:00:00Z"
    assert "accessKeyId" not in who
    assert dms.invoked_by == "dms.amazonaws.com"
    athena = replace(dms, access_key="ASIAVIAATHENA", called_via=("athena.amazonaws.com",))
    assert athena.invoked_by == "athena.amazonaws.com"
    assert cloudtrail_identity.identity(athena)["accessKeyId"] == "ASIA"


def test_an_object_that_an_engine_writes_is_an_event_where_a_trail_asks(stand_in, tmp_path):
    recorder = Recorder(
        SimpleNamespace(directory=tmp_path, region=REGION), lambda *_: True, lambda *_: True
    )
    described = {
        "IsMultiRegionTrail": True,
        "HomeRegion": REGION,
        "TrailARN": "arn",
        "LogFileValidationEnabled": False,
    }
    asks = Trail(
        described, advanced=cloudtrail.selectors(["acme-raw"]), logging=True, start_id=1 << 40
    )
    session = Principal(
        "AssumedRole",
        "arn:aws:sts::1:assumed-role/acme-dms-s3/dms",
        ACCOUNT,
        "A:dms",
        "LOCALAWS1",
        session_name="dms",
    )
    recorder.touched(session, "PutObject", "acme-raw", "before/any/trail")
    recorder.settle()
    recorder.trails.append(asks)
    for bucket in ("acme-raw", "acme-other"):
        recorder.touched(session, "PutObject", bucket, "flights/LOAD1.parquet")
    recorder.settle()
    kept = [each.record for each in recorder.store.after(REGION, 0, 100)]
    recorder.trails.clear()
    recorder.stop()
    assert [each["resources"][0]["ARN"] for each in kept] == [
        "arn:aws:s3:::acme-raw/flights/LOAD1.parquet"
    ]
    assert (kept[0]["userIdentity"]["invokedBy"], kept[0]["eventCategory"]) == (
        "dms.amazonaws.com",
        "Data",
    )


def test_calls_of_iam_are_recorded_in_us_east_1(aws):
    aws("iam").get_account_summary()
    assert last_event("GetAccountSummary", "us-east-1")["awsRegion"] == "us-east-1"


def test_lookup_takes_one_attribute_and_pages_of_fifty_and_no_other_region(aws):
    client = aws("cloudtrail")
    attribute = {"AttributeKey": "EventName", "AttributeValue": "CreateDatabase"}
    with pytest.raises(client.exceptions.InvalidLookupAttributesException):
        client.lookup_events(LookupAttributes=[attribute, attribute])
    for _ in range(52):
        aws("sqs", region_name="eu-west-3").list_queues()
    there = aws("cloudtrail", region_name="eu-west-3")
    first = there.lookup_events()
    second = there.lookup_events(NextToken=first["NextToken"])
    assert (
        len(first["Events"]),
        len({each["EventId"] for each in first["Events"] + second["Events"]}) >= 52,
    ) == (50, True)
    assert {json.loads(each["CloudTrailEvent"])["awsRegion"] for each in first["Events"]} == {
        "eu-west-3"
    }
    times = [each["EventTime"] for each in first["Events"]]
    assert times == sorted(times, reverse=True)


def test_a_third_lookup_in_a_second_is_throttled(stand_in, monkeypatch):
    monkeypatch.setattr(history, "LOOKUPS_PER_SECOND", 2)
    client = boto3.client(
        "cloudtrail", region_name="eu-north-1", config=Config(retries={"total_max_attempts": 1})
    )
    client.lookup_events()
    client.lookup_events()

    def refused():
        try:
            client.lookup_events()
        except ClientError as error:
            return error.response["Error"]["Code"]

    assert until(refused) == "ThrottlingException"  # a busy machine may take a second for a few


@pytest.mark.parametrize(
    ("attribute", "value"),
    [
        ("Username", None),
        ("EventSource", "glue.amazonaws.com"),
        ("ReadOnly", "false"),
        ("AccessKeyId", None),
        ("EventId", None),
    ],
)
def test_events_are_found_by_each_attribute(aws, attribute, value):
    aws("glue").create_database(DatabaseInput={"Name": f"found{time.time_ns()}"})
    event = last_event("CreateDatabase")
    values = {
        "Username": event["userIdentity"].get("userName", "root"),
        "AccessKeyId": event["userIdentity"]["accessKeyId"],
        "EventId": event["eventID"],
    }
    wanted = [{"AttributeKey": attribute, "AttributeValue": value or values[attribute]}]
    found = aws("cloudtrail").lookup_events(LookupAttributes=wanted)["Events"]
    assert event["eventID"] in [each["EventId"] for each in found]


def test_events_are_found_by_the_resource_they_are_about(aws, bucket):
    found = aws("cloudtrail").lookup_events(
        LookupAttributes=[{"AttributeKey": "ResourceName", "AttributeValue": BUCKET}]
    )["Events"]
    assert {"CreateBucket", "PutBucketPolicy"} <= {each["EventName"] for each in found}
    assert {"ResourceType": "AWS::S3::Bucket", "ResourceName": BUCKET} in found[-1]["Resources"]


def test_aws_own_cli_finds_the_chain_of_digests_and_logs_valid(three_hours):
    checked = validate(three_hours)
    digests, logs = re.findall(r"(\d+)/(\d+) (?:digest|log) files valid", checked.stdout)
    assert (checked.returncode, digests[0] == digests[1], logs[0] == logs[1]) == (0, True, True)
    assert int(digests[0]) >= 3


def test_one_changed_byte_of_a_log_file_is_found(three_hours, bucket, damaged):
    key = damaged("CloudTrail/eu-west-1")
    changed = content(key)[:-1] + b" "
    bucket.put_object(Bucket=BUCKET, Key=key, Body=gzip.compress(changed))
    checked = validate(three_hours)
    assert checked.returncode == 1
    assert f"{key}\tINVALID: hash value doesn't match" in checked.stderr


@pytest.mark.parametrize(
    "kind", ["CloudTrail/eu-west-1", "CloudTrail-Digest/eu-west-1"], ids=["log file", "digest"]
)
def test_a_deleted_file_is_found(three_hours, bucket, damaged, kind):
    key = damaged(kind)
    bucket.delete_object(Bucket=BUCKET, Key=key)
    checked = validate(three_hours)
    assert checked.returncode == 1
    assert f"{key}\tINVALID: not found" in checked.stderr


def test_lakebook_reads_the_verdicts(three_hours):
    since = datetime.datetime.now(datetime.UTC) - datetime.timedelta(minutes=10)
    verdicts = cloudtrail.validated(three_hours.split("/")[-1], since, [REGION])
    assert set(verdicts["verdict"]) == {"valid"}
    assert set(verdicts["kind"]) == {"digest", "log"}


def test_a_trail_gets_objects_only_where_its_selectors_ask(stand_in, aws, bucket, trails):
    for name in ("acme-trails-lake", "acme-trails-other"):
        bucket.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": REGION})
    trails("lake")
    trails("all")
    aws("cloudtrail").put_event_selectors(
        TrailName="lake", AdvancedEventSelectors=cloudtrail.selectors(["acme-trails-lake"])
    )
    for name in ("acme-trails-lake", "acme-trails-other"):
        bucket.put_object(Bucket=name, Key="k", Body=b"content")
        bucket.get_object(Bucket=name, Key="k")["Body"].read()
    deliver(stand_in)
    objects = [each for each in delivered("lake") if each["eventCategory"] == "Data"]
    seen = [(each["eventName"], each["requestParameters"]["bucketName"]) for each in objects]
    assert sorted(seen) == [("GetObject", "acme-trails-lake"), ("PutObject", "acme-trails-lake")]
    assert objects[0]["resources"][0]["ARN"] == "arn:aws:s3:::acme-trails-lake/k"
    assert [each for each in delivered("all") if each["eventCategory"] == "Data"] == []
    assert last_events("PutObject") == []


def test_a_multi_region_trail_has_a_folder_and_a_chain_for_each_region(stand_in, aws, trails):
    trails("everywhere")
    trails("here", IsMultiRegionTrail=False)
    aws("iam").get_account_summary()
    aws("glue").get_databases()
    deliver(stand_in)
    assert keys("everywhere", "CloudTrail/us-east-1")
    assert keys("everywhere", "CloudTrail-Digest/us-east-1")
    assert {each["awsRegion"] for each in delivered("here")} == {REGION}


def test_stopping_is_the_last_event_delivered_and_its_status_invents_nothing(stand_in, aws, trails):
    client, arn = aws("cloudtrail"), trails("stops")
    assert "LatestDigestDeliveryTime" not in client.get_trail_status(Name=arn)
    client.stop_logging(Name=arn)
    until(lambda: "LatestDigestDeliveryTime" in client.get_trail_status(Name=arn))
    aws("glue").create_database(DatabaseInput={"Name": f"unseen{time.time_ns()}"})
    deliver(stand_in)
    names = [each["eventName"] for each in delivered("stops") if each["awsRegion"] == REGION]
    assert "StopLogging" in names
    assert "CreateDatabase" not in names
    status = client.get_trail_status(Name=arn)
    assert (
        status["IsLogging"],
        status["LatestDeliveryTime"] <= status["LatestDigestDeliveryTime"],
    ) == (False, True)


@pytest.mark.parametrize(
    ("error", "settings"),
    [
        ("InvalidTrailNameException", {"Name": "a!"}),
        ("S3BucketDoesNotExistException", {"S3BucketName": "acme-no-such-bucket"}),
        ("InsufficientS3BucketPolicyException", {"S3BucketName": "acme-trails-closed"}),
        ("TrailAlreadyExistsException", {"Name": "taken"}),
        (
            "InvalidParameterCombinationException",
            {"IsMultiRegionTrail": True, "IncludeGlobalServiceEvents": False},
        ),
        ("OrganizationsNotInUseException", {"IsOrganizationTrail": True}),
        ("KmsKeyNotFoundException", {"KmsKeyId": "alias/acme-no-such-key"}),
        (
            "NotInLocalAws",
            {"CloudWatchLogsLogGroupArn": "arn:aws:logs:eu-west-1:123456789012:log-group:g:*"},
        ),
    ],
)
def test_a_trail_that_aws_refuses_is_refused(bucket, aws, trails, error, settings):
    if "acme-trails-closed" not in [each["Name"] for each in bucket.list_buckets()["Buckets"]]:
        bucket.create_bucket(
            Bucket="acme-trails-closed", CreateBucketConfiguration={"LocationConstraint": REGION}
        )
    trails("taken")
    with pytest.raises(ClientError) as refused:
        aws("cloudtrail").create_trail(**{"Name": "refused", "S3BucketName": BUCKET, **settings})
    assert refused.value.response["Error"]["Code"] == error


def test_a_key_whose_policy_does_not_know_cloudtrail_is_refused(bucket, aws):
    key = aws("kms").create_key()["KeyMetadata"]["Arn"]
    with pytest.raises(aws("cloudtrail").exceptions.InsufficientEncryptionPolicyException):
        aws("cloudtrail").create_trail(Name="no-key", S3BucketName=BUCKET, KmsKeyId=key)


def test_a_trail_is_changed_only_in_its_home_region(trails, aws):
    arn = trails("at-home")
    with pytest.raises(ClientError) as refused:
        aws("cloudtrail", region_name="eu-west-3").stop_logging(Name=arn)
    assert refused.value.response["Error"]["Code"] == "InvalidHomeRegionException"
    for operation in ("delete_trail", "get_trail_status", "start_logging"):
        with pytest.raises(ClientError) as absent:
            getattr(aws("cloudtrail"), operation)(Name="absent")
        assert absent.value.response["Error"]["Code"] == "TrailNotFoundException"


def test_delivery_ends_when_the_bucket_policy_no_longer_allows_it(stand_in, bucket, trails, aws):
    trails("locked-out")
    bucket.delete_bucket_policy(Bucket=BUCKET)
    try:
        deliver(stand_in)
        assert (
            aws("cloudtrail").get_trail_status(Name="locked-out")["LatestDeliveryError"]
            == "AccessDenied"
        )
        assert keys("locked-out") == []
    finally:
        bucket.put_bucket_policy(Bucket=BUCKET, Policy=json.dumps(PERMISSION))
    deliver(stand_in)
    assert "LatestDeliveryError" not in aws("cloudtrail").get_trail_status(Name="locked-out")
    assert keys("locked-out")


NAME, ALIAS, TAGS = "acme-declared-trail", "alias/acme-declared-trail", {"lakebook:prefix": "acme"}


def declared():
    return [cloudtrail.trail(NAME, BUCKET, ALIAS, ["acme-declared-raw"], TAGS)]


@pytest.fixture(scope="module")
def declared_trail(bucket):
    kms = boto3.client("kms")
    key = kms.create_key()["KeyMetadata"]
    policy = json.loads(kms.get_key_policy(KeyId=key["KeyId"], PolicyName="default")["Policy"])
    writes = {
        "Principal": {"Service": "cloudtrail.amazonaws.com"},
        "Action": "kms:GenerateDataKey*",
    }
    policy["Statement"].append({"Effect": "Allow", "Resource": "*", **writes})
    kms.put_key_policy(KeyId=key["KeyId"], PolicyName="default", Policy=json.dumps(policy))
    kms.create_alias(AliasName=ALIAS, TargetKeyId=key["KeyId"])
    planned = [call.action for _, call in calls(declared())]
    ensure(declared(), apply=True)
    yield planned
    boto3.client("cloudtrail").delete_trail(Name=NAME)


def test_a_declared_trail_is_made_with_its_selectors_and_logging_on(declared_trail):
    made = ["cloudtrail:CreateTrail", "cloudtrail:PutEventSelectors", "cloudtrail:StartLogging"]
    assert declared_trail == made
    assert calls(declared()) == []
    assert needed_otherwise(declared()) == []


DRIFTS = {
    "StopLogging": ("cloudtrail:StartLogging", lambda client: client.stop_logging(Name=NAME)),
    "no validation": (
        "cloudtrail:UpdateTrail",
        lambda client: client.update_trail(Name=NAME, EnableLogFileValidation=False),
    ),
    "one Region": (
        "cloudtrail:UpdateTrail",
        lambda client: client.update_trail(Name=NAME, IsMultiRegionTrail=False),
    ),
    "other selectors": (
        "cloudtrail:PutEventSelectors",
        lambda client: client.put_event_selectors(
            TrailName=NAME, EventSelectors=[{"ReadWriteType": "WriteOnly"}]
        ),
    ),
    "no tags": (
        "cloudtrail:AddTags",
        lambda client: client.remove_tags(
            ResourceId=f"arn:aws:cloudtrail:{REGION}:{ACCOUNT}:trail/{NAME}",
            TagsList=[{"Key": "lakebook:prefix"}],
        ),
    ),
}


@pytest.mark.parametrize("drift", DRIFTS)
def test_drift_of_the_trail_is_planned_as_exactly_the_call_that_mends_it(declared_trail, drift):
    mended_by, damage = DRIFTS[drift]
    damage(boto3.client("cloudtrail"))
    assert [call.action for _, call in calls(declared())] == [mended_by]
    ensure(declared(), apply=True)
    assert calls(declared()) == []


def test_events_and_history_are_tables_of_who_did_what(stand_in, aws, declared_trail):
    since = datetime.datetime.now(datetime.UTC).replace(microsecond=0)
    name = f"told{time.time_ns()}"
    aws("glue").create_database(DatabaseInput={"Name": name})
    deliver(stand_in)
    until = datetime.datetime.now(datetime.UTC)
    files = cloudtrail.LogFiles(NAME, since, until, [REGION])
    files.read()
    found = files.events()
    mine = found["record"].astype(str).str.contains(name)
    changing = found[found["changing"] & (found["service"] == "glue") & mine]
    assert list(changing["event"]) == ["CreateDatabase"]
    history = cloudtrail.history(since, until, [REGION])
    assert set(changing["id"]) <= set(history["id"])
    assert history["changing"].all()


def test_a_digest_that_comes_later_does_not_prove_what_was_delivered_meanwhile(
    stand_in, aws, declared_trail, monkeypatch
):
    since = datetime.datetime.now(datetime.UTC).replace(microsecond=0)
    monkeypatch.setattr(settings, "log_delivery_seconds", 0.5)
    monkeypatch.setattr(settings, "digest_delivery_seconds", 1.5)
    deliver(stand_in)
    answer = aws("glue").create_database(DatabaseInput={"Name": f"late{time.time_ns()}"})
    asked = {answer["ResponseMetadata"]["RequestId"]}
    files = cloudtrail.LogFiles(
        NAME, since, datetime.datetime.now(datetime.UTC), [REGION, "us-east-1"]
    )
    said = []
    until(lambda: said.append(files.awaited(asked)) or said[-1] is None, timeout_seconds=30)
    assert {"1 calls in no log file yet", "1 log files in no digest yet"} >= {*said[:-1]}
    assert files.wait(asked, 1) != "not yet"
    verdicts = cloudtrail.validated(NAME, since, [REGION])
    valid = set(verdicts.loc[verdicts["verdict"] == "valid", "object"])
    assert set(files.holding(asked)) <= valid
