"""What a bucket must be besides existing: who reaches it, how it is encrypted, how long it
keeps.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from lakebook.ensure import Call, current
from lakebook.services import kms, policies

if TYPE_CHECKING:
    from collections.abc import Iterator

BLOCKED = dict.fromkeys(
    ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets"), True
)
NOT_ENCRYPTED = "ServerSideEncryptionConfigurationNotFoundError"
ABANDONED_UPLOADS = {
    "ID": "abandoned uploads",
    "Status": "Enabled",
    "Filter": {"Prefix": ""},
    "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 7},
}


def access(
    s3: Any, name: str, *, exists: bool, statements: tuple[dict[str, Any], ...]
) -> Iterator[Call]:
    """The calls after which nothing is public, ACLs mean nothing, and the policy is TLS only plus
    `statements`.
    """
    actual = exists and current(
        s3.get_public_access_block, "NoSuchPublicAccessBlockConfiguration", Bucket=name
    )
    if not actual or actual["PublicAccessBlockConfiguration"] != BLOCKED:
        yield Call(
            s3.put_public_access_block, {"Bucket": name, "PublicAccessBlockConfiguration": BLOCKED}
        )
    controls = {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}
    actual = exists and current(
        s3.get_bucket_ownership_controls, "OwnershipControlsNotFoundError", Bucket=name
    )
    if exists and (not actual or actual["OwnershipControls"] != controls):
        yield Call(
            s3.put_bucket_ownership_controls, {"Bucket": name, "OwnershipControls": controls}
        )
    policy = policies.document(tls_only(name), *statements)
    actual = exists and current(s3.get_bucket_policy, "NoSuchBucketPolicy", Bucket=name)
    if not actual or not policies.same(actual["Policy"], policy):
        yield Call(s3.put_bucket_policy, {"Bucket": name, "Policy": json.dumps(policy)})


def encryption(s3: Any, name: str, *, exists: bool, key_alias: str) -> Iterator[Call]:
    """The call after which every object is encrypted: by a KMS key with bucket keys, or by S3's own
    without an alias.
    """
    how = (
        {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": kms.key_arn(key_alias)}
        if key_alias
        else {"SSEAlgorithm": "AES256"}
    )
    actual = exists and current(s3.get_bucket_encryption, NOT_ENCRYPTED, Bucket=name)
    rule: dict[str, Any] = actual["ServerSideEncryptionConfiguration"]["Rules"][0] if actual else {}
    as_declared = rule.get("ApplyServerSideEncryptionByDefault") == how
    if not as_declared or (key_alias and not rule.get("BucketKeyEnabled")):
        desired = {"ApplyServerSideEncryptionByDefault": how, "BucketKeyEnabled": bool(key_alias)}
        yield Call(
            s3.put_bucket_encryption,
            {"Bucket": name, "ServerSideEncryptionConfiguration": {"Rules": [desired]}},
        )


def retention(
    s3: Any,
    name: str,
    *,
    exists: bool,
    versioned: bool,
    locked_days: int,
    expiry: list[dict[str, Any]],
) -> Iterator[Call]:
    """The calls after which versions, lock and lifecycle are as declared; versions that somebody
    else keeps stay.
    """
    if (
        versioned
        and not (exists and s3.get_bucket_versioning(Bucket=name).get("Status") == "Enabled")
        and not (locked_days and not exists)
    ):
        yield Call(
            s3.put_bucket_versioning,
            {"Bucket": name, "VersioningConfiguration": {"Status": "Enabled"}},
        )
    if locked_days:
        actual = exists and current(
            s3.get_object_lock_configuration, "ObjectLockConfigurationNotFoundError", Bucket=name
        )
        if not actual or _locked_days(actual["ObjectLockConfiguration"]) != locked_days:
            rule = {"DefaultRetention": {"Mode": "GOVERNANCE", "Days": locked_days}}
            desired = {"ObjectLockEnabled": "Enabled", "Rule": rule}
            yield Call(
                s3.put_object_lock_configuration,
                {"Bucket": name, "ObjectLockConfiguration": desired},
            )
    rules = [ABANDONED_UPLOADS, *expiry]
    actual = exists and current(
        s3.get_bucket_lifecycle_configuration, "NoSuchLifecycleConfiguration", Bucket=name
    )
    if not actual or not _same_rules(actual["Rules"], rules):
        yield Call(
            s3.put_bucket_lifecycle_configuration,
            {"Bucket": name, "LifecycleConfiguration": {"Rules": rules}},
        )


def expire(prefix: str, days: int) -> dict[str, Any]:
    """The lifecycle rule by which objects below a prefix go after so many days, and with them their
    old versions.
    """
    kept = {"Expiration": {"Days": days}, "NoncurrentVersionExpiration": {"NoncurrentDays": 1}}
    return {
        "ID": f"expire {prefix or 'all'}",
        "Status": "Enabled",
        "Filter": {"Prefix": prefix},
        **kept,
    }


def expire_old_versions(days: int) -> dict[str, Any]:
    """The lifecycle rule by which overwritten and deleted objects go after so many days."""
    kept = {"NoncurrentVersionExpiration": {"NoncurrentDays": days}}
    return {"ID": "old versions", "Status": "Enabled", "Filter": {"Prefix": ""}, **kept}


def _locked_days(configuration: dict[str, Any]) -> int | None:
    retention = configuration.get("Rule", {}).get("DefaultRetention", {})
    return retention.get("Days") if retention.get("Mode") in ("GOVERNANCE", "COMPLIANCE") else None


def _same_rules(actual: list[dict[str, Any]], desired: list[dict[str, Any]]) -> bool:
    return sorted(map(json.dumps, map(_ordered, actual))) == sorted(
        map(json.dumps, map(_ordered, desired))
    )


def _ordered(value: Any) -> Any:
    return (
        {name: _ordered(value[name]) for name in sorted(value)}
        if isinstance(value, dict)
        else value
    )


def tls_only(name: str) -> dict[str, Any]:
    """Refuses every request without TLS (AWS Security Hub control S3.5)."""
    return {
        "Sid": "TlsOnly",
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:*",
        "Resource": [f"arn:aws:s3:::{name}", f"arn:aws:s3:::{name}/*"],
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }
