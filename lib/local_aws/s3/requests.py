"""Requests to S3: answered by moto's index, with contents from plain files and each key of a
deletion authorized by itself.
"""

from __future__ import annotations

import errno
import gc
import io
import re
from typing import TYPE_CHECKING, Any
from xml.sax.saxutils import escape

from local_aws.errors import AccessDeniedError, ApiError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from local_aws.ports import Decides
    from local_aws.principal import Principal
    from local_aws.s3.objects import Objects

    Answer = tuple[int, list[tuple[str, str]], Iterable[bytes]]

LARGE_BODY_BYTES = 16 << 20


class S3Requests:
    """What stands between a request to S3 and moto."""

    def __init__(self, moto: Callable[..., Iterable[bytes]], objects: Objects) -> None:
        self._moto, self._objects = moto, objects

    def answer(self, environ: dict[str, Any]) -> Answer:
        """The answer to an authorized request; raises ApiError."""
        if (
            environ["REQUEST_METHOD"] == "GET"
            and not environ.get("QUERY_STRING")
            and (found := self._object(environ))
        ):
            return found
        if environ["REQUEST_METHOD"] == "PUT" and re.fullmatch(r"/[^/]+/?", environ["PATH_INFO"]):
            return self._of_bucket(environ)
        return self._from_moto(environ)

    def _of_bucket(self, environ: dict[str, Any]) -> Answer:
        """A change of a bucket; of a new one moto forgets the tags (CreateBucketConfiguration)."""
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        answer = self._from_moto({**environ, "wsgi.input": io.BytesIO(body)})
        tags = re.search(rb"<Tags>(.*)</Tags>", body, re.DOTALL)
        if tags and answer[0] == 200 and not environ.get("QUERY_STRING"):
            tagging = b"<Tagging><TagSet>%b</TagSet></Tagging>" % tags[1]
            asked = {"QUERY_STRING": "tagging", "CONTENT_LENGTH": str(len(tagging))}
            self._from_moto({**environ, **asked, "wsgi.input": io.BytesIO(tagging)})
        return answer

    def delete(
        self, environ: dict[str, Any], objects: list[dict[str, str]], denied: dict[str, str]
    ) -> Answer:
        """The answer to DeleteObjects of which some keys are `denied`, each with the reason: as S3
        does, the others go.
        """
        allowed = [each for each in objects if each["Key"] not in denied]
        body = f"<Delete>{''.join(_as_xml(each) for each in allowed)}</Delete>".encode()
        status, headers, data = (
            200,
            [("Content-Type", "application/xml")],
            b"<DeleteResult></DeleteResult>",
        )
        if allowed:
            inner = dict(
                environ, **{"wsgi.input": io.BytesIO(body), "CONTENT_LENGTH": str(len(body))}
            )
            status, headers, parts = self._from_moto(inner)
            data = b"".join(parts)
        errors = "".join(
            f"<Error><Key>{escape(key)}</Key><Code>AccessDenied</Code><Message>{escape(reason)}</Message></Error>"
            for key, reason in denied.items()
        )
        data = data.replace(b"</DeleteResult>", errors.encode() + b"</DeleteResult>")
        kept = [(name, value) for name, value in headers if name.lower() != "content-length"]
        return status, [*kept, ("Content-Length", str(len(data)))], [data]

    def _from_moto(self, environ: dict[str, Any]) -> Answer:
        answer_to: dict[str, Any] = {}

        def start_response(status: str, headers: list[tuple[str, str]], _info: Any = None) -> None:
            answer_to.update(status=int(status.split(maxsplit=1)[0]), headers=headers)

        try:
            data = b"".join(self._moto(environ, start_response))
        except NotImplementedError as gap:
            raise ApiError(
                "NotImplemented", f"local_aws does not do this of S3: {gap}", 501
            ) from gap
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

    def _object(self, environ: dict[str, Any]) -> Answer | None:
        """A whole object or a range of it, streamed from its file; None leaves the answer (an
        error) to moto.
        """
        status, headers, _ = self._from_moto(
            dict(environ, **{"REQUEST_METHOD": "HEAD", "wsgi.input": io.BytesIO()})
        )
        bucket, _, key = environ["PATH_INFO"].encode("latin-1").decode().lstrip("/").partition("/")
        if status >= 300 or not key or not (file := self._objects.path(bucket, key)).is_file():
            return None
        size = file.stat().st_size
        first, last = 0, size - 1
        if asked := re.fullmatch(r"bytes=(\d*)-(\d*)", environ.get("HTTP_RANGE", "")):
            first, last = (
                (int(asked[1]), min(int(asked[2] or last), last))
                if asked[1]
                else (max(size - int(asked[2]), 0), last)
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


def denied_keys(
    authority: Decides, principal: Principal, parameters: dict[str, Any], region: str
) -> dict[str, str]:
    """The keys of a DeleteObjects that the principal may not delete, each with the reason."""
    denied = {}
    for each in parameters.get("Delete", {}).get("Objects", []):
        one = {"Bucket": parameters["Bucket"], "Delete": {"Objects": [each]}}
        try:
            authority.authorize_call(principal, "s3", "DeleteObjects", one, region)
        except AccessDeniedError as refusal:
            denied[each["Key"]] = refusal.message
    return denied


def hide_absence(authority: Decides, principal: Principal, parameters: dict[str, Any]) -> None:
    """Raise AccessDeniedError for somebody who asks for an object that is not there and may not
    list the bucket.

    Source: "GetObject" of the S3 API reference, Permissions.
    """
    authority.authorize(
        principal,
        "s3:ListBucket",
        f"arn:aws:s3:::{parameters['Bucket']}",
        {"s3:prefix": parameters["Key"]},
    )


def _as_xml(entry: dict[str, str]) -> str:
    version = (
        f"<VersionId>{escape(entry['VersionId'])}</VersionId>" if entry.get("VersionId") else ""
    )
    return f"<Object><Key>{escape(entry['Key'])}</Key>{version}</Object>"


def _stream(file: Path, first: int, length: int) -> Iterator[bytes]:
    with file.open("rb") as content:
        content.seek(first)
        while length > 0 and (block := content.read(min(length, 1 << 20))):
            length -= len(block)
            yield block
