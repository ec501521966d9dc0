"""Route 53 Resolver: moto keeps rules and their associations with VPCs; no name is resolved by
them.
"""

from __future__ import annotations

from typing import ClassVar

from local_aws.service import Service


class Route53Resolver(Service):
    """Endpoints, rules and associations, as records."""

    name: ClassVar[str] = "route53resolver"
    from_moto: ClassVar[frozenset[str]] = frozenset(
        [
            "AssociateResolverRule",
            "CreateResolverEndpoint",
            "CreateResolverRule",
            "DeleteResolverEndpoint",
            "DeleteResolverRule",
            "DisassociateResolverRule",
            "GetResolverEndpoint",
            "GetResolverRule",
            "GetResolverRuleAssociation",
            "ListResolverEndpointIpAddresses",
            "ListResolverEndpoints",
            "ListResolverRuleAssociations",
            "ListResolverRules",
        ]
    )
