"""userIdentity: who made a call, as CloudTrail writes it.

Source:
https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-event-reference-user-identity.html
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from local_aws.principal import Principal


def identity(principal: Principal) -> dict[str, Any]:
    """The userIdentity of a principal."""
    if principal.type == "AWSService":
        return {"type": "AWSService"}
    found = {"type": principal.type, "principalId": principal.id}
    if principal.type == "AWSAccount":
        return found | {"accountId": "ANONYMOUS_PRINCIPAL"}
    found |= {"arn": principal.arn, "accountId": principal.account}
    if not principal.of_service:
        found |= {"accessKeyId": principal.access_key.partition("VIA")[0]}
    if principal.type == "AssumedRole":
        return found | {"sessionContext": _session(principal)}
    return found | ({"userName": principal.user_name} if principal.user_name else {})


def _session(principal: Principal) -> dict[str, Any]:
    issuer = {
        "type": "Role",
        "principalId": principal.id.partition(":")[0],
        "arn": principal.role_arn,
        "accountId": principal.account,
        "userName": principal.role_name,
    }
    began = (
        {"creationDate": principal.started.strftime("%Y-%m-%dT%H:%M:%SZ")}
        if principal.started
        else {}
    )
    return {"sessionIssuer": issuer, "attributes": {**began, "mfaAuthenticated": "false"}}
