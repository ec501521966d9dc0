"""Questions about the Glue Data Catalog, Lake Formation and Athena."""

import io
import time

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from conformance.question import question, refusal, until

GLUE = "https://docs.aws.amazon.com/glue/latest/webapi"
LAKE_FORMATION = "https://docs.aws.amazon.com/lake-formation/latest/dg"
ATHENA = "https://docs.aws.amazon.com/athena/latest/ug"
PARQUET = {
    "InputFormat": "org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat",
    "OutputFormat": "org.apache.hadoop.hive.ql.io.parquet.MapredParquetOutputFormat",
    "SerdeInfo": {
        "SerializationLibrary": "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe"
    },
}


@question("ValidationException", f"{GLUE}/API_Column.html")
def a_column_comment_has_one_line(sandbox):
    """With which code does Glue refuse a line break in a column's comment?"""
    columns = [{"Name": "c", "Type": "int", "Comment": "one\ntwo"}]
    return refusal(
        sandbox.client("glue").create_table,
        DatabaseName=sandbox.database("comments"),
        TableInput={"Name": "t", "StorageDescriptor": {"Columns": columns}},
    )


@question("capitals", f"{GLUE}/API_TableInput.html")
def a_table_name_is_folded_to_lower_case(sandbox):
    """What is a table called that was made as "Capitals"?"""
    glue, database = sandbox.client("glue"), sandbox.database("names")
    glue.create_table(DatabaseName=database, TableInput={"Name": "Capitals"})
    (found,) = glue.get_tables(DatabaseName=database)["TableList"]
    return found["Name"]


@question(
    "InvalidInputException",
    "https://docs.aws.amazon.com/lake-formation/latest/APIReference/API_ListPermissions.html",
)
def permissions_of_nobody_are_not_listed(sandbox):
    """With which code are the permissions of a role refused that does not exist?"""
    nobody = f"arn:aws:iam::{sandbox.account}:role/{sandbox.name('nobody')}"
    return refusal(
        sandbox.client("lakeformation").list_permissions,
        Principal={"DataLakePrincipalIdentifier": nobody},
        Resource={"Database": {"Name": sandbox.database("nobodys")}},
    )


@question(
    ["ALL"],
    "https://docs.aws.amazon.com/lake-formation/latest/APIReference/API_ListPermissions.html",
)
def what_iam_allows_is_a_permission_of_a_role(sandbox):
    """Which permissions are listed of a role on a database that IAM alone decides about?"""
    _govern(sandbox)
    role, database = sandbox.role("listed"), sandbox.database("listed")
    client, resource = sandbox.client("lakeformation"), {"Database": {"Name": database}}
    everybody = {"DataLakePrincipalIdentifier": "IAM_ALLOWED_PRINCIPALS"}
    client.grant_permissions(Principal=everybody, Resource=resource, Permissions=["ALL"])
    asked = {"Principal": {"DataLakePrincipalIdentifier": role}, "Resource": resource}
    # a new role is an invalid principal for a while
    until(
        lambda: refusal(client.list_permissions, **asked),
        lambda code: not code,
        "The role was not known",
        120,
    )
    found = client.list_permissions(**asked)["PrincipalResourcePermissions"]
    return sorted({right for each in found for right in each["Permissions"]})


@question([["open"], {"told": "shut"}], f"{ATHENA}/lf-athena-limitations.html")
def who_sees_one_column_reads_all_parameters(sandbox):
    """Which columns and parameters of a table does a role read that may select one column?"""
    _govern(sandbox)
    glue, lake = sandbox.client("glue"), sandbox.client("lakeformation")
    table = {"DatabaseName": sandbox.database("parameters"), "Name": "t"}
    columns = [{"Name": each, "Type": "int"} for each in ("open", "shut")]
    bucket, role = (
        sandbox.bucket("governed"),
        sandbox.role("governs", "lakeformation.amazonaws.com"),
    )
    place = {"ResourceArn": f"arn:aws:s3:::{bucket}"}
    sandbox.after(lake.deregister_resource, **place)
    until(
        lambda: refusal(lake.register_resource, **place, RoleArn=role),
        lambda code: code in ("", "AlreadyExistsException"),
        "The role was not taken",
        120,
    )
    storage = {"Columns": columns, "Location": f"s3://{bucket}/t/"}
    told = {"Parameters": {"told": "shut"}, "StorageDescriptor": storage}
    glue.create_table(DatabaseName=table["DatabaseName"], TableInput={"Name": "t", **told})
    person = sandbox.person("parameters", "glue:GetTable", "lakeformation:GetDataAccess")
    everybody = {"DataLakePrincipalIdentifier": "IAM_ALLOWED_PRINCIPALS"}
    arn = f"arn:aws:iam::{sandbox.account}:role/{sandbox.name('parameters')}"
    column = {"TableWithColumns": {**table, "ColumnNames": ["open"]}}
    for each in ({"Table": table}, {"Database": {"Name": table["DatabaseName"]}}):
        refusal(lake.revoke_permissions, Principal=everybody, Resource=each, Permissions=["ALL"])
    lake.grant_permissions(
        Principal={"DataLakePrincipalIdentifier": arn}, Resource=column, Permissions=["SELECT"]
    )
    asks = person.client("glue").get_table
    until(lambda: refusal(asks, **table), lambda code: not code, "The grant did not hold", 120)
    found = asks(**table)["Table"]
    read = [each["Name"] for each in found["StorageDescriptor"]["Columns"]]
    return [read, {"told": found["Parameters"].get("told")}]


