"""AWS DMS: full loads of PostgreSQL sources to S3, really done; instances and subnet groups are
records.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from local_aws.dms.tasks import Tasks
from local_aws.errors import ApiError

if TYPE_CHECKING:
    from local_aws.service import Call


class Dms(Tasks):
    """All of DMS that is here; changes (CDC), serverless replication, assessments and validation
    are refused.
    """

    def AddTagsToResource(self, call: Call) -> dict[str, Any]:
        """Adds tags; returns {}."""
        with self.lock:
            tags = find_tags(self, call.parameters["ResourceArn"])
            tags.update({each["Key"]: each.get("Value", "") for each in call.parameters["Tags"]})
        return {}

    def ListTagsForResource(self, call: Call) -> dict[str, Any]:
        """The tags of one resource, or of several."""
        arns = call.parameters.get("ResourceArnList") or [call.parameters["ResourceArn"]]
        return {
            "TagList": [
                {"Key": k, "Value": v, "ResourceArn": arn}
                for arn in arns
                for k, v in find_tags(self, arn).items()
            ]
        }

    def RemoveTagsFromResource(self, call: Call) -> dict[str, Any]:
        """Removes tags; returns {}."""
        with self.lock:
            tags = find_tags(self, call.parameters["ResourceArn"])
            for key in call.parameters["TagKeys"]:
                tags.pop(key, None)
        return {}


def find_tags(dms: Dms, arn: str) -> dict[str, str]:
    """The tags of a resource; raises ResourceNotFoundFault."""
    if arn not in dms.tags:
        raise ApiError("ResourceNotFoundFault", f"Resource not found: {arn}")
    return dms.tags[arn]
