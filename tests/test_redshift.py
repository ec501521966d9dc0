"""Redshift Serverless and its Data API: records, statements, transactions, and COPY as strict as
AWS.
"""

import json
import uuid

import awswrangler as wr
import boto3
import duckdb
import pytest
import service_roles
from botocore.exceptions import ClientError
from echoes import needed_otherwise
from until import until

from lakebook import calls, ensure
from lakebook.services import redshift
from local_aws import settings

NAME = "redshift-tests"
BUCKET = "redshift-tests"


@pytest.fixture(scope="module")
def role(stand_in):
    return service_roles.role(NAME, "redshift.amazonaws.com", ("s3:*", "glue:*"))


@pytest.fixture(scope="module")
def serverless(role):
    client = boto3.client("redshift-serverless")
    client.create_namespace(
        namespaceName=NAME,
        dbName="warehouse",
        manageAdminPassword=True,
        iamRoles=[role],
        defaultIamRoleArn=role,
    )
    client.create_workgroup(workgroupName=NAME, namespaceName=NAME, baseCapacity=8)
    boto3.client("s3").create_bucket(
        Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"}
    )
    return client


@pytest.fixture
def data(serverless):
    return boto3.client("redshift-data")


def describe(statement_id):
    data = boto3.client("redshift-data")
    return until(
        lambda: data.describe_statement(Id=statement_id, WaitTimeSeconds=5),
        lambda it: it["Status"] in ("FINISHED", "FAILED", "ABORTED"),
    )


def run(sql, **arguments):
    """The rows of a statement or a batch's last one; raises AssertionError with Redshift's
    error.
    """
    data = boto3.client("redshift-data")
    where = {} if "SessionId" in arguments else {"WorkgroupName": NAME, "Database": "warehouse"}
    if isinstance(sql, list):
        found = describe(data.batch_execute_statement(Sqls=sql, **where, **arguments)["Id"])
        last = found["SubStatements"][-1]
    else:
        found = last = describe(data.execute_statement(Sql=sql, **where, **arguments)["Id"])
    if found["Status"] != "FINISHED":
        raise AssertionError(found["Error"])
    if not last["HasResultSet"]:
        return last["ResultRows"]
    pages = data.get_paginator("get_statement_result").paginate(Id=last["Id"])
    return [
        [None if "isNull" in field else next(iter(field.values())) for field in row]
        for page in pages
        for row in page["Records"]
    ]


def fails(sql, **arguments):
    with pytest.raises(AssertionError) as failure:
        run(sql, **arguments)
    return str(failure.value)


@pytest.fixture
def schema(serverless):
    name = f"s{uuid.uuid4().hex[:8]}"
    run(f"create schema {name}")
    return name


# Serverless


def test_the_administrators_password_is_in_secrets_manager(serverless):
    arn = serverless.get_namespace(namespaceName=NAME)["namespace"]["adminPasswordSecretArn"]
    secret = json.loads(
        boto3.client("secretsmanager").get_secret_value(SecretId=arn)["SecretString"]
    )
    assert secret["username"] == "admin"


def test_what_exists_or_is_absent_is_told_by_aws_own_errors(serverless, role):
    with pytest.raises(serverless.exceptions.ConflictException):
        serverless.create_namespace(namespaceName=NAME)
    with pytest.raises(serverless.exceptions.ConflictException):
        serverless.create_workgroup(workgroupName=NAME, namespaceName=NAME)
    with pytest.raises(serverless.exceptions.ConflictException, match="workgroup"):
        serverless.delete_namespace(namespaceName=NAME)
    for call, arguments in (
        ("get_namespace", {"namespaceName": "absent"}),
        ("get_workgroup", {"workgroupName": "absent"}),
        ("create_workgroup", {"workgroupName": "new", "namespaceName": "absent"}),
    ):
        with pytest.raises(serverless.exceptions.ResourceNotFoundException):
            getattr(serverless, call)(**arguments)


@pytest.mark.parametrize(
    "wrong", [{"baseCapacity": 9}, {"subnetIds": ["subnet-absent"]}, {"workgroupName": "UPPER"}]
)
def test_a_workgroup_that_cannot_be_is_refused(serverless, wrong):
    serverless.create_namespace(namespaceName="refused")
    try:
        with pytest.raises(serverless.exceptions.ValidationException):
            serverless.create_workgroup(
                **{"workgroupName": "refused", "namespaceName": "refused", **wrong}
            )
    finally:
        serverless.delete_namespace(namespaceName="refused")


def test_a_change_of_several_settings_is_one_call_for_each(serverless):
    several = {"baseCapacity": 16, "publiclyAccessible": True}
    with pytest.raises(ClientError, match="Can't update multiple configurations at the same time"):
        serverless.update_workgroup(workgroupName=NAME, **several)
    serverless.update_workgroup(workgroupName=NAME, publiclyAccessible=True)
    group = boto3.client("ec2").describe_security_groups()["SecurityGroups"][0]["GroupId"]
    wanted = redshift.workgroup(NAME, NAME, [], [group], 16)
    assert [each.arguments for _, each in calls([wanted])] == [
        {"workgroupName": NAME, "baseCapacity": 16},
        {"workgroupName": NAME, "publiclyAccessible": False},
        {"workgroupName": NAME, "securityGroupIds": [group]},
    ]
    ensure([wanted], apply=True)
    assert calls([wanted]) == []
    assert needed_otherwise([wanted]) == []


def test_two_subnets_are_too_few(serverless):
    subnets = [
        each["SubnetId"]
        for each in boto3.client("ec2").describe_subnets(
            Filters=[{"Name": "default-for-az", "Values": ["true"]}]
        )["Subnets"]
    ][:2]
    serverless.create_namespace(namespaceName="few-subnets")
    with pytest.raises(serverless.exceptions.ValidationException, match="three"):
        serverless.create_workgroup(
            workgroupName="few-subnets", namespaceName="few-subnets", subnetIds=subnets
        )


