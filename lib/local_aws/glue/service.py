"""AWS Glue: moto keeps the Data Catalog; jobs are ours and run on a real Spark."""

from __future__ import annotations

import datetime
import functools
import threading
import urllib.parse
from typing import TYPE_CHECKING, Any

from botocore import xform_name
from botocore.exceptions import ClientError

from local_aws import wire
from local_aws.errors import ApiError
from local_aws.glue import filtered_catalog
from local_aws.glue import versions as glue_versions
from local_aws.glue.runs import LOG_GROUP, Run, new_id, role_arn
from local_aws.lakeformation import glue as lakeformation_glue
from local_aws.names import ACCOUNT
from local_aws.service import Call, Service

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from local_aws.lakeformation.access import Lake
    from local_aws.stand_in import StandIn

VERSIONS = ("5.0", "5.1")
DEFAULTS = {"GlueVersion": "5.1", "MaxRetries": 0, "Timeout": 480, "ExecutionClass": "STANDARD"}
JOB_MEMBERS = frozenset(
    [
        "Name",
        "Description",
        "Role",
        "ExecutionProperty",
        "Command",
        "DefaultArguments",
        "NonOverridableArguments",
        "MaxRetries",
        "Timeout",
        "GlueVersion",
        "NumberOfWorkers",
        "WorkerType",
        "ExecutionClass",
        "Tags",
    ]
)
RUN_MEMBERS = frozenset(
    ["JobName", "Arguments", "Timeout", "WorkerType", "NumberOfWorkers", "ExecutionClass"]
)
COPIED_TO_RUN: tuple[str, ...] = (
    "Timeout",
    "WorkerType",
    "NumberOfWorkers",
    "ExecutionClass",
    "GlueVersion",
)
FOLDED: tuple[str, ...] = ("DatabaseName", "TableName", "Name")
FOLDED_INPUTS: tuple[str, ...] = ("DatabaseInput", "TableInput")
# Arguments that AWS Glue itself acts upon and this stand-in doesn't; the value that asks for
# nothing is fine.
# https://docs.aws.amazon.com/glue/latest/dg/aws-glue-programming-etl-glue-arguments.html
ARGUMENTS_NOT_HERE = {
    "--additional-python-modules": "",
    "--conf": "",
    "--datalake-formats": "",
    "--enable-glue-datacatalog": "false",
    "--enable-spark-ui": "false",
    "--extra-files": "",
    "--extra-jars": "",
    "--extra-py-files": "",
    "--job-bookmark-option": "job-bookmark-disable",
    "--job-language": "python",
    "--python-modules-installer-option": "",
    "--user-jars-first": "false",
}
PAGES = {
    "GetDatabases": ("DatabaseList", 100),
    "GetTables": ("TableList", 100),
    "GetTableVersions": ("TableVersions", 100),
    "GetPartitions": ("Partitions", 1000),
}


