"""Dashboards from their file to the page: declared, applied, changed, broken, and looked at in a
browser.
"""

import json
import shutil
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

import boto3
import foundation
import pytest
import quicksight_lake
from echoes import needed_otherwise
from until import until

from lakebook import LakebookError, calls, ensure, plan
from lakebook.layers import dashboards
from lakebook.services import quicksight, redshift

FILE = "dashboards/airline.yaml"
CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
DRIVER = shutil.which("chromedriver")
READER, ANN = "ann@example.com", "arn:aws:iam::123456789012:user/ann"
SIGNED_IN = (  # by IAM Identity Center
    "arn:aws:iam::123456789012:role/aws-reserved/sso.amazonaws.com/eu-west-1"
    "/AWSReservedSSO_Reports_0123456789abcdef"
)


@pytest.fixture(scope="module")
def names(stand_in):
    names = foundation.names("dashboard")
    quicksight_lake.build(names)
    return names


@pytest.fixture(scope="module")
def account(names):
    return quicksight.Account(names, names.region)


@pytest.fixture(scope="module")
def board(account):
    """The airline's dashboard, applied."""
    board = dashboards.load(FILE, account)
    ensure(resources(board), apply=True)
    return board


def resources(board):
    workgroup = board.account.names.resource("lakebook")
    return board.resources({"bo@example.com": SIGNED_IN}, {READER: ANN}, workgroup)


def edited(board, tmp_path, change):
    """The board from a file in which something was replaced."""
    text = board.text
    for old, new in change.items():
        assert old in text
        text = text.replace(old, new)
    file = tmp_path / Path(FILE).name
    file.write_text(text)
    return dashboards.load(str(file), board.account)


def actions(board):
    return [call.action.removeprefix("quicksight:") for _, call in calls(resources(board))]


# Declared and kept


def test_the_order_and_spelling_of_answers_need_no_call(board):
    assert needed_otherwise(resources(board)) == []


def test_people_are_their_own_principals_and_no_session_that_others_can_name(board, names):
    asked = {"AwsAccountId": foundation.ACCOUNT, "Namespace": "default"}
    users = boto3.client("quicksight").list_users(**asked)["UserList"]
    assert {each["UserName"] for each in users} == {
        "ann",
        "AWSReservedSSO_Reports_0123456789abcdef/bo@example.com",
    }
    with pytest.raises(LakebookError, match="by a role of the lake"):
        board.resources({"bo@example.com": names.role_arn("analyst")}, {}, "w")


def test_authors_may_browse_the_catalog_as_the_data_source_does(board, names):
    workgroup, catalog = (
        f"arn:aws:athena:{names.region}:{names.account}:{each}"
        for each in (f"workgroup/{names.resource('lakebook')}", "datacatalog/AwsDataCatalog")
    )
    asked = {
        workgroup: ["GetWorkGroup", "GetQueryResultsStream"],
        catalog: ["GetDataCatalog", "ListDatabases", "ListTableMetadata", "GetTableMetadata"],
        "*": ["ListDataCatalogs"],
    }
    here = {
        "ContextKeyName": "aws:RequestedRegion",
        "ContextKeyType": "string",
        "ContextKeyValues": [names.region],
    }
    for resource, actions in asked.items():
        found = boto3.client("iam").simulate_principal_policy(
            PolicySourceArn=names.role_arn("quicksight"),
            ActionNames=[f"athena:{each}" for each in actions],
            ResourceArns=[resource],
            ContextEntries=[here],
        )["EvaluationResults"]
        assert {each["EvalDecision"] for each in found} == {"allowed"}


def test_what_was_made_a_moment_ago_is_waited_for(account, tmp_path, slow_to_settle):
    file = tmp_path / "late.yaml"
    file.write_text(
        Path(FILE)
        .read_text()
        .replace("flights:\n    Name", "late:\n    Name", 1)
        .replace("DataSetArn.flights", "DataSetArn.late")
    )
    late = dashboards.load(str(file), account)
    ensure(resources(late), apply=True)
    assert plan(resources(late)).empty