def test_a_role_that_does_not_exist_or_trusts_another_service_is_refused(serverless):
    with pytest.raises(serverless.exceptions.ValidationException, match="no such role"):
        serverless.create_namespace(
            namespaceName="other", iamRoles=["arn:aws:iam::123456789012:role/absent"]
        )
    arn = service_roles.role("redshift-tests-glue", "glue.amazonaws.com")
    with pytest.raises(serverless.exceptions.ValidationException, match="may not assume"):
        serverless.create_namespace(namespaceName="other", iamRoles=[arn])


def status(serverless, name):
    return serverless.get_workgroup(workgroupName=name)["workgroup"]["status"]


def names(serverless, kind):
    """Of all namespaces or workgroups."""
    return [each[f"{kind}Name"] for each in getattr(serverless, f"list_{kind}s")()[f"{kind}s"]]


def test_a_workgroup_that_is_being_made_takes_no_statement(serverless, data):
    serverless.create_namespace(namespaceName="unready")
    with settings.settling(3600):
        made = serverless.create_workgroup(workgroupName="unready", namespaceName="unready")
    assert made["workgroup"]["status"] == status(serverless, "unready") == "CREATING"
    with pytest.raises(ClientError, match="must be AVAILABLE"):
        data.execute_statement(WorkgroupName="unready", Database="dev", Sql="select 1")
    with pytest.raises(serverless.exceptions.ConflictException, match="operation running"):
        serverless.update_workgroup(workgroupName="unready", baseCapacity=16)


def test_a_workgroup_comes_is_tagged_and_goes(serverless):
    serverless.create_namespace(namespaceName="short-lived")
    arn = serverless.create_workgroup(
        workgroupName="short-lived", namespaceName="short-lived", tags=[{"key": "a", "value": "1"}]
    )["workgroup"]["workgroupArn"]
    serverless.tag_resource(resourceArn=arn, tags=[{"key": "b", "value": "2"}])
    serverless.untag_resource(resourceArn=arn, tagKeys=["a"])
    assert serverless.list_tags_for_resource(resourceArn=arn)["tags"] == [
        {"key": "b", "value": "2"}
    ]
    assert status(serverless, "short-lived") == "AVAILABLE"
    assert (
        serverless.update_workgroup(workgroupName="short-lived", baseCapacity=16)["workgroup"][
            "status"
        ]
        == "MODIFYING"
    )
    assert status(serverless, "short-lived") == "AVAILABLE"
    assert serverless.get_workgroup(workgroupName="short-lived")["workgroup"]["baseCapacity"] == 16
    assert (
        serverless.delete_workgroup(workgroupName="short-lived")["workgroup"]["status"]
        == "DELETING"
    )
    assert "short-lived" not in names(serverless, "workgroup")
    assert (
        serverless.delete_namespace(namespaceName="short-lived")["namespace"]["status"]
        == "DELETING"
    )
    assert "short-lived" not in names(serverless, "namespace")


def test_the_data_of_a_deleted_namespace_is_gone(serverless, data):
    for attempt in range(2):
        serverless.create_namespace(namespaceName="again")
        serverless.create_workgroup(workgroupName="again", namespaceName="again")
        started = data.execute_statement(
            WorkgroupName="again", Database="dev", Sql="create table kept (a integer)"
        )
        assert describe(started["Id"])["Status"] == "FINISHED", attempt
        serverless.delete_workgroup(workgroupName="again")
        serverless.delete_namespace(namespaceName="again")


# Statements


def test_a_statement_goes_through_its_states_and_keeps_its_figures(data):
    started = data.execute_statement(
        WorkgroupName=NAME, Database="warehouse", Sql="select 1 as one", StatementName="first"
    )
    found = describe(started["Id"])
    assert (found["Status"], found["HasResultSet"], found["ResultRows"], found["QueryString"]) == (
        "FINISHED",
        True,
        1,
        "select 1 as one",
    )
    assert found["Duration"] > 0
    assert any(
        each["Id"] == started["Id"]
        for each in data.list_statements(StatementName="first")["Statements"]
    )


def test_values_are_typed_as_far_as_json_can(data):
    sql = (
        "select 1::smallint a, 2::bigint b, 1.50::decimal(5,2) c, 1.5::float d, true e, 'x' f, null"
        " g, date '2020-01-02' h, timestamp '2020-01-02 03:04:05.6' i, 'ab'::varbyte j,"
        " 0.5::decimal(1,1) k"
    )
    found = data.get_statement_result(
        Id=describe(
            data.execute_statement(WorkgroupName=NAME, Database="warehouse", Sql=sql)["Id"]
        )["Id"]
    )
    assert found["Records"] == [
        [
            {"longValue": 1},
            {"longValue": 2},
            {"stringValue": "1.50"},
            {"doubleValue": 1.5},
            {"booleanValue": True},
            {"stringValue": "x"},
            {"isNull": True},
            {"stringValue": "2020-01-02"},
            {"stringValue": "2020-01-02 03:04:05.6"},
            {"stringValue": "6162"},
            {"stringValue": "0.5"},
        ]
    ]
    assert [each["typeName"] for each in found["ColumnMetadata"]] == [
        "int2",
        "int8",
        "numeric",
        "float8",
        "bool",
        "varchar",
        "int4",
        "date",
        "timestamp",
        "varbyte",
        "numeric",
    ]


