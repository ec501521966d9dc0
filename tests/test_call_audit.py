"""The audit of a run: calls that its notebooks recorded are found in CloudTrail, and those that are
not are named.
"""

import datetime
import json
import time

import boto3
import pandas as pd
import pytest

from lakebook.audit import call_audit
from lakebook.evidence import RECORD
from lakebook.runner import evidence_pack, runs
from lakebook.runner.run import load
from lakebook.services import cloudtrail

CALLER = "arn:aws:sts::123456789012:assumed-role/acme-operator/cli"
ROLE = "arn:aws:iam::123456789012:role/people/acme-operator"


def event(service, name, minutes=0, error="", changing=True, role=ROLE, request="", by=""):
    moment = pd.Timestamp("2026-11-23T05:00:00Z") + pd.Timedelta(minutes=minutes)
    who = cloudtrail.who({"sessionContext": {"sessionIssuer": {"arn": role}}})
    identity = f"{service}{name}{minutes}{error}"
    fields = {
        "time": moment,
        "service": service,
        "event": name,
        "who": who,
        "error": error,
        "message": "No.",
        "id": identity,
    }
    record = {"requestID": request, "userIdentity": {"invokedBy": by} if by else {}}
    return fields | {"changing": changing, "record": record}


def call(phase, action, request=""):
    return {
        "request": request,
        "time": pd.Timestamp("2026-11-23T05:00:00Z"),
        "phase": phase,
        "resource": "r",
        "action": action,
    }


SEEN = pd.DataFrame(
    [
        event("glue", "CreateTable"),
        event("glue", "CreateTable", 1),
        event("s3", "PutBucketPublicAccessBlock", 2),
        event("glue", "DeleteTable", 3, error="AccessDeniedException"),
        event("iam", "CreateRole", 4, role="arn:aws:iam::123456789012:role/somebody-else"),
        event("glue", "GetTable", 5, changing=False),
    ]
)


@pytest.mark.parametrize(
    ("made", "missing"),
    [
        ([], []),
        ([call("05", "glue:CreateTable"), call("05", "glue:CreateTable")], []),
        ([call("02", "s3:PutPublicAccessBlock")], []),
        ([call("05", "glue:CreateTable")] * 3, ["glue:CreateTable"]),
        (
            [call("04", "glue:CreateTable"), *[call("05", "glue:CreateTable")] * 2],
            ["glue:CreateTable"],
        ),
        ([call("05", "glue:DeleteTable")], ["glue:DeleteTable"]),
        ([call("02", "iam:CreateRole")], ["iam:CreateRole"]),
    ],
    ids=[
        "nothing made",
        "both found",
        "another name",
        "one too few",
        "one for two phases",
        "only refused",
        "by another",
    ],
)
def test_a_call_needs_a_successful_event_of_the_runs_own_role(made, missing):
    frame = pd.DataFrame(made, columns=["time", "phase", "resource", "action", "request"])
    assert call_audit.missing(call_audit.found(frame, SEEN, CALLER)) == missing


def test_an_event_of_another_request_is_no_proof_of_a_call():
    seen = pd.DataFrame(
        [event("s3", "PutObject", n, request=each) for n, each in enumerate(("other", "mine"))]
    )
    for request, found in (("mine", []), ("lost", ["s3:PutObject"]), ("", [])):
        frame = pd.DataFrame([call("05", "s3:PutObject", request)])
        assert call_audit.missing(call_audit.found(frame, seen, CALLER)) == found
    swapped = pd.DataFrame([call("05", "s3:DeleteObject", "mine")])
    assert call_audit.missing(call_audit.found(swapped, seen, CALLER)) == ["s3:DeleteObject"]


def test_what_came_before_the_trail_is_not_awaited_in_its_files():
    frame = pd.DataFrame([call("02", "iam:CreateRole", each) for each in ("first", "then", "")])
    before = pd.DataFrame([event("iam", "CreateRole", request="first")])
    assert call_audit.later(frame, before) == {"then"}


