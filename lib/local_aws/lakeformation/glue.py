"""Lake Formation in front of the Data Catalog: what of it a principal sees, and may change.

Source: https://docs.aws.amazon.com/lake-formation/latest/dg/lf-permissions-reference.html
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from local_aws.lakeformation.access import denied
from local_aws.principal import ENGINE

if TYPE_CHECKING:
    from local_aws.lakeformation.access import Lake
    from local_aws.ports import Access
    from local_aws.service import Call

ON_DATABASE = {"GetDatabase": "DESCRIBE", "UpdateDatabase": "ALTER", "DeleteDatabase": "DROP"}
ON_TABLE = {  # one of these
    "GetTable": ("DESCRIBE",),
    "GetTableVersion": ("DESCRIBE",),
    "GetTableVersions": ("DESCRIBE",),
    "GetPartition": ("DESCRIBE",),
    "GetPartitions": ("DESCRIBE",),
    "BatchGetPartition": ("DESCRIBE",),
    "UpdateTable": ("ALTER",),
    "DeleteTable": ("DROP",),
    "DeleteTableVersion": ("ALTER",),
    "CreatePartition": ("ALTER", "INSERT"),
    "BatchCreatePartition": ("ALTER", "INSERT"),
    "UpdatePartition": ("ALTER", "INSERT"),
    "BatchUpdatePartition": ("ALTER", "INSERT"),
    "DeletePartition": ("ALTER", "DELETE"),
    "BatchDeletePartition": ("ALTER", "DELETE"),
}


def check(lake: Lake, call: Call) -> None:
    """Return when the caller may make a call to the catalog (names in lower case); raises ApiError
    AccessDeniedException.
    """
    request, who, operation = call.parameters, call.principal, call.operation
    if who is ENGINE:
        return
    database = str(request.get("DatabaseName") or request.get("Name") or "")
    if operation == "CreateDatabase":
        lake.require_catalog(who)
        lake.require_location(who, request["DatabaseInput"].get("LocationUri") or "")
    elif operation in ON_DATABASE and lake.catalog.has_database(request["Name"]):
        lake.require_database(who, ON_DATABASE[operation], request["Name"])
    elif operation == "CreateTable" and lake.catalog.has_database(database):
        lake.require_database(who, "CREATE_TABLE", database)
        lake.require_location(who, _location(request["TableInput"]), database)
    elif operation in ON_TABLE:
        _check_table(lake, call, database)
    elif operation == "BatchDeleteTable":
        for each in request["TablesToDelete"]:
            if lake.catalog.table(database, each):
                lake.require_table(who, ("DROP",), database, each)


def _check_table(lake: Lake, call: Call, database: str) -> None:
    request, who, operation = call.parameters, call.principal, call.operation
    table = str(request.get("TableName") or request.get("TableInput", request).get("Name"))
    if lake.catalog.table(database, table) is None:
        return
    access = lake.require_table(who, ON_TABLE[operation], database, table)
    if operation == "UpdateTable" and _location(request["TableInput"]) != lake.catalog.location(
        database, table
    ):
        lake.require_location(who, _location(request["TableInput"]), database)
    inputs = [
        *request.get("PartitionInputList", []),
        *([request["PartitionInput"]] if "PartitionInput" in request else []),
    ]
    for each in inputs:
        lake.require_location(who, _location(each), database)
    hidden = lake.catalog.keys(database, table) - set(access.cells)
    if (
        operation in ("GetPartition", "GetPartitions", "BatchGetPartition")
        and not access.whole
        and (hidden or access.filters)
    ):
        raise denied("SELECT", table)  # the values of partitions are data


def _location(request: dict[str, Any]) -> str:
    return str(request.get("StorageDescriptor", {}).get("Location") or "")


def shown(lake: Lake, call: Call, answer: dict[str, Any]) -> dict[str, Any]:
    """An answer of the catalog without the databases, tables and columns that the caller may not
    see.
    """
    who, request = call.principal, call.parameters
    if "Database" in answer:
        _fill(lake, answer["Database"])
    for each in answer.get("DatabaseList", []):
        _fill(lake, each)
    if who is ENGINE:
        return answer
    if "DatabaseList" in answer:
        seen = [each for each in answer["DatabaseList"] if lake.on_database(who, each["Name"])]
        return {**answer, "DatabaseList": seen}
    if "TableList" in answer:
        found = [
            (each, lake.on_table(who, request["DatabaseName"], each["Name"]))
            for each in answer["TableList"]
        ]
        return {
            **answer,
            "TableList": [
                _table(lake, call, each, access) for each, access in found if access.permissions
            ],
        }
    if "Table" in answer:
        access = lake.on_table(who, request["DatabaseName"], request["Name"])
        return {**answer, "Table": _table(lake, call, answer["Table"], access)}
    if inside := [
        name
        for name in ("TableVersion", "TableVersions", "Partition", "Partitions")
        if name in answer
    ]:
        access = lake.on_table(who, request["DatabaseName"], request["TableName"])
        return {**answer, **{name: _inner(lake, call, answer[name], access) for name in inside}}
    return answer


def _fill(lake: Lake, database: dict[str, Any]) -> None:
    if database.get("CreateTableDefaultPermissions") is None:
        database["CreateTableDefaultPermissions"] = lake.table_defaults.get(database["Name"], [])


def _inner(lake: Lake, call: Call, value: Any, access: Access) -> Any:
    """Versions of a table and partitions, which have the columns inside."""
    if isinstance(value, list):
        return [_inner(lake, call, each, access) for each in value]
    if "Table" in value:
        return {**value, "Table": _table(lake, call, value["Table"], access)}
    return _table(lake, call, value, access)


def _table(lake: Lake, call: Call, described: dict[str, Any], access: Access) -> dict[str, Any]:
    """A table, or a partition, with the columns that are seen; administrators see the names of
    all.
    """
    if access.whole or lake.reads_all(call.principal):
        return described
    storage = described.get("StorageDescriptor", {})
    seen = {
        **described,
        "StorageDescriptor": {**storage, "Columns": _seen(storage.get("Columns", []), access)},
    }
    return (
        {**seen, "PartitionKeys": _seen(described["PartitionKeys"], access)}
        if "PartitionKeys" in described
        else seen
    )


def _seen(columns: list[dict[str, Any]], access: Access) -> list[dict[str, Any]]:
    return [each for each in columns if each["Name"].lower() in access.cells]


def happened(lake: Lake, call: Call) -> None:
    """Follow what a call has changed in the catalog."""
    request, operation = call.parameters, call.operation
    if operation == "CreateDatabase":
        lake.created(call.principal, request["DatabaseInput"]["Name"])
    elif (
        operation == "UpdateDatabase"
        and "CreateTableDefaultPermissions" in request["DatabaseInput"]
    ):
        lake.table_defaults[request["Name"]] = request["DatabaseInput"][
            "CreateTableDefaultPermissions"
        ]
    elif operation == "CreateTable":
        lake.created(call.principal, request["DatabaseName"], request["TableInput"]["Name"])
    elif operation == "DeleteDatabase":
        lake.dropped(request["Name"])
    elif operation == "DeleteTable":
        lake.dropped(request["DatabaseName"], request["Name"])
    elif operation == "BatchDeleteTable":
        for each in request["TablesToDelete"]:
            if lake.catalog.table(request["DatabaseName"], each) is None:
                lake.dropped(request["DatabaseName"], each)
