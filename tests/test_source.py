import json
import random
import socket
import string

import pytest
from nasty_source import LOB_MAX_KILOBYTES, SCHEMAS, SECRET, admin, secrets, server, source, tables  # noqa: F401 - fixtures

from lakebook.errors import LakebookError
from lakebook.services.dms_table_mapping import table_mapping
from lakebook.source.engines import connect_source
from lakebook.source.model import ForeignKey
from lakebook.source.names import catalog_name, catalog_names
from lakebook.source.postgresql.delivered import delivered
from lakebook.source.postgresql.types import PostgreSQLType, type_of

# ruff: noqa: F811 - fixtures


def put_secret(secrets, **changed):
    content = json.loads(secrets.get_secret_value(SecretId=SECRET)["SecretString"]) | changed
    content = {key: value for key, value in content.items() if value is not None}
    name = "".join(random.choices(string.ascii_lowercase, k=12))
    secrets.create_secret(Name=name, SecretString=json.dumps(content))
    return name, content


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"username": None}, "needs username, password, host, port, engine"),
        ({"dbname": None}, "needs username, password, host, port, engine"),
        ({"port": "many"}, "needs username, password, host, port, engine"),
        (
            {"engine": "mysql"},
            "engine 'mysql', which .* does not know; set its engine to one of postgresql",
        ),
        ({"engine": None}, "needs username, password, host, port, engine"),
        ({"password": "wr0ng-pa%ss"}, "correct username and password"),
        ({"dbname": "nowhere"}, "correct dbname"),
        ({"port": 1}, "does not answer at 127.0.0.1 port 1"),
        ({"host": "no-such-host.invalid"}, "does not answer at no-such-host.invalid port"),
    ],
)
def test_a_wrong_secret_is_explained_in_one_sentence_without_the_password(
    secrets, changed, message
):
    name, content = put_secret(secrets, **changed)
    with pytest.raises(LakebookError, match=message) as caught:
        connect_source(name, connect_timeout_seconds=5)
    assert content["password"] not in repr(caught.value)
    assert caught.value.__cause__ is caught.value.__context__ is None
    assert str(caught.value).count(". ") == 0


def test_a_secret_that_is_not_there_is_named(secrets):
    with pytest.raises(LakebookError, match="There is no secret 'nothing'"):
        connect_source("nothing")


def test_a_server_that_accepts_but_never_speaks_does_not_hold_us_up(secrets):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        name, _ = put_secret(secrets, port=silent.getsockname()[1])
        with pytest.raises(LakebookError, match="does not answer"):
            connect_source(name, connect_timeout_seconds=1)


def test_the_connection_cannot_write_and_shows_no_password(source, server):
    with pytest.raises(Exception, match="read-only transaction"):
        source.query("create table nasty.forbidden (a int)")
    assert server.password("postgres") not in repr(source)


def test_the_session_gives_texts_the_form_that_the_type_table_prescribes(source):
    sql = (
        "select now()::text ~ '[+]00$', interval '1 day'::text, '\\x01'::bytea::text,"
        " 0.1::float8::text, current_setting('application_name')"
    )
    assert source.query(sql) == [[True, "1 day", "\\x01", "0.1", "lakebook"]]


def test_tables_are_listed_in_order_without_partitions_views_and_other_schemas(tables):
    assert [table.full_name for table in tables.values()] == [
        'Sché"ma.表',
        "nasty.Order items",
        "nasty.array_no_key",
        "nasty.empty_one",
        "nasty.everything",
        "nasty.no_key",
        "nasty.parts",
        "nasty.wide",
    ]
    assert {name: table.rows for name, table in tables.items()} == {
        "表": 0,
        "Order items": 2,
        "array_no_key": 2,
        "empty_one": 0,
        "everything": 7,
        "no_key": 12,
        "parts": 500,
        "wide": 50,
    }


def test_keys_comments_and_kinds_are_read_from_the_catalog(tables):
    assert tables["parts"].primary_key == ("id", "at")
    assert tables["parts"].partitioned
    assert tables["parts"].bytes > 0
    assert tables["no_key"].comment == "without a key"
    assert tables["wide"].columns[0].comment == "a Column\nof two lines"
    assert tables["Order items"].foreign_keys == (
        ForeignKey(('we"ird',), "nasty", "everything", ("id",)),
    )
    by_name = {column.name: column for column in tables["everything"].columns}
    assert type_of(by_name["dom"]) == PostgreSQLType("numeric", 12, 3)
    assert type_of(by_name["n_neg"]) == PostgreSQLType("numeric", 5, -2)
    assert type_of(by_name["tags"]) == type_of(by_name["ta"]) == PostgreSQLType("array")
    assert by_name["total"].generated
    assert not by_name["id"].nullable
    assert len(tables["wide"].columns) == 200


