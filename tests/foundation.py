"""The foundation as 02_foundation declares it, small enough for tests."""

from pathlib import Path

from lakebook import foundation
from lakebook.names import Names
from lakebook.people import personas
from lakebook.services import ec2, vpc_endpoints

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
    place = ec2.Network(names)
    return {
        "services": foundation.services(names, {"": "acme-source"}),
        "people": personas.roles(names, {}),
        "data": foundation.data(names, DAYS),
        "trail": [foundation.trail(names)],
        "network": foundation.network(place, cidr, ON_PREMISES, 5432, gateway, "", DAYS),
        "alerts": foundation.alerts(names, ["on-call@example.com"], 900, 500),
        "endpoints": vpc_endpoints.endpoints(place, list(services)),
    }
