"""A rehearsal as a user starts it: the stand-in in a process of its own, and the command against
it.
"""

import contextlib
import json
import os
import re
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import boto3
import pytest

from lakebook import Names, ensure
from lakebook.people import personas
from local_aws.engines.postgresql import Server
from local_aws.environment import OVERRIDING

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
FILE = "parameters/rehearsal.yaml"
NAMES = Names("acme", "rehearsal", "123456789012", "eu-west-1")
ERASURE_SECRET = NAMES.resource("erasure")
# asking Athena or Redshift changes nothing, but AWS names it like a change
QUESTIONS = ("athena StartQueryExecution", "redshift-data ExecuteStatement")


@dataclass(frozen=True)
class Ended:
    """How a command ended, and the changing calls that came from outside meanwhile, in order."""

    returncode: int
    stdout: str
    stderr: str
    changing_calls: list[str]

    @property
    def text(self):
        return self.stdout + self.stderr

    @property
    def folder(self):
        """With the executed copies."""
        return ROOT / re.search(r"executed copies: (\S+)", self.stdout)[1]

    def of(self, *phases):
        """The lines that these phases printed."""
        starts = tuple(f"   {each}  " for each in phases)
        return "\n".join(each for each in self.stdout.splitlines() if each.startswith(starts))


def as_options(parameters):
    """The command's options for parameters, name to value as YAML."""
    return [each for name, value in (parameters or {}).items() for each in ("-p", name, value)]


class Rehearsal:
    """One stand-in and the parameters that its runs have of their own; stopped at the block's
    end.
    """

    def __init__(self, directory, source="", parameters=None, weather=None):
        self.data = directory / "stand-in"
        self.parameters = as_options(parameters)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = str(free.getsockname()[1])
        options = ["--data", str(self.data), "--port", port]
        options += [] if weather is None else ["--weather", str(weather)]
        self.stand_in = [sys.executable, "-m", "local_aws", *options]
        self.environment = {**os.environ, "DEMO_SCALE": "0.01", "LOCAL_AWS_SOURCE": source}

    def __enter__(self):
        with contextlib.ExitStack() as on_failure:
            on_failure.callback(self.__exit__)
            self._start()
            ended = self.run("bootstrap", FILE, *self.parameters)
            assert ended.returncode == 0, ended.text
            on_failure.pop_all()
        self.environment |= {"AWS_PROFILE": "operator"}
        return self

    def _start(self):
        command = [*self.stand_in, "up"]
        ended = subprocess.run(
            command, check=True, capture_output=True, text=True, env=self.environment
        )
        lines = (each.removeprefix("export ") for each in ended.stdout.splitlines() if "=" in each)
        pairs = (each.split("=", 1) for each in lines)
        self.environment |= {name: value.strip("'") for name, value in pairs}
        self.environment |= {"AWS_CONFIG_FILE": str(ROOT / "parameters" / "rehearsal.aws")}

    def __exit__(self, *_):
        subprocess.run([*self.stand_in, "down"], check=True, capture_output=True)

    def plan(self, *options):
        return self.run("plan", FILE, *self.parameters, *options)

    def apply(self, *options):
        return self.run("apply", FILE, *self.parameters, *options)

    def run(self, *arguments):
        """The command, from the project's folder."""
        log = self.data / "calls.jsonl"
        before = log.stat().st_size if log.exists() else 0
        ended = subprocess.run(
            [BIN / "lakebook", *arguments],
            cwd=ROOT,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=900,
        )
        with log.open() as lines:
            lines.seek(before)
            logged = [json.loads(each) for each in lines]
        calls = [
            f"{each['service']} {each['operation']}"
            for each in logged
            if each["changing"] and not each["engine"]
        ]
        changing = [each for each in calls if each not in QUESTIONS]
        return Ended(ended.returncode, ended.stdout, ended.stderr, changing)

    @contextlib.contextmanager
    def acting(self, profile):
        """Within the block this process, too, works on the rehearsal's AWS, as a profile of
        parameters/rehearsal.aws or as the administrator, `default`.
        """
        with pytest.MonkeyPatch.context() as patch:
            for name in OVERRIDING:
                patch.delenv(name, raising=False)
            for name, value in (self.environment | {"AWS_PROFILE": profile}).items():
                patch.setenv(name, value)
            patch.setattr(boto3, "DEFAULT_SESSION", None)
            yield

    def client(self, service, profile="default"):
        with self.acting(profile):
            session = boto3.Session()
            session.get_credentials().get_frozen_credentials()  # the role is taken here, not later
            return session.client(service)

    def allow_operator(self, policy, file):
        """Make this, and nothing else, the policy under which the operator works."""
        file.write_text(json.dumps(policy))
        with self.acting("default"):
            ensure(personas.bootstrap(NAMES, [], file), apply=True)

    @contextlib.contextmanager
    def denied(self, role, action):
        """Within the block the role of a service may not do this."""
        iam = self.client("iam")
        statement = {"Effect": "Deny", "Action": action, "Resource": "*"}
        document = json.dumps({"Version": "2012-10-17", "Statement": statement})
        which = {"RoleName": NAMES.resource(role), "PolicyName": "denied"}
        iam.put_role_policy(**which, PolicyDocument=document)
        try:
            yield
        finally:
            iam.delete_role_policy(**which)

    def ask_erasure(self, key):
        """The secret that 20 reads: a passenger."""
        client = self.client("secretsmanager")
        content = json.dumps({"table": "customers.passengers", "key": str(key)})
        try:
            client.create_secret(Name=ERASURE_SECRET, SecretString=content)
        except client.exceptions.ResourceExistsException:
            client.put_secret_value(SecretId=ERASURE_SECRET, SecretString=content)

    def demo_database(self):
        """A connection to it, as its owner."""
        server = Server(self.data / "postgresql")
        server.start()  # it runs: this finds its port
        return server.connect("airline")
