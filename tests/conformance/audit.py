"""Questions about what CloudTrail records."""

import datetime
import gzip
import json
import time

from conformance.question import question, until

CLOUDTRAIL = "https://docs.aws.amazon.com/awscloudtrail/latest/userguide"
S3 = "https://docs.aws.amazon.com/AmazonS3/latest/userguide"


@question(
    [["arn:aws:s3:::bucket/"], ["AWS::S3::Bucket", "AWS::S3::Object"]],
    f"{S3}/cloudtrail-logging-s3-info.html",
    cost="cents",
)
def deleteobjects_event(sandbox):
    """What are the resources of the event of DeleteObjects, where a trail asks for objects?"""
    bucket = sandbox.bucket("emptied")
    s3, logs = sandbox.client("s3"), _trail(sandbox, "trail", bucket)

    def deleted():
        """The delivered events; objects are deleted again, as a new trail misses what is early."""
        s3.put_object(Bucket=bucket, Key="one", Body=b"1")
        s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "one"}]})
        return [each for each in _events(s3, logs) if each["eventName"] == "DeleteObjects"]

    resources = until(deleted, bool, "No event of DeleteObjects", 1800)[0]["resources"]
    named = [each.get("ARN", each.get("ARNPrefix")) for each in resources]
    objects = [each.replace(bucket, "bucket") for each in named if "/" in each]
    return [objects, sorted(each["type"] for each in resources)]


@question(
    "athena.amazonaws.com",
    f"{CLOUDTRAIL}/cloudtrail-event-reference-user-identity.html",
    cost="cents",
)
def fas_invoked_by(sandbox):
    """By which service is an object written that Athena makes of a query's results?"""
    bucket = sandbox.bucket("results")
    s3, logs = sandbox.client("s3"), _trail(sandbox, "results-trail", bucket)
    athena, results = sandbox.client("athena"), {"OutputLocation": f"s3://{bucket}/"}

    def written():
        athena.start_query_execution(QueryString="SELECT 1", ResultConfiguration=results)
        return [each for each in _events(s3, logs) if each["eventName"] == "PutObject"]

    found = until(written, bool, "No event of PutObject", 1800)
    return found[0]["userIdentity"].get("invokedBy", "")


@question(
    ["glue", "iam", "kms", "s3"],
    f"{CLOUDTRAIL}/cloudtrail-event-reference-record-contents.html",
    cost="cents",
)
def cloudtrail_request_id(sandbox):
    """Of which services has the event of a call the request id of the call's answer?"""
    bucket, key = sandbox.bucket("requested"), sandbox.key("requested")
    sandbox.role("requested")
    database = sandbox.database("requested")
    iam = sandbox.client("iam")
    answers = {
        "s3": (
            "PutBucketTagging",
            sandbox.client("s3").put_bucket_tagging(
                Bucket=bucket, Tagging={"TagSet": [{"Key": "a", "Value": "b"}]}
            ),
        ),
        "kms": (
            "TagResource",
            sandbox.client("kms").tag_resource(KeyId=key, Tags=[{"TagKey": "a", "TagValue": "b"}]),
        ),
        "iam": (
            "TagRole",
            iam.tag_role(RoleName=sandbox.name("requested"), Tags=[{"Key": "a", "Value": "b"}]),
        ),
        "glue": (
            "UpdateDatabase",
            sandbox.client("glue").update_database(
                Name=database, DatabaseInput={"Name": database, "Description": "b"}
            ),
        ),
    }
    wanted = {
        service: (name, answer["ResponseMetadata"]["RequestId"])
        for service, (name, answer) in answers.items()
    }

    def found():
        time.sleep(2)  # LookupEvents takes two a second, of the whole account
        return sorted(each for each in wanted if _looked_up(sandbox, each, *wanted[each]))

    try:
        return until(found, lambda those: len(those) == len(wanted), "Events were missing", 1200)
    except TimeoutError:
        return found()


