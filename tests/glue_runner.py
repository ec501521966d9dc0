"""A role, a bucket for scripts, and runs of Glue jobs, for tests."""

import contextlib

import boto3
import service_roles
from until import until

WORK = ("s3:*", "glue:*", "logs:*", "kms:*")
ROLE = "arn:aws:iam::123456789012:role/glue-tests"
RUNNING = ("STARTING", "RUNNING", "STOPPING", "WAITING")


def bucket(name):
    with contextlib.suppress(boto3.client("s3").exceptions.BucketAlreadyOwnedByYou):
        boto3.client("s3").create_bucket(
            Bucket=name, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"}
        )


def job(name, script, **settings):
    service_roles.role("glue-tests", "glue.amazonaws.com", WORK)
    bucket("glue-scripts")
    boto3.client("s3").put_object(Bucket="glue-scripts", Key=f"{name}.py", Body=script)
    command = {
        "Name": "glueetl",
        "ScriptLocation": f"s3://glue-scripts/{name}.py",
        "PythonVersion": "3",
    }
    boto3.client("glue").create_job(
        **{"Name": name, "Role": ROLE, "Command": command, "GlueVersion": "5.1", **settings}
    )


def start(name, **arguments):
    told = {f"--{key}": value for key, value in arguments.items()}
    return boto3.client("glue").start_job_run(JobName=name, Arguments=told)["JobRunId"]


def state(name, run_id):
    return boto3.client("glue").get_job_run(JobName=name, RunId=run_id)["JobRun"]


def ended(name, run_id, timeout_seconds=120):
    over = lambda run: run["JobRunState"] not in RUNNING  # noqa: E731
    return until(lambda: state(name, run_id), over, timeout_seconds)


def log(name, run_id):
    events = boto3.client("logs").get_log_events(
        logGroupName=f"/aws-glue/jobs/{name}", logStreamName=run_id
    )["events"]
    return [each["message"] for each in events]
