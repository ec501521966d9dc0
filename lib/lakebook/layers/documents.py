"""Documents: files dropped into the landing prefix become a curated table with their type,
fingerprint and text, found by SQL.

The table is a snapshot like every other: named by the objects it describes, written aside, shown by
one switch of the catalog.
"""

from __future__ import annotations

import codecs
import hashlib
import io
import json
import mimetypes
import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import puremagic
import pyarrow
import pyarrow.parquet
import pypdf
from botocore.exceptions import ClientError

from lakebook import aws
from lakebook.ensure import Call, Resource, resource
from lakebook.errors import LakebookError
from lakebook.layers import lake
from lakebook.services import athena, glue, s3

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lakebook.names import Names

TABLE = "documents"
CATALOGUED = "lakebook.documents"  # of which objects the table was made, in its own parameters
COMMENT = (
    "Files dropped into the landing prefix, what they are and what is written in them; personal"
    " data"
)
VERSION = 1  # one more whenever the same object would be described otherwise
READ_AT_ONCE = 8  # objects
BLOCK_BYTES = 1 << 20
LONGEST_READ_BYTES = 32 << 20  # of a document whose text is wanted; a longer one has no text here
LONGEST_TEXT = 1_000_000  # characters
ROWS_PER_FILE = 10_000
CERTAIN = 0.5  # puremagic's confidence from which the content, and not only the name, has spoken
ATTRIBUTE = re.compile(r"(\w+)=([^/]+)/")
WRITTEN_TEXT = re.compile(r"text/.*|message/rfc822|image/svg\+xml|application/(.*\+)?(json|xml)")
FULL_NAME = "landing.documents"  # as the classification names the table
COLUMNS = {  # name: (Parquet type, Hive type, comment)
    "address": (pyarrow.string(), "string", "Where the document is: s3://bucket/key"),
    "name": (pyarrow.string(), "string", "Last part of the key"),
    "attributes": (
        pyarrow.map_(pyarrow.string(), pyarrow.string()),
        "map<string,string>",
        "What the folders say: passenger_id=17/ makes attributes['passenger_id'] 17",
    ),
    "bytes": (pyarrow.int64(), "bigint", "Size of the document"),
    "modified": (pyarrow.timestamp("us"), "timestamp", "When it was put there, UTC"),
    "etag": (
        pyarrow.string(),
        "string",
        "S3's tag of this content; a document with another is read again",
    ),
    "content_type": (
        pyarrow.string(),
        "string",
        "What it is, by its content; by its name only for kinds of text",
    ),
    "sha256": (
        pyarrow.string(),
        "string",
        "Fingerprint of its bytes; equal documents have equal ones",
    ),
    "text_length": (pyarrow.int32(), "int", "Characters of its text; NULL where it has none"),
    "text": (
        pyarrow.string(),
        "string",
        f"What is written in it: text files and PDF, the first {LONGEST_TEXT:,} characters; no OCR",
    ),
}
SCHEMA = pyarrow.schema([(name, kind) for name, (kind, _, _) in COLUMNS.items()])


@dataclass(frozen=True)
class Landing:
    """What is in the landing prefix now, and what of it the catalog knows."""

    objects: list[dict[str, Any]]  # [{"uri", "bytes", "etag"}]
    known: pyarrow.Table  # the catalogued rows whose object is still the same
    catalogued: int  # documents in the table as it is
    inputs: str  # names the snapshot that describes these objects
    location: str  # s3://acme-rehearsal-curated/landing/documents/snapshot=<inputs>/
    done: bool  # the catalog shows that snapshot, and its files are all there

    @property
    def pending(self) -> list[dict[str, Any]]:
        """The objects that are new or were replaced."""
        known = set(self.known["address"].to_pylist())
        return [each for each in self.objects if each["uri"] not in known]


def prefix(names: Names) -> str:
    """Where documents are dropped: `s3://acme-rehearsal-raw/landing/`."""
    return f"s3://{names.raw_bucket}/landing/"