def test_many_rows_come_in_pages(schema):
    run(
        [
            f"create table {schema}.n (i bigint)",
            f"insert into {schema}.n values (0), (1), (2), (3), (4), (5), (6), (7), (8), (9)",
        ]
    )
    numbers = (
        f"select a.i + 10 * b.i + 100 * c.i + 1000 * d.i as i from {schema}.n a, {schema}.n b,"
        f" {schema}.n c, {schema}.n d where d.i < 3 order by 1"
    )
    assert [row[0] for row in run(numbers)] == list(range(3000))


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("7 / 2", 3),
        ("-7 / 2", -3),
        ("7 / 2.0", "3.5000"),
        ("10.00::decimal(10,2) / 3", "3.3333333333333"),
        ("7::bigint * 3 % 4", 1),
        ("nvl(null, 'x') || chr(31) || 'y'", "x\x1fy"),
        ("'a' || null", None),
        ("concat('a', null)", None),
        ("md5('x')", "9dd4e461268c8034f5c8564e155c67a6"),
        ("strtol(substring(md5('x'), 1, 15), 16)", 710810379057940483),
        ("lower(to_hex(substring('abc'::varbyte, 2, 1)))", "62"),
        ("octet_length('abc'::varbyte)", 3),
        ("octet_length('ä')", 2),
        ("len('ä')", 1),
        ("datediff(day, date '1969-12-31', date '1970-01-01')", 1),
        ("datediff(day, timestamp '2020-01-01 23:59:59', timestamp '2020-01-02 00:00:01')", 1),
        ("datediff(microsecond, timestamp '2020-01-01', timestamp '2020-01-01 00:00:01')", 1000000),
        (
            (
                "datediff(millisecond, timestamp '1970-01-01 00:00:00', dateadd(microsecond, 500,"
                " timestamp '1969-12-31 23:59:59.9995'))"
            ),
            0,
        ),
        (
            (
                "datediff(millisecond, timestamp '1970-01-01 00:00:00', dateadd(microsecond, 500,"
                " timestamp '1969-12-31 23:59:59.9994'))"
            ),
            -1,
        ),
        ("decode(2, 1, 'one', 2, 'two', 'other')", "two"),
        (
            (
                "cast(floor(1.5::double precision * '1e3'::double precision + '0.5'::double"
                " precision) as bigint)"
            ),
            1500,
        ),
        ("cast(2.0::double precision as varchar)", "2"),
        ("cast(0.50::decimal(2,2) as varchar)", "0.50"),
        ("cast(timestamp '2020-01-01 00:00:00.5' as varchar)", "2020-01-01 00:00:00.5"),
        ("to_char(timestamp '2020-02-03 04:05:06', 'YYYY-MM-DD')", "2020-02-03"),
        ("date_part(year, date '2020-02-03')", 2020),
        ("'abcdef'::varchar(3)", "abc"),
        ("'it''s'", "it's"),
        ("getdate() > '2020-01-01'", True),
    ],
)
def test_an_expression_means_what_it_means_on_redshift(serverless, expression, value):
    assert run(f"select {expression}") == [[value]]


def test_aggregates_have_redshifts_types(schema, data):
    run(
        [
            f"create table {schema}.a (i integer, b bigint, d decimal(10,2))",
            (
                f"insert into {schema}.a values (1, 1, 1.01), (2, 9223372036854775807, 1.02), (4,"
                " null, 1.02)"
            ),
        ]
    )
    sql = (
        f"select avg(i), sum(i), sum(b), avg(d), count(*), max(d), avg(i) over () from {schema}.a"
        " group by i order by 1 limit 1"
    )
    assert run(f"select avg(i), sum(i), sum(b), avg(d), count(*) from {schema}.a") == [
        [2, 7, "9223372036854775808", "1.02", 3]
    ]
    assert run(sql)[0][0] == 1


@pytest.mark.parametrize(
    ("sql", "error"),
    [
        ("select * from absent", 'ERROR: relation "absent" does not exist'),
        ("select * from absent.t", 'ERROR: schema "absent" does not exist'),
        ("select nope from (select 1 as a) t", 'ERROR: column "nope" does not exist'),
        ("select nope", 'ERROR: column "nope" does not exist'),
        ("selec 1", "ERROR: syntax error"),
        ("select 1; select 2", "ERROR: cannot insert multiple commands"),
        ("select 1 / 0", "ERROR: Divide by zero"),
        ("select 1 / 0::float", "ERROR: Divide by zero"),
        ("select 1.0 % 0", "ERROR: Divide by zero"),
        ("select cast('x' as integer)", "ERROR: invalid input syntax for integer"),
        ("select '1'::uuid", 'type "uuid" does not exist'),
        ("select 1::tinyint", "does not exist"),
        ("select strftime(getdate(), '%Y')", "function strftime does not exist"),
        ("select * from read_parquet('/etc/passwd')", "function read_parquet does not exist"),
        ('select * from "/etc/passwd"', "does not exist"),
        ("select * from duckdb_tables()", "does not exist"),
        ("attach '/tmp/x.db'", "ERROR: "),
        ("pragma version", "ERROR: "),
        ("install httpfs", "ERROR: "),
        ("copy (select 1) to '/tmp/x.csv'", "ERROR: "),
        ("grant select on all tables in schema public to someone", 'user "someone" does not exist'),
        ("create materialized view m as select 1", "local_aws does not do this statement"),
        ("call something()", "local_aws does not do this statement"),
        ("lock t", 'relation "t" does not exist'),
        ("begin", "local_aws does not do this statement"),
    ],
)
def test_a_statement_that_cannot_run_fails_and_says_why(serverless, sql, error):
    assert error in fails(sql)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"ClusterIdentifier": "c", "Database": "warehouse"}, "Cluster c not found"),
        ({"WorkgroupName": "absent", "Database": "warehouse"}, "doesn't exist"),
        ({"WorkgroupName": NAME, "Database": "other"}, "does not exist"),
        ({"Database": "warehouse"}, "must be given"),
        (
            {
                "WorkgroupName": NAME,
                "Database": "warehouse",
                "Parameters": [{"name": "unused", "value": "1"}],
            },
            "unused",
        ),
    ],
)
def test_a_call_that_cannot_be_is_refused_at_once(data, arguments, error):
    with pytest.raises(ClientError, match=error):
        data.execute_statement(Sql="select 1", **arguments)


