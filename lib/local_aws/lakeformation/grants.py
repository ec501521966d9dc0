"""Who holds which Lake Formation permissions on what."""

from __future__ import annotations

import datetime
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from local_aws.lakeformation.resources import On, invalid

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


@dataclass
class Grant:
    """What one principal holds on one resource."""

    permissions: set[str] = field(default_factory=set)
    grantable: set[str] = field(default_factory=set)  # may be granted on by the principal
    updated: datetime.datetime = field(default_factory=lambda: datetime.datetime.now(datetime.UTC))
    by: str = ""


class Grants:
    """All grants, by principal and resource."""

    def __init__(self) -> None:
        self._held: dict[str, dict[On, Grant]] = {}

    def add(
        self, principal: str, on: On, permissions: Iterable[str], grantable: Iterable[str], by: str
    ) -> None:
        """Add to what is held; what is held already stays."""
        held = self._held.setdefault(principal, {}).setdefault(on, Grant())
        held.permissions |= {*permissions, *grantable}
        held.grantable |= set(grantable)
        held.updated, held.by = datetime.datetime.now(datetime.UTC), by

    def remove(
        self, principal: str, on: On, permissions: Iterable[str], grantable: Iterable[str], by: str
    ) -> None:
        """Take away; raises ApiError InvalidInputException for what is not held."""
        lost, options = set(permissions), set(grantable)
        held = self._held.get(principal, {}).get(on)
        if held is None:
            raise invalid(
                "No permissions revoked. Grantee has no permissions and no grantable permissions on"
                " resource."
            )
        _spell_out(held, on, lost | options)
        if lacking := sorted(lost - held.permissions | options - held.grantable):
            raise invalid(f"No permissions revoked. Grantee does not have: [{', '.join(lacking)}]")
        held.permissions -= lost
        held.grantable -= lost | options
        held.updated, held.by = datetime.datetime.now(datetime.UTC), by
        if not held.permissions:
            del self._held[principal][on]

    def held(self, principal: str, on: On) -> Grant:
        """What a principal holds on exactly this resource."""
        return self._held.get(principal, {}).get(on) or Grant()

    def of(self, principals: Iterable[str]) -> Iterator[tuple[On, Grant]]:
        """Everything that these principals hold."""
        for each in principals:
            yield from list(self._held.get(each, {}).items())

    def all(self) -> list[tuple[str, On, Grant]]:
        """Every grant, the oldest principal's first."""
        return [
            (who, on, grant)
            for who, grants in list(self._held.items())
            for on, grant in list(grants.items())
        ]

    def forget(self, database: str, table: str = "") -> None:
        """Drop the grants on a table, or on a database and all in it, that is no more."""
        for grants in self._held.values():
            for on in [
                each for each in grants if each.database == database and table in ("", each.table)
            ]:
                del grants[on]

    def forget_on(self, on: On) -> None:
        """Drop the grants on one resource that is no more."""
        for grants in self._held.values():
            grants.pop(on, None)


def _spell_out(held: Grant, on: On, lost: set[str]) -> None:
    """ALL without one of its permissions is all the others."""
    for kept in (held.permissions, held.grantable):
        if "ALL" in kept and "ALL" not in lost:
            kept.discard("ALL")
            kept.update(on.permissions - {"ALL"})
        elif "ALL" in kept:
            kept.update(lost)


def entries(principal: str, on: On, grant: Grant) -> list[dict[str, Any]]:
    """A grant as ListPermissions shows it: SELECT on a table is SELECT on all of its columns, an
    entry of its own.

    Source: the reading of permissions in
    https://github.com/hashicorp/terraform-provider-aws/blob/main/internal/service/lakeformation/permissions_data_source.go
    """
    parts = [(on, grant.permissions, grant.grantable)]
    if on.kind == "Table" and "SELECT" in grant.permissions:
        columns = On("TableWithColumns", on.database, on.table)
        rest = (on, grant.permissions - {"SELECT"}, grant.grantable - {"SELECT"})
        parts = [*([rest] if rest[1] else []), (columns, {"SELECT"}, grant.grantable & {"SELECT"})]
    who = {"DataLakePrincipalIdentifier": principal}
    return [
        {
            "Principal": who,
            "Resource": what.described(),
            "Permissions": sorted(permissions),
            "PermissionsWithGrantOption": sorted(grantable),
            "LastUpdated": grant.updated,
            "LastUpdatedBy": grant.by,
        }
        for what, permissions, grantable in parts
    ]
