"""Questions about Amazon Redshift: one serverless workgroup, made for the first of them."""

import io

import pyarrow as pa
import pyarrow.parquet as pq
from conformance.question import NotAsked, question, refusal, until

SQL = "https://docs.aws.amazon.com/redshift/latest/dg"
MANAGED = "https://docs.aws.amazon.com/redshift/latest/mgmt"
SERVERLESS = "https://docs.aws.amazon.com/redshift-serverless/latest/APIReference"
DATABASE = "asked"
TRUSTED = ["redshift.amazonaws.com", "redshift-serverless.amazonaws.com"]


@question(True, f"{MANAGED}/redshift-iam-authentication-access-control.html", cost="dollars")
def redshift_tells_no_account_when_it_takes_a_role(sandbox):
    """Is COPY refused by a role whose trust asks for aws:SourceAccount?"""
    _workgroup(sandbox)
    bucket = sandbox.bucket("copied")
    packed = io.BytesIO()
    pq.write_table(pa.table({"id": pa.array([1], pa.int32())}), packed)
    sandbox.client("s3").put_object(Bucket=bucket, Key="one.parquet", Body=packed.getvalue())
    account = {"StringEquals": {"aws:SourceAccount": sandbox.account}}
    strict = sandbox.role("strict", TRUSTED, {"Condition": account})
    lenient = sandbox.role("lenient", TRUSTED)
    for each in ("strict", "lenient"):
        sandbox.allow(each, "s3:GetObject", "s3:ListBucket")
    _rows(sandbox, "CREATE TABLE public.copied (id int)")
    # a new role is not taken at once
    until(
        lambda: _not_copied(sandbox, bucket, lenient),
        lambda said: not said,
        "A role without the condition was not taken either",
        120,
    )
    return bool(_not_copied(sandbox, bucket, strict))


def _not_copied(sandbox, bucket, role):
    """Why a role is not taken for COPY; "" where it is."""
    client, namespace = sandbox.client("redshift-serverless"), sandbox.name("warehouse")
    if code := refusal(client.update_namespace, namespaceName=namespace, iamRoles=[role]):
        return code
    until(
        lambda: client.get_namespace(namespaceName=namespace)["namespace"]["status"],
        lambda found: found == "AVAILABLE",
        "The namespace was still",
    )
    source = f"FROM 's3://{bucket}/one.parquet' IAM_ROLE '{role}' FORMAT AS PARQUET"
    return _error(sandbox, f"COPY public.copied {source}")


@question(0, f"{SQL}/t_rls.html", cost="dollars")
def a_policy_counts_below_views_for_who_asks(sandbox):
    """How many rows does a view show to somebody to whom no policy of its table is attached?"""
    _workgroup(sandbox)
    _rows(
        sandbox,
        "CREATE SCHEMA guarded",
        "CREATE TABLE guarded.t (id int)",
        "INSERT INTO guarded.t VALUES (1), (2)",
        "CREATE ROLE sees",
        "CREATE RLS POLICY everything USING (true)",
        "ATTACH RLS POLICY everything ON guarded.t TO ROLE sees",
        "ALTER TABLE guarded.t ROW LEVEL SECURITY ON",
        "CREATE VIEW guarded.v AS SELECT id FROM guarded.t WITH NO SCHEMA BINDING",
    )
    reader, user = _reader(sandbox)
    _rows(
        sandbox,
        f"GRANT USAGE ON SCHEMA guarded TO {user}",
        f"GRANT SELECT ON guarded.t TO {user}",
        f"GRANT SELECT ON guarded.v TO {user}",
    )
    [[found]] = _rows(sandbox, "SELECT count(*) FROM guarded.v", client=reader)
    return found


@question(["IAMR:MixedCase"], f"{SERVERLESS}/API_GetCredentials.html", cost="dollars")
def the_name_of_a_user_keeps_its_case(sandbox):
    """What is a user called that was made as "IAMR:MixedCase"?"""
    _workgroup(sandbox)
    _rows(sandbox, 'CREATE USER "IAMR:MixedCase" PASSWORD DISABLE')
    sql = "SELECT user_name FROM svv_user_info WHERE lower(user_name) = 'iamr:mixedcase'"
    return [name for [name] in _rows(sandbox, sql)]


