"""The door to AWS: one boto3 client a service, kept, as making one takes longer than most calls."""

from __future__ import annotations

import os
import threading
from functools import cache
from typing import Any

import boto3

_making = threading.Lock()  # a session makes one client at a time


def environment() -> dict[str, str]:
    """The variables for a program that is to act as this session does; its own profile might be another's, or cached."""
    session = boto3.DEFAULT_SESSION or boto3.Session()
    keys = session.get_credentials().get_frozen_credentials()
    own = {
        "AWS_ACCESS_KEY_ID": keys.access_key,
        "AWS_SECRET_ACCESS_KEY": keys.secret_key,
        "AWS_SESSION_TOKEN": keys.token or "",
    }
    others = {name: value for name, value in os.environ.items() if name not in ("AWS_PROFILE", "AWS_DEFAULT_PROFILE")}
    return {**others, **{name: value for name, value in own.items() if value}}


def client(service: str, region: str | None = None) -> Any:
    """The boto3 client of a service, in the session that `account.connect` has set and its Region or another; safe in any thread."""
    with _making:
        if boto3.DEFAULT_SESSION is None:
            boto3.setup_default_session()
        return _client(boto3.DEFAULT_SESSION, service, region)


@cache
def _client(session: boto3.session.Session, service: str, region: str | None) -> Any:
    return session.client(service, region_name=region)
