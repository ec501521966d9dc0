"""Athena through unmodified awswrangler and boto3: queries over the catalog, results in S3, and
AWS's own refusals.
"""

import datetime
import re
import uuid
from decimal import Decimal

import awswrangler as wr
import boto3
import duckdb
import pandas as pd
import pytest
from botocore.exceptions import ClientError
from sqlglot import exp
from until import until

from local_aws.athena import trino_sql

LAKE, OUT = "athena-lake", "athena-out"
DATABASE = "athena_tests"
FRAME = pd.DataFrame(
    {
        "id": [1, 2, 3],
        "name": ["a", None, ""],
        "amount": [Decimal("1.50"), None, Decimal("-2.25")],
        "moment": pd.to_datetime(
            ["2020-01-01 00:00:00.123456", "1969-12-31 23:59:59.999500", None], format="ISO8601"
        ),
        "day": [datetime.date(2020, 1, 1), None, datetime.date(1969, 12, 31)],
        "ratio": [1.5, None, 1e10],
        "yes": [True, False, None],
        "raw": [b"ab", None, b""],
        "part": ["x", "x", "y"],
    }
)


@pytest.fixture(scope="module")
def lake(stand_in):
    s3 = boto3.client("s3")
    for bucket in (LAKE, OUT):
        s3.create_bucket(
            Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"}
        )
    wr.catalog.create_database(DATABASE)
    wr.s3.to_parquet(
        FRAME,
        f"s3://{LAKE}/t/",
        dataset=True,
        database=DATABASE,
        table="t",
        partition_cols=["part"],
    )


@pytest.fixture
def athena(lake):
    return boto3.client("athena")


def finished(query_id):
    return until(
        lambda: execution(query_id), lambda it: it["Status"]["State"] not in ("QUEUED", "RUNNING")
    )


def execution(query_id):
    return boto3.client("athena").get_query_execution(QueryExecutionId=query_id)["QueryExecution"]


def start(sql, database=DATABASE, **arguments):
    where = {"ResultConfiguration": {"OutputLocation": f"s3://{OUT}/"}} | arguments
    context = {"QueryExecutionContext": {"Database": database}} if database else {}
    return boto3.client("athena").start_query_execution(QueryString=sql, **context, **where)[
        "QueryExecutionId"
    ]


def rows(sql, database=DATABASE, **arguments):
    """The rows of a statement without the header; raises AssertionError with Athena's reason."""
    query_id = start(sql, database, **arguments)
    found = finished(query_id)
    assert found["Status"]["State"] == "SUCCEEDED", found["Status"]["StateChangeReason"]
    pages = (
        boto3.client("athena")
        .get_paginator("get_query_results")
        .paginate(QueryExecutionId=query_id)
    )
    got = [
        [value.get("VarCharValue") for value in row["Data"]]
        for page in pages
        for row in page["ResultSet"]["Rows"]
    ]
    return got[1:] if found["StatementType"] == "DML" else got


def reason(sql, database=DATABASE, **arguments):
    found = finished(start(sql, database, **arguments))
    assert found["Status"]["State"] == "FAILED"
    return found["Status"]["StateChangeReason"]


# awswrangler


@pytest.mark.parametrize(
    "approach",
    [
        {"ctas_approach": False},
        {"ctas_approach": True},
        {"ctas_approach": False, "unload_approach": True},
    ],
    ids=["csv", "ctas", "unload"],
)
def test_awswrangler_reads_a_query_with_the_right_types(lake, approach):
    output = f"s3://{OUT}/{uuid.uuid4().hex}/"
    frame = wr.athena.read_sql_query(
        "select * from t order by id",
        DATABASE,
        s3_output=output,
        athena_query_wait_polling_delay=0.05,
        keep_files=False,
        **approach,
    )
    assert [str(kind) for kind in frame.dtypes] == [
        "Int64",
        "string",
        "object",
        "datetime64[ns]" if approach == {"ctas_approach": False} else "datetime64[us]",
        "object",
        "float64",
        "boolean",
        "object",
        "string",
    ]
    assert frame["id"].tolist() == [1, 2, 3]
    assert frame["amount"].tolist() == [Decimal("1.50"), None, Decimal("-2.25")]
    assert frame["moment"].tolist()[:2] == [
        pd.Timestamp("2020-01-01 00:00:00.123"),
        pd.Timestamp("1970-01-01"),
    ], "milliseconds, rounded half up"
    assert frame["day"].tolist()[::2] == [datetime.date(2020, 1, 1), datetime.date(1969, 12, 31)]
    assert frame["part"].tolist() == ["x", "x", "y"]
    assert not [key for key in wr.s3.list_objects(output) if not key.endswith(".metadata")], (
        "awswrangler removes its files"
    )


