"""AWS's own managed policies, as moto has them: 1,500 documents, read once a process."""

from __future__ import annotations

import copy
import functools
import json
from typing import Any

from moto.iam import models
from moto.iam.aws_managed_policies import aws_managed_policies_data


def read_once() -> None:
    """Moto reads them for each of five partitions, and anew for every account."""
    models.PARTITION_NAMES = ["aws"]
    models.IAMBackend._init_aws_policies = _of_account  # noqa: SLF001


def _of_account(backend: models.IAMBackend) -> list[models.AWSManagedPolicy]:
    """Of its own, as a policy knows how often the account has attached it."""
    return [copy.copy(each) for each in _read(backend.account_id, backend.region_name)]


@functools.cache
def _read(account_id: str, region_name: str) -> list[models.AWSManagedPolicy]:
    documents: dict[str, Any] = json.loads(aws_managed_policies_data)
    return [
        models.AWSManagedPolicy.from_data(name, account_id, region_name, each)
        for name, each in documents.items()
    ]
