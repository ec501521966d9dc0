"""The parameter `sources`: names of further sources, each with what differs for it from the file's
own parameters in the phases that serve one source.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from lakebook.errors import ParametersError
from lakebook.sources import DEFAULT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

# part of names of DMS, which take no two hyphens side by side and none at the end
NAME = re.compile(r"(?=.{1,31}$)[a-z][a-z0-9]*(_[a-z0-9]+)*")
RESERVED = (DEFAULT, "landing")  # the default source, and the documents below the raw layer
OF_THE_LAKE = (
    *("environment", "account", "region", "prefix", "apply", "source", "lob_max_kilobytes"),
    *("vpc_id", "vpc_cidr", "subnet_ids", "interface_endpoints", "operator_policy"),
    *("transit_gateway_id", "virtual_private_gateway_id", "retired_tables"),
)
OF_AN_INSTANCE = ("replication_instance_class", "allocated_storage_gib")
NEEDED = ("source_secret", "source_schemas")


def check(
    sources: dict[str, Any], schemas: Iterable[str], refuse: Callable[[str, Any], None]
) -> None:
    """Raise ParametersError, with one sentence, where a source cannot be meant like that.

    `schemas` are those of the default source; `refuse` raises on a parameter that the phases which
    serve a source do not declare, or on a value of another type.
    """
    for name, given in sources.items():
        if not isinstance(name, str) or not NAME.fullmatch(name) or name in RESERVED:
            raise ParametersError(
                f"sources: {name!r} cannot be a source's name: take up to 31 small letters, digits"
                f" and single underscores, a letter first, but not {' or '.join(RESERVED)}."
            )
        if name in schemas:
            raise ParametersError(
                f"sources: {name} is a schema of the default source, too, and their files would lie"
                " in each other: give the source another name."
            )
        if not isinstance(given, dict):
            raise ParametersError(
                f"sources.{name} must be a mapping: {{source_secret: …, source_schemas: […]}}."
            )
        _check_one(name, given, refuse)


def _check_one(name: str, given: dict[str, Any], refuse: Callable[[str, Any], None]) -> None:
    for key, value in given.items():
        if key in OF_THE_LAKE:
            raise ParametersError(
                f"sources.{name}: {key} is the same for all sources: say it at the top of the file."
            )
        try:
            refuse(str(key), value)
        except ParametersError as error:
            raise ParametersError(f"sources.{name}: {error}") from error
    if missing := [each for each in NEEDED if not given.get(each)]:
        raise ParametersError(
            f"sources.{name} has no {' and no '.join(missing)}: no source takes another's."
        )
    shared = [each for each in OF_AN_INSTANCE if each in given]
    if shared and not given.get("own_replication_instance"):
        raise ParametersError(
            f"sources.{name}: {shared[0]} is that of the instance which all sources share: say it"
            " at the top of the file, or own_replication_instance: true here."
        )
