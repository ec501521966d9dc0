"""Fine-grained access of Glue jobs: the Data Catalog as Lake Formation shows it to a job's role,
its rows filtered before Spark has them.

On AWS the script's driver has neither the files nor the credentials; a system driver reads and
filters for it. Here the stand-in does:
https://docs.aws.amazon.com/glue/latest/dg/security-lf-enable.html
"""

from __future__ import annotations

import shutil
import uuid
from typing import TYPE_CHECKING

import duckdb
from botocore.exceptions import ClientError
from sqlglot import exp

from local_aws.duckdb_sql import literal
from local_aws.engines.duckdb import confined
from local_aws.engines.lake_tables import LakeError, LakeTable, lake_table
from local_aws.errors import AccessDeniedError, ApiError
from local_aws.lakeformation.access import denied

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from local_aws.stand_in import StandIn

PATH = "/_local_aws/glue"  # asked with the id of the run
WORKERS = 4  # at least: a driver and an executor each of the user's and of the system's


def wanted(arguments: dict[str, str]) -> bool:
    """Whether a run's arguments ask for fine-grained access."""
    return arguments.get("--enable-lakeformation-fine-grained-access", "").lower() == "true"


class NotThereError(Exception):
    """A database or table that is not in the Data Catalog, as the role sees it."""


class FilteredCatalog:
    """What the Spark of one run asks; `stand_in` acts as the job's role, with what Lake Formation
    vends.
    """

    def __init__(self, stand_in: StandIn, folder: Path) -> None:
        self._stand_in, self._folder = stand_in, folder

    def answer(self, asked: str, database: str, table: str) -> tuple[int, str]:
        """HTTP's status and a text: names or columns line by line, the file with a table's rows, or
        why not.
        """
        asks: dict[str, Callable[[], str]] = {
            "databases": self._databases,
            "tables": lambda: self._tables(database),
            "columns": lambda: self._columns(self._table(database, table)),
            "rows": lambda: self._rows(self._table(database, table)),
        }
        try:
            return 200, asks[asked]()
        except NotThereError as absent:
            return 404, str(absent)
        except AccessDeniedError as refused:
            return 403, refused.sentence
        except ApiError as refused:
            return 403, f"{refused.code}: {refused.message}"
        except ClientError as refused:
            error = refused.response["Error"]
            return (
                404 if error["Code"] == "EntityNotFoundException" else 403
            ), f"{error['Code']}: {error['Message']}"
        except LakeError as broken:
            return 500, str(broken)
        except duckdb.Error:  # in whose words may be a value that is hidden
            return (
                500,
                (
                    f"The files of {database}.{table} cannot be read as the Data Catalog describes"
                    " them."
                ),
            )

    def _databases(self) -> str:
        pages = self._stand_in.client("glue").get_paginator("get_databases").paginate()
        return "\n".join(each["Name"] for page in pages for each in page["DatabaseList"])

    def _tables(self, database: str) -> str:
        pages = (
            self._stand_in.client("glue")
            .get_paginator("get_tables")
            .paginate(DatabaseName=database)
        )
        return "\n".join(each["Name"] for page in pages for each in page["TableList"])

    def _table(self, database: str, name: str) -> LakeTable:
        table = lake_table(self._stand_in, database, name)
        if table is None:
            raise NotThereError(f"Table {database}.{name} not found.")
        if not table.visible:
            raise denied("Select", name)
        table.timestamp_digits = 6
        return table

    def _columns(self, table: LakeTable) -> str:
        """Name and type of each column that is seen, as Spark writes a schema."""
        storage = table.described["StorageDescriptor"]
        described = [*storage["Columns"], *table.described.get("PartitionKeys", [])]
        return ",\n".join(
            f"{exp.to_identifier(each['Name'].lower(), quoted=True).sql('spark')}"
            f" {each['Type']}{_comment(each.get('Comment', ''))}"
            for each in described
            if each["Name"].lower() in table.visible
        )

    def _rows(self, table: LakeTable) -> str:
        """A Parquet file of what is seen of the table now."""
        scratch = self._folder / "tables" / uuid.uuid4().hex
        scratch.mkdir(parents=True)
        rows = scratch / "rows.parquet"
        with confined(self._stand_in.directory, spill=scratch / "spill") as connection:
            table.show(connection, "seen", self._stand_in)
            connection.execute(
                f"COPY (SELECT * FROM seen) TO {literal(str(rows))} (FORMAT parquet)"
            )
        shutil.rmtree(scratch / "spill", ignore_errors=True)
        return rows.as_uri()


def _comment(text: str) -> str:
    return f" COMMENT {exp.Literal.string(text).sql('spark')}" if text else ""
