"""Permissions, tried: every role by every access path of the lake, for every column, expected
against seen.
"""

from __future__ import annotations

import contextlib
import re
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cached_property
from typing import TYPE_CHECKING, Any

import awswrangler as wr
import boto3
import matplotlib.pyplot as plt
import pandas as pd
from botocore.credentials import RefreshableCredentials, create_assume_role_refresher
from botocore.exceptions import ClientError
from matplotlib.colors import ListedColormap

from lakebook import aws
from lakebook.access import warehouse_access
from lakebook.ensure import wait
from lakebook.errors import LakebookError
from lakebook.layers import reporting
from lakebook.people.personas import ASKING, OPERATOR, PERSONAS
from lakebook.services import athena, s3
from lakebook.services.redshift import Warehouse

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from lakebook.access.lake_access import LakeTable
    from lakebook.layers.warehouse import WarehouseTable
    from lakebook.names import Names
    from lakebook.people.classification import Classification

ACCESS_PATHS = ("athena", "awswrangler", "files", "external schema", "warehouse")
ROLES = (OPERATOR, *PERSONAS)
AT_ONCE = 4  # tries
TIMEOUT_SECONDS, POLL_SECONDS = 120, 0.1
# beside the columns of a table: are they all there, and only those that may be seen
ROWS = "(rows)"
# whby an access path says to whom it does not open; anything else that goes wrong is an error, not
# a closed
# refusal
REFUSED = re.compile(
    r"insufficient permission|insufficient lake formation permission|not authorized|permission"
    r" denied|accessdenied|access denied|(COLUMN|TABLE|SCHEMA)_NOT_FOUND|cannot be resolved|does"
    r" not exist|forbidden",
    re.IGNORECASE,
)
# of these, what refuses the whole table whichever column is asked for: the call itself, its schema,
# the table
SHUT = re.compile(
    r"not authorized to perform|permission denied for schema|Required Describe"
    r" on|(TABLE|SCHEMA)_NOT_FOUND",
    re.IGNORECASE,
)
COLUMNS = ["role", "access_path", "table", "column", "class", "expected", "seen"]
NOTHING = pd.DataFrame(columns=COLUMNS)


class _Refused(Exception):  # noqa: N818 - not an error: an answer
    """The access path refuses."""


class _Shut(_Refused):
    """It stays so for every column of the table."""


