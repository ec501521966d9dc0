import dataclasses
import json
import re

import boto3
import duckdb
import pandas as pd
import pytest
import sqlglot
from nasty_source import LOB_MAX_KILOBYTES, SECRET, admin, secrets, server, source, tables  # noqa: F401 - fixtures
from sqlglot import exp
from sqlglot.optimizer.annotate_types import annotate_types
from sqlglot.optimizer.qualify import qualify

from lakebook import evidence
from lakebook.errors import CheckError
from lakebook.reconcile import measure as reconcile
from lakebook.reconcile import relations
from lakebook.reconcile.canonical_sql import ATHENA, REDSHIFT, row_text
from lakebook.reconcile.differing_keys import Keys, differing_keys
from lakebook.reconcile.measure import Measure, Result
from lakebook.source.postgresql.connection import SETTINGS
from lakebook.source.postgresql.delivered import delivered
from lakebook.source.postgresql.dialect import POSTGRESQL, quote
from lakebook.source.relation import Relation
from lakebook.source.types import glue_type

# ruff: noqa: F811 - fixtures

# Glue's names that DuckDB does not know
DUCKDB = {"string": "varchar", "binary": "blob", "float": "real"}
SPARE = {  # functions that Athena and Redshift have and DuckDB lacks
    "from_base(digits, base)": "('0x' || digits)::bigint",
    "blob_part(value, first, size)": "value[first:first + size - 1]",
    "to_milliseconds(value)": (
        "epoch_ms(cast(floor((epoch_us(value::timestamp)::decimal(38, 3) + 500) / 1000) as bigint))"
    ),
}
NO_LOSSES = pd.DataFrame(columns=["table", "column", "loses", "rows_affected"])
NAMES = ["表", "Order items", "array_no_key", "empty_one", "everything", "no_key", "parts", "wide"]


class Lake:
    """What DMS should deliver, typed as the lake types it, in DuckDB; answers the SQL meant for
    Athena or Redshift.
    """

    def __init__(self, server, tables):
        self.duckdb = duckdb.connect()
        self.statements = []
        self.translated = {}
        for head, body in SPARE.items():
            self.duckdb.execute(f"create macro {head} as {body}")
        for table in tables.values():
            self.fill(server, table)

    def fill(self, server, table):
        """Copy through COPY … TO STDOUT as csv, which every type survives; binary as hexadecimal
        digits.
        """
        types = [
            DUCKDB.get(glue_type(column.type), glue_type(column.type)) for column in table.columns
        ]
        columns = ", ".join(
            f"{quote(column.catalog_name)} {kind}"
            for column, kind in zip(table.columns, types, strict=True)
        )
        name = quote(table.catalog_name)
        self.duckdb.execute(f"create or replace table {name} ({columns})")
        values = [delivered(column, LOB_MAX_KILOBYTES) for column in table.columns]
        texts = [
            f"encode({value}, 'hex')" if kind == "blob" else f"({value})::text"
            for value, kind in zip(values, types, strict=True)
        ]
        parsed = [
            f"unhex(c{n})" if kind == "blob" else f"c{n}::{kind}" for n, kind in enumerate(types)
        ]
        with server.connect("nasty") as connection:
            for setting, value in SETTINGS.items():
                connection.execute(f"set {setting} = '{value}'")
            rows = connection.execute(
                f"select {', '.join(texts)} from {quote(table.schema)}.{quote(table.name)}"
            ).fetchall()
        texts = pd.DataFrame(
            [list(map(self.plain, row)) for row in rows],
            columns=[f"c{n}" for n in range(len(types))],
            dtype="string",
        )
        self.duckdb.execute(f"insert into {name} select {', '.join(parsed)} from texts")

    @staticmethod
    def plain(text):
        """DuckDB writes BC after the date, PostgreSQL at the end."""
        return (
            re.sub(r"^([0-9]{4}-[0-9]{2}-[0-9]{2})(.*) BC$", r"\1 (BC)\2", text) if text else text
        )

    def relation(self, dialect, table, name=None):
        names = tuple(quote(column.catalog_name) for column in table.columns)
        return Relation(
            dialect, quote(name or table.catalog_name), names, lambda sql: self.ask(dialect, sql)
        )

    def ask(self, dialect, sql):
        self.statements.append(sql)
        if (dialect.name, sql) not in self.translated:
            self.translated[dialect.name, sql] = self.translate(dialect, sql)
        rows = self.duckdb.execute(self.translated[dialect.name, sql]).fetchall()
        assert all(value is None or isinstance(value, str) for row in rows for value in row), (
            "figures are asked for as text"
        )
        return [list(row) for row in rows]

    def translate(self, dialect, sql):
        schema = {}
        for table, column, kind in self.duckdb.execute(
            "select table_name, column_name, data_type from information_schema.columns"
        ).fetchall():
            if quote(table) in sql:
                schema.setdefault(table, {})[quote(column)] = kind
        tree = qualify(
            sqlglot.parse_one(sql, read=dialect.name.lower()), schema=schema, dialect="duckdb"
        )
        return (
            annotate_types(tree, schema=schema, dialect="duckdb")
            .transform(as_aws_does)
            .sql(dialect="duckdb")
        )


