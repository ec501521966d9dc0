"""What moto and our services keep that decides about access: policies, accounts, keys, tags, and
names behind ids.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError
from moto.iam.models import iam_backends
from moto.kms.models import kms_backends
from moto.s3.models import s3_backends
from moto.secretsmanager.models import secretsmanager_backends
from moto.sns.models import sns_backends
from moto.sqs.models import sqs_backends

from local_aws.errors import ApiError
from local_aws.iam.evaluation import Policies
from local_aws.iam.principals import role

if TYPE_CHECKING:
    from local_aws.principal import Principal

TAKING_ROLES = {"sts:AssumeRole", "sts:TagSession", "sts:SetSourceIdentity"}
NO_TAGS: dict[str, str] = {}
# service of an ARN: its tags, as the service lists them
READ_TAGS: dict[str, Callable[[Any, str], Any]] = {
    "athena": lambda client, arn: client.list_tags_for_resource(ResourceARN=arn)["Tags"],
    "cloudtrail": lambda client, arn: client.list_tags(ResourceIdList=[arn])["ResourceTagList"][0][
        "TagsList"
    ],
    "dms": lambda client, arn: client.list_tags_for_resource(ResourceArn=arn)["TagList"],
    "ec2": lambda client, arn: client.describe_tags(Filters=[_filter(arn)])["Tags"],
    "glue": lambda client, arn: client.get_tags(ResourceArn=arn)["Tags"],
    "kms": lambda client, arn: client.list_resource_tags(KeyId=arn)["Tags"],
    "logs": lambda client, arn: client.list_tags_for_resource(
        resourceArn=arn.partition(":log-stream:")[0]
    )["tags"],
    "quicksight": lambda client, arn: client.list_tags_for_resource(ResourceArn=arn)["Tags"],
    "redshift-serverless": lambda client, arn: client.list_tags_for_resource(resourceArn=arn)[
        "tags"
    ],
    "sagemaker": lambda client, arn: client.list_tags(ResourceArn=arn)["Tags"],
    "secretsmanager": lambda client, arn: client.describe_secret(SecretId=arn).get("Tags", []),
    "sns": lambda client, arn: client.list_tags_for_resource(ResourceArn=arn)["Tags"],
}


def identity_policies(principal: Principal) -> tuple[tuple[str, ...], str | None]:
    """The documents of a user with its groups or of a session's role, and the permissions
    boundary.
    """
    iam = iam_backends[principal.account]["aws"]
    if principal.role_arn:
        found = role(principal.role_arn)
        return _documents(found), _boundary(principal.account, found.permissions_boundary_arn)
    user = iam.users.get(principal.user_name)
    groups = [each for each in list(iam.groups.values()) if user in each.users]
    return tuple(text for each in (user, *groups) if each for text in _documents(each)), None


def policies_on(principal: Principal, action: str, resource: str) -> Policies:
    """All that decides whether a principal may do something to a resource."""
    identity, boundary = identity_policies(principal) if principal.name else ((), None)
    document, account, decides = resource_policy(action, resource, principal.account)
    return Policies(
        identity,
        boundary,
        principal.session_policies,
        document,
        account == principal.account,
        decides,
    )


def resource_policy(action: str, resource: str, account: str) -> tuple[str | None, str, bool]:
    """A resource's own policy, its account, and whether no identity policy counts without it."""
    parts = resource.split(":", 5)
    if len(parts) < 6:
        return None, account, False
    service, region, owner, rest = parts[2], parts[3], parts[4] or account, parts[5]
    if action == "s3:CreateBucket":
        # that its name is taken, in whichever account, everybody may learn
        return None, account, False
    if service == "s3":
        return _bucket_policy(rest.partition("/")[0], account)
    if service == "iam" and action in TAKING_ROLES:
        return _trust(resource), owner, True
    if service == "kms" and rest.startswith("key/"):
        key = kms_backends[owner][region].keys.get(rest.removeprefix("key/"))
        return (key.policy if key else None), owner, key is not None
    if service == "secretsmanager":
        return _secret_policy(resource, owner, region), owner, False
    if service == "sns" and (topic := sns_backends[owner][region].topics.get(resource)):
        return topic.policy, owner, False
    if service == "sqs" and (queue := sqs_backends[owner][region].queues.get(rest)):
        return (_text(queue.policy) if queue.policy else None), owner, False
    return None, owner, False


