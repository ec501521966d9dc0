"""Trails at work: log files and signed digests, delivered to a trail's bucket as CloudTrail does.

On AWS a log file comes after about five minutes and a digest every hour; here after
`settings.log_delivery_seconds`, and a digest once `settings.digest_delivery_seconds` are over and
there is something to put in it: the hour of an idle stand-in does not end.
"""

from __future__ import annotations

import datetime
import gzip
import hashlib
import json
import secrets
import string
import time
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from local_aws import settings
from local_aws.cloudtrail.selectors import DEFAULT, wanted
from local_aws.names import ACCOUNT

if TYPE_CHECKING:
    from collections.abc import Callable

    from local_aws.cloudtrail.store import Store

MOST_RECORDS_IN_A_FILE = 5000
ALGORITHM = "SHA256withRSA"


@dataclass
class Chain:
    """The digests of one trail in one Region since logging and validation were last turned on."""

    since: float  # when the digest being collected began, seconds since 1970
    log_files: list[dict[str, Any]] = field(default_factory=list)  # not yet in a digest
    # the previousDigest… members of the next digest
    previous: dict[str, Any] = field(default_factory=dict)


@dataclass
class Trail:
    """One trail: what it was asked for, and how far its delivery is."""

    described: dict[str, Any]  # as DescribeTrails gives it
    basic: list[dict[str, Any]] = field(default_factory=lambda: [dict(DEFAULT)])
    advanced: list[dict[str, Any]] = field(default_factory=list)
    tags: list[dict[str, str]] = field(default_factory=list)
    logging: bool = False
    deleted: bool = False
    # StopLogging or DeleteTrail came then: what is not delivered yet still is
    closing_at: float = 0
    started: datetime.datetime | None = None
    stopped: datetime.datetime | None = None
    start_id: int = 0  # events up to this one came before logging started
    delivered: dict[str, int] = field(default_factory=dict)  # Region: the last event seen
    chains: dict[str, Chain] = field(default_factory=dict)
    # LatestDeliveryTime and so on, once there are such
    status: dict[str, Any] = field(default_factory=dict)

    @property
    def arn(self) -> str:
        """The trail's ARN."""
        return str(self.described["TrailARN"])

    @property
    def active(self) -> bool:
        """Whether events are still to be delivered."""
        return self.logging or bool(self.closing_at)

    def chain(self, region: str) -> Chain:
        """The digests of a Region; a new chain begins with the logging."""
        return self.chains.setdefault(
            region, Chain(self.started.timestamp() if self.started else time.time())
        )

    def covers(self, region: str) -> bool:
        """Whether the trail takes the events of a Region."""
        return bool(self.described["IsMultiRegionTrail"]) or region == self.described["HomeRegion"]

    def wants(self, event: dict[str, Any]) -> bool:
        """Whether the trail takes an event."""
        return self.covers(event["awsRegion"]) and wanted(event, self.basic, self.advanced)


class Signer:
    """CloudTrail's key pair: digests are signed with it, ListPublicKeys gives its public half."""

    def __init__(self) -> None:
        self.valid_from = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=1)
        self.valid_to = self.valid_from + datetime.timedelta(days=60)
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.public_key = self._key.public_key().public_bytes(Encoding.DER, PublicFormat.PKCS1)
        self.fingerprint = hashlib.md5(self.public_key, usedforsecurity=False).hexdigest()

    def sign(self, text: str) -> str:
        """The signature in hexadecimal digits."""
        return self._key.sign(text.encode(), padding.PKCS1v15(), hashes.SHA256()).hex()


