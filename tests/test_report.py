"""The report: what it says about runs that went well, failed, or were planned, and that it needs
nothing but itself.
"""

import json
import re
from dataclasses import asdict

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook, new_output

from lakebook.evidence import RECORD
from lakebook.runner import evidence_pack, report
from lakebook.runner.run import PhaseRun, Run

CONNECTION = {
    "caller": "arn:aws:iam::123456789012:user/me",
    "account": "123456789012",
    "region": "eu-west-1",
    "endpoint": "AWS",
}
GATE = {
    "kind": "reconciliation",
    "name": "raw = source",
    "ok": True,
    "losses": 7,
    "tables": [
        {
            "table": "operations.flights",
            "expected": 1000,
            "measured": 1000,
            "status": "match",
            "detail": "",
        },
        {
            "table": "customers.notes",
            "expected": 234,
            "measured": 234,
            "status": "known loss",
            "detail": "text: cut (5 rows)",
        },
    ],
}
LOSSES = {
    "kind": "table",
    "name": "known losses",
    "rows": [
        {
            "table": "customers.notes",
            "column": "text",
            "type": "text",
            "arrives_as": "string",
            "loses": "<b>the end</b>",
            "rows_affected": 5,
        },
        {
            "table": "customers.notes",
            "column": "at",
            "type": "timestamptz",
            "arrives_as": "timestamp",
            "loses": "the zone",
            "rows_affected": 0,
        },
    ],
}
CHECK = {
    "kind": "check",
    "fact": "tables not completed",
    "expected": [],
    "measured": [],
    "ok": True,
}
CALLS = [
    {"kind": "call", "time": 1.0, "resource": "bucket raw", "action": "s3:CreateBucket"},
    {"kind": "call", "time": 2.0, "resource": "task", "action": "dms:CreateReplicationTask"},
    {"kind": "call", "time": 3.0, "resource": "task", "action": "dms:StartReplicationTask"},
]


def phase(number, name, status="succeeded", error=""):
    return PhaseRun(
        number,
        name,
        name.upper(),
        f"notebooks/{number}_{name}.ipynb",
        status,
        "2026-11-23T10:15:00Z",
        "2026-11-23T10:16:05Z",
        65.0,
        error,
        1,
    )


def a_run(folder, phases, mode="apply", status="succeeded"):
    parameters = {"environment": "rehearsal", "source_schemas": ["a", "b"]}
    return Run(
        "20261123T101500Z-" + mode,
        mode,
        "rehearsal",
        "p.yaml",
        parameters,
        CONNECTION,
        "a" * 40,
        True,
        {"boto3": "1"},
        phases,
        status,
        "2026-11-23T10:15:00Z",
        "2026-11-23T10:20:00Z",
        300.0,
        folder=folder,
    )


def copy(folder, each, records):
    outputs = [new_output("display_data", {RECORD: record}) for record in records]
    outputs.append(new_output("stream", name="stdout", text="a line that people read"))
    nbformat.write(
        new_notebook(cells=[new_code_cell("x = 1", outputs=outputs)]), folder / each.copy
    )


@pytest.fixture
def succeeded(tmp_path):
    phases = [phase("01", "connectivity"), phase("03", "dms")]
    copy(tmp_path, phases[0], [LOSSES])
    copy(tmp_path, phases[1], [CHECK, *CALLS, GATE])
    run = a_run(tmp_path, phases)
    run.save()
    evidence_pack.write_ledger(tmp_path)
    evidence_pack.seal(tmp_path)
    return run


def text_of(page):
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page.read_text()))


def test_a_run_in_which_all_held_says_so(succeeded):
    text = text_of(report.write(succeeded))
    assert (
        "Every check held 1 checks, 2 tables compared with the layer before, 1 of them with a known"
        " loss." in text
    )
    assert "5 min 00 s" in text
    assert "aaaaaaaaaaaa with uncommitted changes" in text
    assert "operations.flights 1,000 1,000 match" in text
    assert "customers.notes 234 234 known loss text: cut (5 rows)" in text
    assert "tables not completed [] [] held" in text
    assert "3 calls that change something" in text
    assert re.search(r"dms 2 .*s3 1 ", text)
    assert "source_schemas [&#34;a&#34;, &#34;b&#34;]" in text
    assert "Evidence whole" in text


