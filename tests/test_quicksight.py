"""QuickSight's API on the stand-in: rows really ingested, states and errors as AWS names them."""

import copy
import json

import boto3
import foundation
import pytest
import quicksight_lake
from botocore.exceptions import ClientError
from quicksight_lake import ACCOUNT, settled

from local_aws.quicksight.expressions import ExpressionError, NotSupportedError, Sql, translate

HERE = {"AwsAccountId": ACCOUNT}
THERE = {**HERE, "Namespace": "default"}
READS = ["DescribeDashboard", "ListDashboardVersions", "QueryDashboard"]


@pytest.fixture(scope="module")
def names(stand_in):
    names = foundation.names("quicksight-api")
    quicksight_lake.build(names)
    return names


@pytest.fixture(scope="module")
def quicksight(names):
    return boto3.client("quicksight")


@pytest.fixture(scope="module")
def lake(quicksight, names):
    """The ARN of a data source that answers."""
    athena = {"WorkGroup": names.resource("lakebook"), "RoleArn": names.role_arn("quicksight")}
    return source(quicksight, "lake", "ATHENA", {"AthenaParameters": athena})["Arn"]


def source(quicksight, name, kind, parameters, **more):
    quicksight.create_data_source(
        **HERE, DataSourceId=name, Name=name, Type=kind, DataSourceParameters=parameters, **more
    )
    return settled(quicksight.describe_data_source, "DataSource", "Status", DataSourceId=name)


def custom(lake, sql, **columns):
    told = [
        {"Name": name, **({"Type": kind} if isinstance(kind, str) else kind)}
        for name, kind in columns.items()
    ]
    return {
        "t": {"CustomSql": {"DataSourceArn": lake, "Name": "t", "SqlQuery": sql, "Columns": told}}
    }


def transformed(*steps):
    return {"l": {"Alias": "l", "Source": {"PhysicalTableId": "t"}, "DataTransforms": list(steps)}}


def calculated(**fields):
    columns = [
        {"ColumnName": name, "ColumnId": name, "Expression": told} for name, told in fields.items()
    ]
    return {"CreateColumnsOperation": {"Columns": columns}}


def filled(quicksight, name, physical, *steps):
    """A new data set's first ingestion, ended."""
    logical = {"LogicalTableMap": transformed(*steps)} if steps else {}
    made = quicksight.create_data_set(
        **HERE, DataSetId=name, Name=name, ImportMode="SPICE", PhysicalTableMap=physical, **logical
    )
    ended = {"DataSetId": name, "IngestionId": made["IngestionId"]}
    return settled(quicksight.describe_ingestion, "Ingestion", "IngestionStatus", **ended)


@pytest.fixture(scope="module")
def flights(quicksight, lake, names):
    """The ARN of a data set with rows."""
    columns = {
        "flight_id": "INTEGER",
        "carrier": "STRING",
        "scheduled_departure": "DATETIME",
        "arrival_delay": "INTEGER",
    }
    table = {
        "DataSourceArn": lake,
        "Schema": names.database("curated"),
        "Name": "operations_flights",
    }
    told = [{"Name": name, "Type": kind} for name, kind in columns.items()]
    physical = {"t": {"RelationalTable": {**table, "InputColumns": told}}}
    assert filled(quicksight, "flights", physical)["IngestionStatus"] == "COMPLETED"
    return quicksight.describe_data_set(**HERE, DataSetId="flights")["DataSet"]["Arn"]


def refused(code, method, **arguments):
    with pytest.raises(ClientError) as error:
        method(**arguments)
    assert error.value.response["Error"]["Code"] == code, error.value
    return error.value.response["Error"]["Message"]


# People


def test_the_account_has_an_enterprise_subscription(quicksight):
    assert (
        quicksight.describe_account_subscription(**HERE)["AccountInfo"]["Edition"] == "ENTERPRISE"
    )
    assert quicksight.describe_namespace(**THERE)["Namespace"]["CreationStatus"] == "CREATED"
    refused(
        "AccessDeniedException",
        quicksight.describe_account_subscription,
        AwsAccountId="999999999999",
    )


