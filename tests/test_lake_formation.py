"""Lake Formation as the stand-in enforces it: inert while IAM_ALLOWED_PRINCIPALS holds ALL, then
exactly what was granted, no way round.
"""

import datetime as dt
import json
import re
import time
import uuid
from decimal import Decimal

import awswrangler as wr
import boto3
import glue_runner
import pandas as pd
import pytest
from botocore.exceptions import ClientError
from test_athena import finished
from test_redshift import describe

ACCOUNT, REGION = "123456789012", "eu-west-1"
BUCKET, OUT, DATABASE = "lf-lake", "lf-out", "lf_tests"
ADMINISTRATOR = f"arn:aws:iam::{ACCOUNT}:user/administrator"
EVERYBODY = "IAM_ALLOWED_PRINCIPALS"
FINE_GRAINED = {"--enable-lakeformation-fine-grained-access": "true"}
TABLES = "people", "inert", "parted", "hybrid", "inserted"  # of the database at first
PEOPLE = pd.DataFrame(
    {
        "id": [1, 2, 3, 4],
        "name": ["ann", "bob", "eve", "joe"],
        "salary": [1000, 2000, 31337, 4000],
        "ssn": ["hidden-1", "hidden-2", "hidden-3", "hidden-4"],
        "country": ["de", "de", "fr", "us"],
    }
)
TRUST = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"},
                "Action": "sts:AssumeRole",
            }
        ],
    }
)
SERVICE_TRUST = TRUST.replace(
    f'"AWS": "arn:aws:iam::{ACCOUNT}:root"', '"Service": "lakeformation.amazonaws.com"'
)


def policy(*statements):
    listed = [
        {"Effect": "Allow", "Action": actions, "Resource": resources}
        for actions, resources in statements
    ]
    return json.dumps({"Version": "2012-10-17", "Statement": listed})


READER = policy(
    (["athena:*", "glue:*", "lakeformation:*"], "*"),
    (
        ["s3:GetObject", "s3:PutObject", "s3:ListBucket", "s3:GetBucketLocation"],
        [f"arn:aws:s3:::{OUT}", f"arn:aws:s3:::{OUT}/*"],
    ),
)
FILES = policy(("s3:*", [f"arn:aws:s3:::{BUCKET}", f"arn:aws:s3:::{BUCKET}/*"]))


def role(name, document, trust=TRUST):
    boto3.client("iam").create_role(RoleName=name, AssumeRolePolicyDocument=trust)
    boto3.client("iam").put_role_policy(RoleName=name, PolicyName="own", PolicyDocument=document)
    return f"arn:aws:iam::{ACCOUNT}:role/{name}"


class Person:
    """A role that may read no file of the lake by itself."""

    def __init__(self, document=READER):
        self.arn = role(f"lf-{uuid.uuid4().hex[:8]}", document)
        keys = boto3.client("sts").assume_role(RoleArn=self.arn, RoleSessionName="me")[
            "Credentials"
        ]
        self.session = boto3.Session(
            keys["AccessKeyId"], keys["SecretAccessKey"], keys["SessionToken"], REGION
        )

    def client(self, service):
        return self.session.client(service)

    def run(self, sql):
        """State, reason and rows of a query."""
        athena = self.client("athena")
        where = {"OutputLocation": f"s3://{OUT}/{uuid.uuid4().hex}/"}
        context = {"Database": DATABASE}
        query_id = athena.start_query_execution(
            QueryString=sql, QueryExecutionContext=context, ResultConfiguration=where
        )["QueryExecutionId"]
        status = finished(query_id)["Status"]
        if status["State"] != "SUCCEEDED":
            return status["State"], status["StateChangeReason"], []
        found = athena.get_query_results(QueryExecutionId=query_id)["ResultSet"]["Rows"]
        return (
            "SUCCEEDED",
            "",
            [[cell.get("VarCharValue") for cell in each["Data"]] for each in found],
        )

    def rows(self, sql):
        state, reason, rows = self.run(sql)
        assert state == "SUCCEEDED", reason
        return rows[1:] if sql.upper().startswith(("SELECT", "WITH")) else rows

    def reason(self, sql):
        state, reason, _ = self.run(sql)
        assert state == "FAILED"
        return reason


def lake_formation():
    return boto3.client("lakeformation")


def grant(person, resource, permissions, **more):
    who = {"DataLakePrincipalIdentifier": getattr(person, "arn", person)}
    lake_formation().grant_permissions(
        Principal=who, Resource=resource, Permissions=permissions, **more
    )


def revoke(person, resource, permissions):
    who = {"DataLakePrincipalIdentifier": getattr(person, "arn", person)}
    lake_formation().revoke_permissions(Principal=who, Resource=resource, Permissions=permissions)


def table(name):
    return {"Table": {"DatabaseName": DATABASE, "Name": name}}


def columns(name, *names):
    return {
        "TableWithColumns": {"DatabaseName": DATABASE, "Name": name, "ColumnNames": list(names)}
    }


def all_columns_but(name, *names):
    return {
        "TableWithColumns": {
            "DatabaseName": DATABASE,
            "Name": name,
            "ColumnWildcard": {"ExcludedColumnNames": list(names)},
        }
    }


def cells(table_name, name, rows, **which):
    told = {
        "TableCatalogId": ACCOUNT,
        "DatabaseName": DATABASE,
        "TableName": table_name,
        "Name": name,
    }
    shown = which or {"ColumnWildcard": {}}
    lake_formation().create_data_cells_filter(
        TableData={**told, "RowFilter": {"FilterExpression": rows}, **shown}
    )
    return {"DataCellsFilter": told}