def test_a_data_set_of_a_table_is_counted_and_a_join_of_quicksight_is_not(
    account, tmp_path, capsys
):
    table = {"DataSourceArn": "${DataSourceArn}", "Schema": "s", "Name": "operations_flights"}
    physical = {"a": {"RelationalTable": table}}
    text = {
        "DataSets": {
            "one": {"PhysicalTableMap": physical},
            "two": {"PhysicalTableMap": {**physical, "b": {"RelationalTable": table}}},
        },
        "Dashboard": {"Name": "x"},
    }
    file = tmp_path / "tables.yaml"
    file.write_text(json.dumps(text) + "\n# ${table.operations.flights}\n")
    asked = []

    class Counting:
        def query(self, sql):
            asked.append(sql)
            return {"n": [3]}

    board = dashboards.load(str(file), account)
    assert board.rows_in(Counting()) == {"one": {"rows": 3, "dropped": 0}}
    assert asked == ['SELECT count(*) AS n FROM "operations"."flights"']
    assert board.rows_ingested().keys() == {"one"}
    assert "two: QuickSight joins its tables" in capsys.readouterr().out


def test_applied_once_nothing_is_left_to_do(board):
    assert plan(resources(board)).empty


def test_every_row_is_ingested_and_the_dashboard_answers(board, account, names):
    bookings = len(quicksight_lake.read(names, "customers_bookings"))
    rows = {
        "flights": {"rows": quicksight_lake.FLIGHTS, "dropped": 0},
        "sales": {"rows": bookings, "dropped": 0},
    }
    assert board.rows_ingested() == rows
    assert quicksight.state(account, board.name) == quicksight.ANSWERS


def test_the_warehouse_counts_what_the_lake_gave(board, names):
    serverless, name = boto3.client("redshift-serverless"), names.resource("warehouse")
    serverless.create_namespace(namespaceName=name, dbName="lake")
    subnets = [
        each["SubnetId"]
        for each in boto3.client("ec2").describe_subnets(
            Filters=[{"Name": "default-for-az", "Values": ["true"]}]
        )["Subnets"]
    ][:3]
    serverless.create_workgroup(workgroupName=name, namespaceName=name, subnetIds=subnets)
    warehouse = redshift.Warehouse(name, "lake")
    while not warehouse.exists():
        pass
    tables = {
        "operations.airlines": (
            "SELECT 'AA'::varchar(2) AS carrier, 'American'::varchar(20) AS name"
        ),
        "operations.airports": (
            "SELECT 'LAX'::varchar(3) AS airport, 'x'::varchar(3) AS name, 1.0::float8 AS latitude,"
            " 2.0::float8 AS longitude"
        ),
        "operations.flights": (
            "SELECT 1 AS flight_id, 'AA'::varchar(2) AS carrier, 'JFK'::varchar(3) AS origin,"
            " 'LAX'::varchar(3) AS destination, '2013-01-01'::timestamp AS scheduled_departure, 1"
            " AS departure_delay, 1 AS arrival_delay, 100 AS distance, false AS cancelled"
        ),
        "customers.bookings": (
            "SELECT 1 AS booking_id, 1 AS flight_id, 'first'::varchar(9) AS cabin,"
            " 9.5::decimal(10,2) AS price, false AS cancelled"
        ),
    }
    made = [f"CREATE TABLE {name} AS {sql}" for name, sql in tables.items()]
    warehouse.transaction(["CREATE SCHEMA operations", "CREATE SCHEMA customers", *made]).run()
    assert board.rows_in(warehouse) == {
        "flights": {"rows": 1, "dropped": 0},
        "sales": {"rows": 1, "dropped": 0},
    }


def test_a_changed_definition_is_one_update_and_one_publication(board, tmp_path, account):
    changed = edited(
        board, tmp_path, {"PlainText: Where the flights go": "PlainText: Destinations"}
    )
    assert actions(changed) == ["UpdateDashboard", "UpdateDashboardPublishedVersion"]
    ensure(resources(changed), apply=True)
    assert actions(changed) == []
    assert quicksight.state(account, board.name) == quicksight.ANSWERS
    ensure(resources(board), apply=True)


def test_a_version_made_in_the_console_is_replaced(board, account):
    told = boto3.client("quicksight").describe_dashboard_definition(
        AwsAccountId=foundation.ACCOUNT, DashboardId=board.name
    )
    where = {"AwsAccountId": foundation.ACCOUNT, "DashboardId": board.name}
    client = boto3.client("quicksight")
    client.update_dashboard(**where, Name="Mine", Definition=told["Definition"])
    until(
        lambda: client.list_dashboard_versions(**where),
        done=lambda versions: all(
            each["Status"] == "CREATION_SUCCESSFUL"
            for each in versions["DashboardVersionSummaryList"]
        ),
    )
    assert actions(board) == ["UpdateDashboard", "UpdateDashboardPublishedVersion"]
    ensure(resources(board), apply=True)
    assert quicksight.state(account, board.name) == quicksight.ANSWERS


