"""The columns of a QuickSight data set: what the source gives, typed, and transformed step by step,
as SQL for DuckDB.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import duckdb

from local_aws.quicksight.expressions import ExpressionError, NotSupportedError, Sql, translate
from local_aws.quicksight.records import invalid, not_here

Record = dict[str, Any]
FIXED = "DECIMAL(18, 4)"  # what SPICE keeps of a fixed decimal
# https://docs.aws.amazon.com/quicksight/latest/user/supported-data-types-and-values.html
CASTS = {
    "STRING": "{}",
    "INTEGER": "TRY_CAST({} AS BIGINT)",
    "DECIMAL": f"TRY_CAST({{}} AS {FIXED})",
    "DECIMAL FLOAT": "TRY_CAST({} AS DOUBLE)",
    "DATETIME": "TRY_CAST({} AS TIMESTAMP)",
    "BOOLEAN": "CAST(TRY_CAST({} AS BOOLEAN) AS BIGINT)",
    "BIT": "CAST(TRY_CAST({} AS BOOLEAN) AS BIGINT)",
}


@dataclass(frozen=True)
class Column:
    """A column as dashboards see it."""

    name: str
    type: str  # STRING, INTEGER, DECIMAL or DATETIME
    fixed: bool = False  # of a DECIMAL
    role: str = ""  # LATITUDE, LONGITUDE, STATE, …

    @property
    def described(self) -> Record:
        """As DescribeDataSet's OutputColumns has it."""
        subtype = {"SubType": "FIXED" if self.fixed else "FLOAT"} if self.type == "DECIMAL" else {}
        return {"Name": self.name, "Type": self.type, **subtype}


@dataclass(frozen=True)
class Preparation:
    """How rows become a data set's rows."""

    query: str  # what the source is asked
    # from the table `raw`, whose values are all text; the column `local_aws_dropped` marks what has
    # no such type
    typed: str
    rows: str  # from the view `typed`
    columns: tuple[Column, ...]


def prepare(declared: Record) -> tuple[str, Preparation]:
    """The data source's ARN and the preparation that a data set's parameters describe; raises
    ApiError.
    """
    physical, transforms = _tables(declared)
    kind, table = next(iter(physical.items()))
    inputs = table.get("InputColumns") or table.get("Columns") or []
    if not inputs:
        raise invalid("A physical table needs its columns")
    names = [each["Name"] for each in inputs]
    if len({each.lower() for each in names}) != len(names):
        raise invalid("The column names of a physical table must differ")
    chosen = ", ".join(identifier(each) for each in names)
    query = f"SELECT {chosen} FROM {_from(kind, table)}"
    rows, roles = _transformed(transforms)
    typed = ", ".join(f"{_cast(each)} AS {identifier(each['Name'])}" for each in inputs)
    dropped = " OR ".join(
        f"({_cast(each)} IS NULL AND raw.{identifier(each['Name'])} IS NOT NULL)" for each in inputs
    )
    empty = "SELECT " + ", ".join(f"CAST(NULL AS VARCHAR) AS {identifier(each)}" for each in names)
    typed = f"SELECT {typed}, {dropped} AS local_aws_dropped FROM raw"
    return table["DataSourceArn"], Preparation(
        query, typed, rows, _columns(empty, typed, rows, roles)
    )


def identifier(name: str) -> str:
    """A name in double quotes."""
    return '"' + name.replace('"', '""') + '"'


def _tables(declared: Record) -> tuple[Record, list[Record]]:
    physical, logical = declared["PhysicalTableMap"], declared.get("LogicalTableMap") or {}
    if declared.get("DataPrepConfiguration") or declared.get("SemanticModelConfiguration"):
        raise not_here("data sets of QuickSight's new data preparation")
    if len(physical) != 1 or len(logical) > 1:
        raise not_here("QuickSight data sets of several tables: join them in a CustomSql")
    for each in logical.values():
        if each["Source"].get("PhysicalTableId") not in physical:
            raise invalid("A logical table's source must be one of the physical tables")
    table: Record = next(iter(physical.values()))
    if not {"RelationalTable", "CustomSql"} & table.keys():
        raise not_here(f"QuickSight physical tables of the kind {', '.join(table)}")
    return table, [step for each in logical.values() for step in each.get("DataTransforms") or []]


def _from(kind: str, table: Record) -> str:
    if kind == "CustomSql":
        return f"({table['SqlQuery']}) AS {identifier(table['Name'])}"
    place = [table[each] for each in ("Schema", "Name") if table.get(each)]
    return ".".join(identifier(each) for each in place)


