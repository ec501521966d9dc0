"""One training job: channels in, a script in a process of its own, model and output out.

The training toolkit's contract:
https://github.com/aws/sagemaker-training-toolkit/blob/master/ENVIRONMENT_VARIABLES.md Paths are
given by SM_… variables; a script that writes to /opt/ml itself would need a container.
"""

from __future__ import annotations

import json
import os
import re
import signal
import tarfile
import time
from pathlib import Path
from typing import Any, ClassVar

from local_aws.engines.script_log import last_exception
from local_aws.errors import ApiError
from local_aws.sagemaker import jobs
from local_aws.sagemaker.jobs import Job, JobError, StoppedError

STOP_SECONDS = 5  # between SIGTERM and SIGKILL; 120 on AWS
PROGRAM, SUBMITTED = "sagemaker_program", "sagemaker_submit_directory"
MESSAGES = {
    "Starting": "Preparing the instances for training",
    "Downloading": "Downloading input data",
    "Training": "Training image download completed. Training in progress.",
    "Uploading": "Uploading generated training model",
    "Completed": "Training job completed",
    "Failed": "Training job failed",
    "Stopping": "Stopping the training job",
    "Stopped": "Training job stopped",
    "MaxRuntimeExceeded": "Training job runtime exceeded MaxRuntimeInSeconds",
}
TAKEN = frozenset(
    [
        "TrainingJobName",
        "HyperParameters",
        "AlgorithmSpecification",
        "RoleArn",
        "InputDataConfig",
        "OutputDataConfig",
        "ResourceConfig",
        "VpcConfig",
        "StoppingCondition",
        "Tags",
        "Environment",
        "EnableNetworkIsolation",
        "EnableInterContainerTrafficEncryption",
        "EnableManagedSpotTraining",
    ]
)


