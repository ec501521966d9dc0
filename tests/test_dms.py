"""DMS's control plane: what appears, changes, goes, and is refused, in AWS's own words."""

import datetime
import json

import boto3
import pytest
from botocore.exceptions import ClientError
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from dms_tasks import REGION, code, included, mapping, message, place, role, subnet_ids  # noqa: F401 - fixtures
from nasty_source import server  # noqa: F401 - fixtures
from service_roles import trust
from until import until

from lakebook import LakebookError, calls, ensure
from lakebook.names import Names
from lakebook.services import dms, dms_certificate
from local_aws import wire
from local_aws.dms import task_settings

# ruff: noqa: F811 - fixtures

NO_KEY = included({"schema-name": "nasty", "table-name": "no[_]key"})


def test_a_subnet_group_needs_subnets_in_two_availability_zones(place):
    with pytest.raises(ClientError) as refused:
        place.dms.create_replication_subnet_group(
            ReplicationSubnetGroupIdentifier="one",
            ReplicationSubnetGroupDescription="d",
            SubnetIds=subnet_ids()[:1],
        )
    assert code(refused) == "ReplicationSubnetGroupDoesNotCoverEnoughAZs"
    with pytest.raises(ClientError) as refused:
        place.dms.create_replication_subnet_group(
            ReplicationSubnetGroupIdentifier="one",
            ReplicationSubnetGroupDescription="d",
            SubnetIds=["subnet-0123456789"],
        )
    assert code(refused) == "InvalidSubnet"


def test_a_subnet_group_is_kept_in_lower_case_changed_and_deleted(place):
    ids, name = subnet_ids(), f"Second-{place.end}"
    group = place.dms.create_replication_subnet_group(
        ReplicationSubnetGroupIdentifier=name, ReplicationSubnetGroupDescription="d", SubnetIds=ids
    )["ReplicationSubnetGroup"]
    assert (group["ReplicationSubnetGroupIdentifier"], group["SubnetGroupStatus"]) == (
        name.lower(),
        "Complete",
    )
    place.dms.modify_replication_subnet_group(
        ReplicationSubnetGroupIdentifier=name, SubnetIds=ids[:2]
    )
    filters = [{"Name": "replication-subnet-group-id", "Values": [name.lower()]}]
    found = place.dms.describe_replication_subnet_groups(Filters=filters)["ReplicationSubnetGroups"]
    assert [each["SubnetIdentifier"] for each in found[0]["Subnets"]] == ids[:2]
    place.dms.delete_replication_subnet_group(ReplicationSubnetGroupIdentifier=name)
    with pytest.raises(ClientError) as refused:
        place.dms.describe_replication_subnet_groups(Filters=filters)
    assert code(refused) == "ResourceNotFoundFault"


@pytest.fixture
def without_vpc_role(stand_in):
    iam = boto3.client("iam")
    iam.update_assume_role_policy(
        RoleName="dms-vpc-role", PolicyDocument=trust("ec2.amazonaws.com")
    )
    yield
    iam.update_assume_role_policy(
        RoleName="dms-vpc-role", PolicyDocument=trust("dms.amazonaws.com")
    )


def test_the_role_dms_vpc_role_must_trust_dms(place, without_vpc_role):
    with pytest.raises(ClientError) as refused:
        place.dms.create_replication_subnet_group(
            ReplicationSubnetGroupIdentifier="x",
            ReplicationSubnetGroupDescription="d",
            SubnetIds=subnet_ids(),
        )
    assert code(refused) == "AccessDeniedFault"
    assert (
        message(refused)
        == "The IAM Role arn:aws:iam::123456789012:role/dms-vpc-role is not configured properly"
    )


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"ReplicationInstanceClass": "t3.medium"}, "InvalidParameterValueException"),
        ({"ReplicationSubnetGroupIdentifier": "absent"}, "ResourceNotFoundFault"),
        ({"ReplicationInstanceIdentifier": "INSTANCE-{end}"}, "ResourceAlreadyExistsFault"),
    ],
)
def test_a_wrong_instance_is_refused(place, changed, expected):
    told = {
        "ReplicationInstanceIdentifier": "other",
        "ReplicationInstanceClass": "dms.t3.medium",
        "ReplicationSubnetGroupIdentifier": f"group-{place.end}",
        **changed,
    }
    with pytest.raises(ClientError) as refused:
        place.dms.create_replication_instance(
            **{name: value.format(end=place.end) for name, value in told.items()}
        )
    assert code(refused) == expected


