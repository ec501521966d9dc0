"""The audit of a run: every call its phases say they made is found in CloudTrail, and who did what
besides.
"""

from __future__ import annotations

import datetime
import os
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd

from lakebook.project import project
from lakebook.rights import READS
from lakebook.runner import evidence_pack
from lakebook.runner.run import RUN, RUNNING, load
from lakebook.services import cloudtrail

if TYPE_CHECKING:
    from pathlib import Path

# Where CloudTrail calls an operation of S3 by another name than its API: "Amazon S3 CloudTrail
# events".
S3_EVENTS = {
    "PutPublicAccessBlock": "PutBucketPublicAccessBlock",
    "DeletePublicAccessBlock": "DeleteBucketPublicAccessBlock",
    "PutBucketLifecycleConfiguration": "PutBucketLifecycle",
    "PutBucketNotificationConfiguration": "PutBucketNotification",
    "PutObjectLockConfiguration": "PutBucketObjectLockConfiguration",
}
# The events that prove each phase, where it had something to do; `by` names in part who must have
# made them.
PROOF = {
    "02": [
        "ec2:CreateVpcEndpoint",
        "kms:CreateKey",
        "iam:CreateRole",
        "iam:PutRolePolicy",
        "s3:CreateBucket",
        "cloudtrail:StartLogging",
    ],
    "03": [
        "dms:CreateReplicationInstance",
        "dms:CreateEndpoint",
        "dms:TestConnection",
        "dms:CreateReplicationTask",
        "dms:StartReplicationTask",
        "sts:AssumeRole by dms",
        "s3:PutObject by dms-s3",
    ],
    "04": [
        "lakeformation:PutDataLakeSettings",
        "lakeformation:RegisterResource",
        "lakeformation:GrantPermissions",
        "lakeformation:RevokePermissions",
    ],
    "05": [
        "glue:CreateJob",
        "glue:StartJobRun",
        "glue:CreateTable",
        "glue:UpdateTable",
        "glue:BatchCreatePartition",
    ],
    "06": [
        "redshift-serverless:CreateNamespace",
        "redshift-serverless:CreateWorkgroup",
        "redshift-data:ExecuteStatement",
        "redshift-data:BatchExecuteStatement",
    ],
    "07": [
        "quicksight:CreateDataSource",
        "quicksight:CreateDataSet",
        "quicksight:CreateIngestion",
        "quicksight:CreateDashboard",
    ],
    "08": ["sagemaker:CreateTrainingJob", "sagemaker:CreateModel", "sagemaker:CreateTransformJob"],
}
AUDIT = "09"  # this phase
BARS = 60
OVERLAP = datetime.timedelta(minutes=1)  # of the history and the trail's first log file
REFUSED = "AccessDenied|UnauthorizedOperation|AccessDeniedException|AccessDeniedFault"


@dataclass(frozen=True)
class Window:
    """The time that is looked at, and the run that made its calls then."""

    since: datetime.datetime
    until: datetime.datetime
    folder: Path | None  # of the run
    caller: str  # the ARN that it ran as


def window(environment: str, since: str = "") -> Window:
    """From the beginning of the run that this notebook is part of, else of the last applied run of
    an environment, or from `since` (ISO 8601, UTC), until that run ended, or until now where it is
    under way.

    A run of nothing but this audit is none. Without an applied run the window is empty: no folder,
    no caller.
    """
    now = datetime.datetime.now(datetime.UTC)
    copies = (project() / "outputs" / environment).glob("*-apply/[0-9][0-9]_*.ipynb")
    found = sorted({each.parent for each in copies if each.name[:2] != AUDIT})
    own = [each for each in found if each.name == os.environ.get(RUN)]
    run = load((own or found)[-1]) if found else None
    start = datetime.datetime.fromisoformat(
        since or (run.started if run else "") or now.isoformat()
    )
    if not start.tzinfo:
        start = start.replace(tzinfo=datetime.UTC)
    if run is None:
        return Window(start, now, None, "")
    # in this run's own audit its earlier end is that of what was resumed
    is_over = run.ended and run.status != RUNNING
    until = datetime.datetime.fromisoformat(run.ended) if is_over else now
    return Window(start, max(start, until), run.folder, run.connection["caller"])