def test_named_parameters_are_texts(schema):
    run(
        [
            f"create table {schema}.p (i integer, t varchar(10))",
            f"insert into {schema}.p values (1, 'a'), (2, 'b')",
        ]
    )
    rows = run(
        f"select t || :suffix from {schema}.p where i = :i",
        Parameters=[{"name": "suffix", "value": "'; drop"}, {"name": "i", "value": "2"}],
    )
    assert rows == [["b'; drop"]]


def test_the_same_token_starts_one_statement_only(data, schema):
    run(f"create table {schema}.once (i integer)")
    token, sql = uuid.uuid4().hex, f"insert into {schema}.once values (1)"
    ids = {
        data.execute_statement(
            WorkgroupName=NAME, Database="warehouse", Sql=sql, ClientToken=token
        )["Id"]
        for _ in range(3)
    }
    assert len(ids) == 1
    describe(ids.pop())
    assert run(f"select count(*) from {schema}.once") == [[1]]


def test_a_temporary_table_lives_as_long_as_its_session(data):
    first = data.execute_statement(
        WorkgroupName=NAME,
        Database="warehouse",
        Sql="create temp table tt as select 5 as x",
        SessionKeepAliveSeconds=60,
        WaitTimeSeconds=10,
    )
    assert first["Status"] == "FINISHED"
    assert run("select x from tt", SessionId=first["SessionId"]) == [[5]]
    assert 'relation "tt" does not exist' in fails("select x from tt")


def test_a_running_statement_is_cancelled(data, schema):
    run(
        [
            f"create table {schema}.big (i bigint)",
            f"insert into {schema}.big values (1), (2), (3), (4), (5), (6), (7), (8), (9), (10)",
        ]
    )
    many = ", ".join(f"{schema}.big b{n}" for n in range(12))
    statement = data.execute_statement(
        WorkgroupName=NAME, Database="warehouse", Sql=f"select sum(b0.i * b11.i) from {many}"
    )["Id"]
    until(lambda: data.describe_statement(Id=statement)["Status"] == "STARTED")
    assert data.cancel_statement(Id=statement)["Status"] is True
    assert describe(statement)["Status"] == "ABORTED"
    with pytest.raises(data.exceptions.ValidationException, match="Could not cancel"):
        data.cancel_statement(Id=statement)


# Transactions


def test_a_batch_is_all_or_nothing_and_names_the_statement_that_failed(data, schema):
    wrong = [
        f"create table {schema}.t (a integer)",
        f"insert into {schema}.t values (1)",
        f"select 1 / case when count(*) = 2 then 1 else 0 end from {schema}.t",
        "select 1",
    ]
    found = describe(
        data.batch_execute_statement(WorkgroupName=NAME, Database="warehouse", Sqls=wrong)["Id"]
    )
    assert (found["Status"], found["Error"]) == (
        "FAILED",
        "Query #3 failed with ERROR: Divide by zero",
    )
    assert [each["Status"] for each in found["SubStatements"]] == [
        "FINISHED",
        "FINISHED",
        "FAILED",
        "ABORTED",
    ]
    assert "does not exist" in fails(f"select * from {schema}.t")


def test_trailing_blanks_do_not_count_in_comparisons(schema):
    run(f"create table {schema}.tb (v varchar(10))")
    run(f"insert into {schema}.tb values ('a'), ('a  '), ('b')")
    for sql, count in {
        "select count(*) from {t} where v = 'a'": 2,
        "select count(*) from {t} where v in ('a ', 'c')": 2,
        "select count(*) from {t} where v between 'a' and 'a'": 2,
        "select count(distinct v) from {t}": 2,
        "select count(*) from {t} x join {t} y on x.v = y.v": 5,
        "select count(*) from {t} where v like 'a'": 1,
        "select sum(len(v)) from {t}": 5,
        "select count(*) from (select v from {t} group by v)": 2,
        "select max(n) from (select v, count(*) as n from {t} group by 1 having v < 'b')": 2,
        "select max(n) from (select upper(v), max(len(v)) as n from {t} group by upper(v))": 3,
        "select count(*) from (select distinct v from {t} order by v)": 2,
        "select count(*) from (select distinct v || '' as w, 1 from {t})": 2,
        "select count(*) from (select v from {t} union select 'a ')": 2,
        "select count(*) from (select v from {t} union all select 'a ')": 4,
        "select count(*) from (select v from {t} except select 'a ')": 1,
        "select count(*) from (select v from {t} intersect select 'a ')": 1,
        "select count(*) from {t} where v in (select 'a ' union all select 'c')": 2,
        "select count(*) from {t} where v not in (select w.v from {t} w where w.v = 'b')": 2,
        "select max(n) from (select row_number() over (partition by v order by v) n from {t})": 2,
    }.items():
        assert run(sql.format(t=f"{schema}.tb")) == [[count]], sql
    run(f"delete from {schema}.tb where v = 'a'")
    assert run(f"select v from {schema}.tb") == [["b"]]


def test_a_table_is_dropped_made_filled_and_counted_in_one_transaction(schema):
    batch = [
        f"drop table if exists {schema}.t",
        f"create table {schema}.t (a integer, primary key(a))",
        f"delete from {schema}.t",
        f"insert into {schema}.t values (1), (1)",
        f"select 1 / case when count(*) = 2 then 1 else 0 end as rows_are_2 from {schema}.t",
    ]
    assert run(batch) == [[1]]
    assert run(batch) == [[1]]
    assert run(f"select count(*) from {schema}.t") == [[2]], "a primary key is not enforced"


