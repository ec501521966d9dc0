"""The job that makes curated files of raw ones, run as AWS Glue runs it."""

import datetime
import io
import json
from decimal import Decimal
from pathlib import Path

import boto3
import glue_runner
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import lakebook.layers.jobs

SCRIPT = (Path(lakebook.layers.jobs.__file__).parent / "raw_to_curated.py").read_text()
UTC = datetime.UTC
OLD = datetime.datetime(1291, 8, 1, 12, tzinfo=UTC)
NEW = datetime.datetime(2026, 11, 23, 10, 15, 0, 123456, tzinfo=UTC)
TYPES = [  # column, declared type, raw type, values, type in the curated file
    ("small", "smallint", pa.int16(), [-32768, 32767], pa.int16()),
    ("medium", "int", pa.int32(), [-(2**31), 2**31 - 1], pa.int32()),
    ("large", "bigint", pa.int64(), [-(2**63), 2**63 - 1], pa.int64()),
    ("widened", "bigint", pa.int32(), [1, 2], pa.int64()),
    (
        "narrow",
        "decimal(5,2)",
        pa.decimal128(5, 2),
        [Decimal("-999.99"), Decimal("0.01")],
        pa.decimal128(5, 2),
    ),
    (
        "wide",
        "decimal(38,4)",
        pa.decimal128(38, 4),
        [Decimal("9" * 34 + ".9999"), Decimal("-0.0001")],
        pa.decimal128(38, 4),
    ),
    ("real", "float", pa.float32(), [1.5, float("inf")], pa.float32()),
    ("double_", "double", pa.float64(), [0.1, -1e308], pa.float64()),
    ("flag", "boolean", pa.bool_(), [True, False], pa.bool_()),
    ("flag_text", "boolean", pa.string(), ["true", "false"], pa.bool_()),
    ("words", "string", pa.string(), ["Zürich ☃ 'x'", ""], pa.string()),
    ("bytes_", "binary", pa.binary(), [b"\x00\xff", b""], pa.binary()),
    ("day", "date", pa.date32(), [OLD.date(), NEW.date()], pa.date32()),
    ("moment", "timestamp", pa.timestamp("us", "UTC"), [OLD, NEW], pa.timestamp("us", "UTC")),
    (
        "wall_clock",
        "timestamp",
        pa.timestamp("us"),
        [OLD.replace(tzinfo=None), NEW.replace(tzinfo=None)],
        pa.timestamp("us", "UTC"),
    ),
]
ODD_NAMES = [
    "a.b",
    "back`tick",
    'double"quote',
    "it's",
    "with space",
    "ÄÖÜ ☃",
    "Case",
    "case",
    "comma,semi;colon",
]


@pytest.fixture(scope="module")
def buckets(stand_in):
    for each in ("curation-raw", "curation-out"):
        glue_runner.bucket(each)
    glue_runner.job("raw-to-curated", SCRIPT)


def put_raw(key, table):
    buffer = io.BytesIO()
    pq.write_table(table, buffer)
    return put_bytes(key, buffer.getvalue())


def put_bytes(key, content):
    boto3.client("s3").put_object(Bucket="curation-raw", Key=key, Body=content)
    return f"s3://curation-raw/{key}"


def entry(name, files, columns, partition_by=(), location=None):
    named = [dict(zip(("raw", "name", "type"), each, strict=True)) for each in columns]
    return {
        "name": name,
        "files": files,
        "location": location or f"s3://curation-out/{name}/snapshot=1/",
        "columns": named,
        "partition_by": list(partition_by),
    }


def run_manifest(name, tables, **more):
    manifest = {"snapshot": "s1", "compression": "zstd", "tables": tables, **more}
    uri = put_bytes(f"manifests/{name}.json", json.dumps(manifest).encode())
    run_id = glue_runner.start(
        "raw-to-curated", manifest=uri, result=f"s3://curation-out/{name}.json"
    )
    return glue_runner.ended("raw-to-curated", run_id)


def typed_table():
    added = {"Op": ["I", "I", "I"], "dms_timestamp": ["2026-11-23 10:15:00.000000"] * 3}
    columns = {name: pa.array([*values, None], raw) for name, _, raw, values, _ in TYPES}
    return pa.table({**added, **columns, "dms_change_seq": pa.nulls(3, pa.string())})


def months_table():
    start = datetime.datetime(2012, 12, 31, 23, 59, 59, tzinfo=UTC)
    moments = [start + datetime.timedelta(days=number) for number in range(100)]
    kinds = ["a/b=c", "50%", "é x"]
    return pa.table(
        {
            "at": pa.array([*moments, None], pa.timestamp("us", "UTC")),
            "kind": [kinds[n % 3] for n in range(101)],
        }
    )


