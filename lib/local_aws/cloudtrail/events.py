"""Event records: what CloudTrail writes about one finished API call, with every secret masked."""

from __future__ import annotations

import datetime
import re
import time
import urllib.parse
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from local_aws import wire
from local_aws.errors import ApiError
from local_aws.names import ACCOUNT

if TYPE_CHECKING:
    from botocore.model import OperationModel

HIDDEN, OMITTED = "HIDDEN_DUE_TO_SECURITY_REASONS", "***OMITTED***"
# AWS leaves out requestParameters and responseElements above 100 KB
LARGEST_FIELD_CHARACTERS = 100_000
READS = re.compile(
    r"(Describe|Get|List|Head|BatchGet|Search|Lookup|Filter|Query|Select|Assume|Simulate|Check|Estimate|Preview)\w*"
)
SECRET = re.compile(
    r"(?i).*(password|secret_?string|secret_?binary|secret_?access_?key|session_?token|security_?token|access_?token|auth_?token|private_?key|plaintext|api_?key|wallet)$"
)
STATEMENTS = {  # AWS leaves SQL out: it may hold data
    "athena": {"queryString", "queryStatement", "executionParameters"},
    "redshift-data": {"sql", "sqls", "parameters"},
}
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/cloudtrail-logging-s3-info.html
S3_OBJECT_CALLS = frozenset(
    [
        *(
            "GetObject",
            "GetObjectAcl",
            "GetObjectAttributes",
            "GetObjectLegalHold",
            "GetObjectRetention",
        ),
        *(
            "GetObjectTagging",
            "GetObjectTorrent",
            "HeadBucket",
            "HeadObject",
            "SelectObjectContent",
            "RestoreObject",
        ),
        *(
            "ListObjects",
            "ListObjectsV2",
            "ListObjectVersions",
            "ListParts",
            "ListMultipartUploads",
        ),
        *(
            "PutObject",
            "PutObjectAcl",
            "PutObjectLegalHold",
            "PutObjectRetention",
            "PutObjectTagging",
            "CopyObject",
        ),
        *(
            "DeleteObject",
            "DeleteObjects",
            "DeleteObjectTagging",
            "AbortMultipartUpload",
            "CreateMultipartUpload",
        ),
        *("CompleteMultipartUpload", "UploadPart", "UploadPartCopy"),
    ]
)
DATA_CALLS = {
    "s3": S3_OBJECT_CALLS,
    "sns": frozenset(["Publish", "PublishBatch"]),
    "sqs": frozenset(
        ["SendMessage", "SendMessageBatch", "ReceiveMessage", "DeleteMessage", "DeleteMessageBatch"]
    ),
    "cloudwatch": frozenset(["PutMetricData", "GetMetricData"]),
    "logs": frozenset(["PutLogEvents"]),
    "sagemaker-runtime": frozenset(["InvokeEndpoint"]),
}
S3_NAMES = {  # where CloudTrail has another name for an operation of S3
    "ListObjectsV2": "ListObjects",
    "PutPublicAccessBlock": "PutBucketPublicAccessBlock",
    "GetPublicAccessBlock": "GetBucketPublicAccessBlock",
    "DeletePublicAccessBlock": "DeleteBucketPublicAccessBlock",
    "PutBucketLifecycleConfiguration": "PutBucketLifecycle",
    "GetBucketLifecycleConfiguration": "GetBucketLifecycle",
    "PutBucketNotificationConfiguration": "PutBucketNotification",
    "GetBucketNotificationConfiguration": "GetBucketNotification",
    "PutObjectLockConfiguration": "PutBucketObjectLockConfiguration",
    "GetObjectLockConfiguration": "GetBucketObjectLockConfiguration",
}
# recorded there
GLOBAL_REGION, GLOBAL = "us-east-1", ("iam", "budgets", "cloudfront", "organizations", "route53")


@dataclass(frozen=True)
class Finished:
    """One finished API call, as the gateway saw it."""

    started: float  # seconds since 1970
    request_id: str
    service: str  # as botocore names it
    operation: str
    region: str
    identity: dict[str, Any]  # the userIdentity
    parameters: dict[str, Any]  # as boto3 takes them
    environ: dict[str, Any]  # the part of WSGI's that `request` keeps
    status: int
    headers: list[tuple[str, str]]
    data: bytes | None  # the answer's body; None where it is streamed
    error: str = ""
    message: str = ""
    invoked_by: str = ""  # "dms.amazonaws.com" when that service made the call for the caller


