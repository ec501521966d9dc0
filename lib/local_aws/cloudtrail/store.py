"""The account's events in a SQLite file: written by one thread, looked up by attribute, read in
order by the trails.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from local_aws.errors import ApiError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

SCHEMA = """
CREATE TABLE events (id INTEGER PRIMARY KEY, time TEXT, region TEXT, event_id TEXT,
    name TEXT, source TEXT,
    username TEXT, access_key TEXT, read_only TEXT, is_data INTEGER, record TEXT);
CREATE INDEX by_region ON events (region, id);
CREATE INDEX by_name ON events (name);
CREATE INDEX by_event_id ON events (event_id);
CREATE TABLE resources (event INTEGER, type TEXT, name TEXT);
CREATE INDEX by_event ON resources (event);
CREATE INDEX by_resource ON resources (name, event);
"""
# https://docs.aws.amazon.com/awscloudtrail/latest/APIReference/API_LookupAttribute.html
ATTRIBUTES = {
    "EventId": "event_id = ?",
    "EventName": "name = ?",
    "ReadOnly": "read_only = ?",
    "Username": "username = ?",
    "EventSource": "source = ?",
    "AccessKeyId": "access_key = ?",
    "ResourceType": "id IN (SELECT event FROM resources WHERE type = ?)",
    "ResourceName": "id IN (SELECT event FROM resources WHERE name = ?)",
}
# event source and request parameter that names what an event is about, and what that is
RESOURCES = {
    ("iam", "roleName"): "AWS::IAM::Role",
    ("iam", "userName"): "AWS::IAM::User",
    ("iam", "policyArn"): "AWS::IAM::Policy",
    ("kms", "keyId"): "AWS::KMS::Key",
    ("secretsmanager", "secretId"): "AWS::SecretsManager::Secret",
    ("cloudtrail", "name"): "AWS::CloudTrail::Trail",
    ("cloudtrail", "trailName"): "AWS::CloudTrail::Trail",
    ("cloudtrail", "s3BucketName"): "AWS::S3::Bucket",
    ("ec2", "vpcId"): "AWS::EC2::VPC",
    ("ec2", "subnetId"): "AWS::EC2::Subnet",
    ("ec2", "groupId"): "AWS::EC2::SecurityGroup",
}


@dataclass(frozen=True)
class Stored:
    """An event with its place in the order of arrival."""

    id: int
    record: dict[str, Any]


class Store:
    """Every event of the account; any thread may read, one writes."""

    def __init__(self, file: Path) -> None:
        for each in file.parent.glob(f"{file.name}*"):
            each.unlink()  # as all of the stand-in, its history ends with it
        self.file, self._local = file, threading.local()
        with self._connection as connection:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.executescript(SCHEMA)

    @property
    def _connection(self) -> sqlite3.Connection:
        if not hasattr(self._local, "connection"):
            self._local.connection = sqlite3.connect(self.file)
            self._local.connection.execute("PRAGMA synchronous = OFF")
        return self._local.connection  # type: ignore[no-any-return]

    def add(self, records: Iterable[dict[str, Any]]) -> None:
        """Keep records, all or none."""
        with self._connection as connection:
            for each in records:
                row = connection.execute(
                    f"INSERT INTO events VALUES (NULL{', ?' * 10})", _row(each)
                )
                named = [(row.lastrowid, kind, name) for kind, name in resource_names(each)]
                connection.executemany("INSERT INTO resources VALUES (?, ?, ?)", named)

    def last_id(self) -> int:
        """The id of the newest event, 0 when there is none."""
        return int(
            self._connection.execute("SELECT coalesce(max(id), 0) FROM events").fetchone()[0]
        )

    def regions(self) -> list[str]:
        """The Regions that have events."""
        return [
            row[0]
            for row in self._connection.execute("SELECT DISTINCT region FROM events ORDER BY 1")
        ]

    def after(self, region: str, last: int, up_to: int) -> Iterator[Stored]:
        """The events of a Region that came after one id, up to another."""
        query = "SELECT id, record FROM events WHERE region = ? AND id > ? AND id <= ? ORDER BY id"
        for number, text in self._connection.execute(query, (region, last, up_to)):
            yield Stored(number, json.loads(text))

    def lookup(
        self,
        region: str,
        attribute: tuple[str, str] | None,
        since: str,
        until: str,
        before: int,
        limit: int,
    ) -> list[Stored]:
        """Management events, newest first, older than the id `before`; times as in the records.
        Raises ApiError.
        """
        condition, values = "1", []
        if attribute:
            if attribute[0] not in ATTRIBUTES:
                raise ApiError(
                    "InvalidLookupAttributesException",
                    f"{attribute[0]} is not an attribute of events.",
                )
            condition, values = ATTRIBUTES[attribute[0]], [attribute[1]]
        query = f"""SELECT id, record FROM events WHERE region = ?
            AND is_data = 0 AND id < ? AND time >= ? AND time <= ?
            AND {condition} ORDER BY id DESC LIMIT ?"""
        rows = self._connection.execute(query, (region, before, since, until, *values, limit))
        return [Stored(number, json.loads(text)) for number, text in rows]


def username(record: dict[str, Any]) -> str | None:
    """Who an event is listed under: the user's name, the role session's, `root`, or nobody for a
    service.
    """
    identity = record["userIdentity"]
    if identity["type"] == "AssumedRole":
        return str(identity["arn"]).rsplit("/", 1)[-1]
    return "root" if identity["type"] == "Root" else identity.get("userName")


def resource_names(record: dict[str, Any]) -> list[tuple[str, str]]:
    """Type and name of what an event is about, as LookupEvents gives them."""
    source, given = record["eventSource"].partition(".")[0], record["requestParameters"] or {}
    known = [(each["type"], each["ARN"]) for each in record.get("resources", ()) if "ARN" in each]
    found = [
        (kind, given.get(name)) for (service, name), kind in RESOURCES.items() if service == source
    ]
    named = [(kind, value) for kind, value in found if isinstance(value, str)]
    buckets = [
        (kind, arn.removeprefix("arn:aws:s3:::") if kind == "AWS::S3::Bucket" else arn)
        for kind, arn in known
    ]
    return [*buckets, *named]


def _row(record: dict[str, Any]) -> tuple[Any, ...]:
    return (
        record["eventTime"],
        record["awsRegion"],
        record["eventID"],
        record["eventName"],
        record["eventSource"],
        username(record),
        record["userIdentity"].get("accessKeyId"),
        "true" if record["readOnly"] else "false",
        int(record["eventCategory"] == "Data"),
        json.dumps(record, ensure_ascii=False),
    )
