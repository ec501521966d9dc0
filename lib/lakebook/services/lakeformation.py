"""Lake Formation: who administers the lake, which locations it holds, what the job's role may do
there, tags, filters and grants.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pandas as pd

from lakebook import aws
from lakebook.ensure import Call, Resource, current, resource
from lakebook.errors import LakebookError
from lakebook.services import glue, iam

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from lakebook.names import Names


Grant = tuple[str, dict[str, Any], list[str]]  # principal, resource, permissions
EVERY_TABLE = "ALL_TABLES"  # how a grant on all tables of a database is listed
EVERYBODY = "IAM_ALLOWED_PRINCIPALS"  # whoever IAM lets in: while it holds ALL, no grant counts
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


def governance(names: Names, administrators: list[str], *, hybrid: bool = False) -> list[Resource]:
    """The databases, locations and grants of the lake, in order; the caller becomes an
    administrator.

    With `hybrid` (access mode) the locations are Lake Formation's for those only who are opted in.
    """
    buckets = [f"arn:aws:s3:::{each}" for each in (names.raw_bucket, names.curated_bucket)]
    layers = {
        "raw": "As AWS DMS wrote it",
        "staging": "Snapshots that are being judged",
        "curated": "What people read",
    }
    job_role = names.role_arn("glue")
    return [
        *(administrator(each) for each in dict.fromkeys([*administrators, caller_arn()])),
        *(
            glue.database(names.database(layer), description)
            for layer, description in layers.items()
        ),
        *(location(arn, names.role_arn("lake"), hybrid=hybrid) for arn in buckets),
        grants(
            "of the job",
            [
                *(
                    (job_role, {"DataLocation": {"ResourceArn": arn}}, ["DATA_LOCATION_ACCESS"])
                    for arn in buckets
                ),
                *(
                    (job_role, {"Database": {"Name": names.database(layer)}}, ["DESCRIBE"])
                    for layer in layers
                ),
            ],
        ),
    ]


def caller_arn() -> str:
    """The IAM role or user that makes the calls, as Lake Formation names it: only an administrator
    may grant.
    """
    arn = str(aws.client("sts").get_caller_identity()["Arn"])
    if ":assumed-role/" not in arn:
        return arn
    head, _, session = arn.partition(":assumed-role/")
    return f"{head.replace(':sts:', ':iam:')}:role/{session.partition('/')[0]}"


def registered(names: Names) -> list[str]:
    """Which of the lake's buckets are registered locations, sorted."""
    found = _every(aws.client("lakeformation").list_resources, "ResourceInfoList")
    buckets = {each["ResourceArn"].removeprefix("arn:aws:s3:::") for each in found}
    return sorted(buckets & {names.raw_bucket, names.curated_bucket})


def permissions(principal: str) -> pd.DataFrame:
    """What a principal holds: columns resource, permissions."""
    mine = [each for each in held() if who(each) == principal]
    rows = [
        (
            next(f"{kind} {each}" for kind, each in entry["Resource"].items()),
            ", ".join(entry["Permissions"]),
        )
        for entry in mine
    ]
    return pd.DataFrame(rows, columns=["resource", "permissions"])


def unverified(names: Names) -> list[str]:
    """The lake's locations that Lake Formation's role does not reach, as far as AWS has tried:
    VerificationStatus is not always shown.
    """
    found = _every(aws.client("lakeformation").list_resources, "ResourceInfoList")
    ours = {f"arn:aws:s3:::{each}" for each in (names.raw_bucket, names.curated_bucket)}
    return sorted(
        each["ResourceArn"]
        for each in found
        if each["ResourceArn"] in ours and each.get("VerificationStatus") == "VERIFICATION_FAILED"
    )


def held() -> list[dict[str, Any]]:
    """Every grant there is, as ListPermissions shows it."""
    return _every(aws.client("lakeformation").list_permissions, "PrincipalResourcePermissions")


def who(entry: dict[str, Any]) -> str:
    """The principal of a grant."""
    return str(entry["Principal"]["DataLakePrincipalIdentifier"])


def what(entry: dict[str, Any]) -> str:
    """The resource of a grant as text, so that what is held can be compared with what is declared:
    the catalog's id is understood, and SELECT on all columns is SELECT on the table.
    """
    [(kind, on)] = [
        (kind, each) for kind, each in entry["Resource"].items() if isinstance(each, dict)
    ]
    described = {
        key: each for key, each in on.items() if key not in ("CatalogId", "TableCatalogId")
    }
    if described.get("ColumnWildcard", {}).get("ExcludedColumnNames") == []:
        described["ColumnWildcard"] = {}
    if kind == "TableWithColumns" and described.get("ColumnWildcard") == {}:
        kind, described = "Table", {key: described[key] for key in ("DatabaseName", "Name")}
    if "TableWildcard" in described:
        described = {"DatabaseName": described["DatabaseName"], "Name": EVERY_TABLE}
    if "ColumnNames" in described:
        described["ColumnNames"] = sorted(described["ColumnNames"])
    if "Expression" in described:
        described["Expression"] = sorted(
            (each["TagKey"], sorted(each["TagValues"])) for each in described["Expression"]
        )
    return json.dumps([kind, described], sort_keys=True)


