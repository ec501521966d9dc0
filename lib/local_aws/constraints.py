"""What botocore's service model says of requests and answers: required members, lengths, ranges,
patterns and enums, at every depth.

AWS's services check the same model, which boto3 does not but for required members and minima. How
they word a refusal: "Common Errors" of each API reference, ValidationException.
"""

from __future__ import annotations

import datetime
import decimal
import functools
from typing import TYPE_CHECKING, Any

import regex

from local_aws.errors import ApiError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from botocore.model import OperationModel

AT_MOST = 10  # violations that one answer names
# Java writes the characters beyond U+FFFF as the surrogates they are made of
ASTRAL = (r"\uD800\uDC00-\uDBFF\uDFFF", "\U00010000-\U0010ffff")
# Shapes whose pattern or enum AWS itself does not hold, and what shows it
LOOSER = {
    # Terraform's aws_dms_s3_endpoint sends GZIP and SSE_KMS, the model has gzip and sse-kms
    ("dms", "CompressionTypeValue"),
    ("dms", "EncryptionModeValue"),
    # endpoints of a VPC are `available`, in small letters: Terraform waits for that word
    ("ec2", "State"),
}
# What the model requires of an answer and AWS does not always tell: a job has no model before its
# end, and a version of a group ("View the Details of a Model Version") has no name of its own
NOT_ALWAYS = {
    ("DescribeModelPackageOutput", "ModelPackageName"),
    ("DescribeTrainingJobResponse", "ModelArtifacts"),
}
# The code of a request that its service's model does not allow, where it is not ValidationException
# (JSON) or ValidationError (query): `Errors` of each API reference, and of what they answer.
CODES = {
    "athena": "InvalidRequestException",
    "directconnect": "DirectConnectClientException",
    "logs": "InvalidParameterException",
    "resourcegroupstaggingapi": "InvalidParameterException",
    "s3": "MalformedXML",
    "s3control": "MalformedXML",
    "service-quotas": "IllegalArgumentException",
    "sns": "InvalidParameter",
    "sqs": "InvalidParameterValue",
}
Violation = tuple[str, Any, str]  # where, what, and which constraint
TYPES: Mapping[str, Any] = {
    "blob": (bytes, bytearray),
    "boolean": (bool,),
    "double": (float, int, decimal.Decimal),
    "float": (float, int, decimal.Decimal),
    "integer": (int,),
    "list": (list, tuple),
    "long": (int,),
    "map": (dict,),
    "string": (str,),
    "structure": (dict,),
    "timestamp": (datetime.datetime,),
}


def check_request(operation: OperationModel, parameters: Mapping[str, Any]) -> None:
    """Return when the model allows a request; raises ApiError as its service answers."""
    shape: Any = operation.input_shape
    if shape is None:
        return
    service = operation.service_model.service_name
    found = list(_violations(service, shape, parameters, ""))[:AT_MOST]
    if not found:
        return
    if service == "ec2":
        raise _of_ec2(*found[0])
    code = CODES.get(
        service,
        "ValidationError" if operation.service_model.protocol == "query" else "ValidationException",
    )
    plural = "s" if len(found) > 1 else ""
    told = "; ".join(_sentence(*each) for each in found)
    raise ApiError(code, f"{len(found)} validation error{plural} detected: {told}")


def wrong_in_answer(operation: OperationModel, answer: Mapping[str, Any]) -> list[str]:
    """What the model does not allow in an answer: types, required members, enums, and members that
    it does not have.
    """
    shape: Any = operation.output_shape
    told = {name: value for name, value in answer.items() if name != "ResponseMetadata"}
    service = operation.service_model.service_name
    return list(_wrong(service, shape, told, "")) if shape is not None else []


def _violations(service: str, shape: Any, value: Any, path: str) -> Iterator[Violation]:
    """Everything in a value that its shape does not allow."""
    if not isinstance(value, TYPES[shape.type_name]):
        return  # which the protocol's parser has judged
    yield from _of_size(shape, value, path)
    if inside := INSIDE.get(shape.type_name):
        yield from inside(service, shape, value, path)


def _of_size(shape: Any, value: Any, path: str) -> Iterator[Violation]:
    least, most = shape.metadata.get("min"), shape.metadata.get("max")
    noun, size = ("length", len(value)) if hasattr(value, "__len__") else ("value", value)
    if least is not None and size < least:
        yield path, value, f"Member must have {noun} greater than or equal to {least}"
    if most is not None and size > most:
        yield path, value, f"Member must have {noun} less than or equal to {most}"