def test_losses_that_affect_no_row_are_left_out_and_values_are_escaped(succeeded):
    page = report.write(succeeded).read_text()
    assert "&lt;b&gt;the end&lt;/b&gt;" in page
    assert "the zone" not in page


def test_the_pages_need_nothing_from_elsewhere_and_link_to_each_other(succeeded):
    pages = [report.write(succeeded), *succeeded.folder.glob("0*.html")]
    assert len(pages) == 3
    for page in pages:
        assert not re.search(r"<script|<link|src=|@import|url\(", page.read_text())
    links = re.findall(r'href="([^"]+)"', pages[0].read_text())
    assert set(links) == {"01_connectivity.html", "03_dms.html"}
    assert all((succeeded.folder / each).exists() for each in links)
    assert "a line that people read" in (succeeded.folder / "03_dms.html").read_text()


def test_writing_the_report_leaves_the_evidence_whole(succeeded):
    report.write(succeeded)
    assert evidence_pack.problems(succeeded.folder) == []


def test_changed_evidence_shows_in_the_report(succeeded):
    (succeeded.folder / "run.json").write_text("{}")
    assert "Evidence not whole run.json changed since it was sealed." in text_of(
        report.write(succeeded)
    )


def test_a_failed_run_names_the_phase_the_reason_and_the_mismatch(tmp_path):
    phases = [
        phase("03", "dms", "failed", "raw = source: 1 row is <missing>"),
        phase("05", "glue", "pending"),
    ]
    phases[1].started = ""
    wrong = {
        "table": "a.b",
        "expected": 2,
        "measured": 1,
        "status": "MISMATCH",
        "detail": "2 rows expected, 1 found",
    }
    copy(
        tmp_path,
        phases[0],
        [{**GATE, "ok": False, "tables": [wrong]}, {**CHECK, "measured": ["a.b"], "ok": False}],
    )
    text = text_of(report.write(a_run(tmp_path, phases, status="failed")))
    assert "Failed in phase 03 raw = source: 1 row is &lt;missing&gt;" in text
    assert "a.b 2 1 mismatch 2 rows expected, 1 found" in text
    assert "tables not completed [] [&#34;a.b&#34;] failed" in text
    assert "05 GLUE pending" in text
    assert "Every check held" not in text
    assert "everything is as declared" not in text


def test_a_plan_says_how_many_calls_are_needed_and_claims_no_comparison(tmp_path):
    phases = [phase("03", "dms")]
    rows = [
        {"resource": "a", "call": "s3:CreateBucket", "arguments": {}},
        {"resource": "b", "call": "iam:CreateRole", "arguments": {}},
    ]
    copy(tmp_path, phases[0], [{"kind": "table", "name": "plan", "rows": rows}])
    text = text_of(report.write(a_run(tmp_path, phases, mode="plan")))
    assert "Planned 2 calls are still needed; none was made." in text
    assert "Layers are compared when the phases are applied." in text
    assert "Every check held" not in text


def test_the_calls_of_an_earlier_attempt_count(succeeded):
    folder, each = succeeded.folder, succeeded.phases[1]
    (folder / each.copy).rename(folder / "03_dms.attempt-1.ipynb")
    copy(folder, each, [CHECK])
    evidence_pack.write_ledger(folder)
    actions = [
        json.loads(line)["action"] for line in (folder / "ledger.jsonl").read_text().splitlines()
    ]
    assert actions == [call["action"] for call in CALLS]
    assert report.facts(succeeded)[1].calls == actions
    assert "earlier attempt 1" in text_of(report.write(succeeded))


def test_the_summary_has_a_line_per_phase(succeeded):
    lines = [re.split(r"\s{2,}", line.strip()) for line in report.summary(succeeded).splitlines()]
    assert lines == [
        ["phase", "status", "seconds", "calls", "checks", "rows reconciled", "known losses"],
        ["01 connectivity", "succeeded", "65.0", "0", "0/0", "-", "1"],
        ["03 dms", "succeeded", "65.0", "3", "1/1", "1,234", "7"],
    ]


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.04, "0.0 s"), (59.9, "59.9 s"), (65, "1 min 05 s"), (3725, "1 h 02 min")],
)
def test_durations_read_well(seconds, words):
    assert report.duration(seconds) == words


def test_run_json_has_no_folder_of_this_machine(succeeded):
    assert str(succeeded.folder) not in (succeeded.folder / "run.json").read_text()
    assert "folder" in asdict(succeeded)