def as_aws_does(node):
    """DuckDB's substring and length take no BLOB, and its timestamp(3) rounds half away from zero
    instead of up.
    """
    if isinstance(node, exp.Cast) and node.to.expressions and node.to.is_type("timestamp"):
        return exp.func("to_milliseconds", node.this)
    binary = (
        isinstance(node, exp.Substring | exp.Length)
        and node.this.type
        and node.this.type.this in exp.DataType.Type
        and (node.this.type.is_type("varbinary", "blob", "binary"))
    )
    if binary and isinstance(node, exp.Substring):
        return exp.func("blob_part", node.this, node.args["start"], node.args["length"])
    return exp.func("octet_length", node.this) if binary else node


@pytest.fixture(scope="module")
def lake(server, tables):
    return Lake(server, tables)


@pytest.fixture
def everything(tables):
    return tables["everything"]


def measured(relation, table):
    return reconcile.measure(relation, table, LOB_MAX_KILOBYTES)


def measured_source(source, table):
    return measured(source.relation(table, LOB_MAX_KILOBYTES), table)


@pytest.mark.parametrize("dialect", [ATHENA, REDSHIFT], ids=lambda dialect: dialect.name)
@pytest.mark.parametrize("name", NAMES)
def test_each_engine_measures_what_the_source_should_deliver(lake, source, tables, name, dialect):
    table = tables[name]
    expected = measured_source(source, table)
    assert reconcile.compare(expected, measured(lake.relation(dialect, table), table)) == []


@pytest.mark.parametrize("dialect", [ATHENA, REDSHIFT], ids=lambda dialect: dialect.name)
def test_every_value_has_the_same_canonical_text_in_each_engine(lake, source, everything, dialect):
    ours, theirs = (
        [
            each.select(
                [
                    row_text(each.dialect, [column], [name], LOB_MAX_KILOBYTES)
                    for column, name in zip(everything.columns, each.names, strict=True)
                ],
                each.names,
                "order by c0",
            )
        ]
        for each in (
            source.relation(everything, LOB_MAX_KILOBYTES),
            lake.relation(dialect, everything),
        )
    )
    for column, left, right in zip(
        everything.columns, zip(*ours[0], strict=True), zip(*theirs[0], strict=True), strict=True
    ):
        assert (column.name, left) == (column.name, right)


DECIMALS = {  # precision and scale as the source declares them, and values of that kind
    "38,38": "0.5, -0.00000000000000000000000000000000000001, 0, -0.99999999999999999999",
    "37,37": "0.5, -0.0000000000000000000000000000000000001, 0",
    "38,37": "0.5, -9.5, 0",
    "38,0": "99999999999999999999999999999999999999, -1, 0",
    "1,1": "0.5, -0.5, 0",
    "1,0": "5, -5, 0",
    "3,-2": "12300, -100, 0",
    "2,5": "0.00012, -0.00001, 0",
    "39,38": "0.5, -9.1, 0",
    "60,1": "1e58, -0.5, 0",
}


@pytest.mark.parametrize("dialect", [ATHENA, REDSHIFT], ids=lambda dialect: dialect.name)
def test_decimals_of_every_precision_and_scale_measure_alike(server, source, admin, dialect):
    columns = ", ".join(f'"n{kind}" numeric({kind})' for kind in DECIMALS)
    values = ", ".join(f"unnest(array[{each}, null])" for each in DECIMALS.values())
    try:
        admin.execute(
            f"create schema decimals; create table decimals.t (id serial primary key, {columns})"
        )
        names = ", ".join(f'"n{kind}"' for kind in DECIMALS)
        admin.execute(f"insert into decimals.t ({names}) select {values}")
        [table] = source.tables(["decimals"])
        lake = Lake(server, {"t": table})
        expected = measured_source(source, table)
        assert expected.rows > 3
        assert reconcile.compare(expected, measured(lake.relation(dialect, table), table)) == []
    finally:
        admin.execute("drop schema decimals cascade")


