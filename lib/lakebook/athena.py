"""Athena: the workgroup that every query of the runbook runs in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lakebook import aws, kms
from lakebook.ensure import Call, current, resource

if TYPE_CHECKING:
    from collections.abc import Iterator


@resource
def workgroup(name: str, output: str, key_alias: str = "") -> Iterator[Call]:
    """A workgroup that keeps every result below `output` (s3://…/), encrypted, whatever its clients ask."""
    athena = aws.client("athena")
    have = current(athena.get_work_group, "InvalidRequestException", WorkGroup=name)
    kept = (
        {"EncryptionOption": "SSE_KMS", "KmsKey": kms.key_arn(key_alias)}
        if key_alias
        else {"EncryptionOption": "SSE_S3"}
    )
    results = {"OutputLocation": output, "EncryptionConfiguration": kept}
    if have is None:
        configuration = {"ResultConfiguration": results, "EnforceWorkGroupConfiguration": True}
        yield Call(athena.create_work_group, {"Name": name, "Configuration": configuration})
    elif have["WorkGroup"]["Configuration"].get("ResultConfiguration") != results:
        updates = {"ResultConfigurationUpdates": results, "EnforceWorkGroupConfiguration": True}
        yield Call(athena.update_work_group, {"WorkGroup": name, "ConfigurationUpdates": updates})
