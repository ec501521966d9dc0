"""SageMaker's jobs in the stand-in: the contract of the scikit-learn container, kept by real
processes.
"""

import io
import tarfile
import uuid

import boto3
import pytest
import service_roles
from botocore.exceptions import ClientError
from conformance.models import SERVES
from until import until

from local_aws import settings

IMAGE = "141502667606.dkr.ecr.eu-west-1.amazonaws.com/sagemaker-scikit-learn:1.2-1-cpu-py3"
SAGEMAKER = "sagemaker.amazonaws.com"
ROLE = "arn:aws:iam::123456789012:role/sagemaker-tests"
DOUBLES = """
import os, pathlib, sys
rows = pathlib.Path(os.environ["SM_CHANNEL_TRAIN"], "part/rows.csv").read_text().split()
print("rows=%d; given=%s" % (len(rows), sys.argv[1:]))
pathlib.Path(os.environ["SM_MODEL_DIR"], "factor").write_text(os.environ["SM_HP_FACTOR"])
pathlib.Path(os.environ["SM_OUTPUT_DATA_DIR"], "note").write_text("seen")
"""


@pytest.fixture(scope="module", autouse=True)
def account(stand_in):
    service_roles.role("sagemaker-tests", SAGEMAKER, ("s3:*", "logs:*"))
    s3 = boto3.client("s3")
    s3.create_bucket(
        Bucket="learning", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"}
    )
    s3.put_object(Bucket="learning", Key="train/part/rows.csv", Body="1\n2\n3\n")
    s3.put_object(Bucket="learning", Key="train-other/rows.csv", Body="not mine")


def submitted(script):
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        entry = tarfile.TarInfo("program.py")
        entry.size = len(script.encode())
        archive.addfile(entry, io.BytesIO(script.encode()))
    key = f"code/{uuid.uuid4().hex}.tar.gz"
    boto3.client("s3").put_object(Bucket="learning", Key=key, Body=packed.getvalue())
    return f"s3://learning/{key}"


def asked(script, **settings):
    given = {
        "sagemaker_program": "program.py",
        "sagemaker_submit_directory": submitted(script),
        "factor": "3",
    }
    source = {
        "S3DataType": "S3Prefix",
        "S3Uri": "s3://learning/train/",
        "S3DataDistributionType": "FullyReplicated",
    }
    metric = {"Name": "rows", "Regex": r"rows=(\d+);"}
    return {
        "TrainingJobName": f"job-{uuid.uuid4().hex[:8]}",
        "RoleArn": ROLE,
        "AlgorithmSpecification": {
            "TrainingImage": IMAGE,
            "TrainingInputMode": "File",
            "MetricDefinitions": [metric],
        },
        "HyperParameters": given,
        "InputDataConfig": [{"ChannelName": "train", "DataSource": {"S3DataSource": source}}],
        "OutputDataConfig": {"S3OutputPath": "s3://learning/models"},
        "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 5},
        "StoppingCondition": {"MaxRuntimeInSeconds": 60},
        **settings,
    }


def started(script, **settings):
    told = asked(script, **settings)
    boto3.client("sagemaker").create_training_job(**told)
    return told["TrainingJobName"]


def described(name):
    return boto3.client("sagemaker").describe_training_job(TrainingJobName=name)


def ended(name):
    unfinished = "InProgress", "Stopping"
    return until(lambda: described(name), lambda it: it["TrainingJobStatus"] not in unfinished)


def unpacked(uri):
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    packed = boto3.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read()
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        return {
            each.name: archive.extractfile(each).read().decode()
            for each in archive
            if each.isfile()
        }


def test_a_script_gets_its_channel_and_leaves_model_output_metrics_and_a_log():
    name = started(DOUBLES)
    boto3.client("sagemaker").get_waiter("training_job_completed_or_stopped").wait(
        TrainingJobName=name, WaiterConfig={"Delay": 0.1, "MaxAttempts": 600}
    )
    job = described(name)
    assert job["TrainingJobStatus"] == job["SecondaryStatus"] == "Completed"
    assert unpacked(job["ModelArtifacts"]["S3ModelArtifacts"]) == {"factor": "3"}
    assert unpacked(f"s3://learning/models/{name}/output/output.tar.gz") == {"note": "seen"}
    assert [(each["MetricName"], each["Value"]) for each in job["FinalMetricDataList"]] == [
        ("rows", 3.0)
    ]
    turns = [each["Status"] for each in job["SecondaryStatusTransitions"]]
    assert turns == ["Starting", "Downloading", "Training", "Uploading", "Completed"]
    logs, group = boto3.client("logs"), "/aws/sagemaker/TrainingJobs"
    stream = logs.describe_log_streams(logGroupName=group, logStreamNamePrefix=f"{name}/algo-1-")[
        "logStreams"
    ][0]
    events = logs.get_log_events(logGroupName=group, logStreamName=stream["logStreamName"])[
        "events"
    ]
    assert [each["message"] for each in events] == ["rows=3; given=['--factor', '3']"]


