"""Which IAM actions on which resources an API call needs, from AWS's Service Authorization
Reference.
"""

from service_authorization.requirements import Requirement, required
from service_authorization.resources import Lookup

__all__ = ["Lookup", "Requirement", "required"]