def key_state(arn: str) -> str:
    """The state of a KMS key: Enabled, Disabled, PendingDeletion; empty when there is none."""
    _, _, _, region, account, name = arn.split(":", 5)
    key = kms_backends[account][region].keys.get(name.removeprefix("key/"))
    return str(key.key_state) if key else ""


def tags_of(client: Callable[[str], Any], arn: str) -> Mapping[str, str] | None:
    """The tags of a resource; none of one that is not there (yet), None when they cannot be
    told.
    """
    if arn.endswith("*"):
        return NO_TAGS
    parts = arn.split(":", 5)
    if len(parts) == 6 and parts[2] == "iam":
        return _iam_tags(parts[4], parts[5])
    if len(parts) == 6 and parts[2] == "s3":
        return _s3_tags(client, parts[5])
    if len(parts) < 6 or parts[2] not in READ_TAGS:
        return None
    try:
        return _as_dict(READ_TAGS[parts[2]](client(parts[2]), arn))
    except (ClientError, IndexError):
        return NO_TAGS


def _key_of_alias(parameters: Mapping[str, Any], account: str, region: str) -> str | None:
    """The id of the KMS key that an alias names."""
    alias = str(parameters.get("KeyId") or "").rpartition("alias/")
    backend = kms_backends[account][region]
    return backend.get_key_id_from_alias(f"alias/{alias[2]}") if alias[1] else None


def _key_of_bucket(parameters: Mapping[str, Any], account: str, region: str) -> str | None:
    """The key that encrypts what is put into the bucket, the one that is named by any of its names
    first; None for AWS's own key.
    """
    if named := parameters.get("SSEKMSKeyId"):
        return _key_arn(named, account, region)
    bucket = _bucket(str(parameters["Bucket"]))
    wanted, configured = (
        parameters.get("ServerSideEncryption"),
        getattr(bucket, "encryption", None),
    )
    if wanted == "AES256" or not configured:
        return None
    default = configured["Rule"]["ApplyServerSideEncryptionByDefault"]
    return (
        _key_arn(default.get("KMSMasterKeyID"), account, region)
        if default["SSEAlgorithm"] != "AES256"
        else None
    )


def _key_of_object(parameters: Mapping[str, Any], account: str, region: str) -> str | None:
    """The key that an object is encrypted with; None for AWS's own key."""
    bucket = _bucket(str(parameters["Bucket"]))
    found = bucket.keys.get(parameters.get("Key")) if bucket else None
    return _key_arn(getattr(found, "kms_key_id", None), account, region)


def _key_of_secret(parameters: Mapping[str, Any], account: str, region: str) -> str | None:
    """The key that a secret is encrypted with; None for AWS's own key."""
    named = str(parameters.get("SecretId", ""))
    secrets = dict.values(secretsmanager_backends[account][region].secrets)
    found = next((each for each in secrets if named in (each.arn, each.name)), None)
    return _key_arn(getattr(found, "kms_key_id", None), account, region)


# (service, placeholder of a resource's ARN): its value, from parameters, account and Region; what
# a service of ours must be asked is in services.py
Lookup = Callable[[Mapping[str, Any], str, str], str | None]
LOOKUPS: dict[tuple[str, str], Lookup] = {
    ("kms", "KeyId"): _key_of_alias,
    ("s3", "BucketKey"): _key_of_bucket,
    ("s3", "ObjectKey"): _key_of_object,
    ("secretsmanager", "SecretKey"): _key_of_secret,
}


