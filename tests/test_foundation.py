"""The foundation adopts what is there, refuses what cannot work in one sentence, and gives nobody
more than they need.
"""

import ast
import contextlib
import functools
import json
import re
import subprocess
import sys
import types
from fnmatch import fnmatchcase
from importlib import resources
from pathlib import Path

import boto3
import botocore.session
import foundation
import pytest
from botocore import xform_name
from botocore.exceptions import ClientError

from lakebook import LakebookError, diagnosis, ensure
from lakebook.diagnosis import access, permissions
from lakebook.diagnosis.answers import Broken
from lakebook.ensure import calls
from lakebook.people import personas
from lakebook.services import (
    bucket_settings,
    dms,
    ec2,
    iam,
    kms,
    policies,
    redshift,
    s3,
    storage,
    vpc,
    vpc_endpoints,
)
from service_authorization.actions import action_of, prefix_of

# parliament asks pkg_resources, which setuptools no longer has, for nothing but where its own files
# are
sys.modules.setdefault(
    "pkg_resources",
    types.SimpleNamespace(
        resource_filename=lambda package, name: str(resources.files(package) / name)
    ),
)
import parliament  # noqa: E402

pytestmark = pytest.mark.usefixtures("stand_in")
NAMES = foundation.names("founded")
ROOT = Path(__file__).parents[1]
LAKEBOOK = Path(sys.executable).with_name("lakebook")
BUCKET = "arn:aws:s3:::acme-adopted/*"


def actions(resources):
    return [call.action for _, call in calls(resources)]


def network(cidr):
    """A VPC that somebody else made: its id and its subnets' by zone."""
    client = boto3.client("ec2")
    made = client.create_vpc(CidrBlock=cidr)["Vpc"]["VpcId"]
    client.modify_vpc_attribute(VpcId=made, EnableDnsHostnames={"Value": True})
    first, second = cidr.replace("0.0/16", "0.0/24"), cidr.replace("0.0/16", "1.0/24")
    zones = {"a": (first, "eu-west-1a"), "b": (second, "eu-west-1b")}
    subnets = {
        zone: client.create_subnet(VpcId=made, CidrBlock=part, AvailabilityZone=where)["Subnet"][
            "SubnetId"
        ]
        for zone, (part, where) in zones.items()
    }
    return made, subnets


# --- adoption
# --------------------------------------------------------------------------------------------------


def test_a_role_that_was_there_gets_what_it_lacks_and_keeps_the_rest():
    client = boto3.client("iam")
    trust = policies.document(
        {"Principal": {"Service": "dms.amazonaws.com"}, "Action": "sts:AssumeRole"}
    )
    client.create_role(RoleName="adopted-role", AssumeRolePolicyDocument=json.dumps(trust))
    client.attach_role_policy(
        RoleName="adopted-role", PolicyArn="arn:aws:iam::aws:policy/ReadOnlyAccess"
    )
    wanted = iam.role(
        "adopted-role",
        "dms.amazonaws.com",
        allow={BUCKET: ["s3:GetObject"]},
        boundary=NAMES.boundary_arn,
        tags=NAMES.tags,
    )
    assert actions([wanted]) == ["iam:PutRolePolicy"]
    ensure([wanted], apply=True)
    assert actions([wanted]) == []
    assert client.list_attached_role_policies(RoleName="adopted-role")["AttachedPolicies"]
    assert client.list_role_tags(RoleName="adopted-role")["Tags"] == []


def test_the_table_of_our_roles_names_the_boundary_of_each():
    names = foundation.names("bounded")
    ensure(
        [iam.role(names.resource("x"), "glue.amazonaws.com", boundary=names.boundary_arn)],
        apply=True,
    )
    [line] = personas.overview(names)
    assert line["boundary"] == names.boundary_arn


def test_a_bucket_that_was_there_is_secured_and_carries_none_of_our_tags():
    boto3.client("s3").create_bucket(
        Bucket="acme-adopted", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"}
    )
    wanted = s3.bucket("acme-adopted", "eu-west-1", tags=NAMES.tags)
    assert "s3:CreateBucket" not in actions([wanted])
    ensure([wanted], apply=True)
    assert actions([wanted]) == []
    with pytest.raises(boto3.client("s3").exceptions.ClientError, match="NoSuchTagSet"):
        boto3.client("s3").get_bucket_tagging(Bucket="acme-adopted")


