"""Bring AWS to a declared state: list the API calls still needed, make them one by one, list again
and see none.
"""

from __future__ import annotations

import contextlib
import re
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial, wraps
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from lakebook import not_ready
from lakebook.errors import LakebookError
from lakebook.evidence import check, record, table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    import pandas as pd

    from lakebook.left_out import LeftOut

SIGN_OF_LIFE_SECONDS = 10
COMPARED_AT_ONCE = 8  # resources; AWS answers many questions at a time
AGAIN_SECONDS = 1  # between two comparisons of a resource that AWS says is there, or busy
CHECK_SECONDS = 10  # at most, in which a last comparison may still read what was before
# How services say that they have already what is to be made. A bucket that is another's is
# BucketAlreadyExists: https://docs.aws.amazon.com/AmazonS3/latest/API/API_CreateBucket.html
EXISTS = re.compile(
    r"(?!BucketAlreadyExists)\w*(AlreadyExist|AlreadyOwned|ResourceExists|EntityExists)\w*"
    r"|\w+\.Duplicate|DuplicateListener\w*"
)
# Athena says it in words; of a workgroup's creation its API names InvalidRequestException alone:
# https://docs.aws.amazon.com/athena/latest/APIReference/API_CreateWorkGroup.html
EXISTS_IN_WORDS = re.compile(r"athena:CreateWorkGroup \w+: .*\balready\b.*", re.DOTALL)
# and what takes away, that it is not there any more; Lake Formation says it in words
TAKES_AWAY = re.compile(r"[\w-]+:(Delete|Detach|Revoke)\w*")
GONE = re.compile(r"\w*NotFound\w*|\w+\.NotFound|NoSuch\w+")
NOTHING_REVOKED = "No permissions revoked"
# Services that say that their reads may show what was before a change:
# https://docs.aws.amazon.com/ec2/latest/devguide/eventual-consistency.html
# https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot.html
# https://docs.aws.amazon.com/kms/latest/developerguide/accessing-kms.html
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/Welcome.html (settings of buckets)
LATE = re.compile(r"(ec2|iam|kms):.*|s3:(Create|Put|Delete)\w*(Bucket|Configuration)\w*")
# and that what it is to be made of, or changed, is still at work on something else
BUSY = re.compile(
    r"ConcurrentRunsExceededException|ConcurrentModificationException|ConflictException"
    r"|InvalidClusterState|InvalidResourceStateFault|OperationAborted|ResourceInUseException"
)
# that what is new may take to be known wherever it is used: IAM's guide says some minutes at worst
role_propagation_seconds = 120.0


@contextlib.contextmanager
def role_propagation(seconds: float) -> Iterator[None]:
    """Inside the block IAM spreads new roles within these seconds: tests need not wait for it."""
    global role_propagation_seconds  # noqa: PLW0603 - the one switch, of a whole process
    before, role_propagation_seconds = role_propagation_seconds, seconds
    try:
        yield
    finally:
        role_propagation_seconds = before


@dataclass(frozen=True)
class Call:
    """One AWS API call that changes something; nothing happens until it is run.

    `until` is asked again and again, with the call's answer, whether what it started is there:
    None, or what it saw last; `redacted` hides the arguments. What AWS answers while something new
    has not spread yet (not_ready.py) is no error but a reason to wait.
    """

    method: Callable[..., Any]
    arguments: dict[str, Any]
    until: Callable[[dict[str, Any]], str | None] | None = None
    timeout_seconds: float = 900
    redacted: bool = False  # its arguments hold personal data, which no table may show

    @property
    def action(self) -> str:
        """As IAM policies and CloudTrail name the call: `glue:CreateDatabase`."""
        meta = self.method.__self__.meta  # type: ignore[attr-defined]
        return (
            f"{meta.service_model.signing_name}:{meta.method_to_api_mapping[self.method.__name__]}"
        )

    def run(self) -> str:
        """Make the call and wait for what it started; the request's id, which CloudTrail has too.
        Raises LakebookError on a timeout.
        """
        answers: list[dict[str, Any]] = []
        wait(self.action, lambda: self._attempt(answers), role_propagation_seconds)
        if self.until:
            wait(self.action, partial(self.until, answers[0]), self.timeout_seconds)
        return str(answers[0].get("ResponseMetadata", {}).get("RequestId", ""))

    def _attempt(self, answers: list[dict[str, Any]]) -> str | None:
        try:
            answers.append(self.method(**self.arguments))
        except ClientError as error:
            code, message = (error.response["Error"][each] for each in ("Code", "Message"))
            if is_done(error, self.action) or not not_ready.is_one(self.action, code, message):
                raise
            return message
        return None


