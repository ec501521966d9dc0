"""How AWS says that what a call relies on was made or changed a moment ago and has not spread yet:
such a call is made again for a while.

The source, where no other is named, is what Terraform's provider makes again:
https://github.com/hashicorp/terraform-provider-aws/tree/main/internal/service
"""

from __future__ import annotations

SETTINGS_OF_BUCKETS = (
    "PutBucketEncryption",
    "PutBucketLifecycleConfiguration",
    "PutBucketOwnershipControls",
    "PutBucketPolicy",
    "PutBucketTagging",
    "PutBucketVersioning",
    "PutObjectLockConfiguration",
    "PutPublicAccessBlock",
)
# a service as IAM names it, or one of its operations: code, and a part of the message
ANSWERS: dict[str, tuple[tuple[str, str], ...]] = {
    "cloudtrail": (
        ("InsufficientEncryptionPolicyException", ""),
        ("InsufficientS3BucketPolicyException", ""),
        ("InvalidCloudWatchLogsRoleArnException", "Access denied"),
    ),
    "dms": (("AccessDeniedFault", ""),),
    "glue:CreateJob": (("InvalidInputException", "ssume role"),),
    "iam": (
        ("MalformedPolicyDocument", "Invalid principal in policy"),
        ("NoSuchEntity", "cannot be found"),
    ),
    "kms": (("MalformedPolicyDocumentException", ""),),
    "lakeformation": (
        ("AccessDeniedException", "is not authorized to access requested permissions"),
        ("InvalidInputException", "Invalid principal"),
        ("InvalidInputException", "register the S3 path"),
    ),
    "redshift:CreateCluster": (("InvalidParameterValue", "IAM role"),),
    "redshift-serverless": (("ValidationException", "IAM role"),),
    "s3": (("MalformedPolicy", "Invalid principal in policy"),),
    **{f"s3:{each}": (("NoSuchBucket", ""),) for each in SETTINGS_OF_BUCKETS},
    "sagemaker:CreateDomain": (("ValidationException", ""),),
    "sagemaker:CreateModel": (("ValidationException", ""),),
    "sagemaker:CreateProcessingJob": (("ValidationException", ""),),
    "sagemaker:CreateTrainingJob": (("ValidationException", ""),),
    "sagemaker:CreateTransformJob": (("ValidationException", ""),),
}


def is_one(action: str, code: str, message: str) -> bool:
    """Whether the answer to a call, such as `lakeformation:GrantPermissions`, is one of these."""
    known = ANSWERS.get(action, ()) + ANSWERS.get(action.partition(":")[0], ())
    return any(code == each and part in message for each, part in known)