def test_subnets_that_exist_are_used_and_nothing_is_made_beside_them():
    made, subnets = network("10.71.0.0/16")
    place = ec2.Network(NAMES, subnet_ids=list(subnets.values()))
    assert place.vpc() == made
    assert vpc.network(place, "10.71.0.0/16", "") == []
    assert vpc.routes(place, "", "", "") == []


def test_subnets_are_made_in_a_vpc_that_exists_and_its_default_group_is_left_alone():
    client = boto3.client("ec2")
    made = client.create_vpc(CidrBlock="10.72.0.0/16")["Vpc"]["VpcId"]
    place = ec2.Network(foundation.names("within"), vpc_id=made)
    wanted = vpc.network(place, "10.72.64.0/20", "")
    ensure(wanted, apply=True)
    assert actions(wanted) == []
    assert [each["CidrBlock"] for each in place.subnets()] == [
        "10.72.64.0/24",
        "10.72.65.0/24",
        "10.72.66.0/24",
    ]
    assert {each["VpcId"] for each in place.subnets()} == {made}


def test_an_endpoint_that_somebody_else_made_stays_as_it_is():
    made, subnets = network("10.73.0.0/16")
    service = "com.amazonaws.eu-west-1.kms"
    boto3.client("ec2").create_vpc_endpoint(
        VpcEndpointType="Interface", VpcId=made, ServiceName=service, SubnetIds=[subnets["a"]]
    )
    place = ec2.Network(NAMES, subnet_ids=list(subnets.values()))
    assert actions([vpc_endpoints.interface_endpoint(service, place)]) == []


def test_a_key_that_exists_is_used_under_our_alias_and_its_policy_is_not_touched():
    names = foundation.names("adoptedkey")
    document = kms.key_policy(names, [])
    document["Statement"].append(kms.decided_by_iam(foundation.ACCOUNT))
    made = boto3.client("kms").create_key(Policy=json.dumps(document))
    key = made["KeyMetadata"]["Arn"]
    iam_role = iam.role(
        names.resource("glue"),
        "glue.amazonaws.com",
        allow={BUCKET: ["s3:GetObject"]},
        tags=names.tags,
    )
    wanted = [iam_role, *kms.given_key(names, ["glue"], key)]
    ensure(wanted, apply=True)
    assert actions(wanted) == []
    assert kms.key_arn(kms.alias(names)) == key
    policy = boto3.client("iam").get_role_policy(
        RoleName=names.resource("glue"), PolicyName="lakebook-key"
    )
    assert {each["Resource"] for each in policy["PolicyDocument"]["Statement"]} == {key}


# --- what cannot work
# --------------------------------------------------------------------------------------------------


def test_ranges_that_overlap_are_one_clear_sentence():
    with pytest.raises(
        LakebookError, match=r"vpc_cidr 10.60.0.0/16 overlaps on_premises_cidr 10.0.0.0/8"
    ):
        vpc.network(ec2.Network(NAMES), "10.60.0.0/16", "10.0.0.0/8")


def test_a_range_that_overlaps_a_subnet_of_the_vpc_is_one_clear_sentence():
    made, _ = network("10.74.0.0/16")
    with pytest.raises(
        LakebookError, match=r"10.74.0.0/28 overlaps the subnet subnet-\w+ \(10.74.0.0/24\)"
    ):
        calls(
            vpc.network(ec2.Network(foundation.names("overlap"), vpc_id=made), "10.74.0.0/24", "")
        )


def test_a_range_outside_the_vpc_is_one_clear_sentence():
    made, _ = network("10.75.0.0/16")
    with pytest.raises(LakebookError, match=r"10\.99\.0\.0/24 is not among them"):
        calls(
            vpc.network(ec2.Network(foundation.names("outside"), vpc_id=made), "10.99.0.0/20", "")
        )


@pytest.mark.parametrize("cidr", ["10.60.0.0/8", "10.60.0.0/28", "10.60.0.1/16", "somewhere"])
def test_a_range_that_is_none_is_one_clear_sentence(cidr):
    with pytest.raises(LakebookError, match="vpc_cidr"):
        vpc.network(ec2.Network(NAMES), cidr, "")


