"""The warehouse as a cluster: the same notebook's declarations, by parameter."""

import boto3
import foundation
import pytest
from botocore.exceptions import ClientError
from echoes import needed_otherwise

from lakebook import LakebookError, calls, ensure
from lakebook.layers import reporting, warehouse
from lakebook.services import ec2, redshift
from lakebook.source.model import Column, LakeType, Table

NAMES = foundation.names("cluster")


@pytest.fixture(scope="module")
def place(stand_in):
    parts = foundation.parts(NAMES, services=())
    ensure(foundation.bootstrap(NAMES), apply=True)
    ensure(
        [each for part in ("services", "people", "data", "network") for each in parts[part]],
        apply=True,
    )
    return ec2.subnets(NAMES, [])


def compute(subnets, **settings):
    return redshift.compute(NAMES, "lake", subnets, 8, "provisioned", **settings)


@pytest.fixture(scope="module")
def store(place):
    found = redshift.Warehouse(NAMES.resource("warehouse"), "lake")
    assert not found.exists()
    assert [call.action for _, call in calls(compute(place))] == [
        "redshift:CreateClusterSubnetGroup",
        "redshift:CreateCluster",
    ]
    ensure(compute(place), apply=True)
    return found


def test_the_cluster_is_private_encrypted_and_its_password_is_kept_by_aws(store):
    [found] = boto3.client("redshift").describe_clusters(
        ClusterIdentifier=NAMES.resource("warehouse")
    )["Clusters"]
    assert (found["PubliclyAccessible"], found["Encrypted"], found["EnhancedVpcRouting"]) == (
        False,
        True,
        True,
    )
    assert found["MasterPasswordSecretArn"]
    assert found["NumberOfNodes"] == 2


def test_it_is_asked_as_the_administrator_by_name_alone(store):
    assert store.ask("SELECT current_user") == [["administrator"]]
    ensure([warehouse.schemas("", store, ["operations"])], apply=True)
    assert calls([warehouse.schemas("", store, ["operations"])]) == []
    ensure([warehouse.schemas("", store, ["operations", "customers"])], apply=True)
    assert "lakebook.loads" in store.relations()


def test_a_table_with_more_comments_than_a_batch_takes_is_loaded_and_noted_last(store):
    ensure([warehouse.schemas("", store, ["operations"])], apply=True)
    columns = tuple(
        Column(f"c{place}", f"c{place}", "integer", LakeType("int32"), comment=f"the {place}th")
        for place in range(45)
    )
    table = Table("operations", "wide", "operations_wide", 0, False, 0, columns, comment="wide")
    wide = warehouse.WarehouseTable(
        table, f"s3://{NAMES.curated_bucket}/w/", {"rows": 0}, "", "", 8
    )
    load = warehouse.loads(NAMES, store, [wide])
    made = [call for _, call in calls(load)]
    assert [len(each.arguments["Sqls"]) for each in made] == [40, 11]
    assert made[-1].arguments["Sqls"][-1].startswith("INSERT INTO lakebook.loads")
    ensure(load, apply=True)
    assert store.ask("SELECT count(*) FROM svv_all_columns WHERE remarks LIKE 'the %th'") == [
        ["45"]
    ]
    assert calls(warehouse.loads(NAMES, store, [wide])) == []
    ensure([warehouse.verified("", store, [wide.name])], apply=True)
    assert calls([warehouse.verified("", store, [wide.name])]) == []


def test_more_views_and_schemas_than_a_batch_takes_come_in_several(store):
    schemas = [f"s{place}" for place in range(45)]
    ensure([warehouse.schemas("", store, [*schemas, "lake"])], apply=True)
    wanted = [
        reporting.View(f"v{place}", f"CREATE VIEW reporting.v{place} AS SELECT {place} AS a", "v")
        for place in range(12)
    ]
    readers = reporting.readers("of all", store, NAMES, schemas)
    for each in (reporting.views("of all", store, wanted), readers):
        assert len(calls([each])) > 1
        ensure([each], apply=True)
        assert calls([each]) == []
    ensure([reporting.views("of all", store, wanted[:1])], apply=True)
    assert {each for each in store.relations() if each.startswith("reporting.")} == {"reporting.v0"}


def test_what_is_asked_of_many_tables_fits_into_statements(store):
    selects = [f"SELECT '{place}{'x' * 200}', {place}" for place in range(1100)]
    assert [row[1] for row in store.ask_all(selects)] == [str(place) for place in range(1100)]
    assert store.ask_all([]) == []


def test_nothing_is_made_twice_and_other_nodes_are_a_change(place, store):
    assert calls(compute(place)) == []
    assert needed_otherwise(compute(place)) == []
    [(_, call)] = calls(compute(place, nodes=3))
    assert (call.action, call.arguments["NumberOfNodes"]) == ("redshift:ModifyCluster", 3)
    ensure(compute(place, nodes=3), apply=True)
    assert calls(compute(place, nodes=3)) == []
    ensure(compute(place), apply=True)


def test_another_kind_is_one_clear_sentence(place):
    with pytest.raises(
        LakebookError, match="warehouse_kind says 'large': write serverless or provisioned"
    ):
        redshift.compute(NAMES, "lake", place, 8, "large")


def test_a_node_type_that_there_is_not_is_refused(place, store):
    with pytest.raises(ClientError, match=r"(?i)node"):
        ensure(compute(place, node_type="ra9.huge"), apply=True)
    assert calls(compute(place)) == []


def test_a_warehouse_that_is_not_there_is_one_clear_sentence(place):
    with pytest.raises(LakebookError, match="There is no available warehouse nobody: run 06"):
        redshift.Warehouse("nobody", "lake").ask("SELECT 1")