def test_a_session_of_a_role_is_a_user_that_can_be_in_groups(quicksight):
    quicksight.create_group(**THERE, GroupName="pilots")
    identity = {
        "IdentityType": "IAM",
        "IamArn": f"arn:aws:iam::{ACCOUNT}:role/analyst",
        "SessionName": "amelia@example.com",
    }
    user = quicksight.register_user(
        **THERE, **identity, Email="amelia@example.com", UserRole="READER"
    )["User"]
    assert user["UserName"] == "analyst/amelia@example.com"
    member = {**THERE, "GroupName": "pilots", "MemberName": user["UserName"]}
    quicksight.create_group_membership(**member)
    assert quicksight.describe_group_membership(**member)["GroupMember"]["Arn"] == user["Arn"]
    assert [
        each["GroupName"]
        for each in quicksight.list_user_groups(**THERE, UserName=user["UserName"])["GroupList"]
    ] == ["pilots"]
    quicksight.delete_user(**THERE, UserName=user["UserName"])
    assert quicksight.list_group_memberships(**THERE, GroupName="pilots")["GroupMemberList"] == []
    refused(
        "ResourceNotFoundException", quicksight.describe_user, **THERE, UserName=user["UserName"]
    )


def test_what_exists_cannot_be_made_again_and_what_does_not_is_not_found(
    quicksight, lake, flights, names
):
    quicksight.create_group(**THERE, GroupName="twice")
    refused("ResourceExistsException", quicksight.create_group, **THERE, GroupName="twice")
    athena = {"AthenaParameters": {"WorkGroup": names.resource("lakebook")}}
    refused(
        "ResourceExistsException",
        quicksight.create_data_source,
        **HERE,
        DataSourceId="lake",
        Name="x",
        Type="ATHENA",
        DataSourceParameters=athena,
    )
    refused("ResourceNotFoundException", quicksight.describe_group, **THERE, GroupName="nobody")
    refused("ResourceNotFoundException", quicksight.describe_data_set, **HERE, DataSetId="nothing")
    refused(
        "ResourceNotFoundException",
        quicksight.describe_group,
        **HERE,
        Namespace="other",
        GroupName="twice",
    )


def test_lists_come_in_pages(quicksight):
    for each in range(5):
        quicksight.create_group(**THERE, GroupName=f"page-{each}")
    first = quicksight.list_groups(**THERE, MaxResults=3)
    assert len(first["GroupList"]) == 3
    every = [
        each
        for page in quicksight.get_paginator("list_groups").paginate(
            **THERE, PaginationConfig={"PageSize": 2}
        )
        for each in page["GroupList"]
    ]
    assert {f"page-{each}" for each in range(5)} <= {each["GroupName"] for each in every}
    refused("InvalidNextTokenException", quicksight.list_groups, **THERE, NextToken="made up")


# Data sources


def test_a_data_source_is_tried_after_the_call(quicksight, names):
    athena = {"AthenaParameters": {"WorkGroup": names.resource("lakebook")}}
    told = {
        "DataSourceId": "tried",
        "Name": "tried",
        "Type": "ATHENA",
        "DataSourceParameters": athena,
    }
    assert quicksight.create_data_source(**HERE, **told)["CreationStatus"] == "CREATION_IN_PROGRESS"
    assert (
        settled(quicksight.describe_data_source, "DataSource", "Status", DataSourceId="tried")[
            "Status"
        ]
        == "CREATION_SUCCESSFUL"
    )