def landing(names: Names) -> Landing:
    """The landing prefix compared with the table; reads no document."""
    tables = tuple(
        lake.raw_location(names, lake.source_of(each)) for each in lake.of_sources(names, "raw")
    )
    if f"{prefix(names)}{TABLE}/" in tables:
        raise LakebookError(
            f"The source has a table {FULL_NAME}, which is the name of the documents: leave it out"
            " (excluded_tables)."
        )
    objects = [  # the console makes folders, and a schema of the source may have the prefix's name
        each
        for each in s3.objects(prefix(names))
        if not each["uri"].endswith("/") and not each["uri"].startswith(tables)
    ]
    inputs = lake.fingerprint([VERSION, objects])
    location = f"s3://{names.curated_bucket}/landing/documents/snapshot={inputs}/"
    actual = glue.describe(names.database("curated"), TABLE)
    proof = json.loads(actual["Parameters"].get(CATALOGUED, "{}")) if actual else {}
    done = proof == _proof(inputs, location)
    rows = (
        _rows(actual["StorageDescriptor"]["Location"])
        if actual and proof.get("version") == VERSION
        else _nothing()
    )
    now = {each["uri"]: each["etag"] for each in objects}
    same = [
        now.get(uri) == etag
        for uri, etag in zip(*(rows[name].to_pylist() for name in ("address", "etag")), strict=True)
    ]
    return Landing(
        objects,
        rows.filter(pyarrow.array(same, pyarrow.bool_())),
        len(rows),
        inputs,
        location,
        done,
    )


def overview(found: Landing) -> list[dict[str, int]]:
    """One line: how many documents are there, unchanged, to be read, and how many rows will go."""
    return [
        {
            "documents": len(found.objects),
            "unchanged": len(found.known),
            "to read": len(found.pending),
            "no longer there": found.catalogued - len(found.known),
        }
    ]


def read(found: Landing, *, apply: bool) -> pyarrow.Table | None:
    """Every document's row, the pending ones read now; None unless `apply`, and where nothing has
    changed.

    Raises LakebookError when an object goes or changes meanwhile.
    """
    if not apply or found.done:
        return None
    with ThreadPoolExecutor(READ_AT_ONCE) as readers:
        new = pyarrow.Table.from_pylist(list(readers.map(_described, found.pending)), SCHEMA)
    return pyarrow.concat_tables([found.known, new]).sort_by("address")


def catalogued(names: Names, found: Landing, rows: pyarrow.Table | None) -> list[Resource]:
    """The snapshot of these rows, and the table `documents` that shows it."""
    return [snapshot(found.location, rows), shown(TABLE, names, found, rows)]


@resource
def snapshot(location: str, rows: pyarrow.Table | None) -> Iterator[Call]:
    """The rows as Parquet at a location of their own."""
    if rows is None:
        return
    yield from s3.emptied(location)  # what a run that failed half-way has left
    bucket, folder = s3.split(location)
    for start in range(0, len(rows), ROWS_PER_FILE):
        key, part = (
            f"{folder}part-{start // ROWS_PER_FILE:05}.parquet",
            _Parquet(rows.slice(start, ROWS_PER_FILE)),
        )
        yield Call(aws.client("s3").put_object, {"Bucket": bucket, "Key": key, "Body": part})


@resource
def shown(name: str, names: Names, found: Landing, rows: pyarrow.Table | None) -> Iterator[Call]:
    """The table of the curated database, over this snapshot."""
    if rows is None and not found.done:
        return
    columns = [(column, kind, comment) for column, (_, kind, comment) in COLUMNS.items()]
    parameters = {CATALOGUED: json.dumps(_proof(found.inputs, found.location))}
    wanted = glue.parquet_table(columns, found.location, COMMENT, parameters)
    yield from glue.table(name, names.database("curated"), wanted)


def count(names: Names) -> int:
    """How many documents a query finds."""
    sql = f"SELECT count(*) FROM {TABLE}"
    return int(athena.answer(sql, names.database("curated"), names.resource("lakebook"))[0][0])


