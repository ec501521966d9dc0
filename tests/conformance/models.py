"""Questions about SageMaker: one small scikit-learn model, trained once."""

import io
import json
import tarfile
import uuid

from conformance.network import vpc
from conformance.question import NotAsked, question, refusal, until

SAGEMAKER = "https://docs.aws.amazon.com/sagemaker/latest/dg"
# "Docker registry paths" of SageMaker's documentation
REGISTRIES = {"eu-west-1": "141502667606", "eu-central-1": "492215442770"}
IMAGE = "sagemaker-scikit-learn:1.9-0-cpu-py3"
TRAINS = """
import os, pathlib
print("rows=3;")
pathlib.Path(os.environ["SM_MODEL_DIR"], "factor").write_text("3")
"""
SERVES = """
import pathlib
def model_fn(folder): return int(pathlib.Path(folder, "factor").read_text())
def input_fn(body, content_type): return [int(each) for each in body.split()]
def predict_fn(rows, model): return [each * model for each in rows]
def output_fn(rows, accept): return "\\n".join(map(str, rows)), accept
"""


@question("Completed", f"{SAGEMAKER}/encryption-at-rest.html", cost="dollars")
def sagemaker_kms_via_s3(sandbox):
    """How does a job end whose role may use the key of its output through S3 only?"""
    return _trained(sandbox)["TrainingJobStatus"]


@question([3.0], f"{SAGEMAKER}/training-metrics.html", cost="dollars")
def sagemaker_metrics(sandbox):
    """Which metrics has a job when it is first seen Completed?"""
    return [each["Value"] for each in _trained(sandbox).get("FinalMetricDataList", [])]


@question("Completed", "https://github.com/aws/sagemaker-scikit-learn-container", cost="dollars")
def sagemaker_serves_offline(sandbox):
    """How does a transform job end in a subnet without internet, with PIP_NO_BUILD_ISOLATION=0?"""
    return _transformed(sandbox, "with", {"PIP_NO_BUILD_ISOLATION": "0"})


@question(
    "Failed",
    "https://pip.pypa.io/en/stable/news/",
    cost="dollars",
    only_aws="the stand-in serves without installing anything",
)
def sagemaker_installs_online(sandbox):
    """How does the same job end without PIP_NO_BUILD_ISOLATION?"""
    return _transformed(sandbox, "without", {})


@question(["InService", ""], f"{SAGEMAKER}/studio-updated-and-internet-access.html", cost="cents")
def studio_is_made_without_endpoints(sandbox):
    """How does a domain without internet end, and with which code is its address refused, where the
    VPC has no endpoint of SageMaker?
    """
    sagemaker, (place, subnets) = sandbox.client("sagemaker"), vpc(sandbox)
    role, name = sandbox.role("studio", "sagemaker.amazonaws.com"), sandbox.name("studio")
    made = {
        "DomainName": name,
        "AuthMode": "IAM",
        "DefaultUserSettings": {"ExecutionRole": role},
        "SubnetIds": subnets,
        "VpcId": place,
        "AppNetworkAccessType": "VpcOnly",
    }
    until(lambda: _taken(sagemaker.create_domain, made), bool, "The role was not taken", 120)
    listed = sagemaker.list_domains()["Domains"]
    which = {"DomainId": next(e["DomainId"] for e in listed if e["DomainName"] == name)}
    # what is in a VPC goes before it
    sandbox.undo.callback(lambda: refusal(_settled, describe=sagemaker.describe_domain, **which))
    sandbox.after(sagemaker.delete_domain, **which, RetentionPolicy={"HomeEfsFileSystem": "Delete"})
    ended = _settled(sagemaker.describe_domain, **which)
    person, described = {**which, "UserProfileName": "asks"}, sagemaker.describe_user_profile
    sagemaker.create_user_profile(**person)
    sandbox.undo.callback(lambda: refusal(_settled, describe=described, **person))
    sandbox.after(sagemaker.delete_user_profile, **person)
    _settled(described, **person)
    return [ended, refusal(sagemaker.create_presigned_domain_url, **person)]


def _settled(describe, **which):
    """The status of a part of Studio that is being made, or goes."""
    return until(
        lambda: describe(**which)["Status"],
        lambda status: status not in ("Pending", "Deleting"),
        "It was still under way",
    )


@question("AccessDeniedException", f"{SAGEMAKER}/security_iam_service-with-iam.html")
def what_sagemaker_makes_with_tags_needs_a_right_to_tag(sandbox):
    """With which code is a group of models with a tag refused to who may make one, but no tags?"""
    session, name = sandbox.person("labels", "sagemaker:CreateModelPackageGroup"), "labelled"
    mine = sandbox.client("sagemaker")
    named = {"ModelPackageGroupName": sandbox.name(name)}
    sandbox.after(mine.delete_model_package_group, **named)
    create = session.client("sagemaker").create_model_package_group
    return refusal(create, **named, Tags=[{"Key": "a", "Value": "b"}])


def _trained(sandbox):
    """The job as it was when it had ended; trained for the first who asks."""
    if "trained" not in sandbox.shared:
        sandbox.shared["trained"] = {}
        sandbox.shared["trained"] = _train(sandbox)
    if sandbox.shared["trained"].get("TrainingJobStatus") is None:
        raise NotAsked("a training job: it failed for an earlier question")
    return sandbox.shared["trained"]


