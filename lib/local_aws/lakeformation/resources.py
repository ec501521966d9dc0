"""What Lake Formation grants permissions on, in a form that compares: databases, tables, columns,
locations, tags, filters.

Source: https://docs.aws.amazon.com/lake-formation/latest/dg/lf-permissions-reference.html
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from local_aws.errors import ApiError
from local_aws.names import ACCOUNT

EVERY = "*"  # every table of a database
EVERYBODY = "IAM_ALLOWED_PRINCIPALS"  # whoever IAM allows: the group that leaves Lake Formation out
TABLE_PERMISSIONS = frozenset(["ALL", "ALTER", "DELETE", "DESCRIBE", "DROP", "INSERT", "SELECT"])
DATABASE_PERMISSIONS = frozenset(["ALL", "ALTER", "CREATE_TABLE", "DESCRIBE", "DROP"])
TAG_PERMISSIONS = frozenset(
    ["ALTER", "ASSOCIATE", "DESCRIBE", "DROP", "GRANT_WITH_LF_TAG_EXPRESSION"]
)
PERMISSIONS = {
    "Catalog": frozenset(
        ["ALL", "CREATE_DATABASE", "CREATE_LF_TAG", "CREATE_LF_TAG_EXPRESSION", "DESCRIBE"]
    ),
    "Database": DATABASE_PERMISSIONS,
    "Table": TABLE_PERMISSIONS,
    "TableWithColumns": frozenset(["SELECT"]),
    "DataLocation": frozenset(["DATA_LOCATION_ACCESS"]),
    "DataCellsFilter": frozenset(["DESCRIBE", "DROP", "SELECT"]),
    "LFTag": TAG_PERMISSIONS,
    "LFTagExpression": TAG_PERMISSIONS - {"ASSOCIATE"},
    "LFTagPolicy DATABASE": DATABASE_PERMISSIONS,
    "LFTagPolicy TABLE": TABLE_PERMISSIONS,
}
NOT_HERE = ("AnyResource", "RLSPolicy", "UserDefinedFunction")

# (key, values)…: AND over the keys, OR within the values
Expression = tuple[tuple[str, tuple[str, ...]], ...]


@dataclass(frozen=True)
class On:
    """One thing that permissions are granted on; the members that its kind does not have are
    empty.
    """

    # a member of the API's Resource: "Database", "Table", "TableWithColumns", "LFTagPolicy", …
    kind: str
    database: str = ""
    table: str = ""  # EVERY for all tables
    columns: frozenset[str] | None = None  # of TableWithColumns: these; None: all but `excluded`
    excluded: frozenset[str] = frozenset()
    name: str = ""  # of a data cells filter, a tag key, a tag expression, a location's ARN
    of: str = ""  # of LFTagPolicy: "DATABASE" or "TABLE"
    expression: Expression = ()  # of LFTagPolicy; of LFTag its values

    @property
    def permissions(self) -> frozenset[str]:
        """The permissions that can be granted on it."""
        return PERMISSIONS[f"{self.kind} {self.of}".strip()]

    def described(self) -> dict[str, Any]:
        """The API's Resource."""
        return {
            self.kind: {
                **_CATALOG.get(self.kind, {"CatalogId": ACCOUNT}),
                **getattr(self, f"_{self.kind}")(),
            }
        }

    def _Catalog(self) -> dict[str, Any]:
        return {}

    def _Database(self) -> dict[str, Any]:
        return {"Name": self.database}

    def _Table(self) -> dict[str, Any]:
        which: dict[str, Any] = (
            {"Name": "ALL_TABLES", "TableWildcard": {}}
            if self.table == EVERY
            else {"Name": self.table}
        )
        return {"DatabaseName": self.database, **which}

    def _TableWithColumns(self) -> dict[str, Any]:
        name = "ALL_TABLES" if self.table == EVERY else self.table
        excluded: dict[str, Any] = (
            {"ExcludedColumnNames": sorted(self.excluded)} if self.excluded else {}
        )
        which = (
            {"ColumnWildcard": excluded}
            if self.columns is None
            else {"ColumnNames": sorted(self.columns)}
        )
        return {"DatabaseName": self.database, "Name": name, **which}

    def _DataLocation(self) -> dict[str, Any]:
        return {"ResourceArn": self.name}

    def _DataCellsFilter(self) -> dict[str, Any]:
        return {
            "TableCatalogId": ACCOUNT,
            "DatabaseName": self.database,
            "TableName": self.table,
            "Name": self.name,
        }

    def _LFTag(self) -> dict[str, Any]:
        return {
            "TagKey": self.name,
            "TagValues": [each for _, values in self.expression for each in values],
        }

    def _LFTagExpression(self) -> dict[str, Any]:
        return {"Name": self.name}

    def _LFTagPolicy(self) -> dict[str, Any]:
        if self.name:
            return {"ResourceType": self.of, "ExpressionName": self.name}
        return {"ResourceType": self.of, "Expression": shown_expression(self.expression)}