@dataclass(frozen=True)
class Matrix:
    """The tries of one environment: who, by which access path, for which column of which table."""

    names: Names
    classification: Classification
    tables: list[LakeTable]
    loaded: list[WarehouseTable]
    warehouse_database: str

    def tried(
        self, roles: tuple[str, ...] = ROLES, access_paths: tuple[str, ...] = ACCESS_PATHS
    ) -> pd.DataFrame:
        """A line for each role, table, column and access path: columns role, access_path, table,
        column, class, expected, seen.

        `(rows)` stands for the rows of a table: their number, where the role sees the table at all.
        """
        tries = [
            (role, access_path, table)
            for role in roles
            for access_path in access_paths
            for table in self.tables
        ]
        with ThreadPoolExecutor(AT_ONCE) as pool:
            found = [
                line for lines in pool.map(lambda each: self._try(*each), tries) for line in lines
            ]
        return pd.DataFrame(found, columns=COLUMNS)

    def expected(self, role: str, access_path: str, table: LakeTable) -> list[str]:
        """The columns of a table that a role should see by an access path."""
        if access_path == "files":
            patterns = ["*"] if role == OPERATOR else self.classification.files.get(role, [])
            return (
                list(table.classes)
                if any(fnmatchcase(table.full_name, each) for each in patterns)
                else []
            )
        # which shows to all who may use it what the warehouse's own role sees
        if access_path == "external schema":
            return (
                self._columns("redshift", table) if reporting.may_use(role, reporting.LAKE) else []
            )
        if access_path == "warehouse":
            loaded = self._loaded.get(table.name)
            return (
                warehouse_access.columns_seen(self.classification, role, loaded) if loaded else []
            )
        return self._columns(role, table)

    def _columns(self, role: str, table: LakeTable) -> list[str]:
        return list(table.classes) if role == OPERATOR else table.seen(self.classification, role)

    def _try(self, role: str, access_path: str, table: LakeTable) -> list[tuple[Any, ...]]:
        expected = self.expected(role, access_path, table)
        columns = self._tried_columns(access_path, table)
        if access_path == "files":
            seen = set(columns) if self._opens(role, table) else set()
        elif access_path == "awswrangler":
            seen = self._all_columns(role, table)
        else:
            seen = _seen(lambda some: self._asks(role, access_path, table, some), columns, expected)
        lines: list[tuple[Any, ...]] = [
            (
                role,
                access_path,
                table.full_name,
                each,
                self._class(table, each),
                each in expected,
                each in seen,
            )
            for each in columns
        ]
        if expected and access_path != "files":
            lines.append(
                (
                    role,
                    access_path,
                    table.full_name,
                    ROWS,
                    "",
                    self._rows_expected(role, access_path, table),
                    self._rows(role, access_path, table),
                )
            )
        return lines

    def _asks(self, role: str, access_path: str, table: LakeTable, columns: list[str]) -> bool:
        listed = ", ".join(f'"{each}"' for each in columns)
        try:
            self._answer(
                role,
                access_path,
                f"SELECT {listed} FROM {self._called(access_path, table)} LIMIT 1",
            )
        except _Shut:
            raise
        except _Refused:
            return False
        return True

    def _all_columns(self, role: str, table: LakeTable) -> set[str]:
        """What `SELECT *` shows through awswrangler; Athena, behind it, is asked for every
        column by its name.
        """
        try:
            with _refusals():
                return set(
                    self._frame(
                        role, f"SELECT * FROM {self._called('awswrangler', table)} LIMIT 1"
                    ).columns
                )
        except _Refused:
            return set()

    def _rows(self, role: str, access_path: str, table: LakeTable) -> int | str:
        try:
            return int(
                self._answer(
                    role, access_path, f"SELECT count(*) FROM {self._called(access_path, table)}"
                )[0][0]
            )
        except _Refused:
            return "refused"

    def _rows_expected(self, role: str, access_path: str, table: LakeTable) -> int:
        """The rows that the operator counts under the condition of the role whose rights count."""
        condition = table.conditions.get(
            "redshift" if access_path == "external schema" else role, ""
        )
        return self._counted(table, condition)

    def _counted(self, table: LakeTable, condition: str) -> int:
        key = (table.name, condition)
        if key not in self._counts:
            sql = f"SELECT count(*) FROM {self._called('athena', table)}" + (
                f" WHERE {condition}" if condition else ""
            )
            self._counts[key] = int(
                athena.answer(sql, self.names.database("curated"), self.names.resource("lakebook"))[
                    0
                ][0]
            )
        return self._counts[key]

    def _called(self, access_path: str, table: LakeTable) -> str:
        """The table's name by an access path."""
        if access_path == "external schema":
            return f'"{reporting.LAKE}"."{table.name}"'
        if access_path == "warehouse":
            return self._loaded[table.name].identifier
        return f'"{self.names.database("curated")}"."{table.name}"'

    def _answer(self, role: str, access_path: str, sql: str) -> list[list[Any]]:
        with _refusals():
            if access_path == "athena":
                return self._by_athena(role, sql)
            if access_path == "awswrangler":
                return [list(each) for each in self._frame(role, sql).itertuples(index=False)]
            return self._by_data_api(role, sql)

    def _by_athena(self, role: str, sql: str) -> list[list[Any]]:
        client = self._client(role, "athena")
        context = {"Database": self.names.database("curated")}
        query_id = client.start_query_execution(
            QueryString=sql,
            QueryExecutionContext=context,
            WorkGroup=self._workgroup(role),
            ResultConfiguration={"OutputLocation": self._results(role)},
        )["QueryExecutionId"]

        def state() -> str | None:
            status = client.get_query_execution(QueryExecutionId=query_id)["QueryExecution"][
                "Status"
            ]
            if status["State"] in ("FAILED", "CANCELLED"):
                raise _answer_to(status.get("StateChangeReason", status["State"]))
            return None if status["State"] == "SUCCEEDED" else str(status["State"])

        wait("query", state, TIMEOUT_SECONDS, silent_seconds=TIMEOUT_SECONDS)
        rows = client.get_query_results(QueryExecutionId=query_id)["ResultSet"]["Rows"][1:]
        return [[each.get("VarCharValue") for each in row["Data"]] for row in rows]

    def _frame(self, role: str, sql: str) -> pd.DataFrame:
        return wr.athena.read_sql_query(
            sql,
            database=self.names.database("curated"),
            workgroup=self._workgroup(role),
            s3_output=self._results(role),
            ctas_approach=False,
            boto3_session=self._session(role),
            athena_query_wait_polling_delay=POLL_SECONDS,
        )

    def _by_data_api(self, role: str, sql: str) -> list[list[Any]]:
        client, where = self._client(role, "redshift-data"), dict(self._warehouse.where)
        if role != OPERATOR:
            where.pop("SecretArn", None)  # which is the administrator's
        started = client.execute_statement(**where, Database=self.warehouse_database, Sql=sql)["Id"]

        def state() -> str | None:
            found = client.describe_statement(Id=started)
            if found["Status"] in ("FAILED", "ABORTED"):
                raise _answer_to(found.get("Error", found["Status"]))
            return None if found["Status"] == "FINISHED" else str(found["Status"])

        wait("statement", state, TIMEOUT_SECONDS, silent_seconds=TIMEOUT_SECONDS)
        records = client.get_statement_result(Id=started)["Records"]
        return [[next(iter(field.values())) for field in record] for record in records]

    def _opens(self, role: str, table: LakeTable) -> bool:
        """Whether the role can read the first byte of the table's first file, past Lake
        Formation.
        """
        files = s3.objects(table.location)
        if not files:
            # nothing to be read by anybody
            return role == OPERATOR or bool(self.expected(role, "files", table))
        bucket, key = s3.split(files[0]["uri"])
        try:
            self._client(role, "s3").get_object(Bucket=bucket, Key=key, Range="bytes=0-0")[
                "Body"
            ].read()
        except ClientError as error:
            if error.response["Error"]["Code"] in ("AccessDenied", "403"):
                return False
            raise
        return True

    def _workgroup(self, role: str) -> str:
        """A workgroup of the role's own, or AWS's own for who has none."""
        own = {
            OPERATOR: self.names.resource("lakebook"),
            **{each: self.names.resource(each) for each in ASKING},
        }
        return own.get(role, "primary")

    def _results(self, role: str) -> str:
        """For a workgroup that names no place of its own; for want of it awswrangler would make a
        bucket.
        """
        return f"s3://{self.names.jobs_bucket}/athena/{role}/"

    def _client(self, role: str, service: str) -> Any:
        """One client a role and service, as making one takes longer than most calls."""
        with self._making:
            if (role, service) not in self._clients:
                session: Any = self._session(role)
                self._clients[role, service] = session.client(service)
            return self._clients[role, service]

    def _session(self, role: str) -> boto3.Session:
        """The role's session, which takes the role anew when its hour ends."""
        if role == OPERATOR:
            assert boto3.DEFAULT_SESSION is not None
            return boto3.DEFAULT_SESSION
        if role not in self._sessions:
            self._sessions[role] = _assumed(self.names, role)
        return self._sessions[role]

    @cached_property
    def _clients(self) -> dict[tuple[str, str], Any]:
        return {}

    @cached_property
    def _warehouse(self) -> Warehouse:
        return Warehouse(self.names.resource("warehouse"), self.warehouse_database)

    @cached_property
    def _making(self) -> threading.Lock:
        return threading.Lock()

    @cached_property
    def _counts(self) -> dict[tuple[str, str], int]:
        return {}

    @cached_property
    def _sessions(self) -> dict[str, boto3.Session]:
        return {}

    @cached_property
    def _loaded(self) -> dict[str, WarehouseTable]:
        """The tables of the warehouse by their names in the catalog."""
        return {each.table.catalog_name: each for each in self.loaded}

    def _tried_columns(self, access_path: str, table: LakeTable) -> list[str]:
        if access_path != "warehouse":
            return list(table.classes)
        loaded = self._loaded.get(table.name)
        return (
            warehouse_access.columns_seen(self.classification, OPERATOR, loaded) if loaded else []
        )

    def _class(self, table: LakeTable, column: str) -> str:
        """The class of a column; the text that the warehouse keeps beside a document has the
        document's.
        """
        return table.classes.get(column) or table.classes.get(column.removesuffix("_text"), "")