def test_a_data_source_without_a_role_it_may_take_fails_and_can_be_mended(quicksight, names):
    nobody = {
        "AthenaParameters": {
            "WorkGroup": names.resource("lakebook"),
            "RoleArn": f"arn:aws:iam::{ACCOUNT}:role/nobody",
        }
    }
    found = source(quicksight, "no-role", "ATHENA", nobody)
    assert (found["Status"], found["ErrorInfo"]["Type"]) == ("CREATION_FAILED", "ACCESS_DENIED")
    ours = {
        "AthenaParameters": {**nobody["AthenaParameters"], "RoleArn": names.role_arn("quicksight")}
    }
    quicksight.update_data_source(
        **HERE, DataSourceId="no-role", Name="no-role", DataSourceParameters=ours
    )
    found = settled(quicksight.describe_data_source, "DataSource", "Status", DataSourceId="no-role")
    assert found["Status"] == "UPDATE_SUCCESSFUL"
    assert "ErrorInfo" not in found


def test_a_data_source_in_a_missing_workgroup_fails(quicksight):
    found = source(
        quicksight, "no-workgroup", "ATHENA", {"AthenaParameters": {"WorkGroup": "nobody-made-it"}}
    )
    assert (found["Status"], found["ErrorInfo"]["Type"]) == (
        "CREATION_FAILED",
        "GENERIC_SQL_FAILURE",
    )


def test_redshift_answers_at_its_own_host_to_its_own_password_when_it_is_public(
    quicksight, stand_in
):
    serverless = boto3.client("redshift-serverless")
    for name in ("another", "reports"):  # each is found by a port of its own
        serverless.create_namespace(namespaceName=name, dbName="lake", manageAdminPassword=True)
    subnets = [
        each["SubnetId"]
        for each in boto3.client("ec2").describe_subnets(
            Filters=[{"Name": "default-for-az", "Values": ["true"]}]
        )["Subnets"]
    ][:3]
    serverless.create_workgroup(workgroupName="another", namespaceName="another", subnetIds=subnets)
    serverless.create_workgroup(
        workgroupName="reports", namespaceName="reports", subnetIds=subnets, publiclyAccessible=True
    )
    while (group := serverless.get_workgroup(workgroupName="reports")["workgroup"])[
        "status"
    ] != "AVAILABLE":
        pass
    secret = serverless.get_namespace(namespaceName="reports")["namespace"][
        "adminPasswordSecretArn"
    ]
    host = {
        "Host": group["endpoint"]["address"],
        "Port": group["endpoint"]["port"],
        "Database": "lake",
    }

    def tried(name, **more):
        return source(
            quicksight,
            name,
            "REDSHIFT",
            {"RedshiftParameters": {**host, **more}},
            Credentials={"SecretArn": secret},
        )

    warehouse = tried("warehouse")
    assert (warehouse["Status"], warehouse.get("ErrorInfo")) == ("CREATION_SUCCESSFUL", None)
    assert tried("no-port", Port=1)["ErrorInfo"]["Type"] == "TIMEOUT"
    assert tried("no-host", Host="elsewhere.example.com")["ErrorInfo"]["Type"] == "UNKNOWN_HOST"
    wrong = {"Credentials": {"CredentialPair": {"Username": "admin", "Password": "guessed"}}}
    assert (
        source(quicksight, "no-password", "REDSHIFT", {"RedshiftParameters": host}, **wrong)[
            "ErrorInfo"
        ]["Type"]
        == "ACCESS_DENIED"
    )
    serverless.update_workgroup(workgroupName="reports", publiclyAccessible=False)
    while serverless.get_workgroup(workgroupName="reports")["workgroup"]["status"] != "AVAILABLE":
        pass
    assert tried("private")["ErrorInfo"]["Type"] == "TIMEOUT"
    arn = quicksight.describe_data_source(**HERE, DataSourceId="warehouse")["DataSource"]["Arn"]
    serverless.update_workgroup(workgroupName="reports", publiclyAccessible=True)
    while serverless.get_workgroup(workgroupName="reports")["workgroup"]["status"] != "AVAILABLE":
        pass
    found = filled(
        quicksight,
        "from-redshift",
        custom(arn, "SELECT 1 AS a, true AS b, NULL AS c", a="INTEGER", b="BOOLEAN", c="STRING"),
    )
    assert found["RowInfo"] == {"RowsIngested": 1, "RowsDropped": 0, "TotalRowsInDataset": 1}


