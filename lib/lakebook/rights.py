"""The rights that a notebook's API calls need, kept in its executed copy: what a least-privilege
policy is made of.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from IPython import get_ipython

from lakebook.evidence import record
from service_authorization import required

if TYPE_CHECKING:
    import boto3

Right = tuple[
    str, tuple[str, ...], tuple[tuple[str, str], ...]
]  # action, resource ARNs, condition keys with their values

READS = re.compile("(Get|List|Describe|Head|BatchGet|Search|Simulate|Lookup|Filter|View)")

# what no operation of its own asks for: Athena reads a registered location with what Lake Formation
# vends its caller
# https://docs.aws.amazon.com/lake-formation/latest/dg/access-control-underlying-data.html
VENDED: Right = ("lakeformation:GetDataAccess", ("*",), ())


class Recorder:
    """Takes note of every call that the session's clients make, ours and awswrangler's, and records
    at the end of a cell what is new.

    Only actions and resources are kept, never the parameters: they may hold SQL, data or a policy.
    """

    def __init__(self, account: str, region: str) -> None:
        self.account, self.region = account, region
        self._known: set[Right] = set()
        self._new: set[Right] = set()
        # what may change something, AWS's id of it, and how often it was tried again
        self._requests: list[tuple[str, str, int]] = []

    def watch(self, session: boto3.session.Session) -> None:
        """Begin; nothing happens outside a notebook."""
        notebook = get_ipython()
        if notebook:
            session.events.register("provide-client-params", self.take, unique_id="lakebook-rights")
            session.events.register("after-call", self.answered, unique_id="lakebook-requests")
            notebook.events.register("post_run_cell", self.keep)

    def take(self, params: dict[str, Any], model: Any, **_: Any) -> None:
        """Note what one call needs."""
        service = model.service_model.service_name
        for each in required(service, model.name, params, self.account, self.region):
            context = dict(each.context)
            if each.action == "iam:CreateRole" and "PermissionsBoundary" in params:
                context["iam:PermissionsBoundary"] = params["PermissionsBoundary"]
            self._new.add(
                (each.action, tuple(map(_redacted, each.resources)), tuple(sorted(context.items())))
            )
        if model.name == "StartQueryExecution":
            self._new.add(VENDED)

    def answered(self, parsed: dict[str, Any], model: Any, **_: Any) -> None:
        """Note a call that may have changed something, under the id that CloudTrail has for it."""
        if not READS.match(model.name):
            told = parsed.get("ResponseMetadata", {})
            action = f"{model.service_model.signing_name}:{model.name}"
            again = told.get("RetryAttempts", 0)
            self._requests.append((action, told.get("RequestId", ""), again))

    def keep(self, *_: Any) -> None:
        """Record what no earlier cell needed, and every changing call of this one."""
        if self._requests:
            record("requests", made=self._requests)
        self._requests = []
        if fresh := sorted(self._new - self._known):
            record("rights", used=fresh)
        self._known |= self._new
        self._new = set()


def _redacted(arn: str) -> str:
    """An ARN without the name of a document: `landing/letters/passenger_id=17/a.txt` says who
    wrote.
    """
    bucket, found, _ = arn.partition("/landing/")
    return f"{bucket}{found}*" if found and arn.startswith("arn:aws:s3:::") else arn
