"""One person erased from a rehearsed lake: gone by every door, everybody else as before, the key
nowhere in the evidence.
"""

import io
import json
import re

import pyarrow.parquet as pq
import pytest
from rehearsal import ERASURE_SECRET, NAMES

from lakebook import LakebookError
from lakebook.access import erasure

TABLES = ("passengers", "payments", "bookings", "scanned_documents", "support_messages")
THEIRS = {  # in the order in which they can be deleted
    "refunds": (
        "payment_id in (select payment_id from customers.payments join customers.bookings using"
        " (booking_id) where passenger_id = %s)"
    ),
    "payments": "booking_id in (select booking_id from customers.bookings where passenger_id = %s)",
    "support_messages": "passenger_id = %s",
    "scanned_documents": "passenger_id = %s",
    '"LoyaltyCards"': '"passengerId" = %s',
    "bookings": "passenger_id = %s",
    "passengers": "passenger_id = %s",
}


@pytest.fixture(scope="module")
def s3(lake):
    """Of the operator: an administrator may not use the lake's key."""
    return lake.client("s3", "operator")


def versions(s3, bucket, prefix=""):
    pages = s3.get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=prefix)
    return [
        each
        for page in pages
        for kind in ("Versions", "DeleteMarkers")
        for each in page.get(kind, [])
    ]


def rows(s3, table):
    """A curated table's rows, read from every version of every object below it, of any snapshot."""
    found, bucket = [], NAMES.curated_bucket
    for each in versions(s3, bucket, f"customers/{table}/"):
        if "Size" in each:
            which = {"Key": each["Key"], "VersionId": each["VersionId"]}
            body = s3.get_object(Bucket=bucket, **which)["Body"].read()
            found += pq.read_table(io.BytesIO(body)).to_pylist()
    return sorted(map(str, found))


@pytest.fixture(scope="module")
def person(lake, s3):
    """A passenger with payments and documents, named by a secret."""
    with lake.demo_database() as source:
        found = source.execute(
            "select passenger_id from customers.payments join customers.bookings using (booking_id)"
            " order by 1 desc limit 1"
        ).fetchone()[0]
    lake.ask_erasure(found)
    for each in (found, "0"):
        key = f"landing/letters/passenger_id={each}/a.txt"
        s3.put_object(Bucket=NAMES.raw_bucket, Key=key, Body=b"x")
    return found


@pytest.fixture(scope="module")
def too_early(lake, person):
    return lake.apply("--only", "20")


@pytest.fixture(scope="module")
def not_carried(lake, person, too_early):
    """After the source's owner has erased the person."""
    with lake.demo_database() as source:
        for table, theirs in THEIRS.items():
            source.execute(f"delete from customers.{table} where {theirs}", [person])
    return lake.apply("--only", "20")


@pytest.fixture(scope="module")
def erased(lake, s3, person, not_carried):
    """The run of 20; every version of rows before and after it, the keys of documents and of
    results of queries after it.
    """
    carried = lake.apply("--only", "03,05,06")
    assert carried.returncode == 0, carried.text
    before = {each: rows(s3, each) for each in TABLES}
    ended = lake.apply("--only", "20")
    after = {each: rows(s3, each) for each in TABLES}
    documents, results = (
        [each["Key"] for each in versions(s3, bucket, prefix)]
        for bucket, prefix in ((NAMES.raw_bucket, "landing/"), (NAMES.jobs_bucket, "athena/"))
    )
    return ended, before, after, documents, results


@pytest.fixture(scope="module")
def afterwards(lake, erased):
    """The next run, and another erasure."""
    return lake.apply("--only", "03,04,05,06,10,20")


def test_who_is_still_in_the_source_is_not_erased(too_early):
    assert too_early.returncode == 1
    assert "still in the source: erase there first" in too_early.stdout


def test_who_is_still_in_a_layer_is_not_erased(not_carried):
    assert not_carried.returncode == 1
    assert "still in a layer: run 03, 05 and 06 first" in not_carried.stdout


def test_no_version_of_any_file_has_the_person(person, erased):
    ended, before, after, documents, results = erased
    assert ended.returncode == 0, ended.text
    # an earlier snapshot had
    assert [each for each in before["passengers"] if f"'passenger_id': {person}," in each]
    for table in ("passengers", "bookings", "scanned_documents", "support_messages"):
        assert not [each for each in after[table] if f"'passenger_id': {person}," in each]
    assert not [each for each in documents if f"passenger_id={person}/" in each]
    assert [each for each in documents if "passenger_id=0/" in each]
    assert results == []


def test_everybody_else_is_as_before_and_there_once(lake, erased):
    _, before, after, _, _ = erased
    with lake.demo_database() as source:
        for table in ("passengers", "payments", "bookings"):
            [[expected]] = source.execute(f"select count(*) from customers.{table}").fetchall()
            assert len(after[table]) == len(set(after[table])) == expected
            assert set(after[table]) < set(before[table])


def test_the_lake_is_whole_and_the_next_run_has_nothing_to_do(afterwards):
    assert afterwards.returncode == 0, afterwards.text
    for call in (
        "dms:StartReplicationTask",
        "glue:StartJobRun",
        "BatchExecuteStatement",
        "glue:UpdateTable",
    ):
        assert call not in afterwards.of("03", "04", "05", "06", "10")


def test_the_key_is_nowhere_in_the_evidence(person, erased, too_early, not_carried):
    for ended in (erased[0], too_early, not_carried):
        text = (ended.folder / "20_erasure.ipynb").read_text() + ended.stdout
        assert f"passenger_id={person}" not in text
        assert not re.search(rf"= {person}\b", text)
        assert not re.search(rf'"key\\*": *\\*"{person}\b', text)


def test_a_second_erasure_removes_nothing_of_the_tables(afterwards):
    assert afterwards.returncode == 0, afterwards.text
    again = afterwards.of("20")
    assert "glue:DeleteTableVersion" not in again
    assert set(re.findall(r"DeleteObjects  without history (\S+)", again)) <= {
        f"s3://{NAMES.jobs_bucket}/athena/",
        f"s3://{NAMES.jobs_bucket}/work/",
    }


@pytest.mark.parametrize(
    "told", [{"table": "customers.nobody", "key": "31337"}, {"table": "customers.passengers"}]
)
def test_a_request_that_fits_no_table_is_one_sentence_without_the_key(lake, told):
    secret = f"{ERASURE_SECRET}-wrong-{len(told)}"
    lake.client("secretsmanager").create_secret(Name=secret, SecretString=json.dumps(told))
    said = "must be JSON with table, a curated table whose primary key is one column, and key"
    with lake.acting("operator"), pytest.raises(LakebookError, match=said) as raised:
        erasure.read(NAMES, secret)
    assert "31337" not in str(raised.value)
