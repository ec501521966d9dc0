"""AWS Lake Formation: settings, registered locations and grants; what follows from them is said in
`lakeformation_access`.
"""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING, Any

from local_aws.errors import ApiError
from local_aws.iam import principals
from local_aws.lakeformation.access import Lake, Location
from local_aws.lakeformation.catalog import arn_of, covers
from local_aws.lakeformation.filter_calls import FilterCalls
from local_aws.lakeformation.grants import Grant, entries
from local_aws.lakeformation.pages import page
from local_aws.lakeformation.resources import EVERY, EVERYBODY, On, invalid, not_found, on
from local_aws.lakeformation.tag_calls import TagCalls
from local_aws.names import ACCOUNT
from local_aws.service import Call, Service

if TYPE_CHECKING:
    from local_aws.stand_in import StandIn

ADMINISTRATORS = 30
LISTED = 5  # permissions a page: AWS names no number and may answer with any
REFUSED = "Resource does not exist or requester is not authorized to access requested permissions."
# https://docs.aws.amazon.com/lake-formation/latest/APIReference/API_ListPermissions.html
TYPES: dict[str, tuple[str, str]] = {
    "CATALOG": ("Catalog", ""),
    "DATABASE": ("Database", ""),
    "TABLE": ("Table", ""),
    "DATA_LOCATION": ("DataLocation", ""),
    "LF_TAG": ("LFTag", ""),
    "LF_TAG_POLICY": ("LFTagPolicy", ""),
    "LF_TAG_POLICY_DATABASE": ("LFTagPolicy", "DATABASE"),
    "LF_TAG_POLICY_TABLE": ("LFTagPolicy", "TABLE"),
    "LF_NAMED_TAG_EXPRESSION": ("LFTagExpression", ""),
}


