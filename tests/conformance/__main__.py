"""Ask AWS the questions that only a real account can settle, and write down its answers."""

import argparse
import csv
import os
import sys
import time
from pathlib import Path

import boto3
from botocore.exceptions import BotoCoreError, ClientError

sys.path.insert(0, str(Path(__file__).parents[1]))
import conformance.audit
import conformance.catalog
import conformance.dashboards
import conformance.endpoints
import conformance.identity
import conformance.jobs
import conformance.models
import conformance.network
import conformance.replication
import conformance.storage
import conformance.warehouse  # noqa: F401
from conformance.question import AT_MOST_USD, PREFIX, QUESTIONS, NotAsked, Sandbox

ORDER = list(AT_MOST_USD)


def main():
    """Exit code 0 when every answer is as documented, 1 otherwise, 2 where nothing was asked."""
    options = _options()
    asked = [each for each in QUESTIONS if ORDER.index(each.cost) <= ORDER.index(options.cost)]
    # what is dear is made once for all questions of a module
    bound = sum(AT_MOST_USD[each.cost] for each in asked if each.cost != "dollars")
    dear = {each.ask.__module__ for each in asked if each.cost == "dollars"}
    bound += len(dear) * AT_MOST_USD["dollars"]
    print(f"{len(asked)} questions, at most {bound:.2f} USD, in account {options.account}.")
    if refused := _refused(options, bound):
        print(refused, file=sys.stderr)
        return 2
    subnets = [each for each in options.subnet_ids.split(",") if each]
    sandbox = Sandbox(options.account, options.region, options.source_secret, subnets)
    with sandbox.undo:
        rows = [answered(each, sandbox) for each in asked]
        # written before anything is undone, which may fail
        moment = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        file = Path("outputs", "conformance", f"{moment}.csv")
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("w", newline="") as opened:
            table = csv.DictWriter(opened, rows[0])
            table.writeheader()
            table.writerows(rows)
        print(f"The answers are in {file}.")
    return int(any(each["verdict"] in ("different", "refused") for each in rows))


def answered(question, sandbox):
    """A line of the table: question, verdict, documented, found, source."""
    try:
        found = question.ask(sandbox)
        verdict = "as documented" if found == question.documented else "different"
    except NotAsked as lacking:
        found, verdict = str(lacking), "not asked"
    except Exception as error:  # noqa: BLE001 - the others are asked all the same
        found, verdict = f"{type(error).__name__}: {error}", "refused"
    print(f"{verdict:14} {question.name}", *([] if verdict == "as documented" else [found]))
    told = {"documented": question.documented, "found": found, "source": question.source}
    return {"question": question.sentence, "verdict": verdict, **told}


def _options():
    parser = argparse.ArgumentParser(prog="make conformance", description=__doc__)
    parser.add_argument("--account", required=True, help="the sandbox account, by its number")
    parser.add_argument("--region", required=True)
    parser.add_argument("--cost", choices=ORDER, default="free", help="the dearest to be asked")
    parser.add_argument("--spend-at-most", type=float, default=0, metavar="USD")
    parser.add_argument("--source-secret", default="", help="of a PostgreSQL, for DMS")
    parser.add_argument(
        "--subnet-ids",
        default="",
        help="of two Availability Zones, for DMS; of three, for Redshift too",
    )
    return parser.parse_args()


def _refused(options, bound):
    """Why nothing is asked, in one sentence; "" where nothing speaks against it."""
    if os.environ.get("AWS_ENDPOINT_URL"):
        return "AWS_ENDPOINT_URL is set: that is not AWS; the tests ask the stand-in."
    if bound > options.spend_at_most:
        return f"This may cost {bound:.2f} USD; agree with --spend-at-most {bound:.2f}."
    try:
        found = boto3.client("sts", region_name=options.region).get_caller_identity()["Account"]
    except (BotoCoreError, ClientError) as error:
        return f"AWS does not say whose credentials these are: {error}"
    if found != options.account:
        return f"These credentials belong to account {found}; --account names {options.account}."
    roles = boto3.client("iam").get_paginator("list_roles").paginate()
    if any(each["RoleName"].startswith(PREFIX) for page in roles for each in page["Roles"]):
        return f"Roles named {PREFIX}… are there from an earlier time: delete them first."
    return ""


if __name__ == "__main__":
    sys.exit(main())
