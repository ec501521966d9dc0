"""The whole path as a user goes it: plan, apply, apply again, one notebook alone; on the demo, and
on a database with nasty types.
"""

import gzip
import json
import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from local_aws.engines.postgresql import Server

ROOT = Path(__file__).parents[1]
BIN = Path(sys.executable).parent


NASTY = [
    "-p",
    "source_schemas",
    "[nasty, 'Sché\"ma']",
    "-p",
    "partition_by",
    "{}",
    "-p",
    "warehouse_keys",
    "{}",
    "-p",
    "classification_file",
    "tests/nasty_classification.yaml",
]

SPINE = ["--only", "01,02,03,04,05,06"]  # dashboards and models are the demo's


class Rehearsal:
    """A stand-in in a process of its own, and the command against it."""

    def __init__(self, directory: Path, source: str = "") -> None:
        self.directory, self.own = directory, []
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.stand_in = [
            sys.executable,
            "-m",
            "local_aws",
            "--data",
            str(directory / "stand-in"),
            "--port",
            str(port),
        ]
        environ = {**os.environ, "DEMO_SCALE": "0.01", "LOCAL_AWS_SOURCE": source}
        exports = subprocess.run(
            [*self.stand_in, "up"], check=True, capture_output=True, text=True, env=environ
        ).stdout
        pairs = (
            line.removeprefix("export ").split("=", 1)
            for line in exports.splitlines()
            if "=" in line
        )
        self.environment = {**os.environ, **{name: value.strip("'") for name, value in pairs}}
        self.environment |= {"AWS_CONFIG_FILE": str(ROOT / "parameters" / "rehearsal.aws")}
        self.run("bootstrap", "parameters/rehearsal.yaml")
        self.environment |= {"AWS_PROFILE": "operator"}

    def apply(self, *overrides: str) -> subprocess.CompletedProcess:
        return self.run("apply", "parameters/rehearsal.yaml", *self.own, *overrides)

    def run(self, *arguments: str) -> subprocess.CompletedProcess:
        command = [BIN / "lakebook", *arguments]
        return subprocess.run(
            command,
            cwd=ROOT,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=900,
        )

    def allow_operator(self, policy: dict) -> None:
        """Make this, and nothing else, the policy under which the rehearsal runs."""
        self.policy = self.directory / "policy.json"
        self.policy.write_text(json.dumps(policy))
        self.environment |= {"AWS_PROFILE": "default"}
        self.own = [*NASTY, "-p", "operator_policy", str(self.policy)]
        ended = self.run("bootstrap", "parameters/rehearsal.yaml", *self.own)
        assert ended.returncode == 0, ended.stderr
        self.environment |= {"AWS_PROFILE": "operator"}

    def administer(self, *command: str) -> None:
        """A call by the administrator."""
        environment = {**self.environment, "AWS_PROFILE": "default"}
        subprocess.run([sys.executable, "-m", "awscli", *command], check=True, env=environment)

    def changing_calls(self) -> list[str]:
        """The changing calls that came from outside, in order."""
        lines = (self.directory / "stand-in" / "calls.jsonl").read_text().splitlines()
        logged = [json.loads(line) for line in lines]
        return [
            f"{each['service']} {each['operation']}"
            for each in logged
            if each["changing"] and not each["engine"]
        ]

    def stop(self) -> None:
        subprocess.run([*self.stand_in, "down"], check=True, capture_output=True)


@pytest.fixture(scope="module")
def rehearsal(tmp_path_factory):
    running = Rehearsal(tmp_path_factory.mktemp("rehearsal"))
    yield running
    running.stop()


def is_question(call: str) -> bool:
    """Asking Athena or Redshift changes nothing, but AWS names it like a change."""
    return call in ("athena StartQueryExecution", "redshift-data ExecuteStatement")


@pytest.fixture(scope="module")
def planned(rehearsal):
    before = rehearsal.changing_calls()
    ended = rehearsal.run("plan", "parameters/rehearsal.yaml")
    return ended, [
        each for each in rehearsal.changing_calls()[len(before) :] if not is_question(each)
    ]


@pytest.fixture(scope="module")
def applied(rehearsal, planned):
    return rehearsal.run("apply", "parameters/rehearsal.yaml")


@pytest.fixture(scope="module")
def applied_again(rehearsal, applied):
    before = rehearsal.changing_calls()
    ended = rehearsal.run("apply", "parameters/rehearsal.yaml")
    return ended, [
        each for each in rehearsal.changing_calls()[len(before) :] if not is_question(each)
    ]


def test_a_plan_on_an_empty_stand_in_lists_calls_and_makes_none(planned):
    ended, calls = planned
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert calls == []


def test_every_phase_applies_and_every_layer_agrees(applied):
    assert applied.returncode == 0, applied.stdout + applied.stderr


def test_a_second_apply_makes_no_changing_call(applied, applied_again):
    ended, calls = applied_again
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert calls == []


def test_one_notebook_runs_alone_with_plain_papermill(rehearsal, applied_again, tmp_path):
    command = [
        BIN / "papermill",
        "notebooks/05_glue.ipynb",
        tmp_path / "out.ipynb",
        "-f",
        "parameters/rehearsal.yaml",
        "-p",
        "apply",
        "True",
    ]
    subprocess.run(
        command, cwd=ROOT, env=rehearsal.environment, check=True, capture_output=True, timeout=300
    )


