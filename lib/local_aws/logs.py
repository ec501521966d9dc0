"""CloudWatch Logs: moto keeps the records; here is who may not have them encrypted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from local_aws.errors import ApiError
from local_aws.names import ACCOUNT
from local_aws.principal import aws_service
from local_aws.service import Call, Service

if TYPE_CHECKING:
    from local_aws.stand_in import StandIn


class Logs(Service):
    """What moto answers, once the key's policy lets Logs use the key for the log group.

    https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/encrypt-log-data-kms.html
    """

    def CreateLogGroup(self, call: Call) -> dict[str, Any]:
        """Creates a log group; returns {}; AccessDeniedException for a key that Logs may not
        use.
        """
        _check_key(self.stand_in, call)
        return call.moto()

    def AssociateKmsKey(self, call: Call) -> dict[str, Any]:
        """Encrypts what comes from now on; returns {}; AccessDeniedException as for a new group."""
        _check_key(self.stand_in, call)
        return call.moto()


def _check_key(stand_in: StandIn, call: Call) -> None:
    key, name = call.parameters.get("kmsKeyId"), call.parameters.get("logGroupName")
    if not key:
        return
    arn = f"arn:aws:logs:{stand_in.region}:{ACCOUNT}:log-group:{name}"
    given = {"kms:EncryptionContext:aws:logs:arn": arn}
    principal = aws_service(f"logs.{stand_in.region}.amazonaws.com")
    for action in ("kms:Encrypt", "kms:Decrypt", "kms:GenerateDataKey"):
        if not stand_in.authority.allows(principal, action, key, given):
            text = "The specified KMS key does not exist or is not allowed to be used with Arn"
            raise ApiError("AccessDeniedException", f"{text} '{arn}'")
