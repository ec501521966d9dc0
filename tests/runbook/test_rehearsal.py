"""The whole path as a user goes it: plan, apply, apply again, one notebook alone; on the demo, and
on a database with nasty types.
"""

import gzip
import json
import re
import subprocess

import pytest
from botocore.exceptions import ClientError
from rehearsal import BIN, FILE, NAMES, ROOT, Rehearsal

from lakebook import LakebookError, ensure
from lakebook.layers import curation, lake
from lakebook.services import athena, dms
from local_aws.engines.postgresql import Server

NASTY = {
    "source_schemas": "[nasty, 'Sché\"ma']",
    "partition_by": "{}",
    "warehouse_keys": "{}",
    "classification_file": "tests/nasty_classification.yaml",
}
SPINE = ("--only", "01,02,03,04,05,06")  # dashboards and models are the demo's


def test_a_plan_on_an_empty_stand_in_lists_calls_and_makes_none(rehearsal):
    assert rehearsal.planned.returncode == 0, rehearsal.planned.text
    assert rehearsal.planned.changing_calls == []


def test_every_phase_applies_and_every_layer_agrees(rehearsal):
    assert rehearsal.applied.returncode == 0, rehearsal.applied.text


def test_a_second_apply_makes_no_changing_call(rehearsal):
    assert rehearsal.applied_again.returncode == 0, rehearsal.applied_again.text
    assert rehearsal.applied_again.changing_calls == []


def test_one_notebook_runs_alone_with_plain_papermill(lake, tmp_path):
    notebook, told = ("notebooks/05_glue.ipynb", tmp_path / "out.ipynb"), ("-p", "apply", "True")
    command = [BIN / "papermill", *notebook, "-f", FILE, *told]
    subprocess.run(
        command, cwd=ROOT, env=lake.environment, check=True, capture_output=True, timeout=300
    )


def test_the_password_is_nowhere_in_what_a_run_leaves(lake):
    """Not in the executed copies, nor in CloudTrail's files, logs and records of the stand-in."""
    password = (lake.data / "postgresql" / "dms.password").read_text().strip().encode()
    folders = (lake.applied.folder, lake.applied_again.folder, lake.data)
    files = [each for folder in folders for each in folder.rglob("*") if each.is_file()]
    looked_at = [each for each in files if lake.data / "postgresql" not in each.parents]
    assert any(each.suffix == ".gz" for each in looked_at)
    assert not [each for each in looked_at if password in content(each)]


def content(file):
    return gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()


def test_every_notebook_runs_with_its_own_defaults(lake, tmp_path):
    """Also the map and the erasure, which no run takes of itself."""
    lake.ask_erasure(1)
    defaults = tmp_path / "defaults.yaml"
    defaults.write_text("environment: rehearsal\n")
    phases = sorted(each.name[:2] for each in (ROOT / "notebooks").glob("*.ipynb"))
    ended = lake.run("plan", str(defaults), "--only", ",".join(phases))
    assert ended.returncode == 0, ended.text
    assert ended.changing_calls == []


@pytest.fixture(scope="module")
def generated(lake):
    """The policy that `lakebook policy` makes of a first and a second rehearsal."""
    folders = (lake.applied.folder, lake.applied_again.folder)
    return json.loads(lake.run("policy", *map(str, folders)).stdout)


@pytest.fixture(scope="module")
def nasty(tmp_path_factory, generated):
    """A rehearsal of a database with every type and name that PostgreSQL allows, twice, under the
    generated policy.
    """
    directory = tmp_path_factory.mktemp("nasty")
    policy = directory / "policy.json"
    policy.write_text(json.dumps(generated))
    parameters = {**NASTY, "operator_policy": str(policy)}
    with Server(directory / "postgresql") as server:
        with server.connect() as admin:
            admin.autocommit = True
            admin.execute("create database nasty")
        with server.connect("nasty") as admin:
            admin.execute((ROOT / "tests" / "nasty.sql").read_text())
        with Rehearsal(directory, server.url(database="nasty"), parameters) as running:
            running.policy, running.source = policy, server
            running.first, running.second = running.apply(*SPINE), running.apply(*SPINE)
            yield running
        server.remove()