class LakeFormation(TagCalls, FilterCalls, Service):
    """All of it but transactions, query planning and temporary credentials, which are refused."""

    def __init__(self, stand_in: StandIn, lake: Lake) -> None:
        super().__init__(stand_in)
        self.lake = lake

    def GetDataLakePrincipal(self, call: Call) -> dict[str, Any]:
        """Who asks."""
        return {"Identity": call.principal.arn}

    # Settings

    def GetDataLakeSettings(self, call: Call) -> dict[str, Any]:  # noqa: ARG002 - every operation takes the call
        """The settings."""
        return {"DataLakeSettings": self.lake.settings}

    def PutDataLakeSettings(self, call: Call) -> dict[str, Any]:
        """Other settings in place of all there are: what is left out is empty (API reference,
        PutDataLakeSettings).
        """
        request = call.parameters["DataLakeSettings"]
        if len(request.get("DataLakeAdmins", [])) > ADMINISTRATORS:
            raise invalid(f"There can be at most {ADMINISTRATORS} data lake administrators")
        for each in [*request.get("DataLakeAdmins", []), *request.get("ReadOnlyAdmins", [])]:
            _check_principal(each["DataLakePrincipalIdentifier"])
        for member in ("CreateDatabaseDefaultPermissions", "CreateTableDefaultPermissions"):
            if any(
                each["Principal"]["DataLakePrincipalIdentifier"] != EVERYBODY
                or each["Permissions"] != ["ALL"]
                for each in request.get(member, [])
            ):
                raise invalid(f"{member} grants either nothing or ALL to IAM_ALLOWED_PRINCIPALS")
        lists = (
            "DataLakeAdmins",
            "ReadOnlyAdmins",
            "CreateDatabaseDefaultPermissions",
            "CreateTableDefaultPermissions",
            "TrustedResourceOwners",
            "ExternalDataFilteringAllowList",
            "AuthorizedSessionTagValueList",
        )
        flags = ("AllowExternalDataFiltering", "AllowFullTableExternalDataAccess")
        empty: dict[str, Any] = (
            {each: [] for each in lists} | dict.fromkeys(flags, False) | {"Parameters": {}}
        )
        self.lake.settings = {**empty, **request}
        self.lake.lags("settings", ApiError("AccessDeniedException", REFUSED))
        return {}

    # Locations

    def RegisterResource(self, call: Call) -> dict[str, Any]:
        """A location that Lake Formation reaches by a role."""
        arn, request = call.parameters["ResourceArn"].rstrip("/*"), call.parameters
        if request.get("UseServiceLinkedRole") or not request.get("RoleArn"):
            raise ApiError(
                "NotInLocalAws",
                "local_aws registers locations with a RoleArn, not with the service-linked role.",
                501,
            )
        if request.get("WithPrivilegedAccess"):
            raise ApiError(
                "NotInLocalAws",
                "local_aws does not do RegisterResource with WithPrivilegedAccess.",
                501,
            )
        if not arn.startswith("arn:aws:s3:::"):
            raise invalid(f"{arn} is not the ARN of an S3 bucket or of a folder in one")
        if arn in self.lake.locations:
            raise ApiError("AlreadyExistsException", "Resource is already registered")
        self._put_location(arn, request["RoleArn"], request)
        self.lake.lags(arn, invalid("Please register the S3 path with Lake Formation"))
        return {}

    def UpdateResource(self, call: Call) -> dict[str, Any]:
        """The location with another role or mode."""
        have = self._location(call)
        settings = {
            "HybridAccessEnabled": have.hybrid,
            "WithFederation": have.federated,
            **call.parameters,
        }
        self._put_location(have.arn, call.parameters["RoleArn"], settings)
        return {}

    def _put_location(self, arn: str, role_arn: str, request: dict[str, Any]) -> None:
        _check_principal(role_arn)
        now = datetime.datetime.now(datetime.UTC)
        hybrid, federated = (
            bool(request.get("HybridAccessEnabled")),
            bool(request.get("WithFederation")),
        )
        self.lake.locations[arn] = Location(arn, role_arn, hybrid, federated, now)

    def DeregisterResource(self, call: Call) -> dict[str, Any]:
        """The location reached by each caller's own rights again."""
        del self.lake.locations[self._location(call).arn]
        return {}

    def DescribeResource(self, call: Call) -> dict[str, Any]:
        """One location."""
        return {"ResourceInfo": self._described(self._location(call))}

    def ListResources(self, call: Call) -> dict[str, Any]:
        """The locations that pass all conditions."""
        found = [self._described(each) for each in self.lake.locations.values()]
        for each in call.parameters.get("FilterConditionList", []):
            found = [one for one in found if _passes(one, each)]
        return page("ResourceInfoList", found, call.parameters)

    def _location(self, call: Call) -> Location:
        arn = call.parameters["ResourceArn"].rstrip("/*")
        if arn not in self.lake.locations:
            raise not_found("Resource is not registered with Lake Formation.")
        return self.lake.locations[arn]

    def _described(self, location: Location) -> dict[str, Any]:
        return {
            "ResourceArn": location.arn,
            "RoleArn": location.role_arn,
            "LastModified": location.modified,
            "WithFederation": location.federated,
            "HybridAccessEnabled": location.hybrid,
            "WithPrivilegedAccess": False,
            "VerificationStatus": self._verification(location),
        }

    def _verification(self, location: Location) -> str:
        """Whether the role can be taken and reaches the location."""
        bucket, authority = location.arn.partition("/")[0], self.stand_in.authority
        if not self.stand_in.may_assume(location.role_arn, "lakeformation.amazonaws.com"):
            return "VERIFICATION_FAILED"
        session = self.stand_in.service_session(location.role_arn, "lakeformation.amazonaws.com")
        reads = authority.allows(session, "s3:GetObject", f"{location.arn}/*")
        return (
            "VERIFIED"
            if reads and authority.allows(session, "s3:ListBucket", bucket)
            else "VERIFICATION_FAILED"
        )

    # Grants

    def GrantPermissions(self, call: Call) -> dict[str, Any]:
        """More for a principal; what it holds already stays."""
        self._grant(call, call.parameters)
        return {}

    def RevokePermissions(self, call: Call) -> dict[str, Any]:
        """Less for a principal; InvalidInputException for what it does not hold."""
        self._revoke(call, call.parameters)
        return {}

    def BatchGrantPermissions(self, call: Call) -> dict[str, Any]:
        """The entries that failed, with the reason; the others are granted."""
        return self._batch(call, self._grant)

    def BatchRevokePermissions(self, call: Call) -> dict[str, Any]:
        """The entries that failed, with the reason; the others are revoked."""
        return self._batch(call, self._revoke)

    @staticmethod
    def _batch(call: Call, act: Any) -> dict[str, Any]:
        failures = []
        for each in call.parameters["Entries"]:
            try:
                act(call, each)
            except ApiError as error:
                why = {"ErrorCode": error.code, "ErrorMessage": error.message}
                failures.append({"RequestEntry": each, "Error": why})
        return {"Failures": failures}

    def _grant(self, call: Call, request: dict[str, Any]) -> None:
        principal, what, permissions, options = self._asked(call, request)
        _check_principal(principal)
        self.lake.check_spread(what.name if what.kind == "DataLocation" else "settings")
        self.lake.grants.add(principal, what, permissions, options, call.principal.policy_arn)

    def _revoke(self, call: Call, request: dict[str, Any]) -> None:
        principal, what, permissions, options = self._asked(call, request)
        self.lake.check_spread("settings")
        self.lake.grants.remove(principal, what, permissions, options, call.principal.policy_arn)

    def _asked(self, call: Call, request: dict[str, Any]) -> tuple[str, On, list[str], list[str]]:
        if request.get("Condition"):
            raise ApiError("NotInLocalAws", "local_aws does not do grants with a Condition.", 501)
        what, principal = (
            on(request["Resource"]),
            request["Principal"]["DataLakePrincipalIdentifier"],
        )
        permissions, options = (
            request.get("Permissions", []),
            request.get("PermissionsWithGrantOption", []),
        )
        if (
            not permissions
            or not {*permissions, *options} <= what.permissions
            or (options and what.excluded)
        ):
            raise invalid("Permissions modification is invalid.")
        self._check_grantor(call, what, [*permissions, *options])
        self._check_there(what)
        return principal, what, permissions, options

    def _check_grantor(self, call: Call, what: On, permissions: list[str]) -> None:
        """Administrators grant everything, others what they hold with the grant option."""
        if self.lake.administers(call.principal):
            return
        places = {what, On("Table", what.database, what.table)} if what.table else {what}
        held = {
            each
            for place in places
            for each in self.lake.grants.held(call.principal.policy_arn, place).grantable
        }
        if "ALL" not in held and not set(permissions) <= held:
            raise ApiError("AccessDeniedException", REFUSED)

    def _check_there(self, what: On) -> None:
        self.lake.exists(what)
        known = (
            set(self.lake.catalog.columns(what.database, what.table))
            if what.table not in ("", EVERY)
            else set()
        )
        if (
            what.kind == "TableWithColumns"
            and what.table != EVERY
            and not ({*(what.columns or ()), *what.excluded} <= known)
        ):
            raise invalid("cannot grant/revoke permission on non-existent column")
        if (
            what.kind == "DataCellsFilter"
            and (what.database, what.table, what.name) not in self.lake.filters
        ):
            raise invalid("Cell Filter not found")
        if what.kind == "LFTagPolicy" and what.name and what.name not in self.lake.tags.expressions:
            raise not_found(f"LF-Tag expression {what.name} not found.")
        if what.kind in ("LFTagPolicy", "LFTag"):
            self.lake.tags.check(
                tuple(
                    (key, tuple(each for each in values if each != "*"))
                    for key, values in what.expression
                )
            )

    # Who holds what

    def ListPermissions(self, call: Call) -> dict[str, Any]:
        """The grants that pass the filters, as far as the caller may know of them; what is in force
        for a principal on a resource when both are named.

        https://docs.aws.amazon.com/lake-formation/latest/APIReference/API_ListPermissions.html and
        https://github.com/hashicorp/terraform-provider-aws/issues/44574
        """
        request = call.parameters
        who, kind = (
            request.get("Principal", {}).get("DataLakePrincipalIdentifier"),
            request.get("ResourceType"),
        )
        if who and "Resource" not in request:
            raise invalid("Resource is mandatory if Principal is set in the input.")
        if kind and kind not in TYPES:
            raise invalid(f"ResourceType {kind} is not valid")
        if "TableWithColumns" in request.get("Resource", {}):
            raise invalid("ListPermissions does not take a table with columns: ask for the table")
        what = on(request["Resource"]) if "Resource" in request else None
        if who and what:
            _check_principal(who)
            held = self._effective(who, what)
            found = self._seen(
                call, who, what, entries(who, what, held) if held.permissions else []
            )
            return page("PrincipalResourcePermissions", found, request, LISTED)
        related = request.get("IncludeRelated") == "TRUE" and not who
        found = [
            entry
            for principal, each, grant in self.lake.grants.all()
            if _of_type(each, kind) and _about(each, what, related=related)
            for entry in self._seen(call, principal, each, entries(principal, each, grant))
        ]
        return page("PrincipalResourcePermissions", found, request, LISTED)

    def _effective(self, who: str, what: On) -> Grant:
        """What a principal holds on a resource by grants on it, on all tables of its database, by
        tags, as an administrator and by what IAM alone allows.
        """
        lake, names = self.lake, [who, f"{ACCOUNT}:IAMPrincipals", EVERYBODY]
        place = (what.database, what.table) if what.table else (what.database,)
        found = Grant(set(lake.grants.held(who, what).permissions))
        for on_, grant in lake.grants.of(names):
            same = on_ == what or (on_.kind, on_.database, on_.table, what.kind) == (
                "Table",
                what.database,
                EVERY,
                "Table",
            )
            tagged = on_.of == what.kind.upper() and lake.tags.match(on_, place)
            if same or tagged:
                found.permissions |= grant.permissions
        administrators = [*lake.settings["DataLakeAdmins"], *lake.settings["ReadOnlyAdmins"]]
        if what.database and {"DataLakePrincipalIdentifier": who} in administrators:
            found.permissions.add("DESCRIBE")
        return found

    def _seen(
        self, call: Call, principal: str, what: On, found: list[dict[str, Any]]
    ) -> list[dict[str, Any]]:
        """One's own grants, those of others where one may grant too; administrators see all."""
        own = call.principal.policy_arn
        if self.lake.reads_all(call.principal) or principal in (own, EVERYBODY):
            return found
        mine = self.lake.grants.held(
            own, On("Table", what.database, what.table) if what.table else what
        ).grantable
        return [each for each in found if "ALL" in mine or set(each["Permissions"]) <= mine]

    def GetEffectivePermissionsForPath(self, call: Call) -> dict[str, Any]:
        """The grants on a location and on the databases and tables that lie in it."""
        arn, lake = call.parameters["ResourceArn"].rstrip("/*"), self.lake
        there = {
            On("DataLocation", name=each.arn)
            for each in lake.locations.values()
            if covers(each.arn, arn)
        }
        for database in lake.catalog.databases():
            if (own := arn_of(lake.catalog.location(database))) and covers(arn, own):
                there.add(On("Database", database))
            tables = {
                each
                for each in lake.catalog.tables(database)
                if covers(arn, arn_of(lake.catalog.location(database, each)))
            }
            there |= {On("Table", database, each) for each in tables}
        found = [
            entry
            for principal, each, grant in lake.grants.all()
            if each in there or (each.table and On("Table", each.database, each.table) in there)
            for entry in self._seen(call, principal, each, entries(principal, each, grant))
        ]
        return page("Permissions", found, call.parameters)