def request(environ: dict[str, Any]) -> dict[str, Any]:
    """What a record needs of a request: nothing that keeps its body or its connection."""
    kept = (
        "REMOTE_ADDR",
        "HTTP_USER_AGENT",
        "HTTP_HOST",
        "QUERY_STRING",
        "CONTENT_LENGTH",
        "HTTP_AUTHORIZATION",
    )
    found = {name: environ.get(name, "") for name in kept}
    return found | {
        name: value for name, value in environ.items() if name.startswith("HTTP_X_AMZ_")
    }


def record(call: Finished) -> dict[str, Any]:
    """The event record of a call
    (https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-event-reference-record-contents.html).
    """
    # some events are of calls that only AWS's services can make: GetDataAccess
    model = wire.model(call.service)
    shape = (
        model.operation_model(call.operation) if call.operation in model.operation_names else None
    )
    given = shape.input_shape if shape else None
    read_only = bool(READS.fullmatch(call.operation))
    error, message, answer = _outcome(call, shape, read_only=read_only)
    is_data = call.operation in DATA_CALLS.get(call.service, ())
    return {
        "eventVersion": "1.11",
        "userIdentity": call.identity | ({"invokedBy": call.invoked_by} if call.invoked_by else {}),
        "eventTime": _utc(call.started),
        "eventSource": event_source(call.service),
        "eventName": (
            S3_NAMES.get(call.operation, call.operation) if call.service == "s3" else call.operation
        ),
        "awsRegion": GLOBAL_REGION if call.service in GLOBAL else call.region,
        "sourceIPAddress": call.invoked_by or call.environ.get("REMOTE_ADDR", ""),
        "userAgent": call.invoked_by or call.environ.get("HTTP_USER_AGENT", ""),
        **({"errorCode": error} if error else {}),
        **({"errorMessage": message} if message else {}),
        "requestParameters": _bounded(
            _s3_request(call)
            if call.service == "s3"
            else shown(call.service, call.parameters, given)
        ),
        "responseElements": _bounded(answer),
        **({"additionalEventData": _transfer(call)} if call.service == "s3" else {}),
        "requestID": call.request_id,
        "eventID": str(uuid.uuid4()),
        "readOnly": read_only,
        **({"resources": found} if (found := _resources(call)) else {}),
        "eventType": "AwsApiCall",
        "managementEvent": not is_data,
        "recipientAccountId": ACCOUNT,
        "eventCategory": "Data" if is_data else "Management",
    }


def service_record(
    service: str,
    operation: str,
    invoked_by: str,
    region: str,
    *,
    identity: dict[str, Any] | None = None,
    parameters: dict[str, Any] | None = None,
    resources: list[dict[str, str]] | None = None,
    additional: dict[str, Any] | None = None,
    error: str = "",
    message: str = "",
) -> dict[str, Any]:
    """The record of a call that an AWS service made itself, for `identity` or in its own name;
    parameters as boto3 takes them.
    """
    who = identity or {"type": "AWSService"}
    call = Finished(
        time.time(),
        str(uuid.uuid4()),
        service,
        operation,
        region,
        who,
        parameters or {},
        {},
        200,
        [],
        None,
        error,
        message,
        invoked_by,
    )
    content = record(call)
    content |= {"resources": resources} if resources else {}
    return content | ({"additionalEventData": additional} if additional else {})


def event_source(service: str) -> str:
    """`s3.amazonaws.com`: how CloudTrail names a service."""
    metadata = wire.model(service).metadata
    return f"{metadata.get('signingName') or metadata['endpointPrefix']}.amazonaws.com"


