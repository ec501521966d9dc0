"""Questions about what AWS DMS writes of values that its documentation describes thinly: one small
table of a PostgreSQL that the sandbox reaches, loaded once.
"""

import io
import json
import time
import uuid

import psycopg
import pyarrow.parquet as pq
from conformance.question import PREFIX, NotAsked, question, refusal, until

DMS = "https://docs.aws.amazon.com/dms/latest/userguide"
API = "https://docs.aws.amazon.com/dms/latest/APIReference"
TYPES = "https://docs.aws.amazon.com/dms/latest/userguide/CHAP_Source.PostgreSQL.html"
PARQUET = "https://docs.aws.amazon.com/dms/latest/userguide/CHAP_Target.S3.html"
SCHEMA = "lakebook_conformance"
LOB_KILOBYTES = 63
LOBS = {"SupportLobs": True, "LimitedSizeLobMode": True, "LobMaxSize": LOB_KILOBYTES}
# column: its type, a literal, what arrives of it, the source of that, and what is asked
VALUES = {
    "nan": ("numeric(10,2)", "'NaN'", None, TYPES, "a numeric NaN"),
    "huge": ("numeric", "1e22", None, TYPES, "a numeric of 10^22 without a precision"),
    "exact": ("numeric", "1.0000005", "1.000001", TYPES, "a numeric of seven decimals"),
    "listed": ("text[]", "'{a,b}'", "{a,b}", TYPES, "an array"),
    "clock": ("time", "'12:34:56.789'", "12:34:56.789", TYPES, "a time, sent as a string"),
    "instant": (
        *("timestamptz", "'2024-01-01 02:00+02'", "2024-01-01 00:00:00", PARQUET),
        "a timestamp with time zone",
    ),
    "micros": (
        *("timestamp", "'2024-01-01 00:00:00.123456'", "2024-01-01 00:00:00.123456", PARQUET),
        "a timestamp of microseconds",
    ),
    "span": (
        *("interval", "'1 year 2 months 3 days 04:05:06'"),
        *("1 YEAR, 2 MONTHS, 3 DAYS, 4 HOURS, 5 MINUTES, 6 SECONDS", TYPES, "an interval"),
    ),
    "level": (
        *(f"{SCHEMA}.level", "'hi'", "hi", TYPES),
        "an enum that somebody has made a cast to text for",
    ),
    "truth": ("boolean", "true", "True", TYPES, "a boolean under MapBooleanAsBoolean"),
}


def _asks(column, described):
    def ask(sandbox):
        return _loaded(sandbox)[column]

    ask.__name__ = f"dms_writes_{column}"
    ask.__doc__ = f"What does DMS write into Parquet of {described}?"
    return ask


for _column, (_, _, _documented, _source, _described) in VALUES.items():
    question(_documented, _source, cost="dollars")(_asks(_column, _described))


@question(
    LOB_KILOBYTES * 1024 // 2,
    "https://docs.aws.amazon.com/dms/latest/userguide/CHAP_Tasks.LOBSupport.html",
    cost="dollars",
)
def dms_lob_max_size(sandbox):
    """How many characters of two bytes each arrive of a text beyond a LobMaxSize of 63?"""
    return len(_loaded(sandbox)["long"])


@question(2, TYPES, cost="dollars")
def dms_rows_of_heirs(sandbox):
    """How many rows arrive of a table of one row, from which one of one row inherits?"""
    return _loaded(sandbox)["rows"]


@question("", f"{API}/API_DescribeTableStatistics.html", cost="dollars")
def dms_statistics_while_starting(sandbox):
    """With which code are the statistics of a task refused that is starting?"""
    return _loaded(sandbox)["while starting"]