def _train(sandbox):
    sagemaker, bucket = sandbox.client("sagemaker"), sandbox.bucket("models")
    role = sandbox.role("models", "sagemaker.amazonaws.com")
    through_s3 = {"StringEquals": {"kms:ViaService": f"s3.{sandbox.region}.amazonaws.com"}}
    key_rights = ["kms:GenerateDataKey", "kms:Decrypt"]
    may = {"Effect": "Allow", "Action": key_rights, "Resource": "*", "Condition": through_s3}
    rights = ["s3:*", "logs:*", "cloudwatch:PutMetricData", "ecr:*", "ec2:*"]
    sandbox.allow("models", *rights, statements=[may])
    name = sandbox.name(uuid.uuid4().hex[:8])
    job = {
        "TrainingJobName": name,
        "RoleArn": role,
        "AlgorithmSpecification": {
            "TrainingImage": _image(sandbox),
            "TrainingInputMode": "File",
            "MetricDefinitions": [{"Name": "rows", "Regex": r"rows=(\d+);"}],
        },
        "HyperParameters": {
            "sagemaker_program": json.dumps("program.py"),
            "sagemaker_submit_directory": json.dumps(_packed(sandbox, bucket, "trains", TRAINS)),
        },
        "OutputDataConfig": {
            "S3OutputPath": f"s3://{bucket}/models",
            "KmsKeyId": sandbox.key("models"),
        },
        "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 5},
        "StoppingCondition": {"MaxRuntimeInSeconds": 900},
    }
    until(lambda: _taken(sagemaker.create_training_job, job), bool, "The role was not taken", 120)
    return until(
        lambda: sagemaker.describe_training_job(TrainingJobName=name),
        lambda found: found["TrainingJobStatus"] not in ("InProgress", "Stopping"),
        "The job was still under way",
        1800,
    )


def _taken(create, arguments):
    """Whether a job is made; a new role cannot be taken at once."""
    try:
        create(**arguments)
    except create.__self__.exceptions.ClientError as error:
        if "assume role" not in error.response["Error"]["Message"]:
            raise
        return False
    return True


def _transformed(sandbox, of, environment):
    """How a transform job ends, in a subnet whose only way out is one to S3."""
    trained, sagemaker = _trained(sandbox), sandbox.client("sagemaker")
    if trained["TrainingJobStatus"] != "Completed":
        raise NotAsked("a model: the training failed")
    bucket = trained["OutputDataConfig"]["S3OutputPath"].split("/")[2]
    subnets, group = _private_place(sandbox)
    served = {
        "SAGEMAKER_PROGRAM": "program.py",
        "SAGEMAKER_SUBMIT_DIRECTORY": _packed(sandbox, bucket, "serves", SERVES),
    }
    name = f"{sandbox.name(of)}-{uuid.uuid4().hex[:8]}"
    sagemaker.create_model(
        ModelName=name,
        ExecutionRoleArn=trained["RoleArn"],
        PrimaryContainer={
            "Image": _image(sandbox),
            "ModelDataUrl": trained["ModelArtifacts"]["S3ModelArtifacts"],
            "Environment": {**served, **environment},
        },
        VpcConfig={"Subnets": subnets, "SecurityGroupIds": [group]},
    )
    sandbox.after(sagemaker.delete_model, ModelName=name)
    sandbox.client("s3").put_object(Bucket=bucket, Key="in/a.csv", Body=b"1\n2\n")
    source = {"S3DataType": "S3Prefix", "S3Uri": f"s3://{bucket}/in/"}
    sagemaker.create_transform_job(
        TransformJobName=name,
        ModelName=name,
        TransformInput={
            "DataSource": {"S3DataSource": source},
            "ContentType": "text/csv",
            "SplitType": "Line",
        },
        TransformOutput={
            "S3OutputPath": f"s3://{bucket}/out",
            "Accept": "text/csv",
            "AssembleWith": "Line",
        },
        TransformResources={"InstanceType": "ml.m5.large", "InstanceCount": 1},
    )
    return until(
        lambda: sagemaker.describe_transform_job(TransformJobName=name)["TransformJobStatus"],
        lambda status: status not in ("InProgress", "Stopping"),
        "The job was still under way",
        3600,
    )


def _private_place(sandbox):
    """Subnets that lead nowhere but to S3, and the group of what is in them."""
    if "private" not in sandbox.shared:
        ec2, (place, subnets) = sandbox.client("ec2"), vpc(sandbox)
        of_vpc = [{"Name": "vpc-id", "Values": [place]}]
        tables = ec2.describe_route_tables(Filters=of_vpc)["RouteTables"]
        made = ec2.create_vpc_endpoint(
            VpcEndpointType="Gateway",
            VpcId=place,
            ServiceName=f"com.amazonaws.{sandbox.region}.s3",
            RouteTableIds=[each["RouteTableId"] for each in tables],
        )["VpcEndpoint"]["VpcEndpointId"]
        sandbox.after(ec2.delete_vpc_endpoints, VpcEndpointIds=[made])
        groups = ec2.describe_security_groups(Filters=of_vpc)["SecurityGroups"]
        sandbox.shared["private"] = subnets, groups[0]["GroupId"]
    return sandbox.shared["private"]


def _image(sandbox):
    if sandbox.region not in REGISTRIES:
        raise NotAsked(f"the registry of {sandbox.region}: add it to REGISTRIES")
    return f"{REGISTRIES[sandbox.region]}.dkr.ecr.{sandbox.region}.amazonaws.com/{IMAGE}"


def _packed(sandbox, bucket, of, script):
    """Where a script is kept as a tar.gz."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        entry = tarfile.TarInfo("program.py")
        entry.size = len(script.encode())
        archive.addfile(entry, io.BytesIO(script.encode()))
    key = f"code/{of}.tar.gz"
    sandbox.client("s3").put_object(Bucket=bucket, Key=key, Body=packed.getvalue())
    return f"s3://{bucket}/{key}"