@pytest.mark.parametrize(
    "approach", [{"ctas_approach": False}, {"ctas_approach": True}], ids=["csv", "ctas"]
)
def test_awswrangler_reads_no_rows_with_types(lake, approach):
    frame = wr.athena.read_sql_query(
        "select id, amount from t where id > 99",
        DATABASE,
        s3_output=f"s3://{OUT}/none/",
        athena_query_wait_polling_delay=0.05,
        **approach,
    )
    assert (len(frame), list(frame.columns), str(frame["id"].dtype)) == (
        0,
        ["id", "amount"],
        "Int64",
    )


def test_awswrangler_reads_in_chunks_starts_and_waits(lake):
    chunks = wr.athena.read_sql_query(
        "select * from t",
        DATABASE,
        ctas_approach=False,
        chunksize=1,
        s3_output=f"s3://{OUT}/c/",
        athena_query_wait_polling_delay=0.05,
    )
    assert sum(len(each) for each in chunks) == 3
    query_id = wr.athena.start_query_execution(
        "select 1 as one", DATABASE, s3_output=f"s3://{OUT}/s/"
    )
    assert wr.athena.wait_query(query_id)["Status"]["State"] == "SUCCEEDED"
    assert wr.athena.get_query_columns_types(query_id) == {"one": "integer"}


def test_awswrangler_describes_repairs_and_reads_the_catalog(lake):
    described = wr.athena.describe_table("t", DATABASE, s3_output=f"s3://{OUT}/d/")
    assert described["Type"].tolist()[:3] == ["bigint", "string", "decimal(3,2)"]
    assert described["Partition"].tolist()[-1] is True
    assert wr.catalog.get_table_types(DATABASE, "t")["moment"] == "timestamp"
    assert wr.catalog.tables(database=DATABASE)["Table"].tolist()[0] == "t"
    assert len(wr.s3.read_parquet(f"s3://{LAKE}/t/", dataset=True)) == 3
    assert wr.athena.repair_table("t", DATABASE, s3_output=f"s3://{OUT}/d/") == "SUCCEEDED"


def test_a_failed_query_reaches_awswrangler_as_such(lake):
    with pytest.raises(wr.exceptions.QueryFailed, match="TABLE_NOT_FOUND"):
        wr.athena.read_sql_query(
            "select * from absent",
            DATABASE,
            ctas_approach=False,
            s3_output=f"s3://{OUT}/f/",
            athena_query_wait_polling_delay=0.05,
        )


# Results and states


def test_a_query_leaves_a_csv_with_every_value_quoted_and_null_as_nothing(athena):
    found = finished(
        start(
            "select id, name, amount, moment, day, ratio, yes, raw, array[1,2] as list from t order"
            " by id"
        )
    )
    location = found["ResultConfiguration"]["OutputLocation"]
    assert location == f"s3://{OUT}/{found['QueryExecutionId']}.csv"
    text = (
        boto3.client("s3")
        .get_object(Bucket=OUT, Key=f"{found['QueryExecutionId']}.csv")["Body"]
        .read()
        .decode()
    )
    assert text.splitlines() == [
        '"id","name","amount","moment","day","ratio","yes","raw","list"',
        '"1","a","1.50","2020-01-01 00:00:00.123","2020-01-01","1.5","true","61 62","[1, 2]"',
        '"2",,,"1970-01-01 00:00:00.000",,,"false",,"[1, 2]"',
        '"3","","-2.25",,"1969-12-31","1.0E10",,"","[1, 2]"',
    ]
    assert found["Statistics"]["DataScannedInBytes"] > 0
    assert (found["StatementType"], found["SubstatementType"]) == ("DML", "SELECT")


@pytest.mark.parametrize(
    ("fewer", "more"),
    [
        ("select id from t", "select id, name from t"),
        ("select id from t", "select id from t where name is null or length(name) >= 0"),
        ("select id from t where part = 'x'", "select id from t"),
        ("select id from t where part in (select 'x') and part = 'x'", "select id from t"),
        ("select id from t", "select a.id, b.name from t a join t b on a.id = b.id"),
        ("select 1", "select id from t"),
    ],
)
def test_a_query_scans_the_columns_and_partitions_that_it_needs(athena, fewer, more):
    scanned = [finished(start(each))["Statistics"]["DataScannedInBytes"] for each in (fewer, more)]
    assert scanned[0] < scanned[1]