def test_an_analyzed_big_table_is_estimated_and_says_so(admin, source, monkeypatch):
    monkeypatch.setattr("lakebook.source.postgresql.catalog.COUNTED_BYTES", 0)
    admin.execute("analyze nasty.parts")
    parts = {table.name: table for table in source.tables(["nasty"])}["parts"]
    assert (parts.rows, parts.rows_estimated) == (500, True)


def test_excluded_tables_are_left_out_by_either_name(source):
    found = source.tables(["nasty"], ["wide", "nasty.parts"])
    assert not {"wide", "parts"} & {table.name for table in found}


@pytest.mark.parametrize(
    ("schemas", "excluded", "message"),
    [
        (["nasty"], ["gone"], "The excluded tables gone do not exist"),
        (["nasty", "gone"], [], "The schemas gone do not exist"),
        (["hollow"], [], "The schemas hollow hold no tables"),
        (['Sché"ma'], ["表"], 'The excluded tables leave nothing of the schemas Sché"ma; exclude'),
        (
            ["nasty"],
            ["everything", "Order items", "empty_one", "no_key", "parts", "wide"],
            r"none of the tables: nasty\.array_no_key, as it has an array and no primary key",
        ),
        ([], [], "none named"),
    ],
)
def test_a_wrong_schema_or_excluded_table_is_named(source, schemas, excluded, message):
    with pytest.raises(LakebookError, match=message):
        source.tables(schemas, excluded)


def test_a_role_without_rights_is_told_the_grant_that_mends_it(secrets, server, admin):
    password = server.password("reader")
    admin.execute(
        f"create role reader login password '{password}'; grant select on nasty.no_key to reader"
    )
    connection = connect_source(put_secret(secrets, username="reader", password=password)[0])
    try:
        with pytest.raises(LakebookError, match=r"may not read nasty\.Order items") as caught:
            connection.tables(["nasty"])
        grants = str(caught.value).partition("let the owner run: ")[2]
        assert '"nasty"."wide"' in grants
        admin.execute(grants.encode())
        assert len(connection.tables(["nasty"])) == 7
    finally:
        connection.close()
        admin.execute("drop owned by reader; drop role reader")


def test_prerequisites_tell_full_load_from_cdc(source, tables):
    found = source.prerequisites(list(tables.values())).set_index("setting")
    assert found[found["for"] == "full load"]["ok"].all()
    assert found.loc["wal_level", "found"] == "logical"
    assert found.loc["tables without primary key", "found"] == "nasty.array_no_key, nasty.no_key"
    assert not found.loc["tables without primary key", "ok"]


def test_losses_are_counted_in_the_source(source, tables):
    found = source.losses(list(tables.values()), LOB_MAX_KILOBYTES)
    affected = {
        (row.table, row.column): row.rows_affected
        for row in found.itertuples()
        if row.rows_affected
    }
    assert affected == {
        ("nasty.array_no_key", ""): 2,
        # rounded twice, NaN, infinity, 10^22, and what rounds to it
        ("nasty.everything", "n_free"): 6,
        ("nasty.everything", "n_fix"): 1,
        ("nasty.everything", "cash"): 6,
        ("nasty.everything", "c5"): 3,
        ("nasty.everything", "v_long"): 2,
        ("nasty.everything", "t"): 1,
        ("nasty.everything", "b"): 1,
        ("nasty.everything", "d"): 3,
        ("nasty.everything", "ts"): 1,
        ("nasty.everything", "tstz"): 2,
        ("nasty.everything", "iv"): 6,
        ("nasty.everything", "code"): 1,
        ("nasty.everything", "total"): 1,
    }
    assert {"nasty.a_view", "nasty.a_mat"} <= set(found["table"])


def test_the_zone_of_a_timestamptz_is_named_but_affects_no_row(source, tables):
    found = source.losses([tables["everything"]], LOB_MAX_KILOBYTES)
    zone = (found["column"] == "nasty.everything.tstz") & (found["rows_affected"] == 0)
    assert zone.sum() == 1


