"""QuickSight's account: its subscription, the namespace default, groups, users and who is in which
group.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from local_aws.errors import ApiError
from local_aws.names import ACCOUNT
from local_aws.quicksight.records import (
    Record,
    Records,
    answer,
    check_new,
    find,
    invalid,
    not_here,
    page,
)

if TYPE_CHECKING:
    from local_aws.service import Call

IDENTITY_CENTER = "IAM_IDENTITY_CENTER"
NAME = re.compile(r"[\u0020-\u00FF]+")


class People(Records):
    """An Enterprise subscription that was made before, in the stand-in's Region or, by a scenario,
    in another.
    """

    def DescribeAccountSubscription(self, call: Call) -> Record:
        """The subscription, also one that was ended (UNSUBSCRIBED)."""
        if self.subscription is None or call.parameters["AwsAccountId"] != ACCOUNT:
            self.check_account(call)
        return answer(AccountInfo=self.subscription)

    def DescribeNamespace(self, call: Call) -> Record:
        """The namespace default, which every subscription has; there is no other."""
        self._check(call)
        return answer(Namespace=self._namespace())

    def ListNamespaces(self, call: Call) -> Record:
        """The namespace default."""
        self.check_account(call)
        return page(call, "Namespaces", [self._namespace()])

    def _namespace(self) -> Record:
        return {
            "Name": "default",
            "Arn": self.arn("namespace", "default"),
            "CapacityRegion": self.stand_in.region,
            "CreationStatus": "CREATED",
            "IdentityStore": "QUICKSIGHT",
        }

    def _check(self, call: Call) -> Record:
        self.check_account(call)
        if call.region != self.identity_region:  # the words are AWS's, as users report them
            raise ApiError(
                "AccessDeniedException",
                f"Operation is being called from endpoint {call.region}, but your identity region"
                f" is {self.identity_region}. Please use the {self.identity_region} endpoint.",
            )
        find({"default": {}}, call.parameters["Namespace"], "Namespace")
        changes = call.operation.startswith(("Create", "Update", "Delete", "Register"))
        if changes and (self.subscription or {})["AuthenticationType"] == IDENTITY_CENTER:
            # the words are AWS's, as users report them
            raise ApiError(
                "AccessDeniedException",
                "Operation is disabled for identities managed by IAM Identity Center.",
            )
        return call.parameters

    # Groups

    def CreateGroup(self, call: Call) -> Record:
        """A group without members."""
        request = self._check(call)
        name = _name(request["GroupName"])
        with self.lock:
            check_new(self.groups, name, "Group")
            group = {
                "Arn": self.arn("group/default", name),
                "GroupName": name,
                "PrincipalId": f"group/d-local/{name}",
            }
            self.groups[name] = group | (
                {"Description": request["Description"]} if "Description" in request else {}
            )
            self.members[name] = set()
        return answer(Group=self.groups[name])

    def DescribeGroup(self, call: Call) -> Record:
        """One group."""
        return answer(Group=find(self.groups, self._check(call)["GroupName"], "Group"))

    def UpdateGroup(self, call: Call) -> Record:
        """The group with another description."""
        request = self._check(call)
        group = find(self.groups, request["GroupName"], "Group")
        group.pop("Description", None)
        group.update({"Description": request["Description"]} if "Description" in request else {})
        return answer(Group=group)

    def DeleteGroup(self, call: Call) -> Record:
        """Deletes a group and its permissions; returns the RequestId alone."""
        name = find(self.groups, self._check(call)["GroupName"], "Group")["GroupName"]
        with self.lock:
            self._forget(self.groups.pop(name)["Arn"])
            del self.members[name]
        return answer()

    def ListGroups(self, call: Call) -> Record:
        """All groups."""
        self._check(call)
        return page(call, "GroupList", list(self.groups.values()))

    def CreateGroupMembership(self, call: Call) -> Record:
        """A user in a group; once more is no error."""
        user, group = self._member(call)
        self.members[group].add(user["UserName"])
        return answer(GroupMember={"Arn": user["Arn"], "MemberName": user["UserName"]})

    def DescribeGroupMembership(self, call: Call) -> Record:
        """The member, or ResourceNotFoundException when the user is not in the group."""
        user, group = self._member(call)
        find(dict.fromkeys(self.members[group], user), user["UserName"], f"Member of group {group}")
        return answer(GroupMember={"Arn": user["Arn"], "MemberName": user["UserName"]})

    def DeleteGroupMembership(self, call: Call) -> Record:
        """Takes a user out of a group; returns the RequestId alone."""
        user, group = self._member(call)
        self.members[group].discard(user["UserName"])
        return answer()

    def ListGroupMemberships(self, call: Call) -> Record:
        """The members of a group."""
        group = find(self.groups, self._check(call)["GroupName"], "Group")["GroupName"]
        members = [
            {"Arn": self.users[each]["Arn"], "MemberName": each}
            for each in sorted(self.members[group])
        ]
        return page(call, "GroupMemberList", members)

    def ListUserGroups(self, call: Call) -> Record:
        """The groups of a user."""
        user = find(self.users, self._check(call)["UserName"], "User")["UserName"]
        return page(
            call,
            "GroupList",
            [self.groups[name] for name, each in self.members.items() if user in each],
        )

    def _member(self, call: Call) -> tuple[Record, str]:
        request = self._check(call)
        group = find(self.groups, request["GroupName"], "Group")
        return find(self.users, request["MemberName"], "User"), group["GroupName"]

    # Users

    def RegisterUser(self, call: Call) -> Record:
        """A user for an IAM user (named as it) or for a session of an IAM role (`role/session`)."""
        request = self._check(call)
        if request["IdentityType"] != "IAM" or request.get("CustomPermissionsName"):
            raise not_here("QuickSight users other than plain IAM identities")
        name = _iam_name(request)
        with self.lock:
            check_new(self.users, name, "User")
            self.users[name] = {
                "Arn": self.arn("user/default", name),
                "UserName": name,
                "Email": request["Email"],
                "Role": request["UserRole"],
                "IdentityType": "IAM",
                "Active": True,
                "PrincipalId": f"federated/iam/{name}",
            }
        return answer(User=self.users[name])

    def DescribeUser(self, call: Call) -> Record:
        """One user."""
        return answer(User=find(self.users, self._check(call)["UserName"], "User"))

    def UpdateUser(self, call: Call) -> Record:
        """The user with another e-mail address or role."""
        request = self._check(call)
        if request.keys() - {"AwsAccountId", "Namespace", "UserName", "Email", "Role"}:
            raise not_here("custom permissions and external logins of QuickSight users")
        user = find(self.users, request["UserName"], "User")
        user |= {"Email": request["Email"], "Role": request["Role"]}
        return answer(User=user)

    def DeleteUser(self, call: Call) -> Record:
        """Deletes a user, its memberships and permissions; returns the RequestId alone."""
        name = find(self.users, self._check(call)["UserName"], "User")["UserName"]
        with self.lock:
            self._forget(self.users.pop(name)["Arn"])
            for members in self.members.values():
                members.discard(name)
        return answer()

    def ListUsers(self, call: Call) -> Record:
        """All users."""
        self._check(call)
        return page(call, "UserList", list(self.users.values()))

    def _forget(self, principal: str) -> None:
        for held in self.permissions.values():
            held.pop(principal, None)


def _name(text: str) -> str:
    if not NAME.fullmatch(text):
        raise invalid(f"{text!r} is not a name that QuickSight takes")
    return text


def _iam_name(request: Record) -> str:
    """The name QuickSight gives the user of an IAM identity."""
    kind, _, name = (
        request.get("IamArn", "").removeprefix(f"arn:aws:iam::{ACCOUNT}:").partition("/")
    )
    if kind == "role" and request.get("SessionName"):
        return _name(f"{name.rsplit('/', 1)[-1]}/{request['SessionName']}")
    if kind == "user":
        return _name(name.rsplit("/", 1)[-1])
    raise invalid(
        "IamArn must be the ARN of an IAM user of this account, or of a role together with a"
        " SessionName"
    )