@pytest.fixture(scope="module")
def lake(stand_in):
    """A database of tables of the same people, in a registered location, where only grants
    count.
    """
    s3 = boto3.client("s3")
    for bucket in (BUCKET, OUT):
        s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION})
    client = lake_formation()
    settings = client.get_data_lake_settings()["DataLakeSettings"]
    admins = [{"DataLakePrincipalIdentifier": ADMINISTRATOR}]
    client.put_data_lake_settings(DataLakeSettings={**settings, "DataLakeAdmins": admins})
    wr.catalog.create_database(DATABASE)
    for name in TABLES:
        keys = {"partition_cols": ["country"]} if name == "parted" else {}
        wr.s3.to_parquet(
            PEOPLE, f"s3://{BUCKET}/{name}/", dataset=True, database=DATABASE, table=name, **keys
        )
    lends = role("lf-lends", FILES, SERVICE_TRUST)
    client.register_resource(ResourceArn=f"arn:aws:s3:::{BUCKET}", RoleArn=lends)
    client.register_resource(
        ResourceArn=f"arn:aws:s3:::{BUCKET}/hybrid", RoleArn=lends, HybridAccessEnabled=True
    )
    revoke(EVERYBODY, {"Database": {"Name": DATABASE}}, ["ALL"])
    for name in ("people", "parted", "inserted"):
        revoke(EVERYBODY, table(name), ["ALL"])
    yield client
    client.put_data_lake_settings(DataLakeSettings=settings)


@pytest.fixture
def person(lake):
    return Person()


# Inert


def test_what_iam_allows_is_allowed_while_everybody_holds_all(person):
    assert len(person.rows("SELECT * FROM inert")) == 4


def test_a_registered_location_is_read_without_any_right_to_its_files(person):
    assert person.rows("SELECT max(salary) FROM inert") == [["31337"]]
    with pytest.raises(ClientError, match="AccessDenied"):
        person.client("s3").list_objects_v2(Bucket=BUCKET)


def test_without_get_data_access_nothing_is_lent(lake):
    nobody = Person(READER.replace("lakeformation:*", "lakeformation:List*"))
    assert "is not authorized to perform: lakeformation:GetDataAccess" in nobody.reason(
        "SELECT * FROM inert"
    )


# What is seen


def test_a_table_without_a_grant_is_not_seen(person):
    assert (
        "Insufficient Lake Formation permission(s): Required Describe on people"
        in person.reason("SELECT 1 FROM people")
    )
    names = [
        each["Name"]
        for each in person.client("glue").get_tables(DatabaseName=DATABASE)["TableList"]
    ]
    assert {each for each in names if each in TABLES} == {"hybrid", "inert"}
    with pytest.raises(ClientError, match="Required Describe on people"):
        person.client("glue").get_table(DatabaseName=DATABASE, Name="people")


def test_a_database_without_a_grant_is_not_seen(person):
    assert DATABASE not in [
        each["Name"] for each in person.client("glue").get_databases()["DatabaseList"]
    ]
    grant(person, {"Database": {"Name": DATABASE}}, ["DESCRIBE"])
    assert DATABASE in [
        each["Name"] for each in person.client("glue").get_databases()["DatabaseList"]
    ]


def test_describe_shows_a_table_and_no_column_of_it(person):
    grant(person, table("people"), ["DESCRIBE"])
    assert "Relation contains no accessible columns" in person.reason("SELECT * FROM people")


def test_select_on_a_table_is_all_of_it(person):
    grant(person, table("people"), ["SELECT"])
    assert len(person.rows("SELECT * FROM people")) == 4


def test_a_wildcard_grant_is_every_table_and_shows_the_database(person):
    grant(person, {"Table": {"DatabaseName": DATABASE, "TableWildcard": {}}}, ["SELECT"])
    assert len(person.rows("SELECT * FROM people p JOIN parted q ON p.id = q.id")) == 4
    assert DATABASE in [
        each["Name"] for each in person.client("glue").get_databases()["DatabaseList"]
    ]


@pytest.mark.parametrize(
    "resource",
    [columns("people", "id", "name"), all_columns_but("people", "salary", "ssn", "country")],
)
def test_only_granted_columns_are_there(person, resource):
    grant(person, resource, ["SELECT"])
    assert person.rows("SELECT * FROM people ORDER BY 1") == [
        ["1", "ann"],
        ["2", "bob"],
        ["3", "eve"],
        ["4", "joe"],
    ]
    described = person.client("glue").get_table(DatabaseName=DATABASE, Name="people")["Table"]
    assert [each["Name"] for each in described["StorageDescriptor"]["Columns"]] == ["id", "name"]


def test_grants_add_up(person):
    grant(person, columns("people", "id"), ["SELECT"])
    grant(person, columns("people", "name"), ["SELECT"])
    assert person.rows("SELECT * FROM people WHERE id = 1") == [["1", "ann"]]


def test_a_revoked_grant_is_gone(person):
    grant(person, table("people"), ["SELECT"])
    revoke(person, table("people"), ["SELECT"])
    assert "Required Describe on people" in person.reason("SELECT 1 FROM people")