# Data sets and ingestions


def test_a_new_data_set_has_the_rows_of_its_table(flights, quicksight):
    shown = quicksight.describe_data_set(**HERE, DataSetId="flights")["DataSet"]
    kinds = {each["Name"]: each["Type"] for each in shown["OutputColumns"]}
    assert kinds == {
        "flight_id": "INTEGER",
        "carrier": "STRING",
        "scheduled_departure": "DATETIME",
        "arrival_delay": "INTEGER",
    }
    assert shown["ConsumedSpiceCapacityInBytes"] > 0
    (ingestion,) = quicksight.list_ingestions(**HERE, DataSetId="flights")["Ingestions"]
    assert ingestion["RowInfo"]["RowsIngested"] == quicksight_lake.FLIGHTS
    assert ingestion["RequestType"] == "INITIAL_INGESTION"


def test_rows_whose_values_have_another_type_are_dropped_and_counted(quicksight, lake):
    sql = "SELECT * FROM (VALUES ('1', 'x'), ('two', 'y'), (NULL, 'z')) AS t (a, b)"
    found = filled(quicksight, "wrong-types", custom(lake, sql, a="INTEGER", b="STRING"))
    assert found["IngestionStatus"] == "COMPLETED"
    assert found["RowInfo"] == {"RowsIngested": 2, "RowsDropped": 1, "TotalRowsInDataset": 2}


def test_a_missing_table_fails_the_ingestion_and_not_the_call(quicksight, lake, names):
    found = filled(
        quicksight,
        "no-table",
        custom(lake, f"SELECT a FROM {names.database('curated')}.absent", a="STRING"),
    )
    assert (found["IngestionStatus"], found["ErrorInfo"]["Type"]) == (
        "FAILED",
        "SQL_TABLE_NOT_FOUND",
    )


def test_a_missing_column_fails_the_ingestion(quicksight, lake):
    found = filled(quicksight, "no-column", custom(lake, "SELECT 1 AS a", b="INTEGER"))
    assert (found["IngestionStatus"], found["ErrorInfo"]["Type"]) == ("FAILED", "SQL_EXCEPTION")


def test_steps_calculate_rename_cast_filter_and_project(quicksight, lake):
    sql = (
        "SELECT * FROM (VALUES (1, 'ab', TIMESTAMP '2013-03-10 07:30:00'), (2, NULL, TIMESTAMP"
        " '2013-03-11 08:00:00'), (3, 'c', NULL)) AS t (n, s, t)"
    )
    steps = [
        calculated(
            twice="{n} * 2",
            word="ifelse(isNull({s}), 'none', toUpper({s}))",
            day="formatDate({t}, 'EEE')",
            hour="extract('HH', {t})",
        ),
        {"RenameColumnOperation": {"ColumnName": "s", "NewColumnName": "text"}},
        {"CastColumnTypeOperation": {"ColumnName": "n", "NewColumnType": "STRING"}},
        {"FilterOperation": {"ConditionExpression": "{twice} < 6"}},
        {"ProjectOperation": {"ProjectedColumns": ["n", "twice", "word", "day", "hour"]}},
    ]
    found = filled(
        quicksight, "steps", custom(lake, sql, n="INTEGER", s="STRING", t="DATETIME"), *steps
    )
    assert found["RowInfo"]["RowsIngested"] == 2
    columns = quicksight.describe_data_set(**HERE, DataSetId="steps")["DataSet"]["OutputColumns"]
    kinds = {each["Name"]: each["Type"] for each in columns}
    assert kinds == {
        "n": "STRING",
        "twice": "INTEGER",
        "word": "STRING",
        "day": "STRING",
        "hour": "INTEGER",
    }


