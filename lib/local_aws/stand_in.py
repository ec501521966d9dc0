"""The stand-in as its services see it: one directory, the S3 objects in it, and the other services by boto3."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import boto3

if TYPE_CHECKING:
    from pathlib import Path

    from local_aws.s3 import Objects

INTERNAL_ACCESS_KEY = "LOCALAWSENGINE"  # signs what an engine asks of another service


@dataclass
class StandIn:
    """One running stand-in."""

    directory: Path  # everything it writes is below this
    objects: Objects  # the S3 objects, as files
    endpoint: str  # "http://127.0.0.1:4566"
    region: str

    _clients: dict[str, Any] = field(default_factory=dict, repr=False)

    def client(self, service: str) -> Any:
        """A boto3 client of this stand-in for use by its own engines, from any thread; made once, as making one takes 0.1 s."""
        if service not in self._clients:
            session = boto3.session.Session(
                aws_access_key_id=INTERNAL_ACCESS_KEY,
                aws_secret_access_key="engine",  # noqa: S106 - not checked by anyone
                region_name=self.region,
            )
            self._clients[service] = session.client(service, endpoint_url=self.endpoint)
        return self._clients[service]
