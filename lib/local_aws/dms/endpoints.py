"""DMS endpoints (PostgreSQL sources, S3 targets) and the tests of their connections."""

from __future__ import annotations

import copy
import json
import threading
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import psycopg
from botocore.exceptions import ClientError

from local_aws import wire
from local_aws.dms import source
from local_aws.dms.certificates import Certificates
from local_aws.dms.records import (
    DMS,
    Record,
    check_new,
    find,
    invalid,
    invalid_state,
    matching,
    not_here,
    page,
)
from local_aws.errors import AccessDeniedError, ApiError

if TYPE_CHECKING:
    from local_aws.service import Call

ENGINES = {
    ("source", "postgres"): ("PostgreSQL", "PostgreSQLSettings"),
    ("target", "s3"): ("Amazon S3", "S3Settings"),
}
CLEAR = ("Username", "Password", "ServerName", "Port")
OF_ENDPOINT = (*CLEAR, "DatabaseName")
KEPT = (
    "EndpointIdentifier",
    "EndpointType",
    "EngineName",
    "KmsKeyId",
    "SslMode",
    "CertificateArn",
    "ServiceAccessRoleArn",
)
S3_DEFAULTS = {
    "CsvRowDelimiter": "\\n",
    "CsvDelimiter": ",",
    "CompressionType": "NONE",
    "EncryptionMode": "SSE_S3",
    "DataFormat": "csv",
    "EnableStatistics": True,
    "IncludeOpForFullLoad": False,
    "CdcInsertsOnly": False,
    "ParquetTimestampInMillisecond": False,
    "CdcInsertsAndUpdates": False,
    "DatePartitionEnabled": False,
}
# DMS takes these words in either spelling and answers them in capitals, with `_` for `-`
# https://docs.aws.amazon.com/cli/latest/reference/dms/create-endpoint.html
SPELT_IN_CAPITALS = ("CompressionType", "EncryptionMode")
# What AWS does with these and this stand-in does not; the values that ask for nothing are fine.
S3_NOT_HERE: dict[str, tuple[Any, ...]] = {
    "PreserveTransactions": (False,),
    "GlueCatalogGeneration": (False,),
    "AddTrailingPaddingCharacter": (False,),
    "Rfc4180": (True,),
    "CsvRowDelimiter": ("\\n", "\n"),
    "EncryptionMode": ("SSE_S3", "SSE_KMS"),
    "CannedAclForObjects": ("none",),
    "ExternalTableDefinition": ("",),
    "CdcPath": ("",),
}


@dataclass(frozen=True)
class ConnectionFailure(Exception):  # noqa: N818 - a result as much as an error: it becomes LastFailureMessage
    """Why an endpoint cannot be reached, in one sentence without the password."""

    reason: str