@question("", f"{GLUE}/API_Column.html")
def a_column_comment_is_measured_in_characters(sandbox):
    """With which code is a comment refused of 128 characters that take two units of UTF-16?"""
    columns = [{"Name": "c", "Type": "int", "Comment": "\U0001f600" * 128}]
    return refusal(
        sandbox.client("glue").create_table,
        DatabaseName=sandbox.database("measured"),
        TableInput={"Name": "t", "StorageDescriptor": {"Columns": columns}},
    )


@question(["personal", ["open", "shut"]], f"{LAKE_FORMATION}/TBAC-notes.html")
def tags_are_kept_in_lower_case(sandbox):
    """What do the key and the values of an LF-Tag read like that were written with capitals?"""
    client = sandbox.client("lakeformation")
    _govern(sandbox)
    client.create_lf_tag(TagKey="Lakebook-Personal", TagValues=["Open", "Shut"])
    sandbox.after(client.delete_lf_tag, TagKey="lakebook-personal")
    found = client.get_lf_tag(TagKey="lakebook-personal")
    return [found["TagKey"].removeprefix("lakebook-"), sorted(found["TagValues"])]


@question("2024-01-01 00:00:00.124", f"{ATHENA}/data-types.html", cost="cents")
def athena_rounds_microseconds(sandbox):
    """How does Athena read 00:00:00.1235 of a Parquet file, which has microseconds?"""
    moment = pd.DataFrame({"at": [pd.Timestamp("2024-01-01 00:00:00.123500")]})
    packed = io.BytesIO()
    pq.write_table(pa.Table.from_pandas(moment), packed, coerce_timestamps="us")
    bucket, database = sandbox.bucket("moments"), sandbox.database("moments")
    sandbox.client("s3").put_object(Bucket=bucket, Key="t/one.parquet", Body=packed.getvalue())
    storage = {"Columns": [{"Name": "at", "Type": "timestamp"}], "Location": f"s3://{bucket}/t/"}
    sandbox.client("glue").create_table(
        DatabaseName=database,
        TableInput={
            "Name": "t",
            "TableType": "EXTERNAL_TABLE",
            "StorageDescriptor": {**storage, **PARQUET},
        },
    )
    return _answer(sandbox, f'SELECT cast(at AS varchar) FROM "{database}"."t"', bucket)


@question("InvalidRequestException", f"{ATHENA}/reserved-words.html", cost="cents")
def a_reserved_word_is_no_name(sandbox):
    """With which code is a query refused that names a column `end` without quotes?"""
    return refusal(
        sandbox.client("athena").start_query_execution,
        QueryString="SELECT 1 AS end",
        ResultConfiguration={"OutputLocation": f"s3://{sandbox.bucket('reserved')}/"},
    )


@question("FAILED", f"{ATHENA}/functions-env3.html", cost="cents")
def a_function_of_another_engine_is_unknown(sandbox):
    """What becomes of a query that calls `list_value`, which is DuckDB's?"""
    return _state(sandbox, "SELECT list_value(1, 2)", sandbox.bucket("functions"))["State"]


def _govern(sandbox):
    """Make the caller a data lake administrator until all questions were asked."""
    if "governed" in sandbox.shared:
        return
    sandbox.shared["governed"] = True
    client, caller = sandbox.client("lakeformation"), sandbox.client("sts").get_caller_identity()
    before = client.get_data_lake_settings()["DataLakeSettings"]
    role = caller["Arn"].replace(":sts:", ":iam:").replace(":assumed-role/", ":role/")
    name = role.rsplit("/", 1)[0] if ":role/" in role else role
    administrators = [*before["DataLakeAdmins"], {"DataLakePrincipalIdentifier": name}]
    client.put_data_lake_settings(DataLakeSettings={**before, "DataLakeAdmins": administrators})
    sandbox.after(client.put_data_lake_settings, DataLakeSettings=before)


def _answer(sandbox, sql, bucket):
    """The only value of a query's answer, as text."""
    status = _state(sandbox, sql, bucket)
    if status["State"] != "SUCCEEDED":
        return status.get("StateChangeReason", status["State"])
    rows = sandbox.client("athena").get_query_results(QueryExecutionId=status["id"])["ResultSet"]
    return rows["Rows"][1]["Data"][0]["VarCharValue"]


def _state(sandbox, sql, bucket):
    """How a query has ended, as Athena describes it, with its id."""
    athena = sandbox.client("athena")
    results = {"OutputLocation": f"s3://{bucket}/results/"}
    asked = athena.start_query_execution(QueryString=sql, ResultConfiguration=results)
    end = time.monotonic() + 120
    while time.monotonic() < end:
        found = athena.get_query_execution(QueryExecutionId=asked["QueryExecutionId"])
        status = found["QueryExecution"]["Status"]
        if status["State"] not in ("QUEUED", "RUNNING"):
            return {**status, "id": asked["QueryExecutionId"]}
        time.sleep(0.1)
    raise TimeoutError(f"The query was still {status['State']} after two minutes.")
