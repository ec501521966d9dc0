"""One batch transform job: objects in, lines to the model's own server, answers out.

Source: https://docs.aws.amazon.com/sagemaker/latest/dg/batch-transform.html
"""

from __future__ import annotations

import contextlib
import http.client
import time
from importlib.resources import files
from typing import TYPE_CHECKING, Any, ClassVar

from local_aws.engines.script_log import last_exception
from local_aws.errors import ApiError
from local_aws.sagemaker import jobs as sagemaker_jobs
from local_aws.sagemaker.jobs import Job, JobError, StoppedError

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator
    from pathlib import Path

START_SECONDS, ANSWER_SECONDS = 120, 600
MEGABYTE = 2**20
PAYLOAD_MEGABYTES = 6  # without MaxPayloadInMB
TAKEN = frozenset(
    [
        "TransformJobName",
        "ModelName",
        "MaxConcurrentTransforms",
        "MaxPayloadInMB",
        "BatchStrategy",
        "Environment",
        "TransformInput",
        "TransformOutput",
        "TransformResources",
        "Tags",
    ]
)


class Transform(Job):
    """A transform job as DescribeTransformJob shows it."""

    kind: ClassVar[str] = "TransformJob"

    def __init__(
        self, stand_in: Any, name: str, model: dict[str, Any], parameters: dict[str, Any]
    ) -> None:
        super().__init__(stand_in, name, model["ExecutionRoleArn"], parameters)
        self.container = model["PrimaryContainer"]

    def description(self) -> dict[str, Any]:
        """The job as DescribeTransformJob shows it."""
        with self.lock:
            return {key: value for key, value in self.record.items() if key != "Tags"}

    def work(self) -> None:
        """Start the server, send it every object, write every answer."""
        self.record["TransformStartTime"] = sagemaker_jobs.now()
        s3, source_settings = self.client("s3"), self.request["TransformInput"]
        port = self._serve(s3)
        source = source_settings["DataSource"]["S3DataSource"]["S3Uri"]
        bucket = source.removeprefix("s3://").partition("/")[0]
        found = sagemaker_jobs.keys(s3, source)
        prefix = source.removeprefix(f"s3://{bucket}").lstrip("/")
        folder = prefix[: prefix.rfind("/") + 1]
        for key in found:
            sagemaker_jobs.download(s3, f"s3://{bucket}/{key}", file := self.folder / "object")
            self._transform(s3, file, port, f"{key.removeprefix(folder)}.out")

    def ending(self, status: str) -> None:  # noqa: ARG002 - as all jobs end
        """The end's time."""
        self.record["TransformEndTime"] = sagemaker_jobs.now()

    def _serve(self, s3: Any) -> int:
        """The port of the running server."""
        (model := self.folder / "model").mkdir()
        (code := self.folder / "code").mkdir()
        variables = {**self.container.get("Environment", {}), **self.request.get("Environment", {})}
        archive = sagemaker_jobs.download(
            s3, self.container["ModelDataUrl"], self.folder / "model.tar.gz"
        )
        sagemaker_jobs.unpack(archive, model)
        archive = sagemaker_jobs.download(
            s3, variables["SAGEMAKER_SUBMIT_DIRECTORY"], self.folder / "sourcedir.tar.gz"
        )
        sagemaker_jobs.unpack(archive, code)
        script, port_file = code / variables["SAGEMAKER_PROGRAM"], self.folder / "port"
        server = str(files("local_aws.sagemaker") / "serve.py")
        command = [sagemaker_jobs.python(), server, str(script), str(model), str(port_file)]
        process = self.start_process(command, variables, code)
        return self._port(process, port_file)

    def _port(self, process: subprocess.Popen[bytes], port_file: Path) -> int:
        deadline = time.monotonic() + START_SECONDS
        while not port_file.exists():
            if self.stopping.is_set():
                raise StoppedError
            if process.poll() is not None or time.monotonic() > deadline:
                error = last_exception(self.log_text()) or f"exit code {process.returncode}"
                raise JobError(f"AlgorithmError: the container does not answer /ping: {error}")
            time.sleep(0.05)
        return int(port_file.read_text())

    def _transform(self, s3: Any, source: Path, port: int, name: str) -> None:
        """One input object to one output object; all of it or nothing."""
        output = self.request["TransformOutput"]
        lines = output.get("AssembleWith", "None") == "Line"
        made = self.folder / "answers"
        with made.open("wb") as file:
            for payload in self._payloads(source):
                if self.stopping.is_set():
                    raise StoppedError
                file.write(self._ask(port, payload) + (b"\n" if lines else b""))
        bucket, _, folder = output["S3OutputPath"].removeprefix("s3://").partition("/")
        kept = output.get("KmsKeyId")
        extra = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": kept} if kept else {}
        s3.upload_file(
            str(made), bucket, f"{folder.rstrip('/')}/{name}".lstrip("/"), ExtraArgs=extra
        )

    def _payloads(self, source: Path) -> Iterator[bytes]:
        """What one request carries: a whole object, one line, or as many lines as MaxPayloadInMB
        takes.
        """
        limit = self.request.get("MaxPayloadInMB", PAYLOAD_MEGABYTES) * MEGABYTE
        split = self.request["TransformInput"].get("SplitType", "None") == "Line"
        together = self.request.get("BatchStrategy", "MultiRecord") == "MultiRecord"
        batch = b""
        with source.open("rb") as file:
            for record in file if split else [file.read()]:
                if len(record) > limit:
                    raise JobError("ClientError: a record is larger than MaxPayloadInMB")
                if batch and (not together or len(batch) + len(record) > limit):
                    yield batch
                    batch = b""
                batch += record
        if batch:
            yield batch

    def _ask(self, port: int, payload: bytes) -> bytes:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=ANSWER_SECONDS)
        headers = {
            "Content-Type": self.request["TransformInput"].get("ContentType", ""),
            "Accept": self.request["TransformOutput"].get("Accept", ""),
        }
        with contextlib.closing(connection):
            try:
                connection.request("POST", "/invocations", payload, headers)
                answer = connection.getresponse()
                body = answer.read()
            except (OSError, http.client.HTTPException) as gone:
                if self.stopping.is_set():
                    raise StoppedError from gone
                raise JobError(
                    f"AlgorithmError: the container broke off: {gone!r}; see the job logs"
                ) from gone
        if answer.status != 200:
            raise JobError(
                f"AlgorithmError: /invocations answered {answer.status}:"
                f" {body.decode(errors='replace')}; see the job logs for more information"
            )
        return body


def check(parameters: dict[str, Any]) -> None:
    """Raises ApiError for what this stand-in cannot run as asked."""
    source, resources = (
        parameters["TransformInput"]["DataSource"]["S3DataSource"],
        parameters["TransformResources"],
    )
    wrong = {
        f"{', '.join(sorted(set(parameters) - TAKEN))} of a transform job": set(parameters) - TAKEN,
        "an input that is not an S3Prefix": source["S3DataType"] != "S3Prefix",
        "compressed input": parameters["TransformInput"].get("CompressionType", "None") != "None",
        "a SplitType but None and Line": (
            parameters["TransformInput"].get("SplitType", "None") not in ("None", "Line")
        ),
        "more than one instance": resources["InstanceCount"] != 1,
    }
    if found := [what for what, each in wrong.items() if each]:
        raise ApiError("NotInLocalAws", f"local_aws does not do {found[0]}.", 501)