def _cast(column: Record, name: str = "") -> str:
    kind = column["Type"] + (" FLOAT" if column.get("SubType") == "FLOAT" else "")
    if kind not in CASTS:
        raise not_here(f"QuickSight columns of type {kind}")
    return CASTS[kind].format(name or f"raw.{identifier(column['Name'])}")


def _transformed(transforms: list[Record]) -> tuple[str, dict[str, str]]:
    """The steps as nested SELECTs over the view `typed`, and the geographic roles they give to
    columns.
    """
    sql, roles = "SELECT * FROM typed", dict[str, str]()
    for step in transforms:
        kind, declared = next(iter(step.items()))
        inner = f"FROM ({sql})"
        if kind == "ProjectOperation":
            projected = ", ".join(identifier(each) for each in declared["ProjectedColumns"])
            sql = f"SELECT {projected} {inner}"
        elif kind == "CreateColumnsOperation":
            sql = (
                f"SELECT *, {', '.join(_calculated(each) for each in declared['Columns'])} {inner}"
            )
        elif kind == "RenameColumnOperation":
            old, new = identifier(declared["ColumnName"]), identifier(declared["NewColumnName"])
            sql = f"SELECT * RENAME ({old} AS {new}) {inner}"
        elif kind == "CastColumnTypeOperation" and not declared.get("Format"):
            cast = _cast(
                {**declared, "Type": declared["NewColumnType"]},
                f"CAST({identifier(declared['ColumnName'])} AS VARCHAR)",
            )
            sql = f"SELECT * REPLACE ({cast} AS {identifier(declared['ColumnName'])}) {inner}"
        elif kind == "FilterOperation" and "ConditionExpression" in declared:
            sql = f"SELECT * {inner} WHERE {_expression(declared['ConditionExpression'])}"
        elif kind == "TagColumnOperation":
            given = [
                tag["ColumnGeographicRole"]
                for tag in declared["Tags"]
                if "ColumnGeographicRole" in tag
            ]
            roles |= dict.fromkeys([declared["ColumnName"]], *given[:1]) if given else {}
        else:
            raise not_here(f"the QuickSight transformation {kind} as it is given")
    return sql, roles


def _calculated(declared: Record) -> str:
    return f"{_expression(declared['Expression'])} AS {identifier(declared['ColumnName'])}"


class _AnyField(dict[str, Sql]):
    """Every field by its own name: whether it is there the database says."""

    def __contains__(self, _name: object) -> bool:
        return True

    def __missing__(self, name: str) -> Sql:
        return Sql(identifier(name))


def _expression(expression: str) -> str:
    try:
        found = translate(expression, _AnyField())
    except ExpressionError as error:
        raise invalid(str(error)) from error
    except NotSupportedError as gap:
        raise not_here(str(gap)) from gap
    if found.aggregates:
        raise not_here("aggregations in the calculated columns of a QuickSight data set")
    return found.text


def _columns(empty: str, typed: str, rows: str, roles: dict[str, str]) -> tuple[Column, ...]:
    """The columns that come out, by asking DuckDB; raises InvalidParameterValueException."""
    with duckdb.connect() as connection:
        try:
            connection.execute(f"CREATE TABLE raw AS {empty} LIMIT 0")
            connection.execute(
                f"CREATE VIEW typed AS SELECT * EXCLUDE local_aws_dropped FROM ({typed})"
            )
            described = connection.execute(f"DESCRIBE {rows}").fetchall()
        except duckdb.Error as error:
            raise invalid(
                "The data set's transformations do not fit its columns:"
                f" {str(error).splitlines()[0]}"
            ) from error
    if missing := sorted(set(roles) - {each[0] for each in described}):
        raise invalid(f"There is no column {', '.join(missing)} to tag")
    return tuple(_column(name, kind, roles.get(name, "")) for name, kind, *_ in described)


def _column(name: str, kind: str, role: str) -> Column:
    if kind.startswith("DECIMAL"):
        return Column(name, "DECIMAL", fixed=True, role=role)
    if kind in ("DOUBLE", "FLOAT"):
        return Column(name, "DECIMAL", role=role)
    if kind.startswith(("TIMESTAMP", "DATE")):
        return Column(name, "DATETIME", role=role)
    return Column(name, "STRING" if kind == "VARCHAR" else "INTEGER", role=role)