def test_all_columns_are_all_bytes_but_the_footers(athena):
    files = [
        each["Size"]
        for each in boto3.client("s3").list_objects_v2(Bucket=LAKE, Prefix="t/")["Contents"]
    ]
    scanned = finished(start("select * from t"))["Statistics"]["DataScannedInBytes"]
    assert 0.05 * sum(files) < scanned < sum(files)


def test_the_api_tells_null_from_an_empty_text_and_describes_columns(athena):
    query_id = start("select name, amount, cast(1 as real) r, moment from t order by id")
    finished(query_id)
    found = athena.get_query_results(QueryExecutionId=query_id)["ResultSet"]
    assert [row["Data"][0] for row in found["Rows"]] == [
        {"VarCharValue": "name"},
        {"VarCharValue": "a"},
        {},
        {"VarCharValue": ""},
    ]
    assert [
        (each["Type"], each["Precision"], each["Scale"])
        for each in found["ResultSetMetadata"]["ColumnInfo"]
    ] == [("varchar", 2147483647, 0), ("decimal", 3, 2), ("float", 17, 0), ("timestamp", 3, 0)]


def test_results_come_in_pages(athena):
    got = rows("select x from unnest(sequence(1, 2500)) as u(x) order by x")
    assert [int(each[0]) for each in got] == list(range(1, 2501))


def test_a_query_waits_runs_and_ends(athena):
    query_id = start("select 1")
    assert athena.get_query_execution(QueryExecutionId=query_id)["QueryExecution"]["Status"][
        "State"
    ] in ("QUEUED", "RUNNING", "SUCCEEDED")
    assert (
        finished(query_id)["Status"]["CompletionDateTime"]
        >= finished(query_id)["Status"]["SubmissionDateTime"]
    )
    assert query_id in athena.list_query_executions()["QueryExecutionIds"]
    found = athena.batch_get_query_execution(QueryExecutionIds=[query_id, "absent"])
    assert [each["QueryExecutionId"] for each in found["QueryExecutions"]] == [query_id]
    assert [each["QueryExecutionId"] for each in found["UnprocessedQueryExecutionIds"]] == [
        "absent"
    ]


def test_a_running_query_is_cancelled(athena):
    query_id = start(
        "select count(*) from unnest(sequence(1, 20000)) as a(x), unnest(sequence(1, 20000)) as"
        " b(y), unnest(sequence(1, 1000)) as c(z) where x * y * z % 7 = 1"
    )
    until(lambda: execution(query_id)["Status"]["State"] != "QUEUED")
    with pytest.raises(athena.exceptions.InvalidRequestException, match="RUNNING"):
        athena.get_query_results(QueryExecutionId=query_id)
    athena.stop_query_execution(QueryExecutionId=query_id)
    assert finished(query_id)["Status"]["State"] == "CANCELLED"
    with pytest.raises(athena.exceptions.InvalidRequestException, match="CANCELLED"):
        athena.get_query_results(QueryExecutionId=query_id)


def test_the_same_token_starts_one_query_only(athena):
    token = uuid.uuid4().hex
    assert len({start("select 1", ClientRequestToken=token) for _ in range(3)}) == 1
    with pytest.raises(athena.exceptions.InvalidRequestException, match="Idempotent"):
        start("select 2", ClientRequestToken=token)


def test_parameters_fill_the_question_marks_in_order(athena):
    assert rows(
        "select id, ? as said from t where name = ? or id = ? order by id",
        ExecutionParameters=["'it''s'", "'a'", "3"],
    ) == [["1", "it's"], ["3", "it's"]]
    assert "Incorrect number of parameters" in reason("select ?")


# Workgroups


def test_a_workgroup_decides_where_results_go_when_it_enforces_it(athena):
    name = f"g{uuid.uuid4().hex[:6]}"
    athena.create_work_group(
        Name=name,
        Configuration={
            "ResultConfiguration": {"OutputLocation": f"s3://{OUT}/enforced/"},
            "EnforceWorkGroupConfiguration": True,
        },
    )
    found = finished(start("select 1", WorkGroup=name))
    assert found["ResultConfiguration"]["OutputLocation"].startswith(f"s3://{OUT}/enforced/")
    assert "external_location" in reason(
        "create table c with (external_location = 's3://x/y/') as select 1 as a", WorkGroup=name
    )
    athena.update_work_group(
        WorkGroup=name,
        ConfigurationUpdates={
            "ResultConfigurationUpdates": {"OutputLocation": f"s3://{OUT}/moved/"}
        },
    )
    assert (
        athena.get_work_group(WorkGroup=name)["WorkGroup"]["Configuration"]["ResultConfiguration"][
            "OutputLocation"
        ]
        == f"s3://{OUT}/moved/"
    )
    with pytest.raises(athena.exceptions.InvalidRequestException, match="already created"):
        athena.create_work_group(Name=name)
    with pytest.raises(athena.exceptions.InvalidRequestException, match="not empty"):
        athena.delete_work_group(WorkGroup=name)
    athena.delete_work_group(WorkGroup=name, RecursiveDeleteOption=True)
    with pytest.raises(athena.exceptions.InvalidRequestException, match="not found"):
        athena.get_work_group(WorkGroup=name)
    assert name not in [each["Name"] for each in athena.list_work_groups()["WorkGroups"]]