_CATALOG: dict[str, dict[str, str]] = {"Catalog": {}, "DataCellsFilter": {}}


def on(resource: dict[str, Any]) -> On:  # noqa: C901 - one case for each kind
    """What a Resource of the API names; raises ApiError InvalidInputException."""
    if len(resource) != 1:
        raise invalid(
            "Resource must have exactly one of the types: Catalog, Database, Table,"
            " TableWithColumns, DataLocation, LFTag, LFTagPolicy"
        )
    kind, request = next(iter(resource.items()))
    if kind in NOT_HERE:
        raise ApiError(
            "NotInLocalAws", f"local_aws does not do Lake Formation's resource {kind}.", 501
        )
    catalog = (
        request.get("CatalogId") or request.get("TableCatalogId") or request.get("Id") or ACCOUNT
    )
    if catalog != ACCOUNT:
        raise ApiError(
            "NotInLocalAws", f"local_aws has no catalog but {ACCOUNT}, not {catalog}.", 501
        )
    database = str(
        request.get("DatabaseName") or (request["Name"] if kind == "Database" else "")
    ).lower()
    if kind == "Catalog":
        return On(kind)
    if kind == "Database":
        return On(kind, database)
    if kind == "Table":
        return On(kind, database, _table(request))
    if kind == "TableWithColumns":
        return _with_columns(request, database)
    if kind == "DataLocation":
        return On(kind, name=request["ResourceArn"].rstrip("/*"))
    if kind == "DataCellsFilter":
        return On(kind, database, request["TableName"].lower(), name=request["Name"])
    if kind == "LFTag":
        return On(kind, name=request["TagKey"].lower(), expression=expression([request]))
    if kind == "LFTagExpression":
        return On(kind, name=request["Name"])
    if bool(request.get("Expression")) == bool(request.get("ExpressionName")):
        raise invalid("LFTagPolicy needs either Expression or ExpressionName")
    return On(
        kind,
        of=request["ResourceType"],
        name=request.get("ExpressionName", ""),
        expression=expression(request.get("Expression", [])),
    )


def _table(request: dict[str, Any]) -> str:
    if "TableWildcard" in request:
        return EVERY
    if not request.get("Name"):
        raise invalid("Table Name or TableWildcard is mandatory")
    return str(request["Name"]).lower()


def _with_columns(request: dict[str, Any], database: str) -> On:
    names, wildcard = request.get("ColumnNames"), request.get("ColumnWildcard")
    if bool(names) == (wildcard is not None):
        raise invalid("TableWithColumns needs either ColumnNames or ColumnWildcard")
    table = EVERY if request["Name"] == "ALL_TABLES" else request["Name"].lower()
    excluded = frozenset(each.lower() for each in (wildcard or {}).get("ExcludedColumnNames", []))
    if not names and not excluded:
        return On("Table", database, table)  # SELECT on all columns is SELECT on the table
    columns = frozenset(each.lower() for each in names) if names else None
    return On("TableWithColumns", database, table, columns, excluded)


def expression(request: list[dict[str, Any]]) -> Expression:
    """An expression of tags; keys and values are in lower case, as Lake Formation keeps them."""
    return tuple(
        sorted(
            (each["TagKey"].lower(), tuple(sorted(value.lower() for value in each["TagValues"])))
            for each in request
        )
    )


def shown_expression(request: Expression) -> list[dict[str, Any]]:
    """An expression as the API shows it."""
    return [{"TagKey": key, "TagValues": list(values)} for key, values in request]


def invalid(message: str) -> ApiError:
    """InvalidInputException."""
    return ApiError("InvalidInputException", message)


def not_found(message: str) -> ApiError:
    """EntityNotFoundException."""
    return ApiError("EntityNotFoundException", message)
