"""From curated to the warehouse: what it is told of, what it does not take, and what somebody
changed in it by hand.
"""

from dataclasses import replace

import boto3
import pytest
import service_roles
import test_curation
from test_curation import COLUMNS, NAMES, SALES, buckets, curated, delivered  # noqa: F401

from lakebook import CheckError, LakebookError, LeftOut, calls, ensure, gates
from lakebook.layers import warehouse
from lakebook.services import redshift
from lakebook.services.redshift import Warehouse
from lakebook.source.model import Column, LakeType, Table


# ruff: noqa: F811 - fixtures
@pytest.fixture(scope="module")
def store(buckets):
    """A warehouse with the table `s.sales`, loaded and compared."""
    may = ("s3:GetObject", "s3:ListBucket")
    role = service_roles.role(NAMES.resource("redshift"), "redshift.amazonaws.com", may)
    serverless, where = boto3.client("redshift-serverless"), NAMES.resource("warehouse")
    serverless.create_namespace(namespaceName=where, dbName="lake", iamRoles=[role])
    serverless.create_workgroup(workgroupName=where, namespaceName=where)
    delivered(SALES, test_curation.ROWS)
    curated({})
    return Warehouse(where, "lake")


def run(store, *statements):
    store.transaction(list(statements)).run()


def loads(store):
    """The cells of 06 that load."""
    tables = warehouse.tables(NAMES, {}, 63)
    ensure([warehouse.schemas("of the source", store, ["s"])], apply=True)
    made = ensure(warehouse.loads(NAMES, store, tables), apply=True)
    new = gates.warehouse_equals_curated(NAMES, store, tables, 63, apply=True)
    ensure([warehouse.verified("compared", store, new)], apply=True)
    assert calls(warehouse.loads(NAMES, store, tables)) == []
    return list(made["resource"])


def rows(store):
    return store.ask("SELECT id, kind, price FROM s.sales ORDER BY 1")


def test_what_is_loaded_and_compared_is_not_loaded_again(store):
    loads(store)
    assert loads(store) == []


@pytest.mark.parametrize(
    "changes",
    [
        ["DELETE FROM s.sales WHERE id = 2"],
        ["INSERT INTO s.sales SELECT * FROM s.sales"],
        ["ALTER TABLE s.sales DROP COLUMN kind"],
        ["ALTER TABLE s.sales ADD COLUMN more int"],
        ["DROP TABLE s.sales"],
        ["DROP TABLE lakebook.loads"],
        ["DELETE FROM lakebook.loads"],
        ["DROP TABLE s.sales", "CREATE TABLE s.sales (x int)"],
    ],
    ids=lambda each: each[-1],
)
def test_a_table_that_somebody_changed_by_hand_is_loaded_anew(store, changes):
    loads(store)
    run(store, *changes)
    assert "loaded s.sales" in loads(store)
    assert rows(store) == [["1", "a", "10"], ["2", "b", "20"], ["3", "c c", "30"]]


def place(*columns, **told):
    table = Table("s", "t", "s_t", 0, False, 0, columns, ("id",), **told)
    return warehouse.WarehouseTable(table, "", {}, "", "", 63)


def test_a_key_that_repeats_is_not_declared_and_what_may_arrive_null_is_nullable():
    key = Column("id", "id", "integer", LakeType("int32"), nullable=False)
    number = LakeType("decimal", precision=38, scale=10)
    value = Column("v", "v", "numeric", number, nullable=False, may_arrive_null=True)
    assert 'PRIMARY KEY ("id")' in place(key, value).ddl
    assert "PRIMARY KEY" not in place(key, value, key_repeats=True).ddl
    assert '"id" integer NOT NULL' in place(key, value).ddl
    assert '"v" decimal(38,10)\n' in place(key, value, key_repeats=True).ddl
    document = Column("d", "d", "jsonb", LakeType("document"), nullable=False)
    assert "NOT NULL" not in str(place(replace(key, nullable=True), document).copy("")[:1])


def test_a_table_that_an_earlier_version_made_stricter_is_not_loaded_again(store):
    loads(store)
    [table] = warehouse.tables(NAMES, {}, 63)
    number = replace(COLUMNS[2], nullable=False, may_arrive_null=True)
    strict = replace(table, table=replace(table.table, columns=(*COLUMNS[:2], number)))
    assert strict.stricter != strict.definition
    noted = {**warehouse.contents(store)["s.sales"], "definition": strict.stricter}
    assert list(warehouse.loaded("s.sales", store, strict, NAMES, noted)) == []
    repeating = replace(strict, table=replace(strict.table, key_repeats=True))
    assert list(warehouse.loaded("s.sales", store, repeating, NAMES, noted))


