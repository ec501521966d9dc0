"""Who makes a call: an IAM user, a session of a role, a service of AWS, or nobody."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from local_aws.names import ACCOUNT

if TYPE_CHECKING:
    import datetime

INTERNAL_ACCESS_KEY = "LOCALAWSENGINE"  # signs what an engine asks of another service
# what the keys of an AWS service's own sessions begin with
SERVICE_KEY = INTERNAL_ACCESS_KEY.removesuffix("ENGINE")


@dataclass(frozen=True)
class Principal:
    """Somebody whom policies allow something."""

    # as CloudTrail names it: IAMUser, AssumedRole, FederatedUser, AWSService, AWSAccount (nobody
    # who signs)
    type: str
    # arn:aws:iam::…:user/ann, arn:aws:sts::…:assumed-role/NAME/SESSION; a service's name:
    # glue.amazonaws.com
    arn: str
    account: str
    id: str  # AIDA…, AROA…:SESSION
    access_key: str = ""
    user_name: str = ""
    role_arn: str = ""
    session_name: str = ""
    session_policies: tuple[str, ...] = ()  # documents, of which one must allow what a session does
    session_tags: tuple[tuple[str, str], ...] = ()
    started: datetime.datetime | None = None  # of a session
    expires: datetime.datetime | None = None
    # the services that make the call for the principal: ("athena.amazonaws.com",)
    called_via: tuple[str, ...] = ()

    @property
    def role_name(self) -> str:
        """The name of the role whose session this is."""
        return self.role_arn.rpartition("/")[2]

    @property
    def policy_arn(self) -> str:
        """What aws:PrincipalArn is: a session's is its role's."""
        return self.role_arn or self.arn

    @property
    def name(self) -> str:
        """The user's or the role's name."""
        return self.user_name or self.role_name

    @property
    def of_service(self) -> bool:
        """Whether this is a role's session in which an AWS service acts."""
        return self.access_key.startswith(SERVICE_KEY)

    @property
    def invoked_by(self) -> str:
        """The AWS service that makes the call, as itself or for the principal: `dms.amazonaws.com`;
        empty when the principal does.
        """
        if self.called_via:
            return self.called_via[-1]
        return f"{self.session_name}.amazonaws.com" if self.of_service else ""


NOBODY = Principal("AWSAccount", "*", "", "ANONYMOUS_PRINCIPAL")
ENGINE = Principal(
    "AWSService", "local_aws", ACCOUNT, "local_aws", INTERNAL_ACCESS_KEY
)  # what the stand-in does itself


def aws_service(name: str) -> Principal:
    """An AWS service as itself: "cloudtrail.amazonaws.com"."""
    return Principal("AWSService", name, "", name)
