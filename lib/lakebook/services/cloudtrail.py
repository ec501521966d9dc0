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

import pandas as pd

from lakebook import aws
from lakebook.ensure import Call, current, resource, wait
from lakebook.errors import LakebookError
from lakebook.services import kms, s3

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

GLOBAL_REGION = "us-east-1"  # where calls of IAM and other global services are recorded
LOOKUPS_PER_SECOND = 2  # of the whole account
STAMP = re.compile(r"\d{8}T\d{4,6}Z")
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
        cloudtrail = aws.client("cloudtrail", region)
        pages = cloudtrail.get_paginator("lookup_events")
        for page in pages.paginate(LookupAttributes=changing, StartTime=since, EndTime=until):
            records += [json.loads(each["CloudTrailEvent"]) for each in page["Events"]]
            time.sleep(1 / LOOKUPS_PER_SECOND)
    return _frame(records)


class LogFiles:
    """What a trail has delivered of a time; each file is read once. Of object calls that read and
    were allowed, which are the most by far, nothing is kept.
    """

    def __init__(
        self,
        trail_name: str,
        since: datetime.datetime,
        until: datetime.datetime,
        regions: list[str],
    ) -> None:
        self.trail_name, self.since, self.until, self.regions = trail_name, since, until, regions
        self._records: dict[str, list[dict[str, Any]]] = {}  # by file: s3://…
        self._named: dict[str, list[str]] = {}  # log files, by the digest that names them

    def read(self) -> None:
        """Read what has been delivered since the last time."""
        described = _trail(self.trail_name)
        for region in self.regions if described else ():
            for uri in _files(described, "CloudTrail", region, self.since, self.until):
                if uri not in self._records:
                    self._records[uri] = [each for each in _content(uri)["Records"] if _kept(each)]
            for uri in _files(described, "CloudTrail-Digest", region, self.since, None):
                if uri not in self._named:
                    self._named[uri] = [
                        f"s3://{each['s3Bucket']}/{each['s3Object']}"
                        for each in _content(uri)["logFiles"]
                    ]

    def events(self) -> pd.DataFrame:
        """Every event of the time, one row each: changes, reads but those of objects, and refused
        calls.

        Columns: time, service, event, who, error, message, changing, category, region, id, record
        (all of it). None without a trail.
        """
        frame = _frame([each for some in self._records.values() for each in some])
        return frame[(frame["time"] >= self.since) & (frame["time"] <= self.until)].reset_index(
            drop=True
        )

    def holding(self, requests: Iterable[str]) -> list[str]:
        """The files that hold the events of these requests."""
        requests = {*requests} - {""}
        return sorted(
            uri
            for uri, records in self._records.items()
            if any(each.get("requestID") in requests for each in records)
        )

    def awaited(self, requests: Iterable[str]) -> str | None:
        """None once the events of these requests are in log files that digests name, or what is
        not there yet.

        A digest names the log files that were delivered in its hour, not the calls made in it:
        "CloudTrail digest file structure".
        """
        status = aws.client("cloudtrail").get_trail_status(Name=self.trail_name)
        for kind in ("LatestDeliveryError", "LatestDigestDeliveryError"):
            if status.get(kind):
                raise LakebookError(
                    f"The trail {self.trail_name} cannot deliver ({kind}: {status[kind]}); correct"
                    " the policies of its bucket and key."
                )
        self.read()
        held = {each.get("requestID") for some in self._records.values() for each in some}
        if late := {*requests} - {""} - held:
            return f"{len(late)} calls in no log file yet"
        named = {each for some in self._named.values() for each in some}
        left = [each for each in self.holding(requests) if each not in named]
        return f"{len(left)} log files in no digest yet" if left else None

    def wait(self, requests: Iterable[str], timeout_minutes: float) -> str:
        """Wait for the digests that cover the events of these requests; returns the name of the
        newest digest, `not yet`, or `no trail`.

        AWS delivers log files within about five minutes and a digest every hour. Raises
        LakebookError when the time is up; 0 minutes do not wait.
        """
        if not _trail(self.trail_name):
            return "no trail"
        if timeout_minutes:
            wait(
                f"digest of {self.trail_name}",
                lambda: self.awaited(requests),
                60 * timeout_minutes,
                silent_seconds=2,
            )
        self.read()
        stamps = [each.rpartition("_")[2].partition(".")[0] for each in self._named]
        return max(stamps, default="not yet")


def validated(trail_name: str, since: datetime.datetime, regions: list[str]) -> pd.DataFrame:
    """Every digest and log file since a moment with AWS's verdict on it: columns region, kind,
    object, verdict.

    Runs `aws cloudtrail validate-logs`, AWS's own check of the chain of digests. Raises
    LakebookError when it cannot.
    """
    arn = str(_trail(trail_name).get("TrailARN", ""))
    until = datetime.datetime.now(datetime.UTC)
    found = sorted(set(regions)) if arn else []
    rows = [row for region in found for row in _validated(arn, since, until, region)]
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


def logging_since(trail_name: str) -> datetime.datetime | None:
    """The moment from which a trail has every event; None without a trail."""
    if not _trail(trail_name):
        return None
    return aws.client("cloudtrail").get_trail_status(Name=trail_name).get("StartLoggingTime")


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


def _files(
    described: dict[str, Any],
    kind: str,
    region: str,
    since: datetime.datetime,
    until: datetime.datetime | None,
) -> Iterator[str]:
    """The files of a kind that were delivered from a moment on: `s3://…`."""
    account, bucket = described["TrailARN"].split(":")[4], described["S3BucketName"]
    prefix = f"{described['S3KeyPrefix']}/" if described.get("S3KeyPrefix") else ""
    now = datetime.datetime.now(datetime.UTC)
    last = until + datetime.timedelta(minutes=DELIVERY_MINUTES) if until else now
    last += datetime.timedelta(minutes=1)  # names of log files are to the minute
    for day in pd.date_range(since.date(), last.date()):
        folder = f"s3://{bucket}/{prefix}AWSLogs/{account}/{kind}/{region}/{day:%Y/%m/%d}/"
        for each in s3.objects(folder):
            stamp = STAMP.findall(each["uri"])[-1]  # 20261123T0515Z
            if f"{since:%Y%m%dT%H%M}" <= stamp[:13] <= f"{last:%Y%m%dT%H%M}":
                yield each["uri"]


def _content(uri: str) -> dict[str, Any]:
    bucket, key = s3.split(uri)
    body = aws.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read()
    found: dict[str, Any] = json.loads(gzip.decompress(body))
    return found


def _kept(record: dict[str, Any]) -> bool:
    is_data = record.get("eventCategory") == "Data"
    return not (is_data and record.get("readOnly") and not record.get("errorCode"))


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
