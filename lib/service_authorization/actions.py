"""From an API operation to its IAM actions, where they have not the same name."""

from __future__ import annotations

PREFIXES = {  # boto3's name of a service, and its actions' prefix
    "accessanalyzer": "access-analyzer",
    "resourcegroupstaggingapi": "tag",
    "s3control": "s3",
    "sagemaker-runtime": "sagemaker",
    "service-quotas": "servicequotas",
}
RENAMED = {
    "budgets": {
        "CreateBudget": "ModifyBudget",
        "CreateNotification": "ModifyBudget",
        "CreateSubscriber": "ModifyBudget",
        "DeleteBudget": "ModifyBudget",
        "DeleteNotification": "ModifyBudget",
        "DeleteSubscriber": "ModifyBudget",
        "DescribeBudget": "ViewBudget",
        "DescribeBudgetNotificationsForAccount": "ViewBudget",
        "DescribeBudgetPerformanceHistory": "ViewBudget",
        "DescribeBudgets": "ViewBudget",
        "DescribeNotificationsForBudget": "ViewBudget",
        "DescribeSubscribersForNotification": "ViewBudget",
        "UpdateBudget": "ModifyBudget",
        "UpdateNotification": "ModifyBudget",
        "UpdateSubscriber": "ModifyBudget",
    },
    "lambda": {"Invoke": "InvokeFunction"},
    "quicksight": {
        "DescribeAnalysisDefinition": "DescribeAnalysis",
        "DescribeDashboardDefinition": "DescribeDashboard",
        "DescribeTemplateDefinition": "DescribeTemplate",
    },
    "s3control": {
        "DeletePublicAccessBlock": "PutAccountPublicAccessBlock",
        "GetPublicAccessBlock": "GetAccountPublicAccessBlock",
        "PutPublicAccessBlock": "PutAccountPublicAccessBlock",
    },
    "sns": {"PublishBatch": "Publish"},
    "sqs": {
        "ChangeMessageVisibilityBatch": "ChangeMessageVisibility",
        "DeleteMessageBatch": "DeleteMessage",
        "SendMessageBatch": "SendMessage",
    },
}
SESSIONS = {"Tags": "sts:TagSession", "SourceIdentity": "sts:SetSourceIdentity"}  # of AssumeRole
STATEMENTS = {
    "BatchExecuteStatement",
    "DescribeTable",
    "ExecuteStatement",
    "ListDatabases",
    "ListSchemas",
    "ListTables",
}
# no policy is needed, and none can refuse
FOR_EVERYBODY = {("sts", "GetCallerIdentity"), ("sts", "GetSessionToken")}
# What tags at creation need besides: the action, and the parameter that holds them.
TAGGING = {
    "athena": ("TagResource", "Tags"),
    "budgets": ("TagResource", "ResourceTags"),
    "cloudtrail": ("AddTags", "TagsList"),
    "cloudwatch": ("TagResource", "Tags"),
    "dms": ("AddTagsToResource", "Tags"),
    "ec2": ("CreateTags", "TagSpecifications"),
    "events": ("TagResource", "Tags"),
    "glue": ("TagResource", "Tags"),
    "kms": ("TagResource", "Tags"),
    "logs": ("TagResource", "tags"),
    "quicksight": ("TagResource", "Tags"),
    "redshift-serverless": ("TagResource", "tags"),
    "sagemaker": ("AddTags", "Tags"),
    "secretsmanager": ("TagResource", "Tags"),
    "sns": ("TagResource", "Tags"),
}
TAGGING_IAM = {"CreateRole": "TagRole", "CreateUser": "TagUser", "CreatePolicy": "TagPolicy"}


def prefix_of(service: str) -> str:
    """The prefix of a service's actions."""
    return PREFIXES.get(service, service)


def action_of(service: str, operation: str) -> str:
    """The action of an operation, without its prefix."""
    return RENAMED.get(service, {}).get(operation, operation)


def tagging_action(service: str, operation: str, parameters: dict[str, object]) -> str | None:
    """The action that tags at creation need: "glue:TagResource"; None for an operation that creates
    nothing with tags.
    """
    if not operation.startswith(
        ("Create", "Run", "Request", "Put", "Register", "Allocate", "Start")
    ):
        return None
    if service == "iam":
        name = TAGGING_IAM.get(operation)
        return f"iam:{name}" if name and parameters.get("Tags") else None
    name, parameter = TAGGING.get(service, ("", ""))
    return f"{prefix_of(service)}:{name}" if name and parameters.get(parameter) else None