def differences(tried: pd.DataFrame) -> list[str]:
    """What is not as the classification says, a sentence each."""
    return [
        f"{each.role} by {each.access_path}: {each.table}.{each.column} is {_word(each.seen)},"
        f" expected {_word(each.expected)}"
        for each in tried[tried["expected"] != tried["seen"]].itertuples()
    ]


def summary(tried: pd.DataFrame) -> pd.DataFrame:
    """Columns seen of columns tried, a line for each role and a column for each access path."""
    columns = tried[tried["column"] != ROWS]
    counted = columns.pivot_table(
        index="role",
        columns="access_path",
        values="seen",
        aggfunc=lambda each: f"{int(sum(each))} of {len(each)}",
    )
    return counted.reindex(index=ROLES, columns=ACCESS_PATHS).reset_index()


def closed_classes(tried: pd.DataFrame) -> pd.DataFrame:
    """Which roles see columns of each class, a line for each class and a column for each access
    path.
    """
    columns = tried[(tried["column"] != ROWS) & tried["seen"].eq(True)]
    counted = columns.pivot_table(
        index="class",
        columns="access_path",
        values="role",
        aggfunc=lambda each: ", ".join(sorted(set(each))),
    )
    return counted.reindex(columns=ACCESS_PATHS).fillna("").reset_index()


