"""Questions about AWS Glue's jobs."""

from conformance.question import NotAsked, question, until

SCRIPT = """
import sys
from awsglue.utils import getResolvedOptions
from pyspark.sql import SparkSession
given = getResolvedOptions(sys.argv, ["place", "where"])
bucket, region = given["place"], given["where"]
spark = SparkSession.builder.config("spark.hadoop.fs.s3a.endpoint.region", region).getOrCreate()
found = spark.sparkContext._jsc.hadoopConfiguration().get("fs.s3a.endpoint.region")
spark.createDataFrame([(found or "",)], ["found"]).coalesce(1).write.text(f"s3a://{bucket}/out/")
"""


@question(
    True,
    "https://docs.aws.amazon.com/glue/latest/dg/migrating-version-51.html",
    cost="dollars",
    only_aws="it takes a Spark, whose tests are apart",
)
def s3a_writes_to_the_region_that_is_set(sandbox):
    """Does a job of Glue 5.1 write by S3A, and to the Region that its session was given?"""
    bucket, name, s3 = sandbox.bucket("spark"), sandbox.name("spark"), sandbox.client("s3")
    s3.put_object(Bucket=bucket, Key="script.py", Body=SCRIPT.encode())
    role, glue = sandbox.role("spark"), sandbox.client("glue")
    sandbox.allow("spark", "s3:*", "logs:*", "cloudwatch:PutMetricData")
    glue.create_job(
        Name=name,
        Role=role,
        GlueVersion="5.1",
        WorkerType="G.1X",
        NumberOfWorkers=2,
        Timeout=15,
        Command={
            "Name": "glueetl",
            "ScriptLocation": f"s3://{bucket}/script.py",
            "PythonVersion": "3",
        },
    )
    sandbox.after(glue.delete_job, JobName=name)

    def ended():
        """A run that has ended; a new role cannot be taken at once, so that it may take another."""
        given = {"--place": bucket, "--where": sandbox.region}
        run = glue.start_job_run(JobName=name, Arguments=given)["JobRunId"]
        return until(
            lambda: glue.get_job_run(JobName=name, RunId=run)["JobRun"],
            lambda found: found["JobRunState"] not in ("STARTING", "RUNNING", "WAITING"),
            "The job was still under way",
            1200,
        )

    found = until(
        ended, lambda run: "assume role" not in run.get("ErrorMessage", ""), "No run", 120
    )
    if found["JobRunState"] != "SUCCEEDED":
        raise NotAsked(f"a run: {found.get('ErrorMessage')}")
    parts = s3.list_objects_v2(Bucket=bucket, Prefix="out/part-")["Contents"]
    texts = [s3.get_object(Bucket=bucket, Key=each["Key"])["Body"].read() for each in parts]
    return b"".join(texts).decode().strip() == sandbox.region