def test_a_script_that_raises_fails_the_job_with_its_error():
    job = ended(started("raise ValueError('no such column')"))
    assert job["TrainingJobStatus"] == "Failed"
    assert "ValueError: no such column" in job["FailureReason"]
    assert "ModelArtifacts" not in job or not job["ModelArtifacts"].get("S3ModelArtifacts")


def test_the_failure_file_is_the_reason_and_the_exit_code_stands_beside_it():
    script = (
        "import os, sys\nopen(os.environ['SM_OUTPUT_DIR'] + '/failure', 'w').write('x' *"
        " 5000)\nsys.exit(7)"
    )
    reason = ended(started(script))["FailureReason"]
    assert "xxx" in reason
    assert reason.endswith("exit code: 7")
    assert len(reason) <= 1024


def test_a_job_that_takes_too_long_is_stopped_and_keeps_its_model():
    script = (
        "import os, time\nopen(os.environ['SM_MODEL_DIR'] + '/half',"
        " 'w').write('half')\ntime.sleep(60)"
    )
    job = ended(started(script, StoppingCondition={"MaxRuntimeInSeconds": 3}))
    assert (job["TrainingJobStatus"], job["SecondaryStatus"]) == ("Stopped", "MaxRuntimeExceeded")
    assert unpacked(job["ModelArtifacts"]["S3ModelArtifacts"]) == {"half": "half"}


def test_a_stopped_job_ends_stopped(tmp_path):
    begun = tmp_path / "begun"
    name = started(f"import pathlib, time\npathlib.Path({str(begun)!r}).touch()\ntime.sleep(60)")
    until(begun.exists)
    boto3.client("sagemaker").stop_training_job(TrainingJobName=name)
    assert ended(name)["TrainingJobStatus"] == "Stopped"


def test_a_name_is_taken_for_ever():
    told = asked("pass")
    client = boto3.client("sagemaker")
    client.create_training_job(**told)
    ended(told["TrainingJobName"])
    with pytest.raises(client.exceptions.ResourceInUse):
        client.create_training_job(**told)


def test_an_image_of_ones_own_is_refused_loudly():
    own = {
        "TrainingImage": "123456789012.dkr.ecr.eu-west-1.amazonaws.com/mine:1",
        "TrainingInputMode": "File",
    }
    with pytest.raises(ClientError, match="NotInLocalAws"):
        started("pass", AlgorithmSpecification=own)


def test_a_channel_without_objects_is_refused():
    source = {"S3DataType": "S3Prefix", "S3Uri": "s3://learning/nothing/"}
    with pytest.raises(ClientError, match="No S3 objects found"):
        started(
            "pass",
            InputDataConfig=[{"ChannelName": "train", "DataSource": {"S3DataSource": source}}],
        )


def test_a_role_that_sagemaker_may_not_take_is_refused():
    with pytest.raises(ClientError, match="Could not assume role"):
        started("pass", RoleArn="arn:aws:iam::123456789012:role/nobody")


def test_a_role_that_may_list_but_not_read_fails_the_job():
    role = service_roles.role("sagemaker-lists", SAGEMAKER, ("s3:ListBucket",))
    job = ended(started(DOUBLES, RoleArn=role))
    assert job["TrainingJobStatus"] == "Failed"
    assert "download" in job["FailureReason"]


@pytest.fixture(scope="module")
def model(account):
    job = ended(started(DOUBLES))
    variables = {"SAGEMAKER_PROGRAM": "program.py", "SAGEMAKER_SUBMIT_DIRECTORY": submitted(SERVES)}
    data = job["ModelArtifacts"]["S3ModelArtifacts"]
    container = {"Image": IMAGE, "ModelDataUrl": data, "Environment": variables}
    boto3.client("sagemaker").create_model(
        ModelName="triples", ExecutionRoleArn=ROLE, PrimaryContainer=container
    )
    return "triples"