class Glue(Service):
    """Catalog, jobs and their runs; crawlers, triggers, workflows and data quality are refused."""

    def __init__(self, stand_in: StandIn, lake: Lake) -> None:
        super().__init__(stand_in)
        self.lake = lake
        glue_versions.keep_moments()
        self.jobs: dict[str, dict[str, Any]] = {}
        self.runs: dict[str, list[Run]] = {}  # by job, newest first
        self.lock = threading.RLock()

    def stop(self) -> None:
        """Kill the jobs that still run."""
        running = [run for runs in self.runs.values() for run in runs if not run.ended]
        for run in running:
            run.stop()
        for run in running:
            run.thread.join(timeout=10)

    # The Data Catalog

    def _catalog(self, call: Call) -> dict[str, Any]:
        """Moto's answer under the names as Glue stores them (lower case), in pages and within the
        API's limits.
        """
        _check_list_lengths(call)
        given, call.parameters = call.parameters, _in_lower_case(call.parameters)
        lakeformation_glue.check(self.lake, call)
        answer = self._kept(call, as_given=given == call.parameters)
        lakeformation_glue.happened(self.lake, call)
        return lakeformation_glue.shown(self.lake, call, answer)

    def _kept(self, call: Call, *, as_given: bool) -> dict[str, Any]:
        if not as_given:
            return self._ask(call.operation, **call.parameters)
        self._check_partition_values(call)
        answer = call.moto()
        if call.operation == "UpdateTable" and call.parameters.get("SkipArchive"):
            self._forget_version_before(call.parameters)
        if call.operation in PAGES:
            member, size = PAGES[call.operation]
            return _page(member, answer[member], call.parameters, size)
        return answer

    CreateDatabase = GetDatabase = GetDatabases = UpdateDatabase = DeleteDatabase = _catalog
    CreateTable = GetTable = GetTables = UpdateTable = DeleteTable = BatchDeleteTable = _catalog
    GetTableVersion = GetTableVersions = DeleteTableVersion = _catalog
    CreatePartition = GetPartition = GetPartitions = UpdatePartition = DeletePartition = _catalog
    BatchCreatePartition = BatchGetPartition = BatchUpdatePartition = BatchDeletePartition = (
        _catalog
    )

    def _forget_version_before(self, request: dict[str, Any]) -> None:
        """SkipArchive: the version that was just replaced is not kept."""
        where = {
            "DatabaseName": request["DatabaseName"],
            "TableName": request["TableInput"]["Name"],
        }
        versions = sorted(
            (each["VersionId"] for each in self._ask("GetTableVersions", **where)["TableVersions"]),
            key=int,
        )
        self._ask("DeleteTableVersion", **where, VersionId=versions[-2])

    def _check_partition_values(self, call: Call) -> None:
        request = call.parameters
        inputs = [
            *request.get("PartitionInputList", []),
            *([request["PartitionInput"]] if "PartitionInput" in request else []),
        ]
        if inputs:
            table = self._ask(
                "GetTable", DatabaseName=request["DatabaseName"], Name=request["TableName"]
            )["Table"]
            if any(
                len(each.get("Values", [])) != len(table.get("PartitionKeys", []))
                for each in inputs
            ):
                raise ApiError(
                    "InvalidInputException",
                    "The number of partition keys do not match the number of partition values",
                )

    @functools.cached_property
    def _client(self) -> Any:
        return self.stand_in.client("glue")

    def _ask(self, operation: str, **parameters: Any) -> dict[str, Any]:
        """The answer of another Glue operation."""
        try:
            answer: dict[str, Any] = getattr(self._client, xform_name(operation))(**parameters)
        except ClientError as error:
            code, text = error.response["Error"]["Code"], error.response["Error"]["Message"]
            raise ApiError(
                code, text, error.response["ResponseMetadata"]["HTTPStatusCode"]
            ) from error
        answer.pop("ResponseMetadata")
        return answer

    # Jobs

    def CreateJob(self, call: Call) -> dict[str, Any]:
        """A job; InvalidInputException when Glue cannot take its role."""
        name = call.parameters["Name"]
        job = self._checked(
            {**DEFAULTS, "ExecutionProperty": {"MaxConcurrentRuns": 1}, **call.parameters}
        )
        tags = job.pop("Tags", {})
        with self.lock:
            if have := self.jobs.get(name):
                if any(have.get(member) != value for member, value in job.items()):
                    raise ApiError(
                        "IdempotentParameterMismatchException",
                        f"Job with name {name} already submitted with different configuration.",
                    )
                raise ApiError("AlreadyExistsException", f"Job {name} already exists.")
            now = datetime.datetime.now(datetime.UTC)
            self.jobs[name] = {**job, "CreatedOn": now, "LastModifiedOn": now}
            self.runs.setdefault(name, [])
        if tags:
            self._ask(
                "TagResource",
                ResourceArn=f"arn:aws:glue:{self.stand_in.region}:{ACCOUNT}:job/{name}",
                TagsToAdd=tags,
            )
        return {"Name": name}

    def UpdateJob(self, call: Call) -> dict[str, Any]:
        """The job with a new definition: what JobUpdate leaves out goes back to its default."""
        name = call.parameters["JobName"]
        with self.lock:
            created = self._job(name)["CreatedOn"]
            job = self._checked(
                {
                    **DEFAULTS,
                    "ExecutionProperty": {"MaxConcurrentRuns": 1},
                    "Name": name,
                    **call.parameters["JobUpdate"],
                }
            )
            self.jobs[name] = {
                **job,
                "CreatedOn": created,
                "LastModifiedOn": datetime.datetime.now(datetime.UTC),
            }
        return {"JobName": name}

    def GetJob(self, call: Call) -> dict[str, Any]:
        """One job."""
        return {"Job": self._job(call.parameters["JobName"])}

    def GetJobs(self, call: Call) -> dict[str, Any]:
        """All jobs."""
        return _page("Jobs", list(self.jobs.values()), call.parameters, 100)

    def DeleteJob(self, call: Call) -> dict[str, Any]:
        """Nothing of the job or its runs remains; no error when there is none (API reference,
        DeleteJob).
        """
        name = call.parameters["JobName"]
        with self.lock:
            for run in self.runs.pop(name, []):
                run.stop()
            self.jobs.pop(name, None)
        return {"JobName": name}

    # Runs

    def StartJobRun(self, call: Call) -> dict[str, Any]:
        """A new run; ConcurrentRunsExceededException when as many as allowed are under way."""
        _refuse_others("StartJobRun", call.parameters, RUN_MEMBERS)
        with self.lock:
            job = self._job(call.parameters["JobName"])
            self._check_role(job["Role"])
            return {"JobRunId": self._start(job, call.parameters, new_id(), attempt=0)}

    def GetJobRun(self, call: Call) -> dict[str, Any]:
        """One run."""
        self._job(call.parameters["JobName"])
        return {
            "JobRun": self._run(call.parameters["JobName"], call.parameters["RunId"]).description()
        }

    def GetJobRuns(self, call: Call) -> dict[str, Any]:
        """The runs of a job, the newest first."""
        self._job(call.parameters["JobName"])
        runs = [run.description() for run in self.runs[call.parameters["JobName"]]]
        return _page("JobRuns", runs, call.parameters, 200)

    def BatchStopJobRun(self, call: Call) -> dict[str, Any]:
        """Which runs are being stopped, and why the others are not."""
        name, stopped, errors = call.parameters["JobName"], [], []
        for run_id in call.parameters["JobRunIds"]:
            named = {"JobName": name, "JobRunId": run_id}
            try:
                self._stop(self._run(name, run_id))
                stopped.append(named)
            except ApiError as error:
                detail = {"ErrorCode": error.code, "ErrorMessage": error.message}
                errors.append({**named, "ErrorDetail": detail})
        return {"SuccessfulSubmissions": stopped, "Errors": errors}

    def filtered(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        """What the Spark of a run with fine-grained access asks of the Data Catalog: not a call of
        AWS (WSGI).
        """
        request = dict(urllib.parse.parse_qsl(environ["QUERY_STRING"], keep_blank_values=True))
        under_way = {
            run.record["Id"]: run for runs in self.runs.values() for run in runs if not run.ended
        }
        status, text = 403, "There is no such run."
        if run := under_way.get(request.pop("run")):
            status, text = run.catalog().answer(**request)
        body = text.encode()
        start_response(
            f"{status} Answer", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))]
        )
        return [body]

    @staticmethod
    def _stop(run: Run) -> None:
        if run.ended:
            state = run.record["JobRunState"]
            raise ApiError(
                "InvalidInputException",
                f"Job run {run.record['Id']} is {state} and cannot be stopped.",
            )
        run.stop()

    def _job(self, name: str) -> dict[str, Any]:
        if name not in self.jobs:
            raise ApiError("EntityNotFoundException", f"Job {name} not found.")
        return self.jobs[name]

    def _run(self, name: str, run_id: str) -> Run:
        for run in self.runs.get(name, []):
            if run.record["Id"] == run_id:
                return run
        raise ApiError("EntityNotFoundException", f"Job run {run_id} of job {name} not found.")

    def _start(
        self, job: dict[str, Any], request: dict[str, Any], run_id: str, attempt: int
    ) -> str:
        runs = self.runs[job["Name"]]
        if sum(not run.ended for run in runs) >= job["ExecutionProperty"]["MaxConcurrentRuns"]:
            raise ApiError(
                "ConcurrentRunsExceededException", f"Concurrent runs exceeded for {job['Name']}"
            )
        arguments = {
            **job.get("DefaultArguments", {}),
            **request.get("Arguments", {}),
            **job.get("NonOverridableArguments", {}),
        }
        _check_arguments(arguments)
        settings = {**job, **request}
        copied = {name: settings[name] for name in COPIED_TO_RUN if name in settings}
        shown = {
            "Arguments": request.get("Arguments", {}),
            "JobName": job["Name"],
            "LogGroupName": LOG_GROUP,
        }
        previous = {"PreviousRunId": runs[0].record["Id"]} if attempt else {}
        run = Run(
            self.stand_in,
            job,
            arguments,
            {"Id": run_id, "Attempt": attempt, **copied, **shown, **previous},
        )
        run.on_failure = lambda failed: self._retry(failed, request)
        runs.insert(0, run)
        run.thread.start()
        return run_id

    def _retry(self, failed: Run, request: dict[str, Any]) -> None:
        """Start the next attempt of a failed run while the job's MaxRetries allows it."""
        attempt = failed.record["Attempt"] + 1
        with self.lock:
            if (
                failed.job is self.jobs.get(failed.job["Name"])
                and attempt <= failed.job["MaxRetries"]
            ):
                self._start(
                    failed.job,
                    request,
                    f"{failed.record['Id'].partition('_attempt_')[0]}_attempt_{attempt}",
                    attempt,
                )

    def _checked(self, job: dict[str, Any]) -> dict[str, Any]:
        """The definition of a job, if it can run here; raises ApiError."""
        _refuse_others("CreateJob", job, JOB_MEMBERS)
        command = {"PythonVersion": "3", **job["Command"]}
        if job["GlueVersion"] not in VERSIONS:
            raise ApiError(
                "NotInLocalAws",
                f"local_aws runs Glue {' and '.join(VERSIONS)}, not {job['GlueVersion']}.",
                501,
            )
        if command["Name"] != "glueetl" or command["PythonVersion"] != "3":
            raise ApiError(
                "NotInLocalAws",
                "local_aws runs Glue jobs whose Command is glueetl with PythonVersion 3, no"
                " others.",
                501,
            )
        if not command.get("ScriptLocation", "").startswith("s3://"):
            raise ApiError(
                "InvalidInputException",
                "Command.ScriptLocation must be the s3:// location of the script.",
            )
        self._check_role(job["Role"])
        _check_arguments(job.get("DefaultArguments", {}))
        return {**job, "Command": command}

    def _check_role(self, role: str) -> None:
        iam = self.stand_in.client("iam")
        try:
            iam.get_role(RoleName=role.rpartition("/")[2])
        except iam.exceptions.NoSuchEntityException as missing:
            raise ApiError("InvalidInputException", f"Role {role} does not exist.") from missing
        if not self.stand_in.may_assume(role_arn(role), "glue.amazonaws.com"):
            raise ApiError(
                "InvalidInputException",
                f"Role {role} should be given assume role permissions for Glue Service.",
            )


