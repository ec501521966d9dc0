"""Buckets and objects."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from lakebook import aws
from lakebook.ensure import Call, current, resource
from lakebook.errors import LakebookError

if TYPE_CHECKING:
    from collections.abc import Iterator


@resource
def bucket(name: str, region: str) -> Iterator[Call]:
    """A private bucket: encrypted, no public access, TLS only, no ACLs; raises LakebookError when the name is another's."""
    s3 = aws.client("s3")
    exists = _exists(s3, name)
    if not exists:
        place = {} if region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": region}}
        yield Call(s3.create_bucket, {"Bucket": name, "ObjectOwnership": "BucketOwnerEnforced", **place})
    blocked = dict.fromkeys(("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets"), True)
    have = exists and current(s3.get_public_access_block, "NoSuchPublicAccessBlockConfiguration", Bucket=name)
    if not have or have["PublicAccessBlockConfiguration"] != blocked:
        yield Call(s3.put_public_access_block, {"Bucket": name, "PublicAccessBlockConfiguration": blocked})
    rules = [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]
    have = exists and current(s3.get_bucket_encryption, "ServerSideEncryptionConfigurationNotFoundError", Bucket=name)
    if (
        not have
        or have["ServerSideEncryptionConfiguration"]["Rules"][0]["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"]
        != "AES256"
    ):
        yield Call(s3.put_bucket_encryption, {"Bucket": name, "ServerSideEncryptionConfiguration": {"Rules": rules}})
    policy = _tls_only(name)
    have = exists and current(s3.get_bucket_policy, "NoSuchBucketPolicy", Bucket=name)
    if not have or json.loads(have["Policy"]) != policy:
        yield Call(s3.put_bucket_policy, {"Bucket": name, "Policy": json.dumps(policy)})


@resource
def text_object(uri: str, text: str) -> Iterator[Call]:
    """An object with this text (a script, a manifest); written again only when the text differs."""
    s3, (where, key) = aws.client("s3"), split(uri)
    digest = hashlib.sha256(text.encode()).hexdigest()
    have = current(s3.head_object, "404", Bucket=where, Key=key)
    if have is None or have["Metadata"].get("sha256") != digest:
        yield Call(s3.put_object, {"Bucket": where, "Key": key, "Body": text, "Metadata": {"sha256": digest}})


def split(uri: str) -> tuple[str, str]:
    """Bucket and key of `s3://bucket/key`."""
    where, _, key = uri.removeprefix("s3://").partition("/")
    return where, key


def objects(uri: str) -> list[dict[str, Any]]:
    """The objects below `s3://bucket/prefix`: `[{"uri", "bytes", "etag"}]`, sorted by key; none where the bucket is absent."""
    s3, (where, prefix) = aws.client("s3"), split(uri)
    try:
        pages = list(s3.get_paginator("list_objects_v2").paginate(Bucket=where, Prefix=prefix))
    except ClientError as error:
        if error.response["Error"]["Code"] == "NoSuchBucket":
            return []
        raise
    found = [each for page in pages for each in page.get("Contents", [])]
    return [
        {"uri": f"s3://{where}/{each['Key']}", "bytes": each["Size"], "etag": each["ETag"].strip('"')} for each in found
    ]


def emptied(uri: str) -> Iterator[Call]:
    """The calls that remove every object below `s3://bucket/prefix`, a thousand at a time."""
    bucket, keys = split(uri)[0], [{"Key": split(each["uri"])[1]} for each in objects(uri)]
    for start in range(0, len(keys), 1000):
        yield Call(
            aws.client("s3").delete_objects, {"Bucket": bucket, "Delete": {"Objects": keys[start : start + 1000]}}
        )


def _exists(s3: Any, name: str) -> bool:
    try:
        s3.head_bucket(Bucket=name)
    except ClientError as error:
        if error.response["Error"]["Code"] == "404":
            return False
        raise LakebookError(
            f"The bucket name {name} belongs to somebody else ({error.response['Error']['Code']}); bucket names are unique in all of AWS: choose another prefix."
        ) from error
    return True


def _tls_only(name: str) -> dict[str, Any]:
    """The bucket policy that refuses every request without TLS (AWS Security Hub control S3.5)."""
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Sid": "TlsOnly",
                "Effect": "Deny",
                "Principal": "*",
                "Action": "s3:*",
                "Resource": [f"arn:aws:s3:::{name}", f"arn:aws:s3:::{name}/*"],
                "Condition": {"Bool": {"aws:SecureTransport": "false"}},
            }
        ],
    }
