"""What points AWS clients at the stand-in: environment variables, and a file with the
administrator's credentials.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from local_aws.names import REGION

if TYPE_CHECKING:
    from pathlib import Path

# an access key that opens nothing outside this machine
ADMINISTRATOR = ("AKIAREHEARSAL0000000", "rehearsal")
# boto3 prefers these to a profile
OVERRIDING = (
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_PROFILE",
    "AWS_DEFAULT_PROFILE",
)


def environment(endpoint: str, directory: Path) -> dict[str, str]:
    """The variables that point every AWS client at the stand-in in `directory` and nowhere else.

    The administrator's key is in a file and not in a variable, which boto3 would prefer to any
    AWS_PROFILE.
    """
    return {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_REGION": REGION,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": str(directory / "credentials"),
    }


def write_credentials(directory: Path) -> None:
    """The administrator's key, as the profile `default`."""
    key, secret = ADMINISTRATOR
    text = f"[default]\naws_access_key_id = {key}\naws_secret_access_key = {secret}\n"
    (directory / "credentials").write_text(text)
