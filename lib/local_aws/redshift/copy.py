"""COPY … FORMAT AS PARQUET as strict as Redshift: by position, with exact types, all files or none.

https://docs.aws.amazon.com/redshift/latest/dg/copy-usage_notes-copy-from-columnar.html
"""

from __future__ import annotations

import contextlib
import json
import re
from typing import TYPE_CHECKING, Any

import duckdb
from botocore.exceptions import ClientError

from local_aws.duckdb_sql import files as parquet_files
from local_aws.duckdb_sql import quote
from local_aws.engines.authorized_objects import ObjectDeniedError
from local_aws.engines.parquet_files import Field, NotParquetError, footer
from local_aws.errors import AccessDeniedError
from local_aws.redshift.database import Database, definitions, keep_up, relation_exists, utc_now
from local_aws.redshift.sql import RedshiftError, folded

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from local_aws.redshift.session import Session
    from local_aws.s3.objects import Objects
    from local_aws.stand_in import StandIn

NAME = r'(?:"[^"]+"|\w+)'
COPY = re.compile(
    rf"COPY\s+(?P<table>{NAME}(?:\.{NAME})?)\s*(?:\((?P<columns>[^)]*)\))?\s+FROM\s+'(?P<source>[^']+)'\s*(?P<options>.*)",
    re.IGNORECASE | re.DOTALL,
)
ROLE = re.compile(r"IAM_ROLE\s+(?:'(?P<role>[^']+)'|(?P<default>default))", re.IGNORECASE)
FORMAT = re.compile(r"(?:FORMAT\s+(?:AS\s+)?)?\bPARQUET\b", re.IGNORECASE)
NOT_HERE = (
    "FILLRECORD",
    "ACCEPTINVCHARS",
    "EXPLICIT_IDS",
    "SERIALIZETOJSON",
)  # allowed with Parquet, but not done here
PRINCIPALS = ("redshift.amazonaws.com", "redshift-serverless.amazonaws.com")
CODES = {"Spectrum Scan Error": 15007}


def copy(session: Session, sql: str, query_id: int) -> int:
    """Load the files and return the number of rows; raises RedshiftError before anything is
    loaded.
    """
    found = COPY.fullmatch(sql.strip().rstrip(";"))
    if not found:
        raise RedshiftError('syntax error at or near "COPY"')
    database, connection = session.database, session.connection
    schema, table = session.names_of(found["table"])
    if "." not in found["table"] and relation_exists(connection, "", table):
        schema = ""
    if not relation_exists(connection, schema, table):
        raise RedshiftError(f"Cannot COPY into nonexistent table {table}")
    session.rights.touch(schema, table, "INSERT")
    role, manifest = _options(database, found["options"])
    columns = definitions(connection, schema, table)
    if found["columns"]:
        named = {each["column_name"]: each for each in columns}
        wanted = [folded(name.strip()) for name in found["columns"].split(",")]
        if absent := [name for name in wanted if name not in named]:
            raise RedshiftError(f'column "{absent[0]}" of relation "{table}" does not exist')
        columns = [named[name] for name in wanted]
    place = f"{quote(schema or 'temp')}.{quote(table)}"
    was_empty = not connection.execute(f"SELECT 1 FROM {place} LIMIT 1").fetchall()
    record = {
        "query_id": query_id,
        "table_name": table,
        "start_time": utc_now(),
        "data_source": found["source"],
        "file_format": "parquet",
        "user_id": 100,
    }
    try:
        with denials():
            files = (_manifest_files if manifest else _prefix_files)(
                lake_as(database, role).objects, found["source"]
            )
        prefix = files[0][0].rpartition("/")[0] if manifest else found["source"]
        rows = _load(database, connection, place, columns, files, prefix, record)
    except (RedshiftError, duckdb.Error) as refused:
        _note(database, record, "failed", str(refused))
        raise
    if (
        was_empty and schema
        # the rows are sorted on their way, and counted (COMPUPDATE and STATUPDATE of an empty
        # table)
    ):
        keep_up(connection, schema, table, sort=True, analyze=True)
    _note(database, record | {"loaded_rows": rows}, "completed", "")
    return rows