def test_a_calculation_over_a_missing_column_is_refused_at_once(quicksight, lake):
    told = {
        "DataSetId": "bad",
        "Name": "bad",
        "ImportMode": "SPICE",
        "PhysicalTableMap": custom(lake, "SELECT 1 AS a", a="INTEGER"),
    }
    wrong = transformed(calculated(b="{nothing} + 1"))
    refused(
        "InvalidParameterValueException",
        quicksight.create_data_set,
        **HERE,
        **told,
        LogicalTableMap=wrong,
    )
    mixed = transformed(calculated(b="dateDiff({a}, {a})"))
    refused(
        "InvalidParameterValueException",
        quicksight.create_data_set,
        **HERE,
        **told,
        LogicalTableMap=mixed,
    )
    absent = {
        **told,
        "PhysicalTableMap": custom(lake.replace("lake", "river"), "SELECT 1 AS a", a="INTEGER"),
    }
    refused("ResourceNotFoundException", quicksight.create_data_set, **HERE, **absent)
    refused(
        "NotInLocalAws",
        quicksight.create_data_set,
        **HERE,
        **{**told, "ImportMode": "DIRECT_QUERY"},
    )


def test_a_refresh_takes_new_rows_and_the_limit_of_a_day_holds(quicksight, lake, names):
    frame = quicksight_lake.pd.DataFrame({"a": [1]})
    quicksight_lake.write(names, "growing", frame)
    assert (
        filled(
            quicksight,
            "growing",
            custom(lake, f"SELECT a FROM {names.database('curated')}.growing", a="INTEGER"),
        )["RowInfo"]["RowsIngested"]
        == 1
    )
    quicksight_lake.write(names, "growing", quicksight_lake.pd.concat([frame, frame]))
    quicksight.create_ingestion(**HERE, DataSetId="growing", IngestionId="again")
    found = settled(
        quicksight.describe_ingestion,
        "Ingestion",
        "IngestionStatus",
        DataSetId="growing",
        IngestionId="again",
    )
    assert found["RowInfo"]["RowsIngested"] == 2
    refused(
        "ResourceExistsException",
        quicksight.create_ingestion,
        **HERE,
        DataSetId="growing",
        IngestionId="again",
    )
    refused(
        "InvalidParameterValueException",
        quicksight.cancel_ingestion,
        **HERE,
        DataSetId="growing",
        IngestionId="again",
    )
    for each in range(31):
        quicksight.create_ingestion(**HERE, DataSetId="growing", IngestionId=f"more-{each}")
    refused(
        "LimitExceededException",
        quicksight.create_ingestion,
        **HERE,
        DataSetId="growing",
        IngestionId="one-too-many",
    )
    found = settled(
        quicksight.describe_ingestion,
        "Ingestion",
        "IngestionStatus",
        DataSetId="growing",
        IngestionId="more-30",
    )
    assert found["RowInfo"]["RowsIngested"] == 2
    states = {
        each["IngestionStatus"]
        for each in quicksight.list_ingestions(**HERE, DataSetId="growing")["Ingestions"]
    }
    assert states <= {"COMPLETED", "FAILED"}  # those that a newer one took the place of


# Permissions and tags


def test_only_the_bundles_of_quicksight_are_granted_and_only_to_those_who_exist(
    quicksight, flights
):
    arn = quicksight.create_group(**THERE, GroupName="bundles")["Group"]["Arn"]
    part = [{"Principal": arn, "Actions": ["quicksight:DescribeDataSet"]}]
    update = {**HERE, "DataSetId": "flights"}
    refused(
        "InvalidParameterValueException",
        quicksight.update_data_set_permissions,
        **update,
        GrantPermissions=part,
    )
    whole = [
        "DescribeDataSet",
        "DescribeDataSetPermissions",
        "PassDataSet",
        "DescribeIngestion",
        "ListIngestions",
    ]
    grant = [{"Principal": arn, "Actions": [f"quicksight:{each}" for each in whole]}]
    quicksight.update_data_set_permissions(**update, GrantPermissions=grant)
    assert [
        each["Principal"]
        for each in quicksight.describe_data_set_permissions(**update)["Permissions"]
    ] == [arn]
    nobody = [{**grant[0], "Principal": arn.replace("bundles", "nobody")}]
    refused(
        "InvalidParameterValueException",
        quicksight.update_data_set_permissions,
        **update,
        GrantPermissions=nobody,
    )
    quicksight.update_data_set_permissions(**update, RevokePermissions=grant)
    assert quicksight.describe_data_set_permissions(**update)["Permissions"] == []


