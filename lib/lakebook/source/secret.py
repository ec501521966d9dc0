"""The secret that describes a source database: what it must hold, and which engine it names."""

from __future__ import annotations

import json

from botocore.exceptions import ClientError

from lakebook import aws
from lakebook.errors import LakebookError

SECRET_KEYS = "username, password, host, port, engine (postgresql) and dbname"  # noqa: S105 - names, not a secret


def engine_of(secret: str) -> str:
    """The engine that the secret names; raises LakebookError where it cannot be read."""
    try:
        return _engine(secret)
    except ClientError as error:
        code = error.response["Error"]["Code"]
        reason = (
            f"There is no secret '{secret}' in Secrets Manager; create it with {SECRET_KEYS}."
            if code == "ResourceNotFoundException"
            else f"The secret '{secret}' cannot be read ({code}); allow this role"
            " secretsmanager:GetSecretValue on it."
        )
    except (KeyError, ValueError, TypeError):
        reason = incomplete(secret)
    # outside of the handler, so that no traceback leads to what held the password
    raise LakebookError(reason)


def incomplete(secret: str) -> str:
    """What is said of a secret that lacks a member."""
    return f"The secret '{secret}' is not complete JSON; it needs {SECRET_KEYS}."


def _engine(secret: str) -> str:
    answer = aws.client("secretsmanager").get_secret_value(SecretId=secret)
    return str(json.loads(answer["SecretString"])["engine"]).lower()
