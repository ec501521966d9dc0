"""The lake's four buckets and the log group of its network, each kept as long as the parameters
say.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lakebook import aws
from lakebook.ensure import Call, Resource, resource
from lakebook.errors import LakebookError
from lakebook.services import kms, s3
from lakebook.services.bucket_settings import expire, expire_old_versions

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lakebook.names import Names

KEPT = {  # what retention_days speaks of: where it is, why it is kept at all, and what ends it
    "raw": (
        "raw layer, documents",
        "the way back to what the source delivered",
        "lifecycle of the raw bucket",
    ),
    "snapshots": (
        "earlier snapshots of curated tables",
        "time travel, and the way back after a bad load",
        "05",
    ),
    "personal_snapshots": (
        "the same, of tables that a classification does not leave to everybody",
        "as short as the way back may be: the data of people",
        "05",
    ),
    "old_versions": (
        "overwritten and deleted objects",
        "the way back after a mistake",
        "lifecycle of curated and jobs",
    ),
    "query_results": ("answers of Athena", "to be fetched", "lifecycle of jobs"),
    "audit": (
        "what CloudTrail wrote",
        "evidence; locked for so long, and deleted a day later",
        "Object Lock, lifecycle of audit",
    ),
    "logs": (
        "connections of the network",
        "to find out who talked to whom",
        "retention of the log group",
    ),
}
LAYERS = tuple(KEPT)


def buckets(names: Names, retention_days: dict[str, int]) -> list[Resource]:
    """Raw (not versioned: DMS's test of its target lists every version), curated, jobs and audit,
    in order.

    `retention_days` has 0 or more days for what `KEPT` names; 0 keeps for ever.
    """
    days = checked(retention_days)
    shared: dict[str, Any] = {"key_alias": kms.alias(names), "tags": names.tags}
    results = [expire("athena/", days["query_results"])] if days["query_results"] else []
    versions = [expire_old_versions(days["old_versions"])] if days["old_versions"] else []
    raw = [expire("", days["raw"])] if days["raw"] else []
    return [
        s3.bucket(names.raw_bucket, names.region, expiry=raw, **shared),
        s3.bucket(names.curated_bucket, names.region, versioned=True, expiry=versions, **shared),
        s3.bucket(
            names.jobs_bucket, names.region, versioned=True, expiry=[*results, *versions], **shared
        ),
        audit_bucket(names, days["audit"]),
    ]


def audit_bucket(names: Names, locked_days: int) -> Resource:
    """Where CloudTrail alone writes; locked, so that what it wrote stays as it is for so many days.

    Source: "Amazon S3 bucket policy for CloudTrail".
    """
    arn = f"arn:aws:s3:::{names.audit_bucket}"
    trail = f"arn:aws:cloudtrail:{names.region}:{names.account}:trail/{names.resource('trail')}"
    writer = {"Principal": {"Service": "cloudtrail.amazonaws.com"}}
    ours = {"aws:SourceArn": trail}
    acl = {"s3:x-amz-acl": "bucket-owner-full-control"}
    statements = (
        {
            "Sid": "TrailLooks",
            "Effect": "Allow",
            **writer,
            "Action": "s3:GetBucketAcl",
            "Resource": arn,
            "Condition": {"StringEquals": ours},
        },
        {
            "Sid": "TrailWrites",
            "Effect": "Allow",
            **writer,
            "Action": "s3:PutObject",
            "Resource": f"{arn}/AWSLogs/{names.account}/*",
            "Condition": {"StringEquals": {**ours, **acl}},
        },
    )
    shared: dict[str, Any] = {"key_alias": kms.alias(names), "tags": names.tags}
    kept = {
        "locked_days": locked_days,
        "expiry": [expire("", locked_days + 1)] if locked_days else [],
    }
    return s3.bucket(
        names.audit_bucket, names.region, versioned=True, statements=statements, **kept, **shared
    )


@resource
def log_group(
    name: str, key_alias: str, retention_days: int, tags: dict[str, str]
) -> Iterator[Call]:
    """An encrypted log group that keeps its lines for so many days, one of the numbers CloudWatch
    Logs knows; 0 for ever.
    """
    logs = aws.client("logs")
    found = logs.describe_log_groups(logGroupNamePrefix=name)["logGroups"]
    actual = next((each for each in found if each["logGroupName"] == name), None)
    key = kms.key_arn(key_alias)
    if actual is None:
        yield Call(logs.create_log_group, {"logGroupName": name, "kmsKeyId": key, "tags": tags})
    elif actual.get("kmsKeyId") != key:
        yield Call(logs.associate_kms_key, {"logGroupName": name, "kmsKeyId": key})
    kept = actual.get("retentionInDays", 0) if actual else 0
    if retention_days and kept != retention_days:
        yield Call(
            logs.put_retention_policy, {"logGroupName": name, "retentionInDays": retention_days}
        )
    elif kept and not retention_days:
        yield Call(logs.delete_retention_policy, {"logGroupName": name})


def checked(retention_days: dict[str, int]) -> dict[str, int]:
    """All the days, 0 where none are named; raises LakebookError for a name nobody knows or what
    is no whole number of 0 or more.
    """
    wrong = sorted(map(str, set(retention_days) - set(LAYERS))) + [
        name for name, days in retention_days.items() if type(days) is not int or days < 0
    ]
    if wrong:
        raise LakebookError(
            f"retention_days speaks of {', '.join(wrong)}; it takes whole days of 0 or more for"
            f" {', '.join(LAYERS)}."
        )
    return {each: retention_days.get(each, 0) for each in LAYERS}


def retention(retention_days: dict[str, int]) -> list[dict[str, Any]]:
    """What is kept, how long, why, and what ends it: a line each."""
    days = checked(retention_days)
    return [
        {"what": what, "days": days[name] or "for ever", "why": why, "ended by": by}
        for name, (what, why, by) in KEPT.items()
    ]