@pytest.fixture(scope="module")
def result(buckets, jvm):
    """What one run made of: all types, odd names, partitions, several files of different schema,
    and no rows at all.
    """
    odd = pa.table({name: pa.array([index], pa.int32()) for index, name in enumerate(ODD_NAMES)})
    months = [
        {"name": "at_month", "column": "at", "transform": "month"},
        {"name": "kind_value", "column": "kind", "transform": "value"},
    ]
    days = [
        {"name": "at_year", "column": "at", "transform": "year"},
        {"name": "at_day", "column": "at", "transform": "day"},
    ]
    numbers = [
        put_raw(f"numbers/{n}.parquet", pa.table({"n": pa.array(range(n), kind)}))
        for n, kind in ((5, pa.int32()), (7, pa.int64()), (0, pa.int32()))
    ]
    at = put_raw("months/LOAD00000001.parquet", months_table())
    tables = [
        entry(
            "types",
            [put_raw("types/LOAD00000001.parquet", typed_table())],
            [(name, name, kind) for name, kind, _, _, _ in TYPES],
        ),
        entry(
            "odd",
            [put_raw("od{d} [x]*?/it's %41 LOAD1.parquet", odd)],
            [(name, f"c{index}", "int") for index, name in enumerate(ODD_NAMES)],
            location="s3://curation-out/od{d} [x]*? é%41/snapshot=1/",
        ),
        entry("months", [at], [("at", "at", "timestamp"), ("kind", "kind", "string")], months),
        entry("days", [at], [("at", "at", "timestamp")], days),
        entry("numbers", numbers, [("n", "n", "bigint")]),
        entry("empty", [], [("n", "n", "bigint")]),
    ]
    run = run_manifest("good", tables)
    assert run["JobRunState"] == "SUCCEEDED", run
    body = boto3.client("s3").get_object(Bucket="curation-out", Key="good.json")["Body"].read()
    return {**json.loads(body), "run": run}


def read(uri):
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    return pq.ParquetFile(
        io.BytesIO(boto3.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read())
    )


def rows_of(table):
    return pa.concat_tables(read(each["uri"]).read() for each in table["files"])


@pytest.mark.parametrize(
    ("name", "declared", "values", "kind"),
    [(name, declared, values, kind) for name, declared, _, values, kind in TYPES],
    ids=[each[0] for each in TYPES],
)
def test_every_type_keeps_its_values(result, name, declared, values, kind):
    column = rows_of(result["tables"]["types"]).column(name)
    expected = [
        each.replace(tzinfo=UTC) if isinstance(each, datetime.datetime) else each for each in values
    ]
    if name == "flag_text":
        expected = [True, False]
    assert column.type == kind, declared
    assert column.to_pylist() == [*expected, None]


def test_files_hold_the_declared_columns_in_their_order_and_timestamps_as_int64_micros(result):
    schema = read(result["tables"]["types"]["files"][0]["uri"]).schema
    assert schema.names == [each[0] for each in TYPES]
    moment = schema.column(schema.names.index("moment"))
    assert (moment.physical_type, moment.converted_type) == ("INT64", "TIMESTAMP_MICROS")


def test_files_are_compressed_as_the_manifest_says(result):
    metadata = read(result["tables"]["numbers"]["files"][0]["uri"]).metadata
    assert metadata.row_group(0).column(0).compression == "ZSTD"


def test_odd_names_of_columns_files_and_folders_are_taken_literally(result):
    assert rows_of(result["tables"]["odd"]).to_pylist() == [
        {f"c{index}": index for index in range(len(ODD_NAMES))}
    ]


def test_partitions_are_months_and_values_and_each_has_one_file(result):
    table, raw = result["tables"]["months"], months_table().to_pylist()
    expected = {
        (f"{row['at']:%Y-%m}" if row["at"] else "__HIVE_DEFAULT_PARTITION__", row["kind"])
        for row in raw
    }
    assert {tuple(each["values"]) for each in table["partitions"]} == expected
    assert len(table["files"]) == len(expected)
    for partition in table["partitions"]:
        files = [each for each in table["files"] if each["uri"].startswith(partition["location"])]
        found = [row for each in files for row in read(each["uri"]).read().to_pylist()]
        month, kind = partition["values"]
        assert found == [
            row
            for row in raw
            if row["kind"] == kind
            and (f"{row['at']:%Y-%m}" if row["at"] else "__HIVE_DEFAULT_PARTITION__") == month
        ]