def test_a_row_filter_hides_rows_and_several_are_or(person):
    grant(person, cells("people", f"de-{person.arn[-8:]}", "country = 'de'"), ["SELECT"])
    assert person.rows("SELECT count(*), max(salary) FROM people") == [["2", "2000"]]
    grant(person, cells("people", f"us-{person.arn[-8:]}", "country = 'us'"), ["SELECT"])
    assert person.rows("SELECT count(*), max(salary) FROM people") == [["3", "4000"]]


def test_a_filter_of_rows_and_columns_hides_both(person):
    grant(
        person,
        cells("people", f"cells-{person.arn[-8:]}", "salary < 3000", ColumnNames=["id", "name"]),
        ["SELECT"],
    )
    assert person.rows("SELECT * FROM people ORDER BY id") == [["1", "ann"], ["2", "bob"]]
    assert "cannot be resolved or requester is not authorized" in person.reason(
        "SELECT salary FROM people"
    )


def test_select_on_the_table_is_not_narrowed_by_a_filter(person):
    grant(person, cells("people", f"narrow-{person.arn[-8:]}", "country = 'de'"), ["SELECT"])
    grant(person, table("people"), ["SELECT"])
    assert person.rows("SELECT count(*) FROM people") == [["4"]]


def test_a_cell_of_one_filter_is_null_in_the_rows_of_another(person):
    grant(person, columns("people", "id"), ["SELECT"])
    grant(
        person,
        cells("people", f"null-{person.arn[-8:]}", "country = 'de'", ColumnNames=["id", "ssn"]),
        ["SELECT"],
    )
    assert person.rows("SELECT ssn FROM people ORDER BY id") == [
        ["hidden-1"],
        ["hidden-2"],
        [None],
        [None],
    ]


@pytest.mark.parametrize(
    "rows",
    [
        "upper(country) = 'DE'",
        "salary > id",
        "nothing = 1",
        "salary = 'x'",
        "country",
        "1 = 1",
        "country = 'de' OR",
        "id IN (SELECT 1)",
    ],
)
def test_a_filter_that_is_no_comparison_of_a_column_with_a_constant_is_refused(lake, rows):
    with pytest.raises(ClientError, match="InvalidInputException"):
        cells("people", "refused", rows)


def test_partitions_are_hidden_with_their_key(person):
    grant(person, all_columns_but("parted", "country"), ["SELECT"])
    grant(person, {"Database": {"Name": DATABASE}}, ["DESCRIBE"])
    assert (
        person.client("glue").get_table(DatabaseName=DATABASE, Name="parted")["Table"][
            "PartitionKeys"
        ]
        == []
    )
    assert person.rows("SELECT count(*) FROM parted") == [["4"]]
    assert "not a partitioned table" in person.reason("SHOW PARTITIONS parted")
    with pytest.raises(ClientError, match="Required Select on parted"):
        person.client("glue").get_partitions(DatabaseName=DATABASE, TableName="parted")


# Tags


@pytest.fixture(scope="module")
def tagged(lake):
    lake.create_lf_tag(TagKey="Team", TagValues=["hr", "sales"])
    lake.create_lf_tag(TagKey="level", TagValues=["open", "closed"])
    tag({"Database": {"Name": DATABASE}}, level="closed")
    tag(table("people"), team="hr", level="open")
    tag(columns("people", "ssn"), level="closed")


def tag(resource, **tags):
    listed = [{"TagKey": key, "TagValues": [value]} for key, value in tags.items()]
    return lake_formation().add_lf_tags_to_resource(Resource=resource, LFTags=listed)["Failures"]


def tag_policy(kind="TABLE", **tags):
    listed = [{"TagKey": key, "TagValues": values} for key, values in tags.items()]
    return {"LFTagPolicy": {"ResourceType": kind, "Expression": listed}}


def test_a_column_s_own_tag_overrides_what_it_inherits(tagged, person):
    grant(person, tag_policy(level=["open"]), ["SELECT"])
    assert person.rows("SELECT * FROM people WHERE id = 1") == [["1", "ann", "1000", "de"]]


def test_keys_are_and_values_are_or(tagged, person):
    grant(person, tag_policy(team=["sales"], level=["open", "closed"]), ["SELECT"])
    assert "Required Describe on people" in person.reason("SELECT 1 FROM people")
    grant(person, tag_policy(team=["hr", "sales"], level=["open", "closed"]), ["SELECT"])
    assert len(person.rows("SELECT ssn FROM people")) == 4


def test_the_tags_of_a_resource_show_what_is_inherited(tagged, lake):
    found = lake.get_resource_lf_tags(Resource=table("people"))
    assert [each["TagValues"] for each in found["LFTagOnDatabase"]] == [["closed"]]
    assert {each["TagKey"]: each["TagValues"] for each in found["LFTagsOnTable"]} == {
        "team": ["hr"],
        "level": ["open"],
    }
    inner = {
        each["Name"]: {one["TagKey"]: one["TagValues"] for one in each["LFTags"]}
        for each in found["LFTagsOnColumns"]
    }
    assert (inner["ssn"]["level"], inner["id"]["level"]) == (["closed"], ["open"])
    listed = lake.search_tables_by_lf_tags(Expression=[{"TagKey": "team", "TagValues": ["hr"]}])[
        "TableList"
    ]
    assert [each["Table"]["Name"] for each in listed] == ["people"]


def test_a_tag_value_that_does_not_exist_is_a_failure_and_no_error(tagged):
    [failure] = tag(table("people"), team="nobody")
    assert failure["Error"]["ErrorCode"] == "EntityNotFoundException"


