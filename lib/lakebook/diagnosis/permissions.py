"""What the caller may do, by IAM's own simulation: every action of the operator's policy that the
phases need, before a run needs it.

The policy names what the code calls, one by one. Its patterns only read, which the hops prove.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lakebook import aws
from lakebook.diagnosis.answers import Absent, Broken, described
from lakebook.people.personas import document
from lakebook.project import project

if TYPE_CHECKING:
    from lakebook.diagnosis.path import Path

AT_ONCE = 50  # actions a call
BY_HAND = "ByHand"  # the statement of what no phase does, but people with the operator's role


def permissions(path: Path) -> str:
    """Whether the caller may do what the operator's policy lists, each on the resources it
    names.
    """
    arn = principal(aws.client("sts").get_caller_identity()["Arn"])
    names, file = path.names, project() / path.operator_policy
    if not file.exists():
        raise Absent(f"there is no {path.operator_policy}")
    statements = document(file, names)["Statement"]
    asked, denied = 0, []
    for statement in (each for each in statements if each["Effect"] == "Allow"):
        if statement.get("Sid") == BY_HAND:
            continue
        actions = [each for each in _listed(statement["Action"]) if "*" not in each]
        resources = [
            each.replace("*", "lakebook") for each in _listed(statement["Resource"]) if each != "*"
        ]
        context = _context(statement.get("Condition", {}))
        for start in range(0, len(actions), AT_ONCE):
            denied += refused(arn, actions[start : start + AT_ONCE], resources, context)
        asked += len(actions)
    if denied:
        refused_actions = dict.fromkeys(each.split()[0] for each in denied)
        raise Broken(
            f"{arn.rpartition('/')[2]}: {len(refused_actions)} of {asked} actions refused:"
            f" {'; '.join(denied[:5])}",
            f"Have an administrator give {arn.rpartition('/')[2]} the rights of {file.name}"
            f" (`lakebook bootstrap FILE`), and take away what denies {denied[0].split()[0]}.",
        )
    return f"{arn.rpartition('/')[2]} may do all {asked} actions of {file.name}"


def refused(
    arn: str, actions: list[str], resources: list[str], context: list[dict[str, Any]] | None = None
) -> list[str]:
    """The actions that IAM's simulation does not allow a principal, each with the decision and the
    resource.
    """
    asked = {"PolicySourceArn": arn, "ActionNames": actions, "ContextEntries": context or []}
    where = {"ResourceArns": resources} if resources else {}
    results = (
        described("iam", "simulate_principal_policy", "EvaluationResults", **asked, **where)
        if actions
        else []
    )
    return [refusal for each in results for refusal in _refusals(each)]


def principal(caller_arn: str) -> str:
    """The user or role behind a caller: a session of a role is asked for as its role."""
    if ":assumed-role/" not in caller_arn:
        return caller_arn
    name = caller_arn.split("/")[1]
    return str(aws.client("iam").get_role(RoleName=name)["Role"]["Arn"])


def _refusals(result: dict[str, Any]) -> list[str]:
    specific = [
        (each["EvalResourceName"], each["EvalResourceDecision"])
        for each in result.get("ResourceSpecificResults", [])
    ]
    pairs = specific or [(result.get("EvalResourceName", "*"), result["EvalDecision"])]
    return [
        f"{result['EvalActionName']} on {name} is {what}"
        for name, what in pairs
        if what != "allowed"
    ]


def _listed(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


def _context(condition: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """What a call of the runbook would bring with it: the first value that each condition on a text
    allows.
    """
    wanted = {
        key: value
        for operator in condition
        if operator.startswith("String")
        for key, value in condition[operator].items()
    }
    return [
        {
            "ContextKeyName": key,
            "ContextKeyValues": [_listed(value)[0].replace("*", "lakebook")],
            "ContextKeyType": "string",
        }
        for key, value in wanted.items()
    ]