def test_subnets_in_one_availability_zone_are_one_clear_sentence():
    made, subnets = network("10.76.0.0/16")
    with pytest.raises(
        LakebookError, match="are all in eu-west-1a; name private subnets in at least two"
    ):
        ec2.subnets(NAMES, [subnets["a"]])
    with pytest.raises(
        LakebookError, match=f"are not in one VPC but in {made}; name subnets of vpc-other"
    ):
        ec2.Network(NAMES, "vpc-other", list(subnets.values())).subnets()


def test_a_subnet_that_does_not_exist_is_one_clear_sentence():
    with pytest.raises(LakebookError, match="One of the subnets subnet-0 does not exist"):
        ec2.subnets(NAMES, ["subnet-0"])


def test_a_gateway_without_a_range_behind_it_is_one_clear_sentence():
    with pytest.raises(LakebookError, match="on_premises_cidr is empty"):
        vpc.routes(ec2.Network(NAMES), "", "tgw-1", "")


def test_a_service_without_endpoints_is_one_clear_sentence():
    with pytest.raises(
        LakebookError,
        match=r"no endpoint service com\.amazonaws\.eu-west-1\.nothing in this Region",
    ):
        vpc_endpoints.endpoints(ec2.Network(NAMES), ["kms", "nothing"])


@pytest.mark.parametrize(
    ("damage", "state"), [("disable_key", "Disabled"), ("schedule_key_deletion", "PendingDeletion")]
)
def test_a_key_that_cannot_be_used_is_one_clear_sentence(damage, state):
    names = foundation.names(f"key{state.lower()}")
    wanted = [
        kms.key(
            kms.alias(names),
            policies.document({"Principal": {"AWS": "*"}, "Action": "kms:*", "Resource": "*"}),
            {},
        )
    ]
    ensure(wanted, apply=True)
    getattr(boto3.client("kms"), damage)(KeyId=kms.key_arn(kms.alias(names)))
    with pytest.raises(
        LakebookError, match=f"is {state}, so nothing encrypted with it can be read"
    ):
        calls(wanted)


def test_a_key_that_is_not_there_is_one_clear_sentence():
    absent = "arn:aws:kms:eu-west-1:123456789012:key/00000000-0000-0000-0000-000000000000"
    with pytest.raises(LakebookError, match="correct the parameter kms_key_arn"):
        calls(kms.given_key(foundation.names("nokey"), [], absent))


def test_retention_of_something_unknown_is_one_clear_sentence():
    with pytest.raises(LakebookError, match="retention_days speaks of rwa"):
        storage.buckets(NAMES, {"rwa": 3})


def test_a_role_policy_that_is_too_long_is_told_before_aws_refuses_it():
    allow = {f"arn:aws:s3:::bucket-{number}": ["s3:GetObject"] for number in range(200)}
    with pytest.raises(LakebookError, match="IAM takes 10,240"):
        calls([iam.role("too-long", "glue.amazonaws.com", allow=allow)])


# --- least privilege
# --------------------------------------------------------------------------------------------------


def declared_policies():
    """Every policy document of the foundation: name, document."""
    boundary, operator = (
        personas.document(ROOT / "policies" / f"{each}.json", NAMES)
        for each in ("boundary", "migration-operator")
    )
    found = {"boundary": boundary, "operator": operator}
    parts = foundation.parts(NAMES, services=())
    for _, call in calls([*parts["services"], *parts["people"]]):
        if call.action == "iam:PutRolePolicy":
            found[call.arguments["RoleName"]] = json.loads(call.arguments["PolicyDocument"])
    return found


# Of no harm: breadth that conditions narrow, wildcards over actions of which some have no such
# resource, and ARNs compared as text
HARMLESS = {"RESOURCE_STAR", "RESOURCE_MISMATCH", "MISMATCHED_TYPE_BUT_USABLE"}


def test_no_policy_is_malformed_or_names_what_iam_does_not_know():
    findings = {
        name: (
            {each.issue for each in parliament.analyze_policy_string(json.dumps(document)).findings}
            - HARMLESS
        )
        for name, document in declared_policies().items()
    }
    assert {name: each for name, each in findings.items() if each} == {}


