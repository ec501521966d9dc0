"""What 02 declares, wired from its parameters: the roles of services, the data at rest, the trail,
the network, and the alarms.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lakebook import sources as lake_sources
from lakebook.diagnosis import Path
from lakebook.people import personas
from lakebook.services import (
    alarms,
    budgets,
    cloudtrail,
    dms,
    flow_logs,
    iam,
    kms,
    lakeformation,
    quicksight,
    redshift,
    sagemaker,
    security_groups,
    storage,
    vpc,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lakebook.ensure import Resource
    from lakebook.names import Names
    from lakebook.services.ec2 import Network

SERVICES_WITH_KEY = ("dms-s3", "lake", "glue", "redshift", "quicksight", "sagemaker")


def services(names: Names, secrets: dict[str, str]) -> list[Resource]:
    """One role for each service that works in the lake; independent of each other. `secrets` maps
    the name of each source, "" of the default one, to its secret.
    """
    return [
        *dms.roles(names, secrets),
        *lakeformation.roles(names),
        *redshift.roles(names),
        *quicksight.roles(names),
        *sagemaker.roles(names),
        *flow_logs.roles(names),
    ]


def data(names: Names, retention_days: dict[str, int], kms_key_arn: str = "") -> list[Resource]:
    """The key (made where no `kms_key_arn` is given) with its users, the buckets, and a workgroup
    of Athena for each persona that asks; the roles must exist.

    The operator may not change its own rights: to a key that is given it has them by
    `operators_key`.
    """
    users = [*SERVICES_WITH_KEY, *personas.PERSONAS]
    key = (
        kms.given_key(names, users, kms_key_arn)
        if kms_key_arn
        else kms.lake_key(names, [*users, personas.OPERATOR])
    )
    return [*key, *storage.buckets(names, retention_days), *personas.workgroups(names)]


def operators_key(names: Names, kms_key_arn: str) -> list[Resource]:
    """What an administrator gives the operator beside its role: the use of a key that exists."""
    name = names.resource(personas.OPERATOR)
    return [iam.key_user(name, kms_key_arn, names.region)] if kms_key_arn else []


def trail(names: Names) -> Resource:
    """The trail into the audit bucket, with every object call on the buckets of the lake."""
    lake = [names.raw_bucket, names.curated_bucket, names.jobs_bucket]
    name, key_alias = names.resource("trail"), kms.alias(names)
    return cloudtrail.trail(name, names.audit_bucket, key_alias, lake, names.tags)


def network(
    in_network: Network,
    vpc_cidr: str,
    on_premises_cidr: str,
    source_port: int,
    transit_gateway_id: str,
    virtual_private_gateway_id: str,
    retention_days: dict[str, int],
    others: Sequence[tuple[str, int]] = (),
) -> list[Resource]:
    """The VPC with its private subnets, the routes to the source, a security group for each phase,
    and the flow logs, in this order. `others` are networks and ports of further sources.
    """
    gateways = (transit_gateway_id, virtual_private_gateway_id)
    networks = [cidr for cidr, _ in others]
    return [
        *vpc.network(in_network, vpc_cidr, on_premises_cidr, networks),
        *vpc.routes(in_network, on_premises_cidr, *gateways, networks),
        *security_groups.groups(in_network, on_premises_cidr, source_port, others),
        *flow_logs.flow_logs(in_network, retention_days),
    ]


def ways(
    network: Network, source_secret: str, on_premises_cidr: str, sources: dict[str, dict[str, Any]]
) -> list[tuple[str, int]]:
    """The network and the port of each source, the default one first."""
    found = paths(network, source_secret, on_premises_cidr, sources).values()
    return [(each.on_premises_cidr, each.source_port) for each in found]


def paths(
    network: Network,
    source_secret: str,
    on_premises_cidr: str,
    sources: dict[str, dict[str, Any]],
    **rest: Any,
) -> dict[str, Path]:
    """The path to each source by its name, the default one first."""
    default = {"source_secret": source_secret, "on_premises_cidr": on_premises_cidr}
    return {
        lake_sources.shown(name): Path(
            network,
            each["source_secret"],
            each["on_premises_cidr"],
            source=name,
            own_instance=each.get("own_replication_instance", False),
            **rest,
        )
        for name, each in lake_sources.every(default, sources).items()
    }


def alerts(
    names: Names, emails: list[str], latency_seconds: int, monthly_budget_usd: int
) -> list[Resource]:
    """The alarms with their topic, and the account's budget, which tells the same topic; no budget
    of 0.
    """
    name, topic = names.resource("monthly"), alarms.topic_arn(names)
    budget = budgets.monthly_budget(name, names.account, monthly_budget_usd, topic, names.tags)
    made = [budget] if monthly_budget_usd else []
    return [*alarms.alarms(names, emails, latency_seconds), *made]
