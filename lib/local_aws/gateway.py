"""The one HTTP endpoint: our services first, then moto for what it answers truthfully, else a loud 501."""

from __future__ import annotations

import errno
import gc
import io
import json
import re
import time
import uuid
from typing import TYPE_CHECKING, Any

import botocore.exceptions
from moto.iam.models import get_account_id_from

from local_aws import wire
from local_aws.service import ApiError, Call, Service
from local_aws.stand_in import INTERNAL_ACCESS_KEY

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from local_aws.s3 import Objects

# What moto answers truthfully as a whole: it keeps the records and no engine stands behind them.
FROM_MOTO = frozenset(
    [
        "budgets",
        "cloudtrail",
        "cloudwatch",
        "directconnect",
        "ec2",
        "events",
        "iam",
        "kms",
        "lakeformation",
        "logs",
        "s3",
        "secretsmanager",
        "sns",
        "sqs",
        "ssm",
        "sts",
        "resourcegroupstaggingapi",
    ]
)
READS = re.compile(
    r"(Describe|Get|List|Head|BatchGet|Search|Lookup|Filter|Query|Test|Assume|Simulate|Check|Estimate)\w*|(GET|HEAD) .*"
)
LARGE_BODY_BYTES = 16 << 20

Answer = tuple[int, list[tuple[str, str]], "Iterable[bytes]"]