def loadable(store, table, how="exclude"):
    left_out = LeftOut("warehouse", how)
    found = warehouse.loadable(NAMES, store, [table], left_out)
    assert len(found) + len(left_out.reasons) == 1
    return left_out.reasons


def test_a_text_that_no_column_takes_is_told_with_its_key_and_what_to_do(store, monkeypatch):
    long = replace(COLUMNS[1], type=LakeType("string"))
    [table] = warehouse.tables(NAMES, {}, 64)
    table = replace(table, table=replace(table.table, columns=(COLUMNS[0], long, COLUMNS[2])))
    changed = replace(table, snapshot="another")
    assert loadable(store, changed) == {}
    monkeypatch.setattr(warehouse, "LONGEST_VARCHAR_BYTES", 2)
    told = loadable(store, changed)["s.sales"]
    assert told.startswith("kind has a text of 3 bytes (key 3), and Redshift takes 2")
    assert "excluded_tables" in told
    with pytest.raises(CheckError, match=r"s\.sales is not in the warehouse: kind has a text"):
        loadable(store, changed, "stop")
    assert loadable(store, replace(changed, lob_max_kilobytes=0)) == {}


def test_a_load_that_fails_stops_the_others_only_where_the_parameter_says_stop(store):
    loads(store)
    run(store, "DELETE FROM s.sales")
    [good] = warehouse.tables(NAMES, {}, 63)
    wrong = replace(good.table, name="wrong", catalog_name="s_wrong", columns=COLUMNS[:2])
    both = [replace(good, table=wrong), good]
    with pytest.raises(LakebookError, match="Redshift refused"):
        ensure(warehouse.loads(NAMES, store, both), apply=True)
    left_out = LeftOut("warehouse", "exclude")
    ensure(warehouse.loads(NAMES, store, both), apply=True, at_once=2, left_out=left_out)
    assert list(left_out.tell()["table"]) == ["s.wrong"]
    assert "Redshift refused" in left_out.reasons["s.wrong"]
    assert warehouse.remaining(both, left_out) == [good]
    assert len(rows(store)) == 3


def test_notes_of_many_tables_and_statements_too_long_are_within_what_the_api_takes(
    store, monkeypatch
):
    loads(store)
    monkeypatch.setattr(warehouse, "NAMES_AT_ONCE", 2)
    named = [f"s.t{n}" for n in range(5)]
    [call] = list(warehouse.verified("compared", store, named))
    assert len(call.arguments["Sqls"]) == 3
    monkeypatch.setattr(redshift, "STATEMENT_BYTES", 300)
    wide = place(
        *(
            Column("id" if n == 0 else f"column{n}", f"c{n}", "integer", LakeType("int32"))
            for n in range(40)
        )
    )
    with pytest.raises(LakebookError, match=r'has \d+ bytes.*CREATE TABLE "s"\."t"'):
        store.transaction([wide.ddl])


def test_more_comments_than_a_batch_takes_come_before_the_note(store):
    units = [["load"] * 12, *([["COMMENT"]] * 50), ["note"]]
    batches = [call.arguments["Sqls"] for call in store.transactions(units)]
    assert [len(each) for each in batches] == [40, 23]
    assert batches[-1][-1] == "note"


@pytest.mark.parametrize(
    ("schema", "shown"),
    [
        ("reporting", "source_reporting"),
        ("lake", "source_lake"),
        ("Lakebook", "source_lakebook"),
        ("information_schema", "source_information_schema"),
        ("PG_stats", "source_pg_stats"),
        ("public", "public"),
        ("reporting_2", "reporting_2"),
    ],
)
def test_no_schema_of_the_source_has_a_name_of_ours_or_of_redshift(schema, shown):
    name = f"{schema.lower()}_people"
    table = Table(schema, "people", name, 0, False, 0, COLUMNS, ("id",))
    found = warehouse.WarehouseTable(table, "", {}, "", "", 63)
    assert (found.schema, found.name) == (shown, f"{shown}.people")


def test_what_an_earlier_version_put_into_a_schema_of_ours_is_taken_out(store):
    loads(store)
    note = "INSERT INTO lakebook.loads SELECT 'reporting.people', \"snapshot\", definition"
    rest = ", row_count, loaded_at, proved_at FROM lakebook.loads"
    people = "CREATE TABLE reporting.people (email varchar(9))"
    run(store, "CREATE SCHEMA IF NOT EXISTS reporting", people, note + rest)
    assert loads(store) == ["no longer ours in schemas of ours"]
    assert "reporting.people" not in store.relations()
