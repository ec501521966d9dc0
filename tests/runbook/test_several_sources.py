"""Three databases whose schemas bear the same name, in one lake: side by side, one down for a
while, one changed, and a table of one retired.
"""

import json

import awswrangler as wr
import pytest
from rehearsal import NAMES, Rehearsal, as_options

from local_aws.engines.postgresql import Server

pytestmark = pytest.mark.rehearsal
OTHERS = ("loyalty", "crew")
PARAMETERS = {
    "source_schemas": "[shop]",
    "sources": json.dumps(
        {
            each: {"source_secret": f"acme-rehearsal-{each}", "source_schemas": ["shop"]}
            for each in OTHERS
        }
    ),
    "partition_by": "{loyalty.shop.orders: value(kind)}",
    "warehouse_keys": "{crew.shop.orders: diststyle all}",
    "direct_connect_connection_ids": "[]",
    "virtual_interface_ids": "[]",
    "transit_gateway_id": "",
    "on_premises_cidr": "",
    "classification_file": "",
    "reporting_file": "",
    "dashboard_file": "",
    "model_files": "[]",
    "studio_users": "[]",
}
SPINE = ("--to", "06")


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with Server(tmp_path_factory.mktemp("three") / "postgresql") as server:
        for name in ("main", *OTHERS):
            with server.connect() as admin:
                admin.execute(f"create database {name}")
            with server.connect(name) as database:
                database.execute(
                    "create schema shop;"
                    "create table shop.orders (id int primary key, kind text, what text);"
                    f"insert into shop.orders select n, 'k' || n % 2, '{name} ' || n"
                    " from generate_series(1, 10) n;"
                    "create table shop.gone (id int primary key); insert into shop.gone values (1)"
                )
        yield server


@pytest.fixture(scope="module")
def lake(server, tmp_path_factory):
    """The runs one after the other, and what readers saw after each."""
    with Rehearsal(
        tmp_path_factory.mktemp("lake"), server.url(database="main"), PARAMETERS
    ) as running:
        secrets = running.client("secretsmanager")
        for each in OTHERS:
            content = json.dumps(server.source("postgres", each).to_secret())
            secrets.create_secret(Name=f"acme-rehearsal-{each}", SecretString=content)
        running.first, running.after_first = running.apply(*SPINE), seen(running)
        running.again = running.apply(*SPINE)
        with server.connect() as admin:
            admin.execute("alter database crew allow_connections false")
        change(server, "loyalty", "update shop.orders set what = 'changed' where id = 1")
        change(server, "main", "drop table shop.gone")
        retired = as_options({"retired_tables": "[shop.gone]"})
        running.without_crew, running.after_change = running.apply(*SPINE, *retired), seen(running)
        with server.connect() as admin:
            admin.execute("alter database crew allow_connections true")
        running.resumed = running.run("resume", str(running.without_crew.folder))
        running.last, running.after_last = running.apply(*SPINE, *retired), seen(running)
        yield running


def change(server, name, sql):
    with server.connect(name) as database:
        database.execute(sql)


def seen(running):
    """The texts or ids that the lake shows, by table."""
    database = NAMES.database("curated")
    with running.acting("operator"):
        names = [each["Name"] for each in wr.catalog.get_tables(database=database)]
        tables = [each for each in names if "shop" in each]
        rows = {
            each: wr.athena.read_sql_query(
                f'SELECT * FROM "{each}" ORDER BY id',
                database=database,
                workgroup=NAMES.resource("lakebook"),
                ctas_approach=False,
            )
            for each in tables
        }
    return {name: frame.get("what", frame["id"]).tolist() for name, frame in rows.items()}


def of(name, first=None):
    """What the orders of a database say."""
    texts = [f"{name} {number}" for number in range(1, 11)]
    return [first or texts[0], *texts[1:]]


def test_tables_of_equal_names_lie_beside_each_other_each_with_its_own_rows(lake):
    assert lake.first.returncode == 0, lake.first.text
    assert {each: lake.after_first[each] for each in lake.after_first if "orders" in each} == {
        "shop_orders": of("main"),
        "loyalty_shop_orders": of("loyalty"),
        "crew_shop_orders": of("crew"),
    }
    assert "01 loyalty" in lake.first.stdout
    assert (lake.first.folder / "03_dms-crew.ipynb").exists()


def test_a_second_run_makes_no_changing_call(lake):
    assert lake.again.returncode == 0, lake.again.text
    assert lake.again.changing_calls == []


def test_one_that_is_down_is_named_and_the_others_go_on(lake):
    assert lake.without_crew.returncode == 1
    assert "The source crew failed and the others went on" in lake.without_crew.text
    assert lake.after_change["loyalty_shop_orders"] == of("loyalty", "changed")
    assert lake.after_change["crew_shop_orders"] == of("crew")


def test_a_retired_table_is_shown_by_no_layer_and_kept_as_evidence(lake):
    assert "shop_gone" in lake.after_first
    assert "shop_gone" not in lake.after_change
    assert {"loyalty_shop_gone", "crew_shop_gone"} <= set(lake.after_change)
    glue = lake.client("glue", "operator")
    kept = glue.get_table(DatabaseName=NAMES.database("raw"), Name="shop_gone")["Table"]
    assert kept["Parameters"]["lakebook.retired"]


def test_what_failed_is_resumed_and_then_nothing_is_left_to_do(lake):
    assert lake.resumed.returncode == 0, lake.resumed.text
    assert lake.last.returncode == 0, lake.last.text
    assert lake.last.changing_calls == []
    assert lake.after_last == lake.after_change