def test_a_second_tag_of_the_same_key_is_refused(tagged, lake):
    with pytest.raises(ClientError, match="Tag key already exists"):
        lake.create_lf_tag(TagKey="team", TagValues=["x"])
    with pytest.raises(ClientError, match="Update not allowed"):
        lake.update_lf_tag(TagKey="team", TagValuesToDelete=["hr"])


# Leaks: ssn is hidden, and every row but Germany's

LEAKS = [
    "SELECT ssn FROM people",
    "SELECT p.ssn FROM people p",
    'SELECT "SSN" FROM people',
    f"SELECT people.ssn FROM {DATABASE}.people",
    "SELECT id FROM people WHERE ssn = 'hidden-1'",
    "SELECT id FROM people ORDER BY ssn",
    "SELECT count(*) FROM people GROUP BY ssn",
    "SELECT country FROM people GROUP BY country HAVING max(ssn) > 'a'",
    "SELECT a.id FROM people a JOIN people b ON a.ssn = b.ssn",
    "SELECT CASE WHEN ssn = 'hidden-1' THEN 1 / 0 ELSE 0 END FROM people",
    "SELECT CAST(ssn AS integer) FROM people",
    "SELECT length(ssn) FROM people",
    "SELECT (SELECT max(ssn) FROM people)",
    "SELECT id FROM people WHERE EXISTS (SELECT 1 FROM people q WHERE q.ssn = people.name)",
    "SELECT rank() OVER (ORDER BY ssn) FROM people",
    "WITH x AS (SELECT ssn FROM people) SELECT * FROM x",
    "SELECT * FROM (SELECT ssn AS id FROM people)",
    (
        f"CREATE TABLE leaked WITH (external_location = 's3://{OUT}/leaked/') AS SELECT ssn FROM"
        " people"
    ),
    f"UNLOAD (SELECT ssn FROM people) TO 's3://{OUT}/unloaded/' WITH (format = 'PARQUET')",
    "EXPLAIN SELECT ssn FROM people",
    "EXPLAIN ANALYZE SELECT ssn FROM people",
    "SELECT approx_percentile(salary, 0.5), max_by(ssn, id) FROM people",
    "SELECT count(DISTINCT ssn) FROM people",
    "SELECT id FROM people UNION SELECT length(ssn) FROM people",
    'SELECT "$path" FROM people',
    "SELECT id FROM people WHERE salary > 3000 AND 1 / (salary - 31337) > 0",
    "SELECT id FROM people WHERE CAST(name AS integer) > 0 OR salary = 31337",
    "SELECT * FROM people WHERE name = 'eve'",
    "SELECT 1 / (31337 - salary) FROM people WHERE salary > 2000",
    "SELECT max(salary) FROM people",
    "SELECT count(*) FROM people",
    'SELECT * FROM "LF_Tests"."People"',
    "SELECT json_extract(ssn, '$') FROM people",
    "SHOW COLUMNS IN people",
    "DESCRIBE people",
    (
        f"SELECT column_name FROM information_schema.columns WHERE table_schema = '{DATABASE}' AND"
        " table_name = 'people'"
    ),
]


@pytest.fixture(scope="module")
def curious(lake):
    """Somebody who may see Germany's rows without ssn."""
    person = Person()
    grant(person, {"Database": {"Name": DATABASE}}, ["DESCRIBE"])
    told = {"ColumnWildcard": {"ExcludedColumnNames": ["ssn"]}}
    grant(person, cells("people", "germany", "country = 'de'", **told), ["SELECT"])
    return person


@pytest.mark.parametrize("sql", LEAKS)
def test_nothing_tells_of_a_hidden_value(curious, sql):
    state, reason, rows = curious.run(sql)
    told = json.dumps([reason.replace(sql, ""), rows])
    assert not re.search(r"hidden-\d|31337|eve|joe|DIVISION_BY_ZERO", told)
    if "ssn" in sql.lower():
        assert state == "FAILED"
    else:
        assert "ssn" not in told


def test_only_the_rows_that_are_seen_are_counted(curious):
    assert curious.rows("SELECT count(*), sum(salary), max(name) FROM people") == [
        ["2", "3000", "bob"]
    ]


def test_a_prepared_query_sees_no_more(curious):
    athena = curious.client("athena")
    told = {"QueryString": "SELECT id FROM people WHERE name = ?", "ExecutionParameters": ["'eve'"]}
    query_id = athena.start_query_execution(
        **told,
        QueryExecutionContext={"Database": DATABASE},
        ResultConfiguration={"OutputLocation": f"s3://{OUT}/p/"},
    )["QueryExecutionId"]
    assert finished(query_id)["Status"]["State"] == "SUCCEEDED"
    assert len(athena.get_query_results(QueryExecutionId=query_id)["ResultSet"]["Rows"]) == 1


# Redshift: the role of the external schema is who reads

WAREHOUSE = "lf-warehouse"


class Spectrum:
    """External schemas of one warehouse, each with a role of its own."""

    def __init__(self, roles):
        client = boto3.client("redshift-serverless")
        client.create_namespace(
            namespaceName=WAREHOUSE, dbName="db", manageAdminPassword=True, iamRoles=roles
        )
        client.create_workgroup(workgroupName=WAREHOUSE, namespaceName=WAREHOUSE, baseCapacity=8)
        for number, each in enumerate(roles):
            state, error, _ = self.run(
                f"create external schema x{number} from data catalog database '{DATABASE}' iam_role"
                f" '{each}'"
            )
            assert state == "FINISHED", error

    def run(self, sql):
        """State, error and rows of a statement."""
        data = boto3.client("redshift-data")
        found = describe(
            data.execute_statement(Sql=sql, WorkgroupName=WAREHOUSE, Database="db")["Id"]
        )
        if found["Status"] != "FINISHED" or not found["HasResultSet"]:
            return found["Status"], found.get("Error", ""), []
        rows = data.get_statement_result(Id=found["Id"])["Records"]
        return "FINISHED", "", [[next(iter(field.values())) for field in row] for row in rows]


