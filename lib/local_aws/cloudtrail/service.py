"""CloudTrail: trails with their selectors and tags."""

from __future__ import annotations

import datetime
import re
import time
from typing import TYPE_CHECKING, Any

from local_aws.cloudtrail.delivery import Trail
from local_aws.cloudtrail.history import History
from local_aws.cloudtrail.recorder import Recorder
from local_aws.cloudtrail.selectors import DEFAULT, checked
from local_aws.errors import ApiError
from local_aws.names import ACCOUNT
from local_aws.principal import aws_service

if TYPE_CHECKING:
    from collections.abc import Callable

    from local_aws.service import Call
    from local_aws.stand_in import StandIn

PRINCIPAL = aws_service("cloudtrail.amazonaws.com")
MOST_TRAILS = 5  # per Region
# parameter of CreateTrail and UpdateTrail: member of what DescribeTrails says, value when never
# given
SETTINGS = {
    "S3BucketName": ("S3BucketName", None),
    "S3KeyPrefix": ("S3KeyPrefix", None),
    "IncludeGlobalServiceEvents": ("IncludeGlobalServiceEvents", True),
    "IsMultiRegionTrail": ("IsMultiRegionTrail", False),
    "EnableLogFileValidation": ("LogFileValidationEnabled", False),
    "KmsKeyId": ("KmsKeyId", None),
    "IsOrganizationTrail": ("IsOrganizationTrail", False),
}
# nothing would arrive there
NOT_HERE = ("SnsTopicName", "CloudWatchLogsLogGroupArn", "CloudWatchLogsRoleArn")