def test_partitions_by_year_and_day_are_named_in_utc(result):
    locations = {each["location"] for each in result["tables"]["days"]["partitions"]}
    assert "s3://curation-out/days/snapshot=1/at_year=2012/at_day=2012-12-31/" in locations
    assert len(locations) == 101


def test_rows_and_bytes_are_those_of_the_objects(result):
    s3 = boto3.client("s3")
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket="curation-out")
    objects = {
        f"s3://curation-out/{each['Key']}": each["Size"]
        for page in pages
        for each in page["Contents"]
        if not each["Key"].endswith(".json") and not each["Key"].startswith("some_")
    }
    assert {
        each["uri"]: each["bytes"] for table in result["tables"].values() for each in table["files"]
    } == objects
    assert {name: table["rows"] for name, table in result["tables"].items()} == {
        "types": 3,
        "odd": 1,
        "months": 101,
        "days": 101,
        "numbers": 12,
        "empty": 0,
    }
    for table in result["tables"].values():
        assert sum(each["rows"] for each in table["files"]) == table["rows"]
        assert sum(each["bytes"] for each in table["files"]) == table["bytes"]


def test_a_table_without_files_writes_none(result):
    assert result["tables"]["empty"] | {"seconds": 0} == {
        "rows": 0,
        "bytes": 0,
        "files": [],
        "partitions": [],
        "seconds": 0,
    }
    assert result["snapshot"] == "s1"


def test_files_of_different_width_are_read_together(result):
    assert sorted(rows_of(result["tables"]["numbers"]).column("n").to_pylist()) == sorted(
        [*range(5), *range(7)]
    )


def test_a_line_for_each_table_is_printed(result):
    printed = glue_runner.log("output", result["run"]["Id"])
    assert sorted(line.split(" rows")[0] for line in printed) == [
        "days: 101",
        "empty: 0",
        "months: 101",
        "numbers: 12",
        "odd: 1",
        "types: 3",
    ]


def bad_tables():
    """Manifest entries that must fail, with what the one sentence has to say."""
    whole = pa.table({"n": pa.array(range(1000), pa.int64()), "flag": ["true"] * 999 + ["perhaps"]})
    good = put_raw("bad/good.parquet", whole)
    raw = (
        boto3.client("s3").get_object(Bucket="curation-raw", Key="bad/good.parquet")["Body"].read()
    )
    cut = put_bytes("bad/cut.parquet", raw[:-100])
    no_bytes = put_bytes("bad/nothing.parquet", b"")
    torn = put_bytes("bad/torn.parquet", raw[:4] + b"\xff" * 800 + raw[804:])
    nanos = put_raw("bad/nanos.parquet", pa.table({"n": pa.array([1], pa.timestamp("ns"))}))
    listed = put_raw("bad/listed.parquet", pa.table({"n": [[1]]}))
    cents = put_raw(
        "bad/cents.parquet", pa.table({"n": pa.array([Decimal("1.005")], pa.decimal128(10, 3))})
    )
    put_bytes("bad/used/x", b"x")
    n = [("n", "n", "bigint")]
    return {
        "cut": (entry("cut", [good, cut], n), ["bad/cut.parquet", "cut short"]),
        "no_bytes": (entry("no_bytes", [no_bytes], n), ["bad/nothing.parquet", "cut short"]),
        "gone": (
            entry("gone", ["s3://curation-raw/bad/gone.parquet"], n),
            ["bad/gone.parquet does not exist"],
        ),
        "torn": (entry("torn", [torn], n), ["torn was not converted", "bad/torn.parquet"]),
        "schema": (
            entry("schema", [good], [("n", "n", "double")]),
            ["bad/good.parquet", "'n' is bigint, but double was expected"],
        ),
        "text": (
            entry("text", [good], [("flag", "flag", "int")]),
            ["'flag' is string, but int was expected"],
        ),
        "missing": (
            entry("missing", [good], [("N", "n", "bigint")]),
            ["no column 'N'; it has n, flag"],
        ),
        "nanos": (
            entry("nanos", [nanos], [("n", "n", "timestamp")]),
            ["INT64 TIMESTAMP", "nanoseconds"],
        ),
        "listed": (entry("listed", [listed], n), ["no column 'n'; it has n.list.element"]),
        "rounded": (
            entry("rounded", [cents], [("n", "n", "decimal(10,2)")]),
            ["'n' is decimal(10,3), but decimal(10,2) was expected"],
        ),
        "flag": (
            entry("flag", [good], [("flag", "flag", "boolean")]),
            ["flag was not converted", "the column 'flag' holds perhaps, which is no boolean"],
        ),
        "overflow": (
            entry(
                "overflow",
                [put_raw("bad/big.parquet", pa.table({"n": [40_000]}))],
                [("n", "n", "smallint")],
            ),
            ["overflow was not converted", "the column 'n' holds 40000, which is no smallint"],
        ),
        "used": (
            entry("used", [good], n, location="s3://curation-raw/bad/used/"),
            ["s3://curation-raw/bad/used/ already holds objects"],
        ),
        "no_bucket": (
            entry("no_bucket", [good], n, location="s3://curation-none/x/"),
            ["curation-none does not exist"],
        ),
    }