def test_a_query_without_a_place_for_its_results_is_refused(athena):
    for arguments, error in (
        ({"ResultConfiguration": {}}, "No output location"),
        ({"ResultConfiguration": {"OutputLocation": "s3://absent-bucket/"}}, "bucket"),
        ({"WorkGroup": "absent"}, "not found"),
    ):
        with pytest.raises(athena.exceptions.InvalidRequestException, match=error):
            start("select 1", **arguments)


@pytest.mark.parametrize(
    "operation",
    ["create_prepared_statement", "create_data_catalog", "list_engine_versions", "create_notebook"],
)
def test_what_moto_would_fake_is_not_reachable(athena, operation):
    arguments = {
        "create_prepared_statement": {
            "StatementName": "s",
            "WorkGroup": "primary",
            "QueryStatement": "select 1",
        },
        "create_data_catalog": {"Name": "c", "Type": "GLUE"},
        "create_notebook": {"WorkGroup": "primary", "Name": "n"},
    }
    with pytest.raises(ClientError) as refused:
        getattr(athena, operation)(**arguments.get(operation, {}))
    assert refused.value.response["Error"]["Code"] == "NotInLocalAws"


def test_the_catalog_is_glues(athena):
    assert (
        athena.get_table_metadata(
            CatalogName="AwsDataCatalog", DatabaseName=DATABASE, TableName="t"
        )["TableMetadata"]["PartitionKeys"][0]["Name"]
        == "part"
    )
    assert "t" in [
        each["Name"]
        for each in athena.list_table_metadata(CatalogName="AwsDataCatalog", DatabaseName=DATABASE)[
            "TableMetadataList"
        ]
    ]
    assert DATABASE in [
        each["Name"] for each in athena.list_databases(CatalogName="AwsDataCatalog")["DatabaseList"]
    ]
    with pytest.raises(athena.exceptions.MetadataException):
        athena.get_table_metadata(
            CatalogName="AwsDataCatalog", DatabaseName=DATABASE, TableName="absent"
        )
    assert rows(
        "select table_name from information_schema.tables where table_schema = 'athena_tests' and"
        " table_name = 't'"
    ) == [["t"]]
    assert rows(
        "select column_name, data_type from information_schema.columns where table_schema ="
        " 'athena_tests' and table_name = 't' and ordinal_position = 3"
    ) == [["amount", "decimal(3,2)"]]


# What Trino says


@pytest.mark.parametrize(
    ("sql", "error"),
    [
        (
            "select * from absent",
            "TABLE_NOT_FOUND: line 1:15: Table 'awsdatacatalog.athena_tests.absent' does not exist",
        ),
        ("select * from absent.t", "SCHEMA_NOT_FOUND: line 1:15: Schema 'absent' does not exist"),
        ("select nope from t", "COLUMN_NOT_FOUND: line 1:8: Column 'nope' cannot be resolved"),
        (
            "select id as x from t group by x",
            "COLUMN_NOT_FOUND: line 1:32: Column 'x' cannot be resolved",
        ),
        ("select id as x from t where x = 1", "COLUMN_NOT_FOUND"),
        ("select id, count(*) from t", "EXPRESSION_NOT_AGGREGATE"),
        ("select 1 / 0", "DIVISION_BY_ZERO"),
        ("select amount / (id - id) from t", "DIVISION_BY_ZERO"),
        ("select cast(name as bigint) from t where name = 'a'", "INVALID_CAST_ARGUMENT"),
        ("select 9223372036854775807 + id from t", "NUMERIC_VALUE_OUT_OF_RANGE"),
        (
            "select * from t where day = '2020-01-01'",
            "TYPE_MISMATCH: line 1:1: Cannot apply operator: date = varchar(10)",
        ),
        ("select * from t where name = 1", "TYPE_MISMATCH"),
        (
            "select id || name from t",
            (
                "FUNCTION_NOT_FOUND: line 1:1: Unexpected parameters (bigint, varchar) for function"
                " concat"
            ),
        ),
        ("select md5(name) from t", "Unexpected parameters (varchar) for function md5"),
        ("select len(name) from t", "FUNCTION_NOT_FOUND: line 1:8: Function 'len' not registered"),
        ("select * from read_parquet('/etc/passwd')", "FUNCTION_NOT_FOUND"),
        ("select * from '/etc/passwd'", "TABLE_NOT_FOUND"),
        ("create view v as select 1", "NOT_SUPPORTED: local_aws does not do this statement"),
        ("delete from t", "NOT_SUPPORTED"),
        ("drop table absent", "Table not found"),
        ("create table t as select 1 as a", "TABLE_ALREADY_EXISTS"),
        ("create table n as select 1", "MISSING_COLUMN_NAME"),
        ("create table n with (format = 'ORC') as select 1 as a", "PARQUET only"),
        ("insert into t select 1", "TYPE_MISMATCH"),
        (
            f"create external table n (date string) stored as parquet location 's3://{LAKE}/n/'",
            "SYNTAX_ERROR: line 1:26: mismatched input 'date'",
        ),
    ],
)
def test_a_query_that_fails_says_why_as_athena_does(lake, sql, error):
    assert error in reason(sql)


