"""Conditions of policies: AWS's operators; an operator or a key that is not known here is a loud
error.

Source: "IAM JSON policy elements: Condition operators" of the IAM user guide.
"""

from __future__ import annotations

import base64
import datetime
import ipaddress
import re
from typing import TYPE_CHECKING

from local_aws.errors import ApiError
from local_aws.iam.documents import Condition, Statement, fill, glob

if TYPE_CHECKING:
    from collections.abc import Callable

    from local_aws.iam.context import Context

OPERATOR = re.compile(r"(?:(ForAllValues|ForAnyValue):)?(\w+?)(IfExists)?")


def fulfilled(statement: Statement, context: Context) -> bool:
    """Whether all conditions of a statement hold; raises ApiError for one that cannot be told."""
    return all(_holds(each, context, statement.has_variables) for each in statement.conditions)


def _holds(condition: Condition, context: Context, variables: bool) -> bool:
    found = OPERATOR.fullmatch(condition.operator)
    quantifier, name, if_exists = found.groups() if found else (None, "", None)
    have = context.values(condition.key)
    if name == "Null":
        return any((have is None) == (each.lower() == "true") for each in condition.values)
    negated = name.replace("Not", "", 1) in POSITIVE and "Not" in name
    test = POSITIVE.get(name.replace("Not", "", 1) if negated else name)
    if test is None:
        raise ApiError(
            "NotInLocalAws",
            f"local_aws does not know the condition operator {condition.operator}.",
            501,
        )
    if not have:
        return bool(if_exists) or quantifier == "ForAllValues" or (negated and quantifier is None)
    want = [
        filled
        for each in condition.values
        if (filled := _filled(each, context, variables)) is not None
    ]
    results = [any(_compared(test, each, wanted) for wanted in want) != negated for each in have]
    return (
        all(results)
        if quantifier == "ForAllValues" or (negated and quantifier is None)
        else any(results)
    )


def _compared(test: Callable[[str, str], bool], have: str, want: str) -> bool:
    try:
        return test(have, want)
    except ValueError:  # no number, date or address: AWS takes it for no match
        return False


def _filled(value: str, context: Context, variables: bool) -> str | None:
    return fill(value, context.text) if variables and "${" in value else value


def _plain(pattern: str) -> str:
    """A value that a variable filled, with the signs that it holds."""
    return pattern.replace("\ue000", "*").replace("\ue001", "?").replace("\ue002", "$")


def _arn(have: str, want: str) -> bool:
    """ARNs compared part by part, so that `*` does not reach over a colon except in the last
    part.
    """
    ours, theirs = have.split(":", 5), want.split(":", 5)
    return len(ours) == len(theirs) and all(
        glob(pattern).fullmatch(part) for part, pattern in zip(ours, theirs, strict=True)
    )


def _number(compare: Callable[[float, float], bool]) -> Callable[[str, str], bool]:
    return lambda have, want: compare(float(have), float(want))


def _date(compare: Callable[[float, float], bool]) -> Callable[[str, str], bool]:
    return lambda have, want: compare(_seconds(have), _seconds(want))


def _seconds(text: str) -> float:
    if re.fullmatch(r"\d+(\.\d+)?", text):
        return float(text)
    moment = datetime.datetime.fromisoformat(text)
    return (moment if moment.tzinfo else moment.replace(tzinfo=datetime.UTC)).timestamp()


def _in_network(have: str, want: str) -> bool:
    return ipaddress.ip_address(have) in ipaddress.ip_network(want, strict=False)


POSITIVE: dict[str, Callable[[str, str], bool]] = {
    "StringEquals": lambda have, want: have == _plain(want),
    "StringEqualsIgnoreCase": lambda have, want: have.lower() == _plain(want).lower(),
    "StringLike": lambda have, want: glob(want).fullmatch(have) is not None,
    "ArnEquals": _arn,
    "ArnLike": _arn,
    "Bool": lambda have, want: have.lower() == want.lower(),
    "BinaryEquals": lambda have, want: base64.b64decode(have) == base64.b64decode(want),
    "IpAddress": _in_network,
    "NumericEquals": _number(float.__eq__),
    "NumericLessThan": _number(float.__lt__),
    "NumericLessThanEquals": _number(float.__le__),
    "NumericGreaterThan": _number(float.__gt__),
    "NumericGreaterThanEquals": _number(float.__ge__),
    "DateEquals": _date(float.__eq__),
    "DateLessThan": _date(float.__lt__),
    "DateLessThanEquals": _date(float.__le__),
    "DateGreaterThan": _date(float.__gt__),
    "DateGreaterThanEquals": _date(float.__ge__),
}
