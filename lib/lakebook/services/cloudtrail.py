"""CloudTrail: the trail that keeps every call as proof, and that proof read back and checked."""

from __future__ import annotations

import datetime
import gzip
import json
import re
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import boto3
import pandas as pd

from lakebook import aws
from lakebook.ensure import Call, current, resource, wait
from lakebook.errors import LakebookError
from lakebook.services import kms, s3

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

GLOBAL_REGION = "us-east-1"  # where calls of IAM and other global services are recorded
LOOKUPS_PER_SECOND = 2
DELIVERY_MINUTES = 30  # a log file seldom comes later than this after the call
FIELDS = {
    "time": "eventTime",
    "service": "eventSource",
    "event": "eventName",
    "error": "errorCode",
    "message": "errorMessage",
    "changing": "readOnly",
    "category": "eventCategory",
    "region": "awsRegion",
    "id": "eventID",
}


@resource
def trail(
    name: str,
    bucket: str,
    key_alias: str,
    data_event_buckets: list[str],
    tags: dict[str, str] | None = None,
) -> Iterator[Call]:
    """A trail that logs every Region's management events and the object calls of some buckets, with
    validated, encrypted files.

    Needs a bucket and a key whose policies let `cloudtrail.amazonaws.com` write. Source: "Security
    best practices in AWS CloudTrail".
    """
    cloudtrail = aws.client("cloudtrail")
    settings = {
        "S3BucketName": bucket,
        "IncludeGlobalServiceEvents": True,
        "IsMultiRegionTrail": True,
        "EnableLogFileValidation": True,
        "KmsKeyId": kms.key_arn(key_alias),
    }
    pairs = [{"Key": key, "Value": value} for key, value in (tags or {}).items()]
    actual = (current(cloudtrail.get_trail, "TrailNotFoundException", Name=name) or {}).get("Trail")
    if actual is None:
        yield Call(
            cloudtrail.create_trail,
            {"Name": name, **settings, **({"TagsList": pairs} if pairs else {})},
        )
    elif any(actual.get(_described(key)) != value for key, value in settings.items()):
        yield Call(cloudtrail.update_trail, {"Name": name, **settings})
    if actual is not None and (missing := _missing_tags(cloudtrail, actual["TrailARN"], pairs)):
        yield Call(cloudtrail.add_tags, {"ResourceId": actual["TrailARN"], "TagsList": missing})
    wanted = selectors(data_event_buckets)
    found = (
        cloudtrail.get_event_selectors(TrailName=name).get("AdvancedEventSelectors", [])
        if actual
        else []
    )
    if _plain(found) != _plain(wanted):
        yield Call(
            cloudtrail.put_event_selectors, {"TrailName": name, "AdvancedEventSelectors": wanted}
        )
    if actual is None or not cloudtrail.get_trail_status(Name=name)["IsLogging"]:
        yield Call(cloudtrail.start_logging, {"Name": name})


def selectors(data_event_buckets: list[str]) -> list[dict[str, Any]]:
    """Advanced event selectors: all management events, and all object calls of these buckets."""
    found = [
        {"Name": "Management events", "FieldSelectors": [_equals("eventCategory", "Management")]}
    ]
    arns = [f"arn:aws:s3:::{each}/" for each in data_event_buckets]
    objects = [_equals("eventCategory", "Data"), _equals("resources.type", "AWS::S3::Object")]
    objects.append({"Field": "resources.ARN", "StartsWith": arns})
    return [*found, {"Name": "Objects of the lake", "FieldSelectors": objects}] if arns else found


def history(since: datetime.datetime, until: datetime.datetime, regions: list[str]) -> pd.DataFrame:
    """The changing calls of a time in the account's own history, as `events` gives them; no trail
    is needed for it.

    Takes half a second for every 50 events and Region: AWS allows two look-ups a second.
    """
    changing: list[Any] = [{"AttributeKey": "ReadOnly", "AttributeValue": "false"}]
    records = []
    for region in regions:
        cloudtrail = boto3.client("cloudtrail", region_name=region)
        pages = cloudtrail.get_paginator("lookup_events")
        for page in pages.paginate(LookupAttributes=changing, StartTime=since, EndTime=until):
            records += [json.loads(each["CloudTrailEvent"]) for each in page["Events"]]
            time.sleep(1 / LOOKUPS_PER_SECOND)
    return _frame(records)


