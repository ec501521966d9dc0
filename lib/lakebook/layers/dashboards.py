"""A dashboard with its data sets from one YAML file in AWS's own structures, declared for one
environment.
"""

from __future__ import annotations

import string
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from botocore.validate import ParamValidator

from lakebook import aws, yaml_text
from lakebook.errors import LakebookError
from lakebook.layers import lake
from lakebook.layers.warehouse import quoted
from lakebook.services import glue, quicksight

if TYPE_CHECKING:
    import datetime

    from lakebook.ensure import Resource
    from lakebook.names import Names
    from lakebook.services.quicksight import Account
    from lakebook.services.redshift import Warehouse

INGESTION_TIMEOUT_SECONDS = 3600
# of a dashboard's file, around what AWS's own model checks
SCHEMA = {
    "properties": {
        "DataSets": {
            "type": "object",
            "propertyNames": {"pattern": "^[A-Za-z_][A-Za-z0-9_]*$"},
            "additionalProperties": {
                "type": "object",
                "required": ["PhysicalTableMap"],
                "properties": {
                    "PhysicalTableMap": {
                        "type": "object",
                        "minProperties": 1,
                        "additionalProperties": {"type": "object", "description": "a mapping"},
                        "description": "a mapping of what the data set reads",
                    }
                },
                "description": "a data set as CreateDataSet takes it",
            },
            "description": "a mapping from short names, of letters, digits and _, to data sets",
        },
        "Dashboard": {"type": "object", "description": "a dashboard as CreateDashboard takes it"},
    },
    "additionalProperties": False,
}


class _Text(string.Template):
    """`${table.operations.flights}`, `${DataSetArn.flights}`, `${DataSourceArn}`."""

    idpattern = r"(?-i:[A-Za-z_][\w.]*)"


@dataclass(frozen=True)
class Board:
    """What a file declares: `DataSets` by a short name as CreateDataSet takes them, `Dashboard` as
    CreateDashboard does.
    """

    file: str
    account: Account
    text: str

    @property
    def name(self) -> str:
        """The dashboard's id: `acme-rehearsal-airline`."""
        return self.account.names.resource(Path(self.file).stem)

    @property
    def data_sets(self) -> dict[str, dict[str, Any]]:
        """The data sets by their short names, for the lake."""
        return dict(self._rendered(self._lake_tables())["DataSets"])

    @property
    def dashboard(self) -> dict[str, Any]:
        """The dashboard: Name, Definition, DashboardPublishOptions."""
        return dict(self._rendered(self._lake_tables())["Dashboard"])

    @property
    def tables(self) -> list[str]:
        """The tables that the data sets read: `operations.flights`."""
        found = _Text(self.text).get_identifiers()
        return sorted(each.removeprefix("table.") for each in found if each.startswith("table."))

    def data_set_id(self, short: str) -> str:
        """`acme-rehearsal-flights`."""
        return self.account.names.resource(short)

    def resources(
        self,
        authors: dict[str, str],
        readers: dict[str, str],
        workgroup: str,
        author_group: str = "",
        reader_group: str = "",
    ) -> list[Resource]:
        """Groups, people, the data source, data sets with their rows, the dashboard and who may see
        it, in order; people are principals by their e-mail addresses, and a group that is named
        exists. Nothing without a file.
        """
        if not self.file:
            return []
        account, names = self.account, self.account.names
        people, source = {"authors": authors, "readers": readers}, names.resource("lake")
        existing = {"authors": author_group, "readers": reader_group}
        groups = {each: existing[each] or names.resource(each) for each in people}
        _refuse_our_roles(names, authors | readers)
        self._check_shapes()
        owners = account.arn("group/default", groups["authors"])
        sets = {self.data_set_id(short): desired for short, desired in self.data_sets.items()}
        athena = {"WorkGroup": workgroup, "RoleArn": names.role_arn("quicksight")}
        lake_source = {
            "Name": source,
            "Type": "ATHENA",
            "DataSourceParameters": {"AthenaParameters": athena},
        }
        board = {owners: quicksight.OWNS["dashboard"]}
        board[account.arn("group/default", groups["readers"])] = quicksight.READS["dashboard"]
        return [
            *(
                quicksight.group(name, account, f"Dashboards: {each}")
                for each, name in groups.items()
                if not existing[each]
            ),
            *(
                quicksight.user(email, account, principal, role, [groups[each]])
                for each, role in (("authors", "AUTHOR"), ("readers", "READER"))
                for email, principal in people[each].items()
            ),
            quicksight.data_source(source, account, lake_source),
            quicksight.permitted(
                source, account, "data_source", {owners: quicksight.OWNS["data_source"]}
            ),
            *(
                quicksight.data_set(name, account, desired, INGESTION_TIMEOUT_SECONDS)
                for name, desired in sets.items()
            ),
            *(
                quicksight.ingested(name, account, self.changed, INGESTION_TIMEOUT_SECONDS)
                for name in sets
            ),
            *(
                quicksight.permitted(
                    name, account, "data_set", {owners: quicksight.OWNS["data_set"]}
                )
                for name in sets
            ),
            quicksight.dashboard(
                self.name, account, self.dashboard, lake.fingerprint(repr(self.dashboard))
            ),
            quicksight.permitted(self.name, account, "dashboard", board),
        ]

    def changed(self) -> datetime.datetime | None:
        """When one of the tables that the data sets read was last switched to another snapshot."""
        database, read = (
            self.account.names.database("curated"),
            {each.replace(".", "_") for each in self.tables},
        )
        times = [
            each["UpdateTime"]
            for each in glue.tables(database)
            if each["Name"] in read and "UpdateTime" in each
        ]
        return max(times, default=None)

    def rows_ingested(self) -> dict[str, dict[str, int]]:
        """What the newest ingestion of each data set of one table brought: `{"flights": {"rows":
        336776, "dropped": 0}}`.
        """
        found = {
            short: quicksight.newest_ingestion(self.account, self.data_set_id(short))
            for short, definition in self.data_sets.items()
            if len(definition["PhysicalTableMap"]) == 1
        }
        rows = {short: (each or {}).get("RowInfo", {}) for short, each in found.items()}
        return {
            short: {"rows": each.get("RowsIngested", 0), "dropped": each.get("RowsDropped", 0)}
            for short, each in rows.items()
        }

    def rows_in(self, warehouse: Warehouse) -> dict[str, dict[str, int]]:
        """What the data sets' own queries count in the warehouse, in the form of `rows_ingested`;
        nothing may be dropped.
        """
        tables = {f"table.{each}": quoted(each) for each in self.tables}
        counted = {}
        for short, definition in self._rendered(tables)["DataSets"].items():
            read = [_read(each, tables) for each in definition["PhysicalTableMap"].values()]
            if len(read) != 1:
                print(f"--  {short}: QuickSight joins its tables, so its rows are not compared")
                continue
            counted[short] = int(warehouse.query(f"SELECT count(*) AS n FROM {read[0]}")["n"][0])
        return {short: {"rows": rows, "dropped": 0} for short, rows in counted.items()}

    def _check_shapes(self) -> None:
        """Raise LakebookError where CreateDataSet and CreateDashboard would not take the file."""
        identity = {"AwsAccountId": self.account.names.account}
        asked = [
            ("CreateDataSet", f"DataSets.{short}", {"DataSetId": short, **desired})
            for short, desired in self.data_sets.items()
        ]
        asked.append(("CreateDashboard", "Dashboard", {"DashboardId": "id", **self.dashboard}))
        model: Any = aws.client("quicksight").meta.service_model
        for operation, where, desired in asked:
            shape: Any = model.operation_model(operation).input_shape
            found = ParamValidator().validate({**identity, **desired}, shape)
            if found.has_errors():
                raise LakebookError(
                    f"{self.file} is not as QuickSight's {operation} takes it, under {where}:"
                    f" {'; '.join(found.generate_report().splitlines())}; correct it."
                )

    def _lake_tables(self) -> dict[str, str]:
        database = self.account.names.database("curated")
        return {f"table.{each}": f'"{database}"."{each.replace(".", "_")}"' for each in self.tables}

    def _rendered(self, tables: dict[str, str]) -> Any:
        names = self.account.names
        known = {**tables, "DataSourceArn": self.account.arn("datasource", names.resource("lake"))}
        for short in yaml_text.read(self.text)["DataSets"]:
            known[f"DataSetArn.{short}"] = self.account.arn("dataset", self.data_set_id(short))
        if unknown := sorted(set(_Text(self.text).get_identifiers()) - set(known)):
            raise LakebookError(
                f"{self.file} names {', '.join(unknown)}, which there is not; it may name"
                f" {', '.join(sorted(known))}."
            )
        return yaml_text.read(_Text(self.text).substitute(known))