def test_tags_are_kept(quicksight, flights):
    quicksight.tag_resource(
        ResourceArn=flights, Tags=[{"Key": "team", "Value": "air"}, {"Key": "x", "Value": "y"}]
    )
    quicksight.untag_resource(ResourceArn=flights, TagKeys=["x"])
    assert quicksight.list_tags_for_resource(ResourceArn=flights)["Tags"] == [
        {"Key": "team", "Value": "air"}
    ]


# Dashboards


def definition(flights, column="arrival_delay", kind="NumericalMeasureField"):
    where = {"DataSetIdentifier": "flights", "ColumnName": column}
    field = {
        kind: {
            "FieldId": "delay",
            "Column": where,
            "AggregationFunction": {"SimpleNumericalAggregation": "AVERAGE"},
        }
    }
    visual = {
        "KPIVisual": {"VisualId": "kpi", "ChartConfiguration": {"FieldWells": {"Values": [field]}}}
    }
    return {
        "DataSetIdentifierDeclarations": [{"Identifier": "flights", "DataSetArn": flights}],
        "Sheets": [{"SheetId": "one", "Name": "One", "Visuals": [visual]}],
    }


def judged(quicksight, name, told, number=1):
    if number == 1:
        assert (
            quicksight.create_dashboard(**HERE, DashboardId=name, Name=name, Definition=told)[
                "CreationStatus"
            ]
            == "CREATION_IN_PROGRESS"
        )
    else:
        quicksight.update_dashboard(**HERE, DashboardId=name, Name=name, Definition=told)
    return settled(
        quicksight.describe_dashboard,
        "Dashboard.Version",
        "Status",
        DashboardId=name,
        VersionNumber=number,
    )


def test_a_new_version_is_judged_and_shown_only_when_it_is_published(quicksight, flights):
    assert judged(quicksight, "board", definition(flights))["Status"] == "CREATION_SUCCESSFUL"
    assert (
        judged(quicksight, "board", definition(flights, "flight_id"), 2)["Status"]
        == "CREATION_SUCCESSFUL"
    )
    where = {**HERE, "DashboardId": "board"}
    assert quicksight.describe_dashboard(**where)["Dashboard"]["Version"]["VersionNumber"] == 1
    quicksight.update_dashboard_published_version(**where, VersionNumber=2)
    assert quicksight.describe_dashboard(**where)["Dashboard"]["Version"]["VersionNumber"] == 2
    assert [
        each["VersionNumber"]
        for each in quicksight.list_dashboard_versions(**where)["DashboardVersionSummaryList"]
    ] == [2, 1]
    kept = quicksight.describe_dashboard_definition(**where)["Definition"]
    assert kept == definition(flights, "flight_id")
    refused("ResourceNotFoundException", quicksight.describe_dashboard, **where, VersionNumber=7)
    refused("ConflictException", quicksight.delete_dashboard, **where, VersionNumber=2)


