"""Questions about Amazon QuickSight, in an account that has subscribed to it."""

from conformance.question import NotAsked, question, refusal, until

USER_GUIDE = "https://docs.aws.amazon.com/quicksight/latest/user"
COLUMNS = {
    "whole": ("INTEGER", "1"),
    "words": ("STRING", "'a'"),
    "truth": ("BOOLEAN", "true"),
    "moment": ("DATETIME", "TIMESTAMP '2024-01-01 00:00:00'"),
    "money": ({"Type": "DECIMAL", "SubType": "FIXED"}, "CAST(1.5 AS decimal(10,2))"),
}
RENAMED = {"RenameColumnOperation": {"ColumnName": "words", "NewColumnName": "text"}}
REST = ("glue:Get*", "s3:*", "lakeformation:GetDataAccess")  # what a data source needs beside
UNSETTLED = ("CREATION_IN_PROGRESS", "INITIALIZED", "QUEUED", "RUNNING")


@question([True, True], f"{USER_GUIDE}/supported-data-types-and-values.html", cost="cents")
def quicksight_echo(sandbox):
    """Are the columns and the steps of a data set described as they were sent?"""
    physical, logical = _tables(_source(sandbox))
    found = _data_set(sandbox, "echo", physical, logical)
    return [found["PhysicalTableMap"] == physical, found["LogicalTableMap"] == logical]


@question("COMPLETED", f"{USER_GUIDE}/supported-data-types-and-values.html", cost="cents")
def quicksight_ingests_every_type(sandbox):
    """How does an ingestion end of a column of each type?"""
    _data_set(sandbox, "types", *_tables(_source(sandbox)))
    return _ingested(sandbox, "types")["IngestionStatus"]


@question(
    "PERMISSION_DENIED",
    "https://docs.aws.amazon.com/athena/latest/ug/jdbc-v3-driver.html",
    cost="cents",
)
def quicksight_streams(sandbox):
    """With which error does an ingestion end as a role without athena:GetQueryResultsStream?"""
    rights = ["StartQueryExecution", "StopQueryExecution", "GetQueryExecution", "GetQueryResults"]
    source = _source(sandbox)
    sandbox.allow(
        "quicksight",
        *(f"athena:{each}" for each in [*rights, "GetWorkGroup", "ListWorkGroups"]),
        *REST,
    )
    try:
        _data_set(sandbox, "streams", *_tables(source))
        ended = _ingested(sandbox, "streams")
    finally:
        sandbox.allow("quicksight", "athena:*", *REST)
    return ended.get("ErrorInfo", {}).get("Type", ended["IngestionStatus"])


@question(
    ["ResourceNotFoundException", "UnsupportedUserEditionException"],
    "https://github.com/hashicorp/terraform-provider-aws/pull/32323",
    only_aws="the stand-in has a subscription; tests/test_plan.py asks it without one",
)
def quicksight_without_a_subscription(sandbox):
    """With which codes are users, and dashboards, refused where there is no subscription?"""
    if (found := _subscription(sandbox)).get("AccountSubscriptionStatus") == "ACCOUNT_CREATED":
        raise NotAsked(f"an account without a subscription: this one has {found['Edition']}")
    client, account = sandbox.client("quicksight"), _which(sandbox)
    users = refusal(client.list_users, **account, Namespace="default")
    return [users, refusal(client.list_dashboards, **account)]


@question(
    ["AccessDeniedException", "AccessDeniedException"],
    "https://github.com/data-dot-all/dataall/issues/1408",
    only_aws="the stand-in's people are its own; tests/test_plan.py asks it with Identity Center",
)
def quicksight_with_identity_center(sandbox):
    """With which codes are a group and a user refused where IAM Identity Center has the people?"""
    if "IDENTITY_CENTER" not in _subscription(sandbox).get("AuthenticationType", ""):
        raise NotAsked("a subscription whose people are those of IAM Identity Center")
    client, where = sandbox.client("quicksight"), _which(sandbox, Namespace="default")
    name = sandbox.name("nobody")
    sandbox.after(client.delete_group, **where, GroupName=name)
    sandbox.after(client.delete_user, **where, UserName=name)
    identity = {"IdentityType": "IAM", "IamArn": f"arn:aws:iam::{sandbox.account}:user/{name}"}
    person = {**identity, "Email": "nobody@example.com", "UserRole": "READER"}
    return [
        refusal(client.create_group, **where, GroupName=name),
        refusal(client.register_user, **where, **person),
    ]


