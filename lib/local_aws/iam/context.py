"""What conditions of policies can ask about one request: the global keys, and those of the services
as far as they are known.

The stand-in's own address counts as encrypted (`aws:SecureTransport` is true), and no call comes
through an endpoint of a VPC.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from local_aws.errors import ApiError
from service_authorization.reference import condition_keys

if TYPE_CHECKING:
    from local_aws.principal import Principal

# Keys of AWS that no request to the stand-in has: no organization, no MFA, no VPC endpoint, no
# federation.
ABSENT = {
    *(
        "aws:principalorgid",
        "aws:principalorgpaths",
        "aws:resourceorgid",
        "aws:resourceorgpaths",
        "aws:sourceorgid",
    ),
    *(
        "aws:sourceorgpaths",
        "aws:sourcevpc",
        "aws:sourcevpce",
        "aws:vpcsourceip",
        "aws:multifactorauthage",
    ),
    *(
        "aws:federatedprovider",
        "aws:referer",
        "aws:ec2instancesourcevpc",
        "aws:ec2instancesourceprivateipv4",
    ),
    *(
        "aws:sourceidentity",
        "aws:assumedroot",
        "aws:sourceowner",
        "aws:sourcearn",
        "aws:sourceaccount",
        "aws:principalservicename",
    ),
    *(
        "aws:vpceaccount",
        "aws:vpceorgid",
        "aws:vpceorgpaths",
        "s3:dataaccesspointarn",
        "s3:dataaccesspointaccount",
    ),
    *("s3:accesspointnetworkorigin", "s3:accessgrantsinstancearn", "glue:credentialissuingservice"),
}
PARAMETERS = {  # keys of a service, and the parameter that tells them
    "iam:awsservicename": "AWSServiceName",
    "iam:permissionsboundary": "PermissionsBoundary",
    "iam:policyarn": "PolicyArn",
    "s3:delimiter": "Delimiter",
    "s3:locationconstraint": "CreateBucketConfiguration.LocationConstraint",
    "s3:max-keys": "MaxKeys",
    "s3:object-lock-legal-hold": "ObjectLockLegalHoldStatus",
    "s3:object-lock-mode": "ObjectLockMode",
    "s3:prefix": "Prefix",
    "s3:versionid": "VersionId",
    "s3:x-amz-acl": "ACL",
    "s3:x-amz-copy-source": "CopySource",
    "s3:x-amz-metadata-directive": "MetadataDirective",
    "s3:x-amz-object-ownership": "ObjectOwnership",
    "s3:x-amz-server-side-encryption": "ServerSideEncryption",
    "s3:x-amz-server-side-encryption-aws-kms-key-id": "SSEKMSKeyId",
    "s3:x-amz-storage-class": "StorageClass",
    "s3:x-amz-website-redirect-location": "WebsiteRedirectLocation",
    "sts:durationseconds": "DurationSeconds",
    "sts:externalid": "ExternalId",
    "sts:rolesessionname": "RoleSessionName",
    "sts:sourceidentity": "SourceIdentity",
    "sts:transitivetagkeys": "TransitiveTagKeys",
}
SERVICE_OF_KMS_GRANT = "kms:grantisforawsresource"

Values = list[str] | None


@dataclass
class Context:
    """The condition keys of one request."""

    principal: Principal
    action: str
    resource: str
    region: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    given: Mapping[str, str] = field(
        default_factory=dict
    )  # known already: {"iam:PassedToService": "glue.amazonaws.com"}
    source_ip: str = "127.0.0.1"
    user_agent: str = ""
    # a resource's tags; None: cannot be told
    tags_of: Callable[[str], Mapping[str, str] | None] = lambda _: None

    def values(self, key: str) -> Values:
        """The values of a key, None when the request has none; raises ApiError for a key that is
        not known here.
        """
        name = key.lower()
        for each, value in self.given.items():
            if each.lower() == name:
                return [value]
        if found := _GLOBAL.get(name):
            return found(self)
        prefix, slash, rest = key.partition("/")
        if slash and prefix.lower() in _TAGGED:
            return _TAGGED[prefix.lower()](self, rest)
        if name in ABSENT:
            return None
        return self._of_service(key)

    def text(self, key: str) -> str | None:
        """The one value of a key, for a policy variable."""
        found = self.values(key)
        return found[0] if found and len(found) == 1 else None

    def _of_service(self, key: str) -> Values:
        name = key.lower()
        if name.startswith("kms:encryptioncontext:"):
            pairs = self.parameters.get("EncryptionContext") or {}
            return next(
                ([str(value)] for each, value in pairs.items() if each.lower() == name[22:]), None
            )
        if name in PARAMETERS:
            return _member(self.parameters, PARAMETERS[name].split("."))
        service, _, last = key.partition(":")
        same = [each for each in self.parameters if each.lower() == last.lower()]
        if name in condition_keys(service.lower()) and same:
            return _listed(self.parameters[same[0]])
        raise ApiError(
            "NotInLocalAws",
            f"local_aws does not know the condition key {key}, so it cannot tell whether a policy"
            f" with it allows {self.action}.",
            501,
        )


def request_tags(parameters: Mapping[str, Any]) -> dict[str, str]:
    """The tags that a request gives, however the service writes them."""
    found: dict[str, str] = {}
    for name in (
        "Tags",
        "tags",
        "TagList",
        "TagsList",
        "TagsToAdd",
        "ResourceTags",
        "TagSpecifications",
        "TagSet",
    ):
        found.update(_pairs(parameters.get(name)))
    nested = parameters.get("Tagging")
    return found | (_pairs(nested.get("TagSet")) if isinstance(nested, Mapping) else {})


def _pairs(value: Any) -> dict[str, str]:
    if isinstance(value, Mapping):
        return {str(key): str(each) for key, each in value.items() if isinstance(each, str)}
    found: dict[str, str] = {}
    for each in value if isinstance(value, list) else []:
        if isinstance(each, Mapping):
            lower = {name.lower(): one for name, one in each.items()}
            if "key" in lower or "tagkey" in lower:
                found[str(lower.get("key", lower.get("tagkey")))] = str(
                    lower.get("value", lower.get("tagvalue", ""))
                )
            found.update(_pairs(lower.get("tags")))
    return found


def _member(value: Any, path: list[str]) -> Values:
    for name in path:
        value = value.get(name) if isinstance(value, Mapping) else None
    return _listed(value)


def _listed(value: Any) -> Values:
    if value is None:
        return None
    return [str(each) for each in (value if isinstance(value, list) else [value])]


def _one(text: str | None) -> Values:
    return [text] if text else None


def _tag_keys(context: Context) -> Values:
    removed = _listed(context.parameters.get("TagKeys") or context.parameters.get("tagKeys"))
    return removed or list(request_tags(context.parameters)) or None


def _resource_tag(context: Context, name: str) -> Values:
    tags = context.tags_of(context.resource)
    if tags is None:
        raise ApiError(
            "NotInLocalAws",
            f"local_aws does not know the tags of {context.resource}, so it cannot evaluate"
            f" aws:ResourceTag/{name}.",
            501,
        )
    return _one(tags.get(name))


def _account_of(context: Context) -> Values:
    parts = context.resource.split(":")
    return _one(parts[4] if len(parts) > 5 and parts[4] else context.principal.account)


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


def _user_id(context: Context) -> Values:
    return _one(context.principal.id)


def _mfa(context: Context) -> Values:
    # long-term keys have not the key at all
    return ["false"] if context.principal.type == "AssumedRole" else None


def _token_time(context: Context) -> Values:
    return _one(context.principal.started.isoformat()) if context.principal.started else None


_TYPES = {"IAMUser": "User", "AWSAccount": "Anonymous"}
_GLOBAL: dict[str, Callable[[Context], Values]] = {
    "aws:calledvia": lambda context: list(context.principal.called_via) or None,
    "aws:calledviafirst": lambda context: list(context.principal.called_via[:1]) or None,
    "aws:calledvialast": lambda context: list(context.principal.called_via[-1:]) or None,
    "aws:currenttime": lambda _: [_now().isoformat()],
    "aws:epochtime": lambda _: [str(int(_now().timestamp()))],
    "aws:multifactorauthpresent": _mfa,
    "aws:principalaccount": lambda context: _one(context.principal.account),
    "aws:principalarn": lambda context: (
        None if context.principal.type == "AWSService" else [context.principal.policy_arn]
    ),
    "aws:principalisawsservice": lambda context: [
        str(context.principal.type == "AWSService").lower()
    ],
    "aws:principaltype": lambda context: [
        _TYPES.get(context.principal.type, context.principal.type)
    ],
    "aws:requestedregion": lambda context: [context.region],
    "aws:resourceaccount": _account_of,
    "aws:securetransport": lambda _: ["true"],
    "aws:sourceip": lambda context: None if context.principal.called_via else [context.source_ip],
    "aws:tagkeys": _tag_keys,
    "aws:tokenissuetime": _token_time,
    "aws:useragent": lambda context: _one(context.user_agent),
    "aws:userid": _user_id,
    "aws:username": lambda context: _one(context.principal.user_name),
    "aws:viaawsservice": lambda context: [str(bool(context.principal.called_via)).lower()],
    "kms:calleraccount": lambda context: _one(context.principal.account),
    "kms:encryptioncontextkeys": (
        lambda context: list(context.parameters.get("EncryptionContext") or {}) or None
    ),
    SERVICE_OF_KMS_GRANT: lambda context: [str(bool(context.principal.called_via)).lower()],
    "kms:viaservice": lambda _: None,  # what comes through a service says so itself
    "iam:passedtoservice": lambda _: None,
    "ec2:createaction": lambda _: None,
    "s3:authtype": lambda _: ["REST-HEADER"],
    "s3:resourceaccount": _account_of,
    "s3:signatureversion": lambda _: ["AWS4-HMAC-SHA256"],
    "s3:tlsversion": lambda _: ["1.3"],
}
_TAGGED: dict[str, Callable[[Context, str], Values]] = {
    "aws:principaltag": lambda context, name: _one(dict(context.principal.session_tags).get(name)),
    "aws:requesttag": lambda context, name: _one(request_tags(context.parameters).get(name)),
    "aws:resourcetag": _resource_tag,
    "ec2:resourcetag": _resource_tag,
    "iam:resourcetag": _resource_tag,
    "secretsmanager:resourcetag": _resource_tag,
    "s3:existingobjecttag": _resource_tag,
    "s3:requestobjecttag": lambda context, name: _one(_query_tags(context.parameters).get(name)),
}


def _query_tags(parameters: Mapping[str, Any]) -> dict[str, str]:
    text = parameters.get("Tagging", "")
    pairs = (each.partition("=") for each in text.split("&")) if isinstance(text, str) else ()
    return {name: value for name, _, value in pairs if name}