class Gateway:
    """A WSGI application in front of moto's; it logs every call to `calls.jsonl`."""

    def __init__(self, moto: Callable[..., Iterable[bytes]], objects: Objects, log: Path) -> None:
        self.moto, self.objects = moto, objects
        self.services: dict[str, Service] = {}
        self.log_file, self.log = log, log.open("a", buffering=1)

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Answer one request and log it (WSGI)."""
        if environ["PATH_INFO"] == "/_local_aws":
            return self._identity(start_response)
        access_key, region, service = wire.caller(environ)
        request_id, started = str(uuid.uuid4()), time.time()
        body = b"" if service == "s3" else environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        operation = error = ""
        try:
            operation = wire.operation_name(service, environ, body)
            status, headers, data = self._answer(environ, body, service, operation, region, access_key)
        except botocore.exceptions.UnknownServiceError:
            status, headers, data = 501, [], [b""]
            error = "NotInLocalAws"
        except ApiError as refusal:
            status, headers, text = wire.error_answer(service, refusal, request_id)
            data, error = [text], refusal.code
        self._record(started, access_key, service, operation, status, error)
        kept = [(name, value) for name, value in headers if name.lower() != "x-amzn-requestid"]
        start_response(f"{status} {'OK' if status < 300 else 'Error'}", [*kept, ("x-amzn-RequestId", request_id)])
        return data

    def _identity(self, start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Who serves here, for whoever looks for a stand-in that runs already."""
        start_response("200 OK", [("Content-Type", "application/json")])
        return [json.dumps({"directory": str(self.log_file.parent)}).encode()]

    def _answer(
        self, environ: dict[str, Any], body: bytes, service: str, operation: str, region: str, access_key: str
    ) -> Answer:
        if service == "s3":
            self._refuse_strangers(environ, access_key)
            return self._s3(environ)
        ours = self.services.get(service)
        handler = getattr(ours, operation, None) if operation[:1].isupper() else None
        if handler:
            return self._ours(handler, environ, body, service, operation, region, access_key)
        if (ours and operation not in ours.from_moto) or (not ours and service not in FROM_MOTO):
            raise not_here(service, operation)
        status, headers, data = self._moto(environ, body, service, operation)
        return status, headers, [data]

    def _ours(
        self,
        handler: Callable[[Call], dict[str, Any]],
        environ: dict[str, Any],
        body: bytes,
        service: str,
        operation: str,
        region: str,
        access_key: str,
    ) -> Answer:
        shape = wire.model(service).operation_model(operation)

        def moto() -> dict[str, Any]:
            status, headers, data = self._moto(environ, body, service, operation)
            return wire.parse_answer(shape, status, dict(headers), data)

        parameters = wire.from_wire(json.loads(body or b"{}"), shape.input_shape)
        try:
            response = handler(Call(service, operation, parameters, region, access_key, moto)) or {}
        except ApiError:
            raise
        except Exception as bug:
            raise ApiError("InternalFailure", f"local_aws failed in {service} {operation}: {bug!r}", 500) from bug
        data = json.dumps(wire.to_wire(response, shape.output_shape) if shape.output_shape else {}).encode()
        return 200, [("Content-Type", "application/x-amz-json-1.1"), ("Content-Length", str(len(data)))], [data]

    def _moto(
        self, environ: dict[str, Any], body: bytes, service: str, operation: str
    ) -> tuple[int, list[tuple[str, str]], bytes]:
        answer: dict[str, Any] = {}

        def start_response(status: str, headers: list[tuple[str, str]], _info: Any = None) -> None:
            answer.update(status=int(status.split(maxsplit=1)[0]), headers=headers)

        inner = dict(environ, **{"wsgi.input": io.BytesIO(body), "CONTENT_LENGTH": str(len(body))})
        try:
            data = b"".join(self.moto(inner, start_response))
        except NotImplementedError as gap:
            raise not_here(service, operation) from gap
        except Exception as bug:
            raise ApiError("InternalFailure", f"moto failed in {service} {operation}: {bug!r}", 500) from bug
        if answer["status"] in (404, 500) and data[:15].lower() == b"<!doctype html>":
            raise not_here(service, operation)
        return answer["status"], answer["headers"], data

    def _s3(self, environ: dict[str, Any]) -> Answer:
        if environ["REQUEST_METHOD"] == "GET" and not environ.get("QUERY_STRING") and (answer := self._object(environ)):
            return answer
        answer_to: dict[str, Any] = {}

        def start_response(status: str, headers: list[tuple[str, str]], _info: Any = None) -> None:
            answer_to.update(status=int(status.split(maxsplit=1)[0]), headers=headers)

        try:
            data = b"".join(self.moto(environ, start_response))
        except OSError as failure:
            full = (
                f"The disk of the stand-in's directory is full ({failure.strerror})"
                if failure.errno == errno.ENOSPC
                else repr(failure)
            )
            raise ApiError(
                "InternalError", f"{full}; free some space or start it elsewhere with --data.", 500
            ) from failure
        if int(environ.get("CONTENT_LENGTH") or 0) > LARGE_BODY_BYTES:
            gc.collect()  # large bodies hang in moto's reference cycles
        return answer_to["status"], answer_to["headers"], [data]

    def _refuse_strangers(self, environ: dict[str, Any], access_key: str) -> None:
        """A bucket is its account's alone, but that its name is taken everybody may learn by trying to create it."""
        bucket = environ["PATH_INFO"].lstrip("/").partition("/")[0]
        owner = self.objects.owner(bucket)
        creates = (
            environ["REQUEST_METHOD"] == "PUT"
            and environ["PATH_INFO"].strip("/") == bucket
            and not environ.get("QUERY_STRING")
        )
        if owner and not creates and owner != get_account_id_from(access_key):
            raise ApiError("AccessDenied", "Access Denied", 403)

    def _object(self, environ: dict[str, Any]) -> Answer | None:
        """A whole object or a range of it, streamed from its file; None leaves the answer (an error) to moto."""
        status, headers, _ = self._moto(dict(environ, REQUEST_METHOD="HEAD"), b"", "s3", "HeadObject")
        bucket, _, key = environ["PATH_INFO"].encode("latin-1").decode().lstrip("/").partition("/")
        if status >= 300 or not key or not (file := self.objects.path(bucket, key)).is_file():
            return None
        size = file.stat().st_size
        first, last = 0, size - 1
        if asked := re.fullmatch(r"bytes=(\d*)-(\d*)", environ.get("HTTP_RANGE", "")):
            first, last = (
                (int(asked[1]), min(int(asked[2] or last), last)) if asked[1] else (max(size - int(asked[2]), 0), last)
            )
            if first > last:
                raise ApiError("InvalidRange", "The requested range is not satisfiable", 416)
        kept = [
            (n, v)
            for n, v in headers
            if not n.lower().startswith(("content-length", "x-amz-checksum", "content-range"))
        ]
        kept += [("Content-Length", str(last - first + 1))] + (
            [("Content-Range", f"bytes {first}-{last}/{size}")] if asked else []
        )
        return 206 if asked else 200, kept, _stream(file, first, last - first + 1)

    def _record(self, started: float, access_key: str, service: str, operation: str, status: int, error: str) -> None:
        self.log.write(
            json.dumps(
                {
                    "time": round(started, 3),
                    "seconds": round(time.time() - started, 4),
                    "service": service,
                    "operation": operation,
                    "changing": not READS.fullmatch(operation),
                    "engine": access_key == INTERNAL_ACCESS_KEY,
                    "status": status,
                    "error": error,
                }
            )
            + "\n"
        )


def not_here(service: str, operation: str) -> ApiError:
    """The refusal of what neither we nor moto do truthfully."""
    return ApiError(
        "NotInLocalAws", f"local_aws does not do {service} {operation}; see COVERAGE.md for what it does.", 501
    )


def _stream(file: Path, first: int, length: int) -> Iterator[bytes]:
    with file.open("rb") as content:
        content.seek(first)
        while length > 0 and (block := content.read(min(length, 1 << 20))):
            length -= len(block)
            yield block
