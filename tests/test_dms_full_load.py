"""DMS's full load, from a real PostgreSQL into real files: every type, odd names, states, and what
goes wrong.
"""

import datetime
import gzip
from decimal import Decimal

import boto3
import duckdb
import pyarrow as pa
import pytest
from dms_tasks import included, place, transformed  # noqa: F401 - fixtures
from nasty_source import LOB_MAX_KILOBYTES, server  # noqa: F401 - fixtures
from test_source import DELIVERED
from until import until

from lakebook.layers import curation
from lakebook.services.dms_table_mapping import table_mapping
from lakebook.source.postgresql import catalog
from lakebook.source.postgresql.connection import SETTINGS
from lakebook.source.postgresql.delivered import delivered
from lakebook.source.raw_names import raw_names
from local_aws.dms.types import MICROSECONDS
from local_aws.engines.postgresql import Server

# ruff: noqa: F811 - fixtures

TIME_AS_TEXT = [
    transformed(
        "change-data-type",
        "column",
        {"schema-name": "nasty", "table-name": "%", "column-name": name},
        **{"data-type": {"type": "string", "length": 32}},
    )
    for name in ("tm", "tmz")
]
CHANGE_SEQ = transformed(
    "add-column",
    "column",
    {"schema-name": "%", "table-name": "%"},
    value="dms_change_seq",
    expression="$AR_H_CHANGE_SEQ",
)
RAW = {
    "CompressionType": "gzip",
    "IncludeOpForFullLoad": True,
    "TimestampColumnName": "dms_timestamp",
    "UseTaskStartTimeForFullLoadTimestamp": True,
}


def locator(name, **more):
    return {"schema-name": "nasty", "table-name": name, **more}


def only(*names):
    return included(*(locator(name.replace("_", "[_]")) for name in names))


@pytest.fixture
def admin(server):
    with server.connect("nasty") as connection:
        yield connection


@pytest.fixture(scope="module")
def states(place):
    """What became of every table, partition and view, as the runbook asks for them."""
    views = included(locator("%", **{"table-type": "view"}))
    other = included({"schema-name": 'Sch%"ma', "table-name": "%"})
    target = place.target(BucketFolder="/all/", **RAW)
    return place.load(
        [*included(locator("%")), *views, *other, *TIME_AS_TEXT, CHANGE_SEQ],
        {"Logging": {"EnableLogging": True}},
        target=target,
    )


@pytest.fixture(scope="module")
def everything(place, states):
    return place.table("everything", "all/")


def test_every_table_has_its_own_state_and_count(states):
    completed = {
        "表": 0,
        "empty_one": 0,
        "everything": 7,
        "no_key": 12,
        "parts": 500,
        "parts_1": 213,
        "parts_2": 287,
        "parts_2a": 287,
        "wide": 50,
        "Order items": 2,
        "a_view": 1,
        "a_mat": 1,
    }
    assert states == {name: ("Table completed", rows) for name, rows in completed.items()} | {
        "array_no_key": ("Table error", 0)
    }


def test_an_empty_or_suspended_table_leaves_no_object(place, states):
    names = {key.split("/")[2] for key in place.keys("all/")}
    assert names == {
        "Order items",
        "a_mat",
        "a_view",
        "everything",
        "no_key",
        "parts",
        "parts_1",
        "parts_2",
        "parts_2a",
        "wide",
    }
    assert all(key.endswith("/LOAD00000001.parquet") for key in place.keys("all/"))


def test_the_log_names_cuts_and_suspended_tables(place, states):
    logs, group = boto3.client("logs"), {"logGroupName": f"dms-tasks-instance-{place.end}"}
    [stream] = logs.describe_log_streams(**group)["logStreams"]
    lines = [
        each["message"]
        for each in logs.get_log_events(**group, logStreamName=stream["logStreamName"])["events"]
    ]
    assert stream["logStreamName"].startswith("dms-task-")
    for words in (
        "2 values of column 'v_long' of table 'nasty'.'everything' are truncated",
        "array_no_key' was errored/suspended",
        "'nasty'.'parts'. 500 rows",
    ):
        assert any(words in line for line in lines), words


