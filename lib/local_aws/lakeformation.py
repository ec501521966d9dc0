"""Lake Formation: moto keeps settings, locations, grants and tags; nothing is enforced yet."""

from __future__ import annotations

from local_aws.service import Service


class LakeFormation(Service):
    """The operations whose records moto keeps truthfully; the rest is refused."""

    name = "lakeformation"
    from_moto = frozenset(
        [
            "GetDataLakeSettings",
            "PutDataLakeSettings",
            "RegisterResource",
            "DeregisterResource",
            "DescribeResource",
            "ListResources",
            "GrantPermissions",
            "RevokePermissions",
            "ListPermissions",
            "BatchGrantPermissions",
            "BatchRevokePermissions",
            "CreateLFTag",
            "GetLFTag",
            "ListLFTags",
            "DeleteLFTag",
            "UpdateLFTag",
            "AddLFTagsToResource",
            "RemoveLFTagsFromResource",
            "GetResourceLFTags",
        ]
    )
