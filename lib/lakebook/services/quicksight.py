"""QuickSight: the role it reads the lake as, people and groups, and a data source, data sets and a
dashboard kept as declared.

Everything is looked up by ids that derive from the names; what people add in QuickSight's console
stays.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from dataclasses import dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from lakebook import aws
from lakebook.ensure import Call, Resource, current, resource
from lakebook.errors import LakebookError
from lakebook.evidence import result
from lakebook.services import athena as athena_service
from lakebook.services import iam

if TYPE_CHECKING:
    import datetime
    from collections.abc import Callable, Iterator

    from lakebook.names import Names

GONE = "ResourceNotFoundException"
FINGERPRINT = "lakebook:fingerprint"
NOT_YET = "not described yet"  # QuickSight's answers about what it made a moment ago
WAITING = ("INITIALIZED", "QUEUED", "RUNNING")


def _bundle(actions: str) -> list[str]:
    return sorted(f"quicksight:{each}" for each in actions.split())


# QuickSight grants these sets of actions and no others
OWNS = {
    "data_source": _bundle(
        "DescribeDataSource DescribeDataSourcePermissions PassDataSource UpdateDataSource"
        " DeleteDataSource UpdateDataSourcePermissions"
    ),
    "data_set": _bundle(
        "DescribeDataSet DescribeDataSetPermissions PassDataSet DescribeIngestion ListIngestions"
        " UpdateDataSet DeleteDataSet CreateIngestion CancelIngestion UpdateDataSetPermissions"
        " DescribeRefreshSchedule ListRefreshSchedules CreateRefreshSchedule UpdateRefreshSchedule"
        " DeleteRefreshSchedule PutDataSetRefreshProperties DescribeDataSetRefreshProperties"
        " DeleteDataSetRefreshProperties"
    ),
    "dashboard": _bundle(
        "DescribeDashboard ListDashboardVersions QueryDashboard UpdateDashboard DeleteDashboard"
        " DescribeDashboardPermissions UpdateDashboardPermissions UpdateDashboardPublishedVersion"
    ),
}
ANSWERS = {
    "status": "CREATION_SUCCESSFUL",
    "errors": [],
    "newest version published": True,
}  # a dashboard, to its readers
READS = {"dashboard": _bundle("DescribeDashboard ListDashboardVersions QueryDashboard")}


@dataclass(frozen=True)
class Account:
    """The account's QuickSight: assets are in the Region of the lake, people in the Region where it
    was subscribed.
    """

    names: Names
    identity_region: str

    def arn(self, kind: str, name: str) -> str:
        """`arn:aws:quicksight:eu-west-1:123456789012:dataset/acme-rehearsal-flights`."""
        region = (
            self.identity_region if kind in ("group/default", "user/default") else self.names.region
        )
        return f"arn:aws:quicksight:{region}:{self.names.account}:{kind}/{name}"

    @cached_property
    def subscription(self) -> dict[str, Any]:
        """The subscription; empty where there is none, or one that was ended."""
        asked = people(self).describe_account_subscription
        found = (current(asked, GONE, AwsAccountId=self.names.account) or {}).get("AccountInfo", {})
        return found if found.get("AccountSubscriptionStatus") == "ACCOUNT_CREATED" else {}

    def found(self, method: Callable[..., Any], **where: Any) -> dict[str, Any] | None:
        """What describes something; None where it is not there, or the account has no
        subscription.
        """
        return current(method, GONE, **where) if self.subscription else None

    def is_ready(self, *, makes_people: bool) -> bool:
        """True; raises LakebookError where there is no subscription, one without groups, or one to
        whose people and groups nothing can be added.
        """
        edition = self.subscription.get("Edition", "")
        if not edition.startswith("ENTERPRISE"):
            raise LakebookError(
                f"Account {self.names.account} has"
                f" {f'QuickSight {edition}' if edition else 'no QuickSight subscription'}; an"
                " administrator subscribes it to the Enterprise edition once, in the console."
            )
        if makes_people and "IDENTITY_CENTER" in self.subscription["AuthenticationType"]:
            raise LakebookError(
                "QuickSight's people are managed by IAM Identity Center here: name two of its"
                " groups in dashboard_author_group and dashboard_reader_group, and leave"
                " dashboard_authors and dashboard_readers empty."
            )
        return True


def roles(names: Names) -> list[Resource]:
    """The role as which QuickSight asks Athena: the curated layer to read, and for authors to
    browse, its own results to write.

    Source: "JDBC 3.x driver" of Athena's user guide.
    """
    curated, results = f"arn:aws:s3:::{names.curated_bucket}", f"arn:aws:s3:::{names.jobs_bucket}"
    glue = f"arn:aws:glue:{names.region}:{names.account}"
    athena = f"arn:aws:athena:{names.region}:{names.account}"
    database = names.database("curated")
    read = [
        "glue:GetDatabase",
        "glue:GetDatabases",
        "glue:GetTable",
        "glue:GetTables",
        "glue:GetPartition",
        "glue:GetPartitions",
    ]
    listing = ["s3:ListBucket", "s3:GetBucketLocation"]
    allow = {
        f"{athena}:workgroup/{names.resource('lakebook')}": [
            f"athena:{each}"
            for each in (
                "StartQueryExecution",
                "StopQueryExecution",
                "GetQueryExecution",
                "GetQueryResults",
                "GetQueryResultsStream",  # of the JDBC driver, by which QuickSight reads
                "GetWorkGroup",
            )
        ],
        f"{athena}:datacatalog/AwsDataCatalog": athena_service.BROWSE_CATALOG,
        f"{glue}:catalog": read,
        f"{glue}:database/{database}": read,
        f"{glue}:table/{database}/*": read,
        curated: listing,
        f"{curated}/*": ["s3:GetObject"],
        results: [*listing, "s3:ListBucketMultipartUploads"],
        f"{results}/athena/*": [
            "s3:GetObject",
            "s3:PutObject",
            "s3:AbortMultipartUpload",
            "s3:ListMultipartUploadParts",
        ],
        "*": ["lakeformation:GetDataAccess", *athena_service.LIST],
    }
    return [iam.service_role(names, "quicksight", "quicksight.amazonaws.com", allow=allow)]


def client(account: Account) -> Any:
    """QuickSight where the assets are."""
    return aws.client("quicksight", account.names.region)


def people(account: Account) -> Any:
    """QuickSight where the people are."""
    return aws.client("quicksight", account.identity_region)


@resource
def group(name: str, account: Account, description: str) -> Iterator[Call]:
    """A group, to which permissions are given."""
    quicksight = people(account)
    desired = {"AwsAccountId": account.names.account, "Namespace": "default", "GroupName": name}
    if account.found(quicksight.describe_group, **desired) is None:
        yield Call(quicksight.create_group, {**desired, "Description": description})


@resource
def user(
    email: str, account: Account, principal: str, role: str, groups: list[str]
) -> Iterator[Call]:
    """Whoever signs in as an IAM user, or as a role in a session that is named by their e-mail
    address, as IAM Identity Center names them; `role` is READER or AUTHOR.
    """
    quicksight, names = people(account), account.names
    where = {"AwsAccountId": names.account, "Namespace": "default"}
    name = user_name(email, principal)
    actual = account.found(quicksight.describe_user, UserName=name, **where)
    if actual is None:
        identity = {"IdentityType": "IAM", "IamArn": principal}
        identity |= {"SessionName": email} if ":role/" in principal else {}
        yield Call(
            quicksight.register_user, {**where, **identity, "Email": email, "UserRole": role}
        )
    elif actual["User"]["Role"] != role:
        yield Call(
            quicksight.update_user, {**where, "UserName": name, "Email": email, "Role": role}
        )
    for each in groups:
        member = {**where, "GroupName": each, "MemberName": name}
        if actual is None or account.found(quicksight.describe_group_membership, **member) is None:
            yield Call(quicksight.create_group_membership, member)


def user_name(email: str, principal: str) -> str:
    """As QuickSight names the user of an IAM user, or of a role's session."""
    name = principal.rpartition("/")[2]
    return f"{name}/{email}" if ":role/" in principal else name


