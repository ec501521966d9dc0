"""Engines act as their service roles, and Athena as who asks: what those may not do fails as it
fails on AWS.
"""

import contextlib
import time

import boto3
import glue_runner
import pytest
from dms_tasks import INCLUDE_ALL, included, place, role  # noqa: F401 - fixtures
from nasty_source import server  # noqa: F401 - a fixture
from service_roles import trust
from test_iam import document, of
from until import until

ACCOUNT, REGION = "123456789012", "eu-west-1"
BUCKET = "roles-lake"
CREATES = "CREATE EXTERNAL TABLE roles.t (n int) STORED AS PARQUET LOCATION 's3://roles-lake/t/'"


def person(name, *statements):
    """Keys of a user who may do what the statements say."""
    iam = boto3.client("iam")
    with contextlib.suppress(iam.exceptions.EntityAlreadyExistsException):
        iam.create_user(UserName=name)
    iam.put_user_policy(UserName=name, PolicyName="own", PolicyDocument=document(*statements))
    for each in iam.list_access_keys(UserName=name)["AccessKeyMetadata"]:
        iam.delete_access_key(UserName=name, AccessKeyId=each["AccessKeyId"])
    return of(iam.create_access_key(UserName=name)["AccessKey"])


def service_role(name, principal, *statements):
    iam = boto3.client("iam")
    with contextlib.suppress(iam.exceptions.EntityAlreadyExistsException):
        iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust(principal))
    allow(name, *statements)
    return f"arn:aws:iam::{ACCOUNT}:role/{name}"


def allow(name, *statements):
    boto3.client("iam").put_role_policy(
        RoleName=name, PolicyName="allowed", PolicyDocument=document(*statements)
    )


@pytest.fixture(scope="module")
def lake(stand_in):
    """A bucket and a table with one row."""
    glue_runner.bucket(BUCKET)
    with contextlib.suppress(boto3.client("glue").exceptions.AlreadyExistsException):
        boto3.client("glue").create_database(DatabaseInput={"Name": "roles"})
    assert query(boto3, CREATES)[0] == "SUCCEEDED"
    assert query(boto3, "INSERT INTO roles.t VALUES (1)")[0] == "SUCCEEDED"


def query(who, sql, folder=f"s3://{BUCKET}/results/"):
    """State and reason of a query of Athena."""
    athena = who.client("athena")
    told = {"QueryString": sql, "ResultConfiguration": {"OutputLocation": folder}}
    query_id = athena.start_query_execution(**told)["QueryExecutionId"]
    state = lambda: athena.get_query_execution(QueryExecutionId=query_id)["QueryExecution"][  # noqa: E731
        "Status"
    ]
    ended = until(state, lambda it: it["State"] not in ("QUEUED", "RUNNING"))
    return ended["State"], ended.get("StateChangeReason", "")


# Athena

ASK = {"Action": "athena:*", "Resource": "*"}
LOOK = {"Action": ["glue:GetTable", "glue:GetDatabase", "glue:GetPartitions"], "Resource": "*"}
RESULTS = {
    "Action": ["s3:PutObject", "s3:GetObject"],
    "Resource": f"arn:aws:s3:::{BUCKET}/results/*",
}
FILES = {
    "Action": ["s3:GetObject", "s3:ListBucket"],
    "Resource": [f"arn:aws:s3:::{BUCKET}", f"arn:aws:s3:::{BUCKET}/t/*"],
}


@pytest.mark.parametrize(
    ("rights", "reason"),
    [
        (
            [ASK, RESULTS, FILES],
            (
                "Insufficient permissions to execute the query. User:"
                " arn:aws:iam::123456789012:user/roles-ann is not authorized to perform:"
                " glue:GetTable on resource: "
            ),
        ),
        ([ASK, LOOK, RESULTS], "Permission denied on S3 path: s3://roles-lake/t/"),
        ([ASK, LOOK, FILES], "Access denied when writing output to url: s3://roles-lake/results/"),
    ],
    ids=["catalog", "files", "results"],
)
def test_a_query_needs_its_callers_rights_to_catalog_files_and_results(lake, rights, reason):
    state, said = query(person("roles-ann", *rights), "SELECT * FROM roles.t")
    assert (state, said[: len(reason)]) == ("FAILED", reason)


def test_a_query_of_somebody_who_may_succeeds(lake):
    assert query(person("roles-bob", ASK, LOOK, RESULTS, FILES), "SELECT * FROM roles.t") == (
        "SUCCEEDED",
        "",
    )


