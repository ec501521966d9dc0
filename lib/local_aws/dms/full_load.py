"""The rows of one table as DMS writes them on full load: one Parquet file, or CSV files of a
limited size.

https://docs.aws.amazon.com/dms/latest/userguide/CHAP_Target.S3.html
"""

from __future__ import annotations

import contextlib
import gzip
import importlib.util
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import duckdb
import psycopg
import pyarrow
import pyarrow.parquet
from psycopg import sql

from local_aws.dms.types import Carried, quote

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Self

# level 6 takes three times the processor time of the whole copy and saves a tenth of the space
GZIP_LEVEL = 1
GROUP_ROWS = 122_880  # of a row group, unless the endpoint's RowGroupLength says otherwise
DICTIONARY_BYTES = 64 << 10  # larger dictionaries cost time and save little
GROUP_BYTES = 64 << 20  # or what is in memory, if this is reached first
BATCH_ROWS, BATCH_ROWS_OF_LOBS = 30_720, 2_048  # parts of a row group; DuckDB's vectors have 2,048
DUCKDB: dict[str, str | bool | int | float | list[str]] = {
    "threads": 1,
    "memory_limit": "512MB",
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
}
CONSTANT = pyarrow.dictionary(pyarrow.int8(), pyarrow.string())  # written as a string column


class StoppedError(Exception):
    """The task was asked to stop."""


class LostSourceError(Exception):
    """The connection to the source broke, or could not be made."""


class TableError(Exception):
    """One table cannot be loaded: the source's own words."""


class Database:
    """The source, as DuckDB's PostgreSQL extension reads it: the least processor time of all ways
    to Arrow.

    Raises LostSourceError when the source cannot be reached.
    """

    def __init__(self, conninfo: str) -> None:
        self.conninfo = conninfo
        with self.connect():
            """Let psycopg say why there is no connection: DuckDB's words hold the password."""
        self.duckdb = duckdb.connect(config=DUCKDB)
        self.duckdb.execute(f"load {_literal(str(_extension()))}")
        self.duckdb.execute(f"attach {_literal(conninfo)} as source (type postgres, read_only)")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.duckdb.close()

    def connect(self) -> psycopg.Connection:
        """Another connection, without DuckDB; raises LostSourceError."""
        try:
            return psycopg.connect(self.conninfo, autocommit=True)
        except psycopg.OperationalError as error:
            raise LostSourceError(" ".join(str(error).split())) from None


@dataclass(frozen=True)
class Field:
    """One column of the files: what the source delivers, or a constant text (None: NULL)."""

    name: str
    carried: Carried | None = None
    constant: str | None = None
    now: bool = False  # the constant is the time of writing
    required: bool = False

    @property
    def arrow(self) -> pyarrow.Field:
        """As a column of a Parquet file."""
        if self.carried:
            return pyarrow.field(self.name, self.carried.type)
        kind = CONSTANT if self.constant is not None or self.now else pyarrow.string()
        return pyarrow.field(self.name, kind, nullable=not self.required)


@dataclass(frozen=True)
class Rows:
    """What to read: rows of one relation."""

    database: Database
    relation: str
    condition: str
    fields: list[Field]
    has_lobs: bool

    def select(self, expressions: list[str]) -> str:
        """The statement that yields these expressions."""
        where = f" where {self.condition}" if self.condition else ""
        return f"select {', '.join(expressions)} from {self.relation}{where}"


def write(
    rows: Rows, settings: dict[str, Any], folder: Path, advance: Callable[[int], None]
) -> list[Path]:
    """Write the files of one table into a folder as LOAD00000001.…, none when it is empty.

    `settings` are the S3 endpoint's. `advance` is told the number of rows written since, and may
    raise to end it. Raises TableError when the source refuses the table, LostSourceError when it is
    gone.
    """
    writer = _write_parquet if settings.get("DataFormat") == "parquet" else _write_csv
    return writer(rows, settings, folder, advance)


def now() -> str:
    """The time as DMS writes it."""
    return datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")


