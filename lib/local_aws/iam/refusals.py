"""Refusals in AWS's words: each protocol has its own code for a denial, an unknown key and an
expired session.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from local_aws import wire
from local_aws.errors import AccessDeniedError, ApiError

if TYPE_CHECKING:
    from local_aws.iam.evaluation import Decision
    from local_aws.principal import Principal

# Protocol: code of an unknown key and its status, code of an expired session, which are the three
# of https://github.com/aws/aws-sdk-go/blob/main/aws/request/retryer.go (credsExpiredCodes)
CODES = {
    "s3": ("InvalidAccessKeyId", 403, "ExpiredToken"),
    "ec2": ("AuthFailure", 401, "RequestExpired"),
    "xml": ("InvalidClientTokenId", 403, "ExpiredToken"),
    "json": ("UnrecognizedClientException", 400, "ExpiredTokenException"),
}
UNKNOWN = {
    "s3": "The AWS Access Key Id you provided does not exist in our records.",
    "ec2": "AWS was not able to validate the provided access credentials",
}
EXPIRED = {"s3": "The provided token has expired.", "ec2": "Request has expired."}


def unknown_key(service: str) -> ApiError:
    """The refusal of an access key that nobody has."""
    kind = _kind(service)
    code, status, _ = CODES[kind]
    return ApiError(
        code, UNKNOWN.get(kind, "The security token included in the request is invalid."), status
    )


def expired(service: str) -> ApiError:
    """The refusal of a session that is over."""
    kind = _kind(service)
    message = EXPIRED.get(kind, "The security token included in the request is expired")
    return ApiError(CODES[kind][2], message, 403 if kind == "xml" else 400)


def sentence(
    principal: Principal, action: str, resource: str, decision: Decision, *, quoted: bool = False
) -> str:
    """`User: arn:… is not authorized to perform: glue:GetTable on resource: arn:… because no
    identity-based policy allows …`.
    """
    on = f'"{resource}"' if quoted else resource
    return (
        f"User: {principal.arn} is not authorized to perform: {action} on resource: {on}"
        f" {decision.reason}"
    )


def denied(
    service: str,
    operation: str,
    principal: Principal,
    action: str,
    resource: str,
    decision: Decision,
) -> AccessDeniedError:
    """The refusal of a call."""
    if service == "sts":
        said = (
            f"User: {principal.arn} is not authorized to perform: {action} on resource: {resource}"
        )
        return AccessDeniedError("AccessDenied", said, said)
    said = sentence(
        principal, action, resource, decision, quoted=service == "s3" and action.startswith("s3:")
    )
    if service == "secretsmanager" and action.startswith("kms:"):
        return AccessDeniedError("AccessDeniedException", said, "Access to KMS is not allowed", 400)
    if service == "s3":
        anonymous = principal.type == "AWSAccount"
        return AccessDeniedError("AccessDenied", said, "Access Denied" if anonymous else said)
    if service == "ec2":
        return AccessDeniedError(
            "UnauthorizedOperation",
            said,
            f"You are not authorized to perform this operation. {said}",
        )
    if service == "sns":
        return AccessDeniedError("AuthorizationError", said, said)
    if _kind(service) == "xml":
        return AccessDeniedError("AccessDenied", said, said)
    return AccessDeniedError(_json_code(service, operation), said, said, 400)


def _json_code(service: str, operation: str) -> str:
    """The model's own error of the operation where it has one: DMS has AccessDeniedFault."""
    known = wire.model(service)
    declared = (
        known.operation_model(operation).error_shapes if operation in known.operation_names else []
    )
    return next(
        (each.name for each in declared if each.name.startswith("AccessDenied")),
        "AccessDeniedException",
    )


def _kind(service: str) -> str:
    if service in ("s3", "ec2"):
        return service
    return "xml" if wire.model(service).protocol in ("query", "rest-xml") else "json"