class Endpoints(Certificates):
    """Endpoints and connections."""

    def CreateEndpoint(self, call: Call) -> dict[str, Any]:
        """An endpoint that is `active`."""
        request = call.parameters
        kind = (request["EndpointType"], request["EngineName"])
        if kind not in ENGINES:
            raise not_here(
                f"a DMS {kind[0]} endpoint of engine {kind[1]}, only a postgres source and an s3"
                " target"
            )
        with self.lock:
            check_new(
                self.endpoints.values(),
                "EndpointIdentifier",
                request["EndpointIdentifier"],
                "Endpoint",
            )
            arn, display = self.arn("endpoint", call), ENGINES[kind][0]
            kept = {member: request[member] for member in KEPT if member in request}
            endpoint = {
                "SslMode": "none",
                **kept,
                "EndpointArn": arn,
                "EngineDisplayName": display,
                "Status": "active",
            }
            self.endpoints[arn] = self._settled(endpoint, request)
            self.keep_tags(arn, call)
        return {"Endpoint": self.endpoints[arn]}

    def DescribeEndpoints(self, call: Call) -> dict[str, Any]:
        """The endpoints that fulfil the filters."""
        members: Any = {
            "endpoint-arn": "EndpointArn",
            "endpoint-type": "EndpointType",
            "endpoint-id": "EndpointIdentifier",
            "engine-name": "EngineName",
        }
        return page(
            call, "Endpoints", matching(call, self.endpoints.values(), members, "endpoints")
        )

    def ModifyEndpoint(self, call: Call) -> dict[str, Any]:
        """The endpoint with the given settings changed (replaced with ExactSettings); its
        connections need new tests.
        """
        request, arn = call.parameters, call.parameters["EndpointArn"]
        with self.lock:
            endpoint = copy.deepcopy(find(self.endpoints, arn, "Endpoint"))
            self._check_idle(arn)
            if (
                request.get("EndpointIdentifier", endpoint["EndpointIdentifier"])
                != endpoint["EndpointIdentifier"]
            ):
                check_new(
                    self.endpoints.values(),
                    "EndpointIdentifier",
                    request["EndpointIdentifier"],
                    "Endpoint",
                )
            if any(
                request.get(member, endpoint[member]) != endpoint[member]
                for member in ("EndpointType", "EngineName")
            ):
                raise invalid(
                    "local_aws does not change an endpoint's type or engine: create another"
                    " endpoint"
                )
            if request.get("ExactSettings"):
                endpoint.pop(ENGINES[endpoint["EndpointType"], endpoint["EngineName"]][1], None)
            endpoint.update({member: request[member] for member in KEPT if member in request})
            self.endpoints[arn] = self._settled(endpoint, request)
            for key in [key for key in self.connections if key[1] == arn]:
                del self.connections[key]
        return {"Endpoint": self.endpoints[arn]}

    def DeleteEndpoint(self, call: Call) -> dict[str, Any]:
        """The endpoint, `deleting`; refused while a task uses it."""
        arn = call.parameters["EndpointArn"]
        with self.lock:
            find(self.endpoints, arn, "Endpoint")
            if any(
                arn in (task["SourceEndpointArn"], task["TargetEndpointArn"])
                for task in self.tasks.values()
            ):
                raise invalid_state(
                    f"Endpoint {arn} is part of one or more replication tasks: delete them first"
                )
            for key in [key for key in self.connections if key[1] == arn]:
                del self.connections[key]
            self.tags.pop(arn, None)
            self.passwords.pop(arn, None)
            return {"Endpoint": {**self.endpoints.pop(arn), "Status": "deleting"}}

    def TestConnection(self, call: Call) -> dict[str, Any]:
        """A connection that is `testing`, and soon `successful` or `failed` with a
        LastFailureMessage.
        """
        with self.lock:
            instance = self.available(call.parameters["ReplicationInstanceArn"])
            endpoint = find(self.endpoints, call.parameters["EndpointArn"], "Endpoint")
            key = (instance["ReplicationInstanceArn"], endpoint["EndpointArn"])
            if self.connections.get(key, {}).get("Status") == "testing":
                raise invalid_state("This connection is already being tested: wait for the result")
            connection = {
                "ReplicationInstanceArn": key[0],
                "EndpointArn": key[1],
                "Status": "testing",
                "EndpointIdentifier": endpoint["EndpointIdentifier"],
                "ReplicationInstanceIdentifier": instance["ReplicationInstanceIdentifier"],
            }
            self.connections[key] = connection
        threading.Thread(target=self._test, args=(connection, endpoint), daemon=True).start()
        return {"Connection": dict(connection, Status="testing")}

    def DescribeConnections(self, call: Call) -> dict[str, Any]:
        """The connections that fulfil all filters."""
        members: Any = {
            "endpoint-arn": "EndpointArn",
            "replication-instance-arn": "ReplicationInstanceArn",
        }
        return page(
            call, "Connections", matching(call, self.connections.values(), members, "connections")
        )

    def DeleteConnection(self, call: Call) -> dict[str, Any]:
        """The connection, `deleting`."""
        key = (call.parameters["ReplicationInstanceArn"], call.parameters["EndpointArn"])
        with self.lock:
            if key not in self.connections:
                raise ApiError(
                    "ResourceNotFoundFault",
                    "No connection of this replication instance and endpoint found",
                )
            return {"Connection": {**self.connections.pop(key), "Status": "deleting"}}

    def conninfo(self, endpoint: Record, application: str = "local_aws dms") -> str:
        """What leads to a source, and what it is told we are; it holds the password. Raises
        ConnectionFailure when the secret does not help.
        """
        settings = endpoint.get("PostgreSQLSettings", {})
        request: Record = {
            "Username": endpoint.get("Username"),
            "Password": self.passwords.get(endpoint["EndpointArn"]),
            "ServerName": endpoint.get("ServerName"),
            "Port": endpoint.get("Port") or 5432,
        }
        if "SecretsManagerSecretId" in settings:
            request = self._secret(
                settings["SecretsManagerSecretId"], settings["SecretsManagerAccessRoleArn"]
            )
        database = endpoint.get("DatabaseName") or settings.get("DatabaseName") or "postgres"
        return source.conninfo(
            request["ServerName"],
            request["Port"],
            request["Username"],
            request["Password"],
            database,
            endpoint["SslMode"],
            application,
            self.authority_file(endpoint),
        )

    def _secret(self, name: str, role_arn: str) -> dict[str, Any]:
        """The secret's members, read with its role by DMS in this Region."""
        service = f"dms.{self.stand_in.region}.amazonaws.com"
        try:
            client = self.stand_in.client(
                "secretsmanager", role_arn=role_arn, service_principal=service
            )
            content = json.loads(client.get_secret_value(SecretId=name)["SecretString"])
            keys = {"Username": "username", "Password": "password", "ServerName": "host"}
            return {member: content[key] + "" for member, key in keys.items()} | {
                "Port": int(content["port"])
            }
        except ClientError as error:
            raise ConnectionFailure(
                f"The secret {name} cannot be read: {error.response['Error']['Message']}"
            ) from None
        except AccessDeniedError as error:
            raise ConnectionFailure(f"The secret {name} cannot be read: {error.sentence}") from None
        except (KeyError, ValueError, TypeError):
            raise ConnectionFailure(
                f"The secret {name} is no JSON with username, password, host and port."
            ) from None

    def _test(self, connection: Record, endpoint: Record) -> None:
        try:
            if endpoint["EndpointType"] == "source":
                self._test_source(endpoint)
            else:
                self._test_bucket(endpoint["S3Settings"])
            result = {"Status": "successful"}
        except ConnectionFailure as failure:
            result = {
                "Status": "failed",
                "LastFailureMessage": f"Test Endpoint failed: {failure.reason}",
            }
        with self.lock:
            connection.update(result)

    def _test_source(self, endpoint: Record) -> None:
        try:
            source.connect(self.conninfo(endpoint)).close()
        except psycopg.Error as error:
            raise ConnectionFailure(source.failure(error)) from None

    def _test_bucket(self, settings: Record) -> None:
        bucket, folder = settings["BucketName"], settings.get("BucketFolder", "").strip("/")
        where = {"Bucket": bucket, "Key": f"{folder}/dms-test-{uuid.uuid4()}".lstrip("/")}
        try:
            s3 = self.stand_in.client(
                "s3", role_arn=settings["ServiceAccessRoleArn"], service_principal=DMS
            )
            s3.list_objects_v2(Bucket=bucket, Prefix=folder, MaxKeys=1)
            s3.put_object(**where, Body=b"", **encryption(settings))
            s3.delete_object(**where)
        except ClientError as error:
            raise ConnectionFailure(
                f"Cannot write to the bucket {bucket}: {error.response['Error']['Message']}"
            ) from None
        except AccessDeniedError as error:
            raise ConnectionFailure(
                f"Cannot write to the bucket {bucket}: {error.sentence}"
            ) from None

    def _check_idle(self, arn: str) -> None:
        running = ("starting", "running", "stopping", "testing", "modifying")
        using = [
            task
            for task in self.tasks.values()
            if arn in (task["SourceEndpointArn"], task["TargetEndpointArn"])
        ]
        if any(task["Status"] in running for task in using):
            raise invalid_state(f"Endpoint {arn} is used by a task that runs: stop it first")

    def _settled(self, endpoint: Record, request: dict[str, Any]) -> Record:
        """The endpoint with the settings that a call gives, checked; the password goes where it is
        not shown.
        """
        member = ENGINES[endpoint["EndpointType"], endpoint["EngineName"]][1]
        if request.get("ExtraConnectionAttributes"):
            raise not_here(f"ExtraConnectionAttributes of a DMS endpoint: give them as {member}")
        self.check_certificate(endpoint)
        told = {name: _spelt(name, value) for name, value in request.get(member, {}).items()}
        _check_values(member, told)
        settings = {**endpoint.get(member, {}), **told}
        if member == "S3Settings":
            if (_mode(endpoint), settings.get("EncryptionMode")) == ("SSE_S3", "SSE_KMS"):
                raise invalid("EncryptionMode cannot be changed from SSE_S3 to SSE_KMS")
            self._check_bucket_settings(settings)
            return {**endpoint, member: {**S3_DEFAULTS, **settings}}
        clear = {
            each: value
            for each in OF_ENDPOINT
            if (value := request.get(each, settings.pop(each, None))) is not None
        }
        if "Password" in clear:
            self.passwords[endpoint["EndpointArn"]] = clear.pop("Password")
        endpoint = {**endpoint, **clear, member: settings}
        self._check_credentials(endpoint, settings)
        database = (
            {"DatabaseName": endpoint["DatabaseName"]} if endpoint.get("DatabaseName") else {}
        )
        return {**endpoint, member: {**settings, **database}}

    def _check_credentials(self, endpoint: Record, settings: dict[str, Any]) -> None:
        """Either a secret with a role to read it, or clear credentials."""
        shown = [
            each
            for each in CLEAR
            if each in endpoint
            or (each == "Password" and endpoint["EndpointArn"] in self.passwords)
        ]
        secret = [
            each
            for each in ("SecretsManagerSecretId", "SecretsManagerAccessRoleArn")
            if settings.get(each)
        ]
        if secret and shown:
            text = (
                "Give either SecretsManagerSecretId with SecretsManagerAccessRoleArn or Username,"
                " Password, ServerName and Port, not both."
            )
            raise ApiError("InvalidParameterCombinationException", text)
        if len(secret) == 2:
            self.check_role(settings[secret[1]], f"dms.{self.stand_in.region}.amazonaws.com")
        elif secret or not {"Username", "Password", "ServerName"} <= set(shown):
            text = (
                "A PostgreSQL source needs SecretsManagerSecretId and SecretsManagerAccessRoleArn,"
                " or Username, Password, ServerName and Port."
            )
            raise ApiError("InvalidParameterCombinationException", text)

    def _check_bucket_settings(self, settings: dict[str, Any]) -> None:
        if missing := [
            each for each in ("BucketName", "ServiceAccessRoleArn") if not settings.get(each)
        ]:
            raise invalid(f"The S3Settings of a target need {' and '.join(missing)}")
        for name, fine in S3_NOT_HERE.items():
            if settings.get(name, fine[0]) not in fine:
                raise not_here(f"{name} {settings[name]} in the S3Settings of a DMS endpoint")
        self._check_key(settings)
        self.check_role(settings["ServiceAccessRoleArn"], DMS)

    def _check_key(self, settings: dict[str, Any]) -> None:
        """A key goes with sse-kms and only with it; that it exists and is enabled is asked of
        KMS.
        """
        key_id, mode = (
            settings.get("ServerSideEncryptionKmsKeyId"),
            settings.get("EncryptionMode", "SSE_S3"),
        )
        if bool(key_id) != (mode == "SSE_KMS"):
            text = (
                "EncryptionMode sse-kms and ServerSideEncryptionKmsKeyId go together: give both or"
                " none."
            )
            raise ApiError("InvalidParameterCombinationException", text)
        if key_id:
            try:
                key = self.stand_in.client("kms").describe_key(KeyId=key_id)["KeyMetadata"]
            except ClientError as error:
                raise ApiError(
                    "KMSKeyNotAccessibleFault", error.response["Error"]["Message"]
                ) from error
            if key["KeyState"] != "Enabled":
                raise ApiError("KMSKeyNotAccessibleFault", f"{key['Arn']} is {key['KeyState']}.")


def encryption(settings: Record) -> dict[str, Any]:
    """How an S3 target has its objects encrypted, as parameters of PutObject."""
    if settings.get("EncryptionMode") != "SSE_KMS":
        return {}
    return {
        "ServerSideEncryption": "aws:kms",
        "SSEKMSKeyId": settings["ServerSideEncryptionKmsKeyId"],
    }


def _mode(endpoint: Record) -> str | None:
    """How a target encrypts until now; None for an endpoint that is being made."""
    mode: str | None = endpoint.get("S3Settings", {}).get("EncryptionMode")
    return mode


def _spelt(name: str, value: Any) -> Any:
    """The value of a setting as DMS answers it."""
    return value.upper().replace("-", "_") if name in SPELT_IN_CAPITALS else value


def _check_values(member: str, settings: dict[str, Any]) -> None:
    """Refuse values that are not among those of the API model; boto3 lets them pass."""
    structure: Any = wire.model("dms").shape_for(member)
    for name, shape in structure.members.items():
        allowed = [_spelt(name, each) for each in getattr(shape, "enum", None) or ()]
        if name in settings and allowed and settings[name] not in allowed:
            raise invalid(
                f"{name} of {member} is one of {', '.join(allowed)}, not {settings[name]}"
            )