DELIVERED = {  # of the row with this id; docs/types.md
    ("n_free", 1): "123.456790",
    ("n_free", 2): None,
    ("n_free", 3): None,
    ("n_free", 4): None,
    ("n_free", 5): None,
    ("n_free", 6): "-0.000001",
    ("n_fix", 2): None,
    ("n_wide", 2): "NaN",
    ("cash", 1): "1234.5000",
    ("c5", 3): "  ab",
    ("v20", 3): "  trailing  ",
    ("v_long", 1): "é" * 16384,
    ("v_long", 3): "x" * 32767,
    ("t", 3): "x" * 32766,
    ("d", 2): "9999-12-31",
    ("d", 3): "4713-01-01 BC",
    ("d", 4): "9999-12-31",
    ("tm", 2): "24:00:00",
    ("tmz", 1): "23:59:59.25+05:30",
    ("ts", 2): "9999-12-31 23:59:59",
    ("ts", 4): "9999-12-31 23:59:59.9996",
    ("tstz", 1): "2024-02-29 10:34:56.7895",
    ("tstz", 2): "4713-01-01 00:00:00 BC",
    ("tstz", 3): "9999-12-31 23:59:59",
    ("iv", 1): "10 MONTHS, 3 DAYS, 28 HOURS, 5 MINUTES, 6.5 SECONDS",
    ("iv", 2): None,
    ("iv", 4): "0 SECONDS",
    ("iv", 5): "-0.5 SECONDS",
    ("iv", 6): "1 DAY, -1 HOUR, -1 SECOND",
    ("ip", 1): "10.0.0.1",
    ("ta", 2): "[2:3][1:1]={{a},{b}}",
    ("pr", 2): "(,)",
    ("hs", 2): "",
    ("ch", 1): "z",
    ("j", 1): '{"a": 1.10, "a":2}',
    ("o", 1): "4294967295",
    ("r", 2): "empty",
    ("dom", 1): "12.346",
}


@pytest.mark.parametrize(("name", "row"), DELIVERED)
def test_a_value_is_delivered_as_the_type_table_says(source, tables, name, row):
    column = next(column for column in tables["everything"].columns if column.name == name)
    sql = (
        f"select ({delivered(column, LOB_MAX_KILOBYTES)})::text from nasty.everything"
        f" where id = {row}"
    )
    assert source.query(sql)[0][0] == DELIVERED[name, row]


@pytest.mark.parametrize("column", ["t", "pr", "ip", "pg"])
def test_null_stays_null_as_text(source, tables, column):
    found = next(each for each in tables["everything"].columns if each.name == column)
    sql = (
        f"select ({delivered(found, LOB_MAX_KILOBYTES)}) is null from nasty.everything where id = 0"
    )
    assert source.query(sql) == [[True]]


@pytest.mark.parametrize(
    "change",
    [
        "insert into nasty.no_key values (9, 'new')",
        "update nasty.no_key set b = b where ctid = (select min(ctid) from nasty.no_key)",
        "delete from nasty.no_key where ctid = (select min(ctid) from nasty.no_key)",
        "update nasty.parts set k = 'moved' where id = 400",
        "alter table nasty.no_key add column later int",
        "truncate nasty.array_no_key",
    ],
)
def test_the_fingerprint_changes_with_any_change_and_with_nothing_else(
    source, server, tables, change
):
    some = [tables[name] for name in ("no_key", "parts", "array_no_key")]
    before = source.fingerprint(some)
    assert source.fingerprint(some) == before
    with server.connect("nasty") as other:
        other.autocommit = False
        other.execute("create table nasty.unrelated as select 1 as a")
        other.execute("select * from nasty.no_key for update")
        assert source.fingerprint(some) == before
        other.execute("savepoint s; " + change)
        if not change.startswith(("truncate", "alter")):  # these would lock us out until they end
            assert source.fingerprint(some) == before
        other.rollback()
        assert source.fingerprint(some) == before
    with server.connect("nasty") as other:
        other.execute("begin")
        other.execute(change)
        other.execute("commit")
    assert source.fingerprint(some) != before
    assert set(json.loads(before)) == {"tables", "rows", "sha256", "definitions"}


def test_catalog_names_are_safe_unique_and_stable():
    assert catalog_name("Größe (cm)") == "grosse__cm_"
    assert catalog_name("1st") == "c_1st"
    assert catalog_name("") == "c_"
    assert catalog_names(["a", "A", "a_2", "ä"]) == ["a", "a_2", "a_2_2", "a_3"]
    long = catalog_names(["x" * 200, "x" * 199])
    assert [len(name) for name in long] == [127, 127]
    assert long[1].endswith("_2")


def test_no_source_column_takes_the_name_of_one_that_dms_adds(tables):
    assert {column.name: column.catalog_name for column in tables["everything"].columns}[
        "op"
    ] == "op_2"


def test_the_table_mapping_names_exactly_the_tables_and_sends_times_as_text(tables):
    rules = table_mapping(tables.values())["rules"]
    selections = [rule["object-locator"] for rule in rules if rule["rule-type"] == "selection"]
    assert {"schema-name": "nasty", "table-name": "array[_]no[_]key"} in selections
    assert len(selections) == len(tables)
    assert [
        rule["object-locator"]["column-name"]
        for rule in rules
        if rule["rule-action"] == "change-data-type"
    ] == ["tm", "tmz"]
    (added,) = [rule for rule in rules if rule["rule-action"] == "add-column"]
    assert (added["value"], added["expression"]) == ("dms_change_seq", "$AR_H_CHANGE_SEQ")
    assert len({rule["rule-id"] for rule in rules}) == len(rules)