def _write_parquet(
    rows: Rows, settings: dict[str, Any], folder: Path, advance: Callable[[int], None]
) -> list[Path]:
    file, schema = (
        folder / "LOAD00000001.parquet",
        pyarrow.schema([each.arrow for each in rows.fields]),
    )
    options = _parquet_options(settings)
    group_rows = int(settings.get("RowGroupLength") or GROUP_ROWS)
    written = 0
    with (
        _batches(rows) as batches,
        pyarrow.parquet.ParquetWriter(file, schema, **options) as writer,
    ):
        for length in _written(
            writer, _groups(_completed(batches, rows.fields, schema), group_rows), group_rows
        ):
            written += length
            advance(length)
    if written:
        return [file]
    file.unlink()
    return []


def _written(
    writer: pyarrow.parquet.ParquetWriter, groups: Iterator[pyarrow.Table], group_rows: int
) -> Iterator[int]:
    """Write each group while the next one is read; the rows of each once it is written."""
    with ThreadPoolExecutor(1, "dms parquet") as pool:
        under_way: deque[tuple[Future[None], int]] = deque()
        for group in groups:
            under_way.append(
                (pool.submit(writer.write_table, group, row_group_size=group_rows), len(group))
            )
            if len(under_way) > 1:
                yield _result(*under_way.popleft())
        for each in under_way:
            yield _result(*each)


def _result(writing: Future[None], length: int) -> int:
    writing.result()
    return length


def _parquet_options(settings: dict[str, Any]) -> dict[str, Any]:
    compressed = settings.get("CompressionType") == "GZIP"
    return {
        "version": "2.6" if settings.get("ParquetVersion") == "parquet-2-0" else "1.0",
        "compression": "gzip" if compressed else "none",
        "compression_level": GZIP_LEVEL if compressed else None,
        "use_dictionary": settings.get("EncodingType") != "plain",
        "write_statistics": settings.get("EnableStatistics", True),
        "data_page_size": settings.get("DataPageSize"),
        "dictionary_pagesize_limit": settings.get("DictPageSizeLimit", DICTIONARY_BYTES),
        "coerce_timestamps": "ms" if settings.get("ParquetTimestampInMillisecond") else None,
        "allow_truncated_timestamps": True,
        "store_schema": False,
    }


@contextlib.contextmanager
def _batches(rows: Rows) -> Iterator[pyarrow.RecordBatchReader]:
    """What the source delivers of the fields, column by column."""
    expressions = [
        f"{each.carried.sql} as c{n}" for n, each in enumerate(rows.fields) if each.carried
    ]
    with rows.database.duckdb.cursor() as cursor:
        try:
            query = f"from postgres_query('source', {_literal(rows.select(expressions))})"
            yield cursor.execute(query).to_arrow_reader(
                BATCH_ROWS_OF_LOBS if rows.has_lobs else BATCH_ROWS
            )
        except (duckdb.Error, pyarrow.ArrowInvalid, OSError) as error:
            raise _explained(error, rows) from None  # DuckDB's own words may hold the password


def _explained(error: Exception, rows: Rows) -> Exception:
    """The source's own words, by asking it again without the data; whether it is there at all is
    seen on the way.
    """
    words = str(error).replace(rows.database.conninfo, "the source").strip().splitlines()
    try:
        with rows.database.connect() as connection:
            connection.execute(f"select from {rows.relation} limit 0".encode())
    except LostSourceError as lost:
        return lost
    except psycopg.Error as refusal:
        return TableError(refusal.diag.message_primary or str(refusal))
    return TableError(" ".join(words))


def _completed(
    batches: pyarrow.RecordBatchReader, fields: list[Field], schema: pyarrow.Schema
) -> Iterator[pyarrow.RecordBatch]:
    """The batches with the constant columns among the source's, named and typed as in the file."""
    for batch in batches:
        delivered = iter(batch.columns)
        columns = [
            (
                next(delivered).cast(each.carried.type, safe=False)
                if each.carried
                else _constant(each, len(batch))
            )
            for each in fields
        ]
        yield pyarrow.RecordBatch.from_arrays(columns, schema=schema)


