"""The matrix of who sees what, on a schema of its own: it holds as declared, and any carelessness
shows, by where it matters.
"""

import io
import json
from dataclasses import replace

import boto3
import foundation
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from botocore.exceptions import ClientError
from echoes import needed_otherwise
from until import until

from lakebook import calls, ensure
from lakebook.access import access_matrix, lake_access, personal_data, warehouse_access
from lakebook.errors import LakebookError
from lakebook.layers import lake, reporting, warehouse
from lakebook.people import personas
from lakebook.people.classification import Classification
from lakebook.reconcile import relations
from lakebook.reconcile.measure import measure
from lakebook.services import athena, ec2, glue, kms, lakeformation, redshift, s3
from lakebook.source.model import Column, LakeType, Table

NAMES = foundation.names("access")
CLASSES = Classification(
    "tests",
    {"public": "", "internal": "", "sensitive": ""},
    "internal",
    {"public": ["hr.offices.*"], "sensitive": ["hr.people.ssn", "hr.people.salary"]},
    {
        "migration-operator": ["public", "internal", "sensitive"],
        "data-engineer": ["public", "internal"],
        "data-scientist": ["public", "internal", "sensitive"],
        "analyst": ["public", "internal"],
        "auditor": [],
        "redshift": ["public"],
    },
    {"hr.people": {"analyst": "country = 'de'"}},
    {"data-scientist": ["hr.offices"]},
)
PEOPLE = pd.DataFrame(
    {
        "id": [1, 2, 3],
        "name": ["ann", "bob", "eve"],
        "salary": [1000, 2000, 31337],
        "ssn": ["s-1", "s-2", "s-3"],
        "country": ["de", "de", "fr"],
    }
).astype({"id": "int32", "salary": "int32"})
OFFICES = pd.DataFrame({"id": [1, 2], "city": ["Rom", "Ulm"]}).astype({"id": "int32"})
DATABASE = NAMES.database("curated")
ON_PEOPLE = {"DatabaseName": DATABASE, "Name": "hr_people"}


def columns(frame):
    types = {"int32": ("integer", LakeType("int32"))}
    text = ("character varying(20)", LakeType("string", longest_bytes=80))
    return tuple(
        Column(each, each, *types.get(str(kind), text)) for each, kind in frame.dtypes.items()
    )


@pytest.fixture(scope="module")
def lakeside(stand_in):
    """Foundation, a curated layer of two tables, a warehouse that has loaded them, and the operator
    at work.
    """
    parts = foundation.parts(NAMES, services=())
    ensure(foundation.bootstrap(NAMES), apply=True)
    admin = boto3.Session()
    settings = admin.client("lakeformation").get_data_lake_settings()["DataLakeSettings"]
    keys = boto3.client("sts").assume_role(
        RoleArn=NAMES.role_arn("migration-operator"), RoleSessionName="access"
    )["Credentials"]
    names = ("aws_access_key_id", "aws_secret_access_key", "aws_session_token")
    boto3.setup_default_session(**dict(zip(names, [*keys.values()][:3], strict=True)))
    parts["people"] = personas.roles(NAMES, {}, CLASSES)
    for part in ("services", "people", "data", "network"):
        ensure(parts[part], apply=True)
    results = f"s3://{NAMES.jobs_bucket}/athena/lakebook/"
    ensure([athena.workgroup(NAMES.resource("lakebook"), results, kms.alias(NAMES))], apply=True)
    ensure([*lakeformation.governance(NAMES, []), *declared()], apply=True)
    ensure(lake_access.enforced(NAMES, CLASSES), apply=True)
    for name, frame in (("people", PEOPLE), ("offices", OFFICES)):
        curated(name, frame)
    ensure(declared(), apply=True)
    store = redshift.Warehouse(NAMES.resource("warehouse"), "lake")
    ensure(redshift.compute(NAMES, "lake", ec2.subnets(NAMES, []), 8), apply=True)
    ensure(
        [
            warehouse.schemas("", store, ["hr", "reporting"]),
            *warehouse.loads(NAMES, store, loaded()),
        ],
        apply=True,
    )
    ensure(
        [
            reporting.external_schema("lake", store, DATABASE, NAMES.role_arn("redshift")),
            readers(store),
        ],
        apply=True,
    )
    yield admin, store
    assert access_matrix.differences(matrix().tried()) == []  # all that was careless is mended
    admin.client("lakeformation").put_data_lake_settings(DataLakeSettings=settings)
    boto3.setup_default_session()


