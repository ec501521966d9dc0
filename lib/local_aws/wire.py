"""AWS's wire formats, from botocore's service models: requests in, answers and errors out."""

from __future__ import annotations

import base64
import datetime
import decimal
import functools
import json
import re
import urllib.parse
from typing import Any

import botocore.model
import botocore.parsers
import botocore.session

from local_aws.service import ApiError

CREDENTIAL = re.compile(r"Credential=([^/]+)/\d+/([^/]+)/([^/]+)/aws4_request")
SIGNED_AS = {"monitoring": "cloudwatch", "tagging": "resourcegroupstaggingapi"}  # where the signing name is not boto3's


@functools.cache
def model(service: str) -> botocore.model.ServiceModel:
    """Botocore's model of a service; raises botocore's UnknownServiceError."""
    return botocore.session.get_session().get_service_model(service)


def caller(environ: dict[str, Any]) -> tuple[str, str, str]:
    """Who signed a request, for which region and which service (boto3's name): ("AKIA…", "eu-west-1", "glue")."""
    found = CREDENTIAL.search(environ.get("HTTP_AUTHORIZATION", "")) or CREDENTIAL.search(
        "Credential="
        + urllib.parse.unquote(
            dict(urllib.parse.parse_qsl(environ.get("QUERY_STRING", ""))).get("X-Amz-Credential", "")
        )
    )
    if not found:
        return "", "", "s3"  # an unsigned request can only be one to a public object
    return found[1], found[2], SIGNED_AS.get(found[3], found[3])


def operation_name(service: str, environ: dict[str, Any], body: bytes) -> str:
    """The operation a request asks for, or its method and path where AWS's REST routes name none (S3); raises ApiError."""
    if target := environ.get("HTTP_X_AMZ_TARGET"):
        return str(target).rsplit(".", 1)[-1]
    if environ.get("CONTENT_TYPE", "").startswith("application/x-www-form-urlencoded"):
        return dict(urllib.parse.parse_qsl(body.decode())).get("Action", "")
    path = environ.get("PATH_INFO", "")
    if found := re.search(r"/service/[^/]+/operation/(\w+)$", path):  # smithy-rpc
        return found[1]
    for method, route, name in _routes(service) if service != "s3" else ():
        if method == environ["REQUEST_METHOD"] and route.fullmatch(path):
            return name
    query = environ.get("QUERY_STRING", "")
    return f"{environ['REQUEST_METHOD']} {path}" + (f"?{query}" if query else "")


@functools.cache
def _routes(service: str) -> list[tuple[str, re.Pattern[str], str]]:
    """Every REST route of a service: method, path as a pattern, operation; the most literal path first."""
    routes = []
    for name in model(service).operation_names:
        http = model(service).operation_model(name).http
        path = http["requestUri"].partition("?")[0]
        pattern = re.sub(r"\\{\w+(\\\+)?\\}", lambda m: ".+" if m[1] else "[^/]+", re.escape(path))
        routes.append((path.count("{"), (http["method"], re.compile(pattern + "/?"), name)))
    return [route for _, route in sorted(routes, key=lambda pair: pair[0])]


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
    """A response as JSON: only members of the model, timestamps as epoch seconds, blobs as base64."""
    kind = shape.type_name if shape is not None else None
    if value is None:
        return None
    if kind == "structure":
        members = shape.members
        if unknown := set(value) - set(members) - {"ResponseMetadata"}:
            raise ApiError("InternalFailure", f"{shape.name} has no member {', '.join(sorted(unknown))}.", 500)
        return {
            name: to_wire(each, members[name]) for name, each in value.items() if name in members and each is not None
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


def parse_answer(
    operation: botocore.model.OperationModel, status: int, headers: dict[str, str], body: bytes
) -> dict[str, Any]:
    """Moto's answer as boto3 would return it; raises ApiError where boto3 would raise."""
    parser = botocore.parsers.create_parser(operation.service_model.protocol)
    parsed = parser.parse({"status_code": status, "headers": headers, "body": body}, operation.output_shape)
    if status >= 300:
        raise ApiError(parsed["Error"]["Code"], parsed["Error"]["Message"], status)
    parsed.pop("ResponseMetadata", None)
    return dict(parsed)


def error_answer(service: str, error: ApiError, request_id: str) -> tuple[int, list[tuple[str, str]], bytes]:
    """An error as the service's protocol writes it: status, headers, body."""
    declared = next((shape for shape in model(service).error_shapes if shape.name == error.code), None)
    status = (declared.metadata.get("error") or {}).get("httpStatusCode", error.status) if declared else error.status
    if model(service).protocol in ("query", "ec2", "rest-xml"):
        text = f"<Code>{error.code}</Code><Message>{_escape(str(error))}</Message>"
        wrapped = (
            f"<Error>{text}</Error>"
            if service == "s3"
            else f"<ErrorResponse><Error>{text}</Error><RequestId>{request_id}</RequestId></ErrorResponse>"
        )
        if service == "ec2":
            wrapped = f"<Response><Errors><Error>{text}</Error></Errors><RequestID>{request_id}</RequestID></Response>"
        return status, [("Content-Type", "text/xml")], wrapped.encode()
    body = json.dumps({"__type": error.code, "message": str(error), "Message": str(error)})
    return status, [("Content-Type", "application/x-amz-json-1.1"), ("x-amzn-ErrorType", error.code)], body.encode()


def _escape(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
