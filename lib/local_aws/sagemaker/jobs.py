"""What training and transform jobs have in common: a record, a thread, one process at a time, a
log, and an end.
"""

from __future__ import annotations

import contextlib
import datetime
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Any, ClassVar

from botocore.exceptions import ClientError

from local_aws.engines.script_log import log_events
from local_aws.environment import environment
from local_aws.errors import AccessDeniedError, ApiError

if TYPE_CHECKING:
    from pathlib import Path

    from local_aws.stand_in import StandIn

PRINCIPAL = "sagemaker.amazonaws.com"
REASON_CHARACTERS = 1024  # of a FailureReason
ENDED = frozenset(["Completed", "Failed", "Stopped"])
IMAGE = re.compile(
    r"\d{12}\.dkr\.ecr\.[\w-]+\.amazonaws\.com/sagemaker-scikit-learn:[\w.-]+-cpu-py3"
)


class JobError(Exception):
    """The job failed; the text is its FailureReason."""


class StoppedError(Exception):
    """Somebody stopped the job."""


class Job:
    """One job from its start in a thread of its own; subclasses say what its states are called and
    what it does.
    """

    kind: ClassVar[str] = ""  # "TrainingJob": first part of the members' names

    def __init__(
        self, stand_in: StandIn, name: str, role_arn: str, request: dict[str, Any]
    ) -> None:
        self.stand_in, self.name, self.role_arn, self.request = stand_in, name, role_arn, request
        self.folder = stand_in.directory / "sagemaker" / self.kind / name
        self.process: subprocess.Popen[bytes] | None = None
        self.stopping = threading.Event()
        self.lock = threading.RLock()
        moment = now()
        self.record: dict[str, Any] = {
            **request,
            f"{self.kind}Status": "InProgress",
            "CreationTime": moment,
        }
        self.stream = f"{name}/algo-1-{int(moment.timestamp())}"
        self.thread = threading.Thread(target=self._run, name=f"{self.kind} {name}", daemon=True)

    @property
    def status(self) -> str:
        """`InProgress`, `Completed`, …"""
        return str(self.record[f"{self.kind}Status"])

    def stop(self) -> None:
        """Ask for the end: Stopping now, Stopped when the process is gone."""
        with self.lock:
            if self.status in ENDED:
                return
            self.record[f"{self.kind}Status"] = "Stopping"
            self.stopping.set()
            self.terminate()

    def work(self) -> None:
        """Do what the job is for; raises JobError or StoppedError."""
        raise NotImplementedError

    def ending(self, status: str) -> None:
        """Take note of an end, before it is shown."""

    def client(self, service: str) -> Any:
        """A client of the job's role."""
        return self.stand_in.client(service, role_arn=self.role_arn, service_principal=PRINCIPAL)

    def _run(self) -> None:
        status, reason = "Failed", ""
        try:
            self.folder.mkdir(parents=True)
            self.work()
            status = "Completed"
        except StoppedError:
            status = "Stopped"
        except JobError as error:
            reason = str(error)
        except AccessDeniedError as denied:
            reason = f"ClientError: {denied.sentence}"
        except ClientError as error:
            reason = f"ClientError: {error.response['Error']['Message']}"
        except Exception as bug:  # noqa: BLE001 - a job must end in a state, never in a dead thread
            reason = f"InternalServerError: local_aws failed to run the job: {bug!r}"
        self.terminate(signal.SIGKILL)
        try:
            self._deliver_log()
        except ClientError as refused:
            # then no log appears, as on AWS
            if refused.response["Error"]["Code"] != "AccessDeniedException":
                status, reason = (
                    "Failed",
                    reason or f"InternalServerError: the job's log was not published: {refused}",
                )
        except AccessDeniedError:
            pass  # nor here
        shutil.rmtree(self.folder, ignore_errors=True)
        self._end(status, reason)

    def _end(self, status: str, reason: str) -> None:
        with self.lock:
            self.ending(status)
            if reason and status == "Failed":
                self.record["FailureReason"] = reason[:REASON_CHARACTERS]
            self.record[f"{self.kind}Status"] = status

    def start_process(
        self, command: list[str], variables: dict[str, str], folder: Path
    ) -> subprocess.Popen[bytes]:
        """Start a process of the container; raises StoppedError after a stop."""
        with self.lock, (self.folder / "log").open("ab") as log:
            if self.stopping.is_set():
                raise StoppedError
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=folder,
                env=self._variables(variables),
                start_new_session=True,
            )
            return self.process

    def terminate(self, by: signal.Signals = signal.SIGTERM) -> None:
        """Signal the process and its children."""
        if self.process:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, by)

    def log_text(self) -> str:
        """What the container wrote so far."""
        file = self.folder / "log"
        return file.read_text(errors="replace") if file.exists() else ""

    def _variables(self, own: dict[str, str]) -> dict[str, str]:
        """The environment of the container: the role's session, and nothing of the machine's that
        names AWS.
        """
        access_key = self.stand_in.service_session(self.role_arn, PRINCIPAL).access_key
        kept = {
            key: value
            for key, value in os.environ.items()
            if not key.startswith(("AWS_", "SM_", "SAGEMAKER_"))
        }
        aws = environment(self.stand_in.endpoint, self.stand_in.directory)
        session = {
            "AWS_ACCESS_KEY_ID": access_key,
            "AWS_SECRET_ACCESS_KEY": "engine",
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        }
        return {**kept, **aws, **session, "PYTHONUNBUFFERED": "1", "TZ": "UTC", **own}

    def _deliver_log(self) -> None:
        """What the container wrote, as a stream of CloudWatch Logs."""
        if not self.log_text().strip():
            return
        logs, group = self.client("logs"), {"logGroupName": f"/aws/sagemaker/{self.kind}s"}
        with contextlib.suppress(logs.exceptions.ResourceAlreadyExistsException):
            logs.create_log_group(**group)
        logs.create_log_stream(**group, logStreamName=self.stream)
        for events in log_events(self.log_text()):
            logs.put_log_events(**group, logStreamName=self.stream, logEvents=events)