def curated(name, frame):
    """One table of the curated layer with its proof."""
    table = Table("hr", name, f"hr_{name}", len(frame), False, 0, columns(frame), ("id",))
    location, packed = f"s3://{NAMES.curated_bucket}/hr/{name}/snapshot=1/", io.BytesIO()
    pq.write_table(pa.Table.from_pandas(frame, preserve_index=False), packed)
    bucket, key = s3.split(location)
    boto3.client("s3").put_object(Bucket=bucket, Key=f"{key}part.parquet", Body=packed.getvalue())
    described = [
        (each, "int" if str(kind) == "int32" else "string", "")
        for each, kind in frame.dtypes.items()
    ]
    ensure(
        [glue.table(f"hr_{name}", DATABASE, glue.parquet_table(described, location, "", {}))],
        apply=True,
    )
    found = measure(
        relations.athena(DATABASE, f"hr_{name}", table, NAMES.resource("lakebook")), table, 63
    )
    proof = lake.proof(inputs="1", files="", measure=found.to_json(), rows=len(frame))
    parameters = {lake.SOURCE: lake.source_uri(NAMES, table), lake.PROOF: proof}
    ensure(
        [
            lake.source_kept(name, NAMES, table),
            lake.measure_kept(name, NAMES, found.to_json()),
            glue.table(
                f"hr_{name}", DATABASE, glue.parquet_table(described, location, "", parameters)
            ),
        ],
        apply=True,
    )


def declared():
    return [
        *lake_access.foundation(NAMES, CLASSES),
        *lake_access.readers(NAMES, CLASSES),
        *lake_access.classified(NAMES, CLASSES),
    ]


def loaded():
    return warehouse.tables(NAMES, {}, 63)


def readers(store):
    return warehouse_access.readers("personas", store, NAMES, CLASSES, loaded())


def of_the_lake():
    return [*declared(), *lake_access.enforced(NAMES, CLASSES), *personas.roles(NAMES, {}, CLASSES)]


def everything(store):
    return [*of_the_lake(), readers(store)]


def matrix():
    return access_matrix.Matrix(
        NAMES, CLASSES, lake_access.tables(NAMES, CLASSES), loaded(), "lake"
    )


def test_the_matrix_holds_as_declared_and_shows_what_it_tried(lakeside):
    tried = matrix().tried()
    assert access_matrix.differences(tried) == []
    assert set(tried["role"]) == set(access_matrix.ROLES)
    assert set(tried["access_path"]) == set(access_matrix.ACCESS_PATHS)
    seen = tried[tried["seen"].eq(True) & (tried["column"] == "ssn")]
    assert sorted(set(zip(seen["role"], seen["access_path"], strict=True))) == [
        *(("data-scientist", each) for each in ("athena", "awswrangler", "warehouse")),
        *(("migration-operator", each) for each in ("athena", "awswrangler", "files", "warehouse")),
    ]
    rows = tried[
        (tried["column"] == access_matrix.ROWS) & (tried["table"] == "hr.people")
    ].set_index(["role", "access_path"])["seen"]
    assert (
        rows["analyst", "athena"],
        rows["data-engineer", "athena"],
        rows["analyst", "warehouse"],
    ) == (2, 3, 2)
    summary = access_matrix.summary(tried).set_index("role")
    assert summary.loc["auditor"].tolist() == ["0 of 7"] * 5
    access_matrix.picture(tried)


