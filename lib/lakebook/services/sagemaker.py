"""SageMaker: roles, jobs that train and that predict, models with their registry and cards, and the
data scientists' Studio.
"""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING, Any

from lakebook import aws
from lakebook.ensure import Call, Resource, current, resource
from lakebook.errors import LakebookError
from lakebook.evidence import result
from lakebook.services import ec2, iam, s3, vpc_endpoints

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from lakebook.names import Names

STUDIO_ENDPOINTS = ["sagemaker.api", "sagemaker.runtime"]
GONE = "ValidationException"  # what describing something answers that is not there
NOT_FOUND = "ResourceNotFound"  # of cards, domains and profiles
IN_VPC = [
    "ec2:CreateNetworkInterface",
    "ec2:CreateNetworkInterfacePermission",
    "ec2:DeleteNetworkInterface",
    "ec2:DeleteNetworkInterfacePermission",
    "ec2:DescribeDhcpOptions",
    "ec2:DescribeNetworkInterfaces",
    "ec2:DescribeSecurityGroups",
    "ec2:DescribeSubnets",
    "ec2:DescribeVpcs",
]
IMAGES = [
    "ecr:BatchCheckLayerAvailability",
    "ecr:BatchGetImage",
    "ecr:GetAuthorizationToken",
    "ecr:GetDownloadUrlForLayer",
]
LOGS = [
    "logs:CreateLogGroup",
    "logs:CreateLogStream",
    "logs:DescribeLogStreams",
    "logs:PutLogEvents",
]


def roles(names: Names) -> list[Resource]:
    """The role of jobs: reads and writes what models are made of, and writes predictions; nothing
    else of the lake.

    Source: "How to use SageMaker AI execution roles".
    """
    jobs, curated = (f"arn:aws:s3:::{each}" for each in (names.jobs_bucket, names.curated_bucket))
    allow = {
        f"{jobs}/models/*": ["s3:GetObject", "s3:PutObject"],
        f"{curated}/models/*": ["s3:PutObject"],
        jobs: ["s3:ListBucket"],
        curated: ["s3:ListBucket"],
        f"arn:aws:logs:{names.region}:{names.account}:log-group:/aws/sagemaker/*": LOGS,
    }
    metrics = {
        "StringEquals": {
            "cloudwatch:namespace": ["/aws/sagemaker/TrainingJobs", "/aws/sagemaker/TransformJobs"]
        }
    }
    statements: list[dict[str, Any]] = [
        {"Action": [*IN_VPC, *IMAGES], "Resource": "*"},
        {"Action": "cloudwatch:PutMetricData", "Resource": "*", "Condition": metrics},
    ]
    return [
        iam.service_role(
            names, "sagemaker", "sagemaker.amazonaws.com", allow=allow, statements=statements
        )
    ]


@resource
def trained(base_name: str, desired: dict[str, Any], timeout_seconds: float) -> Iterator[Call]:
    """A training job of this name that Completed; a name is used up by any job, so another try has
    another number behind it.

    Raises LakebookError with the job's own reason when it fails.
    """
    yield from _job("training", base_name, desired, timeout_seconds)


@resource
def transformed(
    base_name: str, desired: dict[str, Any], output: str, timeout_seconds: float
) -> Iterator[Call]:
    """A batch transform job of this name that Completed; what an earlier try left in `output` goes
    first.

    Raises LakebookError with the job's own reason when it fails.
    """
    yield from _job("transform", base_name, desired, timeout_seconds, output)


def completed(kind: str, base_name: str) -> dict[str, Any] | None:
    """The newest Completed job of this name as SageMaker describes it, or None; `kind` is training
    or transform.
    """
    done = [
        each for each in _jobs(kind, base_name) if each[f"{_member(kind)}Status"] == "Completed"
    ]
    return _describe(kind, str(done[0][f"{_member(kind)}Name"])) if done else None


@resource
def model(
    name: str, container: Callable[[], dict[str, Any]], rest: dict[str, Any]
) -> Iterator[Call]:
    """A model, which never changes: another artifact has another name. `container` is asked when it
    is made.
    """
    sagemaker = aws.client("sagemaker")
    if current(sagemaker.describe_model, GONE, ModelName=name) is None:
        arguments = {"ModelName": name, "PrimaryContainer": container(), **rest}
        yield Call(sagemaker.create_model, arguments)