@question("successful", f"{DMS}/cross-service-confused-deputy-prevention.html", cost="dollars")
def dms_secret_source_account(sandbox):
    """How does a test end of a source whose secret's role asks for aws:SourceAccount?"""
    _loaded(sandbox)
    account = {"StringEquals": {"aws:SourceAccount": sandbox.account}}
    service = f"dms.{sandbox.region}.amazonaws.com"
    role = sandbox.role("reads-here", service, {"Condition": account})
    sandbox.allow("reads-here", "secretsmanager:GetSecretValue", "kms:Decrypt")
    database, instance = sandbox.shared["dms instance"]
    settings = {
        "DatabaseName": database,
        "SecretsManagerSecretId": sandbox.source_secret,
        "SecretsManagerAccessRoleArn": role,
    }
    endpoint = _endpoint(sandbox, "source", "postgres", "-here", PostgreSQLSettings=settings)
    dms, end = sandbox.client("dms"), time.monotonic() + 120
    which = [{"Name": "endpoint-arn", "Values": [endpoint]}]
    while True:  # a new role cannot be taken at once
        dms.test_connection(ReplicationInstanceArn=instance, EndpointArn=endpoint)
        tested = until(
            lambda: dms.describe_connections(Filters=which)["Connections"][0]["Status"],
            lambda status: status != "testing",
            "The connection was still being tested",
        )
        if tested == "successful" or time.monotonic() > end:
            return tested
        time.sleep(10)


def _loaded(sandbox):
    """The row as it arrived, column to text or None; loaded when it is first asked for."""
    if not sandbox.source_secret:
        raise NotAsked("the source: name a PostgreSQL by --source-secret and --subnet-ids")
    if "dms" not in sandbox.shared:
        sandbox.shared["dms"] = {}  # so that what fails is not tried for each value
        sandbox.shared["dms"] = _load(sandbox, _make_table(sandbox))
    if not sandbox.shared["dms"]:
        raise NotAsked("a load: it failed for an earlier question")
    return sandbox.shared["dms"]


def _make_table(sandbox):
    """The database in which it is made."""
    text = sandbox.client("secretsmanager").get_secret_value(SecretId=sandbox.source_secret)
    told = json.loads(text["SecretString"])
    connection = psycopg.connect(
        **{each: told[each] for each in ("host", "port", "dbname", "password")},
        user=told["username"],
        autocommit=True,
    )
    sandbox.undo.callback(connection.close)
    columns = ", ".join(f"{name} {kind}" for name, (kind, *_) in VALUES.items())
    columns += ", long text"
    literals = ", ".join(each[1] for each in VALUES.values())
    literals += f", repeat('é', {LOB_KILOBYTES} * 1024)"
    connection.execute(f"create schema {SCHEMA}")
    sandbox.undo.callback(lambda: connection.execute(f"drop schema {SCHEMA} cascade"))
    connection.execute(
        f"create type {SCHEMA}.level as enum ('lo', 'hi');"
        f" create function {SCHEMA}.told({SCHEMA}.level) returns text language sql immutable"
        f" as 'select ''cast''::text'; create cast ({SCHEMA}.level as text)"
        f" with function {SCHEMA}.told({SCHEMA}.level)"
    )
    connection.execute(f"create table {SCHEMA}.t (id int primary key, {columns})")
    connection.execute(f"insert into {SCHEMA}.t values (1, {literals})")
    connection.execute(f"create table {SCHEMA}.heir () inherits ({SCHEMA}.t)")
    connection.execute(f"insert into {SCHEMA}.heir (id) values (2)")
    return told["dbname"]