def test_nothing_is_left_to_declare(lakeside):
    assert calls(everything(lakeside[1])) == []
    assert needed_otherwise(everything(lakeside[1])) == []


def lf(operation, **arguments):
    return lambda _admin, _store: getattr(boto3.client("lakeformation"), operation)(**arguments)


def give(role, resource, *permissions):
    return lf(
        "grant_permissions",
        Principal={"DataLakePrincipalIdentifier": NAMES.role_arn(role)},
        Resource=resource,
        Permissions=list(permissions),
    )


def take(role, resource, *permissions):
    return lf(
        "revoke_permissions",
        Principal={"DataLakePrincipalIdentifier": NAMES.role_arn(role)},
        Resource=resource,
        Permissions=list(permissions),
    )


def tag(columns, value, key="class"):
    on = (
        {"TableWithColumns": {**ON_PEOPLE, "ColumnNames": columns}}
        if columns
        else {"Table": ON_PEOPLE}
    )
    return lf(
        "add_lf_tags_to_resource",
        Resource=on,
        LFTags=[{"TagKey": NAMES.resource(key), "TagValues": [value]}],
    )


def untag(columns, value):
    on = {"TableWithColumns": {**ON_PEOPLE, "ColumnNames": columns}}
    return lf(
        "remove_lf_tags_from_resource",
        Resource=on,
        LFTags=[{"TagKey": NAMES.resource("class"), "TagValues": [value]}],
    )


def policy(classes, rows=("all",)):
    keys = {"class": list(classes), "rows": list(rows)}
    expression = [
        {"TagKey": NAMES.resource(key), "TagValues": values} for key, values in keys.items()
    ]
    return {"LFTagPolicy": {"ResourceType": "TABLE", "Expression": expression}}


FILTER = {
    "TableCatalogId": foundation.ACCOUNT,
    "DatabaseName": DATABASE,
    "TableName": "hr_people",
    "Name": "acme_access_analyst",
}


def narrow(rows, *columns):
    told = {**FILTER, "RowFilter": {"FilterExpression": rows}, "ColumnNames": list(columns)}
    return lf("update_data_cells_filter", TableData=told)


def sql(text):
    return lambda _admin, store: ensure([store_statement(store, text)], apply=True)


def store_statement(store, text):
    return next(iter([lake_resource(store, text)]))


def lake_resource(store, text):
    from lakebook.ensure import Resource  # noqa: PLC0415

    return Resource("a careless statement", lambda: iter([store.statement(text)]))


def right(role, name, action, resource):
    document = {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Action": action, "Resource": resource}],
    }
    return lambda admin, _store: admin.client("iam").put_role_policy(
        RoleName=NAMES.resource(role), PolicyName=name, PolicyDocument=json.dumps(document)
    )


def deny(role, action):
    document = {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Deny", "Action": action, "Resource": "*"}],
    }
    return lambda admin, _store: admin.client("iam").put_role_policy(
        RoleName=NAMES.resource(role), PolicyName="denies", PolicyDocument=json.dumps(document)
    )


