"""QuickSight's data sets in SPICE: each ingestion really asks the data source and writes a Parquet
file.
"""

from __future__ import annotations

import datetime
import shutil
import time
import uuid
from typing import TYPE_CHECKING

import duckdb

from local_aws.errors import ApiError
from local_aws.quicksight.columns import Column, Preparation, prepare
from local_aws.quicksight.records import (
    Record,
    answer,
    check_new,
    find,
    find_settled,
    invalid,
    not_here,
    now,
    page,
)
from local_aws.quicksight.sources import SourceError, Sources

if TYPE_CHECKING:
    from pathlib import Path

    from local_aws.service import Call
    from local_aws.stand_in import StandIn

REFRESHES_A_DAY = (
    # by hand, Enterprise:
    # https://docs.aws.amazon.com/quicksight/latest/APIReference/API_CreateIngestion.html
    32
)
UNDER_WAY = ("INITIALIZED", "QUEUED", "RUNNING")
DESCRIBED = ("DataSetId", "Name", "PhysicalTableMap", "LogicalTableMap", "ImportMode")
NOT_HERE = (
    *(
        "ColumnGroups",
        "FieldFolders",
        "RowLevelPermissionDataSet",
        "RowLevelPermissionTagConfiguration",
    ),
    *(
        "ColumnLevelPermissionRules",
        "DatasetParameters",
        "FolderArns",
        "PerformanceConfiguration",
        "UseAs",
    ),
)


