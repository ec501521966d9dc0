"""Every name the runbook gives in AWS, derived from the parameters alone."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Names:
    """The names of one environment: `acme-rehearsal-raw`, `acme_rehearsal_curated`, …"""

    prefix: str
    environment: str
    account: str
    region: str

    def resource(self, name: str, source: str = "") -> str:
        """`acme-rehearsal-<name>`, for whatever AWS names with hyphens; with the name of a source
        behind it where there is one.
        """
        own = f"-{source.replace('_', '-')}" if source else ""
        return f"{self.prefix}-{self.environment}-{name}{own}"

    @property
    def raw_bucket(self) -> str:
        """What DMS writes."""
        return self.resource("raw")

    @property
    def curated_bucket(self) -> str:
        """What Glue writes and people read."""
        return self.resource("curated")

    @property
    def jobs_bucket(self) -> str:
        """Scripts, manifests, job results and query results: everything that is not data of the
        company.
        """
        return self.resource("jobs")

    @property
    def audit_bucket(self) -> str:
        """What CloudTrail writes and nobody may change."""
        return self.resource("audit")

    @property
    def tags(self) -> dict[str, str]:
        """What everything we make carries, and nothing that was there before: the teardown goes by
        it.
        """
        return {"lakebook:prefix": self.prefix, "lakebook:environment": self.environment}

    @property
    def boundary_arn(self) -> str:
        """The managed policy that no role we make can exceed."""
        return f"arn:aws:iam::{self.account}:policy/{self.resource('boundary')}"

    def database(self, layer: str) -> str:
        """The Glue database of a layer: `acme_rehearsal_curated` (Athena wants no hyphens)."""
        return self.resource(layer).replace("-", "_")

    def role_arn(self, name: str, source: str = "") -> str:
        """The ARN of one of our roles, or of a source's."""
        return f"arn:aws:iam::{self.account}:role/{self.resource(name, source)}"