@dataclass(frozen=True)
class Resource:
    """Something that must exist; iterating compares it with AWS and yields the calls it still
    needs.
    """

    name: str
    needs: Callable[[], Iterator[Call]]
    table: str = ""  # that it is about, by the name for people, where a run may go on without it

    def __iter__(self) -> Iterator[Call]:
        return self.needs()


def resource(needs: Callable[..., Iterator[Call]]) -> Callable[..., Resource]:
    """Turn a generator of calls into a declaration that plan, ensure and check all iterate."""

    @wraps(needs)
    def declare(name: str, *arguments: Any, **settings: Any) -> Resource:
        return Resource(
            f"{needs.__name__.replace('_', ' ')} {name}",
            partial(needs, name, *arguments, **settings),
        )

    return declare


def calls(resources: Iterable[Resource]) -> list[tuple[str, Call]]:
    """The calls AWS still needs, in order, with the resource each is for; empty when all is as
    declared.
    """
    resources = list(resources)
    with ThreadPoolExecutor(COMPARED_AT_ONCE) as pool:
        needed = pool.map(lambda each: [(each.name, call) for call in each], resources)
        return [pair for pairs in needed for pair in pairs]


def plan(resources: Iterable[Resource]) -> pd.DataFrame:
    """The calls still needed as a table (resource, call, arguments), recorded; makes none of
    them.
    """
    return _table("plan", calls(resources))


def check_converged(resources: Iterable[Resource], *, when: bool) -> None:
    """Check that AWS needs no more calls for these resources; raises CheckError where it does.

    `when` is False for a plan, in which nothing was made.
    """
    resources = list(resources)

    def needed() -> list[str]:
        found = _seen(resources, min(CHECK_SECONDS, role_propagation_seconds))
        return [f"{call.action} for {name}" for name, call in found]

    check("calls still needed", [], needed, when=when)


def ensure(
    resources: Iterable[Resource], *, apply: bool, at_once: int = 1, left_out: LeftOut | None = None
) -> pd.DataFrame:
    """Make the calls still needed, in order, and return those made as a table; makes none unless
    `apply`.

    Resources that do not need each other may be brought up several `at_once`; after an error no
    other is begun, but that with `left_out` a resource that names a table goes there instead.
    """
    due = list(resources) if apply else []
    if at_once == 1:
        return _table("calls", [pair for each in due for pair in _tried(each, left_out)])
    pool = ThreadPoolExecutor(at_once)
    try:
        return _table(
            "calls",
            [
                pair
                for pairs in pool.map(lambda each: list(_tried(each, left_out)), due)
                for pair in pairs
            ],
        )
    finally:
        pool.shutdown(cancel_futures=True)


def _tried(wanted: Resource, left_out: LeftOut | None) -> Iterator[tuple[str, Call]]:
    try:
        yield from _made(wanted)
    except LakebookError as error:
        if not (left_out and left_out.goes_on and wanted.table):
            raise
        left_out.note(wanted.table, str(error))


