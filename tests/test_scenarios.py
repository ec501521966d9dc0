"""Every incident of the stand-in is found at the hop it breaks, with its cause and nothing red
before it, and goes with `clear`.
"""

import json
import os
import socket
import subprocess
import sys
import urllib.request

import boto3
import foundation
import pytest

from lakebook import CheckError, calls, diagnosis, ensure
from lakebook.people import personas
from lakebook.services import dms, ec2, kms, security_groups, vpc, vpc_endpoints
from lakebook.source.engines import connect_source
from local_aws.engines.postgresql import Server

SECRET, PREFIXES = "acme-rehearsal-source", "10.60.0.0/16"
LINE = {"connection_ids": ["dxcon-acme0001"], "virtual_interface_ids": ["dxvif-acme0001"]}
GATEWAY, ON_PREMISES = "tgw-0ace0000000000001", "10.20.0.0/16"
NAMES = foundation.names("rehearsal")
FOUND = {  # scenario: the hop, and words of its sentence
    "connection-down": ("Direct Connect connection", "network link is down"),
    "interface-deleted": ("virtual interface", "deleted the virtual interface"),
    "bgp-down": ("BGP peers", "BGP is down"),
    "routes-missing": ("routes received", f"no route covers {ON_PREMISES}"),
    "gateway-not-associated": ("gateway association", f"Associate {GATEWAY}"),
    "prefix-not-allowed": ("allowed prefixes", f"Add {PREFIXES} to the allowed prefixes"),
    "transit-route-missing": ("transit gateway routes", "Propagate the Direct Connect attachment"),
    "vpc-detached": ("gateway attachment", "not attached"),
    "route-missing": ("subnet routes", f"Route {ON_PREMISES} to {GATEWAY}"),
    "security-group-closed": ("security groups", f"to {ON_PREMISES} in the outbound rules"),
    "acl-closed": ("network ACLs", "rule 1 denies tcp 32768-60999"),
    "endpoint-missing": ("endpoints", "DMS does not reach secretsmanager"),
    "private-dns-off": ("private DNS", "Turn on private DNS of the endpoints secretsmanager"),
    "endpoint-group-closed": ("endpoint security groups", "Allow tcp 443"),
    # what AWS shows of names does not tell: a public name may lead to a private address
    "name-unknown": ("DMS connection test", "database.headquarters.acme.example"),
    "secret-missing-key": ("secret", "Add password to the secret"),
    "secret-not-readable": ("secret's role", "secretsmanager:GetSecretValue"),
    "key-disabled": ("encryption keys", "Enable the key alias/acme-rehearsal-lake"),
    "wrong-password": ("DMS connection test", "password authentication failed"),
    "database-down": ("DMS connection test", "refused"),
    "wal-level": ("source prerequisites", "set wal_level = logical"),
    "operator-denied": ("operator's permissions", "dms:CreateReplicationTask"),
    "quota-exceeded": ("service quotas", "replication instances"),
}


class StandIn:
    """A stand-in in a process of its own, used by its command as people do."""

    def __init__(self, directory):
        self.server = Server(directory / "postgresql")
        self.server.start()
        with self.server.connect() as admin:
            admin.execute("create schema shop; create table shop.orders (id int primary key)")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.command = [
            sys.executable,
            "-m",
            "local_aws",
            "--data",
            str(directory),
            "--port",
            str(port),
        ]
        self.environment = {**os.environ, "LOCAL_AWS_SOURCE": self.server.url()}

    def __call__(self, *arguments):
        return subprocess.run(
            [*self.command, *arguments],
            capture_output=True,
            text=True,
            env=self.environment,
            check=False,
        )

    def scenario(self, **told):
        """What the command `scenario` asks, without a process for each; raises HTTPError."""
        address = f"{os.environ['AWS_ENDPOINT_URL']}/_local_aws/scenarios"
        with urllib.request.urlopen(address, json.dumps(told).encode(), timeout=60) as answer:
            return json.load(answer)

    def starts(self, name):
        assert self.scenario(start=name)["running"][-1] == name


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    command = StandIn(tmp_path_factory.mktemp("scenarios"))
    started = command("up")
    assert started.returncode == 0, started.stderr
    pairs = [
        line.removeprefix("export ").split("=", 1)
        for line in started.stdout.splitlines()
        if "=" in line
    ]
    with pytest.MonkeyPatch.context() as patch:
        for name, value in pairs:
            patch.setenv(name, value.strip("'"))
        boto3.setup_default_session()
        _build(command.server)
        _become(NAMES.role_arn(personas.OPERATOR))
        yield command
    command("down")
    command.server.remove()
    boto3.setup_default_session()


def _build(server):
    """What 02 and 03 make along the path, and no more."""
    place = ec2.Network(NAMES)
    made = [
        *foundation.bootstrap(NAMES),
        *dms.roles(NAMES, {"": SECRET}),
        *kms.lake_key(NAMES, ["dms-s3"]),
        *vpc.network(place, PREFIXES, ON_PREMISES),
    ]
    ensure(made, apply=True)
    ensure(vpc.routes(place, ON_PREMISES, GATEWAY, ""), apply=True)
    ensure(security_groups.groups(place, ON_PREMISES, server.port), apply=True)
    ensure(vpc_endpoints.endpoints(place, ["secretsmanager", "kms", "logs"]), apply=True)
    subnets = ec2.subnets(NAMES, [])
    source = connect_source(SECRET).dms_endpoint(NAMES.role_arn("dms-secret"), "none")
    ensure(
        dms.replication(NAMES, source, {"rules": []}, subnets, "dms.t3.medium", 50, 32, 1, "none")[
            :3
        ],
        apply=True,
    )