def rolled_back(database: Database, query_id: int) -> None:
    """Note in SYS_LOAD_HISTORY that the transaction of a load was rolled back."""
    for each in database.loads:
        if each["query_id"] == query_id and each["status"] == "completed":
            each |= {"status": "aborted", "loaded_rows": 0}


def _load(
    database: Database,
    connection: duckdb.DuckDBPyConnection,
    target: str,
    columns: list[dict[str, Any]],
    files: list[tuple[str, Path]],
    prefix: str,
    record: dict[str, Any],
) -> int:
    sizes = {address: path.stat().st_size for address, path in files}
    record |= {
        "source_file_count": len(files),
        "source_file_bytes": sum(sizes.values()),
        "loaded_bytes": sum(sizes.values()),
    }
    kinds: dict[tuple[Field, ...], list[Path]] = {}
    for address, path in files:
        fields = _fields(database, address, path)
        _check(database, address, prefix, columns, fields)
        kinds.setdefault(fields, []).append(path)
    rows = 0
    for fields, paths in kinds.items():
        values = ", ".join(
            _value(each["duckdb"], one) for each, one in zip(columns, fields, strict=True)
        )
        names = ", ".join(quote(each["column_name"]) for each in columns)
        rows += connection.execute(
            f"INSERT INTO {target} ({names}) SELECT {values} FROM"
            f" read_parquet({parquet_files(paths)}, hive_partitioning=false)"
        ).fetchall()[0][0]
    return rows


def _options(database: Database, text: str) -> tuple[str, bool]:
    """The role, and whether the source is a manifest; raises RedshiftError for a missing role,
    another format and options that Parquet does not take.
    """
    role = ROLE.search(text)
    if not role:
        raise RedshiftError(
            "COPY needs IAM_ROLE 'arn:…' or IAM_ROLE default: local_aws takes no other credentials"
            if re.search("credentials|access_key", text, re.IGNORECASE)
            else "Must specify an IAM role: CREDENTIALS or IAM_ROLE is required"
        )
    arn = check_role(database, role["role"] or "")
    rest = ROLE.sub(" ", text)
    if not FORMAT.search(rest):
        raise RedshiftError("local_aws does COPY with FORMAT AS PARQUET only")
    rest = re.sub(
        r"\bSTATUPDATE(\s+(ON|OFF|TRUE|FALSE))?\b", " ", FORMAT.sub(" ", rest), flags=re.IGNORECASE
    )
    manifest = re.search(r"\bMANIFEST\b", rest, re.IGNORECASE) is not None
    if left := re.sub(r"\bMANIFEST\b", " ", rest, flags=re.IGNORECASE).split():
        option = left[0].upper()
        if option in NOT_HERE:
            raise RedshiftError(f"local_aws does not do COPY with {option}")
        raise RedshiftError(f"{option} argument is not supported for PARQUET based COPY")
    return arn, manifest


def check_role(database: Database, role: str) -> str:
    """The role's ARN (the default one for ""); raises RedshiftError unless it exists and is
    attached to the namespace.
    """
    arn = role or database.default_role
    if not arn:
        raise RedshiftError(
            "Cannot find default IAM role: no default IAM role is associated with the namespace"
        )
    if arn not in database.iam_roles or not _principal(database, arn):
        place, name = next(iter(database.where.items()))
        service, kind = (
            ("redshift", "dbuser")
            if place == "ClusterIdentifier"
            else ("redshift-serverless", "workgroup")
        )
        user = f"arn:aws:{service}:{database.stand_in.region}:{arn.split(':')[4]}:{kind}/{name}"
        raise RedshiftError(
            detailed(
                f"User {user} is not authorized to assume IAM Role {arn}", f"IAM Role={arn}", 8001
            )
        )
    return arn


def lake_as(database: Database, role: str, *, lake_formation: bool = False) -> StandIn:
    """The stand-in as a role of the namespace may use it; raises RedshiftError when Redshift may
    not take the role any more.
    """
    arn = check_role(database, role)
    session = database.stand_in.service_session(arn, _principal(database, arn))
    return database.stand_in.acting_as(session, lake_formation=lake_formation)


