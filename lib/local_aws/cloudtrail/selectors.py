"""Event selectors: which events a trail wants."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from local_aws.errors import ApiError

if TYPE_CHECKING:
    from collections.abc import Callable

DEFAULT = {
    "ReadWriteType": "All",
    "IncludeManagementEvents": True,
    "DataResources": [],
    "ExcludeManagementEventSources": [],
}
MOST_SELECTORS, MOST_DATA_RESOURCES = 5, 250
# https://docs.aws.amazon.com/awscloudtrail/latest/APIReference/API_AdvancedFieldSelector.html
OPERATORS: dict[str, Callable[[str, str], bool]] = {
    "Equals": lambda have, want: have == want,
    "StartsWith": lambda have, want: have.startswith(want),
    "EndsWith": lambda have, want: have.endswith(want),
}
FIELDS: dict[str, Callable[[dict[str, Any]], list[str]]] = {
    "eventCategory": lambda event: [event["eventCategory"]],
    "eventName": lambda event: [event["eventName"]],
    "eventSource": lambda event: [event["eventSource"]],
    "eventType": lambda event: [event["eventType"]],
    "readOnly": lambda event: ["true" if event["readOnly"] else "false"],
    "resources.type": lambda event: [each["type"] for each in event.get("resources", [])],
    "resources.ARN": lambda event: [arn for _, arn in _resources(event)],
    "userIdentity.arn": lambda event: [event["userIdentity"].get("arn", "")],
    "sessionCredentialFromConsole": lambda event: [event.get("sessionCredentialFromConsole", "")],
}


def wanted(
    event: dict[str, Any], basic: list[dict[str, Any]], advanced: list[dict[str, Any]]
) -> bool:
    """Whether any selector asks for an event."""
    if advanced:
        return any(
            all(_field_holds(event, each) for each in selector["FieldSelectors"])
            for selector in advanced
        )
    return any(_basic_holds(event, selector) for selector in basic)


def checked(basic: list[dict[str, Any]], advanced: list[dict[str, Any]]) -> None:
    """Raise ApiError InvalidEventSelectorsException for selectors that AWS refuses."""
    if bool(basic) == bool(advanced):
        raise _invalid("Give either EventSelectors or AdvancedEventSelectors.")
    if len(basic) > MOST_SELECTORS:
        raise _invalid(f"A trail can have at most {MOST_SELECTORS} event selectors.")
    values = [
        value
        for each in basic
        for data in each.get("DataResources", [])
        for value in data.get("Values", [])
    ]
    if len(values) > MOST_DATA_RESOURCES:
        raise _invalid(f"A trail can have at most {MOST_DATA_RESOURCES} data resources.")
    if any(value != "arn:aws:s3" and not value.startswith("arn:") for value in values):
        raise _invalid("The value of a data resource is an ARN, or the beginning of one.")
    for selector in advanced:
        _check_advanced(selector)


def _check_advanced(selector: dict[str, Any]) -> None:
    fields = {each["Field"]: each for each in selector["FieldSelectors"]}
    if unknown := set(fields) - set(FIELDS):
        raise _invalid(
            f"{', '.join(sorted(unknown))} is not a field of an advanced event selector."
        )
    category = fields.get("eventCategory", {}).get("Equals", [])
    if len(category) != 1:
        raise _invalid("Every advanced event selector needs one eventCategory with Equals.")
    if category == ["Data"] and len(fields.get("resources.type", {}).get("Equals", [])) != 1:
        raise _invalid(
            "An advanced event selector for data events needs one resources.type with Equals."
        )


def _field_holds(event: dict[str, Any], condition: dict[str, Any]) -> bool:
    have = FIELDS[condition["Field"]](event)
    for operator, compare in OPERATORS.items():
        if operator in condition and not any(
            compare(value, want) for value in have for want in condition[operator]
        ):
            return False
        unwanted = condition.get(f"Not{operator}", ())
        if any(compare(value, want) for value in have for want in unwanted):
            return False
    return True


def _basic_holds(event: dict[str, Any], selector: dict[str, Any]) -> bool:
    kind = selector.get("ReadWriteType", "All")
    if kind != "All" and (kind == "ReadOnly") != event["readOnly"]:
        return False
    if event["managementEvent"]:
        excluded = selector.get("ExcludeManagementEventSources", ())
        return (
            bool(selector.get("IncludeManagementEvents", True))
            and event["eventSource"] not in excluded
        )
    return any(
        resource == data["Type"] and arn.startswith(value)
        for data in selector.get("DataResources", ())
        for value in data.get("Values", ())
        for resource, arn in _resources(event)
    )


def _resources(event: dict[str, Any]) -> list[tuple[str, str]]:
    """Type and ARN of what an event is about; of a listing, the ARN that all listed objects begin
    with.
    """
    return [
        (each["type"], each.get("ARN") or each.get("ARNPrefix", ""))
        for each in event.get("resources", ())
    ]


def _invalid(message: str) -> ApiError:
    return ApiError("InvalidEventSelectorsException", message)