TYPES = {
    "Op": pa.string(),
    "dms_timestamp": pa.string(),
    "i2": pa.int16(),
    "id": pa.int32(),
    "i8": pa.int64(),
    "n_free": pa.decimal128(28, 6),
    "n_fix": pa.decimal128(15, 2),
    "n_wide": pa.string(),
    "n_neg": pa.string(),
    "n_small": pa.string(),
    "n_frac": pa.decimal128(4, 4),
    "f4": pa.float32(),
    "f8": pa.float64(),
    "cash": pa.decimal128(38, 4),
    "yes": pa.bool_(),
    "c5": pa.string(),
    "b": pa.binary(),
    "d": pa.date32(),
    "tm": pa.string(),
    "ts": MICROSECONDS,
    "tstz": MICROSECONDS,
    "iv": pa.string(),
    "dom": pa.decimal128(12, 3),
    "code": pa.string(),
    "total": pa.decimal128(15, 2),
    "u": pa.string(),
    "o": pa.string(),
    "dms_change_seq": pa.string(),
}


@pytest.mark.parametrize("name", TYPES)
def test_a_column_has_the_parquet_type_of_the_type_table(everything, name):
    assert everything.schema.field(name).type == TYPES[name]


def test_columns_come_in_order_and_all_of_the_source_may_be_null(place, everything, admin):
    source = [
        row[0]
        for row in admin.execute(
            "select attname from pg_attribute where attrelid = 'nasty.everything'::regclass and"
            " attnum > 0 order by attnum"
        )
    ]
    assert everything.column_names == ["Op", "dms_timestamp", *source, "dms_change_seq"]
    assert [field.name for field in everything.schema if not field.nullable] == ["dms_timestamp"]
    assert set(everything["Op"].to_pylist()) == {"I"}
    assert everything["dms_change_seq"].null_count == 7


def test_the_files_are_written_as_dms_writes_them(place, states):
    file = place.parquet("all/nasty/everything/LOAD00000001.parquet")
    column = {file.schema.column(n).name: file.schema.column(n) for n in range(len(file.schema))}
    assert file.metadata.row_group(0).column(0).compression == "GZIP"
    assert (column["n_fix"].physical_type, column["n_fix"].length) == ("FIXED_LEN_BYTE_ARRAY", 7)
    assert "isAdjustedToUTC=true, timeUnit=microseconds" in str(column["ts"].logical_type)
    assert file.metadata.metadata is None


def value(everything, name, row):
    """The text PostgreSQL would give the value, as far as Python can hold it."""
    if name == "d" or name.startswith("ts"):  # Python knows no years before 1
        days = everything[name].cast(pa.int32() if name == "d" else pa.int64())
        return days[everything["id"].to_pylist().index(row)].as_py()
    return everything[name][everything["id"].to_pylist().index(row)].as_py()


@pytest.mark.parametrize(("name", "row"), DELIVERED)
def test_a_value_arrives_as_the_type_table_says(everything, admin, name, row):
    expected, found = DELIVERED[name, row], value(everything, name, row)
    if name == "d":
        expected = admin.execute("select %s::date - date '1970-01-01'", [expected]).fetchone()[0]
    elif name.startswith("ts"):
        expected = admin.execute(
            "select (extract(epoch from %s::timestamp) * 1000000)::bigint", [expected]
        ).fetchone()[0]
    elif isinstance(found, Decimal):
        expected = Decimal(expected)
    assert found == expected