def test_a_query_may_be_seen_only_in_a_workgroup_that_one_may_see(lake):
    boto3.client("athena").create_work_group(Name="roles-mine")
    athena = boto3.client("athena")
    told = {
        "QueryString": "SELECT 1",
        "ResultConfiguration": {"OutputLocation": f"s3://{BUCKET}/results/"},
    }
    ours = athena.start_query_execution(**told)["QueryExecutionId"]
    mine = athena.start_query_execution(**told, WorkGroup="roles-mine")["QueryExecutionId"]
    only = {
        "Action": "athena:*",
        "Resource": f"arn:aws:athena:{REGION}:{ACCOUNT}:workgroup/roles-mine",
    }
    who = person("roles-eve", only).client("athena")
    assert who.get_query_execution(QueryExecutionId=mine)
    with pytest.raises(who.exceptions.ClientError, match="workgroup/primary"):
        who.get_query_execution(QueryExecutionId=ours)


def test_a_registered_location_is_lent_by_lake_formation(lake):
    lends = service_role("roles-lends", "lakeformation.amazonaws.com", FILES)
    lakeformation = boto3.client("lakeformation")
    lakeformation.register_resource(ResourceArn=f"arn:aws:s3:::{BUCKET}/t", RoleArn=lends)
    lent = {"Action": "lakeformation:GetDataAccess", "Resource": "*"}
    assert query(person("roles-lent", ASK, LOOK, RESULTS, lent), "SELECT * FROM roles.t") == (
        "SUCCEEDED",
        "",
    )
    allow("roles-lends", {"Action": "s3:ListBucket", "Resource": "*"})
    state, said = query(person("roles-lent-2", ASK, LOOK, RESULTS, lent), "SELECT * FROM roles.t")
    assert (state, "assumed-role/roles-lends/lakeformation" in said) == ("FAILED", True)
    lakeformation.deregister_resource(ResourceArn=f"arn:aws:s3:::{BUCKET}/t")


# DMS


def test_dms_reads_the_secret_as_its_role(place):  # noqa: F811
    reader = role("roles-dms-secret", f"dms.{REGION}.amazonaws.com")
    source = place.source(SecretsManagerAccessRoleArn=reader)
    failed = place.test(source)
    assert failed["Status"] == "failed"
    assert (
        "assumed-role/roles-dms-secret/dms is not authorized to perform:"
        " secretsmanager:GetSecretValue" in failed["LastFailureMessage"]
    )
    allow("roles-dms-secret", {"Action": "secretsmanager:GetSecretValue", "Resource": "*"})
    assert place.test(source)["Status"] == "successful"


def test_dms_writes_to_the_bucket_as_its_role(place):  # noqa: F811
    writer = role("roles-dms-s3")
    target = place.target(ServiceAccessRoleArn=writer)
    failed = place.test(target)
    assert (failed["Status"], "s3:ListBucket" in failed["LastFailureMessage"]) == ("failed", True)
    works = [{"Action": ["s3:ListBucket", "s3:PutObject", "s3:DeleteObject"], "Resource": "*"}]
    allow("roles-dms-s3", *works)
    task = place.task(included(*INCLUDE_ALL), target=target)
    kept = {"Effect": "Deny", "Action": "s3:PutObject", "Resource": "arn:aws:s3:::*/nasty/*"}
    allow("roles-dms-s3", *works, kept)
    place.run(task)
    states = place.states(task)
    assert states["no_key"][0] == "Table error"
    assert {state for state, rows in states.values() if rows} == {"Table error"}
    assert place.keys("nasty/") == []


def test_a_bucket_with_a_key_needs_the_key_for_dms(place):  # noqa: F811
    key = boto3.client("kms").create_key()["KeyMetadata"]["Arn"]
    writer = role("roles-dms-kms", allowed=["s3:ListBucket", "s3:PutObject", "s3:DeleteObject"])
    target = place.target(
        ServiceAccessRoleArn=writer, EncryptionMode="sse-kms", ServerSideEncryptionKmsKeyId=key
    )
    failed = place.test(target)
    assert (failed["Status"], "kms:GenerateDataKey" in failed["LastFailureMessage"]) == (
        "failed",
        True,
    )


# Glue

WRITES = """
from pyspark.sql import SparkSession

region = ("spark.hadoop.fs.s3a.endpoint.region", "eu-west-1")
numbers = SparkSession.builder.config(*region).getOrCreate().range(3)
numbers.write.mode("overwrite").parquet("s3://roles-lake/open/")
numbers.write.mode("overwrite").parquet("s3://roles-lake/closed/")
"""


def test_a_job_does_what_its_role_may(lake):
    script = {"Action": "s3:GetObject", "Resource": "arn:aws:s3:::glue-scripts/*"}
    job_role = service_role(
        "roles-glue", "glue.amazonaws.com", {"Action": "logs:*", "Resource": "*"}
    )
    glue_runner.job("roles-job", WRITES, Role=job_role)
    run = glue_runner.ended("roles-job", glue_runner.start("roles-job"))
    assert run["JobRunState"] == "FAILED"
    assert run["ErrorMessage"].startswith(
        "LAUNCH ERROR | Error downloading from S3 for bucket: glue-scripts, key: roles-job.py"
    )
    where = [f"arn:aws:s3:::{BUCKET}", f"arn:aws:s3:::{BUCKET}/open/*"]
    allow("roles-glue", script, {"Action": "s3:*", "Resource": where})
    run = glue_runner.ended("roles-job", glue_runner.start("roles-job"))
    assert run["JobRunState"] == "FAILED"
    assert (
        "Access Denied (Service: Amazon S3; Status Code: 403; Error Code: AccessDenied)"
        in run["ErrorMessage"]
    )
    assert keys("open/_SUCCESS") == ["open/_SUCCESS"]
    assert keys("closed/") == []