def test_the_password_is_nowhere_in_what_a_run_leaves(rehearsal, applied, applied_again):
    """Not in the executed copies, nor in CloudTrail's files, logs and records of the stand-in."""
    stand_in = rehearsal.directory / "stand-in"
    password = (stand_in / "postgresql" / "dms.password").read_text().strip().encode()
    runs = [
        ROOT / re.search(r"executed copies: (\S+)", each.stdout)[1]
        for each in (applied, applied_again[0])
    ]
    files = [each for folder in (*runs, stand_in) for each in folder.rglob("*") if each.is_file()]
    looked_at = [each for each in files if stand_in / "postgresql" not in each.parents]
    assert any(each.suffix == ".gz" for each in looked_at)
    assert not [each for each in looked_at if password in content(each)]


def content(file: Path) -> bytes:
    return gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()


def test_every_phase_runs_under_nbval_with_its_defaults(rehearsal, applied_again):
    told = [
        "--name",
        "acme-rehearsal-erasure",
        "--secret-string",
        '{"table": "customers.passengers", "key": "1"}',
    ]
    rehearsal.administer("secretsmanager", "create-secret", *told)  # what 20_erasure plans for
    notebooks = [
        str(each.relative_to(ROOT)) for each in sorted((ROOT / "notebooks").glob("*.ipynb"))
    ]
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "--nbval-lax",
        "--noconftest",
        *notebooks,
    ]
    ended = subprocess.run(
        command,
        cwd=ROOT,
        env=rehearsal.environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=900,
    )
    assert ended.returncode == 0, ended.stdout[-4000:]


@pytest.fixture(scope="module")
def generated(rehearsal, applied, applied_again):
    """The policy that `lakebook policy` makes of a first and a second rehearsal."""
    folders = [
        re.search(r"executed copies: (\S+)", each.stdout)[1] for each in (applied, applied_again[0])
    ]
    return json.loads(rehearsal.run("policy", *folders).stdout)


@pytest.fixture(scope="module")
def nasty(tmp_path_factory, generated):
    """A rehearsal whose source is a database with every type and name that PostgreSQL allows, under
    the generated policy.
    """
    directory = tmp_path_factory.mktemp("nasty")
    with Server(directory / "postgresql") as server:
        with server.connect() as admin:
            admin.autocommit = True
            admin.execute("create database nasty")
        with server.connect("nasty") as admin:
            admin.execute((ROOT / "tests" / "nasty.sql").read_text())
        running = Rehearsal(directory, server.url(database="nasty"))
        running.allow_operator(generated)
        running.source = server
        yield running
        running.stop()
        server.remove()


def test_a_database_with_every_type_and_name_goes_the_same_way_twice_under_the_generated_policy(
    nasty,
):
    first = nasty.apply(*SPINE)
    assert first.returncode == 0, first.stdout + first.stderr
    before = nasty.changing_calls()
    second = nasty.apply(*SPINE)
    assert second.returncode == 0, second.stdout + second.stderr
    assert [each for each in nasty.changing_calls()[len(before) :] if not is_question(each)] == []


def test_known_losses_that_nobody_accepted_stop_the_run_before_anything_is_made(nasty):
    ended = nasty.apply("--to", "03", "-p", "accept_known_losses", "false")
    assert ended.returncode == 1
    assert "known losses not accepted" in ended.stdout + ended.stderr


@pytest.mark.parametrize(
    ("phase", "action", "overrides"),
    [
        ("02", "ec2:DescribeVpcs", []),
        ("03", "dms:DescribeReplicationTasks", []),
        ("04", "lakeformation:DescribeResource", []),
        ("05", "glue:GetTables", []),
        ("05", "glue:StartJobRun", ["-p", "compression", "zstd"]),
        ("06", "redshift-data:ExecuteStatement", []),
    ],
)
def test_without_any_one_action_of_the_generated_policy_the_rehearsal_is_refused(
    nasty, generated, phase, action, overrides
):
    assert any(action in each["Action"] for each in generated["Statement"])
    without = [
        {**each, "Action": [one for one in each["Action"] if one != action]}
        for each in generated["Statement"]
    ]
    nasty.allow_operator({**generated, "Statement": [each for each in without if each["Action"]]})
    ended = nasty.apply("--only", phase, *overrides)
    assert ended.returncode == 1
    assert f"not authorized to perform: {action}" in ended.stdout


@pytest.fixture(scope="module")
def changed(nasty, generated):
    """A rehearsal that its operator has brought to the end, and a source that has got a row more
    since.
    """
    nasty.allow_operator(generated)
    assert nasty.apply(*SPINE).returncode == 0
    with nasty.source.connect("nasty") as source:
        source.execute("insert into nasty.empty_one values (1, 'one')")
    return nasty


@pytest.mark.parametrize(
    ("phase", "actions"),
    [
        ("03", {"dms-secret": "secretsmanager:GetSecretValue", "dms-s3": "s3:PutObject"}),
        ("05", {"glue": "s3:PutObject", "lake": "s3:GetObject"}),
        ("06", {"redshift": "s3:GetObject"}),
    ],
)
def test_without_any_one_action_of_a_service_role_its_phase_fails_and_with_it_goes_on(
    changed, phase, actions
):
    for role, action in actions.items():
        policy = ["--role-name", f"acme-rehearsal-{role}", "--policy-name", "without"]
        denied = {
            "Version": "2012-10-17",
            "Statement": {"Effect": "Deny", "Action": action, "Resource": "*"},
        }
        changed.administer(
            "iam", "put-role-policy", *policy, "--policy-document", json.dumps(denied)
        )
        ended = changed.apply("--only", phase)
        changed.administer("iam", "delete-role-policy", *policy)
        assert ended.returncode == 1
        refused = rf"role/acme-rehearsal-{role}/\S+ is not authorized to perform: {action}"
        # DMS logs why
        assert re.search("Table error" if role == "dms-s3" else refused, ended.stdout)
    ended = changed.apply("--only", phase)
    assert ended.returncode == 0, ended.stdout
