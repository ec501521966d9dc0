"""S3: which actions its operations need; most have another name, some need several.

Source: "Required permissions for Amazon S3 API operations" of the S3 user guide.
"""

from __future__ import annotations

import urllib.parse
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from service_authorization.resources import Lookup

BUCKET_ACTIONS = {
    "DeleteBucketAnalyticsConfiguration": "PutAnalyticsConfiguration",
    "DeleteBucketCors": "PutBucketCORS",
    "DeleteBucketEncryption": "PutEncryptionConfiguration",
    "DeleteBucketIntelligentTieringConfiguration": "PutIntelligentTieringConfiguration",
    "DeleteBucketInventoryConfiguration": "PutInventoryConfiguration",
    "DeleteBucketLifecycle": "PutLifecycleConfiguration",
    "DeleteBucketMetricsConfiguration": "PutMetricsConfiguration",
    "DeleteBucketOwnershipControls": "PutBucketOwnershipControls",
    "DeleteBucketReplication": "PutReplicationConfiguration",
    "DeleteBucketTagging": "PutBucketTagging",
    "DeletePublicAccessBlock": "PutBucketPublicAccessBlock",
    "GetBucketAccelerateConfiguration": "GetAccelerateConfiguration",
    "GetBucketAnalyticsConfiguration": "GetAnalyticsConfiguration",
    "GetBucketCors": "GetBucketCORS",
    "GetBucketEncryption": "GetEncryptionConfiguration",
    "GetBucketIntelligentTieringConfiguration": "GetIntelligentTieringConfiguration",
    "GetBucketInventoryConfiguration": "GetInventoryConfiguration",
    "GetBucketLifecycle": "GetLifecycleConfiguration",
    "GetBucketLifecycleConfiguration": "GetLifecycleConfiguration",
    "GetBucketMetricsConfiguration": "GetMetricsConfiguration",
    "GetBucketNotificationConfiguration": "GetBucketNotification",
    "GetBucketReplication": "GetReplicationConfiguration",
    "GetObjectLockConfiguration": "GetBucketObjectLockConfiguration",
    "GetPublicAccessBlock": "GetBucketPublicAccessBlock",
    "HeadBucket": "ListBucket",
    "ListBucketAnalyticsConfigurations": "GetAnalyticsConfiguration",
    "ListBucketIntelligentTieringConfigurations": "GetIntelligentTieringConfiguration",
    "ListBucketInventoryConfigurations": "GetInventoryConfiguration",
    "ListBucketMetricsConfigurations": "GetMetricsConfiguration",
    "ListMultipartUploads": "ListBucketMultipartUploads",
    "ListObjectVersions": "ListBucketVersions",
    "ListObjects": "ListBucket",
    "ListObjectsV2": "ListBucket",
    "PutBucketAccelerateConfiguration": "PutAccelerateConfiguration",
    "PutBucketAnalyticsConfiguration": "PutAnalyticsConfiguration",
    "PutBucketCors": "PutBucketCORS",
    "PutBucketEncryption": "PutEncryptionConfiguration",
    "PutBucketIntelligentTieringConfiguration": "PutIntelligentTieringConfiguration",
    "PutBucketInventoryConfiguration": "PutInventoryConfiguration",
    "PutBucketLifecycle": "PutLifecycleConfiguration",
    "PutBucketLifecycleConfiguration": "PutLifecycleConfiguration",
    "PutBucketMetricsConfiguration": "PutMetricsConfiguration",
    "PutBucketNotificationConfiguration": "PutBucketNotification",
    "PutBucketReplication": "PutReplicationConfiguration",
    "PutObjectLockConfiguration": "PutBucketObjectLockConfiguration",
    "PutPublicAccessBlock": "PutBucketPublicAccessBlock",
}
OBJECT_ACTIONS = {
    "CompleteMultipartUpload": "PutObject",
    "CopyObject": "PutObject",
    "CreateMultipartUpload": "PutObject",
    "GetObjectAttributes": "GetObject",
    "HeadObject": "GetObject",
    "ListParts": "ListMultipartUploadParts",
    "SelectObjectContent": "GetObject",
    "UploadPart": "PutObject",
    "UploadPartCopy": "PutObject",
}
OF_VERSIONS = {  # of an object's version that the request names
    "DeleteObject": "DeleteObjectVersion",
    "DeleteObjectTagging": "DeleteObjectVersionTagging",
    "GetObject": "GetObjectVersion",
    "GetObjectAcl": "GetObjectVersionAcl",
    "GetObjectTagging": "GetObjectVersionTagging",
    "PutObjectAcl": "PutObjectVersionAcl",
    "PutObjectTagging": "PutObjectVersionTagging",
}
BESIDES = {  # parameter: what it needs besides
    "Tagging": "PutObjectTagging",
    "ACL": "PutObjectAcl",
    "ObjectLockMode": "PutObjectRetention",
    "ObjectLockLegalHoldStatus": "PutObjectLegalHold",
}
WITH_BUCKET = {
    "ACL": "PutBucketAcl",
    "ObjectLockEnabledForBucket": "PutBucketObjectLockConfiguration",
    "ObjectOwnership": "PutBucketOwnershipControls",
}
WRITES = {
    "PutObject",
    "CopyObject",
    "CreateMultipartUpload",
    "UploadPart",
    "UploadPartCopy",
    "CompleteMultipartUpload",
}
READS = {"GetObject", "HeadObject", "SelectObjectContent", "GetObjectAttributes"}
ENCRYPTING = {"PutObject", "CopyObject", "CreateMultipartUpload"}

