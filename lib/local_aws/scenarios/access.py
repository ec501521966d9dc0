"""Incidents of access: names, secrets, keys, rights, quotas, and the source database itself."""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING, Any

from local_aws.engines import postgresql
from local_aws.names import SOURCE_SECRET
from local_aws.scenarios.scenario import Scenario, ScenarioError, all_pages, first
from local_aws.service import service_of
from local_aws.servicequotas import ServiceQuotas

if TYPE_CHECKING:
    from collections.abc import Callable

    from local_aws.service import Service
    from local_aws.stand_in import StandIn

    Undo = Callable[[], object]
    Services = dict[str, Service]

DENIAL = "incident"
REPLICATION_INSTANCES = ("dms", "L-C2341CDC")


def _name_unknown(stand_in: StandIn, _: Services) -> Undo:
    return _secret(stand_in, {"host": "database.headquarters.acme.example"})


def _secret_missing_key(stand_in: StandIn, _: Services) -> Undo:
    return _secret(stand_in, {"password": None})


def _wrong_password(stand_in: StandIn, _: Services) -> Undo:
    return _secret(stand_in, {"password": "changed yesterday"})  # not one that anything has


def _secret(stand_in: StandIn, change: dict[str, Any]) -> Undo:
    """Change members of the source's secret; None takes one out."""
    client = stand_in.client("secretsmanager")
    before = client.get_secret_value(SecretId=SOURCE_SECRET)["SecretString"]
    content = {
        name: value for name, value in {**json.loads(before), **change}.items() if value is not None
    }
    client.put_secret_value(SecretId=SOURCE_SECRET, SecretString=json.dumps(content))
    return partial(client.put_secret_value, SecretId=SOURCE_SECRET, SecretString=before)


def _secret_not_readable(stand_in: StandIn, _: Services) -> Undo:
    return _denied(stand_in, "-dms-secret", "secretsmanager:GetSecretValue")


def _operator_denied(stand_in: StandIn, _: Services) -> Undo:
    return _denied(stand_in, "-migration-operator", "dms:CreateReplicationTask")


def _denied(stand_in: StandIn, ending: str, action: str) -> Undo:
    """Deny a role something."""
    iam = stand_in.client("iam")
    roles = [each["RoleName"] for each in all_pages(iam, "list_roles", "Roles")]
    where = {
        "RoleName": first([each for each in roles if each.endswith(ending)], f"role …{ending}")
    }
    statement = {"Effect": "Deny", "Action": action, "Resource": "*"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    iam.put_role_policy(**where, PolicyName=DENIAL, PolicyDocument=document)
    return partial(iam.delete_role_policy, **where, PolicyName=DENIAL)


def _key_disabled(stand_in: StandIn, _: Services) -> Undo:
    kms = stand_in.client("kms")
    aliases = [
        each
        for each in all_pages(kms, "list_aliases", "Aliases")
        if each["AliasName"].endswith("-lake")
    ]
    key = first(aliases, "key of the lake")["TargetKeyId"]
    kms.disable_key(KeyId=key)
    return partial(kms.enable_key, KeyId=key)


def _quota_exceeded(_: StandIn, services: Services) -> Undo:
    applied = service_of(services, ServiceQuotas).applied
    applied[REPLICATION_INSTANCES] = 0.0
    return partial(applied.pop, REPLICATION_INSTANCES)


def _database_down(stand_in: StandIn, _: Services) -> Undo:
    server = _server(stand_in)
    server.stop()
    return server.start


def _wal_level(stand_in: StandIn, _: Services) -> Undo:
    _restart(stand_in, "replica")
    return partial(_restart, stand_in, "logical")


def _restart(stand_in: StandIn, wal_level: str) -> None:
    server, before = _server(stand_in), postgresql.SETTINGS["wal_level"]
    server.stop()
    # the server takes its settings from its command line
    postgresql.SETTINGS["wal_level"] = wal_level
    try:
        server.start()
    finally:
        postgresql.SETTINGS["wal_level"] = before


def _server(stand_in: StandIn) -> postgresql.Server:
    """The stand-in's own PostgreSQL, on the port that the secret names."""
    directory = stand_in.directory / "postgresql"
    if not directory.exists():
        raise ScenarioError("The source is not the stand-in's own database: stop it yourself.")
    secret = stand_in.client("secretsmanager").get_secret_value(SecretId=SOURCE_SECRET)[
        "SecretString"
    ]
    return postgresql.Server(directory, int(json.loads(secret)["port"]))


SCENARIOS = {
    "name-unknown": Scenario("the secret names a host that the VPC cannot resolve", _name_unknown),
    "secret-missing-key": Scenario("the secret has no password", _secret_missing_key),
    "secret-not-readable": Scenario("a policy denies DMS's role the secret", _secret_not_readable),
    "key-disabled": Scenario("somebody disabled the lake's key", _key_disabled),
    "wrong-password": Scenario(
        "the database's password was changed, the secret's was not", _wrong_password
    ),
    "database-down": Scenario("the source database is stopped", _database_down),
    "wal-level": Scenario("the source writes no logical changes (wal_level = replica)", _wal_level),
    "operator-denied": Scenario(
        "a policy denies the operator to create replication tasks", _operator_denied
    ),
    "quota-exceeded": Scenario(
        "the account may have no further replication instance", _quota_exceeded
    ),
}