@pytest.fixture(scope="module")
def warehouse(lake):
    """x0 sees Germany without ssn, x1 the names only, x2 nothing; nobody has a right to the
    files.
    """
    may = policy((["glue:Get*", "lakeformation:GetDataAccess"], "*"))
    trust = SERVICE_TRUST.replace("lakeformation.", "redshift.")
    roles = [role(f"lf-spectrum-{number}", may, trust) for number in range(3)]
    told = {"ColumnWildcard": {"ExcludedColumnNames": ["ssn"]}}
    grant(roles[0], cells("people", "spectrum", "country = 'de'", **told), ["SELECT"])
    grant(roles[1], columns("people", "name"), ["SELECT"])
    for each in roles:
        grant(each, {"Database": {"Name": DATABASE}}, ["DESCRIBE"])
    return Spectrum(roles)


def test_an_external_schema_has_the_rows_and_columns_of_its_role(warehouse):
    assert warehouse.run("select count(*), max(salary) from x0.people") == (
        "FINISHED",
        "",
        [[2, 2000]],
    )
    assert warehouse.run("select * from x1.people order by 1")[2] == [
        ["ann"],
        ["bob"],
        ["eve"],
        ["joe"],
    ]
    assert "Required Describe on people" in warehouse.run("select 1 from x2.people")[1]


def test_two_external_schemas_in_one_query_see_each_their_own(warehouse):
    sql = (
        "select a.name, b.name from x1.people a left join x0.people b on a.name = b.name order by 1"
    )
    assert [row[0] for row in warehouse.run(sql)[2]] == ["ann", "bob", "eve", "joe"]
    assert warehouse.run("select count(*) from x0.people a join x1.people b on a.name = b.name")[
        2
    ] == [[2]]


@pytest.mark.parametrize(
    "sql",
    [
        "select ssn from x0.people",
        "select name from x0.people where ssn = 'hidden-1'",
        "select name from x0.people order by ssn",
        "select cast(ssn as int) from x0.people",
        "select count(distinct ssn) from x0.people",
        "select salary from x1.people",
        "select 1 / (salary - 31337) from x0.people",
        "select name from x0.people where 1 / (salary - 31337) > 0",
        "select max(salary) from x0.people",
        "select cast(name as int) from x0.people",
        "select * from x0.people where name = 'eve'",
        'select * from X0."PEOPLE" order by 1',
        (
            f"unload ('select ssn from x0.people') to 's3://{OUT}/redshift/' iam_role default"
            " format as parquet"
        ),
        "create table copied as select ssn from x0.people",
    ],
)
def test_redshift_tells_nothing_of_a_hidden_value(warehouse, sql):
    state, error, rows = warehouse.run(sql)
    assert not re.search(
        r"hidden-\d|31337|eve|joe|[Dd]ivision by zero", json.dumps([error.replace(sql, ""), rows])
    )
    assert state == "FAILED" if "ssn" in sql or "x1" in sql else True


# Glue: a job with fine-grained access, whose role has no right to the files

SPARK = """
import json, sys
from awsglue.utils import getResolvedOptions
from pyspark.sql import SparkSession

spark = SparkSession.builder.getOrCreate()
spark.sql("USE lf_tests")
spark.sql("CREATE TEMPORARY VIEW mine AS SELECT id AS number, name FROM people")
for sql in json.loads(getResolvedOptions(sys.argv, ["sql"])["sql"]):
    try:
        told = ["OK", [row.asDict(recursive=True) for row in spark.sql(sql).collect()]]
    except Exception as error:
        told = ["FAILED", str(error).partition("JVM stacktrace")[0]]
    print("TOLD", json.dumps([sql, told], default=str))
"""
SEEN_BY_SPARK = {
    "SELECT * FROM people ORDER BY id": [
        {"id": 1, "name": "ann", "salary": 1000, "country": "de"},
        {"id": 2, "name": "bob", "salary": 2000, "country": "de"},
    ],
    "SELECT p.`NAME` AS other FROM LF_Tests.People p WHERE p.Salary > 1500": [{"other": "bob"}],
    "SELECT count(*) AS rows, max(salary) AS most FROM people": [{"rows": 2, "most": 2000}],
    "SELECT a.id FROM people a JOIN people b ON a.salary = 2 * b.salary": [{"id": 2}],
    "SELECT max(number) AS number FROM mine": [{"number": 2}],
    "WITH x AS (SELECT * FROM people) SELECT count(*) AS rows FROM x WHERE name LIKE '%o%'": [
        {"rows": 1}
    ],
    "SELECT * FROM parted ORDER BY ssn": [
        {"ssn": f"hidden-{n}", "country": c} for n, c in enumerate(["de", "de", "fr", "us"], 1)
    ],
    "SELECT * FROM kinds": [
        {
            "day": "2013-01-01",
            "moment": "2013-01-01 10:00:00.123457",
            "amount": "12.50",
            "tags": ["a", None],
            "raw": "bytearray(b'\\x00\\xff')",
        }
    ],
    "SHOW DATABASES LIKE '*lf*'": [{"namespace": "lf_tests"}, {"namespace": "`lf-hyphen`"}],
}
REFUSED_TO_SPARK = {
    "SELECT ssn FROM people": "UNRESOLVED_COLUMN",
    "SELECT name FROM people WHERE ssn = 'hidden-1'": "UNRESOLVED_COLUMN",
    "SELECT name FROM people ORDER BY people.ssn": "UNRESOLVED_COLUMN",
    "SELECT 1 FROM inserted": "Required Describe on inserted",
    "SELECT 1 FROM no_such_table": "TABLE_OR_VIEW_NOT_FOUND",
    f"CREATE TEMPORARY VIEW files USING parquet OPTIONS (path 's3://{BUCKET}/people')": (
        "Access Denied"
    ),
    "INSERT INTO people VALUES (9, 'new', 9, 'de')": "does not support append",
    "CREATE TABLE lf_tests.mine USING parquet AS SELECT * FROM people": (
        "local_aws only reads the Data Catalog"
    ),
    "CREATE TABLE mine (id int) USING parquet": "local_aws only reads the Data Catalog",
    "CREATE VIEW lasting AS SELECT * FROM people": "local_aws only reads the Data Catalog",
    "CREATE DATABASE other": "local_aws only reads the Data Catalog",
    "DROP TABLE people": "local_aws only reads the Data Catalog",
}
SILENT_TO_SPARK = [
    "SELECT id FROM people WHERE 1 / (salary - 31337) > 0",
    "SELECT raise_error(name) FROM people WHERE name = 'eve'",
    "SELECT * FROM people WHERE salary = 31337",
    "EXPLAIN EXTENDED SELECT * FROM people",
    "DESCRIBE EXTENDED people",
    "SHOW TABLES",
]


