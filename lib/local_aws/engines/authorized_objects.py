"""S3 objects as one principal sees them: an engine that works on the files asks before each one,
and CloudTrail records it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from local_aws.errors import AccessDeniedError
from local_aws.s3.objects import Objects

if TYPE_CHECKING:
    from pathlib import Path

    from local_aws.principal import Principal
    from local_aws.stand_in import StandIn

LAKE_FORMATION = "lakeformation.amazonaws.com"


class ObjectDeniedError(AccessDeniedError):
    """An object or a listing that the principal may not have."""

    def __init__(self, refusal: AccessDeniedError, operation: str, address: str) -> None:
        super().__init__(refusal.code, refusal.sentence, refusal.message, refusal.status)
        self.operation, self.address = operation, address  # "GetObject", "s3://bucket/key"


class AuthorizedObjects(Objects):
    """The stand-in's objects for one principal; every method raises ObjectDeniedError for what it
    may not do.

    With `lake_formation` what lies in a registered location is read with Lake Formation's role by
    whoever may lakeformation:GetDataAccess, as Athena and Redshift's external tables do.
    """

    def __init__(self, stand_in: StandIn, principal: Principal, *, lake_formation: bool) -> None:
        self._real, self._stand_in, self._principal = stand_in.objects, stand_in, principal
        self._lake_formation = lake_formation
        self.directory, self.contents, self.lock = (
            self._real.directory,
            self._real.contents,
            self._real.lock,
        )

    def path(self, bucket: str, key: str) -> Path:
        """The file of an object that the principal may read."""
        self._check("GetObject", bucket, key)
        return self._real.path(bucket, key)

    def keys(self, bucket: str, prefix: str = "") -> list[str]:
        """The keys below a prefix that the principal may list."""
        self._check("ListObjectsV2", bucket, prefix)
        return self._real.keys(bucket, prefix)

    def put_file(
        self, bucket: str, key: str, file: Path, *, vended: bool = False, **parameters: Any
    ) -> None:
        """Make a file an object; `parameters` are those of PutObject that decide whether the
        principal may.

        With `vended` a registered location is written with Lake Formation's role, too.
        """
        self._check("PutObject", bucket, key, vended=vended, **parameters)
        self._real.put_file(bucket, key, file)

    def delete(self, bucket: str, keys: list[str]) -> None:
        """Remove objects, all or none."""
        for each in keys:
            self._check("DeleteObject", bucket, each)
        self._real.delete(bucket, keys)

    def adopt(self, bucket: str, prefix: str = "") -> None:
        """As of the stand-in itself."""
        self._real.adopt(bucket, prefix)

    def refusal(self, operation: str, bucket: str, key: str) -> str:
        """Why the principal may not do this to an object (or list what begins with `key`); empty
        when it may.
        """
        try:
            self._check(operation, bucket, key)
        except AccessDeniedError as denied:
            return denied.sentence
        return ""

    def _check(
        self, operation: str, bucket: str, key: str, *, vended: bool = False, **parameters: Any
    ) -> None:
        name = "Prefix" if operation == "ListObjectsV2" else "Key"
        request = {"Bucket": bucket, name: key, **parameters}
        principal = (
            self._reader(bucket, key)
            if vended or operation in ("GetObject", "ListObjectsV2")
            else self._principal
        )
        try:
            self._stand_in.authority.authorize_call(
                principal, "s3", operation, request, self._stand_in.region
            )
        except AccessDeniedError as refusal:
            raise ObjectDeniedError(refusal, operation, f"s3://{bucket}/{key}") from None
        if operation != "ListObjectsV2":
            self._stand_in.recorder.touched(principal, operation, bucket, key)

    def _reader(self, bucket: str, key: str) -> Principal:
        """Lake Formation's session for what is registered with it, else the principal itself."""
        arn = f"arn:aws:s3:::{bucket}/{key}"
        role_arn = (
            self._stand_in.lake.vending_role(self._principal, arn) if self._lake_formation else ""
        )
        if role_arn and self._stand_in.authority.allows(
            self._principal, "lakeformation:GetDataAccess", "*"
        ):
            return self._stand_in.service_session(role_arn, LAKE_FORMATION)
        return self._principal
