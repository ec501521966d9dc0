"""Service quotas: whether what the runbook still makes fits into the account."""

from __future__ import annotations

from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from lakebook import aws
from lakebook.diagnosis.answers import Absent, Broken, described
from lakebook.diagnosis.path import dms_thing
from lakebook.ensure import current

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lakebook.diagnosis.path import Path


def quotas(path: Path) -> str:
    """Whether every quota leaves room for what is not there yet."""
    seen = []
    for service, code, what, used, more in _needs(path):
        value = _value(service, code)
        seen.append(f"{what}: {more} more, {used} there, {value:.0f} allowed")
        if used + more > value:
            raise Broken(
                seen[-1],
                f"Ask for an increase of the quota {service} {code}, {what}, to {used + more} or"
                " more (RequestServiceQuotaIncrease).",
            )
    return "; ".join(seen)


def _value(service: str, code: str) -> float:
    """The value of a quota: the one applied to the account, or AWS's default where there is no
    other.
    """
    client, which = aws.client("service-quotas"), {"ServiceCode": service, "QuotaCode": code}
    applied = current(client.get_service_quota, "NoSuchResourceException", **which)
    return float((applied or client.get_aws_default_service_quota(**which))["Quota"]["Value"])


def _needs(path: Path) -> Iterator[tuple[str, str, str, int, int]]:
    """Service, quota code, what it counts, how many there are, and how many more the runbook
    makes.
    """
    name = path.names.resource
    interfaces = _interface_endpoints(path)
    yield "vpc", "L-F678F1CE", "VPCs", _count("ec2", "vpcs"), int(not _vpc(path))
    wanted = {
        f"com.amazonaws.{path.names.region}.{each}" for each in path.interface_endpoints
    } - interfaces
    yield "vpc", "L-29B6F2EB", "interface endpoints of the VPC", len(interfaces), len(wanted)
    ours = {
        "L-C2341CDC": ("replication_instances", "replication-instance-id", [name("dms")]),
        "L-27B24FAD": ("replication_subnet_groups", "replication-subnet-group-id", [name("dms")]),
        "L-E17328E9": ("endpoints", "endpoint-id", [name("source"), name("raw")]),
        "L-7FD3593B": ("replication_tasks", "replication-task-id", [name("full-load")]),
    }
    for code, (kind, key, members) in ours.items():
        missing = sum(dms_thing(kind, key, each) is None for each in members)
        yield "dms", code, kind.replace("_", " "), _count("dms", kind), missing
    yield "glue", "L-5E4153CA", "Glue job runs at once", _running_jobs(), 1


def _count(service: str, kind: str) -> int:
    member = "".join(word.capitalize() for word in kind.split("_"))
    try:
        return len(described(service, f"describe_{kind}", member))
    except ClientError as error:
        if error.response["Error"]["Code"] == "ResourceNotFoundFault":
            return 0
        raise


def _running_jobs() -> int:
    """The runs of Glue jobs that go on now; a job's newest run is asked for, as one runs at a time
    by default.
    """
    names = [each["Name"] for each in described("glue", "get_jobs", "Jobs")]
    newest = [
        aws.client("glue").get_job_runs(JobName=each, MaxResults=1)["JobRuns"] for each in names
    ]
    return sum(
        run["JobRunState"] in ("STARTING", "RUNNING", "STOPPING") for runs in newest for run in runs
    )


def _vpc(path: Path) -> str:
    try:
        return path.vpc_id
    except Absent:
        return ""


def _interface_endpoints(path: Path) -> set[str]:
    return (
        {e["ServiceName"] for e in path.endpoints if e["VpcEndpointType"] == "Interface"}
        if _vpc(path)
        else set()
    )