def made(run: Window) -> pd.DataFrame:
    """The changing calls that the run's notebooks recorded, in order: columns time, phase,
    resource, action, request (AWS's id of it).
    """
    rows = [
        {
            "time": pd.Timestamp(each["time"], unit="s", tz="UTC"),
            "phase": phase,
            "resource": each["resource"],
            "action": each["action"],
            "request": each.get("request", ""),
        }
        for phase, each in _records(run, "call")
    ]
    frame = pd.DataFrame(rows, columns=["time", "phase", "resource", "action", "request"])
    return frame.sort_values("time", ignore_index=True)


def requests(run: Window) -> list[tuple[str, str, int]]:
    """All calls that may have changed something, those of the declarations, queries, and whatever
    else the notebooks did: action, AWS's id, and how often it was tried again.
    """
    return [
        (action, request, again)
        for _, found in _records(run, "requests")
        for action, request, again in found["made"]
    ]


def _records(run: Window, kind: str) -> list[tuple[str, dict[str, Any]]]:
    """What the copies recorded in the time, with the phase of each."""
    return [
        (copy.name[:2], each)
        for copy in (run.folder.glob("*.ipynb") if run.folder else ())
        for each in evidence_pack.records(copy)
        if each["kind"] == kind and each["time"] >= run.since.timestamp()
    ]


def log_files(trail_name: str, run: Window, regions: list[str]) -> cloudtrail.LogFiles:
    """What the trail has of the run's time."""
    return cloudtrail.LogFiles(trail_name, run.since, run.until, sorted(set(regions)))


def earlier(files: cloudtrail.LogFiles, *, waited: bool) -> pd.DataFrame:
    """The changing calls from before the trail logged, of the account's history, which needs no
    trail; all of the time where the trail's files are not `waited` for.
    """
    begun = cloudtrail.logging_since(files.trail_name)
    until = min(files.until, begun + OVERLAP) if waited and begun else files.until
    return cloudtrail.history(files.since, max(files.since, until), files.regions)


def later(calls: pd.DataFrame, before: pd.DataFrame) -> set[str]:
    """The requests that must be in the trail's files, as they are not among the earlier ones."""
    return {*calls["request"]} - {"", *_request_ids(before)}


def events(files: cloudtrail.LogFiles, before: pd.DataFrame) -> pd.DataFrame:
    """Every event of the time: of the trail's log files, and the earlier ones."""
    files.read()
    found = pd.concat([files.events(), before]).drop_duplicates("id")
    return found.sort_values("time", ignore_index=True)


def found(calls: pd.DataFrame, seen: pd.DataFrame, caller: str) -> pd.DataFrame:
    """One line per phase and action: calls made, and events of these very requests by the run's own
    role or user; columns phase, action, made, found.

    A call whose answer was lost has no id: it is found where an event of its name is left over.
    """
    ours = seen[(seen["error"] == "") & _is_by(seen, caller)]
    pairs = [*zip(_request_ids(ours), ours["service"] + ":" + ours["event"], strict=True)]
    events, asked = dict(pairs), {*calls["request"]} - {""}
    rest = Counter(name for request, name in pairs if request not in asked)
    rows = []
    for (phase, action), group in calls.groupby(["phase", "action"], sort=True):
        event = _event(action)
        exact = sum(events.get(each) == event for each in group["request"] if each)
        lost = min(int((group["request"] == "").sum()), rest[event])
        rest[event] -= lost
        rows.append({"phase": phase, "action": action, "made": len(group), "found": exact + lost})
    return pd.DataFrame(rows, columns=["phase", "action", "made", "found"])


def missing(matched: pd.DataFrame) -> list[str]:
    """The actions with fewer events than calls."""
    return sorted(matched.loc[matched["found"] < matched["made"], "action"].unique())


