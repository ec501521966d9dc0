"""One run of a Glue job: a Spark process from STARTING to its end, its log, and what it left in
S3.
"""

from __future__ import annotations

import contextlib
import datetime
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from local_aws.engines.script_log import last_exception, log_events
from local_aws.environment import environment
from local_aws.errors import AccessDeniedError
from local_aws.glue import filtered_catalog, spark
from local_aws.names import ACCOUNT

if TYPE_CHECKING:
    from collections.abc import Callable

    from local_aws.principal import Principal
    from local_aws.stand_in import StandIn

ENDED = frozenset(["SUCCEEDED", "FAILED", "STOPPED", "TIMEOUT", "ERROR", "EXPIRED"])
LOG_GROUP = "/aws-glue/jobs"
MINUTE_SECONDS = 60.0  # of a run's Timeout
JVM_END_SECONDS = 60
# https://docs.aws.amazon.com/glue/latest/dg/migrating-version-51.html
WRITES_BY_S3A = ("5.1",)  # versions; the others have AWS's own file system


class ScriptError(Exception):
    """The run cannot start or its script failed; the text is the run's ErrorMessage."""


class Run:
    """A run of a job, from its start in a thread of its own."""

    def __init__(
        self,
        stand_in: StandIn,
        job: dict[str, Any],
        arguments: dict[str, str],
        record: dict[str, Any],
    ) -> None:
        self.stand_in, self.job, self.arguments = stand_in, job, arguments
        self.folder = stand_in.directory / "glue" / record["Id"]
        self.process: subprocess.Popen[bytes] | None = None
        self.lock = threading.Lock()
        now = _now()
        self.record = {
            **record,
            "JobRunState": "STARTING",
            "StartedOn": now,
            "LastModifiedOn": now,
            "ExecutionTime": 0,
        }
        self.thread = threading.Thread(target=self._run, name=record["Id"], daemon=True)
        self.on_failure: Callable[[Run], None] = lambda _run: None

    @property
    def ended(self) -> bool:
        """Whether the run has reached one of its last states."""
        return self.record["JobRunState"] in ENDED

    def description(self) -> dict[str, Any]:
        """The run as GetJobRun shows it; ExecutionTime is in seconds."""
        with self.lock:
            shown = dict(self.record)
        if shown["JobRunState"] not in ENDED:
            shown["ExecutionTime"] = int((_now() - shown["StartedOn"]).total_seconds())
        return shown

    def stop(self) -> None:
        """Ask for the run's end: STOPPING now, STOPPED when the process is gone."""
        with self.lock:
            if not self.ended:
                self._turn("STOPPING")
            self._kill()

    def _run(self) -> None:
        state, message = "FAILED", ""
        started = time.time()
        try:
            self._execute()
            state = "SUCCEEDED"
        except AccessDeniedError as denied:
            message = denied.sentence
        except (ScriptError, spark.EngineError) as error:
            message = str(error)
        except subprocess.TimeoutExpired:
            state, message = (
                "TIMEOUT",
                f"The run took longer than its Timeout of {self.record['Timeout']} minutes.",
            )
        except Exception as bug:  # noqa: BLE001 - a run must end in a state, never in a dead thread
            message = f"local_aws failed to run the script: {bug!r}"
        if state != "SUCCEEDED":
            with self.lock:
                self._kill()
        try:
            self._adopt(started)
            with contextlib.suppress(AccessDeniedError):
                self._deliver_log()
        except ClientError as refused:
            # then no log appears, as on AWS
            if refused.response["Error"]["Code"] != "AccessDeniedException":
                state, message = (
                    "FAILED",
                    message or f"local_aws could not publish the run's log: {refused}",
                )
        except Exception as bug:  # noqa: BLE001 - what nobody can see was not done
            state, message = (
                "FAILED",
                message or f"local_aws could not publish what the run left: {bug!r}",
            )
        self._end(state, message)
        self._tidy()

    def _tidy(self) -> None:
        """Leave nothing but the class archive that a JVM may write at its end."""
        if self.process and self.record["JobRunState"] == "SUCCEEDED":
            with contextlib.suppress(ProcessLookupError):
                for _ in range(int(JVM_END_SECONDS / 0.1)):
                    os.killpg(self.process.pid, 0)
                    time.sleep(0.1)
            spark.keep_classes(self.folder)
        self._kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _end(self, state: str, message: str) -> None:
        with self.lock:
            if self.record["JobRunState"] == "STOPPING":
                state, message = "STOPPED", ""
            now = _now()
            seconds = int((now - self.record["StartedOn"]).total_seconds())
            self.record.update(
                CompletedOn=now,
                ExecutionTime=seconds,
                **({"ErrorMessage": message} if message else {}),
            )
            self._turn(state)
        if state == "FAILED":
            self.on_failure(self)

    def _execute(self) -> None:
        script = self._script()
        aws = environment(self.stand_in.endpoint, self.stand_in.directory)
        region = self.stand_in.region if self.record["GlueVersion"] in WRITES_BY_S3A else ""
        variables = spark.environment(
            self.stand_in, self.folder, aws, self._session().access_key, self._catalog(), region
        )
        arguments = [each for pair in self.arguments.items() for each in pair if each]
        command = [sys.executable, str(script), "--JOB_NAME", self.record["JobName"], *arguments]
        with (
            (self.folder / "output").open("wb") as output,
            (self.folder / "error").open("wb") as error,
        ):
            with self.lock:
                if self.record["JobRunState"] == "STOPPING":
                    return
                self.process = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=error,
                    cwd=self.folder,
                    env=variables,
                    start_new_session=True,
                )
                self._turn("RUNNING")
            if self.process.wait(timeout=self.record["Timeout"] * MINUTE_SECONDS):
                raise ScriptError(
                    last_exception(self._log("error")) or f"exit code {self.process.returncode}"
                )

    def _script(self) -> Path:
        """The script, copied out of its bucket."""
        location = self.job["Command"]["ScriptLocation"]
        bucket, _, key = location.removeprefix("s3://").partition("/")
        try:
            source = self.stand_in.acting_as(self._session()).objects.path(bucket, key)
        except AccessDeniedError as denied:
            raise ScriptError(
                f"LAUNCH ERROR | Error downloading from S3 for bucket: {bucket}, key: {key}.Access"
                f" Denied (Service: Amazon S3; Status Code: 403): {denied.sentence}"
            ) from None
        if not source.is_file():
            raise ScriptError(
                f"The script {location} does not exist; put it there and start the job again."
            )
        self.folder.mkdir(parents=True)
        return Path(shutil.copy(source, self.folder / source.name))

    def _catalog(self) -> str:
        """The address of the Data Catalog of a run with fine-grained access, "" of another."""
        if not filtered_catalog.wanted(self.arguments):
            return ""
        if (workers := self.record.get("NumberOfWorkers", 0)) < filtered_catalog.WORKERS:
            raise ScriptError(
                f"A job with fine-grained access needs at least {filtered_catalog.WORKERS} workers"
                f" and has {workers}; set its NumberOfWorkers."
            )
        return f"{self.stand_in.endpoint}{filtered_catalog.PATH}?run={self.record['Id']}"

    def catalog(self) -> filtered_catalog.FilteredCatalog:
        """The Data Catalog as the role sees it, for a run with fine-grained access."""
        stand_in = self.stand_in.acting_as(self._session(), lake_formation=True)
        return filtered_catalog.FilteredCatalog(stand_in, self.folder)

    def _session(self) -> Principal:
        """The session of the job's role; raises AccessDeniedError when Glue may not take it."""
        return self.stand_in.service_session(role_arn(self.job["Role"]), "glue.amazonaws.com")

    def _turn(self, state: str) -> None:
        self.record.update(JobRunState=state, LastModifiedOn=_now())

    def _kill(self) -> None:
        """Kill the process, its JVM and their Python workers."""
        if self.process:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)

    def _adopt(self, started: float) -> None:
        """Make objects of what the job wrote, in the buckets where a file or folder changed."""
        for bucket in self.stand_in.objects.directory.iterdir():
            if any(Path(folder).stat().st_mtime >= started - 1 for folder, _, _ in os.walk(bucket)):
                self.stand_in.objects.adopt(bucket.name)

    def _log(self, name: str) -> str:
        file = self.folder / name
        return file.read_text(errors="replace") if file.exists() else ""

    def _deliver_log(self) -> None:
        """Standard output and error as two streams of CloudWatch Logs, both named as the run."""
        logs = self.stand_in.client(
            "logs", role_arn=role_arn(self.job["Role"]), service_principal="glue.amazonaws.com"
        )
        for name in ("output", "error"):
            group = {"logGroupName": f"{LOG_GROUP}/{name}"}
            stream = {**group, "logStreamName": self.record["Id"]}
            with contextlib.suppress(logs.exceptions.ResourceAlreadyExistsException):
                logs.create_log_group(**group)
            logs.create_log_stream(**stream)
            for events in log_events(self._log(name)):
                logs.put_log_events(**stream, logEvents=events)


def role_arn(role: str) -> str:
    """The ARN of a job's Role, which may be a name."""
    return role if role.startswith("arn:") else f"arn:aws:iam::{ACCOUNT}:role/{role}"


def new_id() -> str:
    """An id as Glue gives to a run."""
    return f"jr_{uuid.uuid4().hex}{uuid.uuid4().hex}"


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)
