"""The one table of AWS's services: which are ours, what of them moto answers, and the paths of our
own that AWS does not have.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from botocore import xform_name
from moto.iam.responses import IamResponse

from local_aws import wire
from local_aws.athena.service import Athena
from local_aws.budgets import Budgets
from local_aws.cloudtrail.service import CloudTrail
from local_aws.directconnect.service import DirectConnect
from local_aws.dms.service import Dms
from local_aws.ec2.service import Ec2
from local_aws.glue import filtered_catalog
from local_aws.glue.service import Glue
from local_aws.iam.service import Iam
from local_aws.kms import Kms
from local_aws.lakeformation.access import Lake
from local_aws.lakeformation.service import LakeFormation
from local_aws.lakeformation.vending import Vending
from local_aws.logs import Logs
from local_aws.quicksight import page
from local_aws.quicksight.service import QuickSight
from local_aws.redshift.clusters import RedshiftClusters
from local_aws.redshift.data import RedshiftData
from local_aws.redshift.serverless import RedshiftServerless
from local_aws.redshift.warehouses import Warehouses
from local_aws.route53 import Route53
from local_aws.route53resolver import Route53Resolver
from local_aws.sagemaker import studio
from local_aws.sagemaker.service import SageMaker
from local_aws.servicequotas import ServiceQuotas
from local_aws.sts import Sts

if TYPE_CHECKING:
    from local_aws.iam.records import Lookup
    from local_aws.service import Service
    from local_aws.stand_in import StandIn

Route = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]  # a WSGI application


@dataclass(frozen=True)
class Entry:
    """Who answers for one service; what is neither ours nor moto's is refused with a loud 501."""

    ours: type[Service] | None = None  # it answers the operations that are its methods
    from_moto: frozenset[str] = frozenset()  # the operations that moto answers truthfully
    # moto keeps the records and no engine stands behind them: it answers all of it truthfully
    moto: bool = False
    # path (or all below one that ends in /): method that answers it (WSGI)
    routes: Mapping[str, Callable[..., Iterable[bytes]]] = field(default_factory=dict)
    # (service, placeholder of a resource's ARN): method that tells its value from the parameters
    lookups: Mapping[tuple[str, str], Callable[..., str | None]] = field(default_factory=dict)

    def answered_by_moto(self, operation: str) -> bool:
        """Whether moto answers an operation truthfully."""
        return self.moto or operation in self.from_moto


def _all(*operations: str) -> frozenset[str]:
    return frozenset(" ".join(operations).split())


SERVICES: dict[str, Entry] = {
    "athena": Entry(
        Athena,
        _all("CreateNamedQuery GetNamedQuery ListNamedQueries"),
        lookups={("athena", "WorkGroupName"): Athena.work_group_of},
    ),
    "budgets": Entry(Budgets),
    "cloudtrail": Entry(CloudTrail, routes={"/_local_aws/cloudtrail": CloudTrail.deliver}),
    "cloudwatch": Entry(moto=True),
    "directconnect": Entry(DirectConnect, _all("CreateLag DeleteLag DescribeLags UpdateLag")),
    "dms": Entry(Dms),
    "ec2": Entry(Ec2, moto=True),
    "events": Entry(moto=True),
    "glue": Entry(
        Glue,
        _all("CreateConnection GetConnection GetConnections GetTags TagResource UntagResource"),
        routes={filtered_catalog.PATH: Glue.filtered},
    ),
    "iam": Entry(
        Iam,
        frozenset(
            each
            for each in wire.model("iam").operation_names
            if hasattr(IamResponse, xform_name(each))
        ),
    ),
    "kms": Entry(
        Kms,
        _all(
            "CreateAlias DeleteAlias DescribeKey DisableKeyRotation EnableKeyRotation",
            "GenerateRandom GetKeyPolicy GetKeyRotationStatus GetPublicKey ListAliases ListGrants",
            "ListKeyPolicies ListKeyRotations ListKeys ListResourceTags ListRetirableGrants",
            "RetireGrant RevokeGrant RotateKeyOnDemand TagResource UntagResource UpdateAlias",
            "UpdateKeyDescription",
        ),
    ),
    "lakeformation": Entry(LakeFormation),
    "logs": Entry(Logs, moto=True),
    "quicksight": Entry(QuickSight, routes={page.PREFIX: QuickSight.page}),
    "redshift": Entry(RedshiftClusters),
    "redshift-data": Entry(RedshiftData),
    "redshift-serverless": Entry(
        RedshiftServerless,
        lookups={
            ("redshift-serverless", "WorkgroupId"): RedshiftServerless.workgroup_id,
            ("redshift-serverless", "NamespaceId"): RedshiftServerless.namespace_id,
            ("redshift-data", "WorkgroupId"): RedshiftServerless.workgroup_id,
        },
    ),
    "resourcegroupstaggingapi": Entry(moto=True),
    "route53": Entry(Route53, moto=True),
    "route53resolver": Entry(
        Route53Resolver,
        _all(
            "AssociateResolverRule CreateResolverEndpoint CreateResolverRule",
            "DeleteResolverEndpoint DeleteResolverRule DisassociateResolverRule",
            "GetResolverEndpoint GetResolverRule GetResolverRuleAssociation",
            "ListResolverEndpointIpAddresses ListResolverEndpoints ListResolverRuleAssociations",
            "ListResolverRules",
        ),
    ),
    "s3": Entry(moto=True),  # but for the objects, which are plain files
    "sagemaker": Entry(
        SageMaker,
        _all(
            "CreateModelCard CreateModelPackage CreateModelPackageGroup DeleteModelCard",
            "DescribeModelCard DescribeModelPackage DescribeModelPackageGroup",
            "ListModelCardVersions ListModelCards ListModelPackageGroups ListModelPackages",
            "UpdateModelCard UpdateModelPackage",
        ),
        routes={studio.PREFIX: SageMaker.page},
    ),
    "secretsmanager": Entry(moto=True),
    "service-quotas": Entry(ServiceQuotas),
    "sns": Entry(moto=True),
    "sqs": Entry(moto=True),
    "ssm": Entry(moto=True),
    "sts": Entry(Sts, _all("GetAccessKeyInfo")),
}
NOBODY_ANSWERS = Entry()


def make(stand_in: StandIn) -> dict[str, Service]:
    """Our services by name, and what several of them share, made once."""
    lake, warehouses = Lake(stand_in.region), Warehouses(stand_in)
    stand_in.lake = Vending(stand_in, lake)
    shared = {
        Glue: (lake,),
        LakeFormation: (lake,),
        RedshiftClusters: (warehouses,),
        RedshiftData: (warehouses,),
        RedshiftServerless: (warehouses,),
    }
    return {
        name: cast("Callable[..., Service]", entry.ours)(stand_in, *shared.get(entry.ours, ()))
        for name, entry in SERVICES.items()
        if entry.ours
    }


def routes(made: Mapping[str, Service]) -> dict[str, Route]:
    """What answers the paths of our own."""
    return {
        path: functools.partial(method, made[name])
        for name, entry in SERVICES.items()
        for path, method in entry.routes.items()
    }


def lookups(made: Mapping[str, Service]) -> dict[tuple[str, str], Lookup]:
    """What our services know of the ARNs that a call is about."""
    return {
        key: functools.partial(method, made[name])
        for name, entry in SERVICES.items()
        for key, method in entry.lookups.items()
    }