@pytest.mark.parametrize("row", range(7))
def test_every_value_is_what_an_independent_program_expects(everything, admin, row):
    """The expressions with which the runbook measures the source, evaluated in the source."""
    for name, setting in SETTINGS.items():
        admin.execute(f"set {name} = '{setting}'")
    columns = next(
        table for table in postgresql_tables(admin) if table.name == "everything"
    ).columns
    differing = {}
    for column in columns:
        expression = delivered(column, LOB_MAX_KILOBYTES)
        if column.type.name in ("date", "timestamp"):
            expression = (
                f"({expression}) - date '1970-01-01'"
                if column.type.name == "date"
                else f"(extract(epoch from {expression}) * 1000000)::bigint"
            )
        expected = admin.execute(
            f"select {expression} from nasty.everything where id = {row}"
        ).fetchone()[0]
        found = (
            value(everything, column.name, row)
            if column.type.name not in ("date", "timestamp")
            else integer(everything, column.name, row)
        )
        if column.type.name == "float" and found is not None:
            found, expected = pa.scalar(found, pa.float32()), pa.scalar(expected, pa.float32())
        if found != expected and not (found != found and expected != expected):
            differing[column.name] = (found, expected)
    assert differing == {}


def integer(everything, name, row):
    kind = pa.int32() if everything.schema.field(name).type == pa.date32() else pa.int64()
    return everything[name].cast(kind)[everything["id"].to_pylist().index(row)].as_py()


def postgresql_tables(admin, schema="nasty"):
    class Connection:
        """What lakebook asks of pg8000, of psycopg."""

        def cursor(self):
            return admin.cursor()

    original = catalog.query
    catalog.query = lambda _, sql: [list(row) for row in admin.execute(sql.encode()).fetchall()]
    try:
        return catalog.tables(Connection(), [schema])
    finally:
        catalog.query = original


CASTS = """create schema own; create type own.level as enum ('lo', 'hi');
create function own.told(own.level) returns text language sql immutable
  as $$ select case $1 when 'lo' then '1 (low)' else '2 (high)' end $$;
create cast (own.level as text) with function own.told(own.level);
create type own.pair as (a int, level own.level);
create function own.told(own.pair) returns text language sql immutable as $$ select 'a pair' $$;
create cast (own.pair as text) with function own.told(own.pair);
create function own.told(own.level[]) returns text language sql immutable as $$ select 'many' $$;
create cast (own.level[] as text) with function own.told(own.level[]);
create type own.span as range (subtype = int8);
create function own.told(own.span) returns text language sql immutable as $$ select 'a span' $$;
create cast (own.span as text) with function own.told(own.span);
create function own.told(uuid) returns text language sql immutable as $$ select 'a uuid' $$;
create cast (uuid as text) with function own.told(uuid);
create function own.told(json) returns text language sql immutable as $$ select 'json' $$;
create cast (json as text) with function own.told(json);
create domain own.height as own.level; create domain own.many as own.level[];
create table own.t (id int primary key, level own.level, pair own.pair, levels own.level[],
  span own.span, u uuid, j json, height own.height, many own.many, t time, b bit(2));
insert into own.t values (1, 'hi', '(1,lo)', '{hi,lo}', '[1,2)',
  'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', '{"a": 1}', 'hi', '{lo}', '12:00', '10');
insert into own.t values (2);"""


def test_casts_of_somebodys_own_change_nothing(place, admin):
    admin.execute(CASTS)
    expected = {
        "level": "hi",
        "pair": "(1,lo)",
        "levels": "{hi,lo}",
        "span": "[1,2)",
        "u": "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
        "j": '{"a": 1}',
        "height": "hi",
        "many": "{lo}",
        "b": "10",
    }
    try:
        rules = included({"schema-name": "own", "table-name": "t"})
        place.load(rules, target=place.target(BucketFolder="casts"))
        one, two = place.parquet("casts/own/t/LOAD00000001.parquet").read().to_pylist()
        assert {name: one[name] for name in expected} == expected
        assert set(two.values()) == {2, None}
        [table] = postgresql_tables(admin, "own")
        values = ", ".join(f"({delivered(each, 63)})::varchar" for each in table.columns[1:])
        found = admin.execute(f"select {values} from own.t order by id").fetchall()
        names = [each.name for each in table.columns[1:]]
        assert dict(zip(names, found[0], strict=True)) == {**expected, "t": "12:00:00"}
        assert set(found[1]) == {None}
    finally:
        admin.execute("drop schema own cascade")