def load(file: str, account: Account) -> Board:
    """The board that a file declares, `file` relative to the project's folder, or one of nothing
    without a file; raises LakebookError where it cannot be read.
    """
    if not file:
        return Board("", account, "{DataSets: {}, Dashboard: {}}")
    path = next((each for each in (Path(file), Path("..", file)) if each.is_file()), None)
    try:
        text = path.read_text(encoding="utf-8") if path else ""
        content = yaml_text.read(text)
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise LakebookError(
            f"{file} cannot be read: {' '.join(str(error).split())}; correct it."
        ) from error
    if not isinstance(content, dict) or not {"DataSets", "Dashboard"} <= content.keys():
        raise LakebookError(
            f"{file} is not a dashboard's file: it must have DataSets and Dashboard; correct"
            " dashboard_file."
        )
    yaml_text.check(file, content, SCHEMA)
    try:
        _Text(text).substitute(dict.fromkeys(_Text(text).get_identifiers(), ""))
    except ValueError as error:
        raise LakebookError(
            f"{file} has a $ that fills nothing in ({error}): write $$ for a dollar sign."
        ) from error
    return Board(file, account, text)


def _read(physical: dict[str, Any], tables: dict[str, str]) -> str:
    """What a physical table reads, as the warehouse takes it after FROM."""
    if "CustomSql" in physical:
        return f"({physical['CustomSql']['SqlQuery']}) AS counted"
    name = physical["RelationalTable"]["Name"]
    found = [each for short, each in tables.items() if short[6:].replace(".", "_") == name]
    if not found:
        raise LakebookError(
            f"A data set reads the table {name}, which ${{table.…}} does not name: name it in the"
            " file, in a comment if need be, so that its rows are compared."
        )
    return found[0]


def _refuse_our_roles(names: Names, people: dict[str, str]) -> None:
    """Raise LakebookError for people without an ARN, and for those who would sign in as a role of
    ours: whoever may take it chooses the name of the session, and so the person.
    """
    arns = {"type": "string", "pattern": "^arn:", "description": "an ARN"}
    yaml_text.check("dashboard_authors or _readers", people, {"additionalProperties": arns})
    ours = [email for email, each in people.items() if f":role/{names.resource('')}" in each]
    if ours:
        raise LakebookError(
            f"{', '.join(ours)} would sign in to QuickSight by a role of the lake, under a name"
            " that whoever takes it chooses: give the ARN of their own IAM user, or of the role by"
            " which IAM Identity Center signs them in."
        )
