"""The settings of a DMS task: the documented defaults, what a caller changes, and what is refused.

https://docs.aws.amazon.com/dms/latest/userguide/CHAP_Tasks.CustomizingTasks.TaskSettings.html
"""

from __future__ import annotations

import copy
import json
from typing import Any

from local_aws.dms.records import invalid, not_here

Settings = dict[str, Any]
PREPARATIONS = ("DO_NOTHING", "DROP_AND_CREATE", "TRUNCATE_BEFORE_LOAD")
READ_ONLY = ("CloudWatchLogGroup", "CloudWatchLogStream")
LOG_COMPONENTS = (
    "TRANSFORMATION",
    "SOURCE_UNLOAD",
    "IO",
    "TARGET_LOAD",
    "PERFORMANCE",
    "SOURCE_CAPTURE",
    "SORTER",
    "REST_SERVER",
    "VALIDATOR_EXT",
    "TARGET_APPLY",
    "TASK_MANAGER",
    "TABLES_MANAGER",
    "METADATA_MANAGER",
    "FILE_FACTORY",
    "COMMON",
    "ADDONS",
    "DATA_STRUCTURE",
    "COMMUNICATION",
    "FILE_TRANSFER",
)
DEFAULTS: Settings = {
    "TargetMetadata": {
        "TargetSchema": "",
        "SupportLobs": True,
        "FullLobMode": False,
        "LobChunkSize": 0,
        "LimitedSizeLobMode": True,
        "LobMaxSize": 32,
        "InlineLobMaxSize": 0,
        "LoadMaxFileSize": 0,
        "ParallelLoadThreads": 0,
        "ParallelLoadBufferSize": 0,
        "BatchApplyEnabled": False,
        "TaskRecoveryTableEnabled": False,
        "ParallelLoadQueuesPerThread": 0,
        "ParallelApplyThreads": 0,
        "ParallelApplyBufferSize": 0,
        "ParallelApplyQueuesPerThread": 0,
    },
    "FullLoadSettings": {
        "TargetTablePrepMode": "DROP_AND_CREATE",
        "CreatePkAfterFullLoad": False,
        "StopTaskCachedChangesApplied": False,
        "StopTaskCachedChangesNotApplied": False,
        "MaxFullLoadSubTasks": 8,
        "TransactionConsistencyTimeout": 600,
        "CommitRate": 10000,
    },
    "Logging": {
        "EnableLogging": False,
        "EnableLogContext": False,
        "LogComponents": [
            {"Id": each, "Severity": "LOGGER_SEVERITY_DEFAULT"} for each in LOG_COMPONENTS
        ],
        "CloudWatchLogGroup": None,
        "CloudWatchLogStream": None,
    },
    "ControlTablesSettings": {
        "ControlSchema": "",
        "HistoryTimeslotInMinutes": 5,
        "HistoryTableEnabled": False,
        "SuspendedTablesTableEnabled": False,
        "StatusTableEnabled": False,
        "FullLoadExceptionTableEnabled": False,
        "historyTimeslotInMinutes": 5,
    },
    "StreamBufferSettings": {
        "StreamBufferCount": 3,
        "StreamBufferSizeInMB": 8,
        "CtrlStreamBufferSizeInMB": 5,
    },
    "ChangeProcessingDdlHandlingPolicy": {
        "HandleSourceTableDropped": True,
        "HandleSourceTableTruncated": True,
        "HandleSourceTableAltered": True,
    },
    "ErrorBehavior": {
        "DataErrorPolicy": "LOG_ERROR",
        "EventErrorPolicy": "IGNORE",
        "DataTruncationErrorPolicy": "LOG_ERROR",
        "DataErrorEscalationPolicy": "SUSPEND_TABLE",
        "DataErrorEscalationCount": 0,
        "TableErrorPolicy": "SUSPEND_TABLE",
        "TableErrorEscalationPolicy": "STOP_TASK",
        "TableErrorEscalationCount": 0,
        "RecoverableErrorCount": -1,
        "RecoverableErrorInterval": 5,
        "RecoverableErrorThrottling": True,
        "RecoverableErrorThrottlingMax": 1800,
        "RecoverableErrorStopRetryAfterThrottlingMax": True,
        "ApplyErrorDeletePolicy": "IGNORE_RECORD",
        "ApplyErrorInsertPolicy": "LOG_ERROR",
        "ApplyErrorUpdatePolicy": "LOG_ERROR",
        "ApplyErrorEscalationPolicy": "LOG_ERROR",
        "ApplyErrorEscalationCount": 0,
        "ApplyErrorFailOnTruncationDdl": False,
        "FullLoadIgnoreConflicts": True,
        "FailOnTransactionConsistencyBreached": False,
        "FailOnNoTablesCaptured": True,
    },
    "ChangeProcessingTuning": {
        "BatchApplyPreserveTransaction": True,
        "BatchApplyTimeoutMin": 1,
        "BatchApplyTimeoutMax": 30,
        "BatchApplyMemoryLimit": 500,
        "BatchSplitSize": 0,
        "MinTransactionSize": 1000,
        "CommitTimeout": 1,
        "MemoryLimitTotal": 1024,
        "MemoryKeepTime": 60,
        "StatementCacheSize": 50,
    },
    "ValidationSettings": {
        "EnableValidation": False,
        "ValidationMode": "ROW_LEVEL",
        "ThreadCount": 5,
        "PartitionSize": 10000,
        "FailureMaxCount": 10000,
        "RecordFailureDelayInMinutes": 5,
        "RecordSuspendDelayInMinutes": 30,
        "MaxKeyColumnSize": 8096,
        "TableFailureMaxCount": 1000,
        "ValidationOnly": False,
        "HandleCollationDiff": False,
        "RecordFailureDelayLimitInMinutes": 0,
        "SkipLobColumns": False,
        "ValidationPartialLobSize": 0,
        "ValidationQueryCdcDelaySeconds": 0,
    },
    "PostProcessingRules": None,
    "CharacterSetSettings": None,
    "LoopbackPreventionSettings": None,
    "BeforeImageSettings": None,
    "FailTaskWhenCleanTaskResourceFailed": False,
}


