"""The files of the landing prefix as the curated table `documents`: what is said of each, only the
new ones read, gone when gone.
"""

import hashlib
import io
import zipfile

import awswrangler as wr
import boto3
import matplotlib as mpl
import pytest

from lakebook.ensure import calls, ensure
from lakebook.errors import LakebookError
from lakebook.layers import documents
from lakebook.names import Names
from lakebook.services import athena, glue, s3

mpl.use("agg")
import matplotlib.pyplot as plt

NAMES = Names("landing", "test", "123456789012", "eu-west-1")


@pytest.fixture(scope="module")
def lake(stand_in):
    buckets = [NAMES.raw_bucket, NAMES.curated_bucket, NAMES.jobs_bucket]
    place = f"s3://{NAMES.jobs_bucket}/athena/lakebook/"
    wanted = [s3.bucket(each, NAMES.region) for each in buckets]
    database = glue.database(NAMES.database("curated"), "What people read")
    ensure([*wanted, database, athena.workgroup(NAMES.resource("lakebook"), place)], apply=True)
    return boto3.client("s3")


@pytest.fixture
def landing(lake):
    """An empty landing prefix, and the catalog without the table."""
    bucket = boto3.resource("s3").Bucket(NAMES.raw_bucket)
    bucket.objects.all().delete()
    yield lambda key, content: bucket.put_object(Key=f"landing/{key}", Body=content)
    bucket.objects.all().delete()
    glue_client = boto3.client("glue")
    if glue.describe(NAMES.database("curated"), documents.TABLE):
        glue_client.delete_table(DatabaseName=NAMES.database("curated"), Name=documents.TABLE)


def catalogue():
    """The calls of one run, as the notebook makes it."""
    found = documents.landing(NAMES)
    rows = documents.read(found, apply=True)
    return ensure(documents.catalogued(NAMES, found, rows), apply=True)["call"].tolist()


def sql(text):
    place = {"database": NAMES.database("curated"), "workgroup": NAMES.resource("lakebook")}
    return wr.athena.read_sql_query(
        text, **place, ctas_approach=False, athena_query_wait_polling_delay=0.05
    )


def pdf(text):
    figure, out = plt.figure(), io.BytesIO()
    figure.text(0.1, 0.5, text)
    with mpl.rc_context({"pdf.fonttype": 42}):
        figure.savefig(out, format="pdf")
    plt.close(figure)
    return out.getvalue()


def picture():
    out = io.BytesIO()
    plt.imsave(out, [[0.0, 1.0]], format="png")
    return out.getvalue()


def word():
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("[Content_Types].xml", "<Types/>")
        archive.writestr("word/document.xml", "<document/>")
    return out.getvalue()


KINDS = [  # name, content, content type, text length
    ("letter.txt", "Grüße aus Zürich ☃".encode(), "text/plain", 18),
    ("nameless", b"Please call me back", "text/plain", 19),
    ("list.csv", b"a,b\n1,2\n", "text/csv", 8),
    ("answer.json", b'{"paid": true}', "application/json", 14),
    ("page.html", b"<!doctype html><html></html>", "text/html", 28),
    ("mail.eml", b"From: ann@example.com\nSubject: x\n\nhello", "message/rfc822", 39),
    ("claim.pdf", pdf("Delay compensation"), "application/pdf", 18),
    ("no-pdf.pdf", b"just words", "text/plain", 10),
    ("broken.pdf", b"%PDF-1.7 and nothing more", "application/pdf", None),
    ("photo.png", picture(), "image/png", None),
    ("photo-named-text.txt", picture(), "image/png", None),
    (
        "contract.docx",
        word(),
        "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
        None,
    ),
    ("encrypted.bin", hashlib.sha512(b"1").digest() * 20, "application/octet-stream", None),
    ("latin.txt", "Grüße".encode("latin-1"), "application/octet-stream", None),
    ("empty", b"", "application/octet-stream", None),
]


def test_each_document_is_described_by_its_content(landing):
    for name, content, *_ in KINDS:
        landing(f"passenger_id=17/kind=ID%20card/{name}", content)
    catalogue()
    found = sql("SELECT * FROM documents").set_index("name")
    assert len(found) == len(KINDS)
    for name, content, kind, length in KINDS:
        row = found.loc[name]
        assert (row["content_type"], row["bytes"]) == (kind, len(content)), name
        assert row["sha256"] == hashlib.sha256(content).hexdigest(), name
        assert (None if row.isna()["text_length"] else int(row["text_length"])) == length, name
        assert (
            row["address"]
            == f"s3://{NAMES.raw_bucket}/landing/passenger_id=17/kind=ID%20card/{name}"
        )


def test_documents_are_found_by_their_words_and_their_folders_in_sql(landing):
    landing("passenger_id=17/claim.pdf", pdf("I claim compensation"))
    landing("passenger_id=18/thanks.txt", b"Thank you")
    catalogue()
    found = sql(
        "SELECT element_at(attributes, 'passenger_id') AS passenger, element_at(attributes, 'x') AS"
        " x FROM documents WHERE lower(text) LIKE '%compensation%'"
    )
    assert found["passenger"].tolist() == ["17"]
    assert found["x"].isna().all()


