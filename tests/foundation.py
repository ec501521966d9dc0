"""The foundation as 02_foundation declares it, small enough for tests: the parts are the
notebook's.
"""

from pathlib import Path

from lakebook.names import Names
from lakebook.people import personas
from lakebook.services import (
    alarms,
    budgets,
    cloudtrail,
    dms,
    ec2,
    flow_logs,
    kms,
    lakeformation,
    quicksight,
    redshift,
    sagemaker,
    security_groups,
    storage,
    vpc,
    vpc_endpoints,
)

ACCOUNT, REGION = "123456789012", "eu-west-1"
POLICIES = Path(__file__).parents[1] / "policies"
DAYS = {"old_versions": 30, "query_results": 30, "audit": 400, "logs": 400}
ON_PREMISES = "10.20.0.0/16"


def names(environment):
    return Names("acme", environment, ACCOUNT, REGION)


def bootstrap(names):
    return personas.bootstrap(names, [], POLICIES / "migration-operator.json")


def parts(names, gateway="", services=("kms", "secretsmanager"), cidr="10.60.0.0/16"):
    """Every resource of 02, under the name of the notebook's cell it is in."""
    place = ec2.Place(names)
    users = [
        "dms-s3",
        "lake",
        "glue",
        "redshift",
        "quicksight",
        "sagemaker",
        personas.OPERATOR,
        *personas.PERSONAS,
    ]
    services_roles = [
        *dms.roles(names, "acme-source"),
        *lakeformation.roles(names),
        *redshift.roles(names),
        *quicksight.roles(names),
        *sagemaker.roles(names),
        *flow_logs.roles(names),
    ]
    lake = [names.raw_bucket, names.curated_bucket, names.jobs_bucket]
    topic = alarms.topic_arn(names)
    return {
        "services": services_roles,
        "people": personas.roles(names, []),
        "key": kms.lake_key(names, users),
        "buckets": storage.buckets(names, DAYS),
        "workgroups": personas.workgroups(names),
        "trail": [
            cloudtrail.trail(
                names.resource("trail"), names.audit_bucket, kms.alias(names), lake, names.tags
            )
        ],
        "network": vpc.network(place, cidr, ON_PREMISES),
        "routes": vpc.routes(place, ON_PREMISES if gateway else "", gateway, ""),
        "groups": security_groups.groups(place, ON_PREMISES, 5432),
        "endpoints": vpc_endpoints.endpoints(place, list(services)),
        "flow logs": flow_logs.flow_logs(place, DAYS),
        "alarms": alarms.alarms(names, ["on-call@example.com"], 900),
        "budget": [
            budgets.monthly_budget(names.resource("monthly"), ACCOUNT, 500, topic, names.tags)
        ],
    }


def everything(names, **settings):
    return [each for part in parts(names, **settings).values() for each in part]