def test_no_role_may_do_everything_with_anything():
    for name, document in declared_policies().items():
        for statement in document["Statement"]:
            allowed = (
                statement["Action"]
                if isinstance(statement["Action"], list)
                else [statement["Action"]]
            )
            assert statement["Effect"] == "Deny" or "*" not in allowed, name
            assert statement["Effect"] == "Deny" or "iam:*" not in allowed, name


def test_a_principal_of_everybody_only_stands_where_a_condition_or_a_denial_narrows_it():
    documents = [
        vpc_endpoints.gateway_policy(foundation.ACCOUNT),
        vpc_endpoints.interface_policy(foundation.ACCOUNT),
        kms.key_policy(NAMES, [NAMES.role_arn("glue")]),
        policies.document(bucket_settings.tls_only("acme")),
    ]
    for statement in (each for document in documents for each in document["Statement"]):
        assert statement["Principal"] != "*" or "Condition" in statement


READS = re.compile(r"(Describe|Get|List|View|Lookup|Filter|Search|BatchGet|Simulate|\*)[\w*]*")
# Of the code, but of administrators: `lakebook bootstrap`, and a trail that somebody changed, which
# the operator may not lead elsewhere
ADMINISTRATORS = {
    *(f"iam:{each}" for each in ("CreatePolicy", "CreatePolicyVersion", "DeletePolicyVersion")),
    "cloudtrail:UpdateTrail",
}
# What comes with calls: tags at creation, roles handed on, what AWS does in the caller's name, and
# sessions, which botocore renews
WITH_CALLS = re.compile(
    r"\w[\w-]*:(AddTags|AddTagsToResource|CreateTags|TagResource|TagRole|PassRole|PassData\w+"
    r"|CreateServiceLinkedRole|GetCredentials|AssumeRole)|secretsmanager:\w+|route53:\w+|kms:(CreateGrant|Decrypt)"
)


def called():
    """The IAM actions of the operations that `lakebook` calls: by module, each method's name that a
    client which the module makes has; `f"create_{kind}_job"` is any such.
    """
    found, session = set(), botocore.session.get_session()
    for file in sorted((ROOT / "lib" / "lakebook").rglob("*.py")):
        tree = ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        nodes = list(tree)
        words = {each.attr for each in nodes if isinstance(each, ast.Attribute)}
        words |= {each.value for each in nodes if isinstance(each, ast.Constant)}
        spelt = [
            "".join(
                re.escape(part.value) if isinstance(part, ast.Constant) else r"\w+"
                for part in each.values
            )
            for each in nodes
            if isinstance(each, ast.JoinedStr)
        ]
        for service in words & set(session.get_available_services()):
            for operation in session.get_service_model(service).operation_names:
                method = xform_name(operation)
                sure = method in words
                if sure or any(re.fullmatch(each, method) for each in spelt):
                    action = f"{prefix_of(service)}:{action_of(service, operation)}"
                    found.add((action, sure))
    return found


def test_the_operators_policy_names_what_the_code_calls_and_nothing_else():
    statements = [
        each
        for each in declared_policies()["operator"]["Statement"]
        if each["Effect"] == "Allow" and each["Sid"] != permissions.BY_HAND
    ]
    listed = [
        [each["Action"]] if isinstance(each["Action"], str) else each["Action"]
        for each in statements
    ]
    allowed = {action for each in listed for action in each}
    patterns = [each for each in allowed if "*" in each]
    assert all(READS.fullmatch(each.partition(":")[2]) for each in patterns), patterns
    actions = called()
    needed = {
        action for action, sure in actions if sure and not READS.fullmatch(action.partition(":")[2])
    }
    refused = {
        each
        for each in needed - ADMINISTRATORS
        if not each.startswith("s3:") and not any(fnmatchcase(each, one) for one in allowed)
    }
    assert refused == set()
    never = {
        each
        for each in allowed - {action for action, _ in actions}
        if "*" not in each and not each.startswith("s3:") and not WITH_CALLS.fullmatch(each)
    }
    assert {each for each in never if not READS.fullmatch(each.partition(":")[2])} == set()


# --- bootstrap
# --------------------------------------------------------------------------------------------------


