"""The command: runs of small notebooks through papermill, their evidence, and what happens when
something stops them.
"""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook
from until import until

import lakebook.project
from lakebook.__main__ import main
from lakebook.runner import evidence_pack, phases, preflight, runs
from lakebook.runner.run import find, load

ACCOUNT = "123456789012"
DECLARED = f"""environment: str = "rehearsal"  # the environment
account: str = "{ACCOUNT}"  # the account
region: str = "eu-west-1"  # the Region
wanted: int = 1  # what the check expects
apply: bool = False  # False lists the calls and makes none
"""
CALL = """
from lakebook import ensure, plan
from lakebook.services import s3
bucket = [s3.bucket("command-" + environment, region)]
plan(bucket)
"""


def write(folder, name, *cells, declared=DECLARED):
    tagged = new_code_cell(declared)
    tagged.metadata.tags = ["parameters"]
    number, _, words = name.partition("_")
    title = new_markdown_cell(f"# {int(number)} {words.title()}: a phase of the tests\n\nIn words.")
    book = new_notebook(cells=[title, tagged, *map(new_code_cell, cells)])
    book.metadata.kernelspec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(book, folder / "notebooks" / f"{name}.ipynb")


@pytest.fixture
def project(tmp_path, monkeypatch, stand_in):
    """A folder with notebooks, as the current one; nothing in it has run."""
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "p.yaml").write_text(f'environment: rehearsal\naccount: "{ACCOUNT}"\n')
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def two_phases(project):
    """The first holds; the second measures what the file `measured` says."""
    write(project, "00_start_here", "raise SystemExit('never part of a run')")
    write(project, "01_first", "from lakebook import check\ncheck('one', 1, lambda: 1)")
    measure = "int(open('measured').read())"
    write(
        project,
        "02_second",
        f"from lakebook import check\ncheck('number', wanted, lambda: {measure})",
        "print('end')",
    )
    write(project, "90_teardown", "raise SystemExit('never part of a run')")
    (project / "measured").write_text("2")
    return project


def latest():
    return load(find("latest"))


def test_apply_makes_the_calls_and_plan_only_lists_them(project, capsys):
    write(project, "01_bucket", CALL, "ensure(bucket, apply=apply)")
    assert main(["plan", "p.yaml", "-p", "environment", "listed"]) == 0
    planned = latest()
    kinds = [each["kind"] for each in evidence_pack.records(planned.folder / "01_bucket.ipynb")]
    assert "call" not in kinds
    assert planned.folder.match("outputs/listed/*-plan")
    assert (planned.folder / "ledger.jsonl").read_text() == ""
    capsys.readouterr()
    assert main(["apply", "p.yaml", "-p", "environment", "listed"]) == 0
    ledger = [
        json.loads(line) for line in (latest().folder / "ledger.jsonl").read_text().splitlines()
    ]
    assert ledger[0]["action"] == "s3:CreateBucket"
    assert {each["phase"] for each in ledger} == {"01"}
    out = capsys.readouterr().out
    assert "01 Bucket: a phase of the tests" in out
    assert "   01  s3:CreateBucket  bucket command-listed" in out
    assert main(["apply", "p.yaml", "-p", "environment", "listed"]) == 0
    assert (latest().folder / "ledger.jsonl").read_text() == ""  # a second run has nothing to do