def test_a_second_run_makes_no_call_and_reads_nothing(landing, monkeypatch):
    landing("a.txt", b"first")
    assert catalogue() == ["s3:PutObject", "glue:CreateTable"]
    monkeypatch.setattr(documents, "_described", lambda each: pytest.fail(f"{each} was read again"))
    assert catalogue() == []


def test_only_what_is_new_or_replaced_is_read(landing, monkeypatch):
    for name in ("same.txt", "replaced.txt", "gone.txt"):
        landing(name, name.encode())
    catalogue()
    landing("replaced.txt", b"other words")
    landing("new.txt", b"new")
    boto3.client("s3").delete_object(Bucket=NAMES.raw_bucket, Key="landing/gone.txt")
    read, describe = [], documents._described
    monkeypatch.setattr(
        documents, "_described", lambda each: read.append(each["uri"]) or describe(each)
    )
    [line] = documents.overview(documents.landing(NAMES))
    assert line == {"documents": 3, "unchanged": 1, "to read": 2, "no longer there": 2}
    catalogue()
    assert sorted(each.rpartition("/")[2] for each in read) == ["new.txt", "replaced.txt"]
    found = sql("SELECT name, text FROM documents ORDER BY name")
    assert found.values.tolist() == [
        ["new.txt", "new"],
        ["replaced.txt", "other words"],
        ["same.txt", "same.txt"],
    ]


def test_without_documents_there_is_an_empty_table(landing):
    catalogue()
    assert documents.count(NAMES) == 0
    assert catalogue() == []


def test_when_all_documents_go_the_table_is_empty_again(landing):
    landing("a.txt", b"a")
    catalogue()
    assert documents.count(NAMES) == 1
    boto3.client("s3").delete_object(Bucket=NAMES.raw_bucket, Key="landing/a.txt")
    catalogue()
    assert documents.count(NAMES) == 0


def test_folders_made_in_the_console_are_no_documents(landing):
    landing("inbox/", b"")
    landing("inbox/a.txt", b"a")
    catalogue()
    assert documents.count(NAMES) == 1 == len(documents.landing(NAMES).objects)


def test_a_snapshot_whose_files_are_lost_is_written_again(landing):
    landing("a.txt", b"a")
    catalogue()
    [file] = s3.objects(documents.landing(NAMES).location)
    bucket, key = s3.split(file["uri"])
    boto3.client("s3").delete_object(Bucket=bucket, Key=key)
    assert catalogue()[0] == "s3:PutObject"
    assert documents.count(NAMES) == 1


def test_a_changed_table_is_mended(landing):
    landing("a.txt", b"a")
    catalogue()
    client, database = boto3.client("glue"), NAMES.database("curated")
    have = client.get_table(DatabaseName=database, Name="documents")["Table"]
    broken = {
        key: have[key]
        for key in ("Name", "TableType", "StorageDescriptor", "PartitionKeys", "Parameters")
    }
    client.update_table(
        DatabaseName=database, TableInput={**broken, "Description": "no longer true"}
    )
    assert catalogue() == ["glue:UpdateTable"]


def test_a_plan_reads_no_document_and_makes_no_call(landing, monkeypatch):
    landing("a.txt", b"a")
    monkeypatch.setattr(documents, "_described", lambda each: pytest.fail(f"{each} was read"))
    found = documents.landing(NAMES)
    assert calls(documents.catalogued(NAMES, found, documents.read(found, apply=False))) == []
    assert [each["uri"] for each in found.pending] == [f"s3://{NAMES.raw_bucket}/landing/a.txt"]


@pytest.mark.parametrize("change", ["replaced", "deleted"])
def test_a_document_that_changes_meanwhile_stops_the_run(landing, change):
    landing("a.txt", b"a")
    found = documents.landing(NAMES)
    if change == "replaced":
        landing("a.txt", b"b")
    else:
        boto3.client("s3").delete_object(Bucket=NAMES.raw_bucket, Key="landing/a.txt")
    with pytest.raises(LakebookError, match=r"a\.txt was changed while"):
        documents.read(found, apply=True)


def test_a_long_text_is_cut_and_its_length_is_not(landing, monkeypatch):
    monkeypatch.setattr(documents, "LONGEST_TEXT", 10)
    landing("long.txt", "ü".encode() * 5000)
    catalogue()
    found = sql("SELECT text, text_length FROM documents")
    assert found.values.tolist() == [["ü" * 10, 5000]]


def test_a_document_too_large_to_be_read_whole_has_a_fingerprint_and_no_text(landing, monkeypatch):
    monkeypatch.setattr(documents, "LONGEST_READ_BYTES", 1001)
    monkeypatch.setattr(documents, "BLOCK_BYTES", 7)
    landing("large.txt", content := "ü".encode() * 5000)
    catalogue()
    found = sql("SELECT content_type, text, sha256 FROM documents")
    assert found["content_type"].tolist() == ["text/plain"]
    assert found["text"].isna().all()
    assert found["sha256"].tolist() == [hashlib.sha256(content).hexdigest()]