def _become(role_arn):
    """The rest is done by the operator, as in a run."""
    taken = boto3.client("sts").assume_role(RoleArn=role_arn, RoleSessionName="test")["Credentials"]
    keys = {
        "aws_access_key_id": taken["AccessKeyId"],
        "aws_secret_access_key": taken["SecretAccessKey"],
    }
    boto3.setup_default_session(**keys, aws_session_token=taken["SessionToken"])


def path(**settings):
    return diagnosis.Path(
        ec2.Network(NAMES),
        SECRET,
        ON_PREMISES,
        **LINE,
        gateway_id=GATEWAY,
        schemas=["shop"],
        **settings,
    )


@pytest.fixture
def healed(running):
    yield
    assert running.scenario(clear=True)["running"] == []


def test_the_whole_path_carries_when_nothing_is_broken(running):
    hops = diagnosis.diagnose(path(purpose="CDC"))
    assert {
        each.hop: each.seen + each.action
        for each in hops
        if each.verdict not in ("ok", "not applicable")
    } == {}
    assert [each.hop for each in hops if each.verdict == "not applicable"] == ["on-premises DNS"]
    diagnosis.require(hops, "03")


@pytest.mark.parametrize("scenario", FOUND)
def test_an_incident_is_found_at_its_hop_with_its_cause(running, healed, scenario):
    running.starts(scenario)
    hops = diagnosis.diagnose(path(purpose="CDC"))
    hop, words = FOUND[scenario]
    broken = next(each for each in hops if each.verdict == "failed")
    assert broken.hop == hop, broken
    assert words in f"{broken.seen} {broken.action}"
    where = hops.index(broken)
    before = {each.hop: each.verdict for each in hops[:where]}
    assert scenario != "name-unknown" or before.pop("on-premises DNS") == "not checked"
    assert set(before.values()) <= {"ok", "not applicable"}
    assert {each.verdict for each in hops[where + 1 :]} <= {"not checked"}
    with pytest.raises(CheckError, match=hop):
        diagnosis.require(hops, "03")


def test_every_scenario_has_its_diagnosis_and_after_clearing_nothing_is_broken(running):
    listed = [line[8:32].strip() for line in running("scenario").stdout.splitlines()]
    assert [each for each in listed if not each.startswith("quicksight-")] == list(FOUND)
    assert diagnosis.first_broken(diagnosis.diagnose(path(purpose="CDC")), "03") is None


def test_phase_one_goes_on_where_phase_two_mends_and_stops_where_it_cannot(running, healed):
    running.starts("endpoint-missing")
    hops = diagnosis.diagnose(path())
    assert diagnosis.first_broken(hops, "01") is None
    assert diagnosis.first_broken(hops, "02").hop == "endpoints"
    running.starts("connection-down")
    assert (
        diagnosis.first_broken(diagnosis.diagnose(path()), "01").hop == "Direct Connect connection"
    )


def test_what_a_later_phase_makes_is_not_yet_there_and_stops_nothing(running):
    elsewhere = diagnosis.Path(
        ec2.Network(foundation.names("other")),
        SECRET,
        ON_PREMISES,
        **LINE,
        gateway_id=GATEWAY,
        vpc_cidr=PREFIXES,
        schemas=["shop"],
    )
    hops = diagnosis.diagnose(elsewhere)
    verdicts = {each.hop: each.verdict for each in hops}
    assert (verdicts["allowed prefixes"], verdicts["subnet routes"]) == ("ok", "not yet")
    assert verdicts["DMS connection test"] == "not yet"
    # of another environment
    assert diagnosis.first_broken(hops, "01").hop == "operator's permissions"
    assert "acme-other-" in diagnosis.first_broken(hops, "01").seen
    assert diagnosis.first_broken(hops, "02").hop == "gateway attachment"


def test_without_direct_connect_its_hops_are_not_applicable(running):
    hops = diagnosis.diagnose(diagnosis.Path(ec2.Network(NAMES), SECRET, schemas=["shop"]))
    line = [each for each in hops if each.where == "line"]
    assert {each.verdict for each in line} == {"not applicable"}
    assert diagnosis.first_broken(hops, "01") is None


def test_the_picture_and_the_table_have_every_hop(running):
    hops = diagnosis.diagnose(path())
    figure = diagnosis.plot(hops)
    drawn = " ".join(text.get_text().replace("\n", " ") for text in figure.axes[0].texts)
    assert all(each.hop in drawn for each in hops)
    assert len(diagnosis.overview(hops)) == len(hops)


def test_an_unknown_scenario_and_one_that_runs_already_are_refused_in_one_sentence(running, healed):
    refused = running("scenario", "flood")
    assert (refused.returncode, "There is no scenario flood" in refused.stderr) == (1, True)
    started = running("scenario", "bgp-down")
    assert started.returncode == 0, started.stderr
    again = running("scenario", "bgp-down")
    assert (again.returncode, "runs already" in again.stderr) == (1, True)
    cleared = running("scenario", "clear")
    assert cleared.returncode == 0, cleared.stderr


def test_the_password_is_in_no_finding(running, healed):
    running.starts("wrong-password")
    password = json.loads(
        boto3.client("secretsmanager").get_secret_value(SecretId=SECRET)["SecretString"]
    )["password"]
    assert all(password not in each.seen + each.action for each in diagnosis.diagnose(path()))


def test_drift_of_the_network_is_mended_by_the_foundation(running, healed):
    running.starts("route-missing")
    wanted = vpc.routes(ec2.Network(NAMES), ON_PREMISES, GATEWAY, "")
    assert [call.action for _, call in calls(wanted)] == ["ec2:CreateRoute"]