@pytest.fixture(scope="module")
def spark(lake, jvm):
    """What a job told whose role sees Germany's people without ssn, two columns of another table,
    and the whole of a third.
    """
    kinds = pd.DataFrame(
        {
            "day": [dt.date(2013, 1, 1)],
            "moment": [pd.Timestamp("2013-01-01 10:00:00.123457")],
            "amount": [Decimal("12.50")],
            "tags": [["a", None]],
            "raw": [b"\x00\xff"],
        }
    )
    types = {
        "day": "date",
        "moment": "timestamp",
        "amount": "decimal(10,2)",
        "tags": "array<string>",
    }
    where = f"s3://{BUCKET}/kinds/"
    wr.s3.to_parquet(
        kinds,
        where,
        dataset=True,
        database=DATABASE,
        table="kinds",
        dtype=types,
        pyarrow_additional_kwargs={"coerce_timestamps": "us"},
    )
    wr.catalog.create_database("lf-hyphen")  # which Spark's own catalog would refuse
    scripts = (["s3:*"], ["arn:aws:s3:::glue-scripts", "arn:aws:s3:::glue-scripts/*"])
    may = policy((["glue:Get*", "lakeformation:GetDataAccess", "logs:*"], "*"), scripts)
    arn = role("lf-glue-job", may, SERVICE_TRUST.replace("lakeformation.", "glue."))
    for each in (DATABASE, "lf-hyphen"):
        grant(arn, {"Database": {"Name": each}}, ["DESCRIBE"])
    told = {"ColumnWildcard": {"ExcludedColumnNames": ["ssn"]}}
    grant(arn, cells("people", "glue", "country = 'de'", **told), ["SELECT"])
    grant(arn, columns("parted", "ssn", "country"), ["SELECT"])
    workers = {"WorkerType": "G.1X", "NumberOfWorkers": 4}
    glue_runner.job("lf-spark", SPARK, Role=arn, DefaultArguments=FINE_GRAINED, **workers)
    asked = [*SEEN_BY_SPARK, *REFUSED_TO_SPARK, *SILENT_TO_SPARK]
    run_id = glue_runner.start("lf-spark", sql=json.dumps(asked))
    run = glue_runner.ended("lf-spark", run_id)
    assert run["JobRunState"] == "SUCCEEDED", (run, glue_runner.log("error", run_id)[-30:])
    lines = [
        line.removeprefix("TOLD ")
        for line in glue_runner.log("output", run_id)
        if line.startswith("TOLD ")
    ]
    return dict(json.loads(line) for line in lines)


@pytest.mark.parametrize("sql", SEEN_BY_SPARK)
def test_spark_sees_the_rows_and_columns_of_its_job_s_role(spark, sql):
    assert spark[sql] == ["OK", SEEN_BY_SPARK[sql]]


@pytest.mark.parametrize("sql", REFUSED_TO_SPARK)
def test_spark_is_refused_what_is_hidden_and_what_writes(spark, sql):
    state, error = spark[sql]
    assert state == "FAILED"
    assert REFUSED_TO_SPARK[sql] in error


@pytest.mark.parametrize("sql", SILENT_TO_SPARK)
def test_spark_tells_nothing_of_a_hidden_value(spark, sql):
    told = json.dumps(spark[sql]).replace(json.dumps(sql), "")
    assert spark[sql][0] == "OK"
    assert not re.search(r"hidden-\d|joe|ssn|inserted", told)


def test_a_job_with_fine_grained_access_needs_four_workers(lake):
    glue_runner.job(
        "lf-few", SPARK, DefaultArguments=FINE_GRAINED, WorkerType="G.1X", NumberOfWorkers=3
    )
    run = glue_runner.ended("lf-few", glue_runner.start("lf-few"))
    assert (run["JobRunState"], "at least 4 workers" in run["ErrorMessage"]) == ("FAILED", True)


