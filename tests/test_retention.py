"""What is kept how long: snapshots that served their time go, the current one and the young ones
stay.
"""

import datetime

import boto3
import foundation
import pytest

from lakebook import LakebookError, calls, ensure
from lakebook.layers import curation
from lakebook.services import glue, s3, storage

NAMES = foundation.names("retention")
TABLES = ("people", "flights")


@pytest.fixture
def curated(stand_in):
    """Two tables with an earlier snapshot each."""
    client = boto3.client("s3")
    where = {"CreateBucketConfiguration": {"LocationConstraint": foundation.REGION}}
    client.create_bucket(Bucket=NAMES.curated_bucket, **where)
    ensure([glue.database(NAMES.database("curated"), "")], apply=True)
    for table in TABLES:
        for snapshot in ("earlier", "now"):
            client.put_object(
                Bucket=NAMES.curated_bucket,
                Key=f"s/{table}/snapshot={snapshot}/a.parquet",
                Body=b"x",
            )
        location = f"s3://{NAMES.curated_bucket}/s/{table}/snapshot=now/"
        described = glue.parquet_table([("id", "int", "")], location, "", {})
        ensure([glue.table(table, NAMES.database("curated"), described)], apply=True)
    yield
    for each in s3.objects(f"s3://{NAMES.curated_bucket}/"):
        client.delete_object(Bucket=NAMES.curated_bucket, Key=s3.split(each["uri"])[1])
    client.delete_bucket(Bucket=NAMES.curated_bucket)
    boto3.client("glue").delete_database(Name=NAMES.database("curated"))


def after(monkeypatch, days):
    """Let so many days pass."""

    class Later(datetime.datetime):
        @classmethod
        def now(cls, zone=None):
            return super().now(zone) + datetime.timedelta(days=days)

    clock = type(
        "clock", (), {"datetime": Later, "timedelta": datetime.timedelta, "UTC": datetime.UTC}
    )
    monkeypatch.setattr(curation, "datetime", clock)


def left():
    return [each["uri"].partition("/s/")[2] for each in s3.objects(f"s3://{NAMES.curated_bucket}/")]


KEPT = {"snapshots": 90, "personal_snapshots": 30}


@pytest.mark.parametrize(
    ("days", "gone"),
    [
        (0, []),
        (29, []),
        (31, ["people/snapshot=earlier/a.parquet"]),
        (91, ["people/snapshot=earlier/a.parquet", "flights/snapshot=earlier/a.parquet"]),
    ],
)
def test_earlier_snapshots_go_when_their_days_are_over_those_of_people_sooner(
    curated, monkeypatch, days, gone
):
    after(monkeypatch, days)
    before = left()
    ensure(curation.expired(NAMES, KEPT, ["people"]), apply=True)
    assert sorted(set(before) - set(left())) == sorted(gone)
    assert calls(curation.expired(NAMES, KEPT, ["people"])) == []


def test_what_is_not_named_is_kept_for_ever(curated, monkeypatch):
    after(monkeypatch, 100_000)
    assert curation.expired(NAMES, {}, ["people"]) == []


def test_people_s_snapshots_are_kept_no_longer_than_the_others(curated, monkeypatch):
    after(monkeypatch, 91)
    ensure(curation.expired(NAMES, {"snapshots": 90}, ["people"]), apply=True)
    assert left() == ["flights/snapshot=now/a.parquet", "people/snapshot=now/a.parquet"]


def test_the_table_says_what_is_kept_how_long_and_why():
    told = {
        each["ended by"]: each["days"]
        for each in storage.retention({"audit": 400, "snapshots": 90})
    }
    assert told["Object Lock, lifecycle of audit"] == 400
    assert told["lifecycle of the raw bucket"] == "for ever"
    with pytest.raises(LakebookError, match="retention_days speaks of snapshot;"):
        storage.retention({"snapshot": 3})


@pytest.mark.parametrize("days", [-1, "30", None, True, 1.5])
def test_days_are_whole_numbers(days):
    with pytest.raises(LakebookError, match="whole days of 0 or more"):
        storage.retention({"snapshots": days})
