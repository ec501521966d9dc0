"""A monthly budget that notifies a topic before the money is gone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from lakebook import aws
from lakebook.ensure import Call, current, resource
from lakebook.errors import LakebookError
from lakebook.services import iam

if TYPE_CHECKING:
    from collections.abc import Iterator

GONE = "NotFoundException"
WARN_PERCENT = 80.0


@resource
def monthly_budget(
    name: str, account: str, amount_usd: int, topic: str, tags: dict[str, str]
) -> Iterator[Call]:
    """A budget in US dollars a month; the topic is notified when 80 % are spent, and when all of it
    is
    forecast to be.

    It counts the whole account, since tags count for nothing before somebody activates them for
    cost allocation. Raises LakebookError where roles may not see billing:
    https://docs.aws.amazon.com/awsaccountbilling/latest/aboutv2/control-access-billing.html
    """
    budgets = aws.client("budgets")
    who: dict[str, Any] = {"AccountId": account, "BudgetName": name}
    desired: dict[str, Any] = {
        "BudgetLimit": {"Amount": str(float(amount_usd)), "Unit": "USD"},
        "TimeUnit": "MONTHLY",
        "BudgetType": "COST",
    }
    subscribers = [{"SubscriptionType": "SNS", "Address": topic}]
    notified = [{"Notification": each, "Subscribers": subscribers} for each in notifications()]
    try:
        actual = (current(budgets.describe_budget, GONE, **who) or {}).get("Budget")
    except ClientError as error:
        if error.response["Error"]["Code"] != "AccessDeniedException":
            raise
        raise LakebookError(
            "AWS Budgets refuses this role: let the account's root user activate IAM access to"
            " billing, or make no budget with monthly_budget_usd: 0."
            f" It says: {error.response['Error']['Message']}"
        ) from error
    if actual is None:
        arguments = {
            "AccountId": account,
            "Budget": {"BudgetName": name, **desired},
            "NotificationsWithSubscribers": notified,
        }
        yield Call(budgets.create_budget, {**arguments, "ResourceTags": iam.as_list(tags)})
        return
    if _usd(actual) != float(amount_usd) or any(
        actual[key] != desired[key] for key in ("TimeUnit", "BudgetType")
    ):
        yield Call(
            budgets.update_budget,
            {"AccountId": account, "NewBudget": {"BudgetName": name, **desired}},
        )
    found = budgets.describe_notifications_for_budget(**who).get("Notifications", [])
    for each in notifications():
        if not any(each.items() <= one.items() for one in found):
            yield Call(
                budgets.create_notification,
                {**who, "Notification": each, "Subscribers": subscribers},
            )
        elif topic not in _addresses(who, each):
            yield Call(
                budgets.create_subscriber,
                {**who, "Notification": each, "Subscriber": subscribers[0]},
            )


def notifications() -> list[dict[str, Any]]:
    """When a notification is sent: 80 % spent, 100 % forecast."""
    over = {"ComparisonOperator": "GREATER_THAN", "ThresholdType": "PERCENTAGE"}
    return [
        {"NotificationType": "ACTUAL", **over, "Threshold": WARN_PERCENT},
        {"NotificationType": "FORECASTED", **over, "Threshold": 100.0},
    ]


def _usd(budget: dict[str, Any]) -> float:
    return float(budget.get("BudgetLimit", {}).get("Amount", "nan"))


def _addresses(who: dict[str, Any], notification: Any) -> list[str]:
    found = aws.client("budgets").describe_subscribers_for_notification(
        **who, Notification=notification
    )
    return [each["Address"] for each in found.get("Subscribers", [])]
