"""Questions about what DMS answers of endpoints as they were made; nothing is replicated."""

from conformance.question import question, refusal

CLI = "https://docs.aws.amazon.com/cli/latest/reference/dms/create-endpoint.html"
API = "https://docs.aws.amazon.com/dms/latest/APIReference"


@question(["NONE", "SSE_KMS"], CLI, cost="cents")
def dms_s3_spelling(sandbox):
    """How does DMS spell a CompressionType "none" and an EncryptionMode "sse-kms" of a target?"""
    found, _ = _target(sandbox)
    return [found["CompressionType"], found["EncryptionMode"]]


@question(True, f"{API}/API_S3Settings.html", cost="cents")
def dms_s3_key_on_create(sandbox):
    """Is the key with which a target was made answered as its key?"""
    found, key = _target(sandbox)
    return found.get("ServerSideEncryptionKmsKeyId") == key


@question([True, False, False], f"{API}/API_PostgreSQLSettings.html")
def dms_secret_spelling(sandbox):
    """Is a secret that was named answered by its name, and what are two settings of false?"""
    name = sandbox.name("spelt")
    secrets = sandbox.client("secretsmanager")
    secrets.create_secret(Name=name, SecretString="{}")
    sandbox.after(secrets.delete_secret, SecretId=name, ForceDeleteWithoutRecovery=True)
    service = f"dms.{sandbox.region}.amazonaws.com"
    found = _made(
        sandbox,
        "spelt",
        EndpointType="source",
        EngineName="postgres",
        PostgreSQLSettings={
            "DatabaseName": "asked",
            "SecretsManagerSecretId": name,
            "SecretsManagerAccessRoleArn": sandbox.role("spelt", service),
            "HeartbeatEnable": False,
            "CaptureDdls": False,
        },
    )["PostgreSQLSettings"]
    booleans = [found.get(each) for each in ("HeartbeatEnable", "CaptureDdls")]
    return [found["SecretsManagerSecretId"] == name, *booleans]


@question(
    "InvalidParameterCombinationException",
    "https://docs.aws.amazon.com/dms/latest/userguide/CHAP_Security.SSL.html",
)
def dms_verify_without_certificate(sandbox):
    """With which code is an endpoint refused that verifies its source without a certificate?"""
    dms, name = sandbox.client("dms"), sandbox.name("unverified")
    given = {"ServerName": "192.0.2.1", "Port": 5432, "DatabaseName": "asked"}
    return refusal(
        dms.create_endpoint,
        EndpointIdentifier=name,
        EndpointType="source",
        EngineName="postgres",
        SslMode="verify-full",
        Username="nobody",
        Password="none-at-all",
        **given,
    )


def _target(sandbox):
    """The settings of one target, as DMS describes them, and the key it was made with."""
    if "target" not in sandbox.shared:
        key = sandbox.key("target")
        settings = {
            "BucketName": sandbox.bucket("target"),
            "ServiceAccessRoleArn": sandbox.role("target", "dms.amazonaws.com"),
            "DataFormat": "parquet",
            "CompressionType": "none",
            "EncryptionMode": "sse-kms",
            "ServerSideEncryptionKmsKeyId": key,
        }
        made = _made(
            sandbox, "spelt-target", EndpointType="target", EngineName="s3", S3Settings=settings
        )
        sandbox.shared["target"] = made["S3Settings"], key
    return sandbox.shared["target"]


def _made(sandbox, of, **settings):
    """A new endpoint, as DMS describes it."""
    dms = sandbox.client("dms")
    made = dms.create_endpoint(EndpointIdentifier=sandbox.name(of), **settings)["Endpoint"]
    sandbox.after(dms.delete_endpoint, EndpointArn=made["EndpointArn"])
    which = [{"Name": "endpoint-arn", "Values": [made["EndpointArn"]]}]
    (found,) = dms.describe_endpoints(Filters=which)["Endpoints"]
    return found
