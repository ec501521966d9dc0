"""Lake Formation: who administers the lake, which locations it holds, what the job's role may do there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import boto3

from lakebook.ensure import Call, current, resource

if TYPE_CHECKING:
    from collections.abc import Iterator


@resource
def administrator(arn: str) -> Iterator[Call]:
    """A data lake administrator; everything else in the settings stays, since PutDataLakeSettings replaces the whole."""
    lake = boto3.client("lakeformation")
    settings: dict[str, Any] = lake.get_data_lake_settings()["DataLakeSettings"]
    who = {"DataLakePrincipalIdentifier": arn}
    if who not in settings["DataLakeAdmins"]:
        yield Call(
            lake.put_data_lake_settings,
            {"DataLakeSettings": {**settings, "DataLakeAdmins": [*settings["DataLakeAdmins"], who]}},
        )


@resource
def location(arn: str, role_arn: str) -> Iterator[Call]:
    """An S3 location whose access Lake Formation vends through a role of ours."""
    lake = boto3.client("lakeformation")
    have = current(lake.describe_resource, "EntityNotFoundException", ResourceArn=arn)
    if have is None:
        yield Call(lake.register_resource, {"ResourceArn": arn, "RoleArn": role_arn})


@resource
def grant(principal: str, on: dict[str, Any], permissions: list[str]) -> Iterator[Call]:
    """Permissions of a principal on one resource, as Lake Formation names both."""
    lake, who = boto3.client("lakeformation"), {"DataLakePrincipalIdentifier": principal}
    held = lake.list_permissions(Principal=who, Resource=on)["PrincipalResourcePermissions"]
    if lacking := sorted(set(permissions) - {each for entry in held for each in entry["Permissions"]}):
        yield Call(lake.grant_permissions, {"Principal": who, "Resource": on, "Permissions": lacking})
