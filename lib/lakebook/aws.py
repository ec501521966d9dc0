"""The door to AWS: one boto3 client a service, kept, as making one takes longer than most calls."""

from __future__ import annotations

import os
import threading
from functools import cache
from typing import Any

import boto3
import botocore.session

_making = threading.Lock()  # a session makes one client at a time


def session(**settings: Any) -> boto3.session.Session:
    """A boto3 session of these settings; all sessions share the API models that were read once."""
    core = botocore.session.get_session()
    core.register_component("data_loader", _models())
    return boto3.Session(botocore_session=core, **settings)


@cache
def _models() -> Any:
    """What reads API models from disk, and keeps those that it has read."""
    return botocore.session.get_session().get_component("data_loader")


def environment() -> dict[str, str]:
    """The variables for a program that is to act as this session does; its own profile might be
    another's, or cached.
    """
    keys = (boto3.DEFAULT_SESSION or session()).get_credentials().get_frozen_credentials()
    own = {
        "AWS_ACCESS_KEY_ID": keys.access_key,
        "AWS_SECRET_ACCESS_KEY": keys.secret_key,
        "AWS_SESSION_TOKEN": keys.token or "",
    }
    others = {
        name: value
        for name, value in os.environ.items()
        if name not in ("AWS_PROFILE", "AWS_DEFAULT_PROFILE")
    }
    return {**others, **{name: value for name, value in own.items() if value}}


def client(service: str, region: str | None = None) -> Any:
    """The boto3 client of a service, in the session that `account.connect` has set and its Region
    or another; safe in any thread.
    """
    with _making:
        if boto3.DEFAULT_SESSION is None:
            boto3.DEFAULT_SESSION = session()
        return _client(boto3.DEFAULT_SESSION, service, region)


@cache
def _client(within: boto3.session.Session, service: str, region: str | None) -> Any:
    return within.client(service, region_name=region)
