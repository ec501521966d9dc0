"""AWS on an ordinary bad day: throttled calls, failing servers, lost connections and answers,
reads that are not up to date, slow transitions, sessions that end.

Every choice follows from the seed, the operation and how often it was called before.
"""

from __future__ import annotations

import io
import json
import random
import socket
import threading
import time
import uuid
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import botocore.exceptions

from local_aws import wire
from local_aws.errors import ApiError
from local_aws.gateway import READS
from local_aws.iam import refusals
from local_aws.principal import INTERNAL_ACCESS_KEY

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

SETTLE_SECONDS = 1.0  # of what is asynchronous on AWS
# of calls; lost is the answer, stale the first read after a change of what was read before, expired
# the session in which a call is made, from then on
SHARES = {
    "throttled": 0.015,
    "unavailable": 0.005,
    "reset": 0.005,
    "lost": 0.005,
    "stale": 0.1,
    "expired": 0.0002,
}
STALE_SECONDS = 1.0  # that a read may show what was before the last change

# Services that say so themselves; objects of S3 and all else are read as they were written.
EVENTUALLY_CONSISTENT = {
    "ec2": "https://docs.aws.amazon.com/ec2/latest/devguide/eventual-consistency.html",
    "iam": "https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot.html"
    "#troubleshoot_general_eventual-consistency",
    "kms": "https://docs.aws.amazon.com/kms/latest/developerguide/accessing-kms.html"
    "#programming-eventual-consistency",
    "s3": "https://docs.aws.amazon.com/AmazonS3/latest/userguide/Welcome.html#ConsistencyModel",
}
# https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html#identifiers-prefixes
OF_SESSIONS = "ASIA"  # their access keys begin so
OF_OBJECTS = ("GetObject", "HeadObject", "ListObjects", "ListParts", "ListMultipart")

# https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html (503),
# https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html (503); Throttling and
# ThrottlingException are in the "Common Errors" of the other services' API references (400)
THROTTLING = {
    "ec2": ("RequestLimitExceeded", "Request limit exceeded.", 503),
    "s3": ("SlowDown", "Please reduce your request rate.", 503),
    "query": ("Throttling", "Rate exceeded", 400),
    "json": ("ThrottlingException", "Rate exceeded", 400),
    "rest-json": ("ThrottlingException", "Rate exceeded", 429),
}
FAILING = {
    "ec2": ("Unavailable", "The service is unavailable. Please try again shortly.", 503),
    "s3": ("InternalError", "We encountered an internal error. Please try again.", 500),
    "query": ("ServiceUnavailable", "Service is unable to handle request.", 503),
    "json": ("InternalServerError", "An internal error occurred.", 500),
    "rest-json": ("InternalServerError", "An internal error occurred.", 500),
}


@dataclass
class _Read:
    """One question that was asked before: its last answer, and whether it is shown once more."""

    answer: tuple[str, list[tuple[str, str]], list[bytes]]
    asked: float
    stale_until: float = 0