@question(True, f"{SERVERLESS}/API_GetCredentials.html", cost="dollars")
def the_user_of_a_role_keeps_its_case(sandbox):
    """Is the user of a role whose name has capitals called as the role?"""
    _workgroup(sandbox)
    reader, user = _reader(sandbox)
    [[name]] = _rows(sandbox, "SELECT current_user", client=reader)
    return f'"{name}"' == user


@question(
    "Snapshot Isolation",
    f"{SQL}/c_serial_isolation.html",
    cost="dollars",
    only_aws="the stand-in has no STV_DB_ISOLATION_LEVEL",
)
def a_cluster_isolates_by_snapshots(sandbox):
    """Which isolation level has the database of a new provisioned cluster?"""
    client, name = sandbox.client("redshift"), sandbox.name("cluster")
    which = {"ClusterIdentifier": name}
    client.create_cluster(
        **which,
        NodeType="ra3.large",
        ClusterType="single-node",
        MasterUsername="administrator",
        ManageMasterPassword=True,
        DBName=DATABASE,
        PubliclyAccessible=False,
    )
    sandbox.after(client.delete_cluster, **which, SkipFinalClusterSnapshot=True)
    client.get_waiter("cluster_available").wait(**which)
    (cluster,) = client.describe_clusters(**which)["Clusters"]
    secret = cluster["MasterPasswordSecretArn"]
    place = {"ClusterIdentifier": name, "Database": DATABASE, "SecretArn": secret}
    sql = f"SELECT isolation_level FROM stv_db_isolation_level WHERE db_name = '{DATABASE}'"
    [[found]] = _rows(sandbox, sql, place=place)
    return found.strip()


@question(
    ["asked", "other"],
    f"{SQL}/r_SVV_ALL_SCHEMAS.html",
    cost="dollars",
    only_aws="the stand-in has one database a workgroup",
)
def svv_all_schemas_spans_databases(sandbox):
    """Of which databases does SVV_ALL_SCHEMAS show schemas, where there are two?"""
    _workgroup(sandbox)
    _rows(sandbox, "CREATE DATABASE other")
    sql = "SELECT DISTINCT database_name FROM svv_all_schemas ORDER BY 1"
    return [name for [name] in _rows(sandbox, sql) if name in (DATABASE, "other")]


@question(["", "refused"], f"{SQL}/r_pg_keywords.html", cost="dollars")
def a_reserved_word_is_a_label_behind_as(sandbox):
    """Is SNAPSHOT, a reserved word, a label behind AS, and is it the name of a table?"""
    _workgroup(sandbox)
    asked = ["SELECT 1 AS snapshot", "CREATE TABLE snapshot (id int)"]
    return ["refused" if _error(sandbox, each) else "" for each in asked]


@question([2, 2], f"{SQL}/r_Character_types.html", cost="dollars")
def trailing_blanks_do_not_count(sandbox):
    """Of 'a', 'a  ' and 'b', how many equal 'a', and how many are distinct?"""
    _workgroup(sandbox)
    _rows(
        sandbox,
        "CREATE TABLE public.blanks (v varchar(9))",
        "INSERT INTO public.blanks VALUES ('a'), ('a  '), ('b')",
    )
    [[equal]] = _rows(sandbox, "SELECT count(*) FROM public.blanks WHERE v = 'a'")
    [[distinct]] = _rows(sandbox, "SELECT count(DISTINCT v) FROM public.blanks")
    return [equal, distinct]