def test_a_change_by_the_runs_role_that_no_notebook_made_is_named():
    seen = pd.DataFrame(
        [
            event("iam", "PutRolePolicy", request="mine"),
            event("iam", "PutRolePolicy", 1, request="by hand"),
            event("s3", "PutObject", 2, request="of Athena", by="athena.amazonaws.com"),
            event("iam", "PutRolePolicy", 3, request="x", role=ROLE + "-2"),
            event("iam", "PutRolePolicy", 4, request="refused", error="AccessDenied"),
        ]
    )
    named = ["2026-11-23T05:01:00Z iam:PutRolePolicy"]
    for again, left in ((0, named), (1, [])):  # the answer to a first try may have been lost
        recorded = [("iam:PutRolePolicy", "mine", again)]
        assert call_audit.unrecorded(seen, recorded, CALLER) == left


def test_refused_calls_and_who_did_what_are_told_apart():
    assert list(call_audit.refused(SEEN)["event"]) == ["DeleteTable"]
    did = call_audit.who_did_what(SEEN)
    assert did.loc[did["event"] == "CreateTable", ["who", "count"]].to_numpy().tolist() == [
        ["role/people/acme-operator", 2]
    ]
    assert not did["event"].isin(["GetTable", "DeleteTable"]).any()


def test_each_phase_has_the_events_that_prove_it():
    proof = call_audit.proof(SEEN).set_index("event")
    assert proof.loc["glue:CreateTable", ["phase", "count"]].tolist() == ["05", 2]
    assert proof.loc["dms:StartReplicationTask", "count"] == 0


def test_a_proof_can_ask_for_its_maker():
    dms = event("s3", "PutObject", role="arn:aws:iam::123456789012:role/acme-dms-s3")
    proof = call_audit.proof(pd.DataFrame([dms, event("s3", "PutObject", 1)])).set_index("event")
    assert proof.loc["s3:PutObject by dms-s3", "count"] == 1


def test_an_audit_alone_is_not_the_run_that_is_audited(run):
    run("glue:CreateDatabase")
    before = call_audit.window("rehearsal")
    alone = runs.new("apply", "file.yaml", {}, "rehearsal", {"caller": "somebody"}, [])
    alone.save()
    (alone.folder / "09_audit.ipynb").write_text("{}")
    assert call_audit.window("rehearsal").folder == before.folder


def test_the_audit_of_a_run_is_of_that_run_whichever_began_last(run, monkeypatch):
    run("glue:CreateDatabase")
    before = call_audit.window("rehearsal")
    other = runs.new("apply", "file.yaml", {}, "rehearsal", {"caller": "somebody"}, [])
    other.save()
    (other.folder / "05_glue.ipynb").write_text("{}")
    assert call_audit.window("rehearsal").folder.name == other.id
    monkeypatch.setenv("LAKEBOOK_RUN", before.folder.name)
    assert call_audit.window("rehearsal").folder == before.folder


def test_the_plot_has_a_bar_for_every_moment():
    axes = call_audit.plot(SEEN).axes[0]
    assert len(axes.patches) == 3 * (5 * 60 // 10 + 1)
    assert call_audit.plot(SEEN.head(0)) is None


@pytest.fixture
def run(tmp_path, monkeypatch, stand_in):
    """A run that has begun, in a project of its own; the function runs what is given as its phase
    05.
    """
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "notebooks" / "05_glue.ipynb").write_text(json.dumps({"cells": []}))
    monkeypatch.chdir(tmp_path)
    caller = boto3.client("sts").get_caller_identity()["Arn"]
    made = runs.new("apply", "file.yaml", {}, "rehearsal", {"caller": caller}, [])
    made.started = evidence_pack.utc(time.time())
    made.save()

    def record(*actions):
        calls = [
            {"kind": "call", "time": time.time(), "resource": "r", "action": each}
            for each in actions
        ]
        outputs = [{"output_type": "display_data", "data": {RECORD: each}} for each in calls]
        (made.folder / "05_glue.ipynb").write_text(json.dumps({"cells": [{"outputs": outputs}]}))

    return record


