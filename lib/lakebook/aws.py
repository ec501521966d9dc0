"""The door to AWS: one boto3 client a service, kept, as making one takes longer than most calls."""

from __future__ import annotations

import threading
from functools import cache
from typing import Any

import boto3

_making = threading.Lock()  # a session makes one client at a time


def client(service: str, region: str | None = None) -> Any:
    """The boto3 client of a service, in the session that `account.connect` has set and its Region or another; safe in any thread."""
    with _making:
        if boto3.DEFAULT_SESSION is None:
            boto3.setup_default_session()
        return _client(boto3.DEFAULT_SESSION, service, region)


@cache
def _client(session: boto3.session.Session, service: str, region: str | None) -> Any:
    return session.client(service, region_name=region)
