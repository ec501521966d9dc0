"""Which account, region and commit this is: the first thing every notebook proves."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from lakebook import aws
from lakebook.errors import LakebookError
from lakebook.evidence import record
from lakebook.names import Names
from lakebook.rights import Recorder


def connect(environment: str, account: str, region: str, prefix: str) -> Names:
    """Prove that the caller's account is the one meant, print who and where this is, and return the
    names in use.

    Raises LakebookError before anything is touched: no credentials, nothing answers, another
    account.
    """
    import awswrangler as wr  # noqa: PLC0415 - slow to import

    boto3.DEFAULT_SESSION = aws.session(region_name=region)
    wr.config.botocore_config = aws.RETRIES
    Recorder(account, region).watch(boto3.DEFAULT_SESSION)
    sts = aws.client("sts")
    try:
        caller = sts.get_caller_identity()
    except (BotoCoreError, ClientError) as error:
        raise LakebookError(
            f"AWS does not answer at {sts.meta.endpoint_url} ({type(error).__name__}: {error});"
            " check the credentials, the region and AWS_ENDPOINT_URL."
        ) from error
    if caller["Account"] != account:
        raise LakebookError(
            f"These credentials belong to account {caller['Account']} but the parameters name"
            f" {account}; nothing was touched: use the right profile or parameters file."
        )
    endpoint = os.environ.get("AWS_ENDPOINT_URL", "")
    facts = {
        "caller": caller["Arn"],
        "account": account,
        "region": region,
        "endpoint": endpoint or "AWS",
        "commit": _commit(),
    }
    record("connection", **facts)
    print(" · ".join(facts.values()), flush=True)
    return Names(prefix, environment, account, region)


def _commit() -> str:
    """The commit of the runbook that is run, with `+` when files differ from it."""
    try:
        here = Path(__file__).parent
        described = subprocess.run(
            ["git", "describe", "--always", "--dirty=+"],
            cwd=here,
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return "no git commit"
    return described.stdout.strip()
