"""What a user may do in the warehouse, views that bind late, SUPER, and clusters."""

import json
import uuid

import boto3
import pytest
from botocore.exceptions import ClientError

NAME = "redshift-rights"
PERSON = "redshift-reader"


def opened(name):
    """The administrator's warehouse of this name, as the arguments of the Data API."""
    serverless = boto3.client("redshift-serverless")
    serverless.create_namespace(namespaceName=name, dbName="lake", manageAdminPassword=True)
    serverless.create_workgroup(workgroupName=name, namespaceName=name, baseCapacity=8)
    return {"WorkgroupName": name, "Database": "lake"}


def person(name):
    """A session of an IAM role that may use the Data API and was granted nothing in any
    database.
    """
    iam = boto3.client("iam")
    trust = {
        "Effect": "Allow",
        "Principal": {"AWS": "arn:aws:iam::123456789012:root"},
        "Action": "sts:AssumeRole",
    }
    document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    arn = iam.create_role(RoleName=name, AssumeRolePolicyDocument=document)["Role"]["Arn"]
    may = {
        "Effect": "Allow",
        "Action": ["redshift-data:*", "redshift-serverless:GetCredentials"],
        "Resource": "*",
    }
    document = json.dumps({"Version": "2012-10-17", "Statement": [may]})
    iam.put_role_policy(RoleName=name, PolicyName="asks", PolicyDocument=document)
    key = boto3.client("sts").assume_role(RoleArn=arn, RoleSessionName="ann")["Credentials"]
    return boto3.client(
        "redshift-data",
        aws_access_key_id=key["AccessKeyId"],
        aws_secret_access_key=key["SecretAccessKey"],
        aws_session_token=key["SessionToken"],
    )


@pytest.fixture(scope="module")
def place(stand_in):
    return opened(NAME)


@pytest.fixture(scope="module")
def reader(place):
    client = person(PERSON)
    run(place, "select 1", client=client)  # the first statement of a role makes its user
    return client


def run(place, *sqls, client=None):
    """The rows of the last statement; raises AssertionError with Redshift's error."""
    data = client or boto3.client("redshift-data")
    for sql in sqls:
        found = data.execute_statement(Sql=sql, **place)["Id"]
        while (state := data.describe_statement(Id=found, WaitTimeSeconds=5))["Status"] not in (
            "FINISHED",
            "FAILED",
        ):
            pass
        if state["Status"] == "FAILED":
            raise AssertionError(state["Error"])
    if not state["HasResultSet"]:
        return []
    rows = data.get_statement_result(Id=found)["Records"]
    return [
        [None if "isNull" in field else next(iter(field.values())) for field in row] for row in rows
    ]


@pytest.fixture
def schema(place):
    name = f"s{uuid.uuid4().hex[:8]}"
    run(place, f"create schema {name}", f"create table {name}.t (id int, secret varchar(20))")
    run(place, f"insert into {name}.t values (1, 'a'), (2, 'b')")
    return name


def test_an_iam_role_is_a_user_of_its_own_and_the_maker_of_the_namespace_a_superuser(place, reader):
    assert run(place, "select current_user", client=reader) == [[f"IAMR:{PERSON}"]]
    assert run(place, "select current_user") == [["IAM:administrator"]]
    users = run(place, "select user_name, superuser from svv_user_info")
    assert ["IAM:administrator", True] in users
    assert [f"IAMR:{PERSON}", False] in users


def test_nothing_is_read_or_changed_without_a_grant(place, reader, schema):
    for sql, said in {
        f"select * from {schema}.t": f"permission denied for schema {schema}",
        f"delete from {schema}.t": f"permission denied for schema {schema}",
        f"create table {schema}.mine (id int)": f"permission denied for schema {schema}",
        "create schema mine": "permission denied for database lake",
        f"drop table {schema}.t": "must be owner of relation t",
        "create role mine": "must be superuser",
    }.items():
        with pytest.raises(AssertionError, match=said):
            run(place, sql, client=reader)