@contextlib.contextmanager
def denials() -> Iterator[None]:
    """What S3 and Glue refuse to the role, in Redshift's words."""
    try:
        yield
    except ObjectDeniedError as denied:
        said = f"S3ServiceException:{denied.sentence},Status 403,Error AccessDenied"
        raise RedshiftError(detailed(said, denied.address, 8001)) from None
    except AccessDeniedError as denied:
        raise RedshiftError(
            detailed(f"{denied.code}: {denied.sentence}", "Lake Formation", 8001)
        ) from None
    except ClientError as denied:
        error = denied.response["Error"]
        raise RedshiftError(
            detailed(f"{error['Code']}: {error['Message']}", "Glue", 8001)
        ) from None


def _principal(database: Database, role: str) -> str:
    """The name by which Redshift may take a role; "" when it may not, or there is no such role."""
    return next((each for each in PRINCIPALS if database.stand_in.may_assume(role, each)), "")


def detailed(error: str, context: str, code: int = 0) -> str:
    """An error with the block of details that Redshift adds."""
    line = "-----------------------------------------------"
    return (
        f"{error}\n  Detail: \n  {line}\n  error:  {error}\n  code:     "
        f" {code or CODES.get(error, 8001)}\n  context:   {context}\n  {line}"
    )


def _split(address: str) -> tuple[str, str]:
    bucket, _, key = address.removeprefix("s3://").partition("/")
    return bucket, key


def _prefix_files(objects: Objects, source: str) -> list[tuple[str, Path]]:
    bucket, prefix = _split(source)
    if not source.startswith("s3://"):
        raise RedshiftError(
            f"COPY from {source.partition('://')[0]} is not done by local_aws: only from s3://"
        )
    if not objects.bucket_exists(bucket):
        raise RedshiftError(
            detailed(
                "S3ServiceException:The specified bucket does not exist,Status 404,Error"
                " NoSuchBucket",
                f"Listing bucket={bucket} prefix={prefix}",
                8001,
            )
        )
    keys = [key for key in objects.keys(bucket, prefix) if not key.endswith("/")]
    if not keys:
        raise RedshiftError(
            detailed(f"The specified S3 prefix '{prefix}' does not exist", "", 8001)
        )
    return [(f"s3://{bucket}/{key}", objects.path(bucket, key)) for key in keys]


def _manifest_files(objects: Objects, source: str) -> list[tuple[str, Path]]:
    """https://docs.aws.amazon.com/redshift/latest/dg/loading-data-files-using-manifest.html"""
    path = objects.path(*_split(source))
    if not path.is_file():
        raise RedshiftError(
            detailed(
                "Problem reading manifest file - S3ServiceException:The specified key does not"
                " exist.,Status 404,Error NoSuchKey",
                source,
                8001,
            )
        )
    try:
        entries = json.loads(path.read_bytes())["entries"]
        listed = [
            (each["url"], bool(each.get("mandatory")), each.get("meta", {}).get("content_length"))
            for each in entries
        ]
    except (ValueError, KeyError, TypeError, AttributeError) as wrong:
        raise RedshiftError(
            detailed(f"Invalid JSON in manifest file {source}", str(wrong), 8001)
        ) from wrong
    files = []
    for address, mandatory, length in listed:
        file = objects.path(*_split(address))
        if not file.is_file():
            if mandatory:
                raise RedshiftError(
                    detailed(
                        f"Mandatory url {address} in the manifest {source} does not exist",
                        address,
                        8001,
                    )
                )
            continue
        if length is None:
            raise RedshiftError(
                detailed(
                    f"Manifest {source} has no meta.content_length for {address}, which columnar"
                    " files need",
                    address,
                    8001,
                )
            )
        if length != file.stat().st_size:
            raise RedshiftError(
                detailed(
                    f"File {address} has {file.stat().st_size} bytes, but meta.content_length in"
                    f" the manifest {source} says {length}",
                    address,
                    8001,
                )
            )
        files.append((address, file))
    if not files:
        raise RedshiftError(detailed(f"No file of the manifest {source} exists", source, 8001))
    return files


def _web(database: Database, address: str) -> str:
    return f"https://s3.{database.stand_in.region}.amazonaws.com/{address.removeprefix('s3://')}"


