"""Questions about IAM, STS, KMS, quotas, and the rights that a call needs."""

import json

from conformance.question import question, refusal

IAM = "https://docs.aws.amazon.com/IAM/latest/APIReference"
REDSHIFT = "https://docs.aws.amazon.com/redshift/latest/mgmt"
QUOTAS = "https://docs.aws.amazon.com/servicequotas/2019-06-24/apireference"
PASS_ROLE = (  # a report: the documentation says nothing
    "https://github.com/aws-solutions-library-samples/"
    "guidance-for-clickstream-analytics-on-aws/pull/749"
)
OF_THE_RUNBOOK = [
    ("vpc", "L-F678F1CE"),
    ("vpc", "L-29B6F2EB"),
    ("dms", "L-C2341CDC"),
    ("dms", "L-27B24FAD"),
    ("dms", "L-E17328E9"),
    ("dms", "L-7FD3593B"),
    ("glue", "L-5E4153CA"),
]


@question(False, f"{IAM}/API_ListRoles.html")
def list_roles_leaves_the_boundary_out(sandbox):
    """Does ListRoles answer a role's permissions boundary?"""
    boundary = "arn:aws:iam::aws:policy/ReadOnlyAccess"
    sandbox.role("bounded", PermissionsBoundary=boundary)
    pages = sandbox.client("iam").get_paginator("list_roles").paginate()
    listed = [each for page in pages for each in page["Roles"]]
    (found,) = [each for each in listed if each["RoleName"] == sandbox.name("bounded")]
    return "PermissionsBoundary" in found


@question("EntityAlreadyExists", f"{IAM}/API_CreateRole.html")
def a_role_is_made_once(sandbox):
    """With which code is a second role of one name refused?"""
    sandbox.role("twice")
    return refusal(
        sandbox.client("iam").create_role,
        RoleName=sandbox.name("twice"),
        AssumeRolePolicyDocument='{"Version": "2012-10-17", "Statement": []}',
    )


@question("MalformedPolicyDocument", f"{IAM}/API_CreateRole.html")
def a_trust_policy_names_who_is_there(sandbox):
    """With which code does IAM refuse a trust policy that names a role which does not exist?"""
    trust = {"Effect": "Allow", "Action": "sts:AssumeRole"}
    nobody = f"arn:aws:iam::{sandbox.account}:role/{sandbox.name('nobody')}"
    document = {"Version": "2012-10-17", "Statement": [{**trust, "Principal": {"AWS": nobody}}]}
    sandbox.after(sandbox.client("iam").delete_role, RoleName=sandbox.name("trusting"))
    return refusal(
        sandbox.client("iam").create_role,
        RoleName=sandbox.name("trusting"),
        AssumeRolePolicyDocument=json.dumps(document),
    )


@question(["implicitDeny"], f"{IAM}/API_SimulatePrincipalPolicy.html")
def a_role_without_policies_is_denied_by_default(sandbox):
    """What does the simulation decide for a role that has no policy?"""
    arn = sandbox.role("simulated")
    found = sandbox.client("iam").simulate_principal_policy(
        PolicySourceArn=arn, ActionNames=["s3:ListAllMyBuckets"]
    )
    return [each["EvalDecision"] for each in found["EvaluationResults"]]


@question(
    "NoSuchResourceException",
    "https://docs.aws.amazon.com/servicequotas/2019-06-24/apireference/API_GetServiceQuota.html",
)
def a_quota_that_is_not_there_has_no_value(sandbox):
    """With which code does GetServiceQuota refuse a quota code that the service does not have?"""
    return refusal(
        sandbox.client("service-quotas").get_service_quota,
        ServiceCode="dms",
        QuotaCode="L-00000000",
    )


@question("AccessDeniedException", PASS_ROLE)
def redshift_serverless_does_not_say_to_whom_a_role_is_passed(sandbox):
    """Is a role passed to a namespace by who may pass it to both services of Redshift alone?"""
    services = ["redshift.amazonaws.com", "redshift-serverless.amazonaws.com"]
    passed = sandbox.role("passed", services)
    condition = {"StringEquals": {"iam:PassedToService": services}}
    may_pass = {"Effect": "Allow", "Action": "iam:PassRole", "Resource": passed}
    session = sandbox.person(
        "passes", "redshift-serverless:*", statements=[{**may_pass, "Condition": condition}]
    )
    name = sandbox.name("passed")
    sandbox.after(sandbox.client("redshift-serverless").delete_namespace, namespaceName=name)
    client = session.client("redshift-serverless")
    return refusal(client.create_namespace, namespaceName=name, iamRoles=[passed])


@question("AccessDeniedException", f"{REDSHIFT}/redshift-secrets-manager-integration.html")
def the_secret_of_an_administrator_is_made_with_the_callers_rights(sandbox):
    """With which code is a managed password refused to who may do nothing in Secrets Manager?"""
    session, name = sandbox.person("makes", "redshift-serverless:*"), sandbox.name("managed")
    sandbox.after(sandbox.client("redshift-serverless").delete_namespace, namespaceName=name)
    client = session.client("redshift-serverless")
    return refusal(client.create_namespace, namespaceName=name, manageAdminPassword=True)


@question(
    "",
    "https://docs.aws.amazon.com/service-authorization/latest/reference/list_awsbudgetservice.html",
)
def budgets_are_shown_to_who_may_view_budgets(sandbox):
    """With which code are budgets refused to who has budgets:ViewBudget alone?"""
    client = sandbox.person("views", "budgets:ViewBudget").client("budgets", "us-east-1")
    return refusal(client.describe_budgets, AccountId=sandbox.account)