class Training(Job):
    """A training job as DescribeTrainingJob shows it."""

    kind: ClassVar[str] = "TrainingJob"

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        output = self.request["OutputDataConfig"]["S3OutputPath"].rstrip("/")
        self.output_uri = f"{output}/{self.name}/output"
        self.record["SecondaryStatusTransitions"] = []
        self.timed_out = False
        self._turn("Starting")

    @property
    def parameters(self) -> dict[str, str]:
        """The hyperparameters, without the quotes that the Python SDK puts around texts."""
        return {
            key: _plain(value) for key, value in self.request.get("HyperParameters", {}).items()
        }

    def description(self) -> dict[str, Any]:
        """The job as DescribeTrainingJob shows it; times in seconds."""
        with self.lock:
            return {key: value for key, value in self.record.items() if key != "Tags"}

    def stop(self) -> None:
        """Stopping; the model that is there by then is kept, as on AWS."""
        with self.lock:
            if self.status == "InProgress":
                self._turn("Stopping")
            super().stop()

    def work(self) -> None:
        """Download, train, upload."""
        started = jobs.now()
        self.record["TrainingStartTime"] = started
        for each in ("input/config", "input/data", "model", "output/data", "code"):
            (self.folder / each).mkdir(parents=True)
        self._turn("Downloading")
        self._download()
        self._turn("Training")
        code = self._train()
        self._measure()
        if code:
            raise JobError(self._failure(code))
        if not self.stopping.is_set():
            self._turn("Uploading")
        self._upload("model", "model.tar.gz")
        self._upload("output/data", "output.tar.gz")
        self.record["ModelArtifacts"] = {"S3ModelArtifacts": f"{self.output_uri}/model.tar.gz"}
        if self.stopping.is_set() or self.timed_out:
            raise StoppedError

    def ending(self, status: str) -> None:
        """The last secondary status, and the times that are paid for."""
        moment = jobs.now()
        seconds = int((moment - self.record.get("TrainingStartTime", moment)).total_seconds())
        self.record.update(
            TrainingEndTime=moment, TrainingTimeInSeconds=seconds, BillableTimeInSeconds=seconds
        )
        self._turn("MaxRuntimeExceeded" if self.timed_out else status)
        self.record["SecondaryStatusTransitions"][-1]["EndTime"] = moment

    def _turn(self, secondary: str) -> None:
        moment, turns = jobs.now(), self.record["SecondaryStatusTransitions"]
        if turns:
            turns[-1]["EndTime"] = moment
        turns.append(
            {"Status": secondary, "StartTime": moment, "StatusMessage": MESSAGES[secondary]}
        )
        self.record.update(SecondaryStatus=secondary, LastModifiedTime=moment)

    def _download(self) -> None:
        s3 = self.client("s3")
        for channel in self.request.get("InputDataConfig", []):
            source = channel["DataSource"]["S3DataSource"]["S3Uri"]
            bucket, _, prefix = source.removeprefix("s3://").partition("/")
            folder = prefix if prefix.endswith("/") else os.path.dirname(prefix) + "/"  # noqa: PTH120 - a key, no path of this machine
            for key in jobs.keys(s3, source):
                name = key.removeprefix(folder) if folder != "/" else key
                jobs.download(
                    s3,
                    f"s3://{bucket}/{key}",
                    self.folder / "input/data" / channel["ChannelName"] / name,
                )
                if self.stopping.is_set():
                    raise StoppedError
        archive = jobs.download(s3, self.parameters[SUBMITTED], self.folder / "sourcedir.tar.gz")
        jobs.unpack(archive, self.folder / "code")
        (self.folder / "input/config/hyperparameters.json").write_text(
            json.dumps(self.request.get("HyperParameters", {}))
        )

    def _train(self) -> int:
        script = self.folder / "code" / self.parameters[PROGRAM]
        if not script.is_file():
            raise JobError(
                f"AlgorithmError: {self.parameters[PROGRAM]} is not in {self.parameters[SUBMITTED]}"
            )
        given = self._given()
        arguments = [part for key, value in given.items() for part in (f"--{key}", value)]
        process = self.start_process(
            [jobs.python(), str(script), *arguments], self._toolkit(given, arguments), script.parent
        )
        limit = self.request["StoppingCondition"]["MaxRuntimeInSeconds"]
        elapsed = (jobs.now() - self.record["TrainingStartTime"]).total_seconds()
        try:
            code = jobs.wait_for_process(process, self, max(limit - elapsed, 0))
        except StoppedError:
            return 0  # what the model folder holds is uploaded
        if code is None:
            self.timed_out = True
            self.terminate()
            deadline = time.monotonic() + STOP_SECONDS
            while process.poll() is None and time.monotonic() < deadline:
                time.sleep(0.1)
            self.terminate(signal.SIGKILL)
            process.wait()
            return 0
        return code

    def _given(self) -> dict[str, str]:
        return {
            key: value for key, value in self.parameters.items() if not key.startswith("sagemaker_")
        }

    def _toolkit(self, given: dict[str, str], arguments: list[str]) -> dict[str, str]:
        """The variables by which AWS's training toolkit tells a script where it is."""
        names = [each["ChannelName"] for each in self.request.get("InputDataConfig", [])]
        resources = self.request["ResourceConfig"]
        return {
            **self.request.get("Environment", {}),
            "TRAINING_JOB_NAME": self.name,
            "TRAINING_JOB_ARN": self.record["TrainingJobArn"],
            "SM_MODEL_DIR": str(self.folder / "model"),
            "SM_INPUT_DIR": str(self.folder / "input"),
            "SM_INPUT_CONFIG_DIR": str(self.folder / "input/config"),
            "SM_OUTPUT_DIR": str(self.folder / "output"),
            "SM_OUTPUT_DATA_DIR": str(self.folder / "output/data"),
            "SM_CHANNELS": json.dumps(names),
            **{
                f"SM_CHANNEL_{each.upper()}": str(self.folder / "input/data" / each)
                for each in names
            },
            "SM_HPS": json.dumps(given),
            **{f"SM_HP_{key.upper().replace('-', '_')}": value for key, value in given.items()},
            "SM_USER_ARGS": json.dumps(arguments),
            "SM_USER_ENTRY_POINT": self.parameters[PROGRAM],
            "SM_MODULE_DIR": self.parameters[SUBMITTED],
            "SM_HOSTS": '["algo-1"]',
            "SM_CURRENT_HOST": "algo-1",
            "SM_CURRENT_INSTANCE_TYPE": resources["InstanceType"],
            "SM_NUM_CPUS": str(os.cpu_count() or 1),
            "SM_NUM_GPUS": "0",
        }

    def _measure(self) -> None:
        """The last value of each metric that the definitions find in the log."""
        text, moment = self.log_text(), jobs.now()
        wanted = self.request["AlgorithmSpecification"].get("MetricDefinitions", [])
        found = {each["Name"]: re.findall(each["Regex"], text) for each in wanted}
        metrics = [
            {"MetricName": name, "Value": float(values[-1]), "Timestamp": moment}
            for name, values in found.items()
            if values
        ]
        if metrics:
            self.record["FinalMetricDataList"] = metrics

    def _failure(self, code: int) -> str:
        """As AWS names a script's failure: its own failure file, or what the toolkit writes
        there.
        """
        file = self.folder / "output/failure"
        if file.is_file():
            return (
                "AlgorithmError:"
                f" {file.read_text(errors='replace')[: jobs.REASON_CHARACTERS - 40]}, exit code:"
                f" {code}"
            )
        error = last_exception(self.log_text()) or "the script gave no reason"
        return (
            f'AlgorithmError: ExecuteUserScriptError:\nExitCode {code}\nErrorMessage "{error}",'
            f" exit code: {code}"
        )

    def _upload(self, folder: str, name: str) -> None:
        """A folder as a tar.gz below the job's output; nothing where an optional folder is
        empty.
        """
        source, archive = self.folder / folder, self.folder / name
        if folder != "model" and not any(source.iterdir()):
            return
        with tarfile.open(archive, "w:gz") as packed:
            for each in sorted(source.iterdir()):
                packed.add(each, arcname=each.name)
        bucket, _, key = f"{self.output_uri}/{name}".removeprefix("s3://").partition("/")
        kept = self.request["OutputDataConfig"].get("KmsKeyId")
        extra = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": kept} if kept else {}
        self.client("s3").upload_file(str(Path(archive)), bucket, key, ExtraArgs=extra)