def read(text: str | None) -> Settings:
    """The settings that a caller gives, checked; raises ApiError."""
    try:
        request = json.loads(text or "{}")
    except ValueError as error:
        raise invalid(f"Invalid task settings JSON ({error})") from error
    if not isinstance(request, dict) or not all(
        isinstance(each, dict | bool | None) for each in request.values()
    ):
        raise invalid("Invalid task settings JSON: it must be an object of objects")
    if unknown := sorted(set(request) - set(DEFAULTS) - {"TTSettings", "DataResyncSettings"}):
        raise invalid(f"Invalid task settings JSON: there are no settings {', '.join(unknown)}")
    if any((request.get("Logging") or {}).get(name) for name in READ_ONLY):
        raise invalid(
            "Task Settings CloudWatchLogGroup or CloudWatchLogStream cannot be set on create"
        )
    return request


def merged(settings: Settings, request: Settings) -> Settings:
    """The settings with those told in place of the ones they had; raises ApiError for what cannot
    be.
    """
    new = copy.deepcopy(settings)
    for name, group in request.items():
        if isinstance(group, dict):
            new[name] = {**(new.get(name) or {}), **group}
        elif group is not None:
            new[name] = group
    _check(new)
    return new


def _check(settings: Settings) -> None:
    load, metadata = settings["FullLoadSettings"], settings["TargetMetadata"]
    if load["TargetTablePrepMode"] not in PREPARATIONS:
        raise invalid(
            f"TargetTablePrepMode is one of {', '.join(PREPARATIONS)}, not"
            f" {load['TargetTablePrepMode']}"
        )
    if not 1 <= int(load["MaxFullLoadSubTasks"]) <= 49:
        raise invalid(f"MaxFullLoadSubTasks is between 1 and 49, not {load['MaxFullLoadSubTasks']}")
    if not 1 <= int(load["CommitRate"]) <= 50_000:
        raise invalid(f"CommitRate is between 1 and 50000, not {load['CommitRate']}")
    if metadata["FullLobMode"] or metadata["InlineLobMaxSize"]:
        raise invalid(
            "An S3 target takes limited LOB mode only: set FullLobMode false and InlineLobMaxSize 0"
        )
    if metadata["SupportLobs"] and not int(metadata["LobMaxSize"]) > 0:
        raise invalid("LobMaxSize is a number of kilobytes above 0")
    if settings["ValidationSettings"]["EnableValidation"]:
        raise not_here("the validation of a DMS task")
    if settings["ControlTablesSettings"]["ControlSchema"] or any(
        value is True for value in settings["ControlTablesSettings"].values()
    ):
        raise not_here("the control tables of a DMS task")
    for name in ("CharacterSetSettings", "PostProcessingRules"):
        if settings[name]:
            raise not_here(f"the {name} of a DMS task")