# Writing


def test_a_table_is_made_by_who_may_make_tables_and_at_its_location(person):
    glue = person.client("glue")
    told = {
        "Name": f"made_{person.arn[-8:]}",
        "StorageDescriptor": {"Columns": [], "Location": f"s3://{BUCKET}/made/"},
    }
    with pytest.raises(ClientError, match="Required Create Table on lf_tests"):
        glue.create_table(DatabaseName=DATABASE, TableInput=told)
    grant(person, {"Database": {"Name": DATABASE}}, ["CREATE_TABLE"])
    with pytest.raises(
        ClientError,
        match=re.escape(f"Insufficient Lake Formation permission(s) on s3://{BUCKET}/made/"),
    ):
        glue.create_table(DatabaseName=DATABASE, TableInput=told)
    grant(
        person,
        {"DataLocation": {"ResourceArn": f"arn:aws:s3:::{BUCKET}"}},
        ["DATA_LOCATION_ACCESS"],
    )
    glue.create_table(DatabaseName=DATABASE, TableInput=told)
    glue.delete_table(DatabaseName=DATABASE, Name=told["Name"])  # what one makes one holds


def test_a_table_is_changed_and_dropped_by_who_may(person):
    grant(person, table("people"), ["SELECT"])
    glue = person.client("glue")
    with pytest.raises(ClientError, match="Required Alter on people"):
        glue.update_table(DatabaseName=DATABASE, TableInput={"Name": "people"})
    with pytest.raises(ClientError, match="Required Drop on people"):
        glue.delete_table(DatabaseName=DATABASE, Name="people")


def test_rows_are_inserted_by_who_may_insert_with_credentials_that_are_lent(person):
    grant(person, table("inserted"), ["SELECT"])
    assert "Required Insert on inserted" in person.reason(
        "INSERT INTO inserted VALUES (9, 'zoe', 1, 'x', 'de')"
    )
    grant(person, table("inserted"), ["INSERT"])
    assert person.rows("INSERT INTO inserted VALUES (9, 'zoe', 1, 'x', 'de')") == []
    assert person.rows("SELECT count(*) FROM inserted") == [["5"]]


def test_a_table_from_a_query_is_made_where_one_may(person):
    sql = (
        f"CREATE TABLE copied WITH (external_location = 's3://{BUCKET}/copied/') AS SELECT id FROM"
        " inert"
    )
    grant(person, {"Database": {"Name": DATABASE}}, ["DESCRIBE"])
    assert "Required Create Table on lf_tests" in person.reason(sql)
    grant(person, {"Database": {"Name": DATABASE}}, ["CREATE_TABLE"])
    assert f"Insufficient Lake Formation permission(s) on s3://{BUCKET}/copied/" in person.reason(
        sql
    )
    grant(
        person,
        {"DataLocation": {"ResourceArn": f"arn:aws:s3:::{BUCKET}"}},
        ["DATA_LOCATION_ACCESS"],
    )
    person.rows(sql)
    assert person.rows("SELECT count(*) FROM copied") == [["4"]]


# Granting


def test_only_administrators_and_who_holds_the_grant_option_grant(person):
    other = Person()
    told = {
        "Principal": {"DataLakePrincipalIdentifier": other.arn},
        "Resource": table("people"),
        "Permissions": ["SELECT"],
    }
    with pytest.raises(
        ClientError,
        match=(
            "Resource does not exist or requester is not authorized to access requested permissions"
        ),
    ):
        person.client("lakeformation").grant_permissions(**told)
    grant(person, table("people"), ["SELECT"], PermissionsWithGrantOption=["SELECT"])
    person.client("lakeformation").grant_permissions(**told)
    assert len(other.rows("SELECT * FROM people")) == 4


def test_what_was_not_granted_cannot_be_revoked(person):
    with pytest.raises(ClientError, match=r"No permissions revoked\. Grantee has no permissions"):
        revoke(person, table("people"), ["SELECT"])
    grant(person, table("people"), ["SELECT"])
    with pytest.raises(ClientError, match=r"Grantee does not have: \[DROP\]"):
        revoke(person, table("people"), ["DROP"])


def test_a_batch_answers_which_entries_failed(person, lake):
    who = {"DataLakePrincipalIdentifier": person.arn}
    entries = [
        {"Id": "1", "Principal": who, "Resource": table("people"), "Permissions": ["SELECT"]},
        {"Id": "2", "Principal": who, "Resource": table("absent"), "Permissions": ["SELECT"]},
    ]
    [failure] = lake.batch_grant_permissions(Entries=entries)["Failures"]
    assert failure["RequestEntry"]["Id"] == "2"
    assert failure["Error"]["ErrorCode"] == "EntityNotFoundException"


@pytest.mark.parametrize(
    ("resource", "permission", "error"),
    [
        ({"Database": {"Name": DATABASE}}, "SELECT", "Permissions modification is invalid"),
        (columns("people", "nothing"), "SELECT", "non-existent column"),
        ({"Database": {"Name": "absent"}}, "DESCRIBE", "EntityNotFoundException"),
        (tag_policy(nothing=["x"]), "SELECT", "EntityNotFoundException"),
    ],
)
def test_a_grant_that_makes_no_sense_is_refused(person, resource, permission, error):
    with pytest.raises(ClientError, match=error):
        grant(person, resource, [permission])


