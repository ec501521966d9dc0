"""Lake Formation's operations on data cells filters, and on who is opted in at hybrid locations."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING, Any

from local_aws.errors import ApiError
from local_aws.lakeformation import filters
from local_aws.lakeformation.pages import page
from local_aws.lakeformation.resources import On, invalid, not_found, on
from local_aws.names import ACCOUNT

if TYPE_CHECKING:
    from local_aws.lakeformation.access import Lake
    from local_aws.service import Call

FILTERS_OF_A_TABLE = 100


class FilterCalls:
    """What LakeFormation does with data cells filters and opt-ins."""

    lake: Lake

    def CreateDataCellsFilter(self, call: Call) -> dict[str, Any]:
        """A filter of rows and columns of a table."""
        key = self._key(call)
        if key in self.lake.filters:
            raise ApiError("AlreadyExistsException", f"Data cells filter {key[2]} already exists")
        if sum(each[:2] == key[:2] for each in self.lake.filters) >= FILTERS_OF_A_TABLE:
            raise ApiError(
                "ResourceNumberLimitExceededException",
                f"The table has {FILTERS_OF_A_TABLE} filters already",
            )
        self.lake.filters[key] = self._checked(call.parameters["TableData"])
        return {}

    def UpdateDataCellsFilter(self, call: Call) -> dict[str, Any]:
        """The filter anew."""
        key = self._key(call)
        self._found(key)
        self.lake.filters[key] = self._checked(call.parameters["TableData"])
        return {}

    def GetDataCellsFilter(self, call: Call) -> dict[str, Any]:
        """One filter."""
        return {"DataCellsFilter": self._found(self._key(call))}

    def DeleteDataCellsFilter(self, call: Call) -> dict[str, Any]:
        """The filter gone, with what was granted on it."""
        key = self._key(call)
        self._found(key)
        del self.lake.filters[key]
        self.lake.grants.forget_on(On("DataCellsFilter", key[0], key[1], name=key[2]))
        return {}

    def ListDataCellsFilter(self, call: Call) -> dict[str, Any]:
        """The filters of a table, or all, that the caller may see."""
        request = call.parameters.get("Table")
        which = on({"Table": request}) if request else None
        seen = [
            described
            for (database, table, _), described in self.lake.filters.items()
            if (which is None or (which.database == database and which.table in ("*", table)))
            and (self.lake.reads_all(call.principal) or self._grants(call, database, table))
        ]
        return page("DataCellsFilters", seen, call.parameters)

    def _key(self, call: Call) -> tuple[str, str, str]:
        """Database, table and name of a filter; raises ApiError when there is no such table or the
        caller may not filter it.
        """
        request = call.parameters.get("TableData", call.parameters)
        if request["TableCatalogId"] != ACCOUNT:
            raise ApiError(
                "NotInLocalAws",
                f"local_aws has no catalog but {ACCOUNT}, not {request['TableCatalogId']}.",
                501,
            )
        database, table = request["DatabaseName"].lower(), request["TableName"].lower()
        self.lake.exists(On("Table", database, table))
        if not self.lake.administers(call.principal) and not self._grants(call, database, table):
            raise ApiError(
                "AccessDeniedException",
                f"Insufficient Lake Formation permission(s): Required Select on {table}",
            )
        return database, table, request["Name"]

    def _grants(self, call: Call, database: str, table: str) -> bool:
        """Whether the caller may grant SELECT on the table on, as who made it may."""
        held = self.lake.grants.held(call.principal.policy_arn, On("Table", database, table))
        return bool({"SELECT", "ALL"} & held.grantable)

    def _found(self, key: tuple[str, str, str]) -> dict[str, Any]:
        if key not in self.lake.filters:
            raise not_found(f"Data cells filter {key[2]} not found.")
        return self.lake.filters[key]

    def _checked(self, request: dict[str, Any]) -> dict[str, Any]:
        database, table = request["DatabaseName"].lower(), request["TableName"].lower()
        types, keys = (
            self.lake.catalog.columns(database, table),
            self.lake.catalog.keys(database, table),
        )
        if ("ColumnNames" in request) == ("ColumnWildcard" in request):
            raise invalid("A data cells filter needs either ColumnNames or ColumnWildcard")
        names = sorted(each.lower() for each in request.get("ColumnNames", []))
        excluded = [
            each.lower()
            for each in request.get("ColumnWildcard", {}).get("ExcludedColumnNames", [])
        ]
        if unknown := sorted({*names, *excluded} - set(types)):
            raise invalid(f"Column {unknown[0]} does not exist in table {table}")
        rows = request.get("RowFilter", {})
        if ("FilterExpression" in rows) == ("AllRowsWildcard" in rows):
            raise invalid("RowFilter needs either FilterExpression or AllRowsWildcard")
        if "FilterExpression" in rows:
            filters.condition(rows["FilterExpression"], types, keys)
        which: dict[str, Any] = (
            {"ColumnNames": names}
            if "ColumnNames" in request
            else {"ColumnWildcard": {"ExcludedColumnNames": excluded}}
        )
        version = str(datetime.datetime.now(datetime.UTC).timestamp())
        return {
            "TableCatalogId": ACCOUNT,
            "DatabaseName": database,
            "TableName": table,
            "Name": request["Name"],
            "RowFilter": rows,
            **which,
            "VersionId": version,
        }

    # Hybrid access mode

    def CreateLakeFormationOptIn(self, call: Call) -> dict[str, Any]:
        """A principal for whom grants count on a database or table at a hybrid location; for
        administrators.
        """
        key = self._opt_in(call)
        if "Condition" in call.parameters:
            raise ApiError("NotInLocalAws", "local_aws does not do opt-ins with a Condition.", 501)
        if key in self.lake.opt_ins:
            raise invalid("The principal is already opted in for the resource")
        now = datetime.datetime.now(datetime.UTC)
        self.lake.opt_ins[key] = {"LastModified": now, "LastUpdatedBy": call.principal.policy_arn}
        return {}

    def DeleteLakeFormationOptIn(self, call: Call) -> dict[str, Any]:
        """Grants no longer count for the principal there."""
        key = self._opt_in(call)
        if key not in self.lake.opt_ins:
            raise not_found("The principal is not opted in for the resource.")
        del self.lake.opt_ins[key]
        return {}

    def ListLakeFormationOptIns(self, call: Call) -> dict[str, Any]:
        """Who is opted in for what."""
        who = call.parameters.get("Principal", {}).get("DataLakePrincipalIdentifier")
        what = on(call.parameters["Resource"]) if "Resource" in call.parameters else None
        found = [
            {
                "Principal": {"DataLakePrincipalIdentifier": principal},
                "Resource": each.described(),
                **more,
            }
            for (principal, each), more in self.lake.opt_ins.items()
            if who in (None, principal) and what in (None, each)
        ]
        return page("LakeFormationOptInsInfoList", found, call.parameters)

    def _opt_in(self, call: Call) -> tuple[str, On]:
        what = on(call.parameters["Resource"])
        if what.kind not in ("Database", "Table"):
            raise invalid("Principals are opted in for a Database or a Table")
        if not self.lake.administers(call.principal):
            raise ApiError(
                "AccessDeniedException", "Only data lake administrators opt principals in"
            )
        self.lake.exists(what)
        return call.parameters["Principal"]["DataLakePrincipalIdentifier"], what