def test_columns_that_bear_names_of_dmss_own_arrive_beside_them(place, admin):
    admin.execute(
        """create schema own; create table own.t (id int primary key, dms_timestamp text, "Op" int,
        op_2 int, "op" int, dms_change_seq text, "Dms_Timestamp" int, dms_timestamp_2 text);
        insert into own.t values (1, 'mine', 2, 3, 4, 'ours', 5, 'theirs')"""
    )
    try:
        [table] = postgresql_tables(admin, "own")
        rules = table_mapping([table])["rules"]
        target = place.target(BucketFolder="names", **RAW)
        assert place.load(rules, target=target) == {"t": ("Table completed", 1)}
        file = place.parquet("names/own/t/LOAD00000001.parquet").read()
        assert len(set(file.column_names)) == 11
        asked_for = [each["raw"] for each in curation._columns(table)]
        assert file.column_names[2:-1] == list(raw_names(table).values()) == asked_for
        [found] = file.to_pylist()
        assert list(found.values())[2:-1] == [1, "mine", 2, 3, 4, "ours", 5, "theirs"]
        assert (found["Op"], found["dms_change_seq"]) == ("I", None)
    finally:
        admin.execute("drop schema own cascade")


def test_a_session_is_bent_by_no_search_path_and_filtered_by_row_level_security(
    place, server, admin
):
    password = server.password("narrow")
    admin.execute(
        f"""create role narrow login password '{password}'; create schema own;
        create domain own.date as timestamp(0); create table own.t (id int, at timestamp);
        insert into own.t values (1, '2024-02-29 12:00'), (2, 'infinity');
        alter table own.t enable row level security;
        create policy one on own.t using (id = 1);
        grant usage on schema own to narrow; grant select on own.t to narrow;
        alter role narrow set search_path = own, pg_catalog"""
    )
    source = place.source(SecretsManagerSecretId=place.secret(username="narrow", password=password))
    rules = included({"schema-name": "own", "table-name": "t"})
    try:
        assert place.load(rules, source=source) == {"t": ("Table completed", 1)}
    finally:
        admin.execute("drop schema own cascade; drop owned by narrow; drop role narrow")


def test_bytes_arrive_as_they_are(everything):
    assert value(everything, "b", 1) == bytes(range(256))
    assert len(value(everything, "b", 2)) == LOB_MAX_KILOBYTES * 1024


def test_odd_names_keep_their_case_and_spelling(place, states):
    table = place.table("Order items", "all/")
    assert table.column_names[2:5] == ["select", "Unicode ☃", 'we"ird']
    assert table.column("Unicode ☃").to_pylist() == ["☃", "é"]
    assert len(place.table("wide", "all/").column_names) == 203


def test_the_files_agree_with_the_source_for_many_rows(place, admin):
    admin.execute(
        "create table nasty.many as select g as id, g * 1.5::numeric(12,2) as n, md5(g::text) as t,"
        " timestamp '2000-01-01' + g * interval '1 hour' as happened from generate_series(1,"
        " 300000) g"
    )
    try:
        assert place.load(only("many"), target=place.target(BucketFolder="many")) == {
            "many": ("Table completed", 300_000)
        }
        file = place.parquet("many/nasty/many/LOAD00000001.parquet")
        assert [file.metadata.row_group(n).num_rows for n in range(file.num_row_groups)] == [
            122_880,
            122_880,
            54_240,
        ]
        many = file.read()  # noqa: F841 - DuckDB reads it
        found = duckdb.sql(
            "select count(distinct id), sum(n)::decimal(38,2)::varchar, md5(string_agg(t, '' order"
            " by id)), max(epoch_us(happened)) from many"
        ).fetchone()
        expected = admin.execute(
            "select count(*), sum(n)::numeric(38,2)::text, md5(string_agg(t, '' order by id)),"
            " max((extract(epoch from happened) * 1000000)::bigint) from nasty.many"
        ).fetchone()
        assert found == expected
    finally:
        admin.execute("drop table nasty.many")