def test_a_role_gives_its_members_a_schema_with_the_tables_to_come(place, reader, schema):
    role = f"r{schema}"
    run(place, "select 1", client=reader)
    run(place, f"create role {role}", f'grant role {role} to "IAMR:{PERSON}"')
    run(place, f"grant usage on schema {schema} to role {role}")
    with pytest.raises(AssertionError, match="permission denied for relation t"):
        run(place, f"select * from {schema}.t", client=reader)
    run(
        place,
        f"grant select for tables in schema {schema} to role {role}",
        f"create table {schema}.later as select 3 id",
    )
    assert run(place, f"select count(*) from {schema}.t", client=reader) == [[2]]
    assert run(place, f"select id from {schema}.later", client=reader) == [[3]]
    with pytest.raises(AssertionError, match="permission denied for relation t"):
        run(place, f"update {schema}.t set id = 0", client=reader)
    held = run(
        place,
        "select privilege_scope, privilege_type from svv_schema_privileges where identity_name ="
        f" '{role}'",
    )
    assert sorted(held) == [["SCHEMA", "USAGE"], ["TABLES", "SELECT"]]
    run(place, f'revoke role {role} from "IAMR:{PERSON}"')
    with pytest.raises(AssertionError, match="permission denied"):
        run(place, f"select * from {schema}.t", client=reader)


def test_a_late_binding_view_needs_usage_on_the_schema_behind_it_and_no_right_on_the_table(
    place, reader, schema
):
    views = f"v{schema}"
    run(
        place,
        f"create schema {views}",
        f"create view {views}.numbers as select id from {schema}.t with no schema binding",
        f'grant usage on schema {views} to "IAMR:{PERSON}"',
        f'grant select on {views}.numbers to "IAMR:{PERSON}"',
    )
    with pytest.raises(AssertionError, match=f"permission denied for schema {schema}"):
        run(place, f"select sum(n.id) from {views}.numbers n", client=reader)
    run(place, f'grant usage on schema {schema} to "IAMR:{PERSON}"')
    assert run(place, f"select sum(n.id) from {views}.numbers n", client=reader) == [[3]]
    with pytest.raises(AssertionError, match="permission denied"):
        run(place, f"select * from {schema}.t", client=reader)


def test_a_late_binding_view_outlives_its_table(place, schema):
    run(place, f"create view {schema}.v as select id from {schema}.t with no schema binding")
    run(place, f"drop table {schema}.t")
    with pytest.raises(AssertionError, match="does not exist"):
        run(place, f"select * from {schema}.v")
    run(place, f"create table {schema}.t as select 7::bigint as id")
    assert run(place, f"select id from {schema}.v") == [[7]]
    with pytest.raises(AssertionError, match="should be qualified"):
        run(place, f"create view {schema}.w as select 1 from t with no schema binding")


def test_documents_are_navigated(place, schema):
    run(place, f"create table {schema}.d (id int, doc super)")
    document = (
        '{"method": "card", "card": {"last4": "0007"}, "fee": 1.25, "tries": [1, 2], "note": null}'
    )
    run(
        place,
        f"insert into {schema}.d select 1, json_parse('{document}')",
        f"insert into {schema}.d select 2, null",
    )
    d = f"{schema}.d"
    for sql, expected in {
        f"select x.doc.card.last4 from {d} x where x.doc.method = 'card'": [['"0007"']],
        "select doc.card.last4::varchar, doc.fee::decimal(5,2), doc.tries[1]"
        f" from {d} where doc.fee > 1": [["0007", "1.25", "2"]],
        f"select id from {d} where doc.note is null and doc.method is not null": [[1]],
        f"select id from {d} where doc.method in ('card', 'cash')": [[1]],
        f"select doc.fee * 2 from {d} where id = 1": [[2.5]],
        "select json_typeof(doc), json_typeof(doc.tries), json_serialize(doc.card)"
        f" from {d} where id = 1": [["object", "array", '{"last4":"0007"}']],
        f"select json_typeof(doc) from {d} where id = 2": [[None]],
        f"select t::int from {d} x, x.doc.tries t where x.id = 1 order by 1": [[1], [2]],
        f"select doc.absent.deeper from {d} where id = 1": [[None]],
        "select can_json_parse('{'), can_json_parse('[1]'), can_json_parse('')": [
            [False, True, False]
        ],
    }.items():
        assert run(place, sql) == expected, sql