def check(request: dict[str, Any]) -> None:
    """Raises ApiError for a job that AWS would refuse, or that this stand-in cannot run as
    asked.
    """
    if unknown := sorted(set(request) - TAKEN):
        raise _not_here(f"{', '.join(unknown)} of a training job")
    missing = {"AlgorithmSpecification", "ResourceConfig", "StoppingCondition"} - set(request)
    if missing:
        raise _not_here(f"training jobs without {', '.join(sorted(missing))}")
    jobs.check_image(request["AlgorithmSpecification"].get("TrainingImage", ""))
    if request["AlgorithmSpecification"]["TrainingInputMode"] != "File":
        raise _not_here("an input mode but File")
    if request["ResourceConfig"].get("InstanceCount", 1) != 1:
        raise _not_here("more than one instance")
    for each in (PROGRAM, SUBMITTED):
        if each not in request.get("HyperParameters", {}):
            raise _not_here(f"the scikit-learn container without the hyperparameter {each}")
    for each in request.get("InputDataConfig", []):
        source = each["DataSource"].get("S3DataSource", {})
        if (
            source.get("S3DataType") != "S3Prefix"
            or each.get("CompressionType", "None") != "None"
            or each.get("InputMode", "File") != "File"
            or each.get("RecordWrapperType", "None") != "None"
        ):
            raise _not_here("a channel that is not plain files below an S3 prefix")


def _plain(value: str) -> str:
    try:
        found = json.loads(value)
    except ValueError:
        return value
    return found if isinstance(found, str) else value


def _not_here(what: str) -> ApiError:
    return ApiError("NotInLocalAws", f"local_aws does not do {what}.", 501)