FILES = f"arn:aws:s3:::{NAMES.curated_bucket}/*"
CARELESS = {
    "the whole table is granted": (
        give("analyst", {"Table": ON_PEOPLE}, "SELECT"),
        "analyst",
        "athena",
        "ssn is seen",
    ),
    "one hidden column is granted": (
        give(
            "data-engineer", {"TableWithColumns": {**ON_PEOPLE, "ColumnNames": ["ssn"]}}, "SELECT"
        ),
        "data-engineer",
        "athena",
        "ssn is seen",
    ),
    "all columns but one are granted": (
        give(
            "data-engineer",
            {"TableWithColumns": {**ON_PEOPLE, "ColumnWildcard": {"ExcludedColumnNames": ["ssn"]}}},
            "SELECT",
        ),
        "data-engineer",
        "awswrangler",
        "salary is seen",
    ),
    "all tables are granted": (
        give("analyst", {"Table": {"DatabaseName": DATABASE, "TableWildcard": {}}}, "SELECT"),
        "analyst",
        "athena",
        "(rows) is 3, expected 2",
    ),
    "a class too many is granted": (
        give("data-engineer", policy(["sensitive"], ["all", "restricted"]), "SELECT"),
        "data-engineer",
        "athena",
        "salary is seen",
    ),
    "restricted tables are granted by tag": (
        give("analyst", policy(["internal"], ["restricted"]), "SELECT"),
        "analyst",
        "athena",
        "(rows) is 3, expected 2",
    ),
    "the auditor may ask and is granted a table": (
        lambda *who: [
            each(*who)
            for each in (
                give("auditor", {"Table": ON_PEOPLE}, "SELECT"),
                right(
                    "auditor",
                    "asks",
                    ["athena:*", "glue:Get*", "lakeformation:GetDataAccess", "s3:*"],
                    "*",
                ),
            )
        ],
        "auditor",
        "athena",
        "name is seen",
    ),
    "a role's grant is gone": (
        take("data-engineer", policy(["public", "internal"], ["all", "restricted"]), "SELECT"),
        "data-engineer",
        "athena",
        "city is hidden",
    ),
    "a named grant is gone": (
        take(
            "data-scientist",
            policy(["public", "internal", "sensitive"], ["all", "restricted"]),
            "SELECT",
        ),
        "data-scientist",
        "athena",
        "ssn is hidden",
    ),
    "a hidden column is tagged as open": (
        tag(["ssn"], "public"),
        "data-engineer",
        "athena",
        "ssn is seen",
    ),
    "an open column is tagged as closed": (
        tag(["name"], "sensitive"),
        "data-engineer",
        "awswrangler",
        "name is hidden",
    ),
    "a column lost its tag": (
        untag(["ssn"], "sensitive"),
        "data-scientist",
        "athena",
        "ssn is hidden",
    ),
    "a restricted table is tagged as open": (
        tag([], "all", "rows"),
        "analyst",
        "athena",
        "(rows) is 3, expected 2",
    ),
    "a filter shows more rows": (
        narrow("country = 'de' OR country = 'fr'", "id", "name", "country"),
        "analyst",
        "athena",
        "(rows) is 3, expected 2",
    ),
    "a filter shows fewer rows": (
        narrow("id = 1", "id", "name", "country"),
        "analyst",
        "awswrangler",
        "(rows) is 1, expected 2",
    ),
    "a filter shows a hidden column": (
        narrow("country = 'de'", "id", "name", "country", "ssn"),
        "analyst",
        "athena",
        "ssn is seen",
    ),
    "a filter hides an open column": (
        narrow("country = 'de'", "id", "country"),
        "analyst",
        "athena",
        "name is hidden",
    ),
    "IAM has its say again": (
        lambda *who: [
            each(*who)
            for each in (
                lf(
                    "grant_permissions",
                    Principal={"DataLakePrincipalIdentifier": "IAM_ALLOWED_PRINCIPALS"},
                    Resource={"Table": ON_PEOPLE},
                    Permissions=["ALL"],
                ),
                lf(
                    "grant_permissions",
                    Principal={"DataLakePrincipalIdentifier": "IAM_ALLOWED_PRINCIPALS"},
                    Resource={"Database": {"Name": DATABASE}},
                    Permissions=["ALL"],
                ),
                right("data-engineer", "files", "s3:GetObject", FILES),
            )
        ],
        "data-engineer",
        "athena",
        "ssn is seen",
    ),
    "a role reads the files": (
        right("analyst", "files", "s3:GetObject", FILES),
        "analyst",
        "files",
        "ssn is seen",
    ),
    "a role no longer reads its files": (
        deny("data-scientist", "s3:GetObject"),
        "data-scientist",
        "files",
        "city is hidden",
    ),
    "a role is lent nothing": (
        deny("analyst", "lakeformation:GetDataAccess"),
        "analyst",
        "athena",
        "name is hidden",
    ),
    "the warehouse's role sees more of the lake": (
        give("redshift", {"Table": ON_PEOPLE}, "SELECT"),
        "data-engineer",
        "external schema",
        "ssn is seen",
    ),
    "an outsider may use the external schema": (
        sql("GRANT USAGE ON SCHEMA lake TO ROLE analyst"),
        "analyst",
        "external schema",
        "city is seen",
    ),
    "a loaded table is granted whole": (
        sql("GRANT SELECT ON hr.people TO ROLE analyst"),
        "analyst",
        "warehouse",
        "ssn is seen",
    ),
    "a hidden column of the warehouse is granted": (
        sql("GRANT SELECT (ssn) ON hr.people TO ROLE data_engineer"),
        "data-engineer",
        "warehouse",
        "ssn is seen",
    ),
    "a whole schema is granted": (
        sql("GRANT SELECT FOR TABLES IN SCHEMA hr TO ROLE data_engineer"),
        "data-engineer",
        "warehouse",
        "salary is seen",
    ),
    "a column of the warehouse is revoked": (
        sql("REVOKE SELECT (name) ON hr.people FROM ROLE analyst"),
        "analyst",
        "warehouse",
        "name is hidden",
    ),
    "row-level security is off": (
        sql("ALTER TABLE hr.people ROW LEVEL SECURITY OFF"),
        "analyst",
        "warehouse",
        "(rows) is 3, expected 2",
    ),
    "a policy is detached": (
        sql("DETACH RLS POLICY every_row ON hr.people FROM ROLE data_engineer"),
        "data-engineer",
        "warehouse",
        "(rows) is 0, expected 3",
    ),
    "a user has another's role": (
        sql('GRANT ROLE data_scientist TO "IAMR:acme-access-analyst"'),
        "analyst",
        "warehouse",
        "ssn is seen",
    ),
}