def test_statements_fit_the_limits_of_each_engine(lake, tables):
    for dialect in (ATHENA, REDSHIFT):
        lake.statements.clear()
        measured(lake.relation(dialect, tables["wide"]), tables["wide"])
        assert len(lake.statements) == 3
        assert max(len(sql.encode()) for sql in lake.statements) < 80_000


def test_a_table_with_too_many_columns_for_one_statement_is_refused(lake, tables):
    wide = tables["wide"]
    many = dataclasses.replace(wide, columns=wide.columns * 8)
    with pytest.raises(Exception, match="too many columns for one statement of Redshift"):
        measured(lake.relation(REDSHIFT, many), many)


CHANGES = {  # one value of nasty.everything, row 1 or 2
    "i2": "-32767",
    "i8": "9223372036854775806",
    "n_free": "123.456791",
    "n_fix": "12.31",
    "n_wide": "'1.51'",
    "n_frac": "0.1235",
    "f4": "1.50001",
    "f8": "1e-20",
    "cash": "1234.5001",
    "yes": "false",
    "c5": "'ab '",
    "v20": "''",
    "v_long": "left(v_long, 16383)",
    "t": "t || ' '",
    "b": "unhex(hex(b) || '00')",
    "jb": "null",
    "d": "'2024-03-01'",
    "tm": "'23:59:59.50'",
    "ts": "'2024-02-29 12:34:56.788'",
    "tstz": "tstz + interval 1 second",
    "iv": "''",
    "u": "upper(u)",
    "order": "null",
    "a": "2",
    "op_2": "'x'",
    "pg": "pg || ''''",
}


@pytest.mark.parametrize("dialect", [ATHENA, REDSHIFT], ids=lambda dialect: dialect.name)
@pytest.mark.parametrize("name", CHANGES)
def test_changing_any_single_value_changes_the_measure_and_names_the_key(
    lake, source, everything, name, dialect
):
    lake.duckdb.execute("create or replace table changed as from nasty_everything")
    lake.duckdb.execute(f'update changed set "{name}" = {CHANGES[name]} where id = 1')
    relation = lake.relation(dialect, everything, "changed")
    expected = measured_source(source, everything)
    assert reconcile.compare(expected, measured(relation, everything))
    assert measured(relation, everything).row_hash != expected.row_hash
    keys = differing_keys(
        source.relation(everything, LOB_MAX_KILOBYTES), relation, everything, LOB_MAX_KILOBYTES
    )
    assert keys == Keys([], [], ["1"])


@pytest.mark.parametrize(
    ("change", "keys"),
    [
        ("delete from changed where id = 77", (["77, 2020-08-17"], [], [])),
        ("insert into changed from nasty_parts where id = 77", ([], ["77, 2020-08-17"], [])),
        ("insert into changed values (1000, 'k', '2021-01-01')", ([], ["1000, 2021-01-01"], [])),
        (
            "update changed set k = 'other' where id in (5, 6)",
            ([], [], ["5, 2020-06-06", "6, 2020-06-07"]),
        ),
        (
            "update changed set id = 1001 where id = 5",
            (["5, 2020-06-06"], ["1001, 2020-06-06"], []),
        ),
    ],
)
def test_missing_extra_and_changed_rows_are_told_apart_by_key(lake, source, tables, change, keys):
    table = tables["parts"]
    lake.duckdb.execute("create or replace table changed as from nasty_parts")
    lake.duckdb.execute(change)
    ours = source.relation(table, LOB_MAX_KILOBYTES)
    found = differing_keys(ours, lake.relation(ATHENA, table, "changed"), table, LOB_MAX_KILOBYTES)
    assert [sorted(kind) for kind in (found.missing, found.extra, found.changed)] == list(keys)


def test_no_more_than_a_few_buckets_of_rows_are_fetched(lake, source, tables, monkeypatch):
    monkeypatch.setattr("lakebook.reconcile.differing_keys.FETCHED_ROWS", 10)
    table = tables["parts"]
    lake.duckdb.execute(
        """create or replace table changed as select id, k || '!' as k, "at" from nasty_parts"""
    )
    found = differing_keys(
        source.relation(table, LOB_MAX_KILOBYTES),
        lake.relation(REDSHIFT, table, "changed"),
        table,
        LOB_MAX_KILOBYTES,
    )
    assert 1 <= len(found.changed) <= 20
    assert not found.missing
    assert not found.extra


