"""STS: sessions of roles and of users, which the gateway then knows by their access key."""

from __future__ import annotations

import datetime
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from moto.iam.models import iam_backends

from local_aws.errors import ApiError
from local_aws.iam.context import request_tags
from local_aws.iam.documents import statements
from local_aws.iam.principals import role, role_session
from local_aws.service import Call, Service

if TYPE_CHECKING:
    from local_aws.principal import Principal

SHORTEST_SECONDS, CHAINED_SECONDS = 900, 3600
LONGEST_TOKEN_SECONDS, DEFAULT_TOKEN_SECONDS = 129_600, 43_200


class Sts(Service):
    """Sessions; the gateway has already authorized the caller against the role's trust policy."""

    def AssumeRole(self, call: Call) -> dict[str, Any]:
        """Credentials of a role's session
        (https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html).
        """
        request, found = call.parameters, role(call.parameters["RoleArn"])
        seconds = _duration_seconds(
            call.principal, request, int(found.max_session_duration or CHAINED_SECONDS)
        )
        policies = _session_policies(request, found.account_id)
        answer = call.moto()
        key, started = answer["Credentials"]["AccessKeyId"], datetime.datetime.now(datetime.UTC)
        expires = started + datetime.timedelta(seconds=seconds)
        session = role_session(
            request["RoleArn"],
            request["RoleSessionName"],
            key,
            account=found.account_id,
            session_policies=policies,
            session_tags=tuple({**_role_tags(found), **request_tags(request)}.items()),
            started=started,
            expires=expires,
        )
        self.stand_in.principals.add(session)
        answer["Credentials"]["Expiration"] = expires
        return answer | {"AssumedRoleUser": {"AssumedRoleId": session.id, "Arn": session.arn}}

    def GetSessionToken(self, call: Call) -> dict[str, Any]:
        """Temporary credentials of the user itself."""
        caller, request = call.principal, call.parameters
        if caller.type != "IAMUser" or caller.started:
            raise ApiError(
                "AccessDenied", "Cannot call GetSessionToken with session credentials", 403
            )
        seconds = int(request.get("DurationSeconds", DEFAULT_TOKEN_SECONDS))
        if not SHORTEST_SECONDS <= seconds <= LONGEST_TOKEN_SECONDS:
            raise _invalid(
                f"DurationSeconds must be between {SHORTEST_SECONDS} and {LONGEST_TOKEN_SECONDS}."
            )
        key, started = (
            iam_backends[caller.account]["aws"].create_temp_access_key(),
            datetime.datetime.now(datetime.UTC),
        )
        expires = started + datetime.timedelta(seconds=seconds)
        self.stand_in.principals.add(
            replace(caller, access_key=key.access_key_id, started=started, expires=expires)
        )
        secret = {"AccessKeyId": key.access_key_id, "SecretAccessKey": key.secret_access_key}
        return {
            "Credentials": {
                **secret,
                "SessionToken": key.access_key_id.lower() * 4,
                "Expiration": expires,
            }
        }

    def GetCallerIdentity(self, call: Call) -> dict[str, Any]:
        """Who calls; nobody needs a permission for it."""
        who = call.principal
        return {"UserId": who.id, "Account": who.account, "Arn": who.arn}


def _duration_seconds(caller: Principal, request: dict[str, Any], longest: int) -> int:
    seconds = int(request.get("DurationSeconds", CHAINED_SECONDS))
    if seconds < SHORTEST_SECONDS:
        raise _invalid(
            f"1 validation error detected: Value '{seconds}' at 'durationSeconds' failed to satisfy"
            f" constraint: Member must have value greater than or equal to {SHORTEST_SECONDS}"
        )
    if caller.type == "AssumedRole" and seconds > CHAINED_SECONDS:
        raise _invalid(
            "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by"
            " role chaining"
        )
    if seconds > longest:
        raise _invalid(
            "The requested DurationSeconds exceeds the MaxSessionDuration set for this role."
        )
    return seconds


def _session_policies(request: dict[str, Any], account: str) -> tuple[str, ...]:
    """The inline session policy and the managed ones; raises ApiError for one that is none."""
    known = iam_backends[account]["aws"].managed_policies
    found = [request["Policy"]] if request.get("Policy") else []
    for each in request.get("PolicyArns", []):
        policy = known.get(each["arn"])
        if policy is None:
            raise _invalid(f"The policy {each['arn']} does not exist or is not attachable.")
        found += [
            one.document for one in policy.versions if one.version_id == policy.default_version_id
        ]
    try:
        for each in found:
            statements(each)
    except (ValueError, KeyError, TypeError) as wrong:
        raise ApiError(
            "MalformedPolicyDocument", "The policy is not in the valid JSON format."
        ) from wrong
    return tuple(found)


def _role_tags(found: Any) -> dict[str, str]:
    tags = found.tags.values() if isinstance(found.tags, dict) else found.tags or []
    return {each["Key"]: each["Value"] for each in tags}


def _invalid(message: str) -> ApiError:
    return ApiError("ValidationError", message)
