"""What all QuickSight operations share: records by id, ARNs, pages, permissions in AWS's bundles,
tags.
"""

from __future__ import annotations

import datetime
import threading
import uuid
from typing import TYPE_CHECKING, Any

from local_aws import settings
from local_aws.errors import ApiError
from local_aws.names import ACCOUNT
from local_aws.service import Call, Service

if TYPE_CHECKING:
    from collections.abc import Callable

    from local_aws.stand_in import StandIn

Record = dict[str, Any]
CREATED = "ACCOUNT_CREATED"
SUBSCRIPTION = {
    "AccountName": "rehearsal",
    "Edition": "ENTERPRISE",
    "NotificationEmail": "quicksight@example.com",
    "AuthenticationType": "IDENTITY_POOL",
    "AccountSubscriptionStatus": CREATED,
}
PAGE_TOKEN = "page-"  # noqa: S105 - where a page begins, no secret


def _bundle(actions: str) -> frozenset[str]:
    return frozenset(f"quicksight:{each}" for each in actions.split())


SOURCE_USER = _bundle("DescribeDataSource DescribeDataSourcePermissions PassDataSource")
SOURCE_OWNER = SOURCE_USER | _bundle(
    "UpdateDataSource DeleteDataSource UpdateDataSourcePermissions"
)
SET_READER = _bundle(
    "DescribeDataSet DescribeDataSetPermissions PassDataSet DescribeIngestion ListIngestions"
)
SET_OWNER = SET_READER | _bundle(
    "UpdateDataSet DeleteDataSet CreateIngestion CancelIngestion UpdateDataSetPermissions"
)
READS_SCHEDULES = _bundle("DescribeRefreshSchedule ListRefreshSchedules")
WRITES_SCHEDULES = READS_SCHEDULES | _bundle(
    "CreateRefreshSchedule UpdateRefreshSchedule DeleteRefreshSchedule"
    " PutDataSetRefreshProperties DescribeDataSetRefreshProperties DeleteDataSetRefreshProperties"
)
DASHBOARD_READER = _bundle("DescribeDashboard ListDashboardVersions QueryDashboard")
DASHBOARD_OWNER = DASHBOARD_READER | _bundle(
    "UpdateDashboard DeleteDashboard DescribeDashboardPermissions UpdateDashboardPermissions"
    " UpdateDashboardPublishedVersion"
)
# AWS takes these sets and no others:
# https://docs.aws.amazon.com/quicksight/latest/developerguide/dashboard-permissions.html
BUNDLES = {
    "datasource": (SOURCE_USER, SOURCE_OWNER),
    "dataset": (SET_READER, SET_OWNER, SET_READER | READS_SCHEDULES, SET_OWNER | WRITES_SCHEDULES),
    "dashboard": (DASHBOARD_READER, DASHBOARD_OWNER),
}


# the members of Records that go with the subscription
OF_A_SUBSCRIPTION = (
    *("groups", "users", "members", "sources", "credentials", "data_sets", "ingestions"),
    *("dashboards", "permissions", "tags"),
)