@question(
    [], f"{CLOUDTRAIL}/cloudtrail-log-file-validation-digest-file-structure.html", cost="cents"
)
def a_digest_names_what_was_delivered_in_its_hour(sandbox):
    """Which log files that the first digest names were delivered after the digest's end?"""
    bucket, s3 = sandbox.bucket("digested"), sandbox.client("s3")
    logs = _trail(sandbox, "digests", bucket, EnableLogFileValidation=True)

    def digests():
        time.sleep(0.1)
        s3.put_object(Bucket=bucket, Key="one", Body=b"1")
        told = s3.list_objects_v2(Bucket=logs).get("Contents", [])
        found = [_content(s3, logs, each["Key"]) for each in told if "-Digest/" in each["Key"]]
        return [each for each in found if each.get("logFiles")]

    digest = until(digests, bool, "No digest names a log file", 3 * 3600)[0]
    ended = datetime.datetime.fromisoformat(digest["digestEndTime"])
    return [
        each["s3Object"]
        for each in digest["logFiles"]
        if s3.head_object(Bucket=logs, Key=each["s3Object"])["LastModified"] > ended
    ]


def _trail(sandbox, of, bucket, **settings):
    """The bucket to which a new trail delivers what is done with the objects of another."""
    cloudtrail, name = sandbox.client("cloudtrail"), sandbox.name(of)
    logs = sandbox.bucket(of)
    policy = json.dumps(_delivery(logs))
    sandbox.client("s3").put_bucket_policy(Bucket=logs, Policy=policy)
    cloudtrail.create_trail(Name=name, S3BucketName=logs, **settings)
    sandbox.after(cloudtrail.delete_trail, Name=name)
    fields = {
        "eventCategory": {"Equals": ["Data"]},
        "resources.type": {"Equals": ["AWS::S3::Object"]},
        "resources.ARN": {"StartsWith": [f"arn:aws:s3:::{bucket}/"]},
    }
    selectors = [{"Field": field, **told} for field, told in fields.items()]
    cloudtrail.put_event_selectors(
        TrailName=name, AdvancedEventSelectors=[{"FieldSelectors": selectors}]
    )
    cloudtrail.start_logging(Name=name)
    return logs


def _events(s3, logs):
    """What was delivered so far."""
    time.sleep(1)
    found = s3.list_objects_v2(Bucket=logs).get("Contents", [])
    return [each for file in found for each in _records(s3, logs, file["Key"])]


def _looked_up(sandbox, service, name, request_id):
    """Whether the event history has a call with this request id."""
    region = "us-east-1" if service == "iam" else sandbox.region
    client = sandbox.client("cloudtrail", region)
    named = [{"AttributeKey": "EventName", "AttributeValue": name}]
    time.sleep(0.6)
    events = client.lookup_events(LookupAttributes=named)["Events"]
    return any(
        json.loads(each["CloudTrailEvent"]).get("requestID") == request_id for each in events
    )


def _records(s3, bucket, key):
    """The events of a log file; [] of what is none."""
    return _content(s3, bucket, key).get("Records", []) if key.endswith(".json.gz") else []


def _content(s3, bucket, key):
    return json.loads(gzip.decompress(s3.get_object(Bucket=bucket, Key=key)["Body"].read()))


def _delivery(bucket):
    """The policy of a bucket that lets CloudTrail write there."""
    service = {"Effect": "Allow", "Principal": {"Service": "cloudtrail.amazonaws.com"}}
    condition = {"StringEquals": {"s3:x-amz-acl": "bucket-owner-full-control"}}
    arn = f"arn:aws:s3:::{bucket}"
    return {
        "Version": "2012-10-17",
        "Statement": [
            {**service, "Action": "s3:GetBucketAcl", "Resource": arn},
            {**service, "Action": "s3:PutObject", "Resource": f"{arn}/*", "Condition": condition},
        ],
    }
