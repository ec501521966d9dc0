"""A lake made by the version before is found by this one, which converts nothing anew."""

import ast
import hashlib
import json
from pathlib import Path

import boto3
import pytest
from nasty_source import secrets, server, source, tables  # noqa: F401 - fixtures

from lakebook.ensure import Resource, calls, ensure
from lakebook.errors import LakebookError
from lakebook.layers import curation, lake, warehouse
from lakebook.names import Names
from lakebook.services import glue, s3
from lakebook.source import table_json

# ruff: noqa: F811 - fixtures

KEPT = json.loads(Path(__file__).with_name("kept_catalog.json").read_text())
NAMES = Names("kept", "test", "123456789012", "eu-west-1")
PARTITION_BY = {"nasty.parts": "month(at)"}
SCRIPT = "f713bd07"  # see the last test


@pytest.fixture
def kept(stand_in):
    """The lake as the version before has left it."""
    client, catalog = boto3.client("s3"), boto3.client("glue")
    buckets = [NAMES.raw_bucket, NAMES.curated_bucket, NAMES.jobs_bucket]
    for each in buckets:
        client.create_bucket(
            Bucket=each, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"}
        )
    for uri, body in KEPT["objects"].items():
        put(uri, body)
    for layer in ("raw", "curated"):
        catalog.create_database(DatabaseInput={"Name": NAMES.database(layer)})
        for each in KEPT[layer]:
            catalog.create_table(DatabaseName=NAMES.database(layer), TableInput=each)
    yield
    for layer in ("raw", "curated"):
        catalog.delete_database(Name=NAMES.database(layer))
    for each in buckets:
        boto3.resource("s3").Bucket(each).objects.all().delete()
        client.delete_bucket(Bucket=each)


def put(uri, body):
    bucket, key = s3.split(uri)
    boto3.client("s3").put_object(Bucket=bucket, Key=key, Body=body.encode())


def conversions(partition_by=PARTITION_BY, compression="snappy"):
    found = curation.conversions(NAMES, lake.raw_tables(NAMES), partition_by, compression)
    return {each.table.full_name: each for each in found}


def changed(database, name, parameter, change):
    """Change the JSON in a parameter of a table."""
    catalog = boto3.client("glue")
    [table] = [each for each in KEPT[database] if each["Name"] == name]
    found = json.loads(table["Parameters"][parameter])
    change(found)
    parameters = {**table["Parameters"], parameter: json.dumps(found)}
    catalog.update_table(
        DatabaseName=NAMES.database(database), TableInput={**table, "Parameters": parameters}
    )


@pytest.mark.parametrize("layer", ["raw", "curated"])
def test_every_kept_table_is_read_as_the_source_describes_it_today(tables, layer):
    assert len(KEPT[layer]) == 4
    for each in KEPT[layer]:
        found = lake.source_of(each)
        assert table_json.to_json(found) == table_json.to_json(tables[found.name])
        assert table_json.from_json(table_json.to_json(found)) == found


def test_what_was_verified_is_so_still(kept, tables):
    raw = lake.raw_tables(NAMES)
    assert lake.unverified(raw) == []
    some = [tables[each.source.name] for each in raw]
    assert lake.raw_matches_source(NAMES, some, KEPT["position"])
    assert not lake.raw_matches_source(NAMES, some, "another")
    today = {**json.loads(KEPT["position"]), "definitions": "not looked at by the version before"}
    assert lake.raw_matches_source(NAMES, some, json.dumps(today))
    assert not lake.raw_matches_source(NAMES, some, json.dumps({**today, "rows": 520}))
    put("s3://kept-test-raw/nasty/no_key/LOAD00000002.parquet", "more")
    assert lake.unverified(lake.raw_tables(NAMES)) == ["nasty.no_key"]
    assert not lake.raw_matches_source(NAMES, some, KEPT["position"])


def test_conversions_have_the_names_they_had_and_are_done(kept):
    found = conversions()
    assert {name: each.inputs for name, each in found.items()} == KEPT["conversions"]
    assert all(each.done for each in found.values())


def test_empty_objects_that_stand_for_folders_are_no_files_of_a_snapshot(kept):
    snapshot = conversions()["nasty.no_key"].location
    for marker in (snapshot, f"{snapshot.rstrip('/')}/_temporary_$folder$"):
        put(marker, "")
    assert all(each.done for each in conversions().values())
    ensure([Resource("the snapshot", lambda: s3.emptied(snapshot))], apply=True)
    assert s3.modified(snapshot) == []