@resource
def data_source(name: str, account: Account, desired: dict[str, Any]) -> Iterator[Call]:
    """A data source that answers; `want` has Name, Type and DataSourceParameters. One that failed
    is tried again.
    """
    quicksight = client(account)
    where = {"AwsAccountId": account.names.account, "DataSourceId": name}
    actual = (account.found(quicksight.describe_data_source, **where) or {}).get("DataSource")
    until = partial(_awaits_source, account, name)
    if actual is None:
        yield Call(quicksight.create_data_source, {**where, **desired}, until=until)
    elif not _contains(actual, desired) or actual["Status"].endswith("_FAILED"):
        changed = {member: desired[member] for member in ("Name", "DataSourceParameters")}
        yield Call(quicksight.update_data_source, {**where, **changed}, until=until)


@resource
def data_set(
    name: str, account: Account, desired: dict[str, Any], timeout_seconds: float
) -> Iterator[Call]:
    """A data set in SPICE as CreateDataSet describes it; creating or changing one fills it.

    A tag carries the fingerprint of what was asked: QuickSight gives types and steps back in its
    own words, such as INTEGER for BOOLEAN ("Supported data types").
    """
    quicksight = client(account)
    where = {"AwsAccountId": account.names.account, "DataSetId": name}
    arn = account.arn("dataset", name)
    tags = [{"Key": FINGERPRINT, "Value": fingerprint(desired)}]
    settings: dict[str, Any] = {
        "until": partial(_awaits_ingestion, account, name),
        "timeout_seconds": timeout_seconds,
    }
    actual = account.found(quicksight.describe_data_set, **where)
    if actual is None:
        yield Call(quicksight.create_data_set, {**where, **desired, "Tags": tags}, **settings)
        return
    held = quicksight.list_tags_for_resource(ResourceArn=arn)["Tags"]
    if tags[0] not in held:
        # neither what was nor what is to be, until the rows are there
        changing = [{"Key": FINGERPRINT, "Value": "changing"}]
        yield Call(quicksight.tag_resource, {"ResourceArn": arn, "Tags": changing})
        yield Call(quicksight.update_data_set, {**where, **desired}, **settings)
        yield Call(quicksight.tag_resource, {"ResourceArn": arn, "Tags": tags})


