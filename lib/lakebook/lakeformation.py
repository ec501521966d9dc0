"""Lake Formation: who administers the lake, which locations it holds, what the job's role may do there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd

from lakebook import aws, glue, iam
from lakebook.ensure import Call, Resource, current, resource

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lakebook.names import Names


READ_WRITE = ["s3:GetObject", "s3:PutObject", "s3:DeleteObject"]
LIST = ["s3:ListBucket", "s3:GetBucketLocation"]


def roles(names: Names) -> list[Resource]:
    """The role by which Lake Formation reaches the lake's buckets, and the one of the Glue job."""
    buckets = [f"arn:aws:s3:::{each}" for each in (names.raw_bucket, names.curated_bucket)]
    jobs = f"arn:aws:s3:::{names.jobs_bucket}"
    data = {f"{arn}/*": READ_WRITE for arn in buckets} | dict.fromkeys(buckets, LIST)
    job = {**data, f"{jobs}/*": READ_WRITE, jobs: LIST, "*": ["lakeformation:GetDataAccess"]}
    aws_policies = ("service-role/AWSGlueServiceRole",)
    return [
        iam.service_role(names, "lake", "lakeformation.amazonaws.com", allow=data),
        iam.service_role(names, "glue", "glue.amazonaws.com", allow=job, managed=aws_policies),
    ]


def governance(names: Names, administrators: list[str]) -> list[Resource]:
    """The databases, locations and grants of the lake, in order; the caller becomes an administrator."""
    buckets = [f"arn:aws:s3:::{each}" for each in (names.raw_bucket, names.curated_bucket)]
    layers = {"raw": "As AWS DMS wrote it", "staging": "Snapshots that are being judged", "curated": "What people read"}
    job_role = names.role_arn("glue")
    return [
        *(administrator(each) for each in dict.fromkeys([*administrators, caller_arn()])),
        *(glue.database(names.database(layer), description) for layer, description in layers.items()),
        *(location(arn, names.role_arn("lake")) for arn in buckets),
        *(grant(job_role, {"DataLocation": {"ResourceArn": arn}}, ["DATA_LOCATION_ACCESS"]) for arn in buckets),
        *(grant(job_role, {"Database": {"Name": names.database(layer)}}, ["DESCRIBE"]) for layer in layers),
    ]


def caller_arn() -> str:
    """The IAM role or user that makes the calls, as Lake Formation names it: only an administrator may grant."""
    arn = str(aws.client("sts").get_caller_identity()["Arn"])
    if ":assumed-role/" not in arn:
        return arn
    head, _, session = arn.partition(":assumed-role/")
    return f"{head.replace(':sts:', ':iam:')}:role/{session.partition('/')[0]}"


def registered(names: Names) -> list[str]:
    """Which of the lake's buckets are registered locations, sorted."""
    found = aws.client("lakeformation").list_resources()["ResourceInfoList"]
    buckets = {each["ResourceArn"].removeprefix("arn:aws:s3:::") for each in found}
    return sorted(buckets & {names.raw_bucket, names.curated_bucket})


def permissions(principal: str) -> pd.DataFrame:
    """What a principal holds: columns resource, permissions."""
    lake = aws.client("lakeformation")
    found: list[dict[str, Any]] = []
    more: dict[str, str] | None = {}
    while more is not None:  # botocore has no paginator here, and AWS lists by principal only together with a resource
        page = lake.list_permissions(**more)
        found += page["PrincipalResourcePermissions"]
        more = {"NextToken": page["NextToken"]} if page.get("NextToken") else None
    held = [each for each in found if each["Principal"]["DataLakePrincipalIdentifier"] == principal]
    rows = [
        (next(f"{kind} {each}" for kind, each in entry["Resource"].items()), ", ".join(entry["Permissions"]))
        for entry in held
    ]
    return pd.DataFrame(rows, columns=["resource", "permissions"])


@resource
def administrator(arn: str) -> Iterator[Call]:
    """A data lake administrator; everything else in the settings stays, since PutDataLakeSettings replaces the whole."""
    lake = aws.client("lakeformation")
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
    lake = aws.client("lakeformation")
    have = current(lake.describe_resource, "EntityNotFoundException", ResourceArn=arn)
    if have is None:
        yield Call(lake.register_resource, {"ResourceArn": arn, "RoleArn": role_arn})


@resource
def grant(principal: str, on: dict[str, Any], permissions: list[str]) -> Iterator[Call]:
    """Permissions of a principal on one resource, as Lake Formation names both."""
    lake, who = aws.client("lakeformation"), {"DataLakePrincipalIdentifier": principal}
    held = lake.list_permissions(Principal=who, Resource=on)["PrincipalResourcePermissions"]
    if lacking := sorted(set(permissions) - {each for entry in held for each in entry["Permissions"]}):
        yield Call(lake.grant_permissions, {"Principal": who, "Resource": on, "Permissions": lacking})
