"""A stand-in in a process of its own, so that its cost can be told from everything else's."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Self

import boto3

from local_aws.environment import environment

if TYPE_CHECKING:
    from pathlib import Path


class StandInProcess:
    """`with StandInProcess(directory, url) as process:` points this process's AWS clients at it;
    `process.pid` is its id.
    """

    def __init__(self, directory: Path, source: str) -> None:
        self.directory, self.source = directory, source
        self.command = [sys.executable, "-m", "local_aws", "--data", str(directory), "--port", "0"]

    def __enter__(self) -> Self:
        self.before = dict(os.environ)
        environ = {**os.environ, "LOCAL_AWS_SOURCE": self.source}
        subprocess.run([*self.command, "up"], check=True, stdout=subprocess.DEVNULL, env=environ)
        state = json.loads((self.directory / "running.json").read_text())
        self.pid, self.environment = (
            state["pid"],
            environment(state["endpoint"], self.directory.resolve()),
        )
        os.environ.update(self.environment)
        boto3.setup_default_session()  # clients of the session before call the stand-in before
        return self

    def __exit__(self, *_: object) -> None:
        subprocess.run([*self.command, "down"], check=True, stderr=subprocess.DEVNULL)
        os.environ.clear()
        os.environ.update(self.before)