@pytest.mark.parametrize("what", CARELESS)
def test_carelessness_shows(lakeside, what):
    admin, store = lakeside
    mutate, role, access_path, said = CARELESS[what]
    mutate(admin, store)
    try:
        found = access_matrix.differences(matrix().tried((role,), (access_path,)))
        assert any(said in each for each in found), found
    finally:
        mended(admin, store, access_path)


def mended(admin, store, access_path):
    """What the declarations mend by themselves, and the few things that are an administrator's;
    whether the matrix holds again is asked once, after all tests.
    """
    iam = admin.client("iam")
    for role in ("analyst", "auditor", "data-engineer", "data-scientist"):
        for each in iam.list_role_policies(RoleName=NAMES.resource(role))["PolicyNames"]:
            if each != "lakebook":
                iam.delete_role_policy(RoleName=NAMES.resource(role), PolicyName=each)
    for who, role in (("IAMR:acme-access-analyst", "data_scientist"),):
        if [who, role] in store.ask("SELECT user_name, role_name FROM svv_user_grants"):
            sql(f'REVOKE ROLE {role} FROM "{who}"')(admin, store)
    for entry in lakeformation.held():
        if entry["Principal"]["DataLakePrincipalIdentifier"] == NAMES.role_arn("auditor"):
            take("auditor", {"Table": ON_PEOPLE}, "SELECT")(admin, store)
    if access_path != "warehouse":
        ensure(of_the_lake(), apply=True)
    if access_path in ("warehouse", "external schema"):
        ensure([readers(store)], apply=True)


def test_a_table_in_part_hidden_is_asked_for_every_column_and_a_shut_one_only_once(
    lakeside, monkeypatch
):
    asked, by_athena = [], access_matrix.Matrix._by_athena
    monkeypatch.setattr(
        access_matrix.Matrix,
        "_by_athena",
        lambda self, role, sql: asked.append((role, sql)) or by_athena(self, role, sql),
    )
    assert access_matrix.differences(matrix().tried(("analyst", "auditor"), ("athena",))) == []
    assert len([sql for role, sql in asked if role == "auditor"]) == len(matrix().tables)
    hidden = [
        sql for role, sql in asked if role == "analyst" and ('"ssn"' in sql or '"salary"' in sql)
    ]
    assert [sql.count('"ssn"') + sql.count('"salary"') for sql in hidden] == [1, 1]