@question("permission denied for schema behind", f"{SQL}/r_CREATE_VIEW.html", cost="dollars")
def a_view_that_binds_late_wants_usage_behind_it(sandbox):
    """What does Redshift say to who may read a late-binding view, but not the schema behind it?"""
    _workgroup(sandbox)
    reader, user = _reader(sandbox)
    _rows(
        sandbox,
        "CREATE SCHEMA before",
        "CREATE SCHEMA behind",
        "CREATE TABLE behind.t (id int)",
        "CREATE VIEW before.v AS SELECT id FROM behind.t WITH NO SCHEMA BINDING",
        f"GRANT USAGE ON SCHEMA before TO {user}",
        f"GRANT SELECT ON before.v TO {user}",
    )
    said = _error(sandbox, "SELECT id FROM before.v", client=reader)
    return said.removeprefix("ERROR: ")


@question("ValidationException", f"{SERVERLESS}/API_UpdateWorkgroup.html", cost="dollars")
def a_workgroup_takes_one_setting_a_call(sandbox):
    """With which code is a change of two settings of a workgroup refused?"""
    _workgroup(sandbox)
    return refusal(
        sandbox.client("redshift-serverless").update_workgroup,
        workgroupName=sandbox.name("warehouse"),
        baseCapacity=16,
        publiclyAccessible=True,
    )


def _workgroup(sandbox):
    """Made when it is first asked for; what fails is not tried for each question."""
    if "redshift" in sandbox.shared:
        if not sandbox.shared["redshift"]:
            raise NotAsked("a workgroup: it failed for an earlier question")
        return
    sandbox.shared["redshift"] = {}
    client, name = sandbox.client("redshift-serverless"), sandbox.name("warehouse")
    namespace, workgroup = {"namespaceName": name}, {"workgroupName": name}
    # of three Availability Zones, else it is made in the default VPC
    subnets = {"subnetIds": sandbox.subnet_ids} if len(sandbox.subnet_ids) > 2 else {}
    client.create_namespace(**namespace, dbName=DATABASE, manageAdminPassword=True)
    sandbox.after(client.delete_namespace, **namespace)
    client.create_workgroup(**workgroup, **namespace, baseCapacity=8, **subnets)

    def shown():
        found = client.list_workgroups()["workgroups"]
        return [each["status"] for each in found if each["workgroupName"] == name]

    # a namespace is not deleted while it has a workgroup
    sandbox.undo.callback(lambda: until(shown, lambda left: not left, "The workgroup was still"))
    sandbox.after(client.delete_workgroup, **workgroup)
    until(shown, lambda found: found == ["AVAILABLE"], "The workgroup was still")
    sandbox.shared["redshift"] = {"WorkgroupName": name, "Database": DATABASE}


def _reader(sandbox):
    """A client of the Data API for a role that was granted nothing, and its user in quotes."""
    if "reader" not in sandbox.shared:
        rights = ["redshift-data:*", "redshift-serverless:GetCredentials"]
        session = sandbox.person("MixedCase", *rights)
        sandbox.shared["reader"] = session.client("redshift-data")
        # the first statement of a role makes its user
        _rows(sandbox, "SELECT 1", client=sandbox.shared["reader"])
    return sandbox.shared["reader"], f'"IAMR:{sandbox.name("MixedCase")}"'


def _ended(sandbox, sql, client=None, place=None):
    """A statement as it ended."""
    data = client or sandbox.client("redshift-data")
    asked = data.execute_statement(Sql=sql, **(place or sandbox.shared["redshift"]))["Id"]
    over = ("FINISHED", "FAILED", "ABORTED")
    return until(
        lambda: data.describe_statement(Id=asked),
        lambda found: found["Status"] in over,
        "The statement was still under way",
    )


def _error(sandbox, sql, client=None):
    return _ended(sandbox, sql, client).get("Error", "")


def _rows(sandbox, *sqls, client=None, place=None):
    """The rows of the last statement."""
    for sql in sqls:
        ended = _ended(sandbox, sql, client, place)
        if ended["Status"] != "FINISHED":
            raise NotAsked(f"what was to be prepared: {ended.get('Error')}: {sql}")
    if not ended["HasResultSet"]:
        return []
    data = client or sandbox.client("redshift-data")
    return [
        [next(iter(field.values())) for field in row]
        for row in data.get_statement_result(Id=ended["Id"])["Records"]
    ]