def test_a_plan_says_which_of_its_calls_the_caller_may_not_make_and_asks_for_no_other(
    project, aws, monkeypatch, capsys
):
    write(project, "01_bucket", CALL)
    assert main(["plan", "p.yaml", "-p", "environment", "unmade"]) == 0
    assert "the caller may make every call of this plan" in capsys.readouterr().out
    trust = {"Effect": "Allow", "Principal": {"AWS": ACCOUNT}, "Action": "sts:AssumeRole"}
    looks = {"Effect": "Allow", "Action": ["s3:Get*", "s3:List*", "iam:*"], "Resource": "*"}
    documents = [
        json.dumps({"Version": "2012-10-17", "Statement": [each]}) for each in (trust, looks)
    ]
    role = aws("iam").create_role(RoleName="looks", AssumeRolePolicyDocument=documents[0])["Role"]
    aws("iam").put_role_policy(RoleName="looks", PolicyName="looks", PolicyDocument=documents[1])
    taken = aws("sts").assume_role(RoleArn=role["Arn"], RoleSessionName="me")["Credentials"]
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", taken["AccessKeyId"])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", taken["SecretAccessKey"])
    monkeypatch.setenv("AWS_SESSION_TOKEN", taken["SessionToken"])
    monkeypatch.setattr("boto3.DEFAULT_SESSION", None)
    assert main(["plan", "p.yaml", "-p", "environment", "unmade"]) == 0
    told = [each for each in capsys.readouterr().out.splitlines() if each.startswith("- ")]
    assert told[0] == "- s3:CreateBucket on arn:aws:s3:::command-unmade: implicitDeny"
    assert {each.partition(" on ")[2] for each in told} == {
        "arn:aws:s3:::command-unmade: implicitDeny"
    }
    assert "- s3:PutObject" not in "".join(told)


def test_a_run_keeps_what_an_auditor_asks_for(two_phases):
    assert main(["apply", "p.yaml", "-p", "wanted", "2"]) == 0
    run = json.loads((latest().folder / "run.json").read_text())
    assert [(each["number"], each["status"]) for each in run["phases"]] == [
        ("01", "succeeded"),
        ("02", "succeeded"),
    ]
    assert run["status"] == "succeeded"
    assert run["parameters"] == {"environment": "rehearsal", "account": ACCOUNT, "wanted": 2}
    assert run["parameters_file"] == "p.yaml"
    assert run["connection"]["endpoint"] == os.environ["AWS_ENDPOINT_URL"]
    assert run["connection"]["caller"].startswith("arn:aws:")
    assert {"python", "boto3", "lakebook", "papermill"} <= run["versions"].keys()
    assert run["started"] < run["ended"]
    evidence = "".join(each.read_text() for each in latest().folder.iterdir())
    assert str(two_phases) not in evidence  # nobody's home folder


def test_a_check_that_does_not_hold_stops_the_run_with_its_own_sentence(two_phases, capsys):
    write(two_phases, "03_third", "print('never')")
    assert main(["apply", "p.yaml"]) == 1
    captured = capsys.readouterr()
    assert "02 failed: number: expected 1, found 2" in captured.out
    assert "Traceback" not in captured.out + captured.err
    assert [each.status for each in latest().phases] == ["succeeded", "failed", "pending"]
    assert not (latest().folder / "03_third.ipynb").exists()
    assert main(["verify", "latest"]) == 0


def test_resume_goes_on_at_the_phase_that_failed_and_keeps_the_failed_copy(two_phases, capsys):
    assert main(["apply", "p.yaml"]) == 1
    folder = latest().folder
    first = (folder / "01_first.ipynb").read_bytes()
    (two_phases / "measured").write_text("1")
    assert main(["resume", "latest"]) == 0
    assert latest().folder == folder
    assert (folder / "01_first.ipynb").read_bytes() == first
    assert "CheckError" in (folder / "02_second.attempt-1.ipynb").read_text()
    assert "CheckError" not in (folder / "02_second.ipynb").read_text()
    assert [each.attempts for each in latest().phases] == [1, 2]
    assert main(["verify", str(folder)]) == 0
    capsys.readouterr()
    assert main(["resume", "latest"]) == 0
    assert "nothing to resume" in capsys.readouterr().out


def test_a_run_whose_evidence_was_changed_cannot_be_resumed(two_phases, capsys):
    assert main(["apply", "p.yaml"]) == 1
    with (latest().folder / "01_first.ipynb").open("a") as file:
        file.write(" ")
    assert main(["resume", "latest"]) == 2
    assert "01_first.ipynb changed" in capsys.readouterr().err


