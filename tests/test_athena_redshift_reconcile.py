"""The runbook's reconciliation, through Athena and Redshift of the stand-in, over tables with every
kind of value.
"""

import json
from dataclasses import replace

import boto3
import pytest
import service_roles
from nasty_source import LOB_MAX_KILOBYTES, SCHEMAS, server  # noqa: F401 - a fixture
from test_reconcile import NAMES, Lake, measured, measured_source

from lakebook.layers import warehouse
from lakebook.reconcile import measure as reconcile
from lakebook.reconcile import relations
from lakebook.reconcile.differing_keys import differing_keys
from lakebook.services import glue
from lakebook.services.redshift import Warehouse
from lakebook.source.engines import connect_source
from lakebook.source.types import glue_type

# ruff: noqa: F811 - fixtures

BUCKET, DATABASE, NAME = "reconcile-engines", "reconcile_engines", "reconcile-engines"


@pytest.fixture(scope="module")
def source(stand_in, server):
    content = json.dumps(server.source("postgres", "nasty").to_secret())
    boto3.client("secretsmanager").create_secret(Name=NAME, SecretString=content)
    source = connect_source(NAME)
    yield source
    source.close()


@pytest.fixture(scope="module")
def tables(source):
    return {table.name: table for table in source.tables(SCHEMAS)}


@pytest.fixture(scope="module")
def lake(server, tables):
    return Lake(server, tables)


@pytest.fixture(scope="module")
def curated(stand_in, lake, tables, tmp_path_factory):
    """Every table as Parquet under its catalog name, and catalogued."""
    boto3.client("s3").create_bucket(
        Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"}
    )
    boto3.client("glue").create_database(DatabaseInput={"Name": DATABASE})
    for table in tables.values():
        file = tmp_path_factory.mktemp("curated") / "1.parquet"
        lake.duckdb.execute(f"copy \"{table.catalog_name}\" to '{file}' (format parquet)")
        boto3.client("s3").upload_file(str(file), BUCKET, f"{table.catalog_name}/1.parquet")
        columns = [(column.catalog_name, glue_type(column.type), "") for column in table.columns]
        described = glue.parquet_table(columns, f"s3://{BUCKET}/{table.catalog_name}/", "", {})
        boto3.client("glue").create_table(
            DatabaseName=DATABASE, TableInput={"Name": table.catalog_name, **described}
        )
    return tables


@pytest.mark.parametrize("name", NAMES)
def test_athena_measures_what_the_source_should_deliver(curated, source, name):
    table = curated[name]
    in_lake = relations.athena(
        DATABASE, table.catalog_name, table, "primary", f"s3://{BUCKET}/results/"
    )
    assert reconcile.compare(measured_source(source, table), measured(in_lake, table)) == []


@pytest.fixture(scope="module")
def loaded(curated):
    """Every table in Redshift as the runbook defines it, loaded by COPY."""
    may = ("s3:GetObject", "s3:ListBucket")
    role = service_roles.role(NAME, "redshift.amazonaws.com", may)
    serverless = boto3.client("redshift-serverless")
    serverless.create_namespace(namespaceName=NAME, dbName="warehouse", iamRoles=[role])
    serverless.create_workgroup(workgroupName=NAME, namespaceName=NAME)
    data = boto3.client("redshift-data")
    places = {}
    for table in curated.values():
        place = warehouse.WarehouseTable(table, "", {}, "", "", LOB_MAX_KILOBYTES)
        places[table.name] = place
        copy = place.copy(
            f"FROM 's3://{BUCKET}/{table.catalog_name}/' IAM_ROLE '{role}' FORMAT AS PARQUET"
        )
        schemas = [f'CREATE SCHEMA IF NOT EXISTS "{each}"' for each in (place.schema, "lakebook")]
        sqls = [*schemas, place.ddl, *place.comments, *copy]
        found = data.batch_execute_statement(WorkgroupName=NAME, Database="warehouse", Sqls=sqls)
        while (found := data.describe_statement(Id=found["Id"], WaitTimeSeconds=5))[
            "Status"
        ] not in ("FINISHED", "FAILED", "ABORTED"):
            pass
        assert found["Status"] == "FINISHED", found["Error"]
    return places


@pytest.mark.parametrize("name", NAMES)
def test_redshift_measures_what_the_source_should_deliver(loaded, curated, source, name):
    table = curated[name]
    expected = measured_source(source, table)
    in_warehouse = loaded[name].relation(Warehouse(NAME, "warehouse"))
    assert reconcile.compare(expected, measured(in_warehouse, table)) == []


def test_differing_keys_are_found_between_the_source_and_each_engine(loaded, curated, source):
    table = curated["parts"]
    in_warehouse = loaded["parts"].relation(Warehouse(NAME, "warehouse"))
    one_less = f"(select * from {in_warehouse.name} where id <> 77) as parts"
    ours = source.relation(table, LOB_MAX_KILOBYTES)
    found = differing_keys(ours, replace(in_warehouse, name=one_less), table, LOB_MAX_KILOBYTES)
    assert found.missing == ["77, 2020-08-17"]
    lake = relations.athena(
        DATABASE, table.catalog_name, table, "primary", f"s3://{BUCKET}/results/"
    )
    assert str(differing_keys(ours, lake, table, LOB_MAX_KILOBYTES)) == "no differing key found"
