"""The one HTTP endpoint: our services first, then moto for what it answers truthfully, else a loud
501.
"""

from __future__ import annotations

import io
import json
import re
import time
import urllib.parse
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import botocore.exceptions

from local_aws import constraints, settings, wire
from local_aws.engines.authorized_objects import AuthorizedObjects
from local_aws.errors import ApiError
from local_aws.iam import refusals
from local_aws.iam.principals import ExpiredSessionError
from local_aws.principal import INTERNAL_ACCESS_KEY, Principal
from local_aws.s3.requests import S3Requests, denied_keys, hide_absence
from local_aws.service import Call, Service
from local_aws.services import NOBODY_ANSWERS, SERVICES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from botocore.model import OperationModel, ServiceModel

    from local_aws.services import Route
    from local_aws.stand_in import StandIn

READS = re.compile(
    r"(Describe|Get|List|Head|BatchGet|Search|Lookup|Filter|Query|Test|Assume|Simulate|Check|Estimate"
    r"|Generate)\w*|(GET|HEAD) .*"
)

Answer = tuple[int, list[tuple[str, str]], "Iterable[bytes]"]


@dataclass
class Request:
    """One request on its way: what is known of it so far."""

    environ: dict[str, Any]
    access_key: str
    region: str
    service: str
    body: bytes = b""
    model: ServiceModel = field(init=False)
    operation: str = ""
    parameters: dict[str, Any] = field(default_factory=dict)
    principal: Principal | None = None  # None while nobody is known to have the key