def _constant(field: Field, length: int) -> pyarrow.Array:
    value = now() if field.now else field.constant
    if value is None:
        return pyarrow.nulls(length, pyarrow.string())
    return pyarrow.DictionaryArray.from_arrays(
        pyarrow.repeat(pyarrow.scalar(0, pyarrow.int8()), length), [value]
    )


def _groups(batches: Iterator[pyarrow.RecordBatch], group_rows: int) -> Iterator[pyarrow.Table]:
    """Batches gathered into row groups that are neither too long nor too large."""
    kept: list[pyarrow.RecordBatch] = []
    for batch in batches:
        kept.append(batch)
        if sum(map(len, kept)) >= group_rows or sum(each.nbytes for each in kept) >= GROUP_BYTES:
            yield pyarrow.Table.from_batches(kept)
            kept = []
    if kept:
        yield pyarrow.Table.from_batches(kept)


def _write_csv(
    rows: Rows, settings: dict[str, Any], folder: Path, advance: Callable[[int], None]
) -> list[Path]:
    """PostgreSQL's own CSV: quoted where RFC 4180 asks for it, and where a text would be taken for
    NULL.
    """
    target = _CsvFiles(
        folder,
        compressed=settings.get("CompressionType") == "GZIP",
        largest_bytes=int(settings.get("MaxFileSize") or 1_048_576) * 1024,
    )
    expressions = [f"{_csv(each)} as {quote(each.name)}" for each in rows.fields]
    header = settings.get("AddColumnName", False)
    copy = sql.SQL("copy ({}) to stdout (format csv, delimiter {}, null {}, header {})").format(
        sql.SQL(rows.select(expressions)),
        sql.Literal(settings.get("CsvDelimiter", ",")),
        sql.Literal(settings.get("CsvNullValue", "NULL")),
        sql.Literal(header),
    )
    try:
        with rows.database.connect() as connection, connection.cursor().copy(copy) as lines, target:
            if header:
                target.header = bytes(next(iter(lines), b""))
            for line in lines:
                target.write(bytes(line))
                if target.rows % BATCH_ROWS == 0:
                    advance(BATCH_ROWS)
    except psycopg.Error as error:
        raise _explained(error, rows) from None
    advance(target.rows % BATCH_ROWS)
    return target.files


def _csv(field: Field) -> str:
    if field.carried:
        return field.carried.csv
    if field.now:
        return "to_char(clock_timestamp() at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS.US')"
    return "null" if field.constant is None else _literal(field.constant) + "::text"


class _CsvFiles:
    """LOAD00000001.csv and so on (8 hexadecimal digits), each closed when it is large enough."""

    def __init__(self, folder: Path, *, compressed: bool, largest_bytes: int) -> None:
        self.folder, self.compressed, self.largest_bytes = folder, compressed, largest_bytes
        self.files: list[Path] = []
        self.rows = self.bytes = 0
        self.header = b""
        self._file: IO[bytes] | None = None

    def __enter__(self) -> None:
        """Open no file yet: an empty table has none."""

    def __exit__(self, *_: object) -> None:
        if self._file:
            self._file.close()

    def write(self, line: bytes) -> None:
        """Add one row."""
        if self._file is None or self.bytes + len(line) > self.largest_bytes:
            self._file = self._next()
        self._file.write(line)
        self.bytes += len(line)
        self.rows += 1

    def _next(self) -> IO[bytes]:
        self.__exit__()
        name = f"LOAD{len(self.files) + 1:08X}.csv"
        self.files.append(self.folder / (f"{name}.gz" if self.compressed else name))
        file: Any = (
            gzip.GzipFile(self.files[-1], "wb", GZIP_LEVEL)
            if self.compressed
            else self.files[-1].open("wb")
        )
        file.write(self.header)
        self.bytes = len(self.header)
        return file  # type: ignore[no-any-return] # GzipFile is an IO[bytes] in all but name


def _extension() -> Path:
    """DuckDB's PostgreSQL extension, from its own package: nothing is ever fetched."""
    package = importlib.util.find_spec("duckdb_extension_postgres_scanner")
    if not package or not package.origin:
        raise TableError("The package duckdb-extension-postgres-scanner is not installed.")
    return next(Path(package.origin).parent.rglob("postgres_scanner.duckdb_extension"))


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