class _Parquet(io.BytesIO):
    """A Parquet file in memory that says of itself how many rows it has."""

    def __init__(self, rows: pyarrow.Table) -> None:
        super().__init__()
        pyarrow.parquet.write_table(rows, self)
        self.seek(0)
        self.rows = len(rows)

    def __repr__(self) -> str:
        return f"{self.rows} rows of Parquet"


def _proof(inputs: str, location: str) -> dict[str, Any]:
    return {"version": VERSION, "inputs": inputs, "files": lake.fingerprint(s3.objects(location))}


def _nothing() -> pyarrow.Table:
    return SCHEMA.empty_table()


def _rows(location: str) -> pyarrow.Table:
    bodies = [
        aws.client("s3").get_object(**_named(each["uri"]))["Body"].read()
        for each in s3.objects(location)
    ]
    return pyarrow.concat_tables(
        [_nothing(), *(pyarrow.parquet.read_table(io.BytesIO(each)) for each in bodies)]
    )


def _named(uri: str) -> dict[str, Any]:
    bucket, key = s3.split(uri)
    return {"Bucket": bucket, "Key": key}


def _described(document: dict[str, Any]) -> dict[str, Any]:
    """One document's row; its bytes are read once and are never all in memory but for its text."""
    uri, name = document["uri"], document["uri"].rpartition("/")[2]
    try:
        answer = aws.client("s3").get_object(**_named(uri), IfMatch=document["etag"])
    except ClientError as error:
        if error.response["Error"]["Code"] not in ("NoSuchKey", "PreconditionFailed"):
            raise
        raise LakebookError(
            f"{uri} was changed while the documents were being read; run this phase again."
        ) from error
    digest, start = hashlib.sha256(), bytearray()
    for block in answer["Body"].iter_chunks(BLOCK_BYTES):
        digest.update(block)
        start += block if len(start) < LONGEST_READ_BYTES else b""
    kind = content_type(bytes(start), name)
    text = _text(bytes(start), kind) if document["bytes"] <= LONGEST_READ_BYTES else None
    return {
        "address": uri,
        "name": name,
        "attributes": [(key, unquote(value)) for key, value in ATTRIBUTE.findall(uri)],
        "bytes": document["bytes"],
        "modified": answer["LastModified"].replace(tzinfo=None),
        "etag": document["etag"],
        "content_type": kind,
        "sha256": digest.hexdigest(),
        "text_length": None if text is None else len(text),
        "text": None if text is None else text[:LONGEST_TEXT],
    }


def content_type(content: bytes, name: str) -> str:
    """What a document is by its content (`application/pdf`); the name only tells kinds of text
    apart (`text/csv`).
    """
    if recognized := _recognized(content, name):
        return recognized
    if not content or b"\0" in content or _decoded(content) is None:
        return "application/octet-stream"
    guessed = mimetypes.guess_type(name, strict=False)[0] or ""
    return guessed if WRITTEN_TEXT.fullmatch(guessed) else "text/plain"


def _recognized(content: bytes, name: str) -> str:
    try:
        best = puremagic.magic_string(content, name)[0]
    except (puremagic.PureError, ValueError):  # nothing known is in it, or nothing at all
        return ""
    return str(best.mime_type) if best.confidence >= CERTAIN else ""


def _text(content: bytes, kind: str) -> str | None:
    """What is written in a document, or None where that cannot be read."""
    if kind == "application/pdf":
        try:
            return "\n".join(
                page.extract_text() for page in pypdf.PdfReader(io.BytesIO(content)).pages
            )
        except Exception:  # noqa: BLE001 - pypdf raises what it likes on broken or encrypted files, which stay without text
            return None
    return _decoded(content) if WRITTEN_TEXT.fullmatch(kind) else None


def _decoded(content: bytes) -> str | None:
    try:
        # does not mind a character cut at the end
        return codecs.getincrementaldecoder("utf-8-sig")().decode(content)
    except UnicodeDecodeError:
        return None