def fingerprint(desired: dict[str, Any]) -> str:
    """What was asked, in 16 digits."""
    return hashlib.sha256(json.dumps(desired, sort_keys=True).encode()).hexdigest()[:16]


@resource
def ingested(
    name: str,
    account: Account,
    since: Callable[[], datetime.datetime | None],
    timeout_seconds: float,
) -> Iterator[Call]:
    """The rows of a data set, taken after the moment `since` at which what it reads was last
    changed.
    """
    changed, newest = since(), newest_ingestion(account, name)
    if (
        newest is None
        and account.found(
            client(account).describe_data_set, AwsAccountId=account.names.account, DataSetId=name
        )
        is None
    ):
        return  # making the data set fills it
    if newest is None or (changed and newest["CreatedTime"] < changed):
        arguments = {
            "AwsAccountId": account.names.account,
            "DataSetId": name,
            "IngestionId": str(uuid.uuid4()),
        }
        until = partial(_awaits_ingestion, account, name)
        yield Call(
            client(account).create_ingestion,
            arguments,
            until=until,
            timeout_seconds=timeout_seconds,
        )


@resource
def dashboard(
    name: str, account: Account, desired: dict[str, Any], fingerprint: str
) -> Iterator[Call]:
    """A dashboard whose newest version has this definition and is the one that readers see.

    The version's description carries the definition's fingerprint: QuickSight adds defaults to what
    it gives back, and a version that somebody else made has another description.
    """
    quicksight, where = (
        client(account),
        {"AwsAccountId": account.names.account, "DashboardId": name},
    )
    until = partial(_awaits_version, account, name)
    versions = _versions(account, name)
    if not versions:
        yield Call(
            quicksight.create_dashboard,
            {**where, **desired, "VersionDescription": fingerprint},
            until=until,
        )
        return
    newest = max(versions, key=lambda each: int(each["VersionNumber"]))
    number = int(newest["VersionNumber"])
    if newest.get("Description") != fingerprint or newest["Status"].endswith("_FAILED"):
        number += 1
        yield Call(
            quicksight.update_dashboard,
            {**where, **desired, "VersionDescription": fingerprint},
            until=until,
        )
    if published(account, name) != number:
        yield Call(
            quicksight.update_dashboard_published_version, {**where, "VersionNumber": number}
        )


