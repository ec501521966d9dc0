"""What 02 declares, wired from its parameters: the roles of services, the data at rest, the trail,
the network, and the alarms.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

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
    from lakebook.ensure import Resource
    from lakebook.names import Names
    from lakebook.services.ec2 import Network

SERVICES_WITH_KEY = ("dms-s3", "lake", "glue", "redshift", "quicksight", "sagemaker")


def services(names: Names, source_secret: str) -> list[Resource]:
    """One role for each service that works in the lake; independent of each other."""
    return [
        *dms.roles(names, source_secret),
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
) -> list[Resource]:
    """The VPC with its private subnets, the routes to the source, a security group for each phase,
    and the flow logs, in this order.
    """
    return [
        *vpc.network(in_network, vpc_cidr, on_premises_cidr),
        *vpc.routes(in_network, on_premises_cidr, transit_gateway_id, virtual_private_gateway_id),
        *security_groups.groups(in_network, on_premises_cidr, source_port),
        *flow_logs.flow_logs(in_network, retention_days),
    ]


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
