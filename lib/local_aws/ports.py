"""What engines and services ask of those who identify callers, decide, record and vend credentials:
`StandIn` has one of each, and server.py says which.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from local_aws.principal import Principal


@dataclass(frozen=True)
class Access:
    """What a principal may see of a table."""

    permissions: frozenset[str] = frozenset()  # none: the table is as if it were not there
    whole: bool = False  # all rows of all columns
    cells: dict[str, tuple[str, ...]] = field(
        default_factory=dict
    )  # by column, the filters one of which a row must pass; none: all rows

    @property
    def filters(self) -> set[tuple[str, ...]]:
        """The different conditions on rows, by whatever column."""
        return {each for each in self.cells.values() if each}


WHOLE = Access(frozenset(["ALL"]), whole=True)


class Identifies(Protocol):
    """Who has which access key."""

    def of(self, access_key: str) -> Principal | None:
        """Who has this access key: None when nobody has; raises ExpiredSessionError."""

    def add(self, session: Principal) -> Principal:
        """Keep a session under its access key."""

    def service_session(
        self, role_arn: str, service_principal: str, assumed: Callable[[Principal, str], None]
    ) -> Principal:
        """The session in which a service acts as a role; `assumed` is told of a new one."""

    def on_behalf(self, principal: Principal, service_principal: str) -> Principal:
        """The same principal as a service makes calls for it."""


class Decides(Protocol):
    """Who may do what, by the policies as they are at this moment."""

    def authorize_call(
        self,
        principal: Principal,
        service: str,
        operation: str,
        parameters: Mapping[str, Any],
        region: str,
        environ: Mapping[str, Any] = ...,
    ) -> None:
        """Return when the principal may make a call; raises AccessDeniedError."""

    def authorize(
        self,
        principal: Principal,
        action: str,
        resource: str,
        given: Mapping[str, str] | None = None,
    ) -> None:
        """Return when the principal may do this; raises AccessDeniedError."""

    def allows(
        self,
        principal: Principal,
        action: str,
        resource: str,
        given: Mapping[str, str] | None = None,
    ) -> bool:
        """Whether the principal may do this."""


class Records(Protocol):
    """CloudTrail, as it learns of what is no call through the gateway."""

    def assumed(self, session: Principal, service_principal: str) -> None:
        """Take an AssumeRole of an AWS service for a role that it acts as."""

    def touched(self, principal: Principal, operation: str, bucket: str, key: str) -> None:
        """Take what an engine did with an object's file itself."""

    def acted(self, principal: Principal, service: str, operation: str, **details: Any) -> None:
        """Take an event of what an AWS service did for a principal."""


class Vends(Protocol):
    """Lake Formation, as query engines ask it."""

    def vending_role(self, principal: Principal, arn: str) -> str:
        """The role whose credentials a principal is vended for an object; empty when none are."""

    def reading(
        self, principal: Principal, database: str, table: str
    ) -> tuple[Access, dict[str, str]]:
        """What the principal may see of a table, and its row filters in DuckDB's words."""

    def may_query(self, principal: Principal) -> None:
        """Return when Athena runs queries of the principal; raises AccessDeniedError."""

    def may_write(self, principal: Principal, database: str, table: str) -> None:
        """Return when the principal may insert rows into a table; raises AccessDeniedError."""

    def may_create(self, principal: Principal, database: str, location: str) -> None:
        """Return when the principal may make a table at a location; raises AccessDeniedError."""
