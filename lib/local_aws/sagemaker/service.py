"""Amazon SageMaker: training jobs, models and batch transform with real processes; the registry's
records are moto's.
"""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from local_aws.errors import AccessDeniedError, ApiError
from local_aws.names import ACCOUNT
from local_aws.sagemaker import jobs as sagemaker_jobs
from local_aws.sagemaker import training, transform
from local_aws.sagemaker.jobs import ENDED, PRINCIPAL, Job
from local_aws.sagemaker.studio import Studio
from local_aws.sagemaker.training import Training
from local_aws.sagemaker.transform import Transform

if TYPE_CHECKING:
    from local_aws.service import Call
    from local_aws.stand_in import StandIn

STOP_SECONDS = 10
MODEL_MEMBERS = frozenset(
    [
        "ModelName",
        "PrimaryContainer",
        "ExecutionRoleArn",
        "Tags",
        "VpcConfig",
        "EnableNetworkIsolation",
    ]
)
CONTAINER_MEMBERS = frozenset(["Image", "ModelDataUrl", "Environment", "ContainerHostname", "Mode"])
PAGE = 100


class SageMaker(Studio):
    """Jobs run; groups, packages, cards, domains and profiles are kept; everything else is
    refused.
    """

    def __init__(self, stand_in: StandIn) -> None:
        super().__init__(stand_in)
        self.trainings: dict[str, Training] = {}
        self.transforms: dict[str, Transform] = {}
        self.models: dict[str, dict[str, Any]] = {}
        self.lock = threading.RLock()

    def stop(self) -> None:
        """Kill the jobs that still run."""
        jobs: list[Job] = [*self.trainings.values(), *self.transforms.values()]
        for each in jobs:
            each.stop()
        for each in jobs:
            each.thread.join(timeout=STOP_SECONDS)

    def CreateTrainingJob(self, call: Call) -> dict[str, Any]:
        """Start a job; ResourceInUse for a name that any job ever had."""
        parameters, name = call.parameters, call.parameters["TrainingJobName"]
        training.check(parameters)
        self._check_role(parameters["RoleArn"])
        for each in parameters.get("InputDataConfig", []):
            self._check_input(parameters["RoleArn"], each["DataSource"]["S3DataSource"]["S3Uri"])
        arn = self._arn(call, "training-job", name)
        with self.lock:
            if name in self.trainings:
                raise ApiError(
                    "ResourceInUse",
                    "Job name must be unique within an AWS account and region, and a job with this"
                    f" name already exists ({arn})",
                )
            job = self.trainings[name] = Training(
                self.stand_in, name, parameters["RoleArn"], {**parameters, "TrainingJobArn": arn}
            )
        job.thread.start()
        return {"TrainingJobArn": arn}

    def DescribeTrainingJob(self, call: Call) -> dict[str, Any]:
        """The job as it is now."""
        return dict(_found(self.trainings, call.parameters["TrainingJobName"]).description())

    def StopTrainingJob(self, call: Call) -> None:
        """Stop what runs."""
        _stoppable(_found(self.trainings, call.parameters["TrainingJobName"])).stop()

    def ListTrainingJobs(self, call: Call) -> dict[str, Any]:
        """Jobs by name and status, newest first."""
        members = (
            "TrainingJobName",
            "TrainingJobArn",
            "CreationTime",
            "TrainingEndTime",
            "LastModifiedTime",
            "TrainingJobStatus",
        )
        return _page(call, "TrainingJobSummaries", [*self.trainings.values()], members)

    def CreateTransformJob(self, call: Call) -> dict[str, Any]:
        """Start a job; ResourceInUse for a name that any job ever had."""
        parameters, name = call.parameters, call.parameters["TransformJobName"]
        transform.check(parameters)
        model = self._model(parameters["ModelName"])
        self._check_input(
            model["ExecutionRoleArn"],
            parameters["TransformInput"]["DataSource"]["S3DataSource"]["S3Uri"],
        )
        arn = self._arn(call, "transform-job", name)
        with self.lock:
            if name in self.transforms:
                raise ApiError(
                    "ResourceInUse",
                    "Job name must be unique within an AWS account and region, and a job with this"
                    f" name already exists ({arn})",
                )
            job = self.transforms[name] = Transform(
                self.stand_in, name, model, {**parameters, "TransformJobArn": arn}
            )
        job.thread.start()
        return {"TransformJobArn": arn}

    def DescribeTransformJob(self, call: Call) -> dict[str, Any]:
        """The job as it is now."""
        return dict(_found(self.transforms, call.parameters["TransformJobName"]).description())

    def StopTransformJob(self, call: Call) -> None:
        """Stop what runs."""
        _stoppable(_found(self.transforms, call.parameters["TransformJobName"])).stop()

    def ListTransformJobs(self, call: Call) -> dict[str, Any]:
        """Jobs by name and status, newest first."""
        members = (
            "TransformJobName",
            "TransformJobArn",
            "CreationTime",
            "TransformEndTime",
            "TransformJobStatus",
        )
        return _page(call, "TransformJobSummaries", [*self.transforms.values()], members)

    def CreateModel(self, call: Call) -> dict[str, Any]:
        """A model of one container; ValidationException for a name in use or a model's file that is
        not there.
        """
        parameters, name = call.parameters, call.parameters["ModelName"]
        container = parameters.get("PrimaryContainer", {})
        if extra := sorted(
            (set(parameters) - MODEL_MEMBERS) | (set(container) - CONTAINER_MEMBERS)
        ):
            raise ApiError(
                "NotInLocalAws", f"local_aws does not do {', '.join(extra)} of a model.", 501
            )
        sagemaker_jobs.check_image(container.get("Image", ""))
        if not {"SAGEMAKER_PROGRAM", "SAGEMAKER_SUBMIT_DIRECTORY"} <= set(
            container.get("Environment", {})
        ):
            raise ApiError(
                "NotInLocalAws",
                "local_aws does not do a scikit-learn model without SAGEMAKER_PROGRAM and"
                " SAGEMAKER_SUBMIT_DIRECTORY.",
                501,
            )
        self._check_role(parameters["ExecutionRoleArn"])
        self._check_model_data(parameters["ExecutionRoleArn"], container["ModelDataUrl"])
        with self.lock:
            if name in self.models:
                raise ApiError(
                    "ValidationException",
                    f'Cannot create already existing model "{self._arn(call, "model", name)}".',
                )
            arn = self._arn(call, "model", name)
            self.models[name] = {
                **parameters,
                "ModelArn": arn,
                "CreationTime": sagemaker_jobs.now(),
            }
        return {"ModelArn": arn}

    def DescribeModelPackageGroup(self, call: Call) -> dict[str, Any]:
        """A group of versions; nobody of Studio made it, so that CreatedBy is empty."""
        return {**call.moto(), "CreatedBy": {}}

    def DescribeModel(self, call: Call) -> dict[str, Any]:
        """The model."""
        return {
            key: value
            for key, value in self._model(call.parameters["ModelName"]).items()
            if key != "Tags"
        }

    def DeleteModel(self, call: Call) -> None:
        """Forget the model; its file stays."""
        self._model(call.parameters["ModelName"])
        del self.models[call.parameters["ModelName"]]

    def ListModels(self, call: Call) -> dict[str, Any]:
        """Models by name, newest first."""
        part = call.parameters.get("NameContains", "").lower()
        found = [each for name, each in self.models.items() if part in name.lower()]
        found.sort(key=lambda each: each["CreationTime"], reverse=True)
        members = ("ModelName", "ModelArn", "CreationTime")
        return _cut(
            call, "Models", [{member: each[member] for member in members} for each in found]
        )

    def ListTags(self, call: Call) -> dict[str, Any]:
        """The tags of a job or a model; moto's for the registry."""
        arn = call.parameters["ResourceArn"]
        kept = {
            each.request[f"{each.kind}Arn"]: each.request
            for each in [*self.trainings.values(), *self.transforms.values()]
        }
        kept |= {each["ModelArn"]: each for each in self.models.values()}
        return {"Tags": kept[arn].get("Tags", [])} if arn in kept else call.moto()

    def _arn(self, call: Call, kind: str, name: str) -> str:
        return f"arn:aws:sagemaker:{call.region}:{ACCOUNT}:{kind}/{name}"

    def _model(self, name: str) -> dict[str, Any]:
        if name not in self.models:
            raise ApiError(
                "ValidationException",
                "Could not find model"
                f' "arn:aws:sagemaker:{self.stand_in.region}:{ACCOUNT}:model/{name}".',
            )
        return self.models[name]

    def _check_role(self, arn: str) -> None:
        if not self.stand_in.may_assume(arn, PRINCIPAL):
            raise ApiError(
                "ValidationException",
                f"Could not assume role {arn}. Please ensure that the role exists and allows"
                f" principal '{PRINCIPAL}' to assume the role.",
            )

    def _check_input(self, role_arn: str, uri: str) -> None:
        """As AWS does before it starts a job: something must be there, and the role must see it."""
        with contextlib.suppress(ClientError, AccessDeniedError):
            if sagemaker_jobs.keys(self._client(role_arn), uri):
                return
        bucket = uri.removeprefix("s3://").partition("/")[0]
        raise ApiError(
            "ValidationException",
            f'No S3 objects found under S3 URL "{uri}" given in input data source. Please ensure'
            f" that the bucket exists in the selected region ({self.stand_in.region}), that objects"
            f' exist under that S3 prefix, and that the role "{role_arn}" has "s3:ListBucket"'
            f' permissions on bucket "{bucket}".',
        )

    def _check_model_data(self, role_arn: str, uri: str) -> None:
        bucket, _, key = uri.removeprefix("s3://").partition("/")
        try:
            self._client(role_arn).head_object(Bucket=bucket, Key=key)
        except (ClientError, AccessDeniedError) as error:
            raise ApiError(
                "ValidationException",
                f'Could not access model data at {uri}. Please ensure that the role "{role_arn}"'
                ' exists and that its trust relationship policy allows the action "sts:AssumeRole"'
                f' for the service principal "{PRINCIPAL}". Also ensure that the role has'
                ' "s3:GetObject" permissions and that the object is located in'
                f" {self.stand_in.region}.",
            ) from error

    def _client(self, role_arn: str) -> Any:
        return self.stand_in.client("s3", role_arn=role_arn, service_principal=PRINCIPAL)


