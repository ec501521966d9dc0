"""What an API call needs: IAM actions, each with the resources it is needed on."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from service_authorization import actions, roles, s3
from service_authorization.dependent import dependent
from service_authorization.resources import Lookup, resources

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


@dataclass(frozen=True)
class Requirement:
    """One action that a call needs, on every one of these resources."""

    action: str  # "glue:GetTable"
    resources: tuple[str, ...]  # ARNs; `*` where the request does not tell
    # condition keys: {"iam:PassedToService": …}
    context: Mapping[str, str] = field(default_factory=dict)
    # the service that asks for it on the caller's behalf: "s3.eu-west-1.amazonaws.com"
    via: str = ""


def required(
    service: str,
    operation: str,
    parameters: Mapping[str, Any],
    account: str,
    region: str,
    lookup: Lookup = lambda _prefix, _placeholder, _parameters: None,
) -> list[Requirement]:
    """The IAM actions that an operation needs, with the ARNs they are needed on.

    `service`, `operation` and `parameters` are boto3's ("glue", "GetTable", {"DatabaseName": …}).
    What a request does not tell is `*`, unless `lookup(prefix, placeholder, parameters)` knows:
    `("athena", "WorkGroupName", {"QueryExecutionId": …})`, `("redshift-serverless", "WorkgroupId",
    …)`, `("kms", "KeyId", …)`, `("secretsmanager", "SecretId", …)`, and the KMS key `("s3",
    "BucketKey", …)` that encrypts what is put into a bucket, or `("s3", "ObjectKey", …)` and
    `("secretsmanager", "SecretKey", …)` that an object or a secret is encrypted with.

    Source: https://docs.aws.amazon.com/service-authorization/latest/reference/
    """
    if (service, operation) in actions.FOR_EVERYBODY:
        return []
    if service == "s3":
        return list(_of_s3(operation, parameters, region, lookup))
    prefix, action = actions.prefix_of(service), actions.action_of(service, operation)
    about = resources(prefix, action, operation, parameters, account, region, lookup)
    passed = roles.passed_roles(service, operation, parameters, account)
    to = roles.passed_to(service)
    return [
        Requirement(f"{prefix}:{action}", about),
        *(
            Requirement(name, about)
            for parameter, name in actions.SESSIONS.items()
            if service == "sts" and parameters.get(parameter)
        ),
        *_tagging(service, operation, parameters, about),
        *_secret_key(service, operation, parameters, about, region, lookup),
        *_database_login(service, operation, parameters, about, account, region),
        *(Requirement("iam:PassRole", (each,), to) for each in passed),
        *(
            Requirement(name, (resource,), given, via=f"{prefix}.amazonaws.com")
            for name, resource, given in dependent(service, operation, parameters, account, region)
        ),
    ]


def _secret_key(
    service: str,
    operation: str,
    parameters: Mapping[str, Any],
    about: tuple[str, ...],
    region: str,
    lookup: Lookup,
) -> Iterator[Requirement]:
    """Reading a secret needs its key, where that is not AWS's own.

    Source: "Secret encryption and decryption in AWS Secrets Manager".
    """
    if (service, operation) != ("secretsmanager", "GetSecretValue"):
        return
    if key := lookup("secretsmanager", "SecretKey", parameters):
        via = f"secretsmanager.{region}.amazonaws.com"
        context = {"kms:ViaService": via, "kms:EncryptionContext:SecretARN": about[0]}
        yield Requirement("kms:Decrypt", (key,), context, via)


def _database_login(
    service: str,
    operation: str,
    parameters: Mapping[str, Any],
    about: tuple[str, ...],
    account: str,
    region: str,
) -> Iterator[Requirement]:
    """How the Redshift Data API logs in: by a secret, else by temporary credentials of the
    workgroup.

    Source: "Authorizing access to the Amazon Redshift Data API" of the Redshift management guide.
    """
    if service != "redshift-data" or operation not in actions.STATEMENTS:
        return
    if secret := parameters.get("SecretArn"):
        yield Requirement(
            "secretsmanager:GetSecretValue", (secret,), via=f"redshift-data.{region}.amazonaws.com"
        )
    elif parameters.get("WorkgroupName"):
        every = (f"arn:aws:redshift-serverless:{region}:{account}:workgroup/*",)
        yield Requirement("redshift-serverless:GetCredentials", about if about != ("*",) else every)


def _tagging(
    service: str, operation: str, parameters: Mapping[str, Any], about: tuple[str, ...]
) -> Iterator[Requirement]:
    """Tags at creation: the right to tag, on what is created."""
    if name := actions.tagging_action(service, operation, dict(parameters)):
        # what has no name before it is there
        made = tuple(each for each in about if each.endswith("*"))
        if operation == "CreateReplicationTask":
            made = (f"{about[0].rpartition(':')[0].rpartition(':')[0]}:task:*",)
        context = {"ec2:CreateAction": operation} if service == "ec2" else {}
        yield Requirement(name, made or about, context)


def _of_s3(
    operation: str, parameters: Mapping[str, Any], region: str, lookup: Lookup
) -> Iterator[Requirement]:
    by_action: dict[str, dict[str, None]] = {}
    for action, resource in s3.needs(operation, parameters):
        by_action.setdefault(action, {})[resource] = None
    yield from (Requirement(action, tuple(found)) for action, found in by_action.items())
    bucket = s3.arn(parameters.get("Bucket", "*"))
    for action, key in s3.key_needs(operation, parameters, lookup):
        via = f"s3.{region}.amazonaws.com"
        context = {"kms:ViaService": via, "kms:EncryptionContext:aws:s3:arn": bucket}
        yield Requirement(action, (key,), context, via)