def transformed(model, prefix, **settings):
    client, name = boto3.client("sagemaker"), f"job-{uuid.uuid4().hex[:8]}"
    source = {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": f"s3://learning/{prefix}"}}
    told = {
        "TransformJobName": name,
        "ModelName": model,
        "TransformInput": {"DataSource": source, "ContentType": "text/csv", "SplitType": "Line"},
        "TransformOutput": {
            "S3OutputPath": f"s3://learning/out/{name}",
            "Accept": "text/csv",
            "AssembleWith": "Line",
        },
        "TransformResources": {"InstanceType": "ml.m5.large", "InstanceCount": 1},
        **settings,
    }
    client.create_transform_job(**told)
    return until(
        lambda: client.describe_transform_job(TransformJobName=name),
        lambda it: it["TransformJobStatus"] != "InProgress",
    )


def outputs(job):
    s3, prefix = (
        boto3.client("s3"),
        job["TransformOutput"]["S3OutputPath"].removeprefix("s3://learning/"),
    )
    found = s3.list_objects_v2(Bucket="learning", Prefix=prefix).get("Contents", [])
    return {
        each["Key"].removeprefix(prefix + "/"): (
            s3.get_object(Bucket="learning", Key=each["Key"])["Body"].read().decode()
        )
        for each in found
    }


@pytest.mark.parametrize("strategy", ["MultiRecord", "SingleRecord"])
def test_every_line_of_every_object_is_answered_in_order(model, strategy):
    s3 = boto3.client("s3")
    s3.put_object(Bucket="learning", Key="in/a.csv", Body="1\n2\n3\n")
    s3.put_object(Bucket="learning", Key="in/sub/b.csv", Body="10\n20")
    job = transformed(model, "in/", BatchStrategy=strategy)
    assert job["TransformJobStatus"] == "Completed", job
    assert outputs(job) == {"a.csv.out": "3\n6\n9\n", "sub/b.csv.out": "30\n60\n"}


def test_a_line_that_the_model_cannot_read_fails_the_job_and_leaves_no_output(model):
    boto3.client("s3").put_object(Bucket="learning", Key="bad/a.csv", Body="1\nx\n")
    job = transformed(model, "bad/")
    assert job["TransformJobStatus"] == "Failed"
    assert "invalid literal" in job["FailureReason"]
    assert outputs(job) == {}


def test_a_model_without_its_file_is_refused():
    container = {
        "Image": IMAGE,
        "ModelDataUrl": "s3://learning/none.tar.gz",
        "Environment": {
            "SAGEMAKER_PROGRAM": "program.py",
            "SAGEMAKER_SUBMIT_DIRECTORY": "s3://learning/none",
        },
    }
    with pytest.raises(ClientError, match="Could not access model data"):
        boto3.client("sagemaker").create_model(
            ModelName="none", ExecutionRoleArn=ROLE, PrimaryContainer=container
        )


def test_what_is_not_done_is_refused():
    with pytest.raises(ClientError, match="NotInLocalAws"):
        boto3.client("sagemaker").create_endpoint_config(
            EndpointConfigName="e", ProductionVariants=[{"VariantName": "v", "ModelName": "m"}]
        )


def test_a_domain_is_made_of_what_is_there_and_stays_while_somebody_is_in_it(account):
    client, ec2 = boto3.client("sagemaker"), boto3.client("ec2")
    vpcs = [ec2.create_vpc(CidrBlock="10.11.0.0/16")["Vpc"]["VpcId"] for _ in range(2)]
    subnets = [
        ec2.create_subnet(VpcId=each, CidrBlock="10.11.1.0/24")["Subnet"]["SubnetId"]
        for each in vpcs
    ]
    told = {
        "DomainName": "tests",
        "AuthMode": "IAM",
        "DefaultUserSettings": {"ExecutionRole": ROLE},
    }
    for wrong, said in [
        ({"VpcId": vpcs[0], "SubnetIds": subnets}, "are not in VPC"),
        ({"VpcId": vpcs[0], "SubnetIds": ["subnet-0"]}, "does not exist"),
        (
            {
                "VpcId": vpcs[0],
                "SubnetIds": subnets[:1],
                "DefaultUserSettings": {"ExecutionRole": ROLE + "x"},
            },
            "unable to assume",
        ),
    ]:
        with pytest.raises(ClientError, match=said):
            client.create_domain(**{**told, **wrong})
    with settings.settling(3600):
        unready = client.create_domain(
            **{**told, "DomainName": "unready"}, VpcId=vpcs[1], SubnetIds=subnets[1:]
        )["DomainId"]
    assert client.describe_domain(DomainId=unready)["Status"] == "Pending"
    with pytest.raises(ClientError, match="not in InService"):
        client.create_user_profile(DomainId=unready, UserProfileName="ann")
    made = client.create_domain(**told, VpcId=vpcs[0], SubnetIds=subnets[:1])["DomainId"]
    assert client.describe_domain(DomainId=made)["Status"] == "InService"
    person = {"DomainId": made, "UserProfileName": "ann"}
    client.create_user_profile(**person)
    with pytest.raises(client.exceptions.ResourceInUse):
        client.delete_domain(DomainId=made)
    client.delete_user_profile(**person)
    client.delete_domain(DomainId=made)
    with pytest.raises(client.exceptions.ResourceNotFound):
        client.describe_domain(DomainId=made)
