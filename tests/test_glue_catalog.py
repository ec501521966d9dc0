import contextlib
import datetime

import boto3
import pytest
from botocore.exceptions import ClientError

COLUMNS = [{"Name": "id", "Type": "bigint"}]
KEYS = [{"Name": "day", "Type": "string"}]


@pytest.fixture
def glue(stand_in):
    client = boto3.client("glue")
    with contextlib.suppress(client.exceptions.EntityNotFoundException):
        client.delete_database(Name="catalog_tests")
    client.create_database(DatabaseInput={"Name": "Catalog_Tests"})
    return client


def create_table(glue, name, keys=()):
    storage = {"Columns": COLUMNS, "Location": f"s3://lake/{name}/"}
    glue.create_table(
        DatabaseName="CATALOG_TESTS",
        TableInput={"Name": name, "StorageDescriptor": storage, "PartitionKeys": list(keys)},
    )


def code(refused):
    return refused.value.response["Error"]["Code"]


def test_names_of_databases_and_tables_are_folded_to_lower_case(glue):
    create_table(glue, "Flights")
    table = glue.get_table(DatabaseName="Catalog_tests", Name="FLIGHTS")["Table"]
    assert (table["DatabaseName"], table["Name"]) == ("catalog_tests", "flights")
    assert glue.get_database(Name="CATALOG_tests")["Database"]["Name"] == "catalog_tests"
    with pytest.raises(glue.exceptions.AlreadyExistsException):
        create_table(glue, "fLIGHTS")
    assert (
        glue.batch_delete_table(DatabaseName="Catalog_Tests", TablesToDelete=["FlightS"]).get(
            "Errors", []
        )
        == []
    )
    with pytest.raises(glue.exceptions.EntityNotFoundException):
        glue.get_table(DatabaseName="catalog_tests", Name="Flights")


def test_an_update_keeps_the_earlier_version_of_a_table(glue):
    create_table(glue, "flights")
    glue.update_table(
        DatabaseName="catalog_tests", TableInput={"Name": "Flights", "Description": "second"}
    )
    versions = glue.get_table_versions(DatabaseName="catalog_tests", TableName="flights")[
        "TableVersions"
    ]
    assert {each["Table"].get("Description") for each in versions} == {"second", None}


def test_tables_come_in_pages(glue):
    for number in range(5):
        create_table(glue, f"t{number}")
    pages = list(
        glue.get_paginator("get_tables").paginate(
            DatabaseName="catalog_tests", PaginationConfig={"PageSize": 2}
        )
    )
    assert [len(each["TableList"]) for each in pages] == [2, 2, 1]
    assert len({table["Name"] for each in pages for table in each["TableList"]}) == 5


def test_partitions_are_created_switched_and_listed(glue):
    create_table(glue, "flights", KEYS)
    where = {"DatabaseName": "Catalog_Tests", "TableName": "Flights"}
    inputs = [
        {"Values": [f"2013-01-{day:02}"], "StorageDescriptor": {"Location": f"s3://lake/{day}/"}}
        for day in range(1, 32)
    ]
    assert not glue.batch_create_partition(**where, PartitionInputList=inputs).get("Errors")
    (error,) = glue.batch_create_partition(**where, PartitionInputList=inputs[:1])["Errors"]
    assert error["ErrorDetail"]["ErrorCode"] == "AlreadyExistsException"
    moved = {"Values": ["2013-01-01"], "StorageDescriptor": {"Location": "s3://lake/new/"}}
    glue.batch_update_partition(
        **where, Entries=[{"PartitionValueList": ["2013-01-01"], "PartitionInput": moved}]
    )
    pages = glue.get_paginator("get_partitions").paginate(
        **where, PaginationConfig={"PageSize": 10}
    )
    locations = {
        each["Values"][0]: each["StorageDescriptor"]["Location"]
        for page in pages
        for each in page["Partitions"]
    }
    assert len(locations) == 31
    assert locations["2013-01-01"] == "s3://lake/new/"


def test_more_partitions_than_one_call_takes_are_refused(glue):
    create_table(glue, "flights", KEYS)
    where = {"DatabaseName": "catalog_tests", "TableName": "flights"}
    with pytest.raises(ClientError, match="less than or equal to 100") as refused:
        glue.batch_create_partition(
            **where, PartitionInputList=[{"Values": [str(n)]} for n in range(101)]
        )
    assert code(refused) == "ValidationException"
    with pytest.raises(ClientError, match="less than or equal to 25"):
        glue.batch_delete_partition(
            **where, PartitionsToDelete=[{"Values": [str(n)]} for n in range(26)]
        )


def test_a_partition_needs_a_value_for_each_key(glue):
    create_table(glue, "flights", KEYS)
    with pytest.raises(glue.exceptions.InvalidInputException, match="number of partition keys"):
        glue.create_partition(
            DatabaseName="catalog_tests", TableName="flights", PartitionInput={"Values": ["a", "b"]}
        )


def test_what_has_no_engine_is_refused(glue):
    for call in (glue.get_crawlers, glue.get_triggers, glue.list_workflows):
        with pytest.raises(ClientError) as refused:
            call()
        assert code(refused) == "NotInLocalAws"


def test_each_version_of_a_table_tells_when_it_was_made(glue):
    before = datetime.datetime.now(datetime.UTC).replace(microsecond=0)
    create_table(glue, "flights")
    for description in ("second", "third"):
        glue.update_table(
            DatabaseName="catalog_tests", TableInput={"Name": "flights", "Description": description}
        )
    found = glue.get_table_versions(DatabaseName="catalog_tests", TableName="flights")[
        "TableVersions"
    ]
    told = sorted(
        (each["Table"]["UpdateTime"], each["Table"].get("Description", "first")) for each in found
    )
    assert [description for _, description in told] == ["first", "second", "third"]
    assert before <= told[0][0] < told[1][0] < told[2][0]
    table = glue.get_table(DatabaseName="catalog_tests", Name="flights")["Table"]
    assert table["UpdateTime"] == told[2][0]
    version = glue.get_table_version(
        DatabaseName="catalog_tests", TableName="flights", VersionId="2"
    )["TableVersion"]
    assert version["Table"]["UpdateTime"] == told[1][0]


def test_an_update_that_skips_the_archive_keeps_no_version_before_it(glue):
    create_table(glue, "flights")
    wanted = {"Name": "flights", "Description": "second"}
    glue.update_table(DatabaseName="catalog_tests", TableInput=wanted, SkipArchive=True)
    [only] = glue.get_table_versions(DatabaseName="catalog_tests", TableName="flights")[
        "TableVersions"
    ]
    assert only["Table"]["Description"] == "second"
