"""AWS's wire formats, from botocore's service models: requests in, answers and errors out."""

from __future__ import annotations

import base64
import datetime
import decimal
import functools
import json
import re
import urllib.parse
from typing import TYPE_CHECKING, Any

import botocore.model
import botocore.parsers
import botocore.session
import botocore.utils

# moto is pinned exactly, and these are what it uses itself
from moto.core.parse import PROTOCOL_PARSERS
from moto.core.request import Request
from moto.core.routing import get_service_router
from moto.core.serialize import get_serializer_class
from moto.core.utils import get_service_model as moto_model
from werkzeug.datastructures import MultiDict
from werkzeug.exceptions import NotFound

from local_aws.errors import ApiError

if TYPE_CHECKING:
    from collections.abc import Iterable

CREDENTIAL = re.compile(r"Credential=([^/]+)/\d+/([^/]+)/([^/]+)/aws4_request")
REQUEST_IDS = ("x-amz-request-id", "x-amzn-requestid")
REQUEST_ID = re.compile(rb"(<[Rr]equestI[dD]>)[^<]*")
SIGNED_AS = {
    "monitoring": "cloudwatch",
    "servicequotas": "service-quotas",
    "tagging": "resourcegroupstaggingapi",
}  # where the signing name is not boto3's


@functools.cache
def model(service: str) -> botocore.model.ServiceModel:
    """Botocore's model of a service; raises botocore's UnknownServiceError."""
    return botocore.session.get_session().get_service_model(service)


def caller(environ: dict[str, Any]) -> tuple[str, str, str]:
    """Who signed a request, for which region and which service (boto3's name): ("AKIA…",
    "eu-west-1", "glue").
    """
    found = CREDENTIAL.search(environ.get("HTTP_AUTHORIZATION", "")) or CREDENTIAL.search(
        "Credential="
        + urllib.parse.unquote(
            dict(urllib.parse.parse_qsl(environ.get("QUERY_STRING", ""))).get(
                "X-Amz-Credential", ""
            )
        )
    )
    if not found:
        return "", "", "s3"  # an unsigned request can only be one to a public object
    if found[3] == "s3" and environ.get("PATH_INFO", "").startswith("/v20180820/"):
        return found[1], found[2], "s3control"
    return found[1], found[2], SIGNED_AS.get(found[3], found[3])


def request(
    known: botocore.model.ServiceModel, environ: dict[str, Any], body: bytes
) -> tuple[str, dict[str, Any]]:
    """The operation a request asks for and its parameters as boto3 takes them; no operation of AWS:
    method and path, and none.

    An S3 object's own bytes are not among the parameters.
    """
    if target := environ.get("HTTP_X_AMZ_TARGET"):
        return _of_json(known, str(target).rsplit(".", 1)[-1], body)
    if found := re.search(r"/service/[^/]+/operation/(\w+)$", environ.get("PATH_INFO", "")):
        return _of_cbor(known, found[1], body)
    asked = Request(environ)
    try:
        operation, in_path = get_service_router(known.service_name).match(asked)
    except (NotFound, NotImplementedError):
        query = environ.get("QUERY_STRING", "")
        return (
            f"{environ['REQUEST_METHOD']} {environ.get('PATH_INFO', '')}"
            + (f"?{query}" if query else ""),
            {},
        )
    form = asked.content_type and asked.content_type.startswith("application/x-www-form-urlencoded")
    values = (
        MultiDict(urllib.parse.parse_qsl(body.decode(), keep_blank_values=True))
        if form
        else asked.args
    )
    parser = PROTOCOL_PARSERS[known.protocol](
        operation, timestamp_parser=botocore.utils.parse_timestamp
    )
    raw = {
        "body": body,
        "headers": asked.headers,
        "method": asked.method,
        "url_params": in_path,
        "values": values,
    }
    try:
        given = parser.parse(raw | {"url_path": asked.path})
    except Exception as wrong:
        raise ApiError(
            _malformed(known.service_name),
            f"The request is not what {operation.name} takes: {wrong}",
        ) from wrong
    members = operation.input_shape.members if operation.input_shape else {}
    return operation.name, {
        name: value
        for name, value in given.items()
        # a list of the query string that has no member is one that was not sent
        if value is not None
        and not (value == [] and members[name].serialization.get("location") == "querystring")
    }


