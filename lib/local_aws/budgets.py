"""AWS Budgets as records: nothing here costs anything, so that no budget is ever reached; moto's
lose updates and subscribers.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from local_aws.errors import ApiError
from local_aws.service import Call, Service

if TYPE_CHECKING:
    from local_aws.stand_in import StandIn

Record = dict[str, Any]
NOTIFIED = ("NotificationType", "ComparisonOperator", "Threshold")  # what tells notifications apart
# of a budget; of a notification: ten addresses and a topic
MOST_NOTIFICATIONS, MOST_SUBSCRIBERS = 10, 11


class Budgets(Service):
    """Budgets with notifications and their subscribers."""

    def __init__(self, stand_in: StandIn) -> None:
        super().__init__(stand_in)
        self.budgets: dict[str, Record] = {}
        # by budget: {"Notification", "Subscribers"}
        self.notifications: dict[str, list[Record]] = {}
        self.tags: dict[str, list[Record]] = {}
        self.lock = threading.RLock()

    def CreateBudget(self, call: Call) -> Record:
        """Creates a budget; returns {}; DuplicateRecordException for a name that is taken."""
        budget = call.parameters["Budget"]
        name = budget["BudgetName"]
        with self.lock:
            if name in self.budgets:
                raise ApiError(
                    "DuplicateRecordException",
                    f"Error creating budget: {name} - the budget already exists.",
                )
            self.budgets[name], self.notifications[name] = _shown(budget), []
            for each in call.parameters.get("NotificationsWithSubscribers", []):
                self._notify(name, each["Notification"], each["Subscribers"])
            self.tags[name] = call.parameters.get("ResourceTags", [])
        return {}

    def DescribeBudget(self, call: Call) -> Record:
        """The budget; NotFoundException where there is none."""
        return {"Budget": self._budget(call)}

    def DescribeBudgets(self, _call: Call) -> Record:
        """All budgets."""
        return {"Budgets": list(self.budgets.values())}

    def UpdateBudget(self, call: Call) -> Record:
        """Replaces a budget and keeps its notifications; returns {}."""
        budget = call.parameters["NewBudget"]
        with self.lock:
            self._named(budget["BudgetName"])
            self.budgets[budget["BudgetName"]] = _shown(budget)
        return {}

    def DeleteBudget(self, call: Call) -> Record:
        """Deletes a budget with its notifications; returns {}."""
        with self.lock:
            self._budget(call)
            for kept in (self.budgets, self.notifications, self.tags):
                kept.pop(call.parameters["BudgetName"])
        return {}

    def CreateNotification(self, call: Call) -> Record:
        """Adds a notification; returns {}; DuplicateRecordException for one that is there."""
        with self.lock:
            self._budget(call)
            self._notify(
                call.parameters["BudgetName"],
                call.parameters["Notification"],
                call.parameters["Subscribers"],
            )
        return {}

    def DescribeNotificationsForBudget(self, call: Call) -> Record:
        """The notifications of a budget."""
        self._budget(call)
        return {
            "Notifications": [
                each["Notification"] for each in self.notifications[call.parameters["BudgetName"]]
            ]
        }

    def UpdateNotification(self, call: Call) -> Record:
        """Replaces a notification and keeps its subscribers; returns {}."""
        with self.lock:
            self._notification(call, "OldNotification")["Notification"] = _settled(
                call.parameters["NewNotification"]
            )
        return {}

    def DeleteNotification(self, call: Call) -> Record:
        """Deletes a notification with its subscribers; returns {}."""
        with self.lock:
            self.notifications[call.parameters["BudgetName"]].remove(self._notification(call))
        return {}

    def DescribeSubscribersForNotification(self, call: Call) -> Record:
        """Who is told."""
        return {"Subscribers": self._notification(call)["Subscribers"]}

    def CreateSubscriber(self, call: Call) -> Record:
        """Adds a subscriber; returns {}; DuplicateRecordException for one that is there."""
        with self.lock:
            subscribers = self._notification(call)["Subscribers"]
            if call.parameters["Subscriber"] in subscribers:
                raise ApiError("DuplicateRecordException", "The subscriber already exists.")
            if len(subscribers) >= MOST_SUBSCRIBERS:
                raise ApiError(
                    "CreationLimitExceededException",
                    "A notification has at most ten addresses and one topic.",
                )
            subscribers.append(call.parameters["Subscriber"])
        return {}

    def DeleteSubscriber(self, call: Call) -> Record:
        """Deletes a subscriber; returns {}; NotFoundException where there is none."""
        with self.lock:
            subscribers = self._notification(call)["Subscribers"]
            if call.parameters["Subscriber"] not in subscribers:
                raise ApiError(
                    "NotFoundException", "Unable to delete the subscriber: it does not exist."
                )
            subscribers.remove(call.parameters["Subscriber"])
        return {}

    def ListTagsForResource(self, call: Call) -> Record:
        """The tags of a budget."""
        name = call.parameters["ResourceARN"].rpartition("/")[2]
        self._named(name)
        return {"ResourceTags": self.tags[name]}

    def _budget(self, call: Call) -> Record:
        return self._named(call.parameters["BudgetName"])

    def _named(self, name: str) -> Record:
        if name not in self.budgets:
            raise ApiError(
                "NotFoundException", f"Unable to get budget: {name} - the budget doesn't exist."
            )
        return self.budgets[name]

    def _notify(self, name: str, notification: Record, subscribers: list[Record]) -> None:
        have = self.notifications[name]
        if any(_same(each["Notification"], notification) for each in have):
            raise ApiError(
                "DuplicateRecordException", "Error creating notification: it already exists."
            )
        if len(have) >= MOST_NOTIFICATIONS:
            raise ApiError(
                "CreationLimitExceededException", "A budget has at most ten notifications."
            )
        have.append({"Notification": _settled(notification), "Subscribers": list(subscribers)})

    def _notification(self, call: Call, member: str = "Notification") -> Record:
        self._budget(call)
        for each in self.notifications[call.parameters["BudgetName"]]:
            if _same(each["Notification"], call.parameters[member]):
                return each
        raise ApiError("NotFoundException", "The notification does not exist.")


def _shown(budget: Record) -> Record:
    """A budget as it is described: nothing is spent."""
    return {**budget, "CalculatedSpend": {"ActualSpend": {"Amount": "0.0", "Unit": "USD"}}}


def _settled(notification: Record) -> Record:
    return {"ThresholdType": "PERCENTAGE", "NotificationState": "OK", **notification}


def _same(one: Record, other: Record) -> bool:
    return all(one[each] == other[each] for each in NOTIFIED)