def test_a_second_full_load_replaces_the_files(place, admin):
    admin.execute(
        "create table nasty.again (id int primary key); insert into nasty.again values (1), (2)"
    )
    arn = place.task(only("again"), target=place.target(BucketFolder="again"))
    place.run(arn)
    place.s3.put_object(
        Bucket=place.bucket,
        Key="again/nasty/again/20200101-000000000.parquet",
        Body=b"of an earlier task",
    )
    place.s3.put_object(Bucket=place.bucket, Key="again/nasty/again_not/kept", Body=b"")
    admin.execute("insert into nasty.again values (3)")
    first = place.show(arn)["ReplicationTaskStats"]["FreshStartDate"]
    assert place.run(arn, "reload-target")["ReplicationTaskStats"]["FreshStartDate"] > first
    assert place.keys("again/") == [
        "again/nasty/again/LOAD00000001.parquet",
        "again/nasty/again_not/kept",
    ]
    assert place.table("again", "again/")["id"].to_pylist() == [1, 2, 3]
    admin.execute("truncate nasty.again")
    place.run(arn, "reload-target")
    assert place.keys("again/nasty/again/") == []
    admin.execute("drop table nasty.again")


def test_do_nothing_leaves_earlier_files(place):
    place.s3.put_object(
        Bucket=place.bucket, Key="kept/nasty/no_key/LOAD00000002.parquet", Body=b"stale"
    )
    place.load(
        only("no_key"),
        {"FullLoadSettings": {"TargetTablePrepMode": "DO_NOTHING"}},
        target=place.target(BucketFolder="kept"),
    )
    assert place.keys("kept/") == [
        "kept/nasty/no_key/LOAD00000001.parquet",
        "kept/nasty/no_key/LOAD00000002.parquet",
    ]


def test_resuming_loads_only_what_was_not_loaded(place, admin):
    admin.execute("create table nasty.later (a int[]); insert into nasty.later values ('{1}')")
    arn = place.task(only("later", "no_key"), target=place.target(BucketFolder="resumed"))
    place.run(arn)
    assert place.states(arn) == {"later": ("Table error", 0), "no_key": ("Table completed", 12)}
    place.s3.delete_object(Bucket=place.bucket, Key="resumed/nasty/no_key/LOAD00000001.parquet")
    admin.execute("alter table nasty.later add column id int primary key default 1")
    place.run(arn, "resume-processing")
    assert place.states(arn) == {"later": ("Table completed", 1), "no_key": ("Table completed", 12)}
    assert place.keys("resumed/") == ["resumed/nasty/later/LOAD00000001.parquet"]
    admin.execute("drop table nasty.later")


def test_rules_rename_filter_remove_and_order(place):
    rules = [
        *included(
            locator("parts"),
            filters=[
                {
                    "filter-type": "source",
                    "column-name": "id",
                    "filter-conditions": [
                        {"filter-operator": "between", "start-value": "10", "end-value": "12"}
                    ],
                }
            ],
        ),
        transformed("rename", "schema", {"schema-name": "nasty"}, value="other"),
        transformed("add-prefix", "table", locator("%"), value="x_"),
        transformed("convert-uppercase", "column", locator("parts", **{"column-name": "k"})),
        transformed("remove-column", "column", locator("parts", **{"column-name": "at"})),
        transformed("add-column", "column", locator("%"), value="origin", expression="'here'"),
    ]
    assert place.load(rules, target=place.target(BucketFolder="renamed")) == {
        "parts": ("Table completed", 3)
    }
    table = place.parquet("renamed/other/x_parts/LOAD00000001.parquet").read()
    assert sorted(table.to_pylist(), key=lambda row: row["id"]) == [
        {"id": n, "K": f"k{n}", "origin": "here"} for n in (10, 11, 12)
    ]


