"""A question to AWS, with the answer that AWS documents: asked of the stand-in by the tests, of a
sandbox account by `make conformance`.
"""

import contextlib
import json
import time
from dataclasses import dataclass, field

import boto3
from botocore.exceptions import ClientError

PREFIX = "lakebook-conformance"
QUESTIONS = []
# US dollars that one question costs at most, by what it uses; prices change, so they are rounded up
AT_MOST_USD = {"free": 0.0, "cents": 0.05, "dollars": 2.0}


class NotAsked(Exception):  # noqa: N818 - not an error of AWS's
    """What the sandbox lacks for a question."""


@dataclass(frozen=True)
class Question:
    """`ask(sandbox)` returns AWS's answer, as plain Python; `documented` is what AWS says it is.
    `only_aws` says why the stand-in cannot be asked, "" where it can.
    """

    name: str
    sentence: str
    ask: object
    documented: object
    source: str
    cost: str
    only_aws: str = ""


@dataclass
class Sandbox:
    """Where questions are asked: everything made there has a name below the prefix, and goes
    again.
    """

    account: str
    region: str
    source_secret: str = ""  # of a PostgreSQL in which a schema may be made; DMS reaches it
    subnet_ids: list = field(default_factory=list)  # from which it does
    shared: dict = field(default_factory=dict)  # what one question has made for others
    undo: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)

    def client(self, service, region=""):
        return boto3.client(service, region_name=region or self.region)

    def name(self, of):
        return f"{PREFIX}-{of}"

    def after(self, method, **arguments):
        """Call this when all questions were asked; that it is gone already is no error."""

        def gone():
            with contextlib.suppress(ClientError):
                method(**arguments)

        self.undo.callback(gone)

    def role(self, of, service="glue.amazonaws.com", trusts=None, **settings):
        """The ARN of a role that a service, or what the statement `trusts` names, may take; it has
        no rights.
        """
        iam, name = self.client("iam"), self.name(of)
        trusts = {"Principal": {"Service": service}, **(trusts or {})}
        statement = {"Effect": "Allow", "Action": "sts:AssumeRole", **trusts}
        document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        made = iam.create_role(RoleName=name, AssumeRolePolicyDocument=document, **settings)
        self.after(iam.delete_role, RoleName=name)
        return made["Role"]["Arn"]

    def allow(self, of, *actions, statements=()):
        """Let a role that was made here do these actions, everywhere, and what is stated."""
        iam, which = self.client("iam"), {"RoleName": self.name(of), "PolicyName": "allowed"}
        statement = {"Effect": "Allow", "Action": actions, "Resource": "*"}
        document = json.dumps({"Version": "2012-10-17", "Statement": [statement, *statements]})
        iam.put_role_policy(**which, PolicyDocument=document)
        self.after(iam.delete_role_policy, **which)

    def person(self, of, *actions, statements=()):
        """A session of a new role, once its rights hold."""
        root = {"AWS": f"arn:aws:iam::{self.account}:root"}
        arn = self.role(of, trusts={"Principal": root})
        self.allow(of, *actions, "ec2:DescribeRegions", statements=statements)
        asked = {"RoleArn": arn, "RoleSessionName": "asks"}
        end = time.monotonic() + 120
        while True:
            with contextlib.suppress(ClientError):
                key = self.client("sts").assume_role(**asked)["Credentials"]
                session = boto3.Session(
                    aws_access_key_id=key["AccessKeyId"],
                    aws_secret_access_key=key["SecretAccessKey"],
                    aws_session_token=key["SessionToken"],
                    region_name=self.region,
                )
                session.client("ec2").describe_regions()
                return session
            if time.monotonic() > end:
                raise TimeoutError(f"The rights of {arn} did not hold after two minutes.")
            time.sleep(1)

    def bucket(self, of):
        """The name of an empty bucket, which is emptied before it goes."""
        s3, name = self.client("s3"), f"{PREFIX}-{of}-{self.account}"
        where = {"CreateBucketConfiguration": {"LocationConstraint": self.region}}
        s3.create_bucket(Bucket=name, **({} if self.region == "us-east-1" else where))
        self.after(s3.delete_bucket, Bucket=name)
        self.undo.callback(boto3.resource("s3").Bucket(name).objects.delete)
        return name

    def key(self, of, policy=None):
        """The ARN of a new key of KMS, which AWS deletes a week later."""
        kms = self.client("kms")
        told = {"Policy": json.dumps(policy)} if policy else {}
        made = kms.create_key(Description=self.name(of), **told)["KeyMetadata"]
        self.after(kms.schedule_key_deletion, KeyId=made["KeyId"], PendingWindowInDays=7)
        return made["Arn"]

    def database(self, of):
        """The name of an empty database of the Glue Data Catalog."""
        glue, name = self.client("glue"), self.name(of).replace("-", "_")
        glue.create_database(DatabaseInput={"Name": name})
        self.after(glue.delete_database, Name=name)
        return name


def question(documented, source, cost="free", only_aws=""):
    """Register a function as a question; its docstring is the sentence that people read."""

    def register(ask):
        sentence = " ".join(ask.__doc__.split())
        told = documented, source, cost, only_aws
        QUESTIONS.append(Question(ask.__name__, sentence, ask, *told))
        return ask

    return register


def refusal(method, **arguments):
    """The error code with which AWS refuses a call; "" where it does not."""
    try:
        method(**arguments)
    except ClientError as error:
        return error.response["Error"]["Code"]
    return ""


def until(read, holds, what, seconds=900):
    """What `read` returns once it holds; TimeoutError in the end."""
    end = time.monotonic() + seconds
    while not holds(found := read()):
        if time.monotonic() > end:
            raise TimeoutError(f"{what} after {seconds} seconds: {found}")
        time.sleep(0.2 if time.monotonic() < end - seconds + 5 else 2)
    return found