def _found(jobs: dict[str, Any], name: str) -> Any:
    if name not in jobs:
        raise ApiError("ValidationException", "Requested resource not found.")
    return jobs[name]


def _stoppable(job: Any) -> Any:
    if job.status in ENDED:
        raise ApiError(
            "ValidationException",
            f"The request was rejected because the job is in status {job.status}.",
        )
    return job


def _page(call: Call, member: str, jobs: list[Any], members: tuple[str, ...]) -> dict[str, Any]:
    parameters = call.parameters
    if extra := set(parameters) - {"NameContains", "StatusEquals", "MaxResults", "NextToken"}:
        raise ApiError(
            "NotInLocalAws",
            f"local_aws does not do {', '.join(sorted(extra))} of {call.operation}.",
            501,
        )
    shown = [
        each.description()
        for each in jobs
        if parameters.get("NameContains", "").lower() in each.name.lower()
    ]
    shown = [
        each
        for each in shown
        if parameters.get("StatusEquals", each[members[-1]]) == each[members[-1]]
    ]
    shown.sort(key=lambda each: each["CreationTime"], reverse=True)
    return _cut(
        call, member, [{one: each[one] for one in members if one in each} for each in shown]
    )


def _cut(call: Call, member: str, rows: list[dict[str, Any]]) -> dict[str, Any]:
    start, size = int(call.parameters.get("NextToken", 0)), call.parameters.get("MaxResults", PAGE)
    more = {"NextToken": str(start + size)} if start + size < len(rows) else {}
    return {member: rows[start : start + size], **more}