def test_what_a_run_made_is_found_in_the_accounts_history(run):
    boto3.client("glue").create_database(DatabaseInput={"Name": f"audited{time.time_ns()}"})
    run("glue:CreateDatabase", "glue:DeleteDatabase")
    window = call_audit.window("rehearsal")
    files = call_audit.log_files("acme-absent-trail", window, ["eu-west-1"])
    made, seen = (
        call_audit.made(window),
        call_audit.events(files, call_audit.earlier(files, waited=False)),
    )
    matched = call_audit.found(made, seen, window.caller)
    assert matched[["phase", "action", "made"]].to_numpy().tolist() == [
        ["05", "glue:CreateDatabase", 1],
        ["05", "glue:DeleteDatabase", 1],
    ]
    assert call_audit.missing(matched) == ["glue:DeleteDatabase"]


def test_every_answer_has_the_request_id_of_its_event(aws, run):
    since = datetime.datetime.now(datetime.UTC).replace(microsecond=0)
    name = f"asked-{time.time_ns()}"
    where = {"LocationConstraint": "eu-west-1"}
    trust = {"Version": "2012-10-17", "Statement": []}
    answers = {
        "CreateBucket": aws("s3").create_bucket(Bucket=name, CreateBucketConfiguration=where),
        "CreateDatabase": aws("glue").create_database(DatabaseInput={"Name": name}),
        "CreateRole": aws("iam").create_role(
            RoleName=name, AssumeRolePolicyDocument=json.dumps(trust)
        ),
        "CreateVpc": aws("ec2").create_vpc(CidrBlock="10.9.0.0/16"),
        "CreateTopic": aws("sns").create_topic(Name=name),
        "CreateCluster": aws("redshift").create_cluster_subnet_group(
            ClusterSubnetGroupName=name,
            Description="x",
            SubnetIds=[aws("ec2").describe_subnets()["Subnets"][0]["SubnetId"]],
        ),
    }
    seen = cloudtrail.history(
        since, datetime.datetime.now(datetime.UTC), ["eu-west-1", "us-east-1"]
    )
    known = {each["requestID"] for each in seen["record"]}
    ids = {name: each["ResponseMetadata"]["RequestId"] for name, each in answers.items()}
    assert {name for name, each in ids.items() if each not in known} == set()


def test_an_audit_looks_until_the_end_of_its_run_and_no_further(run):
    run("glue:CreateDatabase")
    folder = call_audit.window("rehearsal").folder
    made = load(folder)
    made.ended, made.status = "2001-01-01T00:00:00.000Z", "succeeded"
    made.started = "2000-12-31T23:00:00.000Z"
    made.save()
    window = call_audit.window("rehearsal")
    assert (window.until - window.since) == datetime.timedelta(hours=1)


def test_without_a_run_there_is_nothing_to_audit(tmp_path, monkeypatch):
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "notebooks" / "05_glue.ipynb").touch()
    monkeypatch.chdir(tmp_path)
    window = call_audit.window("rehearsal", "2026-11-23T05:00:00")
    assert (window.folder, window.since.tzinfo) == (None, datetime.UTC)
    assert call_audit.made(window).empty


def test_a_time_in_which_nothing_happened_has_empty_tables_and_no_picture(aws):
    long_ago = datetime.datetime(2001, 1, 1, tzinfo=datetime.UTC)
    seen = cloudtrail.history(long_ago, long_ago + datetime.timedelta(hours=1), ["eu-west-1"])
    assert set(call_audit.proof(seen)["count"]) == {0}
    assert (
        len(call_audit.who_did_what(seen)),
        len(call_audit.refused(seen)),
        call_audit.plot(seen),
    ) == (0, 0, None)