@pytest.mark.parametrize(
    "sql",
    [
        "selec 1",
        "select from where",
        "",
        "attach 'x'",
        "install httpfs",
        "pragma version",
        "copy t to 'x'",
        "call f()",
        "select id as current_user from t",
        "select t.skip from t",
    ],
)
def test_what_is_no_statement_of_athena_is_refused_at_once(athena, sql):
    with pytest.raises(
        (athena.exceptions.InvalidRequestException, Exception),
        match=r"mismatched input|Invalid length|min length",
    ):
        start(sql)


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("7 / 2", "3"),
        ("-7 / 2", "-3"),
        ("cast(10.00 as decimal(10,2)) / 3", "3.33"),
        ("cast(2.00 as decimal(10,2)) / 3", "0.67"),
        ("2 * 100.0 / 3", "66.7"),
        ("avg(cast(1.05 as decimal(5,2))) / 2", "0.53"),
        ("1.5 * 1e0 / 2", "0.75"),
        ("1e0 / 0", "Infinity"),
        ("lower(to_hex(md5(to_utf8('x'))))", "9dd4e461268c8034f5c8564e155c67a6"),
        ("to_hex(md5(to_utf8('x')))", "9DD4E461268C8034F5C8564E155C67A6"),
        ("from_base(substr(lower(to_hex(md5(to_utf8('x')))), 1, 15), 16)", "710810379057940483"),
        (
            (
                "cast(sum(cast(from_base(substr(lower(to_hex(md5(to_utf8('x')))), 1, 15), 16) as"
                " decimal(38,0))) as varchar)"
            ),
            "710810379057940483",
        ),
        ("length('ä')", "1"),
        ("length(to_utf8('ä'))", "2"),
        ("lower(to_hex(substr(to_utf8('abc'), 2, 2)))", "6263"),
        ("substr('abcdef', 2, 3)", "bcd"),
        ("date_diff('day', timestamp '2020-01-01 12:00:00', timestamp '2020-01-02 11:00:00')", "0"),
        ("date_diff('day', date '1970-01-01', date '1969-12-31')", "-1"),
        (
            (
                "date_diff('second', timestamp '2020-01-01 00:00:00', timestamp '2020-01-01"
                " 00:01:00.999')"
            ),
            "60",
        ),
        (
            (
                "date_diff('millisecond', timestamp '1970-01-01 00:00:00.000', cast(timestamp"
                " '1969-12-31 23:59:59.9995' as timestamp(3)))"
            ),
            "0",
        ),
        (
            (
                "date_diff('millisecond', timestamp '1970-01-01 00:00:00.000', cast(timestamp"
                " '1969-12-31 23:59:59.9994' as timestamp(3)))"
            ),
            "-1",
        ),
        ("to_unixtime(timestamp '2020-01-01 00:00:00')", "1.5778368E9"),
        ("floor(1.5e0)", "1.0"),
        ("cast(2.5e0 as bigint)", "3"),
        ("cast(1e0 as varchar)", "1.0E0"),
        ("cast(timestamp '2020-01-01 00:00:00' as varchar)", "2020-01-01 00:00:00.000"),
        ("cast(cast(0.5 as decimal(2,2)) as varchar)", "0.50"),
        ("concat('a', chr(31)) || 'b'", "a\x1fb"),
        ("'a' || null", None),
        ("concat('a', null)", None),
        ("coalesce(null, 'x')", "x"),
        ("regexp_like('abc', 'b.')", "true"),
        ("regexp_extract('abc', 'z')", None),
        ("regexp_replace('aa', 'a', 'b')", "bb"),
        ("split_part('a-b', '-', 2)", "b"),
        ("date_trunc('month', date '2020-02-29')", "2020-02-01"),
        ("date '2020-01-31' + interval '1' day", "2020-02-01"),
        ("is_nan(nan())", "true"),
        ("is_infinite(infinity())", "true"),
        ("bitwise_and(6, 3)", "2"),
        ("greatest(1, null)", None),
        ("element_at(array[1, 2], 2)", "2"),
        ("cardinality(array[1, 2])", "2"),
        ("if(1 > 2, 'a')", None),
        ("approx_distinct(1)", "1"),
        ("count_if(true)", "1"),
        ("avg(cast(1.05 as decimal(5,2)))", "1.05"),
        ("avg(2)", "2.0"),
        ("sum(2)", "2"),
    ],
)
def test_an_expression_means_what_it_means_to_trino(lake, expression, value):
    assert rows(f"select {expression}") == [[value]]


