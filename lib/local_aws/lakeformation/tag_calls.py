"""Lake Formation's operations on LF-Tags."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from local_aws.errors import ApiError
from local_aws.lakeformation.pages import page
from local_aws.lakeformation.resources import (
    On,
    expression,
    invalid,
    not_found,
    on,
    shown_expression,
)
from local_aws.lakeformation.tags import places, shown
from local_aws.names import ACCOUNT

if TYPE_CHECKING:
    from collections.abc import Callable

    from local_aws.lakeformation.access import Lake
    from local_aws.lakeformation.tags import Place
    from local_aws.service import Call

TAGS_AT_MOST = 1000


class TagCalls:
    """What LakeFormation does with tags, named expressions of them, and tagged resources."""

    lake: Lake

    def CreateLFTag(self, call: Call) -> dict[str, Any]:
        """A tag with its possible values; for administrators and who may create tags."""
        self._check_catalog(call, "CREATE_LF_TAG")
        if len(self.lake.tags.values) >= TAGS_AT_MOST:
            raise ApiError(
                "ResourceNumberLimitExceededException", f"There are {TAGS_AT_MOST} LF-Tags already"
            )
        self.lake.tags.create(call.parameters["TagKey"], call.parameters["TagValues"])
        key = call.parameters["TagKey"].lower()
        self._own(
            call,
            On("LFTag", name=key, expression=((key, ("*",)),)),
            ["ALTER", "ASSOCIATE", "DESCRIBE", "DROP"],
        )
        return {}

    def GetLFTag(self, call: Call) -> dict[str, Any]:
        """A tag's possible values."""
        key = call.parameters["TagKey"].lower()
        return {"CatalogId": ACCOUNT, "TagKey": key, "TagValues": self.lake.tags.known(key)}

    def ListLFTags(self, call: Call) -> dict[str, Any]:
        """The tags that the caller may see."""
        seen = [key for key in self.lake.tags.values if self._holds(call, "", key)]
        tags = [
            {"CatalogId": ACCOUNT, "TagKey": key, "TagValues": self.lake.tags.values[key]}
            for key in seen
        ]
        return page("LFTags", tags, call.parameters)

    def UpdateLFTag(self, call: Call) -> dict[str, Any]:
        """Other possible values."""
        request = call.parameters
        self._check_tag(call, "ALTER", request["TagKey"])
        self.lake.tags.update(
            request["TagKey"],
            request.get("TagValuesToAdd", []),
            request.get("TagValuesToDelete", []),
        )
        return {}

    def DeleteLFTag(self, call: Call) -> dict[str, Any]:
        """The tag gone, from everything."""
        self._check_tag(call, "DROP", call.parameters["TagKey"])
        self.lake.tags.delete(call.parameters["TagKey"])
        return {}

    # On resources

    def AddLFTagsToResource(self, call: Call) -> dict[str, Any]:
        """The tags that could not be put on the resource, with the reason."""
        where = self._tagged(call)
        self.lake.check_spread("settings")
        return self._each(call, lambda key, values: self._assign(call, where, key, values))

    def RemoveLFTagsFromResource(self, call: Call) -> dict[str, Any]:
        """The tags that could not be taken off, with the reason."""
        where = self._tagged(call)

        def take_off(key: str, values: list[str]) -> None:
            self._check_tag(call, "ASSOCIATE", key, values)
            self.lake.tags.take_off(where, key, values)

        return self._each(call, take_off)

    def _assign(self, call: Call, where: list[Place], key: str, values: list[str]) -> None:
        if len(values) != 1:
            raise invalid("A resource has one value of an LF-Tag")
        self._check_tag(call, "ASSOCIATE", key, values)
        self.lake.tags.assign(where, key, values[0])

    @staticmethod
    def _each(call: Call, act: Callable[[str, list[str]], None]) -> dict[str, Any]:
        failures = []
        for each in call.parameters["LFTags"]:
            try:
                act(each["TagKey"], each.get("TagValues", []))
            except ApiError as error:
                why = {"ErrorCode": error.code, "ErrorMessage": error.message}
                failures.append({"LFTag": {"CatalogId": ACCOUNT, **each}, "Error": why})
        return {"Failures": failures}

    def GetResourceLFTags(self, call: Call) -> dict[str, Any]:
        """The tags of a database or a table with its columns, inherited ones too unless only the
        assigned are asked for.
        """
        what, tags = on(call.parameters["Resource"]), self.lake.tags
        self.lake.exists(what)
        table = what.table
        of = (
            (lambda place: tags.assigned.get(place, {}))
            if call.parameters.get("ShowAssignedLFTags")
            else tags.of
        )
        found: dict[str, Any] = {"LFTagOnDatabase": shown(of((what.database,)))}
        if table:
            columns = what.columns or list(self.lake.catalog.columns(what.database, table))
            listed = [
                {"Name": each, "LFTags": shown(of((what.database, table, each)))}
                for each in columns
            ]
            found["LFTagsOnTable"] = shown(of((what.database, table)))
            found["LFTagsOnColumns"] = [each for each in listed if each["LFTags"]]
        return found

    def SearchDatabasesByLFTags(self, call: Call) -> dict[str, Any]:
        """The databases that the caller sees whose tags match."""
        policy, lake = self._searched(call, "DATABASE"), self.lake
        found = [
            {
                "Database": {"CatalogId": ACCOUNT, "Name": each},
                "LFTags": shown(lake.tags.of((each,))),
            }
            for each in lake.catalog.databases()
            if lake.tags.match(policy, (each,)) and lake.on_database(call.principal, each)
        ]
        return page("DatabaseList", found, call.parameters)

    def SearchTablesByLFTags(self, call: Call) -> dict[str, Any]:
        """The tables that the caller sees of which the tags match, or those of one of the
        columns.
        """
        policy, lake = self._searched(call, "TABLE"), self.lake
        found = []
        for database in lake.catalog.databases():
            for table in lake.catalog.tables(database):
                columns = [
                    each
                    for each in lake.catalog.columns(database, table)
                    if lake.tags.match(policy, (database, table, each))
                ]
                matched = lake.tags.match(policy, (database, table)) or columns
                if matched and lake.on_table(call.principal, database, table).permissions:
                    found.append(self._tagged_table(database, table, columns))
        return page("TableList", found, call.parameters)

    def _tagged_table(self, database: str, table: str, columns: list[str]) -> dict[str, Any]:
        of = self.lake.tags.of
        return {
            "Table": {"CatalogId": ACCOUNT, "DatabaseName": database, "Name": table},
            "LFTagOnDatabase": shown(of((database,))),
            "LFTagsOnTable": shown(of((database, table))),
            "LFTagsOnColumns": [
                {"Name": each, "LFTags": shown(of((database, table, each)))} for each in columns
            ],
        }

    def _searched(self, call: Call, kind: str) -> On:
        found = expression(call.parameters["Expression"])
        self.lake.tags.check(found)
        return On("LFTagPolicy", of=kind, expression=found)

    def _tagged(self, call: Call) -> list[Place]:
        what = on(call.parameters["Resource"])
        self.lake.exists(what)
        known = self.lake.catalog.columns(what.database, what.table) if what.table else {}
        if what.columns and not what.columns <= set(known):
            raise not_found(f"Column {min(what.columns - set(known))} not found.")
        return places(what)

    # Named expressions

    def CreateLFTagExpression(self, call: Call) -> dict[str, Any]:
        """A named expression; InvalidInputException when there is one of this name."""
        self._check_catalog(call, "CREATE_LF_TAG_EXPRESSION")
        if call.parameters["Name"] in self.lake.tags.expressions:
            raise invalid(f"LF-Tag expression {call.parameters['Name']} already exists")
        return self._keep(call)

    def UpdateLFTagExpression(self, call: Call) -> dict[str, Any]:
        """Another expression under the name."""
        self._check_catalog(call, "CREATE_LF_TAG_EXPRESSION")
        self._expression(call)
        return self._keep(call)

    def _keep(self, call: Call) -> dict[str, Any]:
        request = call.parameters
        found = expression(request["Expression"])
        self.lake.tags.check(found)
        self.lake.tags.expressions[request["Name"]] = {
            "Description": request.get("Description", ""),
            "Expression": found,
        }
        return {}

    def GetLFTagExpression(self, call: Call) -> dict[str, Any]:
        """One named expression."""
        self._expression(call)
        return self._shown(call.parameters["Name"])

    def ListLFTagExpressions(self, call: Call) -> dict[str, Any]:
        """All named expressions."""
        return page(
            "LFTagExpressions",
            [self._shown(each) for each in self.lake.tags.expressions],
            call.parameters,
        )

    def DeleteLFTagExpression(self, call: Call) -> dict[str, Any]:
        """The named expression gone; what was granted by it is held no more."""
        self._check_catalog(call, "CREATE_LF_TAG_EXPRESSION")
        self._expression(call)
        del self.lake.tags.expressions[call.parameters["Name"]]
        return {}

    def _expression(self, call: Call) -> None:
        if call.parameters["Name"] not in self.lake.tags.expressions:
            raise not_found(f"LF-Tag expression {call.parameters['Name']} not found.")

    def _shown(self, name: str) -> dict[str, Any]:
        found = self.lake.tags.expressions[name]
        return {
            "Name": name,
            "CatalogId": ACCOUNT,
            **found,
            "Expression": shown_expression(found["Expression"]),
        }

    # Who may

    def _own(self, call: Call, what: On, permissions: list[str]) -> None:
        if not self.lake.administers(call.principal):
            arn = call.principal.policy_arn
            self.lake.grants.add(arn, what, permissions, permissions, arn)

    def _check_catalog(self, call: Call, permission: str) -> None:
        held = [
            grant.permissions
            for each, grant in self.lake.grants.of([call.principal.policy_arn])
            if each.kind == "Catalog"
        ]
        if not self.lake.administers(call.principal) and not any(
            {permission, "ALL"} & each for each in held
        ):
            raise ApiError(
                "AccessDeniedException",
                "Insufficient Lake Formation permission(s): Required"
                f" {permission.replace('_', ' ').title()} on Catalog",
            )

    def _holds(self, call: Call, permission: str, key: str, values: list[str] = []) -> bool:  # noqa: B006 - never changed
        """Whether the caller holds a permission (or any) on these values of a tag."""
        if self.lake.administers(call.principal) or (
            not permission and self.lake.reads_all(call.principal)
        ):
            return True
        for each, grant in self.lake.grants.of([call.principal.policy_arn]):
            if (
                each.kind == "LFTag"
                and each.name == key.lower()
                and (not permission or permission in grant.permissions)
            ):
                mine = {value for _, held in each.expression for value in held}
                if "*" in mine or {value.lower() for value in values} <= mine:
                    return True
        return False

    def _check_tag(self, call: Call, permission: str, key: str, values: list[str] = []) -> None:  # noqa: B006 - never changed
        if not self._holds(call, permission, key, values):
            raise ApiError(
                "AccessDeniedException",
                f"Insufficient Lake Formation permission(s): Required {permission.title()} on"
                f" {key}",
            )