class CloudTrail(History):
    """Trails; the rest is in `History`."""

    def __init__(self, stand_in: StandIn) -> None:
        super().__init__(stand_in)
        self.recorder = stand_in.recorder = Recorder(stand_in, self._may_write, self._may_encrypt)
        self._trails: dict[str, Trail] = {}  # by ARN

    def stop(self) -> None:
        """Deliver what is left."""
        self.recorder.stop()

    def deliver(self, _: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        """`POST /_local_aws/cloudtrail`, which AWS does not have: all log files and digests are
        delivered when it answers (WSGI).
        """
        self.recorder.deliver()
        start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", "2")])
        return [b"{}"]

    # Trails

    def CreateTrail(self, call: Call) -> dict[str, Any]:
        """A trail that does not log yet
        (https://docs.aws.amazon.com/awscloudtrail/latest/APIReference/API_CreateTrail.html).
        """
        name = call.parameters["Name"]
        _check_name(name)
        home = [
            each for each in self._trails.values() if each.described["HomeRegion"] == call.region
        ]
        if any(each.described["Name"] == name for each in home):
            raise ApiError(
                "TrailAlreadyExistsException",
                f"Trail {name} already exists for customer: {ACCOUNT}",
            )
        if len(home) >= MOST_TRAILS:
            message = f"User: {ACCOUNT} already has {MOST_TRAILS} trails in {call.region}."
            raise ApiError("MaximumNumberOfTrailsExceededException", message)
        arn = f"arn:aws:cloudtrail:{call.region}:{ACCOUNT}:trail/{name}"
        described = {
            "Name": name,
            **{
                member: call.parameters.get(given, default)
                for given, (member, default) in SETTINGS.items()
            },
            "HomeRegion": call.region,
            "TrailARN": arn,
            "HasCustomEventSelectors": False,
            "HasInsightSelectors": False,
        }
        self._check(call, described)
        trail = Trail(described, tags=call.parameters.get("TagsList", []))
        self._trails[arn] = trail
        self.recorder.trails.append(trail)
        return _as_created(trail)

    def UpdateTrail(self, call: Call) -> dict[str, Any]:
        """The trail with other settings; log files go on."""
        trail = self._at_home(call, call.parameters["Name"])
        given = {
            SETTINGS[name][0]: value for name, value in call.parameters.items() if name in SETTINGS
        }
        described = trail.described | given
        self._check(call, described)
        trail.described = described
        return _as_created(trail)

    def DeleteTrail(self, call: Call) -> dict[str, Any]:
        """Deletes a trail; returns {}. What it saw is still delivered, and its files stay."""
        trail = self._at_home(call, call.parameters["Name"])
        self._close(trail)
        trail.deleted = True
        del self._trails[trail.arn]
        return {}

    def DescribeTrails(self, call: Call) -> dict[str, Any]:
        """The trails asked for, or all of this Region; multi-Region ones of other Regions are
        shadow trails.
        """
        asked = call.parameters.get("trailNameList") or []
        shadows = call.parameters.get("includeShadowTrails", True)
        found = [
            each
            for each in self._seen_from(call.region)
            if (not asked or each.arn in asked or each.described["Name"] in asked)
            and (shadows or each.described["HomeRegion"] == call.region)
        ]
        return {"trailList": [_described(each) for each in found]}

    def GetTrail(self, call: Call) -> dict[str, Any]:
        """One trail's settings."""
        return {"Trail": _described(self._trail(call, call.parameters["Name"]))}

    def ListTrails(self, call: Call) -> dict[str, Any]:
        """Name, ARN and home Region of every trail of the account."""
        del call
        names = ("TrailARN", "Name", "HomeRegion")
        return {
            "Trails": [
                {name: each.described[name] for name in names} for each in self._trails.values()
            ]
        }

    def StartLogging(self, call: Call) -> dict[str, Any]:
        """Delivers events from now on; returns {}."""
        trail = self._at_home(call, call.parameters["Name"])
        if not trail.logging:
            self.recorder.start(trail)
        return {}

    def StopLogging(self, call: Call) -> dict[str, Any]:
        """Ends delivery with this event and the digest that ends the chain; returns {}."""
        self._close(self._at_home(call, call.parameters["Name"]))
        return {}

    def GetTrailStatus(self, call: Call) -> dict[str, Any]:
        """Whether it logs, and when something was delivered last: only what happened is there."""
        trail = self._trail(call, call.parameters["Name"])
        times = {
            "StartLoggingTime": trail.started,
            "StopLoggingTime": trail.stopped,
            **trail.status,
        }
        found = {name: value for name, value in times.items() if value is not None}
        texts = {
            "LatestDeliveryAttemptTime": found.get("LatestDeliveryTime"),
            "LatestDeliveryAttemptSucceeded": found.get("LatestDeliveryTime"),
            "TimeLoggingStarted": trail.started,
            "TimeLoggingStopped": trail.stopped,
        }
        written = {
            name: value.strftime("%Y-%m-%dT%H:%M:%SZ") if value else ""
            for name, value in texts.items()
        }
        nothing = {"LatestNotificationAttemptTime": "", "LatestNotificationAttemptSucceeded": ""}
        return {"IsLogging": trail.logging, **found, **written, **nothing}

    # Selectors

    def PutEventSelectors(self, call: Call) -> dict[str, Any]:
        """What was given; it takes the place of what was there, of either kind."""
        trail = self._at_home(call, call.parameters["TrailName"])
        basic = [DEFAULT | each for each in call.parameters.get("EventSelectors") or []]
        advanced = call.parameters.get("AdvancedEventSelectors") or []
        checked(basic, advanced)
        trail.basic, trail.advanced = basic, advanced
        trail.described["HasCustomEventSelectors"] = bool(advanced) or basic != [DEFAULT]
        return _selectors(trail)

    def GetEventSelectors(self, call: Call) -> dict[str, Any]:
        """The selectors; a new trail has the default one."""
        return _selectors(self._trail(call, call.parameters["TrailName"]))

    def GetInsightSelectors(self, call: Call) -> dict[str, Any]:
        """Always an InsightNotEnabledException: insights cannot be turned on here."""
        trail = self._trail(call, call.parameters["TrailName"])
        name = trail.described["Name"]
        raise ApiError(
            "InsightNotEnabledException", f"Trail {name} does not have Insights enabled."
        )

    # Tags

    def AddTags(self, call: Call) -> dict[str, Any]:
        """Adds tags, a tag that is there gets the new value; returns {}."""
        trail, new = self._at_home(call, call.parameters["ResourceId"]), call.parameters["TagsList"]
        names = {each["Key"] for each in new}
        trail.tags = [each for each in trail.tags if each["Key"] not in names] + new
        return {}

    def RemoveTags(self, call: Call) -> dict[str, Any]:
        """Removes tags, those that are not there do not matter; returns {}."""
        trail = self._at_home(call, call.parameters["ResourceId"])
        names = {each["Key"] for each in call.parameters["TagsList"]}
        trail.tags = [each for each in trail.tags if each["Key"] not in names]
        return {}

    def ListTags(self, call: Call) -> dict[str, Any]:
        """The tags of trails given by ARN."""
        asked = call.parameters["ResourceIdList"]
        return {
            "ResourceTagList": [
                {"ResourceId": each, "TagsList": self._trail(call, each).tags} for each in asked
            ]
        }

    def _seen_from(self, region: str) -> list[Trail]:
        return [each for each in self._trails.values() if each.covers(region)]

    def _trail(self, call: Call, name_or_arn: str) -> Trail:
        for each in self._trails.values():
            if name_or_arn == each.arn or (
                name_or_arn == each.described["Name"] and each.covers(call.region)
            ):
                return each
        _check_name(name_or_arn.rsplit("/", 1)[-1])
        raise ApiError(
            "TrailNotFoundException", f"Unknown trail: {name_or_arn} for the user: {ACCOUNT}"
        )

    def _at_home(self, call: Call, name_or_arn: str) -> Trail:
        trail = self._trail(call, name_or_arn)
        if trail.described["HomeRegion"] != call.region:
            message = (
                "This operation must be called in the home Region of the trail,"
                f" {trail.described['HomeRegion']}."
            )
            raise ApiError("InvalidHomeRegionException", message)
        return trail

    @staticmethod
    def _close(trail: Trail) -> None:
        if trail.logging:
            trail.closing_at, trail.logging = time.time(), False
            trail.stopped = datetime.datetime.now(datetime.UTC)

    def _check(self, call: Call, described: dict[str, Any]) -> None:
        """Raise ApiError for settings that AWS refuses or that nothing here stands behind; a key
        gets its ARN.
        """
        if asked := [each for each in NOT_HERE if call.parameters.get(each)]:
            raise ApiError(
                "NotInLocalAws", f"local_aws does not deliver events by {', '.join(asked)}.", 501
            )
        if described["IsOrganizationTrail"]:
            message = "Your account is not a member of an organization."
            raise ApiError("OrganizationsNotInUseException", message)
        if described["IsMultiRegionTrail"] and not described["IncludeGlobalServiceEvents"]:
            message = "Multi-Region trail must include global service events."
            raise ApiError("InvalidParameterCombinationException", message)
        if described.get("KmsKeyId"):
            key = described["KmsKeyId"] = self._key_arn(described["KmsKeyId"])
            if not self._may_encrypt(key, described["TrailARN"]):
                message = (
                    f"Insufficient permissions to access S3 bucket {described['S3BucketName']} or"
                    f" KMS key {key}."
                )
                raise ApiError("InsufficientEncryptionPolicyException", message)
        bucket = described["S3BucketName"]
        if not self.stand_in.objects.bucket_exists(bucket):
            raise ApiError("S3BucketDoesNotExistException", f"S3 bucket {bucket} does not exist!")
        prefix = f"{described['S3KeyPrefix']}/" if described.get("S3KeyPrefix") else ""
        if not self._may_write(
            bucket, f"{prefix}AWSLogs/{ACCOUNT}/CloudTrail/", described["TrailARN"]
        ):
            message = f"Incorrect S3 bucket policy is detected for bucket: {bucket}"
            raise ApiError("InsufficientS3BucketPolicyException", message)

    def _key_arn(self, key: str) -> str:
        kms = self.stand_in.client("kms")
        try:
            found = kms.describe_key(KeyId=key)["KeyMetadata"]
        except kms.exceptions.NotFoundException as error:
            raise ApiError("KmsKeyNotFoundException", f"KMS key {key} not found.") from error
        if found["KeyState"] != "Enabled":
            raise ApiError("KmsException", f"KMS key {found['Arn']} is {found['KeyState']}.")
        return str(found["Arn"])

    def _may_write(self, bucket: str, key: str, trail_arn: str) -> bool:
        """Whether the bucket's policy lets CloudTrail look at the bucket and write a file (Amazon
        S3 bucket policy for CloudTrail).
        """
        given = {"aws:SourceArn": trail_arn, "aws:SourceAccount": ACCOUNT}
        acl = {"s3:x-amz-acl": "bucket-owner-full-control"}
        looks = self.stand_in.authority.allows(
            PRINCIPAL, "s3:GetBucketAcl", f"arn:aws:s3:::{bucket}", given
        )
        file = f"arn:aws:s3:::{bucket}/{key}"
        return looks and self.stand_in.authority.allows(
            PRINCIPAL, "s3:PutObject", file, given | acl
        )

    def _may_encrypt(self, key_arn: str, trail_arn: str) -> bool:
        """Whether the key's policy lets CloudTrail encrypt with it (Configure AWS KMS key policies
        for CloudTrail).
        """
        given = {"aws:SourceArn": trail_arn, "aws:SourceAccount": ACCOUNT}
        given["kms:EncryptionContext:aws:cloudtrail:arn"] = trail_arn
        return self.stand_in.authority.allows(PRINCIPAL, "kms:GenerateDataKey", key_arn, given)


def _check_name(name: str) -> None:
    rules = (
        (3 <= len(name) <= 128, "Trail name must be between 3 and 128 characters."),
        (re.fullmatch(r"[A-Za-z0-9].*", name), "Trail name must starts with a letter or number."),
        (re.fullmatch(r".*[A-Za-z0-9]", name), "Trail name must ends with a letter or number."),
        (
            re.fullmatch(r"[A-Za-z0-9._-]+", name),
            (
                "Trail name or ARN can only contain uppercase letters, lowercase letters, numbers,"
                " periods (.), hyphens (-), and underscores (_)."
            ),
        ),
    )
    for holds, message in rules:
        if not holds:
            raise ApiError("InvalidTrailNameException", message)


def _described(trail: Trail) -> dict[str, Any]:
    return {name: value for name, value in trail.described.items() if value is not None}


def _as_created(trail: Trail) -> dict[str, Any]:
    left_out = ("HomeRegion", "HasCustomEventSelectors", "HasInsightSelectors")
    return {name: value for name, value in _described(trail).items() if name not in left_out}


def _selectors(trail: Trail) -> dict[str, Any]:
    kind = (
        {"AdvancedEventSelectors": trail.advanced}
        if trail.advanced
        else {"EventSelectors": trail.basic}
    )
    return {"TrailARN": trail.arn, **kind}
