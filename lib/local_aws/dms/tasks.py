"""Replication tasks: their definition, start, stop and table statistics."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from local_aws.dms import table_mapping, task_settings
from local_aws.dms.endpoints import Endpoints
from local_aws.dms.records import (
    Record,
    check_new,
    find,
    invalid,
    invalid_state,
    matching,
    not_here,
    page,
    role_arn,
)
from local_aws.dms.task_run import Run
from local_aws.errors import ApiError

if TYPE_CHECKING:
    from local_aws.service import Call
    from local_aws.stand_in import StandIn

IDLE = ("ready", "stopped", "failed")


class Tasks(Endpoints):
    """Tasks of migration type full-load."""

    def __init__(self, stand_in: StandIn) -> None:
        super().__init__(stand_in)
        self.settings: dict[str, task_settings.Settings] = {}
        self.runs: dict[str, Run] = {}  # the latest of each task

    def stop(self) -> None:
        """End the loads that still run."""
        super().stop()
        for run in self.runs.values():
            run.stop()
        for run in self.runs.values():
            run.thread.join(timeout=10)

    def CreateReplicationTask(self, call: Call) -> dict[str, Any]:
        """A task that is `creating`, and soon `ready`."""
        request = call.parameters
        _check_kind(request)
        settings = task_settings.merged(
            task_settings.DEFAULTS, task_settings.read(request.get("ReplicationTaskSettings"))
        )
        _check_mapping(request["TableMappings"])
        with self.lock:
            check_new(
                self.tasks.values(),
                "ReplicationTaskIdentifier",
                request["ReplicationTaskIdentifier"],
                "Replication Task",
            )
            self.available(request["ReplicationInstanceArn"])
            for kind, member in (("source", "SourceEndpointArn"), ("target", "TargetEndpointArn")):
                if find(self.endpoints, request[member], "Endpoint")["EndpointType"] != kind:
                    raise invalid(f"{member} is not the ARN of a {kind} endpoint")
            arn = self.arn("task", call)
            task = {
                "ReplicationTaskIdentifier": request["ReplicationTaskIdentifier"],
                "SourceEndpointArn": request["SourceEndpointArn"],
                "TargetEndpointArn": request["TargetEndpointArn"],
                "ReplicationInstanceArn": request["ReplicationInstanceArn"],
                "MigrationType": request["MigrationType"],
                "TableMappings": request["TableMappings"],
                "Status": "creating",
                "ReplicationTaskCreationDate": datetime.now(UTC),
                "ReplicationTaskArn": arn,
            }
            self._use(settings, task)
            self.tasks[arn] = task
            self.keep_tags(arn, call)
            self.later(lambda: task.update(Status="ready"))
            return {"ReplicationTask": self._shown(task)}

    def DescribeReplicationTasks(self, call: Call) -> dict[str, Any]:
        """The tasks that fulfil the filters, with how far they are."""
        members: Any = {
            "replication-task-arn": "ReplicationTaskArn",
            "replication-task-id": "ReplicationTaskIdentifier",
            "migration-type": "MigrationType",
            "endpoint-arn": ("SourceEndpointArn", "TargetEndpointArn"),
            "replication-instance-arn": "ReplicationInstanceArn",
        }
        with self.lock:
            found = [
                self._shown(task)
                for task in matching(call, self.tasks.values(), members, "replication tasks")
            ]
        if call.parameters.get("WithoutSettings"):
            found = [
                {k: v for k, v in task.items() if k != "ReplicationTaskSettings"} for task in found
            ]
        return page(call, "ReplicationTasks", found)

    def ModifyReplicationTask(self, call: Call) -> dict[str, Any]:
        """The task, `modifying`; refused while it runs."""
        request, arn = call.parameters, call.parameters["ReplicationTaskArn"]
        _check_kind({"MigrationType": "full-load", **request})
        with self.lock:
            task = self._idle(arn)
            name = str(request.get("ReplicationTaskIdentifier", task["ReplicationTaskIdentifier"]))
            mapping = str(request.get("TableMappings", task["TableMappings"]))
            if name != task["ReplicationTaskIdentifier"]:
                check_new(
                    self.tasks.values(), "ReplicationTaskIdentifier", name, "Replication Task"
                )
            _check_mapping(mapping)
            if "ReplicationTaskSettings" in request:
                settings = task_settings.read(request["ReplicationTaskSettings"])
                self._use(task_settings.merged(self.settings[arn], settings), task)
            before = task["Status"]
            task.update(Status="modifying", ReplicationTaskIdentifier=name, TableMappings=mapping)
            self.later(lambda: task.update(Status=before))
            return {"ReplicationTask": self._shown(task)}

    def DeleteReplicationTask(self, call: Call) -> dict[str, Any]:
        """The task, `deleting`; refused while it runs."""
        arn = call.parameters["ReplicationTaskArn"]
        with self.lock:
            task = self._idle(arn)
            task["Status"] = "deleting"
            self.later(
                lambda: [
                    each.pop(arn, None)
                    for each in (self.tasks, self.settings, self.runs, self.tags)
                ]
            )
            return {"ReplicationTask": self._shown(task)}

    def StartReplicationTask(self, call: Call) -> dict[str, Any]:
        """The task, `starting`; needs both connections tested successfully.

        https://docs.aws.amazon.com/dms/latest/APIReference/API_StartReplicationTask.html
        """
        request, arn = call.parameters, call.parameters["ReplicationTaskArn"]
        _check_no_changes(request)
        kind = request["StartReplicationTaskType"]
        with self.lock:
            task = self._idle(arn)
            self._check_start(kind, fresh=arn not in self.runs)
            self._check_connections(task)
            if self.settings[arn]["Logging"]["EnableLogging"]:
                self.check_role(role_arn("dms-cloudwatch-logs-role"), "dms.amazonaws.com")
            task["Status"] = "starting"
            for member in ("StopReason", "LastFailureMessage"):
                task.pop(member, None)
            self.runs[arn] = Run(self, task, self.settings[arn], self.runs.get(arn), kind)
            self.runs[arn].thread.start()
            return {"ReplicationTask": {**self._shown(task), "Status": "starting"}}

    def StopReplicationTask(self, call: Call) -> dict[str, Any]:
        """The task, `stopping`; refused unless it runs."""
        arn = call.parameters["ReplicationTaskArn"]
        with self.lock:
            task = find(self.tasks, arn, "Replication Task")
            if task["Status"] not in ("starting", "running"):
                raise invalid_state(f"Replication Task cannot be stopped, it is {task['Status']}")
            task["Status"] = "stopping"
            self.runs[arn].stop()
            return {"ReplicationTask": self._shown(task)}

    def DescribeTableStatistics(self, call: Call) -> dict[str, Any]:
        """What became of each table in the latest run, in order of schema and table."""
        arn = call.parameters["ReplicationTaskArn"]
        find(self.tasks, arn, "Replication Task")
        run = self.runs.get(arn)
        members: Any = {
            "schema-name": "SchemaName",
            "table-name": "TableName",
            "table-state": "TableState",
        }
        found = [dict(run.statistics[key]) for key in sorted(run.statistics)] if run else []
        for each in call.parameters.get("Filters") or []:
            if each["Name"] not in members:
                raise invalid(
                    f"{each['Name']} is no filter of table statistics, which knows"
                    f" {', '.join(members)}"
                )
            found = [one for one in found if one[members[each["Name"]]] in each["Values"]]
        return {"ReplicationTaskArn": arn, **page(call, "TableStatistics", found, largest=500)}

    def _idle(self, arn: str) -> Record:
        """The task; raises InvalidResourceStateFault unless it is ready, stopped or failed."""
        task = find(self.tasks, arn, "Replication Task")
        if task["Status"] not in IDLE:
            raise invalid_state(
                f"Replication Task {arn} is {task['Status']}, not {', '.join(IDLE)}"
            )
        return task

    def _shown(self, task: Record) -> Record:
        """The task as DMS describes it now."""
        run = self.runs.get(task["ReplicationTaskArn"])
        settings = json.dumps(self.settings[task["ReplicationTaskArn"]])
        return {
            **task,
            "ReplicationTaskSettings": settings,
            **({"ReplicationTaskStats": run.progress()} if run else {}),
        }

    def _use(self, settings: task_settings.Settings, task: Record) -> None:
        """Keep the settings, naming the log that they ask for."""
        if settings["Logging"]["EnableLogging"]:
            instance = self.instances[task["ReplicationInstanceArn"]][
                "ReplicationInstanceIdentifier"
            ]
            end = task["ReplicationTaskArn"].rsplit(":", 1)[-1]
            settings["Logging"].update(
                CloudWatchLogGroup=f"dms-tasks-{instance}", CloudWatchLogStream=f"dms-task-{end}"
            )
        self.settings[task["ReplicationTaskArn"]] = settings

    def _check_start(self, kind: str, *, fresh: bool) -> None:
        if kind not in ("start-replication", "resume-processing", "reload-target"):
            raise invalid(f"There is no start type {kind}")
        if fresh == (kind == "start-replication"):
            return
        word = "valid only" if not fresh else "not valid"
        text = (
            f"Start Type : {kind.upper().replace('-', '_')}, {word} for tasks running for the first"
            " time"
        )
        raise ApiError("InvalidParameterCombinationException", text)

    def _check_connections(self, task: Record) -> None:
        for end in ("SourceEndpointArn", "TargetEndpointArn"):
            connection = self.connections.get((task["ReplicationInstanceArn"], task[end]), {})
            if connection.get("Status") != "successful":
                raise invalid_state(
                    f"Test connection for replication instance {task['ReplicationInstanceArn']} and"
                    f" endpoint {task[end]} should be successful for starting the replication task"
                )


def _check_kind(request: dict[str, Any]) -> None:
    if request["MigrationType"] not in ("full-load", "cdc", "full-load-and-cdc"):
        raise invalid(f"There is no migration type {request['MigrationType']}")
    if request["MigrationType"] != "full-load":
        raise not_here(
            f"DMS tasks of migration type {request['MigrationType']} yet, only full-load"
        )
    _check_no_changes(request)


def _check_no_changes(request: dict[str, Any]) -> None:
    if given := [
        each
        for each in ("CdcStartTime", "CdcStartPosition", "CdcStopPosition")
        if request.get(each)
    ]:
        raise invalid(f"{given[0]} is for tasks that capture changes, not for full-load")


def _check_mapping(text: str) -> None:
    try:
        table_mapping.parse(text)
    except table_mapping.MappingError as error:
        raise ApiError("InvalidParameterValueException", str(error)) from error