def _every(method: Callable[..., Any], member: str) -> list[dict[str, Any]]:
    """All pages of a listing: botocore has no paginator for these."""
    found: list[dict[str, Any]] = []
    more: dict[str, Any] | None = {}
    while more is not None:
        page = method(**more)
        found += map(dict, page[member])
        more = {"NextToken": page["NextToken"]} if page.get("NextToken") else None
    return found


@resource
def administrator(arn: str) -> Iterator[Call]:
    """A data lake administrator; everything else in the settings stays, since PutDataLakeSettings
    replaces the whole.
    """
    lake = aws.client("lakeformation")
    settings: dict[str, Any] = {**lake.get_data_lake_settings()["DataLakeSettings"]}
    who = {"DataLakePrincipalIdentifier": arn}
    if who not in settings["DataLakeAdmins"]:
        yield Call(
            lake.put_data_lake_settings,
            {
                "DataLakeSettings": {
                    **settings,
                    "DataLakeAdmins": [*settings["DataLakeAdmins"], who],
                }
            },
        )


@resource
def location(arn: str, role_arn: str, *, hybrid: bool = False) -> Iterator[Call]:
    """An S3 location whose access Lake Formation vends through a role of ours, or with `hybrid` to
    those only who are opted in.

    The way from hybrid to whole is open; AWS advises against the way back: a LakebookError.
    https://docs.aws.amazon.com/lake-formation/latest/dg/hybrid-access-mode.html
    """
    lake, registration = aws.client("lakeformation"), {"ResourceArn": arn, "RoleArn": role_arn}
    actual = current(lake.describe_resource, "EntityNotFoundException", ResourceArn=arn)
    was_hybrid = bool(actual and actual["ResourceInfo"].get("HybridAccessEnabled"))
    if actual is None:
        yield Call(
            lake.register_resource,
            {**registration, **({"HybridAccessEnabled": True} if hybrid else {})},
        )
    elif was_hybrid and not hybrid:
        yield Call(lake.update_resource, {**registration, "HybridAccessEnabled": False})
    elif hybrid and not was_hybrid:
        raise LakebookError(
            f"{arn} is Lake Formation's as a whole and cannot be made hybrid: leave hybrid_access"
            " False."
        )


@resource
def opted_in(_name: str, wanted: list[tuple[str, dict[str, Any]]]) -> Iterator[Call]:
    """Principals for whom grants count on a database, or on its tables, at hybrid locations."""
    lake = aws.client("lakeformation")
    actual = {
        (who(each), what(each))
        for each in _every(lake.list_lake_formation_opt_ins, "LakeFormationOptInsInfoList")
    }
    for principal, on in wanted:
        opt_in = {"Principal": {"DataLakePrincipalIdentifier": principal}, "Resource": on}
        if (who(opt_in), what(opt_in)) not in actual:
            yield Call(lake.create_lake_formation_opt_in, opt_in)


@resource
def grants(_name: str, wanted: list[Grant]) -> Iterator[Call]:
    """Permissions of principals on resources, as Lake Formation names all three.

    They are compared with what was granted. ListPermissions for a principal on a resource would
    tell what is in force by tags, wildcards and IAM alone as well, which may be taken away later;
    https://docs.aws.amazon.com/lake-formation/latest/APIReference/API_ListPermissions.html
    """
    lake = aws.client("lakeformation")
    actual: dict[tuple[str, str], set[str]] = {}
    for entry in held() if wanted else []:
        actual.setdefault((who(entry), what(entry)), set()).update(entry["Permissions"])
    for principal, on, permissions in wanted:
        asked = {"Principal": {"DataLakePrincipalIdentifier": principal}, "Resource": on}
        has = actual.get((who(asked), what(asked)), set())
        if lacking := sorted(set(permissions) - has if "ALL" not in has else ()):
            yield Call(lake.grant_permissions, {**asked, "Permissions": lacking})


@resource
def revoked(_name: str, unwanted: Callable[[dict[str, Any]], set[str]]) -> Iterator[Call]:
    """No permission of those that `unwanted` names, given an entry of ListPermissions; databases
    last, as they show tables.
    """
    lake = aws.client("lakeformation")
    found = [(each, sorted(unwanted(each))) for each in held()]
    for each, permissions in sorted(found, key=lambda pair: "Database" in pair[0]["Resource"]):
        if permissions:
            granting = sorted({*permissions} & {*each.get("PermissionsWithGrantOption", [])})
            again = {"PermissionsWithGrantOption": granting} if granting else {}
            where = {
                "Principal": each["Principal"],
                "Resource": _asked(each["Resource"]),
                "Permissions": permissions,
            }
            yield Call(lake.revoke_permissions, {**where, **again})


