"""Lake Formation as query engines ask it: what of a table is read, with whose credentials, and the
record of it for CloudTrail.

Source: https://docs.aws.amazon.com/lake-formation/latest/dg/cloudtrail-logging.html
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from local_aws.cloudtrail import identity as cloudtrail_identity
from local_aws.iam.refusals import AccessDeniedError
from local_aws.lakeformation.access import Access, condition
from local_aws.principals import ENGINE
from local_aws.service import ACCOUNT, ApiError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from local_aws.stand_in import StandIn

REQUESTERS = {"athena.amazonaws.com": "ATHENA", "redshift.amazonaws.com": "REDSHIFT"}


def reading(stand_in: StandIn, database: str, table: str) -> tuple[Access, dict[str, str]]:
    """What the stand-in's principal may see of a table, and its row filters in DuckDB's words.

    Credentials for a registered location are lent for it: raises AccessDeniedError without
    lakeformation:GetDataAccess.
    """
    principal, lake = stand_in.acting, stand_in.lake
    access = lake.on_table(principal, database, table)
    if principal is not ENGINE and lake.governed(principal, database, table):
        lend(stand_in, database, table, filtered=bool(access.filters))
    conditions = {
        each: condition(lake, database, table, [each]) for every in access.filters for each in every
    }
    return access, conditions


def lend(stand_in: StandIn, database: str, table: str, *, filtered: bool = False) -> None:
    """Record that the credentials of a table's location are lent; raises AccessDeniedError to whom
    they may not be.
    """
    principal = stand_in.acting
    stand_in.authorize(principal, "lakeformation:GetDataAccess", "*")
    engine = cloudtrail_identity.invoked_by(principal)
    arn = f"arn:aws:glue:{stand_in.region}:{ACCOUNT}:table/{database}/{table}"
    stand_in.recorder.record_service_event(
        "lakeformation",
        "GetDataAccess",
        engine,
        identity=cloudtrail_identity.identity(principal),
        parameters={"tableArn": arn, **({"cellLevelSecurityEnforced": True} if filtered else {})},
        additional={
            "requesterService": REQUESTERS.get(engine, "UNKNOWN"),
            "lakeFormationPrincipal": principal.policy_arn,
            "lakeFormationRoleSessionName": "lakeformation",
        },
    )


def may_write(stand_in: StandIn, database: str, table: str) -> None:
    """Return when the stand-in's principal may insert rows into a table; raises AccessDeniedError."""
    principal, lake = stand_in.acting, stand_in.lake
    with _refused():
        lake.require_table(principal, ("INSERT",), database, table)
    if principal is not ENGINE and lake.governed(principal, database, table):
        lend(stand_in, database, table)


def may_create(stand_in: StandIn, database: str, location: str) -> None:
    """Return when the stand-in's principal may make a table at a location; raises
    AccessDeniedError.
    """
    if stand_in.acting is not ENGINE:
        with _refused():
            stand_in.lake.require_database(stand_in.acting, "CREATE_TABLE", database)
            stand_in.lake.require_location(stand_in.acting, location, database)


@contextlib.contextmanager
def _refused() -> Iterator[None]:
    try:
        yield
    except ApiError as denied:
        raise AccessDeniedError(denied.code, denied.message, denied.message) from None