def _of_type(what: On, kind: str | None) -> bool:
    if kind is None:
        return True
    name, of = TYPES[kind]
    same = what.kind == name or (name == "Table" and what.kind == "TableWithColumns")
    return same and of in ("", what.of)


def _about(what: On, asked: On | None, *, related: bool) -> bool:
    """Whether a grant is on the resource asked for; a table's are those on its columns too, with
    `related` its cell filters.
    """
    if asked is None or what == asked:
        return True
    same_table = asked.kind == "Table" and (what.database, what.table) == (
        asked.database,
        asked.table,
    )
    return same_table and (
        what.kind == "TableWithColumns" or (related and what.kind == "DataCellsFilter")
    )


def _check_principal(identifier: str) -> None:
    """Raise InvalidInputException when an IAM role or user is named that is not there."""
    kind, _, name = identifier.rpartition(":")[2].partition("/")
    if identifier.startswith("arn:aws:iam::") and not principals.exists(
        kind, name.rpartition("/")[2]
    ):
        raise invalid(f"Invalid principal, {identifier}")


def _passes(described: dict[str, Any], condition: dict[str, Any]) -> bool:
    """One condition of ListResources."""
    member = {"RESOURCE_ARN": "ResourceArn", "ROLE_ARN": "RoleArn"}.get(condition["Field"])
    operator, wanted = condition["ComparisonOperator"], condition["StringValueList"]
    tests: dict[str, Any] = {
        "EQ": lambda it: it == wanted[0],
        "NE": lambda it: it != wanted[0],
        "CONTAINS": lambda it: wanted[0] in it,
        "NOT_CONTAINS": lambda it: wanted[0] not in it,
        "BEGINS_WITH": lambda it: it.startswith(wanted[0]),
        "IN": lambda it: it in wanted,
    }
    if member is None or operator not in tests:
        raise ApiError(
            "NotInLocalAws",
            f"local_aws does not do ListResources by {condition['Field']} {operator}.",
            501,
        )
    return bool(tests[operator](described[member]))