def test_settings_of_the_target_change_the_file(place):
    target = place.target(
        BucketFolder="ms",
        ParquetTimestampInMillisecond=True,
        EncodingType="plain",
        RowGroupLength=3,
        EnableStatistics=False,
    )
    place.load(
        only("everything"),
        source=place.source(MapBooleanAsBoolean=False, TrimSpaceInChar=False),
        target=target,
    )
    file = place.parquet("ms/nasty/everything/LOAD00000001.parquet")
    assert "timeUnit=milliseconds" in str(
        file.schema.column(file.schema_arrow.get_field_index("ts")).logical_type
    )
    assert [file.metadata.row_group(n).num_rows for n in range(file.num_row_groups)] == [3, 3, 1]
    assert not file.metadata.row_group(0).column(0).is_stats_set
    assert "RLE_DICTIONARY" not in file.metadata.row_group(0).column(0).encodings
    table = file.read()
    assert (value(table, "yes", 1), value(table, "yes", 2), value(table, "c5", 1)) == (
        "true",
        "false",
        "ab   ",
    )
    assert table.schema.field("tm").type == pa.time32("ms")
    assert value(table, "tm", 1) == datetime.time(23, 59, 59, 500_000)


def test_the_time_of_writing_is_between_start_and_end(place):
    before = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M:%S.%f")
    place.load(only("no_key"), target=place.target(BucketFolder="now", TimestampColumnName="at"))
    at = place.table("no_key", "now/")["at"].to_pylist()
    assert (
        before
        < min(at)
        <= max(at)
        < datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M:%S.%f")
    )


def test_csv_is_the_default_format(place, admin):
    admin.execute(
        "create table nasty.text (id int, t text, b bytea, ts timestamptz, yes bool); insert into"
        " nasty.text values (1, 'a,\"b', '\\x00ff', '2024-02-29 12:00+02', true), (2, '', null,"
        " null, false), (3, 'NULL', null, null, null), (4, E'x\\ny', null, null, null)"
    )
    place.load(
        only("text"),
        target=place.target(BucketFolder="csv", DataFormat="csv", IncludeOpForFullLoad=True),
    )
    text = place.bytes("csv/nasty/text/LOAD00000001.csv").decode()
    assert text.split("\nI,") == [
        'I,1,"a,""b",00ff,2024-02-29 10:00:00.000000,true',
        "2,,NULL,NULL,false",
        '3,"NULL",NULL,NULL,NULL',
        '4,"x\ny",NULL,NULL,NULL\n',
    ]
    place.load(
        only("text"),
        target=place.target(
            BucketFolder="gz",
            DataFormat="csv",
            CompressionType="gzip",
            AddColumnName=True,
            CsvDelimiter=";",
            CsvNullValue="",
        ),
    )
    text = gzip.decompress(place.bytes("gz/nasty/text/LOAD00000001.csv.gz")).decode()
    assert text.startswith(
        'id;t;b;ts;yes\n1;"a,""b";00ff;2024-02-29 10:00:00.000000;true\n2;"";;;false\n'
    )
    admin.execute("drop table nasty.text")


def test_csv_is_cut_into_files_numbered_in_hexadecimal(place, admin):
    admin.execute(
        "create table nasty.long as select g as id, repeat('x', 1000) as t from generate_series(1,"
        " 17) g"
    )
    assert place.load(
        only("long"), target=place.target(BucketFolder="hex", DataFormat="csv", MaxFileSize=1)
    ) == {"long": ("Table completed", 17)}
    names = [key.rsplit("/", 1)[1] for key in place.keys("hex/")]
    assert names[:1] + names[8:11] + names[-2:] == [
        "LOAD00000001.csv",
        "LOAD00000009.csv",
        "LOAD0000000A.csv",
        "LOAD0000000B.csv",
        "LOAD00000010.csv",
        "LOAD00000011.csv",
    ]
    assert b"".join(place.bytes(key) for key in place.keys("hex/")).count(b"\n") == 17
    admin.execute("drop table nasty.long")


