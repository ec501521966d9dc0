"""One run of a full-load task, from `starting` to `stopped` or `failed`: several tables at a time,
each in its own state.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import psycopg

from local_aws.dms import source as dms_source
from local_aws.dms.endpoints import ConnectionFailure, Endpoints, encryption
from local_aws.dms.full_load import Database, LostSourceError, StoppedError, TableError, write
from local_aws.dms.plan import Plan, TablePlan
from local_aws.dms.records import DMS
from local_aws.dms.task_log import TaskLog
from local_aws.errors import AccessDeniedError, ApiError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from local_aws.dms.records import Record
    from local_aws.dms.task_settings import Settings

FINISHED, STOPPED, FATAL = (
    "Stop Reason FULL_LOAD_ONLY_FINISHED",
    "Stop Reason NORMAL",
    "Stop Reason FATAL_ERROR",
)
NO_TABLES = (
    "No tables were found at task initialization. Either the selected table(s) or schemas(s) no"
    " longer exist or no match was found for the table selection pattern(s)."
)
ZEROS = (
    "Inserts",
    "Deletes",
    "Updates",
    "Ddls",
    "AppliedInserts",
    "AppliedDeletes",
    "AppliedUpdates",
    "AppliedDdls",
    "FullLoadRows",
    "FullLoadCondtnlChkFailedRows",
    "FullLoadErrorRows",
    "ValidationPendingRecords",
    "ValidationFailedRecords",
    "ValidationSuspendedRecords",
)


class TaskError(Exception):
    """The whole task fails: its LastFailureMessage."""


class Run:
    """A run that goes on in its own thread; `statistics` are those of DescribeTableStatistics by
    schema and table.
    """

    def __init__(
        self, service: Endpoints, task: Record, settings: Settings, before: Run | None, kind: str
    ) -> None:
        self.service, self.task, self.settings = service, task, settings
        self.kept = before.statistics if before and kind == "resume-processing" else {}
        self.reloading = before is not None
        self.statistics: dict[tuple[str, str], Record] = {}
        self.started = datetime.now(UTC)
        self.fresh_start: datetime = (
            before.fresh_start if before and kind == "resume-processing" else self.started
        )
        self.ended: datetime | None = None
        self.application = f"local_aws dms {uuid.uuid4().hex}"
        self.source, self.target = (
            service.endpoints[task["SourceEndpointArn"]],
            service.endpoints[task["TargetEndpointArn"]],
        )
        self.log = TaskLog(service.stand_in, settings["Logging"])
        self.thread = threading.Thread(target=self._run, name="dms task", daemon=True)
        self._stopped = threading.Event()
        self._broken: Exception | None = None  # why the whole task cannot go on

    def stop(self) -> None:
        """Ask the run to end: its sessions in the source are ended, the tables under way become
        `Table cancelled`.
        """
        self._stopped.set()
        if self.thread.is_alive():
            threading.Thread(target=self._end_sessions, daemon=True).start()

    def progress(self) -> Record:
        """ReplicationTaskStats of this run."""
        states = [each["TableState"] for each in list(self.statistics.values())]
        done, failed = states.count("Table completed"), states.count("Table error")
        stats = {
            "FullLoadProgressPercent": (
                100 * (done + failed) // len(states) if states else 100 if self.ended else 0
            ),
            "ElapsedTimeMillis": int(
                ((self.ended or datetime.now(UTC)) - self.started).total_seconds() * 1000
            ),
            "TablesLoaded": done,
            "TablesLoading": states.count("Full load"),
            "TablesQueued": states.count("Before load"),
            "TablesErrored": failed,
            "FreshStartDate": self.fresh_start,
            "StartDate": self.started,
            "FullLoadStartDate": self.started,
        }
        return (
            {**stats, "StopDate": self.ended, "FullLoadFinishDate": self.ended}
            if self.ended
            else stats
        )

    def _run(self) -> None:
        try:
            end = self._load()
        except (TaskError, ConnectionFailure, LostSourceError, ApiError, psycopg.Error) as error:
            reason = (
                dms_source.failure(error)
                if isinstance(error, psycopg.Error)
                else getattr(error, "reason", str(error))
            )
            end = {
                "Status": "failed",
                "StopReason": FATAL,
                "LastFailureMessage": f"Last Error {reason}",
            }
        except Exception as bug:  # noqa: BLE001 - a bug of ours must not leave the task running for ever
            end = {
                "Status": "failed",
                "StopReason": FATAL,
                "LastFailureMessage": f"local_aws failed: {bug!r}",
            }
        if self._stopped.is_set():
            end = {"Status": "stopped", "StopReason": STOPPED}
        self.log.write(
            "TASK_MANAGER",
            f"Task finished: {end.get('LastFailureMessage') or end['StopReason']}",
            "E" if end["Status"] == "failed" else "I",
        )
        self.log.close()
        with self.service.lock:
            self.ended = datetime.now(UTC)
            self.task.update(end)

    def _load(self) -> Record:
        """All tables; the members of the task that say how it ended."""
        with self._connect() as database:
            plan = self._plan(database)
            due = [
                each
                for each in plan.tables
                if self.statistics[each.key]["TableState"] != "Table completed"
            ]
            at_once = min(
                int(self.settings["FullLoadSettings"]["MaxFullLoadSubTasks"]), os.cpu_count() or 1
            )
            with ThreadPoolExecutor(at_once, "dms table") as pool:
                list(pool.map(lambda each: self._load_table(database, each), due))
        if self._broken:
            raise self._broken
        return {"Status": "stopped", "StopReason": FINISHED}

    def _plan(self, database: Database) -> Plan:
        """What there is to load; the task is `running` from now on."""
        with database.connect() as connection:
            plan = Plan.of(
                connection,
                self.task["TableMappings"],
                self.settings,
                self.source,
                self.target,
                self.started,
            )
        if not plan.tables and self.settings["ErrorBehavior"]["FailOnNoTablesCaptured"]:
            raise TaskError(NO_TABLES)
        self.statistics.update(
            {each.key: self.kept.get(each.key) or self._statistics(each) for each in plan.tables}
        )
        with self.service.lock:
            if not self._stopped.is_set():
                self.task.update(Status="running", ReplicationTaskStartDate=self.started)
        self.log.write(
            "TASK_MANAGER",
            f"Task '{self.task['ReplicationTaskIdentifier']}' running full load only,"
            f" {len(plan.tables)} tables",
        )
        return plan

    def _connect(self) -> Database:
        settings = self.target["S3Settings"]
        if not self.service.stand_in.objects.bucket_exists(settings["BucketName"]):
            raise TaskError(f"The bucket {settings['BucketName']} does not exist")
        try:
            session = self.service.stand_in.service_session(settings["ServiceAccessRoleArn"], DMS)
        except AccessDeniedError as denied:
            raise TaskError(
                f"Cannot reach the bucket {settings['BucketName']}: {denied.sentence}"
            ) from None
        self.objects = self.service.stand_in.acting_as(session).objects
        return Database(self.service.conninfo(self.source, self.application))

    def _statistics(self, table: TablePlan) -> Record:
        zeros: Record = dict.fromkeys(ZEROS, 0)
        return {
            **zeros,
            "SchemaName": table.key[0],
            "TableName": table.key[1],
            "TableState": "Before load",
            "ValidationState": "Not enabled",
            "FullLoadReloaded": self.reloading,
            "LastUpdateTime": self.started,
        }

    def _load_table(self, database: Database, table: TablePlan) -> None:
        """One table to its end; its state says how it ended."""
        if self._stopped.is_set() or self._broken:
            return
        statistics = self.statistics[table.key]
        statistics.update(
            TableState="Full load", FullLoadRows=0, FullLoadStartTime=datetime.now(UTC)
        )
        name = f"'{table.key[0]}'.'{table.key[1]}'"
        try:
            self._deliver(database, table, statistics)
            state, text, level = (
                "Table completed",
                f"Load finished for table {name}. {statistics['FullLoadRows']} rows received.",
                "I",
            )
        except (TableError, ApiError, OSError) as error:
            state, text, level = "Table error", f"Table {name} was errored/suspended: {error}", "E"
            if self.settings["ErrorBehavior"]["TableErrorPolicy"] == "STOP_TASK":
                self._broken = TaskError(f"Table {name}: {error}")
        except (LostSourceError, TaskError) as error:
            state, text, level, self._broken = (
                "Table error",
                f"Table {name} was errored/suspended: {error}",
                "E",
                error,
            )
        except StoppedError:
            state, text, level = "Table cancelled", f"Load of table {name} was cancelled.", "W"
        if self._stopped.is_set() and state == "Table error":  # its session was ended by us
            state = "Table cancelled"
        ended = datetime.now(UTC)
        statistics.update(TableState=state, FullLoadEndTime=ended, LastUpdateTime=ended)
        self.log.write("TASK_MANAGER", text, level)

    def _deliver(self, database: Database, table: TablePlan, statistics: Record) -> None:
        if table.refusal:
            raise TableError(table.refusal)
        bucket, objects = self.target["S3Settings"]["BucketName"], self.objects
        self._report_cuts(database, table)
        if self.settings["FullLoadSettings"]["TargetTablePrepMode"] != "DO_NOTHING":
            objects.delete(bucket, objects.keys(bucket, table.prefix))

        def advance(rows: int) -> None:
            statistics.update(
                FullLoadRows=statistics["FullLoadRows"] + rows, LastUpdateTime=datetime.now(UTC)
            )
            if self._stopped.is_set():
                raise StoppedError

        with self._folder() as folder:
            for file in write(table.rows(database), self.target["S3Settings"], folder, advance):
                objects.put_file(
                    bucket,
                    f"{table.prefix}{file.name}",
                    file,
                    **encryption(self.target["S3Settings"]),
                )

    def _report_cuts(self, database: Database, table: TablePlan) -> None:
        """Log how many LOBs are cut, or fail the task where the source endpoint asks for it."""
        if not table.cuts:
            return
        try:
            with database.connect() as connection:
                counts = connection.execute(table.cuts_query.encode()).fetchone() or ()
        except psycopg.Error as refusal:
            raise TableError(dms_source.failure(refusal)) from None
        cut = {column: count for column, count in zip(table.cuts, counts, strict=True) if count}
        for column, count in cut.items():
            text = (
                f"{count} values of column '{column}' of table '{table.key[0]}'.'{table.key[1]}'"
                " are truncated to LobMaxSize"
            )
            self.log.write("SOURCE_UNLOAD", text, "W")
        if cut and self.source["PostgreSQLSettings"].get("FailTasksOnLobTruncation"):
            raise TaskError(
                f"LOB truncation in table {table.key[0]}.{table.key[1]}, column {', '.join(cut)},"
                " and FailTasksOnLobTruncation is set"
            )

    @contextlib.contextmanager
    def _folder(self) -> Iterator[Path]:
        """A folder for files that are being written, on the same disk as the objects."""
        folder = self.service.stand_in.directory / "dms" / uuid.uuid4().hex
        folder.mkdir(parents=True)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _end_sessions(self) -> None:
        with (
            contextlib.suppress(psycopg.Error, ConnectionFailure),
            dms_source.connect(self.service.conninfo(self.source)) as connection,
        ):
            while self.thread.is_alive():  # a session that is just being opened is not there yet
                connection.execute(
                    "select pg_terminate_backend(pid) from pg_stat_activity where"
                    " application_name = %s",
                    [self.application],
                )
                self.thread.join(0.1)