def _fields(database: Database, address: str, path: Path) -> tuple[Field, ...]:
    try:
        return footer(path).fields
    except NotParquetError as broken:
        context = (
            f"File '{_web(database, address)}' has an invalid version number: {broken.found}. It is"
            " cut short or no Parquet"
        )
        raise RedshiftError(detailed("Spectrum Scan Error", context)) from broken


def _check(
    database: Database,
    address: str,
    prefix: str,
    columns: list[dict[str, Any]],
    fields: tuple[Field, ...],
) -> None:
    if len(columns) != len(fields):
        context = (
            f"Unmatched number of columns between table and file. Table columns: {len(columns)},"
            f" Data columns: {len(fields)}, File name: {_web(database, address)}"
        )
        raise RedshiftError(detailed("Spectrum Scan Error", context))
    for place, (column, found) in enumerate(zip(columns, fields, strict=True)):
        if not _fits(column, found):
            where = f"{prefix.rstrip('/')}.{column['column_name']}"
            schema = f"{found.schema_text} [i:{place} d:{0 if found.required else 1} r:0]"
            context = (
                f"File '{_web(database, address)}' has an incompatible Parquet schema for column"
                f" '{where}'. Column type: {column['copy']}, Parquet schema:\n{schema}"
            )
            raise RedshiftError(detailed("Spectrum Scan Error", context))
        if found.unit == "nanoseconds":
            raise RedshiftError(
                f"local_aws refuses {address}: column {found.name} has nanoseconds, which Redshift"
                " loads as absurd dates without an error; write microseconds"
            )


def _fits(column: dict[str, Any], found: Field) -> bool:
    kind = column["copy"]
    whole = {"SMALLINT": ("INT32", (16, 8)), "INT": ("INT32", (32,)), "BIGINT": ("INT64", (64,))}
    if kind in whole:
        physical, bits = whole[kind]
        return found.physical == physical and (
            (found.logical == "NONE" and kind != "SMALLINT")
            or (found.logical == "INT" and found.bits in bits)
        )
    if kind in ("REAL", "DOUBLE", "BOOLEAN"):
        return found.physical == str(kind).replace("REAL", "FLOAT")
    if kind == "DATE":
        return found.logical == "DATE"
    if kind in ("TIMESTAMP", "TIMESTAMPTZ"):
        return found.physical == "INT96" or found.logical == "TIMESTAMP"
    if kind.startswith("DECIMAL"):
        sizes = (found.precision, found.scale) == (column["precision"], column["scale"])
        return found.logical == "DECIMAL" and sizes
    if kind in ("VARCHAR", "CHAR"):
        return found.physical == "BYTE_ARRAY" and found.logical != "DECIMAL"
    return (
        bool(kind == "VARBYTE")
        and found.physical == "BYTE_ARRAY"
        and found.logical in ("NONE", "STRING")
    )


def _value(duckdb_type: str, found: Field) -> str:
    """The file's column; the type fits, only what DuckDB reads otherwise is converted."""
    column = quote(found.name)
    if found.utc and duckdb_type == "TIMESTAMP":
        return f"CAST({column} AS TIMESTAMP)"
    if duckdb_type == "VARCHAR" and found.logical not in ("STRING", "ENUM", "JSON"):
        return f"decode({column})"
    return f"encode({column})" if duckdb_type == "BLOB" and found.logical == "STRING" else column


def _note(database: Database, record: dict[str, Any], status: str, message: str) -> None:
    end = utc_now()
    whole = {
        "loaded_rows": 0,
        "loaded_bytes": 0,
        "source_file_count": 0,
        "source_file_bytes": 0,
        **record,
    }
    database.loads.append(
        {
            **whole,
            "status": status,
            "end_time": end,
            "duration": int((end - record["start_time"]).total_seconds() * 1e6),
            "error_count": 1 if message else 0,
        }
    )
    if message:
        database.errors.append(
            {
                **record,
                "file_name": record["data_source"],
                "column_name": "",
                "column_type": "",
                "error_code": 15007,
                "error_message": message.partition("\n")[0],
            }
        )