def _refuse_others(operation: str, request: dict[str, Any], supported: frozenset[str]) -> None:
    if others := sorted(set(request) - supported):
        raise ApiError(
            "NotInLocalAws",
            f"local_aws does not do glue {operation} with {', '.join(others)}.",
            501,
        )


def _check_arguments(arguments: dict[str, str]) -> None:
    here = {"--enable-glue-datacatalog"} if filtered_catalog.wanted(arguments) else set()
    for name, value in arguments.items():
        if name not in here and value != ARGUMENTS_NOT_HERE.get(name, value):
            raise ApiError(
                "NotInLocalAws",
                f"local_aws does not do the Glue job argument {name} {value}; the script must do"
                " without it.",
                501,
            )


def _check_list_lengths(call: Call) -> None:
    """Refuse lists longer than the API model allows: 100 partitions to create, 25 to delete."""
    shape: Any = wire.model(call.service).operation_model(call.operation).input_shape
    members = shape.members
    for name, value in call.parameters.items():
        longest = members[name].metadata.get("max")
        if isinstance(value, list) and longest and len(value) > longest:
            raise ApiError(
                "ValidationException",
                f"1 validation error detected: Value at '{name[0].lower()}{name[1:]}' failed to"
                f" satisfy constraint: Member must have length less than or equal to {longest}",
            )


def _in_lower_case(parameters: dict[str, Any]) -> dict[str, Any]:
    """The parameters with the names of databases and tables folded as Glue does (API reference,
    TableInput).
    """
    names = {name: parameters[name].lower() for name in FOLDED if name in parameters}
    inputs: dict[str, Any] = {
        name: {**parameters[name], "Name": parameters[name]["Name"].lower()}
        for name in FOLDED_INPUTS
        if name in parameters
    }
    if "TablesToDelete" in parameters:
        inputs["TablesToDelete"] = [name.lower() for name in parameters["TablesToDelete"]]
    return {**parameters, **names, **inputs}


def _page(member: str, items: list[Any], parameters: dict[str, Any], size: int) -> dict[str, Any]:
    """One page of a listing; the token is the number of items before the next one."""
    start, size = int(parameters.get("NextToken") or 0), parameters.get("MaxResults") or size
    rest = {"NextToken": str(start + size)} if len(items) > start + size else {}
    return {member: items[start : start + size], **rest}