@dataclass
class Weather:
    """A WSGI application before the gateway's; what engines do for themselves has fair weather."""

    gateway: Callable[..., Iterable[bytes]]
    seed: int
    kept: Path | None = None  # the file that says what it did
    counted: Counter[str] = field(default_factory=Counter)  # what it did: "throttled glue GetTable"
    _calls: Counter[str] = field(default_factory=Counter)
    _reads: dict[str, _Read] = field(default_factory=dict)
    _changed: dict[str, float] = field(default_factory=dict)
    _ended: set[str] = field(default_factory=set)  # access keys of sessions
    _lock: Any = field(default_factory=threading.Lock)

    def __call__(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        """Answer one request, or do not (WSGI)."""
        access_key, region, service = wire.caller(environ)
        own = environ["PATH_INFO"].startswith("/_local_aws")
        if own or access_key in ("", INTERNAL_ACCESS_KEY):
            return self.gateway(environ, start_response)
        try:
            model = wire.model(service)
            operation, parameters = self._asked(model, service, environ)
        except (botocore.exceptions.UnknownServiceError, ApiError):
            return self.gateway(environ, start_response)
        name = f"{service} {operation}"
        chance = self._chances(name)
        if found := self._refusal(service, model, access_key, chance):
            what, refusal = found
            self._count(what, name)
            status, headers, text = wire.error_answer(model, refusal, str(uuid.uuid4()))
            start_response(f"{status} Error", headers)
            return [text if environ["REQUEST_METHOD"] != "HEAD" else b""]
        if chance["reset"] < SHARES["reset"]:
            return self._dropped("reset", name, environ)
        key = f"{access_key} {region} {name} {json.dumps(parameters, default=str, sort_keys=True)}"
        is_read = bool(READS.fullmatch(operation))
        if is_read and (known := self._stale(key, service, operation, chance["stale"])):
            self._count("stale", name)
            start_response(*known[:2])
            return known[2]
        answer = self._passed_on(environ, start_response, chance["lost"] >= SHARES["lost"])
        if answer is None:
            return self._dropped("lost", name, environ)
        line, sent, data = answer
        if is_read and service in EVENTUALLY_CONSISTENT and isinstance(data, list):
            self._reads[key] = _Read((line, sent, data), time.monotonic())
        elif line.startswith("2") and not is_read:
            self._changed[service] = time.monotonic()
        return data

    def _asked(
        self, model: Any, service: str, environ: dict[str, Any]
    ) -> tuple[str, dict[str, Any]]:
        """The operation and its parameters; the gateway reads the request again."""
        if wire.carries_object(service, environ):
            return "PutObject", {"Path": environ["PATH_INFO"]}
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        environ["wsgi.input"] = io.BytesIO(body)
        found = wire.request(model, dict(environ), body)
        environ["wsgi.input"] = io.BytesIO(body)
        return found

    def _refusal(
        self, service: str, model: Any, access_key: str, chance: dict[str, float]
    ) -> tuple[str, ApiError] | None:
        """What refuses the call, where something does, and in which words."""
        if access_key.startswith(OF_SESSIONS):
            if chance["expired"] < SHARES["expired"]:
                self._ended.add(access_key)
            if access_key in self._ended:
                return "expired", refusals.expired(service)
        protocol = service if service in THROTTLING else str(model.protocol)
        for what, answers in (("throttled", THROTTLING), ("unavailable", FAILING)):
            if chance[what] < SHARES[what]:
                return what, ApiError(*answers.get(protocol, answers["json"]))
        return None

    def _chances(self, name: str) -> dict[str, float]:
        with self._lock:
            self._calls[name] += 1
            drawn = random.Random(f"{self.seed} {name} {self._calls[name]}")  # noqa: S311
        return {each: drawn.random() for each in SHARES}

    def _count(self, what: str, name: str) -> None:
        with self._lock:
            self.counted[f"{what} {name}"] += 1
            if self.kept:
                told = {"seed": self.seed, "counted": dict(sorted(self.counted.items()))}
                self.kept.write_text(json.dumps(told, indent=1) + "\n")

    def _stale(
        self, key: str, service: str, operation: str, chance: float
    ) -> tuple[str, list[tuple[str, str]], list[bytes]] | None:
        """The answer of before, where the service has changed since and this read does not know
        yet.
        """
        known, changed = self._reads.get(key), self._changed.get(service, 0.0)
        if known is None or operation.startswith(OF_OBJECTS) or known.asked > changed:
            return None
        if not known.stale_until:
            known.stale_until = changed + (STALE_SECONDS if chance < SHARES["stale"] else -1)
        return known.answer if time.monotonic() < known.stale_until else None

    def _passed_on(
        self, environ: dict[str, Any], start_response: Callable[..., Any], is_answered: bool
    ) -> tuple[str, list[tuple[str, str]], Iterable[bytes]] | None:
        """Status, headers and content, a list where it is small; None: the answer is lost."""
        begun: list[Any] = []
        data = self.gateway(
            environ, lambda status, headers, _=None: begun.extend((status, headers))
        )
        if not is_answered:
            for _ in data:
                pass
            return None
        start_response(*begun)
        return begun[0], begun[1], data

    def _dropped(self, what: str, name: str, environ: dict[str, Any]) -> Iterable[bytes]:
        """The connection ends without an answer."""
        self._count(what, name)
        environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
        raise ConnectionResetError(f"weather: {what} {name}")