TRIES_EACH = """
def tries_each():
    options = getResolvedOptions(sys.argv, ["JOB_NAME", "manifest", "result"])
    sentences = {}
    for table in json.loads(_object(options["manifest"]).get()["Body"].read()):
        one = options["manifest"] + "." + table["name"]
        _object(one).put(Body=json.dumps({"compression": "snappy", "tables": [table]}).encode())
        result = options["result"] + "." + table["name"]
        sys.argv[1:] = ["--JOB_NAME", "x", "--manifest", one, "--result", result]
        try:
            main()
        except Exception as error:
            sentences[table["name"]] = f"{type(error).__name__}: {error}"
    _object(options["result"]).put(Body=json.dumps(sentences).encode())

tries_each()
"""


@pytest.fixture(scope="module")
def refusals(buckets, jvm):
    """The sentence with which the job fails for each bad table, all within one Spark."""
    tables = bad_tables()
    glue_runner.job(
        "tries-each", SCRIPT.replace('\nif __name__ == "__main__":\n    main()\n', TRIES_EACH)
    )
    uri = put_bytes(
        "manifests/bad.json", json.dumps([table for table, _ in tables.values()]).encode()
    )
    run = glue_runner.ended(
        "tries-each",
        glue_runner.start("tries-each", manifest=uri, result="s3://curation-raw/bad.json"),
    )
    assert run["JobRunState"] == "SUCCEEDED", run
    sentences = json.loads(
        boto3.client("s3").get_object(Bucket="curation-raw", Key="bad.json")["Body"].read()
    )
    return {name: (sentences.get(name, ""), expected) for name, (_, expected) in tables.items()}


@pytest.mark.parametrize(
    "name",
    [
        "cut",
        "no_bytes",
        "gone",
        "torn",
        "schema",
        "text",
        "missing",
        "nanos",
        "listed",
        "rounded",
        "flag",
        "overflow",
        "used",
        "no_bucket",
    ],
)
def test_what_cannot_be_converted_fails_in_one_sentence(refusals, name):
    sentence, expected = refusals[name]
    assert sentence.startswith("ConversionError: ")
    assert "\n" not in sentence
    for part in expected:
        assert part in sentence


def test_a_failed_conversion_leaves_no_result_and_fails_the_run(buckets, jvm):
    good = put_raw("bad/one.parquet", pa.table({"n": [1]}))
    bad = put_bytes("bad/short.parquet", b"PAR1 and no more")
    run = run_manifest(
        "failing",
        [
            entry("one", [good], [("n", "n", "bigint")]),
            entry("short", [bad], [("n", "n", "bigint")]),
        ],
    )
    assert run["JobRunState"] == "FAILED"
    assert run["ErrorMessage"].startswith(
        "ConversionError: s3://curation-raw/bad/short.parquet (16 bytes) is cut short"
    )
    s3 = boto3.client("s3")
    assert "Contents" not in s3.list_objects_v2(Bucket="curation-out", Prefix="failing")
    assert "Contents" not in s3.list_objects_v2(Bucket="curation-out", Prefix="one/")


def test_where_the_manifest_says_so_a_table_that_fails_stops_no_other(buckets, jvm):
    good = put_raw("some/one.parquet", pa.table({"n": [1]}))
    short = put_bytes("some/short.parquet", b"PAR1 and no more")
    large = put_raw("some/large.parquet", pa.table({"n": [2**40]}))
    tables = [
        entry("some_short", [short], [("n", "n", "bigint")]),
        entry("some_good", [good], [("n", "n", "bigint")]),
        entry("some_large", [large], [("n", "n", "int")]),
    ]
    run = run_manifest("some", tables, on_failure="exclude")
    assert run["JobRunState"] == "SUCCEEDED"
    answer = boto3.client("s3").get_object(Bucket="curation-out", Key="some.json")
    found = json.loads(answer["Body"].read())["tables"]
    assert found["some_good"]["rows"] == 1
    assert "is cut short" in found["some_short"]["error"]
    assert "which is no int" in found["some_large"]["error"]