def check_image(image: str) -> None:
    """Raises ApiError for a container that this stand-in cannot run: all but AWS's own for
    scikit-learn, whose versions are those of this environment whatever the tag says.
    """
    if not IMAGE.fullmatch(image):
        raise ApiError(
            "NotInLocalAws",
            "local_aws runs AWS's scikit-learn container"
            " (…dkr.ecr.<region>.amazonaws.com/sagemaker-scikit-learn:<version>-cpu-py3) and no"
            f" other, not {image!r}.",
            501,
        )


def unpack(archive: Path, folder: Path) -> None:
    """A tar.gz into a folder, without what reaches outside of it."""
    import tarfile  # noqa: PLC0415 - only jobs need it

    try:
        with tarfile.open(archive) as opened:
            opened.extractall(folder, filter="data")
    except tarfile.TarError as error:
        raise JobError(f"ClientError: {archive.name} cannot be unpacked: {error}") from error


def keys(s3: Any, uri: str) -> list[str]:
    """The keys of the objects whose names begin with the URI's key, in order; folders' own objects
    left out.
    """
    bucket, _, prefix = uri.removeprefix("s3://").partition("/")
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    return [
        each["Key"]
        for page in pages
        for each in page.get("Contents", [])
        if not each["Key"].endswith("/")
    ]


def download(s3: Any, uri: str, file: Path) -> Path:
    """One object as a file; raises JobError as the job's FailureReason says it."""
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    file.parent.mkdir(parents=True, exist_ok=True)
    try:
        s3.download_file(bucket, key, str(file))
    except ClientError as error:
        raise JobError(
            f"ClientError: Data download failed: {uri}: {error.response['Error']['Message']}"
        ) from error
    return file


def wait_for_process(
    process: subprocess.Popen[bytes], job: Job, timeout_seconds: float
) -> int | None:
    """The exit code, or None when the time is over; raises StoppedError after a stop."""
    deadline = time.monotonic() + timeout_seconds
    while time.monotonic() < deadline:
        with contextlib.suppress(subprocess.TimeoutExpired):
            code = process.wait(timeout=0.2)
            if job.stopping.is_set():
                raise StoppedError
            return code
    return None


def python() -> str:
    """The interpreter of the container."""
    return sys.executable


def now() -> datetime.datetime:
    """The moment, in UTC."""
    return datetime.datetime.now(datetime.UTC)