def test_columns_are_named_as_trino_names_them(athena):
    query_id = start("select id, count(*), count(*) as Number from t group by 1 limit 1")
    finished(query_id)
    names = [
        each["VarCharValue"]
        for each in athena.get_query_results(QueryExecutionId=query_id)["ResultSet"]["Rows"][0][
            "Data"
        ]
    ]
    assert names == ["id", "_col1", "Number"]


def test_joins_with_windows_and_subqueries_run(lake):
    sql = """with q as (select part, sum(amount) as total from t group by part)
        select t.id, q.total, row_number() over (order by t.id desc) as place
        from t join q on q.part = t.part
        where exists (select 1 from t z where z.id = t.id) order by t.id limit 2"""
    assert rows(sql) == [["1", "1.50", "3"], ["2", "1.50", "2"]]


# The catalog rules what is read


def put(key, select, tmp_path):
    file = tmp_path / "file.parquet"
    duckdb.sql(f"copy (select {select}) to '{file}' (format parquet)")
    boto3.client("s3").upload_file(str(file), LAKE, key)


def catalogue(name, columns, keys=(), serde=None):
    storage = {
        "Columns": [{"Name": column, "Type": kind} for column, kind in columns.items()],
        "Location": f"s3://{LAKE}/{name}/",
        "InputFormat": "org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat",
        "SerdeInfo": {"Parameters": serde or {}},
    }
    glue = boto3.client("glue")
    table = {
        "Name": name,
        "StorageDescriptor": storage,
        "PartitionKeys": [{"Name": key, "Type": "string"} for key in keys],
    }
    glue.create_table(DatabaseName=DATABASE, TableInput=table)
    return storage


@pytest.fixture
def name(lake):
    return f"n{uuid.uuid4().hex[:8]}"


MISMATCHES = [
    ("1::bigint", "string", "INT64", "varchar"),
    ("'x'", "bigint", "BINARY", "bigint"),
    ("1.5::double", "float", "DOUBLE", "real"),
    ("1::integer", "double", "INT32", "double"),
    ("timestamp '2020-01-01'", "date", "INT64", "date"),
    ("date '2020-01-01'", "timestamp", "INT32", "timestamp(3)"),
    ("1::bigint", "decimal(10,2)", "INT64", "decimal(10,2)"),
    ("true", "int", "BOOLEAN", "integer"),
]


@pytest.mark.parametrize(
    ("value", "kind", "physical", "trino"),
    MISMATCHES,
    ids=[f"{each[0]} as {each[1]}" for each in MISMATCHES],
)
def test_a_file_whose_type_is_not_the_catalogs_cannot_be_read(
    name, tmp_path, value, kind, physical, trino
):
    catalogue(name, {"a": kind})
    put(f"{name}/1.parquet", f"{value} a", tmp_path)
    said = reason(f"select count(*) from {name}")
    assert (
        said
        == f"HIVE_BAD_DATA: Field a's type {physical} in parquet file s3://{LAKE}/{name}/1.parquet"
        f" is incompatible with type {trino} defined in table schema"
    )