def bootstrap(*arguments):
    command = [
        LAKEBOOK,
        "bootstrap",
        "parameters/rehearsal.yaml",
        "-p",
        "environment",
        "strapped",
        *arguments,
    ]
    return subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60
    )


def test_bootstrap_makes_the_operators_role_once():
    planned = bootstrap("--plan")
    assert "iam:CreatePolicy  managed policy acme-strapped-boundary" in planned.stdout, (
        planned.stderr
    )
    names = foundation.names("strapped")
    assert personas.missing(names) == [names.resource("migration-operator"), names.boundary_arn]
    assert bootstrap().returncode == 0
    assert personas.missing(names) == []
    again = bootstrap()
    assert again.stdout.endswith("0 calls made.\n"), again.stdout + again.stderr


def test_bootstrap_lets_the_operator_use_a_key_that_exists():
    key = boto3.client("kms").create_key()["KeyMetadata"]["Arn"]
    made = bootstrap("-p", "kms_key_arn", key, "-p", "environment", "strappedkey")
    assert made.returncode == 0, made.stderr
    policy = boto3.client("iam").get_role_policy(
        RoleName=foundation.names("strappedkey").resource("migration-operator"),
        PolicyName="lakebook-key",
    )["PolicyDocument"]
    assert {each["Resource"] for each in policy["Statement"]} == {key}


def test_the_operator_may_not_change_itself_its_boundary_or_the_evidence():
    denied = [
        each for each in declared_policies()["operator"]["Statement"] if each["Effect"] == "Deny"
    ]
    resources = {
        arn
        for each in denied
        for arn in (each["Resource"] if isinstance(each["Resource"], list) else [each["Resource"]])
    }
    assert NAMES.boundary_arn in resources
    assert NAMES.role_arn("migration-operator") in resources
    assert f"arn:aws:s3:::{NAMES.audit_bucket}*" in resources


@pytest.fixture(scope="module")
def operator(stand_in):
    """Clients of boto3 in the operator's role, whose policy counts here as on AWS."""
    names = foundation.names("operated")
    ensure(foundation.bootstrap(names), apply=True)
    keys = boto3.client("sts").assume_role(
        RoleArn=names.role_arn(personas.OPERATOR), RoleSessionName="test"
    )["Credentials"]
    return functools.partial(
        boto3.client,
        aws_access_key_id=keys["AccessKeyId"],
        aws_secret_access_key=keys["SecretAccessKey"],
        aws_session_token=keys["SessionToken"],
    )


@pytest.fixture(scope="module")
def secret(stand_in):
    """A secret of the source under a key of the company, whose policy leaves it to IAM."""
    key = boto3.client("kms").create_key()["KeyMetadata"]["Arn"]
    content = {"username": "u", "password": "p", "host": "h", "port": 5432}
    boto3.client("secretsmanager").create_secret(
        Name="acme-operated-source", SecretString=json.dumps(content), KmsKeyId=key
    )
    return diagnosis.Path(ec2.Network(foundation.names("operated")), "acme-operated-source")


def test_a_secret_under_a_key_of_the_company_is_read_by_operator_and_dms(operator, secret):
    read = operator("secretsmanager").get_secret_value(SecretId=secret.secret)
    assert json.loads(read["SecretString"])["username"] == "u"
    ensure(dms.roles(secret.names, {"": secret.secret}), apply=True)
    assert "may secretsmanager:GetSecretValue, kms:Decrypt" in access.secret_role(secret)


def test_who_may_not_use_the_key_of_a_secret_is_told_which_right_is_missing(operator, secret):
    deny = {"Effect": "Deny", "Action": "kms:Decrypt", "Resource": "*"}
    client, role = boto3.client("iam"), secret.names.resource(personas.OPERATOR)
    client.put_role_policy(
        RoleName=role, PolicyName="no-key", PolicyDocument=json.dumps(policies.document(deny))
    )
    with pytest.raises(ClientError, match="Access to KMS is not allowed"):
        operator("secretsmanager").get_secret_value(SecretId=secret.secret)
    with pytest.MonkeyPatch.context() as patch:
        keys = {name: value for name, value in operator.keywords.items() if name.startswith("aws")}
        patch.setattr(boto3, "DEFAULT_SESSION", boto3.Session(**keys))
        with pytest.raises(Broken) as broken:
            access.secret(secret)
    assert "kms:Decrypt" in broken.value.action
    client.delete_role_policy(RoleName=role, PolicyName="no-key")