def carries_object(service: str, environ: dict[str, Any]) -> bool:
    """Whether a request's body is an S3 object or a part of one, and so may be large."""
    query = environ.get("QUERY_STRING", "")
    is_key = "/" in environ["PATH_INFO"].strip("/")
    settings = re.search(
        r"(^|&)(acl|legal-hold|restore|retention|select|tagging|torrent|uploads)(=|&|$)", query
    )
    return service == "s3" and environ["REQUEST_METHOD"] == "PUT" and is_key and not settings


def _of_json(
    known: botocore.model.ServiceModel, operation: str, body: bytes
) -> tuple[str, dict[str, Any]]:
    if operation not in known.operation_names:
        raise ApiError(
            "UnknownOperationException", f"{known.service_name} has no operation {operation}."
        )
    try:
        given = json.loads(body or b"{}")
    except ValueError as wrong:
        raise ApiError("SerializationException", f"The request is not JSON: {wrong}") from wrong
    return operation, from_wire(given, known.operation_model(operation).input_shape)


def _of_cbor(
    known: botocore.model.ServiceModel, operation: str, body: bytes
) -> tuple[str, dict[str, Any]]:
    parser: Any = botocore.parsers.create_parser("smithy-rpc-v2-cbor")
    if operation not in known.operation_names:
        raise ApiError(
            "UnknownOperationException", f"{known.service_name} has no operation {operation}."
        )
    return operation, (
        parser.parse_data_item(parser.get_peekable_stream_from_bytes(body)) if body else {}
    )


def _malformed(service: str) -> str:
    return "MalformedXML" if service.startswith("s3") else "MalformedQueryString"


def from_wire(value: Any, shape: Any) -> Any:
    """JSON parameters as boto3's caller gave them: blobs as bytes, timestamps as datetimes."""
    kind = shape.type_name if shape is not None else None
    if value is None or shape is None:
        return value
    if kind == "structure":
        return {name: from_wire(each, shape.members.get(name)) for name, each in value.items()}
    if kind == "list":
        return [from_wire(each, shape.member) for each in value]
    if kind == "map":
        return {name: from_wire(each, shape.value) for name, each in value.items()}
    if kind == "blob":
        return base64.b64decode(value)
    if kind == "timestamp" and isinstance(value, int | float):
        return datetime.datetime.fromtimestamp(value, datetime.UTC)
    return value


def to_wire(value: Any, shape: Any) -> Any:
    """A response as JSON: only members of the model, timestamps as epoch seconds, blobs as
    base64.
    """
    kind = shape.type_name if shape is not None else None
    if value is None:
        return None
    if kind == "structure":
        members = shape.members
        if unknown := set(value) - set(members) - {"ResponseMetadata"}:
            raise ApiError(
                "InternalFailure", f"{shape.name} has no member {', '.join(sorted(unknown))}.", 500
            )
        return {
            name: to_wire(each, members[name])
            for name, each in value.items()
            if name in members and each is not None
        }
    if kind == "list":
        return [to_wire(each, shape.member) for each in value]
    if kind == "map":
        return {name: to_wire(each, shape.value) for name, each in value.items()}
    if isinstance(value, datetime.datetime):
        return value.timestamp()
    if kind == "blob":
        return base64.b64encode(value).decode()
    return float(value) if isinstance(value, decimal.Decimal) else value


def answer(
    operation: botocore.model.OperationModel, response: dict[str, Any]
) -> tuple[list[tuple[str, str]], bytes]:
    """A response as the service's protocol writes it: headers and body."""
    if operation.service_model.protocol in ("query", "ec2", "rest-xml"):
        known = moto_model(operation.service_model.service_name).operation_model(operation.name)
        written = get_serializer_class(
            known.service_model.service_name, known.service_model.protocol
        )(known).serialize(response)
        body = written["body"].encode() if isinstance(written["body"], str) else written["body"]
        return [("Content-Type", "text/xml"), ("Content-Length", str(len(body)))], body
    body = json.dumps(
        to_wire(response, operation.output_shape) if operation.output_shape else {}
    ).encode()
    return [
        ("Content-Type", "application/x-amz-json-1.1"),
        ("Content-Length", str(len(body))),
    ], body