def _subscription(sandbox):
    """The account's subscription; empty where it has none."""
    client = sandbox.client("quicksight")
    try:
        return client.describe_account_subscription(**_which(sandbox))["AccountInfo"]
    except client.exceptions.ResourceNotFoundException:
        return {}


def _ingested(sandbox, of):
    """The first ingestion of a data set, ended."""
    client, which = sandbox.client("quicksight"), _which(sandbox, DataSetId=sandbox.name(of))
    return until(
        lambda: client.list_ingestions(**which)["Ingestions"][0],
        lambda found: found["IngestionStatus"] not in UNSETTLED,
        "The ingestion was still under way",
    )


def _which(sandbox, **named):
    return {"AwsAccountId": sandbox.account, **named}


def _tables(source):
    """The physical and the logical tables of a data set, as they are sent."""
    sql = ", ".join(f"{value} AS {name}" for name, (_, value) in COLUMNS.items())
    columns = [
        {"Name": name, **({"Type": kind} if isinstance(kind, str) else kind)}
        for name, (kind, _) in COLUMNS.items()
    ]
    custom = {"DataSourceArn": source, "Name": "t", "SqlQuery": f"SELECT {sql}"}
    logical = {"Alias": "l", "Source": {"PhysicalTableId": "t"}, "DataTransforms": [RENAMED]}
    return {"t": {"CustomSql": {**custom, "Columns": columns}}}, {"l": logical}


def _data_set(sandbox, of, physical, logical):
    """A new data set, as QuickSight describes it; after a creation it may be absent for a while."""
    client, which = sandbox.client("quicksight"), _which(sandbox, DataSetId=sandbox.name(of))
    client.create_data_set(
        **which,
        Name=sandbox.name(of),
        ImportMode="SPICE",
        PhysicalTableMap=physical,
        LogicalTableMap=logical,
    )
    sandbox.after(client.delete_data_set, **which)
    until(
        lambda: refusal(client.describe_data_set, **which),
        lambda code: code != "ResourceNotFoundException",
        "The data set was not there",
        60,
    )
    return client.describe_data_set(**which)["DataSet"]


def _source(sandbox):
    """The ARN of a data source that asks Athena; made for the first who asks."""
    if "quicksight" in sandbox.shared:
        if not sandbox.shared["quicksight"]:
            raise NotAsked("a data source: it failed for an earlier question")
        return sandbox.shared["quicksight"]
    client, name = sandbox.client("quicksight"), sandbox.name("athena")
    if refusal(client.list_data_sources, **_which(sandbox)):
        raise NotAsked("a subscription to QuickSight, which nobody makes for a question")
    sandbox.shared["quicksight"] = ""
    bucket, role = (
        sandbox.bucket("quicksight"),
        sandbox.role("quicksight", "quicksight.amazonaws.com"),
    )
    sandbox.allow("quicksight", "athena:*", *REST)
    athena = sandbox.client("athena")
    results = {"OutputLocation": f"s3://{bucket}/results/"}
    athena.create_work_group(Name=name, Configuration={"ResultConfiguration": results})
    sandbox.after(athena.delete_work_group, WorkGroup=name, RecursiveDeleteOption=True)
    which = _which(sandbox, DataSourceId=name)
    parameters = {"AthenaParameters": {"WorkGroup": name, "RoleArn": role}}

    def tried():
        """The data source after another attempt: a new role is not taken at once."""
        client.create_data_source(
            **which, Name=name, Type="ATHENA", DataSourceParameters=parameters
        )
        made = until(
            lambda: client.describe_data_source(**which)["DataSource"],
            lambda found: found["Status"] not in UNSETTLED,
            "The data source was still being made",
        )
        if made["Status"] != "CREATION_SUCCESSFUL":
            client.delete_data_source(**which)
        return made

    sandbox.after(client.delete_data_source, **which)
    made = until(
        tried, lambda found: found["Status"] == "CREATION_SUCCESSFUL", "No data source", 120
    )
    sandbox.shared["quicksight"] = made["Arn"]
    return made["Arn"]