@question(
    [{"Amount": 500.0, "Unit": "USD"}, [["ACTUAL", 80.0, "PERCENTAGE"]]],
    "https://docs.aws.amazon.com/aws-cost-management/latest/APIReference/API_budgets_Notification.html",
)
def a_budget_reads_as_it_was_made(sandbox):
    """What do a budget's limit, with a number as text, and its notification read like?"""
    budgets, name = sandbox.client("budgets", "us-east-1"), sandbox.name("monthly")
    which = {"AccountId": sandbox.account, "BudgetName": name}
    limit = {"BudgetLimit": {"Amount": "500.0", "Unit": "USD"}}
    told = {"NotificationType": "ACTUAL", "ComparisonOperator": "GREATER_THAN", "Threshold": 80.0}
    subscriber = {"SubscriptionType": "EMAIL", "Address": "nobody@example.com"}
    budgets.create_budget(
        AccountId=sandbox.account,
        Budget={"BudgetName": name, **limit, "TimeUnit": "MONTHLY", "BudgetType": "COST"},
        NotificationsWithSubscribers=[{"Notification": told, "Subscribers": [subscriber]}],
    )
    sandbox.after(budgets.delete_budget, **which)
    found = budgets.describe_budget(**which)["Budget"]["BudgetLimit"]
    listed = budgets.describe_notifications_for_budget(**which)["Notifications"]
    kept = [
        [each["NotificationType"], each["Threshold"], each.get("ThresholdType", "PERCENTAGE")]
        for each in listed
    ]
    return [{**found, "Amount": float(found["Amount"])}, kept]


@question(
    ["", "AccessDeniedException", "", "AccessDeniedException"],
    "https://docs.aws.amazon.com/kms/latest/developerguide/tag-authorization.html",
    cost="cents",
)
def the_tags_of_a_key_decide_who_may_change_it(sandbox):
    """With which codes are a key with the tag, and one without, made, and then given a policy, by
    who may do so where the request, and the key, has that tag?
    """
    tag = {"TagKey": "lakebook:conformance", "TagValue": "yes"}
    kms = sandbox.client("kms")
    makes = {"Effect": "Allow", "Action": ["kms:CreateKey", "kms:TagResource"], "Resource": "*"}
    changes = {"Effect": "Allow", "Action": "kms:PutKeyPolicy", "Resource": "*"}
    statements = [
        {**statement, "Condition": {"StringEquals": {f"aws:{of}Tag/{tag['TagKey']}": "yes"}}}
        for statement, of in ((makes, "Request"), (changes, "Resource"))
    ]
    person = sandbox.person("tags", "kms:DescribeKey", statements=statements).client("kms")
    keys = []

    def made(tags):
        key = person.create_key(Tags=tags)["KeyMetadata"]["KeyId"]
        sandbox.after(kms.schedule_key_deletion, KeyId=key, PendingWindowInDays=7)
        keys.append(key)

    codes = [refusal(made, tags=each) for each in ([tag], [])]
    keys.append(sandbox.key("untagged"))
    policy = kms.get_key_policy(KeyId=keys[0], PolicyName="default")["Policy"]
    which = {"PolicyName": "default", "Policy": policy}
    return [*codes, *(refusal(person.put_key_policy, KeyId=each, **which) for each in keys)]


@question([], f"{QUOTAS}/API_GetAWSDefaultServiceQuota.html")
def every_quota_that_is_looked_at_has_a_value(sandbox):
    """Which quotas of the runbook's have neither a value of the account nor a default?"""
    client, codes = sandbox.client("service-quotas"), OF_THE_RUNBOOK
    return [
        f"{service} {code}"
        for service, code in codes
        if refusal(client.get_service_quota, ServiceCode=service, QuotaCode=code)
        and refusal(client.get_aws_default_service_quota, ServiceCode=service, QuotaCode=code)
    ]


@question(["implicitDeny", "implicitDeny"], f"{IAM}/API_SimulatePrincipalPolicy.html")
def a_simulation_takes_any_resource_for_any_action(sandbox):
    """What does the simulation decide where the resource is none of the action's?"""
    arn = sandbox.role("simulated-elsewhere")
    found = sandbox.client("iam").simulate_principal_policy(
        PolicySourceArn=arn,
        ActionNames=["s3:ListAllMyBuckets", "glue:GetTable"],
        ResourceArns=["arn:aws:s3:::somewhere"],
    )
    return [each["EvalDecision"] for each in found["EvaluationResults"]]


def _cases(sandbox):
    """Service: a call with a value that its pattern or enumeration does not have."""
    client = sandbox.client
    return {
        "athena": (client("athena").get_work_group, {"WorkGroup": "a b"}),
        "logs": (client("logs").create_log_group, {"logGroupName": "a:b"}),
        "lakeformation": (client("lakeformation").list_permissions, {"ResourceType": "ROWS"}),
        "glue": (client("glue").get_database, {"Name": "a\nb"}),
    }


@question(
    {
        "athena": "InvalidRequestException",
        "logs": "InvalidParameterException",
        "lakeformation": "ValidationException",
        "glue": "ValidationException",
    },
    "https://docs.aws.amazon.com/athena/latest/APIReference/CommonErrors.html",
)
def each_service_has_its_code_for_a_wrong_value(sandbox):
    """With which code does each service refuse a value that its model does not have?"""
    cases = _cases(sandbox)
    return {service: refusal(method, **given) for service, (method, given) in cases.items()}