def test_the_secret_of_the_administrator_logs_in_as_the_administrator(place):
    namespace = boto3.client("redshift-serverless").get_namespace(namespaceName=NAME)["namespace"]
    assert run(
        {**place, "SecretArn": namespace["adminPasswordSecretArn"]}, "select current_user"
    ) == [["admin"]]
    secret = json.dumps({"username": "admin", "password": "wrong"})
    wrong = boto3.client("secretsmanager").create_secret(
        Name=f"wrong-{uuid.uuid4().hex}", SecretString=secret
    )["ARN"]
    with pytest.raises(ClientError, match="password authentication failed"):
        run({**place, "SecretArn": wrong}, "select 1")


def test_svv_table_info_shows_what_vacuum_and_analyze_would_do(place, schema):
    condition = (
        f"select unsorted, stats_off from svv_table_info where \"schema\" = '{schema}' and"
        " \"table\" = 'sorted'"
    )
    run(
        place,
        f"create table {schema}.sorted (id int) sortkey(id)",
        f"insert into {schema}.sorted values (1), (2)",
    )
    assert run(place, condition) == [["100.00", "100.00"]]
    run(place, f"vacuum sort only {schema}.sorted", f"analyze {schema}.sorted")
    assert run(place, condition) == [["0.00", "0.00"]]


def test_a_cluster_comes_answers_and_goes(stand_in):
    redshift, ec2 = boto3.client("redshift"), boto3.client("ec2")
    subnets = [
        each["SubnetId"]
        for each in ec2.describe_subnets(Filters=[{"Name": "default-for-az", "Values": ["true"]}])[
            "Subnets"
        ]
    ][:2]
    with pytest.raises(ClientError, match="not found") as absent:
        create_cluster(redshift, "absent-group")
    assert absent.value.response["Error"]["Code"] == "ClusterSubnetGroupNotFoundFault"
    redshift.create_cluster_subnet_group(
        ClusterSubnetGroupName="lake", Description="lake", SubnetIds=subnets
    )
    create_cluster(redshift, "lake")
    redshift.get_waiter("cluster_available").wait(
        ClusterIdentifier="c", WaiterConfig={"Delay": 1, "MaxAttempts": 20}
    )
    found = redshift.describe_clusters(ClusterIdentifier="c")["Clusters"][0]
    assert (found["ClusterStatus"], found["DBName"], found["Encrypted"]) == (
        "available",
        "lake",
        True,
    )
    assert found["MasterPasswordSecretArn"].startswith("arn:aws:secretsmanager:")
    place = {"ClusterIdentifier": "c", "Database": "lake", "DbUser": "admin"}
    run(place, "create schema s", "create table s.t as select 1 as one")
    assert run(place, "select one, current_user from s.t") == [[1, "admin"]]
    with pytest.raises(AssertionError, match="permission denied"):
        run({"ClusterIdentifier": "c", "Database": "lake"}, "select * from s.t")
    with pytest.raises(ClientError, match="is in use"):
        redshift.delete_cluster_subnet_group(ClusterSubnetGroupName="lake")
    redshift.delete_cluster(ClusterIdentifier="c", SkipFinalClusterSnapshot=True)
    redshift.get_waiter("cluster_deleted").wait(
        ClusterIdentifier="c", WaiterConfig={"Delay": 1, "MaxAttempts": 20}
    )
    redshift.delete_cluster_subnet_group(ClusterSubnetGroupName="lake")


def create_cluster(redshift, group):
    redshift.create_cluster(
        ClusterIdentifier="c",
        NodeType="ra3.large",
        ClusterType="single-node",
        MasterUsername="admin",
        ManageMasterPassword=True,
        DBName="lake",
        ClusterSubnetGroupName=group,
    )