def picture(tried: pd.DataFrame) -> None:
    """The matrix: a line for each column by class, a field for each role and access path; red is
    what should not be.
    """
    if tried.empty:
        return
    columns = tried[tried["column"] != ROWS].copy()
    columns["what"] = columns["class"] + "  " + columns["table"] + "." + columns["column"]
    columns["state"] = columns["seen"].astype(int) + 2 * (
        columns["seen"] != columns["expected"]
    ).astype(int)
    where = pd.MultiIndex.from_product([ROLES, ACCESS_PATHS])
    shown = columns.pivot_table(
        index=["class", "what"], columns=["role", "access_path"], values="state", aggfunc="max"
    ).reindex(columns=where)
    figure, axes = plt.subplots(figsize=(11, 1.5 + 0.14 * len(shown)), dpi=110)
    axes.imshow(
        shown.to_numpy(dtype=float),
        cmap=ListedColormap(["#e9ecef", "#2a6f97", "#c1121f", "#c1121f"]),
        vmin=0,
        vmax=3,
        aspect="auto",
        interpolation="nearest",
    )
    axes.set_yticks(range(len(shown)), [what for _, what in shown.index], fontsize=5)
    axes.set_xticks(
        range(len(where)), [access_path for _, access_path in where], rotation=90, fontsize=6
    )
    for number, role in enumerate(ROLES):
        axes.text(
            number * len(ACCESS_PATHS) + (len(ACCESS_PATHS) - 1) / 2,
            -1.5,
            role,
            ha="center",
            fontsize=8,
        )
        axes.axvline(number * len(ACCESS_PATHS) - 0.5, color="white", linewidth=3)
    axes.set_title(
        "Columns by role and access path: blue is seen, grey is hidden, red is not as declared",
        loc="left",
        pad=22,
        fontsize=9,
    )
    axes.spines[:].set_visible(False)
    figure.tight_layout()
    plt.show()


def _seen(asks: Callable[[list[str]], bool], columns: list[str], expected: list[str]) -> set[str]:
    """The columns that can be read: those expected all at once, every other one by itself until the
    whole table is refused.
    """
    found: set[str] = set()
    with contextlib.suppress(_Shut):
        if together := bool(expected) and asks(expected):
            found.update(expected)
        for each in columns:
            if not (together and each in expected) and asks([each]):
                found.add(each)
    return found


def _assumed(names: Names, role: str) -> boto3.Session:
    """AWS lets a role that took another keep it for one hour, which a large lake needs longer."""
    asked = {"RoleArn": names.role_arn(role), "RoleSessionName": "lakebook-access"}
    refresh = create_assume_role_refresher(aws.client("sts"), asked)
    taken = RefreshableCredentials.create_from_metadata(refresh(), refresh, "assume-role")
    return aws.session(taken, region_name=names.region)


@contextlib.contextmanager
def _refusals() -> Iterator[None]:
    """What AWS and awswrangler raise, as _Refused where it says that a right is lacking."""
    try:
        yield
    except ClientError as error:
        raise _answer_to(
            error.response["Error"]["Code"] + ": " + error.response["Error"]["Message"]
        ) from error
    except wr.exceptions.QueryFailed as error:
        raise _answer_to(str(error)) from error


def _answer_to(reason: str) -> Exception:
    if REFUSED.search(reason):
        return (_Shut if SHUT.search(reason) else _Refused)(reason)
    return LakebookError(f"A try ended for another reason than a lack of rights: {reason}")


def _word(seen: object) -> str:
    return (
        {True: "seen", False: "hidden"}.get(seen, str(seen))
        if isinstance(seen, bool)
        else str(seen)
    )