class Records(Service):
    """The state of QuickSight in memory; what takes time happens in threads of its own."""

    def __init__(self, stand_in: StandIn) -> None:
        super().__init__(stand_in)
        self.lock = threading.RLock()
        self.subscription: Record | None = {**SUBSCRIPTION}  # None: the account has none
        self.identity_region = stand_in.region  # where the account subscribed: its people's
        self.groups: dict[str, Record] = {}
        self.users: dict[str, Record] = {}
        self.members: dict[str, set[str]] = {}  # user names by group name
        self.sources: dict[str, Record] = {}
        self.credentials: dict[str, Record] = {}  # by data source: QuickSight never shows them
        self.data_sets: dict[str, Record] = {}
        self.ingestions: dict[str, dict[str, Record]] = {}  # by data set, then by their own id
        self.dashboards: dict[str, Record] = {}
        # actions by principal, by the ARN of a thing
        self.permissions: dict[str, dict[str, set[str]]] = {}
        self.tags: dict[str, dict[str, str]] = {}
        self._threads: list[threading.Thread] = []

    def check_account(self, call: Call) -> None:
        """Raise AccessDeniedException for another account than the caller's, and for an account
        without a subscription what AWS answers there: UnsupportedUserEditionException about
        dashboards, else ResourceNotFoundException.

        Source: what terraform-provider-aws and Cloud Custodian report of such accounts.
        """
        if (asked := call.parameters.get("AwsAccountId", ACCOUNT)) != ACCOUNT:
            raise ApiError(
                "AccessDeniedException",
                f"Account {asked} is not the account of the caller, {ACCOUNT}.",
            )
        if self.subscription and self.subscription["AccountSubscriptionStatus"] == CREATED:
            return
        if "Dashboard" in call.operation:
            raise ApiError(
                "UnsupportedUserEditionException",
                "Feature is not available in the edition of this account.",
            )
        raise ApiError(
            "ResourceNotFoundException",
            f"Directory information for account {ACCOUNT} is not found.",
        )

    def stop(self) -> None:
        """Wait for what still runs."""
        for each in self._threads:
            each.join(timeout=10)

    def begin(self, act: Callable[[], None]) -> None:
        """Do something after the answer has been given."""
        self._threads = [each for each in self._threads if each.is_alive()]
        thread = threading.Thread(target=act, name="quicksight", daemon=True)
        self._threads.append(thread)
        thread.start()

    def arn(self, kind: str, name: str) -> str:
        """`arn:aws:quicksight:eu-west-1:123456789012:dashboard/airline`."""
        people = kind in ("group/default", "user/default")
        region = self.identity_region if people else self.stand_in.region
        return f"arn:aws:quicksight:{region}:{ACCOUNT}:{kind}/{name}"

    def record_of(self, arn: str) -> Record | None:
        """The data source or data set that an ARN names, if it is there."""
        kind, _, name = arn.rpartition(":")[2].partition("/")
        records = {
            "datasource": self.sources,
            "dataset": self.data_sets,
            "dashboard": self.dashboards,
        }.get(kind, {})
        found = records.get(name)
        return found if found and self.arn(kind, name) == arn else None

    # Permissions

    def keep_new(self, kind: str, arn: str, call: Call) -> None:
        """Remember permissions and tags that a thing is made with; raises
        InvalidParameterValueException.
        """
        held: dict[str, set[str]] = {}
        self._grant(kind, held, call.parameters.get("Permissions") or [])
        self.permissions[arn] = held
        self.tags[arn] = {each["Key"]: each["Value"] for each in call.parameters.get("Tags") or []}

    def update_permissions(self, kind: str, arn: str, call: Call) -> list[Record]:
        """The permissions after grants and revocations; raises InvalidParameterValueException, and
        then changes nothing.
        """
        held = {principal: set(actions) for principal, actions in self.permissions[arn].items()}
        self._grant(kind, held, call.parameters.get("GrantPermissions") or [])
        for each in call.parameters.get("RevokePermissions") or []:
            _check_bundle(kind, each["Actions"])
            held.get(each["Principal"], set()).difference_update(each["Actions"])
        held = {principal: actions for principal, actions in held.items() if actions}
        for actions in held.values():
            _check_bundle(kind, actions)
        self.permissions[arn] = held
        return self.described_permissions(arn)

    def described_permissions(self, arn: str) -> list[Record]:
        """Who holds what on a thing."""
        return [
            {"Principal": principal, "Actions": sorted(actions)}
            for principal, actions in self.permissions[arn].items()
        ]

    def _grant(self, kind: str, held: dict[str, set[str]], grants: list[Record]) -> None:
        for each in grants:
            _check_bundle(kind, each["Actions"])
            if not self._is_principal(each["Principal"], kind):
                raise invalid(
                    f"Principal {each['Principal']} is not valid: there is no such user, group or"
                    " namespace"
                )
            held.setdefault(each["Principal"], set()).update(each["Actions"])

    def _is_principal(self, arn: str, kind: str) -> bool:
        """Whether there is such a user or group; a whole namespace may hold dashboards only."""
        if arn == self.arn("namespace", "default"):
            return kind == "dashboard"
        return any(each["Arn"] == arn for each in (*self.users.values(), *self.groups.values()))

    def may(self, user: Record, action: str, arn: str) -> bool:
        """Whether a user holds an action on a thing: directly, by a group, or as anybody of the
        namespace.
        """
        groups = [
            self.groups[name]["Arn"]
            for name, members in self.members.items()
            if user["UserName"] in members
        ]
        held = self.permissions.get(arn, {})
        return any(
            action in held.get(who, ())
            for who in (user["Arn"], *groups, self.arn("namespace", "default"))
        )

    # Tags

    def TagResource(self, call: Call) -> Record:
        """Adds tags; returns the RequestId alone."""
        self._tags(call).update({each["Key"]: each["Value"] for each in call.parameters["Tags"]})
        return answer()

    def UntagResource(self, call: Call) -> Record:
        """Removes tags; returns the RequestId alone."""
        tags = self._tags(call)
        for key in call.parameters["TagKeys"]:
            tags.pop(key, None)
        return answer()

    def ListTagsForResource(self, call: Call) -> Record:
        """The tags of a data source, data set or dashboard."""
        return answer(
            Tags=[{"Key": key, "Value": value} for key, value in self._tags(call).items()]
        )

    def _tags(self, call: Call) -> dict[str, str]:
        arn = call.parameters["ResourceArn"]
        if arn not in self.tags:
            raise ApiError("ResourceNotFoundException", f"Resource {arn} does not exist.")
        return self.tags[arn]