def test_an_instance_is_modified_at_once_or_later(place):
    place.dms.modify_replication_instance(
        ReplicationInstanceArn=place.instance, AllocatedStorage=60
    )
    changed = place.dms.modify_replication_instance(
        ReplicationInstanceArn=place.instance, AllocatedStorage=70, ApplyImmediately=True
    )
    assert changed["ReplicationInstance"]["ReplicationInstanceStatus"] == "modifying"
    assert changed["ReplicationInstance"]["PendingModifiedValues"]["AllocatedStorage"] == 60
    filters = [{"Name": "replication-instance-arn", "Values": [place.instance]}]
    read = lambda: place.dms.describe_replication_instances(Filters=filters)[  # noqa: E731
        "ReplicationInstances"
    ][0]
    found = until(read, lambda it: it["ReplicationInstanceStatus"] == "available")
    assert (found["AllocatedStorage"], found["EngineVersion"], found["PubliclyAccessible"]) == (
        70,
        "3.6.1",
        False,
    )
    with pytest.raises(ClientError, match="No modifications were requested"):
        place.dms.modify_replication_instance(ReplicationInstanceArn=place.instance)


def clear(place, **changed):
    source = place.server.source("postgres", "nasty")
    return {
        "Username": source.username,
        "Password": source.password,
        "ServerName": source.host,
        "Port": source.port,
        "DatabaseName": source.database,
        **changed,
    }


def create(place, **told):
    told = {
        "EndpointIdentifier": f"e-{place.end}",
        "EndpointType": "source",
        "EngineName": "postgres",
        **told,
    }
    return place.dms.create_endpoint(**told)["Endpoint"]


def test_an_endpoint_with_clear_credentials_works_and_shows_no_password(place):
    endpoint = create(place, EndpointIdentifier=f"clear-{place.end}", **clear(place))
    assert place.test(endpoint["EndpointArn"])["Status"] == "successful"
    described = place.dms.describe_endpoints(
        Filters=[{"Name": "endpoint-id", "Values": [f"clear-{place.end}"]}]
    )
    assert place.server.password("postgres") not in json.dumps(described, default=str)
    assert described["Endpoints"][0]["Status"] == "active"
    with pytest.raises(ClientError) as refused:
        create(place, EndpointIdentifier=f"clear-{place.end}", **clear(place))
    assert code(refused) == "ResourceAlreadyExistsFault"
    deleted = place.dms.delete_endpoint(EndpointArn=endpoint["EndpointArn"])["Endpoint"]
    assert deleted["Status"] == "deleting"
    with pytest.raises(ClientError) as refused:
        place.dms.describe_connections(
            Filters=[{"Name": "endpoint-arn", "Values": [endpoint["EndpointArn"]]}]
        )
    assert code(refused) == "ResourceNotFoundFault"


S3 = {"EndpointType": "target", "EngineName": "s3"}
BOTH = {
    "SecretsManagerSecretId": "s",
    "SecretsManagerAccessRoleArn": "arn:aws:iam::123456789012:role/dms-test-secret",
}


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        (
            {"Username": "u", "Password": "p", "ServerName": "h", "PostgreSQLSettings": BOTH},
            "InvalidParameterCombinationException",
        ),
        (
            {"PostgreSQLSettings": {"SecretsManagerSecretId": "s"}},
            "InvalidParameterCombinationException",
        ),
        ({"Username": "u", "ServerName": "h"}, "InvalidParameterCombinationException"),
        (
            {
                "PostgreSQLSettings": {
                    **BOTH,
                    "SecretsManagerAccessRoleArn": "arn:aws:iam::123456789012:role/absent",
                }
            },
            "AccessDeniedFault",
        ),
        (
            {
                "PostgreSQLSettings": {
                    **BOTH,
                    "SecretsManagerAccessRoleArn": "arn:aws:iam::123456789012:role/dms-test-s3",
                }
            },
            "AccessDeniedFault",
        ),
        (
            {"EngineName": "mysql", "Username": "u", "Password": "p", "ServerName": "h"},
            "NotInLocalAws",
        ),
        ({**S3, "S3Settings": {"BucketName": "b"}}, "InvalidParameterValueException"),
        (
            {
                **S3,
                "S3Settings": {
                    "BucketName": "b",
                    "ServiceAccessRoleArn": "arn:aws:iam::123456789012:role/absent",
                },
            },
            "AccessDeniedFault",
        ),
        (
            {
                **S3,
                "S3Settings": {
                    "BucketName": "b",
                    "ServiceAccessRoleArn": "r",
                    "CompressionType": "snappy",
                },
            },
            "InvalidParameterValueException",
        ),
        (
            {
                **S3,
                "S3Settings": {
                    "BucketName": "b",
                    "ServiceAccessRoleArn": "r",
                    "GlueCatalogGeneration": True,
                },
            },
            "NotInLocalAws",
        ),
    ],
)
def test_a_wrong_endpoint_is_refused(place, told, expected):
    with pytest.raises(ClientError) as refused:
        create(place, **told)
    assert code(refused) == expected


