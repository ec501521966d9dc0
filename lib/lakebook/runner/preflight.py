"""Before anything is started or written: does AWS answer, and is it the account and the Region that
are meant?
"""

from __future__ import annotations

import os
from typing import Any

from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    HTTPClientError,
    NoCredentialsError,
    PartialCredentialsError,
    ProfileNotFound,
)
from botocore.exceptions import ConnectionError as NoConnectionError

from lakebook import aws
from lakebook.errors import LakebookError

# a wrong endpoint is told within seconds, a bad moment of AWS is tried again
FEW_TRIES = Config(
    connect_timeout=5, read_timeout=20, retries={"total_max_attempts": 4, "mode": "standard"}
)


class PreflightError(LakebookError):
    """AWS is not there as the parameters say; nothing was started."""


def caller(account: str | None, region: str | None) -> dict[str, str]:
    """Who calls which account, Region and endpoint; raises PreflightError unless they are those of
    the parameters.
    """
    try:
        session = aws.session()
        if region and session.region_name and session.region_name != region:
            raise PreflightError(
                f"The AWS Region set here is {session.region_name} but the parameters name"
                f" {region}: set AWS_REGION and AWS_DEFAULT_REGION to {region}, or use the right"
                " parameters file."
            )
        sts = session.client("sts", region_name=region, config=FEW_TRIES)
    except BotoCoreError as error:
        raise PreflightError(
            f"AWS cannot be called: {_plain(error)}; check AWS_PROFILE and AWS_REGION."
        ) from error
    found = _identity(sts)
    if account and found["Account"] != account:
        raise PreflightError(
            f"These credentials belong to account {found['Account']} but the parameters name"
            f" {account}; nothing was touched: use the right profile or parameters file."
        )
    endpoint = sts.meta.endpoint_url if os.environ.get("AWS_ENDPOINT_URL") else "AWS"
    return {
        "caller": found["Arn"],
        "account": found["Account"],
        "region": region or sts.meta.region_name,
        "endpoint": endpoint,
    }


def _identity(sts: Any) -> dict[str, str]:
    try:
        found: dict[str, str] = sts.get_caller_identity()
    except (NoCredentialsError, PartialCredentialsError, ProfileNotFound) as error:
        raise PreflightError(
            f"There are no AWS credentials ({_plain(error)}): set AWS_PROFILE, or the variables"
            " that the stand-in prints."
        ) from error
    except (NoConnectionError, HTTPClientError) as error:
        raise PreflightError(
            f"Nothing answers at {sts.meta.endpoint_url} ({type(error).__name__}); if that is the"
            " stand-in, start it with `python -m local_aws`, otherwise check the network and"
            " AWS_ENDPOINT_URL."
        ) from error
    except ClientError as error:
        code, message = error.response["Error"]["Code"], error.response["Error"]["Message"]
        if error.response["ResponseMetadata"]["HTTPStatusCode"] >= 500:
            raise PreflightError(
                f"AWS fails with {code}: {message.rstrip('.')}; nothing was started, try again."
            ) from error
        raise PreflightError(
            f"AWS refused the credentials with {code}: {message.rstrip('.')}; renew them or use"
            " another profile."
        ) from error
    except BotoCoreError as error:
        raise PreflightError(f"AWS cannot be called: {_plain(error)}.") from error
    return found


def _plain(error: Exception) -> str:
    return str(error).rstrip(".")