@pytest.mark.parametrize(
    ("name", "kind", "change"),
    [
        ("unknown-column", "COLUMN_REPLACEMENT_MISSING", {"column": "altitude"}),
        ("wrong-type", "COLUMN_TYPE_MISMATCH", {"column": "carrier"}),
        ("no-data-set", "DATA_SET_NOT_FOUND", {}),
    ],
)
def test_errors_appear_after_the_call_and_such_a_version_cannot_be_published(
    quicksight, flights, name, kind, change
):
    arn = flights if change else flights.replace("flights", "ships")
    found = judged(quicksight, name, definition(arn, **change))
    assert found["Status"] == "CREATION_FAILED"
    assert [each["Type"] for each in found["Errors"]] == [kind]
    assert found["Errors"][0]["ViolatedEntities"][0]["Path"]
    publish = quicksight.update_dashboard_published_version
    refused("InvalidParameterValueException", publish, **HERE, DashboardId=name, VersionNumber=1)


def test_a_definition_that_contradicts_itself_is_refused_at_once(quicksight, flights):
    def create(told):
        return refused(
            "InvalidParameterValueException",
            quicksight.create_dashboard,
            **HERE,
            DashboardId="no",
            Name="no",
            Definition=told,
        )

    doubled = definition(flights)
    doubled["Sheets"][0]["Visuals"] *= 2
    assert "more than once" in create(doubled)
    undeclared = definition(flights)
    undeclared["DataSetIdentifierDeclarations"][0]["Identifier"] = "other"
    assert "declares no data set flights" in create(undeclared)
    misplaced = definition(flights)
    element = {"ElementId": "ghost", "ElementType": "VISUAL", "ColumnSpan": 1, "RowSpan": 1}
    misplaced["Sheets"][0]["Layouts"] = [{"Configuration": {"GridLayout": {"Elements": [element]}}}]
    assert "ghost" in create(misplaced)
    garbled = {
        **definition(flights),
        "CalculatedFields": [
            {"DataSetIdentifier": "flights", "Name": "x", "Expression": "sum({flight_id}"}
        ],
    }
    assert "cannot be understood" in create(garbled)


def test_what_is_not_drawn_here_is_refused_loudly(quicksight, flights):
    def create(change):
        told = copy.deepcopy(definition(flights))
        change(told)
        return refused(
            "NotInLocalAws",
            quicksight.create_dashboard,
            **HERE,
            DashboardId="no",
            Name="no",
            Definition=told,
        )

    create(
        lambda told: told["Sheets"][0]["Visuals"].append(
            {"SankeyDiagramVisual": {"VisualId": "sankey"}}
        )
    )
    create(lambda told: told["Sheets"][0].update(TextBoxes=[{"SheetTextBoxId": "words"}]))
    create(
        lambda told: told.update(
            CalculatedFields=[
                {
                    "DataSetIdentifier": "flights",
                    "Name": "x",
                    "Expression": "runningSum(sum({flight_id}))",
                }
            ]
        )
    )
    kpi = definition(flights)["Sheets"][0]["Visuals"][0]["KPIVisual"]["ChartConfiguration"][
        "FieldWells"
    ]["Values"]
    create(
        lambda told: told["Sheets"][0]["Visuals"][0]["KPIVisual"]["ChartConfiguration"][
            "FieldWells"
        ].update(TargetValues=kpi)
    )


def test_an_embed_address_is_for_a_registered_user_only(quicksight, flights):
    judged(quicksight, "embedded", definition(flights))
    arn = f"arn:aws:quicksight:eu-west-1:{ACCOUNT}:user/default/nobody"
    told = {
        "UserArn": arn,
        "ExperienceConfiguration": {"Dashboard": {"InitialDashboardId": "embedded"}},
    }
    refused(
        "QuickSightUserNotFoundException",
        quicksight.generate_embed_url_for_registered_user,
        **HERE,
        **told,
    )
    identity = {"IdentityType": "QUICKSIGHT", "UserArn": arn}
    refused(
        "QuickSightUserNotFoundException",
        quicksight.get_dashboard_embed_url,
        **HERE,
        DashboardId="embedded",
        **identity,
    )


# Expressions


