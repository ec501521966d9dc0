"""The stand-in as a whole: it refuses what it does not do, keeps objects as files, and tells where
it runs.
"""

import errno
import json
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import boto3
import pytest
from botocore.exceptions import ClientError

import local_aws
from local_aws import constraints, coverage, server, services, settings, wire
from local_aws.s3.objects import Objects

REFUSED = [
    ("quicksight", "list_topics", {"AwsAccountId": "123456789012"}),
    ("sagemaker", "list_endpoints", {}),
    ("redshift", "describe_usage_limits", {}),
    ("glue", "start_crawler", {"Name": "c"}),
    ("sts", "get_federation_token", {"Name": "somebody"}),
]


@pytest.mark.parametrize(
    ("service", "operation", "parameters"),
    REFUSED,
    ids=[f"{each[0]}.{each[1]}" for each in REFUSED],
)
def test_what_is_not_done_is_refused_loudly(aws, service, operation, parameters):
    with pytest.raises(ClientError) as refused:
        getattr(aws(service), operation)(**parameters)
    assert refused.value.response["Error"]["Code"] in ("NotInLocalAws", "501")


def _glue_table(comment):
    column = {"Name": "status", "Type": "string", "Comment": comment}
    return {"Name": "t", "StorageDescriptor": {"Columns": [column]}}


AGAINST_THE_MODEL = [  # service, operation, parameters; the code and words of the refusal
    (
        "glue",
        "create_table",
        {"DatabaseName": "d", "TableInput": _glue_table("A = active\nB = blocked")},
        "ValidationException",
        "'tableInput.storageDescriptor.columns.1.member.comment'.*regular expression",
    ),
    (
        "glue",
        "create_table",
        {"DatabaseName": "d", "TableInput": _glue_table("x" * 256)},
        "ValidationException",
        "length less than or equal to 255",
    ),
    (
        "redshift-data",
        "batch_execute_statement",
        {"WorkgroupName": "www", "Database": "d", "Sqls": ["select 1"] * 41},
        "ValidationException",
        "'sqls'.*length less than or equal to 40",
    ),
    (
        "iam",
        "create_role",
        {"RoleName": "no blanks", "AssumeRolePolicyDocument": "{}"},
        "ValidationError",
        "'no blanks' at 'roleName'.*regular expression",
    ),
    (
        "logs",
        "create_log_group",
        {"logGroupName": "a:b"},
        "InvalidParameterException",
        "'logGroupName'",
    ),
    (
        "quicksight",
        "create_data_set",
        {
            "AwsAccountId": "123456789012",
            "DataSetId": "d",
            "Name": "d",
            "ImportMode": "SPICE",
            "PhysicalTableMap": {
                "table_1": {"CustomSql": {"DataSourceArn": "a", "Name": "n", "SqlQuery": "q"}}
            },
        },
        "ValidationException",
        "Map keys must satisfy constraint",
    ),
    (
        "sagemaker",
        "list_models",
        {"MaxResults": 101},
        "ValidationException",
        "'101' at 'maxResults'.*value less than or equal to 100",
    ),
    (
        "ec2",
        "create_vpc_endpoint",
        {"VpcId": "vpc-1", "ServiceName": "s", "VpcEndpointType": "Bridge"},
        "InvalidParameterValue",
        "Bridge",
    ),
    (
        "lakeformation",
        "list_permissions",
        {"ResourceType": "ROWS"},
        "ValidationException",
        "enum value set",
    ),
]


@pytest.mark.parametrize(
    ("service", "operation", "parameters", "code", "words"),
    AGAINST_THE_MODEL,
    ids=[f"{each[0]}.{each[1]}.{each[4][:20]}" for each in AGAINST_THE_MODEL],
)
def test_a_request_that_the_service_model_does_not_allow_is_refused_as_the_service_does(
    aws, service, operation, parameters, code, words
):
    with pytest.raises(ClientError, match=words) as refused:
        getattr(aws(service), operation)(**parameters)
    assert refused.value.response["Error"]["Code"] == code


ANSWERS = [  # of DescribeEndpoints: what is wrong, and how it is said
    ({"Endpoints": {}}, ".Endpoints is dict and not list"),
    ({"Endpoints": [{"EndpointType": "both"}]}, ".Endpoints[].EndpointType is 'both'"),
    ({"Endpoints": [{"ServerName": 1}]}, ".Endpoints[].ServerName is int and not string"),
    ({"Endpoint": []}, ".Endpoint is unknown"),
]