Need = tuple[str, str]  # action, resource


def needs(operation: str, parameters: Mapping[str, Any]) -> Iterator[Need]:
    """The actions of S3 that an operation needs, and on what."""
    bucket, key = parameters.get("Bucket"), parameters.get("Key")
    if bucket is None:
        yield f"s3:{'ListAllMyBuckets' if operation == 'ListBuckets' else operation}", "*"
    elif operation == "DeleteObjects":
        for each in parameters.get("Delete", {}).get("Objects", []):
            yield _versioned("DeleteObject", each), arn(bucket, each.get("Key", "*"))
    elif key is None:
        yield f"s3:{BUCKET_ACTIONS.get(operation, operation)}", arn(bucket)
        yield from (
            (f"s3:{WITH_BUCKET[each]}", arn(bucket))
            for each in WITH_BUCKET
            if _given(parameters, each, operation, "CreateBucket")
        )
        if parameters.get("CreateBucketConfiguration", {}).get("Tags"):
            yield "s3:TagResource", arn(bucket)
    else:
        yield _versioned(OBJECT_ACTIONS.get(operation, operation), parameters), arn(bucket, key)
        yield from _besides(operation, parameters, arn(bucket, key))


def key_needs(operation: str, parameters: Mapping[str, Any], lookup: Lookup) -> Iterator[Need]:
    """The actions of KMS that S3 asks for on the caller's behalf, for objects encrypted by a key of
    KMS.
    """
    if operation in READS and (found := lookup("s3", "ObjectKey", parameters)):
        yield "kms:Decrypt", found
    if operation in ENCRYPTING and (
        found := lookup("s3", "BucketKey", parameters) or _named_key(parameters)
    ):
        yield "kms:GenerateDataKey", found
        yield from [("kms:Decrypt", found)] if operation == "CreateMultipartUpload" else []
    if operation == "CopyObject" and (source := _source(parameters)):
        found = lookup("s3", "ObjectKey", {"Bucket": source["Bucket"], "Key": source["Key"]})
        yield from [("kms:Decrypt", found)] if found else []


def arn(bucket: str, key: str | None = None) -> str:
    """The ARN of a bucket or an object."""
    return f"arn:aws:s3:::{bucket}" + (f"/{key}" if key is not None else "")


def _besides(operation: str, parameters: Mapping[str, Any], target: str) -> Iterator[Need]:
    if operation in WRITES:
        yield from ((f"s3:{BESIDES[each]}", target) for each in BESIDES if parameters.get(each))
        if source := _source(parameters):
            yield _versioned("GetObject", source), arn(source["Bucket"], source["Key"])
    if operation == "GetObjectAttributes":
        yield _versioned("GetObjectAttributes", parameters), target
    if parameters.get("BypassGovernanceRetention"):
        yield "s3:BypassGovernanceRetention", target


def _given(parameters: Mapping[str, Any], name: str, operation: str, only: str) -> bool:
    return operation == only and bool(parameters.get(name))


def _source(parameters: Mapping[str, Any]) -> dict[str, str] | None:
    """The object that is copied: its bucket, its key and its version."""
    given = parameters.get("CopySource")
    if not given:
        return None
    if isinstance(given, Mapping):
        return dict(given)
    path, _, version = str(given).partition("?versionId=")
    bucket, _, key = urllib.parse.unquote(path).lstrip("/").partition("/")
    return {"Bucket": bucket, "Key": key, **({"VersionId": version} if version else {})}


def _versioned(action: str, parameters: Mapping[str, Any]) -> str:
    return f"s3:{OF_VERSIONS.get(action, action) if parameters.get('VersionId') else action}"


def _named_key(parameters: Mapping[str, Any]) -> str | None:
    return parameters.get("SSEKMSKeyId")
