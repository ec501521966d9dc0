"""Several sources in one lake: whose a table is, the name that it keeps, and what becomes of it
when it leaves its source.
"""

import dataclasses

import boto3
import pytest

from lakebook import sources
from lakebook.ensure import calls, ensure
from lakebook.errors import LakebookError
from lakebook.layers import lake, warehouse
from lakebook.names import Names
from lakebook.services import dms, glue
from lakebook.source import table_json
from lakebook.source.model import Column, ForeignKey, LakeType, Table

NAMES = Names("several", "test", "123456789012", "eu-west-1")


def source_table(full_name, *columns, **rest):
    """A table as a source lists it."""
    schema, name = full_name.split(".")
    found = tuple(
        Column(each, f"plain_{number}", "text", LakeType("string"))
        for number, each in enumerate(columns or ("id",))
    )
    return Table(schema, name, "plain", 0, False, 0, found, **rest)


@pytest.fixture
def catalog(stand_in):
    """An empty raw and curated catalog; yields a client."""
    client, s3 = boto3.client("glue"), boto3.client("s3")
    buckets = (NAMES.raw_bucket, NAMES.jobs_bucket)
    for each in buckets:
        s3.create_bucket(Bucket=each, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    for layer in ("raw", "curated"):
        client.create_database(DatabaseInput={"Name": NAMES.database(layer)})
    yield client
    for layer in ("raw", "curated"):
        client.delete_database(Name=NAMES.database(layer))
    for each in buckets:
        boto3.resource("s3").Bucket(each).objects.delete()
        s3.delete_bucket(Bucket=each)


def taken_in(*tables, source="", left=()):
    """The tables under their names in the lake, once the raw catalog has them."""
    found = lake.named(NAMES, list(tables), source)
    ensure(catalogued(found, left), apply=True)
    return found


def catalogued(tables, left=()):
    """What 03 declares of the raw catalog."""
    return [
        each
        for each in lake.raw_layer(NAMES, tables, left=left)
        if each.name.startswith(("table", "marks", " table", " marks"))
    ]


def catalog_names(tables):
    return {each.full_name: each.catalog_name for each in tables}


def put(uri, body="rows"):
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    boto3.client("s3").put_object(Bucket=bucket, Key=key, Body=body.encode())


def test_a_table_of_a_named_source_is_apart_in_every_layer(catalog):
    [ours] = taken_in(source_table("customers.cards"))
    [theirs] = taken_in(source_table("customers.cards"), source="loyalty")
    assert catalog_names([ours, theirs]) == {
        "customers.cards": "customers_cards",
        "loyalty.customers.cards": "loyalty_customers_cards",
    }
    assert lake.raw_location(NAMES, ours) == "s3://several-test-raw/customers/cards/"
    assert lake.raw_location(NAMES, theirs) == "s3://several-test-raw/loyalty/customers/cards/"
    assert warehouse.name_of(ours) == "customers.cards"
    assert warehouse.name_of(theirs) == "loyalty_customers.cards"


def test_foreign_keys_lead_to_tables_of_the_same_source():
    key = ForeignKey(("card",), "customers", "cards", ("id",))
    table = source_table("shop.orders", foreign_keys=(key,))
    assert table.references(key) == "customers.cards"
    assert dataclasses.replace(table, source="loyalty").references(key) == "loyalty.customers.cards"


def test_the_catalog_keeps_whose_a_table_is():
    plain = source_table("customers.cards")
    named = dataclasses.replace(plain, source="loyalty")
    assert table_json.from_json(table_json.to_json(named)) == named
    assert table_json.from_json(table_json.to_json(plain)).source == ""


def test_a_name_once_given_stays_with_its_table_and_its_columns(catalog):
    taken_in(source_table("s.orders", "id", "Größe"))
    newcomer, old = source_table("s.Orders"), source_table("s.orders", "GRÖSSE", "Größe", "id")
    found = taken_in(newcomer, old)
    assert catalog_names(found) == {"s.orders": "s_orders", "s.Orders": "s_orders_2"}
    columns = {each.name: each.catalog_name for each in found[1].columns}
    assert columns == {"id": "id", "Größe": "grosse", "GRÖSSE": "grosse_2"}
    assert lake.renamed(found) == [
        {"table": "s.Orders", "column": "", "name": "s_orders_2", "instead of": "s_orders"},
        {"table": "s.orders", "column": "GRÖSSE", "name": "grosse_2", "instead of": "grosse"},
    ]
    assert calls(catalogued(found)) == []


def test_a_name_of_a_table_that_left_its_source_is_given_to_no_other(catalog):
    taken_in(source_table("s.orders"))
    assert catalog_names(taken_in(source_table("s.Orders"))) == {"s.Orders": "s_orders_2"}
    assert catalog_names(taken_in(source_table("s.orders"))) == {"s.orders": "s_orders"}


def test_names_of_curated_tables_that_are_nobodys_are_given_to_no_table(catalog):
    ensure(
        [
            glue.table(
                "flight_delay", NAMES.database("curated"), glue.parquet_table([], "s3://x/", "", {})
            )
        ],
        apply=True,
    )
    assert catalog_names(taken_in(source_table("flight.delay"))) == {
        "flight.delay": "flight_delay_2"
    }


def test_a_source_and_a_schema_that_are_written_alike_get_names_of_their_own(catalog):
    taken_in(source_table("a_b.t"))
    assert catalog_names(taken_in(source_table("b.t"), source="a")) == {"a.b.t": "a_b_t_2"}


def test_a_name_that_another_phase_gave_meanwhile_is_not_taken_from_its_table(catalog):
    mine = lake.named(NAMES, [source_table("s.Orders")])
    taken_in(source_table("s.orders"))
    with pytest.raises(LakebookError, match=r"s_orders was given to s\.orders while s\.Or"):
        ensure(catalogued(mine), apply=True)


def departures(*tables, source="", schemas=("s",), excluded=(), retired=()):
    named = lake.named(NAMES, list(tables), source)
    return lake.departures(NAMES, named, source, list(schemas), list(excluded), list(retired))


def test_what_left_the_source_is_named_with_the_reason(catalog):
    taken_in(*map(source_table, ("s.kept", "s.dropped", "s.excluded", "s.keyless", "old.t")))
    taken_in(source_table("s.theirs"), source="loyalty")
    keyless = source_table("s.keyless", not_replicated="it has no primary key")
    left = departures(source_table("s.kept"), keyless, excluded=["s.excluded"])
    assert {each.source.full_name: each.left for each in left} == {
        "old.t": "its schema is not taken",
        "s.dropped": "not in the source",
        "s.excluded": "excluded",
        "s.keyless": "not replicated: it has no primary key",
    }
    assert {each["readers see"] for each in lake.overview_of_departures(left)} == {
        "what was verified last"
    }


def test_a_retired_table_stays_so_until_the_source_has_it_again(catalog):
    taken_in(source_table("s.a"), source_table("s.b"))
    kept = lake.named(NAMES, [source_table("s.a")])
    ensure(catalogued(kept, departures(source_table("s.a"), retired=["s.b"])), apply=True)
    state = {each.source.name: (each.left, each.retired) for each in lake.raw_tables(NAMES)}
    assert state == {"a": ("", False), "b": ("not in the source", True)}
    again = departures(source_table("s.a"))
    assert calls(catalogued(kept, again)) == []
    back = lake.named(NAMES, [source_table("s.a"), source_table("s.b")])
    ensure(catalogued(back, departures(*back)), apply=True)
    assert not any(each.retired or each.left for each in lake.raw_tables(NAMES))
    assert catalog_names(back)["s.b"] == "s_b"


def test_a_table_that_the_source_still_has_is_not_retired(catalog):
    taken_in(source_table("s.a"), source_table("s.b"))
    with pytest.raises(LakebookError, match=r"retired_tables names s\.b, which the source still"):
        departures(source_table("s.a"), source_table("s.b"), retired=["s.b"])
    with pytest.raises(LakebookError, match=r"retired_tables names s\.x, which the lake does not"):
        departures(source_table("s.a"), source_table("s.b"), retired=["s.x"])


def test_a_table_of_another_source_is_retired_by_its_own_phase(catalog):
    taken_in(source_table("s.a"))
    taken_in(source_table("s.a"), source_table("s.b"), source="loyalty")
    assert departures(source_table("s.a"), retired=["loyalty.s.b"]) == []
    [left] = departures(source_table("s.a"), source="loyalty", retired=["loyalty.s.b"])
    assert (left.source.full_name, left.retired) == ("loyalty.s.b", True)


def test_another_database_behind_the_secret_is_refused_unless_accepted(catalog):
    [table] = taken_in(source_table("s.a"))
    told = {"fingerprint": "f", "files": "x", "measure": '{"rows": 0}', "rows": 0}
    ensure([lake.raw_table(NAMES, table, told)], apply=True)
    assert not lake.check_database(NAMES, "", "secret", "7/1", accepted=False)
    ensure([lake.raw_table(NAMES, table, {**told, "database": "7/1"})], apply=True)
    assert not lake.check_database(NAMES, "", "secret", "7/1", accepted=False)
    assert not lake.check_database(NAMES, "loyalty", "theirs", "7/2", accepted=False)
    assert lake.check_database(NAMES, "", "secret", "7/2", accepted=True)
    with pytest.raises(LakebookError, match="secret leads to another database than the one"):
        lake.check_database(NAMES, "", "secret", "7/2", accepted=False)


def test_a_table_that_left_unproved_holds_up_nobody(catalog):
    taken_in(source_table("s.a"), source_table("s.bad"))
    ensure(
        catalogued(
            lake.named(NAMES, [source_table("s.a")]),
            departures(source_table("s.a"), excluded=["bad"]),
        ),
        apply=True,
    )
    assert lake.unverified(lake.raw_tables(NAMES)) == ["s.a"]


def test_a_source_tells_what_is_its_own_and_shares_the_rest():
    default = {"source_secret": "a", "source_schemas": ["s"], "excluded_tables": ["t"], "x": 1}
    found = sources.every(default, {"loyalty": {"source_secret": "b", "source_schemas": ["s"]}})
    assert found["loyalty"] == {
        "x": 1,
        "source_secret": "b",
        "source_schemas": ["s"],
        "excluded_tables": [],
    }
    assert found[""] == default
    assert sources.secrets("", {"loyalty": {"source_secret": "b"}}) == {"loyalty": "b"}


def test_each_source_has_a_role_that_reads_its_secret_alone(stand_in):
    ensure(dms.roles(NAMES, {"": "one", "loyalty_shop": "two"})[2:], apply=False)
    found = {each.name for each in dms.roles(NAMES, {"": "one", "loyalty_shop": "two"})}
    assert {"role several-test-dms-secret", "role several-test-dms-secret-loyalty-shop"} <= found


def test_each_source_has_its_secret_and_a_name_that_is_gone_is_one_sentence():
    others = {"loyalty": {"source_secret": "theirs"}}
    assert sources.secret_of("", "main", others) == "main"
    assert sources.secret_of("loyalty", "main", others) == "theirs"
    with pytest.raises(LakebookError, match="no source crew"):
        sources.secret_of("crew", "main", others)
