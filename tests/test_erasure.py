"""One person erased from a rehearsed lake: gone by every access path, everybody else as before, the
key nowhere in the evidence.
"""

import configparser
import io
import json
import re

import boto3
import psycopg
import pyarrow.parquet as pq
import pytest
from test_rehearsal import ROOT, Rehearsal

BUCKET, CURATED, JOBS = "acme-rehearsal-raw", "acme-rehearsal-curated", "acme-rehearsal-jobs"
SECRET = "acme-rehearsal-erasure"
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


class Lake(Rehearsal):
    """A rehearsal that a test can look into as its administrator."""

    def client(self, service):
        told = configparser.ConfigParser()
        told.read(self.environment["AWS_SHARED_CREDENTIALS_FILE"])
        keys = {
            name: told["default"][name] for name in ("aws_access_key_id", "aws_secret_access_key")
        }
        where = {"region_name": "eu-west-1", "endpoint_url": self.environment["AWS_ENDPOINT_URL"]}
        if service == "s3":  # whose key an administrator may not use
            role = "arn:aws:iam::123456789012:role/acme-rehearsal-migration-operator"
            taken = boto3.client("sts", **keys, **where).assume_role(
                RoleArn=role, RoleSessionName="look"
            )["Credentials"]
            names = ("aws_access_key_id", "aws_secret_access_key", "aws_session_token")
            keys = dict(zip(names, [*taken.values()][:3], strict=True))
        return boto3.client(service, **keys, **where)

    @property
    def database(self):
        secret = json.loads(
            self.client("secretsmanager").get_secret_value(SecretId="acme-rehearsal-source")[
                "SecretString"
            ]
        )
        password = (
            (self.directory / "stand-in" / "postgresql" / "postgres.password").read_text().strip()
        )
        place = {"host": secret["host"], "port": secret["port"], "dbname": secret["dbname"]}
        return psycopg.connect(**place, user="postgres", password=password)

    def versions(self, bucket):
        pages = self.client("s3").get_paginator("list_object_versions").paginate(Bucket=bucket)
        return [
            each
            for page in pages
            for kind in ("Versions", "DeleteMarkers")
            for each in page.get(kind, [])
        ]

    def rows(self, table):
        """A curated table's rows, read from every version of every object below it, of any
        snapshot.
        """
        there = [
            each
            for each in self.versions(CURATED)
            if each["Key"].startswith(f"customers/{table}/") and "Size" in each
        ]
        s3, found = self.client("s3"), []
        for each in there:
            body = s3.get_object(Bucket=CURATED, Key=each["Key"], VersionId=each["VersionId"])[
                "Body"
            ].read()
            found += pq.read_table(io.BytesIO(body)).to_pylist()
        return sorted(map(str, found))


@pytest.fixture(scope="module")
def lake(tmp_path_factory):
    running = Lake(tmp_path_factory.mktemp("erasure"))
    ended = running.apply("--only", "02,03,04,05,06")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    yield running
    running.stop()


@pytest.fixture(scope="module")
def person(lake):
    """A passenger with payments and documents, named by a secret."""
    with lake.database as source:
        found = source.execute(
            "select passenger_id from customers.payments join customers.bookings using (booking_id)"
            " order by 1 desc limit 1"
        ).fetchone()[0]
    told = json.dumps({"table": "customers.passengers", "key": str(found)})
    lake.client("secretsmanager").create_secret(Name=SECRET, SecretString=told)
    for each in (found, "0"):
        lake.client("s3").put_object(
            Bucket=BUCKET, Key=f"landing/letters/passenger_id={each}/a.txt", Body=b"x"
        )
    return found


@pytest.fixture(scope="module")
def too_early(lake, person):
    return lake.apply("--only", "20")


@pytest.fixture(scope="module")
def not_carried(lake, person, too_early):
    """After the source's owner has erased the person."""
    with lake.database as source:
        for table, theirs in THEIRS.items():
            source.execute(f"delete from customers.{table} where {theirs}", [person])
    return lake.apply("--only", "20")


@pytest.fixture(scope="module")
def erased(lake, person, not_carried):
    ended = lake.apply("--only", "03,05,06")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    before = {each: lake.rows(each) for each in ("passengers", "payments", "bookings")}
    return lake.apply("--only", "20"), before


def test_who_is_still_in_the_source_is_not_erased(too_early):
    assert too_early.returncode == 1
    assert "still in the source: erase there first" in too_early.stdout


def test_who_is_still_in_a_layer_is_not_erased(not_carried):
    assert not_carried.returncode == 1
    assert "still in a layer: run 03, 05 and 06 first" in not_carried.stdout


def test_no_version_of_any_file_has_the_person(lake, person, erased):
    ended, before = erased
    assert ended.returncode == 0, ended.stdout + ended.stderr
    # an earlier snapshot had
    assert [each for each in before["passengers"] if f"'passenger_id': {person}," in each]
    for table in ("passengers", "bookings", "scanned_documents", "support_messages"):
        assert not [each for each in lake.rows(table) if f"'passenger_id': {person}," in each]
    keys = [each["Key"] for each in lake.versions(BUCKET)]
    assert not [each for each in keys if f"passenger_id={person}/" in each]
    assert [each for each in keys if "passenger_id=0/" in each]
    assert not [each for each in lake.versions(JOBS) if each["Key"].startswith("athena/")]


def test_everybody_else_is_as_before_and_there_once(lake, person, erased):
    with lake.database as source:
        for table in ("passengers", "payments", "bookings"):
            [[expected]] = source.execute(f"select count(*) from customers.{table}").fetchall()
            rows = lake.rows(table)
            assert len(rows) == len(set(rows)) == expected
            assert set(rows) < set(erased[1][table])


def test_the_lake_is_whole_and_the_next_run_has_nothing_to_do(lake, erased):
    ended = lake.apply("--only", "03,04,05,06,10")
    assert ended.returncode == 0, ended.stdout[-3000:]
    for call in (
        "dms:StartReplicationTask",
        "glue:StartJobRun",
        "BatchExecuteStatement",
        "glue:UpdateTable",
    ):
        assert call not in ended.stdout


def test_the_key_is_nowhere_in_the_evidence(person, erased, too_early, not_carried):
    for ended in (erased[0], too_early, not_carried):
        folder = ROOT / re.search(r"executed copies: (\S+)", ended.stdout)[1]
        text = (folder / "20_erasure.ipynb").read_text() + ended.stdout
        assert f"passenger_id={person}" not in text
        assert not re.search(rf"= {person}\b", text)
        assert not re.search(rf'"key\\*": *\\*"{person}\b', text)


def test_a_second_erasure_removes_nothing_of_the_tables(lake, erased):
    again = lake.apply("--only", "20")
    assert again.returncode == 0, again.stdout[-3000:]
    assert "glue:DeleteTableVersion" not in again.stdout
    assert set(re.findall(r"DeleteObjects  without history (\S+)", again.stdout)) <= {
        f"s3://{JOBS}/athena/"
    }


@pytest.mark.parametrize(
    "told", ['{"table": "customers.nobody", "key": "1"}', '{"table": "customers.passengers"}']
)
def test_a_request_that_fits_no_table_is_one_sentence_without_the_key(lake, told):
    lake.client("secretsmanager").create_secret(
        Name=f"{SECRET}-wrong-{len(told)}", SecretString=told
    )
    ended = lake.apply("--only", "20", "-p", "erasure_secret", f"{SECRET}-wrong-{len(told)}")
    assert ended.returncode == 1
    assert (
        "must be JSON with table, a curated table whose primary key is one column, and key"
        in ended.stdout
    )
