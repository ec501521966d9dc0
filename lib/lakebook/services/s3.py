"""Buckets and objects."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, cast

from botocore.exceptions import ClientError

from lakebook import aws
from lakebook.ensure import Call, current, resource
from lakebook.errors import LakebookError
from lakebook.services import bucket_settings

if TYPE_CHECKING:
    import datetime
    from collections.abc import Iterable, Iterator


@resource
def bucket(
    name: str,
    region: str,
    *,
    key_alias: str = "",
    versioned: bool = False,
    locked_days: int = 0,
    expiry: list[dict[str, Any]] | None = None,
    statements: tuple[dict[str, Any], ...] = (),
    tags: dict[str, str] | None = None,
) -> Iterator[Call]:
    """A private bucket: encrypted, no public access, TLS only, no ACLs; raises LakebookError when
    the name is another's.

    `key_alias` names the KMS key that encrypts (S3's own without), `expiry` are lifecycle rules,
    `statements` belong to its policy, and for `locked_days` nobody can delete what is written but
    by `s3:BypassGovernanceRetention`.
    """
    s3 = aws.client("s3")
    exists = _exists(s3, name)
    if not exists:
        # with its tags, as nothing else would say later that it is ours
        pairs = [{"Key": key, "Value": value} for key, value in (tags or {}).items()]
        configuration = {
            **({} if region == "us-east-1" else {"LocationConstraint": region}),
            **({"Tags": pairs} if pairs else {}),
        }
        made_with = {"CreateBucketConfiguration": configuration} if configuration else {}
        lock = {"ObjectLockEnabledForBucket": True} if locked_days else {}
        arguments = {"Bucket": name, "ObjectOwnership": "BucketOwnerEnforced", **made_with, **lock}
        yield Call(s3.create_bucket, arguments)
    yield from bucket_settings.access(s3, name, exists=exists, statements=statements)
    yield from bucket_settings.encryption(s3, name, exists=exists, key_alias=key_alias)
    yield from bucket_settings.retention(
        s3,
        name,
        exists=exists,
        versioned=versioned or bool(locked_days),
        locked_days=locked_days,
        expiry=expiry or [],
    )


@resource
def stored_object(uri: str, content: str | bytes) -> Iterator[Call]:
    """An object with this content (a script, a manifest); written again only when the content
    differs.
    """
    s3, (where, key) = aws.client("s3"), split(uri)
    digest = hashlib.sha256(content.encode() if isinstance(content, str) else content).hexdigest()
    actual = current(s3.head_object, "404", Bucket=where, Key=key)
    if actual is None or actual["Metadata"].get("sha256") != digest:
        yield Call(
            s3.put_object,
            {"Bucket": where, "Key": key, "Body": content, "Metadata": {"sha256": digest}},
        )


def split(uri: str) -> tuple[str, str]:
    """Bucket and key of `s3://bucket/key`."""
    where, _, key = uri.removeprefix("s3://").partition("/")
    return where, key


def objects(uri: str) -> list[dict[str, Any]]:
    """The objects below `s3://bucket/prefix`: `[{"uri", "bytes", "etag"}]`, sorted by key; none
    where the bucket is absent, and not the empty ones that Hadoop leaves for folders: `…/` of S3A,
    `…_$folder$` of EMRFS.
    """
    where = split(uri)[0]
    return [
        {
            "uri": f"s3://{where}/{each['Key']}",
            "bytes": each["Size"],
            "etag": each["ETag"].strip('"'),
        }
        for each in _listed(uri)
        if each["Size"] or not each["Key"].endswith(("/", "_$folder$"))
    ]


def modified(uri: str) -> list[tuple[str, datetime.datetime]]:
    """The objects below `s3://bucket/prefix` and when each was written, UTC; none where the bucket
    is absent.
    """
    return [(f"s3://{split(uri)[0]}/{each['Key']}", each["LastModified"]) for each in _listed(uri)]


def emptied(uri: str) -> Iterator[Call]:
    """The calls that remove every object below `s3://bucket/prefix`, a thousand at a time."""
    bucket, keys = split(uri)[0], [{"Key": each["Key"]} for each in _listed(uri)]
    for start in range(0, len(keys), 1000):
        yield Call(
            aws.client("s3").delete_objects,
            {"Bucket": bucket, "Delete": {"Objects": keys[start : start + 1000]}},
        )


def _listed(uri: str) -> list[dict[str, Any]]:
    s3, (where, prefix) = aws.client("s3"), split(uri)
    try:
        pages = list(s3.get_paginator("list_objects_v2").paginate(Bucket=where, Prefix=prefix))
    except ClientError as error:
        if error.response["Error"]["Code"] == "NoSuchBucket":
            return []
        raise
    return [dict(each) for page in pages for each in page.get("Contents", [])]


def earlier(uri: str, current: str) -> list[dict[str, str]]:
    """Versions and delete markers below `uri` that are not the newest of an object below `current`:
    `[{"Key", "VersionId"}]`.
    """
    (bucket, prefix), keep = split(uri), split(current)[1] if current else None
    pages = (
        aws.client("s3")
        .get_paginator("list_object_versions")
        .paginate(Bucket=bucket, Prefix=prefix)
    )
    found: list[tuple[str, Any]] = [
        (kind, each)
        for page in cast("Iterable[dict[str, Any]]", pages)
        for kind in ("Versions", "DeleteMarkers")
        for each in page.get(kind, [])
    ]
    return [
        {"Key": each["Key"], "VersionId": each["VersionId"]}
        for kind, each in found
        if not (
            kind == "Versions"
            and each["IsLatest"]
            and keep is not None
            and each["Key"].startswith(keep)
        )
    ]


@resource
def without_history(_name: str, uri: str, current: str) -> Iterator[Call]:
    """Nothing below `uri` but the newest version of what is below `current`, for good: versions do
    not come back.
    """
    found, bucket = earlier(uri, current), split(uri)[0]
    for start in range(0, len(found), 1000):
        yield Call(
            aws.client("s3").delete_objects,
            {"Bucket": bucket, "Delete": {"Objects": found[start : start + 1000], "Quiet": True}},
            until=_all_deleted,
        )


def _all_deleted(answer: dict[str, Any]) -> None:
    """Raise what S3 only lists under Errors while it answers 200."""
    if errors := answer.get("Errors"):
        raise LakebookError(
            f"S3 kept {len(errors)} versions, the first with {errors[0]['Code']}:"
            f" {errors[0].get('Message', '')}"
        )


def _exists(s3: Any, name: str) -> bool:
    try:
        s3.head_bucket(Bucket=name)
    except ClientError as error:
        code = error.response["Error"]["Code"]
        if code == "404":
            return False
        if code not in ("301", "403"):
            raise
        raise LakebookError(
            f"The bucket name {name} belongs to somebody else ({code});"
            " bucket names are unique in all of AWS: choose another prefix."
        ) from error
    return True