@pytest.mark.parametrize(
    ("value", "kind", "read"),
    [
        ("1::integer", "bigint", "1"),
        ("1.5::float", "double", "1.5"),
        ("1.25::decimal(5,2)", "decimal(10,3)", "1.250"),
        ("'x'::blob", "string", "x"),
        ("1::integer", "smallint", "1"),
        (
            "now()::timestamptz - now() + timestamptz '2020-01-01 00:00:00+00'",
            "timestamp",
            "2020-01-01 00:00:00.000",
        ),
        ("'2020-01-01 00:00:00.0005'::timestamp_ns", "timestamp", "2020-01-01 00:00:00.001"),
        ("[1.5::double, null]", "array<double>", "[1.5, null]"),
    ],
)
def test_a_file_whose_type_trino_widens_is_read(name, tmp_path, value, kind, read):
    catalogue(name, {"a": kind})
    put(f"{name}/1.parquet", f"{value} a", tmp_path)
    assert rows(f"select a from {name}") == [[read]]


def test_a_file_that_is_cut_short_fails_the_query_and_is_named(name, tmp_path):
    catalogue(name, {"a": "bigint"})
    put(f"{name}/1.parquet", "1::bigint a", tmp_path)
    whole = boto3.client("s3").get_object(Bucket=LAKE, Key=f"{name}/1.parquet")["Body"].read()
    boto3.client("s3").put_object(Bucket=LAKE, Key=f"{name}/2.parquet", Body=whole[:-100])
    said = reason(f"select * from {name}")
    assert said.startswith(
        "HIVE_BAD_DATA: Malformed Parquet file. Expected magic number: PAR1 got:"
    )
    assert f"[s3://{LAKE}/{name}/2.parquet]" in said


def test_columns_are_found_by_name_and_missing_ones_are_null(name, tmp_path):
    catalogue(name, {"b": "string", "a": "bigint", "later": "date"})
    put(f"{name}/1.parquet", "1::bigint \"A\", 'x' b, 'more' c", tmp_path)
    put(f"{name}/2.parquet", "date '2020-01-01' later, 2::bigint a", tmp_path)
    assert rows(f"select * from {name} order by a") == [["x", "1", None], [None, "2", "2020-01-01"]]


def test_columns_are_found_by_place_where_the_serde_says_so(name, tmp_path):
    catalogue(
        name, {"first": "bigint", "second": "string"}, serde={"parquet.column.index.access": "true"}
    )
    put(f"{name}/1.parquet", '1::bigint "Order Id", \'x\' "First"', tmp_path)
    assert rows(f"select first, second from {name}") == [["1", "x"]]


def test_no_files_are_no_rows_and_hidden_files_are_not_read(name, tmp_path):
    catalogue(name, {"a": "bigint"})
    assert rows(f"select a from {name}") == []
    for key in ("_SUCCESS", ".hidden", "_temporary/part.parquet", "empty"):
        boto3.client("s3").put_object(
            Bucket=LAKE, Key=f"{name}/{key}", Body=b"" if key == "empty" else b"no parquet"
        )
    boto3.client("s3").delete_object(Bucket=LAKE, Key=f"{name}/_temporary/part.parquet")
    boto3.client("s3").put_object(Bucket=LAKE, Key=f"{name}beside/1.parquet", Body=b"another table")
    assert rows(f"select count(*) from {name}") == [["0"]]


def test_partitions_are_the_catalogs_not_the_folders(name, tmp_path):
    storage = catalogue(name, {"a": "bigint"}, keys=["m"])
    put(f"{name}/m=1/1.parquet", "1::bigint a", tmp_path)
    assert rows(f"select * from {name}") == []
    glue = boto3.client("glue")
    glue.create_partition(
        DatabaseName=DATABASE,
        TableName=name,
        PartitionInput={
            "Values": ["other"],
            "StorageDescriptor": {**storage, "Location": f"s3://{LAKE}/{name}/m=1/"},
        },
    )
    assert rows(f"select a, m from {name} where m = 'other'") == [["1", "other"]]
    put(f"{name}/m=2/1.parquet", "2::bigint a", tmp_path)
    rows(f"msck repair table {name}")
    assert rows(f"show partitions {name}") == [["m=1"], ["m=2"], ["m=other"]]
    assert rows(f"select a, m from {name} order by m") == [["1", "1"], ["2", "2"], ["1", "other"]]
    rows(f"alter table {name} drop partition (m = 'other')")
    assert rows(f"select count(*) from {name}") == [["2"]]