def answer(**members: Any) -> Record:
    """A response with the request id that QuickSight puts into the body too."""
    return {**members, "RequestId": str(uuid.uuid4())}


def now() -> datetime.datetime:
    """The present moment."""
    return datetime.datetime.now(datetime.UTC)


def find(records: dict[str, Record], name: str, what: str) -> Record:
    """A record by its id; raises ResourceNotFoundException."""
    if name not in records:
        raise ApiError("ResourceNotFoundException", f"{what} {name} is not found.")
    return records[name]


def find_settled(records: dict[str, Record], name: str, what: str, call: Call) -> Record:
    """A record by its id; for a moment after it was made it can be changed and is not described.

    Source: AWS's own Cloud Intelligence Dashboards wait so for data sets that they have made.
    """
    record = find(records, name, what)
    age = (now() - record["CreatedTime"]).total_seconds()
    if call.operation.startswith(("Describe", "List")) and age < settings.settle_seconds / 2:
        return find({}, name, what)
    return record


def check_new(records: dict[str, Record], name: str, what: str) -> None:
    """Raise ResourceExistsException when the id is taken."""
    if name in records:
        raise ApiError("ResourceExistsException", f"{what} {name} already exists.")


def page(call: Call, member: str, items: list[Any]) -> Record:
    """One page of an answer; raises InvalidNextTokenException and
    InvalidParameterValueException.
    """
    size, token = (
        int(call.parameters.get("MaxResults") or 100),
        call.parameters.get("NextToken") or f"{PAGE_TOKEN}0",
    )
    if not 1 <= size <= 100:
        raise invalid(f"MaxResults must be between 1 and 100, not {size}")
    if not token.removeprefix(PAGE_TOKEN).isdigit():
        raise ApiError("InvalidNextTokenException", "The NextToken value isn't valid.")
    start = int(token.removeprefix(PAGE_TOKEN))
    rest = {"NextToken": f"{PAGE_TOKEN}{start + size}"} if start + size < len(items) else {}
    return answer(**{member: items[start : start + size]}, **rest)


def invalid(why: str) -> ApiError:
    """What QuickSight answers to a wrong parameter."""
    return ApiError("InvalidParameterValueException", f"{why}.")


def not_here(what: str) -> ApiError:
    """The refusal of what AWS does and this stand-in does not."""
    return ApiError(
        "NotInLocalAws", f"local_aws does not do {what}; see COVERAGE.md for what it does.", 501
    )


def _check_bundle(kind: str, actions: list[str] | set[str]) -> None:
    if frozenset(actions) not in BUNDLES[kind]:
        raise invalid(
            f"The permissions {', '.join(sorted(actions))} are not a set that QuickSight grants on"
            f" a {kind}; the sets are those of its readers and its owners"
        )
