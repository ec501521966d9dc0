"""The one place that says what Lake Formation lets a principal see and do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from local_aws import settings
from local_aws.errors import ApiError
from local_aws.lakeformation import filters
from local_aws.lakeformation.catalog import Catalog, arn_of, covers
from local_aws.lakeformation.grants import Grants
from local_aws.lakeformation.resources import EVERY, EVERYBODY, On, not_found
from local_aws.lakeformation.tags import Tags
from local_aws.ports import WHOLE, Access
from local_aws.principal import ENGINE

if TYPE_CHECKING:
    import datetime
    from collections.abc import Iterable

    from local_aws.principal import Principal

CATALOG = On("Catalog")


def default_settings() -> dict[str, Any]:
    """The settings of a new account: whoever IAM allows has ALL on every new database and table."""
    everybody = [{"Principal": {"DataLakePrincipalIdentifier": EVERYBODY}, "Permissions": ["ALL"]}]
    return {
        "DataLakeAdmins": [],
        "ReadOnlyAdmins": [],
        "CreateDatabaseDefaultPermissions": everybody,
        "CreateTableDefaultPermissions": everybody,
        "Parameters": {},
        "TrustedResourceOwners": [],
        "AllowExternalDataFiltering": False,
        "AllowFullTableExternalDataAccess": False,
        "ExternalDataFilteringAllowList": [],
        "AuthorizedSessionTagValueList": [],
    }


@dataclass
class Location:
    """A registered location."""

    arn: str
    role_arn: str
    hybrid: bool
    federated: bool
    modified: datetime.datetime


class Lake:
    """Lake Formation's records and the answers that follow from them."""

    def __init__(self, region: str) -> None:
        self.catalog, self.grants, self.tags = Catalog(region), Grants(), Tags()
        self.settings = default_settings()
        self.locations: dict[str, Location] = {}
        # by database, table, name: TableData
        self.filters: dict[tuple[str, str, str], dict[str, Any]] = {}
        self.opt_ins: dict[tuple[str, On], dict[str, Any]] = {}
        self.lagging: dict[str, ApiError] = {}  # by cause: the answer to the next that relies on it
        # by database: what is granted on its new tables
        self.table_defaults: dict[str, list[dict[str, Any]]] = {}
        self.grants.add(EVERYBODY, CATALOG, ["CREATE_DATABASE"], [], "")
        for database in self.catalog.databases():  # moto's records outlive a stand-in
            self.created(ENGINE, database)
            for table in self.catalog.tables(database):
                self.created(ENGINE, database, table)

    # What has not spread yet

    def lags(self, cause: str, answer: ApiError) -> None:
        """Let the first grant, revoke or tagging behind a change be refused, as on AWS; not where
        nothing takes time.

        Source: what is tried again in
        https://github.com/hashicorp/terraform-provider-aws/blob/main/internal/service/lakeformation/permissions.go
        """
        if settings.settle_seconds:
            self.lagging[cause] = answer

    def check_spread(self, cause: str) -> None:
        """Raise what a change that has not spread yet makes of a call, once."""
        if cause in self.lagging:
            raise self.lagging.pop(cause)

    # Who

    def administers(self, principal: Principal) -> bool:
        """Whether this is a data lake administrator, or the stand-in itself."""
        return (
            principal is ENGINE
            or {"DataLakePrincipalIdentifier": principal.policy_arn}
            in self.settings["DataLakeAdmins"]
        )

    def reads_all(self, principal: Principal) -> bool:
        """Whether a principal sees all that is described, as administrators and read-only
        administrators do.
        """
        read_only = {"DataLakePrincipalIdentifier": principal.policy_arn} in self.settings[
            "ReadOnlyAdmins"
        ]
        return read_only or self.administers(principal)

    def names_of(self, principal: Principal, database: str = "", table: str = "") -> list[str]:
        """The names under which a principal holds grants on a database or a table."""
        own = [principal.policy_arn, f"{principal.account}:IAMPrincipals"]
        return own if self._opted_in(own, database, table) else [*own, EVERYBODY]

    def _opted_in(self, names: list[str], database: str, table: str) -> bool:
        if not self.opt_ins:
            return False
        wanted = {
            On("Database", database),
            On("Table", database, EVERY),
            On("Table", database, table),
        }
        found = any(who in names and on in wanted for who, on in list(self.opt_ins))
        location = self.location(arn_of(self.catalog.location(database, table))) if table else None
        return found and (not table or bool(location and location.hybrid))

    # What

    def location(self, arn: str) -> Location | None:
        """The registered location that an ARN of S3 lies in, the innermost."""
        found = [each for each in list(self.locations.values()) if arn and covers(each.arn, arn)]
        return max(found, key=lambda each: len(each.arn), default=None)

    def vending_role(self, principal: Principal, arn: str) -> str:
        """The role whose credentials a principal is vended for an object; empty when none are."""
        location = self.location(arn)
        if location is None or (location.hybrid and not self._opted_in_below(principal, arn)):
            return ""
        return location.role_arn

    def _opted_in_below(self, principal: Principal, arn: str) -> bool:
        own = self.names_of(principal)
        below = [
            (on.database, name)
            for who, on in list(self.opt_ins)
            if who in own
            for name in self.catalog.tables(on.database)
            if on.table in ("", EVERY, name)
        ]
        return any(covers(arn_of(self.catalog.location(*each)), arn) for each in below)

    def governed(self, principal: Principal, database: str, table: str) -> bool:
        """Whether a table's files are reached through Lake Formation by this principal."""
        location = self.location(arn_of(self.catalog.location(database, table)))
        return bool(
            location
            and (not location.hybrid or EVERYBODY not in self.names_of(principal, database, table))
        )

    def on_database(self, principal: Principal, database: str) -> set[str]:
        """The permissions on a database."""
        if principal is ENGINE:
            return {"ALL"}
        found: set[str] = {"DESCRIBE"} if self.reads_all(principal) else set()
        for on, grant in self.grants.of(self.names_of(principal, database)):
            if on == On("Database", database) or (
                on.of == "DATABASE" and self.tags.match(on, (database,))
            ):
                found |= grant.permissions | {"DESCRIBE"}
            elif on == On("Table", database, EVERY) or (on.database, on.table, on.kind) == (
                database,
                EVERY,
                "TableWithColumns",
            ):
                found |= {"DESCRIBE"}
        return _spelled_out(found, On("Database", database))

    def on_table(self, principal: Principal, database: str, table: str) -> Access:
        """What a principal may see of a table that exists, and do to it."""
        if principal is ENGINE:
            return WHOLE
        names = self.names_of(principal, database, table)
        if EVERYBODY in names and self._everybodys(database, table):
            return WHOLE
        permissions, cells = self._granted(names, database, table)
        if self.reads_all(principal):
            permissions |= {"DESCRIBE"}
        permissions = _spelled_out(
            permissions | ({"SELECT"} if cells else set()), On("Table", database, table)
        )
        columns = self.catalog.columns(database, table)
        whole = bool(columns) and len(cells) == len(columns) and not any(cells.values())
        free = bool(permissions) and not self.governed(principal, database, table)
        return Access(
            frozenset(permissions | ({"DESCRIBE"} if permissions else set())),
            whole or free,
            {each: tuple(sorted(conditions)) for each, conditions in cells.items()},
        )

    def _everybodys(self, database: str, table: str) -> bool:
        places = On("Table", database, table), On("Table", database, EVERY)
        return any("ALL" in self.grants.held(EVERYBODY, each).permissions for each in places)

    def _granted(
        self, names: Iterable[str], database: str, table: str
    ) -> tuple[set[str], dict[str, set[str]]]:
        """The permissions on a table, and the conditions on the rows of each column: grants add
        up.
        """
        permissions: set[str] = set()
        cells: dict[str, set[str]] = {}
        columns = list(self.catalog.columns(database, table))
        for on, grant in self.grants.of(names):
            if on.of != "TABLE" and (on.database != database or on.table not in (table, EVERY)):
                continue
            if on.kind == "Table" or (on.of == "TABLE" and self.tags.match(on, (database, table))):
                permissions |= grant.permissions
            if {"SELECT", "ALL"} & grant.permissions:
                for each in self._columns(on, columns, database, table):
                    _widen(cells, each, self._rows(on))
        return permissions - {"SELECT"}, cells

    def _columns(self, on: On, columns: list[str], database: str, table: str) -> list[str]:
        """The columns that SELECT on a resource is about."""
        if on.of == "TABLE":
            return [each for each in columns if self.tags.match(on, (database, table, each))]
        if on.kind == "TableWithColumns":
            return [
                each
                for each in columns
                if (each in on.columns if on.columns is not None else each not in on.excluded)
            ]
        if on.kind == "DataCellsFilter":
            request = self.filters.get((on.database, on.table, on.name), {"ColumnNames": []})
            named, excluded = (
                request.get("ColumnNames"),
                request.get("ColumnWildcard", {}).get("ExcludedColumnNames", []),
            )
            return [
                each
                for each in columns
                if (each in named if named is not None else each not in excluded)
            ]
        return columns

    def _rows(self, on: On) -> str:
        """The condition on rows of a data cells filter; empty where there is none."""
        request = (
            self.filters.get((on.database, on.table, on.name), {})
            if on.kind == "DataCellsFilter"
            else {}
        )
        return str(request.get("RowFilter", {}).get("FilterExpression", ""))

    # May it

    def require_database(self, principal: Principal, permission: str, database: str) -> None:
        """Raise AccessDeniedException unless the principal holds a permission on a database."""
        if not {permission, "ALL"} & self.on_database(principal, database):
            raise denied(permission, database)

    def require_table(
        self, principal: Principal, permissions: Iterable[str], database: str, table: str
    ) -> Access:
        """What a principal may see of a table; raises AccessDeniedException unless it holds one of
        the permissions.
        """
        access = self.on_table(principal, database, table)
        if not {*permissions, "ALL"} & access.permissions:
            raise denied(next(iter(permissions)), table)
        return access

    def require_catalog(self, principal: Principal) -> None:
        """Raise AccessDeniedException unless the principal may create databases."""
        held = {
            each
            for on, grant in self.grants.of(self.names_of(principal))
            if on == CATALOG
            for each in grant.permissions
        }
        if not self.administers(principal) and not {"CREATE_DATABASE", "ALL"} & held:
            raise denied("CREATE_DATABASE", "Catalog")

    def require_location(self, principal: Principal, location: str, database: str = "") -> None:
        """Raise AccessDeniedException unless the principal may make tables of what lies in a
        registered location.

        Source:
        https://docs.aws.amazon.com/lake-formation/latest/dg/access-control-underlying-data.html
        """
        arn = arn_of(location)
        if self.location(arn) is None or self.administers(principal):
            return
        own = (
            self.catalog.location(database) if database else ""
        )  # who may create tables may do so where the database lies
        held = [
            on.name
            for on, _ in self.grants.of(self.names_of(principal))
            if on.kind == "DataLocation"
        ]
        if not any(covers(each, arn) for each in [*held, *([arn_of(own)] if own else [])]):
            raise ApiError(
                "AccessDeniedException", f"Insufficient Lake Formation permission(s) on {location}"
            )

    # What changes in the catalog

    def created(self, principal: Principal, database: str, table: str = "") -> None:
        """Grant on a new database or table what the settings say, and all to who made it.

        What is granted on new tables is the database's own setting, taken from the account's when
        it was made.
        """
        on = On("Table", database, table) if table else On("Database", database)
        if table:
            request = self.table_defaults.get(database, [])
        else:
            own = self.catalog.database(database).get("CreateTableDefaultPermissions")
            self.table_defaults[database] = (
                self.settings["CreateTableDefaultPermissions"] if own is None else own
            )
            request = self.settings["CreateDatabaseDefaultPermissions"]
        for each in request:
            self.grants.add(
                each["Principal"]["DataLakePrincipalIdentifier"], on, each["Permissions"], [], ""
            )
        if principal is not ENGINE:
            self.grants.add(principal.policy_arn, on, ["ALL"], ["ALL"], principal.policy_arn)

    def dropped(self, database: str, table: str = "") -> None:
        """Forget what was granted on a database or table that is no more, and its tags and
        filters.
        """
        self.grants.forget(database, table)
        self.tags.forget(database, table)
        if not table:
            self.table_defaults.pop(database, None)
        for key in [
            each for each in self.filters if each[0] == database and table in ("", each[1])
        ]:
            del self.filters[key]

    def exists(self, on: On) -> None:
        """Raise EntityNotFoundException, InvalidInputException unless there is what permissions are
        asked for.
        """
        if on.database and not self.catalog.has_database(on.database):
            raise not_found(f"Database {on.database} not found.")
        if on.table not in ("", EVERY) and self.catalog.table(on.database, on.table) is None:
            raise not_found(f"Table {on.table} not found.")


def _widen(cells: dict[str, set[str]], column: str, rows: str) -> None:
    """Add the rows of one grant to those of a column that are seen; no condition at all means every
    row.
    """
    if not rows or cells.get(column) == set():
        cells[column] = set()
    else:
        cells.setdefault(column, set()).add(rows)


def _spelled_out(permissions: set[str], on: On) -> set[str]:
    return permissions | on.permissions if "ALL" in permissions else permissions


def condition(lake: Lake, database: str, table: str, conditions: Iterable[str]) -> str:
    """Filters one of which a row must pass, for DuckDB."""
    types, keys = lake.catalog.columns(database, table), lake.catalog.keys(database, table)
    return " OR ".join(
        f"({filters.sql(filters.condition(each, types, keys))})" for each in conditions
    )


def denied(permission: str, name: str) -> ApiError:
    """Lake Formation's refusal, as Glue answers it."""
    required = permission.replace("_", " ").title()
    return ApiError(
        "AccessDeniedException",
        f"Insufficient Lake Formation permission(s): Required {required} on {name}",
    )