def test_a_changed_data_set_is_updated_and_filled(board, tmp_path):
    changed = edited(board, tmp_path, {"<= 15, 1, 0)": "<= 30, 1, 0)"})
    assert actions(changed) == ["TagResource", "UpdateDataSet", "TagResource"]
    ensure(resources(changed), apply=True)
    assert actions(changed) == []
    ensure(resources(board), apply=True)


def test_new_rows_in_the_lake_are_ingested(board, names):
    frame, kinds = quicksight_lake.tables()["customers_bookings"]
    quicksight_lake.write(
        names, "customers_bookings", quicksight_lake.pd.concat([frame, frame[:5]]), kinds
    )
    glue = boto3.client("glue")
    where = {"DatabaseName": names.database("curated")}
    table = glue.get_table(**where, Name="customers_bookings")["Table"]
    kept = {
        name: table[name]
        for name in ("Name", "StorageDescriptor", "Parameters", "TableType")
        if name in table
    }
    glue.update_table(**where, TableInput=kept)
    assert actions(board) == ["CreateIngestion", "CreateIngestion"]
    ensure(resources(board), apply=True)
    assert board.rows_ingested()["sales"]["rows"] == quicksight_lake.BOOKINGS + 5
    assert actions(board) == []


def test_a_permission_taken_away_is_given_back(board, account):
    arn = account.arn("group/default", account.names.resource("readers"))
    gone = [{"Principal": arn, "Actions": quicksight.READS["dashboard"]}]
    where = {"AwsAccountId": foundation.ACCOUNT, "DashboardId": board.name}
    boto3.client("quicksight").update_dashboard_permissions(**where, RevokePermissions=gone)
    assert actions(board) == ["UpdateDashboardPermissions"]
    ensure(resources(board), apply=True)
    assert actions(board) == []


# Bad input, each in one sentence


def applied_anew(board, tmp_path, change, other):
    """The error of applying a changed file under other ids."""
    changed = edited(board, tmp_path, change)
    names = foundation.names("dashboard")
    there = dashboards.Board(f"{other}.yaml", quicksight.Account(names, names.region), changed.text)
    with pytest.raises(LakebookError) as error:
        ensure(resources(there)[-2:-1], apply=True)
    return str(error.value)


def test_an_unknown_column_is_reported_in_one_sentence(board, tmp_path):
    said = applied_anew(
        board,
        tmp_path,
        {"ColumnName: arrival_delay}": "ColumnName: arrival_dely}"},
        "unknown-column",
    )
    assert "COLUMN_REPLACEMENT_MISSING: There is no field arrival_dely" in said
    assert said.endswith("readers still see the version published before.")


def test_a_wrong_type_is_reported_in_one_sentence(board, tmp_path):
    said = applied_anew(
        board,
        tmp_path,
        {
            "Column: &price {DataSetIdentifier: sales, ColumnName: price}": (
                "Column: &price {DataSetIdentifier: sales, ColumnName: cabin}"
            )
        },
        "wrong-type",
    )
    assert (
        "COLUMN_TYPE_MISMATCH: The column cabin is STRING where NumericalMeasureField needs INTEGER"
        " or DECIMAL" in said
    )


def test_a_missing_data_set_is_reported_in_one_sentence(board, tmp_path):
    said = applied_anew(
        board,
        tmp_path,
        {'"${DataSetArn.sales}"': "arn:aws:quicksight:eu-west-1:123456789012:dataset/gone"},
        "no-set",
    )
    assert (
        "DATA_SET_NOT_FOUND: The data set arn:aws:quicksight:eu-west-1:123456789012:dataset/gone is"
        " not found" in said
    )