@resource
def permitted(
    name: str, account: Account, kind: str, wanted: dict[str, list[str]]
) -> Iterator[Call]:
    """Permissions on a thing, actions by principal; what others hold stays. `kind`: data_source,
    data_set or dashboard.
    """
    quicksight = client(account)
    member = {"data_source": "DataSourceId", "data_set": "DataSetId", "dashboard": "DashboardId"}[
        kind
    ]
    where = {"AwsAccountId": account.names.account, member: name}
    actual = account.found(getattr(quicksight, f"describe_{kind}_permissions"), **where)
    held = {
        each["Principal"]: set(each["Actions"]) for each in (actual or {}).get("Permissions", [])
    }
    grants = [
        {"Principal": who, "Actions": actions}
        for who, actions in wanted.items()
        if not set(actions) <= held.get(who, set())
    ]
    if grants:
        yield Call(
            getattr(quicksight, f"update_{kind}_permissions"), {**where, "GrantPermissions": grants}
        )


def newest_ingestion(account: Account, name: str) -> dict[str, Any] | None:
    """The newest completed ingestion of a data set as AWS describes it; None while there is
    none.
    """
    found = _all(account, "list_ingestions", "Ingestions", DataSetId=name)
    done = [each for each in found if each["IngestionStatus"] == "COMPLETED"]
    return max(done, key=lambda each: each["CreatedTime"], default=None)


def published(account: Account, name: str) -> int:
    """The number of the version that readers see; 0 while none could be made."""
    where = {"AwsAccountId": account.names.account, "DashboardId": name}
    found = account.found(client(account).describe_dashboard, **where)
    return int(found["Dashboard"]["Version"]["VersionNumber"]) if found else 0


def state(account: Account, name: str) -> dict[str, Any]:
    """What readers get: the status of the published version, its errors, and whether it is the
    newest one.
    """
    found = client(account).describe_dashboard(
        AwsAccountId=account.names.account, DashboardId=name
    )["Dashboard"]["Version"]
    newest = max(int(each["VersionNumber"]) for each in _versions(account, name))
    return {
        "status": found["Status"],
        "errors": [each["Message"] for each in found.get("Errors", [])],
        "newest version published": int(found["VersionNumber"]) == newest,
    }


def tell_address(account: Account, name: str, readers: dict[str, str]) -> None:
    """Say where people who have signed in see the dashboard, and where the first reader sees it
    without; on AWS that address opens once, within five minutes.
    """
    for email, principal in [*readers.items()][:1]:
        region = account.names.region
        result("dashboard", f"https://{region}.quicksight.aws.amazon.com/sn/dashboards/{name}")
        result(f"dashboard for {email}, once", address(account, name, email, principal))


