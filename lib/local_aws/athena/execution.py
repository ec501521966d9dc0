"""One query execution of Athena: a thread that runs its statement, and its states."""

from __future__ import annotations

import datetime
import shutil
import threading
import time
import uuid
from typing import TYPE_CHECKING, Any

import duckdb
from botocore.exceptions import ClientError

from local_aws.athena import queries as athena_queries
from local_aws.athena import results
from local_aws.engines.authorized_objects import ObjectDeniedError
from local_aws.engines.duckdb import confined
from local_aws.engines.lake_tables import LakeError
from local_aws.errors import AccessDeniedError, ApiError

if TYPE_CHECKING:
    from collections.abc import Callable

    from local_aws.athena.statements import Kind
    from local_aws.stand_in import StandIn

ENDED = ("SUCCEEDED", "FAILED", "CANCELLED")


class Execution:
    """A query from its start to its end; `description` is what GetQueryExecution tells."""

    def __init__(
        self,
        job: athena_queries.Job,
        kind: Kind,
        described: dict[str, Any],
        slots: threading.Semaphore,
    ) -> None:
        self.job, self.kind, self.slots = job, kind, slots
        self.state, self.reason = "QUEUED", ""
        self.submitted = now()
        self.completed: datetime.datetime | None = None
        self.started_at = self.ended_at = 0.0
        self.described = described
        self.lock = threading.Lock()
        self.thread = threading.Thread(target=self._run, name=f"athena-{job.id}", daemon=True)

    def description(self) -> dict[str, Any]:
        """The QueryExecution structure of the API."""
        ran = (
            int(((self.ended_at or time.monotonic()) - self.started_at) * 1000)
            if self.started_at
            else 0
        )
        whole = int(((self.completed or now()) - self.submitted).total_seconds() * 1000)
        statistics: dict[str, Any] = {
            "EngineExecutionTimeInMillis": ran,
            "DataScannedInBytes": self.job.scanned_bytes,
            "TotalExecutionTimeInMillis": whole,
        }
        statistics |= {
            "QueryQueueTimeInMillis": max(whole - ran, 0),
            "ServiceProcessingTimeInMillis": 0,
            "ResultReuseInformation": {"ReusedPreviousResult": False},
        }
        if self.job.manifest is not None and self.state == "SUCCEEDED":
            statistics["DataManifestLocation"] = f"{self.job.folder}{self.job.id}-manifest.csv"
        status: dict[str, Any] = {"State": self.state, "SubmissionDateTime": self.submitted}
        if self.completed:
            status["CompletionDateTime"] = self.completed
        if self.reason:
            status |= {
                "StateChangeReason": self.reason,
                "AthenaError": {
                    "ErrorCategory": 2,
                    "ErrorType": 0,
                    "Retryable": False,
                    "ErrorMessage": self.reason,
                },
            }
        return {
            **self.described,
            "QueryExecutionId": self.job.id,
            "StatementType": self.kind.statement,
            "SubstatementType": self.kind.substatement or None,
            "Status": status,
            "Statistics": statistics,
        }

    def cancel(self) -> None:
        """End it now, unless it has ended."""
        with self.lock:
            if self.state in ENDED:
                return
            self.state, self.reason, self.completed, self.ended_at = (
                "CANCELLED",
                "Query cancelled by user",
                now(),
                time.monotonic(),
            )
        threading.Thread(target=self._interrupt, daemon=True).start()

    def _interrupt(self) -> None:
        """Again and again, since DuckDB forgets an interrupt between two of a statement's own
        queries.
        """
        while self.thread.is_alive():
            self.job.connection.interrupt()
            self.thread.join(0.05)

    def _run(self) -> None:
        with self.slots:
            with self.lock:
                if self.state in ENDED:
                    return
                self.state, self.started_at = "RUNNING", time.monotonic()
            reason = self._attempt()
            with self.lock:
                if self.state not in ENDED:
                    self.state, self.reason = ("FAILED", reason) if reason else ("SUCCEEDED", "")
                    self.completed, self.ended_at = now(), time.monotonic()
            self.job.connection.close()

    def _attempt(self) -> str:
        """Why it failed, or nothing."""
        try:
            self.kind.run(self.job)
            self._leave_files()
        except LakeError as refused:
            return str(refused)
        except ObjectDeniedError as denied:
            return _denied(denied)
        except AccessDeniedError as denied:
            return f"Insufficient permissions to execute the query. {denied.sentence}"
        except ClientError as failed:
            error = failed.response["Error"]
            said = (
                "Insufficient permissions to execute the query."
                if error["Code"] == "AccessDeniedException"
                else f"{error['Code']}:"
            )
            return f"{said} {error['Message']}"
        except duckdb.Error as failed:
            return athena_queries.failure(failed)
        except ApiError as failed:
            return f"{failed.code}: {failed.message}"
        except Exception as bug:  # noqa: BLE001 - a query must end, whatever happens
            return f"GENERIC_INTERNAL_ERROR: local_aws failed: {bug!r}"
        return ""

    def _leave_files(self) -> None:
        base, scratch = f"{self.job.folder}{self.job.id}", self.job.scratch / "text"
        if self.kind.ending == ".txt":
            lines = ["\t".join(value or "" for value in row) for row in self.job.result.rows]
            results.put_text(
                self.job.stand_in, f"{base}.txt", "".join(f"{line}\n" for line in lines), scratch
            )
        if self.job.manifest is not None:
            results.put_text(
                self.job.stand_in,
                f"{base}-manifest.csv",
                "".join(f"{address}\n" for address in self.job.manifest),
                scratch,
            )
        results.put_text(
            self.job.stand_in,
            f"{base}{self.kind.ending}.metadata",
            results.metadata_text(self.job.result.columns),
            scratch,
        )


def _denied(denied: ObjectDeniedError) -> str:
    """Athena's words for an object that its caller may not have."""
    if denied.operation in ("GetObject", "ListObjectsV2"):
        return f"Permission denied on S3 path: {denied.address}. {denied.sentence}"
    return (
        f"Access denied when writing output to url: {denied.address} . Please ensure you are"
        " allowed to access the S3 bucket. If you are encrypting query results with KMS key,"
        f" please ensure you are allowed to access your KMS key. {denied.sentence}"
    )


class Engine:
    """The DuckDB that all queries share, each with a connection of its own."""

    def __init__(self, prepare: Callable[[duckdb.DuckDBPyConnection], None], stand_in: Any) -> None:
        self.directory = stand_in.directory / "athena"
        shutil.rmtree(self.directory, ignore_errors=True)
        self.directory.mkdir(parents=True)
        self.connection = confined(stand_in.directory, spill=self.directory / "spill")
        self.connection.create_function(
            "trino_double_text", results.trino_double_text, ["DOUBLE"], "VARCHAR"
        )
        self.connection.create_function(
            "trino_real_text", results.trino_real_text, ["FLOAT"], "VARCHAR"
        )
        prepare(self.connection)

    def job(
        self,
        stand_in: StandIn,
        sql: str,
        database: str,
        folder: str,
        parameters: list[str],
        *,
        enforced: bool,
    ) -> athena_queries.Job:
        """A new job with its own connection and folder, for whom the stand-in acts."""
        query_id = str(uuid.uuid4())
        scratch = self.directory / query_id
        scratch.mkdir()
        connection = self.connection.cursor()
        connection.execute("SET TimeZone = 'UTC'")
        return athena_queries.Job(
            stand_in, connection, query_id, sql, database, folder, scratch, parameters, enforced
        )


def now() -> datetime.datetime:
    """The present moment, in UTC."""
    return datetime.datetime.now(datetime.UTC)