def test_no_table_at_all_fails_the_task_unless_told_otherwise(place):
    failed = place.run(place.task(only("absent")))
    assert (failed["Status"], failed["StopReason"]) == ("failed", "Stop Reason FATAL_ERROR")
    assert "No tables were found at task initialization." in failed["LastFailureMessage"]
    assert place.load(only("absent"), {"ErrorBehavior": {"FailOnNoTablesCaptured": False}}) == {}


def test_cut_lobs_fail_the_task_where_the_source_asks_for_it(place):
    failed = place.run(
        place.task(only("everything"), source=place.source(FailTasksOnLobTruncation=True))
    )
    assert failed["Status"] == "failed"
    assert (
        "LOB truncation in table nasty.everything, column v_long, t, b"
        in failed["LastFailureMessage"]
    )


def test_lobs_are_left_out_where_they_are_not_supported(place):
    place.load(
        only("everything"),
        {"TargetMetadata": {"SupportLobs": False}},
        target=place.target(BucketFolder="no-lobs"),
    )
    names = place.table("everything", "no-lobs/").column_names
    assert ("v20" in names, "t" in names, "b" in names, "ia" in names) == (
        True,
        False,
        False,
        False,
    )


def test_a_table_without_permission_is_in_error_and_the_others_are_not(place, server, admin):
    password = server.password("narrow")
    admin.execute(
        f"create role narrow login password '{password}'; grant usage on schema nasty to narrow;"
        " grant select on nasty.no_key to narrow"
    )
    source = place.source(SecretsManagerSecretId=place.secret(username="narrow", password=password))
    assert place.load(only("no_key", "parts"), source=source) == {
        "no_key": ("Table completed", 12),
        "parts": ("Table error", 0),
    }
    stop = {"ErrorBehavior": {"TableErrorPolicy": "STOP_TASK"}}
    failed = place.run(place.task(only("parts"), stop, source=source))
    assert (
        failed["Status"],
        "permission denied for table parts" in failed["LastFailureMessage"],
    ) == ("failed", True)
    admin.execute("drop owned by narrow; drop role narrow")


def test_a_bucket_that_is_gone_fails_the_task(place):
    bucket = f"{place.bucket}-gone"
    place.s3.create_bucket(
        Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"}
    )
    arn = place.task(only("no_key"), target=place.target(BucketName=bucket))
    place.s3.delete_bucket(Bucket=bucket)
    failed = place.run(arn)
    assert (failed["Status"], bucket in failed["LastFailureMessage"]) == ("failed", True)


def test_a_password_that_became_wrong_fails_the_task_without_being_told(place, server, admin):
    password = server.password("fickle")
    admin.execute(
        f"create role fickle login password '{password}'; grant usage on schema nasty to fickle"
    )
    arn = place.task(
        only("no_key"),
        source=place.source(
            SecretsManagerSecretId=place.secret(username="fickle", password=password)
        ),
    )
    admin.execute("alter role fickle password 'other'")
    failed = place.run(arn)
    assert (failed["Status"], "password authentication failed" in failed["LastFailureMessage"]) == (
        "failed",
        True,
    )
    assert password not in failed["LastFailureMessage"]
    admin.execute("drop owned by fickle; drop role fickle")


@pytest.fixture
def slow(admin):
    """A view that needs an hour for its rows."""
    admin.execute(
        "create view nasty.slow as select g as id, pg_sleep(0.02)::text as t from"
        " generate_series(1, 180000) g"
    )
    yield included(locator("slow", **{"table-type": "view"}))
    admin.execute("drop view nasty.slow")


