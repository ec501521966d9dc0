"""Alarms that reach a person: replication falling behind, a DMS task or a Glue job that failed, and
money spent faster than planned.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from lakebook import aws
from lakebook.ensure import Call, Resource, current, resource
from lakebook.services import iam, kms, policies

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lakebook.names import Names

LATENCIES = {"CDCLatencySource": "source", "CDCLatencyTarget": "target"}
EMAIL = "email"


def alarms(names: Names, emails: list[str], latency_seconds: int) -> list[Resource]:
    """The topic with its subscribers, an alarm on each replication latency, a rule for each kind of
    failure.
    """
    topic = topic_arn(names)
    task = {"eventType": ["REPLICATION_TASK_FAILED"]}
    job = {"state": ["FAILED", "TIMEOUT", "ERROR"], "jobName": [{"prefix": names.resource("")}]}
    failures = {
        "dms-task-failed": {
            "source": ["aws.dms"],
            "detail-type": ["DMS Replication Task State Change"],
            "detail": task,
        },
        "glue-job-failed": {
            "source": ["aws.glue"],
            "detail-type": ["Glue Job State Change"],
            "detail": job,
        },
    }
    return [
        alarm_topic(names.resource("alarms"), names),
        *(subscription(each, topic) for each in emails),
        *(
            latency_alarm(
                names.resource(f"cdc-latency-{end}"),
                metric,
                names.resource("dms"),
                latency_seconds,
                topic,
                names.tags,
            )
            for metric, end in LATENCIES.items()
        ),
        *(
            failure_rule(names.resource(name), pattern, topic, names.tags)
            for name, pattern in failures.items()
        ),
    ]


def topic_arn(names: Names) -> str:
    """The topic that tells a person."""
    return f"arn:aws:sns:{names.region}:{names.account}:{names.resource('alarms')}"


@resource
def alarm_topic(name: str, names: Names) -> Iterator[Call]:
    """An encrypted topic to which our alarms, rules and budget may publish, and nobody else."""
    sns, arn = aws.client("sns"), topic_arn(names)
    key, policy = kms.key_arn(kms.alias(names)), topic_policy(names)
    actual = (current(sns.get_topic_attributes, "NotFound", TopicArn=arn) or {}).get("Attributes")
    if actual is None:
        settings = {"KmsMasterKeyId": key, "Policy": json.dumps(policy)}
        yield Call(
            sns.create_topic,
            {"Name": name, "Attributes": settings, "Tags": iam.as_list(names.tags)},
        )
        return
    if actual.get("KmsMasterKeyId") != key:
        yield Call(
            sns.set_topic_attributes,
            {"TopicArn": arn, "AttributeName": "KmsMasterKeyId", "AttributeValue": key},
        )
    if not policies.same(actual["Policy"], policy):
        arguments = {
            "TopicArn": arn,
            "AttributeName": "Policy",
            "AttributeValue": json.dumps(policy),
        }
        yield Call(sns.set_topic_attributes, arguments)


@resource
def subscription(email: str, topic: str) -> Iterator[Call]:
    """An e-mail address that is notified, once its owner has confirmed the subscription."""
    sns = aws.client("sns")
    actual = current(sns.list_subscriptions_by_topic, "NotFound", TopicArn=topic)
    found = [each["Endpoint"] for each in actual["Subscriptions"]] if actual else []
    if email not in found:
        yield Call(sns.subscribe, {"TopicArn": topic, "Protocol": EMAIL, "Endpoint": email})


@resource
def latency_alarm(
    name: str, metric: str, instance: str, threshold_seconds: int, topic: str, tags: dict[str, str]
) -> Iterator[Call]:
    """An alarm when any task of the instance is behind for 15 minutes; a Metrics Insights query, as
    tasks come and go.

    No data is no comfort: without running replication the state is INSUFFICIENT_DATA, never OK.
    """
    cloudwatch = aws.client("cloudwatch")
    dimensions = "ReplicationInstanceIdentifier, ReplicationTaskIdentifier"
    query = (
        f'SELECT MAX({metric}) FROM SCHEMA("AWS/DMS", {dimensions}) WHERE'
        f" ReplicationInstanceIdentifier = '{instance}'"
    )
    desired: dict[str, Any] = {
        "EvaluationPeriods": 3,
        "ComparisonOperator": "GreaterThanThreshold",
        "Threshold": float(threshold_seconds),
        "TreatMissingData": "missing",
        "ActionsEnabled": True,
        "AlarmActions": [topic],
        "OKActions": [topic],
    }
    asked = {"Id": "latency", "Expression": query, "Period": 300, "ReturnData": True}
    found = cloudwatch.describe_alarms(AlarmNames=[name])["MetricAlarms"]
    as_wanted = found and all(found[0].get(key) == each for key, each in desired.items())
    if not (as_wanted and asked.items() <= dict(*(found[0].get("Metrics") or [])[:1]).items()):
        made = {} if found else {"Tags": iam.as_list(tags)}
        yield Call(
            cloudwatch.put_metric_alarm, {"AlarmName": name, **desired, "Metrics": [asked], **made}
        )


@resource
def failure_rule(
    name: str, pattern: dict[str, Any], topic: str, tags: dict[str, str]
) -> Iterator[Call]:
    """A rule of the default event bus that sends what fits the pattern to the topic."""
    events = aws.client("events")
    actual = current(events.describe_rule, "ResourceNotFoundException", Name=name)
    if actual is None or json.loads(actual.get("EventPattern", "{}")) != pattern:
        made = {} if actual else {"Tags": iam.as_list(tags)}
        yield Call(
            events.put_rule,
            {"Name": name, "EventPattern": json.dumps(pattern), "State": "ENABLED", **made},
        )
    elif actual["State"] != "ENABLED":
        yield Call(events.enable_rule, {"Name": name})
    targets = events.list_targets_by_rule(Rule=name)["Targets"] if actual else []
    if not any(each["Arn"] == topic for each in targets):
        yield Call(events.put_targets, {"Rule": name, "Targets": [{"Id": "topic", "Arn": topic}]})


def topic_policy(names: Names) -> dict[str, Any]:
    """Who may publish: CloudWatch and Budgets for this account, and our rules."""
    publish = {"Action": "sns:Publish", "Resource": topic_arn(names)}
    rules = f"arn:aws:events:{names.region}:{names.account}:rule/{names.resource('*')}"
    services = ["cloudwatch.amazonaws.com", "budgets.amazonaws.com"]
    return policies.document(
        {
            "Sid": "AlarmsAndBudget",
            "Principal": {"Service": services},
            **publish,
            "Condition": {"StringEquals": {"aws:SourceAccount": names.account}},
        },
        {
            "Sid": "Rules",
            "Principal": {"Service": "events.amazonaws.com"},
            **publish,
            "Condition": {"ArnLike": {"aws:SourceArn": rules}},
        },
    )