class DataSets(Sources):
    """Data sets and their ingestions; direct queries are refused."""

    def __init__(self, stand_in: StandIn) -> None:
        super().__init__(stand_in)
        self.spice = stand_in.directory / "quicksight"
        shutil.rmtree(self.spice, ignore_errors=True)
        self.preparations: dict[str, tuple[str, Preparation]] = {}
        self.files: dict[str, Path] = {}  # the rows that dashboards show, by data set

    def CreateDataSet(self, call: Call) -> Record:
        """A data set, and its first ingestion under way."""
        self.check_account(call)
        request = call.parameters
        prepared = self._prepared(request)
        arn = self.arn("dataset", request["DataSetId"])
        with self.lock:
            check_new(self.data_sets, request["DataSetId"], "Data set")
            self.keep_new("dataset", arn, call)
            self.data_sets[request["DataSetId"]] = {"Arn": arn, "CreatedTime": now()}
            self.ingestions[request["DataSetId"]] = {}
            return self._kept(request, prepared, "INITIAL_INGESTION")

    def UpdateDataSet(self, call: Call) -> Record:
        """The data set as it is now described as a whole, and an ingestion under way."""
        self._data_set(call)
        prepared = self._prepared(call.parameters)
        with self.lock:
            return self._kept(call.parameters, prepared, "EDIT")

    def _prepared(self, request: Record) -> tuple[str, Preparation]:
        if request["ImportMode"] != "SPICE":
            raise not_here("QuickSight data sets that query directly")
        if others := [each for each in NOT_HERE if request.get(each)]:
            raise not_here(f"QuickSight data sets with {', '.join(others)}")
        prepared = prepare(request)
        source = self.record_of(prepared[0])
        if not source:
            raise ApiError("ResourceNotFoundException", f"Data source {prepared[0]} is not found.")
        if source["Status"].endswith("_FAILED"):
            raise invalid(
                f"Data source {prepared[0]} is {source['Status']}: {source['ErrorInfo']['Message']}"
            )
        return prepared

    def _kept(self, request: Record, prepared: tuple[str, Preparation], why: str) -> Record:
        name = request["DataSetId"]
        columns = [each.described for each in prepared[1].columns]
        record = self.data_sets[name]
        record |= {member: request[member] for member in DESCRIBED if member in request}
        record |= {
            "OutputColumns": columns,
            "LastUpdatedTime": now(),
            "ConsumedSpiceCapacityInBytes": 0,
        }
        self.preparations[name] = prepared
        ingestion = self._ingest(name, str(uuid.uuid4()), why)
        told_of = {"IngestionId": ingestion["IngestionId"], "IngestionArn": ingestion["Arn"]}
        return answer(Arn=record["Arn"], DataSetId=name, **told_of)

    def DescribeDataSet(self, call: Call) -> Record:
        """One data set."""
        return answer(DataSet=self._data_set(call))

    def ListDataSets(self, call: Call) -> Record:
        """All data sets in short."""
        self.check_account(call)
        members = ("Arn", "DataSetId", "Name", "CreatedTime", "LastUpdatedTime", "ImportMode")
        return page(
            call,
            "DataSetSummaries",
            [{name: each[name] for name in members} for each in self.data_sets.values()],
        )

    def DeleteDataSet(self, call: Call) -> Record:
        """The ARN; the rows are gone, dashboards that showed them stay."""
        record = self._data_set(call)
        name = record["DataSetId"]
        with self.lock:
            for kept in (self.data_sets, self.ingestions, self.preparations, self.files):
                kept.pop(name, None)
            self.permissions.pop(record["Arn"])
            self.tags.pop(record["Arn"])
        return answer(Arn=record["Arn"], DataSetId=name)

    def DescribeDataSetPermissions(self, call: Call) -> Record:
        """Who may use and change a data set."""
        record = self._data_set(call)
        held = self.described_permissions(record["Arn"])
        return answer(DataSetArn=record["Arn"], DataSetId=record["DataSetId"], Permissions=held)

    def UpdateDataSetPermissions(self, call: Call) -> Record:
        """Grants and revokes actions; returns the data set's ARN and id."""
        record = self._data_set(call)
        self.update_permissions("dataset", record["Arn"], call)
        return answer(DataSetArn=record["Arn"], DataSetId=record["DataSetId"])

    def _data_set(self, call: Call) -> Record:
        self.check_account(call)
        return find_settled(self.data_sets, call.parameters["DataSetId"], "Data set", call)

    def columns(self, name: str) -> dict[str, Column]:
        """The columns of a data set by their names."""
        return {each.name: each for each in self.preparations[name][1].columns}

    # Ingestions

    def CreateIngestion(self, call: Call) -> Record:
        """An ingestion that will replace all rows; LimitExceededException after 32 in 24 hours."""
        name = self._data_set(call)["DataSetId"]
        if call.parameters.get("IngestionType", "FULL_REFRESH") != "FULL_REFRESH":
            raise not_here("incremental refreshes of QuickSight data sets")
        with self.lock:
            check_new(self.ingestions[name], call.parameters["IngestionId"], "Ingestion")
            since = now() - datetime.timedelta(hours=24)
            made = [
                each
                for each in self.ingestions[name].values()
                if each["RequestType"] == "FULL_REFRESH"
            ]
            if sum(each["CreatedTime"] > since for each in made) >= REFRESHES_A_DAY:
                raise ApiError(
                    "LimitExceededException",
                    f"A data set can be refreshed by hand {REFRESHES_A_DAY} times in 24 hours.",
                )
            ingestion = self._ingest(name, call.parameters["IngestionId"], "FULL_REFRESH")
        return answer(
            **{member: ingestion[member] for member in ("Arn", "IngestionId", "IngestionStatus")}
        )

    def DescribeIngestion(self, call: Call) -> Record:
        """One ingestion; ErrorInfo says why it failed."""
        return answer(Ingestion=self._ingestion(call))

    def ListIngestions(self, call: Call) -> Record:
        """The ingestions of a data set, the newest first."""
        name = self._data_set(call)["DataSetId"]
        return page(call, "Ingestions", list(reversed(self.ingestions[name].values())))

    def CancelIngestion(self, call: Call) -> Record:
        """The ingestion, cancelled; InvalidParameterValueException when it has ended."""
        ingestion = self._ingestion(call)
        with self.lock:
            if ingestion["IngestionStatus"] not in UNDER_WAY:
                raise invalid(
                    f"Ingestion {ingestion['IngestionId']} is {ingestion['IngestionStatus']}"
                    " already"
                )
            ingestion |= _ended("CANCELLED", "INGESTION_CANCELED", "The ingestion was cancelled.")
        return answer(Arn=ingestion["Arn"], IngestionId=ingestion["IngestionId"])

    def _ingestion(self, call: Call) -> Record:
        name = self._data_set(call)["DataSetId"]
        return find(self.ingestions[name], call.parameters["IngestionId"], "Ingestion")

    def _ingest(self, name: str, ingestion_id: str, why: str) -> Record:
        """A new ingestion; one that is still under way is superseded."""
        for each in self.ingestions[name].values():
            if each["IngestionStatus"] in UNDER_WAY:
                each.update(
                    _ended("FAILED", "INGESTION_SUPERSEDED", "A newer ingestion took its place.")
                )
        ingestion = {
            "Arn": self.arn("dataset", f"{name}/ingestion/{ingestion_id}"),
            "IngestionId": ingestion_id,
            "IngestionStatus": "INITIALIZED",
            "CreatedTime": now(),
            "RequestSource": "MANUAL",
            "RequestType": why,
        }
        self.ingestions[name][ingestion_id] = ingestion
        source_arn, preparation = self.preparations[name]
        self.begin(lambda: self._run(name, ingestion, source_arn, preparation))
        return ingestion

    def _run(self, name: str, ingestion: Record, source_arn: str, preparation: Preparation) -> None:
        started = time.monotonic()
        file = self.spice / name / f"{ingestion['IngestionId']}.parquet"
        file.parent.mkdir(parents=True, exist_ok=True)
        try:
            source = self._connected(source_arn)
            ingestion["IngestionStatus"] = (
                "RUNNING"
                if ingestion["IngestionStatus"] == "INITIALIZED"
                else ingestion["IngestionStatus"]
            )
            rows, dropped = _import(self.fetch(source, preparation.query), preparation, file)
        except SourceError as failure:
            end = _ended("FAILED", failure.type, failure.message)
        except duckdb.Error as error:
            end = _ended("FAILED", "INTERNAL_SERVICE_ERROR", str(error))
        else:
            counts = {"RowsIngested": rows, "RowsDropped": dropped, "TotalRowsInDataset": rows}
            end = {
                "IngestionStatus": "COMPLETED",
                "RowInfo": counts,
                "IngestionSizeInBytes": file.stat().st_size,
            }
        with self.lock:
            if ingestion["IngestionStatus"] not in UNDER_WAY or name not in self.data_sets:
                file.unlink(missing_ok=True)
                return
            ingestion |= {**end, "IngestionTimeInSeconds": round(time.monotonic() - started)}
            if end["IngestionStatus"] == "COMPLETED":
                self.data_sets[name]["ConsumedSpiceCapacityInBytes"] = file.stat().st_size
                self.files[name] = file

    def _connected(self, arn: str) -> Record:
        """The data source, once it is no longer being tried; raises SourceError."""
        while (source := self.record_of(arn)) and source["Status"].endswith("_IN_PROGRESS"):
            time.sleep(0.05)
        if not source:
            raise SourceError("DATA_SOURCE_NOT_FOUND", f"Data source {arn} is not found.")
        return source


def _import(fetched: object, preparation: Preparation, file: Path) -> tuple[int, int]:
    """Write the rows that have the types they should have; how many, and how many have not and are
    dropped.
    """
    with duckdb.connect() as connection:
        connection.register("raw", fetched)
        connection.execute(f"CREATE TABLE judged AS {preparation.typed}")
        connection.execute(
            "CREATE VIEW typed AS SELECT * EXCLUDE local_aws_dropped FROM judged WHERE NOT"
            " local_aws_dropped"
        )
        connection.execute(
            f"COPY ({preparation.rows}) TO '{str(file).replace(chr(39), chr(39) * 2)}' (FORMAT"
            " parquet)"
        )
        rows = connection.execute("SELECT count(*) FROM read_parquet(?)", [str(file)]).fetchall()[
            0
        ][0]
        dropped = connection.execute(
            "SELECT count(*) FROM judged WHERE local_aws_dropped"
        ).fetchall()[0][0]
    return int(rows), int(dropped)


def _ended(status: str, kind: str, message: str) -> Record:
    return {"IngestionStatus": status, "ErrorInfo": {"Type": kind, "Message": message}}