def _of_structure(service: str, shape: Any, value: Any, path: str) -> Iterator[Violation]:
    members = shape.members
    for name in shape.required_members:
        if value.get(name) is None:
            yield _below(path, name), None, "Member must not be null"
    for name, each in value.items():
        if name in members:
            yield from _violations(service, members[name], each, _below(path, name))


def _of_list(service: str, shape: Any, value: Any, path: str) -> Iterator[Violation]:
    for number, each in enumerate(value, 1):
        yield from _violations(service, shape.member, each, f"{path}.{number}.member")


def _of_map(service: str, shape: Any, value: Any, path: str) -> Iterator[Violation]:
    for key, each in value.items():
        if wrong := [told for _, _, told in _violations(service, shape.key, key, path)]:
            yield path, key, f"Map keys must satisfy constraint: [{', '.join(wrong)}]"
        yield from _violations(service, shape.value, each, f"{path}.{key}.member")


def _of_string(service: str, shape: Any, value: str, path: str) -> Iterator[Violation]:
    if not _known(service, shape, value):
        yield path, value, f"Member must satisfy enum value set: [{', '.join(shape.enum)}]"
    pattern = shape.metadata.get("pattern")
    if pattern and (service, shape.name) not in LOOSER and not compiled(pattern).fullmatch(value):
        yield path, value, f"Member must satisfy regular expression pattern: {pattern}"


def _known(service: str, shape: Any, value: str) -> bool:
    """Whether a value is one of its shape's enum, where it has one that AWS holds."""
    return not shape.enum or value in shape.enum or (service, shape.name) in LOOSER


INSIDE: Mapping[str, Callable[[str, Any, Any, str], Iterator[Violation]]] = {
    "list": _of_list,
    "map": _of_map,
    "string": _of_string,
    "structure": _of_structure,
}


@functools.cache
def compiled(pattern: str) -> Any:
    r"""A pattern as Java reads it, which AWS's services are written in: `\w` and `\d` are of ASCII,
    `\p{L}` of Unicode; the whole value must match.
    """
    ascii_only = 0 if r"\p" in pattern or r"\P" in pattern else regex.ASCII
    return regex.compile(pattern.replace(*ASTRAL), ascii_only)


def _below(path: str, name: str) -> str:
    """The path of a member as AWS tells it: `tableInput.storageDescriptor`."""
    lower = name[:1].lower() + name[1:]
    return f"{path}.{lower}" if path else lower


def _sentence(path: str, value: Any, constraint: str) -> str:
    shown = "null" if value is None else f"'{value}'"
    told = "Value" if isinstance(value, list | dict | bytes) else f"Value {shown}"
    return f"{told} at '{path}' failed to satisfy constraint: {constraint}"


def _of_ec2(path: str, value: Any, constraint: str) -> ApiError:
    """Source: "Error codes for the Amazon EC2 API"."""
    if value is None:
        return ApiError(
            "MissingParameter", f"The request must contain the parameter {path.rpartition('.')[2]}"
        )
    return ApiError(
        "InvalidParameterValue",
        f"Value ({value}) for parameter {path.rpartition('.')[2]} is invalid. {constraint}",
    )


def _wrong(service: str, shape: Any, value: Any, path: str) -> Iterator[str]:
    kind = shape.type_name
    if not isinstance(value, TYPES[kind]) or (kind != "boolean" and isinstance(value, bool)):
        yield f"{path or shape.name} is {type(value).__name__} and not {kind}"
    elif kind == "structure":
        yield from (
            f"{path}.{name} is missing"
            for name in shape.required_members
            if value.get(name) is None and (shape.name, name) not in NOT_ALWAYS
        )
        for name, each in value.items():
            if name not in shape.members:
                yield f"{path}.{name} is unknown"
            elif each is not None:
                yield from _wrong(service, shape.members[name], each, f"{path}.{name}")
    elif kind in ("list", "map"):
        inner = shape.member if kind == "list" else shape.value
        for each in value if kind == "list" else value.values():
            yield from _wrong(service, inner, each, f"{path}[]")
    elif kind == "string" and not _known(service, shape, value):
        yield f"{path} is {value!r}, not one of {', '.join(shape.enum)}"