@resource
def package_group(name: str, description: str, tags: dict[str, str]) -> Iterator[Call]:
    """The registry's shelf for the versions of one model."""
    sagemaker = aws.client("sagemaker")
    if current(sagemaker.describe_model_package_group, GONE, ModelPackageGroupName=name) is None:
        arguments = {"ModelPackageGroupName": name, "ModelPackageGroupDescription": description}
        yield Call(sagemaker.create_model_package_group, {**arguments, "Tags": iam.as_list(tags)})


@resource
def package(group: str, desired: Callable[[], dict[str, Any]], fact: str) -> Iterator[Call]:
    """A version in the group whose metadata has this `fact` under `inputs`; it waits for somebody's
    approval.
    """
    sagemaker = aws.client("sagemaker")
    if version(group, fact) is None:
        yield Call(
            sagemaker.create_model_package,
            {
                "ModelPackageGroupName": group,
                "ModelApprovalStatus": "PendingManualApproval",
                "CustomerMetadataProperties": {"inputs": fact},
                **desired(),
            },
        )


def version(group: str, fact: str) -> dict[str, Any] | None:
    """The version of a group that was made of these inputs, as the registry describes it; None
    where there is none.
    """
    sagemaker = aws.client("sagemaker")
    if current(sagemaker.describe_model_package_group, GONE, ModelPackageGroupName=group) is None:
        return None
    pages = sagemaker.get_paginator("list_model_packages").paginate(ModelPackageGroupName=group)
    for each in (one for page in pages for one in page["ModelPackageSummaryList"]):
        arn = each["ModelPackageArn"]
        found: dict[str, Any] = {**sagemaker.describe_model_package(ModelPackageName=arn)}
        if found.get("CustomerMetadataProperties", {}).get("inputs") == fact:
            return found
    return None


@resource
def card(name: str, content: Callable[[], dict[str, Any]], tags: dict[str, str]) -> Iterator[Call]:
    """A model card, a draft until somebody approves it; another content is another version of
    it.
    """
    sagemaker, desired = aws.client("sagemaker"), content()
    actual = current(sagemaker.describe_model_card, NOT_FOUND, ModelCardName=name)
    if actual is None:
        arguments = {
            "ModelCardName": name,
            "Content": json.dumps(desired),
            "ModelCardStatus": "Draft",
        }
        yield Call(sagemaker.create_model_card, {**arguments, "Tags": iam.as_list(tags)})
    elif json.loads(actual["Content"]) != desired:
        yield Call(
            sagemaker.update_model_card, {"ModelCardName": name, "Content": json.dumps(desired)}
        )


def studio(
    names: Names,
    people: list[str],
    vpc_id: str,
    subnet_ids: list[str],
    security_group_ids: list[str],
) -> list[Resource]:
    """A Studio domain without a way to the internet, in which each of these people works as the
    data scientist; nothing for nobody.
    """
    if not people:
        return []
    settings = {
        "ExecutionRole": names.role_arn("data-scientist"),
        "SecurityGroups": security_group_ids,
    }
    desired = {
        "AuthMode": "IAM",
        "DefaultUserSettings": settings,
        "SubnetIds": subnet_ids,
        "VpcId": vpc_id,
        "AppNetworkAccessType": "VpcOnly",
        "Tags": iam.as_list(names.tags),
    }
    name = names.resource("studio")
    return [domain(name, desired), *(user_profile(each, name) for each in people)]


def studio_lacks(network: ec2.Network, people: list[str]) -> list[str]:
    """The endpoints without which Studio does not start, each with its state, in subnets without a
    way to the internet; none for nobody.

    Source: "Connect Amazon SageMaker Studio in a VPC to external resources".
    """
    if not people or network.has_default_route():
        return []
    found = vpc_endpoints.unavailable(network, STUDIO_ENDPOINTS)
    return [each for each in found if ".sagemaker." in each]


def tell_studio(names: Names, people: list[str]) -> None:
    """Say how a person, as the data scientist, gets the address that opens Studio once, within five
    minutes.
    """
    for each in people:
        result(
            f"Studio for {each}",
            "aws sagemaker create-presigned-domain-url --domain-id"
            f" {domain_id(names.resource('studio'))} --user-profile-name {each}",
        )


@resource
def domain(name: str, desired: dict[str, Any]) -> Iterator[Call]:
    """A Studio domain that is InService."""
    if domain_id(name) is None:
        method = aws.client("sagemaker").create_domain
        yield Call(method, {"DomainName": name, **desired}, until=lambda _: _awaits_domain(name))


