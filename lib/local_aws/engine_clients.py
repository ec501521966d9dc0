"""One boto3 client for each service that an engine asks, since making one takes a tenth of a second."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from local_aws.stand_in import StandIn

_made: dict[tuple[str, str], Any] = {}


def client(stand_in: StandIn, service: str) -> Any:
    """A client of the stand-in, made once; boto3's clients may be used by any number of threads."""
    key = (stand_in.endpoint, service)
    if key not in _made:
        _made[key] = stand_in.client(service)
    return _made[key]