@pytest.mark.parametrize(
    ("secret", "words"),
    [
        ({"password": "wrong-9f"}, "password authentication failed"),
        ({"port": 1}, "Connection refused"),
        ({"port": "many"}, "is no JSON with username, password, host and port"),
        ({"username": None}, "is no JSON with username, password, host and port"),
    ],
)
def test_a_source_that_cannot_be_reached_says_why(place, secret, words):
    failed = place.test(place.source(SecretsManagerSecretId=place.secret(**secret)))
    assert failed["Status"] == "failed"
    assert words in failed["LastFailureMessage"]
    assert "wrong-9f" not in failed["LastFailureMessage"]


def test_a_missing_database_secret_or_bucket_says_so(place):
    for endpoint, words in (
        (place.source(DatabaseName="nowhere"), 'database "nowhere" does not exist'),
        (place.source(SecretsManagerSecretId="absent"), "The secret absent cannot be read"),
        (place.target(BucketName="dms-test-absent"), "bucket"),
    ):
        failed = place.test(endpoint)
        assert (failed["Status"], words in failed["LastFailureMessage"]) == ("failed", True), failed


def test_the_test_of_a_bucket_leaves_nothing_in_it(place):
    before = place.keys()
    assert place.test(place.target(BucketFolder="x"))["Status"] == "successful"
    assert place.keys() == before


def test_a_changed_endpoint_must_be_tested_again(place):
    source, target = place.source(), place.target()
    arn = place.task(NO_KEY, source=source, target=target)
    place.dms.modify_endpoint(EndpointArn=target, S3Settings={"BucketFolder": "elsewhere"})
    found = place.dms.describe_endpoints(Filters=[{"Name": "endpoint-arn", "Values": [target]}])[
        "Endpoints"
    ][0]["S3Settings"]
    assert (found["BucketFolder"], found["BucketName"], found["DataFormat"]) == (
        "elsewhere",
        place.bucket,
        "parquet",
    )
    with pytest.raises(ClientError) as refused:
        place.start(arn)
    assert code(refused) == "InvalidResourceStateFault"
    assert "should be successful" in message(refused)
    place.test(target)
    place.run(arn)
    assert place.keys("elsewhere/") == ["elsewhere/nasty/no_key/LOAD00000001.parquet"]


def test_the_words_of_s3_settings_are_answered_in_capitals_whichever_way_they_were_sent(place):
    for sent, answered in (("none", "NONE"), ("GZIP", "GZIP"), ("gzip", "GZIP")):
        target = place.target(CompressionType=sent, EncryptionMode="sse-s3")
        filters = [{"Name": "endpoint-arn", "Values": [target]}]
        found = place.dms.describe_endpoints(Filters=filters)["Endpoints"][0]["S3Settings"]
        assert (found["CompressionType"], found["EncryptionMode"]) == (answered, "SSE_S3")
    with pytest.raises(ClientError) as refused:
        place.dms.modify_endpoint(EndpointArn=target, S3Settings={"EncryptionMode": "sse-kms"})
    assert "cannot be changed from SSE_S3 to SSE_KMS" in message(refused)