def test_once_published_in_todays_form_nothing_is_left_to_do(kept):
    ensure(curation.published(NAMES, list(conversions().values()), {}), apply=True)
    found = conversions()
    assert {name: each.inputs for name, each in found.items()} == KEPT["conversions"]
    assert all(each.done for each in found.values())
    assert calls(curation.published(NAMES, list(found.values()), {})) == []
    for each in lake.curated_tables(NAMES):
        [old] = [one for one in KEPT["curated"] if one["Name"] == each["Name"]]
        kept_measure = json.loads(old["Parameters"][lake.PROOF])["measure"]
        assert "sum" not in each["Parameters"][lake.PROOF]
        assert lake.measure_of(NAMES, lake.proof_of(each)["measure"]) == kept_measure
        assert "columns" not in each["Parameters"][lake.SOURCE]


def test_what_names_columns_is_put_where_readers_of_some_do_not_see_it(kept):
    before = [each.source for each in lake.raw_tables(NAMES)]
    for layer in ("raw", "curated"):
        database = NAMES.database(layer)
        older = lake.without_figures(database, NAMES)
        ensure([older], apply=True)
        assert calls([older]) == []
        assert not [each for each in glue.tables(database) if "columns" in str(each["Parameters"])]
    assert [each.source for each in lake.raw_tables(NAMES)] == before
    assert all(each.done for each in conversions().values())


def test_the_warehouse_holds_what_it_should(kept):
    found = {each.name: each.definition for each in warehouse.tables(NAMES, {}, 63)}
    assert found == KEPT["warehouse"]


@pytest.mark.parametrize(
    "given",
    [{"partition_by": {}}, {"partition_by": {"nasty.parts": "year(at)"}}, {"compression": "zstd"}],
    ids=str,
)
def test_another_layout_is_converted_anew(kept, given):
    found = conversions(**given)["nasty.parts"]
    assert not found.done
    assert found.inputs != KEPT["conversions"]["nasty.parts"]


def test_other_raw_files_are_converted_anew(kept):
    put("s3://kept-test-raw/nasty/no_key/LOAD00000002.parquet", "more")
    assert [name for name, each in conversions().items() if not each.done] == ["nasty.no_key"]


def test_a_snapshot_of_other_rows_is_converted_anew(kept):
    def other_rows(proof):
        measure = json.loads(proof["measure"])
        proof["measure"] = json.dumps({**measure, "row_hash": measure["row_hash"] + 1})

    changed("raw", "nasty_parts", lake.PROOF, other_rows)
    assert [name for name, each in conversions().items() if not each.done] == ["nasty.parts"]


def test_a_column_of_another_type_is_converted_anew(kept):
    changed(
        "raw", "nasty_parts", lake.SOURCE, lambda found: found["columns"][0].update(kind="int8")
    )
    assert [name for name, each in conversions().items() if not each.done] == ["nasty.parts"]


def test_a_snapshot_that_lost_a_file_is_converted_anew(kept):
    [uri] = [each for each in KEPT["objects"] if "/no_key/snapshot=" in each]
    bucket, key = s3.split(uri)
    boto3.client("s3").delete_object(Bucket=bucket, Key=key)
    assert [name for name, each in conversions().items() if not each.done] == ["nasty.no_key"]


def test_a_catalog_of_a_newer_lakebook_is_refused(kept):
    changed("raw", "nasty_parts", lake.SOURCE, lambda found: found.update(version=4))
    with pytest.raises(LakebookError, match=r"nasty\.parts in version 4, .* reads up to 3"):
        lake.raw_tables(NAMES)


def test_whoever_changes_the_script_says_whether_it_writes_the_same():
    """Where it does not, add one to curation.CONVERSION, and every table is converted anew; where
    it does, put the new fingerprint above.
    """
    script = ast.parse(curation.SCRIPT)
    for node in ast.walk(script):
        if isinstance(node, ast.Module | ast.FunctionDef | ast.ClassDef) and ast.get_docstring(
            node
        ):
            del node.body[0]
    assert hashlib.sha256(ast.dump(script).encode()).hexdigest()[:8] == SCRIPT