@pytest.mark.usefixtures("operator")
def test_aws_s_own_key_of_a_secret_needs_no_right(secret):
    """Secrets of the console name it: DescribeSecret of the API reference, KmsKeyId."""
    path = diagnosis.Path(secret.network, "acme-operated-console")
    boto3.client("secretsmanager").create_secret(
        Name=path.secret, SecretString="{}", KmsKeyId="alias/aws/secretsmanager"
    )
    ensure(dms.roles(path.names, {"": path.secret}), apply=True)
    assert access.secret_role(path).endswith("may secretsmanager:GetSecretValue")


@pytest.mark.usefixtures("operator")
@pytest.mark.parametrize("persona", personas.ASKING)
def test_whoever_asks_finds_catalogs_and_workgroups_in_the_editors(persona):
    names = foundation.names("operated")
    ensure(personas.roles(names, []), apply=True)
    catalog = f"arn:aws:athena:{names.region}:{names.account}:datacatalog/AwsDataCatalog"
    group = f"arn:aws:athena:{names.region}:{names.account}:workgroup/{names.resource(persona)}"
    arn = names.role_arn(persona)
    region = {"ContextKeyName": "aws:RequestedRegion", "ContextKeyType": "string"}
    here = [{**region, "ContextKeyValues": [names.region]}]
    lists = ["athena:ListWorkGroups", "athena:ListDataCatalogs"]
    browse = ["athena:ListDatabases", "athena:ListTableMetadata", "athena:GetTableMetadata"]
    editor = ["sqlworkbench:DriverExecute", "redshift:DescribeClusters"]
    assert permissions.refused(arn, [*lists, *editor], [], here) == []
    assert permissions.refused(arn, browse, [catalog], here) == []
    assert permissions.refused(arn, ["athena:GetQueryResultsStream"], [group], here) == []


def test_what_no_phase_calls_may_be_forbidden_to_the_operator(operator):
    """As landing zones do by service control policies, which a simulation counts like this."""
    path = diagnosis.Path(ec2.Network(foundation.names("operated")), "none")
    client, role = boto3.client("iam"), path.names.resource(personas.OPERATOR)
    deny = {
        "Effect": "Deny",
        "Action": ["sagemaker:CreateCluster", "quicksight:CreateAccountSubscription", "dms:Stop*"],
        "Resource": "*",
    }
    client.put_role_policy(
        RoleName=role, PolicyName="scp", PolicyDocument=json.dumps(policies.document(deny))
    )
    arn = path.names.role_arn(personas.OPERATOR)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(permissions, "principal", lambda _: arn)
        assert "may do all" in permissions.permissions(path)
        deny["Action"] = "dms:CreateReplicationTask"
        client.put_role_policy(
            RoleName=role, PolicyName="scp", PolicyDocument=json.dumps(policies.document(deny))
        )
        with pytest.raises(Broken, match="dms:CreateReplicationTask"):
            permissions.permissions(path)
    client.delete_role_policy(RoleName=role, PolicyName="scp")


def test_the_operator_makes_a_warehouse_whose_administrators_secret_aws_keeps(operator):
    names = foundation.names("operated")
    ensure(redshift.roles(names), apply=True)
    made = operator("redshift-serverless").create_namespace(
        namespaceName="acme-operated-warehouse",
        manageAdminPassword=True,
        iamRoles=[names.role_arn("redshift")],
    )["namespace"]
    assert "redshift!acme-operated-warehouse" in made["adminPasswordSecretArn"]
    with pytest.raises(ClientError, match="secretsmanager:CreateSecret"):
        operator("redshift-serverless").create_namespace(
            namespaceName="somebody-elses", manageAdminPassword=True
        )


def test_redshift_can_take_its_role_though_it_names_no_account(operator):
    names = foundation.names("operated")
    ensure(redshift.roles(names), apply=True)
    trusted = [
        each["Principal"]["Service"]
        for each in boto3.client("iam").get_role(RoleName="acme-operated-redshift")["Role"][
            "AssumeRolePolicyDocument"
        ]["Statement"]
    ]
    assert trusted == ["redshift.amazonaws.com", "redshift-serverless.amazonaws.com"]
    made = operator("redshift-serverless").create_namespace(
        namespaceName="acme-operated-other", iamRoles=[names.role_arn("redshift")]
    )
    assert made["namespace"]["status"] == "AVAILABLE"