def test_a_listing_of_a_table_has_its_columns_too_and_comes_in_pages(person, lake):
    grant(person, columns("people", "id"), ["SELECT"])
    grant(person, table("people"), ["DESCRIBE"])
    found, token = [], {}
    while token is not None:
        page = lake.list_permissions(Resource=table("people"), MaxResults=1, **token)
        found += page["PrincipalResourcePermissions"]
        token = {"NextToken": page["NextToken"]} if "NextToken" in page else None
    mine = [
        each for each in found if each["Principal"]["DataLakePrincipalIdentifier"] == person.arn
    ]
    assert sorted(next(iter(each["Resource"])) for each in mine) == ["Table", "TableWithColumns"]


def listed(lake, **arguments):
    found, more = [], {}
    while more is not None:
        page = lake.list_permissions(**arguments, **more)
        found += page["PrincipalResourcePermissions"]
        more = {"NextToken": page["NextToken"]} if "NextToken" in page else None
    return found


def test_a_principal_on_a_resource_is_told_what_is_in_force_and_alone_what_was_granted(
    person, lake
):
    who = {"DataLakePrincipalIdentifier": person.arn}
    grant(person, {"Table": {"DatabaseName": DATABASE, "TableWildcard": {}}}, ["DESCRIBE"])
    [told] = listed(lake, Principal=who, Resource=table("people"))
    assert (told["Principal"], told["Permissions"]) == (who, ["DESCRIBE"])
    on = {"DatabaseName": DATABASE, "Name": "people", "CatalogId": ACCOUNT}
    assert told["Resource"] == {"Table": on}
    assert all(each["Principal"] != who for each in listed(lake, Resource=table("people")))


def test_a_listing_for_a_role_that_is_not_there_is_refused(lake):
    who = {"DataLakePrincipalIdentifier": f"arn:aws:iam::{ACCOUNT}:role/absent"}
    with pytest.raises(ClientError, match=r"InvalidInputException.*Invalid principal"):
        lake.list_permissions(Principal=who, Resource=table("people"))


def test_the_first_grant_after_a_change_of_settings_is_refused_as_it_has_not_spread(
    person, lake, slow_to_settle
):
    settings = lake.get_data_lake_settings()["DataLakeSettings"]
    lake.put_data_lake_settings(DataLakeSettings=settings)
    with pytest.raises(ClientError, match="not authorized to access requested permissions"):
        grant(person, table("people"), ["DESCRIBE"])
    grant(person, table("people"), ["DESCRIBE"])


# Locations


def test_a_hybrid_location_is_governed_for_who_is_opted_in_only(lake):
    person = Person(READER.replace('"Resource": "*"', '"Resource": "*"', 1))
    boto3.client("iam").put_role_policy(
        RoleName=person.arn.rpartition("/")[2], PolicyName="files", PolicyDocument=FILES
    )
    assert len(person.rows("SELECT * FROM hybrid")) == 4
    grant(person, columns("hybrid", "id"), ["SELECT"])
    assert len(person.rows("SELECT ssn FROM hybrid")) == 4
    lake.create_lake_formation_opt_in(
        Principal={"DataLakePrincipalIdentifier": person.arn}, Resource=table("hybrid")
    )
    assert person.rows("SELECT * FROM hybrid WHERE id = 1") == [["1"]]


def test_a_location_says_whether_its_role_reaches_it(lake):
    broken = role(f"lf-{uuid.uuid4().hex[:8]}", policy(("s3:ListAllMyBuckets", "*")), SERVICE_TRUST)
    arn = f"arn:aws:s3:::{OUT}/registered"
    lake.register_resource(ResourceArn=arn, RoleArn=broken)
    assert (
        lake.describe_resource(ResourceArn=arn)["ResourceInfo"]["VerificationStatus"]
        == "VERIFICATION_FAILED"
    )
    with pytest.raises(ClientError, match="AlreadyExistsException"):
        lake.register_resource(ResourceArn=arn, RoleArn=broken)
    lake.deregister_resource(ResourceArn=arn)
    described = lake.describe_resource(ResourceArn=f"arn:aws:s3:::{BUCKET}")["ResourceInfo"]
    assert described["VerificationStatus"] == "VERIFIED"


def test_putting_settings_replaces_them_all(lake):
    before = lake.get_data_lake_settings()["DataLakeSettings"]
    lake.put_data_lake_settings(DataLakeSettings={"DataLakeAdmins": before["DataLakeAdmins"]})
    assert lake.get_data_lake_settings()["DataLakeSettings"]["CreateTableDefaultPermissions"] == []
    lake.put_data_lake_settings(DataLakeSettings=before)


def test_every_loan_is_recorded(person):
    grant(person, table("people"), ["SELECT"])
    person.rows("SELECT * FROM people")
    deadline = time.monotonic() + 20
    found = []
    while not found and time.monotonic() < deadline:
        events = boto3.client("cloudtrail").lookup_events(
            LookupAttributes=[{"AttributeKey": "EventName", "AttributeValue": "GetDataAccess"}]
        )["Events"]
        found = [each for each in events if person.arn in each["CloudTrailEvent"]]
    record = json.loads(found[0]["CloudTrailEvent"])
    assert (
        record["requestParameters"]["tableArn"]
        == f"arn:aws:glue:{REGION}:{ACCOUNT}:table/{DATABASE}/people"
    )
    assert record["additionalEventData"]["requesterService"] == "ATHENA"
    assert record["readOnly"] is True