def events(
    trail_name: str, since: datetime.datetime, until: datetime.datetime, regions: list[str]
) -> pd.DataFrame:
    """Every event of a time in a trail's log files, one row each: reads, object calls and refused
    calls are among them.

    Columns: time, service, event, who, error, message, changing, category, region, id, record (all
    of it). None without a trail.
    """
    described = _trail(trail_name)
    records = (
        [each for region in regions for each in _logged(described, region, since, until)]
        if described
        else []
    )
    frame = _frame(records)
    return frame[(frame["time"] >= since) & (frame["time"] <= until)].reset_index(drop=True)


def wait_for_digest(trail_name: str, until: datetime.datetime, timeout_minutes: float) -> str:
    """Wait until a digest covers what was logged up to `until`; returns until when the digests go,
    `not yet`, or `no trail`.

    AWS delivers log files within about five minutes and a digest every hour. Raises LakebookError
    when the time is up; 0 minutes do not wait.
    """
    if not _trail(trail_name):
        return "no trail"
    if timeout_minutes:
        wait(
            f"digest of {trail_name}",
            lambda: delivered(trail_name, until),
            60 * timeout_minutes,
            silent_seconds=2,
        )
    last = (
        aws.client("cloudtrail").get_trail_status(Name=trail_name).get("LatestDigestDeliveryTime")
    )
    return f"{last:%Y-%m-%dT%H:%M:%SZ}" if last else "not yet"


def delivered(trail_name: str, until: datetime.datetime) -> str | None:
    """None once a digest has come that was made after `until`, or what the trail's status says now;
    for `wait`.
    """
    status = aws.client("cloudtrail").get_trail_status(Name=trail_name)
    for kind in ("LatestDeliveryError", "LatestDigestDeliveryError"):
        if status.get(kind):
            raise LakebookError(
                f"The trail {trail_name} cannot deliver ({kind}: {status[kind]}); correct the"
                " policies of its bucket and key."
            )
    last = status.get("LatestDigestDeliveryTime")
    if last and last > until:
        return None
    return f"the last digest is of {last:%H:%M:%S}" if last else "no digest yet"


def validated(
    trail_name: str, since: datetime.datetime, until: datetime.datetime, regions: list[str]
) -> pd.DataFrame:
    """Every digest and log file of a time with AWS's verdict on it: columns region, kind, object,
    verdict.

    Runs `aws cloudtrail validate-logs`, AWS's own check of the chain of digests. Raises
    LakebookError when it cannot.
    """
    arn = _trail(trail_name).get("TrailARN")
    rows = (
        [row for region in regions for row in _validated(arn, since, until, region)] if arn else []
    )
    return pd.DataFrame(rows, columns=["region", "kind", "object", "verdict"])


def who(identity: dict[str, Any]) -> str:
    """Who made a call, in short: `role/name`, `user/name`, `root`, or the AWS service."""
    issuer = identity.get("sessionContext", {}).get("sessionIssuer", {}).get("arn")
    arn = str(
        issuer or identity.get("arn") or identity.get("invokedBy") or identity.get("type", "")
    )
    return arn.split(":", 5)[-1]


def settings(trail_name: str) -> dict[str, Any]:
    """What makes a trail proof: logging, multi_region, validated; all True as declared, empty
    without a trail.
    """
    described = _trail(trail_name)
    return described and {
        "logging": aws.client("cloudtrail").get_trail_status(Name=trail_name)["IsLogging"],
        "multi_region": described["IsMultiRegionTrail"],
        "validated": described["LogFileValidationEnabled"],
    }


