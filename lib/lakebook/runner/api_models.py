"""Imported by the process that kernels are forked from: AWS's API models of the runbook's services,
read before a notebook waits for them.
"""

from __future__ import annotations

import contextlib
from typing import Any

from botocore.exceptions import BotoCoreError

from lakebook import aws

SERVICES = (
    "athena",
    "dms",
    "ec2",
    "glue",
    "iam",
    "kms",
    "lakeformation",
    "redshift",
    "redshift-data",
    "redshift-serverless",
    "s3",
    "secretsmanager",
    "sts",
)
# makes no call
NOBODY: dict[str, Any] = {
    "aws_access_key_id": "-",
    "aws_secret_access_key": "-",
    "region_name": "us-east-1",
}

# of a profile or endpoint that is wrong the preflight tells
with contextlib.suppress(BotoCoreError, ValueError):
    _session: Any = aws.session(**NOBODY)
    for _each in SERVICES:
        _session.client(_each)