def address(account: Account, name: str, email: str, principal: str) -> str:
    """Where a reader sees the dashboard."""
    found = client(account).generate_embed_url_for_registered_user(
        AwsAccountId=account.names.account,
        UserArn=account.arn("user/default", user_name(email, principal)),
        ExperienceConfiguration={"Dashboard": {"InitialDashboardId": name}},
    )
    return str(found["EmbedUrl"])


def _versions(account: Account, name: str) -> list[dict[str, Any]]:
    return _all(account, "list_dashboard_versions", "DashboardVersionSummaryList", DashboardId=name)


def _all(account: Account, method: str, member: str, **where: str) -> list[dict[str, Any]]:
    """All pages of a list; empty where what it is about does not exist."""
    if not account.subscription:
        return []
    pages = (
        client(account).get_paginator(method).paginate(AwsAccountId=account.names.account, **where)
    )
    try:
        return [each for page in pages for each in page[member]]
    except ClientError as error:
        if error.response["Error"]["Code"] == GONE:
            return []
        raise


def _awaits_source(account: Account, name: str, _answer: dict[str, Any]) -> str | None:
    where = {"AwsAccountId": account.names.account, "DataSourceId": name}
    found = current(client(account).describe_data_source, GONE, **where)
    if found is None:
        return NOT_YET
    actual = found["DataSource"]
    if actual["Status"].endswith("_FAILED"):
        why = actual.get("ErrorInfo", {})
        raise LakebookError(
            f"QuickSight's data source {name} does not answer"
            f" ({why.get('Type', actual['Status'])}):"
            f" {_sentence(why.get('Message', 'no reason given'))};"
            " correct that and run this phase again."
        )
    return None if actual["Status"].endswith("_SUCCESSFUL") else str(actual["Status"])


def _awaits_ingestion(account: Account, name: str, answer: dict[str, Any]) -> str | None:
    where = {
        "AwsAccountId": account.names.account,
        "DataSetId": name,
        "IngestionId": answer["IngestionId"],
    }
    found = current(client(account).describe_ingestion, GONE, **where)
    if found is None:
        return NOT_YET
    actual = found["Ingestion"]
    if actual["IngestionStatus"] in ("FAILED", "CANCELLED"):
        why = actual.get("ErrorInfo", {})
        raise LakebookError(
            f"QuickSight could not fill the data set {name}"
            f" ({why.get('Type', actual['IngestionStatus'])}):"
            f" {_sentence(why.get('Message', 'no reason given'))}; readers still see the rows they"
            " saw before."
        )
    return str(actual["IngestionStatus"]) if actual["IngestionStatus"] in WAITING else None


def _awaits_version(account: Account, name: str, answer: dict[str, Any]) -> str | None:
    number = int(answer["VersionArn"].rpartition("/")[2])
    where = {"AwsAccountId": account.names.account, "DashboardId": name, "VersionNumber": number}
    found = current(client(account).describe_dashboard, GONE, **where)
    if found is None:
        return NOT_YET
    actual = found["Dashboard"]["Version"]
    if actual["Status"].endswith("_FAILED"):
        errors = "; ".join(
            f"{each['Type']}: {_sentence(each['Message'])}" for each in actual.get("Errors", [])
        )
        raise LakebookError(
            f"QuickSight refused version {number} of the dashboard {name}"
            f" ({errors or actual['Status']}); correct its file: readers still see the version"
            " published before."
        )
    return None if actual["Status"].endswith("_SUCCESSFUL") else str(actual["Status"])


def _sentence(text: str) -> str:
    return " ".join(text.split()).rstrip(".")


def _contains(actual: Any, desired: Any) -> bool:
    """Whether all that is wanted is there; QuickSight adds defaults of its own."""
    if isinstance(desired, dict):
        return isinstance(actual, dict) and all(
            name in actual and _contains(actual[name], each) for name, each in desired.items()
        )
    if isinstance(desired, list):
        return (
            isinstance(actual, list)
            and len(actual) == len(desired)
            and all(map(_contains, actual, desired))
        )
    return bool(actual == desired)
