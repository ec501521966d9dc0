"""What one AWS service of the stand-in is: a class with one method per operation, named as AWS
names it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from local_aws.principal import Principal
    from local_aws.stand_in import StandIn


@dataclass
class Call:
    """One API call on its way: who asks what of which service, and what moto itself would
    answer.
    """

    service: str  # as botocore names it: "dms", "glue", "redshift-data"
    operation: str  # "CreateReplicationTask"
    parameters: dict[str, Any]  # as boto3 takes them
    region: str
    access_key: str
    # moto's answer as boto3 would return it; raises ApiError
    moto: Callable[[], dict[str, Any]] = field(repr=False)
    principal: Principal = field(repr=False, default=None)  # type: ignore[assignment] # always given but in tests


class Service:
    """One AWS service with an engine behind it.

    Every public CamelCase method is an operation: it takes a `Call` and returns the response as
    boto3 would (datetimes as datetime, no ResponseMetadata), or raises `ApiError`. services.py has
    the table of them.
    """

    def __init__(self, stand_in: StandIn) -> None:
        self.stand_in = stand_in

    def stop(self) -> None:
        """Stop what still runs for this service; called once when the stand-in goes down."""


Kind = TypeVar("Kind", bound=Service)


def service_of(services: Mapping[str, Service], kind: type[Kind]) -> Kind:
    """The one service of a class."""
    return next(each for each in services.values() if isinstance(each, kind))