@pytest.mark.parametrize(("answer", "words"), ANSWERS)
def test_an_answer_that_the_service_model_does_not_allow_is_found(answer, words):
    operation = wire.model("dms").operation_model("DescribeEndpoints")
    assert [each[: len(words)] for each in constraints.wrong_in_answer(operation, answer)] == [
        words
    ]


def test_a_missing_member_of_an_answer_is_found():
    operation = wire.model("glue").operation_model("GetDatabase")
    assert constraints.wrong_in_answer(operation, {"Database": {}}) == [".Database.Name is missing"]


def test_every_pattern_of_the_service_models_is_understood():
    def patterns(shape, seen):
        if shape is None or shape.name in seen:
            return
        seen.add(shape.name)
        if pattern := shape.metadata.get("pattern"):
            yield pattern
        inner = {
            "structure": lambda: tuple(shape.members.values()),
            "list": lambda: (shape.member,),
            "map": lambda: (shape.key, shape.value),
        }
        for each in inner.get(shape.type_name, tuple)():
            yield from patterns(each, seen)

    for name in services.SERVICES:
        model, seen = wire.model(name), set()
        for operation in model.operation_names:
            for pattern in patterns(model.operation_model(operation).input_shape, seen):
                constraints.compiled(pattern)


def test_checking_a_request_takes_no_time_that_a_caller_would_notice():
    operation = wire.model("glue").operation_model("CreateTable")
    columns = [{"Name": f"c{n}", "Type": "string", "Comment": "x" * 200} for n in range(400)]
    table = {"Name": "t", "StorageDescriptor": {"Columns": columns}}
    constraints.check_request(operation, {"DatabaseName": "d", "TableInput": table})
    started = time.process_time()
    for _ in range(10):
        constraints.check_request(operation, {"DatabaseName": "d", "TableInput": table})
    assert time.process_time() - started < 1  # ten tables of 400 columns, on any machine


@pytest.fixture
def bucket(aws):
    s3 = aws("s3")
    s3.create_bucket(
        Bucket="object-tests", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"}
    )
    yield s3
    for each in s3.list_objects_v2(Bucket="object-tests").get("Contents", []):
        s3.delete_object(Bucket="object-tests", Key=each["Key"])
    s3.delete_bucket(Bucket="object-tests")


def _objects() -> Objects:
    from moto.s3 import models  # noqa: PLC0415

    return models.FakeBucket.__init__.__closure__ and next(
        cell.cell_contents
        for cell in models.FakeBucket.__init__.__closure__
        if isinstance(cell.cell_contents, Objects)
    )


def test_an_object_is_a_plain_file_that_engines_can_read(bucket):
    bucket.put_object(Bucket="object-tests", Key="a/b c/ü.txt", Body=b"hello")
    assert _objects().path("object-tests", "a/b c/ü.txt").read_bytes() == b"hello"


def test_a_range_of_an_object_is_read(bucket):
    bucket.put_object(Bucket="object-tests", Key="k", Body=b"0123456789")
    read = lambda asked: bucket.get_object(Bucket="object-tests", Key="k", Range=asked)[  # noqa: E731
        "Body"
    ].read()
    assert [read("bytes=2-4"), read("bytes=7-"), read("bytes=-2")] == [b"234", b"789", b"89"]


def test_files_an_engine_wrote_are_objects_once_adopted(bucket):
    objects = _objects()
    file = objects.path("object-tests", "t/part-0.parquet")
    file.parent.mkdir(parents=True)
    file.write_bytes(b"first")
    objects.adopt("object-tests", "t/")
    file.write_bytes(b"second, longer")
    objects.adopt("object-tests", "t/")
    assert (
        bucket.get_object(Bucket="object-tests", Key="t/part-0.parquet")["Body"].read()
        == b"second, longer"
    )
    file.unlink()
    objects.adopt("object-tests", "t/")
    assert "Contents" not in bucket.list_objects_v2(Bucket="object-tests")


def test_listing_versions_leaves_objects_as_they_are(bucket):
    a = {"Bucket": "object-tests", "Key": "a.py"}
    bucket.put_object(**a, Body=b"pass", Metadata={"sha256": "1"})
    assert len(bucket.list_object_versions(Bucket="object-tests")["Versions"]) == 1
    _objects().adopt("object-tests")  # as after every run of a Glue job
    assert bucket.head_object(**a)["Metadata"] == {"sha256": "1"}