def test_only_from_and_to_choose_the_phases(two_phases, capsys):
    every = phases.every(two_phases)
    for (only, first, last), numbers in (
        (("1,02", None, None), ["01", "02"]),
        ((None, None, None), ["01", "02"]),
        (("2", None, None), ["02"]),
        ((None, "02", None), ["02"]),
        ((None, None, "01"), ["01"]),
        (("90", None, None), ["90"]),  # the teardown runs when asked for
    ):
        assert [each.number for each in phases.chosen(every, only, first, last)] == numbers
    assert main(["apply", "p.yaml", "--only", "07"]) == 2
    assert "There is no phase 07; there are 00, 01, 02, 90." in capsys.readouterr().err
    assert main(["apply", "p.yaml", "--only", "01", "--from", "02"]) == 2
    assert main(["apply", "p.yaml", "--only", "01"]) == 0
    assert [each.name for each in latest().phases] == ["first"]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["-p", "accountt", ACCOUNT], "did you mean account?"),
        (
            ["-p", "account", "999999999999"],
            "belong to account 123456789012 but the parameters name 999999999999",
        ),
        (["-p", "region", "us-east-1"], "the parameters name us-east-1"),
        (["-p", "environment", "../elsewhere"], "will not do"),
    ],
)
def test_what_cannot_start_is_told_in_one_sentence_and_writes_nothing(
    two_phases, capsys, arguments, sentence
):
    assert main(["apply", "p.yaml", *arguments]) == 2
    captured = capsys.readouterr()
    assert sentence in captured.err
    assert captured.err.count("\n") == 1
    assert not (two_phases / "outputs").exists()


def test_an_endpoint_where_nothing_answers_is_named(monkeypatch, stand_in):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(
        preflight.PreflightError,
        match=r"Nothing answers at http://127.0.0.1:9 .*`python -m local_aws`",
    ):
        preflight.caller(ACCOUNT, "eu-west-1")


def test_missing_credentials_are_told_as_such(monkeypatch, stand_in):
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
    with pytest.raises(preflight.PreflightError, match="no AWS credentials"):
        preflight.caller(ACCOUNT, "eu-west-1")


def test_a_missing_profile_is_told_as_such(monkeypatch, stand_in):
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    with pytest.raises(preflight.PreflightError, match="nobody"):
        preflight.caller(ACCOUNT, "eu-west-1")


@pytest.mark.parametrize(
    ("cell", "sentence"),
    [
        (
            "import boto3\nboto3.client('iam').get_role(RoleName='nobody')",
            "AWS answered GetRole with NoSuchEntity: ",
        ),
        ("import os\nos._exit(1)", "kernel died"),
        ("import sys\nsys.exit(0)", "ended itself early"),
        (
            (
                "from lakebook import check\nfrom contextlib import suppress\nwith"
                " suppress(Exception): check('swallowed', 1, lambda: 2)"
            ),
            "These checks did not hold, though the notebook went on: swallowed.",
        ),
    ],
)
def test_each_way_to_fail_is_one_sentence_and_never_a_success(project, capsys, cell, sentence):
    write(project, "01_fails", cell, "print('after')")
    assert main(["apply", "p.yaml"]) == 1
    assert sentence in latest().phases[0].error
    captured = capsys.readouterr()
    assert "Traceback" not in captured.out + captured.err


@pytest.mark.parametrize(
    ("name", "message", "sentence"),
    [
        (
            "LakebookError",
            "As it was written, and what to do.",
            "As it was written, and what to do.",
        ),
        ("KeyError", "'missing'", "KeyError: 'missing'."),
        ("ValueError", "", "ValueError: no message."),
        ("ValueError", "first\nsecond", "ValueError: first."),
        (
            "ClientError",
            (
                "An error occurred (AccessDenied) when calling the CreateRole operation (reached"
                " max retries: 4): not you."
            ),
            "AWS answered CreateRole with AccessDenied: not you.",
        ),
    ],
)
def test_an_exception_becomes_one_sentence(name, message, sentence):
    assert runs.sentence(name, message) == sentence