@pytest.mark.parametrize(
    ("expression", "sql"),
    [
        ("{a} / {b}", '("a" / nullif("b", 0))'),
        (
            "ifelse({a} > 1 AND NOT isNull({b}), 'x', \"y\")",
            "CASE WHEN ((\"a\" > 1) AND (NOT (\"b\" IS NULL))) THEN 'x' ELSE 'y' END",
        ),
        ("concat({a}, 'it\\'s')", "concat(\"a\", 'it''s')"),
        ("truncDate('MM', {a})", "date_trunc('month', \"a\")"),
        ("{a} IN ('x', 'y')", "(\"a\" IN ('x', 'y'))"),
        ("-({a} + 1) * 2", '((- (("a" + 1))) * 2)'),
        ("formatDate({a}, 'yyyy-MM')", "strftime(\"a\", '%Y-%m')"),
    ],
)
def test_expressions_become_sql(expression, sql):
    assert translate(expression, {"a": Sql('"a"'), "b": Sql('"b"')}) == Sql(sql)


def test_aggregations_are_known_as_such():
    assert translate("sum({a}) / distinct_count({a})", {"a": Sql('"a"')}).aggregates


@pytest.mark.parametrize(
    ("expression", "error"),
    [
        ("sum(avg({a}))", ExpressionError),
        ("{missing}", ExpressionError),
        ("ifelse({a}, 1)", ExpressionError),
        ("truncDate('FORTNIGHT', {a})", ExpressionError),
        ("{a} +", ExpressionError),
        ("rank([sum({a}) DESC])", NotSupportedError),
        ("(SELECT 1)", NotSupportedError),
        ("CAST({a} AS INT)", NotSupportedError),
    ],
)
def test_what_is_no_expression_of_quicksight_is_refused(expression, error):
    with pytest.raises(error):
        translate(expression, {"a": Sql('"a"')})


# Rights


def role(name, *statements):
    """A role that QuickSight may take, with these statements as its policy."""
    iam = boto3.client("iam")
    trust = {
        "Effect": "Allow",
        "Principal": {"Service": "quicksight.amazonaws.com"},
        "Action": "sts:AssumeRole",
    }
    made = iam.create_role(
        RoleName=name,
        AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [trust]}),
    )
    if statements:
        document = json.dumps({"Version": "2012-10-17", "Statement": list(statements)})
        iam.put_role_policy(RoleName=name, PolicyName="some", PolicyDocument=document)
    return made["Role"]["Arn"]


def test_a_role_that_may_not_ask_athena_fails_the_data_source(quicksight, names):
    athena = {"WorkGroup": names.resource("lakebook"), "RoleArn": role("asks-nothing")}
    found = source(quicksight, "no-athena", "ATHENA", {"AthenaParameters": athena})
    assert (found["Status"], found["ErrorInfo"]["Type"]) == ("CREATION_FAILED", "ACCESS_DENIED")
    assert "athena:StartQueryExecution" in found["ErrorInfo"]["Message"]


def test_a_role_that_may_not_read_the_table_fails_the_ingestion(quicksight, names):
    results = f"arn:aws:s3:::{names.jobs_bucket}"
    asks = {"Effect": "Allow", "Action": ["athena:*", "glue:Get*"], "Resource": "*"}
    writes = {"Effect": "Allow", "Action": "s3:*", "Resource": [results, f"{results}/*"]}
    athena = {
        "WorkGroup": names.resource("lakebook"),
        "RoleArn": role("reads-nothing", asks, writes),
    }
    found = source(quicksight, "no-files", "ATHENA", {"AthenaParameters": athena})
    assert found["Status"] == "CREATION_SUCCESSFUL"
    sql = f"SELECT carrier FROM {names.database('curated')}.operations_flights"
    found = filled(quicksight, "no-files", custom(found["Arn"], sql, carrier="STRING"))
    assert (found["IngestionStatus"], found["ErrorInfo"]["Type"]) == ("FAILED", "PERMISSION_DENIED")