def unrecorded(seen: pd.DataFrame, recorded: list[tuple[str, str, int]], caller: str) -> list[str]:
    """Changing calls by the run's own role or user that none of its notebooks made, each with its
    time.

    What a service did in its name is not its call; a call that was tried again may have been made
    although its answer was lost.
    """
    theirs = seen[seen["changing"] & (seen["error"] == "") & _is_by(seen, caller)]
    known = {request for _, request, _ in recorded}
    again: Counter[str] = Counter()
    for action, _, times in recorded:
        again[_event(action)] += times
    left = []
    for row, request in zip(theirs.itertuples(), _request_ids(theirs), strict=True):
        event, by_service = f"{row.service}:{row.event}", row.record["userIdentity"]
        if request in known or READS.match(row.event) or by_service.get("invokedBy"):
            continue
        again[event] -= 1
        if again[event] < 0:
            left.append(f"{row.time:%Y-%m-%dT%H:%M:%SZ} {event}")
    return left


def uncovered(files: cloudtrail.LogFiles, recorded: set[str], verdicts: pd.DataFrame) -> list[str]:
    """The log files that hold the run's calls and are not among those found valid."""
    valid = set(verdicts.loc[verdicts["verdict"] == "valid", "object"])
    return [each for each in files.holding(recorded) if each not in valid]


def _is_by(seen: pd.DataFrame, caller: str) -> pd.Series[bool]:
    return seen["who"].map(_name) == _name(cloudtrail.who({"arn": caller}))


def _request_ids(seen: pd.DataFrame) -> list[str]:
    return [str(each.get("requestID", "")) for each in seen["record"]]


def proof(seen: pd.DataFrame) -> pd.DataFrame:
    """Phase by phase the events that prove it: how many, when first and last, and who made them."""
    names = seen["service"] + ":" + seen["event"]
    rows: list[dict[str, Any]] = []
    for phase, wanted in PROOF.items():
        for event in wanted:
            name, _, maker = event.partition(" by ")
            made_so = seen["who"].str.contains(maker, regex=False)
            these = seen[(names == name) & (seen["error"] == "") & made_so]
            by = ", ".join(sorted(these["who"].unique()))
            times = (
                {"first": these["time"].min(), "last": these["time"].max()} if len(these) else {}
            )
            rows.append({"phase": phase, "event": event, "count": len(these), **times, "who": by})
    return pd.DataFrame(rows, columns=["phase", "event", "count", "first", "last", "who"])


def who_did_what(seen: pd.DataFrame) -> pd.DataFrame:
    """The changing calls that succeeded, counted by who made them and what they are."""
    did = seen[seen["changing"] & (seen["error"] == "")]
    return did.groupby(["who", "service", "event"]).size().rename("count").reset_index()


def refused(seen: pd.DataFrame) -> pd.DataFrame:
    """The calls that AWS denied: when, who, what, and AWS's words."""
    denied = seen[seen["error"].str.fullmatch(f"(?:Client\\.)?(?:{REFUSED})")]
    return denied[["time", "who", "service", "event", "error", "message"]].reset_index(drop=True)


def plot(seen: pd.DataFrame) -> Any:
    """Events per service over the time, stacked, in at most sixty bars; None without events."""
    if seen.empty:
        return None
    seconds = max(
        10, int((seen["time"].max() - seen["time"].min()).total_seconds()) // (BARS - 1) + 1
    )
    frame = (
        pd.crosstab(seen["time"].dt.floor(f"{seconds}s"), seen["service"])
        .resample(f"{seconds}s")
        .sum()
    )
    frame.index = frame.index.strftime("%H:%M:%S")
    axes = frame.plot.bar(
        stacked=True,
        width=1,
        figsize=(8, 3.5),
        colormap="tab20",
        title=f"Events in {seconds} seconds",
    )
    axes.set_xticks(range(0, len(frame), len(frame) // 8 + 1))
    axes.set(xlabel="UTC", ylabel="")
    axes.legend(loc="upper left", bbox_to_anchor=(1, 1), frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    return axes.figure


def _event(action: str) -> str:
    service, _, operation = action.partition(":")
    return f"{service}:{S3_EVENTS.get(operation, operation) if service == 's3' else operation}"


def _name(who: str) -> str:
    """`role/acme-operator` without a path, also of a session's ARN."""
    kind, *path = who.removeprefix("assumed-").split("/")
    is_session = who.startswith("assumed-")
    return f"{kind}/{path[0] if is_session else path[-1]}" if path else kind
