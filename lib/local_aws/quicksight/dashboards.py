"""QuickSight's dashboards: versions that are judged after the call, one of them published; and
embed codes that open the page.
"""

from __future__ import annotations

import copy
import re
import secrets
import time
from typing import TYPE_CHECKING

from local_aws import settings
from local_aws.errors import ApiError
from local_aws.quicksight.checks import check_form, errors
from local_aws.quicksight.data_sets import DataSets
from local_aws.quicksight.definition import Definition
from local_aws.quicksight.records import (
    Record,
    answer,
    check_new,
    find,
    find_settled,
    invalid,
    not_here,
    now,
    page,
)

if TYPE_CHECKING:
    from local_aws.service import Call
    from local_aws.stand_in import StandIn

ID = re.compile(r"[\w-]{1,512}")
NOT_HERE = (
    "SourceEntity",
    "Parameters",
    "ThemeArn",
    "FolderArns",
    "LinkSharingConfiguration",
    "LinkEntities",
)


class Dashboards(DataSets):
    """Dashboards made from definitions; templates and analyses are refused."""

    def __init__(self, stand_in: StandIn) -> None:
        super().__init__(stand_in)
        # who may open what until when, by the code in an embed URL
        self.codes: dict[str, Record] = {}

    def CreateDashboard(self, call: Call) -> Record:
        """A dashboard whose first version is being judged; it is published when that succeeds."""
        request = call.parameters
        if not ID.fullmatch(request["DashboardId"]):
            raise invalid("DashboardId takes letters, digits, underscores and hyphens")
        definition = self._checked(call)
        arn = self.arn("dashboard", request["DashboardId"])
        with self.lock:
            check_new(self.dashboards, request["DashboardId"], "Dashboard")
            self.keep_new("dashboard", arn, call)
            shown = {"DashboardId": request["DashboardId"], "Arn": arn, "CreatedTime": now()}
            self.dashboards[request["DashboardId"]] = {**shown, "versions": {}, "published": 1}
            version = self._new_version(request, definition, "CREATION")
        names = {"Arn": arn, "VersionArn": version["Arn"], "DashboardId": request["DashboardId"]}
        return answer(**names, CreationStatus=version["Status"])

    def UpdateDashboard(self, call: Call) -> Record:
        """A new version, being judged; it is not published by that."""
        record, request = self._dashboard(call), call.parameters
        definition = self._checked(call)
        with self.lock:
            if any(each["Status"].endswith("_IN_PROGRESS") for each in record["versions"].values()):
                raise ApiError(
                    "ConflictException",
                    f"Dashboard {request['DashboardId']} is being changed already.",
                )
            version = self._new_version(request, definition, "CREATION")
        names = {
            "Arn": record["Arn"],
            "VersionArn": version["Arn"],
            "DashboardId": request["DashboardId"],
        }
        return answer(**names, CreationStatus=version["Status"])

    def _checked(self, call: Call) -> Definition:
        self.check_account(call)
        request = call.parameters
        if others := [each for each in NOT_HERE if request.get(each)]:
            raise not_here(f"QuickSight dashboards with {', '.join(others)}")
        if "Definition" not in request:
            raise invalid("A dashboard needs a Definition or a SourceEntity")
        definition = self.definition(request["Definition"])
        check_form(definition)
        return definition

    def definition(self, request: Record) -> Definition:
        """A definition with the columns of its data sets as they are now."""
        columns = {}
        for each in request["DataSetIdentifierDeclarations"]:
            there = self.record_of(each["DataSetArn"])
            columns[each["Identifier"]] = self.columns(there["DataSetId"]) if there else None
        return Definition(request, columns)

    def _new_version(self, request: Record, definition: Definition, what: str) -> Record:
        record = self.dashboards[request["DashboardId"]]
        number = len(record["versions"]) + 1
        version = {
            "Arn": f"{record['Arn']}/version/{number}",
            "VersionNumber": number,
            "CreatedTime": now(),
            "Status": f"{what}_IN_PROGRESS",
            "DataSetArns": [
                each["DataSetArn"] for each in definition.declared["DataSetIdentifierDeclarations"]
            ],
            "Sheets": [
                {name: each[name] for name in ("SheetId", "Name") if name in each}
                for each in definition.sheets
            ],
            "definition": copy.deepcopy(request["Definition"]),
            "name": request["Name"],
            "options": request.get("DashboardPublishOptions") or {},
            **(
                {"Description": request["VersionDescription"]}
                if "VersionDescription" in request
                else {}
            ),
        }
        record["versions"][number] = version
        record |= {"Name": request["Name"], "LastUpdatedTime": now()}
        if number == 1:
            record["LastPublishedTime"] = now()
        self.begin(lambda: self._judge(version, what))
        return version

    def _judge(self, version: Record, what: str) -> None:
        time.sleep(settings.settle_seconds)
        found = errors(self.definition(version["definition"]))
        with self.lock:
            version |= (
                {"Status": f"{what}_FAILED", "Errors": found}
                if found
                else {"Status": f"{what}_SUCCESSFUL"}
            )

    def DescribeDashboard(self, call: Call) -> Record:
        """A version of a dashboard, the published one unless another is asked for; Errors says what
        is wrong in it.
        """
        record = self._dashboard(call)
        version = _shown(self._version(call, record))
        members = (
            "DashboardId",
            "Arn",
            "Name",
            "CreatedTime",
            "LastUpdatedTime",
            "LastPublishedTime",
        )
        return answer(Dashboard={**{name: record[name] for name in members}, "Version": version})

    def DescribeDashboardDefinition(self, call: Call) -> Record:
        """The definition of a version."""
        record = self._dashboard(call)
        version = self._version(call, record)
        return answer(
            DashboardId=record["DashboardId"],
            Name=version["name"],
            ResourceStatus=version["Status"],
            Definition=version["definition"],
            DashboardPublishOptions=version["options"],
            **({"Errors": version["Errors"]} if "Errors" in version else {}),
        )

    def ListDashboards(self, call: Call) -> Record:
        """All dashboards in short."""
        self.check_account(call)
        return page(
            call, "DashboardSummaryList", [_summary(each) for each in self.dashboards.values()]
        )

    def SearchDashboards(self, call: Call) -> Record:
        """The dashboards with a name, or that a user or group may see or owns directly."""
        self.check_account(call)
        wanted = call.parameters["Filters"][0]
        tests = {
            "DASHBOARD_NAME": lambda each: _matches(wanted, each["Name"]),
            "DIRECT_QUICKSIGHT_VIEWER_OR_OWNER": (
                lambda each: wanted["Value"] in self.permissions[each["Arn"]]
            ),
        }
        if wanted.get("Name") not in tests:
            raise not_here(f"SearchDashboards by {wanted.get('Name')}")
        found = [_summary(each) for each in self.dashboards.values() if tests[wanted["Name"]](each)]
        return page(call, "DashboardSummaryList", found)

    def ListDashboardVersions(self, call: Call) -> Record:
        """The versions of a dashboard, the newest first."""
        record = self._dashboard(call)
        members = ("Arn", "CreatedTime", "VersionNumber", "Status", "Description")
        versions = [
            {name: each[name] for name in members if name in each}
            for each in record["versions"].values()
        ]
        return page(call, "DashboardVersionSummaryList", versions[::-1])

    def UpdateDashboardPublishedVersion(self, call: Call) -> Record:
        """Readers see this version from now on; InvalidParameterValueException for one that
        failed.
        """
        record = self._dashboard(call)
        version = self._version(call, record)
        if not version["Status"].endswith("_SUCCESSFUL"):
            raise invalid(
                f"Version {version['VersionNumber']} is {version['Status']} and cannot be published"
            )
        record |= {
            "published": version["VersionNumber"],
            "LastPublishedTime": now(),
            "Name": version["name"],
        }
        return answer(DashboardId=record["DashboardId"], DashboardArn=record["Arn"])

    def DeleteDashboard(self, call: Call) -> Record:
        """The ARN; one version, or the dashboard as a whole."""
        record = self._dashboard(call)
        if number := call.parameters.get("VersionNumber"):
            if int(number) == record["published"]:
                raise ApiError(
                    "ConflictException", "The published version of a dashboard cannot be deleted."
                )
            del record["versions"][self._version(call, record)["VersionNumber"]]
        else:
            del self.dashboards[record["DashboardId"]]
            self.permissions.pop(record["Arn"])
            self.tags.pop(record["Arn"])
        return answer(Arn=record["Arn"], DashboardId=record["DashboardId"])

    def DescribeDashboardPermissions(self, call: Call) -> Record:
        """Who may see and change a dashboard."""
        record = self._dashboard(call)
        return _with_permissions(record, self.described_permissions(record["Arn"]))

    def UpdateDashboardPermissions(self, call: Call) -> Record:
        """Who may see and change it now."""
        record = self._dashboard(call)
        if call.parameters.get("GrantLinkPermissions") or call.parameters.get(
            "RevokeLinkPermissions"
        ):
            raise not_here("link permissions of QuickSight dashboards")
        return _with_permissions(record, self.update_permissions("dashboard", record["Arn"], call))

    def _dashboard(self, call: Call) -> Record:
        self.check_account(call)
        return find_settled(self.dashboards, call.parameters["DashboardId"], "Dashboard", call)

    def _version(self, call: Call, record: Record) -> Record:
        if call.parameters.get("AliasName") not in (None, "$PUBLISHED", "$LATEST"):
            raise ApiError(
                "ResourceNotFoundException", f"Alias {call.parameters['AliasName']} is not found."
            )
        latest = (
            max(record["versions"])
            if call.parameters.get("AliasName") == "$LATEST"
            else record["published"]
        )
        number = int(call.parameters.get("VersionNumber") or latest)
        if number not in record["versions"]:
            raise ApiError(
                "ResourceNotFoundException",
                f"Version {number} of dashboard {record['DashboardId']} is not found.",
            )
        version: Record = record["versions"][number]
        return version

    # Embedding

    def GenerateEmbedUrlForRegisteredUser(self, call: Call) -> Record:
        """The address at which a user sees a dashboard; it opens as long as the session may last,
        again and again.
        """
        self.check_account(call)
        request = call.parameters
        if "Dashboard" not in request["ExperienceConfiguration"]:
            raise not_here("embedding anything of QuickSight but a dashboard")
        dashboard = request["ExperienceConfiguration"]["Dashboard"]["InitialDashboardId"]
        return answer(EmbedUrl=self._embed(request["UserArn"], dashboard, request), Status=200)

    def GetDashboardEmbedUrl(self, call: Call) -> Record:
        """The same for IdentityType QUICKSIGHT, which names the user."""
        request = call.parameters
        record = self._dashboard(call)
        if request["IdentityType"] != "QUICKSIGHT" or "UserArn" not in request:
            raise ApiError(
                "IdentityTypeNotSupportedException",
                "The identity type must be QUICKSIGHT, with a UserArn.",
            )
        return answer(EmbedUrl=self._embed(request["UserArn"], record["DashboardId"], request))

    def _embed(self, user_arn: str, dashboard: str, request: Record) -> str:
        user = next((each for each in self.users.values() if each["Arn"] == user_arn), None)
        if not user:
            raise ApiError("QuickSightUserNotFoundException", f"The user {user_arn} is not found.")
        find(self.dashboards, dashboard, "Dashboard")
        minutes = int(request.get("SessionLifetimeInMinutes") or 600)
        if not 15 <= minutes <= 600:
            raise ApiError(
                "SessionLifetimeInMinutesInvalidException",
                "A session lasts from 15 to 600 minutes.",
            )
        code = secrets.token_urlsafe(24)
        self.codes[code] = {
            "user": user["UserName"],
            "dashboard": dashboard,
            "until": time.monotonic() + 60 * minutes,
        }
        return f"{self.stand_in.endpoint}/_quicksight/{dashboard}?code={code}"


def _shown(version: Record) -> Record:
    return {name: value for name, value in version.items() if name[0].isupper()}


def _summary(record: Record) -> Record:
    members = ("Arn", "DashboardId", "Name", "CreatedTime", "LastUpdatedTime", "LastPublishedTime")
    return {
        **{name: record[name] for name in members},
        "PublishedVersionNumber": record["published"],
    }


def _matches(wanted: Record, name: str) -> bool:
    return (
        wanted.get("Value", "") in name
        if wanted["Operator"] == "StringLike"
        else wanted.get("Value") == name
    )


def _with_permissions(record: Record, permissions: list[Record]) -> Record:
    return answer(
        DashboardArn=record["Arn"], DashboardId=record["DashboardId"], Permissions=permissions
    )
