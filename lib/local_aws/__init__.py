"""A stand-in for AWS on one machine: real engines behind AWS's own API, for rehearsing what will
run on AWS.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["running"]


@contextlib.contextmanager
def running(
    directory: Path | None = None,
    port: int = 0,
    source: dict[str, str] | None = None,
    weather_seed: int | None = None,
) -> Iterator[dict[str, str]]:
    """Run the stand-in in this process and yield the environment variables that point AWS clients
    at it.

    `source` is the content of the source database's secret (username, password, host, port, engine,
    dbname); `weather_seed` chooses a bad day of AWS (`local_aws.weather`). The variables are also
    set in this process until the block ends.
    """
    from local_aws import environment, names, server  # noqa: PLC0415 - a module of ours alone needs no boto3

    before = dict(os.environ)
    with tempfile.TemporaryDirectory(prefix="local_aws-", ignore_cleanup_errors=True) as scratch:
        try:
            with server.serving(directory or Path(scratch), port, weather_seed) as stand_in:
                if source:
                    server.put_secret(stand_in, names.SOURCE_SECRET, source)
                yield environment.environment(stand_in.endpoint, stand_in.directory)
        finally:
            os.environ.clear()
            os.environ.update(before)