def test_names_with_the_characters_of_patterns_are_names(name, tmp_path):
    for folder in (f"{name}*", f"{name}b", f"{name}[b]", f"{name}?"):
        put(f"{folder}/1.parquet", f"'{folder}' a", tmp_path)
    storage = catalogue(name, {"a": "string"})
    glue = boto3.client("glue")
    for folder in (f"{name}*", f"{name}[b]", f"{name}?"):
        where = {**storage, "Location": f"s3://{LAKE}/{folder}/"}
        glue.update_table(
            DatabaseName=DATABASE, TableInput={"Name": name, "StorageDescriptor": where}
        )
        assert rows(f"select a from {name}") == [[folder]]


def test_a_bad_file_of_a_partition_that_is_not_asked_for_fails_no_query(name, tmp_path):
    catalogue(name, {"a": "bigint"}, keys=["m"])
    put(f"{name}/m=1/1.parquet", "1::bigint a", tmp_path)
    boto3.client("s3").put_object(Bucket=LAKE, Key=f"{name}/m=2/1.parquet", Body=b"no parquet")
    rows(f"msck repair table {name}")
    for asked in ("m = '1'", "m in ('0', '1') and a = 1", "t.m < '2'", "m between '0' and '1'"):
        assert rows(f"select a from {name} t where {asked}") == [["1"]]
    for asked in ("m = '1' or a = 1", "m >= '1'", "length(m) = 1", "true"):
        assert "HIVE_BAD_DATA" in reason(f"select a from {name} t where {asked}")


def test_a_table_with_partition_projection_is_refused(name):
    storage = catalogue(name, {"a": "bigint"}, keys=["m"])
    described = {"Name": name, "StorageDescriptor": storage}
    described["PartitionKeys"] = [{"Name": "m", "Type": "string"}]
    boto3.client("glue").update_table(
        DatabaseName=DATABASE,
        TableInput={**described, "Parameters": {"projection.enabled": "true"}},
    )
    assert "does not do partition projection" in reason(f"select a from {name}")


def test_a_table_is_created_filled_listed_and_dropped_by_sql(name, lake):
    rows(f"create database if not exists {name}")
    rows(
        f"create external table {name}.e (a int, b string comment 'the text') partitioned by (m"
        f" string) stored as parquet location 's3://{LAKE}/{name}/' tblproperties ('k' = 'v')"
    )
    rows(f"insert into {name}.e select 1, 'x', 'one'")
    rows(f"insert into {name}.e (b, a, m) values ('y', 2, 'two')")
    assert rows(f"select * from {name}.e order by a") == [["1", "x", "one"], ["2", "y", "two"]]
    assert rows(f"show tables in {name}") == [["e"]]
    assert [name] in rows("show databases")
    rows(
        f"create table {name}.c with (external_location = 's3://{LAKE}/{name}-c/', partitioned_by ="
        f" array['m']) as select a, upper(b) as b, m from {name}.e"
    )
    assert rows(f"select * from {name}.c order by a") == [["1", "X", "one"], ["2", "Y", "two"]]
    assert "HIVE_PATH_ALREADY_EXISTS" in reason(
        f"create table {name}.d with (external_location = 's3://{LAKE}/{name}-c/') as select 1 as a"
    )
    assert "not empty" in reason(f"drop database {name}")
    rows(f"drop table {name}.e")
    rows(f"drop table if exists {name}.e")
    rows(f"drop database {name} cascade")
    assert [name] not in rows("show databases")


def test_unload_needs_an_empty_place(name, lake):
    rows(f"unload (select id from t) to 's3://{OUT}/{name}/' with (format = 'PARQUET')")
    assert sorted(wr.s3.read_parquet(f"s3://{OUT}/{name}/")["id"]) == [1, 2, 3]
    assert "HIVE_PATH_ALREADY_EXISTS" in reason(
        f"unload (select 1 as a) to 's3://{OUT}/{name}/' with (format = 'PARQUET')"
    )
    assert "PARQUET only" in reason(
        f"unload (select 1 as a) to 's3://{OUT}/{name}2/' with (format = 'AVRO')"
    )


def test_texts_that_cannot_be_null_are_joined_in_one_call():
    text = (
        "select coalesce(a, '-') || chr(31) || coalesce(b, chr(30)) || 'c' as joined, a || b || 'c'"
        " as may_be_null from t"
    )
    tree = trino_sql.parse(text)
    [table] = trino_sql.sources(tree, "d")
    trino_sql.rename(table, "v")
    kinds = dict.fromkeys(("a", "b"), exp.DataType.build("varchar"))
    assert re.findall(
        r"concat\(|\|\|", trino_sql.translate(tree, text, {"v": kinds}), re.IGNORECASE
    ) == ["CONCAT(", "||", "||"]