def test_results_of_a_batch_are_asked_for_by_sub_statement(data, serverless):
    found = describe(
        data.batch_execute_statement(
            WorkgroupName=NAME, Database="warehouse", Sqls=["select 1", "select 2"]
        )["Id"]
    )
    with pytest.raises(data.exceptions.ValidationException, match="sub-statement id"):
        data.get_statement_result(Id=found["Id"])
    assert data.get_statement_result(Id=f"{found['Id']}:2")["Records"] == [[{"longValue": 2}]]


def test_truncate_commits_what_came_before(schema):
    run([f"create table {schema}.t (a integer)", f"insert into {schema}.t values (1)"])
    fails(
        [
            f"insert into {schema}.t values (2)",
            f"truncate {schema}.t",
            f"insert into {schema}.t values (3)",
            "select 1 / 0",
        ]
    )
    assert run(f"select count(*) from {schema}.t") == [[0]]


def test_writers_wait_for_each_other(data, schema):
    run([f"create table {schema}.c (i integer)", f"insert into {schema}.c values (0)"])
    ids = [
        data.execute_statement(
            WorkgroupName=NAME, Database="warehouse", Sql=f"update {schema}.c set i = i + 1"
        )["Id"]
        for _ in range(20)
    ]
    assert {describe(each)["Status"] for each in ids} == {"FINISHED"}
    assert run(f"select i from {schema}.c") == [[20]]


# Definitions and changes


def test_a_definition_is_remembered_and_shown_by_the_system_views(schema):
    run(
        f'create table {schema}."Facts" (id bigint identity(1,1) encode az64, "day" date not null,'
        " name varchar(5) encode lzo, amount decimal(10,2) default 0, note varchar(max), bytes"
        ' varbyte(10)) diststyle key distkey(id) compound sortkey("day", id)'
    )
    assert run(f'select "table" from svv_table_info where "schema" = \'{schema}\'') == [], (
        "empty tables are not shown"
    )
    run(
        f"insert into {schema}.facts (\"day\", name) values ('2020-01-01', 'a'), ('2020-01-02',"
        " 'b')"
    )
    assert run(f"select id, amount from {schema}.facts order by id") == [[1, "0.00"], [2, "0.00"]]
    assert run(
        'select "table", diststyle, sortkey1, sortkey_num, tbl_rows from svv_table_info where'
        f" \"schema\" = '{schema}'"
    ) == [["facts", "KEY(id)", "day", 2, "2"]]
    columns = run(
        "select column_name, data_type, character_maximum_length, numeric_precision, is_nullable"
        f" from svv_columns where table_schema = '{schema}' order by ordinal_position"
    )
    assert columns == [
        ["id", "bigint", None, None, "NO"],
        ["day", "date", None, None, "NO"],
        ["name", "character varying", 5, None, "YES"],
        ["amount", "numeric", None, 10, "YES"],
        ["note", "character varying", 65535, None, "YES"],
        ["bytes", "binary varying", 10, None, "YES"],
    ]
    shown = run(
        [
            f"set search_path to {schema}",
            'select "column", type, encoding, distkey, sortkey, "notnull" from pg_table_def',
        ]
    )
    assert shown[0] == ["id", "bigint", "az64", True, 2, True]
    assert shown[2] == ["name", "character varying(5)", "lzo", False, 0, False]


def test_a_column_may_say_its_own_keys(schema):
    run(f"create table {schema}.k (a integer distkey, b integer sortkey)")
    run(f"insert into {schema}.k values (1, 2)")
    assert run(f"select diststyle, sortkey1 from svv_table_info where \"schema\" = '{schema}'") == [
        ["KEY(a)", "b"]
    ]


def test_values_that_do_not_fit_are_refused(schema):
    run(f"create table {schema}.f (a integer not null, v varchar(4), b varbyte(2), d decimal(3,1))")
    assert "Value too long for character type" in fails(
        f"insert into {schema}.f values (1, 'äää', null, null)"
    ), "the length is in bytes"
    assert "Value too long" in fails(
        f"insert into {schema}.f values (1, null, 'abc'::varbyte, null)"
    )
    assert "Cannot insert a NULL value into column a" in fails(
        f"insert into {schema}.f (v) values ('x')"
    )
    assert "Numeric data overflow" in fails(f"insert into {schema}.f values (1, null, null, 100)")
    run(f"insert into {schema}.f values (1, 'ää', 'ab'::varbyte, 99.9)")
    assert "Value too long" in fails(f"update {schema}.f set v = 'abcde'")


def test_changes_read_other_tables(schema):
    run(
        [
            f"create table {schema}.t (id integer, n varchar(9))",
            f"create table {schema}.s (id integer, n varchar(9))",
            f"insert into {schema}.t values (1, 'a'), (2, 'b')",
            f"insert into {schema}.s values (2, 'new'), (3, 'c')",
        ]
    )
    assert run(f"update {schema}.t set n = x.n || '!' from {schema}.s x where x.id = t.id") == 1
    assert run(f"select * from {schema}.t order by id") == [[1, "a"], [2, "new!"]]
    run(
        f"merge into {schema}.t using {schema}.s on {schema}.t.id = {schema}.s.id when matched then"
        " update set n = s.n when not matched then insert (id, n) values (s.id, s.n)"
    )
    assert run(f"select * from {schema}.t order by id") == [[1, "a"], [2, "new"], [3, "c"]]
    run(f"insert into {schema}.s values (2, 'twice')")
    assert "multiple matches" in fails(
        f"merge into {schema}.t using {schema}.s on {schema}.t.id = {schema}.s.id when matched then"
        " update set n = s.n when not matched then insert (id, n) values (s.id, s.n)"
    )
    assert run(f"delete from {schema}.t using {schema}.s where t.id = s.id") == 2
    assert run(f"insert into {schema}.t select id, upper(n) from {schema}.s where id > 2") == 1
    assert run(f"select * from {schema}.t order by id") == [[1, "a"], [3, "C"]]