@resource
def lf_tag(key: str, values: list[str]) -> Iterator[Call]:
    """An LF-Tag that has these values; values that it has besides stay, as somebody may use
    them.
    """
    lake = aws.client("lakeformation")
    actual = current(lake.get_lf_tag, "EntityNotFoundException", TagKey=key)
    if actual is None:
        yield Call(lake.create_lf_tag, {"TagKey": key, "TagValues": values})
    elif missing := [each for each in values if each not in actual["TagValues"]]:
        yield Call(lake.update_lf_tag, {"TagKey": key, "TagValuesToAdd": missing})


@resource
def tagged_database(name: str, tags: dict[str, str]) -> Iterator[Call]:
    """A database with these LF-Tags, which its tables and their columns inherit."""
    on = {"Database": {"Name": name}}
    yield from _tag(on, tags, _values(_assigned(on).get("LFTagOnDatabase", [])))


@resource
def tagged_table(
    name: str, database: str, tags: dict[str, str], columns: dict[str, dict[str, str]]
) -> Iterator[Call]:
    """A table with these LF-Tags of its own, and its columns with theirs; one call for all columns
    that want the same.
    """
    on = {"DatabaseName": database, "Name": name}
    actual = _assigned({"Table": on})
    yield from _tag({"Table": on}, tags, _values(actual.get("LFTagsOnTable", [])))
    own = {each["Name"]: _values(each["LFTags"]) for each in actual.get("LFTagsOnColumns", [])}
    due: dict[tuple[tuple[str, str], ...], list[str]] = {}
    for column, wanted in columns.items():
        if lacking := tuple(sorted(wanted.items() - own.get(column, {}).items())):
            due.setdefault(lacking, []).append(column)
    for lacking, some in due.items():
        yield from _tag({"TableWithColumns": {**on, "ColumnNames": some}}, dict(lacking), {})


@resource
def data_cells_filter(
    name: str, database: str, table: str, columns: list[str], rows: str
) -> Iterator[Call]:
    """A filter of a table: these columns of the rows that meet a condition."""
    lake, catalog = (
        aws.client("lakeformation"),
        str(aws.client("sts").get_caller_identity()["Account"]),
    )
    where = {"TableCatalogId": catalog, "DatabaseName": database, "TableName": table, "Name": name}
    desired = {**where, "RowFilter": {"FilterExpression": rows}, "ColumnNames": columns}
    actual = current(lake.get_data_cells_filter, "EntityNotFoundException", **where)
    if actual is None:
        yield Call(lake.create_data_cells_filter, {"TableData": desired})
    elif _sorted(actual["DataCellsFilter"], desired) != _sorted(desired, desired):
        yield Call(lake.update_data_cells_filter, {"TableData": desired})


@resource
def closed_database(name: str) -> Iterator[Call]:
    """A database that hands its new tables to nobody by default."""
    glue_client = aws.client("glue")
    actual = current(glue_client.get_database, glue.GONE, Name=name)
    if actual is None or actual["Database"].get("CreateTableDefaultPermissions"):
        kept = {
            key: each
            for key, each in (actual or {}).get("Database", {}).items()
            if key in ("Description", "LocationUri", "Parameters")
        }
        desired = {"Name": name, **kept, "CreateTableDefaultPermissions": []}
        yield Call(glue_client.update_database, {"Name": name, "DatabaseInput": desired})


def _sorted(told: dict[str, Any], desired: dict[str, Any]) -> dict[str, Any]:
    """What matters of a filter: AWS names no order of columns."""
    matters = {key: told.get(key) for key in desired}
    return {**matters, "ColumnNames": sorted(told.get("ColumnNames", []))}


def _tag(on: dict[str, Any], wanted: dict[str, str], actual: dict[str, str]) -> Iterator[Call]:
    if lacking := [
        {"TagKey": key, "TagValues": [each]}
        for key, each in wanted.items()
        if actual.get(key) != each
    ]:
        arguments = {"Resource": on, "LFTags": lacking}
        yield Call(aws.client("lakeformation").add_lf_tags_to_resource, arguments, until=_failures)


def _assigned(on: dict[str, Any]) -> dict[str, Any]:
    """The tags that a resource has of its own, as GetResourceLFTags shows them; none of one that is
    not there yet.
    """
    method = aws.client("lakeformation").get_resource_lf_tags
    return current(method, "EntityNotFoundException", Resource=on, ShowAssignedLFTags=True) or {}


def _values(tags: list[dict[str, Any]]) -> dict[str, str]:
    return {each["TagKey"]: each["TagValues"][0] for each in tags}


def _failures(answer: dict[str, Any]) -> None:
    """Raise what AWS only lists under Failures while it answers 200."""
    if failures := answer.get("Failures"):
        raise LakebookError(
            "Lake Formation refused a tag:"
            f" {failures[0]['Error'].get('ErrorMessage', failures[0])}."
        )


def _asked(listed: dict[str, Any]) -> dict[str, Any]:
    """A resource as a grant takes it, from how it is listed: the catalog's id is understood."""
    return {
        kind: (
            {key: one for key, one in each.items() if key != "CatalogId"}
            if isinstance(each, dict)
            else each
        )
        for kind, each in listed.items()
    }