def _load(sandbox, database):
    """Run one full load and read its file."""
    dms, bucket, end = sandbox.client("dms"), sandbox.bucket("dms"), uuid.uuid4().hex[:8]
    reads = sandbox.role("reads", f"dms.{sandbox.region}.amazonaws.com")
    writes = sandbox.role("writes", "dms.amazonaws.com")
    sandbox.allow("reads", "secretsmanager:GetSecretValue", "kms:Decrypt")
    sandbox.allow("writes", "s3:PutObject", "s3:ListBucket", "s3:DeleteObject")
    group = f"{PREFIX}-{end}"
    dms.create_replication_subnet_group(
        ReplicationSubnetGroupIdentifier=group,
        ReplicationSubnetGroupDescription="conformance",
        SubnetIds=sandbox.subnet_ids,
    )
    sandbox.after(dms.delete_replication_subnet_group, ReplicationSubnetGroupIdentifier=group)
    instance = dms.create_replication_instance(
        ReplicationInstanceIdentifier=group,
        ReplicationInstanceClass="dms.t3.medium",
        ReplicationSubnetGroupIdentifier=group,
        PubliclyAccessible=False,
    )["ReplicationInstance"]["ReplicationInstanceArn"]
    which = [{"Name": "replication-instance-arn", "Values": [instance]}]
    sandbox.undo.callback(
        lambda: dms.get_waiter("replication_instance_deleted").wait(Filters=which)
    )
    sandbox.after(dms.delete_replication_instance, ReplicationInstanceArn=instance)
    dms.get_waiter("replication_instance_available").wait(Filters=which)
    source = {
        "DatabaseName": database,
        "SecretsManagerSecretId": sandbox.source_secret,
        "SecretsManagerAccessRoleArn": reads,
        "MapBooleanAsBoolean": True,
    }
    target = {"BucketName": bucket, "ServiceAccessRoleArn": writes, "DataFormat": "parquet"}
    endpoints = [
        _endpoint(sandbox, "source", "postgres", PostgreSQLSettings=source),
        _endpoint(sandbox, "target", "s3", S3Settings=target),
    ]
    for each in endpoints:
        dms.test_connection(ReplicationInstanceArn=instance, EndpointArn=each)
        tested = [{"Name": "endpoint-arn", "Values": [each]}]
        dms.get_waiter("test_connection_succeeds").wait(Filters=tested)
    task = dms.create_replication_task(
        ReplicationTaskIdentifier=group,
        SourceEndpointArn=endpoints[0],
        TargetEndpointArn=endpoints[1],
        ReplicationInstanceArn=instance,
        MigrationType="full-load",
        TableMappings=json.dumps({"rules": _rules()}),
        ReplicationTaskSettings=json.dumps({"TargetMetadata": LOBS}),
    )["ReplicationTask"]["ReplicationTaskArn"]
    tasks = [{"Name": "replication-task-arn", "Values": [task]}]
    sandbox.undo.callback(lambda: dms.get_waiter("replication_task_deleted").wait(Filters=tasks))
    sandbox.after(dms.delete_replication_task, ReplicationTaskArn=task)
    dms.get_waiter("replication_task_ready").wait(Filters=tasks)
    dms.start_replication_task(
        ReplicationTaskArn=task, StartReplicationTaskType="start-replication"
    )
    while_starting = refusal(dms.describe_table_statistics, ReplicationTaskArn=task)
    _until_stopped(dms, tasks)
    (ended,) = dms.describe_replication_tasks(Filters=tasks)["ReplicationTasks"]
    statistics = dms.describe_table_statistics(ReplicationTaskArn=task)["TableStatistics"]
    if [each["TableState"] for each in statistics] != ["Table completed"]:
        raise NotAsked(f"a load: {ended.get('LastFailureMessage', statistics)}")
    (key,) = [
        each["Key"] for each in sandbox.client("s3").list_objects_v2(Bucket=bucket)["Contents"]
    ]
    body = sandbox.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read()
    rows = pq.read_table(io.BytesIO(body)).to_pylist()
    [row] = [each for each in rows if each["id"] == 1]
    sandbox.shared["dms instance"] = database, instance
    arrived = {name: None if value is None else _text(value) for name, value in row.items()}
    return {**arrived, "while starting": while_starting, "rows": len(rows)}


def _text(value):
    """As PostgreSQL would write it, without zeros behind the last decimal."""
    text = str(value).removesuffix("+00:00")
    return text.rstrip("0") if "." in text and text.replace(".", "").isdigit() else text


def _rules():
    included = {"schema-name": SCHEMA, "table-name": "t"}
    clock = {**included, "column-name": "clock"}
    return [
        {
            "rule-type": "selection",
            "rule-id": "1",
            "rule-name": "1",
            "rule-action": "include",
            "object-locator": included,
        },
        {
            "rule-type": "transformation",
            "rule-id": "2",
            "rule-name": "2",
            "rule-action": "change-data-type",
            "rule-target": "column",
            "object-locator": clock,
            "data-type": {"type": "string", "length": "30"},
        },
    ]


def _endpoint(sandbox, kind, engine, of="", **settings):
    dms, name = sandbox.client("dms"), f"{PREFIX}-{kind}{of}"
    made = dms.create_endpoint(
        EndpointIdentifier=name, EndpointType=kind, EngineName=engine, **settings
    )["Endpoint"]["EndpointArn"]
    sandbox.after(dms.delete_endpoint, EndpointArn=made)
    return made


def _until_stopped(dms, tasks):
    end = time.monotonic() + 1800
    while time.monotonic() < end:
        (found,) = dms.describe_replication_tasks(Filters=tasks)["ReplicationTasks"]
        if found["Status"] in ("stopped", "failed"):
            return
        time.sleep(0.2 if found["Status"] == "running" else 1)
    raise TimeoutError(f"The task was still {found['Status']} after half an hour.")