def test_tables_are_copied_renamed_altered_and_described(schema, data):
    run(
        [
            (
                f"create table {schema}.t (id integer not null, n varchar(9)) diststyle all"
                " sortkey(id)"
            ),
            f"insert into {schema}.t values (1, 'a')",
        ]
    )
    run(
        [
            f"create table {schema}.u (like {schema}.t)",
            f"insert into {schema}.u select * from {schema}.t",
            f"drop table {schema}.t",
            f"alter table {schema}.u rename to t",
        ]
    )
    assert run(
        f'select "table", diststyle, sortkey1 from svv_table_info where "schema" = \'{schema}\''
    ) == [["t", "ALL", "id"]]
    run(f"alter table {schema}.t add column z integer default 5")
    run(f"alter table {schema}.t rename column z to y")
    assert run(f"select * from {schema}.t") == [[1, "a", 5]]
    run(
        [
            f"comment on table {schema}.t is 'it''s a table'",
            f"comment on column {schema}.t.id is 'the key'",
        ]
    )
    assert run(
        f"select table_name, remarks from svv_all_tables where schema_name = '{schema}'"
    ) == [["t", "it's a table"]]
    assert run(
        f"select remarks from svv_all_columns where schema_name = '{schema}' and column_name = 'id'"
    ) == [["the key"]]
    run(
        [
            f"create table {schema}.made distkey(id) as select id, n || 'x' as n from {schema}.t",
            f"create view {schema}.v as select id from {schema}.made",
        ]
    )
    tables = data.list_tables(WorkgroupName=NAME, Database="warehouse", SchemaPattern=schema)[
        "Tables"
    ]
    assert {(each["name"], each["type"]) for each in tables} == {
        ("made", "TABLE"),
        ("t", "TABLE"),
        ("v", "VIEW"),
    }
    columns = data.describe_table(
        WorkgroupName=NAME, Database="warehouse", Schema=schema, Table="t"
    )["ColumnList"]
    assert [(each["name"], each["typeName"], each["nullable"]) for each in columns] == [
        ("id", "int4", 0),
        ("n", "varchar", 1),
        ("y", "int4", 1),
    ]
    assert schema in data.list_schemas(WorkgroupName=NAME, Database="warehouse")["Schemas"]
    assert data.list_databases(WorkgroupName=NAME, Database="warehouse")["Databases"] == [
        "warehouse"
    ]


@pytest.mark.parametrize(
    ("sql", "error"),
    [
        ("create table {s}.t (a integer) distkey(b)", 'distkey column "b"'),
        ("create table {s}.t (a integer, a integer)", "more than once"),
        ("create table {s}.t (a geometry)", "does not have the type"),
        ("create table absent.t (a integer)", 'schema "absent" does not exist'),
        ("create schema {s}", "already exists"),
        ("drop table {s}.t", 'Table "t" does not exist'),
        ("drop schema absent", 'schema "absent" does not exist'),
        ("comment on column {s}.t.a is 'x'", 'relation "t" does not exist'),
        ("insert into {s}.t values (1)", "does not exist"),
        ("update {s}.t set a = 1", "does not exist"),
        ("create table {s}.t (snapshot varchar(9))", 'syntax error at or near "snapshot"'),
        ("create table {s}.t (a varchar(70000))", "more than the maximum"),
        ("create table {s}.t (a decimal(39,0))", "more than the maximum"),
        ("create table {s}.t (a decimal(38,38))", "more than the maximum"),
        (f"create table {{s}}.t ({', '.join(f'c{n} int' for n in range(1601))})", "at most 1600"),
        ("create table {s}.tag (a integer)", 'syntax error at or near "tag"'),
        ("create schema system", 'syntax error at or near "system"'),
        ("comment on table {s}.raw is 'x'", 'syntax error at or near "raw"'),
        ("with delta as (select 1 as a) select a from delta", 'at or near "delta"'),
        ("select 1 as a from svv_roles open", 'syntax error at or near "open"'),
    ],
)
def test_a_definition_that_cannot_be_is_refused(schema, sql, error):
    assert error in fails(sql.format(s=schema))


def test_a_reserved_word_is_a_name_in_quotes_and_a_label_behind_as(schema):
    run(f'create table {schema}."snapshot" ("tag" integer encode raw, "oid" integer default 7)')
    run(f'insert into {schema}."snapshot" ("tag", "oid") values (1, default)')
    assert run(f'select s.tag as open, sysdate is null from {schema}."snapshot" s') == [[1, False]]


def test_analyze_vacuum_and_explain_are_accepted(schema):
    run(f"create table {schema}.t (a integer)")
    for sql in (f"analyze {schema}.t", f"vacuum {schema}.t", f"explain select * from {schema}.t"):
        run(sql)


# COPY


TYPES = {
    "i": "integer",
    "b": "bigint",
    "sm": "smallint",
    "d": "decimal(10,2)",
    "t": "varchar(10)",
    "ts": "timestamp",
    "dt": "date",
    "f": "double precision",
    "r": "real",
    "y": "boolean",
    "bytes": "varbyte(10)",
}
GOOD = (
    "1::integer i, 2::bigint b, 3::smallint sm, 1.50::decimal(10,2) d, 'x' t, timestamp '2020-01-01"
    " 00:00:00.123456' ts, date '2020-01-01' dt, 1.5::double f, 2.5::float r, true y,"
    " 'ab'::blob bytes"
)


def put(key, select, tmp_path):
    file = tmp_path / "file.parquet"
    duckdb.sql(f"copy (select {select}) to '{file}' (format parquet)")
    boto3.client("s3").upload_file(str(file), BUCKET, key)
    return file.stat().st_size


@pytest.fixture
def target(schema):
    run(f"create table {schema}.t ({', '.join(f'{name} {kind}' for name, kind in TYPES.items())})")
    return f"{schema}.t"


def copy(target, source, role, rest="format as parquet"):
    return f"copy {target} from 's3://{BUCKET}/{source}' iam_role '{role}' {rest}"


