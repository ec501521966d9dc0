"""Route 53 Resolver: moto keeps rules and their associations with VPCs; no name is resolved by
them.
"""

from __future__ import annotations

from local_aws.service import Service


class Route53Resolver(Service):
    """Endpoints, rules and associations, as records."""