@resource
def user_profile(name: str, domain_name: str) -> Iterator[Call]:
    """A person's place in a domain, with the domain's settings."""
    sagemaker, found = aws.client("sagemaker"), domain_id(domain_name)
    where = {"DomainId": found or f"<the domain {domain_name}>", "UserProfileName": name}
    if found is None or current(sagemaker.describe_user_profile, NOT_FOUND, **where) is None:
        yield Call(sagemaker.create_user_profile, where, until=lambda _: _awaits_profile(where))


def domain_id(name: str) -> str | None:
    """The id of the domain with this name, or None."""
    pages = aws.client("sagemaker").get_paginator("list_domains").paginate()
    return next(
        (
            str(each["DomainId"])
            for page in pages
            for each in page["Domains"]
            if each["DomainName"] == name
        ),
        None,
    )


def _job(
    kind: str, base_name: str, desired: dict[str, Any], timeout_seconds: float, output: str = ""
) -> Iterator[Call]:
    sagemaker, member = aws.client("sagemaker"), _member(kind)
    tries = _jobs(kind, base_name)
    state = tries[0][f"{member}Status"] if tries else ""
    if state == "Completed" and (not output or s3.objects(output)):
        return
    if state in ("InProgress", "Stopping"):  # somebody started it and went away
        name, describe = str(tries[0][f"{member}Name"]), getattr(sagemaker, f"describe_{kind}_job")
        until = partial(_awaits_job, kind, name)
        yield Call(
            describe,
            {f"{member}Name": name},
            until=lambda _: until(),
            timeout_seconds=timeout_seconds,
        )
        return
    yield from s3.emptied(output) if output else ()
    name = f"{base_name}-{len(tries) + 1}"
    yield Call(
        getattr(sagemaker, f"create_{kind}_job"),
        {f"{member}Name": name, **desired},
        until=lambda _: _awaits_job(kind, name),
        timeout_seconds=timeout_seconds,
    )


def _jobs(kind: str, base_name: str) -> list[dict[str, Any]]:
    """The jobs of a name with any number behind it, the newest first."""
    member = _member(kind)
    client: Any = aws.client("sagemaker")
    pages = client.get_paginator(f"list_{kind}_jobs").paginate(NameContains=base_name)
    found = [each for page in pages for each in page[f"{member}Summaries"]]
    ours = [each for each in found if str(each[f"{member}Name"]).rpartition("-")[0] == base_name]
    return sorted(
        ours, key=lambda each: int(str(each[f"{member}Name"]).rpartition("-")[2]), reverse=True
    )


def _member(kind: str) -> str:
    return f"{kind.capitalize()}Job"


def _describe(kind: str, name: str) -> dict[str, Any]:
    found: dict[str, Any] = getattr(aws.client("sagemaker"), f"describe_{kind}_job")(
        **{f"{_member(kind)}Name": name}
    )
    return found


def _awaits_job(kind: str, name: str) -> str | None:
    job = _describe(kind, name)
    state = str(job[f"{_member(kind)}Status"])
    if state in ("Failed", "Stopped"):
        reason = job.get("FailureReason") or job.get("SecondaryStatus") or "no reason given"
        raise LakebookError(
            f"The SageMaker {kind} job {name} ended {state}: {' '.join(reason.split())} (log group"
            f" /aws/sagemaker/{_member(kind)}s, stream {name}/…); the lake is as it was."
        )
    return None if state == "Completed" else str(job.get("SecondaryStatus", state))


def _awaits_domain(name: str) -> str | None:
    domain = domain_id(name)
    if domain is None:
        return "not listed yet"
    return _awaits_service(
        f"domain {name}", aws.client("sagemaker").describe_domain(DomainId=domain)
    )


def _awaits_profile(where: dict[str, str]) -> str | None:
    return _awaits_service(
        f"user profile {where['UserProfileName']}",
        aws.client("sagemaker").describe_user_profile(**where),
    )


def _awaits_service(what: str, found: Mapping[str, Any]) -> str | None:
    if "Failed" in found["Status"]:
        raise LakebookError(
            f"The Studio {what} is {found['Status']}:"
            f" {found.get('FailureReason', 'no reason given')}."
        )
    return None if found["Status"] == "InService" else str(found["Status"])