def shown(service: str, value: Any, shape: Any, name: str = "") -> Any:
    """Parameters or an answer as a record shows them: names in lower camel case, secrets hidden, no
    blobs.
    """
    if value is None or isinstance(value, bytes | bytearray) or hasattr(value, "read"):
        return None
    if name in STATEMENTS.get(service, ()):
        return OMITTED
    if SECRET.fullmatch(name) or (shape is not None and shape.metadata.get("sensitive")):
        return HIDDEN
    if isinstance(value, dict):
        members = shape.members if shape is not None and shape.type_name == "structure" else None
        element = shape.value if shape is not None and shape.type_name == "map" else None
        pairs = (
            (
                _camel(key) if members is not None else str(key),
                each,
                members.get(key) if members else element,
            )
            for key, each in value.items()
        )
        visible = {key: shown(service, each, inner, key) for key, each, inner in pairs}
        return {key: each for key, each in visible.items() if each is not None}
    if isinstance(value, list | tuple):
        element = shape.member if shape is not None and shape.type_name == "list" else None
        return [shown(service, each, element, "") for each in value]
    if isinstance(value, datetime.datetime):
        return value.astimezone(datetime.UTC).strftime("%b %-d, %Y, %-I:%M:%S %p")
    if isinstance(value, str) and "password=" in value.lower():
        return HIDDEN  # connection attributes and URLs
    return value if isinstance(value, str | int | float | bool) else str(value)


def _outcome(
    call: Finished, shape: OperationModel | None, *, read_only: bool
) -> tuple[str, str, Any]:
    """Error code, error message and what the call changed."""
    if call.error or call.data is None or shape is None:
        return call.error, call.message, None
    try:
        answer = wire.parse_answer(shape, call.status, dict(call.headers), call.data)
    except ApiError as refusal:
        return refusal.code, str(refusal), None
    except Exception:  # noqa: BLE001 - an answer outside AWS's formats (an empty 404 of a HEAD) is still a finished call
        return (
            {403: "AccessDenied"}.get(call.status, str(call.status)) if call.status >= 300 else "",
            "",
            None,
        )
    if call.service == "s3" or (read_only and not call.operation.startswith("AssumeRole")):
        return "", "", None
    return "", "", shown(call.service, answer, shape.output_shape) or None


def _s3_request(call: Finished) -> dict[str, Any]:
    """S3's way: bucketName, Host and key, then the query and the x-amz headers under their own
    names.
    """
    given = {
        "bucketName": call.parameters.get("Bucket"),
        "Host": call.environ.get("HTTP_HOST") or _s3_host(call),
    }
    given["key"] = call.parameters.get("Key")
    query = urllib.parse.parse_qsl(call.environ.get("QUERY_STRING", ""), keep_blank_values=True)
    given |= {name: value for name, value in query if not name.lower().startswith("x-amz-")}
    for name, value in call.environ.items():
        header = name.removeprefix("HTTP_").lower().replace("_", "-")
        if header.startswith("x-amz-") and not re.search(
            r"token|date|content-sha256|customer|checksum", header
        ):
            given[header] = value
    given |= {
        name: each
        for name, each in call.parameters.items()
        if isinstance(each, dict) and name != "Metadata"
    }
    return {name: value for name, value in given.items() if value is not None}


def _s3_host(call: Finished) -> str:
    return f"{call.parameters.get('Bucket')}.s3.{call.region}.amazonaws.com"


def _transfer(call: Finished) -> dict[str, Any]:
    sent = {name.lower(): value for name, value in call.headers}.get("content-length", 0)
    signed = "AuthHeader" if call.environ.get("HTTP_AUTHORIZATION") else "QueryString"
    return {
        "SignatureVersion": "SigV4",
        "AuthenticationMethod": signed,
        "bytesTransferredIn": int(call.environ.get("CONTENT_LENGTH") or 0),
        "bytesTransferredOut": int(sent or 0),
    }


def _resources(call: Finished) -> list[dict[str, str]]:
    found = []
    if call.service == "s3" and call.operation in S3_OBJECT_CALLS and call.parameters.get("Bucket"):
        arn, key = f"arn:aws:s3:::{call.parameters['Bucket']}/", call.parameters.get("Key")
        found.append(
            {"type": "AWS::S3::Object", **({"ARN": arn + key} if key else {"ARNPrefix": arn})}
        )
    if call.service == "s3" and call.parameters.get("Bucket"):
        arn = f"arn:aws:s3:::{call.parameters['Bucket']}"
        found.append({"accountId": ACCOUNT, "type": "AWS::S3::Bucket", "ARN": arn})
    if call.service == "sts" and call.parameters.get("RoleArn"):
        found.append(
            {"accountId": ACCOUNT, "type": "AWS::IAM::Role", "ARN": call.parameters["RoleArn"]}
        )
    return found


def _bounded(value: Any) -> Any:
    if value and len(str(value)) > LARGEST_FIELD_CHARACTERS:
        return None
    return value or None


def _camel(name: str) -> str:
    return name[:1].lower() + name[1:]


def _utc(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))
