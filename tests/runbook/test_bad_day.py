"""A rehearsal on a bad day of AWS, killed on its way and resumed: it ends as on a good day. The
company is reached by a virtual private gateway, which attaches slowly.
"""

import os
import re
import signal
import subprocess
import time
from dataclasses import replace

import pytest
from rehearsal import BIN, FILE, ROOT, Rehearsal, as_options

SEED = int(os.environ.get("WEATHER", "7"))
SMALL = {
    "source_schemas": "[operations]",
    "excluded_tables": "[operations.flights]",
    "partition_by": "{}",
    "classification_file": "",
    "reporting_file": "",
    "direct_connect_connection_ids": "[]",
    "virtual_interface_ids": "[]",
    "transit_gateway_id": "",
}
SPINE = ("--to", "06")
EXPIRED = "The credentials have expired: renew them."
KILL_AT = "03 DMS: "
pytestmark = pytest.mark.rehearsal


@pytest.fixture(scope="module")
def bad_day(tmp_path_factory):
    """The run that was killed when its third phase had begun, resumed, and a run after it."""
    with Rehearsal(tmp_path_factory.mktemp("bad-day"), "", SMALL, SEED) as running:
        gateway = running.client("ec2").create_vpn_gateway(Type="ipsec.1")["VpnGateway"]
        running.parameters += as_options({"virtual_private_gateway_id": gateway["VpnGatewayId"]})
        folder = killed(running, ["apply", FILE, *running.parameters, *SPINE])
        running.resumed = with_new_credentials(running, running.run("resume", folder))
        running.again = with_new_credentials(running, running.apply(*SPINE))
        yield running


def killed(running, arguments):
    """The folder of the run that was killed at its third phase."""
    process = subprocess.Popen(
        [BIN / "lakebook", *arguments],
        cwd=ROOT,
        env=running.environment,
        stdout=subprocess.PIPE,
        text=True,
    )
    said = ""
    for line in process.stdout:
        said += line
        if line.startswith(KILL_AT):
            time.sleep(SEED % 10 / 2)
            process.send_signal(signal.SIGKILL)
    if process.wait() == -signal.SIGKILL:
        return said.splitlines()[1]
    return killed(running, ["resume", resumable(said)])


def with_new_credentials(running, ended):
    """The end of a run that is resumed, as it asks for, whenever its credentials expire."""
    changing = list(ended.changing_calls)
    while EXPIRED in ended.text:
        ended = running.run("resume", resumable(ended.text))
        changing += ended.changing_calls
    return replace(ended, changing_calls=changing)


def resumable(said):
    """The folder of a run whose credentials expired; each command takes its role anew."""
    assert EXPIRED in said, said
    return re.search(r"go on with: lakebook resume (\S+)", said)[1]


def test_a_killed_run_is_resumed_to_its_end(bad_day):
    assert bad_day.resumed.returncode == 0, bad_day.resumed.text


def test_afterwards_nothing_is_left_to_do(bad_day):
    assert bad_day.again.returncode == 0, bad_day.again.text
    assert bad_day.again.changing_calls == []


def test_nothing_was_made_twice(bad_day):
    """What was made when an answer was lost, or a read was late, was found again."""
    ec2, named = bad_day.client("ec2"), [{"Name": "tag:Name", "Values": ["acme-rehearsal-*"]}]
    (vpc,) = ec2.describe_vpcs(Filters=named)["Vpcs"]
    within = [{"Name": "vpc-id", "Values": [vpc["VpcId"]]}]
    made = {
        "subnets": [each["CidrBlock"] for each in ec2.describe_subnets(Filters=within)["Subnets"]],
        "endpoints": [
            each["ServiceName"]
            for each in ec2.describe_vpc_endpoints(Filters=within)["VpcEndpoints"]
            if each["State"] != "deleted"
        ],
        "keys": bad_day.client("kms").list_keys()["Keys"],
        "tasks": bad_day.client("dms").describe_replication_tasks()["ReplicationTasks"],
    }
    assert len(made["keys"]) == len(made["tasks"]) == 1
    for what in ("subnets", "endpoints"):
        assert len(made[what]) == len(set(made[what])), what