def test_a_phase_gets_only_the_parameters_it_declares(project):
    write(
        project,
        "01_few",
        "print(sorted(each for each in globals() if each in ('wanted', 'account')))",
        declared='account: str = "1"  # a',
    )
    write(project, "02_more", "print(wanted)")
    assert main(["apply", "p.yaml", "-p", "wanted", "7"]) == 0
    assert "['account']" in (latest().folder / "01_few.ipynb").read_text()
    assert "wanted" not in json.dumps(
        nbformat.read(latest().folder / "01_few.ipynb", 4).metadata.papermill.parameters
    )


def test_what_a_notebook_prints_is_seen_while_it_runs(project):
    write(project, "01_slow", "print('early', flush=True)", "import time\ntime.sleep(60)")
    with command(project, "apply", "p.yaml") as process:
        assert read_until(process, "   01  early") < 30
        process.send_signal(signal.SIGTERM)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_saves_its_copy_and_can_be_resumed(project, number):
    write(
        project,
        "01_waits",
        "from pathlib import Path\nimport time",
        "print('waiting', flush=True)\nPath('go').exists() or time.sleep(60)",
    )
    with command(project, "apply", "p.yaml") as process:
        read_until(process, "   01  waiting")
        process.send_signal(number)
        assert process.wait(30) == 130
    run = latest()
    assert (run.status, run.phases[0].status) == ("interrupted", "interrupted")
    copy = nbformat.read(run.folder / "01_waits.ipynb", 4)
    assert copy.metadata.papermill.exception is True
    assert "KeyboardInterrupt" in json.dumps(copy)
    assert evidence_pack.problems(run.folder) == []
    (project / "go").touch()
    assert main(["resume", "latest"]) == 0


def test_a_killed_run_is_not_whole_until_it_is_resumed(project):
    write(project, "01_first", "print(1)")
    write(
        project,
        "02_waits",
        "from pathlib import Path\nimport time",
        "print('waiting', flush=True)\nPath('go').exists() or time.sleep(60)",
    )
    with command(project, "apply", "p.yaml") as process:
        read_until(process, "   02  waiting")
        assert main(["resume", "latest"]) == 2  # it still runs
        process.kill()
    assert latest().status == "running"
    assert main(["verify", "latest"]) == 1
    (project / "go").touch()
    assert main(["resume", "latest"]) == 0
    assert main(["verify", "latest"]) == 0
    assert (latest().folder / "02_waits.attempt-1.ipynb").exists()


def test_no_kernel_outlives_a_killed_command(project):
    write(
        project,
        "01_waits",
        "import os, pathlib, time",
        "pathlib.Path('pid').write_text(str(os.getpid()))\nprint('waiting',"
        " flush=True)\ntime.sleep(60)",
    )
    with command(project, "apply", "p.yaml") as process:
        read_until(process, "   01  waiting")
        process.kill()
    pid = (project / "pid").read_text()
    until(lambda: not Path("/proc", pid).exists(), timeout_seconds=10)


def test_verify_names_every_file_that_is_not_as_it_was_sealed(two_phases, capsys):
    assert main(["apply", "p.yaml", "-p", "wanted", "2"]) == 0
    folder = latest().folder
    assert main(["verify", "latest"]) == 0
    for page in ("report.html", "02_second.html"):
        altered = (folder / page).read_text().replace("ok", "OK!")
        (folder / page).write_text(altered + "<p>and all is well</p>")
        capsys.readouterr()
        assert main(["verify", "latest"]) == 1
        assert f"{page} is not what the sealed files give" in capsys.readouterr().out
    assert main(["report", "latest"]) == 0  # derived, so written anew at any time
    assert main(["verify", "latest"]) == 0
    (folder / "01_first.ipynb").write_text("{}")
    (folder / "ledger.jsonl").unlink()
    (folder / "note.txt").write_text("new")
    capsys.readouterr()
    assert main(["verify", str(folder)]) == 1
    out = capsys.readouterr().out
    assert "01_first.ipynb changed since it was sealed." in out
    assert "ledger.jsonl is missing." in out
    assert "note.txt is extra" in out
    assert "02_second.ipynb" not in out