class Delivery:
    """Writes the files of trails; called by one thread only."""

    def __init__(
        self,
        store: Store,
        s3: Callable[[], Any],
        may_write: Callable[[str, str, str], bool],  # bucket, key, trail's ARN
        may_encrypt: Callable[[str, str], bool],  # KMS key's ARN, trail's ARN
        signer: Callable[[], Signer],
    ) -> None:
        self.store, self.s3, self.signer = store, s3, signer
        self.may_write, self.may_encrypt = may_write, may_encrypt

    def deliver(self, trail: Trail, *, digest: bool = False) -> None:
        """Deliver what a trail wants of the events so far, and its digests where they are due, or
        all with `digest`.
        """
        home = trail.described["HomeRegion"]
        for region in sorted({home, *self.store.regions()}):
            if trail.covers(region):
                self._deliver_region(trail, region, digest=digest)

    def _deliver_region(self, trail: Trail, region: str, *, digest: bool) -> None:
        try:
            self._log_files(trail, region)
        except (ClientError, BotoCoreError) as error:
            trail.status |= {"LatestDeliveryError": _code(error)}
            return
        if not trail.described["LogFileValidationEnabled"]:
            trail.chains.pop(region, None)
            return
        chain = trail.chain(region)
        if digest or (
            chain.log_files and time.time() - chain.since >= settings.digest_delivery_seconds
        ):
            try:
                self._digest(trail, region, chain, late=not digest)
            except (ClientError, BotoCoreError) as error:
                trail.status |= {"LatestDigestDeliveryError": _code(error)}

    def _log_files(self, trail: Trail, region: str) -> None:
        last, newest = trail.delivered.get(region, trail.start_id), self.store.last_id()
        events = self.store.after(region, last, newest)
        while chunk := list(islice(events, MOST_RECORDS_IN_A_FILE)):
            if records := [each.record for each in chunk if trail.wants(each.record)]:
                self._log_file(trail, region, records)
            trail.delivered[region] = chunk[-1].id

    def _log_file(self, trail: Trail, region: str, records: list[dict[str, Any]]) -> None:
        now = time.gmtime()
        name = "".join(secrets.choice(string.ascii_letters + string.digits) for _ in range(16))
        folder = f"CloudTrail/{region}/{time.strftime('%Y/%m/%d', now)}"
        key = _key(
            trail, folder, f"CloudTrail_{region}_{time.strftime('%Y%m%dT%H%MZ', now)}_{name}"
        )
        content = json.dumps({"Records": records}, ensure_ascii=False).encode()
        self._put(trail, key, content, {})
        trail.status |= {"LatestDeliveryTime": datetime.datetime.now(datetime.UTC)}
        trail.status.pop("LatestDeliveryError", None)
        if trail.described["LogFileValidationEnabled"]:
            entry = {
                "s3Bucket": trail.described["S3BucketName"],
                "s3Object": key,
                "hashValue": hashlib.sha256(content).hexdigest(),
                "hashAlgorithm": "SHA-256",
                "delivered": time.time(),  # not a part of the digest
                **_times(records),
            }
            trail.chain(region).log_files.append(entry)

    def _digest(self, trail: Trail, region: str, chain: Chain, *, late: bool) -> None:
        """The digest of the log files delivered up to its end; one that comes `late`, as AWS's do,
        does not name those delivered meanwhile.

        https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-log-file-validation-digest-file-structure.html
        """
        while int(time.time()) <= int(chain.since):
            time.sleep(0.05)  # a digest's name has its second
        end, bucket, home = (
            max(chain.since + 1, time.time() - settings.log_delivery_seconds)
            if late
            else time.time(),
            trail.described["S3BucketName"],
            trail.described["HomeRegion"],
        )
        named = [each for each in chain.log_files if each["delivered"] <= end]
        log_files = [{k: v for k, v in each.items() if k != "delivered"} for each in named]
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(end))
        folder = f"CloudTrail-Digest/{region}/{time.strftime('%Y/%m/%d', time.gmtime(end))}"
        key = _key(
            trail, folder, f"CloudTrail-Digest_{region}_{trail.described['Name']}_{home}_{stamp}"
        )
        previous = ("S3Bucket", "S3Object", "HashValue", "HashAlgorithm", "Signature")
        content = {
            "awsAccountId": ACCOUNT,
            "digestStartTime": _utc(chain.since),
            "digestEndTime": _utc(end),
            "digestS3Bucket": bucket,
            "digestS3Object": key,
            "digestPublicKeyFingerprint": self.signer().fingerprint,
            "digestSignatureAlgorithm": ALGORITHM,
            "newestEventTime": max((each["newestEventTime"] for each in log_files), default=None),
            "oldestEventTime": min((each["oldestEventTime"] for each in log_files), default=None),
            **{f"previousDigest{each}": chain.previous.get(each) for each in previous},
            "logFiles": log_files,
        }
        data = json.dumps(content).encode()
        digest_hash, before = (
            hashlib.sha256(data).hexdigest(),
            chain.previous.get("Signature") or "null",
        )
        signature = self.signer().sign(
            f"{content['digestEndTime']}\n{bucket}/{key}\n{digest_hash}\n{before}"
        )
        self._put(trail, key, data, {"signature": signature, "signature-algorithm": ALGORITHM})
        values = (bucket, key, digest_hash, "SHA-256", signature)
        rest = [each for each in chain.log_files if each["delivered"] > end]
        trail.chains[region] = Chain(end, rest, dict(zip(previous, values, strict=True)))
        trail.status |= {"LatestDigestDeliveryTime": datetime.datetime.now(datetime.UTC)}
        trail.status.pop("LatestDigestDeliveryError", None)

    def _put(self, trail: Trail, key: str, content: bytes, metadata: dict[str, str]) -> None:
        """As the service principal cloudtrail.amazonaws.com, which the bucket's policy must allow
        to.
        """
        bucket, kms_key = trail.described["S3BucketName"], trail.described.get("KmsKeyId")
        encrypts = not kms_key or metadata or self.may_encrypt(kms_key, trail.arn)
        if not (encrypts and self.may_write(bucket, key, trail.arn)):
            raise ClientError(
                {"Error": {"Code": "AccessDenied", "Message": "Access Denied"}}, "PutObject"
            )
        # of digests always, of log files without a key of the trail's
        encryption = {"ServerSideEncryption": "AES256"}
        if kms_key and not metadata:
            encryption = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": kms_key}
        self.s3().put_object(
            Bucket=bucket,
            Key=key,
            Body=gzip.compress(content, 5),
            ContentType="application/json",
            ContentEncoding="gzip",
            Metadata=metadata,
            **encryption,
        )


def _key(trail: Trail, folder: str, name: str) -> str:
    prefix = f"{trail.described['S3KeyPrefix']}/" if trail.described.get("S3KeyPrefix") else ""
    return f"{prefix}AWSLogs/{ACCOUNT}/{folder}/{ACCOUNT}_{name}.json.gz"


def _times(records: list[dict[str, Any]]) -> dict[str, str]:
    times = [each["eventTime"] for each in records]
    return {"newestEventTime": max(times), "oldestEventTime": min(times)}


def _utc(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def _code(error: Exception) -> str:
    return (
        str(error.response["Error"]["Code"])
        if isinstance(error, ClientError)
        else type(error).__name__
    )
