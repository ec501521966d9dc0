"""What a Parquet file says of its columns, read from its footer."""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow
import pyarrow.parquet

if TYPE_CHECKING:
    from pathlib import Path

ANNOTATIONS = {"STRING": "UTF8", "NONE": ""}


class NotParquetError(Exception):
    """The file is cut short or no Parquet at all; `found` is its last four bytes."""

    def __init__(self, found: str) -> None:
        super().__init__(found)
        self.found = found


@dataclass(frozen=True)
class Field:
    """One top-level column of a file."""

    name: str
    physical: (
        # INT32, INT64, INT96, FLOAT, DOUBLE, BOOLEAN, BYTE_ARRAY, FIXED_LEN_BYTE_ARRAY, or GROUP
        # where nested
        str
    )
    logical: str  # STRING, DECIMAL, DATE, TIMESTAMP, INT, …; NONE
    precision: int = 0
    scale: int = 0
    bits: int = 0  # of an INT annotation
    unit: str = ""  # of a timestamp: milliseconds, microseconds, nanoseconds
    utc: bool = False  # of a timestamp: isAdjustedToUTC
    required: bool = False
    length: int = 0  # bytes of a FIXED_LEN_BYTE_ARRAY

    @property
    def schema_text(self) -> str:
        """As Parquet's own tools print it: `optional int32 amount`, `optional binary name
        (UTF8)`.
        """
        words = {
            "BYTE_ARRAY": "binary",
            "FIXED_LEN_BYTE_ARRAY": f"fixed_len_byte_array({self.length})",
        }
        annotation = ANNOTATIONS.get(self.logical, self.logical)
        if self.logical == "DECIMAL":
            annotation = f"DECIMAL({self.precision},{self.scale})"
        elif self.logical == "INT":
            annotation = f"INT_{self.bits}"
        elif self.logical == "TIMESTAMP":
            annotation = (
                f"TIMESTAMP({self.unit.upper().replace('SECONDS', 'S')},{str(self.utc).lower()})"
            )
        kind = words.get(self.physical, self.physical.lower())
        return f"{'required' if self.required else 'optional'} {kind} {self.name}" + (
            f" ({annotation})" if annotation else ""
        )


@dataclass(frozen=True)
class Footer:
    """The columns and the number of rows of one file."""

    fields: tuple[Field, ...]
    rows: int
    stored_bytes: tuple[int, ...]  # of each column, as compressed


def footer(path: Path) -> Footer:
    """The footer of a file; raises NotParquetError."""
    stat = path.stat()
    return _footer(path, stat.st_mtime_ns, stat.st_size)


@functools.lru_cache(maxsize=50_000)
def _footer(path: Path, _changed: int, _bytes: int) -> Footer:
    try:
        metadata = pyarrow.parquet.read_metadata(path)
    except (pyarrow.ArrowInvalid, OSError) as broken:
        raise NotParquetError(path.read_bytes()[-4:].decode("ascii", "replace")) from broken
    schema = metadata.schema
    columns: dict[str, Field] = {}
    for number in range(len(schema)):
        column = schema.column(number)
        name, *inner = column.path.split(".") if column.path != column.name else [column.name]
        columns[name] = Field(name, "GROUP", "NESTED") if inner else _field(column)
    return Footer(tuple(columns.values()), metadata.num_rows, _stored_bytes(metadata, columns))


def _stored_bytes(
    metadata: pyarrow.parquet.FileMetaData, columns: dict[str, Field]
) -> tuple[int, ...]:
    """What each top-level column takes in the file, in the columns' order."""
    places = {name: place for place, name in enumerate(columns)}
    found = [0] * len(columns)
    for group in range(metadata.num_row_groups):
        for number in range(metadata.num_columns):
            chunk, path = (
                metadata.row_group(group).column(number),
                metadata.schema.column(number).path,
            )
            found[places.get(path, places.get(path.split(".")[0], 0))] += (
                chunk.total_compressed_size
            )
    return tuple(found)


def _field(column: pyarrow.parquet.ColumnSchema) -> Field:
    logical = column.logical_type.type
    details = json.loads(column.logical_type.to_json())
    return Field(
        column.name,
        column.physical_type,
        logical,
        precision=column.precision if logical == "DECIMAL" else 0,
        scale=column.scale if logical == "DECIMAL" else 0,
        bits=int(details.get("bitWidth", 0)) * (1 if details.get("isSigned", True) else -1),
        unit=str(details.get("timeUnit", "")),
        utc=bool(details.get("isAdjustedToUTC", False)),
        required=column.max_definition_level == 0,
        length=column.length,
    )
