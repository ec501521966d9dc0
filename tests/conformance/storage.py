"""Questions about S3, and what DMS says of its targets there."""

from conformance.question import question, refusal

S3 = "https://docs.aws.amazon.com/AmazonS3/latest/API"
DMS = "https://docs.aws.amazon.com/cli/latest/reference/dms/describe-endpoints.html"


@question("BucketAlreadyOwnedByYou", f"{S3}/API_CreateBucket.html")
def a_bucket_is_made_once(sandbox):
    """With which code is a second bucket of one name refused to its owner outside us-east-1?"""
    name = sandbox.bucket("twice")
    where = {"LocationConstraint": sandbox.region}
    return refusal(sandbox.client("s3").create_bucket, Bucket=name, CreateBucketConfiguration=where)


@question(
    [{"ID": "old", "Status": "Enabled", "Filter": {"Prefix": ""}, "Expiration": {"Days": 30}}],
    f"{S3}/API_GetBucketLifecycleConfiguration.html",
)
def a_lifecycle_rule_reads_as_it_was_written(sandbox):
    """What does a lifecycle rule with an empty prefix read like, right after it was written?"""
    s3, name = sandbox.client("s3"), sandbox.bucket("lifecycle")
    rule = {"ID": "old", "Status": "Enabled", "Filter": {"Prefix": ""}, "Expiration": {"Days": 30}}
    s3.put_bucket_lifecycle_configuration(Bucket=name, LifecycleConfiguration={"Rules": [rule]})
    return s3.get_bucket_lifecycle_configuration(Bucket=name)["Rules"]


@question("BucketNotEmpty", f"{S3}/API_DeleteBucket.html")
def a_bucket_that_holds_something_stays(sandbox):
    """With which code is the deletion of a bucket with an object refused?"""
    s3, name = sandbox.client("s3"), sandbox.bucket("full")
    s3.put_object(Bucket=name, Key="one", Body=b"1")
    return refusal(s3.delete_bucket, Bucket=name)