def test_a_missing_table_fails_the_ingestion_in_one_sentence(board, tmp_path):
    changed = edited(board, tmp_path, {"${table.customers.bookings}": "${table.customers.absent}"})
    with pytest.raises(
        LakebookError,
        match=(
            r"could not fill the data set acme-dashboard-sales \(SQL_TABLE_NOT_FOUND\).*readers"
            r" still see"
        ),
    ):
        ensure(resources(changed), apply=True)
    assert board.rows_ingested()["sales"]["rows"] >= quicksight_lake.BOOKINGS
    ensure(resources(board), apply=True)


def test_a_data_source_without_rights_is_reported_in_one_sentence(account, names):
    athena = {"WorkGroup": names.resource("lakebook"), "RoleArn": names.role_arn("nobody")}
    want = {"Name": "x", "Type": "ATHENA", "DataSourceParameters": {"AthenaParameters": athena}}
    with pytest.raises(
        LakebookError,
        match=(
            r"does not answer \(ACCESS_DENIED\): .*nobody; correct that and run this phase again\."
        ),
    ):
        ensure([quicksight.data_source("no-rights", account, want)], apply=True)


def test_a_file_that_names_what_there_is_not_is_refused(board, tmp_path):
    with pytest.raises(LakebookError, match=r"names DataSetArn\.ships, which there is not"):
        edited(board, tmp_path, {"${DataSetArn.sales}": "${DataSetArn.ships}"}).dashboard  # noqa: B018 - the property refuses
    with pytest.raises(LakebookError, match="must have DataSets and Dashboard"):
        dashboards.load("no/such/file.yaml", board.account)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("ImportMode: SPICE", "ImportMode: SPICE\n    # 5 $", r"has a \$ that fills nothing in"),
        ("    Name: Flights\n", "    Nmae: Flights\n", "under DataSets.flights: Missing .*Name"),
        ("  Name: ", "  Nam: ", "QuickSight's CreateData"),
        ("Dashboard:\n", "Dashboard: []\nRest:\n", "is not as it must be"),
        ("  flights:\n    Name", "  flights-1:\n    Name", "does not match"),
    ],
)
def test_a_file_that_quicksight_would_not_take_is_one_sentence(board, tmp_path, old, new, said):
    with pytest.raises(LakebookError, match=said) as refused:
        resources(edited(board, tmp_path, {old: new}))
    assert "\n" not in str(refused.value)


def test_whoever_signs_in_is_given_by_an_arn(board):
    with pytest.raises(LakebookError, match=r"bo@example\.com must be an ARN, not 'bo'"):
        board.resources({"bo@example.com": "bo"}, {}, "workgroup")


# The page


def fetched(address, path="", **query):
    """The body at a place below the page, asked as its script does."""
    base, _, code = address.partition("?")
    asked = urllib.parse.urlencode({**dict(urllib.parse.parse_qsl(code)), **query})
    with urllib.request.urlopen(f"{base}{path}?{asked}") as answer:
        return answer.read()


@pytest.fixture
def address(board, account):
    return quicksight.address(account, board.name, READER, ANN)


def test_a_filter_changes_what_the_visuals_ask(address):
    whole = json.loads(fetched(address, "/data", sheet="operations", filters="{}"))
    assert whole["flights"] == {"kind": "kpi", "value": str(quicksight_lake.FLIGHTS)}
    chosen = json.dumps({"airline": {"values": ["American"]}})
    assert (
        json.loads(fetched(address, "/data", sheet="operations", filters=chosen))["flights"][
            "value"
        ]
        == "200"
    )
    january = json.dumps({"period": {"least": "2013-01-01", "most": "2013-01-31"}})
    assert (
        json.loads(fetched(address, "/data", sheet="operations", filters=january))["flights"][
            "value"
        ]
        == "54"
    )
    nobody = json.dumps({"airline": {"values": []}})
    assert (
        json.loads(fetched(address, "/data", sheet="operations", filters=nobody))["flights"][
            "value"
        ]
        == "0"
    )


def test_numbers_are_those_of_the_rows(address):
    frame = quicksight_lake.tables()["operations_flights"][0]
    shown = json.loads(fetched(address, "/data", sheet="operations", filters="{}"))
    assert shown["delay"]["value"] == f"{frame['arrival_delay'].astype('float').mean():,.1f} min"
    assert shown["cancelled"]["value"] == f"{frame['cancelled'].mean():.1%}"
    assert (
        shown["on-time"]["value"] == f"{(frame['arrival_delay'].astype('float') <= 15).mean():.1%}"
    )


