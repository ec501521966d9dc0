"""Whoever is killed between two calls finds on the next run what is still to do: nothing that is
done only right after a creation is left out, and nothing is made twice.
"""

import json
from collections import Counter

import boto3
import foundation
import pytest

from lakebook import calls, ensure
from lakebook.access import lake_access
from lakebook.layers import curation, lake, warehouse
from lakebook.names import Names
from lakebook.people import classification
from lakebook.services import dms, ec2, lakeformation, redshift

WHOLE, INTERRUPTED = foundation.names("whole"), foundation.names("killed")
# of which an account has one, that both environments use
# a VPC has DNS by default, so that only who made it in one go says so
SHARED = (
    "vpc acme-whole-vpc",
    "role dms-vpc-role",
    "role dms-cloudwatch-logs-role",
    "administrator ",
)


def phases(names: Names, gateway: str):
    """The resources of 02 to 06 with whatever each needs before it, in order."""
    cidr = "10.63.0.0/16" if names is WHOLE else "10.64.0.0/16"
    yield foundation.bootstrap(names)
    parts = foundation.parts(names, gateway=gateway, services=("kms",), cidr=cidr)
    yield from parts.values()
    subnets = ec2.subnets(names, [])
    endpoint = {
        "EngineName": "postgres",
        "SslMode": "none",
        "DatabaseName": "x",
        "PostgreSQLSettings": {
            "SecretsManagerAccessRoleArn": names.role_arn("dms-secret"),
            "SecretsManagerSecretId": "acme-source",
        },
    }
    replication = dms.replication(
        names, endpoint, MAPPING, subnets, "dms.t3.medium", 50, 63, 2, "none"
    )
    yield [each for each in replication if "connection" not in each.name]  # needs a source
    yield lake.raw_layer(names, [])  # the key of what is in buckets is the operator's to use
    classes = classification.read("classification/airline.yaml")
    yield lakeformation.governance(names, [])
    yield lake_access.permissions(names, None)
    yield lake_access.classified(names, classes)
    job = curation.job(names, "G.1X", 2, 60)
    yield [each for each in job if "object" not in each.name]
    yield redshift.compute(names, "lake", subnets, 8)
    yield redshift.compute(names, "lake", subnets, 8, "provisioned")
    store = redshift.Warehouse(names.resource("warehouse"), "lake")
    yield [warehouse.schemas("of the source", store, [f"s{n}" for n in range(50)])]


MAPPING = {
    "rules": [
        {
            "rule-type": "selection",
            "rule-id": "1",
            "rule-name": "1",
            "object-locator": {"schema-name": "s", "table-name": "t"},
            "rule-action": "include",
        }
    ]
}


def made(resources):
    """What was called for them, each resource begun anew after every call."""
    found = []
    for each in resources:
        for _ in range(40):
            if (call := next(iter(each), None)) is None:
                break
            call.run()
            found.append((each.name, call.action))
    return found


@pytest.fixture(scope="module")
def both(stand_in):
    """What was called for the one environment without, and for the other with interruptions."""
    secret = json.dumps({"username": "u", "password": "p", "host": "h", "port": 1, "dbname": "x"})
    boto3.client("secretsmanager").create_secret(Name="acme-source", SecretString=secret)
    whole, killed, declared = [], [], []
    gateway = boto3.client("ec2").create_transit_gateway()["TransitGateway"]["TransitGatewayId"]
    environments = phases(WHOLE, gateway), phases(INTERRUPTED, gateway)
    for undisturbed, other in zip(*environments, strict=True):
        frame = ensure(undisturbed, apply=True)
        whole += frame[["resource", "call"]].itertuples(index=False, name=None)
        killed += made(other)
        declared += [undisturbed, other]
    told = [
        (name.replace("killed", "whole").replace("10.64.", "10.63."), call) for name, call in killed
    ]
    return Counter(whole), Counter(told), declared


def test_whoever_is_killed_after_every_call_has_made_them_all_and_none_twice(both):
    whole, killed, _ = both
    missing, twice = whole - killed, killed - whole
    assert len(whole) > 100
    assert [each for each in missing if not each[0].startswith(SHARED)] == []
    assert list(twice) == []


def test_nothing_is_left_to_do_in_either(both):
    for resources in both[2]:
        assert [(name, call.action) for name, call in calls(resources)] == []
