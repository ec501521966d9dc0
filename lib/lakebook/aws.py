"""The only way to AWS: one boto3 client a service, kept, as making one takes longer than most
calls.
"""

from __future__ import annotations

import os
import threading
from functools import cache
from typing import TYPE_CHECKING, Any, cast

import boto3
import botocore.session
from botocore.config import Config
from botocore.exceptions import NoCredentialsError

# What fails for a moment is asked again, by botocore, which knows each protocol's throttling and
# server errors: https://docs.aws.amazon.com/boto3/latest/guide/retries.html. Its adaptive mode
# would have all operations of a service wait where one is throttled:
# https://docs.aws.amazon.com/sdkref/latest/guide/feature-retry-behavior.html
RETRIES = Config(retries={"mode": "standard", "total_max_attempts": 10})
_making = threading.Lock()  # a session makes one client at a time


def session(credentials: Credentials | None = None, **settings: Any) -> boto3.session.Session:
    """A boto3 session of these settings, with these credentials where given; all sessions share
    the API models that were read once.
    """
    core = botocore.session.get_session()
    core.register_component("data_loader", _models())
    core.set_default_client_config(RETRIES)
    if credentials:
        vars(core)["_credentials"] = credentials  # botocore has no public way
    return boto3.Session(botocore_session=core, **settings)


@cache
def _models() -> Any:
    """What reads API models from disk, and keeps those that it has read."""
    return botocore.session.get_session().get_component("data_loader")


def environment() -> dict[str, str]:
    """The variables for a program that is to act as this session does; its own profile might be
    another's, or cached.
    """
    found = (boto3.DEFAULT_SESSION or session()).get_credentials()
    if found is None:
        raise NoCredentialsError
    keys = found.get_frozen_credentials()
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


if TYPE_CHECKING:
    # types-boto3 knows the class of each service's client
    from boto3 import client as client  # noqa: PLC0414 - exported
    from botocore.credentials import Credentials
else:

    def client(service_name: str, region_name: str | None = None) -> Any:
        """The boto3 client of a service, in the session that `account.connect` has set and its
        Region or another; safe in any thread.
        """
        with _making:
            if boto3.DEFAULT_SESSION is None:
                boto3.DEFAULT_SESSION = session()
            return _client(boto3.DEFAULT_SESSION, service_name, region_name)


def client_named(service_name: str) -> Any:
    """The same for a service whose name is known only at run time."""
    return cast("Any", client)(service_name)


@cache
def _client(within: Any, service: str, region: str | None) -> Any:
    return within.client(service, region_name=region)
