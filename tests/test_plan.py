"""`lakebook plan` in an account in which nothing exists: every phase lists its calls to the end."""

import json
import os
import urllib.request

import boto3
import foundation
import nbformat
import pytest
import yaml
from botocore.exceptions import ClientError
from nbformat.v4 import new_code_cell, new_notebook, new_output

import notebooks
from lakebook import LakebookError, calls, ensure, evidence
from lakebook.layers import dashboards
from lakebook.people import personas
from lakebook.project import project
from lakebook.runner import plan_permissions
from lakebook.runner.run import PhaseRun, Run
from lakebook.services import quicksight
from local_aws.engines.postgresql import Server

PHASES = ("02", "03", "04", "05", "06", "07", "08", "09", "10")  # 01 is all questions
ABSENT = {
    "classification_file": "",
    "dashboard_file": "",
    "reporting_file": "",
    "model_files": [],
    "studio_users": [],
}


@pytest.fixture(scope="module", autouse=True)
def account(stand_in, tmp_path_factory):
    """The stand-in with a source, and without a subscription to QuickSight."""
    server = Server(tmp_path_factory.mktemp("postgresql"))
    server.start()
    with server.connect() as admin:
        for schema in ("customers", "operations"):
            admin.execute(f"create schema {schema}")
            admin.execute(f"create table {schema}.things (id int primary key, at timestamp)")
    secret = json.dumps(server.source("postgres", "postgres").to_secret())
    boto3.client("secretsmanager").create_secret(Name="acme-rehearsal-source", SecretString=secret)
    scenario(start="quicksight-not-subscribed")
    yield
    server.remove()


def scenario(**told):
    """What the stand-in's command `scenario` asks."""
    address = f"{os.environ['AWS_ENDPOINT_URL']}/_local_aws/scenarios"
    with urllib.request.urlopen(address, json.dumps(told).encode(), timeout=60) as answer:
        return json.load(answer)


@pytest.fixture(scope="module")
def rehearsal():
    return yaml.safe_load((project() / "parameters" / "rehearsal.yaml").read_text())


@pytest.fixture
def planned(monkeypatch):
    """The actions that `plan` listed, by its phase."""
    found = []
    monkeypatch.setattr(
        evidence, "record", lambda kind, **told: found.append(told) if kind == "table" else None
    )

    def actions():
        return [row["call"] for each in found if each["name"] == "plan" for row in each["rows"]]

    actions.data = lambda: {
        evidence.RECORD: {
            "kind": "table",
            "name": "plan",
            "rows": [row for each in found if each["name"] == "plan" for row in each["rows"]],
        }
    }
    return actions


@pytest.mark.parametrize("phase", PHASES)
def test_a_phase_is_planned_to_its_end_where_nothing_exists(phase, rehearsal, planned):
    notebooks.run(phase, **rehearsal)
    assert bool(planned()) == (phase not in ("09", "10"))


@pytest.mark.parametrize("phase", PHASES)
def test_and_without_classification_dashboard_reports_models_and_people(phase, rehearsal, planned):
    notebooks.run(phase, **{**rehearsal, **ABSENT})
    assert [each for each in planned() if each.startswith(("quicksight", "sagemaker"))] == []


def test_what_is_planned_of_a_dashboard_is_what_an_account_without_quicksight_lacks(
    rehearsal, planned
):
    notebooks.run("07", **rehearsal)
    assert {"CreateGroup", "RegisterUser", "CreateDataSource", "CreateDataSet"} <= {
        each.partition(":")[2] for each in planned()
    }
    assert "quicksight:CreateDashboard" in planned()


@pytest.mark.parametrize(
    ("broken", "sentence"),
    [
        ("quicksight-unsubscribed", "has no QuickSight subscription"),
        ("quicksight-identity-center", "IAM Identity Center here: name two of its groups"),
    ],
)
def test_a_subscription_that_will_not_do_stops_an_applied_07_in_one_sentence(
    broken, sentence, rehearsal
):
    scenario(clear=True)
    scenario(start=broken)
    try:
        with pytest.raises(LakebookError, match=sentence):
            notebooks.run("07", **{**rehearsal, "apply": True})
    finally:
        scenario(clear=True)
        scenario(start="quicksight-not-subscribed")


def test_groups_of_identity_center_are_taken_as_they_are():
    scenario(clear=True)
    scenario(start="quicksight-identity-center")
    try:
        account = quicksight.Account(foundation.names("rehearsal"), foundation.REGION)
        assert account.is_ready(makes_people=False)
        board = dashboards.load("dashboards/airline.yaml", account)
        declared = board.resources({}, {}, "lakebook", "Authors", "Readers")
        assert {"quicksight:CreateGroup", "quicksight:RegisterUser"}.isdisjoint(
            call.action for _, call in calls(declared)
        )
        granted = str([call.arguments for _, call in calls(declared)])
        assert "group/default/Authors" in granted
        assert "group/default/Readers" in granted
    finally:
        scenario(clear=True)
        scenario(start="quicksight-not-subscribed")


def test_the_operator_may_make_every_call_of_the_plan_and_a_right_less_is_named(
    rehearsal, planned, tmp_path
):
    names = foundation.names("rehearsal")
    for phase in PHASES:
        notebooks.run(phase, **rehearsal)
    copy = new_notebook(
        cells=[new_code_cell(outputs=[new_output("display_data", data=planned.data())])]
    )
    nbformat.write(copy, tmp_path / "02_foundation.ipynb")
    operator = f"arn:aws:sts::{names.account}:assumed-role/{names.resource(personas.OPERATOR)}/me"
    phase = PhaseRun("02", "foundation", "", "notebooks/02_foundation.ipynb")
    run = Run(
        "a-plan", "plan", "rehearsal", "p.yaml", {}, {"caller": operator}, "", None, {}, [phase]
    )
    run.folder = tmp_path
    ensure(foundation.bootstrap(names), apply=True)
    assert plan_permissions.missing(run, names) == []
    denied = {"Effect": "Deny", "Action": "glue:CreateDatabase", "Resource": "*"}
    boto3.client("iam").put_role_policy(
        RoleName=names.resource(personas.OPERATOR),
        PolicyName="denied",
        PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [denied]}),
    )
    assert {each.split()[0] for each in plan_permissions.missing(run, names)} == {
        "glue:CreateDatabase"
    }


def test_people_of_quicksight_are_where_the_account_subscribed():
    scenario(clear=True)
    here = quicksight.Account(foundation.names("rehearsal"), foundation.REGION)
    ensure([quicksight.group("elsewhere", here, "of the subscription before")], apply=True)
    scenario(start="quicksight-elsewhere")
    try:
        account = quicksight.Account(foundation.names("rehearsal"), "us-east-1")
        readers = quicksight.group("elsewhere", account, "who reads")
        assert calls([readers])
        ensure([readers], apply=True)
        assert calls([readers]) == []
        described = quicksight.people(account).describe_group(
            AwsAccountId=foundation.ACCOUNT, Namespace="default", GroupName="elsewhere"
        )["Group"]
        assert described["Arn"] == account.arn("group/default", "elsewhere")
        wrong = quicksight.Account(foundation.names("rehearsal"), foundation.REGION)
        with pytest.raises(ClientError, match="your identity region is us-east-1"):
            calls([quicksight.group("elsewhere", wrong, "who reads")])
    finally:
        scenario(clear=True)
        scenario(start="quicksight-not-subscribed")