def _key_arn(key: str | None, account: str, region: str) -> str | None:
    """The ARN of a key of ours; none for AWS's own, which everybody may use through its service."""
    if not key or "alias/aws/" in key:
        return None
    if "alias/" in key:
        known = _key_of_alias({"KeyId": key}, account, region)
        return f"arn:aws:kms:{region}:{account}:key/{known}" if known else None
    return key if key.startswith("arn:") else f"arn:aws:kms:{region}:{account}:key/{key}"


def secret_arn(arn: str) -> str:
    """The ARN of the secret that `…:secret:NAME-??????` stands for; the pattern itself when there
    is none.
    """
    parts = arn.split(":", 6)
    if len(parts) < 7 or not arn.endswith("-??????"):
        return arn
    found = secretsmanager_backends[parts[4]][parts[3]].secrets.get(
        parts[6].removesuffix("-??????")
    )
    return str(found.arn) if found else arn


def _documents(entity: Any) -> tuple[str, ...]:
    return (
        *entity.policies.values(),
        *(_current(each) for each in list(entity.managed_policies.values())),
    )


def _current(policy: Any) -> str:
    return next(
        _text(each.document)
        for each in policy.versions
        if each.version_id == policy.default_version_id
    )


def _boundary(account: str, arn: str | None) -> str | None:
    """The document of a boundary; of one that does not exist nothing is allowed."""
    if not arn:
        return None
    policy = iam_backends[account]["aws"].managed_policies.get(arn)
    return _current(policy) if policy else json.dumps({"Statement": []})


def _bucket(name: str) -> Any:
    _, account = s3_backends.bucket_accounts.get(name, (None, None))
    return s3_backends[account]["aws"].buckets.get(name) if account else None


def _bucket_policy(name: str, account: str) -> tuple[str | None, str, bool]:
    bucket = _bucket(name)
    if bucket is None:
        return None, account, False
    policy = bucket.policy.decode() if isinstance(bucket.policy, bytes) else bucket.policy
    return policy, bucket.account_id, False


def _trust(role_arn: str) -> str | None:
    try:
        return _text(role(role_arn).assume_role_policy_document)
    except ApiError:
        return None


def _secret_policy(arn: str, account: str, region: str) -> str | None:
    secrets = secretsmanager_backends[account][region].secrets
    found = next((each for each in dict.values(secrets) if each.arn == arn), None)
    return found.policy if found else None


def _iam_tags(account: str, rest: str) -> Mapping[str, str]:
    kind, _, path = rest.partition("/")
    iam, name = iam_backends[account]["aws"], rest.rpartition("/")[2]
    if kind == "role":
        return next(
            (_as_dict(each.tags) for each in list(iam.roles.values()) if each.name == name), NO_TAGS
        )
    if kind == "policy":
        found = iam.managed_policies.get(f"arn:aws:iam::{account}:policy/{path}")
        return _as_dict(found.get_tags()) if found else NO_TAGS
    return _as_dict(iam.tagger.list_tags_for_resource(f"arn:aws:iam::{account}:{rest}")["Tags"])


def _s3_tags(client: Callable[[str], Any], rest: str) -> Mapping[str, str]:
    bucket, slash, key = rest.partition("/")
    s3 = client("s3")
    try:
        found = (
            s3.get_object_tagging(Bucket=bucket, Key=key)
            if slash
            else s3.get_bucket_tagging(Bucket=bucket)
        )
    except ClientError:
        return NO_TAGS
    return _as_dict(found["TagSet"])


def _as_dict(tags: Any) -> dict[str, str]:
    if isinstance(tags, Mapping):
        return dict(tags)
    lower = [
        {name.lower().removeprefix("tag"): value for name, value in each.items()}
        for each in tags or []
    ]
    return {each["key"]: each.get("value", "") for each in lower}


def _filter(arn: str) -> dict[str, Any]:
    return {"Name": "resource-id", "Values": [arn.rpartition("/")[2]]}


def _text(document: Any) -> str:
    return document if isinstance(document, str) else json.dumps(document)