def test_the_page_is_for_those_who_may_see_it(address, board, account):
    for wrong in (address + "x", address.partition("?")[0]):
        with pytest.raises(urllib.error.HTTPError) as refusal:
            fetched(wrong)
        assert refusal.value.code == 403
    boto3.client("quicksight").delete_group_membership(
        AwsAccountId=foundation.ACCOUNT,
        Namespace="default",
        GroupName=account.names.resource("readers"),
        MemberName=quicksight.user_name(READER, ANN),
    )
    with pytest.raises(urllib.error.HTTPError) as refusal:
        fetched(address)
    assert "has no permission to see the dashboard Airline" in refusal.value.read().decode()
    ensure(resources(board), apply=True)
    assert fetched(address)


@pytest.fixture(scope="module")
def browser(board):
    """Chromium without a window; every request it makes is logged."""
    if not (CHROMIUM and DRIVER):
        pytest.skip(
            "no chromium with chromedriver on this machine: apt-get install chromium-driver"
        )
    webdriver = pytest.importorskip("selenium.webdriver")
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    flags = (
        "headless=new",
        "no-sandbox",
        "disable-gpu",
        "disable-dev-shm-usage",
        "disable-background-networking",
        "window-size=1440,1250",
    )
    for flag in flags:
        options.add_argument(f"--{flag}")
    options.set_capability("goog:loggingPrefs", {"performance": "ALL", "browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    yield driver
    driver.quit()


def drawn(browser, sheet):
    """Wait until every visual of a sheet is drawn after the newest choice; what each says, by its
    id.
    """
    wait = pytest.importorskip("selenium.webdriver.support.ui").WebDriverWait(browser, 60)
    script = """
        const sheet = document.getElementById("sheet-" + arguments[0]);
        if (!sheet || sheet.dataset.refreshed != latest[arguments[0]]) return null;
        const shown = each => each.querySelector("svg.main-svg") ? " (chart)" : "";
        const visuals = [...sheet.querySelectorAll(".visual")];
        return Object.fromEntries(
            visuals.map(each => [each.id, each.innerText.trim() + shown(each)]));
    """
    return wait.until(lambda one: one.execute_script(script, sheet))


def test_all_visuals_are_drawn_and_a_filter_changes_the_numbers(browser, address):
    browser.get(address)
    shown = drawn(browser, "operations")
    assert shown["flights"].split() == ["Flights", "600"]
    charts = ("by-month", "by-airline", "by-hour", "destinations")
    assert all(shown[each].endswith("(chart)") for each in charts)
    assert "American" in shown["by-airline"]
    assert "United" in shown["by-airline"]
    browser.find_element("css selector", "#operations-airline summary").click()
    browser.find_element("css selector", "#operations-airline input[value='United']").click()
    fewer = drawn(browser, "operations")
    assert fewer["flights"].split() == ["Flights", "400"]
    assert "United" not in fewer["by-airline"]
    browser.find_element("css selector", "nav button[data-sheet='sales']").click()
    sales = drawn(browser, "sales")
    assert "American" in sales["airlines"]
    assert "United" not in sales["airlines"]  # one choice holds on every sheet
    assert sales["revenue-by-route"].endswith("(chart)")
    assert sales["cabins"].endswith("(chart)")


def test_a_range_of_days_is_chosen_by_its_ends(browser, address):
    browser.get(address)
    drawn(browser, "operations")
    script = (
        "const end = document.querySelector('#operations-period input.most'); end.value ="
        " '2013-01-31'; end.dispatchEvent(new Event('change', {bubbles: true}))"
    )
    browser.execute_script(script)
    assert drawn(browser, "operations")["flights"].split() == ["Flights", "54"]


def test_the_page_asks_nobody_else_and_has_no_error(browser, address):
    browser.get_log("performance")
    browser.get(address)
    drawn(browser, "operations")
    messages = [json.loads(each["message"])["message"] for each in browser.get_log("performance")]
    asked = [
        each["params"]["request"]["url"]
        for each in messages
        if each["method"] == "Network.requestWillBeSent"
    ]
    elsewhere = [
        each
        for each in asked
        if not each.startswith((address.partition("/_quicksight")[0], "data:", "blob:"))
    ]
    assert len(asked) >= 3
    assert elsewhere == []
    assert [
        each["message"] for each in browser.get_log("browser") if each["level"] == "SEVERE"
    ] == []