def test_deleting_the_last_object_leaves_the_bucket(bucket):
    bucket.put_object(Bucket="object-tests", Key="a/b", Body=b"x")
    bucket.delete_objects(Bucket="object-tests", Delete={"Objects": [{"Key": "a/b"}]})
    assert _objects().path("object-tests", "").is_dir()


def test_an_absent_object_is_aws_own_error(bucket):
    with pytest.raises(bucket.exceptions.NoSuchKey):
        bucket.get_object(Bucket="object-tests", Key="absent")


def test_every_call_is_in_the_log_and_reads_are_not_changing(stand_in, aws):
    aws("sts").get_caller_identity()
    directory = json.load(urllib.request.urlopen(stand_in["AWS_ENDPOINT_URL"] + "/_local_aws"))[
        "directory"
    ]
    last = json.loads((Path(directory) / "calls.jsonl").read_text().splitlines()[-1])
    assert (last["service"], last["operation"], last["changing"]) == (
        "sts",
        "GetCallerIdentity",
        False,
    )


def test_a_port_in_use_is_one_clear_sentence(stand_in, tmp_path):
    port = int(stand_in["AWS_ENDPOINT_URL"].rsplit(":", 1)[1])
    with (
        pytest.raises(server.LocalAwsError, match=f"Port {port} is in use"),
        server.serving(tmp_path, port),
    ):
        pass
    command = [
        sys.executable,
        "-m",
        "local_aws",
        "--port",
        str(port),
        "--data",
        str(tmp_path / "data"),
    ]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 1
    assert len(ended.stderr.strip().splitlines()) == 1


def test_coverage_page_agrees_with_the_code():
    page = coverage.Path(coverage.__file__).with_name("COVERAGE.md").read_text()
    assert page == coverage.coverage(), "run python -m local_aws.coverage"


def test_the_command_that_starts_and_stops_imports_no_service():
    code = "import sys, local_aws.__main__; raise SystemExit('moto' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_our_operations_are_operations_of_aws():
    from local_aws import wire  # noqa: PLC0415

    for name, entry in services.SERVICES.items():
        known = set(wire.model(name).operation_names)
        ours = {each for each in vars(entry.ours or object) if each[0].isupper()} | entry.from_moto
        assert ours <= known, (name, ours - known)


def test_the_two_packages_never_import_each_other():
    root = coverage.Path(local_aws.__file__).parents[1]
    for mine, other in (("lakebook", "local_aws"), ("local_aws", "lakebook")):
        found = [
            file.name
            for file in (root / mine).rglob("*.py")
            if f"import {other}" in file.read_text() or f"from {other}" in file.read_text()
        ]
        assert found == []


def test_boto3_clients_need_nothing_but_the_environment(stand_in):
    assert boto3.client("s3").meta.endpoint_url == stand_in["AWS_ENDPOINT_URL"]


def test_a_full_disk_is_one_clear_sentence_and_changes_nothing(bucket, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("local_aws.s3.objects._Content.write", full)
    with pytest.raises(ClientError, match="disk of the stand-in's directory is full"):
        bucket.put_object(Bucket="object-tests", Key="k", Body=b"x")
    assert "Contents" not in bucket.list_objects_v2(Bucket="object-tests")


def connection_state(directconnect):
    """A new Direct Connect connection's state when it is described at once."""
    made = directconnect.create_connection(
        location="EqDB1", bandwidth="1Gbps", connectionName="settles"
    )
    try:
        described = directconnect.describe_connections(connectionId=made["connectionId"])
        return described["connections"][0]["connectionState"]
    finally:
        directconnect.delete_connection(connectionId=made["connectionId"])


def namespace_status(serverless):
    """The status of a Redshift Serverless namespace right after it was deleted."""
    serverless.create_namespace(namespaceName="settles")
    serverless.delete_namespace(namespaceName="settles")
    listed = serverless.list_namespaces()["namespaces"]
    return [each["status"] for each in listed if each["namespaceName"] == "settles"]


@pytest.mark.parametrize(
    ("service", "state", "unsettled", "settled"),
    [
        ("directconnect", connection_state, "requested", "available"),
        ("redshift-serverless", namespace_status, ["DELETING"], []),
    ],
)
def test_one_switch_says_how_long_everything_takes_to_settle(
    aws, service, state, unsettled, settled
):
    before = settings.settle_seconds
    with settings.settling(0):
        assert state(aws(service)) == settled
    with settings.settling(10):
        assert state(aws(service)) == unsettled
    assert settings.settle_seconds == before