def parse_answer(
    operation: botocore.model.OperationModel, status: int, headers: dict[str, str], body: bytes
) -> dict[str, Any]:
    """Moto's answer as boto3 would return it; raises ApiError where boto3 would raise."""
    protocol = operation.service_model.protocol
    if protocol == "smithy-rpc-v2-cbor":  # as one protocol of several, which the client chooses
        protocol = {b"{": "json", b"<": "query"}.get(body[:1], protocol)
    parser: Any = botocore.parsers.create_parser(protocol)
    parsed = parser.parse(
        {"status_code": status, "headers": headers, "body": body}, operation.output_shape
    )
    if status >= 300:
        raise ApiError(parsed["Error"]["Code"], parsed["Error"]["Message"], status)
    parsed.pop("ResponseMetadata", None)
    return dict(parsed)


def error_answer(
    known: botocore.model.ServiceModel, error: ApiError, request_id: str
) -> tuple[int, list[tuple[str, str]], bytes]:
    """An error as the service's protocol writes it: status, headers, body."""
    declared = next((shape for shape in known.error_shapes if shape.name == error.code), None)
    status = (
        (declared.metadata.get("error") or {}).get("httpStatusCode", error.status)
        if declared
        else error.status
    )
    if known.resolved_protocol == "smithy-rpc-v2-cbor":
        return (
            status,
            [("Content-Type", "application/cbor"), ("smithy-protocol", "rpc-v2-cbor")],
            _cbor(error),
        )
    if known.protocol in ("query", "ec2", "rest-xml"):
        service = known.service_name
        text = f"<Code>{error.code}</Code><Message>{_escape(str(error))}</Message>"
        wrapped = (
            f"<Error>{text}</Error>"
            if service == "s3"
            else f"<ErrorResponse><Error>{text}</Error>"
            f"<RequestId>{request_id}</RequestId></ErrorResponse>"
        )
        if service == "ec2":
            wrapped = (
                f"<Response><Errors><Error>{text}</Error></Errors>"
                f"<RequestID>{request_id}</RequestID></Response>"
            )
        return status, [("Content-Type", "text/xml")], wrapped.encode()
    body = json.dumps({"__type": error.code, "message": str(error), "Message": str(error)})
    return (
        status,
        [("Content-Type", "application/x-amz-json-1.1"), ("x-amzn-ErrorType", error.code)],
        body.encode(),
    )


def _escape(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _cbor(error: ApiError) -> bytes:
    """{"__type": code, "message": text} in CBOR: a map of two pairs of texts."""
    return b"\xa2" + b"".join(
        _cbor_text(each) for each in ("__type", error.code, "message", str(error))
    )


def _cbor_text(text: str) -> bytes:
    data = text.encode()
    return b"\x79" + len(data).to_bytes(2, "big") + data


def identified(
    service: str, headers: list[tuple[str, str]], data: Iterable[bytes], request_id: str
) -> tuple[list[tuple[str, str]], Iterable[bytes]]:
    """An answer with the request's id wherever botocore reads one: CloudTrail's event has the same.

    In headers; in XML also in the body, where moto has one of its own.
    """
    name = "x-amz-request-id" if service == "s3" else "x-amzn-RequestId"
    kept = [each for each in headers if each[0].lower() not in REQUEST_IDS]
    if service != "s3" and isinstance(data, list) and len(data) == 1 and data[0][:1] == b"<":
        body = REQUEST_ID.sub(rb"\g<1>" + request_id.encode(), data[0])
        kept = [each for each in kept if each[0].lower() != "content-length"]
        data, kept = [body], [*kept, ("Content-Length", str(len(body)))]
    return [*kept, (name, request_id)], data