def test_rows_of_a_table_without_a_key_are_told_by_their_hash_and_number(lake, source, tables):
    table = tables["no_key"]
    lake.duckdb.execute("create or replace table changed as from nasty_no_key")
    lake.duckdb.execute("delete from changed where a = 1; insert into changed values (9, 'new')")
    ours = source.relation(table, LOB_MAX_KILOBYTES)
    found = differing_keys(ours, lake.relation(ATHENA, table, "changed"), table, LOB_MAX_KILOBYTES)
    assert [line.partition(" ")[2] for line in found.missing] == ["(2 times)", "(2 times)"]
    assert [line.partition(" ")[2] for line in found.extra] == ["(1 times)"]


def test_a_duplicated_row_that_makes_up_for_a_lost_one_is_noticed(lake, source, tables):
    table = tables["no_key"]
    lake.duckdb.execute("create or replace table changed as from nasty_no_key")
    lake.duckdb.execute("update changed set b = 'r0' where a = 1 and b = 'r1'")
    expected = measured_source(source, table)
    found = measured(lake.relation(ATHENA, table, "changed"), table)
    assert found.rows == expected.rows
    assert found.row_hash != expected.row_hash


def test_values_swapped_between_rows_are_noticed_by_the_hash_alone(lake, source, tables):
    table = tables["parts"]
    lake.duckdb.execute(
        "create or replace table changed as select id, case id when 1 then 'k2' when 2 then 'k1'"
        ' else k end as k, "at" from nasty_parts'
    )
    expected = measured_source(source, table)
    assert reconcile.compare(
        expected, measured(lake.relation(REDSHIFT, table, "changed"), table)
    ) == ["counts, sums, minima and maxima agree, but the rows' hashes do not"]


def test_the_order_of_rows_does_not_matter(lake, tables):
    table = tables["parts"]
    lake.duckdb.execute("create or replace table changed as from nasty_parts order by id desc")
    assert measured(lake.relation(ATHENA, table, "changed"), table) == measured(
        lake.relation(ATHENA, table), table
    )


def test_milliseconds_are_exact_for_every_timestamp_postgresql_knows(source):
    days = "(c::date - date '1970-01-01')::numeric * 86400000000"
    exact = f"floor(({days} + extract(epoch from c::time) * 1000000 + 500) / 1000)"
    timestamps = (
        "select timestamp '4713-01-02 BC' + g * interval '1234567 hours 12 minutes 7.0005 seconds'"
        " as c from generate_series(0, 100) g union all select timestamp '1969-12-31 23:59:59.9' +"
        " g * interval '0.0001 seconds' from generate_series(0, 2000) g"
    )
    fast = POSTGRESQL.milliseconds.format(c="c")
    assert source.query(f"select count(*) from ({timestamps}) t where {fast} <> {exact}") == [[0]]


def test_a_measure_survives_json(source, tables):
    for name in NAMES:
        found = measured_source(source, tables[name])
        assert Measure.from_json(found.to_json()) == found
        assert len(found.to_json().encode()) < 512_000


def test_the_source_is_measured_by_parallel_workers(source, admin):
    admin.execute(
        "create table nasty.many (id int primary key, t text, n numeric(10,2), at timestamptz, f"
        " float8)"
    )
    try:
        admin.execute(
            "insert into nasty.many select g, 'row ' || g, g / 7.0, timestamptz '2020-01-01' + g *"
            " interval '1 s', g / 3.0 from generate_series(1, 200000) g"
        )
        admin.execute("analyze nasty.many")
        table = {each.name: each for each in source.tables(["nasty"])}["many"]
        relation = source.relation(table, LOB_MAX_KILOBYTES)
        plans = []
        recording = dataclasses.replace(
            relation,
            run=lambda sql: plans.append(source.query("explain " + sql)) or relation.run(sql),
        )
        reconcile.measure(recording, table, LOB_MAX_KILOBYTES)
        assert "Gather" in str(plans[0])
        assert "Workers Planned" in str(plans[0])
    finally:
        admin.execute("drop table nasty.many")