def test_the_operator_makes_endpoints_with_private_names(operator):
    vpc_id, subnets = network("10.77.0.0/16")
    made = operator("ec2").create_vpc_endpoint(
        VpcId=vpc_id,
        ServiceName=f"com.amazonaws.{NAMES.region}.sts",
        VpcEndpointType="Interface",
        SubnetIds=list(subnets.values())[:1],
        PrivateDnsEnabled=True,
    )
    assert made["VpcEndpoint"]["PrivateDnsEnabled"]


def test_the_operator_changes_the_policy_of_no_key_but_ours(operator):
    kms_ = boto3.client("kms")
    ours, other = (
        kms_.create_key(Tags=[{"TagKey": name, "TagValue": value} for name, value in tags.items()])[
            "KeyMetadata"
        ]["Arn"]
        for tags in (foundation.names("operated").tags, NAMES.tags)
    )
    for key, refused in ((ours, False), (other, True)):
        change = {
            "KeyId": key,
            "PolicyName": "default",
            "Policy": kms_.get_key_policy(KeyId=key, PolicyName="default")["Policy"],
        }
        if refused:
            with pytest.raises(ClientError, match="kms:PutKeyPolicy"):
                operator("kms").put_key_policy(**change)
        else:
            operator("kms").put_key_policy(**change)


def test_the_operator_may_make_quicksights_people_in_another_region(operator):
    quicksight = operator("quicksight", region_name="us-east-1")
    with pytest.raises(ClientError, match="your identity region is"):  # past IAM, at QuickSight
        quicksight.create_group(
            AwsAccountId=NAMES.account, Namespace="default", GroupName="readers"
        )
    with pytest.raises(ClientError, match="quicksight:CreateDataSource"):
        quicksight.create_data_source(
            AwsAccountId=NAMES.account, DataSourceId="s", Name="s", Type="ATHENA"
        )


def test_who_may_take_one_role_of_the_lake_may_take_no_other():
    names, iam = foundation.names("trusted"), boto3.client("iam")
    people = (*personas.PERSONAS, personas.OPERATOR)
    for each in people:
        iam.create_user(UserName=f"a-{each}")
    arns = {each: f"arn:aws:iam::{names.account}:user/a-{each}" for each in people}
    policy = foundation.POLICIES / "migration-operator.json"
    trusted = {each: [arns[each]] for each in personas.PERSONAS}
    ensure(personas.bootstrap(names, [arns[personas.OPERATOR]], policy), apply=True)
    ensure(personas.roles(names, trusted), apply=True)
    taken = {each: set() for each in people}
    for each in people:
        key = iam.create_access_key(UserName=f"a-{each}")["AccessKey"]
        sts = boto3.Session(key["AccessKeyId"], key["SecretAccessKey"]).client("sts")
        for other in people:
            with contextlib.suppress(ClientError):
                sts.assume_role(RoleArn=names.role_arn(other), RoleSessionName="tries")
                taken[each].add(other)
    assert taken == {each: {each} for each in people}


def test_a_persona_that_is_not_named_is_the_operators_alone_and_one_that_there_is_not_is_refused():
    names = foundation.names("unnamed")
    trusted = {"analyst": ["arn:aws:iam::123456789012:user/ann"]}
    trusts = str([call.arguments for _, call in calls(personas.roles(names, trusted))[:1]])
    assert names.role_arn(personas.OPERATOR) in trusts
    assert "user/ann" not in trusts
    with pytest.raises(LakebookError, match="trusted_principals names analysts; there are"):
        personas.roles(names, {"analysts": []})


@pytest.mark.parametrize("given", ["*", None, {"a": "b"}, [5]])
def test_who_may_become_a_persona_is_a_list_whose_letters_are_nobody(given):
    with pytest.raises(LakebookError, match=r"trusted_principals .*analyst"):
        personas.roles(foundation.names("unnamed"), {"analyst": given})
