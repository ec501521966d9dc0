"""Accounts whose QuickSight has no people of its own to make: found by 07, before it makes
anything.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from local_aws.quicksight.people import IDENTITY_CENTER
from local_aws.quicksight.records import OF_A_SUBSCRIPTION
from local_aws.quicksight.service import QuickSight
from local_aws.scenarios.scenario import Scenario
from local_aws.service import service_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from local_aws.service import Service
    from local_aws.stand_in import StandIn

    Undo = Callable[[], object]
    Services = dict[str, Service]

ELSEWHERE = "us-east-1"


def _not_subscribed(_: StandIn, services: Services) -> Undo:
    return _subscribed(services, None)


def _unsubscribed(_: StandIn, services: Services) -> Undo:
    return _subscribed(services, {"AccountSubscriptionStatus": "UNSUBSCRIBED"})


def _identity_center(_: StandIn, services: Services) -> Undo:
    return _subscribed(services, {"AuthenticationType": IDENTITY_CENTER})


def _elsewhere(_: StandIn, services: Services) -> Undo:
    """Another subscription: the identity Region of one does not change, and all that is in one goes
    with it.

    https://docs.aws.amazon.com/quicksight/latest/user/closing-account.html
    """
    quicksight = service_of(services, QuickSight)
    before = {each: getattr(quicksight, each) for each in ("identity_region", *OF_A_SUBSCRIPTION)}
    vars(quicksight).update({each: {} for each in OF_A_SUBSCRIPTION}, identity_region=ELSEWHERE)
    return partial(vars(quicksight).update, before)


def _subscribed(services: Services, change: dict[str, Any] | None) -> Undo:
    """Another subscription, or none."""
    quicksight = service_of(services, QuickSight)
    before = quicksight.subscription
    quicksight.subscription = None if change is None else {**(before or {}), **change}
    return partial(setattr, quicksight, "subscription", before)


SCENARIOS = {
    "quicksight-elsewhere": Scenario(
        f"the account subscribed to QuickSight in {ELSEWHERE}, where its people are", _elsewhere
    ),
    "quicksight-not-subscribed": Scenario(
        "the account never subscribed to QuickSight", _not_subscribed
    ),
    "quicksight-unsubscribed": Scenario(
        "the account's subscription to QuickSight was ended", _unsubscribed
    ),
    "quicksight-identity-center": Scenario(
        "QuickSight's people are managed by IAM Identity Center", _identity_center
    ),
}