def test_the_way_back_gives_iam_its_say_and_forward_takes_it_again(lakeside):
    released = lake_access.released(NAMES)
    ensure(released, apply=True)
    assert calls(released) == []
    ensure(everything(lakeside[1]), apply=True)
    assert access_matrix.differences(matrix().tried(("analyst",), ("athena",))) == []


def test_in_hybrid_access_mode_grants_count_for_the_personas_and_iam_for_everybody_else(lakeside):
    admin, store = lakeside
    everyone = "IAM_ALLOWED_PRINCIPALS"
    ensure(lake_access.released(NAMES), apply=True)
    for bucket in (NAMES.raw_bucket, NAMES.curated_bucket):
        boto3.client("lakeformation").deregister_resource(ResourceArn=f"arn:aws:s3:::{bucket}")
    hybrid = [
        *lakeformation.governance(NAMES, [], hybrid=True),
        *declared(),
        *lake_access.enforced(NAMES, CLASSES, hybrid=True),
    ]
    made = ensure(hybrid, apply=True)
    assert list(made["call"]).count("lakeformation:CreateLakeFormationOptIn") == 5 * 3 * 2
    assert calls(hybrid) == []
    assert {
        entry["Principal"]["DataLakePrincipalIdentifier"] for entry in lakeformation.held()
    } >= {everyone}
    assert access_matrix.differences(matrix().tried(access_paths=("athena",))) == []
    assert (
        len(admin.client("glue").get_table(**ON_PEOPLE)["Table"]["StorageDescriptor"]["Columns"])
        == 5
    )
    forward = [*lakeformation.governance(NAMES, []), *everything(store)]
    assert list(ensure(forward, apply=True)["call"]).count("lakeformation:UpdateResource") == 2
    assert access_matrix.differences(matrix().tried(("analyst",), ("athena",))) == []
    with pytest.raises(ClientError, match="Required Describe on hr_people"):
        admin.client("glue").get_table(**ON_PEOPLE)
    with pytest.raises(LakebookError, match="cannot be made hybrid"):
        calls(lakeformation.governance(NAMES, [], hybrid=True))


def test_a_view_of_reports_answers_every_persona_with_the_rows_of_its_conditions(lakeside):
    _, store = lakeside
    view = (
        "CREATE VIEW reporting.heads AS SELECT count(*) AS n FROM hr.people WITH NO SCHEMA BINDING"
    )
    closed = replace(CLASSES, columns={"sensitive": ["hr.*"]})
    ensure([reporting.views("", store, [reporting.View("heads", view, "")])], apply=True)
    ensure([warehouse_access.readers("personas", store, NAMES, closed, loaded())], apply=True)
    try:
        asked = matrix()
        answers = {
            role: asked._by_data_api(role, "SELECT n FROM reporting.heads")
            for role in ("analyst", "data-engineer", "data-scientist")
        }
        assert answers == {"analyst": [[2]], "data-engineer": [[3]], "data-scientist": [[3]]}
    finally:
        ensure([readers(store)], apply=True)


def test_personas_ask_athena_where_the_account_has_closed_its_default_database(lakeside):
    admin, _ = lakeside
    admin.client("glue").create_database(
        DatabaseInput={"Name": "default", "CreateTableDefaultPermissions": []}
    )
    everyone = {"DataLakePrincipalIdentifier": "IAM_ALLOWED_PRINCIPALS"}
    boto3.client("lakeformation").revoke_permissions(
        Principal=everyone, Resource={"Database": {"Name": "default"}}, Permissions=["ALL"]
    )
    try:
        with pytest.raises(Exception, match="Required Describe on default"):
            matrix()._answer("analyst", "athena", 'SELECT "id" FROM "hr_people"')
        ensure(declared(), apply=True)
        assert access_matrix.differences(matrix().tried(("analyst",), ("athena",))) == []
        assert calls(everything(lakeside[1])) == []
    finally:
        admin.client("glue").delete_database(Name="default")