def test_a_database_with_every_type_and_name_goes_the_same_way_twice_under_the_generated_policy(
    nasty,
):
    assert nasty.first.returncode == 0, nasty.first.text
    assert nasty.second.returncode == 0, nasty.second.text
    assert nasty.second.changing_calls == []


def test_known_losses_that_nobody_accepted_stop_the_run_before_anything_is_made(nasty):
    ended = nasty.apply("--to", "03", "-p", "accept_known_losses", "false")
    assert ended.returncode == 1
    assert "known losses not accepted" in ended.text
    assert ended.changing_calls == []


@pytest.fixture
def without(nasty, generated):
    """Takes one action from the operator's policy until the test's end."""

    def take(action):
        assert any(action in each["Action"] for each in generated["Statement"])
        rest = [
            {**each, "Action": [one for one in each["Action"] if one != action]}
            for each in generated["Statement"]
        ]
        left = [each for each in rest if each["Action"]]
        nasty.allow_operator({**generated, "Statement": left}, nasty.policy)

    yield take
    nasty.allow_operator(generated, nasty.policy)


@pytest.mark.parametrize(
    ("phase", "action"),
    [
        ("02", "ec2:DescribeVpcs"),
        ("03", "dms:DescribeReplicationTasks"),
        ("04", "lakeformation:DescribeResource"),
        ("05", "glue:GetTables"),
        ("06", "redshift-data:ExecuteStatement"),
    ],
)
def test_without_any_one_action_of_the_generated_policy_the_rehearsal_is_refused(
    nasty, without, phase, action
):
    without(action)
    ended = nasty.apply("--only", phase)
    assert ended.returncode == 1
    assert f"not authorized to perform: {action}" in ended.stdout


def test_without_the_right_to_start_a_job_no_table_is_converted_in_another_way(nasty, without):
    without("glue:StartJobRun")
    with nasty.acting("operator"):
        due = curation.conversions(NAMES, lake.raw_tables(NAMES), {}, "zstd")
        convert = curation.converted(
            NAMES.resource("curation"), NAMES, due, "zstd", timeout_seconds=60
        )
        with pytest.raises(ClientError, match="not authorized to perform: glue:StartJobRun"):
            ensure([convert], apply=True)


def refused(role, action):
    return rf"role/{NAMES.resource(role)}/\S+ is not authorized to perform: {action}"


def test_without_any_one_action_of_a_service_role_its_phase_fails_and_with_it_goes_on(nasty):
    """After the source has got a row more, which goes the whole way in the end."""
    with nasty.source.connect("nasty") as source:
        source.execute(
            "insert into nasty.empty_one select count(*) + 1, 'one' from nasty.empty_one"
        )
    secret = ("dms-secret", "secretsmanager:GetSecretValue")
    with nasty.denied(*secret), nasty.acting("operator"):
        load = dms.full_load(NAMES.resource("full-load"), verified=False, timeout_seconds=60)
        with pytest.raises(LakebookError, match=refused(*secret)):
            ensure([load], apply=True)
    denials = [
        ("03", "dms-s3", "s3:PutObject", "Table error"),  # DMS logs why
        ("05", "glue", "s3:PutObject", refused("glue", "s3:PutObject")),
        ("06", "redshift", "s3:GetObject", refused("redshift", "s3:GetObject")),
    ]
    go_on = ("apply", FILE, *nasty.parameters, "--only", "03,05,06")
    for phase, role, action, why in denials:
        with nasty.denied(role, action):
            ended = nasty.run(*go_on)
        assert ended.returncode == 1
        assert f"{phase} failed: " in ended.stdout, ended.text
        assert re.search(why, ended.stdout), ended.text
        go_on = ("resume", str(ended.folder))
    ended = nasty.run(*go_on)
    assert ended.returncode == 0, ended.text


def test_without_its_files_the_lake_answers_nothing(nasty):
    with nasty.acting("operator"), nasty.denied("lake", "s3:GetObject"):
        sql = 'SELECT count(*) FROM "nasty_everything"'
        with pytest.raises(LakebookError, match=refused("lake", "s3:GetObject")):
            athena.answer(sql, NAMES.database("curated"), NAMES.resource("lakebook"))