def test_no_byte_of_the_seal_can_change(tmp_path):
    (tmp_path / "a.ipynb").write_text("{}")
    evidence_pack.seal(tmp_path)
    (tmp_path / "b.ipynb").write_text("{}")
    evidence_pack.seal(tmp_path)
    assert evidence_pack.problems(tmp_path) == []
    seal = tmp_path / evidence_pack.SEAL
    whole = seal.read_bytes()
    for place in range(len(whole)):
        seal.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        assert evidence_pack.problems(tmp_path), f"byte {place}"
    seal.write_bytes(whole.splitlines(keepends=True)[1])  # the first line taken away
    assert evidence_pack.problems(tmp_path)
    seal.unlink()
    assert evidence_pack.problems(tmp_path) == ["seal.jsonl is missing: this run was never sealed."]


def test_a_second_run_with_the_same_second_waits_for_its_own_folder(project):
    first, second = (
        runs.new("plan", "p.yaml", {}, "rehearsal", {}, []).folder,
        runs.new("apply", "p.yaml", {}, "rehearsal", {}, []).folder,
    )
    assert first.name.removesuffix("-plan") < second.name.removesuffix("-apply")


def test_five_phases_with_nothing_to_do_take_seconds(project):
    for number in range(1, 6):
        write(project, f"0{number}_quick", "from lakebook import check\ncheck('one', 1, lambda: 1)")
    start = time.monotonic()
    assert main(["apply", "p.yaml"]) == 0
    assert time.monotonic() - start < 20


def command(project, *arguments):
    return subprocess.Popen(
        [sys.executable, "-m", "lakebook", *arguments],
        cwd=project,
        stdout=subprocess.PIPE,
        text=True,
        bufsize=1,
    )


def read_until(process, line):
    """Seconds until the process printed the line."""
    start = time.monotonic()
    for each in process.stdout:
        if each.rstrip() == line:
            return time.monotonic() - start
    raise AssertionError(f"the command ended without {line!r}")


def test_the_notebooks_of_the_repository_are_used_from_anywhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert Path("notebooks/03_dms.ipynb") in {
        Path(each.notebook) for each in phases.every(lakebook.project.project())
    }


OF_A_SOURCE = (
    DECLARED
    + """source: str = ""  # its name
source_secret: str = "main"  # its secret
source_schemas: list = ["s"]  # its schemas
excluded_tables: list = []  # not these
replication_instance_class: str = "small"  # of the instance
own_replication_instance: bool = False  # not the shared one
"""
)
OF_THE_LAKE = (
    DECLARED
    + """sources: dict = {}  # by name
sources_left_out: list = []  # which to do without
"""
)
TOLD = "print(f'told: {source} {source_secret} {source_schemas} {excluded_tables}')"


@pytest.fixture
def three_sources(project):
    """A phase that serves a source, which stops where a file has its name, and one over the lake
    before and after it.
    """
    (project / "p.yaml").write_text(
        f'environment: rehearsal\naccount: "{ACCOUNT}"\nexcluded_tables: [t]\nsources:\n'
        "  loyalty: {source_secret: theirs, source_schemas: [s]}\n"
        "  crew: {source_secret: crew's, source_schemas: [s, t], excluded_tables: [x]}\n"
    )
    stop = "import os\nassert not os.path.exists(source or 'default'), f'{source} is down'"
    write(project, "01_reads", TOLD, declared=OF_A_SOURCE)
    write(project, "02_ground", "print('ground')", declared=OF_THE_LAKE)
    write(project, "03_copies", stop, TOLD, declared=OF_A_SOURCE)
    write(project, "04_lake", "print('without', sources_left_out)", declared=OF_THE_LAKE)
    return project


def printed(run, copy):
    return "".join(
        each.get("text", "")
        for cell in nbformat.read(run.folder / copy, 4).cells
        for each in cell.get("outputs", [])
    )