def _made(wanted: Resource) -> Iterator[tuple[str, Call]]:
    """Make the calls that a resource needs, and look until AWS shows them.

    A resource is compared anew, and not made twice, where AWS refuses a call because it is there,
    or gone: the comparison read what was before, or the answer to the call was lost.
    """
    start, is_late = time.monotonic(), False
    needed = iter(wanted)
    while call := next(needed, None):
        # a whole line, whichever thread says it
        print(f"{call.action}  {wanted.name}\n", end="", flush=True)
        is_made, request = True, ""
        try:
            request = call.run()
        except ClientError as error:
            if time.monotonic() - start > _patience_seconds(error, call):
                raise
            print(f"{call.action}  {wanted.name}: {error}\n", end="", flush=True)
            is_made = is_done(error, call.action) and bool(
                error.response["ResponseMetadata"].get("RetryAttempts")
            )
            time.sleep(AGAIN_SECONDS)
            needed = iter(wanted)
        if is_made:
            is_late |= bool(LATE.fullmatch(call.action))
            record("call", resource=wanted.name, action=call.action, request=request)
            yield wanted.name, call
    if is_late and role_propagation_seconds:
        _seen([wanted], role_propagation_seconds)


def _patience_seconds(error: ClientError, call: Call) -> float:
    """How long a refused call may be compared and made anew, in seconds; less than 0 is never."""
    if is_done(error, call.action):
        return role_propagation_seconds
    return call.timeout_seconds if BUSY.fullmatch(error.response["Error"]["Code"]) else -1


def is_done(error: ClientError, action: str) -> bool:
    """Whether AWS refuses a call because what it is to make is there, or to take away is gone."""
    code, message = (error.response["Error"][each] for each in ("Code", "Message"))
    if TAKES_AWAY.fullmatch(action):
        return GONE.fullmatch(code) is not None or NOTHING_REVOKED in message
    said = f"{action} {code}: {message}"
    return (EXISTS.fullmatch(code) or EXISTS_IN_WORDS.fullmatch(said)) is not None


def _seen(resources: list[Resource], seconds: float) -> list[tuple[str, Call]]:
    """The calls still needed, once AWS shows what was made, or after these seconds."""
    needed: list[tuple[str, Call]] = []

    def state() -> str | None:
        needed[:] = calls(resources)
        return f"AWS does not show {needed[0][1].action}" if needed else None

    with contextlib.suppress(LakebookError):  # what never comes is for the check that follows
        wait("comparison", state, seconds, silent_seconds=1)
    return needed


def current(
    method: Callable[..., Mapping[str, Any]], missing: str, **arguments: Any
) -> dict[str, Any] | None:
    """What AWS describes now, or None where it answers with the error code `missing`."""
    try:
        return dict(method(**arguments))
    except ClientError as error:
        if error.response["Error"]["Code"] == missing:
            return None
        raise


def wait(
    what: str,
    state: Callable[[], str | None],
    timeout_seconds: float = 900,
    poll_seconds: float = 0.05,
    slowest_poll_seconds: float = 15,
    silent_seconds: float = 0,
) -> None:
    """Ask for a state until it is None (done), printing each change and a sign of life every ten
    seconds.

    Polls quickly at first and ever more slowly, up to `slowest_poll_seconds`; says nothing in the
    first `silent_seconds`. Raises LakebookError with the last state on timeout.
    """
    start, said, said_at = time.monotonic(), None, 0.0
    while (seen := state()) is not None:
        seconds = time.monotonic() - start
        if seconds >= silent_seconds and (
            seen != said or seconds - said_at >= SIGN_OF_LIFE_SECONDS
        ):
            print(f"{seconds:6.1f} s  {what}: {seen}", flush=True)
            said, said_at = seen, seconds
        if seconds > timeout_seconds:
            raise LakebookError(
                f"{what} was still '{seen}' after {timeout_seconds:.0f} seconds; look at it in the"
                " AWS console and run this phase again."
            )
        # the first polls come thick and fast: most statements take milliseconds
        time.sleep(
            min(poll_seconds / 5 + seconds / 4, poll_seconds + seconds / 40, slowest_poll_seconds)
        )


def _table(name: str, pairs: list[tuple[str, Call]]) -> pd.DataFrame:
    return table(
        [
            {"resource": resource, "call": call.action, "arguments": _shown(call)}
            for resource, call in pairs
        ],
        name,
    ).reindex(columns=["resource", "call", "arguments"])


def _shown(call: Call) -> dict[str, Any]:
    if call.redacted:
        return dict.fromkeys(call.arguments, "<not shown>")
    return {
        key: f"<{len(each):,} bytes>" if isinstance(each, bytes) else each
        for key, each in call.arguments.items()
    }