def test_a_load_appends_every_file_below_the_prefix(target, role, tmp_path):
    put("good/1.parquet", GOOD, tmp_path)
    put("good/2.parquet", GOOD, tmp_path)
    assert run(copy(target, "good/", role)) == 2
    assert run(f"copy {target} from 's3://{BUCKET}/good/1' iam_role default parquet") == 1
    assert run(f"select count(*) from {target}") == [[3]]
    assert run(f"select * from {target} limit 1") == [
        [1, 2, 3, "1.50", "x", "2020-01-01 00:00:00.123456", "2020-01-01", 1.5, 2.5, True, "6162"]
    ]
    history = run(
        "select status, loaded_rows, source_file_count from sys_load_history where data_source ="
        f" 's3://{BUCKET}/good/'"
    )
    assert ["completed", 2, 2] in history


WRONG = {
    "one column too few": (
        GOOD.rpartition(",")[0],
        (
            "Unmatched number of columns between table and file. Table columns: 11, Data columns:"
            " 10, File name: https://s3.eu-west-1.amazonaws.com/"
        ),
    ),
    "integer for bigint": (
        GOOD.replace("2::bigint", "2::integer"),
        "Column type: BIGINT, Parquet schema:\noptional int32 b (INT_32) [i:1 d:1 r:0]",
    ),
    "bigint for integer": (
        GOOD.replace("1::integer", "1::bigint"),
        "Column type: INT, Parquet schema:\noptional int64 i",
    ),
    "integer for smallint": (GOOD.replace("3::smallint", "3::integer"), "Column type: SMALLINT"),
    "another precision": (
        GOOD.replace("decimal(10,2)", "decimal(12,2)"),
        "Column type: DECIMAL(10,2), Parquet schema:\noptional int64 d (DECIMAL(12,2))",
    ),
    "another scale": (GOOD.replace("decimal(10,2)", "decimal(10,3)"), "DECIMAL(10,3)"),
    "number for text": (
        GOOD.replace("'x' t", "7 t"),
        "Column type: VARCHAR, Parquet schema:\noptional int32 t",
    ),
    "text for timestamp": (
        GOOD.replace("timestamp '2020-01-01 00:00:00.123456'", "'2020-01-01'"),
        "Column type: TIMESTAMP",
    ),
    "date for timestamp": (
        GOOD.replace("timestamp '2020-01-01 00:00:00.123456'", "date '2020-01-01'"),
        "Column type: TIMESTAMP",
    ),
    "float for double": (GOOD.replace("1.5::double", "1.5::float"), "Column type: DOUBLE"),
    "columns in another order": (
        GOOD.replace("1::integer i, 2::bigint b", "2::bigint b, 1::integer i"),
        "incompatible Parquet schema for column",
    ),
    "nanoseconds": (
        GOOD.replace("timestamp '2020-01-01 00:00:00.123456'", "'2020-01-01'::timestamp_ns"),
        "nanoseconds",
    ),
    "too long a value": (GOOD.replace("'x' t", "'äääääää' t"), "Value too long for character type"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_file_that_redshift_would_refuse_is_refused_and_nothing_is_loaded(
    target, role, tmp_path, case
):
    select, error = WRONG[case]
    prefix = f"wrong/{case}/".replace(" ", "-")
    put(f"{prefix}1.parquet", GOOD, tmp_path)
    put(f"{prefix}2.parquet", select, tmp_path)
    said = fails(copy(target, prefix, role))
    assert error in said
    assert run(f"select count(*) from {target}") == [[0]]
    assert run(
        f"select status from sys_load_history where data_source = 's3://{BUCKET}/{prefix}'"
    ) == [["failed"]]
    assert (
        len(
            run(
                "select error_message from sys_load_error_detail where file_name ="
                f" 's3://{BUCKET}/{prefix}'"
            )
        )
        == 1
    )


def test_a_null_where_none_may_be_is_refused(schema, role, tmp_path):
    run(f"create table {schema}.n (a integer not null)")
    put("null/1.parquet", "null::integer a", tmp_path)
    assert "Cannot insert a NULL value into column a" in fails(copy(f"{schema}.n", "null/", role))


def test_a_file_that_is_cut_short_is_named(target, role, tmp_path):
    size = put("cut/1.parquet", GOOD, tmp_path)
    whole = boto3.client("s3").get_object(Bucket=BUCKET, Key="cut/1.parquet")["Body"].read()
    boto3.client("s3").put_object(Bucket=BUCKET, Key="cut/1.parquet", Body=whole[: size // 2])
    said = fails(copy(target, "cut/", role))
    assert "https://s3.eu-west-1.amazonaws.com/redshift-tests/cut/1.parquet" in said
    assert "cut short" in said


def test_an_empty_prefix_a_missing_bucket_and_a_missing_table_are_told(target, role):
    assert "The specified S3 prefix 'nothing/here' does not exist" in fails(
        copy(target, "nothing/here", role)
    )
    assert "NoSuchBucket" in fails(
        f"copy {target} from 's3://absent-bucket/x' iam_role '{role}' format as parquet"
    )
    assert "Cannot COPY into nonexistent table absent" in fails(copy("absent", "good/", role))


@pytest.mark.parametrize(
    ("rest", "error"),
    [
        (
            "format as parquet maxerror 5",
            "MAXERROR argument is not supported for PARQUET based COPY",
        ),
        ("format as parquet delimiter ','", "DELIMITER argument is not supported"),
        ("format as parquet acceptanydate", "ACCEPTANYDATE argument is not supported"),
        ("format as parquet compupdate on", "COMPUPDATE argument is not supported"),
        ("format as parquet fillrecord", "local_aws does not do COPY with FILLRECORD"),
        ("csv", "FORMAT AS PARQUET only"),
        ("", "FORMAT AS PARQUET only"),
        ("json 'auto'", "FORMAT AS PARQUET only"),
    ],
)
def test_options_that_parquet_does_not_take_are_refused(target, role, rest, error):
    assert error in fails(copy(target, "good/", role, rest))


def test_a_role_that_is_not_attached_to_the_namespace_cannot_load(target):
    assert "is not authorized to assume IAM Role" in fails(
        copy(target, "good/", "arn:aws:iam::123456789012:role/redshift-tests-glue")
    )
    assert "IAM" in fails(f"copy {target} from 's3://{BUCKET}/good/' format as parquet")


def manifest(name, *entries):
    boto3.client("s3").put_object(
        Bucket=BUCKET, Key=name, Body=json.dumps({"entries": list(entries)}).encode()
    )


def test_a_manifest_names_the_files_and_their_sizes(target, role, tmp_path):
    size = put("listed/1.parquet", GOOD, tmp_path)
    put("listed/2.parquet", GOOD, tmp_path)
    url = f"s3://{BUCKET}/listed/1.parquet"
    entry = {"url": url, "mandatory": True, "meta": {"content_length": size}}
    manifest("m/good", entry)
    assert run(copy(target, "m/good", role, "format as parquet manifest")) == 1
    manifest("m/size", {**entry, "meta": {"content_length": size + 1}})
    assert "content_length" in fails(copy(target, "m/size", role, "format as parquet manifest"))
    manifest("m/no-meta", {"url": url, "mandatory": True})
    assert "content_length" in fails(copy(target, "m/no-meta", role, "format as parquet manifest"))
    manifest("m/absent", entry, {**entry, "url": url + "x"})
    assert "Mandatory url" in fails(copy(target, "m/absent", role, "format as parquet manifest"))
    manifest("m/optional", entry, {**entry, "url": url + "x", "mandatory": False})
    assert run(copy(target, "m/optional", role, "format as parquet manifest")) == 1
    assert "manifest" in fails(copy(target, "m/nowhere", role, "format as parquet manifest"))
    boto3.client("s3").put_object(Bucket=BUCKET, Key="m/not-json", Body=b"{")
    assert "Invalid JSON" in fails(copy(target, "m/not-json", role, "format as parquet manifest"))


def test_a_load_in_a_transaction_that_fails_is_undone(target, role, tmp_path):
    put("undone/1.parquet", GOOD, tmp_path)
    fails([copy(target, "undone/", role), "select 1 / 0"])
    assert run(f"select count(*) from {target}") == [[0]]
    assert run(
        "select status, loaded_rows from sys_load_history where data_source ="
        f" 's3://{BUCKET}/undone/'"
    ) == [["aborted", 0]]


# Outside the database


def test_unload_writes_parquet_that_copy_reads(target, role, tmp_path):
    put("again/1.parquet", GOOD, tmp_path)
    run(copy(target, "again/", role))
    assert (
        run(
            f"unload ('select * from {target} where t = ''x''') to 's3://{BUCKET}/unloaded/'"
            f" iam_role '{role}' format as parquet"
        )
        == 1
    )
    assert "not empty" in fails(
        f"unload ('select 1 as a') to 's3://{BUCKET}/unloaded/' iam_role '{role}' format as parquet"
    )
    assert run(copy(target, "unloaded/", role)) == 1


def test_an_external_schema_shows_the_tables_of_the_data_catalog(schema, role, tmp_path):
    glue = boto3.client("glue")
    glue.create_database(DatabaseInput={"Name": "redshift_tests"})
    put("lake/m=1/1.parquet", "1::bigint id, 'a' n", tmp_path)
    storage = {
        "Columns": [{"Name": "id", "Type": "bigint"}, {"Name": "n", "Type": "string"}],
        "Location": f"s3://{BUCKET}/lake/",
        "InputFormat": "org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat",
    }
    glue.create_table(
        DatabaseName="redshift_tests",
        TableInput={
            "Name": "t",
            "StorageDescriptor": storage,
            "PartitionKeys": [{"Name": "m", "Type": "int"}],
        },
    )
    name = f"x{schema}"
    run(
        f"create external schema {name} from data catalog database 'redshift_tests' iam_role"
        f" '{role}'"
    )
    assert run(f"select * from {name}.t") == [], (
        "partitions that are not in the catalog are not seen"
    )
    glue.create_partition(
        DatabaseName="redshift_tests",
        TableName="t",
        PartitionInput={
            "Values": ["1"],
            "StorageDescriptor": {**storage, "Location": f"s3://{BUCKET}/lake/m=1/"},
        },
    )
    assert run(f"select id, n, m from {name}.t") == [[1, "a", 1]]
    run(f"create table {schema}.local (id bigint, note varchar(5))")
    run(f"insert into {schema}.local values (1, 'both')")
    assert run(f"select x.n, l.note from {name}.t x join {schema}.local l on l.id = x.id") == [
        ["a", "both"]
    ]
    assert "does not exist" in fails(f"select * from {name}.absent")
    assert [
        schema_type
        for schema_name, schema_type in run("select schema_name, schema_type from svv_all_schemas")
        if schema_name == name
    ] == ["external"]


# awswrangler


def test_awswrangler_reads_through_the_data_api(schema):
    run(
        [
            f"create table {schema}.t (id bigint, d decimal(5,2), at timestamp)",
            f"insert into {schema}.t values (1, 1.50, '2020-01-01'), (2, null, null)",
        ]
    )
    connection = wr.data_api.redshift.connect(workgroup_name=NAME, database="warehouse")
    frame = wr.data_api.redshift.read_sql_query(f"select * from {schema}.t order by id", connection)
    assert frame.to_dict("list") == {
        "id": [1, 2],
        "d": ["1.50", None],
        "at": ["2020-01-01 00:00:00", None],
    }
    with pytest.raises(Exception, match='relation "absent" does not exist'):
        wr.data_api.redshift.read_sql_query("select * from absent", connection)