def test_a_phase_of_a_source_runs_for_each_with_a_copy_and_parameters_of_its_own(
    three_sources, capsys
):
    assert main(["apply", "p.yaml"]) == 0, capsys.readouterr().out
    run = latest()
    assert [each.copy for each in run.phases] == [
        *("01_reads.ipynb", "01_reads-loyalty.ipynb", "01_reads-crew.ipynb", "02_ground.ipynb"),
        *("03_copies.ipynb", "03_copies-loyalty.ipynb", "03_copies-crew.ipynb", "04_lake.ipynb"),
    ]
    assert "told:  main ['s'] ['t']" in printed(run, "03_copies.ipynb")
    assert "told: loyalty theirs ['s'] []" in printed(run, "03_copies-loyalty.ipynb")
    assert "told: crew crew's ['s', 't'] ['x']" in printed(run, "03_copies-crew.ipynb")
    assert "without []" in printed(run, "04_lake.ipynb")
    assert main(["verify", "latest"]) == 0
    said = capsys.readouterr().out
    assert "   03 loyalty  told: loyalty theirs" in said
    assert re.search(r"^03 copies crew +succeeded", said, re.MULTILINE)


def test_a_source_that_is_down_leaves_the_others_whole_and_is_named(three_sources, capsys):
    (three_sources / "loyalty").touch()
    assert main(["apply", "p.yaml"]) == 1
    run, said = latest(), capsys.readouterr().out
    states = {each.label: each.status for each in run.phases if each.number > "02"}
    assert states == {
        "03": "succeeded",
        "03 loyalty": "failed",
        "03 crew": "succeeded",
        "04": "succeeded",
    }
    assert "without ['loyalty']" in printed(run, "04_lake.ipynb")
    assert "03 loyalty failed: AssertionError: loyalty is down." in said, said
    assert "The source loyalty failed and the others went on" in said
    (three_sources / "loyalty").unlink()
    assert main(["resume", "latest"]) == 0, capsys.readouterr().out
    run = latest()
    attempts = {each.label: each.attempts for each in run.phases if each.number > "02"}
    assert attempts == {"03": 1, "03 loyalty": 2, "03 crew": 1, "04": 2}
    assert "without []" in printed(run, "04_lake.ipynb")
    assert main(["verify", "latest"]) == 0


def test_a_source_that_failed_in_one_phase_is_left_out_of_the_next(three_sources, capsys):
    write(three_sources, "01_reads", "assert source != 'crew', 'no path'", declared=OF_A_SOURCE)
    assert main(["apply", "p.yaml", "--from", "01"]) == 1
    run = latest()
    states = {each.label: each.status for each in run.phases}
    assert (states["01 crew"], states["03 crew"], states["04"]) == (
        "failed",
        "pending",
        "succeeded",
    )
    assert "without ['crew']" in printed(run, "04_lake.ipynb")


def test_the_run_stops_where_no_source_is_left(three_sources):
    for each in ("default", "loyalty", "crew"):
        (three_sources / each).touch()
    assert main(["apply", "p.yaml", "--from", "03"]) == 1
    assert latest().phases[-1].status == "pending"


def test_one_source_alone_can_be_served(three_sources, capsys):
    assert main(["apply", "p.yaml", "--source", "loyalty", "--source", "default"]) == 0
    assert [each.label for each in latest().phases if each.number == "03"] == ["03", "03 loyalty"]
    assert main(["apply", "p.yaml", "--source", "royalty"]) == 2
    said = capsys.readouterr().err
    assert "There is no source royalty; there are default, loyalty, crew." in said


def test_a_lake_may_have_no_default_source(three_sources):
    assert main(["apply", "p.yaml", "-p", "source_secret", ""]) == 0
    assert [each.label for each in latest().phases][:3] == ["01 loyalty", "01 crew", "02"]


def test_sources_side_by_side_are_interrupted_together(three_sources):
    wait = "import time\nprint('waiting', flush=True)\ntime.sleep(60)"
    write(three_sources, "03_copies", wait, declared=OF_A_SOURCE)
    with command(three_sources, "apply", "p.yaml", "--only", "03") as process:
        missing = {f"   {each}  waiting" for each in ("03", "03 loyalty", "03 crew")}
        while missing:
            missing.discard(process.stdout.readline().rstrip())
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 130
    assert {each.status for each in latest().phases} == {"interrupted"}
    for each in latest().phases:
        assert "KeyboardInterrupt" in (latest().folder / each.copy).read_text()
    assert evidence_pack.problems(latest().folder) == []