@pytest.mark.parametrize("role", ["analyst", "data-engineer", "data-scientist"])
def test_personas_list_the_tables_of_the_lake_and_need_no_right_to_other_databases(lakeside, role):
    admin, _ = lakeside
    other = {"Name": "somebody_elses", "CreateTableDefaultPermissions": []}
    admin.client("glue").create_database(DatabaseInput=other)
    try:
        answer = (
            matrix()
            ._client(role, "athena")
            .start_query_execution(
                QueryString="SHOW TABLES",
                QueryExecutionContext={"Database": NAMES.database("curated")},
                WorkGroup=NAMES.resource(role),
            )
        )
        ended = lambda: boto3.client("athena").get_query_execution(  # noqa: E731
            QueryExecutionId=answer["QueryExecutionId"]
        )["QueryExecution"]["Status"]
        status = until(ended, lambda each: each["State"] in ("SUCCEEDED", "FAILED"))
        assert status["State"] == "SUCCEEDED", status["StateChangeReason"]
    finally:
        admin.client("glue").delete_database(Name="somebody_elses")


def test_the_catalogs_parameters_tell_no_value_or_name_of_a_hidden_column(lakeside):
    told = matrix()._client("analyst", "glue").get_table(**ON_PEOPLE)["Table"]
    assert "ssn" not in [each["Name"] for each in told["StorageDescriptor"]["Columns"]]
    hidden = ("31337", "1000", "s-1", "s-3", "ssn", "salary")
    assert not [each for each in hidden if each in str(told["Parameters"])]


def test_files_of_a_table_that_is_seen_in_part_may_not_be_opened():
    wider = replace(CLASSES, files={"analyst": ["hr.*"], "data-scientist": ["hr.people"]})
    assert lake_access.past_lake_formation(NAMES, wider) == ["analyst: hr.people"]


def test_an_external_schema_more_open_than_its_users_is_named():
    wider = replace(CLASSES, personas={**CLASSES.personas, "redshift": ["public", "sensitive"]})
    assert warehouse_access.too_open(CLASSES, loaded()) == []
    assert warehouse_access.too_open(wider, loaded()) == ["data-engineer: hr.people"]


def test_a_column_that_looks_more_closed_than_it_is_classified_is_suggested(lakeside):
    assert personal_data.suggestions(NAMES, CLASSES) == []
    open_handed = replace(CLASSES, columns={"public": ["hr.*"]})
    found = {
        each["column"]: (each["now"], each["suggested"])
        for each in personal_data.suggestions(NAMES, open_handed)
    }
    assert found == {
        "hr.people.ssn": ("public", "sensitive"),
        "hr.people.salary": ("public", "sensitive"),
    }


def test_a_new_column_is_nobodys_until_it_is_classified(lakeside):
    client = boto3.client("glue")
    table = glue.describe(DATABASE, "hr_offices")
    wanted = {
        key: table[key]
        for key in (
            "Name",
            "Description",
            "TableType",
            "StorageDescriptor",
            "PartitionKeys",
            "Parameters",
        )
    }
    extra = {"Name": "rent", "Type": "int", "Comment": ""}
    storage = {
        **wanted["StorageDescriptor"],
        "Columns": [*wanted["StorageDescriptor"]["Columns"], extra],
    }
    client.update_table(DatabaseName=DATABASE, TableInput={**wanted, "StorageDescriptor": storage})
    try:
        found = access_matrix.differences(matrix().tried(("data-engineer",), ("athena",)))
        assert found == ["data-engineer by athena: hr.offices.rent is hidden, expected seen"]
        ensure(declared(), apply=True)
        assert access_matrix.differences(matrix().tried(("data-engineer",), ("athena",))) == []
    finally:
        client.update_table(DatabaseName=DATABASE, TableInput=wanted)