@pytest.mark.parametrize("form", ["parquet", "csv"])
def test_a_stopped_task_ends_its_sessions_and_leaves_no_file(place, slow, admin, form):
    arn = place.task(slow, target=place.target(BucketFolder="slow", DataFormat=form))
    place.start(arn)
    until(lambda: place.states(arn), lambda states: states.get("slow", ("", 0))[0] == "Full load")
    assert (
        place.dms.stop_replication_task(ReplicationTaskArn=arn)["ReplicationTask"]["Status"]
        == "stopping"
    )
    stopped = place.wait(arn, "stopped", "failed")
    assert (stopped["Status"], stopped["StopReason"]) == ("stopped", "Stop Reason NORMAL")
    assert place.states(arn)["slow"][0] == "Table cancelled"
    assert place.keys("slow/") == []
    assert admin.execute(
        "select count(*) from pg_stat_activity where application_name like 'local_aws dms%'"
    ).fetchone() == (0,)


def test_a_session_that_is_ended_by_others_is_a_table_error(place, slow, admin):
    arn = place.task([*slow, *only("no_key")])
    place.start(arn)
    running = (
        "select pid from pg_stat_activity where application_name like 'local_aws dms%' and query"
        " like '%slow%' and query not like '%limit 0' and state = 'active'"
    )
    pids = until(lambda: admin.execute(running).fetchall())
    for (pid,) in pids:
        admin.execute("select pg_terminate_backend(%s)", [pid])
    ended = place.wait(arn, "stopped", "failed")
    assert (ended["Status"], ended["StopReason"]) == (
        "stopped",
        "Stop Reason FULL_LOAD_ONLY_FINISHED",
    )
    assert (place.states(arn)["slow"][0], place.states(arn)["no_key"]) == (
        "Table error",
        ("Table completed", 12),
    )
    assert ended["ReplicationTaskStats"]["TablesErrored"] == 1


def test_rows_are_counted_while_they_are_loaded(place, admin):
    admin.execute(
        "create view nasty.steady as select g as id, case when g % 30000 = 0 then"
        " pg_sleep(0.2)::text end as t from generate_series(1, 600000) g"
    )
    arn = place.task(included(locator("steady", **{"table-type": "view"})))
    place.start(arn)
    seen = set()

    def ended():
        seen.add(place.states(arn).get("steady", ("", 0))[1])
        return place.show(arn)["Status"] in ("stopped", "failed")

    until(ended)
    assert len(seen) > 3
    assert place.states(arn)["steady"] == ("Table completed", 600_000)
    admin.execute("drop view nasty.steady")


def test_a_source_that_is_lost_fails_the_task(place, tmp_path):
    with Server(tmp_path) as other:
        with other.connect() as admin:
            admin.execute(
                "create table early (a int); insert into early values (1); create view slow as"
                " select pg_sleep(0.05) is null as t from generate_series(1, 1000)"
            )
        source = place.source(
            DatabaseName="postgres",
            SecretsManagerSecretId=place.secret(**other.source("postgres", "postgres").to_secret()),
        )
        arn = place.task(
            included({"schema-name": "public", "table-name": "%", "table-type": "all"}),
            source=source,
        )
        place.start(arn)
        until(
            lambda: place.states(arn),
            lambda states: (
                states.get("slow", ("", 0))[0] == "Full load"
                and states["early"][0] == "Table completed"
            ),
        )
        other.stop()
        ended = place.wait(arn, "stopped", "failed")
    assert (ended["Status"], ended["StopReason"]) == ("failed", "Stop Reason FATAL_ERROR")
    assert (
        f'connection to server at "127.0.0.1", port {other.port} failed'
        in ended["LastFailureMessage"]
    )
    assert place.states(arn) == {"early": ("Table completed", 1), "slow": ("Table error", 0)}