def _trail(name: str) -> dict[str, Any]:
    found = current(aws.client("cloudtrail").get_trail, "TrailNotFoundException", Name=name)
    described: dict[str, Any] = found["Trail"] if found else {}
    return described


def _validated(
    trail_arn: str, since: datetime.datetime, until: datetime.datetime, region: str
) -> Iterator[tuple[str, str, str, str]]:
    command = [
        sys.executable,
        "-m",
        "awscli",
        "cloudtrail",
        "validate-logs",
        "--verbose",
        "--region",
        region,
    ]
    command += ["--trail-arn", trail_arn, "--start-time", _utc(since), "--end-time", _utc(until)]
    ended = subprocess.run(
        command, capture_output=True, text=True, check=False, env=aws.environment()
    )
    found = re.findall(
        r"^(?:\(backfill\) )?(Digest|Log) file\t(\S+)\t(.+)$",
        ended.stdout + ended.stderr,
        re.MULTILINE,
    )
    if not found and (ended.returncode or ended.stderr.strip()):
        raise LakebookError(
            f"aws cloudtrail validate-logs could not check {region}: {ended.stderr.strip()}"
        )
    for kind, where, verdict in found:
        yield region, kind.lower(), where, verdict


def _logged(
    described: dict[str, Any], region: str, since: datetime.datetime, until: datetime.datetime
) -> Iterator[dict[str, Any]]:
    account, bucket = described["TrailARN"].split(":")[4], described["S3BucketName"]
    prefix = f"{described['S3KeyPrefix']}/" if described.get("S3KeyPrefix") else ""
    last, client = until + datetime.timedelta(minutes=DELIVERY_MINUTES), aws.client("s3")
    for day in pd.date_range(since.date(), last.date()):
        folder = f"s3://{bucket}/{prefix}AWSLogs/{account}/CloudTrail/{region}/{day:%Y/%m/%d}/"
        for each in s3.objects(folder):
            stamp = each["uri"].split("_")[-2]  # 20261123T0515Z, to the minute
            if f"{since:%Y%m%dT%H%MZ}" <= stamp <= f"{last:%Y%m%dT%H%MZ}":
                body = client.get_object(Bucket=bucket, Key=s3.split(each["uri"])[1])["Body"].read()
                yield from json.loads(gzip.decompress(body))["Records"]


def _frame(records: list[dict[str, Any]]) -> pd.DataFrame:
    rows = [
        {name: each.get(field, "") for name, field in FIELDS.items()} | {"record": each}
        for each in records
    ]
    frame = pd.DataFrame(rows, columns=[*FIELDS, "record"]).drop_duplicates("id")
    frame.insert(
        3, "who", frame["record"].map(lambda each: who(each["userIdentity"])).astype(object)
    )
    frame["time"] = pd.to_datetime(frame["time"], utc=True)
    frame["service"] = frame["service"].str.removesuffix(".amazonaws.com")
    frame["changing"] = frame["changing"].map(lambda read_only: not read_only).astype(bool)
    return frame.sort_values("time", ignore_index=True)


def _equals(field: str, value: str) -> dict[str, Any]:
    return {"Field": field, "Equals": [value]}


def _plain(found: Sequence[Mapping[str, Any]]) -> list[Any]:
    """Selectors without the order of their fields and values."""
    return sorted(
        sorted(
            (field["Field"], *sorted((key, sorted(field[key])) for key in field if key != "Field"))
            for field in each["FieldSelectors"]
        )
        for each in found
    )


def _described(setting: str) -> str:
    return "LogFileValidationEnabled" if setting == "EnableLogFileValidation" else setting


def _missing_tags(cloudtrail: Any, arn: str, pairs: list[dict[str, str]]) -> list[dict[str, str]]:
    found = (
        cloudtrail.list_tags(ResourceIdList=[arn])["ResourceTagList"][0].get("TagsList", [])
        if pairs
        else []
    )
    return [each for each in pairs if each not in found]


def _utc(moment: datetime.datetime) -> str:
    return moment.astimezone(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