def test_many_tables_are_measured_at_once_over_one_source_connection(source, tables, capsys):
    found = reconcile.measure_all(
        list(tables.values()),
        lambda table: source.relation(table, LOB_MAX_KILOBYTES),
        LOB_MAX_KILOBYTES,
        4,
    )
    assert list(found) == [table.catalog_name for table in tables.values()]
    assert found["nasty_parts"].rows == 500
    assert "nasty.parts" in capsys.readouterr().out


def test_an_answer_of_athena_keeps_empty_texts_and_nulls_apart(secrets, tables):
    place = {"LocationConstraint": "eu-west-1"}
    boto3.client("s3").create_bucket(Bucket="reconcile-answers", CreateBucketConfiguration=place)
    relation = relations.athena(
        "default", "t", tables["no_key"], "primary", "s3://reconcile-answers/"
    )
    assert relation.run("select '' as a, cast(null as varchar) as b") == [["", None]]


@pytest.mark.parametrize("text", ["o'clock", "back\\slash \\' and '", 'quo"te', ""])
def test_any_text_is_itself_in_the_sql_of_every_dialect(source, text):
    assert source.query(f"select {source.dialect.literal(text)}") == [[text]]
    for dialect in (ATHENA, REDSHIFT):
        tree = sqlglot.parse_one(f"select {dialect.literal(text)}", read=dialect.name.lower())
        assert tree.selects[0].this == text


def test_athena_is_asked_for_the_catalogs_names_in_every_layer(tables):
    relation = relations.athena("d", "t", tables["Order items"], "primary")
    assert relation.expressions == ('"select"', '"unicode__"', '"we_ird"')


def test_no_text_of_the_source_is_kept_in_a_measure(source, tables):
    found = measured_source(source, tables["Order items"])
    strings = [each for each in found.columns.values() if each.type == "string" and each.min]
    assert all(len(each.min) == 12 and set(each.min) <= set("0123456789abcdef") for each in strings)


@pytest.fixture
def records(monkeypatch):
    kept = []
    monkeypatch.setattr(
        evidence, "record", lambda kind, **content: kept.append({"kind": kind, **content})
    )
    return kept


def test_the_gate_tells_match_known_loss_and_what_is_not_replicated(source, tables, records):
    losses = source.losses(list(tables.values()), LOB_MAX_KILOBYTES)
    results = []
    for table in tables.values():
        found = measured_source(source, table)
        results.append(Result(table, found, found if found.rows and table.replicated else None))
    verdict = reconcile.gate("raw = source", results, losses).set_index("table")
    assert verdict["status"].to_dict() == {
        'Sché"ma.表': "match",
        "nasty.Order items": "match",
        "nasty.array_no_key": "known loss",
        "nasty.empty_one": "match",
        "nasty.everything": "known loss",
        "nasty.no_key": "match",
        "nasty.parts": "match",
        "nasty.wide": "match",
    }
    assert "n_free" in verdict.loc["nasty.everything", "detail"]
    assert records[-1]["kind"] == "reconciliation"
    assert records[-1]["ok"] is True
    assert records[-1]["losses"] == (losses["rows_affected"] > 0).sum() == 14
    json.dumps(records)


def test_the_gate_names_tables_and_keys_on_a_mismatch_even_where_losses_are_known(
    source, tables, lake, records
):
    everything = tables["everything"]
    lake.duckdb.execute("create or replace table changed as from nasty_everything")
    lake.duckdb.execute("delete from changed where id = 4")
    ours, theirs = (
        source.relation(everything, LOB_MAX_KILOBYTES),
        lake.relation(ATHENA, everything, "changed"),
    )
    result = Result(
        everything,
        measured(ours, everything),
        measured(theirs, everything),
        lambda: differing_keys(ours, theirs, everything, LOB_MAX_KILOBYTES),
    )
    losses = source.losses([everything], LOB_MAX_KILOBYTES)
    with pytest.raises(CheckError, match=r"nasty.everything: 7 rows expected, 6 found.*missing: 4"):
        reconcile.gate("raw = source", [result], losses)
    assert records[-1]["ok"] is False


def test_rows_that_never_arrived_and_rows_that_should_not_have_are_mismatches(
    source, tables, records
):
    for name, arrived in (
        ("parts", None),
        ("array_no_key", measured_source(source, tables["array_no_key"])),
    ):
        expected = measured_source(source, tables[name])
        with pytest.raises(CheckError, match=f"nasty.{name}"):
            reconcile.gate("raw = source", [Result(tables[name], expected, arrived)], NO_LOSSES)
