"""Which IAM actions on which resources an API call needs, from AWS's Service Authorization Reference."""

from service_authorization.requirements import Lookup, Requirement, required

__all__ = ["Lookup", "Requirement", "required"]
