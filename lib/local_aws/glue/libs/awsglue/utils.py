"""The arguments of a job."""

from __future__ import annotations

import argparse
from typing import NoReturn

RESERVED = (
    "job-bookmark-option",
    "job-bookmark-from",
    "job-bookmark-to",
    "JOB_ID",
    "JOB_RUN_ID",
    "SECURITY_CONFIGURATION",
    "encryption-type",
    "enable-data-lineage",
    "TempDir",
)


class GlueArgumentError(Exception):
    """An argument that the script needs is missing or has no value."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise GlueArgumentError(message)


def getResolvedOptions(args: list[str], options: list[str]) -> dict[str, str]:
    """The named arguments and their values; `-` in a name is `_` in the key. Raises
    GlueArgumentError when one is missing.

    https://docs.aws.amazon.com/glue/latest/dg/aws-glue-api-crawler-pyspark-extensions-get-resolved-options.html
    """
    parser = _Parser(allow_abbrev=False, add_help=False)
    for name in dict.fromkeys((*options, *RESERVED)):
        parser.add_argument(f"--{name}", dest=name.replace("-", "_"), required=name in options)
    found = vars(parser.parse_known_args(args[1:])[0])
    return {name: value for name, value in found.items() if value is not None}