def keys(prefix):
    found = boto3.client("s3").list_objects_v2(Bucket=BUCKET, Prefix=prefix)
    return [each["Key"] for each in found.get("Contents", [])]


def test_a_jobs_own_calls_are_its_roles(lake):
    script = {"Action": "s3:GetObject", "Resource": "arn:aws:s3:::glue-scripts/*"}
    job_role = service_role("roles-glue-calls", "glue.amazonaws.com", script)
    glue_runner.job(
        "roles-calls", "import boto3\nboto3.client('glue').get_databases()", Role=job_role
    )
    run = glue_runner.ended("roles-calls", glue_runner.start("roles-calls"))
    assert run["JobRunState"] == "FAILED"
    assert (
        "assumed-role/roles-glue-calls/glue is not authorized to perform: glue:GetDatabases"
        in run["ErrorMessage"]
    )


# Redshift


@pytest.fixture(scope="module")
def warehouse(lake):
    arn = service_role(
        "roles-redshift", "redshift.amazonaws.com", {"Action": "s3:ListBucket", "Resource": "*"}
    )
    serverless = boto3.client("redshift-serverless")
    told = {"namespaceName": "roles", "dbName": "d", "iamRoles": [arn], "defaultIamRoleArn": arn}
    serverless.create_namespace(**told, manageAdminPassword=True)
    until(
        lambda: serverless.get_namespace(namespaceName="roles")["namespace"]["status"],
        lambda it: it == "AVAILABLE",
    )
    serverless.create_workgroup(workgroupName="roles", namespaceName="roles", baseCapacity=8)
    until(
        lambda: serverless.get_workgroup(workgroupName="roles")["workgroup"]["status"],
        lambda it: it == "AVAILABLE",
    )
    assert run_sql("CREATE TABLE t (n int)") == run_sql("INSERT INTO t VALUES (1)") == ""
    yield
    serverless.delete_workgroup(workgroupName="roles")
    while True:
        with contextlib.suppress(serverless.exceptions.ConflictException):
            serverless.delete_namespace(namespaceName="roles")
            break
        time.sleep(0.1)


def run_sql(sql):
    """What became of a statement: the error, or nothing."""
    data = boto3.client("redshift-data")
    statement = data.execute_statement(WorkgroupName="roles", Database="d", Sql=sql)["Id"]
    ended = until(
        lambda: data.describe_statement(Id=statement),
        lambda it: it["Status"] in ("FINISHED", "FAILED"),
    )
    return ended.get("Error", "")


def test_redshift_loads_unloads_and_reads_the_lake_as_its_role(warehouse):
    copy = f"COPY t FROM 's3://{BUCKET}/t/' IAM_ROLE default FORMAT AS PARQUET"
    unload = (
        f"UNLOAD ('SELECT * FROM t') TO 's3://{BUCKET}/unload/' IAM_ROLE default FORMAT AS PARQUET"
    )
    schema = "CREATE EXTERNAL SCHEMA lake FROM DATA CATALOG DATABASE 'roles' IAM_ROLE default"
    assert "Status 403,Error AccessDenied" in run_sql(copy)
    assert "s3:PutObject" in run_sql(unload)
    assert "glue:GetDatabase" in run_sql(schema)
    files = {"Action": ["s3:ListBucket", "s3:GetObject", "s3:PutObject"], "Resource": "*"}
    allow("roles-redshift", files, LOOK)
    assert [run_sql(copy), run_sql(unload), run_sql(schema), run_sql("SELECT * FROM lake.t")] == [
        "",
        "",
        "",
        "",
    ]
    allow("roles-redshift", LOOK)
    assert "AccessDenied" in run_sql("SELECT * FROM lake.t")


def test_a_role_that_redshift_may_not_take_any_more_loads_nothing(warehouse):
    iam = boto3.client("iam")
    iam.update_assume_role_policy(
        RoleName="roles-redshift", PolicyDocument=trust("glue.amazonaws.com")
    )
    copy = f"COPY t FROM 's3://{BUCKET}/t/' IAM_ROLE default FORMAT AS PARQUET"
    assert "is not authorized to assume IAM Role" in run_sql(copy)
    iam.update_assume_role_policy(
        RoleName="roles-redshift", PolicyDocument=trust("redshift.amazonaws.com")
    )
