"""Credential vending, as query engines ask for it: what of a table is read, with whose credentials,
and the record of it for CloudTrail.

Source: https://docs.aws.amazon.com/lake-formation/latest/dg/cloudtrail-logging.html
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from local_aws.errors import AccessDeniedError, ApiError
from local_aws.lakeformation.access import condition
from local_aws.names import ACCOUNT
from local_aws.principal import ENGINE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from local_aws.lakeformation.access import Lake
    from local_aws.ports import Access
    from local_aws.principal import Principal
    from local_aws.stand_in import StandIn

REQUESTERS = {"athena.amazonaws.com": "ATHENA", "redshift.amazonaws.com": "REDSHIFT"}


class Vending:
    """Answers from one stand-in's Lake Formation."""

    def __init__(self, stand_in: StandIn, lake: Lake) -> None:
        self._stand_in, self._lake = stand_in, lake

    def vending_role(self, principal: Principal, arn: str) -> str:
        """The role whose credentials a principal is vended for an object; empty when none are."""
        return self._lake.vending_role(principal, arn)

    def reading(
        self, principal: Principal, database: str, table: str
    ) -> tuple[Access, dict[str, str]]:
        """What the principal may see of a table, and its row filters in DuckDB's words.

        Credentials for a registered location are vended for it: raises AccessDeniedError without
        lakeformation:GetDataAccess.
        """
        access = self._lake.on_table(principal, database, table)
        if principal is not ENGINE and self._lake.governed(principal, database, table):
            self._vend(principal, database, table, filtered=bool(access.filters))
        conditions = {
            each: condition(self._lake, database, table, [each])
            for every in access.filters
            for each in every
        }
        return access, conditions

    def may_write(self, principal: Principal, database: str, table: str) -> None:
        """Return when the principal may insert rows into a table; raises AccessDeniedError."""
        with _refused():
            self._lake.require_table(principal, ("INSERT",), database, table)
        if principal is not ENGINE and self._lake.governed(principal, database, table):
            self._vend(principal, database, table)

    def may_query(self, principal: Principal) -> None:
        """Return when Athena runs queries of the principal, which wants DESCRIBE on the database
        `default` where there is one; raises AccessDeniedError.

        https://docs.aws.amazon.com/athena/latest/ug/lf-athena-limitations.html
        """
        if principal is not ENGINE and self._lake.catalog.has_database("default"):
            with _refused():
                self._lake.require_database(principal, "DESCRIBE", "default")

    def may_create(self, principal: Principal, database: str, location: str) -> None:
        """Return when the principal may make a table at a location; raises AccessDeniedError."""
        if principal is not ENGINE:
            with _refused():
                self._lake.require_database(principal, "CREATE_TABLE", database)
                self._lake.require_location(principal, location, database)

    def _vend(
        self, principal: Principal, database: str, table: str, *, filtered: bool = False
    ) -> None:
        """Record that the credentials of a table's location are vended; raises AccessDeniedError to
        whom they may not be.
        """
        self._stand_in.authorize(principal, "lakeformation:GetDataAccess", "*")
        arn = f"arn:aws:glue:{self._stand_in.region}:{ACCOUNT}:table/{database}/{table}"
        self._stand_in.recorder.acted(
            principal,
            "lakeformation",
            "GetDataAccess",
            parameters={
                "tableArn": arn,
                **({"cellLevelSecurityEnforced": True} if filtered else {}),
            },
            additional={
                "requesterService": REQUESTERS.get(principal.invoked_by, "UNKNOWN"),
                "lakeFormationPrincipal": principal.policy_arn,
                "lakeFormationRoleSessionName": "lakeformation",
            },
        )


@contextlib.contextmanager
def _refused() -> Iterator[None]:
    try:
        yield
    except ApiError as denied:
        raise AccessDeniedError(denied.code, denied.message, denied.message) from None