def authority(name="an authority"):
    """A certificate that signs itself, in PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    made = x509.CertificateBuilder(
        issuer_name=subject,
        subject_name=subject,
        public_key=key.public_key(),
        serial_number=1,
        not_valid_before=now,
        not_valid_after=now + datetime.timedelta(days=1),
    ).sign(key, hashes.SHA256())
    return made.public_bytes(Encoding.PEM).decode()


def test_an_endpoint_verifies_by_a_certificate_and_not_without_one(place):
    settings = {**clear(place), "SslMode": "verify-full"}
    with pytest.raises(ClientError) as refused:
        create(place, **settings)
    assert code(refused) == "InvalidParameterCombinationException"
    with pytest.raises(ClientError) as refused:
        place.dms.import_certificate(CertificateIdentifier="none", CertificatePem="no PEM")
    assert code(refused) == "InvalidCertificateFault"
    imported = place.dms.import_certificate(
        CertificateIdentifier=f"ca-{place.end}", CertificatePem=authority()
    )["Certificate"]["CertificateArn"]
    with pytest.raises(ClientError) as refused:
        create(place, **settings, CertificateArn=imported[:-1])
    assert code(refused) == "ResourceNotFoundFault"
    name = f"verified-{place.end}"
    endpoint = create(place, EndpointIdentifier=name, **settings, CertificateArn=imported)
    assert endpoint["CertificateArn"] == imported
    failed = place.test(endpoint["EndpointArn"])
    assert "server does not support SSL" in failed["LastFailureMessage"]


def test_a_source_is_verified_by_the_certificate_in_a_file_and_a_new_one_takes_its_place(
    place, tmp_path
):
    names, file = Names("acme", f"ca{place.end}", "123456789012", REGION), tmp_path / "ca.pem"

    def wanted():
        """Declared anew, as in the next run."""
        source = clear(place, EngineName="postgres", SslMode="verify-full")
        pem = dms_certificate.authority("verify-full", str(file))
        rest = ({"rules": []}, subnet_ids(), "dms.t3.medium", 50, 32, 1, "none", pem)
        return dms.replication(names, source, *rest)[2:4]

    for subject in ("this year's", "next year's"):
        file.write_text(authority(subject))
        ensure(wanted(), apply=True)
        shown = [each for each in calls(wanted()) if "Password" not in each[1].arguments]
        assert shown == []
        filters = [{"Name": "endpoint-id", "Values": [names.resource("source")]}]
        found = place.dms.describe_endpoints(Filters=filters)["Endpoints"][0]
        pem = place.dms.describe_certificates(
            Filters=[{"Name": "certificate-arn", "Values": [found["CertificateArn"]]}]
        )["Certificates"][0]["CertificatePem"]
        assert pem == file.read_text()


def test_a_mode_that_verifies_without_a_certificate_is_one_clear_sentence(tmp_path):
    assert dms_certificate.authority("require", "") == ""
    with pytest.raises(LakebookError, match="name its PEM file as source_certificate_file"):
        dms_certificate.authority("verify-ca", "")
    with pytest.raises(LakebookError, match="cannot be read"):
        dms_certificate.authority("verify-ca", str(tmp_path / "absent.pem"))
    (tmp_path / "a.der").write_text("no PEM")
    with pytest.raises(LakebookError, match="is not PEM"):
        dms_certificate.authority("verify-ca", str(tmp_path / "a.der"))


def test_connections_are_filtered_by_all_filters(place):
    one, other = place.source(), place.target()
    place.test(one), place.test(other)
    filters = [
        {"Name": "endpoint-arn", "Values": [one]},
        {"Name": "replication-instance-arn", "Values": [place.instance]},
    ]
    assert [
        each["EndpointArn"]
        for each in place.dms.describe_connections(Filters=filters)["Connections"]
    ] == [one]
    place.dms.delete_connection(EndpointArn=one, ReplicationInstanceArn=place.instance)
    with pytest.raises(ClientError) as refused:
        place.dms.describe_connections(Filters=filters)
    assert code(refused) == "ResourceNotFoundFault"


@pytest.mark.parametrize(
    ("told", "expected", "words"),
    [
        ({"MigrationType": "cdc"}, "NotInLocalAws", "only full-load"),
        ({"MigrationType": "full-load-and-cdc"}, "NotInLocalAws", "only full-load"),
        ({"TableMappings": "{"}, "InvalidParameterValueException", "no JSON"),
        ({"TableMappings": '{"rules": []}'}, "InvalidParameterValueException", "includes nothing"),
        (
            {"ReplicationTaskSettings": "{"},
            "InvalidParameterValueException",
            "Invalid task settings JSON",
        ),
        (
            {"ReplicationTaskSettings": '{"Nothing": {}}'},
            "InvalidParameterValueException",
            "Nothing",
        ),
        (
            {"ReplicationTaskSettings": '{"Logging": {"CloudWatchLogGroup": "g"}}'},
            "InvalidParameterValueException",
            "cannot be set on create",
        ),
        (
            {"ReplicationTaskSettings": '{"TargetMetadata": {"FullLobMode": true}}'},
            "InvalidParameterValueException",
            "limited LOB mode",
        ),
        (
            {"ReplicationTaskSettings": '{"FullLoadSettings": {"MaxFullLoadSubTasks": 50}}'},
            "InvalidParameterValueException",
            "between 1 and 49",
        ),
        (
            {"ReplicationTaskSettings": '{"ValidationSettings": {"EnableValidation": true}}'},
            "NotInLocalAws",
            "validation",
        ),
        ({"CdcStartPosition": "0/1"}, "InvalidParameterValueException", "capture changes"),
        (
            {"SourceEndpointArn": "arn:aws:dms:eu-west-1:123456789012:endpoint:ABSENT"},
            "ResourceNotFoundFault",
            "Endpoint",
        ),
    ],
)
def test_a_wrong_task_is_refused(place, ends, told, expected, words):
    with pytest.raises(ClientError) as refused:
        create_task(place, ends, **told)
    assert (code(refused), words in message(refused)) == (expected, True), message(refused)


@pytest.fixture(scope="module")
def ends(place):
    return place.source(), place.target()


def create_task(place, ends, **told):
    told = {
        "ReplicationTaskIdentifier": f"t-{place.end}",
        "SourceEndpointArn": ends[0],
        "TargetEndpointArn": ends[1],
        "ReplicationInstanceArn": place.instance,
        "MigrationType": "full-load",
        "TableMappings": mapping(NO_KEY),
        **told,
    }
    return place.dms.create_replication_task(**told)["ReplicationTask"]


@pytest.mark.usefixtures("slow_to_settle")
def test_a_task_is_created_changed_found_and_deleted(place, ends):
    task = create_task(
        place,
        ends,
        Tags=[{"Key": "a", "Value": "b"}],
        ReplicationTaskSettings=(
            '{"TargetMetadata": {"LobMaxSize": 63}, "Logging": {"EnableLogging": true}}'
        ),
    )
    arn = task["ReplicationTaskArn"]
    assert task["Status"] == "creating"
    with pytest.raises(ClientError) as refused:
        create_task(place, ends)
    assert code(refused) == "ResourceAlreadyExistsFault"
    with pytest.raises(ClientError) as refused:
        place.start(arn)
    assert code(refused) == "InvalidResourceStateFault"
    settings = json.loads(place.wait(arn, "ready")["ReplicationTaskSettings"])
    assert settings["TargetMetadata"]["LobMaxSize"] == 63
    assert settings["ErrorBehavior"]["FailOnNoTablesCaptured"] is True
    assert settings["Logging"]["CloudWatchLogGroup"] == f"dms-tasks-instance-{place.end}"
    changed = place.dms.modify_replication_task(
        ReplicationTaskArn=arn,
        ReplicationTaskSettings='{"FullLoadSettings": {"MaxFullLoadSubTasks": 2}}',
    )
    assert changed["ReplicationTask"]["Status"] == "modifying"
    settings = json.loads(place.wait(arn, "ready")["ReplicationTaskSettings"])
    assert (
        settings["TargetMetadata"]["LobMaxSize"],
        settings["FullLoadSettings"]["MaxFullLoadSubTasks"],
    ) == (63, 2)
    assert place.dms.list_tags_for_resource(ResourceArn=arn)["TagList"] == [
        {"Key": "a", "Value": "b", "ResourceArn": arn}
    ]
    for name, value in (
        ("endpoint-arn", ends[0]),
        ("replication-instance-arn", place.instance),
        ("replication-task-id", f"t-{place.end}"),
    ):
        found = place.dms.describe_replication_tasks(
            Filters=[{"Name": name, "Values": [value]}], WithoutSettings=True
        )["ReplicationTasks"]
        assert (
            arn in [each["ReplicationTaskArn"] for each in found],
            "ReplicationTaskSettings" in found[0],
        ) == (True, False)
    assert (
        place.dms.delete_replication_task(ReplicationTaskArn=arn)["ReplicationTask"]["Status"]
        == "deleting"
    )
    wait_until_gone(place, arn)


def wait_until_gone(place, arn):
    place.dms.get_waiter("replication_task_deleted").wait(
        Filters=[{"Name": "replication-task-arn", "Values": [arn]}], WaiterConfig={"Delay": 0.05}
    )


def test_the_order_of_deletion_is_kept(place):
    source, target = place.source(), place.target()
    arn = place.task(NO_KEY, source=source, target=target)
    for delete, told in (
        (place.dms.delete_endpoint, {"EndpointArn": source}),
        (place.dms.delete_replication_instance, {"ReplicationInstanceArn": place.instance}),
        (
            place.dms.delete_replication_subnet_group,
            {"ReplicationSubnetGroupIdentifier": f"group-{place.end}"},
        ),
    ):
        with pytest.raises(ClientError) as refused:
            delete(**told)
        assert code(refused) == "InvalidResourceStateFault"
    place.dms.delete_replication_task(ReplicationTaskArn=arn)
    wait_until_gone(place, arn)
    place.dms.delete_endpoint(EndpointArn=source)


def test_the_first_start_is_start_replication_and_a_later_one_is_not(place):
    arn = place.task(NO_KEY)
    with pytest.raises(ClientError) as refused:
        place.start(arn, "reload-target")
    assert code(refused) == "InvalidParameterCombinationException"
    place.run(arn)
    with pytest.raises(
        ClientError,
        match="Start Type : START_REPLICATION, valid only for tasks running for the first time",
    ):
        place.start(arn)
    with pytest.raises(ClientError) as refused:
        place.dms.stop_replication_task(ReplicationTaskArn=arn)
    assert code(refused) == "InvalidResourceStateFault"


def test_tags_are_added_and_removed(place):
    arn = place.instance
    place.dms.add_tags_to_resource(
        ResourceArn=arn, Tags=[{"Key": "x", "Value": "1"}, {"Key": "y", "Value": "2"}]
    )
    place.dms.remove_tags_from_resource(ResourceArn=arn, TagKeys=["x"])
    assert [
        (each["Key"], each["Value"])
        for each in place.dms.list_tags_for_resource(ResourceArn=arn)["TagList"]
    ] == [("y", "2")]
    with pytest.raises(ClientError) as refused:
        place.dms.list_tags_for_resource(
            ResourceArn="arn:aws:dms:eu-west-1:123456789012:rep:ABSENT"
        )
    assert code(refused) == "ResourceNotFoundFault"


def test_lists_come_in_pages(place):
    for _ in range(21):
        place.target()
    first = place.dms.describe_endpoints(MaxRecords=20)
    assert len(first["Endpoints"]) == 20
    found = [
        each["EndpointArn"]
        for page in place.dms.get_paginator("describe_endpoints").paginate(
            PaginationConfig={"PageSize": 20}
        )
        for each in page["Endpoints"]
    ]
    assert (
        len(found)
        == len(set(found))
        == len(place.dms.describe_endpoints(MaxRecords=100)["Endpoints"])
        > 20
    )
    with pytest.raises(ClientError) as refused:
        place.dms.describe_endpoints(MaxRecords=5)
    assert code(refused) == "InvalidParameterValueException"


def test_changes_are_not_done_and_said_to_be_so(place):
    with pytest.raises(ClientError) as refused:
        place.dms.describe_replication_configs()
    assert code(refused) == "NotInLocalAws"


def test_the_default_settings_are_accepted_and_complete():
    told = json.loads(json.dumps(task_settings.DEFAULTS))
    assert (
        task_settings.merged(task_settings.DEFAULTS, task_settings.read(json.dumps(told))) == told
    )


def test_every_state_and_reason_is_one_of_the_api_model():
    from local_aws.dms import task_run  # noqa: PLC0415

    model = wire.model("dms")
    reasons = model.shape_for("ReplicationTask").members["StopReason"].documentation
    assert all(each in reasons for each in (task_run.FINISHED, task_run.STOPPED, task_run.FATAL))
    assert set(task_run.ZEROS) <= set(model.shape_for("TableStatistics").members)