class Gateway:
    """A WSGI application before moto's; it authorizes every call and logs it to `calls.jsonl`."""

    def __init__(
        self,
        moto: Callable[..., Iterable[bytes]],
        stand_in: StandIn,
        services: Mapping[str, Service],
        routes: Mapping[str, Route],
        observe: Callable[..., None],
    ) -> None:
        self.moto, self.stand_in, self.services, self.observe = moto, stand_in, services, observe
        self.s3 = S3Requests(moto, stand_in.objects)
        # our own paths, which AWS does not have
        self.routes = {"/_local_aws": self._identity, "/_local_aws/access": self._access, **routes}
        self.log_file = stand_in.directory / "calls.jsonl"
        self.log = self.log_file.open("a", buffering=1)

    def __call__(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        """Answer one request and log it (WSGI)."""
        if route := self._route(environ["PATH_INFO"]):
            return route(environ, start_response)
        request = Request(environ, *wire.caller(environ))
        service, request_id, started, error = request.service, str(uuid.uuid4()), time.time(), ""
        try:
            self._read(request)
            status, headers, data = self._answer(request)
        except botocore.exceptions.UnknownServiceError:
            status, headers, data = 501, [], [b""]
            error = "NotInLocalAws"
        except ApiError as refusal:
            status, headers, text = wire.error_answer(request.model, refusal, request_id)
            data, error = [text if environ["REQUEST_METHOD"] != "HEAD" else b""], refusal.code
        self._record(started, request.access_key, service, request.operation, status, error)
        who, told = request.principal, request.parameters
        self.observe(
            environ,
            service,
            request.operation,
            request.region,
            who,
            told,
            request_id,
            started,
            status,
            headers,
            data,
        )
        headers, data = wire.identified(service, headers, data, request_id)
        start_response(f"{status} {'OK' if status < 300 else 'Error'}", headers)
        return data

    def _route(self, path: str) -> Route | None:
        """What answers a path of our own."""
        if route := self.routes.get(path):
            return route
        below = [each for each in self.routes if each.endswith("/") and path.startswith(each)]
        return self.routes[below[0]] if below else None

    def _identity(self, _: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Who serves here, for whoever looks for a stand-in that runs already."""
        start_response("200 OK", [("Content-Type", "application/json")])
        return [json.dumps({"directory": str(self.log_file.parent)}).encode()]

    def _access(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        """Whether the owner of an access key may do something to an object, for Spark, which works
        on the files itself.
        """
        told = dict(urllib.parse.parse_qsl(environ.get("QUERY_STRING", ""), keep_blank_values=True))
        refusal, principal = (
            "The access key is unknown.",
            self.stand_in.principals.of(told["access_key"]),
        )
        if principal is not None:
            objects = AuthorizedObjects(self.stand_in, principal, lake_formation=False)
            refusal = objects.refusal(told["operation"], told["bucket"], told["key"])
        text = refusal.encode()
        headers = [
            ("Content-Type", "text/plain; charset=utf-8"),
            ("Content-Length", str(len(text))),
        ]
        start_response("403 Forbidden" if refusal else "200 OK", headers)
        return [text]

    def _read(self, request: Request) -> None:
        """Read what is asked, and by whom; raises ApiError for a key that nobody has or a session
        that is over.
        """
        environ, request.model = request.environ, wire.model(request.service)
        if not wire.carries_object(request.service, environ):
            request.body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
            environ["wsgi.input"] = io.BytesIO(request.body)
        request.operation, request.parameters = wire.request(request.model, environ, request.body)
        try:
            request.principal = self.stand_in.principals.of(request.access_key)
        except ExpiredSessionError:
            raise refusals.expired(request.service) from None
        if request.principal is None:
            raise refusals.unknown_key(request.service)

    def _answer(self, request: Request) -> Answer:
        service, operation = request.service, request.operation
        if operation not in request.model.operation_names:
            raise not_here(service, operation)
        handler = getattr(self.services.get(service), operation, None)
        answered = handler or SERVICES.get(service, NOBODY_ANSWERS).answered_by_moto(operation)
        if answered:
            shape = request.model.operation_model(operation)
            constraints.check_request(shape, request.parameters)
        if service == "s3":
            return self._s3(request)
        self._authorize(request)
        if handler:
            return self._ours(request, handler)
        if not answered:
            raise not_here(service, operation)
        status, headers, data = self._moto(request)
        if settings.check_answers and status < 300:
            shape = request.model.operation_model(operation)
            check_answer(shape, wire.parse_answer(shape, 200, dict(headers), data))
        return status, headers, [data]

    def _authorize(self, request: Request) -> None:
        """Raise the service's own refusal, or EC2's answer to a dry run of a call that would have
        been allowed.
        """
        assert request.principal is not None
        self.stand_in.authority.authorize_call(
            request.principal,
            request.service,
            request.operation,
            request.parameters,
            request.region,
            request.environ,
        )
        if request.service == "ec2" and request.parameters.get("DryRun"):
            raise ApiError(
                "DryRunOperation", "Request would have succeeded, but DryRun flag is set.", 412
            )

    def _s3(self, request: Request) -> Answer:
        """S3: every key of a deletion has its own answer, and who may not list is not told what is
        not there.
        """
        assert request.principal is not None
        if request.operation == "DeleteObjects":
            if denied := denied_keys(
                self.stand_in.authority, request.principal, request.parameters, self.stand_in.region
            ):
                return self.s3.delete(
                    request.environ, request.parameters["Delete"]["Objects"], denied
                )
        else:
            self._authorize(request)
        status, headers, data = self.s3.answer(request.environ)
        if status == 404 and request.operation in ("GetObject", "HeadObject"):
            hide_absence(self.stand_in.authority, request.principal, request.parameters)
        return status, headers, data

    def _ours(self, request: Request, handler: Callable[[Call], dict[str, Any]]) -> Answer:
        service, operation = request.service, request.operation
        shape = request.model.operation_model(operation)

        def moto() -> dict[str, Any]:
            status, headers, data = self._moto(request)
            return wire.parse_answer(shape, status, dict(headers), data)

        assert request.principal is not None
        call = Call(
            service,
            operation,
            request.parameters,
            request.region,
            request.access_key,
            moto,
            request.principal,
        )
        try:
            response = handler(call) or {}
        except ApiError:
            raise
        except Exception as bug:
            raise ApiError(
                "InternalFailure", f"local_aws failed in {service} {operation}: {bug!r}", 500
            ) from bug
        check_answer(shape, response)
        headers, data = wire.answer(shape, response)
        return 200, headers, [data]

    def _moto(self, request: Request) -> tuple[int, list[tuple[str, str]], bytes]:
        service, operation = request.service, request.operation
        answer: dict[str, Any] = {}

        def start_response(status: str, headers: list[tuple[str, str]], _info: Any = None) -> None:
            answer.update(status=int(status.split(maxsplit=1)[0]), headers=headers)

        body = {"wsgi.input": io.BytesIO(request.body), "CONTENT_LENGTH": str(len(request.body))}
        try:
            data = b"".join(self.moto(dict(request.environ, **body), start_response))
        except NotImplementedError as gap:
            raise not_here(service, operation) from gap
        except Exception as bug:
            raise ApiError(
                "InternalFailure", f"moto failed in {service} {operation}: {bug!r}", 500
            ) from bug
        if answer["status"] in (404, 500) and data[:15].lower() == b"<!doctype html>":
            raise not_here(service, operation)
        return answer["status"], answer["headers"], data

    def _record(
        self, started: float, access_key: str, service: str, operation: str, status: int, error: str
    ) -> None:
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


def check_answer(operation: OperationModel, answer: Mapping[str, Any]) -> None:
    """Raise ApiError where an answer, ours or moto's, is not one that AWS can give; only while
    tests ask for it.
    """
    if settings.check_answers and (wrong := constraints.wrong_in_answer(operation, answer)):
        name = f"{operation.service_model.service_name} {operation.name}"
        raise ApiError("InternalFailure", f"The answer of {name}: {'; '.join(wrong)}", 500)


def not_here(service: str, operation: str) -> ApiError:
    """The refusal of what neither we nor moto do truthfully."""
    return ApiError(
        "NotInLocalAws",
        f"local_aws does not do {service} {operation}; see COVERAGE.md for what it does.",
        501,
    )
